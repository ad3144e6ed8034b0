/* socket.c - descriptors of the simulated kernel, and how operations wait for them.
 *
 * An operation is tried at once; if it would have to wait it is parked on its socket, and
 * tried again whenever the socket changes. So a completion is never early, never lost, and
 * the order of those that wait is kept.
 *
 * Invariant: an operation is on its socket's list, or on its engine's list of those that are
 * done, or its caller's.
 */
#include "sim/sim.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_MAX (4 << 20) /* net.core.rmem_max and wmem_max */

/* ---- descriptors ---- */

void soq__sim_socket_init(struct soq__sim_socket *s, const struct soq__sim_proto *proto,
	struct soq_sim_host *host, int family)
{
	s->proto = proto;
	s->host = host;
	soq__list_init(&s->waiting);
	s->refs = 0;
	s->news = 0;
	s->is_trying = false;
	s->family = (uint8_t)family;
}

/* The lowest free place, as a kernel would choose. */
static size_t free_place(struct soq_sim *sim)
{
	size_t at = sim->fd_free;

	while (at < sim->fd_count && sim->fds[at].socket)
		at++;
	if (at == sim->fd_capacity) {
		sim->fd_capacity = sim->fd_capacity ? 2 * sim->fd_capacity : 64;
		sim->fds = soq__sim_realloc(sim->fds, sim->fd_capacity * sizeof(*sim->fds));
	}
	if (at == sim->fd_count)
		sim->fd_count++;
	sim->fd_free = at + 1;
	return at;
}

int soq__sim_fd_open(struct soq__sim_socket *s, struct soq__sim_engine *owner)
{
	struct soq_sim *sim = s->host->sim;
	size_t at;

	if (s->host->descriptors >= sim->opt.descriptors_max)
		return -EMFILE;
	at = free_place(sim);
	sim->fds[at] = (struct soq__sim_descriptor){ s, owner };
	s->refs++;
	s->host->descriptors++;
	return SOQ__SIM_FD_BASE + (int)at;
}

/* What an open descriptor stands for, or NULL. */
static struct soq__sim_descriptor *descriptor_of(const struct soq_sim *sim, int fd)
{
	size_t at = (size_t)fd - SOQ__SIM_FD_BASE;

	if (fd < SOQ__SIM_FD_BASE || at >= sim->fd_count || !sim->fds[at].socket)
		return NULL;
	return &sim->fds[at];
}

struct soq__sim_socket *soq__sim_socket_of(const struct soq_sim *sim, int fd)
{
	const struct soq__sim_descriptor *d = descriptor_of(sim, fd);

	return d ? d->socket : NULL;
}

void soq__sim_fd_take(struct soq_sim *sim, int fd, struct soq__sim_engine *owner)
{
	descriptor_of(sim, fd)->owner = owner;
}

/* Make a descriptor free. @return the socket, if this was its last one, else NULL */
static struct soq__sim_socket *put_back(struct soq_sim *sim, struct soq__sim_descriptor *d)
{
	struct soq__sim_socket *s = d->socket;
	size_t at = (size_t)(d - sim->fds);

	*d = (struct soq__sim_descriptor){ 0 };
	if (at < sim->fd_free)
		sim->fd_free = at;
	s->host->descriptors--;
	return --s->refs == 0 ? s : NULL;
}

static void close_descriptor(struct soq_sim *sim, struct soq__sim_descriptor *d)
{
	struct soq__sim_socket *last = put_back(sim, d);

	if (last)
		last->proto->close(last);
}

void soq__sim_fd_close(struct soq_sim *sim, int fd)
{
	struct soq__sim_descriptor *d = descriptor_of(sim, fd);

	if (d)
		close_descriptor(sim, d);
}

/* ---- the end of programs and hosts ---- */

/* Operations are on the stacks of fibers that are gone; others may wait for the same socket. */
static void forget_operations(struct soq__sim_socket *s, const struct soq__sim_engine *of)
{
	soq__list_for_each (node, &s->waiting)
		if (soq__container_of(node, struct soq__op, node)->engine == &of->base)
			soq__list_remove(node);
}

unsigned soq__sim_fds_leave(struct soq__sim_engine *owner)
{
	struct soq_sim *sim = owner->host->sim;
	unsigned count = 0;

	for (size_t i = 0; i < sim->fd_count; i++)
		if (sim->fds[i].socket && sim->fds[i].socket->host == owner->host)
			forget_operations(sim->fds[i].socket, owner);
	for (size_t i = 0; i < sim->fd_count; i++) {
		if (!sim->fds[i].socket || sim->fds[i].owner != owner)
			continue;
		close_descriptor(sim, &sim->fds[i]);
		count++;
	}
	return count;
}

static void abandon_socket(struct soq__sim_socket *s)
{
	while (soq__list_pop(&s->waiting))
		;
	s->proto->abandon(s);
}

void soq__sim_fds_abandon(struct soq_sim_host *host)
{
	struct soq_sim *sim = host->sim;

	for (size_t i = 0; i < sim->fd_count && host->descriptors > 0; i++) {
		struct soq__sim_socket *last;

		if (!sim->fds[i].socket || sim->fds[i].socket->host != host)
			continue;
		last = put_back(sim, &sim->fds[i]);
		if (last)
			abandon_socket(last);
	}
}

/* ---- operations ---- */

static unsigned directions_of(const struct soq__op *op)
{
	switch (op->code) {
	case SOQ__OP_SEND:
	case SOQ__OP_SENDMSG:
	case SOQ__OP_CONNECT:
		return SOQ__SIM_OUT;
	case SOQ__OP_POLL:
		/* An error or an end is news for either. */
		return SOQ__SIM_IN | SOQ__SIM_OUT;
	default:
		return SOQ__SIM_IN;
	}
}

static int64_t attempt(struct soq__sim_socket *s, struct soq__op *op)
{
	short events;

	if (op->code != SOQ__OP_POLL)
		return s->proto->attempt(s, op);
	events = s->proto->poll(s) & (short)(op->events | POLLERR | POLLHUP);
	return events ? events : -EAGAIN;
}

bool soq__sim_submit(struct soq__sim_socket *s, struct soq__op *op)
{
	op->result = attempt(s, op);
	if (op->result != -EAGAIN || (op->flags & MSG_DONTWAIT))
		return true;
	soq__list_append(&s->waiting, &op->node);
	return false;
}

static void try_waiting(struct soq__sim_socket *s, unsigned directions)
{
	soq__list_for_each (node, &s->waiting) {
		struct soq__op *op = soq__container_of(node, struct soq__op, node);
		int64_t result;

		if (!(directions_of(op) & directions))
			continue;
		result = attempt(s, op);
		if (result != -EAGAIN)
			soq__sim_complete(op, result);
	}
}

void soq__sim_changed(struct soq__sim_socket *s, unsigned directions)
{
	s->news |= (uint8_t)directions;
	/* A receive makes room, which lets the peer's send go on, which is news for us: the
	 * loop below takes it up when the receive is off the list. */
	if (s->is_trying)
		return;
	s->is_trying = true;
	while (s->news) {
		unsigned now = s->news;

		s->news = 0;
		try_waiting(s, now);
	}
	s->is_trying = false;
}

size_t soq__sim_shorten(struct soq__sim_socket *s, enum soq__sim_purpose purpose, size_t n)
{
	const struct soq_sim_options *opt = &s->host->sim->opt;
	uint64_t draw;

	if (n <= 1 || (purpose == SOQ__SIM_SHORT_READ ? opt->whole_reads : opt->whole_writes))
		return n;
	draw = soq__sim_host_draw(s->host, purpose);
	/* Every fourth is short, by any length. */
	return draw & 3 ? n : 1 + (size_t)soq__sim_below(draw * 0x9e3779b97f4a7c15u, n - 1);
}

/* ---- options ---- */

int soq__sim_put_int(void *value, socklen_t *len, int answer)
{
	if (*len < sizeof(answer))
		return -EINVAL;
	memcpy(value, &answer, sizeof(answer));
	*len = sizeof(answer);
	return 0;
}

int soq__sim_take_int(const void *value, socklen_t len, int *ret)
{
	if (len < sizeof(*ret))
		return -EINVAL;
	memcpy(ret, value, sizeof(*ret));
	return 0;
}

int soq__sim_put_part(void *value, socklen_t *len, const void *answer, size_t bytes)
{
	*len = (socklen_t)soq__min_size(*len, bytes);
	memcpy(value, answer, *len);
	return 0;
}

int soq__sim_doubled(int asked, int least)
{
	/* The kernel takes it for unsigned, so that a negative one is large. */
	unsigned bytes = (unsigned)asked > BUFFER_MAX ? BUFFER_MAX : (unsigned)asked;

	return (int)bytes * 2 < least ? least : (int)bytes * 2;
}

int soq__sim_get_option(
	const struct soq__sim_socket *s, int level, int option, void *value, socklen_t *len)
{
	if (level == SOL_SOCKET && option == SO_TYPE)
		return soq__sim_put_int(value, len, s->proto->type);
	if (level == SOL_SOCKET && option == SO_DOMAIN)
		return soq__sim_put_int(value, len, s->family);
	if (level == SOL_SOCKET && option == SO_PROTOCOL)
		return soq__sim_put_int(value, len, s->proto->protocol);
	return s->proto->get_option(s, level, option, value, len);
}

/* ---- messages ---- */

size_t soq__sim_iov_bytes(const struct msghdr *msg)
{
	size_t bytes = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		bytes += msg->msg_iov[i].iov_len;
	return bytes;
}

size_t soq__sim_gather(void *to, size_t room, const struct msghdr *from)
{
	size_t at = 0;

	for (size_t i = 0; i < from->msg_iovlen && at < room; i++) {
		const struct iovec *part = &from->msg_iov[i];
		size_t n = part->iov_len < room - at ? part->iov_len : room - at;

		if (n > 0)
			memcpy((char *)to + at, part->iov_base, n);
		at += n;
	}
	return at;
}

size_t soq__sim_scatter(struct msghdr *to, const void *from, size_t len)
{
	size_t at = 0;

	for (size_t i = 0; i < to->msg_iovlen && at < len; i++) {
		struct iovec *part = &to->msg_iov[i];
		size_t n = part->iov_len < len - at ? part->iov_len : len - at;

		if (n > 0)
			memcpy(part->iov_base, (const char *)from + at, n);
		at += n;
	}
	return at;
}

void soq__sim_put_control(
	struct msghdr *msg, size_t room, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c;

	if (!msg->msg_control || room - msg->msg_controllen < CMSG_LEN(len)) {
		msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	c = (struct cmsghdr *)((char *)msg->msg_control + msg->msg_controllen);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	/* The last one's padding need not fit. */
	msg->msg_controllen +=
		room - msg->msg_controllen < CMSG_SPACE(len) ? CMSG_LEN(len) : CMSG_SPACE(len);
}

/* ---- bytes ---- */

#define BYTES_LEAST 256

static void make_room(struct soq__sim_bytes *b, size_t len)
{
	uint32_t capacity = b->capacity ? b->capacity : BYTES_LEAST;

	if (b->first + b->count + len <= b->capacity)
		return;
	/* Moved only once as much has been dropped as is left: each byte moves once or so. */
	if (b->first >= b->count) {
		if (b->count > 0)
			memmove(b->data, b->data + b->first, b->count);
		b->first = 0;
	}
	while (capacity < b->first + b->count + len)
		capacity *= 2;
	if (capacity != b->capacity)
		b->data = soq__sim_realloc(b->data, capacity);
	b->capacity = capacity;
}

void soq__sim_bytes_put(struct soq__sim_bytes *b, const void *data, size_t len)
{
	if (len == 0)
		return;
	make_room(b, len);
	memcpy(b->data + b->first + b->count, data, len);
	b->count += (uint32_t)len;
}

void soq__sim_bytes_gather(struct soq__sim_bytes *b, const struct msghdr *from, size_t len)
{
	if (len == 0)
		return;
	make_room(b, len);
	b->count += (uint32_t)soq__sim_gather(b->data + b->first + b->count, len, from);
}

void soq__sim_bytes_peek(const struct soq__sim_bytes *b, size_t at, void *data, size_t len)
{
	if (len > 0)
		memcpy(data, b->data + b->first + at, len);
}

void soq__sim_bytes_drop(struct soq__sim_bytes *b, size_t len)
{
	b->first += (uint32_t)len;
	b->count -= (uint32_t)len;
	if (b->count == 0)
		soq__sim_bytes_done(b);
}

void soq__sim_bytes_done(struct soq__sim_bytes *b)
{
	free(b->data);
	*b = (struct soq__sim_bytes){ 0 };
}
