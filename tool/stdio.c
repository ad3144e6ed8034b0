/* stdio.c - standard input and output for fibers, whatever they are: a terminal, a pipe,
 * a file, a socket.
 *
 * Neither is made non-blocking: that would change them for the shell and for every other
 * program that shares them (fcntl(2), F_SETFL). So input is read when poll(2) says so, and
 * output, of which poll says little (pipe(7)), is written on another thread.
 */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

void tool_stdio_init(struct tool_stdio *io)
{
	*io = (struct tool_stdio){ .in_is_terminal = isatty(0) };
}

ssize_t tool_input_read(struct tool_stdio *io, void *buf, size_t len)
{
	for (;;) {
		int ready = soq_wait_fd(0, POLLIN);
		ssize_t n;

		/* -EPERM: a file, always ready, which epoll does not take (epoll_ctl(2)). */
		if (ready < 0 && ready != -EPERM)
			return ready;
		n = read(0, buf, len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		io->in_ended = n <= 0;
		return n < 0 ? -errno : n;
	}
}

bool tool_input_ready(const struct tool_stdio *io)
{
	struct pollfd in = { .fd = 0, .events = POLLIN };

	return io->in_ended || poll(&in, 1, 0) > 0;
}

struct output {
	const char *buf;
	size_t len;
	int result;
};

static void write_all(void *arg)
{
	struct output *out = arg;

	while (out->len > 0) {
		ssize_t n = write(1, out->buf, out->len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd pollfd = { .fd = 1, .events = POLLOUT };

			poll(&pollfd, 1, -1);
		} else if (n < 0 && errno != EINTR) {
			out->result = -errno;
			return;
		} else if (n > 0) {
			out->buf += n;
			out->len -= (size_t)n;
		}
	}
}

int tool_output_write(struct tool_stdio *io, const void *buf, size_t len)
{
	struct output out = { .buf = buf, .len = len };
	struct stat st;
	int rc = 0;

	if (!fstat(1, &st) && S_ISREG(st.st_mode))
		write_all(&out);
	else
		rc = soq_offload(write_all, &out);
	io->out_broken = out.result < 0;
	return rc ? rc : out.result;
}
