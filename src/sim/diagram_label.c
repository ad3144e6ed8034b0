/* diagram_label.c - where the words along the arrows of a sequence diagram find room.
 *
 * A label is above its arrow and turned with it. It is in the middle, unless it would lie on
 * other words or arrows there: then it moves along the arrow to where it meets the fewest.
 *
 * Invariant: each label keeps to its own arrow, however little room there is.
 */
#include "sim/diagram.h"
#include <limits.h>
#include <stdlib.h>

#define UNIT	   SOQ__SIM_SVG_UNIT
#define NEIGHBOURS 40 /* items before and after it, that a label may meet */
#define PASSES	   3  /* in each, a label sees where the others are since the last one */

/* Pixels. */
enum {
	ABOVE = 9, /* from an arrow to the middle of its label */
	HALF_HEIGHT = 6,
	BESIDE = 9, /* from a cross to the reason for it */
	BELOW_CROSS = 6,
};

/* What it costs to lie on something, or beyond the arrow's ends. */
enum {
	ON_WORDS = 12,
	ON_REASON = 60, /* which does not move */
	ON_ARROW = 4,
	ON_LIFELINE = 2,
	BEYOND = 6,
	BELOW = 3,
	MOVED = 1
};

const char *soq__sim_diagram_reason(const struct soq__sim_item *item)
{
	static const char *const reasons[SOQ__SIM_FATES] = {
		[SOQ__SIM_ARRIVES] = "",
		[SOQ__SIM_LOST] = "lost",
		[SOQ__SIM_LOST_NTH] = "lost",
		[SOQ__SIM_QUEUE_FULL] = "queue full",
		[SOQ__SIM_CODEL] = "dropped by CoDel",
		[SOQ__SIM_PARTITIONED] = "partition",
		[SOQ__SIM_NO_HOST] = "no such host",
		[SOQ__SIM_HOST_DOWN] = "host down",
		[SOQ__SIM_TOO_BIG] = "too big",
	};

	return item->kind == SOQ__SIM_ITEM_PACKET ? reasons[item->fate] : "";
}

static struct soq__sim_box text_box(int64_t x, int64_t y, const char *text, int font_px)
{
	return (struct soq__sim_box){ x, y, soq__sim_svg_width(text, font_px) * UNIT / 2,
		HALF_HEIGHT * UNIT, { SOQ__SIM_SVG_ONE, 0 } };
}

/* Beyond the cross of a packet that is lost under way; under the arrow of one that comes to a
 * host that is down. */
static struct soq__sim_box reason_box(
	const struct soq__sim_diagram *d, const struct soq__sim_item *item)
{
	struct soq__sim_arrow a = soq__sim_diagram_arrow(d, item);
	struct soq__sim_box box =
		text_box(a.end_x, a.end_y, soq__sim_diagram_reason(item), SOQ__SIM_SMALL_PX);
	int64_t aside = box.half_width + BESIDE * UNIT;
	bool to_right = a.end_x >= a.x, arrives = soq__sim_item_arrives(item);

	if (item->from == item->to)
		aside += SOQ__SIM_LOOP_WIDTH * UNIT;
	box.x += to_right == arrives && item->from != item->to ? -aside : aside;
	box.y += (item->from == item->to   ? 2 * HALF_HEIGHT
				 : arrives ? ABOVE
					   : BELOW_CROSS) *
		UNIT;
	return box;
}

/* The label's box with its middle so far along the arrow, above or below it. */
static struct soq__sim_box label_box(
	const struct soq__sim_arrow *a, const char *text, int64_t percent, bool below)
{
	struct soq__sim_box box = text_box(0, 0, text, SOQ__SIM_LABEL_PX);
	int64_t dx = a->end_x - a->x, dy = a->end_y - a->y;
	int64_t above = (below ? -ABOVE : ABOVE) * UNIT;

	box.along = dx < 0 ? soq__sim_direction(-dx, -dy) : soq__sim_direction(dx, dy);
	box.x = a->x + dx * percent / 100 + box.along.y * above / SOQ__SIM_SVG_ONE;
	box.y = a->y + dy * percent / 100 - box.along.x * above / SOQ__SIM_SVG_ONE;
	return box;
}

/* Beside the loop of a packet from a host to itself, where it begins: there is one row for
 * each. */
static struct soq__sim_box loop_label_box(
	const struct soq__sim_arrow *a, const struct soq__sim_item *item)
{
	struct soq__sim_box box = text_box(a->x, a->y, item->label, SOQ__SIM_LABEL_PX);

	box.x += (SOQ__SIM_LOOP_WIDTH + BESIDE) * UNIT + box.half_width;
	return box;
}

/* What a label would lie on, of an item. */
static int cost_of(const struct soq__sim_diagram *d, const struct soq__sim_box *boxes,
	const struct soq__sim_box *label, size_t other)
{
	const struct soq__sim_item *item = &d->items[other];
	struct soq__sim_arrow arrow;
	struct soq__sim_box line;
	int cost = 0;

	if (item->kind != SOQ__SIM_ITEM_PACKET && item->kind != SOQ__SIM_ITEM_NOTE)
		return 0;
	if (soq__sim_boxes_meet(label, &boxes[other]))
		cost += ON_WORDS;
	if (item->kind == SOQ__SIM_ITEM_NOTE)
		return cost;
	arrow = soq__sim_diagram_arrow(d, item);
	line = soq__sim_diagram_line_box(&arrow);
	return cost + (soq__sim_boxes_meet(label, &line) ? ON_ARROW : 0);
}

/* What a label would lie on, of all around it. */
static int cost_at(const struct soq__sim_diagram *d, const struct soq__sim_box *boxes,
	size_t self, const struct soq__sim_box *label)
{
	size_t first = self < NEIGHBOURS ? 0 : self - NEIGHBOURS;
	size_t end = soq__min_size(self + NEIGHBOURS, d->item_count);
	int cost = 0;

	for (size_t i = first; i < end; i++) {
		if (i != self)
			cost += cost_of(d, boxes, label, i);
		if (*soq__sim_diagram_reason(&d->items[i]) &&
			soq__sim_boxes_meet(label, &boxes[d->item_count + i]))
			cost += ON_REASON;
	}
	for (size_t i = 0; i < d->column_count; i++) {
		if (llabs(d->columns[i].x * UNIT - label->x) < label->half_width)
			cost += ON_LIFELINE;
	}
	return cost;
}

static struct soq__sim_box best_label(
	const struct soq__sim_diagram *d, const struct soq__sim_box *boxes, size_t self)
{
	static const int64_t percents[] = { 50, 45, 55, 40, 60, 35, 65, 30, 70, 25, 75, 20, 80,
		15, 85 };
	const struct soq__sim_item *item = &d->items[self];
	struct soq__sim_arrow arrow = soq__sim_diagram_arrow(d, item);
	int64_t length = soq__sim_diagram_line_box(&arrow).half_width * 2;
	struct soq__sim_box best = { 0 };
	int least = INT_MAX;

	for (size_t i = 0; i < 2 * sizeof(percents) / sizeof(*percents); i++) {
		int64_t percent = percents[i / 2], half;
		bool below = i % 2;
		struct soq__sim_box box = label_box(&arrow, item->label, percent, below);
		int cost = (i > 1 ? MOVED : 0) + (below ? BELOW : 0);

		half = (box.half_width + BESIDE * UNIT) * 100 / (length + 1);
		/* Over an arrow that is short, since it is lost, it begins where the arrow
		 * does. */
		if (percent < half && !soq__sim_item_arrives(item))
			box = label_box(&arrow, item->label, half, below);
		else if (percent < half || percent > 100 - half)
			cost += BEYOND;
		cost += cost_at(d, boxes, self, &box);
		if (cost < least) {
			least = cost;
			best = box;
		}
	}
	return best;
}

static void place_labels(const struct soq__sim_diagram *d, struct soq__sim_box *boxes)
{
	for (size_t i = 0; i < d->item_count; i++) {
		const struct soq__sim_item *item = &d->items[i];
		struct soq__sim_arrow arrow;

		if (item->kind != SOQ__SIM_ITEM_PACKET)
			continue;
		arrow = soq__sim_diagram_arrow(d, item);
		boxes[i] = item->from == item->to ? loop_label_box(&arrow, item)
						  : best_label(d, boxes, i);
	}
}

struct soq__sim_box *soq__sim_diagram_labels(const struct soq__sim_diagram *d)
{
	struct soq__sim_box *boxes = soq__sim_alloc((2 * d->item_count + 1) * sizeof(*boxes));

	for (size_t i = 0; i < d->item_count; i++) {
		/* What has no place yet is where nothing else is. */
		boxes[i] = text_box(-1000 * UNIT, 0, "", SOQ__SIM_LABEL_PX);
		if (*soq__sim_diagram_reason(&d->items[i]))
			boxes[d->item_count + i] = reason_box(d, &d->items[i]);
		if (d->items[i].kind == SOQ__SIM_ITEM_NOTE)
			boxes[i] = soq__sim_diagram_note_box(&d->items[i]);
	}
	for (int pass = 0; pass < PASSES; pass++)
		place_labels(d, boxes);
	return boxes;
}
