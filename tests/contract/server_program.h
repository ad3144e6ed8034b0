/* server_program.h - a server as a program of the case's own simulated world, on a host of its
 * own, so that what it holds can be counted and its network can be cut.
 *
 * The case's thread is a host's program in the same world (soq_sim_here()), the client.
 */
#ifndef CONTRACT_SERVER_PROGRAM_H
#define CONTRACT_SERVER_PROGRAM_H

#include "contract/server_plan.h"
#include <soquete/sim.h>

#define PROGRAM_LOG_MAX 65536

struct program {
	struct soq_sim_host *host;
	struct plan plan;
	struct place *places;
	char addresses[ADDRESSES][40];
	struct bell changed; /* it is ready, has logged a line, or has ended */
	bool ready, ended;
	unsigned lives; /* one more than its host has crashed */
	int result;
	int64_t began_at_ns; /* instants of the world */
	int64_t ended_at_ns;
	char *log; /* lines, each with its end */
	size_t log_len, log_read;
};

/* The world's present instant. */
static inline int64_t instant(void)
{
	return soq_sim_now(soq_sim_of(soq_sim_here()));
}

/* ---- the server's side ---- */

static inline void program__log(void *arg, const char *line)
{
	struct program *p = arg;
	size_t len = strlen(line);

	if (p->log_len + len + 1 > PROGRAM_LOG_MAX)
		return; /* nobody reads it */
	memcpy(p->log + p->log_len, line, len);
	p->log[p->log_len + len] = '\n';
	p->log_len += len + 1;
	bell_ring(&p->changed);
}

/* Every host's loopback address stands for the server's own first one. */
static inline void program__translate(
	char text[SOQ_ENDPOINT_TEXT_MAX], const struct program *p, const char *endpoint)
{
	const char *at = strstr(endpoint, "127.0.0.1");

	if (!at || p->plan.here)
		snprintf(text, SOQ_ENDPOINT_TEXT_MAX, "%s", endpoint);
	else
		snprintf(text, SOQ_ENDPOINT_TEXT_MAX, "%.*s%s%s", (int)(at - endpoint),
			endpoint, p->addresses[0], at + strlen("127.0.0.1"));
}

static inline struct soq_server *program__open(struct program *p)
{
	char text[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_server *server;

	CHECK_OK(soq_server_new(&server, &p->plan.opt));
	for (size_t i = 0; i < SITES_MAX && p->plan.sites[i].endpoint; i++) {
		program__translate(text, p, p->plan.sites[i].endpoint);
		plan_add_site(server, &p->plan.sites[i], text);
		place_find(&p->places[i], server, i, p->addresses[0]);
	}
	return server;
}

/* The host's programs begin anew after a crash. */
static inline int program__main(void *arg)
{
	struct program *p = arg;
	struct soq_server *server = program__open(p);

	p->lives++;
	p->ready = true;
	bell_ring(&p->changed);
	p->began_at_ns = instant();
	p->result = plan_run(&p->plan, server);
	p->ended_at_ns = instant();
	soq_server_free(server);
	p->ended = true;
	bell_ring(&p->changed);
	return 0;
}

/* ---- the case's side ---- */

/* A host of its own, called "server", or "server2" and so on when there have been others. */
static inline void program__make_host(struct program *p)
{
	struct soq_sim *sim = soq_sim_of(soq_sim_here());
	char name[32] = "server", addresses[ADDRESSES * 40];
	unsigned n = 1;

	while (soq_sim_host_find(sim, name))
		snprintf(name, sizeof(name), "server%u", ++n);
	for (unsigned i = 0; i < 3; i++)
		snprintf(p->addresses[i], sizeof(p->addresses[i]), "10.9.%u.%u", n, i + 1);
	snprintf(p->addresses[3], sizeof(p->addresses[3]), "fd09:%x::1", n);
	snprintf(addresses, sizeof(addresses), "%s %s %s %s", p->addresses[0], p->addresses[1],
		p->addresses[2], p->addresses[3]);
	CHECK_OK(soq_sim_host_new(&p->host, sim, name, addresses));
}

static inline void program__use_host(struct program *p)
{
	static const char *const loopback[ADDRESSES] = { "127.0.0.1", "127.0.0.2", "127.0.0.3",
		"::1" };

	p->host = soq_sim_here();
	for (unsigned i = 0; i < ADDRESSES; i++)
		strcpy(p->addresses[i], loopback[i]);
}

static inline void program_start(
	struct program *p, const struct plan *plan, struct place places[SITES_MAX])
{
	soq_now(); /* this thread has a world from its first call on */
	*p = (struct program){ .plan = *plan, .places = places };
	p->plan.opt.stop_on_signals = !plan->cancel;
	p->plan.opt.log = program__log;
	p->plan.opt.log_arg = p;
	p->log = malloc(PROGRAM_LOG_MAX);
	CHECK(p->log);
	bell_open(&p->changed);
	if (plan->here)
		program__use_host(p);
	else
		program__make_host(p);
	CHECK_OK(soq_sim_spawn(p->host, program__main, p));
	while (!p->ready)
		CHECK_OK(bell_wait(&p->changed));
}

/* The next line of the log. @return false at its end */
static inline bool program_read_log(struct program *p, char *line, size_t len)
{
	const char *end;

	while (p->log_read == p->log_len && !p->ended) {
		bell_hush(&p->changed);
		CHECK_OK(bell_wait(&p->changed));
	}
	if (p->log_read == p->log_len)
		return false;
	end = memchr(p->log + p->log_read, '\n', p->log_len - p->log_read);
	snprintf(line, len, "%.*s", (int)(end - p->log - (ptrdiff_t)p->log_read),
		p->log + p->log_read);
	p->log_read = (size_t)(end - p->log) + 1;
	return true;
}

/* Wait for its end, and see that it left nothing. @return what soq_server_run() returned */
static inline int program_wait(struct program *p)
{
	struct soq_sim_census census;

	while (!p->ended) {
		bell_hush(&p->changed);
		CHECK_OK(bell_wait(&p->changed));
	}
	soq_sim_census(p->host, &census);
	CHECK_EQ(census.leaked, 0);
	if (!p->plan.here) {
		CHECK_EQ(census.programs, 0);
		CHECK_EQ(census.fibers, 0);
		CHECK_EQ(census.descriptors, 0);
	}
	bell_close(&p->changed);
	free(p->log);
	return p->result;
}

#endif
