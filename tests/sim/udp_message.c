/* udp_message.c - simulated datagrams: what can be sent and in how many pieces, where they come
 * from, who is told of an error, what a full queue drops.
 */
#include "sim/model.h"
#include "sim/udp.h"

#include <stdio.h>

#define PORT 53
#define GSO  103 /* UDP_SEGMENT; newer than some libc headers */

static struct soq__sim_socket *sender, *sender6, *receiver;
static char bytes[70000];

/* Senders on host a; a receiver of both families on b. */
static void open_three(void)
{
	world_open(1, NULL);
	sender = udp(host_a, AF_INET);
	sender6 = udp(host_a, AF_INET6);
	receiver = udp(host_b, AF_INET6);
	CHECK_OK(bind_now(receiver, at("::", PORT)));
}

static struct soq_addr b4(void)
{
	return at("10.0.0.2", PORT);
}

static struct soq_addr b6(void)
{
	return at("fd00::2", PORT);
}

/* ---- sizes ---- */

TEST(sim_udp_sizes)
{
	static const struct {
		size_t len;
		int64_t rc4, rc6;
	} rows[] = {
		{ 0, 0, 0 },
		{ 1, 1, 1 },
		{ 65507, 65507, 65507 },
		{ 65508, -EMSGSIZE, 65508 },
		{ 65527, -EMSGSIZE, 65527 },
		{ 65528, -EMSGSIZE, -EMSGSIZE },
		{ 70000, -EMSGSIZE, -EMSGSIZE },
	};

	open_three();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%zu bytes", rows[i].len);
		CHECK_EQ(send_to(sender, rows[i].len, b4()), rows[i].rc4);
		pass_all();
		CHECK_EQ(recv_len(receiver), rows[i].rc4 < 0 ? -EAGAIN : rows[i].rc4);
		CHECK_EQ(send_to(sender6, rows[i].len, b6()), rows[i].rc6);
		pass_all();
		CHECK_EQ(recv_len(receiver), rows[i].rc6 < 0 ? -EAGAIN : rows[i].rc6);
	}
	world_close();
}

/* UDP_SEGMENT cuts what is sent, up to 64 pieces that each fit a packet. */
TEST(sim_udp_segments)
{
	static const struct {
		size_t len;
		uint16_t segment;
		int64_t rc;
		unsigned pieces;
		int64_t last;
	} rows[] = {
		{ 640, 10, 640, 64, 10 },
		{ 641, 10, -EINVAL, 0, 0 },
		{ 25, 10, 25, 3, 5 },
		{ 10, 10, 10, 1, 10 },
		{ 5, 10, 5, 1, 5 },
		{ 0, 10, 0, 1, 0 },
		{ 100, 0, 100, 1, 100 },
		{ 65507, 1472, 65507, 45, 65507 - 44 * 1472 },
		{ 65508, 1472, -EMSGSIZE, 0, 0 },
		{ 3000, 1473, -EMSGSIZE, 0, 0 },
		{ 1000, 65535, 1000, 1, 1000 },
	};

	open_three();
	CHECK_EQ(set_int(receiver, SOL_SOCKET, SO_RCVBUF, 1 << 20), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct control c = { IPPROTO_UDP, GSO, &rows[i].segment,
			sizeof(rows[i].segment) };
		struct soq_addr to = b4();

		ROW("%zu bytes in pieces of %u", rows[i].len, rows[i].segment);
		for (int by_option = 0; by_option < 2; by_option++) {
			int64_t n, last = 0;
			unsigned pieces = 0;

			CHECK_OK(set_int(
				sender, IPPROTO_UDP, GSO, by_option ? rows[i].segment : 0));
			CHECK_EQ(send_msg(sender, bytes, rows[i].len, &to,
					 by_option ? NULL : &c, 0),
				rows[i].rc);
			pass_all();
			for (; (n = recv_len(receiver)) >= 0; pieces++)
				last = n;
			CHECK_EQ(pieces, rows[i].pieces);
			CHECK_EQ(last, rows[i].last);
		}
	}
	CHECK_EQ(set_int(sender, IPPROTO_UDP, GSO, 65536), -EINVAL);
	CHECK_EQ(set_int(sender, IPPROTO_UDP, GSO, -1), -EINVAL);
	world_close();
}

/* A receive has a datagram's beginning, and says so. */
TEST(sim_udp_truncated)
{
	struct received r;

	open_three();
	CHECK_EQ(send_msg(sender, "hello", 5, (struct soq_addr[]){ b4() }, NULL, 0), 5);
	pass_all();
	CHECK_EQ(recv_flags(receiver, bytes, 2, MSG_PEEK | MSG_TRUNC), 5);
	CHECK_EQ(recv_flags(receiver, bytes, 2, MSG_PEEK), 2);
	r = recv_msg(receiver, 3, 0, 0);
	CHECK_EQ(r.n, 3);
	CHECK_EQ(r.flags, MSG_TRUNC);
	CHECK_MEM(r.data, "hel", 3);
	CHECK_EQ(recv_len(receiver), -EAGAIN);
	world_close();
}

/* ---- where to ---- */

TEST(sim_udp_destinations)
{
	static const struct {
		int family;
		const char *from, *to; /* from NULL: not bound */
		unsigned port;
		int64_t sends, connects;
	} rows[] = {
		{ AF_INET, NULL, "10.0.0.2", 0, -EINVAL, 0 },
		{ AF_INET, NULL, "255.255.255.255", 9, -EACCES, -EACCES },
		{ AF_INET, NULL, "::1", 9, -EAFNOSUPPORT, -EAFNOSUPPORT },
		{ AF_INET, "127.0.0.1", "10.0.0.2", 9, -EINVAL, -EINVAL },
		{ AF_INET, "127.0.0.1", "127.0.0.2", 9, 1, 0 },
		{ AF_INET, "10.0.0.1", "10.0.0.2", 9, 1, 0 },
		{ AF_INET6, NULL, "::ffff:10.0.0.2", 9, 1, 0 },
		{ AF_INET6, "::ffff:127.0.0.1", "::1", 9, -EAFNOSUPPORT, -EAFNOSUPPORT },
		{ AF_INET6, "::1", "::ffff:127.0.0.1", 9, -ENETUNREACH, -ENETUNREACH },
		{ AF_INET6, "::1", "fd00::2", 9, -EINVAL, -EINVAL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__sim_socket *s;

		ROW("from %s to %s:%u", rows[i].from ? rows[i].from : "any", rows[i].to,
			rows[i].port);
		world_open(1, NULL);
		s = udp(host_a, rows[i].family);
		if (rows[i].from)
			CHECK_OK(bind_now(s, at(rows[i].from, 0)));
		CHECK_EQ(send_to(s, 1, at(rows[i].to, rows[i].port)), rows[i].sends);
		CHECK_EQ(connect_now(s, at(rows[i].to, rows[i].port)), rows[i].connects);
		world_close();
	}
}

/* IPV6_V6ONLY leaves out the mapped addresses, and cannot be set when it is too late. */
TEST(sim_udp_v6only)
{
	struct soq__sim_socket *s;

	world_open(1, NULL);
	s = udp(host_a, AF_INET6);
	CHECK_OK(set_int(s, IPPROTO_IPV6, IPV6_V6ONLY, 1));
	CHECK_EQ(send_to(s, 1, at("::ffff:127.0.0.1", 9)), -ENETUNREACH);
	CHECK_EQ(connect_now(s, at("::ffff:127.0.0.1", 9)), -ENETUNREACH);
	CHECK_EQ(set_int(s, IPPROTO_IPV6, IPV6_V6ONLY, 0), -EINVAL);
	world_close();
}

/* Without a destination nothing goes, yet the socket has a port from then on. */
TEST(sim_udp_no_destination)
{
	struct soq__sim_socket *s;

	world_open(1, NULL);
	s = udp(host_a, AF_INET);
	CHECK_EQ(send_now(s, "x", 1), -EDESTADDRREQ);
	CHECK(port_of(s) >= 32768);
	CHECK_EQ(listen_now(s, 1), -EOPNOTSUPP);
	/* So has one that could not be connected. */
	s = udp(host_a, AF_INET);
	CHECK_EQ(connect_now(s, at("::1", 9)), -EAFNOSUPPORT);
	CHECK(port_of(s) >= 32768);
	CHECK_EQ(bind_now(s, at("0.0.0.0", 9)), -EINVAL);
	world_close();
}

/* ---- connected sockets ---- */

TEST(sim_udp_connect_and_dissolve)
{
	static const struct {
		const char *bound; /* NULL: not */
		unsigned port;
		const char *connected, *dissolved; /* what the local address is then */
	} rows[] = {
		{ "0.0.0.0", 77, "10.0.0.1:77", "0.0.0.0:77" },
		{ "10.0.0.1", 77, "10.0.0.1:77", "10.0.0.1:77" },
		{ "10.0.0.1", 0, NULL, "10.0.0.1:0" },
		{ NULL, 0, NULL, "0.0.0.0:0" },
	};
	const struct soq_addr nobody = { .len = sizeof(struct sockaddr_in) };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__sim_socket *s;

		ROW("row %zu", i);
		world_open(1, NULL);
		s = udp(host_a, AF_INET);
		if (rows[i].bound)
			CHECK_OK(bind_now(s, at(rows[i].bound, rows[i].port)));
		CHECK_EQ(connect_now(s, b4()), 0);
		CHECK_STR(peer_text(s), "10.0.0.2:53");
		CHECK_EQ(strncmp(local_text(s), "10.0.0.1:", 9), 0);
		if (rows[i].connected)
			CHECK_STR(local_text(s), rows[i].connected);
		CHECK_EQ(connect_now(s, nobody), 0);
		CHECK_STR(local_text(s), rows[i].dissolved);
		CHECK_STR(peer_text(s), soq_strerror(-ENOTCONN));
		CHECK_EQ(send_now(s, "x", 1), -EDESTADDRREQ);
		world_close();
	}
}

/* What stands for this host is 127.0.0.1, or ::1. */
TEST(sim_udp_connect_to_any)
{
	world_open(1, NULL);
	sender = udp(host_a, AF_INET);
	CHECK_EQ(connect_now(sender, at("0.0.0.0", 9)), 0);
	CHECK_STR(peer_text(sender), "127.0.0.1:9");
	sender6 = udp(host_a, AF_INET6);
	CHECK_EQ(connect_now(sender6, at("::", 9)), 0);
	CHECK_STR(peer_text(sender6), "[::1]:9");
	CHECK_EQ(strncmp(local_text(sender6), "[::1]:", 6), 0);
	world_close();
}

/* A refusal comes by an ICMP message after a round trip, to a connected socket only, and is
 * told once, to whoever asks. */
TEST(sim_udp_refused)
{
	struct soq__sim_socket *s;
	struct call recv;
	char byte;

	world_open(1, NULL);
	s = udp(host_a, AF_INET);
	CHECK_EQ(connect_now(s, at("10.0.0.2", 1)), 0);
	call_recv(&recv, s, &byte, 1);
	CHECK_EQ(send_now(s, "x", 1), 1);
	CHECK_EQ(call_wait(&recv, SOQ_S), -ECONNREFUSED);
	CHECK_EQ(sim->now_ns, 2 * SOQ_MS);
	for (int way = 0; way < 3; way++) {
		ROW("way %d", way);
		CHECK_EQ(send_now(s, "x", 1), 1);
		pass_all();
		CHECK_EQ(events_of(s), POLLOUT | POLLERR);
		if (way == 0)
			CHECK_EQ(send_now(s, "x", 1), -ECONNREFUSED);
		else if (way == 1)
			CHECK_EQ(recv_len(s), -ECONNREFUSED);
		else
			CHECK_EQ(get_int(s, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
		CHECK_EQ(get_int(s, SOL_SOCKET, SO_ERROR), 0);
		CHECK_EQ(recv_len(s), -EAGAIN);
	}
	/* Not connected, nobody is told; nor of a host that is not there. */
	s = udp(host_a, AF_INET);
	CHECK_EQ(send_to(s, 1, at("10.0.0.2", 1)), 1);
	pass_all();
	CHECK_EQ(send_to(s, 1, at("10.0.0.2", 1)), 1);
	CHECK_EQ(connect_now(s, at("10.77.0.1", 1)), 0);
	CHECK_EQ(send_now(s, "x", 1), 1);
	pass_all();
	CHECK_EQ(get_int(s, SOL_SOCKET, SO_ERROR), 0);
	world_close();
}

/* ---- packet information ---- */

TEST(sim_udp_pktinfo)
{
	struct received r;

	open_three();
	CHECK_OK(set_int(receiver, IPPROTO_IP, IP_PKTINFO, 1));
	CHECK_OK(set_int(receiver, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
	CHECK_OK(bind_now(sender, at("10.0.0.1", 500)));
	CHECK_EQ(send_to(sender, 5, b4()), 5);
	pass_all();
	r = recv_msg(receiver, 100, 200, 0);
	CHECK_EQ(r.n, 5);
	CHECK_EQ(r.flags, 0);
	CHECK_STR(addr_text(&r.from), "10.0.0.1:500");
	CHECK_EQ(r.from.sa.sa_family, AF_INET6);
	CHECK_EQ(r.info4.ipi_addr.s_addr, inet_addr("10.0.0.2"));
	CHECK_EQ(r.info4.ipi_spec_dst.s_addr, inet_addr("10.0.0.2"));
	CHECK_EQ(r.info4.ipi_ifindex, SOQ__SIM_ETH0);
	CHECK(IN6_IS_ADDR_V4MAPPED(&r.info6.ipi6_addr));
	CHECK_EQ(r.info6.ipi6_ifindex, SOQ__SIM_ETH0);
	/* On the loopback interface, and of IPv6. */
	CHECK_EQ(send_to(udp(host_b, AF_INET6), 6, at("::1", PORT)), 6);
	pass_all();
	r = recv_msg(receiver, 100, 200, 0);
	CHECK_EQ(r.n, 6);
	CHECK_EQ(r.info4.ipi_ifindex, 0);
	CHECK(IN6_IS_ADDR_LOOPBACK(&r.info6.ipi6_addr));
	CHECK_EQ(r.info6.ipi6_ifindex, SOQ__SIM_LO);
	world_close();
}

/* What finds no room among the control messages is left out, and that is said. */
TEST(sim_udp_pktinfo_without_room)
{
	static const struct {
		size_t room, control_bytes;
		int flags;
	} rows[] = {
		{ 0, 0, MSG_CTRUNC },
		{ CMSG_LEN(sizeof(struct in_pktinfo)) - 1, 0, MSG_CTRUNC },
		{ CMSG_LEN(sizeof(struct in_pktinfo)), CMSG_LEN(sizeof(struct in_pktinfo)), 0 },
		{ 200, CMSG_SPACE(sizeof(struct in_pktinfo)), 0 },
	};

	open_three();
	CHECK_OK(set_int(receiver, IPPROTO_IP, IP_PKTINFO, 1));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct received r;

		ROW("room for %zu bytes", rows[i].room);
		CHECK_EQ(send_to(sender, 5, b4()), 5);
		pass_all();
		r = recv_msg(receiver, 100, rows[i].room, 0);
		CHECK_EQ(r.n, 5);
		CHECK_EQ(r.flags, rows[i].flags);
		CHECK_EQ(r.control_bytes, rows[i].control_bytes);
	}
	world_close();
}

/* A sender chooses the address that it speaks from. */
TEST(sim_udp_source_chosen)
{
	static const struct {
		const char *source;
		int interface;
		int64_t rc;
	} rows[] = {
		{ "192.0.2.7", 0, 1 },
		{ "0.0.0.0", 0, 1 },
		{ "9.9.9.9", 0, -ENETUNREACH },
		{ "239.1.1.1", 0, -EINVAL },
		{ "192.0.2.7", 9, -ENODEV },
	};
	struct soq_sim_host *two;

	open_three();
	CHECK_OK(soq_sim_host_new(&two, sim, "two", "192.0.2.6 192.0.2.7 2001:db8::6"));
	sender = udp(two, AF_INET);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct in_pktinfo info = { .ipi_ifindex = rows[i].interface,
			.ipi_spec_dst.s_addr = inet_addr(rows[i].source) };
		struct control c = { IPPROTO_IP, IP_PKTINFO, &info, sizeof(info) };
		struct soq_addr to = b4();
		struct received r;

		ROW("from %s by %d", rows[i].source, rows[i].interface);
		CHECK_EQ(send_msg(sender, "x", 1, &to, &c, 0), rows[i].rc);
		pass_all();
		r = recv_msg(receiver, 100, 0, 0);
		CHECK_EQ(r.n, rows[i].rc < 0 ? -EAGAIN : 1);
		if (r.n == 1)
			CHECK_EQ(strncmp(addr_text(&r.from), i ? "192.0.2.6" : "192.0.2.7", 9),
				0);
		c.len--;
		CHECK_EQ(send_msg(sender, "x", 1, &to, &c, 0), -EINVAL);
	}
	world_close();
}

TEST(sim_udp_source_chosen_v6)
{
	static const struct {
		const char *source;
		int64_t rc;
	} rows[] = { { "fd00::1", 1 }, { "::", 1 }, { "fd00::77", -EINVAL },
		{ "::ffff:10.0.0.1", -EINVAL } };

	open_three();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct in6_pktinfo info = { .ipi6_ifindex = 0 };
		const struct control c = { IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info) };
		struct soq_addr to = b6();

		ROW("from %s", rows[i].source);
		CHECK_EQ(inet_pton(AF_INET6, rows[i].source, &info.ipi6_addr), 1);
		CHECK_EQ(send_msg(sender6, "x", 1, &to, &c, 0), rows[i].rc);
	}
	world_close();
}

/* ---- queues ---- */

/* What comes in when more than the buffer's bytes wait is dropped; each datagram counts for 576
 * bytes more than it has. */
TEST(sim_udp_queue_full)
{
	static const struct {
		int buffer; /* as set, which is doubled */
		size_t len;
		unsigned fit;
	} rows[] = {
		{ 5000, 1000, 7 },
		{ 5000, 0, 18 },
		{ 0, 1000, 2 }, /* 2,304 bytes are the least */
		{ 32768, 20000, 4 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned fit = 0;

		ROW("a buffer of %d, datagrams of %zu bytes", rows[i].buffer, rows[i].len);
		open_three();
		CHECK_OK(set_int(receiver, SOL_SOCKET, SO_RCVBUF, rows[i].buffer));
		for (int k = 0; k < 100; k++)
			CHECK_EQ(send_to(sender, rows[i].len, b4()), rows[i].len);
		pass_all();
		while (recv_len(receiver) >= 0)
			fit++;
		CHECK_EQ(fit, rows[i].fit);
		/* There is room again. */
		CHECK_EQ(send_to(sender, 1, b4()), 1);
		pass_all();
		CHECK_EQ(recv_len(receiver), 1);
		world_close();
	}
}

TEST(sim_udp_shutdown)
{
	struct soq__sim_socket *s;

	open_three();
	s = udp(host_a, AF_INET);
	CHECK_EQ(shutdown_now(s, SHUT_RD), -ENOTCONN); /* and yet it is */
	CHECK_EQ(events_of(s), POLLIN | POLLRDHUP | POLLOUT);
	CHECK_EQ(recv_len(s), 0);
	CHECK_EQ(connect_now(s, b4()), 0);
	CHECK_EQ(shutdown_now(s, SHUT_WR), 0);
	CHECK_EQ(events_of(s), POLLIN | POLLRDHUP | POLLOUT | POLLHUP);
	CHECK_EQ(send_now(s, "x", 1), -EPIPE);
	CHECK_EQ(shutdown_now(s, 3), -EINVAL);
	world_close();
}

/* ---- options ---- */

TEST(sim_udp_options)
{
	static const struct {
		int family, level, option, value, rc, then;
	} rows[] = {
		{ AF_INET, IPPROTO_IP, IP_TTL, 0, -EINVAL, 64 },
		{ AF_INET, IPPROTO_IP, IP_TTL, 256, -EINVAL, 64 },
		{ AF_INET, IPPROTO_IP, IP_TTL, 255, 0, 255 },
		{ AF_INET, IPPROTO_IP, IP_TTL, -1, 0, 64 },
		{ AF_INET, IPPROTO_IP, IP_MULTICAST_TTL, 0, 0, 0 },
		{ AF_INET, IPPROTO_IP, IP_MULTICAST_TTL, -1, 0, 1 },
		{ AF_INET, IPPROTO_IP, IP_MULTICAST_LOOP, 7, 0, 1 },
		{ AF_INET, IPPROTO_IP, IP_MULTICAST_ALL, 2, -EINVAL, 1 },
		{ AF_INET, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 3, -ENOPROTOOPT, -ENOPROTOOPT },
		{ AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 3, 0, 3 },
		{ AF_INET6, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 2, -EINVAL, 1 },
		{ AF_INET6, IPPROTO_IPV6, IPV6_MULTICAST_IF, 99, -ENODEV, 0 },
		{ AF_INET6, IPPROTO_IPV6, IPV6_MULTICAST_IF, 1, 0, 1 },
		{ AF_INET, SOL_SOCKET, SO_RCVBUF, -1, 0, 8 << 20 },
		{ AF_INET, SOL_SOCKET, SO_RCVBUF, 0, 0, 2304 },
		{ AF_INET, SOL_SOCKET, SO_SNDBUF, 0, 0, 4608 },
		{ AF_INET, SOL_SOCKET, SO_BROADCAST, 5, 0, 1 },
		{ AF_INET, SOL_SOCKET, SO_PRIORITY, 3, -ENOPROTOOPT, -ENOPROTOOPT },
		{ AF_INET, IPPROTO_TCP, TCP_NODELAY, 1, -ENOPROTOOPT, -ENOPROTOOPT },
	};

	world_open(1, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__sim_socket *s = udp(host_a, rows[i].family);

		ROW("row %zu: option %d of level %d is %d", i, rows[i].option, rows[i].level,
			rows[i].value);
		CHECK_EQ(set_int(s, rows[i].level, rows[i].option, rows[i].value), rows[i].rc);
		CHECK_EQ(get_int(s, rows[i].level, rows[i].option), rows[i].then);
	}
	sender = udp(host_a, AF_INET6);
	CHECK_EQ(get_int(sender, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
	CHECK_EQ(get_int(sender, SOL_SOCKET, SO_DOMAIN), AF_INET6);
	CHECK_EQ(get_int(sender, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
	world_close();
}
