/* tls_direct.h - an established TLS 1.3 connection of a server without OpenSSL's SSL object.
 *
 * The object is some fourteen thousand bytes, which a million idle clients would each hold.
 * What is needed of it after the handshake is a record layer (tls_record.h), and answers to the
 * few messages that a client may still send: an alert, a KeyUpdate. Clients keep the object:
 * theirs has tickets to receive.
 *
 * Nothing here waits, but for what tls_wire.h says.
 */
#ifndef SOQ__TLS_DIRECT_H
#define SOQ__TLS_DIRECT_H

#include "net/tls_record.h"
#include "net/tls_wire.h"

struct soq__tls_direct {
	struct soq__tls_record *record;
	size_t plain_at, plain_len; /* of the wire's input: opened, and not given out yet */
	unsigned idle;		    /* records without data, since data came last */
	bool update_owed;	    /* the peer wants new keys before our next data */
	bool ended;		    /* the peer has said that its flow is over */
};

/**
 * Give out what has come.
 * @buf  NULL: only see whether there is something
 * @return bytes; 0 at the end of the peer's flow; -EAGAIN: a whole record is not there;
 *         -SOQ_ETRUNCATED, -SOQ_ETLS and the wire's error, for good, and *@ret_reason, static
 * text
 */
int64_t soq__tls_direct_take(struct soq__tls_direct *d, struct soq__tls_wire *wire, void *buf,
	size_t len, const char **ret_reason);

/* How many bytes of input there should be room for, for the record that is coming. */
size_t soq__tls_direct_want(const struct soq__tls_wire *wire);

/* Put a record with some of these bytes behind what is to be sent. @return how many; -ENOMEM */
int64_t soq__tls_direct_put(
	struct soq__tls_direct *d, struct soq__tls_wire *wire, const void *buf, size_t len);

/* Say that our flow is over (close_notify). @return 0, -ENOMEM */
int soq__tls_direct_end(struct soq__tls_direct *d, struct soq__tls_wire *wire);

#endif
