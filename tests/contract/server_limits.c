/* server_limits.c - what one client may cost the others: time, places, memory, descriptors. */
#include "contract/server.h"
#include "contract/private_net.h"

#define LOCAL "tcp://127.0.0.1:0"

static struct plan plan_of(soq_handler *handler)
{
	counters_open();
	return (struct plan){ .sites = { { .endpoint = LOCAL, .handler = handler } },
		.opt = { .shape = the_shape() } };
}

static void expect_end(struct soq_stream *s)
{
	char byte;
	ssize_t n = soq_recv(s, &byte, 1);

	CHECK(n == 0 || n == -ECONNRESET);
	soq_close(s);
}

/* A silent client is left, before its first request, within one, and between two. */
CONTRACT_SHAPES(limit_idle_time)
{
	static const char *const said[] = { "", "half a li", "line\n" };

	for (int i = 0; i < 3; i++) {
		struct plan plan = plan_of(echo_a_line);
		struct soq_stream *s;
		struct remote r;
		char line[16];
		int64_t began;

		plan.opt.idle_timeout_ns = 10 * SOQ_MS;
		plan.opt.linger_ns = SOQ_MS;
		ROW("'%s'", said[i]);
		remote_start(&r, &plan);
		began = soq_now();
		s = remote_connect(&r, 0);
		CHECK_EQ(soq_send_text(s, said[i]), strlen(said[i]));
		if (i == 2)
			CHECK_EQ(soq_recv_line(s, line, sizeof(line)), 4);
		expect_end(s);
		CHECK(soq_now() - began >= 10 * SOQ_MS);
		remote_stop(&r);
	}
}

static int sleep_long(struct soq_stream *peer, void *arg)
{
	int rc = soq_sleep(600 * SOQ_S);

	(void)peer, (void)arg;
	atomic_fetch_add(rc == -ETIMEDOUT ? &counters->ended : &counters->failed, 1);
	return rc;
}

CONTRACT_SHAPES(limit_request_time)
{
	struct plan plan = plan_of(sleep_long);
	struct soq_stream *s;
	struct remote r;

	plan.opt.request_timeout_ns = 10 * SOQ_MS;
	remote_start(&r, &plan);
	s = remote_connect(&r, 0);
	expect_end(s);
	remote_await_log(&r, soq_strerror(-ETIMEDOUT));
	EVENTUALLY(atomic_load(&counters->ended) == 1);
	remote_stop(&r);
}

/* ---- slow readers ---- */

static long memory_kib(pid_t pid)
{
	char path[64], line[128];
	long kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

static int send_much(struct soq_stream *peer, void *arg)
{
	static char bytes[65536];

	(void)arg;
	atomic_fetch_add(&counters->began, 1);
	for (;;) {
		ssize_t n = soq_send(peer, bytes, sizeof(bytes));

		if (n < 0)
			return (int)n;
		atomic_fetch_add(&counters->value, n);
	}
}

/* Clients that read nothing cost what the kernel's buffers hold, and no memory of ours;
 * after a while they are left. */
CONTRACT_SHAPES(limit_of_slow_readers)
{
	unsigned count = test_shape() == TEST_ITERATIVE ? 1 : 10;
	struct plan plan = plan_of(send_much);
	struct soq_stream *clients[10];
	struct remote r;
	long sent, kib;

	plan.opt.send_timeout_ns = 200 * SOQ_MS;
	plan.opt.linger_ns = SOQ_MS;
	remote_start(&r, &plan);
	kib = memory_kib(r.pid);
	for (unsigned i = 0; i < count; i++)
		clients[i] = remote_connect(&r, 0);
	EVENTUALLY(atomic_load(&counters->began) == count);
	do { /* until the buffers are full */
		sent = atomic_load(&counters->value);
		CHECK_OK(soq_sleep(10 * SOQ_MS));
	} while (sent != atomic_load(&counters->value));
	CHECK(memory_kib(r.pid) - kib < 16 * 1024);
	for (unsigned i = 0; i < count; i++)
		remote_await_log(&r, soq_strerror(-ETIMEDOUT));
	for (unsigned i = 0; i < count; i++)
		soq_close(clients[i]);
	remote_stop(&r);
}

/* ---- places ---- */

/* Clients above the limit wait in the backlog; each place that becomes free is taken. */
CONTRACT_SHAPES(limit_of_clients)
{
	enum { PLACES = 2, CLIENTS = 6 };
	struct plan plan = plan_of(echo_a_line);
	struct soq_stream *clients[CLIENTS];
	char line[32];
	struct remote r;

	if (test_shape() == TEST_ITERATIVE)
		return; /* an iterative server has one place */
	plan.opt.clients_max = PLACES;
	remote_start(&r, &plan);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = remote_connect(&r, 0);
		CHECK_EQ(soq_send_text(clients[i], "hello\n"), 6);
	}
	for (int i = 0; i < PLACES; i++)
		CHECK_EQ(soq_recv_line(clients[i], line, sizeof(line)), 5);
	for (int i = PLACES; i < CLIENTS; i++) {
		soq_set_recv_timeout(clients[i], 3 * SOQ_MS);
		CHECK_ERR(soq_recv_line(clients[i], line, sizeof(line)), -ETIMEDOUT);
		soq_set_recv_timeout(clients[i], 30 * SOQ_S);
		leave(clients[i - PLACES]);
		CHECK_EQ(soq_recv_line(clients[i], line, sizeof(line)), 5);
	}
	for (int i = CLIENTS - PLACES; i < CLIENTS; i++)
		leave(clients[i]);
	remote_stop(&r);
}

/* A client that has a place; those before may still have to give theirs back. */
static struct soq_stream *admitted(const struct remote *r)
{
	char line[16];

	for (;;) {
		struct soq_stream *s = remote_connect(r, 0);

		if (soq_send_text(s, "hello\n") == 6 &&
			soq_recv_line(s, line, sizeof(line)) == 5)
			return s;
		soq_close(s);
		CHECK_OK(soq_sleep(SOQ_MS));
	}
}

/* One address cannot take every place; this machine's own are exempt. */
CONTRACT_SHAPES(limit_of_clients_of_an_address)
{
	enum { MOST = 3 };
	struct plan plan = plan_of(echo_a_line);
	struct soq_stream *clients[MOST];
	char there[64], local[64];
	struct remote r;

	if (test_shape() == TEST_ITERATIVE)
		return; /* an iterative server has one client */
	private_net_enter();
	plan.sites[0].endpoint = "tcp://0.0.0.0:0";
	plan.opt.clients_per_address_max = MOST;
	remote_start(&r, &plan);
	snprintf(there, sizeof(there), "tcp://" PRIVATE_ADDRESS ":%u",
		soq_addr_port(&r.addrs[0]));
	snprintf(local, sizeof(local), "tcp://127.0.0.1:%u", soq_addr_port(&r.addrs[0]));
	for (int round = 0; round < 3; round++) {
		strcpy(r.endpoints[0], there);
		for (int i = 0; i < MOST; i++)
			clients[i] = admitted(&r);
		expect_end(remote_connect(&r, 0));
		remote_await_log(&r, "refused");
		strcpy(r.endpoints[0], local);
		expect_service(&r, 0);
		for (int i = 0; i < MOST; i++)
			leave(clients[i]);
	}
	remote_stop(&r);
}

/* ---- descriptors ---- */

static long cpu_ticks(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[64], text[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	CHECK(f && fgets(text, sizeof(text), f));
	fclose(f);
	CHECK_EQ(sscanf(strrchr(text, ')'),
			 ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
			 &system),
		2);
	return (long)(user + system);
}

/* When descriptors run out, accepting pauses without spinning; those who have a place are
 * served on; and it goes on by itself when there are descriptors again. */
CONTRACT_SHAPES(limit_of_descriptors)
{
	enum { CLIENTS = 60 };
	struct plan plan = plan_of(echo_a_line);
	struct soq_stream *clients[CLIENTS];
	struct remote r;
	char line[32];
	long ticks;
	int served = 0;

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
		CHECK_EQ(soq_recv_line(clients[i], line, sizeof(line)), 5);
		expect_echo(clients[i], "still here");
	}
	ticks = cpu_ticks(r.pid);
	CHECK_OK(soq_sleep(300 * SOQ_MS)); /* 30 ticks for whoever spins */
	CHECK(cpu_ticks(r.pid) - ticks <= 10);
	for (int i = 0; i < CLIENTS; i++) {
		if (i >= 5)
			served += soq_recv_line(clients[i], line, sizeof(line)) == 5;
		leave(clients[i]);
	}
	CHECK_EQ(served, CLIENTS - 5); /* nobody was turned away */
	remote_await_log(&r, "accepting goes on");
	expect_service(&r, 0);
	remote_stop(&r);
}
