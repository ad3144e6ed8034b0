/* tls_record.c - records of ours against OpenSSL's, once keys are there: both ways, with every
 * cipher, through changes of keys, with and without what is kept between two records.
 */
#include "unit/tls_config.h"
#include "net/tls_record.h"

#define WIRE_MAX ((size_t)32768)

/* A client of OpenSSL's, and a server that goes on without it. */
struct pair {
	SSL_CTX *client_ctx, *server_ctx;
	SSL *client;
	BIO *wire; /* what the client sends and receives */
	struct soq__tls_secrets secrets;
	struct soq__tls_record *record;
};

static void note_secret(const SSL *ssl, const char *line)
{
	soq__tls_secrets_note(SSL_get_app_data(ssl), line);
}

static void pair_init(struct pair *p, const char *cipher)
{
	SSL *server;
	BIO *a;

	*p = (struct pair){ .client_ctx = SSL_CTX_new(TLS_client_method()),
		.server_ctx = SSL_CTX_new(TLS_server_method()) };
	make_both("localhost");
	CHECK(SSL_CTX_set_ciphersuites(p->client_ctx, cipher));
	CHECK(SSL_CTX_use_certificate_chain_file(p->server_ctx, path("server.pem")) == 1);
	CHECK(SSL_CTX_use_PrivateKey_file(
		      p->server_ctx, path("server.pem"), SSL_FILETYPE_PEM) == 1);
	SSL_CTX_set_keylog_callback(p->server_ctx, note_secret);
	SSL_CTX_set_num_tickets(p->server_ctx, 0);
	p->client = SSL_new(p->client_ctx);
	server = SSL_new(p->server_ctx);
	CHECK(SSL_set_app_data(server, &p->secrets));
	CHECK(BIO_new_bio_pair(&a, WIRE_MAX, &p->wire, WIRE_MAX));
	SSL_set_bio(p->client, a, a);
	BIO_up_ref(p->wire);
	SSL_set_bio(server, p->wire, p->wire);
	SSL_set_connect_state(p->client);
	SSL_set_accept_state(server);
	for (int i = 0;
		i < 10 && !(SSL_is_init_finished(p->client) && SSL_is_init_finished(server));
		i++) {
		SSL_do_handshake(p->client);
		SSL_do_handshake(server);
	}
	ERR_clear_error();
	CHECK(SSL_is_init_finished(server));
	CHECK_EQ(SSL_version(p->client), TLS1_3_VERSION);
	p->record = soq__tls_record_new(server, &p->secrets, 0);
	CHECK(p->record);
	SSL_free(server);
}

static void pair_done(struct pair *p)
{
	soq__tls_record_free(p->record);
	SSL_free(p->client);
	BIO_free(p->wire);
	SSL_CTX_free(p->client_ctx);
	SSL_CTX_free(p->server_ctx);
}

/* A record of the client's, opened: its type and its plaintext's beginning and length. */
static int next_record(struct pair *p, unsigned char first[8], size_t *ret_len)
{
	static unsigned char buf[SOQ__TLS_RECORD_MAX];
	int length, type;

	CHECK_EQ(BIO_read(p->wire, buf, SOQ__TLS_HEADER), SOQ__TLS_HEADER);
	length = soq__tls_record_length(buf, SOQ__TLS_HEADER);
	CHECK(length > SOQ__TLS_HEADER);
	CHECK_EQ(BIO_read(p->wire, buf + SOQ__TLS_HEADER, length - SOQ__TLS_HEADER),
		length - SOQ__TLS_HEADER);
	type = soq__tls_record_open(p->record, buf, (size_t)length, ret_len);
	CHECK(type > 0);
	memcpy(first, buf + SOQ__TLS_HEADER, 8);
	return type;
}

static void check_from_client(struct pair *p, const char *text)
{
	unsigned char got[8];
	size_t len = 0;

	CHECK_EQ(SSL_write(p->client, text, (int)strlen(text)), (int)strlen(text));
	CHECK_EQ(next_record(p, got, &len), SOQ__TLS_DATA);
	CHECK_EQ(len, strlen(text));
	CHECK(memcmp(got, text, len) == 0);
}

static void seal_and_send(struct pair *p, int type, const void *bytes, size_t len)
{
	static unsigned char sealed[SOQ__TLS_PLAIN_MAX + SOQ__TLS_MORE];
	int n = soq__tls_record_seal(p->record, type, bytes, len, sealed);

	CHECK_EQ(n, (int)(len + SOQ__TLS_MORE));
	CHECK_EQ(BIO_write(p->wire, sealed, n), n);
}

static void check_to_client(struct pair *p, size_t len)
{
	static char sent[SOQ__TLS_PLAIN_MAX], got[SOQ__TLS_PLAIN_MAX];

	for (size_t i = 0; i < len; i++)
		sent[i] = (char)(i * 7 + len);
	seal_and_send(p, SOQ__TLS_DATA, sent, len);
	CHECK_EQ(SSL_read(p->client, got, sizeof(got)), (int)len);
	CHECK(memcmp(sent, got, len) == 0);
}

static void check_both(struct pair *p)
{
	check_from_client(p, "ping");
	check_to_client(p, 1);
	check_to_client(p, SOQ__TLS_PLAIN_MAX);
	/* An idle connection gives back what it can. */
	soq__tls_record_trim(p->record);
	check_to_client(p, 64);
	check_from_client(p, "again");
}

/* The client's KeyUpdate, and then ours (RFC 8446 section 4.6.3). */
static void change_keys(struct pair *p)
{
	static const unsigned char update[] = { 24, 0, 0, 1, 0 };
	unsigned char got[8];
	size_t len = 0;
	char byte;

	CHECK_EQ(SSL_key_update(p->client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
	CHECK_EQ(SSL_do_handshake(p->client), 1);
	CHECK_EQ(next_record(p, got, &len), SOQ__TLS_HANDSHAKE);
	CHECK_EQ(len, sizeof(update));
	CHECK(memcmp(got, update, sizeof(update)) == 0);
	CHECK_OK(soq__tls_record_update(p->record, false));
	seal_and_send(p, SOQ__TLS_HANDSHAKE, update, sizeof(update));
	CHECK_OK(soq__tls_record_update(p->record, true));
	CHECK_EQ(SSL_read(p->client, &byte, 1), -1);
	CHECK_EQ(SSL_get_error(p->client, -1), SSL_ERROR_WANT_READ);
}

TEST(tls_record_speaks_with_openssl)
{
	static const char *const ciphers[] = { "TLS_AES_128_GCM_SHA256",
		"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" };

	for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
		struct pair p;

		ROW("%s", ciphers[i]);
		pair_init(&p, ciphers[i]);
		check_both(&p);
		change_keys(&p);
		check_both(&p);
		change_keys(&p);
		soq__tls_record_trim(p.record);
		check_both(&p);
		pair_done(&p);
		unlink(path("ca.pem"));
	}
}

/* Whatever bit is changed, the record is refused. */
TEST(tls_record_refuses_what_was_changed)
{
	struct pair p;
	unsigned char in[64];
	size_t len = 0;
	int n;

	pair_init(&p, "TLS_AES_128_GCM_SHA256");
	CHECK_EQ(SSL_write(p.client, "ping", 4), 4);
	n = BIO_read(p.wire, in, sizeof(in));
	CHECK(n > SOQ__TLS_HEADER);
	for (int bit = 0; bit < n * 8; bit++) {
		unsigned char changed[sizeof(in)];

		memcpy(changed, in, (size_t)n);
		changed[bit / 8] ^= (unsigned char)(1 << bit % 8);
		ROW("bit %d", bit);
		CHECK(soq__tls_record_open(p.record, changed, (size_t)n, &len) < 0);
	}
	CHECK_EQ(soq__tls_record_open(p.record, in, (size_t)n, &len), SOQ__TLS_DATA);
	CHECK_EQ(len, 4);
	pair_done(&p);
}
