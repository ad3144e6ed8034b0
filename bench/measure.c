/* measure.c - see measure.h.
 *
 * Source: clock_getcpuclockid(3), proc(5) on schedstat.
 */
#include "measure.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define BUSY_LIMIT 0.95 /* of its core: the generator had no time left */

void measure_die(const char *program, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s: ", program);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		measure_die("clock_gettime", "%s", strerror(errno));
	return ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/*
 * The time that the threads of a process were ready to run and did not: the second
 * number of schedstat, see proc(5). It tells whether a core was shared with others.
 * -1 where the kernel does not count it.
 */
static int64_t wait_ns(pid_t pid)
{
	char path[64];
	DIR *tasks;
	struct dirent *task;
	int64_t sum = -1;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && (task = readdir(tasks))) {
		long long ran, waited;
		char file[512];
		FILE *f;

		snprintf(file, sizeof file, "%s/%s/schedstat", path, task->d_name);
		f = task->d_name[0] == '.' ? NULL : fopen(file, "re");
		if (!f)
			continue;
		if (fscanf(f, "%lld %lld", &ran, &waited) == 2)
			sum = (sum < 0 ? 0 : sum) + waited;
		fclose(f);
	}
	if (tasks)
		closedir(tasks);
	return sum;
}

/*
 * The server's CPU time is its process clock: nanoseconds, user and system, of all its
 * threads, those that have ended and the kernel's workers for its io_uring included.
 */
int measure_take(struct measure *ret, pid_t server)
{
	clockid_t clock;

	*ret = (struct measure){ .server_cpu_ns = -1, .server_wait_ns = -1 };
	if (server) {
		int error = clock_getcpuclockid(server, &clock);

		if (error)
			return error;
		ret->server_cpu_ns = clock_ns(clock);
		ret->server_wait_ns = wait_ns(server);
	}
	ret->load_wait_ns = wait_ns(getpid());
	ret->load_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	ret->at_ns = now_ns();
	return 0;
}

int64_t measure_since(int64_t first, int64_t last)
{
	return first < 0 || last < 0 ? -1 : last - first;
}

void measure_print(const char *name, double value, bool known)
{
	if (known)
		printf(", \"%s\": %.3f", name, value);
	else
		printf(", \"%s\": null", name);
}

/* How much of its core one side used: of the whole window, and of what others left it. */
static void print_core(const char *who, int64_t cpu_ns, int64_t waited_ns, int64_t window_ns)
{
	char name[64];
	bool known = cpu_ns >= 0;
	int64_t had_ns = window_ns - (waited_ns > 0 ? waited_ns : 0);

	snprintf(name, sizeof name, "%s_cpu_percent", who);
	measure_print(name, 100.0 * (double)cpu_ns / (double)window_ns, known);
	snprintf(name, sizeof name, "%s_busy_percent", who);
	measure_print(name, 100.0 * (double)cpu_ns / (double)had_ns, known && had_ns > 0);
	snprintf(name, sizeof name, "%s_kept_waiting_percent", who);
	measure_print(name, 100.0 * (double)waited_ns / (double)window_ns, waited_ns >= 0);
}

void measure_print_cores(const struct measure *a, const struct measure *b)
{
	int64_t window_ns = b->at_ns - a->at_ns;

	print_core("server", measure_since(a->server_cpu_ns, b->server_cpu_ns),
		measure_since(a->server_wait_ns, b->server_wait_ns), window_ns);
	print_core("load", measure_since(a->load_cpu_ns, b->load_cpu_ns),
		measure_since(a->load_wait_ns, b->load_wait_ns), window_ns);
}

bool measure_load_was_full(const struct measure *a, const struct measure *b)
{
	int64_t waited_ns = measure_since(a->load_wait_ns, b->load_wait_ns);
	int64_t had_ns = b->at_ns - a->at_ns - (waited_ns > 0 ? waited_ns : 0);

	return (double)measure_since(a->load_cpu_ns, b->load_cpu_ns) >
		BUSY_LIMIT * (double)had_ns;
}

double measure_number(
	const char *program, const char *option, const char *text, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (*text == '\0' || *end != '\0' || !(value >= min && value <= max)) {
		fprintf(stderr, "%s: --%s %s: a number from %g to %g is needed\n", program,
			option, text, min, max);
		exit(2);
	}
	return value;
}

void measure_files_limit(const char *program, unsigned files)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= files)
		return;
	limit.rlim_cur = files;
	if (limit.rlim_max < files)
		limit.rlim_max = files; /* root may */
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		measure_die(program, "%u descriptors needed: %s", files, strerror(errno));
}
