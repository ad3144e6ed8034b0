/* hist.c - see hist.h. */
#include "hist.h"

/*
 * A value below HIST_SUB is its own bucket. Above, it is shifted right until it is
 * below, which leaves its upper half of the buckets; each shift has such a half.
 */
static unsigned bucket_of(uint64_t v)
{
	unsigned shift;

	if (v < HIST_SUB)
		return (unsigned)v;
	shift = 64 - HIST_SUB_BITS - (unsigned)__builtin_clzll(v);
	return shift * (HIST_SUB / 2) + (unsigned)(v >> shift);
}

static int64_t bucket_highest(unsigned bucket)
{
	unsigned shift;
	uint64_t sub;

	if (bucket < HIST_SUB)
		return bucket;
	shift = bucket / (HIST_SUB / 2) - 1;
	sub = bucket - shift * (HIST_SUB / 2);
	return (int64_t)(((sub + 1) << shift) - 1);
}

void hist_add(struct hist *h, int64_t ns)
{
	if (ns < 0)
		ns = 0;
	if (ns > h->max_ns)
		h->max_ns = ns;
	h->buckets[bucket_of((uint64_t)ns)]++;
	h->count++;
}

int64_t hist_quantile(const struct hist *h, double fraction)
{
	/* Rounded up: the median of three is the second. */
	double rank = fraction * (double)h->count;
	uint64_t seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		int64_t highest;

		seen += h->buckets[i];
		if (seen == 0 || (double)seen < rank)
			continue;
		highest = bucket_highest(i);
		return highest < h->max_ns ? highest : h->max_ns;
	}
	return h->max_ns;
}
