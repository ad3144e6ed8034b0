/* common.c - what several scenarios need; see scenario.h. */
#include "scenario/scenario.h"

#include <stdio.h>

/* splitmix64. */
uint64_t scenario_draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t scenario_below(uint64_t *state, uint64_t below)
{
	return (uint64_t)(((unsigned __int128)scenario_draw(state) * below) >> 64);
}

unsigned char scenario_byte(uint64_t key, uint64_t offset)
{
	uint64_t z = (key + 1) * UINT64_C(0x9e3779b97f4a7c15) + offset;

	return (unsigned char)((z ^ z >> 29) * UINT64_C(0xbf58476d1ce4e5b9) >> 56);
}

void scenario_fill(uint64_t key, uint64_t offset, void *buf, size_t len)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = scenario_byte(key, offset + i);
}

bool scenario_matches(uint64_t key, uint64_t offset, const void *buf, size_t len)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		if (p[i] != scenario_byte(key, offset + i))
			return false;
	return true;
}

bool scenario_is_clean(const struct soq_sim_host *host)
{
	struct soq_sim_census c;

	soq_sim_census(host, &c);
	if (c.fibers == 0 && c.descriptors == 0 && c.leaked == 0)
		return true;
	fprintf(stderr, "host %s is left with %u fibers, %u descriptors, %u leaked\n",
		soq_sim_host_name(host), c.fibers, c.descriptors, c.leaked);
	return false;
}
