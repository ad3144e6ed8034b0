/* cases.c - cases that end in every way a case can, for tests/harness/check.py.
 * It holds for each which verdict and which words the harness must print.
 */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <soquete/sim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TEST(passes)
{
	unsigned char narrow = 200;
	int calls = 0;

	CHECK(1 < 2);
	CHECK_EQ(narrow, 200);
	CHECK_EQ(sizeof narrow, 1);
	CHECK_EQ(++calls, 1);
	CHECK_STR("a", "a");
	CHECK_MEM("abc", "abd", 2);
	CHECK_EQ(CHECK_OK(7), 7);
	CHECK_ERR(-ETIMEDOUT, -ETIMEDOUT);
}

TEST(fails_check)
{
	printf("printed before\n");
	ROW("seed %d", 42);
	CHECK(1 > 2 && "50%s");
}

TEST(fails_sign)
{
	CHECK_EQ(-1, UINT_MAX);
}

TEST(fails_str)
{
	CHECK_STR("got", NULL);
}

TEST(fails_mem)
{
	CHECK_MEM("abcd", "abXd", 4);
}

TEST(fails_ok)
{
	CHECK_OK(-ETIMEDOUT);
}

TEST(fails_err)
{
	CHECK_ERR(-ECONNRESET, -ETIMEDOUT);
}

TEST(fails_in_fork)
{
	if (fork() == 0)
		CHECK(0 && "in the grandchild");
	for (;;)
		pause();
}

TEST(crashes)
{
	ROW("the row of the crash");
	fprintf(stderr, "what a deadlock prints\n");
	abort();
}

TEST(exits)
{
	exit(0);
}

TEST(hangs)
{
	if (fork() == 0)
		for (;;)
			pause();
	for (;;)
		pause();
}

TEST(leaks_fd)
{
	CHECK_OK(open("/dev/null", O_RDONLY));
}

/* In the place of the library's: a host with what a case says it has left open. */
static unsigned simulated_fds;

struct soq_sim_host *soq_sim_here(void)
{
	return simulated_fds > 0 ? (struct soq_sim_host *)&simulated_fds : NULL;
}

void soq_sim_census(const struct soq_sim_host *host, struct soq_sim_census *ret)
{
	CHECK(host == soq_sim_here());
	*ret = (struct soq_sim_census){ .descriptors = simulated_fds };
}

TEST(leaks_simulated_fd)
{
	simulated_fds = 2;
}

TEST(closes_stdin)
{
	close(0);
}

TEST(keeps_fd)
{
	TEST_MAY_KEEP_FDS();
	CHECK_OK(open("/dev/null", O_RDONLY));
}

TEST(leaves_process)
{
	if (fork() == 0)
		for (;;)
			pause();
}

TEST(reaps_nothing)
{
	/* An orphan that ends by itself is no leak. */
	if (fork() == 0)
		_exit(0);
}

TEST(skips)
{
	SKIP("no %s here", "moon");
}

TEST(has_dir)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/file", test_dir());
	fd = (int)CHECK_OK(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	close(fd);
	printf("dir %s\n", test_dir());
}

TEST(scales)
{
	CHECK_EQ(test_scale(100), 10); /* check.py sets TEST_SLOWNESS=10 for this one */
	CHECK_EQ(test_scale(3), 1);
}

CONTRACT(sees_engine)
{
	CHECK_STR(getenv("SOQUETE_ENGINE"), test_engine_name());
}

/* Chance is for the simulated network, and there each run has its own. */
CONTRACT(sees_seed)
{
	const char *seed = getenv("SOQUETE_SEED");

	CHECK_EQ(test_is_simulated(), seed != NULL);
	printf("seed %s\n", seed ? seed : "none");
}

CONTRACT_KERNEL(sees_kernel, "its reason")
{
	CHECK(!test_is_simulated());
}

CONTRACT_SHAPES_KERNEL(sees_kernel_shape, "another")
{
	CHECK(!test_is_simulated());
}

SIM(sees_simulation)
{
	CHECK(test_is_simulated());
	CHECK_STR(getenv("SOQUETE_ENGINE"), "sim");
}

CONTRACT_SHAPES(sees_shape)
{
	static const char *const names[] = { "iterative", "process", "thread", "fiber" };

	CHECK_STR(test_shape_name(), names[test_shape()]);
	CHECK_STR(getenv("SOQUETE_ENGINE"), test_engine_name());
}
