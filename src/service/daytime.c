/* daytime.c - the date and time as text (RFC 867), in UTC. */
#include "access_log.h"
#include "answer.h"

#include <soquete/time.h>

#include "proto/civil.h"

/* The first of RFC 867's popular forms: "Friday, November 22, 2024 17:00:00-UTC". */
static void put_words(struct soq__writer *w, const struct soq__civil *c)
{
	soq__put_format(w, "%s, %s %d, %lld %02d:%02d:%02d-UTC\r\n",
		soq__weekday_name(c->weekday), soq__month_name(c->month), c->day,
		(long long)c->year, c->hour, c->minute, c->second);
}

/* ISO 8601's basic form, "20241122T170000Z": with its CRLF as long as SOQ__ANSWER_FREE. */
static void put_digits(struct soq__writer *w, const struct soq__civil *c)
{
	soq__put_format(w, "%04lld%02d%02dT%02d%02d%02dZ\r\n", (long long)c->year, c->month,
		c->day, c->hour, c->minute, c->second);
}

int soq_daytime_handler(struct soq_stream *peer, void *context)
{
	struct soq__civil c = soq__civil_from_unix(soq_wall_clock() / SOQ_S);
	char text[64];
	struct soq__writer w;
	ssize_t n;

	soq__visit_begin(peer, context, "daytime tcp");
	soq__writer_init(&w, text, sizeof text, sizeof text);
	put_words(&w, &c);
	n = soq_send(peer, w.at, w.len);
	soq__visit_count(peer, n > 0 ? (size_t)n : 0);
	return SOQ_DONE;
}

int soq_daytime_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context)
{
	struct soq__civil c = soq__civil_from_unix(soq_wall_clock() / SOQ_S);
	char text[64];
	struct soq__writer w;

	if (!soq__may_answer(p, context))
		return SOQ_DONE;
	soq__writer_init(&w, text, sizeof text, sizeof text);
	put_words(&w, &c);
	/* A short question gets a short answer, see service.h. */
	if (w.len > p->len) {
		w.len = 0;
		put_digits(&w, &c);
	}
	return soq__answer(d, p, context, "daytime udp", w.at, w.len);
}
