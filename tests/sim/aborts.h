/* aborts.h - what is told when a process cannot go on. */
#ifndef SIM_ABORTS_H
#define SIM_ABORTS_H

#include "test.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Call a function in a process of its own, which is to abort and to say all of these first;
 * NULL ends them. */
static inline void check_aborts(void (*body)(void), const char *const says[])
{
	static char text[8192];
	int fds[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	CHECK_OK(pipe(fds));
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		body();
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(fds[0]);
	text[len] = '\0';
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	ROW("it said: %s", text);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGABRT);
	for (; *says; says++)
		CHECK(strstr(text, *says));
}

#endif
