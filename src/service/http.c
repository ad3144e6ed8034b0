/* http.c - HTTP/1.0 and 1.1: one call of the handler is one request.
 *
 * Between requests the connection holds neither stack nor buffer: what was received of the
 * next request goes back to the stream. The stream's data is the number of requests.
 * Source: RFC 9112.
 */
#include "http.h"
#include "access_log.h"

#include <soquete/fiber.h>
#include <soquete/time.h>

#include "proto/http_chunked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A body that comes with a request is skipped up to here, then the connection closes. */
#define BODY_MAX 65536

int soq_http_new(struct soq_http **ret, const struct soq_http_options *opt)
{
	struct soq_http *http;

	if (!opt->root || opt->header_timeout_ns < 0 || opt->keepalive_ns < 0)
		return -EINVAL;
	if (opt->header_max > 0 && (opt->header_max < 512 || opt->header_max > 16384))
		return -EINVAL;
	http = malloc(sizeof *http);
	if (!http)
		return -ENOMEM;
	*http = (struct soq_http){
		.root = open(opt->root, O_PATH | O_DIRECTORY | O_CLOEXEC),
		.header_max = opt->header_max ? opt->header_max : SOQ__HTTP_HEADER_MAX,
		.header_timeout_ns =
			opt->header_timeout_ns ? opt->header_timeout_ns : 10 * SOQ_S,
		.keepalive_ns = opt->keepalive_ns,
		.requests_max = opt->requests_max ? opt->requests_max : 1000,
		.no_listing = opt->no_listing,
		.dotfiles = opt->dotfiles,
	};
	if (http->root < 0) {
		int rc = -errno;

		free(http);
		return rc;
	}
	*ret = http;
	return 0;
}

void soq_http_free(struct soq_http *http)
{
	if (!http)
		return;
	close(http->root);
	free(http);
}

/* An instant from now on; a long timeout does not overflow. */
static int64_t soon(int64_t timeout_ns)
{
	int64_t at;

	return __builtin_add_overflow(soq_now(), timeout_ns, &at) ? SOQ_NEVER : at;
}

/**
 * Receive until the request's head is complete. The time allowed for it begins with its
 * first byte: until then, the stream's own timeout applies.
 *
 * @return SOQ__HTTP_COMPLETE; a status to answer; 0 when there is nobody to answer
 */
static int receive_head(struct soq__http_exchange *x)
{
	int64_t outer = SOQ_NEVER;
	int rc = SOQ__HTTP_MORE;
	ssize_t n;

	do {
		n = soq_recv(x->peer, x->buf + x->received, SOQ__HTTP_HEADER_MAX - x->received);
		if (n <= 0)
			break;
		if (x->received == 0) {
			x->began_ns = soq_now();
			outer = soq_deadline(soon(x->http->header_timeout_ns));
		}
		x->received += (size_t)n;
		rc = soq__http_request_parse(&x->request, x->buf, x->received);
	} while (rc == SOQ__HTTP_MORE);
	if (x->received == 0)
		return 0;
	soq_deadline_restore(outer);
	if (n == 0)
		x->request.problem = "the request ends before its header does";
	if (n <= 0)
		return n == 0 ? 400 : n == -ETIMEDOUT ? 408 : 0;
	return rc;
}

/* What to answer when a body did not come in whole. */
static int cut_short(struct soq__http_exchange *x, ssize_t n)
{
	if (n == 0)
		x->request.problem = "the request ends before its body does";
	return n == 0 ? 400 : 408;
}

static int skip_counted(struct soq__http_exchange *x)
{
	uint64_t left = x->request.content_length;
	size_t buffered = x->received - x->used;
	char buf[4096];

	if (left > BODY_MAX) {
		x->keep = false;
		return 0;
	}
	if (buffered > left)
		buffered = (size_t)left;
	x->used += buffered;
	left -= buffered;
	while (left > 0) {
		ssize_t n =
			soq_recv(x->peer, buf, left < sizeof buf ? (size_t)left : sizeof buf);

		if (n <= 0)
			return cut_short(x, n);
		left -= (uint64_t)n;
	}
	return 0;
}

/* Run the decoder over some bytes, to their end or the body's. */
static int skip_chunks(struct soq__http_chunked *c, struct soq__text *in)
{
	struct soq__text data;
	int rc;

	do
		rc = soq__http_chunked_next(c, in, &data);
	while (rc == SOQ__CHUNKED_DATA);
	return rc;
}

static int skip_chunked(struct soq__http_exchange *x)
{
	struct soq__text in = { x->buf + x->used, x->received - x->used };
	struct soq__http_chunked c;
	size_t skipped = 0;
	char buf[4096];
	int rc;

	soq__http_chunked_init(&c);
	rc = skip_chunks(&c, &in);
	x->used = x->received - in.len;
	while (rc == SOQ__CHUNKED_MORE && skipped < BODY_MAX) {
		ssize_t n = soq_recv(x->peer, buf, sizeof buf);

		if (n <= 0)
			return cut_short(x, n);
		skipped += (size_t)n;
		in = (struct soq__text){ buf, (size_t)n };
		rc = skip_chunks(&c, &in);
		if (rc == SOQ__CHUNKED_DONE && in.len > 0 &&
			soq_unrecv(x->peer, in.at, in.len) < 0)
			x->keep = false;
	}
	x->request.problem = c.problem;
	x->keep = x->keep && rc == SOQ__CHUNKED_DONE;
	return rc >= 400 ? rc : 0;
}

/* Nothing here takes a body: skip it, so that the next request can be found. A client that
 * asks before sending one is told the final status instead (RFC 9110 section 10.1.1), and
 * since it may send it all the same, the connection closes.
 * @return 0, or a status to answer */
static int skip_body(struct soq__http_exchange *x)
{
	int64_t outer;
	int rc;

	x->used = x->request.head_len;
	if (!soq__http_request_has_body(&x->request))
		return 0;
	if (x->request.expects_continue) {
		x->keep = false;
		return 0;
	}
	outer = soq_deadline(soon(x->http->header_timeout_ns));
	rc = x->request.is_chunked ? skip_chunked(x) : skip_counted(x);
	soq_deadline_restore(outer);
	return rc;
}

static void answer_options(struct soq__http_exchange *x)
{
	char buf[1024];
	struct soq__writer w;

	soq__writer_init(&w, buf, sizeof buf, sizeof buf);
	soq__http_begin(&w, x, 204);
	soq__put_string(&w, "Allow: GET, HEAD, OPTIONS\r\n\r\n");
	soq__http_send(x, &w, w.len, SOQ__TEXT(""));
}

static void answer(struct soq__http_exchange *x)
{
	switch (x->request.method) {
	case SOQ__HTTP_GET:
	case SOQ__HTTP_HEAD:
		soq__http_get(x);
		break;
	case SOQ__HTTP_OPTIONS:
		answer_options(x);
		break;
	case SOQ__HTTP_OTHER:
		soq__http_send_error(x, 501, NULL);
		break;
	default:
		soq__http_send_error(x, 405, NULL);
		break;
	}
}

/* Of a request that was not understood, the log shows its first line, as far as it came. */
static struct soq__text first_line(const struct soq__http_exchange *x)
{
	struct soq__text t = { x->buf, x->received };
	const char *end = memchr(t.at, '\n', t.len);

	if (x->request.line.at)
		return x->request.line;
	if (end)
		t.len = (size_t)(end - t.at);
	if (t.len > 0 && t.at[t.len - 1] == '\r')
		t.len--;
	return t;
}

static void write_log(const struct soq__http_exchange *x)
{
	struct soq__access access = {
		.request = first_line(x),
		.status = x->status,
		.bytes = x->bytes,
		.began_ns = x->began_ns,
	};
	struct soq_addr peer = { 0 };

	if (!soq__access_log_wanted(x->context))
		return;
	(void)soq_peer_addr(x->peer, &peer); /* unknown: logged as "-" */
	soq__http_field_only(&x->request, SOQ__TEXT("referer"), &access.referer);
	soq__http_field_only(&x->request, SOQ__TEXT("user-agent"), &access.agent);
	soq__access_log(x->context, &peer, &access);
}

/* Whether this answer may be followed by another on the same connection. */
static bool may_keep(struct soq__http_exchange *x)
{
	uintptr_t served = (uintptr_t)soq_stream_data(x->peer) + 1;

	soq_set_stream_data(x->peer, (void *)served, NULL); /* a number, no pointer */
	return x->request.keep_alive && served < x->http->requests_max && !soq_draining();
}

/* Leave the connection to its next request, or to its end. */
static int conclude(struct soq__http_exchange *x)
{
	size_t rest = x->received - x->used;

	if (!x->keep || (rest > 0 && soq_unrecv(x->peer, x->buf + x->used, rest) < 0))
		return SOQ_DONE;
	if (x->http->keepalive_ns > 0)
		soq_set_recv_timeout(x->peer, x->http->keepalive_ns);
	return SOQ_AGAIN;
}

int soq_http_handler(struct soq_stream *peer, void *arg)
{
	const struct soq_service_context *context = arg;
	char buf[SOQ__HTTP_HEADER_MAX];
	struct soq__http_exchange x;
	int rc;

	memset(&x, 0, offsetof(struct soq__http_exchange, request));
	x.http = context->http;
	x.context = context;
	x.peer = peer;
	x.buf = buf;
	soq__http_request_init(&x.request, x.http->header_max);

	rc = receive_head(&x);
	if (rc == 0)
		return SOQ_DONE;
	x.now = soq_wall_clock() / SOQ_S;
	if (rc == SOQ__HTTP_COMPLETE) {
		x.is_complete = true;
		x.keep = may_keep(&x);
		rc = skip_body(&x);
	}
	if (rc >= 400) {
		x.keep = false;
		soq__http_send_error(&x, rc, x.request.problem);
	} else {
		answer(&x);
	}
	write_log(&x);
	return conclude(&x);
}
