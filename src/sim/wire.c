/* wire.c - a simulated packet as the bytes that a machine would have sent.
 *
 * The links of a world carry structs; who captures wants headers with checksums. Windows are
 * written as if both sides had agreed on a scale of 8, and each SYN says so.
 *
 * Source: RFC 791, RFC 8200 (IP and fragments), RFC 9293, RFC 7323 (TCP), RFC 768 (UDP),
 * RFC 792, RFC 4443 (ICMP), RFC 1071 (the checksum).
 */
#include "sim/watch.h"
#include "sim/link.h"
#include <errno.h>
#include <netinet/ip.h>
#include <string.h>

#define WINDOW_SCALE	8
#define IP_MAX		65535 /* what an IP header's length can say */
#define FRAGMENT_HEADER 8     /* IPv6's */

/* IPv6's numbers for what follows a header. */
enum { NEXT_FRAGMENT = 44, NEXT_ICMP6 = 58 };

static bool is4(const struct soq__sim_packet *p)
{
	return soq__sim_addr_is4(&p->dst);
}

static size_t ip_header(const struct soq__sim_packet *p)
{
	return is4(p) ? SOQ__SIM_IP4_HEADER : SOQ__SIM_IP6_HEADER;
}

static size_t mtu_of(const struct soq__sim_packet *p)
{
	unsigned mtu = p->to ? soq__sim_link_of(p->from, p->to)->opt->mtu
			     : soq__sim_mtu(p->from, &p->dst);

	return soq__min_size(mtu, IP_MAX);
}

/* An ICMP message's is its host's default. */
static uint8_t hops_of(const struct soq__sim_packet *p)
{
	return p->protocol == IPPROTO_ICMP ? IPDEFTTL : p->hops;
}

/* ---- checksums ---- */

/* Add bytes, the first at an even offset, to a sum of 16-bit words. */
static uint32_t sum(uint32_t so_far, const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint64_t total = so_far;

	for (size_t i = 0; i < len; i++)
		total += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint32_t)total;
}

static uint16_t checksum(uint32_t so_far, const void *data, size_t len)
{
	return (uint16_t)~sum(so_far, data, len);
}

static void store16(uint8_t *to, uint16_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static uint8_t protocol_on_wire(const struct soq__sim_packet *p, uint8_t protocol)
{
	return protocol == IPPROTO_ICMP && !is4(p) ? NEXT_ICMP6 : protocol;
}

/* The sum of the pseudo-header; both families' come to the same terms. */
static uint32_t pseudo_header(const struct soq__sim_packet *p, size_t len)
{
	size_t skip = is4(p) ? 12 : 0;
	uint8_t rest[6] = { 0 };
	uint32_t total = sum(0, p->src.ip + skip, sizeof(p->src.ip) - skip);

	total = sum(total, p->dst.ip + skip, sizeof(p->dst.ip) - skip);
	store16(rest, (uint16_t)(len >> 16));
	store16(rest + 2, (uint16_t)len);
	store16(rest + 4, protocol_on_wire(p, p->protocol));
	return sum(total, rest, sizeof(rest));
}

/* ---- IP headers ---- */

struct fragment {
	uint16_t offset; /* bytes */
	bool more;
};

/* The link's count tells packets apart, and a duplicate has its original's number. */
static uint32_t identification(const struct soq__sim_packet *p)
{
	return (uint32_t)p->number;
}

static void put_ip4(struct soq__sim_buffer *b, const struct soq__sim_packet *p, size_t len,
	struct fragment fragment)
{
	enum { DONT_FRAGMENT = 0x4000, MORE = 0x2000 };
	size_t at = b->len;
	uint16_t flags = fragment.more ? MORE : 0;

	if (p->protocol == IPPROTO_TCP)
		flags = DONT_FRAGMENT; /* as path MTU discovery wants it: ip(7) */
	soq__sim_put16(b, 0x4500);
	soq__sim_put16(b, (uint16_t)(SOQ__SIM_IP4_HEADER + len));
	soq__sim_put16(b, (uint16_t)identification(p));
	soq__sim_put16(b, flags | fragment.offset / 8);
	soq__sim_put8(b, hops_of(p));
	soq__sim_put8(b, p->protocol);
	soq__sim_put16(b, 0);
	soq__sim_put(b, p->src.ip + 12, 4);
	soq__sim_put(b, p->dst.ip + 12, 4);
	store16(b->data + at + 10, checksum(0, b->data + at, SOQ__SIM_IP4_HEADER));
}

static void put_ip6(
	struct soq__sim_buffer *b, const struct soq__sim_packet *p, uint8_t next, size_t len)
{
	soq__sim_put32(b, 0x60000000);
	soq__sim_put16(b, (uint16_t)len);
	soq__sim_put8(b, next);
	soq__sim_put8(b, hops_of(p));
	soq__sim_put(b, p->src.ip, 16);
	soq__sim_put(b, p->dst.ip, 16);
}

/* ---- segments ---- */

static void put_tcp_options(struct soq__sim_buffer *b, const struct soq__sim_packet *p)
{
	enum { NOP = 1, MSS = 2, SCALE = 3 };
	size_t headers = ip_header(p) + SOQ__SIM_TCP_HEADER;

	soq__sim_put8(b, MSS);
	soq__sim_put8(b, 4);
	soq__sim_put16(b, (uint16_t)(mtu_of(p) - headers));
	soq__sim_put8(b, NOP);
	soq__sim_put8(b, SCALE);
	soq__sim_put8(b, 3);
	soq__sim_put8(b, WINDOW_SCALE);
}

/* A SYN's window is never scaled (RFC 7323 section 2.2). The others are rounded up, as Linux
 * does: an open window of a few bytes is not to look closed. */
static uint16_t window_on_wire(const struct soq__sim_packet *p)
{
	int64_t units = p->window;

	if (!(p->flags & SOQ__SIM_SYN))
		units = (units + (1 << WINDOW_SCALE) - 1) >> WINDOW_SCALE;
	return (uint16_t)soq__min(units, UINT16_MAX);
}

static void put_tcp(struct soq__sim_buffer *b, const struct soq__sim_packet *p)
{
	bool syn = p->flags & SOQ__SIM_SYN;
	unsigned words = (SOQ__SIM_TCP_HEADER + (syn ? 8 : 0)) / 4;
	size_t at = b->len;

	soq__sim_put16(b, p->src.port);
	soq__sim_put16(b, p->dst.port);
	soq__sim_put32(b, p->seq);
	soq__sim_put32(b, p->ack);
	soq__sim_put8(b, (uint8_t)(words << 4));
	soq__sim_put8(b, p->flags);
	soq__sim_put16(b, window_on_wire(p));
	soq__sim_put32(b, 0); /* checksum, urgent pointer */
	if (syn)
		put_tcp_options(b, p);
	soq__sim_put(b, p->data, p->len);
	store16(b->data + at + 16,
		checksum(pseudo_header(p, b->len - at), b->data + at, b->len - at));
}

static void put_udp(struct soq__sim_buffer *b, const struct soq__sim_packet *p)
{
	size_t at = b->len, len = SOQ__SIM_UDP_HEADER + p->len;
	uint16_t check;

	soq__sim_put16(b, p->src.port);
	soq__sim_put16(b, p->dst.port);
	soq__sim_put16(b, (uint16_t)len);
	soq__sim_put16(b, 0);
	soq__sim_put(b, p->data, p->len);
	check = checksum(pseudo_header(p, len), b->data + at, len);
	/* 0 says that there is none. */
	store16(b->data + at + 6, check ? check : UINT16_MAX);
}

/* Type and code, and for a packet that was too big the MTU. */
struct icmp {
	uint8_t type4, code4, type6, code6;
};

static struct icmp icmp_of(int error)
{
	switch (error < 0 ? -error : error) {
	case ECONNREFUSED:
		return (struct icmp){ 3, 3, 1, 4 };
	case EMSGSIZE:
		return (struct icmp){ 3, 4, 2, 0 };
	case ENETUNREACH:
		return (struct icmp){ 3, 0, 1, 0 };
	case EACCES:
	case EPERM:
		return (struct icmp){ 3, 13, 1, 1 };
	case ENOPROTOOPT:
		return (struct icmp){ 3, 2, 4, 1 };
	default:
		return (struct icmp){ 3, 1, 1, 3 };
	}
}

/* The packet that an error is about: its IP header and, as much as is known of it, the eight
 * bytes that follow. */
static void put_quoted(struct soq__sim_buffer *b, const struct soq__sim_packet *p)
{
	struct soq__sim_packet about = {
		.src = p->dst, .dst = p->src, .protocol = p->protocol_told, .hops = IPDEFTTL - 1
	};

	if (is4(p))
		put_ip4(b, &about, 8, (struct fragment){ 0 });
	else
		put_ip6(b, &about, p->protocol_told, 8);
	soq__sim_put16(b, about.src.port);
	soq__sim_put16(b, about.dst.port);
	if (p->protocol_told == IPPROTO_TCP) {
		soq__sim_put32(b, p->seq);
	} else {
		soq__sim_put16(b, SOQ__SIM_UDP_HEADER);
		soq__sim_put16(b, 0);
	}
}

static void put_icmp(struct soq__sim_buffer *b, const struct soq__sim_packet *p)
{
	struct icmp icmp = icmp_of(p->icmp_error);
	size_t at = b->len;
	bool too_big = p->icmp_error == EMSGSIZE || p->icmp_error == -EMSGSIZE;

	soq__sim_put8(b, is4(p) ? icmp.type4 : icmp.type6);
	soq__sim_put8(b, is4(p) ? icmp.code4 : icmp.code6);
	soq__sim_put16(b, 0);
	soq__sim_put32(b, too_big ? (uint32_t)mtu_of(p) : 0);
	put_quoted(b, p);
	store16(b->data + at + 2,
		checksum(
			is4(p) ? 0 : pseudo_header(p, b->len - at), b->data + at, b->len - at));
}

void soq__sim_wire_segment(struct soq__sim_buffer *ret, const struct soq__sim_packet *p)
{
	if (p->protocol == IPPROTO_TCP)
		put_tcp(ret, p);
	else if (p->protocol == IPPROTO_UDP)
		put_udp(ret, p);
	else
		put_icmp(ret, p);
}

/* ---- fragments ---- */

/* Bytes of a segment in each fragment but the last. */
static size_t fragment_bytes(const struct soq__sim_packet *p)
{
	size_t headers = ip_header(p) + (is4(p) ? 0 : FRAGMENT_HEADER);
	size_t mtu = mtu_of(p);

	return mtu < headers + 8 ? 8 : (mtu - headers) / 8 * 8;
}

size_t soq__sim_wire_fragments(const struct soq__sim_packet *p, size_t len)
{
	if (p->protocol != IPPROTO_UDP || ip_header(p) + len <= mtu_of(p))
		return 1;
	return (len + fragment_bytes(p) - 1) / fragment_bytes(p);
}

void soq__sim_wire_packet(struct soq__sim_buffer *ret, const struct soq__sim_packet *p,
	const struct soq__sim_buffer *segment, size_t index)
{
	size_t count = soq__sim_wire_fragments(p, segment->len);
	size_t at = count > 1 ? index * fragment_bytes(p) : 0;
	size_t len =
		count > 1 ? soq__min_size(fragment_bytes(p), segment->len - at) : segment->len;
	struct fragment fragment = { .offset = (uint16_t)at, .more = index + 1 < count };
	uint8_t protocol = protocol_on_wire(p, p->protocol);

	if (is4(p)) {
		put_ip4(ret, p, len, fragment);
	} else if (count == 1) {
		put_ip6(ret, p, protocol, len);
	} else {
		put_ip6(ret, p, NEXT_FRAGMENT, FRAGMENT_HEADER + len);
		soq__sim_put8(ret, protocol);
		soq__sim_put8(ret, 0);
		soq__sim_put16(ret, (uint16_t)(fragment.offset | fragment.more));
		soq__sim_put32(ret, identification(p));
	}
	soq__sim_put(ret, segment->data + at, len);
}
