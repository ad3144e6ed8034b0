/* net.h - connected streams of every kind, clients of listeners, and data that can be checked
 * at any offset.
 */
#ifndef CONTRACT_NET_H
#define CONTRACT_NET_H

#include "contract/fiber.h"
#include "fiber/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- data ---- */

/* The byte at an offset; its period is no power of two. */
static inline unsigned char pattern_at(size_t offset)
{
	return (unsigned char)(offset * 7 + offset / 251 + offset / 65521);
}

static inline void pattern_fill(void *buf, size_t offset, size_t len)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = pattern_at(offset + i);
}

static inline void pattern_check(const void *buf, size_t offset, size_t len)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		if (p[i] != pattern_at(offset + i))
			CHECK_EQ(offset + i, (size_t)-1); /* shows where */
}

/* A small generator with a seed, for sizes. */
static inline unsigned next_random(unsigned *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* ---- connected streams ---- */

enum link_kind {
	TCP4,
	TCP6,
	DUAL,
	UNIX_PATH,
	UNIX_ABSTRACT,
	PAIR,
	FD,
	CLEAR_KINDS, /* those above speak in clear */
	TLS13 = CLEAR_KINDS,
	TLS12,
	TLS_UNIX,
	ALL_KINDS,
};

static const char *const link_names[] = { "tcp4", "tcp6", "dual stack", "unix path",
	"unix abstract", "pair", "fd", "tls 1.3", "tls 1.2", "tls over unix" };

struct link {
	struct soq_stream *near, *far;
};

static inline bool link_is_tcp(enum link_kind kind)
{
	return kind <= DUAL || kind == TLS13 || kind == TLS12;
}

/* Whether this machine has ::1. */
static inline bool have_ipv6(void)
{
	struct soq_listener *l;

	if (soq_listen(&l, "tcp://[::1]:0", NULL) < 0)
		return false;
	soq_listener_close(l);
	return true;
}

static inline bool link_is_tls(enum link_kind kind)
{
	return kind >= CLEAR_KINDS;
}

/* Whether this build has TLS. */
static inline bool have_tls(void)
{
	struct soq_tls *tls;
	int rc = soq_tls_new(&tls, &(struct soq_tls_options){ .insecure = true });

	if (rc == -EPROTONOSUPPORT)
		return false;
	CHECK_OK(rc);
	soq_tls_free(tls);
	return true;
}

/* How many kinds of links there are here. */
static inline enum link_kind link_kinds(void)
{
	static enum link_kind kinds;

	if (!kinds)
		kinds = have_tls() ? ALL_KINDS : CLEAR_KINDS;
	return kinds;
}

/* An endpoint to listen on, of a kind that listens. */
static inline const char *link_endpoint(enum link_kind kind)
{
	static char text[SOQ_ENDPOINT_TEXT_MAX];

	switch (kind) {
	case TCP4:
	case TLS13:
	case TLS12:
		return "tcp://127.0.0.1:0";
	case TCP6:
		return have_ipv6() ? "tcp://[::1]:0" : "tcp://127.0.0.1:0";
	case DUAL:
		return "tcp://:0";
	case UNIX_PATH:
		snprintf(text, sizeof(text), "unix://%s/link", test_dir());
		return text;
	default:
		snprintf(text, sizeof(text), "unix://@soquete-test-%d", (int)getpid());
		return text;
	}
}

/* What to connect to for a listener's clients. */
static inline void listener_endpoint(char text[SOQ_ENDPOINT_TEXT_MAX], struct soq_listener *l)
{
	struct soq_addr addr;

	CHECK_OK(soq_listener_addr(l, &addr));
	if (addr.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&addr.in6.sin6_addr))
		snprintf(text, SOQ_ENDPOINT_TEXT_MAX, "tcp://127.0.0.1:%u",
			soq_addr_port(&addr));
	else
		soq_addr_endpoint(text, SOQ_ENDPOINT_TEXT_MAX,
			addr.sa.sa_family == AF_UNIX ? SOQ_SCHEME_UNIX : SOQ_SCHEME_TCP, &addr);
}

/* Another client of a listener; it waits to be accepted. */
static inline struct soq_stream *client_new(struct soq_listener *l)
{
	char text[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_stream *s;

	listener_endpoint(text, l);
	CHECK_OK(soq_connect(&s, text));
	return s;
}

/* Streams that were descriptors in between. */
static inline void link_adopted(struct link *l)
{
	struct soq_stream *pair[2];
	char text[32];

	CHECK_OK(soq_pair(pair));
	snprintf(text, sizeof(text), "fd://%d", (int)CHECK_OK(soq_detach(pair[0])));
	CHECK_OK(soq_connect(&l->near, text));
	CHECK_OK(soq_adopt(&l->far, (int)CHECK_OK(soq_detach(pair[1]))));
}

/* What both ends of a link with TLS go by. */
struct link_tls {
	struct soq_tls *server, *client;
};

/* A server that signs its own certificate, and a client that trusts it. */
static inline struct link_tls link_tls_new(enum soq_tls_version version)
{
	struct link_tls t;
	char file[256];
	struct soq_certificate_options made = { .replace = true };
	struct soq_tls_options server = {
		.certificate = file, .min_version = version, .max_version = version
	};
	struct soq_tls_options client = { .ca = file };

	snprintf(file, sizeof(file), "%s/certificate.pem", test_dir());
	CHECK_OK(soq_make_certificate(file, NULL, &made));
	CHECK_OK(soq_tls_new(&t.server, &server));
	CHECK_OK(soq_tls_new(&t.client, &client));
	return t;
}

static inline void link_tls_free(struct link_tls *t)
{
	soq_tls_free(t->server);
	soq_tls_free(t->client);
}

static inline void link_serve_tls(void *arg)
{
	CHECK_OK(soq_handshake(arg));
}

/* Let two connected streams shake hands, the far one as the server. */
static inline void link_start_tls(struct link *l, struct link_tls *t)
{
	struct soq_scope *scope;

	CHECK_OK(soq_scope_open(&scope));
	CHECK_OK(soq_spawn(scope, link_serve_tls, l->far));
	CHECK_OK(soq_start_tls(l->near, t->client, "localhost"));
	CHECK_OK(soq_scope_wait(scope));
	soq_scope_close(scope);
}

static inline void link_open_tls(struct link *l, enum link_kind kind)
{
	struct link_tls t = link_tls_new(kind == TLS12 ? SOQ_TLS_1_2 : SOQ_TLS_1_3);
	struct soq_listen_options opt = { .tls = t.server };
	struct soq_listener *listener;

	CHECK_OK(soq_listen(&listener, link_endpoint(kind), &opt));
	l->near = client_new(listener);
	CHECK_OK(soq_accept(&l->far, listener));
	soq_listener_close(listener);
	link_start_tls(l, &t);
	link_tls_free(&t);
}

/* Connected streams; a client is connected before anybody accepts it. */
static inline void link_open(struct link *l, enum link_kind kind)
{
	struct soq_stream *pair[2];
	struct soq_listener *listener;

	ROW("%s", link_names[kind]);
	if (kind == PAIR) {
		CHECK_OK(soq_pair(pair));
		*l = (struct link){ pair[0], pair[1] };
	} else if (kind == FD) {
		link_adopted(l);
	} else if (link_is_tls(kind)) {
		link_open_tls(l, kind);
	} else {
		CHECK_OK(soq_listen(&listener, link_endpoint(kind), NULL));
		l->near = client_new(listener);
		CHECK_OK(soq_accept(&l->far, listener));
		soq_listener_close(listener);
	}
}

static inline void link_close(struct link *l)
{
	soq_close(l->near);
	soq_close(l->far);
}

/* Close so that the peer is told of a reset. */
static inline void stream_reset(struct soq_stream *s)
{
	CHECK_OK(soq_set_linger(s, 0));
	soq_close(s);
}

/* Receive @len bytes by calls that have room for @room: each gives what is there and does not
 * wait for more. Over TCP that may be less than was sent at once. */
static inline void recv_what_comes(struct soq_stream *s, char *buf, size_t len, size_t room)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = CHECK_OK(soq_recv(s, buf + got, room - got));

		CHECK(n > 0 && (size_t)n <= len - got);
		got += (size_t)n;
	}
}

/* ---- what only an engine can tell of a socket, the kernel's or a simulated one ---- */

static inline void socket_option(int fd, int level, int name, void *value, socklen_t len)
{
	const struct soq__socket s = { .fd = fd };

	CHECK_OK(soq__worker()->engine->type->get_option(&s, level, name, value, &len));
}

static inline int socket_number(int fd, int level, int name)
{
	int value = -1;

	socket_option(fd, level, name, &value, sizeof(value));
	return value;
}

static inline unsigned interface_index(const char *name)
{
	struct soq__engine *e = soq__worker()->engine;

	return e->type->interface_index(e, name);
}

/* ---- the kernel's own sockets ---- */

/* A blocking socket connected to a listener; it waits to be accepted. */
static inline int raw_connect(const struct soq_listener *l)
{
	struct soq_addr addr;
	int fd;

	CHECK_OK(soq_listener_addr(l, &addr));
	fd = (int)CHECK_OK(socket(addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
	CHECK_OK(connect(fd, &addr.sa, addr.len));
	return fd;
}

/* ---- fibers ---- */

/* Start one and let it run until it suspends. */
static inline void go(struct soq_scope *scope, void (*fn)(void *), void *arg)
{
	CHECK_OK(soq_spawn(scope, fn, arg));
	CHECK_OK(soq_yield());
}

/* End a stream's flow. With TLS a record that was cut off goes first, and there must be room
 * for it: a fiber of its own does this while another receives. */
static inline void end_flow(void *arg)
{
	soq_set_send_timeout(arg, SOQ_NEVER);
	CHECK_OK(soq_shutdown(arg));
}

/* Wait for the fibers' own end. */
static inline void scope_join(struct soq_scope *scope)
{
	CHECK_OK(soq_scope_wait(scope));
	soq_scope_close(scope);
}

#endif
