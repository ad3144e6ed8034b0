/* endpoint.c - endpoints as text; see endpoint.h. Nothing here looks a name up. */
#include <soquete/endpoint.h>
#include <soquete/error.h>
#include "fiber/last_error.h"
#include "base/util.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	enum soq_scheme scheme;
} schemes[] = {
	{ "tcp", SOQ_SCHEME_TCP },
	{ "udp", SOQ_SCHEME_UDP },
	{ "tls", SOQ_SCHEME_TLS },
	{ "unix", SOQ_SCHEME_UNIX },
	{ "unixgram", SOQ_SCHEME_UNIXGRAM },
	{ "fd", SOQ_SCHEME_FD },
};

/* The Internet's standard services (IANA's registry): known without any file. */
static const struct {
	const char *name;
	uint16_t port;
} ports[] = {
	{ "echo", 7 },
	{ "discard", 9 },
	{ "daytime", 13 },
	{ "chargen", 19 },
	{ "ftp-data", 20 },
	{ "ftp", 21 },
	{ "ssh", 22 },
	{ "telnet", 23 },
	{ "smtp", 25 },
	{ "time", 37 },
	{ "domain", 53 },
	{ "tftp", 69 },
	{ "gopher", 70 },
	{ "finger", 79 },
	{ "http", 80 },
	{ "pop3", 110 },
	{ "nntp", 119 },
	{ "ntp", 123 },
	{ "imap", 143 },
	{ "https", 443 },
	{ "nntps", 563 },
	{ "ftps-data", 989 },
	{ "ftps", 990 },
	{ "telnets", 992 },
	{ "imaps", 993 },
	{ "pop3s", 995 },
};

uint16_t soq_standard_port(const char *service)
{
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		if (strcmp(ports[i].name, service) == 0)
			return ports[i].port;
	return 0;
}

const char *soq_scheme_name(enum soq_scheme scheme)
{
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (schemes[i].scheme == scheme)
			return schemes[i].name;
	return "?";
}

/* A slice of the text being parsed. */
struct slice {
	const char *at;
	size_t len;
};

/* ---- reading ---- */

static int bad(const char *text, const char *why)
{
	return soq__fail(-SOQ_EENDPOINT, "endpoint '%.200s': %s", text, why);
}

static int copy(char *to, size_t size, struct slice from)
{
	if (from.len >= size)
		return -1;
	memcpy(to, from.at, from.len);
	to[from.len] = '\0';
	return 0;
}

static int parse_number(struct slice s, long max, long *ret)
{
	long value = 0;

	for (size_t i = 0; i < s.len; i++) {
		value = value * 10 + (s.at[i] - '0');
		if (value > max)
			return -1;
	}
	*ret = value;
	return 0;
}

static bool all_digits(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isdigit((unsigned char)s.at[i]))
			return false;
	return s.len > 0;
}

static bool name_chars(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum((unsigned char)s.at[i]) && !strchr("-_+.", s.at[i]))
			return false;
	return s.len > 0;
}

/* A service's name has a letter (RFC 6335 section 5.1), and begins with it or a digit. */
static bool is_service(struct slice s)
{
	bool letter = false;

	for (size_t i = 0; i < s.len; i++)
		letter |= isalpha((unsigned char)s.at[i]) != 0;
	return letter && name_chars(s) && isalnum((unsigned char)s.at[0]);
}

static int parse_port(struct soq_endpoint *e, struct slice port, const char *text)
{
	char name[sizeof(e->service)];
	long number;

	if (port.len == 0)
		return bad(text,
			"the port is missing: write host:port, 0..65535 or a service's "
			"name");
	if (all_digits(port)) {
		if (parse_number(port, 65535, &number) < 0)
			return bad(text, "a port is at most 65535");
		e->port = (uint16_t)number;
		return 0;
	}
	if (!is_service(port))
		return bad(text, "the port must be 0..65535 or a service's name");
	if (copy(name, sizeof(name), port) < 0)
		return bad(text, "a service's name has at most 31 characters");
	e->port = soq_standard_port(name);
	if (!e->port)
		memcpy(e->service, name, port.len + 1);
	return 0;
}

static bool host_chars(struct slice host)
{
	for (size_t i = 0; i < host.len; i++) {
		unsigned char c = (unsigned char)host.at[i];

		if (c <= ' ' || c == 0x7f || strchr("/\\@?#[]%:\"'<>", c))
			return false;
	}
	return true;
}

static int parse_literal(struct soq_endpoint *e, struct slice inner, const char *text)
{
	const char *percent = memchr(inner.at, '%', inner.len);
	struct in6_addr address;

	if (percent) {
		struct slice zone = { percent + 1,
			inner.len - (size_t)(percent + 1 - inner.at) };

		inner.len = (size_t)(percent - inner.at);
		if (!name_chars(zone) || copy(e->zone, sizeof(e->zone), zone) < 0)
			return bad(text,
				"the zone after % must be an interface's name or "
				"number");
	}
	if (copy(e->host, sizeof(e->host), inner) < 0 ||
		inet_pton(AF_INET6, e->host, &address) != 1)
		return bad(text, "between [ and ] must stand an IPv6 address");
	return 0;
}

static int parse_bracketed(struct soq_endpoint *e, const char *rest, const char *text)
{
	const char *end = strchr(rest, ']');
	int rc;

	if (!end)
		return bad(text, "the ] after the IPv6 address is missing");
	rc = parse_literal(e, (struct slice){ rest + 1, (size_t)(end - rest - 1) }, text);
	if (rc < 0)
		return rc;
	if (end[1] != ':')
		return bad(text, "after ] a :port must follow");
	return parse_port(e, (struct slice){ end + 2, strlen(end + 2) }, text);
}

static int parse_internet(struct soq_endpoint *e, const char *rest, const char *text)
{
	const char *colon = strrchr(rest, ':');
	struct slice host;

	if (*rest == '[')
		return parse_bracketed(e, rest, text);
	if (!colon)
		return bad(text, "the port is missing: write host:port");
	host = (struct slice){ rest, (size_t)(colon - rest) };
	if (memchr(rest, ':', host.len))
		return bad(text, "an IPv6 address stands in brackets: [::1]:80");
	if (!host_chars(host))
		return bad(text, "the host has a character that no name has");
	if (copy(e->host, sizeof(e->host), host) < 0)
		return bad(text, "a host's name has at most 255 characters");
	return parse_port(e, (struct slice){ colon + 1, strlen(colon + 1) }, text);
}

static int parse_unix(struct soq_endpoint *e, const char *rest, const char *text)
{
	size_t len = strlen(rest);

	if (len == 0 || (rest[0] == '@' && len == 1))
		return bad(text, "a path must follow, or @ and an abstract name");
	if (len >= sizeof(e->path))
		return bad(text, "a Unix socket's path has at most 107 bytes");
	memcpy(e->path, rest, len + 1);
	if (rest[0] == '@')
		e->path[0] = '\0';
	e->path_len = len;
	return 0;
}

static int parse_fd(struct soq_endpoint *e, const char *rest, const char *text)
{
	struct slice digits = { rest, strlen(rest) };
	long number;

	if (!all_digits(digits) || parse_number(digits, 1 << 30, &number) < 0)
		return bad(text, "a descriptor's number must follow: fd://3");
	e->fd = (int)number;
	return 0;
}

static int parse_scheme(struct soq_endpoint *e, const char **rest, const char *text)
{
	const char *mark = strstr(text, "://");

	e->scheme = SOQ_SCHEME_TCP;
	*rest = text;
	if (!mark)
		return 0;
	*rest = mark + 3;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t len = strlen(schemes[i].name);

		if ((size_t)(mark - text) == len && memcmp(text, schemes[i].name, len) == 0) {
			e->scheme = schemes[i].scheme;
			return 0;
		}
	}
	return bad(text, "the scheme must be tcp, udp, tls, unix, unixgram or fd");
}

static int parse_rest(struct soq_endpoint *e, const char *rest, const char *text)
{
	switch (e->scheme) {
	case SOQ_SCHEME_UNIX:
	case SOQ_SCHEME_UNIXGRAM:
		return parse_unix(e, rest, text);
	case SOQ_SCHEME_FD:
		return parse_fd(e, rest, text);
	default:
		return parse_internet(e, rest, text);
	}
}

int soq_endpoint_parse(struct soq_endpoint *ret, const char *text)
{
	struct soq_endpoint e = { .fd = -1 };
	const char *rest;
	int rc;

	if (!text || !*text)
		return bad("", "is empty; write for example tcp://localhost:80");
	rc = parse_scheme(&e, &rest, text);
	if (rc == 0)
		rc = parse_rest(&e, rest, text);
	if (rc == 0)
		*ret = e;
	return rc;
}

/* ---- writing ---- */

int soq_endpoint_format(char *buf, size_t len, const struct soq_endpoint *e)
{
	const char *scheme = soq_scheme_name(e->scheme);
	char port[8];
	const char *service = e->service;
	bool literal = strchr(e->host, ':') != NULL;

	if (e->scheme == SOQ_SCHEME_FD)
		return snprintf(buf, len, "fd://%d", e->fd);
	if (e->scheme == SOQ_SCHEME_UNIX || e->scheme == SOQ_SCHEME_UNIXGRAM) {
		if (e->path[0] == '\0')
			return snprintf(buf, len, "%s://@%.*s", scheme, (int)e->path_len - 1,
				e->path + 1);
		return snprintf(buf, len, "%s://%s", scheme, e->path);
	}
	if (!*service) {
		snprintf(port, sizeof(port), "%u", (unsigned)e->port);
		service = port;
	}
	return snprintf(buf, len, "%s://%s%s%s%s%s:%s", scheme, literal ? "[" : "", e->host,
		*e->zone ? "%" : "", e->zone, literal ? "]" : "", service);
}
