/* fiber.h - what the tests of fibers share. */
#ifndef CONTRACT_FIBER_H
#define CONTRACT_FIBER_H

#include "test.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <errno.h>
#include <string.h>

/* What this thread's engine holds is not a leak. */
void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

static inline struct soq_scope *scope_open(void)
{
	struct soq_scope *scope;

	CHECK_OK(soq_scope_open(&scope));
	return scope;
}

static inline struct soq_event *event_new(void)
{
	struct soq_event *e;

	CHECK_OK(soq_event_new(&e));
	return e;
}

/* A fiber's whole life where only its end matters: it waits for an event. */
static inline void wait_for_event(void *arg)
{
	soq_event_wait(arg);
}

/* Whether an instant has come just now: 0, or how late it is, or (negative) early. A round of a
 * simulated scheduler takes up to 2 us, and it may take some to cancel what was waited for and
 * to tell those who wait for the end. */
static inline int64_t untimely_ns(int64_t at_ns, int rounds)
{
	int64_t late_ns = soq_now() - at_ns;

	return late_ns >= 0 && late_ns <= rounds * 2 * SOQ_US ? 0 : late_ns;
}

/* Close a descriptor that is a stream's, of the kernel or simulated. */
static inline void descriptor_close(int fd)
{
	struct soq_stream *s;

	CHECK_OK(soq_adopt(&s, fd));
	soq_close(s);
}

/* Wait for an alarm: a deadline that comes while an event does not. */
static inline void await_alarm(int64_t ns)
{
	struct soq_event *never = event_new();
	int64_t former = soq_deadline(soq_now() + ns);

	CHECK_ERR(soq_event_wait(never), -ETIMEDOUT);
	soq_deadline_restore(former);
	soq_event_free(never);
}

/* Numbers drawn from a seed: Marsaglia's xorshift64. */
static inline uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
