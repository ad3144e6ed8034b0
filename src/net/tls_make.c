/* tls_make.c - soq_make_certificate(): a key and a certificate of it, for trying things out.
 *
 * Chance is the library context's and time the engine's, so that a simulated program makes the
 * same certificate under the same seed. All else happens on the offload pool: a large RSA key
 * takes seconds.
 *
 * Source: RFC 5280 sections 4.1 (fields) and 4.2.1 (extensions); RFC 9525 section 6 (names).
 */
#include "net/tls_save.h"
#include "net/tls_openssl.h"
#include "net/tls_text.h"
#include "fiber/last_error.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <soquete/error.h>
#include <soquete/fiber.h>
#include <soquete/time.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMES	     "localhost 127.0.0.1 ::1"
#define CA_NAME	     "Laboratory CA"
#define BLANKS	     " \t\r\n"
#define DAY_S	     (24 * 60 * 60)
#define LASTS_S	     (90 * DAY_S)
#define CA_LASTS_S   (3650 * DAY_S)
#define SERIAL_LEN   20	 /* octets, the most that RFC 5280 section 4.1.2.2 allows */
#define NAME_MAX_LEN 253 /* of a host, RFC 1035 section 2.3.4 without the last dot */
#define CN_MAX	     64	 /* ub-common-name, RFC 5280 appendix A.1 */

/* One call's work. */
struct make {
	const char *certificate_path, *key_path; /* key_path NULL: the certificate's */
	const struct soq_certificate_options *opt;
	const char *names;
	OSSL_LIB_CTX *library;
	int64_t from_s, until_s;
	GENERAL_NAMES *hosts;
	EVP_PKEY *key;
	X509 *certificate;
	STACK_OF(X509) * ca; /* its own certificate first; NULL: we sign ourselves */
	EVP_PKEY *ca_key;
	int rc;
	char why[1024]; /* after an error */
};

__attribute__((format(printf, 3, 4))) static int fail(
	struct make *m, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(m->why, sizeof(m->why), format, args);
	va_end(args);
	return code;
}

/* After a call of OpenSSL's. */
static int fail_openssl(struct make *m, const char *what)
{
	char words[512];

	soq__tls_explain_queue(words, sizeof(words));
	return fail(m, -SOQ_ETLS, "%s: %s", what, words);
}

/* ---- names ---- */

/* Letters, digits, hyphens, underscores, in labels; the first may be a star (RFC 9525 section
 * 6.3). Names with other letters are to be given as IDNA writes them. */
static bool is_host_name(const char *name, size_t len)
{
	size_t label = 0;

	if (len == 0 || len > NAME_MAX_LEN)
		return false;
	if (len > 2 && name[0] == '*' && name[1] == '.') {
		name += 2;
		len -= 2;
	}
	for (size_t i = 0; i < len; i++) {
		if (name[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (++label > 63 ||
			!strchr("-_0123456789abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
				name[i])) {
			return false;
		}
	}
	return label > 0;
}

/* @return 0; -ENOMEM */
static int push_host(struct make *m, int type, const void *bytes, size_t len)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *value =
		type == GEN_DNS ? ASN1_IA5STRING_new() : (ASN1_STRING *)ASN1_OCTET_STRING_new();

	if (!name || !value || !ASN1_STRING_set(value, bytes, (int)len)) {
		GENERAL_NAME_free(name);
		ASN1_STRING_free(value);
		return -ENOMEM;
	}
	GENERAL_NAME_set0_value(name, type, value);
	if (sk_GENERAL_NAME_push(m->hosts, name) > 0)
		return 0;
	GENERAL_NAME_free(name);
	return -ENOMEM;
}

/* @word  [len], not empty */
static int add_host(struct make *m, const char *word, size_t len)
{
	char text[NAME_MAX_LEN + 2] = "", shown[256];
	struct soq__tls_text t = soq__tls_text(shown, sizeof(shown));
	unsigned char addr[16];

	if (len < sizeof(text))
		memcpy(text, word, len);
	if (inet_pton(AF_INET, text, addr) == 1)
		return push_host(m, GEN_IPADD, addr, 4);
	if (inet_pton(AF_INET6, text, addr) == 1)
		return push_host(m, GEN_IPADD, addr, 16);
	if (word[len - 1] == '.')
		len--; /* the root's dot does not belong into a certificate */
	if (len < sizeof(text) && is_host_name(word, len))
		return push_host(m, GEN_DNS, word, len);
	soq__tls_put_foreign(&t, word, len);
	return fail(m, -EINVAL,
		"'%s' is neither a host's name nor an IPv4 or IPv6 address (a name with other "
		"letters than a to z is written as IDNA has it: 'xn--...')",
		shown);
}

static int read_hosts(struct make *m)
{
	const char *at = m->names;
	int rc = 0;

	m->hosts = GENERAL_NAMES_new();
	if (!m->hosts)
		return -ENOMEM;
	while (rc == 0 && *(at += strspn(at, BLANKS))) {
		size_t len = strcspn(at, BLANKS);

		rc = add_host(m, at, len);
		at += len;
	}
	if (rc == 0 && sk_GENERAL_NAME_num(m->hosts) == 0)
		return fail(m, -EINVAL, "names: there is none");
	return rc;
}

/* ---- options ---- */

static int check_ca_name(struct make *m)
{
	size_t len = strlen(m->names);

	if (len == 0 || len > CN_MAX)
		return fail(m, -EINVAL, "a CA's name has 1 to %d bytes, and this one has %zu",
			CN_MAX, len);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)m->names[i] < ' ' || m->names[i] == 0x7f)
			return fail(m, -EINVAL, "the CA's name has a control character in it");
	return 0;
}

static int check(struct make *m)
{
	const struct soq_certificate_options *opt = m->opt;

	if (!m->certificate_path || !*m->certificate_path || (m->key_path && !*m->key_path))
		return fail(m, -EINVAL, "the name of the file to write is missing");
	if (opt->ca && opt->client)
		return fail(m, -EINVAL, "it is a CA's or a client's, not both");
	if (opt->ca_key && !opt->ca_certificate)
		return fail(m, -EINVAL, "the CA's key is given, its certificate is not");
	if (opt->rsa_bits && (opt->rsa_bits < 2048 || opt->rsa_bits > 8192))
		return fail(m, -EINVAL, "an RSA key of %u bits: 2,048 to 8,192 are possible",
			opt->rsa_bits);
	if (opt->lasts_ns < 0)
		return fail(m, -EINVAL, "it cannot end before it begins");
	return opt->ca ? check_ca_name(m) : read_hosts(m);
}

/* By the second, from the wall clock on. */
static void set_validity(struct make *m)
{
	const struct soq_certificate_options *opt = m->opt;
	int64_t lasts_s = opt->lasts_ns ? opt->lasts_ns / SOQ_S
		: opt->ca		? CA_LASTS_S
					: LASTS_S;

	m->from_s = soq_wall_clock() / SOQ_S + opt->from_ns / SOQ_S;
	m->until_s = m->from_s + (lasts_s > 0 ? lasts_s : 1);
}

/* ---- the CA that signs ---- */

/* Nobody is asked for a password at a terminal: we may be a server. */
static int no_password(char *buf, int size, int writing, void *arg)
{
	return -1;
}

static BIO *open_file(struct make *m, const char *what, const char *path)
{
	FILE *file = fopen(path, "re");
	BIO *bio;

	if (!file) {
		m->rc = fail(m, -errno, "%s '%s': %s", what, path, soq_strerror(-errno));
		return NULL;
	}
	bio = BIO_new_fp(file, BIO_CLOSE);
	if (!bio)
		fclose(file);
	m->rc = bio ? 0 : -ENOMEM;
	return bio;
}

/* @return 0; -ENOMEM */
static int take_certificates(struct make *m, const STACK_OF(X509_INFO) * infos)
{
	m->ca = sk_X509_new_null();
	for (int i = 0; m->ca && i < sk_X509_INFO_num(infos); i++) {
		X509 *x = sk_X509_INFO_value(infos, i)->x509;

		if (x && !X509_add_cert(m->ca, x, X509_ADD_FLAG_UP_REF))
			return -ENOMEM;
	}
	return m->ca ? 0 : -ENOMEM;
}

static int read_ca_certificates(struct make *m)
{
	const char *path = m->opt->ca_certificate;
	BIO *bio = open_file(m, "the CA's certificate", path);
	STACK_OF(X509_INFO) * infos;
	char what[512];
	int rc;

	if (!bio)
		return m->rc;
	infos = PEM_X509_INFO_read_bio_ex(bio, NULL, no_password, NULL, m->library, NULL);
	BIO_free(bio);
	snprintf(what, sizeof(what), "the CA's certificate '%s'", path);
	if (!infos)
		return fail_openssl(m, what);
	rc = take_certificates(m, infos);
	sk_X509_INFO_pop_free(infos, X509_INFO_free);
	if (rc == 0 && sk_X509_num(m->ca) == 0)
		rc = fail(m, -SOQ_ETLS, "%s: there is no certificate in it", what);
	return rc;
}

static int read_ca_key(struct make *m)
{
	const char *path = m->opt->ca_key ? m->opt->ca_key : m->opt->ca_certificate;
	BIO *bio = open_file(m, "the CA's key", path);
	char what[512];

	if (!bio)
		return m->rc;
	m->ca_key = PEM_read_bio_PrivateKey_ex(bio, NULL, no_password, NULL, m->library, NULL);
	BIO_free(bio);
	if (m->ca_key)
		return 0;
	snprintf(what, sizeof(what), "the CA's key '%s'", path);
	return fail_openssl(m, what);
}

/* A sentence about the CA's certificate: "the certificate of 'CN = Lab CA' ..." */
static int fail_ca(struct make *m, const char *predicate)
{
	char text[512];
	struct soq__tls_text t = soq__tls_text(text, sizeof(text));

	soq__tls_put_certificate(&t, sk_X509_value(m->ca, 0));
	return fail(m, -SOQ_ETLS, "%s ('%s') %s", text, m->opt->ca_certificate, predicate);
}

/* Seconds since 1970. @return whether it could be read */
static bool seconds_of(const ASN1_TIME *time, int64_t *ret)
{
	struct tm tm;

	if (!ASN1_TIME_to_tm(time, &tm))
		return false;
	*ret = timegm(&tm);
	return true;
}

/* What a CA has signed is worth nothing outside of the CA's own time. */
static int cut_validity(struct make *m, const X509 *ca)
{
	int64_t from_s, until_s;

	if (!seconds_of(X509_get0_notBefore(ca), &from_s) ||
		!seconds_of(X509_get0_notAfter(ca), &until_s))
		return fail_ca(m, "has dates that cannot be read");
	m->from_s = m->from_s > from_s ? m->from_s : from_s;
	m->until_s = m->until_s < until_s ? m->until_s : until_s;
	if (m->from_s < m->until_s)
		return 0;
	return fail_ca(m, "is not valid at the time that is asked for");
}

static int read_ca(struct make *m)
{
	int rc = read_ca_certificates(m);
	X509 *ca;

	rc = rc < 0 ? rc : read_ca_key(m);
	if (rc < 0)
		return rc;
	ca = sk_X509_value(m->ca, 0);
	if (X509_check_ca(ca) != 1)
		return fail_ca(m, "is no CA's, and cannot sign others");
	if (m->opt->ca && X509_get_pathlen(ca) == 0)
		return fail_ca(m, "is of a CA that may not have others below it");
	if (!X509_check_private_key(ca, m->ca_key)) {
		ERR_clear_error();
		return fail_ca(m,
			m->opt->ca_key ? "does not belong to the key that is given with it"
				       : "does not belong to the key in its file");
	}
	return cut_validity(m, ca);
}

/* ---- the certificate ---- */

static int set_serial(struct make *m)
{
	unsigned char bytes[SERIAL_LEN];
	BIGNUM *number;
	bool ok;

	if (RAND_bytes_ex(m->library, bytes, sizeof(bytes), 0) <= 0)
		return fail_openssl(m, "random numbers");
	bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and of full length */
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	ok = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(m->certificate));
	BN_free(number);
	return ok ? 0 : -ENOMEM;
}

/* A name that is too long for a common name is in the alternative names only, which has been
 * its place since RFC 2818. */
static bool set_subject(struct make *m)
{
	X509_NAME *subject = X509_get_subject_name(m->certificate);
	const char *name = m->opt->ca ? m->names : m->names + strspn(m->names, BLANKS);
	size_t len = m->opt->ca ? strlen(name) : strcspn(name, BLANKS);

	len -= !m->opt->ca && name[len - 1] == '.';
	return len > CN_MAX ||
		X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
			(const unsigned char *)name, (int)len, -1, 0);
}

static bool add_extension(struct make *m, X509V3_CTX *ctx, int type, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, ctx, type, value);
	bool ok = extension && X509_add_ext(m->certificate, extension, -1);

	X509_EXTENSION_free(extension);
	return ok;
}

/* Alternative names are critical where there is no subject (RFC 5280 section 4.2.1.6). */
static bool add_hosts(struct make *m)
{
	bool has_subject = X509_NAME_entry_count(X509_get_subject_name(m->certificate)) > 0;

	return X509_add1_ext_i2d(m->certificate, NID_subject_alt_name, m->hosts, !has_subject,
		       X509V3_ADD_DEFAULT) == 1;
}

/* One that signs itself needs no word of whose key did (RFC 5280 section 4.2.1.1). */
static bool add_extensions(struct make *m)
{
	const char *usage = m->opt->ca ? "critical,keyCertSign,cRLSign"
		: m->opt->rsa_bits     ? "critical,digitalSignature,keyEncipherment"
				       : "critical,digitalSignature";
	X509 *ca = m->ca ? sk_X509_value(m->ca, 0) : NULL;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, ca ? ca : m->certificate, m->certificate, NULL, NULL, 0);
	return add_extension(m, &ctx, NID_basic_constraints,
		       m->opt->ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
		add_extension(m, &ctx, NID_key_usage, usage) &&
		add_extension(m, &ctx, NID_subject_key_identifier, "hash") &&
		(!ca || !X509_get0_subject_key_id(ca) ||
			add_extension(m, &ctx, NID_authority_key_identifier, "keyid:always")) &&
		(m->opt->ca ||
			(add_extension(m, &ctx, NID_ext_key_usage,
				 m->opt->client ? "clientAuth" : "serverAuth") &&
				add_hosts(m)));
}

/* SHA-256, but for keys whose signatures have a digest of their own (Ed25519). */
static bool sign(struct make *m)
{
	EVP_PKEY *key = m->ca_key ? m->ca_key : m->key;
	const EVP_MD *digest = EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448")
		? NULL
		: EVP_sha256();

	return X509_sign(m->certificate, key, digest) > 0;
}

static int make_certificate(struct make *m)
{
	X509 *x = m->certificate = X509_new_ex(m->library, NULL);
	int rc = x ? set_serial(m) : -ENOMEM;

	if (rc < 0)
		return rc;
	if (X509_set_version(x, X509_VERSION_3) && set_subject(m) &&
		X509_set_issuer_name(
			x, X509_get_subject_name(m->ca ? sk_X509_value(m->ca, 0) : x)) &&
		ASN1_TIME_set(X509_getm_notBefore(x), m->from_s) &&
		ASN1_TIME_set(X509_getm_notAfter(x), m->until_s) &&
		X509_set_pubkey(x, m->key) && add_extensions(m) && sign(m))
		return 0;
	return fail_openssl(m, "the certificate");
}

/* ---- the files ---- */

/* Ours, then those that lead to the CA's own, which whoever trusts it has. */
static bool put_certificates(struct make *m, BIO *to)
{
	bool ok = PEM_write_bio_X509(to, m->certificate);

	for (int i = 0; ok && m->ca && i < sk_X509_num(m->ca); i++) {
		X509 *x = sk_X509_value(m->ca, i);

		ok = X509_self_signed(x, 0) == 1 || PEM_write_bio_X509(to, x);
	}
	return ok;
}

static int write_files(struct make *m)
{
	bool one = !m->key_path || !strcmp(m->key_path, m->certificate_path);
	struct soq__tls_saved files[2] = {
		{ .path = m->certificate_path, .bytes = BIO_new(BIO_s_mem()), .secret = one },
		{ .path = m->key_path, .bytes = BIO_new(BIO_s_mem()), .secret = true },
	};
	BIO *secret = files[!one].bytes;
	int rc;

	if (!files[0].bytes || !files[1].bytes || !put_certificates(m, files[0].bytes) ||
		!PEM_write_bio_PKCS8PrivateKey(secret, m->key, NULL, NULL, 0, NULL, NULL))
		rc = fail_openssl(m, "the files");
	else
		rc = soq__tls_save(files, one ? 1 : 2, m->opt->replace, m->why, sizeof(m->why));
	BIO_free(files[0].bytes);
	BIO_free(files[1].bytes);
	return rc;
}

/* ---- the whole ---- */

static int make_key(struct make *m)
{
	if (m->opt->rsa_bits)
		m->key = EVP_PKEY_Q_keygen(m->library, NULL, "RSA", (size_t)m->opt->rsa_bits);
	else
		m->key = EVP_PKEY_Q_keygen(m->library, NULL, "EC", "P-256");
	return m->key ? 0 : fail_openssl(m, "the key");
}

/* On the offload pool. The queue of errors is the thread's. */
static void work(void *arg)
{
	struct make *m = arg;

	ERR_clear_error();
	m->rc = m->opt->ca_certificate ? read_ca(m) : 0;
	m->rc = m->rc < 0 ? m->rc : make_key(m);
	m->rc = m->rc < 0 ? m->rc : make_certificate(m);
	m->rc = m->rc < 0 ? m->rc : write_files(m);
	ERR_clear_error();
}

static void done(struct make *m)
{
	GENERAL_NAMES_free(m->hosts);
	EVP_PKEY_free(m->key);
	X509_free(m->certificate);
	sk_X509_pop_free(m->ca, X509_free);
	EVP_PKEY_free(m->ca_key);
}

int soq_make_certificate(
	const char *certificate, const char *key, const struct soq_certificate_options *opt)
{
	static const struct soq_certificate_options defaults;
	struct make m = { .certificate_path = certificate,
		.key_path = key,
		.opt = opt ? opt : &defaults,
		.library = soq__tls_library() };
	int rc;

	m.names = m.opt->names ? m.opt->names : m.opt->ca ? CA_NAME : NAMES;
	rc = check(&m);
	if (rc == 0) {
		set_validity(&m);
		rc = soq_offload(work, &m);
		rc = rc < 0 ? rc : m.rc;
	}
	done(&m);
	if (rc < 0)
		soq__fail(rc, "make certificate: %s", *m.why ? m.why : soq_strerror(rc));
	return rc;
}
