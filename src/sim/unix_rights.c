/* unix_rights.c - descriptors in messages (SCM_RIGHTS).
 *
 * A message has descriptors of its own, copies of those that were sent, which become the
 * receiver's with it. Copies of the kernel's, of a file perhaps, are the kernel's.
 *
 * Two sockets that are only to be found in messages to each other are never closed, where a
 * kernel collects them: until their host ends.
 * Source: unix(7), cmsg(3).
 */
#include "sim/unix.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RIGHTS_MAX 253 /* of a message: Linux's SCM_MAX_FD */

/* A copy of a descriptor. @return it, or a negative code */
static int take_one(struct soq_sim *sim, int fd)
{
	struct soq__sim_socket *s = soq__sim_socket_of(sim, fd);
	int copy;

	if (s)
		return soq__sim_fd_open(s, NULL);
	if (fd >= SOQ__SIM_FD_BASE)
		return -EBADF;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : copy;
}

static void close_one(struct soq_sim *sim, int fd, bool abandoned)
{
	if (fd < SOQ__SIM_FD_BASE)
		close(fd);
	else if (!abandoned)
		soq__sim_fd_close(sim, fd);
}

void soq__sim_unix_rights_free(
	struct soq_sim *sim, struct soq__sim_unix_rights *rights, bool abandoned)
{
	if (!rights)
		return;
	for (unsigned i = 0; i < rights->count; i++)
		close_one(sim, rights->fds[i], abandoned);
	free(rights);
}

/* Add those of a control message. @return 0, or a negative code */
static int take_from(
	struct soq_sim *sim, struct soq__sim_unix_rights **rights, const struct cmsghdr *c)
{
	size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	struct soq__sim_unix_rights *all = *rights;

	if (count == 0)
		return 0;
	if (!all) {
		all = soq__sim_alloc(sizeof(*all) + RIGHTS_MAX * sizeof(int));
		*rights = all;
	}
	if (count > RIGHTS_MAX - all->count)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
		fd = take_one(sim, fd);
		if (fd < 0)
			return fd;
		all->fds[all->count++] = fd;
	}
	return 0;
}

/* Nothing else can be sent with a message. */
static int check(const struct msghdr *msg, const struct cmsghdr *c)
{
	size_t at = (size_t)((const char *)c - (const char *)msg->msg_control);

	if (c->cmsg_len < CMSG_LEN(0) || c->cmsg_len > msg->msg_controllen - at)
		return -EINVAL;
	return c->cmsg_level == SOL_SOCKET && c->cmsg_type != SCM_RIGHTS ? -EINVAL : 0;
}

int soq__sim_unix_rights_take(
	struct soq_sim *sim, const struct msghdr *msg, struct soq__sim_unix_rights **ret)
{
	struct soq__sim_unix_rights *rights = NULL;
	struct msghdr all = *msg;
	int rc = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&all); c && rc == 0; c = CMSG_NXTHDR(&all, c)) {
		rc = check(&all, c);
		if (rc == 0 && c->cmsg_level == SOL_SOCKET)
			rc = take_from(sim, &rights, c);
	}
	if (rc < 0) {
		soq__sim_unix_rights_free(sim, rights, false);
		return rc;
	}
	*ret = rights;
	return 0;
}

struct soq__sim_unix_rights *soq__sim_unix_rights_copy(
	struct soq_sim *sim, const struct soq__sim_unix_rights *rights)
{
	struct soq__sim_unix_rights *copy;

	if (!rights)
		return NULL;
	copy = soq__sim_alloc(sizeof(*copy) + rights->count * sizeof(int));
	for (unsigned i = 0; i < rights->count; i++) {
		int fd = take_one(sim, rights->fds[i]);

		if (fd >= 0)
			copy->fds[copy->count++] = fd;
	}
	return copy;
}

void soq__sim_unix_rights_put(struct soq_sim *sim, struct msghdr *msg, size_t room,
	struct soq__sim_unix_rights *rights)
{
	size_t most = room > CMSG_LEN(0) ? (room - CMSG_LEN(0)) / sizeof(int) : 0;
	unsigned given;

	if (!rights)
		return;
	given = (unsigned)soq__min_size(rights->count, most);
	if (given > 0)
		soq__sim_put_control(
			msg, room, SOL_SOCKET, SCM_RIGHTS, rights->fds, given * sizeof(int));
	if (given < rights->count)
		msg->msg_flags |= MSG_CTRUNC;
	for (unsigned i = given; i < rights->count; i++)
		close_one(sim, rights->fds[i], false);
	free(rights);
}
