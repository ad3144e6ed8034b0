/* dgrams.c - a lane's fiber that takes the datagrams of one site, and what handles them,
 * by shape.
 */
#include "server/server.h"
#include <soquete/error.h>
#include <soquete/fiber.h>
#include <soquete/time.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DATAGRAM_MAX 65536
#define PAUSE_NS     (100 * SOQ_MS)

/* A datagram on its way to its handler. */
struct job {
	struct soq__served served;
	struct soq__lane *lane;
	const struct soq__site *site;
	struct soq_dgram *socket;
	struct soq_packet packet;
	char data[];
};

static void call_handler(const struct soq_server *server, const struct soq__site *site,
	struct soq_dgram *d, const struct soq_packet *packet)
{
	struct soq__fiber *f = soq__current();
	int64_t limit = server->opt.request_timeout_ns, outer = f->deadline_ns;

	if (limit != SOQ_NEVER)
		f->deadline_ns = soq__after(soq_now(), limit);
	soq__log_result(server, site, site->dgram(d, packet, site->arg));
	f->deadline_ns = outer;
}

/* ---- in the lane ---- */

static void fiber_main(void *arg)
{
	struct job *job = arg;
	struct soq__lane *lane = job->lane;

	soq__current()->draining = &lane->draining;
	call_handler(lane->server, job->site, job->socket, &job->packet);
	soq__list_remove(&job->served.node);
	free(job);
	soq__lane_client_ended(lane);
}

static int start_fiber(struct job *job)
{
	struct soq__lane *lane = job->lane;

	job->served.fiber = soq__fiber_start(
		lane->worker, NULL, fiber_main, job, job->site->fiber_name, SOQ_NEVER);
	if (!job->served.fiber)
		return -ENOMEM;
	soq__list_append(&lane->served, &job->served.node);
	soq__lane_client_began(lane);
	return 0;
}

/* ---- in a thread or process of its own ---- */

static void call_apart(void *arg)
{
	struct job *job = arg;
	struct soq_dgram view = soq__dgram_view(job->socket);

	call_handler(job->lane->server, job->site, &view, &job->packet);
}

static void apart_main(void *arg)
{
	struct job *job = arg;

	soq__inline_call(job->lane->server, call_apart, job);
	free(job);
}

static int start(struct job *job)
{
	int rc;

	switch (job->lane->server->opt.shape) {
	case SOQ_SHAPE_THREAD:
		return soq__thread_run(job->lane, apart_main, job);
	case SOQ_SHAPE_PROCESS:
		rc = soq__process_run(job->lane, apart_main, job);
		if (rc == 0)
			free(job); /* the child has its own */
		return rc;
	default:
		return start_fiber(job);
	}
}

/* ---- receiving ---- */

static int hand_over(struct soq__lane *lane, const struct soq__site *site, struct soq_dgram *d,
	const struct soq_packet *packet)
{
	struct job *job = malloc(sizeof(*job) + packet->len);
	int rc;

	if (!job)
		return -ENOMEM;
	*job = (struct job){ .lane = lane, .site = site, .socket = d, .packet = *packet };
	soq__list_init(&job->served.node);
	memcpy(job->data, packet->data, packet->len);
	job->packet.data = job->data;
	rc = start(job);
	if (rc < 0)
		free(job);
	return rc;
}

/* One at a time, over all sites: take the turn, and wait for the handler's end. */
static int in_turn(struct soq__lane *lane, const struct soq__site *site, struct soq_dgram *d,
	const struct soq_packet *packet)
{
	int rc = soq_mutex_lock(lane->turn);

	if (rc < 0)
		return rc;
	rc = hand_over(lane, site, d, packet);
	if (rc == 0)
		rc = soq__lane_await(lane, soq__lane_is_empty);
	soq_mutex_unlock(lane->turn);
	return rc;
}

static int serve_one(struct soq__lane *lane, size_t i, void *buffer)
{
	const struct soq__site *site = &lane->server->sites[i];
	struct soq_packet packet = { .data = buffer, .capacity = DATAGRAM_MAX };
	struct soq_dgram *d = lane->sockets[i];
	int rc = soq__lane_await(lane, soq__lane_has_room);

	if (rc == 0)
		rc = soq_recv_packets(d, &packet, 1);
	/* What an earlier reply met (a closed port, say) is not the server's trouble. */
	if (rc == -ECONNREFUSED || rc == -EHOSTUNREACH || rc == -ENETUNREACH)
		return 0;
	if (rc < 0)
		return rc;
	if (lane->server->opt.shape == SOQ_SHAPE_ITERATIVE)
		return in_turn(lane, site, d, &packet);
	rc = hand_over(lane, site, d, &packet);
	if (rc < 0)
		soq__log(lane->server, "datagram dropped: %s", soq_strerror(rc));
	return rc == -ECANCELED ? rc : 0;
}

void soq__dgram_main(void *arg)
{
	struct soq__acceptor a = *(struct soq__acceptor *)arg;
	void *buffer = malloc(DATAGRAM_MAX);
	int rc = buffer ? 0 : -ENOMEM;

	free(arg);
	soq_set_fiber_name("datagrams");
	soq__current()->deadline_ns = SOQ_NEVER; /* as an acceptor's */
	if (rc < 0)
		soq__log(a.lane->server, "datagrams of %s are not served: %s",
			a.lane->server->sites[a.site].exact, soq_strerror(rc));
	while (rc == 0) {
		rc = serve_one(a.lane, a.site, buffer);
		if (rc < 0 && rc != -ECANCELED) {
			soq__log(a.lane->server, "receiving paused: %s", soq_strerror(rc));
			rc = soq_sleep(PAUSE_NS);
		}
	}
	free(buffer);
}
