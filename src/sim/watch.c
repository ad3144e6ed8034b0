/* watch.c - what the trace, the log and the diagram share: words for packets, sequence numbers
 * as people like them, bytes that grow.
 *
 * Invariant: what an observer writes depends on what it has seen, in its order, alone.
 */
#include "sim/watch.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- bytes that grow ---- */

static uint8_t *extend(struct soq__sim_buffer *b, size_t len)
{
	if (b->capacity - b->len < len) {
		b->capacity = (b->len + len) * 2;
		b->data = soq__sim_realloc(b->data, b->capacity);
	}
	b->len += len;
	return b->data + b->len - len;
}

void soq__sim_put(struct soq__sim_buffer *b, const void *data, size_t len)
{
	if (len)
		memcpy(extend(b, len), data, len);
}

void soq__sim_put_zeros(struct soq__sim_buffer *b, size_t len)
{
	if (len)
		memset(extend(b, len), 0, len);
}

void soq__sim_put8(struct soq__sim_buffer *b, uint8_t value)
{
	*extend(b, 1) = value;
}

void soq__sim_put16(struct soq__sim_buffer *b, uint16_t value)
{
	soq__sim_put8(b, (uint8_t)(value >> 8));
	soq__sim_put8(b, (uint8_t)value);
}

void soq__sim_put32(struct soq__sim_buffer *b, uint32_t value)
{
	soq__sim_put16(b, (uint16_t)(value >> 16));
	soq__sim_put16(b, (uint16_t)value);
}

/* ---- words ---- */

/* Append to a text of SOQ__SIM_WORDS_MAX bytes; what finds no room is left out. */
static void add(char *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(char *buf, const char *format, ...)
{
	size_t len = strlen(buf);
	va_list args;

	va_start(args, format);
	vsnprintf(buf + len, SOQ__SIM_WORDS_MAX - len, format, args);
	va_end(args);
}

const char *soq__sim_duration_text(char buf[SOQ__SIM_WORDS_MAX], int64_t ns)
{
	static const struct {
		int64_t ns;
		const char *name;
	} units[] = { { SOQ_S, "s" }, { SOQ_MS, "ms" }, { SOQ_US, "us" }, { 1, "ns" } };
	size_t u = 0, len;

	while (ns < units[u].ns && units[u].ns > 1)
		u++;
	len = (size_t)snprintf(buf, SOQ__SIM_WORDS_MAX, "%lld.%03d",
		(long long)(ns / units[u].ns), (int)(ns % units[u].ns * 1000 / units[u].ns));
	while (buf[len - 1] == '0')
		len--;
	if (buf[len - 1] == '.')
		len--;
	buf[len] = 0;
	add(buf, " %s", units[u].name);
	return buf;
}

const char *soq__sim_flags_text(
	char buf[SOQ__SIM_WORDS_MAX], uint8_t flags, const char *separator)
{
	static const struct {
		uint8_t flag;
		const char *name;
	} names[] = {
		{ SOQ__SIM_FIN, "FIN" },
		{ SOQ__SIM_SYN, "SYN" },
		{ SOQ__SIM_RST, "RST" },
		{ SOQ__SIM_PSH, "PSH" },
		{ SOQ__SIM_ACK, "ACK" },
	};

	buf[0] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (flags & names[i].flag)
			add(buf, "%s%s", buf[0] ? separator : "", names[i].name);
	}
	return buf;
}

/* A byte of text as C writes it, or NULL. */
static const char *escaped(char buf[3], char byte)
{
	switch (byte) {
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	default:
		break;
	}
	if (byte < ' ' || byte > '~')
		return NULL;
	buf[0] = byte;
	buf[1] = 0;
	return buf;
}

const char *soq__sim_payload_text(
	char buf[SOQ__SIM_WORDS_MAX], const struct soq__sim_packet *p, uint32_t max)
{
	char one[3];

	snprintf(buf, SOQ__SIM_WORDS_MAX, "\"");
	for (uint32_t i = 0; i < p->len && i < max; i++) {
		const char *text = escaped(one, p->data[i]);

		if (!text)
			return strcpy(buf, "");
		add(buf, "%s", text);
	}
	add(buf, "\"%s", p->len > max ? "..." : "");
	return p->len && max ? buf : strcpy(buf, "");
}

const char *soq__sim_icmp_text(int error)
{
	switch (error < 0 ? -error : error) {
	case ECONNREFUSED:
		return "port unreachable";
	case EMSGSIZE:
		return "packet too big";
	case ENETUNREACH:
		return "network unreachable";
	case EACCES:
	case EPERM:
		return "prohibited";
	case ENOPROTOOPT:
		return "protocol unreachable";
	default:
		return "host unreachable";
	}
}

const char *soq__sim_marks_text(char buf[SOQ__SIM_WORDS_MAX], uint8_t marks)
{
	static const struct {
		uint8_t mark;
		const char *name;
	} names[] = {
		{ SOQ__SIM_RETRANSMISSION, "retransmission" },
		{ SOQ__SIM_IS_DUPLICATE, "duplicate" },
		{ SOQ__SIM_HELD_BACK, "held back" },
		{ SOQ__SIM_CORRUPTED, "corrupted" },
	};

	buf[0] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (marks & names[i].mark)
			add(buf, "%s%s", buf[0] ? ", " : "", names[i].name);
	}
	return buf;
}

void soq__sim_host_addresses(
	char *buf, size_t len, const struct soq_sim_host *host, const char *separator)
{
	size_t used = 0;

	buf[0] = 0;
	for (size_t i = 0; i < host->address_count && used < len; i++) {
		const struct soq__sim_addr *addr = &host->addresses[i];
		char text[INET6_ADDRSTRLEN];

		if (soq__sim_addr_is4(addr))
			inet_ntop(AF_INET, addr->ip + 12, text, sizeof(text));
		else
			inet_ntop(AF_INET6, addr->ip, text, sizeof(text));
		used += (size_t)snprintf(
			buf + used, len - used, "%s%s", used ? separator : "", text);
	}
}

/* ---- sequence numbers that begin at 0 ---- */

/* A connection's two directions; the first is the one whose sender's address is the lesser. */
struct soq__sim_flow {
	bool used;
	struct soq__sim_addr ends[2];
	bool known[2];
	uint32_t first[2]; /* initial sequence numbers, of those that are known */
};

/* FNV-1a. */
static uint64_t hash_addr(uint64_t hash, const struct soq__sim_addr *addr)
{
	for (size_t i = 0; i < sizeof(addr->ip); i++)
		hash = (hash ^ addr->ip[i]) * 0x100000001b3;
	hash = (hash ^ (addr->port & 0xff)) * 0x100000001b3;
	return (hash ^ (addr->port >> 8)) * 0x100000001b3;
}

static bool is_less(const struct soq__sim_addr *a, const struct soq__sim_addr *b)
{
	int order = memcmp(a->ip, b->ip, sizeof(a->ip));

	return order ? order < 0 : a->port < b->port;
}

/* The slot that a connection has, or would have. */
static struct soq__sim_flow *slot_of(struct soq__sim_flows *flows,
	const struct soq__sim_addr *low, const struct soq__sim_addr *high)
{
	uint64_t hash = hash_addr(hash_addr(0xcbf29ce484222325, low), high);

	for (size_t i = hash;; i++) {
		struct soq__sim_flow *f = &flows->slots[i & (flows->capacity - 1)];

		if (!f->used ||
			(soq__sim_same_addr(&f->ends[0], low) &&
				soq__sim_same_addr(&f->ends[1], high)))
			return f;
	}
}

static void grow(struct soq__sim_flows *flows)
{
	struct soq__sim_flow *old = flows->slots;
	size_t old_capacity = flows->capacity;

	flows->capacity = old_capacity ? old_capacity * 2 : 16;
	flows->slots = soq__sim_alloc(flows->capacity * sizeof(*old));
	for (size_t i = 0; i < old_capacity; i++) {
		if (old[i].used)
			*slot_of(flows, &old[i].ends[0], &old[i].ends[1]) = old[i];
	}
	free(old);
}

static struct soq__sim_flow *flow_of(struct soq__sim_flows *flows,
	const struct soq__sim_addr *low, const struct soq__sim_addr *high)
{
	struct soq__sim_flow *f;

	if (flows->count * 2 >= flows->capacity)
		grow(flows);
	f = slot_of(flows, low, high);
	if (!f->used) {
		flows->count++;
		*f = (struct soq__sim_flow){ .used = true, .ends = { *low, *high } };
	}
	return f;
}

void soq__sim_flows_see(struct soq__sim_flows *flows, const struct soq__sim_packet *p,
	uint32_t *ret_seq, uint32_t *ret_ack)
{
	bool back = is_less(&p->dst, &p->src);
	struct soq__sim_flow *f =
		flow_of(flows, back ? &p->dst : &p->src, back ? &p->src : &p->dst);

	if (p->flags & SOQ__SIM_SYN) {
		/* Another first number, and no answer: the ports are used again. */
		if (f->known[back] && f->first[back] != p->seq && !(p->flags & SOQ__SIM_ACK))
			f->known[!back] = false;
		f->known[back] = true;
		f->first[back] = p->seq;
	}
	*ret_seq = f->known[back] ? p->seq - f->first[back] : p->seq;
	*ret_ack = f->known[!back] ? p->ack - f->first[!back] : p->ack;
}

void soq__sim_flows_done(struct soq__sim_flows *flows)
{
	free(flows->slots);
	*flows = (struct soq__sim_flows){ 0 };
}

/* ---- observers ---- */

bool soq__sim_watched(const struct soq_sim *sim, void (*close)(struct soq__sim_observer *o))
{
	soq__list_for_each (node, &sim->observers) {
		if (soq__container_of(node, struct soq__sim_observer, node)->close == close)
			return true;
	}
	return false;
}

void soq__sim_watch(struct soq_sim *sim, struct soq__sim_observer *o)
{
	soq__list_append(&sim->observers, &o->node);
	for (size_t i = 0; i < sim->host_count; i++)
		o->host(o, sim->hosts[i]);
}

void soq__sim_see_cut(const struct soq_sim_host *from, const struct soq_sim_host *to, bool cut)
{
	soq__list_for_each (node, &from->sim->observers) {
		struct soq__sim_observer *o =
			soq__container_of(node, struct soq__sim_observer, node);

		if (o->cut)
			o->cut(o, from, to, cut);
	}
}
