/* tls_config.h - what the files of a TLS configuration share.
 *
 *	tls_config.c   struct soq_tls: its life, its reloading, SSL objects made by it
 *	tls_rules.c    the options, checked and copied: what does not change with the files
 *	tls_files.c    certificates, keys, lists and staples, read from files
 *	tls_context.c  an SSL_CTX by the rules and the files, and what a server chooses by
 *	tls_ticket.c   the keys of a server's session tickets
 *	tls_session.c  a client's sessions
 *	tls_check.c    pins and staples of the peer
 *	tls_info.c     what a handshake came to
 *
 * Files are read, and contexts made, on a thread of the offload pool, which has no fiber: what
 * went wrong there is written into a struct soq__tls_why, and becomes the fiber's last error
 * when the fiber goes on.
 */
#ifndef SOQ__TLS_CONFIG_H
#define SOQ__TLS_CONFIG_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include "net/tls_openssl.h"

#define SOQ__TLS_PIN_BYTES 32 /* SHA-256 */

/* Why something could not be done: a code and a sentence. */
struct soq__tls_why {
	int code;
	char text[640];
};

/* As printf(3). @return @code, so that it can be returned at once */
__attribute__((format(printf, 3, 4))) int soq__tls_why(
	struct soq__tls_why *why, int code, const char *format, ...);

/* The wall clock of the engine; on a thread without one, which a simulated program does not
 * have, the kernel's. */
int64_t soq__tls_wall_clock(void);

/* ---- tls_rules.c ---- */

struct soq__tls_rules {
	struct soq_tls_options
		options;     /* texts are ours; certificate, key and staple are NULL */
	unsigned char *alpn; /* as on the wire: each after a byte of length; or NULL */
	size_t alpn_len;
	unsigned char (*pins)[SOQ__TLS_PIN_BYTES];
	size_t pin_count;
	bool keylog_optional; /* it is only the environment that asks for one */
	OSSL_LIB_CTX *library;
};

/* @ret  zeroed; given to soq__tls_rules_done() after an error too
 * @return 0; -EINVAL, -ENOMEM and a sentence */
int soq__tls_rules_init(struct soq__tls_rules *ret, const struct soq_tls_options *opt);
void soq__tls_rules_done(struct soq__tls_rules *rules);

/* ---- tls_files.c ---- */

/* The files of one certificate. */
struct soq__tls_files {
	char *certificate;
	char *key;    /* NULL: in the certificate's */
	char *staple; /* or NULL */
};

/* What they hold. */
struct soq__tls_identity {
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
	char *names; /* that it serves, in lower case, sorted, each ended by '\n' */
	unsigned char *staple;
	size_t staple_len;
	int64_t staple_until_s; /* it is not shown after that */
};

int soq__tls_identity_read(struct soq__tls_identity *ret, OSSL_LIB_CTX *library,
	const struct soq__tls_files *files, struct soq__tls_why *why);
void soq__tls_identity_done(struct soq__tls_identity *identity);

/* Take the CAs of a file or folder into a store. @ret_names  theirs, the caller's; or NULL */
int soq__tls_read_ca(X509_STORE *store, STACK_OF(X509_NAME) * *ret_names, OSSL_LIB_CTX *library,
	const char *path, struct soq__tls_why *why);
int soq__tls_read_crl(
	X509_STORE *store, OSSL_LIB_CTX *library, const char *path, struct soq__tls_why *why);

/* ---- tls_config.c ---- */

const struct soq__tls_rules *soq__tls_config_rules(const struct soq_tls *tls);

/* ---- tls_ticket.c ---- */

/* The keys with which servers' tickets are encrypted. They outlive the reading of files. */
struct soq__tls_tickets;

struct soq__tls_tickets *soq__tls_tickets_new(OSSL_LIB_CTX *library);
/* One more owner. */
struct soq__tls_tickets *soq__tls_tickets_ref(struct soq__tls_tickets *tickets);
void soq__tls_tickets_free(struct soq__tls_tickets *tickets);
/* Let a server's context issue and accept tickets by these keys; it becomes an owner. */
int soq__tls_tickets_use(SSL_CTX *ctx, struct soq__tls_tickets *tickets);

/* ---- tls_session.c ---- */

/* What a client remembers of the servers it has met. One for each context: what was checked
 * by other rules, or by another list of CAs, is not resumed. */
struct soq__tls_sessions;

struct soq__tls_sessions *soq__tls_sessions_new(void);
void soq__tls_sessions_free(struct soq__tls_sessions *sessions);
/* Let a client's context keep its sessions. */
void soq__tls_sessions_use(SSL_CTX *ctx);
/* Offer what is remembered of a server. @return 0; -ENOMEM */
int soq__tls_session_begin(SSL *ssl, const char *name);
/* The peer passed all checks: sessions with it may be kept. */
void soq__tls_session_checked(SSL *ssl);
/* Whether the peer of a session should show its certificate again: for too long it has not, or
 * the certificate has ended since. @proven_s  when it last did, on the wall clock */
bool soq__tls_session_is_stale(SSL_SESSION *session, int64_t proven_s);

/* ---- tls_check.c ---- */

/* The SHA-256 of a certificate's SubjectPublicKeyInfo. @return false: no memory */
bool soq__tls_pin(unsigned char pin[SOQ__TLS_PIN_BYTES], const X509 *x);

/* ---- tls_context.c ---- */

/* What a context of ours carries beside what OpenSSL knows, freed with it. */
struct soq__tls_extra {
	unsigned char *alpn; /* a server's, as in the rules */
	size_t alpn_len;
	int keylog; /* a descriptor; -1: none */
	bool pinned;
	bool insecure;
	OSSL_LIB_CTX *library;
	atomic_bool lacks_trust;	    /* the system's has not been loaded yet */
	struct soq__tls_tickets *tickets;   /* a server's, or NULL */
	struct soq__tls_sessions *sessions; /* a client's, or NULL */
	struct soq__tls_staple *staples;
	struct soq__tls_choice *choices; /* of the first context only: sorted by name */
	size_t choice_count;
};

/* NULL for a context that is not ours. */
struct soq__tls_extra *soq__tls_extra(const SSL_CTX *ctx);

/* What the system trusts is loaded when a client needs it first: it takes 20 ms where it is one
 * file of 140 certificates, and a server has no use for it. The second is for the pool. */
bool soq__tls_lacks_trust(const SSL_CTX *ctx);
void soq__tls_load_trust(SSL_CTX *ctx);

/* Both contexts that the rules and the files come to.
 * @count  certificates, of which the first is a client's too; 0: no server's context
 * @ret_slow  a key is among them that signs slowly */
struct soq__tls_contexts {
	SSL_CTX *client;
	SSL_CTX *server;
	bool slow;
};
int soq__tls_contexts_make(struct soq__tls_contexts *ret, const struct soq__tls_rules *rules,
	const struct soq__tls_files *files, size_t count, struct soq__tls_tickets *tickets,
	struct soq__tls_why *why);
void soq__tls_contexts_done(struct soq__tls_contexts *contexts);

#endif
