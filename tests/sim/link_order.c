/* link_order.c - packets that wait for a link's rate leave in the order in which they came,
 * however long the queue grows and wherever it begins.
 */
#include "sim/model.h"

#define MOST 400

static uint64_t left[MOST];
static size_t left_count;

static void note(struct soq__sim_observer *o, const struct soq__sim_packet *p,
	enum soq__sim_fate fate, int64_t arrives_ns)
{
	(void)o, (void)arrives_ns;
	CHECK_EQ(fate, SOQ__SIM_ARRIVES);
	CHECK(left_count < MOST);
	left[left_count++] = p->number;
}

static void put(unsigned count)
{
	struct soq__sim_addr src = host_a->addresses[0], dst = host_b->addresses[0];

	dst.port = 9;
	for (unsigned i = 0; i < count; i++) {
		struct soq__sim_packet *p =
			soq__sim_packet_new(host_a, IPPROTO_UDP, &src, &dst, 972);

		memset(p->data, 0, p->len);
		soq__sim_send(p);
	}
}

/* Packets of 1,000 bytes, a thousand of them a second: as many leave as milliseconds pass. */
TEST(sim_link_order_while_the_queue_grows)
{
	static const struct {
		unsigned come;
		int64_t pass_ms;
	} rows[] = { { 10, 5 }, { 60, 30 }, { 100, 90 }, { 5, 1 }, { 200, 300 } };
	struct soq__sim_observer watch = { .packet = note, .close = keep_watcher };
	unsigned all = 0;

	world_open_link(1,
		(struct soq_sim_link){ .latency_ns = 1,
			.rate_bytes_s = 1000000,
			.burst_bytes = 1,
			.queue_bytes = UINT64_MAX });
	soq__list_append(&sim->observers, &watch.node);
	/* Somebody is to be there, lest each datagram be answered by an error. */
	CHECK_OK(bind_now(udp(host_b, AF_INET), at("0.0.0.0", 9)));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put(rows[i].come);
		all += rows[i].come;
		pass(rows[i].pass_ms * SOQ_MS);
	}
	CHECK_EQ(left_count, all);
	for (size_t i = 0; i < left_count; i++)
		CHECK_EQ(left[i], i + 1);
	world_close();
}
