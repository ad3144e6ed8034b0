/* server_world.h - cases of a server in a world with options of their own, where it is known at
 * which instant everything is to happen.
 *
 * The case's body is the program of the host "host"; remote_start() gives it a server on
 * another.
 */
#ifndef SIM_SERVER_WORLD_H
#define SIM_SERVER_WORLD_H

#include "contract/server.h"

#define LATENCY SOQ_MS /* between hosts, and nothing is added to it */

/* What the rounds of schedulers between a cause and its effect may take: each up to 2 us. */
#define ROUNDS (50 * SOQ_US)

#define CHECK_INSTANT(at, want) \
	((at) >= (want) && (at) < (want) + ROUNDS ? (void)0 : CHECK_EQ(at, want))

/* Nothing is cut short or told late by chance. */
static const struct soq_sim_options exact = {
	.whole_reads = true,
	.whole_writes = true,
	.prompt_accepts = true,
	.prompt_offload = true,
};

static inline int world__main(void *arg)
{
	void (**body)(void) = arg;

	(*body)();
	return 0;
}

/* Run a case in a world of its own, until all of its programs have ended. */
static inline void in_world(const struct soq_sim_options *opt, void (*body)(void))
{
	enum soq_sim_verdict verdict;
	struct soq_sim_host *host;
	struct soq_sim *sim;

	CHECK_OK(soq_sim_new(&sim, soq_sim_any_seed(), opt));
	CHECK_OK(soq_sim_host_new(&host, sim, "host", NULL));
	CHECK_OK(soq_sim_spawn(host, world__main, &body));
	verdict = soq_sim_run(sim, SOQ_NEVER);
	if (verdict != SOQ_SIM_FINISHED)
		printf("%s\n", soq_sim_report(sim));
	CHECK_STR(soq_sim_verdict_name(verdict), "finished");
	soq_sim_free(sim);
}

static inline void sleep_until(int64_t at_ns)
{
	CHECK_OK(soq_sleep(at_ns - instant()));
}

/* What a host holds. */
static inline struct soq_sim_census census_of(const struct soq_sim_host *host)
{
	struct soq_sim_census census;

	soq_sim_census(host, &census);
	return census;
}

/* Note the present instant in counters->at_ns. */
static inline void stamp(unsigned which)
{
	atomic_store(&counters->at_ns[which], instant());
}

static inline int64_t stamped(unsigned which)
{
	return atomic_load(&counters->at_ns[which]);
}

/* ---- clients on other hosts ---- */

/* A client like any other: it says hello, hears it back, and stays until it is told to leave.
 */
struct visitor {
	struct soq_sim_host *host;
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
	struct bell heard; /* the client is admitted, refused, or gone */
	struct bell leave;
	bool admitted, over;
};

static inline int visitor__main(void *arg)
{
	struct visitor *v = arg;
	struct soq_stream *s;
	char line[16];

	if (soq_connect(&s, v->endpoint) == 0) {
		v->admitted = soq_send_text(s, "hello\n") == 6 &&
			soq_recv_line(s, line, sizeof(line)) == 5;
		bell_ring(&v->heard);
		if (v->admitted)
			CHECK_OK(bell_wait(&v->leave));
		soq_close(s);
	}
	v->over = true;
	bell_ring(&v->heard);
	return 0;
}

static inline void visitor_start(
	struct visitor *v, struct soq_sim_host *host, const char *endpoint)
{
	*v = (struct visitor){ .host = host };
	snprintf(v->endpoint, sizeof(v->endpoint), "%s", endpoint);
	bell_open(&v->heard);
	bell_open(&v->leave);
	CHECK_OK(soq_sim_spawn(host, visitor__main, v));
}

/* Suspends until it is known whether the client is admitted. */
static inline bool visitor_is_admitted(struct visitor *v)
{
	CHECK_OK(bell_wait(&v->heard));
	return v->admitted;
}

static inline void visitor_end(struct visitor *v)
{
	bell_ring(&v->leave);
	while (!v->over) {
		bell_hush(&v->heard);
		CHECK_OK(bell_wait(&v->heard));
	}
	bell_close(&v->heard);
	bell_close(&v->leave);
}

static inline struct soq_sim_host *host_new(const char *name, const char *addresses)
{
	struct soq_sim_host *host;

	CHECK_OK(soq_sim_host_new(&host, soq_sim_of(soq_sim_here()), name, addresses));
	return host;
}

#endif
