/* ports.h - what `soquete ports` knows: the names of ports, and who listens on them. */
#ifndef TOOL_PORTS_H
#define TOOL_PORTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TOOL_PORTS_WIDTH   100 /* of a line, at most */
#define TOOL_PORT_NAME_MAX 64  /* of a service, a user, a process: printable, NUL included */

/* ports_names.c: names */

/* A standard service. */
struct tool_port {
	uint16_t port;
	bool tcp, udp; /* what it is used over, whatever is registered */
	unsigned rfc;
	const char *name;
	const char *what; /* it is, in a few words */
};

/** The @index-th standard service, by ascending ports; NULL past the last. */
const struct tool_port *tool_port_at(size_t index);

/** The standard service of a port; NULL when it has none. */
const struct tool_port *tool_port_find(uint16_t port);

/**
 * The ports that have a name or an alias, by services(5) or else by the standard services;
 * the case of letters does not matter (RFC 6335 section 5.1).
 *
 * @ret  over TCP, then over UDP if that is another one
 * @return how many there are, 0 to 2
 */
size_t tool_port_by_name(const char *name, uint16_t ret[2]);

/**
 * The name of a port, made printable.
 *
 * @protocol    IPPROTO_TCP or IPPROTO_UDP
 * @ret_others  its aliases, joined by ", "; "" when there are none. May be NULL
 * @return false when it has no name; the results are ""
 */
bool tool_port_name(uint16_t port, int protocol, char ret[TOOL_PORT_NAME_MAX],
	char ret_others[TOOL_PORT_NAME_MAX]);

/** The known name that is nearest to a word; false when none is near. */
bool tool_port_nearest(const char *word, char ret[TOOL_PORT_NAME_MAX]);

/** Copy text from outside so that it cannot be taken for the terminal's controls. */
void tool_port_printable(char *buf, size_t len, const char *text);

/* ports_rules.c: what this machine has set */

struct tool_port_rules {
	uint16_t unprivileged_start;		 /* the first port that anybody may bind */
	uint16_t local_low, local_high;		 /* where ports are taken from for clients */
	bool start_is_default, local_is_default; /* it could not be read: the kernel's own */
};

struct tool_port_rules tool_port_rules_read(void);

/* ports_listening.c: who listens */

struct tool_listener {
	int protocol; /* IPPROTO_TCP: listening; IPPROTO_UDP: bound, not connected */
	int family;
	uint8_t address[sizeof(struct in6_addr)]; /* the first 4 bytes, of AF_INET */
	uint16_t port;
	uid_t uid;
	uint64_t inode;
	pid_t pid; /* the first process that has it open, of those that we may look into; or 0
		    */
	pid_t last_pid;			  /* the last one */
	unsigned processes;		  /* how many */
	char process[TOOL_PORT_NAME_MAX]; /* the first one's name, printable */
};

struct tool_listening {
	struct tool_listener *at; /* by port, TCP first, user and process */
	size_t count, capacity;
};

/**
 * Read who listens in this network namespace now. A system without IPv6 has no files for it.
 *
 * @ret       to be freed by tool_listening_done(), also after a failure
 * @ret_path  the file that could not be read
 * @return 0 or a negative code
 */
int tool_listening_read(struct tool_listening *ret, const char **ret_path);

void tool_listening_done(struct tool_listening *l);

/** Whether two of them are one line of a table: all but their addresses is the same. */
bool tool_listener_is_alike(const struct tool_listener *a, const struct tool_listener *b);

/* ports_table.c: who listens, printed */

/** Print who listens on all ports. @return TOOL_DONE; TOOL_FAILED, and the complaint */
int tool_listening_print(const struct tool_listening *l);

/**
 * Print who listens on a port, beside a label; further lines are indented as far.
 * @return as tool_listening_print()
 */
int tool_listening_print_port(const struct tool_listening *l, uint16_t port, const char *label);

#endif
