/* listener.c - see listener.h. */
#include "net/net.h"
#include "net/tls.h"
#include <soquete/error.h>
#include "fiber/last_error.h"
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>

struct soq_listener {
	struct soq__socket socket;
	struct soq__worker *worker;
	bool accepting;
	int64_t timeout_ns;
	struct soq__unix_path *path; /* NULL for other sockets */
	struct soq_tls *tls;	     /* that clients begin with, or NULL */
};

static int open_listening(struct soq_listener *l, const struct soq_endpoint *e,
	const char *text, const struct soq_listen_options *opt, bool found_port)
{
	struct soq__bind how = {
		.verb = "listen",
		.text = text,
		.type = SOCK_STREAM,
		.share_port = opt->share_port,
		.found_port = found_port,
		.ipv6_only = opt->ipv6_only,
		.unix_mode = opt->unix_mode,
	};
	int rc;

	if (e->scheme == SOQ_SCHEME_FD)
		rc = soq__open_inherited(&l->socket, e->fd, SOCK_STREAM);
	else
		rc = soq__open_bound(&l->socket, &l->path, e, &how);
	if (rc < 0 && e->scheme != SOQ_SCHEME_FD)
		return rc;
	if (rc < 0)
		return soq__fail(rc, "listen %s: %s", text, soq_strerror(rc));
	rc = soq__type(l->worker)->listen(&l->socket, (int)opt->backlog);
	if (rc < 0) {
		soq__fail(rc, "listen %s: %s", text, soq_strerror(rc));
		/* An inherited one is still its owner's. */
		if (e->scheme != SOQ_SCHEME_FD)
			soq__type(l->worker)->close_socket(l->worker->engine, &l->socket);
		soq__unix_unbind(l->path);
		return rc;
	}
	soq__unix_connectable(l->path);
	return 0;
}

static int check_scheme(
	const struct soq_endpoint *e, const char *text, const struct soq_tls *tls)
{
	bool is_tls = tls || e->scheme == SOQ_SCHEME_TLS;

	if (e->scheme == SOQ_SCHEME_UDP || e->scheme == SOQ_SCHEME_UNIXGRAM)
		return soq__fail(-EPROTOTYPE,
			"listen %s: this is a datagram endpoint; use soq_dgram_open()", text);
	if (is_tls && !soq__tls_can_serve(tls))
		return soq__fail(-EINVAL,
			"listen %s: TLS needs a certificate and its key; `soquete cert` makes "
			"some to try it",
			text);
	return 0;
}

int soq__listen(struct soq_listener **ret, const char *endpoint,
	const struct soq_listen_options *opt, bool found_port)
{
	static const struct soq_listen_options defaults;
	struct soq_endpoint e;
	struct soq_listener *l;
	int rc = soq_endpoint_parse(&e, endpoint);

	opt = opt ? opt : &defaults;
	if (rc == 0)
		rc = check_scheme(&e, endpoint, opt->tls);
	if (rc < 0)
		return rc;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->worker = soq__worker();
	l->timeout_ns = SOQ_NEVER;
	rc = open_listening(l, &e, endpoint, opt, found_port);
	if (rc < 0) {
		free(l);
		return rc;
	}
	l->tls = soq__tls_ref(opt->tls);
	*ret = l;
	return 0;
}

int soq_listen(
	struct soq_listener **ret, const char *endpoint, const struct soq_listen_options *opt)
{
	return soq__listen(ret, endpoint, opt, false);
}

/* Errors of a client that is gone already (accept(2), "Error handling"). */
static bool client_gone(int64_t rc)
{
	switch (rc) {
	case -ECONNABORTED:
	case -EPROTO:
	case -ENETDOWN:
	case -ENOPROTOOPT:
	case -EHOSTDOWN:
	case -ENONET:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -EPERM:
		return true;
	default:
		return false;
	}
}

int soq__accept_fd(struct soq_listener *l, struct soq_addr *peer)
{
	int64_t fd;

	if (l->accepting)
		return -EBUSY;
	l->accepting = true;
	do {
		struct soq__op op = {
			.code = SOQ__OP_ACCEPT, .socket = &l->socket, .addr = peer
		};

		soq__list_init(&op.node);
		fd = soq__perform(&op, l->timeout_ns);
	} while (client_gone(fd));
	l->accepting = false;
	return (int)fd;
}

/* tcp(7): of a listening socket, TCP_INFO's unacked is the length of its queue. */
unsigned soq__listener_waiting(const struct soq_listener *l)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (soq__type(l->worker)->get_option(&l->socket, IPPROTO_TCP, TCP_INFO, &info, &len) <
		0)
		return UINT_MAX;
	/* Some emulators answer with the first field only. */
	if (len < offsetof(struct tcp_info, tcpi_unacked) + sizeof(info.tcpi_unacked))
		return UINT_MAX;
	return info.tcpi_unacked;
}

int soq_accept(struct soq_stream **ret, struct soq_listener *l)
{
	struct soq_stream *s;
	struct soq_addr peer;
	int fd = soq__accept_fd(l, &peer), rc;

	if (fd < 0)
		return fd;
	rc = soq__stream_new(&s, fd, false, &peer);
	if (rc < 0) {
		soq__close_fd(fd);
		return rc;
	}
	if (l->tls)
		rc = soq__tls_begin(
			s, &(struct soq__tls_begin){ .tls = l->tls, .server = true });
	if (rc < 0) {
		soq_close(s);
		return rc;
	}
	*ret = s;
	return 0;
}

int soq_listener_addr(const struct soq_listener *l, struct soq_addr *ret)
{
	return soq__type(l->worker)->local_addr(&l->socket, ret);
}

int soq_listener_fd(const struct soq_listener *l)
{
	return l->socket.fd;
}

void soq_set_accept_timeout(struct soq_listener *l, int64_t timeout_ns)
{
	l->timeout_ns = timeout_ns < 0 ? 0 : timeout_ns;
}

void soq_listener_close(struct soq_listener *l)
{
	if (!l)
		return;
	assert(!l->accepting);
	soq__unix_unbind(l->path);
	soq__type(l->worker)->close_socket(l->worker->engine, &l->socket);
	soq_tls_free(l->tls);
	free(l);
}

void soq__listener_own(struct soq_listener *l)
{
	l->worker = soq__worker();
}

void soq__listener_abandon(struct soq_listener *l)
{
	soq__type(soq__worker())->close_socket(soq__worker()->engine, &l->socket);
	free(l->path);
	soq_tls_free(l->tls);
	free(l);
}
