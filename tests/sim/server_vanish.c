/* server_vanish.c - clients whose network is cut without a word: they are left when their time
 * is over, nothing of theirs stays, and a stop does not wait for them.
 */
#include "sim/server_world.h"

#define IDLE_NS	  (60 * SOQ_S)
#define SEND_NS	  (30 * SOQ_S)
#define LINGER_NS (2 * SOQ_S)
#define GRACE_NS  (10 * SOQ_S)

/* Where a client may be when it vanishes. */
enum state { SILENT, PART, BETWEEN, RECEIVING, LINGERING };

static const char *const states[] = { "before its first request", "within a request",
	"between two requests", "while receiving", "while the server waits for its end" };

static void closed(void *data)
{
	(void)data;
	stamp(1);
	count(&counters->ended);
}

/* "echo", "send" until it is over, or "bye"; what the last of them was begun at is noted. */
static int obey(struct soq_stream *peer, void *arg)
{
	char line[16];
	ssize_t n;

	(void)arg;
	soq_set_stream_data(peer, counters, closed);
	n = soq_recv_line(peer, line, sizeof(line));
	if (n < 0)
		return n == -ENODATA ? SOQ_DONE : (int)n;
	stamp(0);
	if (strcmp(line, "send") == 0) {
		while ((n = soq_send(peer, "x", 1)) == 1)
			stamp(0);
		return (int)n;
	}
	soq_send_text(peer, "ok\n");
	return strcmp(line, "bye") == 0 ? SOQ_DONE : SOQ_AGAIN;
}

static struct plan plan_of(void)
{
	counters_open();
	return (struct plan){ .sites = { { .endpoint = LOCAL, .handler = obey } },
		.opt = { .idle_timeout_ns = IDLE_NS,
			.send_timeout_ns = SEND_NS,
			.linger_ns = LINGER_NS,
			.grace_ns = GRACE_NS,
			.clients_per_address_max = 1 } };
}

static struct soq_sim_options small_buffers(void)
{
	struct soq_sim_options opt = exact;

	opt.buffer_bytes = 2048;
	return opt;
}

/* A client in a state, and its network is cut. */
static struct soq_stream *vanish(const struct remote *r, enum state state)
{
	static const char *const said[] = { "", "ech", "echo\n", "send\n", "bye\n" };
	struct soq_stream *s = remote_connect(r, 0);

	CHECK_EQ(soq_send_text(s, said[state]), strlen(said[state]));
	if (state == BETWEEN || state == LINGERING)
		expect_line(s, "ok");
	CHECK_OK(soq_sleep(SOQ_S));
	CHECK_OK(soq_sim_partition(soq_sim_here(), r->program.host));
	return s;
}

/* ---- leaving it ---- */

/* What the server holds is what it held before; its kernel tries on for two minutes. */
static void expect_forgotten(const struct remote *r, const struct soq_sim_census *before)
{
	struct soq_sim_census c = census_of(r->program.host);

	CHECK_EQ(c.descriptors, before->descriptors);
	CHECK_EQ(c.fibers, before->fibers);
	CHECK_OK(soq_sleep(300 * SOQ_S));
	c = census_of(r->program.host);
	CHECK_EQ(c.connections, 0);
	CHECK_EQ(c.memory_bytes, before->memory_bytes);
}

/* The client notices when it says something, unless it has been told before; and it may come
 * again: its place is free. */
static void expect_return(const struct remote *r, struct soq_stream *s, int want)
{
	char buf[4096];
	ssize_t n;

	CHECK_OK(soq_sim_heal(soq_sim_here(), r->program.host));
	soq_set_recv_timeout(s, 600 * SOQ_S);
	soq_send_text(s, "echo\n");
	do
		n = soq_recv(s, buf, sizeof(buf));
	while (n > 0);
	CHECK_ERR(n, want);
	soq_close(s);
	s = remote_connect(r, 0);
	CHECK_EQ(soq_send_text(s, "echo\n"), 5);
	expect_line(s, "ok");
	leave(s);
}

static void left(void)
{
	static const int64_t want_ns[] = { IDLE_NS + LINGER_NS, IDLE_NS + LINGER_NS, IDLE_NS,
		SEND_NS + LINGER_NS, LINGER_NS };

	for (enum state state = SILENT; state <= LINGERING; state++) {
		struct plan plan = plan_of();
		struct soq_sim_census before;
		struct soq_stream *s;
		int64_t came_ns;
		struct remote r;

		ROW("%s", states[state]);
		remote_start(&r, &plan);
		CHECK_OK(soq_sleep(SOQ_S));
		before = census_of(r.program.host);
		came_ns = instant();
		s = vanish(&r, state);
		AWAIT(atomic_load(&counters->ended) == 1);
		if (state <= PART) /* its last byte, or the handshake's end */
			CHECK_INSTANT(stamped(1), came_ns + 3 * LATENCY + want_ns[state]);
		else
			CHECK_INSTANT(stamped(1), stamped(0) + want_ns[state]);
		expect_forgotten(&r, &before);
		expect_return(&r, s, state == LINGERING ? 0 : -ECONNRESET);
		remote_stop(&r);
	}
}

SIM(server_vanish_leaves_nothing)
{
	struct soq_sim_options opt = small_buffers();

	in_world(&opt, left);
}

/* ---- stopping ---- */

/* A client on a host that is not cut off. */
static void expect_service_from(struct soq_sim_host *host, const struct remote *r)
{
	struct visitor v;

	visitor_start(&v, host, r->places[1].endpoint);
	CHECK(visitor_is_admitted(&v));
	visitor_end(&v);
}

/* Nobody else notices, and a stop ends within the grace and linger times, whatever is cut. */
static void stop(void)
{
	static const int64_t want_ns[] = { GRACE_NS, GRACE_NS, 0, GRACE_NS, 0 };
	struct soq_sim_host *bystander = host_new("bystander", NULL);

	for (enum state state = SILENT; state <= LINGERING; state++) {
		struct plan plan = plan_of();
		struct soq_stream *s;
		int64_t stop_ns, want;
		struct remote r;

		ROW("%s", states[state]);
		plan.sites[1] = (struct site){ .endpoint = LOCAL, .handler = echo_a_line };
		remote_start(&r, &plan);
		s = vanish(&r, state);
		expect_service_from(bystander, &r);
		stop_ns = instant();
		remote_signal(&r, SIGTERM);
		remote_end(&r, want_ns[state] ? -ETIMEDOUT : 0);
		want = stop_ns + want_ns[state];
		if (state == LINGERING)
			want = stamped(0) + LINGER_NS;
		CHECK_INSTANT(r.program.ended_at_ns, want);
		soq_close(s);
		CHECK_OK(soq_sim_heal(soq_sim_here(), r.program.host));
	}
}

SIM(server_vanish_and_stop)
{
	struct soq_sim_options opt = small_buffers();

	in_world(&opt, stop);
}

/* The same with many clients in every state, and another stop that ends it at once. */
static void stop_twice(void)
{
	struct plan plan = plan_of();
	struct soq_stream *clients[20];
	int64_t stop_ns;
	struct remote r;

	plan.opt.clients_per_address_max = 20;
	remote_start(&r, &plan);
	for (unsigned i = 0; i < 20; i++) {
		clients[i] = vanish(&r, i % LINGERING);
		CHECK_OK(soq_sim_heal(soq_sim_here(), r.program.host));
	}
	CHECK_OK(soq_sim_partition(soq_sim_here(), r.program.host));
	CHECK_OK(soq_sleep(SOQ_S));
	stop_ns = instant();
	remote_signal(&r, SIGTERM);
	CHECK_OK(soq_sleep(SOQ_S));
	CHECK_EQ(atomic_load(&counters->ended), 5); /* those between two requests */
	remote_signal(&r, SIGTERM);
	remote_end(&r, -ETIMEDOUT);
	CHECK_INSTANT(r.program.ended_at_ns, stop_ns + SOQ_S);
	CHECK_EQ(atomic_load(&counters->ended), 20);
	for (unsigned i = 0; i < 20; i++)
		soq_close(clients[i]);
}

SIM(server_vanish_and_stop_twice)
{
	struct soq_sim_options opt = small_buffers();

	in_world(&opt, stop_twice);
}
