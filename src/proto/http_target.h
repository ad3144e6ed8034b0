/* http_target.h - what a request asks for: the four forms of a request's target, and a
 * path as the name of a file beneath a root.
 *
 * Source: RFC 9112 section 3.2, RFC 3986 sections 3.2, 3.3 and 5.2.4.
 */
#ifndef SOQ__PROTO_HTTP_TARGET_H
#define SOQ__PROTO_HTTP_TARGET_H

#include "text.h"

enum soq__http_form {
	SOQ__HTTP_ORIGIN,    /* /path?query */
	SOQ__HTTP_ABSOLUTE,  /* http://host/path?query */
	SOQ__HTTP_AUTHORITY, /* host:port, for CONNECT only */
	SOQ__HTTP_ASTERISK,  /* *, for OPTIONS only */
};

struct soq__http_target {
	enum soq__http_form form;
	bool is_https;		    /* absolute form: its scheme */
	struct soq__text authority; /* absolute and authority form; else empty */
	struct soq__text path;	    /* as sent, from its "/" on; empty where there is none */
	struct soq__text query;	    /* after the "?"; @at is NULL when there is no "?" */
};

/**
 * Take a target apart.
 *
 * @is_connect, @is_options  the request's method, which says which forms may be
 * @return NULL, or what is wrong with it: the answer is 400
 */
const char *soq__http_target_parse(struct soq__http_target *ret, struct soq__text target,
	bool is_connect, bool is_options);

/* Whether a Host field's value is one: host [":" port], perhaps empty, never with user
 * information (RFC 9110 section 7.2). */
bool soq__http_host_is_valid(struct soq__text host);

#define SOQ__HTTP_PATH_MAX 4096 /* PATH_MAX: bytes of a path, with its NUL */

/* A file's name, relative to a root: "a/b", or "" for the root itself. Its segments are
 * neither empty nor "." nor "..", and hold neither "/" nor NUL. */
struct soq__http_path {
	char text[SOQ__HTTP_PATH_MAX]; /* NUL-terminated */
	size_t len;
	bool is_folder;	 /* it ended in "/", "." or "..": only a folder can be meant */
	bool has_hidden; /* a segment begins with a dot */
};

/**
 * Decode a target's path, once: percent-decoding, then dot segments and empty segments
 * are removed.
 *
 * @return 0, or the status to answer: 400 for a broken escape, a NUL, or a path
 *         that climbs above the root; 404 for an escaped slash, which no file's name
 *         has; 414 when it is too long for any file
 */
int soq__http_path_decode(struct soq__http_path *ret, struct soq__text path);

#endif
