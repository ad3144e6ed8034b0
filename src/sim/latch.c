/* latch.c - what a simulated program can wait for that is no socket: latches, which stay set
 * once set, and signals of its host.
 *
 * Invariant: a latch never becomes unset; a signal is pending for each program that was there
 * when it came, until that program reads it.
 * Source: eventfd(2), signalfd(2) for what they stand for.
 */
#include "sim/sim.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

struct latch {
	struct soq__sim_socket socket;
	struct soq__sim_engine *engine; /* of the program that has opened it */
	bool set;
	unsigned signals; /* a bit each; 0: it is no descriptor of signals */
};

static struct latch *latch_of(const struct soq__sim_socket *s)
{
	return soq__container_of(s, struct latch, socket);
}

/* What is true of it now. */
static short poll_latch(struct soq__sim_socket *s)
{
	const struct latch *l = latch_of(s);

	return l->set || (l->signals & l->engine->pending_signals) ? POLLIN : 0;
}

static void latch_free(struct soq__sim_socket *s)
{
	free(latch_of(s));
}

static void describe(const struct soq__sim_socket *s, char *buf, size_t len)
{
	snprintf(buf, len, "%s", latch_of(s)->signals ? "a signal" : "a stop");
}

static uint64_t memory(const struct soq__sim_socket *s)
{
	return sizeof(*latch_of(s));
}

/* It is polled, described and closed. Being of no socket's type, it is never adopted as one. */
static const struct soq__sim_proto proto = {
	.name = "latch",
	.poll = poll_latch,
	.close = latch_free,
	.abandon = latch_free,
	.describe = describe,
	.memory = memory,
};

static int latch_open(struct soq__engine *base, unsigned signals)
{
	struct soq__sim_engine *e = soq__sim_engine_of(base);
	struct latch *l = soq__sim_alloc(sizeof(*l));
	int fd;

	soq__sim_socket_init(&l->socket, &proto, e->host, AF_UNSPEC);
	l->engine = e;
	l->signals = signals;
	fd = soq__sim_fd_open(&l->socket, e);
	if (fd < 0)
		free(l);
	return fd;
}

int soq__sim_latch_open(struct soq__engine *e)
{
	return latch_open(e, 0);
}

void soq__sim_latch_set(struct soq__engine *e, int fd)
{
	struct soq__sim_socket *s = soq__sim_socket_of(soq__sim_engine_of(e)->host->sim, fd);

	latch_of(s)->set = true;
	soq__sim_changed(s, SOQ__SIM_IN);
}

int soq__sim_signals_open(struct soq__engine *e, const int *signals, size_t count)
{
	unsigned mask = 0;

	for (size_t i = 0; i < count; i++) {
		if (signals[i] < 1 || signals[i] > 31)
			return -EINVAL;
		mask |= 1u << signals[i];
	}
	return mask ? latch_open(e, mask) : -EINVAL;
}

int soq__sim_signals_read(struct soq__engine *base, int fd)
{
	struct soq__sim_engine *e = soq__sim_engine_of(base);
	const struct latch *l = latch_of(soq__sim_socket_of(e->host->sim, fd));
	unsigned there = l->signals & e->pending_signals;

	if (!there)
		return -EAGAIN;
	e->pending_signals &= ~(there & -there);
	return __builtin_ctz(there);
}

void soq__sim_signals_raise(struct soq_sim_host *host, int signal)
{
	struct soq_sim *sim = host->sim;

	soq__list_for_each (node, &host->engines)
		soq__container_of(node, struct soq__sim_engine, node)->pending_signals |= 1u
			<< signal;

	for (size_t i = 0; i < sim->fd_count; i++) {
		struct soq__sim_socket *s = sim->fds[i].socket;

		if (s && s->host == host && s->proto == &proto)
			soq__sim_changed(s, SOQ__SIM_IN);
	}
}
