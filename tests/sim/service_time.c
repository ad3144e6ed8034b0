/* service_time.c - what the standard services do with time: when HTTP gives up on a request,
 * what the clocks show, when an allowance comes back.
 */
#include "sim/server_world.h"

#include <arpa/inet.h>

/* ---- HTTP ---- */

static struct soq_http *open_folder(struct soq_http_options opt)
{
	struct soq_http *http;

	opt.root = test_dir();
	CHECK_OK(soq_http_new(&http, &opt));
	return http;
}

/* The head of an answer, which has no body that is looked at. @return the status */
static int receive_status(struct soq_stream *s)
{
	char line[512];
	int status;

	CHECK_OK(soq_recv_line(s, line, sizeof(line)));
	CHECK_EQ(sscanf(line, "HTTP/1.1 %d ", &status), 1);
	return status;
}

static void receive_to_the_end(struct soq_stream *s)
{
	char buf[4096];
	ssize_t n;

	do
		n = soq_recv(s, buf, sizeof(buf));
	while (n > 0);
	CHECK_EQ(n, 0);
}

#define HEAD "PUT / HTTP/1.1\r\nHost: a\r\n"

static const struct {
	const char *first, *then;   /* sent three seconds later, or NULL */
	int64_t option_ns, want_ns; /* from the first */
} incomplete[] = {
	{ "G", NULL, 0, 10 * SOQ_S },
	{ "GET / HT", NULL, 0, 10 * SOQ_S },
	{ "GET / HT", "TP/1.1\r\n", 0, 10 * SOQ_S },
	{ "GET / HT", "TP/1.1\r\n", 7 * SOQ_S, 7 * SOQ_S },
	/* The body has as long again. */
	{ HEAD "Content-Length: 5\r\n\r\nhe", NULL, 0, 10 * SOQ_S },
	{ HEAD "Content-Length: 5\r\n\r\nhe", "ll", 0, 10 * SOQ_S },
	{ HEAD, "Content-Length: 5\r\n\r\nhe", 0, 13 * SOQ_S },
	{ HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\n", "h", 4 * SOQ_S, 4 * SOQ_S },
};

/* The time runs from a request's first byte, whatever comes after it. */
static void http_request(void)
{
	for (size_t i = 0; i < sizeof(incomplete) / sizeof(incomplete[0]); i++) {
		struct soq_http *http = open_folder((struct soq_http_options){
			.header_timeout_ns = incomplete[i].option_ns });
		struct soq_service_context context = { .http = http };
		struct plan plan = { .sites = { { .endpoint = LOCAL,
					     .handler = soq_http_handler,
					     .arg = &context } } };
		struct soq_stream *s;
		struct remote r;
		int64_t said_ns;

		ROW("%zu: '%s'", i, incomplete[i].first);
		remote_start(&r, &plan);
		s = remote_connect(&r, 0);
		CHECK_OK(soq_sleep(20 * SOQ_S)); /* that is the server's to limit */
		said_ns = instant();
		soq_send_text(s, incomplete[i].first);
		sleep_until(said_ns + 3 * SOQ_S);
		if (incomplete[i].then)
			soq_send_text(s, incomplete[i].then);
		CHECK_EQ(receive_status(s), 408);
		CHECK_INSTANT(instant(), said_ns + 2 * LATENCY + incomplete[i].want_ns);
		receive_to_the_end(s);
		CHECK_INSTANT(instant(), said_ns + 2 * LATENCY + incomplete[i].want_ns);
		soq_close(s);
		remote_stop(&r);
		soq_http_free(http);
	}
}

SIM(service_time_http_request)
{
	in_world(&exact, http_request);
}

/* Between two requests: the folder's own time, or else the server's. */
static void http_keepalive(void)
{
	static const int64_t rows[][2] = { { 0, 60 * SOQ_S }, { 5 * SOQ_S, 5 * SOQ_S },
		{ 300 * SOQ_S, 300 * SOQ_S } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq_http *http =
			open_folder((struct soq_http_options){ .keepalive_ns = rows[i][0] });
		struct soq_service_context context = { .http = http };
		struct plan plan = { .sites = { { .endpoint = LOCAL,
					     .handler = soq_http_handler,
					     .arg = &context } } };
		struct soq_stream *s;
		struct remote r;
		int64_t asked_ns = 0;

		ROW("%zu", i);
		remote_start(&r, &plan);
		s = remote_connect(&r, 0);
		soq_set_recv_timeout(s, SOQ_NEVER);
		for (int k = 0; k < 3; k++) {
			char line[512];

			CHECK_OK(soq_sleep(4 * SOQ_S));
			asked_ns = instant();
			CHECK(soq_send_text(s, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n") > 0);
			CHECK_EQ(receive_status(s), 204);
			while (soq_recv_line(s, line, sizeof(line)) > 0)
				;
		}
		receive_to_the_end(s);
		CHECK_INSTANT(instant(), asked_ns + 2 * LATENCY + rows[i][1]);
		soq_close(s);
		remote_stop(&r);
		soq_http_free(http);
	}
}

SIM(service_time_http_keepalive)
{
	in_world(&exact, http_keepalive);
}

/* ---- clocks ---- */

/* What a service says at once. @return its length */
static size_t hear(const char *endpoint, char *buf, size_t len)
{
	struct soq_stream *s = connect_to(endpoint);
	ssize_t n = CHECK_OK(soq_recv_full(s, buf, len - 1));

	buf[n] = '\0';
	soq_close(s);
	return (size_t)n;
}

/* Every simulated world begins with the year 2026; a step of the clock is told by the next
 * answer. */
static void clocks(void)
{
	static const struct {
		int64_t step_s;
		const char *daytime;
		uint32_t time; /* since 1900 */
	} rows[] = {
		{ 0, "Thursday, January 1, 2026 00:00:10-UTC\r\n", 3976214410 },
		{ 3600, "Thursday, January 1, 2026 01:00:20-UTC\r\n", 3976218020 },
		{ -24 * 3600, "Wednesday, December 31, 2025 01:00:30-UTC\r\n", 3976131630 },
		/* RFC 868's number begins again in 2036. */
		{ 318835580, "Thursday, February 7, 2036 06:27:00-UTC\r\n", 4294967220 },
		{ 3600, "Thursday, February 7, 2036 07:27:10-UTC\r\n", 3534 },
	};
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = soq_daytime_handler },
				     { .endpoint = LOCAL, .handler = soq_time_handler } } };
	uint32_t word;
	struct remote r;
	char text[64], bytes[5];

	remote_start(&r, &plan);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%zu", i);
		soq_sim_step_clock(r.program.host, rows[i].step_s * SOQ_S);
		sleep_until((int64_t)(i + 1) * 10 * SOQ_S);
		hear(r.places[0].endpoint, text, sizeof(text));
		CHECK_STR(text, rows[i].daytime);
		CHECK_EQ(hear(r.places[1].endpoint, bytes, sizeof(bytes)), 4);
		memcpy(&word, bytes, 4);
		CHECK_EQ(ntohl(word), rows[i].time);
	}
	remote_stop(&r);
}

SIM(service_time_clocks)
{
	in_world(&exact, clocks);
}

/* ---- allowances ---- */

/* Send some at once. @return how many are answered */
static unsigned ask(struct soq_dgram *d, unsigned asked)
{
	unsigned answered = 0;
	char byte;

	for (unsigned i = 0; i < asked; i++)
		CHECK_EQ(soq_sendto(d, "x", 1, NULL), 1);
	soq_dgram_set_recv_timeout(d, 100 * SOQ_MS);
	while (soq_recvfrom(d, &byte, 1, NULL) == 1)
		answered++;
	return answered;
}

/* Four answers a second, and ten at once after a rest. */
static void allowance(void)
{
	static const struct {
		int64_t at_ms; /* since the first */
		unsigned asked, answered;
	} rows[] = {
		{ 0, 15, 10 }, { 245, 1, 0 }, /* not yet */
		{ 350, 5, 1 },		      /* since 250 */
		{ 1350, 10, 4 },	      /* since 500, 750, 1,000, 1,250 */
		{ 60000, 15, 10 }	      /* no more than ten are saved up */
	};
	struct soq_service_context context = { 0 };
	struct plan plan = { .sites = { { .endpoint = "udp://127.0.0.1:0",
				     .dgram = soq_echo_dgram,
				     .arg = &context } } };
	struct soq_dgram *d;
	struct remote r;
	int64_t first_ns;

	CHECK_OK(soq_rate_limit_new(&context.dgram_limit, 4, 10));
	remote_start(&r, &plan);
	CHECK_OK(soq_dgram_connect(&d, r.places[0].endpoint));
	first_ns = instant();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("at %lld ms", (long long)rows[i].at_ms);
		sleep_until(first_ns + rows[i].at_ms * SOQ_MS);
		CHECK_EQ(ask(d, rows[i].asked), rows[i].answered);
	}
	soq_dgram_close(d);
	remote_stop(&r);
	soq_rate_limit_free(context.dgram_limit);
}

SIM(service_time_allowance)
{
	in_world(&exact, allowance);
}
