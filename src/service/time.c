/* time.c - the seconds since 1900 as 32 bits, big-endian (RFC 868). They wrap in 2036. */
#include "access_log.h"
#include "answer.h"

#include <soquete/time.h>

#include <arpa/inet.h>

#define FROM_1900_TO_1970 INT64_C(2208988800)

static uint32_t time_now(void)
{
	return htonl((uint32_t)(soq_wall_clock() / SOQ_S + FROM_1900_TO_1970));
}

int soq_time_handler(struct soq_stream *peer, void *context)
{
	uint32_t now = time_now();
	ssize_t n;

	soq__visit_begin(peer, context, "time tcp");
	n = soq_send(peer, &now, sizeof now);
	soq__visit_count(peer, n > 0 ? (size_t)n : 0);
	return SOQ_DONE;
}

/* Four bytes are less than SOQ__ANSWER_FREE, whatever came. */
int soq_time_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context)
{
	uint32_t now = time_now();

	if (!soq__may_answer(p, context))
		return SOQ_DONE;
	return soq__answer(d, p, context, "time udp", &now, sizeof now);
}
