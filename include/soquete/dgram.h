/* dgram.h - a datagram socket (Java: DatagramSocket): UDP and Unix datagrams.
 *
 * A datagram arrives whole, or not at all, in any order, perhaps twice (RFC 768).
 */
#ifndef SOQUETE_DGRAM_H
#define SOQUETE_DGRAM_H

#include <soquete/base.h>
#include <soquete/endpoint.h>

SOQ_BEGIN_C

struct soq_dgram;

/* One datagram, with where it came from and where it was sent to. */
struct soq_packet {
	void *data;
	size_t len;	       /* bytes of data in the datagram */
	size_t capacity;       /* bytes that data can hold, for receiving */
	struct soq_addr peer;  /* received from, or to be sent to; len 0: the connected peer */
	struct soq_addr local; /* our address it was sent to, so that a reply comes from it;
				  len 0: unknown, or the kernel's choice */
	unsigned ifindex;      /* the interface it came by; 0: unknown, or any */
	bool truncated;	       /* the datagram was longer than capacity; the rest is lost */
};

/**
 * Open a socket bound to a local endpoint: `udp://:9999`, `udp://127.0.0.1:0`,
 * `unixgram:///path`, `fd://3`. Suspends only to look a name up.
 *
 * @ret  owned by the caller
 * @return 0; errors as soq_listen(); -EPROTOTYPE for a stream's endpoint
 */
SOQ_API int soq_dgram_open(struct soq_dgram **ret, const char *endpoint);

/* The same with SO_REUSEPORT, so that several workers can share a port. */
SOQ_API int soq_dgram_open_shared(struct soq_dgram **ret, const char *endpoint);

/**
 * Open a socket connected to a remote endpoint: it sends there, and receives from there
 * only. Suspends to look a name up. A refusal by the remote host is an error of a later
 * send or receive (-ECONNREFUSED).
 */
SOQ_API int soq_dgram_connect(struct soq_dgram **ret, const char *endpoint);

/** Two connected datagram sockets, as socketpair(2). */
SOQ_API int soq_dgram_pair(struct soq_dgram *ret[2]);

/**
 * Receive a datagram. Suspends until one arrives.
 *
 * @buf   @len bytes, lent until return, even when cancelled
 * @from  the sender, or NULL
 *
 * @return the datagram's length, 0 for an empty one;
 *         -EMSGSIZE      it was longer: its first @len bytes are in @buf, the rest is lost
 *         -ECONNREFUSED  an earlier send met a closed port (connected sockets)
 *         -ETIMEDOUT, -ECANCELED, -EBUSY   nothing consumed
 * Source: recv(2), udp(7).
 */
SOQ_API ssize_t soq_recvfrom(struct soq_dgram *d, void *buf, size_t len, struct soq_addr *from);

/**
 * Send a datagram. Suspends while the kernel's buffer is full. Several fibers may send on
 * one socket: each datagram goes out whole.
 *
 * @to  NULL for the connected peer
 * @return @len; -EMSGSIZE (too long for the path or the protocol), -EDESTADDRREQ,
 *         -ECONNREFUSED, -ENETUNREACH, -EACCES (broadcast not allowed), -ETIMEDOUT,
 *         -ECANCELED
 */
SOQ_API ssize_t soq_sendto(
	struct soq_dgram *d, const void *buf, size_t len, const struct soq_addr *to);

/**
 * Receive 1 to @count datagrams, as many as have arrived. Suspends until there is one.
 *
 * @packets  data and capacity are the caller's; the rest is filled in
 * @return how many were received; or as soq_recvfrom(), but a datagram that was too long
 *         is marked truncated instead
 */
SOQ_API int soq_recv_packets(struct soq_dgram *d, struct soq_packet *packets, unsigned count);

/**
 * Send @count datagrams. Suspends while the kernel's buffer is full. Runs of datagrams of
 * one length to one peer go down as one segmented send where the kernel can (udp(7),
 * UDP_SEGMENT).
 *
 * @return how many were sent; fewer than @count when one failed (the next call, begun at
 *         it, tells why); a negative code when the first did
 */
SOQ_API int soq_send_packets(
	struct soq_dgram *d, const struct soq_packet *packets, unsigned count);

/**
 * Answer a datagram, from the very address that it was sent to. Suspends as soq_sendto().
 * @return as soq_sendto()
 */
SOQ_API ssize_t soq_reply(
	struct soq_dgram *d, const struct soq_packet *request, const void *buf, size_t len);

/** Close; never suspends. The path of a bound Unix socket is removed. Accepts NULL. */
SOQ_API void soq_dgram_close(struct soq_dgram *d);

/** The address bound, with the port the kernel chose. @return 0 or a negative code */
SOQ_API int soq_dgram_addr(const struct soq_dgram *d, struct soq_addr *ret);

/** The connected peer's address. @return 0, -ENOTCONN */
SOQ_API int soq_dgram_peer(const struct soq_dgram *d, struct soq_addr *ret);

/** The descriptor, borrowed. */
SOQ_API int soq_dgram_fd(const struct soq_dgram *d);

/** How long each receive and each send may wait; SOQ_NEVER at first. */
SOQ_API void soq_dgram_set_recv_timeout(struct soq_dgram *d, int64_t timeout_ns);
SOQ_API void soq_dgram_set_send_timeout(struct soq_dgram *d, int64_t timeout_ns);

/**
 * Look up a datagram endpoint's first address, for soq_sendto(). Suspends.
 * @return 0; names' errors as soq_connect()
 */
SOQ_API int soq_dgram_resolve(struct soq_addr *ret, const char *endpoint);

/* Options. Each returns 0 or the negative code of setsockopt(2). */

/** Allow sending to a broadcast address (socket(7), SO_BROADCAST). Off at first. */
SOQ_API int soq_dgram_set_broadcast(struct soq_dgram *d, bool on);
/** Routers a datagram may cross: unicast, and multicast (1 at first). 0..255 */
SOQ_API int soq_dgram_set_hops(struct soq_dgram *d, unsigned hops);
SOQ_API int soq_dgram_set_multicast_hops(struct soq_dgram *d, unsigned hops);
/** Whether this host receives what it sends to a group. On at first. */
SOQ_API int soq_dgram_set_multicast_loop(struct soq_dgram *d, bool on);
/** The interface that multicast leaves by; NULL or "": the system's choice. */
SOQ_API int soq_dgram_set_multicast_interface(struct soq_dgram *d, const char *interface);
/**
 * Join or leave a multicast group on an interface.
 * @group      an address literal, "239.1.2.3" or "ff02::1"
 * @interface  its name, "eth0"; NULL or "": the system's choice
 * @return 0; -EINVAL (not a group's literal), -ENODEV (no such interface), -EADDRINUSE
 *         (joined already), -EADDRNOTAVAIL (leaving what was not joined)
 * Source: RFC 3678 section 5, ip(7).
 */
SOQ_API int soq_dgram_join(struct soq_dgram *d, const char *group, const char *interface);
SOQ_API int soq_dgram_leave(struct soq_dgram *d, const char *group, const char *interface);
/** The kernel's buffers, in bytes. */
SOQ_API int soq_dgram_set_recv_buffer(struct soq_dgram *d, size_t bytes);
SOQ_API int soq_dgram_set_send_buffer(struct soq_dgram *d, size_t bytes);

SOQ_END_C

#endif
