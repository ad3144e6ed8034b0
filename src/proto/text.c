/* text.c - comparing and splitting runs of bytes. Without locale: ASCII decides. */
#include "text.h"

#include <errno.h>
#include <string.h>

struct soq__text soq__text_of(const char *string)
{
	return (struct soq__text){ string, strlen(string) };
}

bool soq__text_equal(struct soq__text a, struct soq__text b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static unsigned char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : (unsigned char)c;
}

bool soq__text_starts_nocase(struct soq__text t, struct soq__text prefix)
{
	if (t.len < prefix.len)
		return false;
	for (size_t i = 0; i < prefix.len; i++)
		if (lower(t.at[i]) != lower(prefix.at[i]))
			return false;
	return true;
}

bool soq__text_equal_nocase(struct soq__text a, struct soq__text b)
{
	return a.len == b.len && soq__text_starts_nocase(a, b);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct soq__text soq__text_trim(struct soq__text t)
{
	while (t.len > 0 && is_blank(t.at[0])) {
		t.at++;
		t.len--;
	}
	while (t.len > 0 && is_blank(t.at[t.len - 1]))
		t.len--;
	return t;
}

struct soq__text soq__text_from(struct soq__text t, size_t skip)
{
	return (struct soq__text){ t.at + skip, t.len - skip };
}

bool soq__text_next_item(struct soq__text *rest, struct soq__text *ret)
{
	const char *comma;

	if (!rest->at)
		return false;
	comma = rest->len > 0 ? memchr(rest->at, ',', rest->len) : NULL;
	if (!comma) {
		*ret = soq__text_trim(*rest);
		*rest = (struct soq__text){ NULL, 0 };
		return true;
	}
	*ret = soq__text_trim((struct soq__text){ rest->at, (size_t)(comma - rest->at) });
	*rest = soq__text_from(*rest, (size_t)(comma - rest->at) + 1);
	return true;
}

int soq__text_to_u64(struct soq__text t, uint64_t *ret)
{
	uint64_t value = 0;
	bool is_over = false;

	if (t.len == 0)
		return -EINVAL;
	for (size_t i = 0; i < t.len; i++) {
		if (t.at[i] < '0' || t.at[i] > '9')
			return -EINVAL;
		is_over |= __builtin_mul_overflow(value, 10, &value);
		is_over |= __builtin_add_overflow(value, (uint64_t)(t.at[i] - '0'), &value);
	}
	if (is_over)
		return -ERANGE;
	*ret = value;
	return 0;
}

int soq__hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (lower(c) >= 'a' && lower(c) <= 'f')
		return lower(c) - 'a' + 10;
	return -1;
}

static bool is_token_byte(char c)
{
	if ((c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool soq__is_token(struct soq__text t)
{
	for (size_t i = 0; i < t.len; i++)
		if (!is_token_byte(t.at[i]))
			return false;
	return t.len > 0;
}
