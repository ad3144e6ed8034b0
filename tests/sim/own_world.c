/* own_world.c - the world that a thread has to itself where the engine is sim: other programs
 * in it, and what is asked and told of it. */
#include "aborts.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <sys/wait.h>
#include <unistd.h>

static struct soq_sim *own_world(void)
{
	CHECK_OK(soq_yield());
	return soq_sim_of(soq_sim_here());
}

/* ---- properties ---- */

static bool flag;

static bool is_set(void *arg)
{
	(void)arg;
	return flag;
}

/* What is to come in time need not stay. */
SIM(sim_own_world_eventually)
{
	CHECK_OK(soq_sim_eventually(own_world(), is_set, NULL, 5 * SOQ_S, "it is set"));
	CHECK_OK(soq_sleep(SOQ_S));
	flag = true;
	CHECK_OK(soq_sleep(SOQ_S));
	flag = false;
	CHECK_OK(soq_sleep(10 * SOQ_S));
}

static void break_a_promise(void)
{
	soq_sim_halt(own_world());
	SOQ_ALWAYS(!soq_sim_here(), "there is no world");
}

/* There is no run that soq_sim_halt() could end, and nothing that it could hide. */
SIM(sim_own_world_cannot_halt)
{
	static const char *const says[] = { "broken: there is no world", NULL };

	check_aborts(break_a_promise, says);
}

static int break_from_a_program(void *arg)
{
	(void)arg;
	soq_set_fiber_name("theirs");
	SOQ_ALWAYS(soq_now() < 0, "time has not begun");
	return 0;
}

static void spawn_and_wait(void)
{
	struct soq_sim_host *other;

	CHECK_OK(soq_sim_host_new(&other, own_world(), "other", NULL));
	CHECK_OK(soq_sim_spawn(other, break_from_a_program, NULL));
	soq_set_fiber_name("ours");
	soq_sleep(SOQ_S);
}

/* The report tells the thread's own fibers from those of the program that is to blame. */
SIM(sim_own_world_report)
{
	static const char *const says[] = { "broken: time has not begun",
		"host, program 0, fiber ours: waits for an instant",
		"other, program 1, fiber theirs: runs", NULL };

	check_aborts(spawn_and_wait, says);
}

/* ---- other programs ---- */

static int answer(struct soq_stream *peer, void *arg)
{
	(void)arg;
	CHECK_OK(soq_send_text(peer, "hello\n"));
	return SOQ_DONE;
}

static int answering_main(void *arg)
{
	(void)arg;
	return soq_serve("tcp://:7", answer, NULL, NULL);
}

static void check_answer(void)
{
	struct soq_stream *s;
	char line[16];

	CHECK_OK(soq_sleep(SOQ_MS));
	CHECK_OK(soq_connect(&s, "tcp://other:7"));
	CHECK_EQ(soq_recv_line(s, line, sizeof(line)), 5);
	soq_close(s);
}

/* The thread is a program among others, whose hosts may crash, and which end with its world. */
SIM(sim_own_world_other_programs)
{
	struct soq_sim_host *other;

	CHECK_OK(soq_sim_host_new(&other, own_world(), "other", NULL));
	CHECK_OK(soq_sim_spawn(other, answering_main, NULL));
	check_answer();
	CHECK_OK(soq_sim_crash(other));
	CHECK_OK(soq_sim_restart(other));
	check_answer();
	CHECK_OK(soq_thread_end());
	CHECK(!soq_sim_here());
	CHECK_OK(soq_yield());
	CHECK(!soq_sim_host_find(own_world(), "other"));
}

/* A forked process has a world of its own. */
SIM(sim_own_world_forked)
{
	struct soq_sim_host *other;
	int status;
	pid_t pid;

	CHECK_OK(soq_sim_host_new(&other, own_world(), "other", NULL));
	pid = fork();
	if (pid == 0) {
		CHECK(!soq_sim_host_find(own_world(), "other"));
		CHECK_OK(soq_sleep(SOQ_S));
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_OK(soq_sleep(SOQ_S));
	CHECK(soq_sim_host_find(own_world(), "other") == other);
}
