/* tls_context.c - an SSL_CTX by the rules and the files, and what a server chooses by.
 *
 * A client's context and a server's are two. A server with several certificates has a context
 * for each name, of which the first's is every connection's until its client asks for another's
 * name: OpenSSL changes the context then, which costs less than giving the connection another
 * certificate. Certificates of the same names but with different kinds of keys (RSA, P-256)
 * share a context, and OpenSSL takes the one that the client understands.
 *
 * Invariant: a context does not change once it is made.
 * Source: RFC 9325 section 4 (versions, ciphers), RFC 6066 sections 3 and 8 (names, staples),
 * RFC 7301 (ALPN), Mozilla's "intermediate" recommendation 5.7 without finite-field exchange.
 */
#include "net/tls_config.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <soquete/error.h>
#include <soquete/time.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Forward secrecy and authenticated encryption, and nothing else. */
#define CIPHERS                                                      \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define RSA_BITS_FAST 2048
#define SESSION_ID    "soquete"

/* What a server shows to prove that a certificate of its is not revoked. */
struct soq__tls_staple {
	struct soq__tls_staple *next;
	X509 *leaf;
	unsigned char *response;
	size_t len;
	int64_t until_s;
};

/* The context that serves a name; "*.x" serves each a.x. */
struct soq__tls_choice {
	char *name;
	SSL_CTX *ctx; /* owned, unless it is the context that the list belongs to */
	size_t order; /* of two with one name the one that came first is chosen */
};

/* ---- what a context carries ---- */

static int extra_index;
static pthread_once_t extra_once = PTHREAD_ONCE_INIT;

static void staples_free(struct soq__tls_staple *s)
{
	while (s) {
		struct soq__tls_staple *next = s->next;

		X509_free(s->leaf);
		OPENSSL_free(s->response);
		free(s);
		s = next;
	}
}

static void extra_free(
	void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	struct soq__tls_extra *extra = ptr;

	if (!extra)
		return;
	for (size_t i = 0; i < extra->choice_count; i++) {
		if (extra->choices[i].ctx != parent)
			SSL_CTX_free(extra->choices[i].ctx);
		free(extra->choices[i].name);
	}
	free(extra->choices);
	staples_free(extra->staples);
	soq__tls_tickets_free(extra->tickets);
	soq__tls_sessions_free(extra->sessions);
	if (extra->keylog >= 0)
		close(extra->keylog);
	free(extra->alpn);
	free(extra);
}

static void make_index(void)
{
	extra_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, extra_free);
}

struct soq__tls_extra *soq__tls_extra(const SSL_CTX *ctx)
{
	pthread_once(&extra_once, make_index);
	return SSL_CTX_get_ex_data(ctx, extra_index);
}

static struct soq__tls_extra *extra_new(SSL_CTX *ctx)
{
	struct soq__tls_extra *extra = calloc(1, sizeof(*extra));

	if (!extra)
		return NULL;
	extra->keylog = -1;
	pthread_once(&extra_once, make_index);
	if (!SSL_CTX_set_ex_data(ctx, extra_index, extra)) {
		free(extra);
		return NULL;
	}
	return extra;
}

/* ---- what is being made ---- */

struct making {
	const struct soq__tls_rules *rules;
	struct soq__tls_why *why;
	X509_STORE *store; /* whom to trust */
	STACK_OF(X509_NAME) * ca_names;
	struct soq__tls_tickets *tickets;
	bool slow;
};

/* OpenSSL's queue of errors says what is wrong with an option. */
static int refuse(struct making *m, int code, const char *what)
{
	char reason[256];

	soq__tls_explain_queue(reason, sizeof(reason));
	return soq__tls_why(m->why, code, "TLS: %s: %s", what, reason);
}

static int no_memory(struct making *m)
{
	ERR_clear_error();
	return soq__tls_why(m->why, -ENOMEM, "TLS: out of memory");
}

/* ---- versions, ciphers, groups ---- */

static int version_of(enum soq_tls_version version)
{
	return version == SOQ_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

/* Where the system's configuration (config(5)) asks for more than our default, it has it. */
static int set_versions(struct making *m, SSL_CTX *ctx)
{
	const struct soq_tls_options *o = &m->rules->options;
	int low = SSL_CTX_get_min_proto_version(ctx), high = 0;

	if (o->min_version != SOQ_TLS_ANY)
		low = version_of(o->min_version);
	else if (low < TLS1_2_VERSION)
		low = TLS1_2_VERSION;
	if (o->max_version != SOQ_TLS_ANY)
		high = version_of(o->max_version);
	if (!SSL_CTX_set_min_proto_version(ctx, low) ||
		!SSL_CTX_set_max_proto_version(ctx, high))
		return refuse(m, -SOQ_ETLS, "the version asked for is not to be had");
	return 0;
}

/* Whatever the user asks for, a peer without a certificate is nobody. */
static int set_ciphers(struct making *m, SSL_CTX *ctx)
{
	const struct soq_tls_options *o = &m->rules->options;
	char *list;
	int ok;

	if (asprintf(&list, "%s:!aNULL:!eNULL", o->ciphers ? o->ciphers : CIPHERS) < 0)
		return no_memory(m);
	ok = SSL_CTX_set_cipher_list(ctx, list);
	free(list);
	if (!ok)
		return refuse(m, -EINVAL, "ciphers names none that there is");
	if (o->ciphersuites && !SSL_CTX_set_ciphersuites(ctx, o->ciphersuites))
		return refuse(m, -EINVAL, "ciphersuites names one that there is not");
	return 0;
}

/* The first list that this OpenSSL knows: the first group resists quantum computers and is of
 * OpenSSL 3.5; the last list is for systems that allow FIPS 140's only. P-521 and the groups of
 * finite fields cost a server milliseconds whenever an idle client likes. */
static int set_groups(struct making *m, SSL_CTX *ctx)
{
	static const char *const lists[] = { "X25519MLKEM768:X25519:P-256:X448:P-384",
		"X25519:P-256:X448:P-384", "P-256:P-384" };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (SSL_CTX_set1_groups_list(ctx, lists[i])) {
			ERR_clear_error();
			return 0;
		}
	return refuse(m, -SOQ_ETLS, "no group for the key exchange is to be had");
}

/* ---- secrets, for the records to come and for Wireshark ---- */

/* One write a line, at the file's end, so that lines of several programs do not mix. A full
 * disk does not end the connection. */
static void keylog_line(const SSL *ssl, const char *line)
{
	struct iovec parts[] = {
		{ (char *)line, strlen(line) },
		{ (char *)"\n", 1 },
	};
	int fd = soq__tls_extra(SSL_get_SSL_CTX(ssl))->keylog;
	ssize_t n;

	soq__tls_note_secret(ssl, line);
	if (fd < 0)
		return;
	n = writev(fd, parts, 2);
	(void)n;
}

static int open_keylog(struct making *m, SSL_CTX *ctx, struct soq__tls_extra *extra)
{
	const char *path = m->rules->options.keylog;

	SSL_CTX_set_keylog_callback(ctx, keylog_line);
	if (!path)
		return 0;
	extra->keylog = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (extra->keylog < 0 && !m->rules->keylog_optional) {
		int rc = -errno;

		return soq__tls_why(
			m->why, rc, "TLS: the keylog file '%s': %s", path, soq_strerror(rc));
	}
	return 0;
}

/* ---- whom to trust ---- */

static int make_store(struct making *m)
{
	const struct soq__tls_rules *r = m->rules;
	const struct soq_tls_options *o = &r->options;
	bool wants_names = o->clients != SOQ_TLS_CLIENTS_ANY;
	int rc = 0;

	m->store = X509_STORE_new();
	if (!m->store)
		return no_memory(m);
	if (o->ca)
		rc = soq__tls_read_ca(
			m->store, wants_names ? &m->ca_names : NULL, r->library, o->ca, m->why);
	if (rc == 0 && o->crl)
		rc = soq__tls_read_crl(m->store, r->library, o->crl, m->why);
	return rc;
}

bool soq__tls_lacks_trust(const SSL_CTX *ctx)
{
	return atomic_load_explicit(&soq__tls_extra(ctx)->lacks_trust, memory_order_acquire);
}

/* A system without any CA is not ours to mend: nobody will be trusted. */
void soq__tls_load_trust(SSL_CTX *ctx)
{
	struct soq__tls_extra *extra = soq__tls_extra(ctx);

	X509_STORE_set_default_paths_ex(SSL_CTX_get_cert_store(ctx), extra->library, NULL);
	ERR_clear_error();
	atomic_store_explicit(&extra->lacks_trust, false, memory_order_release);
}

/* A server that takes any certificate of a client's takes this. */
static int accept_any(int ok, X509_STORE_CTX *ctx)
{
	return 1;
}

/* RFC 9525 sections 6.3 and 6.4: the alternative names only, and no "w*w.example.com". */
static void set_trust(struct making *m, SSL_CTX *ctx, int verify)
{
	const struct soq_tls_options *o = &m->rules->options;
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	unsigned long flags = X509_V_FLAG_TRUSTED_FIRST;

	SSL_CTX_set1_cert_store(ctx, m->store);
	SSL_CTX_set_info_callback(ctx, soq__tls_first_watch);
	SSL_CTX_set_verify(ctx, verify,
		o->insecure && verify != SSL_VERIFY_NONE ? accept_any : soq__tls_verify_note);
	/* Whatever the user names is trusted, be it a CA that another has signed. */
	if (o->ca)
		flags |= X509_V_FLAG_PARTIAL_CHAIN;
	/* The peer's own certificate: that of a CA is revoked by taking the CA out of the file.
	 */
	if (o->crl)
		flags |= X509_V_FLAG_CRL_CHECK;
	X509_VERIFY_PARAM_set_flags(param, flags);
	X509_VERIFY_PARAM_set_hostflags(param,
		X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
}

/* ---- any context ---- */

static int set_common(struct making *m, SSL_CTX *ctx)
{
	struct soq__tls_extra *extra = extra_new(ctx);
	int rc;

	if (!extra)
		return no_memory(m);
	extra->pinned = m->rules->pin_count > 0;
	extra->insecure = m->rules->options.insecure;
	extra->library = m->rules->library;
	atomic_init(&extra->lacks_trust, !m->rules->options.insecure && !m->rules->options.ca);
	rc = set_versions(m, ctx);
	if (rc == 0)
		rc = set_ciphers(m, ctx);
	if (rc == 0)
		rc = set_groups(m, ctx);
	if (rc == 0)
		rc = open_keylog(m, ctx, extra);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_clear_options(ctx,
		SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_LEGACY_SERVER_CONNECT |
			SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
	/* An idle connection holds no buffers. The chain is the file's: to look for one anew in
	 * each handshake is slow. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_read_ahead(ctx, 1);
	if (m->rules->options.no_resumption)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	return rc;
}

/* Measured with OpenSSL 3.0 on x86-64: P-256 signs in 0.02 ms, RSA of 2,048 bits in 0.25, P-384
 * in 0.8, RSA of 3,072 bits in 1.8, of 4,096 bits in 4.0. */
static bool is_slow_key(const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) > RSA_BITS_FAST;
}

static int show_certificate(
	struct making *m, SSL_CTX *ctx, const struct soq__tls_identity *identity)
{
	if (!SSL_CTX_use_cert_and_key(ctx, identity->leaf, identity->key, identity->chain, 1))
		return refuse(m, -SOQ_ETLS, "the certificate cannot be used");
	m->slow = m->slow || is_slow_key(identity->key);
	return 0;
}

/* ---- a client's context ---- */

static int make_client(
	SSL_CTX **ret, struct making *m, const struct soq__tls_identity *identity)
{
	const struct soq__tls_rules *r = m->rules;
	const struct soq_tls_options *o = &r->options;
	SSL_CTX *ctx = SSL_CTX_new_ex(r->library, NULL, TLS_client_method());
	int rc;

	if (!ctx)
		return no_memory(m);
	*ret = ctx;
	rc = set_common(m, ctx);
	if (rc < 0)
		return rc;
	set_trust(m, ctx, o->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER);
	if (!o->insecure)
		SSL_CTX_set_tlsext_status_type(ctx, TLSEXT_STATUSTYPE_ocsp);
	if (r->alpn && SSL_CTX_set_alpn_protos(ctx, r->alpn, (unsigned)r->alpn_len) != 0)
		return no_memory(m);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (!o->no_resumption) {
		soq__tls_extra(ctx)->sessions = soq__tls_sessions_new();
		if (!soq__tls_extra(ctx)->sessions)
			return no_memory(m);
		soq__tls_sessions_use(ctx);
	}
	return identity ? show_certificate(m, ctx, identity) : 0;
}

/* ---- what a server chooses ---- */

static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
	const unsigned char *theirs, unsigned theirs_len, void *arg)
{
	const struct soq__tls_extra *extra = arg;
	unsigned char *chosen;

	if (SSL_select_next_proto(&chosen, ret_len, extra->alpn, (unsigned)extra->alpn_len,
		    theirs, theirs_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int compare_choice(const void *a, const void *b)
{
	const struct soq__tls_choice *x = a, *y = b;
	int by_name = strcmp(x->name, y->name);

	return by_name ? by_name : (x->order > y->order) - (x->order < y->order);
}

static SSL_CTX *find_choice(const struct soq__tls_extra *extra, const char *name)
{
	size_t low = 0, high = extra->choice_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(extra->choices[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == extra->choice_count || strcmp(extra->choices[low].name, name) != 0)
		return NULL;
	return extra->choices[low].ctx;
}

/* By the very name, then by its first label's being any. */
static SSL_CTX *context_for(const struct soq__tls_extra *extra, const char *asked)
{
	char name[256], *dot;
	size_t n = 0;
	SSL_CTX *ctx;

	for (; n < sizeof(name) - 1 && asked[n]; n++)
		name[n] = (char)tolower((unsigned char)asked[n]);
	name[n] = '\0';
	ctx = find_choice(extra, name);
	dot = strchr(name, '.');
	if (ctx || !dot || dot == name)
		return ctx;
	*--dot = '*';
	return find_choice(extra, dot);
}

/* Always content: a client that asks for what we do not have sees the first certificate, and
 * can judge for itself. */
static int choose_context(SSL *ssl, int *alert, void *arg)
{
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct soq__tls_extra *extra = arg;
	SSL_CTX *ctx = asked && extra->choice_count > 0 ? context_for(extra, asked) : NULL;

	if (ctx && ctx != SSL_get_SSL_CTX(ssl))
		SSL_set_SSL_CTX(ssl, ctx);
	return SSL_TLSEXT_ERR_OK;
}

/* One that is too old would make some clients turn away; without any they go on. */
static int show_staple(SSL *ssl, void *arg)
{
	const X509 *leaf = SSL_get_certificate(ssl);
	const struct soq__tls_staple *s = arg;
	unsigned char *copy;

	for (s = ((const struct soq__tls_extra *)arg)->staples; s && s->leaf != leaf;)
		s = s->next;
	if (!s || soq__tls_wall_clock() / SOQ_S > s->until_s)
		return SSL_TLSEXT_ERR_NOACK;
	copy = OPENSSL_memdup(s->response, s->len);
	if (!copy)
		return SSL_TLSEXT_ERR_NOACK;
	SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)s->len);
	return SSL_TLSEXT_ERR_OK;
}

/* ---- a server's context ---- */

static int verify_mode(enum soq_tls_clients clients)
{
	switch (clients) {
	case SOQ_TLS_CLIENTS_ASKED:
		return SSL_VERIFY_PEER;
	case SOQ_TLS_CLIENTS_NEEDED:
		return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	default:
		return SSL_VERIFY_NONE;
	}
}

static int copy_alpn(struct soq__tls_extra *extra, const struct soq__tls_rules *r)
{
	extra->alpn = malloc(r->alpn_len);
	if (!extra->alpn)
		return -ENOMEM;
	memcpy(extra->alpn, r->alpn, r->alpn_len);
	extra->alpn_len = r->alpn_len;
	return 0;
}

/* A resumed connection shows no certificate whose key could be compared with the pins: where
 * there are any for clients, each handshake is a full one. */
static bool may_resume(const struct soq__tls_rules *r)
{
	return !r->options.no_resumption &&
		(r->options.clients == SOQ_TLS_CLIENTS_ANY || r->pin_count == 0);
}

static int set_server(struct making *m, SSL_CTX *ctx)
{
	const struct soq__tls_rules *r = m->rules;
	struct soq__tls_extra *extra = soq__tls_extra(ctx);

	set_trust(m, ctx, verify_mode(r->options.clients));
	if (m->ca_names)
		SSL_CTX_set_client_CA_list(ctx, SSL_dup_CA_list(m->ca_names));
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_tlsext_servername_callback(ctx, choose_context);
	SSL_CTX_set_tlsext_servername_arg(ctx, extra);
	SSL_CTX_set_tlsext_status_cb(ctx, show_staple);
	SSL_CTX_set_tlsext_status_arg(ctx, extra);
	if (r->alpn) {
		if (copy_alpn(extra, r) < 0)
			return no_memory(m);
		SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, extra);
	}
	/* Clients keep the sessions, in tickets; a server would need memory for each. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (!SSL_CTX_set_session_id_context(
		    ctx, (const unsigned char *)SESSION_ID, sizeof(SESSION_ID) - 1))
		return no_memory(m);
	if (may_resume(r))
		return soq__tls_tickets_use(ctx, m->tickets) ? 0 : no_memory(m);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(ctx, 0);
	return 0;
}

static int add_staple(struct making *m, SSL_CTX *ctx, struct soq__tls_identity *identity)
{
	struct soq__tls_extra *extra = soq__tls_extra(ctx);
	struct soq__tls_staple *s;

	if (!identity->staple)
		return 0;
	s = malloc(sizeof(*s));
	if (!s)
		return no_memory(m);
	*s = (struct soq__tls_staple){ extra->staples, identity->leaf, identity->staple,
		identity->staple_len, identity->staple_until_s };
	X509_up_ref(s->leaf);
	identity->staple = NULL;
	extra->staples = s;
	return 0;
}

/* A certificate of a server, and the context that it went into. */
struct served {
	struct soq__tls_identity identity;
	SSL_CTX *ctx;	/* NULL: not yet */
	bool is_shared; /* with an earlier certificate */
};

/* An earlier certificate's context, if one has the same names and no key of this kind. */
static SSL_CTX *context_to_share(const struct served *list, size_t i)
{
	const struct soq__tls_identity *own = &list[i].identity;
	SSL_CTX *found = NULL;

	for (size_t j = 0; j < i; j++) {
		const struct soq__tls_identity *other = &list[j].identity;

		if (strcmp(other->names, own->names) != 0)
			continue;
		if (EVP_PKEY_get_base_id(other->key) == EVP_PKEY_get_base_id(own->key))
			return NULL;
		found = list[j].ctx;
	}
	return found;
}

static int serve(struct making *m, struct served *list, size_t i)
{
	struct served *s = &list[i];
	int rc = 0;

	s->ctx = context_to_share(list, i);
	s->is_shared = s->ctx != NULL;
	if (!s->ctx) {
		s->ctx = SSL_CTX_new_ex(m->rules->library, NULL, TLS_server_method());
		if (!s->ctx)
			return no_memory(m);
		rc = set_common(m, s->ctx);
		if (rc == 0)
			rc = set_server(m, s->ctx);
	}
	if (rc == 0)
		rc = show_certificate(m, s->ctx, &s->identity);
	return rc < 0 ? rc : add_staple(m, s->ctx, &s->identity);
}

static int add_choice(struct soq__tls_extra *extra, const char *name, size_t len, SSL_CTX *ctx)
{
	struct soq__tls_choice *choices =
		realloc(extra->choices, (extra->choice_count + 1) * sizeof(*choices));

	if (!choices)
		return -ENOMEM;
	extra->choices = choices;
	choices += extra->choice_count;
	*choices = (struct soq__tls_choice){ strndup(name, len), ctx, extra->choice_count };
	if (!choices->name)
		return -ENOMEM;
	extra->choice_count++;
	return 0;
}

/* Which names lead to which context: the first's, that knows it, is no owner of itself. */
static int list_choices(struct making *m, const struct served *list, size_t count)
{
	struct soq__tls_extra *extra = soq__tls_extra(list[0].ctx);

	for (size_t i = 0; i < count; i++) {
		const char *name = list[i].identity.names, *end;

		for (; !list[i].is_shared && (end = strchr(name, '\n')); name = end + 1) {
			if (add_choice(extra, name, (size_t)(end - name), list[i].ctx) < 0)
				return no_memory(m);
			if (list[i].ctx != list[0].ctx)
				SSL_CTX_up_ref(list[i].ctx);
		}
	}
	if (extra->choice_count > 0)
		qsort(extra->choices, extra->choice_count, sizeof(*extra->choices),
			compare_choice);
	return 0;
}

/* ---- both ---- */

static int make_from(struct soq__tls_contexts *ret, struct making *m,
	const struct soq__tls_files *files, struct served *list, size_t count)
{
	int rc = make_store(m);

	for (size_t i = 0; i < count && rc == 0; i++) {
		rc = soq__tls_identity_read(
			&list[i].identity, m->rules->library, &files[i], m->why);
		if (rc == 0)
			rc = serve(m, list, i);
	}
	if (rc == 0 && count > 1)
		rc = list_choices(m, list, count);
	if (rc == 0)
		rc = make_client(&ret->client, m, count > 0 ? &list[0].identity : NULL);
	ret->slow = m->slow;
	return rc;
}

int soq__tls_contexts_make(struct soq__tls_contexts *ret, const struct soq__tls_rules *rules,
	const struct soq__tls_files *files, size_t count, struct soq__tls_tickets *tickets,
	struct soq__tls_why *why)
{
	struct making m = { .rules = rules, .why = why, .tickets = tickets };
	struct served *list = calloc(count + 1, sizeof(*list));
	int rc;

	*ret = (struct soq__tls_contexts){ 0 };
	rc = list ? make_from(ret, &m, files, list, count) : no_memory(&m);
	for (size_t i = 0; list && i < count; i++) {
		soq__tls_identity_done(&list[i].identity);
		/* The first context is the result; it owns the others. */
		if (i == 0)
			ret->server = list[i].ctx;
		else if (!list[i].is_shared)
			SSL_CTX_free(list[i].ctx);
	}
	free(list);
	X509_STORE_free(m.store);
	sk_X509_NAME_pop_free(m.ca_names, X509_NAME_free);
	if (rc < 0)
		soq__tls_contexts_done(ret);
	return rc;
}

void soq__tls_contexts_done(struct soq__tls_contexts *contexts)
{
	SSL_CTX_free(contexts->client);
	SSL_CTX_free(contexts->server);
	*contexts = (struct soq__tls_contexts){ 0 };
}
