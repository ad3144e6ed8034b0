/* soquete_echo.c - echo on soquete, through nothing but its public interface.
 *
 * A fiber for each client, one worker, every limit and timeout at its default: what
 * a user gets. SOQUETE_ENGINE chooses the engine, and it must be the one that runs.
 */
#include "peer.h"

#include <soquete/soquete.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int echo(struct soq_stream *peer, void *arg)
{
	char buf[4096];
	ssize_t n;

	while ((n = soq_recv(peer, buf, sizeof buf)) > 0)
		if (soq_send(peer, buf, (size_t)n) != n)
			break;
	return SOQ_DONE;
}

static void check(const char *what, int result)
{
	if (result >= 0)
		return;
	fprintf(stderr, "%s: %s %s\n", what, soq_strerror(result), soq_last_error());
	exit(1);
}

int main(void)
{
	struct soq_server_options options = { .shape = SOQ_SHAPE_FIBER, .workers = 1 };
	const char *engine = getenv("SOQUETE_ENGINE");
	struct soq_server *server;
	struct soq_addr addr;

	peer_init();
	if (engine)
		check("soq_engine_select", soq_engine_select(engine));
	check("soq_server_new", soq_server_new(&server, &options));
	check("soq_server_listen", soq_server_listen(server, "tcp://127.0.0.1:0", echo, NULL));
	check("soq_server_endpoint", soq_server_endpoint(server, 0, &addr, NULL));
	printf("127.0.0.1 %u\n", soq_addr_port(&addr));
	fflush(stdout);
	check("soq_server_run", soq_server_run(server));
	soq_server_free(server);
	return 0;
}
