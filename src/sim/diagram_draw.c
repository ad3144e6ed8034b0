/* diagram_draw.c - a sequence diagram as SVG.
 *
 * The picture needs nothing else: no script, no font, no other file. It has a background of its
 * own, light or dark as its reader prefers; a program that knows no preferences shows it light.
 *
 * Invariant: what is written depends on the layout alone.
 * Source: SVG 1.1; CSS Media Queries level 5 (prefers-color-scheme).
 */
#include "sim/diagram.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define UNIT SOQ__SIM_SVG_UNIT

/* Pixels. */
enum {
	TIME_X = 68,
	HEAD_LENGTH = 9,
	HEAD_HALF = 4,
	CROSS_HALF = 5,
	BAND_HALF = 20,
	NOTE_INDENT = 5
};

static const char style[] =
	"<style>\n"
	"text { font-family: Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif;\n"
	"  font-size: 12px; fill: #1f2328; }\n"
	".bg { fill: #ffffff; }\n"
	".title { font-size: 17px; font-weight: bold; text-anchor: middle; }\n"
	".name { font-size: 14px; font-weight: bold; text-anchor: middle; }\n"
	".addr, .time, .foot, .pass { font-size: 11px; fill: #59636e; }\n"
	".addr, .foot { text-anchor: middle; }\n"
	".time, .pass { text-anchor: end; font-variant-numeric: tabular-nums; }\n"
	".pass { font-style: italic; }\n"
	".box { fill: #f6f8fa; stroke: #59636e; }\n"
	".life, .down, .cut { fill: none; stroke: #818b98; stroke-width: 1.2; }\n"
	".down { stroke-dasharray: 1.5 5; }\n"
	".gap { stroke: #ffffff; stroke-width: 7; }\n"
	".row { stroke: #d1d9e0; stroke-width: 0.7; stroke-dasharray: 1 3; }\n"
	".ctl, .dat, .udp, .err, .x, .crash { fill: none; stroke-width: 1.4; }\n"
	".ctl { stroke: #424a53; } .dat { stroke: #0550ae; } .udp { stroke: #116329; }\n"
	".err, .x, .crash { stroke: #cf222e; } .x { stroke-width: 2; }\n"
	".crash { stroke-width: 2.6; }\n"
	".dup { stroke-dasharray: 5 3; }\n"
	".hctl { fill: #424a53; } .hdat { fill: #0550ae; } .hudp { fill: #116329; }\n"
	".herr { fill: #cf222e; }\n"
	".words, .why, .all { text-anchor: middle; }\n"
	".words, .why, .note { stroke: #ffffff; stroke-width: 3px;\n"
	"  stroke-linejoin: round; paint-order: stroke; }\n"
	".why { font-size: 11px; font-style: italic; fill: #cf222e; }\n"
	".note { fill: #59636e; font-style: italic; }\n"
	".fault { fill: #953800; }\n"
	".veil { fill: #ffffff; fill-opacity: 0.8; }\n"
	".faultbox { fill: #fff1e5; stroke: #bc4c00; }\n"
	".band { fill: #fb8f44; fill-opacity: 0.2; }\n"
	".hatch { stroke: #bc4c00; stroke-opacity: 0.4; stroke-width: 1; }\n"
	".paused { fill: #818b98; fill-opacity: 0.35; }\n"
	"@media (prefers-color-scheme: dark) {\n"
	"text { fill: #f0f6fc; } .bg { fill: #0d1117; }\n"
	".addr, .time, .foot, .pass, .note { fill: #9198a1; }\n"
	".box { fill: #151b23; stroke: #9198a1; }\n"
	".life, .down, .cut { stroke: #656c76; } .row { stroke: #2f3742; }\n"
	".gap, .words, .why, .note { stroke: #0d1117; }\n"
	".ctl { stroke: #c9d1d9; } .dat { stroke: #79c0ff; } .udp { stroke: #7ee787; }\n"
	".err, .x, .crash { stroke: #ff7b72; } .why, .herr { fill: #ff7b72; }\n"
	".hctl { fill: #c9d1d9; } .hdat { fill: #79c0ff; } .hudp { fill: #7ee787; }\n"
	".fault { fill: #ffb77c; } .faultbox { fill: #2c1a0e; stroke: #db6d28; }\n"
	".veil { fill: #0d1117; }\n"
	".hatch { stroke: #ffa657; } .paused { fill: #9198a1; }\n"
	"}\n"
	"</style>\n"
	"<defs><pattern id=\"hatch\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\"\n"
	"  patternTransform=\"rotate(45)\"><line class=\"hatch\" x1=\"0\" y1=\"0\" x2=\"0\"\n"
	"  y2=\"8\"/></pattern></defs>\n";

/* ---- elements ---- */

static void put_text(FILE *out, int x, int y, const char *class_name, const char *text)
{
	fprintf(out, "<text class=\"%s\" x=\"%d\" y=\"%d\">", class_name, x, y);
	soq__sim_svg_text(out, text, strlen(text));
	fputs("</text>\n", out);
}

static void put_line(FILE *out, const char *class_name, int x1, int y1, int x2, int y2)
{
	fprintf(out, "<path class=\"%s\" d=\"M%d %dL%d %d\"/>\n", class_name, x1, y1, x2, y2);
}

static void put_box(FILE *out, const char *class_name, int x, int y, int width, int height)
{
	fprintf(out,
		"<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>\n",
		class_name, x, y, width, height);
}

static void put_cross(FILE *out, const char *class_name, int x, int y)
{
	int h = CROSS_HALF;

	fprintf(out, "<path class=\"%s\" d=\"M%d %dL%d %dM%d %dL%d %d\"/>\n", class_name, x - h,
		y - h, x + h, y + h, x - h, y + h, x + h, y - h);
}

static void put_point(FILE *out, char command, int64_t x, int64_t y)
{
	fputc(command, out);
	soq__sim_svg_put(out, x);
	fputc(' ', out);
	soq__sim_svg_put(out, y);
}

/* An arrow's head, its tip at a point. */
static void put_head(
	FILE *out, const char *class_name, int64_t x, int64_t y, struct soq__sim_direction d)
{
	int64_t back_x = x - d.x * HEAD_LENGTH * UNIT / SOQ__SIM_SVG_ONE;
	int64_t back_y = y - d.y * HEAD_LENGTH * UNIT / SOQ__SIM_SVG_ONE;
	int64_t side_x = -d.y * HEAD_HALF * UNIT / SOQ__SIM_SVG_ONE;
	int64_t side_y = d.x * HEAD_HALF * UNIT / SOQ__SIM_SVG_ONE;

	fprintf(out, "<path class=\"h%s\" d=\"", class_name);
	put_point(out, 'M', x, y);
	put_point(out, 'L', back_x + side_x, back_y + side_y);
	put_point(out, 'L', back_x - side_x, back_y - side_y);
	fputs("Z\"/>\n", out);
}

/* ---- the frame ---- */

static void put_opening(const struct soq__sim_diagram *d)
{
	const char *title = d->title ? d->title : "Sequence diagram";

	fprintf(d->file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\" role=\"img\">\n<title>",
		d->width, d->height, d->width, d->height);
	soq__sim_svg_text(d->file, title, strlen(title));
	fprintf(d->file, "</title>\n%s", style);
	fprintf(d->file, "<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n", d->width,
		d->height);
	if (d->title)
		put_text(d->file, d->width / 2, 32, "title", d->title);
}

static void put_header(const struct soq__sim_diagram *d, size_t column)
{
	const struct soq_sim_host *host = d->sim->hosts[column];
	int x = d->columns[column].x;
	int height = SOQ__SIM_HEADER_HEIGHT + SOQ__SIM_ADDRESSES_SHOWN * SOQ__SIM_LINE_HEIGHT;
	int width = soq__sim_diagram_header_width(host);
	char line[SOQ__SIM_WORDS_MAX];

	put_box(d->file, "box", x - width / 2, d->top_y - height - 4, width, height + 4);
	put_text(d->file, x, d->top_y - height + 13, "name", host->name);
	for (size_t i = 0; i < SOQ__SIM_ADDRESSES_SHOWN; i++)
		put_text(d->file, x,
			d->top_y - height + 15 + ((int)i + 1) * SOQ__SIM_LINE_HEIGHT, "addr",
			soq__sim_diagram_address(line, host, i));
	put_text(d->file, x, d->bottom_y + 18, "name", host->name);
}

static void put_footer(const struct soq__sim_diagram *d)
{
	char text[SOQ__SIM_WORDS_MAX];

	snprintf(text, sizeof(text), "time in seconds, not to scale; seed %llu",
		(unsigned long long)d->sim->seed);
	put_text(d->file, d->width / 2, d->bottom_y + 42, "foot", text);
	if (d->left_out == 0)
		return;
	snprintf(text, sizeof(text), "%llu more event%s left out",
		(unsigned long long)d->left_out, d->left_out == 1 ? " is" : "s are");
	put_text(d->file, d->width / 2, d->bottom_y + 60, "foot", text);
}

/* ---- what lasts ---- */

static void put_band(const struct soq__sim_diagram *d, const struct soq__sim_span *s)
{
	int a = d->columns[s->from].x, b = d->columns[s->to].x;
	int left = a < b ? a : b, right = a < b ? b : a, height = s->end_y - s->y;

	if (left == right) {
		left -= BAND_HALF;
		right += BAND_HALF;
	}
	put_box(d->file, "band", left, s->y, right - left, height);
	fprintf(d->file,
		"<rect fill=\"url(#hatch)\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
		left, s->y, right - left, height);
}

static bool is_life(const struct soq__sim_span *s, size_t column, enum soq__sim_life life)
{
	return s->kind == SOQ__SIM_ITEM_STATE && s->from == column && s->life == life;
}

/* The line is dotted while the host is down. */
static void put_lifeline(const struct soq__sim_diagram *d, size_t column)
{
	int x = d->columns[column].x, y = d->top_y;

	for (size_t i = 0; i < d->span_count; i++) {
		const struct soq__sim_span *s = &d->spans[i];

		if (is_life(s, column, SOQ__SIM_IS_PAUSED))
			put_box(d->file, "paused", x - 5, s->y, 10, s->end_y - s->y);
		if (!is_life(s, column, SOQ__SIM_IS_DOWN))
			continue;
		put_line(d->file, "life", x, y, x, s->y);
		put_line(d->file, "down", x, s->y, x, s->end_y);
		put_cross(d->file, "crash", x, s->y);
		if (!s->open)
			put_line(d->file, "crash", x - 7, s->end_y, x + 7, s->end_y);
		y = s->end_y;
	}
	put_line(d->file, "life", x, y, x, d->bottom_y);
}

/* To three digits. */
static int64_t rounded(int64_t ns)
{
	int64_t unit = 1;

	while (ns / unit >= 1000)
		unit *= 10;
	return (ns / unit + (ns % unit >= unit / 2 && unit > 1)) * unit;
}

/* Its length stands in the margin, where no arrow goes. */
static void put_break(const struct soq__sim_diagram *d, const struct soq__sim_break *b)
{
	char duration[SOQ__SIM_WORDS_MAX], text[SOQ__SIM_WORDS_MAX + 1];

	for (size_t i = 0; i < d->column_count; i++) {
		int x = d->columns[i].x;

		put_line(d->file, "gap", x, b->y - 4, x, b->y + 4);
		put_line(d->file, "cut", x - 7, b->y - 1, x + 7, b->y - 7);
		put_line(d->file, "cut", x - 7, b->y + 7, x + 7, b->y + 1);
	}
	snprintf(text, sizeof(text), "+%s",
		soq__sim_duration_text(duration, rounded(b->silence_ns)));
	put_text(d->file, TIME_X, b->y + 4, "pass", text);
}

/* ---- what happens at once ---- */

static void put_rows(const struct soq__sim_diagram *d)
{
	int64_t shown_us = -1;

	for (size_t i = 0; i < d->row_count; i++) {
		const struct soq__sim_row *r = &d->rows[i];
		int64_t us = r->at_ns / SOQ_US;
		char text[32];

		if (us == shown_us)
			continue;
		shown_us = us;
		snprintf(text, sizeof(text), "%lld.%06lld", (long long)(us / 1000000),
			(long long)(us % 1000000));
		put_text(d->file, TIME_X, r->y + 4, "time", text);
		if (r->column != SOQ__SIM_NOBODY)
			put_line(d->file, "row", TIME_X + 5, r->y, d->columns[r->column].x,
				r->y);
	}
}

/* A packet from a host to itself. */
static void put_loop(const struct soq__sim_diagram *d, const struct soq__sim_item *item,
	const struct soq__sim_arrow *a, const char *classes)
{
	int64_t out_x = a->x + SOQ__SIM_LOOP_WIDTH * UNIT;
	struct soq__sim_direction back = { -SOQ__SIM_SVG_ONE, 0 };

	fprintf(d->file, "<path class=\"%s\" d=\"", classes);
	put_point(d->file, 'M', a->x, a->y);
	put_point(d->file, 'L', out_x, a->y);
	if (soq__sim_item_arrives(item)) {
		put_point(d->file, 'L', out_x, a->end_y);
		put_point(d->file, 'L', a->end_x, a->end_y);
	}
	fputs("\"/>\n", d->file);
	if (item->fate == SOQ__SIM_ARRIVES)
		put_head(d->file, item->class_name, a->end_x, a->end_y, back);
	else
		put_cross(d->file, "x", (int)(out_x / UNIT), (int)(a->y / UNIT));
}

static void put_arrow(const struct soq__sim_diagram *d, const struct soq__sim_item *item)
{
	struct soq__sim_arrow a = soq__sim_diagram_arrow(d, item);
	char classes[16];

	snprintf(classes, sizeof(classes), "%s%s", item->class_name,
		item->marks & SOQ__SIM_IS_DUPLICATE ? " dup" : "");
	if (item->from == item->to) {
		put_loop(d, item, &a, classes);
		return;
	}
	fprintf(d->file, "<path class=\"%s\" d=\"", classes);
	put_point(d->file, 'M', a.x, a.y);
	put_point(d->file, 'L', a.end_x, a.end_y);
	fputs("\"/>\n", d->file);
	if (item->fate == SOQ__SIM_ARRIVES)
		put_head(d->file, item->class_name, a.end_x, a.end_y,
			soq__sim_direction(a.end_x - a.x, a.end_y - a.y));
	else
		put_cross(d->file, "x", (int)(a.end_x / UNIT), (int)(a.end_y / UNIT));
}

static void put_note_text(FILE *out, const struct soq__sim_item *item, int x)
{
	const char *rest = item->label;
	int y = item->y;

	while (*rest) {
		size_t len = soq__sim_svg_fit(rest, SOQ__SIM_LABEL_PX, item->width);

		y += SOQ__SIM_LINE_HEIGHT;
		fprintf(out, "<text class=\"%s%s\" x=\"%d\" y=\"%d\">",
			item->fault ? "fault" : "note",
			item->from == SOQ__SIM_NOBODY ? " all" : "", x, y);
		soq__sim_svg_text(out, rest, len);
		fputs("</text>\n", out);
		rest += len;
		rest += *rest == ' ';
	}
}

static void put_note(const struct soq__sim_diagram *d, const struct soq__sim_item *item)
{
	struct soq__sim_box box = soq__sim_diagram_note_box(item);
	int x = (int)(box.x / UNIT), half = (int)(box.half_width / UNIT);

	put_box(d->file, item->fault ? "faultbox" : "veil", x - half, item->y, 2 * half,
		item->end_y - item->y);
	put_note_text(
		d->file, item, item->from == SOQ__SIM_NOBODY ? x : x - half + NOTE_INDENT);
}

static void put_words(const struct soq__sim_diagram *d)
{
	struct soq__sim_box *boxes = soq__sim_diagram_labels(d);

	for (size_t i = 0; i < d->item_count; i++) {
		const struct soq__sim_item *item = &d->items[i];
		const char *reason = soq__sim_diagram_reason(item);

		if (item->kind != SOQ__SIM_ITEM_PACKET)
			continue;
		soq__sim_svg_label(d->file, &boxes[i], "words", item->label);
		if (*reason)
			soq__sim_svg_label(d->file, &boxes[d->item_count + i], "why", reason);
	}
	free(boxes);
}

static void put_kind(const struct soq__sim_diagram *d, enum soq__sim_item_kind kind,
	void (*put)(const struct soq__sim_diagram *, const struct soq__sim_item *))
{
	for (size_t i = 0; i < d->item_count; i++) {
		if (d->items[i].kind == kind)
			put(d, &d->items[i]);
	}
}

void soq__sim_diagram_draw(const struct soq__sim_diagram *d)
{
	put_opening(d);
	for (size_t i = 0; i < d->span_count; i++) {
		if (d->spans[i].kind == SOQ__SIM_ITEM_CUT && !d->spans[i].hidden)
			put_band(d, &d->spans[i]);
	}
	put_rows(d);
	for (size_t i = 0; i < d->column_count; i++)
		put_lifeline(d, i);
	for (size_t i = 0; i < d->break_count; i++)
		put_break(d, &d->breaks[i]);
	put_kind(d, SOQ__SIM_ITEM_PACKET, put_arrow);
	put_words(d);
	put_kind(d, SOQ__SIM_ITEM_NOTE, put_note);
	for (size_t i = 0; i < d->column_count; i++)
		put_header(d, i);
	put_footer(d);
	fputs("</svg>\n", d->file);
}
