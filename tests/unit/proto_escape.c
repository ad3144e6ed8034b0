/* proto_escape.c - writing what others sent; comparing; media types. */
#include "test.h"
#include "proto/escape.h"
#include "proto/http_status.h"
#include "proto/media_type.h"

#include <errno.h>
#include <string.h>

/* NUL-terminate what was written, in a buffer large enough. */
static const char *finish(struct soq__writer *w)
{
	soq__put(w, "", 1);
	CHECK(!w->failed);
	return w->at;
}

TEST(escape_table)
{
	static const struct {
		const char *text, *html, *path, *log;
	} rows[] = {
		{ "a.b-c_d~", "a.b-c_d~", "a.b-c_d~", "a.b-c_d~" },
		{ "a/b", "a/b", "a/b", "a/b" },
		{ "<script>", "&lt;script&gt;", "%3Cscript%3E", "<script>" },
		{ "\"&'", "&quot;&amp;&#39;", "%22%26%27", "\\x22&'" },
		{ "a\r\nb",
			"a\xef\xbf\xbd\xef\xbf\xbd"
			"b",
			"a%0D%0Ab", "a\\x0D\\x0Ab" },
		{ "\x1b[2J", "\xef\xbf\xbd[2J", "%1B%5B2J", "\\x1B[2J" },
		{ "\xc3\xa9", "\xc3\xa9", "%C3%A9", "\\xC3\\xA9" },
		{ "\xff<", "\xef\xbf\xbd&lt;", "%FF%3C", "\\xFF<" },
		{ "\xc3<", "\xef\xbf\xbd&lt;", "%C3%3C", "\\xC3<" },
		{ "\xc0\xbc", "\xef\xbf\xbd\xef\xbf\xbd", "%C0%BC", "\\xC0\\xBC" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "%ED%A0%80",
			"\\xED\\xA0\\x80" },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "%F0%9F%98%80",
			"\\xF0\\x9F\\x98\\x80" },
		{ "a?b#c%d\\", "a?b#c%d\\", "a%3Fb%23c%25d%5C", "a?b#c%d\\x5C" },
	};
	char buf[256];
	struct soq__writer w;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct soq__text t = soq__text_of(rows[i].text);

		ROW("%s", rows[i].text);
		soq__writer_init(&w, buf, sizeof buf, sizeof buf);
		soq__put_html(&w, t);
		CHECK_STR(finish(&w), rows[i].html);
		soq__writer_init(&w, buf, sizeof buf, sizeof buf);
		soq__put_uri_path(&w, t);
		CHECK_STR(finish(&w), rows[i].path);
		soq__writer_init(&w, buf, sizeof buf, sizeof buf);
		soq__put_log(&w, t, 100);
		CHECK_STR(finish(&w), rows[i].log);
	}
}

TEST(escape_query)
{
	char buf[64];
	struct soq__writer w;

	soq__writer_init(&w, buf, sizeof buf, sizeof buf);
	soq__put_uri_query(&w, soq__text_of("a=b&c=%20/?<\"\xc3"));
	CHECK_STR(finish(&w), "a=b&c=%20/?%3C%22%C3");
}

TEST(escape_log_long)
{
	char buf[64];
	struct soq__writer w;

	soq__writer_init(&w, buf, sizeof buf, sizeof buf);
	soq__put_log(&w, soq__text_of("abcdef"), 3);
	CHECK_STR(finish(&w), "abc...");
}

/* From the caller's buffer to the heap, and not beyond the most. */
TEST(writer_grows_and_fails)
{
	char buf[4];
	struct soq__writer w;

	soq__writer_init(&w, buf, sizeof buf, 2000);
	soq__put_string(&w, "abcd");
	CHECK(!w.is_heap);
	for (int i = 0; i < 499; i++)
		soq__put_string(&w, "abcd");
	CHECK(w.is_heap);
	CHECK(!w.failed);
	CHECK_EQ(w.len, 2000);
	CHECK_MEM(w.at, "abcdabcd", 8);
	CHECK_MEM(w.at + 1996, "abcd", 4);
	soq__put_string(&w, "e");
	CHECK(w.failed);
	CHECK_EQ(w.len, 2000);
	soq__writer_done(&w);
}

TEST(writer_numbers)
{
	char buf[64];
	struct soq__writer w;

	soq__writer_init(&w, buf, sizeof buf, sizeof buf);
	soq__put_u64(&w, 0);
	soq__put_string(&w, " ");
	soq__put_u64(&w, UINT64_MAX);
	CHECK_STR(finish(&w), "0 18446744073709551615");
}

TEST(text_to_u64)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t want;
	} rows[] = {
		{ "0", 0, 0 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "00000000000000000000001", 0, 1 },
		{ "18446744073709551616", -ERANGE, 7 },
		{ "99999999999999999999999", -ERANGE, 7 },
		{ "18446744073709551616x", -EINVAL, 7 },
		{ "", -EINVAL, 7 },
		{ " 1", -EINVAL, 7 },
		{ "-1", -EINVAL, 7 },
		{ "+1", -EINVAL, 7 },
		{ "0x1", -EINVAL, 7 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t got = 7;

		ROW("%s", rows[i].text);
		CHECK_EQ(soq__text_to_u64(soq__text_of(rows[i].text), &got), rows[i].rc);
		CHECK_EQ(got, rows[i].want);
	}
}

TEST(text_list)
{
	struct soq__text item, list = SOQ__TEXT(" a ,,\tb");

	CHECK(soq__text_next_item(&list, &item));
	CHECK(soq__text_equal(item, SOQ__TEXT("a")));
	CHECK(soq__text_next_item(&list, &item));
	CHECK_EQ(item.len, 0);
	CHECK(soq__text_next_item(&list, &item));
	CHECK(soq__text_equal(item, SOQ__TEXT("b")));
	CHECK(!soq__text_next_item(&list, &item));
}

TEST(media_type_table)
{
	static const struct {
		const char *name, *want;
	} rows[] = {
		{ "index.html", "text/html; charset=utf-8" },
		{ "INDEX.HTM", "text/html; charset=utf-8" },
		{ "a.tar.gz", "application/gzip" },
		{ "a.7z", "application/x-7z-compressed" },
		{ "a.zst", "application/zstd" },
		{ "a.svg", "image/svg+xml" },
		{ "README", "text/plain; charset=utf-8" },
		{ "README.md", "text/markdown; charset=utf-8" },
		{ "a", "application/octet-stream" },
		{ "a.", "application/octet-stream" },
		{ "a.unheard-of", "application/octet-stream" },
		{ "a.aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "application/octet-stream" },
		{ "", "application/octet-stream" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%s", rows[i].name);
		CHECK_STR(soq__media_type(soq__text_of(rows[i].name)), rows[i].want);
	}
}

/* bsearch(3) finds a row only when the table is sorted: try every extension of it. */
TEST(media_type_sorted)
{
	static const char *const known[] = { "7z", "aac", "bz2", "c", "cc", "css", "deb",
		"docx", "flac", "gif", "go", "gz", "h", "heic", "htm", "html", "ico", "jpeg",
		"jpg", "js", "json", "jsonld", "m3u8", "m4a", "map", "md", "mjs", "mkv", "mp3",
		"mp4", "odt", "ogg", "opus", "otf", "pdf", "png", "ps", "py", "rs", "rst", "sh",
		"svg", "tar", "tgz", "toml", "ts", "ttf", "txt", "wasm", "wav", "weba", "webm",
		"webmanifest", "webp", "woff", "woff2", "xml", "xz", "yml", "zip", "zst" };

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		char name[32] = "x.";

		ROW("%s", known[i]);
		strcat(name, known[i]);
		CHECK(strcmp(soq__media_type(soq__text_of(name)), "application/octet-stream"));
	}
}

TEST(http_reason)
{
	CHECK_STR(soq__http_reason(404), "Not Found");
	CHECK_STR(soq__http_reason(299), "Unknown");
}
