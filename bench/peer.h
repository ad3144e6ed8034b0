/* peer.h - what every benchmark server has in common: its start and its end.
 *
 * A server listens on a free port of 127.0.0.1, tells it as the first line of
 * its standard output, `127.0.0.1 PORT`, and ends on SIGTERM or when its
 * standard input, a pipe, is closed: whoever started it, however that ended,
 * leaves no server behind.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

/**
 * Prepare the process: end with standard input when that is a pipe, as many
 * descriptors as the system gives, no SIGPIPE.
 *
 * No thread watches the pipe: a process of one thread takes cheaper references
 * to its descriptors, and that would be measured.
 */
void peer_init(void);

/**
 * Open the listening socket, non-blocking and with TCP_NODELAY, which accepted
 * sockets inherit. Prints nothing. Ends the process on failure.
 *
 * @return the descriptor
 */
int peer_listen(void);

/**
 * Print the `127.0.0.1 PORT` line of the listening socket @fd.
 */
void peer_ready(int fd);

/**
 * End the process with one line: @what and the reason of @error, a positive
 * errno value.
 */
_Noreturn void peer_die(const char *what, int error);

#endif
