/* planted.c - a sweep finds what is wrong on purpose, says so, and leaves no process behind. */
#include "test.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_CHECKED true
#else
#define IS_CHECKED false
#endif

/* A sweep that fails says why to its thread, whose engine is the real one. */
void test_teardown(void)
{
	CHECK_OK(soq_thread_end());
}

/* What a sweep tells, kept until the case ends. */
struct told {
	char *text;
	size_t len;
	struct soq_sim_sweep_result result;
	int rc;
};

static struct told sweep(struct soq_sim_sweep s)
{
	struct told t = { 0 };

	s.out = open_memstream(&t.text, &t.len);
	CHECK(s.out);
	t.rc = soq_sim_sweep(&s, &t.result);
	CHECK_EQ(fclose(s.out), 0);
	CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
	CHECK_EQ(errno, ECHILD);
	return t;
}

static void check_tells(const struct told *t, const char *what)
{
	if (!strstr(t->text, what))
		fprintf(stderr, "%s\n", t->text);
	ROW("it tells '%s'", what);
	CHECK(strstr(t->text, what));
}

/* A world with one host, whose program knows its world. */
static int one_host(struct soq_sim *sim, void *arg)
{
	soq_sim_main *const *program = arg;
	struct soq_sim_host *host;

	CHECK_OK(soq_sim_host_new(&host, sim, "a", NULL));
	return soq_sim_spawn(host, *program, sim);
}

static bool is_third_of_seven(struct soq_sim *sim)
{
	soq_sleep(SOQ_S);
	return soq_sim_seed(sim) % 7 == 3;
}

/* ---- how a seed may end ---- */

static int fine(void *sim)
{
	return is_third_of_seven(sim) ? 0 : soq_sleep(SOQ_S);
}

static int breaks(void *sim)
{
	SOQ_ALWAYS(!is_third_of_seven(sim), "no third");
	return 0;
}

static int breaks_what_follows(void *sim)
{
	static int number;
	const int *p = is_third_of_seven(sim) ? NULL : &number;

	SOQ_ALWAYS(p, "there is a number");
	return *p;
}

static int fails(void *sim)
{
	return is_third_of_seven(sim) ? -EIO : 0;
}

static int aborts(void *sim)
{
	if (is_third_of_seven(sim))
		abort();
	return 0;
}

static int exits(void *sim)
{
	if (is_third_of_seven(sim))
		_exit(5);
	return 0;
}

static int closes_everything(void *sim)
{
	if (is_third_of_seven(sim)) {
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
		pause();
	}
	return 0;
}

static int waits_for_nothing(void *sim)
{
	if (is_third_of_seven(sim)) {
		struct soq_listener *l;
		struct soq_stream *s;

		CHECK_OK(soq_listen(&l, "tcp://:7", NULL));
		soq_accept(&s, l);
	}
	return 0;
}

/* Every failing seed is counted, whatever way it failed, and no other is. */
TEST(sim_sweep_failures)
{
	static const struct {
		soq_sim_main *program;
		const char *tells;
	} rows[] = {
		{ breaks, "seed 10 failed: broken (no third)" },
		{ breaks_what_follows, "seed 10 failed: broken (there is a number)" },
		{ fails, "seed 10 failed: failed" },
		{ aborts, "seed 10 failed: killed by signal 6" },
		{ exits, "seed 10 failed: its process ended by itself, with status 5" },
		{ closes_everything, "seed 10 failed: killed by signal 9" },
		{ waits_for_nothing, "seed 10 failed: deadlock" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct told t = sweep((struct soq_sim_sweep){ .name = "planted",
			.build = one_host,
			.arg = (void *)&rows[i].program,
			.first_seed = 9,
			.seeds = 20,
			.go_on = true,
			.no_shrink = true });

		ROW("%s", rows[i].tells);
		CHECK_EQ(t.rc, -EPROTO);
		CHECK_EQ(t.result.seeds, 20);
		CHECK_EQ(t.result.failures, 3); /* 10, 17, 24 */
		CHECK_EQ(t.result.first_failure, 10);
		check_tells(&t, rows[i].tells);
		check_tells(&t, "SOQUETE_SEED=24 ");
		free(t.text);
	}
}

/* Of several that run at once the lowest that fails is the first, and the last. */
TEST(sim_sweep_stops_at_the_first)
{
	static soq_sim_main *const program = breaks;

	for (unsigned jobs = 1; jobs <= 9; jobs += 4) {
		struct told t = sweep((struct soq_sim_sweep){ .name = "planted",
			.build = one_host,
			.arg = (void *)&program,
			.seeds = 1000,
			.jobs = jobs });

		ROW("%u jobs", jobs);
		CHECK_EQ(t.rc, -EPROTO);
		CHECK_EQ(t.result.seeds, 4);
		CHECK_EQ(t.result.failures, 1);
		CHECK_EQ(t.result.first_failure, 3);
		free(t.text);
	}
}

static int spins(void *sim)
{
	volatile bool always = is_third_of_seven(sim);

	while (always)
		continue;
	return 0;
}

TEST(sim_sweep_ends_what_spins)
{
	static soq_sim_main *const program = spins;
	struct rlimit limit;
	struct told t;

	CHECK_EQ(getrlimit(RLIMIT_CPU, &limit), 0);
	limit.rlim_cur = 1;
	CHECK_EQ(setrlimit(RLIMIT_CPU, &limit), 0);
	t = sweep((struct soq_sim_sweep){
		.name = "planted", .build = one_host, .arg = (void *)&program, .seeds = 6 });
	CHECK_EQ(t.rc, -EPROTO);
	CHECK_EQ(t.result.first_failure, 3);
	check_tells(&t, "it computed for 1 s of processor time");
	free(t.text);
}

static int has_a_minute(void *sim)
{
	struct rlimit limit;

	(void)sim;
	return getrlimit(RLIMIT_CPU, &limit) == 0 && limit.rlim_cur == 60 ? 0 : -ERANGE;
}

TEST(sim_sweep_limits_time)
{
	static soq_sim_main *const program = has_a_minute;
	struct told t = sweep((struct soq_sim_sweep){
		.name = "planted", .build = one_host, .arg = (void *)&program, .seeds = 1 });

	CHECK_EQ(t.rc, 0);
	free(t.text);
}

/* The program does not wait for its children: they vanish by themselves. */
TEST(sim_sweep_without_sigchld)
{
	static soq_sim_main *const program = fails;
	struct told t;

	signal(SIGCHLD, SIG_IGN);
	t = sweep((struct soq_sim_sweep){ .name = "planted",
		.build = one_host,
		.arg = (void *)&program,
		.seeds = 20,
		.go_on = true,
		.no_shrink = true });
	CHECK_EQ(t.result.seeds, 20);
	CHECK_EQ(t.result.failures, 3);
	free(t.text);
}

static int cannot_be_built(struct soq_sim *sim, void *arg)
{
	return soq_sim_seed(sim) == 5 ? -EDOM : 0;
}

TEST(sim_sweep_not_built)
{
	struct told t =
		sweep((struct soq_sim_sweep){ .name = "planted", .build = cannot_be_built });

	CHECK_EQ(t.rc, -EDOM);
	CHECK(strstr(soq_last_error(), "build planted with seed 5"));
	free(t.text);
}

static int refuse(struct soq_sim *sim, enum soq_sim_verdict verdict, void *arg)
{
	CHECK_EQ(verdict, SOQ_SIM_FINISHED);
	return soq_sim_seed(sim) % 7 == 3 ? -ERANGE : 0;
}

TEST(sim_sweep_check)
{
	static soq_sim_main *const program = fine;
	struct soq_sim_sweep s = { .name = "planted",
		.build = one_host,
		.check = refuse,
		.arg = (void *)&program,
		.no_shrink = true };
	struct told t = sweep(s);

	CHECK_EQ(t.result.first_failure, 3);
	check_tells(&t, "check() returned -34");
	free(t.text);
	s.out = open_memstream(&t.text, &t.len);
	CHECK_EQ(soq_sim_replay(&s, 3, NULL, NULL, 0), SOQ_SIM_FAILED);
	CHECK_EQ(soq_sim_replay(&s, 4, NULL, NULL, 0), SOQ_SIM_FINISHED);
	fclose(s.out);
	free(t.text);
}

/* ---- what depends on more than the seed ---- */

static int decides_by_address(void *sim)
{
	void *blocks[8];
	int rc = 0;

	for (int i = 0; i < 8; i++) {
		blocks[i] = malloc(48);
		rc |= soq_sleep((uintptr_t)blocks[i] & 64 ? SOQ_S : 2 * SOQ_S);
	}
	for (int i = 0; i < 8; i++)
		free(blocks[i]);
	return rc;
}

static int decides_by_rubbish(void *sim)
{
	unsigned char *volatile block = malloc(500); /* volatile, or the compiler sees it too */
	int rc = soq_sleep(block[300] == 0 ? SOQ_S : 2 * SOQ_S);

	free(block);
	return rc;
}

TEST(sim_sweep_divergence)
{
	static soq_sim_main *const programs[] = { decides_by_address, decides_by_rubbish };

	/* A checker's allocator leaves nothing in memory, or always the same. */
	for (size_t i = 0; i < (IS_CHECKED || test_is_emulated() ? 1 : 2); i++) {
		struct told t = sweep((struct soq_sim_sweep){ .name = "planted",
			.build = one_host,
			.arg = (void *)&programs[i],
			.twice = true });

		ROW("program %zu", i);
		CHECK_EQ(t.rc, -EILSEQ);
		CHECK_EQ(t.result.divergences, 1);
		CHECK_EQ(t.result.failures, 0);
		check_tells(&t, "the logs part after this line");
		free(t.text);
	}
}

TEST(sim_sweep_no_divergence)
{
	static soq_sim_main *const program = fine;
	struct told t = sweep((struct soq_sim_sweep){
		.name = "planted", .build = one_host, .arg = (void *)&program, .twice = true });

	CHECK_EQ(t.rc, 0);
	CHECK_EQ(t.result.seeds, 100);
	CHECK_STR(t.text, "");
	free(t.text);
}

/* ---- properties ---- */

static int sometimes(void *sim)
{
	SOQ_SOMETIMES(is_third_of_seven(sim), "a third");
	SOQ_SOMETIMES(soq_sim_seed(sim) > 1000, "a thousand");
	return 0;
}

TEST(sim_sweep_coverage)
{
	static soq_sim_main *const program = sometimes;
	struct told t = sweep((struct soq_sim_sweep){
		.name = "planted", .build = one_host, .arg = (void *)&program, .seeds = 10 });

	CHECK_EQ(t.rc, 0);
	CHECK_EQ(t.result.uncovered, 1);
	CHECK_STR(t.text, "soquete: planted: never in 10 seeds: a thousand\n");
	free(t.text);
}

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

static int set_later(void *arg)
{
	soq_sleep(2 * SOQ_S);
	*(bool *)arg = true;
	return soq_sleep(SOQ_S);
}

/* A condition that comes to hold in time, one that does so too late, and one that is asked
 * for after every program has ended. */
TEST(sim_eventually)
{
	static const struct {
		int64_t within_ns;
		enum soq_sim_verdict want;
		int64_t end_ns;
	} rows[] = {
		{ 2500 * SOQ_MS, SOQ_SIM_FINISHED, 3 * SOQ_S },
		{ SOQ_NEVER, SOQ_SIM_FINISHED, 3 * SOQ_S },
		{ 1500 * SOQ_MS, SOQ_SIM_BROKEN, 1500 * SOQ_MS },
		{ 0, SOQ_SIM_BROKEN, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct soq_sim_host *host;
		struct soq_sim *sim;
		bool is_set = false;

		ROW("row %zu", i);
		CHECK_OK(soq_sim_new(&sim, 1, NULL));
		CHECK_OK(soq_sim_host_new(&host, sim, "a", NULL));
		CHECK_OK(soq_sim_spawn(host, set_later, &is_set));
		CHECK_OK(soq_sim_eventually(
			sim, is_true, &is_set, rows[i].within_ns, "it is set"));
		CHECK_EQ(soq_sim_run(sim, 60 * SOQ_S), rows[i].want);
		CHECK(soq_sim_now(sim) >= rows[i].end_ns);
		CHECK(soq_sim_now(sim) < rows[i].end_ns + SOQ_S);
		if (rows[i].want == SOQ_SIM_BROKEN)
			CHECK(strstr(soq_sim_report(sim), "it is set"));
		soq_sim_free(sim);
	}
}

/* Outside a simulation a property is an assertion, and what holds sometimes is nothing. */
TEST(sim_always_outside)
{
	pid_t pid;
	int status;

	SOQ_SOMETIMES(false, "outside");
	SOQ_ALWAYS(true, "truth");
	pid = fork();
	if (pid == 0) {
		fclose(stderr);
		SOQ_ALWAYS(false, "falsehood");
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGABRT);
}

/* ---- one seed ---- */

TEST(sim_sweep_one_seed)
{
	static soq_sim_main *const program = breaks;
	struct soq_sim_sweep s = {
		.name = "planted", .build = one_host, .arg = (void *)&program, .twice = true
	};
	struct told t;

	CHECK_EQ(setenv("SOQUETE_SEED", "17", 1), 0);
	t = sweep(s);
	CHECK_EQ(t.rc, -EPROTO);
	CHECK_EQ(t.result.seeds, 1);
	CHECK_EQ(t.result.first_failure, 17);
	check_tells(&t, "program 1 starts");
	check_tells(&t, "seed 17 failed: broken (no third)");
	free(t.text);
	/* It is not in force for a replay. */
	CHECK_EQ(soq_sim_replay(&s, 18, NULL, NULL, 0), SOQ_SIM_FINISHED);
	CHECK_EQ(setenv("SOQUETE_SEED", "seventeen", 1), 0);
	CHECK_EQ(soq_sim_sweep(&s, NULL), -EINVAL);
	CHECK_EQ(soq_sim_replay(&s, 18, NULL, NULL, 0), SOQ_SIM_FINISHED);
}

/* ---- shrinking ---- */

/* What is on the disk of the only host: it survives a crash. */
static struct {
	unsigned lives;
	bool has_stepped;
} disk;

/* Broken when the wall clock has been set and the host has crashed, in either order. */
static int crashes_and_steps(void *sim)
{
	int64_t offset_ns = soq_wall_clock() - soq_now();

	(void)sim;
	disk.lives++;
	for (int i = 0; i < 40; i++) {
		disk.has_stepped |= soq_wall_clock() - soq_now() != offset_ns;
		SOQ_ALWAYS(!disk.has_stepped || disk.lives == 1, "not both");
		soq_sleep(SOQ_S);
	}
	return 0;
}

static int build_chaos(struct soq_sim *sim, void *arg)
{
	static const struct soq_sim_chaos chaos = { .crashes_max = 3,
		.pauses_max = 5,
		.clock_steps_max = 3,
		.drifts_max = 0,
		.partitions_max = 5,
		.link_changes_max = 5,
		.worst = { .latency_ns = SOQ_S, .loss_ppm = 100000, .mtu = 600 } };
	static const struct soq_sim_fault own = { SOQ_SIM_PAUSE, "b", NULL, SOQ_S, SOQ_S, 0 };
	static soq_sim_main *const program = crashes_and_steps;
	struct soq_sim_host *b;

	CHECK_OK(one_host(sim, (void *)&program));
	CHECK_OK(soq_sim_host_new(&b, sim, "b", NULL));
	CHECK_OK(soq_sim_add_fault(sim, &own));
	return soq_sim_add_chaos(sim, &chaos);
}

static unsigned occurrences(const char *text, const char *of)
{
	unsigned n = 0;

	for (; (text = strstr(text, of)); text++)
		n++;
	return n;
}

/* Of what was drawn the two faults are left that it takes; the scenario's own is not given
 * again, since the scenario adds it. */
TEST(sim_shrink)
{
	struct soq_sim_sweep s = { .name = "planted", .build = build_chaos, .seeds = 1000 };
	struct told t = sweep(s);
	const char *test;

	CHECK_EQ(t.rc, -EPROTO);
	check_tells(&t, "(not both)");
	check_tells(&t, "\nTEST(planted_seed_");
	test = strstr(t.text, "\nTEST(");
	CHECK_EQ(occurrences(test, ".kind = "), 2);
	CHECK_EQ(occurrences(test, ".kind = SOQ_SIM_CRASH, .a = \"a\""), 1);
	CHECK_EQ(occurrences(test, ".kind = SOQ_SIM_CLOCK_STEP, .a = \"a\""), 1);
	CHECK_EQ(occurrences(test, ".latency_ns = 1 * SOQ_MS,\n\t};"), 1);
	CHECK_EQ(occurrences(test, "&link, faults, 2), SOQ_SIM_FINISHED);"), 1);
	CHECK_EQ(occurrences(test, "SOQ_US"), 0); /* in which chaos draws instants */
	free(t.text);
}

/* What a sweep has printed, or like it. */
TEST(sim_replay)
{
	static const struct soq_sim_fault faults[] = {
		{ .kind = SOQ_SIM_CRASH, .a = "a", .at_ns = SOQ_S },
		{ .kind = SOQ_SIM_CLOCK_STEP, .a = "a", .at_ns = 2 * SOQ_S, .amount = SOQ_MS },
	};
	struct soq_sim_sweep s = { .name = "planted", .build = build_chaos };
	struct told t = { 0 };

	s.out = open_memstream(&t.text, &t.len);
	CHECK_EQ(soq_sim_replay(&s, 1, NULL, faults, 2), SOQ_SIM_BROKEN);
	fflush(s.out);
	check_tells(&t, "planted: seed 1, replayed: broken (not both)");
	disk.lives = 0;
	disk.has_stepped = false;
	CHECK_EQ(soq_sim_replay(&s, 1, NULL, faults, 1), SOQ_SIM_FINISHED);
	fclose(s.out);
	free(t.text);
}
