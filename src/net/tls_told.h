/* tls_told.h - what a handshake came to, kept in little memory. */
#ifndef SOQ__TLS_TOLD_H
#define SOQ__TLS_TOLD_H

#include <soquete/tls.h>

struct soq__tls_told;

/* @return malloc'd; NULL: no memory */
struct soq__tls_told *soq__tls_told_new(const struct soq_tls_info *info);
void soq__tls_told_again(const struct soq__tls_told *told, struct soq_tls_info *ret);

#endif
