/* sources: src/net/dns_message.c */
/* dns_message.c - any bytes as an answer of the DNS. The first byte chooses the type that was
 * asked for, the rest is the message; the name is always the same.
 *
 * What must hold: what is refused leaves the result untouched; what is accepted has at least
 * one record of the type, only records that the name or its aliases have, and is bounded; a
 * copy is the same; a message that is cut short does no harm.
 */
#include "net/dns_message.h"
#include <soquete/error.h>

#include <stdlib.h>
#include <string.h>

#define TTL_MAX_S 86400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum soq_record_type types[] = {
	SOQ_RECORD_A,
	SOQ_RECORD_NS,
	SOQ_RECORD_CNAME,
	SOQ_RECORD_SOA,
	SOQ_RECORD_PTR,
	SOQ_RECORD_MX,
	SOQ_RECORD_TXT,
	SOQ_RECORD_AAAA,
	SOQ_RECORD_SRV,
	SOQ_RECORD_CAA,
};

#define TYPES (sizeof types / sizeof types[0])

static const char name[] = "a.it";

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* A name as text: printable, without blanks. */
static void check_name(const char *text)
{
	require(text);
	for (; *text; text++)
		require(*text > ' ' && *text < 0x7f);
}

static void check_record(const struct soq_record *r)
{
	bool is_address = r->type == SOQ_RECORD_A || r->type == SOQ_RECORD_AAAA;
	bool is_text = r->type == SOQ_RECORD_TXT || r->type == SOQ_RECORD_CAA;

	check_name(r->owner);
	require(r->ttl_s <= INT32_MAX);
	require((r->addr.len > 0) == is_address && !r->text == is_address);
	if (r->type == SOQ_RECORD_A)
		require(r->addr.sa.sa_family == AF_INET && r->addr.len == sizeof r->addr.in);
	if (r->type == SOQ_RECORD_AAAA)
		require(r->addr.sa.sa_family == AF_INET6 && r->addr.len == sizeof r->addr.in6);
	if (!is_address)
		require(r->text[r->text_len] == '\0');
	if (!is_address && !is_text) {
		check_name(r->text);
		require(strlen(r->text) == r->text_len);
	}
}

/* Whether a record's owner is the name, or what an alias among the records leads to. */
static bool is_led_to(const struct soq_records *all, const char *owner)
{
	if (soq__dns_same_name(owner, name))
		return true;
	for (size_t i = 0; i < all->count; i++)
		if (all->list[i].type == SOQ_RECORD_CNAME &&
			soq__dns_same_name(all->list[i].text, owner))
			return true;
	return false;
}

static void check_copy(const struct soq_records *all)
{
	struct soq_records copy = { 0 };

	require(soq__records_copy(&copy, all) == 0 && copy.count == all->count);
	for (size_t i = 0; i < copy.count; i++) {
		const struct soq_record *a = &copy.list[i], *b = &all->list[i];

		require(a->type == b->type && a->ttl_s == b->ttl_s && a->port == b->port);
		require(a->priority == b->priority && a->weight == b->weight);
		require(a->owner != b->owner && strcmp(a->owner, b->owner) == 0);
		require(a->text_len == b->text_len && !a->text == !b->text);
		require(!a->text || memcmp(a->text, b->text, a->text_len + 1) == 0);
		require(memcmp(&a->addr, &b->addr, sizeof a->addr) == 0);
	}
	soq_records_done(&copy);
}

static void check_answer(
	const struct soq_records *all, uint32_t ttl_s, enum soq_record_type type)
{
	size_t of_type = 0;

	require(all->count > 0 && all->count <= SOQ__RECORDS_MAX && ttl_s <= TTL_MAX_S);
	for (size_t i = 0; i < all->count; i++) {
		const struct soq_record *r = &all->list[i];

		check_record(r);
		require(r->type == type || r->type == SOQ_RECORD_CNAME);
		require(ttl_s <= r->ttl_s);
		/* Of more records than are taken, the alias may be among those that were not.
		 */
		require(all->count == SOQ__RECORDS_MAX || is_led_to(all, r->owner));
		of_type += r->type == type;
	}
	require(of_type > 0);
	check_copy(all);
}

static void parse(const uint8_t *bytes, size_t len, enum soq_record_type type)
{
	struct soq_records all, before;
	uint8_t *msg = malloc(len > 0 ? len : 1); /* exactly: AddressSanitizer sees its end */
	uint32_t ttl_s = UINT32_MAX;
	int rc;

	require(msg);
	if (len > 0)
		memcpy(msg, bytes, len);
	memset(&before, 0x5a, sizeof before);
	all = before;
	rc = soq__dns_parse(&all, &ttl_s, msg, len, name, type);
	if (rc == 0) {
		check_answer(&all, ttl_s, type);
		soq_records_done(&all);
	} else {
		require(rc == -SOQ_ENONAME || rc == -SOQ_ENORECORD || rc == -SOQ_ENAMEFAIL);
		require(memcmp(&all, &before, sizeof all) == 0 && ttl_s <= TTL_MAX_S);
	}
	free(msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum soq_record_type type;

	if (size == 0)
		return 0;
	type = types[data[0] % TYPES];
	parse(data + 1, size - 1, type);
	parse(data + 1, (size - 1) / 2, type);
	return 0;
}
