/* http_chunked.c - the chunked coding: good bodies, and those that split parsers. */
#include "test.h"
#include "proto/http_chunked.h"

#include <string.h>

/* Decode @text in pieces of @step bytes. @return as the decoder; the body and what is left
 * behind it are written to @body and @rest */
static int decode(const char *text, size_t step, char *body, const char **rest)
{
	struct soq__http_chunked c;
	size_t len = strlen(text);
	int rc = SOQ__CHUNKED_MORE;

	soq__http_chunked_init(&c);
	*body = '\0';
	for (size_t at = 0; at < len && rc <= SOQ__CHUNKED_DATA; at += step) {
		struct soq__text in = { text + at, len - at < step ? len - at : step };
		struct soq__text data;

		while ((rc = soq__http_chunked_next(&c, &in, &data)) == SOQ__CHUNKED_DATA)
			strncat(body, data.at, data.len);
		*rest = in.at;
	}
	CHECK_EQ(c.problem != NULL, rc >= 400);
	return rc;
}

TEST(http_chunked_bodies)
{
	static const struct {
		const char *text;
		int want;
		const char *body, *rest;
	} rows[] = {
		{ "0\r\n\r\n", 2, "", "" },
		{ "5\r\nhello\r\n0\r\n\r\nGET", 2, "hello", "GET" },
		{ "1\r\na\r\n0A\r\n0123456789\r\n000\r\n\r\n", 2, "a0123456789", "" },
		{ "1;a=b;c=\"d\"\r\na\r\n0;e\r\n\r\n", 2, "a", "" },
		{ "1\r\na\r\n0\r\nA: b\r\nC:\r\n\r\nX", 2, "a", "X" },
		{ "00000001\r\na\r\n00000001\r\nb\r\n0\r\n\r\n", 2, "ab", "" },
		{ "5\r\nhel", 0, "hel", "" },
		{ "0\r\n\r", 0, "", "" },

		{ "\r\n", 400, "", NULL },
		{ ";a\r\n", 400, "", NULL },
		{ "g\r\n", 400, "", NULL },
		{ "0x5\r\nhello\r\n", 400, "", NULL },
		{ "+5\r\nhello\r\n", 400, "", NULL },
		{ "-5\r\nhello\r\n", 400, "", NULL },
		{ " 5\r\nhello\r\n", 400, "", NULL },
		{ "5 \r\nhello\r\n", 400, "", NULL },
		{ "5\nhello\r\n", 400, "", NULL },
		{ "5\rhello\r\n", 400, "", NULL },
		{ "5;a\nhello\r\n", 400, "", NULL },
		{ "5\r\nhello\n0\r\n\r\n", 400, "hello", NULL },
		{ "5\r\nhelloX\r\n", 400, "hello", NULL },
		{ "5\r\nhello\rX", 400, "hello", NULL },
		{ "0\r\n\n", 400, "", NULL },
		{ "0\r\nA b\r\n\r\n", 400, "", NULL },
		{ "0\r\nA : b\r\n\r\n", 400, "", NULL },
		{ "0\r\n: b\r\n\r\n", 400, "", NULL },
		{ "0\r\n A: b\r\n\r\n", 400, "", NULL },
		{ "0\r\nA: b\n\r\n", 400, "", NULL },
		{ "0\r\nA: \x1b\r\n\r\n", 400, "", NULL },
		{ "8000000000000000\r\n", 413, "", NULL },
		{ "10000000000000005\r\nhello\r\n", 413, "", NULL },
		{ "00000000000000000\r\n", 413, "", NULL },
	};
	const char *rest = NULL;
	char body[64];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (size_t step = 1; step <= 64; step++) {
			ROW("%s by %zu", rows[i].text, step);
			CHECK_EQ(decode(rows[i].text, step, body, &rest), rows[i].want);
			CHECK_STR(body, rows[i].body);
			if (rows[i].rest)
				CHECK_STR(rest, rows[i].rest);
		}
}

/* What surrounds the data is bounded over the whole body, not per chunk. */
TEST(http_chunked_extras_bounded)
{
	static const struct {
		const char *begin, *endless;
	} rows[] = {
		{ "", "1;x\r\na\r\n" },
		{ "5", ";x" },
		{ "0\r\n", "A: b\r\n" },
		{ "0\r\nA: ", "b" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct soq__http_chunked c;
		struct soq__text data, in = soq__text_of(rows[i].begin);
		size_t sent = 0;
		int rc;

		ROW("%s", rows[i].endless);
		soq__http_chunked_init(&c);
		rc = soq__http_chunked_next(&c, &in, &data);
		while (rc < 400 && sent < 16 * SOQ__HTTP_EXTRAS_MAX) {
			if (in.len == 0)
				in = soq__text_of(rows[i].endless);
			sent += in.len;
			rc = soq__http_chunked_next(&c, &in, &data);
		}
		CHECK_EQ(rc, 413);
	}
}
