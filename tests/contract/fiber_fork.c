/* fiber_fork.c - fork in a program whose fibers wait: the child uses the library afresh, and
 * the parent notices nothing.
 */
#include "fiber.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKS "processes cannot share a simulated world"

struct echo {
	struct soq_stream *pair[2];
	int rounds;
};

static void echo(void *arg)
{
	struct echo *e = arg;
	char c;

	while (soq_recv(e->pair[1], &c, 1) == 1) {
		e->rounds++;
		CHECK_EQ(soq_send(e->pair[1], &c, 1), 1);
	}
	CHECK_OK(soq_shutdown(e->pair[1]));
}

static void echo_once(const struct echo *e)
{
	char c = 'x';

	CHECK_EQ(soq_send(e->pair[0], &c, 1), 1);
	CHECK_EQ(soq_recv(e->pair[0], &c, 1), 1);
	CHECK_EQ(c, 'x');
}

static void increment(void *arg)
{
	++*(int *)arg;
}

/* An emulator (qemu-user) cannot fork a program that has threads. It accepts any advice. */
static bool is_emulated(void)
{
	static char page[4096] __attribute__((aligned(4096)));

	return madvise(page, sizeof page, 0x7fff) == 0;
}

static void offload_one(void)
{
	int ran = 0;

	if (is_emulated())
		return;
	CHECK_OK(soq_offload(increment, &ran));
	CHECK_EQ(ran, 1);
}

/* Streams, timers, fibers, the pool, other threads' wake-ups: everything works. */
static void use_all(void)
{
	struct soq_scope *scope = scope_open();
	struct echo e = { { NULL }, 0 };

	CHECK_OK(soq_pair(e.pair));
	CHECK_OK(soq_spawn(scope, echo, &e));
	for (int i = 0; i < 10; i++)
		echo_once(&e);
	offload_one();
	await_alarm(SOQ_MS);
	soq_scope_close(scope);
	CHECK_EQ(e.rounds, 10);
	soq_close(e.pair[0]);
	soq_close(e.pair[1]);
}

/* A fiber of the parent that alarms wake often; in the child it must never be. */
static void tick(void *arg)
{
	pid_t parent = getpid();
	int64_t former;
	int rc;

	do {
		former = soq_deadline(soq_now() + 50 * SOQ_US);
		rc = soq_event_wait(arg);
		soq_deadline_restore(former);
		CHECK_EQ(getpid(), parent);
	} while (rc == -ETIMEDOUT);
}

/* Fork; @child runs in the child, which then ends. @return its process */
static pid_t fork_and(void (*child)(void))
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		child();
		_exit(7);
	}
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), 7);
}

CONTRACT_KERNEL(fiber_fork_while_others_wait, FORKS)
{
	struct soq_scope *scope = scope_open(), *ticks = scope_open();
	struct soq_event *event = event_new();
	struct echo e[8];

	offload_one();
	for (int i = 0; i < 8; i++) { /* enough for an epoll descriptor */
		e[i] = (struct echo){ { NULL }, 0 };
		CHECK_OK(soq_pair(e[i].pair));
		CHECK_OK(soq_spawn(scope, echo, &e[i]));
	}
	CHECK_OK(soq_spawn(ticks, tick, event));
	CHECK_OK(soq_spawn(scope, wait_for_event, event));
	for (int round = 0; round < 5; round++) {
		ROW("round %d", round);
		for (int i = 0; i < 8; i++)
			echo_once(&e[i]);
		reap(fork_and(use_all));
	}
	soq_scope_close(ticks);
	soq_event_set(event);
	for (int i = 0; i < 8; i++) {
		CHECK_EQ(e[i].rounds, 5);
		echo_once(&e[i]);
		CHECK_OK(soq_finish(e[i].pair[0]));
		e[i].pair[0] = NULL;
	}
	CHECK_OK(soq_scope_wait(scope));
	for (int i = 0; i < 8; i++)
		soq_close(e[i].pair[1]);
	soq_scope_close(scope);
	soq_event_free(event);
}

/* The caller itself may be a fiber, and goes on in both processes. */
static void fork_in_fiber(void *arg)
{
	pid_t *pid = arg;

	soq_deadline(soq_now() + 3600 * SOQ_S);
	*pid = fork_and(use_all);
	CHECK_OK(soq_yield());
}

CONTRACT_KERNEL(fiber_fork_in_a_fiber, FORKS)
{
	struct soq_scope *scope = scope_open();
	struct soq_event *event = event_new();
	pid_t pids[4];

	CHECK_OK(soq_spawn(scope, wait_for_event, event));
	for (int i = 0; i < 4; i++)
		CHECK_OK(soq_spawn(scope, fork_in_fiber, &pids[i]));
	CHECK_OK(soq_yield());
	soq_event_set(event);
	CHECK_OK(soq_scope_wait(scope));
	for (int i = 0; i < 4; i++)
		reap(pids[i]);
	soq_scope_close(scope);
	soq_event_free(event);
}

static void use_and_end(void)
{
	use_all();
	CHECK_OK(soq_thread_end());
	use_all();
	CHECK_OK(soq_thread_end());
}

CONTRACT_KERNEL(fiber_fork_then_end_thread, FORKS)
{
	struct soq_scope *scope = scope_open();
	struct soq_event *event = event_new();

	CHECK_OK(soq_spawn(scope, tick, event));
	CHECK_OK(soq_yield());
	reap(fork_and(use_and_end));
	CHECK_ERR(soq_thread_end(), -EBUSY);
	soq_scope_close(scope);
	soq_event_free(event);
}

/* A child of a child, from within a fiber of the child. */
static void fork_again(void)
{
	struct soq_scope *scope = scope_open();
	pid_t pid;

	CHECK_OK(soq_spawn(scope, fork_in_fiber, &pid));
	CHECK_OK(soq_scope_wait(scope));
	reap(pid);
	soq_scope_close(scope);
}

CONTRACT_KERNEL(fiber_fork_in_the_child, FORKS)
{
	use_all();
	reap(fork_and(fork_again));
	use_all();
}

/* The stream that the child inherits works there too, once the parent leaves it alone. */
static struct soq_stream *inherited;

static void send_inherited(void)
{
	struct soq_stream *s;

	CHECK_OK(soq_adopt(&s, dup(soq_fd(inherited))));
	CHECK_EQ(soq_send(s, "from the child", 14), 14);
	soq_close(s);
}

CONTRACT_KERNEL(fiber_fork_inherited_stream, FORKS)
{
	struct soq_stream *pair[2];
	char buf[14];
	pid_t pid;

	CHECK_OK(soq_pair(pair));
	CHECK_EQ(soq_send(pair[0], "x", 1), 1);
	CHECK_EQ(soq_recv(pair[1], buf, 1), 1);
	inherited = pair[0];
	pid = fork_and(send_inherited);
	CHECK_EQ(soq_recv_full(pair[1], buf, 14), 14);
	CHECK_MEM(buf, "from the child", 14);
	reap(pid);
	soq_close(pair[0]);
	soq_close(pair[1]);
}
