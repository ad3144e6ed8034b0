/* diagram_layout.c - at which height each item of a sequence diagram is.
 *
 * Downwards is later, though not in proportion: each instant has its row, and a long silence is
 * cut short. What happens on one lifeline keeps a distance that leaves room for labels.
 *
 * Invariant: of two items, the one that happened later is not above the other.
 */
#include "sim/diagram.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Pixels. */
enum {
	ROW = 13,   /* from one instant to the next */
	SLANT = 18, /* that an arrow falls at least */
	FROM_SEND_TO_SEND = 23,
	IN_BURST = 16, /* between those of one instant, which are parallel */
	FROM_SEND_TO_ARRIVAL = 14,
	FROM_ARRIVAL_TO_ARRIVAL = 15,
	FROM_ARRIVAL_TO_SEND = 12,
	NOTE_PAD = 4,
	NOTE_ABOVE = 14, /* to a lost packet's cross */
	BREAK = 38,
};

#define COMPANIONS 16 /* items before and after a loss, among which to look for one */
#define SILENCE	   8  /* times as long as a packet usually takes */

/* Something at a height: an item's beginning, or a packet's arrival. */
struct point {
	int64_t at_ns;
	size_t item;
	bool arrival;
};

/* ---- time ---- */

static int compare_points(const void *a, const void *b)
{
	const struct point *p = a, *q = b;

	if (p->at_ns != q->at_ns)
		return p->at_ns < q->at_ns ? -1 : 1;
	if (p->item != q->item)
		return p->item < q->item ? -1 : 1;
	return (int)p->arrival - (int)q->arrival;
}

static struct point *sorted_points(const struct soq__sim_diagram *d, size_t *ret_count)
{
	struct point *points = soq__sim_alloc((2 * d->item_count + 1) * sizeof(*points));
	size_t n = 0;

	for (size_t i = 0; i < d->item_count; i++) {
		const struct soq__sim_item *item = &d->items[i];

		points[n++] = (struct point){ item->at_ns, i, false };
		if (soq__sim_item_arrives(item))
			points[n++] = (struct point){ item->arrives_ns, i, true };
	}
	qsort(points, n, sizeof(*points), compare_points);
	*ret_count = n;
	return points;
}

static int compare_durations(const void *a, const void *b)
{
	const int64_t *p = a, *q = b;

	return *p < *q ? -1 : *p > *q;
}

/* How long nothing must happen to be cut short: by what most packets take. */
static int64_t find_silence(const struct soq__sim_diagram *d)
{
	int64_t *flights = soq__sim_alloc((d->item_count + 1) * sizeof(*flights));
	int64_t usual = SOQ_MS;
	size_t n = 0;

	for (size_t i = 0; i < d->item_count; i++) {
		const struct soq__sim_item *item = &d->items[i];

		if (soq__sim_item_arrives(item) && item->from != item->to)
			flights[n++] = item->arrives_ns - item->at_ns;
	}
	qsort(flights, n, sizeof(*flights), compare_durations);
	if (n > 0)
		usual = flights[n / 2];
	free(flights);
	return usual > INT64_MAX / SILENCE ? INT64_MAX : usual * SILENCE;
}

/* ---- heights ---- */

/* What has been laid out so far. */
struct progress {
	int64_t at_ns; /* of the last point */
	int y;	       /* nothing later is above this */
	int notes_y;   /* where notes of now are side by side, or 0 */
	int lost_y;    /* where the last arrow of a lost packet may end */
};

static void at_least(int *y, int least)
{
	if (*y < least)
		*y = least;
}

static void mark_row(struct soq__sim_diagram *d, int64_t at_ns, int y, unsigned column)
{
	d->rows[d->row_count++] = (struct soq__sim_row){ y, at_ns, column };
}

/* Where the next thing on a lifeline can be: labels are near those that send. */
static int after_last(const struct soq__sim_column *c, bool arrival, int64_t at_ns)
{
	int sends = c->last_ns == at_ns ? IN_BURST : FROM_SEND_TO_SEND;

	if (c->last_sends)
		return c->last_y + (arrival ? FROM_SEND_TO_ARRIVAL : sends);
	return c->last_y + (arrival ? FROM_ARRIVAL_TO_ARRIVAL : FROM_ARRIVAL_TO_SEND);
}

static void place_packet(struct soq__sim_diagram *d, struct progress *now,
	struct soq__sim_item *item, bool arrival)
{
	unsigned column = arrival ? item->to : item->from;
	struct soq__sim_column *c = &d->columns[column];
	int y = now->y;

	now->notes_y = 0;
	at_least(&y, after_last(c, arrival, now->at_ns));
	if (arrival) {
		at_least(&y, item->y + SLANT);
		item->end_y = y;
	} else {
		item->y = y;
		if (!soq__sim_item_arrives(item))
			now->lost_y = y + SLANT;
	}
	c->last_y = y;
	c->last_sends = !arrival;
	c->last_ns = now->at_ns;
	now->y = y;
	mark_row(d, now->at_ns, y, column);
}

/* Of its first line. */
static int note_middle(const struct soq__sim_item *note)
{
	return note->y + NOTE_PAD + SOQ__SIM_LINE_HEIGHT / 2;
}

/* Where a note has room below everything so far; but notes of one instant, one after the other
 * and of several hosts, are side by side. */
static int note_top(const struct soq__sim_diagram *d, const struct progress *now,
	const struct soq__sim_item *item)
{
	int y = soq__sim_larger(now->y, now->lost_y);

	if (now->notes_y && item->from != SOQ__SIM_NOBODY &&
		d->columns[item->from].note_y < now->notes_y)
		return now->notes_y;
	for (size_t i = 0; i < d->column_count; i++)
		at_least(&y, d->columns[i].last_y + NOTE_PAD + 3);
	return y;
}

/* A note is beside its lifeline, or across all: nothing else begins or ends at its height. */
static void place_note(
	struct soq__sim_diagram *d, struct progress *now, struct soq__sim_item *item)
{
	int y = note_top(d, now, item);
	const char *rest = item->label;

	item->width = soq__sim_diagram_note_width(d, item);
	do {
		rest += soq__sim_svg_fit(rest, SOQ__SIM_LABEL_PX, item->width);
		rest += *rest == ' ';
		item->lines++;
	} while (*rest);
	item->y = y;
	item->end_y = y + (int)item->lines * SOQ__SIM_LINE_HEIGHT + 2 * NOTE_PAD;
	now->y = soq__sim_larger(now->y, item->end_y);
	now->notes_y = 0;
	for (size_t i = 0; i < d->column_count; i++) {
		d->columns[i].last_y = now->y;
		d->columns[i].last_sends = false;
	}
	if (item->from != SOQ__SIM_NOBODY) {
		now->notes_y = y;
		d->columns[item->from].note_y = y;
	}
	mark_row(d, now->at_ns, note_middle(item), item->from);
}

static void place(struct soq__sim_diagram *d, struct progress *now, const struct point *p)
{
	struct soq__sim_item *item = &d->items[p->item];

	switch (item->kind) {
	case SOQ__SIM_ITEM_PACKET:
		place_packet(d, now, item, p->arrival);
		break;
	case SOQ__SIM_ITEM_NOTE:
		place_note(d, now, item);
		break;
	case SOQ__SIM_ITEM_CUT:
	case SOQ__SIM_ITEM_STATE:
		item->y = now->y;
		break;
	}
}

static void advance(struct soq__sim_diagram *d, struct progress *now, int64_t at_ns)
{
	int64_t passed = at_ns - now->at_ns;

	now->at_ns = at_ns;
	if (passed == 0)
		return;
	now->notes_y = 0;
	if (d->row_count == 0)
		return;
	if (passed > d->silence_ns) {
		at_least(&now->y, now->lost_y);
		d->breaks[d->break_count++] =
			(struct soq__sim_break){ now->y + BREAK / 2, passed };
		now->y += BREAK - ROW;
	}
	now->y += ROW;
}

/* Whether a note says what an item marks: a fault of its instant, of its host if that is what
 * it is about. */
static bool says(const struct soq__sim_item *note, const struct soq__sim_item *mark)
{
	return note->kind == SOQ__SIM_ITEM_NOTE && note->fault && note->at_ns == mark->at_ns &&
		(mark->kind == SOQ__SIM_ITEM_CUT || note->from == mark->from);
}

/* The note that says what the item of a point marks: the next one of the same instant, or else
 * the last one, or NULL. */
static const struct soq__sim_item *note_for(const struct soq__sim_diagram *d,
	const struct point *points, size_t count, size_t index)
{
	const struct soq__sim_item *mark = &d->items[points[index].item];

	for (size_t i = index + 1; i < count && points[i].at_ns == mark->at_ns; i++)
		if (says(&d->items[points[i].item], mark))
			return &d->items[points[i].item];
	for (size_t i = index; i-- > 0 && points[i].at_ns == mark->at_ns;)
		if (says(&d->items[points[i].item], mark))
			return &d->items[points[i].item];
	return NULL;
}

/* A crash, a partition and the like are at the height of their note. */
static void settle_marks(struct soq__sim_diagram *d, const struct point *points, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct soq__sim_item *item = &d->items[points[i].item];
		const struct soq__sim_item *note;

		if (item->kind != SOQ__SIM_ITEM_CUT && item->kind != SOQ__SIM_ITEM_STATE)
			continue;
		note = note_for(d, points, count, i);
		if (note)
			item->y = note_middle(note);
	}
}

static void lay_out_rows(struct soq__sim_diagram *d)
{
	struct progress now = { .y = d->top_y + 14 };
	size_t count;
	struct point *points = sorted_points(d, &count);

	d->rows = soq__sim_alloc((count + 1) * sizeof(*d->rows));
	d->breaks = soq__sim_alloc((count + 1) * sizeof(*d->breaks));
	for (size_t i = 0; i < d->column_count; i++)
		d->columns[i].last_y = d->top_y;
	for (size_t i = 0; i < count; i++) {
		advance(d, &now, points[i].at_ns);
		place(d, &now, &points[i]);
	}
	settle_marks(d, points, count);
	free(points);
	d->bottom_y = now.y + SOQ__SIM_MARGIN;
}

/* ---- what is lost ---- */

static bool goes_along(const struct soq__sim_item *item, const struct soq__sim_item *lost)
{
	return soq__sim_item_arrives(item) && item->from == lost->from && item->to == lost->to;
}

/* How much the arrow of a lost packet would fall: as that of the packet sent nearest to it, of
 * those that go the same way, lest one seems to overtake the other. */
static int fall_of(const struct soq__sim_diagram *d, size_t index)
{
	const struct soq__sim_item *lost = &d->items[index];
	int64_t nearest_ns = d->silence_ns;
	int fall = lost->to == SOQ__SIM_NOBODY ? 0 : SLANT;

	for (size_t i = index < COMPANIONS ? 0 : index - COMPANIONS;
		i < d->item_count && i < index + COMPANIONS; i++) {
		const struct soq__sim_item *item = &d->items[i];
		int64_t apart_ns = llabs(item->at_ns - lost->at_ns);

		if (!goes_along(item, lost) || apart_ns >= nearest_ns)
			continue;
		nearest_ns = apart_ns;
		fall = item->end_y - item->y;
	}
	return fall;
}

/* A lost packet's cross is above the next note, which it would run into. */
static void lay_out_losses(struct soq__sim_diagram *d)
{
	int note_y = INT_MAX;

	for (size_t i = d->item_count; i-- > 0;) {
		struct soq__sim_item *item = &d->items[i];

		if (item->kind == SOQ__SIM_ITEM_NOTE)
			note_y = item->y - NOTE_ABOVE;
		if (item->kind != SOQ__SIM_ITEM_PACKET || soq__sim_item_arrives(item))
			continue;
		item->end_y = item->y + fall_of(d, i) * SOQ__SIM_LOST_PERCENT / 100;
		if (item->end_y > note_y)
			item->end_y = note_y;
		d->bottom_y = soq__sim_larger(d->bottom_y, item->end_y + SOQ__SIM_MARGIN);
	}
}

/* ---- the whole ---- */

void soq__sim_diagram_lay_out(struct soq__sim_diagram *d)
{
	int header = SOQ__SIM_HEADER_HEIGHT + SOQ__SIM_ADDRESSES_SHOWN * SOQ__SIM_LINE_HEIGHT;

	d->top_y = (d->title ? 52 : 20) + header;
	d->silence_ns = find_silence(d);
	soq__sim_diagram_lay_out_columns(d);
	lay_out_rows(d);
	soq__sim_diagram_ease_slopes(d);
	lay_out_losses(d);
	soq__sim_diagram_place_notes(d);
	soq__sim_diagram_lay_out_spans(d);
	d->height = d->bottom_y + (d->left_out ? 74 : 56);
}

void soq__sim_diagram_layout_done(struct soq__sim_diagram *d)
{
	free(d->rows);
	free(d->breaks);
	free(d->spans);
}
