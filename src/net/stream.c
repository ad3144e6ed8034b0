/* stream.c - receiving, sending, ending; see stream.h.
 *
 * Invariant: the buffer holds bytes that the kernel has given and the user has not got;
 * every receive empties it first.
 */
#include "net/net.h"
#include "net/tls.h"
#include <soquete/error.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEND_FILE_CHUNK ((size_t)512 * 1024)
#define TLS_FILE_CHUNK                                                        \
	((size_t)64 * 1024) /* read into memory, on a fiber's stack it is not \
			     */

/* ---- life ---- */

static bool is_tcp(const struct soq__worker *w, const struct soq__socket *s)
{
	int protocol = 0;
	socklen_t len = sizeof(protocol);

	soq__type(w)->get_option(s, SOL_SOCKET, SO_PROTOCOL, &protocol, &len);
	return protocol == IPPROTO_TCP;
}

struct soq_stream *soq__stream_alloc(void)
{
	struct soq_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->worker = soq__worker();
	s->recv_timeout_ns = s->send_timeout_ns = SOQ_NEVER;
	return s;
}

void soq__stream_connected(struct soq_stream *s, const struct soq_addr *peer)
{
	bool tcp;

	if (peer && peer->len > sizeof(sa_family_t))
		s->peer = *peer;
	tcp = is_tcp(s->worker, &s->socket);
	s->socket.short_read_drains = tcp;
	if (tcp)
		soq__set_int(&s->socket, IPPROTO_TCP, TCP_NODELAY, 1);
}

int soq__stream_new(struct soq_stream **ret, int fd, bool foreign, const struct soq_addr *peer)
{
	struct soq_stream *s = soq__stream_alloc();
	int rc;

	if (!s)
		return -ENOMEM;
	rc = soq__type(s->worker)->adopt(s->worker->engine, &s->socket, fd, foreign);
	if (rc < 0) {
		free(s);
		return rc;
	}
	soq__stream_connected(s, peer);
	*ret = s;
	return 0;
}

int soq_adopt(struct soq_stream **ret, int fd)
{
	struct soq__socket socket;
	int rc = soq__open_inherited(&socket, fd, SOCK_STREAM);

	return rc < 0 ? rc : soq__stream_new(ret, fd, true, NULL);
}

void soq__close_fd(int fd)
{
	struct soq__worker *w = soq__worker();
	struct soq__socket s = { .fd = fd };

	soq__type(w)->close_socket(w->engine, &s);
}

int soq_pair(struct soq_stream *ret[2])
{
	struct soq__worker *w = soq__worker();
	struct soq_stream *first, *second;
	int fds[2];
	int rc = soq__type(w)->open_pair(w->engine, SOCK_STREAM, fds);

	if (rc < 0)
		return rc;
	rc = soq__stream_new(&first, fds[0], true, NULL);
	if (rc < 0) {
		soq__close_fd(fds[0]);
		soq__close_fd(fds[1]);
		return rc;
	}
	rc = soq__stream_new(&second, fds[1], true, NULL);
	if (rc < 0) {
		soq_close(first);
		soq__close_fd(fds[1]);
		return rc;
	}
	ret[0] = first;
	ret[1] = second;
	return 0;
}

static void stream_free(struct soq_stream *s)
{
	if (s->free_data)
		s->free_data(s->data);
	soq__tls_free(s);
	free(s->buffer);
	free(s);
}

/* Whoever is at it would go on in memory that is another's. */
static void assert_unused(const struct soq_stream *s)
{
	assert(!s->receiving && !s->sending);
	assert(!s->tls || !soq__tls_is_shaking(s));
}

void soq_close(struct soq_stream *s)
{
	if (!s)
		return;
	assert_unused(s);
	soq__type(s->worker)->close_socket(s->worker->engine, &s->socket);
	stream_free(s);
}

int soq_detach(struct soq_stream *s)
{
	int fd = s->socket.fd, rc;

	if (s->receiving || s->sending)
		return -EBUSY;
	if (s->tls)
		return -EOPNOTSUPP;
	rc = soq__type(s->worker)->release(s->worker->engine, &s->socket);
	if (rc < 0)
		return rc;
	stream_free(s);
	return fd;
}

/* ---- receiving ---- */

static ssize_t recv_socket(struct soq_stream *s, void *buf, size_t len)
{
	struct soq__op op = {
		.code = SOQ__OP_RECV, .socket = &s->socket, .buf = buf, .len = len
	};
	int64_t n;

	if (s->receiving)
		return -EBUSY;
	s->receiving = true;
	soq__list_init(&op.node);
	n = s->tls ? soq__tls_recv(s, buf, len) : soq__perform(&op, s->recv_timeout_ns);
	s->receiving = false;
	return (ssize_t)n;
}

static size_t take_buffered(struct soq_stream *s, void *buf, size_t len)
{
	size_t n = soq__min_size(len, s->count);

	memcpy(buf, s->buffer + s->first, n);
	s->first += n;
	s->count -= n;
	return n;
}

ssize_t soq_recv(struct soq_stream *s, void *buf, size_t len)
{
	int rc;

	if (len == 0 || len > SSIZE_MAX)
		return -EINVAL;
	if (s->count == 0)
		return recv_socket(s, buf, len);
	rc = s->receiving ? -EBUSY : soq__check(s->worker->current);
	return rc < 0 ? rc : (ssize_t)take_buffered(s, buf, len);
}

ssize_t soq_recv_full(struct soq_stream *s, void *buf, size_t len)
{
	size_t total = 0;

	if (len == 0 || len > SSIZE_MAX)
		return -EINVAL;
	while (total < len) {
		ssize_t n = soq_recv(s, (char *)buf + total, len - total);

		if (n < 0 && total == 0)
			return n;
		if (n <= 0)
			break;
		total += (size_t)n;
	}
	return (ssize_t)total;
}

/* Make room for @room bytes behind those that are buffered. */
static int reserve(struct soq_stream *s, size_t room)
{
	size_t capacity = s->capacity ? s->capacity : 4096;
	char *buffer;

	if (s->first > 0 && s->count > 0)
		memmove(s->buffer, s->buffer + s->first, s->count);
	s->first = 0;
	if (room > SSIZE_MAX - s->count)
		return -ENOMEM;
	if (s->buffer && s->capacity - s->count >= room)
		return 0;
	while (capacity - s->count < room)
		capacity *= 2;
	buffer = realloc(s->buffer, capacity);
	if (!buffer)
		return -ENOMEM;
	s->buffer = buffer;
	s->capacity = capacity;
	return 0;
}

ssize_t soq__stream_fill(struct soq_stream *s, size_t room)
{
	ssize_t n = s->receiving ? -EBUSY : reserve(s, room);

	if (n < 0)
		return n;
	n = recv_socket(s, s->buffer + s->count, s->capacity - s->count);
	if (n > 0)
		s->count += (size_t)n;
	return n;
}

void soq__stream_trim(struct soq_stream *s)
{
	if (s->tls)
		soq__tls_trim(s);
	if (s->count > 0)
		return;
	free(s->buffer);
	s->buffer = NULL;
	s->first = s->capacity = 0;
}

int soq_unrecv(struct soq_stream *s, const void *buf, size_t len)
{
	int rc;

	if (len == 0)
		return 0;
	if (s->receiving)
		return -EBUSY;
	if (s->first < len) {
		rc = reserve(s, len);
		if (rc < 0)
			return rc;
		memmove(s->buffer + len, s->buffer, s->count);
		s->first = len;
	}
	s->first -= len;
	memcpy(s->buffer + s->first, buf, len);
	s->count += len;
	return 0;
}

int soq_wait_readable(struct soq_stream *s)
{
	struct soq__op op = { .code = SOQ__OP_POLL, .socket = &s->socket, .events = POLLIN };
	int64_t rc;

	if (s->receiving)
		return -EBUSY;
	if (s->count > 0)
		return soq__check(s->worker->current);
	s->receiving = true;
	soq__list_init(&op.node);
	rc = s->tls ? soq__tls_wait_readable(s) : soq__perform(&op, s->recv_timeout_ns);
	s->receiving = false;
	return rc < 0 ? (int)rc : 0;
}

/* ---- lines ---- */

/* Give out the buffered line of @line bytes that occupies @all of the buffer. */
static ssize_t take_line(struct soq_stream *s, char *buf, size_t line, size_t all)
{
	memcpy(buf, s->buffer + s->first, line);
	buf[line] = '\0';
	s->first += all;
	s->count -= all;
	return (ssize_t)line;
}

static ssize_t line_too_long(struct soq_stream *s, char *buf, size_t len)
{
	s->skip_line = true;
	take_line(s, buf, len - 1, len - 1);
	return -SOQ_ELINE;
}

/* A whole line in the buffer. @return its length or -SOQ_ELINE; -EAGAIN when there is none */
static ssize_t line_in_buffer(struct soq_stream *s, char *buf, size_t len, size_t *scanned)
{
	const char *start = s->buffer + s->first;
	const char *lf = s->count > *scanned
		? memchr(start + *scanned, '\n', s->count - *scanned)
		: NULL;
	size_t line, all;

	*scanned = s->count;
	if (!lf) /* a CR LF may follow the longest line that fits */
		return s->count > len ? line_too_long(s, buf, len) : -EAGAIN;
	line = (size_t)(lf - start);
	all = line + 1;
	if (line > 0 && start[line - 1] == '\r')
		line--;
	if (line < len)
		return take_line(s, buf, line, all);
	return line_too_long(s, buf, len);
}

/* The peer has finished: what is left is the last line. */
static ssize_t last_line(struct soq_stream *s, char *buf, size_t len)
{
	if (s->count == 0)
		return -ENODATA;
	if (s->count < len)
		return take_line(s, buf, s->count, s->count);
	return line_too_long(s, buf, len);
}

/* Skip to the end of a line that was too long. @return 0 or a negative code */
static int skip_line(struct soq_stream *s)
{
	while (s->skip_line) {
		const char *start = s->buffer + s->first;
		const char *lf = s->count ? memchr(start, '\n', s->count) : NULL;
		size_t n = lf ? (size_t)(lf - start) + 1 : s->count;
		ssize_t filled;

		s->first += n;
		s->count -= n;
		if (lf) {
			s->skip_line = false;
			break;
		}
		filled = soq__stream_fill(s, 1);
		if (filled == 0)
			s->skip_line = false;
		if (filled <= 0)
			return filled < 0 ? (int)filled : -ENODATA;
	}
	return 0;
}

ssize_t soq_recv_line(struct soq_stream *s, char *buf, size_t len)
{
	size_t scanned = 0;
	ssize_t n = len == 0 || len > SSIZE_MAX ? -EINVAL : soq__check(s->worker->current);

	if (n == 0)
		n = skip_line(s);
	if (n < 0)
		return n;
	for (;;) {
		n = line_in_buffer(s, buf, len, &scanned);
		if (n != -EAGAIN)
			return n;
		n = soq__stream_fill(s, 1);
		if (n < 0)
			return n;
		if (n == 0)
			return last_line(s, buf, len);
	}
}

/* ---- sending ---- */

/* What stays true of the connection, and not only of this call. */
static bool is_fatal(int64_t code)
{
	return code != -ETIMEDOUT && code != -ECANCELED && code != -EBUSY && code != -ENOBUFS &&
		code != -ENOMEM;
}

static int begin_send(struct soq_stream *s)
{
	int rc = s->sending ? -EBUSY : s->send_error;

	if (rc < 0)
		return rc;
	s->sending = true;
	return 0;
}

/* @return what the caller is told of @sent bytes and then @code (0: no error) */
static ssize_t end_send(struct soq_stream *s, size_t sent, int64_t code)
{
	s->sending = false;
	if (code < 0 && sent == 0)
		return (ssize_t)code;
	if (code < 0 && is_fatal(code))
		s->send_error = (int)code;
	return (ssize_t)sent;
}

/* @return the bytes that the socket has taken, or a negative code */
static int64_t send_socket(struct soq_stream *s, const char *buf, size_t len)
{
	struct soq__op op = {
		.code = SOQ__OP_SEND,
		.socket = &s->socket,
		.buf = (char *)(uintptr_t)buf,
		.len = len,
		.flags = MSG_NOSIGNAL,
	};

	soq__list_init(&op.node);
	return soq__perform(&op, s->send_timeout_ns);
}

/* Send all that can be, by the sending fiber. @return 0, or what cut it short */
static int64_t send_all(struct soq_stream *s, const char *buf, size_t len, size_t *sent)
{
	int64_t n = 0;
	int cut = 0;

	while (*sent < len && n >= 0) {
		if (s->tls)
			n = soq__tls_send(s, buf + *sent, len - *sent, &cut);
		else
			n = send_socket(s, buf + *sent, len - *sent);
		if (n > 0)
			*sent += (size_t)n;
		if (cut < 0)
			n = cut;
	}
	return n < 0 ? n : 0;
}

ssize_t soq_send(struct soq_stream *s, const void *buf, size_t len)
{
	size_t sent = 0;
	int64_t n = len > SSIZE_MAX ? -EINVAL : begin_send(s);

	if (n < 0)
		return (ssize_t)n;
	n = send_all(s, buf, len, &sent);
	return end_send(s, sent, n);
}

ssize_t soq_send_text(struct soq_stream *s, const char *text)
{
	return soq_send(s, text, strlen(text));
}

static int64_t wait_writable(struct soq_stream *s)
{
	struct soq__op op = { .code = SOQ__OP_POLL, .socket = &s->socket, .events = POLLOUT };

	soq__list_init(&op.node);
	return soq__perform(&op, s->send_timeout_ns);
}

/* sendfile(2) has no MSG_NOSIGNAL, and raises SIGPIPE where the peer no longer receives:
 * hold it back, and take it away unless it was there before. */
static ssize_t send_file_quietly(struct soq_stream *s, int fd, off_t *offset, size_t len)
{
	static const struct timespec at_once;
	sigset_t broken_pipe, former, pending;
	ssize_t n;

	sigemptyset(&broken_pipe);
	sigaddset(&broken_pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &broken_pipe, &former);
	sigpending(&pending);
	n = soq__type(s->worker)->send_file(&s->socket, fd, offset, len);
	if (n < (ssize_t)len && !sigismember(&pending, SIGPIPE))
		sigtimedwait(&broken_pipe, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	return n;
}

/* What is sent must be encrypted, and so read first. */
static int64_t send_file_read(
	struct soq_stream *s, int fd, int64_t offset, size_t len, size_t *sent)
{
	char *chunk = malloc(TLS_FILE_CHUNK);
	int64_t rc = chunk ? 0 : -ENOMEM;

	while (*sent < len && rc == 0) {
		size_t chunk_sent = 0;
		ssize_t n = pread(fd, chunk, soq__min_size(len - *sent, TLS_FILE_CHUNK),
			(off_t)(offset + (int64_t)*sent));

		if (n <= 0) {
			rc = n < 0 ? -errno : 0;
			break;
		}
		rc = send_all(s, chunk, (size_t)n, &chunk_sent);
		*sent += chunk_sent;
	}
	free(chunk);
	return rc;
}

static int64_t send_file_directly(
	struct soq_stream *s, int fd, int64_t offset, size_t len, size_t *ret_sent)
{
	size_t sent = 0;
	off_t at = offset;
	ssize_t n = 0;

	while (sent < len) {
		n = soq__check(s->worker->current);
		if (n == 0)
			n = send_file_quietly(
				s, fd, &at, soq__min_size(len - sent, SEND_FILE_CHUNK));
		if (n == -EAGAIN)
			n = (ssize_t)wait_writable(s);
		else if (n == 0)
			break; /* the file ends here */
		else if (n > 0)
			sent += (size_t)n;
		if (n < 0)
			break;
		if (sent < len && s->worker->ready_count > 0)
			soq__reschedule(s->worker); /* a big file is not to hold others up */
	}
	*ret_sent = sent;
	return n < 0 ? n : 0;
}

ssize_t soq_send_file(struct soq_stream *s, int fd, int64_t offset, size_t len)
{
	size_t sent = 0;
	int64_t n = len > SSIZE_MAX || offset < 0 ? -EINVAL : begin_send(s);

	if (n < 0)
		return (ssize_t)n;
	n = (s->tls ? send_file_read : send_file_directly)(s, fd, offset, len, &sent);
	return end_send(s, sent, n);
}

/* ---- ending ---- */

int soq_shutdown(struct soq_stream *s)
{
	int rc = 0;

	if (s->tls && s->sending)
		return -EBUSY;
	if (s->tls) {
		s->sending = true;
		rc = soq__tls_shutdown(s);
		s->sending = false;
	}
	if (rc == -ETIMEDOUT || rc == -ECANCELED)
		return rc;
	return soq__type(s->worker)->shutdown(&s->socket, SHUT_WR);
}

int soq_finish(struct soq_stream *s)
{
	char waste[4096];
	ssize_t n;

	if (!s)
		return 0;
	/* A handshake is not to begin now. And an alert, which says why there is none, is to
	 * arrive: end what is beneath gracefully all the same. */
	if (s->tls && !soq__tls_is_established(s)) {
		assert_unused(s);
		soq__tls_free(s);
	}
	n = soq_shutdown(s);
	/* A connection that has ended already, well or by a reset: receiving tells which. */
	if (n == -ENOTCONN)
		n = 0;
	s->count = 0;
	while (n >= 0) {
		n = soq_recv(s, waste, sizeof(waste));
		if (n == 0 || n == -SOQ_ETRUNCATED) /* of what is of no use to anybody */
			break;
	}
	soq_close(s);
	return n == -SOQ_ETRUNCATED ? 0 : (int)n;
}
