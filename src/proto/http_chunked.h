/* http_chunked.h - the chunked transfer coding, decoded as it arrives.
 *
 * Strict as the request's head is: sizes are bare hexadecimal digits, lines end in CRLF,
 * and what a sender may add (extensions, trailer fields) is bounded over the whole body.
 *
 * Source: RFC 9112 section 7.1.
 */
#ifndef SOQ__PROTO_HTTP_CHUNKED_H
#define SOQ__PROTO_HTTP_CHUNKED_H

#include "text.h"

#define SOQ__HTTP_EXTRAS_MAX 8192 /* bytes of extensions, and of trailer fields */

enum soq__http_chunked_state {
	SOQ__CHUNK_SIZE_FIRST, /* the first digit of a size */
	SOQ__CHUNK_SIZE,
	SOQ__CHUNK_EXTENSION,
	SOQ__CHUNK_SIZE_LF,
	SOQ__CHUNK_DATA,
	SOQ__CHUNK_DATA_CR,
	SOQ__CHUNK_DATA_LF,
	SOQ__CHUNK_TRAILER_FIRST, /* the first byte of a trailer field, or of the end */
	SOQ__CHUNK_TRAILER_NAME,
	SOQ__CHUNK_TRAILER_VALUE,
	SOQ__CHUNK_TRAILER_LF,
	SOQ__CHUNK_END_LF,
	SOQ__CHUNK_DONE,
};

struct soq__http_chunked {
	enum soq__http_chunked_state state;
	uint64_t left;	 /* bytes of the chunk not yet given out; its size while reading it */
	unsigned digits; /* of that size */
	size_t extras;	 /* bytes of extensions and trailers so far */
	const char *problem; /* after an error: what is wrong, in words */
};

enum {
	SOQ__CHUNKED_MORE = 0, /* all bytes were used; more are needed */
	SOQ__CHUNKED_DATA = 1, /* *ret_data has some of the body */
	SOQ__CHUNKED_DONE = 2, /* the body has ended */
};

void soq__http_chunked_init(struct soq__http_chunked *c);

/**
 * Decode up to the next piece of the body.
 *
 * @in  bytes received; those that were used are taken off its front
 * @return one of the above, or the status to answer before closing: 400, or 413 for a
 *         chunk or extras beyond all bounds
 */
int soq__http_chunked_next(
	struct soq__http_chunked *c, struct soq__text *in, struct soq__text *ret_data);

#endif
