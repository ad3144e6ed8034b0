/* writer.c - text being put together. */
#include "writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void soq__writer_init(struct soq__writer *w, char *buf, size_t cap, size_t max)
{
	*w = (struct soq__writer){ .at = buf, .cap = cap, .max = max };
}

void soq__writer_done(struct soq__writer *w)
{
	if (w->is_heap)
		free(w->at);
	*w = (struct soq__writer){ .failed = true };
}

/* @need is at most w->max. */
static bool grow(struct soq__writer *w, size_t need)
{
	size_t cap = w->cap < 512 ? 1024 : w->cap * 2;
	char *at;

	while (cap < need)
		cap *= 2;
	if (cap > w->max)
		cap = w->max;
	at = realloc(w->is_heap ? w->at : NULL, cap);
	if (!at)
		return false;
	if (!w->is_heap && w->len > 0)
		memcpy(at, w->at, w->len);
	w->at = at;
	w->cap = cap;
	w->is_heap = true;
	return true;
}

char *soq__writer_room(struct soq__writer *w, size_t len)
{
	if (!w->failed && len > w->cap - w->len)
		w->failed = len > w->max - w->len || !grow(w, w->len + len);
	return w->failed ? NULL : w->at + w->len;
}

void soq__put(struct soq__writer *w, const void *bytes, size_t len)
{
	char *room = soq__writer_room(w, len);

	if (!room || len == 0)
		return;
	memcpy(room, bytes, len);
	w->len += len;
}

void soq__put_text(struct soq__writer *w, struct soq__text t)
{
	soq__put(w, t.at, t.len);
}

void soq__put_string(struct soq__writer *w, const char *string)
{
	soq__put(w, string, strlen(string));
}

void soq__put_u64(struct soq__writer *w, uint64_t value)
{
	char digits[20];
	size_t i = sizeof digits;

	do {
		digits[--i] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	soq__put(w, digits + i, sizeof digits - i);
}

void soq__put_format(struct soq__writer *w, const char *format, ...)
{
	char text[256];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof text)
		w->failed = true;
	else
		soq__put(w, text, (size_t)n);
}
