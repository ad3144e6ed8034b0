/* offload_left_behind.c - work whose caller has not waited for its end. */
#include "fiber/worker.h"
#include "test.h"
#include <soquete/runtime.h>
#include <soquete/time.h>

#include <errno.h>
#include <semaphore.h>

/* What this thread's engine holds is not a leak. */
void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

struct work {
	sem_t entered, leave, abandoned;
};

static void await(sem_t *s)
{
	while (sem_wait(s) < 0)
		CHECK_EQ(errno, EINTR);
}

static void stay(void *arg)
{
	struct work *w = arg;

	sem_post(&w->entered);
	await(&w->leave);
}

static void abandon(void *arg)
{
	struct work *w = arg;

	sem_post(&w->abandoned);
}

/* It is told so when it ends, once, and its caller is not woken. */
TEST(offload_left_behind_is_abandoned_at_its_end)
{
	struct work w;
	int64_t outer;

	CHECK_EQ(sem_init(&w.entered, 0, 0), 0);
	CHECK_EQ(sem_init(&w.leave, 0, 0), 0);
	CHECK_EQ(sem_init(&w.abandoned, 0, 0), 0);
	outer = soq_deadline(soq_now() + 5 * SOQ_MS);
	CHECK_ERR(soq__offload(stay, &w, abandon), -ETIMEDOUT);
	soq_deadline_restore(outer);
	/* Given up before a thread had it, it never runs, and its caller abandons it. */
	if (sem_trywait(&w.entered) == 0)
		CHECK(sem_trywait(&w.abandoned) < 0);
	sem_post(&w.leave);
	await(&w.abandoned);
	CHECK(sem_trywait(&w.abandoned) < 0);
}
