/* proto_hosts.c - lines and names of hosts(5), good and bad. */
#include "test.h"
#include "proto/hosts_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was found, one line each: "address|name|name". */
static void read_all(char *out, size_t out_len, const char *text, size_t len)
{
	struct soq__hosts_line line;
	const char *at = text, *end = text + len;
	size_t n = 0;

	out[0] = '\0';
	while (soq__hosts_next(&line, &at, end)) {
		const char *name = line.names, *word = NULL;
		size_t word_len = 0;

		n += (size_t)snprintf(
			out + n, out_len - n, "%.*s", (int)line.address_len, line.address);
		while (soq__hosts_name(&word, &word_len, &name, line.names + line.names_len))
			n += (size_t)snprintf(
				out + n, out_len - n, "|%.*s", (int)word_len, word);
		CHECK(word && word + word_len == line.names + line.names_len);
		n += (size_t)snprintf(out + n, out_len - n, "\n");
		CHECK(n < out_len);
	}
	CHECK(at == end);
}

#define BYTES(literal) literal, sizeof(literal) - 1

TEST(proto_hosts_lines)
{
	static const struct {
		const char *name, *text;
		size_t len;
		const char *want;
	} rows[] = {
		{ "nothing", BYTES(""), "" },
		{ "empty lines", BYTES("\n\n\n"), "" },
		{ "one", BYTES("127.0.0.1 localhost\n"), "127.0.0.1|localhost\n" },
		{ "no final newline", BYTES("::1 a b"), "::1|a|b\n" },
		{ "tabs, blanks at both ends", BYTES(" \t10.0.0.1\t a  \t b \t\n"),
			"10.0.0.1|a|b\n" },
		{ "of Windows", BYTES("10.0.0.1 a\r\n\r\n10.0.0.2 b\r\n"),
			"10.0.0.1|a\n10.0.0.2|b\n" },
		{ "comments", BYTES("# all\n10.0.0.1 a # b\n10.0.0.2 c#d e\n#"),
			"10.0.0.1|a\n10.0.0.2|c\n" },
		{ "no name", BYTES("10.0.0.1\n10.0.0.2 # a\n10.0.0.3 \n10.0.0.4 d\n"),
			"10.0.0.4|d\n" },
		{ "address in a comment", BYTES("10.0.0.1#a b\n"), "" },
		{ "a zone", BYTES("fe80::1%lo0 a\n"), "fe80::1%lo0|a\n" },
		{ "not judged", BYTES("here a\n"), "here|a\n" },
		{ "NUL ends a line", BYTES("10.0.0.1 a\0b c\n10.0.0.2 d\n"),
			"10.0.0.1|a\n10.0.0.2|d\n" },
		{ "NUL at the start", BYTES("\0 10.0.0.1 a\n10.0.0.2 b\n"), "10.0.0.2|b\n" },
		{ "bytes above ASCII", BYTES("10.0.0.1 \xc3\xa9t\xc3\xa9\n"),
			"10.0.0.1|\xc3\xa9t\xc3\xa9\n" },
		{ "vertical tab, form feed", BYTES("10.0.0.1\va\fb\n"), "10.0.0.1|a|b\n" },
		{ "a lone CR is a blank", BYTES("10.0.0.1\ra\r"), "10.0.0.1|a\n" },
	};
	char got[1024];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* Of its exact length, so that a byte too far is seen. */
		char *text = malloc(rows[i].len > 0 ? rows[i].len : 1);

		ROW("%s", rows[i].name);
		CHECK(text);
		memcpy(text, rows[i].text, rows[i].len);
		read_all(got, sizeof got, text, rows[i].len);
		free(text);
		CHECK_STR(got, rows[i].want);
	}
}

/* Where there is nothing more, what is returned stays as it was. */
TEST(proto_hosts_end_untouched)
{
	static const char text[] = "10.0.0.1 a\n10.0.0.2\n";
	struct soq__hosts_line line = { 0 };
	const char *at = text, *end = text + sizeof text - 1, *name = NULL;
	size_t name_len = 7;

	CHECK(soq__hosts_next(&line, &at, end));
	CHECK(!soq__hosts_next(&line, &at, end));
	CHECK(line.address == text && line.names == text + 9);
	CHECK(!soq__hosts_name(&name, &name_len, &at, end));
	CHECK(!name);
	CHECK_EQ(name_len, 7);
}

/* A line of a megabyte, as lists of unwanted hosts have them by accident. */
TEST(proto_hosts_long_line)
{
	enum { NAMES = 200000 };
	size_t len = 9 + 5 * NAMES;
	char *text = malloc(len + 1);
	struct soq__hosts_line line;
	const char *at = text, *name, *word;
	size_t word_len;
	unsigned count = 0;

	CHECK(text);
	memcpy(text, "10.0.0.1 ", 9);
	for (size_t i = 0; i < NAMES; i++)
		memcpy(text + 9 + 5 * i, "abcd ", 5);
	text[len - 1] = 'e'; /* no blank and no newline at the end */
	CHECK(soq__hosts_next(&line, &at, text + len));
	CHECK_EQ(line.names_len, len - 9);
	name = line.names;
	while (soq__hosts_name(&word, &word_len, &name, line.names + line.names_len)) {
		count++;
		CHECK_EQ(word_len, count < NAMES ? 4 : 5);
	}
	CHECK_EQ(count, NAMES);
	CHECK(!soq__hosts_next(&line, &at, text + len));
	free(text);
}
