/* resolve.c - `soquete resolve`: a name's addresses, in the order in which they are tried; an
 * address's name; and the other records of the DNS. */
#include "resolve.h"
#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPES "A, AAAA, CAA, CNAME, MX, NS, PTR, SOA, SRV or TXT"

/* What has just been found is at hand; for what is not, nobody waits longer than this. */
#define DETAILS_NS SOQ_S

struct values {
	bool verbose;
	int64_t timeout_ns;
	const char *engine;
};

static const struct tool_option options[] = {
	{ "verbose", 'v', OPTION_FLAG, offsetof(struct values, verbose), NULL,
		"whose each record is, for how many seconds it holds, its type" },
	{ "timeout", 'w', OPTION_DURATION, offsetof(struct values, timeout_ns), "DURATION",
		"fail if it takes longer (5, 500ms, 2m)" },
	{ "engine", 0, OPTION_ENGINE, offsetof(struct values, engine), "NAME",
		"auto, uring or epoll" },
	{ NULL },
};

/* What is asked for. */
enum kind {
	NAME,
	ADDRESS,
	ENDPOINT,
};

struct question {
	enum kind kind;
	const char *text; /* as it was typed */
	bool has_type;
	enum soq_record_type type;
};

/* ---- what is asked for ---- */

static bool is_address(const char *text)
{
	unsigned char buf[sizeof(struct in6_addr)];
	char bare[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "%");

	if (inet_pton(AF_INET, text, buf) == 1)
		return true;
	if (len >= sizeof(bare))
		return false;
	memcpy(bare, text, len);
	bare[len] = '\0';
	return inet_pton(AF_INET6, bare, buf) == 1;
}

/* A URL of a scheme that is no endpoint's: its host is what can be looked up. */
static int refuse_url(const char *text)
{
	const char *host = strstr(text, "://") + 3;
	size_t len = strcspn(host, "/?#:");

	if (!len || memchr(host, '@', len) || *host == '[')
		return tool_usage(tool_resolve.name, "'%s' is a URL; a name is wanted", text);
	return tool_usage(tool_resolve.name,
		"'%s' is a URL; its name alone is wanted: 'soquete resolve %.*s'", text,
		(int)len, host);
}

static bool is_host(const struct soq_endpoint *e)
{
	return e->scheme == SOQ_SCHEME_TCP || e->scheme == SOQ_SCHEME_UDP ||
		e->scheme == SOQ_SCHEME_TLS;
}

static int check_endpoint(const struct question *q)
{
	const char *scheme_end = strstr(q->text, "://");
	struct soq_endpoint e;
	int rc = soq_endpoint_parse(&e, q->text);

	if (rc && scheme_end && strncmp(q->text, "tcp", 3) && strncmp(q->text, "udp", 3) &&
		strncmp(q->text, "tls", 3))
		return refuse_url(q->text);
	if (rc)
		return tool_usage(tool_resolve.name, "%s", soq_last_error());
	if (!is_host(&e))
		return tool_usage(tool_resolve.name,
			"'%s' has no name to look up; tcp, udp and tls endpoints do", q->text);
	if (q->has_type)
		return tool_usage(tool_resolve.name,
			"records are a name's, without a port: 'soquete resolve %s %s'", e.host,
			soq_record_type_name(q->type));
	return TOOL_GO_ON;
}

static int check_type(struct question *q, const char *word)
{
	enum soq_record_type type;

	if (!word)
		return TOOL_GO_ON;
	q->has_type = true;
	if (!soq_record_type_parse(&q->type, word))
		return TOOL_GO_ON;
	if (!soq_record_type_parse(&type, q->text))
		return tool_usage(tool_resolve.name,
			"the type comes after the name: 'soquete resolve %s %s'", word,
			q->text);
	return tool_usage(tool_resolve.name, "unknown type '%s' (%s)", word, TYPES);
}

/* Read the operands, and complain before anything is asked. */
static int read_question(struct question *q, char **args)
{
	int status;

	if (!args[0])
		return tool_usage(tool_resolve.name,
			"a name is missing, as in 'soquete resolve localhost'");
	if (!*args[0])
		return tool_usage(tool_resolve.name, "the name is empty");
	if (args[1] && args[2])
		return tool_usage(tool_resolve.name,
			"one name and one type are wanted; '%s' is one more", args[2]);
	q->text = args[0];
	if ((status = check_type(q, args[1])) != TOOL_GO_ON)
		return status;
	q->kind = is_address(q->text) ? ADDRESS : strchr(q->text, ':') ? ENDPOINT : NAME;
	if (q->kind == ENDPOINT)
		return check_endpoint(q);
	if (q->kind == ADDRESS && q->has_type && q->type != SOQ_RECORD_PTR)
		return tool_usage(tool_resolve.name,
			"'%s' is an address; all that it can have is a name (PTR)", q->text);
	return TOOL_GO_ON;
}

/* ---- records ---- */

static int complain(const struct question *q, int rc)
{
	return tool_fail_library(tool_resolve.name, q->text, rc);
}

/* Whether a name without addresses is one nevertheless: to look it up and to find nothing is
 * the same as that there is no such name. */
static bool exists(const char *name)
{
	struct soq_records records;
	int rc = soq_query(&records, name, SOQ_RECORD_A);

	if (!rc)
		soq_records_done(&records);
	return rc == -SOQ_ENORECORD;
}

/* The library's sentence of a failed lookup, with the name that was typed in the place of the
 * endpoint that was made of it. */
static int complain_of_lookup(
	const struct question *q, const char *endpoint, const char *name, int rc)
{
	char sentence[1024];
	const char *at, *rest;

	if (rc == -SOQ_ENOPORT)
		return complain(q, rc);
	snprintf(sentence, sizeof(sentence), "%s", soq_last_error());
	if (rc == -SOQ_ENONAME && exists(name))
		return tool_fail(
			NULL, "look up %s: the name exists, and has no address", q->text);
	at = q->kind == NAME ? strstr(sentence, endpoint) : NULL;
	if (!at)
		return tool_fail(NULL, "%s", sentence);
	rest = at + strlen(endpoint);
	if (rc == -SOQ_EENDPOINT)
		return tool_usage(tool_resolve.name, "'%s' is not a name: %s", q->text,
			rest + strspn(rest, "': "));
	return tool_fail(NULL, "%.*s%s%s", (int)(at - sentence), sentence, q->text, rest);
}

static void print(const struct values *v, const struct soq_record *list, size_t count)
{
	if (v->verbose)
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

static int print_records(const struct values *v, const struct question *q)
{
	struct soq_records records;
	size_t aliases = 0;
	int rc = soq_query(&records, q->text, q->type);

	if (rc)
		return complain(q, rc);
	sort(&records, q->type);
	while (!v->verbose && aliases < records.count && records.list[aliases].type != q->type)
		aliases++;
	print(v, records.list + aliases, records.count - aliases);
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
static int print_found(const struct values *v, const struct soq_addrs *addrs, const char *name,
	const struct soq_records details[2])
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
	print(v, list, count);
	free(list);
	return TOOL_DONE;
}

/* @name  of the endpoint; "" is this machine */
static int print_addresses(const struct values *v, const struct question *q,
	const char *endpoint, const char *name)
{
	struct soq_records details[2] = { { .count = 0 }, { .count = 0 } };
	struct soq_addrs addrs;
	int rc = soq_resolve(&addrs, endpoint), status;

	if (rc)
		return complain_of_lookup(q, endpoint, name, rc);
	if (v->verbose && *name && !is_address(name))
		ask_details(details, name);
	status = print_found(v, &addrs, *name ? name : "localhost", details);
	for (int i = 0; i < 2; i++)
		soq_records_done(&details[i]);
	soq_addrs_done(&addrs);
	return status;
}

static int print_name_addresses(const struct values *v, const struct question *q)
{
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];

	if ((size_t)snprintf(endpoint, sizeof(endpoint), "tcp://%s:0", q->text) >=
		sizeof(endpoint))
		return tool_usage(
			tool_resolve.name, "the name is longer than the DNS allows, 253 bytes");
	return print_addresses(v, q, endpoint, q->text);
}

static int print_endpoint_addresses(const struct values *v, const struct question *q)
{
	struct soq_endpoint e;

	soq_endpoint_parse(&e, q->text); /* once more: it was good */
	return print_addresses(v, q, q->text, e.host);
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

static int print_name(const struct values *v, const struct question *q)
{
	char name[256];
	struct soq_records details = { .count = 0 };
	struct soq_record r = { .type = SOQ_RECORD_PTR,
		.ttl_s = TOOL_TTL_UNKNOWN,
		.owner = (char *)q->text,
		.text = name };
	struct soq_addr addr;
	int64_t outer;
	int rc = parse_address(&addr, q->text);

	if (!rc)
		rc = soq_reverse(name, sizeof(name), &addr);
	if (rc)
		return complain(q, rc);
	outer = soq_deadline(soq_now() + DETAILS_NS);
	if (v->verbose && !soq_query(&details, q->text, SOQ_RECORD_PTR))
		for (size_t i = 0; i < details.count; i++)
			if (details.list[i].type == r.type &&
				!strcmp(details.list[i].text, name))
				r = details.list[i];
	soq_deadline_restore(outer);
	print(v, &r, 1);
	soq_records_done(&details);
	return TOOL_DONE;
}

/* ---- the command ---- */

static int answer(const struct values *v, const struct question *q)
{
	if (q->has_type)
		return print_records(v, q);
	switch (q->kind) {
	case ADDRESS:
		return print_name(v, q);
	case ENDPOINT:
		return print_endpoint_addresses(v, q);
	case NAME:
		break;
	}
	return print_name_addresses(v, q);
}

static int run(const struct tool_command *self, char **args)
{
	struct values v = { .timeout_ns = SOQ_NEVER };
	struct question q = { .kind = NAME, .text = "" };
	int64_t outer;
	int status, flushed;

	if ((status = tool_parse(self, args, &v)) != TOOL_GO_ON ||
		(status = read_question(&q, args)) != TOOL_GO_ON ||
		(status = tool_choose_engine(self->name, v.engine)) != TOOL_GO_ON)
		return status;
	outer = soq_deadline(v.timeout_ns == SOQ_NEVER ? SOQ_NEVER : soq_now() + v.timeout_ns);
	status = answer(&v, &q);
	soq_deadline_restore(outer);
	flushed = tool_flush(self->name);
	return status ? status : flushed;
}

const struct tool_command tool_resolve = {
	.name = "resolve",
	.operands = "[OPTION ...] NAME [TYPE]",
	.summary = "look up a name",
	.text = "Print the addresses of NAME, in the order in which soquete tries them, one a "
		"line.\n"
		"NAME may have a port, and so do they then; of an address, its name is "
		"printed.\n"
		"With a TYPE, the name's records of that type in the DNS:\n" TYPES ".\n",
	.options = options,
	.run = run,
};
