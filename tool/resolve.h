/* resolve.h - what `soquete resolve` has found, printed. */
#ifndef TOOL_RESOLVE_H
#define TOOL_RESOLVE_H

#include <soquete/soquete.h>

/* Of an address whose record is not known. No TTL is so long (RFC 2181, section 8). */
#define TOOL_TTL_UNKNOWN UINT32_MAX

/** Print records one a line, each as its type has it, and nothing else. */
void tool_records_print(const struct soq_record *list, size_t count);

/** Print them with whose they are, how long they may be kept, and their types, in columns. */
void tool_records_print_table(const struct soq_record *list, size_t count);

#endif
