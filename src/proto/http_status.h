/* http_status.h - the words for HTTP's status codes (RFC 9110 section 15, RFC 6585). */
#ifndef SOQ__PROTO_HTTP_STATUS_H
#define SOQ__PROTO_HTTP_STATUS_H

/* "Not Found" for 404; "Unknown" for a code without words. */
const char *soq__http_reason(int status);

#endif
