/* stack.c - stacks: reused last in first out, guarded, trimmed, and very many. */
#include "test.h"
#include "fiber/stack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE SOQ__STACK_DEFAULT
#define KEPT 64 /* idle stacks that keep their pages */

TEST(stack_size)
{
	static const size_t sizes[] = { SOQ__STACK_LEAST, SOQ__STACK_LEAST + 1, 100000, SIZE,
		(size_t)1 << 20, (size_t)64 << 20 };
	size_t page = soq__page_size();
	struct soq__stack_pool pool;

	soq__stack_pool_init(&pool);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct soq__stack *s = soq__stack_get(&pool, sizes[i]);
		size_t whole = (sizes[i] + page - 1) / page * page;

		ROW("%zu", sizes[i]);
		CHECK(s != NULL);
		CHECK_EQ(s->high - s->low, whole - page);
		CHECK_EQ((uintptr_t)s->low % page, 0);
		s->low[0] = 1;
		s->high[-1] = 1;
		soq__stack_put(s);
		CHECK(soq__stack_get(&pool, sizes[i]) == s);
		soq__stack_put(s);
	}
	soq__stack_pool_done(&pool);
}

TEST(stack_reuse_last_in_first_out)
{
	struct soq__stack *stacks[100];
	struct soq__stack_pool pool;

	soq__stack_pool_init(&pool);
	for (int i = 0; i < 100; i++) {
		stacks[i] = soq__stack_get(&pool, SIZE);
		for (int j = 0; j < i; j++)
			CHECK(stacks[j] != stacks[i]);
	}
	for (int i = 0; i < 3; i++)
		soq__stack_put(stacks[i]);
	for (int i = 3; i-- > 0;)
		CHECK(soq__stack_get(&pool, SIZE) == stacks[i]);
	for (int i = 0; i < 100; i++)
		soq__stack_put(stacks[i]);
	/* The warm ones come before those that gave their pages back. */
	for (int i = KEPT; i-- > 0;)
		CHECK(soq__stack_get(&pool, SIZE) == stacks[i]);
	soq__stack_pool_done(&pool);
}

/* What the kernel says of writing a byte to @at: 0 or -EFAULT, as a fault would have it. */
static int writing(char *at)
{
	int fds[2], rc = 0;

	CHECK_EQ(pipe(fds), 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	if (read(fds[0], at, 1) < 0)
		rc = -errno;
	close(fds[0]);
	close(fds[1]);
	return rc;
}

TEST(stack_guard)
{
	struct soq__stack *stacks[40]; /* more than a slab */
	struct soq__stack_pool pool;

	soq__stack_pool_init(&pool);
	for (int i = 0; i < 40; i++)
		stacks[i] = soq__stack_get(&pool, SIZE);
	for (int i = 0; i < 40; i += 13) {
		ROW("stack %d", i);
		CHECK_EQ(writing(stacks[i]->low), 0);
		CHECK_EQ(writing(stacks[i]->high - 1), 0);
		CHECK_EQ(writing(stacks[i]->low - 1), -EFAULT);
		CHECK_EQ(writing(stacks[i]->low - soq__page_size()), -EFAULT);
	}
	/* Trimming takes the stack's pages, and leaves the guard. */
	for (int i = 40; i-- > 0;)
		soq__stack_put(stacks[i]);
	CHECK_EQ(writing(stacks[0]->low - 1), -EFAULT);
	soq__stack_pool_done(&pool);
}

static size_t resident_pages(const struct soq__stack *s)
{
	unsigned char in[SIZE / 4096];
	size_t page = soq__page_size(), count = (size_t)(s->high - s->low) / page, n = 0;

	CHECK_EQ(mincore(s->low, count * page, in), 0);
	for (size_t i = 0; i < count; i++)
		n += in[i] & 1;
	return n;
}

TEST(stack_idle_is_trimmed)
{
	enum { COUNT = KEPT + 36 };
	struct soq__stack *stacks[COUNT];
	struct soq__stack_pool pool;
	size_t whole = (SIZE - soq__page_size()) / soq__page_size();

	soq__stack_pool_init(&pool);
	for (int i = 0; i < COUNT; i++) {
		stacks[i] = soq__stack_get(&pool, SIZE);
		CHECK_EQ(resident_pages(stacks[i]), 0); /* reserved, not touched */
		memset(stacks[i]->low, 1, (size_t)(stacks[i]->high - stacks[i]->low));
		CHECK_EQ(resident_pages(stacks[i]), whole);
	}
	for (int i = 0; i < COUNT; i++)
		soq__stack_put(stacks[i]);
	for (int i = 0; i < COUNT; i++) {
		ROW("stack %d", i);
		CHECK_EQ(resident_pages(stacks[i]), i < KEPT ? whole : 0);
	}
	soq__stack_pool_done(&pool);
}

static size_t count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	size_t lines = 0;
	int c;

	CHECK(f != NULL);
	while ((c = getc(f)) != EOF)
		lines += c == '\n';
	fclose(f);
	return lines;
}

/* Where the kernel has guards that split no mapping (Linux 6.13). */
static bool has_cheap_guards(void)
{
	size_t size = soq__page_size();
	char *page =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool has = madvise(page, size, 102) == 0 && madvise(page, size, 12345) != 0;

	munmap(page, size);
	return has;
}

TEST(stack_many)
{
	size_t count = test_scale(40000), before = count_maps(), made = 0;
	struct soq__stack **stacks = calloc(count, sizeof(struct soq__stack *));
	struct soq__stack_pool pool;

	CHECK(stacks != NULL);
	/* Without them vm.max_map_count allows about 32,000. */
	if (!has_cheap_guards())
		count = count < 20000 ? count : 20000;
	soq__stack_pool_init(&pool);
	for (; made < count; made++) {
		stacks[made] = soq__stack_get(&pool, SOQ__STACK_LEAST);
		ROW("stack %zu", made);
		CHECK(stacks[made] != NULL);
		stacks[made]->high[-1] = 1;
	}
	if (has_cheap_guards())
		CHECK(count_maps() < before + count / 2);
	while (made > 0)
		soq__stack_put(stacks[--made]);
	soq__stack_pool_done(&pool);
	CHECK(count_maps() < before + count / 2);
	free(stacks);
}
