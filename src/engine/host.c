/* host.c - what the real engines share: the kernel's clock, entropy, names and those
 * socket calls that never wait.
 */
#include "engine/engine.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <time.h>
#include <soquete/error.h>

static int64_t read_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * SOQ_S + ts.tv_nsec;
}

int64_t soq__host_now(struct soq__engine *e)
{
	(void)e;
	return read_clock(CLOCK_MONOTONIC);
}

int64_t soq__host_wall_clock(struct soq__engine *e)
{
	(void)e;
	return read_clock(CLOCK_REALTIME);
}

int soq__host_random(struct soq__engine *e, void *buf, size_t len)
{
	char *p = buf;

	(void)e;
	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int from_gai(int gai)
{
	switch (gai) {
	case 0:
		return 0;
	case EAI_NONAME:
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return -SOQ_ENONAME;
	case EAI_AGAIN:
		return -SOQ_ENAMEWAIT;
	case EAI_SERVICE:
		return -SOQ_ENOPORT;
	case EAI_MEMORY:
		return -ENOMEM;
	case EAI_SYSTEM:
		return errno ? -errno : -SOQ_ENAMEFAIL;
	default:
		return -SOQ_ENAMEFAIL;
	}
}

static int copy_addrs(const struct addrinfo *found, struct soq__addrs *ret)
{
	size_t count = 0;

	for (const struct addrinfo *ai = found; ai; ai = ai->ai_next)
		count++;
	ret->list = calloc(count ? count : 1, sizeof(*ret->list));
	if (!ret->list)
		return -ENOMEM;
	ret->count = 0;
	for (const struct addrinfo *ai = found; ai; ai = ai->ai_next) {
		struct soq_addr *addr = &ret->list[ret->count++];

		addr->len = ai->ai_addrlen;
		memcpy(&addr->sa, ai->ai_addr, ai->ai_addrlen);
	}
	return 0;
}

int soq__host_resolve(const struct soq__query *query, struct soq__addrs *ret)
{
	struct addrinfo hints = { .ai_flags = query->passive ? AI_PASSIVE : 0 }, *found = NULL;
	char number[8];
	const char *service = query->service;
	int rc;

	hints.ai_socktype = query->datagram ? SOCK_DGRAM : SOCK_STREAM;
	if (!*service) {
		snprintf(number, sizeof(number), "%u", (unsigned)query->port);
		service = number;
		hints.ai_flags |= AI_NUMERICSERV;
	}
	rc = from_gai(getaddrinfo(*query->host ? query->host : NULL, service, &hints, &found));
	if (rc == 0)
		rc = copy_addrs(found, ret);
	if (found)
		freeaddrinfo(found);
	return rc;
}

int soq__host_open_pair(struct soq__engine *e, int type, int ret_fds[2])
{
	(void)e;
	return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_fds) < 0 ? -errno : 0;
}

static int set_nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

int soq__host_release(struct soq__engine *e, struct soq__socket *s)
{
	(void)e;
	return set_nonblocking(s->fd, false);
}

int soq__host_bind(struct soq__socket *s, const struct soq_addr *addr)
{
	return bind(s->fd, &addr->sa, addr->len) < 0 ? -errno : 0;
}

int soq__host_listen(struct soq__socket *s, int backlog)
{
	return listen(s->fd, backlog) < 0 ? -errno : 0;
}

int soq__host_shutdown(struct soq__socket *s, int how)
{
	return shutdown(s->fd, how) < 0 ? -errno : 0;
}

int soq__host_set_option(
	struct soq__socket *s, int level, int option, const void *value, socklen_t len)
{
	return setsockopt(s->fd, level, option, value, len) < 0 ? -errno : 0;
}

int soq__host_get_option(
	const struct soq__socket *s, int level, int option, void *value, socklen_t *len)
{
	return getsockopt(s->fd, level, option, value, len) < 0 ? -errno : 0;
}

/* An unnamed Unix socket's address is its family alone: say "none" for it. */
static int named(struct soq_addr *ret, struct soq_addr *addr)
{
	if (addr->sa.sa_family == AF_UNIX &&
		addr->len <= offsetof(struct sockaddr_un, sun_path))
		addr->len = 0;
	*ret = *addr;
	return 0;
}

int soq__host_local_addr(const struct soq__socket *s, struct soq_addr *ret)
{
	struct soq_addr addr = { .len = sizeof(addr.un) };

	if (getsockname(s->fd, &addr.sa, &addr.len) < 0)
		return -errno;
	return named(ret, &addr);
}

int soq__host_peer_addr(const struct soq__socket *s, struct soq_addr *ret)
{
	struct soq_addr addr = { .len = sizeof(addr.un) };

	if (getpeername(s->fd, &addr.sa, &addr.len) < 0)
		return -errno;
	return named(ret, &addr);
}

int soq__host_recv_many(struct soq__socket *s, struct mmsghdr *msgs, unsigned count)
{
	int n = recvmmsg(s->fd, msgs, count, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);

	return n < 0 ? -errno : n;
}

int soq__host_send_many(struct soq__socket *s, struct mmsghdr *msgs, unsigned count)
{
	int n = sendmmsg(s->fd, msgs, count, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? -errno : n;
}

/* sendfile(2) has no flag for "do not wait": the descriptor must be non-blocking while it
 * runs. A receive that meanwhile ends with EAGAIN is retried by the engine. */
ssize_t soq__host_send_file(struct soq__socket *s, int fd, off_t *offset, size_t len)
{
	ssize_t n;
	int rc = s->nonblocking ? 0 : set_nonblocking(s->fd, true);

	if (rc < 0)
		return rc;
	do {
		n = sendfile(s->fd, fd, offset, len);
		if (n < 0)
			n = -errno;
	} while (n == -EINTR);
	if (!s->nonblocking)
		set_nonblocking(s->fd, false);
	return n;
}
