// SPDX-License-Identifier: MIT
// Goal: peers on disk (protocol.md section 10): hbbs's file is read and written as it stands,
// every write is told of, what can't be used is left alone.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/store.h"

#include <semaphore.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct temp_dir dir;
static char *path;
static sem_t woken;
static struct rds_store *store;

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
	rds_store_close(store);
	store = NULL;
	free(path);
	temp_dir_remove(&dir);
	return sem_destroy(&woken);
}

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

static int put(const char *id, const char *uuid, const char *pk, const char *ip, uint64_t ticket)
{
	struct rds_peer_row row = {.id = rds_view_text(id),
	                           .uuid = rds_view_text(uuid),
	                           .pk = rds_view_text(pk),
	                           .ip = ip_of(ip)};
	return rds_store_put(store, &row, ticket);
}

// The next ended write; waits up to 20 s for it.
static struct rds_store_done take(void)
{
	struct rds_store_done done = {0};
	struct timespec until;
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	while (rds_store_take(store, &done, 1) == 0)
		if (sem_timedwait(&woken, &until) != 0)
			fail_msg("a write never ended");
	return done;
}

static void put_safely(const char *id, const char *uuid, const char *pk, const char *ip)
{
	assert_int_equal(put(id, uuid, pk, ip, 77), 0);
	struct rds_store_done done = take();
	assert_int_equal(done.ticket, 77);
	assert_true(done.ok);
}

// The file as another program sees it: the first column of the first row, as text.
static char *query(const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *s = NULL;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
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
	char *got = query(sql);
	if (strcmp(got, expected) != 0)
		fail_msg("%s: \"%s\", not \"%s\"", sql, got, expected);
	free(got);
}

static void execute(const char *sql)
{
	sqlite3 *db = NULL;
	char *message = NULL;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	(void)sqlite3_close(db);
}

// Rows that were read.
struct rows {
	size_t n;
	struct {
		char id[101];
		char uuid[65];
		uint8_t pk[64];
		size_t pk_len;
		struct rds_ip ip;
	} row[16];
};

static void copy_text(char *out, size_t cap, struct rds_view v)
{
	(void)snprintf(out, cap, "%.*s", (int)v.len, v.data == NULL ? "" : (const char *)v.data);
}

static int keep_row(void *ctx, const struct rds_peer_row *row)
{
	struct rows *rows = ctx;
	size_t i = rows->n++;
	if (i >= COUNT(rows->row))
		return 0;
	copy_text(rows->row[i].id, sizeof rows->row[i].id, row->id);
	copy_text(rows->row[i].uuid, sizeof rows->row[i].uuid, row->uuid);
	assert_true(row->pk.len <= sizeof rows->row[i].pk);
	if (row->pk.len > 0)
		memcpy(rows->row[i].pk, row->pk.data, row->pk.len);
	rows->row[i].pk_len = row->pk.len;
	rows->row[i].ip = row->ip;
	return 0;
}

static void load_rows(struct rows *rows)
{
	struct rds_error err = {""};
	rows->n = 0;
	if (rds_store_load(store, keep_row, rows, &err) != 0)
		fail_msg("%s", err.text);
}

static void take_vector(void)
{
	char from[512];
	vectors_path("db_v2.sqlite3", from, sizeof from);
	FILE *file = fopen(from, "rb");
	assert_non_null(file);
	uint8_t *bytes = rds_calloc(1 << 20, 1);
	size_t len = fread(bytes, 1, 1 << 20, file);
	(void)fclose(file);
	file_write_bytes(&dir, "db_v2.sqlite3", rds_view_of(bytes, len));
	free(bytes);
}

static const struct {
	const char *id;
	const char *uuid;
	const char *pk;
	const char *ip;
} known[] = {
        {"ridge-042", "machine-0",
         "8dd39dd9add1a3233295b90aafdee99799a5bd7b0eab2e80c3d498169f840b00", "198.51.100.23"},
        {"123456789", "machine-1",
         "83eb00ca45b3f414251eff31cb75896e62192ae4d97e3e47f0e7c44a215bb4dd", "203.0.113.77"},
        {"crest-007", "machine-2",
         "5c1f51d960218b5131f1eb5895492155e750aa403c882662a7a808ec2ba173cb", "2001:db8::23"},
};

// hbbs's file: its three peers, IPv4 written either way.
static void known_file_is_read(void **state)
{
	(void)state;
	struct rows rows;
	take_vector();
	open_store();
	load_rows(&rows);
	assert_int_equal(rows.n, 3);
	for (size_t i = 0; i < 3; i++) {
		uint8_t pk[32];
		struct rds_ip ip = ip_of(known[i].ip);
		assert_string_equal(rows.row[i].id, known[i].id);
		assert_string_equal(rows.row[i].uuid, known[i].uuid);
		assert_views_equal(rds_view_of(rows.row[i].pk, rows.row[i].pk_len),
		                   from_hex(known[i].pk, pk, sizeof pk));
		assert_true(rds_ip_equal(&rows.row[i].ip, &ip));
	}
}

// What is written there stands beside what hbbs wrote, and hbbs could go on with it.
static void known_file_is_written(void **state)
{
	(void)state;
	take_vector();
	open_store();
	put_safely("ridge-042", "machine-0", "new-pk", "192.0.2.9");
	put_safely("newcomer-1", "uuid-9", "pk-9", "2001:db8::9");
	close_store();
	assert_query("select count(*) from peer", "4");
	assert_query("select hex(guid) || created_at || info from peer where id = 'ridge-042'",
	             "010101010101010101010101010101012024-09-07 00:00:00"
	             "{\"ip\":\"::ffff:192.0.2.9\"}");
	assert_query("select pk from peer where id = 'ridge-042'", "new-pk");
	assert_query("select info from peer where id = '123456789'", "{\"ip\":\"203.0.113.77\"}");
	assert_query("select info from peer where id = 'newcomer-1'", "{\"ip\":\"2001:db8::9\"}");
	assert_query("pragma integrity_check", "ok");
	assert_query("select group_concat(name) from sqlite_master where type = 'table' "
	             "and name not like 'rdsrv_%'",
	             "peer");
}

static void new_file_is_as_hbbs_makes_it(void **state)
{
	(void)state;
	open_store();
	put_safely("ridge-042", "uuid-1", "pk-1", "203.0.113.7");
	close_store();
	assert_int_equal(file_mode(&dir, "db_v2.sqlite3"), 0600);
	assert_query("pragma journal_mode", "wal");
	assert_query("select group_concat(name || ' ' || lower(type) || ' ' || \"notnull\" || pk) "
	             "from pragma_table_info('peer')",
	             "guid blob 11,id varchar(100) 10,uuid blob 10,pk blob 10,"
	             "created_at datetime 10,user blob 00,status tinyint 00,"
	             "note varchar(300) 00,info text 10");
	assert_query("select group_concat(name || \"unique\") from (select * from "
	             "pragma_index_list('peer') where origin = 'c' order by name)",
	             "index_peer_created_at0,index_peer_id1,index_peer_status0,index_peer_user0");
	assert_query("select sql like '%without rowid' from sqlite_master where name = 'peer'",
	             "1");
	assert_query("select typeof(guid) || length(guid) || typeof(id) || typeof(uuid) || "
	             "typeof(pk) || typeof(info) from peer",
	             "blob16textblobblobtext");
	assert_query("select info from peer", "{\"ip\":\"::ffff:203.0.113.7\"}");
	assert_query("select abs(julianday('now') - julianday(created_at)) < 0.01 from peer", "1");
}

// New guids go to the end of the table: UUIDv7, in the order of time.
static void guids_are_in_the_order_of_time(void **state)
{
	(void)state;
	open_store();
	put_safely("first-id", "uuid-1", "pk-1", "203.0.113.7");
	struct timespec pause = {.tv_nsec = 3000000};
	(void)nanosleep(&pause, NULL);
	put_safely("another-id", "uuid-1", "pk-1", "203.0.113.7");
	close_store();
	assert_query("select group_concat(id) from (select id from peer order by guid)",
	             "first-id,another-id");
	assert_query("select count(*) from peer where substr(hex(guid), 13, 1) = '7' and "
	             "substr(hex(guid), 17, 1) in ('8', '9', 'A', 'B')",
	             "2");
}

static void update_keeps_the_rest_of_a_row(void **state)
{
	(void)state;
	open_store();
	close_store();
	execute("insert into peer values (x'00112233445566778899aabbccddeeff', 'ridge-042', "
	        "'uuid-1', 'pk-1', '2020-02-02 02:02:02', x'aa', 1, 'a note', "
	        "'{\"os\":\"x\",\"ip\":\"1.2.3.4\"}'), (x'01', 'odd-info', 'u', 'p', "
	        "'2020-02-02 02:02:02', null, null, null, 'not json'), (x'02', 'odd-list', 'u', "
	        "'p', '2020-02-02 02:02:02', null, null, null, '[1]')");
	open_store();
	put_safely("ridge-042", "uuid-2", "pk-2", "203.0.113.7");
	put_safely("odd-info", "u", "p", "203.0.113.7");
	put_safely("odd-list", "u", "p", "203.0.113.7");
	close_store();
	assert_query("select hex(guid) || created_at || hex(user) || status || note || uuid || pk "
	             "from peer where id = 'ridge-042'",
	             "00112233445566778899AABBCCDDEEFF2020-02-02 02:02:02AA1a noteuuid-2pk-2");
	assert_query("select info from peer where id = 'ridge-042'",
	             "{\"os\":\"x\",\"ip\":\"::ffff:203.0.113.7\"}");
	assert_query("select group_concat(distinct info) from peer where id like 'odd-%'",
	             "{\"ip\":\"::ffff:203.0.113.7\"}");
	assert_query("select count(*) from peer", "3");
}

static void rows_come_back_after_a_restart(void **state)
{
	(void)state;
	struct rows rows;
	open_store();
	put_safely("ridge-042", "uuid-1", "pk-1", "203.0.113.7");
	put_safely("\xe4\xb8\xbb\xe6\x9c\xba-7", "uuid-2", "pk-2", "2001:db8::7");
	put_safely("x'); drop table peer; --", "uuid-3", "pk-3", "203.0.113.8");
	put_safely("ridge-042", "uuid-1", "pk-1b", "203.0.113.9");
	close_store();
	open_store();
	load_rows(&rows);
	assert_int_equal(rows.n, 3);
	for (size_t i = 0; i < 3; i++) {
		struct rds_ip moved = ip_of("203.0.113.9");
		if (strcmp(rows.row[i].id, "ridge-042") != 0)
			continue;
		assert_memory_equal(rows.row[i].pk, "pk-1b", 5);
		assert_true(rds_ip_equal(&rows.row[i].ip, &moved));
	}
}

static void rows_without_address_or_with_nonsense(void **state)
{
	(void)state;
	struct rows rows;
	open_store();
	close_store();
	execute("insert into peer (guid, id, uuid, pk, info) values (x'01', 'a', '', '', ''), "
	        "(x'02', 'b', 'u', 'p', '{}'), (x'03', 'c', 'u', 'p', '{\"ip\":5}'), "
	        "(x'04', 'd', 'u', 'p', '{\"ip\":\"nowhere\"}'), "
	        "(x'05', 'e', 'u', 'p', '{\"ip\":\"\"}'), (x'06', 'f', 'u', 'p', '[')");
	open_store();
	load_rows(&rows);
	assert_int_equal(rows.n, 6);
	for (size_t i = 0; i < 6; i++)
		assert_true(rds_ip_is_none(&rows.row[i].ip));
	assert_int_equal(rows.row[0].pk_len, 0);
}

static int refuse_row(void *ctx, const struct rds_peer_row *row)
{
	(void)row;
	++*(int *)ctx;
	return -RDS_ETOOBIG;
}

// The reader can't hold the rows: they are skipped, and left alone.
static void rows_that_do_not_fit_are_skipped(void **state)
{
	(void)state;
	struct rds_error err = {""};
	int calls = 0;
	take_vector();
	open_store();
	assert_int_equal(rds_store_load(store, refuse_row, &calls, &err), 0);
	assert_int_equal(calls, 3);
	assert_query("select count(*) from peer", "3");
}

static void writes_end_in_their_order(void **state)
{
	(void)state;
	enum { MANY = 3000 };
	open_store();
	for (unsigned i = 0; i < MANY; i++) {
		char id[32];
		(void)snprintf(id, sizeof id, "id-%06u", i);
		assert_int_equal(put(id, "uuid-1", "pk-1", "203.0.113.7", 1000 + i), 0);
	}
	for (unsigned i = 0; i < MANY; i++) {
		struct rds_store_done done = take();
		assert_int_equal(done.ticket, 1000 + i);
		assert_true(done.ok);
	}
	struct rds_store_done none;
	assert_int_equal(rds_store_take(store, &none, 1), 0);
	assert_query("select count(*) from peer", "3000");
}

// OK means on disk: a second reader sees it at that moment.
static void ended_means_written(void **state)
{
	(void)state;
	open_store();
	for (int i = 0; i < 20; i++) {
		char pk[32];
		(void)snprintf(pk, sizeof pk, "pk-%d", i);
		put_safely("ridge-042", "uuid-1", pk, "203.0.113.7");
		assert_query("select pk from peer where id = 'ridge-042'", pk);
	}
}

static void closing_writes_what_is_queued(void **state)
{
	(void)state;
	open_store();
	for (unsigned i = 0; i < 2000; i++) {
		char id[32];
		(void)snprintf(id, sizeof id, "id-%06u", i);
		assert_int_equal(put(id, "uuid-1", "pk-1", "203.0.113.7", i), 0);
	}
	close_store();
	assert_query("select count(*) from peer", "2000");
	rds_store_close(NULL);
}

// One row that SQLite refuses takes no other down with it.
static void refused_row_fails_alone(void **state)
{
	(void)state;
	open_store();
	close_store();
	execute("create trigger no before insert on peer when new.id = 'bad-one' "
	        "begin select raise(abort, 'not you'); end");
	open_store();
	assert_int_equal(put("good-one", "u", "p", "203.0.113.7", 1), 0);
	assert_int_equal(put("bad-one", "u", "p", "203.0.113.7", 2), 0);
	assert_int_equal(put("good-two", "u", "p", "203.0.113.7", 3), 0);
	for (uint64_t i = 1; i <= 3; i++) {
		struct rds_store_done done = take();
		assert_int_equal(done.ticket, i);
		assert_int_equal(done.ok, i != 2);
	}
	assert_query("select group_concat(id) from peer", "good-one,good-two");
}

// Some errors end the whole transaction, as a full disk does: what is told must still be true.
static void lost_transaction_is_told(void **state)
{
	(void)state;
	bool ok[60];
	open_store();
	close_store();
	execute("create trigger no before insert on peer when new.id = 'id-000030' "
	        "begin select raise(rollback, 'all of you'); end");
	open_store();
	for (unsigned i = 0; i < 60; i++) {
		char id[32];
		(void)snprintf(id, sizeof id, "id-%06u", i);
		assert_int_equal(put(id, "uuid-1", "pk-1", "203.0.113.7", i), 0);
	}
	for (unsigned i = 0; i < 60; i++) {
		struct rds_store_done done = take();
		assert_int_equal(done.ticket, i);
		ok[i] = done.ok;
	}
	assert_false(ok[30]);
	for (unsigned i = 0; i < 60; i++) {
		char sql[100];
		(void)snprintf(sql, sizeof sql, "select count(*) from peer where id = 'id-%06u'",
		               i);
		assert_query(sql, ok[i] ? "1" : "0");
	}
	put_safely("after-that", "u", "p", "203.0.113.7");
}

// While another program holds the file, writes queue up to their bound; then all go through.
static void queue_is_bounded(void **state)
{
	(void)state;
	sqlite3 *other = NULL;
	size_t queued = 0;
	open_store();
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "begin immediate", NULL, NULL, NULL), SQLITE_OK);
	int rc = 0;
	while (queued <= RDS_STORES_PENDING + RDS_STORE_BATCH &&
	       (rc = put("ridge-042", "uuid-1", "pk-1", "203.0.113.7", queued)) == 0)
		queued++;
	// Let go first: with the file held, a failing test would take minutes to end.
	assert_int_equal(sqlite3_exec(other, "rollback", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	assert_int_equal(rc, -RDS_EFULL);
	assert_true(queued >= RDS_STORES_PENDING);
	for (size_t i = 0; i < queued; i++) {
		struct rds_store_done done = take();
		assert_int_equal(done.ticket, i);
		assert_true(done.ok);
	}
	put_safely("ridge-042", "uuid-1", "pk-2", "203.0.113.7");
}

static void refuse_to_open(const char *what)
{
	struct rds_error err = {""};
	size_t before_len = 0;
	size_t after_len = 0;
	char *before = file_read(&dir, "db_v2.sqlite3", &before_len);
	assert_int_equal(rds_store_open(path, wake, &woken, &store, &err), -RDS_ESTORE);
	assert_null(store);
	assert_contains(err.text, path);
	char *after = file_read(&dir, "db_v2.sqlite3", &after_len);
	if (!rds_view_equal(rds_view_of(before, before_len), rds_view_of(after, after_len)))
		fail_msg("%s: the file was changed", what);
	free(before);
	free(after);
	assert_int_equal(files_in(&dir), 1);
}

static void files_that_are_no_database_are_left_alone(void **state)
{
	(void)state;
	file_write(&dir, "db_v2.sqlite3", "this is a shopping list, and a long one at that\n");
	refuse_to_open("a text");
	take_vector();
	size_t len = 0;
	char *bytes = file_read(&dir, "db_v2.sqlite3", &len);
	memset(bytes + 100, 0xff, 400); // the schema's page
	file_write_bytes(&dir, "db_v2.sqlite3", rds_view_of(bytes, len));
	free(bytes);
	refuse_to_open("a damaged database");
}

// Somebody else's table of that name.
static void foreign_tables_are_left_alone(void **state)
{
	(void)state;
	execute("create table peer (id varchar(100) not null, uuid blob, pk blob)");
	refuse_to_open("another peer table");
}

static void missing_directory_is_an_error(void **state)
{
	(void)state;
	struct rds_error err = {""};
	char *nowhere = temp_path(&dir, "nowhere/db_v2.sqlite3");
	assert_true(rds_store_open(nowhere, wake, &woken, &store, &err) < 0);
	assert_contains(err.text, nowhere);
	free(nowhere);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(known_file_is_read),
	        TEST(known_file_is_written),
	        TEST(new_file_is_as_hbbs_makes_it),
	        TEST(guids_are_in_the_order_of_time),
	        TEST(update_keeps_the_rest_of_a_row),
	        TEST(rows_come_back_after_a_restart),
	        TEST(rows_without_address_or_with_nonsense),
	        TEST(rows_that_do_not_fit_are_skipped),
	        TEST(writes_end_in_their_order),
	        TEST(ended_means_written),
	        TEST(closing_writes_what_is_queued),
	        TEST(refused_row_fails_alone),
	        TEST(lost_transaction_is_told),
	        TEST(queue_is_bounded),
	        TEST(files_that_are_no_database_are_left_alone),
	        TEST(foreign_tables_are_left_alone),
	        TEST(missing_directory_is_an_error),
	};
	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
