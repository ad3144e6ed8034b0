/* fiber_offload.c - functions on the pool: run once or not at all, waited for once begun. */
#include "fiber.h"
#include "fiber/worker.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

#define POOL	8 /* threads at most */
#define THREADS "a simulated host has no threads, and so no pool of them"

/* A function that stays in the pool until it is let go. */
struct gate {
	sem_t entered, leave, left;
	_Atomic int begun, ended;
};

static void gate_init(struct gate *g)
{
	CHECK_EQ(sem_init(&g->entered, 0, 0), 0);
	CHECK_EQ(sem_init(&g->leave, 0, 0), 0);
	CHECK_EQ(sem_init(&g->left, 0, 0), 0);
	atomic_init(&g->begun, 0);
	atomic_init(&g->ended, 0);
}

static void sem_await(sem_t *s)
{
	while (sem_wait(s) < 0)
		CHECK_EQ(errno, EINTR);
}

static void pass_gate(void *arg)
{
	struct gate *g = arg;

	atomic_fetch_add(&g->begun, 1);
	sem_post(&g->entered);
	sem_await(&g->leave);
	atomic_fetch_add(&g->ended, 1);
	sem_post(&g->left);
}

struct caller {
	void (*fn)(void *);
	void *arg;
	int rc;
	bool returned;
};

static void call(void *arg)
{
	struct caller *c = arg;

	c->rc = soq_offload(c->fn, c->arg);
	c->returned = true;
}

static void store_thread(void *arg)
{
	*(pthread_t *)arg = pthread_self();
}

CONTRACT_KERNEL(fiber_offload_to_another_thread, THREADS)
{
	pthread_t thread = pthread_self();

	for (int i = 0; i < 100; i++) {
		thread = pthread_self();
		CHECK_OK(soq_offload(store_thread, &thread));
		CHECK(!pthread_equal(thread, pthread_self()));
	}
}

static void increment(void *arg)
{
	atomic_fetch_add((_Atomic int *)arg, 1);
}

CONTRACT(fiber_offload_many)
{
	unsigned count = test_scale(1000);
	struct caller *callers = calloc(count, sizeof *callers);
	struct soq_scope *scope = scope_open();
	_Atomic int runs = 0;

	CHECK_OK(soq_offload(increment, (void *)&runs));
	CHECK_EQ(atomic_exchange(&runs, 0), 1);
	CHECK(callers);
	for (unsigned i = 0; i < count; i++) {
		callers[i] = (struct caller){ increment, (void *)&runs, 1, false };
		CHECK_OK(soq_spawn(scope, call, &callers[i]));
	}
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(atomic_load(&runs), count);
	for (unsigned i = 0; i < count; i++)
		CHECK_OK(callers[i].rc);
	soq_scope_close(scope);
	free(callers);
}

/* With the pool taken, what has not begun is taken back. */
CONTRACT_KERNEL(fiber_offload_given_up_before_it_begins, THREADS)
{
	struct soq_scope *scope = scope_open(), *late = scope_open(), *timed = scope_open();
	struct caller busy[POOL], cancelled, expired;
	_Atomic int runs = 0;
	struct gate gate;

	gate_init(&gate);
	for (int i = 0; i < POOL; i++) {
		busy[i] = (struct caller){ pass_gate, &gate, 1, false };
		CHECK_OK(soq_spawn(scope, call, &busy[i]));
	}
	CHECK_OK(soq_yield());
	for (int i = 0; i < POOL; i++)
		sem_await(&gate.entered);
	cancelled = expired = (struct caller){ increment, (void *)&runs, 1, false };
	CHECK_OK(soq_spawn(late, call, &cancelled));
	CHECK_OK(soq_yield());
	soq_scope_cancel(late);
	CHECK_OK(soq_scope_wait(late));
	CHECK_ERR(cancelled.rc, -ECANCELED);
	soq_deadline(soq_now() + SOQ_MS);
	CHECK_OK(soq_spawn(timed, call, &expired));
	soq_deadline_restore(SOQ_NEVER);
	CHECK_OK(soq_scope_wait(timed));
	CHECK_ERR(expired.rc, -ETIMEDOUT);
	for (int i = 0; i < POOL; i++)
		sem_post(&gate.leave);
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(atomic_load(&gate.ended), POOL);
	CHECK_EQ(atomic_load(&runs), 0);
	CHECK_OK(soq_offload(increment, (void *)&runs)); /* and the pool still works */
	CHECK_EQ(atomic_load(&runs), 1);
	soq_scope_close(scope);
	soq_scope_close(late);
	soq_scope_close(timed);
}

/* What has begun is waited for, whatever the deadline, and its success is told. */
CONTRACT_KERNEL(fiber_offload_given_up_while_it_runs, THREADS)
{
	struct soq_scope *scope = scope_open();
	struct caller expired, cancelled;
	struct gate gate;

	gate_init(&gate);
	expired = cancelled = (struct caller){ pass_gate, &gate, 1, false };
	soq_deadline(soq_now() + 3600 * SOQ_S);
	CHECK_OK(soq_spawn(scope, call, &expired));
	CHECK_OK(soq_spawn(scope, call, &cancelled));
	soq_deadline_restore(SOQ_NEVER);
	CHECK_OK(soq_yield());
	sem_await(&gate.entered);
	sem_await(&gate.entered);
	soq_scope_cancel(scope);
	for (int i = 0; i < 20; i++)
		CHECK_OK(soq_yield());
	CHECK(!expired.returned && !cancelled.returned);
	sem_post(&gate.leave);
	sem_post(&gate.leave);
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(atomic_load(&gate.ended), 2);
	CHECK_OK(expired.rc);
	CHECK_OK(cancelled.rc);
	soq_scope_close(scope);
}

static void *offload_some(void *arg)
{
	uint64_t seed = *(const uint64_t *)arg;

	for (unsigned i = 0; i < test_scale(200); i++) {
		int64_t former = soq_deadline(soq_now() + (int64_t)(draw(&seed) % SOQ_MS));
		_Atomic int runs = 0;
		int rc = soq_offload(increment, (void *)&runs);

		soq_deadline_restore(former);
		CHECK(rc == 0 || rc == -ETIMEDOUT);
		CHECK_EQ(atomic_load(&runs), rc == 0);
	}
	return NULL;
}

/* At whatever moment it is given up: it has run, and that is told, or it never runs. */
CONTRACT(fiber_offload_under_a_deadline)
{
	uint64_t seed = 5;

	offload_some(&seed);
}

CONTRACT_KERNEL(fiber_offload_from_threads, THREADS)
{
	pthread_t threads[12]; /* more than the pool has */
	uint64_t seeds[12];

	for (int i = 0; i < 12; i++) {
		seeds[i] = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1);
		CHECK_EQ(pthread_create(&threads[i], NULL, offload_some, &seeds[i]), 0);
	}
	for (int i = 0; i < 12; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
}

/* ---- lookups left behind ---- */

static struct gate resolver_gate;

/* A resolver that answers when it is let go; nobody may be there any more to hear it. */
static int slow_resolve(
	const struct soq__engine *e, const struct soq__query *query, struct soq_addrs *ret)
{
	pass_gate(&resolver_gate);
	CHECK_STR(query->service, "slow"); /* as only the system can tell */
	ret->list = calloc(1, sizeof *ret->list);
	CHECK(ret->list);
	ret->count = 1;
	return 0;
}

static void connect_slowly(void *arg)
{
	struct soq_stream *s;

	*(int *)arg = soq_connect(&s, "tcp://127.0.0.1:slow");
}

/* Let go whoever has come to the gate. One that comes later, because its thread was slow to
 * begin, is let go the next time. */
static void let_resolvers_go(void)
{
	static int gone;

	for (; gone < atomic_load(&resolver_gate.begun); gone++) {
		sem_post(&resolver_gate.leave);
		sem_await(&resolver_gate.left);
	}
}

static void leave_lookups_behind(void)
{
	struct soq_scope *scope = scope_open();
	int rc[4] = { 1, 1, 1, 1 }, ended = atomic_load(&resolver_gate.ended);

	soq_deadline(soq_now() + 500 * SOQ_US);
	for (int i = 0; i < 4; i++)
		CHECK_OK(soq_spawn(scope, connect_slowly, &rc[i]));
	soq_deadline_restore(SOQ_NEVER);
	CHECK_OK(soq_scope_wait(scope));
	for (int i = 0; i < 4; i++)
		CHECK_ERR(rc[i], -ETIMEDOUT);
	soq_scope_close(scope);
	CHECK_EQ(atomic_load(&resolver_gate.ended), ended);
	let_resolvers_go();
}

/* Many, so that what leaked would be seen: a thread of the pool may still point to its last. */
CONTRACT_KERNEL(fiber_offload_lookup_left_behind, THREADS)
{
	static struct soq__engine_type slow;
	struct soq__engine *e = soq__worker()->engine;
	const struct soq__engine_type *type = e->type;

	slow = *type;
	slow.resolve = slow_resolve;
	e->type = &slow;
	gate_init(&resolver_gate);
	for (int i = 0; i < 20; i++)
		leave_lookups_behind();
	e->type = type;
}
