/* worker.c - the scheduler; see worker.h. */
#include "fiber/worker.h"
#include "fiber/switch.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A fiber never changes its thread, so a cached address of this stays right. */
static _Thread_local __attribute__((tls_model("initial-exec"))) struct soq__worker *self;
static pthread_key_t end_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ---- birth and end ---- */

static void die(const char *what)
{
	fprintf(stderr, "soquete: %s\n", what);
	abort();
}

static void ring_fiber(struct soq__alarm *alarm)
{
	soq__wake(soq__container_of(alarm, struct soq__fiber, alarm), -ETIMEDOUT);
}

/* @return 0, -ENOMEM */
static int fiber_init(struct soq__fiber *f, struct soq__worker *w)
{
	f->worker = w;
	f->deadline_ns = SOQ_NEVER;
	soq__list_init(&f->node);
	soq__list_init(&f->scope_node);
	soq__list_init(&f->worker_node);
	return soq__alarm_open(w, &f->alarm, ring_fiber);
}

/* Nobody will wake it any more: what it waits for may be another worker's, and stay. */
static void forget_waiter(const struct soq__fiber *f)
{
	if (f->waiter)
		soq__list_remove(&f->waiter->node);
}

/* Drop a fiber where it is. */
static void abandon_fiber(struct soq__fiber *f)
{
	forget_waiter(f);
	free(f->last_error);
	soq__tsan_free(f->annotation.tsan_fiber);
	soq__stack_abandon(f->stack);
}

/* Whether the engine's turn was being taken on the stack of a fiber that has ended, and that
 * nobody has come after yet. */
static bool last_has_ended(const struct soq__worker *w)
{
	return w->current != &w->main && soq__list_empty(&w->current->worker_node);
}

void soq__worker_free(struct soq__worker *w, bool abandon)
{
	struct soq__engine *e = w->engine;

	soq__list_for_each (node, &w->fibers) {
		if (!abandon)
			die("a worker ends before its fibers");
		abandon_fiber(soq__container_of(node, struct soq__fiber, worker_node));
	}
	if (abandon && last_has_ended(w))
		abandon_fiber(w->current);
	forget_waiter(&w->main);
	if (w->names)
		w->names_free(w->names, abandon);
	if (w->tls)
		w->tls_free(w->tls);
	soq__overflow_unwatch(&w->alternate_stack);
	soq__tsan_engine_closes(&once);
	e->type->close(e);
	soq__heap_done(&w->timers);
	soq__stack_pool_done(&w->own_stacks);
	pthread_mutex_destroy(&w->inbox_lock);
	free(w->main.last_error);
	free(w);
}

static void on_thread_end(void *arg)
{
	struct soq__worker *w = arg;

	/* Fibers that outlive their thread were never waited for: their program's error.
	 * Their stacks stay, since something may still point into them. */
	if (w->fiber_count == 0)
		soq__worker_free(w, false);
	self = NULL;
}

static void inbox_init(struct soq__worker *w)
{
	pthread_mutex_init(&w->inbox_lock, NULL);
	soq__list_init(&w->inbox);
}

/* In the child of a fork only the calling fiber goes on: the others, the engine and its
 * operations are the parent's. What they held is left alone, not freed. */
static void in_child(void)
{
	struct soq__worker *w = self;
	struct soq__fiber *f;

	if (!w)
		return;
	f = w->current;
	if (w->names)
		w->names_free(w->names, true);
	w->names = NULL;
	w->engine->type->abandon(w->engine);
	w->engine = NULL;
	inbox_init(w);
	soq__list_init(&w->ready);
	w->ready_count = w->round = 0;
	w->timers.count = 0;
	soq__timer_init(&f->alarm.timer);
	w->alarm_count = 1;
	w->dead = NULL;
	soq__list_init(&w->fibers);
	w->fiber_count = f == &w->main ? 0 : 1;
	if (f != &w->main)
		soq__list_append(&w->fibers, &f->worker_node);
	if (soq__engine_open(&w->engine, &soq__engine_epoll) < 0)
		die("no engine can be opened in the child of a fork");
}

static void global_init(void)
{
	pthread_key_create(&end_key, on_thread_end);
	pthread_atfork(NULL, NULL, in_child);
}

struct soq__worker *soq__worker_new(struct soq__engine *engine, struct soq__stack_pool *stacks)
{
	struct soq__worker *w = calloc(1, sizeof(*w));

	pthread_once(&once, global_init);
	if (!w)
		return NULL;
	if (fiber_init(&w->main, w) < 0) {
		free(w);
		return NULL;
	}
	w->engine = engine;
	soq__tsan_engine_opened(&once);
	soq__list_init(&w->ready);
	soq__list_init(&w->fibers);
	soq__stack_pool_init(&w->own_stacks);
	w->stacks = stacks ? stacks : &w->own_stacks;
	inbox_init(w);
	w->main.name = "main";
	w->current = &w->main;
	return w;
}

struct soq__worker *soq__worker_swap(struct soq__worker *w)
{
	struct soq__worker *former = self;

	self = w;
	return former;
}

struct soq__worker *soq__worker_prefer(const struct soq__engine_type *type)
{
	struct soq__engine *engine;
	struct soq__worker *w;

	if (self)
		return self;
	/* A choice that fails must not take the program down: any engine will do. */
	if (soq__engine_open(&engine, type) < 0 && soq__engine_epoll.open(&engine) < 0)
		die("out of memory for a thread's engine");
	w = soq__worker_new(engine, NULL);
	if (!w)
		die("out of memory for a thread's scheduler");
	w->main.annotation.tsan_fiber = soq__tsan_current();
	self = w;
	pthread_setspecific(end_key, w);
	return w;
}

struct soq__worker *soq__worker(void)
{
	return soq__likely(self != NULL) ? self : soq__worker_prefer(NULL);
}

struct soq__worker *soq__worker_peek(void)
{
	return self;
}

int soq__worker_end(void)
{
	struct soq__worker *w = self;

	if (!w)
		return 0;
	/* A simulated program's worker is not the thread's to end. */
	if (w->fiber_count > 0 || w != pthread_getspecific(end_key))
		return -EBUSY;
	pthread_setspecific(end_key, NULL);
	self = NULL;
	soq__worker_free(w, false);
	return 0;
}

/* ---- timers ---- */

int soq__alarm_open(
	struct soq__worker *w, struct soq__alarm *alarm, void (*ring)(struct soq__alarm *))
{
	if (soq__heap_reserve(&w->timers, w->alarm_count + 1) < 0)
		return -ENOMEM;
	w->alarm_count++;
	soq__timer_init(&alarm->timer);
	alarm->at_ns = SOQ_NEVER;
	alarm->ring = ring;
	return 0;
}

void soq__alarm_close(struct soq__worker *w, struct soq__alarm *alarm)
{
	soq__heap_remove(&w->timers, &alarm->timer);
	w->alarm_count--;
}

void soq__alarm_set(struct soq__worker *w, struct soq__alarm *alarm, int64_t at_ns)
{
	alarm->at_ns = at_ns;
	if (at_ns == SOQ_NEVER)
		return;
	if (soq__timer_armed(&alarm->timer) && soq__heap_at(&w->timers, &alarm->timer) <= at_ns)
		return; /* it will be put right when it falls due */
	soq__heap_set(&w->timers, &alarm->timer, at_ns);
}

static void ring_alarms(struct soq__worker *w)
{
	struct soq__timer *timer;
	int64_t now;

	if (!w->timers.count)
		return;
	now = w->engine->type->now(w->engine);
	while ((timer = soq__heap_pop_due(&w->timers, now))) {
		struct soq__alarm *alarm = soq__container_of(timer, struct soq__alarm, timer);

		if (alarm->at_ns <= now) {
			alarm->at_ns = SOQ_NEVER;
			alarm->ring(alarm);
		} else if (alarm->at_ns != SOQ_NEVER) {
			soq__heap_set(&w->timers, &alarm->timer, alarm->at_ns);
		}
	}
}

/* ---- switching ---- */

static void reap_dead(struct soq__worker *w)
{
	struct soq__fiber *dead = w->dead;

	if (!dead)
		return;
	w->dead = NULL;
	soq__tsan_free(dead->annotation.tsan_fiber);
	/* The fiber's own struct lies at the top of its stack. */
	soq__asan_clean(dead->stack);
	soq__stack_put(dead->stack);
}

/* The first thing that runs after any switch. */
static void arrive(struct soq__worker *w, struct soq__fiber *from)
{
	struct soq__annotation *mine = &w->current->annotation;
	const void *low = NULL;
	size_t bytes = 0;

	soq__asan_arrive(mine, &low, &bytes);
	/* A thread's own stack becomes known when it is first left. */
	if (!from->annotation.stack_low) {
		from->annotation.stack_low = low;
		from->annotation.stack_bytes = bytes;
	}
	w->inline_ops = 0;
	reap_dead(w);
}

/* Run another fiber until this one is switched to again; a dying one never is. */
static void switch_to(struct soq__worker *w, struct soq__fiber *to, bool dying)
{
	struct soq__fiber *from = w->current;

	to->state = SOQ__FIBER_RUNNING;
	if (to == from) {
		w->inline_ops = 0;
		return;
	}
	w->current = to;
	w->previous = from;
	if (dying)
		w->dead = from;
	soq__asan_leave(dying ? NULL : &from->annotation.fake_stack, &to->annotation);
	soq__tsan_switch(to->annotation.tsan_fiber);
	soq__switch(&from->context, to->context);
	arrive(w, w->previous);
}

static void turn(struct soq__worker *w)
{
	int64_t until = soq__list_empty(&w->ready) ? soq__heap_first_ns(&w->timers) : 0;

	/* No clock was ever below 0, and engines subtract. */
	w->engine->type->turn(w->engine, until < 0 ? 0 : until);
	ring_alarms(w);
}

/* The engine gets its turn once a round: when every fiber that was ready at the last turn
 * has run. So no fiber starves, and one system call serves the whole round. */
static struct soq__fiber *next_ready(struct soq__worker *w)
{
	if (w->round == 0 || soq__list_empty(&w->ready)) {
		do
			turn(w);
		while (soq__list_empty(&w->ready));
		w->round = w->ready_count;
	}
	w->round--;
	w->ready_count--;
	return soq__container_of(soq__list_pop(&w->ready), struct soq__fiber, node);
}

static void make_ready(struct soq__fiber *f)
{
	f->state = SOQ__FIBER_READY;
	soq__list_append(&f->worker->ready, &f->node);
	f->worker->ready_count++;
}

void soq__wake(struct soq__fiber *f, int reason)
{
	if (f->state != SOQ__FIBER_SUSPENDED || (reason < 0 && f->shielded))
		return;
	f->wake_reason = reason;
	f->alarm.at_ns = SOQ_NEVER;
	make_ready(f);
}

int soq__suspend(struct soq__worker *w, int64_t until_ns)
{
	struct soq__fiber *f = w->current;

	f->state = SOQ__FIBER_SUSPENDED;
	soq__alarm_set(w, &f->alarm, until_ns);
	switch_to(w, next_ready(w), false);
	return f->wake_reason;
}

void soq__reschedule(struct soq__worker *w)
{
	make_ready(w->current);
	switch_to(w, next_ready(w), false);
}

int soq__check(const struct soq__fiber *f)
{
	if (f->shielded)
		return 0;
	if (f->cancelled)
		return -ECANCELED;
	if (f->deadline_ns != SOQ_NEVER &&
		f->worker->engine->type->now(f->worker->engine) >= f->deadline_ns)
		return -ETIMEDOUT;
	return 0;
}

/* ---- fibers ---- */

static void fiber_main(void *arg)
{
	struct soq__fiber *f = arg;
	struct soq__worker *w = f->worker;

	arrive(w, w->previous);
	f->fn(f->arg);
	f->state = SOQ__FIBER_SUSPENDED;
	soq__alarm_close(w, &f->alarm);
	free(f->last_error);
	f->last_error = NULL;
	soq__scope_fiber_ended(f);
	soq__list_remove(&f->worker_node);
	w->fiber_count--;
	switch_to(w, next_ready(w), true);
	abort();
}

/* The fiber's struct at the top of its stack, the context below it. */
static struct soq__fiber *fiber_on(struct soq__stack *stack)
{
	uintptr_t at = (uintptr_t)stack->high - sizeof(struct soq__fiber);
	struct soq__fiber *f = (struct soq__fiber *)(at & ~(uintptr_t)63);

	*f = (struct soq__fiber){ .stack = stack };
	return f;
}

struct soq__fiber *soq__fiber_start(struct soq__worker *w, struct soq_scope *scope,
	void (*fn)(void *), void *arg, const char *name, int64_t deadline_ns)
{
	struct soq__stack *stack;
	struct soq__fiber *f;

	stack = soq__stack_get(w->stacks, soq__stack_size());
	if (!stack)
		return NULL;
	f = fiber_on(stack);
	if (fiber_init(f, w) < 0) {
		soq__stack_put(stack);
		return NULL;
	}
	f->scope = scope;
	f->fn = fn;
	f->arg = arg;
	f->name = name;
	f->deadline_ns = deadline_ns;
	f->annotation.stack_low = stack->low;
	f->annotation.stack_bytes = (size_t)((char *)f - stack->low);
	f->annotation.tsan_fiber = soq__tsan_new();
	f->context = soq__switch_prepare(f, fiber_main, f);
	soq__scope_fiber_began(f);
	soq__list_append(&w->fibers, &f->worker_node);
	if (w->fiber_count++ == 0)
		soq__overflow_watch(&w->alternate_stack);
	make_ready(f);
	return f;
}

void soq__fiber_cancel(struct soq__fiber *f)
{
	f->cancelled = true;
	soq__wake(f, -ECANCELED);
}

/* ---- wake-ups from other threads ---- */

static void read_inbox(void *arg)
{
	struct soq__worker *w = arg;
	struct soq__list *node;

	pthread_mutex_lock(&w->inbox_lock);
	while ((node = soq__list_pop(&w->inbox))) {
		struct soq__waiter *waiter = soq__container_of(node, struct soq__waiter, node);

		waiter->woken = true;
		soq__wake(waiter->fiber, 0);
	}
	pthread_mutex_unlock(&w->inbox_lock);
}

int soq__worker_listen(struct soq__worker *w)
{
	return w->engine->type->wake_open(w->engine, read_inbox, w);
}

void soq__waiter_wake(struct soq__waiter *waiter)
{
	struct soq__worker *w = waiter->fiber->worker;

	waiter->granted = true;
	if (w == self) {
		waiter->woken = true;
		soq__wake(waiter->fiber, 0);
		return;
	}
	/* The engine is woken under the lock: the waiter cannot be taken out, and so its thread
	 * cannot end, before this is over. */
	pthread_mutex_lock(&w->inbox_lock);
	soq__list_append(&w->inbox, &waiter->node);
	w->engine->type->wake(w->engine);
	pthread_mutex_unlock(&w->inbox_lock);
}
