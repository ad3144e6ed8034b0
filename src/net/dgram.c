/* dgram.c - datagram sockets; see dgram.h. */
#include "net/dgram.h"
#include <soquete/error.h>
#include <soquete/sync.h>
#include <soquete/time.h>
#include "fiber/last_error.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

/* ---- life ---- */

static int family_of(const struct soq_dgram *d)
{
	int domain = AF_UNSPEC;
	socklen_t len = sizeof(domain);

	soq__type(d->worker)->get_option(&d->socket, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	return domain;
}

static struct soq_dgram *dgram_alloc(void)
{
	struct soq_dgram *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	if (soq_mutex_new(&d->sending) < 0) {
		free(d);
		return NULL;
	}
	d->worker = soq__worker();
	d->recv_timeout_ns = d->send_timeout_ns = SOQ_NEVER;
	return d;
}

static void dgram_free(struct soq_dgram *d)
{
	if (!d)
		return;
	soq_mutex_free(d->sending);
	free(d->gro);
	free(d);
}

void soq__dgram_own(struct soq_dgram *d)
{
	d->worker = soq__worker();
}

struct soq_dgram soq__dgram_view(const struct soq_dgram *d)
{
	return (struct soq_dgram){
		.socket = { .fd = d->socket.fd, .nonblocking = d->socket.nonblocking },
		.worker = soq__worker(),
		.family = d->family,
		.gro_refused = true, /* the socket is not ours to reconfigure */
		.recv_timeout_ns = d->recv_timeout_ns,
		.send_timeout_ns = d->send_timeout_ns,
	};
}

/* The socket is open: learn its family, and ask to be told where datagrams were sent to. */
static void dgram_opened(struct soq_dgram *d)
{
	d->family = family_of(d);
	if (d->family == AF_INET6)
		soq__set_int(&d->socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	/* A dual-stack socket too: only this tells which of our addresses stands for a
	 * broadcast or multicast one. */
	if (d->family == AF_INET6 || d->family == AF_INET)
		soq__set_int(&d->socket, IPPROTO_IP, IP_PKTINFO, 1);
}

static int check_scheme(const struct soq_endpoint *e, const char *verb, const char *text)
{
	if (e->scheme == SOQ_SCHEME_UDP || e->scheme == SOQ_SCHEME_UNIXGRAM ||
		e->scheme == SOQ_SCHEME_FD)
		return 0;
	return soq__fail(-EPROTOTYPE,
		"%s %s: this is a stream's endpoint; a datagram one begins with udp:// or "
		"unixgram://",
		verb, text);
}

/* Who else may have the port: nobody, whoever comes after us, or whoever shares it. */
enum sharing { ALONE, FOUNDED, SHARED };

static int open_endpoint(
	struct soq_dgram *d, const struct soq_endpoint *e, const char *text, enum sharing share)
{
	struct soq__bind how = {
		.verb = "bind",
		.text = text,
		.type = SOCK_DGRAM,
		.share_port = share == SHARED,
		.found_port = share == FOUNDED,
	};
	int rc;

	if (e->scheme != SOQ_SCHEME_FD) {
		rc = soq__open_bound(&d->socket, &d->path, e, &how);
		if (rc == 0)
			soq__unix_connectable(d->path);
		return rc;
	}
	rc = soq__open_inherited(&d->socket, e->fd, SOCK_DGRAM);
	return rc < 0 ? soq__fail(rc, "bind %s: %s", text, soq_strerror(rc)) : 0;
}

static int dgram_open(struct soq_dgram **ret, const char *endpoint, enum sharing share)
{
	struct soq_endpoint e;
	struct soq_dgram *d;
	int rc = soq_endpoint_parse(&e, endpoint);

	if (rc == 0)
		rc = check_scheme(&e, "bind", endpoint);
	if (rc < 0)
		return rc;
	d = dgram_alloc();
	if (!d)
		return -ENOMEM;
	rc = open_endpoint(d, &e, endpoint, share);
	if (rc < 0) {
		dgram_free(d);
		return rc;
	}
	dgram_opened(d);
	*ret = d;
	return 0;
}

int soq_dgram_open(struct soq_dgram **ret, const char *endpoint)
{
	return dgram_open(ret, endpoint, ALONE);
}

int soq__dgram_open(struct soq_dgram **ret, const char *endpoint, bool found_port)
{
	return dgram_open(ret, endpoint, found_port ? FOUNDED : ALONE);
}

int soq_dgram_open_shared(struct soq_dgram **ret, const char *endpoint)
{
	return dgram_open(ret, endpoint, SHARED);
}

static int resolve_first(
	struct soq_addr *ret, const struct soq_endpoint *e, const char *verb, const char *text)
{
	struct soq_addrs addrs;
	int rc = check_scheme(e, verb, text);

	if (rc < 0)
		return rc;
	if (e->scheme == SOQ_SCHEME_FD)
		return soq__fail(-EPROTOTYPE, "%s %s: a descriptor has no address", verb, text);
	if (e->scheme == SOQ_SCHEME_UNIXGRAM) {
		soq__unix_addr(ret, e);
		return 0;
	}
	rc = soq__resolve(&addrs, e, false);
	if (rc < 0)
		return rc;
	*ret = addrs.list[0];
	free(addrs.list);
	return 0;
}

int soq_dgram_resolve(struct soq_addr *ret, const char *endpoint)
{
	struct soq_endpoint e;
	int rc = soq_endpoint_parse(&e, endpoint);

	return rc < 0 ? rc : resolve_first(ret, &e, "look up", endpoint);
}

/* A Unix datagram client needs a name, or nobody can answer it: the kernel chooses an
 * abstract one (unix(7), "Autobind feature"). */
static int autobind(struct soq_dgram *d)
{
	struct soq_addr name = { .len = sizeof(sa_family_t) };

	name.sa.sa_family = AF_UNIX;
	return soq__type(d->worker)->bind(&d->socket, &name);
}

static int connect_to(struct soq_dgram *d, const struct soq_addr *addr)
{
	const struct soq__engine_type *type = soq__type(d->worker);
	struct soq_addr to = *addr;
	struct soq__op op = { .code = SOQ__OP_CONNECT, .socket = &d->socket, .addr = &to };
	int rc = type->open_socket(
		d->worker->engine, &d->socket, addr->sa.sa_family, SOCK_DGRAM, 0);

	if (rc < 0)
		return rc;
	if (addr->sa.sa_family == AF_UNIX)
		rc = autobind(d);
	soq__list_init(&op.node);
	if (rc == 0)
		rc = (int)soq__perform(&op, SOQ_NEVER);
	if (rc < 0)
		type->close_socket(d->worker->engine, &d->socket);
	return rc;
}

static int connect_first(struct soq_dgram *d, const struct soq_endpoint *e, const char *text)
{
	char at[SOQ_ADDR_TEXT_MAX];
	struct soq_addr addr;
	int rc;

	if (e->scheme == SOQ_SCHEME_FD)
		return open_endpoint(d, e, text, ALONE);
	rc = resolve_first(&addr, e, "connect", text);
	if (rc < 0)
		return rc;
	rc = connect_to(d, &addr);
	if (rc == 0)
		return 0;
	soq_addr_format(at, sizeof(at), &addr);
	return soq__fail(rc, "connect %s (%s): %s", text, at, soq_strerror(rc));
}

int soq_dgram_connect(struct soq_dgram **ret, const char *endpoint)
{
	struct soq_endpoint e;
	struct soq_dgram *d;
	int rc = soq_endpoint_parse(&e, endpoint);

	if (rc == 0)
		rc = check_scheme(&e, "connect", endpoint);
	if (rc < 0)
		return rc;
	d = dgram_alloc();
	if (!d)
		return -ENOMEM;
	rc = connect_first(d, &e, endpoint);
	if (rc < 0) {
		dgram_free(d);
		return rc;
	}
	dgram_opened(d);
	*ret = d;
	return 0;
}

static int adopt(struct soq_dgram **ret, int fd)
{
	struct soq_dgram *d = dgram_alloc();
	int rc = d ? soq__type(d->worker)->adopt(d->worker->engine, &d->socket, fd, true)
		   : -ENOMEM;

	if (rc < 0) {
		dgram_free(d);
		return rc;
	}
	dgram_opened(d);
	*ret = d;
	return 0;
}

int soq_dgram_pair(struct soq_dgram *ret[2])
{
	struct soq__worker *w = soq__worker();
	struct soq_dgram *first, *second;
	int fds[2];
	int rc = soq__type(w)->open_pair(w->engine, SOCK_DGRAM, fds);

	if (rc < 0)
		return rc;
	rc = adopt(&first, fds[0]);
	if (rc < 0) {
		soq__close_fd(fds[0]);
		soq__close_fd(fds[1]);
		return rc;
	}
	rc = adopt(&second, fds[1]);
	if (rc < 0) {
		soq_dgram_close(first);
		soq__close_fd(fds[1]);
		return rc;
	}
	ret[0] = first;
	ret[1] = second;
	return 0;
}

void soq_dgram_close(struct soq_dgram *d)
{
	if (!d)
		return;
	assert(!d->receiving);
	soq__unix_unbind(d->path);
	soq__type(d->worker)->close_socket(d->worker->engine, &d->socket);
	dgram_free(d);
}

/* ---- messages ---- */

void soq__dgram_message(struct soq__dgram_message *m, void *data, size_t len)
{
	m->iov = (struct iovec){ data, len };
	m->hdr = (struct msghdr){
		.msg_name = &m->name.un,
		.msg_namelen = sizeof(m->name.un),
		.msg_iov = &m->iov,
		.msg_iovlen = 1,
		.msg_control = m->control.bytes,
		.msg_controllen = sizeof(m->control.bytes),
	};
}

static void read_control(struct soq_packet *p, struct msghdr *hdr)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		/* The kernel wrote it, which clang's analyzer does not know. */
		/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			memset(&p->local, 0, sizeof(p->local));
			p->local.len = sizeof(p->local.in);
			p->local.in.sin_family = AF_INET;
			p->local.in.sin_addr = info.ipi_spec_dst;
			p->ifindex = (unsigned)info.ipi_ifindex;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
			p->local.len == 0) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			p->local.len = sizeof(p->local.in6);
			p->local.in6.sin6_family = AF_INET6;
			p->local.in6.sin6_addr = info.ipi6_addr;
			p->ifindex = info.ipi6_ifindex;
		}
	}
}

void soq__dgram_received(struct soq_packet *p, struct soq__dgram_message *m, size_t len)
{
	p->len = soq__min_size(len, p->capacity);
	p->truncated = m->hdr.msg_flags & MSG_TRUNC;
	p->ifindex = 0;
	memset(&p->local, 0, sizeof(p->local));
	p->peer.len = m->hdr.msg_namelen;
	if (p->peer.len > 0)
		memcpy(&p->peer.sa, &m->name.sa, p->peer.len);
	if (p->peer.len <= sizeof(sa_family_t))
		p->peer.len = 0;
	read_control(p, &m->hdr);
}

static void *add_control(struct msghdr *hdr, int level, int type, size_t bytes)
{
	struct cmsghdr *c = (struct cmsghdr *)((char *)hdr->msg_control + hdr->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(bytes);
	hdr->msg_controllen += CMSG_SPACE(bytes);
	return CMSG_DATA(c);
}

/* The reply's source: the address that was asked. A multicast or broadcast one cannot be a
 * source; the kernel chooses then, by the interface. */
static void write_source(struct msghdr *hdr, const struct soq_packet *p)
{
	if (p->local.len == 0)
		return;
	if (p->local.sa.sa_family == AF_INET) {
		struct in_pktinfo info = { .ipi_spec_dst = p->local.in.sin_addr };

		memcpy(add_control(hdr, IPPROTO_IP, IP_PKTINFO, sizeof(info)), &info,
			sizeof(info));
	} else if (p->local.sa.sa_family == AF_INET6) {
		bool link = IN6_IS_ADDR_LINKLOCAL(&p->local.in6.sin6_addr);
		struct in6_pktinfo info = { .ipi6_addr = p->local.in6.sin6_addr,
			.ipi6_ifindex = link ? p->ifindex : 0 };

		if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) {
			info.ipi6_addr = in6addr_any;
			info.ipi6_ifindex = p->ifindex;
		}
		memcpy(add_control(hdr, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(info)), &info,
			sizeof(info));
	}
}

void soq__dgram_to_send(
	struct soq__dgram_message *m, const struct soq_packet *p, size_t segment)
{
	uint16_t bytes = (uint16_t)segment;

	soq__dgram_message(m, p->data, p->len);
	m->name = p->peer;
	m->hdr.msg_namelen = p->peer.len;
	if (p->peer.len == 0)
		m->hdr.msg_name = NULL;
	memset(&m->control, 0, sizeof(m->control));
	m->hdr.msg_controllen = 0;
	write_source(&m->hdr, p);
	if (segment > 0)
		memcpy(add_control(&m->hdr, IPPROTO_UDP, SOQ__UDP_SEGMENT, sizeof(bytes)),
			&bytes, sizeof(bytes));
	if (m->hdr.msg_controllen == 0)
		m->hdr.msg_control = NULL;
}

/* ---- one datagram ---- */

static int64_t recv_message(struct soq_dgram *d, struct soq__dgram_message *m)
{
	struct soq__op op = { .code = SOQ__OP_RECVMSG, .socket = &d->socket, .msg = &m->hdr };
	int64_t n;

	if (d->receiving)
		return -EBUSY;
	d->receiving = true;
	soq__list_init(&op.node);
	n = soq__perform(&op, d->recv_timeout_ns);
	d->receiving = false;
	return n;
}

ssize_t soq_recvfrom(struct soq_dgram *d, void *buf, size_t len, struct soq_addr *from)
{
	struct soq_packet p = { .data = buf, .capacity = len };
	struct soq__dgram_message m;
	int64_t n;

	if (d->gro) { /* what the kernel has joined must be taken apart */
		n = soq_recv_packets(d, &p, 1);
	} else {
		soq__dgram_message(&m, buf, len);
		n = recv_message(d, &m);
		if (n >= 0)
			soq__dgram_received(&p, &m, (size_t)n);
	}
	if (n < 0)
		return (ssize_t)n;
	if (from)
		*from = p.peer;
	return p.truncated ? -EMSGSIZE : (ssize_t)p.len;
}

/* Datagrams go out whole, so several fibers may send: one at a time. */
int soq__dgram_begin_send(struct soq_dgram *d)
{
	return d->sending ? soq_mutex_lock(d->sending) : 0;
}

void soq__dgram_end_send(struct soq_dgram *d)
{
	if (d->sending)
		soq_mutex_unlock(d->sending);
}

bool soq__dgram_is_blind(const struct soq_dgram *d, const struct soq_packet *p)
{
	return d->family == AF_UNIX && p->peer.len > 0;
}

int soq__dgram_pause(int64_t until_ns, int64_t *pause_ns)
{
	int64_t left = until_ns - soq_now();
	int rc;

	if (left <= 0)
		return -ETIMEDOUT;
	rc = soq_sleep(soq__min(*pause_ns, left));
	*pause_ns = soq__min(2 * *pause_ns, SOQ__DGRAM_PAUSE_MOST_NS);
	return rc;
}

static int64_t send_blindly(struct soq_dgram *d, struct soq__op *op)
{
	int64_t until_ns = soq__after(soq_now(), d->send_timeout_ns);
	int64_t pause_ns = SOQ__DGRAM_PAUSE_FIRST_NS, n, rc = 0;

	while ((n = soq__perform(op, 0)) == -ETIMEDOUT && rc == 0)
		rc = soq__dgram_pause(until_ns, &pause_ns);
	return n == -ETIMEDOUT && rc < 0 ? rc : n;
}

static ssize_t send_packet(struct soq_dgram *d, const struct soq_packet *p)
{
	struct soq__dgram_message m;
	struct soq__op op = { .code = SOQ__OP_SENDMSG,
		.socket = &d->socket,
		.msg = &m.hdr,
		.flags = MSG_NOSIGNAL };
	int64_t n = soq__dgram_begin_send(d);

	if (n < 0)
		return (ssize_t)n;
	soq__dgram_to_send(&m, p, 0);
	soq__list_init(&op.node);
	n = soq__dgram_is_blind(d, p) ? send_blindly(d, &op)
				      : soq__perform(&op, d->send_timeout_ns);
	soq__dgram_end_send(d);
	return (ssize_t)n;
}

ssize_t soq_sendto(struct soq_dgram *d, const void *buf, size_t len, const struct soq_addr *to)
{
	struct soq_packet p = { .data = (void *)(uintptr_t)buf, .len = len };

	if (to)
		p.peer = *to;
	return send_packet(d, &p);
}

ssize_t soq_reply(
	struct soq_dgram *d, const struct soq_packet *request, const void *buf, size_t len)
{
	struct soq_packet p = *request;

	p.data = (void *)(uintptr_t)buf;
	p.len = len;
	return send_packet(d, &p);
}

/* ---- what can be asked and told ---- */

int soq_dgram_addr(const struct soq_dgram *d, struct soq_addr *ret)
{
	return soq__type(d->worker)->local_addr(&d->socket, ret);
}

int soq_dgram_peer(const struct soq_dgram *d, struct soq_addr *ret)
{
	return soq__type(d->worker)->peer_addr(&d->socket, ret);
}

int soq_dgram_fd(const struct soq_dgram *d)
{
	return d->socket.fd;
}

void soq_dgram_set_recv_timeout(struct soq_dgram *d, int64_t timeout_ns)
{
	d->recv_timeout_ns = timeout_ns < 0 ? 0 : timeout_ns;
}

void soq_dgram_set_send_timeout(struct soq_dgram *d, int64_t timeout_ns)
{
	d->send_timeout_ns = timeout_ns < 0 ? 0 : timeout_ns;
}
