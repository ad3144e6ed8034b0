/* names.h - from names to addresses and back, and the other records of the DNS.
 *
 * No thread waits for an answer: each worker asks for itself, while its other fibers go on.
 * What is asked, and whom, is the machine's to say, and read again when it changes: hosts(5),
 * resolv.conf(5), and nsswitch.conf(5), whose other services are asked on a thread of the pool.
 * Answers are kept for as long as their records allow, a day at most. "localhost" and what ends
 * in it is this machine (RFC 6761), and is never asked for; ".invalid" and ".onion" do not
 * exist (RFC 6761, RFC 7686); nor does a name of one part in ".local" ("printer.local", RFC
 * 6762), unless hosts(5) has it or nsswitch.conf(5) a service for it. A name with few dots is
 * tried in the search domains of resolv.conf(5); a dot at its end says that it is whole. A name
 * that is not ASCII is asked for as IDNA 2008 says (RFC 5891).
 */
#ifndef SOQUETE_NAMES_H
#define SOQUETE_NAMES_H

#include <soquete/base.h>
#include <soquete/endpoint.h>

SOQ_BEGIN_C

/* Addresses of an endpoint, in the order to try them (RFC 6724). */
struct soq_addrs {
	struct soq_addr *list; /* owned; NULL when count is 0 */
	size_t count;
};

/**
 * Suspends until the addresses of an endpoint are known, IPv6 and IPv4.
 *
 * @ret       the caller's, who gives it to soq_addrs_done()
 * @endpoint  text, see endpoint.h: a host with a port, which is each address's own
 *
 * @return 0 with at least one address; -SOQ_EENDPOINT; -SOQ_ENONAME when there is no such name,
 *         -SOQ_ENORECORD when it exists, and has no address; -SOQ_ENAMEWAIT when nobody
 *         answered; -SOQ_ENAMEFAIL when whoever answered could not, or would not, or made no
 *         sense; -SOQ_ENOPORT; -EPROTOTYPE for an endpoint that is no host's; -ETIMEDOUT,
 *         -ECANCELED, -ENOMEM; soq_last_error() has the sentence
 *
 * Source: RFC 1034, RFC 6724, getaddrinfo(3).
 */
SOQ_API int soq_resolve(struct soq_addrs *ret, const char *endpoint);

/** Free the list. */
SOQ_API void soq_addrs_done(struct soq_addrs *addrs);

/* The types of records that are understood; their numbers are the DNS's own. */
enum soq_record_type {
	SOQ_RECORD_A = 1,
	SOQ_RECORD_NS = 2,
	SOQ_RECORD_CNAME = 5,
	SOQ_RECORD_SOA = 6,
	SOQ_RECORD_PTR = 12,
	SOQ_RECORD_MX = 15,
	SOQ_RECORD_TXT = 16,
	SOQ_RECORD_AAAA = 28,
	SOQ_RECORD_SRV = 33,
	SOQ_RECORD_CAA = 257,
};

/* A record of the DNS. Names are as a zone's file has them (RFC 1035 section 5.1), without the
 * final dot: what is not printable within a label is \DDD, and a dot or a quote \. or \". */
struct soq_record {
	enum soq_record_type type;
	uint32_t ttl_s;	      /* how long it may be kept */
	char *owner;	      /* whose record it is, "" for the root's */
	struct soq_addr addr; /* A, AAAA; else len 0 */
	char *text;	      /* a name: NS, CNAME, PTR, MX, SRV, SOA (the primary server);
				 what it says: TXT, CAA. May be malformed UTF-8 */
	size_t text_len;      /* bytes of it: a TXT may hold NULs */
	uint16_t priority;    /* MX, SRV: less is better */
	uint16_t weight;      /* SRV */
	uint16_t port;	      /* SRV */
};

struct soq_records {
	struct soq_record *list; /* owned; NULL when count is 0 */
	size_t count;
};

/**
 * Suspends until the DNS has told the records of a type that a name has; search domains are
 * not tried. Aliases (CNAME) on the way are in the answer too, in the DNS's order.
 *
 * @ret   the caller's, who gives it to soq_records_done()
 * @name  a name without port, or "." for the root; for SOQ_RECORD_PTR an IP literal will do too
 *
 * @return 0 with at least one record; -SOQ_ENONAME when there is no such name, -SOQ_ENORECORD
 *         when it has none of this type; -EINVAL for a type not listed above; -ENOSYS in a
 *         build without c-ares; others as soq_resolve(); -SOQ_ESIMULATED for what a simulated
 *         name service does not know
 *
 * Source: RFC 1035, RFC 2782 (SRV), RFC 3596 (AAAA), RFC 8659 (CAA).
 */
SOQ_API int soq_query(struct soq_records *ret, const char *name, enum soq_record_type type);

/** Free the list. */
SOQ_API void soq_records_done(struct soq_records *records);

/** The type's word ("AAAA"), or "?". */
SOQ_API const char *soq_record_type_name(enum soq_record_type type);

/** The type of a word, in any case of letters. @return 0; -EINVAL */
SOQ_API int soq_record_type_parse(enum soq_record_type *ret, const char *word);

/**
 * Suspends until the name of an address is known: the hosts file's, or the DNS's. The latter is
 * what the address's owner says, and no proof of who he is; but of letters, digits, "-", "_"
 * and dots alone.
 *
 * @buf  @len bytes, 256 are always enough
 * @return 0; -SOQ_ENONAME, -ENOBUFS when it does not fit; others as soq_resolve()
 */
SOQ_API int soq_reverse(char *buf, size_t len, const struct soq_addr *addr);

SOQ_END_C

#endif
