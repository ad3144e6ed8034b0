/* net_names_conf.c - names as the machine's files have them: which servers, which domains,
 * which hosts, and what happens when they change.
 */
#include "contract/net_names.h"

#include <pthread.h>
#include <sys/wait.h>

#define KERNEL "the machine's files are files"

static const struct said zone[] = {
	{ .name = "one.test", .records = "A 60 10.0.0.7" },
	{ .name = "www.inner.test", .records = "A 60 10.0.1.1" },
	{ .name = "held.test", .records = "A 60 10.0.0.7", .manner = HELD },
	{ .name = "soa.test" },
	{ 0 },
};

struct asker {
	struct soq_addrs list;
	int rc;
};

static void ask(void *arg)
{
	struct asker *a = arg;

	a->rc = soq_resolve(&a->list, "tcp://held.test:80");
}

/* Search domains: a name of few dots is tried in each of them first, one of more dots last. */
CONTRACT_KERNEL(names_searched, KERNEL)
{
	static const struct {
		const char *endpoint, *want;
		unsigned questions; /* of IPv4 */
	} rows[] = {
		{ "tcp://www:80", "10.0.1.1", 2 }, /* www.outer.test, www.inner.test */
		{ "tcp://one.test:80", "10.0.0.7", 1 },
		{ "tcp://www.inner:80", "look up tcp://www.inner:80: Name does not exist", 3 },
		{ "tcp://www.:80", "look up tcp://www.:80: Name does not exist", 1 },
	};
	struct dns d;

	machine_enter(RESOLV_CONF "search outer.test inner.test\n", HOSTS);
	dns_open(&d, zone);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq_addrs list = { 0 };

		ROW("%s", rows[i].endpoint);
		d.questions = 0;
		if (soq_resolve(&list, rows[i].endpoint) < 0)
			CHECK_STR(soq_last_error(), rows[i].want);
		else
			CHECK_STR(list_text(&list), rows[i].want);
		CHECK_EQ(d.questions, 2 * rows[i].questions);
		soq_addrs_done(&list);
	}
	dns_close(&d);
}

/* The families of one name, not of two: what the first domain has counts alone. */
CONTRACT_KERNEL(names_searched_are_not_mixed, KERNEL)
{
	static const struct said two[] = {
		{ .name = "www.outer.test", .records = "A 60 10.0.0.1" },
		{ .name = "www.inner.test", .records = "A 60 10.0.0.2;AAAA 60 fd00::2" },
		{ 0 },
	};
	struct dns d;

	machine_enter(RESOLV_CONF "search outer.test inner.test\n", HOSTS);
	dns_open(&d, two);
	check_resolves("tcp://www:80", "10.0.0.1");
	dns_close(&d);
}

/* Ask until the answer is another: files are looked at once a second. */
static void await_change(const char *endpoint, const char *want)
{
	struct soq_addrs list = { 0 };
	int64_t give_up_ns = soq_now() + 20 * SOQ_S;

	do {
		soq_addrs_done(&list);
		CHECK(soq_now() < give_up_ns);
		CHECK_OK(soq_yield());
	} while (soq_resolve(&list, endpoint) < 0 || strcmp(list_text(&list), want) != 0);
	soq_addrs_done(&list);
}

/* Files that change are read again; a question to the former server is answered yet. */
CONTRACT_KERNEL(names_configuration_changes, KERNEL)
{
	static const struct said elsewhere[] = {
		{ .name = "one.test", .records = "A 60 10.0.0.99" },
		{ .name = "soa.test" },
		{ 0 },
	};
	struct soq_scope *scope;
	struct asker asker = { .rc = 1 };
	struct dns d, other;

	machine_enter("nameserver 127.0.0.1\noptions timeout:30\n", HOSTS);
	dns_open(&d, zone);
	dns_open_at(&other, elsewhere, PRIVATE_ADDRESS);
	check_resolves("tcp://one.test:80", "10.0.0.7");
	check_resolves("tcp://filed:80", "10.9.9.9");
	scope = scope_open();
	CHECK_OK(soq_spawn(scope, ask, &asker));
	await_questions(&d, 4);
	machine_file("resolv.conf", "nameserver " PRIVATE_ADDRESS "\n");
	await_change("tcp://one.test:80", "10.0.0.99");
	machine_file("hosts", "10.9.9.8 filed\n");
	await_change("tcp://filed:80", "10.9.9.8");
	machine_file("nsswitch.conf", "hosts: dns files\n");
	machine_file("hosts", "10.9.9.8 filed one.test\n10.9.9.7 filed\n");
	await_change("tcp://filed:80", "10.9.9.8 10.9.9.7");
	check_resolves("tcp://one.test:80", "10.0.0.99");
	soq_event_set(d.let_go);
	scope_join(scope);
	CHECK_OK(asker.rc);
	soq_addrs_done(&asker.list);
	dns_close(&other);
	dns_close(&d);
}

/* A server that is not there: the next one is asked at once for all that it was asked, though
 * the kernel tells of the first datagram only when the second is sent. */
CONTRACT_KERNEL(names_second_server, KERNEL)
{
	int64_t began_ns;
	struct dns d;

	machine_enter("nameserver " PRIVATE_ADDRESS "\nnameserver 127.0.0.1\n"
		      "options timeout:30\n",
		HOSTS);
	dns_open(&d, zone);
	began_ns = soq_now();
	check_resolves("tcp://one.test:80", "10.0.0.7");
	CHECK(soq_now() - began_ns < 10 * SOQ_S);
	CHECK_EQ(d.questions, 2);
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

/* Have a child do something after a lookup that leaves the engine a cancelled operation to give
 * back: its first server is silent, and c-ares closes that one's socket, which is waited for,
 * when the second has answered. */
static void after_a_lookup(void (*then)(void))
{
	struct soq_dgram *silent;
	struct child child;
	struct dns d;

	machine_enter("nameserver " PRIVATE_ADDRESS "\n" RESOLV_CONF, HOSTS);
	dns_open(&d, zone);
	CHECK_OK(soq_dgram_open(&silent, "udp://" PRIVATE_ADDRESS ":53"));
	child.pid = (pid_t)CHECK_OK(fork());
	if (child.pid == 0) {
		check_resolves("tcp://one.test:80", "10.0.0.7");
		then();
		exit(0);
	}
	CHECK_OK(soq_offload(await_child, &child));
	CHECK_EQ(child.status, 0);
	soq_dgram_close(silent);
	dns_close(&d);
}

static void end(void)
{
}

/* A process that ends without soq_thread_end(): what io_uring has not given back yet is no
 * leak. LeakSanitizer looks. */
CONTRACT_KERNEL(names_at_the_process_end, KERNEL)
{
	after_a_lookup(end);
}

static void fork_and_ask(void)
{
	struct child child = { .pid = (pid_t)CHECK_OK(fork()) };

	check_resolves("tcp://www.inner.test:80", "10.0.1.1");
	if (child.pid == 0)
		exit(0);
	await_child(&child);
	CHECK_EQ(child.status, 0);
	CHECK_OK(soq_thread_end());
}

/* A process that forks then: the child has nothing to wait for, and leaves the parent's ring
 * alone. */
CONTRACT_KERNEL(names_in_a_child_at_once, KERNEL)
{
	after_a_lookup(fork_and_ask);
}

struct ticking {
	struct soq_event *over;
	int64_t longest_ns;
};

/* The longest time without a turn. */
static void tick(void *arg)
{
	struct ticking *t = arg;
	int64_t last_ns = soq_now();

	while (!soq_event_is_set(t->over)) {
		int64_t now_ns;

		soq_yield();
		now_ns = soq_now();
		if (now_ns - last_ns > t->longest_ns)
			t->longest_ns = now_ns - last_ns;
		last_ns = now_ns;
	}
}

static void write_hosts(unsigned lines)
{
	char path[256];
	FILE *f;

	file_path(path, "hosts");
	f = fopen(path, "we");
	CHECK(f);
	for (unsigned i = 0; i < lines; i++)
		fprintf(f, "10.%u.%u.%u host%u.test alias%u\n", i >> 16, i >> 8 & 255, i & 255,
			i, i);
	CHECK_EQ(fclose(f), 0);
}

/* A hosts file of 100,000 lines is read while other fibers go on. */
CONTRACT_KERNEL(names_long_hosts_file, KERNEL)
{
	unsigned lines = test_scale(100000);
	struct ticking t = { 0 };
	struct soq_scope *scope;
	char endpoint[64], want[32];
	struct dns d;
	int64_t began_ns, took_ns;

	names_open(&d, zone);
	write_hosts(lines);
	t.over = event_new();
	scope = scope_open();
	CHECK_OK(soq_spawn(scope, tick, &t));
	CHECK_OK(soq_yield());
	snprintf(endpoint, sizeof(endpoint), "tcp://alias%u:80", lines - 1);
	snprintf(want, sizeof(want), "10.%u.%u.%u", (lines - 1) >> 16, (lines - 1) >> 8 & 255,
		(lines - 1) & 255);
	began_ns = soq_now();
	check_resolves(endpoint, want);
	took_ns = soq_now() - began_ns;
	soq_event_set(t.over);
	scope_join(scope);
	soq_event_free(t.over);
	/* How long a turn may be on a busy machine is not ours to say; that it is not the whole
	 * reading is. */
	ROW("read in %lld us, longest turn %lld us", (long long)took_ns / 1000,
		(long long)t.longest_ns / 1000);
	if (!test_is_emulated())
		CHECK(t.longest_ns < took_ns / 2);
	dns_close(&d);
}

/* Each address has a source of its own, whatever those before it had. */
CONTRACT_KERNEL(names_sources_of_addresses, "a simulated host has one address")
{
	static const char *const texts[] = { "127.0.0.1", PRIVATE_ADDRESS, "192.0.2.1",
		"127.0.0.1", PRIVATE_ADDRESS };
	enum { COUNT = sizeof(texts) / sizeof(texts[0]) };
	struct soq_addr to[COUNT + 1] = { 0 }, sources[COUNT + 1];
	struct soq__engine *e;

	private_net_enter();
	for (size_t i = 0; i < COUNT; i++) {
		to[i].len = sizeof(to[i].in);
		to[i].in.sin_family = AF_INET;
		CHECK_EQ(inet_pton(AF_INET, texts[i], &to[i].in.sin_addr), 1);
	}
	e = soq__worker()->engine;
	e->type->source_addrs(e, to, sources, COUNT + 1);
	for (size_t i = 0; i < COUNT; i++) {
		ROW("%s", texts[i]);
		CHECK_EQ(sources[i].len > 0, i != 2); /* no route leads there */
		if (i != 2)
			CHECK_EQ(sources[i].in.sin_addr.s_addr, to[i].in.sin_addr.s_addr);
	}
	CHECK_EQ(sources[COUNT].len, 0);
}

/* ---- servers ---- */

/* Servers in turn, over TCP, over IPv6: as the options say. */
CONTRACT_KERNEL(names_servers_in_turn, KERNEL)
{
	struct soq_records list;
	struct dns a, b;
	char name[32];

	machine_enter("nameserver 127.0.0.1\nnameserver " PRIVATE_ADDRESS "\noptions rotate\n",
		HOSTS);
	dns_open(&a, zone);
	dns_open_at(&b, zone, PRIVATE_ADDRESS);
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "n%d.test", i);
		CHECK_ERR(soq_query(&list, name, SOQ_RECORD_A), -SOQ_ENONAME);
	}
	CHECK_EQ(a.questions, 4);
	CHECK_EQ(b.questions, 4);
	dns_close(&b);
	dns_close(&a);
}

CONTRACT_KERNEL(names_over_tcp, KERNEL)
{
	struct dns d;

	machine_enter(RESOLV_CONF "options use-vc\n", HOSTS);
	dns_open(&d, zone);
	check_resolves("tcp://one.test:80", "10.0.0.7");
	CHECK_EQ(d.questions, 2);
	CHECK_EQ(d.over_tcp, 2);
	dns_close(&d);
}

CONTRACT_KERNEL(names_over_ipv6, KERNEL)
{
	struct dns d;

	machine_enter("nameserver ::1\n", HOSTS);
	if (!have_ipv6())
		SKIP("this machine has no IPv6");
	dns_open_at(&d, zone, "[::1]");
	check_resolves("tcp://one.test:80", "10.0.0.7");
	dns_close(&d);
}

/* A file that is not there is an empty one. */
CONTRACT_KERNEL(names_without_files, KERNEL)
{
	struct soq_addrs list;
	struct dns d;

	machine_enter("", "");
	dns_open(&d, zone); /* who says nothing means 127.0.0.1 */
	check_resolves("tcp://one.test:80", "10.0.0.7");
	CHECK_ERR(soq_resolve(&list, "tcp://filed:80"), -SOQ_ENONAME);
	dns_close(&d);
}

/* Another service may know what the DNS fails to tell, and its reason is told if it does not.
 * The system asks the DNS again on its way there: that is how it is seen here. */
CONTRACT_KERNEL(names_another_service_after_a_failure, KERNEL)
{
	static const struct said failing[] = { { .name = "failing.test", .manner = FAILS },
		{ 0 } };
	struct soq_addrs list;
	unsigned questions;
	struct dns d;

	machine_enter(RESOLV_CONF, HOSTS);
	dns_open(&d, failing);
	CHECK_ERR(soq_resolve(&list, "tcp://failing.test:80"), -SOQ_ENAMEFAIL);
	questions = d.questions;
	dns_close(&d);
	CHECK_OK(soq_thread_end()); /* files are read anew */
	machine_file("nsswitch.conf", "hosts: files dns wins\n");
	dns_open(&d, failing);
	CHECK_ERR(soq_resolve(&list, "tcp://failing.test:80"), -SOQ_ENAMEFAIL);
	CHECK(d.questions > questions);
	CHECK_ERR(soq_resolve(&list, "tcp://nobody.test:80"), -SOQ_ENONAME);
	dns_close(&d);
}

/* Nobody is there to be asked: said at once. */
CONTRACT_KERNEL(names_without_a_server, KERNEL)
{
	struct soq_addrs list;

	machine_enter(RESOLV_CONF, HOSTS);
	CHECK_ERR(soq_resolve(&list, "tcp://one.test:80"), -SOQ_ENAMEFAIL);
	check_resolves("tcp://filed:80", "10.9.9.9");
}

struct thread {
	pthread_t id;
	char list[64];
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct soq_addrs list;

	for (int i = 0; i < 20; i++) {
		CHECK_OK(soq_resolve(&list, "tcp://one.test:80"));
		CHECK_EQ(list.count, 1);
		CHECK_EQ(soq_addr_format(t->list, sizeof(t->list), &list.list[0]), 11);
		soq_addrs_done(&list);
	}
	return NULL;
}

static void join(void *arg)
{
	struct thread *t = arg;

	CHECK_EQ(pthread_join(t->id, NULL), 0);
}

/* Each worker has names of its own, which end with its thread. */
CONTRACT_KERNEL(names_in_threads, KERNEL)
{
	struct thread threads[4];
	struct dns d;

	machine_enter(RESOLV_CONF, HOSTS);
	dns_open(&d, zone);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&threads[i].id, NULL, thread_main, &threads[i]), 0);
	await_questions(&d, 8);
	for (int i = 0; i < 4; i++) {
		CHECK_OK(soq_offload(join, &threads[i]));
		CHECK_STR(threads[i].list, "10.0.0.7:80");
	}
	CHECK_EQ(d.questions, 8);
	dns_close(&d);
}
