/* message.c - what a run's process tells the one that started it, as bytes.
 *
 * Both are the same program, so that numbers are copied as they are. A text is its length and
 * its bytes.
 *
 * Invariant: a message that was cut off, because its process crashed while writing, is taken
 * for none; a count is not believed if the message has no room for so many.
 */
#include "sim/sweep.h"
#include <stdlib.h>
#include <string.h>

struct message {
	uint32_t kind;
	uint32_t bytes; /* of what follows */
};

/* ---- writing ---- */

struct writer {
	char *data;
	size_t len, capacity;
};

static void put(struct writer *w, const void *data, size_t len)
{
	if (w->capacity - w->len < len) {
		w->capacity = 2 * (w->len + len);
		w->data = soq__sim_realloc(w->data, w->capacity);
	}
	if (len)
		memcpy(w->data + w->len, data, len);
	w->len += len;
}

/* A length, and the text with its NUL; a length of 0: NULL. */
static void put_text(struct writer *w, const char *text)
{
	uint32_t bytes = text ? (uint32_t)strlen(text) + 1 : 0;

	put(w, &bytes, sizeof(bytes));
	put(w, text, bytes);
}

static void put_drawn(struct writer *w, const struct soq__sim_outcome *o)
{
	put(w, &o->link, sizeof(o->link));
	put(w, &o->fault_count, sizeof(o->fault_count));
	for (size_t i = 0; i < o->fault_count; i++) {
		put(w, &o->faults[i], sizeof(o->faults[i]));
		put_text(w, o->faults[i].a);
		put_text(w, o->faults[i].b);
	}
}

static void put_came_out(struct writer *w, const struct soq__sim_outcome *o)
{
	put(w, &o->ending, sizeof(o->ending));
	put(w, &o->code, sizeof(o->code));
	put(w, &o->verdict, sizeof(o->verdict));
	put(w, &o->digest, sizeof(o->digest));
	put(w, &o->events, sizeof(o->events));
	put(w, &o->simulated_ns, sizeof(o->simulated_ns));
	put_text(w, o->property);
	put_text(w, o->report);
	put(w, &o->covered_count, sizeof(o->covered_count));
	for (size_t i = 0; i < o->covered_count; i++) {
		put(w, &o->covered[i].held, sizeof(o->covered[i].held));
		put_text(w, o->covered[i].name);
	}
}

char *soq__sim_encode(
	enum soq__sim_message kind, const struct soq__sim_outcome *o, size_t *ret_len)
{
	struct writer w = { 0 };
	struct message m = { kind, 0 };

	put(&w, &m, sizeof(m));
	if (kind == SOQ__SIM_DRAWN)
		put_drawn(&w, o);
	else
		put_came_out(&w, o);
	m.bytes = (uint32_t)(w.len - sizeof(m));
	memcpy(w.data, &m, sizeof(m));
	*ret_len = w.len;
	return w.data;
}

/* ---- reading ---- */

struct reader {
	const char *data;
	size_t len;
	bool is_short; /* something was missing, and became 0 */
};

static void get(struct reader *r, void *data, size_t len)
{
	if (r->len < len) {
		r->is_short = true;
		r->len = 0;
		memset(data, 0, len);
		return;
	}
	memcpy(data, r->data, len);
	r->data += len;
	r->len -= len;
}

static char *get_text(struct reader *r)
{
	uint32_t bytes;
	char *text;

	get(r, &bytes, sizeof(bytes));
	if (bytes == 0 || bytes > r->len)
		return NULL;
	text = soq__sim_alloc(bytes);
	get(r, text, bytes);
	text[bytes - 1] = '\0';
	return text;
}

/* A count of things that take at least one byte each, so that no count is believed that the
 * message has no room for. */
static size_t get_count(struct reader *r)
{
	size_t count;

	get(r, &count, sizeof(count));
	return count <= r->len ? count : 0;
}

static void get_drawn(struct reader *r, struct soq__sim_outcome *o)
{
	get(r, &o->link, sizeof(o->link));
	o->fault_count = get_count(r);
	o->faults = soq__sim_alloc((o->fault_count + 1) * sizeof(*o->faults));
	for (size_t i = 0; i < o->fault_count; i++) {
		get(r, &o->faults[i], sizeof(o->faults[i]));
		o->faults[i].a = get_text(r);
		o->faults[i].b = get_text(r);
	}
	o->is_built = !r->is_short;
}

static void get_came_out(struct reader *r, struct soq__sim_outcome *o)
{
	get(r, &o->ending, sizeof(o->ending));
	get(r, &o->code, sizeof(o->code));
	get(r, &o->verdict, sizeof(o->verdict));
	get(r, &o->digest, sizeof(o->digest));
	get(r, &o->events, sizeof(o->events));
	get(r, &o->simulated_ns, sizeof(o->simulated_ns));
	o->property = get_text(r);
	o->report = get_text(r);
	o->covered_count = get_count(r);
	o->covered = soq__sim_alloc((o->covered_count + 1) * sizeof(*o->covered));
	for (size_t i = 0; i < o->covered_count; i++) {
		get(r, &o->covered[i].held, sizeof(o->covered[i].held));
		o->covered[i].name = get_text(r);
	}
}

bool soq__sim_decode(const char *data, size_t len, struct soq__sim_outcome *ret)
{
	struct reader all = { data, len, false };

	for (;;) {
		struct message m;
		struct reader r;

		get(&all, &m, sizeof(m));
		if (all.is_short || m.bytes > all.len)
			return false;
		r = (struct reader){ all.data, m.bytes, false };
		if (m.kind == SOQ__SIM_CAME_OUT) {
			get_came_out(&r, ret);
			return !r.is_short;
		}
		get_drawn(&r, ret);
		all.data += m.bytes;
		all.len -= m.bytes;
	}
}
