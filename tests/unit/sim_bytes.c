/* sim_bytes.c - bytes that wait in order; against a model that only counts. */
#include "test.h"
#include "sim/sim.h"

#define MOST 5000

/* The byte at a place of the endless stream that goes through. */
static char byte_at(uint64_t place)
{
	return (char)(place * UINT64_C(0x9e3779b97f4a7c15) >> 56);
}

static void put(struct soq__sim_bytes *b, uint64_t place, size_t len)
{
	char part[MOST];

	for (size_t i = 0; i < len; i++)
		part[i] = byte_at(place + i);
	soq__sim_bytes_put(b, part, len);
}

static void check(const struct soq__sim_bytes *b, uint64_t place, size_t from, size_t len)
{
	char got[MOST], want[MOST];

	soq__sim_bytes_peek(b, from, got, len);
	for (size_t i = 0; i < len; i++)
		want[i] = byte_at(place + from + i);
	CHECK_MEM(got, want, len);
}

/* Parts of all sizes are put, looked at in the middle, and dropped. */
TEST(sim_bytes_in_order)
{
	const struct soq_sim sim = { .seed = 1 };
	struct soq__sim_bytes b = { 0 };
	uint64_t first = 0, end = 0;

	for (uint64_t i = 0; i < test_scale(20000); i++) {
		uint64_t drawn = soq__sim_draw(&sim, SOQ__SIM_ENTROPY, 0, i);
		size_t len = soq__sim_below(drawn, MOST >> drawn % 13) + 1, from;

		ROW("step %u: %zu bytes", (unsigned)i, len);
		if (drawn & 1 && end - first + len <= MOST) {
			put(&b, end, len);
			end += len;
		} else {
			len = soq__min_size(len, end - first);
			soq__sim_bytes_drop(&b, len);
			first += len;
		}
		CHECK_EQ(b.count, end - first);
		from = soq__sim_below(drawn * 3, b.count + 1);
		check(&b, first, from, b.count - from);
		CHECK(b.capacity <= 4 * MOST);
	}
	CHECK(first > MOST);
	soq__sim_bytes_done(&b);
}

/* What is empty holds no memory. */
TEST(sim_bytes_empty)
{
	struct soq__sim_bytes b = { 0 };

	soq__sim_bytes_put(&b, "", 0);
	CHECK(!b.data);
	soq__sim_bytes_put(&b, "abc", 3);
	CHECK(b.data);
	soq__sim_bytes_drop(&b, 3);
	CHECK(!b.data);
	CHECK_EQ(b.capacity, 0);
}
