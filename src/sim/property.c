/* property.c - what must hold: whenever it is reached, at least once, or in time.
 *
 * A property that is broken ends the run with SOQ_SIM_BROKEN, and its name is kept: to a
 * shrinker, two runs that break the same property fail in the same way.
 *
 * Invariant: of a world's properties only the first broken one is known; what is waited for
 * is on the list `pending` until it holds, is overdue, or the world ends.
 */
#include "sim/sweep.h"
#include "fiber/last_error.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct soq__sim_properties {
	struct soq__sim_coverage *covered; /* in the order in which they were first reached */
	size_t covered_count, covered_capacity;
	char *broken;		  /* the first one's name, or NULL */
	struct soq__list pending; /* struct eventual */
};

/* A condition that is to hold in time. */
struct eventual {
	struct soq__list node;
	struct soq__sim_event overdue;
	bool (*holds)(void *arg);
	void *arg;
	int64_t within_ns;
	const char *name;
};

static struct soq__sim_properties *properties_of(struct soq_sim *sim)
{
	if (!sim->properties) {
		sim->properties = soq__sim_alloc(sizeof(*sim->properties));
		soq__list_init(&sim->properties->pending);
	}
	return sim->properties;
}

static void forget_eventual(struct soq_sim *sim, struct eventual *e)
{
	soq__sim_cancel(sim, &e->overdue);
	soq__list_remove(&e->node);
	free(e);
}

void soq__sim_properties_free(struct soq_sim *sim)
{
	struct soq__sim_properties *p = sim->properties;

	if (!p)
		return;
	soq__list_for_each (node, &p->pending)
		forget_eventual(sim, soq__container_of(node, struct eventual, node));
	free(p->covered);
	free(p->broken);
	free(p);
	sim->properties = NULL;
}

/* ---- always ---- */

const char *soq__sim_broken_property(const struct soq_sim *sim)
{
	return sim->properties ? sim->properties->broken : NULL;
}

static void note_broken(struct soq_sim *sim, const char *name)
{
	struct soq__sim_properties *p = properties_of(sim);

	soq__sim_note(sim, soq_sim_here(), "broken: %s", name);
	if (p->broken)
		return;
	p->broken = soq__sim_alloc(strlen(name) + 1);
	strcpy(p->broken, name);
}

/* The program does not go on: what follows may rely on what does not hold. The loop finds
 * the verdict and stops. */
_Noreturn static void stay(void)
{
	for (;;)
		soq__sim_program_wait(soq__sim_running()->program);
}

void soq_sim_broken(const char *name, const char *condition, const char *file, int line)
{
	struct soq_sim_host *here = soq_sim_here();

	if (!here) {
		fprintf(stderr, "%s:%d: %s: '%s' does not hold\n", file, line, name, condition);
		abort();
	}
	note_broken(here->sim, name);
	soq__sim_end_run(here->sim, SOQ_SIM_BROKEN, "%s: '%s' does not hold on %s (%s:%d)",
		name, condition, here->name, file, line);
	stay();
}

/* ---- sometimes ---- */

/* The entry for a name, made if it is new. Names are few and mostly the same literal, so
 * that the pointers are compared first. */
static struct soq__sim_coverage *coverage_of(struct soq__sim_properties *p, const char *name)
{
	for (size_t i = 0; i < p->covered_count; i++)
		if (p->covered[i].name == name)
			return &p->covered[i];
	for (size_t i = 0; i < p->covered_count; i++)
		if (strcmp(p->covered[i].name, name) == 0)
			return &p->covered[i];
	if (p->covered_count == p->covered_capacity) {
		p->covered_capacity = p->covered_capacity ? 2 * p->covered_capacity : 16;
		p->covered =
			soq__sim_realloc(p->covered, p->covered_capacity * sizeof(*p->covered));
	}
	p->covered[p->covered_count] = (struct soq__sim_coverage){ name, false };
	return &p->covered[p->covered_count++];
}

void soq_sim_covered(const char *name, bool holds)
{
	struct soq_sim_host *here = soq_sim_here();

	if (here)
		coverage_of(properties_of(here->sim), name)->held |= holds;
}

const struct soq__sim_coverage *soq__sim_coverage(const struct soq_sim *sim, size_t *ret_count)
{
	const struct soq__sim_properties *p = sim->properties;

	*ret_count = p ? p->covered_count : 0;
	return p ? p->covered : NULL;
}

/* ---- eventually ---- */

static void on_overdue(struct soq_sim *sim, struct soq__sim_event *event)
{
	struct eventual *e = soq__container_of(event, struct eventual, overdue);

	if (!e->holds(e->arg)) {
		note_broken(sim, e->name);
		soq__sim_end_run(sim, SOQ_SIM_BROKEN,
			"%s: it did not come to hold within %lld.%09lld s", e->name,
			(long long)(e->within_ns / SOQ_S), (long long)(e->within_ns % SOQ_S));
	}
	forget_eventual(sim, e);
}

int soq_sim_eventually(struct soq_sim *sim, bool (*holds)(void *arg), void *arg,
	int64_t within_ns, const char *name)
{
	struct eventual *e;

	if (holds(arg))
		return 0;
	e = malloc(sizeof(*e));
	if (!e)
		return soq__fail(-ENOMEM, "no memory to wait for '%s'", name);
	*e = (struct eventual){ .holds = holds, .arg = arg, .name = name };
	e->within_ns = within_ns < 0 ? 0 : within_ns;
	soq__sim_event_init(&e->overdue, on_overdue);
	if (within_ns != SOQ_NEVER)
		soq__sim_at(sim, &e->overdue, soq__after(sim->now_ns, e->within_ns));
	soq__list_append(&properties_of(sim)->pending, &e->node);
	return 0;
}

void soq__sim_check_eventually(struct soq_sim *sim)
{
	if (!sim->properties)
		return;
	soq__list_for_each (node, &sim->properties->pending) {
		struct eventual *e = soq__container_of(node, struct eventual, node);

		if (e->holds(e->arg))
			forget_eventual(sim, e);
	}
}

bool soq__sim_has_eventually(const struct soq_sim *sim)
{
	return sim->properties && !soq__list_empty(&sim->properties->pending);
}
