/* test.c - the harness: runs each case in a process of its own and reports on it.
 *
 * The parent forks a child per case (several at once, -j), keeps what it prints in
 * a memory file, and kills it with all its descendants when its time is over. The
 * child leaves its verdict in a page that both share, so that a check which fails
 * in a grandchild (a server's forked process) still fails the case.
 *
 * Invariant: a case that leaves no verdict has failed.
 */
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <soquete/sim.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "soq_config.h"

#define JOBS_MAX	 64
#define FDS_MAX		 65536
#define OUTPUT_BYTES_MAX 65536
#define MS		 INT64_C(1000000)
/* How long what a case has ended may take to vanish: processes, descriptors of threads. */
#define SETTLE_NS (2000 * MS)

enum verdict { NONE, PASSED, FAILED, SKIPPED, NOT_APPLICABLE };

/* What a case's process tells the harness; in memory that both map. */
struct report {
	int is_claimed; /* the first failure or skip wins; atomic */
	enum verdict verdict;
	pid_t pid; /* of the case itself, not of what it forks */
	char reason[2048];
	char row[256];
	char dir[64]; /* test_dir(), once asked for */
};

struct fd_set_of {
	int count; /* -1: /proc is not there */
	int fds[FDS_MAX];
};

/* One run of a case: with an engine, a seed and a shape, where it has them. */
struct run {
	const struct test__case *c;
	const struct engine *engine; /* NULL for a unit case */
	size_t seed;		     /* index; 0 on an engine that needs none */
	int shape;		     /* -1 without */
};

struct slot {
	pid_t pid; /* 0 when free */
	struct run run;
	struct report *report;
	int output_fd;
	int64_t started_ns;
};

struct options {
	bool is_verbose, is_list;
	const char *engine;
	int jobs;
	char **patterns; /* NULL-terminated; none: every case */
	int64_t timeout_ns;
};

struct totals {
	unsigned passed, failed, skipped;
};

static struct test__case *cases, **cases_end = &cases;

/* Of the child: which run it is. */
static struct run current;
static struct report *report;
static bool may_keep_fds;
static struct fd_set_of fds_before, fds_after;

/* The library's, where the test program has it. */
const char *soq_strerror(int code) __attribute__((weak));
int soq_thread_end(void) __attribute__((weak));
struct soq_sim_host *soq_sim_here(void) __attribute__((weak));
void soq_sim_census(const struct soq_sim_host *host, struct soq_sim_census *ret)
	__attribute__((weak));

/* The engines that a contract case runs on. */

static const char *missing_never(void)
{
	return NULL;
}

static const char *missing_uring(void)
{
	static char reason[128];
	struct io_uring_params params;
	long fd;

	if (!SOQ__HAVE_URING)
		return "built without liburing";
	memset(&params, 0, sizeof params);
	fd = syscall(SYS_io_uring_setup, 4, &params);
	if (fd >= 0) {
		close((int)fd);
		return NULL;
	}
	snprintf(reason, sizeof reason, "io_uring_setup: %s", strerror(errno));
	return reason;
}

static const struct engine {
	const char *name;
	bool is_simulated;
	const char *(*missing)(void); /* why this machine lacks it, or NULL */
} engines[] = {
	{ "epoll", false, missing_never },
	{ "uring", false, missing_uring },
	{ "sim", true, missing_never },
};

/* What decides the chance of a simulated case: these, or only what SOQUETE_SEED says. */
static const char *seeds[] = { "1", "2", "3" };
static size_t seed_count = sizeof(seeds) / sizeof *seeds;

static const char *const shapes[] = { "iterative", "process", "thread", "fiber" };

#define COUNT(array) (sizeof(array) / sizeof *(array))

void test__add(struct test__case *c)
{
	*cases_end = c;
	cases_end = &c->next;
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * (1000 * MS) + t.tv_nsec;
}

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * MS }, NULL);
}

static int slowness(void)
{
	const char *s = getenv("TEST_SLOWNESS");
	int n = s ? atoi(s) : 1;

	return n < 1 ? 1 : n;
}

/* What a case's body calls. */

enum test_shape test_shape(void)
{
	return current.shape < 0 ? TEST_ITERATIVE : (enum test_shape)current.shape;
}

const char *test_shape_name(void)
{
	return current.shape < 0 ? "" : shapes[current.shape];
}

const char *test_engine_name(void)
{
	return current.engine ? current.engine->name : "";
}

bool test_is_simulated(void)
{
	return current.engine && current.engine->is_simulated;
}

bool test_is_emulated(void)
{
	return getenv("TEST_EMULATED") != NULL;
}

unsigned test_scale(unsigned n)
{
	unsigned scaled = n / (unsigned)slowness();

	return scaled > 0 ? scaled : 1;
}

const char *test_dir(void)
{
	if (report->dir[0] == '\0') {
		strcpy(report->dir, "/tmp/soq-XXXXXX");
		if (!mkdtemp(report->dir))
			test__fail(__FILE__, __LINE__, "mkdtemp: %s", strerror(errno));
	}
	return report->dir;
}

void test_may_keep_fds(void)
{
	may_keep_fds = true;
}

__attribute__((weak)) void test_teardown(void)
{
	if (soq_thread_end)
		CHECK_OK(soq_thread_end());
}

void test__row(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(report->row, sizeof report->row, fmt, ap);
	va_end(ap);
}

/* Leave the verdict, once, and end the case from whichever thread or process. */
static _Noreturn void end_with(enum verdict verdict, const char *reason)
{
	if (__atomic_exchange_n(&report->is_claimed, 1, __ATOMIC_ACQ_REL))
		for (;;) /* another ends it at this moment */
			pause();
	snprintf(report->reason, sizeof report->reason, "%s", reason);
	report->verdict = verdict;
	fflush(NULL);
	if (getpid() != report->pid)
		kill(report->pid, SIGKILL);
	/* Not exit(): what this case leaves behind is no further news. */
	_exit(verdict == FAILED);
}

void test__skip(const char *fmt, ...)
{
	char reason[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	end_with(SKIPPED, reason);
}

void test__fail(const char *file, int line, const char *fmt, ...)
{
	char reason[2048];
	int at = snprintf(reason, sizeof reason, "%s:%d: ", file, line);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason + at, sizeof reason - (size_t)at, fmt, ap);
	va_end(ap);
	end_with(FAILED, reason);
}

/* The value as a decimal number, in @buf. */
static const char *show(char *buf, size_t len, struct test__integer v)
{
	if (v.is_negative)
		snprintf(buf, len, "%lld", (long long)v.bits);
	else
		snprintf(buf, len, "%llu", v.bits);
	return buf;
}

void test__check_eq(const char *file, int line, const char *a_text, const char *b_text,
	struct test__integer a, struct test__integer b)
{
	char a_buf[24], b_buf[24];

	if (a.bits != b.bits || a.is_negative != b.is_negative)
		test__fail(file, line, "CHECK_EQ(%s, %s): %s is not %s", a_text, b_text,
			show(a_buf, sizeof a_buf, a), show(b_buf, sizeof b_buf, b));
}

void test__check_str(const char *file, int line, const char *a_text, const char *b_text,
	const char *a, const char *b)
{
	if (a == b || (a && b && strcmp(a, b) == 0))
		return;
	test__fail(file, line, "CHECK_STR(%s, %s):\n    \"%s\" is not\n    \"%s\"", a_text,
		b_text, a ? a : "(NULL)", b ? b : "(NULL)");
}

/* Up to 16 bytes from @at in hexadecimal, in @buf. */
static const char *show_bytes(char buf[64], const unsigned char *p, size_t at, size_t len)
{
	size_t end = len - at > 16 ? at + 16 : len;
	int n = 0;

	buf[0] = '\0';
	for (; at < end; at++)
		n += snprintf(buf + n, 64 - (size_t)n, " %02x", p[at]);
	return buf;
}

void test__check_mem(const char *file, int line, const char *a_text, const char *b_text,
	const void *a, const void *b, size_t len)
{
	const unsigned char *p = a, *q = b;
	char p_buf[64], q_buf[64];
	size_t at = 0;

	while (at < len && p[at] == q[at])
		at++;
	if (at == len)
		return;
	test__fail(file, line,
		"CHECK_MEM(%s, %s): of %zu bytes the first to differ is at %zu:\n"
		"   %s is not\n   %s",
		a_text, b_text, len, at, show_bytes(p_buf, p, at, len),
		show_bytes(q_buf, q, at, len));
}

static const char *describe(long long rc)
{
	if (rc >= 0)
		return "no error";
	if (rc < INT32_MIN)
		return "no error code";
	return soq_strerror ? soq_strerror((int)rc) : strerror((int)-rc);
}

long long test__check_ok(const char *file, int line, const char *text, long long rc)
{
	if (rc < 0)
		test__fail(file, line, "CHECK_OK(%s): %lld (%s)", text, rc, describe(rc));
	return rc;
}

void test__check_err(const char *file, int line, const char *text, long long rc, long long want)
{
	char want_buf[256];

	if (rc == want)
		return;
	snprintf(want_buf, sizeof want_buf, "%s", describe(want));
	test__fail(file, line, "CHECK_ERR(%s): %lld (%s) is not %lld (%s)", text, rc,
		describe(rc), want, want_buf);
}

/* Descriptors. */

static void list_fds(struct fd_set_of *set)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;

	set->count = -1;
	if (!dir)
		return;
	set->count = 0;
	while ((e = readdir(dir)) && set->count < FDS_MAX)
		if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(dir))
			set->fds[set->count++] = atoi(e->d_name);
	closedir(dir);
}

static bool has_fd(const struct fd_set_of *set, int fd)
{
	for (int i = 0; i < set->count; i++)
		if (set->fds[i] == fd)
			return true;
	return false;
}

/* The first of @set that @other lacks, or -1. */
static int first_missing(const struct fd_set_of *set, const struct fd_set_of *other)
{
	for (int i = 0; i < set->count; i++)
		if (!has_fd(other, set->fds[i]))
			return set->fds[i];
	return -1;
}

/* Fail the case if descriptors came or went. A thread that ends may need a moment. */
static void check_fds(void)
{
	int64_t end_ns = now_ns() + SETTLE_NS * slowness();
	char reason[512], link[64], target[256];
	int leaked, lost;
	ssize_t n;

	if (may_keep_fds || fds_before.count < 0)
		return;
	do {
		list_fds(&fds_after);
		leaked = first_missing(&fds_after, &fds_before);
		lost = first_missing(&fds_before, &fds_after);
		if (fds_after.count >= 0 && leaked < 0 && lost < 0)
			return;
		pause_ms(5);
	} while (now_ns() < end_ns);

	if (fds_after.count < 0)
		end_with(FAILED, "leaves no descriptor free to look at /proc/self/fd");
	if (leaked < 0) {
		snprintf(reason, sizeof reason, "closed descriptor %d, not its own", lost);
		end_with(FAILED, reason);
	}
	snprintf(link, sizeof link, "/proc/self/fd/%d", leaked);
	n = readlink(link, target, sizeof target - 1);
	target[n < 0 ? 0 : n] = '\0';
	snprintf(reason, sizeof reason, "leaves descriptor %d open (%s); %d now, %d before",
		leaked, target, fds_after.count, fds_before.count);
	end_with(FAILED, reason);
}

/* Fail the case if it leaves a descriptor of its simulated host open. */
static void check_simulated_fds(void)
{
	struct soq_sim_census census;

	if (may_keep_fds || !soq_sim_here || !soq_sim_here())
		return;
	soq_sim_census(soq_sim_here(), &census);
	if (census.descriptors > 0 || census.leaked > 0)
		test__fail(__FILE__, __LINE__,
			"leaves %u simulated descriptors open; programs that ended left %u",
			census.descriptors, census.leaked);
}

/* The child. */

static _Noreturn void run_child(const struct run *run, struct report *shared, int output_fd)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	report = shared;
	current = *run;
	report->pid = getpid();
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(null_fd, 0) < 0 || dup2(output_fd, 1) < 0 || dup2(output_fd, 2) < 0)
		_exit(125);
	close(null_fd);
	close(output_fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (run->engine)
		setenv("SOQUETE_ENGINE", run->engine->name, 1);
	if (run->engine && run->engine->is_simulated)
		setenv("SOQUETE_SEED", seeds[run->seed], 1);

	list_fds(&fds_before);
	run->c->body();
	check_simulated_fds();
	test_teardown();
	check_fds();
	if (!__atomic_exchange_n(&report->is_claimed, 1, __ATOMIC_ACQ_REL))
		report->verdict = PASSED;
	exit(0); /* here the sanitizers have their say */
}

/* The parent. */

/* "name", or "name [engine]" with ":seed" and "/shape" after the engine. */
static const char *run_name(const struct run *run)
{
	static char buf[256];
	bool has_seed = run->engine && run->engine->is_simulated;

	if (!run->engine)
		return run->c->name;
	snprintf(buf, sizeof buf, "%s [%s%s%s%s%s]", run->c->name, run->engine->name,
		has_seed ? ":" : "", has_seed ? seeds[run->seed] : "",
		run->shape < 0 ? "" : "/", run->shape < 0 ? "" : shapes[run->shape]);
	return buf;
}

static void start(struct slot *slot, const struct run *run)
{
	*slot->report = (struct report){ .verdict = NONE };
	slot->run = *run;
	slot->output_fd = memfd_create("output", MFD_CLOEXEC);
	slot->started_ns = now_ns();
	fflush(NULL);
	slot->pid = fork();
	if (slot->pid < 0 || slot->output_fd < 0) {
		perror("test: fork");
		exit(2);
	}
	if (slot->pid == 0)
		run_child(run, slot->report, slot->output_fd);
	setpgid(slot->pid, slot->pid);
}

/* What the case printed, indented; its end, where it printed very much. */
static void print_output(int fd)
{
	static char buf[OUTPUT_BYTES_MAX + 1];
	off_t size = lseek(fd, 0, SEEK_END);
	off_t from = size > OUTPUT_BYTES_MAX ? size - OUTPUT_BYTES_MAX : 0;
	ssize_t n = pread(fd, buf, OUTPUT_BYTES_MAX, from);

	if (n <= 0)
		return;
	buf[n] = '\0';
	if (from > 0)
		printf("    | ... %lld bytes before\n", (long long)from);
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n"))
		printf("    | %s\n", line);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* Reap what the case left running; false if something would not end by itself. */
static bool group_ends(pid_t group)
{
	int64_t end_ns = now_ns() + SETTLE_NS * slowness();

	for (;;) {
		while (waitpid(-group, NULL, WNOHANG) > 0)
			;
		if (kill(-group, 0) < 0)
			return true;
		if (now_ns() > end_ns)
			break;
		pause_ms(2);
	}
	kill(-group, SIGKILL);
	while (waitpid(-group, NULL, 0) > 0)
		;
	return false;
}

static void set_verdict(struct report *r, enum verdict verdict, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void set_verdict(struct report *r, enum verdict verdict, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->reason, sizeof r->reason, fmt, ap);
	va_end(ap);
	r->verdict = verdict;
}

/* A child has ended with @status: correct what its report says. */
static void judge(struct slot *slot, int status)
{
	struct report *r = slot->report;
	bool is_clean = group_ends(slot->pid);

	if (r->verdict == SKIPPED && test_is_emulated())
		r->verdict = NOT_APPLICABLE;
	if (r->verdict != PASSED && r->verdict != NONE)
		return;
	if (WIFSIGNALED(status))
		set_verdict(r, FAILED, "killed by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else if (r->verdict == PASSED && WEXITSTATUS(status) != 0)
		set_verdict(r, FAILED, "exit status %d after its end (a sanitizer's report?)",
			WEXITSTATUS(status));
	else if (r->verdict == NONE)
		set_verdict(r, FAILED, "called exit(%d) before its end", WEXITSTATUS(status));
	else if (!is_clean)
		set_verdict(r, FAILED, "left a process running");
}

static void print_verdict(const struct run *run, const struct report *r, int64_t took_ns)
{
	static const char *const words[] = { "FAIL", "ok  ", "FAIL", "skip", "n/a " };

	printf("%s %s  (%lld ms)", words[r->verdict], run_name(run), (long long)(took_ns / MS));
	if (r->verdict != PASSED)
		printf(" %s", r->reason);
	putchar('\n');
	if (r->verdict == FAILED && r->row[0])
		printf("    row: %s\n", r->row);
}

static void count(struct totals *t, enum verdict verdict)
{
	if (verdict == PASSED)
		t->passed++;
	else if (verdict == SKIPPED)
		t->skipped++;
	else if (verdict != NOT_APPLICABLE)
		t->failed++;
}

static void finish(struct slot *slot, const struct options *o, struct totals *t)
{
	struct report *r = slot->report;

	print_verdict(&slot->run, r, now_ns() - slot->started_ns);
	count(t, r->verdict);
	if (o->is_verbose || r->verdict == FAILED)
		print_output(slot->output_fd);
	fflush(stdout);
	if (r->dir[0])
		nftw(r->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	close(slot->output_fd);
	slot->pid = 0;
}

/* Where each thread of a process that hangs is waiting. */
static void print_threads(pid_t pid)
{
	char path[300], name[64] = "", waits[128] = "";
	struct dirent *e;
	DIR *dir;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%.20s/comm", pid, e->d_name);
		f = fopen(path, "re");
		if (f && fscanf(f, "%63s", name) < 0)
			name[0] = '\0';
		if (f)
			fclose(f);
		snprintf(path, sizeof path, "/proc/%d/task/%.20s/wchan", pid, e->d_name);
		f = fopen(path, "re");
		if (f && fscanf(f, "%127s", waits) < 0)
			waits[0] = '\0';
		if (f)
			fclose(f);
		printf("    thread %.20s %s waits in %s\n", e->d_name, name, waits);
	}
	if (dir)
		closedir(dir);
}

/* Look after one running child: has it ended, is its time over? */
static void attend(struct slot *slot, const struct options *o, struct totals *t)
{
	int status;

	if (slot->pid == 0)
		return;
	if (waitpid(slot->pid, &status, WNOHANG) == slot->pid) {
		judge(slot, status);
		finish(slot, o, t);
		return;
	}
	if (now_ns() - slot->started_ns < o->timeout_ns)
		return;
	printf("hang %s\n", run_name(&slot->run));
	print_threads(slot->pid);
	kill(-slot->pid, SIGKILL);
	while (waitpid(-slot->pid, &status, 0) > 0)
		;
	set_verdict(slot->report, FAILED, "no end after %lld s",
		(long long)(o->timeout_ns / (1000 * MS)));
	finish(slot, o, t);
}

static struct slot *free_slot(struct slot *slots, int jobs)
{
	for (int i = 0; i < jobs; i++)
		if (slots[i].pid == 0)
			return &slots[i];
	return NULL;
}

/* Sleep until a child ends or 100 ms are over; on an interrupt end them all. */
static void wait_for_news(const struct slot *slots, int jobs)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sig = sigtimedwait(&set, NULL, &(struct timespec){ .tv_nsec = 100 * MS });
	if (sig < 0 || sig == SIGCHLD)
		return;
	for (int i = 0; i < jobs; i++)
		if (slots[i].pid > 0)
			kill(-slots[i].pid, SIGKILL);
	_exit(128 + sig);
}

/* Whether there is such a run: a case may not be for each engine, an engine not for each
 * shape. */
static bool exists(const struct run *run)
{
	bool is_simulated = run->engine && run->engine->is_simulated;

	if (run->c->where == (is_simulated ? TEST__KERNEL : TEST__SIMULATED))
		return false;
	return !is_simulated || (run->shape != TEST_PROCESS && run->shape != TEST_THREAD);
}

static bool is_wanted(const struct options *o, const struct run *run)
{
	if (!exists(run))
		return false;
	if (o->engine && run->engine && strcmp(o->engine, run->engine->name) != 0)
		return false;
	if (!o->patterns[0])
		return true;
	for (char **p = o->patterns; *p; p++)
		if (strstr(run_name(run), *p))
			return true;
	return false;
}

/* The shape turns fastest, then the seed, the engine, the case. */
static void advance(struct run *run)
{
	if (run->shape >= 0 && ++run->shape < (int)COUNT(shapes))
		return;
	if (run->engine && run->engine->is_simulated && ++run->seed < seed_count) {
		run->shape = run->c->has_shapes ? 0 : -1;
		return;
	}
	run->seed = 0;
	if (run->engine && ++run->engine < engines + COUNT(engines)) {
		run->shape = run->c->has_shapes ? 0 : -1;
		return;
	}
	run->c = run->c->next;
	run->engine = run->c && run->c->where != TEST__ONCE ? engines : NULL;
	run->shape = run->c && run->c->has_shapes ? 0 : -1;
}

/* The next run that the options ask for, in order; false at the end. */
static bool next_run(const struct options *o, struct run *run)
{
	static struct test__case head; /* before the first */

	if (!run->c) {
		head.next = cases;
		*run = (struct run){ .c = &head, .shape = -1 };
	}
	do
		advance(run);
	while (run->c && !is_wanted(o, run));
	return run->c != NULL;
}

static struct totals run_all(const struct options *o)
{
	struct slot slots[JOBS_MAX] = { 0 }, *slot;
	struct totals totals = { 0 };
	struct run run = { 0 };
	bool is_more = next_run(o, &run);
	int busy = 0;

	for (int i = 0; i < o->jobs; i++) {
		slots[i].report = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (slots[i].report == MAP_FAILED)
			exit(2);
	}
	while (is_more || busy > 0) {
		const char *missing = is_more && run.engine ? run.engine->missing() : NULL;

		slot = free_slot(slots, o->jobs);
		if (missing) {
			printf("skip %s  (0 ms) %s\n", run_name(&run), missing);
			totals.skipped++;
			is_more = next_run(o, &run);
			continue;
		}
		if (is_more && slot) {
			start(slot, &run);
			is_more = next_run(o, &run);
		} else {
			wait_for_news(slots, o->jobs);
		}
		busy = 0;
		for (int i = 0; i < o->jobs; i++) {
			attend(&slots[i], o, &totals);
			busy += slots[i].pid > 0;
		}
	}
	return totals;
}

static _Noreturn void usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [--list] [-v] [--engine NAME] [-j N] [PART-OF-A-NAME...]\n"
		"  SOQUETE_SEED    simulated cases run under this seed only (1, 2 and 3)\n"
		"  TEST_TIMEOUT_S  seconds that a case may take (60)\n"
		"  TEST_SLOWNESS   how many times slower this machine is (1)\n"
		"  TEST_EMULATED   what is skipped cannot run here, and is not counted\n",
		program);
	exit(2);
}

static bool is_engine(const char *name)
{
	for (size_t i = 0; i < COUNT(engines); i++)
		if (strcmp(engines[i].name, name) == 0)
			return true;
	return false;
}

static struct options parse(int argc, char **argv)
{
	const char *timeout_s = getenv("TEST_TIMEOUT_S");
	struct options o = { .jobs = 2 };
	int i;

	o.timeout_ns = (timeout_s ? atoi(timeout_s) : 60) * (1000 * MS) * slowness();
	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--list") == 0)
			o.is_list = true;
		else if (strcmp(argv[i], "-v") == 0)
			o.is_verbose = true;
		else if (strcmp(argv[i], "--engine") == 0 && i + 1 < argc)
			o.engine = argv[++i];
		else if (strcmp(argv[i], "-j") == 0 && i + 1 < argc)
			o.jobs = atoi(argv[++i]);
		else
			usage(argv[0]);
	}
	if (o.engine && !is_engine(o.engine))
		usage(argv[0]);
	if (o.jobs < 1 || o.jobs > JOBS_MAX || o.timeout_ns <= 0)
		usage(argv[0]);
	o.patterns = argv + i;
	return o;
}

/* Name every run; with -v, say why a case is not for the simulated network. */
static void list(const struct options *o)
{
	struct run run = { 0 };

	while (next_run(o, &run)) {
		printf("%s", run_name(&run));
		if (o->is_verbose && run.c->why)
			printf("  not simulated: %s", run.c->why);
		putchar('\n');
	}
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct run run = { 0 };
	struct totals t;
	sigset_t set;

	if (getenv("SOQUETE_SEED")) {
		seeds[0] = getenv("SOQUETE_SEED");
		seed_count = 1;
	}
	/* Without patterns: a program may have no case for the one engine. */
	if (o.patterns[0] && !next_run(&o, &run)) {
		fprintf(stderr, "%s: no case matches\n", argv[0]);
		return 2;
	}
	if (o.is_list) {
		list(&o);
		return 0;
	}
	/* Orphans of a case come to us, and are reaped with its process group. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);

	t = run_all(&o);
	printf("%u passed, %u failed, %u skipped\n", t.passed, t.failed, t.skipped);
	return t.failed > 0;
}
