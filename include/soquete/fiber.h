/* fiber.h - functions with stacks of their own, and scopes that own them.
 *
 * A fiber is scheduled by soquete, on the thread that started it, and switches only in
 * calls that say "Suspends". A thread's own stack is its first fiber, so every call works
 * anywhere, main included.
 *
 * After fork(2) only the calling fiber goes on in the child, with an engine of its own; the
 * others, and what waits for them, are the parent's. It should end with _exit(2) or exec(3),
 * and not return into what called it.
 *
 *	struct soq_scope *scope;
 *	soq_scope_open(&scope);
 *	for (size_t i = 0; i < n; i++)
 *		soq_spawn(scope, fetch, &jobs[i]);
 *	soq_scope_wait(scope);
 *	soq_scope_close(scope);
 */
#ifndef SOQUETE_FIBER_H
#define SOQUETE_FIBER_H

#include <soquete/base.h>

SOQ_BEGIN_C

struct soq_scope;

/**
 * Open a scope. It belongs to the calling fiber, which must close it before its own end.
 * @return 0; -ENOMEM
 */
SOQ_API int soq_scope_open(struct soq_scope **ret);

/**
 * Start a fiber in a scope. It runs when the caller next suspends. It inherits the
 * caller's deadline, and is cancelled with the scope.
 *
 * @return 0; -ENOMEM (no stack: memory, or vm.max_map_count on kernels before 6.13);
 *         -ECANCELED when the scope is cancelled already
 */
SOQ_API int soq_spawn(struct soq_scope *scope, void (*fn)(void *), void *arg);

/**
 * Suspends until every fiber of the scope has ended.
 * @return 0; -ETIMEDOUT, -ECANCELED when some still run
 */
SOQ_API int soq_scope_wait(struct soq_scope *scope);

/** Cancel: every suspending call of the scope's fibers returns -ECANCELED, from now on. */
SOQ_API void soq_scope_cancel(struct soq_scope *scope);

/**
 * Cancel what still runs, wait for its end, free the scope. Suspends, and heeds neither
 * deadline nor cancellation: a scope cannot end before its fibers. Accepts NULL.
 */
SOQ_API void soq_scope_close(struct soq_scope *scope);

/** How many of the scope's fibers have not ended. */
SOQ_API size_t soq_scope_count(const struct soq_scope *scope);

/** Suspends once: the other fibers that are ready run first.
 *  @return 0; -ETIMEDOUT, -ECANCELED, and they ran all the same */
SOQ_API int soq_yield(void);

/** Whether this fiber has been cancelled. */
SOQ_API bool soq_cancelled(void);

/**
 * Name this fiber, for the report of a stack overflow and for debuggers.
 * @name  borrowed until the fiber ends; a literal will do
 */
SOQ_API void soq_set_fiber_name(const char *name);
SOQ_API const char *soq_fiber_name(void);

/**
 * The size of the stacks made from now on, in bytes; 256 KiB at first. Memory is used only
 * as far as it is touched.
 * @return 0; -EINVAL below 32 KiB or above 1 GiB
 */
SOQ_API int soq_set_stack_size(size_t bytes);

/**
 * Suspends while a function runs on a thread of a small pool: for what blocks (disk, name
 * services) or computes long. A function that has begun is waited for, whatever the
 * deadline.
 *
 * @return 0 when it has run; -ETIMEDOUT, -ECANCELED when it never began; -ENOMEM, -EAGAIN
 */
SOQ_API int soq_offload(void (*fn)(void *), void *arg);

/**
 * Suspends until a descriptor of any kind is ready, as poll(2). It is not changed.
 * @events  POLLIN, POLLOUT …; errors and hang-ups are always told, and by io_uring a peer's
 *          half-close (POLLRDHUP) too
 * @return the events that are true, > 0; -ETIMEDOUT, -ECANCELED, -EBADF
 */
SOQ_API int soq_wait_fd(int fd, short events);

/**
 * Suspends until one of some signals arrives. They are blocked in the calling thread, and
 * stay so; block them with pthread_sigmask(3) in main, before other threads start. No
 * handler is involved.
 *
 * @signals  SIGINT, SIGTERM …, @count of them
 * @return the signal's number; -ETIMEDOUT, -ECANCELED, -EINVAL
 * Source: signalfd(2).
 */
SOQ_API int soq_wait_signal(const int *signals, size_t count);

SOQ_END_C

#endif
