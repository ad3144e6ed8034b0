/* answer.c - what keeps the small services over UDP from being misused.
 *
 * A datagram's sender may be forged, so each answer may hit someone who never asked. It
 * must not be bigger than what was sent, nor start a conversation between two services.
 */
#include "answer.h"
#include "access_log.h"

#include <soquete/time.h>

/* echo, daytime, qotd, chargen and time answer whatever comes (RFC 862 and following). */
static bool is_answering_port(uint16_t port)
{
	static const uint16_t ports[] = { 7, 13, 17, 19, 37 };

	for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++)
		if (port == ports[i] || port == ports[i] + 8000)
			return true;
	return false;
}

bool soq__may_answer(
	const struct soq_packet *request, const struct soq_service_context *context)
{
	if (is_answering_port(soq_addr_port(&request->peer)))
		return false;
	if (!context || !context->dgram_limit)
		return true;
	return soq_rate_limit_take(context->dgram_limit, &request->peer);
}

int soq__answer(struct soq_dgram *d, const struct soq_packet *request,
	const struct soq_service_context *context, const char *service, const void *data,
	size_t len)
{
	struct soq__access access = { .request = soq__text_of(service), .began_ns = soq_now() };
	ssize_t n = soq_reply(d, request, data, len);

	if (n >= 0) {
		access.bytes = (uint64_t)n;
		soq__access_log(context, &request->peer, &access);
	}
	return SOQ_DONE;
}
