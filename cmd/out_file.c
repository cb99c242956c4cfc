// SPDX-License-Identifier: MIT
#include "cmd/out_file.h"

#include "conf/form.h"
#include "core/alloc.h"
#include "core/limits.h"
#include "keys/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_sys(const char *path, const char *what, struct rds_error *err)
{
	return rds_fail(err, RDS_ESYS, "%s: %s: %s", path, what, strerror(errno));
}

int rds_in_file_read_up_to(const char *path, size_t max_bytes, const char *what, uint8_t **out,
                           size_t *len, struct rds_error *err)
{
	const size_t cap = max_bytes + 1;
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_sys(path, "can't read", err);
	*out = rds_calloc(cap, 1);
	ssize_t n = rds_read_to_end(fd, *out, cap);
	int rc = n < 0              ? fail_sys(path, "can't read", err)
	         : (size_t)n == cap ? rds_fail(err, RDS_ETOOBIG, "%s: too long for %s", path, what)
	                            : 0;
	if (!is_stdin)
		(void)close(fd);
	if (rc != 0)
		free(*out);
	else
		*len = (size_t)n;
	return rc;
}

int rds_in_file_read(const char *path, uint8_t **out, size_t *len, struct rds_error *err)
{
	return rds_in_file_read_up_to(path, RDS_CLIENT_FILE_MAX_BYTES, "a client's configuration",
	                              out, len, err);
}

// What is there under the name. *there stays false if nothing is.
static int look(const char *path, struct stat *st, bool *there, struct rds_error *err)
{
	*there = lstat(path, st) == 0;
	if (!*there)
		return errno == ENOENT ? 0 : fail_sys(path, "can't write", err);
	if (!S_ISREG(st->st_mode))
		return rds_fail(err, RDS_EEXIST,
		                "%s: not a regular file (links are not followed): name another",
		                path);
	return 0;
}

// Whether the file can be done without.
static bool is_spare(const char *path, struct rds_view bytes)
{
	uint8_t *old = NULL;
	size_t len = 0;
	if (rds_in_file_read(path, &old, &len, NULL) != 0)
		return false;
	struct rds_view held = rds_view_of(old, len);
	bool spare = rds_view_equal(held, bytes) || rds_form_is_ours(held);
	free(old);
	return spare;
}

int rds_out_file_check(const char *path, struct rds_view bytes, bool force, struct rds_error *err)
{
	struct stat st;
	bool there = false;
	int rc = look(path, &st, &there, err);
	if (rc != 0 || !there || force || is_spare(path, bytes))
		return rc;
	return rds_fail(err, RDS_EEXIST,
	                "%s: is there already and holds more than export-conf writes: name another "
	                "file, or overwrite it with --force",
	                path);
}

static void note(const struct rds_out_options *options, const char *path, const char *what)
{
	(void)fprintf(stderr, "%s: note: %s: %s: %s\n", options->who, path, what, strerror(errno));
}

// Owner and mode; a file system that has none is no reason to go without the file.
static void dress(int fd, const char *path, const struct stat *old,
                  const struct rds_out_options *options)
{
	mode_t mode = options->mode != 0 ? options->mode : old != NULL ? old->st_mode & 0777 : 0644;
	if (old != NULL && geteuid() == 0 && fchown(fd, old->st_uid, old->st_gid) != 0)
		note(options, path, "can't keep its owner");
	if (fchmod(fd, mode) != 0)
		note(options, path, "can't set its mode");
}

static bool write_all(int fd, struct rds_view bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.data, bytes.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		bytes = rds_view_of(bytes.data + n, bytes.len - (size_t)n);
	}
	return true;
}

// What came meanwhile stays, where the file system can tell.
static int move_into_place(const char *temporary, const char *path, bool may_replace)
{
	if (!may_replace) {
		if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EINVAL && errno != ENOSYS)
			return -1;
	}
	return rename(temporary, path);
}

static void sync_directory(const char *path, const struct rds_out_options *options)
{
	char *copy = rds_strdup(path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		note(options, path, "can't sync its directory");
	if (fd >= 0)
		(void)close(fd);
	free(copy);
}

int rds_out_file_write(const char *path, struct rds_view bytes,
                       const struct rds_out_options *options, struct rds_error *err)
{
	struct stat st;
	bool there = false;
	int rc = rds_out_file_check(path, bytes, options->force, err);
	if (rc == 0)
		rc = look(path, &st, &there, err);
	if (rc != 0)
		return rc;
	char *temporary = rds_asprintf("%s.XXXXXX", path);
	int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		rc = fail_sys(path, "can't write", err);
	} else {
		dress(fd, path, there ? &st : NULL, options);
		if (!write_all(fd, bytes) || fsync(fd) != 0)
			rc = fail_sys(path, "can't write", err);
		if (close(fd) != 0 && rc == 0)
			rc = fail_sys(path, "can't write", err);
		if (rc == 0 && move_into_place(temporary, path, there || options->force) != 0)
			rc = fail_sys(path, "can't put into place", err);
		if (rc == 0)
			sync_directory(path, options);
		else
			(void)unlink(temporary);
	}
	free(temporary);
	return rc;
}
