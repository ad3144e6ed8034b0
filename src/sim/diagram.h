/* diagram.h - what the files of the sequence diagram share.
 *
 *	diagram.c         what has been seen, as items
 *	diagram_layout.c  at which height each item is
 *	diagram_column.c  and where across
 *	diagram_span.c    how long partitions, crashes and pauses last
 *	diagram_label.c   where the labels of arrows find room
 *	diagram_draw.c    all that as SVG
 */
#ifndef SOQ__SIM_DIAGRAM_H
#define SOQ__SIM_DIAGRAM_H

#include "sim/svg.h"
#include "sim/watch.h"

#define SOQ__SIM_NOBODY UINT_MAX /* in the place of a host's index */

/* Sizes of fonts, pixels. */
enum {
	SOQ__SIM_TITLE_PX = 17,
	SOQ__SIM_NAME_PX = 14,
	SOQ__SIM_LABEL_PX = 12,
	SOQ__SIM_SMALL_PX = 11,
};

enum {
	SOQ__SIM_HEADER_HEIGHT = 20, /* and a line an address */
	SOQ__SIM_LINE_HEIGHT = 14,
	SOQ__SIM_MARGIN = 24,
	SOQ__SIM_LOOP_WIDTH = 40, /* of a packet from a host to itself */
	SOQ__SIM_ADDRESSES_SHOWN = 2,
};

#define SOQ__SIM_LOST_PERCENT 55 /* of its way, where a lost packet's arrow ends */

enum soq__sim_item_kind {
	SOQ__SIM_ITEM_PACKET,
	SOQ__SIM_ITEM_NOTE,
	SOQ__SIM_ITEM_CUT,
	SOQ__SIM_ITEM_STATE,
};

/* What a host is doing. */
enum soq__sim_life { SOQ__SIM_LIVES, SOQ__SIM_IS_DOWN, SOQ__SIM_IS_PAUSED };

struct soq__sim_item {
	enum soq__sim_item_kind kind;
	int64_t at_ns;
	unsigned from; /* or whom it is about */
	unsigned to;
	char *label;
	/* A packet's. */
	enum soq__sim_fate fate;
	int64_t arrives_ns; /* or would have, at a host that is down */
	uint8_t marks;
	const char *class_name; /* how it is drawn */
	uint64_t number;
	/* Of others. */
	bool fault, cut;
	enum soq__sim_life life;
	/* The layout's: pixels. */
	int y, end_y;
	unsigned lines; /* a note's */
	int x;		/* of its middle */
	int width;	/* of a note's lines, at most */
};

struct soq__sim_column {
	enum soq__sim_life life;
	int64_t fault_ns; /* the instant of a note about a fault, if that was the last event */
	int x;
	int gap;    /* to the next one; of the last, to the margin */
	int last_y; /* of what has been laid out so far */
	bool last_sends;
	int64_t last_ns;
	int note_y; /* of its last note */
};

/* A silence that has been cut short. */
struct soq__sim_break {
	int y;
	int64_t silence_ns;
};

/* An instant in the margin. */
struct soq__sim_row {
	int y;
	int64_t at_ns;
	unsigned column; /* whose lifeline it is about, or SOQ__SIM_NOBODY */
};

/* Something that lasts. */
struct soq__sim_span {
	enum soq__sim_item_kind kind; /* CUT or STATE */
	enum soq__sim_life life;
	unsigned from, to;
	int64_t at_ns, end_ns;
	int y, end_y;
	bool open;
	bool both;   /* the opposite direction is cut as long */
	bool hidden; /* another span says so already */
};

struct soq__sim_diagram {
	struct soq__sim_observer observer;
	struct soq_sim *sim;
	FILE *file;
	char *title; /* or NULL */
	unsigned events_max, events;
	uint64_t left_out;
	struct soq__sim_flows flows;
	struct soq__sim_item *items;
	size_t item_count, item_capacity;
	struct soq__sim_column *columns;
	size_t column_count;
	/* The layout's. */
	int64_t silence_ns; /* what lasts longer is cut short */
	struct soq__sim_break *breaks;
	size_t break_count;
	struct soq__sim_row *rows;
	size_t row_count;
	struct soq__sim_span *spans;
	size_t span_count;
	int width, height;
	int top_y, bottom_y; /* of the lifelines */
};

/* Whether a packet comes to where it is sent, though its host may be down. */
static inline bool soq__sim_item_arrives(const struct soq__sim_item *item)
{
	return item->kind == SOQ__SIM_ITEM_PACKET &&
		(item->fate == SOQ__SIM_ARRIVES || item->fate == SOQ__SIM_HOST_DOWN);
}

static inline int soq__sim_larger(int a, int b)
{
	return a > b ? a : b;
}

/* Find a place for everything. */
void soq__sim_diagram_lay_out(struct soq__sim_diagram *d);
void soq__sim_diagram_layout_done(struct soq__sim_diagram *d);

/* Parts of that. Columns: by the labels between them; and again, when heights are known, so
 * that arrows are not too steep. */
void soq__sim_diagram_lay_out_columns(struct soq__sim_diagram *d);
void soq__sim_diagram_ease_slopes(struct soq__sim_diagram *d);
void soq__sim_diagram_place_notes(struct soq__sim_diagram *d);
void soq__sim_diagram_lay_out_spans(struct soq__sim_diagram *d);

/* A packet's arrow, in hundredths. */
struct soq__sim_arrow {
	int64_t x, y, end_x, end_y;
};
struct soq__sim_arrow soq__sim_diagram_arrow(
	const struct soq__sim_diagram *d, const struct soq__sim_item *item);
/* An arrow as a box without height, so that words can meet it. */
static inline struct soq__sim_box soq__sim_diagram_line_box(const struct soq__sim_arrow *a)
{
	int64_t dx = a->end_x - a->x, dy = a->end_y - a->y;

	return (struct soq__sim_box){ (a->x + a->end_x) / 2, (a->y + a->end_y) / 2,
		soq__sim_distance(dx, dy) / 2, 0, soq__sim_direction(dx, dy) };
}

int soq__sim_diagram_header_width(const struct soq_sim_host *host);
/* An address as it stands in the header, of the first ones; "" when there are fewer. */
const char *soq__sim_diagram_address(
	char buf[SOQ__SIM_WORDS_MAX], const struct soq_sim_host *host, size_t index);
/* How wide a note's lines may be, pixels. */
int soq__sim_diagram_note_width(
	const struct soq__sim_diagram *d, const struct soq__sim_item *item);
/* What a note covers, in hundredths. */
struct soq__sim_box soq__sim_diagram_note_box(const struct soq__sim_item *item);

/* Why a packet is lost, in as few words as there is room for; "" when it is not. */
const char *soq__sim_diagram_reason(const struct soq__sim_item *item);
/* Find a place for the words of each item: its label's box, and from item_count on that of the
 * reason for a loss. Freed by the caller. */
struct soq__sim_box *soq__sim_diagram_labels(const struct soq__sim_diagram *d);

void soq__sim_diagram_draw(const struct soq__sim_diagram *d);

#endif
