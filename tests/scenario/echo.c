/* echo.c - the echo family under loss, short reads and writes, partitions, crashes, pauses and
 * slow clients.
 *
 * A host serves echo, discard, chargen, daytime and time; three hosts are its clients, who try
 * again when the network fails them. What must hold: what echo gives back is what was sent, in
 * order; chargen's lines are RFC 864's; nobody hangs for longer than the time-outs allow; in
 * the end nothing is left, on the server or a client.
 */
#include "scenario/scenario.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define CLIENTS	     3
#define VISITS	     4
#define PATIENCE_NS  (20 * SOQ_S) /* a client's, for one visit */
#define CHARGEN_LINE 74

static struct {
	struct soq_sim_host *hosts[1 + CLIENTS]; /* the server first */
	unsigned done;
} world;

/* ---- clients ---- */

static bool echo_visit(struct soq_stream *s, uint64_t *draws)
{
	uint64_t key = scenario_draw(draws), sent = 0, total = scenario_below(draws, 40000);
	char out[2000], in[2000];

	while (sent < total) {
		size_t len = 1 + scenario_below(draws, sizeof(out));
		ssize_t n;

		scenario_fill(key, sent, out, len);
		if (soq_send(s, out, len) != (ssize_t)len)
			return false;
		n = soq_recv_full(s, in, len);
		SOQ_ALWAYS(n <= 0 || scenario_matches(key, sent, in, (size_t)n),
			"echo gives back what was sent");
		if (n != (ssize_t)len)
			return false;
		sent += len;
		if (scenario_below(draws, 8) == 0)
			soq_sleep((int64_t)scenario_below(draws, SOQ_S)); /* a slow client */
	}
	return true;
}

static bool discard_visit(struct soq_stream *s, uint64_t *draws)
{
	char block[5000] = { 0 };
	uint64_t blocks = scenario_below(draws, 20);

	for (uint64_t i = 0; i < blocks; i++)
		if (soq_send(s, block, sizeof(block)) != (ssize_t)sizeof(block))
			return false;
	return true;
}

/* RFC 864: line L holds 72 of the 95 printable characters, from the L-th on. */
static bool chargen_visit(struct soq_stream *s, uint64_t *draws)
{
	uint64_t lines = 1 + scenario_below(draws, 300);
	char line[CHARGEN_LINE];

	for (uint64_t i = 0; i < lines; i++) {
		if (soq_recv_full(s, line, sizeof(line)) != (ssize_t)sizeof(line))
			return false;
		for (unsigned c = 0; c < CHARGEN_LINE - 2; c++)
			SOQ_ALWAYS(line[c] == (char)(' ' + (i + c) % 95),
				"chargen's lines are RFC 864's");
	}
	return true;
}

static bool daytime_visit(struct soq_stream *s, uint64_t *draws)
{
	char line[128];
	ssize_t n = soq_recv_line(s, line, sizeof(line));

	(void)draws;
	/* 2026 begins with the world; a clock may have been set back. */
	SOQ_ALWAYS(n < 0 || strstr(line, "2026") || strstr(line, "2025"),
		"daytime tells the simulated date");
	return n > 0;
}

static bool time_visit(struct soq_stream *s, uint64_t *draws)
{
	unsigned char word[4];

	(void)draws;
	return soq_recv_full(s, word, sizeof(word)) == (ssize_t)sizeof(word);
}

static const struct {
	const char *service;
	bool (*visit)(struct soq_stream *s, uint64_t *draws);
} visits[] = {
	{ "echo", echo_visit },
	{ "echo", echo_visit },
	{ "discard", discard_visit },
	{ "chargen", chargen_visit },
	{ "daytime", daytime_visit },
	{ "time", time_visit },
};

/* One attempt. @return whether all went well */
static bool visit_once(uint64_t *draws)
{
	size_t which = (size_t)scenario_below(draws, sizeof(visits) / sizeof(visits[0]));
	struct soq_stream *s;
	char endpoint[64];
	bool well;

	snprintf(endpoint, sizeof(endpoint), "tcp://server:%s", visits[which].service);
	if (soq_connect(&s, endpoint) < 0)
		return false;
	well = visits[which].visit(s, draws);
	if (well && strcmp(visits[which].service, "chargen") != 0)
		soq_finish(s);
	else
		soq_close(s);
	return well;
}

/* A datagram may be lost; one that comes back is what was sent. */
static void udp_visit(uint64_t *draws)
{
	uint64_t key = scenario_draw(draws);
	char out[1200], in[1500];
	size_t len = 1 + (size_t)scenario_below(draws, sizeof(out));
	struct soq_dgram *d;
	ssize_t n;

	if (soq_dgram_connect(&d, "udp://server:echo") < 0)
		return;
	soq_dgram_set_recv_timeout(d, SOQ_S);
	scenario_fill(key, 0, out, len);
	if (soq_sendto(d, out, len, NULL) == (ssize_t)len) {
		n = soq_recvfrom(d, in, sizeof(in), NULL);
		SOQ_ALWAYS(n < 0 || ((size_t)n == len && scenario_matches(key, 0, in, len)),
			"a datagram's echo is the datagram");
	}
	soq_dgram_close(d);
}

static int client_main(void *arg)
{
	uint64_t draws;

	(void)arg;
	soq_random(&draws, sizeof(draws));
	soq_sleep(10 * SOQ_MS);
	for (unsigned i = 0; i < VISITS;) {
		int64_t began_ns = soq_now(), former = soq_deadline(began_ns + PATIENCE_NS);

		i += visit_once(&draws) || scenario_below(&draws, 4) == 0;
		soq_deadline_restore(former);
		SOQ_ALWAYS(soq_now() < began_ns + PATIENCE_NS + 20 * SOQ_S,
			"a visit ends by its deadline, or a pause after it");
		udp_visit(&draws);
		soq_sleep((int64_t)scenario_below(&draws, SOQ_S));
	}
	if (++world.done == CLIENTS)
		soq_sim_signal(world.hosts[0], SIGTERM);
	return 0;
}

/* ---- the server ---- */

static int listen_all(struct soq_server *server)
{
	static const char *const names[] = { "echo", "discard", "chargen", "daytime", "time" };
	int rc = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && rc == 0; i++) {
		const struct soq_service *service = soq_service_find(names[i]);
		char endpoint[64];

		snprintf(endpoint, sizeof(endpoint), "tcp://:%u", service->port);
		rc = soq_server_listen(server, endpoint, service->handler, NULL);
		snprintf(endpoint, sizeof(endpoint), "udp://:%u", service->port);
		if (rc == 0)
			rc = soq_server_bind(server, endpoint, service->dgram, NULL);
	}
	return rc;
}

static int server_main(void *arg)
{
	struct soq_server_options opt = { .idle_timeout_ns = 15 * SOQ_S,
		.send_timeout_ns = 15 * SOQ_S,
		.grace_ns = 20 * SOQ_S,
		.stop_on_signals = true };
	struct soq_server *server;
	int rc = soq_server_new(&server, &opt);

	(void)arg;
	if (rc < 0)
		return rc;
	rc = listen_all(server);
	/* The clients may have gone while this host was down. */
	if (rc == 0 && world.done < CLIENTS)
		rc = soq_server_run(server);
	soq_server_free(server);
	return rc == -ETIMEDOUT ? 0 : rc;
}

static int build(struct soq_sim *sim, void *arg)
{
	static const struct soq_sim_chaos chaos = {
		.until_ns = 20 * SOQ_S,
		.partitions_max = 3,
		.crashes_max = 2,
		.pauses_max = 2,
		.clock_steps_max = 1,
		.drifts_max = 1,
		.link_changes_max = 2,
		.duration_max_ns = 5 * SOQ_S,
		.worst = { .latency_ns = 60 * SOQ_MS,
			.jitter_ns = 30 * SOQ_MS,
			.loss_ppm = 80000,
			.burst_enter_ppm = 10000,
			.burst_leave_ppm = 200000,
			.duplicate_ppm = 30000,
			.reorder_ppm = 50000,
			.rate_bytes_s = 300000 },
		.spare = "client1 client2 client3",
	};
	int rc;

	(void)arg;
	memset(&world, 0, sizeof(world));
	rc = scenario_hosts(sim, world.hosts, server_main, CLIENTS, client_main);
	return rc == 0 ? soq_sim_add_chaos(sim, &chaos) : rc;
}

static int check(struct soq_sim *sim, enum soq_sim_verdict verdict, void *arg)
{
	bool clean = scenario_are_clean(world.hosts, 1 + CLIENTS);

	(void)sim;
	(void)arg;
	return clean || verdict != SOQ_SIM_FINISHED ? 0 : -EPROTO;
}

const struct soq_sim_sweep echo = {
	.name = "echo",
	.build = build,
	.check = check,
	.limit_ns = 3600 * SOQ_S,
};
