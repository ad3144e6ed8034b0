/* tls_first.h - what a peer that does not speak TLS says first. */
#ifndef SOQ__TLS_FIRST_H
#define SOQ__TLS_FIRST_H

#include "net/tls_openssl.h"
#include "net/tls_text.h"

/* ": it begins with '220 mail.example ESMTP'", after a failure; nothing where it is not known.
 * What is shown is taken from the BIO. */
void soq__tls_put_first(struct soq__tls_text *t, const SSL *ssl);

#endif
