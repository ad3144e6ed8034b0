/* http.c - the HTTP service under loss, short reads and writes, partitions, crashes, pauses
 * and slow clients.
 *
 * What must hold: a body that arrives whole is the file, byte for byte; one that does not is
 * never taken for whole; the server's answers are well-formed; nobody hangs; nothing is left.
 */
#include "scenario/scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLIENTS	    2
#define PAGES	    6
#define PATIENCE_NS (30 * SOQ_S)

static struct {
	struct soq_sim_host *hosts[1 + CLIENTS]; /* the server first */
	unsigned done;
} world;

/* ---- the folder: made once, for all seeds ---- */

static char root[] = "/tmp/soq-http-XXXXXX";
static bool has_root;

static const struct {
	const char *name;
	size_t bytes;
} files[] = { { "empty", 0 }, { "small", 300 }, { "large", 90000 } };

static int write_file(size_t index)
{
	/* Answers tell the time; it must not differ from run to run. */
	static const struct timespec times[2] = { { .tv_sec = 1700000000 },
		{ .tv_sec = 1700000000 } };
	char path[64], *bytes = malloc(files[index].bytes + 1);
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%s/%s", root, files[index].name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || !bytes) {
		free(bytes);
		return -EIO;
	}
	scenario_fill(index, 0, bytes, files[index].bytes);
	if (write(fd, bytes, files[index].bytes) != (ssize_t)files[index].bytes ||
		futimens(fd, times) < 0)
		rc = -EIO;
	close(fd);
	free(bytes);
	return rc;
}

int http_prepare(void)
{
	int rc = mkdtemp(root) ? 0 : -errno;

	has_root = rc == 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && rc == 0; i++)
		rc = write_file(i);
	return rc;
}

void http_clean_up(void)
{
	char path[64];

	if (!has_root)
		return;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, files[i].name);
		unlink(path);
	}
	rmdir(root);
}

/* ---- clients ---- */

/* Read an answer's head. @return the body's length, or a negative code */
static int64_t read_head(struct soq_stream *s)
{
	char line[512];
	int64_t length = -EPROTO;
	ssize_t n = soq_recv_line(s, line, sizeof(line));

	if (n <= 0)
		return -EPROTO;
	SOQ_ALWAYS(strncmp(line, "HTTP/1.1 ", 9) == 0, "an answer begins with its status");
	SOQ_SOMETIMES(strncmp(line + 9, "200", 3) == 0, "a page is found");
	if (strncmp(line + 9, "200", 3) != 0)
		return -EPROTO;
	while ((n = soq_recv_line(s, line, sizeof(line))) > 0)
		if (strncasecmp(line, "Content-Length:", 15) == 0)
			length = strtoll(line + 15, NULL, 10);
	return n == 0 ? length : -EPROTO;
}

static int read_body(struct soq_stream *s, size_t file, int64_t length, uint64_t *draws)
{
	char buf[4000];
	int64_t at = 0;

	while (at < length) {
		size_t want = 1 + (size_t)scenario_below(draws, sizeof(buf));
		ssize_t n;

		if ((int64_t)want > length - at)
			want = (size_t)(length - at);
		n = soq_recv(s, buf, want);
		if (n <= 0)
			return -EPROTO;
		SOQ_ALWAYS(scenario_matches(file, (uint64_t)at, buf, (size_t)n),
			"a body's bytes are the file's");
		at += n;
		if (scenario_below(draws, 40) == 0)
			soq_sleep((int64_t)scenario_below(draws, SOQ_S));
	}
	return 0;
}

/* @return 0 when the page came whole */
static int get(struct soq_stream *s, uint64_t *draws)
{
	size_t file = (size_t)scenario_below(draws, sizeof(files) / sizeof(files[0]));
	char request[128];
	int64_t length;

	snprintf(request, sizeof(request), "GET /%s HTTP/1.1\r\nHost: server\r\n\r\n",
		files[file].name);
	/* Sometimes in two parts, as a slow client does. */
	if (scenario_below(draws, 4) == 0) {
		if (soq_send(s, request, 9) != 9)
			return -EPROTO;
		soq_sleep((int64_t)scenario_below(draws, SOQ_S));
		memmove(request, request + 9, strlen(request + 9) + 1);
	}
	if (soq_send_text(s, request) != (ssize_t)strlen(request))
		return -EPROTO;
	length = read_head(s);
	if (length < 0)
		return (int)length;
	SOQ_ALWAYS(length == (int64_t)files[file].bytes, "an answer's length is the file's");
	return read_body(s, file, length, draws);
}

/* Some pages over one connection. @return how many came whole */
static unsigned visit(uint64_t *draws, unsigned wanted)
{
	struct soq_stream *s;
	unsigned pages = 0;

	if (soq_connect(&s, "tcp://server:80") < 0)
		return 0;
	while (pages < wanted && get(s, draws) == 0)
		pages++;
	if (pages == wanted)
		soq_finish(s);
	else
		soq_close(s);
	return pages;
}

static int client_main(void *arg)
{
	uint64_t draws;
	unsigned pages = 0;

	(void)arg;
	soq_random(&draws, sizeof(draws));
	soq_sleep(10 * SOQ_MS);
	while (pages < PAGES) {
		int64_t began_ns = soq_now(), former = soq_deadline(began_ns + PATIENCE_NS);

		pages += visit(&draws, 1 + (unsigned)scenario_below(&draws, PAGES - pages));
		soq_deadline_restore(former);
		SOQ_ALWAYS(soq_now() < began_ns + PATIENCE_NS + SOQ_S,
			"a visit ends by its deadline");
		soq_sleep((int64_t)scenario_below(&draws, SOQ_S));
	}
	if (++world.done == CLIENTS)
		soq_sim_signal(world.hosts[0], SIGTERM);
	return 0;
}

/* ---- the server ---- */

static int serve(struct soq_http *folder)
{
	struct soq_server_options opt = { .idle_timeout_ns = 10 * SOQ_S,
		.send_timeout_ns = 10 * SOQ_S,
		.grace_ns = 20 * SOQ_S,
		.stop_on_signals = true };
	struct soq_service_context context = { .http = folder };
	struct soq_server *server;
	int rc = soq_server_new(&server, &opt);

	if (rc < 0)
		return rc;
	rc = soq_server_listen(server, "tcp://:80", soq_http_handler, &context);
	if (rc == 0 && world.done < CLIENTS)
		rc = soq_server_run(server);
	soq_server_free(server);
	return rc == -ETIMEDOUT ? 0 : rc;
}

static int server_main(void *arg)
{
	const struct soq_http_options opt = { .root = root };
	struct soq_http *folder;
	int rc = soq_http_new(&folder, &opt);

	(void)arg;
	if (rc < 0)
		return rc;
	rc = serve(folder);
	soq_http_free(folder);
	return rc;
}

static int build(struct soq_sim *sim, void *arg)
{
	static const struct soq_sim_chaos chaos = {
		.until_ns = 20 * SOQ_S,
		.partitions_max = 3,
		.crashes_max = 1,
		.pauses_max = 2,
		.clock_steps_max = 1,
		.link_changes_max = 2,
		.duration_max_ns = 5 * SOQ_S,
		.worst = { .latency_ns = 60 * SOQ_MS,
			.jitter_ns = 30 * SOQ_MS,
			.loss_ppm = 60000,
			.duplicate_ppm = 30000,
			.reorder_ppm = 50000,
			.rate_bytes_s = 500000 },
		.spare = "client1 client2",
	};
	int rc;

	(void)arg;
	memset(&world, 0, sizeof(world));
	rc = scenario_hosts(sim, world.hosts, server_main, CLIENTS, client_main);
	return rc == 0 ? soq_sim_add_chaos(sim, &chaos) : rc;
}

static int check(struct soq_sim *sim, enum soq_sim_verdict verdict, void *arg)
{
	bool clean = scenario_are_clean(world.hosts, 1 + CLIENTS);

	(void)sim;
	(void)arg;
	return clean || verdict != SOQ_SIM_FINISHED ? 0 : -EPROTO;
}

const struct soq_sim_sweep http = {
	.name = "http",
	.build = build,
	.check = check,
	.limit_ns = 3600 * SOQ_S,
};
