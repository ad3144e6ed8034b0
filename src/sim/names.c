/* names.c - a world's name service: what the DNS answers to its hosts.
 *
 * It is nowhere: no packet goes to it, and no partition or crash keeps a host from it. An
 * answer takes as long as a question and an answer would over the world's default link. What is
 * lost there is asked for again after RETRY_NS.
 *
 * Invariant: an answer depends on the hosts, on what soq_sim_name() has said, and on the number
 * of questions that the host has asked before; each question's chance is its own.
 * Source: RFC 1035 section 4, RFC 3596 (AAAA, ip6.arpa), RFC 2308 section 2.2 (no data).
 */
#include "sim/watch.h"
#include <soquete/error.h>
#include "fiber/last_error.h"
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_LEN 253 /* RFC 1035 section 2.3.4, without the lengths' bytes */
#define TTL_S	     60
#define RETRY_NS     (5 * SOQ_S) /* as resolv.conf(5) has it */
#define ATTEMPTS_MAX 16		 /* more are no answer at all */
#define PARTS_BITS   8		 /* of the chance that a question may draw */

#define DELAY_MAX_NS (365 * 86400 * SOQ_S)

/* What soq_sim_name() has said of a name. */
struct said {
	struct soq__list node;
	char *name;
	bool of_host; /* its addresses are those of the host called so */
	struct soq__sim_addr *addresses;
	size_t address_count;
	int64_t delay_ns[2]; /* of A, of AAAA: 0 as drawn */
	int error[2];	     /* 0 or a negative code */
};

static struct said *said_of(const struct soq_sim *sim, const char *name)
{
	soq__list_for_each (node, &sim->said_names) {
		struct said *s = soq__container_of(node, struct said, node);

		if (strcasecmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static void said_free(struct said *s)
{
	if (!s)
		return;
	soq__list_remove(&s->node);
	free(s->addresses);
	free(s->name);
	free(s);
}

void soq__sim_names_free(struct soq_sim *sim)
{
	soq__list_for_each (node, &sim->said_names)
		said_free(soq__container_of(node, struct said, node));
}

/* ---- what is said of names ---- */

static int check_family(const char *name, int64_t delay_ns, int error, const char *family)
{
	if (delay_ns != SOQ_NEVER && (delay_ns < 0 || delay_ns > DELAY_MAX_NS))
		return soq__fail(-EINVAL,
			"the name '%s': delay_%s_ns is from 0 to a year, or SOQ_NEVER, not "
			"%lld",
			name, family, (long long)delay_ns);
	if (error != 0 && error != -SOQ_ENONAME && error != -SOQ_ENAMEFAIL)
		return soq__fail(-EINVAL,
			"the name '%s': error_%s is 0, -SOQ_ENONAME or -SOQ_ENAMEFAIL, not %d",
			name, family, error);
	return 0;
}

static int add_addresses(struct said *s, const char *addresses)
{
	char *texts = strcpy(soq__sim_alloc(strlen(addresses) + 1), addresses);
	char *rest = texts, *text;
	int rc = 0;

	while (rc == 0 && (text = strsep(&rest, " \t\n"))) {
		if (!*text)
			continue;
		s->addresses = soq__sim_realloc(
			s->addresses, (s->address_count + 1) * sizeof(*s->addresses));
		if (soq__sim_addr_parse(&s->addresses[s->address_count], text))
			s->address_count++;
		else
			rc = soq__fail(-EINVAL,
				"the name '%s': '%s' is no address of IPv4 or IPv6", s->name,
				text);
	}
	free(texts);
	return rc;
}

/* Append a name as RFC 1035 section 3.1 has it. @return false when it cannot be one */
static bool put_name(struct soq__sim_buffer *b, const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_MAX_LEN)
		return false;
	for (;;) {
		size_t label = strcspn(name, ".");

		if (label == 0 || label > NS_MAXLABEL)
			return false;
		soq__sim_put8(b, (uint8_t)label);
		soq__sim_put(b, name, label);
		if (!name[label])
			break;
		name += label + 1;
	}
	soq__sim_put8(b, 0);
	return true;
}

static int check_name(const char *name, const struct soq_sim_name *how)
{
	struct soq__sim_buffer unused = { 0 };
	struct soq__sim_addr literal;
	bool fits = put_name(&unused, name);
	int rc;

	free(unused.data);
	if (!fits || !soq__sim_is_name(name) || soq__sim_addr_parse(&literal, name) ||
		strcasecmp(name, "localhost") == 0)
		return soq__fail(-EINVAL, "'%s' is no name to give to a name service", name);
	if (!how)
		return 0;
	rc = check_family(name, how->delay_ipv4_ns, how->error_ipv4, "ipv4");
	return rc < 0 ? rc : check_family(name, how->delay_ipv6_ns, how->error_ipv6, "ipv6");
}

int soq_sim_name(struct soq_sim *sim, const char *name, const struct soq_sim_name *how)
{
	struct said *s;
	int rc = check_name(name, how);

	if (rc < 0)
		return rc;
	if (!how) {
		said_free(said_of(sim, name));
		return 0;
	}
	s = soq__sim_alloc(sizeof(*s));
	soq__list_init(&s->node);
	s->name = strcpy(soq__sim_alloc(strlen(name) + 1), name);
	s->of_host = !how->addresses;
	s->delay_ns[0] = how->delay_ipv4_ns;
	s->delay_ns[1] = how->delay_ipv6_ns;
	s->error[0] = how->error_ipv4;
	s->error[1] = how->error_ipv6;
	if (how->addresses)
		rc = add_addresses(s, how->addresses);
	if (rc < 0) {
		said_free(s);
		return rc;
	}
	said_free(said_of(sim, name));
	soq__list_append(&sim->said_names, &s->node);
	return 0;
}

/* ---- what there is to answer ---- */

/* A question and its answer. */
struct lookup {
	const char *name;
	unsigned type;
	bool exists; /* else there is no such name */
	int error;
	const struct soq__sim_addr *addresses; /* for A and AAAA, of any family */
	size_t address_count;
	const char *host_name; /* for PTR, or NULL */
};

/* Names of the DNS differ by more than the case of their letters; a host called exactly so goes
 * before one that is not. */
static struct soq_sim_host *host_called(const struct soq_sim *sim, const char *name)
{
	struct soq_sim_host *host = soq_sim_host_find(sim, name);

	for (size_t i = 0; !host && i < sim->host_count; i++)
		if (strcasecmp(sim->hosts[i]->name, name) == 0)
			host = sim->hosts[i];
	return host;
}

static void find_addresses(const struct soq_sim *sim, const struct said *s, struct lookup *l)
{
	const struct soq_sim_host *host = NULL;

	if (s) {
		l->error = s->error[l->type == ns_t_aaaa];
		l->addresses = s->addresses;
		l->address_count = s->address_count;
	}
	if (!s || s->of_host)
		host = host_called(sim, l->name);
	if (host) {
		l->addresses = host->addresses;
		l->address_count = host->address_count;
	}
	l->exists = host || (s && !s->of_host);
}

/* "1.0.0.10.in-addr.arpa" as an address. */
static bool parse_reverse4(struct soq__sim_addr *ret, const char *name)
{
	char bytes[4][4], text[INET_ADDRSTRLEN];

	for (int i = 3; i >= 0; i--) {
		size_t len = strspn(name, "0123456789");

		if (len == 0 || len > 3 || name[len] != '.')
			return false;
		memcpy(bytes[i], name, len);
		bytes[i][len] = '\0';
		name += len + 1;
	}
	snprintf(text, sizeof(text), "%s.%s.%s.%s", bytes[0], bytes[1], bytes[2], bytes[3]);
	return strcasecmp(name, "in-addr.arpa") == 0 && soq__sim_addr_parse(ret, text);
}

/* Thirty-two digits, the last one first, and "ip6.arpa". */
static bool parse_reverse6(struct soq__sim_addr *ret, const char *name)
{
	if (strlen(name) != 72 || strcasecmp(name + 64, "ip6.arpa") != 0)
		return false;
	*ret = (struct soq__sim_addr){ 0 };
	for (size_t i = 0; i < 32; i++) {
		static const char digits[] = "0123456789abcdef";
		char c = name[2 * i] | 0x20; /* in lower case */
		const char *digit = strchr(digits, c);
		size_t at = 31 - i;

		if (!digit || name[2 * i + 1] != '.')
			return false;
		ret->ip[at / 2] |= (uint8_t)((digit - digits) << (at % 2 ? 0 : 4));
	}
	return true;
}

static void find_name(const struct soq_sim *sim, struct lookup *l)
{
	struct soq__sim_addr addr;
	const struct soq_sim_host *host = NULL;

	if (parse_reverse4(&addr, l->name) || parse_reverse6(&addr, l->name))
		host = soq__sim_host_of(sim, &addr);
	l->exists = host;
	l->host_name = host ? host->name : NULL;
}

/* ---- the message ---- */

/* RFC 1035 section 4.1.3; the name is the question's, at byte 12. */
static void put_record_head(struct soq__sim_buffer *b, unsigned type, size_t data_len)
{
	soq__sim_put16(b, 0xc000 | NS_HFIXEDSZ);
	soq__sim_put16(b, (uint16_t)type);
	soq__sim_put16(b, ns_c_in);
	soq__sim_put32(b, TTL_S);
	soq__sim_put16(b, (uint16_t)data_len);
}

/* @return how many */
static unsigned put_answers(struct soq__sim_buffer *b, const struct lookup *l)
{
	struct soq__sim_buffer name = { 0 };
	unsigned count = 0;

	for (size_t i = 0; i < l->address_count; i++) {
		const struct soq__sim_addr *addr = &l->addresses[i];
		size_t skip = l->type == ns_t_a ? 12 : 0; /* mapped */

		if (soq__sim_addr_is4(addr) != (l->type == ns_t_a))
			continue;
		put_record_head(b, l->type, 16 - skip);
		soq__sim_put(b, addr->ip + skip, 16 - skip);
		count++;
	}
	if (l->host_name && put_name(&name, l->host_name)) {
		put_record_head(b, l->type, name.len);
		soq__sim_put(b, name.data, name.len);
		count++;
	}
	free(name.data);
	return count;
}

static ns_rcode rcode_of(const struct lookup *l)
{
	if (l->error == -SOQ_ENAMEFAIL)
		return ns_r_servfail;
	return l->error || !l->exists ? ns_r_nxdomain : ns_r_noerror;
}

/* A response, recursion desired and available. @return false when the name cannot be one */
static bool put_message(struct soq__sim_buffer *b, const struct lookup *l)
{
	ns_rcode rcode = rcode_of(l);
	unsigned count;

	soq__sim_put16(b, 0); /* its number: nobody could mistake it for another */
	soq__sim_put16(b, (uint16_t)(0x8180 | rcode));
	soq__sim_put16(b, 1);
	soq__sim_put_zeros(b, 6); /* answers, counted below; no authorities, nothing besides */
	if (!put_name(b, l->name))
		return false;
	soq__sim_put16(b, (uint16_t)l->type);
	soq__sim_put16(b, ns_c_in);
	count = rcode == ns_r_noerror ? put_answers(b, l) : 0;
	b->data[6] = (uint8_t)(count >> 8);
	b->data[7] = (uint8_t)count;
	return true;
}

/* ---- when ---- */

static uint64_t draw(
	const struct soq_sim_host *host, uint64_t question, unsigned attempt, unsigned part)
{
	return soq__sim_draw(host->sim, SOQ__SIM_LOOKUP, host->index,
		question << PARTS_BITS | attempt << 2 | part);
}

/* A question's way and its answer's, and as often again as one of them is lost. */
static int64_t drawn_delay(struct soq_sim_host *host)
{
	const struct soq_sim_link *link = &host->sim->opt.link;
	uint64_t question = host->draws[SOQ__SIM_LOOKUP]++, jitter = (uint64_t)link->jitter_ns;
	unsigned n = 0;

	if (host->sim->opt.prompt_offload)
		return 0;
	while (n < ATTEMPTS_MAX &&
		(soq__sim_chance(draw(host, question, n, 0), link->loss_ppm) ||
			soq__sim_chance(draw(host, question, n, 1), link->loss_ppm)))
		n++;
	if (n == ATTEMPTS_MAX)
		return SOQ_NEVER;
	return n * RETRY_NS + 2 * link->latency_ns +
		(int64_t)soq__sim_below(draw(host, question, n, 2), jitter + 1) +
		(int64_t)soq__sim_below(draw(host, question, n, 3), jitter + 1);
}

/* ---- for those who watch ---- */

static const char *type_name(unsigned type)
{
	return type == ns_t_a ? "A" : type == ns_t_aaaa ? "AAAA" : "PTR";
}

/* "10.0.0.1 10.0.0.2", as many as there is room for. */
static void addresses_text(char *buf, size_t len, const struct lookup *l)
{
	size_t used = 0;

	for (size_t i = 0; i < l->address_count && used < len; i++) {
		const struct soq__sim_addr *addr = &l->addresses[i];
		bool is4 = soq__sim_addr_is4(addr);
		char text[INET6_ADDRSTRLEN];

		if (is4 != (l->type == ns_t_a))
			continue;
		inet_ntop(is4 ? AF_INET : AF_INET6, addr->ip + (is4 ? 12 : 0), text,
			sizeof(text));
		used += (size_t)snprintf(buf + used, len - used, "%s%s", used ? " " : "", text);
	}
}

static void note(struct soq_sim_host *host, const struct lookup *l, int64_t delay_ns)
{
	char text[SOQ__SIM_WORDS_MAX] = "", after[SOQ__SIM_WORDS_MAX] = "";
	ns_rcode rcode = rcode_of(l);

	if (delay_ns == SOQ_NEVER)
		snprintf(text, sizeof(text), "no answer");
	else if (rcode != ns_r_noerror)
		snprintf(text, sizeof(text), "%s",
			rcode == ns_r_nxdomain ? "no such name" : "the server fails");
	else if (l->host_name)
		snprintf(text, sizeof(text), "%s", l->host_name);
	else
		addresses_text(text, sizeof(text), l);
	if (delay_ns != SOQ_NEVER)
		soq__sim_duration_text(after, delay_ns);
	soq__sim_note(host->sim, host, "DNS %s %s: %s%s%s", type_name(l->type), l->name,
		*text ? text : "no such record", *after ? " in " : "", after);
}

static void digest(struct soq_sim *sim, const struct soq__sim_buffer *b, int64_t delay_ns)
{
	soq__sim_digest(sim, (uint64_t)delay_ns);
	for (size_t i = 0; i < b->len; i += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, b->data + i, soq__min_size(sizeof(word), b->len - i));
		soq__sim_digest(sim, le64toh(word));
	}
}

/* ---- the engine's ---- */

int soq__sim_answer(struct soq__engine *base, const char *name, unsigned type, void *buf,
	size_t len, int64_t *ret_delay_ns)
{
	struct soq_sim_host *host = soq__sim_engine_of(base)->host;
	const struct said *s = said_of(host->sim, name);
	struct lookup l = { .name = name, .type = type };
	struct soq__sim_buffer b = { 0 };
	int64_t delay_ns = 0, drawn_ns;
	int rc = -SOQ_ENONAME;

	*ret_delay_ns = 0;
	if (type != ns_t_a && type != ns_t_aaaa && type != ns_t_ptr)
		return -SOQ_ESIMULATED;
	/* Drawn always, so that a delay given to one name leaves the others' alone. */
	drawn_ns = drawn_delay(host);
	if (type == ns_t_ptr) {
		find_name(host->sim, &l);
	} else {
		find_addresses(host->sim, s, &l);
		delay_ns = s ? s->delay_ns[type == ns_t_aaaa] : 0;
	}
	if (delay_ns == 0)
		delay_ns = drawn_ns;
	if (put_message(&b, &l))
		rc = b.len <= len ? (int)b.len : -EMSGSIZE;
	if (rc > 0)
		memcpy(buf, b.data, b.len);
	note(host, &l, delay_ns);
	digest(host->sim, &b, delay_ns);
	free(b.data);
	*ret_delay_ns = delay_ns;
	return rc;
}
