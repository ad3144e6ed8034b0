/* tls_save.c - see tls_save.h.
 *
 * Each file is written in full under a name of its own in its folder, with O_EXCL, so that
 * nobody can have put something else there. A new file's own name will do; one that replaces
 * another is renamed when all are written.
 *
 * Source: open(2), rename(2), fsync(2).
 */
#include "net/tls_save.h"
#include <soquete/error.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(char *why, size_t len, const char *path, int code)
{
	snprintf(why, len, "write '%s': %s", path, soq_strerror(code));
	return code;
}

/* @return 0; a negative code */
static int write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		bytes += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

/* @return 0; a negative code, and there is no file */
static int create(const char *path, const struct soq__tls_saved *file)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		file->secret ? 0600 : 0644);
	char *bytes;
	long len = BIO_get_mem_data(file->bytes, &bytes);
	int rc;

	if (fd < 0)
		return -errno;
	rc = write_all(fd, bytes, (size_t)len);
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc < 0)
		unlink(path);
	return rc;
}

/* What must not be replaced: a folder, a device. @return 0; -EINVAL */
static int check_target(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) ? -EINVAL : 0;
}

/* Under a name that is free: another process may be doing the same. */
static int create_beside(struct soq__tls_saved *file)
{
	char *name;
	int rc = check_target(file->path);

	for (unsigned i = 0; rc == 0; i++) {
		if (asprintf(&name, "%s.new%u", file->path, i) < 0)
			return -ENOMEM;
		rc = create(name, file);
		if (rc == 0) {
			file->temporary = name;
			return 0;
		}
		free(name);
		rc = rc == -EEXIST && i < 100 ? 0 : rc;
	}
	return rc;
}

static int create_new(struct soq__tls_saved *file)
{
	int rc;

	file->temporary = strdup(file->path);
	if (!file->temporary)
		return -ENOMEM;
	rc = create(file->temporary, file);
	if (rc < 0) {
		free(file->temporary);
		file->temporary = NULL;
	}
	return rc;
}

/* Two spellings of one path would be one file, with the second's bytes only. */
static bool is_same(const char *path, const char *other)
{
	struct stat a, b;

	return stat(path, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
		a.st_ino == b.st_ino;
}

static int rename_all(struct soq__tls_saved *files, size_t count, char *why, size_t why_len)
{
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && is_same(files[i].path, files[i - 1].path)) {
			snprintf(why, why_len, "'%s' and '%s' are the same file",
				files[i - 1].path, files[i].path);
			return -EINVAL;
		}
		if (rename(files[i].temporary, files[i].path) < 0)
			return fail(why, why_len, files[i].path, -errno);
		free(files[i].temporary);
		files[i].temporary = NULL;
	}
	return 0;
}

/* @keep  they are what was wanted */
static void forget(struct soq__tls_saved *files, size_t count, bool keep)
{
	for (size_t i = 0; i < count; i++) {
		if (files[i].temporary && !keep)
			unlink(files[i].temporary);
		free(files[i].temporary);
		files[i].temporary = NULL;
	}
}

int soq__tls_save(
	struct soq__tls_saved *files, size_t count, bool replace, char *why, size_t why_len)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < count; i++) {
		rc = replace ? create_beside(&files[i]) : create_new(&files[i]);
		if (rc < 0)
			fail(why, why_len, files[i].path, rc);
	}
	if (rc == 0 && replace)
		rc = rename_all(files, count, why, why_len);
	forget(files, count, rc == 0);
	return rc;
}
