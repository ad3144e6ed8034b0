/* names_hosts.h - the machine's hosts file, read once and asked often. It may be long: reading
 * it blocks, finding a name in it does not.
 */
#ifndef SOQ__NAMES_HOSTS_H
#define SOQ__NAMES_HOSTS_H

#include <soquete/endpoint.h>

struct soq__hosts;

/* The whole of a file, malloc'd and NUL-terminated; NULL without it, or without memory. */
char *soq__read_file(const char *path, size_t *ret_len);

/* Read a hosts file; one that cannot be read is empty. @return NULL: no memory */
struct soq__hosts *soq__hosts_load(const char *path);
/* Accepts NULL. */
void soq__hosts_free(struct soq__hosts *h);

/* A name's addresses, in the file's order, without ports.
 * @h  may be NULL
 * @return how many there are; at most @room are written */
size_t soq__hosts_find(
	const struct soq__hosts *h, const char *name, struct soq_addr *list, size_t room);

/* The first name of an address, or NULL. @h  may be NULL */
const char *soq__hosts_name_of(const struct soq__hosts *h, const struct soq_addr *addr);

#endif
