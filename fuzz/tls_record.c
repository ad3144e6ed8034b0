/* sources: src/net/tls_direct.c src/net/tls_explain.c src/net/tls_first.c src/net/tls_text.c
 * src/net/tls_verify.c src/net/tls_wire.c src/base/error.c
 * libraries: openssl */
/* tls_record.c - a client that says what it likes once a handshake of TLS 1.3 is over.
 *
 * The first byte chooses the cipher. Then come orders for the client, one after the other: a
 * record that is sealed as it should be, with a type, contents and padding as the input says,
 * or one that is changed afterwards; new keys; bytes as they come; the end of its flow. Bytes
 * alone would never pass the tag's check.
 *
 * What must hold: it ends; the outcome does not depend on how the bytes were cut; what is given
 * out is what was put in before the first fault, in order and once; a fault is followed by an
 * alert and nothing else; a flow that is cut off is not taken for one that has ended.
 */
#include "net/tls_record.c"

#include "net/tls_direct.h"
#include <assert.h>
#include <soquete/error.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WIRE_MAX ((size_t)1 << 17)

/* What the client does. */
enum { SEAL, CHANGE, UPDATE, RAW, END, LONG, KINDS };

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* ---- in the place of fibers and an engine ---- */

/* What the client has sent, and what we have sent it. */
static struct {
	unsigned char bytes[WIRE_MAX];
	size_t len, read, step;
	size_t answer_len;
	unsigned char answer[256];
} net;

static int64_t net_recv(void *buf, size_t len)
{
	size_t n = net.len - net.read;

	n = n < len ? n : len;
	n = n < net.step ? n : net.step;
	memcpy(buf, net.bytes + net.read, n);
	net.read += n;
	return (int64_t)n;
}

static int64_t net_send(const void *buf, size_t len)
{
	require(net.answer_len + len <= sizeof(net.answer));
	memcpy(net.answer + net.answer_len, buf, len);
	net.answer_len += len;
	return (int64_t)len;
}

int64_t soq__perform(struct soq__op *op, int64_t timeout_ns)
{
	(void)timeout_ns;
	require(op->code == SOQ__OP_RECV || op->code == SOQ__OP_SEND);
	return op->code == SOQ__OP_RECV ? net_recv(op->buf, op->len)
					: net_send(op->buf, op->len);
}

static int64_t attempt(struct soq__engine *e, struct soq__op *op)
{
	(void)e;
	return op->code == SOQ__OP_SEND ? net_send(op->buf, op->len) : -EAGAIN;
}

static const struct soq__engine_type type = { .name = "fuzz", .attempt = attempt };
static struct soq__engine engine = { .type = &type };
static struct soq__worker worker = { .engine = &engine };

/* ---- two ends ---- */

static struct soq__tls_record *record_new(unsigned cipher, bool client)
{
	struct soq__tls_record *r = calloc(1, sizeof(*r));

	require(r != NULL);
	pthread_once(&once, fetch_ciphers);
	r->cipher = &ciphers[cipher % CIPHERS];
	r->room = SOQ__TLS_PLAIN_MAX;
	memset(client ? r->out.secret : r->in.secret, 'c', SOQ__TLS_SECRET_MAX);
	memset(client ? r->in.secret : r->out.secret, 's', SOQ__TLS_SECRET_MAX);
	return r;
}

/* What the server is to make of the client's orders. */
static struct {
	unsigned char plain[WIRE_MAX];
	size_t len;
	bool ended, faulty;
	bool alert; /* it may be that the client itself has told of a fault */
	unsigned idle;
} expected;

struct input {
	const uint8_t *at, *end;
};

static unsigned next(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* What a record that can be opened is worth. */
static void expect(int type, const unsigned char *contents, size_t len)
{
	expected.alert |= type == SOQ__TLS_ALERT && len == 2;
	if (expected.ended || expected.faulty)
		return;
	if (type == SOQ__TLS_DATA && len > 0) {
		memcpy(expected.plain + expected.len, contents, len);
		expected.len += len;
		expected.idle = 0;
		return;
	}
	if (++expected.idle > 32)
		expected.faulty = true;
	else if (type == SOQ__TLS_ALERT && len == 2 && contents[1] == 0)
		expected.ended = true;
	else if (type == SOQ__TLS_ALERT && len == 2 && contents[1] == 90)
		;
	else if (type != SOQ__TLS_DATA)
		expected.faulty = true;
}

static bool is_update(int type, const unsigned char *contents, size_t len)
{
	static const unsigned char start[] = { 24, 0, 0, 1 };

	return type == SOQ__TLS_HANDSHAKE && len == 5 && contents[4] <= 1 &&
		memcmp(contents, start, sizeof(start)) == 0;
}

/* A sealed record of any type, perhaps none, followed by zeros. */
static void seal(struct soq__tls_record *client, int type, const unsigned char *contents,
	size_t len, size_t zeros)
{
	unsigned char inner[SOQ__TLS_PLAIN_MAX + 256];
	size_t inner_len = len + zeros;
	bool update = is_update(type, contents, len);

	if (net.len + inner_len + SOQ__TLS_MORE > sizeof(net.bytes))
		return;
	memcpy(inner, contents, len);
	memset(inner + len, 0, zeros);
	if (zeros > 0)
		inner[len] = (unsigned char)type;
	require(soq__tls_record_seal(client, zeros > 0 ? 0 : type, inner, inner_len,
			net.bytes + net.len) == (int)(inner_len + SOQ__TLS_MORE));
	net.len += inner_len + SOQ__TLS_MORE;
	/* Zeros alone are padding of a record without a type, and so are those before it. */
	while (type == 0 && len > 0)
		type = contents[--len];
	if (len > SOQ__TLS_PLAIN_MAX || inner_len + 17 > SOQ__TLS_PLAIN_MAX + 256)
		expected.faulty |= !expected.ended;
	else if (!update)
		expect(type, contents, len);
	else if (!expected.ended && !expected.faulty)
		expected.faulty = ++expected.idle > 32;
	if (update)
		require(soq__tls_record_update(client, true) == 0);
}

/* ---- the client's orders ---- */

static size_t contents_of(struct input *in, unsigned char *contents)
{
	size_t len = next(in);

	for (size_t i = 0; i < len; i++)
		contents[i] = (unsigned char)next(in);
	return len;
}

static void do_change(struct input *in)
{
	size_t at = next(in);
	unsigned char mask = (unsigned char)next(in);

	if (at >= net.len || mask == 0 || expected.faulty)
		return;
	net.bytes[net.len - 1 - at] ^= mask;
	expected.faulty = true;
}

static void do_raw(struct input *in)
{
	unsigned char bytes[256];
	size_t len = contents_of(in, bytes);

	if (len == 0 || net.len + len > sizeof(net.bytes))
		return;
	memcpy(net.bytes + net.len, bytes, len);
	net.len += len;
	if (!expected.ended)
		expected.faulty = true;
}

static void obey(struct soq__tls_record *client, struct input *in)
{
	static unsigned char big[SOQ__TLS_PLAIN_MAX + 240];
	unsigned char update[] = { 24, 0, 0, 1, 0 }, contents[256];
	size_t len;
	int type;

	switch (next(in) % KINDS) {
	case SEAL:
		type = (int)next(in);
		len = contents_of(in, contents);
		seal(client, type, contents, len, next(in));
		break;
	case CHANGE:
		do_change(in);
		break;
	case UPDATE:
		update[4] = next(in) & 1;
		seal(client, SOQ__TLS_HANDSHAKE, update, sizeof(update), 0);
		break;
	case RAW:
		do_raw(in);
		break;
	case END:
		seal(client, SOQ__TLS_ALERT, (unsigned char[]){ 1, 0 }, 2, 0);
		break;
	default: /* as long as may be, and a little longer */
		memset(big, 'b', sizeof(big));
		len = SOQ__TLS_PLAIN_MAX - 8 + next(in) % 16;
		seal(client, SOQ__TLS_DATA, big, len, next(in) % 16);
		break;
	}
}

/* ---- the server ---- */

struct outcome {
	int64_t code;
	size_t len;
	unsigned char plain[WIRE_MAX];
};

/* Whatever fails tells the client, and the client alone can read it. */
static void check_answer(unsigned cipher, int64_t code)
{
	struct soq__tls_record *client = record_new(cipher, true);
	size_t len = 0;

	require(net.answer_len > 0 || code != -SOQ_ETLS || expected.alert);
	if (net.answer_len > 0) {
		require(code == -SOQ_ETLS && net.answer_len == 2 + SOQ__TLS_MORE);
		require(soq__tls_record_open(client, net.answer, net.answer_len, &len) ==
			SOQ__TLS_ALERT);
		require(len == 2 && net.answer[SOQ__TLS_HEADER] == 2);
	}
	soq__tls_record_free(client);
}

static void serve(struct outcome *o, unsigned cipher, size_t step)
{
	struct soq_stream stream = { .worker = &worker };
	struct soq__tls_wire wire = { .stream = &stream };
	struct soq__tls_direct d = { .record = record_new(cipher, false) };
	const char *reason = NULL;

	net.read = net.answer_len = 0;
	net.step = step;
	o->len = 0;
	do {
		size_t room = 1 + o->len % 700;

		require(o->len + room <= sizeof(o->plain));
		o->code = soq__tls_direct_take(&d, &wire, o->plain + o->len, room, &reason);
		if (o->code == -EAGAIN)
			require(soq__tls_wire_fill(&wire, soq__tls_direct_want(&wire), 0) == 0);
		else if (o->code > 0)
			o->len += (size_t)o->code;
	} while (o->code > 0 || o->code == -EAGAIN);
	require(o->code == 0 || (reason && *reason));
	require(wire.in.capacity <= 65536);
	check_answer(cipher, o->code);
	soq__tls_record_free(d.record);
	soq__tls_wire_done(&wire);
}

static void check(const struct outcome *o)
{
	require(o->len <= expected.len);
	require(memcmp(o->plain, expected.plain, o->len) == 0);
	if (!expected.faulty) {
		require(o->len == expected.len);
		require(o->code == (expected.ended ? 0 : -SOQ_ETRUNCATED));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct outcome whole, cut;
	struct input in = { data, data + size };
	unsigned cipher = next(&in);
	struct soq__tls_record *client = record_new(cipher, true);

	net.len = 0;
	expected.len = expected.idle = 0;
	expected.ended = expected.faulty = expected.alert = false;
	for (unsigned orders = 0; in.at < in.end && orders < 100; orders++)
		obey(client, &in);
	soq__tls_record_free(client);
	serve(&whole, cipher, WIRE_MAX);
	check(&whole);
	serve(&cut, cipher, 1 + size % 7);
	require(whole.code == cut.code && whole.len == cut.len);
	require(memcmp(whole.plain, cut.plain, whole.len) == 0);
	return 0;
}
