/* diagram.c - a world's run as a sequence diagram: what has been seen, kept until the end.
 *
 * Invariant: items are in the order in which they were seen; when there are as many events as
 * are to be drawn, further ones are counted only.
 */
#include "sim/diagram.h"
#include "fiber/last_error.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX    400 /* unless the caller says otherwise */
#define PAYLOAD_SHOWN 20  /* bytes */
#define NOTE_MAX      300 /* bytes */

static struct soq__sim_diagram *diagram_of(struct soq__sim_observer *o)
{
	return soq__container_of(o, struct soq__sim_diagram, observer);
}

/* ---- items ---- */

static char *copy_text(const char *text, size_t max)
{
	size_t len = strnlen(text, max);

	return memcpy(soq__sim_alloc(len + 1), text, len);
}

/* A new item of now. */
static struct soq__sim_item *add_item(struct soq__sim_diagram *d, enum soq__sim_item_kind kind,
	const struct soq_sim_host *from, const struct soq_sim_host *to)
{
	struct soq__sim_item *item;

	if (d->item_count == d->item_capacity) {
		d->item_capacity = d->item_capacity ? d->item_capacity * 2 : 64;
		d->items = soq__sim_realloc(d->items, d->item_capacity * sizeof(*item));
	}
	item = &d->items[d->item_count++];
	*item = (struct soq__sim_item){
		.kind = kind,
		.at_ns = d->sim->now_ns,
		.from = from ? (unsigned)from->index : SOQ__SIM_NOBODY,
		.to = to ? (unsigned)to->index : SOQ__SIM_NOBODY,
	};
	return item;
}

static bool is_full(const struct soq__sim_diagram *d)
{
	return d->events >= d->events_max;
}

/* Whether there is room for one event more. */
static bool count_event(struct soq__sim_diagram *d)
{
	if (is_full(d)) {
		d->left_out++;
		return false;
	}
	d->events++;
	return true;
}

/* ---- words ---- */

static void add(char *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(char *buf, const char *format, ...)
{
	size_t len = strlen(buf);
	va_list args;

	va_start(args, format);
	vsnprintf(buf + len, SOQ__SIM_WORDS_MAX - len, format, args);
	va_end(args);
}

static void add_bytes(char *buf, const struct soq__sim_packet *p)
{
	add(buf, "%u byte%s", p->len, p->len == 1 ? "" : "s");
}

static void add_payload(char *buf, const struct soq__sim_packet *p)
{
	char payload[SOQ__SIM_WORDS_MAX];

	if (*soq__sim_payload_text(payload, p, PAYLOAD_SHOWN))
		add(buf, " %s", payload);
}

/* What the packet is for, as a textbook says it: an ACK that comes with something else goes
 * without saying. */
static void name_tcp(struct soq__sim_diagram *d, char *buf, const struct soq__sim_packet *p)
{
	uint32_t seq, ack;

	soq__sim_flows_see(&d->flows, p, &seq, &ack);
	if (p->flags & SOQ__SIM_SYN)
		add(buf, "%s", p->flags & SOQ__SIM_ACK ? "SYN+ACK" : "SYN");
	else if (p->flags & SOQ__SIM_RST)
		add(buf, "RST");
	if (p->len) {
		size_t before = strlen(buf);

		add(buf, "%s", before ? ", " : "");
		add_bytes(buf, p);
		before = strlen(buf);
		add_payload(buf, p);
		if (strlen(buf) == before)
			add(buf, " at %u", seq);
	}
	if (p->flags & SOQ__SIM_FIN)
		add(buf, "%sFIN", *buf ? ", " : "");
	if (!*buf)
		add(buf, "ACK %u", ack);
	if (p->window == 0 && !(p->flags & SOQ__SIM_RST))
		add(buf, ", window 0");
}

static const char *class_of(const struct soq__sim_packet *p)
{
	if (p->protocol == IPPROTO_UDP)
		return "udp";
	if (p->protocol == IPPROTO_ICMP || p->flags & SOQ__SIM_RST)
		return "err";
	return p->len ? "dat" : "ctl";
}

static char *label_of(struct soq__sim_diagram *d, const struct soq__sim_packet *p)
{
	char buf[SOQ__SIM_WORDS_MAX] = "", marks[SOQ__SIM_WORDS_MAX];
	char dst[SOQ_ADDR_TEXT_MAX];

	if (p->protocol == IPPROTO_TCP) {
		name_tcp(d, buf, p);
	} else if (p->protocol == IPPROTO_UDP) {
		add(buf, "UDP ");
		add_bytes(buf, p);
		add_payload(buf, p);
	} else {
		add(buf, "ICMP %s", soq__sim_icmp_text(p->icmp_error));
	}
	if (!p->to)
		add(buf, " to %s", soq__sim_addr_text(dst, &p->dst));
	/* That a packet is a duplicate says enough: its original has the rest. */
	if (p->marks & SOQ__SIM_IS_DUPLICATE)
		add(buf, " (duplicate)");
	else if (p->marks)
		add(buf, " (%s)", soq__sim_marks_text(marks, p->marks));
	return copy_text(buf, sizeof(buf));
}

/* ---- what is seen ---- */

static enum soq__sim_life life_of(const struct soq_sim_host *host)
{
	if (!host->up)
		return SOQ__SIM_IS_DOWN;
	return host->paused ? SOQ__SIM_IS_PAUSED : SOQ__SIM_LIVES;
}

/* See who has crashed, paused or come back since the last time. It was now, or when a fault of
 * the host was told of last, if nothing has been seen since. */
static void look_at_hosts(struct soq__sim_diagram *d)
{
	for (size_t i = 0; i < d->column_count && !is_full(d); i++) {
		struct soq__sim_column *c = &d->columns[i];
		enum soq__sim_life life = life_of(d->sim->hosts[i]);
		int64_t fault_ns = c->fault_ns;
		struct soq__sim_item *item;

		c->fault_ns = -1;
		if (life == c->life)
			continue;
		item = add_item(d, SOQ__SIM_ITEM_STATE, d->sim->hosts[i], NULL);
		item->life = c->life = life;
		if (fault_ns >= 0)
			item->at_ns = fault_ns;
	}
}

static void see_host(struct soq__sim_observer *o, const struct soq_sim_host *host)
{
	struct soq__sim_diagram *d = diagram_of(o);
	size_t count = host->index + 1;

	d->columns = soq__sim_realloc(d->columns, count * sizeof(*d->columns));
	d->columns[host->index] =
		(struct soq__sim_column){ .life = life_of(host), .fault_ns = -1 };
	d->column_count = count;
}

/* A packet that has been drawn as arriving finds nobody. */
static void see_host_down(struct soq__sim_diagram *d, const struct soq__sim_packet *p)
{
	for (size_t i = d->item_count; i-- > 0;) {
		struct soq__sim_item *item = &d->items[i];

		if (item->kind == SOQ__SIM_ITEM_PACKET && item->fate == SOQ__SIM_ARRIVES &&
			item->from == p->from->index && item->to == p->to->index &&
			item->number == p->number && item->marks == p->marks) {
			item->fate = SOQ__SIM_HOST_DOWN;
			return;
		}
	}
}

static void see_packet(struct soq__sim_observer *o, const struct soq__sim_packet *p,
	enum soq__sim_fate fate, int64_t arrives_ns)
{
	struct soq__sim_diagram *d = diagram_of(o);
	struct soq__sim_item *item;

	look_at_hosts(d);
	if (fate == SOQ__SIM_HOST_DOWN) {
		see_host_down(d, p);
		return;
	}
	if (!count_event(d))
		return;
	item = add_item(d, SOQ__SIM_ITEM_PACKET, p->from, p->to);
	item->fate = fate;
	item->arrives_ns = arrives_ns;
	item->marks = p->marks;
	item->number = p->number;
	item->class_name = class_of(p);
	item->label = label_of(d, p);
}

static void see_note(struct soq__sim_observer *o, const struct soq_sim_host *host, bool fault,
	const char *text)
{
	struct soq__sim_diagram *d = diagram_of(o);
	struct soq__sim_item *item;

	look_at_hosts(d);
	if (!count_event(d))
		return;
	item = add_item(d, SOQ__SIM_ITEM_NOTE, host, NULL);
	item->fault = fault;
	item->label = copy_text(text, NOTE_MAX);
	if (host && fault)
		d->columns[host->index].fault_ns = d->sim->now_ns;
}

static void see_cut(struct soq__sim_observer *o, const struct soq_sim_host *from,
	const struct soq_sim_host *to, bool cut)
{
	struct soq__sim_diagram *d = diagram_of(o);

	if (!is_full(d))
		add_item(d, SOQ__SIM_ITEM_CUT, from, to)->cut = cut;
}

static void diagram_close(struct soq__sim_observer *o)
{
	struct soq__sim_diagram *d = diagram_of(o);

	soq__sim_diagram_lay_out(d);
	soq__sim_diagram_draw(d);
	fflush(d->file);
	soq__sim_diagram_layout_done(d);
	for (size_t i = 0; i < d->item_count; i++)
		free(d->items[i].label);
	free(d->items);
	free(d->columns);
	free(d->title);
	soq__sim_flows_done(&d->flows);
	free(d);
}

int soq_sim_diagram(struct soq_sim *sim, FILE *file, const char *title, unsigned events_max)
{
	struct soq__sim_diagram *d;

	if (!file)
		return soq__fail(-EINVAL, "a diagram needs a file");
	if (soq__sim_watched(sim, diagram_close))
		return soq__fail(-EBUSY, "the world has a diagram already");
	d = soq__sim_alloc(sizeof(*d));
	d->observer = (struct soq__sim_observer){
		.host = see_host,
		.packet = see_packet,
		.note = see_note,
		.cut = see_cut,
		.close = diagram_close,
	};
	d->sim = sim;
	d->file = file;
	d->title = title ? copy_text(title, NOTE_MAX) : NULL;
	d->events_max = events_max ? events_max : EVENTS_MAX;
	soq__sim_watch(sim, &d->observer);
	return 0;
}
