/* net_names.c - names and the DNS: what is asked, what is believed, and what is kept. */
#include "contract/net_names.h"

#include <sys/wait.h>

#define KERNEL "the server is asked by way of the kernel's network, and its files are files"

static const struct said zone[] = {
	{ .name = "one.test", .records = "A 60 10.0.0.7" },
	{ .name = "two.test", .records = "A 60 10.0.0.7;A 60 10.0.0.8" },
	{ .name = "alias.test", .records = "CNAME 60 other.test" },
	{ .name = "other.test", .records = "CNAME 60 one.test" },
	{ .name = "loop.test", .records = "CNAME 60 circle.test" },
	{ .name = "circle.test", .records = "CNAME 60 loop.test" },
	{ .name = "foreign.test", .records = "A 60 6.6.6.6", .manner = FOREIGN },
	{ .name = "fresh.test", .records = "A 0 10.0.0.9" },
	{ .name = "soon.test", .records = "A 1 10.0.0.9" },
	{ .name = "empty.test" },
	{ .name = "failing.test", .manner = FAILS },
	{ .name = "silent.test", .manner = SILENT },
	{ .name = "garbage.test", .manner = GARBAGE },
	{ .name = "cut.test", .records = "A 60 10.0.0.7", .manner = CUT },
	{ .name = "forged.test", .records = "A 60 10.0.0.7", .manner = WRONG_ID },
	{ .name = "long.test", .records = "A 60 10.0.0.7", .manner = TRUNCATED },
	{ .name = "held.test", .records = "A 60 10.0.0.7", .manner = HELD },
	{ .name = "xn--mnchen-3ya.test", .records = "A 60 10.0.0.10" },
	{ .name = "half.test", .records = "A 60 10.0.0.7", .manner = SILENT, .manner_of = 28 },
	{ .name = "www.inner.test", .records = "A 60 10.0.1.1" },
	{ .name = "my.default.svc.cluster.local", .records = "A 60 10.0.0.12" },
	{ .name = "", .records = "NS 60 a.root-servers.test" },
	{ .name = "7.0.0.10.in-addr.arpa", .records = "PTR 60 one.test" },
	{ .name = "9.0.0.10.in-addr.arpa",
		.records = "PTR 60 $(reboot).test;PTR 60 o;PTR 60 one.test" },
	{ .name = "10.0.0.10.in-addr.arpa", .records = "PTR 60 <b>.test" },
	{ .name = "many.test",
		.records = "MX 60 10 mx.test;TXT 60 v=spf1 -all;SRV 60 1 2 443 srv.test;"
			   "NS 60 ns.test;CAA 60 ca.test;SOA 60 ns.test;AAAA 60 fd00::1" },
	{ 0 },
};

CONTRACT_KERNEL(names_resolved, KERNEL)
{
	static const struct {
		const char *endpoint, *want;
	} rows[] = {
		{ "tcp://one.test:80", "10.0.0.7" },
		{ "tcp://one.test.:80", "10.0.0.7" },
		{ "tcp://ONE.test:80", "10.0.0.7" },
		{ "udp://two.test:80", "10.0.0.7 10.0.0.8" },
		{ "tls://alias.test:80", "10.0.0.7" },
		{ "tcp://long.test:80", "10.0.0.7" },
		{ "tcp://forged.test:80", "10.0.0.7" },
		{ "tcp://münchen.test:80", "10.0.0.10" },
		{ "tcp://my.default.svc.cluster.local:80", "10.0.0.12" },
		{ "tcp://filed.test:80", "10.9.9.9" },
		{ "tcp://FILED:80", "10.9.9.9" },
		{ "tcp://localhost:80", "[::1] 127.0.0.1" },
		{ "tcp://a.b.localhost.:80", "[::1] 127.0.0.1" },
		{ "tcp://192.0.2.1:80", "192.0.2.1" },
		{ "tcp://[2001:db8::1]:80", "[2001:db8::1]" },
	};
	struct dns d;

	names_open(&d, zone);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *want = rows[i].want;

		/* Without ::1 in this network, what can be reached comes first. */
		if (*want == '[' && want[1] == ':' && !have_ipv6())
			want = "127.0.0.1 [::1]";
		check_resolves(rows[i].endpoint, want);
	}
	CHECK_EQ(d.over_tcp, 2); /* the truncated one, of both families */
	dns_close(&d);
}

CONTRACT_KERNEL(names_that_fail, KERNEL)
{
	static const struct {
		const char *endpoint;
		int rc;
	} rows[] = {
		{ "tcp://nobody.test:80", -SOQ_ENONAME },
		{ "tcp://empty.test:80", -SOQ_ENORECORD },
		{ "tcp://failing.test:80", -SOQ_ENAMEFAIL },
		{ "tcp://loop.test:80", -SOQ_ENORECORD },
		{ "tcp://cut.test:80", -SOQ_ENAMEFAIL },
		{ "tcp://foreign.test:80", -SOQ_ENORECORD },
		{ "tcp://bank.test:80", -SOQ_ENONAME },
		{ "tcp://x.invalid:80", -SOQ_ENONAME },
		{ "tcp://x.onion:80", -SOQ_ENONAME },
		{ "tcp://printer.local:80", -SOQ_ENONAME },
		{ "tcp://a..test:80", -SOQ_EENDPOINT },
		{ "tcp://.test:80", -SOQ_EENDPOINT },
		{ "tcp://.:80", -SOQ_EENDPOINT },
		{ "tcp://"
		  "a234567890123456789012345678901234567890123456789012345678901234.test:80",
			-SOQ_EENDPOINT },
		{ "tcp://a℀b.test:80", -SOQ_EENDPOINT }, /* "aa/cb.test" */
		{ "tcp://a\\:80", -SOQ_EENDPOINT },
		{ "unix:///x", -EPROTOTYPE },
		{ "fd://3", -EPROTOTYPE },
	};
	struct soq_addrs list = { 0 };
	struct dns d;

	names_open(&d, zone);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%s", rows[i].endpoint);
		CHECK_ERR(soq_resolve(&list, rows[i].endpoint), rows[i].rc);
		CHECK(strstr(soq_last_error(), rows[i].endpoint));
		CHECK_EQ(list.count, 0);
	}
	dns_close(&d);
}

/* "localhost", ".invalid", ".onion" and "x.local" are nobody's business. */
CONTRACT_KERNEL(names_never_asked_for, KERNEL)
{
	static const char *const names[] = { "tcp://localhost:80", "tcp://x.localhost:80",
		"tcp://x.invalid:80", "tcp://x.onion:80", "tcp://x.local:80",
		"tcp://filed:80" };
	struct soq_addrs list = { 0 };
	struct dns d;

	names_open(&d, zone);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		soq_resolve(&list, names[i]);
		soq_addrs_done(&list);
	}
	CHECK_EQ(d.questions, 0);
	dns_close(&d);
}

/* Nobody answers: said so after the time that resolv.conf gives, 1 s and then 2. */
CONTRACT_KERNEL(names_silent_server, KERNEL)
{
	struct soq_addrs list;
	struct dns d;
	int64_t began_ns;

	names_open(&d, zone);
	began_ns = soq_now();
	CHECK_ERR(soq_resolve(&list, "tcp://silent.test:80"), -SOQ_ENAMEWAIT);
	CHECK(soq_now() - began_ns >= 3 * SOQ_S);
	CHECK(strstr(soq_last_error(), "did not answer"));
	CHECK_EQ(d.questions, 4); /* two families, two tries */
	dns_close(&d);
}

/* What is no answer is as good as none. */
CONTRACT_KERNEL(names_garbage, KERNEL)
{
	struct soq_addrs list;
	struct dns d;
	int rc;

	names_open(&d, zone);
	rc = soq_resolve(&list, "tcp://garbage.test:80");
	CHECK(rc == -SOQ_ENAMEWAIT || rc == -SOQ_ENAMEFAIL);
	dns_close(&d);
}

/* ---- what is kept ---- */

/* As long as its records say; that there are none, as long as the zone's SOA says. */
CONTRACT_KERNEL(names_kept, KERNEL)
{
	static const struct said with_soa[] = {
		{ .name = "one.test", .records = "A 60 10.0.0.7" },
		{ .name = "none.test" },
		{ .name = "soa.test" },
		{ 0 },
	};
	struct soq_addrs list;
	struct dns d;

	names_open(&d, with_soa);
	for (int i = 0; i < 3; i++) {
		check_resolves("tcp://one.test:80", "10.0.0.7");
		CHECK_EQ(d.questions, 2);
	}
	for (int i = 0; i < 3; i++) {
		CHECK_ERR(soq_resolve(&list, "tcp://none.test:80"), -SOQ_ENORECORD);
		CHECK_STR(soq_last_error(),
			"look up tcp://none.test:80: the name exists, and has no address");
		CHECK_EQ(d.questions, i ? 6 : 4);
		CHECK_ERR(soq_resolve(&list, "tcp://nobody.test:80"), -SOQ_ENONAME);
		CHECK_EQ(d.questions, 6);
	}
	dns_close(&d);
}

/* Without an SOA, that there is nothing is not kept. */
CONTRACT_KERNEL(names_nothing_is_not_kept_unasked, KERNEL)
{
	struct dns d;

	names_open(&d, zone);
	check_resolves("tcp://one.test:80", "10.0.0.7");
	CHECK_EQ(d.questions, 2);
	check_resolves("tcp://one.test:80", "10.0.0.7");
	CHECK_EQ(d.questions, 3); /* of IPv6 */
	dns_close(&d);
}

CONTRACT_KERNEL(names_not_to_be_kept, KERNEL)
{
	struct soq_records list;
	struct dns d;

	names_open(&d, zone);
	for (unsigned i = 1; i <= 3; i++) {
		CHECK_OK(soq_query(&list, "fresh.test", SOQ_RECORD_A));
		soq_records_done(&list);
		CHECK_EQ(d.questions, i);
	}
	dns_close(&d);
}

CONTRACT_KERNEL(names_expire, KERNEL)
{
	struct soq_records list;
	struct dns d;

	names_open(&d, zone);
	for (unsigned i = 1; i <= 2; i++) {
		for (int k = 0; k < 3; k++) {
			CHECK_OK(soq_query(&list, "soon.test", SOQ_RECORD_A));
			CHECK(list.list[0].ttl_s <= 1);
			soq_records_done(&list);
		}
		CHECK_EQ(d.questions, i);
		await_alarm(1 * SOQ_S);
	}
	dns_close(&d);
}

/* However many names are asked for, only so many are kept: the first is asked for again. */
CONTRACT_KERNEL(names_kept_are_bounded, KERNEL)
{
	static const struct said with_soa[] = { { .name = "soa.test" }, { 0 } };
	struct soq_records list;
	struct dns d;
	char name[32];

	names_open(&d, with_soa);
	for (unsigned i = 0; i < 1100; i++) {
		snprintf(name, sizeof(name), "n%u.test", i);
		CHECK_ERR(soq_query(&list, name, SOQ_RECORD_A), -SOQ_ENONAME);
	}
	CHECK_EQ(d.questions, 1100);
	CHECK_ERR(soq_query(&list, "n1099.test", SOQ_RECORD_A), -SOQ_ENONAME);
	CHECK_EQ(d.questions, 1100);
	CHECK_ERR(soq_query(&list, "n0.test", SOQ_RECORD_A), -SOQ_ENONAME);
	CHECK_EQ(d.questions, 1101);
	dns_close(&d);
}

/* An answer that takes much memory is given, and not kept. */
CONTRACT_KERNEL(names_kept_are_small, KERNEL)
{
	static char few[256], many[4096];
	static const struct said sizes[] = { { .name = "few.test", .records = few },
		{ .name = "many.test", .records = many }, { 0 } };
	struct soq_records list;
	struct dns d;

	names_open(&d, sizes);
	for (unsigned i = 0; i < 130; i++) {
		char *at = i < 10 ? few : many;

		sprintf(at + strlen(at), "A 60 10.0.0.%u;", i);
	}
	for (unsigned i = 0; i < 3; i++) {
		CHECK_OK(soq_query(&list, "few.test", SOQ_RECORD_A));
		CHECK_EQ(list.count, 10);
		soq_records_done(&list);
		CHECK_OK(soq_query(&list, "many.test", SOQ_RECORD_A));
		CHECK_EQ(list.count, 120);
		soq_records_done(&list);
		CHECK_EQ(d.over_tcp, i + 1);
		CHECK_EQ(d.questions, 1 + 2 * (i + 1)); /* over UDP first */
	}
	dns_close(&d);
}

/* ---- many who ask, and some who give up ---- */

#define ASKERS 20

struct asker {
	struct soq_addrs list;
	int rc;
};

static void ask(void *arg)
{
	struct asker *a = arg;

	a->rc = soq_resolve(&a->list, "tcp://held.test:80");
}

/* All who ask the same share one question of each family. */
CONTRACT_KERNEL(names_asked_for_together, KERNEL)
{
	struct soq_scope *scope;
	struct asker askers[ASKERS];
	struct dns d;

	names_open(&d, zone);
	scope = scope_open();
	for (int i = 0; i < ASKERS; i++) {
		askers[i] = (struct asker){ .rc = 1 };
		CHECK_OK(soq_spawn(scope, ask, &askers[i]));
	}
	await_questions(&d, 2);
	CHECK_OK(soq_yield());
	soq_event_set(d.let_go);
	scope_join(scope);
	CHECK_EQ(d.questions, 2);
	for (int i = 0; i < ASKERS; i++) {
		CHECK_OK(askers[i].rc);
		CHECK_STR(list_text(&askers[i].list), "10.0.0.7");
		soq_addrs_done(&askers[i].list);
	}
	dns_close(&d);
}

/* Who gives up is not kept waiting, and takes nothing from those who go on. */
CONTRACT_KERNEL(names_given_up, KERNEL)
{
	struct soq_scope *patient, *cancelled;
	struct asker askers[3];
	struct soq_addrs list;
	struct dns d;
	int64_t outer;

	names_open(&d, zone);
	patient = scope_open();
	cancelled = scope_open();
	for (int i = 0; i < 3; i++) {
		askers[i] = (struct asker){ .rc = 1 };
		CHECK_OK(soq_spawn(i == 1 ? cancelled : patient, ask, &askers[i]));
	}
	outer = soq_deadline(soq_now() + 30 * SOQ_MS);
	CHECK_ERR(soq_resolve(&list, "tcp://held.test:80"), -ETIMEDOUT);
	CHECK(strstr(soq_last_error(), "tcp://held.test:80"));
	soq_deadline_restore(outer);
	soq_scope_close(cancelled);
	CHECK_ERR(askers[1].rc, -ECANCELED);
	await_questions(&d, 2);
	soq_event_set(d.let_go);
	scope_join(patient);
	CHECK_EQ(d.questions, 2);
	for (int i = 0; i < 3; i += 2) {
		CHECK_OK(askers[i].rc);
		soq_addrs_done(&askers[i].list);
	}
	dns_close(&d);
}

static void receive_one(void *arg)
{
	char byte;

	CHECK_EQ(soq_recv(arg, &byte, 1), 0);
}

/* With so much to wait for that the engine goes about it another way (epoll.c), c-ares's
 * descriptors come and go all the same. */
CONTRACT_KERNEL(names_beside_many_that_wait, KERNEL)
{
	struct soq_stream *pairs[8][2];
	struct soq_scope *scope;
	struct dns d;

	names_open(&d, zone);
	scope = scope_open();
	for (int i = 0; i < 8; i++) {
		CHECK_OK(soq_pair(pairs[i]));
		CHECK_OK(soq_spawn(scope, receive_one, pairs[i][0]));
	}
	CHECK_OK(soq_yield());
	for (int i = 0; i < 10; i++) {
		check_resolves("tcp://fresh.test:80", "10.0.0.9");
		check_resolves("tcp://long.test:80", "10.0.0.7");
		check_resolves("tcp://two.test:80", "10.0.0.7 10.0.0.8");
	}
	CHECK(d.over_tcp > 10);
	for (int i = 0; i < 8; i++)
		soq_close(pairs[i][1]);
	scope_join(scope);
	for (int i = 0; i < 8; i++)
		soq_close(pairs[i][0]);
	dns_close(&d);
}

static void check_given_up_at(int64_t wait_ns)
{
	struct soq_addrs list;
	int64_t outer = soq_deadline(soq_now() + wait_ns);
	int rc = soq_resolve(&list, "tcp://fresh.test:80");

	soq_deadline_restore(outer);
	if (rc == 0)
		soq_addrs_done(&list);
	else
		CHECK_ERR(rc, -ETIMEDOUT);
}

/* A deadline at every stage of a lookup, the reading of the machine's files among them. */
CONTRACT_KERNEL(names_deadline_sweep, KERNEL)
{
	struct dns d;

	names_open(&d, zone);
	for (int64_t wait_ns = 0; wait_ns < 600 * SOQ_US; wait_ns += 3 * SOQ_US)
		check_given_up_at(wait_ns);
	dns_close(&d);
}

/* The worker ends while questions are on their way: nothing leaks, and nobody waits. */
CONTRACT_KERNEL(names_unanswered_at_the_end, KERNEL)
{
	struct soq_addrs list;
	struct dns d;
	int64_t outer;

	names_open(&d, zone);
	outer = soq_deadline(soq_now() + 30 * SOQ_MS);
	CHECK_ERR(soq_resolve(&list, "tcp://silent.test:80"), -ETIMEDOUT);
	soq_deadline_restore(outer);
	dns_close(&d);
}

struct child {
	pid_t pid;
	int status;
};

/* On the pool: the child's questions are answered meanwhile. */
static void await_child(void *arg)
{
	struct child *c = arg;

	CHECK_EQ(waitpid(c->pid, &c->status, 0), c->pid);
}

/* A child has no questions on their way, and asks for itself. */
CONTRACT_KERNEL(names_in_a_child, KERNEL)
{
	struct soq_scope *scope;
	struct asker asker = { .rc = 1 };
	struct dns d;
	struct child child;

	names_open(&d, zone);
	scope = scope_open();
	CHECK_OK(soq_spawn(scope, ask, &asker));
	await_questions(&d, 2);
	child.pid = (pid_t)CHECK_OK(fork());
	if (child.pid == 0) {
		struct soq_addrs list;

		if (soq_resolve(&list, "tcp://one.test:80") < 0)
			_exit(1);
		_exit(strcmp(list_text(&list), "10.0.0.7") == 0 ? 0 : 2);
	}
	CHECK_OK(soq_offload(await_child, &child));
	CHECK_EQ(child.status, 0);
	soq_event_set(d.let_go);
	scope_join(scope);
	CHECK_OK(asker.rc);
	soq_addrs_done(&asker.list);
	dns_close(&d);
}

/* ---- records ---- */

CONTRACT_KERNEL(names_records, KERNEL)
{
	static const struct {
		enum soq_record_type type;
		const char *text;
		unsigned priority, weight, port;
	} rows[] = {
		{ SOQ_RECORD_MX, "mx.test", 10, 0, 0 },
		{ SOQ_RECORD_TXT, "v=spf1 -all", 0, 0, 0 },
		{ SOQ_RECORD_SRV, "srv.test", 1, 2, 443 },
		{ SOQ_RECORD_NS, "ns.test", 0, 0, 0 },
		{ SOQ_RECORD_CAA, "0 issue \"ca.test\"", 0, 0, 0 },
		{ SOQ_RECORD_SOA, "ns.test", 0, 0, 0 },
	};
	struct soq_records list;
	struct dns d;

	names_open(&d, zone);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq_record *r;

		ROW("%s", soq_record_type_name(rows[i].type));
		CHECK_OK(soq_query(&list, "many.test", rows[i].type));
		CHECK_EQ(list.count, 1);
		r = list.list;
		CHECK_EQ(r->type, rows[i].type);
		CHECK_EQ(r->ttl_s, 60);
		CHECK_STR(r->owner, "many.test");
		CHECK_STR(r->text, rows[i].text);
		CHECK_EQ(r->text_len, strlen(r->text));
		CHECK_EQ(r->priority, rows[i].priority);
		CHECK_EQ(r->weight, rows[i].weight);
		CHECK_EQ(r->port, rows[i].port);
		soq_records_done(&list);
	}
	CHECK_ERR(soq_query(&list, "many.test", SOQ_RECORD_A), -SOQ_ENORECORD);
	CHECK_STR(soq_last_error(), "query many.test A: Name has no record of this type");
	CHECK_ERR(soq_query(&list, "nobody.test", SOQ_RECORD_MX), -SOQ_ENONAME);
	CHECK_ERR(soq_query(&list, "filed", SOQ_RECORD_A), -SOQ_ENONAME); /* no file is read */
	CHECK_ERR(soq_query(&list, "many.test", (enum soq_record_type)99), -EINVAL);
	dns_close(&d);
}

/* The root has no label, and records like any other name. */
CONTRACT_KERNEL(names_records_of_the_root, KERNEL)
{
	struct soq_records list;
	struct dns d;

	names_open(&d, zone);
	for (int i = 0; i < 2; i++) {
		CHECK_OK(soq_query(&list, ".", SOQ_RECORD_NS));
		CHECK_EQ(list.count, 1);
		CHECK_STR(list.list[0].owner, "");
		CHECK_STR(list.list[0].text, "a.root-servers.test");
		soq_records_done(&list);
	}
	CHECK_EQ(d.questions, 1); /* kept, too */
	CHECK_ERR(soq_query(&list, ".", SOQ_RECORD_A), -SOQ_ENORECORD);
	CHECK_ERR(soq_query(&list, "..", SOQ_RECORD_NS), -SOQ_EENDPOINT);
	CHECK_ERR(soq_query(&list, "", SOQ_RECORD_NS), -SOQ_EENDPOINT);
	dns_close(&d);
}

/* The aliases on the way are told too; what belongs to nobody on the way is not. */
CONTRACT_KERNEL(names_aliases_in_the_answer, KERNEL)
{
	static const char *const owners[] = { "alias.test", "other.test", "one.test" };
	struct soq_records list;
	struct dns d;

	names_open(&d, zone);
	CHECK_OK(soq_query(&list, "alias.test", SOQ_RECORD_A));
	CHECK_EQ(list.count, 3);
	for (size_t i = 0; i < 3; i++)
		CHECK_STR(list.list[i].owner, owners[i]);
	CHECK_EQ(list.list[2].addr.in.sin_addr.s_addr, htonl(0x0a000007));
	soq_records_done(&list);
	dns_close(&d);
}

CONTRACT_KERNEL(names_of_addresses, KERNEL)
{
	static const struct {
		const char *address, *want;
		int rc;
	} rows[] = {
		{ "tcp://10.0.0.7:80", "one.test", 0 },
		{ "tcp://[::ffff:10.0.0.7]:80", "one.test", 0 },
		{ "tcp://10.9.9.9:80", "filed.test", 0 },
		{ "tcp://127.0.0.1:80", "localhost", 0 },
		{ "tcp://[::1]:80", "localhost", 0 },
		{ "tcp://10.0.0.8:80", "", -SOQ_ENONAME },
		/* What no host can be called is passed over. */
		{ "tcp://10.0.0.9:80", "o", 0 },
		{ "tcp://10.0.0.10:80", "", -SOQ_ENONAME },
		{ "tcp://[fd00::1]:80", "", -SOQ_ENONAME },
	};
	struct soq_records records;
	struct soq_addrs list;
	struct dns d;
	char name[256];

	names_open(&d, zone);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ROW("%s", rows[i].address);
		CHECK_OK(soq_resolve(&list, rows[i].address));
		CHECK_ERR(soq_reverse(name, sizeof(name), &list.list[0]), rows[i].rc);
		if (rows[i].rc == 0) {
			CHECK_STR(name, rows[i].want);
			CHECK_ERR(soq_reverse(name, strlen(rows[i].want), &list.list[0]),
				-ENOBUFS);
		}
		soq_addrs_done(&list);
	}
	CHECK_OK(soq_query(&records, "10.0.0.7", SOQ_RECORD_PTR));
	CHECK_STR(records.list[0].text, "one.test");
	soq_records_done(&records);
	dns_close(&d);
}

/* ---- connecting ---- */

struct connecting {
	struct soq_stream *stream;
	int rc;
	int64_t took_ns;
	char error[512];
	const char *endpoint;
};

static void connect_main(void *arg)
{
	struct connecting *c = arg;
	int64_t began_ns = soq_now();

	c->rc = soq_connect(&c->stream, c->endpoint);
	c->took_ns = soq_now() - began_ns;
	snprintf(c->error, sizeof(c->error), "%s", soq_last_error());
}

/* IPv4 alone is known, and IPv6 does not come: after a short wait IPv4 is tried. */
CONTRACT_KERNEL(names_connect_with_half_an_answer, KERNEL)
{
	static const struct said half[] = {
		{ .name = "half.test",
			.records = "A 60 127.0.0.1",
			.manner = SILENT,
			.manner_of = SOQ_RECORD_AAAA },
		{ 0 },
	};
	struct connecting c = { .rc = 1 };
	struct soq_listener *l;
	struct soq_addr addr;
	char text[64];
	struct dns d;

	names_open(&d, half);
	CHECK_OK(soq_listen(&l, "tcp://127.0.0.1:0", NULL));
	CHECK_OK(soq_listener_addr(l, &addr));
	snprintf(text, sizeof(text), "tcp://half.test:%u", soq_addr_port(&addr));
	c.endpoint = text;
	connect_main(&c);
	CHECK_OK(c.rc);
	CHECK(c.took_ns >= 50 * SOQ_MS && c.took_ns < 900 * SOQ_MS);
	soq_close(c.stream);
	soq_listener_close(l);
	/* Refused, and the other family never known: both are said. */
	c = (struct connecting){ .rc = 1, .endpoint = text };
	connect_main(&c);
	CHECK_ERR(c.rc, -ECONNREFUSED);
	CHECK(strstr(c.error, "(127.0.0.1:"));
	CHECK(strstr(c.error, "AAAA: Name service did not answer; try again"));
	dns_close(&d);
}
