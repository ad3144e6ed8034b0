/* http_target.c - a request's target, taken apart. */
#include "http_target.h"

#include <string.h>

static bool is_digits(struct soq__text t)
{
	for (size_t i = 0; i < t.len; i++)
		if (t.at[i] < '0' || t.at[i] > '9')
			return false;
	return true;
}

/* RFC 3986 section 3.2.3: digits, perhaps none; ours must also be a port. */
static bool is_port(struct soq__text t)
{
	uint64_t port;

	if (t.len == 0)
		return true;
	return t.len <= 5 && is_digits(t) && soq__text_to_u64(t, &port) == 0 && port <= 65535;
}

/* RFC 3986 section 3.2.2: reg-name, of which an IPv4 address is one. */
static bool is_reg_name(struct soq__text t)
{
	for (size_t i = 0; i < t.len; i++) {
		char c = t.at[i];
		bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			(c >= 'A' && c <= 'Z');

		if (c == '%') {
			if (t.len - i < 3 || soq__hex_digit(t.at[i + 1]) < 0 ||
				soq__hex_digit(t.at[i + 2]) < 0)
				return false;
			i += 2;
		} else if (!is_alnum && (c == '\0' || !strchr("-._~!$&'()*+,;=", c))) {
			return false;
		}
	}
	return true;
}

/* What stands between brackets: an IPv6 address, or IPvFuture. Its bytes are checked, not
 * its grammar: nothing connects to it. */
static bool is_ip_literal(struct soq__text t)
{
	for (size_t i = 0; i < t.len; i++)
		if (soq__hex_digit(t.at[i]) < 0 && t.at[i] != ':' && t.at[i] != '.' &&
			!(i == 0 && (t.at[i] == 'v' || t.at[i] == 'V')))
			return false;
	return t.len > 0;
}

/* Split host [":" port]. */
static bool split_host(struct soq__text t, struct soq__text *host, struct soq__text *port)
{
	char end = t.len > 0 && t.at[0] == '[' ? ']' : ':';
	const char *stop = t.len > 0 ? memchr(t.at, end, t.len) : NULL;
	size_t len = stop ? (size_t)(stop - t.at) + (end == ']') : t.len;

	if (end == ']' && !stop)
		return false;
	*host = (struct soq__text){ t.at, len };
	*port = soq__text_from(t, len);
	if (port->len == 0)
		return true;
	if (port->at[0] != ':')
		return false;
	*port = soq__text_from(*port, 1);
	return true;
}

bool soq__http_host_is_valid(struct soq__text t)
{
	struct soq__text host, port;

	if (!split_host(t, &host, &port) || !is_port(port))
		return false;
	if (host.len > 0 && host.at[0] == '[')
		return is_ip_literal((struct soq__text){ host.at + 1, host.len - 2 });
	return is_reg_name(host) && (host.len > 0 || port.at == t.at + t.len);
}

static void split_query(struct soq__http_target *ret, struct soq__text t)
{
	const char *mark = t.len > 0 ? memchr(t.at, '?', t.len) : NULL;

	ret->path = t;
	if (!mark)
		return;
	ret->path.len = (size_t)(mark - t.at);
	ret->query = soq__text_from(t, ret->path.len + 1);
}

static const char *parse_authority(struct soq__http_target *ret, struct soq__text t)
{
	struct soq__text host, port;

	if (!soq__http_host_is_valid(t) || !split_host(t, &host, &port) || host.len == 0 ||
		port.len == 0)
		return "CONNECT asks for a host and a port";
	ret->form = SOQ__HTTP_AUTHORITY;
	ret->authority = t;
	return NULL;
}

static const char *parse_absolute(
	struct soq__http_target *ret, struct soq__text t, bool is_options)
{
	ret->form = SOQ__HTTP_ABSOLUTE;
	ret->is_https = soq__text_starts_nocase(t, SOQ__TEXT("https://"));
	if (!ret->is_https && !soq__text_starts_nocase(t, SOQ__TEXT("http://")))
		return "the target is neither a path nor an http URI";
	t = soq__text_from(t, ret->is_https ? 8 : 7);
	ret->authority = t;
	ret->authority.len = 0;
	while (ret->authority.len < t.len && !strchr("/?", t.at[ret->authority.len]))
		ret->authority.len++;
	if (ret->authority.len == 0 || ret->authority.at[0] == ':' ||
		!soq__http_host_is_valid(ret->authority))
		return "the target's host is not one";
	split_query(ret, soq__text_from(t, ret->authority.len));
	if (ret->path.len > 0)
		return NULL;
	/* RFC 9112 section 3.2.4: OPTIONS for a whole server, sent through a proxy. */
	if (is_options && !ret->query.at)
		ret->form = SOQ__HTTP_ASTERISK;
	else
		ret->path = SOQ__TEXT("/");
	return NULL;
}

const char *soq__http_target_parse(
	struct soq__http_target *ret, struct soq__text target, bool is_connect, bool is_options)
{
	*ret = (struct soq__http_target){ .form = SOQ__HTTP_ORIGIN };
	if (target.len == 0)
		return "the target is missing";
	if (memchr(target.at, '#', target.len))
		return "the target has a fragment, which stays with the client";
	if (is_connect)
		return parse_authority(ret, target);
	if (target.at[0] == '/') {
		split_query(ret, target);
		return NULL;
	}
	if (soq__text_equal(target, SOQ__TEXT("*"))) {
		ret->form = SOQ__HTTP_ASTERISK;
		return is_options ? NULL : "only OPTIONS may ask for *";
	}
	return parse_absolute(ret, target, is_options);
}
