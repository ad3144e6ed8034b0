/* escape.c - writing what others sent. */
#include "escape.h"

#include <string.h>

static bool is_unreserved(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		c == '-' || c == '.' || c == '_' || c == '~';
}

static void put_hex(struct soq__writer *w, const char *prefix, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";
	char hex[2] = { digits[c >> 4], digits[c & 15] };

	soq__put_string(w, prefix);
	soq__put(w, hex, 2);
}

/* How many bytes of @t are one UTF-8 character, or 0: neither overlong, nor a surrogate,
 * nor above U+10FFFF (RFC 3629 section 4). */
static size_t utf8_length(struct soq__text t)
{
	const unsigned char *s = (const unsigned char *)t.at;
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (n == 0 || s[0] > 0xf4 || t.len < n)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static const char *html_entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		/* The other control bytes have no place in HTML. */
		return (unsigned char)c < 0x20 || c == 0x7f ? "\xef\xbf\xbd" : NULL;
	}
}

void soq__put_html(struct soq__writer *w, struct soq__text t)
{
	while (t.len > 0) {
		const char *entity = html_entity(t.at[0]);
		size_t n = utf8_length(t);

		if (entity)
			soq__put_string(w, entity);
		else if (n > 0)
			soq__put(w, t.at, n);
		else
			soq__put_string(w, "\xef\xbf\xbd");
		t = soq__text_from(t, n > 0 ? n : 1);
	}
}

void soq__put_uri_path(struct soq__writer *w, struct soq__text t)
{
	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.at[i];

		if (is_unreserved(c) || c == '/')
			soq__put(w, &c, 1);
		else
			put_hex(w, "%", c);
	}
}

void soq__put_uri_query(struct soq__writer *w, struct soq__text t)
{
	for (size_t i = 0; i < t.len; i++) {
		unsigned char c = (unsigned char)t.at[i];

		if (is_unreserved(c) || (c != '\0' && strchr("%!$&'()*+,;=:@/?", c)))
			soq__put(w, &c, 1);
		else
			put_hex(w, "%", c);
	}
}

void soq__put_log(struct soq__writer *w, struct soq__text t, size_t max)
{
	for (size_t i = 0; i < t.len && i < max; i++) {
		unsigned char c = (unsigned char)t.at[i];

		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
			soq__put(w, &c, 1);
		else
			put_hex(w, "\\x", c);
	}
	if (t.len > max)
		soq__put_string(w, "...");
}
