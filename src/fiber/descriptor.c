/* descriptor.c - waiting for descriptors that are not soquete's own, and for signals. */
#include <soquete/fiber.h>
#include "fiber/worker.h"
#include <errno.h>
#include <poll.h>
#include <unistd.h>

static int64_t wait_once(int fd, short events)
{
	struct soq__worker *w = soq__worker();
	struct soq__socket socket = { .fd = fd };
	struct soq__op op = { .code = SOQ__OP_POLL, .socket = &socket, .events = events };
	int64_t rc;

	soq__list_init(&op.node);
	rc = soq__perform(&op, SOQ_NEVER);
	w->engine->type->forget(w->engine, &socket);
	return rc;
}

int soq_wait_fd(int fd, short events)
{
	const struct soq__engine_type *type = soq__worker()->engine->type;
	int64_t rc;
	int copy;

	if (fd < 0)
		return -EBADF; /* poll(2) would ignore it, and wait for ever */
	rc = wait_once(fd, events);
	/* Another fiber waits for the same descriptor: epoll wants one of our own. */
	if (rc != -EEXIST)
		return (int)rc;
	copy = type->duplicate(soq__worker()->engine, fd);
	if (copy < 0)
		return copy;
	rc = wait_once(copy, events);
	close(copy);
	return (int)rc;
}

int soq_wait_signal(const int *signals, size_t count)
{
	struct soq__worker *w = soq__worker();
	int fd = w->engine->type->open_signals(w->engine, signals, count), rc;

	if (fd < 0)
		return fd;
	do {
		rc = soq_wait_fd(fd, POLLIN);
		if (rc > 0)
			rc = w->engine->type->read_signals(w->engine, fd);
	} while (rc == -EAGAIN || rc == -EINTR);
	w->engine->type->close_signals(w->engine, fd);
	return rc;
}
