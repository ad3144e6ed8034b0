/* sources: src/net/ares_idna.c src/net/names_text.c src/net/tls_check.c src/net/tls_config.c
 * src/net/tls_context.c src/net/tls_explain.c src/net/tls_first.c src/net/tls_files.c
 * src/net/tls_make.c src/net/tls_random.c src/net/tls_rules.c src/net/tls_save.c
 * src/net/tls_session.c src/net/tls_text.c src/net/tls_ticket.c src/net/tls_verify.c
 * src/base/error.c libraries: openssl libidn2 */
/* tls_handshake.c - a peer that says what it likes, to a client or a server as a configuration
 * makes them.
 *
 * The first byte chooses the part that is tested, and what it and its peer are like. Then come
 * either the peer's bytes; or changes to those of a peer that is real, one for each four bytes:
 * where, what to do there, and a byte to do it with. So what OpenSSL checks by arithmetic is
 * passed, and what comes after it is reached. Chance and time are the same in each run.
 *
 * What must hold: it ends; after a failure there is a sentence without anything that moves a
 * cursor, a code that is declared for it, and nothing in OpenSSL's queue; data comes out only
 * of a handshake that is complete.
 */
#include "fiber/last_error.h"
#include "net/tls_openssl.h"

#include <errno.h>
#include <openssl/err.h>
#include <soquete/error.h>
#include <soquete/fiber.h>
#include <soquete/sync.h>
#include <soquete/time.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_NS	   (1700000000 * SOQ_S)
#define ROUNDS_MAX 64

/* Bits of the first byte. */
enum {
	TEST_SERVER = 1, /* the part that is tested; else a client */
	REAL_PEER = 2,	 /* what follows are changes to what it says */
	OLD = 4,	 /* TLS 1.2 */
	CLIENT_CERT = 8, /* asked for, and there is one */
	RESUMED = 16,	 /* the connection is the second of two */
	STRANGER = 32,	 /* the peer is not one that is trusted */
	BYTEWISE = 64,	 /* the bytes come one by one */
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* ---- in the place of fibers and an engine ---- */

/* Each end has numbers of its own, so that what the one draws does not depend on the other. */
static uint64_t drawn[2];
static bool server_draws;

static int draw(struct soq__engine *e, void *buf, size_t len)
{
	unsigned char *p = buf;

	(void)e;
	for (size_t i = 0; i < len; i++) {
		uint64_t z = (drawn[server_draws]++ << 1 | server_draws) * 0x9e3779b97f4a7c15u;

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		p[i] = (unsigned char)(z >> 56);
	}
	return 0;
}

static int64_t wall_clock(struct soq__engine *e)
{
	(void)e;
	return NOW_NS;
}

static const struct soq__engine_type type = {
	.name = "fuzz", .simulated = true, .random = draw, .wall_clock = wall_clock
};
static struct soq__engine engine = { .type = &type };
static struct soq__worker worker = { .engine = &engine };

struct soq__worker *soq__worker(void)
{
	return &worker;
}

struct soq__worker *soq__worker_peek(void)
{
	return &worker;
}

int64_t soq_wall_clock(void)
{
	return NOW_NS;
}

int soq_offload(void (*fn)(void *), void *arg)
{
	fn(arg);
	return 0;
}

/* None of it is to happen here: it is shown when the run is aborted. */
int soq__fail(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	return code;
}

/* The secrets are for the records after the handshake, which are another's. */
void soq__tls_note_secret(const SSL *ssl, const char *line)
{
	(void)ssl;
	(void)line;
}

/* Nobody else is there. */
static char mutex;

int soq_mutex_new(struct soq_mutex **ret)
{
	*ret = (struct soq_mutex *)&mutex;
	return 0;
}

int soq_mutex_lock(struct soq_mutex *m)
{
	(void)m;
	return 0;
}

int soq_mutex_unlock(struct soq_mutex *m)
{
	(void)m;
	return 0;
}

void soq_mutex_free(struct soq_mutex *m)
{
	(void)m;
}

/* ---- certificates, made once ---- */

static struct {
	char dir[64];
	char ca[80], server[80], client[80], strange[80];
} files;

static void remove_files(void)
{
	unlink(files.ca);
	unlink(files.server);
	unlink(files.client);
	unlink(files.strange);
	rmdir(files.dir);
}

static void make(char path[80], const char *name, const struct soq_certificate_options *opt)
{
	snprintf(path, 80, "%s/%s", files.dir, name);
	require(soq_make_certificate(path, NULL, opt) == 0);
}

static void make_files(void)
{
	struct soq_certificate_options opt = { .ca = true };

	if (files.dir[0])
		return;
	strcpy(files.dir, "/tmp/soquete-fuzz-tls.XXXXXX");
	require(mkdtemp(files.dir) != NULL);
	atexit(remove_files);
	make(files.ca, "ca", &opt);
	opt = (struct soq_certificate_options){ .names = "a.example",
		.ca_certificate = files.ca };
	make(files.server, "server", &opt);
	opt.client = true;
	make(files.client, "client", &opt);
	make(files.strange, "strange",
		&(struct soq_certificate_options){ .names = "a.example" });
}

/* ---- two ends ---- */

struct end {
	SSL *ssl;
	struct soq_tls *tls;
	bool server;
	bool failed;
};

/* @is_peer  of the end that is tested */
static struct soq_tls_options options_of(unsigned mode, bool server, bool is_peer)
{
	bool is_strange = is_peer && (mode & STRANGER);
	struct soq_tls_options opt = { .alpn = "h2 http/1.1" };

	opt.max_version = mode & OLD ? SOQ_TLS_1_2 : SOQ_TLS_ANY;
	opt.no_resumption = !(mode & RESUMED);
	/* The peer finds no fault, so that it is the tested end that has to. */
	opt.insecure = is_peer && !server;
	opt.ca = opt.insecure ? NULL : files.ca;
	if (server)
		opt.certificate = is_strange ? files.strange : files.server;
	else if (mode & CLIENT_CERT)
		opt.certificate = is_strange ? files.strange : files.client;
	if (server && (mode & CLIENT_CERT))
		opt.clients = SOQ_TLS_CLIENTS_ASKED;
	return opt;
}

static void end_open(struct end *e, unsigned mode, bool server, bool is_peer)
{
	struct soq_tls_options opt = options_of(mode, server, is_peer);

	*e = (struct end){ .server = server };
	server_draws = server;
	require(soq_tls_new(&e->tls, &opt) == 0);
}

static void end_connect(struct end *e)
{
	server_draws = e->server;
	require(soq__tls_config_ssl(
			&e->ssl, e->tls, e->server, e->server ? NULL : "a.example") == 0);
	SSL_set_bio(e->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	e->failed = false;
}

static void end_close(struct end *e)
{
	SSL_free(e->ssl);
	soq_tls_free(e->tls);
}

static void check_sentence(const char *text, int code)
{
	require(code == -SOQ_ECERTIFICATE || code == -SOQ_ETRUNCATED || code == -SOQ_ETLS ||
		code == -ENOMEM);
	require(*text);
	for (; *text; text++)
		require((unsigned char)*text >= ' ' && *text != 0x7f);
	require(ERR_peek_error() == 0);
}

/* Go on as far as one can, as a stream does. */
static void step(struct end *e)
{
	char buf[256], text[1024];
	int n;

	if (e->failed)
		return;
	server_draws = e->server;
	ERR_clear_error();
	do {
		n = SSL_read(e->ssl, buf, sizeof(buf));
		require(n <= 0 || SSL_is_init_finished(e->ssl));
	} while (n > 0);
	if (SSL_is_init_finished(e->ssl))
		soq__tls_check(text, sizeof(text), e->tls, e->ssl, e->server);
	if (SSL_get_error(e->ssl, n) == SSL_ERROR_WANT_READ)
		return;
	e->failed = true;
	if (SSL_get_error(e->ssl, n) != SSL_ERROR_ZERO_RETURN)
		check_sentence(text,
			soq__tls_explain(text, sizeof(text), e->ssl, e->server,
				e->server ? NULL : "a.example"));
	ERR_clear_error();
}

static void feed(struct end *e, const uint8_t *bytes, size_t len, bool bytewise)
{
	while (len > 0) {
		size_t n = bytewise ? 1 : len;

		require(BIO_write(SSL_get_rbio(e->ssl), bytes, (int)n) == (int)n);
		bytes += n;
		len -= n;
		if (bytewise || len == 0)
			step(e);
	}
}

/* ---- changes ---- */

/* What is done to the peer's bytes, in the order of the input. */
struct changes {
	const uint8_t *at; /* four bytes each: where (16 bits), what, with what */
	size_t count;
	size_t passed; /* bytes so far */
};

static bool change_at(const struct changes *c, size_t offset, uint8_t ret[2])
{
	for (size_t i = 0; i < c->count; i++) {
		const uint8_t *p = c->at + 4 * i;

		if ((size_t)(p[0] << 8 | p[1]) == offset) {
			memcpy(ret, p + 2, 2);
			return true;
		}
	}
	return false;
}

/* @out  room for twice @len. @return how many bytes there are now */
static size_t apply(struct changes *c, const uint8_t *bytes, size_t len, uint8_t *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		uint8_t change[2] = { 0, 0 };
		bool any = change_at(c, c->passed + i, change);

		if (any && change[0] % 4 == 1)
			continue; /* left out */
		if (any && change[0] % 4 == 2)
			out[n++] = change[1]; /* one more */
		if (any && change[0] % 4 == 3)
			out[n++] = change[1]; /* another */
		else
			out[n++] = bytes[i] ^ change[1] * (any && change[0] % 4 == 0);
	}
	c->passed += len;
	return n;
}

static size_t take(struct end *e, uint8_t *buf, size_t room)
{
	int n = BIO_read(SSL_get_wbio(e->ssl), buf, (int)room);

	return n > 0 ? (size_t)n : 0;
}

/* @c  NULL: nothing is changed */
static void converse(struct end *tested, struct end *peer, struct changes *c, bool bytewise)
{
	uint8_t buf[4096], changed[8192];
	size_t n, m = 1;

	step(tested);
	step(peer);
	for (unsigned i = 0; i < ROUNDS_MAX && m > 0; i++) {
		n = m = take(tested, buf, sizeof(buf));
		feed(peer, buf, n, false);
		n = take(peer, buf, sizeof(buf));
		m += n;
		if (c)
			feed(tested, changed, apply(c, buf, n, changed), bytewise);
		else
			feed(tested, buf, n, bytewise);
	}
}

/* ---- a run ---- */

/* Whoever is not trusted does not come in, whatever is changed; and all goes well where nothing
 * is. */
static void check_outcome(const struct end *tested, unsigned mode, bool is_changed)
{
	bool is_stranger = (mode & STRANGER) && (!tested->server || (mode & CLIENT_CERT));

	require(!is_stranger || !SSL_is_init_finished(tested->ssl));
	if (is_stranger || is_changed || (mode & STRANGER))
		return;
	require(SSL_is_init_finished(tested->ssl) && !tested->failed);
	require(SSL_session_reused(tested->ssl) == !!(mode & RESUMED));
}

static void run_against_real(const uint8_t *data, size_t size, unsigned mode)
{
	struct changes changes = { .at = data, .count = size / 4 };
	bool server = mode & TEST_SERVER, bytewise = mode & BYTEWISE;
	struct end tested, peer;

	end_open(&tested, mode, server, false);
	end_open(&peer, mode, !server, true);
	end_connect(&tested);
	end_connect(&peer);
	if (mode & RESUMED) {
		converse(&tested, &peer, NULL, false);
		SSL_shutdown(tested.ssl);
		SSL_free(tested.ssl);
		SSL_free(peer.ssl);
		end_connect(&tested);
		end_connect(&peer);
	}
	converse(&tested, &peer, &changes, bytewise);
	check_outcome(&tested, mode, changes.count > 0);
	end_close(&tested);
	end_close(&peer);
}

static void run_alone(const uint8_t *data, size_t size, unsigned mode)
{
	struct end tested;

	end_open(&tested, mode, mode & TEST_SERVER, false);
	end_connect(&tested);
	step(&tested);
	feed(&tested, data, size, mode & BYTEWISE);
	BIO_set_mem_eof_return(SSL_get_rbio(tested.ssl), 0);
	step(&tested);
	end_close(&tested);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > 16384)
		return 0;
	make_files();
	drawn[0] = drawn[1] = 0;
	if (data[0] & REAL_PEER)
		run_against_real(data + 1, size - 1, data[0]);
	else
		run_alone(data + 1, size - 1, data[0]);
	return 0;
}
