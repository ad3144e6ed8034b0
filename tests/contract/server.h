/* server.h - a server in a process of its own, so that its descriptors, memory and time can
 * be looked at from outside, and so that no child of the process shape holds a copy of a
 * client's socket.
 *
 * The server's process tells its endpoints, and then every line of its log, through a
 * socket. SIGTERM stops it; its exit status is what soq_server_run() returned, negated.
 */
#ifndef CONTRACT_SERVER_H
#define CONTRACT_SERVER_H

#include "contract/net.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define SITES_MAX 4

struct site {
	const char *endpoint;
	soq_handler *handler;
	soq_dgram_handler *dgram;
	void *arg;
};

/* What a server is to be. */
struct plan {
	struct site sites[SITES_MAX];
	struct soq_server_options opt;
	rlim_t descriptors;  /* 0: as they are */
	bool cancel;	     /* the fiber that runs it, when a handler has begun */
	int64_t deadline_ns; /* of the fiber that runs it, from then on; 0: none */
};

struct remote {
	pid_t pid;
	FILE *log;
	char endpoints[SITES_MAX][SOQ_ENDPOINT_TEXT_MAX];
	struct soq_addr addrs[SITES_MAX];
};

/* What handlers count, in memory that all processes share. */
struct counters {
	atomic_uint began, ended, cancelled, failed, draining, gate;
	atomic_uint seen[16];
	atomic_long value;
};

static struct counters *counters;

static inline void counters_open(void)
{
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(counters != MAP_FAILED);
}

static inline enum soq_shape the_shape(void)
{
	static const enum soq_shape shapes[] = {
		[TEST_ITERATIVE] = SOQ_SHAPE_ITERATIVE,
		[TEST_PROCESS] = SOQ_SHAPE_PROCESS,
		[TEST_THREAD] = SOQ_SHAPE_THREAD,
		[TEST_FIBER] = SOQ_SHAPE_FIBER,
	};

	return shapes[test_shape()];
}

/* Wait for something that another process or thread will bring about. The harness ends
 * the case if it never comes. */
#define EVENTUALLY(condition)                              \
	do {                                               \
		while (!(condition))                       \
			CHECK_OK(soq_sleep(500 * SOQ_US)); \
	} while (0)

/* ---- in the server's process ---- */

static inline void server__log(void *arg, const char *line)
{
	char text[600];
	int len = snprintf(text, sizeof(text), "%s\n", line);

	/* Nobody may be reading: a full socket is no reason to wait. */
	send(*(int *)arg, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static inline struct soq_server *server__new(const struct plan *plan, int report_fd)
{
	struct soq_server *server;
	struct soq_addr addr;
	enum soq_scheme scheme;
	char text[SOQ_ENDPOINT_TEXT_MAX];

	CHECK_OK(soq_server_new(&server, &plan->opt));
	for (size_t i = 0; i < SITES_MAX && plan->sites[i].endpoint; i++) {
		const struct site *site = &plan->sites[i];

		CHECK_OK(site->handler ? soq_server_listen(server, site->endpoint,
						 site->handler, site->arg)
				       : soq_server_bind(server, site->endpoint, site->dgram,
						 site->arg));
		CHECK_OK(soq_server_endpoint(server, i, &addr, &scheme));
		soq_addr_endpoint(text, sizeof(text), scheme, &addr);
		CHECK_EQ(write(report_fd, &addr, sizeof(addr)), sizeof(addr));
		CHECK_EQ(write(report_fd, text, sizeof(text)), sizeof(text));
	}
	return server;
}

struct server__run {
	struct soq_server *server;
	int rc;
};

static inline void server__run(void *arg)
{
	struct server__run *run = arg;

	run->rc = soq_server_run(run->server);
}

static inline int server__run_and_cancel(struct soq_server *server)
{
	struct server__run run = { .server = server };
	struct soq_scope *scope = scope_open();

	go(scope, server__run, &run);
	EVENTUALLY(atomic_load(&counters->began) > 0);
	soq_scope_close(scope);
	return run.rc;
}

static inline int count_fds(pid_t pid)
{
	char path[64];
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	CHECK(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

_Noreturn static inline void server__main(const struct plan *plan, int report_fd)
{
	struct plan mine = *plan;
	struct soq_server *server;
	sigset_t stops;
	int rc;

	/* A SIGTERM that comes before the server runs stops it when it does. */
	sigemptyset(&stops);
	sigaddset(&stops, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &stops, NULL);
	if (plan->descriptors)
		CHECK_OK(setrlimit(RLIMIT_NOFILE,
			&(struct rlimit){ plan->descriptors, plan->descriptors }));
	mine.opt.stop_on_signals = !plan->cancel;
	mine.opt.log = server__log;
	mine.opt.log_arg = &report_fd;
	server = server__new(&mine, report_fd);
	if (plan->deadline_ns)
		soq_deadline(soq_now() + plan->deadline_ns);
	rc = plan->cancel ? server__run_and_cancel(server) : soq_server_run(server);
	soq_deadline_restore(SOQ_NEVER);
	soq_server_free(server);
	CHECK_OK(soq_thread_end());
	exit(-rc);
}

/* ---- in the client's ---- */

static inline void remote_start(struct remote *r, const struct plan *plan)
{
	int fds[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	fflush(NULL);
	r->pid = fork();
	CHECK_OK(r->pid);
	if (r->pid == 0) {
		close(fds[0]);
		server__main(plan, fds[1]);
	}
	close(fds[1]);
	for (size_t i = 0; i < SITES_MAX && plan->sites[i].endpoint; i++) {
		CHECK_EQ(recv(fds[0], &r->addrs[i], sizeof(r->addrs[i]), MSG_WAITALL),
			sizeof(r->addrs[i]));
		CHECK_EQ(recv(fds[0], r->endpoints[i], sizeof(r->endpoints[i]), MSG_WAITALL),
			sizeof(r->endpoints[i]));
	}
	r->log = fdopen(fds[0], "r");
	CHECK(r->log);
}

/* Wait for a line of the log that holds a text. */
static inline void remote_await_log(struct remote *r, const char *text)
{
	char line[600] = "";

	while (!strstr(line, text))
		if (!fgets(line, sizeof(line), r->log))
			CHECK_STR("the server's log, which has ended", text);
}

/* Wait for the server's own end. @want  what soq_server_run() returned */
static inline void remote_end(struct remote *r, int want)
{
	int status;

	CHECK_EQ(waitpid(r->pid, &status, 0), r->pid);
	CHECK(WIFEXITED(status));
	CHECK_ERR(-WEXITSTATUS(status), want);
	fclose(r->log);
}

static inline void remote_stop(struct remote *r)
{
	CHECK_OK(kill(r->pid, SIGTERM));
	remote_end(r, 0);
}

/* A client that does not wait for ever. */
static inline struct soq_stream *remote_connect(const struct remote *r, size_t site)
{
	struct soq_stream *s;

	CHECK_OK(soq_connect(&s, r->endpoints[site]));
	soq_set_recv_timeout(s, 30 * SOQ_S);
	soq_set_send_timeout(s, 30 * SOQ_S);
	return s;
}

/* Send a line, expect it back. */
static inline void expect_echo(struct soq_stream *s, const char *text)
{
	char line[256];

	CHECK_EQ(soq_send_text(s, text), strlen(text));
	CHECK_EQ(soq_send_text(s, "\n"), 1);
	CHECK_EQ(soq_recv_line(s, line, sizeof(line)), strlen(text));
	CHECK_STR(line, text);
}

/* End our flow, and see the server end its own. */
static inline void leave(struct soq_stream *s)
{
	char byte;

	CHECK_OK(soq_shutdown(s));
	CHECK_EQ(soq_recv(s, &byte, 1), 0);
	soq_close(s);
}

/* A client like any other gets its answer. */
static inline void expect_service(const struct remote *r, size_t site)
{
	struct soq_stream *s = remote_connect(r, site);

	expect_echo(s, "is anybody there");
	leave(s);
}

/* ---- handlers ---- */

/* Lines back, to the connection's end. */
static inline int echo_lines(struct soq_stream *peer, void *arg)
{
	char line[4096];
	ssize_t n;

	(void)arg;
	while ((n = soq_recv_line(peer, line, sizeof(line) - 1)) >= 0) {
		line[n] = '\n';
		if (soq_send(peer, line, (size_t)n + 1) != n + 1)
			break;
	}
	return n == -ENODATA ? SOQ_DONE : (int)n;
}

/* One line back a call. */
static inline int echo_a_line(struct soq_stream *peer, void *arg)
{
	char line[4096];
	ssize_t n = soq_recv_line(peer, line, sizeof(line) - 1);

	(void)arg;
	if (n < 0)
		return n == -ENODATA ? SOQ_DONE : (int)n;
	line[n] = '\n';
	return soq_send(peer, line, (size_t)n + 1) == n + 1 ? SOQ_AGAIN : SOQ_DONE;
}

#endif
