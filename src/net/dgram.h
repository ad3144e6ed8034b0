/* dgram.h - what the files of datagram sockets share. */
#ifndef SOQ__DGRAM_H
#define SOQ__DGRAM_H

#include <soquete/dgram.h>
#include "net/net.h"

#define SOQ__UDP_SEGMENT 103 /* udp(7), UDP_SEGMENT; newer than some libc headers */

struct soq_dgram {
	struct soq__socket socket;
	struct soq__worker *worker;
	int family;
	bool receiving;
	struct soq_mutex *sending; /* NULL in a view */
	bool no_segments;	   /* the kernel cannot cut a segmented send here */
	bool gro_refused;	   /* nor join received datagrams */
	struct soq__gro *gro;	   /* joined datagrams; NULL before the first batched receive */
	int64_t recv_timeout_ns;
	int64_t send_timeout_ns;
	struct soq__unix_path *path; /* bound to, or NULL */
};

/* A datagram as the kernel takes it. */
struct soq__dgram_message {
	struct soq_addr name;
	struct iovec iov;
	struct msghdr hdr;
	union {
		char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) +
			CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
};

/* Lay out a message to receive into @data. */
void soq__dgram_message(struct soq__dgram_message *m, void *data, size_t len);
/* Fill in what a message of @len bytes told. */
void soq__dgram_received(struct soq_packet *p, struct soq__dgram_message *m, size_t len);
/* Lay out a message to send. @segment  bytes to cut it into, 0: one datagram */
void soq__dgram_to_send(
	struct soq__dgram_message *m, const struct soq_packet *p, size_t segment);

/* Between the two, the sending side is ours. The first suspends. */
int soq__dgram_begin_send(struct soq_dgram *d);
void soq__dgram_end_send(struct soq_dgram *d);

/* Whether nothing tells when there is room for a datagram again: poll(2) looks at the
 * receiver's queue only where a Unix socket is connected to it. */
bool soq__dgram_is_blind(const struct soq_dgram *d, const struct soq_packet *p);

#define SOQ__DGRAM_PAUSE_FIRST_NS (200 * SOQ_US)
#define SOQ__DGRAM_PAUSE_MOST_NS  (20 * SOQ_MS)

/* Then wait for a while before asking anew. Suspends. @pause_ns  how long; becomes longer
 * @return 0; -ETIMEDOUT, -ECANCELED */
int soq__dgram_pause(int64_t until_ns, int64_t *pause_ns);

/* As soq_dgram_open(); with @found_port as in struct soq__bind. */
int soq__dgram_open(struct soq_dgram **ret, const char *endpoint, bool found_port);

/* From now on the socket is the calling thread's. No operation may be pending on it. */
void soq__dgram_own(struct soq_dgram *d);

/* The same socket for use by another thread or process: lives no longer than @d, and needs
 * no closing. */
struct soq_dgram soq__dgram_view(const struct soq_dgram *d);

/* ---- dgram_gro.c ---- */

/* Let the kernel join datagrams from now on, if it can. */
void soq__gro_enable(struct soq_dgram *d);
/* Give out what has been received. @return how many datagrams */
unsigned soq__gro_take(struct soq_dgram *d, struct soq_packet *packets, unsigned count);
/* Receive without waiting, when all has been given out. @return > 0, or a negative code */
int soq__gro_fill(struct soq_dgram *d);

#endif
