/* main.c - every scenario under many seeds; what `make sweep` runs.
 *
 * Its last line is the sum: "seeds N, failures F, divergences D, events/s E, simulated seconds
 * per second S". Rates are per second of one process's time: elapsed time times processes.
 */
#include "scenario/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
	uint64_t seeds, first;
	unsigned jobs;
	bool twice, go_on;
	char **names;
};

static _Noreturn void usage(FILE *out, int status)
{
	fputs("usage: sweep [--seeds N] [--first SEED] [--jobs N] [--twice] [--go-on] "
	      "[--list]\n"
	      "             [SCENARIO...]\n"
	      "  --seeds N   for each scenario (1000)\n"
	      "  --twice     each seed again, with memory laid out otherwise, and compare\n"
	      "  --go-on     not to stop at the first failure\n"
	      "  SOQUETE_SEED=N sweep SCENARIO  replays one seed, and prints its events\n",
		out);
	exit(status);
}

static uint64_t number(const char *option, const char *text)
{
	char *end;
	unsigned long long n;

	if (!text) {
		fprintf(stderr, "sweep: %s needs a number\n", option);
		exit(2);
	}
	errno = 0;
	n = strtoull(text, &end, 0);
	if (!*text || *end || *text == '-' || errno) {
		fprintf(stderr, "sweep: %s: '%s' is no number\n", option, text);
		exit(2);
	}
	return n;
}

static void list(void)
{
	for (size_t i = 0; scenario_at(i); i++)
		puts(scenario_at(i)->name);
	exit(0);
}

static struct options parse(char **argv)
{
	struct options o = { .seeds = 1000, .jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) };

	for (argv++; *argv && **argv == '-'; argv++) {
		if (strcmp(*argv, "--twice") == 0)
			o.twice = true;
		else if (strcmp(*argv, "--go-on") == 0)
			o.go_on = true;
		else if (strcmp(*argv, "--list") == 0)
			list();
		else if (strcmp(*argv, "--help") == 0)
			usage(stdout, 0);
		else if (strcmp(*argv, "--seeds") == 0)
			o.seeds = number("--seeds", *++argv);
		else if (strcmp(*argv, "--first") == 0)
			o.first = number("--first", *++argv);
		else if (strcmp(*argv, "--jobs") == 0)
			o.jobs = (unsigned)number("--jobs", *++argv);
		else
			usage(stderr, 2);
	}
	if (o.seeds == 0 || o.jobs == 0)
		usage(stderr, 2);
	o.names = argv;
	for (; *argv; argv++)
		if (!scenario_find(*argv)) {
			fprintf(stderr, "sweep: no scenario is called '%s'; see --list\n",
				*argv);
			exit(2);
		}
	return o;
}

static bool wanted(const struct options *o, const char *name)
{
	for (char **n = o->names; *n; n++)
		if (strcmp(*n, name) == 0)
			return true;
	return !*o->names;
}

static double per_second(double amount, const struct soq_sim_sweep_result *r, unsigned jobs)
{
	return r->elapsed_ns > 0 ? amount * 1e9 / ((double)r->elapsed_ns * jobs) : 0;
}

static void print(const char *name, const struct soq_sim_sweep_result *r, unsigned jobs)
{
	printf("%sseeds %llu, failures %llu, divergences %llu, events/s %.0f, simulated "
	       "seconds "
	       "per second %.0f\n",
		name, (unsigned long long)r->seeds, (unsigned long long)r->failures,
		(unsigned long long)r->divergences, per_second((double)r->events, r, jobs),
		per_second((double)r->simulated_ns / 1e9, r, jobs));
	fflush(stdout);
}

static int run(const struct options *o, const struct soq_sim_sweep *scenario,
	struct soq_sim_sweep_result *sum)
{
	struct soq_sim_sweep_result r = { 0 };
	struct soq_sim_sweep sweep = *scenario;
	char name[64];
	int rc;

	sweep.seeds = o->seeds;
	sweep.first_seed = o->first;
	sweep.jobs = o->jobs;
	sweep.twice = o->twice;
	sweep.go_on = o->go_on;
	rc = soq_sim_sweep(&sweep, &r);
	snprintf(name, sizeof(name), "%-12s ", scenario->name);
	print(name, &r, o->jobs);
	if (rc < 0 && r.failures == 0 && r.divergences == 0)
		fprintf(stderr, "sweep: %s: %s\n", scenario->name, soq_strerror(rc));
	sum->seeds += r.seeds;
	sum->failures += r.failures;
	sum->divergences += r.divergences;
	sum->events += r.events;
	sum->simulated_ns += r.simulated_ns;
	sum->elapsed_ns += r.elapsed_ns;
	return rc;
}

int main(int argc, char **argv)
{
	struct options o = parse(argv);
	struct soq_sim_sweep_result sum = { 0 };
	bool failed = false;
	int rc = scenario_prepare();

	(void)argc;
	if (rc < 0) {
		fprintf(stderr, "sweep: no files for the scenarios: %s\n", soq_strerror(rc));
		return 1;
	}
	atexit(scenario_clean_up);
	for (size_t i = 0; scenario_at(i); i++)
		if (wanted(&o, scenario_at(i)->name))
			failed |= run(&o, scenario_at(i), &sum) < 0;
	print("", &sum, o.jobs);
	return failed;
}
