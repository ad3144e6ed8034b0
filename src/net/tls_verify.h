/* tls_verify.h - what verifying the peer's certificate came to, as a part of a sentence. */
#ifndef SOQ__TLS_VERIFY_H
#define SOQ__TLS_VERIFY_H

#include "net/tls_openssl.h"
#include "net/tls_text.h"

/* After a handshake that failed for the peer's certificate.
 * @server  whether we are the server
 * @name    that a server's certificate was to have, or NULL */
void soq__tls_put_verify(
	struct soq__tls_text *t, const SSL *ssl, bool server, const char *name);

#endif
