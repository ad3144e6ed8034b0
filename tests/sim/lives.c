/* lives.c - programs that live at random: what they open, pass on and wait for is cut off at
 * any moment by their own ends, and by crashes and pauses of their hosts. Nothing may be left
 * that points to what is gone, and the same seed gives the same lives. */
#include "test.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

#define SEEDS	     10
#define HOSTS	     3
#define PROGRAMS_MAX 40 /* that are started in a world */
#define STEPS_MAX    30 /* of a life, and of a fiber's */
#define NAMES	     4	/* paths, and ports, that all share */

void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

static struct {
	struct soq_sim *sim;
	struct soq_sim_host *hosts[HOSTS];
	unsigned programs;
	/* Shared by all, as nothing on machines is. */
	struct soq_event *event;
	struct soq_queue *queue;
} world;

static unsigned below(unsigned n)
{
	uint32_t drawn;

	CHECK_OK(soq_random(&drawn, sizeof(drawn)));
	return drawn % n;
}

static void nap(void)
{
	soq_sleep((int64_t)below(50) * SOQ_MS);
}

/* ---- what a fiber does ---- */

static const char *endpoint(char text[32], bool connects)
{
	unsigned name = below(NAMES);

	if (below(2))
		snprintf(text, 32, "unix:///run/%u", name);
	else
		snprintf(text, 32, "tcp://%s:%u",
			connects ? (char[]){ (char)('a' + below(HOSTS)), 0 } : "", 1000 + name);
	return text;
}

static void talk(struct soq_stream *s)
{
	char buf[3000];
	ssize_t n = 1;

	soq_set_recv_timeout(s, (int64_t)below(100) * SOQ_MS);
	soq_set_send_timeout(s, (int64_t)below(100) * SOQ_MS);
	for (unsigned i = below(6); i > 0 && n > 0; i--)
		n = below(2)
			? soq_recv(s, buf, 1 + below(sizeof(buf)))
			: soq_send(s, memset(buf, 'x', sizeof(buf)), 1 + below(sizeof(buf)));
}

static void end_stream(struct soq_stream *s)
{
	if (below(4) == 0)
		soq_shutdown(s);
	if (below(8) == 0)
		soq_detach(s); /* and nobody closes it */
	else if (below(2))
		soq_finish(s);
	else
		soq_close(s);
}

static void serve_some(void)
{
	struct soq_listener *l;
	struct soq_stream *s;
	char text[32];

	if (soq_listen(&l, endpoint(text, false), NULL) < 0)
		return;
	soq_set_accept_timeout(l, (int64_t)below(200) * SOQ_MS);
	for (unsigned i = below(5); i > 0 && soq_accept(&s, l) == 0; i--) {
		talk(s);
		end_stream(s);
	}
	soq_listener_close(l);
}

static void visit(void)
{
	struct soq_stream *s;
	char text[32];

	if (soq_connect(&s, endpoint(text, true)) < 0)
		return;
	talk(s);
	end_stream(s);
}

/* Pass a descriptor to whoever listens at a path, or take what somebody passes. */
static void pass(void)
{
	struct soq_stream *path, *pair[2];
	char text[32];

	snprintf(text, sizeof(text), "unix:///run/pass%u", below(2));
	if (soq_connect(&path, text) < 0)
		return;
	if (soq_pair(pair) == 0) {
		soq_send_fd(path, soq_fd(pair[0]));
		if (below(2))
			soq_send_fd(path, soq_fd(path));
		end_stream(pair[0]);
		talk(pair[1]);
		soq_close(pair[1]);
	}
	soq_close(path);
}

static void take(void)
{
	struct soq_listener *l;
	struct soq_stream *path, *s;
	char text[32];
	int fd;

	snprintf(text, sizeof(text), "unix:///run/pass%u", below(2));
	if (soq_listen(&l, text, NULL) < 0)
		return;
	soq_set_accept_timeout(l, (int64_t)below(200) * SOQ_MS);
	if (soq_accept(&path, l) == 0) {
		nap();
		soq_set_recv_timeout(path, 50 * SOQ_MS);
		if (soq_recv_fd(path, &fd) == 0 && soq_adopt(&s, fd) == 0) {
			talk(s);
			end_stream(s);
		}
		soq_close(path);
	}
	soq_listener_close(l);
}

static void send_dgrams(void)
{
	struct soq_dgram *d;
	char text[32], buf[4000];

	snprintf(text, sizeof(text), "udp://%c:%u", (int)('a' + below(HOSTS)),
		2000 + below(NAMES));
	if (soq_dgram_connect(&d, text) < 0)
		return;
	for (unsigned i = below(10); i > 0; i--)
		soq_sendto(d, memset(buf, 'y', sizeof(buf)), below(sizeof(buf)), NULL);
	soq_dgram_close(d);
}

static void recv_dgrams(void)
{
	struct soq_dgram *d;
	char text[32], buf[4000];

	snprintf(text, sizeof(text), "udp://:%u", 2000 + below(NAMES));
	if (soq_dgram_open(&d, text) < 0)
		return;
	soq_dgram_set_recv_timeout(d, (int64_t)below(200) * SOQ_MS);
	for (unsigned i = below(10); i > 0; i--)
		soq_recvfrom(d, buf, sizeof(buf), NULL);
	soq_dgram_close(d);
}

static void share(void)
{
	void *item;

	soq_deadline(soq_now() + (int64_t)below(300) * SOQ_MS);
	switch (below(5)) {
	case 0:
		soq_event_set(world.event);
		break;
	case 1:
		soq_event_reset(world.event);
		soq_event_wait(world.event);
		break;
	case 2:
		soq_queue_put(world.queue, &world);
		break;
	default:
		soq_queue_get(world.queue, &item);
		break;
	}
	soq_deadline_restore(SOQ_NEVER);
}

static void work(void *arg)
{
	*(unsigned *)arg += 1;
}

static void offload(void)
{
	unsigned n = 0;

	soq_offload(work, &n);
}

static int answer(struct soq_stream *peer, void *arg)
{
	(void)arg;
	talk(peer);
	return SOQ_DONE;
}

static void serve(void)
{
	struct soq_server_options opt = { .stop_on_signals = true,
		.workers = 1 + below(3),
		.grace_ns = 100 * SOQ_MS,
		.idle_timeout_ns = 200 * SOQ_MS };
	char text[32];

	soq_deadline(soq_now() + (int64_t)below(2000) * SOQ_MS);
	soq_serve(endpoint(text, false), answer, NULL, &opt);
	soq_deadline_restore(SOQ_NEVER);
}

static void await_signal(void)
{
	static const int signals[] = { SIGTERM, SIGHUP };

	soq_deadline(soq_now() + (int64_t)below(1000) * SOQ_MS);
	soq_wait_signal(signals, 1 + below(2));
	soq_deadline_restore(SOQ_NEVER);
}

static void live(void *arg)
{
	static void (*const acts[])(void) = { serve_some, serve_some, visit, visit, visit, pass,
		pass, take, take, send_dgrams, recv_dgrams, share, share, offload, serve,
		await_signal, nap };

	(void)arg;
	for (unsigned steps = below(STEPS_MAX); steps > 0; steps--)
		acts[below(sizeof(acts) / sizeof(*acts))]();
}

/* ---- lives ---- */

static int life(void *arg)
{
	struct soq_scope *scope;

	(void)arg;
	CHECK_OK(soq_scope_open(&scope));
	for (unsigned steps = below(STEPS_MAX); steps > 0; steps--) {
		soq_spawn(scope, live, NULL);
		nap();
		if (below(8) == 0 && world.programs < PROGRAMS_MAX && ++world.programs)
			soq_sim_spawn(world.hosts[below(HOSTS)], life, NULL);
		if (below(100) == 0)
			soq_sim_crash(soq_sim_here());
	}
	/* Or leave the fibers where they are. */
	if (soq_scope_count(scope) == 0 || below(2))
		soq_scope_close(scope);
	return 0;
}

/* Does to hosts what nobody else may, and takes it back; and outlives the run. */
static int keep(void *arg)
{
	(void)arg;
	for (int i = 0; i < 100; i++) {
		struct soq_sim_host *host = world.hosts[below(HOSTS)];

		nap();
		switch (below(6)) {
		case 0:
			soq_sim_crash(host);
			break;
		case 1:
			soq_sim_pause(host);
			break;
		case 2:
			soq_sim_resume(host);
			break;
		case 3:
			soq_sim_signal(host, below(2) ? SIGTERM : SIGHUP);
			break;
		default:
			soq_sim_restart(host);
			break;
		}
	}
	for (int i = 0; i < HOSTS; i++) {
		soq_sim_restart(world.hosts[i]);
		soq_sim_resume(world.hosts[i]);
	}
	return soq_sleep(3600 * SOQ_S);
}

static int build(struct soq_sim *sim, void *arg)
{
	const struct soq_sim_chaos chaos = { .until_ns = 5 * SOQ_S,
		.crashes_max = 6,
		.pauses_max = 6,
		.drifts_max = 3,
		.partitions_max = 4,
		.link_changes_max = 4,
		.duration_max_ns = SOQ_S,
		.spare = "keeper",
		.worst = {
			.loss_ppm = 100000, .reorder_ppm = 100000, .duplicate_ppm = 100000 } };
	struct soq_sim_host *keeper;

	(void)arg;
	world.sim = sim;
	CHECK_OK(soq_event_new(&world.event));
	CHECK_OK(soq_queue_new(&world.queue, 2));
	for (int i = 0; i < HOSTS; i++) {
		CHECK_OK(soq_sim_host_new(
			&world.hosts[i], sim, (char[]){ (char)('a' + i), 0 }, NULL));
		for (int k = 0; k < 3; k++)
			CHECK_OK(soq_sim_spawn(world.hosts[i], life, NULL));
	}
	CHECK_OK(soq_sim_host_new(&keeper, sim, "keeper", NULL));
	CHECK_OK(soq_sim_spawn(keeper, keep, NULL));
	return soq_sim_add_chaos(sim, &chaos);
}

/* Its programs are gone, and its kernel has nothing of theirs. */
static int check(struct soq_sim *sim, enum soq_sim_verdict verdict, void *arg)
{
	(void)sim;
	(void)verdict;
	(void)arg;
	for (int i = 0; i < HOSTS; i++) {
		struct soq_sim_census c;

		soq_sim_census(world.hosts[i], &c);
		if (c.programs == 0 && c.descriptors > 0)
			return -EBADF;
	}
	return 0;
}

TEST(sim_lives)
{
	const struct soq_sim_sweep sweep = { .name = "lives",
		.build = build,
		.check = check,
		.seeds = test_scale(SEEDS),
		.limit_ns = 20 * SOQ_S,
		.ends_by_limit = true,
		.twice = true,
		.no_shrink = true };
	struct soq_sim_sweep_result result;

	CHECK_OK(soq_sim_sweep(&sweep, &result));
	printf("%llu events\n", (unsigned long long)result.events);
}
