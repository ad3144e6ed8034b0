/* run.h - how a run stands: private to program.c and run.c. */
#ifndef SOQ__SIM_RUN_H
#define SOQ__SIM_RUN_H

#include "fiber/stack.h"
#include "sim/sim.h"

struct soq__sim_run {
	struct soq__stack_pool stacks; /* of the programs' first fibers */
	unsigned live;		       /* programs that run */
	struct soq__worker *thread;    /* the thread's own, or NULL, while a program runs */
	bool has_verdict;
	bool reported; /* a run has returned it */
	enum soq_sim_verdict verdict;
	char *reason;	       /* in words, or NULL */
	char *report;	       /* the text given out last */
	char *alternate_stack; /* for the report of an overflow */
};

/* The world's; made when first asked for. */
struct soq__sim_run *soq__sim_run_of(struct soq_sim *sim);

#endif
