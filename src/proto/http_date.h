/* http_date.h - HTTP's dates (RFC 9110 section 5.6.7). */
#ifndef SOQ__PROTO_HTTP_DATE_H
#define SOQ__PROTO_HTTP_DATE_H

#include "writer.h"

/* Write an IMF-fixdate: "Sun, 06 Nov 1994 08:49:37 GMT". */
void soq__put_http_date(struct soq__writer *w, int64_t seconds);

/**
 * Read a date in any of the three forms: IMF-fixdate, RFC 850's, asctime's. The name of
 * the weekday must be one, but is not compared with the date.
 *
 * @now  seconds since 1970: a two-digit year is never more than 50 years after it
 * @return 0; -EINVAL
 */
int soq__http_date_parse(struct soq__text t, int64_t now, int64_t *ret);

#endif
