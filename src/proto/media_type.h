/* media_type.h - what kind of thing a file holds, by its name. */
#ifndef SOQ__PROTO_MEDIA_TYPE_H
#define SOQ__PROTO_MEDIA_TYPE_H

#include "text.h"

/* The value for Content-Type: "text/html; charset=utf-8" for "index.html", and
 * "application/octet-stream" for a name that says nothing. Letter case is ignored. */
const char *soq__media_type(struct soq__text file_name);

#endif
