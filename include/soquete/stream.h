/* stream.h - a connected pair of byte flows, one in, one out (Java: Socket).
 *
 * One fiber may receive while another sends; two receivers at once, or two senders, is
 * -EBUSY. A stream belongs to the thread that made it. SIGPIPE is never raised, every
 * descriptor is close-on-exec, and Nagle's delay is off unless soq_set_nodelay() says
 * otherwise.
 */
#ifndef SOQUETE_STREAM_H
#define SOQUETE_STREAM_H

#include <soquete/base.h>
#include <soquete/endpoint.h>
#include <stdio.h>

SOQ_BEGIN_C

struct soq_stream;

/**
 * Suspends until connected to an endpoint: TCP, TLS, Unix stream, or an inherited socket.
 * For tls:// the handshake has taken place too, by the defaults of tls.h.
 * A name's addresses race: the next is tried when one has failed or has not answered for 250
 * ms, IPv6 and IPv4 in turn; none is given up for that, and the first that answers wins.
 *
 * @ret       owned by the caller, who closes it
 * @endpoint  text, see endpoint.h
 *
 * @return 0; -SOQ_EENDPOINT; -SOQ_ENONAME, -SOQ_ENORECORD, -SOQ_ENAMEWAIT, -SOQ_ENAMEFAIL,
 *         -SOQ_ENOPORT as soq_resolve(); -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH …: the
 *         reason of the address that failed last, and soq_last_error() names every address
 *         with its own; -ETIMEDOUT, -ECANCELED; -EPROTOTYPE for a datagram endpoint; those of
 *         soq_connect_tls() for tls://
 *
 * Source: RFC 9293 section 3.10.1, RFC 8305 section 5, connect(2).
 */
SOQ_API int soq_connect(struct soq_stream **ret, const char *endpoint);

/**
 * Receive up to @len bytes. Suspends until some arrive.
 *
 * @s    borrowed; one receiving fiber at a time
 * @buf  @len writable bytes, lent until return, even when cancelled
 * @len  bytes, 1..SSIZE_MAX
 *
 * @return 1..@len bytes; 0 when the peer has finished sending;
 *         -ETIMEDOUT, -ECANCELED   nothing consumed, the stream is usable
 *         -EBUSY                   another fiber is receiving
 *         -EINVAL                  @len is 0
 *         -ECONNRESET              only soq_close() remains valid
 *         -SOQ_ETRUNCATED          TLS: the peer's flow ended without its saying so
 *         -SOQ_ETLS, -SOQ_ECERTIFICATE  TLS: the handshake failed, or a later record is not
 *                                  the peer's; soq_last_error() says why
 *
 * Source: RFC 9293 section 3.10.4; recv(2).
 */
SOQ_API ssize_t soq_recv(struct soq_stream *s, void *buf, size_t len);

/**
 * Suspends until exactly @len bytes have arrived or can no longer.
 *
 * @return @len; fewer when the peer finished, or a deadline, a cancellation or a reset
 *         cut it short (the next call tells why); 0 when the peer had finished before
 *         the first byte; a negative code, as soq_recv(), with nothing consumed
 */
SOQ_API ssize_t soq_recv_full(struct soq_stream *s, void *buf, size_t len);

/**
 * Suspends until a line has arrived: bytes up to a LF, which may follow a CR. Neither is
 * stored; a NUL ends the line in @buf.
 *
 * @buf  @len bytes for the line and its NUL
 *
 * @return the line's length, 0 for an empty one;
 *         -ENODATA     the peer finished; a last line without its LF is returned first
 *         -SOQ_ELINE   the line needs more than @len bytes: its first @len - 1 are in
 *                      @buf, the rest of it is skipped by the next call
 *         -ETIMEDOUT, -ECANCELED   nothing consumed: the part that came is kept
 *         others as soq_recv()
 */
SOQ_API ssize_t soq_recv_line(struct soq_stream *s, char *buf, size_t len);

/**
 * Give bytes back: the next receive returns them first, before the peer's. For a parser
 * that read too far, and for a handler that keeps a pipelined request for its next call.
 *
 * @return 0; -ENOMEM; -EBUSY while another fiber receives
 */
SOQ_API int soq_unrecv(struct soq_stream *s, const void *buf, size_t len);

/**
 * Suspends until the stream has something to receive: bytes, the end, or an error.
 * @return 0; -ETIMEDOUT, -ECANCELED, -EBUSY
 */
SOQ_API int soq_wait_readable(struct soq_stream *s);

/**
 * Send @len bytes. Suspends until the kernel has taken all of them.
 *
 * @buf  lent until return, even when cancelled
 * @len  bytes, 0..SSIZE_MAX
 *
 * @return @len; fewer when a deadline, a cancellation or the peer cut it short (the next
 *         call tells why); or with nothing sent:
 *         -EPIPE, -ECONNRESET      the peer no longer receives
 *         -ETIMEDOUT, -ECANCELED, -EBUSY
 *
 * Source: RFC 9293 section 3.10.3; send(2).
 */
SOQ_API ssize_t soq_send(struct soq_stream *s, const void *buf, size_t len);

/** Suspends until a string without its NUL is sent. Returns as soq_send(). */
SOQ_API ssize_t soq_send_text(struct soq_stream *s, const char *text);

/**
 * Suspends until a part of a file is sent; without TLS, without a copy through user space.
 *
 * @fd      a descriptor that sendfile(2) can read: a regular file; borrowed, its own
 *          offset is not used
 * @offset  bytes from the file's start
 * @len     bytes; a file that ends earlier ends the transfer
 *
 * @return the bytes sent, fewer than @len as soq_send() or at the file's end; a negative
 *         code with nothing sent
 */
SOQ_API ssize_t soq_send_file(struct soq_stream *s, int fd, int64_t offset, size_t len);

/**
 * End our flow: the peer receives what was sent and then an end; its own flow goes on.
 * With TLS the end is said (close_notify), and may suspend.
 * @return 0; -ENOTCONN, -ECONNRESET; with TLS also -ETIMEDOUT, -ECANCELED, -EBUSY
 * Source: RFC 9293 section 3.10.5; shutdown(2).
 */
SOQ_API int soq_shutdown(struct soq_stream *s);

/**
 * End our flow, receive and discard the peer's to its end, and close. Suspends. Because
 * nothing stays unread, no reset can destroy what we sent (RFC 9293 section 3.10.4,
 * RFC 1122 section 4.2.2.13).
 *
 * @s  freed, whatever is returned; NULL is allowed
 *
 * @return 0 when the peer's end was seen; -ETIMEDOUT, -ECANCELED, -ECONNRESET when not:
 *         bytes that we sent may not have arrived
 */
SOQ_API int soq_finish(struct soq_stream *s);

/**
 * Close at once; never suspends. Unread input makes the kernel reset the connection: to
 * end gracefully, use soq_finish(). An operation that another fiber has pending on the
 * stream is a program's error (assertion). With TLS the peer is not told that our flow is
 * whole. Accepts NULL.
 */
SOQ_API void soq_close(struct soq_stream *s);

/**
 * Two connected streams, as socketpair(2).
 * @return 0, -EMFILE, -ENFILE, -ENOMEM
 */
SOQ_API int soq_pair(struct soq_stream *ret[2]);

/**
 * Use a stream with stdio: fprintf, getline, fscanf. Reading and writing suspend. The FILE
 * owns the stream: fclose(3) flushes, finishes and closes it. One fiber at a time.
 *
 * @mode  as fopen(3): "r", "w", "r+"; "r+" may alternate reads and writes freely
 * @return NULL when there is no memory, and the stream is still the caller's
 */
SOQ_API FILE *soq_fopen(struct soq_stream *s, const char *mode);

/**
 * Make a stream of a connected stream socket.
 * @fd  owned by the stream on success
 * @return 0; -ENOTSOCK, -EPROTOTYPE (not a stream socket), -ENOMEM
 */
SOQ_API int soq_adopt(struct soq_stream **ret, int fd);

/**
 * Give up a stream and keep its descriptor, in blocking mode, for another owner such as a
 * program to be executed. It stays close-on-exec.
 *
 * @return the descriptor, now the caller's, and @s is freed; -EBUSY (an operation is
 *         pending), -EOPNOTSUPP (it has TLS), and @s is still the caller's. Bytes received but
 * not yet given out are lost.
 */
SOQ_API int soq_detach(struct soq_stream *s);

/** The descriptor, borrowed, to ask the kernel things; do no I/O on it. */
SOQ_API int soq_fd(const struct soq_stream *s);

/** The peer's address. @return 0, -ENOTCONN */
SOQ_API int soq_peer_addr(const struct soq_stream *s, struct soq_addr *ret);

/** Our own address. @return 0, or a negative code from getsockname(2) */
SOQ_API int soq_local_addr(const struct soq_stream *s, struct soq_addr *ret);

/**
 * How long a receive or a send may wait; each operation starts it afresh.
 * @timeout_ns  0 only polls; SOQ_NEVER waits without limit, which is the default outside
 *              of servers
 */
SOQ_API void soq_set_recv_timeout(struct soq_stream *s, int64_t timeout_ns);
SOQ_API void soq_set_send_timeout(struct soq_stream *s, int64_t timeout_ns);
SOQ_API int64_t soq_recv_timeout(const struct soq_stream *s);
SOQ_API int64_t soq_send_timeout(const struct soq_stream *s);

/**
 * Where a handler keeps what it remembers of a stream between its calls. NULL at first.
 * The server calls @free on it when the stream closes.
 */
SOQ_API void soq_set_stream_data(struct soq_stream *s, void *data, void (*free)(void *));
SOQ_API void *soq_stream_data(const struct soq_stream *s);

/* Socket options, by name. Each returns 0 or the negative code of setsockopt(2). */

/** Send small segments at once (tcp(7), TCP_NODELAY). On at first. */
SOQ_API int soq_set_nodelay(struct soq_stream *s, bool on);

/** Hold partial segments back until taken off (tcp(7), TCP_CORK). */
SOQ_API int soq_set_cork(struct soq_stream *s, bool on);

/**
 * Probe a silent peer (tcp(7), TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT).
 * @idle_ns      before the first probe, rounded up to seconds; 0 turns probing off
 * @interval_ns  between probes
 * @count        unanswered probes that end the connection
 */
SOQ_API int soq_set_keepalive(
	struct soq_stream *s, int64_t idle_ns, int64_t interval_ns, unsigned count);

/** The kernel's buffers, in bytes (socket(7), SO_RCVBUF, SO_SNDBUF). */
SOQ_API int soq_set_recv_buffer(struct soq_stream *s, size_t bytes);
SOQ_API int soq_set_send_buffer(struct soq_stream *s, size_t bytes);

/**
 * What soq_close() does with unsent bytes (socket(7), SO_LINGER).
 * @linger_ns  negative: the kernel goes on sending them (its default); 0: discard and
 *             reset
 * @return also -EINVAL for a positive one: close never suspends, see soq_finish()
 */
SOQ_API int soq_set_linger(struct soq_stream *s, int64_t linger_ns);

SOQ_END_C

#endif
