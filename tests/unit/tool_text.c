/* tool_text.c - the words of the tool's command line. */
#include "../../tool/text.c"
#include "test.h"

TEST(tool_duration_values)
{
	static const struct {
		const char *text;
		int64_t ns; /* -1: not a duration */
	} rows[] = {
		{ "5", INT64_C(5000000000) },
		{ "5s", INT64_C(5000000000) },
		{ "500ms", 500000000 },
		{ "2m", INT64_C(120000000000) },
		{ "1h", INT64_C(3600000000000) },
		{ "7us", 7000 },
		{ "0", 0 },
		{ "0.5", 500000000 },
		{ "1.25ms", 1250000 },
		{ "1.0000000001", 1000000000 }, /* a part of a nanosecond is none */
		{ "9223372036", INT64_C(9223372036000000000) },
		{ "9223372037", -1 },
		{ "99999999999999999999", -1 },
		{ "2562048h", -1 },
		{ "", -1 },
		{ "s", -1 },
		{ "-1", -1 },
		{ "+1", -1 },
		{ " 1", -1 },
		{ "1 s", -1 },
		{ "1.", -1 },
		{ ".5", -1 },
		{ "1.5.5", -1 },
		{ "5x", -1 },
		{ "5S", -1 },
		{ "5sec", -1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t ns = -1;

		ROW("'%s'", rows[i].text);
		CHECK_EQ(tool_duration(rows[i].text, &ns), rows[i].ns >= 0);
		CHECK_EQ(ns, rows[i].ns);
	}
}

TEST(tool_duration_reads_what_it_writes)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{ INT64_C(5000000000), "5s" },
		{ INT64_C(120000000000), "2m" },
		{ 1500000000, "1500ms" },
		{ 7000, "7us" },
		{ INT64_C(7200000000000), "2h" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[32];
		int64_t ns;

		ROW("%s", rows[i].text);
		tool_duration_format(text, sizeof(text), rows[i].ns);
		CHECK_STR(text, rows[i].text);
		CHECK(tool_duration(text, &ns));
		CHECK_EQ(ns, rows[i].ns);
	}
}

TEST(tool_number_bounds)
{
	static const struct {
		const char *text;
		uint64_t low, high;
		bool good;
	} rows[] = {
		{ "1", 1, 10, true },
		{ "10", 1, 10, true },
		{ "0", 1, 10, false },
		{ "11", 1, 10, false },
		{ "18446744073709551615", 0, UINT64_MAX, true },
		{ "18446744073709551616", 0, UINT64_MAX, false },
		{ "", 0, 10, false },
		{ "-1", 0, 10, false },
		{ "1x", 0, 10, false },
		{ "0x1", 0, 10, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t n = 77;

		ROW("'%s' in %llu..%llu", rows[i].text, (unsigned long long)rows[i].low,
			(unsigned long long)rows[i].high);
		CHECK_EQ(
			tool_number(rows[i].text, rows[i].low, rows[i].high, &n), rows[i].good);
		CHECK_EQ(n == 77, !rows[i].good);
	}
}

TEST(tool_bytes_suffixes)
{
	static const struct {
		const char *text;
		size_t bytes; /* 0: not a size */
	} rows[] = {
		{ "1", 1 },
		{ "16k", 16384 },
		{ "2M", 2097152 },
		{ "1G", 1073741824 },
		{ "0", 0 },
		{ "k", 0 },
		{ "1kk", 0 },
		{ "1K", 0 },
		{ "1T", 0 },
		{ "17179869184G", 0 },
		{ "00000000000000000000000000000000000000000000000001", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t bytes = 0;

		ROW("'%s'", rows[i].text);
		CHECK_EQ(tool_bytes(rows[i].text, &bytes), rows[i].bytes > 0);
		CHECK_EQ(bytes, rows[i].bytes);
	}
}

TEST(tool_mode_octal)
{
	static const struct {
		const char *text;
		unsigned mode; /* 0: not a mode */
	} rows[] = {
		{ "660", 0660 },
		{ "0777", 0777 },
		{ "1", 01 },
		{ "0", 0 },
		{ "", 0 },
		{ "888", 0 },
		{ "1777", 0 },
		{ "00660", 0 },
		{ "u=rw", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned mode = 0;

		ROW("'%s'", rows[i].text);
		CHECK_EQ(tool_mode(rows[i].text, &mode), rows[i].mode > 0);
		CHECK_EQ(mode, rows[i].mode);
	}
}

TEST(tool_distance_typos)
{
	static const struct {
		const char *a, *b;
		unsigned distance;
	} rows[] = {
		{ "timeout", "timeout", 0 },
		{ "tiemout", "timeout", 1 },
		{ "timout", "timeout", 1 },
		{ "timeoutt", "timeout", 1 },
		{ "timeaut", "timeout", 1 },
		{ "", "keep", 4 },
		{ "crlf", "exec", 4 },
		{ "a-word-that-is-far-too-long-to-be-an-option", "a", 31 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%s, %s", rows[i].a, rows[i].b);
		CHECK_EQ(tool_distance(rows[i].a, rows[i].b), rows[i].distance);
		CHECK_EQ(tool_distance(rows[i].b, rows[i].a), rows[i].distance);
	}
}

TEST(tool_percent_values)
{
	static const struct {
		const char *text;
		int64_t ppm; /* -1: not a percentage */
	} rows[] = {
		{ "0", 0 },
		{ "5", 50000 },
		{ "5%", 50000 },
		{ "0.1", 1000 },
		{ "0.0001%", 1 },
		{ "33.33333", 333333 },
		{ "100", 1000000 },
		{ "100.0", 1000000 },
		{ "100.0001", -1 },
		{ "101", -1 },
		{ "99999999999999999999", -1 },
		{ "11111111111111111111111111111111111", -1 },
		{ "", -1 },
		{ "%", -1 },
		{ "-1", -1 },
		{ ".5", -1 },
		{ "5.", -1 },
		{ "5.%", -1 },
		{ "5%%", -1 },
		{ "5 %", -1 },
		{ "five", -1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint32_t ppm = 77;

		ROW("'%s'", rows[i].text);
		CHECK_EQ(tool_percent(rows[i].text, &ppm), rows[i].ppm >= 0);
		CHECK_EQ(ppm, rows[i].ppm >= 0 ? rows[i].ppm : 77);
	}
}
