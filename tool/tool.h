/* tool.h - what the subcommands of soquete share: their table, options, messages.
 *
 * A subcommand is a file that exports one struct tool_command; main.c lists them.
 * Exit status: 0 done, 1 failed, 2 bad usage; each failure is one line on stderr.
 */
#ifndef TOOL_H
#define TOOL_H

#include <soquete/soquete.h>

enum { TOOL_DONE = 0, TOOL_FAILED = 1, TOOL_USAGE = 2 };

/* Added to a standard port where no endpoint is given: no privilege is needed there. */
#define TOOL_PORT_OFFSET 8000

/* What tool_parse() returns when the subcommand is to go on; no exit status. */
#define TOOL_GO_ON (-1)

enum tool_option_kind {
	OPTION_FLAG,	 /* bool */
	OPTION_TEXT,	 /* const char *, borrowed from argv */
	OPTION_TEXTS,	 /* struct tool_texts: may be given several times */
	OPTION_DURATION, /* int64_t, nanoseconds, more than 0; "none" is SOQ_NEVER */
	OPTION_COUNT,	 /* unsigned, at least 1; "none" is UINT_MAX */
	OPTION_WORKERS,	 /* unsigned; "auto" is one for each processor */
	OPTION_BYTES,	 /* size_t, at least 1; k, M and G multiply by 1024 */
	OPTION_PERCENT,	 /* uint32_t, parts per million */
	OPTION_NUMBER,	 /* uint64_t, any */
	OPTION_MODE,	 /* unsigned, octal permissions */
	OPTION_SHAPE,	 /* enum soq_shape */
	OPTION_ENGINE,	 /* const char *, one that soq_engine_select() knows */
};

#define TOOL_TEXTS_MAX 32

/* The values of an option that may be given several times, in their order. */
struct tool_texts {
	const char *list[TOOL_TEXTS_MAX]; /* borrowed from argv */
	unsigned count;
};

struct tool_option {
	const char *name; /* without its dashes; NULL ends a table */
	char letter;	  /* of the short form, or 0 */
	enum tool_option_kind kind;
	size_t offset;	      /* of the value, in the subcommand's struct of them */
	const char *argument; /* its name in the help; NULL for a flag */
	const char *help;
};

struct tool_command {
	const char *name;
	const char *operands; /* as the help writes them */
	const char *summary;  /* one line */
	const char *text;     /* the help's paragraph; ends with a newline */
	const struct tool_option *options;
	int (*run)(const struct tool_command *self, char **args);
};

extern const struct tool_command tool_serve, tool_connect, tool_listen, tool_resolve, tool_sim,
	tool_ports, tool_cert, tool_help;

/** The @index-th subcommand, or NULL past the last. */
const struct tool_command *tool_command_at(size_t index);

/** A subcommand by its name; NULL, and the complaint printed, when there is none. */
const struct tool_command *tool_command_find(const char *name);

/* options.c */

/**
 * Read a subcommand's options into its struct of values; what is not an option stays in
 * @args, which ends with NULL again. `--` ends the options.
 * @return TOOL_GO_ON, or the exit status: after --help, or after bad usage was reported
 */
int tool_parse(const struct tool_command *command, char **args, void *values);

/** Print a subcommand's help on standard output. @return TOOL_DONE or TOOL_FAILED */
int tool_print_help(const struct tool_command *command);

/**
 * The one endpoint that connect and listen take, and what it is made of.
 * @return TOOL_GO_ON, or the exit status after bad usage was reported
 */
int tool_one_endpoint(const struct tool_command *command, char **args, struct soq_endpoint *ret,
	const char **ret_text);

/** Choose the engine named on the command line; NULL leaves the choice as it is. */
int tool_choose_engine(const char *command, const char *engine);

/* report.c */

/** Print `soquete: COMMAND: message` on standard error. @return TOOL_USAGE, TOOL_FAILED */
int tool_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int tool_fail(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Print the library's sentence for a code that it has just returned. @return TOOL_FAILED;
 *  TOOL_USAGE when the endpoint's text is what is wrong */
int tool_fail_library(const char *operation, const char *endpoint, int code);

/** Print one line on standard error in one write, so that threads do not mix theirs. */
void tool_print_line(const char *prefix, const char *line);

/** Flush standard output. @return TOOL_DONE; TOOL_FAILED, reported unless it is a broken
 *  pipe: whoever reads us has seen enough */
int tool_flush(const char *command);

/** Whether an endpoint is for datagrams; asks the kernel about an inherited socket. */
bool tool_is_dgram(const struct soq_endpoint *endpoint);

/** The scheme of an endpoint, an inherited socket's own instead of fd. */
enum soq_scheme tool_scheme(const struct soq_endpoint *endpoint);

/* version.c */

int tool_version(void);

#endif
