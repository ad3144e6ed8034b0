/* dns_message.h - the DNS's messages: bytes in, records out, no I/O.
 *
 * A message comes from strangers. A record is taken only if it belongs to the name that was
 * asked for, or to one that the answer's own aliases lead to; lengths are bounded by the
 * message, and the number of records by its caller's bound.
 *
 * Source: RFC 1035 section 4, RFC 2181, RFC 2308 (negative answers).
 */
#ifndef SOQ__DNS_MESSAGE_H
#define SOQ__DNS_MESSAGE_H

#include <soquete/names.h>

#define SOQ__RECORDS_MAX 256

/**
 * What a message says about a name and a type.
 *
 * @ret        the caller's, who gives it to soq_records_done(); untouched unless 0 is returned
 * @ret_ttl_s  for how long that holds, capped; 0: do not keep it. Set for -SOQ_ENONAME and
 *             -SOQ_ENORECORD too, from the zone's SOA
 * @return 0 with at least one record of the type; -SOQ_ENONAME, -SOQ_ENORECORD;
 *         -SOQ_ENAMEFAIL: the server could not, or would not, or is not making sense; -ENOMEM
 */
int soq__dns_parse(struct soq_records *ret, uint32_t *ret_ttl_s, const unsigned char *msg,
	size_t len, const char *name, enum soq_record_type type);

/* Whether two names are the same; the case of letters and a final dot do not count. */
bool soq__dns_same_name(const char *a, const char *b);

/* Copy records. @return 0, -ENOMEM */
int soq__records_copy(struct soq_records *ret, const struct soq_records *from);

#endif
