/* http_condition.h - conditional requests: whether a file is wanted, and which part.
 *
 * Source: RFC 9110 sections 8.8, 13 and 14.
 */
#ifndef SOQ__PROTO_HTTP_CONDITION_H
#define SOQ__PROTO_HTTP_CONDITION_H

#include "http_request.h"

/* What a representation is compared by. */
struct soq__http_validators {
	struct soq__text etag; /* as sent: "x" or W/"x" */
	int64_t modified;      /* Last-Modified, in seconds since 1970 */
};

/**
 * Evaluate If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since, in the
 * order of precedence of RFC 9110 section 13.2.2.
 *
 * @now  seconds since 1970
 * @return 0 to go on, 304, or 412
 */
int soq__http_precondition(
	const struct soq__http_request *r, const struct soq__http_validators *v, int64_t now);

enum soq__http_range {
	SOQ__HTTP_WHOLE,	 /* no range, or one to be ignored */
	SOQ__HTTP_PART,		 /* 206: *ret_first to *ret_last */
	SOQ__HTTP_UNSATISFIABLE, /* 416 */
};

/**
 * Read a Range field: one range of bytes. More than one is ignored, as is allowed.
 *
 * @size  bytes of the whole
 */
enum soq__http_range soq__http_range_parse(
	struct soq__text value, uint64_t size, uint64_t *ret_first, uint64_t *ret_last);

/**
 * Which part of a file a GET asks for: its Range, unless its If-Range names another
 * version of the file.
 */
enum soq__http_range soq__http_range_wanted(const struct soq__http_request *r,
	const struct soq__http_validators *v, int64_t now, uint64_t size, uint64_t *ret_first,
	uint64_t *ret_last);

#endif
