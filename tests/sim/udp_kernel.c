/* udp_kernel.c - random calls on datagram sockets of this machine's loopback, and the same
 * calls on simulated ones: each returns the same, and all sockets then look the same.
 *
 * No time is assumed: after each step the simulated network comes to rest, and the real sockets
 * are waited for until they look as the simulated ones do, which they must within seconds.
 */
#include "sim/model.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define SOCKETS	 6
#define STEPS	 50
#define WORLDS	 60
#define LIMIT_NS (20 * SOQ_S) /* far beyond what a loaded machine takes */
#define CLOSED	 1	      /* a port of nobody's, on the machine's loopback too */
#define PORT	 1000	      /* of the first simulated one */

enum call_kind {
	SEND,
	SEND_TO,
	SEND_EMPTY,
	RECV,
	RECV_PART,
	PEEK,
	CONNECT,
	DISSOLVE,
	GET_ERROR,
	PEER_NAME,
	BIND_AGAIN,
	SHUT_READING,
	SHUT_WRITING,
	KINDS,
};

static const char *const kind_names[KINDS] = { "send", "send to", "send nothing", "recv",
	"recv 2", "peek", "connect", "dissolve", "SO_ERROR", "getpeername", "bind",
	"shut reading", "shut writing" };

/* The two sockets that are to be alike. */
struct twin {
	int real;
	struct soq__sim_socket *simulated;
	int family;
	const char *ip;			    /* bound to; NULL: not bound */
	unsigned real_port, simulated_port; /* 0: not bound */
};

/* What can be seen of a socket. */
struct look {
	int events, waiting; /* bytes of the next datagram */
};

static struct twin twins[SOCKETS] = {
	{ .family = AF_INET, .ip = "127.0.0.1" },
	{ .family = AF_INET, .ip = "0.0.0.0" },
	{ .family = AF_INET6 }, /* "::1", or 127.0.0.1 mapped */
	{ .family = AF_INET6, .ip = "::" },
	{ .family = AF_INET },
	{ .family = AF_INET6 },
};
static char history[80 * STEPS];
static uint64_t world;
static unsigned done[KINDS];

static int64_t failed_or(int64_t n)
{
	return n < 0 ? -errno : n;
}

/* In a world, sockets of IPv6 speak IPv4 or do not: no program mixes these, and Linux then
 * invents sources such as 127.0.0.6. */
static bool is_mapped(const struct twin *t)
{
	return t->family == AF_INET6 && world % 2;
}

static struct soq_addr own_address(const struct twin *t)
{
	if (t->family == AF_INET)
		return at("127.0.0.1", 0);
	return at(is_mapped(t) ? "::ffff:127.0.0.1" : "::1", 0);
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

static int64_t real_option(int fd)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return failed_or(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len)) + value;
}

static int64_t call_real(const struct twin *t, enum call_kind kind, const struct soq_addr *to)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	struct soq_addr addr = { .len = sizeof(addr.un) };
	char buf[100] = "hello";

	switch (kind) {
	case SEND:
		return failed_or(send(t->real, buf, 5, MSG_DONTWAIT));
	case SEND_EMPTY:
		return failed_or(send(t->real, buf, 0, MSG_DONTWAIT));
	case SEND_TO:
		return failed_or(sendto(t->real, buf, 9, MSG_DONTWAIT, &to->sa, to->len));
	case RECV:
		return failed_or(recv(t->real, buf, sizeof(buf), flags_of(t->real)));
	case RECV_PART:
		return failed_or(recv(t->real, buf, 2, flags_of(t->real)));
	case PEEK:
		return failed_or(
			recv(t->real, buf, 2, flags_of(t->real) | MSG_PEEK | MSG_TRUNC));
	case CONNECT:
		return failed_or(connect(t->real, &to->sa, to->len));
	case DISSOLVE:
		return failed_or(connect(t->real, &nobody, sizeof(nobody)));
	case GET_ERROR:
		return real_option(t->real);
	case PEER_NAME:
		return failed_or(getpeername(t->real, &addr.sa, &addr.len));
	case BIND_AGAIN:
		addr = own_address(t);
		return failed_or(bind(t->real, &addr.sa, addr.len));
	default:
		return failed_or(shutdown(t->real, (int)kind - SHUT_READING));
	}
}

static struct look look_real(const struct twin *t)
{
	struct pollfd p = { .fd = t->real, .events = POLLIN | POLLOUT | POLLRDHUP };
	struct look l = { 0 };

	CHECK(poll(&p, 1, 0) >= 0);
	CHECK_EQ(ioctl(t->real, FIONREAD, &l.waiting), 0);
	l.events = p.revents;
	return l;
}

/* ---- the simulated ones ---- */

static int64_t call_simulated(
	const struct twin *t, enum call_kind kind, const struct soq_addr *to)
{
	const struct soq_addr nobody = { .len = sizeof(struct sockaddr) };
	struct soq__sim_socket *s = t->simulated;
	struct soq_addr addr;
	char buf[100] = "hello";

	switch (kind) {
	case SEND:
		return send_now(s, buf, 5);
	case SEND_EMPTY:
		return send_now(s, buf, 0);
	case SEND_TO:
		return send_msg(s, buf, 9, to, NULL, 0);
	case RECV:
		return recv_now(s, buf, sizeof(buf));
	case RECV_PART:
		return recv_now(s, buf, 2);
	case PEEK:
		return recv_flags(s, buf, 2, MSG_PEEK | MSG_TRUNC);
	case CONNECT:
		return connect_now(s, *to);
	case DISSOLVE:
		return connect_now(s, nobody);
	case GET_ERROR:
		return get_int(s, SOL_SOCKET, SO_ERROR);
	case PEER_NAME:
		return s->proto->peer_addr(s, &addr);
	case BIND_AGAIN:
		return bind_now(s, own_address(t));
	default:
		return shutdown_now(s, (int)kind - SHUT_READING);
	}
}

/* How long the next datagram is, without telling an error by asking. */
static int next_len(struct soq__sim_socket *s)
{
	char byte;
	int events = events_of(s);

	if (!(events & POLLIN) || events & (POLLERR | POLLRDHUP))
		return 0;
	return (int)recv_flags(s, &byte, 1, MSG_PEEK | MSG_TRUNC);
}

static struct look look_simulated(const struct twin *t)
{
	return (struct look){ events_of(t->simulated), next_len(t->simulated) };
}

/* ---- both ---- */

static int64_t real_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SOQ_S + t.tv_nsec;
}

static void check_looks(const struct twin *t)
{
	struct look want = look_simulated(t), got;
	int64_t until_ns = real_now() + LIMIT_NS;

	for (;;) {
		struct pollfd news = { .fd = t->real, .events = 0 };

		got = look_real(t);
		/* What waits is not looked at beside an error or an end. */
		if (want.events & (POLLERR | POLLRDHUP))
			got.waiting = 0;
		if (memcmp(&got, &want, sizeof(got)) == 0)
			return;
		if (real_now() > until_ns)
			break;
		poll(&news, 1, 1); /* an error, or a millisecond */
	}
	printf("%s\n", history);
	ROW("world %u: socket %d", (unsigned)world, (int)(t - twins));
	CHECK_EQ(want.events, got.events);
	CHECK_EQ(want.waiting, got.waiting);
}

/* Where a socket sends to: another's port, or one of nobody's. */
static struct soq_addr destination(const struct twin *t, uint64_t drawn, bool real)
{
	static const char *const four[] = { "127.0.0.1", "127.0.0.1", "127.0.0.2", "::1" },
				 *const mapped[] = { "::ffff:127.0.0.1", "::ffff:127.0.0.1",
					 "::ffff:127.0.0.2", "::ffff:0.0.0.0" },
				 *const six[] = { "::1", "::1", "::1", "::1" };
	const char *const *ips = t->family == AF_INET ? four : is_mapped(t) ? mapped : six;
	/* One that has such addresses: others' ports might be anybody's by chance. */
	const struct twin *to = &twins[ips == six ? 2 + (drawn >> 16 & 1) : drawn >> 16 & 1];
	unsigned port = real ? to->real_port : to->simulated_port;

	return at(ips[drawn >> 24 & 3], drawn >> 32 & 7 ? port : CLOSED);
}

static void both(struct twin *t, enum call_kind kind, uint64_t drawn)
{
	struct soq_addr to = destination(t, drawn, true);
	size_t len = strlen(history);
	int64_t got, want;

	snprintf(history + len, sizeof(history) - len, "%s%d %s %s", len ? "\n" : "",
		(int)(t - twins), kind_names[kind], addr_text(&to));
	want = call_real(t, kind, &to);
	to = destination(t, drawn, false);
	got = call_simulated(t, kind, &to);
	if (got != want)
		printf("%s\n", history);
	ROW("world %u, socket %d: %s", (unsigned)world, (int)(t - twins), kind_names[kind]);
	CHECK_EQ(got, want);
	done[kind] += want >= 0;
}

/* A port that was asked for by number is kept when a connection is dissolved, so that nobody
 * else gets it by chance. */
static void bind_real(struct twin *t)
{
	struct soq_addr addr = at(t->ip, 0);

	CHECK_EQ(bind(t->real, &addr.sa, addr.len), 0);
	CHECK_EQ(getsockname(t->real, &addr.sa, &addr.len), 0);
	t->real_port = soq_addr_port(&addr);
	close(t->real);
	t->real = socket(t->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK_EQ(bind(t->real, &addr.sa, addr.len), 0);
}

static void open_twin(struct twin *t)
{
	t->real = socket(t->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(t->real >= 0);
	t->simulated = udp(host_a, t->family);
	if (!t->ip)
		return;
	bind_real(t);
	t->simulated_port = PORT + (unsigned)(t - twins);
	CHECK_OK(bind_now(t->simulated, at(t->ip, t->simulated_port)));
}

static void run(void)
{
	history[0] = '\0';
	world_open(world, NULL);
	twins[2].ip = is_mapped(&twins[2]) ? "::ffff:127.0.0.1" : "::1";
	for (int i = 0; i < SOCKETS; i++)
		open_twin(&twins[i]);
	for (uint64_t n = 0; n < STEPS; n++) {
		uint64_t drawn = soq__sim_draw(sim, SOQ__SIM_CHAOS, world, n);
		enum call_kind kind = (enum call_kind)soq__sim_below(drawn, KINDS);

		/* Ends are rarer than what goes before them. */
		if (kind >= SHUT_READING && drawn >> 40 & 7)
			kind = SEND_TO;
		both(&twins[drawn % SOCKETS], kind, drawn);
		pass_all();
		for (int i = 0; i < SOCKETS; i++)
			check_looks(&twins[i]);
	}
	for (int i = 0; i < SOCKETS; i++)
		close(twins[i].real);
	world_close();
}

TEST(sim_udp_as_the_kernel)
{
	for (world = 1; world <= WORLDS; world++)
		run();
	for (int i = 0; i < KINDS; i++) {
		ROW("%s: %u", kind_names[i], done[i]);
		CHECK(done[i] > 0);
	}
}
