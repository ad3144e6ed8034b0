/* http_date.c - writing one form of HTTP's dates, and reading all three.
 *
 *	Sun, 06 Nov 1994 08:49:37 GMT	IMF-fixdate, the only one that is written
 *	Sunday, 06-Nov-94 08:49:37 GMT	RFC 850, obsolete
 *	Sun Nov  6 08:49:37 1994	asctime(3), obsolete
 *
 * Each form is a pattern, read by one small matcher.
 */
#include "http_date.h"
#include "civil.h"

#include <errno.h>

void soq__put_http_date(struct soq__writer *w, int64_t seconds)
{
	struct soq__civil c = soq__civil_from_unix(seconds);

	soq__put(w, soq__weekday_name(c.weekday), 3);
	soq__put_string(w, ", ");
	soq__put_digits(w, c.day, 2);
	soq__put_string(w, " ");
	soq__put(w, soq__month_name(c.month), 3);
	soq__put_string(w, " ");
	soq__put_digits(w, c.year, 4);
	soq__put_string(w, " ");
	soq__put_digits(w, c.hour, 2);
	soq__put_string(w, ":");
	soq__put_digits(w, c.minute, 2);
	soq__put_string(w, ":");
	soq__put_digits(w, c.second, 2);
	soq__put_string(w, " GMT");
}

/* @count digits; with @or_space the first may be a space, as asctime's day. */
static bool take_digits(struct soq__text *t, int count, bool or_space, int64_t *ret)
{
	int64_t value = 0;

	if (t->len < (size_t)count)
		return false;
	for (int i = 0; i < count; i++) {
		if (i == 0 && or_space && t->at[0] == ' ')
			continue;
		if (t->at[i] < '0' || t->at[i] > '9')
			return false;
		value = value * 10 + (t->at[i] - '0');
	}
	*t = soq__text_from(*t, (size_t)count);
	*ret = value;
	return true;
}

/* A weekday's or a month's name, its first three letters or all; case matters
 * (RFC 9110 section 5.6.7). */
static bool take_name(struct soq__text *t, const char *(*name)(int), int first, int last,
	bool is_whole, int *ret)
{
	for (int i = first; i <= last; i++) {
		struct soq__text want = soq__text_of(name(i));

		if (!is_whole)
			want.len = 3;
		if (t->len < want.len ||
			!soq__text_equal((struct soq__text){ t->at, want.len }, want))
			continue;
		*t = soq__text_from(*t, want.len);
		*ret = i;
		return true;
	}
	return false;
}

static bool take_number(struct soq__text *t, int count, bool or_space, int *ret)
{
	int64_t value;

	if (!take_digits(t, count, or_space, &value))
		return false;
	*ret = (int)value;
	return true;
}

/* One letter of a pattern: w W weekday short, whole; b month; d day; e day with a space
 * for its zero; Y y year of 4, of 2 digits; H M S; anything else is itself. */
static bool take_item(char item, struct soq__text *t, struct soq__civil *c)
{
	switch (item) {
	case 'w':
	case 'W':
		return take_name(t, soq__weekday_name, 0, 6, item == 'W', &c->weekday);
	case 'b':
		return take_name(t, soq__month_name, 1, 12, false, &c->month);
	case 'd':
	case 'e':
		return take_number(t, 2, item == 'e', &c->day);
	case 'Y':
	case 'y':
		return take_digits(t, item == 'Y' ? 4 : 2, false, &c->year);
	case 'H':
		return take_number(t, 2, false, &c->hour);
	case 'M':
		return take_number(t, 2, false, &c->minute);
	case 'S':
		return take_number(t, 2, false, &c->second);
	default:
		if (t->len == 0 || t->at[0] != item)
			return false;
		*t = soq__text_from(*t, 1);
		return true;
	}
}

static bool matches(const char *pattern, struct soq__text t, struct soq__civil *c)
{
	/* A backslash takes the next letter of the pattern for itself. */
	for (; *pattern; pattern++) {
		if (*pattern == '\\') {
			if (t.len == 0 || t.at[0] != *++pattern)
				return false;
			t = soq__text_from(t, 1);
		} else if (!take_item(*pattern, &t, c)) {
			return false;
		}
	}
	return t.len == 0;
}

static int64_t whole_year(int64_t two_digits, int64_t now)
{
	int64_t this_year = soq__civil_from_unix(now).year;
	int64_t year = this_year - this_year % 100 + two_digits;

	return year > this_year + 50 ? year - 100 : year;
}

int soq__http_date_parse(struct soq__text t, int64_t now, int64_t *ret)
{
	struct soq__civil c = { 0 };

	if (matches("w, d b Y H:M:S G\\MT", t, &c) || matches("w b e H:M:S Y", t, &c))
		return soq__civil_to_unix(&c, ret);
	if (!matches("W, d-b-y H:M:S G\\MT", t, &c))
		return -EINVAL;
	c.year = whole_year(c.year, now);
	return soq__civil_to_unix(&c, ret);
}
