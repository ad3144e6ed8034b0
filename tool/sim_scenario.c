/* sim_scenario.c - the scenarios of `soquete sim`, each a server and its clients as the
 * textbook draws them.
 *
 * They are the programs that one would run on machines: connect, send, receive, close. What is
 * theirs alone is that they tell what they do, and that the last client to end stops the
 * server.
 */
#include "sim.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PATIENCE_NS  (60 * SOQ_S)   /* for an answer */
#define REST_NS	     (100 * SOQ_MS) /* at the end: what is on its way arrives */
#define SLOW_BYTES   65536
#define SLOW_BUFFER  8192
#define SLOW_REST_NS (3 * SOQ_S)

/* ---- telling ---- */

/* In the log's words, see soq_sim_log(). */
static bool is_mishap(const char *line, size_t len)
{
	return memmem(line, len, "  ! ", 4) || memmem(line, len, "; LOST", 6);
}

void tool_tell_log(struct tool_world *w)
{
	char *line, *end;

	if (!w->log || fflush(w->log) || !w->log_text)
		return;
	for (line = w->log_text + w->log_told; (end = strchr(line, '\n')); line = end + 1) {
		size_t len = (size_t)(end + 1 - line);

		if (is_mishap(line, len))
			fwrite(line, 1, len, w->out);
		w->log_told += len;
	}
}

/* In the log's columns. */
void tool_say(struct tool_world *w, const char *fmt, ...)
{
	int64_t now = soq_sim_now(w->sim);
	va_list args;

	tool_tell_log(w);
	fprintf(w->out, "%4lld.%09lld  %-19s  ", (long long)(now / SOQ_S),
		(long long)(now % SOQ_S), soq_sim_host_name(soq_sim_here()));
	va_start(args, fmt);
	vfprintf(w->out, fmt, args);
	va_end(args);
	fputc('\n', w->out);
}

/* ---- servers ---- */

static void say_event(void *arg, const char *line)
{
	tool_say(arg, "%s", line);
}

/* Serve until the last client has ended, which may have been while this host was down. */
static int run_server(struct tool_world *w, struct soq_server *server)
{
	tool_say(w, "listens");
	return w->clients_left > 0 ? soq_server_run(server) : 0;
}

int tool_sim_serve(struct tool_world *w, const char *endpoint, soq_handler *handler,
	soq_dgram_handler *dgram, void *arg)
{
	const struct soq_server_options opt = {
		.shape = w->shape, .stop_on_signals = true, .log = say_event, .log_arg = w
	};
	struct soq_server *server;
	int rc = soq_server_new(&server, &opt);

	if (rc < 0)
		return rc;
	rc = handler ? soq_server_listen(server, endpoint, handler, arg)
		     : soq_server_bind(server, endpoint, dgram, arg);
	if (rc == 0)
		rc = run_server(w, server);
	soq_server_free(server);
	return rc == -ETIMEDOUT ? 0 : rc; /* a client was cut off */
}

static void say_end(struct tool_world *w, const char *who, ssize_t rc)
{
	if (rc == 0 || rc == -ENODATA)
		tool_say(w, "%s has finished sending", who);
	else
		tool_say(w, "cannot receive: %s", soq_strerror((int)rc));
}

static int echo_handler(struct soq_stream *client, void *arg)
{
	struct tool_world *w = arg;
	char line[128];
	ssize_t n;

	while ((n = soq_recv_line(client, line, sizeof(line))) >= 0) {
		tool_say(w, "hears \"%s\", and answers", line);
		line[n] = '\n'; /* in the place of the NUL */
		soq_send(client, line, (size_t)n + 1);
	}
	say_end(w, "the client", n);
	return SOQ_DONE;
}

static int echo_server(void *arg)
{
	return tool_sim_serve(arg, "tcp://:7", echo_handler, NULL, arg);
}

/* ---- clients ---- */

struct soq_stream *tool_sim_connect(struct tool_world *w, const char *endpoint)
{
	struct soq_stream *s;
	int rc;

	soq_sleep(SOQ_MS); /* the server is started first */
	tool_say(w, "connects to %s", endpoint);
	rc = soq_connect(&s, endpoint);
	if (rc < 0) {
		tool_say(w, "cannot %s", soq_last_error());
		return NULL;
	}
	tool_say(w, "is connected");
	soq_set_recv_timeout(s, PATIENCE_NS);
	return s;
}

static int client_ends(struct tool_world *w)
{
	if (--w->clients_left == 0) {
		soq_sleep(REST_NS);
		soq_sim_signal(w->server, SIGTERM);
	}
	return 0;
}

int tool_sim_leave(struct tool_world *w, struct soq_stream *s)
{
	int rc = s ? soq_finish(s) : 0;

	if (rc < 0)
		tool_say(w, "is done; the server's end did not come: %s", soq_strerror(rc));
	else if (s)
		tool_say(w, "is done; the server has ended, too");
	return client_ends(w);
}

int tool_sim_give_up(struct tool_world *w, struct soq_stream *s)
{
	tool_say(w, "gives up");
	soq_close(s);
	return client_ends(w);
}

static bool send_line(struct tool_world *w, struct soq_stream *s, const char *text)
{
	char line[128];
	int len = snprintf(line, sizeof(line), "%s\n", text);
	ssize_t n;

	tool_say(w, "sends \"%s\"", text);
	n = soq_send(s, line, (size_t)len);
	if (n < 0)
		tool_say(w, "cannot send: %s", soq_strerror((int)n));
	return n == len;
}

static bool hear_line(struct tool_world *w, struct soq_stream *s)
{
	char line[128];
	ssize_t n = soq_recv_line(s, line, sizeof(line));

	if (n < 0)
		say_end(w, "the server", n);
	else
		tool_say(w, "gets \"%s\"", line);
	return n >= 0;
}

/* Ask a few questions, with a pause after each answer. */
static int talk(struct tool_world *w, const char *const *words, int64_t pause_ns)
{
	struct soq_stream *s = tool_sim_connect(w, "tcp://server:7");

	for (; s && *words; words++) {
		if (!send_line(w, s, *words) || !hear_line(w, s))
			return tool_sim_give_up(w, s);
		soq_sleep(pause_ns);
	}
	return tool_sim_leave(w, s);
}

/* ---- handshake ---- */

static int handshake_client(void *arg)
{
	return tool_sim_leave(arg, tool_sim_connect(arg, "tcp://server:7"));
}

/* ---- echo, three, partition ---- */

static int echo_client(void *arg)
{
	static const char *const words[] = { "one", "two", "three", NULL };

	return talk(arg, words, 0);
}

static int three_client(void *arg)
{
	static const char *const mine[] = { "apple", "pear", NULL };
	static const char *const theirs[] = { "lion", "bear", NULL };
	struct tool_world *w = arg;

	if (soq_sim_here() == w->clients[0])
		return talk(w, mine, 30 * SOQ_MS);
	soq_sleep(5 * SOQ_MS);
	return talk(w, theirs, 30 * SOQ_MS);
}

static int partition_client(void *arg)
{
	static const char *const words[] = { "one", "two", "three", "four", NULL };

	return talk(arg, words, SOQ_S);
}

/* ---- udp ---- */

static int udp_handler(struct soq_dgram *d, const struct soq_packet *request, void *arg)
{
	tool_say(arg, "hears \"%.*s\", and answers", (int)request->len,
		(const char *)request->data);
	soq_reply(d, request, request->data, request->len);
	return SOQ_DONE;
}

static int udp_server(void *arg)
{
	return tool_sim_serve(arg, "udp://:7", NULL, udp_handler, arg);
}

static int udp_client(void *arg)
{
	static const char *const words[] = { "one", "two", "three", "four", "five", "six" };
	struct tool_world *w = arg;
	struct soq_dgram *d = NULL;
	char answer[64];

	soq_sleep(SOQ_MS);
	if (soq_dgram_connect(&d, "udp://server:7") < 0)
		tool_say(w, "cannot %s", soq_last_error());
	else
		soq_dgram_set_recv_timeout(d, 200 * SOQ_MS);
	for (size_t i = 0; d && i < sizeof(words) / sizeof(words[0]); i++) {
		ssize_t n;

		tool_say(w, "sends \"%s\"", words[i]);
		soq_sendto(d, words[i], strlen(words[i]), NULL);
		n = soq_recvfrom(d, answer, sizeof(answer), NULL);
		if (n >= 0)
			tool_say(w, "gets \"%.*s\"", (int)n, answer);
		else
			tool_say(w, "gets nothing: %s", soq_strerror((int)n));
	}
	soq_dgram_close(d);
	return tool_sim_leave(w, NULL);
}

/* ---- refused, timeout ---- */

static int refused_client(void *arg)
{
	struct tool_world *w = arg;
	struct soq_stream *s = tool_sim_connect(w, "tcp://server:7");
	struct soq_dgram *d;
	char answer[64];
	ssize_t n;

	if (soq_dgram_connect(&d, "udp://server:7") < 0)
		return tool_sim_leave(w, s);
	tool_say(w, "sends a datagram to udp://server:7");
	soq_dgram_set_recv_timeout(d, SOQ_S);
	soq_sendto(d, "hello", 5, NULL);
	n = soq_recvfrom(d, answer, sizeof(answer), NULL);
	if (n < 0)
		tool_say(w, "cannot receive: %s", soq_strerror((int)n));
	soq_dgram_close(d);
	return tool_sim_leave(w, s);
}

static int timeout_client(void *arg)
{
	soq_deadline(soq_now() + 10 * SOQ_S);
	return tool_sim_leave(arg, tool_sim_connect(arg, "tcp://server:7"));
}

/* ---- reset ---- */

static int reset_client(void *arg)
{
	struct tool_world *w = arg;
	struct soq_stream *s = tool_sim_connect(w, "tcp://server:7");

	if (!s)
		return tool_sim_leave(w, NULL);
	if (!send_line(w, s, "one") || !hear_line(w, s))
		return tool_sim_give_up(w, s);
	soq_set_linger(s, 0);
	tool_say(w, "closes without a farewell: a reset");
	soq_close(s);
	return tool_sim_leave(w, NULL);
}

/* ---- halfclose ---- */

static int count_handler(struct soq_stream *client, void *arg)
{
	struct tool_world *w = arg;
	char line[128];
	unsigned lines = 0;
	ssize_t n;

	while ((n = soq_recv_line(client, line, sizeof(line))) >= 0)
		lines++;
	say_end(w, "the client", n);
	if (n != -ENODATA)
		return SOQ_DONE;
	tool_say(w, "has counted, and answers");
	snprintf(line, sizeof(line), "%u lines\n", lines);
	soq_send_text(client, line);
	return SOQ_DONE;
}

static int count_server(void *arg)
{
	return tool_sim_serve(arg, "tcp://:7", count_handler, NULL, arg);
}

static int halfclose_client(void *arg)
{
	struct tool_world *w = arg;
	struct soq_stream *s = tool_sim_connect(w, "tcp://server:7");

	if (!s)
		return tool_sim_leave(w, NULL);
	if (!send_line(w, s, "one") || !send_line(w, s, "two"))
		return tool_sim_give_up(w, s);
	tool_say(w, "has no more to send: it ends its flow, and goes on receiving");
	soq_shutdown(s);
	return hear_line(w, s) ? tool_sim_leave(w, s) : tool_sim_give_up(w, s);
}

/* ---- slow ---- */

static int slow_handler(struct soq_stream *client, void *arg)
{
	struct tool_world *w = arg;
	char buf[SLOW_BUFFER];
	size_t total = 0;
	ssize_t n;

	tool_say(w, "rests for %lld s", (long long)(SLOW_REST_NS / SOQ_S));
	soq_sleep(SLOW_REST_NS);
	tool_say(w, "begins to receive");
	while ((n = soq_recv(client, buf, sizeof(buf))) > 0)
		total += (size_t)n;
	tool_say(w, "has received %zu bytes", total);
	return SOQ_DONE;
}

static int slow_server(void *arg)
{
	return tool_sim_serve(arg, "tcp://:7", slow_handler, NULL, arg);
}

static int slow_client(void *arg)
{
	static const char bytes[SLOW_BYTES];
	struct tool_world *w = arg;
	struct soq_stream *s = tool_sim_connect(w, "tcp://server:7");
	ssize_t n;

	if (!s)
		return tool_sim_leave(w, NULL);
	tool_say(w, "sends %d bytes", SLOW_BYTES);
	n = soq_send(s, bytes, sizeof(bytes));
	if (n < SLOW_BYTES) {
		tool_say(w, "could send %zd bytes only", n > 0 ? n : 0);
		return tool_sim_give_up(w, s);
	}
	tool_say(w, "has nothing left to send");
	return tool_sim_leave(w, s);
}

/* ---- the table ---- */

static const struct tool_scenario scenarios[] = {
	{ .name = "handshake",
		.summary = "a connection is made and ended: SYN, ACK, FIN",
		.server = echo_server,
		.client = handshake_client },
	{ .name = "echo",
		.summary = "the textbook's client and server: three questions, three answers",
		.server = echo_server,
		.client = echo_client },
	{ .name = "three",
		.summary = "a server with two clients at once; --shape iterative: in turn",
		.server = echo_server,
		.client = three_client,
		.clients = 2 },
	{ .name = "http",
		.summary = "a page is fetched from soquete's own HTTP service",
		.server = tool_http_server,
		.client = tool_http_client,
		.prepare = tool_http_prepare,
		.clean_up = tool_http_clean_up },
	{ .name = "udp",
		.summary = "datagrams and their answers, a quarter of them lost",
		.server = udp_server,
		.client = udp_client,
		.link = { .loss_ppm = SOQ_PPM_ONE / 4 } },
	{ .name = "refused",
		.summary = "nobody listens: a reset, and an ICMP message",
		.client = refused_client },
	{ .name = "timeout",
		.summary = "nobody can be reached: the client asks again, then gives up",
		.server = echo_server,
		.client = timeout_client,
		.partition = { .at_ns = 0, .duration_ns = SOQ_NEVER } },
	{ .name = "reset",
		.summary = "a client that leaves without a farewell",
		.server = echo_server,
		.client = reset_client },
	{ .name = "halfclose",
		.summary = "a client ends its flow, and still gets the answer",
		.server = count_server,
		.client = halfclose_client },
	{ .name = "slow",
		.summary = "a server that does not read: its window closes, and is probed",
		.server = slow_server,
		.client = slow_client,
		.buffer_bytes = SLOW_BUFFER },
	{ .name = "partition",
		.summary = "the network is cut for three seconds, and nothing is lost",
		.server = echo_server,
		.client = partition_client,
		.partition = { .at_ns = 2 * SOQ_S, .duration_ns = 3 * SOQ_S } },
};

const struct tool_scenario *tool_scenario_at(size_t index)
{
	return index < sizeof(scenarios) / sizeof(scenarios[0]) ? &scenarios[index] : NULL;
}
