/* server.h - endpoints with their handlers, a shape, limits, and a life.
 *
 * The handler is written once, as the textbook draws it; the shape says how the server
 * overlaps its clients:
 *
 *	iterative   wait, handle, reply, wait: one client at a time
 *	process     a process for each client
 *	thread      a thread for each client
 *	fiber       a fiber for each client, on one or more workers
 */
#ifndef SOQUETE_SERVER_H
#define SOQUETE_SERVER_H

#include <soquete/base.h>
#include <soquete/dgram.h>
#include <soquete/stream.h>

SOQ_BEGIN_C

enum soq_shape {
	SOQ_SHAPE_DEFAULT, /* fiber */
	SOQ_SHAPE_ITERATIVE,
	SOQ_SHAPE_PROCESS,
	SOQ_SHAPE_THREAD,
	SOQ_SHAPE_FIBER,
};

struct soq_tls;

/* What a handler returns; a negative code counts as SOQ_DONE and is logged. */
enum {
	SOQ_DONE = 0,  /* the server finishes the stream gracefully */
	SOQ_AGAIN = 1, /* call again when the peer's next bytes arrive; until then the client
			  costs neither stack nor buffer */
};

/**
 * Handle a client. May suspend. Runs in a fiber, thread or process of its own, or in the
 * server's, according to the shape.
 *
 * @peer  borrowed: the server closes it
 * @arg   as given to soq_server_listen()
 */
typedef int soq_handler(struct soq_stream *peer, void *arg);

/**
 * Handle a datagram. May suspend. Answer with soq_reply().
 *
 * @d        borrowed
 * @request  borrowed until return
 */
typedef int soq_dgram_handler(struct soq_dgram *d, const struct soq_packet *request, void *arg);

/* All zero is the default of each. For no limit at all, SOQ_NEVER or UINT_MAX. */
struct soq_server_options {
	enum soq_shape shape;
	unsigned workers;     /* fiber: threads, each with a listener and an engine
				 of its own; 0: one */
	unsigned clients_max; /* at once; further ones wait unaccepted. 0: what the
				 descriptor limit allows; process and thread: 1,024 */
	unsigned
		clients_per_address_max; /* at once from one IPv4 address or IPv6 /64 that is
					    not this machine; further ones are closed. 0: 256 */
	int64_t idle_timeout_ns;	 /* without a byte from the peer. 0: 60 s */
	int64_t send_timeout_ns;	 /* without the peer taking a byte. 0: 60 s */
	int64_t request_timeout_ns;	 /* one call of the handler. 0: no limit, since a
					    handler may well serve a connection's whole life */
	int64_t linger_ns;		 /* waiting for the peer's end at close. 0: 2 s */
	int64_t grace_ns;		 /* from stop to cancelling what still runs. 0: 10 s */
	unsigned backlog;		 /* as soq_listen_options. 0: net.core.somaxconn */
	unsigned unix_mode;		 /* as soq_listen_options */
	struct soq_tls *tls;		 /* for the `tls://` endpoints, which need it. Borrowed
					    until soq_server_new() returns */
	bool stop_on_signals;		 /* SIGINT and SIGTERM stop the server, twice at once */
	void (*log)(void *log_arg, const char *line); /* one line an event worth a line:
							 accepting paused, client refused,
							 handler failed; may be called by any
							 thread. NULL: none */
	void *log_arg;
};

struct soq_server;

/**
 * The whole server in one call: listen, run until stopped. Suspends.
 *
 * @endpoint  text, see endpoint.h
 * @opt       NULL for the defaults
 * @return 0 after a stop; errors as soq_listen()
 */
SOQ_API int soq_serve(const char *endpoint, soq_handler *handler, void *arg,
	const struct soq_server_options *opt);

/** The same for a datagram endpoint. */
SOQ_API int soq_serve_dgrams(const char *endpoint, soq_dgram_handler *handler, void *arg,
	const struct soq_server_options *opt);

/** A server without endpoints yet. @return 0; -EINVAL, -ENOMEM */
SOQ_API int soq_server_new(struct soq_server **ret, const struct soq_server_options *opt);

/**
 * Listen on an endpoint; clients wait until soq_server_run(). Suspends to look a name up.
 * @return 0; errors as soq_listen(); -EBUSY when the server runs
 */
SOQ_API int soq_server_listen(
	struct soq_server *server, const char *endpoint, soq_handler *handler, void *arg);

/** Receive datagrams on an endpoint. @return 0; errors as soq_dgram_open();
 *  -EBUSY when the server runs */
SOQ_API int soq_server_bind(
	struct soq_server *server, const char *endpoint, soq_dgram_handler *handler, void *arg);

/**
 * The @index-th endpoint, in the order they were added, with its real port.
 * @scheme  may be NULL
 * @return 0; -ENOENT
 */
SOQ_API int soq_server_endpoint(const struct soq_server *server, size_t index,
	struct soq_addr *ret, enum soq_scheme *ret_scheme);

/**
 * Serve until stopped, then drain. Suspends. Stopping closes the listeners, lets requests
 * in flight end until the grace time is over, then cancels them. Idle clients are closed
 * at once. The calling fiber's cancellation or deadline stops the server at once.
 *
 * With stop_on_signals, SIGINT and SIGTERM are the server's from here on, in this thread and
 * those it starts; a program that announces itself before should block them first.
 *
 * @return 0 after a drain; -ETIMEDOUT when clients had to be cancelled; -ECANCELED;
 *         -EINVAL when there is no endpoint, or when it has run before; -EBUSY when it runs
 */
SOQ_API int soq_server_run(struct soq_server *server);

/**
 * Stop: the first call drains, the second cancels what still runs. May be called from any
 * thread, and from a signal handler.
 */
SOQ_API void soq_server_stop(struct soq_server *server);

/** How many clients the server has now, over all workers. */
SOQ_API unsigned soq_server_clients(const struct soq_server *server);

/** Free a server that does not run; closes its endpoints. Accepts NULL. */
SOQ_API void soq_server_free(struct soq_server *server);

/**
 * Whether the server that runs the calling handler is draining: a handler that keeps
 * connections alive may say goodbye.
 */
SOQ_API bool soq_draining(void);

/** The shape's word ("fiber"). */
SOQ_API const char *soq_shape_name(enum soq_shape shape);

/** The shape of a word. @return 0; -EINVAL */
SOQ_API int soq_shape_parse(enum soq_shape *ret, const char *word);

SOQ_END_C

#endif
