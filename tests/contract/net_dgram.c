/* net_dgram.c - datagrams: whole or not at all, answered from where they were asked. */
#include "contract/net.h"

#include <fcntl.h>
#include <sys/un.h>

enum kind { UDP4, UDP6, NAMED, ABSTRACT, PAIRED, KINDS };

static const char *const names[] = { "udp4", "udp6", "unix path", "unix abstract", "pair" };

/* A bound socket, and one connected to it. */
struct ends {
	struct soq_dgram *bound, *client;
	struct soq_addr addr; /* of the bound one */
};

static void endpoint_of(char text[SOQ_ENDPOINT_TEXT_MAX], const struct soq_dgram *d)
{
	struct soq_addr addr;

	CHECK_OK(soq_dgram_addr(d, &addr));
	soq_addr_endpoint(text, SOQ_ENDPOINT_TEXT_MAX,
		addr.sa.sa_family == AF_UNIX ? SOQ_SCHEME_UNIXGRAM : SOQ_SCHEME_UDP, &addr);
}

static void open_bound(struct ends *e, enum kind kind)
{
	char text[SOQ_ENDPOINT_TEXT_MAX];

	switch (kind) {
	case UDP4:
		snprintf(text, sizeof(text), "udp://127.0.0.1:0");
		break;
	case UDP6:
		snprintf(text, sizeof(text), "udp://%s:0", have_ipv6() ? "[::1]" : "127.0.0.1");
		break;
	case NAMED:
		snprintf(text, sizeof(text), "unixgram://%s/gram", test_dir());
		break;
	default:
		snprintf(text, sizeof(text), "unixgram://@soquete-gram-%d", (int)getpid());
	}
	CHECK_OK(soq_dgram_open(&e->bound, text));
	CHECK_OK(soq_dgram_addr(e->bound, &e->addr));
}

static void ends_open(struct ends *e, enum kind kind)
{
	char text[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_dgram *pair[2];

	ROW("%s", names[kind]);
	if (kind == PAIRED) {
		CHECK_OK(soq_dgram_pair(pair));
		*e = (struct ends){ .bound = pair[0], .client = pair[1] };
		return;
	}
	open_bound(e, kind);
	endpoint_of(text, e->bound);
	CHECK_OK(soq_dgram_connect(&e->client, text));
}

static void ends_close(struct ends *e)
{
	soq_dgram_close(e->bound);
	soq_dgram_close(e->client);
}

#define EACH(kind) for (enum kind kind = 0; kind < KINDS; kind++)

CONTRACT(dgram_there_and_back)
{
	struct soq_addr from, client;
	struct ends e;
	char buf[64];

	EACH(kind)
	{
		ends_open(&e, kind);
		CHECK_EQ(soq_sendto(e.client, "question", 8, NULL), 8);
		CHECK_EQ(soq_recvfrom(e.bound, buf, sizeof(buf), &from), 8);
		CHECK_MEM(buf, "question", 8);
		CHECK_OK(soq_dgram_addr(e.client, &client));
		CHECK(soq_addr_equal(&from, &client));
		CHECK_EQ(soq_sendto(e.bound, "answer", 6, from.len ? &from : NULL), 6);
		CHECK_EQ(soq_recvfrom(e.client, buf, sizeof(buf), NULL), 6);
		CHECK_MEM(buf, "answer", 6);
		ends_close(&e);
	}
	soq_dgram_close(NULL);
}

CONTRACT_KERNEL(dgram_descriptors_close_on_exec, "a simulated descriptor has no such flag")
{
	struct ends e;

	EACH(kind)
	{
		ends_open(&e, kind);
		CHECK(fcntl(soq_dgram_fd(e.bound), F_GETFD) & FD_CLOEXEC);
		CHECK(fcntl(soq_dgram_fd(e.client), F_GETFD) & FD_CLOEXEC);
		ends_close(&e);
	}
}

CONTRACT(dgram_keeps_its_bounds)
{
	struct ends e;
	char buf[8];

	EACH(kind)
	{
		ends_open(&e, kind);
		CHECK_EQ(soq_sendto(e.client, "one", 3, NULL), 3);
		CHECK_EQ(soq_sendto(e.client, "", 0, NULL), 0); /* an empty one is one */
		CHECK_EQ(soq_sendto(e.client, "12345678", 8, NULL), 8);
		CHECK_EQ(soq_sendto(e.client, "123456789", 9, NULL), 9);
		CHECK_EQ(soq_sendto(e.client, "last", 4, NULL), 4);
		CHECK_EQ(soq_recvfrom(e.bound, buf, sizeof(buf), NULL), 3);
		CHECK_EQ(soq_recvfrom(e.bound, buf, sizeof(buf), NULL), 0);
		CHECK_EQ(soq_recvfrom(e.bound, buf, sizeof(buf), NULL), 8);
		CHECK_ERR(soq_recvfrom(e.bound, buf, sizeof(buf), NULL), -EMSGSIZE);
		CHECK_MEM(buf, "12345678", 8);
		CHECK_EQ(soq_recvfrom(e.bound, buf, sizeof(buf), NULL), 4);
		CHECK_MEM(buf, "last", 4);
		ends_close(&e);
	}
}

struct waiting {
	struct soq_dgram *d;
	ssize_t rc;
};

static void recv_late(void *arg)
{
	struct waiting *w = arg;
	char buf[8];

	w->rc = soq_recvfrom(w->d, buf, sizeof(buf), NULL);
}

CONTRACT(dgram_timeout_busy_and_cancelled)
{
	struct soq_packet p = { .data = (char[8]){ 0 }, .capacity = 8 };
	struct soq_scope *scope;
	struct waiting w;
	struct ends e;
	char buf[8];

	EACH(kind)
	{
		ends_open(&e, kind);
		for (int64_t timeout_ns = 0; timeout_ns <= 2 * SOQ_MS; timeout_ns += SOQ_MS) {
			soq_dgram_set_recv_timeout(e.bound, timeout_ns);
			CHECK_ERR(soq_recvfrom(e.bound, buf, 8, NULL), -ETIMEDOUT);
			CHECK_ERR(soq_recv_packets(e.bound, &p, 1), -ETIMEDOUT);
		}
		soq_dgram_set_recv_timeout(e.bound, SOQ_NEVER);
		scope = scope_open();
		w = (struct waiting){ .d = e.bound };
		go(scope, recv_late, &w);
		CHECK_ERR(soq_recvfrom(e.bound, buf, 8, NULL), -EBUSY);
		CHECK_ERR(soq_recv_packets(e.bound, &p, 1), -EBUSY);
		soq_scope_close(scope);
		CHECK_ERR(w.rc, -ECANCELED);
		CHECK_EQ(soq_sendto(e.client, "x", 1, NULL), 1);
		CHECK_EQ(soq_recvfrom(e.bound, buf, 8, NULL), 1);
		ends_close(&e);
	}
}

SIM(dgram_timeouts_are_punctual)
{
	struct soq_packet p = { .data = (char[8]){ 0 }, .capacity = 8 };
	struct ends e;
	int64_t began;
	char buf[8];

	EACH(kind)
	{
		ends_open(&e, kind);
		soq_dgram_set_recv_timeout(e.bound, 5 * SOQ_MS);
		began = soq_now();
		CHECK_ERR(soq_recvfrom(e.bound, buf, 8, NULL), -ETIMEDOUT);
		CHECK_EQ(untimely_ns(began + 5 * SOQ_MS, 1), 0);
		began = soq_now();
		CHECK_ERR(soq_recv_packets(e.bound, &p, 1), -ETIMEDOUT);
		CHECK_EQ(untimely_ns(began + 5 * SOQ_MS, 1), 0);
		ends_close(&e);
	}
}

/* Send until the news of a refusal has come. @return what it then says */
static ssize_t send_until_told(struct soq_dgram *d)
{
	ssize_t rc;

	while ((rc = soq_sendto(d, "x", 1, NULL)) == 1)
		CHECK_OK(soq_yield());
	return rc;
}

CONTRACT(dgram_refused)
{
	struct soq_addr from;
	struct ends e;
	char buf[8];

	for (enum kind kind = UDP4; kind <= UDP6; kind++) {
		ends_open(&e, kind);
		soq_dgram_close(e.bound);
		CHECK_EQ(soq_sendto(e.client, "x", 1, NULL), 1);
		CHECK_ERR(soq_recvfrom(e.client, buf, sizeof(buf), &from), -ECONNREFUSED);
		CHECK_ERR(send_until_told(e.client), -ECONNREFUSED);
		soq_dgram_close(e.client);
	}
	for (enum kind kind = NAMED; kind <= ABSTRACT; kind++) {
		ends_open(&e, kind);
		soq_dgram_close(e.bound);
		CHECK_ERR(soq_sendto(e.client, "x", 1, NULL), -ECONNREFUSED);
		soq_dgram_close(e.client);
	}
}

CONTRACT(dgram_peers_and_errors)
{
	static char huge[70000];
	struct soq_addr addr;
	struct soq_dgram *d;
	struct ends e;

	ends_open(&e, UDP4);
	CHECK_OK(soq_dgram_peer(e.client, &addr));
	CHECK(soq_addr_equal(&addr, &e.addr));
	CHECK_ERR(soq_dgram_peer(e.bound, &addr), -ENOTCONN);
	CHECK_ERR(soq_sendto(e.bound, "x", 1, NULL), -EDESTADDRREQ);
	CHECK_ERR(soq_sendto(e.client, huge, sizeof(huge), NULL), -EMSGSIZE);
	ends_close(&e);
	CHECK_ERR(soq_dgram_open(&d, "tcp://127.0.0.1:0"), -EPROTOTYPE);
	CHECK_ERR(soq_dgram_connect(&d, "unix:///x"), -EPROTOTYPE);
	CHECK(strstr(soq_last_error(), "unix:///x"));
	CHECK_ERR(soq_dgram_resolve(&addr, "fd://0"), -EPROTOTYPE);
	CHECK_ERR(soq_dgram_connect(&d, "unixgram:///no/such/path"), -ENOENT);
	CHECK(strstr(soq_last_error(), "/no/such/path"));
	CHECK_ERR(soq_dgram_open(&d, "udp://192.0.2.1:0"), -EADDRNOTAVAIL);
}

CONTRACT(dgram_port_in_use)
{
	struct soq_dgram *a, *b;
	char text[SOQ_ENDPOINT_TEXT_MAX];
	struct ends e;

	for (enum kind kind = UDP4; kind <= ABSTRACT; kind++) {
		open_bound(&e, kind);
		ROW("%s", names[kind]);
		endpoint_of(text, e.bound);
		CHECK_ERR(soq_dgram_open(&a, text), -EADDRINUSE);
		CHECK(strstr(soq_last_error(), text));
		CHECK_ERR(soq_dgram_open_shared(&a, text), -EADDRINUSE);
		soq_dgram_close(e.bound);
		CHECK_OK(soq_dgram_open(&a, text));
		soq_dgram_close(a);
	}
	CHECK_OK(soq_dgram_open_shared(&a, "udp://127.0.0.1:0"));
	endpoint_of(text, a);
	CHECK_OK(soq_dgram_open_shared(&b, text));
	soq_dgram_close(a);
	soq_dgram_close(b);
}

CONTRACT_KERNEL(dgram_path_stale_and_removed, "a simulated path is no file")
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = (int)CHECK_OK(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	struct ends e;

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/gram", test_dir());
	CHECK_OK(bind(fd, (struct sockaddr *)&un, sizeof(un)));
	close(fd);
	ends_open(&e, NAMED);
	CHECK_EQ(soq_sendto(e.client, "x", 1, NULL), 1);
	ends_close(&e);
	CHECK(access(un.sun_path, F_OK) < 0);
}

/* The reply's source is the address that was asked, or the client would not take it. */
CONTRACT(dgram_reply_comes_from_the_address_asked)
{
	static const char *const hosts[] = { "127.0.0.2", "127.0.0.1", "127.9.9.9", "[::1]" };
	char text[SOQ_ENDPOINT_TEXT_MAX], buf[64];
	struct soq_dgram *server, *client;
	struct soq_addr addr;

	for (int any4 = 0; any4 < 2; any4++) {
		CHECK_OK(soq_dgram_open(&server, any4 ? "udp://0.0.0.0:0" : "udp://:0"));
		CHECK_OK(soq_dgram_addr(server, &addr));
		for (int i = 0; i < (any4 || !have_ipv6() ? 3 : 4); i++) {
			struct soq_packet p = { .data = buf, .capacity = sizeof(buf) };

			ROW("%s, %s", hosts[i], any4 ? "IPv4" : "dual stack");
			snprintf(text, sizeof(text), "udp://%s:%u", hosts[i],
				soq_addr_port(&addr));
			CHECK_OK(soq_dgram_connect(&client, text));
			CHECK_EQ(soq_sendto(client, "ask", 3, NULL), 3);
			CHECK_EQ(soq_recv_packets(server, &p, 1), 1);
			CHECK_EQ(p.len, 3);
			CHECK(p.local.len > 0 && p.ifindex == interface_index("lo"));
			CHECK(soq_addr_is_local(&p.peer));
			CHECK_EQ(soq_reply(server, &p, "tell", 4), 4);
			CHECK_EQ(soq_recvfrom(client, buf, sizeof(buf), NULL), 4);
			soq_dgram_close(client);
		}
		soq_dgram_close(server);
	}
}

/* ---- broadcast and multicast ---- */

/* A broadcast cannot be answered from the address that was asked; from ours, it can. */
CONTRACT_KERNEL(dgram_broadcast_of_the_loopback, "a simulated interface has no netmask")
{
	struct soq_dgram *server, *client;
	char buf[64], text[64];
	struct soq_addr addr, to;

	for (int any4 = 0; any4 < 2; any4++) {
		struct soq_packet p = { .data = buf, .capacity = sizeof(buf) };

		ROW("%s", any4 ? "IPv4" : "dual stack");
		CHECK_OK(soq_dgram_open(&server, any4 ? "udp://0.0.0.0:0" : "udp://:0"));
		CHECK_OK(soq_dgram_addr(server, &addr));
		CHECK_OK(soq_dgram_open(&client, "udp://127.0.0.1:0"));
		snprintf(text, sizeof(text), "udp://127.255.255.255:%u", soq_addr_port(&addr));
		CHECK_OK(soq_dgram_resolve(&to, text));
		CHECK_ERR(soq_sendto(client, "all", 3, &to), -EACCES);
		CHECK_OK(soq_dgram_set_broadcast(client, true));
		CHECK_EQ(soq_sendto(client, "all", 3, &to), 3);
		CHECK_EQ(soq_recv_packets(server, &p, 1), 1);
		CHECK_EQ(soq_reply(server, &p, "here", 4), 4);
		CHECK_EQ(soq_recvfrom(client, buf, sizeof(buf), NULL), 4);
		CHECK_OK(soq_dgram_set_broadcast(client, false));
		CHECK_ERR(soq_sendto(client, "all", 3, &to), -EACCES);
		soq_dgram_close(server);
		soq_dgram_close(client);
	}
}

/* To every host of the world, each of which answers. */
static int sim_answer_broadcasts(void *arg)
{
	struct soq_dgram *d;
	struct soq_packet p = { .data = (char[16]){ 0 }, .capacity = 16 };
	bool dual = arg != NULL;

	CHECK_OK(soq_dgram_open(&d, dual ? "udp://:7" : "udp://0.0.0.0:7"));
	CHECK_EQ(soq_recv_packets(d, &p, 1), 1);
	CHECK_EQ(p.len, 3);
	CHECK_EQ(soq_reply(d, &p, "here", 4), 4);
	soq_dgram_close(d);
	return 0;
}

SIM(dgram_broadcast_between_hosts)
{
	struct soq_dgram *client;
	struct soq_sim_host *hosts[2];
	struct soq_addr to, from[2];
	char buf[16];

	CHECK_OK(soq_dgram_open(&client, "udp://0.0.0.0:0"));
	for (int i = 0; i < 2; i++) {
		CHECK_OK(soq_sim_host_new(
			&hosts[i], soq_sim_of(soq_sim_here()), i ? "dual" : "ipv4", NULL));
		CHECK_OK(soq_sim_spawn(hosts[i], sim_answer_broadcasts, i ? hosts[i] : NULL));
	}
	CHECK_OK(soq_yield()); /* they listen */
	CHECK_OK(soq_dgram_resolve(&to, "udp://255.255.255.255:7"));
	CHECK_ERR(soq_sendto(client, "all", 3, &to), -EACCES);
	CHECK_OK(soq_dgram_set_broadcast(client, true));
	CHECK_EQ(soq_sendto(client, "all", 3, &to), 3);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(soq_recvfrom(client, buf, sizeof(buf), &from[i]), 4);
	CHECK(!soq_addr_equal(&from[0], &from[1]));
	soq_dgram_close(client);
}

static void multicast(const char *any, const char *group, const char *text_format)
{
	struct soq_dgram *server, *client;
	char buf[64], text[64];
	struct soq_packet p = { .data = buf, .capacity = sizeof(buf) };
	struct soq_addr addr, to;

	ROW("%s, %s", any, group);
	CHECK_OK(soq_dgram_open(&server, any));
	CHECK_OK(soq_dgram_addr(server, &addr));
	CHECK_ERR(soq_dgram_leave(server, group, "lo"), -EADDRNOTAVAIL);
	CHECK_OK(soq_dgram_join(server, group, "lo"));
	CHECK_ERR(soq_dgram_join(server, group, "lo"), -EADDRINUSE);
	CHECK_OK(soq_dgram_open(&client, any));
	CHECK_OK(soq_dgram_set_multicast_interface(client, "lo"));
	CHECK_OK(soq_dgram_set_multicast_loop(client, true));
	CHECK_OK(soq_dgram_set_multicast_hops(client, 1));
	snprintf(text, sizeof(text), text_format, soq_addr_port(&addr));
	CHECK_OK(soq_dgram_resolve(&to, text));
	if (strcmp(any, "udp://:0") == 0 && to.sa.sa_family == AF_INET) {
		/* An IPv6 socket wants the address mapped. */
		soq_dgram_close(client);
		CHECK_OK(soq_dgram_open(&client, "udp://0.0.0.0:0"));
		CHECK_OK(soq_dgram_set_multicast_interface(client, "lo"));
	}
	CHECK_EQ(soq_sendto(client, "group", 5, &to), 5);
	CHECK_EQ(soq_recv_packets(server, &p, 1), 1);
	CHECK_EQ(p.len, 5);
	CHECK_EQ(p.ifindex, interface_index("lo"));
	CHECK_EQ(soq_reply(server, &p, "reply", 5), 5);
	CHECK_EQ(soq_recvfrom(client, buf, sizeof(buf), NULL), 5);
	CHECK_OK(soq_dgram_leave(server, group, "lo"));
	soq_dgram_close(server);
	soq_dgram_close(client);
}

CONTRACT(dgram_multicast)
{
	if (test_is_emulated())
		SKIP("qemu-user has no MCAST_LEAVE_GROUP");
	multicast("udp://0.0.0.0:0", "239.255.1.2", "udp://239.255.1.2:%u");
	multicast("udp://:0", "239.255.1.2", "udp://239.255.1.2:%u");
}

/* The loopback interface takes IPv6 groups but carries nothing to them. */
CONTRACT(dgram_multicast_ipv6_membership)
{
	struct soq_dgram *d;

	if (test_is_emulated())
		SKIP("qemu-user has no MCAST_LEAVE_GROUP");
	if (!have_ipv6())
		SKIP("this machine has no IPv6");
	CHECK_OK(soq_dgram_open(&d, "udp://:0"));
	CHECK_ERR(soq_dgram_leave(d, "ff02::1234", "lo"), -EADDRNOTAVAIL);
	CHECK_OK(soq_dgram_join(d, "ff02::1234", "lo"));
	CHECK_ERR(soq_dgram_join(d, "ff02::1234", "lo"), -EADDRINUSE);
	CHECK_OK(soq_dgram_leave(d, "ff02::1234", "lo"));
	CHECK_OK(soq_dgram_set_multicast_interface(d, "lo"));
	CHECK_OK(soq_dgram_set_multicast_interface(d, NULL));
	soq_dgram_close(d);
}

CONTRACT(dgram_multicast_errors)
{
	struct soq_dgram *d;

	CHECK_OK(soq_dgram_open(&d, "udp://0.0.0.0:0"));
	CHECK_ERR(soq_dgram_join(d, "127.0.0.1", "lo"), -EINVAL);
	CHECK_ERR(soq_dgram_join(d, "a.group.by.name", "lo"), -EINVAL);
	CHECK_ERR(soq_dgram_join(d, "fe80::1", "lo"), -EINVAL);
	CHECK_ERR(soq_dgram_join(d, "239.1.2.3", "no-such-if"), -ENODEV);
	CHECK_ERR(soq_dgram_set_multicast_interface(d, "no-such-if"), -ENODEV);
	CHECK_ERR(soq_dgram_set_hops(d, 256), -EINVAL);
	CHECK_ERR(soq_dgram_set_multicast_hops(d, 256), -EINVAL);
	CHECK_OK(soq_dgram_set_hops(d, 9));
	soq_dgram_close(d);
}

CONTRACT(dgram_options_read_back)
{
	struct soq_dgram *d;
	int fd;

	CHECK_OK(soq_dgram_open(&d, "udp://127.0.0.1:0"));
	fd = soq_dgram_fd(d);
	CHECK_OK(soq_dgram_set_hops(d, 9));
	CHECK_EQ(socket_number(fd, IPPROTO_IP, IP_TTL), 9);
	CHECK_OK(soq_dgram_set_recv_buffer(d, 20000));
	CHECK_EQ(socket_number(fd, SOL_SOCKET, SO_RCVBUF), 40000);
	CHECK_OK(soq_dgram_set_send_buffer(d, 30000));
	CHECK_EQ(socket_number(fd, SOL_SOCKET, SO_SNDBUF), 60000);
	CHECK_OK(soq_dgram_set_multicast_loop(d, false));
	CHECK_EQ(socket_number(fd, IPPROTO_IP, IP_MULTICAST_LOOP), 0);
	soq_dgram_close(d);
}
