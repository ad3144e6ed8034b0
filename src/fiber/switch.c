/* switch.c - a new stack, laid out as if it had been switched away from. */
#include "fiber/switch.h"
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
/* The default floating-point control words: MXCSR in the low half, the x87's above it. */
#define CONTEXT_WORD_0 (UINT64_C(0x037f) << 32 | UINT64_C(0x1f80))
#else
#define CONTEXT_WORD_0 0
#endif

void *soq__switch_prepare(void *top, void (*fn)(void *), void *arg)
{
	/* Two words above the context stay zero: a debugger's backtrace ends there. */
	uint64_t *sp = (uint64_t *)top - SOQ__CONTEXT_WORDS - 2;

	memset(sp, 0, (SOQ__CONTEXT_WORDS + 2) * sizeof(*sp));
	sp[0] = CONTEXT_WORD_0;
	sp[SOQ__CONTEXT_FN] = (uintptr_t)fn;
	sp[SOQ__CONTEXT_ARG] = (uintptr_t)arg;
	sp[SOQ__CONTEXT_PC] = (uintptr_t)soq__switch_start;
	return sp;
}
