/* ports.c - `soquete ports`: the standard ports, the ranges they are in, and who listens on
 * this machine; or all that is known of some of them. */
#include "ports.h"
#include "text.h"
#include "tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define UNREADABLE  "the kernel's default; what holds here cannot be read"
#define HTTPS	    "https" /* is served, though it is http and no service of its own */
#define LABEL_WIDTH 13	    /* of a label and the space around it, in what is said of a port */

struct values {
	bool listening;
};

static const struct tool_option options[] = {
	{ "listening", 'l', OPTION_FLAG, offsetof(struct values, listening), NULL,
		"only who listens on this machine now" },
	{ NULL },
};

/* ---- paragraphs ---- */

/* Print a label, and text beside it in lines that begin in column @indent. */
static void print_wrapped(const char *label, int indent, const char *text)
{
	size_t room = (size_t)(TOOL_PORTS_WIDTH - indent);

	printf("%-*s", indent, label);
	while (strlen(text) > room) {
		size_t len = room;

		while (len > 0 && text[len] != ' ')
			len--;
		if (!len)
			len = strcspn(text, " "); /* a long word stays whole */
		printf("%.*s\n%*s", (int)len, text, indent, "");
		text += len + strspn(text + len, " ");
	}
	puts(text);
}

static void print_field(const char *label, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void print_field(const char *label, const char *format, ...)
{
	char indented[LABEL_WIDTH + 1], text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(indented, sizeof(indented), "  %s", label);
	print_wrapped(indented, LABEL_WIDTH, text);
}

/* ---- the standard ports, and the ranges ---- */

static void print_standard(void)
{
	const struct tool_port *p;

	printf("Standard services, and the ports where 'soquete serve' has some by default\n\n"
	       "  PORT  SERVICE      OVER     RFC   SOQUETE  WHAT IT IS\n");
	for (size_t i = 0; (p = tool_port_at(i)); i++) {
		char ours[8] = "";

		if (soq_service_find(p->name) || !strcmp(p->name, HTTPS))
			snprintf(
				ours, sizeof(ours), "%u", (unsigned)p->port + TOOL_PORT_OFFSET);
		printf("  %4u  %-11s  %-3s %-3s  %4u  %7s  %s\n", p->port, p->name,
			p->tcp ? "tcp" : "", p->udp ? "udp" : "", p->rfc, ours, p->what);
	}
}

/* Who may bind which ports, as a sentence. */
static void describe_privilege(char *buf, size_t len, const struct tool_port_rules *rules)
{
	const char *source =
		rules->start_is_default ? UNREADABLE : "net.ipv4.ip_unprivileged_port_start";

	if (rules->unprivileged_start)
		snprintf(buf, len,
			"Here root binds the ports below %u, or who has CAP_NET_BIND_SERVICE; "
			"anybody binds the others (%s).",
			rules->unprivileged_start, source);
	else
		snprintf(buf, len, "Here anybody may bind them (%s is 0).", source);
}

static void print_ranges(const struct tool_port_rules *rules)
{
	char privilege[256], text[512];

	describe_privilege(privilege, sizeof(privilege), rules);
	printf("\nThe three ranges (RFC 6335, section 6)\n\n");
	snprintf(text, sizeof(text), "system: for the services of standards. %s", privilege);
	print_wrapped("  0 to 1023", 18, text);
	print_wrapped("  1024 to 49151", 18,
		"user: registered by IANA for whoever asks and has a service to show.");
	snprintf(text, sizeof(text),
		"dynamic: nobody's, for a while, as for a client's end of a connection. This "
		"machine takes those from %u to %u (%s).",
		rules->local_low, rules->local_high,
		rules->local_is_default ? UNREADABLE : "net.ipv4.ip_local_port_range");
	print_wrapped("  49152 to 65535", 18, text);
}

/* ---- one port ---- */

/* "http (also www)" */
static bool name_over(char *buf, size_t len, uint16_t port, int protocol)
{
	char name[TOOL_PORT_NAME_MAX], others[TOOL_PORT_NAME_MAX];

	if (!tool_port_name(port, protocol, name, others)) {
		*buf = '\0';
		return false;
	}
	snprintf(buf, len, *others ? "%s (also %s)" : "%s", name, others);
	return true;
}

static void print_service(uint16_t port)
{
	char tcp[160], udp[160];
	bool has_tcp = name_over(tcp, sizeof(tcp), port, IPPROTO_TCP);
	bool has_udp = name_over(udp, sizeof(udp), port, IPPROTO_UDP);

	if (has_tcp && has_udp && !strcmp(tcp, udp))
		print_field("service", "%s over TCP and UDP", tcp);
	else if (has_tcp && has_udp)
		print_field("service", "%s over TCP, %s over UDP", tcp, udp);
	else if (has_tcp || has_udp)
		print_field(
			"service", "%s over %s", has_tcp ? tcp : udp, has_tcp ? "TCP" : "UDP");
	else
		print_field("service", "none that this machine has a name for");
}

static void print_range(uint16_t port, const struct tool_port_rules *rules)
{
	const char *range = port < 1024 ? "system, 0 to 1023"
		: port < 49152		? "user, 1024 to 49151"
					: "dynamic, 49152 to 65535";
	const char *who = port < rules->unprivileged_start
		? "root binds it, or who has CAP_NET_BIND_SERVICE"
		: "anybody may bind it";

	if (!port)
		print_field("range", "%s, but not a port: who binds 0 gets one that is free",
			range);
	else if (port >= rules->local_low && port <= rules->local_high)
		print_field("range",
			"%s; %s, unless a client happens to have it: clients get %u to %u here",
			range, who, rules->local_low, rules->local_high);
	else
		print_field("range", "%s; %s", range, who);
}

/* Whether a port is that of a service of ours, and if so, say it. */
static bool print_if_ours(uint16_t port, const char *name, unsigned standard)
{
	unsigned ours = standard + TOOL_PORT_OFFSET;

	if (port == ours)
		print_field("soquete", "'soquete serve %s' listens there by default", name);
	else if (port == standard)
		print_field("soquete", "'soquete serve %s' serves it, on port %u by default",
			name, ours);
	return port == ours || port == standard;
}

static void print_ours(uint16_t port)
{
	const struct soq_service *service;
	bool is_ours = print_if_ours(port, HTTPS, soq_standard_port(HTTPS));

	for (size_t i = 0; !is_ours && (service = soq_service_at(i)); i++)
		is_ours = print_if_ours(port, service->name, service->port);
	if (!is_ours)
		print_field("soquete", "does not serve it");
}

static int print_port(uint16_t port, const struct tool_port_rules *rules,
	const struct tool_listening *listening)
{
	const struct tool_port *p = tool_port_find(port);

	printf("port %u\n", port);
	print_service(port);
	if (p)
		print_field("what it is", "%s (RFC %u)", p->what, p->rfc);
	print_range(port, rules);
	print_ours(port);
	return listening ? tool_listening_print_port(listening, port, "  listening  ")
			 : TOOL_DONE;
}

/* ---- the command ---- */

static bool is_number(const char *text)
{
	return !text[strspn(text, "0123456789")];
}

/* Complain before anything is printed. */
static int check(const struct values *v, char **args)
{
	uint64_t port;

	if (v->listening && *args)
		return tool_usage(tool_ports.name,
			"--listening tells of all ports; '%s' alone is told by 'soquete ports "
			"%s'",
			*args, *args);
	for (; *args; args++) {
		if (!**args)
			return tool_usage(tool_ports.name, "a name or a number is empty");
		if (is_number(*args) && !tool_number(*args, 0, UINT16_MAX, &port))
			return tool_usage(tool_ports.name,
				"'%s' is not a port: they are 0 to 65535", *args);
	}
	return TOOL_GO_ON;
}

static int unknown(const char *name)
{
	char meant[TOOL_PORT_NAME_MAX];

	if (tool_port_nearest(name, meant))
		return tool_fail(tool_ports.name, "unknown service '%s' (did you mean '%s'?)",
			name, meant);
	return tool_fail(tool_ports.name, "unknown service '%s'", name);
}

/* The ports that an operand names. @return how many, 0 to 2 */
static size_t ports_of(const char *operand, uint16_t ret[2])
{
	uint64_t number;

	if (!tool_number(operand, 0, UINT16_MAX, &number))
		return tool_port_by_name(operand, ret);
	ret[0] = (uint16_t)number;
	return 1;
}

/* What is unknown does not keep the others from being told. */
static int print_ports(char **args, const struct tool_port_rules *rules,
	const struct tool_listening *listening)
{
	int status = TOOL_DONE;
	const char *before = "";

	for (; *args; args++) {
		uint16_t ports[2];
		size_t count = ports_of(*args, ports);

		if (!count)
			status = unknown(*args);
		for (size_t i = 0; i < count; i++) {
			printf("%s", before);
			before = "\n";
			if (print_port(ports[i], rules, listening))
				return TOOL_FAILED;
		}
	}
	return status;
}

static int print_all(
	const struct tool_port_rules *rules, const struct tool_listening *listening)
{
	print_standard();
	print_ranges(rules);
	if (!listening)
		return TOOL_DONE;
	printf("\nListening on this machine now (TCP), or bound (UDP)\n\n");
	return tool_listening_print(listening);
}

/* @listening  NULL: it cannot be told */
static int print(const struct values *v, char **args, const struct tool_listening *listening)
{
	struct tool_port_rules rules;

	if (v->listening)
		return listening ? tool_listening_print(listening) : TOOL_DONE;
	rules = tool_port_rules_read();
	return *args ? print_ports(args, &rules, listening) : print_all(&rules, listening);
}

static int run(const struct tool_command *self, char **args)
{
	struct values v = { .listening = false };
	struct tool_listening listening;
	const char *path;
	int rc, status, flushed;

	if ((status = tool_parse(self, args, &v)) != TOOL_GO_ON ||
		(status = check(&v, args)) != TOOL_GO_ON)
		return status;
	rc = tool_listening_read(&listening, &path);
	status = print(&v, args, rc ? NULL : &listening);
	flushed = tool_flush(self->name);
	if (rc)
		status = tool_fail(self->name, "who listens cannot be told: %s: %s", path,
			soq_strerror(rc));
	tool_listening_done(&listening);
	return status ? status : flushed;
}

const struct tool_command tool_ports = {
	.name = "ports",
	.operands = "[OPTION] [NAME|NUMBER ...]",
	.summary = "the standard ports, and who listens on this machine",
	.text = "Print the standard services, the three ranges of ports and who may bind "
		"them, and\n"
		"who listens on this machine now, as far as /proc tells this user. With a NAME "
		"or a\n"
		"NUMBER, all that is known of that port.\n",
	.options = options,
	.run = run,
};
