/* tls_record.h - the records of an established TLS 1.3 connection: sealing and opening them.
 *
 * OpenSSL shakes hands, for a server; its traffic secrets are all that is needed from then on,
 * and some hundred bytes hold them, where OpenSSL's connection takes fourteen thousand. Bytes
 * in, bytes out: nothing here reads or writes a socket.
 *
 * Invariant: a sequence number is used once with a key (RFC 8446 section 5.3).
 * Source: RFC 8446 sections 4.6.3, 5, 6 and 7; RFC 8447.
 */
#ifndef SOQ__TLS_RECORD_H
#define SOQ__TLS_RECORD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOQ__TLS_SECRET_MAX 48	  /* bytes: SHA-384's */
#define SOQ__TLS_HEADER	    5	  /* bytes before a record's ciphertext */
#define SOQ__TLS_MORE	    22	  /* bytes that sealing adds: header, type, tag */
#define SOQ__TLS_PLAIN_MAX  16384 /* of plaintext in a record */
/* A whole record, at most, padding included. */
#define SOQ__TLS_RECORD_MAX (SOQ__TLS_HEADER + SOQ__TLS_PLAIN_MAX + 256)

/* The types of records, and of what is in them. */
enum {
	SOQ__TLS_ALERT = 21,
	SOQ__TLS_HANDSHAKE = 22,
	SOQ__TLS_DATA = 23,
};

/* The traffic secrets of a handshake that is complete. */
struct soq__tls_secrets {
	unsigned char client[SOQ__TLS_SECRET_MAX];
	unsigned char server[SOQ__TLS_SECRET_MAX];
	bool has_client, has_server;
};

/* Take a secret from a line of the key log, if it is one of these (SSL_CTX_set_keylog_callback,
 * with its format of the Internet draft draft-ietf-tls-keylogfile). */
void soq__tls_secrets_note(struct soq__tls_secrets *secrets, const char *line);

struct soq__tls_record;

/**
 * @sent  records that were sent already with the server's secret: its tickets
 * @return NULL when this is no connection that it can take over (another version, another
 *         cipher), or there is no memory
 */
struct soq__tls_record *soq__tls_record_new(
	SSL *ssl, const struct soq__tls_secrets *secrets, uint64_t sent);
void soq__tls_record_free(struct soq__tls_record *r);

/* Plaintext that a record of ours may have: what the peer asked for, or all (RFC 6066 section
 * 4). */
size_t soq__tls_record_room(const struct soq__tls_record *r);

/**
 * Seal a record.
 * @out  len + SOQ__TLS_MORE bytes
 * @return how many were written; -ENOMEM
 */
int soq__tls_record_seal(
	struct soq__tls_record *r, int type, const void *buf, size_t len, unsigned char *out);

/* The length of the record that begins at @in, its header included, by its header.
 * @return 0 when @len bytes do not tell yet; or a negative alert (RFC 8446 section 6) */
int soq__tls_record_length(const unsigned char *in, size_t len);

/**
 * Open a whole record, in place.
 * @in  @len bytes, header included; the plaintext is at @in + SOQ__TLS_HEADER afterwards
 * @ret_len  how long it is; may be 0
 * @return its type; or a negative alert to be sent
 */
int soq__tls_record_open(
	struct soq__tls_record *r, unsigned char *in, size_t len, size_t *ret_len);

/* The next keys for what we receive, or send (KeyUpdate). @return 0, -ENOMEM */
int soq__tls_record_update(struct soq__tls_record *r, bool sending);
/* Whether keys have sealed as much as they should (RFC 8446 section 5.5). */
bool soq__tls_record_is_worn(const struct soq__tls_record *r);

/* Give back what can be made again from the secrets. */
void soq__tls_record_trim(struct soq__tls_record *r);

#endif
