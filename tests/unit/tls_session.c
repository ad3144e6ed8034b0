/* tls_session.c - how long what was found of a peer's certificate holds for sessions that go
 * back to it, each to the one before. In TLS 1.3, where each meeting brings a ticket for the
 * next: in TLS 1.2 there is no other while it can be used, but when the server's keys change.
 */
#include "unit/tls_config.h"

#define HOUR	   (3600 * SOQ_S)
#define ROUNDS_MAX 100

/* Meet again each hour, which a ticket outlives. @return how often the meeting was a resumed
 * one, until it was not */
static unsigned sim_meet_hourly(struct soq_tls *client, struct soq_tls *server)
{
	unsigned resumed = 0;

	for (; resumed < ROUNDS_MAX; resumed++) {
		CHECK_OK(soq_sleep(HOUR));
		if (!meet(client, server, "localhost").resumed)
			break;
	}
	return resumed;
}

SIM(tls_session_chain_ends_after_a_day)
{
	struct soq_tls *server, *client;

	make_both("localhost");
	server = SERVER();
	client = CLIENT();
	CHECK(!meet(client, server, "localhost").resumed);
	CHECK_EQ(sim_meet_hourly(client, server), 23);
	CHECK_EQ(sim_meet_hourly(client, server), 23);
	done(client, server);
}

SIM(tls_session_chain_ends_with_the_certificate)
{
	struct soq_tls *server, *client;

	make_ca("ca.pem");
	CHECK_OK(soq_make_certificate(path("server.pem"), NULL,
		&(struct soq_certificate_options){
			.ca_certificate = path("ca.pem"), .lasts_ns = 5 * HOUR + HOUR / 2 }));
	server = SERVER();
	client = CLIENT();
	for (int hour = 0; hour <= 5; hour++) {
		ROW("hour %d", hour);
		CHECK_EQ(meet(client, server, "localhost").resumed, hour > 0);
		CHECK_OK(soq_sleep(HOUR));
	}
	CHECK_ERR(meet(client, server, "localhost").client, -SOQ_ETLS);
	done(client, server);
}

/* ---- a client that would go on for ever ---- */

struct forever {
	SSL_CTX *ctx;
	SSL_SESSION *kept; /* of the last connection */
};

static int keep(SSL *ssl, SSL_SESSION *session)
{
	struct forever *f = SSL_get_app_data(ssl);

	SSL_SESSION_free(f->kept);
	f->kept = session;
	return 1;
}

static void forever_open(struct forever *f, const char *certificate)
{
	f->kept = NULL;
	f->ctx = SSL_CTX_new_ex(soq__tls_library(), NULL, TLS_client_method());
	CHECK(f->ctx);
	SSL_CTX_set_session_cache_mode(
		f->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(f->ctx, keep);
	CHECK_EQ(SSL_CTX_use_certificate_file(f->ctx, certificate, SSL_FILETYPE_PEM), 1);
	CHECK_EQ(SSL_CTX_use_PrivateKey_file(f->ctx, certificate, SSL_FILETYPE_PEM), 1);
}

static void forever_close(struct forever *f)
{
	SSL_SESSION_free(f->kept);
	SSL_CTX_free(f->ctx);
}

/* @return whether the server let it resume; -1: the server let it not in */
static int forever_meet(struct forever *f, struct soq_tls *server)
{
	SSL *c = SSL_new(f->ctx), *s = NULL;
	int rc_c = 0, rc_s = 0, resumed;
	BIO *a, *b;

	CHECK(c);
	CHECK_OK(soq__tls_config_ssl(&s, server, true, NULL));
	CHECK(BIO_new_bio_pair(&a, 0, &b, 0));
	SSL_set_bio(c, a, a);
	SSL_set_bio(s, b, b);
	SSL_set_app_data(c, f);
	SSL_set_connect_state(c);
	if (f->kept)
		SSL_set_session(c, f->kept);
	for (int i = 0; i < 10 && (rc_c != 1 || rc_s != 1); i++) {
		rc_c = rc_c == 1 ? 1 : SSL_do_handshake(c);
		rc_s = rc_s == 1 ? 1 : SSL_do_handshake(s);
		ERR_clear_error();
	}
	if (rc_s == 1)
		flow(s, c);
	resumed = rc_s == 1 ? SSL_session_reused(s) : -1;
	/* As if it had ended well: or the session cannot be resumed. */
	SSL_set_shutdown(c, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c);
	SSL_free(s);
	ERR_clear_error();
	return resumed;
}

/* The server counts by itself, and has the client show its certificate again, which may have
 * ended meanwhile. */
SIM(tls_session_server_counts_itself)
{
	struct soq_tls *server;
	struct forever f;

	make_both("localhost");
	CHECK_OK(soq_make_certificate(path("client.pem"), NULL,
		&(struct soq_certificate_options){ .ca_certificate = path("ca.pem"),
			.client = true,
			.lasts_ns = 30 * HOUR + HOUR / 2 }));
	server = SERVER(.ca = path("ca.pem"), .clients = SOQ_TLS_CLIENTS_NEEDED);
	forever_open(&f, path("client.pem"));
	for (int hour = 0; hour < 40; hour++) {
		ROW("hour %d", hour);
		CHECK_EQ(forever_meet(&f, server), hour > 30 ? -1 : hour % 24 != 0);
		CHECK_OK(soq_sleep(HOUR));
	}
	forever_close(&f);
	soq_tls_free(server);
}
