/* 02_by_hand.c - the textbook's server, call by call: listen, accept, then wait for a
 * request, handle it, reply; close. One client at a time: the others wait.
 *
 * usage: 02_by_hand [ENDPOINT]
 */
#include <soquete/soquete.h>
#include <ctype.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "tcp://127.0.0.1:9000";
	struct soq_listener *listener;
	struct soq_stream *client;
	struct soq_addr addr;
	char text[SOQ_ADDR_TEXT_MAX], buf[512];
	ssize_t n;

	if (soq_listen(&listener, endpoint, NULL)) {
		fprintf(stderr, "%s\n", soq_last_error());
		return 1;
	}
	soq_listener_addr(listener, &addr);
	soq_addr_format(text, sizeof(text), &addr);
	printf("listening %s\n", text);
	fflush(stdout);

	while (!soq_accept(&client, listener)) {
		soq_set_recv_timeout(client, 60 * SOQ_S); /* a silent client is not for ever */
		while ((n = soq_recv(client, buf, sizeof(buf))) > 0) {
			for (ssize_t i = 0; i < n; i++)
				buf[i] = (char)toupper((unsigned char)buf[i]);
			soq_send(client, buf, (size_t)n);
		}
		soq_close(client);
	}
	soq_listener_close(listener);
	return 0;
}
