/* unix_path.c - the paths of Unix sockets: taken over when stale, removed when ours.
 *
 * A path outlives the process that made it. Whether somebody still listens is told by
 * connecting: a refusal means nobody does. It also means that somebody has bound the path
 * and does not listen yet; so whoever makes a path holds a lock file beside it until it
 * can be connected to. Of those that start at once, one wins.
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

#define LOCK_NAME_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(".lock"))

static void lock_name(char name[LOCK_NAME_MAX], const char *path)
{
	snprintf(name, LOCK_NAME_MAX, "%s.lock", path);
}

/* Lock "PATH.lock"; it is held for some system calls only. @return a descriptor, or a
 * negative code */
static int lock_path(const char *path)
{
	char name[LOCK_NAME_MAX];
	struct stat held, there;
	int fd;

	lock_name(name, path);
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

/* Removed while it is held: who waits for it looks for it anew. */
static void unlock_path(const char *path, int lock)
{
	char name[LOCK_NAME_MAX];

	if (lock < 0)
		return;
	lock_name(name, path);
	unlink(name);
	flock(lock, LOCK_UN); /* for copies of it in processes forked meanwhile, too */
	close(lock);
}

/* Bind, in the place of whoever is gone. The path is locked. */
static int bind_path(struct soq__socket *s, const struct soq_addr *addr, unsigned mode)
{
	const struct soq__engine_type *type = soq__type(soq__worker());
	int kind = SOCK_STREAM, rc = type->bind(s, addr);
	socklen_t len = sizeof(kind);

	type->get_option(s, SOL_SOCKET, SO_TYPE, &kind, &len);
	if (rc == -EADDRINUSE && is_stale(addr, kind)) {
		unlink(addr->un.sun_path);
		rc = type->bind(s, addr);
	}
	/* Nobody can connect before listen(2), so the mode is in force in time. */
	if (rc == 0 && mode && chmod(addr->un.sun_path, (mode_t)mode) < 0) {
		rc = -errno;
		unlink(addr->un.sun_path);
	}
	return rc;
}

static int remember(struct soq__unix_path *made, const struct soq_addr *addr)
{
	struct stat st;

	if (lstat(addr->un.sun_path, &st) < 0)
		return -errno;
	made->device = st.st_dev;
	made->inode = st.st_ino;
	return 0;
}

int soq__unix_bind(struct soq__unix_path **ret, struct soq__socket *s,
	const struct soq_addr *addr, unsigned mode)
{
	size_t len = strlen(addr->un.sun_path) + 1;
	struct soq__unix_path *made = malloc(sizeof(*made) + len);
	int rc;

	if (!made)
		return -ENOMEM;
	memcpy(made->path, addr->un.sun_path, len);
	rc = made->lock = lock_path(made->path);
	if (rc >= 0)
		rc = bind_path(s, addr, mode);
	if (rc == 0) {
		rc = remember(made, addr);
		if (rc < 0)
			unlink(made->path);
	}
	if (rc < 0) {
		unlock_path(made->path, made->lock);
		free(made);
		return rc;
	}
	*ret = made;
	return 0;
}

void soq__unix_connectable(struct soq__unix_path *made)
{
	if (!made)
		return;
	unlock_path(made->path, made->lock);
	made->lock = -1;
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
	unlock_path(made->path, made->lock);
	free(made);
}
