/* tls.h - what a stream, a listener and a server need of TLS. OpenSSL is known to the files
 * src/net/tls*.c alone; where it is not there, tls_absent.c stands in for them.
 */
#ifndef SOQ__TLS_H
#define SOQ__TLS_H

#include <soquete/stream.h>
#include <soquete/tls.h>

/* One more owner of a configuration. Accepts NULL. @return @tls */
struct soq_tls *soq__tls_ref(struct soq_tls *tls);
/* Whether it has a certificate to serve with. */
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

/* The stream's calls, where it has TLS (s->tls). */
int soq__tls_handshake(struct soq_stream *s);
ssize_t soq__tls_recv(struct soq_stream *s, void *buf, size_t len);
int soq__tls_wait_readable(struct soq_stream *s);
ssize_t soq__tls_send(struct soq_stream *s, const void *buf, size_t len);
ssize_t soq__tls_send_file(struct soq_stream *s, int fd, int64_t offset, size_t len);
int soq__tls_shutdown(struct soq_stream *s);

/* Whether a receive would return at once, by what has come already. Does not suspend. */
bool soq__tls_readable(struct soq_stream *s);
/* Give back the buffers that have nothing in them. */
void soq__tls_trim(struct soq_stream *s);
/* Nothing is said to the peer. */
void soq__tls_free(struct soq_stream *s);

#endif
