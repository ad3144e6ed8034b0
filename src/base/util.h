/* util.h - the few macros that C lacks. */
#ifndef SOQ__UTIL_H
#define SOQ__UTIL_H

#include <stddef.h>
#include <stdint.h>

/* The struct that holds @member at @ptr. */
#define soq__container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define soq__likely(x)	 __builtin_expect(!!(x), 1)
#define soq__unlikely(x) __builtin_expect(!!(x), 0)

static inline int64_t soq__min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static inline size_t soq__min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The instant @duration after @now; SOQ_NEVER when that is beyond the clock's end. */
static inline int64_t soq__after(int64_t now, int64_t duration)
{
	int64_t at;

	return __builtin_add_overflow(now, duration, &at) ? INT64_MAX : at;
}

#endif
