/* names.c - connecting by name when the name service is slow, silent or wrong, and when some
 * addresses are: RFC 8305, to the microsecond.
 *
 * A name has addresses of up to four hosts. Between hosts a packet takes 1 ms, so that a
 * connection stands 2 ms after its attempt has begun.
 */
#include "test.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS_MAX      4
#define ROUND_TRIP_NS  (2 * SOQ_MS)
#define FAR_NS	       (400 * SOQ_MS) /* one way */
#define RESOLUTION_NS  (50 * SOQ_MS)  /* RFC 8305: "Resolution Delay" */
#define ATTEMPT_NS     (250 * SOQ_MS) /* "Connection Attempt Delay" */
#define EXACT_NS       (20 * SOQ_US)  /* what rounds of the client's scheduler may cost */
#define NOT_CONNECTING INT_MIN

/* What a host does when it is asked. */
enum manner { ANSWERS, LATE, REFUSES, SILENT };

struct place {
	const char *address;
	enum manner manner;
};

static struct {
	struct soq_sim *sim;
	struct soq_sim_host *client, *hosts[HOSTS_MAX];
	size_t count;
	unsigned accepted[HOSTS_MAX], ended[HOSTS_MAX];
	int64_t deadline_ns, cancel_ns; /* after the beginning; 0: none */
	/* What came of it. */
	int rc;
	int64_t took_ns;
	char peer[SOQ_ADDR_TEXT_MAX], error[1024];
} world;

static int server_main(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;
	struct soq_listener *l;
	struct soq_stream *s;
	char byte;

	CHECK_OK(soq_listen(&l, "tcp://:80", NULL));
	soq_set_accept_timeout(l, 30 * SOQ_S);
	while (soq_accept(&s, l) == 0) {
		world.accepted[i]++;
		world.ended[i] += soq_recv(s, &byte, 1) <= 0;
		soq_close(s);
	}
	soq_listener_close(l);
	return 0;
}

static void connect_once(void *arg)
{
	int64_t began_ns = soq_now();
	struct soq_stream *s = NULL;
	struct soq_addr peer;

	(void)arg;
	if (world.deadline_ns)
		soq_deadline(began_ns + world.deadline_ns);
	world.rc = soq_connect(&s, "tcp://www.it:80");
	world.took_ns = soq_now() - began_ns;
	soq_deadline_restore(SOQ_NEVER);
	snprintf(world.error, sizeof world.error, "%s", soq_last_error());
	if (world.rc < 0)
		return;
	CHECK_OK(soq_peer_addr(s, &peer));
	soq_addr_format(world.peer, sizeof world.peer, &peer);
	soq_close(s);
}

static int client_main(void *arg)
{
	struct soq_scope *scope;

	(void)arg;
	CHECK_OK(soq_sleep(SOQ_MS)); /* the servers listen */
	if (!world.cancel_ns) {
		connect_once(NULL);
		return 0;
	}
	CHECK_OK(soq_scope_open(&scope));
	CHECK_OK(soq_spawn(scope, connect_once, NULL));
	CHECK_OK(soq_sleep(world.cancel_ns));
	soq_scope_cancel(scope);
	soq_scope_close(scope);
	return 0;
}

static void add(const struct place *p)
{
	const struct soq_sim_link far = { .latency_ns = FAR_NS };
	size_t i = world.count++;
	char name[16];

	snprintf(name, sizeof name, "host%zu", i);
	CHECK_OK(soq_sim_host_new(&world.hosts[i], world.sim, name, p->address));
	if (p->manner == ANSWERS || p->manner == LATE)
		CHECK_OK(soq_sim_spawn(world.hosts[i], server_main, (void *)(uintptr_t)i));
	if (p->manner == LATE)
		CHECK_OK(soq_sim_link_both(world.client, world.hosts[i], &far));
	if (p->manner == SILENT)
		CHECK_OK(soq_sim_crash(world.hosts[i]));
}

/* A world in which www.it has these addresses, in this order, unless @how has others. */
static void begin(const struct place places[HOSTS_MAX], const struct soq_sim_name *how)
{
	const struct soq_sim_options opt = { .prompt_offload = true };
	struct soq_sim_name name = how ? *how : (struct soq_sim_name){ 0 };
	char addresses[256] = "", *end = addresses;

	memset(&world, 0, sizeof world);
	CHECK_OK(soq_sim_new(&world.sim, 1, &opt));
	CHECK_OK(
		soq_sim_host_new(&world.client, world.sim, "client", "10.0.0.99 2001:db8::99"));
	for (size_t i = 0; i < HOSTS_MAX && places[i].address; i++) {
		add(&places[i]);
		end = stpcpy(stpcpy(end, places[i].address), " ");
	}
	if (!name.addresses)
		name.addresses = addresses;
	CHECK_OK(soq_sim_name(world.sim, "www.it", &name));
}

/* Nothing is left of those that lost. */
static void run(void)
{
	struct soq_sim_census c;

	CHECK_OK(soq_sim_spawn(world.client, client_main, NULL));
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	soq_sim_census(world.client, &c);
	CHECK_EQ(c.descriptors, 0);
	CHECK_EQ(c.leaked, 0);
	CHECK_EQ(c.connections, 0);
	for (size_t i = 0; i < world.count; i++)
		CHECK_EQ(world.accepted[i], world.ended[i]);
}

static void end(void)
{
	soq_sim_free(world.sim);
}

static void expect_took(int64_t took_ns)
{
	CHECK(world.took_ns >= took_ns && world.took_ns < took_ns + EXACT_NS);
}

#define MS(n) ((n)*SOQ_MS)

/* One address of each family. */
TEST(sim_names_families)
{
	static const struct {
		const char *what;
		int64_t ipv6_ns, ipv4_ns; /* when its answer comes */
		int ipv6_error, ipv4_error;
		enum manner ipv6, ipv4;
		const char *winner;
		int64_t began_ns; /* the winner's attempt */
	} rows[] = {
		{ "both", MS(5), MS(5), 0, 0, ANSWERS, ANSWERS, "[2001:db8::1]:80", MS(5) },
		{ "IPv6 first", MS(5), MS(100), 0, 0, ANSWERS, ANSWERS, "[2001:db8::1]:80",
			MS(5) },
		{ "10 ms late", MS(15), MS(5), 0, 0, ANSWERS, ANSWERS, "[2001:db8::1]:80",
			MS(15) },
		{ "49 ms late", MS(54), MS(5), 0, 0, ANSWERS, ANSWERS, "[2001:db8::1]:80",
			MS(54) },
		{ "51 ms late", MS(56), MS(5), 0, 0, ANSWERS, ANSWERS, "10.0.0.1:80", MS(55) },
		{ "no IPv6 answer", SOQ_NEVER, MS(5), 0, 0, ANSWERS, ANSWERS, "10.0.0.1:80",
			MS(55) },
		{ "no IPv4 answer", MS(5), SOQ_NEVER, 0, 0, ANSWERS, ANSWERS,
			"[2001:db8::1]:80", MS(5) },
		{ "no such IPv6, late", MS(20), MS(5), -SOQ_ENONAME, 0, ANSWERS, ANSWERS,
			"10.0.0.1:80", MS(20) },
		{ "IPv6 fails late", MS(20), MS(5), -SOQ_ENAMEFAIL, 0, ANSWERS, ANSWERS,
			"10.0.0.1:80", MS(20) },
		{ "IPv6 fails first", MS(5), MS(100), -SOQ_ENAMEFAIL, 0, ANSWERS, ANSWERS,
			"10.0.0.1:80", MS(100) },
		{ "IPv4 fails first", MS(200), MS(5), 0, -SOQ_ENAMEFAIL, ANSWERS, ANSWERS,
			"[2001:db8::1]:80", MS(200) },
		{ "IPv4 fails last", MS(5), MS(200), 0, -SOQ_ENAMEFAIL, LATE, ANSWERS,
			"[2001:db8::1]:80", MS(5) },
		/* A black hole costs a quarter of a second. */
		{ "silent IPv6", MS(5), MS(5), 0, 0, SILENT, ANSWERS, "10.0.0.1:80",
			MS(5) + ATTEMPT_NS },
		{ "silent IPv6, later IPv4", MS(5), MS(100), 0, 0, SILENT, ANSWERS,
			"10.0.0.1:80", MS(5) + ATTEMPT_NS },
		{ "silent IPv6, much later IPv4", MS(5), MS(300), 0, 0, SILENT, ANSWERS,
			"10.0.0.1:80", MS(300) },
		/* A refusal costs a round trip, and nobody waits for anything else then. */
		{ "refusing IPv6", MS(5), MS(5), 0, 0, REFUSES, ANSWERS, "10.0.0.1:80",
			MS(5) + ROUND_TRIP_NS },
		{ "refusing IPv6, later IPv4", MS(5), MS(100), 0, 0, REFUSES, ANSWERS,
			"10.0.0.1:80", MS(100) },
		/* IPv6 comes late, and joins the race. */
		{ "silent IPv4", MS(100), MS(5), 0, 0, ANSWERS, SILENT, "[2001:db8::1]:80",
			MS(5) + RESOLUTION_NS + ATTEMPT_NS },
		{ "silent IPv4, much later IPv6", MS(400), MS(5), 0, 0, ANSWERS, SILENT,
			"[2001:db8::1]:80", MS(400) },
		{ "refusing IPv4", MS(100), MS(5), 0, 0, ANSWERS, REFUSES, "[2001:db8::1]:80",
			MS(100) },
		{ "slow IPv4", MS(100), MS(5), 0, 0, ANSWERS, LATE, "[2001:db8::1]:80",
			MS(5) + RESOLUTION_NS + ATTEMPT_NS },
		/* Who is slow goes on, and wins if nobody else does. */
		{ "slow IPv6, silent IPv4", MS(5), MS(5), 0, 0, LATE, SILENT,
			"[2001:db8::1]:80", MS(5) },
		{ "slow IPv4, IPv6 never", SOQ_NEVER, MS(5), 0, 0, ANSWERS, LATE, "10.0.0.1:80",
			MS(5) + RESOLUTION_NS },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct place places[HOSTS_MAX] = {
			{ "2001:db8::1", rows[i].ipv6 },
			{ "10.0.0.1", rows[i].ipv4 },
		};
		const struct soq_sim_name how = {
			.delay_ipv6_ns = rows[i].ipv6_ns,
			.delay_ipv4_ns = rows[i].ipv4_ns,
			.error_ipv6 = rows[i].ipv6_error,
			.error_ipv4 = rows[i].ipv4_error,
		};
		bool is_ipv6 = rows[i].winner[0] == '[';
		bool is_late = (is_ipv6 ? rows[i].ipv6 : rows[i].ipv4) == LATE;

		begin(places, &how);
		run();
		ROW("%s: %s after %lld ns, %s", rows[i].what, world.peer,
			(long long)world.took_ns, world.error);
		CHECK_OK(world.rc);
		CHECK_STR(world.peer, rows[i].winner);
		expect_took(rows[i].began_ns + (is_late ? 2 * FAR_NS : ROUND_TRIP_NS));
		end();
	}
}

/* An answer that comes in the very instant in which it is not waited for any more is there when
 * an address is chosen. */
TEST(sim_names_ipv6_at_the_last_instant)
{
	static const struct place places[HOSTS_MAX] = { { "2001:db8::1", ANSWERS },
		{ "10.0.0.1", ANSWERS } };
	const struct soq_sim_name how = { .delay_ipv4_ns = MS(5), .delay_ipv6_ns = MS(55) };

	begin(places, &how);
	run();
	ROW("%s after %lld ns", world.peer, (long long)world.took_ns);
	CHECK_OK(world.rc);
	CHECK_STR(world.peer, "[2001:db8::1]:80");
	expect_took(MS(55) + ROUND_TRIP_NS);
	end();
}

/* The families take turns, however their addresses are given; each silent one costs its time.
 */
TEST(sim_names_several_black_holes)
{
	static const struct place places[HOSTS_MAX] = {
		{ "2001:db8::1", SILENT },
		{ "2001:db8::2", SILENT },
		{ "10.0.0.1", SILENT },
		{ "10.0.0.2", ANSWERS },
	};

	begin(places, NULL);
	run();
	ROW("%s after %lld ns", world.peer, (long long)world.took_ns);
	CHECK_OK(world.rc);
	CHECK_STR(world.peer, "10.0.0.2:80");
	expect_took(3 * ATTEMPT_NS + ROUND_TRIP_NS);
	end();
}

/* Addresses of a family that come late are tried in turn with those that are left. */
TEST(sim_names_late_family_takes_turns)
{
	static const struct place places[HOSTS_MAX] = {
		{ "10.0.0.1", SILENT },
		{ "10.0.0.2", SILENT },
		{ "2001:db8::1", ANSWERS },
	};
	const struct soq_sim_name how = { .delay_ipv4_ns = MS(5), .delay_ipv6_ns = MS(100) };

	begin(places, &how);
	run();
	ROW("%s after %lld ns", world.peer, (long long)world.took_ns);
	CHECK_OK(world.rc);
	CHECK_STR(world.peer, "[2001:db8::1]:80");
	expect_took(MS(5) + RESOLUTION_NS + ATTEMPT_NS + ROUND_TRIP_NS);
	end();
}

/* The first wins; the connection of the other, which stands later, is closed. */
TEST(sim_names_loser_is_closed)
{
	static const struct place places[HOSTS_MAX] = { { "2001:db8::1", LATE },
		{ "10.0.0.1", ANSWERS } };

	begin(places, NULL);
	run();
	ROW("%s after %lld ns", world.peer, (long long)world.took_ns);
	CHECK_OK(world.rc);
	CHECK_STR(world.peer, "10.0.0.1:80");
	expect_took(ATTEMPT_NS + ROUND_TRIP_NS);
	CHECK_EQ(world.accepted[1], 1);
	end();
}

/* The error names each address, with its own reason. */
TEST(sim_names_all_addresses_fail)
{
	static const struct place places[HOSTS_MAX] = {
		{ "2001:db8::1", REFUSES },
		{ "10.0.0.1", REFUSES },
		{ "2001:db8::2", REFUSES },
	};
	const struct soq_sim_name how = { .delay_ipv6_ns = MS(400), .delay_ipv4_ns = MS(5) };

	begin(places, &how);
	run();
	ROW("%s", world.error);
	CHECK_ERR(world.rc, -ECONNREFUSED);
	CHECK(strstr(world.error, "([2001:db8::1]:80): Connection refused"));
	CHECK(strstr(world.error, "([2001:db8::2]:80): Connection refused"));
	CHECK(strstr(world.error, "(10.0.0.1:80): Connection refused"));
	/* IPv4 at 55 ms, IPv6 when its addresses come, the second after the first. */
	expect_took(MS(400) + 2 * ROUND_TRIP_NS);
	end();
}

/* To an address that nobody has, the own kernel says so after three seconds. */
TEST(sim_names_address_of_nobody)
{
	static const struct place places[HOSTS_MAX] = { { "2001:db8::1", REFUSES } };
	const struct soq_sim_name how = { .addresses = "2001:db8::1 192.0.2.1" };

	begin(places, &how);
	run();
	ROW("%s", world.error);
	CHECK_ERR(world.rc, -EHOSTUNREACH);
	CHECK(strstr(world.error, "([2001:db8::1]:80): Connection refused"));
	CHECK(strstr(world.error, "(192.0.2.1:80): No route to host"));
	CHECK(world.took_ns >= 3 * SOQ_S && world.took_ns < 4 * SOQ_S);
	end();
}

TEST(sim_names_no_addresses)
{
	static const struct {
		const char *what;
		struct soq_sim_name how;
		int rc;
		int64_t took_ns;
	} rows[] = {
		{ "no such name",
			{ .delay_ipv4_ns = MS(5),
				.delay_ipv6_ns = MS(9),
				.error_ipv4 = -SOQ_ENONAME,
				.error_ipv6 = -SOQ_ENONAME },
			-SOQ_ENONAME, MS(9) },
		{ "no address",
			{ .addresses = "", .delay_ipv4_ns = MS(9), .delay_ipv6_ns = MS(5) },
			-SOQ_ENORECORD, MS(9) },
		{ "no address, no such IPv6",
			{ .addresses = "",
				.delay_ipv4_ns = MS(5),
				.delay_ipv6_ns = MS(9),
				.error_ipv6 = -SOQ_ENONAME },
			-SOQ_ENORECORD, MS(9) },
		{ "both fail",
			{ .delay_ipv4_ns = MS(9),
				.delay_ipv6_ns = MS(5),
				.error_ipv4 = -SOQ_ENAMEFAIL,
				.error_ipv6 = -SOQ_ENAMEFAIL },
			-SOQ_ENAMEFAIL, MS(9) },
		{ "no IPv6, IPv4 fails",
			{ .addresses = "10.0.0.1",
				.delay_ipv4_ns = MS(9),
				.delay_ipv6_ns = MS(5),
				.error_ipv4 = -SOQ_ENAMEFAIL },
			-SOQ_ENAMEFAIL, MS(9) },
		{ "no answer", { .delay_ipv4_ns = SOQ_NEVER, .delay_ipv6_ns = SOQ_NEVER },
			-SOQ_ENAMEWAIT, 15 * SOQ_S },
	};
	static const struct place places[HOSTS_MAX] = { { "2001:db8::1", ANSWERS },
		{ "10.0.0.1", ANSWERS } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(places, &rows[i].how);
		run();
		ROW("%s: %d after %lld ns, %s", rows[i].what, world.rc,
			(long long)world.took_ns, world.error);
		CHECK_ERR(world.rc, rows[i].rc);
		CHECK(strstr(world.error, "tcp://www.it:80"));
		expect_took(rows[i].took_ns);
		end();
	}
}

/* Whatever is waited for, the caller's deadline comes when it comes, and says what there was.
 */
TEST(sim_names_deadline)
{
	static const struct {
		const char *what;
		struct soq_sim_name how;
		int64_t deadline_ns;
		const char *says;
	} rows[] = {
		{ "no answer", { .delay_ipv4_ns = SOQ_NEVER, .delay_ipv6_ns = SOQ_NEVER },
			MS(300), "tcp://www.it:80" },
		{ "after a second question",
			{ .delay_ipv4_ns = SOQ_NEVER, .delay_ipv6_ns = SOQ_NEVER }, MS(6000),
			"tcp://www.it:80" },
		{ "while IPv6 is waited for",
			{ .delay_ipv4_ns = MS(5), .delay_ipv6_ns = SOQ_NEVER }, MS(30),
			"tcp://www.it:80" },
		{ "while IPv4 connects", { .delay_ipv4_ns = MS(5), .delay_ipv6_ns = SOQ_NEVER },
			MS(300), "(10.0.0.1:80): no answer yet" },
		{ "while both connect", { .delay_ipv4_ns = MS(5), .delay_ipv6_ns = MS(5) },
			MS(300),
			"([2001:db8::1]:80): no answer yet; (10.0.0.1:80): no answer yet" },
		{ "before the next address", { .delay_ipv4_ns = MS(5), .delay_ipv6_ns = MS(5) },
			MS(100),
			"([2001:db8::1]:80): no answer yet; (10.0.0.1:80): not tried" },
	};
	static const struct place places[HOSTS_MAX] = { { "2001:db8::1", SILENT },
		{ "10.0.0.1", SILENT } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(places, &rows[i].how);
		world.deadline_ns = rows[i].deadline_ns;
		run();
		ROW("%s: %d after %lld ns, %s", rows[i].what, world.rc,
			(long long)world.took_ns, world.error);
		CHECK_ERR(world.rc, -ETIMEDOUT);
		CHECK(strstr(world.error, rows[i].says));
		expect_took(rows[i].deadline_ns);
		end();
	}
}

TEST(sim_names_cancelled)
{
	static const int64_t after_ns[] = { MS(1), MS(30), MS(60), MS(300), 7 * SOQ_S };
	static const struct place places[HOSTS_MAX] = { { "2001:db8::1", SILENT },
		{ "10.0.0.1", SILENT } };
	static const struct soq_sim_name hows[] = {
		{ .delay_ipv4_ns = SOQ_NEVER, .delay_ipv6_ns = SOQ_NEVER },
		{ .delay_ipv4_ns = MS(5), .delay_ipv6_ns = SOQ_NEVER },
		{ .delay_ipv4_ns = MS(5), .delay_ipv6_ns = MS(5) },
	};

	for (size_t i = 0; i < sizeof(after_ns) / sizeof(after_ns[0]); i++)
		for (size_t k = 0; k < sizeof(hows) / sizeof(hows[0]); k++) {
			begin(places, &hows[k]);
			world.cancel_ns = after_ns[i];
			run();
			ROW("after %lld, row %zu: %d after %lld ns", (long long)after_ns[i], k,
				world.rc, (long long)world.took_ns);
			CHECK_ERR(world.rc, -ECANCELED);
			expect_took(after_ns[i] - EXACT_NS / 2);
			end();
		}
}

/* ---- other calls ---- */

static void run_program(soq_sim_main *program)
{
	CHECK_OK(soq_sim_spawn(world.client, program, NULL));
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	end();
}

static const struct place two_places[HOSTS_MAX] = { { "10.0.0.1", ANSWERS },
	{ "2001:db8::1", ANSWERS } };

/* soq_resolve() is for both families: it takes as long as the slower. */
static int resolve_main(void *arg)
{
	struct soq_addrs addrs;
	char text[SOQ_ADDR_TEXT_MAX];
	int64_t began_ns = soq_now();

	(void)arg;
	CHECK_OK(soq_resolve(&addrs, "tcp://www.it:80"));
	world.took_ns = soq_now() - began_ns;
	expect_took(MS(120));
	CHECK_EQ(addrs.count, 2);
	soq_addr_format(text, sizeof text, &addrs.list[0]);
	CHECK_STR(text, "[2001:db8::1]:80");
	soq_addr_format(text, sizeof text, &addrs.list[1]);
	CHECK_STR(text, "10.0.0.1:80");
	soq_addrs_done(&addrs);
	return 0;
}

TEST(sim_names_resolve_both)
{
	const struct soq_sim_name how = { .delay_ipv4_ns = MS(5), .delay_ipv6_ns = MS(120) };

	begin(two_places, &how);
	run_program(resolve_main);
}

/* What was answered is kept for its minute, and what is asked for together is asked once. */
static int cache_main(void *arg)
{
	const struct soq_sim_name other = {
		.addresses = "192.0.2.1", .delay_ipv4_ns = MS(5), .delay_ipv6_ns = MS(5)
	};
	struct soq_addrs addrs;
	int64_t began_ns;

	(void)arg;
	for (int turn = 0; turn < 3; turn++) {
		ROW("turn %d", turn);
		began_ns = soq_now();
		CHECK_OK(soq_resolve(&addrs, "tcp://www.it:80"));
		world.took_ns = soq_now() - began_ns;
		expect_took(turn == 1 ? 0 : MS(5));
		CHECK_EQ(addrs.count, turn < 2 ? 2 : 1);
		soq_addrs_done(&addrs);
		CHECK_OK(soq_sim_name(world.sim, "www.it", &other));
		CHECK_OK(soq_sleep(turn == 0 ? 59 * SOQ_S : 2 * SOQ_S));
	}
	return 0;
}

TEST(sim_names_kept_for_a_minute)
{
	const struct soq_sim_name how = { .delay_ipv4_ns = MS(5), .delay_ipv6_ns = MS(5) };

	begin(two_places, &how);
	run_program(cache_main);
}

static int query_main(void *arg)
{
	struct soq_records records = { 0 };
	struct soq_addrs addrs;
	char name[256];

	(void)arg;
	CHECK_OK(soq_query(&records, "www.it", SOQ_RECORD_A));
	CHECK_EQ(records.count, 1);
	CHECK_EQ(records.list[0].ttl_s, 60);
	CHECK_STR(records.list[0].owner, "www.it");
	soq_records_done(&records);
	CHECK_ERR(soq_query(&records, "host1", SOQ_RECORD_A), -SOQ_ENORECORD);
	CHECK_ERR(soq_query(&records, "nobody.it", SOQ_RECORD_A), -SOQ_ENONAME);
	CHECK_ERR(soq_query(&records, "www.it", SOQ_RECORD_MX), -SOQ_ESIMULATED);
	CHECK(*soq_last_error());
	CHECK_OK(soq_query(&records, "10.0.0.1", SOQ_RECORD_PTR));
	CHECK_STR(records.list[0].text, "host0");
	soq_records_done(&records);

	CHECK_OK(soq_resolve(&addrs, "tcp://host1:80"));
	CHECK_OK(soq_reverse(name, sizeof name, &addrs.list[0]));
	CHECK_STR(name, "host1");
	soq_addrs_done(&addrs);
	CHECK_OK(soq_resolve(&addrs, "tcp://192.0.2.1:80"));
	CHECK_ERR(soq_reverse(name, sizeof name, &addrs.list[0]), -SOQ_ENONAME);
	soq_addrs_done(&addrs);
	return 0;
}

TEST(sim_names_records)
{
	begin(two_places, NULL);
	run_program(query_main);
}
