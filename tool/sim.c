/* sim.c - `soquete sim`: play a small scenario on a simulated network, and show it.
 *
 * Standard output is the story: what the programs say, the log if it is wanted, and the
 * verdict. Where a file is "-", that is on standard output, and the story on standard error.
 */
#include "sim.h"
#include "text.h"
#include "tool.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATENCY_NS (10 * SOQ_MS) /* as across a country: what happens can be told apart */
#define LIMIT_NS   (600 * SOQ_S)
#define FAULT_NS   SOQ_S      /* a fault's duration, where nothing is said */
#define NOT_GIVEN  UINT32_MAX /* no percentage */

struct values {
	uint64_t seed;
	int64_t latency_ns, jitter_ns, limit_ns;
	size_t rate_bytes_s;
	uint32_t loss_ppm, duplicate_ppm, reorder_ppm;
	unsigned lose_nth, mtu, diagram_events;
	const char *partition, *crash, *pause;
	const char *diagram, *trace;
	enum soq_shape shape;
	bool rough, log;
};

#define VALUE(field) offsetof(struct values, field)

static const struct tool_option options[] = {
	{ "seed", 0, OPTION_NUMBER, VALUE(seed), "N", "decides all chance (default: 1)" },
	{ "latency", 0, OPTION_DURATION, VALUE(latency_ns), "DURATION",
		"from sending to arrival, each way (default: 10ms)" },
	{ "jitter", 0, OPTION_DURATION, VALUE(jitter_ns), "DURATION",
		"up to so much more, by chance (default: none)" },
	{ "rate", 0, OPTION_BYTES, VALUE(rate_bytes_s), "BYTES",
		"bytes a second, each way (default: without limit)" },
	{ "mtu", 0, OPTION_COUNT, VALUE(mtu), "BYTES",
		"of the largest packet, its headers included (default: 1500)" },
	{ "loss", 0, OPTION_PERCENT, VALUE(loss_ppm), "PERCENT", "packets lost by chance" },
	{ "lose", 0, OPTION_COUNT, VALUE(lose_nth), "N",
		"exactly the N-th packet of each way is lost" },
	{ "duplicate", 0, OPTION_PERCENT, VALUE(duplicate_ppm), "PERCENT",
		"packets that arrive twice" },
	{ "reorder", 0, OPTION_PERCENT, VALUE(reorder_ppm), "PERCENT",
		"packets that later ones overtake" },
	{ "partition", 0, OPTION_TEXT, VALUE(partition), "[HOST:]FROM[-TO]",
		"a host (the server) is cut off, as in 2-5 or 500ms-1s" },
	{ "crash", 0, OPTION_TEXT, VALUE(crash), "[HOST:]AT[-TO]",
		"it stops dead, and starts again at TO (1s later)" },
	{ "pause", 0, OPTION_TEXT, VALUE(pause), "[HOST:]FROM[-TO]",
		"its programs stand still" },
	{ "shape", 0, OPTION_SHAPE, VALUE(shape), "SHAPE",
		"of the server: iterative or fiber (default)" },
	{ "rough", 0, OPTION_FLAG, VALUE(rough), NULL,
		"receives and sends take less than there is, accepts come late" },
	{ "limit", 0, OPTION_DURATION, VALUE(limit_ns), "DURATION",
		"of virtual time (default: 10m)" },
	{ "log", 'l', OPTION_FLAG, VALUE(log), NULL, "tell each packet and event, too" },
	{ "diagram", 'd', OPTION_TEXT, VALUE(diagram), "FILE.svg",
		"draw a sequence diagram; - is standard output" },
	{ "events", 0, OPTION_COUNT, VALUE(diagram_events), "N",
		"drawn at most in the diagram (default: 400)" },
	{ "trace", 't', OPTION_TEXT, VALUE(trace), "FILE.pcapng",
		"write the packets for Wireshark; - is standard output" },
	{ NULL },
};

struct play {
	struct values v;
	const struct tool_scenario *scenario;
	struct tool_world world;
	FILE *diagram, *trace;
};

/* ---- scenarios by name ---- */

static int list_scenarios(void)
{
	const struct tool_scenario *s;

	printf("usage: soquete sim [OPTION ...] SCENARIO\n\n");
	for (size_t i = 0; (s = tool_scenario_at(i)); i++)
		printf("  %-10s %s\n", s->name, s->summary);
	printf("\n'soquete sim echo --lose 3 --diagram echo.svg' is a beginning; 'soquete help "
	       "sim'\nlists the options.\n");
	return tool_flush(tool_sim.name);
}

static int missing_or_unknown(const char *name)
{
	const struct tool_scenario *s;
	const char *meant = NULL;
	char all[512] = "";
	unsigned meant_distance = 3;

	for (size_t i = 0; (s = tool_scenario_at(i)); i++) {
		unsigned distance = name ? tool_distance(name, s->name) : meant_distance;
		size_t n = strlen(all);

		snprintf(all + n, sizeof(all) - n, "%s%s", n ? ", " : "", s->name);
		if (distance < meant_distance) {
			meant_distance = distance;
			meant = s->name;
		}
	}
	if (!name)
		return tool_usage(tool_sim.name, "a scenario is missing: %s", all);
	if (meant)
		return tool_usage(tool_sim.name, "unknown scenario '%s' (did you mean '%s'?)",
			name, meant);
	return tool_usage(tool_sim.name, "unknown scenario '%s'; there are %s", name, all);
}

static int find_scenario(struct play *p, char **operands)
{
	const struct tool_scenario *s;

	if (!operands[0])
		return missing_or_unknown(NULL);
	if (operands[1])
		return tool_usage(
			tool_sim.name, "one scenario is wanted; '%s' is one more", operands[1]);
	for (size_t i = 0; (s = tool_scenario_at(i)); i++) {
		if (strcmp(s->name, operands[0]) == 0) {
			p->scenario = s;
			return TOOL_GO_ON;
		}
	}
	return missing_or_unknown(operands[0]);
}

/* ---- the world ---- */

static struct soq_sim_link link_of(const struct play *p)
{
	const struct values *v = &p->v;
	struct soq_sim_link link = p->scenario->link;

	link.latency_ns = v->latency_ns ? v->latency_ns : LATENCY_NS;
	if (link.latency_ns == SOQ_NEVER) /* "none" */
		link.latency_ns = 1;
	link.jitter_ns = v->jitter_ns == SOQ_NEVER ? 0 : v->jitter_ns;
	link.rate_bytes_s = v->rate_bytes_s;
	if (v->loss_ppm != NOT_GIVEN)
		link.loss_ppm = v->loss_ppm;
	link.duplicate_ppm = v->duplicate_ppm;
	link.reorder_ppm = v->reorder_ppm;
	link.lose_nth = v->lose_nth == UINT_MAX ? 0 : v->lose_nth;
	link.mtu = v->mtu == UINT_MAX ? 0 : v->mtu;
	return link;
}

/* One address each, so that a name means one thing to a beginner. */
static int make_hosts(struct play *p)
{
	struct tool_world *w = &p->world;
	bool two = p->scenario->clients == 2;
	/* The server between its clients: so the diagram's arrows cross no lifeline. */
	int rc = soq_sim_host_new(
		&w->clients[0], w->sim, two ? "client1" : "client", "10.0.0.1");

	if (rc == 0)
		rc = soq_sim_host_new(&w->server, w->sim, "server", "10.0.0.2");
	if (rc == 0 && two)
		rc = soq_sim_host_new(&w->clients[1], w->sim, "client2", "10.0.0.3");
	w->clients_left = two ? 2 : 1;
	return rc;
}

static int start_programs(const struct play *p)
{
	const struct tool_scenario *s = p->scenario;
	struct tool_world *w = (struct tool_world *)&p->world;
	int rc = s->server ? soq_sim_spawn(w->server, s->server, w) : 0;

	for (unsigned i = 0; i < TOOL_CLIENTS_MAX && w->clients[i] && rc == 0; i++)
		rc = soq_sim_spawn(w->clients[i], s->client, w);
	return rc;
}

/* ---- faults ---- */

static bool read_instant(const char *text, size_t len, int64_t *ret_ns)
{
	char word[64];

	if (len >= sizeof(word))
		return false;
	memcpy(word, text, len);
	word[len] = '\0';
	return tool_duration(word, ret_ns);
}

/* `FROM`, `FROM-TO` or `FROM-none`. */
static bool read_span(const char *text, struct soq_sim_fault *ret)
{
	size_t len = strcspn(text, "-");
	int64_t to_ns;

	if (!read_instant(text, len, &ret->at_ns))
		return false;
	ret->duration_ns = FAULT_NS;
	if (!text[len])
		return true;
	text += len + 1;
	if (!strcmp(text, "none")) {
		ret->duration_ns = SOQ_NEVER;
		return true;
	}
	if (!read_instant(text, strlen(text), &to_ns) || to_ns <= ret->at_ns)
		return false;
	ret->duration_ns = to_ns - ret->at_ns;
	return true;
}

/* Add the fault of an option, if it is given: `[HOST:]FROM[-TO]`. */
static int add_fault(const struct play *p, const char *option, const char *text,
	enum soq_sim_fault_kind kind)
{
	const char *colon = text ? strchr(text, ':') : NULL;
	struct soq_sim_fault fault = { .kind = kind };
	struct soq_sim_host *host = p->world.server;
	char name[64];
	int rc;

	if (!text)
		return TOOL_GO_ON;
	if (colon) {
		snprintf(name, sizeof(name), "%.*s", (int)(colon - text), text);
		host = soq_sim_host_find(p->world.sim, name);
		if (!host)
			return tool_usage(tool_sim.name,
				"--%s %s: no host of this scenario is called '%s' (%s)", option,
				text, name,
				p->world.clients[1] ? "client1, server or client2"
						    : "client or server");
	}
	if (!read_span(colon ? colon + 1 : text, &fault))
		return tool_usage(tool_sim.name,
			"--%s: '%s' is not [HOST:]FROM[-TO], as in 2-5, 500ms or "
			"client:1s-none",
			option, text);
	fault.a = soq_sim_host_name(host);
	rc = soq_sim_add_fault(p->world.sim, &fault);
	return rc < 0 ? tool_fail(tool_sim.name, "%s", soq_last_error()) : TOOL_GO_ON;
}

static int add_faults(const struct play *p)
{
	const struct values *v = &p->v;
	struct soq_sim_fault own = p->scenario->partition;
	int status;

	own.a = soq_sim_host_name(p->world.server);
	if (own.duration_ns && !v->partition && soq_sim_add_fault(p->world.sim, &own) < 0)
		return tool_fail(tool_sim.name, "%s", soq_last_error());
	if ((status = add_fault(p, "partition", v->partition, SOQ_SIM_PARTITION)) !=
			TOOL_GO_ON ||
		(status = add_fault(p, "crash", v->crash, SOQ_SIM_CRASH)) != TOOL_GO_ON)
		return status;
	return add_fault(p, "pause", v->pause, SOQ_SIM_PAUSE);
}

/* ---- what is seen ---- */

static int open_file(FILE **ret, const char *option, const char *name)
{
	if (!name)
		return TOOL_GO_ON;
	*ret = strcmp(name, "-") == 0 ? stdout : fopen(name, "we");
	if (*ret)
		return TOOL_GO_ON;
	return tool_fail(tool_sim.name, "--%s %s: %s", option, name, strerror(errno));
}

static int close_file(FILE *file, const char *option, const char *name, int status)
{
	if (!file || file == stdout)
		return status;
	if (ferror(file) | fclose(file))
		return tool_fail(tool_sim.name, "--%s %s: %s", option, name, strerror(errno));
	return status;
}

static int watch(struct play *p)
{
	struct soq_sim *sim = p->world.sim;
	char title[64];
	int rc = 0;

	snprintf(title, sizeof(title), "%s, seed %llu", p->scenario->name,
		(unsigned long long)soq_sim_seed(sim));
	if (p->diagram)
		rc = soq_sim_diagram(sim, p->diagram, title,
			p->v.diagram_events == UINT_MAX ? UINT_MAX - 1 : p->v.diagram_events);
	if (rc == 0 && p->trace)
		rc = soq_sim_trace(sim, p->trace);
	return rc == 0 ? soq_sim_log(sim, p->world.log ? p->world.log : p->world.out) : rc;
}

static int tell_verdict(struct play *p, enum soq_sim_verdict verdict)
{
	struct soq_sim *sim = p->world.sim;
	int64_t now = soq_sim_now(sim);

	tool_tell_log(&p->world);
	if (verdict != SOQ_SIM_FINISHED) {
		fprintf(p->world.out, "\n%s", soq_sim_report(sim));
		return tool_fail(tool_sim.name, "%s: %s", p->scenario->name,
			soq_sim_verdict_name(verdict));
	}
	fprintf(p->world.out,
		"\nfinished: every program has ended, after %lld.%06lld s of virtual time and\n"
		"%llu events; seed %llu\n",
		(long long)(now / SOQ_S), (long long)(now % SOQ_S / SOQ_US),
		(unsigned long long)soq_sim_events(sim), (unsigned long long)soq_sim_seed(sim));
	return TOOL_DONE;
}

/* ---- all of it ---- */

static int play_world(struct play *p)
{
	struct tool_world *w = &p->world;
	int status, rc = watch(p);

	if (rc == 0)
		rc = make_hosts(p);
	if (rc < 0)
		return tool_fail(tool_sim.name, "%s", soq_strerror(rc));
	status = add_faults(p);
	if (status != TOOL_GO_ON)
		return status;
	rc = start_programs(p);
	if (rc < 0)
		return tool_fail(tool_sim.name, "%s", soq_strerror(rc));
	return tell_verdict(p, soq_sim_run(w->sim, p->v.limit_ns ? p->v.limit_ns : LIMIT_NS));
}

static int play(struct play *p)
{
	const struct soq_sim_options opt = {
		.link = link_of(p),
		.whole_reads = !p->v.rough,
		.whole_writes = !p->v.rough,
		.prompt_accepts = !p->v.rough,
		.prompt_offload = !p->v.rough,
		.buffer_bytes = p->scenario->buffer_bytes,
	};
	int status, rc = soq_sim_new(&p->world.sim, p->v.seed, &opt);

	if (rc == -EINVAL)
		return tool_usage(tool_sim.name, "%s", soq_last_error());
	if (rc < 0)
		return tool_fail(tool_sim.name, "%s", soq_strerror(rc));
	if (!p->v.log)
		p->world.log = open_memstream(&p->world.log_text, &p->world.log_len);
	status = p->v.log || p->world.log
		? play_world(p)
		: tool_fail(tool_sim.name, "%s", soq_strerror(-ENOMEM));
	soq_sim_free(p->world.sim); /* writes the diagram */
	if (p->world.log)
		fclose(p->world.log);
	free(p->world.log_text);
	return status;
}

static int play_prepared(struct play *p)
{
	const struct tool_scenario *s = p->scenario;
	int status, rc = s->prepare ? s->prepare(&p->world) : 0;

	if (rc < 0)
		return tool_fail(
			tool_sim.name, "a folder for %s: %s", s->name, soq_strerror(rc));
	status = play(p);
	if (s->clean_up)
		s->clean_up(&p->world);
	return status;
}

static int check(const struct values *v)
{
	bool diagram_out = v->diagram && strcmp(v->diagram, "-") == 0;
	bool trace_out = v->trace && strcmp(v->trace, "-") == 0;

	if (v->shape == SOQ_SHAPE_PROCESS || v->shape == SOQ_SHAPE_THREAD)
		return tool_usage(tool_sim.name,
			"--shape %s: a simulated host has the shapes iterative and fiber",
			soq_shape_name(v->shape));
	if (diagram_out && trace_out)
		return tool_usage(tool_sim.name,
			"--diagram and --trace cannot both be on standard output");
	return TOOL_GO_ON;
}

static int run(const struct tool_command *self, char **args)
{
	struct play p = { .v = { .seed = 1, .loss_ppm = NOT_GIVEN } };
	int status;

	if (!args[0])
		return list_scenarios();
	if ((status = tool_parse(self, args, &p.v)) != TOOL_GO_ON ||
		(status = find_scenario(&p, args)) != TOOL_GO_ON ||
		(status = check(&p.v)) != TOOL_GO_ON ||
		(status = open_file(&p.diagram, "diagram", p.v.diagram)) != TOOL_GO_ON ||
		(status = open_file(&p.trace, "trace", p.v.trace)) != TOOL_GO_ON)
		return status;
	p.world.out = p.diagram == stdout || p.trace == stdout ? stderr : stdout;
	p.world.shape = p.v.shape;
	status = play_prepared(&p);
	status = close_file(p.diagram, "diagram", p.v.diagram, status);
	status = close_file(p.trace, "trace", p.v.trace, status);
	return tool_flush(self->name) == TOOL_DONE ? status : TOOL_FAILED;
}

const struct tool_command tool_sim = {
	.name = "sim",
	.operands = "[OPTION ...] SCENARIO",
	.summary = "play a small scenario on a simulated network",
	.text = "Play a scenario in virtual time: no packet leaves this process, and the same\n"
		"seed gives the same run. Standard output tells what the programs do, and the\n"
		"verdict. Without a scenario, they are listed.\n",
	.options = options,
	.run = run,
};
