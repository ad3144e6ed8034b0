/* http.h - the parts of the HTTP service: one request and its answer.
 *
 *	http.c          receives a request, has it answered, decides what comes next
 *	http_file.c     finds what is asked for beneath the root, and sends it
 *	http_listing.c  writes a folder's listing
 *	http_reply.c    heads, errors and redirections
 *	http_page.c     what every page of the service's own looks like
 */
#ifndef SOQ__SERVICE_HTTP_H
#define SOQ__SERVICE_HTTP_H

#include <soquete/service.h>

#include "proto/http_request.h"
#include "proto/writer.h"

#define SOQ__HTTP_HEADER_MAX 16384

struct soq_http {
	int root; /* the folder served */
	size_t header_max;
	int64_t header_timeout_ns;
	int64_t keepalive_ns;
	unsigned requests_max;
	bool no_listing;
	bool dotfiles;
};

/* One request and its answer, on the handler's stack. */
struct soq__http_exchange {
	const struct soq_http *http;
	const struct soq_service_context *context;
	struct soq_stream *peer;
	char *buf;	  /* SOQ__HTTP_HEADER_MAX bytes; the request's texts point into it */
	size_t received;  /* bytes in buf */
	size_t used;	  /* of them, the request's; the rest is the next one's */
	bool is_complete; /* the head was understood */
	bool keep;	  /* the connection goes on after the answer */
	int64_t began_ns;
	int64_t now;			  /* seconds since 1970 */
	int status;			  /* that was answered; 0: none yet */
	uint64_t bytes;			  /* of content that were sent */
	struct soq__http_request request; /* last, for it is large and has its own init */
};

/* Begin an answer's head: the status line and the fields that every answer has. */
void soq__http_begin(struct soq__writer *w, struct soq__http_exchange *x, int status);

/* The fields of an answer's content. */
void soq__put_content(struct soq__writer *w, const char *type, uint64_t length);

/**
 * Send an answer: what is in @w, of which the first @head_len bytes are its head, and the
 * rest of its body. HEAD gets the head alone. Suspends.
 */
void soq__http_send(struct soq__http_exchange *x, const struct soq__writer *w, size_t head_len,
	struct soq__text more);

/* Send a head that has been begun, and behind it the page for the answer's status. @why as
 * below. Suspends. */
void soq__http_send_page(struct soq__http_exchange *x, struct soq__writer *w, const char *why);

/**
 * Answer with an error's page. Suspends.
 * @why  a sentence's beginning in lower case, or NULL for the status's own explanation
 */
void soq__http_send_error(struct soq__http_exchange *x, int status, const char *why);

/* Send the client to a folder's own address, with its slash. Suspends. */
void soq__http_send_redirect(struct soq__http_exchange *x, const struct soq__http_path *path);

/* Answer a GET or HEAD. Suspends. */
void soq__http_get(struct soq__http_exchange *x);

/* Answer with the listing of a folder. Suspends. */
void soq__http_send_listing(struct soq__http_exchange *x, const struct soq__http_path *path);

/* The status for a file that could not be opened. */
int soq__http_status_of(int error);

/* A page of the service's own. The nonce ties its style sheet to the policy in its head,
 * so that no markup that slipped in could bring another. */
struct soq__http_nonce {
	char text[33];
};
int soq__http_nonce_init(struct soq__http_nonce *ret);
void soq__put_page_policy(struct soq__writer *w, const struct soq__http_nonce *nonce);
void soq__put_page_begin(
	struct soq__writer *w, const struct soq__http_nonce *nonce, struct soq__text title);
void soq__put_page_end(struct soq__writer *w);

#endif
