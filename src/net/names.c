/* names.c - from an endpoint to its addresses.
 *
 * Literals and the empty host need no looking up. Names go to the engine's resolver on the
 * offload pool; a lookup whose caller gives up is left behind and frees itself.
 */
#include "net/net.h"
#include <soquete/error.h>
#include "fiber/last_error.h"
#include <arpa/inet.h>
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

static void in4(struct soq_addr *ret, struct in_addr host, uint16_t port)
{
	*ret = (struct soq_addr){ .len = sizeof(ret->in) };
	ret->in.sin_family = AF_INET;
	ret->in.sin_addr = host;
	ret->in.sin_port = htons(port);
}

static void in6(struct soq_addr *ret, struct in6_addr host, uint16_t port, uint32_t zone)
{
	*ret = (struct soq_addr){ .len = sizeof(ret->in6) };
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_addr = host;
	ret->in6.sin6_port = htons(port);
	ret->in6.sin6_scope_id = zone;
}

static uint32_t zone_index(const char *zone)
{
	struct soq__worker *w = soq__worker();
	uint32_t index = soq__type(w)->interface_index(w->engine, zone);

	return index ? index : (uint32_t)strtoul(zone, NULL, 10);
}

/* Addresses that need no looking up. @return how many, 0 when it is a name */
static size_t literal(struct soq_addr ret[2], const struct soq_endpoint *e, bool passive)
{
	struct in_addr host4;
	struct in6_addr host6;
	uint32_t zone;

	if (!*e->host) {
		in6(&ret[0], passive ? in6addr_any : in6addr_loopback, e->port, 0);
		in4(&ret[1], (struct in_addr){ htonl(passive ? INADDR_ANY : INADDR_LOOPBACK) },
			e->port);
		return 2;
	}
	if (inet_pton(AF_INET, e->host, &host4) == 1) {
		in4(&ret[0], host4, e->port);
		return 1;
	}
	if (inet_pton(AF_INET6, e->host, &host6) != 1)
		return 0;
	zone = *e->zone ? zone_index(e->zone) : 0;
	in6(&ret[0], host6, e->port, zone);
	return 1;
}

/* A lookup, on the heap because it may outlive its caller. */
struct lookup {
	struct soq_endpoint endpoint;
	struct soq__query query;
	const struct soq__engine *engine;
	const struct soq__engine_type *type;
	struct soq_addrs found;
	int rc;
};

static void lookup_run(void *arg)
{
	struct lookup *l = arg;

	l->rc = l->type->resolve(l->engine, &l->query, &l->found);
}

static void lookup_free(void *arg)
{
	struct lookup *l = arg;

	free(l->found.list);
	free(l);
}

static struct lookup *lookup_new(const struct soq_endpoint *e, bool passive)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->endpoint = *e;
	l->engine = soq__worker()->engine;
	l->type = l->engine->type;
	l->query = (struct soq__query){
		.host = l->endpoint.host,
		.service = l->endpoint.service,
		.port = e->port,
		.datagram = e->scheme == SOQ_SCHEME_UDP,
		.passive = passive,
	};
	return l;
}

static int look_up(struct soq_addrs *ret, const struct soq_endpoint *e, bool passive)
{
	struct lookup *l = lookup_new(e, passive);
	int rc;

	if (!l)
		return -ENOMEM;
	rc = soq__offload(lookup_run, l, lookup_free);
	if (rc < 0)
		return rc; /* lookup_free has it */
	rc = l->rc;
	if (rc == 0) {
		*ret = l->found;
		l->found.list = NULL;
	}
	lookup_free(l);
	return rc;
}

static int copy_literals(struct soq_addrs *ret, const struct soq_addr *list, size_t count)
{
	ret->list = malloc(count * sizeof(*list));
	if (!ret->list)
		return -ENOMEM;
	memcpy(ret->list, list, count * sizeof(*list));
	ret->count = count;
	return 0;
}

static int explain(int rc, const struct soq_endpoint *e)
{
	char text[SOQ_ENDPOINT_TEXT_MAX];

	soq_endpoint_format(text, sizeof(text), e);
	if (rc == -SOQ_ENOPORT)
		return soq__fail(
			rc, "look up %s: there is no service called '%s'", text, e->service);
	return soq__fail(rc, "look up %s: %s", text, soq_strerror(rc));
}

/* Addresses that need no looking up, though their port may. @return how many, 0 when the
 * host is a name; or a negative code */
static int literals(struct soq_addr list[2], const struct soq_endpoint *e, bool passive)
{
	struct soq_endpoint numbered = *e, port_alone = *e;
	size_t count = literal(list, e, passive);
	struct soq_addrs found = { 0 };
	int rc;

	if (count == 0 || !*e->service)
		return (int)count;
	*port_alone.host = '\0';
	rc = look_up(&found, &port_alone, passive);
	if (rc < 0)
		return rc;
	numbered.port = found.count > 0 ? soq_addr_port(&found.list[0]) : 0;
	free(found.list);
	return (int)literal(list, &numbered, passive);
}

int soq__resolve(struct soq_addrs *ret, const struct soq_endpoint *e, bool passive)
{
	struct soq_addr list[2];
	int count = literals(list, e, passive);
	int rc;

	if (count < 0)
		return explain(count, e);
	if (count > 0)
		rc = copy_literals(ret, list, (size_t)count);
	else
		rc = look_up(ret, e, passive);
	if (rc == 0 && ret->count == 0) {
		free(ret->list);
		ret->list = NULL;
		rc = -SOQ_ENONAME;
	}
	return rc < 0 ? explain(rc, e) : 0;
}
