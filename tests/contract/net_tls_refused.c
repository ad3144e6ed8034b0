/* net_tls_refused.c - handshakes that come to nothing: what is said of them, and what is left.
 */
#include "contract/net.h"
#include "sim/aborts.h"

#define NO_PIN "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

/* Connected: a client in clear, and whom a listener with TLS has accepted. */
struct pair {
	struct link_tls tls;
	struct link l;
};

static void pair_open(struct pair *p)
{
	struct soq_listen_options opt = { 0 };
	struct soq_listener *listener;

	if (!have_tls())
		SKIP("this build has no TLS");
	p->tls = link_tls_new(SOQ_TLS_ANY);
	opt.tls = p->tls.server;
	CHECK_OK(soq_listen(&listener, "tcp://127.0.0.1:0", &opt));
	p->l.near = client_new(listener);
	CHECK_OK(soq_accept(&p->l.far, listener));
	soq_listener_close(listener);
}

static void pair_close(struct pair *p)
{
	link_close(&p->l);
	link_tls_free(&p->tls);
}

static void shake(void *arg)
{
	soq_handshake(arg);
}

/* Its CA is trusted, and its key is none of those that are pinned: nothing is to be learnt of
 * such a peer, least of all that it was found good. */
CONTRACT(tls_refused_is_not_told_about)
{
	struct soq_scope *scope = scope_open();
	struct soq_tls_info info;
	struct soq_tls *pinned;
	struct pair p;
	char ca[256];

	pair_open(&p);
	snprintf(ca, sizeof(ca), "%s/certificate.pem", test_dir());
	CHECK_OK(soq_tls_new(&pinned, &(struct soq_tls_options){ .ca = ca, .pins = NO_PIN }));
	go(scope, shake, p.l.far);
	CHECK_ERR(soq_start_tls(p.l.near, pinned, "localhost"), -SOQ_ECERTIFICATE);
	CHECK_ERR(soq_tls_info(p.l.near, &info), -ENOTCONN);
	CHECK_ERR(soq_handshake(p.l.near), -SOQ_ECERTIFICATE);
	CHECK_ERR(soq_recv(p.l.near, ca, sizeof(ca)), -SOQ_ECERTIFICATE);
	CHECK_ERR(soq_send(p.l.near, ca, sizeof(ca)), -SOQ_ECERTIFICATE);
	scope_join(scope);
	CHECK_OK(soq_tls_info(p.l.far, &info));
	soq_tls_free(pinned);
	pair_close(&p);
}

struct ending {
	struct soq_stream *stream;
	int result;
};

static void begin_tls(void *arg)
{
	struct ending *e = arg;
	struct soq_tls *tls;

	CHECK_OK(soq_tls_new(&tls, &(struct soq_tls_options){ .insecure = true }));
	e->result = soq_start_tls(e->stream, tls, "localhost");
	soq_finish(e->stream);
	soq_tls_free(tls);
}

/* Who has had enough before the handshake does not begin one in order to end. */
CONTRACT(tls_refused_by_an_end)
{
	struct soq_scope *scope = scope_open();
	struct ending client;
	struct pair p;

	pair_open(&p);
	client = (struct ending){ .stream = p.l.near };
	go(scope, begin_tls, &client);
	CHECK_OK(soq_finish(p.l.far));
	scope_join(scope);
	CHECK_ERR(client.result, -SOQ_ETLS);
	link_tls_free(&p.tls);
}

/* Something else has gone wrong before. */
static void forget_last_error(void)
{
	struct soq_endpoint e;

	CHECK(soq_endpoint_parse(&e, "nonsense://") < 0);
	CHECK(strstr(soq_last_error(), "nonsense"));
}

static void check_sentence(const char *part)
{
	ROW("'%s' in: %s", part, soq_last_error());
	CHECK(strstr(soq_last_error(), "127.0.0.1"));
	CHECK(strstr(soq_last_error(), part));
}

/* Whatever keeps a handshake from its end is told in a sentence. */
CONTRACT(tls_refused_in_a_sentence)
{
	struct pair p;

	pair_open(&p);
	soq_set_recv_timeout(p.l.far, SOQ_MS);
	forget_last_error();
	CHECK_ERR(soq_handshake(p.l.far), -ETIMEDOUT);
	check_sentence(soq_strerror(-ETIMEDOUT));
	stream_reset(p.l.near);
	soq_set_recv_timeout(p.l.far, SOQ_NEVER);
	forget_last_error();
	CHECK_ERR(soq_handshake(p.l.far), -ECONNRESET);
	check_sentence(soq_strerror(-ECONNRESET));
	CHECK_ERR(soq_handshake(p.l.far), -ECONNRESET);
	p.l.near = NULL;
	pair_close(&p);
}

/* The peer has said why, and is gone: what is to be sent finds no taker. */
CONTRACT_KERNEL(
	tls_refused_by_an_alert_before_a_reset, "in the model a reset takes all with it")
{
	static const unsigned char alert[] = { 21, 3, 3, 0, 2, 2, 40 };
	struct soq_listener *listener;
	struct link_tls t;
	struct link l;

	if (!have_tls())
		SKIP("this build has no TLS");
	t = link_tls_new(SOQ_TLS_ANY);
	CHECK_OK(soq_listen(&listener, "tcp://127.0.0.1:0", NULL));
	l.near = client_new(listener);
	CHECK_OK(soq_accept(&l.far, listener));
	CHECK_EQ(soq_send(l.far, alert, sizeof(alert)), sizeof(alert));
	CHECK_OK(soq_wait_readable(l.near));
	stream_reset(l.far);
	CHECK_ERR(soq_start_tls(l.near, t.client, "localhost"), -SOQ_ETLS);
	check_sentence("handshake_failure");
	soq_close(l.near);

	l.near = client_new(listener);
	CHECK_OK(soq_accept(&l.far, listener));
	stream_reset(l.far);
	forget_last_error();
	CHECK_ERR(soq_start_tls(l.near, t.client, "localhost"), -ECONNRESET);
	check_sentence(soq_strerror(-ECONNRESET));
	soq_close(l.near);
	soq_listener_close(listener);
	link_tls_free(&t);
}

static void end_in_handshake(void (*end)(struct soq_stream *s))
{
	struct soq_scope *scope = scope_open();
	struct pair p;

	pair_open(&p);
	go(scope, shake, p.l.far);
	CHECK_OK(soq_yield());
	end(p.l.far);
}

static void finish(struct soq_stream *s)
{
	soq_finish(s);
}

static void close_in_handshake(void)
{
	end_in_handshake(soq_close);
}

static void finish_in_handshake(void)
{
	end_in_handshake(finish);
}

/* It would go on in memory that is another's. */
CONTRACT_KERNEL(tls_refused_close_in_a_handshake, "processes cannot share a simulated world")
{
	if (!have_tls())
		SKIP("this build has no TLS");
	check_aborts(close_in_handshake, (const char *const[]){ "soq__tls_is_shaking", NULL });
	check_aborts(finish_in_handshake, (const char *const[]){ "soq__tls_is_shaking", NULL });
}
