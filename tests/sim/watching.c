/* watching.c - what the trace, the log and the diagram of a world show is what happened. */
#include "test.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SENT_BYTES	 20000
#define DGRAM_BYTES	 4000 /* three fragments */
#define PORT		 7
#define FRAGMENTED_BYTES (DGRAM_BYTES + 8) /* a header of UDP's, and what follows */

/* A run, and what was written of it. */
struct run {
	char *text[3];
	size_t len[3];
};

enum { TRACE, LOG, DIAGRAM };

static char sent[SENT_BYTES];

/* ---- the world ---- */

static int echo(struct soq_stream *peer, void *arg)
{
	char buf[1000];
	ssize_t n;

	(void)arg;
	while ((n = soq_recv(peer, buf, sizeof(buf))) > 0)
		CHECK_OK(soq_send(peer, buf, (size_t)n));
	return (int)n;
}

static int server(void *arg)
{
	return soq_serve("tcp://:7", echo, NULL, arg);
}

static void send_all(void *arg)
{
	CHECK_OK(soq_send(arg, sent, SENT_BYTES));
	CHECK_OK(soq_shutdown(arg));
}

/* Sends over IPv6 or IPv4 and gets everything back; and a datagram to nobody. */
static int client(void *arg)
{
	static char back[SENT_BYTES], dgram[DGRAM_BYTES];
	struct soq_stream *s;
	struct soq_scope *scope;
	struct soq_dgram *d;

	CHECK_OK(soq_connect(&s, arg));
	CHECK_OK(soq_scope_open(&scope));
	CHECK_OK(soq_spawn(scope, send_all, s));
	CHECK_EQ(soq_recv_full(s, back, SENT_BYTES), SENT_BYTES);
	CHECK_MEM(back, sent, SENT_BYTES);
	CHECK_OK(soq_scope_wait(scope));
	soq_scope_close(scope);
	soq_close(s);
	CHECK_OK(soq_dgram_connect(&d, "udp://10.0.0.1:9"));
	CHECK_EQ(soq_sendto(d, dgram, DGRAM_BYTES, NULL), DGRAM_BYTES);
	soq_dgram_set_recv_timeout(d, 1 * SOQ_S);
	soq_recvfrom(d, dgram, 1, NULL);
	soq_dgram_close(d);
	soq_sim_halt(soq_sim_of(soq_sim_here()));
	return 0;
}

/* Each case names its own seeds. */
static void prepare(void)
{
	unsetenv("SOQUETE_SEED");
	for (uint32_t i = 0; i < SENT_BYTES; i++)
		sent[i] = (char)(i * 2654435761u >> 13);
}

static void run_world(struct run *ret, uint64_t seed, uint32_t trouble_ppm, const char *to,
	unsigned events_max)
{
	struct soq_sim_options opt = { .link = { .loss_ppm = trouble_ppm,
					       .duplicate_ppm = trouble_ppm,
					       .reorder_ppm = trouble_ppm } };
	struct soq_sim_host *a, *b;
	struct soq_sim *sim;
	FILE *files[3];

	for (size_t i = 0; i < 3; i++)
		CHECK((files[i] = open_memstream(&ret->text[i], &ret->len[i])) != NULL);
	CHECK_OK(soq_sim_new(&sim, seed, &opt));
	CHECK_OK(soq_sim_trace(sim, files[TRACE]));
	CHECK_OK(soq_sim_log(sim, files[LOG]));
	CHECK_OK(soq_sim_host_new(&a, sim, "server", NULL));
	CHECK_OK(soq_sim_host_new(&b, sim, "client", NULL));
	CHECK_OK(soq_sim_diagram(sim, files[DIAGRAM], "1 < 2 & \"3\" \x01\xff", events_max));
	CHECK_OK(soq_sim_spawn(a, server, NULL));
	CHECK_OK(soq_sim_spawn(b, client, (void *)to));
	CHECK_EQ(soq_sim_run(sim, 3600 * SOQ_S), SOQ_SIM_HALTED);
	soq_sim_free(sim);
	for (size_t i = 0; i < 3; i++)
		CHECK_EQ(fclose(files[i]), 0);
}

static void run_done(struct run *r)
{
	for (size_t i = 0; i < 3; i++)
		free(r->text[i]);
}

static bool same_text(const struct run *a, const struct run *b, size_t i)
{
	return a->len[i] == b->len[i] && memcmp(a->text[i], b->text[i], a->len[i]) == 0;
}

/* ---- reading a capture ---- */

struct capture {
	unsigned interfaces, names, packets, comments, journal, fragments;
	size_t fragment_bytes;
	unsigned tcp, udp, icmp;
	/* The client's bytes, and the server's, by sequence number. */
	uint32_t first[2];
	char bytes[2][SENT_BYTES];
	uint8_t seen[2][SENT_BYTES];
};

static uint32_t le32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return be16(p) << 16 | be16(p + 2);
}

static uint32_t sum16(uint32_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void read_tcp(struct capture *c, const uint8_t *p, size_t len)
{
	size_t header = (size_t)(p[12] >> 4) * 4;
	bool from_server = be16(p) == PORT, syn = p[13] & 2;
	uint32_t seq = be32(p + 4);

	CHECK(header >= 20 && header <= len);
	CHECK_EQ(be16(p + 18), 0); /* the urgent pointer */
	CHECK(from_server || be16(p + 2) == PORT);
	c->tcp++;
	if (syn) {
		CHECK_EQ(header, 28);
		c->first[from_server] = seq + 1;
	}
	for (size_t i = header; i < len; i++) {
		uint32_t at = seq - c->first[from_server] + (uint32_t)(i - header);

		CHECK(at < SENT_BYTES);
		c->bytes[from_server][at] = (char)p[i];
		c->seen[from_server][at] = 1;
	}
}

/* What an IP packet carries, which its protocol's checksum covers; an ICMP message's of IPv4
 * covers no addresses. */
static void read_segment(
	struct capture *c, const uint8_t *p, size_t len, uint8_t protocol, uint32_t pseudo)
{
	if (protocol == 1)
		pseudo = 0;
	else
		pseudo = sum16(pseudo,
			(uint8_t[]){ 0, protocol, (uint8_t)(len >> 8), (uint8_t)len }, 4);
	CHECK_EQ(sum16(pseudo, p, len), 0xffff);
	if (protocol == 6)
		read_tcp(c, p, len);
	else if (protocol == 17)
		c->udp++;
	else
		c->icmp++;
}

static void read_packet(struct capture *c, const uint8_t *p, size_t len)
{
	if (p[0] >> 4 == 6) {
		CHECK_EQ(be16(p + 4), len - 40);
		read_segment(c, p + 40, len - 40, p[6], sum16(0, p + 8, 32));
		return;
	}
	CHECK_EQ(p[0], 0x45);
	CHECK_EQ(be16(p + 2), len);
	CHECK_EQ(sum16(0, p, 20), 0xffff);
	CHECK(len <= 1500);
	if ((be16(p + 6) & 0x3fff) == 0) {
		read_segment(c, p + 20, len - 20, p[9], sum16(0, p + 12, 8));
		return;
	}
	/* More fragments follow, or it has an offset: that of what has been before. */
	CHECK_EQ((be16(p + 6) & 0x1fff) * 8, c->fragment_bytes % FRAGMENTED_BYTES);
	c->fragments++;
	c->fragment_bytes += len - 20;
	CHECK_EQ(!(be16(p + 6) & 0x2000), c->fragment_bytes % FRAGMENTED_BYTES == 0);
}

static void read_enhanced(struct capture *c, const uint8_t *p, size_t len)
{
	size_t captured = le32(p + 12), options = 20 + (captured + 3) / 4 * 4;

	CHECK(le32(p) < c->interfaces);
	CHECK_EQ(captured, le32(p + 16));
	CHECK(options + 4 <= len);
	c->packets++;
	c->comments += le32(p + options) >> 16 && (le32(p + options) & 0xffff) == 1;
	read_packet(c, p + 20, captured);
}

static void read_capture(struct capture *c, const struct run *r)
{
	const uint8_t *p = (const uint8_t *)r->text[TRACE];
	size_t left = r->len[TRACE];

	memset(c, 0, sizeof(*c));
	CHECK(left >= 12);
	CHECK_EQ(le32(p), 0x0a0d0d0a);
	CHECK_EQ(le32(p + 8), 0x1a2b3c4d);
	while (left > 0) {
		size_t len = le32(p + 4);

		CHECK(len >= 12 && len <= left && len % 4 == 0);
		CHECK_EQ(le32(p + len - 4), len);
		c->interfaces += le32(p) == 1;
		c->names += le32(p) == 4;
		c->journal += le32(p) == 9;
		if (le32(p) == 6)
			read_enhanced(c, p + 8, len - 12);
		p += len;
		left -= len;
	}
}

/* ---- cases ---- */

/* Checksums, lengths and fragments are right; and the bytes are those that were sent, though
 * packets were lost and came twice. */
TEST(sim_trace_holds_what_was_sent)
{
	static const struct {
		uint32_t trouble_ppm;
		const char *to;
	} rows[] = {
		{ 0, "tcp://10.0.0.1:7" },
		{ 0, "tcp://[fd00::1]:7" },
		{ 50000, "tcp://10.0.0.1:7" },
		{ 50000, "tcp://[fd00::1]:7" },
	};
	static struct capture c;

	prepare();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct run r;

		ROW("%u ppm, %s", rows[i].trouble_ppm, rows[i].to);
		run_world(&r, 7, rows[i].trouble_ppm, rows[i].to, 0);
		read_capture(&c, &r);
		CHECK_EQ(c.interfaces, 2);
		CHECK_EQ(c.names, 2);
		CHECK_EQ(c.comments, c.packets);
		CHECK_EQ(c.packets, c.tcp + c.udp + c.icmp + c.fragments);
		CHECK(c.fragments == 3 || (rows[i].trouble_ppm && c.fragments == 6));
		CHECK(c.journal >= 3); /* the programs' begin, and an end */
		for (size_t k = 0; k < 2; k++) {
			CHECK(memchr(c.seen[k], 0, SENT_BYTES) == NULL);
			CHECK_MEM(c.bytes[k], sent, SENT_BYTES);
		}
		run_done(&r);
	}
}

/* Lines are in the order of time, and there is one for each packet of the capture. */
TEST(sim_log_has_a_line_an_event)
{
	static struct capture c;
	unsigned tcp = 0;
	double last = 0;
	char *rest, *line;
	struct run r;

	prepare();
	run_world(&r, 7, 50000, "tcp://server:7", 0);
	read_capture(&c, &r);
	rest = r.text[LOG];
	while ((line = strsep(&rest, "\n")) && *line) {
		double at = strtod(line, NULL);

		CHECK(at >= last);
		last = at;
		tcp += strstr(line, " TCP ") != NULL;
	}
	CHECK(last > 0);
	CHECK_EQ(tcp, c.tcp);
	run_done(&r);
}

static unsigned count_of(const char *text, const char *word)
{
	unsigned n = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		n++;
	return n;
}

TEST(sim_diagram_is_xml_of_its_own)
{
	const char *svg;
	struct run r;

	prepare();
	run_world(&r, 7, 50000, "tcp://server:7", 0);
	svg = r.text[DIAGRAM];
	CHECK_EQ(strncmp(svg, "<svg ", 5), 0);
	CHECK_STR(svg + strlen(svg) - 7, "</svg>\n");
	CHECK(strstr(svg,
		">1 &lt; 2 &amp; \"3\" ?"
		"?</title>"));
	CHECK_EQ(count_of(svg, "<text"), count_of(svg, "</text>"));
	CHECK_EQ(count_of(svg, "http"), 1); /* SVG's own name */
	CHECK_EQ(count_of(svg, "<script"), 0);
	CHECK(strstr(svg, ">SYN+ACK</text>"));
	CHECK(strstr(svg, ">lost</text>"));
	CHECK(!strstr(svg, "left out"));
	run_done(&r);
	run_world(&r, 7, 0, "tcp://server:7", 7);
	CHECK(strstr(r.text[DIAGRAM], " more events are left out</text>"));
	/* Two programs begin, and a name is asked for in both families: those are four more. */
	CHECK_EQ(count_of(r.text[DIAGRAM], "class=\"words\""), 3);
	run_done(&r);
}

/* Equal runs are seen alike, byte for byte; and others are not. */
TEST(sim_watching_is_repeatable)
{
	struct run a, b, other;

	prepare();
	run_world(&a, 3, 50000, "tcp://server:7", 0);
	run_world(&b, 3, 50000, "tcp://server:7", 0);
	run_world(&other, 4, 50000, "tcp://server:7", 0);
	for (size_t i = 0; i < 3; i++) {
		ROW("%zu", i);
		CHECK(same_text(&a, &b, i));
		CHECK(!same_text(&a, &other, i));
	}
	run_done(&a);
	run_done(&b);
	run_done(&other);
}

/* Whether somebody looks on makes no difference to what happens. */
TEST(sim_watching_changes_nothing)
{
	uint64_t events[2];
	int64_t now_ns[2];

	prepare();
	for (unsigned watched = 0; watched < 2; watched++) {
		struct soq_sim_options opt = { .link = { .loss_ppm = 50000 } };
		struct soq_sim_host *a, *b;
		struct soq_sim *sim;
		FILE *null = fopen("/dev/null", "w");

		CHECK_OK(soq_sim_new(&sim, 5, &opt));
		if (watched) {
			CHECK_OK(soq_sim_trace(sim, null));
			CHECK_OK(soq_sim_log(sim, null));
			CHECK_OK(soq_sim_diagram(sim, null, NULL, 0));
		}
		CHECK_OK(soq_sim_host_new(&a, sim, "server", NULL));
		CHECK_OK(soq_sim_host_new(&b, sim, "client", NULL));
		CHECK_OK(soq_sim_spawn(a, server, NULL));
		CHECK_OK(soq_sim_spawn(b, client, (void *)"tcp://server:7"));
		CHECK_EQ(soq_sim_run(sim, 3600 * SOQ_S), SOQ_SIM_HALTED);
		events[watched] = soq_sim_events(sim);
		now_ns[watched] = soq_sim_now(sim);
		soq_sim_free(sim);
		fclose(null);
	}
	CHECK_EQ(events[0], events[1]);
	CHECK_EQ(now_ns[0], now_ns[1]);
}

TEST(sim_watching_is_refused)
{
	FILE *null = fopen("/dev/null", "w");
	struct soq_sim *sim;

	CHECK_OK(soq_sim_new(&sim, 1, NULL));
	CHECK_ERR(soq_sim_trace(sim, NULL), -EINVAL);
	CHECK_ERR(soq_sim_log(sim, NULL), -EINVAL);
	CHECK_ERR(soq_sim_diagram(sim, NULL, NULL, 0), -EINVAL);
	for (int again = 0; again < 2; again++) {
		int want = again ? -EBUSY : 0;

		CHECK_EQ(soq_sim_trace(sim, null), want);
		CHECK_EQ(soq_sim_log(sim, null), want);
		CHECK_EQ(soq_sim_diagram(sim, null, NULL, 0), want);
	}
	soq_sim_free(sim);
	fclose(null);
}
