/* sync.c - mutex, event, bounded queue; see sync.h.
 *
 * Each is guarded by a thread's mutex, held for a few instructions and never across a
 * suspension. What is given goes straight to a waiter, so that nobody can slip in between.
 */
#include <soquete/sync.h>
#include "fiber/worker.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Wait on a list; the lock is held on entry, and released. */
static int wait_on(struct soq__list *list, pthread_mutex_t *lock, struct soq__waiter *waiter)
{
	soq__list_append(list, &waiter->node);
	return soq__wait_granted(waiter, lock);
}

/* What must hold before a fiber may wait. @return 0 or a negative code */
static int may_wait(struct soq__waiter *waiter, const char *what)
{
	struct soq__worker *w = soq__worker();
	int rc = soq__begin(w);

	*waiter = (struct soq__waiter){ .fiber = w->current, .what = what };
	soq__list_init(&waiter->node);
	return rc < 0 ? rc : soq__worker_listen(w);
}

static struct soq__waiter *pop_waiter(struct soq__list *list)
{
	struct soq__list *node = soq__list_pop(list);

	return node ? soq__container_of(node, struct soq__waiter, node) : NULL;
}

/* Whoever still waits is of a simulated program that will never go on, and is not to be
 * looked for here when it is abandoned. */
static void forget_waiters(struct soq__list *list)
{
	while (soq__list_pop(list))
		;
}

/* The thread that woke the last waiter may still be about to let go of the lock. */
static void lock_done(pthread_mutex_t *lock)
{
	pthread_mutex_lock(lock);
	pthread_mutex_unlock(lock);
	pthread_mutex_destroy(lock);
}

/* ---- mutex ---- */

struct soq_mutex {
	pthread_mutex_t lock;
	struct soq__fiber *owner;
	struct soq__list waiters;
};

int soq_mutex_new(struct soq_mutex **ret)
{
	struct soq_mutex *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	soq__list_init(&m->waiters);
	*ret = m;
	return 0;
}

void soq_mutex_free(struct soq_mutex *m)
{
	if (!m)
		return;
	lock_done(&m->lock);
	forget_waiters(&m->waiters);
	free(m);
}

/* @return 0; -EBUSY; -EDEADLK when it is ours */
static int take(struct soq_mutex *m)
{
	struct soq__fiber *f = soq__current();
	int rc = -EBUSY;

	pthread_mutex_lock(&m->lock);
	if (!m->owner) {
		m->owner = f;
		rc = 0;
	} else if (m->owner == f) {
		rc = -EDEADLK;
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int soq_mutex_trylock(struct soq_mutex *m)
{
	return take(m) == 0 ? 0 : -EBUSY;
}

int soq_mutex_lock(struct soq_mutex *m)
{
	struct soq__waiter waiter;
	int rc = soq__begin(soq__worker());

	if (rc == 0)
		rc = take(m);
	if (rc != -EBUSY)
		return rc;
	rc = may_wait(&waiter, "a mutex");
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&m->lock);
	if (!m->owner) {
		m->owner = waiter.fiber;
		pthread_mutex_unlock(&m->lock);
		return 0;
	}
	return wait_on(&m->waiters, &m->lock, &waiter);
}

int soq_mutex_unlock(struct soq_mutex *m)
{
	struct soq__waiter *next;

	pthread_mutex_lock(&m->lock);
	if (m->owner != soq__current()) {
		pthread_mutex_unlock(&m->lock);
		return -EPERM;
	}
	next = pop_waiter(&m->waiters);
	m->owner = next ? next->fiber : NULL;
	if (next)
		soq__waiter_wake(next);
	pthread_mutex_unlock(&m->lock);
	return 0;
}

/* ---- event ---- */

struct soq_event {
	pthread_mutex_t lock;
	bool set;
	uint64_t sets; /* how often it has been set */
	struct soq__list waiters;
};

int soq_event_new(struct soq_event **ret)
{
	struct soq_event *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	pthread_mutex_init(&e->lock, NULL);
	soq__list_init(&e->waiters);
	*ret = e;
	return 0;
}

void soq_event_free(struct soq_event *e)
{
	if (!e)
		return;
	lock_done(&e->lock);
	forget_waiters(&e->waiters);
	free(e);
}

static void set_locked(struct soq_event *e)
{
	struct soq__waiter *waiter;

	e->set = true;
	e->sets++;
	while ((waiter = pop_waiter(&e->waiters)))
		soq__waiter_wake(waiter);
}

void soq_event_set(struct soq_event *e)
{
	pthread_mutex_lock(&e->lock);
	set_locked(e);
	pthread_mutex_unlock(&e->lock);
}

void soq__event_count_down(struct soq_event *e, _Atomic unsigned *counter)
{
	pthread_mutex_lock(&e->lock);
	atomic_fetch_sub(counter, 1);
	set_locked(e);
	pthread_mutex_unlock(&e->lock);
}

uint64_t soq__event_sets(struct soq_event *e)
{
	uint64_t sets;

	pthread_mutex_lock(&e->lock);
	sets = e->sets;
	pthread_mutex_unlock(&e->lock);
	return sets;
}

int soq__event_wait_after(struct soq_event *e, uint64_t sets)
{
	struct soq__waiter waiter;
	int rc = may_wait(&waiter, "an event");

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&e->lock);
	if (e->sets != sets) {
		pthread_mutex_unlock(&e->lock);
		return 0;
	}
	return wait_on(&e->waiters, &e->lock, &waiter);
}

void soq_event_reset(struct soq_event *e)
{
	pthread_mutex_lock(&e->lock);
	e->set = false;
	pthread_mutex_unlock(&e->lock);
}

bool soq_event_is_set(struct soq_event *e)
{
	bool set;

	pthread_mutex_lock(&e->lock);
	set = e->set;
	pthread_mutex_unlock(&e->lock);
	return set;
}

int soq_event_wait(struct soq_event *e)
{
	struct soq__waiter waiter;
	int rc = may_wait(&waiter, "an event");

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&e->lock);
	if (e->set) {
		pthread_mutex_unlock(&e->lock);
		return 0;
	}
	return wait_on(&e->waiters, &e->lock, &waiter);
}

/* ---- queue ---- */

/* Who waits in a queue brings the item to put, or the place for the one to get. */
struct queue_waiter {
	struct soq__waiter waiter;
	void *item;
	int rc;
};

/* Invariant: getters wait only while it is empty, putters only while it is full. */
struct soq_queue {
	pthread_mutex_t lock;
	bool closed;
	struct soq__list getters;
	struct soq__list putters;
	size_t capacity;
	size_t first;
	size_t count;
	void *items[];
};

int soq_queue_new(struct soq_queue **ret, size_t capacity)
{
	struct soq_queue *q;

	if (capacity == 0 || capacity > SIZE_MAX / sizeof(void *) / 2)
		return -EINVAL;
	q = calloc(1, sizeof(*q) + capacity * sizeof(q->items[0]));
	if (!q)
		return -ENOMEM;
	pthread_mutex_init(&q->lock, NULL);
	soq__list_init(&q->getters);
	soq__list_init(&q->putters);
	q->capacity = capacity;
	*ret = q;
	return 0;
}

void soq_queue_free(struct soq_queue *q)
{
	if (!q)
		return;
	lock_done(&q->lock);
	forget_waiters(&q->getters);
	forget_waiters(&q->putters);
	free(q);
}

static struct queue_waiter *pop_queue_waiter(struct soq__list *list)
{
	struct soq__waiter *waiter = pop_waiter(list);

	return waiter ? soq__container_of(waiter, struct queue_waiter, waiter) : NULL;
}

static void push_item(struct soq_queue *q, void *item)
{
	q->items[(q->first + q->count++) % q->capacity] = item;
}

static void *pop_item(struct soq_queue *q)
{
	void *item = q->items[q->first];

	q->first = (q->first + 1) % q->capacity;
	q->count--;
	return item;
}

/* @return false when the caller must wait */
static bool put_now(struct soq_queue *q, void *item, int *rc)
{
	struct queue_waiter *getter;

	*rc = 0;
	if (q->closed) {
		*rc = -EPIPE;
		return true;
	}
	getter = pop_queue_waiter(&q->getters);
	if (getter) {
		getter->item = item;
		soq__waiter_wake(&getter->waiter);
		return true;
	}
	if (q->count == q->capacity)
		return false;
	push_item(q, item);
	return true;
}

/* @return false when the caller must wait */
static bool get_now(struct soq_queue *q, void **ret, int *rc)
{
	struct queue_waiter *putter;

	*rc = 0;
	if (q->count == 0) {
		*rc = -ENODATA;
		return q->closed;
	}
	*ret = pop_item(q);
	putter = pop_queue_waiter(&q->putters);
	if (putter) {
		push_item(q, putter->item);
		soq__waiter_wake(&putter->waiter);
	}
	return true;
}

int soq_queue_put(struct soq_queue *q, void *item)
{
	struct queue_waiter me = { .item = item };
	int rc = may_wait(&me.waiter, "room in a queue");

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&q->lock);
	if (put_now(q, item, &rc)) {
		pthread_mutex_unlock(&q->lock);
		return rc;
	}
	rc = wait_on(&q->putters, &q->lock, &me.waiter);
	return rc < 0 ? rc : me.rc;
}

int soq_queue_get(struct soq_queue *q, void **ret)
{
	struct queue_waiter me = { 0 };
	int rc = may_wait(&me.waiter, "a queue's next item");

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&q->lock);
	if (get_now(q, ret, &rc)) {
		pthread_mutex_unlock(&q->lock);
		return rc;
	}
	rc = wait_on(&q->getters, &q->lock, &me.waiter);
	if (rc == 0)
		rc = me.rc;
	if (rc == 0)
		*ret = me.item;
	return rc;
}

void soq_queue_close(struct soq_queue *q)
{
	struct queue_waiter *waiter;

	pthread_mutex_lock(&q->lock);
	q->closed = true;
	while ((waiter = pop_queue_waiter(&q->getters))) {
		waiter->rc = -ENODATA;
		soq__waiter_wake(&waiter->waiter);
	}
	while ((waiter = pop_queue_waiter(&q->putters))) {
		waiter->rc = -EPIPE;
		soq__waiter_wake(&waiter->waiter);
	}
	pthread_mutex_unlock(&q->lock);
}
