/* server_soak.c - many clients over a bad network, in every manner of leaving: nothing is left
 * of them, on the server's host and in its kernel.
 */
#include "sim/server_world.h"

#define AT_ONCE 20

enum manner { COME_AND_GO, RESET, ECHO_AND_LEAVE, ECHO_AND_RESET, HALF_CLOSE, MANNERS };

static const char *const manners[] = { "come and go", "reset", "echo and leave",
	"echo and reset", "half-close" };

struct visits {
	const struct remote *remote;
	enum manner manner;
	unsigned left;
};

/* Packets are lost, so a visit may fail; the server must not mind. */
static void visit(struct soq_stream *s, enum manner manner)
{
	char line[16], byte;

	soq_set_recv_timeout(s, 300 * SOQ_S);
	if (manner >= ECHO_AND_LEAVE && soq_send_text(s, "hello\n") == 6)
		soq_recv_line(s, line, sizeof(line));
	if (manner == RESET || manner == ECHO_AND_RESET)
		CHECK_OK(soq_set_linger(s, 0));
	if (manner == HALF_CLOSE && soq_shutdown(s) == 0)
		CHECK(soq_recv(s, &byte, 1) <= 0);
	soq_close(s);
}

static void visitor(void *arg)
{
	struct visits *v = arg;
	struct soq_stream *s;

	while (v->left > 0) {
		v->left--;
		CHECK_OK(soq_connect(&s, v->remote->places[0].endpoint));
		visit(s, v->manner);
	}
}

static void visits(const struct remote *r, enum manner manner, unsigned rounds)
{
	struct visits v = { r, manner, rounds };
	struct soq_scope *scope = scope_open();

	for (int i = 0; i < AT_ONCE; i++)
		CHECK_OK(soq_spawn(scope, visitor, &v));
	scope_join(scope);
	/* Whatever was lost has been sent again, or given up. */
	CHECK_OK(soq_sleep(1000 * SOQ_S));
}

static void soak(void)
{
	static const struct soq_sim_link bad = { .latency_ns = 20 * SOQ_MS,
		.jitter_ns = 10 * SOQ_MS,
		.loss_ppm = 20000,
		.duplicate_ppm = 20000,
		.reorder_ppm = 20000 };
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = echo_a_line } } };
	struct soq_sim_census before, after;
	struct remote r;

	remote_start(&r, &plan);
	CHECK_OK(soq_sim_link_both(soq_sim_here(), r.program.host, &bad));
	CHECK_OK(soq_sleep(SOQ_S));
	before = census_of(r.program.host);
	for (enum manner manner = 0; manner < MANNERS; manner++) {
		ROW("%s", manners[manner]);
		visits(&r, manner, test_scale(500));
		after = census_of(r.program.host);
		CHECK_EQ(after.descriptors, before.descriptors);
		CHECK_EQ(after.fibers, before.fibers);
		CHECK_EQ(after.connections, 0);
		CHECK_EQ(after.memory_bytes, before.memory_bytes);
		CHECK_EQ(census_of(soq_sim_here()).connections, 0);
	}
	remote_stop(&r);
}

SIM(server_soak)
{
	in_world(NULL, soak);
}
