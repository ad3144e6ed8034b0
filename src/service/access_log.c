/* access_log.c - one line for each request served. */
#include "access_log.h"

#include <soquete/time.h>

#include "proto/civil.h"
#include "proto/escape.h"

#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 4096
#define FIELD_MAX      512 /* bytes of a field shown, before they are escaped */

bool soq__access_log_wanted(const struct soq_service_context *context)
{
	return context && context->access_log;
}

/* The peer's host, without its port: "[::1]:80" is "::1". */
static void put_host(struct soq__writer *w, const struct soq_addr *peer)
{
	char text[SOQ_ADDR_TEXT_MAX];
	struct soq__text host;
	const char *colon;

	soq_addr_format(text, sizeof text, peer);
	host = soq__text_of(text);
	colon = strrchr(text, ':');
	if (colon && soq_addr_port(peer) > 0)
		host.len = (size_t)(colon - text);
	if (host.len > 2 && host.at[0] == '[')
		host = (struct soq__text){ host.at + 1, host.len - 2 };
	soq__put_log(w, host, FIELD_MAX);
}

static void put_time(struct soq__writer *w)
{
	struct soq__civil c = soq__civil_from_unix(soq_wall_clock() / SOQ_S);

	soq__put_format(w, " - - [%02d/%.3s/%lld:%02d:%02d:%02d +0000]", c.day,
		soq__month_name(c.month), (long long)c.year, c.hour, c.minute, c.second);
}

static void put_quoted(struct soq__writer *w, struct soq__text t)
{
	soq__put_string(w, " \"");
	soq__put_log(w, t.len > 0 ? t : SOQ__TEXT("-"), FIELD_MAX);
	soq__put_string(w, "\"");
}

void soq__access_log(const struct soq_service_context *context, const struct soq_addr *peer,
	const struct soq__access *access)
{
	char line[LINE_MAX_BYTES + 1];
	int64_t duration_us = (soq_now() - access->began_ns) / SOQ_US;
	struct soq__writer w;

	if (!soq__access_log_wanted(context))
		return;
	soq__writer_init(&w, line, LINE_MAX_BYTES, LINE_MAX_BYTES);
	put_host(&w, peer);
	put_time(&w);
	put_quoted(&w, access->request);
	if (access->status > 0)
		soq__put_format(&w, " %d ", access->status);
	else
		soq__put_string(&w, " - ");
	soq__put_u64(&w, access->bytes);
	put_quoted(&w, access->referer);
	put_quoted(&w, access->agent);
	soq__put_format(&w, " %lld.%06lld", (long long)(duration_us / 1000000),
		(long long)(duration_us % 1000000));
	line[w.len] = '\0';
	context->access_log(context->access_log_arg, line);
}

/* What is remembered of a small service's client while its stream is open. */
struct visit {
	const struct soq_service_context *context;
	struct soq_addr peer;
	struct soq__access access;
};

static void end_visit(void *data)
{
	struct visit *v = data;

	soq__access_log(v->context, &v->peer, &v->access);
	free(v);
}

void soq__visit_begin(
	struct soq_stream *peer, const struct soq_service_context *context, const char *request)
{
	struct visit *v;

	if (!soq__access_log_wanted(context) || soq_stream_data(peer))
		return;
	v = calloc(1, sizeof *v);
	if (!v)
		return;
	v->context = context;
	v->access.request = soq__text_of(request);
	v->access.began_ns = soq_now();
	(void)soq_peer_addr(peer, &v->peer); /* unknown: logged as "-" */
	soq_set_stream_data(peer, v, end_visit);
}

void soq__visit_count(struct soq_stream *peer, size_t bytes)
{
	struct visit *v = soq_stream_data(peer);

	if (v)
		v->access.bytes += bytes;
}
