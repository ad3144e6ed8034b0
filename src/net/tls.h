/* tls.h - what a stream, a listener and a server need of TLS. OpenSSL is known to the files
 * src/net/tls*.c alone; where it is not there, tls_absent.c stands in for them.
 */
#ifndef SOQ__TLS_H
#define SOQ__TLS_H

#include <soquete/stream.h>
#include <soquete/tls.h>

/* One more owner of a configuration. Accepts NULL. @return @tls */
struct soq_tls *soq__tls_ref(struct soq_tls *tls);
/* Whether it has a certificate to serve with. Accepts NULL. */
bool soq__tls_can_serve(const struct soq_tls *tls);

/* The part of a client, or of a server, that a stream's TLS plays. */
struct soq__tls_begin {
	struct soq_tls *tls; /* NULL, for a client: the defaults */
	bool server;
	const char *name;     /* a client's: whom the certificate must name; NULL: nobody */
	const char *endpoint; /* what connected, for sentences; NULL: an address will do */
};

/* Let a connected stream speak TLS. The handshake takes place in the first call that needs it.
 * Suspends to load the system's trust, once. @return 0; a negative code and a sentence */
int soq__tls_begin(struct soq_stream *s, const struct soq__tls_begin *how);

/* What a stream does where it has TLS (s->tls). All of these suspend. */

/* As soq_handshake(). Of several fibers one does it, and the others wait. */
int soq__tls_handshake(struct soq_stream *s);
/* Whether a fiber is at it now. */
bool soq__tls_is_shaking(const struct soq_stream *s);
/* By the receiving fiber, as soq_recv() and soq_wait_readable(). */
ssize_t soq__tls_recv(struct soq_stream *s, void *buf, size_t len);
int soq__tls_wait_readable(struct soq_stream *s);
/* By the sending fiber: a record's worth.
 * @ret_cut  -ETIMEDOUT or -ECANCELED when time was over before the socket had taken all of it:
 *           the rest goes before anything else
 * @return the bytes taken, at least one; or a negative code */
ssize_t soq__tls_send(struct soq_stream *s, const void *buf, size_t len, int *ret_cut);
/* Say that our flow is over. The socket is not shut down. */
int soq__tls_shutdown(struct soq_stream *s);
/* Whether it has shaken hands, and no error has ended both flows since. */
bool soq__tls_is_established(const struct soq_stream *s);

/* Whether a receive would return at once, by what has come already. Does not suspend. */
bool soq__tls_readable(struct soq_stream *s);
/* Say that our flow is over, as far as it goes without waiting. Nobody may be sending. */
void soq__tls_shutdown_now(struct soq_stream *s);
/* Give back the buffers that have nothing in them. */
void soq__tls_trim(struct soq_stream *s);
/* Nothing is said to the peer. */
void soq__tls_free(struct soq_stream *s);

#endif
