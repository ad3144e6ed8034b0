/* server_limits.c - what one client may cost the others: time, places, memory, descriptors. */
#include "contract/server.h"
#include "contract/private_net.h"

static struct plan plan_of(soq_handler *handler)
{
	counters_open();
	return (struct plan){ .sites = { { .endpoint = LOCAL, .handler = handler } },
		.opt = { .shape = the_shape() } };
}

/* A silent client is left. How exactly in time, tests/sim/server_time.c asks. */
CONTRACT_SHAPES(limit_idle_time)
{
	struct plan plan = plan_of(echo_a_line);
	int64_t began = soq_now();
	struct remote r;

	plan.opt.idle_timeout_ns = 10 * SOQ_MS;
	plan.opt.linger_ns = SOQ_MS;
	remote_start(&r, &plan);
	expect_end(remote_connect(&r, 0));
	CHECK(soq_now() - began >= 10 * SOQ_MS);
	remote_stop(&r);
}

static int sleep_long(struct soq_stream *peer, void *arg)
{
	int rc = soq_sleep(SOQ_NEVER);

	(void)peer, (void)arg;
	count(rc == -ETIMEDOUT ? &counters->ended : &counters->failed);
	return rc;
}

CONTRACT_SHAPES(limit_request_time)
{
	struct plan plan = plan_of(sleep_long);
	struct remote r;

	plan.opt.request_timeout_ns = 10 * SOQ_MS;
	remote_start(&r, &plan);
	expect_end(remote_connect(&r, 0));
	remote_await_log(&r, soq_strerror(-ETIMEDOUT));
	CHECK_EQ(atomic_load(&counters->ended), 1);
	remote_stop(&r);
}

/* ---- slow readers ---- */

static int send_much(struct soq_stream *peer, void *arg)
{
	static char bytes[65536];
	ssize_t n;

	(void)arg;
	do
		n = soq_send(peer, bytes, sizeof(bytes));
	while (n == (ssize_t)sizeof(bytes));
	return n < 0 ? (int)n : -ETIMEDOUT;
}

/* Clients that read nothing cost what the kernel's buffers hold, and no memory of ours; and
 * they are left. What a simulated kernel holds for them, tests/sim/server_slow.c asks. */
CONTRACT_SHAPES_KERNEL(limit_of_slow_readers, "the process's memory is looked at")
{
	unsigned readers = test_shape() == TEST_ITERATIVE ? 1 : 10;
	struct plan plan = plan_of(send_much);
	struct soq_stream *clients[10];
	struct remote r;
	long kib;

	plan.opt.send_timeout_ns = 100 * SOQ_MS;
	plan.opt.linger_ns = SOQ_MS;
	remote_start(&r, &plan);
	kib = memory_kib(r.process.pid, "VmHWM");
	for (unsigned i = 0; i < readers; i++)
		clients[i] = remote_connect(&r, 0);
	for (unsigned i = 0; i < readers; i++)
		remote_await_log(&r, soq_strerror(-ETIMEDOUT));
	CHECK(memory_kib(r.process.pid, "VmHWM") - kib < 16 * 1024);
	for (unsigned i = 0; i < readers; i++)
		soq_close(clients[i]);
	remote_stop(&r);
}

/* ---- places ---- */

/* A line back, as soon as the gate is open; and how many are here is noted. */
static int echo_at_the_gate(struct soq_stream *peer, void *arg)
{
	unsigned now = count(&counters->here), most = atomic_load(&counters->most);
	int rc = await_gate();

	while (now > most && !atomic_compare_exchange_weak(&counters->most, &most, now))
		;
	if (rc == 0)
		rc = echo_lines(peer, arg);
	atomic_fetch_sub(&counters->here, 1);
	return rc;
}

/* Clients above the limit wait in the backlog; each place that becomes free is taken. */
CONTRACT_SHAPES(limit_of_clients)
{
	enum { PLACES = 2, CLIENTS = 6 };
	struct plan plan = plan_of(echo_at_the_gate);
	struct soq_stream *clients[CLIENTS];
	struct remote r;

	if (test_shape() == TEST_ITERATIVE)
		return; /* an iterative server has one place */
	plan.opt.clients_max = PLACES;
	remote_start(&r, &plan);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = remote_connect(&r, 0);
		CHECK_EQ(soq_send_text(clients[i], "hello\n"), 6);
	}
	AWAIT(atomic_load(&counters->here) == PLACES);
	bell_ring(&bells.gate);
	for (int i = 0; i < CLIENTS; i++) {
		expect_line(clients[i], "hello");
		if (i + 1 >= PLACES)
			leave(clients[i + 1 - PLACES]);
	}
	leave(clients[CLIENTS - 1]);
	CHECK_EQ(atomic_load(&counters->most), PLACES);
	remote_stop(&r);
}

/* Whether a new client has a place. @ret  it, when it has */
static bool is_admitted(struct soq_stream **ret, const char *endpoint)
{
	struct soq_stream *s = connect_to(endpoint);
	char line[16];

	if (soq_send_text(s, "hello\n") == 6 && soq_recv_line(s, line, sizeof(line)) == 5) {
		*ret = s;
		return true;
	}
	soq_close(s);
	return false;
}

/* The others' places are counted by the server, in whose process nobody can be asked; in the
 * process shape a place is given back when the child is reaped. So whoever is refused comes
 * again. */
static struct soq_stream *admitted(const char *endpoint)
{
	struct soq_stream *s;

	while (!is_admitted(&s, endpoint))
		;
	return s;
}

/* One address cannot take every place; this machine's own are exempt. */
CONTRACT_SHAPES(limit_of_clients_of_an_address)
{
	enum { MOST = 3 };
	char there[SOQ_ENDPOINT_TEXT_MAX];
	struct plan plan = plan_of(echo_a_line);
	struct soq_stream *clients[MOST], *own[MOST + 1];
	struct remote r;

	if (test_shape() == TEST_ITERATIVE)
		return; /* an iterative server has one client */
	private_net_enter();
	plan.sites[0].endpoint = "tcp://0.0.0.0:0";
	plan.opt.clients_per_address_max = MOST;
	plan.here = true;
	remote_start(&r, &plan);
	place_at(there, &r.places[0], PRIVATE_ADDRESS);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MOST; i++)
			clients[i] = admitted(there);
		expect_end(connect_to(there));
		remote_await_log(&r, "refused");
		for (int i = 0; i <= MOST; i++) {
			own[i] = remote_connect(&r, 0);
			expect_echo(own[i], "at home");
		}
		for (int i = 0; i < MOST; i++)
			leave(clients[i]);
		for (int i = 0; i <= MOST; i++)
			leave(own[i]);
	}
	remote_stop(&r);
}

/* ---- descriptors ---- */

/* When descriptors run out, accepting pauses; those who have a place are served on; and it
 * goes on by itself when there are descriptors again. That it does not spin meanwhile, and
 * when it goes on, tests/sim/server_accept.c asks. */
CONTRACT_SHAPES_KERNEL(limit_of_descriptors, "a simulated host's limit is its world's")
{
	enum { CLIENTS = 60 };
	struct plan plan = plan_of(echo_a_line);
	struct soq_stream *clients[CLIENTS];
	struct remote r;

	if (test_shape() == TEST_ITERATIVE)
		return; /* an iterative server has one client */
	plan.descriptors = 40;
	plan.opt.clients_max = 1000; /* or it would know that so many cannot be */
	remote_start(&r, &plan);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = remote_connect(&r, 0);
		CHECK_EQ(soq_send_text(clients[i], "hello\n"), 6);
	}
	remote_await_log(&r, "accepting paused");
	for (int i = 0; i < 5; i++) {
		expect_line(clients[i], "hello");
		expect_echo(clients[i], "still here");
	}
	for (int i = 0; i < CLIENTS; i++) {
		if (i >= 5)
			expect_line(clients[i], "hello"); /* nobody was turned away */
		leave(clients[i]);
	}
	remote_await_log(&r, "accepting goes on");
	expect_service(&r, 0);
	remote_stop(&r);
}
