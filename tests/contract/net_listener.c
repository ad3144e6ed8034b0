/* net_listener.c - listening: ports, permissions, paths that are stale, live or fought for. */
#include "contract/net.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

CONTRACT(listen_port_zero_is_a_port_of_ones_own)
{
	struct soq_listener *a, *b;
	struct soq_addr addr_a, addr_b;

	CHECK_OK(soq_listen(&a, "tcp://127.0.0.1:0", NULL));
	CHECK_OK(soq_listen(&b, "127.0.0.1:0", NULL)); /* TCP without a scheme */
	CHECK_OK(soq_listener_addr(a, &addr_a));
	CHECK_OK(soq_listener_addr(b, &addr_b));
	CHECK(soq_addr_port(&addr_a) > 0 && soq_addr_port(&addr_b) > 0);
	CHECK(soq_addr_port(&addr_a) != soq_addr_port(&addr_b));
	soq_listener_close(a);
	soq_listener_close(b);
	soq_listener_close(NULL);
}

CONTRACT_KERNEL(listener_closes_on_exec, "a simulated descriptor has no such flag")
{
	struct soq_listener *l;

	CHECK_OK(soq_listen(&l, "tcp://127.0.0.1:0", NULL));
	CHECK(fcntl(soq_listener_fd(l), F_GETFD) & FD_CLOEXEC);
	soq_listener_close(l);
}

CONTRACT(listen_every_address)
{
	struct soq_stream *client, *s;
	struct soq_listener *l;
	struct soq_addr addr;
	char text[64];

	CHECK_OK(soq_listen(&l, "tcp://:0", NULL));
	CHECK_OK(soq_listener_addr(l, &addr));
	for (int i = 0; i < 3; i++) {
		static const char *const hosts[] = { "127.0.0.1", "127.0.0.2", "[::1]" };

		if (i == 2 && !have_ipv6())
			break;
		snprintf(text, sizeof(text), "tcp://%s:%u", hosts[i], soq_addr_port(&addr));
		CHECK_OK(soq_connect(&client, text));
		CHECK_OK(soq_accept(&s, l));
		soq_close(client);
		soq_close(s);
	}
	soq_listener_close(l);
}

CONTRACT(listen_ipv6_only)
{
	struct soq_listen_options opt = { .ipv6_only = true };
	struct soq_stream *client;
	struct soq_listener *l;
	struct soq_addr addr;
	char text[64];

	if (!have_ipv6())
		SKIP("this machine has no IPv6");
	CHECK_OK(soq_listen(&l, "tcp://:0", &opt));
	CHECK_OK(soq_listener_addr(l, &addr));
	snprintf(text, sizeof(text), "tcp://127.0.0.1:%u", soq_addr_port(&addr));
	CHECK_ERR(soq_connect(&client, text), -ECONNREFUSED);
	soq_listener_close(l);
}

CONTRACT(listen_refuses_a_port_in_use)
{
	struct soq_listener *l, *other = NULL;
	char text[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_addr addr;

	for (enum link_kind kind = TCP4; kind <= UNIX_ABSTRACT; kind++) {
		CHECK_OK(soq_listen(&l, link_endpoint(kind), NULL));
		ROW("%s", link_names[kind]);
		CHECK_OK(soq_listener_addr(l, &addr));
		soq_addr_endpoint(text, sizeof(text),
			link_is_tcp(kind) ? SOQ_SCHEME_TCP : SOQ_SCHEME_UNIX, &addr);
		CHECK_ERR(soq_listen(&other, text, NULL), -EADDRINUSE);
		CHECK(!other);
		CHECK(strstr(soq_last_error(), text));
		CHECK(strstr(soq_last_error(), soq_strerror(-EADDRINUSE)));
		CHECK(strstr(soq_last_error(), "choose another"));
		soq_listener_close(l);
		CHECK_OK(soq_listen(&l, text, NULL)); /* and it is free again at once */
		soq_listener_close(l);
	}
}

CONTRACT(listen_shares_a_port_when_asked)
{
	struct soq_listen_options opt = { .share_port = true };
	struct soq_listener *a, *b, *c;
	char text[SOQ_ENDPOINT_TEXT_MAX];

	CHECK_OK(soq_listen(&a, "tcp://127.0.0.1:0", &opt));
	listener_endpoint(text, a);
	CHECK_OK(soq_listen(&b, text, &opt));
	CHECK_ERR(soq_listen(&c, text, NULL), -EADDRINUSE);
	soq_listener_close(a);
	soq_listener_close(b);
}

CONTRACT_KERNEL(listen_low_port_needs_a_privilege, "a simulated host knows no privileges")
{
	struct soq_listener *l;
	int first = 1024, status;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
	pid_t pid;

	if (f && fscanf(f, "%d", &first) != 1)
		first = 1024;
	if (f)
		fclose(f);
	if (first <= 99)
		SKIP("net.ipv4.ip_unprivileged_port_start is %d here", first);
	pid = fork();
	if (pid == 0) {
		if (getuid() == 0)
			CHECK_OK(setuid(65534));
		CHECK_ERR(soq_listen(&l, "tcp://127.0.0.1:99", NULL), -EACCES);
		CHECK(strstr(soq_last_error(), "tcp://127.0.0.1:99"));
		CHECK(strstr(soq_last_error(), "below 1024"));
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

struct error_row {
	const char *text;
	int rc;
};

static void check_errors(const struct error_row *rows, size_t count)
{
	struct soq_listener *l = NULL;

	for (size_t i = 0; i < count; i++) {
		int rc;

		ROW("%s", rows[i].text);
		rc = soq_listen(&l, rows[i].text, NULL);
		/* Which word fits a bad port is the parser's business. */
		if (rows[i].rc == -SOQ_EENDPOINT)
			CHECK(rc == -SOQ_EENDPOINT || rc == -SOQ_ENOPORT);
		else
			CHECK_ERR(rc, rows[i].rc);
		CHECK(!l);
		CHECK(strlen(soq_last_error()) > 10);
		CHECK(strstr(soq_last_error(), rows[i].text));
	}
}

CONTRACT(listen_bad_endpoints_are_explained)
{
	static const struct error_row rows[] = {
		{ "", -SOQ_EENDPOINT },
		{ "tcp://", -SOQ_EENDPOINT },
		{ "tcp://127.0.0.1", -SOQ_EENDPOINT },
		{ "tcp://127.0.0.1:", -SOQ_EENDPOINT },
		{ "tcp://127.0.0.1:65536", -SOQ_EENDPOINT },
		{ "tcp://127.0.0.1:-1", -SOQ_EENDPOINT },
		{ "tcp://[::1:80", -SOQ_EENDPOINT },
		{ "tcp://::1:80", -SOQ_EENDPOINT },
		{ "gopher://127.0.0.1:70", -SOQ_EENDPOINT },
		{ "unix://", -SOQ_EENDPOINT },
		{ "fd://x", -SOQ_EENDPOINT },
		{ "udp://127.0.0.1:0", -EPROTOTYPE },
		{ "unixgram:///tmp/x", -EPROTOTYPE },
		{ "tls://127.0.0.1:0", -EINVAL }, /* without a certificate */
		{ "tcp://192.0.2.1:0", -EADDRNOTAVAIL },
		{ "tcp://127.0.0.1:no-such-service", -SOQ_ENOPORT },
	};

	check_errors(rows, sizeof(rows) / sizeof(rows[0]));
}

CONTRACT_KERNEL(listen_bad_files_are_explained, "files are the kernel's")
{
	static const struct error_row rows[] = {
		{ "unix:///no/such/folder/socket", -ENOENT },
		{ "fd://65000", -EBADF },
		{ "fd://0", -ENOTSOCK },
	};

	check_errors(rows, sizeof(rows) / sizeof(rows[0]));
}

SIM(listen_refuses_descriptors_of_the_kernel)
{
	static const struct error_row rows[] = {
		{ "fd://0", -SOQ_ESIMULATED },
		{ "fd://65000", -SOQ_ESIMULATED },
	};

	check_errors(rows, sizeof(rows) / sizeof(rows[0]));
}

CONTRACT_KERNEL(listen_on_an_inherited_socket, "what is inherited is the kernel's")
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), peer;
	struct soq_listener *l;
	struct soq_stream *s;
	char text[32];

	CHECK_OK(bind(fd, (struct sockaddr *)&in, sizeof(in)));
	CHECK_OK(listen(fd, 5));
	snprintf(text, sizeof(text), "fd://%d", fd);
	CHECK_OK(soq_listen(&l, text, NULL));
	soq_set_accept_timeout(l, SOQ_MS);
	CHECK_ERR(soq_accept(&s, l), -ETIMEDOUT);
	soq_set_accept_timeout(l, SOQ_NEVER);
	peer = raw_connect(l);
	CHECK_OK(soq_accept(&s, l));
	close(peer);
	soq_close(s);
	soq_listener_close(l);
}

/* ---- accepting ---- */

static void accept_late(void *arg)
{
	struct soq_stream *s;

	CHECK_ERR(soq_accept(&s, arg), -ECANCELED);
}

CONTRACT(accept_timeout_busy_and_cancelled)
{
	struct soq_scope *scope;
	struct soq_stream *s = NULL, *client;
	struct soq_listener *l;
	int64_t outer;
	int rc;

	for (enum link_kind kind = TCP4; kind <= UNIX_ABSTRACT; kind++) {
		CHECK_OK(soq_listen(&l, link_endpoint(kind), NULL));
		ROW("%s", link_names[kind]);
		for (int64_t timeout_ns = 0; timeout_ns <= 2 * SOQ_MS; timeout_ns += SOQ_MS) {
			soq_set_accept_timeout(l, timeout_ns);
			CHECK_ERR(soq_accept(&s, l), -ETIMEDOUT);
		}
		soq_set_accept_timeout(l, SOQ_NEVER);
		outer = soq_deadline(soq_now() + SOQ_MS);
		CHECK_ERR(soq_accept(&s, l), -ETIMEDOUT);
		soq_deadline_restore(outer);
		scope = scope_open();
		go(scope, accept_late, l);
		CHECK_ERR(soq_accept(&s, l), -EBUSY);
		soq_scope_close(scope);
		CHECK(!s);
		soq_set_accept_timeout(l, 0); /* a client that waits already is there */
		client = client_new(l);
		while ((rc = soq_accept(&s, l)) == -ETIMEDOUT) /* it may be on its way */
			CHECK_OK(soq_yield());
		CHECK_OK(rc);
		soq_close(s);
		s = NULL;
		soq_close(client);
		soq_listener_close(l);
	}
}

SIM(accept_timeout_is_punctual)
{
	struct soq_listener *l;
	struct soq_stream *s;
	int64_t began, outer;

	for (enum link_kind kind = TCP4; kind <= UNIX_ABSTRACT; kind++) {
		CHECK_OK(soq_listen(&l, link_endpoint(kind), NULL));
		ROW("%s", link_names[kind]);
		soq_set_accept_timeout(l, 5 * SOQ_MS);
		began = soq_now();
		CHECK_ERR(soq_accept(&s, l), -ETIMEDOUT);
		CHECK_EQ(untimely_ns(began + 5 * SOQ_MS, 1), 0);
		outer = soq_deadline(began + 6 * SOQ_MS);
		CHECK_ERR(soq_accept(&s, l), -ETIMEDOUT);
		CHECK_EQ(untimely_ns(began + 6 * SOQ_MS, 1), 0);
		soq_deadline_restore(outer);
		soq_listener_close(l);
	}
}

/* Who is accepted, and in the order of coming. */
CONTRACT(accept_in_order)
{
	enum { CLIENTS = 50 };
	struct soq_stream *clients[CLIENTS], *s;
	struct soq_listener *l;
	int got;

	CHECK_OK(soq_listen(&l, "tcp://127.0.0.1:0", NULL));
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = client_new(l);
		CHECK_EQ(soq_send(clients[i], &i, sizeof(i)), sizeof(i));
	}
	for (int i = 0; i < CLIENTS; i++) {
		CHECK_OK(soq_accept(&s, l));
		CHECK_EQ(soq_recv_full(s, &got, sizeof(got)), sizeof(got));
		CHECK_EQ(got, i);
		soq_close(s);
		soq_close(clients[i]);
	}
	soq_listener_close(l);
}

/* A client that is gone before it is accepted harms nobody. */
CONTRACT(accept_after_a_client_went_away)
{
	struct soq_listener *l;
	struct soq_stream *client, *s;
	char byte;

	CHECK_OK(soq_listen(&l, "tcp://127.0.0.1:0", NULL));
	stream_reset(client_new(l));
	client = client_new(l);
	CHECK_EQ(soq_send(client, "x", 1), 1);
	CHECK_OK(soq_accept(&s, l));
	if (soq_recv(s, &byte, 1) == -ECONNRESET) { /* Linux hands it out all the same */
		soq_close(s);
		CHECK_OK(soq_accept(&s, l));
		CHECK_EQ(soq_recv(s, &byte, 1), 1);
	}
	soq_close(s);
	soq_close(client);
	soq_listener_close(l);
}

/* ---- paths ---- */

#define FILES "a simulated path is no file"

static struct sockaddr_un path_of(const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", test_dir(), name);
	return un;
}

/* A socket's path whose owner is gone. */
static void leave_stale(const char *name)
{
	struct sockaddr_un un = path_of(name);
	int fd = (int)CHECK_OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	CHECK_OK(bind(fd, (struct sockaddr *)&un, sizeof(un)));
	CHECK_OK(listen(fd, 1));
	close(fd);
}

static bool exists(const char *name)
{
	struct sockaddr_un un = path_of(name);

	return access(un.sun_path, F_OK) == 0;
}

static const char *endpoint_of(const char *name)
{
	static char text[200];

	snprintf(text, sizeof(text), "unix://%s/%s", test_dir(), name);
	return text;
}

CONTRACT_KERNEL(listen_takes_a_stale_path_over, FILES)
{
	struct soq_stream *client, *s;
	struct soq_listener *l;

	leave_stale("stale");
	CHECK_ERR(soq_connect(&client, endpoint_of("stale")), -ECONNREFUSED);
	CHECK_OK(soq_listen(&l, endpoint_of("stale"), NULL));
	CHECK_OK(soq_connect(&client, endpoint_of("stale")));
	CHECK_OK(soq_accept(&s, l));
	soq_close(client);
	soq_close(s);
	CHECK(!exists("stale.lock"));
	soq_listener_close(l);
	CHECK(!exists("stale"));
}

struct lives {
	int begun, ended;
};

/* A program that listens at a path, and whose first life ends in a crash of its host. */
static int sim_listen_at_a_path(void *arg)
{
	struct lives *lives = arg;
	struct soq_stream *client, *s;
	struct soq_listener *l;
	int refusal = ++lives->begun == 1 ? -ENOENT : -ECONNREFUSED;

	CHECK_ERR(soq_connect(&client, "unix:///run/it"), refusal);
	CHECK_OK(soq_listen(&l, "unix:///run/it", NULL));
	CHECK_OK(soq_connect(&client, "unix:///run/it"));
	CHECK_OK(soq_accept(&s, l));
	if (lives->begun == 1)
		soq_sim_crash(soq_sim_here());
	soq_close(client);
	soq_close(s);
	soq_listener_close(l);
	CHECK_ERR(soq_connect(&client, "unix:///run/it"), -ENOENT);
	lives->ended++;
	return 0;
}

/* What a crash has left behind is taken over, what was closed is gone. */
SIM(listen_takes_the_path_of_a_crashed_host_over)
{
	struct lives lives = { 0, 0 };
	struct soq_sim_host *host;

	CHECK_OK(soq_yield()); /* the world is there */
	CHECK_OK(soq_sim_host_new(&host, soq_sim_of(soq_sim_here()), "other", NULL));
	CHECK_OK(soq_sim_spawn(host, sim_listen_at_a_path, &lives));
	CHECK_OK(soq_sleep(SOQ_S));
	CHECK_EQ(lives.begun, 1);
	CHECK_OK(soq_sim_restart(host));
	CHECK_OK(soq_sleep(SOQ_S));
	CHECK(lives.begun == 2 && lives.ended == 1);
}

CONTRACT_KERNEL(listen_spares_a_live_path, FILES)
{
	struct soq_stream *client, *s;
	struct soq_listener *l, *other;

	CHECK_OK(soq_listen(&l, endpoint_of("live"), NULL));
	for (int i = 0; i < 3; i++)
		CHECK_ERR(soq_listen(&other, endpoint_of("live"), NULL), -EADDRINUSE);
	CHECK(exists("live") && !exists("live.lock"));
	/* Asking whether it lives was a client; it must not be in the way of a real one. */
	CHECK_OK(soq_connect(&client, endpoint_of("live")));
	CHECK_EQ(soq_send(client, "x", 1), 1);
	for (char byte = 0; byte != 'x';) {
		CHECK_OK(soq_accept(&s, l));
		if (soq_recv(s, &byte, 1) <= 0)
			byte = 0;
		soq_close(s);
	}
	soq_close(client);
	soq_listener_close(l);
}

CONTRACT_KERNEL(listen_spares_what_is_no_socket, FILES)
{
	struct sockaddr_un un = path_of("file");
	int fd = (int)CHECK_OK(open(un.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	struct soq_listener *l;
	struct stat st;

	CHECK_EQ(write(fd, "precious", 8), 8);
	CHECK_ERR(soq_listen(&l, endpoint_of("file"), NULL), -EADDRINUSE);
	CHECK_OK(stat(un.sun_path, &st));
	CHECK_EQ(st.st_size, 8);
	close(fd);
	/* Nor is a symbolic link followed or replaced. */
	CHECK_OK(symlink("/nowhere", path_of("link").sun_path));
	CHECK_ERR(soq_listen(&l, endpoint_of("link"), NULL), -EADDRINUSE);
	CHECK_OK(lstat(path_of("link").sun_path, &st));
	CHECK(S_ISLNK(st.st_mode));
}

CONTRACT_KERNEL(listen_path_is_removed_unless_replaced, FILES)
{
	struct soq_listener *l, *next;
	struct soq_stream *client;

	CHECK_OK(soq_listen(&l, endpoint_of("path"), NULL));
	CHECK(exists("path"));
	CHECK_OK(unlink(path_of("path").sun_path));
	CHECK_OK(soq_listen(&next, endpoint_of("path"), NULL));
	soq_listener_close(l); /* whose path it no longer is */
	CHECK(exists("path"));
	CHECK_OK(soq_connect(&client, endpoint_of("path")));
	soq_close(client);
	soq_listener_close(next);
	CHECK(!exists("path"));
}

CONTRACT_KERNEL(listen_unix_mode, FILES)
{
	static const unsigned modes[] = { 0600, 0666, 0660, 0777 };
	struct soq_listener *l;
	struct stat st;
	mode_t mask = umask(077);

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct soq_listen_options opt = { .unix_mode = modes[i] };

		ROW("%o", modes[i]);
		CHECK_OK(soq_listen(&l, endpoint_of("mode"), &opt));
		CHECK_OK(stat(path_of("mode").sun_path, &st));
		CHECK_EQ(st.st_mode & 0777, modes[i]);
		soq_listener_close(l);
	}
	CHECK_OK(soq_listen(&l, endpoint_of("mode"), NULL));
	CHECK_OK(stat(path_of("mode").sun_path, &st));
	CHECK_EQ(st.st_mode & 0777, 0700); /* as umask left it */
	soq_listener_close(l);
	umask(mask);
}

#define STARTERS 8

/* Report whether we got the path, and keep it until told to end. */
_Noreturn static void starter(int go_fd, int report_fd, int end_fd)
{
	struct soq_listener *l;
	char byte, got = 'y';
	int rc;

	soq_now(); /* the engine is there before the race begins */
	CHECK_EQ(read(go_fd, &byte, 1), 0);
	rc = soq_listen(&l, endpoint_of("race"), NULL);
	if (rc < 0) {
		CHECK_ERR(rc, -EADDRINUSE);
		got = 'n';
	}
	CHECK_EQ(write(report_fd, &got, 1), 1);
	CHECK_EQ(read(end_fd, &byte, 1), 0);
	_exit(0);
}

static void race(void)
{
	int go_fds[2], reports[2], end[2], winners = 0;
	struct sockaddr_un un = path_of("race");
	char got;
	int fd;

	CHECK_OK(pipe2(go_fds, O_CLOEXEC));
	CHECK_OK(pipe2(reports, O_CLOEXEC));
	CHECK_OK(pipe2(end, O_CLOEXEC));
	for (int i = 0; i < STARTERS; i++) {
		if (fork() > 0)
			continue;
		close(go_fds[1]);
		close(end[1]);
		starter(go_fds[0], reports[1], end[0]);
	}
	close(go_fds[1]);
	for (int i = 0; i < STARTERS; i++) {
		CHECK_EQ(read(reports[0], &got, 1), 1);
		winners += got == 'y';
	}
	CHECK_EQ(winners, 1);
	fd = (int)CHECK_OK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	CHECK_OK(connect(fd, (struct sockaddr *)&un, sizeof(un))); /* the winner has the path */
	close(fd);
	CHECK(!exists("race.lock"));
	close(go_fds[0]);
	close(reports[0]);
	close(reports[1]);
	close(end[0]);
	close(end[1]);
	while (wait(NULL) > 0)
		;
}

/* Many start at once on one path, new or stale: exactly one gets it. */
CONTRACT_KERNEL(listen_race_for_a_path, FILES)
{
	for (unsigned i = 0; i < test_scale(40); i++) {
		ROW("round %u", i); /* the first on a new path, the others on a stale one */
		if (i % 4 == 0)
			unlink(path_of("race").sun_path);
		race();
	}
}
