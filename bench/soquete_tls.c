/* soquete_tls.c - a TLS server on soquete, through nothing but its public interface.
 *
 * usage: soquete_tls done|again|echo|turns|bulk CERTIFICATE   (PEM, with its key)
 *
 * What each word means: peer_openssl.c; and turns is echo by a handler that is called for each
 * request, between which the client holds no stack and no buffer. A fiber for each client, one
 * worker, every limit and option at its default: what a user gets. SOQUETE_ENGINE chooses the
 * engine.
 */
#include "peer.h"

#include <soquete/soquete.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_BYTES 16384

/* A request's bytes, all of which come at once, are not looked at. */
static int answer(struct soq_stream *peer, const char *reply, int then)
{
	char buf[1024];
	ssize_t len = (ssize_t)strlen(reply);

	if (soq_recv(peer, buf, sizeof buf) <= 0 || soq_send(peer, reply, (size_t)len) != len)
		return SOQ_DONE;
	return then;
}

static int done(struct soq_stream *peer, void *arg)
{
	return answer(peer,
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\ndone\n",
		SOQ_DONE);
}

static int again(struct soq_stream *peer, void *arg)
{
	return answer(peer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ndone\n", SOQ_AGAIN);
}

static int echo(struct soq_stream *peer, void *arg)
{
	char buf[RECORD_BYTES];
	ssize_t n;

	while ((n = soq_recv(peer, buf, sizeof buf)) > 0)
		if (soq_send(peer, buf, (size_t)n) != n)
			break;
	return SOQ_DONE;
}

static int turns(struct soq_stream *peer, void *arg)
{
	char buf[RECORD_BYTES];
	ssize_t n = soq_recv(peer, buf, sizeof buf);

	return n > 0 && soq_send(peer, buf, (size_t)n) == n ? SOQ_AGAIN : SOQ_DONE;
}

static int bulk(struct soq_stream *peer, void *arg)
{
	static char buf[RECORD_BYTES];
	ssize_t n = soq_recv(peer, buf, sizeof buf);

	while (n > 0)
		n = soq_send(peer, buf, sizeof buf) == (ssize_t)sizeof buf;
	return SOQ_DONE;
}

static soq_handler *handler_of(const char *word)
{
	static const struct {
		const char *word;
		soq_handler *handler;
	} rows[] = { { "done", done }, { "again", again }, { "echo", echo }, { "turns", turns },
		{ "bulk", bulk } };

	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(word, rows[i].word) == 0)
			return rows[i].handler;
	fprintf(stderr, "soquete_tls: %s: done, again, echo, turns or bulk is needed\n", word);
	exit(2);
}

static void check(const char *what, int result)
{
	if (result >= 0)
		return;
	fprintf(stderr, "%s: %s %s\n", what, soq_strerror(result), soq_last_error());
	exit(1);
}

int main(int argc, char **argv)
{
	struct soq_server_options options = { .shape = SOQ_SHAPE_FIBER, .workers = 1 };
	const char *engine = getenv("SOQUETE_ENGINE");
	struct soq_server *server;
	struct soq_addr addr;

	if (argc != 3) {
		fputs("usage: soquete_tls done|again|echo|turns|bulk CERTIFICATE\n", stderr);
		return 2;
	}
	peer_init();
	if (engine)
		check("soq_engine_select", soq_engine_select(engine));
	check("soq_tls_new",
		soq_tls_new(&options.tls, &(struct soq_tls_options){ .certificate = argv[2] }));
	check("soq_server_new", soq_server_new(&server, &options));
	soq_tls_free(options.tls);
	check("soq_server_listen",
		soq_server_listen(server, "tls://127.0.0.1:0", handler_of(argv[1]), NULL));
	check("soq_server_endpoint", soq_server_endpoint(server, 0, &addr, NULL));
	printf("127.0.0.1 %u\n", soq_addr_port(&addr));
	fflush(stdout);
	check("soq_server_run", soq_server_run(server));
	soq_server_free(server);
	return 0;
}
