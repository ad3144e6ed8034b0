/* book.c - which host has a name, or an address.
 *
 * A hash table with open addressing, linear probing. Nothing is ever taken out, since hosts
 * last as long as their world.
 *
 * Invariant: at most half of the entries are in use, so that a search ends at a free one.
 */
#include "sim/sim.h"
#include <stdlib.h>
#include <string.h>

#define CAPACITY_LEAST 16 /* a power of two */

struct soq__sim_entry {
	struct soq_sim_host *host; /* NULL: free */
	const void *key;
	size_t len;
	uint64_t hash;
};

/* FNV-1a, with the high bits folded in since only the low ones choose. */
static uint64_t hash_of(const void *key, size_t len)
{
	const uint8_t *bytes = key;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

/* Where a key is, or would be. */
static struct soq__sim_entry *place_of(
	const struct soq__sim_book *book, const void *key, size_t len, uint64_t hash)
{
	size_t mask = book->capacity - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct soq__sim_entry *e = &book->entries[i];

		if (!e->host ||
			(e->hash == hash && e->len == len && memcmp(e->key, key, len) == 0))
			return e;
	}
}

static void grow(struct soq__sim_book *book)
{
	struct soq__sim_book wider = *book;

	wider.capacity = book->capacity ? 2 * book->capacity : CAPACITY_LEAST;
	wider.entries = soq__sim_alloc(wider.capacity * sizeof(*wider.entries));
	for (size_t i = 0; i < book->capacity; i++) {
		const struct soq__sim_entry *e = &book->entries[i];

		if (e->host)
			*place_of(&wider, e->key, e->len, e->hash) = *e;
	}
	free(book->entries);
	*book = wider;
}

void soq__sim_book_add(
	struct soq__sim_book *book, const void *key, size_t len, struct soq_sim_host *host)
{
	uint64_t hash = hash_of(key, len);

	if (2 * (book->count + 1) > book->capacity)
		grow(book);
	*place_of(book, key, len, hash) = (struct soq__sim_entry){ host, key, len, hash };
	book->count++;
}

struct soq_sim_host *soq__sim_book_find(
	const struct soq__sim_book *book, const void *key, size_t len)
{
	return book->count ? place_of(book, key, len, hash_of(key, len))->host : NULL;
}
