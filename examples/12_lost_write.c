/* 12_lost_write.c - a server with a bug that a crash must hit within milliseconds to show, and
 * the simulated network that finds it.
 *
 * The server keeps keys and values: "SET k v" is answered with OK, "GET k" with the value. It
 * says OK before the write is on the disk. A client writes one key after the other; whenever
 * it connects, it checks that the last write that was acknowledged is still there. A sweep
 * tries a thousand seeds. Each draws another latency, other losses, partitions and crashes.
 *
 * usage: 12_lost_write [--fixed]    --fixed: the server says OK when it may
 */
#include <soquete/sim.h>
#include <soquete/soquete.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACE_NS (200 * SOQ_MS) /* of the client's writes, on its clock */
#define WRITES	30
#define PAIRS	64 /* that the server has room for */

struct pair {
	char key[16], value[16];
};

/* A crash takes what is on the program's stack. This outlives it: it is the server's disk. */
static struct pair disk[PAIRS];
static bool is_fixed;

/* ---- the server ---- */

/* The pair of a key, or a place for it; when there is none, the last one's. */
static struct pair *find(struct pair *table, const char *key)
{
	size_t i = 0;

	while (i < PAIRS - 1 && *table[i].key && strcmp(table[i].key, key))
		i++;
	return &table[i];
}

static void write_to_disk(struct pair p)
{
	soq_sleep(5 * SOQ_MS); /* as fdatasync(2) takes its time */
	*find(disk, p.key) = p;
}

static int handle(struct soq_stream *client, void *table)
{
	struct pair p;
	char line[64];

	while (soq_recv_line(client, line, sizeof(line)) >= 0) {
		if (sscanf(line, "SET %15s %15s", p.key, p.value) == 2) {
			*find(table, p.key) = p;
			if (is_fixed)
				write_to_disk(p);
			soq_send_text(client, "OK\n");
			if (!is_fixed)
				write_to_disk(p); /* the bug: this comes too late */
		} else if (sscanf(line, "GET %15s", p.key) == 1) {
			soq_send_text(client, find(table, p.key)->value);
			soq_send_text(client, "\n");
		}
	}
	return SOQ_DONE;
}

static int server_main(void *arg)
{
	struct pair table[PAIRS];

	(void)arg;
	memcpy(table, disk, sizeof(table)); /* as it starts, or starts again */
	return soq_serve("tcp://:7000", handle, table, NULL);
}

/* ---- the client ---- */

/* @return whether an answer came */
static bool ask(struct soq_stream *server, const char *question, char *answer, size_t len)
{
	soq_send_text(server, question);
	return soq_recv_line(server, answer, len) >= 0;
}

/* Go on after the last write that was acknowledged, to the end or a failure. */
static void write_all(struct soq_stream *server, int *acknowledged)
{
	char question[64], answer[64];

	snprintf(question, sizeof(question), "GET key%d\n", *acknowledged);
	if (!ask(server, question, answer, sizeof(answer)))
		return;
	SOQ_ALWAYS(atoi(answer) == *acknowledged, "an acknowledged write is never lost");
	while (*acknowledged < WRITES) {
		int next = *acknowledged + 1;

		snprintf(question, sizeof(question), "SET key%d %d\n", next, next);
		if (!ask(server, question, answer, sizeof(answer)))
			return;
		*acknowledged = next;
		soq_sleep_until((soq_now() / PACE_NS + 1) * PACE_NS);
	}
}

static int client_main(void *arg)
{
	struct soq_stream *server;
	int acknowledged = 0;

	(void)arg;
	while (acknowledged < WRITES) {
		if (soq_connect(&server, "tcp://server:7000") == 0) {
			soq_set_recv_timeout(server, 2 * SOQ_S); /* it may have crashed */
			write_all(server, &acknowledged);
			soq_close(server);
		}
		SOQ_SOMETIMES(acknowledged < WRITES, "the client has to connect again");
		soq_sleep(100 * SOQ_MS);
	}
	soq_sim_halt(soq_sim_of(soq_sim_here())); /* the server would go on for ever */
	return 0;
}

/* ---- the world ---- */

static int build(struct soq_sim *sim, void *arg)
{
	const struct soq_sim_chaos chaos = {
		.from_ns = SOQ_S,
		.until_ns = 8 * SOQ_S,
		.partitions_max = 2,
		.crashes_max = 3,
		.duration_max_ns = 2 * SOQ_S,
		.worst = { .latency_ns = 20 * SOQ_MS, .loss_ppm = SOQ_PPM_ONE / 20 },
		.spare = "client",
	};
	struct soq_sim_host *client, *server;

	(void)arg;
	memset(disk, 0, sizeof(disk));
	if (soq_sim_host_new(&client, sim, "client", NULL) ||
		soq_sim_host_new(&server, sim, "server", NULL) ||
		soq_sim_spawn(server, server_main, NULL) ||
		soq_sim_spawn(client, client_main, NULL))
		return -1;
	return soq_sim_add_chaos(sim, &chaos);
}

static const struct soq_sim_sweep lost_write = { .name = "lost_write", .build = build };

int main(int argc, char **argv)
{
	struct soq_sim_sweep sweep = lost_write;
	struct soq_sim_sweep_result r;

	is_fixed = argc > 1 && !strcmp(argv[1], "--fixed");
	sweep.seeds = 1000;
	sweep.out = stdout; /* where it tells of a failure */
	if (soq_sim_sweep(&sweep, &r) < 0) {
		printf("%s\n", soq_last_error());
		return 1;
	}
	printf("%llu seeds, %lld s of virtual time in %lld ms: no acknowledged write was "
	       "lost\n",
		(unsigned long long)r.seeds, (long long)(r.simulated_ns / SOQ_S),
		(long long)(r.elapsed_ns / SOQ_MS));
	return 0;
}
