/* net_tls_threadless.c - a handshake that is for a thread of the pool, for its key signs
 * slowly, where the system gives no thread. A child of fork has a pool of its own, and the
 * limit.
 */
#include "contract/net.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static void forbid_threads(void)
{
	CHECK_OK(setrlimit(RLIMIT_NPROC, &(struct rlimit){ 0, 0 }));
	if (geteuid() == 0)
		CHECK_OK(setresuid(NOBODY, NOBODY, NOBODY));
}

static void nothing(void *arg)
{
	(void)arg;
}

static void serve(int fd, struct soq_tls *tls)
{
	struct soq_stream *s;

	forbid_threads();
	CHECK_ERR(soq_offload(nothing, NULL), -EAGAIN);
	CHECK_OK(soq_adopt(&s, fd));
	CHECK_OK(soq_start_tls_server(s, tls));
	soq_finish(s);
}

CONTRACT_KERNEL(tls_threadless_handshake, "a simulated host has no threads")
{
	struct soq_tls *server, *client;
	struct soq_stream *s;
	char file[256];
	int fds[2], status;
	pid_t pid;

	if (!have_tls())
		SKIP("this build has no TLS");
	snprintf(file, sizeof(file), "%s/slow.pem", test_dir());
	CHECK_OK(soq_make_certificate(
		file, NULL, &(struct soq_certificate_options){ .rsa_bits = 3072 }));
	CHECK_OK(soq_tls_new(&server, &(struct soq_tls_options){ .certificate = file }));
	CHECK_OK(soq_tls_new(&client, &(struct soq_tls_options){ .ca = file }));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		serve(fds[1], server);
		_exit(0);
	}
	CHECK(pid > 0);
	close(fds[1]);
	CHECK_OK(soq_adopt(&s, fds[0]));
	CHECK_OK(soq_start_tls(s, client, "localhost"));
	CHECK_OK(soq_finish(s));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	soq_tls_free(server);
	soq_tls_free(client);
}
