/* net_tls.c - what only streams with TLS do: handshakes, ends that are said and ends that are
 * not, TLS that begins in mid-stream.
 */
#include "contract/net.h"

static const enum link_kind versions[] = { TLS13, TLS12 };

#define EACH_VERSION(i) for (size_t i = 0; i < 2; i++)

static void need_tls(void)
{
	if (!have_tls())
		SKIP("this build has no TLS");
}

/* The bytes that came before are there; then an end, or the want of one. */
CONTRACT(tls_tells_a_cut_from_an_end)
{
	struct link l;
	char buf[8];

	need_tls();
	EACH_VERSION(i)
	{
		link_open(&l, versions[i]);
		CHECK_EQ(soq_send_text(l.far, "whole"), 5);
		CHECK_OK(soq_shutdown(l.far));
		CHECK_EQ(soq_recv_full(l.near, buf, 5), 5);
		CHECK_EQ(soq_recv(l.near, buf, sizeof(buf)), 0);
		link_close(&l);

		link_open(&l, versions[i]);
		CHECK_EQ(soq_send_text(l.far, "part"), 4);
		soq_close(l.far);
		CHECK_EQ(soq_recv_full(l.near, buf, 4), 4);
		CHECK_ERR(soq_recv(l.near, buf, sizeof(buf)), -SOQ_ETRUNCATED);
		CHECK(strstr(soq_last_error(), "cut off"));
		CHECK_ERR(soq_recv(l.near, buf, sizeof(buf)), -SOQ_ETRUNCATED);
		soq_close(l.near);
	}
}

struct shaking {
	struct soq_stream *stream;
	struct soq_tls *tls;
};

static void serve_tls(void *arg)
{
	struct shaking *s = arg;

	CHECK_OK(soq_start_tls_server(s->stream, s->tls));
	CHECK_EQ(soq_send_text(s->stream, "safe\r\n"), 6);
}

/* What an attacker has put behind the last line in clear is not taken for what TLS brings. */
CONTRACT(tls_forgets_what_came_in_clear)
{
	struct link l;
	struct link_tls t;
	struct shaking server;
	struct soq_scope *scope = scope_open();
	char line[32];

	need_tls();
	t = link_tls_new(SOQ_TLS_ANY);
	link_open(&l, PAIR);
	server = (struct shaking){ l.far, t.server };
	CHECK_EQ(soq_send_text(l.far, "220 ready\r\nevil\r\n"), 17);
	CHECK_EQ(soq_recv_line(l.near, line, sizeof(line)), 9);
	go(scope, serve_tls, &server);
	CHECK_OK(soq_start_tls(l.near, t.client, "localhost"));
	CHECK_EQ(soq_recv_line(l.near, line, sizeof(line)), 4);
	CHECK_STR(line, "safe");
	CHECK_ERR(soq_start_tls(l.near, t.client, "localhost"), -EALREADY);
	scope_join(scope);
	link_close(&l);
	link_tls_free(&t);
}

static void send_hello(void *arg)
{
	CHECK_EQ(soq_send_text(arg, "hello"), 5);
}

static void recv_hello(void *arg)
{
	char buf[5];

	CHECK_EQ(soq_recv_full(arg, buf, 5), 5);
	CHECK_MEM(buf, "hello", 5);
}

/* Whichever of them begins the handshake, both go on when it is over. */
CONTRACT(tls_both_flows_begin_at_once)
{
	struct soq_listen_options opt = { 0 };
	struct soq_scope *scope = scope_open();
	struct soq_listener *listener;
	struct link_tls t;
	struct link l;

	need_tls();
	t = link_tls_new(SOQ_TLS_ANY);
	opt.tls = t.server;
	CHECK_OK(soq_listen(&listener, "tcp://127.0.0.1:0", &opt));
	l.near = client_new(listener);
	CHECK_OK(soq_accept(&l.far, listener));
	go(scope, recv_hello, l.far);
	go(scope, send_hello, l.far);
	CHECK_OK(soq_start_tls(l.near, t.client, "localhost"));
	recv_hello(l.near);
	send_hello(l.near);
	scope_join(scope);
	link_close(&l);
	soq_listener_close(listener);
	link_tls_free(&t);
}

/* A peer that is silent in the handshake costs a receive its time-out, and nothing else. */
CONTRACT(tls_handshake_goes_on_after_a_timeout)
{
	struct soq_listen_options opt = { 0 };
	struct soq_listener *listener;
	struct soq_scope *scope = scope_open();
	struct link_tls t;
	struct link l;
	char byte;

	need_tls();
	t = link_tls_new(SOQ_TLS_ANY);
	opt.tls = t.server;
	CHECK_OK(soq_listen(&listener, "tcp://127.0.0.1:0", &opt));
	l.near = client_new(listener);
	CHECK_OK(soq_accept(&l.far, listener));
	soq_set_recv_timeout(l.far, SOQ_MS);
	CHECK_ERR(soq_recv(l.far, &byte, 1), -ETIMEDOUT);
	CHECK_ERR(soq_wait_readable(l.far), -ETIMEDOUT);
	soq_set_recv_timeout(l.far, SOQ_NEVER);
	go(scope, recv_hello, l.far);
	CHECK_OK(soq_start_tls(l.near, t.client, "localhost"));
	send_hello(l.near);
	scope_join(scope);
	link_close(&l);
	soq_listener_close(listener);
	link_tls_free(&t);
}

#define STREAM_BYTES ((size_t)150000)

/* None, too little, and enough as a rule. */
static int64_t some_patience(unsigned *seed)
{
	static const int64_t patience[] = { 0, 20 * SOQ_US, 2 * SOQ_MS };

	return patience[next_random(seed) % 3];
}

struct impatient {
	struct soq_stream *stream;
	unsigned seed;
};

/* Sends all of it, with time-outs that cut many a send short. */
static void send_impatiently(void *arg)
{
	struct impatient *i = arg;
	static char bytes[50000];
	size_t sent = 0;

	while (sent < STREAM_BYTES) {
		size_t len = 1 + next_random(&i->seed) % sizeof(bytes);
		ssize_t n;

		len = len < STREAM_BYTES - sent ? len : STREAM_BYTES - sent;
		pattern_fill(bytes, sent, len);
		soq_set_send_timeout(i->stream, some_patience(&i->seed));
		n = soq_send(i->stream, bytes, len);
		CHECK(n > 0 || n == -ETIMEDOUT);
		sent += n > 0 ? (size_t)n : 0;
		CHECK_OK(soq_yield());
	}
	soq_set_send_timeout(i->stream, SOQ_NEVER);
	CHECK_OK(soq_shutdown(i->stream));
}

/* Receives likewise: no byte is lost, doubled or moved. */
CONTRACT(tls_timeouts_lose_nothing)
{
	struct link l;

	need_tls();
	EACH_VERSION(i)
	{
		struct soq_scope *scope = scope_open();
		struct impatient sender;
		unsigned seed = 7;
		size_t got = 0;
		char buf[20000];
		ssize_t n;

		link_open(&l, versions[i]);
		CHECK_OK(soq_set_send_buffer(l.near, 10000));
		CHECK_OK(soq_set_recv_buffer(l.far, 10000));
		sender = (struct impatient){ l.near, 3 };
		go(scope, send_impatiently, &sender);
		do {
			soq_set_recv_timeout(l.far, some_patience(&seed));
			n = soq_recv(l.far, buf, 1 + next_random(&seed) % sizeof(buf));
			CHECK(n >= 0 || n == -ETIMEDOUT);
			if (n > 0)
				pattern_check(buf, got, (size_t)n);
			got += n > 0 ? (size_t)n : 0;
			CHECK_OK(soq_yield());
		} while (n != 0);
		CHECK_EQ(got, STREAM_BYTES);
		scope_join(scope);
		link_close(&l);
	}
}
