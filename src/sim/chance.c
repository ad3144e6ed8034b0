/* chance.c - numbers drawn from the seed.
 *
 * There is no state that moves on: a number is a hash of the seed and of what it is for. So
 * two draws never shift each other, and a fault that is left out changes nothing but itself.
 *
 * Each part of the key goes through a finalizer of its own before the next is added. One
 * round would do for keys that are themselves well mixed, but indices and hosts are small
 * numbers that differ in few bits.
 *
 * Source: G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators",
 * OOPSLA 2014, section 3; the constants are of D. Stafford's variant 13 of the MurmurHash3
 * finalizer. Counter-based generation: J. Salmon et al., "Parallel Random Numbers: As Easy as
 * 1, 2, 3", SC 2011.
 */
#include "sim/sim.h"

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15) /* 2^64 divided by the golden ratio, odd */

static uint64_t finalize(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t soq__sim_draw(
	const struct soq_sim *sim, enum soq__sim_purpose purpose, uint64_t key, uint64_t index)
{
	uint64_t z = finalize(sim->seed + GOLDEN * ((uint64_t)purpose + 1));

	z = finalize(z + GOLDEN * key);
	return finalize(z + GOLDEN * (index + 1));
}

uint64_t soq__sim_host_draw(struct soq_sim_host *host, enum soq__sim_purpose purpose)
{
	return soq__sim_draw(host->sim, purpose, host->index, host->draws[purpose]++);
}
