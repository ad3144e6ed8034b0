/* wake_locked.c - how another thread wakes a fiber: so that the fiber's thread cannot end, and
 * its engine with it, before that is over.
 */
#include "fiber/worker.h"
#include "test.h"
#include <soquete/runtime.h>
#include <soquete/sync.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* What this thread's engine holds is not a leak. */
void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

static struct soq__worker *sleeper;
static const struct soq__engine_type *own;
static struct soq_event *event;
static int wakes;

static void wake_checked(struct soq__engine *e)
{
	CHECK(e == sleeper->engine);
	CHECK_EQ(pthread_mutex_trylock(&sleeper->inbox_lock), EBUSY);
	wakes++;
	own->wake(e);
}

static void *set_event(void *arg)
{
	(void)arg;
	soq_event_set(event);
	return NULL;
}

/* Wait until another thread has set the event. */
static void wait_once(void)
{
	uint64_t seen = soq__event_sets(event);
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, set_event, NULL), 0);
	CHECK_OK(soq__event_wait_after(event, seen));
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(wake_of_another_thread_holds_its_inbox)
{
	static struct soq__engine_type checked;

	/* Under valgrind no other thread runs while one waits in io_uring_enter(2). */
	CHECK_OK(setenv("SOQUETE_ENGINE", "epoll", 0));
	sleeper = soq__worker();
	own = sleeper->engine->type;
	checked = *own;
	checked.wake = wake_checked;
	sleeper->engine->type = &checked;
	CHECK_OK(soq_event_new(&event));
	/* The thread may be quicker than the wait; not always. */
	for (int i = 0; i < 1000 && wakes < 3; i++)
		wait_once();
	CHECK(wakes > 0);
	soq_event_free(event);
	sleeper->engine->type = own;
}
