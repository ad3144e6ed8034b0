/* descriptor.c - waiting for descriptors that are not soquete's own, and for signals. */
#include <soquete/fiber.h>
#include "fiber/worker.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
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
	int64_t rc;
	int copy;

	if (fd < 0)
		return -EBADF; /* poll(2) would ignore it, and wait for ever */
	rc = wait_once(fd, events);
	/* Another fiber waits for the same descriptor: epoll wants one of our own. */
	if (rc != -EEXIST)
		return (int)rc;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	rc = wait_once(copy, events);
	close(copy);
	return (int)rc;
}

int soq_wait_signal(const int *signals, size_t count)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd, rc;

	sigemptyset(&set);
	for (size_t i = 0; i < count; i++)
		if (sigaddset(&set, signals[i]) < 0)
			return -EINVAL;
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	do {
		rc = soq_wait_fd(fd, POLLIN);
		if (rc < 0)
			break;
		rc = (int)read(fd, &info, sizeof(info)) < 0 ? -errno : (int)info.ssi_signo;
	} while (rc == -EAGAIN || rc == -EINTR);
	close(fd);
	return rc;
}
