/* sim_chance.c - the numbers that a simulation draws: even, unrelated, and for ever the same.
 */
#include "test.h"
#include "sim/sim.h"

#define BINS 256
#define EACH 400 /* numbers expected in a bin */

static struct soq_sim sim = { .seed = 42 };

/* Whoever has a seed in a bug report is to have the same run, on every machine and with the
 * next version. */
TEST(sim_chance_stays)
{
	static const struct {
		uint64_t seed;
		enum soq__sim_purpose purpose;
		uint64_t key, index, want;
	} rows[] = {
		{ 0, SOQ__SIM_LATENCY, 0, 0, 0x568a9b0b1a2c05ec },
		{ 1, SOQ__SIM_LOSS, 0x100000002, 7, 0xe0f3f93fe459d8dd },
		{ UINT64_MAX, SOQ__SIM_CHAOS, UINT64_MAX, UINT64_MAX, 0xacfe8104c3709ff1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("row %zu", i);
		sim.seed = rows[i].seed;
		CHECK_EQ(soq__sim_draw(&sim, rows[i].purpose, rows[i].key, rows[i].index),
			rows[i].want);
	}
}

/* Pearson's chi-square with 255 degrees of freedom: of a thousand even sources, one is outside
 * of these. */
static void check_even(const unsigned counts[BINS])
{
	int64_t sum = 0;

	for (size_t i = 0; i < BINS; i++) {
		int64_t off = (int64_t)counts[i] - EACH;

		sum += off * off;
	}
	CHECK(sum > 170 * EACH);
	CHECK(sum < 350 * EACH);
}

/* By the highest bits, which soq__sim_below() looks at, and by the lowest. */
TEST(sim_chance_even)
{
	for (uint64_t key = 0; key < test_scale(10); key++) {
		unsigned high[BINS] = { 0 }, low[BINS] = { 0 };

		ROW("key %u", (unsigned)key);
		for (uint64_t i = 0; i < (uint64_t)BINS * EACH; i++) {
			uint64_t drawn = soq__sim_draw(&sim, SOQ__SIM_LOSS, key, i);

			high[soq__sim_below(drawn, BINS)]++;
			low[drawn % BINS]++;
		}
		check_even(high);
		check_even(low);
	}
}

/* The first number of each key is as even as the numbers of one. */
TEST(sim_chance_even_over_keys)
{
	unsigned counts[BINS] = { 0 };

	for (uint64_t key = 0; key < (uint64_t)BINS * EACH; key++)
		counts[soq__sim_below(soq__sim_draw(&sim, SOQ__SIM_PORT, key, 0), BINS)]++;
	check_even(counts);
}

/* Of two keys that differ by one in a place, half of the bits differ. */
TEST(sim_chance_neighbours)
{
	enum { PAIRS = 4000, PLACES = 4 };
	static const char *const places[PLACES] = { "seed", "purpose", "key", "index" };
	uint64_t bits[PLACES] = { 0 };

	for (uint64_t i = 0; i < PAIRS; i++) {
		enum soq__sim_purpose purpose = (enum soq__sim_purpose)(i % 15);
		struct soq_sim next = { .seed = i + 1 };
		uint64_t drawn;

		sim.seed = i;
		drawn = soq__sim_draw(&sim, purpose, i, i);
		bits[0] += (unsigned)__builtin_popcountll(
			drawn ^ soq__sim_draw(&next, purpose, i, i));
		bits[1] += (unsigned)__builtin_popcountll(
			drawn ^ soq__sim_draw(&sim, purpose + 1, i, i));
		bits[2] += (unsigned)__builtin_popcountll(
			drawn ^ soq__sim_draw(&sim, purpose, i + 1, i));
		bits[3] += (unsigned)__builtin_popcountll(
			drawn ^ soq__sim_draw(&sim, purpose, i, i + 1));
	}
	for (size_t i = 0; i < PLACES; i++) {
		ROW("%s: %u bits in %d pairs", places[i], (unsigned)bits[i], PAIRS);
		CHECK(bits[i] > 31.7 * PAIRS);
		CHECK(bits[i] < 32.3 * PAIRS);
	}
}

TEST(sim_chance_limits)
{
	CHECK_EQ(soq__sim_below(0, 10), 0);
	CHECK_EQ(soq__sim_below(UINT64_MAX, 10), 9);
	CHECK_EQ(soq__sim_below(UINT64_MAX, 1), 0);
	CHECK_EQ(soq__sim_below(UINT64_MAX, 0), 0);
	CHECK_EQ(soq__sim_below(UINT64_MAX, UINT64_MAX), UINT64_MAX - 1);
	CHECK(soq__sim_chance(UINT64_MAX, SOQ_PPM_ONE));
	CHECK(!soq__sim_chance(UINT64_MAX, SOQ_PPM_ONE - 1));
	CHECK(soq__sim_chance(0, 1));
	CHECK(!soq__sim_chance(0, 0));
}

/* A host draws numbers of each purpose in their order, whatever it draws of others. */
TEST(sim_chance_of_host)
{
	struct soq_sim_host host = { .sim = &sim, .index = 3 };

	for (uint64_t i = 0; i < 10; i++) {
		CHECK_EQ(soq__sim_host_draw(&host, SOQ__SIM_ROUND),
			soq__sim_draw(&sim, SOQ__SIM_ROUND, 3, i));
		if (i % 2)
			soq__sim_host_draw(&host, SOQ__SIM_ACCEPT);
	}
	CHECK_EQ(soq__sim_host_draw(&host, SOQ__SIM_ACCEPT),
		soq__sim_draw(&sim, SOQ__SIM_ACCEPT, 3, 5));
}
