/* http_date.c - dates: the calendar against gmtime(3), HTTP's three forms. */
#include "test.h"
#include "proto/civil.h"
#include "proto/http_date.h"

#include <errno.h>
#include <time.h>

static const int64_t now = INT64_C(1732294800); /* 2024-11-22 */

TEST(civil_round_trip)
{
	/* A step of an odd number of seconds, from before 1900 to beyond 2400. */
	for (int64_t t = -INT64_C(2300000000); t < INT64_C(14000000000); t += 12345677) {
		struct soq__civil c = soq__civil_from_unix(t);
		time_t libc = (time_t)t;
		struct tm tm;
		int64_t back;

		ROW("%lld", (long long)t);
		CHECK(gmtime_r(&libc, &tm) != NULL);
		CHECK_EQ(c.year, tm.tm_year + 1900);
		CHECK_EQ(c.month, tm.tm_mon + 1);
		CHECK_EQ(c.day, tm.tm_mday);
		CHECK_EQ(c.weekday, tm.tm_wday);
		CHECK_EQ(c.hour * 3600 + c.minute * 60 + c.second,
			tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec);
		CHECK_OK(soq__civil_to_unix(&c, &back));
		CHECK_EQ(back, t);
	}
}

TEST(http_date_format)
{
	static const struct {
		int64_t seconds;
		const char *want;
	} rows[] = {
		{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
		{ 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
		{ 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
		{ -1, "Wed, 31 Dec 1969 23:59:59 GMT" },
		{ INT64_C(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char buf[64];
		struct soq__writer w;

		ROW("%s", rows[i].want);
		soq__writer_init(&w, buf, sizeof buf, sizeof buf);
		soq__put_http_date(&w, rows[i].seconds);
		soq__put(&w, "", 1);
		CHECK_STR(buf, rows[i].want);
	}
}

TEST(http_date_parse)
{
	static const struct {
		const char *text;
		int64_t want; /* 0: not a date */
	} rows[] = {
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
		{ "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
		{ "Sun Nov  6 08:49:37 1994", 784111777 },
		{ "Sun Nov 16 08:49:37 1994", 784111777 + 10 * 86400 },
		{ "Tuesday, 01-Jan-74 00:00:00 GMT", INT64_C(3281990400) },
		{ "Tuesday, 01-Jan-75 00:00:00 GMT", INT64_C(157766400) },
		{ "Thu, 29 Feb 2024 00:00:00 GMT", INT64_C(1709164800) },

		{ "", 0 },
		{ "0", 0 },
		{ "Sun, 06 Nov 1994 08:49:37 UTC", 0 },
		{ "Sun, 06 Nov 1994 08:49:37", 0 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT ", 0 },
		{ "sun, 06 nov 1994 08:49:37 GMT", 0 },
		{ "Sun, 6 Nov 1994 08:49:37 GMT", 0 },
		{ "Sun, 06 Nov 94 08:49:37 GMT", 0 },
		{ "Sun, 31 Nov 1994 08:49:37 GMT", 0 },
		{ "Thu, 29 Feb 2023 00:00:00 GMT", 0 },
		{ "Sun, 06 Nov 1994 24:49:37 GMT", 0 },
		{ "Sun, 06 Nov 1994 08:60:37 GMT", 0 },
		{ "Sun, 00 Nov 1994 08:49:37 GMT", 0 },
		{ "Sun, -6 Nov 1994 08:49:37 GMT", 0 },
		{ "Sux, 06 Nov 1994 08:49:37 GMT", 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int64_t got = 0;
		int rc = soq__http_date_parse(soq__text_of(rows[i].text), now, &got);

		ROW("%s", rows[i].text);
		CHECK_EQ(rc, rows[i].want ? 0 : -EINVAL);
		CHECK_EQ(got, rows[i].want);
	}
}
