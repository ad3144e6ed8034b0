/* thread.c - the textbook's "create a thread to handle it, return to waiting".
 *
 * A thread's own stack is its first fiber and waits by poll(2) on its one descriptor, so a
 * client costs a thread and no more.
 */
#include "server/server.h"
#include <soquete/runtime.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct thread {
	struct soq__lane *lane;
	void (*main)(void *);
	void *arg;
};

static void *thread_main(void *arg)
{
	struct thread t = *(struct thread *)arg;

	free(arg);
	soq__worker_prefer(&soq__engine_epoll);
	t.main(t.arg);
	soq_thread_end();
	soq__lane_client_ended(t.lane);
	return NULL;
}

static int create(struct thread *t)
{
	size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN) + soq__page_size();
	size_t size = soq__stack_size();
	sigset_t all, former;
	pthread_attr_t attr;
	pthread_t id;
	int rc;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, size > least ? size : least);
	pthread_sigmask(SIG_BLOCK, &all, &former);
	rc = pthread_create(&id, &attr, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &former, NULL);
	pthread_attr_destroy(&attr);
	return -rc;
}

int soq__thread_run(struct soq__lane *lane, void (*main)(void *), void *arg)
{
	struct thread *t = malloc(sizeof(*t));
	int rc;

	if (!t)
		return -ENOMEM;
	*t = (struct thread){ lane, main, arg };
	soq__lane_client_began(lane);
	rc = create(t);
	if (rc < 0) {
		soq__lane_client_ended(lane);
		free(t);
	}
	return rc;
}

static void guest_main(void *arg)
{
	struct soq__guest guest = *(struct soq__guest *)arg;

	free(arg);
	soq__inline_serve(&guest);
	soq__peers_leave(guest.server->peers, &guest.peer);
}

int soq__thread_start(struct soq__lane *lane, const struct soq__site *site, int fd,
	const struct soq_addr *peer)
{
	struct soq__guest *guest = malloc(sizeof(*guest));
	int rc = -ENOMEM;

	if (guest) {
		*guest = (struct soq__guest){ lane->server, lane, site, fd, *peer };
		rc = soq__thread_run(lane, guest_main, guest);
	}
	if (rc < 0) {
		free(guest);
		soq__close_fd(fd);
	}
	return rc;
}
