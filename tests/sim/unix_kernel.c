/* unix_kernel.c - random calls on this machine's Unix sockets, and the same calls on simulated
 * ones: each returns the same, and all sockets then look the same. What is sent there is
 * received at once, so nobody has to wait for anything.
 */
#include "sim/model.h"
#include "sim/unix.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define SOCKETS 7
#define NAMES	3
#define STEPS	60
#define WORLDS	200
#define BUFFER	4000 /* bytes, before they are doubled */

enum call_kind {
	SEND,
	SEND_LONG,
	SEND_TO,
	SEND_FILES,
	RECV,
	RECV_MORE,
	RECV_FILES,
	PEEK,
	SHUT_READING,
	SHUT_WRITING,
	SHUT_BOTH,
	CLOSE,
	GET_ERROR,
	BIND,
	LISTEN,
	CONNECT,
	DISSOLVE,
	ACCEPT,
	PEER_NAME,
	KINDS,
};

/* The two sockets that are to be alike; one that has been closed is made anew. */
struct twin {
	int real;
	struct soq__sim_socket *simulated;
	int type;
};

static struct twin twins[SOCKETS];
static char history[80 * STEPS];
static int file;
static uint64_t world;
/* How often each kind of call has come to something. */
static unsigned done[KINDS];

static int64_t failed_or(int64_t n)
{
	return n < 0 ? -errno : n;
}

/* No other process has such names. */
static struct soq_addr name_of(unsigned n)
{
	char text[64];

	snprintf(text, sizeof(text), "@soquete-twin-%d-%u-%u", (int)getpid(), (unsigned)world,
		n);
	return named(text);
}

/* ---- the machine's ---- */

/* A call that does not wait finds nothing on a socket that is shut for reading, and one that
 * may wait finds its end. The simulated ones are of those that may. */
static int flags_of(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents & POLLRDHUP ? 0 : MSG_DONTWAIT;
}

static void set_blocking(int fd, bool blocking)
{
	CHECK_EQ(fcntl(fd, F_SETFL, blocking ? 0 : O_NONBLOCK), 0);
}

static int64_t real_recv(int fd, void *buf, size_t len, int flags)
{
	return failed_or(recv(fd, buf, len, flags | flags_of(fd)));
}

/* What came, and how many files with it. */
static int64_t real_recvmsg(int fd, size_t len)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
	char buf[16];
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	int64_t n = failed_or(recvmsg(fd, &msg, flags_of(fd) | MSG_CMSG_CLOEXEC));
	struct received r = { 0 };

	if (n < 0)
		return n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
		read_control(&r, c);
	for (unsigned i = 0; i < r.fd_count; i++)
		close(r.fds[i]);
	return n + 1000 * r.fd_count;
}

static int64_t real_sendmsg(int fd, const struct soq_addr *to, unsigned files)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = { 0 };
	struct iovec iov = { (char[]){ "abcde" }, 5 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = (struct cmsghdr *)control;

	if (to) {
		msg.msg_name = (void *)&to->sa;
		msg.msg_namelen = to->len;
	}
	if (files) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(files * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(files * sizeof(int));
		memcpy(CMSG_DATA(c), (int[2]){ file, file }, files * sizeof(int));
	}
	return failed_or(sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static int64_t real_accept(int fd)
{
	int accepted, error;

	set_blocking(fd, flags_of(fd) == 0);
	accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	error = -errno;
	set_blocking(fd, true);
	if (accepted < 0)
		return error;
	close(accepted);
	return 0;
}

static int64_t real_error(int fd)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return failed_or(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len)) + value;
}

/* The kernel says EAGAIN of a full backlog; the engines say EBUSY, since nothing tells when to
 * try again. */
static int64_t real_connect(int fd, const struct soq_addr *to)
{
	int64_t rc;

	set_blocking(fd, false);
	rc = failed_or(connect(fd, &to->sa, to->len));
	set_blocking(fd, true);
	return rc == -EAGAIN ? -EBUSY : rc;
}

static int64_t call_real(struct twin *t, enum call_kind kind, const struct soq_addr *name)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	static char buf[BUFFER];
	struct soq_addr addr = { .len = sizeof(addr.un) };

	switch (kind) {
	case SEND:
		return failed_or(send(t->real, "abc", 3, MSG_DONTWAIT | MSG_NOSIGNAL));
	case SEND_LONG:
		return failed_or(send(t->real, buf, 1000, MSG_DONTWAIT | MSG_NOSIGNAL));
	case SEND_TO:
		return real_sendmsg(t->real, name, 0);
	case SEND_FILES:
		return real_sendmsg(t->real, NULL, 2);
	case RECV:
		return real_recv(t->real, buf, 2, 0);
	case RECV_MORE:
		return real_recv(t->real, buf, sizeof(buf), 0);
	case RECV_FILES:
		return real_recvmsg(t->real, 10);
	case PEEK:
		return real_recv(t->real, buf, 2, MSG_PEEK | MSG_TRUNC);
	case SHUT_READING:
	case SHUT_WRITING:
	case SHUT_BOTH:
		return failed_or(shutdown(t->real, (int)kind - SHUT_READING));
	case GET_ERROR:
		return real_error(t->real);
	case BIND:
		return failed_or(bind(t->real, &name->sa, name->len));
	case LISTEN:
		return failed_or(listen(t->real, 2));
	case CONNECT:
		return real_connect(t->real, name);
	case DISSOLVE:
		return real_connect(t->real, &(struct soq_addr){ .len = 2, .sa = nobody });
	case ACCEPT:
		return real_accept(t->real);
	case PEER_NAME:
		return failed_or(getpeername(t->real, &addr.sa, &addr.len));
	default:
		close(t->real);
		t->real = -1;
		return 0;
	}
}

/* ---- the simulated ones ---- */

static int64_t simulated_recvmsg(struct soq__sim_socket *s)
{
	struct received r = recv_msg(s, 10, CMSG_SPACE(4 * sizeof(int)), 0);

	if (r.n < 0)
		return r.n;
	for (unsigned i = 0; i < r.fd_count; i++)
		close(r.fds[i]);
	return r.n + 1000 * r.fd_count;
}

static int64_t simulated_accept(struct soq__sim_socket *s)
{
	int64_t fd = accept_now(s);

	if (fd < 0)
		return fd;
	soq__sim_fd_close(sim, (int)fd);
	return 0;
}

static int64_t call_simulated(struct twin *t, enum call_kind kind, const struct soq_addr *name)
{
	const struct soq_addr nobody = { .len = 2 };
	const int two[] = { file, file };
	const struct control files = { SOL_SOCKET, SCM_RIGHTS, two, sizeof(two) };
	struct soq__sim_socket *s = t->simulated;
	static char buf[BUFFER];
	struct soq_addr addr;

	switch (kind) {
	case SEND:
		return send_now(s, "abc", 3);
	case SEND_LONG:
		return send_now(s, buf, 1000);
	case SEND_TO:
		return send_msg(s, "abcde", 5, name, NULL, 0);
	case SEND_FILES:
		return send_msg(s, "abcde", 5, NULL, &files, 0);
	case RECV:
		return recv_now(s, buf, 2);
	case RECV_MORE:
		return recv_now(s, buf, sizeof(buf));
	case RECV_FILES:
		return simulated_recvmsg(s);
	case PEEK:
		return recv_flags(s, buf, 2, MSG_PEEK | MSG_TRUNC);
	case SHUT_READING:
	case SHUT_WRITING:
	case SHUT_BOTH:
		return shutdown_now(s, (int)kind - SHUT_READING);
	case GET_ERROR:
		return get_int(s, SOL_SOCKET, SO_ERROR);
	case BIND:
		return bind_now(s, *name);
	case LISTEN:
		return listen_now(s, 2);
	case CONNECT:
		return connect_now(s, *name);
	case DISSOLVE:
		return connect_now(s, nobody);
	case ACCEPT:
		return simulated_accept(s);
	case PEER_NAME:
		return s->proto->peer_addr(s, &addr);
	default:
		close_now(s);
		t->simulated = NULL;
		return 0;
	}
}

/* ---- both ---- */

static const char *const kind_names[KINDS] = { "send 3", "send 1000", "send to", "send files",
	"recv 2", "recv 4000", "recv files", "peek", "shut reading", "shut writing",
	"shut both", "close", "SO_ERROR", "bind", "listen", "connect", "dissolve", "accept",
	"peer" };

static void make(struct twin *t, int type)
{
	t->type = type;
	t->real = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	CHECK(t->real >= 0);
	t->simulated = un(host_a, type);
}

static void make_pair(struct twin *t, int type)
{
	struct soq__sim_socket *s[2];
	int fds[2];

	CHECK_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
	un_pair(s, type);
	for (int i = 0; i < 2; i++)
		t[i] = (struct twin){ fds[i], s[i], type };
}

static void check_looks(const struct twin *t, int which)
{
	struct pollfd p = { .fd = t->real, .events = POLLIN | POLLOUT | POLLRDHUP };

	if (t->real < 0)
		return;
	CHECK(poll(&p, 1, 0) >= 0);
	if (p.revents != events_of(t->simulated))
		printf("%s\n", history);
	ROW("world %u: the events of %d", (unsigned)world, which);
	CHECK_EQ(events_of(t->simulated), p.revents);
}

/* The same call of both. */
static void both(struct twin *t, enum call_kind kind, unsigned name)
{
	struct soq_addr addr = name_of(name);
	size_t len = strlen(history);
	int64_t got, want;

	snprintf(history + len, sizeof(history) - len, "%s%d %s %s %u", len ? "\n" : "",
		(int)(t - twins), t->type == SOCK_STREAM ? "stream" : "dgram", kind_names[kind],
		name);
	want = call_real(t, kind, &addr);
	got = call_simulated(t, kind, &addr);
	if (got != want)
		printf("%s\n", history);
	ROW("world %u, socket %d: %s", (unsigned)world, (int)(t - twins), kind_names[kind]);
	CHECK_EQ(got, want);
	done[kind] += want >= 0;
}

/* A datagram socket that has no peer, and may not send anyway or has an error to tell: which
 * of these comes first is not the same in all versions of Linux. */
static bool is_ambiguous(const struct twin *t, enum call_kind kind)
{
	const struct soq__sim_unix_socket *u = soq__sim_unix_of(t->simulated);
	struct soq_addr addr;

	return t->type == SOCK_DGRAM &&
		(kind == SEND || kind == SEND_LONG || kind == SEND_FILES) &&
		(u->shut & SOQ__SIM_OUT || u->error) &&
		t->simulated->proto->peer_addr(t->simulated, &addr) == -ENOTCONN;
}

static void step(uint64_t drawn)
{
	enum call_kind kind = (enum call_kind)soq__sim_below(drawn, KINDS);
	struct twin *t = &twins[drawn % SOCKETS];

	/* Ends are rarer than what goes before them. */
	if (kind >= SHUT_READING && kind <= CLOSE && drawn >> 32 & 7)
		kind = drawn >> 40 & 1 ? CONNECT : SEND_TO;
	if (t->real < 0)
		make(t, drawn >> 16 & 1 ? SOCK_STREAM : SOCK_DGRAM);
	else if (!is_ambiguous(t, kind))
		both(t, kind, (unsigned)(drawn >> 24) % NAMES);
}

static void run(void)
{
	history[0] = '\0';
	world_open(world, NULL);
	make_pair(&twins[0], SOCK_STREAM);
	make_pair(&twins[2], SOCK_DGRAM);
	make(&twins[4], SOCK_STREAM);
	make(&twins[5], SOCK_DGRAM);
	make(&twins[6], SOCK_STREAM);
	both(&twins[4], BIND, 0);
	both(&twins[4], LISTEN, 0);
	both(&twins[5], BIND, 1);
	for (uint64_t n = 0; n < STEPS; n++) {
		step(soq__sim_draw(sim, SOQ__SIM_CHAOS, world, n));
		for (int i = 0; i < SOCKETS; i++)
			check_looks(&twins[i], i);
	}
	for (int i = 0; i < SOCKETS; i++)
		if (twins[i].real >= 0)
			close(twins[i].real);
	world_close();
}

TEST(sim_unix_as_the_kernel)
{
	file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK(file >= 0);
	for (world = 1; world <= WORLDS; world++)
		run();
	close(file);
	for (int i = 0; i < KINDS; i++) {
		ROW("%s: %u", kind_names[i], done[i]);
		CHECK(done[i] > 0);
	}
}
