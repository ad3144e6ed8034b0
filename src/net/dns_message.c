/* dns_message.c - see dns_message.h. */
#include "net/dns_message.h"
#include "net/dns.h"
#include <soquete/error.h>
#include "base/util.h"
#include <arpa/nameser.h>
#include <errno.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER_BYTES   12
#define IS_RESPONSE    0x8000
#define TTL_MAX_S      86400 /* what is kept is kept for a day, whatever a server says */
#define NEGATIVE_MAX_S 60
#define ALIASES_MAX    16

/* Where reading stands. Once `bad` is set, everything reads as 0. */
struct reader {
	const unsigned char *msg, *at, *end;
	bool bad;
};

static bool has(struct reader *r, size_t bytes)
{
	if ((size_t)(r->end - r->at) < bytes)
		r->bad = true;
	return !r->bad;
}

static unsigned take16(struct reader *r)
{
	unsigned value;

	if (!has(r, 2))
		return 0;
	value = (unsigned)r->at[0] << 8 | r->at[1];
	r->at += 2;
	return value;
}

static uint32_t take32(struct reader *r)
{
	uint32_t high = take16(r);

	return high << 16 | take16(r);
}

/* A name, its compression undone; dots and what is not printable within a label are escaped,
 * so that two names that look alike are alike. */
static void take_name(struct reader *r, char name[NS_MAXDNAME])
{
	int n = -1;

	if (!r->bad)
		n = dn_expand(r->msg, r->end, r->at, name, NS_MAXDNAME);
	if (n < 0) {
		r->bad = true;
		*name = '\0';
		return;
	}
	r->at += n;
}

/* A record's beginning; its data is [at, at + bytes) of the message. */
struct raw {
	char owner[NS_MAXDNAME];
	unsigned type, class;
	uint32_t ttl_s;
	const unsigned char *data;
	size_t bytes;
};

static bool take_record(struct reader *r, struct raw *ret)
{
	take_name(r, ret->owner);
	ret->type = take16(r);
	ret->class = take16(r);
	ret->ttl_s = take32(r);
	if (ret->ttl_s > INT32_MAX)
		ret->ttl_s = 0; /* RFC 2181 section 8 */
	ret->bytes = take16(r);
	ret->data = r->at;
	if (!has(r, ret->bytes))
		return false;
	r->at += ret->bytes;
	return true;
}

static void skip_questions(struct reader *r, unsigned count)
{
	char name[NS_MAXDNAME];

	while (count-- > 0 && !r->bad) {
		take_name(r, name);
		take32(r);
	}
}

/* ---- a record's data: 0; -SOQ_ENAMEFAIL when it is malformed; -ENOMEM ---- */

static int read_address(struct soq_record *ret, const struct raw *raw)
{
	if (raw->type == SOQ_RECORD_A) {
		ret->addr.len = sizeof(ret->addr.in);
		ret->addr.in.sin_family = AF_INET;
		if (raw->bytes != sizeof(ret->addr.in.sin_addr))
			return -SOQ_ENAMEFAIL;
		memcpy(&ret->addr.in.sin_addr, raw->data, raw->bytes);
		return 0;
	}
	ret->addr.len = sizeof(ret->addr.in6);
	ret->addr.in6.sin6_family = AF_INET6;
	if (raw->bytes != sizeof(ret->addr.in6.sin6_addr))
		return -SOQ_ENAMEFAIL;
	memcpy(&ret->addr.in6.sin6_addr, raw->data, raw->bytes);
	return 0;
}

static int set_text(struct soq_record *ret, const void *bytes, size_t len)
{
	ret->text = malloc(len + 1);
	if (!ret->text)
		return -ENOMEM;
	memcpy(ret->text, bytes, len);
	ret->text[len] = '\0';
	ret->text_len = len;
	return 0;
}

/* A TXT's strings, one after the other: they are pieces of one text (RFC 7208 section 3.3). */
static int read_strings(struct soq_record *ret, const struct raw *raw)
{
	size_t at = 0;

	ret->text = malloc(raw->bytes + 1);
	if (!ret->text)
		return -ENOMEM;
	while (at < raw->bytes) {
		size_t len = raw->data[at++];

		if (len > raw->bytes - at)
			return -SOQ_ENAMEFAIL;
		memcpy(ret->text + ret->text_len, raw->data + at, len);
		ret->text_len += len;
		at += len;
	}
	ret->text[ret->text_len] = '\0';
	return 0;
}

/* As RFC 8659 section 4.1.1 writes it: 0 issue "letsencrypt.org". */
static int read_caa(struct soq_record *ret, const struct raw *raw)
{
	size_t tag = raw->bytes >= 2 ? raw->data[1] : 0;
	size_t used;

	if (tag == 0 || tag > raw->bytes - 2 || memchr(raw->data + 2, '\0', tag))
		return -SOQ_ENAMEFAIL;
	ret->text = malloc(raw->bytes + sizeof("255  \"\""));
	if (!ret->text)
		return -ENOMEM;
	used = (size_t)sprintf(
		ret->text, "%u %.*s \"", raw->data[0], (int)tag, (const char *)raw->data + 2);
	memcpy(ret->text + used, raw->data + 2 + tag, raw->bytes - 2 - tag);
	ret->text_len = used + raw->bytes - 2 - tag;
	ret->text[ret->text_len++] = '"';
	ret->text[ret->text_len] = '\0';
	return 0;
}

/* The name in a record's data, and what stands before it. */
static int read_name(struct soq_record *ret, const struct raw *raw, const struct reader *whole)
{
	struct reader r = { .msg = whole->msg, .at = raw->data, .end = whole->end };
	char name[NS_MAXDNAME];

	if (raw->type == SOQ_RECORD_MX || raw->type == SOQ_RECORD_SRV)
		ret->priority = (uint16_t)take16(&r);
	if (raw->type == SOQ_RECORD_SRV) {
		ret->weight = (uint16_t)take16(&r);
		ret->port = (uint16_t)take16(&r);
	}
	take_name(&r, name);
	if (r.bad || r.at > raw->data + raw->bytes)
		return -SOQ_ENAMEFAIL;
	return set_text(ret, name, strlen(name));
}

static int read_data(struct soq_record *ret, const struct raw *raw, const struct reader *r)
{
	switch (raw->type) {
	case SOQ_RECORD_A:
	case SOQ_RECORD_AAAA:
		return read_address(ret, raw);
	case SOQ_RECORD_TXT:
		return read_strings(ret, raw);
	case SOQ_RECORD_CAA:
		return read_caa(ret, raw);
	default:
		return read_name(ret, raw, r);
	}
}

static void record_done(struct soq_record *record)
{
	free(record->owner);
	free(record->text);
}

void soq_records_done(struct soq_records *records)
{
	for (size_t i = 0; i < records->count; i++)
		record_done(&records->list[i]);
	free(records->list);
	*records = (struct soq_records){ 0 };
}

/* ---- a whole answer ---- */

bool soq__dns_same_name(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);

	a_len -= a_len > 0 && a[a_len - 1] == '.';
	b_len -= b_len > 0 && b[b_len - 1] == '.';
	return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

/* The names that the answer leads to, from the one asked for on. */
struct chain {
	char names[ALIASES_MAX][NS_MAXDNAME];
	size_t count;
	uint32_t ttl_s; /* the least of its aliases */
};

static bool on_chain(const struct chain *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (soq__dns_same_name(c->names[i], name))
			return true;
	return false;
}

/* Follow the alias of the chain's last name. @return false when it has none, or none new */
static bool follow(struct chain *c, struct reader r, unsigned count)
{
	struct raw raw;

	while (count-- > 0 && take_record(&r, &raw)) {
		struct reader data = { .msg = r.msg, .at = raw.data, .end = r.end };
		char target[NS_MAXDNAME];

		if (raw.type != SOQ_RECORD_CNAME || raw.class != ns_c_in ||
			!soq__dns_same_name(raw.owner, c->names[c->count - 1]))
			continue;
		take_name(&data, target);
		if (data.bad || data.at > raw.data + raw.bytes || c->count == ALIASES_MAX ||
			on_chain(c, target))
			return false;
		memcpy(c->names[c->count++], target, sizeof(target));
		if (raw.ttl_s < c->ttl_s)
			c->ttl_s = raw.ttl_s;
		return true;
	}
	return false;
}

/* @return 0; -SOQ_ENAMEFAIL, -ENOMEM */
static int append(struct soq_records *list, const struct raw *raw, const struct reader *r)
{
	struct soq_record record = { .type = (enum soq_record_type)raw->type,
		.ttl_s = raw->ttl_s };

	int rc = read_data(&record, raw, r);

	if (rc == 0)
		record.owner = strdup(raw->owner);
	if (rc == 0 && !record.owner)
		rc = -ENOMEM;
	if (rc < 0) {
		record_done(&record);
		return rc;
	}
	list->list[list->count++] = record;
	return 0;
}

/* Whether a record is one that an answer is made of. */
static bool is_wanted(const struct raw *raw, const struct chain *c, unsigned type)
{
	return raw->class == ns_c_in && (raw->type == type || raw->type == SOQ_RECORD_CNAME) &&
		on_chain(c, raw->owner);
}

/* Take the records of the type, and the aliases, that belong to the chain. Beside good ones,
 * malformed ones are passed over.
 * @return how many of the type; -SOQ_ENAMEFAIL when all were malformed; -ENOMEM */
static int collect(struct soq_records *list, const struct chain *c, struct reader r,
	unsigned count, unsigned type)
{
	bool malformed = false;
	int found = 0, rc;
	struct raw raw;

	while (count-- > 0 && take_record(&r, &raw)) {
		if (!is_wanted(&raw, c, type))
			continue;
		rc = append(list, &raw, &r);
		if (rc == -ENOMEM)
			return rc;
		malformed |= rc < 0;
		found += raw.type == type && rc == 0;
	}
	return found == 0 && (malformed || r.bad) ? -SOQ_ENAMEFAIL : found;
}

/* For how long a name's absence may be remembered: RFC 2308 section 5. */
static uint32_t negative_ttl(struct reader r, unsigned answers, unsigned authorities)
{
	char name[NS_MAXDNAME];
	struct raw raw;

	while (answers-- > 0)
		if (!take_record(&r, &raw))
			return 0;
	while (authorities-- > 0 && take_record(&r, &raw)) {
		struct reader data = { .msg = r.msg, .at = raw.data, .end = r.end };
		uint32_t minimum;

		if (raw.type != SOQ_RECORD_SOA || raw.class != ns_c_in)
			continue;
		take_name(&data, name);
		take_name(&data, name);
		for (int i = 0; i < 4; i++)
			take32(&data);
		minimum = take32(&data);
		if (data.bad)
			return 0;
		minimum = minimum < raw.ttl_s ? minimum : raw.ttl_s;
		return minimum < NEGATIVE_MAX_S ? minimum : NEGATIVE_MAX_S;
	}
	return 0;
}

static uint32_t least_ttl(const struct soq_records *list, uint32_t ttl_s)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->list[i].ttl_s < ttl_s)
			ttl_s = list->list[i].ttl_s;
	return ttl_s;
}

/* The answer section of a message that says that all went well. Further records than are taken
 * are not looked at either: with 5,000 aliases of long names, the search for the chain's next
 * one would hold up the worker's fibers for a tenth of a second. */
static int parse_answers(struct soq_records *ret, uint32_t *ret_ttl_s, struct chain *c,
	struct reader r, unsigned count, unsigned type)
{
	struct soq_records list = { 0 };
	unsigned room = count < SOQ__RECORDS_MAX ? count : SOQ__RECORDS_MAX;
	int found;

	while (type != SOQ_RECORD_CNAME && follow(c, r, room))
		;
	list.list = calloc(room ? room : 1, sizeof(*list.list));
	if (!list.list)
		return -ENOMEM;
	found = collect(&list, c, r, room, type);
	if (found == 0 && count > room)
		found = -SOQ_ENAMEFAIL; /* there may be some further on */
	if (found <= 0) {
		soq_records_done(&list);
		return found < 0 ? found : -SOQ_ENORECORD;
	}
	*ret_ttl_s = least_ttl(&list, c->ttl_s);
	*ret = list;
	return 0;
}

int soq__dns_parse(struct soq_records *ret, uint32_t *ret_ttl_s, const unsigned char *msg,
	size_t len, const char *name, enum soq_record_type type)
{
	struct reader r = { .msg = msg, .at = msg, .end = msg + len };
	struct chain *c;
	unsigned flags, questions, answers, authorities;
	int rc;

	*ret_ttl_s = 0;
	if (!has(&r, HEADER_BYTES))
		return -SOQ_ENAMEFAIL;
	take16(&r);
	flags = take16(&r);
	questions = take16(&r);
	answers = take16(&r);
	authorities = take16(&r);
	take16(&r);
	skip_questions(&r, questions);
	rc = (int)(flags & 15);
	if (r.bad || !(flags & IS_RESPONSE) || (rc != ns_r_noerror && rc != ns_r_nxdomain) ||
		strlen(name) > SOQ__NAME_MAX)
		return -SOQ_ENAMEFAIL;
	if (rc == ns_r_nxdomain) {
		*ret_ttl_s = negative_ttl(r, answers, authorities);
		return -SOQ_ENONAME;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->count = 1;
	c->ttl_s = TTL_MAX_S;
	strcpy(c->names[0], name);
	rc = parse_answers(ret, ret_ttl_s, c, r, answers, type);
	if (rc == -SOQ_ENORECORD)
		*ret_ttl_s = negative_ttl(r, answers, authorities);
	free(c);
	return rc;
}

int soq__records_copy(struct soq_records *ret, const struct soq_records *from)
{
	struct soq_records copy = { calloc(from->count, sizeof(*copy.list)), 0 };

	if (!copy.list)
		return -ENOMEM;
	for (size_t i = 0; i < from->count; i++) {
		struct soq_record *to = &copy.list[copy.count++];

		*to = from->list[i];
		to->owner = strdup(to->owner);
		to->text = NULL;
		if (!to->owner ||
			(from->list[i].text &&
				set_text(to, from->list[i].text, to->text_len) < 0)) {
			soq_records_done(&copy);
			return -ENOMEM;
		}
	}
	*ret = copy;
	return 0;
}
