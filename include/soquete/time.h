/* time.h - instants, deadlines, sleep, and random bytes: what differs from run to run.
 *
 * All of it comes from the engine, so that a simulated program has simulated time and
 * reproducible chance.
 */
#ifndef SOQUETE_TIME_H
#define SOQUETE_TIME_H

#include <soquete/base.h>

SOQ_BEGIN_C

/**
 * The monotonic clock, in nanoseconds from an arbitrary start. Deadlines are on it.
 * Source: clock_gettime(2), CLOCK_MONOTONIC.
 */
SOQ_API int64_t soq_now(void);

/** The wall clock: nanoseconds since 1970-01-01T00:00:00Z, without leap seconds. */
SOQ_API int64_t soq_wall_clock(void);

/**
 * Bring this fiber's deadline nearer. Every suspending call that would pass it ends with
 * -ETIMEDOUT, and so does every one begun after it.
 *
 * @absolute_ns  an instant on soq_now()'s clock; a later one than the deadline in force
 *               changes nothing, so a called function cannot outlive its caller's
 * @return the deadline that was in force, for soq_deadline_restore(); SOQ_NEVER if none
 *
 *	int64_t outer = soq_deadline(soq_now() + 5 * SOQ_S);
 *	...
 *	soq_deadline_restore(outer);
 */
SOQ_API int64_t soq_deadline(int64_t absolute_ns);

/** Put back the deadline that soq_deadline() returned. */
SOQ_API void soq_deadline_restore(int64_t former_ns);

/**
 * Suspends for a duration.
 *
 * @duration_ns  0 or less yields once
 * @return 0; -ETIMEDOUT when the fiber's deadline came first; -ECANCELED
 */
SOQ_API int soq_sleep(int64_t duration_ns);

/** Suspends until an instant on soq_now()'s clock. Errors as soq_sleep(). */
SOQ_API int soq_sleep_until(int64_t absolute_ns);

/**
 * Fill a buffer with random bytes fit for secrets.
 * @return 0, or a negative code from getrandom(2)
 */
SOQ_API int soq_random(void *buf, size_t len);

SOQ_END_C

#endif
