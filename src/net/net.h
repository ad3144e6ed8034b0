/* net.h - what the files of net/ share: names to addresses, sockets to endpoints. */
#ifndef SOQ__NET_H
#define SOQ__NET_H

#include <soquete/endpoint.h>
#include <soquete/listener.h>
#include <soquete/stream.h>
#include "engine/engine.h"
#include "fiber/worker.h"

/* ---- names.c ---- */

/* The addresses of an endpoint of the Internet, in the order to try them. Suspends.
 * @ret      its list is the caller's to free
 * @passive  to listen
 * @return 0 with at least one; a negative code and a sentence */
int soq__resolve(struct soq_addrs *ret, const struct soq_endpoint *endpoint, bool passive);

/* The address of a Unix endpoint. */
void soq__unix_addr(struct soq_addr *ret, const struct soq_endpoint *endpoint);

bool soq__is_unix(const struct soq_endpoint *endpoint);

/* ---- connect.c ---- */

/* A connected stream of plain bytes to an endpoint that was parsed already: for tls:// what
 * TLS is to run over. Suspends.
 * @endpoint_text  as the user wrote it, for the sentence
 * @return 0; a negative code and a sentence */
int soq__connect(struct soq_stream **ret, const char *endpoint_text,
	const struct soq_endpoint *endpoint);

struct soq__unix_path;

/* ---- open.c ---- */

/* What to open a socket for. */
struct soq__bind {
	const char *verb; /* "listen", "bind": for the sentence */
	const char *text; /* the endpoint as the user wrote it */
	int type;	  /* SOCK_STREAM, SOCK_DGRAM */
	bool share_port;  /* with whoever shares it too */
	bool found_port;  /* with those who come after us only: it must be free now */
	bool ipv6_only;
	unsigned unix_mode;
};

/* Open a socket and bind it to an endpoint that is not fd://. Suspends for names.
 * @ret_path  the Unix path made, or NULL: to be given to soq__unix_unbind()
 * @return 0; a negative code and a sentence */
int soq__open_bound(struct soq__socket *ret, struct soq__unix_path **ret_path,
	const struct soq_endpoint *endpoint, const struct soq__bind *how);

/* Check an inherited descriptor and take it in. @return 0; -EBADF, -ENOTSOCK, -EPROTOTYPE */
int soq__open_inherited(struct soq__socket *ret, int fd, int type);

/* ---- unix_path.c ---- */

/* A path that we made, and how to know it again. */
struct soq__unix_path {
	dev_t device;
	ino_t inode;
	int lock; /* held until the path can be connected to; then -1 */
	char path[];
};

/* Bind to a path, taking over one that nobody listens on; soq__unix_connectable() is to
 * follow soon.
 * @ret  malloc'd
 * @return 0 or a negative code */
int soq__unix_bind(struct soq__unix_path **ret, struct soq__socket *s,
	const struct soq_addr *addr, unsigned mode);
/* From now on the path tells by itself that it is in use. Accepts NULL. */
void soq__unix_connectable(struct soq__unix_path *path);
/* Remove the path if it is still ours, and free it. Accepts NULL. */
void soq__unix_unbind(struct soq__unix_path *path);

/* ---- listener.c ---- */

/* As soq_listen(); with @found_port as in struct soq__bind. */
int soq__listen(struct soq_listener **ret, const char *endpoint,
	const struct soq_listen_options *opt, bool found_port);

/* As soq_accept(), without making a stream. @return a descriptor or a negative code */
int soq__accept_fd(struct soq_listener *l, struct soq_addr *ret_peer);

/* From now on the listener is the calling thread's. No operation may be pending on it. */
void soq__listener_own(struct soq_listener *l);

/* How many clients wait to be accepted, as far as the kernel tells; else UINT_MAX. */
unsigned soq__listener_waiting(const struct soq_listener *l);

/* Close a listener in the child of a fork: the path and the clients are the parent's. */
void soq__listener_abandon(struct soq_listener *l);

/* ---- stream.c ---- */

struct soq_stream {
	struct soq__socket socket;
	struct soq__worker *worker;
	bool receiving;
	bool sending;
	bool skip_line; /* the rest of a line that was too long is to be skipped */
	int send_error; /* why the last send fell short, told by the next */
	int64_t recv_timeout_ns;
	int64_t send_timeout_ns;
	char *buffer; /* received and not given out yet: [first, first + count) */
	size_t first;
	size_t count;
	size_t capacity;
	void *data;
	void (*free_data)(void *);
	struct soq_addr peer; /* as accepted or connected to; len 0: ask the kernel */
	struct soq__tls *tls; /* NULL: what is sent is what the socket takes (tls.h) */
};

/* A stream whose socket is still to be opened, or NULL. A socket stays where it is from
 * its opening to its closing, since engines point to it. */
struct soq_stream *soq__stream_alloc(void);
/* Its socket is connected. @peer  NULL or len 0 when unknown */
void soq__stream_connected(struct soq_stream *s, const struct soq_addr *peer);

/* Close a descriptor that no operation was ever made on. */
void soq__close_fd(int fd);

/* Make a stream of a descriptor, which is the stream's on success.
 * @peer  may be NULL */
int soq__stream_new(struct soq_stream **ret, int fd, bool foreign, const struct soq_addr *peer);

/* Give back the buffer of a stream that has nothing in it. */
void soq__stream_trim(struct soq_stream *s);

/* Receive into the stream's own buffer. Suspends. @return as soq_recv() */
ssize_t soq__stream_fill(struct soq_stream *s, size_t room);

/* Set an integer option of a socket. */
int soq__set_int(struct soq__socket *s, int level, int option, int value);

static inline const struct soq__engine_type *soq__type(const struct soq__worker *w)
{
	return w->engine->type;
}

#endif
