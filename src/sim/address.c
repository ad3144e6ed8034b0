/* address.c - addresses of the simulated Internet.
 *
 * Invariant: an address is 16 bytes in the network's order, of IPv4 mapped into IPv6, so that
 * a dual-stack socket and an IPv4 one speak of the same thing.
 * Source: RFC 4291 section 2.5.5.2 (IPv4-mapped), section 2.7 (multicast); RFC 1122 section
 * 3.2.1.3; RFC 5771 (IPv4 multicast).
 */
#include "sim/sim.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

/* The first of the four bytes of an IPv4 address. */
static const uint8_t *v4(const struct soq__sim_addr *addr)
{
	return addr->ip + sizeof(mapped);
}

int soq__sim_addr_from(struct soq__sim_addr *ret, const struct soq_addr *addr)
{
	if (addr->len < sizeof(addr->sa.sa_family))
		return -EINVAL;
	switch (addr->sa.sa_family) {
	case AF_INET:
		if (addr->len < sizeof(addr->in))
			return -EINVAL;
		memcpy(ret->ip, mapped, sizeof(mapped));
		memcpy(ret->ip + sizeof(mapped), &addr->in.sin_addr, 4);
		ret->port = ntohs(addr->in.sin_port);
		return 0;
	case AF_INET6:
		/* RFC 2133 had no scope: the kernel takes such an address too. */
		if (addr->len < offsetof(struct sockaddr_in6, sin6_scope_id))
			return -EINVAL;
		memcpy(ret->ip, &addr->in6.sin6_addr, 16);
		ret->port = ntohs(addr->in6.sin6_port);
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

void soq__sim_addr_to(struct soq_addr *ret, const struct soq__sim_addr *addr, int family)
{
	memset(ret, 0, sizeof(*ret));
	if (family == AF_INET) {
		ret->len = sizeof(ret->in);
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(addr->port);
		memcpy(&ret->in.sin_addr, v4(addr), 4);
		return;
	}
	ret->len = sizeof(ret->in6);
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = htons(addr->port);
	memcpy(&ret->in6.sin6_addr, addr->ip, 16);
}

bool soq__sim_addr_parse(struct soq__sim_addr *ret, const char *text)
{
	struct soq__sim_addr addr = { 0 };

	if (inet_pton(AF_INET6, text, addr.ip) != 1) {
		memcpy(addr.ip, mapped, sizeof(mapped));
		if (inet_pton(AF_INET, text, addr.ip + sizeof(mapped)) != 1)
			return false;
	}
	*ret = addr;
	return true;
}

bool soq__sim_addr_is4(const struct soq__sim_addr *addr)
{
	return memcmp(addr->ip, mapped, sizeof(mapped)) == 0;
}

bool soq__sim_addr_is_any(const struct soq__sim_addr *addr)
{
	static const uint8_t zero[16];

	if (soq__sim_addr_is4(addr))
		return memcmp(v4(addr), zero, 4) == 0;
	return memcmp(addr->ip, zero, 16) == 0;
}

bool soq__sim_addr_is_loopback(const struct soq__sim_addr *addr)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (soq__sim_addr_is4(addr))
		return v4(addr)[0] == 127;
	return memcmp(addr->ip, one, 16) == 0;
}

bool soq__sim_addr_is_multicast(const struct soq__sim_addr *addr)
{
	if (soq__sim_addr_is4(addr))
		return (v4(addr)[0] & 0xf0) == 0xe0;
	return addr->ip[0] == 0xff;
}

bool soq__sim_addr_is_broadcast(const struct soq__sim_addr *addr)
{
	static const uint8_t ones[4] = { 0xff, 0xff, 0xff, 0xff };

	return soq__sim_addr_is4(addr) && memcmp(v4(addr), ones, 4) == 0;
}

bool soq__sim_same_ip(const struct soq__sim_addr *a, const struct soq__sim_addr *b)
{
	return memcmp(a->ip, b->ip, 16) == 0;
}

bool soq__sim_same_addr(const struct soq__sim_addr *a, const struct soq__sim_addr *b)
{
	return a->port == b->port && soq__sim_same_ip(a, b);
}

const char *soq__sim_addr_text(char buf[SOQ_ADDR_TEXT_MAX], const struct soq__sim_addr *addr)
{
	struct soq_addr shown;

	soq__sim_addr_to(&shown, addr, soq__sim_addr_is4(addr) ? AF_INET : AF_INET6);
	soq_addr_format(buf, SOQ_ADDR_TEXT_MAX, &shown);
	return buf;
}
