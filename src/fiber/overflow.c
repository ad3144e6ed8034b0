/* overflow.c - a stack overflow is reported by its fiber's name.
 *
 * The guard page beneath a fiber's stack turns an overflow into SIGSEGV. The handler runs
 * on a stack of its own, says whose stack it was, and hands the signal on to whoever had
 * it before, by default to the core dump.
 *
 * Source: sigaltstack(2), sigaction(2).
 */
#include "fiber/worker.h"
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALTERNATE_BYTES ((size_t)64 * 1024)

static struct sigaction former;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Async-signal-safe. */
static void say(const char *text)
{
	ssize_t n = write(STDERR_FILENO, text, strlen(text));

	(void)n;
}

static void say_number(size_t number)
{
	char digits[24], *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = (char)('0' + number % 10);
	while (number /= 10);
	say(p);
}

static void report(const struct soq__fiber *f)
{
	size_t page = soq__page_size();

	say("soquete: stack overflow in fiber '");
	say(f->name ? f->name : "unnamed");
	say("': its ");
	say_number(((size_t)(f->stack->high - f->stack->low) + page) / 1024);
	say(" KiB are used up; see soq_set_stack_size(3)\n");
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	const struct soq__worker *w = soq__worker_peek();
	const struct soq__stack *stack = w ? w->current->stack : NULL;
	const char *at = info->si_addr;

	(void)context;
	if (stack && at < stack->low && at >= stack->low - soq__page_size())
		report(w->current);
	/* The instruction runs again and faults again, this time into the former action. */
	sigaction(signal, &former, NULL);
}

static void install(void)
{
	struct sigaction action = { .sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK };

	sigaction(SIGSEGV, &action, &former);
}

void soq__overflow_watch(char **alternate_stack)
{
	stack_t stack = { .ss_size = ALTERNATE_BYTES }, present;

	pthread_once(&once, install);
	if (*alternate_stack)
		return;
	/* Somebody else's alternate stack, a sanitizer's say, will do. */
	if (sigaltstack(NULL, &present) == 0 && !(present.ss_flags & SS_DISABLE))
		return;
	stack.ss_sp = mmap(NULL, ALTERNATE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack.ss_sp == MAP_FAILED)
		return;
	*alternate_stack = stack.ss_sp;
	sigaltstack(&stack, NULL);
}

void soq__overflow_unwatch(char **alternate_stack)
{
	stack_t none = { .ss_flags = SS_DISABLE };

	if (!*alternate_stack)
		return;
	sigaltstack(&none, NULL);
	munmap(*alternate_stack, ALTERNATE_BYTES);
	*alternate_stack = NULL;
}
