// SPDX-License-Identifier: MIT
// Goal: states of peers on disk, changes of id, forgetting, backups: all beside hbbs's table,
// which stays as hbbs makes it.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "core/store.h"

#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct temp_dir dir;
static char *path;
static sem_t woken;
static struct rds_store *store;
static uint64_t ticket;

static void wake(void *ctx)
{
	(void)sem_post(ctx);
}

static void open_store(void)
{
	struct rds_error err = {""};
	if (rds_store_open(path, wake, &woken, &store, &err) != 0)
		fail_msg("%s", err.text);
}

static void close_store(void)
{
	rds_store_close(store);
	store = NULL;
}

static int set_up(void **state)
{
	(void)state;
	temp_dir_make(&dir);
	path = temp_path(&dir, "db_v2.sqlite3");
	if (sem_init(&woken, 0, 0) != 0)
		return -1;
	open_store();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close_store();
	free(path);
	temp_dir_remove(&dir);
	return sem_destroy(&woken);
}

// The result of the write that was queued last.
static bool ended(int queued)
{
	struct rds_store_done done = {0};
	struct timespec until;
	assert_int_equal(queued, 0);
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	while (rds_store_take(store, &done, 1) == 0)
		if (sem_timedwait(&woken, &until) != 0)
			fail_msg("a write never ended");
	assert_int_equal(done.ticket, ticket);
	return done.ok;
}

static bool put(const char *id, enum rds_peer_state state)
{
	struct rds_peer_row row = {.id = rds_view_text(id),
	                           .uuid = rds_view_text("uuid-1"),
	                           .pk = rds_view_text("pk-1"),
	                           .ip = ip_of("203.0.113.7"),
	                           .state = state};
	return ended(rds_store_put(store, &row, ++ticket));
}

static bool set_state(const char *id, enum rds_peer_state state)
{
	return ended(rds_store_set_state(store, rds_view_text(id), state, ++ticket));
}

static bool forget(const char *id)
{
	return ended(rds_store_forget(store, rds_view_text(id), ++ticket));
}

static bool change_id(const char *from, const char *to)
{
	return ended(rds_store_rename(store, rds_view_text(from), rds_view_text(to), ++ticket));
}

// The first column of the first row of a file, as another program sees it.
static char *query(const char *file, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 5000);
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	int step = sqlite3_step(s);
	const char *text =
	        step == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : "(no row)";
	char *copy = rds_strdup(text == NULL ? "(null)" : text);
	(void)sqlite3_finalize(s);
	(void)sqlite3_close(db);
	return copy;
}

static void assert_query(const char *sql, const char *expected)
{
	char *got = query(path, sql);
	if (strcmp(got, expected) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", sql, got, expected);
	free(got);
}

static void execute(const char *sql)
{
	sqlite3 *db = NULL;
	char *message = NULL;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 5000);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	(void)sqlite3_close(db);
}

// What the next start reads: the state of an id, -1 if it isn't there.
struct looked_for {
	const char *id;
	int state;
};

static int look(void *ctx, const struct rds_peer_row *row)
{
	struct looked_for *looked_for = ctx;
	if (rds_view_equal(row->id, rds_view_text(looked_for->id)))
		looked_for->state = (int)row->state;
	return 0;
}

static int state_on_file(const char *id)
{
	struct looked_for looked_for = {.id = id, .state = -1};
	struct rds_error err = {""};
	close_store();
	open_store();
	if (rds_store_load(store, look, &looked_for, &err) != 0)
		fail_msg("%s", err.text);
	return looked_for.state;
}

static void new_rows_have_their_state(void **state)
{
	(void)state;
	assert_true(put("approved-1", RDS_PEER_APPROVED));
	assert_true(put("pending-1", RDS_PEER_PENDING));
	assert_true(put("banned-1", RDS_PEER_BANNED));
	assert_int_equal(state_on_file("approved-1"), RDS_PEER_APPROVED);
	assert_int_equal(state_on_file("pending-1"), RDS_PEER_PENDING);
	assert_int_equal(state_on_file("banned-1"), RDS_PEER_BANNED);
	assert_int_equal(state_on_file("nobody-1"), -1);
}

static void states_change_and_last(void **state)
{
	(void)state;
	static const enum rds_peer_state states[] = {RDS_PEER_BANNED, RDS_PEER_PENDING,
	                                             RDS_PEER_PENDING, RDS_PEER_APPROVED,
	                                             RDS_PEER_BANNED};
	assert_true(put("ridge-042", RDS_PEER_APPROVED));
	assert_true(put("crest-007", RDS_PEER_APPROVED));
	for (size_t i = 0; i < COUNT(states); i++) {
		assert_true(set_state("ridge-042", states[i]));
		assert_int_equal(state_on_file("ridge-042"), states[i]);
		assert_int_equal(state_on_file("crest-007"), RDS_PEER_APPROVED);
	}
	assert_query("select count(*) from rdsrv_peer", "1");
}

// A peer that registers anew keeps the state that the administrator gave it.
static void registering_anew_changes_no_state(void **state)
{
	(void)state;
	assert_true(put("ridge-042", RDS_PEER_PENDING));
	assert_true(put("ridge-042", RDS_PEER_APPROVED)); // what the rules say of known ids
	assert_int_equal(state_on_file("ridge-042"), RDS_PEER_PENDING);
	assert_true(set_state("ridge-042", RDS_PEER_BANNED));
	assert_true(put("ridge-042", RDS_PEER_APPROVED));
	assert_int_equal(state_on_file("ridge-042"), RDS_PEER_BANNED);
}

static void unknown_ids_have_no_state(void **state)
{
	(void)state;
	assert_false(set_state("ridge-042", RDS_PEER_BANNED));
	assert_query("select count(*) from rdsrv_peer", "0");
	assert_true(put("ridge-042", RDS_PEER_APPROVED));
	assert_int_equal(state_on_file("ridge-042"), RDS_PEER_APPROVED);
}

// A state that only a later version knows: not approved by this one, nor lost.
static void states_to_come_are_not_approved(void **state)
{
	(void)state;
	static const char *const numbers[] = {"3", "99", "-1"};
	assert_true(put("ridge-042", RDS_PEER_PENDING));
	for (size_t i = 0; i < COUNT(numbers); i++) {
		char sql[100];
		(void)snprintf(sql, sizeof sql, "update rdsrv_peer set state = %s", numbers[i]);
		execute(sql);
		assert_int_equal(state_on_file("ridge-042"), RDS_PEER_PENDING);
		assert_query("select state from rdsrv_peer", numbers[i]);
	}
}

static void forgetting_leaves_nothing(void **state)
{
	(void)state;
	assert_true(put("ridge-042", RDS_PEER_BANNED));
	assert_true(put("crest-007", RDS_PEER_BANNED));
	assert_true(forget("ridge-042"));
	assert_query("select group_concat(id) from peer", "crest-007");
	assert_query("select count(*) from rdsrv_peer", "1");
	assert_int_equal(state_on_file("ridge-042"), -1);
	// Whoever comes next has nothing of the old one's.
	assert_true(put("ridge-042", RDS_PEER_APPROVED));
	assert_int_equal(state_on_file("ridge-042"), RDS_PEER_APPROVED);
	assert_int_equal(state_on_file("crest-007"), RDS_PEER_BANNED);
	assert_true(forget("nobody-1")); // it isn't there, as was asked for
}

// The row keeps its guid, pk, creation date, and what hbbs or others put in it; and its state.
static void change_of_id_keeps_the_row(void **state)
{
	(void)state;
	static const char all[] =
	        "select hex(guid) || hex(uuid) || hex(pk) || created_at || user || "
	        "status || note || info from peer";
	assert_true(put("ridge-042", RDS_PEER_PENDING));
	execute("update peer set created_at = '2020-01-02 03:04:05', user = x'0102', status = 7, "
	        "note = 'in the hall', info = '{\"ip\":\"::ffff:203.0.113.7\",\"more\":1}'");
	char *before = query(path, all);
	assert_true(change_id("ridge-042", "myLaptop_1"));
	assert_query(all, before);
	assert_query("select group_concat(id) from peer", "myLaptop_1");
	assert_int_equal(state_on_file("myLaptop_1"), RDS_PEER_PENDING);
	assert_int_equal(state_on_file("ridge-042"), -1);
	free(before);
}

static void impossible_changes_of_id_fail(void **state)
{
	(void)state;
	assert_true(put("ridge-042", RDS_PEER_APPROVED));
	assert_true(put("crest-007", RDS_PEER_BANNED));
	assert_false(change_id("nobody-1", "myLaptop_1"));
	log_capture(RDS_LOG_ERROR);
	assert_false(change_id("ridge-042", "crest-007")); // taken
	assert_contains(log_captured(), "database refused");
	log_release();
	assert_query("select group_concat(id) from (select id from peer order by id)",
	             "crest-007,ridge-042");
	assert_int_equal(state_on_file("crest-007"), RDS_PEER_BANNED);
	assert_true(put("brook-001", RDS_PEER_APPROVED)); // nothing else has suffered
}

// Writes are done in the order in which they came, also within one batch.
static void order_is_kept(void **state)
{
	(void)state;
	struct rds_peer_row row = {.id = rds_view_text("ridge-042"),
	                           .uuid = rds_view_text("uuid-1"),
	                           .pk = rds_view_text("pk-1")};
	struct rds_store_done done[8];
	size_t n = 0;
	assert_int_equal(rds_store_put(store, &row, 101), 0);
	assert_int_equal(rds_store_set_state(store, row.id, RDS_PEER_BANNED, 102), 0);
	assert_int_equal(rds_store_rename(store, row.id, rds_view_text("crest-007"), 103), 0);
	assert_int_equal(rds_store_forget(store, row.id, 104), 0);
	assert_int_equal(rds_store_set_state(store, row.id, RDS_PEER_PENDING, 105), 0);
	assert_int_equal(rds_store_put(store, &row, 106), 0);
	for (int turns = 0; n < 6 && turns < 2000; turns++) {
		n += rds_store_take(store, done + n, COUNT(done) - n);
		(void)usleep(10000);
	}
	assert_int_equal(n, 6);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(done[i].ticket, 101 + i);
		assert_int_equal(done[i].ok, i != 4);
	}
	assert_int_equal(state_on_file("crest-007"), RDS_PEER_BANNED);
	assert_int_equal(state_on_file("ridge-042"), RDS_PEER_APPROVED);
}

// hbbs's table and indexes are to the letter what they are in a file that hbbs made.
static void hbbs_table_is_untouched(void **state)
{
	(void)state;
	static const char columns[] =
	        "select group_concat(name || '|' || type || '|' || \"notnull\" || '|' || "
	        "coalesce(dflt_value, '') || '|' || pk) from pragma_table_info('peer')";
	static const char indexes[] =
	        "select group_concat(name || sql) from (select name, sql from sqlite_master where "
	        "type = 'index' and tbl_name = 'peer' and sql is not null order by name)";
	char known[512];
	vectors_path("db_v2.sqlite3", known, sizeof known);
	assert_true(put("ridge-042", RDS_PEER_BANNED));
	assert_true(change_id("ridge-042", "myLaptop_1"));
	char *theirs = query(known, columns);
	assert_query(columns, theirs);
	free(theirs);
	theirs =
	        query(known, "select group_concat(name) from (select name from sqlite_master where "
	                     "type = 'index' and sql is not null order by name)");
	assert_query("select group_concat(name) from (select name from sqlite_master where "
	             "type = 'index' and sql is not null order by name)",
	             theirs);
	free(theirs);
	theirs = query(path, indexes);
	assert_contains(theirs, "index_peer_id");
	free(theirs);
	assert_query("select user is null and status is null and note is null from peer", "1");
	assert_query("select count(*) from sqlite_master where name not like 'rdsrv_%' and "
	             "type = 'table'",
	             "1");
}

static void backup_is_a_whole_file(void **state)
{
	(void)state;
	struct rds_error err = {""};
	char *copy = temp_path(&dir, "copy.sqlite3");
	assert_true(put("ridge-042", RDS_PEER_APPROVED));
	assert_true(put("crest-007", RDS_PEER_BANNED));
	assert_int_equal(rds_store_backup(store, copy, &err), 0);
	assert_int_equal(file_mode(&dir, "copy.sqlite3"), 0600);
	assert_true(put("later-001", RDS_PEER_APPROVED)); // the store goes on
	char *got = query(copy, "pragma integrity_check");
	assert_string_equal(got, "ok");
	free(got);
	got = query(copy, "select group_concat(id) from (select id from peer order by id)");
	assert_string_equal(got, "crest-007,ridge-042");
	free(got);
	// It is what a server can start from.
	close_store();
	free(path);
	path = copy;
	assert_int_equal(state_on_file("crest-007"), RDS_PEER_BANNED);
	assert_int_equal(state_on_file("ridge-042"), RDS_PEER_APPROVED);
}

static void backup_replaces_nothing(void **state)
{
	(void)state;
	struct rds_error err = {""};
	char *copy = temp_path(&dir, "copy.sqlite3");
	file_write(&dir, "copy.sqlite3", "precious");
	assert_int_equal(rds_store_backup(store, copy, &err), -RDS_EEXIST);
	assert_contains(err.text, "copy.sqlite3");
	assert_file(&dir, "copy.sqlite3", "precious");
	free(copy);
	copy = temp_path(&dir, "nowhere/copy.sqlite3");
	assert_true(rds_store_backup(store, copy, &err) < 0);
	assert_contains(err.text, "nowhere/copy.sqlite3");
	free(copy);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        ROW(new_rows_have_their_state),
	        ROW(states_change_and_last),
	        ROW(registering_anew_changes_no_state),
	        ROW(unknown_ids_have_no_state),
	        ROW(states_to_come_are_not_approved),
	        ROW(forgetting_leaves_nothing),
	        ROW(change_of_id_keeps_the_row),
	        ROW(impossible_changes_of_id_fail),
	        ROW(order_is_kept),
	        ROW(hbbs_table_is_untouched),
	        ROW(backup_is_a_whole_file),
	        ROW(backup_replaces_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
