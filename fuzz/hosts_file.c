/* sources: src/proto/hosts_file.c */
/* hosts_file.c - any bytes as a hosts file.
 *
 * What must hold: every word lies within its line, has no blank, is not empty; nothing is found
 * twice; a line read by itself gives the same as within the file.
 */
#include "proto/hosts_file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_word(const char *word, size_t len)
{
	require(len > 0);
	for (size_t i = 0; i < len; i++)
		require(!strchr(" \t\r\n\v\f#", word[i])); /* and no NUL */
}

/* @return how many names */
static size_t check_names(const struct soq__hosts_line *line)
{
	const char *at = line->names, *end = line->names + line->names_len;
	const char *name = NULL, *behind = at;
	size_t len = 0, count = 0;

	while (soq__hosts_name(&name, &len, &at, end)) {
		check_word(name, len);
		require(name >= behind && name + len <= end && at == name + len);
		behind = at;
		count++;
	}
	require(count > 0 && behind == end && at == end);
	return count;
}

static void check_alone(const struct soq__hosts_line *line, size_t count)
{
	const char *at = line->address, *end = line->names + line->names_len;
	struct soq__hosts_line again;

	require(soq__hosts_next(&again, &at, end));
	require(again.address == line->address && again.address_len == line->address_len);
	require(again.names == line->names && check_names(&again) == count);
	require(!soq__hosts_next(&again, &at, end) && at == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size > 0 ? size : 1); /* exactly: AddressSanitizer sees its end */
	const char *at = text, *end = text + size, *behind = text;
	struct soq__hosts_line line;

	require(text);
	if (size > 0)
		memcpy(text, data, size);
	while (soq__hosts_next(&line, &at, end)) {
		require(line.address >= behind && line.names > line.address + line.address_len);
		require(line.names + line.names_len <= at && at <= end);
		check_word(line.address, line.address_len);
		check_alone(&line, check_names(&line));
		behind = at;
	}
	require(at == end);
	free(text);
	return 0;
}
