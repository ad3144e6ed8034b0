/* addr_order.h - which of a name's addresses to try first. */
#ifndef SOQ__ADDR_ORDER_H
#define SOQ__ADDR_ORDER_H

#include <soquete/endpoint.h>

/* Put addresses in the order to try them, as RFC 6724 section 6 has it: those that no route
 * leads to last; equal ones as they were. The list stays as it is when memory is short. */
void soq__addr_order(struct soq_addr *list, size_t count);

/* The same for known routes: @sources[i] is where packets to @list[i] would come from, with
 * len 0 when it cannot be reached. The sources stay where they are. */
void soq__addr_order_by(struct soq_addr *list, const struct soq_addr *sources, size_t count);

#endif
