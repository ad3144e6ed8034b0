/* 08_http_get.c - fetch http://host/path by hand: a request in plain text, and its answer.
 *
 * usage: 08_http_get [URL]
 */
#include <soquete/soquete.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	const char *url = argc > 1 ? argv[1] : "http://127.0.0.1:8080/";
	char host[256], path[1024] = "", endpoint[300], buf[4096];
	struct soq_stream *server;
	ssize_t n;

	if (sscanf(url, "http://%255[^/]/%1023s", host, path) < 1) {
		fprintf(stderr, "not an http:// address: %s\n", url);
		return 2;
	}
	/* A host that ends with a port has it; HTTP's own is 80. */
	n = (ssize_t)strspn(strrchr(host, ':') ? strrchr(host, ':') + 1 : "x", "0123456789");
	snprintf(endpoint, sizeof(endpoint), "tcp://%s%s", host,
		n > 0 && host[strlen(host) - 1] != ']' ? "" : ":80");
	if (soq_connect(&server, endpoint)) {
		fprintf(stderr, "%s\n", soq_last_error());
		return 1;
	}
	soq_set_recv_timeout(server, 30 * SOQ_S);
	n = snprintf(buf, sizeof(buf),
		"GET /%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);
	soq_send(server, buf, (size_t)n);
	while ((n = soq_recv(server, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	soq_close(server);
	return n < 0;
}
