/* listener.h - accepts streams (Java: ServerSocket). */
#ifndef SOQUETE_LISTENER_H
#define SOQUETE_LISTENER_H

#include <soquete/base.h>
#include <soquete/stream.h>

SOQ_BEGIN_C

struct soq_listener;
struct soq_tls;

/* All zero is the default of each. */
struct soq_listen_options {
	unsigned backlog; /* connections the kernel holds unaccepted; 0: net.core.somaxconn */
	bool ipv6_only;	  /* `tcp://:port` without IPv4 */
	bool share_port;  /* let other listeners of this user have the same port, each with a
			     share of the clients (socket(7), SO_REUSEPORT) */
	unsigned
		unix_mode; /* permissions of a Unix socket's path; 0: as umask(2) leaves them */
	struct soq_tls *tls; /* for `tls://`, which needs one with a certificate; any other
				endpoint's clients begin with TLS too if it is given.
				Borrowed until the call returns */
};

/**
 * Listen on an endpoint: TCP, Unix stream, or an inherited listening socket.
 * Suspends only to look a name up. A Unix path left behind by a process that is gone is
 * taken over; one whose owner still listens is -EADDRINUSE.
 *
 * @ret  owned by the caller
 * @opt  NULL for the defaults
 *
 * @return 0; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES (a port below 1024 needs a privilege),
 *         -EPROTOTYPE (a datagram endpoint), names' errors as soq_connect();
 *         soq_last_error() has the sentence
 */
SOQ_API int soq_listen(
	struct soq_listener **ret, const char *endpoint, const struct soq_listen_options *opt);

/**
 * Suspends until a client connects.
 *
 * @ret  owned by the caller
 * @return 0; -ETIMEDOUT, -ECANCELED; -EBUSY (another fiber accepts);
 *         -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM: the client still waits; wait for a
 *         descriptor to be closed before calling again. A client that went away before
 *         it was accepted is skipped.
 * Source: accept(2).
 */
SOQ_API int soq_accept(struct soq_stream **ret, struct soq_listener *l);

/** The address listened on, with the port the kernel chose. @return 0 or a negative code */
SOQ_API int soq_listener_addr(const struct soq_listener *l, struct soq_addr *ret);

/** The descriptor, borrowed. */
SOQ_API int soq_listener_fd(const struct soq_listener *l);

/** How long soq_accept() may wait; SOQ_NEVER at first. */
SOQ_API void soq_set_accept_timeout(struct soq_listener *l, int64_t timeout_ns);

/** Close; never suspends. The path of a Unix socket is removed. Accepts NULL. */
SOQ_API void soq_listener_close(struct soq_listener *l);

SOQ_END_C

#endif
