/* addr_order.c - which address goes first, by RFC 6724's own examples and beyond. */
#include "test.h"
#include "net/addr_order.h"

#include <soquete/runtime.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

static struct soq_addr parse(const char *text, uint16_t port)
{
	struct soq_addr a = { 0 };

	if (!text || !*text)
		return a;
	if (strchr(text, ':')) {
		a.len = sizeof(a.in6);
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_port = htons(port);
		CHECK_EQ(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
	} else {
		a.len = sizeof(a.in);
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
		CHECK_EQ(inet_pton(AF_INET, text, &a.in.sin_addr), 1);
	}
	return a;
}

struct route {
	const char *to, *from; /* "": no route */
};

#define ROUTES_MAX 4

/* The routes are in the order wanted; whichever order they are given in, it comes out. */
static void check_order(const char *name, const struct route *routes)
{
	struct soq_addr list[ROUTES_MAX], sources[ROUTES_MAX];
	char got[SOQ_ADDR_TEXT_MAX], want[SOQ_ADDR_TEXT_MAX];
	size_t count = 0;

	while (count < ROUTES_MAX && routes[count].to)
		count++;
	for (size_t turn = 0; turn < count; turn++)
		for (unsigned back = 0; back < 2; back++) {
			for (size_t i = 0; i < count; i++) {
				size_t from = (i + turn) % count;

				from = back ? count - 1 - from : from;
				list[i] = parse(routes[from].to, 80);
				sources[i] = parse(routes[from].from, 4242);
			}
			soq__addr_order_by(list, sources, count);
			for (size_t i = 0; i < count; i++) {
				struct soq_addr a = parse(routes[i].to, 80);

				ROW("%s, turn %zu%s, place %zu", name, turn,
					back ? " back" : "", i);
				soq_addr_format(got, sizeof got, &list[i]);
				soq_addr_format(want, sizeof want, &a);
				CHECK_STR(got, want);
			}
		}
}

/* Section 10.2, but for the two with a home address and a deprecated one. */
TEST(addr_order_rfc_examples)
{
	static const struct {
		const char *name;
		struct route routes[ROUTES_MAX];
	} rows[] = {
		{ "matching scope: IPv6",
			{ { "2001:db8:1::1", "2001:db8:1::2" },
				{ "198.51.100.121", "169.254.13.78" } } },
		{ "matching scope: IPv4",
			{ { "198.51.100.121", "198.51.100.117" },
				{ "2001:db8:1::1", "fe80::1" } } },
		{ "higher precedence",
			{ { "2001:db8:1::1", "2001:db8:1::2" }, { "10.1.2.3", "10.1.2.4" } } },
		{ "smaller scope",
			{ { "fe80::1", "fe80::2" }, { "2001:db8:1::1", "2001:db8:1::2" } } },
		{ "longest matching prefix",
			{ { "2001:db8:1::1", "2001:db8:1::2" },
				{ "2001:db8:3ffe::1", "2001:db8:3f44::2" } } },
		{ "matching label",
			{ { "2002:c633:6401::1", "2002:c633:6401::2" },
				{ "2001:db8:1::1", "2002:c633:6401::2" } } },
		{ "higher precedence than 6to4",
			{ { "2001:db8:1::1", "2001:db8:1::2" },
				{ "2002:c633:6401::1", "2002:c633:6401::2" } } },
		/* Section 10.6, with the default table. */
		{ "a foreign ULA",
			{ { "2001:db8:2::2", "2001:db8:1::1" },
				{ "fd22:2222:2222:2::2", "fd11:1111:1111:1::1" } } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_order(rows[i].name, rows[i].routes);
}

TEST(addr_order_rules)
{
	static const struct {
		const char *name;
		struct route routes[ROUTES_MAX];
	} rows[] = {
		{ "no route", { { "192.0.2.1", "192.0.2.2" }, { "2001:db8::1", "" } } },
		{ "no route, of several",
			{ { "10.0.0.1", "10.0.0.9" }, { "::1", "" }, { "2001:db8::1", "" },
				{ "192.0.2.1", "" } } },
		{ "this machine", { { "::1", "::1" }, { "127.0.0.1", "127.0.0.1" } } },
		{ "this machine before others",
			{ { "::1", "::1" }, { "2001:db8::1", "2001:db8::2" },
				{ "127.0.0.1", "127.0.0.1" }, { "192.0.2.1", "192.0.2.2" } } },
		{ "private IPv4 is global",
			{ { "2001:db8::1", "2001:db8::2" },
				{ "192.168.0.1", "192.168.0.2" } } },
		{ "NAT", { { "192.0.2.1", "192.168.0.2" }, { "2001:db8::1", "fd00::1" } } },
		{ "ULA within a site",
			{ { "fd00::1", "fd00::2" }, { "2001:db8::1", "fd00::2" } } },
		{ "Teredo last but for none",
			{ { "2001:db8::1", "2001:db8::2" }, { "192.0.2.1", "192.0.2.2" },
				{ "2001:0:1::1", "2001:0:2::1" } } },
		{ "mapped is IPv4",
			{ { "2001:db8::1", "2001:db8::2" },
				{ "::ffff:192.0.2.1", "192.0.2.2" } } },
		{ "link-local IPv4 by itself",
			{ { "169.254.1.1", "169.254.1.2" }, { "192.0.2.1", "192.0.2.2" } } },
		{ "site-local",
			{ { "2001:db8::1", "2001:db8::2" }, { "fec0::1", "fec0::2" } } },
		{ "6bone, compatible",
			{ { "2001:db8::1", "2001:db8::2" }, { "3ffe::1", "3ffe::2" } } },
		{ "multicast of a link",
			{ { "ff02::1", "fe80::2" }, { "2001:db8::1", "2001:db8::2" } } },
		{ "prefix of 63 bits, of 62",
			{ { "2001:db8::1", "2001:db8:0:1::1" },
				{ "2001:db8:0:3::1", "2001:db8:0:1::1" } } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_order(rows[i].name, rows[i].routes);
}

/* What is equal stays as it was given: who gives addresses out in turn means it. */
TEST(addr_order_stable)
{
	static const struct {
		const char *name;
		struct route routes[ROUTES_MAX];
	} rows[] = {
		{ "IPv4 has no prefixes",
			{ { "192.0.2.200", "192.0.2.2" }, { "192.0.2.3", "192.0.2.2" },
				{ "10.0.0.1", "192.0.2.2" }, { "192.0.2.1", "192.0.2.2" } } },
		{ "bits of the interface do not count",
			{ { "2001:db8::ffff", "2001:db8::2" }, { "2001:db8::3", "2001:db8::2" },
				{ "2001:db8::8000:0:0:0", "2001:db8::2" } } },
		{ "no routes", { { "192.0.2.2", "" }, { "192.0.2.1", "" } } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct route *r = rows[i].routes;
		struct soq_addr list[ROUTES_MAX], sources[ROUTES_MAX];
		size_t count = 0;

		for (; count < ROUTES_MAX && r[count].to; count++) {
			list[count] = parse(r[count].to, 80);
			sources[count] = parse(r[count].from, 1);
		}
		soq__addr_order_by(list, sources, count);
		for (size_t n = 0; n < count; n++) {
			struct soq_addr a = parse(r[n].to, 80);

			ROW("%s, place %zu", rows[i].name, n);
			CHECK(soq_addr_equal(&list[n], &a));
		}
	}
}

/* Addresses of any bytes, in any order: the result is the same list in another order, and
 * ordering it again changes nothing. */
TEST(addr_order_is_an_order)
{
	enum { COUNT = 200 };
	static struct soq_addr list[COUNT], sources[COUNT], again[COUNT];

	srand(1);
	for (unsigned round = 0; round < 20; round++) {
		for (size_t i = 0; i < COUNT; i++) {
			char text[64];

			snprintf(text, sizeof text, rand() % 2 ? "%x:db8:%x::1" : "%u.0.%u.1",
				rand() % 2 ? 0xfc : 0x20, (unsigned)rand() % 4);
			list[i] = parse(text, (uint16_t)i);
			sources[i] = parse("2001:db8:1::2", 0);
		}
		memcpy(again, list, sizeof list);
		soq__addr_order_by(list, sources, COUNT);
		ROW("round %u", round);
		for (size_t i = 0, found = 0; i < COUNT; i++, found = 0) {
			for (size_t n = 0; n < COUNT; n++)
				found += soq_addr_equal(&list[n], &again[i]);
			CHECK_EQ(found, 1);
		}
		memcpy(again, list, sizeof list);
		soq__addr_order_by(list, sources, COUNT);
		CHECK_MEM(list, again, sizeof list);
	}
}

/* The machine's own addresses, with the engine asked, and some that are none. */
TEST(addr_order_asks_the_engine)
{
	enum { COUNT = 300 };
	static struct soq_addr list[COUNT];

	for (size_t i = 0; i < COUNT; i++)
		list[i] = i % 3 == 2 ? (struct soq_addr){ 0 } : parse("127.0.0.1", (uint16_t)i);
	soq__addr_order(list, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		ROW("%zu", i);
		CHECK_EQ(list[i].len > 0, i < COUNT / 3 * 2);
		CHECK(i == 0 || i >= COUNT / 3 * 2 ||
			soq_addr_port(&list[i - 1]) < soq_addr_port(&list[i]));
	}
	soq__addr_order(list, 0);
	soq__addr_order(list, 1);
	CHECK_EQ(soq_addr_port(&list[0]), 0);
}
