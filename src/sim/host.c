/* host.c - hosts: what a machine is to its programs, and what befalls it.
 *
 * A host has a monotonic clock of its own, which starts near 0 when it boots, as a machine's
 * does, and may run fast or slow against the world's time. Its wall clock is that clock and an
 * offset; a restart keeps the wall clock, since a machine has a battery for it.
 *
 * Invariant: base_ns is not after the world's present, and up to now the monotonic clock has
 * never gone back within a life.
 * Source: clock_gettime(2), clock_adjtime(2) for what drift and steps do.
 */
#include "sim/sim.h"
#include "fiber/last_error.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 255 /* as of a DNS name */

/* ---- clocks ---- */

/* How fast the clock runs, in parts per million of the world's time: at a tenth at least, so
 * that every instant of the clock comes, whatever overlapping faults add up to. */
static int64_t pace(const struct soq_sim_host *host)
{
	int64_t ppm = SOQ_PPM_ONE + host->drift_ppm;

	return ppm < SOQ_PPM_ONE / 10 ? SOQ_PPM_ONE / 10 : ppm;
}

int64_t soq__sim_host_clock(const struct soq_sim_host *host)
{
	int64_t elapsed = host->sim->now_ns - host->base_ns;

	if (soq__likely(host->drift_ppm == 0))
		return host->clock_ns + elapsed;
	return host->clock_ns + (int64_t)((__int128)elapsed * pace(host) / SOQ_PPM_ONE);
}

/* The first instant at which the clock shows @host_ns or more. */
int64_t soq__sim_world_instant(const struct soq_sim_host *host, int64_t host_ns)
{
	int64_t ahead = host_ns - host->clock_ns;
	__int128 scaled;

	if (host_ns == SOQ_NEVER)
		return SOQ_NEVER;
	if (ahead <= 0)
		return host->base_ns;
	if (soq__likely(host->drift_ppm == 0))
		return soq__after(host->base_ns, ahead);
	scaled = ((__int128)ahead * SOQ_PPM_ONE + pace(host) - 1) / pace(host);
	return scaled > SOQ_NEVER ? SOQ_NEVER : soq__after(host->base_ns, (int64_t)scaled);
}

/* Programs wait for instants of their own clock, which come at others of the world now. */
static void reconsider_all(struct soq_sim_host *host)
{
	soq__list_for_each (node, &host->engines)
		soq__sim_engine_resume(soq__container_of(node, struct soq__sim_engine, node));
}

void soq__sim_host_drift(struct soq_sim_host *host, int64_t by_ppm)
{
	host->clock_ns = soq__sim_host_clock(host);
	host->base_ns = host->sim->now_ns;
	host->drift_ppm += by_ppm;
	reconsider_all(host);
}

/* A machine that boots counts from 0; when its programs start it shows some seconds. */
static void start_clock(struct soq_sim_host *host)
{
	int64_t wall_ns = soq__sim_host_clock(host) + host->wall_offset_ns;
	uint64_t draw = soq__sim_host_draw(host, SOQ__SIM_BOOT);

	host->base_ns = host->sim->now_ns;
	host->clock_ns = 1 * SOQ_S + (int64_t)soq__sim_below(draw, 59 * (uint64_t)SOQ_S);
	host->wall_offset_ns = wall_ns - host->clock_ns;
}

void soq_sim_step_clock(struct soq_sim_host *host, int64_t by_ns)
{
	host->wall_offset_ns += by_ns;
	soq__sim_note_fault(
		host->sim, host, "the wall clock jumps by %lld ns", (long long)by_ns);
}

int soq_sim_drift_clock(struct soq_sim_host *host, int64_t ppm)
{
	if (ppm < -SOQ__SIM_DRIFT_MAX || ppm > SOQ__SIM_DRIFT_MAX)
		return soq__fail(-EINVAL,
			"a clock drifts by at most %d parts per million, not %lld",
			SOQ__SIM_DRIFT_MAX, (long long)ppm);
	soq__sim_host_drift(host, ppm - host->drift_by_hand_ppm);
	host->drift_by_hand_ppm = ppm;
	soq__sim_note_fault(
		host->sim, host, "the clocks run %lld ppm fast", (long long)host->drift_ppm);
	return 0;
}

/* ---- addresses ---- */

struct soq_sim_host *soq__sim_host_of(
	const struct soq_sim *sim, const struct soq__sim_addr *addr)
{
	return soq__sim_book_find(&sim->addresses, addr->ip, sizeof(addr->ip));
}

bool soq__sim_host_has(const struct soq_sim_host *host, const struct soq__sim_addr *addr)
{
	for (size_t i = 0; i < host->address_count; i++)
		if (soq__sim_same_ip(&host->addresses[i], addr))
			return true;
	return false;
}

/* 127.0.0.1 or ::1. */
static struct soq__sim_addr loopback(bool is4)
{
	struct soq__sim_addr addr = { .ip = { [15] = 1 } };

	if (is4) {
		addr.ip[10] = addr.ip[11] = 0xff;
		addr.ip[12] = 127;
	}
	return addr;
}

bool soq__sim_source_for(
	struct soq_sim_host *host, const struct soq__sim_addr *to, struct soq__sim_addr *ret)
{
	bool is4 = soq__sim_addr_is4(to);

	/* To itself a host speaks from the very address; to 0.0.0.0, from the loopback one. */
	if (soq__sim_addr_is_loopback(to) || soq__sim_addr_is_any(to)) {
		*ret = loopback(is4);
		return true;
	}
	if (soq__sim_host_has(host, to)) {
		*ret = *to;
		ret->port = 0;
		return true;
	}
	for (size_t i = 0; i < host->address_count; i++) {
		if (soq__sim_addr_is4(&host->addresses[i]) == is4) {
			*ret = host->addresses[i];
			return true;
		}
	}
	return false;
}

static bool is_link_local(const struct soq__sim_addr *addr)
{
	if (soq__sim_addr_is4(addr))
		return addr->ip[12] == 169 && addr->ip[13] == 254;
	return addr->ip[0] == 0xfe && (addr->ip[1] & 0xc0) == 0x80;
}

/* Why no host may have an address, or NULL. */
static const char *unfit(const struct soq__sim_addr *addr)
{
	if (soq__sim_addr_is_any(addr))
		return "stands for any address";
	if (soq__sim_addr_is_loopback(addr))
		return "is within every host";
	if (soq__sim_addr_is_multicast(addr) || soq__sim_addr_is_broadcast(addr))
		return "is a group's, not a host's";
	if (is_link_local(addr))
		return "is link-local, and a simulated host has no interfaces to tell links "
		       "apart";
	return NULL;
}

static void add_address(struct soq_sim_host *host, const struct soq__sim_addr *addr)
{
	host->addresses = soq__sim_realloc(
		host->addresses, (host->address_count + 1) * sizeof(*host->addresses));
	host->addresses[host->address_count++] = *addr;
}

static int add_literal(struct soq_sim_host *host, const char *text)
{
	struct soq__sim_addr addr;
	const struct soq_sim_host *other;

	if (!soq__sim_addr_parse(&addr, text))
		return soq__fail(-EINVAL, "'%s' is no address of IPv4 or IPv6", text);
	if (unfit(&addr))
		return soq__fail(-EINVAL, "the simulated host '%s' cannot have %s, which %s",
			host->name, text, unfit(&addr));
	other = soq__sim_host_of(host->sim, &addr);
	if (other || soq__sim_host_has(host, &addr))
		return soq__fail(-EEXIST, "the simulated host '%s' has %s already",
			other ? other->name : host->name, text);
	add_address(host, &addr);
	return 0;
}

static int add_literals(struct soq_sim_host *host, const char *addresses)
{
	char *texts = strcpy(soq__sim_alloc(strlen(addresses) + 1), addresses);
	char *rest = texts, *text;
	int rc = 0;

	while (rc == 0 && (text = strsep(&rest, " \t\n")))
		if (*text)
			rc = add_literal(host, text);
	free(texts);
	if (rc == 0 && host->address_count == 0)
		return soq__fail(
			-EINVAL, "the simulated host '%s' would have no address", host->name);
	return rc;
}

/* The next of 10.0.0.N and fd00::N of which neither is taken, N counting through all the
 * three bytes of 10.0.0.0/8. */
static void add_counted(struct soq_sim_host *host)
{
	struct soq_sim *sim = host->sim;
	struct soq__sim_addr v4 = { .ip = { [10] = 0xff, [11] = 0xff, [12] = 10 } };
	struct soq__sim_addr v6 = { .ip = { 0xfd } };

	do {
		size_t n = ++sim->next_address;

		v4.ip[13] = v6.ip[13] = (uint8_t)(n >> 16);
		v4.ip[14] = v6.ip[14] = (uint8_t)(n >> 8);
		v4.ip[15] = v6.ip[15] = (uint8_t)n;
	} while (soq__sim_host_of(sim, &v4) || soq__sim_host_of(sim, &v6));
	add_address(host, &v4);
	add_address(host, &v6);
}

/* ---- making and ending ---- */

/* Letters, digits, and what domain names and file names have besides, so that it can stand in
 * an endpoint and in C. */
bool soq__sim_is_name(const char *name)
{
	size_t len = strspn(
		name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._");

	return len > 0 && len <= NAME_MAX_LEN && !name[len];
}

static int check_name(const struct soq_sim *sim, const char *name)
{
	struct soq__sim_addr literal;

	if (!soq__sim_is_name(name))
		return soq__fail(-EINVAL, "'%s' cannot be the name of a simulated host", name);
	if (strcmp(name, "localhost") == 0 || soq__sim_addr_parse(&literal, name))
		return soq__fail(-EINVAL,
			"a simulated host cannot be called '%s', which means something else",
			name);
	if (soq_sim_host_find(sim, name))
		return soq__fail(
			-EEXIST, "there is a simulated host called '%s' already", name);
	return 0;
}

static void host_free(struct soq_sim_host *host)
{
	soq__sim_links_free(host);
	soq__sim_ports_free(host->ports);
	soq__sim_tcp_free(host->tcp);
	soq__sim_udp_free(host->udp);
	soq__sim_unix_free(host->local);
	free(host->addresses);
	free(host->name);
	free(host);
}

static void fire_suicide(struct soq_sim *sim, struct soq__sim_event *event)
{
	struct soq_sim_host *host = soq__container_of(event, struct soq_sim_host, suicide);

	if (host->up)
		soq_sim_crash(host);
}

/* A host that nobody knows yet. */
static struct soq_sim_host *host_alloc(struct soq_sim *sim, const char *name)
{
	struct soq_sim_host *host = soq__sim_alloc(sizeof(*host));

	host->sim = sim;
	host->index = sim->host_count;
	host->name = strcpy(soq__sim_alloc(strlen(name) + 1), name);
	host->up = true;
	host->lives = 1;
	host->base_ns = sim->now_ns;
	host->wall_offset_ns = SOQ__SIM_EPOCH_NS + sim->now_ns;
	soq__list_init(&host->engines);
	soq__list_init(&host->programs);
	soq__sim_event_init(&host->suicide, fire_suicide);
	return host;
}

static void publish(struct soq_sim_host *host)
{
	struct soq_sim *sim = host->sim;

	sim->hosts = soq__sim_realloc(
		sim->hosts, (sim->host_count + 1) * sizeof(struct soq_sim_host *));
	sim->hosts[sim->host_count++] = host;
	soq__sim_book_add(&sim->names, host->name, strlen(host->name), host);
	for (size_t i = 0; i < host->address_count; i++)
		soq__sim_book_add(&sim->addresses, host->addresses[i].ip,
			sizeof(host->addresses[i].ip), host);
}

int soq_sim_host_new(
	struct soq_sim_host **ret, struct soq_sim *sim, const char *name, const char *addresses)
{
	struct soq_sim_host *host;
	int rc = check_name(sim, name);

	if (rc < 0)
		return rc;
	host = host_alloc(sim, name);
	if (addresses)
		rc = add_literals(host, addresses);
	else
		add_counted(host);
	if (rc < 0) {
		free(host->addresses);
		free(host->name);
		free(host);
		return rc;
	}
	start_clock(host);
	host->ports = soq__sim_ports_new();
	host->tcp = soq__sim_tcp_new();
	host->udp = soq__sim_udp_new();
	host->local = soq__sim_unix_new();
	publish(host);
	soq__sim_see_host(sim, host);
	*ret = host;
	return 0;
}

void soq__sim_hosts_free(struct soq_sim *sim)
{
	for (size_t i = 0; i < sim->host_count; i++)
		host_free(sim->hosts[i]);
	free(sim->hosts);
	free(sim->names.entries);
	free(sim->addresses.entries);
}

const char *soq_sim_host_name(const struct soq_sim_host *host)
{
	return host->name;
}

struct soq_sim_host *soq_sim_host_find(const struct soq_sim *sim, const char *name)
{
	return soq__sim_book_find(&sim->names, name, strlen(name));
}

struct soq_sim *soq_sim_of(const struct soq_sim_host *host)
{
	return host->sim;
}

/* ---- crash, restart, pause ---- */

void soq__sim_host_abandon(struct soq_sim_host *host)
{
	/* From here on it sends nothing. */
	host->up = false;
	host->paused = host->paused_by_hand = false;
	soq__sim_cancel(host->sim, &host->suicide);
	soq__sim_fds_abandon(host);
	soq__sim_tcp_crash(host);
	soq__sim_unix_crash(host);
}

/* The caller's own host: it cannot pull its stack from under itself. */
_Noreturn static void crash_oneself(struct soq_sim_host *host, struct soq__sim_program *program)
{
	soq__sim_at(host->sim, &host->suicide, host->sim->now_ns);
	for (;;)
		soq__sim_program_wait(program);
}

int soq_sim_crash(struct soq_sim_host *host)
{
	const struct soq__sim_engine *caller = soq__sim_running();
	const struct soq__sim_engine *implicit = host->sim->implicit;

	if (!host->up)
		return soq__fail(-EHOSTDOWN, "the simulated host '%s' is down", host->name);
	if (implicit && implicit->host == host)
		return soq__fail(-EINVAL,
			"the host of the thread's own simulation cannot crash, since the "
			"process is it");
	if (caller && caller->host == host)
		crash_oneself(host, caller->program);
	soq__sim_note_fault(host->sim, host, "crashes");
	soq__sim_host_abandon(host);
	soq__sim_programs_crash(host);
	return 0;
}

int soq_sim_restart(struct soq_sim_host *host)
{
	if (host->up)
		return soq__fail(-EALREADY, "the simulated host '%s' is up", host->name);
	host->up = true;
	host->lives++;
	start_clock(host);
	soq__sim_note_fault(host->sim, host, "starts again");
	return soq__sim_programs_restart(host);
}

void soq__sim_host_pause(struct soq_sim_host *host)
{
	host->paused = true;
	soq__sim_note_fault(host->sim, host, "its programs pause");
}

void soq__sim_host_resume(struct soq_sim_host *host)
{
	host->paused = false;
	soq__sim_note_fault(host->sim, host, "its programs go on");
	soq__list_for_each (node, &host->engines) {
		struct soq__sim_engine *e =
			soq__container_of(node, struct soq__sim_engine, node);

		if (e->held) {
			e->held = false;
			soq__sim_engine_resume(e);
		}
	}
}

static int check_up(const struct soq_sim_host *host)
{
	if (!host->up)
		return soq__fail(-EHOSTDOWN, "the simulated host '%s' is down", host->name);
	return 0;
}

int soq_sim_pause(struct soq_sim_host *host)
{
	int rc = check_up(host);

	if (rc < 0)
		return rc;
	host->paused_by_hand = true;
	soq__sim_host_pause(host);
	return 0;
}

int soq_sim_resume(struct soq_sim_host *host)
{
	int rc = check_up(host);

	if (rc < 0)
		return rc;
	host->paused_by_hand = false;
	soq__sim_host_resume(host);
	return 0;
}

void soq_sim_signal(struct soq_sim_host *host, int signal)
{
	if (!host->up || signal < 1 || signal >= 32)
		return;
	soq__sim_note(host->sim, host, "gets signal %d", signal);
	soq__sim_signals_raise(host, signal);
}

/* ---- census ---- */

/* A socket with several descriptors is counted once: a share of it with each. */
static uint64_t memory_of_descriptors(const struct soq_sim_host *host)
{
	const struct soq_sim *sim = host->sim;
	uint64_t bytes = 0;

	for (size_t i = 0; i < sim->fd_count; i++) {
		const struct soq__sim_socket *s = sim->fds[i].socket;

		if (s && s->host == host)
			bytes += s->proto->memory(s) / s->refs;
	}
	return bytes;
}

void soq_sim_census(const struct soq_sim_host *host, struct soq_sim_census *ret)
{
	struct soq_sim_census c = { .descriptors = host->descriptors, .leaked = host->leaked };

	c.programs = soq__sim_programs_count(host, &c.fibers);
	c.memory_bytes = memory_of_descriptors(host) + soq__sim_link_bytes(host);
	c.connections = soq__sim_tcp_count(host, &c.memory_bytes);
	*ret = c;
}
