/* names_lookup.c - from a host to its addresses, IPv6 and IPv4 asked for at the same time.
 *
 * In this order: a literal; "localhost"; the hosts file; the DNS, or what is kept of it; the
 * system, where nsswitch.conf(5) has services that neither is. A name that is not whole stands
 * for several, of which the first that has an address of either family is taken: both families
 * of one name, never of two.
 *
 * Source: RFC 1034, RFC 6724, RFC 6761, RFC 8305 section 3; resolv.conf(5) for the search.
 */
#include "net/names.h"
#include "net/addr_order.h"
#include <soquete/error.h>
#include <soquete/time.h>
#include "fiber/last_error.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RESOLUTION_DELAY_NS (50 * SOQ_MS) /* RFC 8305 section 3 */

static const unsigned types[2] = {
	[SOQ__IPV6] = SOQ_RECORD_AAAA,
	[SOQ__IPV4] = SOQ_RECORD_A,
};

/* ---- what is found ---- */

static void set_port(struct soq_addr *addr, uint16_t port)
{
	if (addr->sa.sa_family == AF_INET)
		addr->in.sin_port = htons(port);
	else
		addr->in6.sin6_port = htons(port);
}

/* @return 0, -ENOMEM */
static int add(struct soq__lookup *l, const struct soq_addr *list, size_t count)
{
	struct soq_addr *longer =
		realloc(l->found.list, (l->found.count + count + 1) * sizeof(*longer));

	if (!longer)
		return -ENOMEM;
	l->found.list = longer;
	for (size_t i = 0; i < count; i++) {
		struct soq_addr *addr = &longer[l->found.count++];

		*addr = list[i];
		set_port(addr, l->endpoint.port);
	}
	return 0;
}

static struct soq_addr in4(in_addr_t host)
{
	struct soq_addr addr = { .len = sizeof(addr.in) };

	addr.in.sin_family = AF_INET;
	addr.in.sin_addr.s_addr = htonl(host);
	return addr;
}

static struct soq_addr in6(struct in6_addr host, uint32_t zone)
{
	struct soq_addr addr = { .len = sizeof(addr.in6) };

	addr.in6.sin6_family = AF_INET6;
	addr.in6.sin6_addr = host;
	addr.in6.sin6_scope_id = zone;
	return addr;
}

static int add_local(struct soq__lookup *l)
{
	struct soq_addr list[2] = { in6(in6addr_loopback, 0), in4(INADDR_LOOPBACK) };

	return add(l, list, 2);
}

static int add_any(struct soq__lookup *l)
{
	struct soq_addr list[2] = { in6(in6addr_any, 0), in4(INADDR_ANY) };

	return add(l, list, 2);
}

static uint32_t zone_index(const struct soq__worker *w, const char *zone)
{
	uint32_t index = soq__type(w)->interface_index(w->engine, zone);

	return index ? index : (uint32_t)strtoul(zone, NULL, 10);
}

/* Addresses that need no looking up; none when the host is a name. */
static int add_literals(struct soq__lookup *l)
{
	const struct soq_endpoint *e = &l->endpoint;
	struct soq_addr addr;
	struct in_addr host4;
	struct in6_addr host6;

	if (!*e->host)
		return l->passive ? add_any(l) : add_local(l);
	if (inet_pton(AF_INET, e->host, &host4) == 1) {
		addr = in4(ntohl(host4.s_addr));
		return add(l, &addr, 1);
	}
	if (inet_pton(AF_INET6, e->host, &host6) != 1)
		return 0;
	addr = in6(host6, *e->zone ? zone_index(l->worker, e->zone) : 0);
	return add(l, &addr, 1);
}

static int add_from_hosts(struct soq__lookup *l)
{
	struct soq_addr list[SOQ__FAMILY_ADDRS_MAX];
	size_t count =
		soq__hosts_find(l->names->hosts, l->name.text, list, SOQ__FAMILY_ADDRS_MAX);

	return add(l, list, soq__min_size(count, SOQ__FAMILY_ADDRS_MAX));
}

/* ---- the system ---- */

static int ask_system(struct soq__lookup *l)
{
	struct soq_endpoint e = l->endpoint;
	struct soq_addrs found;
	int rc;

	strcpy(e.host, l->name.text);
	if (l->name.whole)
		strcat(e.host, ".");
	rc = soq__system_resolve(&found, &e, l->passive);
	if (rc == -ETIMEDOUT || rc == -ECANCELED || rc == -ENOMEM)
		return rc;
	l->by_system = true;
	/* The DNS's reason says more than the system's after it: a service that is listed, and
	 * not installed, is EAI_SYSTEM with whatever errno was (glibc 2.36: EBUSY). */
	if (rc == 0 || l->candidate == 0)
		l->rc = rc;
	if (rc < 0)
		return 0;
	rc = add(l, found.list, found.count);
	soq_addrs_done(&found);
	return rc;
}

/* A port by a service's name, which the system's table has. */
static int find_port(struct soq__lookup *l)
{
	struct soq_endpoint port_alone = l->endpoint;
	struct soq_addrs found;
	int rc;

	*port_alone.host = '\0';
	rc = soq__system_resolve(&found, &port_alone, l->passive);
	if (rc < 0)
		return rc;
	l->endpoint.port = soq_addr_port(&found.list[0]);
	*l->endpoint.service = '\0';
	soq_addrs_done(&found);
	return 0;
}

/* ---- the DNS ---- */

static unsigned dots_in(const char *name)
{
	unsigned dots = 0;

	for (; *name; name++)
		dots += *name == '.';
	return dots;
}

/* The names that a name may stand for, one after the other: as it is, and in each of the search
 * domains; as it is comes first with enough dots in it, else last.
 * @return false when there are no more; *ret is "" for one that is too long */
static bool candidate(const struct soq__lookup *l, size_t index, char ret[SOQ__NAME_MAX + 1])
{
	const struct soq__search *s = &l->names->search;
	size_t domains = l->name.whole ? 0 : s->count, own, len = strlen(l->name.text);
	const char *domain;

	own = dots_in(l->name.text) >= s->ndots ? 0 : domains;
	if (index > domains)
		return false;
	strcpy(ret, l->name.text);
	if (index == own)
		return true;
	domain = s->domains[index - (index > own)];
	if (len + 1 + strlen(domain) > SOQ__NAME_MAX) {
		*ret = '\0';
		return true;
	}
	ret[len] = '.';
	strcpy(ret + len + 1, domain);
	return true;
}

static int ask_family(struct soq__lookup *l, int which, const char *name)
{
	struct soq__family *f = &l->families[which];
	struct soq__names *n = l->names;

	f->asked = soq__ask(&n->cache, n->dns, name, types[which]);
	if (!f->asked)
		return -ENOMEM;
	if (f->asked->pending)
		soq__list_append(&f->asked->watchers, &f->watcher.node);
	return 0;
}

/* Ask for the next name. @return 1; 0 when there is none; -ENOMEM */
static int ask_next(struct soq__lookup *l)
{
	char name[SOQ__NAME_MAX + 1] = "";
	int rc;

	while (!*name)
		if (!candidate(l, l->candidate++, name))
			return 0;
	rc = ask_family(l, SOQ__IPV6, name);
	if (rc == 0)
		rc = ask_family(l, SOQ__IPV4, name);
	return rc < 0 ? rc : 1;
}

static int take_addresses(struct soq__lookup *l, const struct soq__asked *a)
{
	struct soq_addr list[SOQ__FAMILY_ADDRS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < a->records.count && count < SOQ__FAMILY_ADDRS_MAX; i++)
		if (a->records.list[i].type == a->question.type)
			list[count++] = a->records.list[i].addr;
	return add(l, list, count);
}

static void leave(struct soq__family *f)
{
	soq__list_remove(&f->watcher.node);
	soq__asked_put(f->asked);
	f->asked = NULL;
}

static bool is_asked(const struct soq__lookup *l)
{
	return l->families[SOQ__IPV6].asked || l->families[SOQ__IPV4].asked;
}

/* Take what one family's question has brought. */
static int take(struct soq__lookup *l, struct soq__family *f)
{
	int rc = 0;

	if (!f->asked || f->asked->pending)
		return 0;
	f->rc = f->asked->rc;
	if (f->rc == 0)
		rc = take_addresses(l, f->asked);
	leave(f);
	return rc;
}

/* Which of two reasons to tell: that nobody answered before that somebody failed, either before
 * that a name has no address, and this before that there is no such name. */
static int worse(int a, int b)
{
	static const int reasons[] = { -ENOMEM, -ECANCELED, -SOQ_ENAMEWAIT, -SOQ_ENAMEFAIL,
		-SOQ_ENORECORD };

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (a == reasons[i] || b == reasons[i])
			return reasons[i];
	return -SOQ_ENONAME;
}

/* Whether the DNS has said that there is nothing, or that it cannot say: somebody else may
 * know, or a further name may have an address. */
static bool is_answered(int rc)
{
	return rc == -SOQ_ENONAME || rc == -SOQ_ENORECORD || rc == -SOQ_ENAMEFAIL;
}

/* IPv6 is worth a short wait when IPv4 is there first: RFC 8305 section 3. */
static void set_hold(struct soq__lookup *l)
{
	if (!l->families[SOQ__IPV6].asked)
		l->hold_ns = 0;
	else if (!l->hold_ns && l->found.count > 0)
		l->hold_ns = soq__after(soq_now(), RESOLUTION_DELAY_NS);
}

/* The hosts file and the system, where they come after the DNS. They are asked, too, when the
 * DNS has failed: without a network, a machine's own name is known to them alone. After its
 * silence the system is not: it would ask the DNS again, and a thread of the pool would wait as
 * long. */
static int finish(struct soq__lookup *l)
{
	int rc = 0;

	if (!l->names->policy.files_first)
		rc = add_from_hosts(l);
	if (rc == 0 && l->found.count == 0 && is_answered(l->rc) &&
		l->names->policy.hosts == SOQ__NSS_THEN_SYSTEM)
		rc = ask_system(l);
	return rc;
}

/* This name has no address: the next. @return 1 when it is asked for; 0 when all was tried */
static int go_on(struct soq__lookup *l)
{
	int rc;

	l->rc = worse(worse(l->families[0].rc, l->families[1].rc), l->rc);
	rc = is_answered(l->rc) ? ask_next(l) : 0;
	return rc == 0 ? finish(l) : rc;
}

int soq__lookup_advance(struct soq__lookup *l)
{
	int rc = 1;

	while (rc > 0 && is_asked(l)) {
		rc = take(l, &l->families[SOQ__IPV6]);
		if (rc == 0)
			rc = take(l, &l->families[SOQ__IPV4]);
		set_hold(l);
		if (rc < 0 || is_asked(l) || l->found.count > 0)
			return rc;
		rc = go_on(l);
	}
	return rc < 0 ? rc : 0;
}

bool soq__lookup_pending(const struct soq__lookup *l)
{
	return is_asked(l);
}

/* ---- beginning and end ---- */

static int begin_dns(struct soq__lookup *l)
{
	int rc = ask_next(l);

	if (rc == 0)
		return finish(l);
	return rc < 0 ? rc : soq__lookup_advance(l);
}

/* A name that is asked for, by the machine's policy. */
static int begin_asking(struct soq__lookup *l)
{
	int rc = soq__names_get(&l->names);
	enum soq__nss_hosts hosts;

	if (rc < 0)
		return rc;
	hosts = l->names->policy.hosts;
	if (l->name.kind == SOQ__NAME_MULTICAST && l->names->dns) {
		rc = add_from_hosts(l);
		if (rc < 0 || l->found.count > 0)
			return rc;
		l->why = "the DNS has no names in .local (RFC 6762), and nsswitch.conf(5) has "
			 "no service for them";
		return l->names->policy.mdns ? ask_system(l) : 0;
	}
	if (hosts == SOQ__NSS_SYSTEM || !l->names->dns)
		return ask_system(l);
	if (l->names->policy.files_first)
		rc = add_from_hosts(l);
	if (rc < 0 || l->found.count > 0)
		return rc;
	return begin_dns(l);
}

static int begin(struct soq__lookup *l)
{
	int rc = 0;

	if (*l->endpoint.service)
		rc = find_port(l);
	if (rc == 0)
		rc = add_literals(l);
	if (rc < 0 || l->found.count > 0)
		return rc;
	rc = soq__name_parse(&l->name, l->endpoint.host, &l->why);
	if (rc < 0)
		return rc;
	if (l->name.kind == SOQ__NAME_LOCALHOST)
		return add_local(l);
	if (l->name.kind != SOQ__NAME_NEVER)
		return begin_asking(l);
	l->why = "no such name can exist (RFC 6761, RFC 7686)";
	return 0;
}

int soq__lookup_begin(struct soq__lookup *l, const struct soq_endpoint *e, bool passive)
{
	int rc;

	*l = (struct soq__lookup){
		.worker = soq__worker(), .endpoint = *e, .passive = passive, .rc = -SOQ_ENONAME
	};
	for (int i = 0; i < 2; i++) {
		l->families[i].watcher.fiber = l->worker->current;
		l->families[i].rc = -SOQ_ENONAME;
		soq__list_init(&l->families[i].watcher.node);
	}
	rc = begin(l);
	if (rc == 0 && l->found.count == 0 && !is_asked(l))
		rc = l->rc;
	return rc < 0 ? soq__lookup_fail(l, rc) : 0;
}

int soq__lookup_fail(const struct soq__lookup *l, int rc)
{
	char text[SOQ_ENDPOINT_TEXT_MAX];

	soq_endpoint_format(text, sizeof(text), &l->endpoint);
	if (rc == -SOQ_ENOPORT)
		return soq__fail(rc, "look up %s: there is no service called '%s'", text,
			l->endpoint.service);
	if (rc == -SOQ_ENORECORD)
		return soq__fail(rc, "look up %s: the name exists, and has no address", text);
	if (l->why && (rc == -SOQ_EENDPOINT || rc == -SOQ_ENONAME))
		return soq__fail(rc, "look up %s: %s", text, l->why);
	return soq__fail(rc, "look up %s: %s", text, soq_strerror(rc));
}

void soq__lookup_end(struct soq__lookup *l)
{
	for (int i = 0; i < 2; i++)
		leave(&l->families[i]);
	soq_addrs_done(&l->found);
}

void soq__lookup_order(const struct soq__lookup *l, struct soq_addr *list, size_t count)
{
	if (!l->by_system && *l->endpoint.host && count > 1)
		soq__addr_order(list, count);
}
