/* server.h - the parts of a server.
 *
 * A site is an endpoint with its handler. A lane is one thread's part of the server, with a
 * socket of its own for every site; only the fiber shape has more than one lane. Clients
 * belong to a lane, and how they are overlapped is the shape's business:
 *
 *	fiber       client.c    a runner, a fiber, while its handler runs; nothing between calls
 *	iterative   client.c    the same, but the lane waits for its end
 *	thread      thread.c    a thread that runs inline.c
 *	process     process.c   a process that runs inline.c
 *
 * Stopping is told through two latches (engine.h), which every lane, thread and process can
 * wait for: `drain` is set from the first stop on, `cancel` from the second.
 */
#ifndef SOQ__SERVER_H
#define SOQ__SERVER_H

#include <soquete/server.h>
#include <soquete/sync.h>
#include <pthread.h>
#include <stdatomic.h>
#include "net/dgram.h"
#include "net/net.h"

struct soq__site {
	char *text;  /* the endpoint as the user wrote it */
	char *exact; /* the same with the real port, for the other lanes */
	char *fiber_name;
	enum soq_scheme scheme;
	struct soq_tls *tls; /* borrowed from the options, or NULL: clients speak in clear */
	struct soq_addr addr;
	soq_handler *handler;	  /* a stream's, or NULL */
	soq_dgram_handler *dgram; /* a datagram's, or NULL */
	void *arg;
	/* Opened by soq_server_listen or _bind, handed to the first lane. */
	struct soq_listener *listener;
	struct soq_dgram *socket;
};

/* A descriptor that becomes readable for ever; -1: none. */
struct soq__latch {
	struct soq__engine *engine; /* that made it; a host's may have been closed since */
	const struct soq__engine_type *type;
	int fd;
};

struct soq_server {
	struct soq_server_options opt; /* every default filled in */
	struct soq__site *sites;
	size_t site_count;
	struct soq__latch drain;
	struct soq__latch cancel;
	_Atomic unsigned stops;
	_Atomic unsigned clients;
	bool running;
	bool ended; /* its sockets are gone */
	/* Of the lanes but the first: how many have opened their sockets, or failed to, and how
	 * many have ended where there is no thread to join; each sets the event. */
	_Atomic unsigned lanes_opened, lanes_ended;
	struct soq_event *lanes_changed;
	struct soq__peers *peers;
};

/* What a fiber of a lane serves: a client between two calls of its handler has no fiber. */
struct soq__served {
	struct soq__list node;
	struct soq__fiber *fiber; /* NULL: idle */
	bool greeting;		  /* TLS is being agreed on: nothing has been asked for yet */
};

struct soq__lane {
	struct soq_server *server;
	unsigned index; /* the first has the sockets of the sites */
	struct soq__worker *worker;
	struct soq_listener **listeners; /* by site; NULL where there is none */
	struct soq_dgram **sockets;
	struct soq_scope *acceptors;
	struct soq_mutex *turn;	   /* iterative: whose client is served now */
	struct soq_event *changed; /* a client has ended, or a stop has come */
	_Atomic unsigned clients;
	unsigned clients_max;
	bool draining;
	bool cancelled;		   /* the second stop has come */
	bool cancelling;	   /* no client is to go on */
	bool runner_ready;	   /* client.c: a runner has been started and has not begun */
	bool paused;		   /* for want of descriptors; has been logged */
	struct soq__list served;   /* struct soq__served */
	struct soq__list runnable; /* struct client of client.c */
	struct soq__list children; /* process shape: struct child of process.c */
};

/* ---- lane.c ---- */

/* Serve in this thread until stopped and drained. Suspends. @return as soq_server_run() */
int soq__lane_run(struct soq_server *server, unsigned index);

/* Whether the lane may take another client now. */
bool soq__lane_has_room(const struct soq__lane *lane);
bool soq__lane_is_empty(const struct soq__lane *lane);
/* Suspend until one of these holds. @return 0, -ETIMEDOUT, -ECANCELED */
int soq__lane_await(struct soq__lane *lane, bool (*holds)(const struct soq__lane *lane));
void soq__lane_client_began(struct soq__lane *lane);
/* May be called by any thread. */
void soq__lane_client_ended(struct soq__lane *lane);

/* ---- accept.c ---- */

struct soq__acceptor {
	struct soq__lane *lane;
	size_t site;
};

/* A fiber's main function: takes clients until cancelled. @arg  a struct soq__acceptor,
 * which it frees */
void soq__accept_main(void *arg);

/* Take in, without waiting, the clients that the kernel has accepted before the stop, and not
 * those that go on coming. */
void soq__accept_backlog(struct soq__lane *lane, size_t site);

/* ---- the shapes ---- */

/* Hand an accepted descriptor over; it is the callee's in any case.
 * @return 0, or a negative code when the client could not be served */
int soq__client_start(struct soq__lane *lane, const struct soq__site *site, int fd,
	const struct soq_addr *peer);
int soq__thread_start(struct soq__lane *lane, const struct soq__site *site, int fd,
	const struct soq_addr *peer);
int soq__process_start(struct soq__lane *lane, const struct soq__site *site, int fd,
	const struct soq_addr *peer);

/* client.c: close the clients that have no request in flight; cancel the others. */
void soq__clients_close_idle(struct soq__lane *lane);
void soq__clients_cancel(struct soq__lane *lane);
/* process.c: end the children that did not heed the cancellation. */
void soq__processes_kill(struct soq__lane *lane);

/* Run @main in a thread, or in a child process, that counts as a client of the lane.
 * @main  frees @arg
 * @return 0, or a negative code, and @arg is still the caller's */
int soq__thread_run(struct soq__lane *lane, void (*main)(void *), void *arg);
int soq__process_run(struct soq__lane *lane, void (*main)(void *), void *arg);

/* ---- inline.c ---- */

/* What a thread or a process of its own serves: a client from first to last. */
struct soq__guest {
	struct soq_server *server;
	struct soq__lane *lane; /* NULL in a process of its own */
	const struct soq__site *site;
	int fd;
	struct soq_addr peer;
};

/* Serve a guest to its end, heeding the server's stop, and close it. */
void soq__inline_serve(const struct soq__guest *guest);

/* Call @fn(@arg) with the server's cancellation in force. */
void soq__inline_call(struct soq_server *server, void (*fn)(void *), void *arg);

/* Begin TLS with a new client where its site has it. Suspends for the handshake.
 * @return 0; a negative code, which has been logged */
int soq__greet(
	const struct soq_server *server, const struct soq__site *site, struct soq_stream *s);

/* Apply the server's limits to a new stream. */
void soq__apply_limits(const struct soq_server *server, struct soq_stream *s);

/* Close as the server's linger time allows. Suspends. */
void soq__finish_client(const struct soq_server *server, struct soq_stream *s);

/* Log what a handler returned, if it is an error. */
void soq__log_result(const struct soq_server *server, const struct soq__site *site, int rc);

/* ---- dgrams.c ---- */

/* A fiber's main function: serves datagrams until cancelled. @arg as soq__accept_main() */
void soq__dgram_main(void *arg);

/* ---- limits.c ---- */

struct soq__peers *soq__peers_new(void);
void soq__peers_free(struct soq__peers *peers);
/* Count a client of an address. @return false when it has @max already */
bool soq__peers_enter(struct soq__peers *peers, const struct soq_addr *addr, unsigned max);
void soq__peers_leave(struct soq__peers *peers, const struct soq_addr *addr);

/* ---- server.c ---- */

__attribute__((format(printf, 2, 3))) void soq__log(
	const struct soq_server *server, const char *format, ...);

#endif
