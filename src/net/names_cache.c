/* names_cache.c - see names_cache.h.
 *
 * Invariant: what is in a bucket is in by_age too, and counts for one of its refs.
 */
#include "net/names_cache.h"
#include <soquete/error.h>
#include <soquete/time.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAX    1024
#define KEPT_BYTES_MAX 16384 /* larger answers are given, and not kept: 16 MiB in all */

void soq__cache_init(struct soq__cache *c, struct soq__engine *e)
{
	*c = (struct soq__cache){ .engine = e };
	for (size_t i = 0; i < SOQ__CACHE_BUCKETS; i++)
		soq__list_init(&c->buckets[i]);
	soq__list_init(&c->by_age);
}

void soq__asked_put(struct soq__asked *a)
{
	if (!a || --a->refs > 0)
		return;
	soq_records_done(&a->records);
	free(a);
}

/* It is not to be found any more; nothing happens when it is not already. */
static void unlist(struct soq__asked *a)
{
	if (soq__list_empty(&a->age))
		return;
	soq__list_remove(&a->node);
	soq__list_remove(&a->age);
	a->cache->count--;
	soq__asked_put(a);
}

void soq__cache_clear(struct soq__cache *c)
{
	soq__list_for_each (node, &c->by_age)
		unlist(soq__container_of(node, struct soq__asked, age));
}

/* FNV-1a over the small letters of a name. Who fills a bucket on purpose fills the cache's
 * bound, no more. */
static struct soq__list *bucket_of(struct soq__cache *c, const char *name, unsigned type)
{
	uint32_t hash = 2166136261u ^ type;

	for (; *name; name++)
		hash = (hash ^ (uint32_t)tolower((unsigned char)*name)) * 16777619u;
	return &c->buckets[hash % SOQ__CACHE_BUCKETS];
}

static struct soq__asked *find(struct soq__cache *c, const char *name, unsigned type)
{
	struct soq__list *bucket = bucket_of(c, name, type);

	soq__list_for_each (node, bucket) {
		struct soq__asked *a = soq__container_of(node, struct soq__asked, node);

		if (a->question.type != type || !soq__dns_same_name(a->name, name))
			continue;
		if (a->pending || c->engine->type->now(c->engine) < a->expires_ns)
			return a;
		unlist(a);
	}
	return NULL;
}

/* What records take. Compressed names are short in a message and long here: one of 4 KiB may
 * become half a mebibyte, and whoever owns the names that are asked for could fill the memory.
 */
static size_t bytes_of(const struct soq_records *records)
{
	size_t bytes = 0;

	for (size_t i = 0; i < records->count; i++) {
		const struct soq_record *r = &records->list[i];

		bytes += sizeof(*r) + strlen(r->owner) + r->text_len;
	}
	return bytes;
}

static void answered(struct soq__question *q, int rc, const unsigned char *msg, size_t len)
{
	struct soq__asked *a = soq__container_of(q, struct soq__asked, question);
	struct soq__engine *e = a->cache->engine;
	struct soq__list *node;
	uint32_t ttl_s = 0;

	if (rc == 0)
		rc = soq__dns_parse(
			&a->records, &ttl_s, msg, len, q->name, (enum soq_record_type)q->type);
	a->rc = rc;
	a->pending = false;
	if (ttl_s > 0 && bytes_of(&a->records) <= KEPT_BYTES_MAX) {
		a->answered_ns = e->type->now(e);
		a->expires_ns = soq__after(a->answered_ns, ttl_s * SOQ_S);
	} else {
		unlist(a); /* the question holds it yet */
	}
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see that refs was 2 */
	while (!a->cache->forsaken && (node = soq__list_pop(&a->watchers)))
		soq__wake(soq__container_of(node, struct soq__watcher, node)->fiber, 0);
	soq__asked_put(a);
}

static void enlist(struct soq__cache *c, struct soq__asked *a)
{
	if (c->count == ANSWERS_MAX)
		unlist(soq__container_of(c->by_age.next, struct soq__asked, age));
	soq__list_append(bucket_of(c, a->name, a->question.type), &a->node);
	soq__list_append(&c->by_age, &a->age);
	c->count++;
	a->refs++;
}

struct soq__asked *soq__ask(
	struct soq__cache *c, struct soq__dns *dns, const char *name, unsigned type)
{
	struct soq__asked *a = find(c, name, type);

	if (a) {
		a->refs++;
		return a;
	}
	a = calloc(1, sizeof(*a) + strlen(name) + 1);
	if (!a)
		return NULL;
	for (size_t i = 0; name[i]; i++)
		a->name[i] = (char)tolower((unsigned char)name[i]);
	a->cache = c;
	a->question =
		(struct soq__question){ .name = a->name, .type = type, .answered = answered };
	a->pending = true;
	a->refs = 2; /* the caller's, and the question's until it is answered */
	soq__list_init(&a->node);
	soq__list_init(&a->age);
	soq__list_init(&a->watchers);
	enlist(c, a);
	dns->type->ask(dns, &a->question);
	return a;
}
