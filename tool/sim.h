/* sim.h - the scenarios of `soquete sim`: who plays in which world, and says what. */
#ifndef TOOL_SIM_H
#define TOOL_SIM_H

#include <soquete/sim.h>
#include <soquete/soquete.h>
#include <limits.h>

#define TOOL_CLIENTS_MAX 2

/* A world under way; the argument of its programs. */
struct tool_world {
	struct soq_sim *sim;
	FILE *out; /* where they tell what they do */
	FILE *log; /* the simulation's, to be told in part; NULL: it goes to @out itself */
	char *log_text;
	size_t log_len, log_told; /* bytes */
	struct soq_sim_host *server, *clients[TOOL_CLIENTS_MAX];
	unsigned clients_left; /* that have not ended */
	enum soq_shape shape;  /* the server's */
	char root[PATH_MAX];   /* http: the folder served */
};

struct tool_scenario {
	const char *name;
	const char *summary;	       /* one line */
	soq_sim_main *server, *client; /* server NULL: its host runs nothing */
	unsigned clients;	  /* 2: hosts "client1" and "client2", else one, "client" */
	struct soq_sim_link link; /* where the command line says nothing */
	size_t buffer_bytes;	  /* of sockets. 0: the simulation's default */
	struct soq_sim_fault partition; /* when the server is cut off, unless the command line
					   says when. duration_ns 0: it is not */
	/* Make and remove what is needed beside the world. NULL: nothing is.
	 * @return 0 or a negative code */
	int (*prepare)(struct tool_world *w);
	void (*clean_up)(struct tool_world *w);
};

/** The @index-th scenario, or NULL past the last. */
const struct tool_scenario *tool_scenario_at(size_t index);

/* What the scenarios' programs share. */

/** Tell something in the name of the calling program's host, with the world's instant. */
void tool_say(struct tool_world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Tell what has befallen the network since: faults, and packets lost. */
void tool_tell_log(struct tool_world *w);

/** A server of one endpoint, to the last client's end; one of the handlers is NULL.
 *  @return as soq_server_run() */
int tool_sim_serve(struct tool_world *w, const char *endpoint, soq_handler *handler,
	soq_dgram_handler *dgram, void *arg);

/** Connect, a moment after the world's beginning. @return NULL when that has failed, and was
 *  told */
struct soq_stream *tool_sim_connect(struct tool_world *w, const char *endpoint);

/** A client's end: finish its stream, if there is one, and stop the server after the last.
 *  @return 0 */
int tool_sim_leave(struct tool_world *w, struct soq_stream *s);
/** The same when something has failed, and was told: close the stream as it is. */
int tool_sim_give_up(struct tool_world *w, struct soq_stream *s);

/* sim_http.c: the scenario http. */
int tool_http_server(void *arg);
int tool_http_client(void *arg);
int tool_http_prepare(struct tool_world *w);
void tool_http_clean_up(struct tool_world *w);

#endif
