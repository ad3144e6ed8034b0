/* tcp_table.c - which connection of a host a segment is for.
 *
 * A hash table by the two addresses and ports, chained, as large as there are connections.
 *
 * Invariant: no two connections of a host have the same addresses and ports.
 * Source: RFC 9293 section 3.3.1 (what identifies a connection); RFC 6528 (initial numbers).
 */
#include "sim/tcp.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_LEAST 16

struct soq__sim_tcp {
	struct soq__sim_conn **places;
	size_t place_count; /* a power of 2, or 0 */
	size_t count;
	size_t resting; /* of them, in TIME_WAIT */
};

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * UINT64_C(0x9fb21c651e98df25);
	return h ^ h >> 32;
}

static uint64_t mix_ip(uint64_t h, const struct soq__sim_addr *addr)
{
	uint64_t words[2];

	memcpy(words, addr->ip, sizeof(words));
	return mix(mix(h, le64toh(words[0])), le64toh(words[1]));
}

static uint64_t hash(const struct soq__sim_addr *local, const struct soq__sim_addr *remote)
{
	uint64_t h = mix(0, (uint64_t)local->port << 16 | remote->port);

	return mix_ip(mix_ip(h, local), remote);
}

static struct soq__sim_conn **place_of(const struct soq__sim_tcp *tcp,
	const struct soq__sim_addr *local, const struct soq__sim_addr *remote)
{
	return &tcp->places[hash(local, remote) & (tcp->place_count - 1)];
}

struct soq__sim_conn *soq__sim_tcp_find(const struct soq_sim_host *host,
	const struct soq__sim_addr *local, const struct soq__sim_addr *remote)
{
	const struct soq__sim_tcp *tcp = host->tcp;

	if (tcp->count == 0)
		return NULL;
	for (struct soq__sim_conn *c = *place_of(tcp, local, remote); c; c = c->next)
		if (soq__sim_same_addr(&c->remote, remote) &&
			soq__sim_same_addr(&c->local, local))
			return c;
	return NULL;
}

static void put(const struct soq__sim_tcp *tcp, struct soq__sim_conn *c)
{
	struct soq__sim_conn **place = place_of(tcp, &c->local, &c->remote);

	c->next = *place;
	*place = c;
}

static void grow(struct soq__sim_tcp *tcp)
{
	struct soq__sim_tcp bigger = *tcp;

	bigger.place_count = tcp->place_count ? 2 * tcp->place_count : PLACES_LEAST;
	bigger.places = soq__sim_alloc(bigger.place_count * sizeof(struct soq__sim_conn *));
	for (size_t i = 0; i < tcp->place_count; i++) {
		struct soq__sim_conn *c, *next;

		for (c = tcp->places[i]; c; c = next) {
			next = c->next;
			put(&bigger, c);
		}
	}
	free(tcp->places);
	*tcp = bigger;
}

void soq__sim_tcp_list(struct soq__sim_conn *c)
{
	struct soq__sim_tcp *tcp = c->socket.host->tcp;

	if (tcp->count == tcp->place_count)
		grow(tcp);
	put(tcp, c);
	tcp->count++;
	c->is_listed = true;
}

void soq__sim_tcp_unlist(struct soq__sim_conn *c)
{
	struct soq__sim_tcp *tcp = c->socket.host->tcp;
	struct soq__sim_conn **at;

	if (!c->is_listed)
		return;
	for (at = place_of(tcp, &c->local, &c->remote); *at != c; at = &(*at)->next)
		;
	*at = c->next;
	tcp->count--;
	if (c->state == TCP_TIME_WAIT)
		tcp->resting--;
	c->is_listed = false;
}

void soq__sim_tcp_rests(struct soq__sim_conn *c)
{
	c->state = TCP_TIME_WAIT;
	c->socket.host->tcp->resting++;
}

/* ---- ports and numbers ---- */

/* Whether binding an address would take packets of another. */
static bool overlap(
	const struct soq__sim_addr *wanted, bool v6only, const struct soq__sim_addr *taken)
{
	if (!soq__sim_addr_is_any(wanted))
		return soq__sim_same_ip(wanted, taken);
	if (soq__sim_addr_is4(wanted))
		return soq__sim_addr_is4(taken);
	return !(v6only && soq__sim_addr_is4(taken));
}

/* Those that have bound no port have their listener's, or one that connect(2) chose. */
bool soq__sim_tcp_port_taken(const struct soq__sim_conn *c, const struct soq__sim_addr *addr)
{
	const struct soq__sim_tcp *tcp = c->socket.host->tcp;

	for (size_t i = 0; i < tcp->place_count; i++) {
		for (const struct soq__sim_conn *other = tcp->places[i]; other;
			other = other->next) {
			bool shared = (c->reuse_addr && other->reuse_addr) ||
				(c->reuse_port && other->reuse_port);

			if (!other->bound && other->local.port == addr->port && !shared &&
				overlap(addr, c->v6only, &other->local))
				return true;
		}
	}
	return false;
}

/* A clock of 64 ns, beginning for each pair of addresses where the seed says: so a later
 * connection of the same pair has higher numbers, and TIME_WAIT can tell it from the former
 * one. After a crash the numbers begin elsewhere. */
uint32_t soq__sim_tcp_isn(const struct soq__sim_conn *c)
{
	const struct soq_sim_host *host = c->socket.host;
	uint64_t pair = mix(hash(&c->local, &c->remote), host->lives);

	return (uint32_t)(soq__sim_draw(host->sim, SOQ__SIM_ISN, host->index, pair) +
		((uint64_t)host->sim->now_ns >> 6));
}

/* ---- the host's part ---- */

struct soq__sim_tcp *soq__sim_tcp_new(void)
{
	return soq__sim_alloc(sizeof(struct soq__sim_tcp));
}

void soq__sim_tcp_free(struct soq__sim_tcp *tcp)
{
	free(tcp->places);
	free(tcp);
}

void soq__sim_tcp_crash(struct soq_sim_host *host)
{
	struct soq__sim_tcp *tcp = host->tcp;

	for (size_t i = 0; i < tcp->place_count; i++)
		while (tcp->places[i])
			soq__sim_conn_free(tcp->places[i]);
}

unsigned soq__sim_tcp_count(const struct soq_sim_host *host, uint64_t *add_bytes)
{
	const struct soq__sim_tcp *tcp = host->tcp;

	/* What has a descriptor is counted by it. */
	for (size_t i = 0; i < tcp->place_count; i++)
		for (const struct soq__sim_conn *c = tcp->places[i]; c; c = c->next)
			if (c->socket.refs == 0)
				*add_bytes += soq__sim_tcp_memory(&c->socket);
	return (unsigned)(tcp->count - tcp->resting);
}
