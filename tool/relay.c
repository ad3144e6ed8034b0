/* relay.c - a stream and standard input and output, relayed both ways by two fibers.
 *
 * Each flow ends by itself: the input's end ends our flow to the peer, and theirs goes on.
 * What the peer sent is written out before the relay ends, and what is read from standard
 * input is sent, or a failure is reported: nothing is lost silently.
 *
 * Invariant: `sending` and `writing` are true while bytes are between the two sides.
 */
#include "relay.h"
#include "text.h"
#include "tool.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#define RELAY_BYTES 65536
#define GOODBYE_NS  SOQ_S

struct relay {
	const struct tool_relay_options *opt;
	struct soq_stream *peer;
	struct tool_stdio *io;
	struct soq_event *changed; /* something below has changed */
	char *up_buf, *down_buf;   /* RELAY_BYTES; up's is followed by twice as many */
	int64_t active_ns;	   /* when a byte last moved */
	bool sending, writing;
	bool up_ended, down_ended;
	bool hung_up; /* the peer neither sends nor receives any more */
	bool failed;
};

size_t tool_crlf(struct tool_crlf *state, char *out, const char *in, size_t len)
{
	char *at = out;

	for (size_t i = 0; i < len; i++) {
		if (in[i] == '\n' && !state->after_cr)
			*at++ = '\r';
		state->after_cr = in[i] == '\r';
		*at++ = in[i];
	}
	return (size_t)(at - out);
}

/* Report the relay's first failure, and have it end. */
static void fail(struct relay *r, const char *what, int code)
{
	if (code == -ECANCELED)
		return; /* by ourselves: the relay has ended */
	/* Of TLS, the library's sentence says more than the code, and with whom. */
	if (!r->failed && (code == -SOQ_ETLS || code == -SOQ_ECERTIFICATE))
		tool_fail(r->opt->command, "%s", soq_last_error());
	else if (!r->failed)
		tool_fail(r->opt->command, "%s %s: %s", what, r->opt->endpoint,
			soq_strerror(code));
	r->failed = true;
}

static void fail_idle(struct relay *r)
{
	char limit[32];

	tool_duration_format(limit, sizeof(limit), r->opt->idle_ns);
	if (!r->failed)
		tool_fail(r->opt->command, "%s: no byte came or went for %s", r->opt->endpoint,
			limit);
	r->failed = true;
}

static void note(struct relay *r)
{
	r->active_ns = soq_now();
	soq_event_set(r->changed);
}

static int send_all(struct relay *r, const char *buf, size_t len)
{
	ssize_t n = 0;

	r->sending = true;
	while (len > 0 && (n = soq_send(r->peer, buf, len)) > 0) {
		buf += n;
		len -= (size_t)n;
		note(r);
	}
	r->sending = false;
	return n < 0 ? (int)n : 0;
}

static void up(void *arg)
{
	struct relay *r = arg;
	struct tool_crlf crlf = { false };
	ssize_t n = 0;
	int rc = 0;

	soq_set_fiber_name("relay up");
	while (!r->io->in_ended) {
		const char *from = r->up_buf;

		n = tool_input_read(r->io, r->up_buf, RELAY_BYTES);
		if (n <= 0)
			break;
		if (r->opt->crlf) {
			char *to = r->up_buf + RELAY_BYTES;

			n = (ssize_t)tool_crlf(&crlf, to, r->up_buf, (size_t)n);
			from = to;
		}
		rc = send_all(r, from, (size_t)n);
		if (rc)
			break;
	}

	if (n < 0)
		fail(r, "standard input for", (int)n);
	if (rc)
		fail(r, "send to", rc);
	else if (n != -ECANCELED)
		soq_shutdown(r->peer); /* a peer that is gone says so to the other fiber */
	r->up_ended = true;
	note(r);
}

static void down(void *arg)
{
	struct relay *r = arg;
	ssize_t n;
	int events, rc = 0;

	soq_set_fiber_name("relay down");
	while ((n = soq_recv(r->peer, r->down_buf, RELAY_BYTES)) > 0) {
		r->writing = true;
		rc = tool_output_write(r->io, r->down_buf, (size_t)n);
		r->writing = false;
		note(r);
		if (rc)
			break;
	}

	if (rc == -EPIPE)
		r->failed = true; /* our reader has seen enough, and knows it */
	else if (rc)
		fail(r, "standard output from", rc);
	else if (n < 0)
		fail(r, "receive from", (int)n);
	r->down_ended = true;
	note(r);

	/* Without any event asked for, what is reported is that both flows have ended
	 * (poll(2), POLLHUP). io_uring's poll tells of the peer's end alone, too. */
	if (!n && (events = soq_wait_fd(soq_fd(r->peer), 0)) > 0 &&
		events & (POLLHUP | POLLERR)) {
		r->hung_up = true;
		note(r);
	}
}

static bool finished(const struct relay *r)
{
	if (!r->down_ended)
		return false;
	if (r->up_ended || r->hung_up || r->failed)
		return true;
	/* Whoever sits at a terminal, or waits for his turn, is not held up by a peer
	 * that has left. Input that is there already is sent all the same. */
	return (r->io->in_is_terminal || r->opt->keep) && !r->sending &&
		!tool_input_ready(r->io);
}

/* Suspends until both flows have ended, or no byte has moved for too long. */
static void wait_end(struct relay *r)
{
	int64_t idle_ns = r->opt->idle_ns ? r->opt->idle_ns : SOQ_NEVER;

	while (!finished(r)) {
		int64_t outer = SOQ_NEVER;
		int rc;

		if (idle_ns != SOQ_NEVER)
			outer = soq_deadline(r->active_ns + idle_ns);
		soq_event_reset(r->changed);
		rc = finished(r) ? 0 : soq_event_wait(r->changed);
		soq_deadline_restore(outer);
		if (rc != -ETIMEDOUT || soq_now() - r->active_ns < idle_ns)
			continue;
		if (r->writing) {
			r->active_ns = soq_now(); /* our own reader is slow, not the peer */
			continue;
		}
		fail_idle(r);
		return;
	}
}

/* The peer, which has left, is told that we end, too: TLS has a word for it. Should it not
 * listen, we do not wait. */
static void say_goodbye(struct soq_stream *peer)
{
	int64_t outer = soq_deadline(soq_now() + GOODBYE_NS);

	soq_shutdown(peer);
	soq_deadline_restore(outer);
}

int tool_relay(
	struct soq_stream *peer, struct tool_stdio *io, const struct tool_relay_options *opt)
{
	struct relay r = { .opt = opt, .peer = peer, .io = io };
	struct soq_scope *scope = NULL;
	int rc = -ENOMEM;

	r.up_buf = malloc(3 * RELAY_BYTES);
	r.down_buf = malloc(RELAY_BYTES);
	if (!r.up_buf || !r.down_buf)
		goto out;
	rc = soq_event_new(&r.changed);
	if (rc)
		goto out;
	rc = soq_scope_open(&scope);
	if (rc)
		goto out;
	note(&r);
	rc = soq_spawn(scope, down, &r);
	if (!rc)
		rc = soq_spawn(scope, up, &r);
	if (!rc)
		wait_end(&r);
out:
	if (rc)
		fail(&r, "relay", rc);
	soq_scope_close(scope);
	if (!r.failed && !r.up_ended)
		say_goodbye(peer);
	soq_event_free(r.changed);
	free(r.down_buf);
	free(r.up_buf);
	return r.failed ? TOOL_FAILED : TOOL_DONE;
}
