/* echo.c - whatever is sent comes back (RFC 862). */
#include "access_log.h"
#include "answer.h"

int soq_echo_handler(struct soq_stream *peer, void *context)
{
	char buf[16384];
	ssize_t n;

	soq__visit_begin(peer, context, "echo tcp");
	n = soq_recv(peer, buf, sizeof buf);
	if (n <= 0 || soq_send(peer, buf, (size_t)n) < n)
		return SOQ_DONE;
	soq__visit_count(peer, (size_t)n);
	return SOQ_AGAIN;
}

int soq_echo_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context)
{
	if (p->truncated || !soq__may_answer(p, context))
		return SOQ_DONE;
	return soq__answer(d, p, context, "echo udp", p->data, p->len);
}
