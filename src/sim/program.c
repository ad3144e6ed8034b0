/* program.c - programs: each a worker (fiber/worker.h) whose stacks are switched to and from
 * the world's loop.
 *
 * A program's first fiber runs on a stack of the world's. When its engine takes a turn, on
 * whichever of its fibers' stacks, it switches back to the loop; when its engine is due, the
 * loop switches to where it left off. So at any moment at most one program runs, and the
 * thread's worker is that program's.
 *
 * A crash drops a program where it stands: its stacks and its scheduler are freed, what it had
 * allocated otherwise is not, since nobody is left who knows it.
 *
 * Invariant: a program that has a worker has an engine, a stack, and a context to go on in.
 */
#include "sim/run.h"
#include "fiber/last_error.h"
#include "fiber/switch.h"
#include "fiber/worker.h"
#include <soquete/error.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct soq__sim_program {
	struct soq__list node; /* of its host's */
	struct soq_sim_host *host;
	soq_sim_main *main;
	/* Of a thread: what it runs, and whose it is, with which it ends; NULL: the real
	 * program. */
	void (*thread_main)(void *arg);
	struct soq__sim_program *parent;
	void *arg;
	unsigned number;		/* of its host, from 1 */
	struct soq__sim_engine *engine; /* NULL: it does not run */
	struct soq__worker *worker;
	struct soq__stack *stack;
	void *context;	    /* its own, while the loop runs */
	void *loop_context; /* the loop's, while it runs */
	struct soq__annotation loop;
	bool ended;
	bool interrupted; /* by a crash: a restart starts it again */
	int result;
};

/* ---- switching ---- */

/* A process that the program has forked has an engine of its own since, and no world. */
static bool has_forked(const struct soq__sim_program *p)
{
	return p->worker->engine != &p->engine->base;
}

/* The first thing that runs after a switch to a program. */
static void arrive(struct soq__sim_program *p)
{
	soq__asan_arrive(
		&p->worker->current->annotation, &p->loop.stack_low, &p->loop.stack_bytes);
}

static void leave(struct soq__sim_program *p, bool dying)
{
	struct soq__annotation *mine = &p->worker->current->annotation;

	soq__asan_leave(dying ? NULL : &mine->fake_stack, &p->loop);
	soq__tsan_switch(p->loop.tsan_fiber);
	soq__switch(&p->context, p->loop_context);
}

void soq__sim_program_wait(struct soq__sim_program *p)
{
	leave(p, false);
	arrive(p);
}

static void program_start(void *arg)
{
	struct soq__sim_program *p = arg;

	arrive(p);
	if (p->thread_main)
		p->thread_main(p->arg);
	else
		p->result = p->main(p->arg);
	if (has_forked(p))
		_exit(p->result < 0);
	p->ended = true;
	leave(p, true);
}

static void program_end(struct soq__sim_program *p);

void soq__sim_program_run(struct soq__sim_program *p)
{
	struct soq_sim *sim = p->host->sim;
	struct soq__sim_engine *outer = soq__sim_running();
	struct soq__sim_run *run = soq__sim_run_of(sim);
	const void *low;
	size_t bytes;

	run->thread = soq__worker_swap(p->worker);
	soq__sim_set_running(p->engine);
	p->loop.tsan_fiber = soq__tsan_current();
	soq__asan_leave(&p->loop.fake_stack, &p->worker->current->annotation);
	soq__tsan_switch(p->worker->current->annotation.tsan_fiber);
	soq__switch(&p->loop_context, p->context);
	soq__asan_arrive(&p->loop, &low, &bytes);
	soq__sim_set_running(outer);
	soq__worker_swap(run->thread);
	run->thread = NULL;
	if (p->ended)
		program_end(p);
}

/* ---- life ---- */

static int start(struct soq__sim_program *p)
{
	struct soq_sim *sim = p->host->sim;
	struct soq__sim_run *run = soq__sim_run_of(sim);
	size_t bytes = sim->opt.stack_bytes ? sim->opt.stack_bytes : soq__stack_size();
	struct soq__fiber *f;

	p->stack = soq__stack_get(&run->stacks, bytes);
	if (!p->stack)
		return -ENOMEM;
	p->engine = soq__sim_engine_new(p->host);
	p->engine->program = p;
	p->worker = soq__worker_new(&p->engine->base, &run->stacks);
	if (!p->worker) {
		p->engine->base.type->close(&p->engine->base);
		p->engine = NULL;
		soq__stack_put(p->stack);
		return -ENOMEM;
	}
	f = &p->worker->main;
	f->stack = p->stack; /* for the report of an overflow */
	f->annotation.stack_low = p->stack->low;
	f->annotation.stack_bytes = (size_t)(p->stack->high - p->stack->low);
	f->annotation.tsan_fiber = soq__tsan_new();
	p->ended = p->interrupted = false;
	p->context = soq__switch_prepare(p->stack->high, program_start, p);
	run->live++;
	soq__sim_note(sim, p->host, "program %u starts", p->number);
	soq__sim_engine_resume(p->engine);
	return 0;
}

/* Free all but what is needed to start it again. @abandon  it has not ended */
static void stop(struct soq__sim_program *p, bool abandon)
{
	soq__tsan_free(p->worker->main.annotation.tsan_fiber);
	soq__worker_free(p->worker, true);
	if (abandon) {
		soq__stack_abandon(p->stack);
	} else {
		soq__asan_clean(p->stack);
		soq__stack_put(p->stack);
	}
	p->worker = NULL;
	p->engine = NULL;
	p->stack = NULL;
	soq__sim_run_of(p->host->sim)->live--;
}

/* Close what it has left open, as a kernel does: its fibers are gone, and nobody waits. */
static void close_left_open(struct soq__sim_program *p)
{
	p->host->leaked += soq__sim_fds_leave(p->engine);
}

static void program_free(struct soq__sim_program *p)
{
	soq__list_remove(&p->node);
	free(p);
}

/* What a process takes with it when it ends. */
static void end_threads(struct soq__sim_program *p)
{
	soq__list_for_each (node, &p->host->programs) {
		struct soq__sim_program *thread =
			soq__container_of(node, struct soq__sim_program, node);

		if (!thread->thread_main || thread->parent != p)
			continue;
		close_left_open(thread);
		stop(thread, true);
		program_free(thread);
	}
}

static void program_end(struct soq__sim_program *p)
{
	struct soq_sim *sim = p->host->sim;

	soq__sim_note(sim, p->host, "program %u ends%s%s", p->number, p->result < 0 ? ": " : "",
		p->result < 0 ? soq_strerror(p->result) : "");
	soq__sim_digest(sim, (uint64_t)(uint32_t)p->result);
	if (p->result < 0)
		soq__sim_end_run(sim, SOQ_SIM_FAILED,
			"program %u of host %s returned %d (%s)%s%s", p->number, p->host->name,
			p->result, soq_strerror(p->result),
			p->worker->main.last_error ? ": " : "",
			p->worker->main.last_error ? p->worker->main.last_error : "");
	end_threads(p);
	close_left_open(p);
	stop(p, false);
	if (p->thread_main)
		program_free(p);
}

static int add(struct soq_sim_host *host, const struct soq__sim_program *what)
{
	struct soq__sim_program *p = soq__sim_alloc(sizeof(*p));
	int rc;

	*p = *what;
	p->host = host;
	p->number = ++host->program_count;
	rc = start(p);
	if (rc < 0) {
		free(p);
		return rc;
	}
	soq__list_append(&host->programs, &p->node);
	return 0;
}

int soq_sim_spawn(struct soq_sim_host *host, soq_sim_main *main, void *arg)
{
	const struct soq__sim_program p = { .main = main, .arg = arg };

	if (!host->up)
		return soq__fail(-EHOSTDOWN, "the simulated host '%s' is down", host->name);
	return add(host, &p);
}

int soq__sim_thread_start(struct soq__engine *base, void (*main)(void *arg), void *arg)
{
	const struct soq__sim_engine *e = soq__sim_engine_of(base);
	struct soq__sim_program *parent = e->program;
	const struct soq__sim_program p = {
		.thread_main = main,
		.parent = parent && parent->thread_main ? parent->parent : parent,
		.arg = arg,
	};

	return add(e->host, &p);
}

void soq__sim_programs_crash(struct soq_sim_host *host)
{
	soq__list_for_each (node, &host->programs) {
		struct soq__sim_program *p =
			soq__container_of(node, struct soq__sim_program, node);

		if (!p->engine)
			continue;
		p->interrupted = true;
		stop(p, true);
		if (p->thread_main)
			program_free(p);
	}
}

int soq__sim_programs_restart(struct soq_sim_host *host)
{
	int rc = 0;

	soq__list_for_each (node, &host->programs) {
		struct soq__sim_program *p =
			soq__container_of(node, struct soq__sim_program, node);

		if (p->interrupted && rc == 0)
			rc = start(p);
	}
	return rc;
}

void soq__sim_programs_free(struct soq_sim_host *host)
{
	struct soq__list *node;

	while ((node = soq__list_pop(&host->programs))) {
		struct soq__sim_program *p =
			soq__container_of(node, struct soq__sim_program, node);

		if (p->engine)
			stop(p, true);
		free(p);
	}
}

unsigned soq__sim_programs_count(const struct soq_sim_host *host, unsigned *ret_fibers)
{
	unsigned count = 0;

	*ret_fibers = 0;
	soq__list_for_each (node, &host->programs) {
		const struct soq__sim_program *p =
			soq__container_of(node, struct soq__sim_program, node);

		if (!p->engine)
			continue;
		count++;
		*ret_fibers += (unsigned)p->worker->fiber_count;
	}
	return count;
}

/* ---- what they wait for ---- */

static const char *verb_of(enum soq__op_code code)
{
	static const char *const verbs[] = {
		[SOQ__OP_RECV] = "to receive",
		[SOQ__OP_SEND] = "to send",
		[SOQ__OP_RECVMSG] = "to receive",
		[SOQ__OP_SENDMSG] = "to send",
		[SOQ__OP_ACCEPT] = "to accept",
		[SOQ__OP_CONNECT] = "to connect",
		[SOQ__OP_POLL] = "for events",
	};

	return verbs[code];
}

static void describe_op(struct soq_sim *sim, const struct soq__op *op, FILE *out)
{
	const struct soq__sim_socket *s = soq__sim_socket_of(sim, op->socket->fd);
	char text[256] = "a descriptor that is closed";

	if (s)
		s->proto->describe(s, text, sizeof(text));
	fprintf(out, "waits %s: %s%s%s", verb_of(op->code), s ? s->proto->name : "",
		s ? " " : "", text);
}

static void describe_fiber(
	struct soq_sim_host *host, unsigned program, const struct soq__fiber *f, FILE *out)
{
	const struct soq__worker *w = f->worker;

	fprintf(out, "  %s, program %u, fiber %s: ", host->name, program,
		f->name ? f->name : "unnamed");
	if (f->op)
		describe_op(host->sim, f->op, out);
	else if (f->waits_for)
		fprintf(out, "waits for %s", f->waits_for);
	else
		fprintf(out,
			f->state == SOQ__FIBER_SUSPENDED && f != w->current
				? "waits for a fiber"
				: "runs");
	if (f->alarm.at_ns != SOQ_NEVER)
		fprintf(out, ", until %lld.%09lld s of its clock",
			(long long)(f->alarm.at_ns / SOQ_S),
			(long long)(f->alarm.at_ns % SOQ_S));
	fputc('\n', out);
}

static void describe_worker(
	struct soq_sim_host *host, unsigned program, const struct soq__worker *w, FILE *out)
{
	describe_fiber(host, program, &w->main, out);
	soq__list_for_each (node, &w->fibers)
		describe_fiber(host, program,
			soq__container_of(node, struct soq__fiber, worker_node), out);
}

void soq__sim_programs_describe(struct soq_sim *sim, FILE *out)
{
	const struct soq__worker *thread = soq__sim_run_of(sim)->thread;

	if (sim->implicit)
		describe_worker(sim->implicit->host, 0, thread ? thread : soq__worker(), out);
	for (size_t i = 0; i < sim->host_count; i++) {
		struct soq_sim_host *host = sim->hosts[i];

		if (!host->up || host->paused)
			fprintf(out, "  %s is %s\n", host->name, host->up ? "paused" : "down");
		soq__list_for_each (node, &host->programs) {
			const struct soq__sim_program *p =
				soq__container_of(node, struct soq__sim_program, node);

			if (p->engine)
				describe_worker(host, p->number, p->worker, out);
		}
	}
}
