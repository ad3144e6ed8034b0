/* server_flood.c - stopping while clients come faster than they are served: only those that
 * had connected by then are.
 */
#include "contract/private_net.h"
#include "contract/server.h"

#include <sys/prctl.h>

#define FLOODERS 3
#define BACKLOG	 16

/* Who connects and leaves, again and again: processes, or programs of simulated hosts. */
struct flood {
	struct soq_addr addr;
	char endpoint[SOQ_ENDPOINT_TEXT_MAX];
	pid_t pids[FLOODERS];
	bool over; /* sim */
	unsigned running;
	struct bell ended;
};

_Noreturn static void flood_process(const struct soq_addr *addr)
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

static int flood_program(void *arg)
{
	struct flood *f = arg;
	struct soq_stream *s;

	while (!f->over) {
		if (soq_connect(&s, f->endpoint) < 0)
			continue;
		CHECK_OK(soq_set_linger(s, 0));
		soq_close(s);
	}
	f->running--;
	bell_ring(&f->ended);
	return 0;
}

static void flood_begin(struct flood *f, const struct place *place)
{
	char name[16];
	struct soq_sim_host *host;

	*f = (struct flood){ .addr = place->addr, .running = FLOODERS };
	strcpy(f->endpoint, place->endpoint);
	bell_open(&f->ended);
	fflush(NULL);
	for (unsigned i = 0; i < FLOODERS; i++) {
		if (test_is_simulated()) {
			snprintf(name, sizeof(name), "flooder%u", i);
			CHECK_OK(soq_sim_host_new(
				&host, soq_sim_of(soq_sim_here()), name, NULL));
			CHECK_OK(soq_sim_spawn(host, flood_program, f));
		} else {
			f->pids[i] = (pid_t)CHECK_OK(fork());
			if (f->pids[i] == 0)
				flood_process(&f->addr);
		}
	}
}

static void flood_end(struct flood *f)
{
	f->over = true;
	for (unsigned i = 0; i < FLOODERS && !test_is_simulated(); i++) {
		kill(f->pids[i], SIGKILL);
		CHECK_EQ(waitpid(f->pids[i], NULL, 0), f->pids[i]);
	}
	while (test_is_simulated() && f->running > 0) {
		bell_hush(&f->ended);
		CHECK_OK(bell_wait(&f->ended));
	}
	bell_close(&f->ended);
}

/* What it does takes longer than connecting does. */
static int work(struct soq_stream *peer, void *arg)
{
	volatile unsigned x = 0;

	(void)peer, (void)arg;
	if (test_is_simulated()) /* where computing takes no time */
		soq_sleep(10 * SOQ_MS);
	for (unsigned i = 0; i < 100000; i++)
		x += i;
	count(&counters->began);
	return SOQ_DONE;
}

static void stop_flooded(unsigned stops)
{
	struct plan plan = { .sites = { { .endpoint = LOCAL, .handler = work } },
		.opt = { .shape = the_shape(), .backlog = BACKLOG, .linger_ns = SOQ_MS } };
	struct flood flood;
	struct remote r;
	int rc;

	counters_open();
	remote_start(&r, &plan);
	flood_begin(&flood, &r.places[0]);
	AWAIT(atomic_load(&counters->began) >= 20);
	for (unsigned i = 0; i < stops; i++)
		remote_signal(&r, SIGTERM);
	rc = remote_wait(&r);
	flood_end(&flood);
	CHECK(rc == 0 || (stops == 2 && rc == -ETIMEDOUT));
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
CONTRACT_SHAPES_KERNEL(stop_leaves_those_who_come_later,
	"nobody can come while the backlog is looked at, which takes no time")
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
	bells_open();
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
	bells_close();
}

/* ---- several workers ---- */

/* They have one queue between them: whom one sees waiting, another may take. */
CONTRACT_KERNEL(stop_workers_of_one_unix_path_under_a_flood, "no threads")
{
	struct plan plan = { .opt = { .workers = 4, .linger_ns = SOQ_MS } };
	char text[160];

	counters_open();
	snprintf(text, sizeof(text), "unix://%s/flooded", test_dir());
	plan.sites[0] = (struct site){ .endpoint = text, .handler = work };
	for (unsigned i = 0; i < test_scale(5); i++) {
		struct flood flood;
		struct remote r;

		ROW("round %u", i);
		atomic_store(&counters->began, 0);
		remote_start(&r, &plan);
		flood_begin(&flood, &r.places[0]);
		AWAIT(atomic_load(&counters->began) >= 20);
		remote_stop(&r);
		flood_end(&flood);
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
	bells_open();
	CHECK_OK(soq_server_new(&server, &opt));
	CHECK_OK(soq_server_listen(server, LOCAL, work, NULL));
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
	bells_close();
}
