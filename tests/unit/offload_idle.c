/* offload_idle.c - the pool's threads: one that has been idle and found work is idle no more.
 */
#include "test.h"
#include <soquete/fiber.h>
#include <soquete/runtime.h>
#include <soquete/time.h>

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>

/* What this thread's engine holds is not a leak. */
void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

static sem_t entered, leave;

static void nothing(void *arg)
{
	(void)arg;
}

static void sem_await(sem_t *s)
{
	while (sem_wait(s) < 0)
		CHECK_EQ(errno, EINTR);
}

static void stay(void *arg)
{
	(void)arg;
	sem_post(&entered);
	sem_await(&leave);
}

static void let_go(void *arg)
{
	(void)arg;
	sem_await(&entered);
	sem_post(&leave);
}

static void offload_stay(void *arg)
{
	*(int *)arg = soq_offload(stay, NULL);
}

/* Work that blocks until other work is done finds a thread of its own each time. */
TEST(offload_idle_threads_are_counted)
{
	struct soq_scope *scope;

	/* Under valgrind no other thread runs while one waits in io_uring_enter(2). */
	CHECK_OK(setenv("SOQUETE_ENGINE", "epoll", 0));
	CHECK_EQ(sem_init(&entered, 0, 0), 0);
	CHECK_EQ(sem_init(&leave, 0, 0), 0);
	for (int round = 0; round < 3; round++) {
		int rc = -1;

		ROW("round %d", round);
		CHECK_OK(soq_offload(nothing, NULL));
		CHECK_OK(soq_scope_open(&scope));
		CHECK_OK(soq_spawn(scope, offload_stay, &rc));
		CHECK_OK(soq_yield());
		soq_deadline(soq_now() + 5 * SOQ_S);
		CHECK_OK(soq_offload(let_go, NULL));
		soq_deadline_restore(SOQ_NEVER);
		CHECK_OK(soq_scope_wait(scope));
		soq_scope_close(scope);
		CHECK_OK(rc);
	}
}
