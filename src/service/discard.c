/* discard.c - whatever is sent is thrown away (RFC 863). */
#include "access_log.h"

int soq_discard_handler(struct soq_stream *peer, void *context)
{
	char buf[16384];
	ssize_t n;

	soq__visit_begin(peer, context, "discard tcp");
	n = soq_recv(peer, buf, sizeof buf);
	if (n <= 0)
		return SOQ_DONE;
	soq__visit_count(peer, (size_t)n);
	return SOQ_AGAIN;
}

int soq_discard_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context)
{
	return SOQ_DONE;
}
