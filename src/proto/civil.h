/* civil.h - seconds since 1970 as a date and a time of day in UTC, and back.
 *
 * The proleptic Gregorian calendar, without leap seconds, as POSIX counts. Pure: no
 * locale, no time zone file, no static buffer, as gmtime(3) has them.
 */
#ifndef SOQ__PROTO_CIVIL_H
#define SOQ__PROTO_CIVIL_H

#include "writer.h"

struct soq__civil {
	int64_t year;
	int month;   /* 1..12 */
	int day;     /* 1..31 */
	int weekday; /* 0 is Sunday; ignored by soq__civil_to_unix() */
	int hour;
	int minute;
	int second;
};

struct soq__civil soq__civil_from_unix(int64_t seconds);

/**
 * @return 0; -EINVAL when there is no such day or time. Second 60, a leap second, counts
 *         as the next minute's first.
 */
int soq__civil_to_unix(const struct soq__civil *civil, int64_t *ret);

/* Full English names: "Sunday" for 0, "January" for 1. */
const char *soq__weekday_name(int weekday);
const char *soq__month_name(int month);

/* Numbers with leading zeros, at least @width digits. */
void soq__put_digits(struct soq__writer *w, int64_t value, int width);

#endif
