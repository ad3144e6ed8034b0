/* accept.c - a lane's fiber that takes the clients of one site.
 *
 * Without room it leaves clients in the kernel's backlog. Without descriptors it pauses
 * until a client ends or a moment has passed: the client that could not be accepted still
 * waits, so trying again at once would only spin.
 */
#include "server/server.h"
#include <soquete/error.h>
#include <soquete/fiber.h>
#include <soquete/time.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define PAUSE_NS   (100 * SOQ_MS)
#define BACKLOG_NS (200 * SOQ_MS)

/* Wait until a client ends, or an instant. @return 0, -ETIMEDOUT, -ECANCELED */
static int await_change(struct soq__lane *lane, int64_t until_ns)
{
	int64_t outer = soq_deadline(until_ns);
	int rc = soq__event_wait_after(lane->changed, soq__event_sets(lane->changed));

	soq_deadline_restore(outer);
	return rc;
}

static int hand_over(struct soq__lane *lane, const struct soq__site *site, int fd,
	const struct soq_addr *peer)
{
	switch (lane->server->opt.shape) {
	case SOQ_SHAPE_PROCESS:
		return soq__process_start(lane, site, fd, peer);
	case SOQ_SHAPE_THREAD:
		return soq__thread_start(lane, site, fd, peer);
	default:
		return soq__client_start(lane, site, fd, peer);
	}
}

static void take(struct soq__lane *lane, size_t site, int fd, const struct soq_addr *peer)
{
	struct soq_server *server = lane->server;
	char text[SOQ_ADDR_TEXT_MAX];
	int rc;

	if (lane->paused)
		soq__log(server, "accepting goes on");
	lane->paused = false;
	if (!soq__peers_enter(server->peers, peer, server->opt.clients_per_address_max)) {
		soq_addr_format(text, sizeof(text), peer);
		soq__log(server, "client %s refused: its address has %u clients already", text,
			server->opt.clients_per_address_max);
		soq__close_fd(fd);
		return;
	}
	rc = hand_over(lane, &server->sites[site], fd, peer);
	if (rc < 0) {
		soq__peers_leave(server->peers, peer);
		soq__log(server, "client dropped: %s", soq_strerror(rc));
	}
}

static bool is_shortage(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOBUFS || rc == -ENOMEM;
}

/* Accepting failed. @return 0 to go on */
static int pause_accepting(struct soq__lane *lane, int why)
{
	int rc;

	if (why == -ECANCELED)
		return why;
	if (!lane->paused)
		soq__log(lane->server, "accepting paused: %s", soq_strerror(why));
	lane->paused = true;
	rc = is_shortage(why) ? await_change(lane, soq_now() + PAUSE_NS) : soq_sleep(PAUSE_NS);
	return rc == -ETIMEDOUT ? 0 : rc;
}

/* One client at a time, over all sites: accept only when it is our turn, and then wait for
 * the client's end. */
static int accept_in_turn(struct soq__lane *lane, size_t site)
{
	struct soq_listener *l = lane->listeners[site];
	struct soq_addr peer;
	int fd, rc = soq_wait_fd(soq_listener_fd(l), POLLIN);

	if (rc > 0)
		rc = soq_mutex_lock(lane->turn);
	if (rc < 0)
		return rc;
	soq_set_accept_timeout(l, 0);
	fd = soq__accept_fd(l, &peer);
	if (fd >= 0) {
		take(lane, site, fd, &peer);
		rc = soq__lane_await(lane, soq__lane_is_empty);
	} else if (fd != -ETIMEDOUT) {
		rc = fd;
	}
	soq_mutex_unlock(lane->turn);
	return rc;
}

static int accept_one(struct soq__lane *lane, size_t site)
{
	struct soq_addr peer;
	int fd, rc = soq__lane_await(lane, soq__lane_has_room);

	if (rc < 0)
		return rc;
	fd = soq__accept_fd(lane->listeners[site], &peer);
	if (fd < 0)
		return fd;
	take(lane, site, fd, &peer);
	return 0;
}

void soq__accept_main(void *arg)
{
	struct soq__acceptor a = *(struct soq__acceptor *)arg;
	bool in_turn = a.lane->server->opt.shape == SOQ_SHAPE_ITERATIVE;
	int rc = 0;

	free(arg);
	soq_set_fiber_name("acceptor");
	soq__current()->deadline_ns =
		SOQ_NEVER; /* the caller's ends the run, not the accepting */
	while (rc == 0) {
		rc = in_turn ? accept_in_turn(a.lane, a.site) : accept_one(a.lane, a.site);
		if (rc < 0)
			rc = pause_accepting(a.lane, rc);
	}
}

void soq__accept_backlog(struct soq__lane *lane, size_t site)
{
	struct soq_listener *l = lane->listeners[site];
	unsigned waiting = soq__listener_waiting(l);
	struct soq_addr peer;
	int64_t outer;
	int fd;

	/* An iterative server would have to serve them one after the other. */
	if (lane->server->opt.shape == SOQ_SHAPE_ITERATIVE)
		return;
	/* Clients that go on coming are not to keep the server from stopping. */
	outer = soq_deadline(soq_now() + BACKLOG_NS);
	soq_set_accept_timeout(l, 0);
	while (waiting-- > 0 && soq__lane_has_room(lane) &&
		atomic_load(&lane->server->stops) < 2 && (fd = soq__accept_fd(l, &peer)) >= 0)
		take(lane, site, fd, &peer);
	soq_deadline_restore(outer);
}
