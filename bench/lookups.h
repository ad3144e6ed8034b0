/* lookups.h - the names that are looked up, for how long, and what is counted.
 *
 * A program takes `kept SECONDS`: a hundred names again and again, which whoever keeps answers
 * need not ask for; or `new SECONDS`: each name once. The first fifth of the time warms up and
 * is not counted. The result is one JSON object on standard output.
 */
#ifndef BENCH_LOOKUPS_H
#define BENCH_LOOKUPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LOOKUPS_NAME_MAX 64

struct lookups {
	bool kept;
	int64_t first_ns, end_ns;   /* of what is counted */
	atomic_uint_fast64_t taken; /* names given out */
	atomic_bool counting;	    /* the window has begun */
	uint64_t taken_before;	    /* the window */
	int64_t began_ns, began_cpu_ns;
};

/** From the command line; ends the process when it makes no sense. */
void lookups_begin(struct lookups *l, int argc, char **argv);

/** The next name. Any thread. @return false when the time is over */
bool lookups_next(struct lookups *l, char name[LOOKUPS_NAME_MAX]);

/** Prints lookups a second, and this process's CPU time for each. */
void lookups_report(const struct lookups *l);

/** End the process with one line. */
_Noreturn void lookups_die(const char *what, const char *reason);

#endif
