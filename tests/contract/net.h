/* net.h - connected streams of every kind, raw sockets as their peers, and data that can be
 * checked at any offset.
 */
#ifndef CONTRACT_NET_H
#define CONTRACT_NET_H

#include "test.h"
#include <soquete/soquete.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What this thread's engine holds is not a leak. */
void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

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

enum link_kind { TCP4, TCP6, DUAL, UNIX_PATH, UNIX_ABSTRACT, PAIR, FD, LINK_KINDS };

static const char *const link_names[] = { "tcp4", "tcp6", "dual stack", "unix path",
	"unix abstract", "pair", "fd" };

struct link {
	struct soq_stream *near, *far;
};

static inline bool link_is_tcp(enum link_kind kind)
{
	return kind <= DUAL;
}

/* Whether this machine has ::1. */
static inline bool have_ipv6(void)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool have = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;

	if (fd >= 0)
		close(fd);
	return have;
}

/* An endpoint to listen on, of a kind that listens. */
static inline const char *link_endpoint(enum link_kind kind)
{
	static char text[SOQ_ENDPOINT_TEXT_MAX];

	switch (kind) {
	case TCP4:
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

static inline void link_adopted(struct link *l)
{
	char text[32];
	int fds[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	snprintf(text, sizeof(text), "fd://%d", fds[0]);
	CHECK_OK(soq_connect(&l->near, text));
	CHECK_OK(soq_adopt(&l->far, fds[1]));
}

/* Connected streams; the kernel connects before anybody accepts. */
static inline void link_open(struct link *l, enum link_kind kind)
{
	char text[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_stream *pair[2];
	struct soq_listener *listener;

	ROW("%s", link_names[kind]);
	if (kind == PAIR) {
		CHECK_OK(soq_pair(pair));
		*l = (struct link){ pair[0], pair[1] };
	} else if (kind == FD) {
		link_adopted(l);
	} else {
		CHECK_OK(soq_listen(&listener, link_endpoint(kind), NULL));
		listener_endpoint(text, listener);
		CHECK_OK(soq_connect(&l->near, text));
		CHECK_OK(soq_accept(&l->far, listener));
		soq_listener_close(listener);
	}
}

static inline void link_close(struct link *l)
{
	soq_close(l->near);
	soq_close(l->far);
}

/* ---- raw sockets ---- */

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

/* A stream over TCP whose peer is a raw socket. @return the raw one */
static inline int raw_peer(struct soq_stream **ret)
{
	struct soq_listener *l;
	int fd;

	CHECK_OK(soq_listen(&l, "tcp://127.0.0.1:0", NULL));
	fd = raw_connect(l);
	CHECK_OK(soq_accept(ret, l));
	soq_listener_close(l);
	return fd;
}

/* Close so that the peer is told of a reset. */
static inline void raw_reset(int fd)
{
	struct linger linger = { .l_onoff = 1 };

	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	close(fd);
}

/* ---- fibers ---- */

/* Start one and let it run until it suspends. */
static inline void go(struct soq_scope *scope, void (*fn)(void *), void *arg)
{
	CHECK_OK(soq_spawn(scope, fn, arg));
	CHECK_OK(soq_yield());
}

static inline struct soq_scope *scope_open(void)
{
	struct soq_scope *scope;

	CHECK_OK(soq_scope_open(&scope));
	return scope;
}

/* Wait for the fibers' own end. */
static inline void scope_join(struct soq_scope *scope)
{
	CHECK_OK(soq_scope_wait(scope));
	soq_scope_close(scope);
}

#endif
