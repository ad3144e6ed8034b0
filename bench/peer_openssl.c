/* peer_openssl.c - a TLS server by hand, on OpenSSL and epoll: the limit of what a library
 * can do that adds comfort to OpenSSL.
 *
 * usage: peer_openssl done|again|echo|bulk CERTIFICATE   (PEM, with its key)
 *
 *	done   a small reply to a request, then the end
 *	again  the same, and the connection stays
 *	echo   every byte back
 *	bulk   after a request, records of 16 KiB for as long as the client takes them
 *
 * One thread, edge-triggered. OpenSSL reads ahead, so that small records cost one recv, and
 * gives its buffers back whenever they are empty.
 *
 * Invariant: a connection's socket had no more to give, or no more room, when last seen.
 * Source: SSL_read(3), SSL_CTX_set_mode(3), SSL_CTX_set_read_ahead(3).
 */
#include "peer.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX   512
#define RECORD_BYTES 16384

static const char reply_done[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
				 "Connection: close\r\n\r\ndone\n";
static const char reply_again[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ndone\n";

enum task { TASK_DONE, TASK_AGAIN, TASK_ECHO, TASK_BULK };

struct conn {
	int fd;
	SSL *ssl;
	char *unsent; /* an echo for which the socket had no room */
	int unsent_bytes;
	bool asked;
};

struct server {
	enum task task;
	SSL_CTX *ctx;
	int epoll_fd, listen_fd;
};

static void conn_close(struct conn *c)
{
	SSL_free(c->ssl);
	close(c->fd);
	free(c->unsent);
	free(c);
}

/* @return whether OpenSSL only waits for the socket */
static bool waits(const struct conn *c, int rc)
{
	int error = SSL_get_error(c->ssl, rc);

	ERR_clear_error();
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

/* Each of these does one thing. @return > 0 when there may be more to do at once; else what
 * the call of OpenSSL's returned, or 0 with errors cleared when the connection is over. */

static int echo_one(struct conn *c)
{
	static char buf[RECORD_BYTES];
	int n, sent;

	if (c->unsent) {
		sent = SSL_write(c->ssl, c->unsent, c->unsent_bytes);
		if (sent <= 0)
			return sent;
		free(c->unsent);
		c->unsent = NULL;
	}
	n = SSL_read(c->ssl, buf, sizeof buf);
	if (n <= 0)
		return n;
	sent = SSL_write(c->ssl, buf, n);
	if (sent > 0 || !waits(c, sent))
		return sent;
	c->unsent = malloc((size_t)n);
	if (!c->unsent)
		peer_die("echo", ENOMEM);
	memcpy(c->unsent, buf, (size_t)n);
	c->unsent_bytes = n;
	return sent;
}

static int bulk_one(struct conn *c)
{
	static char buf[RECORD_BYTES];
	int n = c->asked ? 1 : SSL_read(c->ssl, buf, sizeof buf);

	if (n <= 0)
		return n;
	c->asked = true;
	return SSL_write(c->ssl, buf, sizeof buf);
}

static int answer_one(struct conn *c, const char *reply, size_t len)
{
	char buf[1024];
	int n = SSL_read(c->ssl, buf, sizeof buf);

	return n <= 0 ? n : SSL_write(c->ssl, reply, (int)len);
}

static int answer_last(struct conn *c)
{
	int n = answer_one(c, reply_done, sizeof reply_done - 1);

	if (n <= 0)
		return n;
	SSL_shutdown(c->ssl);
	shutdown(c->fd, SHUT_WR);
	return n; /* the client's end comes next */
}

static int one(const struct server *s, struct conn *c)
{
	int rc;

	if (!SSL_is_init_finished(c->ssl)) {
		rc = SSL_do_handshake(c->ssl);
		if (rc <= 0)
			return rc;
	}
	switch (s->task) {
	case TASK_ECHO:
		return echo_one(c);
	case TASK_BULK:
		return bulk_one(c);
	case TASK_AGAIN:
		return answer_one(c, reply_again, sizeof reply_again - 1);
	default:
		return answer_last(c);
	}
}

static void conn_turn(const struct server *s, struct conn *c)
{
	int rc;

	do
		rc = one(s, c);
	while (rc > 0);
	if (!waits(c, rc))
		conn_close(c);
}

static void accept_all(const struct server *s)
{
	int fd;

	while ((fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof *c);
		struct epoll_event ev = {
			.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
			.data.ptr = c,
		};

		if (!c)
			peer_die("accept", ENOMEM);
		c->fd = fd;
		c->ssl = SSL_new(s->ctx);
		if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1)
			peer_die("SSL_new", ENOMEM);
		SSL_set_accept_state(c->ssl);
		if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
			conn_close(c);
	}
}

static SSL_CTX *context_make(const char *certificate)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
		SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
		SSL_CTX_use_PrivateKey_file(ctx, certificate, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "peer_openssl: %s: no certificate with its key\n", certificate);
		exit(1);
	}
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets hold all */
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"bench", 5);
	return ctx;
}

static enum task task_parse(const char *word)
{
	static const char *const words[] = { "done", "again", "echo", "bulk" };

	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(word, words[i]) == 0)
			return (enum task)i;
	fprintf(stderr, "peer_openssl: %s: done, again, echo or bulk is needed\n", word);
	exit(2);
}

int main(int argc, char **argv)
{
	static struct epoll_event events[EVENTS_MAX];
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	struct server s;

	if (argc != 3) {
		fputs("usage: peer_openssl done|again|echo|bulk CERTIFICATE\n", stderr);
		return 2;
	}
	peer_init();
	s.task = task_parse(argv[1]);
	s.ctx = context_make(argv[2]);
	s.listen_fd = peer_listen();
	s.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s.epoll_fd < 0 || epoll_ctl(s.epoll_fd, EPOLL_CTL_ADD, s.listen_fd, &ev) < 0)
		peer_die("epoll", errno);
	peer_ready(s.listen_fd);
	for (;;) {
		int n = epoll_wait(s.epoll_fd, events, EVENTS_MAX, -1);

		if (n < 0 && errno != EINTR)
			peer_die("epoll_wait", errno);
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				conn_turn(&s, events[i].data.ptr);
			else
				accept_all(&s);
	}
}
