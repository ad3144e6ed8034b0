/* sweep.h - what the files of a sweep share.
 *
 *	property.c  what a run says of its properties
 *	replay.c    a run of a scenario in this process
 *	child.c     the same in a process of its own
 *	message.c   how that tells what came out
 *	diverge.c   memory laid out otherwise; where two runs part
 *	shrink.c    fewer faults, smaller ones
 *	sweep.c     many seeds
 *
 * These files read the machine's clock and start its processes, which nothing else of the
 * simulation may: a run itself knows nothing of either.
 */
#ifndef SOQ__SIM_SWEEP_H
#define SOQ__SIM_SWEEP_H

#include "sim/sim.h"

/* ---- properties (property.c) ---- */

/* A name given to SOQ_SOMETIMES. */
struct soq__sim_coverage {
	const char *name;
	bool held;
};

/* Those reached so far, in the order in which they were first reached. */
const struct soq__sim_coverage *soq__sim_coverage(const struct soq_sim *sim, size_t *ret_count);
/* The name of the first property that was broken, or NULL. */
const char *soq__sim_broken_property(const struct soq_sim *sim);

/* ---- one run (replay.c) ---- */

/* What chance would decide, given: so that a shrinker can change it. The faults' names belong
 * to whoever made it. */
struct soq__sim_case {
	struct soq_sim_options options;
	int64_t limit_ns;
	bool has_link; /* link is the default one, in place of the options' and the drawn */
	struct soq_sim_link link;
	const struct soq_sim_fault *faults; /* in place of the drawn */
	size_t fault_count;
};

/* A run to be made. */
struct soq__sim_attempt {
	const struct soq_sim_sweep *sweep;
	uint64_t seed;
	const struct soq__sim_case *given; /* NULL: as drawn */
	unsigned layout; /* of memory, in a process of its own; 0: as it comes */
	FILE *log;	 /* soq_sim_log(), or NULL */
	bool each_event; /* is told in the log too, in a line that begins with # */
	bool quiet;	 /* what the programs print is thrown away */
	unsigned cpu_s;	 /* of processor time, for the child; 0: 60 */
};

enum soq__sim_ending {
	SOQ__SIM_RAN,	    /* there is a verdict; code is what check() says */
	SOQ__SIM_NOT_BUILT, /* code is what the scenario, or soq_sim_new(), says */
	SOQ__SIM_EXITED,    /* its process ended by itself; code is the status */
	SOQ__SIM_KILLED,    /* code is the signal */
	SOQ__SIM_SPUN,	    /* it used up its processor time */
	SOQ__SIM_STALLED,   /* it waited for the real world, for too long */
};

/* What came out. Texts and arrays are its own. */
struct soq__sim_outcome {
	enum soq__sim_ending ending;
	int code;
	enum soq_sim_verdict verdict;
	uint64_t digest, events;
	int64_t simulated_ns;
	char *property; /* broken, or NULL */
	char *report;	/* or NULL */
	struct soq__sim_coverage *covered;
	size_t covered_count;
	/* What chance had decided before the run, if the world was built. */
	bool is_built;
	struct soq_sim_link link;
	struct soq_sim_fault *faults;
	size_t fault_count;
};

/* Make the world of an attempt: @return 0, or a negative code and the world is gone. */
int soq__sim_stage(struct soq_sim **ret, const struct soq__sim_attempt *attempt);
/* Run it, and note all but what its process has to say. The world is freed. */
void soq__sim_play(struct soq_sim *sim, const struct soq__sim_attempt *attempt,
	struct soq__sim_outcome *ret);
/* Note the link and faults that were drawn. */
void soq__sim_note_drawn(const struct soq_sim *sim, struct soq__sim_outcome *ret);
void soq__sim_outcome_done(struct soq__sim_outcome *o);

bool soq__sim_passed(const struct soq_sim_sweep *sweep, const struct soq__sim_outcome *o);
/* Two runs failed in the same way. */
bool soq__sim_same_failure(const struct soq__sim_outcome *a, const struct soq__sim_outcome *b);
/* How a run ended, in a few words: "broken (no reply is lost)", "killed by signal 11". */
void soq__sim_outcome_print(const struct soq__sim_outcome *o, FILE *out);
/* Its name and its limit, or the defaults. */
const char *soq__sim_scenario_name(const struct soq_sim_sweep *sweep);
int64_t soq__sim_limit(const struct soq_sim_sweep *sweep);
char *soq__sim_copy(const char *text);

/* ---- what it tells (message.c) ---- */

enum soq__sim_message {
	SOQ__SIM_DRAWN = 1, /* the world is built */
	SOQ__SIM_CAME_OUT,  /* the run is over */
};

/* @return bytes to be freed */
char *soq__sim_encode(
	enum soq__sim_message kind, const struct soq__sim_outcome *o, size_t *ret_len);
/* Read what has come, into an outcome that is all 0. @return whether the run was over */
bool soq__sim_decode(const char *data, size_t len, struct soq__sim_outcome *ret);

/* ---- a process of its own (child.c) ---- */

struct soq__sim_child {
	pid_t pid; /* 0: none */
	int fd;	   /* where it writes; -1 at its end */
	char *bytes;
	size_t len, capacity;
	int64_t started_ns, looked_ns; /* of the machine's clock */
	unsigned cpu_s;
	bool stalled; /* killed for it */
};

/* @return 0; -EAGAIN, -EMFILE, -ENFILE, -ENOMEM */
int soq__sim_child_start(struct soq__sim_child *child, const struct soq__sim_attempt *attempt);
/* Wait for some of them until one has ended. @return it; NULL when none runs */
struct soq__sim_child *soq__sim_child_wait(
	struct soq__sim_child *const *children, size_t count);
/* Take what an ended one has told. */
void soq__sim_child_end(struct soq__sim_child *child, struct soq__sim_outcome *ret);
/* End one that runs, if it does. */
void soq__sim_child_kill(struct soq__sim_child *child);
/* All of this for one. @return as soq__sim_child_start() */
int soq__sim_child_run(const struct soq__sim_attempt *attempt, struct soq__sim_outcome *ret);

/* ---- memory laid out otherwise (diverge.c) ---- */

/* Change what malloc(3) and mmap(2) will return, and what it contains, in a process that is
 * to end soon; then call a function with a stack that is deeper. */
void soq__sim_lay_out(unsigned layout, uint64_t seed, void (*then)(void *arg), void *arg);
/* The first run and the second of a seed are the same. */
bool soq__sim_same_run(
	const struct soq__sim_outcome *first, const struct soq__sim_outcome *second);
/* Repeat both with a log, and tell on @out where they part. */
void soq__sim_tell_divergence(const struct soq__sim_attempt *second_attempt,
	const struct soq__sim_outcome *first, const struct soq__sim_outcome *second, FILE *out);

/* A file for a log, in memory, that parent and child can both reach; or NULL. */
FILE *soq__sim_memory_file(void);

/* ---- shrinking (shrink.c) ---- */

/* Shrink what a failing seed had drawn, and print what is left as a C test.
 * @passing  the verdict that the test is to ask for */
void soq__sim_shrink(const struct soq_sim_sweep *sweep, uint64_t seed,
	const struct soq__sim_outcome *failed, enum soq_sim_verdict passing, FILE *out);

/* The machine's monotonic clock. */
int64_t soq__sim_machine_ns(void);

#endif
