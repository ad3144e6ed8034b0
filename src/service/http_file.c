/* http_file.c - finding what is asked for beneath the root, and sending it.
 *
 * A file is opened, looked at and sent on the worker itself: names and pages that are
 * asked for are mostly in the kernel's caches, and a trip to another thread would cost
 * each request more than the disk costs a few. Reading a folder goes to the pool.
 */
#include "http.h"
#include "beneath.h"

#include <soquete/time.h>

#include "proto/http_condition.h"
#include "proto/http_date.h"
#include "proto/media_type.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Up to here a file goes out in one call with its head; beyond, by sendfile(2). */
#define SMALL_FILE 8192

#define HEAD_MAX 1024

/* A file that is open to be sent. */
struct file {
	int fd;
	uint64_t size;
	int64_t modified; /* Last-Modified, in seconds since 1970 */
	char etag_buf[48];
	struct soq__text etag;
	const char *type;
	bool is_part;	/* a Range asks for a part, be it the whole */
	uint64_t first; /* what is to be sent */
	uint64_t length;
};

/* By time of change and size. A file that has just changed may change again within the
 * clock's tick: its tag is weak until it has rested (RFC 9110 section 8.8.1). */
static void make_etag(struct file *f, const struct stat *st, int64_t now)
{
	struct soq__writer w;

	soq__writer_init(&w, f->etag_buf, sizeof f->etag_buf, sizeof f->etag_buf);
	soq__put_format(&w, "%s\"%llx.%lx-%llx\"", now - st->st_mtim.tv_sec < 2 ? "W/" : "",
		(unsigned long long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec,
		(unsigned long long)st->st_size);
	f->etag = (struct soq__text){ w.at, w.len };
}

static void put_validators(struct soq__writer *w, const struct file *f)
{
	soq__put_string(w, "Last-Modified: ");
	soq__put_http_date(w, f->modified);
	soq__put_string(w, "\r\nETag: ");
	soq__put_text(w, f->etag);
	soq__put_string(w, "\r\n");
}

static void put_file_head(struct soq__writer *w, struct soq__http_exchange *x, struct file *f)
{
	soq__http_begin(w, x, f->is_part ? 206 : 200);
	soq__put_content(w, f->type, f->length);
	if (f->is_part)
		soq__put_format(w, "Content-Range: bytes %llu-%llu/%llu\r\n",
			(unsigned long long)f->first,
			(unsigned long long)(f->first + f->length - 1),
			(unsigned long long)f->size);
	put_validators(w, f);
	soq__put_string(w, "Accept-Ranges: bytes\r\n\r\n");
}

static void send_not_modified(struct soq__http_exchange *x, const struct file *f)
{
	char buf[HEAD_MAX];
	struct soq__writer w;

	soq__writer_init(&w, buf, sizeof buf, sizeof buf);
	soq__http_begin(&w, x, 304);
	put_validators(&w, f);
	soq__put_string(&w, "\r\n");
	soq__http_send(x, &w, w.len, SOQ__TEXT(""));
}

static void send_unsatisfiable(struct soq__http_exchange *x, const struct file *f)
{
	char buf[HEAD_MAX];
	struct soq__writer w;

	soq__writer_init(&w, buf, sizeof buf, 65536);
	soq__http_begin(&w, x, 416);
	soq__put_format(&w, "Content-Range: bytes */%llu\r\n", (unsigned long long)f->size);
	soq__http_send_page(x, &w, NULL);
	soq__writer_done(&w);
}

/* Head and body in one call. A file that has shrunk meanwhile ends the connection: the
 * length that was promised cannot be kept. */
static void send_small(struct soq__http_exchange *x, struct file *f)
{
	char buf[HEAD_MAX + SMALL_FILE];
	struct soq__writer w;
	size_t head_len;
	ssize_t n = 0;

	soq__writer_init(&w, buf, sizeof buf, sizeof buf);
	put_file_head(&w, x, f);
	head_len = w.len;
	if (x->request.method == SOQ__HTTP_GET && soq__writer_room(&w, f->length))
		n = pread(f->fd, w.at + w.len, f->length, (off_t)f->first);
	w.len += n > 0 ? (size_t)n : 0;
	soq__http_send(x, &w, head_len, SOQ__TEXT(""));
	if (x->request.method == SOQ__HTTP_GET && w.len < head_len + f->length)
		x->keep = false;
}

static void send_large(struct soq__http_exchange *x, struct file *f)
{
	char buf[HEAD_MAX];
	struct soq__writer w;
	ssize_t n;

	soq__writer_init(&w, buf, sizeof buf, sizeof buf);
	put_file_head(&w, x, f);
	(void)soq_set_cork(x->peer, true); /* a Unix socket has none, and needs none */
	soq__http_send(x, &w, w.len, SOQ__TEXT(""));
	n = soq_send_file(x->peer, f->fd, (int64_t)f->first, (size_t)f->length);
	(void)soq_set_cork(x->peer, false);
	if (n > 0)
		x->bytes += (uint64_t)n;
	if (n < 0 || (uint64_t)n < f->length)
		x->keep = false;
}

static void send_file(struct soq__http_exchange *x, struct file *f)
{
	struct soq__http_validators v = { f->etag, f->modified };
	uint64_t last;
	int status = soq__http_precondition(&x->request, &v, x->now);

	if (status == 304) {
		send_not_modified(x, f);
		return;
	}
	if (status) {
		soq__http_send_error(x, status, NULL);
		return;
	}
	switch (soq__http_range_wanted(&x->request, &v, x->now, f->size, &f->first, &last)) {
	case SOQ__HTTP_UNSATISFIABLE:
		send_unsatisfiable(x, f);
		return;
	case SOQ__HTTP_PART:
		f->is_part = true;
		f->length = last - f->first + 1;
		break;
	case SOQ__HTTP_WHOLE:
		f->length = f->size;
		break;
	}
	if (f->length <= SMALL_FILE || x->request.method == SOQ__HTTP_HEAD)
		send_small(x, f);
	else
		send_large(x, f);
}

static struct soq__text file_name(const struct soq__http_path *path)
{
	const char *slash = memrchr(path->text, '/', path->len);
	size_t start = slash ? (size_t)(slash - path->text) + 1 : 0;

	return (struct soq__text){ path->text + start, path->len - start };
}

/* Send what is open, if it is a regular file. @fd is closed. */
static void send_open(struct soq__http_exchange *x, int fd, struct soq__text name,
	const struct soq__http_path *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		soq__http_send_error(x, 500, NULL);
	} else if (S_ISREG(st.st_mode)) {
		struct file f = {
			.fd = fd,
			.size = (uint64_t)st.st_size,
			.modified = st.st_mtim.tv_sec,
			.type = soq__media_type(name),
		};

		make_etag(&f, &st, x->now);
		send_file(x, &f);
	} else if (S_ISDIR(st.st_mode) && path) {
		soq__http_send_redirect(x, path);
	} else {
		soq__http_send_error(x, 404, NULL);
	}
	close(fd);
}

/* A folder: its index.html, else its listing. */
static void get_folder(struct soq__http_exchange *x, const struct soq__http_path *path)
{
	char index[SOQ__HTTP_PATH_MAX + sizeof "/index.html"];
	int fd;

	strcpy(stpcpy(index, path->text), path->len > 0 ? "/index.html" : "index.html");
	fd = soq__beneath_open(x->http->root, index, 0);
	if (fd >= 0)
		send_open(x, fd, SOQ__TEXT("index.html"), NULL);
	else if (fd == -ENOENT && !x->http->no_listing)
		soq__http_send_listing(x, path);
	else
		soq__http_send_error(x, soq__http_status_of(fd), NULL);
}

void soq__http_get(struct soq__http_exchange *x)
{
	struct soq__http_path path;
	int status = soq__http_path_decode(&path, x->request.target.path);
	int fd;

	if (status) {
		soq__http_send_error(
			x, status, status == 400 ? "the address is not a path here" : NULL);
		return;
	}
	if (path.has_hidden && !x->http->dotfiles) {
		soq__http_send_error(x, 404, NULL);
		return;
	}
	if (path.is_folder) {
		get_folder(x, &path);
		return;
	}
	fd = soq__beneath_open(x->http->root, path.text, 0);
	if (fd < 0)
		soq__http_send_error(x, soq__http_status_of(fd), NULL);
	else
		send_open(x, fd, file_name(&path), &path);
}
