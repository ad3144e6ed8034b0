/* writer.h - text being put together: in the caller's buffer, then on the heap.
 *
 *	char small[512];
 *	struct soq__writer w;
 *	soq__writer_init(&w, small, sizeof small, 65536);
 *	soq__put_string(&w, "HTTP/1.1 200 OK\r\n");
 *	if (!w.failed)
 *		send(w.at, w.len);
 *	soq__writer_done(&w);
 *
 * Invariant: len <= cap <= max, and once failed nothing more is written.
 */
#ifndef SOQ__PROTO_WRITER_H
#define SOQ__PROTO_WRITER_H

#include "text.h"

struct soq__writer {
	char *at;
	size_t len;
	size_t cap;
	size_t max;   /* bytes it may ever hold; beyond, it fails */
	bool is_heap; /* at is ours to free */
	bool failed;  /* something did not fit, or there was no memory */
};

/**
 * @buf  the first @cap bytes, borrowed until soq__writer_done(); NULL when @cap is 0
 * @max  equal to @cap: never uses the heap
 */
void soq__writer_init(struct soq__writer *w, char *buf, size_t cap, size_t max);
void soq__writer_done(struct soq__writer *w);

/**
 * Room for @len more bytes, to be filled in and added to w->len by the caller.
 * @return NULL when it failed
 */
char *soq__writer_room(struct soq__writer *w, size_t len);

void soq__put(struct soq__writer *w, const void *bytes, size_t len);
void soq__put_text(struct soq__writer *w, struct soq__text t);
void soq__put_string(struct soq__writer *w, const char *string);
void soq__put_u64(struct soq__writer *w, uint64_t value);
void soq__put_format(struct soq__writer *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
