/* text.h - the words of a command line: durations, sizes, and the word that was meant. */
#ifndef TOOL_TEXT_H
#define TOOL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * A duration: digits, perhaps a fraction, and a unit (us, ms, s, m, h; none is s).
 * @return false when @text is not one, or does not fit
 */
bool tool_duration(const char *text, int64_t *ret_ns);

/** Write a duration as tool_duration() reads it, in the largest unit without a fraction. */
void tool_duration_format(char *buf, size_t len, int64_t ns);

/** A number @low..@high in decimal digits. */
bool tool_number(const char *text, uint64_t low, uint64_t high, uint64_t *ret);

/** A number of bytes, at least 1, perhaps followed by k, M or G. */
bool tool_bytes(const char *text, size_t *ret);

/** A percentage 0..100, perhaps with a fraction and a percent sign, in parts per million. */
bool tool_percent(const char *text, uint32_t *ret_ppm);

/** A number in octal digits, 1..0777. */
bool tool_mode(const char *text, unsigned *ret);

/**
 * How many letters to insert, delete, replace or exchange with their neighbour make one
 * word of the other; words of more than 31 letters are far from all others.
 */
unsigned tool_distance(const char *a, const char *b);

#endif
