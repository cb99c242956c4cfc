// SPDX-License-Identifier: MIT
// files.data-dir: whether the service can live in its data directory.
#include "cmd/check/files.h"

#include "cmd/check/disk.h"
#include "core/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (1024 * 1024ULL)
// SQLite's log alone grows to some 16 MiB before it is written back.
#define SPACE_LOW  (64 * MIB)
#define SPACE_FULL MIB
#define INODES_LOW 100

static void tell_absent(const struct check_site *site, struct check_result *result)
{
	struct stat st;
	char *word = local_quote(site->data_dir);
	const char *semicolon = strchr(site->data_dir_fault, ';');
	check_fail(result, "%s", site->data_dir_fault);
	if (site->data_dir[0] == '/' && lstat(site->data_dir, &st) != 0 && errno == ENOENT)
		check_fix(result, "mkdir -m 700 %s; or name the right one with --data-dir", word);
	else if (site->data_dir[0] == '/' && stat(site->data_dir, &st) == 0 && !S_ISDIR(st.st_mode))
		check_fix(result, "name a directory with --data-dir");
	else if (semicolon != NULL)
		check_fix(result, "%s", semicolon + 1 + strspn(semicolon + 1, " "));
	else
		check_fix(result, "name the server's directory with --data-dir; a server elsewhere "
		                  "is checked by rdsrv check --host HOST");
	free(word);
}

// --- owner and modes

// By owner and mode bits alone; groups beyond the user's own aren't looked up.
static bool may_write(const struct stat *st, uid_t uid, gid_t gid)
{
	mode_t bits = st->st_uid == uid   ? st->st_mode >> 6
	              : st->st_gid == gid ? st->st_mode >> 3
	                                  : st->st_mode;
	return uid == 0 || (bits & 03) == 03;
}

static bool owner_is_wrong(const struct check_site *site, const struct stat *st, const char *word,
                           struct check_result *result)
{
	struct check_process process = {.gid = (gid_t)-1};
	char user[LOCAL_USER_TEXT];
	char owner[LOCAL_USER_TEXT];
	uid_t uid = 0;
	for (int i = 0; i < 2; i++) {
		struct local_role role;
		local_role_find(site, i == 1, &role);
		if (role.has_process)
			process = role.process;
	}
	if (!local_service_user(site, &uid) || may_write(st, uid, process.gid))
		return false;
	(void)local_user_name(uid, user);
	check_fail(result, "%s (owner %s, mode %04o): the service, as %s, can't write there",
	           site->data_dir, local_user_name(st->st_uid, owner),
	           (unsigned)st->st_mode & 07777, user);
	if (st->st_uid == uid)
		check_fix(result, "%schmod 700 %s", local_sudo(), word);
	else
		check_fix(result, "%schown -R %s: %s", local_sudo(), user, word);
	return true;
}

static bool mode_is_wrong(const struct check_site *site, const struct stat *st, const char *word,
                          struct check_result *result)
{
	unsigned mode = (unsigned)st->st_mode & 07777;
	if ((mode & 022) != 0)
		check_fail(result, "%s has mode %04o: others can put other keys there",
		           site->data_dir, mode);
	else if ((mode & 0055) != 0)
		check_warn(result, "%s has mode %04o: others can look into it", site->data_dir,
		           mode);
	else
		return false;
	check_fix(result, "%schmod 700 %s", local_sudo(), word);
	return true;
}

// --- the disk

// Really, where we may: into a file without a name, which is gone when it is closed. 0 or an errno.
static int try_to_write(const char *dir)
{
	static const char bytes[65536];
	int error = 0;
	int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == ENOSPC || errno == EDQUOT || errno == EROFS ? errno : 0;
	ssize_t n = write(fd, bytes, sizeof bytes);
	if (n != (ssize_t)sizeof bytes || fsync(fd) != 0)
		error = n >= 0 && n < (ssize_t)sizeof bytes ? ENOSPC : errno;
	(void)close(fd);
	return error;
}

static void fix_space(const struct check_disk *disk, struct check_result *result)
{
	char *word = local_quote(disk->mount);
	check_fix(result,
	          "make room there: `%sdu -xah %s | sort -h | tail -20` shows what takes it",
	          local_sudo(), word);
	free(word);
}

static bool disk_is_wrong(const struct check_site *site, const struct check_disk *disk,
                          struct check_result *result)
{
	int error = try_to_write(site->data_dir);
	if (disk->read_only || error == EROFS) {
		char *word = local_quote(disk->mount);
		check_fail(result, "%s is on %s (%s), which is mounted read-only", site->data_dir,
		           disk->mount, disk->type);
		check_fix(result, "%smount -o remount,%srw %s; in a container, without :ro",
		          local_sudo(), disk->mount_read_only ? "bind," : "", word);
		free(word);
	} else if (error == ENOSPC || error == EDQUOT || disk->bytes_free < SPACE_FULL) {
		check_fail(result, "%s: the disk is full (%llu KiB free on %s%s)", site->data_dir,
		           (unsigned long long)disk->bytes_free / 1024, disk->mount,
		           error == EDQUOT ? ", and a quota is used up" : "");
		fix_space(disk, result);
	} else if (disk->has_inodes && disk->inodes_free < INODES_LOW) {
		check_fail(result, "%s: no more files fit on %s (%llu left)", site->data_dir,
		           disk->mount, (unsigned long long)disk->inodes_free);
		fix_space(disk, result);
	} else if (disk->bytes_free < SPACE_LOW) {
		check_warn(result, "%s: only %llu MiB are free on %s", site->data_dir,
		           (unsigned long long)(disk->bytes_free / MIB), disk->mount);
		fix_space(disk, result);
	} else {
		return false;
	}
	return true;
}

// Of the database, which may lie elsewhere.
static bool type_is_wrong(const struct check_site *site, struct check_result *result)
{
	struct check_disk disk;
	char *database = local_database(site);
	char *slash = strrchr(database, '/');
	if (slash != NULL && slash != database)
		*slash = '\0';
	bool remote = check_disk_read(slash == NULL ? "." : database, &disk) &&
	              check_disk_is_remote(disk.type);
	free(database);
	if (!remote)
		return false;
	check_warn(result, "the database is on %s (%s), where SQLite's log can't be relied on",
	           disk.mount, disk.type);
	check_fix(result, "stop the server, move the database to a disk of this host, and name it "
	                  "with the setting db-url");
	return true;
}

void check_files_dir(struct check *check)
{
	const struct check_site *site = &check->site;
	struct check_result result;
	struct check_disk disk;
	struct stat st;
	char owner[LOCAL_USER_TEXT];
	check_begin(&result, "files.data-dir");
	char *word = local_quote(site->data_dir);
	if (site->hidden)
		check_skip(&result, "%s", local_no_directory(site));
	else if (site->dir == NULL || stat(site->data_dir, &st) != 0)
		tell_absent(site, &result);
	else if (!check_disk_read(site->data_dir, &disk))
		check_skip(&result, "%s: the system doesn't tell of its disk", site->data_dir);
	else if (!disk_is_wrong(site, &disk, &result) &&
	         !owner_is_wrong(site, &st, word, &result) &&
	         !mode_is_wrong(site, &st, word, &result) && !type_is_wrong(site, &result))
		check_ok(&result, "%s: owner %s, mode %04o, %llu MiB free on %s (%s)",
		         site->data_dir, local_user_name(st.st_uid, owner),
		         (unsigned)st.st_mode & 07777, (unsigned long long)(disk.bytes_free / MIB),
		         disk.mount, disk.type);
	free(word);
	check_end(check, &result);
}
