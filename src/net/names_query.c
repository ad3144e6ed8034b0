/* names_query.c - the DNS's records as they are, and names of addresses. */
#include "net/names.h"
#include <soquete/error.h>
#include <soquete/time.h>
#include "fiber/last_error.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
	enum soq_record_type type;
	const char *name;
} record_types[] = {
	{ SOQ_RECORD_A, "A" },
	{ SOQ_RECORD_NS, "NS" },
	{ SOQ_RECORD_CNAME, "CNAME" },
	{ SOQ_RECORD_SOA, "SOA" },
	{ SOQ_RECORD_PTR, "PTR" },
	{ SOQ_RECORD_MX, "MX" },
	{ SOQ_RECORD_TXT, "TXT" },
	{ SOQ_RECORD_AAAA, "AAAA" },
	{ SOQ_RECORD_SRV, "SRV" },
	{ SOQ_RECORD_CAA, "CAA" },
};

#define RECORD_TYPES (sizeof(record_types) / sizeof(record_types[0]))

static bool is_known(enum soq_record_type type)
{
	for (size_t i = 0; i < RECORD_TYPES; i++)
		if (record_types[i].type == type)
			return true;
	return false;
}

const char *soq_record_type_name(enum soq_record_type type)
{
	for (size_t i = 0; i < RECORD_TYPES; i++)
		if (record_types[i].type == type)
			return record_types[i].name;
	return "?";
}

int soq_record_type_parse(enum soq_record_type *ret, const char *word)
{
	for (size_t i = 0; i < RECORD_TYPES; i++) {
		if (strcasecmp(record_types[i].name, word) == 0) {
			*ret = record_types[i].type;
			return 0;
		}
	}
	return -EINVAL;
}

/* Wait for an answer. @return what came of it; -ETIMEDOUT, -ECANCELED when nothing yet */
static int await_answer(struct soq__asked *a)
{
	struct soq__worker *w = soq__worker();
	struct soq__fiber *f = w->current;
	struct soq__watcher watcher = { .fiber = f };
	int rc = soq__check(f);

	soq__list_init(&watcher.node);
	if (a->pending)
		soq__list_append(&a->watchers, &watcher.node);
	f->waits_for = "the name service's answer";
	while (a->pending && rc == 0) {
		soq__suspend(w, f->shielded ? SOQ_NEVER : f->deadline_ns);
		rc = soq__check(f);
	}
	f->waits_for = NULL;
	soq__list_remove(&watcher.node);
	return a->pending ? rc : a->rc;
}

/* A kept answer has become older since. */
static void grow_old(struct soq_records *records, int64_t age_ns)
{
	int64_t age_s = age_ns / SOQ_S;

	for (size_t i = 0; i < records->count; i++) {
		struct soq_record *r = &records->list[i];

		r->ttl_s = (int64_t)r->ttl_s > age_s ? r->ttl_s - (uint32_t)age_s : 0;
	}
}

/* Ask the DNS for the records of a whole name. Suspends. */
static int query(struct soq_records *ret, const char *name, enum soq_record_type type)
{
	struct soq__names *n;
	struct soq__asked *a;
	int rc = soq__names_get(&n);

	if (rc < 0)
		return rc;
	if (!n->dns)
		return soq__type(n->worker)->simulated ? -SOQ_ESIMULATED : -ENOSYS;
	a = soq__ask(&n->cache, n->dns, name, type);
	if (!a)
		return -ENOMEM;
	rc = await_answer(a);
	if (rc == 0)
		rc = soq__records_copy(ret, &a->records);
	if (rc == 0 && a->answered_ns)
		grow_old(ret, soq_now() - a->answered_ns);
	soq__asked_put(a);
	return rc;
}

/* What is known of "localhost" without asking. */
static int query_localhost(struct soq_records *ret, const char *name, enum soq_record_type type)
{
	struct soq_record *r;

	if (type != SOQ_RECORD_A && type != SOQ_RECORD_AAAA)
		return -SOQ_ENORECORD;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->owner = strdup(name);
	if (!r->owner) {
		free(r);
		return -ENOMEM;
	}
	r->type = type;
	r->addr.sa.sa_family = type == SOQ_RECORD_A ? AF_INET : AF_INET6;
	if (type == SOQ_RECORD_A) {
		r->addr.len = sizeof(r->addr.in);
		r->addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		r->addr.len = sizeof(r->addr.in6);
		r->addr.in6.sin6_addr = in6addr_loopback;
	}
	ret->list = r;
	ret->count = 1;
	return 0;
}

static bool parse_literal(struct soq_addr *ret, const char *text)
{
	*ret = (struct soq_addr){ 0 };
	if (inet_pton(AF_INET, text, &ret->in.sin_addr) == 1) {
		ret->in.sin_family = AF_INET;
		ret->len = sizeof(ret->in);
	} else if (inet_pton(AF_INET6, text, &ret->in6.sin6_addr) == 1) {
		ret->in6.sin6_family = AF_INET6;
		ret->len = sizeof(ret->in6);
	}
	return ret->len > 0;
}

/* The name to ask for. @return 0; a negative code with words in *ret_why, or NULL in it */
static int name_to_ask(struct soq__name *ret, const char *text, enum soq_record_type type,
	const char **ret_why)
{
	struct soq_addr addr;
	int rc;

	if (type == SOQ_RECORD_PTR && parse_literal(&addr, text)) {
		*ret = (struct soq__name){ .whole = true };
		soq__reverse_name(ret->text, &addr);
		return 0;
	}
	if (strcmp(text, ".") == 0) { /* the root, which is a name of no label */
		*ret = (struct soq__name){ .whole = true };
		return 0;
	}
	rc = soq__name_parse(ret, text, ret_why);
	if (rc == 0 && (ret->kind == SOQ__NAME_NEVER || ret->kind == SOQ__NAME_MULTICAST)) {
		*ret_why = "the DNS has no such names (RFC 6761, RFC 6762, RFC 7686)";
		rc = -SOQ_ENONAME;
	}
	return rc;
}

int soq_query(struct soq_records *ret, const char *name, enum soq_record_type type)
{
	struct soq__name n;
	const char *why = NULL;
	int rc;

	if (!is_known(type))
		return soq__fail(-EINVAL, "query %s: type %d is none of those in names.h", name,
			(int)type);
	rc = name_to_ask(&n, name, type, &why);
	if (rc == 0 && n.kind == SOQ__NAME_LOCALHOST)
		rc = query_localhost(ret, n.text, type);
	else if (rc == 0)
		rc = query(ret, n.text, type);
	if (rc == -ENOSYS)
		why = "this build has no c-ares, and only that asks for records";
	return rc < 0 ? soq__fail(rc, "query %s %s: %s", name, soq_record_type_name(type),
				why ? why : soq_strerror(rc))
		      : 0;
}

/* ---- names of addresses ---- */

/* Whoever has an address says what its name is, and it goes to logs, pages and shells: only
 * what a host can be called is taken (CVE-2021-3672). */
static int reverse_by_dns(char name[SOQ__NAME_MAX + 1], const struct soq_addr *addr)
{
	char question[SOQ__NAME_MAX + 1];
	struct soq_records records = { 0 };
	int rc;

	soq__reverse_name(question, addr);
	rc = query(&records, question, SOQ_RECORD_PTR);
	if (rc < 0)
		return rc == -SOQ_ENORECORD ? -SOQ_ENONAME : rc;
	rc = -SOQ_ENONAME;
	for (size_t i = 0; i < records.count; i++) {
		const struct soq_record *r = &records.list[i];

		if (rc == 0 || r->type != SOQ_RECORD_PTR || r->text_len > SOQ__NAME_MAX ||
			!soq__name_is_host(r->text))
			continue;
		strcpy(name, r->text);
		rc = 0;
	}
	soq_records_done(&records);
	return rc;
}

/* An IPv4-mapped address as what it stands for. */
static struct soq_addr plain(const struct soq_addr *addr)
{
	struct soq_addr in = { .len = sizeof(in.in) };

	if (addr->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&addr->in6.sin6_addr))
		return *addr;
	in.in.sin_family = AF_INET;
	in.in.sin_port = addr->in6.sin6_port;
	memcpy(&in.in.sin_addr, &addr->in6.sin6_addr.s6_addr[12], sizeof(in.in.sin_addr));
	return in;
}

static int reverse(char name[SOQ__NAME_MAX + 1], const struct soq_addr *addr)
{
	struct soq__names *n;
	const char *known;
	int rc = soq__names_get(&n);

	if (rc < 0)
		return rc;
	known = soq__hosts_name_of(n->hosts, addr);
	if (!known && soq_addr_is_local(addr))
		known = "localhost";
	if (known && (n->policy.hosts != SOQ__NSS_SYSTEM || soq_addr_is_local(addr))) {
		strcpy(name, known);
		return 0;
	}
	if (soq__type(n->worker)->simulated)
		return n->dns ? reverse_by_dns(name, addr) : -SOQ_ESIMULATED;
	if (!n->dns || n->policy.hosts == SOQ__NSS_SYSTEM)
		return soq__system_reverse(name, addr);
	rc = reverse_by_dns(name, addr);
	if (rc == -SOQ_ENONAME && n->policy.hosts == SOQ__NSS_THEN_SYSTEM)
		rc = soq__system_reverse(name, addr);
	return rc;
}

int soq_reverse(char *buf, size_t len, const struct soq_addr *addr)
{
	char name[SOQ__NAME_MAX + 1], at[SOQ_ADDR_TEXT_MAX];
	struct soq_addr host;
	int rc = -SOQ_ENONAME;

	soq_addr_format(at, sizeof(at), addr);
	if (addr->len > 0 &&
		(addr->sa.sa_family == AF_INET || addr->sa.sa_family == AF_INET6)) {
		host = plain(addr);
		rc = reverse(name, &host);
	}
	if (rc == 0 && strlen(name) >= len)
		rc = -ENOBUFS;
	if (rc < 0)
		return soq__fail(rc, "name of %s: %s", at, soq_strerror(rc));
	strcpy(buf, name);
	return 0;
}
