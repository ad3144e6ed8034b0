/* fiber.h - what the tests of fibers share. */
#ifndef CONTRACT_FIBER_H
#define CONTRACT_FIBER_H

#include "test.h"
#include <soquete/soquete.h>

#include <errno.h>
#include <string.h>

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

/* Numbers drawn from a seed: Marsaglia's xorshift64. */
static inline uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
