/* http_condition.c - conditional requests and ranges. */
#include "test.h"
#include "proto/http_condition.h"

#include <string.h>

static const int64_t now = INT64_C(1732294800);
static const int64_t modified = INT64_C(784111777);

#define SAME   "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER  "Sun, 06 Nov 1994 08:49:38 GMT"

static void parse(struct soq__http_request *r, const char *method, const char *fields)
{
	static char text[1024];
	char *end = stpcpy(stpcpy(text, method), " / HTTP/1.0\r\n");

	strcpy(stpcpy(end, fields), "\r\n");
	soq__http_request_init(r, sizeof text);
	CHECK_EQ(soq__http_request_parse(r, text, strlen(text)), SOQ__HTTP_COMPLETE);
}

TEST(http_condition_precedence)
{
	static const struct {
		const char *method, *fields;
		int want;
	} rows[] = {
		{ "GET", "", 0 },
		{ "GET", "If-None-Match: \"a\"\r\n", 304 },
		{ "HEAD", "If-None-Match: \"a\"\r\n", 304 },
		{ "PUT", "If-None-Match: \"a\"\r\n", 412 },
		{ "GET", "If-None-Match: W/\"a\"\r\n", 304 },
		{ "GET", "If-None-Match: *\r\n", 304 },
		{ "GET", "If-None-Match: \"b\"\r\n", 0 },
		{ "GET", "If-None-Match: \"b\", \"a\"\r\n", 304 },
		{ "GET", "If-None-Match: \"b,\" , ,W/\"a\"\r\n", 304 },
		{ "GET", "If-None-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", 304 },
		{ "GET", "If-None-Match: a\r\n", 0 },
		{ "GET", "If-None-Match: \"a\r\n", 0 },
		{ "GET", "If-None-Match: \"\r\n", 0 },
		{ "GET", "If-None-Match: W/\r\n", 0 },
		{ "GET", "If-None-Match:\r\n", 0 },
		{ "GET", "If-Modified-Since: " SAME "\r\n", 304 },
		{ "GET", "If-Modified-Since: " AFTER "\r\n", 304 },
		{ "GET", "If-Modified-Since: " BEFORE "\r\n", 0 },
		{ "PUT", "If-Modified-Since: " SAME "\r\n", 0 },
		{ "GET", "If-Modified-Since: yesterday\r\n", 0 },
		{ "GET", "If-Modified-Since: " SAME "\r\nIf-Modified-Since: " SAME "\r\n", 0 },
		{ "GET", "If-None-Match: \"b\"\r\nIf-Modified-Since: " SAME "\r\n", 0 },
		{ "GET", "If-Match: \"a\"\r\n", 0 },
		{ "GET", "If-Match: *\r\n", 0 },
		{ "GET", "If-Match: W/\"a\"\r\n", 412 },
		{ "GET", "If-Match: \"b\"\r\n", 412 },
		{ "GET", "If-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", 412 },
		{ "GET", "If-Unmodified-Since: " SAME "\r\n", 0 },
		{ "GET", "If-Unmodified-Since: " BEFORE "\r\n", 412 },
		{ "GET", "If-Match: \"a\"\r\nIf-Unmodified-Since: " BEFORE "\r\n", 0 },
	};
	const struct soq__http_validators v = { SOQ__TEXT("\"a\""), modified };
	struct soq__http_request r;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%s %s", rows[i].method, rows[i].fields);
		parse(&r, rows[i].method, rows[i].fields);
		CHECK_EQ(soq__http_precondition(&r, &v, now), rows[i].want);
	}
}

TEST(http_range_parse)
{
	static const struct {
		const char *text;
		uint64_t size;
		enum soq__http_range want;
		uint64_t first, last;
	} rows[] = {
		{ "bytes=0-0", 10, SOQ__HTTP_PART, 0, 0 },
		{ "bytes=2-5", 10, SOQ__HTTP_PART, 2, 5 },
		{ "Bytes= 2-5", 10, SOQ__HTTP_PART, 2, 5 },
		{ "bytes=2-", 10, SOQ__HTTP_PART, 2, 9 },
		{ "bytes=0-", 10, SOQ__HTTP_PART, 0, 9 },
		{ "bytes=9-99", 10, SOQ__HTTP_PART, 9, 9 },
		{ "bytes=9-99999999999999999999", 10, SOQ__HTTP_PART, 9, 9 },
		{ "bytes=-3", 10, SOQ__HTTP_PART, 7, 9 },
		{ "bytes=-10", 10, SOQ__HTTP_PART, 0, 9 },
		{ "bytes=-99", 10, SOQ__HTTP_PART, 0, 9 },
		{ "bytes=-99999999999999999999", 10, SOQ__HTTP_PART, 0, 9 },

		{ "bytes=10-", 10, SOQ__HTTP_UNSATISFIABLE, 0, 0 },
		{ "bytes=10-20", 10, SOQ__HTTP_UNSATISFIABLE, 0, 0 },
		{ "bytes=99999999999999999999-", 10, SOQ__HTTP_UNSATISFIABLE, 0, 0 },
		{ "bytes=-0", 10, SOQ__HTTP_UNSATISFIABLE, 0, 0 },
		{ "bytes=0-", 0, SOQ__HTTP_UNSATISFIABLE, 0, 0 },

		{ "bytes=-1", 0, SOQ__HTTP_WHOLE, 0, 0 },
		{ "bytes=5-2", 10, SOQ__HTTP_WHOLE, 0, 0 },
		{ "bytes=0-1,3-4", 10, SOQ__HTTP_WHOLE, 0, 0 },
		{ "bytes=-", 10, SOQ__HTTP_WHOLE, 0, 0 },
		{ "bytes=", 10, SOQ__HTTP_WHOLE, 0, 0 },
		{ "bytes", 10, SOQ__HTTP_WHOLE, 0, 0 },
		{ "bytes=a-b", 10, SOQ__HTTP_WHOLE, 0, 0 },
		{ "bytes=+1-2", 10, SOQ__HTTP_WHOLE, 0, 0 },
		{ "bytes=--1", 10, SOQ__HTTP_WHOLE, 0, 0 },
		{ "bytes=1 -2", 10, SOQ__HTTP_WHOLE, 0, 0 },
		{ "lines=1-2", 10, SOQ__HTTP_WHOLE, 0, 0 },
		{ "", 10, SOQ__HTTP_WHOLE, 0, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t first = 0, last = 0;

		ROW("%s", rows[i].text);
		CHECK_EQ(soq__http_range_parse(
				 soq__text_of(rows[i].text), rows[i].size, &first, &last),
			rows[i].want);
		CHECK_EQ(first, rows[i].first);
		CHECK_EQ(last, rows[i].last);
	}
}

TEST(http_range_if_range)
{
	static const struct {
		const char *method, *fields;
		bool is_weak;
		enum soq__http_range want;
	} rows[] = {
		{ "GET", "", false, SOQ__HTTP_PART },
		{ "HEAD", "", false, SOQ__HTTP_WHOLE },
		{ "GET", "Range: bytes=1-2\r\n", false, SOQ__HTTP_WHOLE },
		{ "GET", "If-Range: \"a\"\r\n", false, SOQ__HTTP_PART },
		{ "GET", "If-Range: \"b\"\r\n", false, SOQ__HTTP_WHOLE },
		{ "GET", "If-Range: W/\"a\"\r\n", true, SOQ__HTTP_WHOLE },
		{ "GET", "If-Range: \"a\"\r\n", true, SOQ__HTTP_WHOLE },
		{ "GET", "If-Range: " SAME "\r\n", false, SOQ__HTTP_PART },
		{ "GET", "If-Range: " AFTER "\r\n", false, SOQ__HTTP_WHOLE },
		{ "GET", "If-Range: \"a\"\r\nIf-Range: \"a\"\r\n", false, SOQ__HTTP_WHOLE },
	};
	struct soq__http_request r;
	uint64_t first, last;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct soq__http_validators v = { SOQ__TEXT("\"a\""), modified };
		char fields[256];

		if (rows[i].is_weak)
			v.etag = SOQ__TEXT("W/\"a\"");
		ROW("%s %s", rows[i].method, rows[i].fields);
		strcpy(stpcpy(fields, "Range: bytes=0-4\r\n"), rows[i].fields);
		parse(&r, rows[i].method, fields);
		CHECK_EQ(soq__http_range_wanted(&r, &v, now, 10, &first, &last), rows[i].want);
	}
}
