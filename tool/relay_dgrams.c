/* relay_dgrams.c - datagrams and standard input and output, relayed both ways.
 *
 * Each read of the input is a datagram: at a terminal a line, of a file up to 65,507
 * bytes, which is the most that UDP over IPv4 carries. A datagram flow has no end, so
 * silence after the input's end is taken for it.
 */
#include "relay.h"
#include "text.h"
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEND_BYTES 65507
#define RECV_BYTES (1024 * 1024) /* a Unix datagram may be as long as a socket's buffer */

struct relay {
	const struct tool_relay_options *opt;
	struct soq_dgram *d;
	struct tool_stdio *io;
	struct soq_event *changed; /* something below has changed */
	struct soq_event *met;	   /* there is somebody to send to */
	char *up_buf, *down_buf;   /* up's is followed by twice as many bytes */
	struct soq_addr peer;	   /* when the socket itself is not connected */
	bool connected;
	bool has_peer; /* a datagram has come; peer.len is 0 if its sender has no address */
	bool up_ended, down_ended, failed;
	int64_t active_ns; /* when a datagram last moved */
};

static void fail(struct relay *r, const char *what, int code)
{
	if (code == -ECANCELED)
		return; /* by ourselves: the relay has ended */
	if (!r->failed)
		tool_fail(r->opt->command, "%s %s: %s", what, r->opt->endpoint,
			soq_strerror(code));
	r->failed = true;
}

static void note(struct relay *r)
{
	r->active_ns = soq_now();
	soq_event_set(r->changed);
}

static int send_one(struct relay *r, const char *buf, size_t len)
{
	char *converted = r->up_buf + SEND_BYTES;
	struct tool_crlf crlf = { false };
	ssize_t n;

	if (r->opt->crlf) {
		len = tool_crlf(&crlf, converted, buf, len);
		buf = converted;
	}
	n = soq_sendto(r->d, buf, len, r->connected ? NULL : &r->peer);
	note(r);
	return n < 0 ? (int)n : 0;
}

/* Send what the buffer holds; with lines, an incomplete one stays until more of it has
 * come. *have is what is left in the buffer. */
static int send_buffer(struct relay *r, size_t *have, bool all)
{
	char *at = r->up_buf;
	int rc = 0;

	while (*have > 0 && !rc) {
		char *lf = r->opt->lines ? memchr(at, '\n', *have) : NULL;
		size_t len = lf ? (size_t)(lf + 1 - at) : *have;

		if (r->opt->lines && !lf && !all && *have < SEND_BYTES)
			break;
		rc = send_one(r, at, len);
		at += len;
		*have -= len;
	}
	memmove(r->up_buf, at, *have);
	return rc;
}

static void up(void *arg)
{
	struct relay *r = arg;
	size_t have = 0;
	ssize_t n = 0;
	int rc = 0;

	soq_set_fiber_name("relay up");
	if (!r->connected && soq_event_wait(r->met))
		return;
	while (!rc && !r->io->in_ended) {
		n = tool_input_read(r->io, r->up_buf + have, SEND_BYTES - have);
		if (n < 0)
			break;
		have += (size_t)n;
		rc = send_buffer(r, &have, !n);
	}

	if (n < 0)
		fail(r, "standard input for", (int)n);
	else if (rc)
		fail(r, "send to", rc);
	r->up_ended = true;
	note(r);
}

/* Whether a datagram is for us. The sender of the first is the client; with keep, that of
 * the latest. */
static bool accept_from(struct relay *r, const struct soq_addr *from)
{
	if (r->connected)
		return true;
	if (r->has_peer && !r->opt->keep)
		return soq_addr_equal(&r->peer, from);
	r->peer = *from;
	r->has_peer = true;
	if (from->len)
		soq_event_set(r->met);
	return true;
}

static void down(void *arg)
{
	struct relay *r = arg;
	struct soq_addr from;
	ssize_t n;
	int rc = 0;

	soq_set_fiber_name("relay down");
	while (!rc) {
		n = soq_recvfrom(r->d, r->down_buf, RECV_BYTES, &from);
		if (n < 0)
			break;
		if (accept_from(r, &from)) {
			rc = tool_output_write(r->io, r->down_buf, (size_t)n);
			note(r);
		}
	}

	if (rc == -EPIPE)
		r->failed = true; /* our reader has seen enough, and knows it */
	else if (rc)
		fail(r, "standard output from", rc);
	else
		fail(r, "receive from", (int)n);
	r->down_ended = true;
	note(r);
}

/* How long silence is borne now. */
static int64_t patience_ns(const struct relay *r)
{
	if (r->opt->idle_ns)
		return r->opt->idle_ns;
	return r->up_ended && !r->opt->stays ? SOQ_S : SOQ_NEVER;
}

static void wait_end(struct relay *r)
{
	while (!r->failed && !r->down_ended) {
		int64_t limit_ns = patience_ns(r), outer = SOQ_NEVER;
		char limit[32];

		if (limit_ns != SOQ_NEVER)
			outer = soq_deadline(r->active_ns + limit_ns);
		soq_event_reset(r->changed);
		soq_event_wait(r->changed);
		soq_deadline_restore(outer);
		limit_ns = patience_ns(r);
		if (limit_ns == SOQ_NEVER || soq_now() - r->active_ns < limit_ns)
			continue;
		if (r->up_ended)
			return;
		tool_duration_format(limit, sizeof(limit), limit_ns);
		tool_fail(r->opt->command, "%s: no datagram came or went for %s",
			r->opt->endpoint, limit);
		r->failed = true;
	}
}

static int relay(struct relay *r)
{
	struct soq_scope *scope;
	int rc = soq_scope_open(&scope);

	if (rc)
		return rc;
	note(r);
	rc = soq_spawn(scope, down, r);
	if (!rc)
		rc = soq_spawn(scope, up, r);
	if (!rc)
		wait_end(r);
	soq_scope_close(scope);
	return rc;
}

int tool_relay_dgrams(struct soq_dgram *d, bool connected, struct tool_stdio *io,
	const struct tool_relay_options *opt)
{
	struct relay r = { .opt = opt, .d = d, .io = io, .connected = connected };
	int rc = -ENOMEM;

	r.up_buf = malloc(3 * SEND_BYTES);
	r.down_buf = malloc(RECV_BYTES);
	if (r.up_buf && r.down_buf)
		rc = soq_event_new(&r.changed);
	if (!rc)
		rc = soq_event_new(&r.met);
	if (!rc)
		rc = relay(&r);
	if (rc)
		fail(&r, "relay", rc);
	soq_event_free(r.met);
	soq_event_free(r.changed);
	free(r.down_buf);
	free(r.up_buf);
	return r.failed ? TOOL_FAILED : TOOL_DONE;
}
