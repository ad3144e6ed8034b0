/* addr.c - socket addresses as text. */
#include <soquete/endpoint.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define UNIX_PATH_AT offsetof(struct sockaddr_un, sun_path)

static int format_unix(char *buf, size_t len, const struct soq_addr *addr)
{
	size_t n = addr->len > UNIX_PATH_AT ? addr->len - UNIX_PATH_AT : 0;
	const char *path = addr->un.sun_path;

	if (n == 0)
		return snprintf(buf, len, "-");
	if (path[0] == '\0')
		return snprintf(buf, len, "@%.*s", (int)n - 1, path + 1);
	return snprintf(buf, len, "%.*s", (int)strnlen(path, n), path);
}

static int format_in6(char *buf, size_t len, const struct sockaddr_in6 *in6)
{
	char host[INET6_ADDRSTRLEN], zone[IF_NAMESIZE + 1] = "";

	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], host, sizeof(host));
		return snprintf(buf, len, "%s:%u", host, ntohs(in6->sin6_port));
	}
	inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
	if (in6->sin6_scope_id) {
		zone[0] = '%';
		if (!if_indextoname(in6->sin6_scope_id, zone + 1))
			snprintf(zone + 1, sizeof(zone) - 1, "%u", in6->sin6_scope_id);
	}
	return snprintf(buf, len, "[%s%s]:%u", host, zone, ntohs(in6->sin6_port));
}

int soq_addr_format(char *buf, size_t len, const struct soq_addr *addr)
{
	char host[INET_ADDRSTRLEN];

	if (addr->len < sizeof(sa_family_t))
		return snprintf(buf, len, "-");
	switch (addr->sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &addr->in.sin_addr, host, sizeof(host));
		return snprintf(buf, len, "%s:%u", host, ntohs(addr->in.sin_port));
	case AF_INET6:
		return format_in6(buf, len, &addr->in6);
	case AF_UNIX:
		return format_unix(buf, len, addr);
	default:
		return snprintf(buf, len, "?");
	}
}

int soq_addr_endpoint(
	char *buf, size_t len, enum soq_scheme scheme, const struct soq_addr *addr)
{
	char text[SOQ_ADDR_TEXT_MAX];

	soq_addr_format(text, sizeof(text), addr);
	return snprintf(buf, len, "%s://%s", soq_scheme_name(scheme), text);
}

uint16_t soq_addr_port(const struct soq_addr *addr)
{
	if (addr->len == 0)
		return 0;
	if (addr->sa.sa_family == AF_INET)
		return ntohs(addr->in.sin_port);
	if (addr->sa.sa_family == AF_INET6)
		return ntohs(addr->in6.sin6_port);
	return 0;
}

/* An address as IPv6, IPv4 mapped. @return false for other families */
static bool as_in6(const struct soq_addr *addr, struct in6_addr *ret)
{
	if (addr->len == 0)
		return false;
	if (addr->sa.sa_family == AF_INET6) {
		*ret = addr->in6.sin6_addr;
		return true;
	}
	if (addr->sa.sa_family != AF_INET)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
	memcpy(&ret->s6_addr[12], &addr->in.sin_addr, 4);
	return true;
}

bool soq_addr_is_local(const struct soq_addr *addr)
{
	struct in6_addr in6;

	if (!as_in6(addr, &in6))
		return true;
	if (IN6_IS_ADDR_V4MAPPED(&in6))
		return in6.s6_addr[12] == 127;
	return IN6_IS_ADDR_LOOPBACK(&in6);
}

static uint32_t zone_of(const struct soq_addr *addr)
{
	return addr->sa.sa_family == AF_INET6 ? addr->in6.sin6_scope_id : 0;
}

bool soq_addr_equal(const struct soq_addr *a, const struct soq_addr *b)
{
	struct in6_addr in6_a, in6_b;
	bool ip_a = as_in6(a, &in6_a), ip_b = as_in6(b, &in6_b);

	if (ip_a != ip_b)
		return false;
	if (!ip_a)
		return a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0;
	return IN6_ARE_ADDR_EQUAL(&in6_a, &in6_b) && zone_of(a) == zone_of(b) &&
		soq_addr_port(a) == soq_addr_port(b);
}
