/* fiber_stack.c - many fibers, deep ones, one that goes too deep, and one that never waits. */
#include "fiber.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FRAMES_ARE_LARGE true
#define MANY		 2000 /* ThreadSanitizer knows 8128, and is slow to make one */
#else
#define FRAMES_ARE_LARGE false
#define MANY		 10000
#endif

struct crowd {
	struct soq_event *event;
	unsigned awake, done;
};

static void stand_in_crowd(void *arg)
{
	struct crowd *c = arg;

	c->awake++;
	CHECK_OK(soq_event_wait(c->event));
	CHECK_OK(soq_yield());
	c->done++;
}

CONTRACT(fiber_many)
{
	struct soq_scope *scope = scope_open();
	unsigned count = test_scale(MANY);
	struct crowd c = { event_new(), 0, 0 };

	for (int round = 0; round < 2; round++) {
		ROW("round %d", round);
		c = (struct crowd){ c.event, 0, 0 };
		for (unsigned i = 0; i < count; i++)
			CHECK_OK(soq_spawn(scope, stand_in_crowd, &c));
		CHECK_OK(soq_yield());
		CHECK_EQ(c.awake, count);
		CHECK_EQ(soq_scope_count(scope), count);
		soq_event_set(c.event);
		CHECK_OK(soq_scope_wait(scope));
		CHECK_EQ(c.done, count);
		soq_event_reset(c.event);
	}
	soq_scope_close(scope);
	soq_event_free(c.event);
}

/* Each sleeps until an instant of its own; they wake in the order of those, at the earliest
 * then, and no later than it takes to let the others of the same round run. */
struct sleeper {
	int64_t at_ns;
	int64_t *latest;
};

static void sleep_in_order(void *arg)
{
	struct sleeper *s = arg;

	CHECK_OK(soq_sleep_until(s->at_ns));
	CHECK(*s->latest <= s->at_ns);
	CHECK(soq_now() >= s->at_ns && soq_now() < s->at_ns + 10 * SOQ_US);
	*s->latest = s->at_ns;
}

SIM(fiber_many_sleep)
{
	unsigned count = test_scale(MANY / 2);
	struct sleeper *sleepers = calloc(count, sizeof *sleepers);
	struct soq_scope *scope = scope_open();
	int64_t latest = 0, base;
	uint64_t seed = 7;

	CHECK(sleepers);
	/* All are asleep before the first is due: one round takes no longer. */
	base = soq_now() + SOQ_MS;
	for (unsigned i = 0; i < count; i++) {
		sleepers[i].at_ns = base + (int64_t)(draw(&seed) % (20 * SOQ_MS));
		sleepers[i].latest = &latest;
		CHECK_OK(soq_spawn(scope, sleep_in_order, &sleepers[i]));
	}
	CHECK_OK(soq_scope_wait(scope));
	soq_scope_close(scope);
	free(sleepers);
}

/* @return the sum of 1..depth, by recursion with a frame of about 64 bytes or more */
__attribute__((noinline)) static unsigned recurse(unsigned depth)
{
	volatile unsigned here[8] = { depth };

	if (depth == 0)
		return 0;
	return here[0] + recurse(depth - 1) + here[7];
}

static void go_deep(void *arg)
{
	unsigned *depth = arg, sum = recurse(*depth);

	CHECK_OK(soq_yield());
	CHECK_EQ(sum, *depth * (*depth + 1) / 2);
	CHECK_EQ(recurse(*depth), sum);
}

CONTRACT(fiber_stack_deep)
{
	static const size_t sizes[] = { 32 * 1024, 256 * 1024, 8 * 1024 * 1024 };
	struct soq_scope *scope = scope_open();
	unsigned depth;

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		ROW("%zu", sizes[i]);
		CHECK_OK(soq_set_stack_size(sizes[i]));
		/* Most of the stack, at what a frame costs in the build at hand. */
		depth = (unsigned)(sizes[i] / (FRAMES_ARE_LARGE ? 512 : 160));
		for (int n = 0; n < 3; n++)
			CHECK_OK(soq_spawn(scope, go_deep, &depth));
		CHECK_OK(soq_scope_wait(scope));
	}
	soq_scope_close(scope);
}

CONTRACT(fiber_stack_size_limits)
{
	CHECK_ERR(soq_set_stack_size(32 * 1024 - 1), -EINVAL);
	CHECK_ERR(soq_set_stack_size(((size_t)1 << 30) + 1), -EINVAL);
	CHECK_ERR(soq_set_stack_size(0), -EINVAL);
	CHECK_OK(soq_set_stack_size(32 * 1024));
}

/* ---- too deep ---- */

static void overflow(void *arg)
{
	soq_set_fiber_name(arg);
	CHECK_OK(soq_yield());
	recurse(UINT32_MAX);
}

static void null_write(void *arg)
{
	volatile int *nowhere = NULL;

	soq_set_fiber_name(arg);
	*nowhere = 1;
}

/* Run @fn in a fiber of a process of its own. @return how that ended, and in @said (@len
 * bytes) what it wrote to standard error */
static int run_apart(void (*fn)(void *), char *said, size_t len)
{
	static char name[] = "bottomless";
	int fds[2], status;
	size_t at = 0;
	ssize_t n;
	pid_t pid;

	CHECK_EQ(pipe(fds), 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct soq_scope *scope;

		dup2(fds[1], 2);
		close(fds[0]);
		close(fds[1]);
		scope = scope_open();
		CHECK_OK(soq_spawn(scope, fn, name));
		soq_scope_wait(scope);
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], said + at, len - 1 - at)) > 0)
		at += (size_t)n;
	said[at] = '\0';
	close(fds[0]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return status;
}

CONTRACT(fiber_stack_overflow_is_named)
{
	static char said[65536];
	int status = run_apart(overflow, said, sizeof said);

	if (!strstr(said, "stack overflow in fiber 'bottomless'"))
		CHECK_STR(said, "stack overflow in fiber 'bottomless'");
	CHECK(strstr(said, "256 KiB"));
	/* The fault is handed on: to the core dump, or to the sanitizer's own report. */
	if (!FRAMES_ARE_LARGE)
		CHECK_EQ(WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGSEGV);
	CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

CONTRACT(fiber_fault_is_no_overflow)
{
	static char said[65536];
	int status = run_apart(null_write, said, sizeof said);

	CHECK(!strstr(said, "in fiber"));
	CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

/* ---- fairness ---- */

struct busy {
	struct soq_stream *pair[2];
	struct soq_queue *queue;
	struct soq_event *event;
	struct soq_mutex *mutex;
	int fd;
	bool stop;
};

static void busy_streams(struct busy *b)
{
	char c = 'x';

	CHECK_EQ(soq_send(b->pair[0], &c, 1), 1);
	CHECK_EQ(soq_recv(b->pair[1], &c, 1), 1);
}

static void busy_queue(struct busy *b)
{
	void *item;

	CHECK_OK(soq_queue_put(b->queue, b));
	CHECK_OK(soq_queue_get(b->queue, &item));
}

static void busy_event(struct busy *b)
{
	CHECK_OK(soq_event_wait(b->event));
}

static void busy_mutex(struct busy *b)
{
	CHECK_OK(soq_mutex_lock(b->mutex));
	CHECK_OK(soq_mutex_unlock(b->mutex));
}

static void busy_poll(struct busy *b)
{
	CHECK_EQ(soq_wait_fd(b->fd, POLLIN), POLLIN);
}

struct busy_case {
	const char *name;
	void (*step)(struct busy *b);
	struct busy *busy;
};

static void be_busy(void *arg)
{
	struct busy_case *c = arg;

	while (!c->busy->stop)
		c->step(c->busy);
}

/* Neither may be starved: who yields, and whose deadline has come. */
static void stop_later(void *arg)
{
	struct busy *b = arg;

	for (int i = 0; i < 10; i++)
		CHECK_OK(soq_yield());
	await_alarm(SOQ_MS);
	b->stop = true;
}

CONTRACT(fiber_fair_to_others)
{
	struct busy b = { .event = event_new() };
	struct busy_case rows[] = {
		{ "streams", busy_streams, &b },
		{ "queue", busy_queue, &b },
		{ "event", busy_event, &b },
		{ "mutex", busy_mutex, &b },
		{ "descriptor", busy_poll, &b },
	};
	struct soq_scope *scope = scope_open();
	struct soq_stream *polled[2];

	CHECK_OK(soq_pair(polled));
	CHECK_EQ(soq_send(polled[1], "x", 1), 1);
	b.fd = (int)CHECK_OK(soq_detach(polled[0]));
	CHECK_OK(soq_pair(b.pair));
	CHECK_OK(soq_queue_new(&b.queue, 4));
	CHECK_OK(soq_mutex_new(&b.mutex));
	soq_event_set(b.event);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		ROW("%s", rows[i].name);
		b.stop = false;
		CHECK_OK(soq_spawn(scope, be_busy, &rows[i]));
		CHECK_OK(soq_spawn(scope, stop_later, &b));
		CHECK_OK(soq_scope_wait(scope));
	}
	soq_scope_close(scope);
	soq_close(b.pair[0]);
	soq_close(b.pair[1]);
	soq_queue_free(b.queue);
	soq_mutex_free(b.mutex);
	soq_event_free(b.event);
	descriptor_close(b.fd);
	soq_close(polled[1]);
}
