/* tls_config.c - struct soq_tls: a configuration, which any number of streams and threads use.
 *
 * The contexts are replaced as a whole when files are read again; a connection keeps the one it
 * began with, since OpenSSL counts who uses it.
 *
 * Invariant: `contexts` are whole, and read and replaced under the lock; the list of files is
 * changed by whoever holds `changing`, a fiber's lock, which is held while files are read.
 */
#include "net/tls_config.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <soquete/error.h>
#include <soquete/fiber.h>
#include <soquete/sync.h>
#include <soquete/time.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "fiber/last_error.h"
#include "net/dns.h"

#define NAME_SIZE 256 /* of the longest name, with its NUL */

struct soq_tls {
	atomic_uint refs;
	struct soq__tls_rules rules; /* this and the next do not change */
	bool can_serve;
	struct soq_mutex *changing;
	struct soq__tls_files *files;
	size_t file_count;
	pthread_mutex_t lock;
	struct soq__tls_contexts contexts;
	struct soq__tls_tickets *tickets;
	atomic_bool slow;
};

int64_t soq__tls_wall_clock(void)
{
	const struct soq__worker *w = soq__worker_peek();
	struct timespec now;

	if (w)
		return soq__type(w)->wall_clock(w->engine);
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * SOQ_S + now.tv_nsec;
}

/* ---- life ---- */

static void files_done(struct soq__tls_files *files)
{
	free(files->certificate);
	free(files->key);
	free(files->staple);
}

static int files_init(struct soq__tls_files *ret, const char *certificate, const char *key,
	const char *staple)
{
	ret->certificate = strdup(certificate);
	ret->key = key ? strdup(key) : NULL;
	ret->staple = staple ? strdup(staple) : NULL;
	if (ret->certificate && !ret->key == !key && !ret->staple == !staple)
		return 0;
	files_done(ret);
	return -ENOMEM;
}

static void tls_free(struct soq_tls *tls)
{
	for (size_t i = 0; i < tls->file_count; i++)
		files_done(&tls->files[i]);
	free(tls->files);
	soq__tls_contexts_done(&tls->contexts);
	soq__tls_tickets_free(tls->tickets);
	soq__tls_rules_done(&tls->rules);
	soq_mutex_free(tls->changing);
	pthread_mutex_destroy(&tls->lock);
	free(tls);
}

void soq_tls_free(struct soq_tls *tls)
{
	if (tls && atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) == 1)
		tls_free(tls);
}

struct soq_tls *soq__tls_ref(struct soq_tls *tls)
{
	if (tls)
		atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
	return tls;
}

/* ---- reading files ---- */

struct reading {
	const struct soq_tls *tls;
	const struct soq__tls_files *files;
	size_t count;
	struct soq__tls_tickets *tickets;
	struct soq__tls_contexts contexts;
	struct soq__tls_why why;
	int rc;
};

static void read_run(void *arg)
{
	struct reading *r = arg;

	ERR_clear_error();
	r->rc = soq__tls_contexts_make(
		&r->contexts, &r->tls->rules, r->files, r->count, r->tickets, &r->why);
	ERR_clear_error();
}

/* What was made takes the place of what was. */
static void replace(struct soq_tls *tls, struct reading *r)
{
	struct soq__tls_contexts former;

	pthread_mutex_lock(&tls->lock);
	former = tls->contexts;
	tls->contexts = r->contexts;
	pthread_mutex_unlock(&tls->lock);
	atomic_store(&tls->slow, r->contexts.slow);
	soq__tls_contexts_done(&former);
}

/* Make contexts by a list of files, and take them if all is well. Suspends.
 * @return 0; a negative code and a sentence */
static int apply(struct soq_tls *tls, const struct soq__tls_files *files, size_t count)
{
	struct reading r = { .tls = tls, .files = files, .count = count };
	bool is_new = !tls->tickets;
	int rc;

	/* A ticket of a client whose certificate was checked by the former CAs and lists of
	 * revoked ones must not spare it the new ones. */
	if (is_new || tls->rules.options.clients != SOQ_TLS_CLIENTS_ANY)
		r.tickets = soq__tls_tickets_new(tls->rules.library);
	else
		r.tickets = soq__tls_tickets_ref(tls->tickets);
	if (!r.tickets)
		return soq__fail(-ENOMEM, "TLS: out of memory");
	rc = soq_offload(read_run, &r);
	if (rc < 0)
		soq__fail(rc, "TLS: the files of certificates were not read: %s",
			soq_strerror(rc));
	else if (r.rc < 0)
		rc = soq__fail(r.rc, "%s", r.why.text);
	if (rc == 0) {
		replace(tls, &r);
		soq__tls_tickets_free(tls->tickets);
		tls->tickets = r.tickets;
	} else {
		soq__tls_tickets_free(r.tickets);
	}
	return rc;
}

static int tls_init(struct soq_tls *tls, const struct soq_tls_options *opt)
{
	int rc = soq__tls_rules_init(&tls->rules, opt);

	if (rc == 0)
		rc = soq_mutex_new(&tls->changing);
	if (rc == 0 && opt->certificate) {
		tls->files = malloc(sizeof(*tls->files));
		rc = tls->files
			? files_init(tls->files, opt->certificate, opt->key, opt->staple)
			: -ENOMEM;
		tls->file_count = rc == 0;
		tls->can_serve = true;
	}
	return rc < 0 ? rc : apply(tls, tls->files, tls->file_count);
}

int soq_tls_new(struct soq_tls **ret, const struct soq_tls_options *opt)
{
	static const struct soq_tls_options defaults;
	struct soq_tls *tls = calloc(1, sizeof(*tls));
	int rc;

	if (!tls)
		return -ENOMEM;
	atomic_init(&tls->refs, 1);
	pthread_mutex_init(&tls->lock, NULL);
	rc = tls_init(tls, opt ? opt : &defaults);
	if (rc < 0) {
		tls_free(tls);
		return rc;
	}
	*ret = tls;
	return 0;
}

int soq_tls_reload(struct soq_tls *tls)
{
	int rc = soq_mutex_lock(tls->changing);

	if (rc < 0)
		return rc;
	rc = apply(tls, tls->files, tls->file_count);
	soq_mutex_unlock(tls->changing);
	return rc;
}

/* One more at the list's end, which is there only if all of it can be read. */
static int add_files(
	struct soq_tls *tls, const char *certificate, const char *key, const char *staple)
{
	struct soq__tls_files *files =
		realloc(tls->files, (tls->file_count + 1) * sizeof(*files));
	int rc;

	if (!files)
		return -ENOMEM;
	tls->files = files;
	rc = files_init(&files[tls->file_count], certificate, key, staple);
	if (rc < 0)
		return rc;
	rc = apply(tls, files, tls->file_count + 1);
	if (rc < 0)
		files_done(&files[tls->file_count]);
	else
		tls->file_count++;
	return rc;
}

int soq_tls_add_certificate(
	struct soq_tls *tls, const char *certificate, const char *key, const char *staple)
{
	int rc;

	if (!certificate)
		return soq__fail(-EINVAL, "TLS: the certificate to add has no file's name");
	rc = soq_mutex_lock(tls->changing);
	if (rc < 0)
		return rc;
	if (tls->file_count == 0)
		rc = soq__fail(-EINVAL,
			"TLS: a certificate can be added to a server's configuration only: "
			"this one "
			"has no first certificate");
	else
		rc = add_files(tls, certificate, key, staple);
	soq_mutex_unlock(tls->changing);
	return rc;
}

/* ---- asking ---- */

bool soq__tls_can_serve(const struct soq_tls *tls)
{
	return tls && tls->can_serve;
}

bool soq__tls_config_is_nameless(const struct soq_tls *tls)
{
	return tls->rules.options.insecure || tls->rules.pin_count > 0;
}

int64_t soq__tls_config_handshake_timeout(const struct soq_tls *tls)
{
	return tls->rules.options.handshake_timeout_ns;
}

bool soq__tls_config_is_slow(const struct soq_tls *tls)
{
	return atomic_load_explicit(&tls->slow, memory_order_relaxed);
}

const struct soq__tls_rules *soq__tls_config_rules(const struct soq_tls *tls)
{
	return &tls->rules;
}

/* ---- SSL objects ---- */

/* In ASCII (RFC 5891), as the DNS and certificates have it. */
static int to_ascii(char name[NAME_SIZE])
{
	char ascii[NAME_SIZE];
	const char *why = "this build knows names in ASCII only";
	int rc = 0;

	for (const char *p = name; *p && rc == 0; p++)
		rc = *p & 0x80;
	if (rc == 0)
		return 0;
	rc = soq__idna(ascii, sizeof(ascii), name, &why);
	if (rc < 0)
		return soq__fail(-EINVAL, "TLS: '%s' cannot be a host's name: %s", name, why);
	memcpy(name, ascii, sizeof(ascii));
	return 0;
}

static bool is_address(const char *name)
{
	struct in6_addr addr;

	return inet_pton(AF_INET, name, &addr) == 1 || inet_pton(AF_INET6, name, &addr) == 1;
}

/* The name as it is asked for and as certificates have it: without the root's dot, and without
 * the zone of an address. */
static int plain_name(char buf[NAME_SIZE], const char *name)
{
	size_t n = strcspn(name, "%");
	int rc;

	if (n > 1 && name[n - 1] == '.')
		n--;
	if (n == 0 || n >= NAME_SIZE)
		return soq__fail(-EINVAL, "TLS: the name to check is %s",
			n ? "longer than any name" : "empty");
	memcpy(buf, name, n);
	buf[n] = '\0';
	rc = to_ascii(buf);
	/* X509_check_host(3) takes a name with a dot before it for every host below, and what
	 * is no address has no zone: the part before it is another's name. */
	if (rc == 0 && (buf[0] == '.' || (strchr(name, '%') && !is_address(buf))))
		rc = soq__fail(-EINVAL, "TLS: '%s' cannot be a host's name", name);
	return rc;
}

/* Whom to check for, and, unless it is an address (RFC 6066 section 3), to ask for. */
static int set_name(SSL *ssl, const char *name, bool is_checked)
{
	bool ok = true;

	if (is_address(name))
		ok = !is_checked || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
	else
		ok = SSL_set_tlsext_host_name(ssl, name) &&
			(!is_checked || SSL_set1_host(ssl, name));
	ERR_clear_error();
	return ok ? 0 : soq__fail(-EINVAL, "TLS: '%s' cannot be a host's name", name);
}

static int client_begin(SSL *ssl, const struct soq_tls *tls, const char *name)
{
	char plain[NAME_SIZE];
	int rc;

	if (!name)
		return 0;
	rc = plain_name(plain, name);
	if (rc == 0)
		rc = set_name(ssl, plain, !tls->rules.options.insecure);
	if (rc == 0 && !tls->rules.options.no_resumption)
		rc = soq__tls_session_begin(ssl, plain);
	return rc;
}

/* One more owner of the context as it is now. */
static SSL_CTX *context_now(struct soq_tls *tls, bool server)
{
	SSL_CTX *ctx;

	pthread_mutex_lock(&tls->lock);
	ctx = server ? tls->contexts.server : tls->contexts.client;
	if (ctx)
		SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&tls->lock);
	return ctx;
}

static void load_run(void *arg)
{
	soq__tls_load_trust(arg);
}

/* Suspends, for the first client of a context. */
static int load_trust(struct soq_tls *tls, SSL_CTX *ctx)
{
	int rc = 0;

	if (!soq__tls_lacks_trust(ctx))
		return 0;
	rc = soq_mutex_lock(tls->changing);
	if (rc == 0) {
		if (soq__tls_lacks_trust(ctx))
			rc = soq_offload(load_run, ctx);
		soq_mutex_unlock(tls->changing);
	}
	if (rc < 0)
		soq__fail(rc, "TLS: the system's certificates were not read: %s",
			soq_strerror(rc));
	return rc;
}

static int new_ssl(SSL **ret, struct soq_tls *tls, bool server)
{
	SSL_CTX *ctx = context_now(tls, server);
	int rc = 0;

	if (!ctx)
		return soq__fail(-EINVAL, "TLS: a server needs a certificate and its key");
	if (!server)
		rc = load_trust(tls, ctx);
	if (rc == 0) {
		ERR_clear_error();
		*ret = SSL_new(ctx);
		if (!*ret)
			rc = soq__fail(-ENOMEM, "TLS: out of memory");
		ERR_clear_error();
	}
	SSL_CTX_free(ctx);
	return rc;
}

int soq__tls_config_ssl(SSL **ret, struct soq_tls *tls, bool server, const char *name)
{
	SSL *ssl = NULL;
	int rc = new_ssl(&ssl, tls, server);

	if (rc < 0)
		return rc;
	X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), soq__tls_wall_clock() / SOQ_S);
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	if (!server)
		rc = client_begin(ssl, tls, name);
	if (rc < 0) {
		SSL_free(ssl);
		return rc;
	}
	*ret = ssl;
	return 0;
}

/* ---- the configuration of those who have none ---- */

static pthread_mutex_t default_lock = PTHREAD_MUTEX_INITIALIZER;
static struct soq_tls *default_tls;

/* The first that is made is everybody's. @return one owner more */
static struct soq_tls *share_default(struct soq_tls *made)
{
	struct soq_tls *tls;

	pthread_mutex_lock(&default_lock);
	if (!default_tls)
		default_tls = soq__tls_ref(made);
	tls = soq__tls_ref(default_tls);
	pthread_mutex_unlock(&default_lock);
	soq_tls_free(made);
	return tls; /* NOLINT(clang-analyzer-unix.Malloc): it has an owner more than was given
		       up */
}

static void worker_tls_free(void *tls)
{
	soq_tls_free(tls);
}

/* In a simulated program each worker has its own: what one run remembers of servers must not
 * change the next. */
static int simulated_default(struct soq_tls **ret)
{
	struct soq__worker *w = soq__worker();
	struct soq_tls *made;
	int rc;

	if (!w->tls) {
		rc = soq_tls_new(&made, NULL);
		if (rc < 0)
			return rc;
		/* Another fiber may have been here meanwhile. */
		if (w->tls)
			soq_tls_free(made);
		else
			w->tls = made;
		w->tls_free = worker_tls_free;
	}
	*ret = soq__tls_ref(w->tls);
	return 0;
}

int soq__tls_config_default(struct soq_tls **ret)
{
	struct soq_tls *tls;
	int rc;

	if (soq__type(soq__worker())->simulated)
		return simulated_default(ret);
	tls = share_default(NULL);
	if (!tls) {
		rc = soq_tls_new(&tls, NULL);
		if (rc < 0)
			return rc;
		tls = share_default(tls);
	}
	*ret = tls;
	return 0;
}
