/* tls_servers.c - servers that speak TLS, whatever their shape: requests however they are cut,
 * clients that are idle, that leave without a word, that never finish their handshake.
 */
#include "contract/server.h"
#include "net/tls_openssl.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SECURE	 "tls://127.0.0.1:0" /* on the server's host */

/* What both go by: made before the server's process is. */
static struct {
	struct soq_tls *server, *client;
} tls;

#if defined(__SANITIZE_ADDRESS__)
/* A thread that is about to end when its process does has not given back what OpenSSL keeps for
 * it, and nobody waits for the threads of the thread shape. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return test_shape() == TEST_THREAD;
}
#endif

#if defined(__SANITIZE_THREAD__)
#define WORKERS 1 /* it takes a forked process's threads for the parent's */
#else
#define WORKERS 4
#endif

#define POOL_THREADS 8 /* as offload.c has them at most */

static void forget_openssl(void *arg)
{
	OPENSSL_thread_stop();
	pthread_barrier_wait(arg);
}

static void offload_forget(void *arg)
{
	CHECK_OK(soq_offload(forget_openssl, arg));
}

/* What OpenSSL keeps for the threads of the pool would be a leak in the server's process, which
 * does not have these threads. */
static void leave_nothing_to_the_server(void)
{
	struct soq_scope *scope = scope_open();
	pthread_barrier_t all;

	CHECK_EQ(pthread_barrier_init(&all, NULL, POOL_THREADS), 0);
	for (unsigned i = 0; i < POOL_THREADS; i++)
		CHECK_OK(soq_spawn(scope, offload_forget, &all));
	scope_join(scope);
	pthread_barrier_destroy(&all);
}

static void tls_open(enum soq_tls_version version, int64_t handshake_timeout_ns)
{
	static const struct soq_certificate_options made = {
		.names = "localhost 127.0.0.1 ::1 10.9.1.1 10.9.2.1 10.9.3.1", .replace = true
	};
	char file[256];

	snprintf(file, sizeof(file), "%s/server.pem", test_dir());
	CHECK_OK(soq_make_certificate(file, NULL, &made));
	CHECK_OK(soq_tls_new(&tls.server,
		&(struct soq_tls_options){ .certificate = file,
			.max_version = version,
			.handshake_timeout_ns = handshake_timeout_ns }));
	CHECK_OK(soq_tls_new(&tls.client, &(struct soq_tls_options){ .ca = file }));
	if (!test_is_simulated())
		leave_nothing_to_the_server();
}

static void tls_close(void)
{
	soq_tls_free(tls.server);
	soq_tls_free(tls.client);
}

static struct plan plan_of(soq_handler *handler)
{
	counters_open();
	return (struct plan){ .sites = { { .endpoint = SECURE, .handler = handler } },
		.opt = { .shape = the_shape(), .tls = tls.server } };
}

static struct soq_stream *secure_connect(const struct remote *r)
{
	struct soq_stream *s;

	CHECK_OK(soq_connect_tls(&s, r->places[0].endpoint, tls.client));
	soq_set_recv_timeout(s, 30 * SOQ_S);
	soq_set_send_timeout(s, 30 * SOQ_S);
	return s;
}

/* Connected, and silent. */
static struct soq_stream *clear_connect(const struct remote *r)
{
	char text[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_stream *s;

	soq_addr_endpoint(text, sizeof(text), SOQ_SCHEME_TCP, &r->places[0].addr);
	CHECK_OK(soq_connect(&s, text));
	soq_set_recv_timeout(s, 30 * SOQ_S);
	return s;
}

static void expect_secure_service(const struct remote *r)
{
	struct soq_stream *s = secure_connect(r);

	expect_echo(s, "is anybody there");
	leave(s);
}

/* The server has said that its flow is over. */
static void expect_told_end(struct soq_stream *s)
{
	char byte;

	CHECK_ERR(soq_recv(s, &byte, 1), 0);
	soq_close(s);
}

/* Its connection is gone beneath TLS, which is not told. */
static void cut(struct soq_stream *s, bool reset)
{
	if (reset)
		stream_reset(s);
	else
		soq_close(s);
}

static const enum soq_tls_version versions[] = { SOQ_TLS_1_3, SOQ_TLS_1_2 };
static const char *const version_names[] = { "TLSv1.3", "TLSv1.2" };

/* Each case, by one version and then by the other. */
static void each_version(void (*body)(void))
{
	if (!have_tls())
		SKIP("this build has no TLS");
	for (size_t i = 0; i < COUNT(versions); i++) {
		ROW("%s", version_names[i]);
		tls_open(versions[i], 0);
		body();
		tls_close();
	}
}

/* ---- requests ---- */

static void many_requests(void)
{
	struct plan plan = plan_of(echo_a_line);
	struct soq_stream *s;
	struct remote r;
	char text[200];

	remote_start(&r, &plan);
	s = secure_connect(&r);
	for (unsigned i = 0; i < 30; i++) {
		memset(text, 'a' + (int)i % 26, sizeof(text));
		text[(i * 37) % (sizeof(text) - 1)] = '\0';
		expect_echo(s, text);
	}
	leave(s);
	remote_stop(&r);
}

CONTRACT_SHAPES(tls_server_answers_many_requests)
{
	each_version(many_requests);
}

/* Three requests are cut into records as the table says; some end in one and begin in another.
 */
static void cut_requests(void)
{
	static const char *const rows[][8] = {
		{ "one\ntwo\nthree\n" },
		{ "one\n", "two\n", "three\n" },
		{ "one\ntwo\nth", "ree\n" },
		{ "o", "ne\nt", "wo", "\nthree", "\n" },
		{ "one", "\n", "two", "\n", "three", "\n" },
	};
	struct plan plan = plan_of(echo_a_line);
	struct remote r;

	remote_start(&r, &plan);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct soq_stream *s = secure_connect(&r);

		expect_echo(s, "first"); /* it is parked when they come */
		for (size_t n = 0; n < 8 && rows[i][n]; n++)
			CHECK_OK(soq_send_text(s, rows[i][n]));
		expect_line(s, "one");
		expect_line(s, "two");
		expect_line(s, "three");
		leave(s);
	}
	remote_stop(&r);
}

CONTRACT_SHAPES(tls_server_requests_cut_into_records)
{
	each_version(cut_requests);
}

/* Four bytes back a call. */
static int echo_four(struct soq_stream *peer, void *arg)
{
	char buf[4];
	ssize_t n = soq_recv_full(peer, buf, sizeof(buf));

	(void)arg;
	if (n != sizeof(buf))
		return n < 0 ? (int)n : SOQ_DONE;
	return soq_send(peer, buf, sizeof(buf)) == sizeof(buf) ? SOQ_AGAIN : SOQ_DONE;
}

/* The handler takes no more than its request: the others wait where they were decrypted. */
static void small_requests(void)
{
	static const char requests[] = "one.two.four";
	struct plan plan = plan_of(echo_four);
	struct soq_stream *s;
	struct remote r;
	char buf[16] = "";

	remote_start(&r, &plan);
	s = secure_connect(&r);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(soq_send_text(s, requests), 12);
		CHECK_EQ(soq_recv_full(s, buf, 12), 12);
		CHECK_STR(buf, requests);
	}
	leave(s);
	remote_stop(&r);
}

CONTRACT_SHAPES(tls_server_requests_of_one_record)
{
	each_version(small_requests);
}

/* New keys come while nobody waits for a request; one comes later. */
static void new_keys(void)
{
	struct plan plan = plan_of(echo_a_line);
	struct soq_stream *s;
	struct remote r;

	remote_start(&r, &plan);
	s = secure_connect(&r);
	for (int i = 0; i < 6; i++) {
		SSL *ssl = soq__tls_ssl(s);

		expect_echo(s, "before");
		if (SSL_version(ssl) == TLS1_3_VERSION) {
			CHECK_EQ(SSL_key_update(ssl, i % 2), 1);
			CHECK_EQ(SSL_do_handshake(ssl), 1);
		}
		expect_echo(s, "after");
	}
	leave(s);
	remote_stop(&r);
}

CONTRACT_SHAPES(tls_server_new_keys_between_requests)
{
	each_version(new_keys);
}

/* What only TLS has to say, tickets, is nothing to receive. */
static void tickets(void)
{
	struct plan plan = plan_of(echo_a_line);
	struct soq_stream *s;
	struct remote r;
	char byte;

	remote_start(&r, &plan);
	s = secure_connect(&r);
	soq_set_recv_timeout(s, 20 * SOQ_MS);
	CHECK_ERR(soq_wait_readable(s), -ETIMEDOUT);
	CHECK_ERR(soq_recv(s, &byte, 1), -ETIMEDOUT);
	soq_set_recv_timeout(s, 30 * SOQ_S);
	expect_echo(s, "after the tickets");
	leave(s);
	s = secure_connect(&r);
	expect_echo(s, "with a ticket");
	leave(s);
	remote_stop(&r);
}

CONTRACT_SHAPES(tls_server_tickets_are_no_data)
{
	each_version(tickets);
}

/* ---- clients that leave ---- */

/* Between two requests, or in one; with a word, without, or by a reset: the next one is served.
 */
static void leavers(void)
{
	struct plan plan = plan_of(echo_a_line);
	struct remote r;

	remote_start(&r, &plan);
	for (unsigned i = 0; i < 6; i++) {
		struct soq_stream *s = secure_connect(&r);

		expect_echo(s, "hello");
		if (i & 1)
			CHECK_EQ(soq_send_text(s, "half a line"), 11);
		if (i < 2)
			CHECK_OK(soq_shutdown(s));
		cut(s, i >= 4);
		expect_secure_service(&r);
	}
	remote_stop(&r);
}

CONTRACT_SHAPES(tls_server_clients_leave)
{
	each_version(leavers);
}

/* In clear: another protocol, bytes that are none, and nothing at all. */
static void strangers(void)
{
	static const char *const rows[] = { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\3\1\0\5",
		"\x16\3\1\xff\xff", "\x80\x2e\1\3\1", "", "\n\n\n\n\n\n\n\n" };
	struct plan plan = plan_of(echo_a_line);
	struct remote r;

	remote_start(&r, &plan);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct soq_stream *s = clear_connect(&r);
		char byte;
		ssize_t n;

		if (*rows[i])
			CHECK_OK(soq_send(s, rows[i], strlen(rows[i])));
		CHECK_OK(soq_shutdown(s));
		/* An alert may come, and then the end. */
		while ((n = soq_recv(s, &byte, 1)) > 0)
			;
		CHECK(n == 0 || n == -ECONNRESET);
		soq_close(s);
	}
	expect_secure_service(&r);
	remote_stop(&r);
}

CONTRACT_SHAPES(tls_server_strangers)
{
	each_version(strangers);
}

/* ---- limits ---- */

CONTRACT_SHAPES(tls_server_idle_client_is_told_the_end)
{
	struct plan plan;
	struct soq_stream *s;
	struct remote r;

	if (!have_tls())
		SKIP("this build has no TLS");
	for (size_t i = 0; i < COUNT(versions); i++) {
		ROW("%s", version_names[i]);
		tls_open(versions[i], 0);
		plan = plan_of(echo_a_line);
		plan.opt.idle_timeout_ns = 50 * SOQ_MS;
		remote_start(&r, &plan);
		s = secure_connect(&r);
		expect_echo(s, "hello");
		expect_told_end(s);
		remote_stop(&r);
		tls_close();
	}
}

CONTRACT_SHAPES(tls_server_silent_client)
{
	struct plan plan;
	struct soq_stream *s;
	struct remote r;

	if (!have_tls())
		SKIP("this build has no TLS");
	tls_open(SOQ_TLS_ANY, 30 * SOQ_MS);
	plan = plan_of(echo_a_line);
	remote_start(&r, &plan);
	s = clear_connect(&r);
	remote_await_log(&r, "did not finish the TLS handshake in time");
	expect_end(s);
	remote_stop(&r);
	tls_close();
}

/* ---- the end ---- */

static void stop_with_idle_client(void)
{
	struct plan plan = plan_of(echo_a_line);
	struct soq_stream *s;
	struct remote r;

	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	s = secure_connect(&r);
	expect_echo(s, "hello");
	/* What follows a park in the server's order: a second client is let in. */
	if (test_shape() != TEST_ITERATIVE)
		expect_secure_service(&r);
	remote_signal(&r, SIGTERM);
	expect_told_end(s);
	remote_end(&r, 0);
}

CONTRACT_SHAPES(tls_server_stop_tells_idle_clients)
{
	each_version(stop_with_idle_client);
}

static void stop_in_request(void)
{
	struct plan plan = plan_of(wait_at_the_gate);
	struct soq_stream *s;
	struct remote r;

	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	s = secure_connect(&r);
	CHECK_EQ(soq_send_text(s, "x\n"), 2);
	AWAIT(atomic_load(&counters->began) == 1);
	remote_signal(&r, SIGTERM);
	remote_await_drain(&r, 0);
	bell_ring(&bells.gate);
	expect_line(s, "drained");
	expect_told_end(s);
	remote_end(&r, 0);
}

CONTRACT_SHAPES(tls_server_stop_lets_a_request_end)
{
	each_version(stop_in_request);
}

/* Two stops cancel what runs; the client is told even so. */
static void stop_twice(void)
{
	struct plan plan = plan_of(sleep_for_ever);
	struct soq_stream *s;
	struct remote r;

	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	s = secure_connect(&r);
	AWAIT(atomic_load(&counters->began) == 1);
	remote_signal(&r, SIGTERM);
	remote_await_drain(&r, 0);
	remote_signal(&r, SIGTERM);
	expect_told_end(s);
	remote_end(&r, -ETIMEDOUT);
}

CONTRACT_SHAPES(tls_server_stop_twice)
{
	each_version(stop_twice);
}

/* In mid-handshake nothing has been asked for: such a client is let go, not waited for. */
CONTRACT_SHAPES(tls_server_stop_in_a_handshake)
{
	struct plan plan;
	struct soq_stream *s, *other = NULL;
	struct remote r;

	if (!have_tls())
		SKIP("this build has no TLS");
	tls_open(SOQ_TLS_ANY, 600 * SOQ_S);
	plan = plan_of(echo_a_line);
	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	s = clear_connect(&r);
	CHECK_EQ(soq_send(s, "\x16\3\1\1\0\1", 6), 6);
	if (test_shape() != TEST_ITERATIVE) {
		other = secure_connect(&r); /* accepted later */
		expect_echo(other, "hello");
	}
	remote_signal(&r, SIGTERM);
	expect_end(s);
	if (other)
		expect_told_end(other);
	remote_end(&r, 0);
	tls_close();
}

/* ---- many at once ---- */

struct crowd {
	const struct remote *remote;
	unsigned resumed;
};

static void crowd_client(void *arg)
{
	struct crowd *c = arg;

	for (unsigned i = 0; i < 3; i++) {
		struct soq_stream *s = secure_connect(c->remote);
		struct soq_tls_info info;

		CHECK_OK(soq_tls_info(s, &info));
		c->resumed += info.resumed;
		for (unsigned n = 0; n < 5; n++)
			expect_echo(s, "one of many");
		leave(s);
	}
}

/* On several workers, processes or threads: a ticket of one is good for another. */
static void crowd(void)
{
	unsigned clients = test_shape() == TEST_ITERATIVE ? 2 : test_scale(25);
	struct plan plan = plan_of(echo_a_line);
	struct soq_scope *scope = scope_open();
	struct crowd c = { 0 };
	struct remote r;

	if (test_shape() == TEST_FIBER)
		plan.opt.workers = WORKERS;
	c.remote = &r;
	remote_start(&r, &plan);
	for (unsigned i = 0; i < clients; i++)
		CHECK_OK(soq_spawn(scope, crowd_client, &c));
	scope_join(scope);
	CHECK(c.resumed > 0);
	c.resumed = 0;
	crowd_client(&c); /* alone, it always has a ticket */
	CHECK_EQ(c.resumed, 3);
	remote_stop(&r);
}

CONTRACT_SHAPES(tls_server_crowd)
{
	each_version(crowd);
}

static void *run_server(void *arg)
{
	CHECK_OK(soq_server_run(arg));
	CHECK_OK(soq_thread_end());
	return NULL;
}

/* Workers of this process, so that a checker of threads sees all of them. */
CONTRACT_KERNEL(tls_server_workers_beside_their_clients, "a simulated world has one thread")
{
	struct soq_server_options opt = { .workers = 3 };
	struct soq_scope *scope = scope_open();
	struct crowd c = { 0 };
	struct soq_server *server;
	struct remote r;
	pthread_t thread;

	if (!have_tls())
		SKIP("this build has no TLS");
	tls_open(SOQ_TLS_ANY, 0);
	opt.tls = tls.server;
	CHECK_OK(soq_server_new(&server, &opt));
	CHECK_OK(soq_server_listen(server, SECURE, echo_a_line, NULL));
	place_find(&r.places[0], server, 0, process_address(0));
	CHECK_EQ(pthread_create(&thread, NULL, run_server, server), 0);
	c.remote = &r;
	for (unsigned i = 0; i < 10; i++)
		CHECK_OK(soq_spawn(scope, crowd_client, &c));
	CHECK_OK(soq_tls_reload(tls.server)); /* handshakes go on meanwhile */
	CHECK_OK(soq_tls_reload(tls.client));
	scope_join(scope);
	soq_server_stop(server);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	soq_server_free(server);
	tls_close();
}
