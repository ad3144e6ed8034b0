/* tls_explain.c - every failure of a handshake provoked for real, between two of our own ends
 * or by bytes that a bad peer would send, and the sentences that are made of them.
 */
#include "contract/fiber.h"
#include "net/tls_openssl.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOUR_NS (3600 * SOQ_S)

/* ---- files ---- */

/* Files are read and written on another thread, and under valgrind none runs while one waits in
 * io_uring_enter(2). */
__attribute__((constructor)) static void choose_engine(void)
{
	setenv("SOQUETE_ENGINE", "epoll", 0);
}

/* A path in the case's folder; so many of them at a time. */
static const char *path(const char *name)
{
	static char texts[64][256];
	static unsigned next;
	char *text = texts[next++ % 64];

	snprintf(text, sizeof(texts[0]), "%s/%s", test_dir(), name);
	return text;
}

static void make(const char *name, struct soq_certificate_options opt)
{
	CHECK_OK(soq_make_certificate(path(name), NULL, &opt));
}

static FILE *open_file(const char *name, const char *mode)
{
	FILE *file = fopen(path(name), mode);

	CHECK(file);
	return file;
}

static X509 *read_certificate(const char *name)
{
	FILE *file = open_file(name, "r");
	X509 *x = PEM_read_X509(file, NULL, NULL, NULL);

	fclose(file);
	CHECK(x);
	return x;
}

static EVP_PKEY *read_key(const char *name)
{
	FILE *file = open_file(name, "r");
	EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);

	fclose(file);
	CHECK(key);
	return key;
}

static void write_pair(const char *name, X509 *x, EVP_PKEY *key)
{
	FILE *file = open_file(name, "w");

	CHECK(PEM_write_X509(file, x));
	CHECK(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
	fclose(file);
}

/* A certificate that soq_make_certificate() would not make: one of its own, changed, and signed
 * by the CA again. */
static void forge(const char *from, const char *to, void (*change)(X509 *x))
{
	X509 *x = read_certificate(from);
	EVP_PKEY *key = read_key(from), *ca_key = read_key("ca.pem");

	change(x);
	CHECK(X509_sign(x, ca_key, EVP_sha256()));
	write_pair(to, x, key);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	X509_free(x);
}

static void set_subject(X509 *x, const char *name)
{
	X509_NAME *subject = X509_NAME_new();

	CHECK(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
		(const unsigned char *)name, -1, -1, 0));
	CHECK(X509_set_subject_name(x, subject));
	X509_NAME_free(subject);
}

static void change_to_a_log_line(X509 *x)
{
	CHECK(X509_set_notAfter(x, X509_get0_notBefore(x)));
	set_subject(x, "x'\r\n\033[2Jroot logged in \342\200\256");
}

static void change_to_no_hosts(X509 *x)
{
	X509_EXTENSION_free(
		X509_delete_ext(x, X509_get_ext_by_NID(x, NID_subject_alt_name, -1)));
}

static void damage_signature(const char *from, const char *to)
{
	X509 *x = read_certificate(from);
	EVP_PKEY *key = read_key(from);
	const ASN1_BIT_STRING *signature;

	X509_get0_signature(&signature, NULL, x);
	signature->data[signature->length - 1] ^= 1;
	write_pair(to, x, key);
	EVP_PKEY_free(key);
	X509_free(x);
}

/* A list by a CA that revokes a certificate; @until_s from now is the next one due. */
static void write_crl(const char *to, const char *ca, const char *revoked, long until_s)
{
	X509 *issuer = read_certificate(ca), *x = read_certificate(revoked);
	EVP_PKEY *key = read_key(ca);
	X509_CRL *crl = X509_CRL_new();
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_TIME *time = ASN1_TIME_set(NULL, 1700000000);
	ASN1_TIME *next = X509_gmtime_adj(NULL, until_s);
	ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
	FILE *file = open_file(to, "w");

	CHECK(ASN1_ENUMERATED_set(reason, CRL_REASON_KEY_COMPROMISE));
	CHECK(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(x)));
	CHECK(X509_REVOKED_set_revocationDate(entry, time));
	CHECK(X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason, 0, 0));
	CHECK(X509_CRL_set_version(crl, X509_CRL_VERSION_2));
	CHECK(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)));
	CHECK(X509_CRL_set1_lastUpdate(crl, time));
	CHECK(X509_CRL_set1_nextUpdate(crl, next));
	CHECK(X509_CRL_add0_revoked(crl, entry));
	CHECK(X509_CRL_sign(crl, key, EVP_sha256()));
	CHECK(PEM_write_X509_CRL(file, crl));
	fclose(file);
	ASN1_ENUMERATED_free(reason);
	ASN1_TIME_free(next);
	ASN1_TIME_free(time);
	X509_CRL_free(crl);
	EVP_PKEY_free(key);
	X509_free(x);
	X509_free(issuer);
}

/* ---- two ends ---- */

struct end {
	SSL *ssl;
	bool server;
	const char *name;
	int rc;		 /* 0 while all is well */
	char text[1024]; /* else the sentence */
};

static void end_open(struct end *end, struct soq_tls_options opt, bool server, const char *name)
{
	struct soq_tls *tls;

	*end = (struct end){ .server = server, .name = name };
	opt.keylog = NULL;
	if (soq_tls_new(&tls, &opt) < 0)
		CHECK_STR(soq_last_error(), "");
	CHECK_OK(soq__tls_config_ssl(&end->ssl, tls, server, name));
	soq_tls_free(tls);
	SSL_set_bio(end->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(end->ssl), -1);
}

static void end_close(struct end *end)
{
	SSL_free(end->ssl);
}

/* Go on as far as one can; what fails is explained. */
static void step(struct end *end)
{
	char byte;
	int rc;

	if (end->rc < 0)
		return;
	ERR_clear_error();
	rc = SSL_read(end->ssl, &byte, 1);
	if (rc > 0 || SSL_get_error(end->ssl, rc) == SSL_ERROR_WANT_READ)
		return;
	end->rc = soq__tls_explain(
		end->text, sizeof(end->text), end->ssl, end->server, end->name);
	CHECK_EQ(ERR_peek_error(), 0);
}

static void feed(struct end *end, const void *bytes, size_t len)
{
	CHECK_EQ(BIO_write(SSL_get_rbio(end->ssl), bytes, (int)len), len);
	step(end);
}

static size_t take(struct end *end, char *buf, size_t room)
{
	int n = BIO_read(SSL_get_wbio(end->ssl), buf, (int)room);

	return n > 0 ? (size_t)n : 0;
}

static void pump(struct end *a, struct end *b)
{
	char buf[8192];
	size_t n, m;

	step(a);
	step(b);
	do {
		n = take(a, buf, sizeof(buf));
		if (n > 0)
			feed(b, buf, n);
		m = take(b, buf, sizeof(buf));
		if (m > 0)
			feed(a, buf, m);
	} while (n > 0 || m > 0);
}

/* A sentence holds another, or is it. */
static void check_says(const char *text, const char *part)
{
	if (!strstr(text, part))
		CHECK_STR(text, part);
}

/* ---- certificates ---- */

static void make_files(void)
{
	make("ca.pem", (struct soq_certificate_options){ .ca = true, .names = "Lab CA" });
	make("other.pem", (struct soq_certificate_options){ .ca = true, .names = "Other CA" });
	make("good.pem",
		(struct soq_certificate_options){ .names = "a.example *.b.example 192.0.2.1",
			.ca_certificate = path("ca.pem") });
	make("many.pem",
		(struct soq_certificate_options){
			.names = "a1 a2 a3 a4 a5 a6", .ca_certificate = path("ca.pem") });
	make("five.pem",
		(struct soq_certificate_options){
			.names = "a1 a2 a3 a4 2001:db8::1", .ca_certificate = path("ca.pem") });
	make("old.pem",
		(struct soq_certificate_options){
			.names = "a.example", .from_ns = -2 * HOUR_NS, .lasts_ns = HOUR_NS });
	make("early.pem",
		(struct soq_certificate_options){ .names = "a.example", .from_ns = HOUR_NS });
	make("self.pem", (struct soq_certificate_options){ .names = "a.example" });
	make("client.pem",
		(struct soq_certificate_options){ .names = "a.example",
			.client = true,
			.ca_certificate = path("ca.pem") });
	make("stranger.pem",
		(struct soq_certificate_options){
			.names = "me", .client = true, .ca_certificate = path("other.pem") });
	forge("good.pem", "line.pem", change_to_a_log_line);
	forge("good.pem", "hostless.pem", change_to_no_hosts);
	damage_signature("good.pem", "damaged.pem");
	make("rsa-ca.pem",
		(struct soq_certificate_options){
			.ca = true, .rsa_bits = test_is_emulated() ? 0 : 2048 });
	make("rsa.pem",
		(struct soq_certificate_options){
			.names = "a.example", .ca_certificate = path("rsa-ca.pem") });
	damage_signature("rsa.pem", "rsa-damaged.pem");
	write_crl("revoked.crl", "ca.pem", "good.pem", 3600);
	write_crl("stale.crl", "ca.pem", "many.pem", -3600);
	write_crl("other.crl", "other.pem", "good.pem", 3600);
}

/* Whom the client meets, and what it and the server have to say. */
TEST(tls_explain_server_certificate)
{
	static const struct {
		const char *certificate, *ca, *crl, *name;
		const char *client, *server;
	} rows[] = {
		{ "good.pem", "ca.pem", NULL, "a.example", "", "" },
		{ "good.pem", "ca.pem", NULL, "x.b.example", "", "" },
		{ "good.pem", "ca.pem", NULL, "192.0.2.1", "", "" },
		{ "self.pem", "self.pem", NULL, "a.example", "", "" },
		{ "old.pem", "old.pem", NULL, "a.example",
			"the certificate of 'CN = a.example' expired on 20",
			"the peer refused our certificate: it is expired, or not valid yet "
			"(certificate_expired)" },
		{ "early.pem", "early.pem", NULL, "a.example",
			"the certificate of 'CN = a.example' is not valid before 20",
			"(bad_certificate)" },
		{ "early.pem", "early.pem", NULL, "a.example", " UTC; is the clock right?",
			"the peer refused our certificate" },
		{ "good.pem", "ca.pem", NULL, "c.example",
			"the certificate is for a.example, *.b.example and 192.0.2.1, not for "
			"c.example",
			"the peer refused our certificate: something is wrong with it "
			"(bad_certificate)" },
		{ "good.pem", "ca.pem", NULL, "192.0.2.2",
			"the certificate is for a.example, *.b.example and 192.0.2.1, not for "
			"192.0.2.2",
			"our certificate" },
		{ "many.pem", "ca.pem", NULL, "c.example",
			"the certificate is for a1, a2, a3, a4 and 2 more, not for c.example",
			"our certificate" },
		{ "five.pem", "ca.pem", NULL, "c.example",
			"the certificate is for a1, a2, a3, a4 and 2001:db8::1, not for "
			"c.example",
			"our certificate" },
		{ "hostless.pem", "ca.pem", NULL, "a.example",
			"the certificate of 'CN = a.example' has no host among its alternative "
			"names, which alone count",
			"our certificate" },
		{ "self.pem", "ca.pem", NULL, "a.example",
			"the certificate of 'CN = a.example' is self-signed, and nobody here "
			"trusts it; if it is yours, give it as the CA",
			"the peer refused our certificate: it does not trust the CA "
			"(unknown_ca)" },
		{ "good.pem", "other.pem", NULL, "a.example",
			"the certificate of 'CN = a.example' is issued by 'CN = Lab CA', which "
			"is not among the trusted CAs",
			"(unknown_ca)" },
		{ "client.pem", "ca.pem", NULL, "a.example",
			"the certificate of 'CN = a.example' is not for a server",
			"(unsupported_certificate)" },
		{ "damaged.pem", "ca.pem", NULL, "a.example",
			"the signature of the certificate of 'CN = a.example' is wrong: it is "
			"forged or damaged",
			"(decrypt_error)" },
		{ "rsa-damaged.pem", "rsa-ca.pem", NULL, "a.example",
			"the signature of the certificate of 'CN = a.example' is wrong",
			"(decrypt_error)" },
		{ "good.pem", "ca.pem", "revoked.crl", "a.example",
			"the certificate of 'CN = a.example' was revoked on 2023-11-14 "
			"22:13:20 UTC (key compromise)",
			"the peer refused our certificate: it was revoked "
			"(certificate_revoked)" },
		{ "good.pem", "ca.pem", "stale.crl", "a.example",
			"the list of certificates that 'CN = Lab CA' has revoked is out of "
			"date: the next was due on 20",
			"(certificate_expired)" },
		{ "good.pem", "ca.pem", "other.crl", "a.example",
			"whether the certificate of 'CN = a.example' was revoked cannot be "
			"told: the CRL file has no list by 'CN = Lab CA'",
			"our certificate" },
		{ "line.pem", "ca.pem", NULL, "a.example",
			"the certificate of 'CN = x'\\0D\\0A\\1B[2Jroot logged in "
			"\\xE2\\x80\\xAE' expired on ",
			"(certificate_expired)" },
	};

	make_files();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct end client, server;

		ROW("%zu: %s by %s", i, rows[i].certificate, rows[i].ca);
		end_open(&server,
			(struct soq_tls_options){ .certificate = path(rows[i].certificate) },
			true, NULL);
		end_open(&client,
			(struct soq_tls_options){ .ca = path(rows[i].ca),
				.crl = rows[i].crl ? path(rows[i].crl) : NULL },
			false, rows[i].name);
		pump(&client, &server);
		CHECK_EQ(client.rc, *rows[i].client ? -SOQ_ECERTIFICATE : 0);
		CHECK_EQ(server.rc,
			!*rows[i].server				    ? 0
				: strcmp(rows[i].server, "(decrypt_error)") ? -SOQ_ECERTIFICATE
									    : -SOQ_ETLS);
		check_says(client.text, rows[i].client);
		check_says(server.text, rows[i].server);
		end_close(&client);
		end_close(&server);
	}
}

/* The same for clients, who learn of it after their handshake. */
TEST(tls_explain_client_certificate)
{
	static const struct {
		const char *certificate;
		enum soq_tls_clients clients;
		const char *server, *client;
	} rows[] = {
		{ "client.pem", SOQ_TLS_CLIENTS_NEEDED, "", "" },
		{ NULL, SOQ_TLS_CLIENTS_NEEDED,
			"the client shows no certificate, and one is needed here",
			"the peer refused: it wants a certificate of ours "
			"(certificate_required)" },
		{ "stranger.pem", SOQ_TLS_CLIENTS_ASKED,
			"the certificate of 'CN = me' is issued by 'CN = Other CA', which is "
			"not among the trusted CAs",
			"the peer refused our certificate: it does not trust the CA "
			"(unknown_ca)" },
		{ "good.pem", SOQ_TLS_CLIENTS_NEEDED,
			"the certificate of 'CN = a.example' is not for a client",
			"(unsupported_certificate)" },
	};

	make_files();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct end client, server;

		ROW("%zu", i);
		end_open(&server,
			(struct soq_tls_options){ .certificate = path("good.pem"),
				.ca = path("ca.pem"),
				.clients = rows[i].clients },
			true, NULL);
		end_open(&client,
			(struct soq_tls_options){ .ca = path("ca.pem"),
				.certificate = rows[i].certificate ? path(rows[i].certificate)
								   : NULL },
			false, "a.example");
		pump(&client, &server);
		CHECK_EQ(client.rc, *rows[i].client ? -SOQ_ECERTIFICATE : 0);
		CHECK_EQ(server.rc, *rows[i].server ? -SOQ_ECERTIFICATE : 0);
		check_says(client.text, rows[i].client);
		check_says(server.text, rows[i].server);
		end_close(&client);
		end_close(&server);
	}
}

/* A peer that sends the whole chain, and a CA that nobody knows at its end. */
static void append(const char *to, const char *from)
{
	X509 *x = read_certificate(from);
	FILE *file = open_file(to, "a");

	CHECK(PEM_write_X509(file, x));
	fclose(file);
	X509_free(x);
}

TEST(tls_explain_unknown_root)
{
	struct end client, server;

	make_files();
	append("good.pem", "ca.pem");
	end_open(&server, (struct soq_tls_options){ .certificate = path("good.pem") }, true,
		NULL);
	end_open(&client, (struct soq_tls_options){ .ca = path("other.pem") }, false,
		"a.example");
	pump(&client, &server);
	CHECK_EQ(client.rc, -SOQ_ECERTIFICATE);
	CHECK_STR(client.text,
		"the CA 'CN = Lab CA' is not among the trusted CAs; if it is yours, give its "
		"certificate as the CA");
	end_close(&client);
	end_close(&server);
}

/* ---- what both could not agree on ---- */

TEST(tls_explain_agreement)
{
	static const struct {
		struct soq_tls_options client, server;
		const char *client_says, *server_says;
	} rows[] = {
		{ { .max_version = SOQ_TLS_1_2 }, { .min_version = SOQ_TLS_1_3 },
			"the peer refused: no version of TLS in common: we speak 1.2",
			"no version of TLS in common: we speak 1.3" },
		{ { .min_version = SOQ_TLS_1_3 }, { .max_version = SOQ_TLS_1_2 },
			"the peer refused: no version of TLS in common: we speak 1.3",
			"no version of TLS in common: we speak 1.2" },
		{ { .alpn = "a" }, { .alpn = "b c" },
			"the peer refused: it speaks none of our protocols (ALPN, "
			"no_application_protocol)",
			"no protocol in common (ALPN)" },
		{ { .max_version = SOQ_TLS_1_2, .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" },
			{ .ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384" },
			"the peer refused: it wants other versions, ciphers or groups than "
			"ours, or a certificate (handshake_failure)",
			"no cipher in common" },
		{ { .min_version = SOQ_TLS_1_3, .ciphersuites = "TLS_AES_128_GCM_SHA256" },
			{ .ciphersuites = "TLS_AES_256_GCM_SHA384" }, "(handshake_failure)",
			"no cipher in common" },
	};

	make("self.pem", (struct soq_certificate_options){ .names = "a.example" });
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq_tls_options server_opt = rows[i].server, client_opt = rows[i].client;
		struct end client, server;

		ROW("%s", rows[i].server_says);
		server_opt.certificate = path("self.pem");
		client_opt.ca = path("self.pem");
		end_open(&server, server_opt, true, NULL);
		end_open(&client, client_opt, false, "a.example");
		pump(&client, &server);
		CHECK_EQ(client.rc, -SOQ_ETLS);
		CHECK_EQ(server.rc, -SOQ_ETLS);
		check_says(client.text, rows[i].client_says);
		CHECK_STR(server.text, rows[i].server_says);
		end_close(&client);
		end_close(&server);
	}
}

/* ---- what is no TLS ---- */

TEST(tls_explain_bytes)
{
	static const struct {
		bool server;
		const char *bytes;
		size_t len;
		const char *says;
	} rows[] = {
#define BYTES(text) text, sizeof(text) - 1
		{ true, BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
			"the peer does not speak TLS: it sent an HTTP request in clear" },
		{ true, BYTES("CONNECT a:443 HTTP/1.1\r\n\r\n"),
			"the peer does not speak TLS: it takes us for an HTTP proxy, and "
			"speaks "
			"in clear" },
		{ true, BYTES("USER anonymous\r\n"),
			"the peer does not speak TLS: it begins with 'USER anonymous'" },
		{ true, BYTES("\0\0\0\0\0\0\0"),
			"the peer does not speak TLS: it begins with "
			"'\\x00\\x00\\x00\\x00\\x00\\x00\\x00'" },
		{ false, BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"),
			"the peer does not speak TLS: it begins with 'HTTP/1.1 400 Bad "
			"Request'" },
		{ false, BYTES("220 mail.example ESMTP of the house of the long names\r\n"),
			"the peer does not speak TLS: it begins with '220 mail.example ESMTP "
			"of "
			"the house of t'" },
		{ false, BYTES("+OK\r\n+OK\r\n"),
			"the peer does not speak TLS: it begins with '+OK'" },
		{ false, BYTES("\r\n\033[2J\r\n"),
			"the peer does not speak TLS: it begins with '\\x0D'" },
		/* It did at first: what it began with is not to blame. */
		{ false,
			BYTES("\x15\x03\x03\0\x02\x01\x5a"
			      "220 mail.example\r\n"),
			"the peer does not speak TLS" },
		{ false, BYTES("\x16\x03\x03\xff\xff\x02"),
			"the peer sent a record that is longer than TLS allows" },
		{ true, BYTES("\x16\x03\x01\xff\xff\x01"),
			"the peer sent a record that is longer than TLS allows" },
		{ false, BYTES("\x17\x03\x03\0\x01\0"),
			"the peer sent a message that is out of place" },
		{ false, BYTES("\x16\x03\x03\0\x04\x14\0\0\0"),
			"the peer sent a message that is out of place" },
		{ false, BYTES("\x16\x03\x03\0\x04\x02\0\0\0"),
			"the peer sent something that is malformed" },
		{ true, BYTES("\x16\x03\x01\0\x05\x01\0\0\x01\0"),
			"the peer sent something that is malformed" },
		{ false, BYTES("\x15\x03\x03\0\x01\x02"),
			"the peer sent something that is malformed" },
#undef BYTES
	};

	make("self.pem", (struct soq_certificate_options){ .names = "a.example" });
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct end end;

		ROW("%zu: %s", i, rows[i].says);
		end_open(&end,
			(struct soq_tls_options){
				.certificate = path("self.pem"), .ca = path("self.pem") },
			rows[i].server, rows[i].server ? NULL : "a.example");
		step(&end);
		feed(&end, rows[i].bytes, rows[i].len);
		CHECK_EQ(end.rc, -SOQ_ETLS);
		CHECK_STR(end.text, rows[i].says);
		end_close(&end);
	}
}

/* After the handshake: cut off, and changed on the way. */
TEST(tls_explain_flow)
{
	struct end client, server;
	char record[256];
	size_t n;

	make("self.pem", (struct soq_certificate_options){ .names = "a.example" });
	for (unsigned damaged = 0; damaged < 2; damaged++) {
		end_open(&server, (struct soq_tls_options){ .certificate = path("self.pem") },
			true, NULL);
		end_open(&client, (struct soq_tls_options){ .ca = path("self.pem") }, false,
			"a.example");
		pump(&client, &server);
		CHECK_EQ(client.rc, 0);
		CHECK_EQ(SSL_write(server.ssl, "hello", 5), 5);
		n = take(&server, record, sizeof(record));
		CHECK(n > 10);
		record[8] ^= 1;
		if (damaged) {
			feed(&client, record, n);
			CHECK_EQ(client.rc, -SOQ_ETLS);
			CHECK_STR(client.text, "what the peer sent was changed on its way");
		} else {
			BIO_set_mem_eof_return(SSL_get_rbio(client.ssl), 0);
			step(&client);
			CHECK_EQ(client.rc, -SOQ_ETRUNCATED);
			CHECK_STR(client.text, "the peer's flow was cut off, not ended");
		}
		end_close(&client);
		end_close(&server);
	}
}

/* ---- alerts ---- */

/* Each alert of RFC 8446 section 6.2 has its words, with its own name among them. */
TEST(tls_explain_alerts)
{
	static const struct {
		unsigned char number;
		int want;
		const char *name;
	} rows[] = {
		{ 10, -SOQ_ETLS, "(unexpected_message)" },
		{ 20, -SOQ_ETLS, "(bad_record_mac)" }, { 22, -SOQ_ETLS, "(record_overflow)" },
		{ 40, -SOQ_ETLS, "(handshake_failure)" },
		{ 42, -SOQ_ECERTIFICATE, "(bad_certificate)" },
		{ 43, -SOQ_ECERTIFICATE, "(unsupported_certificate)" },
		{ 44, -SOQ_ECERTIFICATE, "(certificate_revoked)" },
		{ 45, -SOQ_ECERTIFICATE, "(certificate_expired)" },
		{ 46, -SOQ_ECERTIFICATE, "(certificate_unknown)" },
		{ 47, -SOQ_ETLS, "(illegal_parameter)" },
		{ 48, -SOQ_ECERTIFICATE, "(unknown_ca)" },
		{ 49, -SOQ_ECERTIFICATE, "(access_denied)" },
		{ 50, -SOQ_ETLS, "(decode_error)" }, { 51, -SOQ_ETLS, "(decrypt_error)" },
		{ 70, -SOQ_ETLS, "no version of TLS in common: we speak 1.2 to 1.3" },
		{ 71, -SOQ_ETLS, "(insufficient_security)" },
		{ 80, -SOQ_ETLS, "(internal_error)" },
		{ 86, -SOQ_ETLS, "(inappropriate_fallback)" },
		{ 109, -SOQ_ETLS, "(missing_extension)" },
		{ 110, -SOQ_ETLS, "(unsupported_extension)" },
		{ 112, -SOQ_ETLS, "(unrecognized_name)" },
		{ 113, -SOQ_ECERTIFICATE, "(bad_certificate_status_response)" },
		{ 115, -SOQ_ETLS, "(unknown_psk_identity)" },
		{ 116, -SOQ_ECERTIFICATE, "(certificate_required)" },
		{ 120, -SOQ_ETLS, "no_application_protocol)" },
		{ 200, -SOQ_ETLS, "alert number 200" }, /* nobody's */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char alert[] = { 0x15, 3, 3, 0, 2, 2, (char)rows[i].number };
		struct end client;

		ROW("%u %s", rows[i].number, rows[i].name);
		end_open(&client, (struct soq_tls_options){ .insecure = true }, false, NULL);
		step(&client);
		feed(&client, alert, sizeof(alert));
		CHECK_EQ(client.rc, rows[i].want);
		check_says(client.text, rows[i].name);
		CHECK(rows[i].number == 200 || strncmp(client.text, "the peer ", 9) == 0);
		end_close(&client);
	}
}

/* ---- files ---- */

static void read_pem(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);

	CHECK(!PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"wrong"));
	BIO_free(bio);
}

TEST(tls_explain_queue)
{
	static const struct {
		const char *pem, *says;
	} rows[] = {
		{ "", "there is no key in it of a kind that is known" },
		{ "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
			"there is no key in it of a kind that is known" },
	};
	char text[256];
	X509 *x;
	EVP_PKEY *key;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%zu", i);
		read_pem(rows[i].pem);
		soq__tls_explain_queue(text, sizeof(text));
		CHECK_STR(text, rows[i].says);
		CHECK_EQ(ERR_peek_error(), 0);
	}
	make("a.pem", (struct soq_certificate_options){ .names = "a" });
	make("b.pem", (struct soq_certificate_options){ .names = "b" });
	x = read_certificate("a.pem");
	key = read_key("b.pem");
	CHECK(!X509_check_private_key(x, key));
	soq__tls_explain_queue(text, sizeof(text));
	CHECK_STR(text, "the key is not the certificate's");
	soq__tls_explain_queue(text, sizeof(text));
	CHECK_STR(text, "OpenSSL does not say why");
	ERR_raise(ERR_LIB_X509, X509_R_WRONG_LOOKUP_TYPE);
	soq__tls_explain_queue(text, sizeof(text));
	CHECK_STR(text, "wrong lookup type");
	ERR_raise_data(ERR_LIB_X509, X509_R_WRONG_LOOKUP_TYPE, "a\nb");
	soq__tls_explain_queue(text, sizeof(text));
	CHECK_STR(text, "wrong lookup type (a\\x0Ab)");
	EVP_PKEY_free(key);
	X509_free(x);
}

/* Of several, the cause: libssl's verdict before the steps that led to it, the first of its
 * rank, and what has words before what has none. */
TEST(tls_explain_cause)
{
	char text[256];

	ERR_raise(ERR_LIB_ASN1, ASN1_R_WRONG_TAG);
	ERR_raise(ERR_LIB_OSSL_DECODER, ERR_R_UNSUPPORTED);
	ERR_raise(ERR_LIB_SSL, SSL_R_NO_SHARED_CIPHER);
	ERR_raise(ERR_LIB_SSL, SSL_R_UNEXPECTED_MESSAGE);
	soq__tls_explain_queue(text, sizeof(text));
	CHECK_STR(text, "no cipher in common");
	ERR_raise(ERR_LIB_ASN1, ASN1_R_WRONG_TAG);
	ERR_raise(ERR_LIB_ASN1, ASN1_R_TOO_LONG);
	soq__tls_explain_queue(text, sizeof(text));
	CHECK_STR(text, "wrong tag");
	ERR_raise(ERR_LIB_SYS, ENOSPC);
	soq__tls_explain_queue(text, sizeof(text));
	check_says(text, "No space left on device");
	ERR_raise(ERR_LIB_SSL, ERR_R_MALLOC_FAILURE);
	soq__tls_explain_queue(text, sizeof(text));
	CHECK_STR(text, soq_strerror(-ENOMEM));
}

/* ---- what others wrote ---- */

TEST(tls_explain_name_text)
{
	static const struct {
		int type;
		const char *name, *want;
	} rows[] = {
		{ V_ASN1_UTF8STRING, "a.example", "CN = a.example" },
		{ V_ASN1_UTF8STRING, "B\303\274cher", "CN = B\303\274cher" },
		{ V_ASN1_T61STRING, "B\374cher", "CN = B\303\274cher" },
		{ V_ASN1_UTF8STRING, "bad\377\300\257", "CN = bad\\xFF\\xC0\\xAF" },
		{ V_ASN1_UTF8STRING, "cut\342\202", "CN = cut\\xE2\\x82" },
		{ V_ASN1_UTF8STRING, "\355\240\200", "CN = \\xED\\xA0\\x80" },
		{ V_ASN1_UTF8STRING, "c1\302\233m", "CN = c1\\xC2\\x9Bm" },
		{ V_ASN1_UTF8STRING, "\342\200\250\357\273\277",
			"CN = \\xE2\\x80\\xA8\\xEF\\xBB\\xBF" },
		{ V_ASN1_UTF8STRING, "\360\237\230\200", "CN = \360\237\230\200" },
		{ V_ASN1_IA5STRING, "a\033[1mb\r\nc", "CN = a\\1B[1mb\\0D\\0Ac" },
	};
	char text[256], small[16];
	X509_NAME *name;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%zu", i);
		name = X509_NAME_new();
		CHECK(X509_NAME_add_entry_by_NID(name, NID_commonName, rows[i].type,
			(const unsigned char *)rows[i].name, (int)strlen(rows[i].name), -1, 0));
		soq__tls_name_text(text, sizeof(text), name);
		CHECK_STR(text, rows[i].want);
		soq__tls_name_text(small, sizeof(small), name);
		CHECK(strlen(small) < sizeof(small));
		CHECK_EQ(strncmp(small, text, strlen(small)), 0);
		X509_NAME_free(name);
	}
	name = X509_NAME_new();
	soq__tls_name_text(text, sizeof(text), name);
	CHECK_STR(text, "");
	X509_NAME_free(name);
}

TEST(tls_explain_time_text)
{
	static const struct {
		const char *time, *want;
	} rows[] = {
		{ "20240131000000Z", "2024-01-31 00:00:00 UTC" },
		{ "500101235959Z", "1950-01-01 23:59:59 UTC" },
		{ "99991231235959Z", "9999-12-31 23:59:59 UTC" },
	};
	char text[64];
	ASN1_TIME *time;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		time = ASN1_TIME_new();
		CHECK(ASN1_TIME_set_string(time, rows[i].time));
		soq__tls_time_text(text, sizeof(text), time);
		CHECK_STR(text, rows[i].want);
		ASN1_TIME_free(time);
	}
}
