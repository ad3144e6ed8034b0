/* link_wire.c - what befalls packets on their way: latency, order, loss, duplication,
 * corruption, fragments, partitions.
 *
 * Datagrams carry their place in the order of sending; a socket of host b's is looked at after
 * each event, so that instants are those of arrival.
 */
#include "sim/model.h"
#include "sim/link.h"

#include <stdio.h>

#define PORT	    9
#define PACKETS	    20000
#define MARK_BYTES  4 /* of the place, in each datagram */
#define TOTAL_BYTES (SOQ__SIM_IP4_HEADER + SOQ__SIM_UDP_HEADER)

struct arrival {
	uint32_t place;
	int64_t at_ns;
};

static struct arrival arrivals[2 * PACKETS];
static int64_t sent_ns[PACKETS];
static uint32_t sent, arrived;
static struct soq__sim_socket *receiver;
static char data[65536];

static void open_wire(uint64_t seed, struct soq_sim_link link)
{
	world_open_link(seed, link);
	receiver = udp(host_b, AF_INET6);
	CHECK_OK(bind_now(receiver, at("::", PORT)));
	sent = arrived = 0;
}

static struct soq__sim_packet *packet(
	struct soq_sim_host *from, struct soq_sim_host *to, uint8_t protocol, size_t len)
{
	struct soq__sim_addr src = from->addresses[0], dst = to->addresses[0];
	struct soq__sim_packet *p;

	src.port = dst.port = PORT;
	p = soq__sim_packet_new(from, protocol, &src, &dst, len);
	memset(p->data, 0, len);
	return p;
}

/* From a to b, so many bytes after the headers. */
static void put(size_t len)
{
	struct soq__sim_packet *p = packet(host_a, host_b, IPPROTO_UDP, len);

	CHECK(sent < PACKETS);
	memcpy(p->data, &sent, MARK_BYTES);
	sent_ns[sent++] = sim->now_ns;
	soq__sim_send(p);
}

static void look(void)
{
	int64_t n;

	while ((n = recv_now(receiver, data, sizeof(data))) >= MARK_BYTES) {
		CHECK(arrived < 2 * PACKETS);
		memcpy(&arrivals[arrived].place, data, MARK_BYTES);
		arrivals[arrived++].at_ns = sim->now_ns;
	}
	CHECK_EQ(n, -EAGAIN);
}

static void let_pass(int64_t ns)
{
	int64_t until_ns = sim->now_ns + ns;

	while (soq__sim_step(sim, until_ns))
		look();
	sim->now_ns = until_ns;
}

/* Send packets of the same size in even intervals, and wait for the last. */
static void put_all(uint32_t count, int64_t every_ns)
{
	for (uint32_t i = 0; i < count; i++) {
		put(MARK_BYTES);
		let_pass(every_ns);
	}
	let_pass(10 * SOQ_S);
}

static int64_t delay_of(const struct arrival *a)
{
	return a->at_ns - sent_ns[a->place];
}

/* ---- when ---- */

TEST(sim_link_latency_exact)
{
	open_wire(1, (struct soq_sim_link){ .latency_ns = 12345678 });
	put_all(10, SOQ_US);
	CHECK_EQ(arrived, 10);
	for (uint32_t i = 0; i < arrived; i++)
		CHECK_EQ(delay_of(&arrivals[i]), 12345678);
	world_close();
}

/* Packets that are far apart have all delays of the span, evenly; those that are near wait for
 * each other. */
TEST(sim_link_jitter_keeps_order)
{
	static const struct {
		int64_t every_ns, least_mean_ns, most_mean_ns;
	} rows[] = {
		{ 21 * SOQ_MS, 14800 * SOQ_US, 15200 * SOQ_US },
		{ 100 * SOQ_US, 20 * SOQ_MS, 25 * SOQ_MS },
	};
	enum { COUNT = 5000 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t sum = 0;

		ROW("a packet every %lld us", (long long)(rows[i].every_ns / SOQ_US));
		open_wire(1,
			(struct soq_sim_link){
				.latency_ns = 5 * SOQ_MS, .jitter_ns = 20 * SOQ_MS });
		put_all(COUNT, rows[i].every_ns);
		CHECK_EQ(arrived, COUNT);
		for (uint32_t k = 0; k < COUNT; k++) {
			int64_t delay = delay_of(&arrivals[k]);

			CHECK_EQ(arrivals[k].place, k);
			CHECK(delay >= 5 * SOQ_MS && delay <= 25 * SOQ_MS);
			sum += delay;
		}
		CHECK(sum / COUNT > rows[i].least_mean_ns);
		CHECK(sum / COUNT < rows[i].most_mean_ns);
		world_close();
	}
}

/* Those that are held back come later than they would, but not much, and are overtaken. */
TEST(sim_link_reorder)
{
	uint32_t held = 0, inversions = 0;

	open_wire(1, (struct soq_sim_link){ .reorder_ppm = 100000, .reorder_ns = 3 * SOQ_MS });
	put_all(PACKETS, 100 * SOQ_US);
	CHECK_EQ(arrived, PACKETS);
	for (uint32_t i = 0; i < arrived; i++) {
		int64_t delay = delay_of(&arrivals[i]);

		held += delay != SOQ_MS;
		CHECK(delay >= SOQ_MS && delay <= 4 * SOQ_MS);
		inversions += i > 0 && arrivals[i].place < arrivals[i - 1].place;
	}
	ROW("%u held back, %u inversions", held, inversions);
	CHECK(held > PACKETS / 10 - 200 && held < PACKETS / 10 + 200);
	CHECK(inversions > held / 2 && inversions <= held);
	world_close();
}

/* A link that has become faster does not let packets overtake those under way. */
TEST(sim_link_changed_keeps_order)
{
	const struct soq_sim_link fast = { .latency_ns = SOQ_MS };

	open_wire(1, (struct soq_sim_link){ .latency_ns = 10 * SOQ_MS });
	put(MARK_BYTES);
	let_pass(2 * SOQ_MS);
	CHECK_OK(soq_sim_link(host_a, host_b, &fast));
	put(MARK_BYTES);
	let_pass(8 * SOQ_MS);
	put(MARK_BYTES);
	let_pass(SOQ_S);
	CHECK_EQ(arrived, 3);
	CHECK_EQ(arrivals[0].at_ns, 10 * SOQ_MS);
	CHECK_EQ(arrivals[1].place, 1);
	CHECK_EQ(arrivals[1].at_ns, 10 * SOQ_MS);
	CHECK_EQ(arrivals[2].at_ns, 11 * SOQ_MS);
	world_close();
}

/* ---- how many ---- */

/* A copy keeps the order as well as what it is one of. */
TEST(sim_link_duplicate)
{
	uint32_t copies = 0;

	open_wire(1, (struct soq_sim_link){ .duplicate_ppm = 200000, .jitter_ns = SOQ_MS });
	put_all(PACKETS, 10 * SOQ_US);
	for (uint32_t i = 1; i < arrived; i++) {
		uint32_t step = arrivals[i].place - arrivals[i - 1].place;

		CHECK(step <= 1);
		copies += step == 0;
	}
	CHECK_EQ(arrived, PACKETS + copies);
	ROW("%u copies of %d", copies, PACKETS);
	CHECK(copies > PACKETS / 5 - 200 && copies < PACKETS / 5 + 200);
	world_close();
}

TEST(sim_link_loss)
{
	open_wire(1, (struct soq_sim_link){ .loss_ppm = 30000 });
	put_all(PACKETS, SOQ_US);
	ROW("%u of %d lost", fates[SOQ__SIM_LOST], PACKETS);
	CHECK_EQ(fates[SOQ__SIM_LOST] + arrived, PACKETS);
	CHECK(fates[SOQ__SIM_LOST] > 540 && fates[SOQ__SIM_LOST] < 660);
	world_close();
}

/* The n-th packet of each direction, and no other. */
TEST(sim_link_lose_nth)
{
	open_wire(1, (struct soq_sim_link){ .lose_nth = 3 });
	put_all(5, SOQ_US);
	CHECK_EQ(fates[SOQ__SIM_LOST_NTH], 1);
	CHECK_EQ(arrived, 4);
	CHECK_EQ(arrivals[1].place, 1);
	CHECK_EQ(arrivals[2].place, 3);
	for (unsigned i = 0; i < 5; i++) {
		soq__sim_send(packet(host_b, host_a, IPPROTO_TCP, 0));
		CHECK_EQ(fates[SOQ__SIM_LOST_NTH], 1 + (i >= 2));
	}
	world_close();
}

/* One packet in 100 begins a burst that ends with one in 5, so 1 in 21 is lost, 5 at a time. */
TEST(sim_link_bursts)
{
	uint32_t lost, bursts = 0, next = 0;

	open_wire(1,
		(struct soq_sim_link){ .burst_enter_ppm = 10000, .burst_leave_ppm = 200000 });
	put_all(PACKETS, SOQ_US);
	for (uint32_t i = 0; i < arrived; i++) {
		bursts += arrivals[i].place != next;
		next = arrivals[i].place + 1;
	}
	lost = PACKETS - arrived;
	ROW("%u lost in %u bursts", lost, bursts);
	CHECK_EQ(fates[SOQ__SIM_LOST], lost);
	CHECK(lost > PACKETS / 21 * 8 / 10 && lost < PACKETS / 21 * 12 / 10);
	CHECK(lost > 4 * bursts && lost < 6 * bursts);
	world_close();
}

/* In a burst some may get through. */
TEST(sim_link_bursts_partial)
{
	open_wire(1,
		(struct soq_sim_link){ .burst_enter_ppm = SOQ_PPM_ONE,
			.burst_leave_ppm = 0,
			.burst_loss_ppm = 400000 });
	put_all(PACKETS, SOQ_US);
	CHECK(arrived > PACKETS * 58 / 100 && arrived < PACKETS * 62 / 100);
	world_close();
}

/* What one kind of trouble does to a packet does not depend on whether there are others. */
TEST(sim_link_troubles_are_apart)
{
	static bool lost[2][1000];

	for (int i = 0; i < 2; i++) {
		struct soq_sim_link link = { .loss_ppm = 100000 };

		if (i == 1) {
			link.jitter_ns = SOQ_MS;
			link.duplicate_ppm = 300000;
			link.reorder_ppm = 300000;
		}
		open_wire(7, link);
		put_all(1000, 5 * SOQ_US);
		memset(lost[i], 1, sizeof(lost[i]));
		for (uint32_t k = 0; k < arrived; k++)
			lost[i][arrivals[k].place] = false;
		CHECK(arrived > 800);
		world_close();
	}
	CHECK_MEM(lost[0], lost[1], sizeof(lost[0]));
}

/* ---- what ---- */

/* Every bit of a datagram is as likely as any other to be the one that changes. */
TEST(sim_link_corrupts_one_bit)
{
	enum { LEN = 4, COUNT = 6400 };
	unsigned changed[8 * LEN] = { 0 };
	char got[LEN], zero[LEN] = { 0 };

	open_wire(1, (struct soq_sim_link){ .corrupt_ppm = SOQ_PPM_ONE });
	for (int i = 0; i < COUNT; i++) {
		unsigned bits = 0;

		soq__sim_send(packet(host_a, host_b, IPPROTO_UDP, LEN));
		pass(2 * SOQ_MS);
		CHECK_EQ(recv_now(receiver, got, LEN), LEN);
		for (int k = 0; k < 8 * LEN; k++) {
			if (((got[k / 8] ^ zero[k / 8]) >> k % 8 & 1) == 0)
				continue;
			bits++;
			changed[k]++;
		}
		CHECK_EQ(bits, 1);
	}
	for (int k = 0; k < 8 * LEN; k++)
		CHECK(changed[k] > 150 && changed[k] < 250);
	world_close();
}

/* TCP's checksum never holds by chance, and what has no bytes has none to change. */
TEST(sim_link_corruption_by_protocol)
{
	char byte;

	open_wire(1, (struct soq_sim_link){ .corrupt_ppm = SOQ_PPM_ONE });
	soq__sim_send(packet(host_a, host_b, IPPROTO_TCP, 8));
	CHECK_EQ(fates[SOQ__SIM_LOST], 1);
	soq__sim_send(packet(host_a, host_b, IPPROTO_UDP, 0));
	pass(2 * SOQ_MS);
	CHECK_EQ(recv_now(receiver, &byte, 1), 0);
	world_close();
}

/* A datagram is lost with any of its fragments, of which each has its own chance. */
TEST(sim_link_fragments)
{
	static const struct {
		const char *what;
		size_t address, len, parts; /* of the hosts' first address, or the second */
	} rows[] = {
		{ "the largest that is whole", 0, 1472, 1 },
		{ "a byte more", 0, 1473, 2 },
		{ "ten of IPv4", 0, 10 * 1480 - 8, 10 },
		{ "eleven of IPv4", 0, 10 * 1480 - 7, 11 },
		{ "the largest that is whole, of IPv6", 1, 1452, 1 },
		{ "ten of IPv6", 1, 10 * 1448 - 8, 10 },
		{ "eleven of IPv6", 1, 10 * 1448 - 7, 11 },
	};
	enum { COUNT = 2000 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double gets_through = 1, off;

		/* All draws are those of the same packet numbers, so a part more loses more. */
		open_wire(1, (struct soq_sim_link){ .loss_ppm = 50000 });
		for (size_t k = 0; k < rows[i].parts; k++)
			gets_through *= 0.95;
		for (int k = 0; k < COUNT; k++) {
			struct soq__sim_packet *p =
				packet(host_a, host_b, IPPROTO_UDP, rows[i].len);

			p->dst = host_b->addresses[rows[i].address];
			p->dst.port = PORT;
			soq__sim_send(p);
			pass(2 * SOQ_MS);
		}
		off = (COUNT - fates[SOQ__SIM_LOST]) / (COUNT * gets_through);
		ROW("%s: %u of %d lost", rows[i].what, fates[SOQ__SIM_LOST], COUNT);
		CHECK(off > 0.96 && off < 1.04);
		world_close();
	}
}

/* TCP's segments are never cut: the sender is told. */
TEST(sim_link_mtu_of_tcp)
{
	static const struct {
		size_t len;
		enum soq__sim_fate fate;
	} rows[] = { { 1460, SOQ__SIM_ARRIVES }, { 1461, SOQ__SIM_TOO_BIG } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%zu bytes", rows[i].len);
		open_wire(1, (struct soq_sim_link){ 0 });
		soq__sim_send(packet(host_a, host_b, IPPROTO_TCP, rows[i].len));
		CHECK_EQ(fates[rows[i].fate], 1);
		world_close();
	}
}

/* ---- whether ---- */

TEST(sim_link_partitions_add_up)
{
	open_wire(1, (struct soq_sim_link){ 0 });
	CHECK_OK(soq_sim_partition(host_a, host_b));
	CHECK_OK(soq_sim_partition_one(host_a, host_b));
	put(MARK_BYTES);
	soq__sim_send(packet(host_b, host_a, IPPROTO_UDP, 0));
	CHECK_EQ(fates[SOQ__SIM_PARTITIONED], 2);
	CHECK_OK(soq_sim_heal(host_b, host_a)); /* whatever blocks it, in both directions */
	put(MARK_BYTES);
	let_pass(SOQ_S);
	CHECK_EQ(arrived, 1);
	CHECK_OK(soq_sim_partition_one(host_b, host_a));
	put(MARK_BYTES);
	soq__sim_send(packet(host_b, host_a, IPPROTO_UDP, 0));
	let_pass(SOQ_S);
	CHECK_EQ(arrived, 2);
	CHECK_EQ(fates[SOQ__SIM_PARTITIONED], 3);
	world_close();
}

/* What is under way when a partition begins has passed already. */
TEST(sim_link_partition_spares_what_is_under_way)
{
	open_wire(1, (struct soq_sim_link){ 0 });
	put(MARK_BYTES);
	CHECK_OK(soq_sim_partition(host_a, host_b));
	let_pass(SOQ_S);
	CHECK_EQ(arrived, 1);
	world_close();
}

TEST(sim_link_host_down)
{
	open_wire(1, (struct soq_sim_link){ 0 });
	put(MARK_BYTES);
	CHECK_OK(soq_sim_crash(host_b)); /* and the receiver with it */
	CHECK_EQ(soq_sim_crash(host_b), -EHOSTDOWN);
	CHECK_EQ(fates[SOQ__SIM_HOST_DOWN], 0);
	pass(SOQ_S);
	CHECK_EQ(fates[SOQ__SIM_HOST_DOWN], 1);
	CHECK_OK(soq_sim_restart(host_b));
	CHECK_EQ(soq_sim_restart(host_b), -EALREADY);
	receiver = udp(host_b, AF_INET6);
	CHECK_OK(bind_now(receiver, at("::", PORT)));
	put(MARK_BYTES);
	let_pass(SOQ_S);
	CHECK_EQ(arrived, 1);
	world_close();
}

/* A host's own address, and 127.0.0.1, go by its loopback link, whatever the others do. */
TEST(sim_link_loopback)
{
	static const char *const to[] = { "10.0.0.2", "127.0.0.1", "127.8.8.8" };

	open_wire(1, (struct soq_sim_link){ .loss_ppm = SOQ_PPM_ONE });
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		struct soq__sim_packet *p = packet(host_b, host_b, IPPROTO_UDP, MARK_BYTES);
		struct soq_addr addr = at(to[i], PORT);
		int64_t from_ns = sim->now_ns;

		CHECK_OK(soq__sim_addr_from(&p->dst, &addr));
		soq__sim_send(p);
		let_pass(SOQ_S);
		CHECK_EQ(arrived, i + 1);
		CHECK_EQ(arrivals[i].at_ns - from_ns, 10 * SOQ_US);
	}
	world_close();
}

/* Every pair of hosts has its own two directions. */
TEST(sim_link_many_directions)
{
	enum { HOSTS = 60 };
	struct soq_sim_host *hosts[HOSTS];
	char name[16];

	world_open(1, NULL);
	for (unsigned i = 0; i < HOSTS; i++) {
		snprintf(name, sizeof(name), "h%u", i);
		CHECK_OK(soq_sim_host_new(&hosts[i], sim, name, NULL));
	}
	for (unsigned i = 0; i < HOSTS; i++)
		for (unsigned k = 0; k < HOSTS; k++)
			for (unsigned n = 0; n <= (i * 7 + k) % 3; n++)
				soq__sim_send(packet(hosts[i], hosts[k], IPPROTO_UDP, 0));
	for (unsigned i = 0; i < HOSTS; i++) {
		CHECK_EQ(hosts[i]->link_count, HOSTS);
		for (unsigned k = 0; k < HOSTS; k++)
			CHECK_EQ(soq__sim_link_of(hosts[i], hosts[k])->packets,
				(i * 7 + k) % 3 + 1);
	}
	pass_all();
	CHECK_EQ(soq__sim_link_bytes(hosts[7]), 0);
	world_close();
}

/* The census counts what is on the wire, headers included. */
TEST(sim_link_bytes_under_way)
{
	open_wire(1, (struct soq_sim_link){ 0 });
	put(100);
	put(200);
	CHECK_EQ(soq__sim_link_bytes(host_b), 2 * TOTAL_BYTES + 300);
	CHECK_EQ(soq__sim_link_bytes(host_a), 0);
	let_pass(SOQ_S);
	CHECK_EQ(soq__sim_link_bytes(host_b), 0);
	world_close();
}
