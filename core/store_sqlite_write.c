// SPDX-License-Identifier: MIT
// Writing rows, one job after the other inside the batch's transaction.
#include "core/store_sqlite_private.h"

#include <time.h>

static void log_failure(struct rds_store *store, const char *what)
{
	uint64_t held_back;
	if (rds_log_limit_pass(&store->log_limit, (uint64_t)time(NULL) * 1000, &held_back))
		rds_log(RDS_LOG_ERROR, "database refused", rds_field_text("file", store->path),
		        rds_field_text("what", what),
		        rds_field_text("why", sqlite3_errmsg(store->db)),
		        rds_field_uint("not_logged_before", held_back));
}

bool store_sqlite_run(struct rds_store *store, sqlite3_stmt *statement)
{
	bool ok = sqlite3_step(statement) == SQLITE_DONE;
	if (!ok)
		log_failure(store, sqlite3_sql(statement));
	(void)sqlite3_reset(statement);
	return ok;
}

// UUID version 7 (RFC 9562): in the order of time, so that new rows go to the end of the table
// and don't scatter the writes.
static void make_guid(uint8_t guid[16])
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	sqlite3_randomness(16, guid);
	for (size_t i = 0; i < 6; i++)
		guid[i] = (uint8_t)(ms >> (8 * (5 - i)));
	guid[6] = (uint8_t)((guid[6] & 0x0f) | 0x70);
	guid[8] = (uint8_t)((guid[8] & 0x3f) | 0x80);
}

static int bind_text(sqlite3_stmt *s, int i, struct rds_view text)
{
	return sqlite3_bind_text(s, i, (const char *)text.data, (int)text.len, SQLITE_STATIC);
}

static bool write_rename(struct rds_store *store, const struct job *job)
{
	if (bind_text(store->rename, 1, job->old_id) != SQLITE_OK ||
	    bind_text(store->rename, 2, job->row.id) != SQLITE_OK) {
		log_failure(store, "bind");
		return false;
	}
	return store_sqlite_run(store, store->rename) && sqlite3_changes(store->db) == 1;
}

static bool write_state(struct rds_store *store, const struct job *job)
{
	if (bind_text(store->set_state, 1, job->row.id) != SQLITE_OK ||
	    sqlite3_bind_int(store->set_state, 2, (int)job->row.state) != SQLITE_OK) {
		log_failure(store, "bind");
		return false;
	}
	return store_sqlite_run(store, store->set_state) && sqlite3_changes(store->db) == 1;
}

static bool write_note(struct rds_store *store, const struct job *job)
{
	if (bind_text(store->note, 1, job->row.id) != SQLITE_OK ||
	    sqlite3_bind_int(store->note, 2, job->row.seen_day) != SQLITE_OK ||
	    bind_text(store->note, 3, job->row.version) != SQLITE_OK) {
		log_failure(store, "bind");
		return false;
	}
	return store_sqlite_run(store, store->note);
}

static bool forget(struct rds_store *store, const struct job *job)
{
	if (bind_text(store->forget_state, 1, job->row.id) != SQLITE_OK ||
	    bind_text(store->forget, 1, job->row.id) != SQLITE_OK) {
		log_failure(store, "bind");
		return false;
	}
	return store_sqlite_run(store, store->forget_state) &&
	       store_sqlite_run(store, store->forget);
}

static bool write_row(struct rds_store *store, const struct job *job)
{
	uint8_t guid[16];
	char ip[RDS_IP_TEXT];
	make_guid(guid);
	rds_ip_format_mapped(&job->row.ip, ip);
	sqlite3_stmt *s = store->upsert;
	const struct rds_peer_row *row = &job->row;
	if (sqlite3_bind_blob(s, 1, guid, sizeof guid, SQLITE_TRANSIENT) != SQLITE_OK ||
	    bind_text(s, 2, row->id) != SQLITE_OK ||
	    sqlite3_bind_blob(s, 3, row->uuid.data, (int)row->uuid.len, SQLITE_STATIC) !=
	            SQLITE_OK ||
	    sqlite3_bind_blob(s, 4, row->pk.data, (int)row->pk.len, SQLITE_STATIC) != SQLITE_OK ||
	    sqlite3_bind_text(s, 5, ip, -1, SQLITE_TRANSIENT) != SQLITE_OK) {
		log_failure(store, "bind");
		return false;
	}
	return store_sqlite_run(store, s);
}

bool store_sqlite_write(struct rds_store *store, const struct job *job)
{
	switch (job->kind) {
	case JOB_PUT:
		return write_row(store, job) &&
		       (job->row.state == RDS_PEER_APPROVED || write_state(store, job));
	case JOB_RENAME:
		return write_rename(store, job);
	case JOB_STATE:
		return write_state(store, job);
	case JOB_FORGET:
		return forget(store, job);
	case JOB_NOTE:
		return write_note(store, job);
	}
	return false;
}
