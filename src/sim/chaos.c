/* chaos.c - faults and the default link, drawn from the seed.
 *
 * Each number is drawn by a key of its own: which call, which kind of trouble, which of its
 * faults, which of its properties. So a fault that is left out, or a kind that is allowed more
 * of, changes no other.
 *
 * Small amounts are as likely as large ones, in orders of magnitude: what breaks programs is
 * not only the worst of everything. And each kind of trouble of a link is absent from half of
 * the seeds, since one may hide another.
 *
 * Source: A. Groce et al., "Swarm Testing", ISSTA 2012.
 */
#include "sim/sim.h"
#include "fiber/last_error.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNTIL_NS	(30 * SOQ_S)
#define DURATION_MAX_NS (10 * SOQ_S)
#define ORDERS		8
#define LINK_ORDERS	4 /* a loss of a hundredth of the worst troubles nobody */
#define FAULTS_MAX	10000
#define STEP_MAX_NS	(3600 * SOQ_S)
#define DRIFT_MAX_PPM	100000
#define DELAY_MAX_NS	(2 * SOQ_S)
#define RATE_LEAST	1000 /* bytes a second */
#define RATE_MOST	10000000

enum group {
	PARTITIONS,
	CRASHES,
	PAUSES,
	CLOCK_STEPS,
	DRIFTS,
	LINK_CHANGES,
	GROUPS,
	DEFAULT_LINK = GROUPS,
};

/* What is drawn of a fault; a place each. */
enum property { KIND, HOST, PEER, INSTANT, DURATION, STRETCH, SCALE, AMOUNT, SIGN, COUNT };

struct plan {
	struct soq_sim *sim;
	struct soq_sim_chaos opt;    /* defaults filled in */
	struct soq_sim_host **prone; /* those that may crash and pause */
	size_t prone_count;
};

/* ---- drawing ---- */

static uint64_t draw(
	const struct plan *plan, enum group group, uint32_t which, enum property property)
{
	const struct soq_sim *sim = plan->sim;
	uint64_t key = (uint64_t)sim->chaos_calls << 48 | (uint64_t)group << 32 | which;

	return soq__sim_draw(sim, SOQ__SIM_CHAOS, key, property);
}

/* From 0 to @most, of each of some orders of magnitude (of 2) alike. */
static uint64_t scaled(uint64_t scale, uint64_t amount, uint64_t most)
{
	return soq__sim_below(amount, (most >> soq__sim_below(scale, ORDERS)) + 1);
}

static struct soq_sim_host *any_host(const struct plan *plan, uint64_t drawn)
{
	const struct soq_sim *sim = plan->sim;

	return sim->hosts[soq__sim_below(drawn, sim->host_count)];
}

/* Any but the one given. */
static struct soq_sim_host *other_host(
	const struct plan *plan, const struct soq_sim_host *host, uint64_t drawn)
{
	const struct soq_sim *sim = plan->sim;
	size_t at = soq__sim_below(drawn, sim->host_count - 1);

	return sim->hosts[at >= host->index ? at + 1 : at];
}

/* What people will read, and type, without the digits that make no difference. */
static int64_t whole_us(uint64_t ns)
{
	return (int64_t)(ns - ns % SOQ_US);
}

/* ---- faults ---- */

static void draw_pair(
	struct soq_sim_fault *f, const struct plan *plan, enum group group, uint32_t which)
{
	struct soq_sim_host *a = any_host(plan, draw(plan, group, which, HOST));

	f->a = a->name;
	f->b = other_host(plan, a, draw(plan, group, which, PEER))->name;
}

static void draw_partition(struct soq_sim_fault *f, const struct plan *plan, uint32_t which)
{
	uint64_t kind = soq__sim_below(draw(plan, PARTITIONS, which, KIND), 4);

	draw_pair(f, plan, PARTITIONS, which);
	f->kind = kind == 0 ? SOQ_SIM_PARTITION_ONE : SOQ_SIM_PARTITION;
	if (kind == 1)
		f->b = NULL;
}

static void draw_link_change(struct soq_sim_fault *f, const struct plan *plan, uint32_t which)
{
	static const enum soq_sim_fault_kind kinds[] = { SOQ_SIM_LOSS, SOQ_SIM_DELAY,
		SOQ_SIM_RATE };
	uint64_t scale = draw(plan, LINK_CHANGES, which, SCALE);
	uint64_t amount = draw(plan, LINK_CHANGES, which, AMOUNT);

	draw_pair(f, plan, LINK_CHANGES, which);
	f->kind = kinds[soq__sim_below(draw(plan, LINK_CHANGES, which, KIND), 3)];
	if (f->kind == SOQ_SIM_LOSS)
		f->amount = (int64_t)scaled(scale, amount, SOQ_PPM_ONE);
	else if (f->kind == SOQ_SIM_DELAY)
		f->amount = whole_us(scaled(scale, amount, DELAY_MAX_NS));
	else
		f->amount = RATE_LEAST + (int64_t)scaled(scale, amount, RATE_MOST);
}

/* An amount of either sign. */
static int64_t draw_signed(
	const struct plan *plan, enum group group, uint32_t which, uint64_t most)
{
	int64_t amount = (int64_t)scaled(
		draw(plan, group, which, SCALE), draw(plan, group, which, AMOUNT), most);

	return draw(plan, group, which, SIGN) & 1 ? -amount : amount;
}

static void draw_at_host(
	struct soq_sim_fault *f, const struct plan *plan, enum group group, uint32_t which)
{
	uint64_t host = draw(plan, group, which, HOST);

	if (group == CRASHES || group == PAUSES) {
		f->kind = group == CRASHES ? SOQ_SIM_CRASH : SOQ_SIM_PAUSE;
		f->a = plan->prone[soq__sim_below(host, plan->prone_count)]->name;
		return;
	}
	f->a = any_host(plan, host)->name;
	if (group == CLOCK_STEPS) {
		f->kind = SOQ_SIM_CLOCK_STEP;
		f->amount = draw_signed(plan, group, which, STEP_MAX_NS);
		f->amount -= f->amount % SOQ_US;
	} else {
		f->kind = SOQ_SIM_CLOCK_DRIFT;
		f->amount = draw_signed(plan, group, which, DRIFT_MAX_PPM);
	}
}

static int add_fault(const struct plan *plan, enum group group, uint32_t which)
{
	const struct soq_sim_chaos *opt = &plan->opt;
	struct soq_sim_fault f = { 0 };
	int64_t span = opt->until_ns - opt->from_ns;

	if (group == PARTITIONS)
		draw_partition(&f, plan, which);
	else if (group == LINK_CHANGES)
		draw_link_change(&f, plan, which);
	else
		draw_at_host(&f, plan, group, which);
	f.at_ns = opt->from_ns +
		whole_us(soq__sim_below(draw(plan, group, which, INSTANT), (uint64_t)span + 1));
	if (f.kind != SOQ_SIM_CLOCK_STEP)
		f.duration_ns = whole_us(scaled(draw(plan, group, which, STRETCH),
			draw(plan, group, which, DURATION), (uint64_t)opt->duration_max_ns));
	return soq_sim_add_fault(plan->sim, &f);
}

/* Whether the world has hosts for such faults. */
static bool is_possible(const struct plan *plan, enum group group)
{
	if (group == PARTITIONS || group == LINK_CHANGES)
		return plan->sim->host_count > 1;
	if (group == CRASHES || group == PAUSES)
		return plan->prone_count > 0;
	return plan->sim->host_count > 0;
}

static int add_faults(const struct plan *plan)
{
	const struct soq_sim_chaos *opt = &plan->opt;
	const unsigned most[GROUPS] = {
		[PARTITIONS] = opt->partitions_max,
		[CRASHES] = opt->crashes_max,
		[PAUSES] = opt->pauses_max,
		[CLOCK_STEPS] = opt->clock_steps_max,
		[DRIFTS] = opt->drifts_max,
		[LINK_CHANGES] = opt->link_changes_max,
	};
	int rc = 0;

	for (enum group group = 0; group < GROUPS; group++) {
		uint64_t count = soq__sim_below(
			draw(plan, group, UINT32_MAX, COUNT), (uint64_t)most[group] + 1);

		for (uint32_t i = 0; i < count && rc == 0 && is_possible(plan, group); i++)
			rc = add_fault(plan, group, i);
	}
	return rc;
}

/* ---- the default link ---- */

static uint64_t draw_field(const struct plan *plan, size_t offset, enum property property)
{
	return draw(plan, DEFAULT_LINK, (uint32_t)offset, property);
}

#define FIELD(member) offsetof(struct soq_sim_link, member)

/* Nothing in half of the worlds, else up to the worst. */
static uint64_t trouble(const struct plan *plan, size_t field, uint64_t worst)
{
	uint64_t order = soq__sim_below(draw_field(plan, field, SCALE), LINK_ORDERS);

	if (draw_field(plan, field, KIND) & 1)
		return 0;
	return soq__sim_below(draw_field(plan, field, AMOUNT), (worst >> order) + 1);
}

static uint32_t chance(const struct plan *plan, size_t field, uint32_t worst, uint32_t former)
{
	return worst ? (uint32_t)trouble(plan, field, worst) : former;
}

/* A time that is at least a nanosecond, since 0 would be the default. */
static int64_t time_ns(const struct plan *plan, size_t field, int64_t worst, int64_t former)
{
	uint64_t drawn = draw_field(plan, field, AMOUNT);

	if (!worst)
		return former;
	return 1 + (int64_t)scaled(draw_field(plan, field, SCALE), drawn, (uint64_t)worst - 1);
}

/* The worst is the least: of bytes and rates, up to a thousand times as many. */
static uint64_t room(const struct plan *plan, size_t field, uint64_t worst, uint64_t former)
{
	uint64_t most = worst > UINT64_MAX / 1000 ? UINT64_MAX - worst : 999 * worst;

	if (!worst)
		return former;
	return worst +
		scaled(draw_field(plan, field, SCALE), draw_field(plan, field, AMOUNT), most);
}

/* Between the worst and another value, both included. */
static uint64_t between(const struct plan *plan, size_t field, uint64_t a, uint64_t b)
{
	uint64_t least = a < b ? a : b, most = a < b ? b : a;

	return least + soq__sim_below(draw_field(plan, field, AMOUNT), most - least + 1);
}

static void draw_bursts(struct soq_sim_link *link, const struct plan *plan)
{
	const struct soq_sim_link *worst = &plan->opt.worst;

	link->burst_enter_ppm = chance(
		plan, FIELD(burst_enter_ppm), worst->burst_enter_ppm, link->burst_enter_ppm);
	if (!link->burst_enter_ppm)
		return;
	if (worst->burst_leave_ppm)
		link->burst_leave_ppm = (uint32_t)between(
			plan, FIELD(burst_leave_ppm), worst->burst_leave_ppm, SOQ_PPM_ONE);
	if (worst->burst_loss_ppm)
		link->burst_loss_ppm = (uint32_t)between(
			plan, FIELD(burst_loss_ppm), worst->burst_loss_ppm, 1);
}

static void draw_rate(struct soq_sim_link *link, const struct plan *plan)
{
	const struct soq_sim_link *worst = &plan->opt.worst;

	if (worst->rate_bytes_s && draw_field(plan, FIELD(rate_bytes_s), KIND) & 1)
		link->rate_bytes_s = 0;
	else
		link->rate_bytes_s = room(
			plan, FIELD(rate_bytes_s), worst->rate_bytes_s, link->rate_bytes_s);
	link->burst_bytes =
		room(plan, FIELD(burst_bytes), worst->burst_bytes, link->burst_bytes);
	link->queue_bytes =
		room(plan, FIELD(queue_bytes), worst->queue_bytes, link->queue_bytes);
	if (worst->codel)
		link->codel = draw_field(plan, FIELD(codel), KIND) & 1;
}

/* Defaults that depend on what is drawn are to be taken from that. */
static void follow_others(struct soq_sim_link *link)
{
	if (link->burst_bytes == link->mtu)
		link->burst_bytes = 0;
	if (link->reorder_ns == 4 * link->latency_ns)
		link->reorder_ns = 0;
}

static void draw_link(const struct plan *plan)
{
	const struct soq_sim_link *worst = &plan->opt.worst;
	struct soq_sim_link link = plan->sim->opt.link;

	follow_others(&link);
	link.latency_ns = time_ns(plan, FIELD(latency_ns), worst->latency_ns, link.latency_ns);
	if (worst->jitter_ns)
		link.jitter_ns =
			(int64_t)trouble(plan, FIELD(jitter_ns), (uint64_t)worst->jitter_ns);
	draw_rate(&link, plan);
	link.loss_ppm = chance(plan, FIELD(loss_ppm), worst->loss_ppm, link.loss_ppm);
	draw_bursts(&link, plan);
	if (worst->lose_nth)
		link.lose_nth = trouble(plan, FIELD(lose_nth), worst->lose_nth);
	link.duplicate_ppm =
		chance(plan, FIELD(duplicate_ppm), worst->duplicate_ppm, link.duplicate_ppm);
	link.reorder_ppm =
		chance(plan, FIELD(reorder_ppm), worst->reorder_ppm, link.reorder_ppm);
	link.reorder_ns = time_ns(plan, FIELD(reorder_ns), worst->reorder_ns, link.reorder_ns);
	link.corrupt_ppm =
		chance(plan, FIELD(corrupt_ppm), worst->corrupt_ppm, link.corrupt_ppm);
	if (worst->mtu)
		link.mtu = (unsigned)between(plan, FIELD(mtu), worst->mtu, link.mtu);
	soq__sim_set_default_link(plan->sim, &link);
}

/* ---- the plan ---- */

static int check(const struct soq_sim_chaos *opt)
{
	const unsigned counts[] = { opt->partitions_max, opt->crashes_max, opt->pauses_max,
		opt->clock_steps_max, opt->drifts_max, opt->link_changes_max };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		if (counts[i] > FAULTS_MAX)
			return soq__fail(-EINVAL,
				"chaos has at most %d faults of a kind, not %u", FAULTS_MAX,
				counts[i]);
	if (opt->from_ns < 0 || opt->until_ns < opt->from_ns || opt->until_ns == SOQ_NEVER)
		return soq__fail(-EINVAL, "chaos cannot last from %lld to %lld",
			(long long)opt->from_ns, (long long)opt->until_ns);
	if (opt->duration_max_ns < 0)
		return soq__fail(-EINVAL, "a fault's longest duration is not negative");
	return soq__sim_link_check(&opt->worst, "the worst link");
}

/* Whether a name is one of a list's. */
static bool is_listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (list && *list) {
		size_t n = strcspn(list, " \t\n");

		if (n == len && memcmp(list, name, n) == 0)
			return true;
		list += n + strspn(list + n, " \t\n");
	}
	return false;
}

/* A name that no host has would protect nobody. */
static int check_spare(const struct soq_sim *sim, const char *list)
{
	while (list && *(list += strspn(list, " \t\n"))) {
		int n = (int)strcspn(list, " \t\n");

		if (!soq__sim_book_find(&sim->names, list, (size_t)n))
			return soq__fail(-EINVAL,
				"chaos is to spare '%.*s', and no simulated host is called so",
				n, list);
		list += n;
	}
	return 0;
}

static void choose_prone(struct plan *plan)
{
	const struct soq_sim *sim = plan->sim;

	plan->prone = soq__sim_alloc((sim->host_count + 1) * sizeof(struct soq_sim_host *));
	for (size_t i = 0; i < sim->host_count; i++)
		if (!is_listed(plan->opt.spare, sim->hosts[i]->name))
			plan->prone[plan->prone_count++] = sim->hosts[i];
}

int soq_sim_add_chaos(struct soq_sim *sim, const struct soq_sim_chaos *chaos)
{
	struct plan plan = { .sim = sim, .opt = *chaos };
	int rc = check(chaos);

	if (rc == 0)
		rc = check_spare(sim, chaos->spare);
	if (rc < 0)
		return rc;
	if (!plan.opt.from_ns && !plan.opt.until_ns)
		plan.opt.until_ns = UNTIL_NS;
	if (!plan.opt.duration_max_ns)
		plan.opt.duration_max_ns = DURATION_MAX_NS;
	choose_prone(&plan);
	sim->drawing = true;
	if (!sim->chaos_given)
		rc = add_faults(&plan);
	sim->drawing = false;
	if (rc == 0)
		draw_link(&plan);
	sim->chaos_calls++;
	free(plan.prone);
	return rc;
}
