/* http_condition.c - comparing what a client has with what there is. */
#include "http_condition.h"
#include "http_date.h"

#include <errno.h>
#include <string.h>

static bool is_weak(struct soq__text tag)
{
	return tag.len >= 2 && tag.at[0] == 'W' && tag.at[1] == '/';
}

static struct soq__text opaque(struct soq__text tag)
{
	return is_weak(tag) ? soq__text_from(tag, 2) : tag;
}

/* RFC 9110 section 8.8.3.2. */
static bool etag_equal(struct soq__text a, struct soq__text b, bool is_strong)
{
	if (is_strong && (is_weak(a) || is_weak(b)))
		return false;
	return soq__text_equal(opaque(a), opaque(b));
}

/* Take an entity tag off the front of a list: commas may stand within its quotes. */
static bool next_etag(struct soq__text *rest, struct soq__text *ret)
{
	size_t skip = 0, start;
	const char *end;

	while (skip < rest->len && strchr(", \t", rest->at[skip]))
		skip++;
	*rest = soq__text_from(*rest, skip);
	start = is_weak(*rest) ? 3 : 1;
	if (rest->len <= start || rest->at[start - 1] != '"')
		return false;
	end = memchr(rest->at + start, '"', rest->len - start);
	if (!end)
		return false;
	*ret = (struct soq__text){ rest->at, (size_t)(end - rest->at) + 1 };
	*rest = soq__text_from(*rest, ret->len);
	return true;
}

static bool list_has(struct soq__text list, struct soq__text etag, bool is_strong)
{
	struct soq__text tag;

	if (soq__text_equal(list, SOQ__TEXT("*")))
		return true;
	while (next_etag(&list, &tag))
		if (etag_equal(tag, etag, is_strong))
			return true;
	return false;
}

/* Whether a field of entity tags, over all its lines, has ours. @return -ENOENT without
 * such a field */
static int field_has(const struct soq__http_request *r, struct soq__text name,
	struct soq__text etag, bool is_strong)
{
	const struct soq__http_field *f;
	unsigned i = 0;
	int has = -ENOENT;

	while ((f = soq__http_field_next(r, name, &i)))
		has = list_has(f->value, etag, is_strong) || has == 1;
	return has;
}

/* The date of a field. @return false when it is missing, doubled or no date: then it is
 * to be ignored (RFC 9110 section 13.1.3) */
static bool field_date(
	const struct soq__http_request *r, struct soq__text name, int64_t now, int64_t *ret)
{
	struct soq__text value;

	return soq__http_field_only(r, name, &value) &&
		soq__http_date_parse(value, now, ret) == 0;
}

/* Steps 1 and 2: does the client's version still stand? */
static bool may_proceed(
	const struct soq__http_request *r, const struct soq__http_validators *v, int64_t now)
{
	int has = field_has(r, SOQ__TEXT("if-match"), v->etag, true);
	int64_t date;

	if (has != -ENOENT)
		return has;
	return !field_date(r, SOQ__TEXT("if-unmodified-since"), now, &date) ||
		v->modified <= date;
}

int soq__http_precondition(
	const struct soq__http_request *r, const struct soq__http_validators *v, int64_t now)
{
	bool is_read = r->method == SOQ__HTTP_GET || r->method == SOQ__HTTP_HEAD;
	int64_t date;
	int has;

	if (!may_proceed(r, v, now))
		return 412;
	has = field_has(r, SOQ__TEXT("if-none-match"), v->etag, false);
	if (has == 1)
		return is_read ? 304 : 412;
	if (has == -ENOENT && is_read &&
		field_date(r, SOQ__TEXT("if-modified-since"), now, &date) &&
		v->modified <= date)
		return 304;
	return 0;
}

/* Digits up to the end; more than a file can have count as the most. */
static int position(struct soq__text t, uint64_t *ret)
{
	int rc = soq__text_to_u64(t, ret);

	if (rc == -ERANGE)
		*ret = UINT64_MAX;
	return rc == -EINVAL ? -EINVAL : 0;
}

/* "-500": the last bytes. */
static enum soq__http_range suffix(uint64_t len, uint64_t size, uint64_t *first, uint64_t *last)
{
	if (len == 0)
		return SOQ__HTTP_UNSATISFIABLE;
	/* An empty file has no last byte to name in a Content-Range. */
	if (size == 0)
		return SOQ__HTTP_WHOLE;
	*first = len < size ? size - len : 0;
	*last = size - 1;
	return SOQ__HTTP_PART;
}

enum soq__http_range soq__http_range_parse(
	struct soq__text value, uint64_t size, uint64_t *ret_first, uint64_t *ret_last)
{
	uint64_t first, last = UINT64_MAX;
	const char *dash;
	struct soq__text low, high;

	if (!soq__text_starts_nocase(value, SOQ__TEXT("bytes=")))
		return SOQ__HTTP_WHOLE;
	value = soq__text_trim(soq__text_from(value, 6));
	dash = value.len > 0 ? memchr(value.at, '-', value.len) : NULL;
	if (!dash)
		return SOQ__HTTP_WHOLE;
	low = (struct soq__text){ value.at, (size_t)(dash - value.at) };
	high = soq__text_from(value, low.len + 1);
	if (high.len > 0 && position(high, &last) < 0)
		return SOQ__HTTP_WHOLE;
	if (low.len == 0)
		return high.len > 0 ? suffix(last, size, ret_first, ret_last) : SOQ__HTTP_WHOLE;
	if (position(low, &first) < 0 || first > last)
		return SOQ__HTTP_WHOLE;
	if (first >= size)
		return SOQ__HTTP_UNSATISFIABLE;
	*ret_first = first;
	*ret_last = last < size ? last : size - 1;
	return SOQ__HTTP_PART;
}

/* RFC 9110 section 13.1.5: by a strong tag, or by a date that equals Last-Modified and is
 * old enough for the file not to have changed twice in its second. */
static bool if_range_holds(
	const struct soq__http_request *r, const struct soq__http_validators *v, int64_t now)
{
	unsigned i = 0;
	struct soq__text value;
	int64_t date;

	if (!soq__http_field_next(r, SOQ__TEXT("if-range"), &i))
		return true;
	if (!soq__http_field_only(r, SOQ__TEXT("if-range"), &value))
		return false;
	if (soq__http_date_parse(value, now, &date) == 0)
		return date == v->modified && date < now - 1;
	return etag_equal(value, v->etag, true);
}

enum soq__http_range soq__http_range_wanted(const struct soq__http_request *r,
	const struct soq__http_validators *v, int64_t now, uint64_t size, uint64_t *ret_first,
	uint64_t *ret_last)
{
	struct soq__text range;

	if (r->method != SOQ__HTTP_GET || !soq__http_field_only(r, SOQ__TEXT("range"), &range))
		return SOQ__HTTP_WHOLE;
	if (!if_range_holds(r, v, now))
		return SOQ__HTTP_WHOLE;
	return soq__http_range_parse(range, size, ret_first, ret_last);
}
