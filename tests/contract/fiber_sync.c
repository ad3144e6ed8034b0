/* fiber_sync.c - mutex, event and queue: within a thread and between threads, where waits
 * end early at any moment and nothing is lost.
 */
#include "fiber.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define THREADS 4
#define ALONE	"a simulated world belongs to one thread"

/* ---- within a thread ---- */

struct line {
	struct soq_mutex *mutex;
	int number;
	int *text;
};

static void lock_note_unlock(void *arg)
{
	struct line *l = arg;

	CHECK_OK(soq_mutex_lock(l->mutex));
	CHECK_ERR(soq_mutex_lock(l->mutex), -EDEADLK);
	CHECK_ERR(soq_mutex_trylock(l->mutex), -EBUSY);
	*l->text = *l->text * 10 + l->number;
	CHECK_OK(soq_yield());
	*l->text = *l->text * 10 + l->number;
	CHECK_OK(soq_mutex_unlock(l->mutex));
	CHECK_ERR(soq_mutex_unlock(l->mutex), -EPERM);
}

CONTRACT(fiber_mutex_order)
{
	struct soq_scope *scope = scope_open();
	struct soq_mutex *m;
	struct line l[4];
	int text = 0;

	CHECK_OK(soq_mutex_new(&m));
	CHECK_ERR(soq_mutex_unlock(m), -EPERM);
	for (int i = 0; i < 4; i++) {
		l[i] = (struct line){ m, i + 1, &text };
		CHECK_OK(soq_spawn(scope, lock_note_unlock, &l[i]));
	}
	CHECK_OK(soq_yield());
	CHECK_ERR(soq_mutex_trylock(m), -EBUSY);
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(text, 11223344);
	CHECK_OK(soq_mutex_trylock(m));
	CHECK_OK(soq_mutex_unlock(m));
	soq_scope_close(scope);
	soq_mutex_free(m);
	soq_mutex_free(NULL);
}

static void lock_in_vain(void *arg)
{
	CHECK_ERR(soq_mutex_lock(arg), -ECANCELED);
}

/* One who gives up waiting leaves the line, and those behind keep their places. */
CONTRACT(fiber_mutex_waiter_gives_up)
{
	struct soq_scope *scope = scope_open(), *impatient = scope_open();
	struct soq_mutex *m;
	struct line l[3];
	int text = 0;

	CHECK_OK(soq_mutex_new(&m));
	CHECK_OK(soq_mutex_lock(m));
	for (int i = 0; i < 3; i++)
		l[i] = (struct line){ m, i + 1, &text };
	CHECK_OK(soq_spawn(scope, lock_note_unlock, &l[0]));
	CHECK_OK(soq_spawn(impatient, lock_in_vain, m));
	CHECK_OK(soq_spawn(scope, lock_note_unlock, &l[2]));
	CHECK_OK(soq_yield());
	soq_scope_cancel(impatient);
	CHECK_OK(soq_scope_wait(impatient));
	CHECK_OK(soq_mutex_unlock(m));
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(text, 1133);
	soq_scope_close(scope);
	soq_scope_close(impatient);
	soq_mutex_free(m);
}

struct waiters {
	struct soq_event *event;
	int count;
};

static void wait_and_count(void *arg)
{
	struct waiters *w = arg;

	CHECK_OK(soq_event_wait(w->event));
	w->count++;
}

CONTRACT(fiber_event)
{
	struct waiters w = { event_new(), 0 };
	struct soq_scope *scope = scope_open();

	CHECK(!soq_event_is_set(w.event));
	for (int i = 0; i < 5; i++)
		CHECK_OK(soq_spawn(scope, wait_and_count, &w));
	CHECK_OK(soq_yield());
	CHECK_EQ(w.count, 0);
	soq_event_set(w.event);
	soq_event_reset(w.event); /* those who waited go on all the same */
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(w.count, 5);
	soq_event_set(w.event);
	soq_event_set(w.event);
	CHECK(soq_event_is_set(w.event));
	CHECK_OK(soq_event_wait(w.event));
	soq_scope_close(scope);
	soq_event_free(w.event);
	soq_event_free(NULL);
}

CONTRACT(fiber_queue_limits)
{
	struct soq_queue *q;
	int item[3];
	void *got;

	CHECK_ERR(soq_queue_new(&q, 0), -EINVAL);
	CHECK_ERR(soq_queue_new(&q, SIZE_MAX), -EINVAL);
	CHECK_OK(soq_queue_new(&q, 2));
	for (int round = 0; round < 5; round++) {
		CHECK_OK(soq_queue_put(q, &item[0]));
		CHECK_OK(soq_queue_put(q, &item[1]));
		soq_deadline(soq_now() + SOQ_MS);
		CHECK_ERR(soq_queue_put(q, &item[2]), -ETIMEDOUT);
		soq_deadline_restore(SOQ_NEVER);
		CHECK_OK(soq_queue_get(q, &got));
		CHECK(got == &item[0]);
		CHECK_OK(soq_queue_put(q, &item[2]));
		CHECK_OK(soq_queue_get(q, &got));
		CHECK(got == &item[1]);
		CHECK_OK(soq_queue_get(q, &got));
		CHECK(got == &item[2]);
	}
	CHECK_OK(soq_queue_put(q, &item[0]));
	soq_queue_close(q);
	CHECK_ERR(soq_queue_put(q, &item[1]), -EPIPE);
	CHECK_OK(soq_queue_get(q, &got));
	got = q;
	CHECK_ERR(soq_queue_get(q, &got), -ENODATA);
	CHECK(got == q);
	soq_queue_free(q);
	soq_queue_free(NULL);
}

struct user {
	struct soq_queue *queue;
	int rc;
	void *item;
};

static void put_one(void *arg)
{
	struct user *u = arg;

	u->rc = soq_queue_put(u->queue, u->item);
}

static void get_one(void *arg)
{
	struct user *u = arg;

	u->rc = soq_queue_get(u->queue, &u->item);
}

CONTRACT(fiber_queue_order)
{
	struct soq_scope *scope = scope_open();
	struct user p[5], g[5];
	int items[5];

	for (int getters_first = 0; getters_first < 2; getters_first++) {
		struct soq_queue *q;

		ROW("getters first: %d", getters_first);
		CHECK_OK(soq_queue_new(&q, 2));
		for (int n = 0; n < 2; n++)
			for (int i = 0; i < 5; i++) {
				struct user *u = n == getters_first ? &p[i] : &g[i];

				*u = (struct user){ q, 1, &items[i] };
				CHECK_OK(soq_spawn(
					scope, n == getters_first ? put_one : get_one, u));
			}
		CHECK_OK(soq_scope_wait(scope));
		for (int i = 0; i < 5; i++) {
			CHECK_OK(p[i].rc);
			CHECK_OK(g[i].rc);
			CHECK(g[i].item == &items[i]);
		}
		soq_queue_free(q);
	}
	soq_scope_close(scope);
}

CONTRACT(fiber_queue_close_wakes)
{
	struct soq_scope *scope = scope_open();
	struct soq_queue *empty, *full;
	struct user u[4];
	int item;

	CHECK_OK(soq_queue_new(&empty, 1));
	CHECK_OK(soq_queue_new(&full, 1));
	CHECK_OK(soq_queue_put(full, &item));
	for (int i = 0; i < 4; i++) {
		u[i] = (struct user){ i < 2 ? empty : full, 1, &item };
		CHECK_OK(soq_spawn(scope, i < 2 ? get_one : put_one, &u[i]));
	}
	CHECK_OK(soq_yield());
	soq_queue_close(empty);
	soq_queue_close(full);
	CHECK_OK(soq_scope_wait(scope));
	for (int i = 0; i < 4; i++)
		CHECK_ERR(u[i].rc, i < 2 ? -ENODATA : -EPIPE);
	soq_scope_close(scope);
	soq_queue_free(empty);
	soq_queue_free(full);
}

/* ---- between many, within a thread and between threads ---- */

struct market {
	struct soq_queue *queue;
	struct soq_mutex *mutex;
	_Atomic uint64_t put, got;
	_Atomic unsigned gave_up;
	unsigned rounds;
	uint64_t guarded; /* by the mutex alone */
	_Atomic uint64_t locked;
	_Atomic unsigned seed;
};

/* A deadline that is far, near or past. */
static int64_t random_deadline(uint64_t *seed, int64_t far_ns)
{
	uint64_t choice = draw(seed) % 4;

	if (choice == 0)
		return soq_now() + far_ns;
	return soq_now() + (int64_t)(draw(seed) % (200 * SOQ_US));
}

static bool gave_up(struct market *m, int rc)
{
	if (rc == 0)
		return false;
	CHECK(rc == -ETIMEDOUT || rc == -ECANCELED);
	atomic_fetch_add(&m->gave_up, 1);
	return true;
}

static uint64_t new_seed(struct market *m)
{
	return (uint64_t)(atomic_fetch_add(&m->seed, 1) + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void produce(void *arg)
{
	struct market *m = arg;
	uint64_t seed = new_seed(m);

	for (unsigned i = 0; i < m->rounds && !soq_cancelled(); i++) {
		uint64_t item = 1 + draw(&seed) % 1000;
		/* Not farther: consumers give up rounds, and the last one may have gone. */
		int64_t former = soq_deadline(random_deadline(&seed, 5 * SOQ_MS));

		if (!gave_up(m, soq_queue_put(m->queue, (void *)(uintptr_t)item)))
			atomic_fetch_add(&m->put, item);
		soq_deadline_restore(former);
	}
}

static void consume(void *arg)
{
	struct market *m = arg;
	uint64_t seed = new_seed(m);
	void *item;

	for (unsigned i = 0; i < m->rounds && !soq_cancelled(); i++) {
		int64_t former = soq_deadline(soq_now() + (int64_t)(draw(&seed) % SOQ_MS));

		if (!gave_up(m, soq_queue_get(m->queue, &item)))
			atomic_fetch_add(&m->got, (uint64_t)(uintptr_t)item);
		soq_deadline_restore(former);
	}
}

static void guard(void *arg)
{
	struct market *m = arg;
	uint64_t seed = new_seed(m);

	for (unsigned i = 0; i < m->rounds && !soq_cancelled(); i++) {
		int64_t former = soq_deadline(random_deadline(&seed, 3600 * SOQ_S));
		int rc = soq_mutex_lock(m->mutex);

		soq_deadline_restore(former);
		if (gave_up(m, rc))
			continue;
		m->guarded++;
		if (draw(&seed) % 2)
			soq_yield();
		atomic_fetch_add(&m->locked, 1);
		CHECK_OK(soq_mutex_unlock(m->mutex));
	}
}

static void *trade(void *arg)
{
	struct market *m = arg;
	struct soq_scope *patient = scope_open(), *cancelled = scope_open();
	uint64_t seed = new_seed(m);

	for (int i = 0; i < 24; i++) {
		struct soq_scope *scope = i % 4 == 3 ? cancelled : patient;

		CHECK_OK(soq_spawn(scope,
			i % 3 == 0	     ? produce
				: i % 3 == 1 ? consume
					     : guard,
			m));
	}
	for (uint64_t n = draw(&seed) % 200; n > 0; n--)
		CHECK_OK(soq_yield());
	soq_scope_close(cancelled);
	CHECK_OK(soq_scope_wait(patient));
	soq_scope_close(patient);
	return NULL;
}

static void market_open(struct market *m)
{
	*m = (struct market){ .rounds = test_scale(300) };
	CHECK_OK(soq_queue_new(&m->queue, 7));
	CHECK_OK(soq_mutex_new(&m->mutex));
}

/* What was put was got, or is still there; and the mutex is nobody's. */
static void market_close(struct market *m)
{
	uint64_t left = 0;
	void *item;

	soq_queue_close(m->queue);
	while (soq_queue_get(m->queue, &item) == 0)
		left += (uint64_t)(uintptr_t)item;
	CHECK_EQ(atomic_load(&m->got) + left, atomic_load(&m->put));
	CHECK_EQ(m->guarded, atomic_load(&m->locked));
	CHECK(atomic_load(&m->put) > 0);
	CHECK(atomic_load(&m->gave_up) > 0);
	CHECK_OK(soq_mutex_trylock(m->mutex)); /* nobody was granted it and forgot */
	CHECK_OK(soq_mutex_unlock(m->mutex));
	soq_queue_free(m->queue);
	soq_mutex_free(m->mutex);
}

CONTRACT(fiber_sync_between_fibers)
{
	struct market m;

	market_open(&m);
	trade(&m);
	market_close(&m);
}

CONTRACT_KERNEL(fiber_sync_between_threads, ALONE)
{
	pthread_t threads[THREADS];
	struct market m;

	market_open(&m);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, trade, &m), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	market_close(&m);
}

/* A consumer that a full queue never makes wait still leaves its turn to others. */
static void *feed(void *arg)
{
	while (soq_queue_put(arg, arg) == 0)
		;
	return NULL;
}

static void close_in_time(void *arg)
{
	await_alarm(SOQ_MS);
	soq_queue_close(arg);
}

CONTRACT_KERNEL(fiber_sync_is_fair_between_threads, ALONE)
{
	struct soq_scope *scope = scope_open();
	struct soq_queue *q;
	pthread_t threads[2];
	void *item;

	CHECK_OK(soq_queue_new(&q, 1000));
	CHECK_OK(soq_spawn(scope, close_in_time, q));
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, feed, q), 0);
	while (soq_queue_get(q, &item) == 0)
		CHECK(item == q);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	soq_scope_close(scope);
	soq_queue_free(q);
}

/* What one thread sets, the other that waited may free at once. */
static void *set_event(void *arg)
{
	soq_event_set(arg);
	return NULL;
}

static void *unlock_by_put(void *arg)
{
	CHECK_OK(soq_queue_put(arg, arg));
	return NULL;
}

CONTRACT_KERNEL(fiber_sync_freed_by_the_woken, ALONE)
{
	pthread_t thread;
	struct soq_queue *q;
	void *item;

	for (unsigned i = 0; i < test_scale(300); i++) {
		struct soq_event *e = event_new();

		ROW("round %u", i);
		CHECK_EQ(pthread_create(&thread, NULL, set_event, e), 0);
		CHECK_OK(soq_event_wait(e));
		soq_event_free(e);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_OK(soq_queue_new(&q, 1));
		CHECK_EQ(pthread_create(&thread, NULL, unlock_by_put, q), 0);
		CHECK_OK(soq_queue_get(q, &item));
		soq_queue_free(q);
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
}

/* A thread may end as soon as it has what it waited for. */
static void *wait_and_end(void *arg)
{
	CHECK_OK(soq_event_wait(arg));
	return NULL;
}

CONTRACT_KERNEL(fiber_sync_waiter_ends, ALONE)
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < test_scale(100); i++) {
		struct soq_event *e = event_new();

		for (int t = 0; t < THREADS; t++)
			CHECK_EQ(pthread_create(&threads[t], NULL, wait_and_end, e), 0);
		for (unsigned n = 0; n < i; n++)
			CHECK_OK(soq_yield());
		soq_event_set(e);
		for (int t = 0; t < THREADS; t++)
			CHECK_EQ(pthread_join(threads[t], NULL), 0);
		soq_event_free(e);
	}
}
