/* text.c - the words of a command line: durations, sizes, and the word that was meant.
 *
 * Nothing here suspends or prints. A `ret` is written only when the text is good.
 */
#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 31

static const struct {
	const char *unit;
	int64_t ns;
} units[] = {
	{ "h", INT64_C(3600000000000) },
	{ "m", INT64_C(60000000000) },
	{ "s", INT64_C(1000000000) },
	{ "ms", INT64_C(1000000) },
	{ "us", INT64_C(1000) },
};

/* Nanoseconds of a unit; 0 for a word that is none. */
static int64_t unit_ns(const char *word)
{
	if (!*word)
		return INT64_C(1000000000);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(word, units[i].unit))
			return units[i].ns;
	return 0;
}

bool tool_duration(const char *text, int64_t *ret_ns)
{
	int64_t whole = 0, ns, scale;
	const char *fraction = "";

	if (!isdigit((unsigned char)*text))
		return false;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
			__builtin_add_overflow(whole, *text - '0', &whole))
			return false;
	if (*text == '.') {
		fraction = ++text;
		if (!isdigit((unsigned char)*text))
			return false;
		text += strspn(text, "0123456789");
	}

	scale = unit_ns(text);
	if (!scale || __builtin_mul_overflow(whole, scale, &ns))
		return false;
	for (; isdigit((unsigned char)*fraction) && (scale /= 10); fraction++)
		if (__builtin_add_overflow(ns, (*fraction - '0') * scale, &ns))
			return false;
	*ret_ns = ns;
	return true;
}

void tool_duration_format(char *buf, size_t len, int64_t ns)
{
	size_t i = 0;

	while (i + 1 < sizeof(units) / sizeof(units[0]) && ns % units[i].ns)
		i++;
	snprintf(buf, len, "%lld%s", (long long)(ns / units[i].ns), units[i].unit);
}

bool tool_number(const char *text, uint64_t low, uint64_t high, uint64_t *ret)
{
	uint64_t n = 0;

	if (!*text)
		return false;
	for (; *text; text++)
		if (!isdigit((unsigned char)*text) || __builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return false;
	if (n < low || n > high)
		return false;
	*ret = n;
	return true;
}

bool tool_bytes(const char *text, size_t *ret)
{
	static const char suffixes[] = "kMG";
	size_t digits = strspn(text, "0123456789");
	const char *suffix = text[digits] ? strchr(suffixes, text[digits]) : NULL;
	char number[WORD_MAX + 1];
	uint64_t n;

	if (digits > WORD_MAX || (text[digits] && (!suffix || text[digits + 1])))
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (!tool_number(number, 1, SIZE_MAX, &n))
		return false;
	for (int i = 0; suffix && i <= suffix - suffixes; i++)
		if (__builtin_mul_overflow(n, 1024, &n))
			return false;
	*ret = n;
	return true;
}

bool tool_percent(const char *text, uint32_t *ret_ppm)
{
	size_t digits = strspn(text, "0123456789");
	const char *fraction = text + digits;
	char number[WORD_MAX + 1];
	uint64_t whole, ppm;

	if (digits > WORD_MAX)
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	if (!tool_number(number, 0, 100, &whole))
		return false;
	ppm = whole * 10000;
	if (*fraction == '.') {
		if (!isdigit((unsigned char)*++fraction))
			return false;
		for (uint64_t scale = 1000; isdigit((unsigned char)*fraction); fraction++) {
			ppm += (uint64_t)(*fraction - '0') * scale;
			scale /= 10;
		}
	}
	if (*fraction == '%')
		fraction++;
	if (*fraction || ppm > 1000000)
		return false;
	*ret_ppm = (uint32_t)ppm;
	return true;
}

bool tool_mode(const char *text, unsigned *ret)
{
	unsigned mode = 0;

	if (!*text || strlen(text) > 4 || text[strspn(text, "01234567")])
		return false;
	for (; *text; text++)
		mode = mode * 8 + (unsigned)(*text - '0');
	if (!mode || mode > 0777)
		return false;
	*ret = mode;
	return true;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	unsigned ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* The optimal string alignment distance (Damerau 1964): row i, column j is the distance
 * of the first i letters of a from the first j of b. */
unsigned tool_distance(const char *a, const char *b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return WORD_MAX;
	for (unsigned i = 0; i <= a_len; i++) {
		for (unsigned j = 0; j <= b_len; j++) {
			if (!i || !j) {
				d[i][j] = i + j;
				continue;
			}
			d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1,
				d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1, d[i][j]);
		}
	}
	return d[a_len][b_len];
}
