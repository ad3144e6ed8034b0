/* names.c - from an endpoint to its addresses: the whole list, once both families are known. */
#include "net/names.h"
#include <soquete/error.h>
#include "fiber/last_error.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool soq__is_unix(const struct soq_endpoint *e)
{
	return e->scheme == SOQ_SCHEME_UNIX || e->scheme == SOQ_SCHEME_UNIXGRAM;
}

void soq__unix_addr(struct soq_addr *ret, const struct soq_endpoint *e)
{
	bool is_path = e->path[0] != '\0';

	memset(ret, 0, sizeof(*ret));
	ret->un.sun_family = AF_UNIX;
	memcpy(ret->un.sun_path, e->path, e->path_len);
	ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + e->path_len + is_path);
}

/* Until nothing more can be found. */
static int look_up(struct soq__lookup *l)
{
	struct soq__fiber *f = l->worker->current;
	int rc = soq__lookup_advance(l);

	while (rc == 0 && soq__lookup_pending(l)) {
		rc = soq__check(f);
		if (rc < 0)
			break;
		f->waits_for = "a name's addresses";
		soq__suspend(l->worker, f->shielded ? SOQ_NEVER : f->deadline_ns);
		f->waits_for = NULL;
		rc = soq__lookup_advance(l);
	}
	if (rc == 0 && l->found.count == 0)
		rc = l->rc;
	return rc < 0 ? soq__lookup_fail(l, rc) : 0;
}

int soq__resolve(struct soq_addrs *ret, const struct soq_endpoint *e, bool passive)
{
	struct soq__lookup l;
	int rc = soq__lookup_begin(&l, e, passive);

	if (rc == 0)
		rc = look_up(&l);
	if (rc == 0) {
		soq__lookup_order(&l, l.found.list, l.found.count);
		*ret = l.found;
		l.found = (struct soq_addrs){ 0 };
	}
	soq__lookup_end(&l);
	return rc;
}

int soq_resolve(struct soq_addrs *ret, const char *endpoint)
{
	struct soq_endpoint e;
	int rc = soq_endpoint_parse(&e, endpoint);

	if (rc < 0)
		return rc;
	if (soq__is_unix(&e) || e.scheme == SOQ_SCHEME_FD)
		return soq__fail(-EPROTOTYPE,
			"look up %s: this endpoint has no host; write for example "
			"tcp://localhost:80",
			endpoint);
	return soq__resolve(ret, &e, false);
}

void soq_addrs_done(struct soq_addrs *addrs)
{
	free(addrs->list);
	*addrs = (struct soq_addrs){ 0 };
}
