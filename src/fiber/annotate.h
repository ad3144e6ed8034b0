/* annotate.h - tells the memory checkers of every stack and every switch.
 *
 * Without AddressSanitizer, ThreadSanitizer or valgrind each function here is empty. This
 * file is where the build's conditions are, so that no function's body has any.
 *
 * Source: sanitizer/common_interface_defs.h, sanitizer/tsan_interface.h, valgrind.h.
 */
#ifndef SOQ__ANNOTATE_H
#define SOQ__ANNOTATE_H

#include <stdbool.h>
#include <stddef.h>
#include "fiber/stack.h"
#include "soq_config.h"

#if SOQ__HAVE_VALGRIND
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id)	   (void)(id)
#endif

/* What a checker remembers of a fiber. */
struct soq__annotation {
	void *fake_stack;      /* ASan's, while the fiber does not run */
	const void *stack_low; /* ASan asks for the bounds of the stack switched to */
	size_t stack_bytes;
	void *tsan_fiber;
};

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

static inline void soq__asan_leave(void **fake_stack, const struct soq__annotation *to)
{
	__sanitizer_start_switch_fiber(fake_stack, to->stack_low, to->stack_bytes);
}

static inline void soq__asan_arrive(
	struct soq__annotation *here, const void **from_low, size_t *from_bytes)
{
	__sanitizer_finish_switch_fiber(here->fake_stack, from_low, from_bytes);
}

static inline void soq__asan_clean(const struct soq__stack *stack)
{
	__asan_unpoison_memory_region(stack->low, (size_t)(stack->high - stack->low));
}

/* What an abandoned stack points to is lost on purpose, and no leak. @return whether the
 * stack must stay as it is for that */
static inline bool soq__lsan_keep(const struct soq__stack *stack)
{
	__lsan_register_root_region(stack->low, (size_t)(stack->high - stack->low));
	return true;
}

static inline void soq__lsan_ignore(const void *p)
{
	__lsan_ignore_object(p);
}

/* Whether memory is lost now; it is told on stderr. */
static inline bool soq__lsan_finds(void)
{
	return __lsan_do_recoverable_leak_check();
}
#else
static inline void soq__asan_leave(void **fake_stack, const struct soq__annotation *to)
{
	(void)fake_stack;
	(void)to;
}

static inline void soq__asan_arrive(
	struct soq__annotation *here, const void **from_low, size_t *from_bytes)
{
	(void)here;
	(void)from_low;
	(void)from_bytes;
}

static inline void soq__asan_clean(const struct soq__stack *stack)
{
	(void)stack;
}

static inline bool soq__lsan_keep(const struct soq__stack *stack)
{
	(void)stack;
	return false;
}

static inline void soq__lsan_ignore(const void *p)
{
	(void)p;
}

static inline bool soq__lsan_finds(void)
{
	return false;
}
#endif

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>

static inline void *soq__tsan_new(void)
{
	return __tsan_create_fiber(0);
}

static inline void *soq__tsan_current(void)
{
	return __tsan_get_current_fiber();
}

static inline void soq__tsan_free(void *fiber)
{
	__tsan_destroy_fiber(fiber);
}

static inline void soq__tsan_switch(void *fiber)
{
	__tsan_switch_to_fiber(fiber, 0);
}

static inline void soq__tsan_engine_closes(void *all_engines)
{
	__tsan_release(all_engines);
}

static inline void soq__tsan_engine_opened(void *all_engines)
{
	__tsan_acquire(all_engines);
}
#else
static inline void *soq__tsan_new(void)
{
	return NULL;
}

static inline void *soq__tsan_current(void)
{
	return NULL;
}

static inline void soq__tsan_free(void *fiber)
{
	(void)fiber;
}

static inline void soq__tsan_switch(void *fiber)
{
	(void)fiber;
}

/* A ring is unmapped by a bare system call that TSan does not see: another thread's ring at
 * the same address comes after it all the same. */
static inline void soq__tsan_engine_closes(void *all_engines)
{
	(void)all_engines;
}

static inline void soq__tsan_engine_opened(void *all_engines)
{
	(void)all_engines;
}
#endif

static inline void soq__annotate_stack_begin(struct soq__stack *stack)
{
	stack->valgrind_id = VALGRIND_STACK_REGISTER(stack->low, stack->high);
}

static inline void soq__annotate_stack_end(struct soq__stack *stack)
{
	VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
	soq__asan_clean(stack);
}

#endif
