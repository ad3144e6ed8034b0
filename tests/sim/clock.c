/* clock.c - clocks of simulated hosts: how they drift and step, and who wakes up when. */
#include "sim/model.h"

static int64_t wall_of(const struct soq_sim_host *host)
{
	return soq__sim_host_clock(host) + host->wall_offset_ns;
}

/* ---- the clock alone ---- */

/* A host that starts shows some seconds on its clock, and the world's date on its wall. */
TEST(sim_clock_at_start)
{
	struct soq_sim_host *late;

	world_open(1, NULL);
	CHECK(soq__sim_host_clock(host_a) != soq__sim_host_clock(host_b));
	pass(1000 * SOQ_S);
	CHECK_OK(soq_sim_host_new(&late, sim, "late", NULL));
	CHECK(soq__sim_host_clock(late) >= SOQ_S && soq__sim_host_clock(late) < 60 * SOQ_S);
	CHECK_EQ(wall_of(host_a), SOQ__SIM_EPOCH_NS + 1000 * SOQ_S);
	CHECK_EQ(wall_of(late), SOQ__SIM_EPOCH_NS + 1000 * SOQ_S);
	world_close();
}

TEST(sim_clock_drift_exact)
{
	static const struct {
		int64_t ppm, world_ns, clock_ns;
	} rows[] = {
		{ 0, SOQ_S, SOQ_S },
		{ 100, SOQ_S, SOQ_S + 100 * SOQ_US },
		{ -100, SOQ_S, SOQ_S - 100 * SOQ_US },
		{ SOQ__SIM_DRIFT_MAX, 3, 4 },
		{ -SOQ__SIM_DRIFT_MAX, 3, 1 },
		/* A year, in which 64 bits of nanoseconds times a million would not do. */
		{ 1, 365 * 86400 * SOQ_S, 365 * 86400 * SOQ_S + 31536 * SOQ_MS },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t from_ns;

		ROW("%lld ppm", (long long)rows[i].ppm);
		world_open(1, NULL);
		pass(SOQ_S);
		from_ns = soq__sim_host_clock(host_a);
		CHECK_OK(soq_sim_drift_clock(host_a, rows[i].ppm));
		CHECK_EQ(soq__sim_host_clock(host_a), from_ns);
		sim->now_ns += rows[i].world_ns;
		CHECK_EQ(soq__sim_host_clock(host_a) - from_ns, rows[i].clock_ns);
		CHECK_EQ(wall_of(host_a) - SOQ__SIM_EPOCH_NS, SOQ_S + rows[i].clock_ns);
		world_close();
	}
}

TEST(sim_clock_drift_limits)
{
	world_open(1, NULL);
	CHECK_OK(soq_sim_drift_clock(host_a, SOQ__SIM_DRIFT_MAX));
	CHECK_EQ(soq_sim_drift_clock(host_a, SOQ__SIM_DRIFT_MAX + 1), -EINVAL);
	CHECK_EQ(soq_sim_drift_clock(host_a, -SOQ__SIM_DRIFT_MAX - 1), -EINVAL);
	CHECK_EQ(host_a->drift_ppm, SOQ__SIM_DRIFT_MAX);
	CHECK_OK(soq_sim_drift_clock(host_a, 0));
	CHECK_EQ(host_a->drift_ppm, 0);
	world_close();
}

/* However the drift changes, the clock never goes back; and the instant at which it will show
 * something is the first at which it does. */
TEST(sim_clock_instants_come)
{
	int64_t last_ns;

	world_open(1, NULL);
	last_ns = soq__sim_host_clock(host_a);
	for (uint64_t i = 0; i < test_scale(50000); i++) {
		uint64_t drawn = soq__sim_draw(sim, SOQ__SIM_ENTROPY, 0, i);
		int64_t clock_ns, want_ns, at_ns, now_ns;

		ROW("step %u, drift %lld", (unsigned)i, (long long)host_a->drift_ppm);
		sim->now_ns += 1 + (int64_t)(drawn % 5000);
		if (drawn % 97 == 0)
			CHECK_OK(soq_sim_drift_clock(
				host_a, (int64_t)soq__sim_below(drawn, 1000001) - 500000));
		now_ns = sim->now_ns;
		clock_ns = soq__sim_host_clock(host_a);
		CHECK(clock_ns >= last_ns);
		last_ns = clock_ns;
		want_ns = clock_ns + 1 + (int64_t)(drawn >> 32) % 100000;
		at_ns = soq__sim_world_instant(host_a, want_ns);
		CHECK(at_ns > now_ns);
		sim->now_ns = at_ns;
		CHECK(soq__sim_host_clock(host_a) >= want_ns);
		sim->now_ns = at_ns - 1;
		CHECK(soq__sim_host_clock(host_a) < want_ns);
		sim->now_ns = now_ns;
	}
	world_close();
}

TEST(sim_clock_instants_far)
{
	world_open(1, NULL);
	CHECK_OK(soq_sim_drift_clock(host_a, -SOQ__SIM_DRIFT_MAX));
	CHECK_EQ(soq__sim_world_instant(host_a, SOQ_NEVER), SOQ_NEVER);
	CHECK_EQ(soq__sim_world_instant(host_a, SOQ_NEVER - 1), SOQ_NEVER);
	CHECK_EQ(soq__sim_world_instant(host_a, 0), host_a->base_ns);
	world_close();
}

/* Drifts of several faults add up, but every clock goes on. */
TEST(sim_clock_drifts_add_up)
{
	static const struct soq_sim_fault slow = { .kind = SOQ_SIM_CLOCK_DRIFT,
		.a = "a",
		.duration_ns = 10 * SOQ_S,
		.amount = -SOQ__SIM_DRIFT_MAX };
	int64_t from_ns;

	world_open(1, NULL);
	from_ns = soq__sim_host_clock(host_a);
	for (int i = 0; i < 3; i++)
		CHECK_OK(soq_sim_add_fault(sim, &slow));
	pass(10 * SOQ_S);
	CHECK_EQ(soq__sim_host_clock(host_a) - from_ns, SOQ_S);
	CHECK_EQ(host_a->drift_ppm, 0);
	pass(SOQ_S);
	CHECK_EQ(soq__sim_host_clock(host_a) - from_ns, 2 * SOQ_S);
	world_close();
}

/* A restart begins a new clock; the wall's goes on, as a machine's battery has it. */
TEST(sim_clock_restart)
{
	int64_t wall_ns, clock_ns;

	world_open(1, NULL);
	pass(3600 * SOQ_S);
	soq_sim_step_clock(host_b, -5 * SOQ_S);
	CHECK_OK(soq_sim_crash(host_b));
	pass(60 * SOQ_S);
	wall_ns = wall_of(host_b);
	CHECK_EQ(wall_ns, SOQ__SIM_EPOCH_NS + 3655 * SOQ_S);
	CHECK_OK(soq_sim_restart(host_b));
	clock_ns = soq__sim_host_clock(host_b);
	CHECK(clock_ns >= SOQ_S && clock_ns < 60 * SOQ_S);
	CHECK_EQ(wall_of(host_b), wall_ns);
	CHECK_EQ(host_b->lives, 2);
	world_close();
}

/* ---- programs that go by it ---- */

#define TICKS 10

/* When a program woke up, by the world's time, its own clock and its wall clock. */
static struct {
	int64_t world_ns, clock_ns, wall_ns;
} ticks[TICKS + 1];

static int tick(void *arg)
{
	for (int i = 0; i <= TICKS; i++) {
		if (i > 0)
			CHECK_OK(soq_sleep(SOQ_S));
		ticks[i].world_ns = soq_sim_now(arg);
		ticks[i].clock_ns = soq_now();
		ticks[i].wall_ns = soq_wall_clock();
	}
	return 0;
}

static bool is_about(int64_t got_ns, int64_t want_ns)
{
	return got_ns >= want_ns && got_ns < want_ns + 100 * SOQ_US;
}

/* Seconds of the program's clock, which runs half as fast again from 2.5 s to 4.5 s, and half
 * as fast from 6 s on. The wall clock jumps back an hour at 3 s, and nobody wakes up for that.
 */
TEST(sim_clock_sleeps_by_it)
{
	static const struct soq_sim_fault faults[] = {
		{ .kind = SOQ_SIM_CLOCK_DRIFT,
			.a = "a",
			.at_ns = 2500 * SOQ_MS,
			.duration_ns = 2 * SOQ_S,
			.amount = 500000 },
		{ .kind = SOQ_SIM_CLOCK_STEP,
			.a = "a",
			.at_ns = 3 * SOQ_S,
			.amount = -3600 * SOQ_S },
		{ .kind = SOQ_SIM_CLOCK_DRIFT,
			.a = "a",
			.at_ns = 6 * SOQ_S,
			.duration_ns = SOQ_NEVER,
			.amount = -500000 },
	};
	static const int64_t world_us[TICKS + 1] = { 0, 1000000, 2000000, 2833333, 3500000,
		4166666, 5000000, 6000000, 8000000, 10000000, 12000000 };

	world_open(1, NULL);
	for (size_t i = 0; i < 3; i++)
		CHECK_OK(soq_sim_add_fault(sim, &faults[i]));
	CHECK_OK(soq_sim_spawn(host_a, tick, sim));
	CHECK_EQ(soq_sim_run(sim, 60 * SOQ_S), SOQ_SIM_FINISHED);
	for (int i = 1; i <= TICKS; i++) {
		/* The step came between the third and the fourth. */
		int64_t step_ns = i == 4 ? -3600 * SOQ_S : 0;

		ROW("tick %d at %lld ns", i, (long long)ticks[i].world_ns);
		CHECK(is_about(ticks[i].world_ns, world_us[i] * SOQ_US));
		CHECK(is_about(ticks[i].clock_ns - ticks[i - 1].clock_ns, SOQ_S));
		CHECK(is_about(ticks[i].wall_ns - ticks[i - 1].wall_ns - step_ns, SOQ_S));
	}
	world_close();
}

static int sleep_long(void *arg)
{
	(void)arg;
	return (int)soq_sleep(100 * SOQ_S);
}

/* Whoever sleeps when the drift changes wakes up by the clock as it runs now, not as it ran. */
TEST(sim_clock_drift_begins_while_asleep)
{
	static const struct soq_sim_fault fast = { .kind = SOQ_SIM_CLOCK_DRIFT,
		.a = "a",
		.at_ns = 40 * SOQ_S,
		.duration_ns = SOQ_NEVER,
		.amount = 500000 };

	world_open(1, NULL);
	CHECK_OK(soq_sim_add_fault(sim, &fast));
	CHECK_OK(soq_sim_spawn(host_a, sleep_long, NULL));
	CHECK_EQ(soq_sim_run(sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	CHECK(is_about(soq_sim_now(sim), 80 * SOQ_S));
	world_close();
}
