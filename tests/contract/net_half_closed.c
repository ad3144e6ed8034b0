/* net_half_closed.c - a peer that has said all it has to say, and is slow to listen: to wait
 * for room costs nothing, and ends when there is room. */
#include "contract/fiber.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define WAIT_NS (200 * SOQ_MS)
#define CPU_NS	(WAIT_NS / 4) /* who asks again and again takes more */
#define BYTES	1000000	      /* more than the buffers hold */
#define BUFFER	65536

struct way {
	const char *name;
	bool tcp, nonblocking;
	ssize_t (*send)(struct soq_stream *s, size_t from);
};

static char bytes[BYTES];
static int file;

static int64_t processor_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * SOQ_S + t.tv_nsec;
}

static void connect_tcp(struct soq_stream *ret[2])
{
	char endpoint[SOQ_ADDR_TEXT_MAX + 16], text[SOQ_ADDR_TEXT_MAX];
	struct soq_listener *l;
	struct soq_addr addr;

	CHECK_OK(soq_listen(&l, "tcp://127.0.0.1:0", NULL));
	CHECK_OK(soq_listener_addr(l, &addr));
	CHECK_OK(soq_addr_format(text, sizeof(text), &addr));
	snprintf(endpoint, sizeof(endpoint), "tcp://%s", text);
	CHECK_OK(soq_connect(&ret[0], endpoint));
	CHECK_OK(soq_accept(&ret[1], l));
	soq_listener_close(l);
}

/* Two streams, of which the second has ended its sending. */
static void open_pair(struct soq_stream *ret[2], const struct way *way)
{
	int fd;

	if (way->tcp)
		connect_tcp(ret);
	else
		CHECK_OK(soq_pair(ret));
	CHECK_OK(soq_set_send_buffer(ret[0], BUFFER));
	CHECK_OK(soq_set_recv_buffer(ret[1], BUFFER));
	if (way->nonblocking) {
		fd = soq_detach(ret[0]);
		CHECK_OK(fd);
		CHECK_OK(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
		CHECK_OK(soq_adopt(&ret[0], fd));
	}
	CHECK_OK(soq_shutdown(ret[1]));
}

static ssize_t send_bytes(struct soq_stream *s, size_t from)
{
	return soq_send(s, bytes + from, BYTES - from);
}

static ssize_t send_file(struct soq_stream *s, size_t from)
{
	return soq_send_file(s, file, (int64_t)from, BYTES - from);
}

/* Send while nobody reads, until a deadline. @return the bytes that there was room for */
static size_t send_in_vain(struct soq_stream *s, const struct way *way)
{
	int64_t outer = soq_deadline(soq_now() + WAIT_NS);
	ssize_t n = way->send(s, 0);

	soq_deadline_restore(outer);
	CHECK_OK(n);
	CHECK(n < BYTES);
	return (size_t)n;
}

static void wait_in_vain(struct soq_stream *s)
{
	int64_t outer = soq_deadline(soq_now() + WAIT_NS);

	CHECK_ERR(soq_wait_fd(soq_fd(s), POLLOUT), -ETIMEDOUT);
	soq_deadline_restore(outer);
}

static void read_all(void *arg)
{
	static char waste[BUFFER];
	size_t all = 0;
	ssize_t n;

	while ((n = soq_recv(arg, waste, sizeof(waste))) > 0)
		all += (size_t)n;
	CHECK_EQ(n, 0);
	CHECK_EQ(all, BYTES);
}

static void try_way(const struct way *way)
{
	struct soq_scope *scope;
	struct soq_stream *s[2];
	int64_t cpu_ns;
	size_t sent;

	open_pair(s, way);
	cpu_ns = processor_ns();
	sent = send_in_vain(s[0], way);
	/* Of a file's pages there may be room for less than a poll asks for. */
	if (way->send == send_bytes)
		wait_in_vain(s[0]);
	cpu_ns = processor_ns() - cpu_ns;
	ROW("%s: %lld us of processor time", way->name, (long long)(cpu_ns / SOQ_US));
	CHECK(cpu_ns < CPU_NS);
	/* When there is room it is noticed. */
	CHECK_OK(soq_scope_open(&scope));
	CHECK_OK(soq_spawn(scope, read_all, s[1]));
	CHECK_EQ(soq_wait_fd(soq_fd(s[0]), POLLOUT), POLLOUT);
	CHECK_EQ(way->send(s[0], sent), BYTES - sent);
	CHECK_OK(soq_shutdown(s[0]));
	CHECK_OK(soq_scope_wait(scope));
	soq_scope_close(scope);
	soq_close(s[0]);
	soq_close(s[1]);
}

CONTRACT_KERNEL(half_closed_peer_is_awaited, "the kernel's polls, and its files")
{
	static const struct way ways[] = {
		{ "Unix", false, false, send_bytes },
		{ "Unix, non-blocking", false, true, send_bytes },
		{ "Unix, a file", false, false, send_file },
		{ "TCP", true, false, send_bytes },
		{ "TCP, non-blocking", true, true, send_bytes },
		{ "TCP, a file", true, false, send_file },
	};
	char path[] = "/tmp/soq-half-XXXXXX";

	file = mkstemp(path);
	CHECK_OK(file);
	CHECK_OK(unlink(path));
	CHECK_OK(ftruncate(file, BYTES));
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		try_way(&ways[i]);
	close(file);
}
