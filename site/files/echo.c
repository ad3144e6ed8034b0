/* echo.c - whatever a client sends comes back. Change one word, and it is served by a
 * process, a thread or a fiber for each client, or by one loop for all of them in turn.
 *
 *	cc echo.c $(pkg-config --cflags --libs soquete) -o echo && ./echo
 *	nc localhost 7777
 */
#include <soquete/soquete.h>

#include <stdio.h>

static int echo(struct soq_stream *peer, void *arg)
{
	char buf[4096];
	ssize_t n;

	while ((n = soq_recv(peer, buf, sizeof buf)) > 0)
		if (soq_send(peer, buf, (size_t)n) < n)
			break;
	return SOQ_DONE;
}

int main(void)
{
	struct soq_server_options options = {
		.shape = SOQ_SHAPE_FIBER, /* or ITERATIVE, PROCESS, THREAD */
		.stop_on_signals = true,
	};
	int rc = soq_serve("tcp://localhost:7777", echo, NULL, &options);

	if (rc < 0)
		fprintf(stderr, "%s\n", soq_last_error());
	return rc < 0;
}
