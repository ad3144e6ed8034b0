/* tcp_world.c - random calls on many TCP sockets of three hosts, with losses, partitions and
 * crashes. Whatever they do:
 *
 *	no call waits that could go on,
 *	in the end nothing is left of any connection,
 *	and the same seed does the same again.
 */
#include "sim/model.h"

#define SLOTS 40
#define STEPS 1000
#define HOSTS 3
#define BYTES 30000

/* A socket, with at most one call of either direction at work. */
struct slot {
	struct soq__sim_socket *s;
	struct soq_sim_host *host;
	struct call in, out;
};

static struct slot slots[SLOTS];
static struct soq_sim_host *hosts[HOSTS];
static uint64_t draws;
static char bytes[BYTES];
/* What came of it all, over all seeds. */
static struct {
	unsigned accepted, received, crashes, parked;
} done;

static unsigned draw(unsigned below)
{
	return (unsigned)soq__sim_below(
		soq__sim_draw(sim, SOQ__SIM_CHAOS, sim->seed, draws++), below);
}

static struct soq_addr any(unsigned port)
{
	return at("::", port);
}

/* ---- what must hold ---- */

/* What a call that waits would come to now. A sender is woken when a third of its buffer is
 * free, as a kernel does, and may wait with less. */
static int64_t try_again(struct soq__sim_socket *s, struct soq__op *op)
{
	short events = s->proto->poll(s);

	if (op->code == SOQ__OP_POLL)
		return events & (op->events | POLLERR | POLLHUP) ? events : -EAGAIN;
	if (op->code == SOQ__OP_SEND && !(events & (POLLOUT | POLLERR)))
		return -EAGAIN;
	return s->proto->attempt(s, op);
}

static void check_waits(struct slot *x, struct call *c)
{
	int64_t now;

	if (!x->s || call_over(c))
		return;
	now = try_again(x->s, &c->op);
	ROW("seed %u, draw %u, operation %d", (unsigned)sim->seed, (unsigned)draws, c->op.code);
	CHECK_EQ(now, -EAGAIN);
	done.parked++;
}

static void check_all_wait(void)
{
	pass(0); /* who is to hear of a client does so now */
	for (int i = 0; i < SLOTS; i++) {
		check_waits(&slots[i], &slots[i].in);
		check_waits(&slots[i], &slots[i].out);
	}
}

/* ---- what is done ---- */

static void drop(struct slot *x)
{
	call_cancel(&x->in);
	call_cancel(&x->out);
	close_now(x->s);
	x->s = NULL;
}

static void set_options(struct soq__sim_socket *s)
{
	if (draw(2))
		set_int(s, SOL_SOCKET, SO_REUSEADDR, 1);
	if (draw(4) == 0) {
		set_int(s, SOL_SOCKET, SO_KEEPALIVE, 1);
		set_int(s, IPPROTO_TCP, TCP_KEEPIDLE, (int)draw(20) + 1);
		set_int(s, IPPROTO_TCP, TCP_KEEPINTVL, 1);
	}
	if (draw(5) == 0)
		set_int(s, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)draw(5000) + 1000);
	if (draw(3) == 0)
		set_int(s, IPPROTO_TCP, TCP_NODELAY, 1);
	if (draw(8) == 0)
		set_int(s, SOL_SOCKET, SO_RCVBUF, (int)draw(5000));
}

static void make(struct slot *x)
{
	struct soq_sim_host *host = hosts[draw(HOSTS)];

	*x = (struct slot){ .s = tcp(host, AF_INET6), .host = host };
	set_options(x->s);
	if (draw(3) == 0 && bind_now(x->s, any(80 + draw(3))) == 0 && draw(4))
		listen_now(x->s, (int)draw(5));
}

static struct slot *free_slot(void)
{
	for (int i = 0; i < SLOTS; i++)
		if (!slots[i].s)
			return &slots[i];
	return NULL;
}

static void take(struct soq_sim_host *host, int fd)
{
	struct soq__sim_socket *s = soq__sim_socket_of(sim, fd);
	struct slot *x = free_slot();

	done.accepted++;
	if (x)
		*x = (struct slot){ .s = s, .host = host };
	else
		close_now(s);
}

/* Accepts that wait are given up: what they would get has no place to go. */
static void act_on_listener(struct slot *x)
{
	switch (draw(8)) {
	case 0:
		drop(x);
		break;
	case 1:
		shutdown_now(x->s, (int)draw(3));
		break;
	default: {
		int64_t fd = accept_now(x->s);

		if (fd >= 0)
			take(x->host, (int)fd);
	}
	}
}

static void receive(struct slot *x)
{
	if (draw(4) == 0)
		call_poll(&x->in, x->s, POLLIN | POLLOUT);
	else
		call_recv(&x->in, x->s, bytes, draw(BYTES) + 1);
	if (call_over(&x->in) && call_result(&x->in) > 0)
		done.received++;
}

static void transmit(struct slot *x)
{
	if (draw(4) == 0)
		call_connect(&x->out, x->s, any(80 + draw(4)));
	else
		call_send(&x->out, x->s, bytes, draw(BYTES) + 1);
}

static void look_at(struct slot *x)
{
	char text[256];

	x->s->proto->poll(x->s);
	x->s->proto->describe(x->s, text, sizeof(text));
	CHECK(x->s->proto->memory(x->s) >= sizeof(struct soq__sim_conn));
	get_int(x->s, SOL_SOCKET, SO_ERROR);
}

static void act_on_connection(struct slot *x)
{
	const struct linger none = { .l_onoff = 1 };
	unsigned what = draw(20);

	if (what < 7 && call_over(&x->in))
		receive(x);
	else if (what < 14 && call_over(&x->out))
		transmit(x);
	else if (what == 15)
		shutdown_now(x->s, (int)draw(3));
	else if (what == 16)
		set_int(x->s, IPPROTO_TCP, TCP_CORK, (int)draw(2));
	else if (what == 17)
		look_at(x);
	else if (what == 18)
		drop(x);
	else if (what == 19 && draw(3) == 0) {
		x->s->proto->set_option(x->s, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
		drop(x);
	}
}

static void crash(struct soq_sim_host *host)
{
	CHECK_OK(soq_sim_crash(host));
	reap();
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].s && slots[i].host == host)
			slots[i] = (struct slot){ .s = NULL };
	CHECK_EQ(host->descriptors, 0);
	CHECK_EQ(connections(host), 0);
	CHECK_OK(soq_sim_restart(host));
	done.crashes++;
}

static void heal_all(void)
{
	for (int i = 0; i < HOSTS; i++)
		for (int k = 0; k < i; k++)
			CHECK_OK(soq_sim_heal(hosts[i], hosts[k]));
}

static void trouble(void)
{
	unsigned a = draw(HOSTS), b = (a + 1 + draw(HOSTS - 1)) % HOSTS;

	switch (draw(4)) {
	case 0:
		CHECK_OK(soq_sim_partition(hosts[a], hosts[b]));
		break;
	case 1:
		CHECK_OK(soq_sim_partition_one(hosts[a], hosts[b]));
		break;
	case 2:
		heal_all();
		break;
	default:
		if (draw(4) == 0)
			crash(hosts[a]);
	}
}

static void step(void)
{
	static const int64_t waits[] = { 0, 0, 500 * SOQ_US, 3 * SOQ_MS, 50 * SOQ_MS, 2 * SOQ_S,
		70 * SOQ_S };
	struct slot *x = &slots[draw(SLOTS)];
	unsigned wait = draw(40);

	if (!x->s)
		make(x);
	else if (state_of(x->s) == TCP_LISTEN)
		act_on_listener(x);
	else
		act_on_connection(x);
	if (draw(30) == 0)
		trouble();
	pass(waits[wait < 34 ? wait % 4 : wait < 38 ? 4 : wait - 33]);
}

/* ---- the worlds ---- */

/* @return what came of a world, as one number */
static uint64_t run(uint64_t seed)
{
	struct soq_sim_options opt = {
		.link = { .loss_ppm = (uint32_t)(seed % 3) * 60000,
			.reorder_ppm = 50000,
			.duplicate_ppm = 30000,
			.jitter_ns = 2 * SOQ_MS },
		.prompt_accepts = true,
		.buffer_bytes = seed % 4 ? 0 : 2000,
	};
	uint64_t digest;

	world_open(seed, &opt);
	memset(slots, 0, sizeof(slots));
	draws = 0;
	hosts[0] = host_a;
	hosts[1] = host_b;
	CHECK_OK(soq_sim_host_new(&hosts[2], sim, "c", NULL));
	for (int i = 0; i < STEPS; i++) {
		step();
		if (i % 10 == 0)
			check_all_wait();
	}
	heal_all();
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].s)
			drop(&slots[i]);
	pass_all();
	for (int i = 0; i < HOSTS; i++)
		CHECK_EQ(connections(hosts[i]), 0);
	CHECK_EQ(sim->events.count, 0);
	digest = sim->digest;
	world_close();
	return digest;
}

TEST(sim_tcp_random_worlds)
{
	for (uint64_t seed = 1; seed <= test_scale(200); seed++) {
		uint64_t first;
		void *elsewhere;

		ROW("seed %u", (unsigned)seed);
		first = run(seed);
		if (seed % 4)
			continue;
		/* Memory is laid out otherwise now. */
		elsewhere = malloc(seed * 1000 + 1);
		CHECK_EQ(run(seed), first);
		free(elsewhere);
	}
	ROW("%u accepted, %u received, %u crashes, %u calls waited", done.accepted,
		done.received, done.crashes, done.parked);
	CHECK(done.accepted > 100 || test_scale(200) < 200);
	CHECK(done.received > 100 || test_scale(200) < 200);
	CHECK(done.crashes > 20 || test_scale(200) < 200);
	CHECK(done.parked > 1000 || test_scale(200) < 200);
}
