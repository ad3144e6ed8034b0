/* program.c - how simulated programs begin and end, and what they leave to others. */
#include "aborts.h"
#include "sim/sim.h"
#include <soquete/sim.h>
#include <soquete/soquete.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

/* A checker of addresses keeps abandoned stacks, since something may be reached from them. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEPS_STACKS true
#else
#define KEEPS_STACKS false
#endif

/* A world with two hosts. */
static struct {
	struct soq_sim *sim;
	struct soq_sim_host *a, *b;
	struct soq_event *event;
	struct soq_queue *queue;
	struct soq_mutex *mutex;
	unsigned ended;
} world;

static void begin(void)
{
	CHECK_OK(soq_sim_new(&world.sim, 1, NULL));
	CHECK_OK(soq_sim_host_new(&world.a, world.sim, "a", NULL));
	CHECK_OK(soq_sim_host_new(&world.b, world.sim, "b", NULL));
}

/* The thread has an engine of its own only if it has asked what an error was. */
static void end(void)
{
	soq_sim_free(world.sim);
	CHECK_OK(soq_thread_end());
}

/* ---- waiting for what others have ---- */

static void wait_event(void *arg)
{
	(void)arg;
	soq_event_wait(world.event);
	world.ended++;
}

static void wait_queue(void *arg)
{
	void *item;

	(void)arg;
	soq_queue_get(world.queue, &item);
	world.ended++;
}

static void wait_mutex(void *arg)
{
	(void)arg;
	soq_mutex_lock(world.mutex);
	world.ended++;
}

/* Fibers wait, and so does the program, unless it is to end before them. */
static int waiter_main(void *arg)
{
	static void (*const waits[])(void *) = { wait_event, wait_queue, wait_mutex };
	struct soq_scope *scope;

	CHECK_OK(soq_scope_open(&scope));
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++)
		CHECK_OK(soq_spawn(scope, waits[i], NULL));
	if (!arg)
		return soq_event_wait(world.event);
	return soq_sleep(SOQ_MS);
}

/* What the waiters have left behind is not looked at. */
static int giver_main(void *arg)
{
	void *item;

	(void)arg;
	CHECK_OK(soq_mutex_lock(world.mutex));
	CHECK_OK(soq_sleep(2 * SOQ_S));
	soq_event_set(world.event);
	CHECK_OK(soq_mutex_unlock(world.mutex));
	CHECK_OK(soq_mutex_trylock(world.mutex));
	CHECK_OK(soq_mutex_unlock(world.mutex));
	CHECK_OK(soq_queue_put(world.queue, &world));
	CHECK_OK(soq_queue_get(world.queue, &item));
	CHECK(item == &world);
	return 0;
}

static void begin_sharing(void)
{
	begin();
	CHECK_OK(soq_event_new(&world.event));
	CHECK_OK(soq_queue_new(&world.queue, 1));
	CHECK_OK(soq_mutex_new(&world.mutex));
	CHECK_OK(soq_sim_spawn(world.b, giver_main, NULL));
}

static void free_shared(void)
{
	soq_event_free(world.event);
	soq_queue_free(world.queue);
	soq_mutex_free(world.mutex);
}

/* A program that others share an event with is gone, or ends before its fibers: nobody wakes
 * what is no more. */
TEST(sim_program_gone_while_waiting)
{
	static const struct soq_sim_fault crash = {
		.kind = SOQ_SIM_CRASH, .a = "a", .at_ns = SOQ_S, .duration_ns = SOQ_NEVER
	};

	for (unsigned ends = 0; ends < 2; ends++) {
		ROW("it %s", ends ? "ends" : "crashes");
		begin_sharing();
		CHECK_OK(soq_sim_add_fault(world.sim, &crash));
		CHECK_OK(soq_sim_spawn(world.a, waiter_main, ends ? &world : NULL));
		CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_FINISHED);
		CHECK_EQ(world.ended, 0);
		end();
		free_shared();
	}
}

/* What a fiber waits for when its world ends may be gone before. */
TEST(sim_program_waits_for_what_is_gone)
{
	begin_sharing();
	CHECK_OK(soq_sim_spawn(world.a, waiter_main, NULL));
	CHECK_EQ(soq_sim_run(world.sim, SOQ_S), SOQ_SIM_TIME_LIMIT);
	free_shared();
	end();
}

/* ---- descriptors that are passed on ---- */

struct pass {
	const char *name;
	int64_t sender_stays_ns;   /* after it has sent a copy */
	bool sender_keeps;	   /* its own, and uses it at the end */
	int64_t receiver_waits_ns; /* before it takes the copy */
	int64_t receiver_holds_ns; /* the copy, before it uses it */
	bool receiver_leaves;	   /* the copy open, for its end to close */
};

static int answer(struct soq_stream *peer, void *arg)
{
	char line[16];

	(void)arg;
	while (soq_recv_line(peer, line, sizeof(line)) >= 0)
		CHECK_OK(soq_send_text(peer, "answer\n"));
	world.ended++;
	return SOQ_DONE;
}

static int answering_main(void *arg)
{
	struct soq_server_options opt = { .stop_on_signals = true };

	(void)arg;
	return soq_serve("tcp://:7", answer, NULL, &opt);
}

static void ask(struct soq_stream *s)
{
	char line[16];

	CHECK_EQ(soq_send_text(s, "question\n"), 9);
	CHECK_EQ(soq_recv_line(s, line, sizeof(line)), 6);
	CHECK_STR(line, "answer");
}

static int sender_main(void *arg)
{
	const struct pass *row = arg;
	struct soq_stream *path, *s;

	CHECK_OK(soq_sleep(SOQ_MS));
	CHECK_OK(soq_connect(&path, "unix:///run/pass"));
	CHECK_OK(soq_connect(&s, "tcp://b:7"));
	CHECK_OK(soq_send_fd(path, soq_fd(s)));
	soq_close(path);
	if (!row->sender_keeps)
		soq_close(s);
	CHECK_OK(soq_sleep(row->sender_stays_ns));
	if (row->sender_keeps) {
		ask(s);
		soq_close(s);
	}
	return 0;
}

static int receiver_main(void *arg)
{
	const struct pass *row = arg;
	struct soq_listener *l;
	struct soq_stream *path, *s;
	int fd;

	CHECK_OK(soq_listen(&l, "unix:///run/pass", NULL));
	CHECK_OK(soq_accept(&path, l));
	CHECK_OK(soq_sleep(row->receiver_waits_ns));
	CHECK_OK(soq_recv_fd(path, &fd));
	CHECK_OK(soq_adopt(&s, fd));
	soq_close(path);
	soq_listener_close(l);
	CHECK_OK(soq_sleep(row->receiver_holds_ns));
	ask(s);
	if (row->receiver_leaves)
		CHECK_EQ(soq_detach(s), fd);
	else
		soq_close(s);
	return 0;
}

/* A descriptor that is passed on is a copy: neither end of it is the other's business, and the
 * connection ends with the last. */
TEST(sim_program_passes_descriptor)
{
	static const struct pass rows[] = {
		{ "the sender ends first", 1 * SOQ_S, false, 0, 3 * SOQ_S, false },
		{ "the sender ends while it is on its way", 0, false, 1 * SOQ_S, 0, false },
		{ "the receiver ends first", 3 * SOQ_S, true, 0, 1 * SOQ_S, false },
		{ "the receiver leaves it open", 3 * SOQ_S, true, 0, 1 * SOQ_S, true },
	};
	struct soq_sim_census c;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		ROW("%s", rows[i].name);
		begin();
		world.ended = 0;
		CHECK_OK(soq_sim_spawn(world.b, answering_main, NULL));
		CHECK_OK(soq_sim_spawn(world.a, receiver_main, (void *)&rows[i]));
		CHECK_OK(soq_sim_spawn(world.a, sender_main, (void *)&rows[i]));
		CHECK_EQ(soq_sim_run(world.sim, 10 * SOQ_S), SOQ_SIM_TIME_LIMIT);
		CHECK_EQ(world.ended, 1);
		soq_sim_census(world.a, &c);
		CHECK_EQ(c.programs, 0);
		CHECK_EQ(c.descriptors, 0);
		CHECK_EQ(c.leaked, rows[i].receiver_leaves);
		CHECK_EQ(c.connections, 0);
		soq_sim_signal(world.b, SIGTERM);
		CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_FINISHED);
		end();
	}
}

/* ---- stacks ---- */

static void end_at_once(void *arg)
{
	(void)arg;
}

/* When it waits, it does so on the stack of its fiber, which has ended. */
static int wait_on_ended_main(void *arg)
{
	struct soq_scope *scope;

	(void)arg;
	CHECK_OK(soq_scope_open(&scope));
	CHECK_OK(soq_spawn(scope, end_at_once, NULL));
	CHECK_OK(soq_sleep(SOQ_S));
	soq_scope_close(scope);
	return 0;
}

/* In pages. */
static long memory_mapped(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages;

	CHECK(f && fscanf(f, "%ld", &pages) == 1);
	fclose(f);
	return pages;
}

#define CRASHES	     200
#define PAGES_A_SLAB (256 / 4 * 32)

/* A crash gives back every stack, the one too that nobody runs on any more. */
TEST(sim_program_stacks_after_crashes)
{
	long before = 0;

	begin();
	CHECK_OK(soq_sim_spawn(world.a, wait_on_ended_main, NULL));
	for (int i = 0; i < CRASHES; i++) {
		if (i == 1)
			before = memory_mapped();
		CHECK_EQ(soq_sim_run(world.sim, soq_sim_now(world.sim) + SOQ_S / 2),
			SOQ_SIM_TIME_LIMIT);
		CHECK_OK(soq_sim_crash(world.a));
		CHECK_OK(soq_sim_restart(world.a));
	}
	ROW("%ld pages more", memory_mapped() - before);
	/* A leak checker is shown what the abandoned ones point to. */
	CHECK(KEEPS_STACKS || memory_mapped() - before < PAGES_A_SLAB);
	end();
}

/* ---- signals ---- */

static int wait_for_signals(void *arg)
{
	static const int signals[] = { SIGTERM, SIGHUP };

	(void)arg;
	CHECK_EQ(soq_wait_signal(signals, 2), SIGTERM);
	CHECK_EQ(soq_wait_signal(signals, 1), SIGTERM);
	world.ended++;
	return 0;
}

static int send_signals(void *arg)
{
	(void)arg;
	CHECK_OK(soq_sleep(SOQ_S));
	soq_sim_signal(world.a, SIGTERM);
	CHECK_OK(soq_sleep(SOQ_S));
	soq_sim_signal(world.a, SIGTERM);
	return 0;
}

/* A signal is for each program that is there, whether it waits already or not, and for none
 * that comes later. */
TEST(sim_program_signals_reach_each)
{
	begin();
	world.ended = 0;
	soq_sim_signal(world.a, SIGTERM);
	for (int i = 0; i < 3; i++)
		CHECK_OK(soq_sim_spawn(world.a, wait_for_signals, NULL));
	CHECK_OK(soq_sim_spawn(world.b, send_signals, NULL));
	CHECK_EQ(soq_sim_run(world.sim, SOQ_S * 3 / 2), SOQ_SIM_TIME_LIMIT);
	CHECK_EQ(world.ended, 0);
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	CHECK_EQ(world.ended, 3);
	end();
}

/* ---- running without an end ---- */

#define BUSY_NS	   (10 * SOQ_MS)
#define IDLE_LEAST 1000 /* rounds, which are over long before */

struct busy {
	const char *name;
	void (*act)(struct soq_stream *ended, struct soq_stream *silent, struct soq_dgram *d);
	enum soq_sim_verdict verdict;
};

static void just_yield(struct soq_stream *ended, struct soq_stream *silent, struct soq_dgram *d)
{
	(void)ended;
	(void)silent;
	(void)d;
}

static void read_end(struct soq_stream *ended, struct soq_stream *silent, struct soq_dgram *d)
{
	char byte;

	(void)silent;
	(void)d;
	CHECK_EQ(soq_recv(ended, &byte, 1), 0);
}

static void poll_input(struct soq_stream *ended, struct soq_stream *silent, struct soq_dgram *d)
{
	char byte;

	(void)ended;
	(void)d;
	CHECK_ERR(soq_recv(silent, &byte, 1), -ETIMEDOUT);
}

static void send_one(struct soq_stream *ended, struct soq_stream *silent, struct soq_dgram *d)
{
	(void)ended;
	(void)silent;
	CHECK_EQ(soq_sendto(d, "", 0, NULL), 0);
}

static void send_batch(struct soq_stream *ended, struct soq_stream *silent, struct soq_dgram *d)
{
	char byte = 0;
	struct soq_packet p = { .data = &byte, .len = 1 };

	(void)ended;
	(void)silent;
	CHECK_EQ(soq_send_packets(d, &p, 1), 1);
}

static int busy_main(void *arg)
{
	const struct busy *row = arg;
	struct soq_stream *silent[2], *ended[2];
	struct soq_dgram *d;

	CHECK_OK(soq_pair(silent));
	CHECK_OK(soq_pair(ended));
	soq_close(ended[1]);
	soq_set_recv_timeout(silent[0], 0);
	CHECK_OK(soq_sleep(SOQ_MS));
	CHECK_OK(soq_dgram_connect(&d, "udp://b:9"));
	/* So many have come to nothing already. */
	soq__sim_running()->idle_rounds = SOQ__SIM_IDLE_ROUNDS_MAX - IDLE_LEAST;
	while (soq_sim_now(world.sim) < BUSY_NS) {
		row->act(ended[0], silent[0], d);
		CHECK_OK(soq_yield());
	}
	soq_dgram_close(d);
	soq_close(ended[0]);
	soq_close(silent[0]);
	soq_close(silent[1]);
	return 0;
}

/* Has a socket, and reads nothing. */
static int deaf_main(void *arg)
{
	struct soq_dgram *d;

	(void)arg;
	CHECK_OK(soq_dgram_open(&d, "udp://:9"));
	CHECK_OK(soq_sleep(2 * BUSY_NS));
	soq_dgram_close(d);
	return 0;
}

/* Who never waits is in a livelock if nothing comes of what he does, and only then. */
TEST(sim_program_livelock)
{
	static const struct busy rows[] = {
		{ "yields", just_yield, SOQ_SIM_LIVELOCK },
		{ "reads an end again and again", read_end, SOQ_SIM_LIVELOCK },
		{ "asks for input that never comes", poll_input, SOQ_SIM_LIVELOCK },
		{ "sends, nothing even", send_one, SOQ_SIM_FINISHED },
		{ "sends in batches", send_batch, SOQ_SIM_FINISHED },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		ROW("who %s", rows[i].name);
		begin();
		CHECK_OK(soq_sim_spawn(world.a, busy_main, (void *)&rows[i]));
		CHECK_OK(soq_sim_spawn(world.b, deaf_main, NULL));
		CHECK_EQ(soq_sim_run(world.sim, 4 * BUSY_NS), rows[i].verdict);
		end();
	}
}

/* ---- halting ---- */

static int halt_and_fail(void *arg)
{
	(void)arg;
	soq_sim_halt(world.sim);
	CHECK_OK(soq_sleep(SOQ_S));
	return -EIO;
}

/* A halt ends the run that it comes in, or the next; a run that has failed has no next. */
TEST(sim_program_halts)
{
	begin();
	CHECK_OK(soq_sim_spawn(world.a, halt_and_fail, NULL));
	soq_sim_halt(world.sim);
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_HALTED);
	CHECK_EQ(soq_sim_now(world.sim), 0);
	soq_sim_halt(world.sim);
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_HALTED);
	CHECK_EQ(soq_sim_now(world.sim), 0);
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_HALTED);
	CHECK(soq_sim_now(world.sim) > 0);
	CHECK(soq_sim_now(world.sim) < SOQ_S);
	CHECK_EQ(soq_sim_run(world.sim, SOQ_S / 2), SOQ_SIM_TIME_LIMIT);
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_FAILED);
	soq_sim_halt(world.sim);
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_FAILED);
	CHECK(strstr(soq_sim_report(world.sim), "failed: program 1 of host a returned -5"));
	end();
}

/* ---- what a program cannot do ---- */

static int run_within(void *arg)
{
	(void)arg;
	soq_sim_run(world.sim, SOQ_NEVER);
	return 0;
}

static int free_within(void *arg)
{
	(void)arg;
	soq_sim_free(world.sim);
	return 0;
}

static void run_a_runner(void)
{
	begin();
	CHECK_OK(soq_sim_spawn(world.a, run_within, NULL));
	soq_sim_run(world.sim, SOQ_NEVER);
}

static void run_a_freer(void)
{
	begin();
	CHECK_OK(soq_sim_spawn(world.a, free_within, NULL));
	soq_sim_run(world.sim, SOQ_NEVER);
}

/* The world is what a program stands on. */
TEST(sim_program_cannot_run_or_free)
{
	static const char *const run[] = { "a simulated program cannot run a world", NULL };
	static const char *const free[] = { "a simulated program cannot free a world", NULL };

	check_aborts(run_a_runner, run);
	check_aborts(run_a_freer, free);
}

static int fork_and_return(void *arg)
{
	int status;
	pid_t pid = fork();

	(void)arg;
	if (pid == 0)
		return soq_sim_here() ? 0 : -EIO;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 1);
	world.ended++;
	return 0;
}

/* A process that a program forks has left the world, and ends where the program would. */
TEST(sim_program_forks)
{
	begin();
	CHECK_OK(soq_sim_spawn(world.a, fork_and_return, NULL));
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	CHECK_EQ(world.ended, 1);
	end();
}

static int sleep_main(void *arg)
{
	(void)arg;
	return soq_sleep(SOQ_S);
}

/* Why nothing goes on is told, too. */
TEST(sim_program_paused_for_ever)
{
	begin();
	CHECK_OK(soq_sim_spawn(world.a, sleep_main, NULL));
	CHECK_OK(soq_sim_pause(world.a));
	CHECK_OK(soq_sim_crash(world.b));
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_DEADLOCK);
	CHECK(strstr(soq_sim_report(world.sim), "  a is paused\n"));
	CHECK(strstr(soq_sim_report(world.sim), "  b is down\n"));
	CHECK_OK(soq_sim_restart(world.b));
	CHECK_OK(soq_sim_resume(world.a));
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	end();
}

/* ---- what a crash takes ---- */

/* Sends a datagram to itself, and in its second life waits for it. */
static int remember(void *arg)
{
	struct soq_dgram *d;
	char byte;

	CHECK_OK(soq_dgram_open(&d, "udp://127.0.0.1:9"));
	if (world.ended++ == 0) {
		struct soq_addr self;

		CHECK_OK(soq_dgram_addr(d, &self));
		CHECK_EQ(soq_sendto(d, arg, 1, &self), 1);
	}
	soq_dgram_set_recv_timeout(d, 2 * SOQ_S);
	CHECK_ERR(soq_recvfrom(d, &byte, 1, NULL), -ETIMEDOUT);
	soq_dgram_close(d);
	return 0;
}

/* What a host sends to itself is within it, and gone with it. */
TEST(sim_program_forgets_what_it_sent_itself)
{
	static const struct soq_sim_fault crash = {
		.kind = SOQ_SIM_CRASH, .a = "a", .at_ns = SOQ_S / 2, .duration_ns = SOQ_S / 4
	};
	struct soq_sim_link slow = { .latency_ns = SOQ_S };

	begin();
	world.ended = 0;
	CHECK_OK(soq_sim_link(world.a, world.a, &slow));
	CHECK_OK(soq_sim_add_fault(world.sim, &crash));
	CHECK_OK(soq_sim_spawn(world.a, remember, (void *)"x"));
	CHECK_EQ(soq_sim_run(world.sim, SOQ_NEVER), SOQ_SIM_FINISHED);
	CHECK_EQ(world.ended, 2);
	end();
}
