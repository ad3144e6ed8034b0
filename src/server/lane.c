/* lane.c - one thread's part of a server, from opening its sockets to draining. */
#include "server/server.h"
#include <soquete/error.h>
#include <soquete/fiber.h>
#include <soquete/time.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After a cancellation, how long a process may take to end before it is killed. */
#define KILL_AFTER_NS (1 * SOQ_S)

/* ---- counting ---- */

bool soq__lane_has_room(const struct soq__lane *lane)
{
	return atomic_load(&lane->clients) < lane->clients_max;
}

int soq__lane_await(struct soq__lane *lane, bool (*holds)(const struct soq__lane *lane))
{
	int rc = 0;

	while (rc == 0) {
		uint64_t sets = soq__event_sets(lane->changed);

		if (holds(lane))
			break;
		rc = soq__event_wait_after(lane->changed, sets);
	}
	return rc;
}

bool soq__lane_is_empty(const struct soq__lane *lane)
{
	return atomic_load(&lane->clients) == 0;
}

void soq__lane_client_began(struct soq__lane *lane)
{
	atomic_fetch_add(&lane->clients, 1);
	atomic_fetch_add(&lane->server->clients, 1);
}

void soq__lane_client_ended(struct soq__lane *lane)
{
	atomic_fetch_sub(&lane->server->clients, 1);
	soq__event_count_down(lane->changed, &lane->clients);
}

/* ---- sockets ---- */

/* Another lane's copy of a site that cannot be bound twice. */
static int copy_fd(struct soq__lane *lane, char *text, size_t len, int fd)
{
	struct soq__engine *e = lane->worker->engine;
	int copy = e->type->duplicate(e, fd);

	if (copy < 0)
		return copy;
	snprintf(text, len, "fd://%d", copy);
	return copy;
}

static bool is_internet(const struct soq__site *site)
{
	return site->scheme == SOQ_SCHEME_TCP || site->scheme == SOQ_SCHEME_TLS ||
		site->scheme == SOQ_SCHEME_UDP;
}

static int open_again(struct soq__lane *lane, size_t i)
{
	const struct soq__site *site = &lane->server->sites[i];
	struct soq_listen_options opt = {
		.backlog = lane->server->opt.backlog, .share_port = true, .tls = site->tls
	};
	bool inherited = strncmp(site->text, "fd:", 3) == 0;
	char text[SOQ_ADDR_TEXT_MAX + 16];
	int copy = -1, rc;

	snprintf(text, sizeof(text), "%s", site->exact);
	if (!is_internet(site) || inherited) {
		copy = copy_fd(lane, text, sizeof(text),
			site->handler ? soq_listener_fd(site->listener)
				      : soq_dgram_fd(site->socket));
		if (copy < 0)
			return copy;
	}
	rc = site->handler ? soq_listen(&lane->listeners[i], text, &opt)
			   : soq_dgram_open_shared(&lane->sockets[i], text);
	if (rc < 0 && copy >= 0)
		soq__close_fd(copy);
	if (rc < 0)
		soq__log(lane->server, "a worker cannot serve: %s", soq_last_error());
	return rc;
}

static int open_sockets(struct soq__lane *lane)
{
	size_t count = lane->server->site_count;
	int rc = 0;

	lane->listeners = calloc(count, sizeof(struct soq_listener *));
	lane->sockets = calloc(count, sizeof(struct soq_dgram *));
	if (!lane->listeners || !lane->sockets)
		return -ENOMEM;
	for (size_t i = 0; i < count && rc == 0; i++) {
		if (lane->index > 0) {
			rc = open_again(lane, i);
			continue;
		}
		lane->listeners[i] = lane->server->sites[i].listener;
		lane->sockets[i] = lane->server->sites[i].socket;
		if (lane->listeners[i])
			soq__listener_own(lane->listeners[i]);
		if (lane->sockets[i])
			soq__dgram_own(lane->sockets[i]);
	}
	return rc;
}

static void close_listeners(struct soq__lane *lane)
{
	for (size_t i = 0; lane->listeners && i < lane->server->site_count; i++) {
		if (!lane->listeners[i])
			continue;
		if (lane->index == 0)
			lane->server->sites[i].listener = NULL;
		soq_listener_close(lane->listeners[i]);
		lane->listeners[i] = NULL;
	}
}

/* Only when no handler is left that might reply. */
static void close_dgrams(struct soq__lane *lane)
{
	for (size_t i = 0; lane->sockets && i < lane->server->site_count; i++) {
		if (!lane->sockets[i])
			continue;
		if (lane->index == 0)
			lane->server->sites[i].socket = NULL;
		soq_dgram_close(lane->sockets[i]);
		lane->sockets[i] = NULL;
	}
}

/* ---- life ---- */

static int start_acceptors(struct soq__lane *lane)
{
	for (size_t i = 0; i < lane->server->site_count; i++) {
		struct soq__acceptor *a = malloc(sizeof(*a));
		int rc;

		if (!a)
			return -ENOMEM;
		*a = (struct soq__acceptor){ lane, i };
		rc = soq_spawn(lane->acceptors,
			lane->listeners[i] ? soq__accept_main : soq__dgram_main, a);
		if (rc < 0) {
			free(a);
			return rc;
		}
	}
	return 0;
}

static void stop_accepting(struct soq__lane *lane)
{
	lane->draining = true;
	soq_scope_close(lane->acceptors);
	lane->acceptors = NULL;
	for (size_t i = 0; i < lane->server->site_count; i++)
		if (lane->listeners[i])
			soq__accept_backlog(lane, i);
	close_listeners(lane);
}

static bool is_empty_or_cancelled(const struct soq__lane *lane)
{
	return lane->cancelled || soq__lane_is_empty(lane);
}

/* Wait until the lane has no client, an instant has come, or the second stop has.
 * @return whether it has none */
static bool await_clients(struct soq__lane *lane, int64_t until_ns)
{
	int64_t outer = soq_deadline(until_ns);

	soq__lane_await(lane, is_empty_or_cancelled);
	soq_deadline_restore(outer);
	if (!soq__lane_is_empty(lane))
		return false;
	/* Asking the event makes sure that the last client's thread has let go of it. */
	soq_event_is_set(lane->changed);
	return true;
}

static void cancel_main(void *arg)
{
	struct soq__lane *lane = arg;

	soq_set_fiber_name("cancellation");
	if (soq_wait_fd(lane->server->cancel.fd, POLLIN) <= 0)
		return;
	lane->cancelled = true;
	soq_event_set(lane->changed);
}

/* The second stop, whoever has called for the first. */
static void stop_at_once(struct soq_server *server)
{
	while (atomic_load(&server->stops) < 2)
		soq_server_stop(server);
}

static void cancel_clients(struct soq__lane *lane)
{
	unsigned left = atomic_load(&lane->clients);
	struct soq__fiber *f = soq__current();
	bool cancelled = f->cancelled;

	soq__log(lane->server, "stop: %u %s cancelled", left, left == 1 ? "client" : "clients");
	lane->cancelled = false;
	stop_at_once(lane->server); /* threads and processes wait for it */
	soq__clients_cancel(lane);
	/* What brought us here must not take the clients' time to heed it away. */
	f->cancelled = false;
	if (!await_clients(lane, soq_now() + KILL_AFTER_NS)) {
		soq__processes_kill(lane);
		f->shielded = true;
		await_clients(lane, SOQ_NEVER);
		f->shielded = false;
	}
	f->cancelled |= cancelled;
}

static bool was_stopped_twice(const struct soq__lane *lane)
{
	return atomic_load(&lane->server->stops) >= 2;
}

/* Let the requests in flight end, or cancel them.
 * @had_clients  when the stop was heeded: a second one may have ended them since
 * @return 0, -ETIMEDOUT */
static int drain(struct soq__lane *lane, int64_t grace_ns, bool had_clients)
{
	bool all_gone;
	struct soq_scope *scope = NULL;

	if (soq_scope_open(&scope) < 0 || soq_spawn(scope, cancel_main, lane) < 0)
		lane->cancelled = true; /* no memory to be patient with */
	had_clients |= atomic_load(&lane->clients) > 0;
	soq__clients_close_idle(lane);
	all_gone = await_clients(lane, soq__after(soq_now(), grace_ns));
	soq_scope_close(scope);
	if (!all_gone)
		cancel_clients(lane);
	/* Threads and processes may have heeded the second stop before we did. */
	return all_gone && !(had_clients && was_stopped_twice(lane)) ? 0 : -ETIMEDOUT;
}

/* Serve until a stop. @return 0, or why the calling fiber wants to leave at once */
static int serve(struct soq__lane *lane)
{
	int rc = start_acceptors(lane);

	if (rc == 0)
		rc = soq_wait_fd(lane->server->drain.fd, POLLIN);
	return rc < 0 ? rc : 0;
}

/* A lane's share of what the server may have in all. */
static unsigned share(unsigned all, unsigned lanes, unsigned index)
{
	return all / lanes + (index < all % lanes);
}

static int lane_init(struct soq__lane *lane)
{
	struct soq_server *server = lane->server;
	int rc;

	lane->worker = soq__worker();
	lane->clients_max = share(server->opt.clients_max, server->opt.workers, lane->index);
	soq__list_init(&lane->served);
	soq__list_init(&lane->runnable);
	soq__list_init(&lane->children);
	rc = soq_event_new(&lane->changed);
	if (rc == 0)
		rc = soq_mutex_new(&lane->turn);
	if (rc == 0)
		rc = soq_scope_open(&lane->acceptors);
	if (rc == 0)
		rc = soq__worker_listen(lane->worker);
	return rc < 0 ? rc : open_sockets(lane);
}

static void lane_done(struct soq__lane *lane)
{
	/* A runner that was started in case of need may not have begun yet: it would find the
	 * lane gone. */
	while (lane->runner_ready)
		soq__reschedule(lane->worker);
	soq_scope_close(lane->acceptors);
	close_listeners(lane);
	close_dgrams(lane);
	free(lane->listeners);
	free(lane->sockets);
	soq_mutex_free(lane->turn);
	soq_event_free(lane->changed);
}

/* Stop and drain, whatever the calling fiber's deadline and cancellation say: they have
 * had their say in @reason. A cancellation that comes now cuts the grace time short. */
static int end(struct soq__lane *lane, int reason)
{
	struct soq__fiber *f = soq__current();
	int64_t deadline_ns = f->deadline_ns;
	bool cancelled = f->cancelled, had_clients = atomic_load(&lane->clients) > 0;
	int rc;

	f->deadline_ns = SOQ_NEVER;
	f->cancelled = false;
	if (reason < 0)
		stop_at_once(lane->server);
	stop_accepting(lane);
	rc = drain(lane, reason < 0 ? 0 : lane->server->opt.grace_ns, had_clients);
	f->deadline_ns = deadline_ns;
	f->cancelled |= cancelled;
	return reason < 0 ? reason : rc;
}

int soq__lane_run(struct soq_server *server, unsigned index)
{
	struct soq__lane lane = { .server = server, .index = index };
	int rc = lane_init(&lane);

	if (index > 0) {
		atomic_fetch_add(&server->lanes_opened, 1);
		soq_event_set(server->lanes_changed);
	}
	if (rc == 0)
		rc = end(&lane, serve(&lane));
	lane_done(&lane);
	return rc;
}
