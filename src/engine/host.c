/* host.c - what the real engines share: the kernel's clock, entropy, names and those
 * socket calls that never wait.
 */
#include "engine/engine.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
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
		return -SOQ_ENONAME;
	case EAI_NODATA:
	case EAI_ADDRFAMILY:
		return -SOQ_ENORECORD;
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

static int copy_addrs(const struct addrinfo *found, struct soq_addrs *ret)
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

int soq__host_resolve(
	const struct soq__engine *e, const struct soq__query *query, struct soq_addrs *ret)
{
	struct addrinfo hints = { .ai_flags = query->passive ? AI_PASSIVE : 0 }, *found = NULL;
	char number[8];
	const char *service = query->service;
	int rc;

	(void)e;
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

/* Connecting a datagram socket sends nothing, and fixes its own address, until it is connected
 * to no family: connect(2). */
static int source_addr(int fd, const struct soq_addr *to, struct soq_addr *ret)
{
	static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	struct soq__socket s = { .fd = fd };
	int rc;

	if (fd < 0 || connect(fd, &to->sa, to->len) < 0)
		return -EAFNOSUPPORT;
	rc = soq__host_local_addr(&s, ret);
	if (connect(fd, &nobody, sizeof(nobody)) < 0 && rc == 0)
		rc = -errno;
	return rc;
}

void soq__host_source_addrs(
	struct soq__engine *e, const struct soq_addr *to, struct soq_addr *ret, size_t count)
{
	static const int families[2] = { AF_INET, AF_INET6 };

	(void)e;
	for (size_t i = 0; i < count; i++)
		ret[i].len = 0;
	for (int f = 0; f < 2; f++) {
		int fd = -1;

		for (size_t i = 0; i < count; i++) {
			if (to[i].sa.sa_family != families[f])
				continue;
			if (fd < 0)
				fd = socket(families[f], SOCK_DGRAM | SOCK_CLOEXEC, 0);
			if (source_addr(fd, &to[i], &ret[i]) < 0)
				ret[i].len = 0;
		}
		if (fd >= 0)
			close(fd);
	}
}

unsigned soq__host_interface_index(const struct soq__engine *e, const char *name)
{
	(void)e;
	return if_nametoindex(name);
}

/* ---- wake-ups from other threads ---- */

/* An eventfd, and the operation that waits for it as long as the engine lives. */
struct soq__host_wake {
	struct soq__engine *engine;
	struct soq__socket socket;
	struct soq__op op;
	void (*heard)(void *arg);
	void *arg;
};

static void empty_wake(struct soq__host_wake *wake)
{
	uint64_t count;

	while (read(wake->socket.fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

static void wake_heard(struct soq__op *op)
{
	struct soq__host_wake *wake = soq__container_of(op, struct soq__host_wake, op);

	do {
		empty_wake(wake);
		wake->heard(wake->arg);
		op->state = 0;
	} while (wake->engine->type->submit(wake->engine, op));
}

static int wake_start(struct soq__host_wake *wake)
{
	wake->op = (struct soq__op){
		.code = SOQ__OP_POLL,
		.socket = &wake->socket,
		.events = POLLIN,
		.complete = wake_heard,
	};
	soq__list_init(&wake->op.node);
	if (!wake->engine->type->submit(wake->engine, &wake->op))
		return 0;
	if (wake->op.result < 0)
		return (int)wake->op.result;
	wake_heard(&wake->op);
	return 0;
}

int soq__host_wake_open(struct soq__engine *e, void (*heard)(void *arg), void *arg)
{
	struct soq__host_wake *wake;
	int fd, rc;

	if (e->wake)
		return 0;
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	wake = malloc(sizeof(*wake));
	if (!wake) {
		close(fd);
		return -ENOMEM;
	}
	*wake = (struct soq__host_wake){
		.engine = e, .socket = { .fd = fd }, .heard = heard, .arg = arg
	};
	rc = wake_start(wake);
	if (rc < 0) {
		close(fd);
		free(wake);
		return rc;
	}
	e->wake = wake;
	return 0;
}

static void write_one(int fd)
{
	uint64_t one = 1;

	while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void soq__host_wake(struct soq__engine *e)
{
	write_one(e->wake->socket.fd);
}

void soq__host_wake_close(struct soq__engine *e)
{
	if (!e->wake)
		return;
	close(e->wake->socket.fd);
	free(e->wake);
	e->wake = NULL;
}

/* ---- latches, signals, limits ---- */

/* An eventfd that nobody reads. */
int soq__host_open_latch(struct soq__engine *e)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)e;
	return fd < 0 ? -errno : fd;
}

void soq__host_set_latch(struct soq__engine *e, int fd)
{
	(void)e;
	write_one(fd);
}

void soq__host_close_fd(struct soq__engine *e, int fd)
{
	(void)e;
	close(fd);
}

int soq__host_open_signals(struct soq__engine *e, const int *signals, size_t count)
{
	sigset_t set;
	int fd;

	(void)e;
	sigemptyset(&set);
	for (size_t i = 0; i < count; i++)
		if (sigaddset(&set, signals[i]) < 0)
			return -EINVAL;
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int soq__host_read_signals(struct soq__engine *e, int fd)
{
	struct signalfd_siginfo info;

	(void)e;
	return read(fd, &info, sizeof(info)) < 0 ? -errno : (int)info.ssi_signo;
}

unsigned soq__host_descriptors_max(const struct soq__engine *e)
{
	struct rlimit limit;

	(void)e;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > UINT_MAX)
		return UINT_MAX;
	return (unsigned)limit.rlim_cur;
}

/* ---- sockets ---- */

int soq__host_open_pair(struct soq__engine *e, int type, int ret_fds[2])
{
	(void)e;
	return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_fds) < 0 ? -errno : 0;
}

int soq__host_duplicate(struct soq__engine *e, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	(void)e;
	return copy < 0 ? -errno : copy;
}

int soq__host_check_foreign(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ? -errno : 0;
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

static int somaxconn(void)
{
	FILE *f = fopen("/proc/sys/net/core/somaxconn", "re");
	int n = SOMAXCONN;

	if (f) {
		if (fscanf(f, "%d", &n) != 1) /* NOLINT(cert-err34-c): the kernel's own text */
			n = SOMAXCONN;
		fclose(f);
	}
	return n;
}

int soq__host_listen(struct soq__socket *s, int backlog)
{
	if (backlog == 0)
		backlog = somaxconn();
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
