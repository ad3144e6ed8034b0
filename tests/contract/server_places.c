/* server_places.c - how many clients are served at once: never more than allowed, however many
 * workers and sites there are, and never fewer than there is room for.
 */
#include "contract/server.h"

/* Note how many are here at once, and stay for a while. */
static int stay_a_while(struct soq_stream *peer, void *arg)
{
	unsigned now = atomic_fetch_add(&counters->began, 1) + 1;
	unsigned most = atomic_load(&counters->seen[0]);
	int rc;

	(void)arg;
	while (now > most && !atomic_compare_exchange_weak(&counters->seen[0], &most, now))
		;
	rc = soq_sleep(SOQ_MS);
	atomic_fetch_sub(&counters->began, 1);
	soq_send_text(peer, "done\n");
	return rc < 0 ? rc : SOQ_DONE;
}

static void be_served(void *arg)
{
	struct soq_stream *s = remote_connect(arg, 0);
	char line[16];

	CHECK_EQ(soq_recv_line(s, line, sizeof(line)), 4);
	soq_close(s);
}

/* The places are the server's, and not each worker's. */
CONTRACT(places_of_all_workers)
{
	static const struct {
		unsigned clients_max, workers;
	} rows[] = { { 1, 4 }, { 3, 2 }, { 2, 3 }, { 5, 4 }, { 4, 4 } };

	counters_open();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct plan plan = { .sites = { { .endpoint = "tcp://127.0.0.1:0",
					     .handler = stay_a_while } },
			.opt = { .workers = rows[i].workers,
				.clients_max = rows[i].clients_max,
				.linger_ns = SOQ_MS } };
		struct soq_scope *scope = scope_open();
		struct remote r;

		ROW("%u clients, %u workers", rows[i].clients_max, rows[i].workers);
		atomic_store(&counters->seen[0], 0);
		remote_start(&r, &plan);
		for (int k = 0; k < 60; k++)
			CHECK_OK(soq_spawn(scope, be_served, &r));
		scope_join(scope);
		CHECK(atomic_load(&counters->seen[0]) >= 1);
		if (atomic_load(&counters->seen[0]) > rows[i].clients_max)
			CHECK_EQ(atomic_load(&counters->seen[0]), rows[i].clients_max);
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
	struct plan plan = { .opt = { .shape = the_shape(), .clients_max = 1 } };
	struct caller callers[3];
	struct soq_scope *scope;
	struct remote r;
	char text[160];

	snprintf(text, sizeof(text), "unix://%s/third", test_dir());
	for (size_t i = 0; i < 3; i++)
		plan.sites[i] = (struct site){ .endpoint = i == 2 ? text : "tcp://127.0.0.1:0",
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
