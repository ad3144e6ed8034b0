/* tls_make.c - certificates for a laboratory: what is in them, who is refused, which files are
 * there afterwards. Looked at by libcrypto, and by the command openssl(1) where it is.
 */
#include "contract/fiber.h"
#include <soquete/tls.h>

#include <dirent.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_S 86400

/* An RSA key takes too long to make where the machine is emulated. */
#define RSA_BITS (test_is_emulated() ? 0 : 2048)

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

static X509 *read_certificate(const char *name)
{
	FILE *file = fopen(path(name), "r");
	X509 *x;

	CHECK(file);
	x = PEM_read_X509(file, NULL, NULL, NULL);
	fclose(file);
	CHECK(x);
	return x;
}

static EVP_PKEY *read_key(const char *name)
{
	FILE *file = fopen(path(name), "r");
	EVP_PKEY *key;

	CHECK(file);
	key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	fclose(file);
	CHECK(key);
	return key;
}

static unsigned mode_of(const char *name)
{
	struct stat st;

	CHECK_OK(stat(path(name), &st));
	return st.st_mode & 07777;
}

static size_t files_in_dir(void)
{
	DIR *dir = opendir(test_dir());
	size_t count = 0;

	CHECK(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2; /* "." and ".." */
}

static void make(const char *name, const struct soq_certificate_options *opt)
{
	CHECK_OK(soq_make_certificate(path(name), NULL, opt));
}

/* Seconds from now, as the certificate's dates have it. */
static int64_t seconds_until(const ASN1_TIME *time)
{
	int days, seconds;

	CHECK(ASN1_TIME_diff(&days, &seconds, NULL, time));
	return (int64_t)days * DAY_S + seconds;
}

/* ---- what is in them ---- */

TEST(tls_make_default)
{
	X509 *x;
	EVP_PKEY *key;
	char curve[32];

	umask(022);
	make("a.pem", NULL);
	CHECK_EQ(files_in_dir(), 1);
	CHECK_EQ(mode_of("a.pem"), 0600);
	x = read_certificate("a.pem");
	key = read_key("a.pem");
	CHECK_EQ(X509_get_version(x), X509_VERSION_3);
	CHECK_EQ(X509_check_host(x, "localhost", 0, 0, NULL), 1);
	CHECK_EQ(X509_check_host(x, "127.0.0.1", 0, 0, NULL), 0);
	CHECK_EQ(X509_check_ip_asc(x, "127.0.0.1", 0), 1);
	CHECK_EQ(X509_check_ip_asc(x, "::1", 0), 1);
	CHECK_EQ(X509_check_host(x, "other", 0, 0, NULL), 0);
	CHECK(seconds_until(X509_get0_notBefore(x)) <= 0);
	CHECK(seconds_until(X509_get0_notBefore(x)) > -60);
	CHECK(seconds_until(X509_get0_notAfter(x)) <= 90 * DAY_S);
	CHECK(seconds_until(X509_get0_notAfter(x)) > 90 * DAY_S - 60);
	CHECK_EQ(X509_get0_serialNumber(x)->length, 20);
	CHECK(X509_get0_serialNumber(x)->data[0] & 0x40);
	CHECK_EQ(X509_check_ca(x), 0);
	CHECK_EQ(X509_get_key_usage(x), KU_DIGITAL_SIGNATURE);
	CHECK_EQ(X509_get_extended_key_usage(x), XKU_SSL_SERVER);
	CHECK(X509_get0_subject_key_id(x) && !X509_get0_authority_key_id(x));
	CHECK_EQ(X509_verify(x, key), 1);
	CHECK_EQ(X509_check_private_key(x, key), 1);
	CHECK_EQ(EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL), 1);
	CHECK_STR(curve, "prime256v1");
	EVP_PKEY_free(key);
	X509_free(x);
}

TEST(tls_make_options)
{
	const struct soq_certificate_options opt = {
		.names = " *.a.example\tb_1.example. 192.0.2.1",
		.rsa_bits = RSA_BITS,
		.client = true,
		.from_ns = -3600 * SOQ_S,
		.lasts_ns = 7200 * SOQ_S
	};
	X509 *x;
	EVP_PKEY *key;
	char subject[64];

	umask(027);
	CHECK_OK(soq_make_certificate(path("c.pem"), path("k.pem"), &opt));
	CHECK_EQ(mode_of("c.pem"), 0640);
	CHECK_EQ(mode_of("k.pem"), 0600);
	x = read_certificate("c.pem");
	key = read_key("k.pem");
	CHECK_EQ(X509_check_private_key(x, key), 1);
	CHECK_EQ(X509_NAME_get_text_by_NID(
			 X509_get_subject_name(x), NID_commonName, subject, sizeof(subject)),
		11);
	CHECK_STR(subject, "*.a.example");
	CHECK_EQ(EVP_PKEY_get_bits(key), RSA_BITS ? 2048 : 256);
	CHECK_EQ(X509_check_host(x, "x.a.example", 0, 0, NULL), 1);
	CHECK_EQ(X509_check_host(x, "b_1.example", 0, 0, NULL), 1);
	CHECK_EQ(X509_check_ip_asc(x, "192.0.2.1", 0), 1);
	CHECK_EQ(X509_get_key_usage(x),
		KU_DIGITAL_SIGNATURE | (RSA_BITS ? KU_KEY_ENCIPHERMENT : 0));
	CHECK_EQ(X509_get_extended_key_usage(x), XKU_SSL_CLIENT);
	CHECK(seconds_until(X509_get0_notBefore(x)) <= -3600);
	CHECK(seconds_until(X509_get0_notAfter(x)) <= 3600);
	CHECK(seconds_until(X509_get0_notAfter(x)) > 3500);
	EVP_PKEY_free(key);
	X509_free(x);
}

/* A name of more than 64 bytes has no room in a subject, so there is none. */
TEST(tls_make_long_name)
{
	static const char name[] =
		"a-name-that-is-long.a-name-that-is-long.a-name-that-is-long."
		"a-name-that-is-long.example";
	X509 *x;
	int critical;

	make("a.pem", &(struct soq_certificate_options){ .names = name });
	x = read_certificate("a.pem");
	CHECK_EQ(X509_NAME_entry_count(X509_get_subject_name(x)), 0);
	GENERAL_NAMES_free(X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL));
	CHECK_EQ(critical, 1);
	CHECK_EQ(X509_check_host(x, name, 0, 0, NULL), 1);
	X509_free(x);
}

/* ---- chains ---- */

static int verify(const char *ca, const char *leaf, int purpose)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509 *x = read_certificate(leaf);
	STACK_OF(X509) *others = sk_X509_new_null();
	FILE *file = fopen(path(leaf), "r");
	X509 *other;
	int error;

	/* What stands in the file after the certificate is what a server sends with it. */
	while ((other = PEM_read_X509(file, NULL, NULL, NULL)))
		CHECK(sk_X509_push(others, other));
	fclose(file);
	CHECK_EQ(X509_STORE_load_file(store, path(ca)), 1);
	CHECK(X509_STORE_CTX_init(ctx, store, x, others));
	CHECK(X509_STORE_CTX_set_purpose(ctx, purpose));
	X509_verify_cert(ctx);
	error = X509_STORE_CTX_get_error(ctx);
	sk_X509_pop_free(others, X509_free);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(x);
	return error;
}

static void make_chain(void)
{
	make("root.pem", &(struct soq_certificate_options){ .ca = true, .names = "Lab CA" });
	make("middle.pem",
		&(struct soq_certificate_options){
			.ca = true, .names = "Middle", .ca_certificate = path("root.pem") });
	make("leaf.pem",
		&(struct soq_certificate_options){
			.names = "a.example", .ca_certificate = path("middle.pem") });
	make("client.pem",
		&(struct soq_certificate_options){ .names = "me",
			.client = true,
			.rsa_bits = RSA_BITS,
			.ca_certificate = path("root.pem") });
}

TEST(tls_make_chain)
{
	X509 *x;

	make_chain();
	CHECK_EQ(verify("root.pem", "root.pem", X509_PURPOSE_ANY), X509_V_OK);
	CHECK_EQ(verify("root.pem", "leaf.pem", X509_PURPOSE_SSL_SERVER), X509_V_OK);
	CHECK_EQ(verify("root.pem", "leaf.pem", X509_PURPOSE_SSL_CLIENT),
		X509_V_ERR_INVALID_PURPOSE);
	CHECK_EQ(verify("root.pem", "client.pem", X509_PURPOSE_SSL_CLIENT), X509_V_OK);
	CHECK_EQ(verify("root.pem", "client.pem", X509_PURPOSE_SSL_SERVER),
		X509_V_ERR_INVALID_PURPOSE);
	x = read_certificate("leaf.pem");
	CHECK(X509_get0_subject_key_id(x) && X509_get0_authority_key_id(x));
	X509_free(x);
	x = read_certificate("root.pem");
	CHECK_EQ(X509_check_ca(x), 1);
	CHECK_EQ(X509_get_key_usage(x), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	CHECK_EQ(X509_get_ext_by_NID(x, NID_subject_alt_name, -1), -1);
	CHECK(seconds_until(X509_get0_notAfter(x)) > 3649 * (int64_t)DAY_S);
	X509_free(x);
}

/* The command and curl(1) think alike. A self-signed one is its own CA. */
TEST(tls_make_openssl_command)
{
	static const char *const rows[] = {
		"openssl verify -x509_strict -purpose sslserver -CAfile %s/root.pem -untrusted "
		"%s/leaf.pem %s/leaf.pem >/dev/null",
		"openssl verify -x509_strict -purpose sslclient -CAfile %s/root.pem "
		"%s/client.pem >/dev/null",
		"! openssl verify -purpose sslserver -CAfile %s/root.pem %s/client.pem "
		"2>/dev/null >/dev/null",
		"openssl verify -x509_strict -purpose sslserver -verify_hostname localhost "
		"-CAfile "
		"%s/self.pem %s/self.pem >/dev/null",
		"openssl x509 -in %s/leaf.pem -noout -text | grep -q 'DNS:a.example'",
	};
	char command[1024];

	if (system("openssl version >/dev/null 2>/dev/null") != 0)
		SKIP("there is no command openssl");
	make_chain();
	make("self.pem", NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *dir = test_dir();

		ROW("%s", rows[i]);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(command, sizeof(command), rows[i], dir, dir, dir);
#pragma GCC diagnostic pop
		CHECK_EQ(system(command), 0);
	}
}

/* What a CA signs does not outlast it. */
TEST(tls_make_within_the_ca)
{
	X509 *ca, *x;

	make("ca.pem",
		&(struct soq_certificate_options){ .ca = true, .lasts_ns = 3600 * SOQ_S });
	make("a.pem",
		&(struct soq_certificate_options){
			.ca_certificate = path("ca.pem"), .from_ns = -7200 * SOQ_S });
	ca = read_certificate("ca.pem");
	x = read_certificate("a.pem");
	CHECK_EQ(ASN1_TIME_compare(X509_get0_notBefore(x), X509_get0_notBefore(ca)), 0);
	CHECK_EQ(ASN1_TIME_compare(X509_get0_notAfter(x), X509_get0_notAfter(ca)), 0);
	X509_free(ca);
	X509_free(x);
}

/* ---- what is refused ---- */

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path(name), "w");

	CHECK(file);
	fputs(text, file);
	fclose(file);
}

/* A key that asks for a password. */
static void write_encrypted_key(const char *from, const char *to)
{
	EVP_PKEY *key = read_key(from);
	FILE *file = fopen(path(to), "w");

	CHECK(PEM_write_PKCS8PrivateKey(file, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL));
	fclose(file);
	EVP_PKEY_free(key);
}

TEST(tls_make_refuses)
{
	const struct {
		struct soq_certificate_options opt;
		int want;
		const char *says;
	} rows[] = {
		{ { .names = "" }, -EINVAL, "names: there is none" },
		{ { .names = "a b..c" }, -EINVAL, "'b..c' is neither a host's name nor" },
		{ { .names = "a,b" }, -EINVAL, "'a,b' is neither" },
		{ { .names = "-- a:80" }, -EINVAL, "'a:80' is neither" },
		{ { .names = "*" }, -EINVAL, "'*' is neither" },
		{ { .names = "*.*.a" }, -EINVAL, "'*.*.a' is neither" },
		{ { .names = "." }, -EINVAL, "'' is neither" },
		{ { .names = "fe80::1%eth0" }, -EINVAL, "'fe80::1%eth0' is neither" },
		{ { .names = "b\303\274cher.example\033[2J" }, -EINVAL,
			"'b\303\274cher.example\\x1B[2J' is neither" },
		{ { .names = "", .ca = true }, -EINVAL, "1 to 64 bytes, and this one has 0" },
		{ { .names = "a\nb", .ca = true }, -EINVAL, "control character" },
		{ { .ca = true, .client = true }, -EINVAL, "a CA's or a client's, not both" },
		{ { .ca_key = "x" }, -EINVAL, "its certificate is not" },
		{ { .rsa_bits = 1024 }, -EINVAL, "1024 bits: 2,048 to 8,192" },
		{ { .lasts_ns = -1 }, -EINVAL, "cannot end before it begins" },
		{ { .ca_certificate = path("none.pem") }, -ENOENT, "No such file" },
		{ { .ca_certificate = path("empty.pem") }, -SOQ_ETLS, "no certificate in it" },
		{ { .ca_certificate = path("leaf.pem") }, -SOQ_ETLS,
			"the certificate of 'CN = localhost' ('" },
		{ { .ca_certificate = path("leaf.pem") }, -SOQ_ETLS,
			"is no CA's, and cannot sign others" },
		{ { .ca_certificate = path("ca.pem"), .ca_key = path("leaf.pem") }, -SOQ_ETLS,
			"does not belong to the key that is given with it" },
		{ { .ca_certificate = path("ca.pem"), .ca_key = path("empty.pem") }, -SOQ_ETLS,
			"no key in it" },
		{ { .ca_certificate = path("ca.pem"), .ca_key = path("locked.pem") }, -SOQ_ETLS,
			"the key is encrypted" },
		{ { .ca_certificate = path("old.pem") }, -SOQ_ETLS,
			"is not valid at the time that is asked for" },
	};
	size_t before;

	make("leaf.pem", NULL);
	make("ca.pem", &(struct soq_certificate_options){ .ca = true });
	make("old.pem",
		&(struct soq_certificate_options){
			.ca = true, .from_ns = -7200 * SOQ_S, .lasts_ns = 3600 * SOQ_S });
	write_file("empty.pem", "nothing\n");
	write_encrypted_key("ca.pem", "locked.pem");
	before = files_in_dir();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%zu: %s", i, rows[i].says);
		CHECK_ERR(soq_make_certificate(path("new.pem"), NULL, &rows[i].opt),
			rows[i].want);
		if (!strstr(soq_last_error(), rows[i].says))
			CHECK_STR(soq_last_error(), rows[i].says);
		CHECK_EQ(files_in_dir(), before);
	}
}

/* ---- files ---- */

static char *content(const char *name)
{
	static char texts[8][65536];
	static unsigned next;
	char *text = texts[next++ % 8];
	FILE *file = fopen(path(name), "r");
	size_t n;

	CHECK(file);
	n = fread(text, 1, sizeof(texts[0]) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

/* What is there stays as it was, and nothing else is there afterwards. */
TEST(tls_make_spares_files)
{
	static const struct {
		const char *certificate, *key;
		int want;
		const char *says;
	} rows[] = {
		{ "a.pem", NULL, -EEXIST, "a.pem': File exists" },
		{ "new.pem", "a.pem", -EEXIST, "a.pem': File exists" },
		{ "a.pem", "new.pem", -EEXIST, "a.pem': File exists" },
		{ "new.pem", "no/a.pem", -ENOENT, "no/a.pem': No such file" },
		{ "no/a.pem", "new.pem", -ENOENT, "no/a.pem': No such file" },
		{ "new.pem", "./new.pem", -EEXIST, "./new.pem': File exists" },
		{ "link", NULL, -EEXIST, "link': File exists" },
		{ "folder", NULL, -EEXIST, "folder': File exists" },
	};

	write_file("a.pem", "mine");
	CHECK_OK(symlink("nowhere", path("link")));
	CHECK_OK(mkdir(path("folder"), 0700));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%s, %s", rows[i].certificate, rows[i].key ? rows[i].key : "the same");
		CHECK_ERR(soq_make_certificate(path(rows[i].certificate),
				  rows[i].key ? path(rows[i].key) : NULL, NULL),
			rows[i].want);
		CHECK(strstr(soq_last_error(), rows[i].says));
		CHECK_EQ(files_in_dir(), 3);
		CHECK_STR(content("a.pem"), "mine");
	}
}

TEST(tls_make_replaces)
{
	const struct soq_certificate_options opt = { .replace = true };
	char *before;

	write_file("a.pem", "old");
	write_file("k.pem", "old");
	CHECK_OK(chmod(path("k.pem"), 0666));
	CHECK_OK(soq_make_certificate(path("a.pem"), path("k.pem"), &opt));
	CHECK_EQ(mode_of("k.pem"), 0600);
	CHECK(strstr(content("a.pem"), "BEGIN CERTIFICATE"));
	CHECK(!strstr(content("a.pem"), "PRIVATE KEY"));
	CHECK(!strstr(content("k.pem"), "CERTIFICATE"));
	before = content("a.pem");
	CHECK_OK(soq_make_certificate(path("a.pem"), path("a.pem"), &opt));
	CHECK(strstr(content("a.pem"), "PRIVATE KEY"));
	CHECK(strcmp(before, content("a.pem")) != 0);
	CHECK_EQ(mode_of("a.pem"), 0600);
	CHECK_OK(soq_make_certificate(path("new.pem"), NULL, &opt));
	CHECK_EQ(files_in_dir(), 3);
}

TEST(tls_make_replaces_no_folder)
{
	const struct soq_certificate_options opt = { .replace = true };

	write_file("a.pem", "old");
	CHECK_OK(mkdir(path("folder"), 0700));
	CHECK_ERR(soq_make_certificate(path("a.pem"), path("folder"), &opt), -EINVAL);
	CHECK_STR(content("a.pem"), "old");
	CHECK_EQ(files_in_dir(), 2);
	CHECK_ERR(soq_make_certificate("/dev/null", NULL, &opt), -EINVAL);
	CHECK_ERR(soq_make_certificate(path("b.pem"), path("./b.pem"), &opt), -EINVAL);
	CHECK(strstr(soq_last_error(), "are the same file"));
}

TEST(tls_make_wants_a_name)
{
	CHECK_ERR(soq_make_certificate(NULL, NULL, NULL), -EINVAL);
	CHECK_STR(
		soq_last_error(), "make certificate: the name of the file to write is missing");
	CHECK_ERR(soq_make_certificate("", NULL, NULL), -EINVAL);
	CHECK_ERR(soq_make_certificate("x", "", NULL), -EINVAL);
}

/* ---- simulated programs ---- */

static int simulated_main(void *arg)
{
	struct soq_certificate_options opt = { .replace = true, .ca = true };
	int64_t before_ns = soq_now();

	(void)arg;
	CHECK_OK(soq_make_certificate(path("ca.pem"), NULL, &opt));
	CHECK(soq_now() > before_ns);
	opt = (struct soq_certificate_options){
		.replace = true, .rsa_bits = RSA_BITS, .ca_certificate = path("ca.pem")
	};
	CHECK_OK(soq_make_certificate(path("a.pem"), NULL, &opt));
	return 0;
}

static void run_world(uint64_t seed)
{
	struct soq_sim_host *host;
	struct soq_sim *sim;

	CHECK_OK(soq_sim_new(&sim, seed, NULL));
	CHECK_OK(soq_sim_host_new(&host, sim, "host", NULL));
	CHECK_OK(soq_sim_spawn(host, simulated_main, NULL));
	CHECK_EQ(soq_sim_run(sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	soq_sim_free(sim);
}

/* One seed makes one key, one serial number, one signature. */
TEST(tls_make_follows_the_seed)
{
	char *first, *first_ca;

	run_world(3);
	first = content("a.pem");
	first_ca = content("ca.pem");
	run_world(3);
	CHECK_STR(content("a.pem"), first);
	CHECK_STR(content("ca.pem"), first_ca);
	run_world(4);
	CHECK(strcmp(content("a.pem"), first) != 0);
	CHECK_EQ(verify("ca.pem", "a.pem", X509_PURPOSE_SSL_SERVER),
		X509_V_ERR_CERT_HAS_EXPIRED);
}
