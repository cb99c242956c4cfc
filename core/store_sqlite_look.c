// SPDX-License-Identifier: MIT
// Looking a database over without being in its server's way: nothing is written, or left beside it.
#include "core/store_sqlite_private.h"

#include <time.h>

// So many steps of SQLite's between two looks at the clock: less than a millisecond.
#define STEPS 1000

static uint64_t now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int time_is_up(void *arg)
{
	const uint64_t *until_ms = arg;
	return now_ms() >= *until_ms;
}

// The first row's first column; SQLite's code in *rc.
static sqlite3_int64 number_of(sqlite3 *db, const char *sql, int *rc)
{
	sqlite3_stmt *s = NULL;
	sqlite3_int64 n = 0;
	*rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
	if (*rc == SQLITE_OK)
		*rc = sqlite3_step(s);
	if (*rc == SQLITE_ROW)
		n = sqlite3_column_int64(s, 0);
	(void)sqlite3_finalize(s);
	return n;
}

static int fail(const char *path, sqlite3 *db, struct rds_error *err)
{
	return rds_fail(err, RDS_ESTORE, "%s: %s", path, sqlite3_errmsg(db));
}

static int check(const char *path, sqlite3 *db, bool *whole, struct rds_error *err)
{
	sqlite3_stmt *s = NULL;
	int rc = 0;
	int step = sqlite3_prepare_v2(db, "pragma quick_check(1)", -1, &s, NULL);
	if (step == SQLITE_OK)
		step = sqlite3_step(s);
	if (step == SQLITE_ROW) {
		const char *said = store_sqlite_last_line((const char *)sqlite3_column_text(s, 0));
		*whole = true;
		if (said == NULL || strcmp(said, "ok") != 0)
			rc = rds_fail(err, RDS_EPARSE, "%s: damaged: %s", path,
			              said == NULL ? "no more is known" : said);
	} else if (step == SQLITE_CORRUPT || step == SQLITE_NOTADB) {
		rc = rds_fail(err, RDS_EPARSE, "%s: damaged: %s", path, sqlite3_errmsg(db));
	} else if (step != SQLITE_INTERRUPT) {
		rc = fail(path, db, err);
	}
	(void)sqlite3_finalize(s);
	return rc;
}

int rds_store_look(const char *path, unsigned limit_ms, struct rds_store_look *out,
                   struct rds_error *err)
{
	sqlite3 *db = NULL;
	int step = 0;
	uint64_t until_ms = now_ms() + limit_ms;
	*out = (struct rds_store_look){.version = -1};
	if (!store_sqlite_open_source(path, &db)) {
		int code = sqlite3_errcode(db) & 0xff;
		int rc = fail(path, db, err);
		(void)sqlite3_close(db);
		return code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? -RDS_EPARSE : rc;
	}
	(void)sqlite3_busy_timeout(db, (int)limit_ms);
	sqlite3_progress_handler(db, STEPS, time_is_up, &until_ms);
	int rc = 0;
	out->n_peers = (uint64_t)number_of(db, "select count(id) from peer", &step);
	bool lacks = step == SQLITE_ERROR;
	if (step == SQLITE_CORRUPT || step == SQLITE_NOTADB)
		rc = rds_fail(err, RDS_EPARSE, "%s: damaged: %s", path, sqlite3_errmsg(db));
	out->empty = lacks && number_of(db, "select count(*) from sqlite_master", &step) == 0 &&
	             step == SQLITE_ROW;
	out->foreign = lacks && !out->empty;
	int64_t version = number_of(db, "select version from rdsrv_schema", &step);
	if (step == SQLITE_ROW)
		out->version = version;
	if (rc == 0)
		rc = check(path, db, &out->whole, err);
	(void)sqlite3_close(db);
	return rc;
}
