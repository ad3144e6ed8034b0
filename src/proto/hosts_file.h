/* hosts_file.h - the machine's own table of names: hosts(5), line by line, word by word.
 *
 * Nothing is copied and nothing is judged: an address is whatever stands first on a line.
 *
 * Source: hosts(5), RFC 952.
 */
#ifndef SOQ__PROTO_HOSTS_FILE_H
#define SOQ__PROTO_HOSTS_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* A line's parts, inside the file's text and not NUL-terminated. */
struct soq__hosts_line {
	const char *address; /* a word, at least one byte */
	size_t address_len;
	const char *names; /* from the first name's first byte to the last one's last */
	size_t names_len;
};

/**
 * The next line that has an address and at least one name. A comment begins at "#", wherever
 * it stands; a NUL ends what a line says, as it does for programs that read lines as strings.
 *
 * @at   where to go on, left behind the line that was found
 * @end  the text's end; its last line needs no newline
 * @return false when there is none: @ret is untouched, @at is @end
 */
bool soq__hosts_next(struct soq__hosts_line *ret, const char **at, const char *end);

/**
 * The next name of a line: begin at names, and end at names + names_len.
 * @return false when there is none: @ret and @ret_len are untouched
 */
bool soq__hosts_name(const char **ret, size_t *ret_len, const char **at, const char *end);

#endif
