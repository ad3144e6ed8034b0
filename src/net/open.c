/* open.c - sockets bound to endpoints, and sockets that were inherited. */
#include "net/net.h"
#include <soquete/error.h>
#include "fiber/last_error.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

int soq__set_int(struct soq__socket *s, int level, int option, int value)
{
	return soq__type(soq__worker())->set_option(s, level, option, &value, sizeof(value));
}

int soq__open_inherited(struct soq__socket *ret, int fd, int type)
{
	struct soq__worker *w = soq__worker();
	socklen_t len = sizeof(int);
	int actual = 0, rc = soq__type(w)->adopt(w->engine, ret, fd, true);

	if (rc == 0)
		rc = soq__type(w)->get_option(ret, SOL_SOCKET, SO_TYPE, &actual, &len);
	if (rc == 0 && actual != type)
		rc = -EPROTOTYPE;
	/* One that is refused stays as it was. A simulated one has no such flag. */
	if (rc == 0 && !soq__type(w)->simulated && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		rc = -errno;
	return rc;
}

/* What a listener or a bound datagram socket of the Internet is told before bind(2). */
static int prepare_internet(
	struct soq__socket *s, const struct soq_addr *addr, const struct soq__bind *how)
{
	bool any6 =
		addr->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
	int rc = 0;

	/* Whoever stops must be able to start again while old connections linger. */
	if (how->type == SOCK_STREAM)
		rc = soq__set_int(s, SOL_SOCKET, SO_REUSEADDR, 1);
	if (rc == 0 && how->share_port)
		rc = soq__set_int(s, SOL_SOCKET, SO_REUSEPORT, 1);
	if (rc == 0 && any6)
		rc = soq__set_int(s, IPPROTO_IPV6, IPV6_V6ONLY, how->ipv6_only);
	return rc;
}

static int open_at(struct soq__socket *ret, struct soq__unix_path **ret_path,
	const struct soq_addr *addr, const struct soq__bind *how)
{
	struct soq__worker *w = soq__worker();
	bool is_unix = addr->sa.sa_family == AF_UNIX;
	int rc = soq__type(w)->open_socket(w->engine, ret, addr->sa.sa_family, how->type, 0);

	if (rc < 0)
		return rc;
	*ret_path = NULL;
	/* A simulated path is no file: there is nothing to lock, to look at or to remove. */
	if (is_unix && addr->un.sun_path[0] && !soq__type(w)->simulated) {
		rc = soq__unix_bind(ret_path, ret, addr, how->unix_mode);
	} else {
		if (!is_unix)
			rc = prepare_internet(ret, addr, how);
		if (rc == 0)
			rc = soq__type(w)->bind(ret, addr);
		if (rc == 0 && how->found_port && !is_unix)
			rc = soq__set_int(ret, SOL_SOCKET, SO_REUSEPORT, 1);
	}
	if (rc < 0)
		soq__type(w)->close_socket(w->engine, ret);
	return rc;
}

static int explain(int rc, const struct soq_addr *addr, const struct soq__bind *how)
{
	char at[SOQ_ADDR_TEXT_MAX];
	const char *hint = "";

	soq_addr_format(at, sizeof(at), addr);
	if (rc == -EACCES && soq_addr_port(addr) > 0 && soq_addr_port(addr) < 1024)
		hint = " (a port below 1024 needs root or CAP_NET_BIND_SERVICE; choose a "
		       "higher one)";
	else if (rc == -EADDRINUSE)
		hint = " (another socket has it; choose another port or path)";
	return soq__fail(
		rc, "%s %s (%s): %s%s", how->verb, how->text, at, soq_strerror(rc), hint);
}

/* The wildcard is one IPv6 socket that takes IPv4 too; the IPv4 one is for machines
 * without IPv6. */
static bool try_next(int rc)
{
	return rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL;
}

int soq__open_bound(struct soq__socket *ret, struct soq__unix_path **ret_path,
	const struct soq_endpoint *e, const struct soq__bind *how)
{
	struct soq_addrs addrs = { 0 };
	struct soq_addr unix_addr;
	int rc;

	if (soq__is_unix(e)) {
		soq__unix_addr(&unix_addr, e);
		rc = open_at(ret, ret_path, &unix_addr, how);
		return rc < 0 ? explain(rc, &unix_addr, how) : 0;
	}
	rc = soq__resolve(&addrs, e, true);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < addrs.count; i++) {
		rc = open_at(ret, ret_path, &addrs.list[i], how);
		if (rc < 0)
			explain(rc, &addrs.list[i], how);
		if (!try_next(rc))
			break;
	}
	free(addrs.list);
	return rc;
}
