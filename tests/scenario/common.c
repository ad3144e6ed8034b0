/* common.c - what several scenarios need; see scenario.h. */
#include "scenario/scenario.h"

#include <stdio.h>
#include <string.h>

/* splitmix64. */
uint64_t scenario_draw(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t scenario_below(uint64_t *state, uint64_t below)
{
	return (uint64_t)(((unsigned __int128)scenario_draw(state) * below) >> 64);
}

/* Eight bytes at a time: the word at an index of a transfer. */
static uint64_t word_at(uint64_t key, uint64_t index)
{
	uint64_t z = (key + 1) * UINT64_C(0x9e3779b97f4a7c15) + index;

	return (z ^ z >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

/* Bytes from an offset up to the end of its word. @return how many */
static size_t next_bytes(uint64_t key, uint64_t offset, size_t len, unsigned char ret[8])
{
	uint64_t word = word_at(key, offset / 8);
	size_t skip = offset % 8, n = 8 - skip < len ? 8 - skip : len;

	memcpy(ret, (unsigned char *)&word + skip, n);
	return n;
}

void scenario_fill(uint64_t key, uint64_t offset, void *buf, size_t len)
{
	unsigned char bytes[8];

	for (size_t n, at = 0; at < len; at += n) {
		n = next_bytes(key, offset + at, len - at, bytes);
		memcpy((char *)buf + at, bytes, n);
	}
}

bool scenario_matches(uint64_t key, uint64_t offset, const void *buf, size_t len)
{
	unsigned char bytes[8];

	for (size_t n, at = 0; at < len; at += n) {
		n = next_bytes(key, offset + at, len - at, bytes);
		if (memcmp((const char *)buf + at, bytes, n) != 0)
			return false;
	}
	return true;
}

int scenario_hosts(struct soq_sim *sim, struct soq_sim_host **ret, soq_sim_main *server,
	unsigned clients, soq_sim_main *client)
{
	char name[16];
	int rc = soq_sim_host_new(&ret[0], sim, "server", NULL);

	if (rc == 0)
		rc = soq_sim_spawn(ret[0], server, NULL);
	for (unsigned i = 1; i <= clients && rc == 0; i++) {
		snprintf(name, sizeof(name), "client%u", i);
		rc = soq_sim_host_new(&ret[i], sim, name, NULL);
		if (rc == 0)
			rc = soq_sim_spawn(ret[i], client, NULL);
	}
	return rc;
}

bool scenario_is_clean(const struct soq_sim_host *host)
{
	struct soq_sim_census c;

	soq_sim_census(host, &c);
	if (c.fibers == 0 && c.descriptors == 0 && c.leaked == 0)
		return true;
	fprintf(stderr, "host %s is left with %u fibers, %u descriptors, %u leaked\n",
		soq_sim_host_name(host), c.fibers, c.descriptors, c.leaked);
	return false;
}

bool scenario_are_clean(struct soq_sim_host *const *hosts, unsigned count)
{
	bool clean = true;

	for (unsigned i = 0; i < count; i++)
		clean &= scenario_is_clean(hosts[i]);
	return clean;
}
