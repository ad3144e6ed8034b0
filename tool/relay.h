/* relay.h - from standard input to a socket, and from the socket to standard output. */
#ifndef TOOL_RELAY_H
#define TOOL_RELAY_H

#include <soquete/soquete.h>

/* Standard input and output. They outlive a relay: with --keep, the next client gets what
 * follows. */
struct tool_stdio {
	bool in_ended;
	bool in_is_terminal;
	bool out_broken;
};

void tool_stdio_init(struct tool_stdio *io);

/**
 * Suspends until standard input has something, and reads up to @len bytes of it.
 * @return the bytes read; 0 at the end; -ECANCELED and read(2)'s errors, nothing consumed
 */
ssize_t tool_input_read(struct tool_stdio *io, void *buf, size_t len);

/** Whether a read would return at once: bytes, or the end. */
bool tool_input_ready(const struct tool_stdio *io);

/**
 * Suspends until all of @buf is on standard output. A slow reader stops this fiber and no
 * other.
 * @return 0, or the negative code of write(2)
 */
int tool_output_write(struct tool_stdio *io, const void *buf, size_t len);

struct tool_relay_options {
	const char *command;  /* for messages */
	const char *endpoint; /* likewise */
	bool crlf;	      /* each LF of the input becomes CR LF */
	bool keep;	      /* other clients wait for their turn */
	bool stays;	      /* datagrams: go on receiving after the input's end */
	bool lines;	      /* datagrams: one for each line of the input */
	int64_t idle_ns;      /* without a byte either way; 0: no limit */
};

/**
 * Relay between standard input and output and a stream until both flows have ended. When
 * the peer's has, a terminal's input is not waited for. Suspends.
 *
 * @peer  borrowed
 * @return TOOL_DONE or TOOL_FAILED, reported
 */
int tool_relay(
	struct soq_stream *peer, struct tool_stdio *io, const struct tool_relay_options *opt);

/**
 * Relay datagrams: each read of standard input is one. Ends when the input has ended and
 * no reply has come for the idle time (1 s when none is given). Suspends.
 *
 * @connected  whether @d has a peer; otherwise the sender of the latest datagram is the
 *             peer, and without keep the first one is it for good
 * @return TOOL_DONE or TOOL_FAILED, reported
 */
int tool_relay_dgrams(struct soq_dgram *d, bool connected, struct tool_stdio *io,
	const struct tool_relay_options *opt);

/** Bytes, with each LF that follows no CR made CR LF. */
struct tool_crlf {
	bool after_cr; /* the last byte of the former piece was a CR */
};

/** @out has room for 2 * @len bytes. @return how many it holds now */
size_t tool_crlf(struct tool_crlf *state, char *out, const char *in, size_t len);

#endif
