/* service_beneath.c - opening beneath a root, with openat2 and without. */
#include "test.h"
#include "kernel.h"
#include "service/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* root/a, root/folder/b, and links that lead inside, outside and round. @return root */
static int make_root(void)
{
	int dir = CHECK_OK(open(test_dir(), O_PATH | O_DIRECTORY | O_CLOEXEC));
	int root;

	CHECK_OK(mkdirat(dir, "root", 0755));
	CHECK_OK(close(openat(dir, "secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0644)));
	root = CHECK_OK(openat(dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
	CHECK_OK(close(openat(root, "a", O_WRONLY | O_CREAT | O_CLOEXEC, 0644)));
	CHECK_OK(mkdirat(root, "folder", 0755));
	CHECK_OK(close(openat(root, "folder/b", O_WRONLY | O_CREAT | O_CLOEXEC, 0644)));
	CHECK_OK(mkfifoat(root, "fifo", 0644));
	CHECK_OK(symlinkat("a", root, "inside"));
	CHECK_OK(symlinkat("folder", root, "to-folder"));
	CHECK_OK(symlinkat("../secret", root, "outside"));
	CHECK_OK(symlinkat("/etc/passwd", root, "absolute"));
	CHECK_OK(symlinkat("/proc/self/root", root, "magic"));
	CHECK_OK(symlinkat("round", root, "round"));
	close(dir);
	return root;
}

static const struct {
	const char *path;
	int flags;
	bool leads;	/* openat2 follows it */
	bool is_direct; /* without any symbolic link */
} rows[] = {
	{ "", 0, true, true },
	{ "", O_DIRECTORY, true, true },
	{ "a", 0, true, true },
	{ "a", O_PATH, true, true },
	{ "folder", O_DIRECTORY, true, true },
	{ "folder/b", 0, true, true },
	{ "fifo", 0, true, true },
	{ "inside", 0, true, false },
	{ "to-folder/b", 0, true, false },
	{ "a", O_DIRECTORY, false, false },
	{ "a/b", 0, false, false },
	{ "nothing", 0, false, false },
	{ "folder/nothing/b", 0, false, false },
	{ "outside", 0, false, false },
	{ "absolute", 0, false, false },
	{ "magic/etc/passwd", 0, false, false },
	{ "round", 0, false, false },
};

static void check_open(int (*how)(int, const char *, int), int root, size_t i, bool want)
{
	int fd = how(root, rows[i].path, rows[i].flags);

	ROW("%s, flags %o", rows[i].path, (unsigned)rows[i].flags);
	CHECK_EQ(fd >= 0, want);
	CHECK(fd >= 0 || fd < -1); /* an error's own code, not -1 */
	if (fd < 0)
		return;
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

TEST(beneath_open)
{
	int root;

	if (!kernel_has_openat2())
		SKIP("the kernel has no openat2");
	root = make_root();
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check_open(soq__beneath_open, root, i, rows[i].leads);
	close(root);
}

TEST(beneath_open_stepwise)
{
	int root = make_root();

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check_open(soq__beneath_open_stepwise, root, i, rows[i].is_direct);
	close(root);
}

TEST(beneath_open_errors)
{
	char name[300];
	int root = make_root();

	memset(name, 'x', sizeof name);
	name[sizeof name - 1] = '\0';
	CHECK_ERR(soq__beneath_open(root, name, 0), -ENAMETOOLONG);
	CHECK_ERR(soq__beneath_open_stepwise(root, name, 0), -ENAMETOOLONG);
	CHECK_ERR(soq__beneath_open(root, "nothing", 0), -ENOENT);
	CHECK_ERR(soq__beneath_open_stepwise(root, "nothing", 0), -ENOENT);
	CHECK_ERR(
		soq__beneath_open(root, "outside", 0), kernel_has_openat2() ? -EXDEV : -ELOOP);
	CHECK_ERR(soq__beneath_open_stepwise(root, "outside", 0), -ELOOP);
	CHECK_ERR(soq__beneath_open(root, "round", 0), -ELOOP);
	close(root);
}
