/* op.c - how a fiber waits: for the engine, and for other fibers.
 *
 * Promise kept here: an operation that was begun is over when the call returns. A deadline
 * or a cancellation asks the engine to end it and then waits for its own completion, so
 * that nothing is written to the caller's memory afterwards, and a result that came first
 * is the result.
 */
#include "fiber/worker.h"
#include <errno.h>

/* After so many operations in a row that did not have to wait, others get their turn. */
#define INLINE_OPS_MAX 64

struct pending {
	struct soq__op *op;
	struct soq__fiber *fiber;
	bool done;
};

static void completed(struct soq__op *op)
{
	struct pending *pending = op->owner;

	pending->done = true;
	soq__wake(pending->fiber, 0);
}

static int64_t until(struct soq__worker *w, int64_t timeout_ns)
{
	int64_t deadline = w->current->shielded ? SOQ_NEVER : w->current->deadline_ns;

	if (timeout_ns == SOQ_NEVER)
		return deadline;
	return soq__min(deadline, soq__after(w->engine->type->now(w->engine), timeout_ns));
}

/* Wait for the end, whatever happens. */
static void await(struct soq__worker *w, const bool *done)
{
	bool shielded = w->current->shielded;

	w->current->shielded = true;
	while (!*done)
		soq__suspend(w, SOQ_NEVER);
	w->current->shielded = shielded;
}

static int64_t await_op(struct soq__worker *w, struct pending *pending, int64_t timeout_ns)
{
	struct soq__op *op = pending->op;
	int64_t until_ns = until(w, timeout_ns);
	int reason = 0;

	pending->fiber->op = op;
	while (!pending->done && reason == 0)
		reason = soq__suspend(w, until_ns);
	if (!pending->done) {
		w->engine->type->cancel(w->engine, op);
		await(w, &pending->done);
	}
	pending->fiber->op = NULL;
	return reason < 0 && op->result == -ECANCELED ? reason : op->result;
}

int soq__begin(struct soq__worker *w)
{
	if (++w->inline_ops >= INLINE_OPS_MAX)
		soq__reschedule(w);
	return soq__check(w->current);
}

int64_t soq__perform(struct soq__op *op, int64_t timeout_ns)
{
	struct soq__worker *w = soq__worker();
	struct pending pending = { .op = op, .fiber = w->current };
	int64_t result = soq__check(w->current);

	if (result < 0)
		return result;
	if (timeout_ns == 0)
		op->flags |= MSG_DONTWAIT;
	op->complete = completed;
	op->owner = &pending;
	op->state = 0;
	w->engine->at_once = w->ready_count == 0 || w->current->at_once;
	if (w->engine->type->submit(w->engine, op)) {
		result = op->result;
		if (++w->inline_ops >= INLINE_OPS_MAX)
			soq__reschedule(w);
	} else {
		result = await_op(w, &pending, timeout_ns);
	}
	return timeout_ns == 0 && result == -EAGAIN ? -ETIMEDOUT : result;
}

static int await_grant(struct soq__waiter *waiter, pthread_mutex_t *lock)
{
	struct soq__worker *w = waiter->fiber->worker;
	int reason = 0;
	bool granted;

	pthread_mutex_unlock(lock);
	waiter->fiber->waits_for = waiter->what;
	while (!waiter->woken && reason == 0)
		reason = soq__suspend(w, until(w, SOQ_NEVER));
	waiter->fiber->waits_for = NULL;
	if (waiter->woken)
		return 0;
	pthread_mutex_lock(lock);
	granted = waiter->granted;
	if (!granted)
		soq__list_remove(&waiter->node);
	pthread_mutex_unlock(lock);
	if (!granted)
		return reason;
	/* The wake-up is on its way and points to the waiter. */
	await(w, &waiter->woken);
	return 0;
}

int soq__wait_granted(struct soq__waiter *waiter, pthread_mutex_t *lock)
{
	struct soq__fiber *f = waiter->fiber;
	int rc;

	f->waiter = waiter;
	rc = await_grant(waiter, lock);
	f->waiter = NULL;
	return rc;
}
