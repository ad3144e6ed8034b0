/* net_lines.c - what is built on receiving: full, lines, giving back, stdio. */
#include "contract/net.h"

CONTRACT(recv_full)
{
	struct link l;
	char buf[8];

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		CHECK_EQ(soq_send_text(l.near, "abcdef"), 6);
		CHECK_EQ(soq_recv_full(l.far, buf, 4), 4);
		CHECK_MEM(buf, "abcd", 4);
		soq_set_recv_timeout(l.far, 5 * SOQ_MS);
		CHECK_EQ(soq_recv_full(l.far, buf, 4), 2); /* cut short ... */
		CHECK_MEM(buf, "ef", 2);
		CHECK_ERR(soq_recv_full(l.far, buf, 4), -ETIMEDOUT); /* ... and why */
		soq_set_recv_timeout(l.far, SOQ_NEVER);
		CHECK_EQ(soq_send_text(l.near, "gh"), 2);
		CHECK_OK(soq_shutdown(l.near));
		CHECK_EQ(soq_recv_full(l.far, buf, 4), 2);
		CHECK_EQ(soq_recv_full(l.far, buf, 4), 0);
		link_close(&l);
	}
}

struct pieces {
	struct soq_stream *to;
	const char *text;
	size_t len;
};

/* A byte at a time, so that every receive sees it alone. */
static void send_bytes(void *arg)
{
	struct pieces *p = arg;

	for (size_t i = 0; i < p->len; i++) {
		CHECK_EQ(soq_send(p->to, p->text + i, 1), 1);
		CHECK_OK(soq_yield());
	}
	CHECK_OK(soq_shutdown(p->to));
}

#define LINE 8 /* bytes of the buffer, its NUL included */

struct line {
	ssize_t rc;
	const char *text;
};

static const struct {
	const char *name;
	const char *input;
	size_t len; /* 0: strlen(input) */
	struct line lines[6];
} line_rows[] = {
	{ "LF", "one\ntwo\n", 0, { { 3, "one" }, { 3, "two" }, { -ENODATA, NULL } } },
	{ "CR LF", "one\r\ntwo\r\n", 0, { { 3, "one" }, { 3, "two" }, { -ENODATA, NULL } } },
	{ "nothing", "", 0, { { -ENODATA, NULL } } },
	{ "empty lines", "\n\r\n\n", 0,
		{ { 0, "" }, { 0, "" }, { 0, "" }, { -ENODATA, NULL } } },
	{ "exact fit", "1234567\nx\n", 0,
		{ { 7, "1234567" }, { 1, "x" }, { -ENODATA, NULL } } },
	{ "exact fit with CR", "1234567\r\nx\n", 0,
		{ { 7, "1234567" }, { 1, "x" }, { -ENODATA, NULL } } },
	{ "one too long", "12345678\nx\n", 0,
		{ { -SOQ_ELINE, "1234567" }, { 1, "x" }, { -ENODATA, NULL } } },
	{ "one too long with CR", "12345678\r\nx\n", 0,
		{ { -SOQ_ELINE, "1234567" }, { 1, "x" }, { -ENODATA, NULL } } },
	{ "much too long", "abcdefghijklmnopqrstuvwxyz\r\nnext\n", 0,
		{ { -SOQ_ELINE, "abcdefg" }, { 4, "next" }, { -ENODATA, NULL } } },
	{ "too long twice", "abcdefghijkl\nmnopqrstuvw\nx\n", 0,
		{ { -SOQ_ELINE, "abcdefg" }, { -SOQ_ELINE, "mnopqrs" }, { 1, "x" },
			{ -ENODATA, NULL } } },
	{ "NUL inside", "a\0b\nc\n", 6, { { 3, "a\0b" }, { 1, "c" }, { -ENODATA, NULL } } },
	{ "CR inside", "a\rb\n\rc\n", 0, { { 3, "a\rb" }, { 2, "\rc" }, { -ENODATA, NULL } } },
	{ "two CRs", "a\r\r\n", 0, { { 2, "a\r" }, { -ENODATA, NULL } } },
	{ "end without LF", "one\ntwo", 0, { { 3, "one" }, { 3, "two" }, { -ENODATA, NULL } } },
	{ "end without LF, exact fit", "1234567", 0, { { 7, "1234567" }, { -ENODATA, NULL } } },
	{ "end without LF, too long", "12345678", 0,
		{ { -SOQ_ELINE, "1234567" }, { -ENODATA, NULL } } },
	{ "end within what is skipped", "123456789abcdef", 0,
		{ { -SOQ_ELINE, "1234567" }, { -ENODATA, NULL } } },
};

static void check_lines(struct soq_stream *s, const struct line *lines)
{
	char buf[LINE];

	for (;; lines++) {
		ssize_t n = soq_recv_line(s, buf, sizeof(buf));

		CHECK_EQ(n, lines->rc);
		if (n == -ENODATA)
			break;
		CHECK_MEM(buf, lines->text, n < 0 ? sizeof(buf) : (size_t)n + 1);
	}
	CHECK_ERR(soq_recv_line(s, buf, sizeof(buf)), -ENODATA);
}

CONTRACT(recv_line_table)
{
	struct link l;

	for (size_t i = 0; i < sizeof(line_rows) / sizeof(line_rows[0]); i++) {
		size_t len = line_rows[i].len ? line_rows[i].len : strlen(line_rows[i].input);

		for (int at_once = 0; at_once < 2; at_once++) {
			struct soq_scope *scope = scope_open();
			struct pieces p;

			link_open(&l, TCP4);
			ROW("%s, %s", line_rows[i].name, at_once ? "at once" : "by bytes");
			p = (struct pieces){ l.near, line_rows[i].input, at_once ? 0 : len };
			if (at_once)
				CHECK_EQ(soq_send(l.near, line_rows[i].input, len), len);
			go(scope, send_bytes, &p);
			check_lines(l.far, line_rows[i].lines);
			scope_join(scope);
			link_close(&l);
		}
	}
}

/* A buffer of one byte holds empty lines only. */
CONTRACT(recv_line_into_one_byte)
{
	struct link l;
	char nul = 'x';

	link_open(&l, PAIR);
	CHECK_EQ(soq_send_text(l.near, "\na\n\n"), 4);
	CHECK_EQ(soq_recv_line(l.far, &nul, 1), 0);
	CHECK_EQ(nul, '\0');
	CHECK_ERR(soq_recv_line(l.far, &nul, 1), -SOQ_ELINE);
	CHECK_EQ(soq_recv_line(l.far, &nul, 1), 0);
	link_close(&l);
}

CONTRACT(recv_line_timeout_keeps_the_part)
{
	struct link l;
	char buf[32];
	int64_t outer;

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		soq_set_recv_timeout(l.far, 2 * SOQ_MS);
		CHECK_EQ(soq_send_text(l.near, "first "), 6);
		CHECK_ERR(soq_recv_line(l.far, buf, sizeof(buf)), -ETIMEDOUT);
		CHECK_EQ(soq_send_text(l.near, "second"), 6);
		CHECK_ERR(soq_recv_line(l.far, buf, sizeof(buf)), -ETIMEDOUT);
		outer = soq_deadline(soq_now());
		CHECK_ERR(soq_recv_line(l.far, buf, sizeof(buf)), -ETIMEDOUT);
		soq_deadline_restore(outer);
		soq_set_recv_timeout(l.far, SOQ_NEVER);
		CHECK_EQ(soq_send_text(l.near, "\nrest"), 5);
		CHECK_EQ(soq_recv_line(l.far, buf, sizeof(buf)), 12);
		CHECK_STR(buf, "first second");
		recv_what_comes(l.far, buf, 4, sizeof(buf)); /* what follows is not lost */
		CHECK_MEM(buf, "rest", 4);
		link_close(&l);
	}
}

/* Lines and bytes may alternate. */
CONTRACT(recv_line_then_recv)
{
	struct link l;
	char buf[16];

	link_open(&l, TCP6);
	CHECK_EQ(soq_send_text(l.near, "length 5\r\nabcdeline\n"), 20);
	CHECK_EQ(soq_recv_line(l.far, buf, sizeof(buf)), 8);
	CHECK_OK(soq_wait_readable(l.far));
	CHECK_EQ(soq_recv_full(l.far, buf, 5), 5);
	CHECK_MEM(buf, "abcde", 5);
	CHECK_EQ(soq_recv_line(l.far, buf, sizeof(buf)), 4);
	link_close(&l);
}

CONTRACT(recv_line_longer_than_any_buffer)
{
	size_t len = (size_t)100 * 1000;
	char *line = malloc(len + 2), *buf = malloc(len + 1);
	struct link l;

	CHECK(line && buf);
	for (size_t i = 0; i < len; i++)
		line[i] = (char)('a' + i % 26);
	memcpy(line + len, "\n", 2);
	link_open(&l, TCP4);
	CHECK_OK(soq_set_send_buffer(l.near, (size_t)1 << 20));
	CHECK_EQ(soq_send(l.near, line, len + 1), len + 1);
	CHECK_EQ(soq_recv_line(l.far, buf, len + 1), len);
	CHECK_MEM(buf, line, len);
	link_close(&l);
	free(line);
	free(buf);
}

CONTRACT(unrecv_comes_first_and_in_order)
{
	struct link l;
	char buf[16];

	for (enum link_kind kind = 0; kind < link_kinds(); kind++) {
		link_open(&l, kind);
		CHECK_OK(soq_unrecv(l.far, "bc", 2)); /* before anything was received */
		CHECK_OK(soq_unrecv(l.far, "", 0));
		CHECK_OK(soq_unrecv(l.far, "a", 1));
		CHECK_EQ(soq_send_text(l.near, "def"), 3);
		CHECK_OK(soq_wait_readable(l.far));
		CHECK_EQ(soq_recv(l.far, buf, 2), 2);
		CHECK_MEM(buf, "ab", 2);
		CHECK_OK(soq_unrecv(l.far, "b", 1));
		CHECK_EQ(soq_recv_full(l.far, buf, 5), 5);
		CHECK_MEM(buf, "bcdef", 5);
		CHECK_OK(soq_shutdown(l.near));
		CHECK_OK(soq_unrecv(l.far, "z", 1)); /* before the end, too */
		CHECK_EQ(soq_recv(l.far, buf, 5), 1);
		CHECK_EQ(soq_recv(l.far, buf, 5), 0);
		link_close(&l);
	}
}

CONTRACT(unrecv_more_than_the_buffer)
{
	enum { PART = 5000, PARTS = 20 };
	static char bytes[PART * PARTS], back[PART * PARTS];
	struct link l;

	pattern_fill(bytes, 0, sizeof(bytes));
	link_open(&l, TCP4);
	for (int i = PARTS - 1; i >= 0; i--)
		CHECK_OK(soq_unrecv(l.far, bytes + i * PART, PART));
	CHECK_EQ(soq_send_text(l.near, "!"), 1);
	CHECK_EQ(soq_recv_full(l.far, back, sizeof(back)), sizeof(back));
	pattern_check(back, 0, sizeof(back));
	CHECK_EQ(soq_recv(l.far, back, 9), 1);
	link_close(&l);
}

CONTRACT(unrecv_then_line)
{
	struct link l;
	char buf[32];

	link_open(&l, UNIX_PATH);
	CHECK_OK(soq_unrecv(l.far, "\nfour", 5));
	CHECK_OK(soq_unrecv(l.far, "one\r\ntwo", 8));
	CHECK_EQ(soq_send_text(l.near, "teen\n"), 5);
	CHECK_EQ(soq_recv_line(l.far, buf, sizeof(buf)), 3);
	CHECK_STR(buf, "one");
	CHECK_EQ(soq_recv_line(l.far, buf, sizeof(buf)), 3);
	CHECK_STR(buf, "two");
	CHECK_EQ(soq_recv_line(l.far, buf, sizeof(buf)), 8);
	CHECK_STR(buf, "fourteen");
	link_close(&l);
}

static void wait_readable(void *arg)
{
	CHECK_OK(soq_wait_readable(arg));
}

CONTRACT(wait_readable_sees_bytes_end_and_reset)
{
	struct soq_scope *scope = scope_open();
	struct link l;
	char byte;

	link_open(&l, TCP4);
	go(scope, wait_readable, l.far);
	CHECK_EQ(soq_send(l.near, "x", 1), 1);
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(soq_recv(l.far, &byte, 1), 1); /* it consumed nothing */
	go(scope, wait_readable, l.far);
	CHECK_OK(soq_shutdown(l.near));
	CHECK_OK(soq_scope_wait(scope));
	CHECK_EQ(soq_recv(l.far, &byte, 1), 0);
	link_close(&l);

	link_open(&l, TCP4);
	go(scope, wait_readable, l.far);
	stream_reset(l.near);
	scope_join(scope);
	CHECK_ERR(soq_recv(l.far, &byte, 1), -ECONNRESET);
	soq_close(l.far);
}

/* ---- stdio ---- */

CONTRACT(fopen_read)
{
	char *line = NULL, word[16];
	size_t capacity = 0;
	struct link l;
	FILE *f;
	int number;

	link_open(&l, TCP4);
	CHECK_EQ(soq_send_text(l.near, "a line\r\nword 42\nlast"), 20);
	CHECK_OK(soq_shutdown(l.near));
	f = soq_fopen(l.far, "r");
	CHECK(f);
	CHECK_EQ(getline(&line, &capacity, f), 8);
	CHECK_STR(line, "a line\r\n");
	CHECK_EQ(fscanf(f, "%15s %d\n", word, &number), 2);
	CHECK_STR(word, "word");
	CHECK_EQ(number, 42);
	CHECK(fgets(word, sizeof(word), f));
	CHECK_STR(word, "last");
	CHECK(!fgets(word, sizeof(word), f) && feof(f) && !ferror(f));
	free(line);
	CHECK_EQ(fclose(f), 0); /* finishes: the peer's end has been seen */
	soq_close(l.near);
}

CONTRACT(fopen_write)
{
	struct link l;
	char buf[64];
	FILE *f;

	link_open(&l, TCP4);
	CHECK_OK(soq_shutdown(l.far));
	f = soq_fopen(l.near, "w");
	CHECK(f);
	CHECK(fprintf(f, "number %d\n", 7) > 0);
	CHECK_EQ(fflush(f), 0);
	CHECK_EQ(soq_recv_line(l.far, buf, sizeof(buf)), 8);
	CHECK_STR(buf, "number 7");
	CHECK(fputs("held back", f) >= 0);
	CHECK_EQ(fclose(f), 0); /* flushes */
	CHECK_EQ(soq_recv_line(l.far, buf, sizeof(buf)), 9);
	CHECK_ERR(soq_recv_line(l.far, buf, sizeof(buf)), -ENODATA);
	soq_close(l.far);
}

static void converse(void *arg)
{
	FILE *f = soq_fopen(arg, "r+");
	char line[64];

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		size_t len = strlen(line);

		CHECK(len > 0);
		CHECK(fprintf(f, "%zu:", len) > 0);
		for (size_t i = 0; i < len; i++)
			CHECK(putc(line[i], f) != EOF);
	}
	CHECK(feof(f));
	CHECK(fprintf(f, "bye\n") > 0);
	CHECK_EQ(fclose(f), 0);
}

/* Reads and writes alternate without a seek between them, and read-ahead is not mixed with
 * what is written. */
CONTRACT(fopen_both_ways)
{
	struct soq_scope *scope = scope_open();
	struct link l;
	char line[64], ask[64], want[80];

	link_open(&l, TCP4);
	CHECK_OK(soq_spawn(scope, converse, l.far));
	CHECK_EQ(soq_send_text(l.near, "pipelined\nlines\n"), 16);
	CHECK_OK(soq_recv_line(l.near, line, sizeof(line)));
	CHECK_STR(line, "10:pipelined");
	CHECK_OK(soq_recv_line(l.near, line, sizeof(line)));
	CHECK_STR(line, "6:lines");
	for (int i = 0; i < 100; i++) {
		snprintf(ask, sizeof(ask), "line %d", i);
		snprintf(want, sizeof(want), "%zu:%s", strlen(ask) + 1, ask);
		CHECK_OK(soq_send_text(l.near, ask));
		CHECK_OK(soq_send_text(l.near, "\n"));
		CHECK_OK(soq_recv_line(l.near, line, sizeof(line)));
		CHECK_STR(line, want);
	}
	CHECK_OK(soq_shutdown(l.near));
	CHECK_OK(soq_recv_line(l.near, line, sizeof(line)));
	CHECK_STR(line, "bye");
	CHECK_ERR(soq_recv_line(l.near, line, sizeof(line)), -ENODATA);
	soq_close(l.near);
	scope_join(scope);
}

CONTRACT(fopen_errors_reach_stdio)
{
	struct link l;
	FILE *f;

	link_open(&l, TCP4);
	soq_set_recv_timeout(l.far, 2 * SOQ_MS);
	f = soq_fopen(l.far, "r+");
	CHECK(f);
	errno = 0;
	CHECK(getc(f) == EOF && ferror(f) && !feof(f));
	CHECK_EQ(errno, ETIMEDOUT);
	clearerr(f);
	soq_set_recv_timeout(l.far, SOQ_NEVER);
	CHECK_EQ(soq_send_text(l.near, "x"), 1);
	CHECK_EQ(getc(f), 'x');
	CHECK_OK(soq_shutdown(l.near));
	CHECK_OK(soq_shutdown(l.far));
	CHECK(fputs("nobody hears this", f) == EOF && ferror(f));
	fclose(f);
	soq_close(l.near);
}
