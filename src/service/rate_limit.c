/* rate_limit.c - how often a peer address may be answered, in a table of fixed size.
 *
 * A slot is one 64-bit word, changed by compare-and-swap alone: the address's tag (24
 * bits) and the instant, in milliseconds (40 bits), up to which its allowance is spent.
 * Each answer moves that instant on by 1/rate; it may run ahead of the clock by a burst.
 * A slot whose instant has passed says nothing any more, and is anyone's.
 *
 * An address has 4 slots to choose from, by a secret hash. When others hold all four, it
 * shares the first: a flood of forged addresses makes the limit stricter, never looser.
 *
 * The memory is shared with forked children, so the process shape obeys it too.
 * Source: ITU-T I.371, the generic cell rate algorithm.
 */
#include <soquete/service.h>
#include <soquete/time.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS	  4096
#define WAYS	  4
#define TIME_BITS 40
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)

struct soq_rate_limit {
	uint64_t secret[2];
	uint64_t interval_ms; /* one answer's share of time */
	uint64_t burst_ms;    /* how far the instant may run ahead */
	_Atomic uint64_t slots[SLOTS];
};

int soq_rate_limit_new(struct soq_rate_limit **ret, unsigned per_second, unsigned burst)
{
	struct soq_rate_limit *limit;
	int rc;

	if (per_second < 1 || per_second > 1000 || burst < 1)
		return -EINVAL;
	limit = mmap(
		NULL, sizeof *limit, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (limit == MAP_FAILED)
		return -ENOMEM;
	rc = soq_random(limit->secret, sizeof limit->secret);
	if (rc < 0) {
		soq_rate_limit_free(limit);
		return rc;
	}
	limit->interval_ms = 1000 / per_second;
	limit->burst_ms = (burst - 1) * limit->interval_ms;
	*ret = limit;
	return 0;
}

void soq_rate_limit_free(struct soq_rate_limit *limit)
{
	if (limit)
		munmap(limit, sizeof *limit);
}

/* What an address is known by: IPv4's 32 bits, also when mapped; IPv6's first 64. */
static uint64_t address_key(const struct soq_addr *addr)
{
	uint64_t key = 0;
	uint32_t v4;

	if (addr->len >= sizeof addr->in && addr->sa.sa_family == AF_INET)
		return addr->in.sin_addr.s_addr;
	if (addr->len < sizeof addr->in6 || addr->sa.sa_family != AF_INET6)
		return 0;
	if (IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr)) {
		memcpy(&v4, &addr->in6.sin6_addr.s6_addr[12], sizeof v4);
		return v4;
	}
	memcpy(&key, &addr->in6.sin6_addr, sizeof key);
	return key;
}

/* Two rounds of multiply and fold with a secret: senders cannot choose a slot. */
static uint64_t hash(const struct soq_rate_limit *limit, uint64_t key)
{
	for (int i = 0; i < 2; i++) {
		unsigned __int128 product = (unsigned __int128)(key ^ limit->secret[i]) *
			(limit->secret[1 - i] | 1);

		key = (uint64_t)product ^ (uint64_t)(product >> 64);
	}
	return key;
}

/* The slot for a tag: its own, else one that says nothing any more, else the first. */
static _Atomic uint64_t *find_slot(struct soq_rate_limit *limit, uint64_t h, uint64_t now_ms)
{
	size_t first = h % SLOTS / WAYS * WAYS;
	_Atomic uint64_t *free_slot = NULL;

	for (size_t i = 0; i < WAYS; i++) {
		_Atomic uint64_t *slot = &limit->slots[first + i];
		uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);

		if (word >> TIME_BITS == h >> TIME_BITS)
			return slot;
		if (!free_slot && (word & TIME_MASK) <= now_ms)
			free_slot = slot;
	}
	return free_slot ? free_slot : &limit->slots[first];
}

bool soq_rate_limit_take(struct soq_rate_limit *limit, const struct soq_addr *peer)
{
	uint64_t h = hash(limit, address_key(peer));
	uint64_t now_ms = (uint64_t)(soq_now() / SOQ_MS) & TIME_MASK;
	_Atomic uint64_t *slot = find_slot(limit, h, now_ms);
	uint64_t old = atomic_load_explicit(slot, memory_order_relaxed);
	uint64_t spent, word;

	/* Relaxed: the word is all there is, nothing else is published by it. */
	do {
		spent = old & TIME_MASK;
		if (spent < now_ms)
			spent = now_ms;
		if (spent - now_ms > limit->burst_ms)
			return false;
		word = (h >> TIME_BITS << TIME_BITS) |
			((spent + limit->interval_ms) & TIME_MASK);
	} while (!atomic_compare_exchange_weak_explicit(
		slot, &old, word, memory_order_relaxed, memory_order_relaxed));
	return true;
}
