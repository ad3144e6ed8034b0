/* sources: src/proto/[a-z]*.c */
/* http_request.c - any bytes as an HTTP request: head, target, conditions and body.
 *
 * What must hold: the outcome does not depend on how the bytes were cut; every text lies
 * within them; a path never leaves its root; what is escaped has no byte it should not.
 */
#include "proto/escape.h"
#include "proto/http_chunked.h"
#include "proto/http_condition.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_MAX 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* A text is empty, or within the input (or is the "/" that a target left out). */
static void require_within(struct soq__text t, const char *buf, size_t len)
{
	if (t.len == 0 || soq__text_equal(t, SOQ__TEXT("/")))
		return;
	require(t.at >= buf && t.at + t.len <= buf + len);
}

static int parse_in_steps(struct soq__http_request *r, const char *buf, size_t len, size_t step)
{
	int rc = SOQ__HTTP_MORE;

	soq__http_request_init(r, HEAD_MAX);
	for (size_t n = 0; rc == SOQ__HTTP_MORE && n < len;) {
		n = len - n < step ? len : n + step;
		rc = soq__http_request_parse(r, buf, n);
		require(rc != SOQ__HTTP_COMPLETE || r->head_len <= n);
	}
	return rc;
}

static void require_same(const struct soq__http_request *a, const struct soq__http_request *b)
{
	require(a->method == b->method && a->target.form == b->target.form);
	require(a->head_len == b->head_len && a->field_count == b->field_count);
	require(a->keep_alive == b->keep_alive && a->content_length == b->content_length);
	require(a->is_chunked == b->is_chunked && a->host.at == b->host.at);
	require(a->problem == b->problem);
	for (unsigned i = 0; i < a->field_count; i++)
		require(a->fields[i].value.at == b->fields[i].value.at &&
			a->fields[i].value.len == b->fields[i].value.len);
}

static void check_path(struct soq__text raw)
{
	struct soq__http_path p;
	const char *s = p.text;

	if (soq__http_path_decode(&p, raw))
		return;
	require(strlen(p.text) == p.len && p.text[0] != '/');
	require(p.len == 0 || p.text[p.len - 1] != '/');
	while (*s) {
		size_t n = strcspn(s, "/");

		require(n > 0 && !(n == 1 && s[0] == '.') && !(n == 2 && !memcmp(s, "..", 2)));
		s += n + (s[n] == '/');
	}
}

static void check_escapes(struct soq__text t)
{
	static void (*const put[])(struct soq__writer *, struct soq__text) = {
		soq__put_html,
		soq__put_uri_path,
		soq__put_uri_query,
	};

	for (size_t i = 0; i < 3; i++) {
		struct soq__writer w;

		soq__writer_init(&w, NULL, 0, 1 << 20);
		put[i](&w, t);
		for (size_t n = 0; n < w.len; n++)
			require((unsigned char)w.at[n] >= 0x20 && !strchr("<>\"", w.at[n]));
		soq__writer_done(&w);
	}
}

/* The body: the same bytes whatever the cut. @return a sum over them and the outcome */
static uint64_t decode(const char *at, size_t len, size_t step, size_t *ret_used)
{
	struct soq__http_chunked c;
	uint64_t sum = 0;
	int rc = SOQ__CHUNKED_MORE;
	size_t used = 0;

	soq__http_chunked_init(&c);
	while (rc <= SOQ__CHUNKED_DATA && used < len) {
		size_t n = len - used < step ? len - used : step;
		struct soq__text data, in = { at + used, n };

		rc = soq__http_chunked_next(&c, &in, &data);
		require(in.len <= n && (rc != SOQ__CHUNKED_MORE || in.len == 0));
		for (size_t i = 0; rc == SOQ__CHUNKED_DATA && i < data.len; i++)
			sum = sum * 31 + (unsigned char)data.at[i];
		used += n - in.len;
	}
	*ret_used = used;
	return sum * 31 + (uint64_t)(rc >= 400 ? rc : c.state);
}

static void check_body(const char *at, size_t len)
{
	size_t used[2];

	require(decode(at, len, len, &used[0]) == decode(at, len, 1, &used[1]));
	require(used[0] == used[1]);
}

static void check_complete(const struct soq__http_request *r, const char *buf, size_t len)
{
	struct soq__http_validators v = { SOQ__TEXT("\"a\""), 784111777 };
	uint64_t first = 0, last = 0;

	for (unsigned i = 0; i < r->field_count; i++) {
		require_within(r->fields[i].name, buf, r->head_len);
		require_within(r->fields[i].value, buf, r->head_len);
	}
	require_within(r->host, buf, r->head_len);
	require_within(r->target.path, buf, r->head_len);
	require_within(r->target.query, buf, r->head_len);
	check_path(r->target.path);
	check_escapes(r->target_text);
	soq__http_precondition(r, &v, 1732294800);
	if (soq__http_range_wanted(r, &v, 1732294800, 100, &first, &last) == SOQ__HTTP_PART)
		require(first <= last && last < 100);
	check_body(buf + r->head_len, len - r->head_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct soq__http_request *r = malloc(2 * sizeof *r);
	char *buf = malloc(size > 0 ? size : 1); /* exactly: AddressSanitizer sees its end */
	int rc;

	require(r && buf);
	if (size > 0)
		memcpy(buf, data, size);
	rc = parse_in_steps(&r[0], buf, size, size > 0 ? size : 1);
	require(rc == parse_in_steps(&r[1], buf, size, 1));
	require_same(&r[0], &r[1]);
	require(rc != SOQ__HTTP_MORE || size < HEAD_MAX);
	if (rc == SOQ__HTTP_COMPLETE)
		check_complete(&r[0], buf, size);
	check_path((struct soq__text){ buf, size });
	free(buf);
	free(r);
	return 0;
}
