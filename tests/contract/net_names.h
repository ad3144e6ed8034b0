/* net_names.h - a DNS of the case's own, and the machine's files that lead to it: in a network
 * and a mount namespace of its own, a fiber answers what a zone says.
 *
 * Source: RFC 1035 section 4; mount_namespaces(7).
 */
#ifndef CONTRACT_NET_NAMES_H
#define CONTRACT_NET_NAMES_H

#include "contract/net.h"
#include "contract/private_net.h"
#include "net/dns.h"

#include <arpa/nameser.h>
#include <fcntl.h>
#include <resolv.h>
#include <strings.h>
#include <sys/mount.h>

/* ---- the machine's files ---- */

static inline void file_path(char path[256], const char *name)
{
	snprintf(path, 256, "%s/%s", test_dir(), name);
}

/* Write /etc/@name, which is a file of the case's own. */
static inline void machine_file(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	file_path(path, name);
	f = fopen(path, "we");
	CHECK(f);
	CHECK_EQ(fputs(text, f) >= 0, true);
	CHECK_EQ(fclose(f), 0);
}

static inline void machine_mount(const char *name, const char *text)
{
	char path[256], etc[64];

	machine_file(name, text);
	file_path(path, name);
	snprintf(etc, sizeof(etc), "/etc/%s", name);
	if (access(etc, F_OK) < 0 || mount(path, etc, "", MS_BIND, NULL) < 0)
		SKIP("%s cannot be replaced here: %s", etc, strerror(errno));
}

#define RESOLV_CONF "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n"
#define HOSTS	    "127.0.0.1 localhost\n10.9.9.9 Filed.Test filed # the hosts file's\n"

/* Before the first use of soquete: a machine without names but those of the case. */
static inline void machine_enter(const char *resolv_conf, const char *hosts)
{
	if (!soq__ares_is_there())
		SKIP("this build has no c-ares");
	if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		SKIP("no mount namespace can be had here: %s", strerror(errno));
	CHECK_OK(mount("", "/", "", MS_REC | MS_PRIVATE, NULL));
	private_net_enter();
	machine_mount("resolv.conf", resolv_conf);
	machine_mount("hosts", hosts);
	machine_mount("nsswitch.conf", "hosts: files dns\n");
	unsetenv("LOCALDOMAIN");
	unsetenv("RES_OPTIONS");
}

/* ---- a server ---- */

enum manner {
	ANSWERS,
	FAILS,
	SILENT,
	GARBAGE,   /* bytes that are no message */
	WRONG_ID,  /* an answer to another question first, with other addresses */
	TRUNCATED, /* over UDP; complete over TCP */
	HELD,	   /* answered when the case lets go */
	CUT,	   /* a message that ends within a record */
	FOREIGN,   /* the records are another name's, which nobody asked for */
};

/* What is said of a name: records, each "type ttl data", separated by ";". Data of an alias and
 * its like is a name; of MX "10 name"; of SRV "1 2 3 name"; of the others as one writes it. */
struct said {
	const char *name;
	const char *records;
	enum manner manner;
	unsigned manner_of; /* the manner is for this type only; 0: for each */
};

struct dns {
	const struct said *zone; /* to a NULL name; what is not in it does not exist */
	struct soq_dgram *udp;
	struct soq_listener *tcp;
	struct soq_scope *scope;
	struct soq_event *let_go, *asked; /* the second: set by each question */
	unsigned questions, over_tcp;
	char last[256]; /* name asked for last */
};

static inline unsigned char *put16(unsigned char *at, unsigned value)
{
	*at++ = (unsigned char)(value >> 8);
	*at++ = (unsigned char)value;
	return at;
}

static inline unsigned char *put32(unsigned char *at, uint32_t value)
{
	return put16(put16(at, value >> 16), value & 0xffff);
}

static inline unsigned char *put_name(unsigned char *at, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, ".");

		*at++ = (unsigned char)len;
		memcpy(at, name, len);
		at += len;
		name += len + (name[len] == '.');
	}
	*at++ = 0;
	return at;
}

static inline unsigned type_of(const char *word)
{
	enum soq_record_type type;

	CHECK_OK(soq_record_type_parse(&type, word));
	return type;
}

static inline unsigned char *put_data(unsigned char *at, unsigned type, const char *data)
{
	unsigned numbers[3];
	char name[256];

	switch (type) {
	case SOQ_RECORD_A:
		CHECK_EQ(inet_pton(AF_INET, data, at), 1);
		return at + 4;
	case SOQ_RECORD_AAAA:
		CHECK_EQ(inet_pton(AF_INET6, data, at), 1);
		return at + 16;
	case SOQ_RECORD_MX:
		CHECK_EQ(sscanf(data, "%u %255s", &numbers[0], name), 2);
		return put_name(put16(at, numbers[0]), name);
	case SOQ_RECORD_SRV:
		CHECK_EQ(sscanf(data, "%u %u %u %255s", &numbers[0], &numbers[1], &numbers[2],
				 name),
			4);
		at = put16(put16(put16(at, numbers[0]), numbers[1]), numbers[2]);
		return put_name(at, name);
	case SOQ_RECORD_TXT:
		/* In two strings, as long texts are. */
		*at++ = 1;
		*at++ = (unsigned char)data[0];
		*at++ = (unsigned char)strlen(data + 1);
		memcpy(at, data + 1, strlen(data + 1));
		return at + strlen(data + 1);
	case SOQ_RECORD_CAA:
		memcpy(at, "\0\5issue", 7);
		memcpy(at + 7, data, strlen(data));
		return at + 7 + strlen(data);
	case SOQ_RECORD_SOA:
		at = put_name(put_name(at, data), "hostmaster.test");
		for (int i = 0; i < 5; i++)
			at = put32(at, 30);
		return at;
	default:
		return put_name(at, data);
	}
}

static inline unsigned char *put_record(
	unsigned char *at, const char *owner, unsigned type, unsigned ttl, const char *data)
{
	unsigned char *length, *end;

	at = put32(put16(put16(put_name(at, owner), type), ns_c_in), ttl);
	length = at;
	end = put_data(at + 2, type, data);
	put16(length, (unsigned)(end - length - 2));
	return end;
}

/* The records of one name that answer a type, and of what its alias leads to. */
static inline unsigned char *put_answers(const struct dns *d, unsigned char *at,
	unsigned char *end, const char *name, unsigned type, unsigned *count)
{
	const struct said *said = d->zone;
	char records[4096], word[16], data[512], *rest, *record;
	unsigned ttl;

	while (said->name && strcasecmp(said->name, name) != 0)
		said++;
	if (!said->name || !said->records)
		return at;
	snprintf(records, sizeof(records), "%s", said->records);
	for (record = strtok_r(records, ";", &rest); record;
		record = strtok_r(NULL, ";", &rest)) {
		CHECK_EQ(sscanf(record, "%15s %u %511[^\n]", word, &ttl, data), 3);
		CHECK(end - at > 700);
		if (type_of(word) != type && type_of(word) != SOQ_RECORD_CNAME)
			continue;
		at = put_record(at, said->manner == FOREIGN ? "bank.test" : name, type_of(word),
			ttl, data);
		/* Aliases in a circle lead nowhere. */
		if (++*count < 20 && type_of(word) == SOQ_RECORD_CNAME &&
			type != SOQ_RECORD_CNAME)
			at = put_answers(d, at, end, data, type, count);
	}
	return at;
}

static inline const struct said *said_of(const struct dns *d, const char *name)
{
	for (const struct said *s = d->zone; s->name; s++)
		if (strcasecmp(s->name, name) == 0)
			return s;
	return NULL;
}

static inline void answer_wrongly(unsigned char *msg, unsigned type)
{
	static const unsigned char in4[] = { 6, 6, 6, 6 };
	unsigned char *at = msg + 12;

	(void)type;
	msg[0] ^= 0x55;
	at += strlen((char *)at) + 1 + 4;
	at = put32(put16(put16(put16(at, 0xc00c), SOQ_RECORD_A), ns_c_in), 60);
	memcpy(put16(at, 4), in4, sizeof(in4));
	msg[2] |= 0x80;
	msg[7] = 1;
}

/* An answer in the place of a question. @return its bytes; 0: none */
static inline size_t answer_of(struct dns *d, unsigned char *msg, size_t len, size_t room,
	const struct said *said, unsigned type, bool tcp)
{
	unsigned char *question = msg + 12, *at = question + strlen((char *)question) + 5;
	unsigned count = 0;
	enum manner manner = said ? said->manner : ANSWERS;
	unsigned rcode = said ? ns_r_noerror : ns_r_nxdomain;

	(void)len;
	if (said && said->manner_of && said->manner_of != type)
		manner = ANSWERS;
	msg[2] = 0x84 | (msg[2] & 1); /* an answer, with authority */
	memset(msg + 6, 0, 6);
	if (manner == SILENT)
		return 0;
	if (manner == GARBAGE)
		return 11;
	if (manner == FAILS)
		rcode = ns_r_servfail;
	msg[3] = (unsigned char)(0x80 | rcode);
	if (manner == TRUNCATED && !tcp) {
		msg[2] |= 2;
		return (size_t)(at - msg);
	}
	if (manner != FAILS && said)
		at = put_answers(d, at, msg + room, d->last, type, &count);
	put16(msg + 6, count);
	if (count == 0 && said_of(d, "soa.test")) {
		at = put_record(at, "test", SOQ_RECORD_SOA, 30, "ns.test");
		put16(msg + 8, 1);
	}
	return (size_t)(at - msg) - (manner == CUT && count > 0 ? 7 : 0);
}

/* Take a question in. @return its type */
static inline unsigned read_question(
	struct dns *d, const unsigned char *msg, size_t len, const struct said **ret)
{
	const unsigned char *at = msg + 12;
	int n = dn_expand(msg, msg + len, at, d->last, sizeof(d->last));

	CHECK(len > 12 && n > 0);
	d->questions++;
	*ret = said_of(d, d->last);
	at += n;
	soq_event_set(d->asked);
	return (unsigned)at[0] << 8 | at[1];
}

struct held {
	struct dns *dns;
	struct soq_addr from;
	size_t len;
	unsigned char msg[4096];
};

static inline void held_main(void *arg)
{
	struct held *h = arg;

	if (soq_event_wait(h->dns->let_go) == 0)
		soq_sendto(h->dns->udp, h->msg, h->len, &h->from);
	free(h);
}

static inline void udp_main(void *arg)
{
	struct dns *d = arg;
	struct held *h;
	const struct said *said;
	ssize_t n;

	for (;;) {
		unsigned type;

		h = malloc(sizeof(*h));
		CHECK(h);
		h->dns = d;
		n = soq_recvfrom(d->udp, h->msg, sizeof(h->msg), &h->from);
		if (n < 0)
			break;
		type = read_question(d, h->msg, (size_t)n, &said);
		if (said && said->manner == WRONG_ID) {
			unsigned char wrong[512] = { 0 };

			memcpy(wrong, h->msg, (size_t)n);
			answer_wrongly(wrong, type);
			soq_sendto(d->udp, wrong, (size_t)n + 16, &h->from);
		}
		h->len = answer_of(d, h->msg, (size_t)n, sizeof(h->msg), said, type, false);
		if (said && said->manner == HELD &&
			(!said->manner_of || said->manner_of == type)) {
			CHECK_OK(soq_spawn(d->scope, held_main, h));
			continue;
		}
		if (h->len > 0)
			soq_sendto(d->udp, h->msg, h->len, &h->from);
		free(h);
	}
	free(h);
}

static inline void tcp_main(void *arg)
{
	struct dns *d = arg;
	struct soq_stream *s;
	unsigned char msg[8192];
	const struct said *said;

	while (soq_accept(&s, d->tcp) == 0) {
		while (soq_recv_full(s, msg, 2) == 2) {
			size_t len = (size_t)msg[0] << 8 | msg[1];
			unsigned type;

			CHECK(len < 512);
			CHECK_EQ(soq_recv_full(s, msg + 2, len), (ssize_t)len);
			d->over_tcp++;
			type = read_question(d, msg + 2, len, &said);
			len = answer_of(d, msg + 2, len, sizeof(msg) - 2, said, type, true);
			put16(msg, (unsigned)len);
			CHECK_EQ(soq_send(s, msg, len + 2), (ssize_t)len + 2);
		}
		soq_close(s);
	}
}

/* @host  "127.0.0.1" */
static inline void dns_open_at(struct dns *d, const struct said *zone, const char *host)
{
	char text[64];

	*d = (struct dns){
		.zone = zone, .scope = scope_open(), .let_go = event_new(), .asked = event_new()
	};
	snprintf(text, sizeof(text), "udp://%s:53", host);
	CHECK_OK(soq_dgram_open(&d->udp, text));
	snprintf(text, sizeof(text), "tcp://%s:53", host);
	CHECK_OK(soq_listen(&d->tcp, text, NULL));
	CHECK_OK(soq_spawn(d->scope, udp_main, d));
	CHECK_OK(soq_spawn(d->scope, tcp_main, d));
}

static inline void dns_open(struct dns *d, const struct said *zone)
{
	dns_open_at(d, zone, "127.0.0.1");
}

static inline void dns_close(struct dns *d)
{
	soq_scope_close(d->scope);
	soq_dgram_close(d->udp);
	soq_listener_close(d->tcp);
	soq_event_free(d->let_go);
	soq_event_free(d->asked);
}

/* A machine, and the DNS that it asks. */
static inline void names_open(struct dns *d, const struct said *zone)
{
	machine_enter(RESOLV_CONF, HOSTS);
	dns_open(d, zone);
}

/* Wait until so many questions have come to the server. */
static inline void await_questions(struct dns *d, unsigned count)
{
	while (d->questions < count) {
		CHECK_OK(soq_event_wait(d->asked));
		soq_event_reset(d->asked);
	}
}

/* The addresses of a list as one text, without their port if it is 80. */
static inline const char *list_text(const struct soq_addrs *list)
{
	static char text[4096];
	size_t used = 0;

	*text = '\0';
	for (size_t i = 0; i < list->count; i++) {
		char at[SOQ_ADDR_TEXT_MAX];
		size_t len = (size_t)soq_addr_format(at, sizeof(at), &list->list[i]);

		if (len > 3 && strcmp(at + len - 3, ":80") == 0)
			at[len - 3] = '\0';
		used += (size_t)snprintf(
			text + used, sizeof(text) - used, "%s%s", i ? " " : "", at);
	}
	return text;
}

static inline void check_resolves(const char *endpoint, const char *want)
{
	struct soq_addrs list = { 0 };
	int rc;

	ROW("%s", endpoint);
	rc = soq_resolve(&list, endpoint);
	if (rc < 0)
		CHECK_STR(soq_last_error(), want);
	CHECK_STR(list_text(&list), want);
	soq_addrs_done(&list);
}

#endif
