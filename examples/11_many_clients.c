/* 11_many_clients.c - many clients at once: a scope owns a fiber for each of them.
 *
 * usage: 11_many_clients [ENDPOINT [COUNT]]
 */
#include <soquete/soquete.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
	const char *endpoint;
	unsigned served;
};

static void client(void *arg)
{
	struct job *job = arg; /* one thread, so its fibers may share it without a lock */
	struct soq_stream *server;
	char line[64];

	if (soq_connect(&server, job->endpoint)) {
		fprintf(stderr, "%s\n", soq_last_error());
		return;
	}
	soq_send_text(server, "HELLO\n");
	if (soq_recv_line(server, line, sizeof(line)) > 0 && !strcmp(line, "HELLO"))
		job->served++;
	soq_close(server);
}

int main(int argc, char **argv)
{
	struct job job = { .endpoint = argc > 1 ? argv[1] : "tcp://127.0.0.1:8007" };
	unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 100;
	struct soq_scope *scope;

	if (soq_scope_open(&scope))
		return 1;
	soq_deadline(soq_now() + 30 * SOQ_S); /* theirs too */
	for (unsigned i = 0; i < count; i++)
		soq_spawn(scope, client, &job);
	soq_scope_wait(scope);
	soq_scope_close(scope);
	printf("%u of %u clients were served\n", job.served, count);
	return job.served != count;
}
