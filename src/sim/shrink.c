/* shrink.c - a smaller case that fails in the same way, as a C test.
 *
 * What chance had drawn before the run, the faults and the default link, is given explicitly
 * and then reduced for as long as the run still fails alike: first faults are left out, in
 * pieces that become smaller, then the link and the options are made plain, then the instants
 * and amounts are made small and round. All else is still drawn from the seed, by keys of
 * its own, so that a fault that is left out does not change what the others meet.
 *
 * Invariant: `best` is a case that has been run and failed alike.
 * Source: A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE
 * Transactions on Software Engineering 28(2), 2002: ddmin.
 */
#include "sim/sweep.h"
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 300
#define TIME_NS	 (60 * SOQ_S)
#define CPU_S	 10 /* of one run */

struct shrink {
	const struct soq_sim_sweep *sweep;
	uint64_t seed;
	const struct soq__sim_outcome *failed;
	struct soq__sim_case best;
	struct soq_sim_fault *faults; /* best.faults */
	int64_t best_ns;	      /* when its run ended */
	unsigned runs;
	int64_t until_ns; /* of the machine's clock */
};

/* ---- trying ---- */

/* @return whether a case fails alike; it is the best one then */
static bool try_case(struct shrink *s, const struct soq__sim_case *c)
{
	const struct soq__sim_attempt attempt = {
		.sweep = s->sweep, .seed = s->seed, .given = c, .quiet = true, .cpu_s = CPU_S
	};
	struct soq__sim_outcome o;
	bool same;

	if (s->runs >= RUNS_MAX || soq__sim_machine_ns() >= s->until_ns)
		return false;
	s->runs++;
	if (soq__sim_child_run(&attempt, &o) < 0)
		return false;
	same = soq__sim_same_failure(s->failed, &o);
	if (same) {
		s->best_ns = o.simulated_ns;
		if (c->faults != s->faults && c->fault_count > 0)
			memcpy(s->faults, c->faults, c->fault_count * sizeof(*s->faults));
		s->best = *c;
		s->best.faults = s->faults;
	}
	soq__sim_outcome_done(&o);
	return same;
}

/* ---- fewer faults ---- */

static bool try_without(struct shrink *s, size_t at, size_t count)
{
	struct soq__sim_case c = s->best;
	struct soq_sim_fault *left = soq__sim_alloc((c.fault_count + 1) * sizeof(*left));
	bool same;

	memcpy(left, s->faults, at * sizeof(*left));
	memcpy(left + at, s->faults + at + count, (c.fault_count - at - count) * sizeof(*left));
	c.faults = left;
	c.fault_count -= count;
	same = try_case(s, &c);
	free(left);
	return same;
}

static bool drop_faults(struct shrink *s)
{
	bool any = false;

	for (size_t piece = s->best.fault_count; piece > 0; piece /= 2) {
		size_t at = 0;

		while (at < s->best.fault_count) {
			size_t rest = s->best.fault_count - at;
			size_t count = piece < rest ? piece : rest;

			if (try_without(s, at, count))
				any = true;
			else
				at += count;
		}
	}
	return any;
}

/* ---- a plain link, plain options ---- */

#define LINK_FIELD(name)                                                                     \
	{                                                                                    \
		offsetof(struct soq_sim_link, name), sizeof((struct soq_sim_link){ 0 }.name) \
	}

static const struct field {
	size_t at, bytes;
} link_fields[] = {
	LINK_FIELD(latency_ns),
	LINK_FIELD(jitter_ns),
	LINK_FIELD(rate_bytes_s),
	LINK_FIELD(burst_bytes),
	LINK_FIELD(queue_bytes),
	LINK_FIELD(codel),
	LINK_FIELD(loss_ppm),
	LINK_FIELD(burst_enter_ppm),
	LINK_FIELD(burst_leave_ppm),
	LINK_FIELD(burst_loss_ppm),
	LINK_FIELD(lose_nth),
	LINK_FIELD(duplicate_ppm),
	LINK_FIELD(reorder_ppm),
	LINK_FIELD(reorder_ns),
	LINK_FIELD(corrupt_ppm),
	LINK_FIELD(mtu),
};

#define LINK_FIELDS (sizeof(link_fields) / sizeof(link_fields[0]))

/* Each field on its own: bytes between them may differ. */
static bool same_field(
	const struct soq_sim_link *a, const struct soq_sim_link *b, const struct field *f)
{
	return memcmp((const char *)a + f->at, (const char *)b + f->at, f->bytes) == 0;
}

/* Give these fields the values that they have by default. */
static bool try_plain_fields(struct shrink *s, size_t from, size_t to)
{
	struct soq__sim_case c = s->best;
	struct soq_sim_link plain = { 0 };
	bool differs = false;

	soq__sim_link_fill(&plain, false);
	for (size_t i = from; i < to; i++) {
		const struct field *f = &link_fields[i];

		differs |= !same_field(&c.link, &plain, f);
		memcpy((char *)&c.link + f->at, (const char *)&plain + f->at, f->bytes);
	}
	return differs && try_case(s, &c);
}

static bool plain_link(struct shrink *s)
{
	bool any = try_plain_fields(s, 0, LINK_FIELDS);

	for (size_t i = 0; i < LINK_FIELDS; i++)
		any |= try_plain_fields(s, i, i + 1);
	return any;
}

/* The options that make a world kinder. */
enum kindness { WHOLE_READS, WHOLE_WRITES, PROMPT_ACCEPTS, PROMPT_OFFLOAD, KINDNESSES };

static bool *kindness_of(struct soq_sim_options *opt, enum kindness k)
{
	bool *const all[KINDNESSES] = { &opt->whole_reads, &opt->whole_writes,
		&opt->prompt_accepts, &opt->prompt_offload };

	return all[k];
}

static bool try_kind(struct shrink *s, enum kindness from, enum kindness to)
{
	struct soq__sim_case c = s->best;
	bool differs = false;

	for (enum kindness k = from; k < to; k++) {
		differs |= !*kindness_of(&c.options, k);
		*kindness_of(&c.options, k) = true;
	}
	return differs && try_case(s, &c);
}

static bool be_kind(struct shrink *s)
{
	bool any = try_kind(s, 0, KINDNESSES);

	for (enum kindness k = 0; k < KINDNESSES; k++)
		any |= try_kind(s, k, k + 1);
	return any;
}

/* ---- smaller and rounder numbers ---- */

/* A number of a fault. */
struct number {
	size_t fault;
	size_t at; /* the field */
};

static int64_t number_in(const struct soq_sim_fault *faults, struct number n)
{
	int64_t value;

	memcpy(&value, (const char *)&faults[n.fault] + n.at, sizeof(value));
	return value;
}

static bool try_number(struct shrink *s, struct number n, int64_t value)
{
	struct soq__sim_case c = s->best;
	size_t bytes = c.fault_count * sizeof(struct soq_sim_fault);
	struct soq_sim_fault *changed;
	bool same;

	if (value == number_in(s->faults, n))
		return false;
	changed = soq__sim_alloc(bytes);
	memcpy(changed, s->faults, bytes);
	memcpy((char *)&changed[n.fault] + n.at, &value, sizeof(value));
	c.faults = changed;
	same = try_case(s, &c);
	free(changed);
	return same;
}

/* A number with its leading digits only, rounded towards 0 or (@up) away from it. */
static int64_t rounded(int64_t value, int digits, bool up)
{
	int64_t unit = 1, most = 1;

	if (value > INT64_MAX / 2 || value < -INT64_MAX / 2)
		return value; /* there may be no room above */
	while (digits-- > 0)
		most *= 10;
	while (value / unit >= most || value / unit <= -most)
		unit *= 10;
	if (up && value % unit != 0)
		return value / unit * unit + (value > 0 ? unit : -unit);
	return value / unit * unit;
}

/* Try numbers that people like, from the smallest, if they are smaller.
 * @return whether it is one now */
static bool make_nice(struct shrink *s, struct number n, int64_t unit)
{
	int64_t value = number_in(s->faults, n);

	for (int64_t size = unit; size < 1000000 * unit; size *= 10) {
		int64_t nice = value < 0 ? -size : size;

		if (value < 0 ? nice < value : nice > value)
			return false;
		if (nice == value || try_number(s, n, nice))
			return true;
	}
	return false;
}

static void make_round(struct shrink *s, struct number n)
{
	for (int digits = 1; digits <= 3; digits++) {
		int64_t value = number_in(s->faults, n);

		if (rounded(value, digits, false) == value ||
			try_number(s, n, rounded(value, digits, false)) ||
			try_number(s, n, rounded(value, digits, true)))
			return;
	}
}

static bool is_time(const struct shrink *s, struct number n)
{
	enum soq_sim_fault_kind kind = s->faults[n.fault].kind;

	return n.at != offsetof(struct soq_sim_fault, amount) || kind == SOQ_SIM_CLOCK_STEP ||
		kind == SOQ_SIM_DELAY;
}

/* Make a number small and round. A smaller rate would be a worse fault. */
static void make_small(struct shrink *s, struct number n)
{
	bool is_rate = !is_time(s, n) && s->faults[n.fault].kind == SOQ_SIM_RATE;

	if (is_rate || !make_nice(s, n, is_time(s, n) ? SOQ_MS : 10)) {
		while (!is_rate && try_number(s, n, number_in(s->faults, n) / 2))
			continue;
		make_round(s, n);
	}
}

static bool simplify(struct shrink *s, struct number n)
{
	int64_t value = number_in(s->faults, n);

	if (value == 0 || value == SOQ_NEVER)
		return false;
	if (n.at != offsetof(struct soq_sim_fault, at_ns) || !try_number(s, n, 0))
		make_small(s, n);
	return number_in(s->faults, n) != value;
}

static bool simplify_faults(struct shrink *s)
{
	static const size_t fields[] = { offsetof(struct soq_sim_fault, duration_ns),
		offsetof(struct soq_sim_fault, amount), offsetof(struct soq_sim_fault, at_ns) };
	bool any = false;

	for (size_t i = 0; i < s->best.fault_count; i++)
		for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++)
			any |= simplify(s, (struct number){ i, fields[f] });
	return any;
}

/* In the order in which they begin, which is how they are read. */
static void put_in_order(struct shrink *s)
{
	struct soq__sim_case c = s->best;
	size_t bytes = (c.fault_count + 1) * sizeof(struct soq_sim_fault);
	struct soq_sim_fault *ordered = memcpy(soq__sim_alloc(bytes), s->faults, bytes);
	bool differs = false;

	for (size_t i = 1; i < c.fault_count; i++)
		for (size_t j = i; j > 0 && ordered[j].at_ns < ordered[j - 1].at_ns; j--) {
			struct soq_sim_fault f = ordered[j];

			ordered[j] = ordered[j - 1];
			ordered[j - 1] = f;
			differs = true;
		}
	c.faults = ordered;
	if (differs)
		try_case(s, &c);
	free(ordered);
}

/* A run that lasts until its limit is cut where it fails, and as long again: so the test
 * ends soon once what it shows is mended. Other failures of such a run are seen at its very
 * end, and any limit would bring them about. */
static void shorten(struct shrink *s)
{
	struct soq__sim_case c = s->best;

	if (!s->sweep->ends_by_limit || s->failed->ending != SOQ__SIM_RAN ||
		s->failed->verdict == SOQ_SIM_TIME_LIMIT ||
		s->failed->verdict == SOQ_SIM_FINISHED || s->failed->verdict == SOQ_SIM_HALTED)
		return;
	c.limit_ns = rounded(soq__after(s->best_ns, s->best_ns), 1, true);
	if (c.limit_ns < s->best.limit_ns)
		try_case(s, &c);
}

/* ---- the test ---- */

static void print_options(const struct shrink *s, FILE *out)
{
	static const char *const names[KINDNESSES] = { "whole_reads", "whole_writes",
		"prompt_accepts", "prompt_offload" };
	struct soq_sim_options best = s->best.options, former = s->sweep->options;

	for (enum kindness k = 0; k < KINDNESSES; k++)
		if (*kindness_of(&best, k) && !*kindness_of(&former, k))
			fprintf(out, "\tsweep.options.%s = true;\n", names[k]);
	if (s->best.limit_ns != soq__sim_limit(s->sweep))
		fprintf(out, "\tsweep.limit_ns = INT64_C(%lld);\n",
			(long long)s->best.limit_ns);
}

static const char *verdict_constant(enum soq_sim_verdict verdict)
{
	if (verdict == SOQ_SIM_HALTED)
		return "SOQ_SIM_HALTED";
	return verdict == SOQ_SIM_TIME_LIMIT ? "SOQ_SIM_TIME_LIMIT" : "SOQ_SIM_FINISHED";
}

static void print_test(const struct shrink *s, enum soq_sim_verdict passing, FILE *out)
{
	const char *name = soq__sim_scenario_name(s->sweep);
	char *options = NULL;
	size_t options_len;
	FILE *f = open_memstream(&options, &options_len);

	if (f) {
		print_options(s, f);
		fclose(f);
	}
	fprintf(out, "TEST(%s_seed_%llu)\n{\n", name, (unsigned long long)s->seed);
	if (s->best.fault_count > 0) {
		fputs("\tstatic const struct soq_sim_fault faults[] = {\n", out);
		for (size_t i = 0; i < s->best.fault_count; i++)
			soq__sim_fault_print(&s->faults[i], out, "\t\t");
		fputs("\t};\n", out);
	}
	fputs("\tstatic const struct soq_sim_link link = {\n", out);
	soq__sim_link_print(&s->best.link, out, "\t\t");
	fputs("\t};\n", out);
	if (options && options_len > 0)
		fprintf(out, "\tstruct soq_sim_sweep sweep = %s;\n\n%s", name, options);
	fprintf(out, "\n\tCHECK_EQ(soq_sim_replay(&%s, %lluU, &link, %s, %zu), %s);\n}\n",
		options && options_len > 0 ? "sweep" : name, (unsigned long long)s->seed,
		s->best.fault_count > 0 ? "faults" : "NULL", s->best.fault_count,
		verdict_constant(passing));
	free(options);
}

/* ---- all of it ---- */

static void shrink_all(struct shrink *s)
{
	bool any;

	do {
		any = drop_faults(s);
		any |= plain_link(s);
		any |= be_kind(s);
		any |= simplify_faults(s);
	} while (any && s->runs < RUNS_MAX);
	put_in_order(s);
	shorten(s);
}

void soq__sim_shrink(const struct soq_sim_sweep *sweep, uint64_t seed,
	const struct soq__sim_outcome *failed, enum soq_sim_verdict passing, FILE *out)
{
	struct shrink s = { .sweep = sweep,
		.seed = seed,
		.failed = failed,
		.until_ns = soq__sim_machine_ns() + TIME_NS };
	const struct soq__sim_case drawn = { .options = sweep->options,
		.limit_ns = soq__sim_limit(sweep),
		.has_link = true,
		.link = failed->link,
		.faults = failed->faults,
		.fault_count = failed->fault_count };

	s.faults = soq__sim_alloc((failed->fault_count + 1) * sizeof(*s.faults));
	if (!try_case(&s, &drawn)) {
		fputs("  With its faults and its link given explicitly it does not fail so: "
		      "there"
		      " is nothing to shrink.\n",
			out);
	} else {
		shrink_all(&s);
		fprintf(out, "  Shrunk in %u runs from %zu faults to %zu:\n\n", s.runs,
			failed->fault_count, s.best.fault_count);
		print_test(&s, passing, out);
		fputc('\n', out);
	}
	free(s.faults);
}
