/* net_option.c - options read back, addresses, and descriptors that leave. */
#include "contract/net.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>

CONTRACT(option_nodelay_and_cork)
{
	struct link l;

	for (enum link_kind kind = TCP4; kind <= DUAL; kind++) {
		link_open(&l, kind);
		CHECK(socket_number(soq_fd(l.near), IPPROTO_TCP, TCP_NODELAY));
		CHECK(socket_number(soq_fd(l.far), IPPROTO_TCP, TCP_NODELAY));
		CHECK_OK(soq_set_nodelay(l.near, false));
		CHECK(!socket_number(soq_fd(l.near), IPPROTO_TCP, TCP_NODELAY));
		CHECK_OK(soq_set_cork(l.near, true));
		CHECK(socket_number(soq_fd(l.near), IPPROTO_TCP, TCP_CORK));
		CHECK_OK(soq_set_cork(l.near, false));
		CHECK(!socket_number(soq_fd(l.near), IPPROTO_TCP, TCP_CORK));
		link_close(&l);
	}
	link_open(&l, PAIR);
	CHECK(soq_set_nodelay(l.near, true) < 0);
	link_close(&l);
}

CONTRACT(option_keepalive)
{
	struct link l;
	int fd;

	link_open(&l, TCP4);
	fd = soq_fd(l.near);
	CHECK_OK(soq_set_keepalive(l.near, 1500 * SOQ_MS, 2 * SOQ_S, 3));
	CHECK(socket_number(fd, SOL_SOCKET, SO_KEEPALIVE));
	CHECK_EQ(socket_number(fd, IPPROTO_TCP, TCP_KEEPIDLE), 2); /* rounded up */
	CHECK_EQ(socket_number(fd, IPPROTO_TCP, TCP_KEEPINTVL), 2);
	CHECK_EQ(socket_number(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
	CHECK_OK(soq_set_keepalive(l.near, 0, 0, 0));
	CHECK(!socket_number(fd, SOL_SOCKET, SO_KEEPALIVE));
	link_close(&l);
}

/* Durations beyond what the kernel's seconds can hold: its refusal, no other duration. */
CONTRACT(option_keepalive_without_limit)
{
	static const int64_t durations[] = { SOQ_NEVER, SOQ_NEVER - 1, SOQ_NEVER - SOQ_S };
	struct link l;

	link_open(&l, TCP4);
	for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
		ROW("%lld ns", (long long)durations[i]);
		CHECK_ERR(soq_set_keepalive(l.near, durations[i], SOQ_S, 3), -EINVAL);
		CHECK_ERR(soq_set_keepalive(l.near, SOQ_S, durations[i], 3), -EINVAL);
		CHECK_EQ(socket_number(soq_fd(l.near), IPPROTO_TCP, TCP_KEEPIDLE), 1);
	}
	link_close(&l);
}

CONTRACT(option_buffers_and_linger)
{
	struct linger linger;
	struct link l;
	int fd;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		fd = soq_fd(l.near);
		CHECK_OK(soq_set_recv_buffer(l.near, 20000));
		CHECK_OK(soq_set_send_buffer(l.near, 30000));
		CHECK_EQ(socket_number(fd, SOL_SOCKET, SO_RCVBUF),
			40000); /* socket(7): doubled */
		CHECK_EQ(socket_number(fd, SOL_SOCKET, SO_SNDBUF), 60000);
		CHECK_OK(soq_set_recv_buffer(l.near, (size_t)-1)); /* as much as there is */
		CHECK(socket_number(fd, SOL_SOCKET, SO_RCVBUF) > 0);
		CHECK_OK(soq_set_linger(l.near, 0));
		socket_option(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		CHECK(linger.l_onoff && linger.l_linger == 0);
		CHECK_OK(soq_set_linger(l.near, -1));
		socket_option(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		CHECK(!linger.l_onoff);
		link_close(&l);
	}
}

CONTRACT(address_of_both_ends)
{
	struct soq_addr near_local, near_peer, far_local, far_peer;
	char text[SOQ_ADDR_TEXT_MAX];
	struct link l;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		CHECK_OK(soq_local_addr(l.near, &near_local));
		CHECK_OK(soq_peer_addr(l.near, &near_peer));
		CHECK_OK(soq_local_addr(l.far, &far_local));
		CHECK_OK(soq_peer_addr(l.far, &far_peer));
		CHECK(soq_addr_equal(&near_local, &far_peer));
		CHECK(soq_addr_equal(&near_peer, &far_local));
		CHECK(soq_addr_is_local(&near_peer) && soq_addr_is_local(&far_peer));
		soq_addr_format(text, sizeof(text), &far_peer);
		if (kind == DUAL) /* an IPv4 client of an IPv6 socket reads as IPv4 */
			CHECK(strncmp(text, "127.0.0.1:", 10) == 0);
		if (!link_is_tcp(kind))
			CHECK_STR(text, "-");
		CHECK_EQ(soq_addr_port(&near_peer) != 0, link_is_tcp(kind));
		link_close(&l);
	}
}

/* A descriptor given up is in blocking mode, and nothing that was on its way is lost. */
CONTRACT_KERNEL(detach_leaves_a_blocking_descriptor, "a simulated descriptor has no mode")
{
	struct link l;
	char buf[8];
	int fd;

	for (enum link_kind kind = 0; kind < CLEAR_KINDS; kind++) {
		link_open(&l, kind);
		soq_set_recv_timeout(l.near, SOQ_MS);
		CHECK_ERR(soq_recv(l.near, buf, sizeof(buf)), -ETIMEDOUT);
		CHECK_EQ(soq_send(l.far, "kept", 4), 4);
		fd = (int)CHECK_OK(soq_detach(l.near));
		CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
		CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		CHECK_EQ(read(fd, buf, sizeof(buf)), 4);
		CHECK_EQ(write(fd, "back", 4), 4);
		CHECK_EQ(soq_recv_full(l.far, buf, 4), 4);
		close(fd);
		CHECK_EQ(soq_recv(l.far, buf, 4), 0);
		soq_close(l.far);
	}
}

/* To another stream and back again: the engine keeps nothing of the former owner's. */
CONTRACT(detach_and_adopt_again)
{
	struct link l;
	char buf[8];

	for (enum link_kind kind = 0; kind < CLEAR_KINDS; kind++) {
		link_open(&l, kind);
		for (int round = 0; round < 5; round++) {
			int fd = (int)CHECK_OK(soq_detach(l.near));

			CHECK_OK(soq_adopt(&l.near, fd));
			soq_set_recv_timeout(l.near, SOQ_MS);
			CHECK_ERR(soq_recv(l.near, buf, sizeof(buf)), -ETIMEDOUT);
			soq_set_recv_timeout(l.near, SOQ_NEVER);
			CHECK_EQ(soq_send(l.far, "ping", 4), 4);
			CHECK_EQ(soq_recv_full(l.near, buf, 4), 4);
			CHECK_EQ(soq_send(l.near, "pong", 4), 4);
			CHECK_EQ(soq_recv_full(l.far, buf, 4), 4);
		}
		link_close(&l);
	}
}

/* A detached descriptor keeps what was on its way. */
CONTRACT(detach_loses_nothing_on_its_way)
{
	struct link l;
	char buf[8];

	for (enum link_kind kind = 0; kind < CLEAR_KINDS; kind++) {
		link_open(&l, kind);
		CHECK_EQ(soq_send(l.far, "kept", 4), 4);
		CHECK_OK(soq_adopt(&l.near, (int)CHECK_OK(soq_detach(l.near))));
		CHECK_EQ(soq_recv_full(l.near, buf, 4), 4);
		CHECK_MEM(buf, "kept", 4);
		soq_close(l.near);
		CHECK_EQ(soq_recv(l.far, buf, 4), 0);
		soq_close(l.far);
	}
}

CONTRACT(adopt_refuses_a_datagram_socket)
{
	struct soq_stream *s = NULL;
	struct soq_dgram *d;

	CHECK_OK(soq_dgram_open(&d, "udp://127.0.0.1:0"));
	CHECK_ERR(soq_adopt(&s, soq_dgram_fd(d)), -EPROTOTYPE);
	CHECK_ERR(soq_adopt(&s, -1), -EBADF);
	CHECK(!s);
	CHECK_OK(soq_dgram_set_hops(d, 9)); /* still its owner's */
	soq_dgram_close(d);
}

SIM(adopt_refuses_descriptors_of_the_kernel)
{
	struct soq_stream *s = NULL;

	CHECK_ERR(soq_adopt(&s, 0), -SOQ_ESIMULATED);
	CHECK_ERR(soq_adopt(&s, 65000), -SOQ_ESIMULATED);
	CHECK_ERR(soq_wait_fd(0, POLLIN), -SOQ_ESIMULATED);
	CHECK(!s);
}

CONTRACT_KERNEL(
	adopt_refuses_what_is_no_stream, "pipes and numbers of no file are the kernel's")
{
	struct soq_stream *s = NULL;
	int fds[2], dgram = (int)CHECK_OK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	char text[32];

	CHECK_OK(pipe2(fds, O_CLOEXEC));
	CHECK_ERR(soq_adopt(&s, fds[0]), -ENOTSOCK);
	CHECK_ERR(soq_adopt(&s, dgram), -EPROTOTYPE);
	CHECK_ERR(soq_adopt(&s, 65000), -EBADF);
	CHECK_ERR(soq_adopt(&s, -1), -EBADF);
	snprintf(text, sizeof(text), "fd://%d", dgram);
	CHECK_ERR(soq_connect(&s, text), -EPROTOTYPE);
	CHECK(strstr(soq_last_error(), text));
	CHECK(!s);
	CHECK_OK(fcntl(fds[0], F_GETFD)); /* still the caller's */
	close(fds[0]);
	close(fds[1]);
	close(dgram);
}

/* A description shared with others is not made non-blocking behind their back. */
CONTRACT_KERNEL(adopt_leaves_the_mode_to_the_others, "a simulated descriptor has no mode")
{
	struct soq_stream *s;
	char byte;
	int fds[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	CHECK_OK(soq_adopt(&s, fds[0]));
	soq_set_recv_timeout(s, SOQ_MS);
	CHECK_ERR(soq_recv(s, &byte, 1), -ETIMEDOUT);
	CHECK(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
	soq_close(s);
	close(fds[1]);

	/* And one that is non-blocking already works as well. */
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
	CHECK_OK(soq_adopt(&s, fds[0]));
	soq_set_recv_timeout(s, SOQ_MS);
	CHECK_ERR(soq_recv(s, &byte, 1), -ETIMEDOUT);
	soq_set_recv_timeout(s, SOQ_NEVER);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	CHECK_EQ(soq_recv(s, &byte, 1), 1);
	soq_close(s);
	close(fds[1]);
}

static unsigned freed;

static void count_free(void *data)
{
	CHECK_STR(data, "kept");
	freed++;
}

CONTRACT(stream_data_is_freed_with_the_stream)
{
	struct link l;

	link_open(&l, PAIR);
	CHECK(!soq_stream_data(l.near));
	soq_set_stream_data(l.near, (char[]){ "kept" }, count_free);
	CHECK_STR(soq_stream_data(l.near), "kept");
	CHECK_EQ(freed, 0);
	soq_close(l.near);
	CHECK_EQ(freed, 1);
	soq_close(l.far);
}
