/* limits.c - how many clients each address has.
 *
 * IPv6 is counted by /64, which is what one subscriber has (RFC 6177). This machine's own
 * addresses are not counted. A chained hash table, since an entry lives as long as its
 * clients do.
 */
#include "server/server.h"
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024

struct entry {
	struct entry *next;
	unsigned char key[8];
	unsigned count;
};

struct soq__peers {
	pthread_mutex_t lock;
	struct entry *buckets[BUCKETS];
};

struct soq__peers *soq__peers_new(void)
{
	struct soq__peers *peers = calloc(1, sizeof(*peers));

	if (peers)
		pthread_mutex_init(&peers->lock, NULL);
	return peers;
}

void soq__peers_free(struct soq__peers *peers)
{
	if (!peers)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		while (peers->buckets[i]) {
			struct entry *e = peers->buckets[i];

			peers->buckets[i] = e->next;
			free(e);
		}
	pthread_mutex_destroy(&peers->lock);
	free(peers);
}

/* An IPv4 address after four marking bytes (which no global IPv6 prefix has), or the first
 * half of an IPv6 one. */
static void key_of(unsigned char key[8], const struct soq_addr *addr)
{
	static const unsigned char mark[4] = { 0, 0, 0xff, 0xff };
	const unsigned char *in4 = NULL;

	if (addr->sa.sa_family == AF_INET)
		in4 = (const unsigned char *)&addr->in.sin_addr;
	else if (IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr))
		in4 = &addr->in6.sin6_addr.s6_addr[12];
	if (!in4) {
		memcpy(key, &addr->in6.sin6_addr, 8);
		return;
	}
	memcpy(key, mark, 4);
	memcpy(key + 4, in4, 4);
}

/* FNV-1a. */
static size_t bucket_of(const unsigned char key[8])
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < 8; i++)
		hash = (hash ^ key[i]) * 16777619u;
	return hash % BUCKETS;
}

static struct entry **find(struct soq__peers *peers, const unsigned char key[8])
{
	struct entry **at = &peers->buckets[bucket_of(key)];

	while (*at && memcmp((*at)->key, key, 8) != 0)
		at = &(*at)->next;
	return at;
}

bool soq__peers_enter(struct soq__peers *peers, const struct soq_addr *addr, unsigned max)
{
	unsigned char key[8];
	struct entry **at;
	bool room;

	if (soq_addr_is_local(addr))
		return true;
	key_of(key, addr);
	pthread_mutex_lock(&peers->lock);
	at = find(peers, key);
	if (!*at && (*at = calloc(1, sizeof(**at))))
		memcpy((*at)->key, key, 8);
	room = *at && (*at)->count < max;
	if (room)
		(*at)->count++;
	pthread_mutex_unlock(&peers->lock);
	return room;
}

void soq__peers_leave(struct soq__peers *peers, const struct soq_addr *addr)
{
	unsigned char key[8];
	struct entry **at, *e;

	if (soq_addr_is_local(addr))
		return;
	key_of(key, addr);
	pthread_mutex_lock(&peers->lock);
	at = find(peers, key);
	e = *at;
	if (e && --e->count == 0) {
		*at = e->next;
		free(e);
	}
	pthread_mutex_unlock(&peers->lock);
}
