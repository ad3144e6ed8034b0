/* net_end.c - how streams end: finish, reset, broken pipe, linger. */
#include "contract/net.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

CONTRACT(finish_of_ended_flows)
{
	struct link l;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		CHECK_OK(soq_shutdown(l.far));
		CHECK_OK(soq_finish(l.near));
		CHECK_OK(soq_finish(l.far));
	}
	CHECK_OK(soq_finish(NULL));
}

/* To have ended our flow before, and seen the peer's end, is no reason to fail. */
CONTRACT(finish_after_shutdown_and_end)
{
	struct link l;
	char byte;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		CHECK_OK(soq_shutdown(l.near));
		CHECK_OK(soq_shutdown(l.far));
		CHECK_EQ(soq_recv(l.near, &byte, 1), 0);
		CHECK_EQ(soq_recv(l.far, &byte, 1), 0);
		CHECK_OK(soq_finish(l.near));
		CHECK_OK(soq_finish(l.far));
	}
}

#define REPLY ((size_t)1 << 20)

struct reply {
	struct soq_stream *stream;
	char *bytes;
};

static void reply_and_finish(void *arg)
{
	struct reply *r = arg;

	CHECK_EQ(soq_send(r->stream, r->bytes, REPLY), REPLY);
	CHECK_OK(soq_finish(r->stream));
}

/* The trap: input left unread when a socket is closed makes the kernel send a reset, which
 * destroys what the peer has not read yet. */
CONTRACT(finish_delivers_although_input_is_unread)
{
	static char request[20000];
	char *bytes = malloc(REPLY), *back = malloc(REPLY);
	struct link l;
	char byte;

	CHECK(bytes && back);
	pattern_fill(bytes, 0, REPLY);
	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		struct soq_scope *scope = scope_open();
		struct reply r;

		link_open(&l, kind);
		r = (struct reply){ l.far, bytes };
		CHECK_EQ(soq_send(l.near, request, sizeof(request)), sizeof(request));
		go(scope, reply_and_finish, &r);
		CHECK_EQ(soq_recv_full(l.near, back, REPLY / 2), REPLY / 2);
		CHECK_EQ(soq_send(l.near, request, sizeof(request)), sizeof(request));
		CHECK_EQ(soq_recv_full(l.near, back + REPLY / 2, REPLY / 2), REPLY / 2);
		CHECK_EQ(soq_recv(l.near, &byte, 1), 0);
		pattern_check(back, 0, REPLY);
		soq_close(l.near);
		scope_join(scope);
	}
	free(bytes);
	free(back);
}

CONTRACT(finish_waits_no_longer_than_the_deadline)
{
	struct link l;
	int64_t outer;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		outer = soq_deadline(soq_now() + 5 * SOQ_MS);
		CHECK_ERR(soq_finish(l.near), -ETIMEDOUT);
		soq_deadline_restore(outer);
		soq_close(l.far);
	}
	link_open(&l, TCP4);
	soq_set_recv_timeout(l.near, 5 * SOQ_MS);
	CHECK_ERR(soq_finish(l.near), -ETIMEDOUT);
	soq_close(l.far);
}

/* The whole of it, to the end of the peer's flow, is one wait. */
SIM(finish_ends_at_its_deadline)
{
	struct link l;
	int64_t at_ns, outer;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		at_ns = soq_now() + 5 * SOQ_MS;
		outer = soq_deadline(at_ns);
		CHECK_ERR(soq_finish(l.near), -ETIMEDOUT);
		CHECK_EQ(untimely_ns(at_ns, 1), 0);
		soq_deadline_restore(outer);
		soq_close(l.far);
	}
	link_open(&l, TCP4);
	soq_set_recv_timeout(l.near, 5 * SOQ_MS);
	at_ns = soq_now() + 5 * SOQ_MS;
	CHECK_ERR(soq_finish(l.near), -ETIMEDOUT);
	CHECK_EQ(untimely_ns(at_ns, 1), 0);
	soq_close(l.far);
}

static void send_for_ever(void *arg)
{
	static char bytes[4096];

	while (soq_send(arg, bytes, sizeof(bytes)) > 0)
		;
}

/* Nor does a peer that goes on sending make it wait. */
CONTRACT(finish_of_a_talkative_peer_obeys_the_deadline)
{
	struct soq_scope *scope = scope_open();
	struct link l;
	int64_t outer;

	link_open(&l, TCP4);
	go(scope, send_for_ever, l.far);
	soq_set_recv_timeout(l.near, 600 * SOQ_S);
	outer = soq_deadline(soq_now() + 20 * SOQ_MS);
	CHECK_ERR(soq_finish(l.near), -ETIMEDOUT);
	soq_deadline_restore(outer);
	soq_scope_close(scope);
	soq_close(l.far);
}

static void finish_late(void *arg)
{
	CHECK_ERR(soq_finish(arg), -ECANCELED);
}

CONTRACT(finish_cancelled)
{
	struct soq_scope *scope = scope_open();
	struct link l;

	link_open(&l, TCP4);
	go(scope, finish_late, l.near);
	soq_scope_close(scope);
	soq_close(l.far);
}

CONTRACT(reset_by_peer)
{
	struct link l;
	char buf[8];

	for (enum link_kind kind = TCP4; kind <= DUAL; kind++) {
		link_open(&l, kind);
		stream_reset(l.far);
		CHECK_ERR(soq_recv(l.near, buf, sizeof(buf)), -ECONNRESET);
		soq_close(l.near);
		link_open(&l, kind);
		stream_reset(l.far);
		CHECK_ERR(soq_finish(l.near), -ECONNRESET);
	}
}

static void recv_reset(void *arg)
{
	char buf[8];

	CHECK_ERR(soq_recv(arg, buf, sizeof(buf)), -ECONNRESET);
}

CONTRACT(reset_wakes_a_waiting_receiver)
{
	struct soq_scope *scope = scope_open();
	struct link l;

	link_open(&l, TCP4);
	go(scope, recv_reset, l.near);
	stream_reset(l.far);
	scope_join(scope);
	soq_close(l.near);
}

static void send_until_refused(void *arg)
{
	static char bytes[65536];
	ssize_t n;

	while ((n = soq_send(arg, bytes, sizeof(bytes))) == (ssize_t)sizeof(bytes))
		;
	if (n >= 0) /* cut short: the next call tells why */
		n = soq_send(arg, bytes, 1);
	CHECK(n == -ECONNRESET || n == -EPIPE);
	CHECK(soq_send(arg, bytes, 1) < 0);
}

CONTRACT(reset_wakes_a_waiting_sender)
{
	struct soq_scope *scope = scope_open();
	struct link l;

	link_open(&l, TCP4);
	go(scope, send_until_refused, l.near);
	stream_reset(l.far);
	scope_join(scope);
	soq_close(l.near);
}

/* SIGPIPE would end this process: the harness leaves it at its default. */
CONTRACT(no_signal_for_a_broken_pipe)
{
	struct link l, other;
	char byte;

	CHECK(signal(SIGPIPE, SIG_DFL) == SIG_DFL);
	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		CHECK_OK(soq_shutdown(l.near));
		CHECK_ERR(soq_send(l.near, "x", 1), -EPIPE);
		CHECK_ERR(soq_send_text(l.near, "x"), -EPIPE);
		link_close(&l);
	}
	link_open(&l, PAIR);
	soq_close(l.far);
	link_open(&other, PAIR);
	CHECK_ERR(soq_send_fd(l.near, soq_fd(other.near)), -EPIPE);
	CHECK_ERR(soq_send(l.near, "x", 1), -EPIPE);
	CHECK_EQ(soq_recv(l.near, &byte, 1), 0);
	link_close(&other);
	soq_close(l.near);
}

CONTRACT(no_signal_from_send_file)
{
	struct link l;
	FILE *file = tmpfile();
	sigset_t pending, before, after;

	CHECK(file && fprintf(file, "data") == 4 && fflush(file) == 0);
	CHECK_OK(pthread_sigmask(SIG_SETMASK, NULL, &before));
	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		CHECK_OK(soq_shutdown(l.near));
		CHECK_ERR(soq_send_file(l.near, fileno(file), 0, 4), -EPIPE);
		link_close(&l);
	}
	/* Nor is one left over. */
	CHECK_OK(sigpending(&pending));
	CHECK(!sigismember(&pending, SIGPIPE));
	CHECK_OK(pthread_sigmask(SIG_SETMASK, NULL, &after));
	CHECK_EQ(sigismember(&before, SIGPIPE), sigismember(&after, SIGPIPE));
	fclose(file);
}

struct reader {
	int fd;
	size_t len;
};

/* Receive that much, and go. */
static void *read_and_go(void *arg)
{
	struct reader *r = arg;
	char buf[65536];

	while (r->len > 0) {
		ssize_t n = read(r->fd, buf, r->len < sizeof(buf) ? r->len : sizeof(buf));

		if (n <= 0)
			break;
		r->len -= (size_t)n;
	}
	close(r->fd);
	return NULL;
}

/* sendfile(2) raises a signal even when it returns the bytes that it could send before. */
CONTRACT_KERNEL(no_signal_when_the_peer_goes_within_send_file,
	"the signal would come from the kernel's sendfile(2), within one call")
{
	enum { LEN = 4 << 20 };
	int file = memfd_create("file", MFD_CLOEXEC), fds[2];
	unsigned seed = 1;
	struct soq_stream *s;
	sigset_t pending;
	pthread_t thread;

	CHECK_OK(ftruncate(file, LEN));
	for (unsigned i = 0; i < test_scale(200); i++) {
		struct reader r = { .len = next_random(&seed) % (LEN * 3 / 4) };

		ROW("round %u: gone after %zu bytes", i, r.len);
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
		CHECK_OK(soq_adopt(&s, fds[0]));
		r.fd = fds[1];
		CHECK_EQ(pthread_create(&thread, NULL, read_and_go, &r), 0);
		CHECK(soq_send_file(s, file, 0, LEN) < LEN);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		soq_close(s);
		CHECK_OK(sigpending(&pending));
		CHECK(!sigismember(&pending, SIGPIPE));
	}
	close(file);
}

CONTRACT(linger_zero_resets)
{
	struct link l;
	char byte;

	link_open(&l, TCP4);
	CHECK_ERR(soq_set_linger(l.near, 1), -EINVAL);
	CHECK_OK(soq_set_linger(l.near, 0));
	soq_close(l.near);
	CHECK_ERR(soq_recv(l.far, &byte, 1), -ECONNRESET);
	soq_close(l.far);

	link_open(&l, TCP4);
	CHECK_OK(soq_set_linger(l.near, 0));
	CHECK_OK(soq_set_linger(l.near, -1));
	soq_close(l.near);
	CHECK_EQ(soq_recv(l.far, &byte, 1), 0);
	soq_close(l.far);
}

CONTRACT(close_with_unread_input_resets)
{
	struct link l;
	char byte;

	link_open(&l, TCP4);
	CHECK_EQ(soq_send(l.near, "unread", 6), 6);
	CHECK_OK(soq_wait_readable(l.far));
	soq_close(l.far);
	CHECK_ERR(soq_recv(l.near, &byte, 1), -ECONNRESET);
	soq_close(l.near);
	soq_close(NULL);
}
