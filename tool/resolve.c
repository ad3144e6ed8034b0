/* resolve.c - `soquete resolve`: what is asked for, read and checked before anything is asked.
 */
#include "resolve.h"
#include "tool.h"

#include <arpa/inet.h>
#include <string.h>

#define TYPES "A, AAAA, CAA, CNAME, MX, NS, PTR, SOA, SRV or TXT"

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

/* ---- what is asked for ---- */

bool tool_is_address(const char *text)
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

/* "[::1]", where no port follows, is an address; the brackets are cut off. */
static const char *without_brackets(char *text)
{
	size_t len = strlen(text);

	if (*text != '[' || text[len - 1] != ']')
		return text;
	text[len - 1] = '\0';
	if (tool_is_address(text + 1))
		return text + 1;
	text[len - 1] = ']';
	return text;
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

static int check_endpoint(const struct tool_question *q)
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

static int check_type(struct tool_question *q, const char *word)
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
static int read_question(struct tool_question *q, char **args)
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
	q->text = without_brackets(args[0]);
	if ((status = check_type(q, args[1])) != TOOL_GO_ON)
		return status;
	q->kind = tool_is_address(q->text) ? TOOL_ASK_ADDRESS
		: strchr(q->text, ':')	   ? TOOL_ASK_ENDPOINT
					   : TOOL_ASK_NAME;
	if (q->kind == TOOL_ASK_ENDPOINT)
		return check_endpoint(q);
	if (q->kind == TOOL_ASK_ADDRESS && q->has_type && q->type != SOQ_RECORD_PTR)
		return tool_usage(tool_resolve.name,
			"'%s' is an address; all that it can have is a name (PTR)", q->text);
	return TOOL_GO_ON;
}

/* ---- the command ---- */

static int run(const struct tool_command *self, char **args)
{
	struct values v = { .timeout_ns = SOQ_NEVER };
	struct tool_question q = { .kind = TOOL_ASK_NAME, .text = "" };
	int64_t outer;
	int status, flushed;

	if ((status = tool_parse(self, args, &v)) != TOOL_GO_ON ||
		(status = read_question(&q, args)) != TOOL_GO_ON ||
		(status = tool_choose_engine(self->name, v.engine)) != TOOL_GO_ON)
		return status;
	outer = soq_deadline(v.timeout_ns == SOQ_NEVER ? SOQ_NEVER : soq_now() + v.timeout_ns);
	q.verbose = v.verbose;
	status = tool_resolve_answer(&q);
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
