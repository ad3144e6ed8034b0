/* names_cache.h - what a worker has asked the DNS: answers for as long as they hold, and
 * questions on their way, which all who ask the same share.
 */
#ifndef SOQ__NAMES_CACHE_H
#define SOQ__NAMES_CACHE_H

#include "net/dns.h"
#include "net/dns_message.h"

/* A question, and what came of it. */
struct soq__asked {
	struct soq__list node; /* of its bucket; on none when it is not to be found any more */
	struct soq__list age;  /* of the cache, oldest first; likewise */
	struct soq__cache *cache;
	struct soq__question question;
	bool pending;
	int rc; /* 0: the records; else why there are none */
	struct soq_records records;
	int64_t answered_ns, expires_ns;
	struct soq__list watchers;
	unsigned refs; /* holders, the question on its way and the cache among them */
	char name[];   /* in small letters */
};

/* A fiber to be woken when a question is answered. */
struct soq__watcher {
	struct soq__list node;
	struct soq__fiber *fiber;
};

#define SOQ__CACHE_BUCKETS 256

struct soq__cache {
	struct soq__engine *engine; /* for its clock */
	struct soq__list buckets[SOQ__CACHE_BUCKETS];
	struct soq__list by_age;
	size_t count;
	bool forsaken; /* who waited is gone, stack and all: nobody is to be woken */
};

void soq__cache_init(struct soq__cache *c, struct soq__engine *e);
/* Forget all. Questions on their way go on, and are answered to those who wait. */
void soq__cache_clear(struct soq__cache *c);

/* Ask, or find that it was asked: the answer may be there at once.
 * @return the caller's, who gives it to soq__asked_put(); NULL: no memory */
struct soq__asked *soq__ask(
	struct soq__cache *c, struct soq__dns *dns, const char *name, unsigned type);
/* Accepts NULL. */
void soq__asked_put(struct soq__asked *a);

#endif
