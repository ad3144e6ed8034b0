/* udp_group.c - what goes to many: multicast groups, and everybody. */
#include "sim/model.h"
#include "sim/udp.h"

#include <netinet/in.h>

#define PORT  800
#define GROUP "239.1.2.3"

static struct soq_sim_host *host_c, *host_d;
static struct soq__sim_socket *sender;

static void open_four(void)
{
	world_open(1, NULL);
	CHECK_OK(soq_sim_host_new(&host_c, sim, "c", "10.0.0.3 fd00::3"));
	CHECK_OK(soq_sim_host_new(&host_d, sim, "d", "10.0.0.4 fd00::4"));
	sender = udp(host_a, AF_INET);
}

static struct soq__sim_socket *receiver(struct soq_sim_host *host, int family, const char *ip)
{
	struct soq__sim_socket *s = udp(host, family);

	CHECK_OK(set_int(s, SOL_SOCKET, SO_REUSEADDR, 1));
	CHECK_OK(set_int(s, IPPROTO_IP, IP_PKTINFO, 1));
	CHECK_OK(bind_now(s, at(ip, PORT)));
	return s;
}

/* Join or leave a group of IPv4, by an interface; 0: the host's choice. */
static int change(struct soq__sim_socket *s, int option, const char *group, int interface)
{
	struct ip_mreqn req = { .imr_ifindex = interface,
		.imr_multiaddr.s_addr = inet_addr(group) };

	return s->proto->set_option(s, IPPROTO_IP, option, &req, sizeof(req));
}

static int join(struct soq__sim_socket *s, int interface)
{
	return change(s, IP_ADD_MEMBERSHIP, GROUP, interface);
}

static int leave(struct soq__sim_socket *s, int interface)
{
	return change(s, IP_DROP_MEMBERSHIP, GROUP, interface);
}

/* Send to the group and look who has heard of it. */
static bool hears(struct soq__sim_socket *s)
{
	int64_t n;

	while (recv_len(s) >= 0)
		;
	CHECK_EQ(send_to(sender, 4, at(GROUP, PORT)), 4);
	pass_all();
	n = recv_len(s);
	CHECK(n == 4 || n == -EAGAIN);
	CHECK_EQ(recv_len(s), -EAGAIN); /* once at most */
	return n == 4;
}

TEST(sim_group_memberships)
{
	struct soq__sim_socket *s;

	open_four();
	s = receiver(host_b, AF_INET, "0.0.0.0");
	CHECK(!hears(s));
	CHECK_OK(join(s, 0));
	CHECK_EQ(join(s, SOQ__SIM_ETH0), -EADDRINUSE); /* 0 was that */
	CHECK(hears(s));
	CHECK_OK(leave(s, 0));
	CHECK_EQ(leave(s, 0), -EADDRNOTAVAIL);
	CHECK(!hears(s));
	CHECK_EQ(join(s, 9), -ENODEV);
	CHECK_EQ(change(s, IP_ADD_MEMBERSHIP, "10.0.0.2", 0), -EINVAL);
	world_close();
}

/* Everybody who has joined gets a copy, of either family's socket, and each knows which
 * address was meant and which is its own. */
TEST(sim_group_copies)
{
	struct soq__sim_socket *s[4];
	struct soq_sim_host *hosts[4];
	static const char *const own[] = { "10.0.0.2", "10.0.0.3", "10.0.0.3", "10.0.0.1" };

	open_four();
	hosts[0] = host_b;
	hosts[1] = hosts[2] = host_c;
	hosts[3] = host_a; /* the sender's */
	for (int i = 0; i < 4; i++) {
		s[i] = receiver(
			hosts[i], i == 1 ? AF_INET6 : AF_INET, i == 1 ? "::" : "0.0.0.0");
		CHECK_OK(join(s[i], SOQ__SIM_ETH0));
	}
	CHECK_EQ(send_to(sender, 4, at(GROUP, PORT)), 4);
	pass_all();
	for (int i = 0; i < 4; i++) {
		struct received r = recv_msg(s[i], 100, 200, 0);

		ROW("receiver %d", i);
		CHECK_EQ(r.n, 4);
		CHECK_EQ(strncmp(addr_text(&r.from), "10.0.0.1:", 9), 0);
		CHECK_EQ(r.info4.ipi_addr.s_addr, inet_addr(GROUP));
		CHECK_EQ(r.info4.ipi_spec_dst.s_addr, inet_addr(own[i]));
		CHECK_EQ(r.info4.ipi_ifindex, SOQ__SIM_ETH0);
		CHECK_EQ(recv_len(s[i]), -EAGAIN);
	}
	world_close();
}

/* Each host's copy has a fate of its own. */
TEST(sim_group_partition)
{
	struct soq__sim_socket *b, *c;

	open_four();
	b = receiver(host_b, AF_INET, "0.0.0.0");
	c = receiver(host_c, AF_INET, "0.0.0.0");
	CHECK_OK(join(b, 0));
	CHECK_OK(join(c, 0));
	CHECK_OK(soq_sim_partition(host_a, host_b));
	CHECK(!hears(b));
	CHECK(hears(c));
	world_close();
}

/* What others of the host have joined comes to all of the port, unless it is not wanted. */
TEST(sim_group_of_others)
{
	struct soq__sim_socket *member, *other, *elsewhere, *of_group;

	open_four();
	member = receiver(host_c, AF_INET, "0.0.0.0");
	other = receiver(host_c, AF_INET, "0.0.0.0");
	elsewhere = receiver(host_d, AF_INET, "0.0.0.0");
	of_group = receiver(host_c, AF_INET, GROUP);
	CHECK_OK(join(member, 0));
	CHECK(hears(other));
	CHECK(hears(of_group));
	CHECK(!hears(elsewhere));
	CHECK_OK(set_int(other, IPPROTO_IP, IP_MULTICAST_ALL, 0));
	CHECK(!hears(other));
	CHECK_OK(join(other, 0));
	CHECK(hears(other));
	/* The host is a member as long as one of its sockets is. */
	close_now(member);
	CHECK(hears(of_group));
	close_now(other);
	CHECK(!hears(of_group));
	world_close();
}

/* What the sender says: no copy for its own host, not beyond its host, by which interface. */
TEST(sim_group_sender_options)
{
	static const struct {
		const char *what;
		int option, value;
		bool own, others;
	} rows[] = {
		{ "as it is", IP_MULTICAST_TTL, 1, true, true },
		{ "no loop", IP_MULTICAST_LOOP, 0, false, true },
		{ "hops 0", IP_MULTICAST_TTL, 0, true, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__sim_socket *own, *other;

		ROW("%s", rows[i].what);
		open_four();
		own = receiver(host_a, AF_INET, "0.0.0.0");
		other = receiver(host_b, AF_INET, "0.0.0.0");
		CHECK_OK(join(own, 0));
		CHECK_OK(join(other, 0));
		CHECK_OK(set_int(sender, IPPROTO_IP, rows[i].option, rows[i].value));
		CHECK_EQ(hears(own), rows[i].own);
		CHECK_EQ(hears(other), rows[i].others);
		world_close();
	}
}

/* By the loopback interface nobody else hears, and only who has joined there. */
TEST(sim_group_by_interface)
{
	const struct ip_mreqn lo = { .imr_ifindex = SOQ__SIM_LO }, none = { .imr_ifindex = 9 };
	struct soq__sim_socket *own, *other;
	struct received r;

	open_four();
	own = receiver(host_a, AF_INET, "0.0.0.0");
	other = receiver(host_b, AF_INET, "0.0.0.0");
	CHECK_OK(join(own, SOQ__SIM_ETH0));
	CHECK_OK(join(other, SOQ__SIM_LO));
	CHECK_EQ(sender->proto->set_option(
			 sender, IPPROTO_IP, IP_MULTICAST_IF, &none, sizeof(none)),
		-EADDRNOTAVAIL);
	CHECK_OK(sender->proto->set_option(
		sender, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo)));
	CHECK(!hears(own));
	CHECK(!hears(other));
	CHECK_OK(leave(own, SOQ__SIM_ETH0));
	CHECK_OK(join(own, SOQ__SIM_LO));
	CHECK_EQ(send_to(sender, 4, at(GROUP, PORT)), 4);
	pass_all();
	r = recv_msg(own, 100, 200, 0);
	CHECK_EQ(r.n, 4);
	CHECK_EQ(r.info4.ipi_ifindex, SOQ__SIM_LO);
	world_close();
}

/* A socket has at most twenty groups of IPv4. */
TEST(sim_group_most)
{
	struct soq__sim_socket *s;

	open_four();
	s = udp(host_b, AF_INET);
	for (uint32_t i = 0; i < 25; i++) {
		struct in_addr group = { htonl(0xef010000 + i) };
		char text[INET_ADDRSTRLEN];

		CHECK(inet_ntop(AF_INET, &group, text, sizeof(text)));
		CHECK_EQ(change(s, IP_ADD_MEMBERSHIP, text, 0), i < 20 ? 0 : -ENOBUFS);
	}
	CHECK_OK(change(s, IP_DROP_MEMBERSHIP, "239.1.0.0", 0));
	CHECK_OK(join(s, 0));
	world_close();
}

TEST(sim_group_ipv6)
{
	struct ipv6_mreq req = { .ipv6mr_interface = 0 };
	struct soq__sim_socket *s, *sender6;

	open_four();
	s = receiver(host_b, AF_INET6, "::");
	sender6 = udp(host_a, AF_INET6);
	CHECK_EQ(inet_pton(AF_INET6, "ff15::5", &req.ipv6mr_multiaddr), 1);
	for (int member = 1; member >= 0; member--) {
		CHECK_OK(s->proto->set_option(s, IPPROTO_IPV6,
			member ? IPV6_ADD_MEMBERSHIP : IPV6_DROP_MEMBERSHIP, &req,
			sizeof(req)));
		CHECK_EQ(send_to(sender6, 6, at("ff15::5", PORT)), 6);
		pass_all();
		CHECK_EQ(recv_len(s), member ? 6 : -EAGAIN);
	}
	/* Every host belongs to all hosts', and what is of the interface stays within the host.
	 */
	CHECK_EQ(send_to(sender6, 6, at("ff02::1", PORT)), 6);
	CHECK_EQ(send_to(sender6, 7, at("ff01::1", PORT)), 7);
	pass_all();
	CHECK_EQ(recv_len(s), 6);
	CHECK_EQ(recv_len(s), -EAGAIN);
	CHECK_EQ(inet_pton(AF_INET6, "ff01::7", &req.ipv6mr_multiaddr), 1);
	CHECK_OK(s->proto->set_option(s, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &req, sizeof(req)));
	CHECK_EQ(send_to(sender6, 7, at("ff01::7", PORT)), 7);
	pass_all();
	CHECK_EQ(recv_len(s), -EAGAIN);
	world_close();
}

/* RFC 3678's request, of either family. */
TEST(sim_group_requests)
{
	static const struct {
		int family, level;
		const char *group;
		uint32_t interface;
		socklen_t len;
		int rc;
	} rows[] = {
		{ AF_INET, IPPROTO_IP, GROUP, 2, sizeof(struct group_req), 0 },
		{ AF_INET, IPPROTO_IP, GROUP, 9, sizeof(struct group_req), -ENODEV },
		{ AF_INET, IPPROTO_IP, GROUP, 2, sizeof(struct group_req) - 1, -EINVAL },
		{ AF_INET, IPPROTO_IP, "ff15::5", 2, sizeof(struct group_req), -EINVAL },
		{ AF_INET, IPPROTO_IP, "10.0.0.2", 2, sizeof(struct group_req), -EINVAL },
		{ AF_INET, IPPROTO_IPV6, GROUP, 2, sizeof(struct group_req), -ENOPROTOOPT },
		{ AF_INET6, IPPROTO_IPV6, "ff15::5", 2, sizeof(struct group_req), 0 },
		{ AF_INET6, IPPROTO_IPV6, "fd00::2", 2, sizeof(struct group_req), -EINVAL },
		{ AF_INET6, IPPROTO_IPV6, GROUP, 2, sizeof(struct group_req), -EADDRNOTAVAIL },
		{ AF_INET6, IPPROTO_IP, GROUP, 2, sizeof(struct group_req), 0 },
	};

	open_four();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__sim_socket *s = udp(host_b, rows[i].family);
		struct group_req req = { .gr_interface = rows[i].interface };
		struct soq_addr group = at(rows[i].group, 0);

		ROW("row %zu: %s at level %d", i, rows[i].group, rows[i].level);
		memcpy(&req.gr_group, &group.sa, group.len);
		CHECK_EQ(s->proto->set_option(
				 s, rows[i].level, MCAST_JOIN_GROUP, &req, rows[i].len),
			rows[i].rc);
		if (rows[i].rc == 0)
			CHECK_OK(s->proto->set_option(
				s, rows[i].level, MCAST_LEAVE_GROUP, &req, sizeof(req)));
	}
	world_close();
}

/* Everybody's port gets a copy, whatever it is bound to, but for another address. */
TEST(sim_group_broadcast)
{
	static const struct {
		const char *bound;
		bool hears;
	} rows[] = { { "0.0.0.0", true }, { "::", true }, { "255.255.255.255", true },
		{ "10.0.0.2", false }, { "::1", false } };

	open_four();
	CHECK_EQ(send_to(sender, 2, at("255.255.255.255", PORT)), -EACCES);
	CHECK_OK(set_int(sender, SOL_SOCKET, SO_BROADCAST, 1));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__sim_socket *s;
		struct received r;

		ROW("%s", rows[i].bound);
		s = receiver(
			host_b, strchr(rows[i].bound, ':') ? AF_INET6 : AF_INET, rows[i].bound);
		CHECK_EQ(send_to(sender, 2, at("255.255.255.255", PORT)), 2);
		pass_all();
		r = recv_msg(s, 100, 200, 0);
		CHECK_EQ(r.n, rows[i].hears ? 2 : -EAGAIN);
		if (rows[i].hears)
			CHECK_EQ(r.info4.ipi_spec_dst.s_addr, inet_addr("10.0.0.2"));
		close_now(s);
	}
	world_close();
}

/* Nobody is told of an error of what went to many. */
TEST(sim_group_no_errors)
{
	open_four();
	CHECK_OK(join(receiver(host_b, AF_INET, "10.0.0.2"), 0));
	CHECK_EQ(connect_now(sender, at(GROUP, 1)), 0);
	CHECK_EQ(send_now(sender, "x", 1), 1);
	pass_all();
	CHECK_EQ(get_int(sender, SOL_SOCKET, SO_ERROR), 0);
	CHECK_EQ(fates[SOQ__SIM_ARRIVES], 1);
	world_close();
}
