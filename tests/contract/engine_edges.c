/* engine_edges.c - what an engine learns of a socket while nobody waits for it, or while who
 * waits is called away.
 */
#include "contract/net.h"

#include <fcntl.h>

#define KERNEL "descriptors in non-blocking mode are the kernel's"

/* Send until there is no room any more, and do not wait. @return bytes */
static size_t fill(struct soq_stream *s)
{
	static const char block[16384];
	size_t sent = 0;
	ssize_t n;

	soq_set_send_timeout(s, 0);
	while ((n = soq_send(s, block, sizeof(block))) > 0)
		sent += (size_t)n;
	CHECK_ERR(n, -ETIMEDOUT);
	return sent;
}

static void drain(struct soq_stream *s, size_t len)
{
	char *waste = malloc(len);

	CHECK(waste);
	CHECK_EQ(soq_recv_full(s, waste, len), len);
	free(waste);
}

struct byte {
	struct soq_stream *stream;
	ssize_t result;
};

static void recv_byte(void *arg)
{
	struct byte *b = arg;
	char byte;

	b->result = soq_recv(b->stream, &byte, 1);
}

static void send_byte(void *arg)
{
	struct byte *b = arg;

	b->result = soq_send(b->stream, "x", 1);
}

/* Let the engine have its say a few times. */
static void let_turns_pass(void)
{
	for (int i = 0; i < 10; i++)
		CHECK_OK(soq_yield());
}

/* A send gives up at a full socket; then there is room; then another send finds that. Several
 * others wait meanwhile, so that the engine does not do with asking about each anew. */
CONTRACT(engine_room_comes_while_nobody_sends)
{
	enum { OTHERS = 8 };
	struct soq_scope *scope = scope_open();
	struct byte others[OTHERS], late;
	struct link l[OTHERS], full;
	size_t sent;

	for (int i = 0; i < OTHERS; i++) {
		link_open(&l[i], PAIR);
		others[i] = (struct byte){ .stream = l[i].near };
		go(scope, recv_byte, &others[i]);
	}
	link_open(&full, PAIR);
	sent = fill(full.near);
	soq_set_send_timeout(full.near, SOQ_MS);
	CHECK_ERR(soq_send(full.near, "x", 1), -ETIMEDOUT);
	drain(full.far, sent);
	let_turns_pass();
	soq_set_send_timeout(full.near, 5 * SOQ_S);
	late = (struct byte){ .stream = full.near };
	send_byte(&late);
	CHECK_EQ(late.result, 1);
	soq_scope_cancel(scope);
	scope_join(scope);
	link_close(&full);
	for (int i = 0; i < OTHERS; i++)
		link_close(&l[i]);
}

static void open_nonblocking(struct soq_stream *ret[2])
{
	int fds[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
	CHECK_OK(soq_adopt(&ret[0], fds[0]));
	CHECK_OK(soq_adopt(&ret[1], fds[1]));
}

/* A descriptor may come in non-blocking mode: its calls wait all the same. */
CONTRACT_KERNEL(engine_waits_on_nonblocking_descriptors, KERNEL)
{
	struct soq_scope *scope = scope_open();
	struct soq_stream *pair[2];
	struct byte receiver, sender;
	size_t sent;

	open_nonblocking(pair);
	receiver = (struct byte){ .stream = pair[0] };
	go(scope, recv_byte, &receiver);
	let_turns_pass();
	CHECK_EQ(soq_send(pair[1], "x", 1), 1);
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(receiver.result, 1);

	sent = fill(pair[1]);
	soq_set_send_timeout(pair[1], SOQ_NEVER);
	sender = (struct byte){ .stream = pair[1] };
	go(scope, send_byte, &sender);
	let_turns_pass();
	drain(pair[0], sent);
	scope_join(scope);
	CHECK_EQ(sender.result, 1);
	soq_close(pair[0]);
	soq_close(pair[1]);
}

/* A receiver is cancelled when its byte has been reported, and another has taken it. */
CONTRACT_KERNEL(engine_cancellation_meets_readiness, KERNEL)
{
	struct soq_scope *scope = scope_open();
	struct soq_stream *pair[2], *twin;
	struct byte receiver;
	char byte;

	open_nonblocking(pair);
	CHECK_OK(soq_adopt(&twin, (int)CHECK_OK(fcntl(soq_fd(pair[0]), F_DUPFD_CLOEXEC, 0))));
	soq_set_recv_timeout(twin, 0);
	receiver = (struct byte){ .stream = pair[0] };
	go(scope, recv_byte, &receiver);
	let_turns_pass();
	CHECK_EQ(soq_send(pair[1], "x", 1), 1);
	CHECK_EQ(soq_recv(twin, &byte, 1), 1);
	soq_scope_cancel(scope);
	scope_join(scope);
	CHECK_ERR(receiver.result, -ECANCELED);
	soq_close(twin);
	soq_close(pair[0]);
	soq_close(pair[1]);
}

struct acceptor {
	struct soq_listener *listener;
	int rc;
};

/* On an inherited descriptor, as from systemd. */
static struct soq_listener *listen_nonblocking(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	struct soq_listener *l;
	char text[32];

	CHECK_OK(bind(fd, (struct sockaddr *)&any, sizeof(any)));
	snprintf(text, sizeof(text), "fd://%d", fd);
	CHECK_OK(soq_listen(&l, text, NULL));
	return l;
}

static void accept_client(void *arg)
{
	struct acceptor *a = arg;
	struct soq_stream *s;

	a->rc = soq_accept(&s, a->listener);
	if (a->rc == 0)
		soq_close(s);
}

/* The same of a client that has been reported. */
CONTRACT_KERNEL(engine_cancellation_meets_a_client, KERNEL)
{
	struct acceptor a = { listen_nonblocking(), 0 };
	struct soq_scope *scope = scope_open();
	int client, taken;

	go(scope, accept_client, &a);
	let_turns_pass();
	client = raw_connect(a.listener);
	taken = (int)CHECK_OK(accept4(soq_listener_fd(a.listener), NULL, NULL, SOCK_CLOEXEC));
	soq_scope_cancel(scope);
	scope_join(scope);
	CHECK_ERR(a.rc, -ECANCELED);
	soq_listener_close(a.listener);
	close(taken);
	close(client);
}

/* Who accepts there waits as elsewhere. */
CONTRACT_KERNEL(engine_waits_on_nonblocking_listeners, KERNEL)
{
	struct acceptor a = { listen_nonblocking(), 0 };
	struct soq_scope *scope = scope_open();
	int client;

	go(scope, accept_client, &a);
	let_turns_pass();
	client = raw_connect(a.listener);
	scope_join(scope);
	CHECK_OK(a.rc);
	soq_listener_close(a.listener);
	close(client);
}
