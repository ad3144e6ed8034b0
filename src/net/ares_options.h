/* ares_options.h - what resolv.conf(5) and RES_OPTIONS say of the manner of asking, as far as
 * c-ares does not read it by itself. Servers, search domains, ndots and rotate it does.
 *
 * Source: resolv.conf(5); c-ares learnt "timeout", "attempts" and "use-vc" only after 1.18.
 */
#ifndef SOQ__ARES_OPTIONS_H
#define SOQ__ARES_OPTIONS_H

#include <ares.h>

/* Set timeout (in milliseconds), tries and flags. Blocks. */
void soq__ares_options(struct ares_options *o);

#endif
