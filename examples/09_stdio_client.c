/* 09_stdio_client.c - a socket as a FILE: fprintf asks, getline hears the answer.
 *
 * usage: 09_stdio_client [ENDPOINT [TEXT ...]]
 */
#include <soquete/soquete.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	const char *endpoint = argc > 1 ? argv[1] : "tcp://127.0.0.1:8007";
	struct soq_stream *server;
	char *line = NULL;
	size_t size = 0;
	FILE *file;

	if (soq_connect(&server, endpoint)) {
		fprintf(stderr, "%s\n", soq_last_error());
		return 1;
	}
	file = soq_fopen(server, "r+");
	if (!file) {
		soq_close(server);
		return 1;
	}
	for (int i = 2; i < argc; i++) {
		fprintf(file, "%d: %s\n", i - 1, argv[i]);
		if (getline(&line, &size, file) < 0)
			break;
		fputs(line, stdout);
	}
	free(line);
	return fclose(file) != 0; /* flushes, finishes and closes the stream too */
}
