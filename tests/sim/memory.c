/* memory.c - what idle simulated connections cost. */
#include "test.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECTIONS 100000
#define PORTS	    5 /* a pair of hosts has 28,232 connections to a port, and no more */
#define BYTES_MAX   1024

static struct {
	unsigned count;
	struct soq_stream **near, **far;
	unsigned accepted;
} world;

static int accept_main(void *arg)
{
	unsigned index = (unsigned)(uintptr_t)arg;
	struct soq_listener *l;
	char endpoint[32];

	snprintf(endpoint, sizeof(endpoint), "tcp://:%u", 1000 + index);
	CHECK_OK(soq_listen(&l, endpoint, NULL));
	for (unsigned i = index; i < world.count; i += PORTS) {
		CHECK_OK(soq_accept(&world.far[i], l));
		world.accepted++;
	}
	soq_listener_close(l);
	CHECK_OK(soq_sleep(3600 * SOQ_S));
	for (unsigned i = index; i < world.count; i += PORTS)
		soq_close(world.far[i]);
	return 0;
}

static int connect_main(void *arg)
{
	char endpoint[32];

	(void)arg;
	CHECK_OK(soq_sleep(SOQ_MS));
	for (unsigned i = 0; i < world.count; i++) {
		snprintf(endpoint, sizeof(endpoint), "tcp://10.0.0.1:%u", 1000 + i % PORTS);
		CHECK_OK(soq_connect(&world.near[i], endpoint));
	}
	CHECK_OK(soq_sleep(3600 * SOQ_S));
	for (unsigned i = 0; i < world.count; i++)
		soq_close(world.near[i]);
	return 0;
}

static bool all_accepted(void *arg)
{
	(void)arg;
	return world.accepted == world.count;
}

/* Both ends of a connection, with their streams, and all that the world holds for them. */
TEST(sim_memory_idle_connections)
{
	struct soq_sim_host *server, *client;
	struct soq_sim_census c;
	struct soq_sim *sim;
	size_t before, each;

	world.count = test_scale(CONNECTIONS);
	world.near = calloc(world.count, sizeof(struct soq_stream *));
	world.far = calloc(world.count, sizeof(struct soq_stream *));
	CHECK(world.near && world.far);
	CHECK_OK(soq_sim_new(&sim, 1, NULL));
	CHECK_OK(soq_sim_host_new(&server, sim, "server", "10.0.0.1"));
	CHECK_OK(soq_sim_host_new(&client, sim, "client", "10.0.0.2"));
	for (uintptr_t i = 0; i < PORTS; i++)
		CHECK_OK(soq_sim_spawn(server, accept_main, (void *)i));
	CHECK_OK(soq_sim_spawn(client, connect_main, NULL));
	before = mallinfo2().uordblks;
	CHECK_EQ(soq_sim_run_until(sim, SOQ_NEVER, all_accepted, NULL), SOQ_SIM_HALTED);
	/* Until the last acknowledgement is there, and buffers are given back. */
	CHECK_EQ(soq_sim_run(sim, soq_sim_now(sim) + 10 * SOQ_S), SOQ_SIM_TIME_LIMIT);
	each = (mallinfo2().uordblks - before) / world.count;
	soq_sim_census(server, &c);
	CHECK_EQ(c.connections, world.count);
	printf("%u connections, %zu bytes each, %llu events\n", world.count, each,
		(unsigned long long)soq_sim_events(sim));
	ROW("%zu bytes a connection", each);
	/* 0: a checker's allocator, which does not tell. */
	CHECK(each < BYTES_MAX);
	CHECK_EQ(soq_sim_run(sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	soq_sim_free(sim);
	free(world.near);
	free(world.far);
}
