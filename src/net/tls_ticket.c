/* tls_ticket.c - the keys of a server's session tickets.
 *
 * A ticket is a session, encrypted by its server for itself, and kept by the client. Whoever
 * has the key reads old tickets, and in TLS 1.2 what was said in those sessions: so a key is
 * used for half a day, accepted for another, and gone. It outlives the reading of files, and is
 * no other configuration's.
 *
 * The sessions' times are on OpenSSL's clock, time(2), for OpenSSL, and on the engine's in the
 * ticket: so a simulated program's tickets are the same whenever it is run, and end when its
 * own clock says. Beside the session a ticket holds when the client last shook hands in full:
 * a ticket that was given for another must not spare it that for ever.
 *
 * Invariant: secret and keys are read and changed under the lock.
 * Source: RFC 5077 section 4, RFC 5869 (HKDF), RFC 9325 section 3.4,
 * SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
 */
#include "net/tls_config.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <soquete/time.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ROTATE_NS  ((int64_t)12 * 3600 * SOQ_S)
#define STEPS_MAX  10000 /* at a time: a clock that leaps by more is wrong */
#define NAME_BYTES 16

struct key {
	unsigned char name[NAME_BYTES]; /* goes with the ticket in clear */
	unsigned char cipher[32];
	unsigned char mac[32];
};

/* What comes of a secret. */
struct yield {
	unsigned char secret[32]; /* the next */
	struct key key;
};

struct soq__tls_tickets {
	atomic_uint refs;
	OSSL_LIB_CTX *library;
	EVP_CIPHER *cipher;
	pthread_mutex_t lock;
	unsigned char secret[32]; /* of the next key */
	struct key current, former;
	bool has_former;
	int64_t made_ns; /* the current one, on the wall clock */
};

static bool expand(struct yield *ret, struct soq__tls_tickets *t)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_KEY, t->secret, sizeof(t->secret)),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_INFO, (char *)"soquete tickets", 15),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(t->library, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	bool ok = ctx && EVP_KDF_derive(ctx, (unsigned char *)ret, sizeof(*ret), params) == 1;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok;
}

static bool next_key(struct soq__tls_tickets *t)
{
	struct yield yield;
	bool ok = expand(&yield, t);

	if (ok) {
		memcpy(t->secret, yield.secret, sizeof(t->secret));
		t->former = t->current;
		t->current = yield.key;
	}
	OPENSSL_cleanse(&yield, sizeof(yield));
	return ok;
}

struct soq__tls_tickets *soq__tls_tickets_new(OSSL_LIB_CTX *library)
{
	struct soq__tls_tickets *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	atomic_init(&t->refs, 1);
	pthread_mutex_init(&t->lock, NULL);
	t->library = library;
	t->made_ns = soq__tls_wall_clock();
	t->cipher = EVP_CIPHER_fetch(library, "AES-256-CBC", NULL);
	if (!t->cipher || RAND_priv_bytes_ex(library, t->secret, sizeof(t->secret), 0) != 1 ||
		!next_key(t)) {
		soq__tls_tickets_free(t);
		return NULL;
	}
	return t;
}

struct soq__tls_tickets *soq__tls_tickets_ref(struct soq__tls_tickets *t)
{
	if (t)
		atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void soq__tls_tickets_free(struct soq__tls_tickets *t)
{
	if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
		return;
	EVP_CIPHER_free(t->cipher);
	pthread_mutex_destroy(&t->lock);
	OPENSSL_cleanse(t, sizeof(*t));
	free(t);
}

/* Change keys, as often as it was time to since the last change. The lock is held. */
static bool rotate(struct soq__tls_tickets *t)
{
	int64_t steps = soq__min((soq__tls_wall_clock() - t->made_ns) / ROTATE_NS, STEPS_MAX);
	bool ok = true;

	for (; steps > 0 && ok; steps--) {
		ok = next_key(t);
		t->has_former = true;
		t->made_ns += ROTATE_NS;
	}
	return ok;
}

/* The key to encrypt with. */
static bool get_current(struct key *ret, struct soq__tls_tickets *t)
{
	bool ok;

	pthread_mutex_lock(&t->lock);
	ok = rotate(t);
	*ret = t->current;
	pthread_mutex_unlock(&t->lock);
	return ok;
}

/* The key of a name that came with a ticket.
 * @return 0: none has it; 1; 2: it is the former; negative: an error */
static int find(struct key *ret, struct soq__tls_tickets *t, const unsigned char *name)
{
	int found = 0;

	pthread_mutex_lock(&t->lock);
	if (!rotate(t)) {
		found = -1;
	} else if (memcmp(t->current.name, name, NAME_BYTES) == 0) {
		*ret = t->current;
		found = 1;
	} else if (t->has_former && memcmp(t->former.name, name, NAME_BYTES) == 0) {
		*ret = t->former;
		found = 2;
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}

static bool set_mac(EVP_MAC_CTX *mac, struct key *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
			OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_CTX_set_params(mac, params);
}

/* @return as find() */
static int ticket_key(SSL *ssl, unsigned char name[16], unsigned char iv[EVP_MAX_IV_LENGTH],
	EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	struct soq__tls_tickets *t = soq__tls_extra(SSL_get_SSL_CTX(ssl))->tickets;
	struct key key;
	int rc = 1;

	if (encrypt) {
		if (!get_current(&key, t) ||
			RAND_bytes_ex(t->library, iv,
				(size_t)EVP_CIPHER_get_iv_length(t->cipher), 0) != 1)
			return -1;
		memcpy(name, key.name, NAME_BYTES);
	} else {
		rc = find(&key, t, name);
	}
	if (rc > 0 &&
		!(EVP_CipherInit_ex(cipher, t->cipher, NULL, key.cipher, iv, encrypt) &&
			set_mac(mac, &key)))
		rc = -1;
	OPENSSL_cleanse(&key, sizeof(key));
	return rc;
}

/* ---- whose clock ---- */

static int64_t wall_clock_s(void)
{
	return soq__tls_wall_clock() / SOQ_S;
}

/* When the handshake took place that all the resumed ones go back to. */
static int64_t proven_s(SSL_SESSION *session)
{
	int64_t at_s = 0;
	void *data;
	size_t len;

	if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) && len == sizeof(at_s))
		memcpy(&at_s, data, len);
	return at_s;
}

static int ticket_made(SSL *ssl, void *arg)
{
	SSL_SESSION *session = SSL_get_session(ssl);
	int64_t now_s = wall_clock_s();

	SSL_SESSION_set_time(session, (long)now_s);
	return SSL_session_reused(ssl) ||
		SSL_SESSION_set1_ticket_appdata(session, &now_s, sizeof(now_s));
}

/* A client of TLS 1.3 uses a ticket once, and so needs another for each use; OpenSSL gives it
 * only if told, where the keys are not its own. */
static SSL_TICKET_RETURN ticket_came(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
	size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
	if ((status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) ||
		soq__tls_session_is_stale(session, proven_s(session)))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	SSL_SESSION_set_time(
		session, (long)(time(NULL) - (wall_clock_s() - SSL_SESSION_get_time(session))));
	return status == SSL_TICKET_SUCCESS && SSL_version(ssl) < TLS1_3_VERSION
		? SSL_TICKET_RETURN_USE
		: SSL_TICKET_RETURN_USE_RENEW;
}

int soq__tls_tickets_use(SSL_CTX *ctx, struct soq__tls_tickets *tickets)
{
	soq__tls_extra(ctx)->tickets = soq__tls_tickets_ref(tickets);
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key) &&
		SSL_CTX_set_session_ticket_cb(ctx, ticket_made, ticket_came, NULL);
}
