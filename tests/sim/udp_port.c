/* udp_port.c - who may have a port, of UDP and of TCP; who gets what is sent to it. */
#include "sim/model.h"

#include <stdio.h>
#include <sys/socket.h>

#define PORT	  900
#define PORTS	  28232 /* ephemeral ones: 32,768 to 60,999 */
#define FIRST	  32768
#define RECEIVERS 4

/* What a socket says before it binds. */
enum { ADDR = 1, SHARE = 2, V6ONLY = 4, LISTEN = 8 };

static int family_of(const char *ip)
{
	return strchr(ip, ':') ? AF_INET6 : AF_INET;
}

static int bind_with(struct soq__sim_socket *s, const char *ip, unsigned port, int how)
{
	int rc;

	if (how & ADDR)
		CHECK_OK(set_int(s, SOL_SOCKET, SO_REUSEADDR, 1));
	if (how & SHARE)
		CHECK_OK(set_int(s, SOL_SOCKET, SO_REUSEPORT, 1));
	if (how & V6ONLY)
		CHECK_OK(set_int(s, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	rc = bind_now(s, at(ip, port));
	return rc == 0 && how & LISTEN ? listen_now(s, 1) : rc;
}

/* ---- conflicts ---- */

TEST(sim_port_conflicts)
{
	static const struct {
		const char *first;
		int first_how;
		const char *second;
		int second_how;
		bool conflict;
	} rows[] = {
		{ "0.0.0.0", 0, "0.0.0.0", 0, true },
		{ "0.0.0.0", 0, "10.0.0.1", 0, true },
		{ "10.0.0.1", 0, "0.0.0.0", 0, true },
		{ "10.0.0.1", 0, "127.0.0.1", 0, false },
		{ "127.0.0.1", 0, "127.0.0.2", 0, false },
		{ "::", 0, "0.0.0.0", 0, true },
		{ "0.0.0.0", 0, "::", 0, true },
		{ "::", V6ONLY, "0.0.0.0", 0, false },
		{ "0.0.0.0", 0, "::", V6ONLY, false },
		{ "::", 0, "10.0.0.1", 0, true },
		{ "::1", 0, "0.0.0.0", 0, false },
		{ "::ffff:10.0.0.1", 0, "10.0.0.1", 0, true },
		{ "::ffff:0.0.0.0", 0, "10.0.0.1", 0, true },
		{ "::ffff:0.0.0.0", 0, "::1", 0, false },
		{ "fd00::1", 0, "::", V6ONLY, true },
		{ "fd00::1", 0, "::1", 0, false },
		{ "0.0.0.0", ADDR, "0.0.0.0", ADDR, false },
		{ "0.0.0.0", ADDR, "0.0.0.0", 0, true },
		{ "0.0.0.0", 0, "0.0.0.0", ADDR, true },
		{ "0.0.0.0", SHARE, "0.0.0.0", SHARE, false },
		{ "0.0.0.0", SHARE, "0.0.0.0", ADDR, true },
		{ "0.0.0.0", SHARE | ADDR, "0.0.0.0", SHARE, false },
		{ "::", SHARE, "10.0.0.1", SHARE, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%s (%d), then %s (%d)", rows[i].first, rows[i].first_how, rows[i].second,
			rows[i].second_how);
		for (int kind = 0; kind < 2; kind++) {
			struct soq__sim_socket *(*make)(struct soq_sim_host *, int) =
				kind ? tcp : udp;
			struct soq__sim_socket *first, *second;

			world_open(1, NULL);
			first = make(host_a, family_of(rows[i].first));
			second = make(host_a, family_of(rows[i].second));
			CHECK_OK(bind_with(first, rows[i].first, PORT, rows[i].first_how));
			CHECK_EQ(bind_with(second, rows[i].second, PORT, rows[i].second_how),
				rows[i].conflict ? -EADDRINUSE : 0);
			/* The other protocol's ports are others. */
			CHECK_OK(
				bind_now((kind ? udp : tcp)(host_a, AF_INET6), at("::", PORT)));
			close_now(first);
			if (rows[i].conflict)
				CHECK_OK(bind_now(second, at(rows[i].second, PORT)));
			world_close();
		}
	}
}

TEST(sim_port_refused)
{
	static const struct {
		const char *ip;
		int family, how, rc;
	} rows[] = {
		{ "10.9.9.9", AF_INET, 0, -EADDRNOTAVAIL },
		{ "10.0.0.2", AF_INET, 0, -EADDRNOTAVAIL }, /* host b's */
		{ "fd00::2", AF_INET6, 0, -EADDRNOTAVAIL },
		{ "::1", AF_INET, 0, -EAFNOSUPPORT },
		{ "::ffff:127.0.0.1", AF_INET6, 0, 0 },
		{ "::ffff:127.0.0.1", AF_INET6, V6ONLY, -EINVAL },
		{ "239.1.1.1", AF_INET, 0, 0 }, /* who binds a group's hears it alone */
		{ "255.255.255.255", AF_INET, 0, 0 },
	};

	world_open(1, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__sim_socket *s = udp(host_a, rows[i].family);

		ROW("%s, %d", rows[i].ip, rows[i].how);
		CHECK_EQ(bind_with(s, rows[i].ip, PORT, rows[i].how), rows[i].rc);
		if (rows[i].rc == 0)
			CHECK_EQ(bind_now(s, at(rows[i].ip, PORT + 1)), -EINVAL);
		close_now(s);
	}
	CHECK_EQ(bind_now(tcp(host_a, AF_INET), at("239.1.1.1", PORT)), -EADDRNOTAVAIL);
	world_close();
}

/* ---- as the kernel ---- */

#define TRIES 300
#define HOWS  16

static const char *const ips[] = { "0.0.0.0", "127.0.0.1", "127.0.0.2", "::", "::1",
	"::ffff:127.0.0.1", "::ffff:0.0.0.0" };

static int real_int(int fd, int level, int option)
{
	const int one = 1;

	return setsockopt(fd, level, option, &one, sizeof(one));
}

static int real_bind(int fd, const char *ip, unsigned port, int how)
{
	struct soq_addr addr = at(ip, port);

	if (how & ADDR)
		CHECK_EQ(real_int(fd, SOL_SOCKET, SO_REUSEADDR), 0);
	if (how & SHARE)
		CHECK_EQ(real_int(fd, SOL_SOCKET, SO_REUSEPORT), 0);
	if (how & V6ONLY)
		CHECK_EQ(real_int(fd, IPPROTO_IPV6, IPV6_V6ONLY), 0);
	if (bind(fd, &addr.sa, addr.len) < 0)
		return -errno;
	return how & LISTEN && listen(fd, 1) < 0 ? -errno : 0;
}

/* A port that nobody has now. */
static unsigned free_port(int type)
{
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
	struct soq_addr addr = at("::", 0);

	CHECK(fd >= 0);
	CHECK_EQ(bind(fd, &addr.sa, addr.len), 0);
	CHECK_EQ(getsockname(fd, &addr.sa, &addr.len), 0);
	close(fd);
	return soq_addr_port(&addr);
}

/* Two sockets bind addresses of one port, each with random options. Of a third, Linux asks only
 * whether it gets on with the last that has SO_REUSEPORT (6.18, udp_lib_lport_inuse and
 * sk_reuseport_match); the simulation, whether it does with each. */
static void compare_binds(uint64_t n, int type)
{
	unsigned port = free_port(type);
	int real[2];

	for (uint64_t i = 0; i < 2; i++) {
		uint64_t drawn = soq__sim_draw(sim, SOQ__SIM_CHAOS, n, i);
		const char *ip = ips[drawn % (sizeof(ips) / sizeof(ips[0]))];
		int how = (int)(drawn >> 32 & (HOWS - 1)), family = family_of(ip), want;
		struct soq__sim_socket *s = (type == SOCK_STREAM ? tcp : udp)(host_a, family);

		if (family == AF_INET)
			how &= ~V6ONLY;
		if (type == SOCK_DGRAM)
			how &= ~LISTEN;
		real[i] = socket(family, type | SOCK_CLOEXEC, 0);
		CHECK(real[i] >= 0);
		want = real_bind(real[i], ip, port, how);
		ROW("%s, try %u, socket %u: %s with %d", type == SOCK_STREAM ? "TCP" : "UDP",
			(unsigned)n, (unsigned)i, ip, how);
		CHECK_EQ(bind_with(s, ip, port, how), want);
	}
	close(real[0]);
	close(real[1]);
}

TEST(sim_port_as_the_kernel)
{
	for (uint64_t n = 0; n < TRIES; n++) {
		world_open(n / 2 + 1, NULL);
		compare_binds(n, n % 2 ? SOCK_STREAM : SOCK_DGRAM);
		world_close();
	}
}

/* ---- ephemeral ports ---- */

/* Each is found once, and when there is none left, that is said. */
TEST(sim_port_each_once)
{
	static bool taken[65536];
	struct soq__sim_socket *s, *last = NULL;

	world_open(1, NULL);
	for (unsigned i = 0; i < PORTS; i++) {
		s = last = udp(host_a, AF_INET);
		CHECK_OK(bind_now(s, at("0.0.0.0", 0)));
		ROW("port %u, the %uth", port_of(s), i + 1);
		CHECK(port_of(s) >= FIRST && port_of(s) < FIRST + PORTS);
		CHECK(!taken[port_of(s)]);
		taken[port_of(s)] = true;
	}
	s = udp(host_a, AF_INET);
	CHECK_EQ(bind_now(s, at("0.0.0.0", 0)), -EADDRINUSE);
	CHECK_EQ(send_to(s, 1, at("10.0.0.2", 9)), -EADDRINUSE);
	/* Nobody shares an ephemeral port unasked, even where both would. */
	CHECK_OK(set_int(s, SOL_SOCKET, SO_REUSEPORT, 1));
	CHECK_EQ(bind_now(s, at("0.0.0.0", 0)), -EADDRINUSE);
	close_now(last);
	CHECK_OK(bind_now(s, at("0.0.0.0", 0)));
	/* Another host's, and other addresses', are others. */
	CHECK_OK(bind_now(udp(host_b, AF_INET), at("0.0.0.0", 0)));
	CHECK_OK(bind_now(udp(host_a, AF_INET6), at("::1", 0)));
	world_close();
}

/* All are as likely as any other. */
TEST(sim_port_evenly_drawn)
{
	unsigned counts[16] = { 0 };

	world_open(1, NULL);
	for (int i = 0; i < 1600; i++) {
		struct soq__sim_socket *s = udp(host_a, AF_INET);

		CHECK_OK(bind_now(s, at("0.0.0.0", 0)));
		counts[(port_of(s) - FIRST) * 16 / PORTS]++;
		close_now(s);
	}
	for (int i = 0; i < 16; i++)
		CHECK(counts[i] > 60 && counts[i] < 140);
	world_close();
}

/* ---- who gets it ---- */

/* The most specific of those that share a port: an address of its own, then a wildcard of the
 * family, then one of both. */
TEST(sim_port_most_specific)
{
	static const char *const at_ips[] = { "::", "0.0.0.0", "10.0.0.2" };
	struct soq__sim_socket *s[3], *sender;

	world_open(1, NULL);
	sender = udp(host_a, AF_INET6);
	/* Of those that fit as well, it would be the last. */
	for (int i = 2; i >= 0; i--) {
		s[i] = udp(host_b, family_of(at_ips[i]));
		CHECK_OK(bind_with(s[i], at_ips[i], PORT, ADDR));
	}
	for (int i = 2; i >= 0; i--) {
		ROW("%s", at_ips[i]);
		CHECK_EQ(send_to(sender, 4, at("::ffff:10.0.0.2", PORT)), 4);
		CHECK_EQ(send_to(sender, 6, at("fd00::2", PORT)), 6);
		pass_all();
		CHECK_EQ(recv_len(s[i]), 4);
		CHECK_EQ(recv_len(s[0]), 6);
		close_now(s[i]);
	}
	world_close();
}

/* Who is connected to the sender goes before who is not; the others' are not for it. */
TEST(sim_port_connected_first)
{
	struct soq__sim_socket *any, *connected, *peer, *other;

	world_open(1, NULL);
	any = udp(host_b, AF_INET);
	connected = udp(host_b, AF_INET);
	CHECK_OK(bind_with(any, "0.0.0.0", PORT, ADDR));
	CHECK_OK(bind_with(connected, "0.0.0.0", PORT, ADDR));
	CHECK_EQ(connect_now(connected, at("10.0.0.1", 7)), 0);
	peer = udp(host_a, AF_INET);
	CHECK_OK(bind_now(peer, at("0.0.0.0", 7)));
	other = udp(host_a, AF_INET);
	CHECK_EQ(send_to(peer, 1, at("10.0.0.2", PORT)), 1);
	CHECK_EQ(send_to(other, 2, at("10.0.0.2", PORT)), 2);
	pass_all();
	CHECK_EQ(recv_len(connected), 1);
	CHECK_EQ(recv_len(connected), -EAGAIN);
	CHECK_EQ(recv_len(any), 2);
	/* Alone, it is as if it were not there for the other. */
	close_now(any);
	CHECK_EQ(connect_now(other, at("10.0.0.2", PORT)), 0);
	CHECK_EQ(send_now(other, "x", 1), 1);
	pass_all();
	CHECK_EQ(send_now(other, "x", 1), -ECONNREFUSED);
	CHECK_EQ(recv_len(connected), -EAGAIN);
	world_close();
}

/* Of those that share, the most specific share among themselves. */
TEST(sim_port_shared_most_specific)
{
	static const char *const at_ips[] = { "0.0.0.0", "0.0.0.0", "10.0.0.2", "10.0.0.2" };
	struct soq__sim_socket *s[4];
	unsigned got[4] = { 0 };

	world_open(1, NULL);
	for (int i = 0; i < 4; i++) {
		s[i] = udp(host_b, AF_INET);
		CHECK_OK(bind_with(s[i], at_ips[i], PORT, SHARE));
	}
	for (int i = 0; i < 50; i++)
		CHECK_EQ(send_to(udp(host_a, AF_INET), 1, at("10.0.0.2", PORT)), 1);
	pass_all();
	for (int i = 0; i < 4; i++)
		while (recv_len(s[i]) == 1)
			got[i]++;
	CHECK_EQ(got[0] + got[1], 0);
	CHECK_EQ(got[2] + got[3], 50);
	CHECK(got[2] > 10 && got[3] > 10);
	world_close();
}

/* Those that share a port get a part of the senders each, always the same ones. */
TEST(sim_port_shared_evenly)
{
	struct soq__sim_socket *s[RECEIVERS];
	unsigned got[RECEIVERS] = { 0 };

	world_open(1, NULL);
	for (int i = 0; i < RECEIVERS; i++) {
		s[i] = udp(host_b, AF_INET);
		CHECK_OK(bind_with(s[i], "0.0.0.0", PORT, SHARE));
	}
	for (int i = 0; i < 400; i++) {
		struct soq__sim_socket *sender = udp(host_a, AF_INET);
		unsigned receivers = 0;

		for (int k = 0; k < 3; k++)
			CHECK_EQ(send_to(sender, 1, at("10.0.0.2", PORT)), 1);
		pass_all();
		for (int k = 0; k < RECEIVERS; k++) {
			unsigned n = 0;

			while (recv_len(s[k]) == 1)
				n++;
			CHECK(n == 0 || n == 3);
			receivers += n == 3;
			got[k] += n == 3;
		}
		CHECK_EQ(receivers, 1);
		close_now(sender);
	}
	for (int k = 0; k < RECEIVERS; k++)
		CHECK(got[k] > 70 && got[k] < 130);
	world_close();
}
