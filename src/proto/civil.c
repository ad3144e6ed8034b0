/* civil.c - days and dates.
 *
 * Years are counted from 1 March, so that the leap day is a year's last and the length of
 * the months follows one line, (153 * m + 2) / 5; an era is the calendar's whole period
 * of 400 years.
 *
 * Source: Howard Hinnant, "chrono-compatible low-level date algorithms", days_from_civil
 * and civil_from_days.
 */
#include "civil.h"

#include <errno.h>

#define DAY 86400

/* 1970-01-01 is this many days after 0000-03-01. */
#define EPOCH 719468

static const char *const weekdays[] = {
	"Sunday",
	"Monday",
	"Tuesday",
	"Wednesday",
	"Thursday",
	"Friday",
	"Saturday",
};

static const char *const months[] = {
	"January",
	"February",
	"March",
	"April",
	"May",
	"June",
	"July",
	"August",
	"September",
	"October",
	"November",
	"December",
};

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t days_from_civil(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = floor_div(y, 400);
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
		day_of_year - EPOCH;
}

struct soq__civil soq__civil_from_unix(int64_t seconds)
{
	int64_t days = floor_div(seconds, DAY);
	int64_t second_of_day = seconds - days * DAY;
	int64_t era = floor_div(days + EPOCH, 146097);
	int64_t doe = days + EPOCH - era * 146097; /* day of the era, 0..146096 */
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t m = (5 * doy + 2) / 153;

	return (struct soq__civil){
		.year = yoe + era * 400 + (m >= 10),
		.month = (int)(m < 10 ? m + 3 : m - 9),
		.day = (int)(doy - (153 * m + 2) / 5 + 1),
		.weekday = (int)(days + 4 - floor_div(days + 4, 7) * 7),
		.hour = (int)(second_of_day / 3600),
		.minute = (int)(second_of_day / 60 % 60),
		.second = (int)(second_of_day % 60),
	};
}

static int days_in_month(int64_t year, int month)
{
	bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	if (month == 2)
		return is_leap ? 29 : 28;
	return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

int soq__civil_to_unix(const struct soq__civil *c, int64_t *ret)
{
	if (c->month < 1 || c->month > 12 || c->day < 1 ||
		c->day > days_in_month(c->year, c->month))
		return -EINVAL;
	if (c->hour < 0 || c->hour > 23 || c->minute < 0 || c->minute > 59 || c->second < 0 ||
		c->second > 60)
		return -EINVAL;
	*ret = days_from_civil(c->year, c->month, c->day) * DAY + c->hour * 3600 +
		c->minute * 60 + c->second;
	return 0;
}

const char *soq__weekday_name(int weekday)
{
	return weekdays[weekday];
}

const char *soq__month_name(int month)
{
	return months[month - 1];
}

void soq__put_digits(struct soq__writer *w, int64_t value, int width)
{
	char digits[20];
	int n = 0;

	while ((value > 0 || n < width) && n < (int)sizeof digits) {
		digits[sizeof digits - 1 - (size_t)n++] = (char)('0' + value % 10);
		value /= 10;
	}
	soq__put(w, digits + sizeof digits - (size_t)n, (size_t)n);
}
