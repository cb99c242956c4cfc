// SPDX-License-Identifier: MIT
// Opening and closing the database: its tables, and the statements that are used again and again.
#include "core/store_sqlite_private.h"

#include "core/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// As hbbs makes it (protocol.md section 10).
static const char schema[] =
        "begin immediate; create table if not exists peer (guid blob primary key not null, "
        "id varchar(100) not null, uuid blob not null, pk blob not null, "
        "created_at datetime not null default(current_timestamp), user blob, status tinyint, "
        "note varchar(300), info text not null) without rowid;"
        "create unique index if not exists index_peer_id on peer (id);"
        "create index if not exists index_peer_user on peer (user);"
        "create index if not exists index_peer_created_at on peer (created_at);"
        "create index if not exists index_peer_status on peer (status); commit;";

// Ours; hbbs leaves it alone. A peer without a row here is approved. Every file begins with version
// 1, and what came later is added to it.
static const char our_schema[] =
        "begin immediate; create table if not exists rdsrv_schema (version integer not null);"
        "insert into rdsrv_schema select 1 where not exists (select 1 from rdsrv_schema);"
        "create table if not exists rdsrv_peer (guid blob primary key not null, "
        "state integer not null default 0) without rowid;";
static const char to_version_2[] = "alter table rdsrv_peer add column seen_day integer;"
                                   "alter table rdsrv_peer add column version text;"
                                   "update rdsrv_schema set version = 2;";

// Keeps whatever else is in a row, and in its info.
static const char upsert_sql[] =
        "insert into peer (guid, id, uuid, pk, info) values (?1, ?2, ?3, ?4, "
        "json_object('ip', ?5)) "
        "on conflict (id) do update set uuid = excluded.uuid, pk = excluded.pk, info = case when "
        "json_valid(info) and json_type(info) = 'object' then json_set(info, '$.ip', ?5) "
        "else excluded.info end";

static const char rename_sql[] = "update peer set id = ?2 where id = ?1";
static const char set_state_sql[] =
        "insert into rdsrv_peer (guid, state) select guid, ?2 from peer where id = ?1 "
        "on conflict (guid) do update set state = excluded.state";
// Writes nothing where nothing is new.
static const char note_sql[] =
        "insert into rdsrv_peer (guid, seen_day, version) "
        "select guid, nullif(?2, 0), nullif(?3, '') from peer where id = ?1 "
        "on conflict (guid) do update set seen_day = coalesce(excluded.seen_day, seen_day), "
        "version = coalesce(excluded.version, version) "
        "where seen_day is not coalesce(excluded.seen_day, seen_day) "
        "or version is not coalesce(excluded.version, version)";
static const char forget_state_sql[] =
        "delete from rdsrv_peer where guid = (select guid from peer where id = ?1)";
static const char forget_sql[] = "delete from peer where id = ?1";

static const char *advice(int code)
{
	switch (code) {
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return "see the owner and mode of the file and of its directory";
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return "another program holds it: stop that first";
	case SQLITE_FULL:
	case SQLITE_IOERR:
		return "see the disk's free space and health";
	default:
		return "the file was left as it is: restore it from a backup, or move it away to "
		       "start without peers, and its -wal and -shm with it";
	}
}

int store_sqlite_fail(struct rds_store *store, struct rds_error *err, const char *what)
{
	return rds_fail(err, RDS_ESTORE, "%s: %s: %s; %s", store->path, what,
	                sqlite3_errmsg(store->db), advice(sqlite3_errcode(store->db) & 0xff));
}

// A new file is for its owner only: it holds what lets a machine claim its id. SQLite gives its
// side files the same mode.
static int make_private(const char *path, struct rds_error *err)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0 && errno != EEXIST)
		return rds_fail(err, RDS_ESYS, "%s: can't create: %s", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
	return 0;
}

int store_sqlite_regular(const char *path, struct rds_error *err)
{
	static const char *const ends[] = {"", "-journal", "-wal", "-shm"};
	int rc = 0;
	for (size_t i = 0; i < sizeof ends / sizeof ends[0] && rc == 0; i++) {
		struct stat st;
		char *name = rds_asprintf("%s%s", path, ends[i]);
		if (stat(name, &st) == 0 && !S_ISREG(st.st_mode))
			rc = rds_fail(err, RDS_ESTORE, "%s: no regular file; move it away", name);
		free(name);
	}
	return rc;
}

static int prepare(struct rds_store *store, const char *sql, sqlite3_stmt **out)
{
	return sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
}

// Whether the file has a table peer that isn't hbbs's: looked at before anything is written.
static bool is_foreign(struct rds_store *store)
{
	static const char columns[] = "select guid, id, uuid, pk, created_at, user, status, note, "
	                              "info from peer";
	sqlite3_stmt *s = NULL;
	bool there = prepare(store, "select 1 from peer", &s) == SQLITE_OK;
	(void)sqlite3_finalize(s);
	bool fits = prepare(store, columns, &s) == SQLITE_OK;
	(void)sqlite3_finalize(s);
	return there && !fits;
}

// Reads every row once: a damaged file is left as it is.
static bool is_sound(struct rds_store *store)
{
	static const char all[] = "select sum(length(id) + length(uuid) + length(pk) + "
	                          "length(info)) from peer";
	sqlite3_stmt *s = NULL;
	if (prepare(store, "select 1 from peer", &s) != SQLITE_OK)
		return true; // a new file
	(void)sqlite3_finalize(s);
	bool sound = prepare(store, all, &s) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;
	(void)sqlite3_finalize(s); // keeps the error, if there was one
	return sound;
}

// Brings our own tables to where they should be, all or nothing. A later version's are used as far
// as they go.
static bool migrate(struct rds_store *store)
{
	sqlite3_stmt *s = NULL;
	bool ok = sqlite3_exec(store->db, our_schema, NULL, NULL, NULL) == SQLITE_OK &&
	          prepare(store, "select version < 2 from rdsrv_schema", &s) == SQLITE_OK &&
	          sqlite3_step(s) == SQLITE_ROW;
	bool is_old = ok && sqlite3_column_int(s, 0) != 0;
	(void)sqlite3_finalize(s);
	if (is_old)
		ok = sqlite3_exec(store->db, to_version_2, NULL, NULL, NULL) == SQLITE_OK;
	return ok && sqlite3_exec(store->db, "commit", NULL, NULL, NULL) == SQLITE_OK;
}

int store_sqlite_open(struct rds_store *store, struct rds_error *err)
{
	int rc = store_sqlite_regular(store->path, err);
	if (rc == 0)
		rc = make_private(store->path, err);
	if (rc != 0)
		return rc;
	static const char waits[] = "pragma busy_timeout = 5000";
	static const char pragmas[] = "pragma journal_mode = wal; pragma synchronous = full;"
	                              "pragma wal_autocheckpoint = 4000;";
	if (sqlite3_open_v2(store->path, &store->db,
	                    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
	                    NULL) != SQLITE_OK ||
	    sqlite3_exec(store->db, waits, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(store->db, "select count(*) from sqlite_master", NULL, NULL, NULL) !=
	            SQLITE_OK)
		return store_sqlite_fail(store, err, "can't open the database");
	if (!is_foreign(store) && !is_sound(store))
		return store_sqlite_fail(store, err, "can't read the database");
	if (is_foreign(store) || sqlite3_exec(store->db, schema, NULL, NULL, NULL) != SQLITE_OK ||
	    prepare(store, upsert_sql, &store->upsert) != SQLITE_OK ||
	    prepare(store, rename_sql, &store->rename) != SQLITE_OK)
		return store_sqlite_fail(store, err, "its table peer is not as hbbs makes it");
	if (!migrate(store) || prepare(store, set_state_sql, &store->set_state) != SQLITE_OK ||
	    prepare(store, note_sql, &store->note) != SQLITE_OK ||
	    prepare(store, forget_state_sql, &store->forget_state) != SQLITE_OK ||
	    prepare(store, forget_sql, &store->forget) != SQLITE_OK)
		return store_sqlite_fail(store, err, "can't use the tables rdsrv_*");
	if (sqlite3_exec(store->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return store_sqlite_fail(store, err, "can't set the database up");
	if (prepare(store, "begin immediate", &store->begin) != SQLITE_OK ||
	    prepare(store, "commit", &store->commit) != SQLITE_OK ||
	    prepare(store, "rollback", &store->rollback) != SQLITE_OK)
		return store_sqlite_fail(store, err, "can't use the database");
	return 0;
}

void store_sqlite_close(struct rds_store *store)
{
	(void)sqlite3_finalize(store->begin);
	(void)sqlite3_finalize(store->upsert);
	(void)sqlite3_finalize(store->rename);
	(void)sqlite3_finalize(store->set_state);
	(void)sqlite3_finalize(store->note);
	(void)sqlite3_finalize(store->forget_state);
	(void)sqlite3_finalize(store->forget);
	(void)sqlite3_finalize(store->commit);
	(void)sqlite3_finalize(store->rollback);
	(void)sqlite3_close(store->db);
}

const char *rds_sqlite_version(void)
{
	return sqlite3_libversion();
}
