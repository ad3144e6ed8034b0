/* replay.c - one run of a scenario, in this process.
 *
 * Invariant: the seed given is in force, whatever the environment says, so that a run can be
 * repeated by who has its seed and what was drawn.
 */
#include "sim/sweep.h"
#include <soquete/error.h>
#include "fiber/last_error.h"
#include <stdlib.h>
#include <string.h>

#define LIMIT_NS (3600 * SOQ_S)

const char *soq__sim_scenario_name(const struct soq_sim_sweep *sweep)
{
	return sweep->name ? sweep->name : "scenario";
}

char *soq__sim_copy(const char *text)
{
	size_t bytes = strlen(text) + 1;

	return memcpy(soq__sim_alloc(bytes), text, bytes);
}

/* ---- a run ---- */

int64_t soq__sim_limit(const struct soq_sim_sweep *sweep)
{
	return sweep->limit_ns ? sweep->limit_ns : LIMIT_NS;
}

/* What takes the place of what chaos would have drawn. The link has gone through
 * soq__sim_new(), which has filled in its defaults. */
static int give(
	struct soq_sim *sim, const struct soq__sim_case *given, const struct soq_sim_link *link)
{
	int rc = 0;

	if (given->has_link)
		soq__sim_set_default_link(sim, link);
	for (size_t i = 0; i < given->fault_count && rc == 0; i++)
		rc = soq_sim_add_fault(sim, &given->faults[i]);
	return rc;
}

static int build(struct soq_sim *sim, const struct soq__sim_attempt *attempt)
{
	const struct soq_sim_link link = sim->opt.link;
	int rc;

	sim->chaos_given = attempt->given != NULL;
	if (attempt->log) {
		rc = soq_sim_log(sim, attempt->log);
		if (rc < 0)
			return rc;
	}
	rc = attempt->sweep->build(sim, attempt->sweep->arg);
	if (rc < 0)
		return rc;
	return attempt->given ? give(sim, attempt->given, &link) : 0;
}

int soq__sim_stage(struct soq_sim **ret, const struct soq__sim_attempt *attempt)
{
	const struct soq__sim_case *given = attempt->given;
	struct soq_sim_options opt = given ? given->options : attempt->sweep->options;
	struct soq_sim *sim;
	int rc;

	if (given && given->has_link)
		opt.link = given->link;
	rc = soq__sim_new(&sim, attempt->seed, &opt);
	if (rc < 0)
		return rc;
	rc = build(sim, attempt);
	if (rc < 0)
		soq_sim_free(sim);
	else
		*ret = sim;
	return rc;
}

static void note_coverage(const struct soq_sim *sim, struct soq__sim_outcome *ret)
{
	const struct soq__sim_coverage *all = soq__sim_coverage(sim, &ret->covered_count);

	ret->covered = soq__sim_alloc((ret->covered_count + 1) * sizeof(*ret->covered));
	for (size_t i = 0; i < ret->covered_count; i++)
		ret->covered[i] =
			(struct soq__sim_coverage){ soq__sim_copy(all[i].name), all[i].held };
}

/* What soq_sim_run_until() asks after each event. */
struct witness {
	const struct soq_sim *sim;
	FILE *log;
};

static bool tell_event(void *arg)
{
	const struct witness *w = arg;

	fprintf(w->log, "# event %llu at %lld.%09lld s, digest %016llx\n",
		(unsigned long long)w->sim->event_count, (long long)(w->sim->now_ns / SOQ_S),
		(long long)(w->sim->now_ns % SOQ_S), (unsigned long long)w->sim->digest);
	return false;
}

void soq__sim_play(struct soq_sim *sim, const struct soq__sim_attempt *attempt,
	struct soq__sim_outcome *ret)
{
	const struct soq_sim_sweep *sweep = attempt->sweep;
	struct witness witness = { sim, attempt->log };
	const char *broken;

	ret->ending = SOQ__SIM_RAN;
	ret->verdict = soq_sim_run_until(sim,
		attempt->given ? attempt->given->limit_ns : soq__sim_limit(sweep),
		attempt->each_event ? tell_event : NULL, &witness);
	ret->digest = sim->digest;
	ret->events = sim->event_count;
	ret->simulated_ns = sim->now_ns;
	if (sweep->check)
		ret->code = sweep->check(sim, ret->verdict, sweep->arg);
	broken = soq__sim_broken_property(sim);
	if (broken) {
		/* It may have been broken after soq_sim_halt(). */
		ret->verdict = SOQ_SIM_BROKEN;
		ret->property = soq__sim_copy(broken);
	}
	note_coverage(sim, ret);
	if (!soq__sim_passed(sweep, ret))
		ret->report = soq__sim_copy(soq_sim_report(sim));
	soq_sim_free(sim);
}

void soq__sim_note_drawn(const struct soq_sim *sim, struct soq__sim_outcome *ret)
{
	size_t count = soq__sim_faults_count(sim);

	ret->is_built = true;
	ret->link = sim->opt.link;
	ret->faults = soq__sim_alloc((count + 1) * sizeof(*ret->faults));
	for (size_t i = 0; i < count; i++) {
		struct soq_sim_fault f = soq__sim_fault_at(sim, i);

		if (!soq__sim_fault_is_drawn(sim, i))
			continue;
		f.a = soq__sim_copy(f.a);
		f.b = f.b ? soq__sim_copy(f.b) : NULL;
		ret->faults[ret->fault_count++] = f;
	}
}

/* ---- what came out ---- */

void soq__sim_outcome_done(struct soq__sim_outcome *o)
{
	for (size_t i = 0; i < o->covered_count; i++)
		free((char *)o->covered[i].name);
	for (size_t i = 0; i < o->fault_count; i++) {
		free((char *)o->faults[i].a);
		free((char *)o->faults[i].b);
	}
	free(o->covered);
	free(o->faults);
	free(o->property);
	free(o->report);
	*o = (struct soq__sim_outcome){ 0 };
}

bool soq__sim_passed(const struct soq_sim_sweep *sweep, const struct soq__sim_outcome *o)
{
	if (o->ending != SOQ__SIM_RAN || o->code < 0)
		return false;
	return o->verdict == SOQ_SIM_FINISHED || o->verdict == SOQ_SIM_HALTED ||
		(o->verdict == SOQ_SIM_TIME_LIMIT && sweep->ends_by_limit);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool soq__sim_same_failure(const struct soq__sim_outcome *a, const struct soq__sim_outcome *b)
{
	return a->ending == b->ending && a->code == b->code && a->verdict == b->verdict &&
		same_text(a->property, b->property);
}

static void print_verdict(const struct soq__sim_outcome *o, FILE *out)
{
	fputs(soq_sim_verdict_name(o->verdict), out);
	if (o->property)
		fprintf(out, " (%s)", o->property);
	if (o->code < 0)
		fprintf(out, ", and check() returned %d (%s)", o->code, soq_strerror(o->code));
}

void soq__sim_outcome_print(const struct soq__sim_outcome *o, FILE *out)
{
	switch (o->ending) {
	case SOQ__SIM_RAN:
		print_verdict(o, out);
		return;
	case SOQ__SIM_NOT_BUILT:
		fprintf(out, "not built: %d (%s)", o->code, soq_strerror(o->code));
		return;
	case SOQ__SIM_EXITED:
		fprintf(out, "its process ended by itself, with status %d", o->code);
		return;
	case SOQ__SIM_KILLED:
		fprintf(out, "killed by signal %d (%s)", o->code, strsignal(o->code));
		return;
	case SOQ__SIM_SPUN:
		fprintf(out, "it computed for %d s of processor time without an end", o->code);
		return;
	case SOQ__SIM_STALLED:
		fprintf(out, "it waited for the real world for %d s", o->code);
		return;
	}
}

/* ---- the public call ---- */

static void tell_failure(
	const struct soq_sim_sweep *sweep, uint64_t seed, const struct soq__sim_outcome *o)
{
	FILE *out = sweep->out ? sweep->out : stderr;

	fprintf(out, "soquete: %s: seed %llu, replayed: ", soq__sim_scenario_name(sweep),
		(unsigned long long)seed);
	soq__sim_outcome_print(o, out);
	fprintf(out, "\n%s", o->report ? o->report : "");
	fflush(out);
}

enum soq_sim_verdict soq_sim_replay(const struct soq_sim_sweep *sweep, uint64_t seed,
	const struct soq_sim_link *link, const struct soq_sim_fault *faults, size_t count)
{
	const struct soq__sim_case given = {
		.options = sweep->options,
		.limit_ns = soq__sim_limit(sweep),
		.has_link = link != NULL,
		.link = link ? *link : sweep->options.link,
		.faults = faults,
		.fault_count = count,
	};
	const struct soq__sim_attempt attempt = {
		.sweep = sweep, .seed = seed, .given = &given
	};
	struct soq__sim_outcome o = { 0 };
	enum soq_sim_verdict verdict;
	struct soq_sim *sim;

	o.code = soq__sim_stage(&sim, &attempt);
	if (o.code < 0)
		o.ending = SOQ__SIM_NOT_BUILT;
	else
		soq__sim_play(sim, &attempt, &o);
	verdict = o.code < 0 ? SOQ_SIM_FAILED : o.verdict;
	if (!soq__sim_passed(sweep, &o))
		tell_failure(sweep, seed, &o);
	soq__sim_outcome_done(&o);
	return verdict;
}
