/* tls_handshakes.c - handshakes that are slow, that are cut short, that meet somebody who does
 * not speak TLS, or that a fiber has little room for.
 */
#include "contract/fault.h"
#include "contract/tls_peer.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A listener with TLS, a client that is connected in clear, and the server's end of it. */
struct meeting {
	struct link l;
	struct link_tls t;
	struct soq_listener *listener;
};

static void meeting_open_with(struct meeting *m, struct link_tls t)
{
	struct soq_listen_options opt = { .tls = t.server };

	m->t = t;
	CHECK_OK(soq_listen(&m->listener, "tcp://127.0.0.1:0", &opt));
	m->l.near = client_new(m->listener);
	CHECK_OK(soq_accept(&m->l.far, m->listener));
}

static void meeting_open(struct meeting *m, enum soq_tls_version version)
{
	meeting_open_with(m, link_tls_new(version));
}

static void meeting_close(struct meeting *m)
{
	link_close(&m->l);
	soq_listener_close(m->listener);
	link_tls_free(&m->t);
}

static const enum soq_tls_version versions[] = { SOQ_TLS_1_3, SOQ_TLS_1_2 };

/* ---- slow ones ---- */

/* What passes on one side of a wire, to be sent on byte by byte. */
struct relay {
	struct soq_stream *from, *to;
};

static void relay_main(void *arg)
{
	struct relay *r = arg;
	char byte;

	while (soq_recv(r->from, &byte, 1) == 1)
		CHECK_EQ(soq_send(r->to, &byte, 1), 1);
	soq_shutdown(r->to);
}

static void serve_echo(void *arg)
{
	char buf[5];

	CHECK_OK(soq_handshake(arg));
	CHECK_EQ(soq_recv_full(arg, buf, 5), 5);
	CHECK_EQ(soq_send(arg, buf, 5), 5);
	CHECK_OK(soq_shutdown(arg));
}

/* Every byte of both flights comes by itself. */
CONTRACT(tls_handshake_byte_by_byte)
{
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct soq_scope *scope = scope_open();
		struct relay there, back;
		struct soq_stream *pair[2];
		struct meeting m;
		char buf[8];

		ROW("version %zu", i);
		meeting_open(&m, versions[i]);
		CHECK_OK(soq_pair(pair));
		there = (struct relay){ pair[1], m.l.near };
		back = (struct relay){ m.l.near, pair[1] };
		go(scope, relay_main, &there);
		go(scope, relay_main, &back);
		go(scope, serve_echo, m.l.far);
		CHECK_OK(soq_start_tls(pair[0], m.t.client, "localhost"));
		CHECK_EQ(soq_send_text(pair[0], "hello"), 5);
		CHECK_EQ(soq_recv_full(pair[0], buf, 5), 5);
		CHECK_EQ(soq_recv(pair[0], buf, 5), 0);
		CHECK_OK(soq_shutdown(pair[0]));
		scope_join(scope);
		soq_close(pair[0]);
		soq_close(pair[1]);
		meeting_close(&m);
	}
}

/* Time is over in mid-handshake; another call goes on from there. */
static void handshake_with_deadlines(void *arg)
{
	int rc;

	do {
		int64_t former = soq_deadline(soq_now() + 20 * SOQ_US);

		rc = soq_handshake(arg);
		soq_deadline_restore(former);
		CHECK(rc == 0 || rc == -ETIMEDOUT);
		CHECK_OK(soq_yield());
	} while (rc < 0);
}

CONTRACT(tls_handshake_in_pieces)
{
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct soq_scope *scope = scope_open();
		struct meeting m;

		ROW("version %zu", i);
		meeting_open(&m, versions[i]);
		go(scope, handshake_with_deadlines, m.l.far);
		CHECK_OK(soq_start_tls(m.l.near, m.t.client, "localhost"));
		CHECK_EQ(soq_send_text(m.l.near, "x"), 1);
		CHECK_EQ(soq_recv(m.l.far, (char[1]){ 0 }, 1), 1);
		scope_join(scope);
		meeting_close(&m);
	}
}

/* Whoever is silent, server or client: the handshake's own time is over, for good. */
static void silent_peer(bool server)
{
	struct soq_tls_options opt = { .insecure = true, .handshake_timeout_ns = 5 * SOQ_MS };
	char file[256];
	struct soq_stream *pair[2];
	struct soq_tls *tls;
	int64_t began_ns, took_ns;

	snprintf(file, sizeof(file), "%s/certificate.pem", test_dir());
	CHECK_OK(soq_make_certificate(
		file, NULL, &(struct soq_certificate_options){ .replace = true }));
	opt.certificate = file;
	CHECK_OK(soq_tls_new(&tls, &opt));
	CHECK_OK(soq_pair(pair));
	began_ns = soq_now();
	CHECK_ERR(server ? soq_start_tls_server(pair[0], tls)
			 : soq_start_tls(pair[0], tls, "localhost"),
		-ETIMEDOUT);
	took_ns = soq_now() - began_ns;
	CHECK(took_ns >= 5 * SOQ_MS);
	if (test_is_simulated())
		CHECK(took_ns <= 5 * SOQ_MS + 100 * SOQ_US);
	CHECK(strstr(soq_last_error(), "did not finish the TLS handshake in time"));
	CHECK_ERR(soq_send_text(pair[0], "x"), -ETIMEDOUT);
	CHECK_ERR(soq_recv(pair[0], (char[1]){ 0 }, 1), -ETIMEDOUT);
	soq_close(pair[0]);
	soq_close(pair[1]);
	soq_tls_free(tls);
}

CONTRACT(tls_handshake_silent_peer)
{
	silent_peer(true);
	silent_peer(false);
}

/* ---- cut short ---- */

struct attempt {
	struct soq_stream *stream;
	struct soq_tls *tls;
	int rc;
};

static void attempt_client(void *arg)
{
	struct attempt *a = arg;

	a->rc = soq_start_tls(a->stream, a->tls, "localhost");
}

static void attempt_server(void *arg)
{
	struct attempt *a = arg;

	a->rc = soq_handshake(a->stream);
}

/* A cancelled scope ends handshakes on both sides. */
CONTRACT(tls_handshake_cancelled)
{
	struct soq_scope *scope = scope_open();
	struct attempt client, server;
	struct soq_stream *pair[2];
	struct meeting m;

	meeting_open(&m, SOQ_TLS_ANY);
	CHECK_OK(soq_pair(pair));
	client = (struct attempt){ .stream = pair[0], .tls = m.t.client };
	server = (struct attempt){ .stream = m.l.far };
	go(scope, attempt_client, &client);
	go(scope, attempt_server, &server);
	soq_scope_close(scope);
	CHECK_ERR(client.rc, -ECANCELED);
	CHECK_ERR(server.rc, -ECANCELED);
	soq_close(pair[0]);
	soq_close(pair[1]);
	meeting_close(&m);
}

/* The peer leaves after so many bytes of its first flight, with an end or by a reset. */
CONTRACT(tls_handshake_peer_leaves)
{
	static const size_t cuts[] = { 0, 1, 5, 6, 100 };

	for (size_t i = 0; i < COUNT(cuts) * 2; i++) {
		struct peer p;
		char flight[4096];
		int rc;

		ROW("%s after %zu bytes", i % 2 ? "reset" : "end", cuts[i / 2]);
		peer_open(&p, &(struct soq_tls_options){ 0 });
		CHECK_EQ(SSL_do_handshake(p.ssl), -1);
		CHECK(peer_said(&p, flight, sizeof(flight)) > 100);
		if (cuts[i / 2] > 0)
			CHECK_EQ(soq_send(p.l.near, flight, cuts[i / 2]), cuts[i / 2]);
		if (i % 2)
			stream_reset(p.l.near);
		else
			soq_close(p.l.near);
		p.l.near = NULL;
		rc = soq_handshake(p.l.far);
		CHECK(rc == -ECONNRESET ||
			(i % 2 == 0 && (rc == -SOQ_ETRUNCATED || rc == -SOQ_ETLS)));
		CHECK(*soq_last_error());
		CHECK_ERR(soq_handshake(p.l.far), rc);
		peer_close(&p);
	}
}

/* ---- somebody who does not speak TLS ---- */

CONTRACT(tls_handshake_server_meets_strangers)
{
	static const struct {
		const char *said;
		size_t len;
		const char *words;
		bool told;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n\r\n", 18, "HTTP request", false },
		{ "EHLO client.example\r\n", 21, "does not speak TLS", false },
		{ "\0\0\0\0\0\0\0\0\0\0\0", 11, "TLS", false },
		{ "\x16\3\1\xff\xff\1\1\1\1\1\1", 11, "", true },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct meeting m;
		unsigned char alert[7];
		ssize_t n;

		ROW("row %zu", i);
		meeting_open(&m, SOQ_TLS_ANY);
		CHECK_EQ(soq_send(m.l.near, rows[i].said, rows[i].len), rows[i].len);
		CHECK_ERR(soq_handshake(m.l.far), -SOQ_ETLS);
		CHECK(strstr(soq_last_error(), rows[i].words));
		CHECK(strstr(soq_last_error(), "127.0.0.1"));
		/* Who might speak TLS is told, in clear: a fatal alert. */
		if (rows[i].told) {
			CHECK_EQ(soq_recv_full(m.l.near, alert, sizeof(alert)), sizeof(alert));
			CHECK_EQ(alert[0], 21);
			CHECK_EQ(alert[5], 2);
		}
		soq_close(m.l.far);
		m.l.far = NULL;
		n = soq_recv(m.l.near, alert, sizeof(alert));
		CHECK(n == 0 || n == -ECONNRESET);
		meeting_close(&m);
	}
}

CONTRACT(tls_handshake_client_meets_strangers)
{
	static const char *const rows[] = { "220 ready\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n" };

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct link_tls t = link_tls_new(SOQ_TLS_ANY);
		struct soq_stream *pair[2];

		ROW("%s", rows[i]);
		CHECK_OK(soq_pair(pair));
		CHECK_OK(soq_send_text(pair[1], "greeting in clear\r\n"));
		CHECK_OK(soq_recv_line(pair[0], (char[64]){ 0 }, 64));
		CHECK_OK(soq_send_text(pair[1], rows[i]));
		CHECK_ERR(soq_start_tls(pair[0], t.client, "localhost"), -SOQ_ETLS);
		CHECK(strstr(soq_last_error(), "does not speak TLS"));
		CHECK(strstr(soq_last_error(), "localhost"));
		soq_close(pair[0]);
		soq_close(pair[1]);
		link_tls_free(&t);
	}
}

/* ---- wrong calls ---- */

CONTRACT(tls_handshake_wrong_calls)
{
	struct link_tls t = link_tls_new(SOQ_TLS_ANY);
	struct soq_tls_info info;
	struct link l;

	link_open(&l, PAIR);
	CHECK_OK(soq_handshake(l.near)); /* there is none to wait for */
	CHECK_ERR(soq_tls_info(l.near, &info), -ENOTCONN);
	CHECK_ERR(soq_start_tls(l.near, t.client, NULL), -EINVAL);
	CHECK(strstr(soq_last_error(), "name"));
	CHECK_ERR(soq_start_tls_server(l.near, t.client), -EINVAL);
	CHECK(strstr(soq_last_error(), "certificate"));
	CHECK_ERR(soq_start_tls_server(l.near, NULL), -EINVAL);
	/* None of them has done harm. */
	CHECK_EQ(soq_send_text(l.near, "clear"), 5);
	CHECK_EQ(soq_recv_full(l.far, (char[5]){ 0 }, 5), 5);
	link_close(&l);

	link_open(&l, TLS13);
	CHECK_ERR(soq_start_tls(l.near, t.client, "localhost"), -EALREADY);
	CHECK_ERR(soq_start_tls_server(l.far, t.server), -EALREADY);
	CHECK_ERR(soq_detach(l.near), -EOPNOTSUPP);
	CHECK_EQ(soq_send_text(l.near, "safe"), 4);
	CHECK_EQ(soq_recv_full(l.far, (char[4]){ 0 }, 4), 4);
	link_close(&l);
	link_tls_free(&t);
}

/* ---- little room, little time ---- */

/* OpenSSL needs more of a stack than some fibers have. */
CONTRACT(tls_handshake_on_small_stacks)
{
	CHECK_OK(soq_set_stack_size(32 * 1024));
	for (size_t i = 0; i < COUNT(versions); i++) {
		struct attempt client, server;
		struct soq_scope *scope = scope_open();
		struct meeting m;

		ROW("version %zu", i);
		meeting_open(&m, versions[i]);
		client = (struct attempt){ .stream = m.l.near, .tls = m.t.client };
		server = (struct attempt){ .stream = m.l.far };
		CHECK_OK(soq_spawn(scope, attempt_client, &client));
		CHECK_OK(soq_spawn(scope, attempt_server, &server));
		scope_join(scope);
		CHECK_OK(client.rc);
		CHECK_OK(server.rc);
		meeting_close(&m);
	}
}

static void count_turns(void *arg)
{
	unsigned *turns = arg;

	while (soq_yield() == 0)
		++*turns;
}

/* Signing with a long key takes milliseconds: others run meanwhile. */
CONTRACT_KERNEL(tls_handshake_with_a_long_key, "signing takes no time on a simulated host")
{
	static const struct soq_certificate_options made = { .rsa_bits = 4096,
		.replace = true };
	struct soq_scope *scope = scope_open(), *counting = scope_open();
	struct attempt client, server;
	unsigned turns = 0, before;
	struct link_tls t;
	struct meeting m;
	char file[256];

	snprintf(file, sizeof(file), "%s/long.pem", test_dir());
	CHECK_OK(soq_make_certificate(file, NULL, &made));
	CHECK_OK(soq_tls_new(&t.server, &(struct soq_tls_options){ .certificate = file }));
	CHECK_OK(soq_tls_new(&t.client, &(struct soq_tls_options){ .ca = file }));
	meeting_open_with(&m, t);
	client = (struct attempt){ .stream = m.l.near, .tls = t.client };
	server = (struct attempt){ .stream = m.l.far, .rc = -EINPROGRESS };
	go(scope, attempt_client, &client);
	go(counting, count_turns, &turns);
	before = turns;
	attempt_server(&server);
	CHECK(turns > before + 20);
	soq_scope_close(counting);
	scope_join(scope);
	CHECK_OK(client.rc);
	CHECK_OK(server.rc);
	meeting_close(&m);
}

/* Many at once, each as a client and a server of this thread. */
CONTRACT(tls_handshake_crowd)
{
	unsigned count = test_scale(100);
	struct attempt *attempts = calloc(count, 2 * sizeof(*attempts));
	struct soq_scope *scope = scope_open();
	struct meeting m;

	CHECK(attempts);
	meeting_open(&m, SOQ_TLS_ANY);
	for (unsigned i = 0; i < count; i++) {
		struct attempt *client = &attempts[2 * i], *server = client + 1;

		client->tls = m.t.client;
		client->stream = client_new(m.listener);
		CHECK_OK(soq_accept(&server->stream, m.listener));
	}
	for (unsigned i = 0; i < 2 * count; i++)
		CHECK_OK(soq_spawn(
			scope, i % 2 ? attempt_server : attempt_client, &attempts[i]));
	scope_join(scope);
	for (unsigned i = 0; i < 2 * count; i++) {
		CHECK_OK(attempts[i].rc);
		soq_close(attempts[i].stream);
	}
	free(attempts);
	meeting_close(&m);
}

/* ---- renegotiation ---- */

/* A client of TLS 1.2 asks for another handshake: it is refused, and the connection goes on or
 * ends with a sentence; nothing hangs. */
CONTRACT(tls_handshake_renegotiation_refused)
{
	struct peer p;
	char buf[8];
	ssize_t n;

	peer_open(&p, &(struct soq_tls_options){ .max_version = SOQ_TLS_1_2 });
	peer_handshake(&p);
	CHECK_EQ(SSL_renegotiate(p.ssl), 1);
	SSL_do_handshake(p.ssl);
	peer_flush(&p);
	CHECK_OK(soq_shutdown(p.l.near));
	n = soq_recv(p.l.far, buf, sizeof(buf));
	CHECK(n == -SOQ_ETLS || n == -SOQ_ETRUNCATED);
	CHECK(*soq_last_error());
	/* It is told: a warning, no_renegotiation. */
	while (SSL_read(p.ssl, buf, sizeof(buf)) <= 0 && ERR_peek_last_error() == 0)
		CHECK(peer_hear(&p) > 0);
	CHECK(ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_NO_RENEGOTIATION ||
		ERR_GET_REASON(ERR_peek_last_error()) ==
			SSL_AD_REASON_OFFSET + SSL_AD_NO_RENEGOTIATION);
	ERR_clear_error();
	peer_close(&p);
}

/* ---- an engine that fails ---- */

static struct link_tls fault_tls;

static void fault_serve(void *arg)
{
	struct attempt *a = arg;
	char buf[8];
	ssize_t n;

	a->rc = soq_handshake(a->stream);
	n = a->rc < 0 ? a->rc : soq_recv_full(a->stream, buf, 4);
	if (n == 4)
		n = soq_send(a->stream, buf, 4);
	a->rc = n < 0 ? (int)n : soq_finish(a->stream);
	if (n < 0)
		soq_close(a->stream);
}

static int fault_visit(struct soq_stream *s)
{
	char buf[8];
	int rc = soq_start_tls(s, fault_tls.client, "localhost");
	ssize_t n = rc < 0 ? rc : soq_send_text(s, "ping");

	if (n == 4)
		n = soq_recv_full(s, buf, 4);
	if (n < 4) {
		soq_close(s);
		return n < 0 ? (int)n : -EPROTO;
	}
	return soq_finish(s);
}

/* Both ends of one connection, an operation of which fails. */
static int fault_meet(void)
{
	struct soq_stream *pair[2];
	struct attempt server = { .rc = 0 };
	struct soq_scope *scope;
	int rc = soq_pair(pair), server_rc;

	if (rc < 0)
		return rc;
	server.stream = pair[1];
	rc = soq__tls_begin(
		pair[1], &(struct soq__tls_begin){ .tls = fault_tls.server, .server = true });
	CHECK_OK(rc);
	scope = scope_open();
	CHECK_OK(soq_spawn(scope, fault_serve, &server));
	rc = fault_visit(pair[0]);
	soq_scope_wait(scope);
	server_rc = server.rc;
	soq_scope_close(scope);
	return rc < 0 ? rc : server_rc;
}

/* A peer that has lost a message waits no longer than this. */
static struct link_tls impatient_tls(enum soq_tls_version version)
{
	struct link_tls t = link_tls_new(version);
	struct soq_tls_options server = { .handshake_timeout_ns = 20 * SOQ_MS,
		.max_version = version };
	struct soq_tls_options client = { .handshake_timeout_ns = 20 * SOQ_MS };
	char file[256];

	link_tls_free(&t);
	snprintf(file, sizeof(file), "%s/certificate.pem", test_dir());
	server.certificate = client.ca = file;
	CHECK_OK(soq_tls_new(&t.server, &server));
	CHECK_OK(soq_tls_new(&t.client, &client));
	return t;
}

CONTRACT(tls_handshake_fault_sweep)
{
	for (size_t i = 0; i < COUNT(versions); i++) {
		fault_tls = impatient_tls(versions[i]);
		fault_sweep(fault_meet);
		link_tls_free(&fault_tls);
	}
}
