/* program.h - a program whose standard input and output are a socket.
 *
 * It is run by `sh -c`. It finds in its environment SOQUETE_PEER and SOQUETE_LOCAL, the
 * addresses of both ends as soq_addr_format() writes them ("-" for none).
 */
#ifndef TOOL_PROGRAM_H
#define TOOL_PROGRAM_H

#include <soquete/soquete.h>

/**
 * Become the program, with a connected socket as its standard input and output.
 *
 * @fd  in either mode; made blocking
 * @return only on failure, TOOL_FAILED, reported
 */
int tool_program_become(const char *subcommand, const char *program, int fd,
	const struct soq_addr *peer, const struct soq_addr *local);

/**
 * Run the program for a stream until it has ended, and reap it. Suspends. A cancellation
 * kills it.
 *
 * @peer  borrowed
 * @return 0, or a negative code when it could not be started; -SOQ_ETRUNCATED when the peer's
 *         flow was cut off, of which the program has not heard: it got an end
 */
int tool_program_serve(struct soq_stream *peer, const char *program);

/**
 * The same where the stream has TLS, of which a program's socket knows nothing: for one client,
 * whose stream is closed. Suspends.
 * @return the program's exit status; 128 and the signal's number if one ended it; TOOL_FAILED,
 *         reported
 */
int tool_program_beside(const char *subcommand, const char *program, struct soq_stream *peer,
	const char *endpoint);

/**
 * Run the program for a datagram: that is its whole input, and its whole output, if there
 * is any, is the answer. Suspends; as tool_program_serve() otherwise.
 */
int tool_program_answer(
	struct soq_dgram *d, const struct soq_packet *request, const char *program);

#endif
