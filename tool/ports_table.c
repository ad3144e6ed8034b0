/* ports_table.c - who listens, as a table for people. */
#include "ports.h"
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum column { PORT, SERVICE, OVER, ADDRESSES, USER, PID, PROCESS, COLUMNS };

#define CELL_MAX      96
#define NAME_WIDTH    12 /* of services and users, at most; what is longer is cut */
#define ADDRESS_WIDTH 32 /* several addresses share a line that is no wider */
#define ANY_PORT      UINT32_MAX

struct row {
	char cell[COLUMNS][CELL_MAX];
};

struct table {
	struct row *rows;
	size_t count, capacity;
	int width[COLUMNS];
	bool has_unseen; /* processes */
};

/* Shorten a text to a width, so that one sees it. */
static void cut(char *text, size_t width)
{
	if (strlen(text) > width)
		memcpy(text + width - 3, "...", 4);
}

/* @return the next row, all of its cells empty; NULL without memory */
static struct row *add_row(struct table *t)
{
	if (t->count == t->capacity) {
		size_t capacity = t->capacity ? 2 * t->capacity : 16;
		struct row *rows = reallocarray(t->rows, capacity, sizeof(*rows));

		if (!rows)
			return NULL;
		t->rows = rows;
		t->capacity = capacity;
	}
	t->rows[t->count] = (struct row){ .cell = { "" } };
	return &t->rows[t->count++];
}

static void put_user(char cell[CELL_MAX], uid_t uid)
{
	const struct passwd *user = getpwuid(uid);

	if (user)
		tool_port_printable(cell, CELL_MAX, user->pw_name);
	else
		snprintf(cell, CELL_MAX, "%lu", (unsigned long)uid);
	cut(cell, NAME_WIDTH);
}

static void put_process(struct table *t, struct row *row, const struct tool_listener *l)
{
	if (!l->pid) {
		strcpy(row->cell[PID], "-");
		strcpy(row->cell[PROCESS], "-");
		t->has_unseen = true;
		return;
	}
	snprintf(row->cell[PID], CELL_MAX, "%d", (int)l->pid);
	if (l->processes > 1)
		snprintf(row->cell[PROCESS], CELL_MAX, "%s and %u more", l->process,
			l->processes - 1);
	else
		snprintf(row->cell[PROCESS], CELL_MAX, "%s", l->process);
}

/* All cells but the addresses. */
static void put_listener(struct table *t, struct row *row, const struct tool_listener *l)
{
	snprintf(row->cell[PORT], CELL_MAX, "%u", l->port);
	strcpy(row->cell[OVER], l->protocol == IPPROTO_TCP ? "tcp" : "udp");
	tool_port_name(l->port, l->protocol, row->cell[SERVICE], NULL);
	cut(row->cell[SERVICE], NAME_WIDTH);
	put_user(row->cell[USER], l->uid);
	put_process(t, row, l);
}

/* Add an address to a cell. @return false when it has no room, unless it is empty */
static bool put_address(char cell[CELL_MAX], const struct tool_listener *l)
{
	char text[INET6_ADDRSTRLEN];
	size_t n = strlen(cell);

	inet_ntop(l->family, l->address, text, sizeof(text));
	if (n && n + 2 + strlen(text) > ADDRESS_WIDTH)
		return false;
	snprintf(cell + n, CELL_MAX - n, "%s%s", n ? ", " : "", text);
	return true;
}

static bool is_same_address(const struct tool_listener *a, const struct tool_listener *b)
{
	return a->family == b->family && !memcmp(a->address, b->address, sizeof(a->address));
}

/* The listeners of a port or of all: those that differ by their addresses alone have a row,
 * and further ones if these are many. @return 0, -ENOMEM */
static int fill(struct table *t, const struct tool_listening *listening, uint32_t port)
{
	const struct tool_listener *last = NULL;
	struct row *row = NULL;

	for (size_t i = 0; i < listening->count; i++) {
		const struct tool_listener *l = &listening->at[i];
		bool is_alike = last && tool_listener_is_alike(last, l);

		if (port != ANY_PORT && l->port != port)
			continue;
		if (is_alike && is_same_address(last, l))
			continue; /* sockets that share all by SO_REUSEPORT */
		if (!is_alike || !put_address(row->cell[ADDRESSES], l)) {
			row = add_row(t);
			if (!row)
				return -ENOMEM;
			if (!is_alike)
				put_listener(t, row, l);
			put_address(row->cell[ADDRESSES], l);
		}
		last = l;
	}
	return 0;
}

/* Each column is as wide as its widest cell; the last one gets what is left of the line. */
static void measure(struct table *t, enum column first, int indent)
{
	int left = TOOL_PORTS_WIDTH - indent;

	for (size_t i = 0; i < t->count; i++) {
		for (int c = 0; c < COLUMNS; c++) {
			int width = (int)strlen(t->rows[i].cell[c]);

			if (t->width[c] < width)
				t->width[c] = width;
		}
	}
	for (int c = first; c < PROCESS; c++)
		left -= t->width[c] + 2;
	for (size_t i = 0; i < t->count; i++)
		cut(t->rows[i].cell[PROCESS], (size_t)left);
}

static void print_row(const struct table *t, const struct row *row, enum column first)
{
	int blanks = 0; /* not printed at a line's end */

	for (int c = first; c < COLUMNS; c++) {
		const char *text = row->cell[c];
		int width = t->width[c], len = (int)strlen(text);
		int before = c == PORT ? width - len : 0;

		if (len) {
			printf("%*s%s", blanks + before, "", text);
			blanks = 2 + width - len - before;
		} else {
			blanks += 2 + width;
		}
	}
	putchar('\n');
}

static void print_table(struct table *t, enum column first, const char *label)
{
	int indent = (int)strlen(label);

	measure(t, first, indent);
	for (size_t i = 0; i < t->count; i++) {
		printf("%*s", indent, i ? "" : label);
		print_row(t, &t->rows[i], first);
	}
	if (t->has_unseen)
		printf("%*s- is a process that cannot be seen from here, or the kernel "
		       "itself\n",
			indent, "");
}

/* @label  stands before the first line, and the others are indented as far */
static int print_listeners(
	const struct tool_listening *l, uint32_t port, enum column first, const char *label)
{
	static const struct row heading = { .cell = { "PORT", "SERVICE", "OVER", "ADDRESSES",
						    "USER", "PID", "PROCESS" } };
	struct table t = { .rows = NULL };
	struct row *row = add_row(&t);
	int rc = -ENOMEM;

	if (row) {
		*row = heading;
		rc = fill(&t, l, port);
	}
	if (!rc && t.count > 1)
		print_table(&t, first, label);
	else if (!rc)
		printf("%snobody\n", label);
	free(t.rows);
	return rc ? tool_fail(tool_ports.name, "%s", soq_strerror(rc)) : TOOL_DONE;
}

int tool_listening_print(const struct tool_listening *l)
{
	return print_listeners(l, ANY_PORT, PORT, "  ");
}

int tool_listening_print_port(const struct tool_listening *l, uint16_t port, const char *label)
{
	return print_listeners(l, port, OVER, label);
}
