/* run.c - the world's loop, its verdict, and what there is to say of it.
 *
 * Invariant: the first verdict of a run stands. What comes after it has been reported is the
 * next run's.
 */
#include "sim/run.h"
#include "fiber/worker.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct soq__sim_run *soq__sim_run_of(struct soq_sim *sim)
{
	if (!sim->run) {
		sim->run = soq__sim_alloc(sizeof(*sim->run));
		soq__stack_pool_init(&sim->run->stacks);
	}
	return sim->run;
}

void soq__sim_run_free(struct soq_sim *sim)
{
	struct soq__sim_run *run = sim->run;

	if (!run)
		return;
	soq__overflow_unwatch(&run->alternate_stack);
	soq__stack_pool_done(&run->stacks);
	free(run->reason);
	free(run->report);
	free(run);
}

const char *soq_sim_verdict_name(enum soq_sim_verdict verdict)
{
	static const char *const names[] = { "finished", "halted", "time limit", "deadlock",
		"livelock", "broken", "failed" };

	return (unsigned)verdict < sizeof(names) / sizeof(names[0]) ? names[verdict] : "?";
}

/* ---- the verdict ---- */

/* Whether a run with this verdict, or none, may be followed by another. */
static bool may_go_on(const struct soq__sim_run *run)
{
	return !run->has_verdict ||
		(run->verdict != SOQ_SIM_BROKEN && run->verdict != SOQ_SIM_FAILED &&
			run->verdict != SOQ_SIM_LIVELOCK);
}

void soq__sim_end_run(
	struct soq_sim *sim, enum soq_sim_verdict verdict, const char *format, ...)
{
	struct soq__sim_run *run = soq__sim_run_of(sim);
	va_list args;

	if (run->has_verdict && !(run->reported && may_go_on(run)))
		return;
	run->has_verdict = true;
	run->reported = false;
	run->verdict = verdict;
	va_start(args, format);
	free(run->reason);
	if (vasprintf(&run->reason, format, args) < 0)
		run->reason = NULL;
	va_end(args);
	soq__sim_note(sim, NULL, "the run ends: %s", run->reason ? run->reason : "");
	if (sim->implicit)
		soq__sim_stuck(sim, verdict);
}

_Noreturn void soq__sim_stuck(struct soq_sim *sim, enum soq_sim_verdict verdict)
{
	struct soq__sim_run *run = soq__sim_run_of(sim);

	if (!run->has_verdict) {
		run->has_verdict = true;
		run->verdict = verdict;
	}
	fprintf(stderr, "soquete: %s", soq_sim_report(sim));
	abort();
}

void soq_sim_halt(struct soq_sim *sim)
{
	/* The thread's own world has no run that could end. */
	if (!sim->implicit)
		soq__sim_end_run(sim, SOQ_SIM_HALTED, "soq_sim_halt()");
}

/* ---- the loop ---- */

/* Nothing is left that could happen before the limit. */
static void end_of_events(struct soq_sim *sim, int64_t limit_ns)
{
	struct soq__sim_run *run = soq__sim_run_of(sim);

	if (sim->events.count > 0) {
		if (sim->now_ns < limit_ns)
			sim->now_ns = limit_ns;
		soq__sim_end_run(sim, SOQ_SIM_TIME_LIMIT, "%u programs still run", run->live);
	} else if (run->live > 0) {
		soq__sim_end_run(sim, SOQ_SIM_DEADLOCK,
			"%u programs wait, and nothing is on its way that could wake one",
			run->live);
	} else {
		soq__sim_end_run(sim, SOQ_SIM_FINISHED, "every program has ended");
	}
}

/* A host that is down may come back, and its programs with it. */
static bool is_over(struct soq_sim *sim)
{
	if (soq__sim_run_of(sim)->live > 0 || soq__sim_has_eventually(sim))
		return false;
	for (size_t i = 0; i < sim->host_count; i++)
		if (!sim->hosts[i]->up)
			return false;
	return true;
}

static void loop(struct soq_sim *sim, int64_t limit_ns, bool (*holds)(void *arg), void *arg)
{
	struct soq__sim_run *run = soq__sim_run_of(sim);

	while (!run->has_verdict) {
		if (is_over(sim)) {
			soq__sim_end_run(sim, SOQ_SIM_FINISHED, "every program has ended");
		} else if (!soq__sim_step(sim, limit_ns)) {
			end_of_events(sim, limit_ns);
		} else if (holds && !run->has_verdict && holds(arg)) {
			soq__sim_end_run(sim, SOQ_SIM_HALTED, "the condition holds");
		}
	}
}

enum soq_sim_verdict soq_sim_run_until(
	struct soq_sim *sim, int64_t limit_ns, bool (*holds)(void *arg), void *arg)
{
	struct soq__sim_run *run = soq__sim_run_of(sim);

	soq__sim_refuse_within(sim, "run");
	if (!may_go_on(run))
		return run->verdict;
	/* A halt that has come since the last run is meant for this one. */
	if (run->reported)
		run->has_verdict = run->reported = false;
	soq__overflow_watch(&run->alternate_stack);
	loop(sim, limit_ns, holds, arg);
	run->reported = true;
	return run->verdict;
}

enum soq_sim_verdict soq_sim_run(struct soq_sim *sim, int64_t limit_ns)
{
	return soq_sim_run_until(sim, limit_ns, NULL, NULL);
}

/* ---- the report ---- */

static void print_options(struct soq_sim *sim, FILE *out)
{
	const struct soq_sim_options *opt = &sim->opt;

	fprintf(out, "seed %llu%s%s%s%s\n", (unsigned long long)sim->seed,
		opt->whole_reads ? ", whole reads" : "",
		opt->whole_writes ? ", whole writes" : "",
		opt->prompt_accepts ? ", prompt accepts" : "",
		opt->prompt_offload ? ", prompt offload" : "");
	fprintf(out, "links between hosts, where nothing else is said:\n");
	soq__sim_link_print(&opt->link, out, "  ");
	if (soq__sim_faults_count(sim) > 0) {
		fprintf(out, "faults:\n");
		soq__sim_faults_print(sim, out, "  ");
	}
}

static void print_report(struct soq_sim *sim, FILE *out)
{
	const struct soq__sim_run *run = soq__sim_run_of(sim);
	const char *name = run->has_verdict ? soq_sim_verdict_name(run->verdict) : "not over";

	fprintf(out, "the simulated run: %s%s%s\n", name, run->reason ? ": " : "",
		run->reason ? run->reason : "");
	fprintf(out, "at %lld.%09lld s, after %llu events\n", (long long)(sim->now_ns / SOQ_S),
		(long long)(sim->now_ns % SOQ_S), (unsigned long long)sim->event_count);
	if (!run->has_verdict || run->verdict != SOQ_SIM_FINISHED)
		soq__sim_programs_describe(sim, out);
	print_options(sim, out);
}

const char *soq_sim_report(struct soq_sim *sim)
{
	struct soq__sim_run *run = soq__sim_run_of(sim);
	size_t len = 0;
	FILE *out;

	free(run->report);
	run->report = NULL;
	out = open_memstream(&run->report, &len);
	if (!out)
		return "no memory for a report";
	print_report(sim, out);
	fclose(out);
	return run->report ? run->report : "no memory for a report";
}
