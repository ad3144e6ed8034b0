/* addr_order.c - destination address selection.
 *
 * Invariant: an order is by a number for each address, so that it is one, whatever the
 * addresses are.
 *
 * Of the ten rules of RFC 6724 section 6, three are left out, as musl, c-ares and Go leave
 * them: rules 3 (avoid deprecated source addresses), 4 (prefer home addresses) and 7 (prefer
 * native transport) need what only rtnetlink(7) knows of addresses and interfaces. The kernel
 * itself follows 3 and 4 when it chooses the source.
 *
 * Rule 9 (longest matching prefix) is for IPv6 only. With IPv4 it would undo what a name's
 * owner does who has addresses given out in turn, and how long the source's own prefix is,
 * beyond which section 2.2 counts no bit, is not known; 64 bits are IPv6's.
 *
 * Source: RFC 6724.
 */
#include "net/addr_order.h"
#include "net/net.h"
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_BITS_MAX 64

/* Section 3.1: the values of RFC 4291 section 2.7. */
enum { LINK_LOCAL = 0x2, SITE_LOCAL = 0x5, GLOBAL = 0xe };

/* A row of the policy table. */
struct policy {
	struct in6_addr prefix;
	unsigned bits;
	unsigned precedence; /* below 64 */
	unsigned label;
};

/* Section 2.1, the longest prefixes first. */
static const struct policy policies[] = {
	{ { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } } }, 128, 50, 0 },
	{ { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff } } }, 96, 35, 4 },
	{ { { { 0 } } }, 96, 1, 3 },
	{ { { { 0x20, 0x01, 0, 0 } } }, 32, 5, 5 },
	{ { { { 0x20, 0x02 } } }, 16, 30, 2 },
	{ { { { 0x3f, 0xfe } } }, 16, 1, 12 },
	{ { { { 0xfe, 0xc0 } } }, 10, 1, 11 },
	{ { { { 0xfc } } }, 7, 3, 13 },
	{ { { { 0 } } }, 0, 40, 1 },
};

static unsigned common_bits(const struct in6_addr *a, const struct in6_addr *b)
{
	unsigned n = 0;

	while (n < 128 && !((a->s6_addr[n / 8] ^ b->s6_addr[n / 8]) & (0x80 >> n % 8)))
		n++;
	return n;
}

static const struct policy *policy_of(const struct in6_addr *addr)
{
	const struct policy *p = policies;

	while (common_bits(&p->prefix, addr) < p->bits)
		p++;
	return p;
}

/* An address as IPv6, IPv4 as mapped. @return whether it is one of the two */
static bool as_ipv6(struct in6_addr *ret, const struct soq_addr *addr)
{
	if (addr->len == 0)
		return false;
	if (addr->sa.sa_family == AF_INET6) {
		*ret = addr->in6.sin6_addr;
		return true;
	}
	if (addr->sa.sa_family != AF_INET)
		return false;
	*ret = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
	memcpy(&ret->s6_addr[12], &addr->in.sin_addr, 4);
	return true;
}

/* Sections 3.1 to 3.4. IPv4's private addresses are global ones here. */
static unsigned scope_of(const struct in6_addr *addr)
{
	const uint8_t *b = addr->s6_addr;

	if (IN6_IS_ADDR_V4MAPPED(addr))
		return b[12] == 127 || (b[12] == 169 && b[13] == 254) ? LINK_LOCAL : GLOBAL;
	if (IN6_IS_ADDR_MULTICAST(addr))
		return b[1] & 0xf;
	if (IN6_IS_ADDR_LINKLOCAL(addr) || IN6_IS_ADDR_LOOPBACK(addr))
		return LINK_LOCAL;
	return IN6_IS_ADDR_SITELOCAL(addr) ? SITE_LOCAL : GLOBAL;
}

/* The rules as a number, the first rule in the highest bits: less is better. */
static uint64_t rank_of(const struct soq_addr *addr, const struct soq_addr *source)
{
	struct in6_addr to, from;
	const struct policy *policy;
	unsigned scope, prefix_bits = 0;
	uint64_t rank = 0;

	if (!as_ipv6(&to, addr))
		return UINT64_MAX; /* no address of the Internet's */
	policy = policy_of(&to);
	scope = scope_of(&to);
	if (!as_ipv6(&from, source)) {
		rank |= 1 << 19; /* rule 1 */
	} else {
		rank |= (uint64_t)(scope != scope_of(&from)) << 18;		    /* 2 */
		rank |= (uint64_t)(policy->label != policy_of(&from)->label) << 17; /* 5 */
		prefix_bits = common_bits(&to, &from); /* of IPv4, mapped, 96 or more */
	}
	rank |= (uint64_t)(63 - policy->precedence) << 11;			    /* 6 */
	rank |= (uint64_t)scope << 7;						    /* 8 */
	rank |= PREFIX_BITS_MAX - (unsigned)soq__min(prefix_bits, PREFIX_BITS_MAX); /* 9 */
	return rank;
}

/* An address with its number, and where it was: rule 10. */
struct ranked {
	uint64_t rank;
	size_t index;
	struct soq_addr addr;
};

static int compare(const void *first, const void *second)
{
	const struct ranked *a = first, *b = second;

	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->index < b->index ? -1 : 1;
}

void soq__addr_order_by(struct soq_addr *list, const struct soq_addr *sources, size_t count)
{
	struct ranked *ranked = malloc(count * sizeof(*ranked));

	if (!ranked)
		return;
	for (size_t i = 0; i < count; i++)
		ranked[i] = (struct ranked){ rank_of(&list[i], &sources[i]), i, list[i] };
	qsort(ranked, count, sizeof(*ranked), compare);
	for (size_t i = 0; i < count; i++)
		list[i] = ranked[i].addr;
	free(ranked);
}

void soq__addr_order(struct soq_addr *list, size_t count)
{
	struct soq_addr *sources = count > 1 ? calloc(count, sizeof(*sources)) : NULL;
	struct soq__worker *w = soq__worker();

	if (!sources)
		return;
	soq__type(w)->source_addrs(w->engine, list, sources, count);
	soq__addr_order_by(list, sources, count);
	free(sources);
}
