/* differential.c - the same calls on the kernel's engines and in a simulated world: what a
 * program sees is the same, call by call, error by error.
 *
 * A case writes a line for each call's result. It runs on epoll, uring and sim, each in a
 * thread of its own, and the lines must be equal. No case waits for a time to pass; where one
 * side must have seen what the other did, it waits for that event.
 */
#include "test.h"
#include <soquete/soquete.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

struct side {
	FILE *out;
	const char *engine;
};

/* "0", "5", "Connection refused". */
static void say(struct side *d, const char *what, int64_t rc)
{
	if (rc < 0)
		fprintf(d->out, "%s: %s\n", what, soq_strerror((int)rc));
	else
		fprintf(d->out, "%s: %lld\n", what, (long long)rc);
}

static void note(struct side *d, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(d->out, format, args);
	va_end(args);
	fputc('\n', d->out);
}

/* ---- pieces ---- */

struct link {
	struct soq_listener *listener;
	struct soq_stream *near, *far;
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
};

static void listen_at(struct link *l, const char *endpoint)
{
	struct soq_addr addr;

	CHECK_OK(soq_listen(&l->listener, endpoint, NULL));
	CHECK_OK(soq_listener_addr(l->listener, &addr));
	soq_addr_endpoint(l->endpoint, sizeof(l->endpoint),
		addr.sa.sa_family == AF_UNIX ? SOQ_SCHEME_UNIX : SOQ_SCHEME_TCP, &addr);
}

static void link_open(struct link *l, const char *endpoint)
{
	listen_at(l, endpoint);
	CHECK_OK(soq_connect(&l->near, l->endpoint));
	CHECK_OK(soq_accept(&l->far, l->listener));
	soq_listener_close(l->listener);
}

static void tcp_open(struct link *l)
{
	link_open(l, "tcp://127.0.0.1:0");
}

/* A name that no other test has. */
static const char *unix_name(const struct side *d)
{
	static _Thread_local char text[SOQ_ENDPOINT_TEXT_MAX];

	snprintf(text, sizeof(text), "unix://@soquete-diff-%d-%s", (int)getpid(), d->engine);
	return text;
}

static void unix_open(struct side *d, struct link *l)
{
	link_open(l, unix_name(d));
}

static void pair_open(struct link *l)
{
	struct soq_stream *pair[2];

	CHECK_OK(soq_pair(pair));
	l->near = pair[0];
	l->far = pair[1];
}

static void link_close(struct link *l)
{
	soq_close(l->near);
	soq_close(l->far);
}

static void recv_some(struct side *d, const char *what, struct soq_stream *s)
{
	char byte;

	say(d, what, soq_recv(s, &byte, 1));
}

static void recv_text(struct side *d, struct soq_stream *s, size_t len)
{
	char text[64] = "";
	ssize_t n = soq_recv_full(s, text, len);

	say(d, "recv", n);
	if (n > 0)
		note(d, "  '%s'", text);
}

/* ---- TCP: ends ---- */

static void end_in_order(struct side *d)
{
	struct link l;

	tcp_open(&l);
	say(d, "send", soq_send(l.near, "hello", 5));
	recv_text(d, l.far, 5);
	say(d, "shutdown", soq_shutdown(l.near));
	recv_some(d, "far recv", l.far);
	recv_some(d, "far recv again", l.far);
	say(d, "far send", soq_send(l.far, "bye", 3));
	recv_text(d, l.near, 3);
	soq_close(l.far);
	say(d, "near waits", soq_wait_readable(l.near));
	recv_some(d, "near recv", l.near);
	soq_close(l.near);
}

static void end_send_after_shutdown(struct side *d)
{
	struct link l;

	tcp_open(&l);
	say(d, "shutdown", soq_shutdown(l.near));
	say(d, "send", soq_send(l.near, "x", 1));
	say(d, "shutdown again", soq_shutdown(l.near));
	recv_some(d, "far recv", l.far);
	link_close(&l);
}

static void end_both_shut(struct side *d)
{
	struct link l;

	tcp_open(&l);
	say(d, "near shutdown", soq_shutdown(l.near));
	say(d, "far shutdown", soq_shutdown(l.far));
	recv_some(d, "near recv", l.near);
	recv_some(d, "far recv", l.far);
	link_close(&l);
}

/* The peer has closed: the first send is answered by a reset, the next one knows. */
static void end_send_to_closed(struct side *d)
{
	struct link l;

	tcp_open(&l);
	soq_close(l.far);
	say(d, "near waits", soq_wait_readable(l.near));
	say(d, "send", soq_send(l.near, "x", 1));
	say(d, "wait for the reset", soq_wait_fd(soq_fd(l.near), POLLERR));
	say(d, "send again", soq_send(l.near, "x", 1));
	say(d, "and again", soq_send(l.near, "x", 1));
	recv_some(d, "recv", l.near);
	soq_close(l.near);
}

static void end_unread_data(struct side *d)
{
	struct link l;

	tcp_open(&l);
	say(d, "send", soq_send(l.near, "unread", 6));
	say(d, "far waits", soq_wait_readable(l.far));
	soq_close(l.far);
	say(d, "near waits", soq_wait_readable(l.near));
	recv_some(d, "recv", l.near);
	recv_some(d, "recv again", l.near);
	say(d, "send", soq_send(l.near, "x", 1));
	soq_close(l.near);
}

/* What had arrived before the reset is lost with it, as the kernel does. */
static void end_reset_by_linger(struct side *d)
{
	struct link l;

	tcp_open(&l);
	say(d, "linger", soq_set_linger(l.far, 0));
	soq_close(l.far);
	say(d, "near waits", soq_wait_readable(l.near));
	say(d, "send", soq_send(l.near, "x", 1));
	recv_some(d, "recv", l.near);
	recv_some(d, "recv again", l.near);
	say(d, "shutdown", soq_shutdown(l.near));
	soq_close(l.near);
}

static void end_finish(struct side *d)
{
	struct link l;

	tcp_open(&l);
	say(d, "send", soq_send(l.near, "data", 4));
	say(d, "far shutdown", soq_shutdown(l.far));
	recv_text(d, l.far, 4);
	say(d, "near finish", soq_finish(l.near));
	recv_some(d, "far recv", l.far);
	say(d, "far finish", soq_finish(l.far));
}

static void end_finish_reset(struct side *d)
{
	struct link l;

	tcp_open(&l);
	soq_set_linger(l.far, 0);
	soq_close(l.far);
	say(d, "near waits", soq_wait_readable(l.near));
	say(d, "finish", soq_finish(l.near));
}

static void end_data_before_end(struct side *d)
{
	struct link l;

	tcp_open(&l);
	say(d, "send", soq_send(l.near, "last words", 10));
	soq_close(l.near);
	recv_text(d, l.far, 10);
	recv_some(d, "recv", l.far);
	soq_close(l.far);
}

/* ---- TCP: beginnings ---- */

static void begin_refused(struct side *d)
{
	struct soq_stream *s;
	struct link l;

	listen_at(&l, "tcp://127.0.0.1:0");
	soq_listener_close(l.listener);
	say(d, "connect", soq_connect(&s, l.endpoint));
	listen_at(&l, "tcp://[::1]:0");
	soq_listener_close(l.listener);
	say(d, "connect by IPv6", soq_connect(&s, l.endpoint));
}

static void begin_port_taken(struct side *d)
{
	struct soq_listener *other;
	struct link l;

	listen_at(&l, "tcp://127.0.0.1:0");
	say(d, "listen", soq_listen(&other, l.endpoint, NULL));
	soq_listener_close(l.listener);
	say(d, "listen when it is free", soq_listen(&other, l.endpoint, NULL));
	soq_listener_close(other);
}

static void begin_port_lingers(struct side *d)
{
	struct soq_listener *other;
	struct link l;

	listen_at(&l, "tcp://127.0.0.1:0");
	CHECK_OK(soq_connect(&l.near, l.endpoint));
	CHECK_OK(soq_accept(&l.far, l.listener));
	soq_listener_close(l.listener);
	soq_close(l.far);
	say(d, "near waits", soq_wait_readable(l.near));
	soq_close(l.near);
	say(d, "listen", soq_listen(&other, l.endpoint, NULL));
	soq_listener_close(other);
}

static void begin_foreign_address(struct side *d)
{
	struct soq_listener *l;

	say(d, "listen", soq_listen(&l, "tcp://192.0.2.1:0", NULL));
	say(d, "listen by IPv6", soq_listen(&l, "tcp://[2001:db8::1]:0", NULL));
}

/* Nobody will ever accept these clients. */
static void begin_listener_closed(struct side *d)
{
	struct link l;

	listen_at(&l, "tcp://127.0.0.1:0");
	CHECK_OK(soq_connect(&l.near, l.endpoint));
	CHECK_OK(soq_wait_fd(soq_listener_fd(l.listener), POLLIN));
	soq_listener_close(l.listener);
	say(d, "near waits", soq_wait_readable(l.near));
	recv_some(d, "recv", l.near);
	recv_some(d, "recv again", l.near);
	soq_close(l.near);
}

static void begin_accept_gone(struct side *d)
{
	struct link l;

	listen_at(&l, "tcp://127.0.0.1:0");
	CHECK_OK(soq_connect(&l.near, l.endpoint));
	CHECK_OK(soq_wait_fd(soq_listener_fd(l.listener), POLLIN));
	say(d, "send", soq_send(l.near, "hello", 5));
	soq_close(l.near);
	say(d, "accept", soq_accept(&l.far, l.listener));
	recv_text(d, l.far, 5);
	recv_some(d, "recv", l.far);
	soq_close(l.far);
	soq_listener_close(l.listener);
}

static void begin_accept_polls(struct side *d)
{
	struct soq_stream *s;
	struct link l;

	listen_at(&l, "tcp://127.0.0.1:0");
	soq_set_accept_timeout(l.listener, 0);
	say(d, "accept", soq_accept(&s, l.listener));
	soq_listener_close(l.listener);
}

static void begin_dual_stack(struct side *d)
{
	char endpoint[64], text[SOQ_ADDR_TEXT_MAX];
	struct soq_addr addr;
	struct link l;

	CHECK_OK(soq_listen(&l.listener, "tcp://:0", NULL));
	CHECK_OK(soq_listener_addr(l.listener, &addr));
	note(d, "family %d", addr.sa.sa_family);
	snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%u", soq_addr_port(&addr));
	say(d, "connect", soq_connect(&l.near, endpoint));
	say(d, "accept", soq_accept(&l.far, l.listener));
	CHECK_OK(soq_peer_addr(l.far, &addr));
	soq_addr_format(text, sizeof(text), &addr);
	*strrchr(text, ':') = '\0';
	note(d, "peer %s, family %d", text, addr.sa.sa_family);
	soq_listener_close(l.listener);
	link_close(&l);
}

static void begin_addresses(struct side *d)
{
	struct soq_addr a, b;
	struct link l;

	link_open(&l, "tcp://[::1]:0");
	CHECK_OK(soq_local_addr(l.near, &a));
	CHECK_OK(soq_peer_addr(l.far, &b));
	note(d, "near is far's peer: %d", soq_addr_equal(&a, &b));
	CHECK_OK(soq_local_addr(l.far, &a));
	CHECK_OK(soq_peer_addr(l.near, &b));
	note(d, "far is near's peer: %d", soq_addr_equal(&a, &b));
	note(d, "families %d %d", a.sa.sa_family, b.sa.sa_family);
	link_close(&l);
}

static void begin_unreachable(struct side *d)
{
	struct soq_stream *s;

	say(d, "connect to broadcast", soq_connect(&s, "tcp://255.255.255.255:9"));
	say(d, "connect to a group", soq_connect(&s, "tcp://224.0.0.1:9"));
}

/* ---- waiting ---- */

static void wait_polls(struct side *d)
{
	struct link l;

	tcp_open(&l);
	soq_set_recv_timeout(l.near, 0);
	recv_some(d, "recv", l.near);
	say(d, "far send", soq_send(l.far, "x", 1));
	say(d, "far shutdown", soq_shutdown(l.far));
	CHECK_OK(soq_wait_fd(soq_fd(l.near), POLLIN));
	recv_some(d, "recv", l.near);
	link_close(&l);
}

static void wait_deadline(struct side *d)
{
	struct link l;

	tcp_open(&l);
	soq_deadline(soq_now());
	recv_some(d, "recv", l.near);
	say(d, "send", soq_send(l.near, "x", 1));
	soq_deadline_restore(SOQ_NEVER);
	say(d, "send", soq_send(l.near, "x", 1));
	recv_some(d, "far recv", l.far);
	link_close(&l);
}

struct receiver {
	struct soq_stream *s;
	ssize_t rc;
};

static void receive(void *arg)
{
	struct receiver *r = arg;
	char byte;

	r->rc = soq_recv(r->s, &byte, 1);
}

static void wait_cancelled(struct side *d)
{
	struct soq_scope *scope;
	struct receiver r;
	struct link l;

	tcp_open(&l);
	r.s = l.near;
	CHECK_OK(soq_scope_open(&scope));
	CHECK_OK(soq_spawn(scope, receive, &r));
	soq_yield();
	recv_some(d, "a second receiver", l.near);
	soq_scope_close(scope);
	say(d, "the cancelled one", r.rc);
	say(d, "far send", soq_send(l.far, "x", 1));
	recv_some(d, "recv", l.near);
	link_close(&l);
}

/* As many bytes go as two buffers hold; they are all there. */
static void fill_and_empty(struct side *d, struct link *l)
{
	static const size_t all = 32 << 20;
	char *block = calloc(1, all);
	ssize_t sent, n = 0;
	size_t received = 0;

	CHECK(block);
	soq_set_send_timeout(l->near, 0);
	sent = soq_send(l->near, block, all);
	note(d, "some are taken: %d, all: %d", sent > 0, sent == (ssize_t)all);
	while (soq_send(l->near, block, 65536) > 0)
		sent += 65536; /* never: what is full stays full, or a part is an end */
	say(d, "send", soq_send(l->near, block, 1));
	soq_shutdown(l->near);
	while ((n = soq_recv(l->far, block, all)) > 0)
		received += (size_t)n;
	say(d, "the end", n);
	note(d, "lost or gained: %lld", (long long)sent - (long long)received);
	free(block);
}

static void wait_full(struct side *d)
{
	struct link l;

	pair_open(&l);
	fill_and_empty(d, &l);
	link_close(&l);
}

static void wait_poll_events(struct side *d)
{
	struct link l;

	tcp_open(&l);
	say(d, "idle", soq_wait_fd(soq_fd(l.near), POLLIN | POLLOUT));
	CHECK_OK(soq_send(l.far, "x", 1));
	CHECK_OK(soq_wait_fd(soq_fd(l.near), POLLIN));
	say(d, "data", soq_wait_fd(soq_fd(l.near), POLLIN | POLLOUT));
	CHECK_OK(soq_shutdown(l.far));
	CHECK_OK(soq_wait_fd(soq_fd(l.near), POLLRDHUP));
	say(d, "end", soq_wait_fd(soq_fd(l.near), POLLIN | POLLOUT | POLLRDHUP));
	CHECK_OK(soq_shutdown(l.near));
	CHECK_OK(soq_wait_fd(soq_fd(l.near), POLLHUP));
	say(d, "both ends", soq_wait_fd(soq_fd(l.near), POLLIN | POLLOUT | POLLRDHUP));
	link_close(&l);
}

static void wait_poll_reset(struct side *d)
{
	struct link l;

	tcp_open(&l);
	soq_set_linger(l.far, 0);
	soq_close(l.far);
	CHECK_OK(soq_wait_fd(soq_fd(l.near), POLLIN));
	say(d, "reset", soq_wait_fd(soq_fd(l.near), POLLIN | POLLOUT | POLLRDHUP));
	soq_close(l.near);
}

/* ---- options ---- */

static void option_results(struct side *d)
{
	struct soq_credentials who;
	struct link l;

	tcp_open(&l);
	say(d, "nodelay", soq_set_nodelay(l.near, false));
	say(d, "cork", soq_set_cork(l.near, true));
	say(d, "uncork", soq_set_cork(l.near, false));
	say(d, "keepalive", soq_set_keepalive(l.near, 5 * SOQ_S, SOQ_S, 3));
	say(d, "keepalive off", soq_set_keepalive(l.near, 0, 0, 0));
	say(d, "no such keepalive", soq_set_keepalive(l.near, 40000 * SOQ_S, SOQ_S, 3));
	say(d, "receive buffer", soq_set_recv_buffer(l.near, 65536));
	say(d, "send buffer", soq_set_send_buffer(l.near, 65536));
	say(d, "linger", soq_set_linger(l.near, 1));
	say(d, "credentials", soq_peer_credentials(l.near, &who));
	link_close(&l);
	pair_open(&l);
	say(d, "nodelay of a pair", soq_set_nodelay(l.near, true));
	say(d, "keepalive of a pair", soq_set_keepalive(l.near, 5 * SOQ_S, SOQ_S, 3));
	link_close(&l);
}

/* ---- Unix streams ---- */

static void unix_refused(struct side *d)
{
	char path[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_stream *s;

	snprintf(path, sizeof(path), "unix://%s/nobody", test_dir());
	say(d, "connect to no path", soq_connect(&s, path));
	say(d, "connect to no name", soq_connect(&s, unix_name(d)));
}

static void unix_taken(struct side *d)
{
	char path[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_listener *a, *b;
	struct soq_stream *s;
	struct soq_dgram *g;

	snprintf(path, sizeof(path), "unix://%s/%s", test_dir(), d->engine);
	CHECK_OK(soq_listen(&a, path, NULL));
	say(d, "listen", soq_listen(&b, path, NULL));
	memmove(path + 8, path + 4, strlen(path + 4) + 1);
	memcpy(path, "unixgram", 8);
	say(d, "connect by datagrams", soq_dgram_connect(&g, path));
	soq_listener_close(a);
	memmove(path + 4, path + 8, strlen(path + 8) + 1);
	memcpy(path, "unix", 4);
	say(d, "connect when it is closed", soq_connect(&s, path));
	say(d, "listen when it is closed", soq_listen(&b, path, NULL));
	soq_listener_close(b);
}

static void unix_unread_data(struct side *d)
{
	struct link l;

	unix_open(d, &l);
	say(d, "send", soq_send(l.near, "unread", 6));
	soq_close(l.far);
	recv_some(d, "recv", l.near);
	recv_some(d, "recv again", l.near);
	say(d, "send", soq_send(l.near, "x", 1));
	soq_close(l.near);
}

static void unix_half_close(struct side *d)
{
	struct link l;

	pair_open(&l);
	say(d, "shutdown", soq_shutdown(l.near));
	say(d, "send", soq_send(l.near, "x", 1));
	recv_some(d, "far recv", l.far);
	say(d, "far send", soq_send(l.far, "bye", 3));
	soq_close(l.far);
	recv_text(d, l.near, 3);
	recv_some(d, "recv", l.near);
	say(d, "send", soq_send(l.near, "x", 1));
	soq_close(l.near);
}

static void unix_listener_closed(struct side *d)
{
	struct link l;

	listen_at(&l, unix_name(d));
	CHECK_OK(soq_connect(&l.near, l.endpoint));
	soq_listener_close(l.listener);
	recv_some(d, "recv", l.near);
	recv_some(d, "recv again", l.near);
	say(d, "send", soq_send(l.near, "x", 1));
	soq_close(l.near);
}

static void unix_descriptors(struct side *d)
{
	struct soq_stream *passed[2], *arrived;
	struct link l;
	int fd;

	pair_open(&l);
	CHECK_OK(soq_pair(passed));
	say(d, "send_fd", soq_send_fd(l.near, soq_fd(passed[0])));
	soq_close(passed[0]);
	say(d, "recv_fd", soq_recv_fd(l.far, &fd) < 0);
	say(d, "adopt", soq_adopt(&arrived, fd));
	say(d, "send through it", soq_send(arrived, "through", 7));
	recv_text(d, passed[1], 7);
	soq_close(arrived);
	recv_some(d, "recv", passed[1]);
	soq_close(passed[1]);
	say(d, "send", soq_send(l.near, "x", 1));
	say(d, "recv_fd of a byte", soq_recv_fd(l.far, &fd));
	soq_close(l.near);
	say(d, "recv_fd at the end", soq_recv_fd(l.far, &fd));
	soq_close(l.far);
}

static void unix_poll_events(struct side *d)
{
	struct link l;

	pair_open(&l);
	say(d, "idle", soq_wait_fd(soq_fd(l.near), POLLIN | POLLOUT));
	CHECK_OK(soq_send(l.far, "x", 1));
	say(d, "data", soq_wait_fd(soq_fd(l.near), POLLIN | POLLOUT));
	CHECK_OK(soq_shutdown(l.far));
	say(d, "end", soq_wait_fd(soq_fd(l.near), POLLIN | POLLOUT | POLLRDHUP));
	soq_close(l.far);
	say(d, "closed", soq_wait_fd(soq_fd(l.near), POLLIN | POLLOUT | POLLRDHUP));
	soq_close(l.near);
}

/* ---- datagrams ---- */

static void dgram_bound(struct soq_dgram **ret, char endpoint[SOQ_ENDPOINT_TEXT_MAX])
{
	struct soq_addr addr;

	CHECK_OK(soq_dgram_open(ret, "udp://127.0.0.1:0"));
	CHECK_OK(soq_dgram_addr(*ret, &addr));
	soq_addr_endpoint(endpoint, SOQ_ENDPOINT_TEXT_MAX, SOQ_SCHEME_UDP, &addr);
}

static void udp_refused(struct side *d)
{
	char endpoint[SOQ_ENDPOINT_TEXT_MAX], byte;
	struct soq_dgram *g;

	dgram_bound(&g, endpoint);
	soq_dgram_close(g);
	say(d, "connect", soq_dgram_connect(&g, endpoint));
	say(d, "send", soq_sendto(g, "x", 1, NULL));
	say(d, "the error comes", soq_wait_fd(soq_dgram_fd(g), POLLERR) > 0);
	say(d, "recv", soq_recvfrom(g, &byte, 1, NULL));
	soq_dgram_set_recv_timeout(g, 0);
	say(d, "recv again", soq_recvfrom(g, &byte, 1, NULL));
	say(d, "send", soq_sendto(g, "x", 1, NULL));
	say(d, "the error comes", soq_wait_fd(soq_dgram_fd(g), POLLERR) > 0);
	say(d, "send again", soq_sendto(g, "x", 1, NULL));
	soq_dgram_close(g);
}

static void udp_lengths(struct side *d)
{
	static char big[70000];
	char endpoint[SOQ_ENDPOINT_TEXT_MAX], some[4];
	struct soq_dgram *g, *to;

	dgram_bound(&to, endpoint);
	CHECK_OK(soq_dgram_connect(&g, endpoint));
	say(d, "too long", soq_sendto(g, big, sizeof(big), NULL));
	say(d, "one more than fits", soq_sendto(g, big, 65508, NULL));
	say(d, "what just fits", soq_sendto(g, big, 65507, NULL));
	say(d, "recv it", soq_recvfrom(to, big, sizeof(big), NULL));
	say(d, "empty", soq_sendto(g, "", 0, NULL));
	say(d, "recv it", soq_recvfrom(to, some, sizeof(some), NULL));
	say(d, "send", soq_sendto(g, "truncated", 9, NULL));
	say(d, "recv it", soq_recvfrom(to, some, sizeof(some), NULL));
	note(d, "  '%.4s'", some);
	soq_dgram_close(g);
	soq_dgram_close(to);
}

static void udp_misused(struct side *d)
{
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_dgram *g;
	struct soq_addr to;

	dgram_bound(&g, endpoint);
	say(d, "to nobody", soq_sendto(g, "x", 1, NULL));
	CHECK_OK(soq_dgram_resolve(&to, "udp://255.255.255.255:9"));
	say(d, "broadcast", soq_sendto(g, "x", 1, &to));
	CHECK_OK(soq_dgram_resolve(&to, "udp://[::1]:9"));
	say(d, "to another family", soq_sendto(g, "x", 1, &to));
	say(d, "leave what was not joined", soq_dgram_leave(g, "224.1.2.3", NULL));
	say(d, "join no group", soq_dgram_join(g, "127.0.0.1", NULL));
	soq_dgram_close(g);
}

/* A connected socket hears its peer only. */
static void udp_connected(struct side *d)
{
	char endpoint[SOQ_ENDPOINT_TEXT_MAX], byte;
	struct soq_dgram *server, *client, *stranger;
	struct soq_addr client_addr;

	dgram_bound(&server, endpoint);
	CHECK_OK(soq_dgram_connect(&client, endpoint));
	CHECK_OK(soq_dgram_addr(client, &client_addr));
	CHECK_OK(soq_dgram_open(&stranger, "udp://127.0.0.1:0"));
	say(d, "stranger", soq_sendto(stranger, "s", 1, &client_addr));
	say(d, "server", soq_sendto(server, "p", 1, &client_addr));
	say(d, "recv", soq_recvfrom(client, &byte, 1, NULL));
	note(d, "  '%c'", byte);
	soq_dgram_set_recv_timeout(client, 0);
	say(d, "recv again", soq_recvfrom(client, &byte, 1, NULL));
	soq_dgram_close(stranger);
	soq_dgram_close(client);
	soq_dgram_close(server);
}

static void udp_port_taken(struct side *d)
{
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_dgram *g, *other;

	dgram_bound(&g, endpoint);
	say(d, "open", soq_dgram_open(&other, endpoint));
	say(d, "open shared", soq_dgram_open_shared(&other, endpoint));
	soq_dgram_close(g);
	CHECK_OK(soq_dgram_open_shared(&g, endpoint));
	say(d, "both shared", soq_dgram_open_shared(&other, endpoint));
	soq_dgram_close(other);
	soq_dgram_close(g);
}

/* Where a packet was sent to, for the reply's source. */
static void udp_packet_info(struct side *d)
{
	char endpoint[64], data[16], text[SOQ_ADDR_TEXT_MAX];
	struct soq_packet p = { .data = data, .capacity = sizeof(data) };
	struct soq_dgram *server, *client;
	struct soq_addr addr;

	CHECK_OK(soq_dgram_open(&server, "udp://:0"));
	CHECK_OK(soq_dgram_addr(server, &addr));
	snprintf(endpoint, sizeof(endpoint), "udp://127.0.0.1:%u", soq_addr_port(&addr));
	CHECK_OK(soq_dgram_connect(&client, endpoint));
	say(d, "send", soq_sendto(client, "ask", 3, NULL));
	say(d, "recv", soq_recv_packets(server, &p, 1));
	soq_addr_format(text, sizeof(text), &p.local);
	note(d, "to %s, %zu bytes, truncated %d, interface %u", text, p.len, p.truncated,
		p.ifindex);
	say(d, "reply", soq_reply(server, &p, "answer", 6));
	say(d, "recv", soq_recvfrom(client, data, sizeof(data), NULL));
	soq_dgram_close(client);
	soq_dgram_close(server);
}

static void unixgram_gone(struct side *d)
{
	struct soq_dgram *pair[2], *g;
	char byte;

	CHECK_OK(soq_dgram_pair(pair));
	say(d, "send", soq_sendto(pair[0], "x", 1, NULL));
	say(d, "recv", soq_recvfrom(pair[1], &byte, 1, NULL));
	soq_dgram_close(pair[1]);
	say(d, "send to nobody", soq_sendto(pair[0], "x", 1, NULL));
	soq_dgram_close(pair[0]);
	say(d, "connect to no name", soq_dgram_connect(&g, "unixgram://@soquete-nobody"));
}

/* ---- running ---- */

static const struct {
	const char *name;
	void (*run)(struct side *d);
} cases[] = {
	{ "end in order", end_in_order },
	{ "send after shutdown", end_send_after_shutdown },
	{ "both shut", end_both_shut },
	{ "send to a closed one", end_send_to_closed },
	{ "unread data", end_unread_data },
	{ "reset by linger", end_reset_by_linger },
	{ "finish", end_finish },
	{ "finish after a reset", end_finish_reset },
	{ "data before the end", end_data_before_end },
	{ "refused", begin_refused },
	{ "port taken", begin_port_taken },
	{ "port lingers", begin_port_lingers },
	{ "foreign address", begin_foreign_address },
	{ "listener closed", begin_listener_closed },
	{ "accept who has gone", begin_accept_gone },
	{ "accept polls", begin_accept_polls },
	{ "dual stack", begin_dual_stack },
	{ "addresses", begin_addresses },
	{ "unreachable", begin_unreachable },
	{ "polls", wait_polls },
	{ "deadline", wait_deadline },
	{ "cancelled", wait_cancelled },
	{ "full", wait_full },
	{ "poll events", wait_poll_events },
	{ "poll events of a reset", wait_poll_reset },
	{ "options", option_results },
	{ "unix refused", unix_refused },
	{ "unix taken", unix_taken },
	{ "unix unread data", unix_unread_data },
	{ "unix half-close", unix_half_close },
	{ "unix listener closed", unix_listener_closed },
	{ "unix descriptors", unix_descriptors },
	{ "unix poll events", unix_poll_events },
	{ "udp refused", udp_refused },
	{ "udp lengths", udp_lengths },
	{ "udp misused", udp_misused },
	{ "udp connected", udp_connected },
	{ "udp port taken", udp_port_taken },
	{ "udp packet info", udp_packet_info },
	{ "unixgram gone", unixgram_gone },
};

struct run {
	void (*run)(struct side *d);
	struct side side;
	char *text;
	size_t len;
};

static void *run_main(void *arg)
{
	struct run *r = arg;

	r->side.out = open_memstream(&r->text, &r->len);
	CHECK(r->side.out);
	CHECK_STR(soq_engine_name(), r->side.engine);
	r->run(&r->side);
	CHECK_OK(soq_thread_end());
	fclose(r->side.out);
	return NULL;
}

/* @return what the program saw; the caller's to free */
static char *run_on(const char *engine, void (*run)(struct side *d))
{
	struct run r = { .run = run, .side.engine = engine };
	pthread_t thread;

	CHECK_OK(soq_engine_select(engine));
	CHECK_EQ(pthread_create(&thread, NULL, run_main, &r), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(r.len > 0);
	return r.text;
}

static bool can_have(const char *engine)
{
	const char *name, *refusal;

	for (size_t i = 0; soq_engine_list(i, &name, &refusal) == 0; i++)
		if (strcmp(name, engine) == 0)
			return !*refusal;
	return false;
}

static void compare(const char *one, const char *other)
{
	if (!can_have(one))
		SKIP("this machine has no %s", one);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *a = run_on(one, cases[i].run), *b = run_on(other, cases[i].run);

		ROW("%s: %s, then %s", cases[i].name, one, other);
		CHECK_STR(a, b);
		free(a);
		free(b);
	}
}

TEST(sim_differential_epoll)
{
	compare("epoll", "sim");
}

TEST(sim_differential_uring)
{
	compare("uring", "sim");
}
