/* nsswitch.h - whom the machine wants to be asked for a host's address: the line "hosts:" of
 * nsswitch.conf(5), as far as files and the DNS can stand for it.
 *
 * Source: nsswitch.conf(5); nss-mdns, nss-resolve(8), nss-myhostname(8), nss-mymachines(8) for
 * what their services know.
 */
#ifndef SOQ__PROTO_NSSWITCH_H
#define SOQ__PROTO_NSSWITCH_H

#include <stdbool.h>
#include <stddef.h>

enum soq__nss_hosts {
	/* The hosts file and the DNS, nobody else. */
	SOQ__NSS_OURS,
	/* These two; what neither knows may be known to a further service: one that comes
	 * after them, or one that adds names of its own to the DNS's. */
	SOQ__NSS_THEN_SYSTEM,
	/* Ask the system for everything: somebody else's answer goes before the DNS's, or the
	 * DNS is not to be asked, or the line says what this parser does not understand. */
	SOQ__NSS_SYSTEM,
};

struct soq__nsswitch {
	enum soq__nss_hosts hosts;
	bool files_first; /* before the DNS; else the DNS is asked first. Not for SYSTEM */
	bool mdns;	  /* a service for names in ".local" is listed */
};

/**
 * Read the file's text. Of several lines "hosts:" the last counts, as in glibc; without any, as
 * in a container that has no such file, it is "files dns": what musl and Go do, and glibc since
 * 2.35 (before, "dns [!UNAVAIL=return] files"). Criteria are followed as far as they can lead
 * elsewhere: a service that is never come to is not there. It makes no difference whether a
 * file is asked when the DNS knows no such name, or only when it cannot be asked at all.
 */
void soq__nsswitch_parse(struct soq__nsswitch *ret, const char *text, size_t len);

#endif
