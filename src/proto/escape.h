/* escape.h - text written so that it cannot be taken for markup, a URI or a log line. */
#ifndef SOQ__PROTO_ESCAPE_H
#define SOQ__PROTO_ESCAPE_H

#include "writer.h"

/* For HTML text and for attributes in either kind of quote. Bytes that are not UTF-8
 * become U+FFFD, one each. */
void soq__put_html(struct soq__writer *w, struct soq__text t);

/* A path for a URI: all but unreserved characters and "/" percent-encoded, so that it is
 * also safe in HTML and in a header field (RFC 3986 section 2.1). */
void soq__put_uri_path(struct soq__writer *w, struct soq__text t);

/* A query that was received, for sending back: what is neither a URI's character nor "%"
 * is percent-encoded. */
void soq__put_uri_query(struct soq__writer *w, struct soq__text t);

/* For a field of a log line in double quotes: all but printable ASCII, and the quote and
 * the backslash, as \xHH. At most @max bytes of @t are written, then "...". */
void soq__put_log(struct soq__writer *w, struct soq__text t, size_t max);

#endif
