/* tls_record.c - see tls_record.h. */
#include "net/tls_record.h"
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define IV_BYTES  12
#define TAG_BYTES 16
#define KEY_MAX	  32
/* The most that one AES-GCM key is to seal (RFC 8446 section 5.5: 2^24.5), with a margin. */
#define RECORDS_MAX ((uint64_t)1 << 24)

/* The alerts of RFC 8446 section 6 that a record may deserve. */
enum {
	UNEXPECTED_MESSAGE = 10,
	BAD_RECORD_MAC = 20,
	RECORD_OVERFLOW = 22,
	INTERNAL_ERROR = 80
};

/* The ciphers of RFC 8446 section B.4 that are spoken here. */
enum { AES_128, AES_256, CHACHA20, CIPHERS };

static struct cipher {
	unsigned id; /* of the suite */
	const char *name;
	size_t key_len;
	size_t secret_len; /* the hash's too */
	/* Fetched once: fetching takes longer than sealing. */
	EVP_CIPHER *evp;
	EVP_MAC_CTX *hmac; /* to be copied: any thread may */
} ciphers[CIPHERS] = {
	[AES_128] = { .id = 0x1301, .name = "AES-128-GCM", .key_len = 16, .secret_len = 32 },
	[AES_256] = { .id = 0x1302, .name = "AES-256-GCM", .key_len = 32, .secret_len = 48 },
	[CHACHA20] = { .id = 0x1303,
		.name = "ChaCha20-Poly1305",
		.key_len = 32,
		.secret_len = 32 },
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* An HMAC by a hash. Some key must be there, or it cannot be copied. */
static EVP_MAC_CTX *fetch_hmac(const char *hash)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)hash, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;

	EVP_MAC_free(mac);
	if (ctx && EVP_MAC_init(ctx, (const unsigned char *)"", 1, params) == 1)
		return ctx;
	EVP_MAC_CTX_free(ctx);
	return NULL;
}

static void fetch_ciphers(void)
{
	for (size_t i = 0; i < CIPHERS; i++) {
		struct cipher *c = &ciphers[i];

		c->evp = EVP_CIPHER_fetch(NULL, c->name, NULL);
		c->hmac = fetch_hmac(c->secret_len == 48 ? "SHA384" : "SHA256");
	}
}

/* What protects one flow. */
struct flow {
	unsigned char secret[SOQ__TLS_SECRET_MAX];
	uint64_t sequence;	/* of the next record */
	EVP_CIPHER_CTX *sealer; /* with the key; NULL: to be made when it is needed */
	/* What comes of the secret: to derive it takes as long as to seal 16 KiB, and an idle
	 * client's next request would wait for it each time. */
	bool has_keys;
	unsigned char key[KEY_MAX];
	unsigned char iv[IV_BYTES];
};

struct soq__tls_record {
	const struct cipher *cipher;
	uint16_t room; /* of plaintext in a record of ours */
	struct flow in, out;
};

/* ---- keys ---- */

void soq__tls_secrets_note(struct soq__tls_secrets *secrets, const char *line)
{
	static const char client[] = "CLIENT_TRAFFIC_SECRET_0 ";
	static const char server[] = "SERVER_TRAFFIC_SECRET_0 ";
	bool is_client = strncmp(line, client, sizeof(client) - 1) == 0;
	unsigned char *to = is_client ? secrets->client : secrets->server;
	const char *hex = strrchr(line, ' ');
	size_t len = 0;

	if (!hex || (!is_client && strncmp(line, server, sizeof(server) - 1) != 0))
		return;
	/* The secret's length is the hash's, and what is too long is none of ours. */
	if (OPENSSL_hexstr2buf_ex(to, SOQ__TLS_SECRET_MAX, &len, hex + 1, '\0') != 1)
		return;
	if (is_client)
		secrets->has_client = true;
	else
		secrets->has_server = true;
}

/* HKDF-Expand-Label with an empty context (RFC 8446 section 7.1), for no more than a hash's
 * length: then HKDF-Expand is one HMAC (RFC 5869 section 2.3).
 * @mac  with the secret for its key, or has been used with it */
static bool expand_by(EVP_MAC_CTX *mac, const char *label, unsigned char *out, size_t len)
{
	unsigned char info[64], hash[EVP_MAX_MD_SIZE];
	size_t label_len = strlen(label), n = 0;

	info[n++] = 0;
	info[n++] = (unsigned char)len;
	info[n++] = (unsigned char)(6 + label_len);
	memcpy(info + n, "tls13 ", 6);
	memcpy(info + n + 6, label, label_len);
	n += 6 + label_len;
	info[n++] = 0;
	info[n++] = 1;
	if (EVP_MAC_init(mac, NULL, 0, NULL) != 1 || EVP_MAC_update(mac, info, n) != 1 ||
		EVP_MAC_final(mac, hash, &n, sizeof(hash)) != 1)
		return false;
	memcpy(out, hash, len);
	OPENSSL_cleanse(hash, sizeof(hash));
	return true;
}

/* An HMAC with a secret for its key. @return NULL: no memory */
static EVP_MAC_CTX *keyed(const struct cipher *c, const unsigned char *secret)
{
	EVP_MAC_CTX *mac = EVP_MAC_CTX_dup(c->hmac);

	if (mac && EVP_MAC_init(mac, secret, c->secret_len, NULL) == 1)
		return mac;
	EVP_MAC_CTX_free(mac);
	return NULL;
}

static bool derive(const struct cipher *c, struct flow *f)
{
	EVP_MAC_CTX *mac = f->has_keys ? NULL : keyed(c, f->secret);

	if (mac)
		f->has_keys = expand_by(mac, "key", f->key, c->key_len) &&
			expand_by(mac, "iv", f->iv, IV_BYTES);
	EVP_MAC_CTX_free(mac);
	return f->has_keys;
}

/* Make what is missing of a flow's cipher. */
static bool make_ready(const struct cipher *c, struct flow *f, bool sealing)
{
	if (f->sealer)
		return true;
	if (!derive(c, f))
		return false;
	f->sealer = EVP_CIPHER_CTX_new();
	if (f->sealer &&
		EVP_CipherInit_ex2(f->sealer, c->evp, f->key, NULL, sealing, NULL) == 1)
		return true;
	EVP_CIPHER_CTX_free(f->sealer);
	f->sealer = NULL;
	return false;
}

static void flow_trim(struct flow *f)
{
	EVP_CIPHER_CTX_free(f->sealer);
	f->sealer = NULL;
}

/* ---- life ---- */

static const struct cipher *find_cipher(const SSL *ssl)
{
	const SSL_CIPHER *suite = SSL_get_current_cipher(ssl);
	unsigned id = suite ? SSL_CIPHER_get_protocol_id(suite) : 0;

	pthread_once(&once, fetch_ciphers);
	for (size_t i = 0; i < CIPHERS; i++)
		if (ciphers[i].id == id && ciphers[i].evp && ciphers[i].hmac)
			return &ciphers[i];
	return NULL;
}

/* RFC 6066 section 4: 2^9 to 2^12, numbered from 1. */
static uint16_t room_for(const SSL *ssl)
{
	unsigned mode = SSL_SESSION_get_max_fragment_length(SSL_get0_session(ssl));

	return mode >= TLSEXT_max_fragment_length_512 && mode <= TLSEXT_max_fragment_length_4096
		? (uint16_t)(256u << mode)
		: SOQ__TLS_PLAIN_MAX;
}

struct soq__tls_record *soq__tls_record_new(
	SSL *ssl, const struct soq__tls_secrets *secrets, uint64_t sent)
{
	const struct cipher *c = find_cipher(ssl);
	struct soq__tls_record *r;

	if (!c || SSL_version(ssl) != TLS1_3_VERSION || !secrets->has_client ||
		!secrets->has_server)
		return NULL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->cipher = c;
	r->room = room_for(ssl);
	memcpy(r->in.secret, secrets->client, SOQ__TLS_SECRET_MAX);
	memcpy(r->out.secret, secrets->server, SOQ__TLS_SECRET_MAX);
	r->out.sequence = sent;
	return r;
}

void soq__tls_record_free(struct soq__tls_record *r)
{
	if (!r)
		return;
	soq__tls_record_trim(r);
	OPENSSL_cleanse(r, sizeof(*r));
	free(r);
}

void soq__tls_record_trim(struct soq__tls_record *r)
{
	flow_trim(&r->in);
	flow_trim(&r->out);
}

size_t soq__tls_record_room(const struct soq__tls_record *r)
{
	return r->room;
}

/* ---- records ---- */

/* RFC 8446 section 5.3: the sequence number, added to the end of the flow's vector. */
static void nonce_of(unsigned char nonce[IV_BYTES], const struct flow *f)
{
	memcpy(nonce, f->iv, IV_BYTES);
	for (unsigned i = 0; i < 8; i++)
		nonce[IV_BYTES - 1 - i] ^= (unsigned char)(f->sequence >> (8 * i));
}

static void put_header(unsigned char *out, size_t len)
{
	out[0] = SOQ__TLS_DATA;
	out[1] = out[2] = 3;
	out[3] = (unsigned char)(len >> 8);
	out[4] = (unsigned char)len;
}

int soq__tls_record_seal(
	struct soq__tls_record *r, int type, const void *buf, size_t len, unsigned char *out)
{
	unsigned char nonce[IV_BYTES], inner = (unsigned char)type;
	unsigned char *body = out + SOQ__TLS_HEADER;
	struct flow *f = &r->out;
	int n = 0, m = 0;

	if (!make_ready(r->cipher, f, true))
		return -ENOMEM;
	nonce_of(nonce, f);
	put_header(out, len + 1 + TAG_BYTES);
	if (EVP_EncryptInit_ex2(f->sealer, NULL, NULL, nonce, NULL) != 1 ||
		EVP_EncryptUpdate(f->sealer, NULL, &n, out, SOQ__TLS_HEADER) != 1 ||
		EVP_EncryptUpdate(f->sealer, body, &n, buf, (int)len) != 1 ||
		EVP_EncryptUpdate(f->sealer, body + len, &m, &inner, 1) != 1 ||
		EVP_EncryptFinal_ex(f->sealer, body + len + 1, &m) != 1 ||
		EVP_CIPHER_CTX_ctrl(
			f->sealer, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, body + len + 1) != 1)
		return -ENOMEM;
	f->sequence++;
	return (int)(SOQ__TLS_HEADER + len + 1 + TAG_BYTES);
}

int soq__tls_record_length(const unsigned char *in, size_t len)
{
	size_t body;

	if (len < SOQ__TLS_HEADER)
		return 0;
	body = (size_t)in[3] << 8 | in[4];
	/* Nothing but ciphertext comes after the handshake; what it is of stands within it. */
	if (in[0] != SOQ__TLS_DATA)
		return -UNEXPECTED_MESSAGE;
	if (SOQ__TLS_HEADER + body > SOQ__TLS_RECORD_MAX)
		return -RECORD_OVERFLOW;
	if (body < 1 + TAG_BYTES)
		return -BAD_RECORD_MAC;
	return (int)(SOQ__TLS_HEADER + body);
}

/* Take the padding away, and the type before it (RFC 8446 section 5.4).
 * @return the type; 0 when there is none */
static int take_type(const unsigned char *plain, size_t *len)
{
	while (*len > 0 && plain[*len - 1] == 0)
		--*len;
	return *len > 0 ? plain[--*len] : 0;
}

int soq__tls_record_open(
	struct soq__tls_record *r, unsigned char *in, size_t len, size_t *ret_len)
{
	unsigned char nonce[IV_BYTES], *body = in + SOQ__TLS_HEADER;
	size_t plain_len = len - SOQ__TLS_HEADER - TAG_BYTES;
	struct flow *f = &r->in;
	int n = 0, type;

	if (!make_ready(r->cipher, f, false))
		return -INTERNAL_ERROR;
	nonce_of(nonce, f);
	if (EVP_DecryptInit_ex2(f->sealer, NULL, NULL, nonce, NULL) != 1 ||
		EVP_CIPHER_CTX_ctrl(
			f->sealer, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, body + plain_len) != 1 ||
		EVP_DecryptUpdate(f->sealer, NULL, &n, in, SOQ__TLS_HEADER) != 1 ||
		EVP_DecryptUpdate(f->sealer, body, &n, body, (int)plain_len) != 1 ||
		EVP_DecryptFinal_ex(f->sealer, body + plain_len, &n) != 1)
		return -BAD_RECORD_MAC;
	f->sequence++;
	type = take_type(body, &plain_len);
	if (type == 0)
		return -UNEXPECTED_MESSAGE;
	if (plain_len > SOQ__TLS_PLAIN_MAX)
		return -RECORD_OVERFLOW;
	*ret_len = plain_len;
	return type;
}

/* ---- new keys ---- */

int soq__tls_record_update(struct soq__tls_record *r, bool sending)
{
	struct flow *f = sending ? &r->out : &r->in;
	EVP_MAC_CTX *mac = keyed(r->cipher, f->secret);
	unsigned char next[SOQ__TLS_SECRET_MAX];
	bool ok = mac && expand_by(mac, "traffic upd", next, r->cipher->secret_len);

	EVP_MAC_CTX_free(mac);
	if (!ok)
		return -ENOMEM;
	memcpy(f->secret, next, r->cipher->secret_len);
	OPENSSL_cleanse(next, sizeof(next));
	flow_trim(f);
	f->has_keys = false;
	f->sequence = 0;
	return 0;
}

bool soq__tls_record_is_worn(const struct soq__tls_record *r)
{
	return r->out.sequence >= RECORDS_MAX;
}
