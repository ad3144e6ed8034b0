/* sim_host.c - what a world and a host can be made of, and what is refused with a sentence. */
#include "sim/model.h"

#include <stdio.h>

/* ---- the seed ---- */

TEST(sim_world_seed_text)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t seed;
	} rows[] = {
		{ "0", 0, 0 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "0xfF", 0, 255 },
		{ "18446744073709551616", -EINVAL, 0 },
		{ "0x10000000000000000", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "0x", -EINVAL, 0 },
		{ "12x", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("'%s'", rows[i].text);
		setenv("SOQUETE_SEED", rows[i].text, 1);
		CHECK_EQ(soq_sim_new(&sim, 7, NULL), rows[i].rc);
		if (rows[i].rc < 0) {
			CHECK(strstr(soq_last_error(), "SOQUETE_SEED"));
			continue;
		}
		CHECK_EQ(soq_sim_seed(sim), rows[i].seed);
		CHECK_EQ(soq_sim_any_seed(), rows[i].seed);
		soq_sim_free(sim);
	}
}

/* Without it, the caller's holds, and one that is drawn is short enough to be typed. */
TEST(sim_world_seed_absent)
{
	unsetenv("SOQUETE_SEED");
	CHECK_OK(soq_sim_new(&sim, 7, NULL));
	CHECK_EQ(soq_sim_seed(sim), 7);
	soq_sim_free(sim);
	CHECK(soq_sim_any_seed() <= UINT32_MAX);
	CHECK(soq_sim_any_seed() != soq_sim_any_seed() ||
		soq_sim_any_seed() != soq_sim_any_seed());
}

/* ---- options ---- */

TEST(sim_world_bad_options)
{
	static const struct {
		struct soq_sim_options opt;
		const char *tells;
	} rows[] = {
		{ { .link = { .loss_ppm = SOQ_PPM_ONE + 1 } }, "loss_ppm" },
		{ { .link = { .burst_enter_ppm = SOQ_PPM_ONE + 1 } }, "burst_enter_ppm" },
		{ { .link = { .corrupt_ppm = UINT32_MAX } }, "corrupt_ppm" },
		{ { .link = { .latency_ns = -1 } }, "latency_ns" },
		{ { .link = { .jitter_ns = INT64_MAX } }, "jitter_ns" },
		{ { .link = { .reorder_ns = -1 } }, "reorder_ns" },
		{ { .link = { .mtu = 575 } }, "mtu" },
		{ { .loopback = { .mtu = 65536 } }, "mtu" },
		{ { .loopback = { .latency_ns = -1 } }, "the loopback" },
		{ { .buffer_bytes = 1023 }, "buffer" },
		{ { .buffer_bytes = SIZE_MAX }, "buffer" },
		{ { .stack_bytes = 1 }, "stack" },
		{ { .descriptors_max = UINT32_MAX }, "descriptors" },
	};

	unsetenv("SOQUETE_SEED");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("row %zu, %s", i, rows[i].tells);
		CHECK_EQ(soq_sim_new(&sim, 1, &rows[i].opt), -EINVAL);
		CHECK(strstr(soq_last_error(), rows[i].tells));
	}
}

/* Zero stands for defaults, of which some follow others. */
TEST(sim_world_defaults)
{
	const struct soq_sim_options opt = { .link = { .latency_ns = 7, .mtu = 600 } };

	world_open(1, NULL);
	CHECK_EQ(sim->opt.link.latency_ns, SOQ_MS);
	CHECK_EQ(sim->opt.link.mtu, 1500);
	CHECK_EQ(sim->opt.link.burst_bytes, 1500);
	CHECK_EQ(sim->opt.link.queue_bytes, 256 * 1024);
	CHECK_EQ(sim->opt.link.reorder_ns, 4 * SOQ_MS);
	CHECK_EQ(sim->opt.loopback.latency_ns, 10 * SOQ_US);
	CHECK_EQ(sim->opt.loopback.mtu, 65535);
	CHECK_EQ(sim->opt.buffer_bytes, 128 * 1024);
	world_close();
	world_open(1, &opt);
	CHECK_EQ(sim->opt.link.burst_bytes, 600);
	CHECK_EQ(sim->opt.link.reorder_ns, 28);
	world_close();
}

/* ---- hosts ---- */

TEST(sim_host_bad_address)
{
	static const struct {
		const char *addresses;
		int rc;
	} rows[] = {
		{ "foo", -EINVAL },
		{ "10.0.0", -EINVAL },
		{ "", -EINVAL },
		{ " ", -EINVAL },
		{ "127.0.0.1", -EINVAL },
		{ "::1", -EINVAL },
		{ "0.0.0.0", -EINVAL },
		{ "::", -EINVAL },
		{ "224.0.0.1", -EINVAL },
		{ "ff02::1", -EINVAL },
		{ "255.255.255.255", -EINVAL },
		{ "169.254.1.1", -EINVAL },
		{ "fe80::1", -EINVAL },
		{ "10.0.0.2", -EEXIST },
		{ "192.0.2.1 ::ffff:10.0.0.2", -EEXIST },
		{ "192.0.2.1 192.0.2.1", -EEXIST },
	};
	struct soq_sim_host *host = NULL;

	world_open(1, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("'%s'", rows[i].addresses);
		CHECK_EQ(soq_sim_host_new(&host, sim, "x", rows[i].addresses), rows[i].rc);
		CHECK(strstr(soq_last_error(), "simulated host") ||
			strstr(soq_last_error(), "no address of"));
	}
	CHECK(!host);
	CHECK(!soq_sim_host_find(sim, "x"));
	CHECK_OK(soq_sim_host_new(&host, sim, "x", " 192.0.2.1\t2001:db8::1 "));
	CHECK_EQ(host->address_count, 2);
	world_close();
}

TEST(sim_host_bad_name)
{
	static const struct {
		const char *name;
		int rc;
	} rows[] = {
		{ "", -EINVAL },
		{ "a b", -EINVAL },
		{ "a:1", -EINVAL },
		{ "a\"", -EINVAL },
		{ "\xc3\xa4", -EINVAL },
		{ "localhost", -EINVAL },
		{ "1.2.3.4", -EINVAL },
		{ "a", -EEXIST },
	};
	struct soq_sim_host *host;

	world_open(1, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("'%s'", rows[i].name);
		CHECK_EQ(soq_sim_host_new(&host, sim, rows[i].name, NULL), rows[i].rc);
	}
	CHECK_OK(soq_sim_host_new(&host, sim, "db-1.example_2", NULL));
	CHECK_STR(soq_sim_host_name(host), "db-1.example_2");
	CHECK(soq_sim_of(host) == sim);
	world_close();
}

/* Addresses that are counted leave out those that are taken, and go beyond a byte. */
TEST(sim_host_many)
{
	enum { HOSTS = 1000 };
	struct soq_sim_host *hosts[HOSTS];
	char name[16];

	world_open(1, NULL);
	for (unsigned i = 0; i < HOSTS; i++) {
		snprintf(name, sizeof(name), "h%u", i);
		CHECK_OK(soq_sim_host_new(&hosts[i], sim, name, NULL));
	}
	for (unsigned i = 0; i < HOSTS; i++) {
		const uint8_t *four = hosts[i]->addresses[0].ip + 12;
		const uint8_t *six = hosts[i]->addresses[1].ip;
		/* 10.0.0.1 and 10.0.0.2 are the world's first two. */
		unsigned n = i + 3;

		ROW("host %u", i);
		snprintf(name, sizeof(name), "h%u", i);
		CHECK(soq_sim_host_find(sim, name) == hosts[i]);
		CHECK_MEM(four, ((uint8_t[]){ 10, 0, (uint8_t)(n >> 8), (uint8_t)n }), 4);
		CHECK_EQ(six[0], 0xfd);
		CHECK_MEM(six + 14, four + 2, 2);
		CHECK(soq__sim_host_of(sim, &hosts[i]->addresses[0]) == hosts[i]);
		CHECK(soq__sim_host_of(sim, &hosts[i]->addresses[1]) == hosts[i]);
	}
	CHECK(!soq_sim_host_find(sim, "h1000"));
	world_close();
}

static struct soq__sim_addr internal(const char *ip)
{
	struct soq_addr addr = at(ip, 0);
	struct soq__sim_addr ret;

	CHECK_OK(soq__sim_addr_from(&ret, &addr));
	return ret;
}

/* To itself a host speaks from the very address, to others from the first of the family. */
TEST(sim_host_source)
{
	static const struct {
		const char *to, *from; /* NULL: there is none */
	} rows[] = {
		{ "10.0.0.9", "192.0.2.1" },
		{ "192.0.2.2", "192.0.2.2" },
		{ "127.0.0.1", "127.0.0.1" },
		{ "127.0.0.9", "127.0.0.1" },
		{ "0.0.0.0", "127.0.0.1" },
		{ "::", "::1" },
		{ "::1", "::1" },
		{ "fd00::2", NULL },
	};
	struct soq_sim_host *host;

	world_open(1, NULL);
	CHECK_OK(soq_sim_host_new(&host, sim, "c", "192.0.2.1 192.0.2.2"));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq__sim_addr to = internal(rows[i].to), from;
		bool found = soq__sim_source_for(host, &to, &from);

		ROW("to %s", rows[i].to);
		CHECK_EQ(found, rows[i].from != NULL);
		if (found) {
			struct soq__sim_addr want = internal(rows[i].from);

			CHECK(soq__sim_same_ip(&from, &want));
			CHECK_EQ(from.port, 0);
		}
	}
	world_close();
}

/* ---- addresses ---- */

/* IPv4 is mapped inside, and shown in the family that was asked for. */
TEST(sim_address_families)
{
	static const struct {
		const char *ip;
		int family;
		const char *shown;
		bool is4, is_any, is_loopback, is_multicast, is_broadcast;
	} rows[] = {
		{ "10.0.0.1", AF_INET, "10.0.0.1:80", .is4 = true },
		{ "10.0.0.1", AF_INET6, "10.0.0.1:80", .is4 = true },
		{ "::ffff:10.0.0.1", AF_INET, "10.0.0.1:80", .is4 = true },
		{ "fd00::1", AF_INET6, "[fd00::1]:80", .is4 = false },
		{ "0.0.0.0", AF_INET, "0.0.0.0:80", .is4 = true, .is_any = true },
		{ "::", AF_INET6, "[::]:80", .is_any = true },
		{ "127.9.9.9", AF_INET, "127.9.9.9:80", .is4 = true, .is_loopback = true },
		{ "::1", AF_INET6, "[::1]:80", .is_loopback = true },
		{ "239.1.2.3", AF_INET, "239.1.2.3:80", .is4 = true, .is_multicast = true },
		{ "ff15::1", AF_INET6, "[ff15::1]:80", .is_multicast = true },
		{ "255.255.255.255", AF_INET, "255.255.255.255:80", .is4 = true,
			.is_broadcast = true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq_addr addr = at(rows[i].ip, 80), shown;
		struct soq__sim_addr inside;

		ROW("%s in family %d", rows[i].ip, rows[i].family);
		CHECK_OK(soq__sim_addr_from(&inside, &addr));
		CHECK_EQ(soq__sim_addr_is4(&inside), rows[i].is4);
		CHECK_EQ(soq__sim_addr_is_any(&inside), rows[i].is_any);
		CHECK_EQ(soq__sim_addr_is_loopback(&inside), rows[i].is_loopback);
		CHECK_EQ(soq__sim_addr_is_multicast(&inside), rows[i].is_multicast);
		CHECK_EQ(soq__sim_addr_is_broadcast(&inside), rows[i].is_broadcast);
		soq__sim_addr_to(&shown, &inside, rows[i].family);
		CHECK_EQ(shown.sa.sa_family, rows[i].family);
		CHECK_STR(addr_text(&shown), rows[i].shown);
	}
}
