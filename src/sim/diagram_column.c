/* diagram_column.c - how far apart the columns of a sequence diagram are, and what depends on
 * it: where arrows end, and where notes are.
 *
 * Invariant: a label that is not overlong fits between the columns that it is about.
 */
#include "sim/diagram.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Pixels. */
enum {
	TIME_WIDTH = 80,
	GAP_LEAST = 150,
	GAP_MOST = 440, /* that labels can ask for */
	EASED_GAP_MOST = 640,
	NOTE_WIDTH_MOST = 210,
	NOTE_SPACE = 30, /* beside a note's text */
	NOTE_ASIDE = 12, /* from a lifeline */
	NOTE_PAD = 5,
	REACH = 110, /* of an arrow to nobody */
};

#define UNIT	      SOQ__SIM_SVG_UNIT
#define SLOPE_PERCENT 50 /* how steep most arrows are, at most */

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
		width = soq__sim_larger(width,
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
	width += width / 5 + 2 * SOQ__SIM_MARGIN;
	if (item->from == item->to)
		widen_right(
			d, item->from, SOQ__SIM_LOOP_WIDTH + soq__sim_larger(width, reason));
	else if (item->to == SOQ__SIM_NOBODY && goes_left(d, item))
		widen(d, item->from - 1, item->from, soq__sim_larger(width, REACH + reason));
	else if (item->to == SOQ__SIM_NOBODY)
		widen_right(d, item->from, soq__sim_larger(width, REACH + reason));
	else
		widen(d, item->from, item->to,
			(int)soq__min(soq__sim_larger(width,
					      (reason + SOQ__SIM_MARGIN) * 100 /
						      (100 - SOQ__SIM_LOST_PERCENT)),
				GAP_MOST));
}

static void place_columns(struct soq__sim_diagram *d)
{
	int x = TIME_WIDTH;

	if (d->column_count > 0)
		x += soq__sim_diagram_header_width(d->sim->hosts[0]) / 2;
	for (size_t i = 0; i < d->column_count; i++) {
		d->columns[i].x = x;
		x += d->columns[i].gap;
	}
	d->width = x;
	if (d->title)
		d->width = soq__sim_larger(d->width,
			soq__sim_svg_width(d->title, SOQ__SIM_TITLE_PX) * 11 / 10 +
				2 * SOQ__SIM_MARGIN);
}

void soq__sim_diagram_lay_out_columns(struct soq__sim_diagram *d)
{
	struct soq_sim_host **hosts = d->sim->hosts;

	for (size_t i = 0; i < d->column_count; i++) {
		int half = soq__sim_diagram_header_width(hosts[i]) / 2;

		if (i + 1 < d->column_count)
			d->columns[i].gap = soq__sim_larger(GAP_LEAST,
				half + soq__sim_diagram_header_width(hosts[i + 1]) / 2 +
					SOQ__SIM_MARGIN);
		else
			d->columns[i].gap = half + SOQ__SIM_MARGIN;
	}
	for (size_t i = 0; i < d->item_count; i++)
		widen_for(d, &d->items[i]);
	place_columns(d);
}

/* ---- slopes ---- */

static int compare_falls(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* How much most arrows fall: a few that take much longer are not to matter. */
static int usual_fall(const struct soq__sim_diagram *d)
{
	int *falls = soq__sim_alloc((d->item_count + 1) * sizeof(*falls));
	size_t n = 0;
	int usual = 0;

	for (size_t i = 0; i < d->item_count; i++) {
		const struct soq__sim_item *item = &d->items[i];

		if (soq__sim_item_arrives(item) && item->from != item->to)
			falls[n++] = item->end_y - item->y;
	}
	qsort(falls, n, sizeof(*falls), compare_falls);
	if (n > 0)
		usual = falls[n * 4 / 5];
	free(falls);
	return usual;
}

/* Where many packets are under way at once their arrows fall much. Columns that are farther
 * apart make them less steep. */
void soq__sim_diagram_ease_slopes(struct soq__sim_diagram *d)
{
	int most = usual_fall(d);

	for (size_t i = 0; i < d->item_count; i++) {
		const struct soq__sim_item *item = &d->items[i];
		int fall = (int)soq__min(item->end_y - item->y, most);

		if (soq__sim_item_arrives(item) && item->from != item->to)
			widen(d, item->from, item->to,
				(int)soq__min(fall * 100 / SLOPE_PERCENT, EASED_GAP_MOST));
	}
	place_columns(d);
}

/* ---- arrows and notes ---- */

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
		to_x = x + (to_x - x) * SOQ__SIM_LOST_PERCENT / 100;
	return (struct soq__sim_arrow){ x * UNIT, item->y * UNIT, to_x * UNIT,
		item->end_y * UNIT };
}

int soq__sim_diagram_note_width(
	const struct soq__sim_diagram *d, const struct soq__sim_item *item)
{
	int across;

	if (item->from != SOQ__SIM_NOBODY || d->column_count == 0)
		return NOTE_WIDTH_MOST;
	across = d->columns[d->column_count - 1].x - d->columns[0].x;
	return soq__sim_larger(NOTE_WIDTH_MOST, across - 2 * (NOTE_ASIDE + NOTE_PAD));
}

struct soq__sim_box soq__sim_diagram_note_box(const struct soq__sim_item *item)
{
	int text = soq__sim_svg_width(item->label, SOQ__SIM_LABEL_PX);
	int half = (int)soq__min(text, item->width) / 2 + NOTE_PAD;

	return (struct soq__sim_box){ item->x * UNIT, (item->y + item->end_y) * UNIT / 2,
		half * UNIT, (item->end_y - item->y) * UNIT / 2, { SOQ__SIM_SVG_ONE, 0 } };
}

/* How many arrows run through a note. */
static unsigned crossings(const struct soq__sim_diagram *d, const struct soq__sim_item *note)
{
	struct soq__sim_box box = soq__sim_diagram_note_box(note);
	unsigned count = 0;

	for (size_t i = 0; i < d->item_count; i++) {
		struct soq__sim_arrow arrow;
		struct soq__sim_box line;

		if (d->items[i].kind != SOQ__SIM_ITEM_PACKET)
			continue;
		arrow = soq__sim_diagram_arrow(d, &d->items[i]);
		line = soq__sim_diagram_line_box(&arrow);
		count += soq__sim_boxes_meet(&box, &line);
	}
	return count;
}

/* What is about no host is between the first lifeline and the last one, where the fewest arrows
 * pass. */
static void place_in_the_open(const struct soq__sim_diagram *d, struct soq__sim_item *note)
{
	int half = (int)(soq__sim_diagram_note_box(note).half_width / UNIT);
	int first = d->column_count ? d->columns[0].x : 0;
	int last = d->column_count ? d->columns[d->column_count - 1].x : d->width;
	const int places[] = { (first + last) / 2, first + NOTE_ASIDE + half,
		last - NOTE_ASIDE - half };
	unsigned least = UINT_MAX;
	int best = places[0];

	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		unsigned count;

		note->x = places[i];
		count = crossings(d, note);
		if (count < least && (i == 0 || 2 * half < last - first)) {
			least = count;
			best = places[i];
		}
	}
	note->x = best;
}

void soq__sim_diagram_place_notes(struct soq__sim_diagram *d)
{
	for (size_t i = 0; i < d->item_count; i++) {
		struct soq__sim_item *item = &d->items[i];

		if (item->kind != SOQ__SIM_ITEM_NOTE)
			continue;
		if (item->from == SOQ__SIM_NOBODY)
			place_in_the_open(d, item);
		else
			item->x = d->columns[item->from].x + NOTE_ASIDE +
				(int)(soq__sim_diagram_note_box(item).half_width / UNIT);
	}
}
