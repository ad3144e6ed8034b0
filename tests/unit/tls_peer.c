/* tls_peer.c - what is asked of a peer beside its certificate's being signed: clients' ones,
 * lists of revoked ones, staples, pins; and which options and files are refused.
 */
#include "unit/tls_config.h"

#include <fcntl.h>
#include <openssl/ocsp.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

/* ---- certificates as soq_make_certificate() does not make them ---- */

/* Put an extension into a certificate of the CA's, in place of one of its kind. */
static void resign(const char *name, int nid, const char *value)
{
	X509 *x = read_certificate(name);
	EVP_PKEY *key = read_key(name), *ca_key = read_key("ca.pem");
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	int at = X509_get_ext_by_NID(x, nid, -1);
	FILE *f = fopen(path(name), "w");

	CHECK(e && f);
	if (at >= 0)
		X509_EXTENSION_free(X509_delete_ext(x, at));
	CHECK(X509_add_ext(x, e, -1) && X509_sign(x, ca_key, EVP_sha256()));
	CHECK(PEM_write_X509(f, x) && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
	fclose(f);
	X509_EXTENSION_free(e);
	X509_free(x);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
}

static void make_client(const char *name, const char *ca)
{
	CHECK_OK(soq_make_certificate(path(name), NULL,
		&(struct soq_certificate_options){
			.client = true, .names = "someone", .ca_certificate = path(ca) }));
}

static void pin_text(char text[64], const char *certificate)
{
	unsigned char pin[SOQ__TLS_PIN_BYTES];
	X509 *x = read_certificate(certificate);

	CHECK(soq__tls_pin(pin, x));
	EVP_EncodeBlock((unsigned char *)text, pin, sizeof(pin));
	X509_free(x);
}

/* ---- clients' certificates ---- */

TEST(tls_peer_clients)
{
	static const struct {
		enum soq_tls_clients clients;
		const char *shown; /* NULL: none */
		bool good;
	} rows[] = {
		{ SOQ_TLS_CLIENTS_ANY, NULL, true },
		{ SOQ_TLS_CLIENTS_ANY, "stranger.pem", true },
		{ SOQ_TLS_CLIENTS_ASKED, NULL, true },
		{ SOQ_TLS_CLIENTS_ASKED, "client.pem", true },
		{ SOQ_TLS_CLIENTS_ASKED, "stranger.pem", false },
		{ SOQ_TLS_CLIENTS_ASKED, "server.pem", false }, /* not a client's */
		{ SOQ_TLS_CLIENTS_NEEDED, NULL, false },
		{ SOQ_TLS_CLIENTS_NEEDED, "client.pem", true },
		{ SOQ_TLS_CLIENTS_NEEDED, "stranger.pem", false },
	};

	make_both("localhost");
	make_ca("other.pem");
	make_client("client.pem", "ca.pem");
	make_client("stranger.pem", "other.pem");
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]) * 2; i++) {
		const char *shown = rows[i / 2].shown;
		struct soq_tls *server =
			SERVER(.ca = path("ca.pem"), .clients = rows[i / 2].clients);
		struct soq_tls *client = CLIENT(.certificate = shown ? path(shown) : NULL,
			.max_version = i % 2 ? SOQ_TLS_1_2 : SOQ_TLS_1_3);
		struct outcome o = meet(client, server, "localhost");

		ROW("row %u", i);
		CHECK_EQ(o.server, rows[i / 2].good ? 0 : -SOQ_ETLS);
		if (o.server == 0 && rows[i / 2].clients != SOQ_TLS_CLIENTS_ANY)
			CHECK_EQ(o.ca_names, 1);
		if (o.server == 0)
			CHECK(meet(client, server, "localhost").resumed);
		done(client, server);
	}
}

/* Whoever was trusted by the former CA does not come in by a ticket. */
TEST(tls_peer_clients_reload)
{
	struct soq_tls *server, *client;

	make_both("localhost");
	make_ca("clients.pem");
	make_client("client.pem", "clients.pem");
	server = SERVER(.ca = path("clients.pem"), .clients = SOQ_TLS_CLIENTS_NEEDED);
	client = CLIENT(.certificate = path("client.pem"));
	check_good(client, server, "localhost");
	CHECK(meet(client, server, "localhost").resumed);
	CHECK_OK(unlink(path("clients.pem")));
	make_ca("clients.pem");
	CHECK_OK(soq_tls_reload(server));
	CHECK_ERR(meet(client, server, "localhost").server, -SOQ_ETLS);
	done(client, server);
}

/* ---- revoked certificates ---- */

/* A list by a CA, of no or one certificate. */
static void make_crl(const char *name, const char *ca, const char *revoked)
{
	X509_CRL *crl = X509_CRL_new();
	X509 *issuer = read_certificate(ca);
	EVP_PKEY *key = read_key(ca);
	ASN1_TIME *from = ASN1_TIME_set(NULL, now_s() - 60);
	ASN1_TIME *until = ASN1_TIME_set(NULL, now_s() + 3600);
	FILE *f = fopen(path(name), "w");

	CHECK(X509_CRL_set_version(crl, X509_CRL_VERSION_2));
	CHECK(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)));
	CHECK(X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, until));
	if (revoked) {
		X509 *x = read_certificate(revoked);
		X509_REVOKED *r = X509_REVOKED_new();

		CHECK(X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(x)));
		CHECK(X509_REVOKED_set_revocationDate(r, from) &&
			X509_CRL_add0_revoked(crl, r));
		X509_free(x);
	}
	CHECK(X509_CRL_sign(crl, key, EVP_sha256()) && PEM_write_X509_CRL(f, crl));
	fclose(f);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	X509_CRL_free(crl);
	X509_free(issuer);
	EVP_PKEY_free(key);
}

TEST(tls_peer_crl)
{
	static const struct {
		const char *ca, *revoked;
		bool good;
	} rows[] = {
		{ "ca.pem", NULL, true }, { "ca.pem", "second.pem", true },
		{ "ca.pem", "server.pem", false },
		{ "other.pem", NULL, false }, /* no word of the certificate's own CA */
	};

	make_both("localhost");
	make("second.pem", "localhost");
	make_ca("other.pem");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq_tls *server, *client;

		ROW("row %zu", i);
		make_crl("crl.pem", rows[i].ca, rows[i].revoked);
		server = SERVER();
		client = CLIENT(.crl = path("crl.pem"));
		CHECK_EQ(
			meet(client, server, "localhost").client, rows[i].good ? 0 : -SOQ_ETLS);
		done(client, server);
	}
}

/* ---- staples ---- */

struct staple {
	const char *signer, *issuer, *about;
	int status, reason;
	int64_t from_s, until_s; /* from now; 0: none */
	bool sha256;
};

static ASN1_TIME *seconds_from_now(int64_t s)
{
	return s ? ASN1_TIME_set(NULL, now_s() + s) : NULL;
}

static void make_staple(const char *name, const struct staple *how)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	X509 *about = read_certificate(how->about), *issuer = read_certificate(how->issuer);
	X509 *signer = read_certificate(how->signer);
	EVP_PKEY *key = read_key(how->signer);
	OCSP_CERTID *id =
		OCSP_cert_to_id(how->sha256 ? EVP_sha256() : EVP_sha1(), about, issuer);
	ASN1_TIME *revoked = seconds_from_now(-7200), *from = seconds_from_now(how->from_s);
	ASN1_TIME *until = seconds_from_now(how->until_s);
	OCSP_RESPONSE *response;
	unsigned char *der = NULL;
	int len;

	CHECK(OCSP_basic_add1_status(basic, id, how->status, how->reason,
		how->status == V_OCSP_CERTSTATUS_REVOKED ? revoked : NULL, from, until));
	CHECK(OCSP_basic_sign(basic, signer, key, EVP_sha256(), NULL, 0));
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	len = i2d_OCSP_RESPONSE(response, &der);
	CHECK(len > 0);
	write_file(name, der, (size_t)len);
	OPENSSL_free(der);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(revoked);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	X509_free(about);
	X509_free(issuer);
	X509_free(signer);
	EVP_PKEY_free(key);
}

#define GOOD	 V_OCSP_CERTSTATUS_GOOD
#define REVOKED	 V_OCSP_CERTSTATUS_REVOKED
#define UNKNOWN	 V_OCSP_CERTSTATUS_UNKNOWN
#define NOT_SENT "shows none"

TEST(tls_peer_staple)
{
	static const struct {
		const char *name;
		struct staple staple;
		const char *why, *why_needed; /* NULL: it passes */
	} rows[] = {
		{ "good", { "ca.pem", "ca.pem", "server.pem", GOOD, 0, -60, 3600, false }, NULL,
			NULL },
		{ "by SHA-256", { "ca.pem", "ca.pem", "server.pem", GOOD, 0, -60, 3600, true },
			NULL, NULL },
		{ "by the CA's agent",
			{ "agent.pem", "ca.pem", "server.pem", GOOD, 0, -60, 3600, false },
			NULL, NULL },
		{ "revoked",
			{ "ca.pem", "ca.pem", "server.pem", REVOKED,
				OCSP_REVOKED_STATUS_KEYCOMPROMISE, -60, 3600, false },
			"(keyCompromise)", "(keyCompromise)" },
		{ "revoked, for no reason",
			{ "ca.pem", "ca.pem", "server.pem", REVOKED, -1, -60, 3600, false },
			"no reason is given", "no reason is given" },
		{ "unknown", { "ca.pem", "ca.pem", "server.pem", UNKNOWN, 0, -60, 3600, false },
			NULL, "does not know" },
		{ "of a little in the future",
			{ "ca.pem", "ca.pem", "server.pem", GOOD, 0, 200, 3600, false }, NULL,
			NULL },
		{ "of the future",
			{ "ca.pem", "ca.pem", "server.pem", GOOD, 0, 400, 3600, false }, NULL,
			"of the future" },
		{ "for ever", { "ca.pem", "ca.pem", "server.pem", GOOD, 0, -60, 0, false },
			NULL, "until when" },
		{ "stale: our server does not send it",
			{ "ca.pem", "ca.pem", "server.pem", GOOD, 0, -900, -100, false }, NULL,
			NOT_SENT },
		{ "by another CA",
			{ "other.pem", "ca.pem", "server.pem", GOOD, 0, -60, 3600, false },
			NULL, "not signed by" },
		{ "by another CA, revoked",
			{ "other.pem", "ca.pem", "server.pem", REVOKED, 0, -60, 3600, false },
			NULL, "not signed by" },
		{ "by another certificate of the CA",
			{ "second.pem", "ca.pem", "server.pem", GOOD, 0, -60, 3600, false },
			NULL, "not signed by" },
		{ "of another CA's certificate with this number",
			{ "ca.pem", "other.pem", "server.pem", GOOD, 0, -60, 3600, false },
			NULL, "not signed by" },
	};

	make_both("localhost");
	make("agent.pem", "agent.example");
	resign("agent.pem", NID_ext_key_usage, "OCSPSigning");
	make("second.pem", "second.example");
	make_ca("other.pem");
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]) * 4; i++) {
		bool is_needed = i & 1;
		const char *why = is_needed ? rows[i / 4].why_needed : rows[i / 4].why;
		struct soq_tls *server, *client;
		struct outcome o;

		make_staple("staple.der", &rows[i / 4].staple);
		server = SERVER(.staple = path("staple.der"),
			.max_version = i & 2 ? SOQ_TLS_1_2 : SOQ_TLS_1_3);
		client = CLIENT(.staple_needed = is_needed);
		o = meet(client, server, "localhost");
		ROW("%s, needed %d: %s", rows[i / 4].name, is_needed, o.why);
		CHECK_EQ(o.client, why ? -SOQ_ECERTIFICATE : 0);
		CHECK(!why || strstr(o.why, why));
		/* Whoever did not pass is not resumed. */
		o = meet(client, server, "localhost");
		CHECK_EQ(o.client, why ? -SOQ_ECERTIFICATE : 0);
		CHECK_EQ(o.resumed, !why);
		done(client, server);
	}
}

/* The certificate itself may ask for one. */
TEST(tls_peer_must_staple)
{
	static const struct staple good = { "ca.pem", "ca.pem", "server.pem", GOOD, 0, -60,
		3600, false };
	struct soq_tls *server, *client;
	struct outcome o;

	make_both("localhost");
	resign("server.pem", NID_tlsfeature, "status_request");
	server = SERVER();
	client = CLIENT();
	o = meet(client, server, "localhost");
	CHECK_EQ(o.client, -SOQ_ECERTIFICATE);
	CHECK(strstr(o.why, "the certificate itself asks for a staple"));
	soq_tls_free(server);
	make_staple("staple.der", &good);
	server = SERVER(.staple = path("staple.der"));
	check_good(client, server, "localhost");
	done(client, server);
}

TEST(tls_peer_no_staple)
{
	struct soq_tls *server, *client;
	struct outcome o;

	make_both("localhost");
	server = SERVER();
	client = CLIENT(.staple_needed = true);
	o = meet(client, server, "localhost");
	CHECK_EQ(o.client, -SOQ_ECERTIFICATE);
	CHECK(strstr(o.why, "this side asks for a staple"));
	done(client, server);
}

/* ---- pins ---- */

static void append_certificate(const char *to, const char *name)
{
	X509 *x = read_certificate(name);
	FILE *f = fopen(path(to), "a");

	CHECK(f && PEM_write_X509(f, x));
	fclose(f);
	X509_free(x);
}

TEST(tls_peer_pins)
{
	char leaf[64], ca[64], other[64], both[130], none[64];
	const struct {
		const char *name, *pins;
		bool insecure;
		const char *asked;
		int want;
	} rows[] = {
		{ "leaf", leaf, false, "localhost", 0 },
		{ "leaf, no name", leaf, false, NULL, 0 },
		{ "leaf, wrong name", leaf, false, "other.example", -SOQ_ETLS },
		{ "CA", ca, false, "localhost", 0 },
		{ "another", other, false, "localhost", -SOQ_ECERTIFICATE },
		{ "one of two", both, false, "localhost", 0 },
		{ "one bit off", none, false, "localhost", -SOQ_ECERTIFICATE },
		{ "leaf, insecure", leaf, true, "other.example", 0 },
		{ "CA, insecure", ca, true, "localhost", -SOQ_ECERTIFICATE },
		{ "another, insecure", other, true, "localhost", -SOQ_ECERTIFICATE },
	};

	make_both("localhost");
	make_ca("other.pem");
	/* The server shows the CA's certificate as well, as anybody could. */
	append_certificate("server.pem", "ca.pem");
	pin_text(leaf, "server.pem");
	pin_text(ca, "ca.pem");
	pin_text(other, "other.pem");
	snprintf(both, sizeof(both), " %s\t%s", other, leaf);
	snprintf(none, sizeof(none), "%s", leaf);
	none[0] = leaf[0] == 'A' ? 'B' : 'A';
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]) * 2; i++) {
		bool insecure = rows[i / 2].insecure;
		struct soq_tls *server = SERVER();
		struct soq_tls *client = CONFIG(.pins = rows[i / 2].pins, .insecure = insecure,
			.ca = insecure ? NULL : path("ca.pem"),
			.max_version = i % 2 ? SOQ_TLS_1_2 : SOQ_TLS_1_3);
		struct outcome o = meet(client, server, rows[i / 2].asked);

		ROW("%s: %s", rows[i / 2].name, o.why);
		CHECK_EQ(o.client, rows[i / 2].want);
		if (o.client == -SOQ_ECERTIFICATE)
			CHECK(strstr(o.why, leaf)); /* what it is, for whoever mistyped it */
		o = meet(client, server, rows[i / 2].asked);
		CHECK_EQ(o.client, rows[i / 2].want);
		CHECK_EQ(o.resumed, rows[i / 2].want == 0 && rows[i / 2].asked);
		CHECK(soq__tls_config_is_nameless(client));
		done(client, server);
	}
}

/* A server may know its clients by their keys alone. */
TEST(tls_peer_pinned_clients)
{
	char pin[64];
	struct soq_tls *server, *client, *stranger, *nobody;

	make_both("localhost");
	make_ca("other.pem");
	make_client("client.pem", "other.pem");
	make_client("stranger.pem", "other.pem");
	pin_text(pin, "client.pem");
	server = SERVER(.insecure = true, .pins = pin, .clients = SOQ_TLS_CLIENTS_NEEDED);
	client = CLIENT(.certificate = path("client.pem"));
	stranger = CLIENT(.certificate = path("stranger.pem"));
	nobody = CLIENT();
	for (int i = 0; i < 2; i++) {
		struct outcome o = meet(client, server, "localhost");

		CHECK_EQ(o.server, 0);
		CHECK(!o.resumed);
		CHECK_EQ(meet(stranger, server, "localhost").server, -SOQ_ECERTIFICATE);
		CHECK_EQ(meet(nobody, server, "localhost").server, -SOQ_ETLS);
	}
	done(server, client);
	done(stranger, nobody);
}

/* ---- secrets for Wireshark ---- */

static void check_keylog(const char *name)
{
	char *text = read_text(name);
	struct stat st;

	CHECK(strstr(text, "CLIENT_HANDSHAKE_TRAFFIC_SECRET "));
	CHECK(strstr(text, "SERVER_TRAFFIC_SECRET_0 "));
	CHECK_EQ(text[strlen(text) - 1], '\n');
	CHECK_OK(stat(path(name), &st));
	CHECK_EQ(st.st_mode & 0777, 0600);
	free(text);
}

TEST(tls_peer_keylog)
{
	struct soq_tls *server, *client;

	make_both("localhost");
	unsetenv("SSLKEYLOGFILE");
	server = SERVER();
	client = CLIENT(.keylog = path("keys.txt"));
	check_good(client, server, "localhost");
	check_keylog("keys.txt");
	done(client, server);
	CHECK_OK(setenv("SSLKEYLOGFILE", path("more.txt"), 1));
	server = SERVER();
	client = CLIENT();
	check_good(client, server, "localhost");
	check_keylog("more.txt");
	done(client, server);
	/* What only the environment asks for does not stop a program. */
	CHECK_OK(setenv("SSLKEYLOGFILE", path("none/keys.txt"), 1));
	server = SERVER();
	client = CLIENT();
	check_good(client, server, "localhost");
	done(client, server);
	check_refused(&(struct soq_tls_options){ .keylog = path("none/keys.txt") }, -ENOENT,
		"none/keys.txt': No such file");
}

/* ---- what is refused ---- */

TEST(tls_peer_options)
{
	static const struct {
		struct soq_tls_options opt;
		const char *part;
	} rows[] = {
		{ { .key = "k.pem" }, "without the certificate" },
		{ { .staple = "s.der" }, "without the certificate" },
		{ { .min_version = SOQ_TLS_1_3, .max_version = SOQ_TLS_1_2 }, "above" },
		{ { .min_version = 3 }, "enum soq_tls_version" },
		{ { .max_version = 7 }, "enum soq_tls_version" },
		{ { .certificate = "c.pem", .clients = 3 }, "enum soq_tls_clients" },
		{ { .clients = SOQ_TLS_CLIENTS_ASKED }, "the server that asks" },
		{ { .certificate = "c.pem", .clients = SOQ_TLS_CLIENTS_ASKED }, "which CA" },
		{ { .insecure = true, .ca = "ca.pem" }, "insecure" },
		{ { .insecure = true, .crl = "crl.pem" }, "insecure" },
		{ { .insecure = true, .staple_needed = true }, "insecure" },
		{ { .handshake_timeout_ns = -1 }, "negative" },
		{ { .alpn = "" }, "no protocol" },
		{ { .alpn = " \t" }, "no protocol" },
		{ { .alpn = "h2 0123456789abcdef0123456789abcdef" }, "longer than 31" },
		{ { .pins = "" }, "none is given" },
		{ { .pins = "x" }, "'x' is no pin" },
		{ { .pins = "sha256//YhKJKSzoTt2b5FP18fvpHo7fJYqQCjAa3HWY3tvRMwE=" },
			"no pin" },
		{ { .pins = "YhKJKSzoTt2b5FP18fvpHo7fJYqQCjAa3HWY3tvRMw==" }, "no pin" },
		{ { .pins = "YhKJKSzoTt2b5FP18fvpHo7fJYqQCjAa3HWY3tvRM!E=" }, "no pin" },
		{ { .ciphers = "NONESUCH" }, "ciphers names none" },
		{ { .ciphersuites = "NONESUCH" }, "ciphersuites names one" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_refused(&rows[i].opt, -EINVAL, rows[i].part);
}

/* A key that nobody should trust any more. */
static void make_weak(const char *name)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	X509 *x = X509_new();
	FILE *f = fopen(path(name), "w");

	CHECK(key && X509_set_version(x, X509_VERSION_3) && X509_set_pubkey(x, key));
	CHECK(X509_gmtime_adj(X509_getm_notBefore(x), 0));
	CHECK(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
	CHECK(X509_sign(x, key, EVP_sha256()) && PEM_write_X509(f, x));
	CHECK(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

TEST(tls_peer_files)
{
	static const struct {
		const char *certificate, *key, *staple;
		int code;
		const char *part;
	} rows[] = {
		{ "none.pem", NULL, NULL, -ENOENT, "certificate file '" },
		{ "folder", NULL, NULL, -EISDIR, "folder': Is a directory" },
		{ "server.pem", "none.pem", NULL, -ENOENT, "key file '" },
		{ "server.pem", NULL, "none.der", -ENOENT, "staple '" },
		{ "empty", NULL, NULL, -SOQ_ETLS, "it is empty" },
		{ "text", NULL, NULL, -SOQ_ETLS, "its first line is 'hello?[2J'" },
		{ "spoilt", NULL, NULL, -SOQ_ETLS, "its certificate cannot be read" },
		{ "server.pem", "text", NULL, -SOQ_ETLS, "holds no private key in PEM" },
		{ "server.pem", "ca.pem", NULL, -SOQ_ETLS, "does not belong" },
		{ "server.pem", "encrypted", NULL, -SOQ_ETLS, "decrypt it with" },
		{ "server.pem", "old-encrypted", NULL, -SOQ_ETLS, "decrypt it with" },
		{ "server.pem", NULL, "text", -SOQ_ETLS, "no OCSP response" },
		{ "server.pem", NULL, "other.der", -SOQ_ETLS, "about another certificate" },
		{ "weak.pem", NULL, NULL, -SOQ_ETLS, "key is too short" },
	};
	static const struct staple other = { "ca.pem", "ca.pem", "ca.pem", GOOD, 0, -60, 3600,
		false };
	EVP_PKEY *key;
	BIO *bio;
	FILE *f;

	make_both("localhost");
	key = read_key("server.pem");
	CHECK_OK(mkdir(path("folder"), 0700));
	write_text("empty", "");
	write_text("text", "hello\033[2J\nworld\n");
	write_text("spoilt", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	f = fopen(path("encrypted"), "w");
	CHECK(PEM_write_PKCS8PrivateKey(f, key, EVP_aes_128_cbc(), "abcd", 4, NULL, NULL));
	fclose(f);
	bio = BIO_new_file(path("old-encrypted"), "w");
	CHECK(PEM_write_bio_PrivateKey_traditional(
		bio, key, EVP_aes_128_cbc(), (const unsigned char *)"abcd", 4, NULL, NULL));
	BIO_free(bio);
	EVP_PKEY_free(key);
	make_staple("other.der", &other);
	make_weak("weak.pem");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check_refused(
			&(struct soq_tls_options){ .certificate = path(rows[i].certificate),
				.key = rows[i].key ? path(rows[i].key) : NULL,
				.staple = rows[i].staple ? path(rows[i].staple) : NULL },
			rows[i].code, rows[i].part);
	}
	check_refused(
		&(struct soq_tls_options){ .ca = path("text") }, -SOQ_ETLS, "file of CAs");
	check_refused(&(struct soq_tls_options){ .ca = path("none") }, -ENOENT, "file of CAs");
	check_refused(&(struct soq_tls_options){ .crl = path("text") }, -SOQ_ETLS, "(CRL)");
	check_refused(&(struct soq_tls_options){ .crl = path("none") }, -ENOENT, "(CRL)");
}

/* A server does not go on showing a staple that has become old. */
SIM(tls_peer_staple_ends)
{
	static const struct staple good = { "ca.pem", "ca.pem", "server.pem", GOOD, 0, -60,
		3600, false };
	struct soq_tls *server, *client;

	make_both("localhost");
	make_staple("staple.der", &good);
	server = SERVER(.staple = path("staple.der"), .no_resumption = true);
	client = CLIENT(.staple_needed = true);
	check_good(client, server, "localhost");
	CHECK_OK(soq_sleep(3500 * SOQ_S));
	check_good(client, server, "localhost");
	CHECK_OK(soq_sleep(200 * SOQ_S));
	CHECK_EQ(meet(client, server, "localhost").client, -SOQ_ECERTIFICATE);
	/* The CA's next word. */
	make_staple("staple.der", &good);
	CHECK_OK(soq_tls_reload(server));
	check_good(client, server, "localhost");
	done(client, server);
}
