/* http_range_edges.c - a range's two ends, one by one, around the ends of a small file. */
#include "proto/http_condition.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

#define MOST 6

static enum soq__http_range range(
	const char *text, uint64_t size, uint64_t *first, uint64_t *last)
{
	return soq__http_range_parse(
		(struct soq__text){ text, strlen(text) }, size, first, last);
}

/* RFC 9110 section 14.1.2: whatever is asked for, what is given lies within the file. */
TEST(http_range_every_pair_of_ends)
{
	for (uint64_t size = 0; size < MOST; size++)
		for (uint64_t a = 0; a < MOST; a++)
			for (uint64_t b = 0; b <= MOST + 1; b++) {
				uint64_t first = 99, last = 99;
				enum soq__http_range got;
				char text[32];

				snprintf(text, sizeof(text), "bytes=%d-%d", (int)a, (int)b);
				ROW("%s of %d", text, (int)size);
				got = range(text, size, &first, &last);
				if (a > b) {
					CHECK_EQ(got, SOQ__HTTP_WHOLE);
				} else if (a >= size) {
					CHECK_EQ(got, SOQ__HTTP_UNSATISFIABLE);
				} else {
					CHECK_EQ(got, SOQ__HTTP_PART);
					CHECK_EQ(first, a);
					CHECK_EQ(last, b < size ? b : size - 1);
				}
			}
}

/* The last bytes: all of them, if there are fewer than that. */
TEST(http_range_every_suffix)
{
	for (uint64_t size = 1; size < MOST; size++)
		for (uint64_t n = 1; n <= MOST + 1; n++) {
			uint64_t first = 99, last = 99;
			char text[32];

			snprintf(text, sizeof(text), "bytes=-%d", (int)n);
			ROW("%s of %d", text, (int)size);
			CHECK_EQ(range(text, size, &first, &last), SOQ__HTTP_PART);
			CHECK_EQ(first, n < size ? size - n : 0);
			CHECK_EQ(last, size - 1);
		}
}
