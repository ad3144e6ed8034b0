/* tls_flood.c - a peer of TLS 1.2 that asks to renegotiate, again and again: each time it is
 * told no, in an alert (RFC 5246 section 7.2.2), which it does not read.
 *
 * OpenSSL's server goes on asking if it is told to; its client waits for an answer, so that the
 * client's requests are sealed by hand, as RFC 7905 says.
 */
#include "contract/tls_peer.h"
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define FLOOD_BYTES ((size_t)32 << 20) /* more than sockets take that nobody reads */
#define CHUNK_BYTES 16000

/* Whoever asks, and what is asked so far. */
struct flood {
	struct soq_stream *stream;
	SSL *ssl; /* a server's */
	BIO *out;
	EVP_CIPHER_CTX *sealer; /* a client's */
	unsigned char iv[12];
	uint64_t sequence;
};

/* The keys of the client's flow (RFC 5246 section 6.3): its key is the first of the block, and
 * its vector comes after both keys. */
static void take_keys(struct flood *f, SSL *ssl)
{
	unsigned char master[48], seed[64], block[88];
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SECRET, master, sizeof(master)),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SEED, (char *)"key expansion", 13),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof(seed)),
		OSSL_PARAM_construct_end(),
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);

	CHECK_EQ(SSL_SESSION_get_master_key(SSL_get_session(ssl), master, 48), 48);
	CHECK_EQ(SSL_get_server_random(ssl, seed, 32), 32);
	CHECK_EQ(SSL_get_client_random(ssl, seed + 32, 32), 32);
	CHECK_EQ(EVP_KDF_derive(ctx, block, sizeof(block), params), 1);
	memcpy(f->iv, block + 64, sizeof(f->iv));
	f->sealer = EVP_CIPHER_CTX_new();
	CHECK_EQ(EVP_EncryptInit_ex(f->sealer, EVP_chacha20_poly1305(), NULL, block, NULL), 1);
	f->sequence = 1; /* after its Finished message */
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

/* A ClientHello of which no more than the header matters. @return its record's length */
static size_t seal_hello(struct flood *f, unsigned char *out)
{
	static const unsigned char hello[4] = { 1, 0, 0, 0 };
	unsigned char more[13] = { [8] = 22, 3, 3, 0, sizeof(hello) }, nonce[12];
	static const unsigned char header[5] = { 22, 3, 3, 0, sizeof(hello) + 16 };
	int n;

	memcpy(nonce, f->iv, sizeof(nonce));
	for (unsigned i = 0; i < 8; i++) {
		more[7 - i] = (unsigned char)(f->sequence >> (8 * i));
		nonce[11 - i] ^= more[7 - i];
	}
	f->sequence++;
	memcpy(out, header, sizeof(header));
	CHECK_EQ(EVP_EncryptInit_ex(f->sealer, NULL, NULL, NULL, nonce), 1);
	CHECK_EQ(EVP_EncryptUpdate(f->sealer, NULL, &n, more, sizeof(more)), 1);
	CHECK_EQ(EVP_EncryptUpdate(f->sealer, out + 5, &n, hello, sizeof(hello)), 1);
	CHECK_EQ(EVP_EncryptFinal_ex(f->sealer, out + 9, &n), 1);
	CHECK_EQ(EVP_CIPHER_CTX_ctrl(f->sealer, EVP_CTRL_AEAD_GET_TAG, 16, out + 9), 1);
	return sizeof(header) + sizeof(hello) + 16;
}

/* As many requests as fit. @return how many bytes they are */
static size_t ask(struct flood *f, unsigned char buf[CHUNK_BYTES])
{
	size_t n = 0;

	while (f->sealer && n + 64 < CHUNK_BYTES)
		n += seal_hello(f, buf + n);
	while (f->ssl && BIO_pending(f->out) + 64 < CHUNK_BYTES) {
		CHECK_EQ(SSL_renegotiate(f->ssl), 1);
		SSL_do_handshake(f->ssl);
	}
	ERR_clear_error();
	return f->ssl ? (size_t)BIO_read(f->out, buf, CHUNK_BYTES) : n;
}

static void flood(void *arg)
{
	struct flood *f = arg;
	unsigned char buf[CHUNK_BYTES];
	size_t total = 0;

	while (total < FLOOD_BYTES) {
		size_t n = ask(f, buf);

		if (soq_send(f->stream, buf, n) != (ssize_t)n)
			break;
		total += n;
	}
	CHECK(total < FLOOD_BYTES);
}

/* It is given up long before the flood is over. */
static void receive(struct flood *f, struct soq_stream *victim)
{
	struct soq_scope *scope = scope_open();
	char byte;

	CHECK_OK(soq_set_send_buffer(victim, 10000));
	go(scope, flood, f);
	CHECK_ERR(soq_recv(victim, &byte, 1), -SOQ_ETLS);
	CHECK(strstr(soq_last_error(), "does not read the answers"));
	soq_close(victim);
	scope_join(scope);
}

CONTRACT(tls_flood_of_a_client)
{
	struct flood f = { 0 };
	struct peer p;

	peer_open(&p, &(struct soq_tls_options){ .max_version = SOQ_TLS_1_2 });
	CHECK_EQ(SSL_set_cipher_list(p.ssl, "ECDHE-ECDSA-CHACHA20-POLY1305"), 1);
	peer_handshake(&p);
	take_keys(&f, p.ssl);
	f.stream = p.l.near;
	receive(&f, p.l.far);
	p.l.far = NULL;
	EVP_CIPHER_CTX_free(f.sealer);
	peer_close(&p);
}

/* ---- a server ---- */

struct server {
	struct link l;
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;
};

static void server_open(struct server *s, const char *certificate)
{
	struct soq_listener *listener;

	CHECK_OK(soq_listen(&listener, "tcp://127.0.0.1:0", NULL));
	s->l.near = client_new(listener);
	CHECK_OK(soq_accept(&s->l.far, listener));
	soq_listener_close(listener);
	s->ctx = SSL_CTX_new_ex(soq__tls_library(), NULL, TLS_server_method());
	CHECK(s->ctx);
	SSL_CTX_set_max_proto_version(s->ctx, TLS1_2_VERSION);
	CHECK_EQ(SSL_CTX_use_certificate_file(s->ctx, certificate, SSL_FILETYPE_PEM), 1);
	CHECK_EQ(SSL_CTX_use_PrivateKey_file(s->ctx, certificate, SSL_FILETYPE_PEM), 1);
	s->ssl = SSL_new(s->ctx);
	s->in = BIO_new(BIO_s_mem());
	s->out = BIO_new(BIO_s_mem());
	CHECK(s->ssl && s->in && s->out);
	BIO_set_mem_eof_return(s->in, -1);
	SSL_set_bio(s->ssl, s->in, s->out);
	SSL_set_accept_state(s->ssl);
}

static void server_flush(struct server *s)
{
	char buf[20000];
	int n = BIO_read(s->out, buf, sizeof(buf));

	if (n > 0)
		CHECK_EQ(soq_send(s->l.far, buf, (size_t)n), n);
}

static void server_shake(void *arg)
{
	struct server *s = arg;
	char buf[20000];

	while (SSL_do_handshake(s->ssl) != 1) {
		ssize_t n;

		server_flush(s);
		n = soq_recv(s->l.far, buf, sizeof(buf));
		CHECK(n > 0);
		CHECK_EQ(BIO_write(s->in, buf, (int)n), n);
	}
	server_flush(s);
}

/* Shake hands with the library's client. */
static void server_begin(struct server *s, struct flood *f)
{
	struct soq_scope *scope = scope_open();
	struct soq_tls *client;
	char file[256];

	snprintf(file, sizeof(file), "%s/server.pem", test_dir());
	CHECK_OK(soq_make_certificate(file, NULL, NULL));
	CHECK_OK(soq_tls_new(&client, &(struct soq_tls_options){ .ca = file }));
	server_open(s, file);
	go(scope, server_shake, s);
	CHECK_OK(soq_start_tls(s->l.near, client, "localhost"));
	scope_join(scope);
	soq_tls_free(client);
	*f = (struct flood){ .stream = s->l.far, .ssl = s->ssl, .out = s->out };
}

static void server_end(struct server *s)
{
	SSL_free(s->ssl);
	SSL_CTX_free(s->ctx);
	soq_close(s->l.far);
}

CONTRACT(tls_flood_of_a_server)
{
	struct server s;
	struct flood f;

	server_begin(&s, &f);
	receive(&f, s.l.near);
	server_end(&s);
}

struct other {
	bool over;
	unsigned turns;
};

static void take_turns(void *arg)
{
	struct other *o = arg;

	for (; !o->over; o->turns++)
		CHECK_OK(soq_yield());
}

/* However much of it there is already, others go on meanwhile. */
CONTRACT_KERNEL(tls_flood_leaves_others_their_turn, "bytes are there as soon as they are sent")
{
	unsigned char buf[CHUNK_BYTES];
	struct soq_scope *scope;
	struct other other = { 0 };
	struct server s;
	struct flood f;
	size_t n;
	char byte;

	server_begin(&s, &f);
	CHECK_OK(soq_set_send_buffer(s.l.far, 1 << 20));
	CHECK_OK(soq_set_recv_buffer(s.l.near, 1 << 20));
	soq_set_send_timeout(s.l.far, 0);
	for (int i = 0; i < 10; i++) {
		n = ask(&f, buf);
		CHECK_EQ(soq_send(s.l.far, buf, n), n);
	}
	CHECK_EQ(SSL_write(s.ssl, "x", 1), 1);
	server_flush(&s);
	scope = scope_open();
	go(scope, take_turns, &other);
	CHECK_EQ(soq_recv(s.l.near, &byte, 1), 1);
	other.over = true;
	CHECK(other.turns > 1);
	scope_join(scope);
	soq_close(s.l.near);
	server_end(&s);
}
