/* beneath.c - opening what lies beneath a root folder. */
#include "beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALWAYS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* openat2(2) gives up with EAGAIN when a folder was renamed while it resolved "..". */
#define TRIES 16

int soq__beneath_open(int root, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned)(flags | ALWAYS),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd = -1;

	if (flags & O_PATH)
		how.flags = (unsigned)(flags | O_CLOEXEC); /* others are EINVAL with O_PATH */
	if (path[0] == '\0')
		path = ".";
	for (int i = 0; i < TRIES; i++) {
		fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	if (fd >= 0)
		return fd;
	/* EPERM: how some sandboxes answer a system call that they do not know. */
	if (errno == ENOSYS || errno == EPERM)
		return soq__beneath_open_stepwise(root, path, flags);
	return -errno;
}

static int step(int folder, const char *name, int flags)
{
	int fd = openat(folder, name, flags | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int soq__beneath_open_stepwise(int root, const char *path, int flags)
{
	int folder = root, fd;

	if (path[0] == '\0')
		path = ".";
	for (;;) {
		size_t len = strcspn(path, "/");
		bool is_last = path[len] == '\0';
		char name[256];

		if (len >= sizeof name) {
			fd = -ENAMETOOLONG;
		} else {
			memcpy(name, path, len);
			name[len] = '\0';
			fd = step(folder, name,
				is_last ? flags | (flags & O_PATH ? 0 : ALWAYS)
					: O_PATH | O_DIRECTORY);
		}
		if (folder != root)
			close(folder);
		if (fd < 0 || is_last)
			return fd;
		folder = fd;
		path += len + 1;
	}
}
