// SPDX-License-Identifier: MIT
// Shared by the store_sqlite*.c files and nobody else.
#ifndef RDS_CORE_STORE_SQLITE_PRIVATE_H
#define RDS_CORE_STORE_SQLITE_PRIVATE_H

#include "core/log.h"
#include "core/store.h"

#include <pthread.h>
#include <sqlite3.h>

enum job_kind { JOB_PUT, JOB_RENAME, JOB_STATE, JOB_FORGET, JOB_NOTE };

// One queued or ended write.
struct job {
	struct job *next;
	uint64_t ticket;
	enum job_kind kind;
	bool ok;
	struct rds_view old_id;  // of JOB_RENAME. Views into bytes
	struct rds_peer_row row; // of others than JOB_PUT: only what they need
	uint8_t bytes[];
};

struct job_list {
	struct job *first;
	struct job **end;
	size_t n;
};

struct rds_store {
	char *path;
	sqlite3 *db;
	sqlite3_stmt *begin;
	sqlite3_stmt *upsert;
	sqlite3_stmt *rename;
	sqlite3_stmt *set_state;
	sqlite3_stmt *note;
	sqlite3_stmt *forget_state;
	sqlite3_stmt *forget;
	sqlite3_stmt *commit;
	sqlite3_stmt *rollback;
	rds_store_wake_fn wake;
	void *wake_ctx;
	pthread_t thread;
	bool started;
	struct rds_log_limit log_limit; // the thread's
	bool hopeless;                  // the thread's: what is left is not tried any more

	pthread_mutex_t lock; // guards what follows
	pthread_cond_t more;
	struct job_list queued;
	struct job_list notes; // written when nothing else is queued
	struct job_list ended;
	bool closing;
};

// store_sqlite_open.c: opens or makes the file at store->path, with all that store->db needs; ends
// what there is of it.
int store_sqlite_open(struct rds_store *store, struct rds_error *err);
void store_sqlite_close(struct rds_store *store);

// Whether what is at path, and in the places of its side files, are regular files: SQLite would
// wait for ever for the other end of a pipe. -RDS_ESTORE with *err.
int store_sqlite_regular(const char *path, struct rds_error *err)
        __attribute__((warn_unused_result));

// Fills *err with what SQLite says and what to do.
int store_sqlite_fail(struct rds_store *store, struct rds_error *err, const char *what);

// store_sqlite_copy.c: opens another server's file for reading, without a trace beside it. false:
// *db says why, and is the caller's to close.
bool store_sqlite_open_source(const char *path, sqlite3 **db);

// What is wrong, of quick_check's text: the lines before it say which database is meant.
const char *store_sqlite_last_line(const char *text);

// Runs a statement that gives no rows; false, and a line in the log, if SQLite refuses.
bool store_sqlite_run(struct rds_store *store, sqlite3_stmt *statement);

// Does one job; its transaction is open.
bool store_sqlite_write(struct rds_store *store, const struct job *job);

#endif
