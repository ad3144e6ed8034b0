/* 06_udp_service.c - wait for a datagram, handle it, reply; there is nothing to accept.
 *
 * usage: 06_udp_service [ENDPOINT]
 */
#include <soquete/soquete.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "udp://127.0.0.1:9000";
	char text[SOQ_ADDR_TEXT_MAX], buf[2048];
	struct soq_dgram *socket;
	struct soq_addr addr, client;
	ssize_t n;

	if (soq_dgram_open(&socket, endpoint)) {
		fprintf(stderr, "%s\n", soq_last_error());
		return 1;
	}
	soq_dgram_addr(socket, &addr);
	soq_addr_format(text, sizeof(text), &addr);
	printf("listening %s\n", text);
	fflush(stdout);

	while ((n = soq_recvfrom(socket, buf, sizeof(buf), &client)) >= 0 || n == -EMSGSIZE) {
		if (n < 0)
			continue; /* longer than any request of ours */
		for (ssize_t i = 0; i < n; i++)
			buf[i] = (char)toupper((unsigned char)buf[i]);
		soq_sendto(socket, buf, (size_t)n, &client);
	}
	fprintf(stderr, "receive: %s\n", soq_strerror((int)n));
	soq_dgram_close(socket);
	return 1;
}
