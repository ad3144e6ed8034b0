/* link_rate.c - the rate of a link, what waits for it, and CoDel: exact to the nanosecond.
 *
 * Packets leave a link of 1 ns, so that they arrive a nanosecond after the rate lets them go.
 */
#include "sim/model.h"

#define HEADERS	 (SOQ__SIM_IP4_HEADER + SOQ__SIM_UDP_HEADER)
#define LOG_MOST 20000
#define FOR_EVER INT64_C(3600000000000)

/* Packets that left, in their order: by their number on the link, from 1. */
static struct {
	uint64_t number;
	int64_t at_ns;
} left[LOG_MOST];
static size_t left_count;
/* When packets were dropped for having waited too long. */
static int64_t dropped_ns[LOG_MOST];
static size_t dropped_count;
static struct soq__sim_observer meter;

static void measure(struct soq__sim_observer *o, const struct soq__sim_packet *p,
	enum soq__sim_fate fate, int64_t arrives_ns)
{
	(void)o;
	if (fate == SOQ__SIM_CODEL)
		dropped_ns[dropped_count++] = p->from->sim->now_ns;
	if (fate != SOQ__SIM_ARRIVES)
		return;
	CHECK_EQ(arrives_ns, p->from->sim->now_ns + 1);
	left[left_count].number = p->number;
	left[left_count++].at_ns = p->from->sim->now_ns;
}

static void open_link(struct soq_sim_link link)
{
	struct soq__sim_socket *receiver;

	link.latency_ns = 1;
	world_open_link(1, link);
	meter = (struct soq__sim_observer){ .packet = measure, .close = keep_watcher };
	soq__list_append(&sim->observers, &meter.node);
	/* Somebody is to be there, lest each datagram be answered by an error. */
	receiver = udp(host_b, AF_INET);
	CHECK_OK(bind_now(receiver, at("0.0.0.0", 9)));
	left_count = dropped_count = 0;
}

/* A packet of so many bytes, headers included. */
static void put(size_t bytes)
{
	struct soq__sim_addr src = host_a->addresses[0], dst = host_b->addresses[0];
	struct soq__sim_packet *p;

	dst.port = 9;
	p = soq__sim_packet_new(host_a, IPPROTO_UDP, &src, &dst, bytes - HEADERS);
	memset(p->data, 0, bytes - HEADERS);
	soq__sim_send(p);
}

static void put_many(size_t bytes, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		put(bytes);
}

static void check_left(const int64_t *want_ns, size_t count)
{
	CHECK_EQ(left_count, count);
	for (size_t i = 0; i < count; i++) {
		ROW("packet %zu", i);
		CHECK_EQ(left[i].at_ns, want_ns[i]);
	}
}

/* ---- rate and burst ---- */

/* 1,000 bytes a second, and packets of 500 bytes. */
TEST(sim_rate_burst_and_queue)
{
	static const struct {
		const char *what;
		uint64_t burst_bytes, queue_bytes;
		unsigned full; /* of ten that are sent at once */
		size_t count;
		int64_t at_ms[10];
	} rows[] = {
		{ "an MTU at once", 0, 2000, 3, 7, { 0, 0, 0, 500, 1000, 1500, 2000 } },
		{ "less than a packet", 1, 1000, 8, 2, { 499, 999 } },
		{ "two packets", 1000, 0, 0, 10,
			{ 0, 0, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000 } },
		{ "a packet and a half", 750, 999, 8, 2, { 0, 250 } },
		{ "no room to wait", 500, 1, 9, 1, { 0 } },
		{ "without limit", UINT64_MAX, 0, 0, 10, { 0 } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t want_ns[10];

		open_link((struct soq_sim_link){ .rate_bytes_s = 1000,
			.burst_bytes = rows[i].burst_bytes,
			.queue_bytes = rows[i].queue_bytes });
		put_many(500, 10);
		ROW("%s", rows[i].what);
		CHECK_EQ(fates[SOQ__SIM_QUEUE_FULL], rows[i].full);
		CHECK_EQ(soq__sim_link_bytes(host_b), rows[i].count * 500);
		for (size_t k = 0; k < rows[i].count; k++)
			want_ns[k] = rows[i].at_ms[k] * SOQ_MS;
		pass(FOR_EVER);
		check_left(want_ns, rows[i].count);
		CHECK_EQ(soq__sim_link_bytes(host_b), 0);
		world_close();
	}
}

/* A rate that divides nothing evenly: the k-th packet leaves when all bytes up to its last have
 * come, rounded up, and no rounding adds up. */
TEST(sim_rate_exact_in_the_long_run)
{
	enum { RATE = 777777, BYTES = 101, COUNT = 5000 };

	open_link((struct soq_sim_link){
		.rate_bytes_s = RATE, .burst_bytes = 1, .queue_bytes = UINT64_MAX });
	put_many(BYTES, COUNT);
	pass(FOR_EVER);
	CHECK_EQ(left_count, COUNT);
	for (int64_t k = 0; k < COUNT; k++) {
		int64_t bytes = (k + 1) * BYTES - 1;

		ROW("packet %d", (int)k);
		CHECK_EQ(left[k].at_ns, (bytes * SOQ_S + RATE - 1) / RATE);
	}
	world_close();
}

/* What is not used comes back, up to the burst. */
TEST(sim_rate_bucket_fills)
{
	static const int64_t want_ns[] = { 0, SOQ_S, 5 * SOQ_S, 5 * SOQ_S, 5500 * SOQ_MS };

	open_link((struct soq_sim_link){ .rate_bytes_s = 1000, .burst_bytes = 1000 });
	put(1000);
	pass(250 * SOQ_MS);
	put(1000);
	pass(4750 * SOQ_MS);
	put_many(500, 3);
	pass(FOR_EVER);
	check_left(want_ns, 5);
	world_close();
}

/* A packet that finds the queue empty and the bucket full needs no room in the queue. */
TEST(sim_rate_needs_no_queue)
{
	static const int64_t want_ns[] = { 0, SOQ_S };

	open_link((struct soq_sim_link){
		.rate_bytes_s = 1500, .burst_bytes = 1500, .queue_bytes = 1 });
	put(1500);
	put(1500);
	pass(SOQ_S);
	put(1500);
	pass(FOR_EVER);
	check_left(want_ns, 2);
	CHECK_EQ(fates[SOQ__SIM_QUEUE_FULL], 1);
	world_close();
}

/* ---- changes ---- */

/* The packet that waits has 500 bytes' worth at half a second, and gets 100 more in the ten
 * seconds of the fault; the rest then comes in 400 ms. */
TEST(sim_rate_fault_while_waiting)
{
	static const int64_t want_ns[] = { 0, 10900 * SOQ_MS };
	const struct soq_sim_fault fault = { .kind = SOQ_SIM_RATE,
		.a = "a",
		.at_ns = 500 * SOQ_MS,
		.duration_ns = 10 * SOQ_S,
		.amount = 10 };

	open_link((struct soq_sim_link){ .rate_bytes_s = 1000, .burst_bytes = 1000 });
	CHECK_OK(soq_sim_add_fault(sim, &fault));
	put_many(1000, 2);
	pass(FOR_EVER);
	check_left(want_ns, 2);
	world_close();
}

/* A fault limits a link that had no rate, and only while it lasts; a lesser one beside it
 * changes nothing. */
TEST(sim_rate_fault_of_unlimited)
{
	static const int64_t want_ns[] = { SOQ_S, 1500 * SOQ_MS, 2500 * SOQ_MS, 3000 * SOQ_MS };
	static const struct soq_sim_fault faults[] = {
		{ .kind = SOQ_SIM_RATE,
			.a = "b",
			.b = "a",
			.duration_ns = 3 * SOQ_S,
			.amount = 1000 },
		{ .kind = SOQ_SIM_RATE, .a = "a", .duration_ns = 2 * SOQ_S, .amount = 1001 },
	};

	open_link((struct soq_sim_link){ 0 });
	for (size_t i = 0; i < 2; i++)
		CHECK_OK(soq_sim_add_fault(sim, &faults[i]));
	pass(SOQ_S);
	put_many(1000, 4);
	pass(FOR_EVER);
	check_left(want_ns, 4);
	world_close();
}

/* Of several rates the lowest holds, and each is taken back by its own end. */
TEST(sim_rate_faults_overlap)
{
	static const int64_t want_ns[] = { 1100 * SOQ_MS, 2100 * SOQ_MS, 2600 * SOQ_MS,
		2850 * SOQ_MS };
	static const struct soq_sim_fault faults[] = {
		{ .kind = SOQ_SIM_RATE,
			.a = "a",
			.duration_ns = 2600 * SOQ_MS,
			.amount = 1000 },
		{ .kind = SOQ_SIM_RATE,
			.a = "a",
			.b = "b",
			.at_ns = 100 * SOQ_MS,
			.duration_ns = 2 * SOQ_S,
			.amount = 500 },
	};

	open_link((struct soq_sim_link){ .rate_bytes_s = 2000, .burst_bytes = 1 });
	for (size_t i = 0; i < 2; i++)
		CHECK_OK(soq_sim_add_fault(sim, &faults[i]));
	pass(100 * SOQ_MS);
	/* The bucket holds the one byte of the burst. */
	put(501);
	put_many(500, 3);
	pass(FOR_EVER);
	check_left(want_ns, 4);
	world_close();
}

/* New options for a link in use: what waits goes by them at once. */
TEST(sim_rate_link_changed)
{
	const struct soq_sim_link fast = { .latency_ns = 1, .rate_bytes_s = 10000 },
				  unlimited = { .latency_ns = 1 };
	static const int64_t want_ns[] = { 0, 550 * SOQ_MS, 600 * SOQ_MS, 600 * SOQ_MS };

	open_link((struct soq_sim_link){ .rate_bytes_s = 1000, .burst_bytes = 1000 });
	put_many(1000, 4);
	pass(500 * SOQ_MS);
	CHECK_OK(soq_sim_link(host_a, host_b, &fast));
	pass(100 * SOQ_MS);
	CHECK_OK(soq_sim_link(host_a, host_b, &unlimited));
	pass(FOR_EVER);
	check_left(want_ns, 4);
	world_close();
}

/* ---- CoDel ---- */

/* A standing queue: 1 MB/s, all sent at once in packets of 1,000 bytes. The burst lets one
 * leave at once and the next after half a millisecond, so they leave in the middle of each.
 * That at 5.5 ms is the first to have waited longer than the target of 5 ms: an interval later
 * one is dropped, an interval after that the second, and then at 100 ms divided by the roots of
 * 2, 3, 4 after the instant when the former was due. */
TEST(sim_codel_first_drops)
{
	static const int64_t want_us[] = { 105500, 205500, 276500, 334500, 384500 };

	open_link((struct soq_sim_link){ .rate_bytes_s = 1000000,
		.burst_bytes = 1500,
		.queue_bytes = UINT64_MAX,
		.codel = true });
	put_many(1000, 2000);
	pass(FOR_EVER);
	CHECK(dropped_count > 5);
	for (size_t i = 0; i < 5; i++) {
		ROW("drop %zu", i + 1);
		CHECK_EQ(dropped_ns[i], want_us[i] * SOQ_US);
	}
	CHECK_EQ(left_count + dropped_count, 2000);
	/* It takes the first that waits, not the last that came: what leaves then is the next.
	 */
	CHECK_EQ(left[105].number, 106);
	CHECK_EQ(left[106].number, 108);
	CHECK_EQ(left[106].at_ns, want_us[0] * SOQ_US);
	world_close();
}

/* A queue that empties within an interval is no standing one. */
TEST(sim_codel_spares_bursts)
{
	open_link((struct soq_sim_link){
		.rate_bytes_s = 1000000, .queue_bytes = UINT64_MAX, .codel = true });
	for (int i = 0; i < 20; i++) {
		put_many(1000, 100);
		pass(SOQ_S);
	}
	CHECK_EQ(dropped_count, 0);
	CHECK_EQ(left_count, 2000);
	world_close();
}

/* A packet at a time, in even intervals. */
static void put_evenly(unsigned count, int64_t every_ns)
{
	for (unsigned i = 0; i < count; i++) {
		put(1000);
		pass(every_ns);
	}
}

/* The interval begins anew when packets wait for less than the target, though some do. */
TEST(sim_codel_begins_anew)
{
	open_link((struct soq_sim_link){ .rate_bytes_s = 1000000,
		.burst_bytes = 1,
		.queue_bytes = UINT64_MAX,
		.codel = true });
	put_many(1000, 8);
	put_evenly(60, SOQ_MS); /* each waits for 8 ms */
	pass(5 * SOQ_MS);
	put_evenly(60, SOQ_MS); /* for 3 ms */
	put_many(1000, 5);
	put_evenly(60, SOQ_MS); /* for 8 ms again */
	CHECK_EQ(dropped_count, 0);
	put_evenly(60, SOQ_MS);
	CHECK_EQ(dropped_count, 1);
	world_close();
}

/* Nor is one of no more than a packet's bytes behind the first, however long these wait. */
TEST(sim_codel_spares_slow_links)
{
	open_link((struct soq_sim_link){ .rate_bytes_s = 1000, .codel = true });
	put_many(500, 6); /* three leave at once */
	for (int i = 0; i < 100; i++) {
		pass(500 * SOQ_MS);
		put(500);
	}
	pass(10 * SOQ_S);
	CHECK_EQ(dropped_count, 0);
	CHECK_EQ(left_count, 106);
	CHECK(left[105].at_ns > 51 * SOQ_S); /* a second after it was sent */
	world_close();
}

/* Offered a ninth more than the rate for ever, the queue grows without it, and is kept short
 * with it. */
TEST(sim_codel_keeps_delay_low)
{
	enum { COUNT = 15000, EVERY_US = 900 };

	for (int codel = 0; codel < 2; codel++) {
		int64_t sum_ns = 0, from = COUNT / 2;

		open_link((struct soq_sim_link){
			.rate_bytes_s = 1000000, .queue_bytes = UINT64_MAX, .codel = codel });
		for (int i = 0; i < COUNT; i++) {
			put(1000);
			pass(EVERY_US * SOQ_US);
		}
		/* Number n was sent at n - 1 times the interval. */
		for (size_t i = (size_t)from; i < left_count; i++)
			sum_ns += left[i].at_ns -
				(int64_t)(left[i].number - 1) * EVERY_US * SOQ_US;
		sum_ns /= (int64_t)left_count - from;
		ROW("CoDel %d: %zu dropped, %lld us", codel, dropped_count,
			(long long)(sum_ns / SOQ_US));
		if (codel)
			CHECK(dropped_count > 500 && sum_ns < 40 * SOQ_MS);
		else
			CHECK(dropped_count == 0 && sum_ns > 700 * SOQ_MS);
		world_close();
	}
}
