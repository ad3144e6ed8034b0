/* unix_rights.c - descriptors in messages between simulated sockets: the simulation's own, and
 * files of the machine's.
 */
#include "sim/model.h"

#include <fcntl.h>

static struct soq__sim_socket *pair[2];
static char bytes[1 << 17];

static void open_pair(int type)
{
	world_open(1, NULL);
	un_pair(pair, type);
}

static int64_t pass_fds(
	struct soq__sim_socket *s, const void *buf, size_t len, const int *fds, size_t count)
{
	const struct control c = { SOL_SOCKET, SCM_RIGHTS, fds, count * sizeof(int) };

	return send_msg(s, buf, len, NULL, &c, 0);
}

static int open_file(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

/* How many descriptors of the machine's are open. */
static unsigned open_count(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* ---- files ---- */

/* A file's descriptor is copied, and the copy is closed on exec. */
TEST(sim_rights_of_files)
{
	struct received r;
	int file = open_file();

	open_pair(SOCK_STREAM);
	CHECK_EQ(pass_fds(pair[0], "x", 1, &file, 1), 1);
	r = recv_msg(pair[1], 10, 64, 0);
	CHECK_EQ(r.n, 1);
	CHECK_EQ(r.fd_count, 1);
	CHECK(r.fds[0] != file);
	CHECK_EQ(fcntl(r.fds[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(close(r.fds[0]), 0);
	CHECK_EQ(close(file), 0);
	world_close();
}

/* Descriptors are with the bytes that they came with: a receive ends with these. Who does not
 * ask for them, or has no room, loses them. */
TEST(sim_rights_in_streams)
{
	static const struct {
		size_t len, room;
		int64_t n;
		unsigned fds;
		int flags;
	} rows[] = {
		{ 10, 64, 3, 1, 0 },	     /* "A" has none, "bb" has some, "cc" others */
		{ 1, 64, 1, 1, 0 },	     /* the first of "cc" */
		{ 2, 64, 2, 0, 0 },	     /* its second, and "D" */
		{ 10, 0, 2, 0, MSG_CTRUNC }, /* "ee" */
	};
	int file = open_file();
	unsigned before = open_count();

	open_pair(SOCK_STREAM);
	CHECK_EQ(send_now(pair[0], "A", 1), 1);
	CHECK_EQ(pass_fds(pair[0], "bb", 2, &file, 1), 2);
	CHECK_EQ(pass_fds(pair[0], "cc", 2, &file, 1), 2);
	CHECK_EQ(send_now(pair[0], "D", 1), 1);
	CHECK_EQ(pass_fds(pair[0], "ee", 2, &file, 1), 2);
	CHECK_EQ(send_now(pair[0], "F", 1), 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct received r = recv_msg(pair[1], rows[i].len, rows[i].room, 0);

		ROW("receive %zu", i);
		CHECK_EQ(r.n, rows[i].n);
		CHECK_EQ(r.fd_count, rows[i].fds);
		CHECK_EQ(r.flags, rows[i].flags);
		for (unsigned k = 0; k < r.fd_count; k++)
			CHECK_EQ(close(r.fds[k]), 0);
	}
	CHECK_EQ(recv_len(pair[1]), 1);
	CHECK_EQ(open_count(), before);
	CHECK_EQ(close(file), 0);
	world_close();
}

/* A look does not take them, but has copies of its own. */
TEST(sim_rights_peeked)
{
	int file = open_file();

	for (int dgram = 0; dgram < 2; dgram++) {
		ROW("datagrams: %d", dgram);
		open_pair(dgram ? SOCK_DGRAM : SOCK_STREAM);
		CHECK_EQ(pass_fds(pair[0], "x", 1, &file, 1), 1);
		for (int i = 0; i < 2; i++) {
			struct received r = recv_msg(pair[1], 10, 64, i ? 0 : MSG_PEEK);

			CHECK_EQ(r.n, 1);
			CHECK_EQ(r.fd_count, 1);
			CHECK_EQ(close(r.fds[0]), 0);
		}
		world_close();
	}
	CHECK_EQ(close(file), 0);
}

/* With room for some, the others are closed. */
TEST(sim_rights_truncated)
{
	static const struct {
		size_t room;
		unsigned fds;
		int flags;
	} rows[] = {
		{ 0, 0, MSG_CTRUNC },
		{ CMSG_LEN(0), 0, MSG_CTRUNC },
		{ CMSG_LEN(sizeof(int)), 1, MSG_CTRUNC },
		{ CMSG_LEN(2 * sizeof(int)), 2, MSG_CTRUNC },
		{ CMSG_LEN(3 * sizeof(int)), 3, 0 },
	};
	int file = open_file(), three[3] = { file, file, file };
	unsigned before = open_count();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct received r;

		ROW("room for %zu bytes", rows[i].room);
		open_pair(i % 2 ? SOCK_DGRAM : SOCK_STREAM);
		CHECK_EQ(pass_fds(pair[0], "x", 1, three, 3), 1);
		r = recv_msg(pair[1], 10, rows[i].room, 0);
		CHECK_EQ(r.fd_count, rows[i].fds);
		CHECK_EQ(r.flags, rows[i].flags);
		for (unsigned k = 0; k < r.fd_count; k++)
			CHECK_EQ(close(r.fds[k]), 0);
		CHECK_EQ(open_count(), before);
		world_close();
	}
	CHECK_EQ(close(file), 0);
}

TEST(sim_rights_refused)
{
	const int bad[] = { 0, 1, SOQ__SIM_FD_BASE + 9999 };
	const struct control other = { SOL_SOCKET, 77, bad, sizeof(int) },
			     elsewhere = { IPPROTO_IP, 8, bad, sizeof(int) };
	static int many[254];
	unsigned before;

	open_pair(SOCK_STREAM);
	before = open_count();
	CHECK_EQ(pass_fds(pair[0], "x", 1, bad, 3), -EBADF);
	CHECK_EQ(open_count(), before); /* the good ones are not kept */
	CHECK_EQ(pass_fds(pair[0], "x", 1, many, 254), -EINVAL);
	CHECK_EQ(open_count(), before);
	CHECK_EQ(send_msg(pair[0], "x", 1, NULL, &other, 0), -EINVAL);
	CHECK_EQ(recv_len(pair[1]), -EAGAIN);
	CHECK_EQ(send_msg(pair[0], "x", 1, NULL, &elsewhere, 0), 1);
	CHECK_EQ(recv_msg(pair[1], 10, 64, 0).control_bytes, 0);
	world_close();
}

/* ---- simulated sockets ---- */

/* A socket lives as long as a message has it; its receiver has a descriptor of its own. */
TEST(sim_rights_keep_a_socket)
{
	struct soq__sim_socket *passed[2];
	struct received r;
	int fd;

	open_pair(SOCK_STREAM);
	un_pair(passed, SOCK_DGRAM);
	fd = fd_of(passed[0]);
	CHECK_EQ(pass_fds(pair[0], "x", 1, &fd, 1), 1);
	CHECK_EQ(host_a->descriptors, 5);
	soq__sim_fd_close(sim, fd);
	CHECK_EQ(send_now(passed[1], "hey", 3), 3);
	r = recv_msg(pair[1], 10, 64, 0);
	CHECK_EQ(r.fd_count, 1);
	CHECK(soq__sim_socket_of(sim, r.fds[0]) == passed[0]);
	CHECK_EQ(recv_len(passed[0]), 3);
	/* Nobody takes it this time. */
	CHECK_EQ(pass_fds(pair[0], "x", 1, r.fds, 1), 1);
	soq__sim_fd_close(sim, r.fds[0]);
	CHECK_EQ(host_a->descriptors, 4);
	CHECK_EQ(recv_len(pair[1]), 1);
	CHECK_EQ(host_a->descriptors, 3);
	CHECK_EQ(send_now(passed[1], "x", 1), -ECONNREFUSED);
	world_close();
}

/* What is in a queue ends with it, and what is in the queue of that, too. */
TEST(sim_rights_nested)
{
	struct soq__sim_socket *a[2], *b[2];
	unsigned before = open_count();
	int fds[3];

	open_pair(SOCK_STREAM);
	un_pair(a, SOCK_STREAM);
	un_pair(b, SOCK_DGRAM);
	fds[0] = fd_of(a[1]);
	fds[1] = fd_of(b[1]);
	fds[2] = open_file();
	CHECK_EQ(pass_fds(b[0], "x", 1, &fds[2], 1), 1);    /* a file in b */
	CHECK_EQ(pass_fds(a[0], "x", 1, &fds[1], 1), 1);    /* b in a */
	CHECK_EQ(pass_fds(pair[0], "x", 1, &fds[0], 1), 1); /* a in the pair */
	soq__sim_fd_close(sim, fds[0]);
	soq__sim_fd_close(sim, fds[1]);
	CHECK_EQ(close(fds[2]), 0);
	CHECK_EQ(host_a->descriptors, 6);
	close_now(pair[1]);
	CHECK_EQ(host_a->descriptors, 3);
	CHECK_EQ(recv_len(a[0]), -ECONNRESET);
	CHECK_EQ(send_now(b[0], "x", 1), -ECONNREFUSED);
	CHECK_EQ(open_count(), before); /* the file's copy has gone */
	world_close();
}

/* Sockets in messages to themselves, and to each other: no program has them any more, and they
 * end with their host. */
TEST(sim_rights_cycles)
{
	for (int dgram = 0; dgram < 2; dgram++) {
		int fds[2];

		ROW("datagrams: %d", dgram);
		open_pair(dgram ? SOCK_DGRAM : SOCK_STREAM);
		for (int i = 0; i < 2; i++)
			fds[i] = fd_of(pair[i]);
		CHECK_EQ(pass_fds(pair[0], "x", 1, fds, 2), 1);
		CHECK_EQ(pass_fds(pair[1], "x", 1, fds, 2), 1);
		for (int i = 0; i < 2; i++)
			soq__sim_fd_close(sim, fds[i]);
		CHECK_EQ(host_a->descriptors, 4);
		CHECK_OK(soq_sim_crash(host_a));
		CHECK_EQ(host_a->descriptors, 0);
		world_close();
	}
}

/* A world that ends, and a host that crashes, close the machine's files in messages. */
TEST(sim_rights_in_a_crash)
{
	unsigned before = open_count();

	for (int crash = 0; crash < 2; crash++) {
		struct soq__sim_socket *l, *client, *to;
		int fds[2];

		ROW("crash: %d", crash);
		open_pair(SOCK_DGRAM);
		fds[0] = open_file();
		fds[1] = fd_of(pair[1]);
		CHECK_EQ(pass_fds(pair[0], "x", 1, fds, 2), 1);
		l = un(host_a, SOCK_STREAM);
		CHECK_OK(bind_now(l, named("path")));
		CHECK_OK(listen_now(l, 1));
		client = un(host_a, SOCK_STREAM);
		CHECK_EQ(connect_now(client, named("path")), 0);
		fds[1] = fd_of(client);
		CHECK_EQ(pass_fds(client, "x", 1, fds, 2), 1); /* to one not accepted yet */
		to = un(host_a, SOCK_DGRAM);
		CHECK_OK(bind_now(to, named("@to")));
		CHECK_EQ(connect_now(pair[0], named("@to")), 0);
		CHECK_EQ(pass_fds(pair[0], "x", 1, fds, 2), 1);
		CHECK_EQ(close(fds[0]), 0);
		CHECK_EQ(open_count(), before + 3);
		if (crash) {
			CHECK_OK(soq_sim_crash(host_a));
			CHECK_EQ(host_a->descriptors, 0);
			CHECK_EQ(open_count(), before);
		}
		world_close();
	}
	CHECK_EQ(open_count(), before);
}

/* A message that cannot be sent now takes nothing: its descriptors are the sender's, and go
 * once. */
TEST(sim_rights_wait_for_room)
{
	struct soq__sim_socket *passed[2];
	struct iovec iov = { bytes, 10 };
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room) };
	struct call send = { .op = { .code = SOQ__OP_SENDMSG, .msg = &msg } };
	struct cmsghdr *c = (struct cmsghdr *)room;
	int fd;

	open_pair(SOCK_STREAM);
	un_pair(passed, SOCK_STREAM);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	fd = fd_of(passed[0]);
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	while (send_now(pair[0], bytes, sizeof(bytes)) > 0)
		;
	call_begin(&send, pair[0]);
	CHECK_EQ(call_result(&send), -EINPROGRESS);
	CHECK_EQ(passed[0]->refs, 1);
	CHECK_EQ(recv_now(pair[1], bytes, 4), 4);
	CHECK_EQ(call_result(&send), 4); /* with the first bytes of the ten */
	CHECK_EQ(passed[0]->refs, 2);
	world_close();
}
