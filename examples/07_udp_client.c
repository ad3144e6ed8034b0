/* 07_udp_client.c - ask by datagram. Either way may lose it, so ask again, a few times.
 *
 * usage: 07_udp_client [ENDPOINT [TEXT]]
 */
#include <soquete/soquete.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "udp://127.0.0.1:9000";
	const char *text = argc > 2 ? argv[2] : "hello";
	struct soq_dgram *server;
	char reply[2048];
	ssize_t n = -ETIMEDOUT;

	if (soq_dgram_connect(&server, endpoint)) {
		fprintf(stderr, "%s\n", soq_last_error());
		return 1;
	}
	soq_dgram_set_recv_timeout(server, 1 * SOQ_S);
	for (int tries = 0; tries < 3 && n == -ETIMEDOUT; tries++) {
		soq_sendto(server, text, strlen(text), NULL);
		n = soq_recvfrom(server, reply, sizeof(reply), NULL);
	}
	if (n < 0)
		fprintf(stderr, "%s: %s\n", endpoint, soq_strerror((int)n));
	else
		printf("%.*s\n", (int)n, reply);
	soq_dgram_close(server);
	return n < 0;
}
