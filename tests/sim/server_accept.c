/* server_accept.c - who is let in: as many as there are places and descriptors, and not too
 * many of one address; and when those who wait are.
 */
#include "sim/server_world.h"

static struct plan patient_plan(void)
{
	return (struct plan){ .sites = { { .endpoint = LOCAL, .handler = echo_a_line } },
		.opt = { .idle_timeout_ns = SOQ_NEVER } };
}

/* Clients that have said hello; nobody is lost on the way, so they are served in order. */
static void come(
	struct soq_stream *clients[], const struct remote *r, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		CHECK_OK(soq_connect(&clients[i], r->places[0].endpoint));
		CHECK_EQ(soq_send_text(clients[i], "hello\n"), 6);
	}
}

/* Nothing comes for a while. */
static void expect_silence(struct soq_stream *s, int64_t ns)
{
	char byte;

	soq_set_recv_timeout(s, ns);
	CHECK_ERR(soq_recv(s, &byte, 1), -ETIMEDOUT);
	soq_set_recv_timeout(s, SOQ_NEVER);
}

/* ---- places ---- */

/* A client above the limit waits for as long as it takes, and no longer. */
static void places(void)
{
	enum { PLACES = 2, CLIENTS = 6 };
	struct soq_stream *clients[CLIENTS];
	struct plan plan = patient_plan();
	struct remote r;

	plan.opt.clients_max = PLACES;
	remote_start(&r, &plan);
	come(clients, &r, 0, CLIENTS);
	for (int i = 0; i < PLACES; i++)
		expect_line(clients[i], "hello");
	for (int i = PLACES; i < CLIENTS; i++) {
		int64_t left_ns;

		ROW("client %d", i);
		expect_silence(clients[i], 3600 * SOQ_S);
		left_ns = instant();
		CHECK_OK(soq_shutdown(clients[i - PLACES]));
		expect_line(clients[i], "hello");
		CHECK_INSTANT(instant(), left_ns + 2 * LATENCY);
		expect_end(clients[i - PLACES]);
	}
	for (int i = CLIENTS - PLACES; i < CLIENTS; i++)
		leave(clients[i]);
	remote_stop(&r);
}

SIM(server_accept_places)
{
	in_world(&exact, places);
}

/* ---- descriptors ---- */

#define DESCRIPTORS 20 /* of each host */
#define SERVERS_OWN 4  /* a listener, two latches, the signals */

/* When descriptors run out accepting pauses, without spinning; who has a place is served on;
 * and it goes on at once when a client leaves. */
static void descriptors(void)
{
	enum { CLIENTS = DESCRIPTORS, SERVED = DESCRIPTORS - SERVERS_OWN };
	struct soq_stream *clients[CLIENTS];
	struct plan plan = patient_plan();
	struct remote r;
	uint64_t events;
	int64_t left_ns;

	plan.opt.clients_max = 1000; /* or it would know that so many cannot be */
	remote_start(&r, &plan);
	come(clients, &r, 0, CLIENTS);
	remote_await_log(&r, "accepting paused");
	for (int i = 0; i < SERVED; i++)
		expect_line(clients[i], "hello");
	CHECK_EQ(census_of(r.program.host).descriptors, DESCRIPTORS);
	events = soq_sim_events(soq_sim_of(soq_sim_here()));
	expect_silence(clients[SERVED], 10 * SOQ_S);
	/* It looks ten times a second, in a few events each. */
	CHECK(soq_sim_events(soq_sim_of(soq_sim_here())) - events < 500);
	expect_echo(clients[0], "still here");
	for (int i = SERVED; i < CLIENTS; i++) {
		ROW("client %d", i);
		left_ns = instant();
		CHECK_OK(soq_shutdown(clients[i - SERVED]));
		expect_line(clients[i], "hello");
		CHECK_INSTANT(instant(), left_ns + 2 * LATENCY);
		expect_end(clients[i - SERVED]);
	}
	remote_await_log(&r, "accepting goes on");
	for (int i = CLIENTS - SERVED; i < CLIENTS; i++)
		leave(clients[i]);
	expect_service(&r, 0);
	remote_stop(&r);
}

SIM(server_accept_descriptors)
{
	struct soq_sim_options few = exact;

	few.descriptors_max = DESCRIPTORS;
	in_world(&few, descriptors);
}

struct hog {
	struct bell let_go;
	unsigned most;
};

/* Somebody else on the server's host, who has descriptors. */
static int hog_main(void *arg)
{
	struct soq_dgram *taken[DESCRIPTORS];
	struct hog *h = arg;

	for (unsigned i = 0; i < h->most; i++)
		CHECK_OK(soq_dgram_open(&taken[i], "udp://:0"));
	CHECK_OK(bell_wait(&h->let_go));
	for (unsigned i = 0; i < h->most; i++)
		soq_dgram_close(taken[i]);
	return 0;
}

/* When nobody of its own leaves, the server looks again every 100 ms. */
static void others_descriptors(void)
{
	enum { TAKEN = 10, SERVED = DESCRIPTORS - SERVERS_OWN - TAKEN, CLIENTS = SERVED + 2 };
	struct soq_stream *clients[CLIENTS];
	struct plan plan = patient_plan();
	struct hog hog = { .most = TAKEN };
	struct remote r;
	int64_t paused_ns;

	plan.opt.clients_max = 1000;
	remote_start(&r, &plan);
	bell_open(&hog.let_go);
	CHECK_OK(soq_sim_spawn(r.program.host, hog_main, &hog));
	come(clients, &r, 0, SERVED);
	for (int i = 0; i < SERVED; i++)
		expect_line(clients[i], "hello");
	CHECK_EQ(census_of(r.program.host).descriptors, DESCRIPTORS);
	come(clients, &r, SERVED, 1);
	remote_await_log(&r, "accepting paused");
	paused_ns = instant();
	come(clients, &r, SERVED + 1, 1);
	sleep_until(paused_ns + 250 * SOQ_MS);
	bell_ring(&hog.let_go);
	for (int i = SERVED; i < CLIENTS; i++)
		expect_line(clients[i], "hello");
	CHECK_INSTANT(instant() + ROUNDS / 2, paused_ns + 300 * SOQ_MS + LATENCY);
	remote_await_log(&r, "accepting goes on");
	for (int i = 0; i < CLIENTS; i++)
		leave(clients[i]);
	remote_stop(&r);
	bell_close(&hog.let_go);
}

SIM(server_accept_when_others_let_go)
{
	struct soq_sim_options few = exact;

	few.descriptors_max = DESCRIPTORS;
	in_world(&few, others_descriptors);
}

/* ---- addresses ---- */

#define MOST 3

/* One after the other, as many as are wanted; the first @admitted of them have a place. */
static void visit(struct visitor *visitors, unsigned wanted, unsigned admitted,
	struct soq_sim_host *host, const char *endpoint)
{
	for (unsigned i = 0; i < wanted; i++) {
		ROW("client %u of %s, at %s", i, soq_sim_host_name(host), endpoint);
		visitor_start(&visitors[i], host, endpoint);
		CHECK_EQ(visitor_is_admitted(&visitors[i]), i < admitted);
	}
}

static void end_visit(struct visitor *visitors, unsigned wanted)
{
	for (unsigned i = 0; i < wanted; i++)
		visitor_end(&visitors[i]);
}

/* IPv4 is counted by address, IPv6 by /64; a host's own clients are not counted; and a place
 * comes back when its client has left. */
static void addresses(void)
{
	struct soq_sim_host *twin_a = host_new("a", "10.1.0.1 fd01:0:0:1::1");
	struct soq_sim_host *twin_b = host_new("b", "10.1.0.2 fd01:0:0:1::2");
	struct soq_sim_host *other = host_new("c", "10.1.0.3 fd01:0:0:2::1");
	char in4[SOQ_ENDPOINT_TEXT_MAX], in6[SOQ_ENDPOINT_TEXT_MAX], own[SOQ_ENDPOINT_TEXT_MAX];
	struct visitor a4[MOST + 1], b4[MOST + 1], a6[2], b6[2], c6[MOST + 1], own6[MOST + 1];
	struct plan plan = patient_plan();
	struct remote r;

	plan.sites[0].endpoint = "tcp://:0";
	plan.opt.clients_per_address_max = MOST;
	remote_start(&r, &plan);
	remote_at(in4, &r, 0, 0);
	remote_at(in6, &r, 0, 3);
	place_at(own, &r.places[0], "::1");

	visit(a4, MOST + 1, MOST, twin_a, in4);
	remote_await_log(&r, "10.1.0.1");
	visit(b4, MOST + 1, MOST, twin_b, in4);
	visit(a6, 2, 2, twin_a, in6);
	visit(b6, 2, 1, twin_b, in6); /* of the same /64 */
	remote_await_log(&r, "fd01:0:0:1::2");
	visit(c6, MOST + 1, MOST, other, in6);
	visit(own6, MOST + 1, MOST + 1, r.program.host, own);

	end_visit(a6, 1);
	end_visit(b6 + 1, 1);
	CHECK_OK(soq_sleep(SOQ_S));
	visit(b6 + 1, 1, 1, twin_b, in6);

	end_visit(a4, MOST + 1);
	end_visit(b4, MOST + 1);
	end_visit(a6 + 1, 1);
	end_visit(b6, 2);
	end_visit(c6, MOST + 1);
	end_visit(own6, MOST + 1);
	remote_stop(&r);
}

SIM(server_accept_addresses)
{
	in_world(&exact, addresses);
}
