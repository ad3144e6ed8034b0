/* server_stop.c - draining: what is begun ends, what is idle is closed, nothing new comes;
 * and what does not end in time is cancelled.
 */
#include "contract/server.h"

#include <pthread.h>
#include <sys/inotify.h>

static struct plan plan_of(soq_handler *handler)
{
	counters_open();
	return (struct plan){ .sites = { { .endpoint = LOCAL, .handler = handler } },
		.opt = { .shape = the_shape() } };
}

CONTRACT_SHAPES(stop_lets_a_request_end)
{
	struct plan plan = plan_of(wait_at_the_gate);
	struct soq_stream *busy, *idle = NULL;
	struct remote r;

	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	if (test_shape() != TEST_ITERATIVE) { /* one between two requests */
		bell_ring(&bells.gate);
		idle = remote_connect(&r, 0);
		CHECK_EQ(soq_send_text(idle, "x\n"), 2);
		expect_line(idle, "done");
		bell_hush(&bells.gate);
	}
	atomic_store(&counters->began, 0);
	busy = remote_connect(&r, 0);
	CHECK_EQ(soq_send_text(busy, "x\n"), 2);
	AWAIT(atomic_load(&counters->began) == 1);
	remote_signal(&r, SIGTERM);
	if (idle)
		expect_end(idle); /* while the other is still busy */
	remote_await_drain(&r, 0);
	bell_ring(&bells.gate);
	expect_line(busy, "drained");
	expect_end(busy); /* although its handler said SOQ_AGAIN */
	remote_end(&r, 0);
}

/* Ctrl-C: a terminal sends SIGINT to the whole process group, the clients' processes too. */
CONTRACT_SHAPES_KERNEL(stop_from_a_terminal_lets_a_request_end, "no process groups")
{
	struct plan plan = plan_of(wait_at_the_gate);
	struct soq_stream *busy;
	sigset_t interrupt;
	struct remote r;
	int signal;

	/* This process is of the group as well. */
	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &interrupt, NULL), 0);
	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	busy = remote_connect(&r, 0);
	CHECK_EQ(soq_send_text(busy, "x\n"), 2);
	AWAIT(atomic_load(&counters->began) == 1);
	CHECK_OK(kill(0, SIGINT));
	remote_await_drain(&r, 0);
	bell_ring(&bells.gate);
	expect_line(busy, "drained");
	expect_end(busy);
	remote_end(&r, 0);
	CHECK_EQ(sigwait(&interrupt, &signal), 0);
}

CONTRACT_SHAPES(stop_without_clients)
{
	struct plan plan = plan_of(echo_lines);
	struct remote r;

	remote_start(&r, &plan);
	remote_stop(&r); /* perhaps before it runs */
	remote_start(&r, &plan);
	expect_service(&r, 0);
	remote_stop(&r);
}

static void hold_clients(struct remote *r, struct soq_stream *clients[], unsigned most)
{
	for (unsigned i = 0; i < most; i++)
		clients[i] = remote_connect(r, 0);
	AWAIT(atomic_load(&counters->began) == most);
}

CONTRACT_SHAPES(stop_cancels_when_the_grace_is_over)
{
	unsigned most = test_shape() == TEST_ITERATIVE ? 1 : 3;
	struct plan plan = plan_of(sleep_for_ever);
	struct soq_stream *clients[3];
	struct remote r;

	plan.opt.grace_ns = 5 * SOQ_MS;
	remote_start(&r, &plan);
	hold_clients(&r, clients, most);
	remote_signal(&r, SIGTERM);
	for (unsigned i = 0; i < most; i++)
		expect_end(clients[i]);
	remote_await_log(&r, "cancelled");
	remote_end(&r, -ETIMEDOUT);
	CHECK_EQ(atomic_load(&counters->cancelled), most);
}

CONTRACT_SHAPES(stop_twice_cancels_at_once)
{
	unsigned most = test_shape() == TEST_ITERATIVE ? 1 : 3;
	struct plan plan = plan_of(sleep_for_ever);
	struct soq_stream *clients[3];
	struct remote r;

	plan.sites[1] = (struct site){ .endpoint = LOCAL, .handler = echo_lines };
	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	hold_clients(&r, clients, most);
	remote_signal(&r, SIGTERM);
	remote_await_drain(&r, 1);
	CHECK_EQ(atomic_load(&counters->cancelled), 0);
	remote_signal(&r, SIGTERM);
	for (unsigned i = 0; i < most; i++)
		expect_end(clients[i]);
	remote_end(&r, -ETIMEDOUT);
	CHECK_EQ(atomic_load(&counters->cancelled), most);
}

/* Whoever runs the server can be cancelled like anybody else, and takes it with him. */
CONTRACT_SHAPES(stop_by_cancelling_the_run)
{
	struct plan plan = plan_of(sleep_for_ever);
	struct soq_stream *client;
	struct remote r;

	plan.cancel = true;
	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	hold_clients(&r, &client, 1);
	bell_ring(&bells.cancel);
	expect_end(client);
	remote_end(&r, -ECANCELED);
	CHECK_EQ(atomic_load(&counters->cancelled), 1);
}

/* A handler that heeds no cancellation: a process is killed for it, a thread or a fiber is
 * waited for. */
_Noreturn static int heed_nothing(struct soq_stream *peer, void *arg)
{
	(void)peer, (void)arg;
	count(&counters->began);
	for (;;)
		pause();
}

CONTRACT_KERNEL(stop_kills_a_process_that_heeds_nothing, "no processes")
{
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = heed_nothing } },
		.opt = { .shape = SOQ_SHAPE_PROCESS, .grace_ns = SOQ_MS } };
	struct soq_stream *client;
	struct remote r;

	counters_open();
	remote_start(&r, &plan);
	hold_clients(&r, &client, 1);
	remote_signal(&r, SIGTERM);
	expect_end(client);
	remote_end(&r, -ETIMEDOUT);
}

/* Who has connected before the stop is served, though nobody had accepted him. */
CONTRACT_SHAPES(stop_serves_the_backlog)
{
	enum { CLIENTS = 5 };
	struct soq_server_options opt = { .shape = the_shape() };
	struct soq_stream *clients[CLIENTS];
	struct soq_server *server;
	struct soq_addr addr;
	char text[64], line[64];

	if (test_shape() == TEST_ITERATIVE)
		return; /* an iterative server would keep its stop waiting for each of them */
	CHECK_OK(soq_server_new(&server, &opt));
	CHECK_OK(soq_server_listen(server, LOCAL, echo_a_line, NULL));
	CHECK_OK(soq_server_endpoint(server, 0, &addr, NULL));
	soq_addr_endpoint(text, sizeof(text), SOQ_SCHEME_TCP, &addr);
	for (int i = 0; i < CLIENTS; i++) {
		CHECK_OK(soq_connect(&clients[i], text));
		CHECK_EQ(soq_send_text(clients[i], "last\n"), 5);
		CHECK_OK(soq_shutdown(clients[i]));
	}
	if (test_is_simulated()) /* the handshake's last segment is on its way */
		CHECK_OK(soq_sleep(SOQ_MS));
	soq_server_stop(server);
	CHECK_OK(soq_server_run(server));
	for (int i = 0; i < CLIENTS; i++) {
		CHECK_EQ(soq_recv_line(clients[i], line, sizeof(line)), 4);
		CHECK_ERR(soq_recv_line(clients[i], line, sizeof(line)), -ENODATA);
		soq_close(clients[i]);
	}
	CHECK_EQ(soq_server_clients(server), 0);
	soq_server_free(server);
}

static int do_nothing(struct soq_stream *peer, void *arg)
{
	(void)peer, (void)arg;
	return SOQ_DONE;
}

/* Served without ever waiting, so that the stop is first seen when all is over: whoever
 * served must not begin to wait for the second one. */
CONTRACT_SHAPES(stop_seen_when_all_is_over)
{
	struct soq_server_options opt = {
		.shape = the_shape(), .linger_ns = 1, .grace_ns = 600 * SOQ_S
	};
	struct soq_server *server;
	struct soq_stream *s;
	struct soq_addr addr;
	char text[64];

	CHECK_OK(soq_server_new(&server, &opt));
	CHECK_OK(soq_server_listen(server, LOCAL, do_nothing, NULL));
	CHECK_OK(soq_server_endpoint(server, 0, &addr, NULL));
	soq_addr_endpoint(text, sizeof(text), SOQ_SCHEME_TCP, &addr);
	CHECK_OK(soq_connect(&s, text));
	soq_server_stop(server);
	CHECK_OK(soq_server_run(server));
	expect_end(s);
	soq_server_free(server);
}

/* ---- several workers ---- */

static int ignore(struct soq_dgram *d, const struct soq_packet *request, void *arg)
{
	(void)d, (void)request, (void)arg;
	return SOQ_DONE;
}

/* Only what the second worker serves takes its time. */
static int second_worker_waits(struct soq_stream *peer, void *arg)
{
	char byte;

	if (gettid() == getpid())
		return SOQ_DONE;
	soq_unrecv(peer, "\n", 1);
	soq_send_text(peer, "begun\n");
	if (wait_at_the_gate(peer, arg) == SOQ_AGAIN)
		soq_recv(peer, &byte, 1);
	return SOQ_DONE;
}

/* A client that the second worker serves. */
static struct soq_stream *second_workers_client(const struct remote *r)
{
	struct soq_stream *s;
	char line[32];

	for (;;) {
		s = remote_connect(r, 0);
		if (soq_recv_line(s, line, sizeof(line)) > 0)
			return s;
		soq_close(s);
	}
}

/* Until a file is gone. Source: inotify(7). */
static void await_removal(int watch, const char *path)
{
	char events[4096];

	while (access(path, F_OK) == 0) {
		CHECK(soq_wait_fd(watch, POLLIN) > 0);
		CHECK(read(watch, events, sizeof(events)) > 0);
	}
}

/* A worker that has no clients left must not end the others' grace. The first one removes its
 * Unix path when it ends. */
CONTRACT_KERNEL(stop_waits_for_every_worker, "no threads")
{
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = second_worker_waits } },
		.opt = { .workers = 2, .grace_ns = 600 * SOQ_S } };
	int watch = (int)CHECK_OK(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
	struct soq_stream *s;
	struct remote r;
	char gram[160];

	counters_open();
	snprintf(gram, sizeof(gram), "unixgram://%s/gram", test_dir());
	CHECK_OK(inotify_add_watch(watch, test_dir(), IN_DELETE));
	plan.sites[1] = (struct site){ .endpoint = gram, .dgram = ignore };
	plan.sites[2] = (struct site){ .endpoint = LOCAL, .handler = echo_lines };
	remote_start(&r, &plan);
	s = second_workers_client(&r);
	AWAIT(atomic_load(&counters->began) == 1);
	remote_signal(&r, SIGTERM);
	remote_await_drain(&r, 2); /* both of them */
	await_removal(watch, gram + strlen("unixgram://"));
	bell_ring(&bells.gate);
	expect_line(s, "drained");
	soq_close(s);
	remote_end(&r, 0);
	close(watch);
}

/* A stop that comes while the workers begin finds each with its sockets. A Unix path can be
 * bound once only: the others have copies of the first one's socket. */
CONTRACT(stop_while_workers_begin)
{
	struct plan plan = { .opt = { .workers = test_is_simulated() ? 1 : 3 }, .here = true };
	char path[160], gram[160];
	struct remote r;

	snprintf(path, sizeof(path), "unix://%s/stream", test_dir());
	snprintf(gram, sizeof(gram), "unixgram://%s/gram", test_dir());
	plan.sites[0] = (struct site){ .endpoint = path, .handler = echo_lines };
	plan.sites[1] = (struct site){ .endpoint = gram, .dgram = ignore };
	plan.sites[2] = (struct site){ .endpoint = LOCAL, .handler = echo_lines };
	for (unsigned i = 0; i < test_scale(30); i++) {
		remote_start(&r, &plan);
		remote_stop(&r);
	}
}

/* The same with the stop there before anything else, and with a socket that was inherited. */
CONTRACT(stop_before_the_run)
{
	struct soq_server_options opt = { .workers = test_is_simulated() ? 1 : 2,
		.grace_ns = 600 * SOQ_S };
	char path[160], inherited[32];

	snprintf(path, sizeof(path), "unix://%s/stream", test_dir());
	for (unsigned i = 0; i < test_scale(50); i++) {
		struct soq_server *server;
		int fd = -1;

		ROW("round %u", i);
		CHECK_OK(soq_server_new(&server, &opt));
		CHECK_OK(soq_server_listen(server, path, echo_lines, NULL));
		if (!test_is_simulated()) { /* where nothing is inherited */
			fd = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
			snprintf(inherited, sizeof(inherited), "fd://%d", fd);
			CHECK_OK(soq_server_listen(server, inherited, echo_lines, NULL));
		}
		soq_server_stop(server);
		CHECK_OK(soq_server_run(server));
		soq_server_free(server);
		CHECK(access(path + strlen("unix://"), F_OK) < 0);
		CHECK(fcntl(fd, F_GETFD) < 0); /* it was the server's to close */
	}
}

CONTRACT_KERNEL(stop_twice_with_several_workers, "no threads")
{
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = sleep_for_ever },
				     { .endpoint = LOCAL, .handler = echo_lines } },
		.opt = { .workers = 3, .grace_ns = 600 * SOQ_S } };
	struct soq_stream *clients[12];
	struct remote r;

	counters_open();
	remote_start(&r, &plan);
	hold_clients(&r, clients, 12);
	remote_signal(&r, SIGTERM);
	remote_await_drain(&r, 1);
	remote_signal(&r, SIGTERM);
	for (int i = 0; i < 12; i++)
		expect_end(clients[i]);
	remote_end(&r, -ETIMEDOUT);
	CHECK_EQ(atomic_load(&counters->cancelled), 12);
}

static int second_worker_sleeps(struct soq_stream *peer, void *arg)
{
	if (gettid() != getpid())
		return sleep_for_ever(peer, arg);
	count(&counters->ended);
	return SOQ_DONE;
}

/* The worker whose fiber is cancelled has no client: the others' are cancelled all the same. */
CONTRACT_KERNEL(stop_by_cancelling_a_run_with_several_workers, "no threads")
{
	struct plan plan = {
		.sites = { { .endpoint = LOCAL, .handler = second_worker_sleeps } },
		.opt = { .workers = 3, .grace_ns = 600 * SOQ_S },
		.cancel = true
	};
	struct soq_stream *s = NULL;
	struct remote r;

	counters_open();
	remote_start(&r, &plan);
	for (unsigned clients = 1; atomic_load(&counters->began) == 0; clients++) {
		s = remote_connect(&r, 0);
		AWAIT(atomic_load(&counters->ended) + atomic_load(&counters->began) == clients);
		if (atomic_load(&counters->began) == 0)
			expect_end(s);
	}
	bell_ring(&bells.cancel);
	expect_end(s);
	remote_end(&r, -ECANCELED);
	CHECK_EQ(atomic_load(&counters->began), 1);
	CHECK_EQ(atomic_load(&counters->cancelled), 1);
}

/* The same while clients come, until nobody listens any more. */
CONTRACT_KERNEL(stop_by_cancelling_a_run_while_clients_come, "no threads")
{
	struct plan plan = {
		.sites = { { .endpoint = LOCAL, .handler = second_worker_sleeps } },
		.opt = { .workers = 3, .grace_ns = 600 * SOQ_S },
		.cancel = true
	};
	struct soq_stream *s;
	struct remote r;

	counters_open();
	remote_start(&r, &plan);
	bell_ring(&bells.cancel);
	while (soq_connect(&s, r.places[0].endpoint) == 0) {
		/* Who connects just as a listener of the port closes may be forgotten by the
		 * kernel without a word, and learns of it by sending. */
		soq_send(s, "x", 1);
		expect_end(s);
	}
	remote_end(&r, -ECANCELED);
	CHECK_EQ(atomic_load(&counters->cancelled), atomic_load(&counters->began));
}

/* ---- from within ---- */

static struct soq_server *served;

static void stop_server(void *data)
{
	(void)data;
	soq_server_stop(served);
}

static int stop_at_the_close(struct soq_stream *peer, void *arg)
{
	(void)arg;
	soq_set_stream_data(peer, NULL, stop_server);
	return SOQ_DONE;
}

static void connect_and_leave(void *arg)
{
	struct soq_stream *s;

	CHECK_OK(soq_connect(&s, arg));
	leave(s);
}

/* A stop at the last moment of a client's life: whoever served it must not begin to wait for
 * the second one. */
CONTRACT_SHAPES(stop_as_a_client_ends)
{
	struct soq_server_options opt = { .shape = the_shape(), .grace_ns = 600 * SOQ_S };
	struct soq_scope *scope = scope_open();
	char text[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_addr addr;

	CHECK_OK(soq_server_new(&served, &opt));
	CHECK_OK(soq_server_listen(served, LOCAL, stop_at_the_close, NULL));
	CHECK_OK(soq_server_endpoint(served, 0, &addr, NULL));
	soq_addr_endpoint(text, sizeof(text), SOQ_SCHEME_TCP, &addr);
	CHECK_OK(soq_spawn(scope, connect_and_leave, text));
	CHECK_OK(soq_server_run(served));
	scope_join(scope);
	soq_server_free(served);
}

static void *stop_from_a_thread(void *arg)
{
	soq_server_stop(arg);
	return NULL;
}

CONTRACT_SHAPES_KERNEL(stop_by_another_thread, "no threads")
{
	struct soq_server_options opt = { .shape = the_shape() };
	struct soq_server *server;
	pthread_t thread;

	CHECK_OK(soq_server_new(&server, &opt));
	CHECK_OK(soq_server_listen(server, LOCAL, echo_lines, NULL));
	CHECK_EQ(pthread_create(&thread, NULL, stop_from_a_thread, server), 0);
	CHECK_OK(soq_server_run(server));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	soq_server_free(server);
}

static int silent(struct soq_stream *peer, void *arg)
{
	return SOQ_DONE;
}

/* Its sockets are gone: that is said, and nothing crashes. */
CONTRACT(server_runs_once)
{
	struct soq_server *server;

	CHECK_OK(soq_server_new(&server, NULL));
	CHECK_OK(soq_server_listen(server, LOCAL, silent, NULL));
	soq_server_stop(server);
	CHECK_EQ(soq_server_run(server), 0);
	CHECK_ERR(soq_server_run(server), -EINVAL);
	CHECK(strstr(soq_last_error(), "cannot run again"));
	soq_server_free(server);
}
