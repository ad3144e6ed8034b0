/* by_hand.c - what is done to a host by hand holds until it is taken back, whatever faults
 * begin and end meanwhile. */
#include "model.h"
#include <soquete/sim.h>

/* A fault of the first host: from one second of the world to another. */
static void add(enum soq_sim_fault_kind kind, int from_s, int to_s, int64_t amount)
{
	const struct soq_sim_fault f = { .kind = kind,
		.a = "a",
		.at_ns = from_s * SOQ_S,
		.duration_ns = (to_s - from_s) * SOQ_S,
		.amount = amount };

	CHECK_OK(soq_sim_add_fault(sim, &f));
}

/* Let time pass until the middle of a second. */
static void until(int second)
{
	pass(second * SOQ_S + SOQ_S / 2 - soq_sim_now(sim));
}

TEST(sim_by_hand_pause)
{
	world_open(1, NULL);
	CHECK_OK(soq_sim_pause(host_a));
	add(SOQ_SIM_PAUSE, 1, 2, 0);
	until(3);
	CHECK(host_a->paused);
	CHECK_OK(soq_sim_resume(host_a));
	CHECK(!host_a->paused);
	/* And a fault's pause ends as ever. */
	add(SOQ_SIM_PAUSE, 4, 5, 0);
	until(4);
	CHECK(host_a->paused);
	until(5);
	CHECK(!host_a->paused);
	/* What begins by hand during a fault's outlasts it. */
	add(SOQ_SIM_PAUSE, 6, 8, 0);
	until(6);
	CHECK_OK(soq_sim_pause(host_a));
	until(8);
	CHECK(host_a->paused);
	/* But not the host's life. */
	CHECK_OK(soq_sim_crash(host_a));
	CHECK_OK(soq_sim_restart(host_a));
	CHECK(!host_a->paused);
	add(SOQ_SIM_PAUSE, 9, 10, 0);
	until(10);
	CHECK(!host_a->paused);
	world_close();
}

/* A fault's end starts a host again that is down for that fault, not for another reason. */
TEST(sim_by_hand_crash)
{
	world_open(1, NULL);
	add(SOQ_SIM_CRASH, 1, 5, 0);
	until(2);
	CHECK_OK(soq_sim_restart(host_a));
	CHECK_OK(soq_sim_crash(host_a));
	until(6);
	CHECK(!host_a->up);
	CHECK_OK(soq_sim_restart(host_a));
	/* The other reason may be a fault, too: the first that would restart it is not its own.
	 */
	add(SOQ_SIM_CRASH, 7, 10, 0);
	add(SOQ_SIM_CRASH, 9, 12, 0);
	until(8);
	CHECK_OK(soq_sim_restart(host_a));
	until(10);
	CHECK(!host_a->up);
	until(12);
	CHECK(host_a->up);
	world_close();
}

/* Drifts add up, of faults and by hand. */
TEST(sim_by_hand_drift)
{
	world_open(1, NULL);
	add(SOQ_SIM_CLOCK_DRIFT, 1, 5, 1000);
	until(2);
	CHECK_OK(soq_sim_drift_clock(host_a, 0));
	CHECK_EQ(host_a->drift_ppm, 1000);
	CHECK_OK(soq_sim_drift_clock(host_a, 20));
	CHECK_EQ(host_a->drift_ppm, 1020);
	CHECK_OK(soq_sim_drift_clock(host_a, 300));
	CHECK_EQ(host_a->drift_ppm, 1300);
	until(5);
	CHECK_EQ(host_a->drift_ppm, 300);
	CHECK_OK(soq_sim_drift_clock(host_a, 0));
	CHECK_EQ(host_a->drift_ppm, 0);
	world_close();
}
