/* server_plan.h - what the server of a case is to be, and making and running it: the part that
 * is the same in a process and on a simulated host.
 */
#ifndef CONTRACT_SERVER_PLAN_H
#define CONTRACT_SERVER_PLAN_H

#include "contract/server_bell.h"

#include <arpa/inet.h>
#include <sys/resource.h>

#define SITES_MAX 4
#define ADDRESSES 4 /* of a server's host, as its clients may know it: three IPv4, one IPv6 */

struct site {
	const char *endpoint;
	soq_handler *handler;
	soq_dgram_handler *dgram;
	void *arg;
};

struct plan {
	struct site sites[SITES_MAX];
	struct soq_server_options opt;
	rlim_t descriptors;  /* of its process; 0: as they are. A simulated host's limit is
				the world's */
	bool here;	     /* sim: on the case's own host, where its Unix paths are */
	bool cancel;	     /* remote_cancel() is to cancel the fiber that runs it */
	int64_t deadline_ns; /* of the fiber that runs it, from then on; 0: none */
};

/* Where a site can be reached. */
struct place {
	struct soq_addr addr;
	enum soq_scheme scheme;
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
};

/* Another address of the host that a site of all addresses is on. */
static inline void place_at(
	char text[SOQ_ENDPOINT_TEXT_MAX], const struct place *place, const char *address)
{
	snprintf(text, SOQ_ENDPOINT_TEXT_MAX,
		strchr(address, ':') ? "%s://[%s]:%u" : "%s://%s:%u",
		soq_scheme_name(place->scheme), address, soq_addr_port(&place->addr));
}

static inline bool is_every_address(const struct soq_addr *addr)
{
	return addr->sa.sa_family == AF_INET6
		? IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr)
		: addr->sa.sa_family == AF_INET && addr->in.sin_addr.s_addr == 0;
}

/* @address  of the host, for sites that are on all of its addresses */
static inline void place_find(
	struct place *ret, const struct soq_server *server, size_t i, const char *address)
{
	CHECK_OK(soq_server_endpoint(server, i, &ret->addr, &ret->scheme));
	if (is_every_address(&ret->addr))
		place_at(ret->endpoint, ret, address);
	else
		soq_addr_endpoint(
			ret->endpoint, sizeof(ret->endpoint), ret->scheme, &ret->addr);
}

static inline void plan_add_site(
	struct soq_server *server, const struct site *site, const char *endpoint)
{
	if (site->handler)
		CHECK_OK(soq_server_listen(server, endpoint, site->handler, site->arg));
	else
		CHECK_OK(soq_server_bind(server, endpoint, site->dgram, site->arg));
}

/* ---- running ---- */

struct plan__run {
	struct soq_server *server;
	int rc;
};

static inline void plan__run(void *arg)
{
	struct plan__run *run = arg;

	run->rc = soq_server_run(run->server);
}

/* In a scope that is closed when the case says so. */
static inline int plan__run_cancelled(struct soq_server *server)
{
	struct plan__run run = { .server = server };
	struct soq_scope *scope = scope_open();

	go(scope, plan__run, &run);
	CHECK_OK(bell_wait(&bells.cancel));
	soq_scope_close(scope);
	return run.rc;
}

/* @return what soq_server_run() returned */
static inline int plan_run(const struct plan *plan, struct soq_server *server)
{
	int rc;

	if (plan->deadline_ns)
		soq_deadline(soq_now() + plan->deadline_ns);
	rc = plan->cancel ? plan__run_cancelled(server) : soq_server_run(server);
	soq_deadline_restore(SOQ_NEVER);
	return rc;
}

#endif
