/* endpoint.c - endpoints as text: every kind, every mistake, and back to text. */
#include "test.h"
#include <soquete/endpoint.h>
#include <soquete/error.h>
#include <soquete/runtime.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A16  "aaaaaaaaaaaaaaaa"
#define A64  A16 A16 A16 A16
#define A255 A64 A64 A64 A16 A16 A16 "aaaaaaaaaaaaaaa"
#define P107 "/" A64 A16 A16 "aaaaaaaaaa"

void test_teardown(void)
{
	soq_thread_end();
}

struct good {
	const char *text;
	enum soq_scheme scheme;
	const char *host, *zone, *service;
	unsigned port;
	const char *formatted; /* NULL: as text */
};

static void check_same(const struct soq_endpoint *a, const struct soq_endpoint *b)
{
	CHECK_EQ(a->scheme, b->scheme);
	CHECK_STR(a->host, b->host);
	CHECK_STR(a->zone, b->zone);
	CHECK_STR(a->service, b->service);
	CHECK_EQ(a->port, b->port);
	CHECK_EQ(a->path_len, b->path_len);
	CHECK_MEM(a->path, b->path, sizeof a->path);
	CHECK_EQ(a->fd, b->fd);
}

/* Its text, which is also what parses back alike. */
static void check_round_trip(const struct soq_endpoint *e, const char *want)
{
	char text[SOQ_ENDPOINT_TEXT_MAX], brief[8];
	struct soq_endpoint again;
	int n = soq_endpoint_format(text, sizeof text, e);

	CHECK_STR(text, want);
	CHECK_EQ(n, strlen(want));
	CHECK_OK(soq_endpoint_parse(&again, text));
	check_same(e, &again);
	CHECK_EQ(soq_endpoint_format(brief, sizeof brief, e), n);
	CHECK_EQ(strlen(brief), n < 7 ? n : 7);
}

TEST(endpoint_parse_internet)
{
	static const struct good rows[] = {
		{ "tcp://localhost:80", SOQ_SCHEME_TCP, "localhost", "", "", 80, NULL },
		{ "localhost:80", SOQ_SCHEME_TCP, "localhost", "", "", 80,
			"tcp://localhost:80" },
		{ "my.host.it:1234", SOQ_SCHEME_TCP, "my.host.it", "", "", 1234,
			"tcp://my.host.it:1234" },
		{ "tcp://:8080", SOQ_SCHEME_TCP, "", "", "", 8080, NULL },
		{ ":8080", SOQ_SCHEME_TCP, "", "", "", 8080, "tcp://:8080" },
		{ "tcp://h:0", SOQ_SCHEME_TCP, "h", "", "", 0, NULL },
		{ "tcp://h:65535", SOQ_SCHEME_TCP, "h", "", "", 65535, NULL },
		{ "tcp://h:00080", SOQ_SCHEME_TCP, "h", "", "", 80, "tcp://h:80" },
		{ "udp://192.0.2.7:53", SOQ_SCHEME_UDP, "192.0.2.7", "", "", 53, NULL },
		{ "tls://h:https", SOQ_SCHEME_TLS, "h", "", "", 443, "tls://h:443" },
		{ "tcp://h:http", SOQ_SCHEME_TCP, "h", "", "", 80, "tcp://h:80" },
		{ "tcp://h:x-my_svc.1+", SOQ_SCHEME_TCP, "h", "", "x-my_svc.1+", 0, NULL },
		{ "tcp://h:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", SOQ_SCHEME_TCP, "h", "",
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0, NULL },
		{ "tcp://[::1]:80", SOQ_SCHEME_TCP, "::1", "", "", 80, NULL },
		{ "[2001:db8::1]:80", SOQ_SCHEME_TCP, "2001:db8::1", "", "", 80,
			"tcp://[2001:db8::1]:80" },
		{ "tcp://[::ffff:192.0.2.7]:80", SOQ_SCHEME_TCP, "::ffff:192.0.2.7", "", "", 80,
			NULL },
		{ "tcp://[fe80::1%eth0]:80", SOQ_SCHEME_TCP, "fe80::1", "eth0", "", 80, NULL },
		{ "udp://[FE80::A%2]:ntp", SOQ_SCHEME_UDP, "FE80::A", "2", "", 123,
			"udp://[FE80::A%2]:123" },
		{ "tcp://" A255 ":1", SOQ_SCHEME_TCP, A255, "", "", 1, NULL },
		{ "tcp://b\xc3\xbc"
		  "cher.example:1",
			SOQ_SCHEME_TCP,
			"b\xc3\xbc"
			"cher.example",
			"", "", 1, NULL },
	};
	struct soq_endpoint e;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%s", rows[i].text);
		CHECK_OK(soq_endpoint_parse(&e, rows[i].text));
		CHECK_EQ(e.scheme, rows[i].scheme);
		CHECK_STR(e.host, rows[i].host);
		CHECK_STR(e.zone, rows[i].zone);
		CHECK_STR(e.service, rows[i].service);
		CHECK_EQ(e.port, rows[i].port);
		CHECK_EQ(e.fd, -1);
		CHECK_EQ(e.path_len, 0);
		check_round_trip(&e, rows[i].formatted ? rows[i].formatted : rows[i].text);
	}
}

TEST(endpoint_parse_unix)
{
	static const struct {
		const char *text;
		enum soq_scheme scheme;
		const char *path; /* of an abstract name, from behind its NUL */
		bool is_abstract;
	} rows[] = {
		{ "unix:///run/x", SOQ_SCHEME_UNIX, "/run/x", false },
		{ "unix://here", SOQ_SCHEME_UNIX, "here", false },
		{ "unix://./@x", SOQ_SCHEME_UNIX, "./@x", false },
		{ "unix:///with space:80", SOQ_SCHEME_UNIX, "/with space:80", false },
		{ "unix://@name", SOQ_SCHEME_UNIX, "name", true },
		{ "unix://@/x", SOQ_SCHEME_UNIX, "/x", true },
		{ "unixgram:///run/x", SOQ_SCHEME_UNIXGRAM, "/run/x", false },
		{ "unixgram://@@", SOQ_SCHEME_UNIXGRAM, "@", true },
		{ "unix://" P107, SOQ_SCHEME_UNIX, P107, false },
	};
	struct soq_endpoint e;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%s", rows[i].text);
		CHECK_OK(soq_endpoint_parse(&e, rows[i].text));
		CHECK_EQ(e.scheme, rows[i].scheme);
		CHECK_EQ(e.path[0] == '\0', rows[i].is_abstract);
		CHECK_STR(e.path + rows[i].is_abstract, rows[i].path);
		CHECK_EQ(e.path_len, strlen(rows[i].path) + rows[i].is_abstract);
		CHECK_EQ(e.fd, -1);
		check_round_trip(&e, rows[i].text);
	}
}

TEST(endpoint_parse_fd)
{
	struct soq_endpoint e;

	CHECK_OK(soq_endpoint_parse(&e, "fd://0"));
	CHECK_EQ(e.scheme, SOQ_SCHEME_FD);
	CHECK_EQ(e.fd, 0);
	check_round_trip(&e, "fd://0");
	CHECK_OK(soq_endpoint_parse(&e, "fd://1073741824"));
	CHECK_EQ(e.fd, 1073741824);
	check_round_trip(&e, "fd://1073741824");
}

/* Each mistake: its code, and a word of the sentence that names what is wrong. */
TEST(endpoint_parse_bad)
{
	static const struct {
		const char *text, *word;
	} rows[] = {
		{ "", "empty" },
		{ "localhost", "port is missing" },
		{ "tcp://", "port is missing" },
		{ "tcp://h", "port is missing" },
		{ "tcp://h:", "port is missing" },
		{ "tcp://[::1]:", "port is missing" },
		{ "tcp://[::1]", ":port must follow" },
		{ "tcp://[::1]80", ":port must follow" },
		{ "tcp://[::1", "] after the IPv6 address" },
		{ "tcp://h:65536", "65535" },
		{ "tcp://h:99999999999999999999999999", "65535" },
		{ "tcp://h:80 ", "port must be" },
		{ "tcp://h:80/", "port must be" },
		{ "tcp://h:ht/tp", "port must be" },
		{ "tcp://h:-1", "port must be" },
		{ "tcp://h:+80", "port must be" },
		{ "tcp://h:.", "port must be" },
		{ "tcp://h:8_0", "port must be" },
		{ "tcp://h:-http", "port must be" },
		{ "h:-1", "port must be" },
		{ "h:+80", "port must be" },
		{ "h:.", "port must be" },
		{ "tcp://h:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "31 characters" },
		{ "tcp://::1:80", "brackets" },
		{ "::1", "brackets" },
		{ "tcp://[localhost]:80", "IPv6" },
		{ "tcp://[127.0.0.1]:80", "IPv6" },
		{ "tcp://[]:80", "IPv6" },
		{ "[:]:1", "IPv6" },
		{ "[1:2:3:4:5:6:7:8:9]:1", "IPv6" },
		{ "[::12345]:1", "IPv6" },
		{ "[1::2::3]:1", "IPv6" },
		{ "[:::%1]:1", "IPv6" },
		{ "tcp://[::1%]:80", "zone" },
		{ "tcp://[fe80::1%a b]:80", "zone" },
		{ "tcp://[fe80::1%aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]:80", "zone" },
		{ "tcp://a b:80", "character" },
		{ "tcp://user@h:80", "character" },
		{ "tcp://h\n:80", "character" },
		{ "tcp://a/b:80", "character" },
		{ "tcp://" A255 "a:1", "255" },
		{ "http://h:80", "scheme" },
		{ "TCP://h:80", "scheme" },
		{ "://h:80", "scheme" },
		{ "unix://", "path must follow" },
		{ "unix://@", "abstract name" },
		{ "unix://" P107 "p", "107" },
		{ "fd://", "number" },
		{ "fd://-1", "number" },
		{ "fd://3x", "number" },
		{ "fd://4294967299", "number" },
	};
	struct soq_endpoint e, before;

	memset(&before, 0x5a, sizeof before);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%s", rows[i].text);
		e = before;
		CHECK_ERR(soq_endpoint_parse(&e, rows[i].text), -SOQ_EENDPOINT);
		CHECK_MEM(&e, &before, sizeof e);
		if (!strstr(soq_last_error(), rows[i].word))
			CHECK_STR(soq_last_error(), rows[i].word);
		CHECK(strstr(soq_last_error(), rows[i].text) || strlen(rows[i].text) > 200);
	}
	CHECK_ERR(soq_endpoint_parse(&e, NULL), -SOQ_EENDPOINT);
}

TEST(endpoint_standard_ports)
{
	CHECK_EQ(soq_standard_port("echo"), 7);
	CHECK_EQ(soq_standard_port("http"), 80);
	CHECK_EQ(soq_standard_port("nntp"), 119);
	CHECK_EQ(soq_standard_port("HTTP"), 0);
	CHECK_EQ(soq_standard_port(""), 0);
	CHECK_EQ(soq_standard_port("httpx"), 0);
}
