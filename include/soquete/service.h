/* service.h - the standard services, as handlers for a server.
 *
 * echo (RFC 862), discard (RFC 863), chargen (RFC 864), daytime (RFC 867) and time
 * (RFC 868), over TCP and UDP; http serves a folder (RFC 9110, RFC 9112).
 */
#ifndef SOQUETE_SERVICE_H
#define SOQUETE_SERVICE_H

#include <soquete/base.h>
#include <soquete/server.h>

SOQ_BEGIN_C

struct soq_http;
struct soq_rate_limit;

/* What a service's handler gets as its argument. NULL is allowed: no log, no limit. */
struct soq_service_context {
	void (*access_log)(
		void *arg, const char *line); /* one line a request, without its
						 newline, printable ASCII only; may be
						 called by any thread. NULL: none */
	void *access_log_arg;
	struct soq_http *http;		    /* http: the folder served */
	struct soq_rate_limit *dgram_limit; /* answers to datagrams; NULL: no limit */
};

struct soq_service {
	const char *name;
	const char *summary;
	uint16_t port;		  /* the standard one */
	soq_handler *handler;	  /* NULL when it has no stream form */
	soq_dgram_handler *dgram; /* NULL when it has no datagram form */
};

/** The @index-th service, or NULL past the last. */
SOQ_API const struct soq_service *soq_service_at(size_t index);

/** A service by its name, or NULL. */
SOQ_API const struct soq_service *soq_service_find(const char *name);

/* A folder to be served over HTTP. All zero is the default of each. */
struct soq_http_options {
	const char *root;	   /* the folder; nothing outside of it is ever opened */
	size_t header_max;	   /* bytes of a request's line and header, 512 to 16 KiB.
				      0: 16 KiB */
	int64_t header_timeout_ns; /* from a request's first byte to its header's end, and as
				      long again for a body to be skipped. 0: 10 s */
	int64_t keepalive_ns;	   /* between requests. 0: the server's idle timeout */
	unsigned requests_max;	   /* on one connection. 0: 1,000 */
	bool no_listing;	   /* 404 for a folder without an index.html */
	bool dotfiles;		   /* serve names that begin with a dot */
};

/**
 * Open a folder for soq_http_handler(), which any number of servers may share.
 *
 * @ret  owned by the caller, who frees it after the servers' end
 * @return 0; -EINVAL (no root, or an option out of range), -ENOMEM, or why the root
 *         cannot be opened (-ENOENT, -ENOTDIR, -EACCES ...)
 */
SOQ_API int soq_http_new(struct soq_http **ret, const struct soq_http_options *opt);
/** Accepts NULL. */
SOQ_API void soq_http_free(struct soq_http *http);

/**
 * Serve HTTP/1.0 and 1.1: GET, HEAD and OPTIONS of regular files and folders.
 * @context  a struct soq_service_context with its http set
 */
SOQ_API int soq_http_handler(struct soq_stream *peer, void *context);

/* The small services over streams; @context is a struct soq_service_context, or NULL. */
SOQ_API int soq_echo_handler(struct soq_stream *peer, void *context);
SOQ_API int soq_discard_handler(struct soq_stream *peer, void *context);
SOQ_API int soq_chargen_handler(struct soq_stream *peer, void *context);
SOQ_API int soq_daytime_handler(struct soq_stream *peer, void *context);
SOQ_API int soq_time_handler(struct soq_stream *peer, void *context);

/* The same over datagrams; no amplifier, no loop:
 *  - An answer is never longer than its request. The one exception: daytime and time,
 *    whose clients send empty datagrams, may answer up to 18 bytes, which the shortest
 *    Ethernet frame carries in any case, so that no byte more is on the wire.
 *  - None goes to a port of these services (7, 13, 17, 19, 37), nor to the ports 8,000
 *    above, where soquete itself has them by default.
 *  - The context's dgram_limit says how many go to one address. */
SOQ_API int soq_echo_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context);
SOQ_API int soq_discard_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context);
SOQ_API int soq_chargen_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context);
SOQ_API int soq_daytime_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context);
SOQ_API int soq_time_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context);

/**
 * A limit per peer address (an IPv4 address, an IPv6 /64), of a fixed size in memory
 * however many addresses there are. Shared by threads, and by processes forked later.
 *
 * @per_second  1 to 1,000: the rate allowed on and on
 * @burst       at least 1: how many may come at once after a rest
 * @return 0; -EINVAL, -ENOMEM
 */
SOQ_API int soq_rate_limit_new(
	struct soq_rate_limit **ret, unsigned per_second, unsigned burst);

/** Whether a further answer may go to an address now; if so, it is counted. */
SOQ_API bool soq_rate_limit_take(struct soq_rate_limit *limit, const struct soq_addr *peer);

/** Accepts NULL. */
SOQ_API void soq_rate_limit_free(struct soq_rate_limit *limit);

SOQ_END_C

#endif
