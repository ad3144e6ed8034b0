/* hosts_file.c - lines and words of hosts(5).
 *
 * Invariant: each call moves forwards, so that a file is read in time linear in its length,
 * however long its lines are.
 */
#include "hosts_file.h"

#include <string.h>

/* What isspace(3) takes for one in the C locale, but for the newline: a line has none inside.
 */
static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* Where a line stops to mean anything. */
static const char *meaning_end(const char *line, const char *end)
{
	while (line < end && *line != '#' && *line != '\0')
		line++;
	return line;
}

bool soq__hosts_name(const char **ret, size_t *ret_len, const char **at, const char *end)
{
	const char *first = *at;
	const char *behind;

	while (first < end && is_blank(*first))
		first++;
	behind = first;
	while (behind < end && !is_blank(*behind))
		behind++;
	*at = behind;
	if (first == behind)
		return false;
	*ret = first;
	*ret_len = (size_t)(behind - first);
	return true;
}

static bool parse_line(struct soq__hosts_line *ret, const char *at, const char *end)
{
	struct soq__hosts_line line;
	size_t first_len;

	if (!soq__hosts_name(&line.address, &line.address_len, &at, end) ||
		!soq__hosts_name(&line.names, &first_len, &at, end))
		return false;
	while (is_blank(end[-1]))
		end--;
	line.names_len = (size_t)(end - line.names);
	*ret = line;
	return true;
}

bool soq__hosts_next(struct soq__hosts_line *ret, const char **at, const char *end)
{
	while (*at < end) {
		const char *line = *at;
		const char *newline = memchr(line, '\n', (size_t)(end - line));

		*at = newline ? newline + 1 : end;
		if (parse_line(ret, line, meaning_end(line, newline ? newline : end)))
			return true;
	}
	return false;
}
