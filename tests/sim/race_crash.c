/* race_crash.c - a host that crashes while its names are being looked up: whoever waited is
 * gone, and the answers that come later are for nobody.
 */
#include "test.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <string.h>

#define FIBERS	 3
#define CRASH_NS (10 * SOQ_MS)

static struct {
	unsigned lives, ended;
	int rc;
	int64_t took_ns;
} seen;

static void look_up(void *arg)
{
	struct soq_addrs list;
	struct soq_stream *s;

	/* One for each that waits for a question, and one for the race. */
	if (arg)
		soq_resolve(&list, "tcp://late.it:80");
	else
		soq_connect(&s, "tcp://late.it:80");
	seen.ended++;
}

/* Its first life ends in the middle of this; the second has another question. */
static int client_main(void *arg)
{
	struct soq_scope *scope;
	struct soq_addrs list;
	int64_t began_ns = soq_now();

	(void)arg;
	if (seen.lives++ > 0) {
		seen.rc = soq_resolve(&list, "tcp://other.it:80");
		seen.took_ns = soq_now() - began_ns;
		if (seen.rc == 0)
			soq_addrs_done(&list);
		return 0;
	}
	CHECK_OK(soq_scope_open(&scope));
	for (unsigned i = 0; i < FIBERS; i++)
		CHECK_OK(soq_spawn(scope, look_up, i ? scope : NULL));
	soq_scope_wait(scope);
	return 0;
}

TEST(sim_names_of_a_host_that_crashes)
{
	const struct soq_sim_options opt = { .prompt_offload = true };
	const struct soq_sim_name late = { .addresses = "10.0.0.2 fd00::2",
		.delay_ipv4_ns = 50 * SOQ_MS,
		.delay_ipv6_ns = SOQ_NEVER };
	const struct soq_sim_name other = { .addresses = "10.0.0.3" };
	struct soq_sim_host *client;
	struct soq_sim *sim;

	CHECK_OK(soq_sim_new(&sim, 1, &opt));
	CHECK_OK(soq_sim_host_new(&client, sim, "client", "10.0.0.1"));
	CHECK_OK(soq_sim_name(sim, "late.it", &late));
	CHECK_OK(soq_sim_name(sim, "other.it", &other));
	CHECK_OK(soq_sim_add_fault(sim,
		&(struct soq_sim_fault){ .kind = SOQ_SIM_CRASH,
			.a = "client",
			.at_ns = CRASH_NS,
			.duration_ns = CRASH_NS }));
	CHECK_OK(soq_sim_spawn(client, client_main, NULL));
	CHECK_EQ(soq_sim_run(sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	CHECK_EQ(seen.lives, 2);
	CHECK_EQ(seen.ended, 0);
	CHECK_OK(seen.rc);
	CHECK(seen.took_ns < 20 * SOQ_MS);
	soq_sim_free(sim);
}
