/* connect.c - `soquete connect`: a terminal, a pipe or a program at one end of a socket.
 */
#include "tool.h"
#include "program.h"
#include "relay.h"
#include "tls_options.h"

#include <errno.h>

struct values {
	bool crlf, lines, verbose;
	int64_t timeout_ns;
	const char *program, *engine;
	struct tool_tls tls;
};

static const struct tool_option options[] = {
	{ "crlf", 'C', OPTION_FLAG, offsetof(struct values, crlf), NULL,
		"send each LF as CR LF" },
	{ "exec", 'e', OPTION_TEXT, offsetof(struct values, program), "CMD",
		"the socket is the standard input and output of sh -c CMD" },
	{ "lines", 'l', OPTION_FLAG, offsetof(struct values, lines), NULL,
		"datagrams: send each line of the input as one" },
	{ "timeout", 'w', OPTION_DURATION, offsetof(struct values, timeout_ns), "DURATION",
		"limit connecting, and silence both ways (5, 500ms, 2m)" },
	{ "verbose", 'v', OPTION_FLAG, offsetof(struct values, verbose), NULL,
		"tell whom we met, and what TLS was agreed on, on standard error" },
	{ "engine", 0, OPTION_ENGINE, offsetof(struct values, engine), "NAME",
		"auto, uring or epoll" },
	TOOL_TLS_CLIENT_OPTIONS(struct values),
	{ NULL },
};

static int talk(struct soq_stream *peer, const struct values *v, const char *text, bool is_tls)
{
	struct soq_addr peer_addr = { .len = 0 }, local_addr = { .len = 0 };
	struct tool_relay_options opt = {
		.command = tool_connect.name,
		.endpoint = text,
		.crlf = v->crlf,
		.idle_ns = v->timeout_ns,
	};
	struct tool_stdio io;
	int fd, status;

	if (v->program && is_tls)
		return tool_program_beside(tool_connect.name, v->program, peer, text);
	if (v->program) {
		soq_peer_addr(peer, &peer_addr);
		soq_local_addr(peer, &local_addr);
		fd = soq_detach(peer);
		if (fd < 0)
			return tool_fail(tool_connect.name, "%s: %s", text, soq_strerror(fd));
		return tool_program_become(
			tool_connect.name, v->program, fd, &peer_addr, &local_addr);
	}
	tool_stdio_init(&io);
	status = tool_relay(peer, &io, &opt);
	soq_close(peer);
	return status;
}

static int talk_dgrams(struct soq_dgram *d, const struct values *v, const char *text)
{
	struct soq_addr peer = { .len = 0 }, local = { .len = 0 };
	struct tool_relay_options opt = {
		.command = tool_connect.name,
		.endpoint = text,
		.crlf = v->crlf,
		.lines = v->lines,
		.idle_ns = v->timeout_ns,
	};
	struct tool_stdio io;
	int status;

	if (soq_dgram_peer(d, &peer))
		return tool_fail(tool_connect.name,
			"%s: this datagram socket is connected to nobody ('soquete listen' "
			"would be right)",
			text);
	soq_dgram_addr(d, &local);
	if (v->program)
		return tool_program_become(
			tool_connect.name, v->program, soq_dgram_fd(d), &peer, &local);
	tool_stdio_init(&io);
	status = tool_relay_dgrams(d, true, &io, &opt);
	soq_dgram_close(d);
	return status;
}

/* TLS that begins later than the connection: after words in clear, or with a name that is not
 * the host's. */
static int begin_tls(struct soq_stream *peer, const struct values *v,
	const struct soq_endpoint *endpoint, const char *text, struct soq_tls *tls)
{
	const char *name = v->tls.name ? v->tls.name : endpoint->host;
	int rc, status = TOOL_GO_ON;

	if (v->tls.starttls)
		status = tool_starttls(peer, v->tls.starttls, tool_connect.name, text);
	if (status != TOOL_GO_ON)
		return status;
	rc = soq_start_tls(peer, tls, *name ? name : "localhost");
	return rc < 0 ? tool_fail_library(tool_connect.name, text, rc) : TOOL_GO_ON;
}

static int connect_later_tls(struct soq_stream **ret, const struct values *v,
	const struct soq_endpoint *endpoint, const char *text, struct soq_tls *tls)
{
	struct soq_endpoint plain = *endpoint;
	char plain_text[SOQ_ENDPOINT_TEXT_MAX];
	int rc, status;

	if (plain.scheme == SOQ_SCHEME_TLS)
		plain.scheme = SOQ_SCHEME_TCP;
	soq_endpoint_format(plain_text, sizeof(plain_text), &plain);
	rc = soq_connect(ret, plain_text);
	if (rc < 0)
		return tool_fail_library(tool_connect.name, text, rc);
	status = begin_tls(*ret, v, endpoint, text, tls);
	if (status != TOOL_GO_ON)
		soq_close(*ret);
	return status;
}

/* @tls  NULL: in clear */
static int connect_stream(struct soq_stream **ret, const struct values *v,
	const struct soq_endpoint *endpoint, const char *text, struct soq_tls *tls)
{
	int rc;

	if (v->tls.insecure)
		tool_fail(tool_connect.name, "warning: --insecure: %s may be anybody%s", text,
			v->tls.pin ? " who has the key" : "");
	if (v->tls.starttls || v->tls.name)
		return connect_later_tls(ret, v, endpoint, text, tls);
	rc = tls ? soq_connect_tls(ret, text, tls) : soq_connect(ret, text);
	return rc < 0 ? tool_fail_library(tool_connect.name, text, rc) : TOOL_GO_ON;
}

static int connect_dgram(
	struct soq_dgram **ret, const struct soq_endpoint *endpoint, const char *text)
{
	int rc = endpoint->scheme == SOQ_SCHEME_FD ? soq_dgram_open(ret, text)
						   : soq_dgram_connect(ret, text);

	return rc < 0 ? tool_fail_library(tool_connect.name, text, rc) : TOOL_GO_ON;
}

static int check(const struct values *v, bool dgram)
{
	const char *name = tool_connect.name;

	if (v->program && (v->crlf || v->lines))
		return tool_usage(name,
			"--%s does not go with --exec, whose program writes "
			"to the socket itself",
			v->crlf ? "crlf" : "lines");
	if (v->lines && !dgram)
		return tool_usage(name, "--lines is for datagrams (udp://, unixgram://)");
	if (v->tls.starttls && dgram)
		return tool_usage(name, "--starttls is for streams (tcp://, unix://)");
	return TOOL_GO_ON;
}

static int64_t limit(const struct values *v)
{
	return v->timeout_ns && v->timeout_ns != SOQ_NEVER ? soq_now() + v->timeout_ns
							   : SOQ_NEVER;
}

/* What is connected by now is used in here. */
static int connect_and_talk(
	const struct values *v, const struct soq_endpoint *endpoint, const char *text)
{
	bool dgram = tool_is_dgram(endpoint);
	bool is_tls = endpoint->scheme == SOQ_SCHEME_TLS || v->tls.starttls;
	struct soq_tls *tls = NULL;
	struct soq_stream *peer;
	struct soq_dgram *d;
	int status = TOOL_GO_ON;
	int64_t outer;

	if (is_tls)
		status = tool_tls_new(&tls, &tool_connect, &v->tls, NULL);
	if (status != TOOL_GO_ON)
		return status;
	outer = soq_deadline(limit(v));
	status = dgram ? connect_dgram(&d, endpoint, text)
		       : connect_stream(&peer, v, endpoint, text, tls);
	soq_deadline_restore(outer);
	soq_tls_free(tls);
	if (status != TOOL_GO_ON)
		return status;
	if (dgram)
		return talk_dgrams(d, v, text);
	if (v->verbose)
		tool_tell("connected ", peer);
	return talk(peer, v, text, is_tls);
}

static int run(const struct tool_command *self, char **args)
{
	struct values v = { .timeout_ns = 0 };
	struct soq_endpoint endpoint;
	const char *text;
	int status;

	if ((status = tool_parse(self, args, &v)) != TOOL_GO_ON ||
		(status = tool_one_endpoint(self, args, &endpoint, &text)) != TOOL_GO_ON ||
		(status = check(&v, tool_is_dgram(&endpoint))) != TOOL_GO_ON ||
		(status = tool_tls_check_client(
			 self, &v.tls, endpoint.scheme == SOQ_SCHEME_TLS)) != TOOL_GO_ON ||
		(status = tool_choose_engine(self->name, v.engine)) != TOOL_GO_ON)
		return status;
	return connect_and_talk(&v, &endpoint, text);
}

const struct tool_command tool_connect = {
	.name = "connect",
	.operands = "[OPTION ...] ENDPOINT",
	.summary = "connect to an endpoint",
	.text = "Connect; send standard input to the socket, write what it sends to standard "
		"output.\n"
		"The input's end ends our flow (half-close); the peer's goes on to its own "
		"end.\n"
		"For udp and unixgram each read of the input is a datagram, and the end is 1 "
		"s,\n"
		"or --timeout, of silence after the input's end.\n",
	.options = options,
	.run = run,
};
