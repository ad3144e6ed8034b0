/* http_path.c - a target's path becomes a name beneath the root, or is refused. */
#include "test.h"
#include "proto/http_target.h"

#include <string.h>

TEST(http_path_decode)
{
	static const struct {
		const char *path;
		int want;
		const char *text;
		bool is_folder, has_hidden;
	} rows[] = {
		{ "/", 0, "", true, false },
		{ "", 0, "", true, false },
		{ "/a", 0, "a", false, false },
		{ "/a/", 0, "a", true, false },
		{ "/a/b", 0, "a/b", false, false },
		{ "//a///b//", 0, "a/b", true, false },
		{ "//evil.example/..", 0, "", true, false },
		{ "/a%20b%25", 0, "a b%", false, false },
		{ "/%C3%A9", 0, "\xc3\xa9", false, false },
		{ "/a%0d%0ab", 0, "a\r\nb", false, false },
		{ "/a\\..\\b", 0, "a\\..\\b", false, false },
		{ "/..\\..", 0, "..\\..", false, true },
		{ "/%c0%ae%c0%ae", 0, "\xc0\xae\xc0\xae", false, false },
		{ "/%252e%252e%252f", 0, "%2e%2e%2f", false, false },
		{ "/.", 0, "", true, false },
		{ "/./a", 0, "a", false, false },
		{ "/a/.", 0, "a", true, false },
		{ "/a/..", 0, "", true, false },
		{ "/a/../b", 0, "b", false, false },
		{ "/a/b/../../c", 0, "c", false, false },
		{ "/a/b/..", 0, "a", true, false },
		{ "/a/%2e%2E/b", 0, "b", false, false },
		{ "/.git/config", 0, ".git/config", false, true },
		{ "/a/.b", 0, "a/.b", false, true },
		{ "/a/b.c", 0, "a/b.c", false, false },
		{ "/...", 0, "...", false, true },

		{ "/..", 400, NULL, false, false },
		{ "/../a", 400, NULL, false, false },
		{ "/a/../..", 400, NULL, false, false },
		{ "/a/../../a/../b", 400, NULL, false, false },
		{ "/%2e%2e/etc/passwd", 400, NULL, false, false },
		{ "/.%2e/etc/passwd", 400, NULL, false, false },
		{ "//../a", 400, NULL, false, false },
		{ "/a%00.html", 400, NULL, false, false },
		{ "/a%", 400, NULL, false, false },
		{ "/a%2", 400, NULL, false, false },
		{ "/a%g0", 400, NULL, false, false },
		{ "/%2e%2e%2fetc", 404, NULL, false, false },
		{ "/a%2Fb", 404, NULL, false, false },
	};
	struct soq__http_path p;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%s", rows[i].path);
		CHECK_EQ(soq__http_path_decode(&p, soq__text_of(rows[i].path)), rows[i].want);
		if (rows[i].want)
			continue;
		CHECK_STR(p.text, rows[i].text);
		CHECK_EQ(p.len, strlen(rows[i].text));
		CHECK_EQ(p.is_folder, rows[i].is_folder);
		CHECK_EQ(p.has_hidden, rows[i].has_hidden);
	}
}

TEST(http_path_length)
{
	char text[SOQ__HTTP_PATH_MAX + 1];
	struct soq__http_path p;

	memset(text, 'x', sizeof text);
	text[0] = '/';
	CHECK_EQ(soq__http_path_decode(&p, (struct soq__text){ text, SOQ__HTTP_PATH_MAX }), 0);
	CHECK_EQ(p.len, SOQ__HTTP_PATH_MAX - 1);
	CHECK_EQ(soq__http_path_decode(&p, (struct soq__text){ text, sizeof text }), 414);
}
