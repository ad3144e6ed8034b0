/* connect.c - from an endpoint to a connected stream. Where there are several addresses, or
 * there may be, connect_race.c takes over.
 */
#include "net/names.h"
#include <soquete/error.h>
#include <soquete/time.h>
#include "fiber/last_error.h"
#include <errno.h>
#include <stdlib.h>

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

/* One address, and nothing to race with. */
static int connect_alone(struct soq_stream **ret, const struct soq_addr *addr)
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

static int connect_one(
	struct soq_stream **ret, const struct soq_addr *addr, const char *endpoint_text)
{
	char at[SOQ_ADDR_TEXT_MAX];
	int rc = connect_alone(ret, addr);

	if (rc == 0)
		return 0;
	soq_addr_format(at, sizeof(at), addr);
	return soq__fail(rc, "connect %s (%s): %s", endpoint_text, at, soq_strerror(rc));
}

static int connect_inherited(struct soq_stream **ret, int fd, const char *endpoint)
{
	int rc = soq_adopt(ret, fd);

	return rc < 0 ? soq__fail(rc, "connect %s: %s", endpoint, soq_strerror(rc)) : 0;
}

static int connect_internet(
	struct soq_stream **ret, const struct soq_endpoint *e, const char *endpoint_text)
{
	struct soq__lookup l;
	int rc = soq__lookup_begin(&l, e, false);

	if (rc == 0 && l.found.count == 1 && !soq__lookup_pending(&l))
		rc = connect_one(ret, &l.found.list[0], endpoint_text);
	else if (rc == 0)
		rc = soq__connect_race(ret, &l, endpoint_text);
	soq__lookup_end(&l);
	return rc;
}

int soq__connect(
	struct soq_stream **ret, const char *endpoint_text, const struct soq_endpoint *e)
{
	struct soq_addr unix_addr;

	switch (e->scheme) {
	case SOQ_SCHEME_FD:
		return connect_inherited(ret, e->fd, endpoint_text);
	case SOQ_SCHEME_UNIX:
		soq__unix_addr(&unix_addr, e);
		return connect_one(ret, &unix_addr, endpoint_text);
	case SOQ_SCHEME_TCP:
	case SOQ_SCHEME_TLS:
		return connect_internet(ret, e, endpoint_text);
	default:
		return soq__fail(-EPROTOTYPE,
			"connect %s: this is a datagram endpoint; use soq_dgram_connect()",
			endpoint_text);
	}
}
