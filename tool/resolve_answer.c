/* resolve_answer.c - a question of `soquete resolve`, answered: a name's addresses, in the
 * order in which they are tried; an address's name; and the other records of the DNS. */
#include "resolve.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What has just been found is at hand; for what is not, nobody waits longer than this. */
#define DETAILS_NS SOQ_S

/* ---- records ---- */

static int complain(const struct tool_question *q, int rc)
{
	return tool_fail_library(tool_resolve.name, q->text, rc);
}

/* The library's sentence, with what was typed in the place of what was made of it. */
static int complain_as_typed(
	const struct tool_question *q, const char *sentence, const char *made, int rc)
{
	const char *at = strstr(sentence, made), *rest;

	if (!at)
		return tool_fail(NULL, "%s", sentence);
	rest = at + strlen(made);
	if (rc == -SOQ_EENDPOINT)
		return tool_usage(tool_resolve.name, "'%s' is not a name: %s", q->text,
			rest + strspn(rest, "': "));
	return tool_fail(NULL, "%.*s%s%s", (int)(at - sentence), sentence, q->text, rest);
}

static int complain_of_lookup(const struct tool_question *q, const char *endpoint, int rc)
{
	char sentence[1024];

	if (rc == -SOQ_ENOPORT)
		return complain(q, rc);
	snprintf(sentence, sizeof(sentence), "%s", soq_last_error());
	return complain_as_typed(
		q, sentence, q->kind == TOOL_ASK_NAME ? endpoint : q->text, rc);
}

static void print(const struct tool_question *q, const struct soq_record *list, size_t count)
{
	if (q->verbose)
		tool_records_print_table(list, count);
	else
		tool_records_print(list, count);
}

/* Aliases first, then what is to be tried first. */
static int rank(const struct soq_record *r, enum soq_record_type type)
{
	return r->type == type ? r->priority : -1;
}

/* Records of one rank stay in the order in which the DNS gave them. */
static void sort(struct soq_records *records, enum soq_record_type type)
{
	for (size_t i = 1; i < records->count; i++) {
		struct soq_record r = records->list[i];
		size_t at = i;

		for (; at && rank(&records->list[at - 1], type) > rank(&r, type); at--)
			records->list[at] = records->list[at - 1];
		records->list[at] = r;
	}
}

static int print_records(const struct tool_question *q)
{
	struct soq_records records;
	size_t aliases = 0;
	int rc = soq_query(&records, q->text, q->type);

	if (rc)
		return complain(q, rc);
	sort(&records, q->type);
	while (!q->verbose && aliases < records.count && records.list[aliases].type != q->type)
		aliases++;
	print(q, records.list + aliases, records.count - aliases);
	soq_records_done(&records);
	return TOOL_DONE;
}

/* ---- addresses ---- */

/* What the DNS says of a name's addresses: nothing, of those that come from elsewhere. */
static void ask_details(struct soq_records ret[2], const char *name)
{
	static const enum soq_record_type types[2] = { SOQ_RECORD_AAAA, SOQ_RECORD_A };
	int64_t outer = soq_deadline(soq_now() + DETAILS_NS);

	for (int i = 0; i < 2; i++)
		if (soq_query(&ret[i], name, types[i]))
			ret[i] = (struct soq_records){ .count = 0 };
	soq_deadline_restore(outer);
}

static bool is_same_host(const struct soq_addr *a, const struct soq_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr));
}

/* The record of an address, made up if the DNS has none. What it points to is borrowed. */
static struct soq_record record_of(
	const struct soq_addr *addr, const char *name, const struct soq_records details[2])
{
	struct soq_record r = {
		.type = addr->sa.sa_family == AF_INET ? SOQ_RECORD_A : SOQ_RECORD_AAAA,
		.ttl_s = TOOL_TTL_UNKNOWN,
		.owner = (char *)name,
	};

	for (int i = 0; i < 2; i++)
		for (size_t j = 0; j < details[i].count; j++)
			if (details[i].list[j].type == r.type &&
				is_same_host(&details[i].list[j].addr, addr))
				r = details[i].list[j];
	r.addr = *addr;
	return r;
}

/* Print addresses in their order, after the aliases that lead to them. */
static int print_found(const struct tool_question *q, const struct soq_addrs *addrs,
	const char *name, const struct soq_records details[2])
{
	const struct soq_records *aliases = &details[details[0].count ? 0 : 1];
	struct soq_record *list = calloc(addrs->count + aliases->count, sizeof(*list));
	size_t count = 0;

	if (!list)
		return tool_fail(tool_resolve.name, "%s", soq_strerror(-ENOMEM));
	for (size_t i = 0; i < aliases->count; i++)
		if (aliases->list[i].type == SOQ_RECORD_CNAME)
			list[count++] = aliases->list[i];
	for (size_t i = 0; i < addrs->count; i++)
		list[count++] = record_of(&addrs->list[i], name, details);
	print(q, list, count);
	free(list);
	return TOOL_DONE;
}

/* @name  of the endpoint; "" is this machine */
static int print_addresses(
	const struct tool_question *q, const char *endpoint, const char *name)
{
	struct soq_records details[2] = { { .count = 0 }, { .count = 0 } };
	struct soq_addrs addrs;
	int rc = soq_resolve(&addrs, endpoint), status;

	if (rc)
		return complain_of_lookup(q, endpoint, rc);
	if (q->verbose && *name && !tool_is_address(name))
		ask_details(details, name);
	status = print_found(q, &addrs, *name ? name : "localhost", details);
	for (int i = 0; i < 2; i++)
		soq_records_done(&details[i]);
	soq_addrs_done(&addrs);
	return status;
}

static int print_name_addresses(const struct tool_question *q)
{
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];

	if ((size_t)snprintf(endpoint, sizeof(endpoint), "tcp://%s:0", q->text) >=
		sizeof(endpoint))
		return tool_usage(
			tool_resolve.name, "the name is longer than the DNS allows, 253 bytes");
	return print_addresses(q, endpoint, q->text);
}

static int print_endpoint_addresses(const struct tool_question *q)
{
	struct soq_endpoint e;

	soq_endpoint_parse(&e, q->text); /* once more: it was good */
	return print_addresses(q, q->text, e.host);
}

/* ---- an address's name ---- */

static int parse_address(struct soq_addr *ret, const char *text)
{
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_addrs addrs;
	int rc;

	snprintf(endpoint, sizeof(endpoint), strchr(text, ':') ? "tcp://[%s]:0" : "tcp://%s:0",
		text);
	rc = soq_resolve(&addrs, endpoint);
	if (rc)
		return rc;
	*ret = addrs.list[0];
	soq_addrs_done(&addrs);
	return 0;
}

/* The DNS's record of the name that was found, if it has one; else it is made up. */
static struct soq_record pointer_of(
	const struct soq_records *details, const char *address, char *name)
{
	struct soq_record r = { .type = SOQ_RECORD_PTR,
		.ttl_s = TOOL_TTL_UNKNOWN,
		.owner = (char *)address,
		.text = name };

	for (size_t i = 0; i < details->count; i++)
		if (details->list[i].type == r.type && !strcmp(details->list[i].text, name))
			return details->list[i];
	return r;
}

static int complain_of_address(
	const struct tool_question *q, const struct soq_addr *addr, int rc)
{
	char made[SOQ_ADDR_TEXT_MAX];

	soq_addr_format(made, sizeof(made), addr);
	return complain_as_typed(q, soq_last_error(), made, rc);
}

static int print_name(const struct tool_question *q)
{
	char name[256];
	struct soq_records details = { .count = 0 };
	struct soq_record r;
	struct soq_addr addr;
	int64_t outer;
	int rc = parse_address(&addr, q->text);

	if (rc)
		return complain(q, rc);
	rc = soq_reverse(name, sizeof(name), &addr);
	if (rc)
		return complain_of_address(q, &addr, rc);
	outer = soq_deadline(soq_now() + DETAILS_NS);
	if (q->verbose && soq_query(&details, q->text, SOQ_RECORD_PTR))
		details = (struct soq_records){ .count = 0 };
	soq_deadline_restore(outer);
	r = pointer_of(&details, q->text, name);
	print(q, &r, 1);
	soq_records_done(&details);
	return TOOL_DONE;
}

/* ---- all ---- */

int tool_resolve_answer(const struct tool_question *q)
{
	if (q->has_type)
		return print_records(q);
	switch (q->kind) {
	case TOOL_ASK_ADDRESS:
		return print_name(q);
	case TOOL_ASK_ENDPOINT:
		return print_endpoint_addresses(q);
	case TOOL_ASK_NAME:
		break;
	}
	return print_name_addresses(q);
}
