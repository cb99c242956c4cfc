// SPDX-License-Identifier: MIT
// Goal: what SQLite alone takes for the rows of new peers, in transactions of the same size, with
// the same schema and pragmas: nothing but plain inserts. The store makes the file.
#include "test/bench/peers.h"
#include "test/bench/tool.h"

#include "core/limits.h"
#include "core/store.h"

#include <sqlite3.h>
#include <stdio.h>

static sqlite3 *db;

static void check(int code, int wanted)
{
	if (code != wanted)
		tool_fail("SQLite: %s", sqlite3_errmsg(db));
}

static void run(const char *sql)
{
	check(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

// As the store's: in the order of time.
static void make_guid(uint32_t i, uint8_t guid[16])
{
	sqlite3_randomness(16, guid);
	guid[0] = guid[1] = 0;
	for (size_t byte = 0; byte < 4; byte++)
		guid[2 + byte] = (uint8_t)(i >> (8 * (3 - byte)));
}

static void insert(sqlite3_stmt *s, uint32_t i, uint32_t peers)
{
	static const sqlite3_destructor_type borrowed = SQLITE_STATIC;
	struct peer_texts texts;
	uint8_t guid[16];
	char info[64];
	uint32_t ip = peers_source_of(i, peers);
	peers_texts(i, &texts);
	make_guid(i, guid);
	int len = snprintf(info, sizeof info, "{\"ip\":\"::ffff:%u.%u.%u.%u\"}", ip >> 24,
	                   ip >> 16 & 0xff, ip >> 8 & 0xff, ip & 0xff);
	check(sqlite3_bind_blob(s, 1, guid, sizeof guid, borrowed), SQLITE_OK);
	check(sqlite3_bind_text(s, 2, (const char *)texts.id, sizeof texts.id, borrowed),
	      SQLITE_OK);
	check(sqlite3_bind_blob(s, 3, texts.uuid, sizeof texts.uuid, borrowed), SQLITE_OK);
	check(sqlite3_bind_blob(s, 4, texts.pk, sizeof texts.pk, borrowed), SQLITE_OK);
	check(sqlite3_bind_text(s, 5, info, len, borrowed), SQLITE_OK);
	check(sqlite3_step(s), SQLITE_DONE);
	check(sqlite3_reset(s), SQLITE_OK);
}

static void on_wake(void *ctx)
{
	(void)ctx;
}

static void open_database(const char *path)
{
	struct rds_store *store = NULL;
	struct rds_error err;
	if (rds_store_open(path, on_wake, NULL, &store, &err) != 0)
		tool_fail("%s", err.text);
	rds_store_close(store);
	check(sqlite3_open(path, &db), SQLITE_OK);
	run("pragma journal_mode = wal; pragma synchronous = full;"
	    "pragma wal_autocheckpoint = 4000;");
}

int main(int argc, char **argv)
{
	const char *path = "db_v2.sqlite3";
	long peers = 0;
	long batch = RDS_STORE_BATCH;
	sqlite3_stmt *s = NULL;
	const struct tool_option options[] = {{.name = "path", .text = &path},
	                                      {.name = "peers", .number = &peers},
	                                      {.name = "batch", .number = &batch}};
	tool_options(argc, argv, options, sizeof options / sizeof options[0]);
	open_database(path);
	check(sqlite3_prepare_v2(db,
	                         "insert into peer (guid, id, uuid, pk, info) "
	                         "values (?1, ?2, ?3, ?4, ?5)",
	                         -1, &s, NULL),
	      SQLITE_OK);
	uint64_t start_us = tool_now_us();
	for (uint32_t i = 0; i < (uint32_t)peers; i++) {
		if (i % (uint32_t)batch == 0)
			run(i == 0 ? "begin immediate" : "commit; begin immediate");
		insert(s, i, (uint32_t)peers);
	}
	run("commit");
	(void)printf("{\"rows\": %ld, \"seconds\": %.6f}\n", peers,
	             (double)(tool_now_us() - start_us) / 1e6);
	check(sqlite3_finalize(s), SQLITE_OK);
	check(sqlite3_close(db), SQLITE_OK);
	return 0;
}
