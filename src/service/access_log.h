/* access_log.h - one line for each request served, in the Combined Log Format with the
 * duration in seconds behind it:
 *
 *	192.0.2.7 - - [22/Nov/2024:17:00:00 +0000] "GET / HTTP/1.1" 200 512 "-" "curl/8"
 *0.000312
 *
 * What the peer sent is escaped: no byte of it can end a field or a line, or reach a
 * terminal. The small services give their name as the request, and no status.
 */
#ifndef SOQ__SERVICE_ACCESS_LOG_H
#define SOQ__SERVICE_ACCESS_LOG_H

#include <soquete/service.h>

#include "proto/text.h"

struct soq__access {
	struct soq__text request;
	struct soq__text referer; /* empty: unknown */
	struct soq__text agent;	  /* empty: unknown */
	int status;		  /* 0: none */
	uint64_t bytes;		  /* of content */
	int64_t began_ns;	  /* on soq_now()'s clock */
};

/* Whether lines are wanted at all: a context may be NULL. */
bool soq__access_log_wanted(const struct soq_service_context *context);

/* Write a line, if wanted. */
void soq__access_log(const struct soq_service_context *context, const struct soq_addr *peer,
	const struct soq__access *access);

/**
 * Note that a client has come to a small service; the line is written when its stream
 * closes, for whatever reason, with the bytes counted until then. Uses the stream's data.
 * Calls after the first do nothing.
 *
 * @request  static text
 */
void soq__visit_begin(struct soq_stream *peer, const struct soq_service_context *context,
	const char *request);
void soq__visit_count(struct soq_stream *peer, size_t bytes);

#endif
