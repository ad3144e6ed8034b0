/* tls_wire.h - ciphertext between a stream's SSL object and its socket.
 *
 * OpenSSL reads and writes through a BIO of ours, which never waits: it takes what has been
 * received, or what the socket has at once, and gives the socket what it takes at once; the
 * rest waits in memory. Waiting is done here, by the fiber, outside of OpenSSL: so nothing of
 * OpenSSL's is on the stack of a fiber that is suspended, and a cancelled one loses nothing.
 *
 * Invariant: what is in `out` is sent before anything else is.
 */
#ifndef SOQ__TLS_WIRE_H
#define SOQ__TLS_WIRE_H

#include <openssl/bio.h>
#include "net/net.h"

/* Bytes on their way: [first, first + count) of the memory, which is freed when it is empty and
 * the stream is idle. */
struct soq__tls_bytes {
	char *memory; /* NULL: none */
	size_t first, count, capacity;
};

struct soq__tls_wire {
	struct soq_stream *stream;
	struct soq__tls_bytes in;  /* received, not seen by OpenSSL */
	struct soq__tls_bytes out; /* written by OpenSSL, not taken by the socket */
	bool at_hand_only;	   /* the BIO is not to touch the socket */
	unsigned receives;	   /* how often the BIO may still try to receive */
	bool sending; /* a fiber waits while earlier bytes are sent: later ones queue */
	bool ended;   /* the peer's flow is over */
	int in_error, out_error; /* of the socket, or 0: one flow may outlive the other */
};

/* A BIO that reads and writes a wire, which must outlive it. @return NULL: no memory */
BIO *soq__tls_bio(struct soq__tls_wire *wire);

/* Suspend until more has come in: bytes, the end or an error. What is still to be sent goes on
 * being sent meanwhile.
 * @want  bytes that there should be room for in all
 * @timeout_ns  as soq__perform()
 * @return 0; -ETIMEDOUT, -ECANCELED, -ENOMEM */
int soq__tls_wire_fill(struct soq__tls_wire *wire, size_t want, int64_t timeout_ns);
/* The same without waiting. @return 0, -EAGAIN, -ENOMEM */
int soq__tls_wire_fill_now(struct soq__tls_wire *wire, size_t want);

/* Room for @len bytes behind those that are to be sent. What is written there counts when it
 * is added to wire->out.count. @return NULL: no memory */
void *soq__tls_wire_room(struct soq__tls_wire *wire, size_t len);

/* Suspend until the socket has taken what is to be sent. The stream's sending fiber only.
 * @return 0; a negative code, and what is left is sent later */
int soq__tls_wire_flush(struct soq__tls_wire *wire, int64_t timeout_ns);
/* The same as far as it goes without waiting. */
void soq__tls_wire_flush_now(struct soq__tls_wire *wire);

/* Give back memory that holds nothing. */
void soq__tls_wire_trim(struct soq__tls_wire *wire);
void soq__tls_wire_done(struct soq__tls_wire *wire);

#endif
