/* workers.c - a server of several workers on a simulated host. */
#include "test.h"
#include "fiber/worker.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

#define WORKERS 3
#define CLIENTS 40

static struct {
	struct soq_sim *sim;
	struct soq_sim_host *server;
	struct soq__worker *seen[WORKERS];
	unsigned seen_count, served;
	const char *endpoint;
	int rc;
} world;

static void note_worker(struct soq__worker *w)
{
	for (unsigned i = 0; i < world.seen_count; i++)
		if (world.seen[i] == w)
			return;
	CHECK(world.seen_count < WORKERS);
	world.seen[world.seen_count++] = w;
}

static int echo_line(struct soq_stream *peer, void *arg)
{
	char line[64];

	(void)arg;
	note_worker(soq__worker());
	if (soq_recv_line(peer, line, sizeof(line)) < 0)
		return SOQ_DONE;
	soq_sleep(20 * SOQ_MS); /* so that clients overlap */
	soq_send_text(peer, line);
	world.served++;
	return SOQ_DONE;
}

static int server_main(void *arg)
{
	struct soq_server_options opt = { .workers = WORKERS, .stop_on_signals = true };

	(void)arg;
	world.rc = soq_serve(world.endpoint, echo_line, NULL, &opt);
	return 0;
}

static void client(void *arg)
{
	struct soq_stream *s;
	char line[64];

	CHECK_OK(soq_connect(&s, arg));
	CHECK_EQ(soq_send_text(s, "hello\n"), 6);
	CHECK_EQ(soq_recv_line(s, line, sizeof(line)), 5);
	CHECK_STR(line, "hello");
	CHECK_OK(soq_finish(s));
}

static int clients_main(void *arg)
{
	struct soq_scope *scope;

	CHECK_OK(soq_sleep(SOQ_MS));
	CHECK_OK(soq_scope_open(&scope));
	for (unsigned i = 0; i < CLIENTS; i++)
		CHECK_OK(soq_spawn(scope, client, arg));
	CHECK_OK(soq_scope_wait(scope));
	soq_scope_close(scope);
	soq_sim_signal(world.server, SIGTERM);
	return 0;
}

static void begin(const char *endpoint)
{
	memset(&world, 0, sizeof(world));
	world.endpoint = endpoint;
	CHECK_OK(soq_sim_new(&world.sim, 7, NULL));
	CHECK_OK(soq_sim_host_new(&world.server, world.sim, "server", NULL));
	CHECK_OK(soq_sim_spawn(world.server, server_main, NULL));
}

static void end(void)
{
	struct soq_sim_census c;

	soq_sim_census(world.server, &c);
	CHECK_EQ(c.programs, 0);
	CHECK_EQ(c.fibers, 0);
	CHECK_EQ(c.descriptors, 0);
	CHECK_EQ(c.leaked, 0);
	soq_sim_free(world.sim);
}

TEST(sim_workers_share_a_port)
{
	struct soq_sim_host *clients;

	begin("tcp://:7");
	CHECK_OK(soq_sim_host_new(&clients, world.sim, "clients", NULL));
	CHECK_OK(soq_sim_spawn(clients, clients_main, (void *)"tcp://server:7"));
	CHECK_EQ(soq_sim_run(world.sim, 60 * SOQ_S), SOQ_SIM_FINISHED);
	CHECK_OK(world.rc);
	CHECK_EQ(world.served, CLIENTS);
	CHECK_EQ(world.seen_count, WORKERS);
	end();
}

/* A path cannot be bound twice: they share the one listener. */
TEST(sim_workers_share_a_path)
{
	begin("unix:///run/service");
	CHECK_OK(soq_sim_spawn(world.server, clients_main, (void *)"unix:///run/service"));
	CHECK_EQ(soq_sim_run(world.sim, 60 * SOQ_S), SOQ_SIM_FINISHED);
	CHECK_OK(world.rc);
	CHECK_EQ(world.served, CLIENTS);
	CHECK(world.seen_count > 1);
	end();
}

/* The second stop reaches each of them. */
static int stop_twice(void *arg)
{
	struct soq_stream *s[CLIENTS];

	CHECK_OK(soq_sleep(SOQ_MS));
	for (unsigned i = 0; i < CLIENTS; i++) {
		CHECK_OK(soq_connect(&s[i], arg));
		CHECK_EQ(soq_send_text(s[i], "no end"), 6);
	}
	CHECK_OK(soq_sleep(10 * SOQ_MS));
	soq_sim_signal(world.server, SIGTERM);
	CHECK_OK(soq_sleep(10 * SOQ_MS));
	soq_sim_signal(world.server, SIGTERM);
	CHECK_OK(soq_sleep(SOQ_S));
	for (unsigned i = 0; i < CLIENTS; i++)
		soq_close(s[i]);
	return 0;
}

TEST(sim_workers_stop_twice)
{
	struct soq_sim_host *clients;

	begin("tcp://:7");
	CHECK_OK(soq_sim_host_new(&clients, world.sim, "clients", NULL));
	CHECK_OK(soq_sim_spawn(clients, stop_twice, (void *)"tcp://server:7"));
	CHECK_EQ(soq_sim_run(world.sim, 60 * SOQ_S), SOQ_SIM_FINISHED);
	CHECK_ERR(world.rc, -ETIMEDOUT);
	end();
}

/* Workers are gone with their host, and come back with it. */
TEST(sim_workers_crash)
{
	static const struct soq_sim_fault crash = { .kind = SOQ_SIM_CRASH,
		.a = "server",
		.at_ns = 500 * SOQ_MS,
		.duration_ns = 100 * SOQ_MS };
	struct soq_sim_host *clients;

	begin("tcp://:7");
	CHECK_OK(soq_sim_add_fault(world.sim, &crash));
	CHECK_EQ(soq_sim_run(world.sim, SOQ_S), SOQ_SIM_DEADLOCK);
	CHECK_OK(soq_sim_host_new(&clients, world.sim, "clients", NULL));
	CHECK_OK(soq_sim_spawn(clients, clients_main, (void *)"tcp://server:7"));
	CHECK_EQ(soq_sim_run(world.sim, 60 * SOQ_S), SOQ_SIM_FINISHED);
	CHECK_EQ(world.served, CLIENTS);
	end();
}
