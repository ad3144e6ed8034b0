/* tls_config.c - what a configuration makes of its options and files: two SSL objects of it
 * shake hands in memory, and each rule is seen to be kept.
 */
#include "net/dns.h"
#include "unit/tls_config.h"

#include <pthread.h>
#include <sys/stat.h>

/* The clock of OpenSSL's time(NULL), moved to see that nothing depends on it: also by a second
 * at its very call number so and so. */
static _Atomic time_t moved_s;
static atomic_int time_calls, tick_at = -1;

time_t time(time_t *ret)
{
	struct timespec now;
	time_t s;

	clock_gettime(CLOCK_REALTIME, &now);
	moved_s += time_calls++ == tick_at;
	s = now.tv_sec + moved_s;
	if (ret)
		*ret = s;
	return s;
}

/* ---- names ---- */

TEST(tls_config_names)
{
	static const struct {
		const char *has, *asked;
		bool good;
	} rows[] = {
		{ "localhost 127.0.0.1 ::1", "localhost", true },
		{ "localhost 127.0.0.1 ::1", "LocalHost", true },
		{ "localhost 127.0.0.1 ::1", "localhost.", true },
		{ "localhost 127.0.0.1 ::1", "127.0.0.1", true },
		{ "localhost 127.0.0.1 ::1", "::1", true },
		{ "localhost 127.0.0.1 ::1", "127.0.0.2", false },
		{ "localhost 127.0.0.1 ::1", "::2", false },
		{ "localhost 127.0.0.1 ::1", "localhosts", false },
		{ "fe80::1", "fe80::1%eth0", true },
		{ "*.a.example", "b.a.example", true },
		{ "*.a.example", "B.a.Example.", true },
		{ "*.a.example", "a.example", false },
		{ "*.a.example", "c.b.a.example", false },
		{ "*.a.example", "xa.example", false },
		{ "a.example", "a.example.evil.example", false },
		{ "127.0.0.1", "localhost", false },
	};

	make_ca("ca.pem");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq_tls *client, *server;
		struct outcome o;

		ROW("%s of %s", rows[i].asked, rows[i].has);
		make("server.pem", rows[i].has);
		server = SERVER();
		client = CLIENT();
		o = meet(client, server, rows[i].asked);
		CHECK_EQ(o.client, rows[i].good ? 0 : -SOQ_ETLS);
		done(client, server);
	}
}

/* Only the alternative names count, and a wildcard is a whole label. */
TEST(tls_config_names_of_old)
{
	static const struct {
		const char *extension, *asked;
		bool good;
	} rows[] = {
		{ "DNS:a.example", "a.example", true },
		{ NULL, "a.example", false },
		{ "DNS:www*.a.example", "www1.a.example", false },
		{ "DNS:*.a.example", "www1.a.example", true },
	};

	make_both("a.example");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		X509 *x = read_certificate("server.pem");
		EVP_PKEY *key = read_key("server.pem"), *ca_key = read_key("ca.pem");
		int at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);
		struct soq_tls *client, *server;
		FILE *f = fopen(path("old.pem"), "w");

		ROW("%s asked, in %s", rows[i].asked, rows[i].extension);
		X509_EXTENSION_free(X509_delete_ext(x, at));
		if (rows[i].extension) {
			X509_EXTENSION *e = X509V3_EXT_conf_nid(
				NULL, NULL, NID_subject_alt_name, rows[i].extension);

			CHECK(e && X509_add_ext(x, e, -1));
			X509_EXTENSION_free(e);
		}
		CHECK(X509_sign(x, ca_key, EVP_sha256()));
		CHECK(PEM_write_X509(f, x) &&
			PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
		fclose(f);
		server = CONFIG(.certificate = path("old.pem"));
		client = CLIENT();
		CHECK_EQ(meet(client, server, rows[i].asked).client,
			rows[i].good ? 0 : -SOQ_ETLS);
		done(client, server);
		X509_free(x);
		EVP_PKEY_free(key);
		EVP_PKEY_free(ca_key);
	}
}

TEST(tls_config_bad_names)
{
	/* To OpenSSL a name after a dot is whoever is below it. */
	static const char *const rows[] = { "", ".localhost", "\xe3\x80\x82localhost", ".", "%",
		"%lo", "localhost%lo", "localhost.%.example" };
	char longest[300] = "";
	struct soq_tls *tls;
	SSL *ssl = NULL;

	make_ca("ca.pem");
	tls = CLIENT();
	memset(longest, 'a', sizeof(longest) - 1);
	CHECK_ERR(soq__tls_config_ssl(&ssl, tls, false, longest), -EINVAL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("'%s'", rows[i]);
		CHECK_ERR(soq__tls_config_ssl(&ssl, tls, false, rows[i]), -EINVAL);
	}
	CHECK_ERR(soq__tls_config_ssl(&ssl, tls, true, NULL), -EINVAL);
	CHECK(!ssl);
	soq_tls_free(tls);
}

/* What a client trusts is what it is told, and nobody else. */
TEST(tls_config_trust)
{
	struct soq_tls *server, *client;

	make_both("localhost");
	make_ca("other.pem");
	server = SERVER();
	client = CLIENT();
	check_good(client, server, "localhost");
	soq_tls_free(client);
	client = CONFIG(.ca = path("other.pem"));
	CHECK_ERR(meet(client, server, "localhost").client, -SOQ_ETLS);
	soq_tls_free(client);
	client = config(NULL);
	CHECK_ERR(meet(client, server, "localhost").client, -SOQ_ETLS);
	soq_tls_free(client);
	client = CONFIG(.insecure = true);
	check_good(client, server, "localhost");
	check_good(client, server, "other.example");
	check_good(client, server, NULL);
	soq_tls_free(client);
	/* A certificate itself may be what is trusted. */
	client = CONFIG(.ca = path("server.pem"));
	check_good(client, server, "localhost");
	CHECK_ERR(meet(client, server, "other.example").client, -SOQ_ETLS);
	done(client, server);
}

/* What the system trusts is there by the first handshake, and read again when asked. */
TEST(tls_config_system_trust)
{
	struct soq_tls *server, *client;

	make_both("localhost");
	CHECK_OK(setenv("SSL_CERT_FILE", path("ca.pem"), 1));
	CHECK_OK(setenv("SSL_CERT_DIR", test_dir(), 1));
	server = SERVER();
	client = config(NULL);
	check_good(client, server, "localhost");
	CHECK(meet(client, server, "localhost").resumed);
	CHECK_OK(unlink(path("ca.pem")));
	make_ca("ca.pem");
	CHECK_OK(soq_tls_reload(client));
	CHECK_ERR(meet(client, server, "localhost").client, -SOQ_ETLS);
	done(client, server);
}

TEST(tls_config_ca_folder)
{
	char hashed[64];
	struct soq_tls *server, *client;
	X509 *ca;

	make_both("localhost");
	ca = read_certificate("ca.pem");
	CHECK_OK(mkdir(path("cas"), 0700));
	snprintf(hashed, sizeof(hashed), "cas/%08lx.0", X509_subject_name_hash(ca));
	X509_free(ca);
	CHECK_OK(symlink("../ca.pem", path(hashed)));
	server = SERVER(.ca = path("cas"), .clients = SOQ_TLS_CLIENTS_ASKED);
	client = CONFIG(.ca = path("cas"));
	CHECK_EQ(meet(client, server, "localhost").ca_names, 1);
	check_good(client, server, "localhost");
	done(client, server);
}

TEST(tls_config_expired)
{
	struct soq_tls *server, *client;

	CHECK_OK(soq_make_certificate(path("ca.pem"), NULL,
		&(struct soq_certificate_options){
			.ca = true, .from_ns = -9 * DAY_S * SOQ_S }));
	CHECK_OK(soq_make_certificate(path("server.pem"), NULL,
		&(struct soq_certificate_options){ .ca_certificate = path("ca.pem"),
			.from_ns = -2 * DAY_S * SOQ_S,
			.lasts_ns = DAY_S * SOQ_S }));
	server = SERVER();
	client = CLIENT();
	CHECK_ERR(meet(client, server, "localhost").client, -SOQ_ETLS);
	done(client, server);
}

/* ---- versions, ciphers, protocols ---- */

TEST(tls_config_versions)
{
	static const struct {
		enum soq_tls_version min_c, max_c, min_s, max_s;
		int want; /* 0: none */
	} rows[] = {
		{ 0, 0, 0, 0, TLS1_3_VERSION },
		{ 0, SOQ_TLS_1_2, 0, 0, TLS1_2_VERSION },
		{ 0, 0, 0, SOQ_TLS_1_2, TLS1_2_VERSION },
		{ SOQ_TLS_1_3, 0, 0, 0, TLS1_3_VERSION },
		{ SOQ_TLS_1_3, 0, 0, SOQ_TLS_1_2, 0 },
		{ 0, SOQ_TLS_1_2, SOQ_TLS_1_3, SOQ_TLS_1_3, 0 },
		{ SOQ_TLS_1_2, SOQ_TLS_1_2, SOQ_TLS_1_2, SOQ_TLS_1_3, TLS1_2_VERSION },
	};

	make_both("localhost");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq_tls *client =
			CLIENT(.min_version = rows[i].min_c, .max_version = rows[i].max_c);
		struct soq_tls *server =
			SERVER(.min_version = rows[i].min_s, .max_version = rows[i].max_s);
		struct outcome o = meet(client, server, "localhost");

		ROW("row %zu", i);
		CHECK_EQ(o.client, rows[i].want ? 0 : -SOQ_ETLS);
		if (rows[i].want)
			CHECK_EQ(o.version, rows[i].want);
		done(client, server);
	}
}

TEST(tls_config_old_versions)
{
	SSL_CTX *old = SSL_CTX_new(TLS_client_method());
	struct soq_tls *server;
	SSL *c, *s;
	BIO *a, *b;

	make_both("localhost");
	server = SERVER();
	SSL_CTX_set_security_level(old, 0);
	CHECK(SSL_CTX_set_min_proto_version(old, TLS1_VERSION));
	CHECK(SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION));
	c = SSL_new(old);
	SSL_set_connect_state(c);
	CHECK_OK(soq__tls_config_ssl(&s, server, true, NULL));
	CHECK(BIO_new_bio_pair(&a, 0, &b, 0));
	SSL_set_bio(c, a, a);
	SSL_set_bio(s, b, b);
	SSL_do_handshake(c);
	CHECK_EQ(SSL_get_error(s, SSL_do_handshake(s)), SSL_ERROR_SSL);
	CHECK_EQ(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_UNSUPPORTED_PROTOCOL);
	ERR_clear_error();
	SSL_free(c);
	SSL_free(s);
	SSL_CTX_free(old);
	soq_tls_free(server);
}

TEST(tls_config_ciphers)
{
	static const struct {
		const char *c, *s, *suites, *want; /* NULL: none */
	} rows[] = {
		{ NULL, NULL, NULL, "ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ "ECDHE+CHACHA20", NULL, NULL, "ECDHE-ECDSA-CHACHA20-POLY1305" },
		/* The server's order counts, but for those who put ChaCha20 first. */
		{ "ECDHE+CHACHA20:ECDHE+AESGCM", NULL, NULL, "ECDHE-ECDSA-CHACHA20-POLY1305" },
		{ "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE+AESGCM", NULL, NULL,
			"ECDHE-ECDSA-AES128-GCM-SHA256" },
		{ "AES128-SHA256", NULL, NULL, NULL },
		{ "ECDHE-ECDSA-AES128-SHA256", NULL, NULL, NULL },
		{ "AECDH-AES128-SHA:@SECLEVEL=0", "ALL:@SECLEVEL=0", NULL, "refused" },
		{ NULL, NULL, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256" },
		{ NULL, NULL, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256" },
	};

	make_both("localhost");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum soq_tls_version max = rows[i].suites ? SOQ_TLS_1_3 : SOQ_TLS_1_2;
		struct soq_tls_options opt = { .ca = path("ca.pem"),
			.ciphers = rows[i].c,
			.ciphersuites = rows[i].suites,
			.max_version = max };
		struct soq_tls *client, *server = SERVER(.ciphers = rows[i].s);
		struct outcome o;

		ROW("row %zu", i);
		if (rows[i].want && strcmp(rows[i].want, "refused") == 0) {
			check_refused(&opt, -EINVAL, "ciphers");
			soq_tls_free(server);
			continue;
		}
		client = config(&opt);
		o = meet(client, server, "localhost");
		CHECK_EQ(o.client, rows[i].want ? 0 : -SOQ_ETLS);
		if (rows[i].want)
			CHECK_STR(o.cipher, rows[i].want);
		done(client, server);
	}
}

TEST(tls_config_alpn)
{
	static const struct {
		const char *c, *s, *want; /* NULL: no connection */
	} rows[] = {
		{ NULL, NULL, "" },
		{ "h2", NULL, "" },
		{ NULL, "h2", "" },
		{ "h2 http/1.1", "h2 http/1.1", "h2" },
		{ "http/1.1 h2", "h2 http/1.1", "h2" },
		{ "h2  http/1.1\t", " http/1.1 ", "http/1.1" },
		{ "h2", "http/1.1", NULL },
		{ "h", "h2", NULL },
	};

	make_both("localhost");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq_tls *client = CLIENT(.alpn = rows[i].c);
		struct soq_tls *server = SERVER(.alpn = rows[i].s);
		struct outcome o = meet(client, server, "localhost");

		ROW("row %zu", i);
		CHECK_EQ(o.client, rows[i].want ? 0 : -SOQ_ETLS);
		if (rows[i].want)
			CHECK_STR(o.alpn, rows[i].want);
		done(client, server);
	}
}

/* ---- several certificates ---- */

TEST(tls_config_sni)
{
	static const struct {
		const char *asked, *want;
	} rows[] = {
		{ "first.example", "first.example" },
		{ "second.example", "second.example" },
		{ "also.second.example", "second.example" },
		{ "SECOND.example.", "second.example" },
		{ "a.third.example", "*.third.example" },
		{ "exact.third.example", "first.example" },
		{ "third.example", "first.example" },
		{ "b.a.third.example", "first.example" },
		{ "unknown.example", "first.example" },
		{ "192.0.2.1", "first.example" },
		{ NULL, "first.example" },
	};
	struct soq_tls *server, *client;

	make_both("first.example exact.third.example");
	make("second.pem", "second.example also.second.example");
	make("third.pem", "*.third.example");
	server = SERVER();
	client = CONFIG(.insecure = true, .no_resumption = true);
	CHECK_OK(soq_tls_add_certificate(server, path("second.pem"), NULL, NULL));
	CHECK_OK(soq_tls_add_certificate(server, path("third.pem"), NULL, NULL));
	for (unsigned v = SOQ_TLS_1_2; v <= SOQ_TLS_1_3; v++)
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct outcome o = meet(client, server, rows[i].asked);

			ROW("%s", rows[i].asked ? rows[i].asked : "-");
			CHECK_EQ(o.client, 0);
			CHECK_STR(o.shown, rows[i].want);
		}
	/* A file that is not there changes nothing. */
	CHECK_ERR(soq_tls_add_certificate(server, path("none.pem"), NULL, NULL), -ENOENT);
	CHECK_STR(meet(client, server, "second.example").shown, "second.example");
	CHECK_ERR(soq_tls_add_certificate(client, path("second.pem"), NULL, NULL), -EINVAL);
	done(client, server);
}

/* Two kinds of keys for the same names: each client gets what it understands. */
TEST(tls_config_two_keys)
{
	struct soq_tls *server, *client;
	struct outcome o;

	make_both("a.example b.example");
	CHECK_OK(soq_make_certificate(path("rsa.pem"), NULL,
		&(struct soq_certificate_options){ .names = "b.example a.example",
			.rsa_bits = 2048,
			.ca_certificate = path("ca.pem") }));
	server = SERVER();
	CHECK_OK(soq_tls_add_certificate(server, path("rsa.pem"), NULL, NULL));
	client = CLIENT(.max_version = SOQ_TLS_1_2, .ciphers = "ECDHE+aRSA");
	o = meet(client, server, "b.example");
	CHECK_EQ(o.client, 0);
	CHECK_STR(o.shown, "b.example");
	soq_tls_free(client);
	client = CLIENT(.max_version = SOQ_TLS_1_2, .ciphers = "ECDHE+aECDSA");
	o = meet(client, server, "b.example");
	CHECK_EQ(o.client, 0);
	CHECK_STR(o.shown, "a.example");
	CHECK(!soq__tls_config_is_slow(server));
	done(client, server);
}

TEST(tls_config_slow)
{
	static const struct {
		unsigned bits;
		bool slow;
	} rows[] = { { 0, false }, { 2048, false }, { 3072, true } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq_tls *server;

		if (rows[i].slow && test_is_emulated())
			continue; /* to find its primes takes most of a minute there */
		ROW("RSA %u", rows[i].bits);
		CHECK_OK(soq_make_certificate(path("server.pem"), NULL,
			&(struct soq_certificate_options){
				.rsa_bits = rows[i].bits, .replace = true }));
		server = SERVER();
		CHECK_EQ(soq__tls_config_is_slow(server), rows[i].slow);
		CHECK(soq__tls_can_serve(server));
		soq_tls_free(server);
	}
}

/* ---- reading again ---- */

TEST(tls_config_reload)
{
	struct soq_tls *server, *client;
	struct outcome o;

	make_both("first.example");
	server = SERVER();
	client = CONFIG(.insecure = true);
	CHECK_STR(meet(client, server, "x.example").shown, "first.example");
	make("server.pem", "second.example");
	CHECK_STR(meet(client, server, "y.example").shown, "first.example");
	CHECK_OK(soq_tls_reload(server));
	CHECK_STR(meet(client, server, "z.example").shown, "second.example");
	/* Who was here before need not shake hands in full. */
	o = meet(client, server, "x.example");
	CHECK(o.resumed);
	/* All or nothing. */
	write_text("server.pem", "");
	CHECK_ERR(soq_tls_reload(server), -SOQ_ETLS);
	CHECK(strstr(soq_last_error(), "is empty"));
	CHECK_STR(meet(client, server, "w.example").shown, "second.example");
	CHECK_OK(unlink(path("server.pem")));
	CHECK_ERR(soq_tls_reload(server), -ENOENT);
	CHECK_STR(meet(client, server, "v.example").shown, "second.example");
	done(client, server);
}

/* ---- resumption ---- */

TEST(tls_config_resume)
{
	make_both("localhost *.x.example");
	for (unsigned v = SOQ_TLS_1_2; v <= SOQ_TLS_1_3; v++) {
		struct soq_tls *server = SERVER(), *client = CLIENT(.max_version = v);
		struct soq_tls *other = CLIENT(.max_version = v), *second = SERVER();
		struct soq_tls *never = SERVER(.no_resumption = true);

		ROW("version %u", v);
		CHECK(!meet(client, server, "localhost").resumed);
		CHECK(meet(client, server, "localhost").resumed);
		CHECK(meet(client, server, "LOCALHOST.").client == 0);
		/* Neither for another name, nor by another client, nor with another server. */
		CHECK(!meet(client, server, "a.x.example").resumed);
		CHECK(!meet(other, server, "localhost").resumed);
		CHECK(!meet(client, second, "localhost").resumed);
		CHECK(!meet(client, never, "b.x.example").resumed);
		CHECK(!meet(client, never, "b.x.example").resumed);
		/* What was checked by former rules is not used. */
		CHECK(meet(client, server, "a.x.example").resumed);
		CHECK_OK(soq_tls_reload(client));
		CHECK(!meet(client, server, "a.x.example").resumed);
		CHECK(meet(client, server, "a.x.example").resumed);
		done(client, server);
		done(other, second);
		client = CLIENT(.max_version = v, .no_resumption = true);
		server = SERVER();
		CHECK(!meet(client, server, "a.x.example").resumed);
		CHECK(!meet(client, server, "a.x.example").resumed);
		done(client, server);
		soq_tls_free(never);
	}
}

/* A session is used once: two tickets are good for two connections. */
TEST(tls_config_resume_once)
{
	struct soq_tls *server, *client;

	make_both("localhost");
	server = SERVER();
	client = CLIENT();
	meet(client, server, "localhost");
	CHECK(meet_how(client, server, "localhost", TICKETS_DO_NOT_COME).resumed);
	CHECK(meet_how(client, server, "localhost", TICKETS_DO_NOT_COME).resumed);
	CHECK(!meet_how(client, server, "localhost", TICKETS_DO_NOT_COME).resumed);
	done(client, server);
}

/* The oldest of too many sessions goes first. */
TEST(tls_config_resume_bound)
{
	struct soq_tls *server, *client;
	char name[32];

	make_both("*.x.example");
	server = SERVER();
	client = CLIENT();
	for (int i = 0; i < 140; i++) {
		snprintf(name, sizeof(name), "n%d.x.example", i);
		CHECK_EQ(meet(client, server, name).client, 0);
	}
	CHECK(!meet_how(client, server, "n0.x.example", TICKETS_DO_NOT_COME).resumed);
	CHECK(!meet_how(client, server, "n11.x.example", TICKETS_DO_NOT_COME).resumed);
	CHECK(meet_how(client, server, "n12.x.example", TICKETS_DO_NOT_COME).resumed);
	CHECK(meet_how(client, server, "n139.x.example", TICKETS_DO_NOT_COME).resumed);
	done(client, server);
}

/* A client that has shaken hands, in TLS 1.2, by @session if it is not NULL; nothing is kept of
 * it yet. */
static SSL *shake(
	struct soq_tls *client, struct soq_tls *server, const char *name, SSL_SESSION *session)
{
	SSL *c = NULL, *s = NULL;
	BIO *a, *b;

	CHECK_OK(soq__tls_config_ssl(&c, client, false, name));
	CHECK_OK(soq__tls_config_ssl(&s, server, true, NULL));
	CHECK(BIO_new_bio_pair(&a, 0, &b, 0));
	SSL_set_bio(c, a, a);
	SSL_set_bio(s, b, b);
	if (session)
		CHECK(SSL_set_session(c, session));
	for (int i = 0; i < 4; i++) {
		SSL_do_handshake(c);
		SSL_do_handshake(s);
	}
	CHECK(SSL_is_init_finished(c) && SSL_is_init_finished(s));
	ERR_clear_error();
	SSL_free(s);
	return c;
}

/* Many sessions of one name do not push out the others'. */
TEST(tls_config_resume_many_of_one)
{
	struct soq_tls *server, *client;
	SSL *c;

	make_both("*.x.example");
	server = SERVER(.max_version = SOQ_TLS_1_2);
	client = CLIENT();
	meet(client, server, "b.x.example");
	c = shake(client, server, "a.x.example", NULL);
	for (int i = 0; i < 300; i++)
		soq__tls_session_checked(c);
	SSL_shutdown(c);
	SSL_free(c);
	CHECK(meet(client, server, "b.x.example").resumed);
	done(client, server);
}

/* What another server gave under the same name is in the way for so long only. */
TEST(tls_config_resume_same)
{
	struct soq_tls *server, *client;
	int resumed = 0;

	make_both("*.x.example");
	server = SERVER();
	client = CLIENT(.max_version = SOQ_TLS_1_3);
	for (int i = 0; i < 10; i++) {
		struct soq_tls *once = SERVER();

		CHECK(!meet(client, once, "a.x.example").resumed);
		soq_tls_free(once);
	}
	meet(client, server, "a.x.example");
	while (meet_how(client, server, "a.x.example", TICKETS_DO_NOT_COME).resumed)
		resumed++;
	CHECK_EQ(resumed, 2);
	done(client, server);
}

/* ---- by the engine's clock ---- */

#define HOUR (3600 * SOQ_S)

/* A ticket lives for two hours of the program's own clock, through a change of keys. */
SIM(tls_config_ticket_lives)
{
	struct soq_tls *server, *client;

	make_both("localhost");
	for (unsigned v = SOQ_TLS_1_2; v <= SOQ_TLS_1_3; v++) {
		ROW("version %u", v);
		server = SERVER();
		client = CLIENT(.max_version = v);
		CHECK_OK(soq_sleep(11 * HOUR));
		CHECK(!meet(client, server, "localhost").resumed);
		CHECK_OK(soq_sleep(HOUR + HOUR / 2)); /* the next key is in use */
		CHECK(meet(client, server, "localhost").resumed);
		moved_s += 3 * 3600;
		CHECK(meet(client, server, "localhost").resumed);
		CHECK_OK(soq_sleep(HOUR));
		CHECK(meet(client, server, "localhost").resumed);
		CHECK_OK(soq_sleep(2 * HOUR));
		CHECK(!meet(client, server, "localhost").resumed);
		CHECK_OK(soq_sleep(100 * HOUR));
		CHECK(!meet(client, server, "localhost").resumed);
		CHECK(meet(client, server, "localhost").resumed);
		done(client, server);
	}
}

/* A server counts the two hours itself, whatever its client does. */
SIM(tls_config_ticket_dies)
{
	struct soq_tls *server, *client;
	SSL_SESSION *kept = NULL;

	make_both("localhost");
	server = SERVER();
	client = CLIENT(.max_version = SOQ_TLS_1_2);
	for (int i = 0; i < 3; i++) {
		SSL *c = shake(client, server, "localhost", kept);

		ROW("round %d", i);
		CHECK_EQ(SSL_session_reused(c), i == 1);
		if (!kept)
			kept = SSL_get1_session(c);
		SSL_shutdown(c);
		SSL_free(c);
		if (i == 1)
			CHECK_OK(soq_sleep(3 * HOUR));
	}
	SSL_SESSION_free(kept);
	done(client, server);
}

SIM(tls_config_certificate_ends)
{
	struct soq_tls *server, *client;

	make_ca("ca.pem");
	CHECK_OK(soq_make_certificate(path("server.pem"), NULL,
		&(struct soq_certificate_options){
			.ca_certificate = path("ca.pem"), .lasts_ns = DAY_S * SOQ_S }));
	server = SERVER(.no_resumption = true);
	client = CLIENT();
	check_good(client, server, "localhost");
	CHECK_OK(soq_sleep(23 * HOUR));
	check_good(client, server, "localhost");
	CHECK_OK(soq_sleep(2 * HOUR));
	CHECK_ERR(meet(client, server, "localhost").client, -SOQ_ETLS);
	done(client, server);
}

/* The configuration of those who have none is one for a worker, and in real programs for all.
 */
CONTRACT(tls_config_default_is_one)
{
	struct soq_tls *a = NULL, *b = NULL;
	SSL *ssl = NULL;

	CHECK_OK(soq__tls_config_default(&a));
	CHECK_OK(soq__tls_config_default(&b));
	CHECK(a == b);
	CHECK(!soq__tls_can_serve(a));
	CHECK(!soq__tls_config_is_nameless(a));
	CHECK_OK(soq__tls_config_ssl(&ssl, a, false, "localhost"));
	SSL_free(ssl);
	done(a, b);
}

/* ---- with one seed, the same bytes ---- */

struct bytes {
	const char *ca, *server;
	size_t count;
	uint64_t digest;
	int resumed;
};

/* FNV-1a, 64 bits. */
static void add_bytes(struct bytes *bytes, const unsigned char *p, size_t n)
{
	for (bytes->count += n; n > 0; n--)
		bytes->digest = (bytes->digest ^ *p++) * UINT64_C(0x100000001b3);
}

static void carry(struct bytes *bytes, BIO *from, SSL *to)
{
	unsigned char *p;
	long n = BIO_get_mem_data(from, &p);

	add_bytes(bytes, p, (size_t)n);
	CHECK_EQ(BIO_write(SSL_get_rbio(to), p, (int)n), n);
	BIO_reset(from);
}

static void meet_recorded(struct bytes *bytes, struct soq_tls *client, struct soq_tls *server)
{
	char why[100], byte;
	SSL *c = NULL, *s = NULL;

	CHECK_OK(soq__tls_config_ssl(&c, client, false, "localhost"));
	CHECK_OK(soq__tls_config_ssl(&s, server, true, NULL));
	SSL_set_bio(c, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_bio(s, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	BIO_set_mem_eof_return(SSL_get_rbio(c), -1);
	BIO_set_mem_eof_return(SSL_get_rbio(s), -1);
	for (int i = 0; i < 4; i++) {
		SSL_do_handshake(c);
		carry(bytes, SSL_get_wbio(c), s);
		SSL_do_handshake(s);
		carry(bytes, SSL_get_wbio(s), c);
	}
	CHECK(SSL_is_init_finished(c) && SSL_is_init_finished(s));
	CHECK_EQ(soq__tls_check(why, sizeof(why), client, c, false), 0);
	SSL_read(c, &byte, 1);
	bytes->resumed += SSL_session_reused(c);
	SSL_shutdown(c);
	SSL_free(c);
	SSL_free(s);
}

static int sim_meet_often(void *arg)
{
	struct bytes *bytes = arg;
	struct soq_tls *client = CONFIG(.ca = bytes->ca);
	struct soq_tls *server = CONFIG(.certificate = bytes->server);

	for (int i = 0; i < 3; i++) {
		meet_recorded(bytes, client, server);
		CHECK_OK(soq_sleep(HOUR / 2));
	}
	done(client, server);
	return 0;
}

static void run_world(uint64_t seed, struct bytes *bytes)
{
	struct soq_sim *sim;
	struct soq_sim_host *host;

	CHECK_OK(soq_sim_new(&sim, seed, NULL));
	CHECK_OK(soq_sim_host_new(&host, sim, "host", NULL));
	CHECK_OK(soq_sim_spawn(host, sim_meet_often, bytes));
	CHECK_EQ(soq_sim_run(sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	soq_sim_free(sim);
}

static int sim_make(void *arg)
{
	make_both("localhost");
	return 0;
}

TEST(tls_config_follows_the_seed)
{
	struct bytes first = { 0 }, later = { 0 }, other = { 0 };
	struct soq_sim *sim;
	struct soq_sim_host *host;

	CHECK_OK(soq_sim_new(&sim, 1, NULL));
	CHECK_OK(soq_sim_host_new(&host, sim, "host", NULL));
	CHECK_OK(soq_sim_spawn(host, sim_make, NULL));
	CHECK_EQ(soq_sim_run(sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	soq_sim_free(sim);
	first.ca = path("ca.pem");
	first.server = path("server.pem");
	later = other = first;
	run_world(7, &first);
	CHECK_EQ(first.resumed, 2);
	moved_s += 12345678;
	time_calls = 0;
	run_world(7, &later);
	CHECK_EQ(first.count, later.count);
	CHECK_EQ(first.digest, later.digest);
	CHECK(time_calls > 10);
	for (int i = 0, calls = time_calls; i < calls; i++) {
		struct bytes ticked = { .ca = first.ca, .server = first.server };

		ROW("a second passes at call %d of %d", i, calls);
		time_calls = 0;
		tick_at = i;
		run_world(7, &ticked);
		CHECK_EQ(first.digest, ticked.digest);
	}
	run_world(8, &other);
	CHECK(first.digest != other.digest);
}

/* ---- from several threads ---- */

struct party {
	struct soq_tls *client, *server;
	const char *name;
};

static void *meet_on(void *arg)
{
	struct party *p = arg;

	for (int i = 0; i < 8; i++)
		CHECK_EQ(meet(p->client, p->server, p->name).client, 0);
	return NULL;
}

TEST(tls_config_threads)
{
	struct party parties[3];
	struct soq_tls *client, *server;
	pthread_t threads[3];

	make_both("a.example *.b.example");
	server = SERVER();
	client = CLIENT();
	for (int i = 0; i < 3; i++) {
		parties[i] =
			(struct party){ client, server, i == 2 ? "x.b.example" : "a.example" };
		CHECK_EQ(pthread_create(&threads[i], NULL, meet_on, &parties[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		CHECK_OK(soq_tls_reload(server));
		CHECK_OK(soq_tls_reload(client));
	}
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	done(client, server);
}

/* A name in any script is asked for as the DNS has it. */
TEST(tls_config_idna)
{
	struct soq_tls *server, *client;
	const char *why;
	char ascii[64];

	if (soq__idna(ascii, sizeof(ascii), "b\xc3\xbc", &why) == -ENOSYS)
		SKIP("this build knows names in ASCII only");
	make_both("xn--bcher-kva.example");
	server = SERVER();
	client = CLIENT();
	check_good(client, server,
		"b\xc3\xbc"
		"cher.example");
	CHECK_ERR(meet(client, server, "bucher.example").client, -SOQ_ETLS);
	done(client, server);
}

/* ---- what is told of a handshake ---- */

TEST(tls_config_info)
{
	struct soq_tls *server, *client;
	struct soq_tls_info info;
	int64_t until_s;
	SSL *c;

	make_both("a.example b.example");
	until_s = now_s() + 90 * DAY_S;
	server = SERVER(.alpn = "http/1.1");
	client = CLIENT(.max_version = SOQ_TLS_1_2, .alpn = "h2 http/1.1");
	for (int i = 0; i < 2; i++) {
		c = shake(client, server, "b.example", NULL);
		CHECK_EQ(soq__tls_check(NULL, 0, client, c, false), 0);
		soq__tls_info_of(&info, c);
		ROW("connection %d", i);
		CHECK_STR(info.version, "TLSv1.2");
		CHECK_STR(info.cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
		CHECK_STR(info.alpn, "http/1.1");
		CHECK_STR(info.name, "b.example");
		CHECK_EQ(info.resumed, i == 1);
		CHECK(info.trusted);
		CHECK_STR(info.subject, "CN = a.example");
		CHECK_STR(info.issuer, "CN = ca.pem");
		CHECK(info.until_s <= until_s && info.until_s > until_s - 60);
		CHECK_EQ(strlen(info.pin), 44);
		SSL_shutdown(c);
		SSL_free(c);
	}
	soq_tls_free(client);
	client = CONFIG(.insecure = true, .max_version = SOQ_TLS_1_2);
	c = shake(client, server, "other.example", NULL);
	soq__tls_info_of(&info, c);
	CHECK(!info.trusted);
	CHECK_STR(info.alpn, "");
	CHECK_STR(info.subject, "CN = a.example");
	SSL_free(c);
	done(client, server);
}
