/* 01_tcp_client.c - the textbook's client: connect, send, receive, close.
 *
 * usage: 01_tcp_client [ENDPOINT [TEXT]]
 */
#include <soquete/soquete.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "tcp://127.0.0.1:8007";
	const char *text = argc > 2 ? argv[2] : "hello";
	struct soq_stream *server;
	char reply[512];
	ssize_t n;

	if (soq_connect(&server, endpoint)) {
		fprintf(stderr, "%s\n", soq_last_error());
		return 1;
	}
	soq_send_text(server, text);
	soq_send_text(server, "\n");
	soq_shutdown(server); /* we have said all; the server's bytes go on */
	while ((n = soq_recv(server, reply, sizeof(reply))) > 0)
		fwrite(reply, 1, (size_t)n, stdout);
	if (n < 0)
		fprintf(stderr, "receive: %s\n", soq_strerror((int)n));
	soq_close(server);
	return n < 0;
}
