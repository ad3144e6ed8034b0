/* diagram_span.c - what lasts in a sequence diagram: partitions, crashes, pauses.
 *
 * Each is an item where it begins and another where it ends. Directions that are cut and healed
 * together are shown as one partition, and a host that is cut from all others as alone.
 *
 * Invariant: a span that is not hidden says what no other one says.
 */
#include "sim/diagram.h"
#include <stdlib.h>

static struct soq__sim_span *find_open(
	struct soq__sim_diagram *d, const struct soq__sim_item *item)
{
	for (size_t i = 0; i < d->span_count; i++) {
		struct soq__sim_span *s = &d->spans[i];

		if (s->open && s->kind == item->kind && s->from == item->from &&
			s->to == item->to)
			return s;
	}
	return NULL;
}

static void collect_spans(struct soq__sim_diagram *d)
{
	d->spans = soq__sim_alloc((d->item_count + 1) * sizeof(*d->spans));
	for (size_t i = 0; i < d->item_count; i++) {
		const struct soq__sim_item *item = &d->items[i];
		bool begins = item->kind == SOQ__SIM_ITEM_CUT ? item->cut
							      : item->life != SOQ__SIM_LIVES;
		struct soq__sim_span *s;

		if (item->kind != SOQ__SIM_ITEM_CUT && item->kind != SOQ__SIM_ITEM_STATE)
			continue;
		s = find_open(d, item);
		if (s) {
			s->end_y = item->y;
			s->end_ns = item->at_ns;
			s->open = false;
		}
		if (begins)
			d->spans[d->span_count++] = (struct soq__sim_span){
				.kind = item->kind,
				.life = item->life,
				.from = item->from,
				.to = item->to,
				.at_ns = item->at_ns,
				.end_ns = INT64_MAX,
				.y = item->y,
				.end_y = d->bottom_y,
				.open = true,
			};
	}
}

static bool same_time(const struct soq__sim_span *a, const struct soq__sim_span *b)
{
	return a->kind == b->kind && a->at_ns == b->at_ns && a->end_ns == b->end_ns;
}

/* Two directions that are cut together are one partition. */
static void pair_spans(struct soq__sim_diagram *d)
{
	for (size_t i = 0; i < d->span_count; i++) {
		struct soq__sim_span *s = &d->spans[i];

		for (size_t k = i + 1; k < d->span_count && !s->hidden; k++) {
			struct soq__sim_span *t = &d->spans[k];

			if (s->kind == SOQ__SIM_ITEM_CUT && same_time(s, t) &&
				s->from == t->to && s->to == t->from) {
				s->both = true;
				t->hidden = true;
			}
		}
	}
}

static bool concerns(const struct soq__sim_span *s, unsigned host)
{
	return s->from == host || s->to == host;
}

/* A host that is cut from all others, for as long as the span lasts, is shown so: @s becomes
 * the one that says it. */
static bool isolates(struct soq__sim_diagram *d, struct soq__sim_span *s, unsigned host)
{
	size_t others = 0;

	for (size_t i = 0; i < d->span_count; i++) {
		const struct soq__sim_span *t = &d->spans[i];

		others += t->both && !t->hidden && same_time(s, t) && concerns(t, host);
	}
	if (d->column_count < 3 || others + 1 < d->column_count)
		return false;
	for (size_t i = 0; i < d->span_count; i++) {
		struct soq__sim_span *t = &d->spans[i];

		if (t->both && same_time(s, t) && concerns(t, host))
			t->hidden = true;
	}
	s->hidden = false;
	s->from = s->to = host;
	return true;
}

void soq__sim_diagram_lay_out_spans(struct soq__sim_diagram *d)
{
	collect_spans(d);
	pair_spans(d);
	for (size_t i = 0; i < d->span_count; i++) {
		struct soq__sim_span *s = &d->spans[i];

		if (s->both && !s->hidden && !isolates(d, s, s->from))
			isolates(d, s, s->to);
	}
}
