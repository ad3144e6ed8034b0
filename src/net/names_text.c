/* names_text.c - names as text: what is one, in which form the DNS has it, and which are never
 * asked for.
 *
 * Source: RFC 1035 section 2.3.4, RFC 5891, RFC 6761, RFC 6762, RFC 7686.
 */
#include "net/names.h"
#include <soquete/error.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* Whether a name is a domain, or in it. */
static bool is_in(const char *name, const char *domain)
{
	size_t len = strlen(name), domain_len = strlen(domain);

	if (len < domain_len || strcasecmp(name + len - domain_len, domain) != 0)
		return false;
	return len == domain_len || name[len - domain_len - 1] == '.';
}

/* Whether a name is multicast's: of those in ".local" only one of two labels, as nss-mdns has
 * it. Longer ones are asked of the DNS, though RFC 6762 section 22.1 advises against it: the
 * names of Kubernetes (my.default.svc.cluster.local) and of many a company are there. */
static bool is_multicast(const char *name)
{
	const char *dot = strchr(name, '.');

	return is_in(name, "local") && (!dot || !strchr(dot + 1, '.'));
}

static enum soq__name_kind kind_of(const char *name)
{
	if (is_in(name, "localhost"))
		return SOQ__NAME_LOCALHOST;
	if (is_multicast(name))
		return SOQ__NAME_MULTICAST;
	if (is_in(name, "invalid") || is_in(name, "onion"))
		return SOQ__NAME_NEVER;
	return SOQ__NAME_ORDINARY;
}

/* @return what is wrong with the labels, or NULL */
static const char *check_labels(const char *name)
{
	size_t label = 0;

	for (const char *at = name;; at++) {
		if (*at && *at != '.') {
			label++;
			continue;
		}
		if (label == 0)
			return "a name has an empty part between its dots";
		if (label > SOQ__LABEL_MAX)
			return "a part of a name between dots has at most 63 characters";
		if (!*at)
			return NULL;
		label = 0;
	}
}

bool soq__name_is_host(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.";

	return *name && name[strspn(name, allowed)] == '\0';
}

int soq__name_parse(struct soq__name *ret, const char *text, const char **ret_why)
{
	char ascii[SOQ__NAME_MAX + 2];
	size_t len;
	int rc = -ENOSYS;

	*ret_why = "a name has at most 253 characters";
	if (!is_ascii(text))
		rc = soq__idna(ascii, sizeof(ascii), text, ret_why);
	if (rc == -ENOSYS) /* as it is: without libidn2 the system is asked, which may know */
		rc = snprintf(ascii, sizeof(ascii), "%s", text) < (int)sizeof(ascii) ? 0 : -1;
	if (rc < 0)
		return -SOQ_EENDPOINT;
	len = strlen(ascii);
	*ret_why = "a backslash at the end of a name has nothing to escape";
	if (len > 0 && ascii[len - 1] == '\\')
		return -SOQ_EENDPOINT;
	*ret_why = "a name has at most 253 characters";
	ret->whole = len > 0 && ascii[len - 1] == '.';
	len -= ret->whole;
	if (len > SOQ__NAME_MAX)
		return -SOQ_EENDPOINT;
	ascii[len] = '\0';
	*ret_why = check_labels(ascii);
	if (*ret_why)
		return -SOQ_EENDPOINT;
	*ret_why = NULL;
	memcpy(ret->text, ascii, len + 1);
	ret->kind = kind_of(ascii);
	return 0;
}

bool soq__reverse_name(char ret[SOQ__NAME_MAX + 1], const struct soq_addr *addr)
{
	const unsigned char *ip;
	char *at = ret;

	if (addr->len > 0 && addr->sa.sa_family == AF_INET6 &&
		!IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr)) {
		ip = addr->in6.sin6_addr.s6_addr;
		for (int i = 15; i >= 0; i--)
			at += sprintf(at, "%x.%x.", ip[i] & 15, ip[i] >> 4);
		strcpy(at, "ip6.arpa");
		return true;
	}
	if (addr->len == 0 || (addr->sa.sa_family != AF_INET && addr->sa.sa_family != AF_INET6))
		return false;
	ip = addr->sa.sa_family == AF_INET ? (const unsigned char *)&addr->in.sin_addr
					   : &addr->in6.sin6_addr.s6_addr[12];
	sprintf(ret, "%u.%u.%u.%u.in-addr.arpa", ip[3], ip[2], ip[1], ip[0]);
	return true;
}
