/* race_order.c - connecting to a name with several addresses, for every combination of what may
 * happen at three of them, compared with a small model of RFC 8305 section 5.
 */
#include "test.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES     3
#define DELAY_NS      (250 * SOQ_MS)
#define ROUND_TRIP_NS (2 * SOQ_MS)
#define FAR_NS	      (400 * SOQ_MS) /* one way, to who answers late */

enum manner { ANSWERS, LATE, REFUSES, SILENT, MANNERS };

static enum manner manners[ADDRESSES];
static int64_t took_ns;
static int result;

/* ---- the model ---- */

/* When an attempt succeeds or fails, after its beginning; SOQ_NEVER: not in our time. */
static int64_t answer_ns(enum manner manner)
{
	return manner == SILENT ? SOQ_NEVER : manner == LATE ? 2 * FAR_NS : ROUND_TRIP_NS;
}

/* Each attempt begins when the one before has had its time, or when any has failed since then.
 * @return when the first succeeds, or SOQ_NEVER */
static int64_t model(void)
{
	int64_t begin[ADDRESSES], best = SOQ_NEVER;

	for (int i = 0; i < ADDRESSES; i++) {
		begin[i] = i > 0 ? begin[i - 1] + DELAY_NS : 0;
		for (int k = 0; k < i; k++) {
			int64_t failed_ns = begin[k] + ROUND_TRIP_NS;

			if (manners[k] == REFUSES && failed_ns > begin[i - 1] &&
				failed_ns < begin[i])
				begin[i] = failed_ns;
		}
		if (best <= begin[i])
			break;
		if (manners[i] == ANSWERS || manners[i] == LATE)
			best = best < begin[i] + answer_ns(manners[i])
				? best
				: begin[i] + answer_ns(manners[i]);
	}
	return best;
}

/* ---- the world ---- */

static int server_main(void *arg)
{
	struct soq_listener *l;
	struct soq_stream *s;

	(void)arg;
	CHECK_OK(soq_listen(&l, "tcp://:80", NULL));
	soq_set_accept_timeout(l, 10 * SOQ_S);
	while (soq_accept(&s, l) == 0)
		soq_close(s);
	soq_listener_close(l);
	return 0;
}

static int client_main(void *arg)
{
	struct soq_stream *s;
	int64_t began_ns;

	(void)arg;
	CHECK_OK(soq_sleep(SOQ_MS)); /* the servers listen */
	began_ns = soq_now();
	result = soq_connect(&s, "tcp://name:80");
	took_ns = soq_now() - began_ns;
	if (result == 0)
		soq_close(s);
	return 0;
}

static void run_world(void)
{
	const struct soq_sim_options opt = { .prompt_offload = true };
	const struct soq_sim_link far = { .latency_ns = FAR_NS };
	const struct soq_sim_name addresses = { .addresses = "10.0.0.1 10.0.0.2 10.0.0.3" };
	struct soq_sim_host *client, *host;
	struct soq_sim *sim;
	char name[16], text[16];

	CHECK_OK(soq_sim_new(&sim, 1, &opt));
	CHECK_OK(soq_sim_host_new(&client, sim, "client", "10.0.0.99"));
	CHECK_OK(soq_sim_name(sim, "name", &addresses));
	for (int i = 0; i < ADDRESSES; i++) {
		snprintf(name, sizeof(name), "host%d", i);
		snprintf(text, sizeof(text), "10.0.0.%d", 1 + i);
		CHECK_OK(soq_sim_host_new(&host, sim, name, text));
		if (manners[i] == LATE)
			CHECK_OK(soq_sim_link_both(client, host, &far));
		if (manners[i] == SILENT)
			CHECK_OK(soq_sim_partition(client, host));
		if (manners[i] == ANSWERS || manners[i] == LATE)
			CHECK_OK(soq_sim_spawn(host, server_main, NULL));
	}
	CHECK_OK(soq_sim_spawn(client, client_main, NULL));
	CHECK_EQ(soq_sim_run(sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	soq_sim_free(sim);
}

/* All lists of addresses of which at least one answers. */
TEST(sim_race_order_of_every_list)
{
	static const char letters[] = "alrs";
	int tried = 0;

	for (int list = 0; list < MANNERS * MANNERS * MANNERS; list++) {
		int64_t want_ns;

		manners[0] = (enum manner)(list / MANNERS / MANNERS);
		manners[1] = (enum manner)(list / MANNERS % MANNERS);
		manners[2] = (enum manner)(list % MANNERS);
		want_ns = model();
		if (want_ns == SOQ_NEVER)
			continue;
		run_world();
		ROW("%c%c%c: after %lld ns, wanted %lld", letters[manners[0]],
			letters[manners[1]], letters[manners[2]], (long long)took_ns,
			(long long)want_ns);
		CHECK_OK(result);
		CHECK(took_ns >= want_ns && took_ns < want_ns + 20 * SOQ_US);
		tried++;
	}
	CHECK_EQ(tried, 64 - 8);
}
