/* stack.c - see stack.h.
 *
 * The list is last in, first out, so that the stack whose pages are in the caches is used
 * again. Up to WARM_MAX idle stacks keep their pages; the others are trimmed.
 *
 * Source: madvise(2). MADV_GUARD_INSTALL (Linux 6.13) makes a guard without splitting the
 * mapping; mprotect(2) splits it in two, so that vm.max_map_count (65,530) is reached at
 * about 32,000 stacks.
 */
#include "fiber/stack.h"
#include "fiber/annotate.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define NO_ADVICE   0x7fff /* no kernel's */
#define SLAB_STACKS 32
#define COLOUR_STEP 128 /* bytes: two cache lines, which are fetched together */
#define WARM_MAX    64

struct soq__stack_class {
	struct soq__list node;
	struct soq__stack_pool *pool;
	size_t size;
	struct soq__list warm; /* idle, with their pages */
	struct soq__list cold; /* idle, without */
	size_t warm_count;
	struct soq__list slabs;
};

struct slab {
	struct soq__list node;
	char *base;
	size_t bytes;
	struct soq__stack stacks[SLAB_STACKS];
};

size_t soq__page_size(void)
{
	static _Atomic size_t known;
	size_t size = atomic_load_explicit(&known, memory_order_relaxed);

	if (!size) {
		size = (size_t)sysconf(_SC_PAGESIZE);
		atomic_store_explicit(&known, size, memory_order_relaxed);
	}
	return size;
}

void soq__stack_pool_init(struct soq__stack_pool *pool)
{
	soq__list_init(&pool->classes);
	pool->keeps = false;
}

/* Whether a refusal would be told: an emulator (qemu-user) accepts every advice, nonsense
 * too, and heeds none. */
static bool advice_is_heeded(char *page)
{
	return madvise(page, soq__page_size(), NO_ADVICE) < 0;
}

static bool guard(char *page)
{
	size_t size = soq__page_size();

	if (advice_is_heeded(page) && madvise(page, size, MADV_GUARD_INSTALL) == 0)
		return true;
	return mprotect(page, size, PROT_NONE) == 0;
}

static void slab_free(struct slab *slab)
{
	for (size_t i = 0; i < SLAB_STACKS; i++)
		if (slab->stacks[i].low)
			soq__annotate_stack_end(&slab->stacks[i]);
	munmap(slab->base, slab->bytes);
	free(slab);
}

/* From one stack to the next. Were it a power of two, the tops of all stacks, which are what
 * is touched of them, would compete for the same few sets of the caches. One page more makes
 * them differ, and within that page each stack begins at another line. */
static size_t stride(const struct soq__stack_class *class)
{
	return class->size + soq__page_size();
}

static struct slab *slab_new(struct soq__stack_class *class)
{
	struct slab *slab = calloc(1, sizeof(*slab));

	if (!slab)
		return NULL;
	slab->bytes = stride(class) * SLAB_STACKS;
	slab->base = mmap(NULL, slab->bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (slab->base == MAP_FAILED) {
		free(slab);
		return NULL;
	}
	/* A huge page would make each touched stack cost 2 MiB. */
	madvise(slab->base, slab->bytes, MADV_NOHUGEPAGE);
	return slab;
}

/* Cut a new slab into stacks; those that cannot be guarded are not used.
 * @return false when there is not one */
static bool grow(struct soq__stack_class *class)
{
	struct slab *slab = slab_new(class);
	bool any = false;

	if (!slab)
		return false;
	for (size_t i = 0; i < SLAB_STACKS; i++) {
		struct soq__stack *stack = &slab->stacks[i];
		char *base = slab->base + i * stride(class);

		soq__list_init(&stack->node);
		if (!guard(base))
			break;
		stack->class = class;
		stack->low = base + soq__page_size();
		stack->high = base + class->size + i * COLOUR_STEP;
		soq__annotate_stack_begin(stack);
		soq__list_append(&class->cold, &stack->node);
		any = true;
	}
	if (any)
		soq__list_append(&class->slabs, &slab->node);
	else
		slab_free(slab);
	return any;
}

static struct soq__stack_class *class_of(struct soq__stack_pool *pool, size_t size)
{
	struct soq__stack_class *class;

	soq__list_for_each (node, &pool->classes) {
		class = soq__container_of(node, struct soq__stack_class, node);
		if (class->size == size)
			return class;
	}
	class = calloc(1, sizeof(*class));
	if (!class)
		return NULL;
	class->pool = pool;
	class->size = size;
	soq__list_init(&class->warm);
	soq__list_init(&class->cold);
	soq__list_init(&class->slabs);
	soq__list_append(&pool->classes, &class->node);
	return class;
}

struct soq__stack *soq__stack_get(struct soq__stack_pool *pool, size_t size)
{
	size_t page = soq__page_size();
	struct soq__stack_class *class = class_of(pool, (size + page - 1) / page * page);
	struct soq__list *node;

	if (!class)
		return NULL;
	node = soq__list_pop(&class->warm);
	if (node) {
		class->warm_count--;
	} else {
		if (soq__list_empty(&class->cold) && !grow(class))
			return NULL;
		node = soq__list_pop(&class->cold);
	}
	return soq__container_of(node, struct soq__stack, node);
}

void soq__stack_put(struct soq__stack *stack)
{
	struct soq__stack_class *class = stack->class;

	if (class->warm_count < WARM_MAX) {
		class->warm_count++;
		soq__list_prepend(&class->warm, &stack->node);
		return;
	}
	madvise(stack->low, (size_t)(stack->high - stack->low), MADV_DONTNEED);
	soq__list_prepend(&class->cold, &stack->node);
}

void soq__stack_abandon(struct soq__stack *stack)
{
	if (soq__lsan_keep(stack)) {
		stack->class->pool->keeps = true;
		return;
	}
	soq__asan_clean(stack);
	soq__stack_put(stack);
}

/* What it has allocated stays with the stacks that stay. */
static void keep_all(struct soq__stack_pool *pool)
{
	soq__list_for_each (node, &pool->classes) {
		struct soq__stack_class *class =
			soq__container_of(node, struct soq__stack_class, node);

		soq__lsan_ignore(class);
		soq__list_for_each (slab, &class->slabs)
			soq__lsan_ignore(soq__container_of(slab, struct slab, node));
	}
}

void soq__stack_pool_done(struct soq__stack_pool *pool)
{
	struct soq__list *node, *slab;

	if (pool->keeps) {
		keep_all(pool);
		return;
	}
	while ((node = soq__list_pop(&pool->classes))) {
		struct soq__stack_class *class =
			soq__container_of(node, struct soq__stack_class, node);

		while ((slab = soq__list_pop(&class->slabs)))
			slab_free(soq__container_of(slab, struct slab, node));
		free(class);
	}
}
