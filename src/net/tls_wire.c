/* tls_wire.c - see tls_wire.h. Source: BIO_meth_new(3), BIO_ctrl(3). */
#include "net/tls_wire.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What a waiting receive has room for: more is fetched, without a copy, by the next one. */
#define IN_BYTES    4096
#define LEAST_BYTES 512

/* ---- bytes ---- */

static size_t take(struct soq__tls_bytes *b, void *buf, size_t len)
{
	size_t n = soq__min_size(len, b->count);

	memcpy(buf, b->memory + b->first, n);
	b->first += n;
	b->count -= n;
	return n;
}

static void drop(struct soq__tls_bytes *b)
{
	free(b->memory);
	*b = (struct soq__tls_bytes){ 0 };
}

/* Make room for @room bytes behind those that are there. */
static int reserve(struct soq__tls_bytes *b, size_t room)
{
	size_t capacity = b->capacity ? b->capacity : LEAST_BYTES;
	char *memory;

	if (b->first > 0 && b->count > 0)
		memmove(b->memory, b->memory + b->first, b->count);
	b->first = 0;
	if (b->capacity - b->count >= room)
		return 0;
	while (capacity - b->count < room)
		capacity *= 2;
	memory = realloc(b->memory, capacity);
	if (!memory)
		return -ENOMEM;
	b->memory = memory;
	b->capacity = capacity;
	return 0;
}

static int append(struct soq__tls_bytes *b, const void *buf, size_t len)
{
	int rc = reserve(b, len);

	if (rc < 0)
		return rc;
	memcpy(b->memory + b->count, buf, len);
	b->count += len;
	return 0;
}

void *soq__tls_wire_room(struct soq__tls_wire *w, size_t len)
{
	return reserve(&w->out, len) < 0 ? NULL : w->out.memory + w->out.count;
}

/* ---- without waiting ---- */

static int64_t attempt(
	struct soq__tls_wire *w, enum soq__op_code code, const void *buf, size_t len)
{
	struct soq__op op = {
		.code = code,
		.socket = &w->stream->socket,
		.buf = (void *)(uintptr_t)buf,
		.len = len,
		.flags = MSG_NOSIGNAL | MSG_DONTWAIT,
	};
	struct soq__engine *e = w->stream->worker->engine;

	soq__list_init(&op.node);
	return e->type->attempt(e, &op);
}

/* @return bytes, 0 when there are none now */
static size_t receive_now(struct soq__tls_wire *w, void *buf, size_t len)
{
	int64_t n;

	if (w->at_hand_only || w->ended || w->in_error < 0)
		return 0;
	n = attempt(w, SOQ__OP_RECV, buf, len);
	if (n == 0)
		w->ended = true;
	else if (n < 0 && n != -EAGAIN)
		w->in_error = (int)n;
	return n > 0 ? (size_t)n : 0;
}

static size_t send_now(struct soq__tls_wire *w, const void *buf, size_t len)
{
	int64_t n;

	if (w->at_hand_only || w->sending || w->out_error < 0)
		return 0;
	n = attempt(w, SOQ__OP_SEND, buf, len);
	if (n < 0 && n != -EAGAIN)
		w->out_error = (int)n;
	return n > 0 ? (size_t)n : 0;
}

/* ---- the BIO ---- */

static int bio_read(BIO *bio, char *buf, size_t len, size_t *ret_len)
{
	struct soq__tls_wire *w = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	*ret_len = 0;
	if (w->in.count > 0) {
		*ret_len = take(&w->in, buf, len);
	} else if (w->receives > 0) {
		w->receives--;
		*ret_len = receive_now(w, buf, len);
	}
	if (*ret_len > 0)
		return 1;
	if (!w->ended && w->in_error == 0)
		BIO_set_retry_read(bio);
	return 0;
}

/* Everything is taken, so that a record is never written by halves: whoever gave it up in the
 * middle could not send another. Nor does OpenSSL learn that the peer takes no more: what it
 * has sent can still be received. */
static int bio_write(BIO *bio, const char *buf, size_t len, size_t *ret_len)
{
	struct soq__tls_wire *w = BIO_get_data(bio);
	size_t sent = w->out.count > 0 ? 0 : send_now(w, buf, len);

	BIO_clear_retry_flags(bio);
	*ret_len = len;
	if (w->out_error == 0 && sent < len)
		w->out_error = append(&w->out, buf + sent, len - sent);
	return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	const struct soq__tls_wire *w = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_EOF:
		return w->ended;
	case BIO_CTRL_FLUSH:
		return 1;
	default:
		return 0;
	}
}

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "soquete stream");
	if (!method)
		return;
	BIO_meth_set_read_ex(method, bio_read);
	BIO_meth_set_write_ex(method, bio_write);
	BIO_meth_set_ctrl(method, bio_ctrl);
}

BIO *soq__tls_bio(struct soq__tls_wire *wire)
{
	BIO *bio;

	pthread_once(&once, make_method);
	bio = method ? BIO_new(method) : NULL;
	if (!bio)
		return NULL;
	BIO_set_data(bio, wire);
	BIO_set_init(bio, 1);
	return bio;
}

/* ---- waiting ---- */

void soq__tls_wire_flush_now(struct soq__tls_wire *w)
{
	size_t n = 1;

	while (w->out.count > 0 && n > 0) {
		n = send_now(w, w->out.memory + w->out.first, w->out.count);
		w->out.first += n;
		w->out.count -= n;
	}
}

/* Wait for input or for room, with something to be sent that nobody else sends. */
static int fill_or_flush(struct soq__tls_wire *w, int64_t timeout_ns)
{
	struct soq__op op = {
		.code = SOQ__OP_POLL, .socket = &w->stream->socket, .events = POLLIN | POLLOUT
	};
	int64_t rc;

	soq__list_init(&op.node);
	rc = soq__perform(&op, timeout_ns);
	soq__tls_wire_flush_now(w);
	return rc < 0 ? (int)rc : 0;
}

/* Room for what comes in: for all that is wanted, and for more when it costs nothing. */
static int reserve_in(struct soq__tls_wire *w, size_t want)
{
	size_t all = want > IN_BYTES ? want : IN_BYTES;

	return reserve(&w->in, all > w->in.count ? all - w->in.count : 1);
}

int soq__tls_wire_fill_now(struct soq__tls_wire *w, size_t want)
{
	size_t n;

	if (reserve_in(w, want) < 0)
		return -ENOMEM;
	n = receive_now(w, w->in.memory + w->in.count, w->in.capacity - w->in.count);
	w->in.count += n;
	return n > 0 || w->ended || w->in_error < 0 ? 0 : -EAGAIN;
}

/* Wait for input, and nothing else. */
static int fill(struct soq__tls_wire *w, size_t want, int64_t timeout_ns)
{
	struct soq__op op = { .code = SOQ__OP_RECV, .socket = &w->stream->socket };
	int64_t n;

	if (reserve_in(w, want) < 0)
		return -ENOMEM;
	op.buf = w->in.memory + w->in.count;
	op.len = w->in.capacity - w->in.count;
	soq__list_init(&op.node);
	n = soq__perform(&op, timeout_ns);
	if (n == -ETIMEDOUT || n == -ECANCELED)
		return (int)n;
	if (n > 0)
		w->in.count += (size_t)n;
	else if (n == 0)
		w->ended = true;
	else
		w->in_error = (int)n;
	return 0;
}

int soq__tls_wire_fill(struct soq__tls_wire *w, size_t want, int64_t timeout_ns)
{
	if (w->ended || w->in_error < 0)
		return 0;
	if (!w->sending)
		soq__tls_wire_flush_now(w);
	if (w->out.count > 0 && !w->sending && w->out_error == 0)
		return fill_or_flush(w, timeout_ns);
	return fill(w, want, timeout_ns);
}

/* Put back what was not sent, before what has been written since. */
static void put_back(struct soq__tls_wire *w, struct soq__tls_bytes *rest)
{
	struct soq__tls_bytes later = w->out;

	w->out = *rest;
	if (later.count > 0 && append(&w->out, later.memory + later.first, later.count) < 0)
		w->out_error = -ENOMEM;
	free(later.memory);
}

int soq__tls_wire_flush(struct soq__tls_wire *w, int64_t timeout_ns)
{
	int64_t n = w->out_error;

	/* What is being sent is lent to the engine, and must not move meanwhile. */
	while (w->out.count > 0 && n >= 0) {
		struct soq__tls_bytes mine = w->out;

		w->out = (struct soq__tls_bytes){ 0 };
		w->sending = true;
		while (mine.count > 0 && n >= 0) {
			struct soq__op op = {
				.code = SOQ__OP_SEND,
				.socket = &w->stream->socket,
				.buf = mine.memory + mine.first,
				.len = mine.count,
				.flags = MSG_NOSIGNAL,
			};

			soq__list_init(&op.node);
			n = soq__perform(&op, timeout_ns);
			mine.first += n > 0 ? (size_t)n : 0;
			mine.count -= n > 0 ? (size_t)n : 0;
		}
		w->sending = false;
		put_back(w, &mine);
	}
	if (n < 0 && n != -ETIMEDOUT && n != -ECANCELED)
		w->out_error = (int)n;
	return n < 0 ? (int)n : 0;
}

void soq__tls_wire_trim(struct soq__tls_wire *w)
{
	if (w->in.count == 0)
		drop(&w->in);
	if (w->out.count == 0 && !w->sending)
		drop(&w->out);
}

void soq__tls_wire_done(struct soq__tls_wire *w)
{
	drop(&w->in);
	drop(&w->out);
}
