/* http_request.h - the head of an HTTP/1.0 or 1.1 request: its line and its fields.
 *
 * Strict, because two parsers that disagree about one request are a hole: lines end in
 * CRLF, a field is one line, Host is there once, and a body's length is given once and in
 * one way. Bytes may come one at a time: each is looked at once.
 *
 * Source: RFC 9112, RFC 9110 section 5.
 */
#ifndef SOQ__PROTO_HTTP_REQUEST_H
#define SOQ__PROTO_HTTP_REQUEST_H

#include "http_target.h"

#define SOQ__HTTP_FIELDS_MAX 100
#define SOQ__HTTP_LINE_MAX   8192 /* bytes of a request's line, and so of its target */

enum soq__http_method {
	SOQ__HTTP_OTHER, /* a method, but none of these */
	SOQ__HTTP_GET,
	SOQ__HTTP_HEAD,
	SOQ__HTTP_OPTIONS,
	SOQ__HTTP_POST,
	SOQ__HTTP_PUT,
	SOQ__HTTP_PATCH,
	SOQ__HTTP_DELETE,
	SOQ__HTTP_CONNECT,
	SOQ__HTTP_TRACE,
};

struct soq__http_field {
	struct soq__text name; /* as sent: compare without case */
	struct soq__text value;
};

struct soq__http_request {
	enum soq__http_method method;
	struct soq__text line; /* the request's line without its CRLF, for the log; empty
				  until it has come */
	struct soq__text method_text;
	struct soq__text target_text;
	struct soq__http_target target;
	struct soq__text host; /* the target's authority if it has one, else the Host field's
				  value, else empty */
	unsigned minor;	       /* of HTTP/1.minor: 0, or 1 for every later one */
	bool keep_alive;       /* the connection may serve a further request */
	bool expects_continue; /* Expect: 100-continue, from an HTTP/1.1 client */
	bool is_chunked;       /* a body follows: chunked, else of content_length bytes */
	uint64_t content_length;
	size_t head_len; /* once complete: bytes up to the body's first */

	struct soq__http_field fields[SOQ__HTTP_FIELDS_MAX];
	unsigned field_count;

	const char *problem; /* after an error: what is wrong, in words */

	/* The parser's own. */
	int outcome; /* once it is known */
	size_t head_max;
	size_t line_start; /* where the line that is being received begins */
	size_t scan;	  /* bytes before it were looked at, and end no line but earlier ones */
	bool has_skipped; /* one empty line before the request was skipped */
	unsigned host_count;
	unsigned length_count;
	unsigned coding_count;
	bool has_unknown_coding;
	bool says_close, says_keep_alive;
};

enum {
	SOQ__HTTP_MORE = 0,	/* more bytes are needed */
	SOQ__HTTP_COMPLETE = 1, /* head_len bytes are the request's head */
};

/* @head_max  bytes of a whole head; a longer one is 431, or 414 within its first line */
void soq__http_request_init(struct soq__http_request *r, size_t head_max);

/**
 * Look at what has been received so far.
 *
 * @buf  the request from its first byte: what the previous call was given, unmoved, with
 *       further bytes behind it. The texts of @r point into it.
 *
 * @return SOQ__HTTP_MORE, which it never is for @len >= head_max; SOQ__HTTP_COMPLETE; or
 *         the status to answer before closing: 400, 413, 414, 417, 431, 501, 505.
 *         A later call returns the same again.
 */
int soq__http_request_parse(struct soq__http_request *r, const char *buf, size_t len);

/* Whether a body follows the head. */
bool soq__http_request_has_body(const struct soq__http_request *r);

/**
 * The next field of a name.
 * @index  0 at first; moved past the field that is returned
 * @return NULL when there is none left
 */
const struct soq__http_field *soq__http_field_next(
	const struct soq__http_request *r, struct soq__text name, unsigned *index);

/**
 * The value of a field that may be there once.
 * @return false when it is not there, or more than once: then none of them counts
 */
bool soq__http_field_only(
	const struct soq__http_request *r, struct soq__text name, struct soq__text *ret);

#endif
