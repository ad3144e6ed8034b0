/* server_process.h - a server in a process of its own, so that its descriptors, memory and time
 * can be looked at from outside, and so that no child of the process shape holds a copy of a
 * client's socket.
 *
 * The process tells where its sites are, and then every line of its log, through a socket.
 * SIGTERM stops it; its exit status is what soq_server_run() returned, negated.
 */
#ifndef CONTRACT_SERVER_PROCESS_H
#define CONTRACT_SERVER_PROCESS_H

#include "contract/server_plan.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static inline const char *process_address(unsigned which)
{
	static const char *const addresses[ADDRESSES] = { "127.0.0.1", "127.0.0.2", "127.0.0.3",
		"::1" };

	CHECK(which < ADDRESSES);
	return addresses[which];
}

/* How many descriptors a process has. */
static inline int count_fds(pid_t pid)
{
	char path[64];
	int fds = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	CHECK(dir);
	while (readdir(dir))
		fds++;
	closedir(dir);
	return fds;
}

/* A line of /proc/PID/status, in KiB: "VmRSS", "VmHWM". */
static inline long memory_kib(pid_t pid, const char *what)
{
	char path[64], line[128], format[32];
	long kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	snprintf(format, sizeof(format), "%s: %%ld", what);
	f = fopen(path, "re");
	CHECK(f);
	while (kib < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, format, &kib) != 1)
			kib = -1;
	fclose(f);
	return kib;
}

/* ---- in the server's process ---- */

static inline void process__log(void *arg, const char *line)
{
	char text[600];
	int len = snprintf(text, sizeof(text), "%s\n", line);

	/* Nobody may be reading: a full socket is no reason to wait. */
	send(*(int *)arg, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static inline struct soq_server *process__open(const struct plan *plan, int report_fd)
{
	struct soq_server *server;
	struct place place;

	CHECK_OK(soq_server_new(&server, &plan->opt));
	for (size_t i = 0; i < SITES_MAX && plan->sites[i].endpoint; i++) {
		plan_add_site(server, &plan->sites[i], plan->sites[i].endpoint);
		place_find(&place, server, i, process_address(0));
		CHECK_EQ(write(report_fd, &place, sizeof(place)), sizeof(place));
	}
	return server;
}

/* Nothing that the server has opened is left. The thread shape's threads end by themselves,
 * and may still be about to. */
static inline void process__check_fds(const struct plan *plan, int before)
{
	CHECK_OK(soq_thread_end());
	if (plan->opt.shape != SOQ_SHAPE_THREAD)
		CHECK_EQ(count_fds(getpid()), before);
}

_Noreturn static inline void process__main(const struct plan *plan, int report_fd)
{
	struct plan mine = *plan;
	struct soq_server *server;
	sigset_t stops;
	int fds, rc;

	CHECK_OK(soq_thread_end()); /* what a forked process has of its parent's */
	fds = count_fds(getpid());
	/* A SIGTERM that comes before the server runs stops it when it does. */
	sigemptyset(&stops);
	sigaddset(&stops, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &stops, NULL);
	if (plan->descriptors)
		CHECK_OK(setrlimit(RLIMIT_NOFILE,
			&(struct rlimit){ plan->descriptors, plan->descriptors }));
	mine.opt.stop_on_signals = !plan->cancel;
	mine.opt.log = process__log;
	mine.opt.log_arg = &report_fd;
	server = process__open(&mine, report_fd);
	rc = plan_run(plan, server);
	soq_server_free(server);
	process__check_fds(plan, fds);
	exit(-rc);
}

/* ---- in the case's ---- */

struct process {
	pid_t pid;
	FILE *log;
};

static inline void process_start(
	struct process *p, const struct plan *plan, struct place places[SITES_MAX])
{
	int fds[2];

	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	fflush(NULL);
	p->pid = (pid_t)CHECK_OK(fork());
	if (p->pid == 0) {
		close(fds[0]);
		process__main(plan, fds[1]);
	}
	close(fds[1]);
	for (size_t i = 0; i < SITES_MAX && plan->sites[i].endpoint; i++)
		CHECK_EQ(recv(fds[0], &places[i], sizeof(places[i]), MSG_WAITALL),
			sizeof(places[i]));
	p->log = fdopen(fds[0], "r");
	CHECK(p->log);
}

/* The next line of the log. @return false at its end */
static inline bool process_read_log(struct process *p, char *line, int len)
{
	return fgets(line, len, p->log) != NULL;
}

/* Wait for its end. @return what soq_server_run() returned */
static inline int process_wait(struct process *p)
{
	int status;

	CHECK_EQ(waitpid(p->pid, &status, 0), p->pid);
	CHECK(WIFEXITED(status));
	fclose(p->log);
	return -WEXITSTATUS(status);
}

#endif
