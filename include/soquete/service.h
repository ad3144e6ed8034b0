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

/* What a service's handler gets as its argument. NULL is allowed: no log. */
struct soq_service_context {
	void (*access_log)(void *arg, const char *line); /* one line a request, without its
							    newline; NULL: none */
	void *access_log_arg;
	struct soq_http *http; /* http: the folder served */
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
	size_t header_max;	   /* bytes of a request's line and header. 0: 16 KiB */
	int64_t header_timeout_ns; /* from a request's first byte to the header's end. 0: 10 s
				    */
	int64_t keepalive_ns;	   /* between requests. 0: the server's idle timeout */
	unsigned requests_max;	   /* on one connection. 0: 1,000 */
	bool no_listing;	   /* 404 for a folder without an index.html */
	bool dotfiles;		   /* serve names that begin with a dot */
};

struct soq_http;

/** @return 0; -EINVAL, -ENOMEM, or why the root cannot be opened (-ENOENT, -ENOTDIR …) */
SOQ_API int soq_http_new(struct soq_http **ret, const struct soq_http_options *opt);
SOQ_API void soq_http_free(struct soq_http *http);

/** Serve HTTP; @context is a struct soq_service_context with its http set. */
SOQ_API int soq_http_handler(struct soq_stream *peer, void *context);

SOQ_API int soq_echo_handler(struct soq_stream *peer, void *context);
SOQ_API int soq_discard_handler(struct soq_stream *peer, void *context);
SOQ_API int soq_chargen_handler(struct soq_stream *peer, void *context);
SOQ_API int soq_daytime_handler(struct soq_stream *peer, void *context);
SOQ_API int soq_time_handler(struct soq_stream *peer, void *context);

/* Over UDP an answer is never longer than its request, never goes to a port of these
 * services (7, 13, 17, 19, 37), and is limited per address: no amplifier, no loop. */
SOQ_API int soq_echo_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context);
SOQ_API int soq_discard_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context);
SOQ_API int soq_chargen_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context);
SOQ_API int soq_daytime_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context);
SOQ_API int soq_time_dgram(struct soq_dgram *d, const struct soq_packet *p, void *context);

SOQ_END_C

#endif
