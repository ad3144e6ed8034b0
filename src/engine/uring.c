/* uring.c - the engine over Linux io_uring.
 *
 * One ring per thread. Operations queue until the scheduler's turn, which submits all of
 * them and waits in one system call; the kernel runs its part of completions only then
 * (DEFER_TASKRUN), so that it never interrupts the fibers.
 *
 * An operation's completion carries its address. So does that of a cancellation, with the
 * low bit set: the operation is complete when both have come, and a cancellation can never
 * meet another operation that reuses the address.
 *
 * Invariant: op->refs is the number of completions still to come for it.
 * Source: io_uring(7), io_uring_enter(2), io_uring_setup(2).
 */
#include "engine/engine.h"
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DRAINED = 1 }; /* socket: the last receive left nothing behind */
enum {
	READY_WANTED = 1, /* operation: waits for readiness, to be tried again */
	CANCELLED = 2,	  /* operation: no further attempt */
	FOUND = 4,	  /* operation: it has its result, and its poll is being ended */
};

#define CANCEL_TAG 1
#define ENTRIES	   256
#define CQ_ENTRIES 4096

struct engine {
	struct io_uring ring;
	bool poll_first; /* receives can be told that there is nothing yet */
	struct soq__engine base;
};

static struct engine *engine_of(struct soq__engine *e)
{
	return soq__container_of(e, struct engine, base);
}

/* ---- opening ---- */

static int try_setup(struct io_uring *ring, unsigned flags)
{
	struct io_uring_params params = {
		.flags = flags | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
		.cq_entries = CQ_ENTRIES,
	};

	return io_uring_queue_init_params(ENTRIES, ring, &params);
}

static const int needed_ops[] = { IORING_OP_RECV, IORING_OP_SEND, IORING_OP_RECVMSG,
	IORING_OP_SENDMSG, IORING_OP_ACCEPT, IORING_OP_CONNECT, IORING_OP_POLL_ADD,
	IORING_OP_ASYNC_CANCEL };

static int check_features(struct io_uring *ring)
{
	unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_FAST_POLL;
	struct io_uring_probe *supported;
	int rc = 0;

	if ((ring->features & needed) != needed)
		return -ENOSYS;
	supported = io_uring_get_probe_ring(ring);
	if (!supported)
		return -ENOSYS;
	for (size_t i = 0; i < sizeof(needed_ops) / sizeof(needed_ops[0]); i++)
		if (!io_uring_opcode_supported(supported, needed_ops[i]))
			rc = -ENOSYS;
	io_uring_free_probe(supported);
	return rc;
}

/* SINGLE_ISSUER came with Linux 6.0, when receives had learnt POLL_FIRST: that it is
 * accepted tells that both are there. */
static int setup(struct engine *e)
{
	unsigned best = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		IORING_SETUP_TASKRUN_FLAG;
	int rc = try_setup(&e->ring, best);

	e->poll_first = rc == 0;
	if (rc == -EINVAL)
		rc = try_setup(&e->ring, 0);
	if (rc < 0)
		return rc;
	rc = check_features(&e->ring);
	if (rc < 0)
		io_uring_queue_exit(&e->ring);
	return rc;
}

static int engine_open(struct soq__engine **ret)
{
	struct engine *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return -ENOMEM;
	e->base.type = &soq__engine_uring;
	rc = setup(e);
	if (rc < 0) {
		free(e);
		return rc;
	}
	/* A child of fork must not see, still less use, the parent's queues. */
	io_uring_ring_dontfork(&e->ring);
	*ret = &e->base;
	return 0;
}

static void engine_close(struct soq__engine *base)
{
	struct engine *e = engine_of(base);

	io_uring_queue_exit(&e->ring);
	soq__host_wake_close(base);
	free(e);
}

static int probe(const char **ret_why)
{
	struct soq__engine *e;
	int rc = engine_open(&e);

	*ret_why = "";
	if (rc == 0) {
		engine_close(e);
		return 0;
	}
	switch (rc) {
	case -EPERM:
	case -EACCES:
		*ret_why =
			"the kernel denies it (sysctl kernel.io_uring_disabled, or a filter)";
		break;
	case -ENOSYS:
		*ret_why = "this kernel lacks it, or the operations that soquete needs";
		break;
	case -ENOMEM:
		*ret_why = "not enough memory may be locked (ulimit -l)";
		break;
	case -EMFILE:
	case -ENFILE:
		*ret_why = "there is no descriptor left for its ring (ulimit -n)";
		break;
	default:
		*ret_why = "the kernel refused to set up a ring";
	}
	return rc;
}

/* ---- submitting ---- */

static struct io_uring_sqe *next_sqe(struct engine *e)
{
	struct io_uring_sqe *sqe;

	/* The queue is full: submit early. Should the kernel be short of memory, reaping
	 * is what helps, and turn() will do it; entering again is all that is left here. */
	while (!(sqe = io_uring_get_sqe(&e->ring)))
		io_uring_submit(&e->ring);
	return sqe;
}

static void prepare(struct engine *e, struct soq__op *op)
{
	struct io_uring_sqe *sqe = next_sqe(e);
	int fd = op->socket->fd, flags = op->flags;

	switch (op->code) {
	case SOQ__OP_RECV:
		io_uring_prep_recv(sqe, fd, op->buf, op->len, flags);
		if (e->poll_first && op->socket->state & DRAINED && !(flags & MSG_DONTWAIT))
			sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
		break;
	case SOQ__OP_SEND:
		io_uring_prep_send(sqe, fd, op->buf, op->len, flags);
		break;
	case SOQ__OP_RECVMSG:
		io_uring_prep_recvmsg(sqe, fd, op->msg, (unsigned)flags | MSG_CMSG_CLOEXEC);
		break;
	case SOQ__OP_SENDMSG:
		io_uring_prep_sendmsg(sqe, fd, op->msg, (unsigned)flags);
		break;
	case SOQ__OP_ACCEPT:
		op->addr->len = sizeof(op->addr->un);
		io_uring_prep_accept(sqe, fd, &op->addr->sa, &op->addr->len, SOCK_CLOEXEC);
		break;
	case SOQ__OP_CONNECT:
		io_uring_prep_connect(sqe, fd, &op->addr->sa, op->addr->len);
		break;
	case SOQ__OP_POLL:
		io_uring_prep_poll_add(sqe, fd, (unsigned)op->events);
		break;
	}
	io_uring_sqe_set_data(sqe, op);
	op->refs++;
}

/* A non-blocking description (inherited, or during a sendfile) makes the kernel give up
 * with EAGAIN where it would wait: wait for readiness, then try again. */
static void prepare_readiness(struct engine *e, struct soq__op *op)
{
	bool output = op->code == SOQ__OP_SEND || op->code == SOQ__OP_SENDMSG;
	struct io_uring_sqe *sqe = next_sqe(e);

	io_uring_prep_poll_add(sqe, op->socket->fd, output ? POLLOUT : POLLIN);
	io_uring_sqe_set_data(sqe, op);
	op->state |= READY_WANTED;
	op->refs++;
}

/* The kernel tells of POLLRDHUP, unasked, as long as the peer has ended its sending: who asked
 * for POLLOUT would be told so again and again. A poll for many events tells of each change
 * once, and goes on until it is cancelled. It came with Linux 5.13; before 6.0 it is asked
 * again all the same. */
static void prepare_changes(struct engine *e, struct soq__op *op)
{
	struct io_uring_sqe *sqe;

	if (!e->poll_first) {
		prepare(e, op);
		return;
	}
	sqe = next_sqe(e);
	io_uring_prep_poll_multishot(sqe, op->socket->fd, (unsigned)op->events);
	io_uring_sqe_set_data(sqe, op);
	op->refs++;
}

/* What a result has taught about the socket. @flags  of its completion */
static void learn(struct soq__op *op, unsigned flags)
{
	struct soq__socket *s = op->socket;
	bool drained = op->result == -EAGAIN ||
		(op->result > 0 && (size_t)op->result < op->len &&
			!(flags & IORING_CQE_F_SOCK_NONEMPTY));

	if (op->code == SOQ__OP_POLL)
		s->state &= (uint8_t)~DRAINED;
	else if (op->code == SOQ__OP_RECV && (op->result > 0 || drained))
		s->state = drained ? s->state | DRAINED : s->state & (uint8_t)~DRAINED;
}

/* Readiness and accepts know no MSG_DONTWAIT: look first. @return true when ready */
static bool ready_now(struct soq__op *op)
{
	short events = op->code == SOQ__OP_POLL ? op->events : POLLIN;
	struct pollfd pfd = { .fd = op->socket->fd, .events = events };

	if (poll(&pfd, 1, 0) <= 0)
		op->result = -EAGAIN;
	else
		op->result = pfd.revents & POLLNVAL ? -EBADF : pfd.revents;
	return op->result > 0;
}

/* A send seldom has to wait, nor a receive of what was reported to be there. With nothing to
 * batch it with, or with a stack to be left, a system call of its own costs less than a trip
 * through the ring and back. @return true when it is complete */
static bool try_now(struct soq__op *op)
{
	int fd = op->socket->fd, flags = op->flags | MSG_DONTWAIT;
	ssize_t n;

	do {
		if (op->code == SOQ__OP_RECV)
			n = recv(fd, op->buf, op->len, flags);
		else if (op->code == SOQ__OP_SEND)
			n = send(fd, op->buf, op->len, flags);
		else
			n = sendmsg(fd, op->msg, flags);
	} while (n < 0 && errno == EINTR);
	op->result = n < 0 ? -errno : n;
	if (op->code == SOQ__OP_RECV)
		learn(op, 0);
	return op->result != -EAGAIN || op->flags & MSG_DONTWAIT;
}

static bool worth_trying(const struct soq__op *op)
{
	switch (op->code) {
	case SOQ__OP_SEND:
	case SOQ__OP_SENDMSG:
		return true;
	case SOQ__OP_RECV:
		return !(op->socket->state & DRAINED);
	default:
		return false;
	}
}

static int64_t attempt(struct soq__engine *base, struct soq__op *op)
{
	(void)base;
	if (!worth_trying(op))
		return -EAGAIN;
	try_now(op);
	return op->result;
}

static bool submit(struct soq__engine *base, struct soq__op *op)
{
	bool looks = op->code == SOQ__OP_POLL || op->code == SOQ__OP_ACCEPT;

	if (base->at_once && worth_trying(op) && try_now(op))
		return true;
	if (op->flags & MSG_DONTWAIT && looks && (!ready_now(op) || op->code == SOQ__OP_POLL))
		return true;
	op->refs = 0;
	prepare(engine_of(base), op);
	return false;
}

/* Cancel what the kernel has of an operation. */
static void prepare_cancel(struct engine *e, struct soq__op *op)
{
	struct io_uring_sqe *sqe = next_sqe(e);

	io_uring_prep_cancel64(sqe, (uintptr_t)op, 0);
	io_uring_sqe_set_data64(sqe, (uintptr_t)op | CANCEL_TAG);
	op->refs++;
}

static void cancel(struct soq__engine *base, struct soq__op *op)
{
	prepare_cancel(engine_of(base), op);
	op->state |= CANCELLED;
}

/* ---- completing ---- */

static bool waits_on_eagain(const struct soq__op *op)
{
	return !(op->flags & MSG_DONTWAIT) && op->code != SOQ__OP_CONNECT;
}

/* @return true when the operation goes on */
static bool goes_on(struct engine *e, struct soq__op *op, int result)
{
	bool was_ready = op->state & READY_WANTED && result > 0;
	bool would_wait = result == -EAGAIN && waits_on_eagain(op);

	op->state &= (uint8_t)~READY_WANTED;
	/* An operation that a signal interrupted in a kernel worker was cancelled. */
	op->result = result == -EINTR ? -ECANCELED : result;
	if (!was_ready && !would_wait)
		return false;
	if (op->state & CANCELLED) { /* nothing was consumed */
		op->result = -ECANCELED;
		return false;
	}
	if (was_ready)
		prepare(e, op);
	else
		prepare_readiness(e, op);
	return true;
}

/* Of a poll. @more  it will tell of further events. @return true when it goes on */
static bool poll_goes_on(struct engine *e, struct soq__op *op, int result, bool more)
{
	if (op->state & FOUND)
		return false;
	/* What was asked for, and what poll(2) always tells of. */
	if (result > 0)
		result &= op->events | POLLERR | POLLHUP | POLLNVAL;
	if (result == 0 && more)
		return true;
	if (result == 0 && !(op->state & CANCELLED)) {
		prepare_changes(e, op);
		return true;
	}
	op->result = result ? result : -ECANCELED;
	if (more) {
		op->state |= FOUND;
		prepare_cancel(e, op);
	}
	return false;
}

static void on_completion(struct engine *e, const struct io_uring_cqe *cqe)
{
	uintptr_t data = (uintptr_t)cqe->user_data;
	struct soq__op *op = (struct soq__op *)(data & ~(uintptr_t)CANCEL_TAG);
	bool more = cqe->flags & IORING_CQE_F_MORE;

	op->refs -= !more;
	if (!(data & CANCEL_TAG)) {
		if (op->code == SOQ__OP_POLL ? poll_goes_on(e, op, cqe->res, more)
					     : goes_on(e, op, cqe->res))
			return;
		learn(op, cqe->flags);
	} else if (cqe->res == -ENOENT && op->refs > 0) {
		/* The kernel was just moving it: a connect to a full Unix socket goes from the
		 * first attempt to a worker by way of task work, and is nowhere meanwhile. Not
		 * asked again, the worker would wait for ever (seen on Linux 6.18). */
		prepare_cancel(e, op);
		return;
	}
	if (op->refs == 0)
		op->complete(op);
}

static void reap(struct engine *e)
{
	struct io_uring_cqe *cqe, copy;

	/* The entry is given back first: what the completion submits may need the room. */
	while (io_uring_peek_cqe(&e->ring, &cqe) == 0) {
		copy = *cqe;
		io_uring_cqe_seen(&e->ring, cqe);
		on_completion(e, &copy);
	}
}

static bool kernel_has_work(const struct io_uring *ring)
{
	return IO_URING_READ_ONCE(*ring->sq.kflags) &
		(IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static void turn(struct soq__engine *base, int64_t until_ns)
{
	struct engine *e = engine_of(base);
	struct __kernel_timespec ts;
	struct io_uring_cqe *cqe;
	int64_t left;

	if (until_ns == 0 || io_uring_cq_ready(&e->ring)) {
		if (io_uring_sq_ready(&e->ring) || kernel_has_work(&e->ring))
			io_uring_submit_and_get_events(&e->ring);
	} else if (until_ns == SOQ_NEVER) {
		io_uring_submit_and_wait(&e->ring, 1);
	} else {
		left = until_ns - soq__host_now(base);
		if (left < 0)
			left = 0;
		ts.tv_sec = left / SOQ_S;
		ts.tv_nsec = left % SOQ_S;
		io_uring_submit_and_wait_timeout(&e->ring, &cqe, 1, &ts, NULL);
	}
	reap(e);
}

/* ---- sockets: in blocking mode, since the ring does the waiting ---- */

static int open_socket(
	struct soq__engine *e, struct soq__socket *ret, int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	(void)e;
	if (fd < 0)
		return -errno;
	*ret = (struct soq__socket){ .fd = fd };
	return 0;
}

static int adopt(struct soq__engine *e, struct soq__socket *ret, int fd, bool foreign)
{
	int rc = foreign ? soq__host_check_foreign(fd) : 0;

	(void)e;
	if (rc < 0)
		return rc;
	*ret = (struct soq__socket){ .fd = fd };
	return 0;
}

static void forget(struct soq__engine *e, struct soq__socket *s)
{
	(void)e;
	(void)s;
}

static void close_socket(struct soq__engine *e, struct soq__socket *s)
{
	(void)e;
	close(s->fd);
	s->fd = -1;
}

const struct soq__engine_type soq__engine_uring = {
	.name = "uring",
	.probe = probe,
	.open = engine_open,
	.close = engine_close,
	.abandon = engine_close,
	.submit = submit,
	.attempt = attempt,
	.cancel = cancel,
	.turn = turn,
	.open_socket = open_socket,
	.adopt = adopt,
	.forget = forget,
	.release = soq__host_release,
	.close_socket = close_socket,
	SOQ__HOST_FUNCTIONS,
};
