/* offload.c - a small pool of threads for what blocks.
 *
 * One pool for the process: threads start when work waits and none is idle, up to
 * THREADS_MAX, and end after IDLE_S seconds without work. A child of fork starts with an
 * empty pool of its own.
 */
#include <soquete/fiber.h>
#include <soquete/time.h>
#include "fiber/worker.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define THREADS_MAX 8
#define IDLE_S	    10

/* Queued, running, or ended. On the heap, since its caller may leave it behind. */
struct job {
	struct soq__list node; /* while queued */
	void (*fn)(void *);
	void *arg;
	void (*abandoned)(void *); /* NULL: the caller waits to the end */
	bool left_behind;
	bool running;
	bool ended;
	struct soq__waiter waiter;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct soq__list queue;
	unsigned queued;
	unsigned threads;
	unsigned idle;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void pool_reset(void)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&pool.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&pool.work, &attr);
	pthread_condattr_destroy(&attr);
	soq__list_init(&pool.queue);
	pool.queued = pool.threads = pool.idle = 0;
}

static void pool_init(void)
{
	pool_reset();
	pthread_atfork(NULL, NULL, pool_reset);
}

static void run(struct job *job)
{
	job->running = true;
	pool.queued--;
	pthread_mutex_unlock(&pool.lock);
	job->fn(job->arg);
	pthread_mutex_lock(&pool.lock);
	job->ended = true;
	if (!job->left_behind) {
		soq__waiter_wake(&job->waiter);
		return;
	}
	pthread_mutex_unlock(&pool.lock);
	job->abandoned(job->arg);
	free(job);
	pthread_mutex_lock(&pool.lock);
}

/* @return false when there was none for a while */
static bool await_work(void)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_S;
	pool.idle++;
	while (soq__list_empty(&pool.queue) && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&pool.work, &pool.lock, &until);
	pool.idle--;
	return !soq__list_empty(&pool.queue);
}

static void *thread_main(void *arg)
{
	struct soq__list *node;

	(void)arg;
	pthread_mutex_lock(&pool.lock);
	do
		while ((node = soq__list_pop(&pool.queue)))
			run(soq__container_of(node, struct job, node));
	while (await_work());
	pool.threads--;
	pthread_mutex_unlock(&pool.lock);
	return NULL;
}

/* Signals are for the program's own threads. */
static int start_thread(void)
{
	pthread_attr_t attr;
	sigset_t all, former;
	pthread_t thread;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_BLOCK, &all, &former);
	rc = pthread_create(&thread, &attr, thread_main, NULL);
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	pthread_attr_destroy(&attr);
	return -rc;
}

/* Queue a job; the lock is held. @return 0, -EAGAIN when no thread could be had at all */
static int enqueue(struct job *job)
{
	if (pool.queued >= pool.idle && pool.threads < THREADS_MAX) {
		if (start_thread() == 0)
			pool.threads++;
		else if (pool.threads == 0)
			return -EAGAIN;
	}
	soq__list_append(&pool.queue, &job->node);
	pool.queued++;
	pthread_cond_signal(&pool.work);
	return 0;
}

/* The wait ended early: take the job back, leave it behind, or wait for its end after all.
 * @return whether it ran, or runs no more for us; *@ret_mine whether to free it */
static int give_up(struct job *job, int reason, bool *ret_mine)
{
	struct soq__fiber *f = job->waiter.fiber;
	bool shielded = f->shielded;

	pthread_mutex_lock(&pool.lock);
	if (!job->running) {
		soq__list_remove(&job->node);
		pool.queued--;
		pthread_mutex_unlock(&pool.lock);
		return reason;
	}
	if (job->abandoned && !job->ended) {
		job->left_behind = true;
		*ret_mine = false;
		pthread_mutex_unlock(&pool.lock);
		return reason;
	}
	f->shielded = true;
	soq__wait_granted(&job->waiter, &pool.lock);
	f->shielded = shielded;
	return 0;
}

/* Wait for a queued job; the lock is held on entry, and released. */
static int await_job(struct job *job, bool *ret_mine)
{
	int rc = soq__wait_granted(&job->waiter, &pool.lock);

	return rc == 0 ? 0 : give_up(job, rc, ret_mine);
}

/* @return 0 when the function ran; *@ret_mine false when it still runs, left behind */
static int offload(struct soq__worker *w, const struct job *what, bool *ret_mine)
{
	struct job *job;
	int rc = soq__worker_listen(w);

	if (rc < 0)
		return rc;
	job = malloc(sizeof(*job));
	if (!job)
		return -ENOMEM;
	*job = *what;
	job->waiter.fiber = w->current;
	job->waiter.what = "offloaded work";
	soq__list_init(&job->waiter.node);
	pthread_mutex_lock(&pool.lock);
	rc = enqueue(job);
	if (rc == 0)
		rc = await_job(job, ret_mine);
	else
		pthread_mutex_unlock(&pool.lock);
	if (*ret_mine)
		free(job);
	return rc;
}

/* Until an instant, whatever else comes. A shield would keep the alarm away too. */
static void sleep_out(struct soq__worker *w, int64_t until_ns)
{
	while (w->engine->type->now(w->engine) < until_ns)
		soq__suspend(w, until_ns);
}

/* Without threads, in virtual time: work waits, runs at once, and its result takes its time.
 * Given up before it runs it does not run; given up later it is left behind, or awaited. */
static int offload_simulated(struct soq__worker *w, const struct job *what)
{
	int64_t (*delay)(struct soq__engine * e) = w->engine->type->offload_delay;
	int rc = soq_sleep(delay(w->engine));

	if (rc < 0)
		return rc;
	what->fn(what->arg);
	if (what->abandoned)
		return soq_sleep(delay(w->engine));
	sleep_out(w, soq__after(soq_now(), delay(w->engine)));
	return 0;
}

int soq__offload(void (*fn)(void *), void *arg, void (*abandoned)(void *))
{
	struct soq__worker *w = soq__worker();
	struct job what = { .fn = fn, .arg = arg, .abandoned = abandoned };
	int rc = soq__check(w->current);
	bool mine = true;

	pthread_once(&once, pool_init);
	if (rc == 0 && w->engine->type->offload_delay)
		rc = offload_simulated(w, &what);
	else if (rc == 0)
		rc = offload(w, &what, &mine);
	if (rc < 0 && mine && abandoned)
		abandoned(arg);
	return rc;
}

int soq_offload(void (*fn)(void *), void *arg)
{
	return soq__offload(fn, arg, NULL);
}
