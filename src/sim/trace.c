/* trace.c - every packet of a world, as a capture that Wireshark opens.
 *
 * The file is pcapng, its numbers little-endian on every machine: a section, an interface and
 * the names for each host when it is made, then each packet once, on the interface of its
 * sender, at the instant at which it was sent. What befell it stands in its comment. Notes and
 * faults are entries of a journal between the packets. Instants are those of a wall clock that
 * nothing has set wrong.
 *
 * Invariant: the file ends with a whole block, and an interface's number is its host's index.
 * Source: draft-ietf-opsawg-pcapng; systemd's Journal Export Format.
 */
#include "sim/watch.h"
#include "fiber/last_error.h"
#include <soquete/runtime.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	SECTION = 0x0a0d0d0a,
	INTERFACE = 1,
	NAMES = 4,
	PACKET = 6,
	JOURNAL = 9,
};

/* Options, of any block and of each kind. */
enum {
	END = 0,
	COMMENT = 1,
	SECTION_APPLICATION = 4,
	INTERFACE_NAME = 2,
	INTERFACE_DESCRIPTION = 3,
	INTERFACE_RESOLUTION = 9,
	PACKET_FLAGS = 2,
};

#define LINKTYPE_RAW   101 /* begins with an IPv4 or IPv6 header */
#define NANOSECONDS    9   /* the resolution: 10^-9 */
#define OUTBOUND       2
#define NO_LIMIT       0
#define LENGTH_UNKNOWN 0xffffffff

struct trace {
	struct soq__sim_observer observer;
	struct soq_sim *sim;
	FILE *file;
	struct soq__sim_buffer block;
	struct soq__sim_buffer segment, packet; /* kept for their memory */
};

static struct trace *trace_of(struct soq__sim_observer *o)
{
	return soq__container_of(o, struct trace, observer);
}

/* ---- blocks ---- */

static void put_le16(struct soq__sim_buffer *b, uint16_t value)
{
	soq__sim_put8(b, (uint8_t)value);
	soq__sim_put8(b, (uint8_t)(value >> 8));
}

static void put_le32(struct soq__sim_buffer *b, uint32_t value)
{
	put_le16(b, (uint16_t)value);
	put_le16(b, (uint16_t)(value >> 16));
}

static void pad(struct soq__sim_buffer *b)
{
	soq__sim_put_zeros(b, -b->len & 3);
}

static void begin(struct trace *t, uint32_t type)
{
	t->block.len = 0;
	put_le32(&t->block, type);
	put_le32(&t->block, LENGTH_UNKNOWN);
}

static void option(struct trace *t, uint16_t code, const void *data, size_t len)
{
	len = soq__min_size(len, UINT16_MAX);
	put_le16(&t->block, code);
	put_le16(&t->block, (uint16_t)len);
	soq__sim_put(&t->block, data, len);
	pad(&t->block);
}

static void option_text(struct trace *t, uint16_t code, const char *text)
{
	option(t, code, text, strlen(text));
}

/* A block ends with its length, which stands at its beginning too. */
static void end(struct trace *t)
{
	uint32_t len = (uint32_t)t->block.len + 4;

	put_le32(&t->block, len);
	for (size_t i = 0; i < 4; i++)
		t->block.data[4 + i] = (uint8_t)(len >> 8 * i);
	fwrite(t->block.data, 1, t->block.len, t->file);
}

static void put_section(struct trace *t)
{
	char text[SOQ__SIM_WORDS_MAX];

	begin(t, SECTION);
	put_le32(&t->block, 0x1a2b3c4d); /* says which byte comes first */
	put_le16(&t->block, 1);
	put_le16(&t->block, 0);
	put_le32(&t->block, LENGTH_UNKNOWN);
	put_le32(&t->block, LENGTH_UNKNOWN);
	snprintf(text, sizeof(text), "a simulated network, seed %llu",
		(unsigned long long)t->sim->seed);
	option_text(t, COMMENT, text);
	snprintf(text, sizeof(text), "soquete %s", soq_version());
	option_text(t, SECTION_APPLICATION, text);
	option(t, END, NULL, 0);
	end(t);
}

static void put_interface(struct trace *t, const struct soq_sim_host *host)
{
	const uint8_t resolution = NANOSECONDS;
	char addresses[1024];

	soq__sim_host_addresses(addresses, sizeof(addresses), host, " ");
	begin(t, INTERFACE);
	put_le16(&t->block, LINKTYPE_RAW);
	put_le16(&t->block, 0);
	put_le32(&t->block, NO_LIMIT);
	option_text(t, INTERFACE_NAME, host->name);
	option_text(t, INTERFACE_DESCRIPTION, addresses);
	option(t, INTERFACE_RESOLUTION, &resolution, 1);
	option(t, END, NULL, 0);
	end(t);
}

/* Records of addresses with the host's name, each like an option. */
static void put_names(struct trace *t, const struct soq_sim_host *host)
{
	enum { RECORD_IP4 = 1, RECORD_IP6 = 2 };
	size_t name_len = strlen(host->name) + 1;

	begin(t, NAMES);
	for (size_t i = 0; i < host->address_count; i++) {
		bool is4 = soq__sim_addr_is4(&host->addresses[i]);
		size_t skip = is4 ? 12 : 0;

		put_le16(&t->block, is4 ? RECORD_IP4 : RECORD_IP6);
		put_le16(&t->block, (uint16_t)(16 - skip + name_len));
		soq__sim_put(&t->block, host->addresses[i].ip + skip, 16 - skip);
		soq__sim_put(&t->block, host->name, name_len);
		pad(&t->block);
	}
	put_le32(&t->block, 0); /* the last record */
	end(t);
}

static void put_packet(struct trace *t, const struct soq_sim_host *from, const char *comment)
{
	static const uint8_t flags[4] = { OUTBOUND };
	uint64_t at_ns = (uint64_t)(SOQ__SIM_EPOCH_NS + t->sim->now_ns);

	begin(t, PACKET);
	put_le32(&t->block, (uint32_t)from->index);
	put_le32(&t->block, (uint32_t)(at_ns >> 32));
	put_le32(&t->block, (uint32_t)at_ns);
	put_le32(&t->block, (uint32_t)t->packet.len);
	put_le32(&t->block, (uint32_t)t->packet.len);
	soq__sim_put(&t->block, t->packet.data, t->packet.len);
	pad(&t->block);
	if (*comment)
		option_text(t, COMMENT, comment);
	option(t, PACKET_FLAGS, flags, sizeof(flags));
	option(t, END, NULL, 0);
	end(t);
}

static void put_field(struct soq__sim_buffer *b, const char *name, const char *value)
{
	soq__sim_put(b, name, strlen(name));
	soq__sim_put8(b, '=');
	/* A value of several lines would need the format's binary form. */
	for (; *value; value++)
		soq__sim_put8(b, *value == '\n' ? ' ' : (uint8_t)*value);
	soq__sim_put8(b, '\n');
}

static void put_journal(
	struct trace *t, const struct soq_sim_host *host, bool fault, const char *text)
{
	char micros[32];

	snprintf(micros, sizeof(micros), "%lld",
		(long long)((SOQ__SIM_EPOCH_NS + t->sim->now_ns) / SOQ_US));
	begin(t, JOURNAL);
	put_field(&t->block, "__REALTIME_TIMESTAMP", micros);
	put_field(&t->block, "PRIORITY", fault ? "4" : "6"); /* syslog(3): warning, info */
	if (host)
		put_field(&t->block, "_HOSTNAME", host->name);
	put_field(&t->block, "SYSLOG_IDENTIFIER", "soquete");
	put_field(&t->block, "MESSAGE", text);
	pad(&t->block);
	end(t);
}

/* ---- what is seen ---- */

static void see_host(struct soq__sim_observer *o, const struct soq_sim_host *host)
{
	put_interface(trace_of(o), host);
	put_names(trace_of(o), host);
}

/* What a packet's comment says, apart from fragments. */
static void describe(char *buf, size_t len, const struct soq__sim_packet *p,
	enum soq__sim_fate fate, int64_t after_ns)
{
	char marks[SOQ__SIM_WORDS_MAX], duration[SOQ__SIM_WORDS_MAX];
	const char *separator = p->marks ? "; " : "";

	soq__sim_marks_text(marks, p->marks);
	soq__sim_duration_text(duration, after_ns);
	if (fate == SOQ__SIM_ARRIVES)
		snprintf(buf, len, "%s%sarrives at %s after %s", marks, separator,
			p->to ? p->to->name : "?", duration);
	else
		snprintf(buf, len, "%s%s%s", marks, separator, soq__sim_fate_text(fate));
}

/* The packet is in the file since it was sent. */
static void see_host_down(struct trace *t, const struct soq__sim_packet *p)
{
	char text[512];

	snprintf(text, sizeof(text), "a packet from %s is lost: the host is down",
		p->from->name);
	put_journal(t, p->to, true, text);
}

static void see_packet(struct soq__sim_observer *o, const struct soq__sim_packet *p,
	enum soq__sim_fate fate, int64_t arrives_ns)
{
	struct trace *t = trace_of(o);
	char what[600], comment[700];
	size_t count;

	if (fate == SOQ__SIM_HOST_DOWN) {
		see_host_down(t, p);
		return;
	}
	describe(what, sizeof(what), p, fate, arrives_ns - t->sim->now_ns);
	t->segment.len = 0;
	soq__sim_wire_segment(&t->segment, p);
	count = soq__sim_wire_fragments(p, t->segment.len);
	for (size_t i = 0; i < count; i++) {
		t->packet.len = 0;
		soq__sim_wire_packet(&t->packet, p, &t->segment, i);
		if (count > 1)
			snprintf(comment, sizeof(comment), "fragment %zu of %zu; %s", i + 1,
				count, what);
		put_packet(t, p->from, count > 1 ? comment : what);
	}
}

static void see_note(struct soq__sim_observer *o, const struct soq_sim_host *host, bool fault,
	const char *text)
{
	put_journal(trace_of(o), host, fault, text);
}

static void trace_close(struct soq__sim_observer *o)
{
	struct trace *t = trace_of(o);

	fflush(t->file);
	free(t->block.data);
	free(t->segment.data);
	free(t->packet.data);
	free(t);
}

int soq_sim_trace(struct soq_sim *sim, FILE *file)
{
	struct trace *t;

	if (!file)
		return soq__fail(-EINVAL, "a trace needs a file");
	if (soq__sim_watched(sim, trace_close))
		return soq__fail(-EBUSY, "the world has a trace already");
	t = soq__sim_alloc(sizeof(*t));
	t->observer = (struct soq__sim_observer){
		.host = see_host, .packet = see_packet, .note = see_note, .close = trace_close
	};
	t->sim = sim;
	t->file = file;
	put_section(t);
	soq__sim_watch(sim, &t->observer);
	return 0;
}
