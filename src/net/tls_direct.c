/* tls_direct.c - see tls_direct.h. Source: RFC 8446 sections 4.6.3, 5.1 and 6. */
#include "net/tls_direct.h"
#include <soquete/error.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include "net/tls_openssl.h"

#define KEY_UPDATE	 24 /* a handshake message */
#define KEY_UPDATE_BYTES 5
#define CLOSE_NOTIFY	 0 /* alerts */
#define UNEXPECTED	 10
#define BAD_MAC		 20
#define OVERFLOW	 22
#define INTERNAL	 80
#define USER_CANCELED	 90
/* Records that bring no data (new keys, nothing at all) cost us more than the peer: more of
 * them than this in a row is an attack. */
#define IDLE_MAX 32

/* Where the next record begins; NULL: nothing has come. */
static unsigned char *input(const struct soq__tls_wire *w)
{
	return w->in.count > 0 ? (unsigned char *)w->in.memory + w->in.first : NULL;
}

size_t soq__tls_direct_want(const struct soq__tls_wire *w)
{
	int length = soq__tls_record_length(input(w), w->in.count);

	return length > 0 ? (size_t)length : 0;
}

/* ---- sending ---- */

/* @return 0, -ENOMEM */
static int put_record(struct soq__tls_direct *d, struct soq__tls_wire *w, int type,
	const void *buf, size_t len)
{
	void *to = soq__tls_wire_room(w, len + SOQ__TLS_MORE);
	int n = to ? soq__tls_record_seal(d->record, type, buf, len, to) : -ENOMEM;

	if (n < 0)
		return n;
	w->out.count += (size_t)n;
	return 0;
}

static int put_alert(struct soq__tls_direct *d, struct soq__tls_wire *w, int description)
{
	unsigned char alert[2] = { description == CLOSE_NOTIFY ? 1 : 2,
		(unsigned char)description };

	return put_record(d, w, SOQ__TLS_ALERT, alert, sizeof(alert));
}

/* New keys for what we send, said with the old ones. */
static int put_key_update(struct soq__tls_direct *d, struct soq__tls_wire *w)
{
	static const unsigned char message[KEY_UPDATE_BYTES] = { KEY_UPDATE, 0, 0, 1, 0 };
	int rc = put_record(d, w, SOQ__TLS_HANDSHAKE, message, sizeof(message));

	return rc < 0 ? rc : soq__tls_record_update(d->record, true);
}

int64_t soq__tls_direct_put(
	struct soq__tls_direct *d, struct soq__tls_wire *w, const void *buf, size_t len)
{
	size_t n = soq__min_size(len, soq__tls_record_room(d->record));
	int rc = 0;

	if (d->update_owed || soq__tls_record_is_worn(d->record))
		rc = put_key_update(d, w);
	if (rc == 0)
		d->update_owed = false;
	if (rc == 0)
		rc = put_record(d, w, SOQ__TLS_DATA, buf, n);
	return rc < 0 ? rc : (int64_t)n;
}

int soq__tls_direct_end(struct soq__tls_direct *d, struct soq__tls_wire *w)
{
	return put_alert(d, w, CLOSE_NOTIFY);
}

/* ---- receiving ---- */

/* What an alert of ours is called by libssl. */
static int reason_of(int alert)
{
	switch (alert) {
	case BAD_MAC:
		return SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC;
	case OVERFLOW:
		return SSL_R_DATA_LENGTH_TOO_LONG;
	case INTERNAL:
		return ERR_R_MALLOC_FAILURE;
	default:
		return SSL_R_UNEXPECTED_MESSAGE;
	}
}

static int give_up(
	struct soq__tls_direct *d, struct soq__tls_wire *w, int alert, const char **ret_reason)
{
	put_alert(d, w, alert);
	soq__tls_wire_flush_now(w);
	return soq__tls_explain_number(ret_reason, reason_of(alert));
}

static int take_alert(struct soq__tls_direct *d, struct soq__tls_wire *w,
	const unsigned char *alert, size_t len, const char **ret_reason)
{
	if (len != 2)
		return give_up(d, w, UNEXPECTED, ret_reason);
	if (alert[1] == CLOSE_NOTIFY)
		d->ended = true;
	if (alert[1] == CLOSE_NOTIFY || alert[1] == USER_CANCELED)
		return 0;
	return soq__tls_explain_number(ret_reason, SSL_AD_REASON_OFFSET + alert[1]);
}

/* The one message that a client may send after the handshake. Nothing may follow it under the
 * old keys, so that it has its record to itself (RFC 8446 section 5.1). */
static int take_message(struct soq__tls_direct *d, struct soq__tls_wire *w,
	const unsigned char *message, size_t len, const char **ret_reason)
{
	static const unsigned char start[] = { KEY_UPDATE, 0, 0, 1 };

	if (len != KEY_UPDATE_BYTES || memcmp(message, start, sizeof(start)) != 0 ||
		message[4] > 1)
		return give_up(d, w, UNEXPECTED, ret_reason);
	/* An answer at once to each would pile up where the peer asks, and does not read. */
	d->update_owed = d->update_owed || message[4] == 1;
	return soq__tls_record_update(d->record, false);
}

/* Open the next record and do as it says. @return 0; -EAGAIN: it is not there whole */
static int next_record(
	struct soq__tls_direct *d, struct soq__tls_wire *w, const char **ret_reason)
{
	unsigned char *in = input(w);
	int length = soq__tls_record_length(in, w->in.count), type;
	size_t len;

	if (length < 0)
		return give_up(d, w, -length, ret_reason);
	if (length == 0 || w->in.count < (size_t)length)
		return -EAGAIN;
	type = soq__tls_record_open(d->record, in, (size_t)length, &len);
	if (type < 0)
		return give_up(d, w, -type, ret_reason);
	w->in.first += (size_t)length;
	w->in.count -= (size_t)length;
	in += SOQ__TLS_HEADER;
	d->idle = type == SOQ__TLS_DATA && len > 0 ? 0 : d->idle + 1;
	if (d->idle > IDLE_MAX)
		return give_up(d, w, UNEXPECTED, ret_reason);
	switch (type) {
	case SOQ__TLS_DATA:
		d->plain_at = (size_t)(in - (unsigned char *)w->in.memory);
		d->plain_len = len;
		return 0;
	case SOQ__TLS_ALERT:
		return take_alert(d, w, in, len, ret_reason);
	case SOQ__TLS_HANDSHAKE:
		return take_message(d, w, in, len, ret_reason);
	default:
		return give_up(d, w, UNEXPECTED, ret_reason);
	}
}

/* There is no whole record any more: will there be? */
static int64_t end_of_input(const struct soq__tls_wire *w, const char **ret_reason)
{
	if (w->in_error < 0)
		*ret_reason = soq_strerror(w->in_error);
	else if (w->ended)
		*ret_reason = "the peer's flow was cut off, not ended";
	else
		return -EAGAIN;
	return w->in_error < 0 ? w->in_error : -SOQ_ETRUNCATED;
}

int64_t soq__tls_direct_take(struct soq__tls_direct *d, struct soq__tls_wire *w, void *buf,
	size_t len, const char **ret_reason)
{
	int rc;

	while (d->plain_len == 0 && !d->ended) {
		rc = next_record(d, w, ret_reason);
		if (rc == -EAGAIN)
			return end_of_input(w, ret_reason);
		if (rc < 0) {
			if (rc == -ENOMEM)
				*ret_reason = soq_strerror(rc);
			return rc;
		}
	}
	len = soq__min_size(len, d->plain_len);
	if (buf) {
		memcpy(buf, w->in.memory + d->plain_at, len);
		d->plain_at += len;
		d->plain_len -= len;
	}
	return (int64_t)len;
}
