/* tls.c - TLS under loss, short reads and writes, partitions, crashes and pauses: handshakes,
 * full ones and resumed ones, requests to a server that parks its clients, transfers with
 * time-outs that cut calls short.
 *
 * What must hold: no byte is lost, doubled or moved; an end is told only where the server has
 * said so, at the very byte; whoever is met has the server's certificate; nobody hangs; nothing
 * is left.
 */
#include "scenario/scenario.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS	    2
#define VISITS	    4
#define PATIENCE_NS (30 * SOQ_S)
#define REPLY_MAX   60000
#define CALM_NS	    (60 * SOQ_S) /* the last fault was long ago */

static struct {
	struct soq_sim_host *hosts[1 + CLIENTS]; /* the server first */
	unsigned done;
	bool has_certificate;
	char certificate[64];
} world;

/* Which clients have ended their flows, by the last byte of their address and by port. Each
 * seed has a process of its own. */
static bool has_ended[256][65536];

static bool *ending_of(const struct soq_addr *client)
{
	const struct in_addr *at = &client->in.sin_addr;
	bool mapped = client->sa.sa_family == AF_INET6;
	const unsigned char *bytes =
		mapped ? client->in6.sin6_addr.s6_addr + 12 : (const unsigned char *)at;

	return &has_ended[bytes[3]][soq_addr_port(client)];
}

/* What a client asks for: so many bytes of a transfer. */
struct request {
	uint64_t key;
	uint32_t bytes;
	uint32_t last; /* the server ends its flow afterwards */
};

/* ---- with calls that are cut short ---- */

/* Time-outs of a call: now and then none, or one that no record can meet. */
static int64_t some_patience(uint64_t *draws)
{
	return scenario_below(draws, 3) ? SOQ_NEVER
					: (int64_t)scenario_below(draws, 100 * SOQ_MS);
}

/* Whether a time-out was the call's and not the fiber's. */
static bool may_go_on(ssize_t n, int64_t until_ns)
{
	return n == -ETIMEDOUT && soq_now() < until_ns;
}

/* Send a part of a transfer by as many calls as it takes. @return whether all of it went */
static bool send_part(struct soq_stream *s, const struct request *r, uint64_t from, size_t len,
	int64_t until_ns, uint64_t *draws)
{
	char buf[20000];
	size_t sent = 0;

	scenario_fill(r->key, from, buf, len);
	while (sent < len) {
		ssize_t n;

		soq_set_send_timeout(s, some_patience(draws));
		n = soq_send(s, buf + sent, len - sent);
		SOQ_ALWAYS(n <= (ssize_t)(len - sent), "TLS takes no more than it was given");
		SOQ_SOMETIMES(n > 0 && n < (ssize_t)(len - sent), "TLS: a send is cut short");
		if (n < 0 && !may_go_on(n, until_ns))
			return false;
		sent += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static bool send_transfer(
	struct soq_stream *s, const struct request *r, int64_t until_ns, uint64_t *draws)
{
	uint64_t sent = 0;

	while (sent < r->bytes) {
		size_t len = 1 + (size_t)scenario_below(draws, 20000);

		if (len > r->bytes - sent)
			len = (size_t)(r->bytes - sent);
		if (!send_part(s, r, sent, len, until_ns, draws))
			return false;
		sent += len;
	}
	/* What was cut off goes now. */
	soq_set_send_timeout(s, SOQ_NEVER);
	return soq_send(s, "", 1) == 1;
}

/* One receive, repeated while only the call's own time is over. */
static ssize_t recv_some(
	struct soq_stream *s, void *buf, size_t len, int64_t until_ns, uint64_t *draws)
{
	ssize_t n;

	do {
		soq_set_recv_timeout(s, some_patience(draws));
		n = soq_recv(s, buf, len);
		SOQ_SOMETIMES(n == -ETIMEDOUT, "TLS: a receive's time is over");
	} while (n < 0 && may_go_on(n, until_ns));
	return n;
}

/* @return whether all of it came, and the byte after it */
static bool recv_transfer(
	struct soq_stream *s, const struct request *r, int64_t until_ns, uint64_t *draws)
{
	char buf[20000];
	uint64_t got = 0;

	while (got < r->bytes + 1) {
		size_t want = 1 + (size_t)scenario_below(draws, sizeof(buf));
		uint64_t left = got < r->bytes ? r->bytes - got : 1;
		ssize_t n =
			recv_some(s, buf, want < left ? want : (size_t)left, until_ns, draws);

		SOQ_ALWAYS(n != 0, "TLS tells no end in the middle");
		SOQ_ALWAYS(n != -SOQ_ETLS, "TLS: what the server sends makes sense");
		SOQ_SOMETIMES(n == -ECONNRESET, "TLS: a connection is reset");
		if (n <= 0)
			return false;
		SOQ_ALWAYS(got < r->bytes ? scenario_matches(r->key, got, buf, (size_t)n)
					  : buf[0] == 0,
			"TLS brings what was sent");
		got += (uint64_t)n;
	}
	return true;
}

/* ---- clients ---- */

/* Ask for one thing or for two at once, in one record or in pieces. */
static bool ask(struct soq_stream *s, const struct request *r, unsigned count, uint64_t *draws)
{
	const char *at = (const char *)r;
	size_t left = count * sizeof(*r);

	soq_set_send_timeout(s, SOQ_NEVER);
	while (left > 0) {
		size_t len = scenario_below(draws, 2) ? left : 1 + scenario_below(draws, left);

		if (soq_send(s, at, len) != (ssize_t)len)
			return false;
		at += len;
		left -= len;
	}
	return true;
}

/* The server has said that its flow is over. */
static bool expect_end(struct soq_stream *s, int64_t until_ns, uint64_t *draws)
{
	char byte;
	ssize_t n = recv_some(s, &byte, 1, until_ns, draws);

	SOQ_ALWAYS(n <= 0, "TLS brings nothing after the end");
	SOQ_SOMETIMES(n == 0, "TLS: an end is told");
	return n == 0;
}

static bool converse(struct soq_stream *s, int64_t until_ns, uint64_t *draws)
{
	unsigned rounds = 1 + (unsigned)scenario_below(draws, 3);
	bool ends = scenario_below(draws, 3) > 0; /* the server first */

	for (unsigned i = 1; i <= rounds; i++) {
		unsigned count = 1 + (unsigned)scenario_below(draws, 2);
		struct request r[2];

		for (unsigned n = 0; n < count; n++)
			r[n] = (struct request){ .key = scenario_draw(draws),
				.bytes = (uint32_t)scenario_below(draws, REPLY_MAX),
				.last = i == rounds && n + 1 == count && ends };
		if (!ask(s, r, count, draws))
			return false;
		for (unsigned n = 0; n < count; n++)
			if (!recv_transfer(s, &r[n], until_ns, draws))
				return false;
		soq_sleep((int64_t)scenario_below(draws, SOQ_S)); /* it is parked */
	}
	return !ends || expect_end(s, until_ns, draws);
}

static bool visit_once(struct soq_tls *tls, int64_t until_ns, uint64_t *draws)
{
	struct soq_tls_info info;
	struct soq_stream *s;
	struct soq_addr self;
	bool well;
	int rc = soq_connect_tls(&s, "tls://server:443", tls);

	SOQ_ALWAYS(rc != -SOQ_ECERTIFICATE && rc != -SOQ_ETLS, "TLS: the server is trusted");
	if (rc < 0)
		return false;
	SOQ_ALWAYS(soq_tls_info(s, &info) == 0 && info.trusted, "TLS: the server was checked");
	SOQ_SOMETIMES(info.resumed, "TLS: a connection is resumed");
	SOQ_SOMETIMES(!strcmp(info.version, "TLSv1.2"), "TLS: version 1.2");
	SOQ_SOMETIMES(!strcmp(info.version, "TLSv1.3"), "TLS: version 1.3");
	soq_set_recv_buffer(s, 8000);
	soq_local_addr(s, &self);
	*ending_of(&self) = false;
	well = converse(s, until_ns, draws);
	if (well && scenario_below(draws, 4)) {
		*ending_of(&self) = true;
		soq_finish(s);
	} else {
		soq_close(s);
	}
	return well;
}

static void visit_all(struct soq_tls *tls, uint64_t *draws)
{
	for (unsigned i = 0; i < VISITS;) {
		int64_t began_ns = soq_now(), until_ns = began_ns + PATIENCE_NS;
		int64_t former = soq_deadline(until_ns);

		bool well = visit_once(tls, until_ns, draws);

		soq_deadline_restore(former);
		i += well || scenario_below(draws, 4) == 0;
		SOQ_ALWAYS(
			well || soq_sim_now(soq_sim_of(soq_sim_here())) < CALM_NS + PATIENCE_NS,
			"TLS: a visit goes well when nothing fails any more");
		SOQ_ALWAYS(soq_now() < until_ns + SOQ_S, "a visit ends by its deadline");
		soq_sleep((int64_t)scenario_below(draws, SOQ_S));
	}
}

static int client_main(void *arg)
{
	struct soq_tls_options opt = { .ca = world.certificate };
	struct soq_tls *tls;
	uint64_t draws;
	int rc;

	(void)arg;
	soq_random(&draws, sizeof(draws));
	while (!world.has_certificate)
		soq_sleep(10 * SOQ_MS);
	opt.max_version = scenario_below(&draws, 2) ? SOQ_TLS_1_3 : SOQ_TLS_1_2;
	rc = soq_tls_new(&tls, &opt);
	if (rc < 0)
		return rc;
	visit_all(tls, &draws);
	soq_tls_free(tls);
	if (++world.done == CLIENTS)
		soq_sim_signal(world.hosts[0], SIGTERM);
	return 0;
}

/* ---- the server ---- */

static int answer(struct soq_stream *peer, void *arg)
{
	int64_t until_ns = soq_now() + 20 * SOQ_S;
	struct soq_addr client;
	struct request r;
	uint64_t draws;
	ssize_t n;

	(void)arg;
	soq_set_send_buffer(peer, 8000);
	n = soq_recv_full(peer, &r, sizeof(r));
	soq_peer_addr(peer, &client);
	SOQ_ALWAYS(
		n != 0 || *ending_of(&client), "TLS tells no end of a client that said none");
	SOQ_ALWAYS(n != -SOQ_ETLS, "TLS: what a client sends makes sense");
	SOQ_SOMETIMES(n == 0, "TLS: a client ends its flow");
	SOQ_SOMETIMES(n == -SOQ_ETRUNCATED, "TLS: a client cuts its flow off");
	if (n != (ssize_t)sizeof(r))
		return n < 0 ? (int)n : SOQ_DONE;
	SOQ_ALWAYS(r.bytes < REPLY_MAX && r.last <= 1, "a request is one that a client made");
	soq_random(&draws, sizeof(draws));
	if (!send_transfer(peer, &r, until_ns, &draws))
		return SOQ_DONE;
	soq_set_recv_timeout(peer, 10 * SOQ_S);
	return r.last ? SOQ_DONE : SOQ_AGAIN;
}

static int serve(struct soq_tls *tls)
{
	struct soq_server_options opt = { .idle_timeout_ns = 10 * SOQ_S,
		.send_timeout_ns = 10 * SOQ_S,
		.request_timeout_ns = 20 * SOQ_S,
		.grace_ns = 20 * SOQ_S,
		.tls = tls,
		.stop_on_signals = true };
	struct soq_server *server;
	int rc = soq_server_new(&server, &opt);

	if (rc < 0)
		return rc;
	rc = soq_server_listen(server, "tls://:443", answer, NULL);
	if (rc == 0 && world.done < CLIENTS)
		rc = soq_server_run(server);
	soq_server_free(server);
	return rc == -ETIMEDOUT ? 0 : rc;
}

/* Made in the world, once, so that its bytes are the same whenever the seed is. */
static int make_certificate(void)
{
	static const struct soq_certificate_options opt = { .names = "server",
		.from_ns = -1000 * 86400 * SOQ_S,
		.lasts_ns = 4000 * 86400 * SOQ_S,
		.replace = true };
	int rc =
		world.has_certificate ? 0 : soq_make_certificate(world.certificate, NULL, &opt);

	world.has_certificate = rc == 0;
	return rc;
}

static int server_main(void *arg)
{
	struct soq_tls_options opt = { .certificate = world.certificate };
	struct soq_tls *tls;
	int rc = make_certificate();

	(void)arg;
	if (rc == 0)
		rc = soq_tls_new(&tls, &opt);
	if (rc < 0)
		return rc;
	rc = serve(tls);
	soq_tls_free(tls);
	return rc;
}

static int build(struct soq_sim *sim, void *arg)
{
	static const struct soq_sim_chaos chaos = {
		.until_ns = 20 * SOQ_S,
		.partitions_max = 3,
		.crashes_max = 2,
		.pauses_max = 2,
		.clock_steps_max = 1,
		.link_changes_max = 2,
		.duration_max_ns = 5 * SOQ_S,
		.worst = { .latency_ns = 60 * SOQ_MS,
			.jitter_ns = 30 * SOQ_MS,
			.loss_ppm = 60000,
			.duplicate_ppm = 30000,
			.reorder_ppm = 50000,
			.rate_bytes_s = 500000 },
		.spare = "client1 client2",
	};
	int rc;

	(void)arg;
	memset(&world, 0, sizeof(world));
	snprintf(world.certificate, sizeof(world.certificate), "/tmp/soq-tls-%d.pem",
		(int)getpid());
	rc = scenario_hosts(sim, world.hosts, server_main, CLIENTS, client_main);
	return rc == 0 ? soq_sim_add_chaos(sim, &chaos) : rc;
}

static int check(struct soq_sim *sim, enum soq_sim_verdict verdict, void *arg)
{
	bool clean = scenario_are_clean(world.hosts, 1 + CLIENTS);

	(void)sim;
	(void)arg;
	unlink(world.certificate);
	return clean || verdict != SOQ_SIM_FINISHED ? 0 : -EPROTO;
}

const struct soq_sim_sweep tls_visits = {
	.name = "tls",
	.build = build,
	.check = check,
	.limit_ns = 3600 * SOQ_S,
};
