/* net_stream.c - receiving and sending on every kind of stream: counts, timeouts, ends. */
#include "contract/net.h"

#include <fcntl.h>

#define EACH_KIND(kind) for (enum link_kind kind = 0; kind < link_kinds(); kind++)

CONTRACT(stream_recv_gives_what_came_then_zero)
{
	struct link l;
	char buf[16];

	EACH_KIND(kind)
	{
		link_open(&l, kind);
		CHECK_EQ(soq_send(l.near, "hello", 5), 5);
		recv_what_comes(l.far, buf, 2, 2);
		CHECK_MEM(buf, "he", 2);
		recv_what_comes(l.far, buf, 3, sizeof(buf));
		CHECK_MEM(buf, "llo", 3);
		CHECK_OK(soq_shutdown(l.near));
		CHECK_EQ(soq_recv(l.far, buf, sizeof(buf)), 0);
		CHECK_EQ(soq_recv(l.far, buf, sizeof(buf)), 0);
		link_close(&l);
	}
}

CONTRACT(stream_length_limits)
{
	struct link l;
	char byte = 0;

	EACH_KIND(kind)
	{
		link_open(&l, kind);
		CHECK_ERR(soq_recv(l.near, &byte, 0), -EINVAL);
		CHECK_ERR(soq_recv(l.near, &byte, (size_t)-1), -EINVAL);
		CHECK_ERR(soq_recv_full(l.near, &byte, 0), -EINVAL);
		CHECK_ERR(soq_recv_line(l.near, &byte, 0), -EINVAL);
		CHECK_ERR(soq_send(l.near, &byte, (size_t)-1), -EINVAL);
		CHECK_EQ(soq_send(l.near, &byte, 0), 0);
		CHECK_EQ(soq_send_text(l.near, ""), 0);
		link_close(&l);
	}
}

/* Each way ends by itself: what comes after the one's end still goes the other way. */
CONTRACT(stream_half_close_both_ways)
{
	struct link l;
	char buf[8];

	EACH_KIND(kind)
	{
		link_open(&l, kind);
		CHECK_OK(soq_shutdown(l.near));
		CHECK_EQ(soq_recv(l.far, buf, sizeof(buf)), 0);
		CHECK_EQ(soq_send_text(l.far, "after"), 5);
		CHECK_EQ(soq_recv_full(l.near, buf, 5), 5);
		CHECK_MEM(buf, "after", 5);
		CHECK_ERR(soq_send(l.near, "x", 1), -EPIPE);
		CHECK_OK(soq_shutdown(l.far));
		CHECK_EQ(soq_recv(l.near, buf, sizeof(buf)), 0);
		link_close(&l);
	}
}

struct waiting {
	struct soq_stream *stream;
	ssize_t result;
	char buf[8];
};

static void wait_for_bytes(void *arg)
{
	struct waiting *w = arg;

	w->result = soq_recv(w->stream, w->buf, sizeof(w->buf));
}

CONTRACT(stream_second_receiver_is_refused)
{
	struct link l;
	char buf[8];
	int fd;

	EACH_KIND(kind)
	{
		struct soq_scope *scope = scope_open();
		struct waiting w;

		link_open(&l, kind);
		w = (struct waiting){ .stream = l.near };
		go(scope, wait_for_bytes, &w);
		CHECK_ERR(soq_recv(l.near, buf, sizeof(buf)), -EBUSY);
		CHECK_ERR(soq_recv_full(l.near, buf, sizeof(buf)), -EBUSY);
		CHECK_ERR(soq_recv_line(l.near, buf, sizeof(buf)), -EBUSY);
		CHECK_ERR(soq_wait_readable(l.near), -EBUSY);
		CHECK_ERR(soq_detach(l.near), -EBUSY);
		if (!link_is_tcp(kind))
			CHECK_ERR(soq_recv_fd(l.near, &fd), -EBUSY);
		CHECK_EQ(soq_send(l.near, "one", 3), 3); /* the other way is free */
		CHECK_EQ(soq_send(l.far, "two", 3), 3);
		scope_join(scope);
		CHECK(w.result > 0 && w.result <= 3);
		CHECK_MEM(w.buf, "two", (size_t)w.result);
		link_close(&l);
	}
}

#define MUCH ((size_t)64 << 20)

struct sending {
	struct soq_stream *stream;
	char *bytes;
	ssize_t result;
};

static void send_much(void *arg)
{
	struct sending *s = arg;

	s->result = soq_send(s->stream, s->bytes, MUCH);
}

CONTRACT(stream_second_sender_is_refused)
{
	struct link l;
	char *bytes = calloc(1, MUCH);

	CHECK(bytes);
	EACH_KIND(kind)
	{
		struct soq_scope *scope = scope_open();
		struct sending s;

		link_open(&l, kind);
		s = (struct sending){ .stream = l.near, .bytes = bytes };
		go(scope, send_much, &s);
		CHECK_ERR(soq_send(l.near, "x", 1), -EBUSY);
		CHECK_ERR(soq_send_file(l.near, 0, 0, 1), -EBUSY);
		CHECK_ERR(soq_detach(l.near), -EBUSY);
		if (!link_is_tcp(kind))
			CHECK_ERR(soq_send_fd(l.near, 0), -EBUSY);
		soq_scope_close(scope); /* cancels it */
		CHECK(s.result > 0 && (size_t)s.result < MUCH);
		link_close(&l);
	}
	free(bytes);
}

/* What was reported as sent is what the peer can receive, and no more. */
static void check_sent(struct link *l, size_t sent)
{
	static char buf[65536];
	struct soq_scope *scope = scope_open();
	size_t got = 0;
	ssize_t n;

	go(scope, end_flow, l->near);
	while ((n = CHECK_OK(soq_recv(l->far, buf, sizeof(buf)))) > 0) {
		pattern_check(buf, got, (size_t)n);
		got += (size_t)n;
	}
	CHECK_EQ(got, sent);
	scope_join(scope);
}

/* Send until no more is taken: the kernel may find room in its buffers yet. @return why */
static ssize_t send_what_is_taken(struct soq_stream *s, const char *bytes, size_t *sent)
{
	ssize_t n;

	while ((n = soq_send(s, bytes + *sent, MUCH - *sent)) > 0)
		*sent += (size_t)n;
	CHECK(*sent < MUCH);
	return n;
}

CONTRACT(stream_send_cut_short_tells_the_count)
{
	char *bytes = malloc(MUCH);
	struct link l;

	CHECK(bytes);
	pattern_fill(bytes, 0, MUCH);
	EACH_KIND(kind)
	{
		size_t sent;

		link_open(&l, kind);
		soq_set_send_timeout(l.near, 2 * SOQ_MS);
		sent = (size_t)CHECK_OK(soq_send(l.near, bytes, MUCH));
		CHECK(sent > 0 && sent < MUCH);
		/* The next call tells why, each in its way. */
		CHECK_ERR(send_what_is_taken(l.near, bytes, &sent), -ETIMEDOUT);
		soq_set_send_timeout(l.near, 0);
		CHECK_ERR(send_what_is_taken(l.near, bytes, &sent), -ETIMEDOUT);
		check_sent(&l, sent);
		link_close(&l);
	}
	free(bytes);
}

CONTRACT(stream_send_deadline_tells_the_count)
{
	char *bytes = malloc(MUCH);
	struct link l;

	CHECK(bytes);
	pattern_fill(bytes, 0, MUCH);
	EACH_KIND(kind)
	{
		size_t sent = 0;
		int64_t outer;

		link_open(&l, kind);
		outer = soq_deadline(soq_now() + 10 * SOQ_MS);
		CHECK_ERR(send_what_is_taken(l.near, bytes, &sent), -ETIMEDOUT);
		CHECK_ERR(soq_send(l.near, bytes, 1), -ETIMEDOUT);
		soq_deadline_restore(outer);
		CHECK(sent > 0);
		check_sent(&l, sent);
		link_close(&l);
	}
	free(bytes);
}

CONTRACT(stream_recv_timeout_begins_afresh)
{
	struct link l;
	char buf[8];

	EACH_KIND(kind)
	{
		link_open(&l, kind);
		CHECK_EQ(soq_recv_timeout(l.near), SOQ_NEVER);
		soq_set_recv_timeout(l.near, 5 * SOQ_MS);
		CHECK_EQ(soq_recv_timeout(l.near), 5 * SOQ_MS);
		for (int i = 0; i < 3; i++)
			CHECK_ERR(soq_recv(l.near, buf, sizeof(buf)), -ETIMEDOUT);
		CHECK_ERR(soq_recv_full(l.near, buf, 4), -ETIMEDOUT);
		CHECK_ERR(soq_wait_readable(l.near), -ETIMEDOUT);
		/* The stream is as usable as before. */
		soq_set_recv_timeout(l.near, SOQ_NEVER);
		CHECK_EQ(soq_send(l.far, "ok", 2), 2);
		CHECK_EQ(soq_recv_full(l.near, buf, 2), 2);
		link_close(&l);
	}
}

/* So much time has passed since an instant; the next is measured from now. */
static void check_took(int64_t *since_ns, int64_t want_ns)
{
	CHECK_EQ(untimely_ns(*since_ns + want_ns, 1), 0);
	*since_ns = soq_now();
}

SIM(stream_timeouts_are_punctual)
{
	static char much[1 << 20];
	struct link l;
	char buf[8];
	int64_t at_ns;

	EACH_KIND(kind)
	{
		link_open(&l, kind);
		soq_set_recv_timeout(l.near, 5 * SOQ_MS);
		soq_set_send_timeout(l.near, 7 * SOQ_MS);
		at_ns = soq_now();
		for (int i = 0; i < 3; i++) {
			CHECK_ERR(soq_recv(l.near, buf, sizeof(buf)), -ETIMEDOUT);
			check_took(&at_ns, 5 * SOQ_MS);
		}
		CHECK_ERR(soq_recv_full(l.near, buf, 4), -ETIMEDOUT);
		check_took(&at_ns, 5 * SOQ_MS);
		CHECK_ERR(soq_wait_readable(l.near), -ETIMEDOUT);
		check_took(&at_ns, 5 * SOQ_MS);
		while (soq_send(l.near, much, sizeof(much)) > 0)
			;
		at_ns = soq_now();
		CHECK_ERR(soq_send(l.near, much, 1), -ETIMEDOUT);
		check_took(&at_ns, 7 * SOQ_MS);
		link_close(&l);
	}
}

/* A byte every 4 ms keeps a receive of many alive for ever; each waits 5 ms at most. */
struct drip {
	struct soq_stream *to;
	int bytes;
};

static void sim_drip(void *arg)
{
	struct drip *d = arg;

	for (int i = 0; i < d->bytes; i++) {
		CHECK_OK(soq_sleep(4 * SOQ_MS));
		CHECK_EQ(soq_send(d->to, "x", 1), 1);
	}
}

SIM(stream_timeout_is_of_each_wait)
{
	struct link l;
	char buf[64];

	EACH_KIND(kind)
	{
		struct soq_scope *scope = scope_open();
		struct drip drip;
		int64_t took_ns;

		link_open(&l, kind);
		took_ns = -soq_now();
		drip = (struct drip){ l.far, 20 };
		soq_set_recv_timeout(l.near, 5 * SOQ_MS);
		go(scope, sim_drip, &drip);
		CHECK_EQ(soq_recv_full(l.near, buf, sizeof(buf)), 20);
		took_ns += soq_now();
		/* Twenty times 4 ms, 5 ms in vain, and some packets' way. */
		ROW("%s: took %lld ns", link_names[kind], (long long)took_ns);
		CHECK(took_ns >= 85 * SOQ_MS && took_ns < 86 * SOQ_MS);
		scope_join(scope);
		link_close(&l);
	}
}

/* What was sent may be on its way yet: wait for it where the stream itself only polls. */
static void await_readable(struct soq_stream *s)
{
	soq_set_recv_timeout(s, SOQ_NEVER);
	CHECK_OK(soq_wait_readable(s));
	soq_set_recv_timeout(s, 0);
}

CONTRACT(stream_timeout_zero_only_polls)
{
	struct link l;
	char buf[8];

	EACH_KIND(kind)
	{
		link_open(&l, kind);
		soq_set_recv_timeout(l.near, 0);
		CHECK_ERR(soq_recv(l.near, buf, sizeof(buf)), -ETIMEDOUT);
		CHECK_ERR(soq_wait_readable(l.near), -ETIMEDOUT);
		CHECK_EQ(soq_send(l.far, "abc", 3), 3);
		await_readable(l.near);
		CHECK_OK(soq_wait_readable(l.near));
		recv_what_comes(l.near, buf, 2, 2);
		recv_what_comes(l.near, buf, 1, 2);
		CHECK_ERR(soq_recv(l.near, buf, 2), -ETIMEDOUT);
		CHECK_OK(soq_shutdown(l.far));
		await_readable(l.near);
		CHECK_EQ(soq_recv(l.near, buf, 2), 0);
		soq_set_recv_timeout(l.near, -1); /* as 0 */
		CHECK_EQ(soq_recv_timeout(l.near), 0);
		soq_set_send_timeout(l.near, 0);
		CHECK_EQ(soq_send(l.near, "x", 1), 1);
		link_close(&l);
	}
}

static const struct {
	int64_t timeout_ns, deadline_ns, want_ns;
} nearer_rows[] = {
	{ 5 * SOQ_MS, 600 * SOQ_S, 5 * SOQ_MS }, { 600 * SOQ_S, 5 * SOQ_MS, 5 * SOQ_MS },
	{ SOQ_NEVER, 5 * SOQ_MS, 5 * SOQ_MS }, { 5 * SOQ_MS, 5 * SOQ_MS, 5 * SOQ_MS },
	{ 600 * SOQ_S, -1, 0 }, /* over already */
};

/* @return when a row's receive was to end */
static int64_t recv_by_row(struct soq_stream *s, size_t i)
{
	int64_t began = soq_now(), outer = soq_deadline(began + nearer_rows[i].deadline_ns);
	char buf[8];

	ROW("row %zu", i);
	soq_set_recv_timeout(s, nearer_rows[i].timeout_ns);
	CHECK_ERR(soq_recv(s, buf, sizeof(buf)), -ETIMEDOUT);
	soq_deadline_restore(outer);
	return began + nearer_rows[i].want_ns;
}

#define NEARER_ROWS (sizeof(nearer_rows) / sizeof(nearer_rows[0]))

CONTRACT(stream_nearer_of_timeout_and_deadline_wins)
{
	struct link l;
	char buf[8];
	int64_t at_ns;

	link_open(&l, TCP4);
	for (size_t i = 0; i < NEARER_ROWS; i++) {
		at_ns = recv_by_row(l.near, i);
		CHECK(soq_now() >= at_ns);
	}
	CHECK_EQ(soq_send(l.far, "x", 1), 1);
	CHECK_EQ(soq_recv(l.near, buf, sizeof(buf)), 1);
	link_close(&l);
}

SIM(stream_nearer_of_timeout_and_deadline_is_punctual)
{
	struct link l;

	EACH_KIND(kind)
	{
		link_open(&l, kind);
		for (size_t i = 0; i < NEARER_ROWS; i++)
			CHECK_EQ(untimely_ns(recv_by_row(l.near, i), 1), 0);
		link_close(&l);
	}
}

/* The buffer of a cancelled receive is the caller's again, and stays as it is. */
CONTRACT(stream_cancelled_recv_consumes_nothing)
{
	struct link l;
	char buf[8];

	EACH_KIND(kind)
	{
		struct soq_scope *scope = scope_open();
		struct waiting w;

		link_open(&l, kind);
		w = (struct waiting){ .stream = l.near, .buf = "-------" };
		go(scope, wait_for_bytes, &w);
		soq_scope_close(scope);
		CHECK_ERR(w.result, -ECANCELED);
		CHECK_EQ(soq_send(l.far, "abc", 3), 3);
		CHECK_OK(soq_wait_readable(l.near));
		CHECK_STR(w.buf, "-------");
		recv_what_comes(l.near, buf, 3, sizeof(buf));
		CHECK_MEM(buf, "abc", 3);
		link_close(&l);
	}
}

static void recv_when_cancelled(void *arg)
{
	struct waiting *w = arg;
	struct soq_event *never = event_new();

	CHECK_ERR(soq_event_wait(never), -ECANCELED);
	soq_event_free(never);
	wait_for_bytes(w);
	CHECK_ERR(w->result, -ECANCELED);
	CHECK_ERR(soq_send(w->stream, "x", 1), -ECANCELED);
	CHECK_ERR(soq_wait_readable(w->stream), -ECANCELED);
	CHECK_ERR(soq_recv_line(w->stream, w->buf, sizeof(w->buf)), -ECANCELED);
	CHECK_ERR(soq_send_file(w->stream, 0, 0, 1), -ECANCELED);
}

CONTRACT(stream_every_call_of_a_cancelled_fiber_says_so)
{
	struct soq_scope *scope = scope_open();
	struct waiting w;
	struct link l;

	link_open(&l, TCP4);
	CHECK_EQ(soq_send(l.far, "abc\n", 4), 4);
	w = (struct waiting){ .stream = l.near };
	go(scope, recv_when_cancelled, &w);
	soq_scope_close(scope);
	recv_what_comes(l.near, w.buf, 4, sizeof(w.buf));
	link_close(&l);
}

CONTRACT_KERNEL(stream_descriptors_close_on_exec, "a simulated descriptor has no such flag")
{
	struct link l;

	EACH_KIND(kind)
	{
		link_open(&l, kind);
		CHECK(fcntl(soq_fd(l.near), F_GETFD) & FD_CLOEXEC);
		CHECK(fcntl(soq_fd(l.far), F_GETFD) & FD_CLOEXEC);
		link_close(&l);
	}
}
