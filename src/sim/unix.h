/* unix.h - what the files of simulated Unix sockets share.
 *
 *	unix.c         what both kinds have: names, options, credentials, life
 *	unix_name.c    the names of a host
 *	unix_rights.c  descriptors in messages
 *	unix_stream.c  streams and listeners
 *	unix_dgram.c   datagrams
 */
#ifndef SOQ__SIM_UNIX_H
#define SOQ__SIM_UNIX_H

#include "sim/sim.h"

struct soq__sim_unix_socket;

/* A path or an abstract name. Found in its host's table while it is bound or, a path after a
 * crash, stale; those who were connected to it keep it beyond. */
struct soq__sim_unix_name {
	struct soq__list node; /* of the table; on no list: it cannot be found any more */
	unsigned refs;
	int type;			     /* SOCK_STREAM, SOCK_DGRAM */
	struct soq__sim_unix_socket *socket; /* NULL: stale, or gone */
	struct soq_addr addr;
};

/* What both kinds have. */
struct soq__sim_unix_socket {
	struct soq__sim_socket base;
	struct soq__sim_unix_name *name; /* NULL: unnamed. Of an accepted one: its listener's */
	struct ucred peer;		 /* SO_PEERCRED; a listener's: its own */
	uint8_t shut;			 /* SOQ__SIM_IN, SOQ__SIM_OUT */
	int error;			 /* to be told once, positive; 0: none */
	int send_buffer, recv_buffer;
	int keepalive; /* these two have no effect on a Unix socket */
	struct linger linger;
};

static inline struct soq__sim_unix_socket *soq__sim_unix_of(const struct soq__sim_socket *s)
{
	return soq__container_of(s, struct soq__sim_unix_socket, base);
}

extern const struct soq__sim_proto soq__sim_unix_stream_proto;
extern const struct soq__sim_proto soq__sim_unix_dgram_proto;

/* ---- unix.c ---- */

#define SOQ__SIM_UNIX_KNOWN_FLAGS (MSG_NOSIGNAL | MSG_DONTWAIT | MSG_CONFIRM | MSG_EOR)

void soq__sim_unix_init(struct soq__sim_unix_socket *u, const struct soq__sim_proto *proto,
	struct soq_sim_host *host);
/* The process that runs: its number at its host, user and group 0. */
struct ucred soq__sim_unix_self(const struct soq_sim_host *host);
/* Take the error that waits to be told. @return 0, or a negative code */
int64_t soq__sim_unix_take_error(struct soq__sim_unix_socket *u);
int soq__sim_unix_bind(struct soq__sim_socket *base, const struct soq_addr *addr);
int soq__sim_unix_set_option(
	struct soq__sim_socket *base, int level, int option, const void *value, socklen_t len);
int soq__sim_unix_get_option(
	const struct soq__sim_socket *base, int level, int option, void *value, socklen_t *len);
int soq__sim_unix_local_addr(const struct soq__sim_socket *base, struct soq_addr *ret);
/* The events of poll(2) that both kinds have, but for writing. */
short soq__sim_unix_events(const struct soq__sim_unix_socket *u, bool has_input);
/* As SHUT_RD and so on. @return the directions, or -EINVAL */
int soq__sim_unix_directions(int how);

/* ---- unix_name.c ---- */

/* What an address says: a name; an empty one (its length that of the family) to be drawn.
 * @return 0, -EINVAL */
int soq__sim_unix_parse(struct soq_addr *ret, const struct soq_addr *addr);
/* @return NULL when the name is taken; else with one reference, the socket's */
struct soq__sim_unix_name *soq__sim_unix_enter(
	struct soq__sim_unix_socket *u, const struct soq_addr *addr);
/* An abstract name that nobody has. @return NULL when there is none */
struct soq__sim_unix_name *soq__sim_unix_draw_name(struct soq__sim_unix_socket *u);
/* Part with its name, if it has one. @stale  the name stays, as in a crash */
void soq__sim_unix_unname(struct soq__sim_unix_socket *u, bool stale);
/* Who is bound to a name. @return 0, -ENOENT, -ECONNREFUSED, -EPROTOTYPE */
int soq__sim_unix_find(const struct soq_sim_host *host, const struct soq_addr *addr, int type,
	struct soq__sim_unix_socket **ret);
struct soq__sim_unix_name *soq__sim_unix_name_ref(struct soq__sim_unix_name *name);
void soq__sim_unix_name_unref(struct soq__sim_unix_name *name);
/* Of an unnamed socket (NULL): of length 0, as engines say it. */
void soq__sim_unix_name_addr(struct soq_addr *ret, const struct soq__sim_unix_name *name);
/* Fill in a message's sender. */
void soq__sim_unix_name_put(struct msghdr *msg, const struct soq__sim_unix_name *name);
/* For people: the name, or "an unnamed socket". */
const char *soq__sim_unix_name_text(
	char buf[SOQ_ADDR_TEXT_MAX], const struct soq__sim_unix_name *name);

/* ---- unix_rights.c ---- */

/* Descriptors on their way, copies of those that were sent. */
struct soq__sim_unix_rights {
	unsigned count;
	int fds[];
};

/* Take those of a message. @ret  NULL when it has none
 * @return 0, -EBADF, -EINVAL, -EMFILE */
int soq__sim_unix_rights_take(
	struct soq_sim *sim, const struct msghdr *msg, struct soq__sim_unix_rights **ret);
/* Give them to a receiver; what it has no room for is closed. @rights  may be NULL; freed */
void soq__sim_unix_rights_put(struct soq_sim *sim, struct msghdr *msg, size_t room,
	struct soq__sim_unix_rights *rights);
/* Copies of the same. */
struct soq__sim_unix_rights *soq__sim_unix_rights_copy(
	struct soq_sim *sim, const struct soq__sim_unix_rights *rights);
/* Close them. @abandoned  the host has crashed: its own sockets see to themselves */
void soq__sim_unix_rights_free(
	struct soq_sim *sim, struct soq__sim_unix_rights *rights, bool abandoned);

/* ---- unix_stream.c, unix_dgram.c ---- */

struct soq__sim_socket *soq__sim_unix_stream_new(struct soq_sim_host *host);
struct soq__sim_socket *soq__sim_unix_dgram_new(struct soq_sim_host *host);
void soq__sim_unix_stream_join(struct soq__sim_socket *a, struct soq__sim_socket *b);
void soq__sim_unix_dgram_join(struct soq__sim_socket *a, struct soq__sim_socket *b);

#endif
