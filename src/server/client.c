/* client.c - clients served by fibers of the lane.
 *
 * A client has a fiber while its handler runs. When the handler says SOQ_AGAIN the client
 * is parked: a poll operation and an alarm, no stack and no buffer. It gets a fiber again
 * when bytes arrive.
 *
 * Invariant: a client is on the lane's list, and either has a fiber, or its operation is
 * pending, or it waits (starved) for a stack.
 */
#include "server/server.h"
#include <soquete/error.h>
#include <soquete/time.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define STARVED_NS (100 * SOQ_MS)

struct client {
	struct soq__served served;
	struct soq__lane *lane;
	const struct soq__site *site;
	struct soq_stream *stream;
	struct soq_addr peer;
	struct soq__op op;
	struct soq__alarm alarm;
	bool starved;
};

static void client_main(void *arg);

/* ---- life ---- */

static void client_free(struct client *c)
{
	struct soq__lane *lane = c->lane;

	soq__alarm_close(lane->worker, &c->alarm);
	soq__list_remove(&c->served.node);
	soq__peers_leave(lane->server->peers, &c->peer);
	free(c);
	soq__lane_client_ended(lane);
}

static void client_close(struct client *c)
{
	soq_close(c->stream);
	client_free(c);
}

/* @return false when there is no stack for it */
static bool give_fiber(struct client *c)
{
	c->served.fiber = soq__fiber_start(
		c->lane->worker, NULL, client_main, c, c->site->fiber_name, SOQ_NEVER);
	return c->served.fiber != NULL;
}

static void idle_ring(struct soq__alarm *alarm);

static int client_new(struct client **ret, struct soq__lane *lane, const struct soq__site *site,
	int fd, const struct soq_addr *peer)
{
	struct client *c = calloc(1, sizeof(*c));
	int rc = -ENOMEM;

	if (!c)
		goto close_fd;
	rc = soq__stream_new(&c->stream, fd, false, peer);
	if (rc < 0)
		goto free_client;
	rc = soq__alarm_open(lane->worker, &c->alarm, idle_ring);
	if (rc < 0)
		goto close_stream;
	c->lane = lane;
	c->site = site;
	c->peer = *peer;
	soq__apply_limits(lane->server, c->stream);
	*ret = c;
	return 0;

close_stream:
	soq_close(c->stream);
	free(c);
	return rc;
free_client:
	free(c);
close_fd:
	soq__close_fd(fd);
	return rc;
}

int soq__client_start(struct soq__lane *lane, const struct soq__site *site, int fd,
	const struct soq_addr *peer)
{
	struct client *c;
	int rc = client_new(&c, lane, site, fd, peer);

	if (rc < 0)
		return rc;
	if (!give_fiber(c)) {
		soq__alarm_close(lane->worker, &c->alarm);
		soq_close(c->stream);
		free(c);
		return -ENOMEM;
	}
	soq__list_append(&lane->served, &c->served.node);
	soq__lane_client_began(lane);
	return 0;
}

/* ---- parking ---- */

static void unpark(struct soq__op *op)
{
	struct client *c = op->owner;

	c->alarm.at_ns = SOQ_NEVER;
	if (op->result < 0) {
		client_close(c);
		return;
	}
	if (give_fiber(c))
		return;
	c->starved = true;
	soq__alarm_set(c->lane->worker, &c->alarm, soq_now() + STARVED_NS);
}

/* Idle for too long; or without a stack for a while. */
static void idle_ring(struct soq__alarm *alarm)
{
	struct client *c = soq__container_of(alarm, struct client, alarm);
	struct soq__engine *e = c->lane->worker->engine;

	if (!c->starved) {
		e->type->cancel(e, &c->op);
		return;
	}
	c->starved = false;
	c->op.result = c->lane->cancelled ? -ECANCELED : POLLIN;
	unpark(&c->op);
}

/* @return false when the next request is there already */
static bool park(struct client *c)
{
	struct soq__engine *e = c->lane->worker->engine;
	int64_t timeout_ns = c->stream->recv_timeout_ns;

	if (c->stream->count > 0)
		return false;
	soq__stream_trim(c->stream);
	c->op = (struct soq__op){
		.code = SOQ__OP_POLL,
		.socket = &c->stream->socket,
		.events = POLLIN,
		.complete = unpark,
		.owner = c,
	};
	soq__list_init(&c->op.node);
	if (e->type->submit(e, &c->op))
		return false;
	c->served.fiber = NULL;
	if (timeout_ns != SOQ_NEVER)
		soq__alarm_set(c->lane->worker, &c->alarm, soq__after(soq_now(), timeout_ns));
	return true;
}

/* ---- serving ---- */

static int call_handler(struct client *c)
{
	struct soq__fiber *f = soq__current();
	int64_t limit = c->lane->server->opt.request_timeout_ns;
	int rc;

	f->deadline_ns = limit == SOQ_NEVER ? SOQ_NEVER : soq__after(soq_now(), limit);
	rc = c->site->handler(c->stream, c->site->arg);
	f->deadline_ns = SOQ_NEVER;
	return rc;
}

static void client_main(void *arg)
{
	struct client *c = arg;
	struct soq__fiber *f = soq__current();
	int rc;

	f->draining = &c->lane->draining;
	while ((rc = call_handler(c)) == SOQ_AGAIN && !c->lane->draining && !f->cancelled) {
		if (park(c))
			return;
		soq__reschedule(c->lane->worker);
	}
	soq__log_result(c->lane->server, c->site, rc);
	soq__finish_client(c->lane->server, c->stream);
	client_free(c);
}

/* ---- stopping ---- */

void soq__clients_close_idle(struct soq__lane *lane)
{
	struct soq__engine *e = lane->worker->engine;

	soq__list_for_each (node, &lane->served) {
		struct soq__served *served = soq__container_of(node, struct soq__served, node);
		struct client *c = soq__container_of(served, struct client, served);

		if (!served->fiber && !c->starved)
			e->type->cancel(e, &c->op);
	}
}

void soq__clients_cancel(struct soq__lane *lane)
{
	soq__list_for_each (node, &lane->served) {
		struct soq__served *served = soq__container_of(node, struct soq__served, node);

		if (served->fiber)
			soq__fiber_cancel(served->fiber);
	}
}
