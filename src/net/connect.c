/* connect.c - from an endpoint to a connected stream: each address in turn, and the error
 * names all of them.
 */
#include "net/net.h"
#include <soquete/error.h>
#include <soquete/time.h>
#include "fiber/last_error.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_FIRST_NS (1 * SOQ_MS)
#define BUSY_MOST_NS  (50 * SOQ_MS)

static int connect_once(struct soq__socket *s, const struct soq_addr *addr)
{
	struct soq_addr to = *addr;
	struct soq__op op = { .code = SOQ__OP_CONNECT, .socket = s, .addr = &to };

	soq__list_init(&op.node);
	return (int)soq__perform(&op, SOQ_NEVER);
}

/* A Unix listener whose backlog is full gives no event when it has room again: ask anew. */
static int connect_patiently(struct soq__socket *s, const struct soq_addr *addr)
{
	int64_t pause = BUSY_FIRST_NS;
	int rc;

	while ((rc = connect_once(s, addr)) == -EBUSY) {
		rc = soq_sleep(pause);
		if (rc < 0)
			break;
		pause = soq__min(2 * pause, BUSY_MOST_NS);
	}
	return rc;
}

static int connect_addr(struct soq_stream **ret, const struct soq_addr *addr)
{
	struct soq__worker *w = soq__worker();
	struct soq_stream *s = soq__stream_alloc();
	int rc;

	if (!s)
		return -ENOMEM;
	rc = soq__type(w)->open_socket(
		w->engine, &s->socket, addr->sa.sa_family, SOCK_STREAM, 0);
	if (rc < 0) {
		free(s);
		return rc;
	}
	rc = connect_patiently(&s->socket, addr);
	if (rc < 0) {
		soq_close(s);
		return rc;
	}
	soq__stream_connected(s, addr);
	*ret = s;
	return 0;
}

/* Tell apart a refusal by one address from what ends the whole call. */
static bool give_up(int rc)
{
	return rc == 0 || rc == -ECANCELED || rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM ||
		soq__check(soq__current()) < 0;
}

/* "(192.0.2.7:80): Connection refused", appended to a malloc'd text or NULL. */
static char *add_reason(char *text, const struct soq_addr *addr, int rc)
{
	char at[SOQ_ADDR_TEXT_MAX], *longer;

	soq_addr_format(at, sizeof(at), addr);
	if (asprintf(&longer, "%s%s(%s): %s", text ? text : "", text ? "; " : "", at,
		    soq_strerror(rc)) < 0)
		return text;
	free(text);
	return longer;
}

static int connect_list(
	struct soq_stream **ret, const struct soq__addrs *addrs, const char *endpoint)
{
	char *reasons = NULL;
	int rc = -SOQ_ENONAME;

	for (size_t i = 0; i < addrs->count; i++) {
		rc = connect_addr(ret, &addrs->list[i]);
		if (rc < 0)
			reasons = add_reason(reasons, &addrs->list[i], rc);
		if (give_up(rc))
			break;
	}
	if (rc < 0)
		soq__fail(rc, "connect %s %s", endpoint, reasons ? reasons : soq_strerror(rc));
	free(reasons);
	return rc;
}

static int connect_inherited(struct soq_stream **ret, int fd, const char *endpoint)
{
	int rc = soq_adopt(ret, fd);

	return rc < 0 ? soq__fail(rc, "connect %s: %s", endpoint, soq_strerror(rc)) : 0;
}

int soq_connect(struct soq_stream **ret, const char *endpoint)
{
	struct soq_endpoint e;
	struct soq__addrs addrs = { 0 };
	struct soq_addr unix_addr;
	int rc = soq_endpoint_parse(&e, endpoint);

	if (rc < 0)
		return rc;
	switch (e.scheme) {
	case SOQ_SCHEME_FD:
		return connect_inherited(ret, e.fd, endpoint);
	case SOQ_SCHEME_UNIX:
		soq__unix_addr(&unix_addr, &e);
		addrs = (struct soq__addrs){ &unix_addr, 1 };
		return connect_list(ret, &addrs, endpoint);
	case SOQ_SCHEME_TCP:
		break;
	case SOQ_SCHEME_TLS:
		return soq__fail(
			-EPROTONOSUPPORT, "connect %s: this version has no TLS yet", endpoint);
	default:
		return soq__fail(-EPROTOTYPE,
			"connect %s: this is a datagram endpoint; use soq_dgram_connect()",
			endpoint);
	}
	rc = soq__resolve(&addrs, &e, false);
	if (rc == 0)
		rc = connect_list(ret, &addrs, endpoint);
	free(addrs.list);
	return rc;
}
