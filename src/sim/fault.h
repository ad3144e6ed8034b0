/* fault.h - faults that have been planned: private to fault.c and fault_print.c. */
#ifndef SOQ__SIM_FAULT_H
#define SOQ__SIM_FAULT_H

#include "sim/sim.h"

struct soq__sim_planned {
	struct soq__list node;	    /* of the world's, in the order of their adding */
	struct soq_sim_fault fault; /* its names are the hosts' */
	struct soq_sim_host *a, *b; /* b NULL: every other */
	struct soq__sim_event begin, end;
	bool active;
	uint64_t began_event; /* the world's count, when it began */
	bool is_drawn;	      /* by soq_sim_add_chaos() */
	unsigned lives;	      /* a's, when it began: a restart makes it another */
	size_t host_count;    /* how many there were then: later ones are not affected */
};

static inline struct soq__sim_planned *soq__sim_planned_of(struct soq__list *node)
{
	return soq__container_of(node, struct soq__sim_planned, node);
}

#endif
