/* fiber_scope.c - fibers begin in order, end within their scope, and inherit its deadline. */
#include "fiber.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

/* What fibers write down, as digits in the order of writing. */
struct diary {
	int number;
	int *text;
};

static void note(void *arg)
{
	struct diary *d = arg;

	*d->text = *d->text * 10 + d->number;
}

static void note_yield_note(void *arg)
{
	note(arg);
	CHECK_OK(soq_yield());
	note(arg);
}

CONTRACT(fiber_scope_spawn_order)
{
	struct soq_scope *scope = scope_open();
	int text = 0;
	struct diary d[] = { { 1, &text }, { 2, &text }, { 3, &text } };

	for (int i = 0; i < 3; i++)
		CHECK_OK(soq_spawn(scope, note_yield_note, &d[i]));
	CHECK_EQ(text, 0); /* none runs before the caller suspends */
	CHECK_EQ(soq_scope_count(scope), 3);
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(text, 123123);
	CHECK_EQ(soq_scope_count(scope), 0);
	CHECK_OK(soq_scope_wait(scope)); /* nothing to wait for */
	CHECK_OK(soq_spawn(scope, note, &d[0]));
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(text, 1231231);
	soq_scope_close(scope);
	soq_scope_close(NULL);
}

CONTRACT(fiber_scope_yield_lets_ready_ones_run)
{
	struct soq_scope *scope = scope_open();
	int text = 0;
	struct diary one = { 1, &text }, two = { 2, &text };

	CHECK_OK(soq_yield()); /* alone */
	CHECK_OK(soq_spawn(scope, note, &one));
	CHECK_OK(soq_spawn(scope, note, &two));
	CHECK_OK(soq_yield());
	CHECK_EQ(text, 12);
	soq_scope_close(scope);
}

/* A fiber that ends only when it is cancelled, and says so. */
struct stubborn {
	struct soq_event *event;
	int rc;
	int yields; /* after the cancellation */
	bool ended;
};

static void be_stubborn(void *arg)
{
	struct stubborn *s = arg;

	CHECK(!soq_cancelled());
	s->rc = soq_event_wait(s->event);
	CHECK(soq_cancelled());
	for (int i = 0; i < s->yields; i++)
		CHECK_ERR(soq_yield(), -ECANCELED);
	CHECK_ERR(soq_event_wait(s->event), -ECANCELED); /* and from now on */
	s->ended = true;
}

CONTRACT(fiber_scope_close_waits)
{
	struct soq_scope *scope = scope_open();
	struct stubborn s[3] = { { event_new(), 0, 0, false } };

	for (int i = 0; i < 3; i++) {
		s[i] = (struct stubborn){ s[0].event, 0, 5 * i, false };
		CHECK_OK(soq_spawn(scope, be_stubborn, &s[i]));
	}
	CHECK_OK(soq_yield());
	soq_scope_close(scope);
	for (int i = 0; i < 3; i++) {
		CHECK(s[i].ended);
		CHECK_ERR(s[i].rc, -ECANCELED);
	}
	soq_event_free(s[0].event);
}

CONTRACT(fiber_scope_cancel)
{
	struct soq_scope *scope = scope_open(), *other = scope_open();
	struct stubborn s = { event_new(), 0, 3, false };
	int text = 0;
	struct diary d = { 1, &text };

	CHECK_OK(soq_spawn(scope, be_stubborn, &s));
	CHECK_OK(soq_spawn(other, wait_for_event, s.event));
	CHECK_OK(soq_yield());
	soq_scope_cancel(scope);
	CHECK_ERR(soq_spawn(scope, note, &d), -ECANCELED);
	CHECK(!soq_cancelled()); /* the scope's owner is not in it */
	CHECK_OK(soq_scope_wait(scope));
	CHECK(s.ended);
	CHECK_EQ(text, 0);
	CHECK_EQ(soq_scope_count(other), 1);
	soq_event_set(s.event);
	CHECK_OK(soq_scope_wait(other));
	soq_scope_cancel(scope); /* once more is harmless */
	soq_scope_close(scope);
	soq_scope_close(other);
	soq_event_free(s.event);
}

CONTRACT(fiber_scope_cancel_before_first_run)
{
	struct soq_scope *scope = scope_open();
	int text = 0;
	struct diary d = { 7, &text };

	CHECK_OK(soq_spawn(scope, note, &d));
	soq_scope_cancel(scope);
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(text, 7); /* it runs all the same: what it owns is its to release */
	soq_scope_close(scope);
}

/* Cancelling is heard through every level. */
struct level {
	int depth;
	struct soq_event *event;
	int *ended;
};

static void descend(void *arg)
{
	struct level *mine = arg, next = { mine->depth - 1, mine->event, mine->ended };
	struct soq_scope *scope;

	if (mine->depth == 0) {
		CHECK_ERR(soq_event_wait(mine->event), -ECANCELED);
	} else {
		scope = scope_open();
		CHECK_OK(soq_spawn(scope, descend, &next));
		CHECK_OK(soq_spawn(scope, wait_for_event, mine->event));
		CHECK_ERR(soq_scope_wait(scope), -ECANCELED);
		soq_scope_close(scope);
	}
	++*mine->ended;
}

CONTRACT(fiber_scope_nested)
{
	struct soq_scope *scope = scope_open();
	int ended = 0;
	struct level top = { 20, event_new(), &ended };

	CHECK_OK(soq_spawn(scope, descend, &top));
	for (int i = 0; i < 30; i++)
		CHECK_OK(soq_yield());
	CHECK_EQ(ended, 0);
	soq_scope_close(scope);
	CHECK_EQ(ended, 21);
	soq_event_free(top.event);
}

struct own {
	struct soq_scope *scope;
	int after;
};

static void cancel_own_scope(void *arg)
{
	struct own *own = arg;

	soq_scope_cancel(own->scope);
	CHECK(soq_cancelled());
	CHECK_ERR(soq_yield(), -ECANCELED);
	CHECK_ERR(soq_spawn(own->scope, cancel_own_scope, own), -ECANCELED);
	own->after++;
}

CONTRACT(fiber_scope_cancelled_by_its_fiber)
{
	struct own own = { scope_open(), 0 };

	CHECK_OK(soq_spawn(own.scope, cancel_own_scope, &own));
	CHECK_OK(soq_scope_wait(own.scope));
	CHECK_EQ(own.after, 1);
	soq_scope_close(own.scope);
}

static void close_own_while_cancelled(void *arg)
{
	struct stubborn *s = arg;
	struct soq_scope *scope = scope_open();
	struct stubborn inner = { s->event, 0, 10, false };

	CHECK_OK(soq_spawn(scope, be_stubborn, &inner));
	CHECK_ERR(soq_event_wait(s->event), -ECANCELED);
	soq_deadline(soq_now());
	soq_scope_close(scope); /* heeds neither: the inner one is over */
	CHECK(inner.ended);
	CHECK(soq_cancelled());
	s->ended = true;
}

CONTRACT(fiber_scope_close_heeds_nothing)
{
	struct soq_scope *scope = scope_open();
	struct stubborn s = { event_new(), 0, 0, false };

	CHECK_OK(soq_spawn(scope, close_own_while_cancelled, &s));
	CHECK_OK(soq_yield());
	CHECK_OK(soq_yield());
	soq_scope_close(scope);
	CHECK(s.ended);
	soq_event_free(s.event);
}

/* ---- deadlines ---- */

CONTRACT(fiber_deadline_only_nearer)
{
	int64_t now = soq_now(), far = now + 3600 * SOQ_S, near = now + 1800 * SOQ_S;

	CHECK_EQ(soq_deadline(far), SOQ_NEVER);
	CHECK_EQ(soq_deadline(SOQ_NEVER), far); /* a later one changes nothing */
	CHECK_EQ(soq_deadline(near), far);
	CHECK_EQ(soq_deadline(far), near);
	CHECK_EQ(soq_deadline(SOQ_NEVER), near);
	soq_deadline_restore(far);
	CHECK_EQ(soq_deadline(SOQ_NEVER), far);
	soq_deadline_restore(SOQ_NEVER);
	CHECK_EQ(soq_deadline(SOQ_NEVER), SOQ_NEVER);
}

static void read_deadline(void *arg)
{
	int64_t *ret = arg;

	*ret = soq_deadline(soq_now()); /* its own comes nearer, and nobody else's */
	CHECK_ERR(soq_yield(), -ETIMEDOUT);
}

CONTRACT(fiber_deadline_inherited)
{
	struct soq_scope *scope = scope_open();
	int64_t far = soq_now() + 3600 * SOQ_S, seen[3] = { 0 };

	CHECK_OK(soq_spawn(scope, read_deadline, &seen[0]));
	soq_deadline(far);
	CHECK_OK(soq_spawn(scope, read_deadline, &seen[1]));
	soq_deadline_restore(SOQ_NEVER);
	CHECK_OK(soq_spawn(scope, read_deadline, &seen[2]));
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(seen[0], SOQ_NEVER);
	CHECK_EQ(seen[1], far);
	CHECK_EQ(seen[2], SOQ_NEVER);
	CHECK_EQ(soq_deadline(SOQ_NEVER), SOQ_NEVER);
	soq_scope_close(scope);
}

CONTRACT(fiber_deadline_of_scope_wait)
{
	struct soq_scope *scope = scope_open();
	struct soq_event *e = event_new();
	int64_t at_ns = soq_now() + SOQ_MS;

	CHECK_OK(soq_spawn(scope, wait_for_event, e));
	soq_deadline(at_ns);
	CHECK_ERR(soq_scope_wait(scope), -ETIMEDOUT);
	CHECK(soq_now() >= at_ns);
	CHECK_ERR(soq_scope_wait(scope), -ETIMEDOUT); /* and from now on */
	CHECK_EQ(soq_scope_count(scope), 1);
	soq_event_set(e);
	soq_deadline_restore(SOQ_NEVER);
	CHECK_OK(soq_scope_wait(scope));
	soq_deadline(soq_now());
	CHECK_OK(soq_scope_wait(scope)); /* nothing to wait for, nothing to miss */
	soq_scope_close(scope);
	soq_event_free(e);
}

/* ---- sleep ---- */

struct sleeper {
	int64_t at_ns;
	struct diary diary;
};

static void sleep_then_note(void *arg)
{
	struct sleeper *s = arg;

	CHECK_OK(soq_sleep_until(s->at_ns));
	CHECK_EQ(soq_now(), s->at_ns);
	note(&s->diary);
}

/* Each wakes at the very instant; those of the same instant in the order of their coming. */
SIM(fiber_sleep_order)
{
	static const int after_ms[] = { 3, 1, 4, 2, 2, 1, 5 };
	struct soq_scope *scope = scope_open();
	struct sleeper s[7];
	int64_t base = soq_now();
	int text = 0;

	for (int i = 0; i < 7; i++) {
		s[i] = (struct sleeper){ base + after_ms[i] * SOQ_MS, { i + 1, &text } };
		CHECK_OK(soq_spawn(scope, sleep_then_note, &s[i]));
	}
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(text, 2645137);
	soq_scope_close(scope);
}

CONTRACT(fiber_sleep_limits)
{
	int64_t before;

	CHECK_OK(soq_sleep(0));
	CHECK_OK(soq_sleep(-1));
	CHECK_OK(soq_sleep_until(INT64_MIN));
	before = soq_now();
	CHECK_OK(soq_sleep(SOQ_MS));
	CHECK(soq_now() >= before + SOQ_MS);
	soq_deadline(soq_now() + SOQ_MS);
	CHECK_ERR(soq_sleep(SOQ_NEVER), -ETIMEDOUT);
	CHECK_ERR(soq_sleep(0), -ETIMEDOUT);
	CHECK_ERR(soq_yield(), -ETIMEDOUT);
}

static void set_event(void *arg)
{
	soq_event_set(arg);
}

/* A timer that a former, nearer deadline has left behind rings nobody. */
SIM(fiber_deadline_moved_later)
{
	struct soq_scope *scope = scope_open();
	struct soq_event *e = event_new();
	int64_t former, at_ns;

	for (int i = 0; i < 20; i++) {
		former = soq_deadline(soq_now() + 200 * SOQ_US);
		CHECK_OK(soq_spawn(scope, set_event, e));
		CHECK_OK(soq_event_wait(e));
		soq_event_reset(e);
		soq_deadline_restore(former);
		at_ns = soq_now() + 400 * SOQ_US;
		CHECK_OK(soq_sleep_until(at_ns));
		CHECK_EQ(soq_now(), at_ns);
		CHECK_OK(soq_scope_wait(scope));
	}
	soq_scope_close(scope);
	soq_event_free(e);
}

/* ---- what belongs to a fiber alone ---- */

static void fail_twice(void *arg)
{
	struct soq_endpoint e;

	CHECK_STR(soq_last_error(), "");
	soq_endpoint_parse(&e, "nonsense");
	CHECK(strstr(soq_last_error(), "nonsense"));
	CHECK_OK(soq_yield());
	CHECK(strstr(soq_last_error(), "nonsense"));
	CHECK_STR(soq_fiber_name(), "unnamed");
	soq_set_fiber_name(arg);
	CHECK_OK(soq_yield());
	CHECK_STR(soq_fiber_name(), arg);
}

CONTRACT(fiber_keeps_error_and_name)
{
	struct soq_scope *scope = scope_open();
	static char names[2][8] = { "first", "second" };
	struct soq_endpoint e;

	CHECK_STR(soq_last_error(), "");
	CHECK_STR(soq_fiber_name(), "main");
	soq_endpoint_parse(&e, "rubbish");
	CHECK_OK(soq_spawn(scope, fail_twice, names[0]));
	CHECK_OK(soq_spawn(scope, fail_twice, names[1]));
	CHECK_OK(soq_scope_wait(scope));
	CHECK(strstr(soq_last_error(), "rubbish"));
	CHECK_STR(soq_fiber_name(), "main");
	soq_scope_close(scope);
}

/* ---- the thread's end ---- */

static void end_thread(void *arg)
{
	CHECK_ERR(soq_thread_end(), -EBUSY);
	*(bool *)arg = true;
}

CONTRACT(fiber_thread_end)
{
	struct soq_scope *scope;
	bool ran = false;

	CHECK_OK(soq_thread_end()); /* before anything was used */
	scope = scope_open();
	CHECK_OK(soq_spawn(scope, end_thread, &ran));
	CHECK_ERR(soq_thread_end(), -EBUSY);
	CHECK_OK(soq_scope_wait(scope));
	CHECK(ran);
	soq_scope_close(scope);
	CHECK_OK(soq_thread_end());
	CHECK_OK(soq_thread_end());
	CHECK_OK(soq_yield()); /* and it begins afresh */
	CHECK_STR(soq_engine_name(), test_engine_name());
}

static void *use_and_leave(void *arg)
{
	struct soq_scope *scope = scope_open();
	_Atomic int *done = arg;
	int text = 0;
	struct diary d = { 1, &text };

	CHECK_OK(soq_spawn(scope, note_yield_note, &d));
	CHECK_OK(soq_scope_wait(scope));
	soq_scope_close(scope);
	CHECK_EQ(text, 11);
	atomic_fetch_add(done, 1);
	return NULL; /* without soq_thread_end(): descriptors and memory are released */
}

CONTRACT(fiber_thread_end_by_itself)
{
	_Atomic int done = 0;
	pthread_t threads[8];

	for (int i = 0; i < 8; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, use_and_leave, &done), 0);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	CHECK_EQ(atomic_load(&done), 8);
}
