/* dgram_batch.c - many datagrams in one system call; see dgram.h.
 *
 * Source: recvmmsg(2), sendmmsg(2), udp(7).
 */
#include "net/dgram.h"
#include <soquete/time.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#define BATCH_MAX	 16    /* the frames must fit on the smallest stack */
#define SEGMENTS_MAX	 64    /* the kernel's UDP_MAX_SEGMENTS */
#define SEGMENTED_MAX	 65000 /* bytes of one segmented send, headers to spare */
#define SEGMENT_WORTH_IT 2

static int64_t wait_for(struct soq_dgram *d, short events, int64_t timeout_ns)
{
	struct soq__op op = { .code = SOQ__OP_POLL, .socket = &d->socket, .events = events };

	soq__list_init(&op.node);
	return soq__perform(&op, timeout_ns);
}

/* ---- receiving ---- */

static int recv_separate(struct soq_dgram *d, struct soq_packet *packets, unsigned count)
{
	struct soq__dgram_message messages[BATCH_MAX];
	struct mmsghdr headers[BATCH_MAX];
	int n;

	if (count > BATCH_MAX)
		count = BATCH_MAX;
	for (unsigned i = 0; i < count; i++) {
		soq__dgram_message(&messages[i], packets[i].data, packets[i].capacity);
		headers[i] = (struct mmsghdr){ .msg_hdr = messages[i].hdr };
	}
	n = soq__type(d->worker)->recv_many(&d->socket, headers, count);
	for (int i = 0; i < n; i++) {
		messages[i].hdr = headers[i].msg_hdr;
		soq__dgram_received(&packets[i], &messages[i], headers[i].msg_len);
	}
	return n;
}

static int recv_now(struct soq_dgram *d, struct soq_packet *packets, unsigned count)
{
	int n;

	if (!d->gro)
		return recv_separate(d, packets, count);
	n = (int)soq__gro_take(d, packets, count);
	if (n > 0)
		return n;
	n = soq__gro_fill(d);
	return n < 0 ? n : (int)soq__gro_take(d, packets, count);
}

int soq_recv_packets(struct soq_dgram *d, struct soq_packet *packets, unsigned count)
{
	int64_t rc = soq__begin(d->worker);
	int n;

	if (count == 0)
		return -EINVAL;
	if (rc < 0 || d->receiving)
		return rc < 0 ? (int)rc : -EBUSY;
	if (count > 1)
		soq__gro_enable(d);
	d->receiving = true;
	while ((n = recv_now(d, packets, count)) == -EAGAIN || n == -EINTR) {
		/* What was known to be drained before may be outdated by now. */
		rc = wait_for(d, POLLIN, d->recv_timeout_ns);
		if (rc < 0) {
			n = (int)rc;
			break;
		}
	}
	d->receiving = false;
	return n;
}

/* ---- sending ---- */

static bool same_route(const struct soq_packet *a, const struct soq_packet *b)
{
	return a->peer.len == b->peer.len &&
		memcmp(&a->peer.sa, &b->peer.sa, a->peer.len) == 0 &&
		a->local.len == b->local.len &&
		memcmp(&a->local.sa, &b->local.sa, a->local.len) == 0;
}

/* How many datagrams from the first on can go as one segmented send. */
static unsigned run_length(
	const struct soq_dgram *d, const struct soq_packet *packets, unsigned count)
{
	size_t bytes = packets[0].len;
	unsigned n = 1;

	if (d->no_segments || d->family == AF_UNIX || bytes == 0)
		return 1;
	while (n < count && n < SEGMENTS_MAX && packets[n].len == packets[0].len &&
		bytes + packets[n].len <= SEGMENTED_MAX && same_route(&packets[0], &packets[n]))
		bytes += packets[n++].len;
	return n;
}

/* One segmented send of @run datagrams. @return @run or a negative code */
static int send_run(struct soq_dgram *d, const struct soq_packet *packets, unsigned run)
{
	struct soq__dgram_message m;
	struct iovec iov[SEGMENTS_MAX];
	struct soq__op op = { .code = SOQ__OP_SENDMSG,
		.socket = &d->socket,
		.msg = &m.hdr,
		.flags = MSG_NOSIGNAL };
	int64_t rc;

	soq__dgram_to_send(&m, packets, packets[0].len);
	for (unsigned i = 0; i < run; i++)
		iov[i] = (struct iovec){ packets[i].data, packets[i].len };
	m.hdr.msg_iov = iov;
	m.hdr.msg_iovlen = run;
	soq__list_init(&op.node);
	rc = soq__perform(&op, d->send_timeout_ns);
	return rc < 0 ? (int)rc : (int)run;
}

/* Datagrams that have nothing in common. @return how many went, or a negative code */
static int send_some(struct soq_dgram *d, const struct soq_packet *packets, unsigned count)
{
	struct soq__dgram_message messages[BATCH_MAX];
	struct mmsghdr headers[BATCH_MAX];
	int64_t until_ns = soq__after(soq_now(), d->send_timeout_ns), rc;
	int64_t pause_ns = SOQ__DGRAM_PAUSE_FIRST_NS;
	int n;

	for (unsigned i = 0; i < count; i++) {
		soq__dgram_to_send(&messages[i], &packets[i], 0);
		headers[i] = (struct mmsghdr){ .msg_hdr = messages[i].hdr };
	}
	while ((n = soq__type(d->worker)->send_many(&d->socket, headers, count)) == -EAGAIN ||
		n == -EINTR) {
		rc = soq__dgram_is_blind(d, packets) ? soq__dgram_pause(until_ns, &pause_ns)
						     : wait_for(d, POLLOUT, d->send_timeout_ns);
		if (rc < 0)
			return (int)rc;
	}
	return n;
}

/* The kernel, or the interface, cannot cut segments: never ask again. */
static bool no_segments(int rc)
{
	return rc == -EINVAL || rc == -EIO || rc == -EOPNOTSUPP || rc == -ENOPROTOOPT ||
		rc == -EMSGSIZE;
}

static int send_next(struct soq_dgram *d, const struct soq_packet *packets, unsigned count)
{
	unsigned run = run_length(d, packets, count), single = 0;
	int rc;

	if (run >= SEGMENT_WORTH_IT) {
		rc = send_run(d, packets, run);
		if (rc >= 0 || !no_segments(rc))
			return rc;
		d->no_segments = true;
	}
	/* Up to where the next run begins. */
	do
		single++;
	while (single < count && single < BATCH_MAX &&
		run_length(d, packets + single, count - single) < SEGMENT_WORTH_IT);
	return send_some(d, packets, single);
}

int soq_send_packets(struct soq_dgram *d, const struct soq_packet *packets, unsigned count)
{
	unsigned sent = 0;
	int rc = soq__begin(d->worker);

	if (rc == 0)
		rc = soq__dgram_begin_send(d);
	if (rc < 0)
		return rc;
	while (sent < count && rc >= 0) {
		rc = send_next(d, packets + sent, count - sent);
		if (rc > 0)
			sent += (unsigned)rc;
	}
	soq__dgram_end_send(d);
	return sent > 0 || count == 0 ? (int)sent : rc;
}
