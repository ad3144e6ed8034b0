/* net_unix_mode.c - a Unix path whose permissions cannot be set is not left behind.
 *
 * chmod(2) on a path that one has just made does not fail where a test can run, so this
 * program has a chmod of its own.
 */
#include "contract/net.h"

#include <fcntl.h>
#include <sys/stat.h>

static int chmod_errno; /* 0: it works */

int chmod(const char *path, mode_t mode)
{
	if (!chmod_errno)
		return fchmodat(AT_FDCWD, path, mode, 0);
	errno = chmod_errno;
	return -1;
}

CONTRACT_KERNEL(listen_unix_mode_that_cannot_be_set, "a simulated path is no file")
{
	struct soq_listen_options opt = { .unix_mode = 0600 };
	struct soq_listener *l = NULL;
	char text[128];
	struct stat st;
	const char *path = text + strlen("unix://");

	snprintf(text, sizeof(text), "unix://%s/mode", test_dir());
	chmod_errno = EPERM;
	CHECK_ERR(soq_listen(&l, text, &opt), -EPERM);
	CHECK(!l);
	CHECK(strstr(soq_last_error(), text));
	CHECK(lstat(path, &st) < 0);
	CHECK_EQ(rmdir(test_dir()), 0); /* nor anything else */
	CHECK_OK(mkdir(test_dir(), 0700));
	chmod_errno = 0;
	CHECK_OK(soq_listen(&l, text, &opt));
	CHECK_OK(lstat(path, &st));
	CHECK_EQ(st.st_mode & 0777, 0600);
	soq_listener_close(l);
}
