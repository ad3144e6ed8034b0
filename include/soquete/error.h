/* error.h - what went wrong, as a code and as a sentence.
 *
 * Codes are negative: -errno where errno(3) has a word for it, else one of the codes
 * below, negated. errno itself is neither set nor kept by any call.
 */
#ifndef SOQUETE_ERROR_H
#define SOQUETE_ERROR_H

#include <soquete/base.h>

SOQ_BEGIN_C

/* soquete's own codes; disjoint from errno. Returned negated: -SOQ_EENDPOINT. */
#define SOQ_EENDPOINT  20001 /* the text is not an endpoint */
#define SOQ_ENONAME    20002 /* the name does not exist */
#define SOQ_ENAMEWAIT  20003 /* the name service did not answer; try again */
#define SOQ_ENAMEFAIL  20004 /* the name service failed */
#define SOQ_ENOPORT    20005 /* the port or service name is unknown */
#define SOQ_ELINE      20006 /* a line is longer than the caller's buffer */
#define SOQ_ESIMULATED 20007 /* a simulated host cannot do this; see sim.h */
#define SOQ_ENORECORD  20008 /* the name exists, without a record of this type */
#define SOQ_ETLS       20009 /* the peer and we do not agree on TLS */
#define SOQ_ECERTIFICATE \
	20010 /* the peer's certificate is not to be trusted, or ours is not trusted */
#define SOQ_ETRUNCATED \
	20011 /* the peer's flow ended without its saying so: data may be missing */

/**
 * The words for a code.
 *
 * @code  a negative code returned by soquete, or its positive value
 * @return a static string, never NULL; for errno's codes the text of strerrordesc_np(3)
 */
SOQ_API const char *soq_strerror(int code);

/**
 * The whole sentence for the last failure in this fiber that involved an endpoint or an
 * address: operation, endpoint, address tried, reason. Every address is listed where
 * several were tried. Example:
 * `connect tcp://my.server.it:80 (192.0.2.7:80): Connection refused`.
 *
 * @return valid until this fiber's next failing call or its end; "" when there was none
 */
SOQ_API const char *soq_last_error(void);

SOQ_END_C

#endif
