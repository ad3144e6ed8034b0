/* diagram_layout.c - where each item of a sequence diagram is.
 *
 * Downwards is later, though not in proportion: each instant has its row, and a long silence is
 * cut short. What happens on one lifeline keeps a distance that leaves room for labels. Columns
 * are as far apart as the labels between them are wide.
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
	FROM_SEND_TO_ARRIVAL = 14,
	FROM_ARRIVAL_TO_ARRIVAL = 17,
	FROM_ARRIVAL_TO_SEND = 12,
	NOTE_PAD = 4,
	NOTE_ASIDE = 12,
	NOTE_ABOVE = 11, /* to a lost packet's cross */
	BREAK = 38,
	TIME_WIDTH = 80,
	GAP_LEAST = 150,
	GAP_MOST = 440,
	NOTE_WIDTH_MOST = 210,
	NOTE_SPACE = 30, /* beside a note's text */
	MARGIN = 24,
	REACH = 110, /* of an arrow to nobody */
};

#define LOST_PERCENT 55 /* of its way, where a lost packet's arrow ends */
#define COMPANIONS   16 /* items before and after a loss, among which to look for one */
#define SILENCE	     8	/* times as long as a packet usually takes */

/* Something at a height: an item's beginning, or a packet's arrival. */
struct point {
	int64_t at_ns;
	size_t item;
	bool arrival;
};

static int larger(int a, int b)
{
	return a > b ? a : b;
}

/* ---- columns ---- */

const char *soq__sim_diagram_address(
	char buf[SOQ__SIM_WORDS_MAX], const struct soq_sim_host *host, size_t index)
{
	struct soq_sim_host one = { .addresses = host->addresses + index,
		.address_count = index < host->address_count };
	bool more = index + 1 == SOQ__SIM_ADDRESSES_SHOWN && host->address_count > index + 1;

	soq__sim_host_addresses(buf, SOQ__SIM_WORDS_MAX / 2, &one, "");
	return more ? strcat(buf, " ...") : buf;
}

int soq__sim_diagram_header_width(const struct soq_sim_host *host)
{
	int width = soq__sim_svg_width(host->name, SOQ__SIM_NAME_PX) * 11 / 10; /* bold */
	char line[SOQ__SIM_WORDS_MAX];

	for (size_t i = 0; i < SOQ__SIM_ADDRESSES_SHOWN; i++)
		width = larger(width,
			soq__sim_svg_width(
				soq__sim_diagram_address(line, host, i), SOQ__SIM_SMALL_PX));
	return width + 28;
}

/* Let columns be so far apart. */
static void widen(struct soq__sim_diagram *d, unsigned a, unsigned b, int width)
{
	unsigned low = a < b ? a : b, high = a < b ? b : a;
	int have = 0, more;

	for (unsigned i = low; i < high; i++)
		have += d->columns[i].gap;
	more = (width - have + (int)(high - low) - 1) / (int)(high - low);
	for (unsigned i = low; i < high && more > 0; i++)
		d->columns[i].gap += more;
}

/* Leave room to the right of a column. */
static void widen_right(struct soq__sim_diagram *d, unsigned column, int width)
{
	if (width > GAP_MOST)
		width = GAP_MOST;
	if (d->columns[column].gap < width)
		d->columns[column].gap = width;
}

/* To nobody: to the right, unless that is the margin. */
static bool goes_left(const struct soq__sim_diagram *d, const struct soq__sim_item *item)
{
	return item->from > 0 && item->from + 1 == d->column_count;
}

static void widen_for(struct soq__sim_diagram *d, const struct soq__sim_item *item)
{
	int width = item->label ? soq__sim_svg_width(item->label, SOQ__SIM_LABEL_PX) : 0;
	int reason = soq__sim_svg_width(soq__sim_diagram_reason(item), SOQ__SIM_SMALL_PX);

	if (item->kind == SOQ__SIM_ITEM_NOTE && item->from != SOQ__SIM_NOBODY)
		widen_right(d, item->from, (int)soq__min(width, NOTE_WIDTH_MOST) + NOTE_SPACE);
	if (item->kind != SOQ__SIM_ITEM_PACKET)
		return;
	width += 2 * MARGIN;
	if (item->from == item->to)
		widen_right(d, item->from, SOQ__SIM_LOOP_WIDTH + larger(width, reason));
	else if (item->to == SOQ__SIM_NOBODY && goes_left(d, item))
		widen(d, item->from - 1, item->from, larger(width, REACH + reason));
	else if (item->to == SOQ__SIM_NOBODY)
		widen_right(d, item->from, larger(width, REACH + reason));
	else
		widen(d, item->from, item->to,
			(int)soq__min(
				larger(width, (reason + MARGIN) * 100 / (100 - LOST_PERCENT)),
				GAP_MOST));
}

static void lay_out_columns(struct soq__sim_diagram *d)
{
	struct soq_sim_host **hosts = d->sim->hosts;
	int x = TIME_WIDTH;

	for (size_t i = 0; i < d->column_count; i++) {
		int half = soq__sim_diagram_header_width(hosts[i]) / 2;

		if (i == 0)
			x += half;
		if (i + 1 < d->column_count)
			d->columns[i].gap = larger(GAP_LEAST,
				half + soq__sim_diagram_header_width(hosts[i + 1]) / 2 +
					MARGIN);
		else
			d->columns[i].gap = half + MARGIN;
	}
	for (size_t i = 0; i < d->item_count; i++)
		widen_for(d, &d->items[i]);
	for (size_t i = 0; i < d->column_count; i++) {
		d->columns[i].x = x;
		x += d->columns[i].gap;
	}
	d->width = x;
	if (d->title)
		d->width = larger(d->width,
			soq__sim_svg_width(d->title, SOQ__SIM_TITLE_PX) * 11 / 10 + 2 * MARGIN);
}

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
	struct point *points = soq__sim_alloc((2 * d->item_count + 1) * sizeof *points);
	size_t n = 0;

	for (size_t i = 0; i < d->item_count; i++) {
		const struct soq__sim_item *item = &d->items[i];

		points[n++] = (struct point){ item->at_ns, i, false };
		if (soq__sim_item_arrives(item))
			points[n++] = (struct point){ item->arrives_ns, i, true };
	}
	qsort(points, n, sizeof *points, compare_points);
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
	int64_t *flights = soq__sim_alloc((d->item_count + 1) * sizeof *flights);
	int64_t usual = SOQ_MS;
	size_t n = 0;

	for (size_t i = 0; i < d->item_count; i++) {
		const struct soq__sim_item *item = &d->items[i];

		if (soq__sim_item_arrives(item) && item->from != item->to)
			flights[n++] = item->arrives_ns - item->at_ns;
	}
	qsort(flights, n, sizeof *flights, compare_durations);
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
static int after_last(const struct soq__sim_column *c, bool arrival)
{
	if (c->last_sends)
		return c->last_y + (arrival ? FROM_SEND_TO_ARRIVAL : FROM_SEND_TO_SEND);
	return c->last_y + (arrival ? FROM_ARRIVAL_TO_ARRIVAL : FROM_ARRIVAL_TO_SEND);
}

static void place_packet(struct soq__sim_diagram *d, struct progress *now,
	struct soq__sim_item *item, bool arrival)
{
	unsigned column = arrival ? item->to : item->from;
	struct soq__sim_column *c = &d->columns[column];
	int y = now->y;

	at_least(&y, after_last(c, arrival));
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
	now->y = y;
	mark_row(d, now->at_ns, y, column);
}

/* Of its first line. */
static int note_middle(const struct soq__sim_item *note)
{
	return note->y + NOTE_PAD + SOQ__SIM_LINE_HEIGHT / 2;
}

/* A note is beside its lifeline, or across all: nothing else begins or ends at its height. */
static void place_note(
	struct soq__sim_diagram *d, struct progress *now, struct soq__sim_item *item)
{
	int y = larger(now->y, now->lost_y), width = soq__sim_diagram_note_width(d, item);
	const char *rest = item->label;

	for (size_t i = 0; i < d->column_count; i++)
		at_least(&y, d->columns[i].last_y + NOTE_PAD + 3);
	do {
		rest += soq__sim_svg_fit(rest, SOQ__SIM_LABEL_PX, width);
		rest += *rest == ' ';
		item->lines++;
	} while (*rest);
	item->y = y;
	item->end_y = y + (int)item->lines * SOQ__SIM_LINE_HEIGHT + 2 * NOTE_PAD;
	for (size_t i = 0; i < d->column_count; i++) {
		d->columns[i].last_y = item->end_y;
		d->columns[i].last_sends = false;
	}
	now->y = item->end_y;
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

	if (d->row_count == 0)
		return;
	if (passed > d->silence_ns) {
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

	d->rows = soq__sim_alloc((count + 1) * sizeof *d->rows);
	d->breaks = soq__sim_alloc((count + 1) * sizeof *d->breaks);
	for (size_t i = 0; i < d->column_count; i++)
		d->columns[i].last_y = d->top_y;
	for (size_t i = 0; i < count; i++) {
		advance(d, &now, points[i].at_ns);
		place(d, &now, &points[i]);
	}
	settle_marks(d, points, count);
	free(points);
	d->bottom_y = now.y + MARGIN;
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
	int fall = lost->to == SOQ__SIM_NOBODY ? SLANT / 3 : SLANT;

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

/* Above the next note, which it would run into. */
static int above_notes(const struct soq__sim_diagram *d, size_t index, int y)
{
	for (size_t i = index + 1; i < d->item_count; i++) {
		const struct soq__sim_item *item = &d->items[i];

		if (item->kind == SOQ__SIM_ITEM_NOTE)
			return (int)soq__min(y, item->y - NOTE_ABOVE);
	}
	return y;
}

static void lay_out_losses(struct soq__sim_diagram *d)
{
	for (size_t i = 0; i < d->item_count; i++) {
		struct soq__sim_item *item = &d->items[i];

		if (item->kind != SOQ__SIM_ITEM_PACKET || soq__sim_item_arrives(item))
			continue;
		item->end_y = above_notes(d, i, item->y + fall_of(d, i) * LOST_PERCENT / 100);
		d->bottom_y = larger(d->bottom_y, item->end_y + MARGIN);
	}
}

/* ---- the whole ---- */

void soq__sim_diagram_lay_out(struct soq__sim_diagram *d)
{
	int header = SOQ__SIM_HEADER_HEIGHT + SOQ__SIM_ADDRESSES_SHOWN * SOQ__SIM_LINE_HEIGHT;

	d->top_y = (d->title ? 52 : 20) + header;
	d->silence_ns = find_silence(d);
	lay_out_columns(d);
	lay_out_rows(d);
	lay_out_losses(d);
	soq__sim_diagram_lay_out_spans(d);
	d->height = d->bottom_y + (d->left_out ? 74 : 56);
}

void soq__sim_diagram_layout_done(struct soq__sim_diagram *d)
{
	free(d->rows);
	free(d->breaks);
	free(d->spans);
}

static int end_x(const struct soq__sim_diagram *d, const struct soq__sim_item *item)
{
	int x = d->columns[item->from].x;

	if (item->to != SOQ__SIM_NOBODY)
		return d->columns[item->to].x;
	return goes_left(d, item) ? x - REACH : x + REACH;
}

struct soq__sim_arrow soq__sim_diagram_arrow(
	const struct soq__sim_diagram *d, const struct soq__sim_item *item)
{
	int x = d->columns[item->from].x, to_x = end_x(d, item);

	if (!soq__sim_item_arrives(item))
		to_x = x + (to_x - x) * LOST_PERCENT / 100;
	return (struct soq__sim_arrow){ x * SOQ__SIM_SVG_UNIT, item->y * SOQ__SIM_SVG_UNIT,
		to_x * SOQ__SIM_SVG_UNIT, item->end_y * SOQ__SIM_SVG_UNIT };
}

int soq__sim_diagram_note_width(
	const struct soq__sim_diagram *d, const struct soq__sim_item *item)
{
	if (item->from != SOQ__SIM_NOBODY)
		return NOTE_WIDTH_MOST;
	return larger(NOTE_WIDTH_MOST, d->width - 2 * TIME_WIDTH);
}

/* Beside its lifeline; of no host, in the middle of all. */
struct soq__sim_box soq__sim_diagram_note_box(
	const struct soq__sim_diagram *d, const struct soq__sim_item *item)
{
	int text = (int)soq__min(soq__sim_svg_width(item->label, SOQ__SIM_LABEL_PX),
		soq__sim_diagram_note_width(d, item));
	int half = text / 2 + NOTE_PAD + 1;
	int x = (d->columns[0].x + d->columns[d->column_count - 1].x) / 2;

	if (item->from != SOQ__SIM_NOBODY)
		x = d->columns[item->from].x + NOTE_ASIDE + half;
	return (struct soq__sim_box){ x * SOQ__SIM_SVG_UNIT,
		(item->y + item->end_y) * SOQ__SIM_SVG_UNIT / 2, half * SOQ__SIM_SVG_UNIT,
		(item->end_y - item->y) * SOQ__SIM_SVG_UNIT / 2, { SOQ__SIM_SVG_ONE, 0 } };
}
