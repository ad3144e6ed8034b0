/* tls_config.h - two SSL objects, by two configurations, that shake hands in memory. */
#ifndef UNIT_TLS_CONFIG_H
#define UNIT_TLS_CONFIG_H

#include "contract/fiber.h"
#include "net/tls_config.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define DAY_S ((int64_t)86400)

static inline time_t now_s(void)
{
	return (time_t)(soq_wall_clock() / SOQ_S);
}

/* ---- files ---- */

/* A path in the case's folder; so many of them at a time. */
static inline const char *path(const char *name)
{
	static char texts[64][256];
	static unsigned next;
	char *text = texts[next++ % 64];

	snprintf(text, sizeof(texts[0]), "%s/%s", test_dir(), name);
	return text;
}

static inline void write_file(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(path(name), "w");

	CHECK(f);
	CHECK_EQ(fwrite(data, 1, len, f), len);
	CHECK_EQ(fclose(f), 0);
}

static inline void write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

/* @return malloc'd, with a NUL at its end */
static inline char *read_text(const char *name)
{
	FILE *f = fopen(path(name), "r");
	char *text = NULL;
	size_t len = 0;

	CHECK(f);
	CHECK(getdelim(&text, &len, '\0', f) > 0);
	fclose(f);
	return text;
}

static inline X509 *read_certificate(const char *name)
{
	FILE *f = fopen(path(name), "r");
	X509 *x = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	CHECK(x);
	fclose(f);
	return x;
}

static inline EVP_PKEY *read_key(const char *name)
{
	FILE *f = fopen(path(name), "r");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	CHECK(key);
	fclose(f);
	return key;
}

static inline void make_ca(const char *name)
{
	CHECK_OK(soq_make_certificate(path(name), NULL,
		&(struct soq_certificate_options){ .ca = true, .names = name }));
}

/* Key and certificate in one file, signed by "ca.pem". */
static inline void make(const char *name, const char *names)
{
	CHECK_OK(soq_make_certificate(path(name), NULL,
		&(struct soq_certificate_options){
			.names = names, .ca_certificate = path("ca.pem"), .replace = true }));
}

static inline void make_both(const char *names)
{
	make_ca("ca.pem");
	make("server.pem", names);
}

/* ---- configurations ---- */

static inline struct soq_tls *config(const struct soq_tls_options *opt)
{
	struct soq_tls *tls = NULL;

	CHECK_OK(soq_tls_new(&tls, opt));
	return tls;
}

#define CONFIG(...) config(&(struct soq_tls_options){ __VA_ARGS__ })
#define SERVER(...) CONFIG(.certificate = path("server.pem"), __VA_ARGS__)
#define CLIENT(...) CONFIG(.ca = path("ca.pem"), __VA_ARGS__)

static inline void check_refused(const struct soq_tls_options *opt, int code, const char *part)
{
	struct soq_tls *tls = NULL;

	CHECK_ERR(soq_tls_new(&tls, opt), code);
	CHECK(!tls);
	ROW("'%s' in: %s", part, soq_last_error());
	CHECK(strstr(soq_last_error(), part));
}

/* ---- shaking hands ---- */

struct outcome {
	int client, server; /* 0, or why it failed */
	bool resumed;
	int version;
	char cipher[64], alpn[32], shown[64];
	int ca_names; /* that the server told */
	char why[1024];
};

enum how { TICKETS_COME, TICKETS_DO_NOT_COME };

static inline void flow(SSL *from, SSL *to)
{
	char byte = 'x';

	if (SSL_write(from, &byte, 1) == 1)
		SSL_read(to, &byte, 1);
}

static inline int result(struct outcome *o, SSL *ssl, struct soq_tls *tls, int rc, bool server)
{
	char why[sizeof(o->why)] = "";
	int code = 0;

	if (rc == 1)
		code = soq__tls_check(why, sizeof(why), tls, ssl, server);
	else
		code = -SOQ_ETLS;
	if (code < 0 && !*o->why)
		snprintf(o->why, sizeof(o->why), "%s", why);
	return code;
}

static inline void note(struct outcome *o, SSL *c)
{
	const unsigned char *alpn;
	const X509 *x = SSL_get0_peer_certificate(c);
	unsigned n;

	o->version = SSL_version(c);
	o->resumed = SSL_session_reused(c);
	snprintf(o->cipher, sizeof(o->cipher), "%s", SSL_get_cipher(c));
	SSL_get0_alpn_selected(c, &alpn, &n);
	if (alpn)
		memcpy(o->alpn, alpn, n);
	o->ca_names = sk_X509_NAME_num(SSL_get0_peer_CA_list(c));
	if (x)
		X509_NAME_get_text_by_NID(
			X509_get_subject_name(x), NID_commonName, o->shown, sizeof(o->shown));
}

static inline struct outcome meet_how(
	struct soq_tls *client, struct soq_tls *server, const char *name, enum how how)
{
	struct outcome o = { 0 };
	SSL *c = NULL, *s = NULL;
	BIO *a, *b;
	int rc_c = 0, rc_s = 0;

	CHECK_OK(soq__tls_config_ssl(&c, client, false, name));
	CHECK_OK(soq__tls_config_ssl(&s, server, true, NULL));
	CHECK(BIO_new_bio_pair(&a, 0, &b, 0));
	SSL_set_bio(c, a, a);
	SSL_set_bio(s, b, b);
	for (int i = 0; i < 10 && (rc_c != 1 || rc_s != 1); i++) {
		rc_c = rc_c == 1 ? 1 : SSL_do_handshake(c);
		ERR_clear_error();
		rc_s = rc_s == 1 ? 1 : SSL_do_handshake(s);
		ERR_clear_error();
	}
	o.client = result(&o, c, client, rc_c, false);
	/* In TLS 1.3 a client learns of its refusal afterwards. */
	o.server = result(&o, s, server, rc_s, true);
	note(&o, c);
	if (how == TICKETS_COME && o.client == 0 && o.server == 0)
		flow(s, c);
	ERR_clear_error();
	SSL_shutdown(c);
	SSL_free(c);
	SSL_free(s);
	return o;
}

static inline struct outcome meet(
	struct soq_tls *client, struct soq_tls *server, const char *name)
{
	return meet_how(client, server, name, TICKETS_COME);
}

static inline void check_good(struct soq_tls *client, struct soq_tls *server, const char *name)
{
	struct outcome o = meet(client, server, name);

	ROW("%s: %s", name ? name : "-", o.why);
	CHECK_EQ(o.client, 0);
	CHECK_EQ(o.server, 0);
}

static inline void done(struct soq_tls *a, struct soq_tls *b)
{
	soq_tls_free(a);
	soq_tls_free(b);
}

#endif
