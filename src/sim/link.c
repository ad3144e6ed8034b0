/* link.c - directions between two hosts: their options, partitions, worsening.
 *
 * A direction exists from its first use on. Until soq_sim_link() gives it options of its own,
 * it follows the world's default, even when that changes.
 *
 * Invariant: in the options that are in force every default is filled in.
 */
#include "sim/link.h"
#include "fiber/last_error.h"
#include <errno.h>
#include <stdlib.h>

#define LATENCY_NS	    (1 * SOQ_MS)
#define LOOPBACK_LATENCY_NS (10 * SOQ_US)
#define QUEUE_BYTES	    (256 * 1024)
#define MTU		    1500  /* Ethernet */
#define LOOPBACK_MTU	    65535 /* the largest of IPv4 */
#define MTU_LEAST	    576	  /* RFC 1122 section 3.3.3 */
/* What the queue counts in billionths of a byte is to fit 64 bits. */
#define BURST_MAX ((uint64_t)1 << 33)

/* ---- options ---- */

static int check_chances(const struct soq_sim_link *link, const char *what)
{
	const struct {
		const char *name;
		uint32_t ppm;
	} rows[] = {
		{ "loss_ppm", link->loss_ppm },
		{ "burst_enter_ppm", link->burst_enter_ppm },
		{ "burst_leave_ppm", link->burst_leave_ppm },
		{ "burst_loss_ppm", link->burst_loss_ppm },
		{ "duplicate_ppm", link->duplicate_ppm },
		{ "reorder_ppm", link->reorder_ppm },
		{ "corrupt_ppm", link->corrupt_ppm },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].ppm > SOQ_PPM_ONE)
			return soq__fail(-EINVAL, "%s: %s is at most %d, not %u", what,
				rows[i].name, SOQ_PPM_ONE, rows[i].ppm);
	return 0;
}

static int check_times(const struct soq_sim_link *link, const char *what)
{
	const struct {
		const char *name;
		int64_t ns;
	} rows[] = {
		{ "latency_ns", link->latency_ns },
		{ "jitter_ns", link->jitter_ns },
		{ "reorder_ns", link->reorder_ns },
	};

	/* A year is more than any link takes, and sums of these are far from overflowing. */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].ns < 0 || rows[i].ns > 365 * 86400 * SOQ_S)
			return soq__fail(-EINVAL, "%s: %s is from 0 to a year, not %lld", what,
				rows[i].name, (long long)rows[i].ns);
	return 0;
}

int soq__sim_link_check(const struct soq_sim_link *link, const char *what)
{
	int rc = check_chances(link, what);

	if (rc == 0)
		rc = check_times(link, what);
	if (rc < 0)
		return rc;
	if (link->mtu && (link->mtu < MTU_LEAST || link->mtu > LOOPBACK_MTU))
		return soq__fail(-EINVAL, "%s: mtu is from %d to %d, not %u", what, MTU_LEAST,
			LOOPBACK_MTU, link->mtu);
	return 0;
}

void soq__sim_link_fill(struct soq_sim_link *link, bool loopback)
{
	if (!link->latency_ns)
		link->latency_ns = loopback ? LOOPBACK_LATENCY_NS : LATENCY_NS;
	if (!link->mtu)
		link->mtu = loopback ? LOOPBACK_MTU : MTU;
	if (!link->burst_bytes)
		link->burst_bytes = link->mtu;
	if (link->burst_bytes > BURST_MAX)
		link->burst_bytes = BURST_MAX;
	if (!link->queue_bytes)
		link->queue_bytes = QUEUE_BYTES;
	if (!link->burst_loss_ppm)
		link->burst_loss_ppm = SOQ_PPM_ONE;
	if (!link->reorder_ns)
		link->reorder_ns = 4 * link->latency_ns;
}

/* ---- directions ---- */

static struct soq__sim_link_state *link_new(struct soq_sim_host *from, struct soq_sim_host *to)
{
	struct soq__sim_link_state *state = soq__sim_alloc(sizeof(*state));
	const struct soq_sim_options *opt = &from->sim->opt;

	state->opt = from == to ? &opt->loopback : &opt->link;
	state->from = from;
	state->to = to;
	return state;
}

/* The directions of a host are in a hash table, since one of ten thousand clients has two: by
 * the other's index, with linear probing, at most half full. */
#define LINKS_LEAST 4

/* Where a direction is, or would be. */
static struct soq__sim_link_state **place_of(
	const struct soq_sim_host *from, const struct soq_sim_host *to)
{
	size_t mask = from->link_capacity - 1;

	for (size_t i = to->index & mask;; i = (i + 1) & mask)
		if (!from->links[i] || from->links[i]->to == to)
			return &from->links[i];
}

/* The direction, if there has been a use for it. */
static struct soq__sim_link_state *find_link(
	const struct soq_sim_host *from, const struct soq_sim_host *to)
{
	return from->link_capacity ? *place_of(from, to) : NULL;
}

static void grow(struct soq_sim_host *from)
{
	struct soq__sim_link_state **former = from->links;
	size_t count = from->link_capacity;

	from->link_capacity = count ? 2 * count : LINKS_LEAST;
	from->links =
		soq__sim_alloc(from->link_capacity * sizeof(struct soq__sim_link_state *));
	for (size_t i = 0; i < count; i++)
		if (former[i])
			*place_of(from, former[i]->to) = former[i];
	free(former);
}

struct soq__sim_link_state *soq__sim_link_of(struct soq_sim_host *from, struct soq_sim_host *to)
{
	struct soq__sim_link_state *state = find_link(from, to);

	if (soq__likely(state != NULL))
		return state;
	if (2 * (from->link_count + 1) > from->link_capacity)
		grow(from);
	state = link_new(from, to);
	*place_of(from, to) = state;
	from->link_count++;
	return state;
}

void soq__sim_links_free(struct soq_sim_host *host)
{
	for (size_t i = 0; i < host->link_capacity; i++) {
		if (host->links[i])
			soq__sim_queue_free(host->links[i]);
		free(host->links[i]);
	}
	free(host->links);
}

uint64_t soq__sim_link_bytes(const struct soq_sim_host *to)
{
	const struct soq_sim *sim = to->sim;
	uint64_t bytes = 0;

	for (size_t i = 0; i < sim->host_count; i++) {
		const struct soq__sim_link_state *state = find_link(sim->hosts[i], to);

		if (state)
			bytes += state->on_wire_bytes + soq__sim_queue_bytes(state);
	}
	return bytes;
}

int soq_sim_link(
	struct soq_sim_host *from, struct soq_sim_host *to, const struct soq_sim_link *link)
{
	struct soq__sim_link_state *state;
	int rc = soq__sim_link_check(link, "soq_sim_link()");

	if (rc < 0)
		return rc;
	if (from->sim != to->sim)
		return soq__fail(
			-EINVAL, "'%s' and '%s' are of different worlds", from->name, to->name);
	state = soq__sim_link_of(from, to);
	soq__sim_queue_settle(state);
	state->own = *link;
	soq__sim_link_fill(&state->own, from == to);
	state->opt = &state->own;
	soq__sim_queue_resume(state);
	return 0;
}

int soq_sim_link_both(
	struct soq_sim_host *a, struct soq_sim_host *b, const struct soq_sim_link *link)
{
	int rc = soq_sim_link(a, b, link);

	return rc == 0 && a != b ? soq_sim_link(b, a, link) : rc;
}

unsigned soq__sim_mtu(struct soq_sim_host *from, const struct soq__sim_addr *to)
{
	struct soq_sim_host *host;

	if (soq__sim_addr_is_loopback(to) || soq__sim_host_has(from, to))
		return soq__sim_link_of(from, from)->opt->mtu;
	host = soq__sim_host_of(from->sim, to);
	return host ? soq__sim_link_of(from, host)->opt->mtu : from->sim->opt.link.mtu;
}

/* Each direction that follows the world's default. */
static void followers(struct soq_sim *sim, void (*visit)(struct soq__sim_link_state *state))
{
	for (size_t i = 0; i < sim->host_count; i++) {
		struct soq_sim_host *from = sim->hosts[i];

		for (size_t k = 0; k < from->link_capacity; k++)
			if (from->links[k] && from->links[k]->opt == &sim->opt.link)
				visit(from->links[k]);
	}
}

void soq__sim_set_default_link(struct soq_sim *sim, const struct soq_sim_link *link)
{
	followers(sim, soq__sim_queue_settle);
	sim->opt.link = *link;
	soq__sim_link_fill(&sim->opt.link, false);
	followers(sim, soq__sim_queue_resume);
}

/* ---- partitions, worsening ---- */

void soq__sim_block(struct soq_sim_host *from, struct soq_sim_host *to, int change)
{
	struct soq__sim_link_state *state = soq__sim_link_of(from, to);
	unsigned before = state->blocked;

	state->blocked += (unsigned)change;
	if (!before != !state->blocked)
		soq__sim_see_cut(from, to, state->blocked > 0);
}

void soq__sim_unblock_all(struct soq_sim_host *from, struct soq_sim_host *to)
{
	struct soq__sim_link_state *state = soq__sim_link_of(from, to);

	if (state->blocked)
		soq__sim_see_cut(from, to, false);
	state->blocked = 0;
	state->healed_event = from->sim->event_count;
}

void soq__sim_link_worsen(
	struct soq_sim_host *from, struct soq_sim_host *to, int64_t loss_ppm, int64_t delay_ns)
{
	struct soq__sim_link_state *state = soq__sim_link_of(from, to);

	state->extra_loss_ppm += loss_ppm;
	state->extra_delay_ns += delay_ns;
}

void soq__sim_link_limit(
	struct soq_sim_host *from, struct soq_sim_host *to, uint64_t rate_bytes_s)
{
	struct soq__sim_link_state *state = soq__sim_link_of(from, to);

	soq__sim_queue_settle(state);
	state->limit_bytes_s = rate_bytes_s;
	soq__sim_queue_resume(state);
}
