/* fiber_cancel.c - every suspending call obeys deadline and cancellation, loses nothing by
 * it, and writes nothing once it has returned.
 */
#include "fiber.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the calls below need; each of them waits for ever in it. */
struct world {
	struct soq_stream *silent[2]; /* nothing to receive from [0] */
	struct soq_stream *full[2];   /* nothing can be sent into [0] */
	struct soq_listener *listener;
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_dgram *quiet[2], *clogged[2];
	struct soq_mutex *mutex; /* held by main */
	struct soq_event *event; /* never set */
	struct soq_queue *empty, *filled;
	int descriptor;		 /* of a stream from which nothing can be received either */
	struct soq_stream *peer; /* of that one */
	int file;
	char buf[64];
	struct soq_addr addr;
};

static void fill(struct world *w)
{
	static char block[65536];
	ssize_t n;

	soq_set_send_timeout(w->full[0], 0);
	do
		n = soq_send(w->full[0], block, sizeof block);
	while (n > 0);
	CHECK_ERR(n, -ETIMEDOUT);
	soq_set_send_timeout(w->full[0], SOQ_NEVER);
	soq_dgram_set_send_timeout(w->clogged[0], 0);
	do
		n = soq_sendto(w->clogged[0], block, 4096, NULL);
	while (n > 0);
	CHECK_ERR(n, -ETIMEDOUT);
	soq_dgram_set_send_timeout(w->clogged[0], SOQ_NEVER);
}

static void world_open(struct world *w)
{
	struct soq_stream *pair[2];
	struct soq_addr addr;

	memset(w, 0, sizeof *w);
	CHECK_OK(soq_pair(w->silent));
	CHECK_OK(soq_pair(w->full));
	CHECK_OK(soq_listen(&w->listener, "tcp://127.0.0.1:0", NULL));
	CHECK_OK(soq_listener_addr(w->listener, &addr));
	soq_addr_endpoint(w->endpoint, sizeof w->endpoint, SOQ_SCHEME_TCP, &addr);
	CHECK_OK(soq_dgram_pair(w->quiet));
	CHECK_OK(soq_dgram_pair(w->clogged));
	CHECK_OK(soq_mutex_new(&w->mutex));
	CHECK_OK(soq_mutex_lock(w->mutex));
	w->event = event_new();
	CHECK_OK(soq_queue_new(&w->empty, 1));
	CHECK_OK(soq_queue_new(&w->filled, 1));
	CHECK_OK(soq_queue_put(w->filled, w));
	CHECK_OK(soq_pair(pair));
	w->descriptor = (int)CHECK_OK(soq_detach(pair[0]));
	w->peer = pair[1];
	w->file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	CHECK(w->file >= 0);
	fill(w);
}

static void world_close(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		soq_close(w->silent[i]);
		soq_close(w->full[i]);
		soq_dgram_close(w->quiet[i]);
		soq_dgram_close(w->clogged[i]);
	}
	descriptor_close(w->descriptor);
	soq_close(w->peer);
	soq_listener_close(w->listener);
	CHECK_OK(soq_mutex_unlock(w->mutex));
	soq_mutex_free(w->mutex);
	soq_event_free(w->event);
	soq_queue_free(w->empty);
	soq_queue_free(w->filled);
	close(w->file);
}

/* ---- the calls ---- */

static int64_t do_sleep(struct world *w)
{
	return soq_sleep(3600 * SOQ_S);
}

static int64_t do_sleep_until(struct world *w)
{
	return soq_sleep_until(SOQ_NEVER);
}

static int64_t do_scope_wait(struct world *w)
{
	struct soq_scope *scope = scope_open();
	int rc = soq_spawn(scope, wait_for_event, w->event);

	CHECK_OK(rc);
	rc = soq_scope_wait(scope);
	soq_scope_close(scope);
	return rc;
}

static int64_t do_recv(struct world *w)
{
	return soq_recv(w->silent[0], w->buf, sizeof w->buf);
}

static int64_t do_recv_full(struct world *w)
{
	return soq_recv_full(w->silent[0], w->buf, sizeof w->buf);
}

static int64_t do_recv_line(struct world *w)
{
	return soq_recv_line(w->silent[0], w->buf, sizeof w->buf);
}

static int64_t do_recv_fd(struct world *w)
{
	int fd;

	return soq_recv_fd(w->silent[0], &fd);
}

static int64_t do_wait_readable(struct world *w)
{
	return soq_wait_readable(w->silent[0]);
}

static int64_t do_send(struct world *w)
{
	return soq_send(w->full[0], "x", 1);
}

static int64_t do_send_file(struct world *w)
{
	return soq_send_file(w->full[0], w->file, 0, 100);
}

static int64_t do_send_fd(struct world *w)
{
	return soq_send_fd(w->full[0], w->descriptor);
}

static int64_t do_accept(struct world *w)
{
	struct soq_stream *s;

	return soq_accept(&s, w->listener);
}

static int64_t do_recvfrom(struct world *w)
{
	return soq_recvfrom(w->quiet[0], w->buf, sizeof w->buf, &w->addr);
}

static int64_t do_recv_packets(struct world *w)
{
	struct soq_packet p = { .data = w->buf, .capacity = sizeof w->buf };

	return soq_recv_packets(w->quiet[0], &p, 1);
}

static int64_t do_sendto(struct world *w)
{
	static char block[4096];

	return soq_sendto(w->clogged[0], block, sizeof block, NULL);
}

static int64_t do_send_packets(struct world *w)
{
	static char block[4096];
	struct soq_packet p = { .data = block, .len = sizeof block };

	return soq_send_packets(w->clogged[0], &p, 1);
}

static int64_t do_mutex_lock(struct world *w)
{
	return soq_mutex_lock(w->mutex);
}

static int64_t do_event_wait(struct world *w)
{
	return soq_event_wait(w->event);
}

static int64_t do_queue_put(struct world *w)
{
	return soq_queue_put(w->filled, w);
}

static int64_t do_queue_get(struct world *w)
{
	void *item;

	return soq_queue_get(w->empty, &item);
}

static int64_t do_wait_fd(struct world *w)
{
	return soq_wait_fd(w->descriptor, POLLIN);
}

static int64_t do_wait_signal(struct world *w)
{
	static const int signals[] = { SIGUSR1 };

	return soq_wait_signal(signals, 1);
}

/* These do not wait in this world; they must not begin late all the same. */
static int64_t do_yield(struct world *w)
{
	return soq_yield();
}

static int64_t do_connect(struct world *w)
{
	struct soq_stream *s;
	int rc = soq_connect(&s, w->endpoint);

	if (rc == 0)
		soq_close(s);
	return rc;
}

static void note_run(void *arg)
{
	*(bool *)arg = true;
}

static int64_t do_offload(struct world *w)
{
	bool ran = false;
	int rc = soq_offload(note_run, &ran);

	CHECK_EQ(ran, rc == 0);
	return rc;
}

static const struct call {
	const char *name;
	int64_t (*perform)(struct world *w);
	bool ends_at_once;
} calls[] = {
	{ "sleep", do_sleep, false },
	{ "sleep_until", do_sleep_until, false },
	{ "scope_wait", do_scope_wait, false },
	{ "recv", do_recv, false },
	{ "recv_full", do_recv_full, false },
	{ "recv_line", do_recv_line, false },
	{ "recv_fd", do_recv_fd, false },
	{ "wait_readable", do_wait_readable, false },
	{ "send", do_send, false },
	{ "send_file", do_send_file, false },
	{ "send_fd", do_send_fd, false },
	{ "accept", do_accept, false },
	{ "recvfrom", do_recvfrom, false },
	{ "recv_packets", do_recv_packets, false },
	{ "sendto", do_sendto, false },
	{ "send_packets", do_send_packets, false },
	{ "mutex_lock", do_mutex_lock, false },
	{ "event_wait", do_event_wait, false },
	{ "queue_put", do_queue_put, false },
	{ "queue_get", do_queue_get, false },
	{ "wait_fd", do_wait_fd, false },
	{ "wait_signal", do_wait_signal, false },
	{ "yield", do_yield, true },
	{ "connect", do_connect, true },
	{ "offload", do_offload, true },
};

#define CALLS (sizeof calls / sizeof calls[0])

/* A fiber that makes one call, with a deadline from its birth if it has one. */
struct attempt {
	const struct call *call;
	struct world *world;
	int64_t rc;
	bool ended;
};

static void make_attempt(void *arg)
{
	struct attempt *a = arg;

	a->rc = a->call->perform(a->world);
	a->ended = true;
}

/* Begin a call in a fiber of its own and let it come to its wait. */
static struct soq_scope *begin(struct attempt *a, const struct call *call, struct world *w)
{
	struct soq_scope *scope = scope_open();

	*a = (struct attempt){ call, w, 1, false };
	CHECK_OK(soq_spawn(scope, make_attempt, a));
	return scope;
}

static void end(struct soq_scope *scope, const struct attempt *a, int64_t want)
{
	CHECK_OK(soq_scope_wait(scope));
	CHECK(a->ended);
	CHECK_ERR(a->rc, want);
	soq_scope_close(scope);
}

CONTRACT(fiber_call_after_deadline)
{
	struct world w;
	struct attempt a;
	struct soq_scope *scope;

	world_open(&w);
	for (size_t i = 0; i < CALLS; i++) {
		ROW("%s", calls[i].name);
		soq_deadline(soq_now());
		scope = begin(&a, &calls[i], &w);
		soq_deadline_restore(SOQ_NEVER);
		end(scope, &a, -ETIMEDOUT);
	}
	world_close(&w);
}

CONTRACT(fiber_call_after_cancellation)
{
	struct world w;
	struct attempt a;
	struct soq_scope *scope;

	world_open(&w);
	for (size_t i = 0; i < CALLS; i++) {
		ROW("%s", calls[i].name);
		scope = begin(&a, &calls[i], &w);
		soq_scope_cancel(scope);
		end(scope, &a, -ECANCELED);
	}
	world_close(&w);
}

/* Make a call that a deadline ends. @return the deadline */
static int64_t call_until_deadline(const struct call *call, struct world *w)
{
	int64_t at_ns = soq_now() + 2 * SOQ_MS;
	struct soq_scope *scope;
	struct attempt a;

	ROW("%s", call->name);
	soq_deadline(at_ns);
	scope = begin(&a, call, w);
	soq_deadline_restore(SOQ_NEVER);
	end(scope, &a, -ETIMEDOUT);
	return at_ns;
}

CONTRACT(fiber_call_until_deadline)
{
	struct world w;
	int64_t at_ns;

	world_open(&w);
	for (size_t i = 0; i < CALLS && !calls[i].ends_at_once; i++) {
		at_ns = call_until_deadline(&calls[i], &w);
		CHECK(soq_now() >= at_ns);
	}
	world_close(&w);
}

SIM(fiber_call_ends_at_its_deadline)
{
	struct world w;

	world_open(&w);
	for (size_t i = 0; i < CALLS && !calls[i].ends_at_once; i++)
		CHECK_EQ(untimely_ns(call_until_deadline(&calls[i], &w), 2), 0);
	world_close(&w);
}

CONTRACT(fiber_call_until_cancellation)
{
	struct world w;
	struct attempt a;
	struct soq_scope *scope;

	world_open(&w);
	for (size_t i = 0; i < CALLS && !calls[i].ends_at_once; i++)
		for (int turns = 1; turns < 4; turns++) {
			ROW("%s, %d turns later", calls[i].name, turns);
			scope = begin(&a, &calls[i], &w);
			for (int n = 0; n < turns; n++)
				CHECK_OK(soq_yield());
			CHECK(!a.ended);
			soq_scope_cancel(scope);
			end(scope, &a, -ECANCELED);
		}
	world_close(&w);
}

/* With many operations waiting, an engine may serve them in another way. */
CONTRACT(fiber_calls_together)
{
	struct world w;
	struct attempt a[CALLS];
	struct soq_scope *scope = scope_open();

	world_open(&w);
	for (size_t i = 0; i < CALLS; i++) {
		a[i] = (struct attempt){ &calls[i], &w, 1, calls[i].ends_at_once };
		if (!calls[i].ends_at_once)
			CHECK_OK(soq_spawn(scope, make_attempt, &a[i]));
	}
	for (int n = 0; n < 4; n++)
		CHECK_OK(soq_yield());
	soq_scope_cancel(scope);
	CHECK_OK(soq_scope_wait(scope));
	for (size_t i = 0; i < CALLS; i++) {
		ROW("%s", calls[i].name);
		CHECK(a[i].ended);
		/* Those that would share a stream with another did not begin. */
		if (a[i].rc != -EBUSY && !calls[i].ends_at_once)
			CHECK_ERR(a[i].rc, -ECANCELED);
	}
	soq_scope_close(scope);
	world_close(&w);
}

/* ---- only trying ---- */

CONTRACT(fiber_poll_only)
{
	struct world w;
	struct soq_stream *s, *peer;
	int rc;

	world_open(&w);
	soq_set_recv_timeout(w.silent[0], 0);
	soq_set_send_timeout(w.full[0], 0);
	soq_set_accept_timeout(w.listener, 0);
	soq_dgram_set_recv_timeout(w.quiet[0], 0);
	soq_dgram_set_send_timeout(w.clogged[0], 0);
	for (size_t i = 3; i < 16; i++) {
		ROW("%s", calls[i].name);
		CHECK_ERR(calls[i].perform(&w), -ETIMEDOUT);
	}
	CHECK_EQ(soq_send(w.silent[1], "ab\n", 3), 3);
	CHECK_OK(do_wait_readable(&w));
	CHECK_EQ(soq_recv(w.silent[0], w.buf, 1), 1);
	CHECK_EQ(do_recv_line(&w), 1);
	CHECK_STR(w.buf, "b");
	CHECK_ERR(do_recv_line(&w), -ETIMEDOUT);
	CHECK_EQ(soq_sendto(w.quiet[1], "abc", 3, NULL), 3);
	CHECK_EQ(do_recvfrom(&w), 3);
	CHECK_ERR(do_recvfrom(&w), -ETIMEDOUT);
	CHECK_OK(soq_connect(&peer, w.endpoint));
	while ((rc = soq_accept(&s, w.listener)) == -ETIMEDOUT) /* it may be on its way */
		CHECK_OK(soq_yield());
	CHECK_OK(rc);
	CHECK_ERR(do_accept(&w), -ETIMEDOUT);
	soq_close(s);
	soq_close(peer);
	world_close(&w);
}

/* ---- nothing is lost ---- */

/* Where giving and cancelling come together, what was given is received. */
CONTRACT(fiber_gift_wins_over_cancellation)
{
	struct world w;
	struct attempt a;
	struct soq_scope *scope;
	const struct call get = { "queue_get", do_queue_get, false },
			  wait = { "event_wait", do_event_wait, false },
			  put = { "queue_put", do_queue_put, false };
	void *item;

	world_open(&w);
	scope = begin(&a, &get, &w);
	CHECK_OK(soq_yield());
	CHECK_OK(soq_queue_put(w.empty, &w));
	soq_scope_cancel(scope);
	end(scope, &a, 0);
	scope = begin(&a, &wait, &w);
	CHECK_OK(soq_yield());
	soq_event_set(w.event);
	soq_event_reset(w.event);
	soq_scope_cancel(scope);
	end(scope, &a, 0);
	scope = begin(&a, &put, &w);
	CHECK_OK(soq_yield());
	CHECK_OK(soq_queue_get(w.filled, &item));
	soq_scope_cancel(scope);
	end(scope, &a, 0);
	world_close(&w);
}

/* The other way round: cancelled first, given meanwhile. Either, but never half of it. */
CONTRACT(fiber_gift_after_cancellation)
{
	struct world w;
	struct attempt a;
	struct soq_scope *scope;
	const struct call get = { "queue_get", do_queue_get, false };
	void *item = NULL;

	world_open(&w);
	scope = begin(&a, &get, &w);
	CHECK_OK(soq_yield());
	soq_scope_cancel(scope);
	CHECK_OK(soq_queue_put(w.empty, &w));
	CHECK_OK(soq_scope_wait(scope));
	CHECK(a.rc == 0 || a.rc == -ECANCELED);
	if (a.rc == -ECANCELED)
		CHECK_OK(soq_queue_get(w.empty, &item));
	soq_deadline(soq_now());
	CHECK_ERR(soq_queue_get(w.empty, &item), -ETIMEDOUT);
	soq_deadline_restore(SOQ_NEVER);
	soq_scope_close(scope);
	world_close(&w);
}

/* A sender of numbered bytes; receivers that are cancelled or whose time is over at any
 * moment. Every byte arrives once, in order. */
struct flow {
	struct soq_stream *pair[2];
	unsigned total, received, stopped;
	int64_t patience_ns;
};

static void send_flow(void *arg)
{
	struct flow *f = arg;
	unsigned char block[7];
	uint64_t seed = 3;

	for (unsigned at = 0; at < f->total;) {
		size_t len = 1 + draw(&seed) % sizeof block;

		len = len < f->total - at ? len : f->total - at;
		for (size_t i = 0; i < len; i++)
			block[i] = (unsigned char)(at + i);
		CHECK_EQ(soq_send(f->pair[0], block, len), len);
		at += (unsigned)len;
		if (draw(&seed) % 4 == 0)
			for (uint64_t n = draw(&seed) % 8; n > 0; n--)
				CHECK_OK(soq_yield());
	}
	CHECK_OK(soq_shutdown(f->pair[0]));
}

static void receive_some(void *arg)
{
	struct flow *f = arg;
	unsigned char block[5];

	soq_deadline(soq_now() + f->patience_ns);
	for (;;) {
		ssize_t n = soq_recv(f->pair[1], block, sizeof block);

		if (n <= 0) {
			CHECK(n == 0 || n == -ETIMEDOUT || n == -ECANCELED);
			f->stopped += n < 0;
			return;
		}
		for (ssize_t i = 0; i < n; i++)
			CHECK_EQ(block[i], (unsigned char)(f->received + (unsigned)i));
		f->received += (unsigned)n;
	}
}

static void flow_through(struct flow *f)
{
	struct soq_scope *sender = scope_open(), *scope;
	uint64_t seed = 11;

	CHECK_OK(soq_spawn(sender, send_flow, f));
	while (f->received < f->total) {
		scope = scope_open();
		f->patience_ns = (int64_t)(draw(&seed) % (150 * SOQ_US));
		CHECK_OK(soq_spawn(scope, receive_some, f));
		for (uint64_t n = draw(&seed) % 8; n > 0; n--)
			CHECK_OK(soq_yield());
		if (draw(&seed) % 2)
			CHECK_OK(soq_scope_wait(scope));
		soq_scope_close(scope); /* cancels */
	}
	CHECK_OK(soq_scope_wait(sender));
	soq_scope_close(sender);
	CHECK_EQ(f->received, f->total);
	CHECK(f->stopped > 0);
}

CONTRACT(fiber_cancelled_receive_loses_nothing)
{
	struct soq_listener *l;
	struct soq_addr addr;
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];

	for (int tcp = 0; tcp < 2; tcp++) {
		struct flow f = { .total = test_scale(5000) };

		ROW("%s", tcp ? "TCP" : "Unix");
		if (tcp) {
			CHECK_OK(soq_listen(&l, "tcp://127.0.0.1:0", NULL));
			CHECK_OK(soq_listener_addr(l, &addr));
			soq_addr_endpoint(endpoint, sizeof endpoint, SOQ_SCHEME_TCP, &addr);
			CHECK_OK(soq_connect(&f.pair[0], endpoint));
			CHECK_OK(soq_accept(&f.pair[1], l));
			soq_listener_close(l);
		} else {
			CHECK_OK(soq_pair(f.pair));
		}
		flow_through(&f);
		soq_close(f.pair[0]);
		soq_close(f.pair[1]);
	}
}

/* ---- a cancelled receive never writes later ---- */

static void abandon_then_send(struct world *w, const struct call *call, bool by_deadline)
{
	struct attempt a;
	struct soq_scope *scope;
	char text[64], poison[sizeof w->buf];

	if (by_deadline)
		soq_deadline(soq_now() + 100 * SOQ_US);
	scope = begin(&a, call, w);
	soq_deadline_restore(SOQ_NEVER);
	CHECK_OK(soq_yield());
	if (!by_deadline)
		soq_scope_cancel(scope);
	end(scope, &a, by_deadline ? -ETIMEDOUT : -ECANCELED);
	memset(w->buf, 0x5a, sizeof w->buf);
	memset(&w->addr, 0x5a, sizeof w->addr);
	memset(poison, 0x5a, sizeof poison);
	if (call->perform == do_recvfrom || call->perform == do_recv_packets) {
		CHECK_EQ(soq_sendto(w->quiet[1], "0123456789abcde\n", 16, NULL), 16);
		CHECK_EQ(soq_recvfrom(w->quiet[0], text, sizeof text, NULL), 16);
	} else {
		CHECK_EQ(soq_send(w->silent[1], "0123456789abcde\n", 16), 16);
		CHECK_EQ(soq_recv_full(w->silent[0], text, 16), 16);
	}
	CHECK_MEM(text, "0123456789abcde\n", 16);
	CHECK_OK(soq_yield());
	CHECK_MEM(w->buf, poison, sizeof poison);
	CHECK_MEM(&w->addr, poison, sizeof w->addr < sizeof poison ? sizeof w->addr : 64);
}

CONTRACT(fiber_cancelled_receive_writes_nothing_later)
{
	struct world w;

	world_open(&w);
	for (size_t i = 0; i < CALLS; i++) {
		if (strncmp(calls[i].name, "recv", 4) != 0 || calls[i].perform == do_recv_fd)
			continue;
		for (int n = 0; n < 10; n++) {
			ROW("%s, %s", calls[i].name, n % 2 ? "deadline" : "cancelled");
			abandon_then_send(&w, &calls[i], n % 2);
		}
	}
	world_close(&w);
}
