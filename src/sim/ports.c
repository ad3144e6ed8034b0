/* ports.c - which socket of a host has which port.
 *
 * Bound sockets are found by protocol and port in a hash table of the host; those of one port
 * are kept in the order in which they were bound. An IPv4 address is a mapped one, so that a
 * dual-stack wildcard and an IPv4 socket can be compared.
 *
 * Invariant: of two sockets with one protocol and port whose addresses overlap, both have
 * SO_REUSEPORT, or both have SO_REUSEADDR and at most one of them is a listener of TCP; or
 * one of the options was taken back after binding.
 * Source: socket(7) (SO_REUSEADDR, SO_REUSEPORT), ipv6(7) (IPV6_V6ONLY), ip(7)
 * (ip_local_port_range); Linux's inet_csk_bind_conflict() for what these leave open; RFC 6056
 * section 3.3.1 (ephemeral ports drawn at random).
 */
#include "sim/sim.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EPHEMERAL_FIRST	 32768u
#define EPHEMERAL_COUNT	 28232u /* up to 60,999 */
#define EPHEMERAL_FACTOR 3529u	/* the only odd prime factor of the count */
#define BUCKETS_LEAST	 16

struct soq__sim_ports {
	struct soq__list *buckets; /* struct soq__sim_bound; NULL: nothing was ever bound */
	size_t bucket_count;	   /* a power of two */
	size_t count;
};

struct soq__sim_ports *soq__sim_ports_new(void)
{
	return soq__sim_alloc(sizeof(struct soq__sim_ports));
}

void soq__sim_ports_free(struct soq__sim_ports *ports)
{
	if (!ports)
		return;
	free(ports->buckets);
	free(ports);
}

static struct soq__sim_bound *bound_of(struct soq__list *node)
{
	return soq__container_of(node, struct soq__sim_bound, node);
}

/* ---- the table ---- */

/* Ports in use lie close together or are drawn evenly: their low bits are hash enough. */
static struct soq__list *bucket_of(const struct soq__sim_ports *ports, uint16_t port)
{
	return &ports->buckets[port & (ports->bucket_count - 1)];
}

static void grow(struct soq__sim_ports *ports)
{
	struct soq__sim_ports bigger = {
		.bucket_count = ports->bucket_count ? 2 * ports->bucket_count : BUCKETS_LEAST
	};
	struct soq__list *node;

	bigger.buckets = soq__sim_alloc(bigger.bucket_count * sizeof(*bigger.buckets));
	for (size_t i = 0; i < bigger.bucket_count; i++)
		soq__list_init(&bigger.buckets[i]);
	for (size_t i = 0; i < ports->bucket_count; i++)
		while ((node = soq__list_pop(&ports->buckets[i])))
			soq__list_append(bucket_of(&bigger, bound_of(node)->local.port), node);
	free(ports->buckets);
	ports->buckets = bigger.buckets;
	ports->bucket_count = bigger.bucket_count;
}

static void insert(struct soq__sim_ports *ports, struct soq__sim_bound *b)
{
	if (ports->count >= ports->bucket_count)
		grow(ports);
	soq__list_append(bucket_of(ports, b->local.port), &b->node);
	ports->count++;
}

/* The next one with a protocol and port; @after NULL: the first. */
static struct soq__sim_bound *next_of(const struct soq__sim_ports *ports, uint8_t protocol,
	uint16_t port, struct soq__sim_bound *after)
{
	struct soq__list *bucket, *node;

	if (!ports->buckets)
		return NULL;
	bucket = bucket_of(ports, port);
	for (node = after ? after->node.next : bucket->next; node != bucket;
		node = node->next) {
		struct soq__sim_bound *b = bound_of(node);

		if (b->protocol == protocol && b->local.port == port)
			return b;
	}
	return NULL;
}

struct soq__sim_bound *soq__sim_port_next(
	struct soq_sim_host *host, uint16_t port, struct soq__sim_bound *after)
{
	return next_of(host->ports, IPPROTO_UDP, port, after);
}

/* ---- conflicts ---- */

/* Whether a wildcard takes what is sent to an address. */
static bool covers(
	const struct soq__sim_addr *any, bool v6only, const struct soq__sim_addr *addr)
{
	if (!soq__sim_addr_is_any(any))
		return false;
	if (soq__sim_addr_is4(any))
		return soq__sim_addr_is4(addr);
	return !v6only || !soq__sim_addr_is4(addr);
}

/* Whether some address of this host belongs to both. @a  would be at @at */
static bool overlap(const struct soq__sim_bound *a, const struct soq__sim_addr *at,
	const struct soq__sim_bound *b)
{
	return soq__sim_same_ip(at, &b->local) || covers(at, a->v6only, &b->local) ||
		covers(&b->local, b->v6only, at);
}

static bool share(const struct soq__sim_bound *a, const struct soq__sim_bound *b)
{
	if (a->reuse_port && b->reuse_port)
		return true;
	return a->reuse_addr && b->reuse_addr && !b->listening;
}

/* Whether an address is somebody else's already. @exclusive  those who would share are
 * somebody else too */
static bool taken(const struct soq__sim_bound *b, const struct soq_sim_host *host,
	uint8_t protocol, const struct soq__sim_addr *addr, bool exclusive)
{
	struct soq__sim_bound *other = NULL;

	while ((other = next_of(host->ports, protocol, addr->port, other)))
		if (other != b && overlap(b, addr, other) && (exclusive || !share(b, other)))
			return true;
	return false;
}

int soq__sim_choose_port(struct soq_sim_host *host, struct soq__sim_addr *addr,
	bool (*is_free)(void *arg, const struct soq__sim_addr *addr), void *arg)
{
	uint64_t draw = soq__sim_host_draw(host, SOQ__SIM_PORT);
	unsigned at = (unsigned)soq__sim_below(draw, EPHEMERAL_COUNT);
	unsigned step = (unsigned)(draw & 0x3fff) | 1;

	/* A step with no factor in common with their number leaves none out. */
	if (step % EPHEMERAL_FACTOR == 0)
		step += 2;
	for (unsigned i = 0; i < EPHEMERAL_COUNT; i++) {
		addr->port = (uint16_t)(EPHEMERAL_FIRST + at);
		if (is_free(arg, addr))
			return 0;
		at = (at + step) % EPHEMERAL_COUNT;
	}
	return -EADDRINUSE;
}

struct binding {
	const struct soq__sim_bound *bound;
	const struct soq_sim_host *host;
	uint8_t protocol;
};

static bool may_have(void *arg, const struct soq__sim_addr *addr)
{
	const struct binding *wanted = arg;

	return !taken(wanted->bound, wanted->host, wanted->protocol, addr, true);
}

bool soq__sim_port_is_bound(
	struct soq_sim_host *host, uint8_t protocol, const struct soq__sim_addr *addr)
{
	const struct soq__sim_bound nobody = { .v6only = true };

	return taken(&nobody, host, protocol, addr, true);
}

/* ---- binding ---- */

/* bind(2) takes a group's address too, so that a socket gets what is sent to the group and
 * nothing else. */
static bool may_bind(
	const struct soq_sim_host *host, uint8_t protocol, const struct soq__sim_addr *addr)
{
	if (soq__sim_addr_is_any(addr) || soq__sim_addr_is_loopback(addr) ||
		soq__sim_host_has(host, addr))
		return true;
	return protocol == IPPROTO_UDP &&
		(soq__sim_addr_is_multicast(addr) || soq__sim_addr_is_broadcast(addr));
}

int soq__sim_bind_port(struct soq__sim_bound *b, struct soq__sim_socket *s, uint8_t protocol,
	const struct soq__sim_addr *addr)
{
	struct binding wanted = { b, s->host, protocol };
	struct soq__sim_addr local = *addr;
	int rc = 0;

	if (!may_bind(s->host, protocol, addr))
		return -EADDRNOTAVAIL;
	if (local.port == 0)
		rc = soq__sim_choose_port(s->host, &local, may_have, &wanted);
	else if (taken(b, s->host, protocol, &local, false))
		rc = -EADDRINUSE;
	if (rc < 0)
		return rc;
	b->socket = s;
	b->protocol = protocol;
	b->local = local;
	insert(s->host->ports, b);
	return 0;
}

void soq__sim_unbind_port(struct soq__sim_bound *b)
{
	if (!b->socket)
		return;
	soq__list_remove(&b->node);
	b->socket->host->ports->count--;
	b->socket = NULL;
	b->listening = false;
}

int soq__sim_may_listen(struct soq__sim_bound *b)
{
	const struct soq_sim_host *host = b->socket->host;

	return taken(b, host, b->protocol, &b->local, false) ? -EADDRINUSE : 0;
}

/* ---- who gets a packet ---- */

/* How well a socket fits, 0 for not at all: an exact address before a wildcard, one of IPv4
 * before one of both families, and who is connected to the sender before who is not. */
static unsigned fit(const struct soq__sim_bound *b, const struct soq__sim_addr *to,
	const struct soq__sim_addr *from)
{
	unsigned points;

	if (b->protocol == IPPROTO_TCP && !b->listening)
		return 0;
	if (b->peer && !soq__sim_same_addr(b->peer, from))
		return 0;
	if (soq__sim_same_ip(&b->local, to))
		points = 3;
	else if (covers(&b->local, b->v6only, to))
		points = soq__sim_addr_is4(&b->local) ? 2 : 1;
	else
		return 0;
	return 2 * points + (b->peer != NULL);
}

/* FNV-1a of 64 bits, finished as MurmurHash3 does, since the highest bits decide. The same
 * sender always finds the same socket. */
static uint64_t hash(const struct soq_sim *sim, const struct soq__sim_addr *to,
	const struct soq__sim_addr *from)
{
	const uint8_t ports[4] = { (uint8_t)to->port, (uint8_t)(to->port >> 8),
		(uint8_t)from->port, (uint8_t)(from->port >> 8) };
	uint64_t h = 0xcbf29ce484222325u ^ sim->seed;

	for (size_t i = 0; i < sizeof(to->ip); i++) {
		h = (h ^ to->ip[i]) * 0x100000001b3u;
		h = (h ^ from->ip[i]) * 0x100000001b3u;
	}
	for (size_t i = 0; i < sizeof(ports); i++)
		h = (h ^ ports[i]) * 0x100000001b3u;
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

/* One of the @count sockets that fit equally well and share. */
static struct soq__sim_bound *pick(struct soq_sim_host *host, uint8_t protocol,
	const struct soq__sim_addr *to, const struct soq__sim_addr *from, unsigned best,
	unsigned count)
{
	uint64_t left = soq__sim_below(hash(host->sim, to, from), count);
	struct soq__sim_bound *b = NULL;

	while ((b = next_of(host->ports, protocol, to->port, b)))
		if (b->reuse_port && fit(b, to, from) == best && left-- == 0)
			break;
	return b;
}

struct soq__sim_bound *soq__sim_port_owner(struct soq_sim_host *host, uint8_t protocol,
	const struct soq__sim_addr *to, const struct soq__sim_addr *from)
{
	struct soq__sim_bound *b = NULL, *found = NULL;
	unsigned best = 0, sharing = 0;

	while ((b = next_of(host->ports, protocol, to->port, b))) {
		unsigned points = fit(b, to, from);

		if (points == 0 || points < best)
			continue;
		if (points > best)
			sharing = 0;
		best = points;
		/* Of those that merely reuse the address, the one bound last. */
		found = b;
		sharing += b->reuse_port;
	}
	if (sharing > 1 && found->reuse_port)
		return pick(host, protocol, to, from, best, sharing);
	return found;
}
