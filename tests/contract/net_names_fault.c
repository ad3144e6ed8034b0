/* net_names_fault.c - names with every operation of the engine refused in turn: what was asked
 * comes to an end, whatever it is, and nothing is left open.
 *
 * The server is another process, whose engine refuses nothing.
 */
#include "contract/fault.h"
#include "contract/net_names.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define KERNEL "a simulated host asks its world, with no operation that could fail"

static const struct said zone[] = {
	{ .name = "one.test", .records = "A 60 127.0.0.1;AAAA 60 ::1" },
	{ .name = "long.test", .records = "A 60 10.0.0.7", .manner = TRUNCATED },
	{ 0 },
};

static char endpoint[64]; /* where somebody listens, by name */

static int resolve(void)
{
	struct soq_addrs list = { 0 };
	int rc = soq_resolve(&list, "tcp://one.test:80");

	CHECK_EQ(list.count > 0, rc == 0);
	soq_addrs_done(&list);
	return rc;
}

static int query(void)
{
	struct soq_records list = { 0 };
	int rc = soq_query(&list, "long.test", SOQ_RECORD_A);

	CHECK_EQ(list.count, rc == 0);
	soq_records_done(&list);
	return rc;
}

static int connect_by_name(void)
{
	struct soq_stream *s = NULL;
	int rc = soq_connect(&s, endpoint);

	CHECK_EQ(!s, rc < 0);
	soq_close(s);
	return rc;
}

/* Answer, and listen, until killed; where, goes through the pipe. */
static _Noreturn void serve(int ready)
{
	struct soq_listener *l;
	struct soq_addr addr;
	struct dns d;
	unsigned port;

	CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
	dns_open(&d, zone);
	CHECK_OK(soq_listen(&l, "tcp://:0", NULL));
	CHECK_OK(soq_listener_addr(l, &addr));
	port = soq_addr_port(&addr);
	CHECK_EQ(write(ready, &port, sizeof(port)), sizeof(port));
	CHECK_OK(soq_scope_wait(d.scope));
	_exit(0);
}

static void sweep(int (*body)(void))
{
	int ready[2], status;
	unsigned port;
	pid_t server;

	machine_enter("nameserver 127.0.0.1\n", HOSTS);
	CHECK_OK(pipe2(ready, O_CLOEXEC));
	server = (pid_t)CHECK_OK(fork());
	if (server == 0)
		serve(ready[1]);
	CHECK_EQ(read(ready[0], &port, sizeof(port)), sizeof(port));
	snprintf(endpoint, sizeof(endpoint), "tcp://one.test:%u", port);
	fault_sweep(body);
	CHECK_OK(kill(server, SIGKILL));
	CHECK_EQ(waitpid(server, &status, 0), server);
	close(ready[0]);
	close(ready[1]);
}

CONTRACT_KERNEL(names_fault_resolve, KERNEL)
{
	sweep(resolve);
}

CONTRACT_KERNEL(names_fault_query, KERNEL)
{
	sweep(query);
}

CONTRACT_KERNEL(names_fault_connect, KERNEL)
{
	sweep(connect_by_name);
}
