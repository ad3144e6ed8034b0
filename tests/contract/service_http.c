/* service_http.c - a folder over HTTP: what a browser asks, and what an attacker tries. */
#include "contract/service.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE_BYTES ((size_t)3 << 20)

struct site {
	struct service service;
	struct soq_service_context context;
	char root[256];
};

struct reply {
	int status;
	char *text; /* the head, NUL-terminated */
	char *body;
	size_t len; /* of the body */
};

static void in_root(char *ret, size_t len, const struct site *site, const char *name)
{
	CHECK(snprintf(ret, len, "%s/%s", site->root, name) < (int)len);
}

/* A file of a time long past, so that its tag is strong. */
static void make_file(const struct site *site, const char *name, const void *bytes, size_t len)
{
	static const struct timespec then[2] = { { 784111777, 0 }, { 784111777, 0 } };
	char path[512];
	int fd;

	in_root(path, sizeof path, site, name);
	fd = CHECK_OK(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
	CHECK_EQ(write(fd, bytes, len), len);
	CHECK_OK(futimens(fd, then));
	close(fd);
}

static void make_text(const struct site *site, const char *name, const char *text)
{
	make_file(site, name, text, strlen(text));
}

static void make_folder(const struct site *site, const char *name)
{
	char path[512];

	in_root(path, sizeof path, site, name);
	CHECK_OK(mkdir(path, 0755));
}

static void make_link(const struct site *site, const char *name, const char *target)
{
	char path[512];

	in_root(path, sizeof path, site, name);
	CHECK_OK(symlink(target, path));
}

static void make_root(struct site *site)
{
	snprintf(site->root, sizeof site->root, "%s/root", test_dir());
	CHECK_OK(mkdir(site->root, 0755));
	make_text(site, "a.txt", "hello\n");
	make_text(site, "empty", "");
	make_text(site, "<b>\"'&.txt", "odd");
	make_text(site, "a b%c#d?.txt", "odder");
	make_text(site, ".hidden", "no");
	make_folder(site, "folder");
	make_text(site, "folder/index.html", "<h1>index</h1>");
	make_folder(site, "list");
	make_text(site, "list/b10", "1");
	make_text(site, "list/b2", "4444");
	make_text(site, "list/.c", "");
	make_folder(site, "list/z");
	make_link(site, "list/in", "../a.txt");
	make_link(site, "list/out", "../../secret");
	make_link(site, "out", "/etc/passwd");
	make_link(site, "up", "..");
	make_link(site, "self", "self");
	make_link(site, "there", "list");
}

static void start(
	struct site *site, enum soq_shape shape, const struct soq_http_options *options)
{
	struct soq_http_options opt = options ? *options : (struct soq_http_options){ 0 };

	make_root(site);
	opt.root = site->root;
	CHECK_OK(soq_http_new(&site->context.http, &opt));
	service_start(
		&site->service, shape, "tcp://127.0.0.1:0", soq_http_handler, &site->context);
}

static void stop(struct site *site)
{
	service_stop(&site->service);
	soq_http_free(site->context.http);
}

static void send_bytes(struct soq_stream *client, const char *bytes, size_t len)
{
	CHECK_EQ(soq_send(client, bytes, len), len);
}

static void send_string(struct soq_stream *client, const char *text)
{
	send_bytes(client, text, strlen(text));
}

/* The head of one answer, up to its empty line and not further. */
static void receive_head(struct soq_stream *client, struct reply *r)
{
	size_t len = 0, max = 65536;

	r->text = malloc(max);
	CHECK(r->text != NULL);
	do {
		CHECK(len + 1 < max);
		CHECK_EQ(soq_recv(client, r->text + len, 1), 1);
		r->text[++len] = '\0';
	} while (len < 4 || strcmp(r->text + len - 4, "\r\n\r\n") != 0);
	CHECK_EQ(sscanf(r->text, "HTTP/1.1 %d ", &r->status), 1);
	r->body = NULL;
	r->len = 0;
}

static bool has(const struct reply *r, const char *field)
{
	return strcasestr(r->text, field) != NULL;
}

/* One answer: its head, and as much body as that promises. */
static struct reply receive(struct soq_stream *client, bool is_head)
{
	struct reply r;
	const char *length;

	receive_head(client, &r);
	length = strcasestr(r.text, "\r\nContent-Length: ");
	if (is_head || !length)
		return r;
	r.len = strtoul(length + 18, NULL, 10);
	r.body = calloc(1, r.len + 1);
	CHECK(r.body != NULL);
	if (r.len > 0)
		CHECK_EQ(soq_recv_full(client, r.body, r.len), r.len);
	return r;
}

static void done(struct reply *r)
{
	free(r->text);
	free(r->body);
}

static void check_end(struct soq_stream *client)
{
	char byte;

	CHECK_EQ(soq_recv(client, &byte, 1), 0);
	soq_close(client);
}

/* One request on a connection of its own, with further fields; the server closes. */
static struct reply ask(
	const struct site *site, const char *method, const char *target, const char *fields)
{
	struct soq_stream *client = service_connect(&site->service);
	char text[2048];
	struct reply r;

	snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n",
		method, target, fields);
	send_string(client, text);
	r = receive(client, strcmp(method, "HEAD") == 0);
	check_end(client);
	return r;
}

CONTRACT_SHAPES(service_http_targets)
{
	static const struct {
		const char *target;
		int want;
		const char *has; /* in the body, or NULL */
	} rows[] = {
		{ "/a.txt", 200, "hello\n" },
		{ "/a.txt?x=1", 200, "hello\n" },
		{ "//a.txt", 200, "hello\n" },
		{ "/./folder/../a.txt", 200, "hello\n" },
		{ "http://a/a.txt", 200, "hello\n" },
		{ "/empty", 200, "" },
		{ "/folder/", 200, "<h1>index</h1>" },
		{ "/folder/.", 200, "<h1>index</h1>" },
		{ "/%3Cb%3E%22'&.txt", 200, "odd" },
		{ "/a%20b%25c%23d%3F.txt", 200, "odder" },
		{ "/", 200, "href=\"%3Cb%3E%22%27%26.txt\"" },
		{ "/list/", 200, "href=\"b10\"" },
		{ "/folder", 301, NULL },
		{ "/nothing", 404, "There is nothing by this name here." },
		{ "/a.txt/", 404, NULL },
		{ "/a.txt/b", 404, NULL },
		{ "/.hidden", 404, NULL },
		{ "/list/.c", 404, NULL },
		{ "/out", 404, NULL },
		{ "/up/", 404, NULL },
		{ "/up/root/a.txt", 404, NULL },
		{ "/self", 404, NULL },
		{ "/list/out", 404, NULL },
		{ "/..", 400, NULL },
		{ "/%2e%2e/%2e%2e/etc/passwd", 400, NULL },
		{ "/..%2f..%2fetc%2fpasswd", 404, NULL },
		{ "/..%5c..%5cetc", 404, NULL },
		{ "/%c0%ae%c0%ae/etc", 404, NULL },
		{ "/%252e%252e%252fetc", 404, NULL },
		{ "//etc/passwd", 404, NULL },
		{ "/a.txt%00.html", 400, NULL },
		{ "/%", 400, NULL },
	};
	struct site site = { 0 };

	start(&site, service_shape(), NULL);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct reply r = ask(&site, "GET", rows[i].target, "");

		ROW("%s", rows[i].target);
		CHECK_EQ(r.status, rows[i].want);
		CHECK(!rows[i].has || strstr(r.body, rows[i].has));
		CHECK(has(&r, "\r\nConnection: close\r\n"));
		CHECK(has(&r, "\r\nX-Content-Type-Options: nosniff\r\n"));
		done(&r);
	}
	stop(&site);
}

/* Links that lead inside are followed, where the kernel sees to it that they do. */
CONTRACT(service_http_links)
{
	static const struct {
		const char *target, *body;
	} rows[] = {
		{ "/list/in", "hello\n" },
		{ "/there/b2", "4444" },
	};
	struct site site = { 0 };

	start(&site, SOQ_SHAPE_FIBER, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct reply r = ask(&site, "GET", rows[i].target, "");

		ROW("%s", rows[i].target);
		CHECK_EQ(r.status, kernel_has_openat2() ? 200 : 404);
		CHECK(r.status == 404 || strcmp(r.body, rows[i].body) == 0);
		done(&r);
	}
	stop(&site);
}

CONTRACT(service_http_methods)
{
	static const struct {
		const char *method, *target;
		int want;
		const char *field;
	} rows[] = {
		{ "HEAD", "/a.txt", 200, "\r\nContent-Length: 6\r\n" },
		{ "HEAD", "/list/", 200, "\r\nContent-Type: text/html; charset=utf-8\r\n" },
		{ "HEAD", "/nothing", 404, "\r\nContent-Length: " },
		{ "OPTIONS", "/a.txt", 204, "\r\nAllow: GET, HEAD, OPTIONS\r\n" },
		{ "OPTIONS", "*", 204, "\r\nAllow: GET, HEAD, OPTIONS\r\n" },
		{ "POST", "/a.txt", 405, "\r\nAllow: GET, HEAD, OPTIONS\r\n" },
		{ "DELETE", "/a.txt", 405, "\r\nAllow: GET, HEAD, OPTIONS\r\n" },
		{ "TRACE", "/", 405, "\r\nAllow: GET, HEAD, OPTIONS\r\n" },
		{ "CONNECT", "a:80", 405, "\r\nAllow: GET, HEAD, OPTIONS\r\n" },
		{ "BREW", "/", 501, "" },
		{ "get", "/", 501, "" },
	};
	struct site site = { 0 };

	start(&site, SOQ_SHAPE_FIBER, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct reply r = ask(&site, rows[i].method, rows[i].target, "");

		ROW("%s %s", rows[i].method, rows[i].target);
		CHECK_EQ(r.status, rows[i].want);
		CHECK(has(&r, rows[i].field));
		CHECK(has(&r, "\r\nDate: "));
		done(&r);
	}
	stop(&site);
}

#define SAME "Sun, 06 Nov 1994 08:49:37 GMT"

CONTRACT(service_http_conditions)
{
	static const struct {
		const char *fields;
		int want;
		const char *body, *field;
	} rows[] = {
		{ "", 200, "hello\n", "Last-Modified: " SAME "\r\n" },
		{ "If-Modified-Since: " SAME "\r\n", 304, NULL, "ETag: \"2ebc98a1.0-6\"\r\n" },
		{ "If-None-Match: \"2ebc98a1.0-6\"\r\n", 304, NULL, "Last-Modified: " SAME },
		{ "If-None-Match: \"x\"\r\n", 200, "hello\n", "" },
		{ "If-Match: \"x\"\r\n", 412, NULL, "" },
		{ "Range: bytes=1-3\r\n", 206, "ell", "\r\nContent-Range: bytes 1-3/6\r\n" },
		{ "Range: bytes=4-\r\n", 206, "o\n", "\r\nContent-Range: bytes 4-5/6\r\n" },
		{ "Range: bytes=0-\r\n", 206, "hello\n", "\r\nContent-Range: bytes 0-5/6\r\n" },
		{ "Range: bytes=-2\r\n", 206, "o\n", "\r\nContent-Range: bytes 4-5/6\r\n" },
		{ "Range: bytes=6-\r\n", 416, NULL, "\r\nContent-Range: bytes */6\r\n" },
		{ "Range: bytes=0-1,3-4\r\n", 200, "hello\n", "" },
		{ "Range: bytes=1-3\r\nIf-Range: \"2ebc98a1.0-6\"\r\n", 206, "ell", "" },
		{ "Range: bytes=1-3\r\nIf-Range: \"x\"\r\n", 200, "hello\n", "" },
	};
	struct site site = { 0 };

	start(&site, SOQ_SHAPE_FIBER, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct reply r = ask(&site, "GET", "/a.txt", rows[i].fields);

		ROW("%s", rows[i].fields);
		CHECK_EQ(r.status, rows[i].want);
		CHECK(has(&r, rows[i].field));
		if (rows[i].body)
			CHECK_STR(r.body, rows[i].body);
		done(&r);
	}
	stop(&site);
}

/* More than a socket's buffers, whole and in part, by sendfile. */
CONTRACT_SHAPES(service_http_large_file)
{
	unsigned char *bytes = malloc(LARGE_BYTES);
	struct site site = { 0 };
	struct reply r;

	CHECK(bytes != NULL);
	for (size_t i = 0; i < LARGE_BYTES; i++)
		bytes[i] = (unsigned char)(i * 37 + i / 8192);
	start(&site, service_shape(), NULL);
	make_file(&site, "large.bin", bytes, LARGE_BYTES);
	r = ask(&site, "GET", "/large.bin", "");
	CHECK_EQ(r.status, 200);
	CHECK_EQ(r.len, LARGE_BYTES);
	CHECK_MEM(r.body, bytes, LARGE_BYTES);
	done(&r);
	r = ask(&site, "GET", "/large.bin", "Range: bytes=1000000-2999999\r\n");
	CHECK_EQ(r.status, 206);
	CHECK_EQ(r.len, 2000000);
	CHECK_MEM(r.body, bytes + 1000000, 2000000);
	done(&r);
	stop(&site);
	free(bytes);
}

/* One connection: requests one after the other, some with bodies that nobody wants, then
 * all at once, then byte by byte. Answers come in order. */
CONTRACT_SHAPES(service_http_keep_alive)
{
	static const char *const requests[] = {
		"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
		"GET /empty HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
		"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
		"\r\nGET /nothing HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
	};
	static const int want[] = { 200, 405, 200, 405, 404 };
	struct site site = { 0 };
	struct soq_stream *client;
	char all[2048] = "";
	struct reply r;

	start(&site, service_shape(), NULL);
	client = service_connect(&site.service);
	for (size_t i = 0; i < 5; i++) {
		ROW("one after the other: %zu", i);
		send_string(client, requests[i]);
		r = receive(client, false);
		CHECK_EQ(r.status, want[i]);
		CHECK_EQ(has(&r, "\r\nConnection: keep-alive\r\n"), i == 4);
		done(&r);
		strcat(all, requests[i]);
	}
	send_string(client, all);
	for (size_t i = 0; i < 5; i++) {
		ROW("pipelined: %zu", i);
		r = receive(client, false);
		CHECK_EQ(r.status, want[i]);
		done(&r);
	}
	for (const char *p = all; *p; p++)
		send_bytes(client, p, 1);
	for (size_t i = 0; i < 5; i++) {
		ROW("byte by byte: %zu", i);
		r = receive(client, false);
		CHECK_EQ(r.status, want[i]);
		done(&r);
	}
	soq_close(client);
	stop(&site);
}

/* Requests that end the connection, whatever follows them. */
CONTRACT(service_http_refused)
{
	static const struct {
		const char *name, *text;
		int want;
	} rows[] = {
		{ "bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400 },
		{ "no host", "GET / HTTP/1.1\r\n\r\n", 400 },
		{ "obs-fold", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400 },
		{ "CL.TE",
			"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n"
			"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
			400 },
		{ "bad chunk",
			"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
			"chunked\r\n\r\n0x1\r\n",
			400 },
		{ "bare LF in a chunk",
			"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\n",
			400 },
		{ "length beyond reason",
			"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: "
			"99999999999999999999\r\n\r\n",
			413 },
		{ "gzip",
			"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
			501 },
		{ "expectation", "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417 },
		{ "HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
		{ "TLS", "\x16\x03\x01\x02", 400 },
		/* Understood, but their bodies are not waited for. */
		{ "Expect: 100-continue",
			"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
			"Content-Length: 5\r\n\r\n",
			405 },
		{ "body too long to skip",
			"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nxxxx",
			405 },
	};
	struct site site = { 0 };

	start(&site, SOQ_SHAPE_FIBER, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct soq_stream *client = service_connect(&site.service);
		struct reply r;

		ROW("%s", rows[i].name);
		send_string(client, rows[i].text);
		send_string(client, "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
		r = receive(client, false);
		CHECK_EQ(r.status, rows[i].want);
		CHECK(has(&r, "\r\nConnection: close\r\n"));
		check_end(client);
		done(&r);
	}
	stop(&site);
}

/* A chunked body is skipped so far and not further; then the connection closes. */
CONTRACT(service_http_endless_body)
{
	char chunk[4096 + 9] = "1000\r\n";
	struct site site = { 0 };
	struct soq_stream *client;
	struct reply r;

	memset(chunk + 6, 'x', 4096);
	strcpy(chunk + 6 + 4096, "\r\n");
	start(&site, SOQ_SHAPE_FIBER, NULL);
	client = service_connect(&site.service);
	send_string(client, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 32; i++)
		send_string(client, chunk);
	r = receive(client, false);
	CHECK_EQ(r.status, 405);
	CHECK(has(&r, "\r\nConnection: close\r\n"));
	check_end(client);
	done(&r);
	stop(&site);
}

/* A request that ends before it is complete is told so; who said nothing is left alone. */
CONTRACT(service_http_cut_short)
{
	static const struct {
		const char *text;
		int want; /* 0: closed without an answer */
	} rows[] = {
		{ "", 0 },
		{ "GET / HT", 400 },
		{ "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", 400 },
		{ "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", 400 },
	};
	struct soq_http_options opt = { .header_timeout_ns = SOQ_NEVER };
	struct site site = { 0 };

	start(&site, SOQ_SHAPE_FIBER, &opt);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct soq_stream *client = service_connect(&site.service);
		struct reply r;

		ROW("%s", rows[i].text);
		send_string(client, rows[i].text);
		CHECK_OK(soq_shutdown(client));
		if (rows[i].want) {
			r = receive(client, false);
			CHECK_EQ(r.status, rows[i].want);
			done(&r);
		}
		check_end(client);
	}
	stop(&site);
}

/* What stops in the middle is told so. How exactly in time, tests/sim/service_time.c asks. */
CONTRACT(service_http_timeouts)
{
	static const char *const rows[] = {
		"GET / HT",
		"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe",
		"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
	};
	struct soq_http_options opt = { .header_timeout_ns = 30 * SOQ_MS };
	struct site site = { 0 };

	start(&site, SOQ_SHAPE_FIBER, &opt);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct soq_stream *client = service_connect(&site.service);
		struct reply r;

		ROW("%s", rows[i]);
		send_string(client, rows[i]);
		r = receive(client, false);
		CHECK_EQ(r.status, 408);
		done(&r);
		check_end(client);
	}
	stop(&site);
}

CONTRACT(service_http_limits)
{
	struct soq_http_options opt = { .header_max = 1024, .requests_max = 3 };
	char text[2048] = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
	struct site site = { 0 };
	struct soq_stream *client;
	struct reply r;

	start(&site, SOQ_SHAPE_FIBER, &opt);
	client = service_connect(&site.service);
	for (int i = 1; i <= 3; i++) {
		send_string(client, "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
		r = receive(client, false);
		CHECK_EQ(r.status, 200);
		CHECK_EQ(has(&r, "\r\nConnection: close\r\n"), i == 3);
		done(&r);
	}
	check_end(client);
	memset(text + strlen(text), 'x', sizeof text - strlen(text) - 1);
	client = service_connect(&site.service);
	send_string(client, text);
	r = receive(client, false);
	CHECK_EQ(r.status, 431);
	check_end(client);
	done(&r);
	stop(&site);
}

CONTRACT(service_http_listing)
{
	struct site site = { 0 };
	struct reply r;
	const char *b2, *b10, *z, *in;

	start(&site, SOQ_SHAPE_FIBER, NULL);
	r = ask(&site, "GET", "/list/", "");
	CHECK(has(&r, "\r\nContent-Security-Policy: default-src 'none'; style-src 'nonce-"));
	CHECK(!strstr(r.body, "out"));
	CHECK(!strstr(r.body, ".c\""));
	z = strstr(r.body, "href=\"z/\"");
	b2 = strstr(r.body, "href=\"b2\"");
	b10 = strstr(r.body, "href=\"b10\"");
	in = strstr(r.body, "href=\"in\"");
	CHECK(z && b2 && b10);
	CHECK(z < b2 && b2 < b10); /* folders first; 2 before 10 */
	CHECK(in ? b10 < in : !kernel_has_openat2());
	CHECK(strstr(r.body, "<td class=\"size\">4 B</td><td class=\"date\">1994-11-06 08:49"));
	CHECK(strstr(r.body, in ? "1 folder, 3 files, 11 B" : "1 folder, 2 files, 5 B"));
	done(&r);

	r = ask(&site, "GET", "/list/?sort=size&order=desc", "");
	z = strstr(r.body, "href=\"z/\"");
	b2 = strstr(r.body, "href=\"b2\"");
	b10 = strstr(r.body, "href=\"b10\"");
	CHECK(z && z < b2 && b2 < b10);
	done(&r);

	r = ask(&site, "GET", "/", "");
	CHECK(!strstr(r.body, "<b>\""));
	CHECK(strstr(r.body, "&lt;b&gt;&quot;&#39;&amp;.txt"));
	CHECK(!strstr(r.body, ".hidden"));
	done(&r);
	stop(&site);
}

CONTRACT(service_http_options)
{
	struct soq_http_options opt = { .no_listing = true, .dotfiles = true };
	struct site site = { 0 };
	struct soq_http *none;
	struct reply r;

	start(&site, SOQ_SHAPE_FIBER, &opt);
	r = ask(&site, "GET", "/list/", "");
	CHECK_EQ(r.status, 404);
	done(&r);
	r = ask(&site, "GET", "/.hidden", "");
	CHECK_EQ(r.status, 200);
	done(&r);
	stop(&site);

	opt.root = "/nowhere/at/all";
	CHECK_ERR(soq_http_new(&none, &opt), -ENOENT);
	opt.root = "/etc/passwd";
	CHECK_ERR(soq_http_new(&none, &opt), -ENOTDIR);
	opt.root = "/";
	opt.header_max = 100;
	CHECK_ERR(soq_http_new(&none, &opt), -EINVAL);
	opt.root = NULL;
	opt.header_max = 0;
	CHECK_ERR(soq_http_new(&none, &opt), -EINVAL);
	soq_http_free(NULL);
}

CONTRACT(service_http_redirect)
{
	static const struct {
		const char *target, *location;
	} rows[] = {
		{ "/folder", "\r\nLocation: /folder/\r\n" },
		{ "/folder?a=b&c", "\r\nLocation: /folder/?a=b&c\r\n" },
		{ "//list//z", "\r\nLocation: /list/z/\r\n" },
		{ "/a%0D%0AX:%20y", "\r\nLocation: /a%0D%0AX%3A%20y/\r\n" },
		{ "/folder?a\xff\"<", "\r\nLocation: /folder/?a%FF%22%3C\r\n" },
	};
	struct site site = { 0 };

	start(&site, SOQ_SHAPE_FIBER, NULL);
	make_folder(&site, "a\r\nX: y");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct reply r = ask(&site, "GET", rows[i].target, "");

		ROW("%s", rows[i].target);
		CHECK_EQ(r.status, 301);
		CHECK(has(&r, rows[i].location));
		CHECK(!has(&r, "\r\nX: y"));
		done(&r);
	}
	stop(&site);
}

/* Neither a FIFO without a writer nor a socket keeps anyone waiting. */
CONTRACT(service_http_special_files)
{
	char path[512];
	struct site site = { 0 };
	struct reply r;

	start(&site, SOQ_SHAPE_ITERATIVE, NULL);
	in_root(path, sizeof path, &site, "fifo");
	CHECK_OK(mkfifo(path, 0644));
	make_link(&site, "zero", "/dev/zero");
	r = ask(&site, "GET", "/fifo", "");
	CHECK_EQ(r.status, 404);
	done(&r);
	r = ask(&site, "GET", "/zero", "");
	CHECK_EQ(r.status, 404);
	done(&r);
	r = ask(&site, "GET", "/", "");
	CHECK(!strstr(r.body, "fifo"));
	done(&r);
	stop(&site);
}

struct swap {
	const struct site *site;
	_Atomic bool stop;
};

/* Without end: the link leads inside, then outside. */
static void *swap_links(void *arg)
{
	struct swap *s = arg;
	char path[512], next[512], secret[512];

	in_root(path, sizeof path, s->site, "swapped");
	in_root(next, sizeof next, s->site, "swapped.next");
	snprintf(secret, sizeof secret, "%s/../secret", s->site->root);
	for (unsigned i = 0; !atomic_load(&s->stop); i++) {
		CHECK_OK(symlink(i % 2 ? secret : "a.txt", next));
		CHECK_OK(rename(next, path));
	}
	return NULL;
}

CONTRACT_KERNEL(service_http_link_swapped, "no threads")
{
	struct site site = { 0 };
	struct swap swap = { .site = &site };
	unsigned found = 0;
	pthread_t thread;
	char path[512];
	int fd;

	start(&site, SOQ_SHAPE_FIBER, NULL);
	in_root(path, sizeof path, &site, "../secret");
	fd = CHECK_OK(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	CHECK_EQ(write(fd, "secret", 6), 6);
	close(fd);
	make_link(&site, "swapped", "a.txt");
	CHECK_EQ(pthread_create(&thread, NULL, swap_links, &swap), 0);
	for (unsigned i = 0; i < test_scale(500); i++) {
		struct reply r = ask(&site, "GET", "/swapped", "");

		CHECK(r.status == 200 || r.status == 404);
		CHECK(r.status == 404 || strcmp(r.body, "hello\n") == 0);
		found += r.status == 200;
		done(&r);
	}
	atomic_store(&swap.stop, true);
	pthread_join(thread, NULL);
	CHECK(found > 0 || !kernel_has_openat2());
	stop(&site);
}

/* A client that goes away in the middle of a file harms nobody else. */
CONTRACT_SHAPES(service_http_client_gone)
{
	struct site site = { 0 };
	char *bytes = calloc(1, LARGE_BYTES);
	struct soq_stream *client;
	struct reply r;

	CHECK(bytes != NULL);
	start(&site, service_shape(), NULL);
	make_file(&site, "large.bin", bytes, LARGE_BYTES);
	for (int i = 0; i < 3; i++) {
		client = service_connect(&site.service);
		send_string(client, "GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
		receive_head(client, &r);
		done(&r);
		service_hang_up(client);
	}
	r = ask(&site, "GET", "/a.txt", "");
	CHECK_EQ(r.status, 200);
	done(&r);
	stop(&site);
	free(bytes);
}

static void keep_line(void *arg, const char *line)
{
	strncat(arg, line, 2000);
	strcat(arg, "\n");
}

/* Nothing that a client sends can forge a line, or reach a terminal. */
CONTRACT(service_http_log)
{
	static const char *const wants[] = {
		" \"GET /a.txt HTTP/1.1\" 200 6 \"http://r/\" \"agent \\x22\\x5C\\xFF\" ",
		" \"HEAD /a.txt HTTP/1.1\" 200 0 \"-\" \"-\" ",
		" \"GET /\\x1B[2J\" 400 ",
		" \"GET /nothing\\xC3\\xA9 HTTP/1.1\" 404 ",
	};
	char lines[8192] = "";
	struct site site = {
		.context = { .access_log = keep_line, .access_log_arg = lines },
	};
	struct soq_stream *client;
	struct reply r;
	char *at = lines;

	start(&site, SOQ_SHAPE_FIBER, NULL);
	r = ask(&site, "GET", "/a.txt", "Referer: http://r/\r\nUser-Agent: agent \"\\\xff\r\n");
	done(&r);
	r = ask(&site, "HEAD", "/a.txt", "");
	done(&r);
	client = service_connect(&site.service);
	send_string(client, "GET /\x1b[2J\r\n127.0.0.1 - - forged");
	r = receive(client, false);
	check_end(client);
	done(&r);
	r = ask(&site, "GET", "/nothing\xc3\xa9", "");
	done(&r);
	stop(&site);
	for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
		char *end = strchr(at, '\n');

		ROW("%s", wants[i]);
		CHECK(end != NULL);
		*end = '\0';
		CHECK(strncmp(at, "127.0.0.1 - - [", 15) == 0);
		CHECK(strstr(at, wants[i]));
		check_duration(at);
		at = end + 1;
	}
	CHECK_STR(at, "");
}

/* A stop closes idle connections at once, and lets nobody begin anew. */
CONTRACT_SHAPES(service_http_stop_while_idle)
{
	struct site site = { 0 };
	struct soq_stream *client;
	struct reply r;

	start(&site, service_shape(), NULL);
	client = service_connect(&site.service);
	send_string(client, "GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n");
	r = receive(client, false);
	CHECK_EQ(r.status, 200);
	done(&r);
	soq_server_stop(site.service.server);
	check_end(client);
	service_wait(&site.service);
	soq_http_free(site.context.http);
}
