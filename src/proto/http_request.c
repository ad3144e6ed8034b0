/* http_request.c - reading a request's head, line by line.
 *
 * A line is taken apart once its CRLF has come; until then its bytes are only checked for
 * what no line may hold. What a request means is decided at the empty line that ends it.
 */
#include "http_request.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *name;
	enum soq__http_method method;
} methods[] = {
	{ "GET", SOQ__HTTP_GET },
	{ "HEAD", SOQ__HTTP_HEAD },
	{ "OPTIONS", SOQ__HTTP_OPTIONS },
	{ "POST", SOQ__HTTP_POST },
	{ "PUT", SOQ__HTTP_PUT },
	{ "PATCH", SOQ__HTTP_PATCH },
	{ "DELETE", SOQ__HTTP_DELETE },
	{ "CONNECT", SOQ__HTTP_CONNECT },
	{ "TRACE", SOQ__HTTP_TRACE },
};

void soq__http_request_init(struct soq__http_request *r, size_t head_max)
{
	memset(r, 0, offsetof(struct soq__http_request, fields));
	memset(&r->field_count, 0, sizeof *r - offsetof(struct soq__http_request, field_count));
	r->head_max = head_max;
}

static int refuse(struct soq__http_request *r, int status, const char *problem)
{
	r->problem = problem;
	return status;
}

/* The request's line. */

static enum soq__http_method method_of(struct soq__text t)
{
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (soq__text_equal(t, soq__text_of(methods[i].name)))
			return methods[i].method;
	return SOQ__HTTP_OTHER;
}

/* Cut @t at its first space. @return false when it has none */
static bool cut_at_space(struct soq__text *t, struct soq__text *ret_before)
{
	const char *space = memchr(t->at, ' ', t->len);

	if (!space)
		return false;
	*ret_before = (struct soq__text){ t->at, (size_t)(space - t->at) };
	*t = soq__text_from(*t, ret_before->len + 1);
	return true;
}

/* HTTP-version, case-sensitive: "HTTP/" DIGIT "." DIGIT (RFC 9112 section 2.3). */
static int parse_version(struct soq__http_request *r, struct soq__text t)
{
	if (t.len != 8 || memcmp(t.at, "HTTP/", 5) != 0 || t.at[5] < '0' || t.at[5] > '9' ||
		t.at[6] != '.' || t.at[7] < '0' || t.at[7] > '9')
		return refuse(r, 400, "the request's line does not end in an HTTP version");
	if (t.at[5] != '1')
		return refuse(r, 505, "this server speaks HTTP/1.0 and HTTP/1.1");
	r->minor = t.at[7] == '0' ? 0 : 1;
	return SOQ__HTTP_MORE;
}

static int parse_request_line(struct soq__http_request *r, struct soq__text line)
{
	struct soq__text rest = line;
	int rc;

	r->line = line;
	if (!cut_at_space(&rest, &r->method_text) || !soq__is_token(r->method_text))
		return refuse(r, 400, "the request's line does not begin with a method");
	if (!cut_at_space(&rest, &r->target_text) || r->target_text.len == 0 ||
		memchr(line.at, '\t', line.len))
		return refuse(r, 400, "the request's line is not METHOD TARGET VERSION");
	rc = parse_version(r, rest);
	if (rc != SOQ__HTTP_MORE)
		return rc;
	r->method = method_of(r->method_text);
	r->problem = soq__http_target_parse(&r->target, r->target_text,
		r->method == SOQ__HTTP_CONNECT, r->method == SOQ__HTTP_OPTIONS);
	return r->problem ? 400 : SOQ__HTTP_MORE;
}

/* The fields that say where a request ends, and what becomes of the connection. */

static int take_host(struct soq__http_request *r, struct soq__text value)
{
	if (++r->host_count > 1)
		return refuse(r, 400, "Host is there more than once");
	if (!soq__http_host_is_valid(value))
		return refuse(r, 400, "the Host field is not a host");
	r->host = value;
	return SOQ__HTTP_MORE;
}

static int take_content_length(struct soq__http_request *r, struct soq__text value)
{
	int rc = soq__text_to_u64(value, &r->content_length);

	/* Even two that agree: RFC 9112 section 6.3 allows to reject them. */
	if (++r->length_count > 1)
		return refuse(r, 400, "Content-Length is there more than once");
	if (rc == -EINVAL)
		return refuse(r, 400, "Content-Length is not a number");
	if (rc == -ERANGE || r->content_length > INT64_MAX)
		return refuse(r, 413, "the request's body is too long");
	return SOQ__HTTP_MORE;
}

/* RFC 9112 section 6.1. Over all lines of the field, chunked must come once, and last. */
static int take_transfer_encoding(struct soq__http_request *r, struct soq__text value)
{
	struct soq__text item;

	while (soq__text_next_item(&value, &item)) {
		r->coding_count++;
		if (item.len == 0)
			return refuse(r, 400, "Transfer-Encoding has an empty item");
		if (r->is_chunked)
			return refuse(r, 400, "Transfer-Encoding goes on after chunked");
		if (soq__text_equal_nocase(item, SOQ__TEXT("chunked")))
			r->is_chunked = true;
		else
			r->has_unknown_coding = true;
	}
	return SOQ__HTTP_MORE;
}

static int take_connection(struct soq__http_request *r, struct soq__text value)
{
	struct soq__text item;

	while (soq__text_next_item(&value, &item)) {
		r->says_close |= soq__text_equal_nocase(item, SOQ__TEXT("close"));
		r->says_keep_alive |= soq__text_equal_nocase(item, SOQ__TEXT("keep-alive"));
	}
	return SOQ__HTTP_MORE;
}

static int take_expect(struct soq__http_request *r, struct soq__text value)
{
	/* RFC 9110 section 10.1.1: from an HTTP/1.0 client, ignored. */
	if (r->minor == 0)
		return SOQ__HTTP_MORE;
	if (!soq__text_equal_nocase(value, SOQ__TEXT("100-continue")))
		return refuse(r, 417, "the only expectation that can be met is 100-continue");
	r->expects_continue = true;
	return SOQ__HTTP_MORE;
}

static const struct {
	struct soq__text name;
	int (*take)(struct soq__http_request *r, struct soq__text value);
} known_fields[] = {
	{ { "host", 4 }, take_host },
	{ { "content-length", 14 }, take_content_length },
	{ { "transfer-encoding", 17 }, take_transfer_encoding },
	{ { "connection", 10 }, take_connection },
	{ { "expect", 6 }, take_expect },
};

static int parse_field(struct soq__http_request *r, struct soq__text line)
{
	const char *colon = memchr(line.at, ':', line.len);
	struct soq__http_field f;

	if (line.at[0] == ' ' || line.at[0] == '\t')
		return refuse(r, 400, "a field is continued on a second line");
	if (!colon)
		return refuse(r, 400, "a line of the header has no colon");
	f.name = (struct soq__text){ line.at, (size_t)(colon - line.at) };
	f.value = soq__text_trim(soq__text_from(line, f.name.len + 1));
	if (!soq__is_token(f.name))
		return refuse(r, 400, "a field's name has a byte that no name may have");
	if (r->field_count == SOQ__HTTP_FIELDS_MAX)
		return refuse(r, 431, "the header has too many fields");
	r->fields[r->field_count++] = f;
	for (size_t i = 0; i < sizeof known_fields / sizeof known_fields[0]; i++)
		if (soq__text_equal_nocase(f.name, known_fields[i].name))
			return known_fields[i].take(r, f.value);
	return SOQ__HTTP_MORE;
}

/* The whole header is there: does it make one request? */

static int check_framing(struct soq__http_request *r)
{
	if (r->coding_count == 0)
		return SOQ__HTTP_COMPLETE;
	if (r->length_count > 0)
		return refuse(r, 400, "Transfer-Encoding and Content-Length contradict");
	if (r->minor == 0)
		return refuse(r, 400, "HTTP/1.0 has no Transfer-Encoding");
	if (!r->is_chunked)
		return refuse(r, 400, "the last Transfer-Encoding is not chunked");
	if (r->has_unknown_coding)
		return refuse(r, 501, "the only Transfer-Encoding understood is chunked");
	return SOQ__HTTP_COMPLETE;
}

static int end_header(struct soq__http_request *r)
{
	if (r->minor >= 1 && r->host_count == 0)
		return refuse(r, 400, "the Host field is missing");
	if (r->target.authority.at)
		r->host = r->target.authority;
	r->keep_alive = !r->says_close && (r->minor >= 1 || r->says_keep_alive);
	r->head_len = r->scan;
	return check_framing(r);
}

static int end_line(struct soq__http_request *r, struct soq__text line)
{
	if (r->line.at)
		return line.len > 0 ? parse_field(r, line) : end_header(r);
	if (line.len > 0)
		return parse_request_line(r, line);
	/* RFC 9112 section 2.2: one empty line before a request is forgiven. */
	if (r->has_skipped)
		return refuse(r, 400, "the request begins with empty lines");
	r->has_skipped = true;
	return SOQ__HTTP_MORE;
}

/* Where the line being received must have ended, CRLF included. */
static size_t line_limit(const struct soq__http_request *r)
{
	size_t limit = r->line_start + SOQ__HTTP_LINE_MAX;

	return r->line.at || limit > r->head_max ? r->head_max : limit;
}

/* What a line may hold: all but control characters, of which it may hold the tab. */
static bool is_line_byte(char c)
{
	return (unsigned char)c >= 0x20 ? c != 0x7f : c == '\t';
}

/* Find the end of the line that begins at line_start; scan stops at its CR. @return
 * SOQ__HTTP_COMPLETE, SOQ__HTTP_MORE or a status */
static int find_line(struct soq__http_request *r, const char *buf, size_t len)
{
	size_t limit = line_limit(r);
	size_t stop = len < limit ? len : limit;

	while (r->scan < stop && is_line_byte(buf[r->scan]))
		r->scan++;
	if (r->scan < stop && buf[r->scan] != '\r')
		return refuse(r, 400,
			buf[r->scan] == '\n' ? "a line ends in LF alone, not in CRLF"
					     : "a line has a control character");
	if (r->scan + 1 < stop)
		return buf[r->scan + 1] == '\n'
			? SOQ__HTTP_COMPLETE
			: refuse(r, 400, "a line has a CR that no LF follows");
	if (stop < limit)
		return SOQ__HTTP_MORE;
	return r->line.at ? refuse(r, 431, "the header is too long")
			  : refuse(r, 414, "the request's line is too long");
}

int soq__http_request_parse(struct soq__http_request *r, const char *buf, size_t len)
{
	while (r->outcome == SOQ__HTTP_MORE) {
		struct soq__text line = { buf + r->line_start, 0 };
		int rc = find_line(r, buf, len);

		if (rc == SOQ__HTTP_MORE)
			break;
		line.len = r->scan - r->line_start;
		r->scan += 2;
		r->line_start = r->scan;
		r->outcome = rc == SOQ__HTTP_COMPLETE ? end_line(r, line) : rc;
	}
	return r->outcome;
}

bool soq__http_request_has_body(const struct soq__http_request *r)
{
	return r->is_chunked || r->content_length > 0;
}

const struct soq__http_field *soq__http_field_next(
	const struct soq__http_request *r, struct soq__text name, unsigned *index)
{
	while (*index < r->field_count) {
		const struct soq__http_field *f = &r->fields[(*index)++];

		if (soq__text_equal_nocase(f->name, name))
			return f;
	}
	return NULL;
}

bool soq__http_field_only(
	const struct soq__http_request *r, struct soq__text name, struct soq__text *ret)
{
	unsigned i = 0;
	const struct soq__http_field *f = soq__http_field_next(r, name, &i);

	if (!f || soq__http_field_next(r, name, &i))
		return false;
	*ret = f->value;
	return true;
}
