/* peer.c - the start and the end of every benchmark server.
 *
 * Source: fcntl(2) O_ASYNC: a pipe sends SIGIO when its last writer goes.
 */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEER_BACKLOG 4096

void peer_die(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error));
	exit(1);
}

/* What comes through the pipe is of no interest, only its end. */
static void stdin_check(int signal_number)
{
	char unused[256];
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	int error = errno;

	(void)signal_number;
	while (poll(&p, 1, 0) > 0)
		if (!(p.revents & POLLIN) || read(STDIN_FILENO, unused, sizeof unused) <= 0)
			_exit(0);
	errno = error;
}

static void stdin_watch(void)
{
	struct sigaction action = { .sa_handler = stdin_check, .sa_flags = SA_RESTART };
	struct stat st;

	if (fstat(STDIN_FILENO, &st) < 0 || !S_ISFIFO(st.st_mode))
		return;
	if (sigaction(SIGIO, &action, NULL) < 0 ||
		fcntl(STDIN_FILENO, F_SETOWN, getpid()) < 0 ||
		fcntl(STDIN_FILENO, F_SETFL, O_ASYNC) < 0)
		peer_die("stdin", errno);
	stdin_check(SIGIO); /* it may have ended before the handler was there */
}

void peer_init(void)
{
	struct rlimit limit;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	stdin_watch();
}

int peer_listen(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		peer_die("socket", errno);
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)) < 0)
		peer_die("setsockopt TCP_NODELAY", errno);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		peer_die("bind", errno);
	if (listen(fd, PEER_BACKLOG) < 0)
		peer_die("listen", errno);
	return fd;
}

void peer_ready(int fd)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof addr;

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		peer_die("getsockname", errno);
	printf("127.0.0.1 %u\n", ntohs(addr.sin_port));
	fflush(stdout);
}
