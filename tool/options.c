/* options.c - a subcommand's options, from its table: reading them, and its help.
 *
 * One table serves the parser, the help and the "did you mean". Every complaint says
 * what is wrong and what would be right.
 */
#include "tool.h"
#include "text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The options that every subcommand has. */
static const struct tool_option common[] = {
	{ "help", 'h', OPTION_FLAG, 0, NULL, "print this help" },
	{ NULL },
};

static const struct tool_option *find(
	const struct tool_option *table, const char *name, size_t len)
{
	for (; table->name; table++)
		if (strlen(table->name) == len && !memcmp(table->name, name, len))
			return table;
	return NULL;
}

static const struct tool_option *find_letter(const struct tool_option *table, char letter)
{
	for (; table->name; table++)
		if (table->letter == letter)
			return table;
	return NULL;
}

/* The option's name that is nearest to a word; NULL when none is near. */
static const char *nearest(const struct tool_option *table, const char *word)
{
	const char *best = NULL;
	unsigned best_distance = 3;

	for (; table->name; table++) {
		unsigned distance = tool_distance(word, table->name);

		if (!best && *word && !strncmp(word, table->name, strlen(word)))
			distance = 2; /* a beginning: "time" for "timeout" */
		if (distance < best_distance) {
			best = table->name;
			best_distance = distance;
		}
	}
	return best;
}

static int unknown(const struct tool_command *command, const char *arg)
{
	char name[64];
	const char *meant;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(arg, "="), arg);
	meant = name[1] == '-' ? nearest(command->options, name + 2) : NULL;
	if (meant)
		return tool_usage(command->name, "unknown option '%s' (did you mean '--%s'?)",
			name, meant);
	return tool_usage(command->name, "unknown option '%s' ('soquete help %s' lists them)",
		name, command->name);
}

static int bad_value(const struct tool_command *command, const struct tool_option *o,
	const char *text, const char *wanted)
{
	return tool_usage(command->name, "--%s: '%s' is not %s", o->name, text, wanted);
}

/* Each reads a value of its kind; the text is borrowed. Return whether it is good. */

static bool read_count(const char *text, unsigned *ret)
{
	uint64_t n;

	if (!strcmp(text, "none"))
		n = UINT_MAX;
	else if (!tool_number(text, 1, UINT_MAX - 1, &n))
		return false;
	*ret = (unsigned)n;
	return true;
}

static bool read_workers(const char *text, unsigned *ret)
{
	uint64_t n;

	if (!strcmp(text, "auto"))
		n = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	else if (!tool_number(text, 1, 1024, &n))
		return false;
	*ret = (unsigned)n;
	return true;
}

static bool read_duration(const char *text, int64_t *ret)
{
	if (!strcmp(text, "none")) {
		*ret = SOQ_NEVER;
		return true;
	}
	return tool_duration(text, ret) && *ret > 0;
}

static bool read_one_more(const char *text, struct tool_texts *ret)
{
	if (!*text || ret->count == TOOL_TEXTS_MAX)
		return false;
	ret->list[ret->count++] = text;
	return true;
}

static bool read_engine(const char *text, const char **ret)
{
	*ret = text;
	return !strcmp(text, "auto") || !strcmp(text, "uring") || !strcmp(text, "epoll");
}

static int read_value(const struct tool_command *command, const struct tool_option *o,
	const char *text, void *value)
{
	bool ok = true;
	const char *wanted = "";

	switch (o->kind) {
	case OPTION_FLAG:
		*(bool *)value = true;
		break;
	case OPTION_TEXT:
		*(const char **)value = text;
		ok = *text;
		wanted = "a value: it is empty";
		break;
	case OPTION_TEXTS:
		ok = read_one_more(text, value);
		wanted = *text ? "taken: there are too many of them" : "a value: it is empty";
		break;
	case OPTION_DURATION:
		ok = read_duration(text, value);
		wanted = "a duration above 0 (like 5, 5s, 500ms or 2m), or none";
		break;
	case OPTION_COUNT:
		ok = read_count(text, value);
		wanted = "a number from 1 on, or none";
		break;
	case OPTION_WORKERS:
		ok = read_workers(text, value);
		wanted = "a number from 1 to 1024, or auto";
		break;
	case OPTION_BYTES:
		ok = tool_bytes(text, value);
		wanted = "a size in bytes from 1 on (like 4096, 64k or 1M)";
		break;
	case OPTION_PERCENT:
		ok = tool_percent(text, value);
		wanted = "a percentage from 0 to 100 (like 5 or 0.1)";
		break;
	case OPTION_NUMBER:
		ok = tool_number(text, 0, UINT64_MAX, value);
		wanted = "a number from 0 on";
		break;
	case OPTION_MODE:
		ok = tool_mode(text, value);
		wanted = "octal permissions (like 660)";
		break;
	case OPTION_SHAPE:
		ok = !soq_shape_parse(value, text);
		wanted = "a shape (iterative, process, thread or fiber)";
		break;
	case OPTION_ENGINE:
		ok = read_engine(text, value);
		wanted = "an engine (auto, uring or epoll)";
		break;
	}
	return ok ? TOOL_GO_ON : bad_value(command, o, text, wanted);
}

static int missing_value(const struct tool_command *command, const struct tool_option *o)
{
	return tool_usage(command->name, "option '--%s' needs a value: --%s %s", o->name,
		o->name, o->argument);
}

/* One option that begins at **args: `--name`, `--name value`, `--name=value`. */
static int parse_long(const struct tool_command *command, char ***args, void *values)
{
	const char *name = **args + 2, *text = strchr(name, '=');
	size_t len = text ? (size_t)(text - name) : strlen(name);
	const struct tool_option *o = find(command->options, name, len);

	if (!o)
		return find(common, name, len) && !text ? tool_print_help(command)
							: unknown(command, **args);
	if (!o->argument && text)
		return tool_usage(command->name, "option '--%s' takes no value", o->name);
	if (o->argument && text)
		text++;
	else if (o->argument && !(text = *++*args))
		return missing_value(command, o);
	return read_value(command, o, o->argument ? text : "", (char *)values + o->offset);
}

/* Letters that follow one dash: `-kC`, `-w 5`, `-w5`. */
static int parse_letters(const struct tool_command *command, char ***args, void *values)
{
	int status = TOOL_GO_ON;

	for (const char *at = **args + 1; *at && status == TOOL_GO_ON; at++) {
		const struct tool_option *o = find_letter(command->options, *at);
		const char *text = "";

		if (!o && find_letter(common, *at))
			return tool_print_help(command);
		if (!o)
			return unknown(command, (char[]){ '-', *at, '\0' });
		if (o->argument && !(text = at[1] ? at + 1 : *++*args))
			return missing_value(command, o);
		status = read_value(command, o, text, (char *)values + o->offset);
		if (o->argument)
			break;
	}
	return status;
}

int tool_parse(const struct tool_command *command, char **args, void *values)
{
	char **operand = args;
	int status = TOOL_GO_ON;

	for (; *args && status == TOOL_GO_ON; args++) {
		if (!strcmp(*args, "--")) {
			while (*++args)
				*operand++ = *args;
			break;
		}
		if ((*args)[0] != '-' || !(*args)[1])
			*operand++ = *args;
		else if ((*args)[1] == '-')
			status = parse_long(command, &args, values);
		else
			status = parse_letters(command, &args, values);
	}
	*operand = NULL;
	return status;
}

static void print_options(const struct tool_option *o)
{
	for (; o->name; o++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->argument ? " " : "",
			o->argument ? o->argument : "");
		if (o->letter)
			printf("  -%c, %-28s %s\n", o->letter, left, o->help);
		else
			printf("      %-28s %s\n", left, o->help);
	}
}

int tool_print_help(const struct tool_command *command)
{
	printf("usage: soquete %s %s\n\n%s\n", command->name, command->operands, command->text);
	print_options(command->options);
	print_options(common);
	return tool_flush(command->name);
}

int tool_one_endpoint(const struct tool_command *command, char **args, struct soq_endpoint *ret,
	const char **ret_text)
{
	uint64_t port;

	if (!args[0])
		return tool_usage(command->name,
			"an endpoint is missing, as in 'soquete %s 127.0.0.1:8080'",
			command->name);
	if (args[1] && !args[2] && tool_number(args[1], 0, 65535, &port))
		return tool_usage(command->name, "one endpoint is wanted: '%s:%s', not '%s %s'",
			args[0], args[1], args[0], args[1]);
	if (args[1])
		return tool_usage(
			command->name, "one endpoint is wanted; '%s' is one more", args[1]);
	if (soq_endpoint_parse(ret, args[0]))
		return tool_usage(command->name, "%s", soq_last_error());
	*ret_text = args[0];
	return TOOL_GO_ON;
}

int tool_choose_engine(const char *command, const char *engine)
{
	int rc = engine ? soq_engine_select(engine) : 0;

	if (!rc)
		return TOOL_GO_ON;
	return tool_fail(command, "engine %s: %s", engine,
		*soq_last_error() ? soq_last_error() : soq_strerror(rc));
}
