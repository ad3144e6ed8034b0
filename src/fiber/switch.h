/* switch.h - from one stack to another.
 *
 * switch_x86_64.S and switch_aarch64.S save on the stack what the ABI asks a callee to
 * keep, no more, and exchange stack pointers.
 */
#ifndef SOQ__SWITCH_H
#define SOQ__SWITCH_H

/* Save the present context, its stack pointer in *@from; go on in the context @to. */
void soq__switch(void **from, void *to);

/* The first thing on a new stack: calls the function that soq__switch_prepare was given. */
void soq__switch_start(void);

/* Words of a prepared context, and which of them hold the entry point, its argument and
 * the address to return to; the assembly knows the same. */
#if defined(__x86_64__)
enum { SOQ__CONTEXT_WORDS = 8, SOQ__CONTEXT_FN = 2, SOQ__CONTEXT_ARG = 3, SOQ__CONTEXT_PC = 7 };
#elif defined(__aarch64__)
enum {
	SOQ__CONTEXT_WORDS = 22,
	SOQ__CONTEXT_FN = 0,
	SOQ__CONTEXT_ARG = 1,
	SOQ__CONTEXT_PC = 11
};
#else
#error "soquete switches stacks on x86-64 and aarch64 only"
#endif

/* Lay out a context at the top of a stack so that switching to it calls @fn(@arg), which
 * must not return. @top is 16-byte aligned. @return the stack pointer to switch to */
void *soq__switch_prepare(void *top, void (*fn)(void *), void *arg);

#endif
