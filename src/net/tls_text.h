/* tls_text.h - text in a buffer, a piece at a time; what others wrote is made harmless.
 *
 * Invariant: the text ends with NUL, in whole characters; what finds no room is dropped. What
 * comes from a peer cannot end a line, move a cursor or turn the direction of writing.
 */
#ifndef SOQ__TLS_TEXT_H
#define SOQ__TLS_TEXT_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

struct soq__tls_text {
	char *buf;
	size_t size, len;
};

/* @len  at least 1 */
struct soq__tls_text soq__tls_text(char *buf, size_t len);

/* Our own words. */
__attribute__((format(printf, 2, 3))) void soq__tls_put(
	struct soq__tls_text *t, const char *format, ...);

/* Somebody's words, as UTF-8: what is none, and control characters, as \xHH for each byte. */
void soq__tls_put_foreign(struct soq__tls_text *t, const void *bytes, size_t len);

void soq__tls_put_name(struct soq__tls_text *t, const X509_NAME *name);
void soq__tls_put_time(struct soq__tls_text *t, const ASN1_TIME *time);

/* "the certificate of 'CN = a'"; without a subject, by the first name that it is for. */
void soq__tls_put_certificate(struct soq__tls_text *t, const X509 *certificate);

/* "a.example, *.b.example and 3 more": hosts' names and addresses that it is for, by its
 * alternative names, which alone count (RFC 9525 section 6.2). @return whether there is any */
bool soq__tls_put_hosts(struct soq__tls_text *t, const X509 *certificate);

#endif
