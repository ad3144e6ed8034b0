/* names.h - what a worker knows of names, and a lookup of a host's addresses that need not be
 * complete to be of use.
 */
#ifndef SOQ__NAMES_H
#define SOQ__NAMES_H

#include "net/dns.h"
#include "net/names_cache.h"
#include "net/names_hosts.h"
#include "net/net.h"
#include "proto/nsswitch.h"

/* ---- names_config.c: a worker's view of the machine's configuration ---- */

/* What tells whether a file is another, or has other contents. */
struct soq__stamp {
	dev_t device;
	ino_t inode;
	off_t bytes;
	struct timespec modified, changed;
};

#define SOQ__CONFIG_FILES 3

struct soq__names {
	struct soq__worker *worker;
	struct soq__hosts *hosts; /* NULL: none */
	struct soq__nsswitch policy;
	struct soq__search search;
	struct soq__dns *dns;	 /* whom to ask; NULL: nobody, the system is asked for all */
	struct soq__list askers; /* struct soq__dns: this one, and those retired */
	struct soq__cache cache;
	struct soq__stamp stamps[SOQ__CONFIG_FILES];
	int64_t checked_ns; /* when the files were looked at; SOQ_NEVER: not yet */
	bool loading;
	struct soq__list waiting; /* struct soq__watcher: for the end of loading */
};

/* The worker's, up to date. Suspends when the machine's files are to be read.
 * @return 0; -ENOMEM, -ETIMEDOUT, -ECANCELED, … */
int soq__names_get(struct soq__names **ret);

/* ---- names_text.c: names as text ---- */

enum soq__name_kind {
	SOQ__NAME_ORDINARY,
	SOQ__NAME_LOCALHOST, /* this machine, whatever a file or a server says: RFC 6761 */
	SOQ__NAME_MULTICAST, /* "printer.local": RFC 6762 */
	SOQ__NAME_NEVER,     /* in ".invalid" or ".onion": RFC 6761, RFC 7686 */
};

struct soq__name {
	char text[SOQ__NAME_MAX + 1]; /* ASCII, without the final dot */
	bool whole;		      /* it had one: search domains are not for it */
	enum soq__name_kind kind;
};

/* Check a name, and bring it into the DNS's form.
 * @return 0, and *ret_why is NULL; -SOQ_EENDPOINT with the reason in *ret_why */
int soq__name_parse(struct soq__name *ret, const char *text, const char **ret_why);

/* Whether a name is what a host can be called: letters, digits, "-", "_" and dots. */
bool soq__name_is_host(const char *name);

/* Where an address's name is: "7.2.0.192.in-addr.arpa". RFC 1035 section 3.5, RFC 3596.
 * @return false when it is none of the Internet's */
bool soq__reverse_name(char ret[SOQ__NAME_MAX + 1], const struct soq_addr *addr);

/* ---- names_system.c: getaddrinfo(3) and getnameinfo(3), on the offload pool ---- */

/* Suspends. The port and the service are the endpoint's. @return 0; a negative code */
int soq__system_resolve(
	struct soq_addrs *ret, const struct soq_endpoint *endpoint, bool passive);
/* Suspends. @return 0; -SOQ_ENONAME, … */
int soq__system_reverse(char ret[SOQ__NAME_MAX + 1], const struct soq_addr *addr);

/* ---- names_lookup.c ---- */

#define SOQ__FAMILY_ADDRS_MAX 64

/* A family's part of a lookup. */
struct soq__family {
	struct soq__asked *asked; /* NULL: not asked, or taken */
	struct soq__watcher watcher;
	int rc; /* 0 when there are addresses; why there are none */
};

enum { SOQ__IPV6, SOQ__IPV4 };

struct soq__lookup {
	struct soq__worker *worker;
	struct soq__names *names;
	struct soq_endpoint endpoint; /* with its port as a number */
	bool passive;
	struct soq__name name;
	bool by_system;	  /* found by the system, in its order */
	size_t candidate; /* of the names that `name` may stand for */
	struct soq__family families[2];
	struct soq_addrs found; /* so far, as they came */
	int rc;			/* why nothing has been found */
	const char *why;	/* the same in words, where there are better ones; or NULL */
	int64_t hold_ns; /* IPv4 is there, and IPv6 is worth waiting for until then; or 0 */
};

/* Begin to look a host up: what needs no asking is found at once. Suspends for services' names,
 * the machine's files, and for what only the system knows.
 * @l  the caller's, who gives it to soq__lookup_end(), whatever is returned
 * @return 0; a negative code and a sentence */
int soq__lookup_begin(struct soq__lookup *l, const struct soq_endpoint *endpoint, bool passive);

/* Take what was answered since; the fiber is woken when there may be something. Suspends when
 * only the system is left to ask.
 * @return 0; -ETIMEDOUT, -ECANCELED, -ENOMEM */
int soq__lookup_advance(struct soq__lookup *l);

/* Whether more may be found yet. */
bool soq__lookup_pending(const struct soq__lookup *l);

/* Set the sentence for a lookup that has failed. @return @rc */
int soq__lookup_fail(const struct soq__lookup *l, int rc);

/* Leave it; what is on its way is not waited for. */
void soq__lookup_end(struct soq__lookup *l);

/* The order to try addresses in: RFC 6724, unless the system has given one. */
void soq__lookup_order(const struct soq__lookup *l, struct soq_addr *list, size_t count);

/* ---- connect_race.c ---- */

/* Connect to the first of the addresses that a lookup has found, or finds meanwhile, to answer
 * (RFC 8305). Suspends.
 * @l  begun, with something found or pending
 * @return 0; a negative code and a sentence that names every address */
int soq__connect_race(
	struct soq_stream **ret, struct soq__lookup *l, const char *endpoint_text);

#endif
