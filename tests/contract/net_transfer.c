/* net_transfer.c - much data: both ways at once, in odd sizes, from files, past urgent bytes.
 */
#include "contract/net.h"

#include <fcntl.h>

#define URGENT "only the kernel's own calls can send urgent data"

struct flow {
	struct soq_stream *stream;
	size_t offset; /* where the pattern begins */
	size_t len;
	unsigned seed;
};

#define CHUNK_MAX 100000

static void send_flow(void *arg)
{
	struct flow *f = arg;
	char *buf = malloc(CHUNK_MAX);
	size_t sent = 0;

	CHECK(buf);
	while (sent < f->len) {
		size_t n = next_random(&f->seed) % CHUNK_MAX + 1;

		n = n < f->len - sent ? n : f->len - sent;
		pattern_fill(buf, f->offset + sent, n);
		CHECK_EQ(soq_send(f->stream, buf, n), n);
		sent += n;
	}
	free(buf);
	CHECK_OK(soq_shutdown(f->stream));
}

static void recv_flow(void *arg)
{
	struct flow *f = arg;
	char *buf = malloc(CHUNK_MAX);
	size_t got = 0;
	ssize_t n;

	CHECK(buf);
	while ((n = CHECK_OK(soq_recv(f->stream, buf, next_random(&f->seed) % CHUNK_MAX + 1))) >
		0) {
		pattern_check(buf, f->offset + got, (size_t)n);
		got += (size_t)n;
	}
	CHECK_EQ(got, f->len);
	free(buf);
}

static void transfer(struct link *l, size_t len, unsigned seed)
{
	struct soq_scope *scope = scope_open();
	struct flow flows[] = {
		{ l->near, 0, len, seed },
		{ l->far, 0, len, seed + 1 },
		{ l->far, 77, len, seed + 2 },
		{ l->near, 77, len, seed + 3 },
	};

	for (int i = 0; i < 4; i++)
		CHECK_OK(soq_spawn(scope, i % 2 ? recv_flow : send_flow, &flows[i]));
	scope_join(scope);
}

CONTRACT(transfer_both_ways_at_once)
{
	struct link l;

	link_open(&l, TCP4);
	transfer(&l, (size_t)test_scale(32) << 20, 1);
	link_close(&l);
}

CONTRACT(transfer_every_kind)
{
	struct link l;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		transfer(&l, (size_t)test_scale(2000) * 1000 + 3, kind * 10 + 5);
		link_close(&l);
	}
}

/* With buffers this small, sends are cut into many parts and wait again and again. Not the
 * receiver's too: TCP would wait for delayed acknowledgements of its small window. */
CONTRACT(transfer_through_small_buffers)
{
	struct link l;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		CHECK_OK(soq_set_send_buffer(l.near, 4096));
		transfer(&l, (size_t)test_scale(300) * 1000, kind * 10 + 7);
		link_close(&l);
	}
}

static void send_single_bytes(void *arg)
{
	struct flow *f = arg;

	for (size_t i = 0; i < f->len; i++) {
		unsigned char byte = pattern_at(f->offset + i);

		CHECK_EQ(soq_send(f->stream, &byte, 1), 1);
		if (i % 3 == 0)
			CHECK_OK(soq_yield());
	}
	CHECK_OK(soq_shutdown(f->stream));
}

CONTRACT(transfer_a_byte_at_a_time)
{
	struct link l;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		struct soq_scope *scope = scope_open();
		struct flow out, in;

		link_open(&l, kind);
		out = (struct flow){ l.near, 3, test_scale(2000), 0 };
		in = (struct flow){ l.far, 3, test_scale(2000), 9 };
		CHECK_OK(soq_spawn(scope, recv_flow, &in));
		CHECK_OK(soq_spawn(scope, send_single_bytes, &out));
		scope_join(scope);
		link_close(&l);
	}
}

/* A stream over TCP whose peer is a socket of the kernel's own. @return that one */
static int raw_peer(struct soq_stream **ret)
{
	struct soq_listener *l;
	int fd;

	CHECK_OK(soq_listen(&l, "tcp://127.0.0.1:0", NULL));
	fd = raw_connect(l);
	CHECK_OK(soq_accept(ret, l));
	soq_listener_close(l);
	return fd;
}

/* Urgent data makes a receive end early, with more behind it: whoever takes that for the
 * last of it waits for ever (tcp(7), SO_OOBINLINE). */
CONTRACT_KERNEL(transfer_urgent_data_stalls_nobody, URGENT)
{
	struct soq_stream *s;
	char buf[64];
	int fd = raw_peer(&s);

	for (int round = 0; round < 20; round++) {
		CHECK_EQ(send(fd, "before", 6, 0), 6);
		CHECK_EQ(send(fd, "!", 1, MSG_OOB), 1);
		CHECK_EQ(send(fd, "after", 5, 0), 5);
		CHECK_EQ(soq_recv_full(s, buf, 11), 11);
		CHECK_MEM(buf, "beforeafter", 11);
	}
	CHECK_EQ(send(fd, "!", 1, MSG_OOB), 1);
	close(fd);
	CHECK_EQ(soq_recv(s, buf, sizeof(buf)), 0);
	soq_close(s);
}

struct urgent {
	struct soq_stream *stream;
	size_t got;
};

static void count_bytes(void *arg)
{
	struct urgent *u = arg;
	char buf[4096];
	ssize_t n;

	while ((n = CHECK_OK(soq_recv(u->stream, buf, sizeof(buf)))) > 0)
		u->got += (size_t)n;
}

/* The same to a receiver that waits already. */
CONTRACT_KERNEL(transfer_urgent_data_wakes_the_reader, URGENT)
{
	struct soq_scope *scope = scope_open();
	struct urgent u = { 0 };
	int fd = raw_peer(&u.stream);

	go(scope, count_bytes, &u);
	for (int round = 0; round < 50; round++) {
		CHECK_EQ(send(fd, "ab!", 3, MSG_OOB), 3);
		CHECK_OK(soq_yield());
		CHECK_EQ(send(fd, "cd", 2, 0), 2);
		CHECK_OK(soq_yield());
	}
	close(fd);
	scope_join(scope);
	CHECK_EQ(u.got, 200);
	soq_close(u.stream);
}

/* ---- files ---- */

/* A file of the pattern. */
static int pattern_file(size_t len)
{
	FILE *f = tmpfile();
	int fd;
	char *bytes = malloc(len ? len : 1);

	CHECK(f && bytes);
	pattern_fill(bytes, 0, len);
	CHECK_EQ(fwrite(bytes, 1, len, f), len);
	CHECK_EQ(fflush(f), 0);
	fd = (int)CHECK_OK(fcntl(fileno(f), F_DUPFD_CLOEXEC, 0));
	fclose(f);
	free(bytes);
	return fd;
}

#define FILE_BYTES ((size_t)3000000)

static const struct {
	const char *name;
	int64_t offset;
	size_t len, want;
} file_rows[] = {
	{ "whole", 0, FILE_BYTES, FILE_BYTES },
	{ "nothing", 0, 0, 0 },
	{ "a part", 12345, 54321, 54321 },
	{ "the last byte", FILE_BYTES - 1, 1, 1 },
	{ "more than there is", 1000000, FILE_BYTES, FILE_BYTES - 1000000 },
	{ "from the end", FILE_BYTES, 100, 0 },
	{ "from past the end", FILE_BYTES + 100, 100, 0 },
};

struct file_job {
	struct soq_stream *stream;
	int fd;
	size_t row;
};

static void send_file_row(void *arg)
{
	struct file_job *j = arg;

	CHECK_EQ(soq_send_file(
			 j->stream, j->fd, file_rows[j->row].offset, file_rows[j->row].len),
		file_rows[j->row].want);
	CHECK_OK(soq_shutdown(j->stream));
}

CONTRACT(send_file_table)
{
	int fd = pattern_file(FILE_BYTES);
	struct link l;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++)
		for (size_t i = 0; i < sizeof(file_rows) / sizeof(file_rows[0]); i++) {
			struct soq_scope *scope = scope_open();
			struct file_job job;
			struct flow in;

			link_open(&l, kind);
			ROW("%s, %s", link_names[kind], file_rows[i].name);
			job = (struct file_job){ l.near, fd, i };
			in = (struct flow){ l.far, (size_t)file_rows[i].offset,
				file_rows[i].want, 3 };
			CHECK_OK(soq_spawn(scope, send_file_row, &job));
			CHECK_OK(soq_spawn(scope, recv_flow, &in));
			scope_join(scope);
			link_close(&l);
		}
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), FILE_BYTES); /* its own offset was not used */
	close(fd);
}

/* A send of a file can be mixed with other sends, and an input read at the same time. */
CONTRACT(send_file_between_headers)
{
	int fd = pattern_file(1000);
	char buf[1000];
	struct link l;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		CHECK_OK(soq_send_text(l.near, "head"));
		CHECK_EQ(soq_send_file(l.near, fd, 0, 1000), 1000);
		CHECK_OK(soq_send_text(l.near, "tail"));
		CHECK_EQ(soq_recv_full(l.far, buf, 4), 4);
		CHECK_MEM(buf, "head", 4);
		CHECK_EQ(soq_recv_full(l.far, buf, 1000), 1000);
		pattern_check(buf, 0, 1000);
		CHECK_EQ(soq_recv_full(l.far, buf, 4), 4);
		CHECK_MEM(buf, "tail", 4);
		link_close(&l);
	}
	close(fd);
}

static void send_whole_file(void *arg)
{
	struct file_job *j = arg;
	ssize_t n = CHECK_OK(soq_send_file(j->stream, j->fd, 0, FILE_BYTES));

	CHECK((size_t)n < FILE_BYTES);
	CHECK_OK(soq_shutdown(j->stream));
}

/* The file is cut while its reader is slow: what was sent is told, and no more is. */
CONTRACT(send_file_that_shrinks)
{
	struct soq_scope *scope = scope_open();
	int fd = pattern_file(FILE_BYTES);
	struct file_job job;
	struct link l;
	char buf[4096];
	size_t got = 0;
	ssize_t n;

	link_open(&l, TCP4);
	CHECK_OK(soq_set_send_buffer(l.near, 16384));
	CHECK_OK(soq_set_recv_buffer(l.far, 16384));
	job = (struct file_job){ l.near, fd, 0 };
	go(scope, send_whole_file, &job);
	CHECK_OK(ftruncate(fd, 300000));
	while ((n = CHECK_OK(soq_recv(l.far, buf, sizeof(buf)))) > 0)
		got += (size_t)n;
	CHECK(got < FILE_BYTES);
	scope_join(scope);
	link_close(&l);
	close(fd);
}

/* A reader that takes little at a time, and several at once. */
CONTRACT(send_file_to_several_slow_readers)
{
	enum { READERS = 4 };
	struct soq_scope *scope = scope_open();
	int fd = pattern_file(FILE_BYTES);
	struct file_job jobs[READERS];
	struct flow in[READERS];
	struct link l[READERS];

	for (int i = 0; i < READERS; i++) {
		link_open(&l[i], i % 2 ? FD : TCP4);
		CHECK_OK(soq_set_send_buffer(l[i].near, 8192));
		jobs[i] = (struct file_job){ l[i].near, fd, 0 };
		in[i] = (struct flow){ l[i].far, 0, FILE_BYTES, (unsigned)i };
		CHECK_OK(soq_spawn(scope, send_file_row, &jobs[i]));
		CHECK_OK(soq_spawn(scope, recv_flow, &in[i]));
	}
	scope_join(scope);
	for (int i = 0; i < READERS; i++)
		link_close(&l[i]);
	close(fd);
}

CONTRACT(send_file_cut_short_tells_the_count)
{
	int fd = pattern_file(FILE_BYTES);
	struct soq_scope *scope;
	struct link l;
	struct flow in;
	ssize_t sent;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		CHECK_OK(soq_set_send_buffer(l.near, 16384));
		CHECK_OK(soq_set_recv_buffer(l.far, 16384));
		soq_set_send_timeout(l.near, 2 * SOQ_MS);
		sent = CHECK_OK(soq_send_file(l.near, fd, 0, FILE_BYTES));
		CHECK(sent > 0 && (size_t)sent < FILE_BYTES);
		CHECK_ERR(soq_send_file(l.near, fd, sent, 1), -ETIMEDOUT);
		scope = scope_open();
		go(scope, end_flow, l.near);
		in = (struct flow){ l.far, 0, (size_t)sent, 8 };
		recv_flow(&in);
		scope_join(scope);
		link_close(&l);
	}
	close(fd);
}

CONTRACT(send_file_of_what_is_none)
{
	struct link l;
	int fd[2]; /* a pipe: what the file is, is the kernel's on every engine */

	link_open(&l, TCP4);
	CHECK_OK(pipe2(fd, O_CLOEXEC));
	CHECK_ERR(soq_send_file(l.near, -1, 0, 10), -EBADF);
	CHECK_ERR(soq_send_file(l.near, fd[0], -1, 10), -EINVAL);
	CHECK(soq_send_file(l.near, fd[0], 0, 10) < 0);
	CHECK_EQ(soq_send(l.near, "on", 2), 2); /* the stream is none the worse */
	close(fd[0]);
	close(fd[1]);
	link_close(&l);
}
