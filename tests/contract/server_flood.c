/* server_flood.c - stopping while clients come faster than they are served: only those that
 * had connected by then are.
 */
#include "contract/private_net.h"
#include "contract/server.h"

#include <sys/prctl.h>

#define FLOODERS 3
#define BACKLOG	 16

/* Connect and leave, again and again. */
_Noreturn static void flood(const struct soq_addr *addr)
{
	struct linger reset = { .l_onoff = 1 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = socket(
			addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (fd < 0)
			continue;
		if (addr->sa.sa_family != AF_UNIX)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		connect(fd, &addr->sa, addr->len);
		close(fd);
	}
}

static void flood_begin(pid_t flooders[FLOODERS], const struct soq_addr *addr)
{
	fflush(NULL);
	for (int i = 0; i < FLOODERS; i++) {
		flooders[i] = (pid_t)CHECK_OK(fork());
		if (flooders[i] == 0)
			flood(addr);
	}
}

static void flood_end(const pid_t flooders[FLOODERS])
{
	for (int i = 0; i < FLOODERS; i++) {
		kill(flooders[i], SIGKILL);
		CHECK_EQ(waitpid(flooders[i], NULL, 0), flooders[i]);
	}
}

/* What it does takes longer than connecting does. */
static int work(struct soq_stream *peer, void *arg)
{
	volatile unsigned x = 0;

	(void)peer, (void)arg;
	for (unsigned i = 0; i < 100000; i++)
		x += i;
	atomic_fetch_add(&counters->began, 1);
	return SOQ_DONE;
}

static void stop_flooded(unsigned stops)
{
	struct plan plan = { .sites = { { .endpoint = "tcp://127.0.0.1:0", .handler = work } },
		.opt = { .shape = the_shape(), .backlog = BACKLOG, .linger_ns = SOQ_MS } };
	pid_t flooders[FLOODERS];
	struct remote r;
	int status;

	counters_open();
	remote_start(&r, &plan);
	flood_begin(flooders, &r.addrs[0]);
	EVENTUALLY(atomic_load(&counters->began) >= 20);
	for (unsigned i = 0; i < stops; i++)
		CHECK_OK(kill(r.pid, SIGTERM));
	CHECK_EQ(waitpid(r.pid, &status, 0), r.pid);
	fclose(r.log);
	flood_end(flooders);
	CHECK(WIFEXITED(status));
	if (stops == 1)
		CHECK_EQ(WEXITSTATUS(status), 0);
	else
		CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == ETIMEDOUT);
}

CONTRACT_SHAPES(stop_under_a_flood)
{
	stop_flooded(1);
}

CONTRACT_SHAPES(stop_twice_under_a_flood)
{
	stop_flooded(2);
}

/* ---- whoever comes after the stop ---- */

#define COMERS_MAX 200

static struct {
	struct soq_addr addr;
	atomic_uint comers;
	int fds[COMERS_MAX];
} crowd;

static void one_comes(void)
{
	unsigned i = atomic_fetch_add(&crowd.comers, 1);

	if (i >= COMERS_MAX)
		return;
	crowd.fds[i] = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	CHECK_OK(connect(crowd.fds[i], &crowd.addr.sa, crowd.addr.len));
}

/* For each client that is turned away two more come. */
static void two_come(void *arg, const char *line)
{
	(void)arg;
	if (strstr(line, "refused")) {
		one_comes();
		one_comes();
	}
}

/* Of those in the backlog only who was there at the stop is looked at. A ring may have
 * accepted one or two of them before it tells of the stop. */
CONTRACT_SHAPES(stop_leaves_those_who_come_later)
{
	struct soq_server_options opt = { .shape = the_shape(),
		.clients_per_address_max = 1,
		.linger_ns = SOQ_MS,
		.log = two_come };
	struct soq_server *server;

	if (test_is_emulated())
		SKIP("an emulator does not tell how many wait");
	private_net_enter();
	counters_open();
	CHECK_OK(soq_server_new(&server, &opt));
	CHECK_OK(soq_server_listen(server, "tcp://" PRIVATE_ADDRESS ":0", work, NULL));
	CHECK_OK(soq_server_endpoint(server, 0, &crowd.addr, NULL));
	for (int i = 0; i < 10; i++)
		one_comes();
	soq_server_stop(server);
	CHECK_OK(soq_server_run(server));
	ROW("%u came", atomic_load(&crowd.comers));
	CHECK(atomic_load(&crowd.comers) <= 10 + 2 * (10 + 2 * 2));
	for (unsigned i = 0; i < atomic_load(&crowd.comers) && i < COMERS_MAX; i++)
		close(crowd.fds[i]);
	soq_server_free(server);
}

/* ---- several workers ---- */

/* They have one queue between them: whom one sees waiting, another may take. */
CONTRACT(stop_workers_of_one_unix_path_under_a_flood)
{
	struct plan plan = { .opt = { .workers = 4, .linger_ns = SOQ_MS } };
	char text[160];

	counters_open();
	snprintf(text, sizeof(text), "unix://%s/flooded", test_dir());
	plan.sites[0] = (struct site){ .endpoint = text, .handler = work };
	for (unsigned i = 0; i < test_scale(5); i++) {
		pid_t flooders[FLOODERS];
		struct remote r;

		ROW("round %u", i);
		atomic_store(&counters->began, 0);
		remote_start(&r, &plan);
		flood_begin(flooders, &r.addrs[0]);
		EVENTUALLY(atomic_load(&counters->began) >= 20);
		remote_stop(&r);
		flood_end(flooders);
	}
}

/* A server that is stopped twice takes nobody in any more, though they wait. A ring may
 * have accepted one by the time it tells of the stop. */
CONTRACT_SHAPES(stop_twice_leaves_the_backlog)
{
	enum { CLIENTS = 20 };
	struct soq_server_options opt = { .shape = the_shape() };
	struct soq_stream *clients[CLIENTS];
	struct soq_server *server;
	struct soq_addr addr;
	char text[64], byte;
	int rc;

	counters_open();
	CHECK_OK(soq_server_new(&server, &opt));
	CHECK_OK(soq_server_listen(server, "tcp://127.0.0.1:0", work, NULL));
	CHECK_OK(soq_server_endpoint(server, 0, &addr, NULL));
	soq_addr_endpoint(text, sizeof(text), SOQ_SCHEME_TCP, &addr);
	for (int i = 0; i < CLIENTS; i++)
		CHECK_OK(soq_connect(&clients[i], text));
	soq_server_stop(server);
	soq_server_stop(server);
	rc = soq_server_run(server);
	CHECK(rc == 0 || rc == -ETIMEDOUT);
	ROW("%u were served", atomic_load(&counters->began));
	CHECK(atomic_load(&counters->began) <= 2);
	for (int i = 0; i < CLIENTS; i++) {
		CHECK(soq_recv(clients[i], &byte, 1) <= 0);
		soq_close(clients[i]);
	}
	soq_server_free(server);
}
