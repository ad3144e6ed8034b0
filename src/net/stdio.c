/* stdio.c - a stream as a FILE.
 *
 * Opened for both ways, stdio must not buffer: it has one buffer for both directions and
 * would mix them (fopen(3), "r+"). The stream's own buffer serves then, so that reading a
 * character at a time costs no system call each.
 *
 * Source: fopencookie(3).
 */
#include "net/net.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READ_AHEAD 4096

static ssize_t as_stdio(ssize_t rc)
{
	if (rc >= 0)
		return rc;
	errno = -rc < 4096 ? (int)-rc : EIO;
	return -1;
}

static ssize_t cookie_read(void *cookie, char *buf, size_t len)
{
	struct soq_stream *s = cookie;
	ssize_t n;

	if (s->count == 0 && len < READ_AHEAD) {
		n = soq__stream_fill(s, READ_AHEAD);
		if (n <= 0)
			return as_stdio(n);
	}
	return as_stdio(soq_recv(s, buf, len));
}

/* fopencookie(3): a write function returns 0, not -1, for an error. */
static ssize_t cookie_write(void *cookie, const char *buf, size_t len)
{
	ssize_t n = soq_send(cookie, buf, len);

	return n < 0 ? as_stdio(n) + 1 : n;
}

static int cookie_close(void *cookie)
{
	return (int)as_stdio(soq_finish(cookie));
}

FILE *soq_fopen(struct soq_stream *s, const char *mode)
{
	cookie_io_functions_t functions = { cookie_read, cookie_write, NULL, cookie_close };
	FILE *file = fopencookie(s, mode, functions);

	if (file && strchr(mode, '+'))
		setvbuf(file, NULL, _IONBF, 0);
	return file;
}
