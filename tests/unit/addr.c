/* addr.c - socket addresses as text, compared, and told apart from the world's. */
#include "test.h"
#include <soquete/endpoint.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static struct soq_addr in4(const char *host, uint16_t port)
{
	struct soq_addr a = { .len = sizeof(a.in) };

	a.in.sin_family = AF_INET;
	a.in.sin_port = htons(port);
	CHECK_EQ(inet_pton(AF_INET, host, &a.in.sin_addr), 1);
	return a;
}

static struct soq_addr in6(const char *host, uint16_t port)
{
	struct soq_addr a = { .len = sizeof(a.in6) };

	a.in6.sin6_family = AF_INET6;
	a.in6.sin6_port = htons(port);
	CHECK_EQ(inet_pton(AF_INET6, host, &a.in6.sin6_addr), 1);
	return a;
}

/* @name_len bytes of a sun_path, which may begin with a NUL. */
static struct soq_addr un(const char *name, size_t name_len)
{
	struct soq_addr a = { 0 };

	a.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name_len);
	a.un.sun_family = AF_UNIX;
	memcpy(a.un.sun_path, name, name_len);
	return a;
}

static void check_text(struct soq_addr a, const char *want, bool is_local)
{
	char buf[SOQ_ADDR_TEXT_MAX], brief[4];

	ROW("%s", want);
	CHECK_EQ(soq_addr_format(buf, sizeof buf, &a), strlen(want));
	CHECK_STR(buf, want);
	/* Cut short, it says how much it would have been, and ends with a NUL. */
	CHECK_EQ(soq_addr_format(brief, sizeof brief, &a), strlen(want));
	CHECK_EQ(strlen(brief), strlen(want) < 3 ? strlen(want) : 3);
	CHECK_EQ(soq_addr_format(NULL, 0, &a), strlen(want));
	CHECK_EQ(soq_addr_is_local(&a), is_local);
	CHECK(soq_addr_equal(&a, &a));
}

TEST(addr_format)
{
	char longest[108];
	struct soq_addr none = { 0 };

	check_text(none, "-", true);
	check_text(in4("192.0.2.7", 80), "192.0.2.7:80", false);
	check_text(in4("127.0.0.1", 0), "127.0.0.1:0", true);
	check_text(in4("127.255.0.9", 65535), "127.255.0.9:65535", true);
	check_text(in4("0.0.0.0", 1), "0.0.0.0:1", false);
	check_text(in6("::1", 80), "[::1]:80", true);
	check_text(in6("::", 80), "[::]:80", false);
	check_text(in6("2001:db8::1", 443), "[2001:db8::1]:443", false);
	check_text(in6("::ffff:192.0.2.7", 80), "192.0.2.7:80", false);
	check_text(in6("::ffff:127.0.0.1", 80), "127.0.0.1:80", true);
	check_text(un("", 0), "-", true);
	check_text(un("/run/x", 7), "/run/x", true);
	check_text(un("\0name", 5), "@name", true);
	/* The kernel may report a path of 108 bytes without a NUL (unix(7), BUGS). */
	memset(longest, 'p', sizeof longest);
	longest[0] = '/';
	check_text(un(longest, 108),
		(char[109]){ "/pppppppppppppppppppppppppppppppppppppppppp"
			     "pppppppppppppppppppppppppppppppppppppppppppp"
			     "ppppppppppppppppppppp" },
		true);
}

TEST(addr_format_zone)
{
	struct soq_addr a = in6("fe80::1", 80);
	char name[IF_NAMESIZE], want[64], buf[SOQ_ADDR_TEXT_MAX];

	a.in6.sin6_scope_id = 1; /* the loopback interface of any Linux network */
	if (!if_indextoname(1, name))
		SKIP("no network interface has the index 1");
	snprintf(want, sizeof want, "[fe80::1%%%s]:80", name);
	check_text(a, want, false);
	a.in6.sin6_scope_id = 4000000000u; /* nobody's */
	soq_addr_format(buf, sizeof buf, &a);
	CHECK_STR(buf, "[fe80::1%4000000000]:80");
}

TEST(addr_endpoint)
{
	char buf[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_addr a = in6("::1", 80);

	CHECK_EQ(soq_addr_endpoint(buf, sizeof buf, SOQ_SCHEME_TCP, &a), 14);
	CHECK_STR(buf, "tcp://[::1]:80");
	a = un("\0x", 2);
	soq_addr_endpoint(buf, sizeof buf, SOQ_SCHEME_UNIXGRAM, &a);
	CHECK_STR(buf, "unixgram://@x");
	CHECK_STR(soq_scheme_name(SOQ_SCHEME_TLS), "tls");
	CHECK_STR(soq_scheme_name((enum soq_scheme)0), "?");
}

TEST(addr_port)
{
	struct soq_addr none = { 0 }, four = in4("192.0.2.7", 80), six = in6("::1", 65535),
			local = un("/x", 3);

	CHECK_EQ(soq_addr_port(&none), 0);
	CHECK_EQ(soq_addr_port(&four), 80);
	CHECK_EQ(soq_addr_port(&six), 65535);
	CHECK_EQ(soq_addr_port(&local), 0);
}

TEST(addr_equal)
{
	struct soq_addr a[] = {
		{ 0 },
		in4("192.0.2.7", 80),
		in4("192.0.2.7", 81),
		in4("192.0.2.8", 80),
		in6("2001:db8::1", 80),
		in6("::1", 80),
		un("/x", 3),
		un("/y", 3),
		un("\0x", 2),
	};
	struct soq_addr mapped = in6("::ffff:192.0.2.7", 80);

	for (size_t i = 0; i < sizeof a / sizeof a[0]; i++)
		for (size_t j = 0; j < sizeof a / sizeof a[0]; j++) {
			ROW("%zu and %zu", i, j);
			CHECK_EQ(soq_addr_equal(&a[i], &a[j]), i == j);
		}
	CHECK(soq_addr_equal(&mapped, &a[1]));
	CHECK(soq_addr_equal(&a[1], &mapped));
	CHECK(!soq_addr_equal(&mapped, &a[2]));
}

/* Link-local addresses are of one link: another zone's are other hosts (RFC 4007 section 6). */
TEST(addr_equal_zone)
{
	struct soq_addr a = in6("fe80::1", 80), b = a, c = a,
			mapped = in6("::ffff:192.0.2.7", 80), four = in4("192.0.2.7", 80);

	a.in6.sin6_scope_id = b.in6.sin6_scope_id = 1;
	c.in6.sin6_scope_id = 2;
	CHECK(soq_addr_equal(&a, &b));
	CHECK(!soq_addr_equal(&a, &c));
	CHECK(!soq_addr_equal(&c, &a));
	CHECK(soq_addr_equal(&mapped, &four));
}
