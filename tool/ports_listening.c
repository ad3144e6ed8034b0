/* ports_listening.c - who listens on this machine, as /proc tells it.
 *
 * The kernel's lists of sockets have a socket's address, its user and its inode, and not its
 * process. So every process is looked into, as far as we may, for a descriptor that is a
 * socket with one of these inodes.
 * Source: proc_net(5), proc_pid_fd(5); net/ipv4/tcp_ipv4.c and udp.c for the columns.
 */
#include "ports.h"
#include "text.h"
#include "proto/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMM_BYTES 16 /* TASK_COMM_LEN in the kernel */

/* ---- the kernel's lists ---- */

enum { COLUMN_LOCAL = 1, COLUMN_STATE = 3, COLUMN_UID = 7, COLUMN_INODE = 9, COLUMNS };

static const struct list {
	const char *path;
	int protocol, family;
	const char *state; /* of those that wait for anybody: TCP_LISTEN, TCP_CLOSE */
} lists[] = {
	{ "/proc/net/tcp", IPPROTO_TCP, AF_INET, "0A" },
	{ "/proc/net/udp", IPPROTO_UDP, AF_INET, "07" },
	{ "/proc/net/tcp6", IPPROTO_TCP, AF_INET6, "0A" },
	{ "/proc/net/udp6", IPPROTO_UDP, AF_INET6, "07" },
};

/* Cut a line into its columns. @return false when it has fewer */
static bool split(char *line, char *columns[COLUMNS])
{
	char *rest;

	for (int i = 0; i < COLUMNS; i++, line = NULL)
		if (!(columns[i] = strtok_r(line, " \n", &rest)))
			return false;
	return true;
}

/* Take 1 to 8 hexadecimal digits. */
static bool take_hex(const char **text, int digits, uint32_t *ret)
{
	uint32_t n = 0;

	for (; digits > 0; digits--, (*text)++) {
		int digit = soq__hex_digit(**text);

		if (digit < 0)
			return false;
		n = n * 16 + (uint32_t)digit;
	}
	*ret = n;
	return true;
}

/* An address is words of memory, each printed as this machine's own number: 0100007F is
 * 127.0.0.1 where the low byte comes first. */
static bool parse_local(const char *text, struct tool_listener *ret)
{
	size_t words = ret->family == AF_INET ? 1 : 4;
	uint32_t n;

	for (size_t i = 0; i < words; i++) {
		if (!take_hex(&text, 8, &n))
			return false;
		memcpy(ret->address + i * sizeof(n), &n, sizeof(n));
	}
	if (*text++ != ':' || !take_hex(&text, 4, &n) || *text)
		return false;
	ret->port = (uint16_t)n;
	return true;
}

/* Read a line of a list; it is written to.
 * @return false when it is not a socket that listens: the list's heading, a connection */
static bool parse_line(char *line, const struct list *list, struct tool_listener *ret)
{
	struct tool_listener l = { .protocol = list->protocol, .family = list->family };
	char *columns[COLUMNS];
	uint64_t uid;

	if (!split(line, columns) || strcmp(columns[COLUMN_STATE], list->state) ||
		!parse_local(columns[COLUMN_LOCAL], &l) ||
		!tool_number(columns[COLUMN_UID], 0, UINT32_MAX, &uid) ||
		!tool_number(columns[COLUMN_INODE], 0, UINT64_MAX, &l.inode))
		return false;
	l.uid = (uid_t)uid;
	*ret = l;
	return true;
}

static int append(struct tool_listening *l, const struct tool_listener *listener)
{
	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? 2 * l->capacity : 16;
		struct tool_listener *at = reallocarray(l->at, capacity, sizeof(*at));

		if (!at)
			return -ENOMEM;
		l->at = at;
		l->capacity = capacity;
	}
	l->at[l->count++] = *listener;
	return 0;
}

static int read_lines(FILE *f, const struct list *list, struct tool_listening *ret)
{
	struct tool_listener listener;
	char *line = NULL;
	size_t len = 0;
	int rc = 0;

	errno = 0;
	while (!rc && getline(&line, &len, f) >= 0)
		if (parse_line(line, list, &listener))
			rc = append(ret, &listener);
	if (!rc && !feof(f))
		rc = errno ? -errno : -EIO;
	free(line);
	return rc;
}

static int read_list(const struct list *list, struct tool_listening *ret)
{
	FILE *f = fopen(list->path, "re");
	int rc;

	if (!f)
		return errno == ENOENT && list->family == AF_INET6 ? 0 : -errno;
	rc = read_lines(f, list, ret);
	fclose(f);
	return rc;
}

/* ---- the processes ---- */

static int by_inode(const void *a, const void *b)
{
	const struct tool_listener *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

/* The inode that a descriptor's link names: "socket:[123]". */
static bool parse_link(const char *text, uint64_t *ret)
{
	static const char prefix[] = "socket:[";
	size_t len = strlen(text);
	char digits[24];

	if (strncmp(text, prefix, sizeof(prefix) - 1) || text[len - 1] != ']')
		return false;
	text += sizeof(prefix) - 1;
	snprintf(digits, sizeof(digits), "%.*s", (int)strcspn(text, "]"), text);
	return strlen(text) == strlen(digits) + 1 && tool_number(digits, 1, UINT64_MAX, ret);
}

/* The name that a process has given itself, any bytes but NUL. */
static void read_name(int dir, char ret[TOOL_PORT_NAME_MAX])
{
	char name[COMM_BYTES + 1];
	int fd = openat(dir, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, name, COMM_BYTES);

	if (fd >= 0)
		close(fd);
	if (n < 1)
		n = 1;	    /* it has just ended */
	name[n - 1] = '\0'; /* in the place of a newline */
	tool_port_printable(ret, TOOL_PORT_NAME_MAX, name);
}

static void count_process(struct tool_listener *l, pid_t pid, int dir)
{
	if (l->last_pid == pid)
		return;
	if (!l->pid) {
		l->pid = pid;
		read_name(dir, l->process);
	}
	l->last_pid = pid;
	l->processes++;
}

/* A descriptor: @dir has the process's files, @fds its descriptors. */
static void look_at_descriptor(
	struct tool_listening *l, pid_t pid, int dir, int fds, const char *name)
{
	struct tool_listener key = { .inode = 0 }, *found;
	char link[64];
	ssize_t n = readlinkat(fds, name, link, sizeof(link) - 1);

	if (n <= 0)
		return;
	link[n] = '\0';
	if (!parse_link(link, &key.inode))
		return;
	found = bsearch(&key, l->at, l->count, sizeof(key), by_inode);
	if (found)
		count_process(found, pid, dir);
}

static void look_into(struct tool_listening *l, pid_t pid, int dir)
{
	int fd = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *fds = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (fds) {
		while ((entry = readdir(fds)))
			look_at_descriptor(l, pid, dir, fd, entry->d_name);
		closedir(fds);
	} else if (fd >= 0) {
		close(fd);
	}
}

/* What cannot be seen is left out, be it a process or all of them. */
static void find_processes(struct tool_listening *l)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	uint64_t pid;

	if (!proc)
		return;
	qsort(l->at, l->count, sizeof(*l->at), by_inode);
	while ((entry = readdir(proc))) {
		int dir;

		if (!tool_number(entry->d_name, 1, INT32_MAX, &pid))
			continue;
		dir = openat(dirfd(proc), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			continue;
		look_into(l, (pid_t)pid, dir);
		close(dir);
	}
	closedir(proc);
}

/* ---- their order ---- */

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* By all that makes a line of the table; IPPROTO_TCP is less than IPPROTO_UDP. */
static int compare_lines(const struct tool_listener *a, const struct tool_listener *b)
{
	return order(a->port, b->port) ?: order((uint64_t)a->protocol, (uint64_t)b->protocol) ?:
		order(a->uid, b->uid) ?: order((uint64_t)a->pid, (uint64_t)b->pid) ?:
		order(a->processes, b->processes);
}

static int by_line(const void *a, const void *b)
{
	const struct tool_listener *x = a, *y = b;

	return compare_lines(x, y) ?: order((uint64_t)x->family, (uint64_t)y->family) ?:
		memcmp(x->address, y->address, sizeof(x->address));
}

bool tool_listener_is_alike(const struct tool_listener *a, const struct tool_listener *b)
{
	return !compare_lines(a, b);
}

int tool_listening_read(struct tool_listening *ret, const char **ret_path)
{
	*ret = (struct tool_listening){ .at = NULL };
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		int rc = read_list(&lists[i], ret);

		if (rc) {
			*ret_path = lists[i].path;
			return rc;
		}
	}
	if (!ret->count)
		return 0;
	find_processes(ret);
	qsort(ret->at, ret->count, sizeof(*ret->at), by_line);
	return 0;
}

void tool_listening_done(struct tool_listening *l)
{
	free(l->at);
}
