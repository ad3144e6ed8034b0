/* peer_epoll.c - echo by hand on epoll: the limit of the readiness model.
 *
 * One thread, edge-triggered, so that a descriptor costs no epoll_ctl after its
 * first and no second look in the next epoll_wait. A request costs one recv, one
 * send, and its share of an epoll_wait.
 *
 * Invariant: a connection has unsent bytes, and then is not read, or was read
 * until short. A short read means empty on a stream (epoll(7), Q9), except when
 * the peer's FIN came in the same edge: EPOLLRDHUP says so.
 */
#include "peer.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 512
#define BUF_BYTES  16384

struct conn {
	int fd;
	size_t unsent_start, unsent_end; /* into unsent */
	char *unsent;			 /* allocated the first time a send falls short */
};

static void conn_close(struct conn *c)
{
	close(c->fd);
	free(c->unsent);
	free(c);
}

/* Returns bytes sent, @len or fewer when the socket is full; -1 when it is broken. */
static ssize_t send_some(int fd, const char *buf, size_t len)
{
	size_t sent = 0;

	while (sent < len) {
		ssize_t n = send(fd, buf + sent, len - sent, MSG_NOSIGNAL);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EAGAIN)
			break;
		else if (errno != EINTR)
			return -1;
	}
	return (ssize_t)sent;
}

/* Sends @len bytes of @buf, or keeps what does not fit. */
static bool conn_send(struct conn *c, const char *buf, size_t len)
{
	ssize_t n = send_some(c->fd, buf, len);

	if (n < 0)
		return false;
	if ((size_t)n == len)
		return true;
	if (!c->unsent && !(c->unsent = malloc(BUF_BYTES)))
		return false;
	c->unsent_start = 0;
	c->unsent_end = len - (size_t)n;
	memcpy(c->unsent, buf + n, c->unsent_end);
	return true;
}

static bool conn_flush(struct conn *c)
{
	size_t len = c->unsent_end - c->unsent_start;
	ssize_t n = send_some(c->fd, c->unsent + c->unsent_start, len);

	if (n < 0)
		return false;
	c->unsent_start += (size_t)n;
	return true;
}

/* Returns false when the connection has ended. */
static bool conn_turn(struct conn *c, uint32_t events, char *buf)
{
	if (c->unsent_start != c->unsent_end) {
		if (!conn_flush(c))
			return false;
		if (c->unsent_start != c->unsent_end)
			return true;
		events |= EPOLLRDHUP; /* its edge may have passed while we did not read */
	}
	for (;;) {
		ssize_t n = recv(c->fd, buf, BUF_BYTES, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0 || !conn_send(c, buf, (size_t)n))
			return false;
		if (c->unsent_start != c->unsent_end)
			return true;
		if (n < BUF_BYTES && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
			return true;
	}
}

static void accept_all(int epoll_fd, int listen_fd)
{
	int fd;

	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof *c);
		struct epoll_event ev = {
			.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
			.data.ptr = c,
		};

		if (!c)
			peer_die("accept", ENOMEM);
		c->fd = fd;
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
			conn_close(c);
	}
}

int main(void)
{
	static struct epoll_event events[EVENTS_MAX];
	static char buf[BUF_BYTES];
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	int listen_fd, epoll_fd;

	peer_init();
	listen_fd = peer_listen();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &ev) < 0)
		peer_die("epoll", errno);
	peer_ready(listen_fd);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		if (n < 0 && errno != EINTR)
			peer_die("epoll_wait", errno);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (!c)
				accept_all(epoll_fd, listen_fd);
			else if (!conn_turn(c, events[i].events, buf))
				conn_close(c);
		}
	}
}
