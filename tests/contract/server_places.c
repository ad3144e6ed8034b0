/* server_places.c - how many clients are served at once: never more than allowed, however many
 * workers and sites there are, and never fewer than there is room for.
 */
#include "contract/server.h"

/* Note how many are here at once, stay until the gate opens, and tell which thread this is. */
static int stay(struct soq_stream *peer, void *arg)
{
	unsigned now = count(&counters->here), most = atomic_load(&counters->most);
	char text[32];
	int rc;

	(void)arg;
	while (now > most && !atomic_compare_exchange_weak(&counters->most, &most, now))
		;
	rc = await_gate();
	atomic_fetch_sub(&counters->here, 1);
	snprintf(text, sizeof(text), "%d\n", (int)gettid());
	soq_send_text(peer, text);
	return rc < 0 ? rc : SOQ_DONE;
}

/* @return the thread that has served us */
static int be_served(const struct remote *r)
{
	struct soq_stream *s = remote_connect(r, 0);
	char line[32];

	CHECK_OK(soq_recv_line(s, line, sizeof(line)));
	soq_close(s);
	return atoi(line);
}

/* Who comes before a worker listens is never its client: wait until each has served one. */
static void await_workers(const struct remote *r, unsigned workers)
{
	int threads[4];
	unsigned known = 0;

	CHECK(workers <= 4);
	bell_ring(&bells.gate);
	while (known < workers) {
		int thread = be_served(r);
		unsigned i = 0;

		while (i < known && threads[i] != thread)
			i++;
		threads[i] = thread;
		known += i == known;
	}
	bell_hush(&bells.gate);
}

static void be_served_fiber(void *arg)
{
	be_served(arg);
}

/* The places are the server's, and not each worker's; and all of them are taken, by so many
 * clients that none of the workers is left out. */
CONTRACT_KERNEL(places_of_all_workers, "no threads")
{
	static const struct {
		unsigned clients_max, workers, used;
	} rows[] = { { 1, 4, 1 }, { 3, 2, 2 }, { 2, 3, 2 }, { 5, 4, 4 }, { 4, 4, 4 } };

	counters_open();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = stay } },
			.opt = { .workers = rows[i].workers,
				.clients_max = rows[i].clients_max,
				.linger_ns = SOQ_MS } };
		struct soq_scope *scope = scope_open();
		struct remote r;

		ROW("%u clients, %u workers", rows[i].clients_max, rows[i].workers);
		remote_start(&r, &plan);
		await_workers(&r, rows[i].used);
		atomic_store(&counters->most, 0);
		for (int k = 0; k < 60; k++)
			CHECK_OK(soq_spawn(scope, be_served_fiber, &r));
		AWAIT(atomic_load(&counters->here) == rows[i].clients_max);
		bell_ring(&bells.gate);
		scope_join(scope);
		CHECK_EQ(atomic_load(&counters->most), rows[i].clients_max);
		remote_stop(&r);
	}
}

/* ---- several sites, one place ---- */

struct caller {
	struct remote *r;
	size_t site;
};

static void call_often(void *arg)
{
	struct caller *c = arg;

	for (unsigned i = 0; i < test_scale(100); i++)
		expect_service(c->r, c->site);
}

/* All sites wait for the one place. Whenever it is free somebody takes it. */
CONTRACT_SHAPES(place_that_sites_share)
{
	struct plan plan = { .opt = { .shape = the_shape(), .clients_max = 1 }, .here = true };
	struct caller callers[3];
	struct soq_scope *scope;
	struct remote r;
	char text[160];

	snprintf(text, sizeof(text), "unix://%s/third", test_dir());
	for (size_t i = 0; i < 3; i++)
		plan.sites[i] = (struct site){ .endpoint = i == 2 ? text : LOCAL,
			.handler = echo_lines };
	remote_start(&r, &plan);
	for (size_t i = 0; i < 3; i++) { /* one after the other */
		callers[i] = (struct caller){ &r, i };
		expect_service(&r, i);
	}
	scope = scope_open(); /* and all at once */
	for (size_t i = 0; i < 3; i++)
		CHECK_OK(soq_spawn(scope, call_often, &callers[i]));
	scope_join(scope);
	remote_stop(&r);
}
