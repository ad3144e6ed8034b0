/* sweeps.c - every scenario under some seeds, each twice; `make sweep` does the same under
 * many.
 */
#include "test.h"
#include "scenario/scenario.h"

#include <errno.h>

static void sweep(const char *name, unsigned seeds)
{
	struct soq_sim_sweep s = *scenario_find(name);
	struct soq_sim_sweep_result r;

	CHECK_OK(scenario_prepare());
	s.first_seed = 1;
	s.seeds = test_scale(seeds);
	s.twice = true;
	CHECK_OK(soq_sim_sweep(&s, &r));
	scenario_clean_up();
	CHECK_EQ(r.seeds, s.seeds);
	CHECK_EQ(r.failures, 0);
	CHECK_EQ(r.divergences, 0);
	CHECK_EQ(r.uncovered, 0);
	CHECK(r.events > s.seeds);
	CHECK(r.simulated_ns > 0);
}

TEST(sim_sweep_scopes)
{
	sweep("scopes", 200);
}

TEST(sim_sweep_echo)
{
	sweep("echo", 200);
}

TEST(sim_sweep_http)
{
	sweep("http", 200);
}

TEST(sim_sweep_heartbeat)
{
	sweep("heartbeat", 3);
}

TEST(sim_sweep_tls)
{
	/* An option that makes no sense is refused before a thread of the pool is asked to read
	 * files: what OpenSSL keeps for that thread would be lost in a sweep's processes. */
	struct soq_tls *tls;
	int rc = soq_tls_new(&tls, &(struct soq_tls_options){ .pins = "?" });

	if (rc == -EPROTONOSUPPORT)
		SKIP("this build has no TLS");
	CHECK_ERR(rc, -EINVAL);
	sweep("tls", 100);
}
