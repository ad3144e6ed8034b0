/* tls_records.c - records of TLS 1.3 after the handshake, where a server goes on without
 * OpenSSL's object: what a good client and what a bad one sends.
 *
 * Source: RFC 8446 sections 4.6.3, 5 and 6.
 */
#include "contract/tls_peer.h"

enum {
	UNEXPECTED_MESSAGE = 10,
	BAD_RECORD_MAC = 20,
	RECORD_OVERFLOW = 22,
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const suites[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
	"TLS_CHACHA20_POLY1305_SHA256" };

/* The server's receive fails for good, and so does what comes after it. */
static void expect_broken(struct peer *p, int code, const char *words)
{
	char buf[16];

	CHECK_ERR(soq_recv(p->l.far, buf, sizeof(buf)), code);
	if (!strstr(soq_last_error(), words))
		CHECK_STR(soq_last_error(), words);
	CHECK_ERR(soq_recv(p->l.far, buf, sizeof(buf)), code);
	CHECK_ERR(soq_send_text(p->l.far, "x"), code);
	CHECK_OK(soq_wait_readable(p->l.far));
}

static void expect_data(struct peer *p, const char *text)
{
	char buf[64];

	CHECK_EQ(soq_recv_full(p->l.far, buf, strlen(text)), strlen(text));
	CHECK_MEM(buf, text, strlen(text));
}

/* ---- good clients ---- */

struct echo {
	struct soq_stream *stream;
	size_t total;
};

static void echo_main(void *arg)
{
	struct echo *e = arg;
	static char buf[70000];

	while (e->total > 0) {
		ssize_t n = CHECK_OK(soq_recv(e->stream, buf, sizeof(buf)));

		CHECK(n > 0);
		e->total -= (size_t)n;
		CHECK_EQ(soq_send(e->stream, buf, (size_t)n), n);
	}
}

/* There and back through OpenSSL's client. */
static void exchange(struct soq_stream *s, size_t offset, size_t len)
{
	static char out[70000], in[70000];

	pattern_fill(out, offset, len);
	CHECK_EQ(soq_send(s, out, len), len);
	CHECK_EQ(soq_recv_full(s, in, len), len);
	pattern_check(in, offset, len);
}

static void link_with_suite(struct link *l, const char *suite)
{
	struct link_tls t = link_tls_new(SOQ_TLS_1_3);
	struct soq_tls_options server = { .ciphersuites = suite };
	struct soq_listen_options opt = { 0 };
	struct soq_listener *listener;
	char file[256];

	snprintf(file, sizeof(file), "%s/certificate.pem", test_dir());
	server.certificate = file;
	soq_tls_free(t.server);
	CHECK_OK(soq_tls_new(&t.server, &server));
	opt.tls = t.server;
	CHECK_OK(soq_listen(&listener, "tcp://127.0.0.1:0", &opt));
	l->near = client_new(listener);
	CHECK_OK(soq_accept(&l->far, listener));
	soq_listener_close(listener);
	link_start_tls(l, &t);
	link_tls_free(&t);
}

/* Records of every length go both ways, by each cipher, with new keys now and then. */
CONTRACT(tls_records_each_cipher)
{
	static const size_t lengths[] = { 1, 2, 15, 16, 17, 4073, 4074, 4075, 4096, 16383,
		16384, 16385, 65536 };

	for (size_t i = 0; i < COUNT(suites); i++) {
		struct soq_scope *scope = scope_open();
		struct echo e = { 0 };
		struct soq_tls_info near, far;
		size_t offset = 0;
		struct link l;

		ROW("%s", suites[i]);
		link_with_suite(&l, suites[i]);
		CHECK_OK(soq_tls_info(l.near, &near));
		CHECK_OK(soq_tls_info(l.far, &far));
		CHECK_STR(near.cipher, suites[i]);
		CHECK_STR(far.cipher, suites[i]);
		CHECK_STR(far.version, "TLSv1.3");
		CHECK(!soq__tls_ssl(l.far));
		e.stream = l.far;
		for (size_t n = 0; n < COUNT(lengths); n++)
			e.total += lengths[n];
		go(scope, echo_main, &e);
		for (size_t n = 0; n < COUNT(lengths); n++) {
			if (n % 3 < 2)
				CHECK_EQ(SSL_key_update(soq__tls_ssl(l.near), (int)(n % 3)), 1);
			exchange(l.near, offset, lengths[n]);
			offset += lengths[n];
		}
		scope_join(scope);
		link_close(&l);
	}
}

/* A request that comes in one packet with the client's last message of the handshake. */
CONTRACT(tls_records_request_with_finished)
{
	static const enum soq_tls_version versions[] = { SOQ_TLS_1_3, SOQ_TLS_1_2 };

	for (size_t i = 0; i < COUNT(versions); i++) {
		struct peer p;
		struct soq_scope *scope = scope_open();
		char buf[8] = "";

		ROW("%s", i == 0 ? "1.3" : "1.2");
		peer_open(&p, &(struct soq_tls_options){ .max_version = versions[i] });
		go(scope, peer__serve, p.l.far);
		peer_shake(&p);
		/* Two records, and a third that is cut in two. */
		CHECK_EQ(SSL_write(p.ssl, "one", 3), 3);
		CHECK_EQ(SSL_write(p.ssl, "two", 3), 3);
		peer_flush(&p);
		scope_join(scope);
		CHECK_EQ(soq_recv(p.l.far, buf, 1), 1);
		CHECK_EQ(soq_recv_full(p.l.far, buf + 1, 5), 5);
		CHECK_STR(buf, "onetwo");
		CHECK_EQ(soq_send_text(p.l.far, "three"), 5);
		while (SSL_read(p.ssl, buf, sizeof(buf)) != 5)
			CHECK(peer_hear(&p) > 0);
		CHECK_MEM(buf, "three", 5);
		peer_close(&p);
	}
}

/* Of each byte on the wire by itself. */
CONTRACT(tls_records_byte_by_byte)
{
	unsigned char record[64];
	struct peer p;
	size_t n;

	peer_open_by_hand(&p, NULL);
	soq_set_recv_timeout(p.l.far, SOQ_MS);
	n = peer_seal(&p, record, SOQ__TLS_DATA, "word", 4, 3);
	for (size_t i = 0; i < n; i++) {
		char buf[8];

		ROW("byte %zu", i);
		CHECK_EQ(soq_send(p.l.near, record + i, 1), 1);
		if (i + 1 < n)
			CHECK_ERR(soq_recv(p.l.far, buf, sizeof(buf)), -ETIMEDOUT);
	}
	expect_data(&p, "word");
	peer_close(&p);
}

/* A client that wants short records gets them (RFC 6066 section 4). */
CONTRACT(tls_records_max_fragment_length)
{
	static const struct {
		uint8_t mode;
		size_t most;
	} rows[] = { { 0, 16384 }, { 1, 512 }, { 2, 1024 }, { 3, 2048 }, { 4, 4096 } };

	for (size_t i = 0; i < COUNT(rows); i++) {
		static char bytes[20000];
		unsigned char buf[SOQ__TLS_RECORD_MAX];
		size_t len, got = 0;
		struct peer p;

		ROW("mode %u", rows[i].mode);
		peer_open(&p, &(struct soq_tls_options){ 0 });
		CHECK_EQ(SSL_set_tlsext_max_fragment_length(p.ssl, rows[i].mode), 1);
		peer_handshake(&p);
		peer_by_hand(&p);
		pattern_fill(bytes, 0, sizeof(bytes));
		CHECK_EQ(soq_send(p.l.far, bytes, sizeof(bytes)), sizeof(bytes));
		while (got < sizeof(bytes)) {
			CHECK_EQ(peer_record_later(&p, buf, &len), SOQ__TLS_DATA);
			CHECK(len == rows[i].most || got + len == sizeof(bytes));
			pattern_check(buf, got, len);
			got += len;
		}
		peer_send(&p, SOQ__TLS_DATA, "short", 5);
		expect_data(&p, "short");
		peer_close(&p);
	}
}

/* ---- padding, and records without contents ---- */

CONTRACT(tls_records_padding)
{
	static const size_t zeros[] = { 0, 1, 2, 255, 256, 16383 };
	struct peer p;

	peer_open_by_hand(&p, NULL);
	for (size_t i = 0; i < COUNT(zeros); i++) {
		ROW("%zu zeros", zeros[i]);
		peer_send_padded(&p, SOQ__TLS_DATA, "x\0", 2, zeros[i]);
		CHECK_EQ(soq_recv_full(p.l.far, (char[2]){ 0 }, 2), 2);
	}
	peer_send_padded(&p, SOQ__TLS_DATA, NULL, 0, 300);
	peer_send_padded(&p, SOQ__TLS_ALERT, "\1\0", 2, 300);
	CHECK_EQ(soq_recv(p.l.far, (char[1]){ 0 }, 1), 0);
	peer_close(&p);
}

/* They are allowed, but not without end: nobody else would run. */
CONTRACT(tls_records_without_contents)
{
	struct peer p;

	peer_open_by_hand(&p, NULL);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 32; i++)
			peer_send(&p, SOQ__TLS_DATA, NULL, 0);
		peer_send(&p, SOQ__TLS_DATA, "data", 4);
		expect_data(&p, "data");
	}
	for (unsigned i = 0; i < 33; i++)
		peer_send(&p, SOQ__TLS_DATA, NULL, 0);
	expect_broken(&p, -SOQ_ETLS, "out of place");
	peer_expect_alert(&p, UNEXPECTED_MESSAGE);
	peer_close(&p);
}

/* ---- new keys ---- */

/* The keys change at once for what the client sends; the server's before its next data, once,
 * however often it was asked, and not if it was not. */
CONTRACT(tls_records_key_update)
{
	static const unsigned char answer[] = { 24, 0, 0, 1, 0 };
	static const unsigned often[] = { 0, 1, 3, 0 };
	unsigned char buf[SOQ__TLS_RECORD_MAX];
	struct peer p;
	size_t len;

	for (size_t i = 0; i < COUNT(suites); i++) {
		ROW("%s", suites[i]);
		peer_open_by_hand(&p, suites[i]);
		for (size_t row = 0; row < COUNT(often); row++) {
			unsigned asks = often[row];

			for (unsigned n = 0; n < 3; n++) {
				peer_update(&p, n < asks);
				peer_send(&p, SOQ__TLS_DATA, "new", 3);
				expect_data(&p, "new");
			}
			CHECK_EQ(soq_send_text(p.l.far, "answer"), 6);
			if (asks > 0) {
				CHECK_EQ(peer_record_later(&p, buf, &len), SOQ__TLS_HANDSHAKE);
				CHECK_EQ(len, sizeof(answer));
				CHECK_MEM(buf, answer, len);
				CHECK_OK(soq__tls_record_update(p.record, false));
			}
			CHECK_EQ(peer_record_later(&p, buf, &len), SOQ__TLS_DATA);
			CHECK_EQ(len, 6);
			CHECK_MEM(buf, "answer", 6);
		}
		peer_close(&p);
	}
}

/* New keys are welcome after we have ended our flow. */
CONTRACT(tls_records_key_update_after_the_end)
{
	unsigned char buf[SOQ__TLS_RECORD_MAX];
	struct peer p;
	size_t len;

	peer_open_by_hand(&p, NULL);
	CHECK_OK(soq_shutdown(p.l.far));
	peer_update(&p, 1);
	peer_send(&p, SOQ__TLS_DATA, "late", 4);
	expect_data(&p, "late");
	CHECK_EQ(peer_record_later(&p, buf, &len), SOQ__TLS_ALERT);
	CHECK_EQ(buf[1], 0);
	CHECK_EQ(peer_record(&p, buf, &len), 0);
	peer_close(&p);
}

CONTRACT(tls_records_key_updates_without_end)
{
	struct peer p;

	peer_open_by_hand(&p, NULL);
	for (unsigned i = 0; i < 32; i++)
		peer_update(&p, 1);
	peer_send(&p, SOQ__TLS_DATA, "data", 4);
	expect_data(&p, "data");
	for (unsigned i = 0; i < 33; i++)
		peer_update(&p, 1);
	expect_broken(&p, -SOQ_ETLS, "out of place");
	peer_expect_alert(&p, UNEXPECTED_MESSAGE);
	peer_close(&p);
}

/* ---- alerts ---- */

CONTRACT(tls_records_alerts)
{
	static const struct {
		const char *name;
		size_t len;
		unsigned char alert[3];
		int code;
		const char *words;
	} rows[] = {
		{ "close_notify", 2, { 1, 0 }, 0, NULL },
		{ "close_notify, as a fatal one", 2, { 2, 0 }, 0, NULL },
		{ "handshake_failure", 2, { 2, 40 }, -SOQ_ETLS, "handshake_failure" },
		{ "the same as a warning", 2, { 1, 40 }, -SOQ_ETLS, "handshake_failure" },
		{ "bad_record_mac", 2, { 2, 20 }, -SOQ_ETLS, "bad_record_mac" },
		{ "internal_error", 2, { 2, 80 }, -SOQ_ETLS, "internal_error" },
		{ "bad_certificate", 2, { 2, 42 }, -SOQ_ECERTIFICATE, "bad_certificate" },
		{ "unknown_ca", 2, { 2, 48 }, -SOQ_ECERTIFICATE, "does not trust the CA" },
		{ "one that nobody knows", 2, { 2, 250 }, -SOQ_ETLS, "not known" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer p;

		ROW("%s", rows[i].name);
		peer_open_by_hand(&p, suites[i % COUNT(suites)]);
		peer_send(&p, SOQ__TLS_DATA, "data", 4);
		peer_send(&p, SOQ__TLS_ALERT, rows[i].alert, rows[i].len);
		peer_send(&p, SOQ__TLS_DATA, "late", 4);
		expect_data(&p, "data");
		if (rows[i].code < 0) {
			expect_broken(&p, rows[i].code, rows[i].words);
		} else {
			CHECK_EQ(soq_recv(p.l.far, (char[8]){ 0 }, 8), 0);
			CHECK_EQ(soq_recv(p.l.far, (char[8]){ 0 }, 8), 0);
			CHECK_EQ(soq_send_text(p.l.far, "on"), 2); /* our flow goes on */
		}
		peer_close(&p);
	}
}

/* It is told before close_notify, and means nothing. */
CONTRACT(tls_records_user_canceled)
{
	struct peer p;

	peer_open_by_hand(&p, NULL);
	peer_send(&p, SOQ__TLS_ALERT, "\1\x5a", 2);
	peer_send(&p, SOQ__TLS_DATA, "data", 4);
	expect_data(&p, "data");
	for (unsigned i = 0; i < 33; i++)
		peer_send(&p, SOQ__TLS_ALERT, "\1\x5a", 2);
	expect_broken(&p, -SOQ_ETLS, "out of place");
	peer_close(&p);
}

/* ---- what has no place there ---- */

CONTRACT(tls_records_out_of_place)
{
	static const struct {
		const char *name;
		int type;
		size_t len;
		unsigned char contents[12];
	} rows[] = {
		{ "change_cipher_spec", 20, 1, { 1 } },
		{ "no type", 0, 0, { 0 } },
		{ "heartbeat", 24, 3, { 1, 0, 0 } },
		{ "an unknown type", 255, 1, { 1 } },
		{ "an empty alert", SOQ__TLS_ALERT, 0, { 0 } },
		{ "half an alert", SOQ__TLS_ALERT, 1, { 1 } },
		{ "an alert and a half", SOQ__TLS_ALERT, 3, { 1, 0, 0 } },
		{ "two alerts", SOQ__TLS_ALERT, 4, { 1, 90, 1, 0 } },
		{ "an empty message", SOQ__TLS_HANDSHAKE, 0, { 0 } },
		{ "client_hello", SOQ__TLS_HANDSHAKE, 4, { 1, 0, 0, 0 } },
		{ "new_session_ticket", SOQ__TLS_HANDSHAKE, 4, { 4, 0, 0, 0 } },
		{ "finished", SOQ__TLS_HANDSHAKE, 4, { 20, 0, 0, 0 } },
		{ "a part of a message", SOQ__TLS_HANDSHAKE, 4, { 24, 0, 0, 1 } },
		{ "key_update, of 2", SOQ__TLS_HANDSHAKE, 5, { 24, 0, 0, 1, 2 } },
		{ "key_update, too long", SOQ__TLS_HANDSHAKE, 6, { 24, 0, 0, 2, 0, 0 } },
		{ "two of key_update", SOQ__TLS_HANDSHAKE, 10,
			{ 24, 0, 0, 1, 0, 24, 0, 0, 1, 0 } },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer p;

		ROW("%s", rows[i].name);
		peer_open_by_hand(&p, NULL);
		peer_send(&p, SOQ__TLS_DATA, "data", 4);
		peer_send(&p, rows[i].type, rows[i].contents, rows[i].len);
		peer_send(&p, SOQ__TLS_DATA, "late", 4);
		expect_data(&p, "data");
		expect_broken(&p, -SOQ_ETLS, "out of place");
		peer_expect_alert(&p, UNEXPECTED_MESSAGE);
		peer_close(&p);
	}
}

CONTRACT(tls_records_unreadable)
{
	static const struct {
		const char *name;
		size_t len;
		const char *bytes;
		int alert;
		const char *words;
	} rows[] = {
		{ "an alert in clear", 7, "\x15\3\3\0\2\2\x28", UNEXPECTED_MESSAGE,
			"out of place" },
		{ "change_cipher_spec in clear", 6, "\x14\3\3\0\1\1", UNEXPECTED_MESSAGE,
			"out of place" },
		{ "a handshake in clear", 9, "\x16\3\1\0\4\1\0\0\0", UNEXPECTED_MESSAGE,
			"out of place" },
		{ "a request in clear", 16, "GET / HTTP/1.1\r\n", UNEXPECTED_MESSAGE,
			"out of place" },
		{ "one byte more than may be", 5, "\x17\3\3\x41\1", RECORD_OVERFLOW, "longer" },
		{ "the longest", 5, "\x17\3\3\xff\xff", RECORD_OVERFLOW, "longer" },
		{ "none", 5, "\x17\3\3\0\0", BAD_RECORD_MAC, "changed on its way" },
		{ "a tag alone", 21, "\x17\3\3\0\x10................", BAD_RECORD_MAC,
			"changed on its way" },
		{ "a tag that is none", 22, "\x17\3\3\0\x11.................", BAD_RECORD_MAC,
			"changed on its way" },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer p;

		ROW("%s", rows[i].name);
		peer_open_by_hand(&p, suites[i % COUNT(suites)]);
		peer_send(&p, SOQ__TLS_DATA, "data", 4);
		CHECK_EQ(soq_send(p.l.near, rows[i].bytes, rows[i].len), rows[i].len);
		expect_data(&p, "data");
		expect_broken(&p, -SOQ_ETLS, rows[i].words);
		peer_expect_alert(&p, rows[i].alert);
		peer_close(&p);
	}
}

/* The longest contents are taken, and no longer ones. */
CONTRACT(tls_records_too_long)
{
	static unsigned char bytes[SOQ__TLS_PLAIN_MAX + 1], got[SOQ__TLS_PLAIN_MAX];
	struct peer p;

	peer_open_by_hand(&p, NULL);
	pattern_fill(bytes, 0, sizeof(bytes));
	peer_send(&p, SOQ__TLS_DATA, bytes, SOQ__TLS_PLAIN_MAX);
	CHECK_EQ(soq_recv_full(p.l.far, got, sizeof(got)), sizeof(got));
	pattern_check(got, 0, sizeof(got));
	peer_send(&p, SOQ__TLS_DATA, bytes, sizeof(bytes));
	expect_broken(&p, -SOQ_ETLS, "longer");
	peer_expect_alert(&p, RECORD_OVERFLOW);
	peer_close(&p);
}

/* One bit of one byte, whichever: what was good arrives, and nothing of what was changed. */
CONTRACT(tls_records_changed)
{
	unsigned char record[64], buf[SOQ__TLS_RECORD_MAX];
	size_t n = SOQ__TLS_MORE + 5, len;

	for (size_t at = 0; at < n; at++) {
		struct peer p;
		ssize_t rc;

		ROW("byte %zu", at);
		peer_open_by_hand(&p, suites[at % COUNT(suites)]);
		peer_send(&p, SOQ__TLS_DATA, "data", 4);
		CHECK_EQ(peer_seal(&p, record, SOQ__TLS_DATA, "wrong", 5, 0), n);
		record[at] ^= (unsigned char)(1 << at % 8);
		CHECK_EQ(soq_send(p.l.near, record, n), n);
		CHECK_OK(soq_shutdown(p.l.near));
		expect_data(&p, "data");
		rc = soq_recv(p.l.far, buf, sizeof(buf));
		/* A length that has grown promises bytes that do not come. */
		CHECK(rc == -SOQ_ETLS || (rc == -SOQ_ETRUNCATED && (at == 3 || at == 4)));
		CHECK_ERR(soq_recv(p.l.far, buf, sizeof(buf)), (int)rc);
		if (rc == -SOQ_ETLS)
			CHECK_EQ(peer_record_later(&p, buf, &len), SOQ__TLS_ALERT);
		peer_close(&p);
	}
}

/* Cut off at each byte of the last record, and of the alert that would have ended it. */
CONTRACT(tls_records_cut)
{
	unsigned char records[128];
	char buf[8];

	for (size_t cut = 0; cut <= SOQ__TLS_MORE + 4 + SOQ__TLS_MORE + 2; cut++) {
		bool whole = cut >= SOQ__TLS_MORE + 4;
		struct peer p;
		size_t n;

		ROW("after %zu bytes", cut);
		peer_open_by_hand(&p, NULL);
		n = peer_seal(&p, records, SOQ__TLS_DATA, "last", 4, 0);
		n += peer_seal(&p, records + n, SOQ__TLS_ALERT, "\1\0", 2, 0);
		if (cut > 0)
			CHECK_EQ(soq_send(p.l.near, records, cut), cut);
		CHECK_OK(soq_shutdown(p.l.near));
		if (whole)
			expect_data(&p, "last");
		CHECK_ERR(soq_recv(p.l.far, buf, sizeof(buf)), cut == n ? 0 : -SOQ_ETRUNCATED);
		CHECK_ERR(soq_recv(p.l.far, buf, sizeof(buf)), cut == n ? 0 : -SOQ_ETRUNCATED);
		peer_close(&p);
	}
}
