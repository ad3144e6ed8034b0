/* tcp_open.c - how simulated TCP connections begin, or do not: handshakes and their losses,
 * backlogs, ports.
 */
#include "sim/model.h"

#define RTT_NS	     (2 * SOQ_MS)
#define PORTS	     28232 /* ephemeral ones: 32,768 to 60,999 */
#define CLIENTS_MOST 64

static struct soq__sim_socket *clients[CLIENTS_MOST];
static struct call connects[CLIENTS_MOST];

/* Let a client of a's begin to connect to b. */
static void begin_client(unsigned i, unsigned port)
{
	clients[i] = tcp(host_a, AF_INET);
	call_connect(&connects[i], clients[i], at("10.0.0.2", port));
}

/* ---- handshakes ---- */

TEST(sim_tcp_handshake)
{
	struct soq__sim_socket *l, *s;
	struct call connect, accept;

	world_open(1, NULL);
	l = listener(host_b, 80, 0);
	s = tcp(host_a, AF_INET);
	call_accept(&accept, l);
	call_connect(&connect, s, at("10.0.0.2", 80));
	CHECK_EQ(state_of(s), TCP_SYN_SENT);
	CHECK_STR(peer_text(s), soq_strerror(-ENOTCONN));
	CHECK_EQ(call_wait(&connect, SOQ_S), 0);
	CHECK_EQ(sim->now_ns, RTT_NS);
	CHECK_EQ(state_of(s), TCP_ESTABLISHED);
	CHECK_OK(call_wait(&accept, SOQ_S));
	CHECK_EQ(sim->now_ns, 3 * SOQ_MS);
	CHECK_STR(peer_text(s), "10.0.0.2:80");
	CHECK(soq_addr_port(&accept.addr) >= 32768 && soq_addr_port(&accept.addr) <= 60999);
	CHECK_EQ(soq_addr_port(&accept.addr), port_of(s));
	pass_all();
	/* SYN, SYN and ACK, ACK; then neither side has anything to remember or to wait for. */
	CHECK_EQ(fates[SOQ__SIM_ARRIVES], 3);
	CHECK(!soq__sim_conn_of(s)->flow);
	world_close();
}

/* With a packet of the handshake lost, in each direction as the rows say: what the client, and
 * what the server, then waits for. */
TEST(sim_tcp_handshake_losses)
{
	static const struct {
		const char *lost;
		unsigned from_client, from_server; /* number of the packet; 0: none */
		int64_t connected_ms, accepted_ms;
	} rows[] = {
		{ "the SYN", 1, 0, 1002, 1003 },
		{ "the server's SYN", 0, 1, 1002, 1003 },
		{ "both SYNs", 1, 1, 2002, 2003 },
		{ "the last acknowledgment", 2, 0, 2, 1003 },
		{ "the last acknowledgment, and the server's second SYN", 2, 2, 2, 3003 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct soq_sim_link up = { .lose_nth = rows[i].from_client },
					  down = { .lose_nth = rows[i].from_server };
		struct call accept;

		ROW("lost: %s", rows[i].lost);
		world_open(1, NULL);
		CHECK_OK(soq_sim_link(host_a, host_b, &up));
		CHECK_OK(soq_sim_link(host_b, host_a, &down));
		call_accept(&accept, listener(host_b, 80, 0));
		begin_client(0, 80);
		CHECK_EQ(call_wait(&connects[0], 10 * SOQ_S), 0);
		CHECK_EQ(sim->now_ns, rows[i].connected_ms * SOQ_MS);
		CHECK_OK(call_wait(&accept, 10 * SOQ_S));
		CHECK_EQ(sim->now_ns, rows[i].accepted_ms * SOQ_MS);
		world_close();
	}
}

/* Data acknowledges the handshake as well as the last acknowledgment, when that is lost. */
TEST(sim_tcp_handshake_ended_by_data)
{
	const struct soq_sim_link up = { .lose_nth = 2 };
	struct call accept;

	world_open(1, NULL);
	CHECK_OK(soq_sim_link(host_a, host_b, &up));
	call_accept(&accept, listener(host_b, 80, 0));
	begin_client(0, 80);
	CHECK_EQ(call_wait(&connects[0], SOQ_S), 0);
	CHECK_EQ(send_now(clients[0], "hello", 5), 5);
	CHECK_OK(call_wait(&accept, SOQ_S));
	CHECK_EQ(sim->now_ns, 3 * SOQ_MS);
	CHECK_EQ(recv_len(soq__sim_socket_of(sim, (int)accept.op.result)), 5);
	world_close();
}

/* ---- no answer, or a bad one ---- */

/* A refusal takes a round trip, and the socket can be used again. */
TEST(sim_tcp_refused)
{
	struct soq__sim_socket *s;
	struct call connect;

	world_open(1, NULL);
	s = tcp(host_a, AF_INET);
	call_connect(&connect, s, at("10.0.0.2", 80));
	CHECK_EQ(call_wait(&connect, SOQ_S), -ECONNREFUSED);
	CHECK_EQ(sim->now_ns, RTT_NS);
	CHECK_EQ(get_int(s, SOL_SOCKET, SO_ERROR), 0);
	listener(host_b, 80, 0);
	call_connect(&connect, s, at("10.0.0.2", 80));
	CHECK_EQ(call_wait(&connect, SOQ_S), 0);
	CHECK_EQ(connect_now(s, at("10.0.0.2", 80)), -EISCONN);
	world_close();
}

/* Seven SYNs, the last one 64 s after the one before; then nobody is asked any more. */
TEST(sim_tcp_unanswered)
{
	static const int64_t sent_s[] = { 0, 1, 3, 7, 15, 31, 63 };
	unsigned sent = 0;

	world_open(1, NULL);
	CHECK_OK(soq_sim_partition(host_a, host_b));
	begin_client(0, 80);
	do {
		if (fates[SOQ__SIM_PARTITIONED] == sent)
			continue;
		CHECK(sent < 7);
		CHECK_EQ(sim->now_ns, sent_s[sent++] * SOQ_S);
		CHECK_EQ(fates[SOQ__SIM_PARTITIONED], sent);
	} while (soq__sim_step(sim, SOQ_NEVER));
	CHECK_EQ(sent, 7);
	CHECK_EQ(call_result(&connects[0]), -ETIMEDOUT);
	CHECK_EQ(sim->now_ns, 127 * SOQ_S);
	world_close();
}

/* A host that is not there is asked for three times, a second apart, by its neighbours. */
TEST(sim_tcp_unreachable)
{
	struct soq__sim_socket *s;
	struct call connect;

	world_open(1, NULL);
	s = tcp(host_a, AF_INET);
	call_connect(&connect, s, at("10.0.0.99", 80));
	CHECK_EQ(connect_now(s, at("10.0.0.99", 80)), -EALREADY);
	CHECK_EQ(call_wait(&connect, SOQ_NEVER), -EHOSTUNREACH);
	CHECK_EQ(sim->now_ns, 3 * SOQ_S);
	world_close();
}

TEST(sim_tcp_connect_at_once)
{
	static const struct {
		int family;
		const char *from, *to;
		int want;
	} rows[] = {
		{ AF_INET, NULL, "224.0.0.1", -ENETUNREACH },
		{ AF_INET, NULL, "255.255.255.255", -ENETUNREACH },
		{ AF_INET, NULL, "fd00::2", -EAFNOSUPPORT },
		{ AF_INET6, NULL, "10.0.0.2", -EINVAL },
		{ AF_INET6, NULL, "::ffff:10.0.0.2", -EAGAIN },
		{ AF_INET6, "fd00::1", "::ffff:10.0.0.2", -ENETUNREACH },
		{ AF_INET6, "::ffff:10.0.0.1", "fd00::2", -ENETUNREACH },
	};

	world_open(1, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__sim_socket *s = tcp(host_a, rows[i].family);

		ROW("from %s to %s", rows[i].from ? rows[i].from : "any", rows[i].to);
		if (rows[i].from)
			CHECK_OK(bind_now(s, at(rows[i].from, 0)));
		CHECK_EQ(connect_now(s, at(rows[i].to, 80)), rows[i].want);
		close_now(s);
	}
	world_close();
}

/* A host without an address of the family reaches nobody of it. */
TEST(sim_tcp_no_address)
{
	struct soq_sim_host *four;

	world_open(1, NULL);
	CHECK_OK(soq_sim_host_new(&four, sim, "four", "192.0.2.1"));
	CHECK_EQ(connect_now(tcp(four, AF_INET6), at("fd00::2", 80)), -ENETUNREACH);
	CHECK_EQ(connect_now(tcp(four, AF_INET), at("10.0.0.2", 80)), -EAGAIN);
	world_close();
}

TEST(sim_tcp_shut_while_connecting)
{
	world_open(1, NULL);
	begin_client(0, 80);
	CHECK_EQ(shutdown_now(clients[0], SHUT_WR), 0);
	CHECK_EQ(call_result(&connects[0]), -ECONNRESET);
	begin_client(1, 80);
	call_cancel(&connects[1]);
	close_now(clients[1]);
	CHECK_EQ(connections(host_a), 0);
	world_close();
}

/* ---- both at once ---- */

TEST(sim_tcp_simultaneous_open)
{
	struct soq__sim_socket *s[2];
	struct call connect[2];
	char buf[8];

	world_open(1, NULL);
	s[0] = tcp(host_a, AF_INET);
	s[1] = tcp(host_b, AF_INET);
	CHECK_OK(bind_now(s[0], at("10.0.0.1", 1000)));
	CHECK_OK(bind_now(s[1], at("10.0.0.2", 2000)));
	call_connect(&connect[0], s[0], at("10.0.0.2", 2000));
	call_connect(&connect[1], s[1], at("10.0.0.1", 1000));
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(call_wait(&connect[i], 10 * SOQ_MS), 0);
		CHECK_EQ(state_of(s[i]), TCP_ESTABLISHED);
	}
	CHECK_EQ(send_now(s[0], "hi", 2), 2);
	pass(SOQ_S);
	CHECK_EQ(recv_now(s[1], buf, sizeof(buf)), 2);
	close_now(s[0]);
	close_now(s[1]);
	pass_all();
	CHECK_EQ(connections(host_a) + connections(host_b), 0);
	world_close();
}

TEST(sim_tcp_connect_to_oneself)
{
	struct soq__sim_socket *s;
	struct call connect;
	char buf[8];

	world_open(1, NULL);
	s = tcp(host_a, AF_INET);
	CHECK_OK(bind_now(s, at("10.0.0.1", 1000)));
	call_connect(&connect, s, at("10.0.0.1", 1000));
	CHECK_EQ(call_wait(&connect, SOQ_S), 0);
	CHECK_EQ(send_now(s, "me", 2), 2);
	pass(SOQ_S);
	CHECK_EQ(recv_now(s, buf, sizeof(buf)), 2);
	close_now(s);
	pass_all();
	CHECK_EQ(connections(host_a), 0);
	world_close();
}

/* ---- backlogs ---- */

/* One more than the backlog can wait. Others' SYNs are dropped, until their next finds room, or
 * nobody. */
TEST(sim_tcp_backlog_full)
{
	static const int64_t before[] = { 0, 0, 0, -EINPROGRESS, -EINPROGRESS },
			     after[] = { 0, 0, 0, 0, -EINPROGRESS };
	struct soq__sim_socket *l;
	struct tcp_info info;
	socklen_t len = sizeof(info);

	world_open(1, NULL);
	l = listener(host_b, 80, 2);
	for (unsigned i = 0; i < 5; i++) {
		begin_client(i, 80);
		pass(10 * SOQ_MS);
	}
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(call_result(&connects[i]), before[i]);
	CHECK_OK(l->proto->get_option(l, IPPROTO_TCP, TCP_INFO, &info, &len));
	CHECK_EQ(info.tcpi_unacked, 3);
	CHECK_EQ(info.tcpi_sacked, 2);
	CHECK_OK(accept_now(l));
	/* The fourth began at 30 ms, the fifth at 40 ms: both ask again a second later. */
	CHECK_EQ(call_wait(&connects[3], 10 * SOQ_S), 0);
	CHECK_EQ(sim->now_ns, 1030 * SOQ_MS + RTT_NS);
	pass(SOQ_S);
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(call_result(&connects[i]), after[i]);
	close_now(l);
	pass(500 * SOQ_MS);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(recv_len(clients[i]), i == 0 ? -EAGAIN : -ECONNRESET);
	CHECK_EQ(call_wait(&connects[4], 10 * SOQ_S), -ECONNREFUSED);
	CHECK_EQ(sim->now_ns, 3040 * SOQ_MS + RTT_NS);
	world_close();
}

/* All at once, and room for two: the others' last acknowledgments are ignored, and so they
 * believe to be connected. What they send is answered when there is room. */
TEST(sim_tcp_backlog_full_at_once)
{
	struct soq__sim_socket *l;

	world_open(1, NULL);
	l = listener(host_b, 80, 1);
	for (unsigned i = 0; i < 5; i++)
		begin_client(i, 80);
	pass(10 * SOQ_MS);
	CHECK_EQ(connections(host_b), 5);
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(call_result(&connects[i]), 0);
		CHECK_EQ(send_now(clients[i], "hello", 5), 5);
	}
	for (unsigned i = 0; i < 5; i++) {
		struct soq__sim_socket *s;
		struct call accept, recv;
		char buf[8];

		ROW("client %u", i);
		call_accept(&accept, l);
		CHECK_OK(call_wait(&accept, 10 * SOQ_S));
		s = soq__sim_socket_of(sim, (int)accept.op.result);
		call_recv(&recv, s, buf, sizeof(buf));
		CHECK_EQ(call_wait(&recv, 10 * SOQ_S), 5);
	}
	CHECK(sim->now_ns < 2 * SOQ_S);
	world_close();
}

/* Where there is never room, the server forgets them after five more SYNs, 63 s later; a client
 * hears of it when it sends. */
TEST(sim_tcp_backlog_never_accepted)
{
	struct soq__sim_socket *l;

	world_open(1, NULL);
	l = listener(host_b, 80, 1);
	for (unsigned i = 0; i < 5; i++)
		begin_client(i, 80);
	pass(SOQ_MS + 63 * SOQ_S - 1);
	CHECK_EQ(connections(host_b), 5);
	pass(1);
	CHECK_EQ(connections(host_b), 2);
	CHECK_EQ(send_now(clients[4], "x", 1), 1);
	pass(SOQ_S);
	CHECK_EQ(recv_len(clients[4]), -ECONNRESET);
	/* Shut down, a listener lets go of those who wait, and can begin anew. */
	CHECK_EQ(shutdown_now(l, SHUT_RD), 0);
	CHECK_EQ(accept_now(l), -EINVAL);
	CHECK_EQ(connections(host_b), 0);
	pass(SOQ_S);
	CHECK_EQ(recv_len(clients[0]), -ECONNRESET);
	CHECK_OK(listen_now(l, 1));
	begin_client(5, 80);
	CHECK_EQ(call_wait(&connects[5], SOQ_S), 0);
	world_close();
}

/* Who waits hears of a client later than it comes, by chance; who asks finds it at once. */
TEST(sim_tcp_accept_late)
{
	const struct soq_sim_options opt = { .whole_reads = true };
	int64_t most_ns = 0, least_ns = SOQ_S;

	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct soq__sim_socket *l;
		struct call accept;

		ROW("seed %u", (unsigned)seed);
		world_open(seed, &opt);
		l = listener(host_b, 80, 0);
		call_accept(&accept, l);
		begin_client(0, 80);
		CHECK_OK(call_wait(&accept, SOQ_S));
		most_ns = sim->now_ns > most_ns ? sim->now_ns : most_ns;
		least_ns = sim->now_ns < least_ns ? sim->now_ns : least_ns;
		begin_client(1, 80);
		pass(3 * SOQ_MS);
		CHECK_OK(accept_now(l));
		world_close();
	}
	CHECK(least_ns >= 3 * SOQ_MS && least_ns < 3300 * SOQ_US);
	CHECK(most_ns <= 5 * SOQ_MS && most_ns > 4700 * SOQ_US);
}

/* Without a descriptor to spare the client stays in the backlog. */
TEST(sim_tcp_accept_without_descriptors)
{
	struct soq__sim_socket *l, *other;

	world_open(1, NULL);
	l = listener(host_b, 80, 0);
	other = tcp(host_b, AF_INET);
	begin_client(0, 80);
	pass(SOQ_S);
	sim->opt.descriptors_max = 2;
	CHECK_EQ(accept_now(l), -EMFILE);
	close_now(other);
	CHECK_OK(accept_now(l));
	world_close();
}

/* ---- options ---- */

/* Linux doubles the buffers that it is told, and keeps them between bounds. */
TEST(sim_tcp_options)
{
	static const struct {
		int level, option, value, rc, then;
	} rows[] = {
		{ SOL_SOCKET, SO_SNDBUF, 10000, 0, 20000 },
		{ SOL_SOCKET, SO_SNDBUF, 0, 0, 4608 },
		{ SOL_SOCKET, SO_SNDBUF, -1, 0, 8388608 },
		{ SOL_SOCKET, SO_RCVBUF, 10000, 0, 20000 },
		{ SOL_SOCKET, SO_RCVBUF, 1, 0, 2304 },
		{ SOL_SOCKET, SO_KEEPALIVE, 7, 0, 1 },
		{ SOL_SOCKET, SO_REUSEADDR, 7, 0, 1 },
		{ SOL_SOCKET, SO_PRIORITY, 1, -ENOPROTOOPT, -ENOPROTOOPT },
		{ IPPROTO_TCP, TCP_NODELAY, 7, 0, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 0, -EINVAL, 7200 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 32768, -EINVAL, 7200 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 32767, 0, 32767 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 0, -EINVAL, 75 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 128, -EINVAL, 9 },
		{ IPPROTO_TCP, TCP_KEEPCNT, 127, 0, 127 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, -1, -EINVAL, 0 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, 5000, 0, 5000 },
		{ IPPROTO_TCP, TCP_MAXSEG, 100, -ENOPROTOOPT, 536 },
		{ IPPROTO_IPV6, IPV6_V6ONLY, 1, -ENOPROTOOPT, -ENOPROTOOPT },
		{ IPPROTO_UDP, 1, 1, -ENOPROTOOPT, -ENOPROTOOPT },
	};

	world_open(1, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__sim_socket *s = tcp(host_a, AF_INET);

		ROW("row %zu: option %d of level %d is %d", i, rows[i].option, rows[i].level,
			rows[i].value);
		CHECK_EQ(set_int(s, rows[i].level, rows[i].option, rows[i].value), rows[i].rc);
		CHECK_EQ(get_int(s, rows[i].level, rows[i].option), rows[i].then);
	}
	world_close();
}

/* What an accepted connection has from its listener. */
TEST(sim_tcp_options_inherited)
{
	struct soq__sim_socket *l, *s;

	world_open(1, NULL);
	l = listener(host_b, 80, 0);
	CHECK_OK(set_int(l, IPPROTO_TCP, TCP_NODELAY, 1));
	CHECK_OK(set_int(l, IPPROTO_TCP, TCP_KEEPIDLE, 5));
	CHECK_OK(set_int(l, SOL_SOCKET, SO_KEEPALIVE, 1));
	CHECK_OK(set_int(l, SOL_SOCKET, SO_SNDBUF, 5000));
	begin_client(0, 80);
	pass(SOQ_S);
	s = soq__sim_socket_of(sim, (int)CHECK_OK(accept_now(l)));
	CHECK_EQ(get_int(s, IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_EQ(get_int(s, IPPROTO_TCP, TCP_KEEPIDLE), 5);
	CHECK_EQ(get_int(s, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQ(send_now(s, (char[6000]){ 0 }, 6000), 5000);
	world_close();
}

/* ---- ports ---- */

/* A port that connect(2) chose can be another connection's, too, if that goes elsewhere. */
TEST(sim_tcp_ports_exhausted)
{
	static bool taken[65536];
	struct soq__sim_socket *s, *last;

	world_open(1, NULL);
	CHECK_OK(soq_sim_partition(host_a, host_b));
	for (unsigned i = 0; i < PORTS; i++) {
		s = last = tcp(host_a, AF_INET);
		CHECK_EQ(connect_now(s, at("10.0.0.2", 80)), -EAGAIN);
		ROW("port %u, the %uth", port_of(s), i + 1);
		CHECK(port_of(s) >= 32768 && port_of(s) <= 60999);
		CHECK(!taken[port_of(s)]);
		taken[port_of(s)] = true;
	}
	s = tcp(host_a, AF_INET);
	CHECK_EQ(connect_now(s, at("10.0.0.2", 80)), -EADDRNOTAVAIL);
	CHECK_EQ(connect_now(s, at("10.0.0.2", 81)), -EAGAIN);
	s = tcp(host_a, AF_INET6);
	CHECK_EQ(connect_now(s, at("fd00::2", 80)), -EAGAIN);
	/* One that is free again is found, wherever it is. */
	close_now(last);
	s = tcp(host_a, AF_INET);
	CHECK_EQ(connect_now(s, at("10.0.0.2", 80)), -EAGAIN);
	world_close();
}

/* A bound port is nobody else's to connect from; and four ends are never twice the same. */
TEST(sim_tcp_same_ends)
{
	struct soq__sim_socket *s, *t;

	world_open(1, NULL);
	CHECK_OK(soq_sim_partition(host_a, host_b));
	s = tcp(host_a, AF_INET);
	t = tcp(host_a, AF_INET);
	CHECK_OK(set_int(s, SOL_SOCKET, SO_REUSEPORT, 1));
	CHECK_OK(set_int(t, SOL_SOCKET, SO_REUSEPORT, 1));
	CHECK_OK(bind_now(s, at("10.0.0.1", 1000)));
	CHECK_OK(bind_now(t, at("10.0.0.1", 1000)));
	CHECK_EQ(connect_now(s, at("10.0.0.2", 80)), -EAGAIN);
	CHECK_EQ(connect_now(t, at("10.0.0.2", 80)), -EADDRNOTAVAIL);
	CHECK_EQ(connect_now(t, at("10.0.0.2", 81)), -EAGAIN);
	world_close();
}

/* What has been accepted keeps its listener's port, unless both allow another. */
TEST(sim_tcp_bind_beside_accepted)
{
	struct soq__sim_socket *pair[2], *l;

	world_open(1, NULL);
	tcp_pair(pair, 80); /* and the listener is closed */
	l = tcp(host_b, AF_INET6);
	CHECK_EQ(bind_now(l, at("::", 80)), -EADDRINUSE);
	CHECK_OK(set_int(l, SOL_SOCKET, SO_REUSEADDR, 1));
	CHECK_OK(bind_now(l, at("::", 80)));
	CHECK_OK(listen_now(l, 0));
	world_close();
}

/* Listeners that share a port get a part of the clients each, and take theirs with them. */
TEST(sim_tcp_listeners_share)
{
	struct soq__sim_socket *l[2];
	unsigned resets = 0, left;

	world_open(1, NULL);
	for (int i = 0; i < 2; i++) {
		l[i] = tcp(host_b, AF_INET);
		CHECK_OK(set_int(l[i], SOL_SOCKET, SO_REUSEPORT, 1));
		CHECK_OK(bind_now(l[i], at("0.0.0.0", 80)));
		CHECK_OK(listen_now(l[i], 0));
	}
	for (unsigned i = 0; i < CLIENTS_MOST; i++)
		begin_client(i, 80);
	pass(SOQ_S);
	left = soq__sim_conn_of(l[1])->listen->count;
	ROW("%u of %d", left, CLIENTS_MOST);
	CHECK(left > CLIENTS_MOST / 4 && left < CLIENTS_MOST * 3 / 4);
	close_now(l[0]);
	pass(SOQ_S);
	for (unsigned i = 0; i < CLIENTS_MOST; i++)
		resets += recv_len(clients[i]) == -ECONNRESET;
	CHECK_EQ(resets, CLIENTS_MOST - left);
	CHECK_EQ(events_of(l[1]), POLLIN);
	world_close();
}

/* Two may bind a port with SO_REUSEADDR, but one of them listens. */
TEST(sim_tcp_one_listens)
{
	struct soq__sim_socket *s[2];

	world_open(1, NULL);
	for (int i = 0; i < 2; i++) {
		s[i] = tcp(host_b, AF_INET);
		CHECK_OK(set_int(s[i], SOL_SOCKET, SO_REUSEADDR, 1));
		CHECK_OK(bind_now(s[i], at("0.0.0.0", 80)));
	}
	CHECK_OK(listen_now(s[0], 0));
	CHECK_EQ(listen_now(s[1], 0), -EADDRINUSE);
	close_now(s[0]);
	CHECK_OK(listen_now(s[1], 0));
	world_close();
}

/* Who listens without a port gets one. */
TEST(sim_tcp_listen_unbound)
{
	struct soq__sim_socket *l;

	world_open(1, NULL);
	l = tcp(host_b, AF_INET6);
	CHECK_OK(listen_now(l, 0));
	CHECK(port_of(l) >= 32768);
	begin_client(0, port_of(l));
	CHECK_EQ(call_wait(&connects[0], SOQ_S), 0);
	world_close();
}
