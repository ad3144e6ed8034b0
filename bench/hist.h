/* hist.h - a histogram of durations, exact to 0.8 %, of a fixed size.
 *
 * Log-linear, as HdrHistogram: each power of two is cut into HIST_SUB / 2 equal
 * buckets, so that the relative error is the same everywhere.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 8
#define HIST_SUB      (1 << HIST_SUB_BITS)
#define HIST_BUCKETS  ((64 - HIST_SUB_BITS + 2) * HIST_SUB / 2)

struct hist {
	uint64_t count;
	int64_t max_ns;
	uint64_t buckets[HIST_BUCKETS];
};

/** Count one duration; a negative one counts as 0. */
void hist_add(struct hist *h, int64_t ns);

/**
 * The smallest duration that @fraction of all do not exceed, as its bucket's highest
 * value, and never more than the true maximum. 0 when empty.
 */
int64_t hist_quantile(const struct hist *h, double fraction);

#endif
