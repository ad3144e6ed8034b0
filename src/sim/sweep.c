/* sweep.c - many seeds of a scenario, each in a process of its own.
 *
 * Several run at once and end in any order; they are judged in the order of the seeds. So what
 * a sweep tells, and which failure it calls the first, does not depend on the machine.
 *
 * Invariant: runs[i % window] is seed number i, for each i from `judged` up to `begun`. When a
 * sweep returns, none of its processes is left.
 */
#include "sim/sweep.h"
#include <soquete/error.h>
#include "fiber/last_error.h"
#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEEDS	  100
#define JOBS_MAX  256
#define RUN_AHEAD 8 /* runs that a slow seed may hold up, for each job */

/* A seed under way: its first run, and with `twice` its second. */
struct run {
	struct soq__sim_child child;
	unsigned passes; /* that are over */
	struct soq__sim_outcome outcomes[2];
};

struct sweep {
	const struct soq_sim_sweep *opt;
	FILE *out;
	struct soq_sim_sweep_result *result;
	uint64_t first, seeds;
	unsigned passes; /* of each seed: 1 or 2 */
	size_t jobs, running;
	uint64_t begun, judged;
	struct run *runs;
	size_t window;
	struct soq__sim_child **children; /* of the runs, for waiting */
	enum soq_sim_verdict passing;	  /* how a seed that passes ends */
	bool is_alone;			  /* the only seed, whose log is told */
	bool over;
	int rc;
	struct soq__sim_coverage *covered; /* of all seeds */
	size_t covered_count, covered_capacity;
};

static uint64_t seed_of(const struct sweep *s, uint64_t i)
{
	return s->first + i;
}

static struct run *run_of(const struct sweep *s, uint64_t i)
{
	/* The analyzer does not see that there is a job at least. */
	return &s->runs[i % s->window]; /* NOLINT(clang-analyzer-core.DivideZero) */
}

/* ---- coverage ---- */

/* The entry for a name; they mostly come in the order of the seed before. */
static struct soq__sim_coverage *coverage_of(struct sweep *s, const char *name, size_t likely)
{
	if (likely < s->covered_count && strcmp(s->covered[likely].name, name) == 0)
		return &s->covered[likely];
	for (size_t i = 0; i < s->covered_count; i++)
		if (strcmp(s->covered[i].name, name) == 0)
			return &s->covered[i];
	if (s->covered_count == s->covered_capacity) {
		s->covered_capacity = s->covered_capacity ? 2 * s->covered_capacity : 16;
		s->covered =
			soq__sim_realloc(s->covered, s->covered_capacity * sizeof(*s->covered));
	}
	s->covered[s->covered_count] = (struct soq__sim_coverage){ soq__sim_copy(name), false };
	return &s->covered[s->covered_count++];
}

static void add_coverage(struct sweep *s, const struct soq__sim_outcome *o)
{
	for (size_t i = 0; i < o->covered_count; i++)
		coverage_of(s, o->covered[i].name, i)->held |= o->covered[i].held;
}

static void tell_uncovered(struct sweep *s)
{
	for (size_t i = 0; i < s->covered_count; i++) {
		/* A seed alone says nothing about the others. */
		if (!s->covered[i].held && !s->is_alone) {
			s->result->uncovered++;
			fprintf(s->out, "soquete: %s: never in %llu seeds: %s\n",
				soq__sim_scenario_name(s->opt),
				(unsigned long long)s->result->seeds, s->covered[i].name);
		}
		free((char *)s->covered[i].name);
	}
	free(s->covered);
}

/* ---- telling ---- */

/* Whether a shell takes a word as it stands. */
static bool is_plain(const char *word)
{
	if (!*word)
		return false;
	for (; *word; word++)
		if (!isalnum((unsigned char)*word) && !strchr("_./:=@%+,-", *word))
			return false;
	return true;
}

static void tell_word(const char *word, FILE *out)
{
	if (is_plain(word)) {
		fprintf(out, " %s", word);
		return;
	}
	fputs(" '", out);
	for (; *word; word++)
		fputs(*word == '\'' ? "'\\''" : (char[]){ *word, '\0' }, out);
	fputc('\'', out);
}

/* How to see it again: the command that runs now, with the seed before it.
 * Source: proc(5), /proc/pid/cmdline. */
static void tell_command(const struct sweep *s, uint64_t seed)
{
	FILE *f = fopen("/proc/self/cmdline", "re");
	char *word = NULL;
	size_t capacity = 0;

	fprintf(s->out, "SOQUETE_SEED=%llu", (unsigned long long)seed);
	while (f && getdelim(&word, &capacity, '\0', f) > 0)
		tell_word(word, s->out);
	fputs("    # replays it as it was\n", s->out);
	free(word);
	if (f)
		fclose(f);
}

static void tell_failure(const struct sweep *s, uint64_t seed, const struct soq__sim_outcome *o)
{
	size_t len = o->report ? strlen(o->report) : 0;

	fprintf(s->out, "soquete: %s: seed %llu failed: ", soq__sim_scenario_name(s->opt),
		(unsigned long long)seed);
	soq__sim_outcome_print(o, s->out);
	fprintf(s->out, "\n%s%s", len ? o->report : "",
		len && o->report[len - 1] != '\n' ? "\n" : "");
}

/* ---- judging ---- */

static void judge_failure(struct sweep *s, uint64_t seed, const struct run *r, bool diverged)
{
	const struct soq__sim_outcome *o = &r->outcomes[0];

	tell_failure(s, seed, o);
	/* Smaller cases of what does not repeat itself prove nothing. */
	if (!s->opt->no_shrink && !s->is_alone && !diverged && o->is_built &&
		o->ending != SOQ__SIM_SPUN && o->ending != SOQ__SIM_STALLED)
		soq__sim_shrink(s->opt, seed, o, s->passing, s->out);
}

static bool judge_divergence(struct sweep *s, uint64_t seed, const struct run *r)
{
	const struct soq__sim_attempt second = { .sweep = s->opt, .seed = seed, .layout = 1 };

	if (s->passes == 1 || soq__sim_same_run(&r->outcomes[0], &r->outcomes[1]))
		return false;
	s->result->divergences++;
	soq__sim_tell_divergence(&second, &r->outcomes[0], &r->outcomes[1], s->out);
	return true;
}

static void judge_run(struct sweep *s, uint64_t seed, const struct run *r)
{
	const struct soq__sim_outcome *o = &r->outcomes[0];
	bool diverged = judge_divergence(s, seed, r);
	bool failed = !soq__sim_passed(s->opt, o);

	s->result->seeds++;
	for (unsigned i = 0; i < s->passes; i++) {
		s->result->events += r->outcomes[i].events;
		s->result->simulated_ns += r->outcomes[i].simulated_ns;
	}
	add_coverage(s, o);
	if (!failed)
		s->passing = o->verdict;
	if (failed && s->result->failures++ == 0)
		s->result->first_failure = seed;
	if (failed)
		judge_failure(s, seed, r, diverged);
	if (failed || diverged) {
		if (!s->is_alone)
			tell_command(s, seed);
		fflush(s->out);
		s->over = !s->opt->go_on;
	}
}

/* The scenario cannot be built: no other seed is tried. */
static void give_up(struct sweep *s, uint64_t seed, const struct soq__sim_outcome *o)
{
	s->over = true;
	s->rc = soq__fail(o->code, "build %s with seed %llu: %s",
		soq__sim_scenario_name(s->opt), (unsigned long long)seed,
		o->report ? o->report : soq_strerror(o->code));
}

static void judge(struct sweep *s, uint64_t seed, struct run *r)
{
	if (r->outcomes[0].ending == SOQ__SIM_NOT_BUILT)
		give_up(s, seed, &r->outcomes[0]);
	else
		judge_run(s, seed, r);
	soq__sim_outcome_done(&r->outcomes[0]);
	soq__sim_outcome_done(&r->outcomes[1]);
	r->passes = 0;
}

/* ---- running ---- */

/* Begin a seed's next run. The processes that cannot be had now may be had when another has
 * ended. @return false when it is to be tried again then */
static bool begin(struct sweep *s, uint64_t i)
{
	struct run *r = run_of(s, i);
	const struct soq__sim_attempt attempt = { .sweep = s->opt,
		.seed = seed_of(s, i),
		.layout = r->passes,
		.quiet = r->passes > 0 };
	int rc = soq__sim_child_start(&r->child, &attempt);

	if (rc == 0) {
		s->running++;
		return true;
	}
	if (s->running == 0) {
		s->rc = soq__fail(rc, "start a process for a seed: %s", soq_strerror(rc));
		s->over = true;
	}
	return false;
}

/* Begin as many as may run at once: second runs before new seeds. */
static void fill(struct sweep *s)
{
	for (uint64_t i = s->judged; i < s->begun; i++) {
		const struct run *r = run_of(s, i);

		if (s->running == s->jobs)
			return;
		if (!r->child.pid && r->passes < s->passes && !begin(s, i))
			return;
	}
	while (s->running < s->jobs && s->begun < s->seeds &&
		s->begun - s->judged < s->window && begin(s, s->begun))
		s->begun++;
}

/* Wait for a run to end, and judge what is complete, in order. */
static void take(struct sweep *s)
{
	struct soq__sim_child *child = soq__sim_child_wait(s->children, s->window);

	if (child) {
		struct run *r = soq__container_of(child, struct run, child);

		s->running--;
		soq__sim_child_end(child, &r->outcomes[r->passes++]);
	}
	while (!s->over && s->judged < s->begun && run_of(s, s->judged)->passes == s->passes) {
		judge(s, seed_of(s, s->judged), run_of(s, s->judged));
		s->judged++;
	}
}

static void run_all(struct sweep *s)
{
	s->runs = soq__sim_alloc(s->window * sizeof(*s->runs));
	s->children = soq__sim_alloc(s->window * sizeof(struct soq__sim_child *));
	for (size_t i = 0; i < s->window; i++) {
		s->runs[i].child.fd = -1;
		s->children[i] = &s->runs[i].child;
	}
	while (!s->over && s->judged < s->seeds) {
		fill(s);
		if (!s->over)
			take(s);
	}
	for (size_t i = 0; i < s->window; i++) {
		soq__sim_child_kill(&s->runs[i].child);
		soq__sim_outcome_done(&s->runs[i].outcomes[0]);
		soq__sim_outcome_done(&s->runs[i].outcomes[1]);
	}
	free(s->runs);
	free(s->children);
}

/* ---- a single seed, with its log ---- */

static void copy_log(FILE *log, FILE *out)
{
	char bytes[4096];
	size_t n;

	rewind(log);
	while ((n = fread(bytes, 1, sizeof bytes, log)) > 0)
		fwrite(bytes, 1, n, out);
	fflush(out);
}

static int run_logged(struct sweep *s, struct run *r)
{
	struct soq__sim_attempt attempt = {
		.sweep = s->opt, .seed = s->first, .log = soq__sim_memory_file()
	};
	int rc;

	if (!attempt.log)
		return soq__fail(-ENOMEM, "no memory for a log");
	rc = soq__sim_child_run(&attempt, &r->outcomes[0]);
	if (rc == 0)
		copy_log(attempt.log, s->out);
	fclose(attempt.log);
	if (rc < 0 || s->passes == 1)
		return rc;
	/* Both with a log, though one is not looked at: it takes memory. */
	attempt.log = soq__sim_memory_file();
	attempt.layout = 1;
	attempt.quiet = true;
	rc = soq__sim_child_run(&attempt, &r->outcomes[1]);
	if (attempt.log)
		fclose(attempt.log);
	return rc;
}

static void run_one(struct sweep *s)
{
	struct run r = { 0 };

	s->rc = run_logged(s, &r);
	if (s->rc == 0)
		judge(s, s->first, &r);
	soq__sim_outcome_done(&r.outcomes[0]);
	soq__sim_outcome_done(&r.outcomes[1]);
}

/* ---- the public call ---- */

static size_t processors(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof(set), &set) < 0 ? 0 : CPU_COUNT(&set);

	return count > 0 ? (size_t)count : 1;
}

static int result_of(const struct sweep *s)
{
	if (s->rc < 0)
		return s->rc;
	if (s->result->divergences > 0)
		return soq__fail(-EILSEQ, "%s: %llu of %llu seeds diverged",
			soq__sim_scenario_name(s->opt),
			(unsigned long long)s->result->divergences,
			(unsigned long long)s->result->seeds);
	if (s->result->failures > 0)
		return soq__fail(-EPROTO, "%s: %llu of %llu seeds failed, the first with %llu",
			soq__sim_scenario_name(s->opt), (unsigned long long)s->result->failures,
			(unsigned long long)s->result->seeds,
			(unsigned long long)s->result->first_failure);
	return 0;
}

static void sweep_all(struct sweep *s)
{
	int64_t began_ns = soq__sim_machine_ns();

	if (s->is_alone)
		run_one(s);
	else
		run_all(s);
	tell_uncovered(s);
	fflush(s->out);
	s->result->elapsed_ns = soq__sim_machine_ns() - began_ns;
}

int soq_sim_sweep(const struct soq_sim_sweep *sweep, struct soq_sim_sweep_result *ret)
{
	struct soq_sim_sweep_result result = { 0 };
	struct sweep s = { .opt = sweep, .result = &result };
	int given;

	if (soq__sim_running() && soq__sim_running()->program)
		return soq__fail(-EBUSY, "a simulated program cannot sweep");
	if (!sweep->build)
		return soq__fail(-EINVAL, "a sweep without a scenario");
	given = soq__sim_seed_given(&s.first);
	s.is_alone = given == 0;
	if (given == -EINVAL)
		return soq__fail(-EINVAL, "SOQUETE_SEED is no number of 64 bits");
	if (given < 0)
		s.first = sweep->first_seed;
	s.out = sweep->out ? sweep->out : stderr;
	s.seeds = sweep->seeds ? sweep->seeds : SEEDS;
	s.passes = sweep->twice ? 2 : 1;
	s.jobs = sweep->jobs ? sweep->jobs : processors();
	if (s.jobs > JOBS_MAX)
		s.jobs = JOBS_MAX;
	s.window = s.jobs * RUN_AHEAD;
	s.passing = sweep->ends_by_limit ? SOQ_SIM_TIME_LIMIT : SOQ_SIM_FINISHED;
	sweep_all(&s);
	if (ret && s.rc == 0)
		*ret = result;
	return result_of(&s);
}
