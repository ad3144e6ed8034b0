/* net_local.c - Unix sockets: who the peer is, and descriptors that are passed. */
#include "contract/net.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

CONTRACT(credentials_of_the_peer)
{
	struct soq_credentials who = { 0 };
	struct link l;

	for (enum link_kind kind = UNIX_PATH; kind < CLEAR_KINDS; kind++) {
		link_open(&l, kind);
		CHECK_OK(soq_peer_credentials(l.far, &who));
		CHECK_EQ(who.pid, test_is_simulated() ? 1 : getpid());
		CHECK_EQ(who.uid, test_is_simulated() ? 0 : getuid());
		CHECK_EQ(who.gid, test_is_simulated() ? 0 : getgid());
		link_close(&l);
	}
}

CONTRACT_KERNEL(credentials_of_another_process, "a simulated program is no process")
{
	struct soq_listen_options opt = { .unix_mode = 0777 };
	struct soq_listener *l;
	struct soq_credentials who;
	struct soq_stream *s;
	struct soq_addr addr;
	char byte;
	int status;
	pid_t pid;

	CHECK_OK(soq_listen(&l, link_endpoint(UNIX_PATH), &opt));
	CHECK_OK(soq_listener_addr(l, &addr));
	CHECK_OK(chmod(test_dir(), 0755));
	pid = fork();
	if (pid == 0) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if (getuid() == 0)
			CHECK_OK(setuid(65534));
		CHECK_OK(connect(fd, &addr.sa, addr.len));
		_exit(read(fd, &byte, 1) != 0);
	}
	CHECK_OK(soq_accept(&s, l));
	CHECK_OK(soq_peer_credentials(s, &who));
	CHECK_EQ(who.pid, pid);
	CHECK_EQ(who.uid, getuid() == 0 ? 65534 : getuid());
	soq_close(s);
	soq_listener_close(l);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* Another program of this host. */
static int sim_be_client(void *arg)
{
	struct soq_stream *s;
	char byte;

	CHECK_OK(soq_connect(&s, arg));
	CHECK_EQ(soq_recv(s, &byte, 1), 0);
	soq_close(s);
	return 0;
}

SIM(credentials_of_another_program)
{
	static char endpoint[] = "unix:///run/it";
	struct soq_credentials who;
	struct soq_listener *l;
	struct soq_stream *s;

	CHECK_OK(soq_listen(&l, endpoint, NULL));
	CHECK_OK(soq_sim_spawn(soq_sim_here(), sim_be_client, endpoint));
	CHECK_OK(soq_accept(&s, l));
	CHECK_OK(soq_peer_credentials(s, &who));
	CHECK_EQ(who.pid, 2);
	soq_close(s);
	soq_listener_close(l);
	CHECK_OK(soq_sleep(SOQ_S)); /* it ends */
}

/* A descriptor that was passed reads what the sender's reads, after the sender's is gone. */
CONTRACT(descriptor_passing)
{
	struct link l, passed;
	char buf[8];
	int got;

	for (enum link_kind kind = UNIX_PATH; kind < CLEAR_KINDS; kind++) {
		link_open(&passed, PAIR);
		link_open(&l, kind);
		CHECK_EQ(soq_send(passed.far, "inside", 6), 6);
		CHECK_OK(soq_send_fd(l.near, soq_fd(passed.near)));
		soq_close(passed.near);
		CHECK_OK(soq_recv_fd(l.far, &got));
		CHECK_OK(soq_adopt(&passed.near, got));
		CHECK_EQ(soq_recv_full(passed.near, buf, 6), 6);
		CHECK_MEM(buf, "inside", 6);
		CHECK_EQ(soq_send(passed.near, "back", 4), 4);
		CHECK_EQ(soq_recv_full(passed.far, buf, 4), 4);
		soq_close(passed.near);
		CHECK_EQ(soq_recv(passed.far, buf, 1), 0); /* that was the last of it */
		soq_close(passed.far);
		link_close(&l);
	}
}

/* A simulated message can carry what is the kernel's, too. */
CONTRACT(descriptor_passing_of_a_pipe)
{
	struct link l;
	char buf[8];
	int fds[2], got;

	link_open(&l, PAIR);
	CHECK_OK(pipe2(fds, O_CLOEXEC));
	CHECK_EQ(write(fds[1], "inside", 6), 6);
	CHECK_OK(soq_send_fd(l.near, fds[0]));
	close(fds[0]);
	CHECK_OK(soq_recv_fd(l.far, &got));
	CHECK(fcntl(got, F_GETFD) & FD_CLOEXEC);
	CHECK_EQ(read(got, buf, sizeof(buf)), 6);
	CHECK_MEM(buf, "inside", 6);
	close(got);
	close(fds[1]);
	link_close(&l);
}

static void recv_fd_late(void *arg)
{
	int got;

	CHECK_OK(soq_recv_fd(arg, &got));
	descriptor_close(got);
}

CONTRACT(descriptor_passing_waits)
{
	struct soq_scope *scope = scope_open();
	struct link l;
	int got = -2;

	link_open(&l, PAIR);
	soq_set_recv_timeout(l.far, SOQ_MS);
	CHECK_ERR(soq_recv_fd(l.far, &got), -ETIMEDOUT);
	CHECK_EQ(got, -2);
	soq_set_recv_timeout(l.far, SOQ_NEVER);
	go(scope, recv_fd_late, l.far);
	CHECK_OK(soq_send_fd(l.near, soq_fd(l.near)));
	scope_join(scope);
	CHECK_OK(soq_shutdown(l.near));
	CHECK_ERR(soq_recv_fd(l.far, &got), -ENODATA);
	link_close(&l);
}

CONTRACT(descriptor_wanted_but_a_byte_came)
{
	struct link l;
	int got = -2;

	link_open(&l, UNIX_ABSTRACT);
	CHECK_EQ(soq_send(l.near, "x", 1), 1);
	CHECK_ERR(soq_recv_fd(l.far, &got), -EBADMSG);
	CHECK_OK(soq_send_fd(l.near, soq_fd(l.near))); /* and the next is in its place */
	CHECK_OK(soq_recv_fd(l.far, &got));
	descriptor_close(got);
	CHECK_OK(soq_unrecv(l.far, "y", 1));
	CHECK_ERR(soq_recv_fd(l.far, &got), -EBADMSG);
	link_close(&l);
}

/* Passed to one who only reads bytes, it is closed. So it is when nobody receives it. */
CONTRACT(descriptor_came_but_a_byte_was_wanted)
{
	struct link l, passed;
	char byte, end;

	link_open(&l, PAIR);
	link_open(&passed, PAIR);
	CHECK_OK(soq_send_fd(l.near, soq_fd(passed.near)));
	soq_close(passed.near);
	CHECK_EQ(soq_recv(l.far, &byte, 1), 1);
	CHECK_EQ(soq_recv(passed.far, &end, 1), 0); /* nobody has it any more */
	soq_close(passed.far);

	link_open(&passed, PAIR);
	CHECK_OK(soq_send_fd(l.near, soq_fd(passed.near)));
	soq_close(passed.near);
	link_close(&l);
	CHECK_EQ(soq_recv(passed.far, &end, 1), 0);
	soq_close(passed.far);
}

/* @count copies of a descriptor in one message, as soq_send_fd() would never send them. */
static void send_many_fds(int socket, int fd, size_t count)
{
	union {
		char bytes[CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct msghdr hdr = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&hdr);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(cmsg) + i * sizeof(fd), &fd, sizeof(fd));
	CHECK_EQ(sendmsg(socket, &hdr, 0), 1);
}

/* A peer that passes more than it was asked for must not fill our table of descriptors. */
CONTRACT_KERNEL(descriptors_unasked_for_are_closed, "only sendmsg(2) can pass so many")
{
	struct link l;
	char end;
	int fds[2], got;

	if (test_is_emulated())
		SKIP("qemu-user keeps the descriptors of a message that it cuts");
	for (size_t count = 2; count <= 16; count++) {
		link_open(&l, PAIR);
		ROW("%zu descriptors", count);
		CHECK_OK(pipe2(fds, O_CLOEXEC));
		send_many_fds(soq_fd(l.near), fds[1], count);
		close(fds[1]);
		if (soq_recv_fd(l.far, &got) == 0)
			close(got);
		CHECK_EQ(read(fds[0], &end, 1), 0); /* no writer is left */
		close(fds[0]);
		link_close(&l);
	}
}

CONTRACT(local_calls_refuse_tcp)
{
	struct soq_credentials who;
	struct link l;
	int got;

	for (enum link_kind kind = TCP4; kind <= DUAL; kind++) {
		link_open(&l, kind);
		CHECK_ERR(soq_peer_credentials(l.near, &who), -EOPNOTSUPP);
		CHECK_ERR(soq_send_fd(l.near, soq_fd(l.far)), -EOPNOTSUPP);
		CHECK_ERR(soq_recv_fd(l.near, &got), -EOPNOTSUPP);
		link_close(&l);
	}
}

CONTRACT(descriptor_that_is_none)
{
	struct link l, other;
	int closed;

	link_open(&l, PAIR);
	link_open(&other, PAIR);
	closed = soq_fd(other.near);
	link_close(&other);
	CHECK_ERR(soq_send_fd(l.near, -1), -EBADF);
	CHECK_ERR(soq_send_fd(l.near, 65000), -EBADF);
	CHECK_ERR(soq_send_fd(l.near, closed), -EBADF);
	CHECK_EQ(soq_send(l.near, "x", 1), 1);
	link_close(&l);
}
