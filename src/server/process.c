/* process.c - the textbook's "create a process to handle it, return to waiting".
 *
 * A crash kills one client only. Children are watched through pidfds, so that the
 * program's own children and its SIGCHLD are left alone.
 *
 * Source: fork(2), pidfd_open(2), waitpid(2).
 */
#include "server/server.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	struct soq__list node; /* on the lane's list */
	struct soq__lane *lane;
	pid_t pid;
	struct soq_addr peer; /* len 0 for a datagram's child */
	struct soq__socket pidfd;
	struct soq__op op;
};

/* ---- the parent's side ---- */

static void log_end(const struct child *c, int status)
{
	if (WIFSIGNALED(status))
		soq__log(c->lane->server, "client's process %d was ended by signal %d (%s)",
			(int)c->pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
}

static void child_ended(struct soq__op *op)
{
	struct child *c = op->owner;
	struct soq__lane *lane = c->lane;
	int status = 0;

	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	log_end(c, status);
	lane->worker->engine->type->close_socket(lane->worker->engine, &c->pidfd);
	soq__list_remove(&c->node);
	if (c->peer.len > 0)
		soq__peers_leave(lane->server->peers, &c->peer);
	free(c);
	soq__lane_client_ended(lane);
}

static void watch(struct child *c)
{
	struct soq__engine *e = c->lane->worker->engine;

	c->op = (struct soq__op){
		.code = SOQ__OP_POLL,
		.socket = &c->pidfd,
		.events = POLLIN,
		.complete = child_ended,
		.owner = c,
	};
	soq__list_init(&c->op.node);
	if (!e->type->submit(e, &c->op))
		return;
	if (c->op.result < 0)
		kill(c->pid, SIGKILL); /* it cannot be watched, and must not be waited for */
	child_ended(&c->op);
}

void soq__processes_kill(struct soq__lane *lane)
{
	soq__list_for_each (node, &lane->children)
		kill(soq__container_of(node, struct child, node)->pid, SIGKILL);
}

/* ---- the child's side ---- */

_Noreturn static void child_main(struct soq__lane *lane, void (*main)(void *), void *arg)
{
	struct soq__fiber *f = soq__current();
	sigset_t stops;

	/* The acceptor's cancellation is not the client's: a stop may have come between its
	 * accept and here. */
	f->cancelled = false;
	f->deadline_ns = SOQ_NEVER;
	/* A terminal sends SIGINT to the whole group: it stays the server's, which lets
	 * requests in flight end. SIGTERM can be meant for this process alone. */
	sigemptyset(&stops);
	sigaddset(&stops, SIGTERM);
	if (lane->server->opt.stop_on_signals)
		pthread_sigmask(SIG_UNBLOCK, &stops, NULL);
	for (size_t i = 0; i < lane->server->site_count; i++)
		if (lane->listeners[i])
			soq__listener_abandon(lane->listeners[i]);
	main(arg);
	fflush(NULL);
	_exit(0);
}

/* ---- starting ---- */

/* A child without a pidfd could not be reaped in time: end it at once. */
static int cannot_watch(pid_t pid)
{
	int rc = -errno;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return rc;
}

/* @fd  what only the child needs, or -1: closed here, and before the child's pidfd is
 *      opened, or the last free descriptor would be taken by the client and its child
 *      could not be watched */
static int run(struct soq__lane *lane, void (*main)(void *), void *arg, int fd,
	const struct soq_addr *peer)
{
	struct child *c = calloc(1, sizeof(*c));
	int pidfd = -1, rc;

	if (!c) {
		if (fd >= 0)
			soq__close_fd(fd);
		return -ENOMEM;
	}
	fflush(NULL); /* or the child would write out what the parent has buffered */
	c->pid = fork();
	if (c->pid == 0)
		child_main(lane, main, arg);
	rc = c->pid < 0 ? -errno : 0;
	if (fd >= 0)
		soq__close_fd(fd);
	if (rc == 0) {
		pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
		rc = pidfd < 0 ? cannot_watch(c->pid) : 0;
	}
	if (rc < 0) {
		free(c);
		return rc;
	}
	c->lane = lane;
	c->pidfd = (struct soq__socket){ .fd = pidfd };
	if (peer)
		c->peer = *peer;
	soq__list_append(&lane->children, &c->node);
	soq__lane_client_began(lane);
	watch(c);
	return 0;
}

int soq__process_run(struct soq__lane *lane, void (*main)(void *), void *arg)
{
	return run(lane, main, arg, -1, NULL);
}

static void guest_main(void *arg)
{
	soq__inline_serve(arg);
}

int soq__process_start(struct soq__lane *lane, const struct soq__site *site, int fd,
	const struct soq_addr *peer)
{
	struct soq__guest guest = { lane->server, NULL, site, fd, *peer };

	return run(lane, guest_main, &guest, fd, peer);
}
