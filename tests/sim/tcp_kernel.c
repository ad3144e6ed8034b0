/* tcp_kernel.c - random calls on TCP connections of this machine's loopback, and the same calls
 * on simulated ones: each returns the same, and both ends then look the same.
 *
 * No time is assumed. After each step the simulated kernel comes to rest; then the real one is
 * waited for until its ends look as the simulated ones do, which it must within seconds. All
 * pairs take their n-th step together.
 */
#include "sim/model.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define PAIRS	 150
#define STEPS	 12
#define LIMIT_NS (20 * SOQ_S) /* far beyond what a loaded machine takes */
#define GONE	 -100000      /* the end is closed */

enum call_kind {
	SEND,
	SEND_AGAIN, /* so that it is drawn more often */
	RECV_SOME,
	RECV_ALL,
	RECV_ALL_AGAIN,
	PEEK,
	SHUT_READING,
	SHUT_WRITING,
	SHUT_BOTH,
	CLOSE,
	RESET,
	GET_ERROR,
	PEER_NAME,
	CONNECT,
	KINDS,
};

static const char *const kind_names[KINDS] = { "send", "send", "recv 3", "recv 100", "recv 100",
	"peek", "shutdown for reading", "shutdown for writing", "shutdown", "close", "reset",
	"SO_ERROR", "getpeername", "connect" };

/* What can be seen of an end. */
struct look {
	int events, state, waiting; /* bytes to be read */
};

struct pair {
	int real[2]; /* -1: closed */
	struct soq__sim_socket *simulated[2];
	char history[64 * STEPS]; /* for people: what has been called */
};

static struct pair pairs[PAIRS];

/* ---- the machine's ---- */

static int64_t failed_or(ssize_t n)
{
	return n < 0 ? -errno : n;
}

static int64_t real_option(int fd, int option)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -errno : value;
}

static int64_t real_peer(int fd)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	return failed_or(getpeername(fd, (struct sockaddr *)&addr, &len));
}

/* To where it is connected already, or was. */
static int64_t real_connect(int fd)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(1) };

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return failed_or(connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
}

static int64_t real_close(int *fd, bool reset)
{
	const struct linger none = { .l_onoff = 1 };

	if (reset)
		CHECK_EQ(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)), 0);
	close(*fd);
	*fd = -1;
	return 0;
}

static int64_t call_real(int *fd, enum call_kind kind)
{
	char buf[100] = "hello";

	if (*fd < 0)
		return GONE;
	switch (kind) {
	case SEND:
	case SEND_AGAIN:
		return failed_or(send(*fd, buf, 5, MSG_DONTWAIT | MSG_NOSIGNAL));
	case RECV_SOME:
		return failed_or(recv(*fd, buf, 3, MSG_DONTWAIT));
	case RECV_ALL:
	case RECV_ALL_AGAIN:
		return failed_or(recv(*fd, buf, sizeof(buf), MSG_DONTWAIT));
	case PEEK:
		return failed_or(recv(*fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_PEEK));
	case SHUT_READING:
	case SHUT_WRITING:
	case SHUT_BOTH:
		return failed_or(shutdown(*fd, (int)kind - SHUT_READING));
	case CLOSE:
	case RESET:
		return real_close(fd, kind == RESET);
	case GET_ERROR:
		return real_option(*fd, SO_ERROR);
	case PEER_NAME:
		return real_peer(*fd);
	default:
		return real_connect(*fd);
	}
}

static struct look look_real(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
	struct look l = { .state = 0 };
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (fd < 0)
		return l;
	CHECK(poll(&p, 1, 0) >= 0);
	CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	if (ioctl(fd, FIONREAD, &l.waiting) < 0)
		l.waiting = 0;
	l.events = p.revents;
	l.state = info.tcpi_state;
	return l;
}

/* ---- the simulated ones ---- */

static int64_t close_simulated(struct soq__sim_socket **s, bool reset)
{
	const struct linger none = { .l_onoff = 1 };

	if (reset)
		CHECK_OK((*s)->proto->set_option(
			*s, SOL_SOCKET, SO_LINGER, &none, sizeof(none)));
	close_now(*s);
	*s = NULL;
	return 0;
}

static int64_t call_simulated(struct soq__sim_socket **at_s, enum call_kind kind)
{
	struct soq__sim_socket *s = *at_s;
	struct soq_addr addr;
	char buf[100] = "hello";

	if (!s)
		return GONE;
	switch (kind) {
	case SEND:
	case SEND_AGAIN:
		return send_now(s, buf, 5);
	case RECV_SOME:
		return recv_now(s, buf, 3);
	case RECV_ALL:
	case RECV_ALL_AGAIN:
		return recv_now(s, buf, sizeof(buf));
	case PEEK:
		return recv_flags(s, buf, sizeof(buf), MSG_PEEK);
	case SHUT_READING:
	case SHUT_WRITING:
	case SHUT_BOTH:
		return shutdown_now(s, (int)kind - SHUT_READING);
	case CLOSE:
	case RESET:
		return close_simulated(at_s, kind == RESET);
	case GET_ERROR:
		return get_int(s, SOL_SOCKET, SO_ERROR);
	case PEER_NAME:
		return s->proto->peer_addr(s, &addr);
	default:
		return connect_now(s, at("10.0.0.2", 1));
	}
}

static struct look look_simulated(struct soq__sim_socket *s)
{
	struct look l = { .state = 0 };
	const struct soq__sim_conn *c;
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (!s)
		return l;
	c = soq__sim_conn_of(s);
	CHECK_OK(s->proto->get_option(s, IPPROTO_TCP, TCP_INFO, &info, &len));
	l.events = events_of(s);
	l.state = info.tcpi_state;
	l.waiting = c->flow ? (int)c->flow->rx.count : 0;
	return l;
}

/* ---- both ---- */

static int64_t real_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SOQ_S + t.tv_nsec;
}

/* Wait for the machine until an end looks as the simulated one does. */
static void check_looks(struct pair *p, int side)
{
	struct look want = look_simulated(p->simulated[side]), got;
	int64_t until_ns = real_now() + LIMIT_NS;

	for (;;) {
		struct pollfd news = { .fd = p->real[side], .events = 0 };

		got = look_real(p->real[side]);
		if (memcmp(&got, &want, sizeof(got)) == 0)
			return;
		if (real_now() > until_ns)
			break;
		poll(&news, 1, 1); /* an error, or a millisecond */
	}
	ROW("%s; then the %s's end", p->history, side ? "server" : "client");
	CHECK_EQ(got.state, want.state);
	CHECK_EQ(got.events, want.events);
	CHECK_EQ(got.waiting, want.waiting);
}

static void connect_real(struct pair *p, int l, const struct sockaddr_in *addr)
{
	p->real[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(p->real[0] >= 0);
	CHECK_EQ(connect(p->real[0], (const struct sockaddr *)addr, sizeof(*addr)), 0);
	p->real[1] = accept(l, NULL, NULL);
	CHECK(p->real[1] >= 0);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(fcntl(p->real[i], F_SETFL, O_NONBLOCK), 0);
}

static void open_pairs(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_EQ(bind(l, (struct sockaddr *)&addr, len), 0);
	CHECK_EQ(listen(l, PAIRS), 0);
	CHECK_EQ(getsockname(l, (struct sockaddr *)&addr, &len), 0);
	world_open(1, NULL);
	for (int i = 0; i < PAIRS; i++) {
		pairs[i] = (struct pair){ .history = "" };
		connect_real(&pairs[i], l, &addr);
		tcp_pair(pairs[i].simulated, 80);
	}
	close(l);
	pass(SOQ_S);
}

static void step(struct pair *p, uint64_t drawn)
{
	enum call_kind kind = (enum call_kind)soq__sim_below(drawn, KINDS);
	int side = drawn & 1;
	size_t len = strlen(p->history);
	int64_t got, want;

	snprintf(p->history + len, sizeof(p->history) - len, "%s%s %s", len ? ", " : "",
		side ? "server" : "client", kind_names[kind]);
	got = call_real(&p->real[side], kind);
	want = call_simulated(&p->simulated[side], kind);
	ROW("%s", p->history);
	CHECK_EQ(got, want);
}

TEST(sim_tcp_as_the_kernel)
{
	open_pairs();
	for (uint64_t n = 0; n < STEPS; n++) {
		for (uint64_t i = 0; i < PAIRS; i++)
			step(&pairs[i], soq__sim_draw(sim, SOQ__SIM_CHAOS, i, n));
		pass(SOQ_S);
		for (int i = 0; i < 2 * PAIRS; i++)
			check_looks(&pairs[i / 2], i % 2);
	}
	for (int i = 0; i < 2 * PAIRS; i++)
		if (pairs[i / 2].real[i % 2] >= 0)
			close(pairs[i / 2].real[i % 2]);
	world_close();
}
