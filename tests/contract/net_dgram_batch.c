/* net_dgram_batch.c - many datagrams at once, cut into segments or not, and receivers whose
 * queue is full.
 */
#include "contract/net.h"

#define MANY 300

struct batch {
	struct soq_packet packets[MANY];
	unsigned char bytes[MANY][2000];
};

static struct batch *batch_new(void)
{
	struct batch *b = calloc(1, sizeof(*b));

	CHECK(b);
	for (unsigned i = 0; i < MANY; i++)
		b->packets[i] = (struct soq_packet){ .data = b->bytes[i],
			.capacity = sizeof(b->bytes[i]) };
	return b;
}

/* A datagram tells its number by its first bytes, the rest is the pattern from there. */
static void batch_fill(struct batch *b, unsigned i, size_t len)
{
	pattern_fill(b->bytes[i], i, len);
	if (len >= 2) {
		b->bytes[i][0] = (unsigned char)(i >> 8);
		b->bytes[i][1] = (unsigned char)i;
	}
	b->packets[i].len = len;
}

static void batch_check(const struct soq_packet *got, const struct batch *sent, unsigned i)
{
	CHECK_EQ(got->len, sent->packets[i].len);
	CHECK_MEM(got->data, sent->packets[i].data, got->len);
	CHECK(!got->truncated);
}

/* Receive @count, in batches of at most @step, and compare them with what was sent. */
static void recv_all(struct soq_dgram *d, const struct batch *sent, unsigned from,
	unsigned count, unsigned step)
{
	struct batch *b = batch_new();

	for (unsigned got = 0; got < count;) {
		unsigned most = count - got < step ? count - got : step;
		int n = (int)CHECK_OK(soq_recv_packets(d, b->packets, most));

		CHECK(n >= 1 && (unsigned)n <= most);
		for (int i = 0; i < n; i++)
			batch_check(&b->packets[i], sent, from + got++);
	}
	free(b);
}

static void udp_ends(struct soq_dgram **server, struct soq_dgram **client, const char *host)
{
	char text[64];
	struct soq_addr addr;

	snprintf(text, sizeof(text), "udp://%s:0", host);
	CHECK_OK(soq_dgram_open(server, text));
	CHECK_OK(soq_dgram_set_recv_buffer(*server, 4000000));
	CHECK_OK(soq_dgram_addr(*server, &addr));
	snprintf(text, sizeof(text), "udp://%s:%u", host, soq_addr_port(&addr));
	CHECK_OK(soq_dgram_connect(client, text));
}

static const struct {
	const char *name;
	size_t even, odd, last; /* lengths by index */
	unsigned count;
} rows[] = {
	{ "one", 100, 100, 100, 1 },
	{ "equal", 100, 100, 100, 50 },
	{ "equal, the last shorter", 100, 100, 7, 50 },
	{ "equal, the last longer", 100, 100, 900, 50 },
	{ "more than 64", 100, 100, 3, 100 },
	{ "exactly 64", 100, 100, 100, 64 },
	{ "64 and one", 100, 100, 100, 65 },
	{ "more bytes than one send takes", 1400, 1400, 1000, 100 },
	{ "all different", 10, 20, 30, 70 },
	{ "empty ones", 0, 0, 0, 40 },
	{ "empty among others", 0, 50, 50, 41 },
};

CONTRACT(packets_sent_and_received)
{
	struct batch *b = batch_new();
	struct soq_dgram *server, *client;

	for (int v6 = 0; v6 < 1 + have_ipv6(); v6++) {
		udp_ends(&server, &client, v6 ? "[::1]" : "127.0.0.1");
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			ROW("%s, IPv%d", rows[i].name, v6 ? 6 : 4);
			for (unsigned k = 0; k < rows[i].count; k++)
				batch_fill(b, k,
					k + 1 == rows[i].count ? rows[i].last
						: k % 2	       ? rows[i].odd
							       : rows[i].even);
			for (unsigned sent = 0; sent < rows[i].count;)
				sent += (unsigned)CHECK_OK(soq_send_packets(
					client, b->packets + sent, rows[i].count - sent));
			recv_all(server, b, 0, rows[i].count, 1 + (unsigned)i * 13);
		}
		soq_dgram_close(server);
		soq_dgram_close(client);
	}
	free(b);
}

CONTRACT(packets_of_no_number)
{
	struct soq_dgram *pair[2];
	struct soq_packet p = { 0 };

	CHECK_OK(soq_dgram_pair(pair));
	CHECK_EQ(soq_send_packets(pair[0], &p, 0), 0);
	CHECK_ERR(soq_recv_packets(pair[0], &p, 0), -EINVAL);
	soq_dgram_close(pair[0]);
	soq_dgram_close(pair[1]);
}

/* Runs end where the destination changes. */
CONTRACT(packets_to_several_peers)
{
	enum { PEERS = 3 };
	struct soq_dgram *sender, *peers[PEERS];
	struct batch *b = batch_new(), *got = batch_new();
	struct soq_addr addrs[PEERS];

	CHECK_OK(soq_dgram_open(&sender, "udp://127.0.0.1:0"));
	for (int i = 0; i < PEERS; i++) {
		CHECK_OK(soq_dgram_open(&peers[i], "udp://127.0.0.1:0"));
		CHECK_OK(soq_dgram_addr(peers[i], &addrs[i]));
	}
	for (unsigned i = 0; i < 90; i++) {
		batch_fill(b, i, 64);
		b->packets[i].peer = addrs[i / 5 % PEERS];
	}
	CHECK_EQ(soq_send_packets(sender, b->packets, 90), 90);
	for (unsigned k = 0; k < PEERS; k++) {
		for (unsigned i = 0; i < 90; i++) {
			if (i / 5 % PEERS != k)
				continue;
			CHECK_EQ(soq_recv_packets(peers[k], got->packets, 1), 1);
			batch_check(got->packets, b, i);
		}
		soq_dgram_close(peers[k]);
	}
	soq_dgram_close(sender);
	free(b);
	free(got);
}

CONTRACT(packets_truncated_and_failing)
{
	struct soq_dgram *server, *client;
	struct batch *b = batch_new();
	struct soq_packet small[2] = { { .data = (char[4]){ 0 }, .capacity = 4 },
		{ .data = (char[4]){ 0 }, .capacity = 4 } };
	static char huge[70000];

	udp_ends(&server, &client, "127.0.0.1");
	CHECK_EQ(soq_sendto(client, "abcdefgh", 8, NULL), 8);
	CHECK_EQ(soq_sendto(client, "1234", 4, NULL), 4);
	CHECK_EQ(soq_recv_packets(server, small, 2), 2);
	CHECK(small[0].truncated && small[0].len == 4);
	CHECK_MEM(small[0].data, "abcd", 4);
	CHECK(!small[1].truncated && small[1].len == 4);
	/* The third cannot be sent: two are, and the next call tells why. */
	for (unsigned i = 0; i < 4; i++)
		batch_fill(b, i, 10 + i);
	b->packets[2].data = huge;
	b->packets[2].len = sizeof(huge);
	CHECK_EQ(soq_send_packets(client, b->packets, 4), 2);
	CHECK_ERR(soq_send_packets(client, b->packets + 2, 2), -EMSGSIZE);
	CHECK_EQ(soq_send_packets(client, b->packets + 3, 1), 1);
	recv_all(server, b, 0, 2, 9);
	recv_all(server, b, 3, 1, 9);
	soq_dgram_close(server);
	soq_dgram_close(client);
	free(b);
}

struct sender {
	struct soq_dgram *d;
	unsigned id;
};

static void send_own(void *arg)
{
	struct sender *s = arg;
	char text[32];

	for (unsigned i = 0; i < 20; i++) {
		int len = snprintf(text, sizeof(text), "%u:%u", s->id, i);

		CHECK_EQ(soq_sendto(s->d, text, (size_t)len, NULL), len);
		if (i % 3 == 0)
			CHECK_OK(soq_yield());
	}
}

/* Several fibers send on one socket: each datagram goes whole, each fiber's in order. */
CONTRACT(packets_of_several_senders)
{
	enum { SENDERS = 8 };
	struct soq_scope *scope = scope_open();
	struct sender senders[SENDERS];
	unsigned next[SENDERS] = { 0 }, id, number;
	struct soq_dgram *pair[2];
	char buf[32];

	CHECK_OK(soq_dgram_pair(pair));
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ pair[0], i };
		CHECK_OK(soq_spawn(scope, send_own, &senders[i]));
	}
	/* A pair's queue holds few (net.unix.max_dgram_qlen): they wait for each other. */
	for (int i = 0; i < SENDERS * 20; i++) {
		ssize_t n = CHECK_OK(soq_recvfrom(pair[1], buf, sizeof(buf) - 1, NULL));

		buf[n] = '\0';
		CHECK_EQ(sscanf(buf, "%u:%u", &id, &number), 2);
		CHECK(id < SENDERS);
		CHECK_EQ(number, next[id]++);
	}
	scope_join(scope);
	soq_dgram_close(pair[0]);
	soq_dgram_close(pair[1]);
}

/* ---- a Unix receiver that is slow ---- */

struct flood {
	struct soq_dgram *d;
	struct soq_addr to; /* len 0: the connected peer */
	bool in_batches;
};

#define FLOOD 200

static void flood_main(void *arg)
{
	struct flood *f = arg;
	struct soq_packet p[4];
	unsigned i = 0;

	while (i < FLOOD) {
		unsigned numbers[4];

		for (unsigned k = 0; k < 4; k++) {
			numbers[k] = i + k;
			p[k] = (struct soq_packet){
				.data = &numbers[k], .len = sizeof(i), .peer = f->to
			};
		}
		if (f->in_batches) {
			i += (unsigned)CHECK_OK(soq_send_packets(f->d, p, 4));
			continue;
		}
		CHECK_EQ(soq_sendto(f->d, &i, sizeof(i), f->to.len ? &f->to : NULL), sizeof(i));
		i++;
	}
}

static void flood_check(struct flood *f, struct soq_dgram *server)
{
	struct soq_scope *scope = scope_open();
	unsigned number;

	go(scope, flood_main, f);
	for (unsigned i = 0; i < FLOOD; i++) {
		CHECK_EQ(soq_recvfrom(server, &number, sizeof(number), NULL), sizeof(number));
		CHECK_EQ(number, i);
	}
	scope_join(scope);
}

/* The queue of a Unix socket holds few datagrams. poll(2) tells a connected sender when
 * there is room again; it tells the others nothing. */
CONTRACT(packets_wait_for_a_slow_unix_receiver)
{
	char text[128];
	struct soq_dgram *server, *connected, *other;

	snprintf(text, sizeof(text), "unixgram://%s/slow", test_dir());
	CHECK_OK(soq_dgram_open(&server, text));
	CHECK_OK(soq_dgram_connect(&connected, text));
	snprintf(text, sizeof(text), "unixgram://%s/other", test_dir());
	CHECK_OK(soq_dgram_open(&other, text));
	for (int batches = 0; batches < 2; batches++) {
		struct flood f = { .d = connected, .in_batches = batches };

		ROW("connected%s", batches ? ", in batches" : "");
		flood_check(&f, server);
		f.d = other;
		CHECK_OK(soq_dgram_addr(server, &f.to));
		ROW("not connected%s", batches ? ", in batches" : "");
		flood_check(&f, server);
	}
	soq_dgram_close(server);
	soq_dgram_close(connected);
	soq_dgram_close(other);
}

/* Fill the queue until sending would wait. */
static void fill(struct soq_dgram *d, const struct soq_addr *to)
{
	ssize_t rc;
	int count = 0;

	soq_dgram_set_send_timeout(d, 0);
	while ((rc = soq_sendto(d, "x", 1, to)) == 1)
		CHECK(++count < 100000);
	CHECK_ERR(rc, -ETIMEDOUT);
}

/* A receiver whose queue is full, and a sender that has only an address to send to. */
static void full_receiver(
	struct soq_dgram **server, struct soq_dgram **client, struct soq_addr *to)
{
	char text[128];

	snprintf(text, sizeof(text), "unixgram://%s/full", test_dir());
	CHECK_OK(soq_dgram_open(server, text));
	snprintf(text, sizeof(text), "unixgram://%s/sender", test_dir());
	CHECK_OK(soq_dgram_open(client, text));
	CHECK_OK(soq_dgram_addr(*server, to));
	fill(*client, to);
}

CONTRACT(packets_timeout_at_a_full_receiver)
{
	struct soq_packet p = { .data = (char[]){ "x" }, .len = 1 };
	struct soq_dgram *server, *client;
	int64_t outer;

	full_receiver(&server, &client, &p.peer);
	CHECK_ERR(soq_send_packets(client, &p, 1), -ETIMEDOUT);
	soq_dgram_set_send_timeout(client, 5 * SOQ_MS);
	CHECK_ERR(soq_sendto(client, "x", 1, &p.peer), -ETIMEDOUT);
	CHECK_ERR(soq_send_packets(client, &p, 1), -ETIMEDOUT);
	outer = soq_deadline(soq_now() + SOQ_MS);
	soq_dgram_set_send_timeout(client, SOQ_NEVER);
	CHECK_ERR(soq_sendto(client, "x", 1, &p.peer), -ETIMEDOUT);
	soq_deadline_restore(outer);
	soq_dgram_close(server);
	soq_dgram_close(client);
}

SIM(packets_timeout_at_a_full_receiver_is_punctual)
{
	struct soq_packet p = { .data = (char[]){ "x" }, .len = 1 };
	struct soq_dgram *server, *client;
	int64_t began;

	full_receiver(&server, &client, &p.peer);
	soq_dgram_set_send_timeout(client, 5 * SOQ_MS);
	began = soq_now();
	CHECK_ERR(soq_sendto(client, "x", 1, &p.peer), -ETIMEDOUT);
	CHECK_EQ(untimely_ns(began + 5 * SOQ_MS, 1), 0);
	began = soq_now();
	CHECK_ERR(soq_send_packets(client, &p, 1), -ETIMEDOUT);
	CHECK_EQ(untimely_ns(began + 5 * SOQ_MS, 1), 0);
	soq_dgram_close(server);
	soq_dgram_close(client);
}

/* ---- on the smallest stack ---- */

struct small_stack {
	struct batch *sent, *got;
	struct soq_dgram *server, *client;
	unsigned count;
	bool ended;
};

static void send_and_recv_64(void *arg)
{
	struct small_stack *s = arg;

	for (unsigned n = 0; n < 64;)
		n += (unsigned)CHECK_OK(
			soq_send_packets(s->client, s->sent->packets + n, 64 - n));
	while (s->count < 64)
		s->count += (unsigned)CHECK_OK(
			soq_recv_packets(s->server, s->got->packets + s->count, 64 - s->count));
	s->ended = true;
}

CONTRACT(packets_on_the_smallest_stack)
{
	struct small_stack s = { .sent = batch_new(), .got = batch_new() };
	struct soq_scope *scope;

	CHECK_OK(soq_set_stack_size(32 * 1024));
	for (int equal = 0; equal <= 1; equal++) {
		ROW("lengths equal: %d", equal);
		udp_ends(&s.server, &s.client, "127.0.0.1");
		for (unsigned i = 0; i < 64; i++)
			batch_fill(s.sent, i, equal ? 100 : 100 + i);
		s.count = 0;
		s.ended = false;
		scope = scope_open();
		go(scope, send_and_recv_64, &s);
		scope_join(scope);
		CHECK(s.ended);
		for (unsigned i = 0; i < 64; i++)
			batch_check(&s.got->packets[i], s.sent, i);
		soq_dgram_close(s.server);
		soq_dgram_close(s.client);
	}
	free(s.sent);
	free(s.got);
}

/* ---- beside other fibers ---- */

struct talker {
	struct soq_dgram *d;
	int peer;
	bool stop;
};

static void only_receive(void *arg)
{
	struct talker *t = arg;
	char bytes[4];
	struct soq_packet in = { .data = bytes, .capacity = sizeof(bytes) };

	while (!t->stop) {
		CHECK_EQ(write(t->peer, "abc", 3), 3);
		CHECK_EQ(soq_recv_packets(t->d, &in, 1), 1);
	}
}

static void only_send(void *arg)
{
	struct talker *t = arg;
	char bytes[4] = "abc";
	struct soq_packet out = { .data = bytes, .len = 3 };

	while (!t->stop) {
		CHECK_EQ(soq_send_packets(t->d, &out, 1), 1);
		CHECK_EQ(read(t->peer, bytes, sizeof(bytes)), 3);
	}
}

static void stop_the_talk(void *arg)
{
	struct talker *t = arg;

	for (int i = 0; i < 10; i++)
		CHECK_OK(soq_yield());
	await_alarm(SOQ_MS);
	t->stop = true;
}

/* Whoever never has to wait for a datagram lets the others run all the same. */
CONTRACT_KERNEL(packets_leave_others_their_turn,
	"only calls of the kernel's can serve the peer without a turn for the others")
{
	static void (*const talks[])(void *) = { only_receive, only_send };
	struct soq_scope *scope;
	struct talker t;
	char text[32];
	int fds[2];

	for (int i = 0; i < 2; i++) {
		ROW("%s", i == 0 ? "receiving" : "sending");
		CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds));
		snprintf(text, sizeof(text), "fd://%d", fds[0]);
		t = (struct talker){ .peer = fds[1] };
		CHECK_OK(soq_dgram_open(&t.d, text));
		scope = scope_open();
		CHECK_OK(soq_spawn(scope, talks[i], &t));
		CHECK_OK(soq_spawn(scope, stop_the_talk, &t));
		scope_join(scope);
		soq_dgram_close(t.d);
		close(fds[1]);
	}
}
