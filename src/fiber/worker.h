/* worker.h - a thread with an engine and a scheduler of its own.
 *
 * A fiber that suspends looks for the next ready one and switches straight to it; if none
 * is ready, it takes the engine's turn on its own stack until one is. So there is no
 * scheduler context, and a thread with a single fiber never switches.
 *
 * Invariant: a fiber is running, or on the ready list, or suspended (found again through
 * an operation, a timer, a waiter, or its scope).
 */
#ifndef SOQ__WORKER_H
#define SOQ__WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include "base/heap.h"
#include "base/list.h"
#include "engine/engine.h"
#include "fiber/annotate.h"
#include "fiber/stack.h"

enum soq__fiber_state { SOQ__FIBER_RUNNING, SOQ__FIBER_READY, SOQ__FIBER_SUSPENDED };

/* A timer that calls back, and does no work while its instant only moves later: it stays
 * in the heap where it was, and is put right when it falls due. */
struct soq__alarm {
	struct soq__timer timer;
	int64_t at_ns; /* the instant really meant; SOQ_NEVER: none */
	/* Called in the worker's turn; may make fibers ready, must not suspend. */
	void (*ring)(struct soq__alarm *alarm);
};

struct soq__fiber {
	void *context; /* its stack pointer, while it does not run */
	struct soq__worker *worker;
	struct soq__list node; /* on the ready list */
	enum soq__fiber_state state;
	bool cancelled;
	bool shielded;	     /* waits for what must end: neither deadline nor cancellation */
	int wake_reason;     /* 0, -ETIMEDOUT or -ECANCELED */
	int64_t deadline_ns; /* SOQ_NEVER: none */
	struct soq__alarm alarm;
	struct soq_scope *scope; /* NULL for a thread's first fiber */
	struct soq__list scope_node;
	struct soq__list worker_node; /* among the worker's fibers */
	const struct soq__op *op;     /* what it waits for, or NULL */
	struct soq__waiter *waiter;   /* of its own, that others may wake it through, or NULL */
	const char *waits_for; /* the same for whom no operation is pending: "an event" */
	void (*fn)(void *);
	void *arg;
	const char *name;
	char *last_error;	  /* malloc'd, or NULL */
	bool at_once;		  /* would rather not wait for what can be done at once */
	const bool *draining;	  /* of the server whose handler runs here, or NULL */
	struct soq__stack *stack; /* NULL for a thread's first fiber */
	struct soq__annotation annotation;
};

struct soq__worker {
	struct soq__engine *engine;
	struct soq__fiber *current;
	struct soq__list ready;
	size_t ready_count;
	size_t round;	     /* switches left before the engine's next turn */
	unsigned inline_ops; /* operations completed at once since the last switch */
	struct soq__heap timers;
	size_t alarm_count;		/* alarms that have room in the heap */
	struct soq__list fibers;	/* all but the thread's own; each is on it to its end */
	size_t fiber_count;		/* of these */
	struct soq__fiber *previous;	/* who ran before the present switch */
	struct soq__fiber *dead;	/* ended; its stack is freed by whoever runs next */
	struct soq__stack_pool *stacks; /* its own, or one that several workers share */
	struct soq__stack_pool own_stacks;
	struct soq__fiber main; /* the thread's own stack */

	/* What other threads may touch: wake-ups for fibers of this worker. */
	pthread_mutex_t inbox_lock;
	struct soq__list inbox; /* struct soq__waiter */

	char *alternate_stack; /* for the report of an overflow */

	/* What net/ keeps of names, or NULL: freed before the engine is closed, with @abandon
	 * in the child of a fork. */
	void *names;
	void (*names_free)(void *names, bool abandon);
	/* What net/ keeps of TLS in a simulated program, or NULL: freed likewise. */
	void *tls;
	void (*tls_free)(void *tls);
};

/* A fiber waiting for another, perhaps of another thread. On the waiting fiber's stack. */
struct soq__waiter {
	struct soq__list node; /* on what is waited for, then in the worker's inbox */
	struct soq__fiber *fiber;
	const char *what; /* is waited for, in words */
	bool granted;	  /* set by the waker, under the lock of what is waited for */
	bool woken;	  /* the worker has made the fiber ready */
};

/* This thread's worker; made when first asked for. Never NULL. */
struct soq__worker *soq__worker(void);
/* This thread's worker, or NULL when it has none yet. */
struct soq__worker *soq__worker_peek(void);
/* A worker that no thread has yet: it runs when soq__worker_swap() makes it a thread's, on a
 * stack of the caller's choice. The engine is its own from now on.
 * @stacks  shared with other workers of the thread, and not its to free; NULL: its own
 * @return NULL: no memory */
struct soq__worker *soq__worker_new(struct soq__engine *engine, struct soq__stack_pool *stacks);
/* Free it. @abandon  fibers that it still has are dropped where they are; else there are none
 */
void soq__worker_free(struct soq__worker *w, bool abandon);
/* Make a worker (or none) this thread's. @return the former one */
struct soq__worker *soq__worker_swap(struct soq__worker *w);
/* Make this thread's worker, preferring an engine where the process has not chosen. */
struct soq__worker *soq__worker_prefer(const struct soq__engine_type *type);
/* @return 0; -EBUSY when other fibers exist */
int soq__worker_end(void);

static inline struct soq__fiber *soq__current(void)
{
	return soq__worker()->current;
}

/* Suspend the running fiber until it is woken, an instant has come, or it is cancelled.
 * @return 0 when woken; -ETIMEDOUT; -ECANCELED. A shielded fiber only heeds the wake-up. */
int soq__suspend(struct soq__worker *w, int64_t until_ns);

/* Make a suspended fiber of this thread ready; nothing happens to one that is not. */
void soq__wake(struct soq__fiber *f, int reason);

/* Let the other ready fibers run first. */
void soq__reschedule(struct soq__worker *w);

/* Whether a call may go on: 0, -ECANCELED, or -ETIMEDOUT when the deadline has passed. */
int soq__check(const struct soq__fiber *f);

/* Start a fiber in a scope, or (NULL) in none.
 * @return NULL when there is no stack; it is ready, and has not run yet */
struct soq__fiber *soq__fiber_start(struct soq__worker *w, struct soq_scope *scope,
	void (*fn)(void *), void *arg, const char *name, int64_t deadline_ns);
void soq__fiber_cancel(struct soq__fiber *f);

/* Timers. Making room for one is what can fail; setting it cannot. */
int soq__alarm_open(
	struct soq__worker *w, struct soq__alarm *alarm, void (*ring)(struct soq__alarm *));
void soq__alarm_close(struct soq__worker *w, struct soq__alarm *alarm);
void soq__alarm_set(struct soq__worker *w, struct soq__alarm *alarm, int64_t at_ns);

/* Be ready to be woken by other threads. @return 0; -EMFILE, -ENFILE, -ENOMEM, -ENOSPC */
int soq__worker_listen(struct soq__worker *w);
/* Wake a waiter of any thread; its `granted` is set. Whoever waits for it will not return
 * before this has been heard, so that the waiter stays valid. */
void soq__waiter_wake(struct soq__waiter *waiter);

/* fiber.c: a scope's part in its fibers' lives. */
void soq__scope_fiber_began(struct soq__fiber *f);
void soq__scope_fiber_ended(struct soq__fiber *f);

/* op.c: begin a call that may need no waiting. Suspends, once after many that needed none,
 * so that the others get their turn. @return as soq__check() */
int soq__begin(struct soq__worker *w);

/* op.c: perform an operation for the running fiber. Suspends.
 * @timeout_ns  0: only try; SOQ_NEVER: no limit but the fiber's deadline
 * @return the operation's result; -ETIMEDOUT, -ECANCELED when it did not happen */
int64_t soq__perform(struct soq__op *op, int64_t timeout_ns);

/* op.c: wait to be granted what @lock guards; @waiter is listed already, and @lock held.
 * Suspends without the lock. @return 0 when granted; else a negative code, and the waiter
 * is off its list */
int soq__wait_granted(struct soq__waiter *waiter, pthread_mutex_t *lock);

struct soq_event;

/* sync.c: take one from a counter and set an event, as one step: whoever sees the counter
 * and then asks the event knows that nobody touches either on its account any more. */
void soq__event_count_down(struct soq_event *e, _Atomic unsigned *counter);
/* Wait for a condition that is made true before an event is set: ask how often it has been
 * set, look at the condition, and if it does not hold wait until the event is set again.
 * Nothing is missed, however many wait. The second suspends. */
uint64_t soq__event_sets(struct soq_event *e);
int soq__event_wait_after(struct soq_event *e, uint64_t sets);

/* offload.c: as soq_offload(), for a function that may be left behind. After a negative
 * return @arg is no longer the caller's: @abandoned(@arg) is called, perhaps by the pool
 * once @fn has run. */
int soq__offload(void (*fn)(void *), void *arg, void (*abandoned)(void *));

/* overflow.c: report a fiber's stack overflow by name, in this thread from now on.
 * @alternate_stack  NULL before; what the second call gives back */
void soq__overflow_watch(char **alternate_stack);
void soq__overflow_unwatch(char **alternate_stack);

size_t soq__stack_size(void);

#endif
