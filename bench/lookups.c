/* lookups.c - see lookups.h. */
#include "lookups.h"

#include "measure.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define KEPT_NAMES    100
#define SPARE_SECONDS 20 /* beyond what was asked for, before the process is killed */

void lookups_die(const char *what, const char *reason)
{
	measure_die(what, "%s", reason);
}

void lookups_begin(struct lookups *l, int argc, char **argv)
{
	double seconds;

	if (argc != 3 || (strcmp(argv[1], "kept") != 0 && strcmp(argv[1], "new") != 0)) {
		fprintf(stderr, "usage: %s kept|new SECONDS\n", argv[0]);
		exit(2);
	}
	seconds = measure_number(argv[0], "SECONDS", argv[2], 0.01, 3600);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm((unsigned)seconds + SPARE_SECONDS);
	l->kept = strcmp(argv[1], "kept") == 0;
	l->first_ns = now_ns() + (int64_t)(seconds * 1e9 / 5);
	l->end_ns = l->first_ns + (int64_t)(seconds * 1e9);
}

bool lookups_next(struct lookups *l, char name[LOOKUPS_NAME_MAX])
{
	uint64_t number = atomic_fetch_add_explicit(&l->taken, 1, memory_order_relaxed);
	int64_t now = now_ns();
	struct measure begun;

	if (now >= l->first_ns && !atomic_load_explicit(&l->counting, memory_order_relaxed) &&
		!atomic_exchange(&l->counting, true)) {
		measure_take(&begun, 0);
		l->began_ns = begun.at_ns;
		l->began_cpu_ns = begun.load_cpu_ns;
		l->taken_before = number;
	}
	if (l->kept)
		number %= KEPT_NAMES;
	snprintf(name, LOOKUPS_NAME_MAX, "n%" PRIu64 ".bench.example", number);
	return now < l->end_ns;
}

void lookups_report(const struct lookups *l)
{
	struct measure ended;
	double count = (double)(atomic_load(&l->taken) - l->taken_before), cpu_ns;

	measure_take(&ended, 0);
	cpu_ns = (double)(ended.load_cpu_ns - l->began_cpu_ns);
	printf("{\"lookups\": %.0f", count);
	measure_print("lookups_per_s", count * 1e9 / (double)(ended.at_ns - l->began_ns), true);
	measure_print("cpu_us_per_lookup", cpu_ns / 1e3 / count, true);
	measure_print("cpu_percent", 100 * cpu_ns / (double)(ended.at_ns - l->began_ns), true);
	printf("}\n");
}
