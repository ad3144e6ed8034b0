/* fiber.c - scopes, and what a fiber may ask and say of itself. */
#include <soquete/fiber.h>
#include <soquete/time.h>
#include "fiber/worker.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Invariant: count is the length of fibers; a waiter is suspended in await_empty(). */
struct soq_scope {
	struct soq__worker *worker;
	struct soq__list fibers;
	size_t count;
	bool cancelled;
	struct soq__fiber *waiter;
};

static _Atomic size_t stack_size = SOQ__STACK_DEFAULT;

size_t soq__stack_size(void)
{
	return atomic_load_explicit(&stack_size, memory_order_relaxed);
}

int soq_set_stack_size(size_t bytes)
{
	if (bytes < SOQ__STACK_LEAST || bytes > SOQ__STACK_MOST)
		return -EINVAL;
	atomic_store(&stack_size, bytes);
	return 0;
}

int soq_scope_open(struct soq_scope **ret)
{
	struct soq_scope *scope = calloc(1, sizeof(*scope));

	if (!scope)
		return -ENOMEM;
	scope->worker = soq__worker();
	soq__list_init(&scope->fibers);
	*ret = scope;
	return 0;
}

int soq_spawn(struct soq_scope *scope, void (*fn)(void *), void *arg)
{
	struct soq__worker *w = soq__worker();

	if (scope->cancelled)
		return -ECANCELED;
	if (!soq__fiber_start(w, scope, fn, arg, "unnamed", w->current->deadline_ns))
		return -ENOMEM;
	return 0;
}

void soq__scope_fiber_began(struct soq__fiber *f)
{
	if (!f->scope)
		return;
	soq__list_append(&f->scope->fibers, &f->scope_node);
	f->scope->count++;
}

void soq__scope_fiber_ended(struct soq__fiber *f)
{
	struct soq_scope *scope = f->scope;

	if (!scope)
		return;
	soq__list_remove(&f->scope_node);
	scope->count--;
	if (scope->count == 0 && scope->waiter)
		soq__wake(scope->waiter, 0);
}

static int await_empty(struct soq_scope *scope)
{
	struct soq__worker *w = scope->worker;
	int reason = 0;

	scope->waiter = w->current;
	w->current->waits_for = "the end of a scope's fibers";
	while (scope->count > 0 && reason == 0)
		reason = soq__suspend(
			w, w->current->shielded ? SOQ_NEVER : w->current->deadline_ns);
	scope->waiter = NULL;
	w->current->waits_for = NULL;
	return scope->count > 0 ? reason : 0;
}

int soq_scope_wait(struct soq_scope *scope)
{
	int rc;

	if (scope->count == 0)
		return 0;
	rc = soq__check(scope->worker->current);
	return rc < 0 ? rc : await_empty(scope);
}

void soq_scope_cancel(struct soq_scope *scope)
{
	scope->cancelled = true;
	soq__list_for_each (node, &scope->fibers)
		soq__fiber_cancel(soq__container_of(node, struct soq__fiber, scope_node));
}

void soq_scope_close(struct soq_scope *scope)
{
	struct soq__fiber *f;
	bool shielded;

	if (!scope)
		return;
	soq_scope_cancel(scope);
	f = scope->worker->current;
	shielded = f->shielded;
	f->shielded = true;
	await_empty(scope);
	f->shielded = shielded;
	free(scope);
}

size_t soq_scope_count(const struct soq_scope *scope)
{
	return scope->count;
}

int soq_yield(void)
{
	struct soq__worker *w = soq__worker();

	soq__reschedule(w);
	return soq__check(w->current);
}

bool soq_cancelled(void)
{
	return soq__current()->cancelled;
}

void soq_set_fiber_name(const char *name)
{
	soq__current()->name = name;
}

const char *soq_fiber_name(void)
{
	return soq__current()->name;
}

/* ---- time ---- */

int64_t soq_now(void)
{
	struct soq__worker *w = soq__worker();

	return w->engine->type->now(w->engine);
}

int64_t soq_wall_clock(void)
{
	struct soq__worker *w = soq__worker();

	return w->engine->type->wall_clock(w->engine);
}

int soq_random(void *buf, size_t len)
{
	struct soq__worker *w = soq__worker();

	return w->engine->type->random(w->engine, buf, len);
}

int64_t soq_deadline(int64_t absolute_ns)
{
	struct soq__fiber *f = soq__current();
	int64_t former = f->deadline_ns;

	f->deadline_ns = soq__min(former, absolute_ns);
	return former;
}

void soq_deadline_restore(int64_t former_ns)
{
	soq__current()->deadline_ns = former_ns;
}

int soq_sleep_until(int64_t absolute_ns)
{
	struct soq__worker *w = soq__worker();
	int64_t deadline = w->current->shielded ? SOQ_NEVER : w->current->deadline_ns;
	int reason = soq__check(w->current);

	w->current->waits_for = "an instant";
	while (reason == 0)
		reason = soq__suspend(w, soq__min(absolute_ns, deadline));
	w->current->waits_for = NULL;
	return reason == -ETIMEDOUT && absolute_ns <= deadline ? 0 : reason;
}

int soq_sleep(int64_t duration_ns)
{
	int rc = soq__check(soq__current());

	if (rc < 0)
		return rc;
	if (duration_ns <= 0)
		return soq_yield();
	return soq_sleep_until(soq__after(soq_now(), duration_ns));
}
