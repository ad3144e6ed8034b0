/* service_small.c - echo, discard, chargen, daytime and time, to real sockets. */
#include "contract/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOCAL	    "tcp://127.0.0.1:0"
#define LOCAL_DGRAM "udp://127.0.0.1:0"

CONTRACT_SHAPES(service_echo_stream)
{
	static const char text[] = "a\0b\r\n\xff";
	struct service s;
	struct soq_stream *client;
	char buf[sizeof text];

	service_start(&s, service_shape(), LOCAL, soq_echo_handler, NULL);
	client = service_connect(&s);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(soq_send(client, text, sizeof text), sizeof text);
		CHECK_EQ(soq_recv_full(client, buf, sizeof buf), sizeof buf);
		CHECK_MEM(buf, text, sizeof text);
	}
	CHECK_OK(soq_shutdown(client));
	CHECK_EQ(soq_recv(client, buf, sizeof buf), 0);
	soq_close(client);
	service_stop(&s);
}

struct bulk {
	struct soq_stream *stream;
	unsigned char *bytes;
	size_t len;
};

static void send_bulk(void *arg)
{
	struct bulk *b = arg;

	CHECK_EQ(soq_send(b->stream, b->bytes, b->len), b->len);
	CHECK_OK(soq_shutdown(b->stream));
}

/* More than any buffer on the way holds, one fiber sending while another receives. */
CONTRACT_SHAPES(service_echo_bulk)
{
	struct bulk b = { .len = (size_t)test_scale(8) << 20 };
	unsigned char *back = malloc(b.len + 1);
	struct soq_scope *scope;
	struct service s;

	b.bytes = malloc(b.len);
	CHECK(b.bytes && back);
	for (size_t i = 0; i < b.len; i++)
		b.bytes[i] = (unsigned char)(i * 31 + i / 4096);
	service_start(&s, service_shape(), LOCAL, soq_echo_handler, NULL);
	b.stream = service_connect(&s);
	CHECK_OK(soq_scope_open(&scope));
	CHECK_OK(soq_spawn(scope, send_bulk, &b));
	CHECK_EQ(soq_recv_full(b.stream, back, b.len + 1), b.len);
	CHECK_MEM(back, b.bytes, b.len);
	soq_scope_close(scope);
	soq_close(b.stream);
	service_stop(&s);
	free(b.bytes);
	free(back);
}

CONTRACT_SHAPES(service_discard_stream)
{
	struct service s;
	struct soq_stream *client;
	char buf[4096] = { 0 };

	service_start(&s, service_shape(), LOCAL, soq_discard_handler, NULL);
	client = service_connect(&s);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(soq_send(client, buf, sizeof buf), sizeof buf);
	CHECK_OK(soq_shutdown(client));
	CHECK_EQ(soq_recv(client, buf, sizeof buf), 0);
	soq_close(client);
	service_stop(&s);
}

/* What the services' clock shows: a simulated host has one of its own. */
static int64_t clock_s(void)
{
	return test_is_simulated() ? soq_wall_clock() / SOQ_S : time(NULL);
}

CONTRACT_SHAPES(service_daytime_stream)
{
	struct service s;
	struct soq_stream *client;
	char line[64], rest;
	struct tm tm = { 0 };
	const char *end;

	service_start(&s, service_shape(), LOCAL, soq_daytime_handler, NULL);
	client = service_connect(&s);
	CHECK(CHECK_OK(soq_recv_line(client, line, sizeof line)) > 0);
	end = strptime(line, "%A, %B %d, %Y %H:%M:%S-UTC", &tm);
	CHECK(end && *end == '\0');
	CHECK(llabs((long long)(timegm(&tm) - clock_s())) < 60);
	CHECK_EQ(soq_recv(client, &rest, 1), 0);
	soq_close(client);
	service_stop(&s);
}

CONTRACT_SHAPES(service_time_stream)
{
	struct service s;
	struct soq_stream *client;
	uint32_t now;
	char rest;

	service_start(&s, service_shape(), LOCAL, soq_time_handler, NULL);
	client = service_connect(&s);
	CHECK_EQ(soq_recv_full(client, &now, sizeof now), 4);
	CHECK(llabs((long long)ntohl(now) - (long long)(uint32_t)(clock_s() + 2208988800)) <
		60);
	CHECK_EQ(soq_recv(client, &rest, 1), 0);
	soq_close(client);
	service_stop(&s);
}

/* Lines of 72, each beginning one character further on; after 95 they come again. */
CONTRACT_SHAPES(service_chargen_stream)
{
	struct service s;
	struct soq_stream *client;
	char first[80], line[80];

	service_start(&s, service_shape(), LOCAL, soq_chargen_handler, NULL);
	client = service_connect(&s);
	CHECK_EQ(soq_recv_line(client, first, sizeof first), 72);
	CHECK_STR(first,
		" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"[\\]^_`abcdefg");
	for (int i = 1; i <= 95; i++) {
		CHECK_EQ(soq_recv_line(client, line, sizeof line), 72);
		CHECK_EQ(line[0], ' ' + i % 95);
	}
	CHECK_STR(line, first);
	service_hang_up(client);
	/* It notices, and serves the next one. */
	client = service_connect(&s);
	CHECK_EQ(soq_recv_line(client, line, sizeof line), 72);
	CHECK_STR(line, first);
	service_hang_up(client);
	service_stop(&s);
}

/* Ask once over UDP. @return the answer's length, which must not exceed the buffer's */
static size_t ask(
	const struct service *s, const void *request, size_t len, char *buf, size_t max)
{
	struct soq_dgram *d;
	ssize_t n;

	CHECK_OK(soq_dgram_connect(&d, s->endpoint));
	soq_dgram_set_recv_timeout(d, 10 * SOQ_S);
	CHECK_EQ(soq_sendto(d, request, len, NULL), len);
	n = CHECK_OK(soq_recvfrom(d, buf, max, NULL));
	soq_dgram_close(d);
	return (size_t)n;
}

CONTRACT_SHAPES(service_echo_dgram)
{
	static const size_t lens[] = { 0, 1, 512, 1472, 8000 };
	char request[8000], buf[8001];
	struct service s;

	memset(request, 'x', sizeof request);
	service_start_dgrams(&s, service_shape(), LOCAL_DGRAM, soq_echo_dgram, NULL);
	for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
		ROW("%zu bytes", lens[i]);
		CHECK_EQ(ask(&s, request, lens[i], buf, sizeof buf), lens[i]);
		CHECK_MEM(buf, request, lens[i]);
	}
	service_stop(&s);
}

/* Never more than was asked with. */
CONTRACT_SHAPES(service_chargen_dgram)
{
	static const struct {
		size_t request, want;
	} rows[] = { { 0, 0 }, { 1, 1 }, { 100, 100 }, { 512, 512 }, { 1400, 512 } };
	char request[1400] = { 0 }, buf[2048];
	struct service s;

	service_start_dgrams(&s, service_shape(), LOCAL_DGRAM, soq_chargen_dgram, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%zu bytes", rows[i].request);
		CHECK_EQ(ask(&s, request, rows[i].request, buf, sizeof buf), rows[i].want);
		CHECK_MEM(buf, " !\"#$%", rows[i].want < 6 ? rows[i].want : 6);
	}
	service_stop(&s);
}

/* A short question gets what an Ethernet frame has room for anyway, 18 bytes. */
CONTRACT_SHAPES(service_daytime_dgram)
{
	char request[64] = { 0 }, buf[128];
	struct service s;
	struct tm tm = { 0 };
	size_t n;

	service_start_dgrams(&s, service_shape(), LOCAL_DGRAM, soq_daytime_dgram, NULL);
	n = ask(&s, request, 0, buf, sizeof buf);
	CHECK_EQ(n, 18);
	buf[n] = '\0';
	CHECK_STR(strptime(buf, "%Y%m%dT%H%M%S", &tm), "Z\r\n");
	n = ask(&s, request, sizeof request, buf, sizeof buf);
	buf[n] = '\0';
	CHECK_STR(strptime(buf, "%A, %B %d, %Y %H:%M:%S", &tm), "-UTC\r\n");
	CHECK(llabs((long long)(timegm(&tm) - clock_s())) < 60);
	service_stop(&s);
}

CONTRACT_SHAPES(service_time_dgram)
{
	struct service s;
	uint32_t now;

	service_start_dgrams(&s, service_shape(), LOCAL_DGRAM, soq_time_dgram, NULL);
	CHECK_EQ(ask(&s, "", 0, (char *)&now, sizeof now), 4);
	CHECK(llabs((long long)ntohl(now) - (long long)(uint32_t)(clock_s() + 2208988800)) <
		60);
	service_stop(&s);
}

/* An address whose allowance is spent gets no answer; another does. Both come to one
 * socket, so when the second is answered, the first has been looked at. When exactly there is
 * an allowance again, tests/sim/service_time.c asks. */
CONTRACT(service_dgram_limited)
{
	struct soq_service_context context = { 0 };
	struct soq_dgram *v4;
	struct soq_addr spent;
	struct service s;
	char buf[16], v4_endpoint[64];
	int64_t began_ns;
	ssize_t n;

	CHECK_OK(soq_rate_limit_new(&context.dgram_limit, 1, 5));
	service_start_dgrams(&s, SOQ_SHAPE_ITERATIVE, "udp://:0", soq_echo_dgram, &context);
	CHECK_OK(soq_server_endpoint(s.server, 0, &spent, NULL));
	snprintf(v4_endpoint, sizeof v4_endpoint, "udp://127.0.0.1:%u", soq_addr_port(&spent));
	CHECK_OK(soq_dgram_resolve(&spent, v4_endpoint));
	CHECK_OK(soq_dgram_connect(&v4, v4_endpoint));
	began_ns = soq_now();
	for (int i = 0; i < 5; i++)
		CHECK(soq_rate_limit_take(context.dgram_limit, &spent));

	CHECK_OK(soq_sendto(v4, "x", 1, NULL));
	snprintf(s.endpoint, sizeof s.endpoint, "udp://[::1]:%u", soq_addr_port(&spent));
	CHECK_EQ(ask(&s, "y", 1, buf, sizeof buf), 1);
	soq_dgram_set_recv_timeout(v4, 0);
	n = soq_recvfrom(v4, buf, sizeof buf, NULL);
	if (n == 1) /* a slow machine: a second has gone by, and with it comes an allowance */
		CHECK(soq_now() - began_ns >= SOQ_S - 2 * SOQ_MS);
	else
		CHECK_ERR(n, -ETIMEDOUT);
	soq_dgram_close(v4);
	service_stop(&s);
	soq_rate_limit_free(context.dgram_limit);
}

static void keep_line(void *arg, const char *line)
{
	strncat(arg, line, 400);
	strcat(arg, "\n");
}

/* One line a visit, written when the stream closes, with what was moved. */
CONTRACT(service_small_log)
{
	char lines[2048] = "";
	struct soq_service_context context = { .access_log = keep_line,
		.access_log_arg = lines };
	struct soq_stream *client;
	struct service s;
	char buf[8];

	service_start(&s, SOQ_SHAPE_FIBER, LOCAL, soq_echo_handler, &context);
	client = service_connect(&s);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(soq_send(client, "hello", 5), 5);
		CHECK_EQ(soq_recv_full(client, buf, 5), 5);
	}
	CHECK_STR(lines, "");
	CHECK_OK(soq_finish(client));
	service_stop(&s);
	CHECK(strncmp(lines, "127.0.0.1 - - [", 15) == 0);
	CHECK(strstr(lines, "] \"echo tcp\" - 15 \"-\" \"-\" "));
	check_duration(lines);
	CHECK_EQ(strchr(lines, '\n') - lines, strlen(lines) - 1);
}
