/* world.c - a world: its queue of events, its time, its digest, and who looks on.
 *
 * Time stands still while an event is handled, and then jumps to the next one.
 *
 * Invariant: no event is set to an instant before the present one, and those of one instant
 * happen in the order in which they were set (base/heap.h). So the order of events, and with
 * it the run, depends on nothing but the seed and what the programs do.
 */
#include "sim/sim.h"
#include "fiber/last_error.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define DESCRIPTORS_MAX 1048576
#define BUFFER_BYTES	(128 * 1024)
#define BUFFER_LEAST	1024 /* room for a few small messages, so that protocols progress */
#define STACK_LEAST	(16 * 1024)

/* Which simulated program runs on this thread. */
static _Thread_local struct soq__sim_engine *running;

/* ---- memory ---- */

_Noreturn static void no_memory(size_t bytes)
{
	fprintf(stderr, "soquete: no memory for %zu bytes of the simulation\n", bytes);
	abort();
}

void *soq__sim_alloc(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p)
		no_memory(bytes);
	return p;
}

void *soq__sim_realloc(void *p, size_t bytes)
{
	void *q = realloc(p, bytes);

	if (!q)
		no_memory(bytes);
	return q;
}

/* ---- events ---- */

/* Two multiplications a word; the state is never 0 for long, since the instant is in it. */
void soq__sim_digest(struct soq_sim *sim, uint64_t what)
{
	uint64_t z =
		sim->digest ^ (what + (uint64_t)sim->now_ns * UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93);
	sim->digest = (z ^ z >> 32) * UINT64_C(0xd6e8feb86659fd93) + 1;
}

void soq__sim_at(struct soq_sim *sim, struct soq__sim_event *event, int64_t at_ns)
{
	if (soq__unlikely(soq__heap_reserve(&sim->events, sim->events.count + 1) < 0))
		no_memory((sim->events.count + 1) * sizeof(struct soq__heap_slot));
	soq__heap_set(&sim->events, &event->timer, at_ns < sim->now_ns ? sim->now_ns : at_ns);
}

void soq__sim_cancel(struct soq_sim *sim, struct soq__sim_event *event)
{
	soq__heap_remove(&sim->events, &event->timer);
}

int64_t soq__sim_when(const struct soq_sim *sim, const struct soq__sim_event *event)
{
	return soq__heap_at(&sim->events, &event->timer);
}

bool soq__sim_step(struct soq_sim *sim, int64_t limit_ns)
{
	int64_t at_ns = soq__heap_first_ns(&sim->events);
	struct soq__timer *timer = soq__heap_pop_due(&sim->events, limit_ns);
	struct soq__sim_event *event;

	if (!timer)
		return false;
	event = soq__container_of(timer, struct soq__sim_event, timer);
	sim->now_ns = at_ns;
	sim->event_count++;
	soq__sim_digest(sim, sim->event_count);
	event->fire(sim, event);
	if (soq__sim_has_eventually(sim))
		soq__sim_check_eventually(sim);
	return true;
}

/* ---- the seed ---- */

/* A number, decimal or with 0x, and nothing else. */
static bool parse_seed(uint64_t *ret, const char *text)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	const char *allowed = hex ? "0123456789abcdefABCDEF" : "0123456789";
	unsigned long long seed;
	size_t n = strspn(digits, allowed);

	if (n == 0 || digits[n])
		return false;
	errno = 0;
	seed = strtoull(digits, NULL, hex ? 16 : 10);
	if (errno == ERANGE)
		return false;
	*ret = seed;
	return true;
}

int soq__sim_seed_given(uint64_t *ret)
{
	const char *text = getenv("SOQUETE_SEED");

	if (!text)
		return -ENOENT;
	return parse_seed(ret, text) ? 0 : -EINVAL;
}

uint64_t soq_sim_any_seed(void)
{
	uint64_t seed = 0;

	if (soq__sim_seed_given(&seed) == 0)
		return seed;
	/* Of 32 bits, since people will have to type it. */
	if (getrandom(&seed, sizeof(uint32_t), 0) != (ssize_t)sizeof(uint32_t))
		no_memory(sizeof(seed));
	return seed;
}

/* ---- making and ending ---- */

static int check_options(const struct soq_sim_options *opt)
{
	int rc = soq__sim_link_check(&opt->link, "the links' default");

	if (rc == 0)
		rc = soq__sim_link_check(&opt->loopback, "the loopback");
	if (rc < 0)
		return rc;
	if (opt->descriptors_max > INT_MAX - SOQ__SIM_FD_BASE)
		return soq__fail(-EINVAL, "a simulated host cannot have %u descriptors",
			opt->descriptors_max);
	if (opt->buffer_bytes &&
		(opt->buffer_bytes < BUFFER_LEAST || opt->buffer_bytes > INT_MAX / 2))
		return soq__fail(-EINVAL,
			"a simulated socket's buffer has from %d to %d bytes, not %zu",
			BUFFER_LEAST, INT_MAX / 2, opt->buffer_bytes);
	if (opt->stack_bytes && opt->stack_bytes < STACK_LEAST)
		return soq__fail(-EINVAL,
			"a simulated program's stack has at least %d bytes, not %zu",
			STACK_LEAST, opt->stack_bytes);
	return 0;
}

static void fill_options(struct soq_sim_options *opt)
{
	soq__sim_link_fill(&opt->link, false);
	soq__sim_link_fill(&opt->loopback, true);
	if (!opt->descriptors_max)
		opt->descriptors_max = DESCRIPTORS_MAX;
	if (!opt->buffer_bytes)
		opt->buffer_bytes = BUFFER_BYTES;
}

int soq__sim_new(struct soq_sim **ret, uint64_t seed, const struct soq_sim_options *opt)
{
	const struct soq_sim_options none = { 0 };
	struct soq_sim *sim;
	int rc;

	if (running && running->program)
		return soq__fail(-EBUSY, "a simulated program cannot make a world of its own");
	rc = check_options(opt ? opt : &none);
	if (rc < 0)
		return rc;
	sim = soq__sim_alloc(sizeof(*sim));
	sim->seed = seed;
	sim->digest = seed;
	sim->opt = opt ? *opt : none;
	fill_options(&sim->opt);
	soq__list_init(&sim->observers);
	soq__list_init(&sim->faults);
	soq__list_init(&sim->said_names);
	*ret = sim;
	return 0;
}

int soq_sim_new(struct soq_sim **ret, uint64_t seed, const struct soq_sim_options *opt)
{
	if (soq__sim_seed_given(&seed) == -EINVAL)
		return soq__fail(-EINVAL,
			"SOQUETE_SEED is '%s': a seed is a number of 64 bits, decimal or with "
			"0x",
			getenv("SOQUETE_SEED"));
	return soq__sim_new(ret, seed, opt);
}

static void close_observers(struct soq_sim *sim)
{
	struct soq__list *node;

	while ((node = soq__list_pop(&sim->observers))) {
		struct soq__sim_observer *o =
			soq__container_of(node, struct soq__sim_observer, node);

		o->close(o);
	}
}

void soq__sim_refuse_within(const struct soq_sim *sim, const char *what)
{
	if (!running || (!running->program && running->host->sim != sim))
		return;
	fprintf(stderr, "soquete: a simulated program cannot %s a world\n", what);
	abort();
}

void soq_sim_free(struct soq_sim *sim)
{
	if (!sim)
		return;
	soq__sim_refuse_within(sim, "free");
	/* Sockets first: their parked operations are on the programs' stacks. */
	for (size_t i = 0; i < sim->host_count; i++)
		soq__sim_host_abandon(sim->hosts[i]);
	for (size_t i = 0; i < sim->host_count; i++)
		soq__sim_programs_free(sim->hosts[i]);
	soq__sim_packets_free(sim);
	soq__sim_faults_free(sim);
	close_observers(sim);
	soq__sim_properties_free(sim);
	soq__sim_run_free(sim);
	soq__sim_names_free(sim);
	soq__sim_hosts_free(sim);
	soq__heap_done(&sim->events);
	free(sim->fds);
	free(sim);
}

uint64_t soq_sim_seed(const struct soq_sim *sim)
{
	return sim->seed;
}

int64_t soq_sim_now(const struct soq_sim *sim)
{
	return sim->now_ns;
}

uint64_t soq_sim_events(const struct soq_sim *sim)
{
	return sim->event_count;
}

/* ---- who runs ---- */

void soq__sim_set_running(struct soq__sim_engine *e)
{
	running = e;
}

struct soq__sim_engine *soq__sim_running(void)
{
	return running;
}

struct soq_sim_host *soq_sim_here(void)
{
	return running ? running->host : NULL;
}

/* ---- who looks on ---- */

static void tell(struct soq_sim *sim, const struct soq_sim_host *host, bool fault,
	const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		no_memory(strlen(format));
	soq__list_for_each (node, &sim->observers) {
		struct soq__sim_observer *o =
			soq__container_of(node, struct soq__sim_observer, node);

		if (o->note)
			o->note(o, host, fault, text);
	}
	free(text);
}

void soq__sim_note(
	struct soq_sim *sim, const struct soq_sim_host *host, const char *format, ...)
{
	va_list args;

	if (soq__list_empty(&sim->observers))
		return;
	va_start(args, format);
	tell(sim, host, false, format, args);
	va_end(args);
}

void soq__sim_note_fault(
	struct soq_sim *sim, const struct soq_sim_host *host, const char *format, ...)
{
	va_list args;

	if (soq__list_empty(&sim->observers))
		return;
	va_start(args, format);
	tell(sim, host, true, format, args);
	va_end(args);
}

void soq__sim_see_host(struct soq_sim *sim, const struct soq_sim_host *host)
{
	soq__list_for_each (node, &sim->observers) {
		struct soq__sim_observer *o =
			soq__container_of(node, struct soq__sim_observer, node);

		if (o->host)
			o->host(o, host);
	}
}

void soq__sim_see_packet(struct soq_sim *sim, const struct soq__sim_packet *p,
	enum soq__sim_fate fate, int64_t arrives_ns)
{
	soq__list_for_each (node, &sim->observers) {
		struct soq__sim_observer *o =
			soq__container_of(node, struct soq__sim_observer, node);

		if (o->packet)
			o->packet(o, p, fate, arrives_ns);
	}
}
