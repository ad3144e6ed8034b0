/* server_soak.c - many clients at once, and many one after the other: nothing is left. */
#include "contract/server.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_IS_OURS false /* the sanitizers keep what was freed */
#else
#define MEMORY_IS_OURS true
#endif

enum manner { COME_AND_GO, RESET, ECHO_AND_LEAVE, RESET_AFTER_A_REQUEST, MANNERS };

static const char *const manners[] = { "come and go", "reset", "echo and leave",
	"reset after a request" };

static void visit(int fd, enum manner manner)
{
	struct linger reset = { .l_onoff = 1 };
	char byte;

	if (manner == ECHO_AND_LEAVE || manner == RESET_AFTER_A_REQUEST) {
		CHECK_EQ(send(fd, "a\n", 2, MSG_NOSIGNAL), 2);
		CHECK_EQ(recv(fd, &byte, 1, 0), 1);
	}
	if (manner == RESET || manner == RESET_AFTER_A_REQUEST)
		CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	close(fd);
}

#define AT_ONCE 20

static unsigned round_up(unsigned rounds)
{
	return (rounds + AT_ONCE - 1) / AT_ONCE * AT_ONCE;
}

/* Some clients at a time; from several addresses, so that no port is used up. */
static void visits(const struct remote *r, enum manner manner, unsigned rounds)
{
	int fds[AT_ONCE];

	for (unsigned i = 0; i < rounds; i += AT_ONCE) {
		for (unsigned k = 0; k < AT_ONCE; k++) {
			struct sockaddr_in in = r->places[0].addr.in;

			in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i / 2000 % 100);
			fds[k] = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
			CHECK_OK(connect(fds[k], (struct sockaddr *)&in, sizeof(in)));
		}
		for (unsigned k = 0; k < AT_ONCE; k++)
			visit(fds[k], manner);
	}
}

static void left(void *data)
{
	(void)data;
	count(&counters->ended);
}

/* Each is counted when its stream has been closed, its descriptor before that. */
static int echo_and_count(struct soq_stream *peer, void *arg)
{
	if (!soq_stream_data(peer)) {
		count(&counters->began);
		soq_set_stream_data(peer, counters, left);
	}
	return echo_a_line(peer, arg);
}

/* Until the server, one thread, has seen all of them go; @witness is still there. */
static void settle(struct soq_stream *witness, unsigned gone)
{
	AWAIT(atomic_load(&counters->ended) >= gone);
	expect_echo(witness, "what came before is over");
	CHECK_EQ(atomic_load(&counters->ended), gone);
	CHECK_EQ(atomic_load(&counters->began), gone + 1);
}

/* 100,000 in all, over the manners and the engines; each leaves nothing. */
static void soak(enum manner manner)
{
	unsigned some = round_up(test_scale(2000)), many = round_up(test_scale(12500));
	struct plan plan = {
		.sites = { { .endpoint = "tcp://0.0.0.0:0", .handler = echo_and_count } },
		.opt = { .idle_timeout_ns = SOQ_NEVER }
	};
	struct soq_stream *witness;
	struct remote r;
	int fds;
	long kib;

	ROW("%s", manners[manner]);
	counters_open();
	remote_start(&r, &plan);
	witness = remote_connect(&r, 0);
	visits(&r, manner, some);
	settle(witness, some);
	fds = count_fds(r.process.pid);
	kib = memory_kib(r.process.pid, "VmRSS");
	visits(&r, manner, many);
	settle(witness, some + many);
	CHECK_EQ(count_fds(r.process.pid), fds);
	if (MEMORY_IS_OURS)
		CHECK(memory_kib(r.process.pid, "VmRSS") - kib < 512);
	leave(witness);
	remote_stop(&r);
}

#define WHY "its peers are sockets of the kernel, and the process's memory is looked at"

CONTRACT_KERNEL(soak_come_and_go, WHY)
{
	soak(COME_AND_GO);
}

CONTRACT_KERNEL(soak_reset, WHY)
{
	soak(RESET);
}

CONTRACT_KERNEL(soak_echo_and_leave, WHY)
{
	soak(ECHO_AND_LEAVE);
}

CONTRACT_KERNEL(soak_reset_after_a_request, WHY)
{
	soak(RESET_AFTER_A_REQUEST);
}

/* ---- many at once ---- */

static void raise_descriptors(rlim_t needed)
{
	struct rlimit limit;

	CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur >= needed)
		return;
	if (limit.rlim_max < needed)
		limit.rlim_max = needed;
	limit.rlim_cur = needed;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		SKIP("%lu descriptors are not allowed here (ulimit -n)", (unsigned long)needed);
}

/* Clients from several addresses, each with two requests, all of them there at once. */
CONTRACT_KERNEL(soak_many_clients_at_once, WHY)
{
	unsigned clients = test_scale(10000);
	struct plan plan = {
		.sites = { { .endpoint = "tcp://0.0.0.0:0", .handler = echo_a_line } }
	};
	int *fds = calloc(clients, sizeof(*fds));
	struct remote r;
	char reply[8];

	CHECK(fds);
	raise_descriptors(clients + 200);
	remote_start(&r, &plan);
	for (unsigned i = 0; i < clients; i++) {
		struct sockaddr_in in = r.places[0].addr.in;

		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i % 10);
		fds[i] = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
		CHECK_OK(connect(fds[i], (struct sockaddr *)&in, sizeof(in)));
	}
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < clients; i++)
			CHECK_EQ(write(fds[i], "hello\n", 6), 6);
		for (unsigned i = 0; i < clients; i++) {
			CHECK_EQ(recv(fds[i], reply, 6, MSG_WAITALL), 6);
			CHECK_MEM(reply, "hello\n", 6);
		}
	}
	printf("%ld KiB with %u idle clients\n", memory_kib(r.process.pid, "VmRSS"), clients);
	for (unsigned i = 0; i < clients; i++)
		close(fds[i]);
	free(fds);
	remote_stop(&r);
}
