// SPDX-License-Identifier: MIT
// The store on SQLite. The one file of core that does I/O: see core/store.h.
#include "core/store_sqlite_private.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <time.h>
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

// Ours; hbbs leaves it alone. A peer without a row here is approved.
static const char our_schema[] =
        "begin immediate; create table if not exists rdsrv_schema (version integer not null);"
        "insert into rdsrv_schema select 1 where not exists (select 1 from rdsrv_schema);"
        "create table if not exists rdsrv_peer (guid blob primary key not null, "
        "state integer not null default 0) without rowid; commit;";

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
static const char forget_state_sql[] =
        "delete from rdsrv_peer where guid = (select guid from peer where id = ?1)";
static const char forget_sql[] = "delete from peer where id = ?1";

static void list_init(struct job_list *list)
{
	*list = (struct job_list){.end = &list->first};
}

static void list_add(struct job_list *list, struct job *job)
{
	job->next = NULL;
	*list->end = job;
	list->end = &job->next;
	list->n++;
}

static struct job *list_take(struct job_list *list)
{
	struct job *job = list->first;
	if (job == NULL)
		return NULL;
	list->first = job->next;
	if (list->first == NULL)
		list->end = &list->first;
	list->n--;
	return job;
}

static void list_free(struct job_list *list)
{
	for (struct job *job; (job = list_take(list)) != NULL;)
		free(job);
}

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
		       "start without peers";
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

static int set_up(struct rds_store *store, struct rds_error *err)
{
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
	if (sqlite3_exec(store->db, our_schema, NULL, NULL, NULL) != SQLITE_OK ||
	    prepare(store, set_state_sql, &store->set_state) != SQLITE_OK ||
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

static bool is_closing(struct rds_store *store)
{
	(void)pthread_mutex_lock(&store->lock);
	bool closing = store->closing;
	(void)pthread_mutex_unlock(&store->lock);
	return closing;
}

// Everything or nothing is on disk when this returns, but for rows that SQLite refuses one by
// one. Some errors (a full disk) end the transaction at once: then nothing of it counts.
static void write_batch(struct rds_store *store, struct job_list *batch)
{
	bool open = !store->hopeless && store_sqlite_run(store, store->begin);
	// At the end nobody waits for a database that doesn't open.
	store->hopeless = !open && is_closing(store);
	for (struct job *job = batch->first; job != NULL && open; job = job->next) {
		job->ok = store_sqlite_write(store, job);
		open = sqlite3_get_autocommit(store->db) == 0;
	}
	bool committed = open && store_sqlite_run(store, store->commit);
	if (sqlite3_get_autocommit(store->db) == 0)
		(void)store_sqlite_run(store, store->rollback);
	for (struct job *job = batch->first; job != NULL; job = job->next)
		job->ok = job->ok && committed;
}

// Waits for work; false when there is none and the store is closing.
static bool take_batch(struct rds_store *store, struct job_list *batch)
{
	list_init(batch);
	(void)pthread_mutex_lock(&store->lock);
	while (store->queued.n == 0 && !store->closing)
		(void)pthread_cond_wait(&store->more, &store->lock);
	for (struct job *job;
	     batch->n < RDS_STORE_BATCH && (job = list_take(&store->queued)) != NULL;)
		list_add(batch, job);
	(void)pthread_mutex_unlock(&store->lock);
	return batch->n > 0;
}

// While one batch is synced the next one gathers: groups form by themselves, and a lone write
// waits for nobody.
static void *work(void *arg)
{
	struct rds_store *store = arg;
	struct job_list batch;
	while (take_batch(store, &batch)) {
		write_batch(store, &batch);
		(void)pthread_mutex_lock(&store->lock);
		for (struct job *job; (job = list_take(&batch)) != NULL;)
			list_add(&store->ended, job);
		(void)pthread_mutex_unlock(&store->lock);
		store->wake(store->wake_ctx);
	}
	return NULL;
}

// The thread takes no signals: they are the loop's.
static int start_thread(struct rds_store *store, struct rds_error *err)
{
	sigset_t all;
	sigset_t before;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&store->thread, NULL, work, store);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return rds_fail(err, RDS_ESYS, "can't start the store's thread: %s", strerror(rc));
	store->started = true;
	return 0;
}

int rds_store_open(const char *path, rds_store_wake_fn wake, void *ctx, struct rds_store **out,
                   struct rds_error *err)
{
	int rc = make_private(path, err);
	if (rc != 0)
		return rc;
	struct rds_store *store = rds_calloc(1, sizeof *store);
	store->path = rds_strdup(path);
	store->wake = wake;
	store->wake_ctx = ctx;
	list_init(&store->queued);
	list_init(&store->ended);
	(void)pthread_mutex_init(&store->lock, NULL);
	(void)pthread_cond_init(&store->more, NULL);
	rc = set_up(store, err);
	if (rc == 0)
		rc = start_thread(store, err);
	if (rc != 0) {
		rds_store_close(store);
		return rc;
	}
	*out = store;
	return 0;
}

static int put(struct rds_store *store, enum job_kind kind, struct rds_view old_id,
               const struct rds_peer_row *row, uint64_t ticket)
{
	struct job *job =
	        rds_calloc(1, sizeof *job + old_id.len + row->id.len + row->uuid.len + row->pk.len);
	uint8_t *at = job->bytes;
	job->ticket = ticket;
	job->kind = kind;
	job->old_id = old_id;
	job->row = *row;
	struct rds_view *parts[] = {&job->old_id, &job->row.id, &job->row.uuid, &job->row.pk};
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (parts[i]->len > 0)
			memcpy(at, parts[i]->data, parts[i]->len);
		parts[i]->data = at;
		at += parts[i]->len;
	}
	(void)pthread_mutex_lock(&store->lock);
	bool full = store->queued.n >= RDS_STORES_PENDING;
	if (!full) {
		list_add(&store->queued, job);
		(void)pthread_cond_signal(&store->more);
	}
	(void)pthread_mutex_unlock(&store->lock);
	if (full)
		free(job);
	return full ? -RDS_EFULL : 0;
}

int rds_store_put(struct rds_store *store, const struct rds_peer_row *row, uint64_t ticket)
{
	return put(store, JOB_PUT, rds_view_of(NULL, 0), row, ticket);
}

int rds_store_rename(struct rds_store *store, struct rds_view old_id, struct rds_view new_id,
                     uint64_t ticket)
{
	struct rds_peer_row row = {.id = new_id};
	return put(store, JOB_RENAME, old_id, &row, ticket);
}

int rds_store_set_state(struct rds_store *store, struct rds_view id, enum rds_peer_state state,
                        uint64_t ticket)
{
	struct rds_peer_row row = {.id = id, .state = state};
	return put(store, JOB_STATE, rds_view_of(NULL, 0), &row, ticket);
}

int rds_store_forget(struct rds_store *store, struct rds_view id, uint64_t ticket)
{
	struct rds_peer_row row = {.id = id};
	return put(store, JOB_FORGET, rds_view_of(NULL, 0), &row, ticket);
}

size_t rds_store_take(struct rds_store *store, struct rds_store_done *out, size_t max)
{
	size_t n = 0;
	(void)pthread_mutex_lock(&store->lock);
	for (struct job *job; n < max && (job = list_take(&store->ended)) != NULL; n++) {
		out[n] = (struct rds_store_done){.ticket = job->ticket, .ok = job->ok};
		free(job);
	}
	(void)pthread_mutex_unlock(&store->lock);
	return n;
}

void rds_store_close(struct rds_store *store)
{
	if (store == NULL)
		return;
	if (store->started) {
		(void)pthread_mutex_lock(&store->lock);
		store->closing = true;
		(void)pthread_cond_signal(&store->more);
		(void)pthread_mutex_unlock(&store->lock);
		(void)pthread_join(store->thread, NULL);
	}
	(void)sqlite3_finalize(store->begin);
	(void)sqlite3_finalize(store->upsert);
	(void)sqlite3_finalize(store->rename);
	(void)sqlite3_finalize(store->set_state);
	(void)sqlite3_finalize(store->forget_state);
	(void)sqlite3_finalize(store->forget);
	(void)sqlite3_finalize(store->commit);
	(void)sqlite3_finalize(store->rollback);
	(void)sqlite3_close(store->db);
	list_free(&store->queued);
	list_free(&store->ended);
	(void)pthread_mutex_destroy(&store->lock);
	(void)pthread_cond_destroy(&store->more);
	free(store->path);
	free(store);
}
