/* inline.c - a client served from first to last by a thread or a process of its own.
 *
 * The stop reaches it through the server's eventfds: a background operation watches the
 * first, then the second. Between two requests the first is enough to leave; within one,
 * only the second cancels.
 */
#include "net/tls.h"
#include "server/server.h"
#include <soquete/error.h>
#include <soquete/fiber.h>
#include <soquete/time.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

struct watch {
	struct soq_server *server;
	struct soq__worker *worker;
	struct soq__fiber *fiber;
	struct soq__socket socket;
	struct soq__op op;
	bool draining;
	bool idle;    /* between two requests */
	bool pending; /* the operation is the engine's */
	bool ending;  /* whatever is seen now is seen too late */
};

void soq__apply_limits(const struct soq_server *server, struct soq_stream *s)
{
	soq_set_recv_timeout(s, server->opt.idle_timeout_ns);
	soq_set_send_timeout(s, server->opt.send_timeout_ns);
}

int soq__greet(
	const struct soq_server *server, const struct soq__site *site, struct soq_stream *s)
{
	int rc;

	if (!site->tls)
		return 0;
	if (soq_draining()) /* who comes now cannot have asked for anything */
		return -ECANCELED;
	rc = soq__tls_begin(s, &(struct soq__tls_begin){ .tls = site->tls, .server = true });
	if (rc == 0)
		rc = soq_handshake(s);
	if (rc < 0 && rc != -ECANCELED)
		soq__log(server, "%s: %s", site->exact, soq_last_error());
	return rc;
}

void soq__finish_client(const struct soq_server *server, struct soq_stream *s)
{
	int64_t outer = soq_deadline(soq__after(soq_now(), server->opt.linger_ns));

	soq_set_recv_timeout(s, server->opt.linger_ns);
	soq_finish(s);
	soq_deadline_restore(outer);
}

void soq__log_result(const struct soq_server *server, const struct soq__site *site, int rc)
{
	if (rc < 0)
		soq__log(server, "handler of %s: %s", site->exact, soq_strerror(rc));
}

static void watch_next(struct watch *w);

static void stop_seen(struct soq__op *op)
{
	struct watch *w = op->owner;

	w->pending = false;
	if (op->result < 0 || w->ending)
		return;
	if (w->draining || w->idle)
		soq__fiber_cancel(w->fiber);
	if (w->draining)
		return;
	w->draining = true;
	watch_next(w);
}

static void watch_next(struct watch *w)
{
	struct soq__engine *e = w->worker->engine;

	w->socket = (struct soq__socket){ .fd = w->draining ? w->server->cancel.fd
							    : w->server->drain.fd };
	w->op = (struct soq__op){
		.code = SOQ__OP_POLL,
		.socket = &w->socket,
		.events = POLLIN,
		.complete = stop_seen,
		.owner = w,
	};
	soq__list_init(&w->op.node);
	w->pending = true;
	if (e->type->submit(e, &w->op))
		w->op.complete(&w->op);
}

static void watch_begin(struct watch *w, struct soq_server *server)
{
	*w = (struct watch){ .server = server, .worker = soq__worker() };
	w->fiber = w->worker->current;
	w->fiber->draining = &w->draining;
	watch_next(w);
}

static void watch_end(struct watch *w)
{
	struct soq__engine *e = w->worker->engine;

	w->fiber->draining = NULL;
	w->ending = true;
	if (!w->pending)
		return;
	e->type->cancel(e, &w->op);
	while (w->pending)
		e->type->turn(e, SOQ_NEVER);
	e->type->forget(e, &w->socket);
}

/* @return whether the peer has another request */
static bool await_request(struct watch *w, struct soq_stream *s)
{
	bool more;

	if (w->draining)
		return false;
	soq__stream_trim(s);
	w->idle = true;
	more = soq_wait_readable(s) == 0;
	w->idle = false;
	return more;
}

static void serve_requests(
	const struct soq__guest *guest, struct watch *watch, struct soq_stream *s)
{
	int64_t limit = guest->server->opt.request_timeout_ns;
	int rc;

	do {
		watch->fiber->deadline_ns =
			limit == SOQ_NEVER ? SOQ_NEVER : soq__after(soq_now(), limit);
		rc = guest->site->handler(s, guest->site->arg);
		watch->fiber->deadline_ns = SOQ_NEVER;
	} while (rc == SOQ_AGAIN && await_request(watch, s));
	soq__log_result(guest->server, guest->site, rc);
}

void soq__inline_serve(const struct soq__guest *guest)
{
	struct soq_stream *s;
	struct watch watch;
	int rc = soq__stream_new(&s, guest->fd, false, &guest->peer);

	if (rc < 0) {
		soq__close_fd(guest->fd);
		return;
	}
	soq__apply_limits(guest->server, s);
	watch_begin(&watch, guest->server);
	watch.idle = true;
	rc = soq__greet(guest->server, guest->site, s);
	watch.idle = false;
	if (rc == 0)
		serve_requests(guest, &watch, s);
	soq__finish_client(guest->server, s);
	watch_end(&watch);
}

void soq__inline_call(struct soq_server *server, void (*fn)(void *), void *arg)
{
	struct watch watch;

	watch_begin(&watch, server);
	fn(arg);
	watch_end(&watch);
}
