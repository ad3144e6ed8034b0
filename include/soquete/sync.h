/* sync.h - fibers waiting for each other: mutex, event, bounded queue.
 *
 * Each works between fibers of one thread and between threads. Waiters are served in the
 * order in which they came. The first wait of a thread opens a descriptor to be woken by, so
 * that every call that suspends may also fail with -EMFILE, -ENFILE or -ENOMEM.
 */
#ifndef SOQUETE_SYNC_H
#define SOQUETE_SYNC_H

#include <soquete/base.h>

SOQ_BEGIN_C

struct soq_mutex;
struct soq_event;
struct soq_queue;

/** @return 0; -ENOMEM */
SOQ_API int soq_mutex_new(struct soq_mutex **ret);
/** Free a mutex that nobody holds or waits for. Accepts NULL. */
SOQ_API void soq_mutex_free(struct soq_mutex *m);
/** Suspends until the mutex is ours. @return 0; -ETIMEDOUT, -ECANCELED; -EDEADLK if it is
 *  ours already */
SOQ_API int soq_mutex_lock(struct soq_mutex *m);
/** @return 0; -EBUSY */
SOQ_API int soq_mutex_trylock(struct soq_mutex *m);
/** Hand the mutex to its first waiter. @return 0; -EPERM if it is not ours */
SOQ_API int soq_mutex_unlock(struct soq_mutex *m);

/** An event is set or not; at first, not. @return 0; -ENOMEM */
SOQ_API int soq_event_new(struct soq_event **ret);
/** Free an event that nobody waits for. Accepts NULL. */
SOQ_API void soq_event_free(struct soq_event *e);
/** Set it: all its waiters go on, and later ones do not wait. */
SOQ_API void soq_event_set(struct soq_event *e);
SOQ_API void soq_event_reset(struct soq_event *e);
SOQ_API bool soq_event_is_set(struct soq_event *e);
/** Suspends until the event is set. @return 0; -ETIMEDOUT, -ECANCELED */
SOQ_API int soq_event_wait(struct soq_event *e);

/**
 * A queue of pointers with a bound.
 * @capacity  items, at least 1
 * @return 0; -EINVAL, -ENOMEM
 */
SOQ_API int soq_queue_new(struct soq_queue **ret, size_t capacity);
/** Free a queue that nobody waits for; items left in it are the caller's. Accepts NULL. */
SOQ_API void soq_queue_free(struct soq_queue *q);
/** Suspends while the queue is full. @return 0; -EPIPE (closed), -ETIMEDOUT, -ECANCELED */
SOQ_API int soq_queue_put(struct soq_queue *q, void *item);
/** Suspends while the queue is empty. @return 0; -ENODATA (closed and empty), -ETIMEDOUT,
 *  -ECANCELED */
SOQ_API int soq_queue_get(struct soq_queue *q, void **ret);
/** Refuse further items; what is in the queue can still be got. */
SOQ_API void soq_queue_close(struct soq_queue *q);

SOQ_END_C

#endif
