/* server_threads.c - a server that is made by one thread, run by another and freed by a third,
 * and one that is asked for things while it runs.
 */
#include "contract/server.h"

#include <pthread.h>
#include <sys/stat.h>

#define DGRAMS "udp://127.0.0.1:0"

#if defined(__SANITIZE_ADDRESS__)
#define MAY_FORK false /* another thread may hold the checked allocator's locks, for ever */
#else
#define MAY_FORK true
#endif

static int echo_dgram(struct soq_dgram *d, const struct soq_packet *request, void *arg)
{
	ssize_t n = soq_reply(d, request, request->data, request->len);

	(void)arg;
	return n < 0 ? (int)n : SOQ_DONE;
}

/* In a thread that ends before the next begins. */
static void in_a_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	CHECK_EQ(pthread_create(&thread, NULL, fn, arg), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

static struct soq_server *server;

static void *make(void *arg)
{
	char text[160];

	CHECK_OK(soq_server_new(&server, arg));
	CHECK_OK(soq_server_listen(server, LOCAL, echo_a_line, NULL));
	CHECK_OK(soq_server_bind(server, DGRAMS, echo_dgram, NULL));
	snprintf(text, sizeof(text), "unix://%s/streams", test_dir());
	CHECK_OK(soq_server_listen(server, text, echo_a_line, NULL));
	snprintf(text, sizeof(text), "unixgram://%s/dgrams", test_dir());
	CHECK_OK(soq_server_bind(server, text, echo_dgram, NULL));
	return NULL;
}

static void *run(void *arg)
{
	(void)arg;
	CHECK_OK(soq_server_run(server));
	return NULL;
}

static void *free_it(void *arg)
{
	(void)arg;
	soq_server_free(server);
	return NULL;
}

static void endpoint_text(char text[SOQ_ENDPOINT_TEXT_MAX], size_t index)
{
	enum soq_scheme scheme;
	struct soq_addr addr;

	CHECK_OK(soq_server_endpoint(server, index, &addr, &scheme));
	soq_addr_endpoint(text, SOQ_ENDPOINT_TEXT_MAX, scheme, &addr);
}

static void ask_stream(size_t site)
{
	char text[SOQ_ENDPOINT_TEXT_MAX];
	struct soq_stream *s;

	endpoint_text(text, site);
	CHECK_OK(soq_connect(&s, text));
	expect_echo(s, "one");
	expect_echo(s, "two");
	leave(s);
}

static void ask_dgram(size_t site)
{
	char text[SOQ_ENDPOINT_TEXT_MAX], byte;
	struct soq_dgram *d;

	endpoint_text(text, site);
	CHECK_OK(soq_dgram_connect(&d, text));
	CHECK_EQ(soq_sendto(d, "x", 1, NULL), 1);
	CHECK_EQ(soq_recvfrom(d, &byte, 1, NULL), 1);
	CHECK_EQ(byte, 'x');
	soq_dgram_close(d);
}

CONTRACT_SHAPES_KERNEL(server_of_several_threads, "no threads")
{
	struct soq_server_options opt = { .shape = the_shape(), .grace_ns = 600 * SOQ_S };
	pthread_t runner;

	if (test_is_emulated() && test_shape() == TEST_PROCESS)
		SKIP("an emulator cannot fork a program that has threads");
	if (!MAY_FORK && test_shape() == TEST_PROCESS)
		return; /* counts where memory is not checked */
	for (unsigned workers = 1; workers <= (test_shape() == TEST_FIBER ? 2 : 1); workers++) {
		opt.workers = workers;
		ROW("%u workers", workers);
		in_a_thread(make, &opt);
		CHECK_EQ(pthread_create(&runner, NULL, run, NULL), 0);
		for (int round = 0; round < 3; round++) {
			ask_stream(0);
			ask_dgram(1);
			ask_stream(2);
			ask_dgram(3);
		}
		soq_server_stop(server);
		CHECK_EQ(pthread_join(runner, NULL), 0);
		in_a_thread(free_it, NULL);
	}
}

CONTRACT_KERNEL(server_never_run_freed_by_another_thread, "no threads")
{
	struct soq_server_options opt = { 0 };

	in_a_thread(make, &opt);
	in_a_thread(free_it, NULL);
	CHECK(access(test_dir(), F_OK) == 0);
	CHECK_EQ(rmdir(test_dir()), 0); /* no path is left in it */
	CHECK_OK(mkdir(test_dir(), 0700));
}

/* ---- while it runs ---- */

static void run_in_a_fiber(void *arg)
{
	(void)arg;
	run(NULL);
}

CONTRACT(server_that_runs_takes_no_endpoint)
{
	struct soq_server_options opt = { 0 };
	struct soq_scope *scope = scope_open();
	struct soq_addr addr;

	make(&opt);
	go(scope, run_in_a_fiber, NULL);
	ask_stream(0);
	CHECK_ERR(soq_server_listen(server, LOCAL, echo_a_line, NULL), -EBUSY);
	CHECK_ERR(soq_server_bind(server, DGRAMS, echo_dgram, NULL), -EBUSY);
	CHECK_ERR(soq_server_run(server), -EBUSY);
	CHECK_ERR(soq_server_endpoint(server, 4, &addr, NULL), -ENOENT);
	ask_stream(0);
	ask_dgram(1);
	soq_server_stop(server);
	scope_join(scope);
	soq_server_free(server);
}
