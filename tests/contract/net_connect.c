/* net_connect.c - connecting: every address tried is named, deadlines hold, names are
 * looked up without blocking the others.
 */
#include "contract/net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/un.h>

/* A port that nobody listens on, and that nobody else gets meanwhile: on a machine that others
 * use as well, it is bound all the time. */
struct closed_port {
	int fds[2]; /* -1: none */
	unsigned port;
};

static int bind_to(const struct sockaddr *addr, socklen_t len)
{
	int fd = (int)CHECK_OK(socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0)), one = 1;

	if (addr->sa_family == AF_INET6)
		CHECK_OK(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
	if (bind(fd, addr, len) == 0)
		return fd;
	close(fd);
	return -1;
}

static void closed_port_bind(struct closed_port *p)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	socklen_t len = sizeof(in);
	bool with_ipv6 = have_ipv6();

	for (;;) {
		in.sin_port = 0;
		p->fds[0] = bind_to((struct sockaddr *)&in, sizeof(in));
		CHECK_OK(getsockname(p->fds[0], (struct sockaddr *)&in, &len));
		in6.sin6_port = in.sin_port;
		p->fds[1] = with_ipv6 ? bind_to((struct sockaddr *)&in6, sizeof(in6)) : -1;
		if (!with_ipv6 || p->fds[1] >= 0)
			break;
		close(p->fds[0]);
	}
	p->port = ntohs(in.sin_port);
}

static void closed_port_open(struct closed_port *p)
{
	struct soq_listener *l;
	struct soq_addr addr;

	if (!test_is_simulated()) {
		closed_port_bind(p);
		return;
	}
	CHECK_OK(soq_listen(&l, "tcp://:0", NULL));
	CHECK_OK(soq_listener_addr(l, &addr));
	soq_listener_close(l);
	*p = (struct closed_port){ { -1, -1 }, soq_addr_port(&addr) };
}

static void closed_port_close(struct closed_port *p)
{
	for (int i = 0; i < 2; i++)
		if (p->fds[i] >= 0)
			close(p->fds[i]);
}

CONTRACT(connect_refused_says_where)
{
	struct soq_stream *s = NULL;
	struct closed_port p;
	char text[64], want[256];

	closed_port_open(&p);
	snprintf(text, sizeof(text), "tcp://127.0.0.1:%u", p.port);
	snprintf(want, sizeof(want), "connect %s (127.0.0.1:%u): Connection refused", text,
		p.port);
	CHECK_ERR(soq_connect(&s, text), -ECONNREFUSED);
	CHECK_STR(soq_last_error(), want);
	CHECK(!s);
	if (have_ipv6()) {
		snprintf(text, sizeof(text), "[::1]:%u", p.port);
		snprintf(want, sizeof(want), "connect %s (%s): Connection refused", text, text);
		CHECK_ERR(soq_connect(&s, text), -ECONNREFUSED);
		CHECK_STR(soq_last_error(), want);
	}
	closed_port_close(&p);
}

/* Every address of a name is tried, and each is in the sentence with its own reason. */
CONTRACT_KERNEL(
	connect_names_every_address_tried, "it asks the machine's resolver what to expect")
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	struct soq_stream *s;
	struct closed_port p;
	char text[64], want[256], host[64];
	unsigned count = 0;

	closed_port_open(&p);
	CHECK_EQ(getaddrinfo("localhost", NULL, &hints, &found), 0);
	snprintf(text, sizeof(text), "tcp://localhost:%u", p.port);
	CHECK_ERR(soq_connect(&s, text), -ECONNREFUSED);
	for (struct addrinfo *ai = found; ai; ai = ai->ai_next) {
		CHECK_EQ(getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), NULL, 0,
				 NI_NUMERICHOST),
			0);
		snprintf(want, sizeof(want), "(%s%s%s:%u): Connection refused",
			strchr(host, ':') ? "[" : "", host, strchr(host, ':') ? "]" : "",
			p.port);
		CHECK(strstr(soq_last_error(), want));
		count++;
	}
	CHECK(count > 0);
	CHECK(strstr(soq_last_error(), text));
	freeaddrinfo(found);
	closed_port_close(&p);
}

/* This machine: IPv6 and IPv4. */
CONTRACT(connect_names_both_addresses_of_this_machine)
{
	struct soq_stream *s;
	struct closed_port p;
	char text[64], want[256];

	closed_port_open(&p);
	snprintf(text, sizeof(text), "tcp://:%u", p.port);
	CHECK(soq_connect(&s, text) < 0);
	snprintf(want, sizeof(want), "(127.0.0.1:%u): Connection refused", p.port);
	CHECK(strstr(soq_last_error(), want));
	CHECK(strstr(soq_last_error(), "([::1]:"));
	closed_port_close(&p);
}

/* Each for its own reason: one is refused, nobody answers at the other. */
SIM(connect_names_every_address_of_a_host)
{
	struct soq_sim_host *other;
	struct soq_stream *s;
	int64_t outer;

	CHECK_OK(soq_yield()); /* the world is there */
	CHECK_OK(soq_sim_host_new(
		&other, soq_sim_of(soq_sim_here()), "other", "10.7.0.1 10.7.0.2 fd07::1"));
	CHECK_ERR(soq_connect(&s, "tcp://other:9"), -ECONNREFUSED);
	CHECK(strstr(soq_last_error(), "connect tcp://other:9"));
	CHECK(strstr(soq_last_error(), "(10.7.0.1:9): Connection refused"));
	CHECK(strstr(soq_last_error(), "(10.7.0.2:9): Connection refused"));
	CHECK(strstr(soq_last_error(), "([fd07::1]:9): Connection refused"));
	CHECK_OK(soq_sim_partition(soq_sim_here(), other));
	outer = soq_deadline(soq_now() + 10 * SOQ_S);
	CHECK_ERR(soq_connect(&s, "tcp://other:9"), -ETIMEDOUT);
	soq_deadline_restore(outer);
}

/* The second address serves where the first does not. */
CONTRACT(connect_tries_the_next_address)
{
	struct soq_stream *client, *s;
	struct soq_listener *l;
	struct soq_addr addr;
	char text[64];

	CHECK_OK(soq_listen(&l, "tcp://127.0.0.1:0", NULL));
	CHECK_OK(soq_listener_addr(l, &addr));
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "tcp://%s:%u", i ? "localhost" : "",
			soq_addr_port(&addr));
		CHECK_OK(soq_connect(&client, text));
		CHECK_OK(soq_accept(&s, l));
		soq_close(client);
		soq_close(s);
	}
	soq_listener_close(l);
}

struct error_row {
	const char *text;
	int rc;
};

static void check_errors(const struct error_row *rows, size_t count)
{
	struct soq_stream *s = NULL;

	for (size_t i = 0; i < count; i++) {
		int rc;

		ROW("%s", rows[i].text);
		rc = soq_connect(&s, rows[i].text);
		if (rows[i].rc == -SOQ_EENDPOINT)
			CHECK(rc == -SOQ_EENDPOINT || rc == -SOQ_ENOPORT);
		else if (rows[i].rc == -ENETUNREACH)
			CHECK(rc == -ENETUNREACH || rc == -EACCES);
		else
			CHECK_ERR(rc, rows[i].rc);
		CHECK(!s);
		CHECK(strstr(soq_last_error(), rows[i].text));
	}
}

CONTRACT(connect_errors_are_explained)
{
	static const struct error_row rows[] = {
		{ "unix:///no/such/path", -ENOENT },
		{ "unix://@soquete-nobody-has-this", -ECONNREFUSED },
		{ "udp://127.0.0.1:9", -EPROTOTYPE },
		{ "unixgram://@x", -EPROTOTYPE },
		{ "nothing", -SOQ_EENDPOINT },
		{ "tcp://127.0.0.1:no-such-service", -SOQ_ENOPORT },
		{ "tcp://255.255.255.255:9", -ENETUNREACH },
	};

	check_errors(rows, sizeof(rows) / sizeof(rows[0]));
}

CONTRACT_KERNEL(connect_errors_of_files_are_explained, "files are the kernel's")
{
	static const struct error_row rows[] = {
		{ "unix:///dev/null", -ECONNREFUSED },
		{ "fd://65000", -EBADF },
		{ "fd://0", -ENOTSOCK },
	};

	check_errors(rows, sizeof(rows) / sizeof(rows[0]));
}

/* A descriptor of the kernel has no place in a simulated host. */
SIM(connect_refuses_descriptors_of_the_kernel)
{
	static const struct error_row rows[] = {
		{ "fd://0", -SOQ_ESIMULATED },
		{ "fd://65000", -SOQ_ESIMULATED },
	};

	check_errors(rows, sizeof(rows) / sizeof(rows[0]));
}

/* ---- full backlogs ---- */

struct connecting {
	const char *text;
	int rc;
	struct soq_stream *stream;
};

static void connect_main(void *arg)
{
	struct connecting *c = arg;

	c->rc = soq_connect(&c->stream, c->text);
}

#define CLIENTS 6 /* more than there is room for, whichever way a kernel counts */

/* A listener whose backlog is full: whoever comes now must wait. */
struct full {
	struct soq_listener *listener;
	struct soq_scope *scope; /* of those who came before */
	struct connecting clients[CLIENTS];
	char text[SOQ_ENDPOINT_TEXT_MAX];
};

static void full_open(struct full *f, enum link_kind kind)
{
	struct soq_listen_options opt = { .backlog = 1 };

	ROW("%s", link_names[kind]);
	CHECK_OK(soq_listen(&f->listener, link_endpoint(kind), &opt));
	listener_endpoint(f->text, f->listener);
	f->scope = scope_open();
	for (int i = 0; i < CLIENTS; i++) {
		f->clients[i] = (struct connecting){ .text = f->text };
		CHECK_OK(soq_spawn(f->scope, connect_main, &f->clients[i]));
		/* So many rounds are time enough for a handshake within a host. */
		for (int n = 0; n < 200 && !f->clients[i].stream; n++)
			CHECK_OK(soq_yield());
	}
	CHECK(f->clients[0].stream);
	CHECK(soq_scope_count(f->scope) > 0);
}

static void full_close(struct full *f)
{
	soq_listener_close(f->listener);
	soq_scope_close(f->scope);
	for (int i = 0; i < CLIENTS; i++)
		soq_close(f->clients[i].stream);
}

static const enum link_kind full_kinds[] = { TCP4, UNIX_PATH };

CONTRACT(connect_deadline_at_a_full_backlog)
{
	struct soq_stream *s = NULL;
	struct full f;
	int64_t outer;

	for (int i = 0; i < 2; i++) {
		full_open(&f, full_kinds[i]);
		outer = soq_deadline(soq_now() + 20 * SOQ_MS);
		CHECK_ERR(soq_connect(&s, f.text), -ETIMEDOUT);
		CHECK_ERR(soq_connect(&s, f.text), -ETIMEDOUT); /* it is over already */
		soq_deadline_restore(outer);
		CHECK(!s);
		CHECK(strstr(soq_last_error(), f.text));
		CHECK(strstr(soq_last_error(), "timed out"));
		full_close(&f);
	}
}

SIM(connect_ends_at_its_deadline)
{
	struct soq_stream *s = NULL;
	struct full f;
	int64_t outer, at_ns;

	for (int i = 0; i < 2; i++) {
		full_open(&f, full_kinds[i]);
		at_ns = soq_now() + 20 * SOQ_MS;
		outer = soq_deadline(at_ns);
		CHECK_ERR(soq_connect(&s, f.text), -ETIMEDOUT);
		CHECK_EQ(untimely_ns(at_ns, 1), 0);
		soq_deadline_restore(outer);
		full_close(&f);
	}
}

CONTRACT(connect_cancelled)
{
	struct full f;

	for (int i = 0; i < 2; i++) {
		struct soq_scope *scope = scope_open();
		struct connecting c = { .text = f.text };

		full_open(&f, full_kinds[i]);
		for (int n = 0; n < 4; n++) { /* cancelled after so many rounds */
			CHECK_OK(soq_spawn(scope, connect_main, &c));
			for (int k = 0; k < n; k++)
				CHECK_OK(soq_yield());
			soq_scope_close(scope);
			CHECK_ERR(c.rc, -ECANCELED);
			CHECK(!c.stream);
			scope = scope_open();
		}
		soq_scope_close(scope);
		full_close(&f);
	}
}

/* When the listener takes a client, the one that waited gets in. */
CONTRACT(connect_waits_for_room)
{
	struct soq_stream *s;
	struct full f;

	full_open(&f, UNIX_PATH);
	for (int i = 0; i < CLIENTS; i++) {
		CHECK_OK(soq_accept(&s, f.listener));
		soq_close(s);
	}
	CHECK_OK(soq_scope_wait(f.scope));
	for (int i = 0; i < CLIENTS; i++)
		CHECK_OK(f.clients[i].rc);
	full_close(&f);
}

/* ---- names ---- */

/* A name that does not exist is said so, or the resolver is not there to say it. */
CONTRACT_KERNEL(name_unknown, "it asks the machine's resolver")
{
	struct soq_stream *s = NULL;
	int64_t outer = soq_deadline(soq_now() + 3 * SOQ_S);
	int rc = soq_connect(&s, "tcp://nonexistent.invalid:80");

	soq_deadline_restore(outer);
	TEST_MAY_KEEP_FDS(); /* the resolver's, if it is still waiting */
	CHECK(rc == -SOQ_ENONAME || rc == -SOQ_ENAMEWAIT || rc == -SOQ_ENAMEFAIL ||
		rc == -ETIMEDOUT);
	CHECK(!s);
	CHECK(strstr(soq_last_error(), "nonexistent.invalid"));
}

SIM(name_of_no_host)
{
	struct soq_stream *s = NULL;

	CHECK_ERR(soq_connect(&s, "tcp://nonexistent.invalid:80"), -SOQ_ENONAME);
	CHECK(!s);
	CHECK(strstr(soq_last_error(), "nonexistent.invalid"));
}

static void look_up(void *arg)
{
	struct connecting *c = arg;
	int64_t outer = soq_deadline(soq_now());

	connect_main(arg);
	CHECK_ERR(c->rc, -ETIMEDOUT);
	soq_deadline_restore(outer);
	connect_main(arg);
}

/* Lookups given up, by a deadline or a cancellation, are not waited for, and leave nothing
 * behind: the sanitizers would tell. */
CONTRACT(name_lookup_given_up)
{
	enum { LOOKUPS = 20 };
	struct soq_scope *scope = scope_open();
	struct connecting jobs[LOOKUPS];
	struct closed_port p;
	char text[64];

	TEST_MAY_KEEP_FDS();
	closed_port_open(&p);
	snprintf(text, sizeof(text), "tcp://localhost:%u", p.port);
	for (int i = 0; i < LOOKUPS; i++) {
		jobs[i] = (struct connecting){ .text = text };
		CHECK_OK(soq_spawn(scope, look_up, &jobs[i]));
	}
	CHECK_OK(soq_yield());
	soq_scope_close(scope);
	for (int i = 0; i < LOOKUPS; i++)
		CHECK(jobs[i].rc == -ECANCELED || jobs[i].rc == -ECONNREFUSED);
	closed_port_close(&p);
}

/* A deadline within the lookup, over and over, at every stage of it. */
CONTRACT(name_lookup_deadline_sweep)
{
	struct soq_stream *s;
	struct closed_port p;
	char text[64];

	TEST_MAY_KEEP_FDS();
	closed_port_open(&p);
	snprintf(text, sizeof(text), "tcp://localhost:%u", p.port);
	for (int64_t wait_ns = 0; wait_ns < 400 * SOQ_US; wait_ns += 2 * SOQ_US) {
		int64_t outer = soq_deadline(soq_now() + wait_ns);
		int rc = soq_connect(&s, text);

		soq_deadline_restore(outer);
		CHECK(rc == -ETIMEDOUT || rc == -ECONNREFUSED);
	}
	closed_port_close(&p);
}

CONTRACT(name_of_a_service)
{
	struct soq_addr addr;
	struct soq_stream *s = NULL;

	CHECK_EQ(soq_standard_port("http"), 80);
	CHECK_EQ(soq_standard_port("no-such-service"), 0);
	CHECK_OK(soq_dgram_resolve(&addr, "udp://127.0.0.1:domain"));
	CHECK_EQ(soq_addr_port(&addr), 53);
	CHECK_OK(soq_dgram_resolve(&addr, "udp://[::1]:echo"));
	CHECK_EQ(soq_addr_port(&addr), 7);
	if (soq_connect(&s, "tcp://127.0.0.1:http") < 0) /* somebody may listen there */
		CHECK(strstr(soq_last_error(), "(127.0.0.1:80)"));
	soq_close(s);
}

/* One that is not in the table of the standard ones, but in services(5). */
CONTRACT(name_of_a_local_service)
{
	struct servent *known = getservbyname("postgresql", "tcp");
	struct soq_addr addr;

	if (!known)
		SKIP("/etc/services (package netbase) does not have postgresql");
	CHECK_OK(soq_dgram_resolve(&addr, "udp://127.0.0.1:syslog"));
	CHECK_EQ(soq_addr_port(&addr), 514);
}
