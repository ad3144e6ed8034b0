/* service_answer.c - what keeps the datagram services from being misused. */
#include "test.h"
#include "service/answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <soquete/runtime.h>
#include <soquete/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* What this thread's engine holds is not a leak. */
void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

static struct soq_addr address(const char *text, uint16_t port)
{
	struct soq_addr a = { .len = sizeof a.in };

	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
		return a;
	}
	a.len = sizeof a.in6;
	a.in6.sin6_family = AF_INET6;
	a.in6.sin6_port = htons(port);
	CHECK_EQ(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
	return a;
}

TEST(service_answer_ports)
{
	static const struct {
		uint16_t port;
		bool want;
	} rows[] = {
		{ 7, false },
		{ 13, false },
		{ 17, false },
		{ 19, false },
		{ 37, false },
		{ 8007, false },
		{ 8013, false },
		{ 8017, false },
		{ 8019, false },
		{ 8037, false },
		{ 9, true },
		{ 53, true },
		{ 8009, true },
		{ 40007, true },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct soq_packet p = { .peer = address("192.0.2.7", rows[i].port) };
		struct soq_packet p6 = { .peer = address("2001:db8::7", rows[i].port) };

		ROW("%u", rows[i].port);
		CHECK_EQ(soq__may_answer(&p, NULL), rows[i].want);
		CHECK_EQ(soq__may_answer(&p6, NULL), rows[i].want);
	}
}

static unsigned take_all(struct soq_rate_limit *limit, const char *text)
{
	struct soq_addr a = address(text, 1234);
	unsigned n = 0;

	while (n < 1000 && soq_rate_limit_take(limit, &a))
		n++;
	return n;
}

/* A burst each; an IPv4 address counts as itself however it is written, and all of an
 * IPv6 /64 as one. A rate of one a second: no further one comes due meanwhile. */
TEST(rate_limit_addresses)
{
	struct soq_rate_limit *limit;

	CHECK_OK(soq_rate_limit_new(&limit, 1, 5));
	CHECK_EQ(take_all(limit, "192.0.2.7"), 5);
	CHECK_EQ(take_all(limit, "192.0.2.8"), 5);
	CHECK_EQ(take_all(limit, "::ffff:192.0.2.7"), 0);
	CHECK_EQ(take_all(limit, "2001:db8::1"), 5);
	CHECK_EQ(take_all(limit, "2001:db8::2"), 0);
	CHECK_EQ(take_all(limit, "2001:db8:0:1::1"), 5);
	soq_rate_limit_free(limit);
}

/* What was spent comes back with time: at 1,000 a second, one a millisecond. */
TEST(rate_limit_refills)
{
	struct soq_rate_limit *limit;
	struct soq_addr a = address("192.0.2.7", 1234);
	int64_t until = soq_now() + 10 * SOQ_S;
	unsigned n = 0;

	CHECK_OK(soq_rate_limit_new(&limit, 1000, 1));
	while (n < 10 && soq_now() < until)
		n += soq_rate_limit_take(limit, &a);
	CHECK_EQ(n, 10);
	CHECK(soq_now() > until - 10 * SOQ_S + 8 * SOQ_MS);
	soq_rate_limit_free(limit);
}

/* Far more addresses than slots: an address that was limited stays so. */
TEST(rate_limit_flood)
{
	struct soq_rate_limit *limit;
	struct soq_addr a;
	unsigned refused = 0;

	CHECK_OK(soq_rate_limit_new(&limit, 1, 1));
	CHECK_EQ(take_all(limit, "192.0.2.7"), 1);
	for (unsigned i = 0; i < 50000; i++) {
		a = address("10.0.0.0", 1234);
		a.in.sin_addr.s_addr |= htonl(i);
		refused += !soq_rate_limit_take(limit, &a);
	}
	CHECK(refused > 40000);
	CHECK_EQ(take_all(limit, "192.0.2.7"), 0);
	soq_rate_limit_free(limit);
}

TEST(rate_limit_shared_by_fork)
{
	struct soq_rate_limit *limit;
	pid_t pid;

	CHECK_OK(soq_rate_limit_new(&limit, 1, 3));
	pid = CHECK_OK(fork());
	if (pid == 0) {
		CHECK_EQ(take_all(limit, "192.0.2.7"), 3);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	CHECK_EQ(take_all(limit, "192.0.2.7"), 0);
	soq_rate_limit_free(limit);
}

TEST(rate_limit_options)
{
	struct soq_rate_limit *limit;

	CHECK_ERR(soq_rate_limit_new(&limit, 0, 1), -EINVAL);
	CHECK_ERR(soq_rate_limit_new(&limit, 1001, 1), -EINVAL);
	CHECK_ERR(soq_rate_limit_new(&limit, 1, 0), -EINVAL);
	soq_rate_limit_free(NULL);
}
