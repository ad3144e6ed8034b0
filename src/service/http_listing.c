/* http_listing.c - a folder as a page.
 *
 * The folder is read, sorted and written on the pool's thread, for each of these may take
 * long; the worker only sends. What could not be opened is not listed: hidden names, what
 * is neither file nor folder, symbolic links that lead outside of the root.
 */
#include "http.h"
#include "beneath.h"

#include <soquete/fiber.h>

#include "proto/civil.h"
#include "proto/escape.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRIES_MAX 10000	/* listed; a folder of more says so */
#define PAGE_MAX    (32u << 20) /* bytes of a page */

struct entry {
	char *name;
	bool is_folder;
	uint64_t size;
	int64_t modified;
};

enum key { BY_NAME, BY_SIZE, BY_DATE };

static const char *const key_words[] = { "name", "size", "date" };

struct listing {
	const struct soq_http *http;
	const struct soq__http_path *path;
	enum key key;
	bool is_descending;
	struct soq__http_nonce nonce;
	struct entry *entries;
	size_t count;
	size_t capacity;
	bool is_cut; /* there were more than ENTRIES_MAX */
	struct soq__writer page;
	int rc;
};

/* Reading the folder. */

/* A symbolic link counts as what it leads to, if that is beneath the root. */
static int stat_link(const struct listing *l, const char *name, struct stat *ret)
{
	char path[SOQ__HTTP_PATH_MAX + 256];
	int fd, rc;

	snprintf(path, sizeof path, "%s%s%s", l->path->text, l->path->len > 0 ? "/" : "", name);
	fd = soq__beneath_open(l->http->root, path, O_PATH);
	if (fd < 0)
		return fd;
	rc = fstat(fd, ret) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

static int stat_entry(const struct listing *l, int folder, const char *name, struct stat *ret)
{
	if (fstatat(folder, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISLNK(ret->st_mode) ? stat_link(l, name, ret) : 0;
}

static int add_entry(struct listing *l, const char *name, const struct stat *st)
{
	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? l->capacity * 2 : 64;
		struct entry *entries = reallocarray(l->entries, capacity, sizeof *entries);

		if (!entries)
			return -ENOMEM;
		l->entries = entries;
		l->capacity = capacity;
	}
	l->entries[l->count] = (struct entry){
		.name = strdup(name),
		.is_folder = S_ISDIR(st->st_mode),
		.size = (uint64_t)st->st_size,
		.modified = st->st_mtim.tv_sec,
	};
	if (!l->entries[l->count].name)
		return -ENOMEM;
	l->count++;
	return 0;
}

/* Never "." and ".."; other hidden names as the options say. */
static bool is_shown(const struct listing *l, const char *name)
{
	if (name[0] != '.')
		return true;
	return l->http->dotfiles && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int read_entries(struct listing *l, DIR *dir)
{
	struct dirent *d;
	struct stat st;

	/* readdir(3) tells its end from its errors by errno alone; no other fiber runs on
	 * the pool's thread. */
	for (errno = 0; (d = readdir(dir)); errno = 0) {
		int rc;

		if (!is_shown(l, d->d_name) || stat_entry(l, dirfd(dir), d->d_name, &st) < 0)
			continue;
		if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
			continue;
		l->is_cut = l->count == ENTRIES_MAX;
		if (l->is_cut)
			return 0;
		rc = add_entry(l, d->d_name, &st);
		if (rc < 0)
			return rc;
	}
	return -errno;
}

static int read_folder(struct listing *l)
{
	int fd = soq__beneath_open(l->http->root, l->path->text, O_DIRECTORY);
	DIR *dir;
	int rc;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		rc = -errno;
		close(fd);
		return rc;
	}
	rc = read_entries(l, dir);
	closedir(dir);
	return rc;
}

/* Sorting. */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* As people sort: without case, and numbers by value: "b2" before "B10". */
static int compare_names(const char *a, const char *b)
{
	const char *s = a, *t = b;

	while (*s && *t) {
		if (isdigit((unsigned char)*s) && isdigit((unsigned char)*t)) {
			int rc = compare_numbers(
				strtoull(s, (char **)&s, 10), strtoull(t, (char **)&t, 10));

			if (rc)
				return rc;
			continue;
		}
		if (tolower((unsigned char)*s) != tolower((unsigned char)*t))
			break;
		s++;
		t++;
	}
	if (*s || *t)
		return tolower((unsigned char)*s) - tolower((unsigned char)*t);
	return strcmp(a, b); /* alike but for case or leading zeros */
}

/* Folders first, in any order; then the key; names decide between equals. */
static int compare(const void *pa, const void *pb, void *arg)
{
	const struct listing *l = arg;
	const struct entry *a = pa, *b = pb;
	int rc = 0;

	if (a->is_folder != b->is_folder)
		return a->is_folder ? -1 : 1;
	if (l->key == BY_SIZE && !a->is_folder)
		rc = compare_numbers(a->size, b->size);
	if (l->key == BY_DATE)
		rc = (a->modified > b->modified) - (a->modified < b->modified);
	if (rc == 0)
		rc = compare_names(a->name, b->name);
	return l->is_descending ? -rc : rc;
}

/* Writing the page. */

static void put_size(struct soq__writer *w, uint64_t size)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)size / 1024;
	size_t unit = 0;

	if (size < 1024) {
		soq__put_format(w, "%u B", (unsigned)size);
		return;
	}
	while (value >= 1023.95 && unit + 1 < sizeof units / sizeof units[0]) {
		value /= 1024;
		unit++;
	}
	soq__put_format(w, "%.1f %s", value, units[unit]);
}

static void put_date(struct soq__writer *w, int64_t seconds)
{
	struct soq__civil c = soq__civil_from_unix(seconds);

	soq__put_format(w, "%04lld-%02d-%02d %02d:%02d", (long long)c.year, c.month, c.day,
		c.hour, c.minute);
}

static void put_icons(struct soq__writer *w)
{
	soq__put_string(w,
		"<svg class=\"defs\" aria-hidden=\"true\"><symbol id=\"d\" viewBox=\"0 0 24 "
		"24\">"
		"<path d=\"M3 7a2 2 0 0 1 2-2h4l2.2 2.5H19a2 2 0 0 1 2 2V17a2 2 0 0 1-2 2H5a2 "
		"2 0 "
		"0 1-2-2z\"/></symbol>\n"
		"<symbol id=\"f\" viewBox=\"0 0 24 24\"><path d=\"M6 3h8l5 5v13H6zM14 3v5h5\"/>"
		"</symbol>\n"
		"<symbol id=\"u\" viewBox=\"0 0 24 24\"><path d=\"M12 19V6M6.5 11.5 12 6l5.5 "
		"5.5\"/></symbol></svg>\n");
}

/* The way from the root: Home / a / b, each but the last a link. */
static void put_way(struct soq__writer *w, const struct soq__http_path *path)
{
	size_t start = 0;

	soq__put_string(w, path->len > 0 ? "<h1><a href=\"/\">Home</a>" : "<h1>Home");
	while (start < path->len) {
		size_t end = start + strcspn(path->text + start, "/");
		bool is_last = end == path->len;

		soq__put_string(w, "<span class=\"sep\">/</span>");
		if (!is_last) {
			soq__put_string(w, "<a href=\"/");
			soq__put_uri_path(w, (struct soq__text){ path->text, end });
			soq__put_string(w, "/\">");
		}
		soq__put_html(w, (struct soq__text){ path->text + start, end - start });
		soq__put_string(w, is_last ? "" : "</a>");
		start = end + 1;
	}
	soq__put_string(w, "</h1>\n");
}

/* A column's title sorts by it; the one that is sorted by already turns the order round. */
static void put_column(struct listing *l, enum key key, const char *css, const char *title)
{
	bool is_sorted = l->key == key;
	bool turns = is_sorted && !l->is_descending;

	soq__put_format(&l->page, "<th scope=\"col\" class=\"%s\"%s>", css,
		!is_sorted		   ? ""
			: l->is_descending ? " aria-sort=\"descending\""
					   : " aria-sort=\"ascending\"");
	soq__put_format(&l->page, "<a href=\"?sort=%s&amp;order=%s\">%s%s</a></th>\n",
		key_words[key], turns ? "desc" : "asc", title,
		!is_sorted		   ? ""
			: l->is_descending ? " \xe2\x86\x93"
					   : " \xe2\x86\x91");
}

static void put_columns(struct listing *l)
{
	soq__put_string(&l->page, "<thead><tr>\n");
	put_column(l, BY_NAME, "name", "Name");
	put_column(l, BY_SIZE, "size", "Size");
	put_column(l, BY_DATE, "date", "Modified (UTC)");
	soq__put_string(&l->page, "</tr></thead>\n");
}

static void put_row(struct listing *l, const struct entry *e)
{
	struct soq__writer *w = &l->page;
	struct soq__text name = soq__text_of(e->name);
	const char *slash = e->is_folder ? "/" : "";

	soq__put_string(w, "<tr><td class=\"name\"><a href=\"");
	soq__put_uri_path(w, name);
	soq__put_format(w,
		"%s\"><svg class=\"%s\" aria-hidden=\"true\"><use href=\"#%s\"/></svg>", slash,
		e->is_folder ? "d" : "f", e->is_folder ? "d" : "f");
	soq__put_html(w, name);
	soq__put_format(w, "%s</a></td><td class=\"size\">", slash);
	if (!e->is_folder)
		put_size(w, e->size);
	soq__put_string(w, "</td><td class=\"date\">");
	put_date(w, e->modified);
	soq__put_string(w, "</td></tr>\n");
}

static void put_table(struct listing *l)
{
	struct soq__writer *w = &l->page;

	soq__put_string(w, "<div class=\"card\">\n<table>\n");
	put_columns(l);
	soq__put_string(w, "<tbody>\n");
	if (l->path->len > 0)
		soq__put_string(w,
			"<tr><td class=\"name\"><a href=\"../\"><svg class=\"u\" aria-hidden="
			"\"true\"><use href=\"#u\"/></svg>Parent folder</a></td>"
			"<td class=\"size\"></td><td class=\"date\"></td></tr>\n");
	for (size_t i = 0; i < l->count; i++)
		put_row(l, &l->entries[i]);
	soq__put_string(w, "</tbody>\n</table>\n");
	if (l->count == 0)
		soq__put_string(w, "<p class=\"empty\">This folder is empty.</p>\n");
	soq__put_string(w, "</div>\n");
}

static void put_summary(struct listing *l)
{
	size_t folders = 0, files;
	uint64_t bytes = 0;

	for (size_t i = 0; i < l->count; i++) {
		folders += l->entries[i].is_folder;
		bytes += l->entries[i].is_folder ? 0 : l->entries[i].size;
	}
	files = l->count - folders;
	soq__put_format(&l->page, "<footer><span>%zu folder%s, %zu file%s, ", folders,
		folders == 1 ? "" : "s", files, files == 1 ? "" : "s");
	put_size(&l->page, bytes);
	if (l->is_cut)
		soq__put_format(&l->page, "; there are more: only %d are listed", ENTRIES_MAX);
	soq__put_string(&l->page, "</span><span>soquete</span></footer>\n");
}

static void put_page(struct listing *l)
{
	char title[SOQ__HTTP_PATH_MAX + 2];
	int n = snprintf(title, sizeof title, "/%s%s", l->path->text, l->path->len ? "/" : "");

	soq__put_page_begin(&l->page, &l->nonce, (struct soq__text){ title, (size_t)n });
	put_icons(&l->page);
	put_way(&l->page, l->path);
	put_table(l);
	put_summary(l);
	soq__put_page_end(&l->page);
	if (l->page.failed)
		l->rc = -ENOMEM;
}

/* On the pool's thread. */
static void make_page(void *arg)
{
	struct listing *l = arg;

	l->rc = read_folder(l);
	if (l->rc < 0)
		return;
	if (l->count > 1)
		qsort_r(l->entries, l->count, sizeof *l->entries, compare, l);
	put_page(l);
}

/* Answering. */

/* ?sort=size&order=desc; anything else in the query is ignored. */
static void read_order(struct listing *l, struct soq__text query)
{
	while (query.len > 0) {
		const char *end = memchr(query.at, '&', query.len);
		struct soq__text item = { query.at,
			end ? (size_t)(end - query.at) : query.len };

		for (size_t i = 0; i < 3; i++)
			if (soq__text_starts_nocase(item, SOQ__TEXT("sort=")) &&
				soq__text_equal(
					soq__text_from(item, 5), soq__text_of(key_words[i])))
				l->key = (enum key)i;
		if (soq__text_equal(item, SOQ__TEXT("order=desc")))
			l->is_descending = true;
		query = soq__text_from(query, item.len + (end != NULL));
	}
}

static void send_listing(struct soq__http_exchange *x, struct listing *l)
{
	char buf[1024];
	struct soq__writer w;

	soq__writer_init(&w, buf, sizeof buf, sizeof buf);
	soq__http_begin(&w, x, 200);
	soq__put_page_policy(&w, &l->nonce);
	soq__put_content(&w, "text/html; charset=utf-8", l->page.len);
	soq__put_string(&w, "\r\n");
	soq__http_send(x, &w, w.len, (struct soq__text){ l->page.at, l->page.len });
}

void soq__http_send_listing(struct soq__http_exchange *x, const struct soq__http_path *path)
{
	struct listing l = { .http = x->http, .path = path };
	int rc = soq__http_nonce_init(&l.nonce);

	read_order(&l, x->request.target.query);
	soq__writer_init(&l.page, NULL, 0, PAGE_MAX);
	if (rc == 0)
		rc = soq_offload(make_page, &l);
	if (rc == 0)
		rc = l.rc;
	if (rc < 0)
		soq__http_send_error(x, soq__http_status_of(rc), NULL);
	else
		send_listing(x, &l);
	soq__writer_done(&l.page);
	for (size_t i = 0; i < l.count; i++)
		free(l.entries[i].name);
	free(l.entries);
}
