/* fiber_wait.c - waiting for descriptors of any kind, and for signals. */
#include "fiber.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

CONTRACT_KERNEL(fiber_wait_fd_kinds, "files, pipes and their ends are the kernel's")
{
	int fds[2], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), pair[2];
	char block[4096] = { 0 };

	CHECK_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	CHECK_EQ(soq_wait_fd(fds[1], POLLOUT), POLLOUT);
	CHECK_EQ(soq_wait_fd(file, POLLIN), POLLIN);
	CHECK_EQ(soq_wait_fd(file, POLLIN | POLLOUT), POLLIN | POLLOUT);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(soq_wait_fd(fds[0], POLLIN), POLLIN);
	CHECK_EQ(soq_wait_fd(fds[0], POLLIN | POLLOUT), POLLIN);
	while (write(fds[1], block, sizeof block) > 0)
		;
	soq_deadline(soq_now() + SOQ_MS);
	CHECK_ERR(soq_wait_fd(fds[1], POLLOUT), -ETIMEDOUT);
	soq_deadline_restore(SOQ_NEVER);
	close(fds[1]);
	CHECK_EQ(soq_wait_fd(fds[0], POLLIN), POLLIN | POLLHUP);
	close(fds[0]);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	CHECK_EQ(soq_wait_fd(pair[0], POLLIN | POLLOUT), POLLOUT);
	close(pair[1]);
	CHECK_EQ(soq_wait_fd(pair[0], POLLIN) & (POLLIN | POLLHUP), POLLIN | POLLHUP);
	close(pair[0]);
	close(file);
}

/* A descriptor that can be waited for, and the stream that makes it readable. */
struct wire {
	int fd;
	struct soq_stream *peer;
};

static struct wire wire_open(void)
{
	struct soq_stream *pair[2];

	CHECK_OK(soq_pair(pair));
	return (struct wire){ (int)CHECK_OK(soq_detach(pair[0])), pair[1] };
}

static void wire_close(const struct wire *wire)
{
	descriptor_close(wire->fd);
	soq_close(wire->peer);
}

static void wire_make_readable(const struct wire *wire)
{
	CHECK_EQ(soq_send(wire->peer, "x", 1), 1);
}

CONTRACT(fiber_wait_fd_of_a_stream)
{
	struct wire wire = wire_open();

	CHECK_EQ(soq_wait_fd(wire.fd, POLLOUT), POLLOUT);
	CHECK_EQ(soq_wait_fd(wire.fd, POLLIN | POLLOUT), POLLOUT);
	soq_deadline(soq_now() + SOQ_MS);
	CHECK_ERR(soq_wait_fd(wire.fd, POLLIN), -ETIMEDOUT);
	soq_deadline_restore(SOQ_NEVER);
	wire_make_readable(&wire);
	CHECK_EQ(soq_wait_fd(wire.fd, POLLIN), POLLIN);
	CHECK_EQ(soq_wait_fd(wire.fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
	soq_close(wire.peer);
	CHECK_EQ(soq_wait_fd(wire.fd, POLLIN), POLLIN | POLLHUP);
	descriptor_close(wire.fd);
}

CONTRACT(fiber_wait_fd_bad)
{
	struct wire wire = wire_open();

	wire_close(&wire);
	CHECK_ERR(soq_wait_fd(wire.fd, POLLIN), -EBADF);
	CHECK_ERR(soq_wait_fd(-1, POLLIN), -EBADF);
}

struct watch {
	int fd;
	short events;
	int rc;
	unsigned *ready;
};

static void watch_fd(void *arg)
{
	struct watch *w = arg;

	w->rc = soq_wait_fd(w->fd, w->events);
	++*w->ready;
}

static void watch(struct soq_scope *scope, struct watch *w, int fd, unsigned *ready)
{
	*w = (struct watch){ fd, POLLIN, 1, ready };
	CHECK_OK(soq_spawn(scope, watch_fd, w));
}

/* @count fibers wait for one descriptor, and @others for ones of their own. */
static void watch_together(unsigned count, unsigned others)
{
	struct soq_scope *scope = scope_open(), *quiet_scope = scope_open();
	unsigned ready = 0, ready_others = 0;
	struct wire wire = wire_open(), quiet[16];
	struct watch w[16], o[16];

	CHECK(count <= 16 && others <= 16);
	for (unsigned i = 0; i < others; i++) {
		quiet[i] = wire_open();
		watch(quiet_scope, &o[i], quiet[i].fd, &ready_others);
	}
	for (unsigned i = 0; i < count; i++)
		watch(scope, &w[i], wire.fd, &ready);
	for (int i = 0; i < 4; i++)
		CHECK_OK(soq_yield());
	CHECK_EQ(ready, 0);
	wire_make_readable(&wire);
	CHECK_OK(soq_scope_wait(scope));
	for (unsigned i = 0; i < count; i++)
		CHECK_EQ(w[i].rc, POLLIN);
	CHECK_EQ(ready_others, 0);
	soq_scope_close(scope);
	soq_scope_close(quiet_scope);
	for (unsigned i = 0; i < others; i++) {
		CHECK_ERR(o[i].rc, -ECANCELED);
		wire_close(&quiet[i]);
	}
	wire_close(&wire);
}

CONTRACT(fiber_wait_fd_shared)
{
	static const struct {
		unsigned count, others;
	} rows[] = { { 1, 0 }, { 2, 0 }, { 1, 8 }, { 2, 8 }, { 16, 0 }, { 2, 16 }, { 16, 16 } };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%u fibers on one, %u on others", rows[i].count, rows[i].others);
		watch_together(rows[i].count, rows[i].others);
	}
}

/* The same number again and again for other files: no engine may remember the former. */
CONTRACT(fiber_wait_fd_reused_number)
{
	struct soq_scope *scope = scope_open();
	struct wire wires[8];
	struct watch w[8];
	unsigned ready;

	for (int round = 0; round < 20; round++) {
		ROW("round %d", round);
		ready = 0;
		for (int i = 0; i < 8; i++) {
			wires[i] = wire_open();
			watch(scope, &w[i], wires[i].fd, &ready);
		}
		CHECK_OK(soq_yield());
		CHECK_OK(soq_yield());
		CHECK_EQ(ready, 0);
		for (int i = 0; i < 8; i++)
			wire_make_readable(&wires[i]);
		CHECK_OK(soq_scope_wait(scope));
		for (int i = 0; i < 8; i++) {
			CHECK_EQ(w[i].rc, POLLIN);
			wire_close(&wires[i]);
		}
	}
	soq_scope_close(scope);
}

/* A wait that was cancelled leaves nothing behind that points to its fiber's stack. */
static void cover_stack(void *arg)
{
	volatile char cover[32768];

	for (size_t i = 0; i < sizeof cover; i++)
		cover[i] = 0x5a;
	CHECK_ERR(soq_event_wait(arg), -ECANCELED);
	for (size_t i = 0; i < sizeof cover; i++)
		CHECK_EQ(cover[i], 0x5a);
}

CONTRACT(fiber_wait_fd_cancelled_is_forgotten)
{
	struct soq_scope *scope = scope_open(), *next = scope_open();
	struct soq_event *event = event_new();
	struct wire wires[8];
	unsigned ready = 0;
	struct watch w[8];

	for (int i = 0; i < 8; i++) {
		wires[i] = wire_open();
		watch(scope, &w[i], wires[i].fd, &ready);
	}
	CHECK_OK(soq_yield());
	CHECK_OK(soq_yield());
	soq_scope_close(scope);
	for (int i = 0; i < 8; i++) {
		CHECK_ERR(w[i].rc, -ECANCELED);
		CHECK_OK(soq_spawn(next, cover_stack, event)); /* on the former's stack */
	}
	CHECK_OK(soq_yield());
	for (int i = 0; i < 8; i++)
		wire_make_readable(&wires[i]);
	for (int i = 0; i < 4; i++) /* the engine takes its turns */
		CHECK_OK(soq_yield());
	soq_scope_close(next);
	soq_event_free(event);
	for (int i = 0; i < 8; i++)
		wire_close(&wires[i]);
}

/* ---- signals ---- */

/* To this process, or to the simulated host. */
static void send_signal(int signal)
{
	if (test_is_simulated())
		soq_sim_signal(soq_sim_here(), signal);
	else
		CHECK_EQ(kill(getpid(), signal), 0);
}

struct signal_wait {
	int signals[2];
	size_t count;
	int rc;
};

static void wait_signal(void *arg)
{
	struct signal_wait *s = arg;

	s->rc = soq_wait_signal(s->signals, s->count);
}

CONTRACT(fiber_wait_signal)
{
	struct signal_wait s = { { SIGUSR1, SIGUSR2 }, 2, 0 };
	struct soq_scope *scope = scope_open();

	CHECK_OK(soq_spawn(scope, wait_signal, &s));
	CHECK_OK(soq_yield());
	send_signal(SIGUSR2);
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(s.rc, SIGUSR2);
	/* It stays blocked: one that comes between two waits is kept for the next. */
	send_signal(SIGUSR1);
	CHECK_EQ(soq_wait_signal(s.signals, 2), SIGUSR1);
	soq_deadline(soq_now() + SOQ_MS);
	CHECK_ERR(soq_wait_signal(s.signals, 2), -ETIMEDOUT);
	soq_deadline_restore(SOQ_NEVER);
	CHECK_ERR(soq_wait_signal((const int[]){ 9999 }, 1), -EINVAL);
	CHECK_ERR(soq_wait_signal((const int[]){ 0 }, 1), -EINVAL);
	soq_scope_close(scope);
}

CONTRACT(fiber_wait_signal_by_two)
{
	struct signal_wait a = { { SIGUSR1 }, 1, 0 }, b = { { SIGUSR2 }, 1, 0 };
	struct soq_scope *scope = scope_open();

	CHECK_OK(soq_spawn(scope, wait_signal, &a));
	CHECK_OK(soq_spawn(scope, wait_signal, &b));
	CHECK_OK(soq_yield());
	send_signal(SIGUSR2);
	send_signal(SIGUSR1);
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(a.rc, SIGUSR1);
	CHECK_EQ(b.rc, SIGUSR2);
	soq_scope_close(scope);
}

/* ---- a wake-up from outside, while others wait ---- */

static void *set_event(void *arg)
{
	soq_event_set(arg);
	return NULL;
}

/* Who is woken by another thread waits for the next wake-up at once, which makes one more
 * operation within the very turn that completes it. Those who wait for descriptors must not
 * take its result for theirs. */
static void wake_beside(unsigned others)
{
	struct soq_scope *scope = scope_open();
	struct soq_event *event = event_new();
	unsigned ready = 0;
	struct wire quiet[8];
	struct watch w[8];
	pthread_t thread;

	for (unsigned i = 0; i < others; i++) {
		quiet[i] = wire_open();
		watch(scope, &w[i], quiet[i].fd, &ready);
	}
	for (int round = 0; round < 10; round++) {
		CHECK_EQ(pthread_create(&thread, NULL, set_event, event), 0);
		CHECK_OK(soq_event_wait(event));
		soq_event_reset(event);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(ready, 0);
	}
	for (unsigned i = 0; i < others; i++) {
		wire_make_readable(&quiet[i]);
		while (ready <= i)
			CHECK_OK(soq_yield());
		CHECK_EQ(w[i].rc, POLLIN);
	}
	soq_scope_close(scope);
	for (unsigned i = 0; i < others; i++)
		wire_close(&quiet[i]);
	soq_event_free(event);
}

static void *wake_beside_in_a_thread(void *arg)
{
	wake_beside(*(unsigned *)arg);
	return NULL;
}

CONTRACT_KERNEL(fiber_wait_fd_while_woken, "a simulated world belongs to one thread")
{
	pthread_t thread;

	/* Each number in a thread of its own: an engine begins with little room. */
	for (unsigned others = 0; others <= 8; others++) {
		ROW("beside %u", others);
		CHECK_EQ(pthread_create(&thread, NULL, wake_beside_in_a_thread, &others), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
	for (unsigned others = 0; others <= 8; others++)
		wake_beside(others);
}
