/* names_system.c - what only the system knows: its services of nsswitch.conf(5), and
 * services(5).
 *
 * Its calls block, so they run on the offload pool. One whose caller gives up is left behind
 * and frees itself.
 */
#include "net/names.h"
#include <soquete/error.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

struct resolving {
	struct soq_endpoint endpoint;
	struct soq__query query;
	const struct soq__engine *engine;
	const struct soq__engine_type *type;
	struct soq_addrs found;
	int rc;
};

static void resolve(void *arg)
{
	struct resolving *r = arg;

	r->rc = r->type->resolve(r->engine, &r->query, &r->found);
}

static void resolving_free(void *arg)
{
	struct resolving *r = arg;

	soq_addrs_done(&r->found);
	free(r);
}

static struct resolving *resolving_new(const struct soq_endpoint *e, bool passive)
{
	struct resolving *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->endpoint = *e;
	r->engine = soq__worker()->engine;
	r->type = r->engine->type;
	r->query = (struct soq__query){
		.host = r->endpoint.host,
		.service = r->endpoint.service,
		.port = e->port,
		.datagram = e->scheme == SOQ_SCHEME_UDP,
		.passive = passive,
	};
	return r;
}

int soq__system_resolve(struct soq_addrs *ret, const struct soq_endpoint *e, bool passive)
{
	struct resolving *r = resolving_new(e, passive);
	int rc;

	if (!r)
		return -ENOMEM;
	rc = soq__offload(resolve, r, resolving_free);
	if (rc < 0)
		return rc; /* resolving_free has it */
	rc = r->rc;
	if (rc == 0 && r->found.count == 0)
		rc = -SOQ_ENONAME;
	if (rc == 0) {
		*ret = r->found;
		r->found = (struct soq_addrs){ 0 };
	}
	resolving_free(r);
	return rc;
}

struct reversing {
	struct soq_addr addr;
	char name[NI_MAXHOST];
	int gai;
};

static void reverse(void *arg)
{
	struct reversing *r = arg;

	r->gai = getnameinfo(
		&r->addr.sa, r->addr.len, r->name, sizeof(r->name), NULL, 0, NI_NAMEREQD);
}

int soq__system_reverse(char ret[SOQ__NAME_MAX + 1], const struct soq_addr *addr)
{
	struct reversing *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->addr = *addr;
	rc = soq__offload(reverse, r, free);
	if (rc < 0)
		return rc;
	if (r->gai == EAI_AGAIN)
		rc = -SOQ_ENAMEWAIT;
	else if (r->gai == EAI_MEMORY)
		rc = -ENOMEM;
	else if (r->gai != 0 || strlen(r->name) > SOQ__NAME_MAX || !soq__name_is_host(r->name))
		rc = -SOQ_ENONAME;
	else
		strcpy(ret, r->name);
	free(r);
	return rc;
}
