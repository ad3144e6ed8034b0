/* server_slow.c - clients that read slowly, or not at all: what they cost is bounded by the
 * kernel's buffers, whatever the server would send them.
 */
#include "sim/server_world.h"

#define BUFFER	(64 * 1024) /* of a socket, for sending and for receiving */
#define READERS 20

/* What a full buffer may take: it grows by doubling. */
#define HELD (2 * BUFFER)

/* What a connection costs besides its bytes. */
#define OVERHEAD 4096

static struct soq_sim_options with_buffers(void)
{
	struct soq_sim_options opt = exact;

	opt.buffer_bytes = BUFFER;
	return opt;
}

static int send_for_ever(struct soq_stream *peer, void *arg)
{
	static char bytes[65520];
	size_t offset = 0;
	ssize_t n;

	(void)arg;
	do {
		pattern_fill(bytes, offset, sizeof(bytes));
		n = soq_send(peer, bytes, sizeof(bytes));
		offset += n > 0 ? (size_t)n : 0;
	} while (n == (ssize_t)sizeof(bytes));
	count(&counters->ended);
	return -ETIMEDOUT;
}

/* Their number is what counts, and not how long they stay. */
static void nothing_read(void)
{
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = send_for_ever } },
		.opt = { .send_timeout_ns = 600 * SOQ_S } };
	struct soq_sim_census soon, late;
	struct soq_stream *clients[READERS];
	size_t got = 0;
	char buf[1000];
	struct remote r;

	counters_open();
	remote_start(&r, &plan);
	for (int i = 0; i < READERS; i++)
		clients[i] = remote_connect(&r, 0);
	CHECK_OK(soq_sleep(10 * SOQ_S));
	soon = census_of(r.program.host);
	CHECK(soon.memory_bytes >= READERS * BUFFER);
	CHECK(soon.memory_bytes <= READERS * (HELD + OVERHEAD));

	for (; got < 100 * sizeof(buf); got += sizeof(buf)) { /* one of them reads a little */
		CHECK_EQ(soq_recv_full(clients[0], buf, sizeof(buf)), sizeof(buf));
		pattern_check(buf, got, sizeof(buf));
		CHECK_OK(soq_sleep(SOQ_S));
	}
	CHECK_OK(soq_sleep(400 * SOQ_S));
	late = census_of(r.program.host);
	CHECK(late.memory_bytes <= READERS * (HELD + OVERHEAD));
	CHECK_EQ(late.descriptors, soon.descriptors);
	CHECK_EQ(late.fibers, soon.fibers);

	AWAIT(atomic_load(&counters->ended) == READERS);
	for (int i = 0; i < READERS; i++)
		soq_close(clients[i]);
	CHECK_OK(soq_sleep(10 * SOQ_S));
	CHECK_EQ(census_of(r.program.host).connections, 0);
	CHECK(census_of(r.program.host).memory_bytes < OVERHEAD);
	remote_stop(&r);
}

SIM(server_slow_readers)
{
	struct soq_sim_options opt = with_buffers();

	in_world(&opt, nothing_read);
}

static void closed(void *data)
{
	(void)data;
	count(&counters->ended);
}

static int echo_and_count(struct soq_stream *peer, void *arg)
{
	soq_set_stream_data(peer, counters, closed);
	return echo_a_line(peer, arg);
}

/* Requests without end, and no reply is read: the server stops reading them, and leaves. */
static void no_reply_read(void)
{
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = echo_and_count } },
		.opt = { .idle_timeout_ns = SOQ_NEVER, .send_timeout_ns = 100 * SOQ_S } };
	struct soq_stream *s;
	int64_t sent = 0;
	char line[1000];
	struct remote r;
	ssize_t n;

	counters_open();
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	remote_start(&r, &plan);
	s = remote_connect(&r, 0);
	soq_set_send_timeout(s, 50 * SOQ_S);
	while ((n = soq_send(s, line, sizeof(line))) == (ssize_t)sizeof(line))
		sent += n;
	CHECK(sent <= 4 * BUFFER + 2 * 4096); /* the kernels', and the handler's */
	CHECK(census_of(r.program.host).memory_bytes <= 2 * HELD + OVERHEAD);
	AWAIT(atomic_load(&counters->ended) == 1);
	soq_close(s);
	remote_stop(&r);
}

SIM(server_slow_to_read_replies)
{
	struct soq_sim_options opt = with_buffers();

	in_world(&opt, no_reply_read);
}
