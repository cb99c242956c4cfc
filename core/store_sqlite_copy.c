// SPDX-License-Identifier: MIT
// Copying a database that another program left, or has in use, without a trace beside it.
#include "core/store_sqlite_private.h"

#include "core/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 10000

static bool is_there(const char *path, const char *end)
{
	struct stat st;
	char *name = rds_asprintf("%s%s", path, end);
	bool there = stat(name, &st) == 0;
	free(name);
	return there;
}

// In an URI %, ? and # would end the path, and two slashes begin a host.
static char *uri_of(const char *path, const char *parameters)
{
	char *uri = rds_calloc(3 * strlen(path) + strlen(parameters) + sizeof "file://?", 1);
	char *at = uri + sprintf(uri, path[0] == '/' ? "file://" : "file:");
	for (const char *p = path; *p != '\0'; p++)
		at += sprintf(at, strchr("%?#", *p) != NULL ? "%%%02X" : "%c", *p);
	(void)sprintf(at, "?%s", parameters);
	return uri;
}

// Whether it can be read: any statement does it.
static bool open_from(const char *path, const char *parameters, const char *pragma, sqlite3 **db)
{
	char *uri = uri_of(path, parameters);
	int rc = sqlite3_open_v2(uri, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI, NULL);
	free(uri);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (rc == SQLITE_OK && pragma != NULL)
		rc = sqlite3_exec(*db, pragma, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(*db, "begin; select count(*) from sqlite_master; commit", NULL,
		                  NULL, NULL);
	return rc == SQLITE_OK;
}

// Byte 18 of the file: who writes it uses a log (2) or a journal (1).
static bool uses_log(const char *path)
{
	uint8_t version = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool log = fd >= 0 && pread(fd, &version, 1, 18) == 1 && version == 2;
	if (fd >= 0)
		(void)close(fd);
	return log;
}

// A reader in WAL mode makes side files, and may leave them. Where there is no log, nothing but
// the file itself has to be read. Else, who has the file for himself needs no shared memory; and
// if somebody is at work there, the side files are his.
bool store_sqlite_open_source(const char *path, sqlite3 **db)
{
	if (!uses_log(path))
		return open_from(path, "mode=rw", NULL, db);
	if (!is_there(path, "-wal"))
		return open_from(path, "mode=ro&immutable=1", NULL, db);
	if (open_from(path, "mode=rw", "pragma locking_mode = exclusive", db))
		return true;
	if (sqlite3_errcode(*db) != SQLITE_BUSY)
		return false;
	(void)sqlite3_close(*db);
	return open_from(path, "mode=ro", NULL, db);
}

static int fail(struct rds_error *err, const char *path, const char *what, sqlite3 *db)
{
	return rds_fail(err, RDS_ESTORE, "%s: %s: %s", path, what,
	                db == NULL ? "out of memory" : sqlite3_errmsg(db));
}

static int copy_pages(const char *from, const char *to, struct rds_error *err)
{
	sqlite3 *source = NULL;
	sqlite3 *copy = NULL;
	int rc = 0;
	int step = SQLITE_ERROR;
	if (!store_sqlite_open_source(from, &source)) {
		rc = fail(err, from, "can't read the database", source);
	} else if (sqlite3_open(to, &copy) == SQLITE_OK) {
		(void)sqlite3_busy_timeout(source, BUSY_MS);
		sqlite3_backup *backup = sqlite3_backup_init(copy, "main", source, "main");
		step = backup == NULL ? SQLITE_ERROR : sqlite3_backup_step(backup, -1);
		(void)sqlite3_backup_finish(backup);
	}
	if (rc == 0 && step != SQLITE_DONE)
		rc = fail(err, to, "the copy failed", copy);
	(void)sqlite3_close(copy);
	(void)sqlite3_close(source);
	return rc;
}

const char *store_sqlite_last_line(const char *text)
{
	const char *end = text == NULL ? NULL : strrchr(text, '\n');
	return end == NULL ? text : end + 1;
}

// Whether SQLite finds no fault in the copy, and how many peers are in it.
static int look_over(const char *from, const char *to, uint64_t *n_peers, struct rds_error *err)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *check = NULL;
	sqlite3_stmt *count = NULL;
	const char *fault = NULL;
	int rc = 0;
	if (sqlite3_open(to, &db) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, "pragma quick_check(1)", -1, &check, NULL) == SQLITE_OK &&
	    sqlite3_step(check) == SQLITE_ROW)
		fault = store_sqlite_last_line((const char *)sqlite3_column_text(check, 0));
	if (fault == NULL)
		rc = fail(err, from, "can't read the database", db);
	else if (strcmp(fault, "ok") != 0)
		rc = rds_fail(err, RDS_ESTORE, "%s: the database is damaged: %s", from, fault);
	else if (sqlite3_prepare_v2(db, "select count(id) from peer", -1, &count, NULL) !=
	                 SQLITE_OK ||
	         sqlite3_step(count) != SQLITE_ROW)
		rc = fail(err, from, "not a database of peers", db);
	else
		*n_peers = (uint64_t)sqlite3_column_int64(count, 0);
	(void)sqlite3_finalize(check);
	(void)sqlite3_finalize(count);
	(void)sqlite3_close(db);
	return rc;
}

static int sync_directory(const char *path, struct rds_error *err)
{
	char *name = rds_strdup(path);
	int fd = open(dirname(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;
	if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL))
		rc = rds_fail(err, RDS_ESYS, "%s: can't sync its directory: %s", path,
		              strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	free(name);
	return rc;
}

// Never in the place of a file that is there.
static int put_into_place(const char *temporary, const char *to, struct rds_error *err)
{
	if (renameat2(AT_FDCWD, temporary, AT_FDCWD, to, RENAME_NOREPLACE) != 0 &&
	    (errno == EEXIST || link(temporary, to) != 0))
		return rds_fail(err, errno == EEXIST ? RDS_EEXIST : RDS_ESYS, "%s: %s", to,
		                strerror(errno));
	return sync_directory(to, err);
}

int rds_store_copy(const char *from, const char *to, uint64_t *n_peers, struct rds_error *err)
{
	if (is_there(to, ""))
		return rds_fail(err, RDS_EEXIST, "%s: it is there already, and is left as it is",
		                to);
	int rc = store_sqlite_regular(from, err);
	if (rc != 0)
		return rc;
	char *temporary = rds_asprintf("%s.XXXXXX", to);
	int fd = mkstemp(temporary); // 0600
	if (fd < 0) {
		rc = rds_fail(err, RDS_ESYS, "%s: can't create: %s", temporary, strerror(errno));
	} else {
		(void)close(fd);
		rc = copy_pages(from, temporary, err);
		if (rc == 0)
			rc = look_over(from, temporary, n_peers, err);
		if (rc == 0)
			rc = put_into_place(temporary, to, err);
		(void)unlink(temporary);
	}
	free(temporary);
	return rc;
}
