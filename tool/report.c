/* report.c - what the tool says when something is wrong, one line each. */
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

void tool_print_line(const char *prefix, const char *line)
{
	struct iovec parts[] = {
		{ .iov_base = (void *)prefix, .iov_len = strlen(prefix) },
		{ .iov_base = (void *)line, .iov_len = strlen(line) },
		{ .iov_base = (char[]){ '\n' }, .iov_len = 1 },
	};

	/* Where standard error is closed or full there is nobody left to tell. */
	if (writev(2, parts, 3) < 0)
		return;
}

static void report(const char *command, const char *fmt, va_list args)
{
	char line[2048];
	int n = 0;

	if (command)
		n = snprintf(line, sizeof(line), "%s: ", command);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, args);
	tool_print_line("soquete: ", line);
}

int tool_usage(const char *command, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	report(command, fmt, args);
	va_end(args);
	return TOOL_USAGE;
}

int tool_fail(const char *command, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	report(command, fmt, args);
	va_end(args);
	return TOOL_FAILED;
}

int tool_fail_library(const char *operation, const char *endpoint, int code)
{
	const char *sentence = soq_last_error();

	if (*sentence)
		tool_fail(NULL, "%s", sentence);
	else
		tool_fail(NULL, "%s %s: %s", operation, endpoint, soq_strerror(code));
	return code == -SOQ_EENDPOINT || code == -SOQ_ENOPORT ? TOOL_USAGE : TOOL_FAILED;
}

int tool_flush(const char *command)
{
	if (!fflush(stdout) && !ferror(stdout))
		return TOOL_DONE;
	if (errno == EPIPE)
		return TOOL_FAILED;
	return tool_fail(command, "standard output: %s", strerror(errno));
}

static bool has_type(int fd, int type)
{
	int have;
	socklen_t len = sizeof(have);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &have, &len) && have == type;
}

enum soq_scheme tool_scheme(const struct soq_endpoint *endpoint)
{
	int domain;
	socklen_t len = sizeof(domain);
	bool dgram;

	if (endpoint->scheme != SOQ_SCHEME_FD)
		return endpoint->scheme;
	if (getsockopt(endpoint->fd, SOL_SOCKET, SO_DOMAIN, &domain, &len))
		return SOQ_SCHEME_FD;
	dgram = has_type(endpoint->fd, SOCK_DGRAM);
	if (domain == AF_UNIX)
		return dgram ? SOQ_SCHEME_UNIXGRAM : SOQ_SCHEME_UNIX;
	return dgram ? SOQ_SCHEME_UDP : SOQ_SCHEME_TCP;
}

bool tool_is_dgram(const struct soq_endpoint *endpoint)
{
	enum soq_scheme scheme = tool_scheme(endpoint);

	return scheme == SOQ_SCHEME_UDP || scheme == SOQ_SCHEME_UNIXGRAM;
}
