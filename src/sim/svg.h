/* svg.h - the few things of SVG that a diagram needs, in integers. */
#ifndef SOQ__SIM_SVG_H
#define SOQ__SIM_SVG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SOQ__SIM_SVG_UNIT 100	/* coordinates are in hundredths of a pixel */
#define SOQ__SIM_SVG_ONE  10000 /* 1 in a direction */

/* A direction: cosine and sine, in parts of SOQ__SIM_SVG_ONE. */
struct soq__sim_direction {
	int64_t x, y;
};

/* A rectangle turned in its direction, around its middle. */
struct soq__sim_box {
	int64_t x, y;
	int64_t half_width, half_height;
	struct soq__sim_direction along;
};

/* Pixels that a text takes at most, with the fonts that are asked for. */
int soq__sim_svg_width(const char *text, int font_px);
/* Bytes of a text that fit in a width and end with a word, one word at least. */
size_t soq__sim_svg_fit(const char *text, int font_px, int width);
/* Write text, escaped; what XML cannot hold becomes "?". */
void soq__sim_svg_text(FILE *out, const char *text, size_t len);
/* Write a coordinate. */
void soq__sim_svg_put(FILE *out, int64_t hundredths);
/* Write a text in the middle of a box and turned with it, its class given. */
void soq__sim_svg_label(
	FILE *out, const struct soq__sim_box *box, const char *class_name, const char *text);

/* From one point towards another; to the right when they are one. */
struct soq__sim_direction soq__sim_direction(int64_t dx, int64_t dy);
int64_t soq__sim_distance(int64_t dx, int64_t dy);
bool soq__sim_boxes_meet(const struct soq__sim_box *a, const struct soq__sim_box *b);

#endif
