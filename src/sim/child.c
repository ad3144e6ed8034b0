/* child.c - a run in a process of its own, and what it tells.
 *
 * The process writes two messages to a pipe: what was drawn, once the world is built, and
 * what came out, at the end. So a run that crashes has told what it was, and its seed is known
 * to whoever started it. The pipe's end is the process's end.
 *
 * Invariant: a started process is killed and waited for, or has ended and been waited for,
 * before its struct is used again; and it ends with the thread that started it.
 * Source: fork(2), setrlimit(2), PR_SET_PDEATHSIG in prctl(2).
 */
#include "sim/sweep.h"
#include <soquete/error.h>
#include "fiber/last_error.h"
#include "fiber/worker.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEAKED 23 /* an exit status: what the leak checker said is on stderr */
#define CPU_S  60
/* What waits for the real world gets this many times its processor time. */
#define STALL_FACTOR 10
/* How often to see that a process has ended though its pipe has not: a fork by another
 * thread of the parent may hold it open. */
#define LOOK_NS SOQ_S

int64_t soq__sim_machine_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SOQ_S + t.tv_nsec;
}

/* ---- in the child ---- */

static void tell(int fd, enum soq__sim_message kind, const struct soq__sim_outcome *o)
{
	size_t len, done = 0;
	char *bytes = soq__sim_encode(kind, o, &len);

	while (done < len) {
		ssize_t n = write(fd, bytes + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			_exit(1);
		done += (size_t)n;
	}
	free(bytes);
}

/* SIGXCPU ends the process, if nothing that it calls is against it; SIGKILL soon after. */
static void limit_cpu(unsigned seconds)
{
	struct rlimit limit;
	sigset_t set;

	if (getrlimit(RLIMIT_CPU, &limit) < 0)
		return;
	limit.rlim_cur = seconds;
	if (limit.rlim_max > limit.rlim_cur + 1)
		limit.rlim_max = limit.rlim_cur + 1;
	setrlimit(RLIMIT_CPU, &limit);
	signal(SIGXCPU, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGXCPU);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* Neither words nor core files, of runs of which there may be hundreds. */
static void be_quiet(void)
{
	const struct rlimit none = { 0, 0 };
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	setrlimit(RLIMIT_CORE, &none);
	if (fd < 0)
		return;
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
}

struct job {
	const struct soq__sim_attempt *attempt;
	int fd;
};

static void play(void *arg)
{
	const struct job *job = arg;
	struct soq__sim_outcome o = { 0 };
	struct soq_sim *sim;

	o.code = soq__sim_stage(&sim, job->attempt);
	if (o.code < 0) {
		o.ending = SOQ__SIM_NOT_BUILT;
		if (*soq_last_error())
			o.report = soq__sim_copy(soq_last_error());
	} else {
		soq__sim_note_drawn(sim, &o);
		tell(job->fd, SOQ__SIM_DRAWN, &o);
		o.code = 0;
		soq__sim_play(sim, job->attempt, &o);
	}
	if (job->attempt->log)
		fflush(job->attempt->log);
	tell(job->fd, SOQ__SIM_CAME_OUT, &o);
	soq__sim_outcome_done(&o);
}

_Noreturn static void child_main(
	const struct soq__sim_attempt *attempt, int fd, unsigned cpu_s, pid_t parent)
{
	struct job job = { attempt, fd };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1); /* it has ended before we asked */
	limit_cpu(cpu_s);
	if (attempt->quiet)
		be_quiet();
	if (soq__worker_peek())
		soq__fail(0, "%s", ""); /* what the parent had to say */
	if (attempt->layout)
		soq__sim_lay_out(attempt->layout, attempt->seed, play, &job);
	else
		play(&job);
	/* What is flushed and released at exit() is the parent's. */
	fflush(stdout);
	fflush(stderr);
	/* What lays memory out otherwise leaves some behind. */
	_exit(!attempt->layout && soq__lsan_finds() ? LEAKED : 0);
}

/* ---- in the parent ---- */

/* How much processor time an attempt may have: no more than this process itself. */
static unsigned cpu_allowed(const struct soq__sim_attempt *attempt)
{
	unsigned seconds = attempt->cpu_s ? attempt->cpu_s : CPU_S;
	struct rlimit limit;

	if (getrlimit(RLIMIT_CPU, &limit) == 0 && limit.rlim_cur < seconds)
		seconds = (unsigned)limit.rlim_cur;
	return seconds ? seconds : 1;
}

int soq__sim_child_start(struct soq__sim_child *child, const struct soq__sim_attempt *attempt)
{
	unsigned cpu_s = cpu_allowed(attempt);
	pid_t parent = getpid(), pid;
	int fds[2];

	*child = (struct soq__sim_child){ .fd = -1 };
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	/* Or the child would have it too, and print it again. */
	fflush(stdout);
	fflush(stderr);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		child_main(attempt, fds[1], cpu_s, parent);
	}
	if (pid < 0) {
		int rc = -errno;

		close(fds[0]);
		close(fds[1]);
		return rc;
	}
	close(fds[1]);
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	*child = (struct soq__sim_child){
		.pid = pid, .fd = fds[0], .started_ns = soq__sim_machine_ns(), .cpu_s = cpu_s
	};
	child->looked_ns = child->started_ns;
	return 0;
}

/* Take what the pipe has. @return false at its end */
static bool read_pipe(struct soq__sim_child *child)
{
	for (;;) {
		ssize_t n;

		if (child->capacity - child->len < 4096) {
			child->capacity = 2 * child->capacity + 4096;
			child->bytes = soq__sim_realloc(child->bytes, child->capacity);
		}
		n = read(child->fd, child->bytes + child->len, child->capacity - child->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		child->len += (size_t)n;
	}
}

/* It has ended, though another process may still hold its end of the pipe. */
static bool is_gone(const struct soq__sim_child *child)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return true;
	return info.si_pid != 0;
}

/* Look at the process itself, which is done now and then only. */
static bool look_at(struct soq__sim_child *child, int64_t now_ns)
{
	child->looked_ns = now_ns;
	if (is_gone(child)) {
		read_pipe(child);
		return true;
	}
	if (now_ns - child->started_ns > STALL_FACTOR * SOQ_S * (int64_t)child->cpu_s) {
		child->stalled = true;
		kill(child->pid, SIGKILL);
	}
	return false;
}

static bool has_ended(struct soq__sim_child *child, bool has_news)
{
	int64_t now_ns;

	if (has_news && !read_pipe(child))
		return true;
	now_ns = soq__sim_machine_ns();
	return now_ns - child->looked_ns >= LOOK_NS && look_at(child, now_ns);
}

struct soq__sim_child *soq__sim_child_wait(struct soq__sim_child *const *children, size_t count)
{
	struct pollfd *polls = soq__sim_alloc((count + 1) * sizeof(*polls));
	struct soq__sim_child *ended = NULL;
	size_t running = 0;

	for (size_t i = 0; i < count; i++) {
		polls[i] = (struct pollfd){ children[i]->fd, POLLIN, 0 };
		running += children[i]->fd >= 0;
	}
	while (running && !ended) {
		poll(polls, count, LOOK_NS / SOQ_MS);
		for (size_t i = 0; i < count && !ended; i++)
			if (children[i]->fd >= 0 && has_ended(children[i], polls[i].revents))
				ended = children[i];
	}
	free(polls);
	return ended;
}

static void end_by_status(
	const struct soq__sim_child *child, int status, struct soq__sim_outcome *ret)
{
	if (child->stalled) {
		ret->ending = SOQ__SIM_STALLED;
		ret->code = STALL_FACTOR * (int)child->cpu_s;
	} else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) {
		ret->ending = SOQ__SIM_SPUN;
		ret->code = (int)child->cpu_s;
	} else if (WIFSIGNALED(status)) {
		ret->ending = SOQ__SIM_KILLED;
		ret->code = WTERMSIG(status);
	} else {
		ret->ending = SOQ__SIM_EXITED;
		ret->code = WEXITSTATUS(status);
	}
}

/* End one and wait for it. The status of one that is ending already stays what it is; but one
 * that has only closed its end of the pipe might go on for ever.
 * @return its status; 0 when it is not to be had, because the program ignores SIGCHLD */
static int reap(struct soq__sim_child *child)
{
	int status = 0;

	kill(child->pid, SIGKILL);
	while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	close(child->fd);
	child->fd = -1;
	child->pid = 0;
	return status;
}

void soq__sim_child_end(struct soq__sim_child *child, struct soq__sim_outcome *ret)
{
	int status = reap(child);

	*ret = (struct soq__sim_outcome){ 0 };
	if (!soq__sim_decode(child->bytes, child->len, ret) || status != 0)
		end_by_status(child, status, ret);
	free(child->bytes);
	*child = (struct soq__sim_child){ .fd = -1 };
}

void soq__sim_child_kill(struct soq__sim_child *child)
{
	if (!child->pid)
		return;
	reap(child);
	free(child->bytes);
	*child = (struct soq__sim_child){ .fd = -1 };
}

int soq__sim_child_run(const struct soq__sim_attempt *attempt, struct soq__sim_outcome *ret)
{
	struct soq__sim_child child, *one = &child;
	int rc = soq__sim_child_start(&child, attempt);

	if (rc < 0)
		return rc;
	soq__sim_child_wait(&one, 1);
	soq__sim_child_end(&child, ret);
	return 0;
}
