/* heartbeat.c - ten hosts that tell each other once a second that they live.
 *
 * What must hold on a network that loses nothing: whoever listens hears its neighbour each
 * second, to the latency's exactness. Its other purpose is to measure how much faster than
 * the real one a quiet world's time passes.
 */
#include "scenario/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HOSTS	10
#define BEATS	300
#define LATE_NS (10 * SOQ_MS)

static struct {
	struct soq_sim_host *hosts[HOSTS];
	unsigned beats[HOSTS];
} world;

static void send_beats(void *arg)
{
	unsigned index = *(unsigned *)arg;
	char endpoint[64];
	struct soq_dgram *d;

	snprintf(endpoint, sizeof(endpoint), "udp://host%u:694", (index + 1) % HOSTS);
	if (soq_dgram_connect(&d, endpoint) < 0)
		return;
	for (unsigned i = 0; i < BEATS; i++) {
		soq_sendto(d, "alive", 5, NULL);
		soq_sleep(SOQ_S);
	}
	soq_dgram_close(d);
}

static int beat_main(void *arg)
{
	unsigned index = (unsigned)(uintptr_t)arg;
	struct soq_scope *scope;
	struct soq_dgram *d;
	int64_t heard_ns = SOQ_NEVER;
	char beat[16];
	int rc = soq_dgram_open(&d, "udp://:694");

	if (rc == 0)
		rc = soq_scope_open(&scope);
	if (rc < 0)
		return rc;
	soq_sleep(SOQ_MS); /* until all are open */
	rc = soq_spawn(scope, send_beats, &index);
	for (unsigned i = 0; i < BEATS && rc == 0; i++) {
		rc = soq_recvfrom(d, beat, sizeof(beat), NULL) == 5 ? 0 : -EPROTO;
		SOQ_ALWAYS(heard_ns == SOQ_NEVER || soq_now() < heard_ns + SOQ_S + LATE_NS,
			"a heartbeat comes each second");
		heard_ns = soq_now();
		world.beats[index]++;
	}
	soq_scope_wait(scope);
	soq_scope_close(scope);
	soq_dgram_close(d);
	return rc;
}

static int build(struct soq_sim *sim, void *arg)
{
	char name[16];
	int rc = 0;

	(void)arg;
	memset(&world, 0, sizeof(world));
	for (unsigned i = 0; i < HOSTS && rc == 0; i++) {
		snprintf(name, sizeof(name), "host%u", i);
		rc = soq_sim_host_new(&world.hosts[i], sim, name, NULL);
		if (rc == 0)
			rc = soq_sim_spawn(world.hosts[i], beat_main, (void *)(uintptr_t)i);
	}
	return rc;
}

static int check(struct soq_sim *sim, enum soq_sim_verdict verdict, void *arg)
{
	(void)sim;
	(void)arg;
	for (unsigned i = 0; i < HOSTS && verdict == SOQ_SIM_FINISHED; i++)
		if (world.beats[i] != BEATS || !scenario_is_clean(world.hosts[i]))
			return -EPROTO;
	return 0;
}

const struct soq_sim_sweep heartbeat = {
	.name = "heartbeat",
	.build = build,
	.check = check,
	.limit_ns = 3600 * SOQ_S,
};
