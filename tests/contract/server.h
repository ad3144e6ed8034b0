/* server.h - a server apart from its clients, whatever the engine: in a process of its own
 * (server_process.h), or on a simulated host of its own (server_program.h). The case is its
 * client.
 */
#ifndef CONTRACT_SERVER_H
#define CONTRACT_SERVER_H

#include "contract/server_process.h"
#include "contract/server_program.h"

#include <fcntl.h>

#define LOCAL "tcp://127.0.0.1:0" /* on the server's host */

struct remote {
	struct place places[SITES_MAX];
	struct process process; /* the kernel's engines */
	struct program program; /* sim */
};

static inline enum soq_shape the_shape(void)
{
	static const enum soq_shape shapes[] = {
		[TEST_ITERATIVE] = SOQ_SHAPE_ITERATIVE,
		[TEST_PROCESS] = SOQ_SHAPE_PROCESS,
		[TEST_THREAD] = SOQ_SHAPE_THREAD,
		[TEST_FIBER] = SOQ_SHAPE_FIBER,
	};

	return shapes[test_shape()];
}

/* ---- life ---- */

static inline void remote_start(struct remote *r, const struct plan *plan)
{
	bells_open();
	if (test_is_simulated())
		program_start(&r->program, plan, r->places);
	else
		process_start(&r->process, plan, r->places);
}

static inline void remote_signal(const struct remote *r, int signal)
{
	if (test_is_simulated())
		soq_sim_signal(r->program.host, signal);
	else
		CHECK_OK(kill(r->process.pid, signal));
}

/* Wait for a line of the log that holds a text. */
static inline void remote_await_log(struct remote *r, const char *text)
{
	char line[600] = "";

	while (!strstr(line, text))
		if (test_is_simulated() ? !program_read_log(&r->program, line, sizeof(line))
					: !process_read_log(&r->process, line, sizeof(line)))
			CHECK_STR("the server's log, which has ended", text);
}

/* Wait for the server's own end. @return what soq_server_run() returned */
static inline int remote_wait(struct remote *r)
{
	int rc = test_is_simulated() ? program_wait(&r->program) : process_wait(&r->process);

	bells_close();
	return rc;
}

static inline void remote_end(struct remote *r, int want)
{
	CHECK_ERR(remote_wait(r), want);
}

static inline void remote_stop(struct remote *r)
{
	remote_signal(r, SIGTERM);
	remote_end(r, 0);
}

/* Of a site on every address: its endpoint at one of them, three of IPv4, then one of IPv6. */
static inline void remote_at(
	char text[SOQ_ENDPOINT_TEXT_MAX], const struct remote *r, size_t site, unsigned which)
{
	place_at(text, &r->places[site],
		test_is_simulated() ? r->program.addresses[which] : process_address(which));
}

/* Suspends until a site's listeners are closed: the server drains, and whoever serves a client
 * learns of it before anything that happens later. Some may still have been let in. */
static inline void remote_await_drain(const struct remote *r, size_t site)
{
	struct soq_stream *late;

	while (soq_connect(&late, r->places[site].endpoint) == 0)
		soq_close(late);
}

/* ---- clients ---- */

/* A client that does not wait for ever. */
static inline struct soq_stream *connect_to(const char *endpoint)
{
	struct soq_stream *s;

	CHECK_OK(soq_connect(&s, endpoint));
	soq_set_recv_timeout(s, 30 * SOQ_S);
	soq_set_send_timeout(s, 30 * SOQ_S);
	return s;
}

static inline struct soq_stream *remote_connect(const struct remote *r, size_t site)
{
	return connect_to(r->places[site].endpoint);
}

/* Send a line, expect it back. */
static inline void expect_echo(struct soq_stream *s, const char *text)
{
	char line[256];

	CHECK_EQ(soq_send_text(s, text), strlen(text));
	CHECK_EQ(soq_send_text(s, "\n"), 1);
	CHECK_EQ(soq_recv_line(s, line, sizeof(line)), strlen(text));
	CHECK_STR(line, text);
}

static inline void expect_line(struct soq_stream *s, const char *want)
{
	char line[256];

	CHECK_OK(soq_recv_line(s, line, sizeof(line)));
	CHECK_STR(line, want);
}

/* The server closes, and may not have read all. */
static inline void expect_end(struct soq_stream *s)
{
	char byte;
	ssize_t n = soq_recv(s, &byte, 1);

	CHECK(n == 0 || n == -ECONNRESET);
	soq_close(s);
}

/* End our flow, and see the server end its own. */
static inline void leave(struct soq_stream *s)
{
	char byte;

	CHECK_OK(soq_shutdown(s));
	CHECK_EQ(soq_recv(s, &byte, 1), 0);
	soq_close(s);
}

/* A client like any other gets its answer. */
static inline void expect_service_at(const char *endpoint)
{
	struct soq_stream *s = connect_to(endpoint);

	expect_echo(s, "is anybody there");
	leave(s);
}

static inline void expect_service(const struct remote *r, size_t site)
{
	expect_service_at(r->places[site].endpoint);
}

/* ---- handlers ---- */

/* Lines back, to the connection's end. */
static inline int echo_lines(struct soq_stream *peer, void *arg)
{
	char line[4096];
	ssize_t n;

	(void)arg;
	while ((n = soq_recv_line(peer, line, sizeof(line) - 1)) >= 0) {
		line[n] = '\n';
		if (soq_send(peer, line, (size_t)n + 1) != n + 1)
			return SOQ_DONE;
	}
	return n == -ENODATA ? SOQ_DONE : (int)n;
}

/* One line back a call. */
static inline int echo_a_line(struct soq_stream *peer, void *arg)
{
	char line[4096];
	ssize_t n = soq_recv_line(peer, line, sizeof(line) - 1);

	(void)arg;
	if (n < 0)
		return n == -ENODATA ? SOQ_DONE : (int)n;
	line[n] = '\n';
	return soq_send(peer, line, (size_t)n + 1) == n + 1 ? SOQ_AGAIN : SOQ_DONE;
}

/* Suspends until the gate is open, and for a turn of the engine after that: whoever is let in
 * at once learns of what came before. @return 0, -ECANCELED */
static inline int await_gate(void)
{
	int rc = bell_wait(&bells.gate);

	return rc < 0 ? rc : soq_yield();
}

/* One line back, when the gate has been opened. */
static inline int wait_at_the_gate(struct soq_stream *peer, void *arg)
{
	char line[64];

	(void)arg;
	if (soq_recv_line(peer, line, sizeof(line)) < 0)
		return SOQ_DONE;
	count(&counters->began);
	if (await_gate() < 0)
		return -ECANCELED;
	soq_send_text(peer, soq_draining() ? "drained\n" : "done\n");
	return SOQ_AGAIN;
}

/* Until it is cancelled. */
static inline int sleep_for_ever(struct soq_stream *peer, void *arg)
{
	int rc;

	(void)arg;
	count(&counters->began);
	rc = soq_sleep(SOQ_NEVER);
	count(rc == -ECANCELED ? &counters->cancelled : &counters->failed);
	/* A cancelled handler cannot cling to its peer. */
	CHECK_ERR(soq_send_text(peer, "x"), -ECANCELED);
	return SOQ_DONE;
}

#endif
