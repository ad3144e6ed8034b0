/* sim_http.c - the scenario http of `soquete sim`: the HTTP service that `soquete serve` has,
 * and a client that fetches a page of it by hand.
 *
 * The page is a real file, in a folder of its own that is gone after the run. Its time is
 * fixed, because answers tell it.
 */
#include "sim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_TIME 1700000000 /* 2023-11-14T22:13:20Z */

static const char page[] = "<!DOCTYPE html>\n"
			   "<title>Hello</title>\n"
			   "<p>This page has crossed a simulated network.\n";

/* ---- the folder ---- */

static int write_page(const char *path)
{
	static const struct timespec times[2] = { { .tv_sec = PAGE_TIME },
		{ .tv_sec = PAGE_TIME } };
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, page, sizeof(page) - 1) != (ssize_t)sizeof(page) - 1 ||
		futimens(fd, times) < 0)
		rc = errno ? -errno : -EIO;
	close(fd);
	return rc;
}

int tool_http_prepare(struct tool_world *w)
{
	const char *where = getenv("TMPDIR");
	char path[sizeof(w->root) + 16];
	int rc;

	snprintf(w->root, sizeof(w->root), "%s/soquete-sim-XXXXXX",
		where && *where ? where : "/tmp");
	if (!mkdtemp(w->root)) {
		*w->root = '\0';
		return -errno;
	}
	snprintf(path, sizeof(path), "%s/index.html", w->root);
	rc = write_page(path);
	if (rc < 0)
		tool_http_clean_up(w);
	return rc;
}

void tool_http_clean_up(struct tool_world *w)
{
	char path[sizeof(w->root) + 16];

	if (!*w->root)
		return;
	snprintf(path, sizeof(path), "%s/index.html", w->root);
	unlink(path);
	rmdir(w->root);
	*w->root = '\0';
}

/* ---- programs ---- */

static void say_request(void *arg, const char *line)
{
	tool_say(arg, "%s", line);
}

int tool_http_server(void *arg)
{
	struct tool_world *w = arg;
	const struct soq_http_options opt = { .root = w->root };
	struct soq_service_context context = { .access_log = say_request, .access_log_arg = w };
	int rc = soq_http_new(&context.http, &opt);

	if (rc < 0)
		return rc;
	rc = tool_sim_serve(w, "tcp://:http", soq_http_handler, NULL, &context);
	soq_http_free(context.http);
	return rc;
}

int tool_http_client(void *arg)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: server\r\n"
				      "Connection: close\r\n\r\n";
	struct tool_world *w = arg;
	struct soq_stream *s = tool_sim_connect(w, "tcp://server:http");
	char line[512];
	ssize_t n = 0;

	if (!s)
		return tool_sim_leave(w, NULL);
	tool_say(w, "GET / HTTP/1.1");
	if (soq_send_text(s, request) == (ssize_t)strlen(request))
		while ((n = soq_recv_line(s, line, sizeof(line))) >= 0)
			tool_say(w, "  %s", line);
	if (n == -ENODATA)
		return tool_sim_leave(w, s);
	if (n < 0)
		tool_say(w, "cannot receive: %s", soq_strerror((int)n));
	return tool_sim_give_up(w, s);
}
