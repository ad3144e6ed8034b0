/* listen.c - `soquete listen`: wait at an endpoint for one client, or for many.
 *
 * Without a program the clients have standard input and output, one after the other. With
 * one, each client has a program of its own: a server's handler, in any of the shapes.
 */
#include "tool.h"
#include "program.h"
#include "relay.h"
#include "signals.h"
#include "tls_options.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct values {
	bool crlf, keep, lines, verbose;
	int64_t timeout_ns;
	enum soq_shape shape;
	unsigned workers, clients_max, unix_mode;
	const char *program, *engine;
	struct tool_tls tls;
};

static const struct tool_option options[] = {
	{ "keep", 'k', OPTION_FLAG, offsetof(struct values, keep), NULL,
		"go on with further clients" },
	{ "exec", 'e', OPTION_TEXT, offsetof(struct values, program), "CMD",
		"the socket is the standard input and output of sh -c CMD" },
	{ "shape", 0, OPTION_SHAPE, offsetof(struct values, shape), "SHAPE",
		"with --exec: iterative, process, thread or fiber (default)" },
	{ "workers", 0, OPTION_WORKERS, offsetof(struct values, workers), "N",
		"with --exec: threads of the fiber shape; auto: one a processor" },
	{ "clients-max", 0, OPTION_COUNT, offsetof(struct values, clients_max), "N",
		"with --exec: clients at once; further ones wait" },
	{ "crlf", 'C', OPTION_FLAG, offsetof(struct values, crlf), NULL,
		"send each LF as CR LF" },
	{ "lines", 'l', OPTION_FLAG, offsetof(struct values, lines), NULL,
		"datagrams: send each line of the input as one" },
	{ "timeout", 'w', OPTION_DURATION, offsetof(struct values, timeout_ns), "DURATION",
		"limit the first client's coming, and silence (5, 500ms, 2m)" },
	{ "unix-mode", 0, OPTION_MODE, offsetof(struct values, unix_mode), "MODE",
		"permissions of a Unix socket's path (like 660)" },
	{ "verbose", 'v', OPTION_FLAG, offsetof(struct values, verbose), NULL,
		"tell who came, and what TLS was agreed on (not with -k -e)" },
	{ "engine", 0, OPTION_ENGINE, offsetof(struct values, engine), "NAME",
		"auto, uring or epoll" },
	TOOL_TLS_SERVER_OPTIONS(struct values),
	{ "alpn", 0, OPTION_TEXT, TOOL_TLS_AT(struct values, alpn), "LIST",
		"TLS: protocols to accept, the best first (h2,http/1.1)" },
	{ NULL },
};

/* Where we listen, and how. */
struct place {
	const struct values *v;
	struct soq_endpoint endpoint;
	const char *text;
	bool dgram;
	struct soq_tls *tls;	 /* NULL: in clear */
	struct soq_scope *scope; /* of what runs beside the clients */
	bool has_path;		 /* there is a path, and it is ours to remove */
};

static void announce(enum soq_scheme scheme, const struct soq_addr *addr)
{
	char text[SOQ_ENDPOINT_TEXT_MAX];

	soq_addr_endpoint(text, sizeof(text), scheme, addr);
	tool_print_line("listening ", text);
}

static void log_line(void *arg, const char *line)
{
	tool_print_line("soquete: listen: ", line);
}

static int handle_stream(struct soq_stream *peer, void *arg)
{
	const struct place *place = arg;
	int rc = tool_program_serve(peer, place->v->program);

	return rc < 0 ? rc : SOQ_DONE;
}

static int handle_dgram(struct soq_dgram *d, const struct soq_packet *request, void *arg)
{
	const struct place *place = arg;
	int rc = tool_program_answer(d, request, place->v->program);

	return rc < 0 ? rc : SOQ_DONE;
}

static int serve_programs(struct place *place)
{
	const struct values *v = place->v;
	struct soq_server_options opt = {
		.shape = v->shape,
		.workers = v->workers,
		.clients_max = v->clients_max,
		.unix_mode = v->unix_mode,
		.idle_timeout_ns = v->timeout_ns ? v->timeout_ns : SOQ_NEVER,
		.send_timeout_ns = v->timeout_ns ? v->timeout_ns : SOQ_NEVER,
		.tls = place->tls,
		.stop_on_signals = true,
		.log = log_line,
	};
	struct soq_server *server = NULL;
	struct soq_addr addr;
	enum soq_scheme scheme;
	int rc;

	rc = soq_server_new(&server, &opt);
	if (rc)
		return tool_fail(tool_listen.name, "%s", soq_strerror(rc));
	if (place->dgram)
		rc = soq_server_bind(server, place->text, handle_dgram, place);
	else
		rc = soq_server_listen(server, place->text, handle_stream, place);
	if (rc) {
		rc = tool_fail_library(tool_listen.name, place->text, rc);
		goto out;
	}
	tool_hold_signals();
	if (!soq_server_endpoint(server, 0, &addr, &scheme))
		announce(tool_scheme(&place->endpoint), &addr);
	rc = soq_server_run(server);
	if (rc && rc != -ETIMEDOUT && rc != -ECANCELED)
		rc = tool_fail(tool_listen.name, "%s: %s", place->text, soq_strerror(rc));
	else
		rc = TOOL_DONE;
out:
	soq_server_free(server);
	return rc;
}

static struct tool_relay_options relay_options(const struct place *place)
{
	return (struct tool_relay_options){
		.command = tool_listen.name,
		.endpoint = place->text,
		.crlf = place->v->crlf,
		.keep = place->v->keep,
		.lines = place->v->lines,
		.stays = true,
		.idle_ns = place->v->timeout_ns,
	};
}

/* One client becomes the program's; there is no way back. */
static int become(struct soq_stream *peer, const struct place *place)
{
	struct soq_addr peer_addr = { .len = 0 }, local_addr = { .len = 0 };
	int fd;

	soq_peer_addr(peer, &peer_addr);
	soq_local_addr(peer, &local_addr);
	fd = soq_detach(peer);
	if (fd < 0)
		return tool_fail(tool_listen.name, "%s: %s", place->text, soq_strerror(fd));
	return tool_program_become(
		tool_listen.name, place->v->program, fd, &peer_addr, &local_addr);
}

static bool is_ignored(int signal_number)
{
	struct sigaction action;

	return !sigaction(signal_number, NULL, &action) && action.sa_handler == SIG_IGN;
}

/* Remove the path that we listen at when a signal ends us, and end as it asks. */
static void remove_path_on_signal(void *arg)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	const struct place *place = arg;
	/* nohup(1) wants us to outlive the terminal. */
	int signal_number = soq_wait_signal(signals, is_ignored(SIGHUP) ? 2 : 3);
	sigset_t set;

	if (signal_number < 0)
		return;
	if (place->has_path)
		unlink(place->endpoint.path);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
	sigemptyset(&set);
	sigaddset(&set, signal_number);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Have the path removed also when a signal ends us. Called once it is ours, and before
 * anybody is told so. Without memory for it, the path stays: the next one takes it over. */
static void guard_path(struct place *place)
{
	const struct soq_endpoint *e = &place->endpoint;

	place->has_path = (e->scheme == SOQ_SCHEME_UNIX || e->scheme == SOQ_SCHEME_UNIXGRAM) &&
		e->path[0];
	if (place->has_path && !soq_spawn(place->scope, remove_path_on_signal, place))
		soq_yield(); /* it runs up to its wait */
}

/* One client, until both have ended; @peer is closed. */
static int serve_client(
	struct soq_stream *peer, const struct place *place, struct tool_stdio *io)
{
	struct tool_relay_options relay = relay_options(place);
	int status, rc = soq_handshake(peer);

	if (rc < 0) {
		status = tool_fail_library(tool_listen.name, place->text, rc);
		soq_close(peer);
		return status;
	}
	if (place->v->verbose)
		tool_tell("accepted ", peer);
	if (place->v->program)
		return place->tls ? tool_program_beside(tool_listen.name, place->v->program,
					    peer, place->text)
				  : become(peer, place);
	status = tool_relay(peer, io, &relay);
	soq_close(peer);
	return status;
}

static int serve_streams(struct place *place)
{
	const struct values *v = place->v;
	struct soq_listen_options opt = { .unix_mode = v->unix_mode, .tls = place->tls };
	struct soq_listener *listener;
	struct soq_stream *peer;
	struct soq_addr addr;
	struct tool_stdio io;
	int status, rc;

	rc = soq_listen(&listener, place->text, &opt);
	if (rc)
		return tool_fail_library(tool_listen.name, place->text, rc);
	guard_path(place);
	if (!soq_listener_addr(listener, &addr))
		announce(tool_scheme(&place->endpoint), &addr);
	if (v->timeout_ns)
		soq_set_accept_timeout(listener, v->timeout_ns);
	tool_stdio_init(&io);
	do {
		rc = soq_accept(&peer, listener);
		if (rc) {
			status = tool_fail(tool_listen.name, "accept %s: %s", place->text,
				soq_strerror(rc));
			break;
		}
		soq_set_accept_timeout(listener, SOQ_NEVER);
		if (!v->keep) {
			soq_listener_close(listener);
			listener = NULL;
			place->has_path = false;
		}
		status = serve_client(peer, place, &io);
	} while (v->keep && !io.out_broken);
	soq_listener_close(listener);
	return status;
}

/* One datagram is the program's input. */
static int answer_one(struct soq_dgram *d, const struct place *place)
{
	struct soq_packet packet = { .capacity = 65536 };
	int rc = -ENOMEM;

	packet.data = malloc(packet.capacity);
	if (packet.data) {
		if (place->v->timeout_ns)
			soq_dgram_set_recv_timeout(d, place->v->timeout_ns);
		rc = soq_recv_packets(d, &packet, 1);
	}
	if (rc > 0)
		rc = tool_program_answer(d, &packet, place->v->program);
	free(packet.data);
	if (rc < 0)
		return tool_fail(tool_listen.name, "%s: %s", place->text, soq_strerror(rc));
	return TOOL_DONE;
}

static int serve_dgrams(struct place *place)
{
	struct tool_relay_options relay = relay_options(place);
	struct soq_dgram *d;
	struct soq_addr addr, peer;
	struct tool_stdio io;
	int rc, status;

	rc = soq_dgram_open(&d, place->text);
	if (rc)
		return tool_fail_library(tool_listen.name, place->text, rc);
	if (place->v->unix_mode && place->endpoint.scheme == SOQ_SCHEME_UNIXGRAM)
		chmod(place->endpoint.path, place->v->unix_mode);
	guard_path(place);
	if (!soq_dgram_addr(d, &addr))
		announce(tool_scheme(&place->endpoint), &addr);
	if (place->v->program) {
		status = answer_one(d, place);
	} else {
		tool_stdio_init(&io);
		status = tool_relay_dgrams(d, !soq_dgram_peer(d, &peer), &io, &relay);
	}
	soq_dgram_close(d);
	return status;
}

static int serve_alone(struct place *place)
{
	int status, rc = soq_scope_open(&place->scope);

	if (rc)
		return tool_fail(tool_listen.name, "%s", soq_strerror(rc));
	status = place->dgram ? serve_dgrams(place) : serve_streams(place);
	soq_scope_close(place->scope);
	return status;
}

static int check(const struct values *v, bool dgram)
{
	const char *name = tool_listen.name;

	if (v->program && (v->crlf || v->lines))
		return tool_usage(name,
			"--%s does not go with --exec, whose program writes "
			"to the socket itself",
			v->crlf ? "crlf" : "lines");
	if (!v->program && (v->shape || v->workers || v->clients_max))
		return tool_usage(name,
			"--%s goes with --exec only: without it clients have "
			"their turns at standard input and output",
			v->shape	     ? "shape"
				: v->workers ? "workers"
					     : "clients-max");
	if (v->lines && !dgram)
		return tool_usage(name, "--lines is for datagrams (udp://, unixgram://)");
	return TOOL_GO_ON;
}

static int run(const struct tool_command *self, char **args)
{
	struct values v = { .timeout_ns = 0 };
	struct place place = { .v = &v };
	bool is_tls;
	int status;

	if ((status = tool_parse(self, args, &v)) != TOOL_GO_ON ||
		(status = tool_one_endpoint(self, args, &place.endpoint, &place.text)) !=
			TOOL_GO_ON)
		return status;
	place.dgram = tool_is_dgram(&place.endpoint);
	is_tls = place.endpoint.scheme == SOQ_SCHEME_TLS;
	if ((status = check(&v, place.dgram)) != TOOL_GO_ON ||
		(status = tool_tls_check_server(self, &v.tls, is_tls)) != TOOL_GO_ON ||
		(status = tool_choose_engine(self->name, v.engine)) != TOOL_GO_ON)
		return status;
	if (is_tls && (status = tool_tls_new(&place.tls, self, &v.tls, NULL)) != TOOL_GO_ON)
		return status;
	status = v.program && v.keep ? serve_programs(&place) : serve_alone(&place);
	soq_tls_free(place.tls);
	return status;
}

const struct tool_command tool_listen = {
	.name = "listen",
	.operands = "[OPTION ...] ENDPOINT",
	.summary = "wait at an endpoint for a client, or for many",
	.text = "Listen, print 'listening ENDPOINT' with the real port on standard error, and\n"
		"relay one client as connect does. With --keep, further clients follow: one\n"
		"after the other, or with --exec each with a program of its own at once.\n",
	.options = options,
	.run = run,
};
