/* net_dgram_mixed.c - batched and single receives on one socket, in turn. */
#include "contract/net.h"

/* What a batch had no room for comes before what the kernel still has. */
CONTRACT(packets_left_by_a_batch_come_first)
{
	enum { COUNT = 12, TAKEN = 3 };
	struct soq_dgram *server, *client;
	struct soq_packet packets[COUNT];
	unsigned char sent[COUNT], got[COUNT][8];
	struct soq_addr addr;
	unsigned next = 0;
	char text[64];

	CHECK_OK(soq_dgram_open(&server, "udp://127.0.0.1:0"));
	CHECK_OK(soq_dgram_addr(server, &addr));
	snprintf(text, sizeof(text), "udp://127.0.0.1:%u", soq_addr_port(&addr));
	CHECK_OK(soq_dgram_connect(&client, text));
	/* The first one switches on whatever batches need. */
	CHECK_EQ(soq_sendto(client, "?", 1, NULL), 1);
	packets[0] = packets[1] = (struct soq_packet){ .data = got[0], .capacity = 8 };
	CHECK_EQ(soq_recv_packets(server, packets, 2), 1);

	for (unsigned i = 0; i < COUNT; i++) {
		sent[i] = (unsigned char)i;
		packets[i] = (struct soq_packet){ .data = &sent[i], .len = 1 };
	}
	CHECK_EQ(soq_send_packets(client, packets, COUNT), COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		packets[i] = (struct soq_packet){ .data = got[i], .capacity = 8 };
	while (next < TAKEN)
		next += (unsigned)CHECK_OK(
			soq_recv_packets(server, packets + next, TAKEN - next));
	for (; next < COUNT; next++) {
		ROW("datagram %u", next);
		CHECK_EQ(soq_recvfrom(server, got[next], 8, NULL), 1);
	}
	for (unsigned i = 0; i < COUNT; i++)
		CHECK_EQ(got[i][0], i);
	soq_dgram_close(client);
	soq_dgram_close(server);
}
