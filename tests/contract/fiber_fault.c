/* fiber_fault.c - whichever operation of the engine fails, nothing leaks and nobody waits. */
#include "fault.h"

#include <stdlib.h>

/* Far enough that no slow machine meets it; near enough that a fiber left waiting fails the
 * case by name instead of by the harness's patience. */
#define PATIENCE_NS (20 * SOQ_S)

/* The first error of many calls. */
static void keep(int *first, int64_t rc)
{
	if (*first == 0 && rc < 0)
		*first = (int)rc;
	CHECK(rc != -ETIMEDOUT);
}

/* Send it all: a send cut short is followed by one that tells why. @return @len or the error */
static ssize_t send_all(struct soq_stream *s, const char *bytes, size_t len)
{
	size_t sent = 0;
	ssize_t n = 0;

	while (sent < len && (n = soq_send(s, bytes + sent, len - sent)) > 0)
		sent += (size_t)n;
	return n < 0 ? n : (ssize_t)sent;
}

/* ---- streams ---- */

struct meeting {
	struct soq_listener *listener;
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
	int server_rc, client_rc;
};

static void meet_as_server(void *arg)
{
	struct meeting *m = arg;
	struct soq_stream *s;
	char buf[64];
	ssize_t n = soq_accept(&s, m->listener);

	keep(&m->server_rc, n);
	if (n < 0)
		return;
	while ((n = soq_recv(s, buf, sizeof buf)) > 0) {
		n = send_all(s, buf, (size_t)n);
		if (n < 0)
			break;
	}
	keep(&m->server_rc, n);
	keep(&m->server_rc, soq_finish(s));
}

static void meet_as_client(void *arg)
{
	struct meeting *m = arg;
	struct soq_stream *s;
	char line[16];
	ssize_t n = soq_connect(&s, m->endpoint);

	keep(&m->client_rc, n);
	if (n < 0)
		return;
	n = send_all(s, "hello\n", 6);
	if (n >= 0)
		n = soq_recv_line(s, line, sizeof line);
	if (n == 5)
		CHECK_STR(line, "hello");
	keep(&m->client_rc, n);
	keep(&m->client_rc, soq_finish(s));
}

static int listen_somewhere(struct meeting *m, const char *endpoint)
{
	struct soq_addr addr;
	int rc = soq_listen(&m->listener, endpoint, NULL);

	if (rc < 0)
		return rc;
	rc = soq_listener_addr(m->listener, &addr);
	if (rc < 0)
		soq_listener_close(m->listener);
	else
		soq_addr_endpoint(m->endpoint, sizeof m->endpoint, SOQ_SCHEME_TCP, &addr);
	return rc;
}

/* Wait for both; when one has failed, the other need not wait for it. */
static void await_meeting(struct soq_scope *scope, const struct meeting *m)
{
	int64_t former = soq_deadline(soq_now() + PATIENCE_NS);

	while (soq_scope_count(scope) > 0 && !m->server_rc && !m->client_rc)
		CHECK_OK(soq_yield());
	soq_deadline_restore(former);
	soq_scope_close(scope);
}

static int meet_over_tcp(void)
{
	struct meeting m = { .server_rc = 0 };
	struct soq_scope *scope;
	int rc = listen_somewhere(&m, "tcp://127.0.0.1:0");

	if (rc < 0)
		return rc;
	scope = scope_open();
	CHECK_OK(soq_spawn(scope, meet_as_server, &m));
	CHECK_OK(soq_spawn(scope, meet_as_client, &m));
	await_meeting(scope, &m);
	soq_listener_close(m.listener);
	return m.server_rc ? m.server_rc : m.client_rc;
}

CONTRACT(fiber_fault_tcp)
{
	fault_sweep(meet_over_tcp);
}

/* Adopt a descriptor and close it; what is refused once is granted the next time. */
static void adopt_and_close(int *first, int fd)
{
	struct soq_stream *s;
	int rc = soq_adopt(&s, fd);

	keep(first, rc);
	if (rc < 0)
		CHECK_OK(soq_adopt(&s, fd));
	soq_close(s);
}

static int talk_over_pair(void)
{
	struct soq_stream *pair[2];
	int rc = soq_pair(pair), first = 0, fd;
	char c;

	if (rc < 0)
		return rc;
	keep(&first, soq_send(pair[0], "x", 1));
	if (!first)
		keep(&first, soq_recv(pair[1], &c, 1));
	if (!first)
		keep(&first, soq_send_fd(pair[0], soq_fd(pair[0])));
	if (!first) {
		rc = soq_recv_fd(pair[1], &fd);
		keep(&first, rc);
		if (rc == 0)
			adopt_and_close(&first, fd);
	}
	fd = soq_detach(pair[0]);
	keep(&first, fd);
	if (fd >= 0)
		adopt_and_close(&first, fd);
	else
		soq_close(pair[0]);
	soq_close(pair[1]);
	return first;
}

CONTRACT(fiber_fault_pair)
{
	fault_sweep(talk_over_pair);
}

/* ---- a server ---- */

static int greet(struct soq_stream *peer, void *arg)
{
	char line[16];
	ssize_t n = soq_recv_line(peer, line, sizeof line);

	if (n < 0)
		return n == -ENODATA ? SOQ_DONE : (int)n;
	return send_all(peer, "hello\n", 6) == 6 ? SOQ_AGAIN : SOQ_DONE;
}

struct service {
	struct soq_server *server;
	int rc;
	bool ended;
};

static void run_server(void *arg)
{
	struct service *s = arg;

	s->rc = soq_server_run(s->server);
	s->ended = true;
}

/* A client of a server that may be in trouble: an error is one, and waiting is none. */
static void be_client(void *arg)
{
	struct meeting *m = arg;
	struct soq_stream *s;
	char line[16];
	ssize_t n = soq_connect(&s, m->endpoint);

	if (n == 0) {
		soq_set_recv_timeout(s, PATIENCE_NS);
		for (int i = 0; i < 2 && n >= 0; i++) {
			n = send_all(s, "hi\n", 3);
			if (n > 0)
				n = soq_recv_line(s, line, sizeof line);
		}
		keep(&m->client_rc, n);
		keep(&m->client_rc, soq_finish(s));
	}
	keep(&m->client_rc, n);
}

static int serve_two(struct service *s, struct meeting *m)
{
	struct soq_scope *scope = scope_open(), *clients = scope_open();
	struct soq_addr addr;
	enum soq_scheme scheme;

	CHECK_OK(soq_server_endpoint(s->server, 0, &addr, &scheme));
	soq_addr_endpoint(m->endpoint, sizeof m->endpoint, scheme, &addr);
	CHECK_OK(soq_spawn(scope, run_server, s));
	for (int i = 0; i < 2; i++)
		CHECK_OK(soq_spawn(clients, be_client, m));
	while (soq_scope_count(clients) > 0 && !s->ended)
		CHECK_OK(soq_yield());
	soq_scope_close(clients);
	soq_server_stop(s->server);
	CHECK_OK(soq_scope_wait(scope));
	soq_scope_close(scope);
	return s->rc < 0 ? s->rc : m->client_rc;
}

static int serve_fibers(void)
{
	struct soq_server_options opt = { .shape = SOQ_SHAPE_FIBER, .workers = 1 };
	struct meeting m = { .client_rc = 0 };
	struct service s = { .rc = 0 };
	int rc = soq_server_new(&s.server, &opt);

	if (rc < 0)
		return rc;
	rc = soq_server_listen(s.server, "tcp://127.0.0.1:0", greet, NULL);
	if (rc == 0)
		rc = serve_two(&s, &m);
	soq_server_free(s.server);
	return rc;
}

CONTRACT(fiber_fault_server)
{
	fault_sweep(serve_fibers);
}

/* ---- datagrams ---- */

static int exchange_datagrams(void)
{
	struct soq_dgram *server, *client;
	struct soq_addr addr;
	char endpoint[SOQ_ENDPOINT_TEXT_MAX], buf[16];
	struct soq_packet p = { .data = buf, .capacity = sizeof buf };
	int rc = soq_dgram_open(&server, "udp://127.0.0.1:0"), first = 0;

	if (rc < 0)
		return rc;
	rc = soq_dgram_addr(server, &addr);
	soq_addr_endpoint(endpoint, sizeof endpoint, SOQ_SCHEME_UDP, &addr);
	if (rc == 0)
		rc = soq_dgram_connect(&client, endpoint);
	if (rc < 0) {
		soq_dgram_close(server);
		return rc;
	}
	keep(&first, soq_sendto(client, "ping", 4, NULL));
	if (!first)
		keep(&first, soq_recv_packets(server, &p, 1));
	if (!first)
		keep(&first, soq_reply(server, &p, "pong", 4));
	if (!first)
		keep(&first, soq_recvfrom(client, buf, sizeof buf, NULL));
	if (!first)
		CHECK_MEM(buf, "pong", 4);
	soq_dgram_close(client);
	soq_dgram_close(server);
	return first;
}

CONTRACT(fiber_fault_datagrams)
{
	fault_sweep(exchange_datagrams);
}

/* ---- fibers waiting for each other ---- */

struct team {
	struct soq_mutex *mutex;
	struct soq_queue *queue;
	struct soq_event *event;
	int first;
};

static void take_part(void *arg)
{
	struct team *t = arg;
	int rc = soq_mutex_lock(t->mutex);
	void *item;

	keep(&t->first, rc);
	if (rc == 0) {
		keep(&t->first, soq_yield());
		CHECK_OK(soq_mutex_unlock(t->mutex));
	}
	keep(&t->first, soq_queue_put(t->queue, t));
	keep(&t->first, soq_event_wait(t->event));
	keep(&t->first, soq_queue_get(t->queue, &item));
	keep(&t->first, soq_offload(free, NULL));
	keep(&t->first, soq_yield());
}

static int work_as_team(void)
{
	struct team t = { .first = 0 };
	struct soq_scope *scope;

	scope = scope_open();
	t.event = event_new();
	CHECK_OK(soq_mutex_new(&t.mutex));
	CHECK_OK(soq_queue_new(&t.queue, 8));
	for (int i = 0; i < 6; i++)
		CHECK_OK(soq_spawn(scope, take_part, &t));
	for (int i = 0; i < 3; i++)
		CHECK_OK(soq_yield());
	soq_event_set(t.event);
	CHECK_OK(soq_scope_wait(scope));
	soq_scope_close(scope);
	soq_mutex_free(t.mutex);
	soq_queue_free(t.queue);
	soq_event_free(t.event);
	return t.first;
}

CONTRACT_KERNEL(fiber_fault_sync, "without threads, waiting for each other is no operation")
{
	fault_sweep(work_as_team);
}
