/* tls_random.c - with one seed, a simulated program's TLS is the same byte for byte: keys,
 * signatures, salts, tickets; in any order of worlds, in another process, at another time.
 */
#include "test.h"
#include "net/tls_openssl.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/rsa.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The clock of OpenSSL's time(NULL), moved to see that nothing depends on it. */
static time_t moved_s;

time_t time(time_t *ret)
{
	struct timespec now;
	time_t s;

	clock_gettime(CLOCK_REALTIME, &now);
	s = now.tv_sec + moved_s;
	if (ret)
		*ret = s;
	return s;
}

/* What a handshake is made of, and the digest of every byte of both sides. */
struct flow {
	bool rsa, tls_1_2;
	const char *groups;
	unsigned char digest[32];
	size_t bytes;
};

static EVP_PKEY *make_key(OSSL_LIB_CTX *library, bool rsa)
{
	EVP_PKEY *key = rsa ? EVP_PKEY_Q_keygen(library, NULL, "RSA", (size_t)2048)
			    : EVP_PKEY_Q_keygen(library, NULL, "EC", "P-256");

	CHECK(key);
	return key;
}

static X509 *make_certificate(OSSL_LIB_CTX *library, EVP_PKEY *key)
{
	X509 *x = X509_new_ex(library, NULL);

	CHECK(X509_set_version(x, X509_VERSION_3));
	CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), 1));
	CHECK(ASN1_TIME_set_string(X509_getm_notBefore(x), "20200101000000Z"));
	CHECK(ASN1_TIME_set_string(X509_getm_notAfter(x), "20400101000000Z"));
	CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
		(const unsigned char *)"a.example", -1, -1, 0));
	CHECK(X509_set_issuer_name(x, X509_get_subject_name(x)));
	CHECK(X509_set_pubkey(x, key));
	CHECK(X509_sign(x, key, EVP_sha256()));
	return x;
}

/* A ticket says when it was given out: at an instant of the test's. */
static int date_ticket(SSL *ssl, void *arg)
{
	(void)arg;
	return SSL_SESSION_set_time(SSL_get_session(ssl), 1000000000) > 0;
}

static SSL *make_side(const struct flow *flow, bool server)
{
	OSSL_LIB_CTX *library = soq__tls_library();
	SSL_CTX *ctx = SSL_CTX_new_ex(library, NULL, TLS_method());
	EVP_PKEY *key;
	X509 *x;
	SSL *ssl;

	CHECK(library && ctx);
	CHECK(SSL_CTX_set1_groups_list(ctx, flow->groups));
	CHECK(SSL_CTX_set_max_proto_version(ctx, flow->tls_1_2 ? TLS1_2_VERSION : 0));
	if (server) {
		key = make_key(library, flow->rsa);
		x = make_certificate(library, key);
		CHECK(SSL_CTX_use_certificate(ctx, x));
		CHECK(SSL_CTX_use_PrivateKey(ctx, key));
		CHECK(SSL_CTX_set_session_ticket_cb(ctx, date_ticket, NULL, NULL));
		X509_free(x);
		EVP_PKEY_free(key);
	}
	ssl = SSL_new(ctx);
	CHECK(ssl);
	SSL_CTX_free(ctx);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return ssl;
}

/* Give one side's bytes to the other, and add them to the digest. */
static bool pass(SSL *from, SSL *to, EVP_MD_CTX *digest, size_t *bytes)
{
	unsigned char buf[4096];
	bool any = false;
	int n;

	while ((n = BIO_read(SSL_get_wbio(from), buf, sizeof(buf))) > 0) {
		CHECK(EVP_DigestUpdate(digest, buf, (size_t)n));
		CHECK_EQ(BIO_write(SSL_get_rbio(to), buf, n), n);
		*bytes += (size_t)n;
		any = true;
	}
	return any;
}

static int shake_hands(void *arg)
{
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	struct flow *flow = arg;
	SSL *server = make_side(flow, true), *client = make_side(flow, false);
	char byte;

	CHECK(EVP_DigestInit(digest, EVP_sha256()));
	flow->bytes = 0;
	SSL_do_handshake(client);
	while (pass(client, server, digest, &flow->bytes) |
		pass(server, client, digest, &flow->bytes)) {
		SSL_do_handshake(server);
		SSL_do_handshake(client);
		SSL_read(client, &byte, 1); /* tickets come after the handshake */
	}
	CHECK(SSL_is_init_finished(client) && SSL_is_init_finished(server));
	CHECK(SSL_SESSION_has_ticket(SSL_get_session(client)));
	CHECK(EVP_DigestFinal(digest, flow->digest, NULL));
	EVP_MD_CTX_free(digest);
	SSL_free(server);
	SSL_free(client);
	return 0;
}

static void run(uint64_t seed, soq_sim_main *program, void *arg)
{
	struct soq_sim_host *host;
	struct soq_sim *sim;

	CHECK_OK(soq_sim_new(&sim, seed, NULL));
	CHECK_OK(soq_sim_host_new(&host, sim, "host", NULL));
	CHECK_OK(soq_sim_spawn(host, program, arg));
	CHECK_EQ(soq_sim_run(sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	soq_sim_free(sim);
}

/* The same in a process that has run other worlds before. */
static void run_elsewhere(uint64_t seed, struct flow *flow)
{
	struct flow other = { .groups = "X25519" };
	int fds[2], status;
	pid_t child;

	CHECK_OK(pipe(fds));
	child = (pid_t)CHECK_OK(fork());
	if (child == 0) {
		run(seed + 2, shake_hands, &other);
		run(seed + 1, shake_hands, &other);
		run(seed, shake_hands, flow);
		_exit(write(fds[1], flow, sizeof(*flow)) != sizeof(*flow));
	}
	CHECK_EQ(read(fds[0], flow, sizeof(*flow)), sizeof(*flow));
	CHECK_OK(waitpid(child, &status, 0));
	CHECK_EQ(status, 0);
	close(fds[0]);
	close(fds[1]);
}

TEST(tls_random_handshake_follows_the_seed)
{
	static const struct flow rows[] = {
		{ .groups = "X25519" },
		{ .groups = "P-256" },
		{ .groups = "X25519:P-256", .rsa = true },
		{ .groups = "P-256", .tls_1_2 = true },
		{ .groups = "X25519", .tls_1_2 = true, .rsa = true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct flow first = rows[i], again = first, later = first, elsewhere = first,
			    other = first;

		ROW("row %zu", i);
		/* To make an RSA key takes too long there. */
		if (first.rsa && test_is_emulated())
			continue;
		run(7, shake_hands, &first);
		CHECK(first.bytes > 1000);
		run(7, shake_hands, &again);
		CHECK_MEM(first.digest, again.digest, sizeof(first.digest));
		moved_s += 100000;
		run(7, shake_hands, &later);
		CHECK_MEM(first.digest, later.digest, sizeof(first.digest));
		run_elsewhere(7, &elsewhere);
		CHECK_MEM(first.digest, elsewhere.digest, sizeof(first.digest));
		run(8, shake_hands, &other);
		CHECK(memcmp(first.digest, other.digest, sizeof(first.digest)) != 0);
	}
}

/* What others stir in, and what was drawn before, is not in what is drawn: only the world is.
 */
static int draw(void *arg)
{
	unsigned char drawn[100], twice[200], engine[200];
	static const char salt[] = "salt";

	(void)arg;
	RAND_add(salt, sizeof(salt), sizeof(salt));
	CHECK_EQ(RAND_bytes_ex(soq__tls_library(), drawn, sizeof(drawn), 0), 1);
	CHECK_EQ(RAND_priv_bytes_ex(soq__tls_library(), twice, sizeof(twice), 256), 1);
	CHECK_OK(soq_random(engine, sizeof(engine)));
	CHECK(memcmp(twice, engine, sizeof(engine)) != 0);
	memcpy(arg, twice, sizeof(twice));
	return 0;
}

TEST(tls_random_is_the_engines)
{
	unsigned char first[200], again[200];

	run(1, draw, first);
	run(2, draw, again);
	CHECK(memcmp(first, again, sizeof(first)) != 0);
	run(1, draw, again);
	CHECK_MEM(first, again, sizeof(first));
}

/* Real programs have OpenSSL's own context, as their users may have configured it. */
TEST(tls_random_real_is_openssls)
{
	CHECK_OK(soq_engine_select("epoll"));
	CHECK(!soq__tls_library());
	CHECK_OK(soq_yield());
	CHECK(!soq__tls_library());
}
