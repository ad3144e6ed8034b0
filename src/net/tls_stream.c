/* tls_stream.c - a stream's bytes through OpenSSL: handshake, receive, send, end.
 *
 * Each call tries in OpenSSL, which never waits, and waits outside of it (tls_wire.h) for what
 * OpenSSL lacks. One fiber may receive while another sends: they are of one thread, and neither
 * is ever suspended within OpenSSL. Only a step of a handshake may run on a thread of the
 * offload pool, while the stream's fiber waits for its end.
 *
 * Source: SSL_read(3), SSL_get_error(3), RFC 8446 sections 4 and 6.
 */
#include "net/tls_openssl.h"
#include <soquete/error.h>
#include <soquete/fiber.h>
#include <soquete/sync.h>
#include <soquete/time.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fiber/last_error.h"
#include "net/tls_direct.h"
#include "net/tls_told.h"
#include "net/tls_wire.h"

#define RECORD_BYTES ((size_t)16384) /* of plaintext, at most (RFC 8446 section 5.1) */
/* What a handshake's functions and those of the certificates' checks need, generously. */
#define STACK_LEAST ((size_t)128 * 1024)
#define REASON_MAX  1024
/* While the peer sends what is no data for us (messages of a handshake, tickets) OpenSSL does
 * not come back from a call: after so many times it does, and time-outs and others have their
 * turn. And it answers some of that: a peer that asks, and does not read, is an enemy. */
#define RECEIVES_MAX 4
#define ANSWERS_MAX  ((size_t)64 * 1024)
#define WHOM_MAX     (SOQ_ENDPOINT_TEXT_MAX + SOQ_ADDR_TEXT_MAX)

/* What only a handshake needs. Freed by the last of those who wait for its end. */
struct handshake {
	char *endpoint; /* as the user wrote it, or NULL */
	char *name;	/* that is checked, or NULL */
	int64_t deadline_ns;
	struct soq__tls_secrets secrets; /* a server's, for what comes after */
	struct soq_event *over;
	unsigned users;
	bool running; /* a fiber is at it */
};

struct soq__tls {
	SSL *ssl; /* NULL: records are sealed and opened without it, or the handshake failed */
	struct soq__tls_direct direct; /* if its record is not NULL */
	struct soq__tls_told *told;    /* what a handshake without SSL object came to */
	struct soq_tls *config;
	struct soq__tls_wire wire;
	struct handshake *handshake; /* NULL: it has taken place, or failed */
	bool server;
	bool cut;    /* a record of ours is still to be sent in part */
	bool ending; /* we have said that our flow is over */
	int error;   /* nothing works any more, and this is why */
};

void soq__tls_note_secret(const SSL *ssl, const char *line)
{
	struct soq__tls *tls = SSL_get_app_data(ssl);

	if (tls && tls->handshake)
		soq__tls_secrets_note(&tls->handshake->secrets, line);
}

SSL *soq__tls_ssl(const struct soq_stream *s)
{
	return s->tls && !s->tls->handshake ? s->tls->ssl : NULL;
}

int soq_tls_info(const struct soq_stream *s, struct soq_tls_info *ret)
{
	const struct soq__tls *tls = s->tls;

	if (!tls || tls->handshake || (!tls->told && !tls->ssl))
		return -ENOTCONN;
	if (tls->told)
		soq__tls_told_again(tls->told, ret);
	else
		soq__tls_info_of(ret, tls->ssl);
	return 0;
}

/* ---- life ---- */

static void handshake_leave(struct handshake *h)
{
	if (--h->users > 0)
		return;
	soq_event_free(h->over);
	free(h->endpoint);
	free(h->name);
	OPENSSL_cleanse(&h->secrets, sizeof(h->secrets));
	free(h);
}

static char *copy_text(const char *text, int *rc)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		*rc = -ENOMEM;
	return copy;
}

static int handshake_new(struct handshake **ret, const struct soq__tls_begin *how)
{
	struct handshake *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return -ENOMEM;
	h->users = 1;
	h->deadline_ns = SOQ_NEVER;
	rc = soq_event_new(&h->over);
	if (rc == 0)
		h->endpoint = copy_text(how->endpoint, &rc);
	if (rc == 0)
		h->name = copy_text(how->name, &rc);
	if (rc < 0) {
		handshake_leave(h);
		return rc;
	}
	*ret = h;
	return 0;
}

static void tls_free(struct soq__tls *tls)
{
	if (tls->handshake)
		handshake_leave(tls->handshake);
	SSL_free(tls->ssl);
	soq__tls_record_free(tls->direct.record);
	free(tls->told);
	soq__tls_wire_done(&tls->wire);
	soq_tls_free(tls->config);
	free(tls);
}

void soq__tls_free(struct soq_stream *s)
{
	if (s->tls)
		tls_free(s->tls);
	s->tls = NULL;
}

bool soq__tls_is_established(const struct soq_stream *s)
{
	return !s->tls->handshake && s->tls->error == 0;
}

bool soq__tls_is_shaking(const struct soq_stream *s)
{
	return s->tls->handshake && s->tls->handshake->running;
}

/* @return 0; a negative code, with a sentence where it is not for want of memory */
static int make_ssl(struct soq__tls *tls, const struct soq__tls_begin *how)
{
	BIO *bio;
	int rc;

	if (!how->server && !how->name && !soq__tls_config_is_nameless(tls->config))
		return soq__fail(-EINVAL,
			"TLS: whose certificate is it to be? give the host's name, a pin, or "
			"say insecure");
	if (how->server && !soq__tls_can_serve(tls->config))
		return soq__fail(-EINVAL, "TLS: a server needs a certificate and its key");
	rc = soq__tls_config_ssl(&tls->ssl, tls->config, how->server, how->name);
	if (rc < 0)
		return rc;
	bio = soq__tls_bio(&tls->wire);
	if (!bio)
		return -ENOMEM;
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_app_data(tls->ssl, tls);
	/* It is to leave in the wire what comes after the handshake. */
	SSL_set_read_ahead(tls->ssl, !how->server);
	return 0;
}

int soq__tls_begin(struct soq_stream *s, const struct soq__tls_begin *how)
{
	struct soq__tls *tls = calloc(1, sizeof(*tls));
	int rc = 0;

	if (!tls)
		return -ENOMEM;
	tls->server = how->server;
	tls->wire.stream = s;
	tls->config = soq__tls_ref(how->tls);
	if (!tls->config)
		rc = soq__tls_config_default(&tls->config);
	if (rc == 0)
		rc = handshake_new(&tls->handshake, how);
	if (rc == 0)
		rc = make_ssl(tls, how);
	if (rc < 0) {
		tls_free(tls);
		return rc;
	}
	s->tls = tls;
	return 0;
}

/* ---- what went wrong ---- */

/* With whom: the endpoint as the user wrote it, and the address. */
static void describe(char *buf, size_t len, const struct soq_stream *s)
{
	const struct handshake *h = s->tls->handshake;
	char at[SOQ_ADDR_TEXT_MAX] = "-";
	struct soq_addr peer;

	if (soq_peer_addr(s, &peer) == 0)
		soq_addr_format(at, sizeof(at), &peer);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): tls->handshake has an owner */
	if (h && h->endpoint)
		snprintf(buf, len, "connect %s (%s)", h->endpoint, at);
	else if (h && h->name)
		snprintf(buf, len, "TLS with %s (%s)", h->name, at);
	else
		snprintf(buf, len, "TLS with %s", at);
}

static int fail(struct soq_stream *s, int code, const char *reason)
{
	char whom[WHOM_MAX];

	describe(whom, sizeof(whom), s);
	s->tls->error = code;
	/* An alert may tell the peer why. */
	s->tls->wire.at_hand_only = false;
	soq__tls_wire_flush_now(&s->tls->wire);
	return soq__fail(code, "%s: %s", whom, reason);
}

/* What the last call into OpenSSL came to, which gave no bytes.
 * @reason  for what is neither 0 nor -EAGAIN
 * @return 0 when the peer has said that its flow is over; -EAGAIN when OpenSSL lacks input;
 *         else why nothing works any more */
static int outcome(struct soq__tls *tls, int rc, char reason[REASON_MAX])
{
	int code;

	switch (SSL_get_error(tls->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		break;
	}
	code = tls->wire.in_error;
	if (code == 0)
		return soq__tls_explain(reason, REASON_MAX, tls->ssl, tls->server,
			tls->handshake ? tls->handshake->name : NULL);
	ERR_clear_error();
	snprintf(reason, REASON_MAX, "%s", soq_strerror(code));
	return code;
}

/* The same, by the stream's own fiber. */
static int outcome_here(struct soq_stream *s, int rc)
{
	char reason[REASON_MAX];
	int code = outcome(s->tls, rc, reason);

	return code == 0 || code == -EAGAIN ? code : fail(s, code, reason);
}

/* What is left of a time-out that began when @until_ns was reckoned. */
static int64_t left(int64_t until_ns)
{
	int64_t now;

	if (until_ns == SOQ_NEVER)
		return SOQ_NEVER;
	now = soq_now();
	return until_ns > now ? until_ns - now : 0;
}

static int64_t until(int64_t timeout_ns)
{
	return timeout_ns == SOQ_NEVER ? SOQ_NEVER : soq__after(soq_now(), timeout_ns);
}

/* ---- the handshake ---- */

struct step {
	struct soq__tls *tls;
	int rc; /* 0: it is complete; -EAGAIN: more input; else it has failed */
	char reason[REASON_MAX];
};

/* OpenSSL's errors are the thread's: they are read where they have come up. */
static void step_run(void *arg)
{
	struct step *step = arg;
	int rc;

	ERR_clear_error();
	rc = SSL_do_handshake(step->tls->ssl);
	step->rc = rc == 1 ? 0 : outcome(step->tls, rc, step->reason);
	if (rc == 1 || (step->rc < 0 && step->rc != -SOQ_ETRUNCATED))
		return;
	step->rc = step->tls->wire.out_error < 0 ? step->tls->wire.out_error : -SOQ_ETLS;
	snprintf(step->reason, REASON_MAX, "%s",
		step->rc == -SOQ_ETLS ? "the peer ended the connection in the handshake"
				      : soq_strerror(step->rc));
}

static bool is_small_stack(const struct soq__fiber *f)
{
	return f->stack && (size_t)(f->stack->high - f->stack->low) < STACK_LEAST;
}

/* What takes long, or much stack, is done elsewhere. @return 0; why it was not done */
static int step_anywhere(struct soq_stream *s, struct step *step)
{
	bool is_small = is_small_stack(s->worker->current);
	int rc = -EAGAIN;

	if (is_small ||
		(soq__tls_config_is_slow(step->tls->config) && step->tls->wire.in.count > 0))
		rc = soq_offload(step_run, step);
	/* Where the system has no thread to give, too long is better than never. */
	if (rc == -EAGAIN && !is_small) {
		step_run(step);
		return 0;
	}
	return rc == -EAGAIN ? -ENOMEM : rc;
}

/* One step: until OpenSSL lacks input. */
static int handshake_step(struct soq_stream *s)
{
	struct soq__tls *tls = s->tls;
	struct step step = { .tls = tls };
	int rc;

	/* A flight is sent as one. */
	tls->wire.at_hand_only = true;
	rc = step_anywhere(s, &step);
	tls->wire.at_hand_only = false;
	if (rc < 0 || step.rc == 0 || step.rc == -EAGAIN)
		return rc < 0 ? rc : step.rc;
	return fail(s, step.rc, step.reason);
}

/* What OpenSSL sends of its own accord when the handshake is over, tickets, may wait for our
 * first bytes and go with them; all else the peer waits for. */
static bool may_wait(const struct soq__tls *tls)
{
	return tls->server && SSL_version(tls->ssl) == TLS1_3_VERSION;
}

static int handshake_steps(struct soq_stream *s)
{
	struct soq__tls *tls = s->tls;
	int rc;

	while ((rc = handshake_step(s)) == -EAGAIN) {
		rc = soq__tls_wire_flush(&tls->wire, s->send_timeout_ns);
		/* A peer that takes no more may have said why, in an alert. */
		if (rc == 0 || tls->wire.out_error < 0)
			rc = soq__tls_wire_fill(&tls->wire, 0, s->recv_timeout_ns);
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && !may_wait(tls))
		rc = soq__tls_wire_flush(&tls->wire, s->send_timeout_ns);
	return rc;
}

/* OpenSSL is content. Are we? */
static int check_peer(struct soq_stream *s)
{
	char reason[REASON_MAX];
	int rc = soq__tls_check(
		reason, sizeof(reason), s->tls->config, s->tls->ssl, s->tls->server);

	return rc < 0 ? fail(s, rc, reason) : 0;
}

/* How many records the wire is to send: whole ones, all of them. */
static uint64_t count_records(const struct soq__tls_bytes *out)
{
	const unsigned char *at = (const unsigned char *)out->memory + out->first;
	uint64_t records = 0;

	for (size_t left = out->count; left >= SOQ__TLS_HEADER; records++) {
		size_t length = SOQ__TLS_HEADER + ((size_t)at[3] << 8 | at[4]);

		length = soq__min_size(length, left);
		at += length;
		left -= length;
	}
	return records;
}

/* Go on without OpenSSL's object where that can be, see tls_direct.h. What the wire has to send
 * are the tickets, the first records under the new keys. */
static void leave_openssl(struct soq__tls *tls)
{
	struct soq_tls_info info;

	if (tls->server)
		tls->direct.record = soq__tls_record_new(
			tls->ssl, &tls->handshake->secrets, count_records(&tls->wire.out));
	if (tls->direct.record) {
		soq__tls_info_of(&info, tls->ssl);
		tls->told = soq__tls_told_new(&info);
	}
	if (!tls->told) {
		soq__tls_record_free(tls->direct.record);
		tls->direct.record = NULL;
		SSL_set_read_ahead(tls->ssl, 1);
		return;
	}
	/* As if both flows had ended well: the session can be resumed. */
	SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(tls->ssl);
	tls->ssl = NULL;
}

/* Whom we have found not to be trusted there is nothing to be told about. */
static void handshake_over(struct soq__tls *tls)
{
	struct handshake *h = tls->handshake;

	if (tls->error < 0) {
		SSL_free(tls->ssl);
		tls->ssl = NULL;
	}
	tls->handshake = NULL;
	soq_event_set(h->over);
	handshake_leave(h);
}

/* The handshake did not come to its end: for good, or for now.
 * @code  what kept the fiber from waiting, or the socket from taking what was to be sent */
static int interrupted(struct soq_stream *s, int code)
{
	char whom[WHOM_MAX];

	if (code == -ETIMEDOUT && soq_now() >= s->tls->handshake->deadline_ns)
		return fail(s, code, "the peer did not finish the TLS handshake in time");
	if (s->tls->wire.out_error == code)
		return fail(s, code, soq_strerror(code));
	describe(whom, sizeof(whom), s);
	return soq__fail(code, "%s: TLS handshake: %s", whom, soq_strerror(code));
}

/* Some steps by this fiber. After a time-out or a cancellation another call may go on, until
 * the handshake's own time is over. */
static int shake(struct soq_stream *s)
{
	struct soq__tls *tls = s->tls;
	struct handshake *h = tls->handshake;
	int64_t outer;
	int rc;

	if (h->deadline_ns == SOQ_NEVER)
		h->deadline_ns = until(soq__tls_config_handshake_timeout(tls->config));
	outer = soq_deadline(h->deadline_ns);
	rc = handshake_steps(s);
	soq_deadline_restore(outer);
	if (rc == 0)
		rc = check_peer(s);
	if (rc == 0)
		leave_openssl(tls);
	if (rc < 0 && tls->error == 0)
		rc = interrupted(s, rc);
	if (rc == 0 || tls->error < 0)
		handshake_over(tls);
	return rc;
}

/* Another fiber of the stream is at it: wait for what comes of it. */
static int await_other(struct handshake *h)
{
	int rc;

	h->users++;
	rc = soq_event_wait(h->over);
	handshake_leave(h);
	return rc;
}

int soq__tls_handshake(struct soq_stream *s)
{
	struct soq__tls *tls = s->tls;
	struct handshake *h;
	int rc = 0;

	while (rc == 0 && (h = tls->handshake)) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): tls->handshake has an owner */
		if (h->running) {
			rc = await_other(h);
			continue;
		}
		h->running = true;
		h->users++;
		rc = shake(s);
		h->running = false;
		soq_event_set(h->over); /* whoever else wants it may go on from here */
		if (tls->handshake)
			soq_event_reset(h->over);
		handshake_leave(h);
	}
	return rc < 0 ? rc : tls->error;
}

/* ---- receiving ---- */

/* Give out what has come, or, with @buf NULL, see whether there is something. @return as
 * soq_recv(); -EAGAIN when more must come first */
static int64_t take_directly(struct soq_stream *s, void *buf, size_t len)
{
	const char *reason = "";
	int64_t n = soq__tls_direct_take(&s->tls->direct, &s->tls->wire, buf, len, &reason);

	return n < 0 && n != -EAGAIN ? fail(s, (int)n, reason) : n;
}

static int64_t take(struct soq_stream *s, void *buf, size_t len)
{
	char byte;
	size_t n;
	int ok;

	if (s->tls->direct.record)
		return take_directly(s, buf, len);
	s->tls->wire.receives = RECEIVES_MAX;
	ERR_clear_error();
	ok = buf ? SSL_read_ex(s->tls->ssl, buf, len, &n)
		 : SSL_peek_ex(s->tls->ssl, &byte, 1, &n);
	return ok ? (int64_t)n : outcome_here(s, ok);
}

/* OpenSSL's BIO asks the socket by itself before it says that something lacks; else we do. */
static int fill(struct soq_stream *s, int64_t timeout_ns)
{
	struct soq__tls *tls = s->tls;
	size_t want = tls->direct.record ? soq__tls_direct_want(&tls->wire) : 0;
	int rc = tls->direct.record ? soq__tls_wire_fill_now(&tls->wire, want) : -EAGAIN;

	if (tls->ssl && tls->wire.receives == 0)
		soq__reschedule(s->worker);
	if (tls->wire.out.count > ANSWERS_MAX)
		return fail(s, -SOQ_ETLS, "the peer asks, and does not read the answers");
	return rc == -EAGAIN ? soq__tls_wire_fill(&tls->wire, want, timeout_ns) : rc;
}

/* @return as take(), but never -EAGAIN */
static int64_t await(struct soq_stream *s, void *buf, size_t len)
{
	int64_t until_ns = until(s->recv_timeout_ns);
	int64_t n = soq__begin(s->worker);

	if (n == 0)
		n = soq__tls_handshake(s);
	if (n < 0)
		return n;
	while ((n = take(s, buf, len)) == -EAGAIN) {
		n = fill(s, left(until_ns));
		if (n < 0)
			break;
	}
	return n;
}

ssize_t soq__tls_recv(struct soq_stream *s, void *buf, size_t len)
{
	return (ssize_t)await(s, buf, len);
}

int soq__tls_wait_readable(struct soq_stream *s)
{
	int64_t n = await(s, NULL, 1);

	/* What has failed for good, a receive tells. */
	return n == -ETIMEDOUT || n == -ECANCELED || n == -ENOMEM ? (int)n : 0;
}

bool soq__tls_readable(struct soq_stream *s)
{
	struct soq__tls *tls = s->tls;
	bool there;

	if (tls->error < 0 || tls->wire.ended)
		return true;
	if (tls->handshake)
		return false;
	if (tls->wire.in.count == 0 &&
		(tls->ssl ? !SSL_has_pending(tls->ssl) : tls->direct.plain_len == 0))
		return tls->direct.ended;
	tls->wire.at_hand_only = true;
	there = take(s, NULL, 1) != -EAGAIN;
	tls->wire.at_hand_only = false;
	return there;
}

void soq__tls_trim(struct soq_stream *s)
{
	struct soq__tls *tls = s->tls;

	soq__tls_wire_flush_now(&tls->wire);
	if (tls->direct.plain_len == 0)
		soq__tls_wire_trim(&tls->wire);
	if (tls->direct.record)
		soq__tls_record_trim(tls->direct.record);
}

/* ---- sending ---- */

/* Encrypt a record. @return how many bytes are in it, or a negative code */
static int64_t put(struct soq_stream *s, const void *buf, size_t len)
{
	struct soq__tls *tls = s->tls;
	char reason[REASON_MAX];
	size_t n = 0;

	if (tls->direct.record)
		return soq__tls_direct_put(&tls->direct, &tls->wire, buf, len);
	ERR_clear_error();
	if (SSL_write_ex(tls->ssl, buf, soq__min_size(len, RECORD_BYTES), &n))
		return (int64_t)n;
	return fail(s, soq__tls_explain(reason, sizeof(reason), tls->ssl, tls->server, NULL),
		reason);
}

ssize_t soq__tls_send(struct soq_stream *s, const void *buf, size_t len, int *ret_cut)
{
	struct soq__tls *tls = s->tls;
	int64_t n;
	int rc = soq__begin(s->worker);

	if (rc == 0)
		rc = soq__tls_handshake(s);
	/* Tickets go with the first bytes; but a record that was cut off must be gone. */
	if (rc == 0 && tls->cut)
		rc = soq__tls_wire_flush(&tls->wire, s->send_timeout_ns);
	if (rc == 0 && tls->ending)
		rc = -EPIPE;
	if (rc < 0)
		return rc;
	tls->cut = false;
	n = put(s, buf, len);
	if (n < 0)
		return (ssize_t)n;
	rc = soq__tls_wire_flush(&tls->wire, s->send_timeout_ns);
	tls->cut = rc == -ETIMEDOUT || rc == -ECANCELED;
	*ret_cut = tls->cut ? rc : 0;
	return rc < 0 && !tls->cut ? rc : (ssize_t)n;
}

/* ---- ending ---- */

/* Put the alert behind what is to be sent, once. @return whether there is anything to send */
static bool put_end(struct soq__tls *tls)
{
	if (tls->handshake || tls->error < 0)
		return false;
	if (!tls->ending && tls->direct.record) {
		soq__tls_direct_end(&tls->direct, &tls->wire);
	} else if (!tls->ending) {
		ERR_clear_error();
		SSL_shutdown(tls->ssl);
		ERR_clear_error();
	}
	tls->ending = true;
	return true;
}

int soq__tls_shutdown(struct soq_stream *s)
{
	struct soq__tls_wire *wire = &s->tls->wire;
	int rc = put_end(s->tls) ? soq__tls_wire_flush(wire, s->send_timeout_ns) : 0;

	/* A fiber that is cancelled says it, too, where that takes no time. */
	if (rc == -ETIMEDOUT || rc == -ECANCELED) {
		soq__tls_wire_flush_now(wire);
		rc = wire->out.count > 0 ? rc : wire->out_error;
	}
	return rc;
}

void soq__tls_shutdown_now(struct soq_stream *s)
{
	if (put_end(s->tls))
		soq__tls_wire_flush_now(&s->tls->wire);
}
