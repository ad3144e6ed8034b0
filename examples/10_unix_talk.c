/* 10_unix_talk.c - two programs of one machine talk. Whoever is first waits at the path;
 * the kernel tells him who has come. Each says one thing and hears the other's.
 *
 * usage: 10_unix_talk [PATH [TEXT]]
 */
#include <soquete/soquete.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "/tmp/10_unix_talk.sock";
	const char *text = argc > 2 ? argv[2] : "hello";
	struct soq_listener *listener;
	struct soq_credentials who;
	struct soq_stream *other;
	char endpoint[128], line[512];
	ssize_t n;

	snprintf(endpoint, sizeof(endpoint), "unix://%s", path);
	if (soq_connect(&other, endpoint)) {
		if (soq_listen(&listener, endpoint, NULL)) {
			fprintf(stderr, "%s\n", soq_last_error());
			return 1;
		}
		printf("listening %s\n", path);
		fflush(stdout);
		if (soq_accept(&other, listener))
			return 1;
		soq_listener_close(listener);
		if (!soq_peer_credentials(other, &who))
			printf("user %u has come\n", (unsigned)who.uid);
	}
	soq_send_text(other, text);
	soq_send_text(other, "\n");
	n = soq_recv_line(other, line, sizeof(line));
	if (n >= 0)
		printf("heard: %s\n", line);
	return soq_finish(other) || n < 0;
}
