/* answer.h - answering a datagram of a small service, or not. */
#ifndef SOQ__SERVICE_ANSWER_H
#define SOQ__SERVICE_ANSWER_H

#include <soquete/service.h>

/* Bytes of a datagram that an Ethernet frame has room for in any case: its payload is at
 * least 46 bytes (IEEE 802.3), of which IPv4 and UDP take 28. */
#define SOQ__ANSWER_FREE 18

/**
 * Whether a datagram may be answered: it did not come from the port of a service that
 * would answer in turn, and its sender's allowance is not spent. Asked once a datagram.
 */
bool soq__may_answer(
	const struct soq_packet *request, const struct soq_service_context *context);

/**
 * Answer, and log it. Suspends.
 *
 * @service  for the log, static text
 * @return SOQ_DONE; what cannot be sent is lost, as any datagram may be
 */
int soq__answer(struct soq_dgram *d, const struct soq_packet *request,
	const struct soq_service_context *context, const char *service, const void *data,
	size_t len);

#endif
