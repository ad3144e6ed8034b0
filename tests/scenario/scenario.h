/* scenario.h - the simulated worlds in which the library is proved: each is a sweep, run by
 * tests under a few seeds and by `make sweep` under many.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include <soquete/sim.h>
#include <soquete/soquete.h>

/* table.c: the @index-th scenario, or NULL past the last. */
const struct soq_sim_sweep *scenario_at(size_t index);
/* The one called so, or NULL. */
const struct soq_sim_sweep *scenario_find(const char *name);

extern const struct soq_sim_sweep scopes;
extern const struct soq_sim_sweep echo;
extern const struct soq_sim_sweep http;
extern const struct soq_sim_sweep heartbeat;
extern const struct soq_sim_sweep tls_visits;

/* table.c: make and remove the files that scenarios need. Before and after all sweeps.
 * @return 0 or a negative code */
int scenario_prepare(void);
void scenario_clean_up(void);
/* http.c: its part of these. */
int http_prepare(void);
void http_clean_up(void);

/* common.c */

/* Draws for the scenarios' own use, from a seed of their own. */
uint64_t scenario_draw(uint64_t *state);
/* From 0 to @below - 1. */
uint64_t scenario_below(uint64_t *state, uint64_t below);

/* The bytes from an offset on of what a transfer called @key sends. */
void scenario_fill(uint64_t key, uint64_t offset, void *buf, size_t len);
/* Whether these are the bytes. */
bool scenario_matches(uint64_t key, uint64_t offset, const void *buf, size_t len);

/* A host called "server" with a program, and others called "client1" and so on with theirs.
 * @ret  @clients + 1 hosts, the server first
 * @return 0 or a negative code */
int scenario_hosts(struct soq_sim *sim, struct soq_sim_host **ret, soq_sim_main *server,
	unsigned clients, soq_sim_main *client);

/* Nothing is left on hosts whose programs have ended: no fiber, no descriptor, none leaked.
 * @return whether that is so; what is not is told on stderr */
bool scenario_is_clean(const struct soq_sim_host *host);
bool scenario_are_clean(struct soq_sim_host *const *hosts, unsigned count);

#endif
