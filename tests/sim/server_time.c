/* server_time.c - at which instant a server leaves a client, and at which it ends: its
 * time-outs, its linger and grace times, to the microseconds that its scheduler needs.
 */
#include "sim/server_world.h"

static struct plan plan_of(soq_handler *handler)
{
	counters_open();
	return (struct plan){ .sites = { { .endpoint = LOCAL, .handler = handler } } };
}

/* ---- idle ---- */

static void idle(void)
{
	static const struct {
		const char *said;
		int64_t option_ns, want_ns;
	} rows[] = {
		{ "", 0, 60 * SOQ_S },
		{ "", 5 * SOQ_S, 5 * SOQ_S },
		{ "half a li", 0, 60 * SOQ_S },
		{ "half a li", 10 * SOQ_MS, 10 * SOQ_MS },
		{ "line\n", 0, 60 * SOQ_S },
		{ "line\n", 3600 * SOQ_S, 3600 * SOQ_S },
		{ "line\nhalf a li", 5 * SOQ_S, 5 * SOQ_S },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan plan = plan_of(echo_a_line);
		struct soq_stream *s;
		struct remote r;
		int64_t said_ns;

		ROW("'%s', %lld ns", rows[i].said, (long long)rows[i].option_ns);
		plan.opt.idle_timeout_ns = rows[i].option_ns;
		remote_start(&r, &plan);
		s = remote_connect(&r, 0);
		soq_set_recv_timeout(s, SOQ_NEVER);
		said_ns = instant();
		CHECK_EQ(soq_send_text(s, rows[i].said), strlen(rows[i].said));
		if (strchr(rows[i].said, '\n'))
			expect_line(s, "line");
		expect_end(s);
		CHECK_INSTANT(instant(), said_ns + 2 * LATENCY + rows[i].want_ns);
		remote_stop(&r);
	}
}

/* Before the first request, within one, between two. */
SIM(server_time_idle)
{
	in_world(&exact, idle);
}

/* Each byte lets the time begin afresh, within a line and between two. */
static void idle_afresh(void)
{
	struct plan plan = plan_of(echo_a_line);
	struct soq_stream *s;
	struct remote r;
	int64_t said_ns;

	plan.opt.idle_timeout_ns = 5 * SOQ_S;
	remote_start(&r, &plan);
	s = remote_connect(&r, 0);
	said_ns = instant();
	for (int i = 0; i < 20; i++) {
		sleep_until(said_ns + 5 * SOQ_S - 2 * ROUNDS);
		said_ns = instant();
		CHECK_EQ(soq_send_text(s, i % 4 == 3 ? "\n" : "x"), 1);
		if (i % 4 == 3)
			expect_line(s, "xxx");
	}
	expect_end(s);
	CHECK_INSTANT(instant(), said_ns + 2 * LATENCY + 5 * SOQ_S);
	remote_stop(&r);
}

SIM(server_time_idle_afresh)
{
	in_world(&exact, idle_afresh);
}

/* ---- requests ---- */

/* The first line is answered at once, each after it never. */
static int answer_once(struct soq_stream *peer, void *arg)
{
	int rc = echo_a_line(peer, arg);

	if (atomic_fetch_add(&counters->began, 1) == 0)
		return rc;
	rc = soq_sleep(SOQ_NEVER);
	stamp(0);
	return rc;
}

/* It is the time of one call, which begins when its request arrives. */
static void request(void)
{
	struct plan plan = plan_of(answer_once);
	struct soq_stream *s;
	struct remote r;
	int64_t asked_ns;

	plan.opt.request_timeout_ns = 7 * SOQ_S;
	remote_start(&r, &plan);
	s = remote_connect(&r, 0);
	expect_echo(s, "one");
	CHECK_OK(soq_sleep(20 * SOQ_S));
	asked_ns = instant();
	expect_echo(s, "two");
	expect_end(s);
	CHECK_INSTANT(stamped(0), asked_ns + LATENCY + 7 * SOQ_S);
	CHECK_INSTANT(instant(), asked_ns + 2 * LATENCY + 7 * SOQ_S);
	remote_await_log(&r, soq_strerror(-ETIMEDOUT));
	remote_stop(&r);
}

SIM(server_time_request)
{
	in_world(&exact, request);
}

static int sleep_dgram(struct soq_dgram *d, const struct soq_packet *request, void *arg)
{
	int rc = soq_sleep(SOQ_NEVER);

	(void)d, (void)request, (void)arg;
	stamp(0);
	return rc;
}

static void dgram_request(void)
{
	struct plan plan = {
		.sites = { { .endpoint = "udp://127.0.0.1:0", .dgram = sleep_dgram } },
		.opt = { .request_timeout_ns = 7 * SOQ_S }
	};
	struct soq_dgram *d;
	struct remote r;
	int64_t asked_ns;

	counters_open();
	remote_start(&r, &plan);
	CHECK_OK(soq_dgram_connect(&d, r.places[0].endpoint));
	asked_ns = instant();
	CHECK_EQ(soq_sendto(d, "x", 1, NULL), 1);
	remote_await_log(&r, soq_strerror(-ETIMEDOUT));
	CHECK_INSTANT(stamped(0), asked_ns + LATENCY + 7 * SOQ_S);
	soq_dgram_close(d);
	remote_stop(&r);
}

SIM(server_time_dgram_request)
{
	in_world(&exact, dgram_request);
}

/* ---- sending ---- */

/* Byte by byte, until the peer takes no more. */
static int send_bytes(struct soq_stream *peer, void *arg)
{
	ssize_t n;

	(void)arg;
	while ((n = soq_send(peer, "x", 1)) == 1)
		stamp(0);
	stamp(1);
	count(&counters->ended);
	return (int)n;
}

/* From the last byte that the peer's side has taken. It takes more when half of its buffer is
 * free again (RFC 9293 section 3.8.6.2.2). */
static void sending(void)
{
	struct plan plan = plan_of(send_bytes);
	struct soq_stream *s;
	char buf[1024];
	struct remote r;

	plan.opt.send_timeout_ns = 9 * SOQ_S;
	remote_start(&r, &plan);
	s = remote_connect(&r, 0);
	for (int i = 0; i < 10; i++) { /* slow, but not too slow */
		CHECK_OK(soq_sleep(8 * SOQ_S));
		CHECK_EQ(soq_recv_full(s, buf, sizeof(buf)), sizeof(buf));
	}
	AWAIT(atomic_load(&counters->ended) == 1);
	CHECK_INSTANT(stamped(1), stamped(0) + 9 * SOQ_S);
	soq_close(s);
	remote_stop(&r);
}

SIM(server_time_sending)
{
	struct soq_sim_options small = exact;

	small.buffer_bytes = 2048;
	in_world(&small, sending);
}

/* ---- closing ---- */

static void closed(void *data)
{
	(void)data;
	stamp(1);
	count(&counters->ended);
}

static int say_goodbye(struct soq_stream *peer, void *arg)
{
	(void)arg;
	soq_set_stream_data(peer, counters, closed);
	soq_send_text(peer, "goodbye\n");
	stamp(0);
	return SOQ_DONE;
}

enum manner { SILENT, TALKATIVE, POLITE };

/* A client that has been told that all is over. */
static void dawdle(struct soq_stream *s, enum manner manner)
{
	switch (manner) {
	case SILENT:
		break;
	case TALKATIVE:
		while (atomic_load(&counters->ended) == 0) {
			soq_send_text(s, "but");
			CHECK_OK(soq_sleep(100 * SOQ_MS));
		}
		break;
	case POLITE:
		CHECK_OK(soq_sleep(SOQ_S));
		CHECK_OK(soq_shutdown(s));
		break;
	}
	AWAIT(atomic_load(&counters->ended) == 1);
}

static void linger(void)
{
	static const struct {
		enum manner manner;
		int64_t option_ns, want_ns;
	} rows[] = {
		{ SILENT, 0, 2 * SOQ_S },
		{ SILENT, 500 * SOQ_MS, 500 * SOQ_MS },
		{ TALKATIVE, 0, 2 * SOQ_S },
		{ POLITE, 0, SOQ_S + 2 * LATENCY },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan plan = plan_of(say_goodbye);
		struct soq_stream *s;
		struct remote r;

		ROW("%zu", i);
		plan.opt.linger_ns = rows[i].option_ns;
		remote_start(&r, &plan);
		s = remote_connect(&r, 0);
		expect_line(s, "goodbye");
		dawdle(s, rows[i].manner);
		CHECK_INSTANT(stamped(1), stamped(0) + rows[i].want_ns);
		soq_close(s);
		remote_stop(&r);
	}
}

/* Whatever the client does, it is waited for so long and no longer. */
SIM(server_time_linger)
{
	in_world(&exact, linger);
}

/* ---- stopping ---- */

/* A line is answered after three seconds. */
static int answer_late(struct soq_stream *peer, void *arg)
{
	char line[16];

	(void)arg;
	if (soq_recv_line(peer, line, sizeof(line)) < 0)
		return SOQ_DONE;
	count(&counters->began);
	if (soq_sleep(3 * SOQ_S) < 0)
		return -ECANCELED;
	soq_send_text(peer, "late\n");
	return SOQ_AGAIN;
}

enum state { NOBODY, IDLE, PART, ASKED, ASKED_AND_STAYS };

/* @return NULL for nobody */
static struct soq_stream *client_in(const struct remote *r, enum state state)
{
	static const char *const said[] = { "", "hello\n", "half a li", "line\n", "line\n" };
	struct soq_stream *s;

	if (state == NOBODY)
		return NULL;
	s = remote_connect(r, 0);
	CHECK_EQ(soq_send_text(s, said[state]), strlen(said[state]));
	if (state == IDLE)
		expect_line(s, "hello");
	if (state >= ASKED)
		AWAIT(atomic_load(&counters->began) == 1);
	else
		CHECK_OK(soq_sleep(SOQ_S));
	return s;
}

/* A client that goes when the server does. */
static void read_to_the_end(struct soq_stream *s)
{
	char line[16];

	while (soq_recv_line(s, line, sizeof(line)) >= 0)
		;
	soq_close(s);
}

/* When soq_server_run() returns, with one client in some state at the stop. */
static void stop(void)
{
	static const struct {
		enum state state;
		int64_t grace_ns, want_ns;
		int result;
	} rows[] = {
		{ NOBODY, 0, 0, 0 },
		{ IDLE, 0, 0, 0 },
		{ PART, 0, 10 * SOQ_S, -ETIMEDOUT },
		{ PART, SOQ_S, SOQ_S, -ETIMEDOUT },
		{ ASKED, 0, 3 * SOQ_S + 2 * LATENCY, 0 },
		{ ASKED, SOQ_S, SOQ_S, -ETIMEDOUT },
		{ ASKED_AND_STAYS, 0, 5 * SOQ_S, 0 },
		{ ASKED_AND_STAYS, 4 * SOQ_S, 4 * SOQ_S, -ETIMEDOUT },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan plan = plan_of(rows[i].state == IDLE ? echo_a_line : answer_late);
		bool stays = rows[i].state == ASKED_AND_STAYS;
		struct soq_stream *s;
		struct remote r;
		int64_t stop_ns;

		ROW("%zu", i);
		plan.opt.grace_ns = rows[i].grace_ns;
		remote_start(&r, &plan);
		s = client_in(&r, rows[i].state);
		stop_ns = instant();
		remote_signal(&r, SIGTERM);
		if (s && !stays)
			read_to_the_end(s);
		remote_end(&r, rows[i].result);
		CHECK_INSTANT(r.program.ended_at_ns, stop_ns + rows[i].want_ns);
		if (stays)
			soq_close(s);
	}
}

SIM(server_time_stop)
{
	in_world(&exact, stop);
}

/* An idle client learns of the stop at once; the second stop needs no time. */
static void stop_twice(void)
{
	struct plan plan = plan_of(answer_late);
	struct soq_stream *idle, *busy;
	int64_t stop_ns;
	struct remote r;

	plan.sites[1] = (struct site){ .endpoint = LOCAL, .handler = echo_a_line };
	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	idle = remote_connect(&r, 1);
	expect_echo(idle, "hello");
	busy = remote_connect(&r, 0);
	CHECK_EQ(soq_send_text(busy, "line\n"), 5);
	AWAIT(atomic_load(&counters->began) == 1);
	stop_ns = instant();
	remote_signal(&r, SIGTERM);
	expect_end(idle);
	CHECK_INSTANT(instant(), stop_ns + LATENCY);
	sleep_until(stop_ns + 2 * SOQ_S);
	remote_signal(&r, SIGTERM);
	remote_end(&r, -ETIMEDOUT);
	CHECK_INSTANT(r.program.ended_at_ns, stop_ns + 2 * SOQ_S);
	expect_end(busy);
}

SIM(server_time_stop_twice)
{
	in_world(&exact, stop_twice);
}

static void deadline(void)
{
	struct plan plan = plan_of(sleep_for_ever);
	struct soq_stream *s;
	struct remote r;

	plan.deadline_ns = 30 * SOQ_S;
	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	s = remote_connect(&r, 0);
	remote_end(&r, -ETIMEDOUT);
	CHECK_INSTANT(r.program.ended_at_ns, r.program.began_at_ns + 30 * SOQ_S);
	CHECK_EQ(atomic_load(&counters->cancelled), 1);
	expect_end(s);
}

SIM(server_time_deadline_of_the_run)
{
	in_world(&exact, deadline);
}
