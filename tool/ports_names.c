/* ports_names.c - the names of ports: the standard services that textbooks speak of, and
 * services(5), which an administrator may have extended, or a small system may not have. */
#include "ports.h"
#include "text.h"
#include "proto/escape.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 255 /* of a name that is asked for */

/* The number is of the RFC that tells what is spoken there today, where there is a newer one
 * than the first. */
static const struct tool_port standard[] = {
	{ 7, true, true, 862, "echo", "sends back whatever it is sent" },
	{ 9, true, true, 863, "discard", "throws away whatever it is sent" },
	{ 13, true, true, 867, "daytime", "tells the date and time in words" },
	{ 17, true, true, 865, "qotd", "tells a quote of the day" },
	{ 19, true, true, 864, "chargen", "sends characters without end" },
	{ 20, true, false, 959, "ftp-data", "the files of an FTP session" },
	{ 21, true, false, 959, "ftp", "the commands of an FTP session" },
	{ 22, true, false, 4253, "ssh", "a shell on another machine, encrypted" },
	{ 23, true, false, 854, "telnet", "a terminal on another machine, in clear" },
	{ 25, true, false, 5321, "smtp", "takes mail, from one server to the next" },
	{ 37, true, true, 868, "time", "tells the seconds since 1900 in four bytes" },
	{ 53, true, true, 1035, "domain", "turns names into addresses: DNS" },
	{ 69, false, true, 1350, "tftp", "files for machines that boot" },
	{ 80, true, false, 9112, "http", "the pages of the Web" },
	{ 110, true, false, 1939, "pop3", "gives out mail, to be read at home" },
	{ 119, true, false, 3977, "nntp", "news, read and passed on" },
	{ 123, false, true, 5905, "ntp", "sets clocks by better ones" },
	{ 143, true, false, 9051, "imap", "mail that is read where it is kept" },
	{ 443, true, true, 9110, "https", "http over TLS; over UDP as HTTP/3" },
	{ 465, true, false, 8314, "submissions", "submission over TLS" },
	{ 563, true, false, 8143, "nntps", "nntp over TLS" },
	{ 587, true, false, 6409, "submission", "takes mail from those who write it" },
	{ 993, true, false, 8314, "imaps", "imap over TLS" },
	{ 995, true, false, 8314, "pop3s", "pop3 over TLS" },
};

const struct tool_port *tool_port_at(size_t index)
{
	return index < sizeof(standard) / sizeof(standard[0]) ? &standard[index] : NULL;
}

const struct tool_port *tool_port_find(uint16_t port)
{
	const struct tool_port *p;

	for (size_t i = 0; (p = tool_port_at(i)); i++)
		if (p->port == port)
			return p;
	return NULL;
}

/* A byte after the other, so that none is written in part. */
void tool_port_printable(char *buf, size_t len, const char *text)
{
	struct soq__writer w;
	size_t whole = 0;

	soq__writer_init(&w, buf, len - 1, len - 1);
	for (; *text; text++) {
		soq__put_log(&w, (struct soq__text){ text, 1 }, 1);
		if (w.failed)
			break;
		whole = w.len;
	}
	buf[whole] = '\0';
}

static const char *protocol_name(int protocol)
{
	return protocol == IPPROTO_TCP ? "tcp" : "udp";
}

static bool is_used_over(const struct tool_port *p, int protocol)
{
	return protocol == IPPROTO_TCP ? p->tcp : p->udp;
}

/* The port of a name as it is written. */
static bool look_up(const char *name, int protocol, uint16_t *ret)
{
	const struct servent *entry = getservbyname(name, protocol_name(protocol));
	const struct tool_port *p;

	if (entry) {
		*ret = ntohs((uint16_t)entry->s_port);
		return true;
	}
	for (size_t i = 0; (p = tool_port_at(i)); i++) {
		if (is_used_over(p, protocol) && !strcmp(p->name, name)) {
			*ret = p->port;
			return true;
		}
	}
	return false;
}

static size_t look_up_both(const char *name, uint16_t ret[2])
{
	size_t n = 0;

	n += look_up(name, IPPROTO_TCP, &ret[n]);
	n += look_up(name, IPPROTO_UDP, &ret[n]);
	return n == 2 && ret[0] == ret[1] ? 1 : n;
}

size_t tool_port_by_name(const char *name, uint16_t ret[2])
{
	char lower[NAME_MAX_BYTES + 1];
	size_t n = look_up_both(name, ret), len = strlen(name);

	if (n || len > NAME_MAX_BYTES)
		return n;
	for (size_t i = 0; i <= len; i++)
		lower[i] = (char)tolower((unsigned char)name[i]);
	return look_up_both(lower, ret);
}

/* Add a name to a list, if it has room for all of it. */
static void join(char list[TOOL_PORT_NAME_MAX], const char *name)
{
	char text[TOOL_PORT_NAME_MAX];
	size_t n = strlen(list), room = TOOL_PORT_NAME_MAX - n;

	tool_port_printable(text, sizeof(text), name);
	if ((size_t)snprintf(list + n, room, "%s%s", n ? ", " : "", text) >= room)
		list[n] = '\0';
}

bool tool_port_name(uint16_t port, int protocol, char ret[TOOL_PORT_NAME_MAX],
	char ret_others[TOOL_PORT_NAME_MAX])
{
	const struct servent *entry = getservbyport(htons(port), protocol_name(protocol));
	const struct tool_port *p = tool_port_find(port);

	*ret = '\0';
	if (ret_others)
		*ret_others = '\0';
	if (entry)
		tool_port_printable(ret, TOOL_PORT_NAME_MAX, entry->s_name);
	else if (p && is_used_over(p, protocol))
		tool_port_printable(ret, TOOL_PORT_NAME_MAX, p->name);
	for (char **alias = entry && ret_others ? entry->s_aliases : NULL; alias && *alias;
		alias++)
		join(ret_others, *alias);
	return *ret;
}

struct nearest {
	const char *word;
	unsigned distance;
	char *name;
};

static void compare(struct nearest *n, const char *name)
{
	unsigned distance = tool_distance(n->word, name);

	/* Any two words of two letters are near to each other, which means nothing. */
	if (distance >= n->distance || distance + 1 >= strlen(name) ||
		distance + 1 > strlen(n->word))
		return;
	n->distance = distance;
	tool_port_printable(n->name, TOOL_PORT_NAME_MAX, name);
}

bool tool_port_nearest(const char *word, char ret[TOOL_PORT_NAME_MAX])
{
	struct nearest n = { .word = word, .distance = 3, .name = ret };
	const struct tool_port *p;
	const struct servent *entry;

	for (size_t i = 0; (p = tool_port_at(i)); i++)
		compare(&n, p->name);
	setservent(0);
	while ((entry = getservent())) {
		compare(&n, entry->s_name);
		for (char **alias = entry->s_aliases; *alias; alias++)
			compare(&n, *alias);
	}
	endservent();
	return n.distance < 3;
}
