/* tls_openssl.h - what the files of TLS share, in OpenSSL's terms.
 *
 *	tls_stream.c   bytes through a stream's SSL object: handshake, receive, send, end
 *	tls_config.c   struct soq_tls: options, files, and the SSL_CTX that they come to
 *	tls_session.c  what a client keeps of its connections, to resume them
 *	tls_check.c    what is checked of a peer beside OpenSSL's own checks: pins, staples
 *	tls_explain.c  sentences
 *	tls_verify.c   the same for a certificate that failed a check
 *	tls_first.c    the same for a peer that does not speak TLS
 *	tls_text.c     names, times and hosts of certificates, made harmless for sentences
 *	tls_make.c     certificates for a laboratory
 *	tls_save.c     the files that they are written to
 *	tls_random.c   OpenSSL's library context: in a simulated program, chance is the world's
 *
 * OpenSSL's queue of errors is the thread's, not the fiber's: it is emptied before a call and
 * read right after it, and nothing suspends in between. No call into OpenSSL suspends.
 */
#ifndef SOQ__TLS_OPENSSL_H
#define SOQ__TLS_OPENSSL_H

#include <openssl/ssl.h>
#include "net/net.h"
#include "net/tls.h"

/* ---- tls_random.c ---- */

/* The library context to make keys, contexts and SSL objects in: OpenSSL's own (NULL), or, in a
 * simulated program, one of ours whose random bytes are the engine's. */
OSSL_LIB_CTX *soq__tls_library(void);

/* ---- tls_stream.c ---- */

/* NULL when the stream has no TLS or has not shaken hands. A handshake may take place on a
 * thread of the offload pool: callbacks of OpenSSL must not count on the thread's worker, but
 * ask soq__worker_peek(), which is NULL there. */
SSL *soq__tls_ssl(const struct soq_stream *s);

/* To be called for each line of the key log (SSL_CTX_set_keylog_callback) of a server's
 * contexts, always: an established connection of TLS 1.3 goes on without its SSL object, and
 * then soq__tls_ssl() is NULL, and soq_tls_info() tells what soq__tls_info_of() had told
 * before. */
void soq__tls_note_secret(const SSL *ssl, const char *line);

/* ---- tls_config.c ---- */

/* A new SSL object by the configuration as it is now, in its part as a client or a server, with
 * everything set but its BIO: verification, the time by the engine's wall clock, SNI, ALPN, the
 * session to resume. Suspends only for the first client that needs what the system trusts.
 * @tls   not NULL
 * @name  a client's: the host's name or address to send and to check; NULL: no check of it
 * @return 0; a negative code and a sentence */
int soq__tls_config_ssl(SSL **ret, struct soq_tls *tls, bool server, const char *name);

/* The configuration of NULL: the defaults, made once for the process. Suspends to load the
 * system's trust on the offload pool. @ret  one owner more
 * @return 0; a negative code and a sentence */
int soq__tls_config_default(struct soq_tls **ret);

/* Whether a server may be met without a name to check: with insecure, or by its pin. */
bool soq__tls_config_is_nameless(const struct soq_tls *tls);
int64_t soq__tls_config_handshake_timeout(const struct soq_tls *tls);
/* Whether signing with one of its keys takes more than a millisecond or so, too long for the
 * other fibers of a thread. */
bool soq__tls_config_is_slow(const struct soq_tls *tls);

/* ---- tls_check.c ---- */

/* What remains to be checked when the handshake is complete: pins, staple.
 * @return 0; -SOQ_ECERTIFICATE, and the reason, a part of a sentence, in @buf */
int soq__tls_check(char *buf, size_t len, struct soq_tls *tls, SSL *ssl, bool server);

/* ---- tls_info.c ---- */

/* What the handshake of an SSL object came to. */
void soq__tls_info_of(struct soq_tls_info *ret, SSL *ssl);

/* ---- tls_explain.c ---- */

/* Why the last call on an SSL object failed, by OpenSSL's queue of errors (which is empty
 * afterwards) and by what verifying the certificate came to.
 * @buf   a part of a sentence: "the certificate of 'CN=a' expired on 2024-01-31 00:00:00 UTC"
 * @name  that was checked, or NULL
 * @return -SOQ_ECERTIFICATE, -SOQ_ETRUNCATED, -SOQ_ETLS, -ENOMEM */
int soq__tls_explain(char *buf, size_t len, SSL *ssl, bool server, const char *name);

/* The same by a number: a reason of libssl's (SSL_R_...), or SSL_AD_REASON_OFFSET and the
 * number of an alert that the peer has sent. @ret_words  static text */
int soq__tls_explain_number(const char **ret_words, int number);

/* For SSL_CTX_set_verify(), always: remembers of which certificate a check failed, and how, for
 * soq__tls_explain(). It lets nothing pass that OpenSSL found fault with. */
int soq__tls_verify_note(int ok, X509_STORE_CTX *ctx);

/* For SSL_CTX_set_info_callback(), always: notices what a peer says first that does not speak
 * TLS. */
void soq__tls_first_watch(const SSL *ssl, int where, int value);

/* The same where files were read: the errors in the queue, as a part of a sentence. */
void soq__tls_explain_queue(char *buf, size_t len);

/* "CN = my.server.it, O = Example", in UTF-8, nothing in it that moves a terminal's cursor. */
void soq__tls_name_text(char *buf, size_t len, const X509_NAME *name);
/* "2024-01-31 00:00:00 UTC". */
void soq__tls_time_text(char *buf, size_t len, const ASN1_TIME *time);

#endif
