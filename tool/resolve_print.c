/* resolve_print.c - records of the DNS as text.
 *
 * Whoever owns a name decides what its records say, so no byte of them reaches the terminal
 * that could move its cursor: all but printable ASCII is written as \DDD, as in a zone's file.
 * Source: RFC 1035, section 5.1.
 */
#include "resolve.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define COLUMN_GAP 2

/* Print one byte. @return the columns that it takes */
static int put_byte(unsigned char byte, bool is_safe)
{
	return is_safe ? printf("%c", byte) : printf("\\%03u", byte);
}

/* A name's backslashes are escapes already. @return the columns that it takes */
static int put_name(const char *name)
{
	int columns = 0;

	if (!name || !*name)
		name = "."; /* the root */
	for (; *name; name++)
		columns += put_byte((unsigned char)*name, *name > ' ' && *name < 0x7f);
	return columns;
}

static int name_columns(const char *name)
{
	int columns = 0;

	for (; *name; name++)
		columns += *name > ' ' && *name < 0x7f ? 1 : 4;
	return columns;
}

static void put_quoted(const char *text, size_t len)
{
	putchar('"');
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"' || text[i] == '\\')
			putchar('\\');
		put_byte((unsigned char)text[i], text[i] >= ' ' && text[i] < 0x7f);
	}
	putchar('"');
}

static void put_text(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		put_byte((unsigned char)text[i], text[i] >= ' ' && text[i] < 0x7f);
}

/* An address with its zone, and with its port if it has one. */
static void put_addr(const struct soq_addr *addr)
{
	char text[SOQ_ADDR_TEXT_MAX];

	if (soq_addr_port(addr) ||
		getnameinfo(&addr->sa, addr->len, text, sizeof(text), NULL, 0, NI_NUMERICHOST))
		soq_addr_format(text, sizeof(text), addr);
	fputs(text, stdout);
}

static void put_value(const struct soq_record *r)
{
	switch (r->type) {
	case SOQ_RECORD_A:
	case SOQ_RECORD_AAAA:
		put_addr(&r->addr);
		break;
	case SOQ_RECORD_TXT:
		put_quoted(r->text, r->text_len);
		break;
	case SOQ_RECORD_CAA:
		put_text(r->text, r->text_len);
		break;
	case SOQ_RECORD_SRV:
		printf("%u %u %u ", r->priority, r->weight, r->port);
		put_name(r->text);
		break;
	case SOQ_RECORD_MX:
		printf("%u ", r->priority);
		put_name(r->text);
		break;
	case SOQ_RECORD_NS:
	case SOQ_RECORD_CNAME:
	case SOQ_RECORD_SOA:
	case SOQ_RECORD_PTR:
		put_name(r->text);
		break;
	}
	putchar('\n');
}

void tool_records_print(const struct soq_record *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		put_value(&list[i]);
}

void tool_records_print_table(const struct soq_record *list, size_t count)
{
	char ttl[16];
	int width = 0;

	for (size_t i = 0; i < count; i++)
		if (width < name_columns(list[i].owner))
			width = name_columns(list[i].owner);
	for (size_t i = 0; i < count; i++) {
		printf("%*s", width - put_name(list[i].owner) + COLUMN_GAP, "");
		if (list[i].ttl_s == TOOL_TTL_UNKNOWN)
			strcpy(ttl, "-");
		else
			snprintf(ttl, sizeof(ttl), "%u", list[i].ttl_s);
		printf("%6s  %-5s  ", ttl, soq_record_type_name(list[i].type));
		put_value(&list[i]);
	}
}
