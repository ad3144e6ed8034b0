/* connect.c - `soquete connect`: a terminal, a pipe or a program at one end of a socket.
 */
#include "tool.h"
#include "program.h"
#include "relay.h"

#include <errno.h>

struct values {
	bool crlf, lines;
	int64_t timeout_ns;
	const char *program, *engine;
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
	{ "engine", 0, OPTION_ENGINE, offsetof(struct values, engine), "NAME",
		"auto, uring or epoll" },
	{ NULL },
};

static int talk(struct soq_stream *peer, const struct values *v, const char *text)
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
	return TOOL_GO_ON;
}

static int run(const struct tool_command *self, char **args)
{
	struct values v = { .timeout_ns = 0 };
	struct soq_endpoint endpoint;
	struct soq_stream *peer;
	struct soq_dgram *d;
	const char *text;
	bool dgram;
	int64_t outer;
	int rc, status;

	if ((status = tool_parse(self, args, &v)) != TOOL_GO_ON ||
		(status = tool_one_endpoint(self, args, &endpoint, &text)) != TOOL_GO_ON)
		return status;
	dgram = tool_is_dgram(&endpoint);
	if ((status = check(&v, dgram)) != TOOL_GO_ON ||
		(status = tool_choose_engine(self->name, v.engine)) != TOOL_GO_ON)
		return status;

	outer = soq_deadline(v.timeout_ns && v.timeout_ns != SOQ_NEVER
			? soq_now() + v.timeout_ns
			: SOQ_NEVER);
	if (!dgram)
		rc = soq_connect(&peer, text);
	else if (endpoint.scheme == SOQ_SCHEME_FD)
		rc = soq_dgram_open(&d, text);
	else
		rc = soq_dgram_connect(&d, text);
	soq_deadline_restore(outer);
	if (rc)
		return tool_fail_library(self->name, text, rc);
	return dgram ? talk_dgrams(d, &v, text) : talk(peer, &v, text);
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
