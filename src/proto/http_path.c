/* http_path.c - a target's path as the name of a file beneath a root.
 *
 * One pass: each byte is decoded onto the end of the text; at each "/" the segment that
 * has just ended is kept or taken away. What was decoded is never looked at again, so
 * "%252e" is a file called "%2e". Overlong UTF-8 and "\" are bytes like others.
 */
#include "http_target.h"

#include <string.h>

/* Where the text's last segment begins. */
static size_t last_segment(const struct soq__http_path *p)
{
	const char *slash = memrchr(p->text, '/', p->len);

	return slash ? (size_t)(slash - p->text) + 1 : 0;
}

/* Drop the slash that stands before a segment to be taken away. */
static void cut(struct soq__http_path *p, size_t len)
{
	p->len = len > 0 ? len - 1 : 0;
}

/* The segment from @start on has ended: remove it if it is no name. */
static int end_segment(struct soq__http_path *p, size_t start)
{
	struct soq__text segment = { p->text + start, p->len - start };
	bool is_up = soq__text_equal(segment, SOQ__TEXT(".."));

	p->is_folder = is_up || segment.len == 0 || soq__text_equal(segment, SOQ__TEXT("."));
	if (p->is_folder)
		cut(p, start);
	if (!is_up)
		return 0;
	if (p->len == 0)
		return 400;
	cut(p, last_segment(p));
	return 0;
}

/* Decode the byte at @i. @return it, or the negated status to answer */
static int decode(struct soq__text path, size_t *i)
{
	int high, low;

	if (path.at[*i] == '\0')
		return -400;
	if (path.at[*i] != '%')
		return (unsigned char)path.at[(*i)++];
	if (path.len - *i < 3)
		return -400;
	high = soq__hex_digit(path.at[*i + 1]);
	low = soq__hex_digit(path.at[*i + 2]);
	if (high < 0 || low < 0 || (high == 0 && low == 0))
		return -400;
	*i += 3;
	return high * 16 + low == '/' ? -404 : high * 16 + low;
}

static int append(struct soq__http_path *p, char c)
{
	if (p->len + 1 >= sizeof p->text)
		return 414;
	p->text[p->len++] = c;
	return 0;
}

/* Decode one segment, up to a slash or the end. */
static int decode_segment(struct soq__http_path *p, struct soq__text path, size_t *i)
{
	size_t start;
	int rc = 0;

	if (p->len > 0)
		rc = append(p, '/');
	start = p->len;
	while (rc == 0 && *i < path.len && path.at[*i] != '/') {
		int c = decode(path, i);

		rc = c < 0 ? -c : append(p, (char)c);
	}
	return rc ? rc : end_segment(p, start);
}

static bool has_hidden(const struct soq__http_path *p)
{
	return p->text[0] == '.' || strstr(p->text, "/.") != NULL;
}

int soq__http_path_decode(struct soq__http_path *ret, struct soq__text path)
{
	int rc = 0;

	ret->len = 0;
	ret->is_folder = true;
	for (size_t i = 0; rc == 0 && i < path.len;) {
		i++; /* the slash that each segment begins with */
		rc = decode_segment(ret, path, &i);
	}
	if (rc)
		return rc;
	ret->text[ret->len] = '\0';
	ret->has_hidden = has_hidden(ret);
	return 0;
}
