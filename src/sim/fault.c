/* fault.c - faults that begin and end at instants of the world, and the same by hand.
 *
 * Faults may overlap. What adds up (partitions are counted, losses, delays and drifts are
 * sums) is added and taken back; of rates the least of the active ones holds; a pause lasts
 * until the last of those that overlap has ended.
 *
 * Invariant: a fault that is active has had its effect, and takes back exactly that; what was
 * done by hand meanwhile stays.
 */
#include "sim/fault.h"
#include "sim/link.h"
#include "fiber/last_error.h"
#include <errno.h>
#include <stdlib.h>

#define YEAR_NS (365 * 86400 * SOQ_S)

const char *soq_sim_fault_name(enum soq_sim_fault_kind kind)
{
	static const char *const names[SOQ_SIM_FAULT_KINDS] = {
		[SOQ_SIM_PARTITION] = "partition",
		[SOQ_SIM_PARTITION_ONE] = "one-way partition",
		[SOQ_SIM_CRASH] = "crash",
		[SOQ_SIM_PAUSE] = "pause",
		[SOQ_SIM_CLOCK_STEP] = "clock step",
		[SOQ_SIM_CLOCK_DRIFT] = "clock drift",
		[SOQ_SIM_LOSS] = "loss",
		[SOQ_SIM_DELAY] = "delay",
		[SOQ_SIM_RATE] = "rate",
	};

	return (unsigned)kind < SOQ_SIM_FAULT_KINDS ? names[kind] : "?";
}

/* Whether it is about links, not about a host. */
static bool is_between(enum soq_sim_fault_kind kind)
{
	return kind == SOQ_SIM_PARTITION || kind == SOQ_SIM_PARTITION_ONE ||
		kind == SOQ_SIM_LOSS || kind == SOQ_SIM_DELAY || kind == SOQ_SIM_RATE;
}

/* ---- what a fault does to links ---- */

static bool covers(const struct soq__sim_planned *f, const struct soq_sim_host *x,
	const struct soq_sim_host *y)
{
	const struct soq_sim_host *other = f->a == x ? y : x;

	if (f->a != x && f->a != y)
		return false;
	return f->b ? f->b == other : other->index < f->host_count;
}

/* The least rate of the faults that are active between two hosts, or 0. */
static void limit_rates(struct soq_sim_host *x, struct soq_sim_host *y)
{
	uint64_t least = 0;

	soq__list_for_each (node, &x->sim->faults) {
		const struct soq__sim_planned *f = soq__sim_planned_of(node);
		uint64_t rate = (uint64_t)f->fault.amount;

		if (f->fault.kind == SOQ_SIM_RATE && f->active && covers(f, x, y) &&
			(!least || rate < least))
			least = rate;
	}
	soq__sim_link_limit(x, y, least);
	soq__sim_link_limit(y, x, least);
}

/* A direction that has been healed by hand is open already. */
static void block(const struct soq__sim_planned *f, struct soq_sim_host *from,
	struct soq_sim_host *to, int sign)
{
	if (sign > 0 || f->began_event > soq__sim_link_of(from, to)->healed_event)
		soq__sim_block(from, to, sign);
}

/* Add a fault's effect to a pair of hosts, or (sign -1) take it back. */
static void apply_to(const struct soq__sim_planned *f, struct soq_sim_host *other, int sign)
{
	int64_t loss = f->fault.kind == SOQ_SIM_LOSS ? sign * f->fault.amount : 0;
	int64_t delay = f->fault.kind == SOQ_SIM_DELAY ? sign * f->fault.amount : 0;

	switch (f->fault.kind) {
	case SOQ_SIM_PARTITION:
		block(f, f->a, other, sign);
		block(f, other, f->a, sign);
		break;
	case SOQ_SIM_PARTITION_ONE:
		block(f, f->a, other, sign);
		break;
	case SOQ_SIM_RATE:
		limit_rates(f->a, other);
		break;
	default:
		soq__sim_link_worsen(f->a, other, loss, delay);
		soq__sim_link_worsen(other, f->a, loss, delay);
		break;
	}
}

static void apply(const struct soq__sim_planned *f, int sign)
{
	const struct soq_sim *sim = f->a->sim;

	if (f->b) {
		apply_to(f, f->b, sign);
		return;
	}
	for (size_t i = 0; i < f->host_count; i++)
		if (sim->hosts[i] != f->a)
			apply_to(f, sim->hosts[i], sign);
}

/* ---- beginning and ending ---- */

static void note_between(const struct soq__sim_planned *f, const char *what)
{
	soq__sim_note_fault(f->a->sim, f->a, "%s %s: %s %s %s",
		soq_sim_fault_name(f->fault.kind), what, f->a->name,
		f->fault.kind == SOQ_SIM_PARTITION_ONE ? "to" : "and",
		f->b ? f->b->name : "all others");
}

/* Whether another pause of this life of the host goes on. */
static bool still_pauses(const struct soq_sim_host *host)
{
	soq__list_for_each (node, &host->sim->faults) {
		const struct soq__sim_planned *f = soq__sim_planned_of(node);

		if (f->fault.kind == SOQ_SIM_PAUSE && f->active && f->a == host &&
			f->lives == host->lives)
			return true;
	}
	return false;
}

/* @return false when there is nothing that could end */
static bool begin_at_host(struct soq__sim_planned *f)
{
	struct soq_sim_host *host = f->a;
	enum soq_sim_fault_kind kind = f->fault.kind;

	if (!host->up && (kind == SOQ_SIM_CRASH || kind == SOQ_SIM_PAUSE)) {
		soq__sim_note(host->sim, host, "no %s: it is down", soq_sim_fault_name(kind));
		return false;
	}
	switch (kind) {
	case SOQ_SIM_CRASH:
		return soq_sim_crash(host) == 0;
	case SOQ_SIM_PAUSE:
		soq__sim_host_pause(host);
		return true;
	case SOQ_SIM_CLOCK_STEP:
		soq_sim_step_clock(host, f->fault.amount);
		return false;
	default:
		soq__sim_host_drift(host, f->fault.amount);
		soq__sim_note_fault(host->sim, host, "the clocks run %lld ppm fast",
			(long long)host->drift_ppm);
		return true;
	}
}

/* The end of a crash. A host that has come back since, and is down again, is so for another
 * reason. */
static void restart(const struct soq__sim_planned *f)
{
	struct soq_sim_host *host = f->a;
	int rc;

	if (host->up || host->lives != f->lives) {
		soq__sim_note(host->sim, host, "no restart: it %s",
			host->up ? "is up" : "has crashed again since");
		return;
	}
	rc = soq_sim_restart(host);
	if (rc < 0)
		soq__sim_end_run(host->sim, SOQ_SIM_FAILED,
			"host %s could not start its programs again: %d", host->name, rc);
}

static void end_at_host(struct soq__sim_planned *f)
{
	struct soq_sim_host *host = f->a;

	switch (f->fault.kind) {
	case SOQ_SIM_CRASH:
		restart(f);
		break;
	case SOQ_SIM_PAUSE:
		if (host->up && host->paused && !host->paused_by_hand && !still_pauses(host))
			soq__sim_host_resume(host);
		break;
	default:
		soq__sim_host_drift(host, -f->fault.amount);
		soq__sim_note_fault(host->sim, host, "the clocks run %lld ppm fast",
			(long long)host->drift_ppm);
		break;
	}
}

static void end_fired(struct soq_sim *sim, struct soq__sim_event *event)
{
	struct soq__sim_planned *f = soq__container_of(event, struct soq__sim_planned, end);

	f->active = false;
	if (!is_between(f->fault.kind)) {
		end_at_host(f);
		return;
	}
	apply(f, -1);
	note_between(f, "ends");
}

static void begin_fired(struct soq_sim *sim, struct soq__sim_event *event)
{
	struct soq__sim_planned *f = soq__container_of(event, struct soq__sim_planned, begin);
	int64_t end_ns = soq__after(sim->now_ns, f->fault.duration_ns);

	f->began_event = sim->event_count;
	f->lives = f->a->lives;
	f->host_count = sim->host_count;
	if (is_between(f->fault.kind)) {
		f->active = true;
		apply(f, 1);
		note_between(f, "begins");
	} else {
		f->active = begin_at_host(f);
	}
	if (f->active && end_ns != SOQ_NEVER)
		soq__sim_at(sim, &f->end, end_ns);
}

/* ---- planning ---- */

/* What amounts make sense, from the least to the most. */
static int check_amount(const struct soq_sim_fault *fault)
{
	static const struct {
		int64_t least, most;
	} rows[SOQ_SIM_FAULT_KINDS] = {
		[SOQ_SIM_PARTITION] = { INT64_MIN, INT64_MAX },
		[SOQ_SIM_PARTITION_ONE] = { INT64_MIN, INT64_MAX },
		[SOQ_SIM_CRASH] = { INT64_MIN, INT64_MAX },
		[SOQ_SIM_PAUSE] = { INT64_MIN, INT64_MAX },
		[SOQ_SIM_CLOCK_STEP] = { -50 * YEAR_NS, 50 * YEAR_NS },
		[SOQ_SIM_CLOCK_DRIFT] = { -SOQ__SIM_DRIFT_MAX, SOQ__SIM_DRIFT_MAX },
		[SOQ_SIM_LOSS] = { 0, SOQ_PPM_ONE },
		[SOQ_SIM_DELAY] = { 0, YEAR_NS },
		[SOQ_SIM_RATE] = { 1, INT64_MAX },
	};
	enum soq_sim_fault_kind kind = fault->kind;

	if (fault->amount >= rows[kind].least && fault->amount <= rows[kind].most)
		return 0;
	return soq__fail(-EINVAL, "the amount of a %s is from %lld to %lld, not %lld",
		soq_sim_fault_name(kind), (long long)rows[kind].least,
		(long long)rows[kind].most, (long long)fault->amount);
}

static int check_fault(const struct soq_sim_fault *fault)
{
	if ((unsigned)fault->kind >= SOQ_SIM_FAULT_KINDS)
		return soq__fail(-EINVAL, "there is no fault of kind %d", (int)fault->kind);
	if (!fault->a)
		return soq__fail(-EINVAL, "a %s needs a host", soq_sim_fault_name(fault->kind));
	if (fault->b && !is_between(fault->kind))
		return soq__fail(-EINVAL, "a %s is of one host, not of '%s' and '%s'",
			soq_sim_fault_name(fault->kind), fault->a, fault->b);
	if (fault->at_ns < 0 || fault->duration_ns < 0)
		return soq__fail(
			-EINVAL, "a fault's instant and its duration are not negative");
	return check_amount(fault);
}

static struct soq_sim_host *find_host(const struct soq_sim *sim, const char *name)
{
	struct soq_sim_host *host = soq_sim_host_find(sim, name);

	if (!host)
		soq__fail(-ENOENT, "there is no simulated host called '%s'", name);
	return host;
}

int soq_sim_add_fault(struct soq_sim *sim, const struct soq_sim_fault *fault)
{
	struct soq_sim_host *a, *b = NULL;
	struct soq__sim_planned *f;
	int rc = check_fault(fault);

	if (rc < 0)
		return rc;
	a = find_host(sim, fault->a);
	if (a && fault->b)
		b = find_host(sim, fault->b);
	if (!a || (fault->b && !b))
		return -ENOENT;
	if (a == b)
		return soq__fail(-EINVAL, "a %s is between two hosts, not '%s' and itself",
			soq_sim_fault_name(fault->kind), a->name);
	f = soq__sim_alloc(sizeof(*f));
	f->fault = *fault;
	f->fault.a = a->name;
	f->fault.b = b ? b->name : NULL;
	f->a = a;
	f->b = b;
	f->is_drawn = sim->drawing;
	soq__sim_event_init(&f->begin, begin_fired);
	soq__sim_event_init(&f->end, end_fired);
	soq__list_append(&sim->faults, &f->node);
	soq__sim_at(sim, &f->begin, fault->at_ns);
	return 0;
}

void soq__sim_faults_free(struct soq_sim *sim)
{
	struct soq__list *node;

	while ((node = soq__list_pop(&sim->faults))) {
		struct soq__sim_planned *f = soq__sim_planned_of(node);

		soq__sim_cancel(sim, &f->begin);
		soq__sim_cancel(sim, &f->end);
		free(f);
	}
}

size_t soq__sim_faults_count(const struct soq_sim *sim)
{
	size_t count = 0;

	for (const struct soq__list *n = sim->faults.next; n != &sim->faults; n = n->next)
		count++;
	return count;
}

static const struct soq__sim_planned *planned_at(const struct soq_sim *sim, size_t index)
{
	struct soq__list *node = sim->faults.next;

	while (index-- > 0)
		node = node->next;
	return soq__sim_planned_of(node);
}

struct soq_sim_fault soq__sim_fault_at(const struct soq_sim *sim, size_t index)
{
	return planned_at(sim, index)->fault;
}

bool soq__sim_fault_is_drawn(const struct soq_sim *sim, size_t index)
{
	return planned_at(sim, index)->is_drawn;
}

/* ---- by hand ---- */

static int check_pair(const struct soq_sim_host *a, const struct soq_sim_host *b)
{
	if (a->sim != b->sim)
		return soq__fail(
			-EINVAL, "'%s' and '%s' are of different worlds", a->name, b->name);
	if (a == b)
		return soq__fail(-EINVAL, "no partition parts '%s' from itself", a->name);
	return 0;
}

int soq_sim_partition_one(struct soq_sim_host *from, struct soq_sim_host *to)
{
	int rc = check_pair(from, to);

	if (rc < 0)
		return rc;
	soq__sim_block(from, to, 1);
	soq__sim_note_fault(
		from->sim, from, "one-way partition from %s to %s", from->name, to->name);
	return 0;
}

int soq_sim_partition(struct soq_sim_host *a, struct soq_sim_host *b)
{
	int rc = check_pair(a, b);

	if (rc < 0)
		return rc;
	soq__sim_block(a, b, 1);
	soq__sim_block(b, a, 1);
	soq__sim_note_fault(a->sim, a, "partition between %s and %s", a->name, b->name);
	return 0;
}

int soq_sim_heal(struct soq_sim_host *a, struct soq_sim_host *b)
{
	int rc = check_pair(a, b);

	if (rc < 0)
		return rc;
	soq__sim_unblock_all(a, b);
	soq__sim_unblock_all(b, a);
	soq__sim_note_fault(a->sim, a, "no partition between %s and %s", a->name, b->name);
	return 0;
}
