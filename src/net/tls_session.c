/* tls_session.c - what a client keeps of its connections, to resume them.
 *
 * A session is used once, so that an observer cannot tell by it that two connections are the
 * same client's (RFC 8446 appendix C.4); most servers give two, and another for each use. It is
 * kept when the peer has passed all checks, pins and staple too, since a resumed connection
 * shows no certificate to check again. Nor does the one after it, and so on: what was checked
 * once holds for a day, and not beyond the certificate's end.
 *
 * Invariant: the newest is first; no more than SESSIONS_MAX in all, nor SAME_MAX of one name.
 * Source: SSL_CTX_sess_set_new_cb(3), RFC 8446 sections 2.2 and 4.6.1 (the last paragraph, for
 * how long).
 */
#include "net/tls_config.h"
#include <errno.h>
#include <pthread.h>
#include <soquete/time.h>
#include <stdlib.h>
#include <string.h>
#include "base/list.h"

#define SESSIONS_MAX 256
#define SAME_MAX     4 /* of one name: what a server gives out must not displace the others' */
#define PROVEN_S     (24 * 60 * 60)

struct kept {
	struct soq__list node;
	SSL_SESSION *session;
	int64_t at_ns; /* when it came, on the wall clock */
	int64_t proven_s;
	char name[];
};

struct soq__tls_sessions {
	pthread_mutex_t lock;
	struct soq__list list;
	size_t count;
};

/* Of a client's SSL object. */
struct client {
	bool checked;
	int64_t proven_s; /* when the peer last showed its certificate, on the wall clock */
	char name[];
};

struct soq__tls_sessions *soq__tls_sessions_new(void)
{
	struct soq__tls_sessions *sessions = calloc(1, sizeof(*sessions));

	if (!sessions)
		return NULL;
	pthread_mutex_init(&sessions->lock, NULL);
	soq__list_init(&sessions->list);
	return sessions;
}

static void kept_free(struct kept *k)
{
	SSL_SESSION_free(k->session);
	free(k);
}

static void take_off(struct soq__tls_sessions *sessions, struct kept *k)
{
	soq__list_remove(&k->node);
	sessions->count--;
}

void soq__tls_sessions_free(struct soq__tls_sessions *sessions)
{
	struct soq__list *node;

	if (!sessions)
		return;
	while ((node = soq__list_pop(&sessions->list)))
		kept_free(soq__container_of(node, struct kept, node));
	pthread_mutex_destroy(&sessions->lock);
	free(sessions);
}

/* ---- an SSL object's own ---- */

static int client_index;
static pthread_once_t client_once = PTHREAD_ONCE_INIT;

static void client_free(
	void *parent, void *client, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	free(client);
}

static void make_index(void)
{
	client_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, client_free);
}

static struct client *client_of(const SSL *ssl)
{
	pthread_once(&client_once, make_index);
	return SSL_get_ex_data(ssl, client_index);
}

/* ---- keeping ---- */

/* The one that has to go, now that another of @name has come; NULL: there is room. */
static struct kept *superfluous(struct soq__tls_sessions *sessions, const char *name)
{
	size_t same = 0;

	soq__list_for_each (node, &sessions->list) {
		struct kept *k = soq__container_of(node, struct kept, node);

		if (strcmp(k->name, name) == 0 && ++same > SAME_MAX)
			return k;
	}
	if (sessions->count <= SESSIONS_MAX)
		return NULL;
	return soq__container_of(sessions->list.prev, struct kept, node);
}

/* For want of memory it is not kept: the next handshake is a full one. */
static void keep(
	struct soq__tls_sessions *sessions, const struct client *c, SSL_SESSION *session)
{
	size_t len = strlen(c->name) + 1;
	struct kept *k = malloc(sizeof(*k) + len), *former;

	if (!k)
		return;
	memcpy(k->name, c->name, len);
	k->at_ns = soq__tls_wall_clock();
	k->proven_s = c->proven_s;
	/* The connection goes on with the original, perhaps in another thread. */
	k->session = SSL_SESSION_dup(session);
	if (!k->session) {
		free(k);
		return;
	}
	pthread_mutex_lock(&sessions->lock);
	soq__list_prepend(&sessions->list, &k->node);
	sessions->count++;
	former = superfluous(sessions, c->name);
	if (former)
		take_off(sessions, former);
	pthread_mutex_unlock(&sessions->lock);
	if (former)
		kept_free(former);
}

/* @return 0: OpenSSL's reference stays OpenSSL's */
static int session_came(SSL *ssl, SSL_SESSION *session)
{
	const struct client *c = client_of(ssl);

	if (c && c->checked)
		keep(soq__tls_extra(SSL_get_SSL_CTX(ssl))->sessions, c, session);
	return 0;
}

void soq__tls_session_checked(SSL *ssl)
{
	struct client *c = client_of(ssl);
	SSL_SESSION *session = SSL_get_session(ssl);

	if (!c)
		return;
	c->checked = true;
	if (!SSL_session_reused(ssl))
		c->proven_s = soq__tls_wall_clock() / SOQ_S;
	/* In TLS 1.2 it came before the handshake was over, and was not kept then. */
	if (SSL_version(ssl) < TLS1_3_VERSION && SSL_SESSION_is_resumable(session))
		session_came(ssl, session);
}

void soq__tls_sessions_use(SSL_CTX *ctx)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, session_came);
}

/* ---- using ---- */

bool soq__tls_session_is_stale(SSL_SESSION *session, int64_t proven_s)
{
	const X509 *peer = SSL_SESSION_get0_peer(session);
	int64_t now_s = soq__tls_wall_clock() / SOQ_S;

	return now_s < proven_s || now_s - proven_s >= PROVEN_S ||
		(peer && ASN1_TIME_cmp_time_t(X509_get0_notAfter(peer), (time_t)now_s) < 0);
}

/* What a server says of a ticket's life counts, and so does what we say of a session's. */
static bool has_expired(const struct kept *k, int64_t age_s)
{
	int64_t hint = (int64_t)SSL_SESSION_get_ticket_lifetime_hint(k->session);

	return age_s < 0 || age_s >= SSL_SESSION_get_timeout(k->session) ||
		(hint > 0 && age_s >= hint);
}

static struct kept *take(struct soq__tls_sessions *sessions, const char *name)
{
	struct kept *found = NULL;

	pthread_mutex_lock(&sessions->lock);
	soq__list_for_each (node, &sessions->list) {
		struct kept *k = soq__container_of(node, struct kept, node);

		if (strcmp(k->name, name) == 0) {
			take_off(sessions, k);
			found = k;
			break;
		}
	}
	pthread_mutex_unlock(&sessions->lock);
	return found;
}

/* OpenSSL tells the server the age by time(2). A simulated program must not depend on it: its
 * tickets are told to be new, which a server heeds for early data only, and that we never send.
 */
static int64_t told_age_s(int64_t age_s)
{
	const struct soq__worker *w = soq__worker_peek();

	return w && soq__type(w)->simulated ? 0 : age_s;
}

static void offer(SSL *ssl, struct client *c)
{
	struct kept *k = take(soq__tls_extra(SSL_get_SSL_CTX(ssl))->sessions, c->name);
	int64_t age_s;

	if (!k)
		return;
	age_s = (soq__tls_wall_clock() - k->at_ns) / SOQ_S;
	if (!has_expired(k, age_s) && !soq__tls_session_is_stale(k->session, k->proven_s)) {
		c->proven_s = k->proven_s;
		SSL_SESSION_set_time(k->session, (long)(time(NULL) - told_age_s(age_s)));
		SSL_set_session(ssl, k->session);
	}
	kept_free(k);
}

int soq__tls_session_begin(SSL *ssl, const char *name)
{
	size_t len = strlen(name) + 1;
	struct client *c = malloc(sizeof(*c) + len);

	if (!c)
		return -ENOMEM;
	c->checked = false;
	c->proven_s = 0;
	memcpy(c->name, name, len);
	pthread_once(&client_once, make_index);
	if (!SSL_set_ex_data(ssl, client_index, c)) {
		free(c);
		return -ENOMEM;
	}
	offer(ssl, c);
	return 0;
}
