// SPDX-License-Identifier: MIT
#include "keys/datadir.h"

#include "core/alloc.h"
#include "core/log.h"
#include "keys/keypair.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

// How long begin waits for another process, which needs some milliseconds, and how often it asks.
#define WAIT_SEC      10
#define TRIES_PER_SEC 100

struct rds_datadir {
	char *path;
	int fd;
	uid_t owner;
	gid_t group;
};

static int fail_sys(struct rds_error *err, const struct rds_datadir *dir, const char *name,
                    const char *what)
{
	int error = errno;
	// As when root has put the file there by hand.
	if (error == EACCES && dir->owner == geteuid())
		return rds_fail(err, RDS_ESYS,
		                "%s/%s: %s: %s; it has to be its directory's owner's: as root, "
		                "chown --reference=%s %s/%s",
		                dir->path, name, what, strerror(error), dir->path, dir->path, name);
	return rds_fail(err, RDS_ESYS, "%s/%s: %s: %s", dir->path, name, what,
	                error == ELOOP
	                        ? "it is a symbolic link, which is not followed: put the file there"
	                        : strerror(error));
}

int rds_datadir_open(const char *path, struct rds_datadir **out, struct rds_error *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		int rc = rds_fail(err, RDS_ESYS, "%s: can't open the data directory: %s%s", path,
		                  strerror(errno),
		                  errno == EACCES ? "; run this with sudo, or as its owner" : "");
		if (fd >= 0)
			(void)close(fd);
		return rc;
	}
	struct rds_datadir *dir = rds_calloc(1, sizeof *dir);
	dir->path = rds_strdup(path);
	dir->fd = fd;
	dir->owner = st.st_uid;
	dir->group = st.st_gid;
	*out = dir;
	return 0;
}

void rds_datadir_close(struct rds_datadir *dir)
{
	if (dir == NULL)
		return;
	(void)close(dir->fd);
	free(dir->path);
	free(dir);
}

uid_t rds_datadir_owner(const struct rds_datadir *dir)
{
	return dir->owner;
}

const char *rds_datadir_path(const struct rds_datadir *dir)
{
	return dir->path;
}

bool rds_datadir_has(const struct rds_datadir *dir, const char *name)
{
	struct stat st;
	return fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

void rds_datadir_ref(const struct rds_datadir *dir, const char *name, char out[RDS_DATADIR_REF])
{
	int len = snprintf(out, RDS_DATADIR_REF, "%s/%s", dir->path, name);
	if (len >= RDS_DATADIR_REF)
		(void)snprintf(out, RDS_DATADIR_REF, "/proc/self/fd/%d/%s", dir->fd, name);
}

ssize_t rds_read_to_end(int fd, uint8_t *out, size_t cap)
{
	size_t len = 0;
	while (len < cap) {
		ssize_t n = read(fd, out + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int rds_datadir_read(const struct rds_datadir *dir, const char *name, uint8_t *out, size_t cap,
                     size_t *len, struct stat *st, struct rds_error *err)
{
	struct stat found;
	int fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return -RDS_ENOENT;
	if (fd < 0)
		return fail_sys(err, dir, name, "can't open");
	int rc = 0;
	ssize_t n = 0;
	if (fstat(fd, &found) != 0 || (n = rds_read_to_end(fd, out, cap)) < 0)
		rc = fail_sys(err, dir, name, "can't read");
	else if (!S_ISREG(found.st_mode))
		rc = rds_fail(err, RDS_ESYS, "%s/%s: not a regular file", dir->path, name);
	else if ((uint64_t)found.st_size > cap)
		rc = rds_fail(err, RDS_ETOOBIG,
		              "%s/%s: %lld bytes, far too long for what it should be", dir->path,
		              name, (long long)found.st_size);
	(void)close(fd);
	*len = (size_t)n;
	if (st != NULL)
		*st = found;
	return rc;
}

static bool write_all(int fd, struct rds_view bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.data, bytes.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		bytes.data += n;
		bytes.len -= (size_t)n;
	}
	return true;
}

// What root makes belongs to whoever the directory belongs to. Where the system forbids that
// (root of a container), the file is the maker's.
static void give_to_owner(const struct rds_datadir *dir, int fd, const char *name)
{
	struct stat st;
	if (geteuid() != 0 || fstat(fd, &st) != 0 ||
	    (st.st_uid == dir->owner && st.st_gid == dir->group))
		return;
	if (fchown(fd, dir->owner, dir->group) != 0)
		rds_log(RDS_LOG_WARN, "a new file does not belong to the directory's owner",
		        rds_field_text("directory", dir->path), rds_field_text("file", name),
		        rds_field_text("why", strerror(errno)));
}

// Owner and mode before the first byte; bytes on disk after the last.
static bool fill(const struct rds_datadir *dir, int fd, const char *name, mode_t mode,
                 struct rds_view bytes)
{
	give_to_owner(dir, fd, name);
	return fchmod(fd, mode) == 0 && write_all(fd, bytes) && fsync(fd) == 0;
}

// Gives the temporary file its name. Where the file system can't rename without replacing, a hard
// link never replaces either.
static bool move_into_place(const struct rds_datadir *dir, const char *temporary, const char *name,
                            enum rds_write_mode how)
{
	if (how == RDS_WRITE_REPLACE)
		return renameat(dir->fd, temporary, dir->fd, name) == 0;
	if (renameat2(dir->fd, temporary, dir->fd, name, RENAME_NOREPLACE) == 0)
		return true;
	return errno != EEXIST && linkat(dir->fd, temporary, dir->fd, name, 0) == 0;
}

int rds_datadir_stage(const struct rds_datadir *dir, const char *name, mode_t mode,
                      struct rds_view bytes, char temporary[RDS_TEMPORARY_NAME],
                      struct rds_error *err)
{
	uint64_t random = 0;
	if (!rds_random(&random, sizeof random))
		return rds_fail(err, RDS_ECRYPTO, "no random numbers from OpenSSL");
	(void)snprintf(temporary, RDS_TEMPORARY_NAME, ".%s.%016llx.tmp", name,
	               (unsigned long long)random);
	int fd = openat(dir->fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	                mode & 0600);
	if (fd < 0)
		return fail_sys(err, dir, name, "can't write");
	int rc = 0;
	if (!fill(dir, fd, name, mode, bytes))
		rc = fail_sys(err, dir, name, "can't write");
	(void)close(fd);
	if (rc != 0)
		rds_datadir_discard(dir, temporary);
	return rc;
}

void rds_datadir_discard(const struct rds_datadir *dir, const char *temporary)
{
	(void)unlinkat(dir->fd, temporary, 0);
}

int rds_datadir_commit(const struct rds_datadir *dir, const char *temporary, const char *name,
                       enum rds_write_mode how, struct rds_error *err)
{
	int rc = 0;
	if (!move_into_place(dir, temporary, name, how))
		rc = errno == EEXIST ? -RDS_EEXIST
		                     : fail_sys(err, dir, name, "can't put into place");
	// After a rename there is nothing of that name any more; that is fine.
	rds_datadir_discard(dir, temporary);
	if (rc == 0 && fsync(dir->fd) != 0 && errno != EINVAL)
		rc = fail_sys(err, dir, name, "can't sync the directory");
	return rc;
}

int rds_datadir_write(const struct rds_datadir *dir, const char *name, mode_t mode,
                      enum rds_write_mode how, struct rds_view bytes, struct rds_error *err)
{
	char temporary[RDS_TEMPORARY_NAME];
	int rc = rds_datadir_stage(dir, name, mode, bytes, temporary, err);
	return rc != 0 ? rc : rds_datadir_commit(dir, temporary, name, how, err);
}

void rds_datadir_each(const struct rds_datadir *dir, const char *prefix,
                      void (*fn)(void *ctx, const char *name), void *ctx)
{
	int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	if (list == NULL) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	for (const struct dirent *entry; (entry = readdir(list)) != NULL;)
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			fn(ctx, entry->d_name);
	(void)closedir(list);
}

static void sweep_one(void *ctx, const char *name)
{
	static const char form[] = ".0123456789abcdef.tmp";
	const struct rds_datadir *const *dir = ctx;
	struct rds_error ignored;
	size_t len = strlen(name);
	const char *end = len < sizeof form ? "" : name + len - (sizeof form - 1);
	if (end[0] == '.' && strspn(end + 1, "0123456789abcdef") == 16 &&
	    strcmp(end + 17, ".tmp") == 0)
		(void)!rds_datadir_wipe(*dir, name, &ignored);
}

void rds_datadir_sweep(const struct rds_datadir *dir, const char *name)
{
	char prefix[RDS_TEMPORARY_NAME];
	(void)snprintf(prefix, sizeof prefix, ".%s.", name);
	rds_datadir_each(dir, prefix, sweep_one, &dir);
}

bool rds_datadir_stat(const struct rds_datadir *dir, const char *name, struct stat *out)
{
	return fstatat(dir->fd, name, out, AT_SYMLINK_NOFOLLOW) == 0;
}

int rds_datadir_begin(const struct rds_datadir *dir, bool wait, struct rds_error *err)
{
	const struct timespec pause = {.tv_nsec = 1000000000L / TRIES_PER_SEC};
	for (int tries = wait ? WAIT_SEC * TRIES_PER_SEC : 0;; tries--) {
		// A file system without locks leaves it to luck.
		if (flock(dir->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
			return 0;
		if (tries <= 0)
			break;
		(void)nanosleep(&pause, NULL);
	}
	return rds_fail(err, RDS_EBUSY,
	                "%s: another process is at work on the keys there and doesn't end: look "
	                "for an rdsrv keygen that hangs",
	                dir->path);
}

void rds_datadir_end(const struct rds_datadir *dir)
{
	(void)flock(dir->fd, LOCK_UN);
}

int rds_datadir_remove(const struct rds_datadir *dir, const char *name, struct rds_error *err)
{
	if (unlinkat(dir->fd, name, 0) != 0 && errno != ENOENT)
		return fail_sys(err, dir, name, "can't remove");
	return fsync(dir->fd) == 0 || errno == EINVAL ? 0 : fail_sys(err, dir, name, "can't sync");
}

// Whether the file of that size ends with the line.
static bool ends_with(int fd, off_t size, struct rds_view line)
{
	char tail[512];
	return line.len <= sizeof tail && size >= (off_t)line.len &&
	       pread(fd, tail, line.len, size - (off_t)line.len) == (ssize_t)line.len &&
	       rds_view_equal(rds_view_of(tail, line.len), line);
}

// All of the line, or nothing of it.
static bool add_line(int fd, off_t size, struct rds_view line)
{
	if (ends_with(fd, size, line))
		return true;
	if (write_all(fd, line))
		return fsync(fd) == 0;
	int error = errno;
	(void)!ftruncate(fd, size);
	errno = error;
	return false;
}

int rds_datadir_append(const struct rds_datadir *dir, const char *name, mode_t mode,
                       struct rds_view line, struct rds_error *err)
{
	struct stat st;
	int rc = 0;
	int fd = openat(dir->fd, name,
	                O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, mode);
	if (fd < 0)
		return fail_sys(err, dir, name, "can't open");
	if (fstat(fd, &st) != 0)
		rc = fail_sys(err, dir, name, "can't read");
	else if (!S_ISREG(st.st_mode))
		rc = rds_fail(err, RDS_ESYS, "%s/%s: not a regular file", dir->path, name);
	else if (!(st.st_size == 0 ? fill(dir, fd, name, mode, line)
	                           : add_line(fd, st.st_size, line)))
		rc = fail_sys(err, dir, name, "can't write");
	(void)close(fd);
	return rc;
}

static bool overwrite(int fd)
{
	static const uint8_t zeros[256];
	struct stat st;
	bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	for (off_t left = ok ? st.st_size : 0; left > 0 && ok;) {
		size_t n = left < (off_t)sizeof zeros ? (size_t)left : sizeof zeros;
		ok = write_all(fd, rds_view_of(zeros, n));
		left -= (off_t)n;
	}
	return ok && fsync(fd) == 0;
}

int rds_datadir_wipe(const struct rds_datadir *dir, const char *name, struct rds_error *err)
{
	int fd = openat(dir->fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fail_sys(err, dir, name, "can't open");
	int rc = overwrite(fd) ? 0 : fail_sys(err, dir, name, "can't overwrite");
	(void)close(fd);
	return rc != 0 ? rc : rds_datadir_remove(dir, name, err);
}

static int fail_locked(const struct rds_datadir *dir, const char *name, int fd,
                       struct rds_error *err)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
	pid[n > 0 ? n : 0] = '\0';
	pid[strcspn(pid, "\n")] = '\0';
	return rds_fail(
	        err, RDS_EBUSY,
	        "%s/%s: held by process %s, which already runs here: stop it first, or name "
	        "another directory with --data-dir",
	        dir->path, name, pid[0] != '\0' ? pid : "(unknown)");
}

int rds_datadir_lock(const struct rds_datadir *dir, const char *name, int *out,
                     struct rds_error *err)
{
	int fd = openat(dir->fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_sys(err, dir, name, "can't open");
	int rc = 0;
	char pid[16];
	give_to_owner(dir, fd, name);
	int len = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		rc = errno == EWOULDBLOCK ? fail_locked(dir, name, fd, err)
		                          : fail_sys(err, dir, name, "can't lock");
	else if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len)
		rc = fail_sys(err, dir, name, "can't write");
	if (rc != 0) {
		(void)close(fd);
		return rc;
	}
	*out = fd;
	return 0;
}
