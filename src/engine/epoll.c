/* epoll.c - a completion engine where io_uring is absent or denied.
 *
 * An operation is tried at once, then parked on its descriptor until the kernel reports
 * it ready. With few operations parked, poll(2) on their descriptors is enough and no
 * epoll descriptor is opened: a thread that serves one client costs a thread and no more.
 *
 * A socket is registered once, edge-triggered, for everything, and remembers what it knows
 * to be exhausted (NO_INPUT, NO_OUTPUT) so that nothing is tried in vain. An edge that
 * arrives after the last epoll_wait is reported by the next one, so clearing a bit early
 * is harmless and setting it late cannot happen.
 *
 * Invariant: an operation is parked (on the list and in its socket's slot), or complete,
 * or its caller's. One thread only.
 * Source: epoll(7), poll(2).
 */
#include "engine/engine.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
	NO_INPUT = 1,  /* nothing to read until an event says otherwise */
	NO_OUTPUT = 2, /* no room to write until an event says otherwise */
	ODD = 4,       /* end, error or urgent data seen: a short read proves nothing */
};

#define POLL_MAX      4 /* operations parked, up to which poll(2) serves */
#define POLLFDS_LEAST 8
#define EVENTS_MAX    256
#define ODD_EVENTS    (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)
#define ALL_EVENTS    (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)
#define OUT_EVENTS    (EPOLLOUT | EPOLLHUP | EPOLLERR)

struct engine {
	struct soq__engine base;
	int epfd; /* -1 while poll(2) serves */
	uint32_t serial;
	bool coarse; /* no epoll_pwait2: milliseconds */
	struct soq__list parked;
	size_t parked_count;
	struct pollfd *pollfds;
	size_t pollfds_capacity;
};

static struct engine *engine_of(struct soq__engine *e)
{
	return soq__container_of(e, struct engine, base);
}

static int probe(const char **ret_why)
{
	*ret_why = "";
	return 0;
}

static uint32_t new_serial(void)
{
	static _Atomic uint32_t serial;

	return atomic_fetch_add(&serial, 1) + 1;
}

static int engine_open(struct soq__engine **ret)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->pollfds = calloc(POLLFDS_LEAST, sizeof(*e->pollfds));
	if (!e->pollfds) {
		free(e);
		return -ENOMEM;
	}
	e->pollfds_capacity = POLLFDS_LEAST;
	e->base.type = &soq__engine_epoll;
	e->epfd = -1;
	e->serial = new_serial();
	soq__list_init(&e->parked);
	*ret = &e->base;
	return 0;
}

static void engine_close(struct soq__engine *base)
{
	struct engine *e = engine_of(base);

	if (e->epfd >= 0)
		close(e->epfd);
	free(e->pollfds);
	soq__host_wake_close(base);
	free(e);
}

/* ---- trying ---- */

static bool is_output(const struct soq__op *op)
{
	switch (op->code) {
	case SOQ__OP_SEND:
	case SOQ__OP_SENDMSG:
	case SOQ__OP_CONNECT:
		return true;
	case SOQ__OP_POLL:
		return !(op->events & (POLLIN | POLLPRI | POLLRDHUP));
	default:
		return false;
	}
}

static int64_t try_connect(struct soq__op *op)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (op->state == 0) {
		op->state = 1;
		if (connect(op->socket->fd, &op->addr->sa, op->addr->len) == 0)
			return 0;
		/* An interrupted connect goes on; EAGAIN is a Unix listener's full backlog. */
		if (errno == EINPROGRESS || errno == EINTR)
			return -EINPROGRESS;
		return errno == EAGAIN && op->addr->sa.sa_family == AF_UNIX ? -EBUSY : -errno;
	}
	if (getsockopt(op->socket->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return -errno;
	return -error;
}

static int64_t try_poll(const struct soq__op *op)
{
	struct pollfd pfd = { .fd = op->socket->fd, .events = op->events };

	if (poll(&pfd, 1, 0) < 0)
		return -errno;
	if (pfd.revents & POLLNVAL)
		return -EBADF;
	return pfd.revents ? pfd.revents : -EAGAIN;
}

static int64_t try_accept(struct soq__op *op)
{
	struct soq_addr *addr = op->addr;
	int fd;

	/* Opened before a fork by an engine that lets the kernel wait. */
	if (!op->socket->nonblocking) {
		int flags = fcntl(op->socket->fd, F_GETFL);

		if (flags < 0 || fcntl(op->socket->fd, F_SETFL, flags | O_NONBLOCK) < 0)
			return -errno;
		op->socket->nonblocking = true;
	}
	addr->len = sizeof(addr->un);
	fd = accept4(op->socket->fd, &addr->sa, &addr->len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* One attempt. -EAGAIN, or -EINPROGRESS for a connect, when it would have to wait. */
static int64_t try_op(struct soq__op *op)
{
	int fd = op->socket->fd, flags = op->flags | MSG_DONTWAIT;
	int64_t n;

	switch (op->code) {
	case SOQ__OP_RECV:
		n = recv(fd, op->buf, op->len, flags);
		break;
	case SOQ__OP_SEND:
		n = send(fd, op->buf, op->len, flags);
		break;
	case SOQ__OP_RECVMSG:
		n = recvmsg(fd, op->msg, flags | MSG_CMSG_CLOEXEC);
		break;
	case SOQ__OP_SENDMSG:
		n = sendmsg(fd, op->msg, flags);
		break;
	case SOQ__OP_ACCEPT:
		return try_accept(op);
	case SOQ__OP_CONNECT:
		return try_connect(op);
	case SOQ__OP_POLL:
		return try_poll(op);
	default:
		return -EINVAL;
	}
	return n < 0 ? -errno : n;
}

/* What an attempt has taught about the socket. */
static void learn(struct soq__op *op, int64_t result)
{
	struct soq__socket *s = op->socket;

	if (result == -EAGAIN)
		s->state |= is_output(op) ? NO_OUTPUT : NO_INPUT;
	else if (op->code == SOQ__OP_RECV && result > 0 && (size_t)result < op->len &&
		s->short_read_drains && !(s->state & ODD))
		s->state |= NO_INPUT;
}

/* @return true when the operation is complete */
static bool attempt(struct soq__op *op)
{
	int64_t result;

	do
		result = try_op(op);
	while (result == -EINTR);
	learn(op, result);
	if (result == -EINPROGRESS || (result == -EAGAIN && !(op->flags & MSG_DONTWAIT)))
		return false;
	op->result = result;
	return true;
}

/* ---- parking ---- */

static struct soq__op **slot_of(struct soq__op *op)
{
	return is_output(op) ? &op->socket->out : &op->socket->in;
}

static int watch(struct engine *e, struct soq__socket *s)
{
	struct epoll_event event = { .events = ALL_EVENTS, .data.ptr = s };

	if (s->registered == e->serial)
		return 0;
	if (epoll_ctl(e->epfd, EPOLL_CTL_ADD, s->fd, &event) < 0)
		return -errno;
	s->registered = e->serial;
	return 0;
}

static void park(struct engine *e, struct soq__op *op)
{
	*slot_of(op) = op;
	soq__list_append(&e->parked, &op->node);
	e->parked_count++;
}

static void unpark(struct engine *e, struct soq__op *op)
{
	*slot_of(op) = NULL;
	soq__list_remove(&op->node);
	e->parked_count--;
}

static bool exhausted(const struct soq__op *op)
{
	if (op->flags & MSG_DONTWAIT || op->code == SOQ__OP_CONNECT)
		return false;
	return op->socket->state & (is_output(op) ? NO_OUTPUT : NO_INPUT);
}

static int64_t attempt_alone(struct soq__engine *base, struct soq__op *op)
{
	(void)base;
	if (exhausted(op))
		return -EAGAIN;
	attempt(op);
	return op->result;
}

static bool submit(struct soq__engine *base, struct soq__op *op)
{
	struct engine *e = engine_of(base);
	int rc;

	if (*slot_of(op)) {
		op->result = -EBUSY;
		return true;
	}
	if (!exhausted(op) && attempt(op))
		return true;
	rc = e->epfd >= 0 ? watch(e, op->socket) : 0;
	if (rc < 0) {
		op->result = rc;
		return true;
	}
	park(e, op);
	return false;
}

static void finish(struct engine *e, struct soq__op *op, int64_t result)
{
	unpark(e, op);
	op->result = result;
	op->complete(op);
}

static void cancel(struct soq__engine *base, struct soq__op *op)
{
	finish(engine_of(base), op, -ECANCELED);
}

/* ---- events ---- */

static void retry(struct engine *e, struct soq__op *op, uint32_t events)
{
	if (op->code == SOQ__OP_POLL) {
		int64_t seen = events & (uint32_t)(op->events | POLLERR | POLLHUP | POLLNVAL);

		if (seen)
			finish(e, op, seen & POLLNVAL ? -EBADF : seen);
		return;
	}
	if (attempt(op))
		finish(e, op, op->result);
}

/* epoll's event bits are poll's (epoll_ctl(2)), so one function serves both. */
static void on_events(struct engine *e, struct soq__socket *s, uint32_t events)
{
	bool input = events & (EPOLLIN | ODD_EVENTS), output = events & OUT_EVENTS;
	struct soq__op *in = s->in, *out = s->out;

	if (input)
		s->state &= (uint8_t)~NO_INPUT;
	if (output)
		s->state &= (uint8_t)~NO_OUTPUT;
	if (events & ODD_EVENTS)
		s->state |= ODD;
	/* From here on the socket may be gone: its only operation's completion may free it. */
	if (in && (input || in->code == SOQ__OP_POLL))
		retry(e, in, events);
	if (out && output)
		retry(e, out, events);
}

static struct timespec *remaining(struct timespec *ts, int64_t until_ns)
{
	int64_t left = 0;

	if (until_ns == SOQ_NEVER)
		return NULL;
	if (until_ns > 0)
		left = until_ns - soq__host_now(NULL);
	if (left < 0)
		left = 0;
	ts->tv_sec = left / SOQ_S;
	ts->tv_nsec = left % SOQ_S;
	return ts;
}

/* Room for all that is parked; without memory for it, the first ones have to do. */
static void pollfds_reserve(struct engine *e)
{
	struct pollfd *grown;

	if (e->parked_count <= e->pollfds_capacity)
		return;
	grown = realloc(e->pollfds, e->parked_count * 2 * sizeof(*grown));
	if (!grown)
		return;
	e->pollfds = grown;
	e->pollfds_capacity = e->parked_count * 2;
}

static short wanted(const struct soq__op *op)
{
	if (op->code == SOQ__OP_POLL)
		return op->events;
	return is_output(op) ? POLLOUT : POLLIN;
}

static void turn_poll(struct engine *e, int64_t until_ns)
{
	struct timespec ts;
	size_t count = 0, i = 0;

	pollfds_reserve(e);
	soq__list_for_each (node, &e->parked) {
		struct soq__op *op = soq__container_of(node, struct soq__op, node);

		if (count == e->pollfds_capacity)
			break;
		e->pollfds[count++] =
			(struct pollfd){ .fd = op->socket->fd, .events = wanted(op) };
	}
	if (ppoll(e->pollfds, count, remaining(&ts, until_ns), NULL) <= 0)
		return;
	/* Completing one operation ends no other, and what it parks comes last: the order holds
	 * for those that were asked about. */
	soq__list_for_each (node, &e->parked) {
		struct soq__op *op = soq__container_of(node, struct soq__op, node);
		uint32_t events;

		if (i == count)
			break; /* parked by a completion */
		events = (uint16_t)e->pollfds[i++].revents;
		if (!events)
			continue;
		op->socket->state &= (uint8_t) ~(is_output(op) ? NO_OUTPUT : NO_INPUT);
		if (events & (POLLRDHUP | POLLHUP | POLLERR | POLLPRI))
			op->socket->state |= ODD;
		retry(e, op, events);
	}
}

static int wait_events(struct engine *e, struct epoll_event *events, int64_t until_ns)
{
	struct timespec ts, *left = remaining(&ts, until_ns);
	int64_t ms = -1;

	if (!e->coarse) {
		int n = epoll_pwait2(e->epfd, events, EVENTS_MAX, left, NULL);

		if (n >= 0 || (errno != ENOSYS && errno != EPERM))
			return n;
		e->coarse = true; /* before Linux 5.11, and some emulators and filters */
	}
	if (left)
		ms = soq__min(
			left->tv_sec * 1000 + (left->tv_nsec + 999999) / 1000000, 1 << 30);
	return epoll_wait(e->epfd, events, EVENTS_MAX, (int)ms);
}

static void turn_epoll(struct engine *e, int64_t until_ns)
{
	struct epoll_event events[EVENTS_MAX];
	int n = wait_events(e, events, until_ns);

	/* Nothing here runs user code, so no socket of this batch can go away. */
	for (int i = 0; i < n; i++)
		on_events(e, events[i].data.ptr, events[i].events);
}

/* Watch what is parked. @return 0, or why the kernel cannot watch so much */
static int watch_parked(struct engine *e)
{
	soq__list_for_each (node, &e->parked) {
		struct soq__op *op = soq__container_of(node, struct soq__op, node);
		int rc = watch(e, op->socket);

		if (rc == -EEXIST || rc == -EBADF)
			finish(e, op, rc);
		else if (rc < 0)
			return rc;
	}
	return 0;
}

/* Go over from poll(2) to epoll for good. Without a descriptor or memory for it, poll goes on
 * to serve. */
static void upgrade(struct engine *e)
{
	e->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (e->epfd < 0 || watch_parked(e) == 0)
		return;
	close(e->epfd);
	e->epfd = -1;
	e->serial = new_serial(); /* what was watched is so no more */
}

static void turn(struct soq__engine *base, int64_t until_ns)
{
	struct engine *e = engine_of(base);

	if (e->epfd < 0 && e->parked_count > POLL_MAX)
		upgrade(e);
	if (e->epfd < 0)
		turn_poll(e, until_ns);
	else
		turn_epoll(e, until_ns);
}

/* ---- sockets ---- */

static int open_socket(
	struct soq__engine *e, struct soq__socket *ret, int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	(void)e;
	if (fd < 0)
		return -errno;
	*ret = (struct soq__socket){ .fd = fd, .nonblocking = true };
	return 0;
}

static int adopt(struct soq__engine *e, struct soq__socket *ret, int fd, bool foreign)
{
	int flags, listening = 0;
	socklen_t len = sizeof(listening);
	int rc = foreign ? soq__host_check_foreign(fd) : 0;

	(void)e;
	if (rc < 0)
		return rc;
	*ret = (struct soq__socket){ .fd = fd, .nonblocking = !foreign };
	if (!foreign)
		return 0;
	/* Others may share a foreign description, so it stays as it is, except that
	 * accept(2) on a listener knows no MSG_DONTWAIT. */
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 || !listening)
		return 0;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	ret->nonblocking = true;
	return 0;
}

static void forget(struct soq__engine *base, struct soq__socket *s)
{
	struct engine *e = engine_of(base);

	/* A copy of the descriptor in another process would keep the registration alive. */
	if (s->registered == e->serial)
		epoll_ctl(e->epfd, EPOLL_CTL_DEL, s->fd, NULL);
	s->registered = 0;
}

static int release(struct soq__engine *base, struct soq__socket *s)
{
	forget(base, s);
	return soq__host_release(base, s);
}

static void close_socket(struct soq__engine *base, struct soq__socket *s)
{
	forget(base, s);
	close(s->fd);
	s->fd = -1;
}

const struct soq__engine_type soq__engine_epoll = {
	.name = "epoll",
	.probe = probe,
	.open = engine_open,
	.close = engine_close,
	.abandon = engine_close, /* the parent's epoll keeps its own descriptor */
	.submit = submit,
	.attempt = attempt_alone,
	.cancel = cancel,
	.turn = turn,
	.open_socket = open_socket,
	.adopt = adopt,
	.forget = forget,
	.release = release,
	.close_socket = close_socket,
	SOQ__HOST_FUNCTIONS,
};
