/* svg.c - the few things of SVG that a diagram needs, in integers.
 *
 * Whoever looks at a diagram has fonts that its writer does not know: widths are those of
 * Helvetica and its likes, and a little more.
 *
 * Source: SVG 1.1, XML 1.0 section 2.2 (characters); the separating axis theorem.
 */
#include "sim/svg.h"
#include "base/util.h"
#include <stdlib.h>
#include <string.h>

/* ---- text ---- */

/* Widths of ' ' to '~' in hundredths of the font's size. */
static const uint8_t widths[] = { 28, 28, 36, 56, 56, 89, 67, 20, 34, 34, 39, 59, 28, 34, 28,
	28, 56, 56, 56, 56, 56, 56, 56, 56, 56, 56, 28, 28, 59, 59, 59, 56, 102, 67, 67, 73, 73,
	67, 61, 78, 73, 28, 50, 67, 56, 84, 73, 78, 67, 78, 73, 67, 61, 73, 67, 95, 67, 67, 61,
	28, 28, 28, 47, 56, 34, 56, 56, 50, 56, 56, 28, 56, 56, 23, 23, 50, 23, 84, 56, 56, 56,
	56, 34, 50, 28, 56, 50, 73, 50, 50, 50, 34, 26, 34, 59 };

/* In hundredths of the font's size; of a character beyond ASCII, in its first byte. */
static int width_of(char c)
{
	uint8_t byte = (uint8_t)c;

	if (byte >= ' ' && byte <= '~')
		return widths[byte - ' '];
	return byte >= 0xc0 ? 100 : 0;
}

/* Some fonts are a tenth wider. */
static int pixels(int hundredths, int font_px)
{
	return (hundredths * font_px * 11 + 999) / 1000;
}

int soq__sim_svg_width(const char *text, int font_px)
{
	int sum = 0;

	for (; *text; text++)
		sum += width_of(*text);
	return pixels(sum, font_px);
}

size_t soq__sim_svg_fit(const char *text, int font_px, int width)
{
	size_t fits = 0;
	int sum = 0;

	for (size_t i = 0; text[i]; i++) {
		if (text[i] == ' ')
			fits = i;
		sum += width_of(text[i]);
		if (pixels(sum, font_px) > width && fits)
			return fits;
	}
	return strlen(text);
}

/* Bytes of the character of UTF-8 at @text, 0 when it is none that XML can hold. */
static size_t character(const char *text, size_t len)
{
	uint8_t first = (uint8_t)text[0];
	size_t bytes = first < 0x80 ? 1
		: first < 0xc2	    ? 0
		: first < 0xe0	    ? 2
		: first < 0xf0	    ? 3
				    : 4;
	uint32_t code = bytes > 1 ? first & (0x7fu >> bytes) : first;

	if (bytes == 0 || bytes > len || first > 0xf4 || first < ' ' || first == 0x7f)
		return 0;
	for (size_t i = 1; i < bytes; i++) {
		if (((uint8_t)text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | ((uint8_t)text[i] & 0x3f);
	}
	if ((bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000) || code > 0x10ffff)
		return 0;
	return (code >= 0xd800 && code < 0xe000) || (code & 0xfffe) == 0xfffe ? 0 : bytes;
}

void soq__sim_svg_text(FILE *out, const char *text, size_t len)
{
	while (len > 0) {
		size_t bytes = character(text, len);

		if (*text == '&')
			fputs("&amp;", out);
		else if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '>')
			fputs("&gt;", out);
		else if (bytes)
			fwrite(text, 1, bytes, out);
		else
			fputc('?', out);
		text += bytes ? bytes : 1;
		len -= bytes ? bytes : 1;
	}
}

/* Write a number with some decimals, without zeros at its end. */
static void put_decimal(FILE *out, int64_t value, int64_t one)
{
	int64_t rest = llabs(value) % one;

	fprintf(out, "%s%lld", value < 0 ? "-" : "", llabs(value) / one);
	if (rest)
		fputc('.', out);
	for (one /= 10; rest > 0 && one > 0; one /= 10) {
		fputc('0' + (int)(rest / one), out);
		rest %= one;
	}
}

void soq__sim_svg_put(FILE *out, int64_t hundredths)
{
	put_decimal(out, hundredths, SOQ__SIM_SVG_UNIT);
}

void soq__sim_svg_label(
	FILE *out, const struct soq__sim_box *box, const char *class_name, const char *text)
{
	const int64_t parts[] = { box->along.x, box->along.y, -box->along.y, box->along.x };

	fprintf(out, "<text class=\"%s\" ", class_name);
	if (box->along.y) {
		fputs("transform=\"matrix(", out);
		for (size_t i = 0; i < 4; i++) {
			put_decimal(out, parts[i], SOQ__SIM_SVG_ONE);
			fputc(' ', out);
		}
		soq__sim_svg_put(out, box->x);
		fputc(' ', out);
		soq__sim_svg_put(out, box->y);
		fputs(")\" y=\"4\">", out);
	} else {
		fputs("x=\"", out);
		soq__sim_svg_put(out, box->x);
		fputs("\" y=\"", out);
		soq__sim_svg_put(out, box->y + 4 * SOQ__SIM_SVG_UNIT);
		fputs("\">", out);
	}
	soq__sim_svg_text(out, text, strlen(text));
	fputs("</text>\n", out);
}

/* ---- geometry ---- */

/* Newton's method, from above: it falls until it is there. */
static int64_t square_root(int64_t square)
{
	int64_t root = square, next = (square + 1) / 2;

	while (next < root) {
		root = next;
		next = (root + square / root) / 2;
	}
	return root;
}

int64_t soq__sim_distance(int64_t dx, int64_t dy)
{
	return square_root(dx * dx + dy * dy);
}

struct soq__sim_direction soq__sim_direction(int64_t dx, int64_t dy)
{
	int64_t distance = soq__sim_distance(dx, dy);

	if (distance == 0)
		return (struct soq__sim_direction){ SOQ__SIM_SVG_ONE, 0 };
	return (struct soq__sim_direction){ dx * SOQ__SIM_SVG_ONE / distance,
		dy * SOQ__SIM_SVG_ONE / distance };
}

static int64_t dot(struct soq__sim_direction a, int64_t x, int64_t y)
{
	return (a.x * x + a.y * y) / SOQ__SIM_SVG_ONE;
}

static struct soq__sim_direction across(struct soq__sim_direction d)
{
	return (struct soq__sim_direction){ -d.y, d.x };
}

/* How far a box reaches from its middle in a direction. */
static int64_t reach(const struct soq__sim_box *b, struct soq__sim_direction d)
{
	struct soq__sim_direction v = across(b->along);
	int64_t u_part = llabs(dot(d, b->along.x, b->along.y));
	int64_t v_part = llabs(dot(d, v.x, v.y));

	return (b->half_width * u_part + b->half_height * v_part) / SOQ__SIM_SVG_ONE;
}

bool soq__sim_boxes_meet(const struct soq__sim_box *a, const struct soq__sim_box *b)
{
	const struct soq__sim_direction axes[] = { a->along, across(a->along), b->along,
		across(b->along) };

	for (size_t i = 0; i < 4; i++) {
		int64_t apart = llabs(dot(axes[i], b->x - a->x, b->y - a->y));

		if (apart >= reach(a, axes[i]) + reach(b, axes[i]))
			return false;
	}
	return true;
}
