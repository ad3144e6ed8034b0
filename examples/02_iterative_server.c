/* 02_iterative_server.c - wait for a client, handle it, wait for the next.
 *
 * usage: 02_iterative_server [ENDPOINT]
 */
#include <soquete/soquete.h>
#include <ctype.h>
#include <stdio.h>

static int handle(struct soq_stream *client, void *arg)
{
	char line[512];

	(void)arg;
	while (soq_recv_line(client, line, sizeof(line)) >= 0) {
		for (char *c = line; *c; c++)
			*c = (char)toupper((unsigned char)*c);
		soq_send_text(client, line);
		soq_send_text(client, "\n");
	}
	return SOQ_DONE;
}

int main(int argc, char **argv)
{
	struct soq_server_options options = { .shape = SOQ_SHAPE_ITERATIVE,
		.stop_on_signals = true };
	const char *endpoint = argc > 1 ? argv[1] : "tcp://127.0.0.1:9000";
	char text[SOQ_ADDR_TEXT_MAX];
	struct soq_server *server;
	struct soq_addr addr;

	if (soq_server_new(&server, &options) ||
		soq_server_listen(server, endpoint, handle, NULL)) {
		fprintf(stderr, "%s\n", soq_last_error());
		return 1;
	}
	soq_server_endpoint(server, 0, &addr, NULL);
	soq_addr_format(text, sizeof(text), &addr);
	printf("listening %s\n", text);
	fflush(stdout);
	soq_server_run(server);
	soq_server_free(server);
	return 0;
}
