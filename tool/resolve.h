/* resolve.h - the parts of `soquete resolve`: a question, its answer, and how that is printed.
 */
#ifndef TOOL_RESOLVE_H
#define TOOL_RESOLVE_H

#include <soquete/soquete.h>

enum tool_ask {
	TOOL_ASK_NAME,
	TOOL_ASK_ADDRESS,
	TOOL_ASK_ENDPOINT, /* a name or an address, with a port */
};

struct tool_question {
	enum tool_ask kind;
	const char *text; /* as it was typed */
	bool has_type;	  /* else addresses are wanted, or an address's name */
	enum soq_record_type type;
	bool verbose;
};

/* resolve.c */

/** Whether a text is an IP address, perhaps with a zone. */
bool tool_is_address(const char *text);

/* resolve_answer.c */

/** Look up and print. @return TOOL_DONE; TOOL_FAILED or TOOL_USAGE, and the complaint */
int tool_resolve_answer(const struct tool_question *q);

/* resolve_print.c */

/* Of an address whose record is not known. No TTL is so long (RFC 2181, section 8). */
#define TOOL_TTL_UNKNOWN UINT32_MAX

/** Print records one a line, each as its type has it, and nothing else. */
void tool_records_print(const struct soq_record *list, size_t count);

/** Print them with whose they are, how long they may be kept, and their types, in columns. */
void tool_records_print_table(const struct soq_record *list, size_t count);

#endif
