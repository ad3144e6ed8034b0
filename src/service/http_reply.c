/* http_reply.c - the heads of answers, error pages, redirections. */
#include "http.h"

#include "proto/escape.h"
#include "proto/http_date.h"
#include "proto/http_status.h"

#include <errno.h>

/* A whole answer of ours but a listing: pages are short, a Location may be long. */
#define REPLY_MAX 65536

void soq__http_begin(struct soq__writer *w, struct soq__http_exchange *x, int status)
{
	x->status = status;
	soq__put_format(w, "HTTP/1.1 %d %s\r\nServer: soquete\r\nDate: ", status,
		soq__http_reason(status));
	soq__put_http_date(w, x->now);
	soq__put_string(w, "\r\nX-Content-Type-Options: nosniff\r\n");
	if (!x->keep)
		soq__put_string(w, "Connection: close\r\n");
	else if (x->request.minor == 0)
		soq__put_string(w, "Connection: keep-alive\r\n");
}

void soq__put_content(struct soq__writer *w, const char *type, uint64_t length)
{
	soq__put_string(w, "Content-Type: ");
	soq__put_string(w, type);
	soq__put_string(w, "\r\nContent-Length: ");
	soq__put_u64(w, length);
	soq__put_string(w, "\r\n");
}

/* @return the bytes sent; when they are not all, the connection is of no use any more */
static size_t send_part(struct soq__http_exchange *x, const char *at, size_t len)
{
	ssize_t n = len > 0 ? soq_send(x->peer, at, len) : 0;
	size_t sent = n > 0 ? (size_t)n : 0;

	if (sent < len)
		x->keep = false;
	return sent;
}

void soq__http_send(struct soq__http_exchange *x, const struct soq__writer *w, size_t head_len,
	struct soq__text more)
{
	bool is_head = x->is_complete && x->request.method == SOQ__HTTP_HEAD;
	size_t len = is_head ? head_len : w->len;
	size_t sent = w->failed ? 0 : send_part(x, w->at, len);

	if (sent > head_len)
		x->bytes += sent - head_len;
	if (sent < len)
		x->keep = false; /* also when there was no memory for the answer */
	else if (!is_head)
		x->bytes += send_part(x, more.at, more.len);
}

/* What each status means to who reads the page. */
static const char *explain(int status)
{
	switch (status) {
	case 301:
		return "a folder's address ends in a slash";
	case 403:
		return "it is there, but this server may not read it";
	case 404:
		return "there is nothing by this name here";
	case 405:
		return "this server only gives: it answers GET, HEAD and OPTIONS";
	case 408:
		return "the request took too long to arrive";
	case 412:
		return "the file is not in the state that the request asks for";
	case 414:
		return "the address is too long";
	case 416:
		return "the file has no such part";
	case 501:
		return "this server does not know this method";
	case 503:
		return "the server is short of files or memory just now; try again soon";
	default:
		return "something went wrong here";
	}
}

static void put_sentence(struct soq__writer *w, const char *words)
{
	char first = words[0];

	if (first >= 'a' && first <= 'z')
		first = (char)(first - ('a' - 'A'));
	soq__put_html(w, (struct soq__text){ &first, 1 });
	soq__put_html(w, soq__text_of(words + 1));
	soq__put_string(w, ".");
}

static void put_page(
	struct soq__writer *w, const struct soq__http_nonce *nonce, int status, const char *why)
{
	soq__put_page_begin(w, nonce, soq__text_of(soq__http_reason(status)));
	soq__put_format(w, "<p class=\"code\">%d</p>\n<h1>%s</h1>\n<p>", status,
		soq__http_reason(status));
	put_sentence(w, why ? why : explain(status));
	soq__put_string(w, "</p>\n<p><a href=\"/\">To the start</a></p>\n");
	soq__put_page_end(w);
}

void soq__http_send_page(struct soq__http_exchange *x, struct soq__writer *w, const char *why)
{
	struct soq__http_nonce nonce;
	struct soq__writer page;
	char buf[4096];
	size_t head_len;

	if (soq__http_nonce_init(&nonce) < 0)
		w->failed = true;
	soq__writer_init(&page, buf, sizeof buf, REPLY_MAX);
	put_page(&page, &nonce, x->status, why);
	soq__put_page_policy(w, &nonce);
	soq__put_content(w, "text/html; charset=utf-8", page.len);
	soq__put_string(w, "\r\n");
	head_len = w->len;
	soq__put(w, page.at, page.len);
	w->failed |= page.failed;
	soq__http_send(x, w, head_len, SOQ__TEXT(""));
	soq__writer_done(&page);
}

void soq__http_send_error(struct soq__http_exchange *x, int status, const char *why)
{
	char buf[4096];
	struct soq__writer w;

	soq__writer_init(&w, buf, sizeof buf, REPLY_MAX);
	soq__http_begin(&w, x, status);
	if (status == 405)
		soq__put_string(&w, "Allow: GET, HEAD, OPTIONS\r\n");
	if (status == 503)
		soq__put_string(&w, "Retry-After: 2\r\n");
	soq__http_send_page(x, &w, why);
	soq__writer_done(&w);
}

void soq__http_send_redirect(struct soq__http_exchange *x, const struct soq__http_path *path)
{
	char buf[4096];
	struct soq__writer w;

	soq__writer_init(&w, buf, sizeof buf, REPLY_MAX);
	soq__http_begin(&w, x, 301);
	/* Written from the decoded path: whatever was sent, it begins with one slash, so
	 * that it cannot name another host. */
	soq__put_string(&w, "Location: /");
	soq__put_uri_path(&w, (struct soq__text){ path->text, path->len });
	soq__put_string(&w, "/");
	if (x->request.target.query.at) {
		soq__put_string(&w, "?");
		soq__put_uri_query(&w, x->request.target.query);
	}
	soq__put_string(&w, "\r\n");
	soq__http_send_page(x, &w, NULL);
	soq__writer_done(&w);
}

int soq__http_status_of(int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
		return 403;
	case -ENOENT:
	case -ENOTDIR:
	case -ENAMETOOLONG:
	case -ELOOP: /* a symbolic link that leads nowhere */
	case -EXDEV: /* or outside of the root */
	case -ENXIO: /* a socket, or a device without a driver */
	case -ENODEV:
		return 404;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -EAGAIN:
	case -ETIMEDOUT:
	case -ECANCELED:
		return 503;
	default:
		return 500;
	}
}
