/* server_shapes.c - the same handlers on every engine and in every shape. */
#include "contract/server.h"

static struct plan plan_of(const char *endpoint, soq_handler *handler)
{
	return (struct plan){ .sites = { { .endpoint = endpoint, .handler = handler } },
		.opt = { .shape = the_shape() } };
}

struct client {
	const struct remote *remote;
	unsigned id;
	size_t site;
};

static void client_main(void *arg)
{
	struct client *c = arg;
	struct soq_stream *s = remote_connect(c->remote, c->site);
	char text[64];

	for (unsigned i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "client %u line %u", c->id, i);
		expect_echo(s, text);
		CHECK_OK(soq_yield());
	}
	leave(s);
}

static void run_clients(const struct remote *r, unsigned count, size_t sites)
{
	struct soq_scope *scope = scope_open();
	struct client clients[64];

	CHECK(count <= 64);
	for (unsigned i = 0; i < count; i++) {
		clients[i] = (struct client){ r, i, i % sites };
		CHECK_OK(soq_spawn(scope, client_main, &clients[i]));
	}
	scope_join(scope);
}

CONTRACT_SHAPES(server_many_clients_at_once)
{
	struct plan plan = plan_of(LOCAL, echo_lines);
	struct remote r;

	remote_start(&r, &plan);
	run_clients(&r, 20, 1);
	remote_stop(&r);
}

CONTRACT_SHAPES(server_many_clients_line_by_line)
{
	struct plan plan = plan_of(LOCAL, echo_a_line);
	struct remote r;

	remote_start(&r, &plan);
	run_clients(&r, 20, 1);
	remote_stop(&r);
}

CONTRACT_SHAPES(server_several_endpoints)
{
	char path[128];
	struct plan plan = plan_of("tcp://:0", echo_a_line);
	struct remote r;

	snprintf(path, sizeof(path), "unix://%s/server", test_dir());
	plan.here = true;
	plan.sites[1] = (struct site){ .endpoint = path, .handler = echo_lines };
	plan.sites[2] = (struct site){ .endpoint = LOCAL, .handler = echo_a_line };
	remote_start(&r, &plan);
	run_clients(&r, 30, 3);
	remote_stop(&r);
	CHECK(access(path + strlen("unix://"), F_OK) < 0);
}

static int tell_peer(struct soq_stream *peer, void *arg)
{
	char text[SOQ_ADDR_TEXT_MAX];
	struct soq_addr addr;
	int rc = soq_peer_addr(peer, &addr);

	(void)arg;
	if (rc < 0)
		return rc;
	soq_addr_format(text, sizeof(text), &addr);
	soq_send_text(peer, text);
	return SOQ_DONE;
}

CONTRACT_SHAPES(server_handler_sees_its_peer)
{
	char endpoint[SOQ_ENDPOINT_TEXT_MAX], want[SOQ_ADDR_TEXT_MAX];
	struct plan plan = plan_of("tcp://:0", tell_peer);
	struct remote r;

	remote_start(&r, &plan);
	for (unsigned i = 0; i < 3; i++) {
		struct soq_stream *s;
		struct soq_addr addr;

		remote_at(endpoint, &r, 0, i);
		s = connect_to(endpoint);
		CHECK_OK(soq_local_addr(s, &addr));
		soq_addr_format(want, sizeof(want), &addr);
		expect_line(s, want);
		soq_close(s);
	}
	remote_stop(&r);
}

/* ---- between two calls ---- */

struct memory {
	unsigned calls;
};

static void memory_free(void *data)
{
	free(data);
	count(&counters->ended);
}

static int count_calls(struct soq_stream *peer, void *arg)
{
	struct memory *m = soq_stream_data(peer);
	char buf[64], reply[32];
	ssize_t n;

	(void)arg;
	if (!m) {
		m = calloc(1, sizeof(*m));
		soq_set_stream_data(peer, m, memory_free);
	}
	/* Take more than one request, and give back what is too much. */
	n = soq_recv(peer, buf, sizeof(buf));
	if (n <= 0)
		return SOQ_DONE;
	if (n > 1 && soq_unrecv(peer, buf + 1, (size_t)n - 1) < 0)
		return SOQ_DONE;
	snprintf(reply, sizeof(reply), "%c%u\n", buf[0], ++m->calls);
	soq_send_text(peer, reply);
	return SOQ_AGAIN;
}

CONTRACT_SHAPES(server_again_keeps_data_and_what_is_left)
{
	struct plan plan = plan_of(LOCAL, count_calls);
	struct soq_stream *s;
	struct remote r;
	char want[32];

	counters_open();
	remote_start(&r, &plan);
	for (unsigned clients = 0; clients < 3; clients++) {
		unsigned calls = 0;

		s = remote_connect(&r, 0);
		for (int round = 0; round < 5; round++) {
			CHECK_EQ(soq_send_text(s, "abcd"), 4); /* four requests at once */
			for (int i = 0; i < 4; i++) {
				snprintf(want, sizeof(want), "%c%u", "abcd"[i], ++calls);
				expect_line(s, want);
			}
		}
		leave(s);
		AWAIT(atomic_load(&counters->ended) == clients + 1);
	}
	remote_stop(&r);
}

static int fail(struct soq_stream *peer, void *arg)
{
	(void)peer, (void)arg;
	return -EBADMSG;
}

CONTRACT_SHAPES(server_logs_a_failed_handler)
{
	struct plan plan = plan_of(LOCAL, fail);
	struct soq_stream *s;
	struct remote r;
	char byte;

	remote_start(&r, &plan);
	s = remote_connect(&r, 0);
	CHECK_EQ(soq_recv(s, &byte, 1), 0);
	remote_await_log(&r, soq_strerror(-EBADMSG));
	soq_close(s);
	remote_stop(&r);
}

/* ---- peers that behave badly ---- */

static void misbehave(const struct remote *r, unsigned how)
{
	struct soq_stream *s = remote_connect(r, 0);

	if (how % 2)
		CHECK_EQ(soq_send_text(s, "half a line"), 11);
	if (how / 2 == 0)
		CHECK_OK(soq_set_linger(s, 0)); /* a reset */
	else if (how / 2 == 1)
		CHECK_OK(soq_shutdown(s));
	soq_close(s);
}

CONTRACT_SHAPES(server_survives_resets_and_ends)
{
	soq_handler *const handlers[] = { echo_lines, echo_a_line };

	for (int h = 0; h < 2; h++) {
		struct plan plan = plan_of(LOCAL, handlers[h]);
		struct soq_stream *half;
		struct remote r;
		char line[32];

		remote_start(&r, &plan);
		for (unsigned i = 0; i < 30; i++)
			misbehave(&r, i % 6);
		expect_service(&r, 0);
		/* What came before a half-close is answered. */
		half = remote_connect(&r, 0);
		CHECK_EQ(soq_send_text(half, "one\ntwo\nthree"), 13);
		CHECK_OK(soq_shutdown(half));
		CHECK_EQ(soq_recv_line(half, line, sizeof(line)), 3);
		CHECK_EQ(soq_recv_line(half, line, sizeof(line)), 3);
		CHECK_EQ(soq_recv_line(half, line, sizeof(line)), 5);
		CHECK_ERR(soq_recv_line(half, line, sizeof(line)), -ENODATA);
		soq_close(half);
		remote_stop(&r);
	}
}

/* A client that sends a byte now and then keeps nobody else waiting; an iterative server,
 * as the textbook says, is its to the end. */
CONTRACT_SHAPES(server_slow_client_harms_only_itself)
{
	struct plan plan = plan_of(LOCAL, echo_a_line);
	struct soq_stream *slow;
	struct remote r;
	char line[32];

	remote_start(&r, &plan);
	slow = remote_connect(&r, 0);
	for (const char *p = "slowly"; *p; p++) {
		CHECK_EQ(soq_send(slow, p, 1), 1);
		if (test_shape() != TEST_ITERATIVE)
			expect_service(&r, 0);
	}
	CHECK_EQ(soq_send_text(slow, "\n"), 1);
	CHECK_EQ(soq_recv_line(slow, line, sizeof(line)), 6);
	leave(slow);
	expect_service(&r, 0);
	remote_stop(&r);
}

/* ---- processes ---- */

static int crash_or_echo(struct soq_stream *peer, void *arg)
{
	char byte;

	(void)arg;
	if (soq_recv(peer, &byte, 1) != 1)
		return SOQ_DONE;
	if (byte == '!')
		raise(SIGKILL); /* as a crash, but sanitizers have nothing to say */
	soq_unrecv(peer, &byte, 1);
	return echo_lines(peer, arg);
}

CONTRACT_KERNEL(server_process_crash_kills_one_client, "no processes")
{
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = crash_or_echo } },
		.opt = { .shape = SOQ_SHAPE_PROCESS } };
	struct soq_stream *other, *s;
	struct remote r;
	char byte;

	remote_start(&r, &plan);
	other = remote_connect(&r, 0);
	expect_echo(other, "before");
	s = remote_connect(&r, 0);
	CHECK_EQ(soq_send_text(s, "!"), 1);
	CHECK_EQ(soq_recv(s, &byte, 1), 0);
	soq_close(s);
	remote_await_log(&r, "ended by signal 9");
	expect_echo(other, "after");
	leave(other);
	expect_service(&r, 0);
	remote_stop(&r);
}

static int children_of(pid_t pid)
{
	char path[64];
	int count = 0, child;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "re");
	if (!f)
		SKIP("%s cannot be read here", path);
	while (fscanf(f, "%d", &child) == 1)
		count++;
	fclose(f);
	return count;
}

/* There is room for a client when the one before has been reaped: with as many clients as
 * there may be, each served, there is a child for each and no other. */
CONTRACT_KERNEL(server_process_children_are_reaped, "no processes")
{
	enum { PLACES = 10 };
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = echo_lines } },
		.opt = { .shape = SOQ_SHAPE_PROCESS, .clients_max = PLACES } };
	struct soq_stream *clients[PLACES];
	struct remote r;

	remote_start(&r, &plan);
	for (unsigned round = 0; round < 4; round++) {
		ROW("round %u", round);
		for (unsigned i = 0; i < PLACES; i++) {
			clients[i] = remote_connect(&r, 0);
			expect_echo(clients[i], "served");
		}
		CHECK_EQ(children_of(r.process.pid), PLACES);
		for (unsigned i = 0; i < PLACES; i++)
			leave(clients[i]);
	}
	remote_stop(&r);
}

/* ---- workers ---- */

static int tell_thread(struct soq_stream *peer, void *arg)
{
	char text[32];

	(void)arg;
	snprintf(text, sizeof(text), "%d", (int)gettid());
	soq_send_text(peer, text);
	return SOQ_DONE;
}

static void check_workers(const char *endpoint, bool every_worker)
{
	struct plan plan = { .sites = { { .endpoint = endpoint, .handler = tell_thread } },
		.opt = { .shape = SOQ_SHAPE_FIBER, .workers = 2 } };
	char first[32], line[32];
	unsigned clients = 0;
	bool both = false;
	struct remote r;

	ROW("%s", endpoint);
	remote_start(&r, &plan);
	/* The kernel spreads by a hash of the ports, so it takes a few. */
	while (clients < 100 || (every_worker && !both)) {
		struct soq_stream *s = remote_connect(&r, 0);

		CHECK_OK(soq_recv_line(s, line, sizeof(line)));
		if (clients++ == 0)
			strcpy(first, line);
		both |= strcmp(first, line) != 0;
		soq_close(s);
	}
	remote_stop(&r);
}

CONTRACT_KERNEL(server_workers_share_the_clients, "no threads")
{
	char path[128];

	check_workers("tcp://127.0.0.1:0", true);
	/* A Unix socket's workers share one queue: whoever is free takes the next. */
	snprintf(path, sizeof(path), "unix://%s/workers", test_dir());
	check_workers(path, false);
}

/* Sharing the port among our workers must not let a second server have it. */
CONTRACT(server_port_is_its_own)
{
	unsigned most = test_is_simulated() ? 1 : 2;

	for (unsigned workers = 1; workers <= most; workers++) {
		struct soq_server_options opt = { .workers = workers };
		struct soq_server *a, *b;
		struct soq_addr addr;
		char text[64];

		ROW("%u workers", workers);
		CHECK_OK(soq_server_new(&a, &opt));
		CHECK_OK(soq_server_new(&b, &opt));
		CHECK_OK(soq_server_listen(a, LOCAL, echo_lines, NULL));
		CHECK_OK(soq_server_endpoint(a, 0, &addr, NULL));
		soq_addr_endpoint(text, sizeof(text), SOQ_SCHEME_TCP, &addr);
		CHECK_ERR(soq_server_listen(b, text, echo_lines, NULL), -EADDRINUSE);
		CHECK(strstr(soq_last_error(), text));
		CHECK_ERR(soq_server_endpoint(b, 0, &addr, NULL), -ENOENT);
		CHECK_ERR(soq_server_run(b), -EINVAL); /* it has no endpoint */
		soq_server_free(a);
		CHECK_OK(soq_server_listen(b, text, echo_lines, NULL));
		soq_server_free(b);
	}
	soq_server_free(NULL);
}

CONTRACT(server_bad_options)
{
	struct soq_server_options bad_shape = { .shape = (enum soq_shape)9 };
	struct soq_server *server = NULL;
	enum soq_shape shape;

	CHECK_ERR(soq_server_new(&server, &bad_shape), -EINVAL);
	CHECK(!server);
	CHECK_ERR(soq_shape_parse(&shape, "spiral"), -EINVAL);
	for (enum soq_shape s = SOQ_SHAPE_ITERATIVE; s <= SOQ_SHAPE_FIBER; s++) {
		CHECK_OK(soq_shape_parse(&shape, soq_shape_name(s)));
		CHECK_EQ(shape, s);
	}
	CHECK_ERR(soq_serve("nonsense", echo_lines, NULL, NULL), -SOQ_EENDPOINT);
	CHECK_ERR(soq_serve("udp://127.0.0.1:0", echo_lines, NULL, NULL), -EPROTOTYPE);
	CHECK_ERR(soq_serve_dgrams("tcp://127.0.0.1:0", NULL, NULL, NULL), -EPROTOTYPE);
}

SIM(server_refuses_what_a_simulated_host_lacks)
{
	static const struct {
		struct soq_server_options opt;
		const char *word;
	} rows[] = {
		{ { .shape = SOQ_SHAPE_PROCESS }, "fiber" },
		{ { .shape = SOQ_SHAPE_THREAD }, "fiber" },
	};
	struct soq_server *server = NULL;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%zu", i);
		CHECK_ERR(soq_server_new(&server, &rows[i].opt), -SOQ_ESIMULATED);
		CHECK(!server);
		CHECK(strstr(soq_last_error(), rows[i].word));
	}
}
