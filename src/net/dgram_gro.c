/* dgram_gro.c - datagrams of one flow, received several at a time.
 *
 * With UDP_GRO the kernel joins datagrams of one length and one sender, so that a copy and a
 * system call serve many. They are kept here and given out one by one. Switched on by the
 * first batched receive, never before: every receive on the socket must then come here.
 *
 * Invariant: the messages from next on, and of the first of these the bytes from at on, have
 * not been given out.
 * Source: udp(7), UDP_GRO.
 */
#include "net/dgram.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UDP_GRO_OPTION 104 /* UDP_GRO; newer than some libc headers */
#define MESSAGES       8
#define MESSAGE_MAX    65536

struct soq__gro {
	struct soq__dgram_message messages[MESSAGES];
	struct soq_packet packets[MESSAGES]; /* as received, several datagrams in each */
	size_t segments[MESSAGES];	     /* bytes of each datagram but the last */
	unsigned next;
	unsigned count;
	size_t at;
	char data[MESSAGES][MESSAGE_MAX];
};

void soq__gro_enable(struct soq_dgram *d)
{
	if (d->gro || d->gro_refused || d->family == AF_UNIX)
		return;
	/* Only what is received is ever touched of it. */
	d->gro = malloc(sizeof(*d->gro));
	if (d->gro && soq__set_int(&d->socket, IPPROTO_UDP, UDP_GRO_OPTION, 1) < 0) {
		free(d->gro);
		d->gro = NULL;
	}
	d->gro_refused = !d->gro;
	if (d->gro)
		d->gro->next = d->gro->count = 0;
}

static size_t segment_of(struct msghdr *hdr, size_t otherwise)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c))
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO_OPTION) {
			int bytes;

			memcpy(&bytes, CMSG_DATA(c), sizeof(bytes));
			return bytes > 0 ? (size_t)bytes : otherwise;
		}
	return otherwise;
}

int soq__gro_fill(struct soq_dgram *d)
{
	struct soq__gro *g = d->gro;
	struct mmsghdr headers[MESSAGES];
	int n;

	for (unsigned i = 0; i < MESSAGES; i++) {
		g->packets[i] =
			(struct soq_packet){ .data = g->data[i], .capacity = MESSAGE_MAX };
		soq__dgram_message(&g->messages[i], g->data[i], MESSAGE_MAX);
		headers[i] = (struct mmsghdr){ .msg_hdr = g->messages[i].hdr };
	}
	n = soq__type(d->worker)->recv_many(&d->socket, headers, MESSAGES);
	for (int i = 0; i < n; i++) {
		g->messages[i].hdr = headers[i].msg_hdr;
		soq__dgram_received(&g->packets[i], &g->messages[i], headers[i].msg_len);
		g->segments[i] = segment_of(&g->messages[i].hdr, headers[i].msg_len);
	}
	g->next = 0;
	g->count = n > 0 ? (unsigned)n : 0;
	g->at = 0;
	return n;
}

/* Give out the next datagram. */
static void take_one(struct soq__gro *g, struct soq_packet *p)
{
	const struct soq_packet *from = &g->packets[g->next];
	size_t len = soq__min_size(g->segments[g->next], from->len - g->at);
	void *data = p->data;
	size_t capacity = p->capacity;

	*p = *from;
	p->data = data;
	p->capacity = capacity;
	p->len = soq__min_size(len, capacity);
	p->truncated = len > capacity;
	if (p->len > 0)
		memcpy(data, (const char *)from->data + g->at, p->len);
	g->at += len;
	if (g->at >= from->len) {
		g->next++;
		g->at = 0;
	}
}

unsigned soq__gro_take(struct soq_dgram *d, struct soq_packet *packets, unsigned count)
{
	unsigned taken = 0;

	while (d->gro && taken < count && d->gro->next < d->gro->count)
		take_one(d->gro, &packets[taken++]);
	return taken;
}
