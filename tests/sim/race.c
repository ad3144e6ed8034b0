/* race.c - connecting to a name with several addresses (RFC 8305): who is tried when, who wins,
 * and that nothing is left of the others.
 *
 * The addresses of a name are those of several hosts, so that each can be as far away, as
 * silent or as closed as a case wants.
 */
#include "test.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_MAX 4
#define FAR_NS	  (400 * SOQ_MS) /* one way: its answer takes longer than the next one's turn */

/* What a host does when it is asked. */
enum manner { ANSWERS, ANSWERS_LATE, REFUSES, SILENT };

static struct {
	struct soq_sim *sim;
	struct soq_sim_host *client, *hosts[HOSTS_MAX];
	enum manner manners[HOSTS_MAX];
	const char *addresses[HOSTS_MAX];
	size_t count;
	unsigned accepted[HOSTS_MAX],
		ended[HOSTS_MAX]; /* streams, and of these those that ended */
	/* What came of it. */
	int64_t took_ns, deadline_ns;
	int rc;
	struct soq_addr peer;
	char error[512];
} world;

static int server_main(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;
	struct soq_listener *l;
	struct soq_stream *s;
	char byte;

	CHECK_OK(soq_listen(&l, "tcp://:80", NULL));
	soq_set_accept_timeout(l, 30 * SOQ_S);
	while (soq_accept(&s, l) == 0) {
		world.accepted[i]++;
		world.ended[i] += soq_recv(s, &byte, 1) <= 0;
		soq_close(s);
	}
	soq_listener_close(l);
	return 0;
}

static int client_main(void *arg)
{
	struct soq_stream *s;
	int64_t began_ns;

	(void)arg;
	CHECK_OK(soq_sleep(SOQ_MS));
	began_ns = soq_now();
	if (world.deadline_ns)
		soq_deadline(began_ns + world.deadline_ns);
	world.rc = soq_connect(&s, "tcp://name:80");
	world.took_ns = soq_now() - began_ns;
	soq_deadline_restore(SOQ_NEVER);
	snprintf(world.error, sizeof(world.error), "%s", soq_last_error());
	if (world.rc == 0) {
		CHECK_OK(soq_peer_addr(s, &world.peer));
		soq_close(s);
	}
	return 0;
}

static void add(enum manner manner, const char *address)
{
	const struct soq_sim_link far = { .latency_ns = FAR_NS };
	size_t i = world.count++;
	char name[16];

	snprintf(name, sizeof(name), "host%zu", i);
	CHECK_OK(soq_sim_host_new(&world.hosts[i], world.sim, name, address));
	world.manners[i] = manner;
	world.addresses[i] = address;
	if (manner == ANSWERS || manner == ANSWERS_LATE)
		CHECK_OK(soq_sim_spawn(world.hosts[i], server_main, (void *)(uintptr_t)i));
	if (manner == ANSWERS_LATE)
		CHECK_OK(soq_sim_link_both(world.client, world.hosts[i], &far));
	if (manner == SILENT)
		CHECK_OK(soq_sim_partition(world.client, world.hosts[i]));
}

/* The default link's latency is 1 ms, so an answer takes 2. */
static void begin(int64_t deadline_ns)
{
	const struct soq_sim_options opt = { .prompt_offload = true };

	memset(&world, 0, sizeof(world));
	world.deadline_ns = deadline_ns;
	CHECK_OK(soq_sim_new(&world.sim, 1, &opt));
	CHECK_OK(
		soq_sim_host_new(&world.client, world.sim, "client", "10.0.0.99 2001:db8::99"));
}

static void run(void)
{
	struct soq_sim_name name = { 0 };
	struct soq_sim_census c;
	char addresses[256] = "", *end = addresses;

	for (size_t i = 0; i < world.count; i++)
		end = stpcpy(stpcpy(end, world.addresses[i]), " ");
	name.addresses = addresses;
	CHECK_OK(soq_sim_name(world.sim, "name", &name));
	CHECK_OK(soq_sim_spawn(world.client, client_main, NULL));
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	soq_sim_census(world.client, &c);
	CHECK_EQ(c.descriptors, 0);
	CHECK_EQ(c.leaked, 0);
}

static void end(void)
{
	soq_sim_free(world.sim);
}

/* The winner, and when: to the rounds' exactness. */
static void expect(const char *address, int64_t took_ns)
{
	char text[SOQ_ADDR_TEXT_MAX];

	CHECK_OK(world.rc);
	soq_addr_format(text, sizeof(text), &world.peer);
	ROW("%s after %lld ns, not %s after %lld", text, (long long)world.took_ns, address,
		(long long)took_ns);
	CHECK(strstr(text, address));
	CHECK(world.took_ns >= took_ns && world.took_ns < took_ns + 20 * SOQ_US);
}

TEST(sim_race_first_wins)
{
	begin(0);
	add(ANSWERS, "2001:db8::1");
	add(ANSWERS, "10.0.0.1");
	run();
	expect("2001:db8::1", 2 * SOQ_MS);
	CHECK_EQ(world.accepted[1], 0);
	end();
}

/* A black hole costs a quarter of a second, and no more. */
TEST(sim_race_black_hole)
{
	begin(0);
	add(SILENT, "2001:db8::1");
	add(ANSWERS, "10.0.0.1");
	run();
	expect("10.0.0.1", 252 * SOQ_MS);
	end();
}

/* A refusal costs its round trip only. */
TEST(sim_race_refused)
{
	begin(0);
	add(REFUSES, "2001:db8::1");
	add(ANSWERS, "10.0.0.1");
	run();
	expect("10.0.0.1", 4 * SOQ_MS);
	end();
}

/* The slow one goes on while others are tried, and wins if they fail. */
TEST(sim_race_slow_is_not_given_up)
{
	begin(0);
	add(ANSWERS_LATE, "2001:db8::1");
	add(SILENT, "10.0.0.1");
	add(REFUSES, "2001:db8::2");
	run();
	expect("2001:db8::1", 2 * FAR_NS);
	end();
}

/* Both answer: the second first. The first's connection is closed, not lost. */
TEST(sim_race_loser_is_closed)
{
	begin(0);
	add(ANSWERS_LATE, "2001:db8::1");
	add(ANSWERS, "10.0.0.1");
	run();
	expect("10.0.0.1", 252 * SOQ_MS);
	CHECK_EQ(world.accepted[0], world.ended[0]);
	end();
}

/* The families take turns, whatever the order of the answer. */
TEST(sim_race_interleaves)
{
	begin(0);
	add(SILENT, "2001:db8::1");
	add(SILENT, "2001:db8::2");
	add(ANSWERS, "10.0.0.1");
	run();
	expect("10.0.0.1", 252 * SOQ_MS);
	end();
}

/* The error names each address with its own reason. */
TEST(sim_race_all_fail)
{
	begin(0);
	add(REFUSES, "2001:db8::1");
	add(SILENT, "10.0.0.1");
	add(REFUSES, "2001:db8::2");
	run();
	CHECK_ERR(world.rc, -ETIMEDOUT);
	ROW("%s", world.error);
	CHECK(strstr(world.error, "([2001:db8::1]:80): Connection refused; "));
	CHECK(strstr(world.error, "(10.0.0.1:80): Connection timed out; "));
	CHECK(strstr(world.error, "([2001:db8::2]:80): Connection refused"));
	/* The silent one's own time, after the first was refused. */
	CHECK(world.took_ns >= 127 * SOQ_S && world.took_ns < 128 * SOQ_S);
	end();
}

TEST(sim_race_deadline)
{
	begin(300 * SOQ_MS);
	add(SILENT, "2001:db8::1");
	add(SILENT, "10.0.0.1");
	add(ANSWERS, "2001:db8::2");
	run();
	CHECK_ERR(world.rc, -ETIMEDOUT);
	ROW("%s", world.error);
	CHECK(strstr(world.error,
		"([2001:db8::1]:80): no answer yet; (10.0.0.1:80): no answer yet; "
		"([2001:db8::2]:80): not tried"));
	CHECK(world.took_ns >= 300 * SOQ_MS && world.took_ns < 301 * SOQ_MS);
	CHECK_EQ(world.accepted[2], 0);
	end();
}
