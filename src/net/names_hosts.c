/* names_hosts.c - see names_hosts.h.
 *
 * A row for each name of each line, in the file's order; libc's hash table leads from a name in
 * small letters to its first row, and from there each row to the next of the same name.
 *
 * Source: hosts(5), hsearch_r(3).
 */
#include "net/names_hosts.h"
#include "base/util.h"
#include "proto/hosts_file.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <net/if.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONE	 SIZE_MAX
#define NAME_MAX 253

struct row {
	struct soq_addr addr;
	char *name;
	size_t next; /* of the same name, or NONE */
	size_t last; /* of a name's first row: where the next one is added */
};

struct soq__hosts {
	struct row *rows;
	size_t count;
	char *names; /* all of them, NUL-terminated, in small letters */
	struct hsearch_data table;
};

char *soq__read_file(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "re");
	size_t room = 4096, len = 0, n;
	char *text = f ? malloc(room) : NULL, *longer;

	while (text && (n = fread(text + len, 1, room - len - 1, f)) > 0) {
		len += n;
		if (room - len > 1)
			continue;
		longer = realloc(text, room *= 2);
		if (!longer)
			free(text);
		text = longer;
	}
	if (f)
		fclose(f);
	if (!text)
		return NULL;
	text[len] = '\0';
	*ret_len = len;
	return text;
}

static bool parse_address(struct soq_addr *ret, const struct soq__hosts_line *line)
{
	char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1], *zone;

	if (line->address_len >= sizeof(text))
		return false;
	memcpy(text, line->address, line->address_len);
	text[line->address_len] = '\0';
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &ret->in.sin_addr) == 1) {
		ret->in.sin_family = AF_INET;
		ret->len = sizeof(ret->in);
		return true;
	}
	zone = strchr(text, '%');
	if (zone)
		*zone++ = '\0';
	if (inet_pton(AF_INET6, text, &ret->in6.sin6_addr) != 1)
		return false;
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_scope_id = zone ? if_nametoindex(zone) : 0;
	ret->len = sizeof(ret->in6);
	return true;
}

static size_t count_names(const char *text, size_t len)
{
	const char *at = text, *end = text + len, *name, *word;
	struct soq__hosts_line line;
	size_t count = 0, name_len;

	while (soq__hosts_next(&line, &at, end)) {
		word = line.names;
		while (soq__hosts_name(&name, &name_len, &word, line.names + line.names_len))
			count++;
	}
	return count;
}

static ENTRY *find(const struct soq__hosts *h, char *name, const void *row, ACTION action)
{
	ENTRY entry = { .key = name, .data = (void *)(uintptr_t)row }, *found = NULL;
	/* Finding does not change the table, though the call's type says that it may. */
	struct hsearch_data *table = (struct hsearch_data *)(uintptr_t)&h->table;

	return hsearch_r(entry, action, &found, table) ? found : NULL;
}

static void add(struct soq__hosts *h, const struct soq_addr *addr, char *name)
{
	struct row *row = &h->rows[h->count], *first;
	ENTRY *entry = find(h, name, row, ENTER);

	if (!entry)
		return;
	*row = (struct row){ .addr = *addr, .name = name, .next = NONE, .last = h->count };
	first = entry->data;
	if (first != row) {
		h->rows[first->last].next = h->count;
		first->last = h->count;
	}
	h->count++;
}

/* The rows of a line. @names  where the names' copies go. @return behind the last */
static char *add_line(struct soq__hosts *h, const struct soq__hosts_line *line, char *names)
{
	const char *at = line->names, *name;
	struct soq_addr addr;
	size_t len;

	if (!parse_address(&addr, line))
		return names;
	while (soq__hosts_name(&name, &len, &at, line->names + line->names_len)) {
		if (len > NAME_MAX)
			continue;
		for (size_t i = 0; i < len; i++)
			names[i] = (char)tolower((unsigned char)name[i]);
		names[len] = '\0';
		add(h, &addr, names);
		names += len + 1;
	}
	return names;
}

struct soq__hosts *soq__hosts_load(const char *path)
{
	struct soq__hosts *h = calloc(1, sizeof(*h));
	struct soq__hosts_line line;
	size_t len = 0, count;
	char *text = soq__read_file(path, &len), *names;
	const char *at = text;

	if (!h || !text) {
		free(text);
		return h;
	}
	count = count_names(text, len);
	h->rows = calloc(count + 1, sizeof(*h->rows));
	h->names = malloc(len + 1);
	if (!h->rows || !h->names || !hcreate_r(count + count / 4 + 1, &h->table)) {
		free(text);
		soq__hosts_free(h);
		return NULL;
	}
	names = h->names;
	while (soq__hosts_next(&line, &at, text + len))
		names = add_line(h, &line, names);
	free(text);
	return h;
}

void soq__hosts_free(struct soq__hosts *h)
{
	if (!h)
		return;
	hdestroy_r(&h->table);
	free(h->rows);
	free(h->names);
	free(h);
}

size_t soq__hosts_find(
	const struct soq__hosts *h, const char *name, struct soq_addr *list, size_t room)
{
	char key[NAME_MAX + 1];
	const struct row *row;
	size_t len = strlen(name), count = 0;
	ENTRY *entry;

	if (!h || !h->count || len > NAME_MAX)
		return 0;
	for (size_t i = 0; i <= len; i++)
		key[i] = (char)tolower((unsigned char)name[i]);
	entry = find(h, key, NULL, FIND);
	for (row = entry ? entry->data : NULL; row;
		row = row->next == NONE ? NULL : &h->rows[row->next]) {
		if (count < room)
			list[count] = row->addr;
		count++;
	}
	return count;
}

static bool same_host(const struct soq_addr *a, const struct soq_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
}

const char *soq__hosts_name_of(const struct soq__hosts *h, const struct soq_addr *addr)
{
	for (size_t i = 0; h && i < h->count; i++)
		if (same_host(&h->rows[i].addr, addr))
			return h->rows[i].name;
	return NULL;
}
