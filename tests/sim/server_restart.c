/* server_restart.c - a server's host crashes and comes back: its clients learn of it, come
 * again and are served, and nothing of the former life is left.
 *
 * A handler of a server that crashes waits for no bell: what it waited in would be lost.
 */
#include "sim/server_world.h"

#define CALLERS 3
#define PORT	"7" /* known to the clients beforehand, as a server's port is */

/* A client that is never content with one connection. */
struct caller {
	struct remote *r;
	unsigned answers[3]; /* by the server's life, from 1 */
	unsigned failures;
	bool over, ended;
};

/* A line with the server's life. */
static int tell_life(struct soq_stream *peer, void *arg)
{
	const struct program *program = arg;
	char line[16], reply[16];
	ssize_t n = soq_recv_line(peer, line, sizeof(line));

	if (n < 0)
		return n == -ENODATA ? SOQ_DONE : (int)n;
	snprintf(reply, sizeof(reply), "%u\n", program->lives);
	return soq_send_text(peer, reply) > 0 ? SOQ_AGAIN : SOQ_DONE;
}

static void call(struct caller *c, struct soq_stream *s)
{
	char line[16];

	while (!c->over && soq_send_text(s, "who\n") == 4 &&
		soq_recv_line(s, line, sizeof(line)) == 1) {
		CHECK(line[0] >= '1' && line[0] <= '2');
		c->answers[line[0] - '0']++;
		CHECK_OK(soq_sleep(100 * SOQ_MS));
	}
}

static int caller_main(void *arg)
{
	struct caller *c = arg;
	struct soq_stream *s;

	while (!c->over) {
		int64_t outer = soq_deadline(soq_now() + 3 * SOQ_S);
		int rc = soq_connect(&s, c->r->places[0].endpoint);

		soq_deadline_restore(outer);
		if (rc == 0) {
			soq_set_recv_timeout(s, 60 * SOQ_S);
			call(c, s);
			soq_close(s);
		}
		c->failures += !c->over;
		CHECK_OK(soq_sleep(200 * SOQ_MS));
	}
	c->ended = true;
	return 0;
}

static void crash(void)
{
	struct remote r;
	struct plan plan = { .sites = { { .endpoint = "tcp://:" PORT,
				     .handler = tell_life,
				     .arg = &r.program } } };
	struct caller callers[CALLERS];
	struct soq_sim_census before;
	char name[16];

	remote_start(&r, &plan);
	CHECK_OK(soq_sleep(SOQ_S));
	before = census_of(r.program.host);
	for (unsigned i = 0; i < CALLERS; i++) {
		snprintf(name, sizeof(name), "caller%u", i);
		callers[i] = (struct caller){ .r = &r };
		CHECK_OK(soq_sim_spawn(host_new(name, NULL), caller_main, &callers[i]));
	}
	CHECK_OK(soq_sleep(5 * SOQ_S));
	CHECK_EQ(census_of(r.program.host).connections, CALLERS);
	CHECK_OK(soq_sim_crash(r.program.host));
	CHECK_EQ(census_of(r.program.host).descriptors, 0);
	CHECK_EQ(census_of(r.program.host).memory_bytes, 0);
	CHECK_OK(soq_sleep(7 * SOQ_S));
	CHECK_OK(soq_sim_restart(r.program.host));
	CHECK_OK(soq_sleep(10 * SOQ_S)); /* two retransmissions, and a visit more */

	CHECK_EQ(census_of(r.program.host).connections, CALLERS);
	CHECK_EQ(census_of(r.program.host).descriptors, before.descriptors + CALLERS);
	for (unsigned i = 0; i < CALLERS; i++) {
		ROW("caller %u", i);
		CHECK(callers[i].answers[1] >= 45 && callers[i].answers[1] <= 50);
		CHECK(callers[i].answers[2] >= 20);
		CHECK(callers[i].failures >= 1);
		callers[i].over = true;
	}
	CHECK_OK(soq_sleep(SOQ_S));
	for (unsigned i = 0; i < CALLERS; i++)
		CHECK(callers[i].ended);
	CHECK_EQ(census_of(r.program.host).descriptors, before.descriptors);
	remote_stop(&r);
}

SIM(server_restart_serves_again)
{
	in_world(&exact, crash);
}
