/* client.c - clients served by fibers of the lane.
 *
 * When a handler says SOQ_AGAIN its client is parked: a poll operation and an alarm, no
 * stack and no buffer. When bytes arrive it goes on the lane's list of runnable clients, and
 * a runner, a fiber, takes it from there. A runner serves one client after the other as long
 * as there are any; before each it makes sure that another runner stands ready, should the
 * handler have to wait. So a thousand requests that are answered at once need one stack, and
 * not a thousand.
 *
 * Invariant: a client is on the lane's list of the served, and is parked (its operation is
 * pending), runnable (on that list), or running (it has a fiber).
 */
#include "net/tls.h"
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
	struct soq__alarm alarm;   /* parked: idle for too long; runnable: no stack until now */
	struct soq__list runnable; /* on the lane's list, or on none */
};

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

/* An end, and not a cut, for a peer that is about to learn of it: there is no fiber that could
 * wait for more. */
static void client_close(struct client *c)
{
	if (c->stream->tls)
		soq__tls_shutdown_now(c->stream);
	soq_close(c->stream);
	client_free(c);
}

static void runner_main(void *arg);
static void idle_ring(struct soq__alarm *alarm);

/* Make sure that a runner will come for the runnable clients, or try again later. */
static void need_runner(struct client *c)
{
	struct soq__lane *lane = c->lane;

	if (lane->runner_ready)
		return;
	lane->runner_ready = soq__fiber_start(lane->worker, NULL, runner_main, lane, "runner",
				     SOQ_NEVER) != NULL;
	if (!lane->runner_ready)
		soq__alarm_set(lane->worker, &c->alarm, soq_now() + STARVED_NS);
}

static void make_runnable(struct client *c)
{
	c->alarm.at_ns = SOQ_NEVER;
	soq__list_append(&c->lane->runnable, &c->runnable);
	need_runner(c);
}

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
	soq__list_init(&c->runnable);
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
	soq__list_append(&lane->served, &c->served.node);
	soq__lane_client_began(lane);
	make_runnable(c);
	return 0;
}

/* ---- parking ---- */

static void unpark(struct soq__op *op)
{
	struct client *c = op->owner;

	if (op->result < 0 || c->lane->cancelling)
		client_close(c);
	else
		make_runnable(c);
}

static void idle_ring(struct soq__alarm *alarm)
{
	struct client *c = soq__container_of(alarm, struct client, alarm);
	struct soq__engine *e = c->lane->worker->engine;

	if (soq__list_empty(&c->runnable))
		e->type->cancel(e, &c->op);
	else
		need_runner(c);
}

/* @return false when the next request is there already */
static bool park(struct client *c)
{
	struct soq__engine *e = c->lane->worker->engine;
	int64_t timeout_ns = c->stream->recv_timeout_ns;

	if (c->stream->count > 0 || (c->stream->tls && soq__tls_readable(c->stream)))
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

/* @return true when the client is parked; false when it is to be finished */
static bool call_handlers(struct client *c)
{
	struct soq__fiber *f = soq__current();
	struct soq__lane *lane = c->lane;
	int rc;

	while ((rc = call_handler(c)) == SOQ_AGAIN && !lane->draining && !f->cancelled) {
		if (park(c))
			return true;
		soq__reschedule(lane->worker);
	}
	soq__log_result(lane->server, c->site, rc);
	return false;
}

static void serve(struct client *c)
{
	struct soq__fiber *f = soq__current();
	struct soq__lane *lane = c->lane;
	int rc;

	c->alarm.at_ns = SOQ_NEVER;
	c->served.fiber = f;
	f->name = c->site->fiber_name;
	f->cancelled = lane->cancelling;
	c->served.greeting = true;
	rc = c->stream->tls ? 0 : soq__greet(lane->server, c->site, c->stream);
	c->served.greeting = false;
	if (rc == 0 && call_handlers(c))
		return;
	soq__finish_client(lane->server, c->stream);
	client_free(c);
}

static void runner_main(void *arg)
{
	struct soq__lane *lane = arg;
	struct soq__fiber *f = soq__current();
	struct soq__list *node;

	f->draining = &lane->draining;
	f->at_once = true;
	lane->runner_ready = false;
	while ((node = soq__list_pop(&lane->runnable))) {
		if (!soq__list_empty(&lane->runnable))
			need_runner(soq__container_of(
				lane->runnable.next, struct client, runnable));
		serve(soq__container_of(node, struct client, runnable));
	}
}

/* ---- stopping ---- */

void soq__clients_close_idle(struct soq__lane *lane)
{
	struct soq__engine *e = lane->worker->engine;

	soq__list_for_each (node, &lane->served) {
		struct soq__served *served = soq__container_of(node, struct soq__served, node);
		struct client *c = soq__container_of(served, struct client, served);

		if (served->greeting)
			soq__fiber_cancel(served->fiber);
		else if (!served->fiber && soq__list_empty(&c->runnable))
			e->type->cancel(e, &c->op);
	}
}

void soq__clients_cancel(struct soq__lane *lane)
{
	lane->cancelling = true; /* for those that are only runnable yet */
	soq__list_for_each (node, &lane->served) {
		struct soq__served *served = soq__container_of(node, struct soq__served, node);

		if (served->fiber)
			soq__fiber_cancel(served->fiber);
	}
}
