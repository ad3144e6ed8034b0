/* server_soak.c - many clients at once, and many one after the other: nothing is left. */
#include "contract/server.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_IS_OURS false /* the sanitizers keep what was freed */
#else
#define MEMORY_IS_OURS true
#endif

static long memory_kib(pid_t pid)
{
	char path[64], line[128];
	long kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

enum manner { COME_AND_GO, RESET, ECHO_AND_LEAVE, RESET_AFTER_A_REQUEST, MANNERS };

static const char *const manners[] = { "come and go", "reset", "echo and leave",
	"reset after a request" };

static void visit(int fd, enum manner manner)
{
	struct linger reset = { .l_onoff = 1 };
	char byte;

	if (manner == ECHO_AND_LEAVE || manner == RESET_AFTER_A_REQUEST) {
		CHECK_EQ(send(fd, "a\n", 2, MSG_NOSIGNAL), 2);
		CHECK_EQ(recv(fd, &byte, 1, 0), 1);
	}
	if (manner == RESET || manner == RESET_AFTER_A_REQUEST)
		CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	close(fd);
}

/* Some clients at a time; from several addresses, so that no port is used up. */
static void visits(struct remote *r, enum manner manner, unsigned rounds)
{
	enum { AT_ONCE = 20 };
	int fds[AT_ONCE];

	for (unsigned i = 0; i < rounds; i += AT_ONCE) {
		for (unsigned k = 0; k < AT_ONCE; k++) {
			struct sockaddr_in in = r->addrs[0].in;

			in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i / 2000 % 100);
			fds[k] = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
			CHECK_OK(connect(fds[k], (struct sockaddr *)&in, sizeof(in)));
		}
		for (unsigned k = 0; k < AT_ONCE; k++)
			visit(fds[k], manner);
	}
}

/* Until the server has seen all of them go. @return its descriptors */
static int settle(const struct remote *r, int want)
{
	struct remote local = *r;
	int fds;

	snprintf(local.endpoints[0], sizeof(local.endpoints[0]), "tcp://127.0.0.1:%u",
		soq_addr_port(&r->addrs[0]));
	expect_service(&local, 0); /* those before have been accepted */
	do {
		fds = count_fds(r->pid);
		CHECK_OK(soq_sleep(5 * SOQ_MS));
	} while (fds != count_fds(r->pid) || (want > 0 && fds != want));
	return fds;
}

/* 100,000 in all, over the manners and the engines; each leaves nothing. */
static void soak(enum manner manner)
{
	struct plan plan = {
		.sites = { { .endpoint = "tcp://0.0.0.0:0", .handler = echo_a_line } }
	};
	struct remote r;
	int fds;
	long kib;

	ROW("%s", manners[manner]);
	remote_start(&r, &plan);
	visits(&r, manner, test_scale(2000));
	fds = settle(&r, 0);
	kib = memory_kib(r.pid);
	visits(&r, manner, test_scale(12500));
	CHECK_EQ(settle(&r, fds), fds);
	if (MEMORY_IS_OURS)
		CHECK(memory_kib(r.pid) - kib < 512);
	remote_stop(&r);
}

CONTRACT(soak_come_and_go)
{
	soak(COME_AND_GO);
}

CONTRACT(soak_reset)
{
	soak(RESET);
}

CONTRACT(soak_echo_and_leave)
{
	soak(ECHO_AND_LEAVE);
}

CONTRACT(soak_reset_after_a_request)
{
	soak(RESET_AFTER_A_REQUEST);
}

/* ---- many at once ---- */

static void raise_descriptors(rlim_t needed)
{
	struct rlimit limit;

	CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur >= needed)
		return;
	if (limit.rlim_max < needed)
		limit.rlim_max = needed;
	limit.rlim_cur = needed;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		SKIP("%lu descriptors are not allowed here (ulimit -n)", (unsigned long)needed);
}

/* Clients from several addresses, each with two requests, all of them there at once. */
CONTRACT(soak_many_clients_at_once)
{
	unsigned count = test_scale(10000);
	struct plan plan = {
		.sites = { { .endpoint = "tcp://0.0.0.0:0", .handler = echo_a_line } }
	};
	int *fds = calloc(count, sizeof(*fds));
	struct remote r;
	char reply[8];

	CHECK(fds);
	raise_descriptors(count + 200);
	remote_start(&r, &plan);
	for (unsigned i = 0; i < count; i++) {
		struct sockaddr_in in = r.addrs[0].in;

		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i % 10);
		fds[i] = (int)CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
		CHECK_OK(connect(fds[i], (struct sockaddr *)&in, sizeof(in)));
	}
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < count; i++)
			CHECK_EQ(write(fds[i], "hello\n", 6), 6);
		for (unsigned i = 0; i < count; i++) {
			CHECK_EQ(recv(fds[i], reply, 6, MSG_WAITALL), 6);
			CHECK_MEM(reply, "hello\n", 6);
		}
	}
	printf("%ld KiB with %u idle clients\n", memory_kib(r.pid), count);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	free(fds);
	remote_stop(&r);
}
