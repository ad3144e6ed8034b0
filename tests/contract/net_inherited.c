/* net_inherited.c - descriptors that came from elsewhere: from a parent by a fork, from whoever
 * started the program, or from its own code; and what they are when they leave again.
 */
#include "contract/net.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>

#define INHERITED "what is inherited, from a parent or a starter, is the kernel's"

/* In the child: a listener that the parent opened keeps nobody waiting longer than told. */
_Noreturn static void accept_in_the_child(struct soq_listener *l)
{
	struct soq_stream *s;
	int fd;

	for (int64_t timeout_ns = 0; timeout_ns <= 2 * SOQ_MS; timeout_ns += SOQ_MS) {
		soq_set_accept_timeout(l, timeout_ns);
		CHECK_ERR(soq_accept(&s, l), -ETIMEDOUT);
	}
	fd = raw_connect(l);
	soq_set_accept_timeout(l, SOQ_NEVER);
	CHECK_OK(soq_accept(&s, l));
	soq_close(s);
	close(fd);
	_exit(7);
}

static void accept_in_children(void)
{
	struct soq_listener *l;
	int status;
	pid_t pid;

	for (enum link_kind kind = TCP4; kind <= UNIX_ABSTRACT; kind++) {
		ROW("%s", link_names[kind]);
		if (kind == DUAL)
			continue;
		CHECK_OK(soq_listen(&l, link_endpoint(kind), NULL));
		pid = (pid_t)CHECK_OK(fork());
		if (pid == 0)
			accept_in_the_child(l);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), 7);
		soq_listener_close(l);
	}
}

CONTRACT_KERNEL(accept_in_a_forked_child, INHERITED)
{
	accept_in_children();
}

/* Left to itself, a child has epoll, whatever the parent opened the listener with. */
CONTRACT_KERNEL(accept_in_a_forked_child_of_another_engine, INHERITED)
{
	CHECK_OK(unsetenv("SOQUETE_ENGINE"));
	accept_in_children();
}

/* ---- what is refused stays its owner's ---- */

static void check_alive(int a, int b)
{
	char byte;

	CHECK_EQ(write(a, "x", 1), 1);
	CHECK_EQ(read(b, &byte, 1), 1);
	CHECK_EQ(write(b, "y", 1), 1);
	CHECK_EQ(read(a, &byte, 1), 1);
}

/* listen(2) refuses a connected socket. */
CONTRACT_KERNEL(listen_fails_on_an_inherited_socket, INHERITED)
{
	struct soq_listener *l = NULL;
	struct soq_server *server;
	char text[32];
	int fds[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	snprintf(text, sizeof(text), "fd://%d", fds[0]);
	CHECK_ERR(soq_listen(&l, text, NULL), -EINVAL);
	CHECK(!l);
	CHECK(strstr(soq_last_error(), text));
	check_alive(fds[0], fds[1]);
	for (unsigned workers = 1; workers <= 2; workers++) {
		struct soq_server_options opt = { .workers = workers };

		ROW("%u workers", workers);
		CHECK_OK(soq_server_new(&server, &opt));
		CHECK_ERR(soq_server_listen(server, text, NULL, NULL), -EINVAL);
		soq_server_free(server);
		check_alive(fds[0], fds[1]);
	}
	close(fds[0]);
	close(fds[1]);
}

/* ---- flags ---- */

static bool closes_on_exec(int fd)
{
	return CHECK_OK(fcntl(fd, F_GETFD)) & FD_CLOEXEC;
}

static bool is_nonblocking(int fd)
{
	return CHECK_OK(fcntl(fd, F_GETFL)) & O_NONBLOCK;
}

CONTRACT_KERNEL(inherited_descriptors_close_on_exec, INHERITED)
{
	struct soq_listener *l;
	struct soq_stream *s;
	struct soq_dgram *d;
	char text[32];
	int fds[2], fd;

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	CHECK_OK(soq_adopt(&s, fds[0]));
	CHECK(closes_on_exec(fds[0]));
	CHECK(!closes_on_exec(fds[1])); /* which nobody gave us */
	soq_close(s);
	snprintf(text, sizeof(text), "fd://%d", fds[1]);
	CHECK_OK(soq_connect(&s, text));
	CHECK(closes_on_exec(fds[1]));
	soq_close(s);

	fd = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	snprintf(text, sizeof(text), "fd://%d", fd);
	CHECK_OK(soq_listen(&l, text, NULL));
	CHECK(closes_on_exec(fd));
	soq_listener_close(l);

	fd = (int)CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	snprintf(text, sizeof(text), "fd://%d", fd);
	CHECK_OK(soq_dgram_open(&d, text));
	CHECK(closes_on_exec(fd));
	soq_dgram_close(d);
}

CONTRACT_KERNEL(detach_of_what_came_nonblocking, INHERITED)
{
	struct soq_stream *s;
	char byte;
	int fds[2];

	for (int used = 0; used <= 1; used++) {
		ROW("used: %d", used);
		CHECK_OK(socketpair(
			AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
		CHECK_OK(soq_adopt(&s, fds[0]));
		soq_set_recv_timeout(s, SOQ_MS);
		if (used)
			CHECK_ERR(soq_recv(s, &byte, 1), -ETIMEDOUT);
		CHECK_EQ(soq_detach(s), fds[0]);
		CHECK(!is_nonblocking(fds[0]));
		close(fds[0]);
		close(fds[1]);
	}
}

/* Asking whether a descriptor is ready changes nothing about it. */
CONTRACT_KERNEL(wait_fd_leaves_the_mode, INHERITED)
{
	int fds[2];

	for (int nonblocking = 0; nonblocking <= 1; nonblocking++) {
		ROW("non-blocking: %d", nonblocking);
		CHECK_OK(pipe2(fds, O_CLOEXEC | (nonblocking ? O_NONBLOCK : 0)));
		CHECK_EQ(soq_wait_fd(fds[1], POLLOUT), POLLOUT);
		CHECK_EQ(is_nonblocking(fds[1]), nonblocking);
		soq_deadline(soq_now() + SOQ_MS);
		CHECK_ERR(soq_wait_fd(fds[0], POLLIN), -ETIMEDOUT);
		soq_deadline_restore(SOQ_NEVER);
		CHECK_EQ(is_nonblocking(fds[0]), nonblocking);
		close(fds[0]);
		close(fds[1]);
	}
}
