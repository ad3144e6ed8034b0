/* tool_ports.c - what `soquete ports` reads: the kernel's lists of sockets, the links of
 * descriptors, the settings; and the names of ports, with or without services(5). */
#include "../../tool/text.c"
#include "../../tool/ports_names.c"
#include "../../tool/ports_rules.c"
#include "../../tool/ports_listening.c"
#include "test.h"

#define TCP  (&lists[0])
#define UDP  (&lists[1])
#define TCP6 (&lists[2])

/* The columns after the state, as the kernel prints them. */
#define REST "00000000:00000000 00:00000000 00000000 "

/* A line of the list of TCP sockets over IPv4, with the address as this machine prints it. */
static void line_of(char *buf, size_t len, uint32_t address, const char *port_and_rest)
{
	snprintf(buf, len, "   0: %08X:%s", htonl(address), port_and_rest);
}

TEST(tool_ports_line_of_ipv4)
{
	static const uint8_t loopback[16] = { 127, 0, 0, 1 };
	struct tool_listener l = { .port = 0 };
	char line[256];

	line_of(line, sizeof(line), 0x7f000001,
		"1F90 00000000:0000 0A " REST
		" 1000        0 79851244 1 0000000087a243ab 100\n");
	CHECK(parse_line(line, TCP, &l));
	CHECK_EQ(l.protocol, IPPROTO_TCP);
	CHECK_EQ(l.family, AF_INET);
	CHECK_MEM(l.address, loopback, sizeof(loopback));
	CHECK_EQ(l.port, 8080);
	CHECK_EQ(l.uid, 1000);
	CHECK_EQ(l.inode, 79851244);
	CHECK_EQ(l.pid, 0);
}

TEST(tool_ports_line_of_ipv6)
{
	struct in6_addr address;
	struct tool_listener l = { .port = 0 };
	uint32_t word[4];
	char line[256];

	CHECK_EQ(inet_pton(AF_INET6, "2001:db8::1:2", &address), 1);
	memcpy(word, &address, sizeof(word));
	snprintf(line, sizeof(line),
		"12345: %08X%08X%08X%08X:0035 00000000000000000000000000000000:0000 0A " REST
		"4294967295 0 18446744073709551615 2 x 0\n",
		word[0], word[1], word[2], word[3]);
	CHECK(parse_line(line, TCP6, &l));
	CHECK_EQ(l.family, AF_INET6);
	CHECK_MEM(l.address, &address, sizeof(address));
	CHECK_EQ(l.port, 53);
	CHECK_EQ(l.uid, UINT32_MAX);
	CHECK_EQ(l.inode, UINT64_MAX);
}

TEST(tool_ports_lines_that_do_not_listen)
{
	static const struct {
		const char *name, *line;
		bool is_udp, listens;
	} rows[] = {
		{ "listening", "0: 0100007F:0007 00000000:0000 0A a b c 0 0 7 1", false, true },
		{ "connected", "0: 0100007F:0007 0100007F:0008 01 a b c 0 0 7 1", false,
			false },
		{ "waiting", "0: 0100007F:0007 0100007F:0008 06 a b c 0 0 0 3", false, false },
		{ "bound", "0: 0100007F:0007 00000000:0000 07 a b c 0 0 7 2", true, true },
		{ "connected udp", "0: 0100007F:0007 0100007F:0008 01 a b c 0 0 7 2", true,
			false },
		{ "tcp's state", "0: 0100007F:0007 00000000:0000 0A a b c 0 0 7 2", true,
			false },
		{ "heading",
			"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
			"retrnsmt   uid  timeout inode",
			false, false },
		{ "ends early", "0: 0100007F:0007 00000000:0000 0A a b c 0 0", false, false },
		{ "no port", "0: 0100007F 00000000:0000 0A a b c 0 0 7 1", false, false },
		{ "short port", "0: 0100007F:007 00000000:0000 0A a b c 0 0 7 1", false,
			false },
		{ "long port", "0: 0100007F:00007 00000000:0000 0A a b c 0 0 7 1", false,
			false },
		{ "short address", "0: 100007F:0007 0:0 0A a b c 0 0 7 1", false, false },
		{ "no digit", "0: 0100007G:0007 0:0 0A a b c 0 0 7 1", false, false },
		{ "an IPv6 address",
			"0: 00000000000000000000000001000000:0007 0:0 0A a b c 0 0 7 1", false,
			false },
		{ "no user", "0: 0100007F:0007 00000000:0000 0A a b c x 0 7 1", false, false },
		{ "large user", "0: 0100007F:0007 0:0 0A a b c 4294967296 0 7 1", false,
			false },
		{ "no inode", "0: 0100007F:0007 00000000:0000 0A a b c 0 0 -7 1", false,
			false },
		{ "empty", "", false, false },
		{ "blank", "   \n", false, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tool_listener l = { .port = 77 };
		char line[256];

		ROW("%s", rows[i].name);
		snprintf(line, sizeof(line), "%s", rows[i].line);
		CHECK_EQ(parse_line(line, rows[i].is_udp ? UDP : TCP, &l), rows[i].listens);
		CHECK_EQ(l.port, rows[i].listens ? 7 : 77);
	}
}

/* More than one growth of the array, and every line after the heading. */
TEST(tool_ports_list_of_many)
{
	struct tool_listening l = { .count = 0 };
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	CHECK(f);
	fputs("  sl  local_address rem_address   st tx_queue ...\n", f);
	for (unsigned i = 1; i <= 100; i++)
		fprintf(f, "%4u: 0100007F:%04X 00000000:0000 %s " REST "0 0 %u 1\n", i, i,
			i % 2 ? "0A" : "06", i);
	fclose(f);
	f = fmemopen(text, len, "r");
	CHECK(f);
	CHECK_EQ(read_lines(f, TCP, &l), 0);
	fclose(f);
	free(text);
	CHECK_EQ(l.count, 50);
	for (size_t i = 0; i < l.count; i++)
		CHECK_EQ(l.at[i].port, 2 * i + 1);
	tool_listening_done(&l);
}

/* A folder can be opened as a file, and not be read. */
TEST(tool_ports_list_that_cannot_be_read)
{
	struct tool_listening l = { .count = 0 };
	static const struct list folder = { "/", IPPROTO_TCP, AF_INET, "0A" },
				 absent = { "/absent/tcp", IPPROTO_TCP, AF_INET, "0A" },
				 absent6 = { "/absent/tcp6", IPPROTO_TCP, AF_INET6, "0A" };

	CHECK_EQ(read_list(&folder, &l), -EISDIR);
	CHECK_EQ(read_list(&absent, &l), -ENOENT);
	CHECK_EQ(read_list(&absent6, &l), 0);
	CHECK_EQ(l.count, 0);
}

TEST(tool_ports_links)
{
	static const struct {
		const char *text;
		uint64_t inode; /* 0: not a socket's */
	} rows[] = {
		{ "socket:[1]", 1 },
		{ "socket:[79851244]", 79851244 },
		{ "socket:[18446744073709551615]", UINT64_MAX },
		{ "socket:[18446744073709551616]", 0 },
		{ "socket:[00000000000000000000000000000001]", 0 },
		{ "socket:[0]", 0 },
		{ "socket:[]", 0 },
		{ "socket:[", 0 },
		{ "socket:[]]", 0 },
		{ "socket:[1]]", 0 },
		{ "socket:[1] ", 0 },
		{ "socket:[1]/x]", 0 },
		{ "pipe:[1]", 0 },
		{ "/dev/null", 0 },
		{ "", 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t inode = 0;

		ROW("'%s'", rows[i].text);
		CHECK_EQ(parse_link(rows[i].text, &inode), rows[i].inode != 0);
		CHECK_EQ(inode, rows[i].inode);
	}
}

TEST(tool_ports_settings)
{
	static const struct {
		const char *text;
		size_t count;
		bool good;
		uint64_t first, second;
	} rows[] = {
		{ "1024\n", 1, true, 1024, 0 },
		{ "0\n", 1, true, 0, 0 },
		{ "32768\t60999\n", 2, true, 32768, 60999 },
		{ " 1  65535 ", 2, true, 1, 65535 },
		{ "1024 1025\n", 1, false, 0, 0 },
		{ "32768\n", 2, false, 0, 0 },
		{ "32768 65536\n", 2, false, 0, 0 },
		{ "32768-60999\n", 2, false, 0, 0 },
		{ "00000000001\n", 1, false, 0, 0 },
		{ "-1\n", 1, false, 0, 0 },
		{ "\n", 1, false, 0, 0 },
		{ "", 1, false, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t n[2] = { 0, 0 };

		ROW("'%s'", rows[i].text);
		CHECK_EQ(parse_numbers(rows[i].text, n, rows[i].count), rows[i].good);
		CHECK_EQ(n[0], rows[i].first);
		CHECK_EQ(n[1], rows[i].second);
	}
}

/* Lines are put together by all but the address, and shared descriptors by their inode. */
TEST(tool_ports_order)
{
	static const struct {
		const char *name;
		struct tool_listener a, b;
		bool alike;
	} rows[] = {
		{ "port", { .port = 1 }, { .port = 2 }, false },
		{ "protocol", { .protocol = IPPROTO_TCP }, { .protocol = IPPROTO_UDP }, false },
		{ "user", { .uid = 1 }, { .uid = UINT32_MAX }, false },
		{ "process", { .pid = 1 }, { .pid = 2 }, false },
		{ "processes", { .pid = 1, .processes = 1 }, { .pid = 1, .processes = 2 },
			false },
		{ "family", { .family = AF_INET }, { .family = AF_INET6 }, true },
		{ "address", { .address = { 1 } }, { .address = { 2 } }, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%s", rows[i].name);
		CHECK(by_line(&rows[i].a, &rows[i].b) < 0);
		CHECK(by_line(&rows[i].b, &rows[i].a) > 0);
		CHECK_EQ(by_line(&rows[i].a, &rows[i].a), 0);
		CHECK_EQ(tool_listener_is_alike(&rows[i].a, &rows[i].b), rows[i].alike);
	}
}

TEST(tool_ports_counts_a_process_once)
{
	struct tool_listener l = { .inode = 1 };
	int dir = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(dir >= 0);
	count_process(&l, 10, dir);
	count_process(&l, 10, dir);
	CHECK_EQ(l.processes, 1);
	count_process(&l, 11, dir);
	count_process(&l, 11, dir);
	CHECK_EQ(l.processes, 2);
	CHECK_EQ(l.pid, 10);
	CHECK(*l.process);
	close(dir);
}

TEST(tool_ports_standard_table)
{
	const struct tool_port *p;
	unsigned last = 0;

	for (size_t i = 0; (p = tool_port_at(i)); i++) {
		uint16_t ports[2] = { 0, 0 };

		ROW("%s", p->name);
		CHECK(p->port > last && p->port < 1024);
		CHECK(p->tcp || p->udp);
		CHECK(tool_port_find(p->port) == p);
		CHECK_EQ(tool_port_by_name(p->name, ports), 1);
		CHECK_EQ(ports[0], p->port);
		last = p->port;
	}
	CHECK(!tool_port_find(0) && !tool_port_find(8));
}

TEST(tool_ports_names)
{
	static const struct {
		const char *text;
		uint16_t port; /* 0: unknown */
	} rows[] = {
		{ "http", 80 },
		{ "HTTP", 80 },
		{ "Ftp-Data", 20 },
		{ "ntp", 123 },
		{ "no-such-service", 0 },
		{ "http ", 0 },
		{ "80", 0 },
		{ "", 0 },
	};
	char longest[NAME_MAX_BYTES + 3];
	uint16_t ports[2] = { 0, 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ports[0] = 0;
		ROW("'%s'", rows[i].text);
		CHECK_EQ(tool_port_by_name(rows[i].text, ports), rows[i].port != 0);
		CHECK_EQ(ports[0], rows[i].port);
	}
	for (size_t len = NAME_MAX_BYTES - 1; len < sizeof(longest); len++) {
		memset(longest, 'X', len);
		longest[len] = '\0';
		CHECK_EQ(tool_port_by_name(longest, ports), 0);
	}
}

TEST(tool_ports_nearest_name)
{
	static const struct {
		const char *word, *meant; /* NULL: none */
	} rows[] = {
		{ "htpp", "http" },
		{ "telent", "telnet" },
		{ "daytme", "daytime" },
		{ "no-such-service", NULL },
		{ "qq", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char name[TOOL_PORT_NAME_MAX] = "";

		ROW("'%s'", rows[i].word);
		CHECK_EQ(tool_port_nearest(rows[i].word, name), rows[i].meant != NULL);
		CHECK_STR(name, rows[i].meant ? rows[i].meant : "");
	}
}

TEST(tool_ports_names_of_a_port)
{
	char name[TOOL_PORT_NAME_MAX] = "x", others[TOOL_PORT_NAME_MAX] = "x";

	CHECK(tool_port_name(7, IPPROTO_UDP, name, others));
	CHECK_STR(name, "echo");
	CHECK(tool_port_name(20, IPPROTO_TCP, name, NULL));
	CHECK_STR(name, "ftp-data");
	CHECK(!tool_port_name(0, IPPROTO_TCP, name, others));
	CHECK_STR(name, "");
	CHECK_STR(others, "");
}

/* As many aliases as have room, and no part of one. */
TEST(tool_ports_aliases)
{
	char list[TOOL_PORT_NAME_MAX] = "";

	join(list, "www");
	join(list, "a\x1b[2J");
	CHECK_STR(list, "www, a\\x1B[2J");
	for (int i = 0; i < 20; i++)
		join(list, "alias");
	CHECK_STR(list, "www, a\\x1B[2J, alias, alias, alias, alias, alias, alias, alias");
}

TEST(tool_ports_printable)
{
	static const struct {
		const char *text, *want;
		size_t room;
	} rows[] = {
		{ "nginx", "nginx", 16 },
		{ "a b", "a b", 16 },
		{ "\x1b[31m\n", "\\x1B[31m\\x0A", 16 },
		{ "caf\xc3\xa9", "caf\\xC3\\xA9", 16 },
		{ "\"\\", "\\x22\\x5C", 16 },
		{ "nginx", "ngi", 4 },
		{ "ab\n", "ab", 5 }, /* no part of what takes the newline's place */
		{ "", "", 4 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char buf[32];

		ROW("row %zu", i);
		tool_port_printable(buf, rows[i].room, rows[i].text);
		CHECK_STR(buf, rows[i].want);
	}
}
