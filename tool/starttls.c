/* starttls.c - what is said in clear before TLS begins, by a client of five protocols.
 *
 * Each has a greeting, perhaps a hello, and a command that the server agrees to. What comes
 * behind its agreement is discarded by soq_start_tls(): somebody else may have sent it.
 *
 * Source: RFC 4217 section 4 (FTP), RFC 9051 section 6.2.1 (IMAP), RFC 4642 section 2.2
 * (NNTP), RFC 2595 section 4 (POP3), RFC 3207 section 4 (SMTP).
 */
#include "tls_options.h"

#include <errno.h>
#include <string.h>

struct protocol {
	const char *name;
	const char *greetings[2]; /* how a good greeting begins: either way */
	const char *hello;	  /* to be said first, or NULL */
	const char *hello_good;
	const char *command;
	const char *good; /* how the server's agreement begins */
};

static const struct protocol protocols[] = {
	{ "ftp", { "220", NULL }, NULL, NULL, "AUTH TLS\r\n", "234" },
	{ "imap", { "* OK", NULL }, NULL, NULL, "tls STARTTLS\r\n", "tls OK" },
	{ "nntp", { "200", "201" }, NULL, NULL, "STARTTLS\r\n", "382" },
	{ "pop3", { "+OK", NULL }, NULL, NULL, "STLS\r\n", "+OK" },
	{ "smtp", { "220", NULL }, "EHLO localhost\r\n", "250", "STARTTLS\r\n", "220" },
};

static const struct protocol *find(const char *name)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (!strcmp(protocols[i].name, name))
			return &protocols[i];
	return NULL;
}

bool tool_starttls_knows(const char *protocol)
{
	return find(protocol) != NULL;
}

struct talk {
	struct soq_stream *s;
	const char *command, *endpoint; /* for messages */
	char line[512];
};

static int fail(const struct talk *t, int code)
{
	return tool_fail(t->command, "%s: before TLS: %s", t->endpoint,
		code == -ENODATA ? "the server ended the connection" : soq_strerror(code));
}

/* "220-" is not the last line of a reply, "220 " is (RFC 959 section 4.2). IMAP's lines for
 * anybody begin with a star. */
static bool is_last(const struct talk *t, bool is_imap_reply)
{
	if (is_imap_reply)
		return t->line[0] != '*';
	return strspn(t->line, "0123456789") != 3 || t->line[3] != '-';
}

/* One reply; its last line stays in @t. @return 0 or a negative code */
static int receive(struct talk *t, bool is_imap_reply)
{
	ssize_t n;

	do {
		n = soq_recv_line(t->s, t->line, sizeof(t->line));
		if (n == -SOQ_ELINE)
			n = 0; /* its beginning says enough */
	} while (n >= 0 && !is_last(t, is_imap_reply));
	return n < 0 ? (int)n : 0;
}

static bool begins(const char *line, const char *with)
{
	return with && !strncmp(line, with, strlen(with));
}

/* What a server says is shown, but it does not get to move the terminal's cursor. */
static int refuse(struct talk *t, const char *what)
{
	for (char *c = t->line; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 127)
			*c = '?';
	return tool_fail(
		t->command, "%s: %s: the server says '%s'", t->endpoint, what, t->line);
}

static int say(struct talk *t, const char *text, const char *good, bool is_imap)
{
	ssize_t n = soq_send_text(t->s, text);
	int rc = n < 0 ? (int)n : receive(t, is_imap);

	if (rc < 0)
		return fail(t, rc);
	if (begins(t->line, good))
		return TOOL_GO_ON;
	return refuse(t, "TLS is not to be had here");
}

int tool_starttls(
	struct soq_stream *s, const char *protocol, const char *command, const char *endpoint)
{
	const struct protocol *p = find(protocol);
	struct talk t = { .s = s, .command = command, .endpoint = endpoint };
	bool is_imap = !strcmp(p->name, "imap");
	int status = TOOL_GO_ON, rc = receive(&t, false);

	if (rc < 0)
		return fail(&t, rc);
	if (!begins(t.line, p->greetings[0]) && !begins(t.line, p->greetings[1]))
		return refuse(&t, "not a greeting of the protocol, or no welcome");
	if (p->hello)
		status = say(&t, p->hello, p->hello_good, is_imap);
	if (status == TOOL_GO_ON)
		status = say(&t, p->command, p->good, is_imap);
	return status;
}
