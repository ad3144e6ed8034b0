/* peer_uv.c - echo on libuv, written as its documentation advises for speed.
 *
 * One buffer for all reads; uv_try_write first, which sends at once, and uv_write
 * of a copy only for what did not fit, with reading stopped until it is gone.
 *
 * Source: docs.libuv.org, uv_stream_t.
 */
#include "peer.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define BACKLOG 4096

struct rest {
	uv_write_t req;
	char bytes[];
};

static char read_buf[65536];

static void on_close(uv_handle_t *h)
{
	free(h);
}

static void stream_close(uv_stream_t *s)
{
	if (!uv_is_closing((uv_handle_t *)s))
		uv_close((uv_handle_t *)s, on_close);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	(void)h, (void)suggested;
	*buf = uv_buf_init(read_buf, sizeof read_buf);
}

static void on_read(uv_stream_t *s, ssize_t nread, const uv_buf_t *buf);

static void on_written(uv_write_t *req, int status)
{
	uv_stream_t *s = req->handle;

	free(req->data);
	if (status < 0 || uv_read_start(s, on_alloc, on_read) < 0)
		stream_close(s);
}

static void write_rest(uv_stream_t *s, const char *bytes, size_t len)
{
	struct rest *r = malloc(sizeof *r + len);
	uv_buf_t buf;

	if (!r) {
		stream_close(s);
		return;
	}
	memcpy(r->bytes, bytes, len);
	r->req.data = r;
	buf = uv_buf_init(r->bytes, (unsigned)len);
	uv_read_stop(s);
	if (uv_write(&r->req, s, &buf, 1, on_written) < 0) {
		free(r);
		stream_close(s);
	}
}

static void on_read(uv_stream_t *s, ssize_t nread, const uv_buf_t *buf)
{
	uv_buf_t out;
	int n;

	if (nread == 0)
		return;
	if (nread < 0) {
		stream_close(s);
		return;
	}
	out = uv_buf_init(buf->base, (unsigned)nread);
	n = uv_try_write(s, &out, 1);
	if (n == UV_EAGAIN)
		n = 0;
	if (n < 0)
		stream_close(s);
	else if (n < nread)
		write_rest(s, buf->base + n, (size_t)(nread - n));
}

static void on_client(uv_stream_t *server, int status)
{
	uv_tcp_t *client;

	if (status < 0 || !(client = malloc(sizeof *client)))
		return;
	uv_tcp_init(server->loop, client);
	if (uv_accept(server, (uv_stream_t *)client) < 0 ||
		uv_read_start((uv_stream_t *)client, on_alloc, on_read) < 0)
		stream_close((uv_stream_t *)client);
}

int main(void)
{
	uv_loop_t *loop = uv_default_loop();
	uv_tcp_t server;
	int fd, r;

	peer_init();
	fd = peer_listen();
	uv_tcp_init(loop, &server);
	r = uv_tcp_open(&server, fd);
	if (r == 0)
		r = uv_listen((uv_stream_t *)&server, BACKLOG, on_client);
	if (r < 0)
		peer_die("libuv", -r);
	peer_ready(fd);
	return uv_run(loop, UV_RUN_DEFAULT);
}
