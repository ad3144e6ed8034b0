/* tls_peer.h - a client of TLS that says what a good one would not: OpenSSL's, with its
 * messages in memory, between which a case can put, change and hold back what it likes; and,
 * once the handshake is over, one that seals each record by hand.
 */
#ifndef CONTRACT_TLS_PEER_H
#define CONTRACT_TLS_PEER_H

#include "contract/net.h"
#include "net/tls_openssl.h"
#include "net/tls_record.h"

#include <openssl/err.h>

struct peer {
	struct link l; /* near: in clear, what is on the wire; far: the library's, a server */
	struct soq_tls *server;
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;
	struct soq__tls_secrets secrets;
	struct soq__tls_record *record; /* by hand, from peer_by_hand() on */
};

static inline void peer__note(const SSL *ssl, const char *line)
{
	soq__tls_secrets_note(SSL_get_app_data(ssl), line);
}

/* ---- life ---- */

/* Connected, and nothing said. @server  its options; the certificate is made here */
static inline void peer_open(struct peer *p, const struct soq_tls_options *server)
{
	struct soq_tls_options own = *server;
	struct soq_listen_options opt = { 0 };
	struct soq_listener *listener;
	char file[256];

	*p = (struct peer){ 0 };
	snprintf(file, sizeof(file), "%s/peer.pem", test_dir());
	CHECK_OK(soq_make_certificate(
		file, NULL, &(struct soq_certificate_options){ .replace = true }));
	own.certificate = file;
	CHECK_OK(soq_tls_new(&p->server, &own));
	opt.tls = p->server;
	CHECK_OK(soq_listen(&listener, "tcp://127.0.0.1:0", &opt));
	p->l.near = client_new(listener);
	CHECK_OK(soq_accept(&p->l.far, listener));
	soq_listener_close(listener);
	p->ctx = SSL_CTX_new_ex(soq__tls_library(), NULL, TLS_client_method());
	CHECK(p->ctx);
	SSL_CTX_set_keylog_callback(p->ctx, peer__note);
	p->ssl = SSL_new(p->ctx);
	p->in = BIO_new(BIO_s_mem());
	p->out = BIO_new(BIO_s_mem());
	CHECK(p->ssl && p->in && p->out);
	BIO_set_mem_eof_return(p->in, -1);
	SSL_set_bio(p->ssl, p->in, p->out);
	SSL_set_app_data(p->ssl, &p->secrets);
	SSL_set_connect_state(p->ssl);
}

static inline void peer_close(struct peer *p)
{
	SSL_free(p->ssl);
	SSL_CTX_free(p->ctx);
	soq__tls_record_free(p->record);
	link_close(&p->l);
	soq_tls_free(p->server);
}

/* ---- OpenSSL's messages ---- */

/* What it has to say: that much of it, or all, is put into @buf. */
static inline size_t peer_said(struct peer *p, void *buf, size_t len)
{
	int n = BIO_read(p->out, buf, (int)len);

	return n > 0 ? (size_t)n : 0;
}

static inline void peer_flush(struct peer *p)
{
	char buf[20000];
	size_t n = peer_said(p, buf, sizeof(buf));

	if (n > 0)
		CHECK_EQ(soq_send(p->l.near, buf, n), n);
}

/* Wait for something from the server, and hand it over. @return as soq_recv() */
static inline ssize_t peer_hear(struct peer *p)
{
	char buf[20000];
	ssize_t n = soq_recv(p->l.near, buf, sizeof(buf));

	if (n > 0)
		CHECK_EQ(BIO_write(p->in, buf, (int)n), n);
	return n;
}

/* Shake hands; what it says last, its Finished message, is not sent yet. */
static inline void peer_shake(struct peer *p)
{
	while (SSL_do_handshake(p->ssl) != 1) {
		CHECK_EQ(SSL_get_error(p->ssl, -1), SSL_ERROR_WANT_READ);
		peer_flush(p);
		CHECK(peer_hear(p) > 0);
	}
}

static inline void peer__serve(void *arg)
{
	CHECK_OK(soq_handshake(arg));
}

/* The whole handshake, on both sides. */
static inline void peer_handshake(struct peer *p)
{
	struct soq_scope *scope = scope_open();

	go(scope, peer__serve, p->l.far);
	peer_shake(p);
	peer_flush(p);
	scope_join(scope);
}

/* ---- by hand ---- */

/* From now on its records are sealed and opened here: it has the server's secrets for ours. */
static inline void peer_by_hand(struct peer *p)
{
	struct soq__tls_secrets mine = p->secrets;

	memcpy(mine.client, p->secrets.server, sizeof(mine.client));
	memcpy(mine.server, p->secrets.client, sizeof(mine.server));
	p->record = soq__tls_record_new(p->ssl, &mine, 0);
	CHECK(p->record);
}

/* A connection of TLS 1.3 after a handshake, and a client's hand. @suites  NULL: the best */
static inline void peer_open_by_hand(struct peer *p, const char *suites)
{
	peer_open(p, &(struct soq_tls_options){ .ciphersuites = suites });
	peer_handshake(p);
	peer_by_hand(p);
}

/* Seal a record: contents, type, padding. @out  len + zeros + SOQ__TLS_MORE
 * @return its length */
static inline size_t peer_seal(struct peer *p, unsigned char *out, int type,
	const void *contents, size_t len, size_t zeros)
{
	unsigned char *inner = calloc(1, len + zeros + 1);
	int n;

	CHECK(inner);
	if (len > 0)
		memcpy(inner, contents, len);
	inner[len] = (unsigned char)type;
	n = soq__tls_record_seal(p->record, zeros > 0 ? 0 : type, inner, len + zeros, out);
	CHECK_EQ(n, len + zeros + SOQ__TLS_MORE);
	free(inner);
	return (size_t)n;
}

static inline void peer_send_padded(
	struct peer *p, int type, const void *contents, size_t len, size_t zeros)
{
	unsigned char *out = malloc(len + zeros + SOQ__TLS_MORE);
	size_t n;

	CHECK(out);
	n = peer_seal(p, out, type, contents, len, zeros);
	CHECK_EQ(soq_send(p->l.near, out, n), n);
	free(out);
}

static inline void peer_send(struct peer *p, int type, const void *contents, size_t len)
{
	peer_send_padded(p, type, contents, len, 0);
}

/* New keys for what it sends. @asks  whether it wants the server's to be new, too */
static inline void peer_update(struct peer *p, int asks)
{
	unsigned char message[] = { 24, 0, 0, 1, (unsigned char)asks };

	peer_send(p, SOQ__TLS_HANDSHAKE, message, sizeof(message));
	CHECK_OK(soq__tls_record_update(p->record, true));
}

/* The server's next record. @buf  room for SOQ__TLS_RECORD_MAX; the contents are put there
 * @return its type; 0 at the end of its flow */
static inline int peer_record(struct peer *p, void *buf, size_t *ret_len)
{
	unsigned char *record = buf;
	ssize_t n = CHECK_OK(soq_recv_full(p->l.near, record, SOQ__TLS_HEADER));
	size_t all, len;
	int type;

	if (n == 0)
		return 0;
	CHECK_EQ(n, SOQ__TLS_HEADER);
	all = (size_t)CHECK_OK(soq__tls_record_length(record, SOQ__TLS_HEADER));
	CHECK(all > 0);
	CHECK_EQ(soq_recv_full(p->l.near, record + n, all - (size_t)n), all - (size_t)n);
	type = (int)CHECK_OK(soq__tls_record_open(p->record, record, all, &len));
	memmove(buf, record + SOQ__TLS_HEADER, len);
	*ret_len = len;
	return type;
}

/* The same, the tickets that come first left aside. */
static inline int peer_record_later(struct peer *p, void *buf, size_t *ret_len)
{
	int type;

	do
		type = peer_record(p, buf, ret_len);
	while (type == SOQ__TLS_HANDSHAKE && ((char *)buf)[0] == 4);
	return type;
}

/* The server gives up: an alert, and nothing more. */
static inline void peer_expect_alert(struct peer *p, int description)
{
	unsigned char buf[SOQ__TLS_RECORD_MAX];
	size_t len = 0;

	CHECK_EQ(peer_record_later(p, buf, &len), SOQ__TLS_ALERT);
	CHECK_EQ(len, 2);
	CHECK_EQ(buf[0], 2);
	CHECK_EQ(buf[1], description);
}

#endif
