/* server_dgrams.c - datagram handlers in every shape. */
#include "contract/server.h"

static int echo_dgram(struct soq_dgram *d, const struct soq_packet *request, void *arg)
{
	ssize_t n = soq_reply(d, request, request->data, request->len);

	(void)arg;
	return n < 0 ? (int)n : SOQ_DONE;
}

static struct plan plan_of(const char *endpoint, soq_dgram_handler *handler)
{
	counters_open();
	return (struct plan){ .sites = { { .endpoint = endpoint, .dgram = handler } },
		.opt = { .shape = the_shape() } };
}

static struct soq_dgram *dgram_client(const char *endpoint)
{
	struct soq_dgram *d;

	CHECK_OK(soq_dgram_connect(&d, endpoint));
	soq_dgram_set_recv_timeout(d, 30 * SOQ_S);
	return d;
}

static void ask(struct soq_dgram *d, size_t len)
{
	static char bytes[60000], back[60001];

	pattern_fill(bytes, len, len);
	CHECK_EQ(soq_sendto(d, bytes, len, NULL), len);
	CHECK_EQ(soq_recvfrom(d, back, sizeof(back), NULL), len);
	CHECK_MEM(back, bytes, len);
}

CONTRACT_SHAPES(dgrams_echo)
{
	static const size_t lengths[] = { 1, 0, 512, 1500, 60000 };
	struct plan plan = plan_of("udp://:0", echo_dgram);
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_dgram *d;
	struct remote r;

	plan.sites[1] = (struct site){ .endpoint = LOCAL, .handler = echo_lines };
	remote_start(&r, &plan);
	for (unsigned i = 0; i < ADDRESSES; i++) {
		if (i == ADDRESSES - 1 && !have_ipv6())
			continue;
		remote_at(endpoint, &r, 0, i);
		d = dgram_client(endpoint);
		for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
			ROW("%zu bytes to %s", lengths[k], endpoint);
			ask(d, lengths[k]);
		}
		soq_dgram_close(d);
	}
	expect_service(&r, 1); /* beside each other */
	remote_stop(&r);
}

CONTRACT_SHAPES(dgrams_echo_over_a_unix_path)
{
	static const size_t lengths[] = { 1, 0, 512, 1500, 60000 };
	struct soq_dgram *d;
	struct plan plan;
	char text[160];
	struct remote r;

	snprintf(text, sizeof(text), "unixgram://%s/grams", test_dir());
	plan = plan_of(text, echo_dgram);
	plan.here = true;
	remote_start(&r, &plan);
	d = dgram_client(r.places[0].endpoint);
	for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
		ROW("%zu bytes", lengths[k]);
		ask(d, lengths[k]);
	}
	soq_dgram_close(d);
	remote_stop(&r);
	CHECK(access(text + strlen("unixgram://"), F_OK) < 0);
}

static int slow_or_echo(struct soq_dgram *d, const struct soq_packet *request, void *arg)
{
	if (request->len > 0 && *(char *)request->data == 's') {
		count(&counters->began);
		if (await_gate() < 0)
			return -ECANCELED;
		if (soq_draining())
			count(&counters->draining);
	}
	return echo_dgram(d, request, arg);
}

/* A handler that takes its time keeps the others waiting only in an iterative server. And
 * a stop lets it end and reply. */
CONTRACT_SHAPES(dgrams_overlap_and_drain)
{
	struct plan plan = plan_of("udp://127.0.0.1:0", slow_or_echo);
	struct soq_dgram *slow, *quick;
	struct remote r;
	char buf[8];

	plan.sites[1] = (struct site){ .endpoint = LOCAL, .handler = echo_lines };
	plan.opt.grace_ns = 600 * SOQ_S;
	remote_start(&r, &plan);
	slow = dgram_client(r.places[0].endpoint);
	quick = dgram_client(r.places[0].endpoint);
	CHECK_EQ(soq_sendto(slow, "slow", 4, NULL), 4);
	AWAIT(atomic_load(&counters->began) == 1);
	if (test_shape() != TEST_ITERATIVE)
		ask(quick, 100);
	remote_signal(&r, SIGTERM);
	remote_await_drain(&r, 1);
	bell_ring(&bells.gate);
	CHECK_EQ(soq_recvfrom(slow, buf, sizeof(buf), NULL), 4);
	CHECK_EQ(atomic_load(&counters->draining), 1);
	soq_dgram_close(slow);
	soq_dgram_close(quick);
	remote_end(&r, 0);
}

CONTRACT_SHAPES(dgrams_cancelled)
{
	struct plan plan = plan_of("udp://127.0.0.1:0", slow_or_echo);
	struct soq_dgram *slow;
	struct remote r;

	plan.opt.grace_ns = SOQ_MS;
	remote_start(&r, &plan);
	slow = dgram_client(r.places[0].endpoint);
	CHECK_EQ(soq_sendto(slow, "slow", 4, NULL), 4);
	AWAIT(atomic_load(&counters->began) == 1);
	remote_signal(&r, SIGTERM);
	remote_end(&r, -ETIMEDOUT);
	soq_dgram_close(slow);
}

static int sleep_or_echo(struct soq_dgram *d, const struct soq_packet *request, void *arg)
{
	if (request->len == 4)
		return soq_sleep(SOQ_NEVER);
	return echo_dgram(d, request, arg);
}

CONTRACT_SHAPES(dgrams_request_time)
{
	struct plan plan = plan_of("udp://127.0.0.1:0", sleep_or_echo);
	struct soq_dgram *d;
	struct remote r;

	plan.opt.request_timeout_ns = 5 * SOQ_MS;
	remote_start(&r, &plan);
	d = dgram_client(r.places[0].endpoint);
	CHECK_EQ(soq_sendto(d, "fail", 4, NULL), 4);
	remote_await_log(&r, soq_strerror(-ETIMEDOUT));
	ask(d, 10);
	soq_dgram_close(d);
	remote_stop(&r);
}

/* Replies that a closed port refuses are no trouble of the server's. */
CONTRACT_SHAPES(dgrams_to_clients_that_are_gone)
{
	struct plan plan = plan_of("udp://127.0.0.1:0", echo_dgram);
	struct soq_dgram *d;
	struct remote r;
	char back[16];
	ssize_t n;

	remote_start(&r, &plan);
	for (int i = 0; i < 20; i++) {
		d = dgram_client(r.places[0].endpoint);
		CHECK_EQ(soq_sendto(d, "x", 1, NULL), 1);
		soq_dgram_close(d);
	}
	d = dgram_client(r.places[0].endpoint);
	CHECK_EQ(soq_sendto(d, "still there", 11, NULL), 11);
	/* Its port may have been a former one's, whose reply is late. */
	do
		n = soq_recvfrom(d, back, sizeof(back), NULL);
	while (n == 1);
	CHECK_EQ(n, 11);
	CHECK_MEM(back, "still there", 11);
	soq_dgram_close(d);
	remote_stop(&r);
}

CONTRACT_KERNEL(dgrams_by_several_workers, "no threads")
{
	struct plan plan = plan_of("udp://127.0.0.1:0", echo_dgram);
	struct soq_server *other;
	struct remote r;

	plan.opt.shape = SOQ_SHAPE_FIBER;
	plan.opt.workers = 3;
	remote_start(&r, &plan);
	for (int i = 0; i < 50; i++) {
		struct soq_dgram *d = dgram_client(r.places[0].endpoint);

		ask(d, 100);
		soq_dgram_close(d);
	}
	CHECK_OK(soq_server_new(&other, &plan.opt));
	CHECK_ERR(soq_server_bind(other, r.places[0].endpoint, echo_dgram, NULL), -EADDRINUSE);
	soq_server_free(other);
	remote_stop(&r);
}
