/* unix_path.c - the paths of Unix sockets: taken over when stale, removed when ours.
 *
 * A path outlives the process that made it. Whether somebody still listens is told by
 * connecting: a refusal means nobody does. A lock file beside the path makes sure that two
 * processes that start at once do not both find it stale, the second removing what the
 * first has just made.
 *
 * Source: unix(7), flock(2).
 */
#include "net/net.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lock "PATH.lock"; it is held for some system calls only. @return a descriptor, or a
 * negative code */
static int lock_path(char *name, size_t len, const char *path)
{
	struct stat held, there;
	int fd;

	snprintf(name, len, "%s.lock", path);
	for (;;) {
		fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX) < 0) {
			int rc = -errno;

			close(fd);
			return rc;
		}
		/* Its former holder may have removed it between our open and our lock. */
		if (fstat(fd, &held) == 0 && stat(name, &there) == 0 &&
			held.st_ino == there.st_ino && held.st_dev == there.st_dev)
			return fd;
		close(fd);
	}
}

/* Whether the path is a socket on which nobody listens. */
static bool is_stale(const struct soq_addr *addr, int type)
{
	struct stat st;
	int fd, error = 0;

	if (lstat(addr->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	if (connect(fd, &addr->sa, addr->len) < 0)
		error = errno;
	close(fd);
	return error == ECONNREFUSED;
}

static int take_over(struct soq__socket *s, const struct soq_addr *addr)
{
	const struct soq__engine_type *type = soq__type(soq__worker());
	char name[sizeof(addr->un.sun_path) + sizeof(".lock")];
	int kind = SOCK_STREAM, lock, rc = -EADDRINUSE;
	socklen_t len = sizeof(kind);

	type->get_option(s, SOL_SOCKET, SO_TYPE, &kind, &len);
	lock = lock_path(name, sizeof(name), addr->un.sun_path);
	if (lock < 0)
		return lock;
	if (is_stale(addr, kind)) {
		unlink(addr->un.sun_path);
		rc = type->bind(s, addr);
	}
	unlink(name);
	close(lock);
	return rc;
}

static int remember(struct soq__unix_path **ret, const struct soq_addr *addr)
{
	size_t len = strlen(addr->un.sun_path) + 1;
	struct soq__unix_path *made = malloc(sizeof(*made) + len);
	struct stat st;

	if (!made)
		return -ENOMEM;
	if (lstat(addr->un.sun_path, &st) < 0) {
		free(made);
		return -errno;
	}
	made->device = st.st_dev;
	made->inode = st.st_ino;
	memcpy(made->path, addr->un.sun_path, len);
	*ret = made;
	return 0;
}

int soq__unix_bind(struct soq__unix_path **ret, struct soq__socket *s,
	const struct soq_addr *addr, unsigned mode)
{
	int rc = soq__type(soq__worker())->bind(s, addr);

	if (rc == -EADDRINUSE)
		rc = take_over(s, addr);
	/* Nobody can connect before listen(2), so the mode is in force in time. */
	if (rc == 0 && mode && chmod(addr->un.sun_path, (mode_t)mode) < 0)
		rc = -errno;
	return rc < 0 ? rc : remember(ret, addr);
}

void soq__unix_unbind(struct soq__unix_path *made)
{
	struct stat st;

	if (!made)
		return;
	/* Not if another process has taken the path over meanwhile. */
	if (lstat(made->path, &st) == 0 && st.st_dev == made->device &&
		st.st_ino == made->inode)
		unlink(made->path);
	free(made);
}
