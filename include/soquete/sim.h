/* sim.h - the simulated network: the same program, unchanged, on hosts and links inside this
 * process, with virtual time, where a seed decides every latency, loss, partition and crash.
 *
 * A world (struct soq_sim) has hosts; programs run on hosts and use the public API as they
 * would on a machine. Time passes only when every program waits, and then jumps to the next
 * event. The same seed gives the same run, event by event.
 *
 *	static int server(void *arg) { return soq_serve("tcp://:7", echo, NULL, NULL); }
 *	static int client(void *arg) { ... soq_connect(&s, "tcp://server:7") ... }
 *
 *	soq_sim_new(&sim, seed, NULL);
 *	soq_sim_host_new(&a, sim, "server", NULL);
 *	soq_sim_host_new(&b, sim, "client", NULL);
 *	soq_sim_spawn(a, server, NULL);
 *	soq_sim_spawn(b, client, NULL);
 *	verdict = soq_sim_run(sim, 60 * SOQ_S);
 *
 * What differs from a machine: computing takes no time, but each round of a program's
 * scheduler costs a microsecond or so. What cannot work in a simulated host (the process and
 * thread shapes, descriptors of the real kernel) is refused with a sentence that says so.
 *
 * A world belongs to the thread that made it: no other thread, and no signal's handler, may set
 * an event or stop a server in it. Probabilities are in parts per million.
 */
#ifndef SOQUETE_SIM_H
#define SOQUETE_SIM_H

#include <soquete/base.h>
#include <stdio.h>

SOQ_BEGIN_C

#define SOQ_PPM_ONE 1000000 /* a probability of 1, in parts per million */

struct soq_sim;
struct soq_sim_host;

/* ---- worlds ---- */

/* A link in one direction. All zero is the default of each. For "none" of what has a
 * default that is not nothing, give 1 (a nanosecond), or UINT64_MAX. */
struct soq_sim_link {
	int64_t latency_ns;    /* from sending to arrival, at least. 0: 1 ms; within a
				  host 10 us */
	int64_t jitter_ns;     /* added to it, drawn evenly for each packet; packets of a link
				  keep their order unless reordered. 0: none */
	uint64_t rate_bytes_s; /* bytes a second. 0: without limit */
	uint64_t burst_bytes;  /* sent at once before the rate counts. 0: one MTU */
	uint64_t queue_bytes;  /* waiting for the rate; what finds no room is dropped.
				  0: 256 KiB */
	bool codel;	       /* drop early what has waited for too long (RFC 8289) */
	uint32_t loss_ppm;     /* each packet for itself */
	uint32_t burst_enter_ppm; /* Gilbert-Elliott: from good to bad, at each packet */
	uint32_t burst_leave_ppm; /* from bad to good */
	uint32_t burst_loss_ppm;  /* in the bad state. 0 with burst_enter_ppm: all */
	uint64_t lose_nth;	  /* exactly this packet, from 1. 0: none */
	uint32_t duplicate_ppm;
	uint32_t reorder_ppm; /* a packet is held back, so that later ones overtake it */
	int64_t reorder_ns;   /* for at most so long. 0: four latencies */
	uint32_t corrupt_ppm; /* a datagram arrives with one bit changed */
	unsigned mtu;	      /* bytes of a packet, its IP header included. 0: 1,500; within
				 a host 65,535 */
};

struct soq_sim_options {
	struct soq_sim_link link;     /* between hosts, where soq_sim_link() says nothing */
	struct soq_sim_link loopback; /* within a host */
	bool whole_reads;	      /* a receive gives all there is; otherwise often less */
	bool whole_writes;	      /* a send takes all there is room for */
	bool prompt_accepts; /* a new client can be accepted at once; otherwise at times later
			      */
	bool prompt_offload; /* offloaded work and names take no time; otherwise a little,
				drawn */
	unsigned descriptors_max; /* of each host. 0: 1,048,576 */
	size_t buffer_bytes;	  /* a socket's for sending and for receiving, before it says
				     otherwise. 0: 128 KiB */
	size_t stack_bytes;	  /* a program's own stack. 0: as a fiber's */
};

/**
 * A new world.
 *
 * @seed  decides all chance; the environment's SOQUETE_SEED takes its place
 * @opt   NULL for the defaults
 * @return 0; -EINVAL for an option that makes no sense, -ENOMEM, -EBUSY inside a simulated
 *         program; soq_last_error() says what
 */
SOQ_API int soq_sim_new(struct soq_sim **ret, uint64_t seed, const struct soq_sim_options *opt);
/** Abandon what still runs, and free everything of the world. Accepts NULL. Not to be called by
 *  a simulated program. */
SOQ_API void soq_sim_free(struct soq_sim *sim);
/** The seed that is in force. */
SOQ_API uint64_t soq_sim_seed(const struct soq_sim *sim);
/** A seed for soq_sim_new(): SOQUETE_SEED, or one drawn afresh. */
SOQ_API uint64_t soq_sim_any_seed(void);

/**
 * A new host, up, without programs.
 *
 * @name       how others find it; unique in the world. Copied
 * @addresses  literals of IPv4 and IPv6, separated by blanks; NULL: the next of 10.0.0.1
 *             and fd00::1 and so on
 * @return 0; -EINVAL, -EEXIST when the name or an address is taken, -ENOMEM
 */
SOQ_API int soq_sim_host_new(struct soq_sim_host **ret, struct soq_sim *sim, const char *name,
	const char *addresses);
SOQ_API const char *soq_sim_host_name(const struct soq_sim_host *host);
/** The host called so, or NULL. */
SOQ_API struct soq_sim_host *soq_sim_host_find(const struct soq_sim *sim, const char *name);
SOQ_API struct soq_sim *soq_sim_of(const struct soq_sim_host *host);
/** The host on which the calling program runs; NULL outside. */
SOQ_API struct soq_sim_host *soq_sim_here(void);

/**
 * Set the link from one host to another, this direction only; the same host twice: its
 * loopback. May be called while the world runs.
 * @return 0; -EINVAL
 */
SOQ_API int soq_sim_link(
	struct soq_sim_host *from, struct soq_sim_host *to, const struct soq_sim_link *link);
/** The same in both directions. */
SOQ_API int soq_sim_link_both(
	struct soq_sim_host *a, struct soq_sim_host *b, const struct soq_sim_link *link);

/* ---- names ---- */

/*
 * A world has a name service, which every host reaches whatever befalls the links: the DNS, as
 * far as addresses (A, AAAA) and the hosts' names (PTR) go. It knows each host by its name.
 * Its answers take as long as a question and an answer over the default link, with what is lost
 * there asked for again after 5 s; they may be kept for a minute.
 */

/* What is different about a name. All zero is the default of each. */
struct soq_sim_name {
	/* Literals, separated by blanks; "" for none. NULL: those of the host called so.
	 * Anybody's: to one that no host has, packets are told to be unreachable after 3 s;
	 * one that swallows them is that of a host that has crashed. */
	const char *addresses;
	int64_t delay_ipv4_ns; /* how long the answer for IPv4 takes. 0: as for others;
				  SOQ_NEVER: it never comes */
	int64_t delay_ipv6_ns;
	int error_ipv4; /* in place of addresses: -SOQ_ENONAME, there is no such name;
			   -SOQ_ENAMEFAIL, the server fails. 0: none */
	int error_ipv6;
};

/**
 * Tell the name service about a name. May be called while the world runs, again for a name that
 * it has been told about, and for a host's.
 *
 * @name  copied; the case of its letters does not count
 * @how   copied; NULL: take back what has been said
 * @return 0; -EINVAL; soq_last_error() says what
 */
SOQ_API int soq_sim_name(struct soq_sim *sim, const char *name, const struct soq_sim_name *how);

/* ---- programs ---- */

/**
 * A program: what main is to a machine. Its return ends it, and closes what it left open
 * as a kernel would.
 * @return 0; a negative code: it has failed, and the run's verdict says so
 */
typedef int soq_sim_main(void *arg);

/**
 * Start a program on a host, at the world's present instant. A host may have several. May
 * be called by a running program.
 *
 * @main  called again with @arg whenever the host restarts after a crash
 * @return 0; -ENOMEM, -EHOSTDOWN
 */
SOQ_API int soq_sim_spawn(struct soq_sim_host *host, soq_sim_main *main, void *arg);

/** Send a signal to each of the programs that run on the host; it is seen by soq_wait_signal()
 *  and by servers with stop_on_signals, by nobody else. */
SOQ_API void soq_sim_signal(struct soq_sim_host *host, int signal);

/* ---- faults ---- */

enum soq_sim_fault_kind {
	SOQ_SIM_PARTITION,     /* nothing passes between a and b, either way; b NULL: between
				  a and all others */
	SOQ_SIM_PARTITION_ONE, /* nothing passes from a to b */
	SOQ_SIM_CRASH,	       /* a stops dead: nothing unwinds, nothing is told to anybody; it
				  comes back after the duration, its programs from their start */
	SOQ_SIM_PAUSE,	       /* a's programs do not run; its kernel does */
	SOQ_SIM_CLOCK_STEP,    /* a's wall clock jumps by the amount, nanoseconds */
	SOQ_SIM_CLOCK_DRIFT,   /* a's clocks run fast by the amount, parts per million; for the
				  duration */
	SOQ_SIM_LOSS,	       /* from a to b and back, the amount is added to the loss, parts
				  per million */
	SOQ_SIM_DELAY,	       /* the amount is added to the latency, nanoseconds */
	SOQ_SIM_RATE,	       /* the rate is the amount, bytes a second */
	SOQ_SIM_FAULT_KINDS,
};

/* A fault that begins at an instant of the world and ends by itself. */
struct soq_sim_fault {
	enum soq_sim_fault_kind kind;
	const char *a, *b;   /* hosts; b NULL: every other */
	int64_t at_ns;	     /* since the world's beginning */
	int64_t duration_ns; /* SOQ_NEVER: it stays */
	int64_t amount;
};

/**
 * Let a fault happen. May be called while the world runs; an instant that has passed is now.
 * @return 0; -EINVAL, -ENOENT for an unknown host, -ENOMEM; soq_last_error() says what
 */
SOQ_API int soq_sim_add_fault(struct soq_sim *sim, const struct soq_sim_fault *fault);
/** "partition", "crash" and so on; "?" */
SOQ_API const char *soq_sim_fault_name(enum soq_sim_fault_kind kind);

/* The same by hand, now and until taken back. */
SOQ_API int soq_sim_partition(struct soq_sim_host *a, struct soq_sim_host *b);
SOQ_API int soq_sim_partition_one(struct soq_sim_host *from, struct soq_sim_host *to);
SOQ_API int soq_sim_heal(struct soq_sim_host *a, struct soq_sim_host *b); /* both directions */
/** A program may crash its own host: the call does not return. -EHOSTDOWN when it is down. */
SOQ_API int soq_sim_crash(struct soq_sim_host *host);
SOQ_API int soq_sim_restart(struct soq_sim_host *host); /* -EALREADY when it is up */
SOQ_API int soq_sim_pause(struct soq_sim_host *host);
SOQ_API int soq_sim_resume(struct soq_sim_host *host);
SOQ_API void soq_sim_step_clock(struct soq_sim_host *host, int64_t by_ns);
SOQ_API int soq_sim_drift_clock(struct soq_sim_host *host, int64_t ppm); /* -EINVAL */

/* How much trouble to draw from the seed. All zero: none. What is drawn is in the report. */
struct soq_sim_chaos {
	int64_t from_ns, until_ns; /* faults begin within; all have ended soon after. 0, 0: the
				      first 30 s */
	unsigned partitions_max;   /* how many of each kind, drawn from 0 up to this */
	unsigned crashes_max;
	unsigned pauses_max;
	unsigned clock_steps_max;
	unsigned drifts_max;
	unsigned link_changes_max; /* loss, delay, rate */
	int64_t duration_max_ns;   /* of each fault. 0: 10 s */
	struct soq_sim_link worst; /* the default link is drawn between perfect and this; zero
				      fields stay as they are */
	const char *spare; /* hosts, separated by blanks, that are never crashed or paused */
};

/** Draw faults and the default link. To be called when all hosts are there.
 *  @return 0; -EINVAL, -ENOMEM */
SOQ_API int soq_sim_add_chaos(struct soq_sim *sim, const struct soq_sim_chaos *chaos);

/* ---- running ---- */

enum soq_sim_verdict {
	SOQ_SIM_FINISHED,   /* every program has returned 0 */
	SOQ_SIM_HALTED,	    /* soq_sim_halt(), or the predicate of soq_sim_run_until() */
	SOQ_SIM_TIME_LIMIT, /* the time was over first */
	SOQ_SIM_DEADLOCK,   /* fibers wait, and nothing is on its way that could wake one */
	SOQ_SIM_LIVELOCK,   /* programs run and run, and nothing happens */
	SOQ_SIM_BROKEN,	    /* SOQ_ALWAYS did not hold, or what was to come in time did not */
	SOQ_SIM_FAILED,	    /* a program returned a negative code */
};

/** "finished", "deadlock" and so on. */
SOQ_API const char *soq_sim_verdict_name(enum soq_sim_verdict verdict);

/**
 * Run until every program has ended, or something else brings a verdict. May be called
 * again unless the run is broken, has failed or is in a livelock: after a deadlock, say, when
 * another program has been spawned or a signal sent. Not to be called by a simulated program.
 *
 * @limit_ns  the world's time may reach this, since its beginning; SOQ_NEVER
 */
SOQ_API enum soq_sim_verdict soq_sim_run(struct soq_sim *sim, int64_t limit_ns);
/** The same, until a condition holds; it is asked after each event. */
SOQ_API enum soq_sim_verdict soq_sim_run_until(
	struct soq_sim *sim, int64_t limit_ns, bool (*holds)(void *arg), void *arg);
/** End the run, with this verdict, when the calling program next suspends; between two runs,
 *  end the next before it begins. The world of SOQUETE_ENGINE=sim has no run to end: nothing
 *  happens. */
SOQ_API void soq_sim_halt(struct soq_sim *sim);

/** Nanoseconds since the world's beginning. */
SOQ_API int64_t soq_sim_now(const struct soq_sim *sim);
/** Events so far. */
SOQ_API uint64_t soq_sim_events(const struct soq_sim *sim);

/**
 * What there is to say of the last run, over several lines: the verdict and its reason; in a
 * deadlock, at a time limit, each fiber with its host and what it waits for; the seed, the
 * options and the faults.
 * @return valid until the next call
 */
SOQ_API const char *soq_sim_report(struct soq_sim *sim);

/* What a host's programs and kernel hold now. */
struct soq_sim_census {
	unsigned programs;
	unsigned fibers;       /* the programs' own stacks not counted */
	unsigned descriptors;  /* open, of all programs */
	unsigned connections;  /* TCP, in any state but TIME_WAIT; closed ones that still have
				  to deliver included */
	unsigned leaked;       /* descriptors that ended programs had left open, so far */
	uint64_t memory_bytes; /* of its sockets and of packets on their way to it */
};

SOQ_API void soq_sim_census(const struct soq_sim_host *host, struct soq_sim_census *ret);

/* ---- properties ---- */

/** This holds whenever it is reached, or the run is broken and the program goes no further.
 *  Outside a simulation it is assert(3). */
#define SOQ_ALWAYS(condition, name) \
	((condition) ? (void)0 : soq_sim_broken(name, #condition, __FILE__, __LINE__))

/** This holds at least once in a sweep: a sweep lists those that never did. Outside a
 *  simulation it does nothing. @name  static text, unique in the program */
#define SOQ_SOMETIMES(condition, name) soq_sim_covered(name, condition)

SOQ_API void soq_sim_broken(
	const char *name, const char *condition, const char *file, int line);
SOQ_API void soq_sim_covered(const char *name, bool holds);

/**
 * A condition is to hold at some instant from now until @within_ns later, or the run is
 * broken. It is asked after each event.
 * @name  static text
 * @return 0; -ENOMEM
 */
SOQ_API int soq_sim_eventually(struct soq_sim *sim, bool (*holds)(void *arg), void *arg,
	int64_t within_ns, const char *name);

/* ---- sweeps ---- */

/**
 * Build a world: hosts, links, programs, chaos. It is called in a process of its own, once
 * a seed, and must do the same whenever the seed is the same.
 * @return 0; a negative code ends the sweep
 */
typedef int soq_sim_scenario(struct soq_sim *sim, void *arg);

struct soq_sim_sweep {
	const char *name; /* of the scenario, a C identifier; in what is printed */
	soq_sim_scenario *build;
	/* Called when a run has ended, whatever its verdict: what must hold then. May be NULL.
	 * @return 0, or a negative code: the seed has failed */
	int (*check)(struct soq_sim *sim, enum soq_sim_verdict verdict, void *arg);
	void *arg;
	struct soq_sim_options options;
	uint64_t first_seed;
	uint64_t seeds;	    /* 0: 100 */
	int64_t limit_ns;   /* of virtual time. 0: an hour */
	bool ends_by_limit; /* SOQ_SIM_TIME_LIMIT is no failure */
	bool twice;	    /* run each seed twice, with memory laid out otherwise, and compare
			       event by event */
	bool go_on;	    /* not to stop at the first failure */
	bool no_shrink;
	unsigned jobs; /* processes at once. 0: one a processor */
	FILE *out;     /* where failures are told. NULL: stderr */
};

struct soq_sim_sweep_result {
	uint64_t seeds; /* that were run */
	uint64_t failures;
	uint64_t divergences;	/* seeds whose second run was not the first */
	uint64_t uncovered;	/* SOQ_SOMETIMES that was reached and never held */
	uint64_t first_failure; /* a seed, if failures > 0 */
	uint64_t events;	/* of all runs, the second ones included; so, too, the next */
	int64_t simulated_ns;
	int64_t elapsed_ns; /* of real time */
};

/**
 * Run a scenario under many seeds, each in a process of its own. A failing seed is told with
 * its report, shrunk (fewer faults, smaller ones, a shorter run) and printed as a C test. With
 * SOQUETE_SEED only that seed is run, and its events are printed.
 *
 * @return 0 when all seeds passed; -EILSEQ when one diverged, -EPROTO when one failed; another
 *         code when the sweep itself could not be done
 */
SOQ_API int soq_sim_sweep(const struct soq_sim_sweep *sweep, struct soq_sim_sweep_result *ret);

/**
 * Run a scenario once with the faults given here in place of those that chaos would draw:
 * what a sweep prints calls this. It runs in this process, whatever SOQUETE_SEED says; a
 * failure is told on the sweep's @out. The scenario's own faults are added as ever.
 *
 * @link  the default link; NULL: as drawn
 * @return how the run ended; SOQ_SIM_FAILED also when it could not be built, or check() has
 *         objected
 */
SOQ_API enum soq_sim_verdict soq_sim_replay(const struct soq_sim_sweep *sweep, uint64_t seed,
	const struct soq_sim_link *link, const struct soq_sim_fault *faults, size_t count);

/* ---- seeing ---- */

/**
 * Write every packet of the world to a file that Wireshark opens: an interface for each host,
 * a packet on its sender's interface, with a comment where it was lost, duplicated, corrupted,
 * held back. To be called before the run.
 *
 * @file  pcapng; borrowed until soq_sim_free()
 * @return 0; -ENOMEM, -EBUSY when there is one already
 */
SOQ_API int soq_sim_trace(struct soq_sim *sim, FILE *file);

/** Write each event as a line: instant, host, what. As soq_sim_trace(). */
SOQ_API int soq_sim_log(struct soq_sim *sim, FILE *file);

/**
 * Draw the run as a sequence diagram in SVG: hosts as columns, time downwards, each packet,
 * loss, partition, crash. To be called before the run; it is written by soq_sim_free().
 *
 * @title       may be NULL
 * @events_max  further events are counted, not drawn. 0: 400
 */
SOQ_API int soq_sim_diagram(
	struct soq_sim *sim, FILE *file, const char *title, unsigned events_max);

SOQ_END_C

#endif
