/* measure.h - what a load generator reads at both ends of its measured window.
 *
 * Times are nanoseconds; -1 is what the system does not tell, and printed as null.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SECOND_NS INT64_C(1000000000)

struct measure {
	int64_t at_ns, server_cpu_ns, server_wait_ns, load_cpu_ns, load_wait_ns;
};

/** End the process with one line: @program, and what is wrong. */
_Noreturn void measure_die(const char *program, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** The monotonic clock. */
int64_t now_ns(void);

/**
 * Read the clocks of both sides.
 * @server  its process, or 0: none is looked at
 * @return 0, or an errno value: there is no such process
 */
int measure_take(struct measure *ret, pid_t server);

/** Of two readings; -1 if either is. */
int64_t measure_since(int64_t first, int64_t last);

/** Print `, "NAME": VALUE`, or null for what is not known. */
void measure_print(const char *name, double value, bool known);

/** Print how much of their cores both sides used, and how much others kept from them. */
void measure_print_cores(const struct measure *first, const struct measure *last);

/**
 * Whether the generator had no time left of what its core was to it: the throughput is only
 * a lower bound then.
 */
bool measure_load_was_full(const struct measure *first, const struct measure *last);

/** A number from @min to @max, or the process ends with a line about @option. */
double measure_number(
	const char *program, const char *option, const char *text, double min, double max);

/** Let the process open @files descriptors, or end it. */
void measure_files_limit(const char *program, unsigned files);

#endif
