/* engine.h - the library's only door to kernel, clock, names and entropy.
 *
 * Completion-shaped: an operation is submitted, and completes exactly once, cancelled or
 * not. Until then its buffer is lent to the engine. An engine belongs to one thread.
 *
 * To add an engine: fill in a struct soq__engine_type and add it to the table in select.c.
 */
#ifndef SOQ__ENGINE_H
#define SOQ__ENGINE_H

#include <soquete/base.h>
#include <soquete/endpoint.h>
#include <soquete/names.h>
#include "base/list.h"

enum soq__op_code {
	SOQ__OP_RECV,	 /* buf, len, flags; result: bytes, 0 at the end */
	SOQ__OP_SEND,	 /* buf, len, flags; result: bytes, perhaps fewer than len */
	SOQ__OP_RECVMSG, /* msg, flags; result: bytes */
	SOQ__OP_SENDMSG, /* msg, flags; result: bytes */
	SOQ__OP_ACCEPT,	 /* addr; result: a descriptor */
	SOQ__OP_CONNECT, /* addr; result: 0 */
	SOQ__OP_POLL,	 /* events as poll(2); result: the events that are true, > 0 */
};

/* A socket, as its engine holds it. The engine's own fields start zeroed. */
struct soq__socket {
	int fd;
	bool short_read_drains; /* TCP: fewer bytes than asked for means none are left */
	bool nonblocking;	/* O_NONBLOCK is known to be set on the description */
	uint8_t state;		/* the engine's own bits */
	uint32_t registered;	/* epoll: the serial of the engine that watches it, or 0 */
	struct soq__op *in;	/* epoll: the operation that waits for input, else NULL */
	struct soq__op *out;	/* epoll: the one that waits for output */
};

/* An operation. The caller's until submitted, the engine's until it completes. */
struct soq__op {
	struct soq__list node; /* the engine's */
	enum soq__op_code code;
	struct soq__socket *socket;
	union {
		struct {
			void *buf;
			size_t len;
		};
		struct msghdr *msg;
		struct soq_addr *addr;
		short events;
	};
	int flags; /* MSG_…; with MSG_DONTWAIT it completes at once with -EAGAIN */
	int64_t result;
	/* Called by the engine's turn, or by cancel. May make fibers ready and submit
	 * operations; must not suspend. */
	void (*complete)(struct soq__op *op);
	void *owner;		    /* the caller's, for complete */
	struct soq__engine *engine; /* sim: who submitted it */
	uint8_t state;		    /* the engine's own bits; 0 when submitted */
	uint8_t refs;		    /* uring: completions still to come for this operation */
};

struct soq__engine {
	const struct soq__engine_type *type;
	/* Set by the scheduler before each submit: better done at once, if it can be, than
	 * submitted together with what others have. */
	bool at_once;
	struct soq__host_wake *wake; /* host engines: NULL until wake_open */
};

/* What to look up. */
struct soq__query {
	const char *host;    /* a name or a literal */
	const char *service; /* a service's name, or "" to use port */
	uint16_t port;
	bool datagram; /* for services that differ by protocol */
	bool passive;  /* to listen, not to connect */
};

struct soq__engine_type {
	const char *name;
	/* Its world is not the kernel's: descriptors are its own, there are no processes and
	 * no threads, and soq_offload() runs at once. */
	bool simulated;

	/* Why the engine cannot be had on this machine: 0 when it can, else a negative
	 * code, and the words in @ret_why, a static text. */
	int (*probe)(const char **ret_why);
	int (*open)(struct soq__engine **ret);
	void (*close)(struct soq__engine *e);
	/* Close in the child of a fork, without touching what the parent still uses. */
	void (*abandon)(struct soq__engine *e);

	/* @return true when the operation is complete already: result is set, and complete
	 * is not called. */
	bool (*submit)(struct soq__engine *e, struct soq__op *op);
	/* Receive or send (SOQ__OP_RECV, SOQ__OP_SEND) without waiting and without submitting.
	 * @return the result; -EAGAIN */
	int64_t (*attempt)(struct soq__engine *e, struct soq__op *op);
	/* Ask for an operation to end soon. It completes all the same, with -ECANCELED or
	 * with its result if that came first. */
	void (*cancel)(struct soq__engine *e, struct soq__op *op);
	/* Submit what is queued; wait for a completion until an instant (0: do not wait;
	 * SOQ_NEVER: without limit); complete what is complete. */
	void (*turn)(struct soq__engine *e, int64_t until_ns);

	/* Clock and chance. */
	int64_t (*now)(struct soq__engine *e);
	int64_t (*wall_clock)(struct soq__engine *e);
	int (*random)(struct soq__engine *e, void *buf, size_t len);

	/* Run @main(@arg) as a thread would: with a scheduler of its own, beside the caller's.
	 * NULL: threads are pthread_create(3)'s. @return 0, -ENOMEM */
	int (*start_thread)(struct soq__engine *e, void (*main)(void *arg), void *arg);

	/* How long offloaded work shall wait before it runs, and how long its result; NULL:
	 * work goes to the pool's threads. */
	int64_t (*offload_delay)(struct soq__engine *e);

	/* Look a name up: blocks, and so is called on the offload pool, perhaps when @e has
	 * been closed: a host engine does not look at it. A simulated one is asked for the
	 * ports of services only. */
	int (*resolve)(const struct soq__engine *e, const struct soq__query *query,
		struct soq_addrs *ret);
	/* Answer a question of the DNS: the message of RFC 1035 in @buf, and after how long it
	 * comes (SOQ_NEVER: it does not). NULL, which no simulated engine has: questions are
	 * asked over the network.
	 * @return the message's bytes, or a negative code, which takes as long */
	int (*answer)(struct soq__engine *e, const char *name, unsigned type, void *buf,
		size_t len, int64_t *ret_delay_ns);
	/* From which of our addresses packets to each of @to would come, by the routes there
	 * are; len 0 where there is none, or @to is of no Internet family. */
	void (*source_addrs)(struct soq__engine *e, const struct soq_addr *to,
		struct soq_addr *ret, size_t count);
	/* The index of an interface called so, or 0. */
	unsigned (*interface_index)(const struct soq__engine *e, const char *name);

	/* Let other threads interrupt turns: @heard(@arg) is called in the turn after each
	 * wake, or once for several. May be called again, to no effect.
	 * @return 0; -EMFILE, -ENFILE, -ENOMEM, -ENOSPC */
	int (*wake_open)(struct soq__engine *e, void (*heard)(void *arg), void *arg);
	/* From any thread, once wake_open has returned 0; a simulated one from its own. */
	void (*wake)(struct soq__engine *e);

	/* A descriptor that a POLL operation can wait for, and that is readable from the first
	 * set_latch on, for ever. A host engine's set_latch may be called by any thread, and by
	 * a signal's handler, and does not look at @e. */
	int (*open_latch)(struct soq__engine *e);
	void (*set_latch)(struct soq__engine *e, int fd);
	void (*close_latch)(struct soq__engine *e, int fd);

	/* A descriptor that is readable when one of these signals has come, which it takes
	 * from the process; read_signals takes one. @return the signal, or a negative code */
	int (*open_signals)(struct soq__engine *e, const int *signals, size_t count);
	int (*read_signals)(struct soq__engine *e, int fd);
	void (*close_signals)(struct soq__engine *e, int fd);

	/* How many descriptors a program may have. */
	unsigned (*descriptors_max)(const struct soq__engine *e);

	/* Sockets: as the system calls, with negative codes. */
	int (*open_socket)(struct soq__engine *e, struct soq__socket *ret, int family, int type,
		int protocol);
	int (*open_pair)(struct soq__engine *e, int type, int ret_fds[2]);
	/* Another descriptor of the same socket. */
	int (*duplicate)(struct soq__engine *e, int fd);
	/* Take a descriptor in: an accepted one, or one from outside (@foreign).
	 * @return 0; -EBADF, -ENOTSOCK */
	int (*adopt)(struct soq__engine *e, struct soq__socket *ret, int fd, bool foreign);
	/* Know nothing of a socket any more; its descriptor stays as it is. */
	void (*forget)(struct soq__engine *e, struct soq__socket *s);
	/* The same, and its descriptor is put in blocking mode. */
	int (*release)(struct soq__engine *e, struct soq__socket *s);
	void (*close_socket)(struct soq__engine *e, struct soq__socket *s);
	int (*bind)(struct soq__socket *s, const struct soq_addr *addr);
	int (*listen)(struct soq__socket *s, int backlog); /* 0: the largest */
	int (*shutdown)(struct soq__socket *s, int how);
	int (*set_option)(
		struct soq__socket *s, int level, int option, const void *value, socklen_t len);
	int (*get_option)(const struct soq__socket *s, int level, int option, void *value,
		socklen_t *len);
	int (*local_addr)(const struct soq__socket *s, struct soq_addr *ret);
	int (*peer_addr)(const struct soq__socket *s, struct soq_addr *ret);
	/* Send from a file without waiting: bytes, 0 at the file's end, -EAGAIN. */
	ssize_t (*send_file)(struct soq__socket *s, int fd, off_t *offset, size_t len);
	/* Receive or send several messages without waiting: as recvmmsg(2). */
	int (*recv_many)(struct soq__socket *s, struct mmsghdr *msgs, unsigned count);
	int (*send_many)(struct soq__socket *s, struct mmsghdr *msgs, unsigned count);
};

extern const struct soq__engine_type soq__engine_uring;
extern const struct soq__engine_type soq__engine_epoll;
extern const struct soq__engine_type soq__engine_sim; /* of src/sim; never by "auto" */

/* select.c: the engines this library has, NULL past the last. */
const struct soq__engine_type *soq__engine_at(size_t index);
/* The engine called @name, or NULL. */
const struct soq__engine_type *soq__engine_find(const char *name);
/* Open the engine that the process has chosen, or with "auto" the first that works;
 * @prefer (may be NULL) goes before the others in "auto". */
int soq__engine_open(struct soq__engine **ret, const struct soq__engine_type *prefer);
/* Choose for the process: NULL is "auto". */
void soq__engine_choose(const struct soq__engine_type *type);

/* host.c: the parts of an engine that the real ones share. */
int64_t soq__host_now(struct soq__engine *e);
int64_t soq__host_wall_clock(struct soq__engine *e);
int soq__host_random(struct soq__engine *e, void *buf, size_t len);
int soq__host_resolve(
	const struct soq__engine *e, const struct soq__query *query, struct soq_addrs *ret);
void soq__host_source_addrs(
	struct soq__engine *e, const struct soq_addr *to, struct soq_addr *ret, size_t count);
unsigned soq__host_interface_index(const struct soq__engine *e, const char *name);
int soq__host_wake_open(struct soq__engine *e, void (*heard)(void *arg), void *arg);
void soq__host_wake(struct soq__engine *e);
void soq__host_wake_close(struct soq__engine *e); /* when no operation is pending any more */
int soq__host_open_latch(struct soq__engine *e);
void soq__host_set_latch(struct soq__engine *e, int fd);
void soq__host_close_fd(struct soq__engine *e, int fd);
int soq__host_open_signals(struct soq__engine *e, const int *signals, size_t count);
int soq__host_read_signals(struct soq__engine *e, int fd);
unsigned soq__host_descriptors_max(const struct soq__engine *e);
int soq__host_open_pair(struct soq__engine *e, int type, int ret_fds[2]);
int soq__host_duplicate(struct soq__engine *e, int fd);
/* What adopt does with a descriptor from outside. @return 0; -EBADF, -ENOTSOCK */
int soq__host_check_foreign(int fd);
int soq__host_release(struct soq__engine *e, struct soq__socket *s);
int soq__host_bind(struct soq__socket *s, const struct soq_addr *addr);
int soq__host_listen(struct soq__socket *s, int backlog);
int soq__host_shutdown(struct soq__socket *s, int how);
int soq__host_set_option(
	struct soq__socket *s, int level, int option, const void *value, socklen_t len);
int soq__host_get_option(
	const struct soq__socket *s, int level, int option, void *value, socklen_t *len);
int soq__host_local_addr(const struct soq__socket *s, struct soq_addr *ret);
int soq__host_peer_addr(const struct soq__socket *s, struct soq_addr *ret);
ssize_t soq__host_send_file(struct soq__socket *s, int fd, off_t *offset, size_t len);
int soq__host_recv_many(struct soq__socket *s, struct mmsghdr *msgs, unsigned count);
int soq__host_send_many(struct soq__socket *s, struct mmsghdr *msgs, unsigned count);

/* Every host engine's table has these in common. */
#define SOQ__HOST_FUNCTIONS                                                                   \
	.now = soq__host_now, .wall_clock = soq__host_wall_clock, .random = soq__host_random, \
	.resolve = soq__host_resolve, .source_addrs = soq__host_source_addrs,                 \
	.interface_index = soq__host_interface_index, .wake_open = soq__host_wake_open,       \
	.wake = soq__host_wake, .open_latch = soq__host_open_latch,                           \
	.set_latch = soq__host_set_latch, .close_latch = soq__host_close_fd,                  \
	.open_signals = soq__host_open_signals, .read_signals = soq__host_read_signals,       \
	.close_signals = soq__host_close_fd, .descriptors_max = soq__host_descriptors_max,    \
	.open_pair = soq__host_open_pair, .duplicate = soq__host_duplicate,                   \
	.bind = soq__host_bind, .listen = soq__host_listen, .shutdown = soq__host_shutdown,   \
	.set_option = soq__host_set_option, .get_option = soq__host_get_option,               \
	.local_addr = soq__host_local_addr, .peer_addr = soq__host_peer_addr,                 \
	.send_file = soq__host_send_file, .recv_many = soq__host_recv_many,                   \
	.send_many = soq__host_send_many

#endif
