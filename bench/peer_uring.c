/* peer_uring.c - echo by hand on io_uring: the limit of the completion model.
 *
 * One thread, one io_uring_enter per turn. Direct descriptors, multishot accept,
 * multishot receive into a ring of provided buffers; a buffer is echoed from
 * where it was received and goes back to the ring once it is sent.
 *
 * Invariant: a connection has at most one send in flight, so its bytes keep their
 * order; further buffers wait in its queue. A receive is armed unless the peer
 * has finished, no buffer is free, or the queue is long.
 *
 * Source: io_uring_setup(2), io_uring_prep_recv_multishot(3). Every call is in
 * liburing 2.3; the kernel is 6.1 or newer.
 */
#include "peer.h"

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define SQ_ENTRIES 4096
#define CQ_ENTRIES 16384
#define CONNS_MAX  16384
#define BUFS	   2048 /* a power of two */
#define BUF_BYTES  1024
#define QUEUE_LONG 32 /* buffers; beyond it a connection is not read */
#define BUF_GROUP  0
#define NONE	   (-1)

enum op { OP_ACCEPT, OP_RECV, OP_SEND, OP_CLOSE, OP_IGNORE };

struct buf {
	int next;	     /* in its connection's queue */
	uint32_t start, end; /* bytes not yet sent */
};

struct conn {
	int queue_head, queue_tail; /* buffers to send; the head may be in flight */
	unsigned queue_len;
	int starved_next;
	bool receiving, sending;
	bool send_inline;      /* the send in flight is one of sends_inline */
	bool finished, broken; /* the peer's end; an error */
	bool starved;	       /* the receive found no buffer */
};

struct server {
	struct io_uring ring;
	struct io_uring_buf_ring *buf_ring;
	char *buf_bytes;
	struct buf bufs[BUFS];
	struct conn conns[CONNS_MAX];
	int starved_head;      /* list of connections */
	unsigned bufs_back;    /* given back in this turn, not yet shown to the kernel */
	unsigned sends_inline; /* in flight, will have completed when submitted */
	bool accepting;
	bool eager; /* the completion of a send, by itself, gives us something to do */
	int listen_fd;
};

static struct io_uring_sqe *sqe_get(struct server *s, enum op op, int slot)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&s->ring)))
		io_uring_submit(&s->ring);
	/* The prep functions leave user_data alone. */
	sqe->user_data = (uint64_t)slot << 8 | op;
	return sqe;
}

static void accept_arm(struct server *s)
{
	struct io_uring_sqe *sqe = sqe_get(s, OP_ACCEPT, 0);

	io_uring_prep_multishot_accept_direct(sqe, s->listen_fd, NULL, NULL, 0);
	s->accepting = true;
}

static void recv_arm_if_due(struct server *s, int slot)
{
	struct conn *c = &s->conns[slot];
	struct io_uring_sqe *sqe;

	if (c->receiving || c->finished || c->broken || c->starved ||
		c->queue_len >= QUEUE_LONG)
		return;
	sqe = sqe_get(s, OP_RECV, slot);
	io_uring_prep_recv_multishot(sqe, slot, NULL, 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUF_GROUP;
	c->receiving = true;
}

/*
 * Not a shutdown, which would end the receive too: a kernel thread does that, and looks
 * the slot up when it may already be another connection's (seen on Linux 6.18). Should
 * a cancellation meet another connection's receive, that is armed again.
 */
static void recv_cancel(struct server *s, int slot)
{
	io_uring_prep_cancel64(sqe_get(s, OP_IGNORE, 0), (uint64_t)slot << 8 | OP_RECV, 0);
}

/*
 * With MSG_DONTWAIT a send ends, short or with -EAGAIN, in the very enter that
 * submits it: see wait_nr(). The rest of a send that fell short is waited for, and
 * not counted there.
 */
static void send_head(struct server *s, int slot, int msg_flags)
{
	struct conn *c = &s->conns[slot];
	struct buf *b = &s->bufs[c->queue_head];
	struct io_uring_sqe *sqe = sqe_get(s, OP_SEND, slot);

	io_uring_prep_send(sqe, slot, s->buf_bytes + c->queue_head * BUF_BYTES + b->start,
		b->end - b->start, MSG_NOSIGNAL | msg_flags);
	sqe->flags |= IOSQE_FIXED_FILE;
	c->sending = true;
	c->send_inline = msg_flags == MSG_DONTWAIT;
	s->sends_inline += c->send_inline;
}

static void buf_give_back(struct server *s, int buf)
{
	io_uring_buf_ring_add(s->buf_ring, s->buf_bytes + buf * BUF_BYTES, BUF_BYTES,
		(unsigned short)buf, io_uring_buf_ring_mask(BUFS), (int)s->bufs_back++);
}

static void queue_push(struct server *s, struct conn *c, int buf, uint32_t len)
{
	s->bufs[buf] = (struct buf){ .next = NONE, .end = len };
	if (c->queue_head == NONE)
		c->queue_head = buf;
	else
		s->bufs[c->queue_tail].next = buf;
	c->queue_tail = buf;
	c->queue_len++;
}

static void queue_pop(struct server *s, struct conn *c)
{
	int buf = c->queue_head;

	c->queue_head = s->bufs[buf].next;
	c->queue_len--;
	buf_give_back(s, buf);
}

/* Closes the connection once nothing of it is in flight. */
static void conn_close_if_over(struct server *s, int slot)
{
	struct conn *c = &s->conns[slot];

	if (c->sending || c->receiving || c->starved)
		return;
	if (c->broken)
		while (c->queue_head != NONE)
			queue_pop(s, c);
	if ((c->broken || c->finished) && c->queue_head == NONE)
		io_uring_prep_close_direct(sqe_get(s, OP_CLOSE, slot), (unsigned)slot);
}

/* What follows from any change of a connection's state. */
static void conn_settle(struct server *s, int slot)
{
	struct conn *c = &s->conns[slot];

	recv_arm_if_due(s, slot);
	conn_close_if_over(s, slot);
	if (c->sending && (c->queue_len > 1 || !c->receiving))
		s->eager = true;
}

static void starve(struct server *s, int slot)
{
	s->conns[slot].starved = true;
	s->conns[slot].starved_next = s->starved_head;
	s->starved_head = slot;
}

/* Those that found no buffer receive again, now that some are back. */
static void starved_rearm(struct server *s)
{
	int slot = s->starved_head;

	s->starved_head = NONE;
	while (slot != NONE) {
		struct conn *c = &s->conns[slot];
		int next = c->starved_next;

		c->starved = false;
		conn_settle(s, slot);
		slot = next;
	}
}

static void on_accept(struct server *s, const struct io_uring_cqe *cqe)
{
	s->accepting = cqe->flags & IORING_CQE_F_MORE;
	if (cqe->res >= 0) {
		s->conns[cqe->res] = (struct conn){ .queue_head = NONE, .queue_tail = NONE };
		recv_arm_if_due(s, cqe->res);
	}
	/* With no slot free, the next close arms it again. */
	if (!s->accepting && cqe->res != -ENFILE && cqe->res != -EMFILE)
		accept_arm(s);
}

static void on_recv(struct server *s, int slot, const struct io_uring_cqe *cqe)
{
	struct conn *c = &s->conns[slot];

	c->receiving = cqe->flags & IORING_CQE_F_MORE;
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		int buf = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

		if (cqe->res > 0 && !c->broken)
			queue_push(s, c, buf, (uint32_t)cqe->res);
		else
			buf_give_back(s, buf);
	}
	if (cqe->res == 0)
		c->finished = true;
	else if (cqe->res == -ENOBUFS)
		starve(s, slot);
	else if (cqe->res < 0 && cqe->res != -ECANCELED)
		c->broken = true;
	if (c->queue_head != NONE && !c->sending && !c->broken)
		send_head(s, slot, MSG_DONTWAIT);
	if (c->receiving && c->queue_len == QUEUE_LONG)
		recv_cancel(s, slot);
	conn_settle(s, slot);
}

static void on_send(struct server *s, int slot, const struct io_uring_cqe *cqe)
{
	struct conn *c = &s->conns[slot];
	struct buf *b = &s->bufs[c->queue_head];
	int msg_flags = MSG_DONTWAIT;

	c->sending = false;
	s->sends_inline -= c->send_inline;
	if (cqe->res < 0 && cqe->res != -EAGAIN) {
		if (c->receiving)
			recv_cancel(s, slot);
		c->broken = true;
	} else {
		b->start += cqe->res > 0 ? (uint32_t)cqe->res : 0;
		if (b->start == b->end)
			queue_pop(s, c);
		else
			msg_flags = MSG_WAITALL;
	}
	if (c->queue_head != NONE && !c->broken)
		send_head(s, slot, msg_flags);
	conn_settle(s, slot);
}

static void turn(struct server *s)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;

	s->eager = false;
	io_uring_for_each_cqe(&s->ring, head, cqe)
	{
		int slot = (int)(cqe->user_data >> 8);

		switch ((enum op)(cqe->user_data & 0xff)) {
		case OP_ACCEPT:
			on_accept(s, cqe);
			break;
		case OP_RECV:
			on_recv(s, slot, cqe);
			break;
		case OP_SEND:
			on_send(s, slot, cqe);
			break;
		case OP_CLOSE:
			if (!s->accepting)
				accept_arm(s);
			break;
		case OP_IGNORE:
			break;
		}
		seen++;
	}
	io_uring_cq_advance(&s->ring, seen);
	if (s->bufs_back) {
		io_uring_buf_ring_advance(s->buf_ring, (int)s->bufs_back);
		s->bufs_back = 0;
		starved_rearm(s);
	}
}

/*
 * The events to wait for. Every inline send will have given its own by the time the
 * kernel looks; when none of those gives us anything to do, one more is waited for,
 * which saves the turn that would only have learned that the sends are done.
 */
static unsigned wait_nr(const struct server *s)
{
	return s->eager || s->starved_head != NONE ? 1 : s->sends_inline + 1;
}

static void bufs_init(struct server *s)
{
	size_t ring_bytes = BUFS * sizeof(struct io_uring_buf);
	struct io_uring_buf_reg reg = { .ring_entries = BUFS, .bgid = BUF_GROUP };
	int r;

	s->buf_ring = mmap(NULL, ring_bytes + BUFS * BUF_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->buf_ring == MAP_FAILED)
		peer_die("mmap", errno);
	s->buf_bytes = (char *)s->buf_ring + ring_bytes;
	reg.ring_addr = (uint64_t)(uintptr_t)s->buf_ring;
	r = io_uring_register_buf_ring(&s->ring, &reg, 0);
	if (r < 0)
		peer_die("io_uring_register_buf_ring", -r);
	io_uring_buf_ring_init(s->buf_ring);
	for (int i = 0; i < BUFS; i++)
		buf_give_back(s, i);
	io_uring_buf_ring_advance(s->buf_ring, (int)s->bufs_back);
	s->bufs_back = 0;
}

static void ring_init(struct server *s)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_CQSIZE,
		.cq_entries = CQ_ENTRIES,
	};
	struct rlimit files;
	unsigned slots = CONNS_MAX;
	int r = io_uring_queue_init_params(SQ_ENTRIES, &s->ring, &params);

	if (r < 0)
		peer_die("io_uring_setup", -r);
	/* The table may not have more slots than the process may have files. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < slots)
		slots = (unsigned)files.rlim_cur;
	r = io_uring_register_files_sparse(&s->ring, slots);
	if (r < 0)
		peer_die("io_uring_register_files", -r);
	io_uring_register_ring_fd(&s->ring); /* an enter then finds the ring faster */
}

int main(void)
{
	static struct server server;
	struct server *s = &server;

	peer_init();
	s->starved_head = NONE;
	s->listen_fd = peer_listen();
	ring_init(s);
	bufs_init(s);
	accept_arm(s);
	peer_ready(s->listen_fd);
	for (;;) {
		int r = io_uring_submit_and_wait(&s->ring, wait_nr(s));

		if (r < 0 && r != -EINTR)
			peer_die("io_uring_enter", -r);
		turn(s);
	}
}
