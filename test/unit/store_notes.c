// SPDX-License-Identifier: MIT
// Goal: what is remembered of peers from day to day, in a table of ours that files of earlier
// versions get added to: written behind all else, and read at the next start.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/store.h"

#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DAY 20500

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
	return sem_init(&woken, 0, 0);
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

static int queue(const char *id)
{
	struct rds_peer_row row = {.id = rds_view_text(id),
	                           .uuid = rds_view_text("uuid-1"),
	                           .pk = rds_view_text("pk-1"),
	                           .ip = ip_of("203.0.113.7")};
	return rds_store_put(store, &row, ++ticket);
}

static void put(const char *id)
{
	assert_true(ended(queue(id)));
}

static int note(const char *id, uint16_t day, const char *version)
{
	return rds_store_note(store, rds_view_text(id), day, rds_view_text(version));
}

// Another program's hold on the file: nothing is written meanwhile.
static sqlite3 *open_other(void)
{
	sqlite3 *db = NULL;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	(void)sqlite3_busy_timeout(db, 5000);
	return db;
}

static void run(sqlite3 *db, const char *sql)
{
	char *message = NULL;
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
}

static void execute(const char *sql)
{
	sqlite3 *db = open_other();
	run(db, sql);
	(void)sqlite3_close(db);
}

static void assert_query(const char *sql, const char *expected)
{
	sqlite3 *db = open_other();
	sqlite3_stmt *s = NULL;
	if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	bool row = sqlite3_step(s) == SQLITE_ROW;
	const char *text = row ? (const char *)sqlite3_column_text(s, 0) : "(no row)";
	if (strcmp(text == NULL ? "(null)" : text, expected) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", sql, text == NULL ? "(null)" : text, expected);
	(void)sqlite3_finalize(s);
	(void)sqlite3_close(db);
}

// What the next start reads of an id.
struct looked_for {
	const char *id;
	bool found;
	enum rds_peer_state state;
	uint16_t day;
	char version[100];
};

static int look(void *ctx, const struct rds_peer_row *row)
{
	struct looked_for *looked_for = ctx;
	if (!rds_view_equal(row->id, rds_view_text(looked_for->id)))
		return 0;
	looked_for->found = true;
	looked_for->state = row->state;
	looked_for->day = row->seen_day;
	assert_true(row->version.len < sizeof looked_for->version);
	if (row->version.len > 0)
		memcpy(looked_for->version, row->version.data, row->version.len);
	return 0;
}

static void expect_on_file(const char *id, enum rds_peer_state state, uint16_t day,
                           const char *version)
{
	struct looked_for looked_for = {.id = id};
	struct rds_error err = {""};
	close_store(); // which writes what is queued
	open_store();
	if (rds_store_load(store, look, &looked_for, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(looked_for.found);
	assert_int_equal(looked_for.state, state);
	assert_int_equal(looked_for.day, day);
	assert_string_equal(looked_for.version, version);
}

static void notes_are_read_at_the_next_start(void **state)
{
	(void)state;
	open_store();
	put("ridge-042");
	put("crest-007");
	expect_on_file("ridge-042", RDS_PEER_APPROVED, 0, "");
	assert_int_equal(note("ridge-042", DAY, "1.4.2"), 0);
	expect_on_file("ridge-042", RDS_PEER_APPROVED, DAY, "1.4.2");
	expect_on_file("crest-007", RDS_PEER_APPROVED, 0, "");
	// What isn't known leaves what is there.
	assert_int_equal(note("ridge-042", DAY + 1, ""), 0);
	expect_on_file("ridge-042", RDS_PEER_APPROVED, DAY + 1, "1.4.2");
	assert_int_equal(note("ridge-042", 0, "1.4.3"), 0);
	expect_on_file("ridge-042", RDS_PEER_APPROVED, DAY + 1, "1.4.3");
	assert_int_equal(note("ridge-042", UINT16_MAX, "1.4.3"), 0);
	expect_on_file("ridge-042", RDS_PEER_APPROVED, UINT16_MAX, "1.4.3");
	assert_query("select count(*) from rdsrv_peer", "1");
}

static void states_and_notes_leave_each_other_alone(void **state)
{
	(void)state;
	open_store();
	put("ridge-042");
	assert_true(ended(
	        rds_store_set_state(store, rds_view_text("ridge-042"), RDS_PEER_BANNED, ++ticket)));
	assert_int_equal(note("ridge-042", DAY, "1.4.2"), 0);
	expect_on_file("ridge-042", RDS_PEER_BANNED, DAY, "1.4.2");
	assert_true(ended(rds_store_set_state(store, rds_view_text("ridge-042"), RDS_PEER_PENDING,
	                                      ++ticket)));
	expect_on_file("ridge-042", RDS_PEER_PENDING, DAY, "1.4.2");
	put("ridge-042"); // it registers anew
	expect_on_file("ridge-042", RDS_PEER_PENDING, DAY, "1.4.2");
}

static void notes_go_along_with_the_row(void **state)
{
	(void)state;
	struct rds_view old_id = rds_view_text("ridge-042");
	struct rds_view new_id = rds_view_text("myLaptop_1");
	open_store();
	put("ridge-042");
	assert_int_equal(note("ridge-042", DAY, "1.4.2"), 0);
	expect_on_file("ridge-042", RDS_PEER_APPROVED, DAY, "1.4.2");
	assert_true(ended(rds_store_rename(store, old_id, new_id, ++ticket)));
	expect_on_file("myLaptop_1", RDS_PEER_APPROVED, DAY, "1.4.2");
	assert_true(ended(rds_store_forget(store, new_id, ++ticket)));
	assert_query("select count(*) from rdsrv_peer", "0");
	put("myLaptop_1"); // whoever comes next has nothing of the old one's
	expect_on_file("myLaptop_1", RDS_PEER_APPROVED, 0, "");
}

static void notes_of_nobody_are_lost(void **state)
{
	(void)state;
	open_store();
	assert_int_equal(note("nobody-1", DAY, "1.4.2"), 0);
	put("ridge-042");
	close_store();
	assert_query("select count(*) from rdsrv_peer", "0");
}

static void nothing_new_writes_nothing(void **state)
{
	(void)state;
	open_store();
	put("ridge-042");
	execute("create table rdsrv_test (n integer)");
	execute("create trigger rdsrv_test_1 after insert on rdsrv_peer begin "
	        "insert into rdsrv_test values (1); end");
	execute("create trigger rdsrv_test_2 after update on rdsrv_peer begin "
	        "insert into rdsrv_test values (1); end");
	static const struct {
		uint16_t day;
		const char *version;
		const char *writes; // so far
	} notes[] = {{DAY, "1.4.2", "1"},     {DAY, "1.4.2", "1"}, {DAY, "", "1"},
	             {0, "1.4.2", "1"},       {0, "", "1"},        {DAY + 1, "1.4.2", "2"},
	             {DAY + 1, "1.4.3", "3"}, {DAY + 1, "", "3"}};
	for (size_t i = 0; i < COUNT(notes); i++) {
		assert_int_equal(note("ridge-042", notes[i].day, notes[i].version), 0);
		close_store();
		assert_query("select count(*) from rdsrv_test", notes[i].writes);
		open_store();
	}
}

// What no version of ours would write is read as not known.
static void odd_notes_are_not_known(void **state)
{
	(void)state;
	static const char *const days[] = {"-1", "65536", "9223372036854775807", "'x'", "null"};
	open_store();
	put("ridge-042");
	assert_int_equal(note("ridge-042", DAY, "1.4.2"), 0);
	for (size_t i = 0; i < COUNT(days); i++) {
		char sql[100];
		(void)snprintf(sql, sizeof sql,
		               "update rdsrv_peer set seen_day = %s, version = null", days[i]);
		close_store();
		execute(sql);
		open_store();
		expect_on_file("ridge-042", RDS_PEER_APPROVED, 0, "");
	}
}

// Nothing that waits for the disk waits for notes.
static void notes_are_written_behind_all_else(void **state)
{
	(void)state;
	open_store();
	put("ridge-042");
	execute("create table rdsrv_test (what text)");
	execute("create trigger rdsrv_test_1 after insert on rdsrv_peer begin "
	        "insert into rdsrv_test values ('note'); end");
	execute("create trigger rdsrv_test_2 after insert on peer begin "
	        "insert into rdsrv_test values ('row'); end");
	sqlite3 *other = open_other();
	run(other, "begin immediate");
	// The thread may have taken the first write before it met the lock.
	assert_int_equal(queue("first-001"), 0);
	assert_int_equal(note("ridge-042", DAY, "1.4.2"), 0);
	for (int i = 0; i < 2 * RDS_STORE_BATCH; i++) {
		char id[20];
		(void)snprintf(id, sizeof id, "peer-%05d", i);
		assert_int_equal(queue(id), 0);
	}
	run(other, "commit");
	(void)sqlite3_close(other);
	close_store();
	assert_query("select count(*) from rdsrv_test where what = 'row'", "1025");
	assert_query("select what from rdsrv_test order by rowid desc limit 1", "note");
}

static void notes_that_wait_are_bounded(void **state)
{
	(void)state;
	open_store();
	put("ridge-042");
	sqlite3 *other = open_other();
	run(other, "begin immediate");
	int taken = 0;
	int rc = 0;
	while ((rc = note("ridge-042", DAY, "1.4.2")) == 0)
		taken++;
	assert_int_equal(rc, -RDS_EFULL);
	// One batch may be on its way already.
	assert_in_range(taken, RDS_NOTES_QUEUED, RDS_NOTES_QUEUED + RDS_STORE_BATCH);
	assert_int_equal(queue("crest-007"), 0); // others have a queue of their own
	run(other, "commit");
	(void)sqlite3_close(other);
	expect_on_file("ridge-042", RDS_PEER_APPROVED, DAY, "1.4.2");
	expect_on_file("crest-007", RDS_PEER_APPROVED, 0, "");
}

// As the version before made them: states are kept, and what is new is added, once.
static void earlier_files_are_added_to(void **state)
{
	(void)state;
	open_store();
	put("ridge-042");
	put("crest-007");
	close_store();
	execute("drop table rdsrv_peer; drop table rdsrv_schema;"
	        "create table rdsrv_schema (version integer not null);"
	        "insert into rdsrv_schema values (1);"
	        "create table rdsrv_peer (guid blob primary key not null, "
	        "state integer not null default 0) without rowid;"
	        "insert into rdsrv_peer select guid, 2 from peer where id = 'ridge-042'");
	for (int i = 0; i < 2; i++) {
		open_store();
		close_store();
		assert_query("select group_concat(version) from rdsrv_schema", "2");
	}
	open_store();
	expect_on_file("ridge-042", RDS_PEER_BANNED, 0, "");
	expect_on_file("crest-007", RDS_PEER_APPROVED, 0, "");
	assert_int_equal(note("ridge-042", DAY, "1.4.2"), 0);
	assert_int_equal(note("crest-007", DAY, "1.4.2"), 0);
	expect_on_file("ridge-042", RDS_PEER_BANNED, DAY, "1.4.2");
	expect_on_file("crest-007", RDS_PEER_APPROVED, DAY, "1.4.2");
	// And a version to come that has added more.
	close_store();
	execute("alter table rdsrv_peer add column more text; update rdsrv_schema set version = 3");
	open_store();
	expect_on_file("ridge-042", RDS_PEER_BANNED, DAY, "1.4.2");
	assert_query("select version from rdsrv_schema", "3");
}

// A file that can't be added to is left as it was, and the start says so.
static void failed_addition_changes_nothing(void **state)
{
	(void)state;
	struct rds_error err = {""};
	open_store();
	put("ridge-042");
	close_store();
	execute("drop table rdsrv_peer; update rdsrv_schema set version = 1;"
	        "create table rdsrv_peer (guid blob primary key not null, version text)");
	assert_int_equal(rds_store_open(path, wake, &woken, &store, &err), -RDS_ESTORE);
	assert_contains(err.text, "rdsrv_");
	assert_query("select version from rdsrv_schema", "1");
	assert_query("select count(*) from pragma_table_info('rdsrv_peer')", "2");
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        ROW(notes_are_read_at_the_next_start),
	        ROW(states_and_notes_leave_each_other_alone),
	        ROW(notes_go_along_with_the_row),
	        ROW(notes_of_nobody_are_lost),
	        ROW(nothing_new_writes_nothing),
	        ROW(odd_notes_are_not_known),
	        ROW(notes_are_written_behind_all_else),
	        ROW(notes_that_wait_are_bounded),
	        ROW(earlier_files_are_added_to),
	        ROW(failed_addition_changes_nothing),
	};
	return cmocka_run_group_tests_name("store_notes", tests, NULL, NULL);
}
