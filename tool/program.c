/* program.c - a program whose standard input and output are a socket.
 *
 * A server's handler only borrows its stream, whose descriptor's mode is the engine's
 * affair. So the program gets one end of a socketpair(2), and two fibers relay between
 * the other end and the client. That is the same for every shape, engine and scheme.
 *
 * The program leads a process group of its own, so that it can be ended with all that it
 * started. Its end is awaited on a pidfd(2): no signal, no thread.
 */
#include "program.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define RELAY_BYTES  16384
#define LINGER_NS    (2 * SOQ_S) /* for the peer's end, when the program has ended */
#define ANSWER_BYTES 65507	 /* the most that UDP over IPv4 carries */

struct program {
	struct soq_stream *socket; /* our end of the pair */
	pid_t pid;
	int pidfd;
	int status; /* as waitpid(2) has it */
};

/* environ with two variables more. Only the array is new, and the caller's. */
static char **environment(char *peer_variable, char *local_variable)
{
	size_t n = 0, kept = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 3, sizeof(*env));
	if (!env)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "SOQUETE_PEER=", 13) &&
			strncmp(environ[i], "SOQUETE_LOCAL=", 14))
			env[kept++] = environ[i];
	env[kept++] = peer_variable;
	env[kept] = local_variable;
	return env;
}

#define VARIABLE_MAX (16 + SOQ_ADDR_TEXT_MAX)

static void write_variable(
	char buf[VARIABLE_MAX], const char *name, const struct soq_addr *addr)
{
	int n = snprintf(buf, VARIABLE_MAX, "%s=", name);

	soq_addr_format(buf + n, (size_t)(VARIABLE_MAX - n), addr);
}

int tool_program_become(const char *subcommand, const char *program, int fd,
	const struct soq_addr *peer, const struct soq_addr *local)
{
	char peer_variable[VARIABLE_MAX], local_variable[VARIABLE_MAX];
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)program, NULL };
	sigset_t none;
	char **env;

	write_variable(peer_variable, "SOQUETE_PEER", peer);
	write_variable(local_variable, "SOQUETE_LOCAL", local);
	env = environment(peer_variable, local_variable);
	if (!env)
		return tool_fail(subcommand, "--exec: %s", soq_strerror(-ENOMEM));

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fcntl(fd, F_SETFL, 0) >= 0 && dup2(fd, 0) >= 0 && dup2(fd, 1) >= 0)
		execve("/bin/sh", argv, env);
	return tool_fail(subcommand, "--exec: /bin/sh: %s", strerror(errno));
}

static int spawn(pid_t *ret, int fd, const char *program, char **env)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)program, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t set;
	int rc;

	rc = posix_spawn_file_actions_init(&actions);
	if (rc)
		return -rc;
	rc = posix_spawnattr_init(&attr);
	if (rc)
		goto out;
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attr, &set);
	sigaddset(&set, SIGPIPE);
	posix_spawnattr_setsigdefault(&attr, &set);
	posix_spawnattr_setflags(
		&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	rc = posix_spawn_file_actions_adddup2(&actions, fd, 0);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&actions, fd, 1);
	if (!rc)
		rc = posix_spawn(ret, "/bin/sh", &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
out:
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

static int start_with(struct program *p, const char *program, char **env)
{
	int fds[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	rc = soq_adopt(&p->socket, fds[0]);
	if (rc) {
		close(fds[0]);
		close(fds[1]);
		return rc;
	}
	rc = spawn(&p->pid, fds[1], program, env);
	close(fds[1]);
	if (rc) {
		soq_close(p->socket);
		return rc;
	}
	p->pidfd = pidfd_open(p->pid, 0);
	return 0;
}

static int start(struct program *p, const char *program, const struct soq_addr *peer,
	const struct soq_addr *local)
{
	char peer_variable[VARIABLE_MAX], local_variable[VARIABLE_MAX];
	char **env;
	int rc;

	write_variable(peer_variable, "SOQUETE_PEER", peer);
	write_variable(local_variable, "SOQUETE_LOCAL", local);
	env = environment(peer_variable, local_variable);
	if (!env)
		return -ENOMEM;
	rc = start_with(p, program, env);
	free(env);
	return rc;
}

static void wait_blocking(void *arg)
{
	struct program *p = arg;

	while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
		;
}

/* Suspends until the program has ended, and reaps it. Our end of the pair is closed. */
static void reap(struct program *p)
{
	/* Without a pidfd (descriptors may have run out) a thread of the pool waits. */
	if (p->pidfd < 0) {
		if (soq_offload(wait_blocking, p)) {
			kill(-p->pid, SIGKILL);
			wait_blocking(p);
		}
		return;
	}
	if (soq_wait_fd(p->pidfd, POLLIN) < 0)
		kill(-p->pid, SIGKILL);
	wait_blocking(p);
	close(p->pidfd);
}

struct flow {
	struct soq_stream *from, *to;
	bool truncated; /* only TLS can tell */
};

/* Pass bytes on until one side has ended. A reset, or a client that has been silent for
 * too long, is an end too as far as the program is concerned. */
static void pump(void *arg)
{
	struct flow *flow = arg;
	char buf[RELAY_BYTES];
	ssize_t n, sent = 0;

	soq_set_fiber_name("program relay");
	while ((n = soq_recv(flow->from, buf, sizeof(buf))) > 0) {
		for (ssize_t done = 0; done < n; done += sent) {
			sent = soq_send(flow->to, buf + done, (size_t)(n - done));
			if (sent < 0)
				return;
		}
	}
	flow->truncated = n == -SOQ_ETRUNCATED;
	soq_shutdown(flow->to);
}

/* The client's bytes to the program, and the program's to the client. It ends with the
 * program's output, whatever the client still has to say. */
static int relay(struct soq_stream *peer, struct program *p)
{
	struct flow up = { .from = peer, .to = p->socket };
	struct flow down = { .from = p->socket, .to = peer };
	struct soq_scope *scope;
	int rc;

	rc = soq_scope_open(&scope);
	if (rc)
		return rc;
	rc = soq_spawn(scope, pump, &up);
	if (!rc)
		pump(&down);
	soq_scope_close(scope);
	return rc < 0 || !up.truncated ? rc : -SOQ_ETRUNCATED;
}

static int run(struct soq_stream *peer, const char *program, int *ret_status)
{
	struct soq_addr peer_addr = { .len = 0 }, local_addr = { .len = 0 };
	struct program p = { .pidfd = -1 };
	int rc;

	soq_peer_addr(peer, &peer_addr);
	soq_local_addr(peer, &local_addr);
	rc = start(&p, program, &peer_addr, &local_addr);
	if (rc)
		return rc;
	rc = relay(peer, &p);
	/* A program that still writes, to a client that is gone, gets EPIPE now. */
	soq_close(p.socket);
	reap(&p);
	*ret_status = WIFSIGNALED(p.status) ? 128 + WTERMSIG(p.status) : WEXITSTATUS(p.status);
	return rc;
}

int tool_program_serve(struct soq_stream *peer, const char *program)
{
	int status;

	return run(peer, program, &status);
}

int tool_program_beside(const char *subcommand, const char *program, struct soq_stream *peer,
	const char *endpoint)
{
	int status = TOOL_FAILED, rc = run(peer, program, &status);
	int64_t outer = soq_deadline(soq_now() + LINGER_NS);

	soq_finish(peer);
	soq_deadline_restore(outer);
	return rc < 0 ? tool_fail(subcommand, "%s: %s", endpoint, soq_strerror(rc)) : status;
}

int tool_program_answer(
	struct soq_dgram *d, const struct soq_packet *request, const char *program)
{
	struct program p = { .pidfd = -1 };
	ssize_t n;
	char *answer = malloc(ANSWER_BYTES);
	int rc;

	if (!answer)
		return -ENOMEM;
	rc = start(&p, program, &request->peer, &request->local);
	if (rc)
		goto out;
	/* A program may answer without having read its input. */
	soq_send(p.socket, request->data, request->len);
	soq_shutdown(p.socket);
	n = soq_recv_full(p.socket, answer, ANSWER_BYTES);
	if (n > 0)
		n = soq_reply(d, request, answer, (size_t)n);
	soq_close(p.socket);
	reap(&p);
	rc = n < 0 ? (int)n : 0;
out:
	free(answer);
	return rc;
}
