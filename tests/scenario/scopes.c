/* scopes.c - random programs of nested scopes, deadlines and cancellations over streams.
 *
 * A program is a tree drawn from the seed. Each node is a fiber that sets a deadline, sleeps,
 * waits for an event, transfers bytes to a server over a bad network or over a pair, or opens
 * a scope with more nodes in it, which it joins, cancels or just closes.
 *
 * What must hold: what is received is a prefix of what was sent; where both sides ended in
 * order it is all of it; every call returns within its fiber's deadline, and at once when its
 * scope is cancelled; at the end no fiber and no descriptor is left.
 */
#include "scenario/scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TREES	      5
#define DEPTH_MAX     4
#define TRANSFERS_MAX 1024
#define PROMPT_NS     (SOQ_MS / 4) /* "at once": some rounds of the scheduler */

/* A transfer's two sides; its key is its place in the table. */
struct transfer {
	uint64_t sent;				 /* bytes that soq_send has taken */
	uint64_t received;			 /* and that came out, each the right one */
	bool sender_finished, receiver_finished; /* in order, having seen the other's end */
};

/* A run's own state: each run has a process of its own. */
static struct {
	struct transfer transfers[TRANSFERS_MAX];
	unsigned transfer_count;
	struct soq_event *event;
	struct soq_server *server;
	struct soq_sim_host *near, *far;
} world;

struct node {
	uint64_t draws;
	unsigned depth;
	int64_t cancelled_ns; /* when its scope was cancelled; SOQ_NEVER: it was not */
	const struct node *parent;
};

static int64_t some_time(struct node *n)
{
	return (int64_t)scenario_below(&n->draws, 800 * SOQ_MS);
}

/* ---- calls, timed ---- */

struct timing {
	const struct node *node;
	int64_t began_ns;
};

/* The fiber's deadline, asked by setting one that is no nearer. */
static int64_t deadline(void)
{
	int64_t former = soq_deadline(SOQ_NEVER);

	soq_deadline_restore(former);
	return former;
}

static int64_t cancelled_at(const struct node *n)
{
	int64_t at = SOQ_NEVER;

	for (; n; n = n->parent)
		if (n->cancelled_ns < at)
			at = n->cancelled_ns;
	return at;
}

static struct timing call_begins(const struct node *n)
{
	return (struct timing){ n, soq_now() };
}

static void must_be_over_by(const struct timing *t, int64_t limit_ns, const char *why)
{
	int64_t from = limit_ns > t->began_ns ? limit_ns : t->began_ns;

	if (limit_ns != SOQ_NEVER && soq_now() > from + PROMPT_NS)
		soq_sim_broken(why, "returned in time", __FILE__, __LINE__);
}

static void call_ends(struct timing t)
{
	must_be_over_by(&t, deadline(), "a call returns within its deadline");
	must_be_over_by(&t, cancelled_at(t.node), "a cancelled call returns at once");
}

/* ---- transfers ---- */

static void check_sent(struct transfer *t, ssize_t n, size_t len)
{
	SOQ_ALWAYS(n <= (ssize_t)len, "a send takes no more than it was given");
	SOQ_SOMETIMES(n > 0 && n < (ssize_t)len, "a send is cut short");
	SOQ_SOMETIMES(n == -ETIMEDOUT, "a send's deadline passes");
	SOQ_SOMETIMES(n == -ECANCELED, "a send is cancelled");
	SOQ_SOMETIMES(n == -ECONNRESET || n == -EPIPE, "a send meets a reset");
	if (n > 0)
		t->sent += (uint64_t)n;
}

/* Send up to @bytes of a transfer. @return whether all went */
static bool send_bytes(struct node *n, struct soq_stream *s, unsigned key, uint64_t bytes)
{
	struct transfer *t = &world.transfers[key];
	char buf[3000];

	while (t->sent < bytes) {
		size_t len = 1 + scenario_below(&n->draws, sizeof(buf));
		struct timing timing = call_begins(n);
		ssize_t rc;

		if (len > bytes - t->sent)
			len = bytes - t->sent;
		scenario_fill(key, t->sent, buf, len);
		rc = soq_send(s, buf, len);
		check_sent(t, rc, len);
		call_ends(timing);
		if (rc < (ssize_t)len)
			return false;
	}
	return true;
}

/* Receive to the peer's end, and check every byte. @return whether the end came in order */
static bool recv_bytes(struct node *n, struct soq_stream *s, unsigned key)
{
	struct transfer *t = &world.transfers[key];
	char buf[3000];

	for (;;) {
		size_t len = 1 + scenario_below(&n->draws, sizeof(buf));
		struct timing timing = call_begins(n);
		ssize_t rc = soq_recv(s, buf, len);

		call_ends(timing);
		SOQ_SOMETIMES(rc == -ETIMEDOUT, "a receive's deadline passes");
		SOQ_SOMETIMES(rc == -ECANCELED, "a receive is cancelled");
		if (scenario_below(&n->draws, 8) == 0)
			soq_sleep(some_time(n) / 16); /* a slow reader */
		SOQ_SOMETIMES(rc == 0 && t->received > 0, "a transfer is received to its end");
		if (rc <= 0)
			return rc == 0;
		SOQ_ALWAYS(scenario_matches(key, t->received, buf, (size_t)rc),
			"what is received is what was sent, in order");
		t->received += (uint64_t)rc;
		SOQ_ALWAYS(t->received <= t->sent + sizeof(buf),
			"no more is received than was sent");
	}
}

static int transfer_new(void)
{
	return world.transfer_count < TRANSFERS_MAX ? (int)world.transfer_count++ : -1;
}

/* The far side is told in a line which transfer it is, and how many bytes are wanted of it: 0
 * when it is to receive. */
static int serve_transfer(struct soq_stream *peer, void *arg)
{
	struct node n = { .draws = 1, .cancelled_ns = SOQ_NEVER };
	unsigned long long wanted;
	char line[32];
	unsigned key;

	(void)arg;
	if (soq_recv_line(peer, line, sizeof(line)) < 0)
		return SOQ_DONE;
	if (sscanf(line, "%u %llu", &key, &wanted) != 2 || key >= world.transfer_count) {
		soq_sim_broken("a request arrives as it was sent", line, __FILE__, __LINE__);
		return SOQ_DONE;
	}
	if (wanted > 0)
		world.transfers[key].sender_finished = send_bytes(&n, peer, key, wanted);
	else
		world.transfers[key].receiver_finished = recv_bytes(&n, peer, key);
	return SOQ_DONE;
}

static bool upload(struct node *n, struct soq_stream *s, unsigned key)
{
	return send_bytes(n, s, key, scenario_below(&n->draws, 60000));
}

static bool download(struct node *n, struct soq_stream *s, unsigned key)
{
	return world.transfers[key].receiver_finished = recv_bytes(n, s, key);
}

static bool request(struct soq_stream *s, int key, uint64_t wanted)
{
	char line[32];

	snprintf(line, sizeof(line), "%d %llu\n", key, (unsigned long long)wanted);
	return soq_send_text(s, line) == (ssize_t)strlen(line);
}

/* Over the network. */
static void transfer_far(struct node *n)
{
	uint64_t wanted = scenario_below(&n->draws, 2) * (1 + scenario_below(&n->draws, 60000));
	struct timing timing = call_begins(n);
	struct soq_stream *s;
	int key = transfer_new(), rc;
	bool well;

	if (key < 0)
		return;
	rc = soq_connect(&s, "tcp://far:9");
	call_ends(timing);
	SOQ_SOMETIMES(rc == -ETIMEDOUT, "a connect's deadline passes");
	SOQ_SOMETIMES(rc == -ECANCELED, "a connect is cancelled");
	if (rc < 0)
		return;
	well = request(s, key, wanted) && (wanted > 0 ? download : upload)(n, s, (unsigned)key);
	if (!well) {
		soq_close(s);
		return;
	}
	timing = call_begins(n);
	rc = soq_finish(s);
	call_ends(timing);
	if (wanted == 0)
		world.transfers[key].sender_finished = rc == 0;
	SOQ_SOMETIMES(rc == 0, "a transfer over the network ends in order");
}

struct pair_side {
	struct node node;
	struct soq_stream *stream;
	unsigned key;
};

static void pair_receiver(void *arg)
{
	struct pair_side *side = arg;

	if (recv_bytes(&side->node, side->stream, side->key))
		world.transfers[side->key].receiver_finished = true;
}

/* Within the program, over a pair: the receiver is a fiber of its own. */
static void transfer_near(struct node *n)
{
	struct soq_stream *pair[2];
	struct soq_scope *scope;
	struct pair_side side;
	int key = transfer_new();
	bool sent;

	if (key < 0 || soq_pair(pair) < 0)
		return;
	side = (struct pair_side){
		{ .draws = scenario_draw(&n->draws), .cancelled_ns = SOQ_NEVER, .parent = n },
		pair[1], (unsigned)key
	};
	if (soq_scope_open(&scope) == 0) {
		if (soq_spawn(scope, pair_receiver, &side) == 0) {
			sent = send_bytes(
				n, pair[0], (unsigned)key, scenario_below(&n->draws, 400000));
			soq_shutdown(pair[0]);
			if (sent && soq_scope_wait(scope) == 0)
				world.transfers[key].sender_finished = true;
		}
		side.node.cancelled_ns = soq_now();
		soq_scope_close(scope);
	}
	soq_close(pair[0]);
	soq_close(pair[1]);
}

/* ---- the tree ---- */

static void node_main(void *arg);

static void join_or_cancel(
	struct node *n, struct soq_scope *scope, struct node *children, unsigned count)
{
	struct timing timing = call_begins(n);
	uint64_t how = scenario_below(&n->draws, 3);

	if (how == 0)
		soq_scope_wait(scope);
	else if (how == 1)
		soq_sleep(some_time(n));
	call_ends(timing);
	for (unsigned i = 0; i < count; i++)
		children[i].cancelled_ns = soq_now();
	timing = call_begins(n);
	if (scenario_below(&n->draws, 2))
		soq_scope_cancel(scope);
	soq_scope_close(scope);
	must_be_over_by(&timing, timing.began_ns, "a closed scope ends at once");
}

static void nest(struct node *n)
{
	struct node children[4];
	struct soq_scope *scope;
	unsigned count = 1 + (unsigned)scenario_below(&n->draws, 4);

	if (n->depth >= DEPTH_MAX || soq_scope_open(&scope) < 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		children[i] = (struct node){ .draws = scenario_draw(&n->draws),
			.depth = n->depth + 1,
			.cancelled_ns = SOQ_NEVER,
			.parent = n };
		if (soq_spawn(scope, node_main, &children[i]) < 0)
			break;
	}
	join_or_cancel(n, scope, children, count);
}

static void wait_or_set(struct node *n)
{
	struct timing timing = call_begins(n);

	if (scenario_below(&n->draws, 2)) {
		soq_event_set(world.event);
		soq_event_reset(world.event);
	} else {
		int64_t former = soq_deadline(soq_now() + some_time(n));

		soq_event_wait(world.event);
		call_ends(timing);
		soq_deadline_restore(former);
	}
}

static void act(struct node *n)
{
	struct timing timing;

	switch (scenario_below(&n->draws, 6)) {
	case 0:
		timing = call_begins(n);
		soq_sleep(some_time(n));
		call_ends(timing);
		break;
	case 1:
		wait_or_set(n);
		break;
	case 2:
		transfer_far(n);
		break;
	case 3:
		transfer_near(n);
		break;
	default:
		nest(n);
	}
}

static void node_main(void *arg)
{
	struct node *n = arg;
	unsigned acts = 1 + (unsigned)scenario_below(&n->draws, 3);

	for (unsigned i = 0; i < acts; i++) {
		int64_t former = scenario_below(&n->draws, 2)
			? soq_deadline(soq_now() + some_time(n))
			: soq_deadline(SOQ_NEVER);

		act(n);
		soq_deadline_restore(former);
	}
}

/* ---- the programs ---- */

static int near_main(void *arg)
{
	struct node root = { .cancelled_ns = SOQ_NEVER };
	int rc;

	(void)arg;
	soq_random(&root.draws, sizeof(root.draws));
	rc = soq_event_new(&world.event);
	if (rc < 0)
		return rc;
	soq_sleep(10 * SOQ_MS);
	for (unsigned i = 0; i < TREES; i++)
		node_main(&root);
	soq_event_free(world.event);
	soq_server_stop(world.server);
	return 0;
}

static int far_main(void *arg)
{
	struct soq_server_options opt = { .idle_timeout_ns = 20 * SOQ_S,
		.grace_ns = 30 * SOQ_S };
	int rc = soq_server_new(&world.server, &opt);

	(void)arg;
	if (rc == 0)
		rc = soq_server_listen(world.server, "tcp://:9", serve_transfer, NULL);
	if (rc == 0)
		rc = soq_server_run(world.server);
	soq_server_free(world.server);
	return rc == -ETIMEDOUT ? 0 : rc;
}

static int build(struct soq_sim *sim, void *arg)
{
	/* Not paused: a call of a paused program cannot be in time. */
	static const struct soq_sim_chaos chaos = {
		.until_ns = 5 * SOQ_S,
		.partitions_max = 3,
		.link_changes_max = 2,
		.drifts_max = 1,
		.duration_max_ns = SOQ_S,
		.worst = { .latency_ns = 40 * SOQ_MS,
			.jitter_ns = 20 * SOQ_MS,
			.loss_ppm = 100000,
			.duplicate_ppm = 50000,
			.reorder_ppm = 100000 },
	};
	int rc;

	(void)arg;
	memset(&world, 0, sizeof(world));
	rc = soq_sim_host_new(&world.near, sim, "near", NULL);
	if (rc == 0)
		rc = soq_sim_host_new(&world.far, sim, "far", NULL);
	if (rc == 0)
		rc = soq_sim_spawn(world.far, far_main, NULL);
	if (rc == 0)
		rc = soq_sim_spawn(world.near, near_main, NULL);
	return rc == 0 ? soq_sim_add_chaos(sim, &chaos) : rc;
}

static int check(struct soq_sim *sim, enum soq_sim_verdict verdict, void *arg)
{
	(void)sim;
	(void)arg;
	if (verdict != SOQ_SIM_FINISHED)
		return 0; /* told already */
	for (unsigned i = 0; i < world.transfer_count; i++) {
		const struct transfer *t = &world.transfers[i];

		if (t->received > t->sent ||
			(t->sender_finished && t->receiver_finished &&
				t->received != t->sent)) {
			fprintf(stderr, "transfer %u: %llu sent, %llu received\n", i,
				(unsigned long long)t->sent, (unsigned long long)t->received);
			return -EPROTO;
		}
	}
	return scenario_is_clean(world.near) && scenario_is_clean(world.far) ? 0 : -EPROTO;
}

const struct soq_sim_sweep scopes = {
	.name = "scopes",
	.build = build,
	.check = check,
	/* Small, so that senders have to wait. */
	.options = { .buffer_bytes = 16384 },
	.limit_ns = 3600 * SOQ_S,
};
