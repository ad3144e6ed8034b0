/* chargen.c - characters without end (RFC 864): the popular pattern of lines of 72 out of
 * the 95 printable ASCII characters, each line beginning one further on.
 */
#include "access_log.h"
#include "answer.h"

#define PRINTABLE  95
#define LINE_CHARS 72
#define LINE_BYTES (LINE_CHARS + 2)
#define PATTERN	   ((size_t)PRINTABLE * LINE_BYTES) /* after as many lines it begins again */
#define DGRAM_MAX  512				    /* RFC 864: 0 to 512 characters */

static void fill(char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t line = i / LINE_BYTES, column = i % LINE_BYTES;

		if (column < LINE_CHARS)
			buf[i] = (char)(' ' + (line + column) % PRINTABLE);
		else
			buf[i] = column == LINE_CHARS ? '\r' : '\n';
	}
}

/* Throw away some of what the peer has sent, if it has. @return false when there will be no
 * more of it */
static bool throw_away(struct soq_stream *peer)
{
	char buf[4096];

	return soq_recv(peer, buf, sizeof buf) != 0;
}

int soq_chargen_handler(struct soq_stream *peer, void *context)
{
	char pattern[PATTERN];
	bool peer_sends = true;
	ssize_t n;

	soq__visit_begin(peer, context, "chargen tcp");
	fill(pattern, sizeof pattern);
	soq_set_recv_timeout(peer, 0); /* to look, not to wait */
	do {
		n = soq_send(peer, pattern, sizeof pattern);
		soq__visit_count(peer, n > 0 ? (size_t)n : 0);
		peer_sends = peer_sends && throw_away(peer);
	} while (n == sizeof pattern && !soq_draining());
	return SOQ_DONE;
}

int soq_chargen_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context)
{
	char text[DGRAM_MAX];
	size_t len = p->len < sizeof text ? p->len : sizeof text;

	if (!soq__may_answer(p, context))
		return SOQ_DONE;
	fill(text, len);
	return soq__answer(d, p, context, "chargen udp", text, len);
}
