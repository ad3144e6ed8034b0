/* http_request.c - the parser of a request's head: what it takes, what it refuses. */
#include "test.h"
#include "proto/http_request.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_MAX 16384

/* Parse a text that may hold NUL bytes. */
static int parse_bytes(struct soq__http_request *r, const char *bytes, size_t len)
{
	soq__http_request_init(r, HEAD_MAX);
	return soq__http_request_parse(r, bytes, len);
}

static int parse(struct soq__http_request *r, const char *text)
{
	return parse_bytes(r, text, strlen(text));
}

static void check_text(struct soq__text t, const char *want)
{
	CHECK_EQ(t.len, strlen(want));
	CHECK_MEM(t.at, want, t.len);
}

#define H "Host: a\r\n"

TEST(http_request_browser)
{
	static const char text[] = "GET /a/b?c=d HTTP/1.1\r\n"
				   "Host: my.server.it:8080\r\n"
				   "User-Agent:  Mozilla/5.0 \t\r\n"
				   "Accept:\r\n"
				   "\r\nGET /next";
	struct soq__http_request r;
	struct soq__text agent;

	CHECK_EQ(parse(&r, text), SOQ__HTTP_COMPLETE);
	CHECK_EQ(r.method, SOQ__HTTP_GET);
	check_text(r.line, "GET /a/b?c=d HTTP/1.1");
	check_text(r.target.path, "/a/b");
	check_text(r.target.query, "c=d");
	check_text(r.host, "my.server.it:8080");
	CHECK_EQ(r.minor, 1);
	CHECK(r.keep_alive);
	CHECK(!soq__http_request_has_body(&r));
	CHECK_EQ(r.field_count, 3);
	check_text(r.fields[2].value, "");
	CHECK(soq__http_field_only(&r, SOQ__TEXT("USER-agent"), &agent));
	check_text(agent, "Mozilla/5.0");
	CHECK_EQ(r.head_len, strlen(text) - strlen("GET /next"));
}

/* The answer to whole requests, good and bad; most bad ones come from the wild. */
TEST(http_request_outcomes)
{
	static const struct {
		const char *name;
		const char *text;
		int want;
	} rows[] = {
		{ "least 1.0", "GET / HTTP/1.0\r\n\r\n", 1 },
		{ "least 1.1", "GET / HTTP/1.1\r\n" H "\r\n", 1 },
		{ "one empty line before", "\r\nGET / HTTP/1.0\r\n\r\n", 1 },
		{ "later minor version", "GET / HTTP/1.9\r\n" H "\r\n", 1 },
		{ "method of one's own", "BREW / HTTP/1.1\r\n" H "\r\n", 1 },
		{ "empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 1 },
		{ "IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 1 },
		{ "UTF-8 in target", "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", 1 },
		{ "8-bit value", "GET / HTTP/1.1\r\n" H "A: \xff\xfe\r\n\r\n", 1 },
		{ "tab in value", "GET / HTTP/1.1\r\n" H "A: b\tc\r\n\r\n", 1 },
		{ "body", "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", 1 },
		{ "leading zeros", "POST / HTTP/1.1\r\n" H "Content-Length: 0005\r\n\r\n", 1 },
		{ "chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n", 1 },
		{ "100-continue", "PUT / HTTP/1.1\r\n" H "Expect: 100-Continue\r\n\r\n", 1 },
		{ "OPTIONS *", "OPTIONS * HTTP/1.1\r\n" H "\r\n", 1 },
		{ "absolute form", "GET http://a/b HTTP/1.1\r\n" H "\r\n", 1 },
		{ "CONNECT", "CONNECT a:80 HTTP/1.1\r\n" H "\r\n", 1 },

		{ "nothing yet", "", 0 },
		{ "no end of line", "GET / HTTP/1.1", 0 },
		{ "CR without more", "GET / HTTP/1.1\r", 0 },
		{ "no end of header", "GET / HTTP/1.1\r\n" H, 0 },
		{ "CR of the end", "GET / HTTP/1.1\r\n" H "\r", 0 },

		{ "HTTP/0.9", "GET /\r\n", 400 },
		{ "two empty lines before", "\r\n\r\nGET / HTTP/1.0\r\n\r\n", 400 },
		{ "two spaces", "GET  / HTTP/1.1\r\n" H "\r\n", 400 },
		{ "space at the end", "GET / HTTP/1.1 \r\n" H "\r\n", 400 },
		{ "tab between", "GET\t/\tHTTP/1.1\r\n" H "\r\n", 400 },
		{ "tab in target", "GET /a\tb HTTP/1.1\r\n" H "\r\n", 400 },
		{ "space in target", "GET /a b HTTP/1.1\r\n" H "\r\n", 400 },
		{ "space before method", " GET / HTTP/1.1\r\n" H "\r\n", 400 },
		{ "no method", "/ HTTP/1.1\r\n" H "\r\n", 400 },
		{ "bytes in method", "GE(T / HTTP/1.1\r\n" H "\r\n", 400 },
		{ "lower-case version", "GET / http/1.1\r\n" H "\r\n", 400 },
		{ "version of two digits", "GET / HTTP/1.10\r\n" H "\r\n", 400 },
		{ "version without minor", "GET / HTTP/1\r\n" H "\r\n", 400 },
		{ "TLS hello", "\x16\x03\x01\x02", 400 },
		{ "bare LF after line", "GET / HTTP/1.1\n" H "\r\n", 400 },
		{ "bare LF after field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400 },
		{ "bare LF at the end", "GET / HTTP/1.1\r\n" H "\n", 400 },
		{ "bare CR in line", "GET /\ra HTTP/1.1\r\n" H "\r\n", 400 },
		{ "bare CR in value", "GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n", 400 },
		{ "CR CR LF", "GET / HTTP/1.1\r\n" H "A: b\r\r\n\r\n", 400 },
		{ "DEL", "GET / HTTP/1.1\r\n" H "A: \x7f\r\n\r\n", 400 },
		{ "ESC", "GET / HTTP/1.1\r\n" H "A: \x1b[2J\r\n\r\n", 400 },
		{ "form feed before chunked",
			"GET / HTTP/1.1\r\n" H "Transfer-Encoding: \x0c"
			"chunked\r\n\r\n",
			400 },
		{ "fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", 400 },
		{ "* for GET", "GET * HTTP/1.1\r\n" H "\r\n", 400 },
		{ "path without slash", "GET a HTTP/1.1\r\n" H "\r\n", 400 },
		{ "absolute form, no host", "GET http:///a HTTP/1.1\r\n" H "\r\n", 400 },
		{ "absolute form, user", "GET http://u@a/ HTTP/1.1\r\n" H "\r\n", 400 },
		{ "absolute form, ftp", "GET ftp://a/ HTTP/1.1\r\n" H "\r\n", 400 },
		{ "authority form for GET", "GET a:80 HTTP/1.1\r\n" H "\r\n", 400 },
		{ "origin form for CONNECT", "CONNECT /a HTTP/1.1\r\n" H "\r\n", 400 },
		{ "CONNECT without port", "CONNECT a HTTP/1.1\r\n" H "\r\n", 400 },

		{ "no host", "GET / HTTP/1.1\r\n\r\n", 400 },
		{ "two hosts", "GET / HTTP/1.1\r\n" H H "\r\n", 400 },
		{ "two hosts in 1.0", "GET / HTTP/1.0\r\n" H H "\r\n", 400 },
		{ "host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400 },
		{ "host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400 },
		{ "host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400 },
		{ "host, bad port", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", 400 },
		{ "host, port too high", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400 },
		{ "host, open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400 },
		{ "host, bad escape", "GET / HTTP/1.1\r\nHost: a%2\r\n\r\n", 400 },
		{ "host after absolute form", "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n",
			400 },

		{ "obs-fold", "GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", 400 },
		{ "fold as first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400 },
		{ "space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400 },
		{ "tab before colon", "GET / HTTP/1.1\r\n" H "A\t: b\r\n\r\n", 400 },
		{ "no colon", "GET / HTTP/1.1\r\n" H "A\r\n\r\n", 400 },
		{ "no name", "GET / HTTP/1.1\r\n" H ": a\r\n\r\n", 400 },
		{ "8-bit name", "GET / HTTP/1.1\r\n" H "\xc3\xa9: a\r\n\r\n", 400 },

		{ "length with plus", "POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n",
			400 },
		{ "length with minus", "POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\n",
			400 },
		{ "length in hex", "POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n", 400 },
		{ "length with space", "POST / HTTP/1.1\r\n" H "Content-Length: 5 0\r\n\r\n",
			400 },
		{ "length list", "POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n", 400 },
		{ "length empty", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", 400 },
		{ "two lengths",
			"POST / HTTP/1.1\r\n" H
			"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
			400 },
		{ "CL.TE",
			"POST / HTTP/1.1\r\n" H
			"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
			400 },
		{ "TE.CL",
			"POST / HTTP/1.1\r\n" H
			"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
			400 },
		{ "TE.TE",
			"POST / HTTP/1.1\r\n" H
			"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n",
			400 },
		{ "TE.TE, chunked twice",
			"POST / HTTP/1.1\r\n" H
			"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
			400 },
		{ "chunked, chunked",
			"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n",
			400 },
		{ "chunked, identity",
			"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n",
			400 },
		{ "xchunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n",
			400 },
		{ "quoted chunked",
			"POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n", 400 },
		{ "empty coding", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n", 400 },
		{ "chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
			400 },

		{ "length above INT64_MAX",
			"POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n",
			413 },
		{ "length above UINT64_MAX",
			"POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551621\r\n\r\n",
			413 },
		{ "expects more", "PUT / HTTP/1.1\r\n" H "Expect: 200-ok\r\n\r\n", 417 },
		{ "expects in 1.0", "PUT / HTTP/1.0\r\nExpect: 200-ok\r\n\r\n", 1 },
		{ "gzip, chunked",
			"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n",
			501 },
		{ "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
		{ "HTTP/0.9 in words", "GET / HTTP/0.9\r\n\r\n", 505 },
	};
	struct soq__http_request r;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%s", rows[i].name);
		CHECK_EQ(parse(&r, rows[i].text), rows[i].want);
		CHECK_EQ(r.problem != NULL, rows[i].want >= 400);
	}
}

TEST(http_request_nul)
{
	static const char in_value[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
	static const char in_name[] = "GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n";
	static const char in_target[] = "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n";
	struct soq__http_request r;

	CHECK_EQ(parse_bytes(&r, in_value, sizeof in_value - 1), 400);
	CHECK_EQ(parse_bytes(&r, in_name, sizeof in_name - 1), 400);
	CHECK_EQ(parse_bytes(&r, in_target, sizeof in_target - 1), 400);
}

TEST(http_request_keep_alive)
{
	static const struct {
		const char *text;
		bool want;
	} rows[] = {
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" H "\r\n", true },
		{ "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" H "Connection: TE , Close\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" H "Connection: a\r\nConnection: close\r\n\r\n", false },
		{ "GET / HTTP/1.1\r\n" H "Connection: closed\r\n\r\n", true },
	};
	struct soq__http_request r;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%s", rows[i].text);
		CHECK_EQ(parse(&r, rows[i].text), SOQ__HTTP_COMPLETE);
		CHECK_EQ(r.keep_alive, rows[i].want);
	}
}

TEST(http_request_targets)
{
	static const struct {
		const char *line;
		enum soq__http_form form;
		const char *host, *path, *query; /* NULL: there is none */
	} rows[] = {
		{ "GET /", SOQ__HTTP_ORIGIN, "a", "/", NULL },
		{ "GET /?", SOQ__HTTP_ORIGIN, "a", "/", "" },
		{ "GET //x//?y?z", SOQ__HTTP_ORIGIN, "a", "//x//", "y?z" },
		{ "GET http://b", SOQ__HTTP_ABSOLUTE, "b", "/", NULL },
		{ "GET HTTP://b:80/c?d", SOQ__HTTP_ABSOLUTE, "b:80", "/c", "d" },
		{ "GET https://b?d", SOQ__HTTP_ABSOLUTE, "b", "/", "d" },
		{ "OPTIONS *", SOQ__HTTP_ASTERISK, "a", "", NULL },
		{ "OPTIONS http://b", SOQ__HTTP_ASTERISK, "b", "", NULL },
		{ "OPTIONS http://b/", SOQ__HTTP_ABSOLUTE, "b", "/", NULL },
		{ "CONNECT [::1]:443", SOQ__HTTP_AUTHORITY, "[::1]:443", "", NULL },
	};
	struct soq__http_request r;
	char text[256];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%s", rows[i].line);
		strcpy(stpcpy(text, rows[i].line), " HTTP/1.1\r\nHost: a\r\n\r\n");
		CHECK_EQ(parse(&r, text), SOQ__HTTP_COMPLETE);
		CHECK_EQ(r.target.form, rows[i].form);
		check_text(r.host, rows[i].host);
		check_text(r.target.path, rows[i].path);
		CHECK_EQ(r.target.query.at != NULL, rows[i].query != NULL);
		if (rows[i].query)
			check_text(r.target.query, rows[i].query);
	}
}

/* Byte by byte: the same outcome at the last byte, and "more" at every one before. */
TEST(http_request_byte_by_byte)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
		{ "\r\nGET /a?b HTTP/1.1\r\n" H "A: b\r\n\r\n", 1 },
		{ "GET / HTTP/1.1\r\nHost : ", 0 },
		{ "GET / HTTP/1.1\r\nHost: a\n", 400 },
		{ "GET / HTTP/2.0\r\n", 505 },
		{ "POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n", 400 },
	};
	struct soq__http_request r;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t len = strlen(rows[i].text);

		ROW("%s", rows[i].text);
		soq__http_request_init(&r, HEAD_MAX);
		for (size_t n = 0; n < len; n++)
			CHECK_EQ(soq__http_request_parse(&r, rows[i].text, n), SOQ__HTTP_MORE);
		CHECK_EQ(soq__http_request_parse(&r, rows[i].text, len), rows[i].want);
		CHECK_EQ(soq__http_request_parse(&r, rows[i].text, len), rows[i].want);
	}
}

/* Fill a request up to exactly @len bytes: the line's target, or one field's value. */
static char *padded(const char *before, const char *after, size_t len)
{
	char *text = malloc(len + 1);
	size_t pad = len - strlen(before) - strlen(after);

	CHECK(text != NULL);
	memset(stpcpy(text, before), 'x', pad);
	strcpy(text + strlen(before) + pad, after);
	return text;
}

TEST(http_request_limits)
{
	static const struct {
		const char *name, *before, *after;
		size_t len;
		int want;
	} rows[] = {
		{ "longest line", "GET /", " HTTP/1.0\r\n", SOQ__HTTP_LINE_MAX, 0 },
		{ "line too long", "GET /", " HTTP/1.0\r\n", SOQ__HTTP_LINE_MAX + 1, 414 },
		{ "line too long, no end", "GET /", "", SOQ__HTTP_LINE_MAX, 414 },
		{ "line as yet short enough", "GET /", "", SOQ__HTTP_LINE_MAX - 1, 0 },
		{ "longest head", "GET / HTTP/1.0\r\nA: ", "\r\n\r\n", HEAD_MAX, 1 },
		{ "head too long", "GET / HTTP/1.0\r\nA: ", "\r\n\r\n", HEAD_MAX + 1, 431 },
		{ "head too long, no end", "GET / HTTP/1.0\r\nA: ", "", HEAD_MAX, 431 },
		{ "head as yet short enough", "GET / HTTP/1.0\r\nA: ", "", HEAD_MAX - 1, 0 },
		{ "CR as the last byte", "GET / HTTP/1.0\r\nA: ", "\r\n\r", HEAD_MAX, 431 },
	};
	struct soq__http_request r;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char *text = padded(rows[i].before, rows[i].after, rows[i].len);

		ROW("%s", rows[i].name);
		CHECK_EQ(parse(&r, text), rows[i].want);
		free(text);
	}
}

TEST(http_request_field_count)
{
	char text[SOQ__HTTP_FIELDS_MAX * 8 + 64];
	struct soq__http_request r;
	char *end = stpcpy(text, "GET / HTTP/1.0\r\n");

	for (int i = 0; i < SOQ__HTTP_FIELDS_MAX; i++)
		end = stpcpy(end, "a: b\r\n");
	strcpy(end, "\r\n");
	CHECK_EQ(parse(&r, text), SOQ__HTTP_COMPLETE);
	CHECK_EQ(r.field_count, SOQ__HTTP_FIELDS_MAX);
	strcpy(end, "a: b\r\n\r\n");
	CHECK_EQ(parse(&r, text), 431);
}

TEST(http_request_field_twice)
{
	struct soq__http_request r;
	struct soq__text value;
	unsigned i = 0;

	CHECK_EQ(parse(&r, "GET / HTTP/1.1\r\n" H "A: 1\r\nB: 2\r\na: 3\r\n\r\n"), 1);
	CHECK(!soq__http_field_only(&r, SOQ__TEXT("A"), &value));
	CHECK(soq__http_field_only(&r, SOQ__TEXT("b"), &value));
	check_text(value, "2");
	check_text(soq__http_field_next(&r, SOQ__TEXT("A"), &i)->value, "1");
	check_text(soq__http_field_next(&r, SOQ__TEXT("A"), &i)->value, "3");
	CHECK(soq__http_field_next(&r, SOQ__TEXT("A"), &i) == NULL);
}

TEST(http_request_body_length)
{
	struct soq__http_request r;

	CHECK_EQ(
		parse(&r, "PUT / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n"),
		1);
	CHECK_EQ(r.content_length, INT64_MAX);
	CHECK(soq__http_request_has_body(&r));
	CHECK_EQ(parse(&r, "PUT / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), 1);
	CHECK(r.is_chunked);
	CHECK(soq__http_request_has_body(&r));
	CHECK_EQ(parse(&r, "PUT / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"), 1);
	CHECK(!soq__http_request_has_body(&r));
}
