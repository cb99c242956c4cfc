// SPDX-License-Identifier: MIT
// Reading the database: at the start, and for backups.
#include "core/store_sqlite_private.h"

#include "core/limits.h"

#include <cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

// The address in a row's info: none if there isn't one.
static struct rds_ip ip_of_info(const char *info)
{
	struct rds_ip ip = {{0}};
	cJSON *json = info == NULL ? NULL : cJSON_Parse(info);
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "ip"));
	if (text == NULL || rds_ip_parse(text, &ip) != 0)
		ip = (struct rds_ip){{0}};
	cJSON_Delete(json);
	return ip;
}

// A number that a later version may have written means: not approved here.
static enum rds_peer_state state_of(int number)
{
	return number == RDS_PEER_APPROVED || number == RDS_PEER_BANNED
	               ? (enum rds_peer_state)number
	               : RDS_PEER_PENDING;
}

static uint16_t day_of(sqlite3_int64 number)
{
	return number < 0 || number > UINT16_MAX ? 0 : (uint16_t)number;
}

static struct rds_view column(sqlite3_stmt *s, int i)
{
	const void *bytes = sqlite3_column_blob(s, i);
	return rds_view_of(bytes, (size_t)sqlite3_column_bytes(s, i));
}

// An odd row is not worth a server that doesn't start.
static int skip(struct rds_store *store, const struct rds_peer_row *row, int why, uint64_t *skipped)
{
	if ((*skipped)++ < RDS_LOG_BURST)
		rds_log(RDS_LOG_WARN, "a row of the database can't be used",
		        rds_field_text("file", store->path), rds_field_bytes("id", row->id),
		        rds_field_text("because", why == -RDS_EEXIST
		                                          ? "its id is there twice"
		                                          : "its id, uuid or pk is too long"));
	return 0;
}

int rds_store_load(struct rds_store *store,
                   int (*on_row)(void *ctx, const struct rds_peer_row *row), void *ctx,
                   struct rds_error *err)
{
	sqlite3_stmt *s = NULL;
	if (sqlite3_prepare_v2(store->db,
	                       "select id, uuid, pk, info, coalesce(state, 0), "
	                       "coalesce(seen_day, 0), coalesce(version, '') from peer "
	                       "left join rdsrv_peer using (guid)",
	                       -1, &s, NULL) != SQLITE_OK)
		return store_sqlite_fail(store, err, "can't read the peers");
	int rc = 0;
	int step = SQLITE_DONE;
	uint64_t skipped = 0;
	while (rc == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		struct rds_peer_row row = {
		        .ip = ip_of_info((const char *)sqlite3_column_text(s, 3)),
		        .id = column(s, 0),
		        .uuid = column(s, 1),
		        .pk = column(s, 2),
		        .state = state_of(sqlite3_column_int(s, 4)),
		        .seen_day = day_of(sqlite3_column_int64(s, 5)),
		        .version = column(s, 6),
		};
		rc = on_row(ctx, &row);
		if (rc == -RDS_ETOOBIG || rc == -RDS_EEXIST)
			rc = skip(store, &row, rc, &skipped);
	}
	if (skipped > 0)
		rds_log(RDS_LOG_WARN,
		        "rows of the database that can't be used; they were left alone",
		        rds_field_text("file", store->path), rds_field_uint("rows", skipped));
	if (rc == 0 && step != SQLITE_DONE)
		rc = store_sqlite_fail(store, err, "can't read the peers");
	(void)sqlite3_finalize(s);
	return rc;
}

// The new file is for its owner only, as ours is, and must not be there yet.
static int make_file(const char *path, struct rds_error *err)
{
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return rds_fail(err, errno == EEXIST ? RDS_EEXIST : RDS_ESYS,
		                "%s: can't create: %s", path, strerror(errno));
	(void)close(fd);
	return 0;
}

int rds_store_backup(struct rds_store *store, const char *path, struct rds_error *err)
{
	sqlite3 *copy = NULL;
	int rc = make_file(path, err);
	if (rc != 0)
		return rc;
	int step = sqlite3_open(path, &copy);
	sqlite3_backup *backup =
	        step != SQLITE_OK ? NULL : sqlite3_backup_init(copy, "main", store->db, "main");
	if (backup != NULL) {
		step = sqlite3_backup_step(backup, -1);
		(void)sqlite3_backup_finish(backup);
	}
	if (backup == NULL || step != SQLITE_DONE)
		rc = rds_fail(err, RDS_ESTORE, "%s: the backup failed: %s", path,
		              sqlite3_errmsg(copy));
	(void)sqlite3_close(copy);
	if (rc != 0)
		(void)unlink(path);
	return rc;
}
