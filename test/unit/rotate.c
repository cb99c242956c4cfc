// SPDX-License-Identifier: MIT
// Goal: a rotation keeps the old pair, accepts it for its time, and is finished or undone as a
// whole wherever it was interrupted; next and retired keys.
#include "test/unit/testing.h"

#include "keys/rotate.h"
#include "keys/server_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOW   1800000000LL
#define GRACE (30 * 86400LL)

static struct temp_dir temp;
static struct rds_datadir *dir;
static struct rds_error err;
static struct rds_rotated rotated;
static struct rds_keys keys;
static char first[RDS_PUBLIC_TEXT];
static char first_secret[RDS_SECRET_TEXT];
static struct rds_key_change change;

static int set_up(void **state)
{
	(void)state;
	struct rds_keypair *pair = NULL;
	temp_dir_make(&temp);
	assert_int_equal(rds_datadir_open(temp.path, &dir, &err), 0);
	assert_int_equal(rds_keyfiles_make(dir, &pair, &err), 0);
	memcpy(first, rds_keypair_public_text(pair), sizeof first);
	rds_keypair_secret_text(pair, first_secret);
	rds_keypair_free(pair);
	change = (struct rds_key_change){.now = NOW,
	                                 .day = "20270115",
	                                 .time = "2027-01-15T09:00:00+0100",
	                                 .who = "somebody(uid 7)"};
	keys = (struct rds_keys){.made = false};
	err.text[0] = '\0';
	log_capture(RDS_LOG_WARN);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_release();
	rds_keys_clear(&keys);
	rds_datadir_close(dir);
	temp_dir_remove(&temp);
	return 0;
}

static void rotate(void)
{
	if (rds_rotate(dir, &change, change.now + GRACE, NULL, &rotated, &err) != 0)
		fail_msg("%s", err.text);
}

static void load(void)
{
	rds_keys_clear(&keys);
	if (rds_keys_load(dir, RDS_KEYS_READ, &keys, &err) != 0)
		fail_msg("%s", err.text);
}

static const char *current(void)
{
	return rds_keypair_public_text(keys.files.pair);
}

static void assert_current(const char *text)
{
	load();
	assert_string_equal(current(), text);
	assert_file(&temp, RDS_PUBLIC_FILE, text);
	assert_int_equal(file_mode(&temp, RDS_SECRET_FILE), 0600);
	assert_int_equal(file_mode(&temp, RDS_PUBLIC_FILE), 0644);
	assert_string_equal(keys.ring.pending, "");
	assert_string_equal(keys.ring.pending_by, "");
}

static void assert_log(const char *const pairs[][2], size_t n)
{
	char text[4096] = "";
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		char prints[2][RDS_FINGERPRINT_TEXT];
		rds_fingerprint(rds_view_text(pairs[i][0]), prints[0]);
		rds_fingerprint(rds_view_text(pairs[i][1]), prints[1]);
		len += (size_t)snprintf(text + len, sizeof text - len, "%s %s old %s new %s\n",
		                        change.time, change.who, prints[0], prints[1]);
	}
	assert_file(&temp, RDS_KEYGEN_LOG, text);
}

static void old_pair_is_kept_and_accepted(void **state)
{
	(void)state;
	struct stat made;
	assert_true(rds_datadir_stat(dir, RDS_SECRET_FILE, &made));
	rotate();
	assert_string_equal(rotated.old_text, first);
	assert_string_not_equal(rotated.new_text, first);
	assert_string_equal(rotated.backup, "id_ed25519.bak.20270115");
	assert_file(&temp, "id_ed25519.bak.20270115", first_secret);
	assert_file(&temp, "id_ed25519.pub.bak.20270115", first);
	assert_int_equal(file_mode(&temp, "id_ed25519.bak.20270115"), 0600);
	assert_int_equal(file_mode(&temp, "id_ed25519.pub.bak.20270115"), 0644);
	assert_current(rotated.new_text);
	assert_int_equal(keys.ring.n_retired, 1);
	const struct rds_retired_key *old = &keys.ring.retired[0];
	assert_string_equal(rds_keypair_public_text(old->pair), first);
	assert_int_equal(old->retired, NOW);
	assert_int_equal(old->accepted_until, NOW + GRACE);
	assert_int_equal(old->since, made.st_mtim.tv_sec);
	assert_int_equal(keys.ring.current_since, NOW);
	const char *const changes[][2] = {{first, rotated.new_text}};
	assert_log(changes, 1);
	// two pairs, keyring.json, keygen.log
	assert_int_equal(files_in(&temp), 6);
	assert_string_equal(log_captured(), "");
}

static void one_after_the_other(void **state)
{
	(void)state;
	static const char *const names[] = {"id_ed25519.bak.20270115", "id_ed25519.bak.20270115.1",
	                                    "id_ed25519.bak.20270115.2"};
	char texts[4][RDS_PUBLIC_TEXT];
	memcpy(texts[0], first, sizeof first);
	for (size_t i = 0; i < 3; i++) {
		rotate();
		assert_string_equal(rotated.backup, names[i]);
		memcpy(texts[i + 1], rotated.new_text, sizeof rotated.new_text);
		change.now += 60;
	}
	assert_current(texts[3]);
	assert_int_equal(keys.ring.n_retired, 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(keys.ring.retired[i].public_text, texts[i]);
	assert_int_equal(keys.ring.retired[1].since, NOW);
	assert_int_equal(keys.ring.retired[1].retired, NOW + 60);
	const char *const all[][2] = {
	        {texts[0], texts[1]}, {texts[1], texts[2]}, {texts[2], texts[3]}};
	assert_log(all, 3);
}

// Whatever stands where a backup would go stays, be it half a name.
static void backups_overwrite_nothing(void **state)
{
	(void)state;
	file_write(&temp, "id_ed25519.pub.bak.20270115", "something");
	char *link = temp_path(&temp, "id_ed25519.bak.20270115.1");
	assert_int_equal(symlink("nowhere", link), 0);
	rotate();
	assert_string_equal(rotated.backup, "id_ed25519.bak.20270115.2");
	assert_file(&temp, "id_ed25519.pub.bak.20270115", "something");
	assert_false(file_exists(&temp, "nowhere"));
	free(link);
}

static void nothing_to_rotate(void **state)
{
	(void)state;
	char *path = temp_path(&temp, RDS_SECRET_FILE);
	char *public = temp_path(&temp, RDS_PUBLIC_FILE);
	(void)unlink(path);
	(void)unlink(public);
	assert_int_equal(rds_rotate(dir, &change, NOW, NULL, &rotated, &err), -RDS_ENOENT);
	assert_contains(err.text, temp.path);
	assert_int_equal(rds_keys_make_next(dir, &change, first, &err), -RDS_ENOENT);
	assert_int_equal(files_in(&temp), 0);
	free(path);
	free(public);
}

static void damaged_pairs_are_left_alone(void **state)
{
	(void)state;
	size_t n = 0;
	file_write(&temp, RDS_PUBLIC_FILE, "ioabEDv2eNdgsvfLmyt5u3yG4EGLDjLTZBfHZN6d+xQ=");
	assert_int_equal(rds_rotate(dir, &change, NOW, NULL, &rotated, &err), -RDS_EPARSE);
	assert_contains(err.text, RDS_PUBLIC_FILE);
	assert_int_equal(rds_keys_retire(dir, &change, NULL, &n, &err), -RDS_EPARSE);
	file_write(&temp, RDS_PUBLIC_FILE, first);
	file_write(&temp, RDS_KEYRING_FILE, "{\"version\":2}");
	assert_int_equal(rds_rotate(dir, &change, NOW, NULL, &rotated, &err), -RDS_EPARSE);
	assert_contains(err.text, RDS_KEYRING_FILE);
	assert_file(&temp, RDS_SECRET_FILE, first_secret);
	assert_int_equal(files_in(&temp), 3);
}

static struct rds_keypair *pair_of(const char *secret)
{
	struct rds_keypair *pair = NULL;
	assert_int_equal(rds_keypair_parse(rds_view_text(secret), &pair, &err), 0);
	return pair;
}

static void given_pairs_and_those_in_use(void **state)
{
	(void)state;
	struct rds_keypair *same = pair_of(first_secret);
	assert_int_equal(rds_rotate(dir, &change, NOW, same, &rotated, &err), -RDS_EEXIST);
	assert_int_equal(files_in(&temp), 2);
	rotate(); // and back again: it is retired no more
	char second[RDS_PUBLIC_TEXT];
	memcpy(second, rotated.new_text, sizeof second);
	assert_int_equal(rds_rotate(dir, &change, NOW + 5, same, &rotated, &err), 0);
	assert_current(first);
	assert_int_equal(keys.ring.n_retired, 1);
	assert_string_equal(keys.ring.retired[0].public_text, second);
	assert_int_equal(keys.ring.retired[0].accepted_until, NOW + 5);
	rds_keypair_free(same);
}

static void next_pair_comes_next(void **state)
{
	(void)state;
	char next[RDS_PUBLIC_TEXT];
	char again[RDS_PUBLIC_TEXT];
	assert_int_equal(rds_keys_make_next(dir, &change, next, &err), 0);
	change.now += 5;
	assert_int_equal(rds_keys_make_next(dir, &change, again, &err), 0);
	assert_string_equal(next, again);
	assert_current(first);
	assert_string_equal(rds_keypair_public_text(keys.ring.next), next);
	assert_int_equal(keys.ring.next_since, NOW);
	rotate();
	assert_string_equal(rotated.new_text, next);
	assert_current(next);
	assert_null(keys.ring.next);
	assert_int_equal(keys.ring.next_since, 0);
}

// Another one is imported: the next one stays what it is.
static void next_pair_outlives_an_import(void **state)
{
	(void)state;
	char next[RDS_PUBLIC_TEXT];
	struct rds_keypair *other = NULL;
	assert_int_equal(rds_keypair_generate(&other, &err), 0);
	assert_int_equal(rds_keys_make_next(dir, &change, next, &err), 0);
	assert_int_equal(rds_rotate(dir, &change, NOW, other, &rotated, &err), 0);
	assert_current(rds_keypair_public_text(other));
	assert_string_equal(rds_keypair_public_text(keys.ring.next), next);
	rds_keypair_free(other);
}

// Retiring.

static void retire(const char *name, size_t expected)
{
	size_t n = 77;
	if (rds_keys_retire(dir, &change, name, &n, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(n, expected);
	load();
}

static void retired_by_name_or_all(void **state)
{
	(void)state;
	char print[RDS_FINGERPRINT_TEXT];
	retire(NULL, 0);
	for (int i = 0; i < 3; i++)
		rotate();
	load();
	char second[RDS_PUBLIC_TEXT];
	memcpy(second, keys.ring.retired[1].public_text, sizeof second);
	change.now += 100;
	retire(first, 1);
	assert_null(keys.ring.retired[0].pair);
	assert_int_equal(keys.ring.retired[0].accepted_until, NOW + 100);
	assert_non_null(keys.ring.retired[1].pair);
	rds_fingerprint(rds_view_text(second), print);
	retire(print, 1);
	assert_null(keys.ring.retired[1].pair);
	assert_non_null(keys.ring.retired[2].pair);
	change.now += 100;
	retire(NULL, 1); // the others have ended before
	retire(NULL, 0);
	retire(print, 0);
	assert_null(keys.ring.retired[2].pair);
	assert_int_equal(keys.ring.retired[0].accepted_until, NOW + 100); // ended before
	assert_int_equal(keys.ring.retired[2].accepted_until, NOW + 200);
	assert_int_equal(keys.ring.n_retired, 3); // they are told apart from wrong keys for ever
}

static void secrets_of_retired_keys_are_gone(void **state)
{
	(void)state;
	rotate();
	retire(NULL, 1);
	char *text = file_read(&temp, RDS_KEYRING_FILE, NULL);
	assert_null(strstr(text, "secret"));
	assert_contains(text, first);
	free(text);
}

static void unknown_names_retire_nothing(void **state)
{
	(void)state;
	static const char *const names[] = {"", "all", "nonsense", "SHA256:"};
	size_t n = 0;
	rotate();
	for (size_t i = 0; i < COUNT(names); i++) {
		assert_int_equal(rds_keys_retire(dir, &change, names[i], &n, &err), -RDS_ENOENT);
		assert_contains(err.text, "--list");
	}
	// The current key is none of them.
	assert_int_equal(rds_keys_retire(dir, &change, rotated.new_text, &n, &err), -RDS_ENOENT);
	load();
	assert_non_null(keys.ring.retired[0].pair);
}

// Whatever the clock said then, a key that was retired by hand stays refused; one whose grace is
// over for a wrong clock comes back with the right one.
static void clocks_refuse_but_never_delete(void **state)
{
	(void)state;
	rotate();
	change.now = NOW + 1000 * 86400LL; // far ahead
	rotate();
	load();
	assert_false(rds_keyring_accepts(&keys.ring.retired[0], change.now));
	assert_non_null(keys.ring.retired[0].pair);
	assert_true(rds_keyring_accepts(&keys.ring.retired[0], NOW));
	retire(first, 1);
	assert_false(rds_keyring_accepts(&keys.ring.retired[0], NOW));
	change.now = 1000; // far behind
	retire(NULL, 2);
	assert_false(rds_keyring_accepts(&keys.ring.retired[1], 0));
}

// Interrupted.

// What the disk holds of a rotation to `next`, of which so many steps are done: the keyring is
// there; the secret; the public half.
static void interrupt(const struct rds_keypair *next, int steps)
{
	char text[RDS_SECRET_TEXT];
	rds_keys_clear(&keys);
	load();
	struct rds_keyring *ring = &keys.ring;
	rds_keyring_retire(ring, keys.files.pair, ring->current_since, change.now,
	                   change.now + GRACE);
	keys.files.pair = NULL;
	ring->current_since = change.now;
	memcpy(ring->pending, rds_keypair_public_text(next), RDS_PUBLIC_TEXT);
	(void)snprintf(ring->pending_by, sizeof ring->pending_by, "%s %s", change.time, change.who);
	assert_int_equal(rds_keyring_save(dir, ring, &err), 0);
	rds_keypair_secret_text(next, text);
	if (steps > 0)
		file_write(&temp, RDS_SECRET_FILE, text);
	if (steps > 1)
		file_write(&temp, RDS_PUBLIC_FILE, rds_keypair_public_text(next));
	file_write(&temp, ".id_ed25519.0123456789abcdef.tmp", text);
	file_write(&temp, ".keyring.json.0123456789abcdef.tmp", text);
	log_capture(RDS_LOG_WARN);
}

static void before_the_secret_it_is_undone(void **state)
{
	(void)state;
	struct rds_keypair *next = NULL;
	assert_int_equal(rds_keypair_generate(&next, &err), 0);
	load();
	int64_t since = keys.ring.current_since;
	interrupt(next, 0);
	assert_current(first);
	assert_contains(log_captured(), "undone");
	assert_int_equal(keys.ring.n_retired, 0);
	assert_int_equal(keys.ring.current_since, since);
	assert_false(file_exists(&temp, RDS_KEYGEN_LOG));
	assert_int_equal(files_in(&temp), 3); // what was left lying about is gone, too
	log_capture(RDS_LOG_WARN);
	assert_current(first);
	assert_string_equal(log_captured(), ""); // said once
	rds_keypair_free(next);
}

static void after_it_it_is_finished(void **state)
{
	(void)state;
	for (int steps = 1; steps <= 2; steps++) {
		struct rds_keypair *next = NULL;
		load();
		char old[RDS_PUBLIC_TEXT];
		memcpy(old, current(), sizeof old);
		assert_int_equal(rds_keypair_generate(&next, &err), 0);
		interrupt(next, steps);
		assert_current(rds_keypair_public_text(next));
		assert_contains(log_captured(), "finished");
		assert_int_equal(keys.ring.n_retired, steps);
		assert_string_equal(keys.ring.retired[steps - 1].public_text, old);
		assert_non_null(keys.ring.retired[steps - 1].pair);
		rds_keypair_free(next);
	}
	const char *const changes[][2] = {
	        {keys.ring.retired[0].public_text, keys.ring.retired[1].public_text},
	        {keys.ring.retired[1].public_text, current()}};
	assert_log(changes, 2);
	assert_int_equal(files_in(&temp), 4);
}

// The line was written before the crash: it isn't written again.
static void finishing_twice_is_one_line(void **state)
{
	(void)state;
	rotate();
	load();
	memcpy(keys.ring.pending, current(), RDS_PUBLIC_TEXT);
	(void)snprintf(keys.ring.pending_by, sizeof keys.ring.pending_by, "%s %s", change.time,
	               change.who);
	assert_int_equal(rds_keyring_save(dir, &keys.ring, &err), 0);
	assert_current(rotated.new_text);
	assert_contains(log_captured(), "finished");
	const char *const changes[][2] = {{first, rotated.new_text}};
	assert_log(changes, 1);
}

// A rotation back to a retired key that is undone leaves that one its grace.
static void undoing_costs_no_other_key_its_grace(void **state)
{
	(void)state;
	struct rds_keypair *back = pair_of(first_secret);
	rotate();
	interrupt(back, 0);
	assert_current(rotated.new_text);
	assert_int_equal(keys.ring.n_retired, 1);
	assert_string_equal(keys.ring.retired[0].public_text, first);
	assert_true(rds_keyring_accepts(&keys.ring.retired[0], NOW));
	interrupt(back, 1);
	assert_current(first);
	assert_int_equal(keys.ring.n_retired, 1);
	assert_string_equal(keys.ring.retired[0].public_text, rotated.new_text);
	rds_keypair_free(back);
}

// Without a rotation that is under way, a public half of another key is refused as ever.
static void other_mismatches_are_refused(void **state)
{
	(void)state;
	rotate();
	file_write(&temp, RDS_PUBLIC_FILE, first);
	assert_int_equal(rds_keys_load(dir, RDS_KEYS_READ, &keys, &err), -RDS_EPARSE);
	assert_contains(err.text, RDS_PUBLIC_FILE);
	assert_file(&temp, RDS_PUBLIC_FILE, first);
}

// The old pair put back by hand is the current one, and no longer retired.
static void restored_backup_is_current(void **state)
{
	(void)state;
	rotate();
	file_write(&temp, RDS_SECRET_FILE, first_secret);
	file_write(&temp, RDS_PUBLIC_FILE, first);
	assert_current(first);
	assert_int_equal(keys.ring.n_retired, 0);
}

// What no server needs can't stop a rotation, nor the next start.
static void server_conf_and_log_stop_nothing(void **state)
{
	(void)state;
	char *conf = temp_path(&temp, RDS_SERVER_CONF);
	char *log = temp_path(&temp, RDS_KEYGEN_LOG);
	file_write(&temp, "elsewhere", "mine");
	assert_int_equal(symlink("elsewhere", conf), 0);
	assert_int_equal(symlink("elsewhere", log), 0);
	rotate();
	assert_contains(rotated.server_conf_fault.text, RDS_SERVER_CONF);
	assert_contains(rotated.log_fault.text, RDS_KEYGEN_LOG);
	assert_current(rotated.new_text);
	struct rds_keypair *next = NULL;
	assert_int_equal(rds_keypair_generate(&next, &err), 0);
	interrupt(next, 1);
	assert_current(rds_keypair_public_text(next));
	assert_contains(log_captured(), RDS_SERVER_CONF);
	assert_contains(log_captured(), RDS_KEYGEN_LOG);
	assert_file(&temp, "elsewhere", "mine");
	rds_keypair_free(next);
	free(conf);
	free(log);
}

// Loading.

static void looking_makes_nothing(void **state)
{
	(void)state;
	char *path = temp_path(&temp, RDS_SECRET_FILE);
	char *public = temp_path(&temp, RDS_PUBLIC_FILE);
	(void)unlink(public);
	load();
	assert_true(keys.files.public_absent);
	assert_false(file_exists(&temp, RDS_PUBLIC_FILE));
	(void)unlink(path);
	for (int mode = RDS_KEYS_READ; mode <= RDS_KEYS_FOLLOW; mode++) {
		rds_keys_clear(&keys);
		if (mode != RDS_KEYS_COMPLETE)
			assert_int_equal(rds_keys_load(dir, (enum rds_keys_mode)mode, &keys, &err),
			                 -RDS_ENOENT);
	}
	assert_int_equal(files_in(&temp), 0);
	assert_int_equal(rds_keys_load(dir, RDS_KEYS_COMPLETE, &keys, &err), 0);
	assert_true(keys.made);
	assert_int_equal(files_in(&temp), 2);
	free(path);
	free(public);
}

static void following_does_not_wait(void **state)
{
	(void)state;
	struct rds_datadir *other = NULL;
	assert_int_equal(rds_datadir_open(temp.path, &other, &err), 0);
	assert_int_equal(rds_datadir_begin(other, true, &err), 0);
	assert_int_equal(rds_keys_load(dir, RDS_KEYS_FOLLOW, &keys, &err), -RDS_EBUSY);
	assert_null(keys.files.pair);
	rds_datadir_end(other);
	assert_int_equal(rds_keys_load(dir, RDS_KEYS_FOLLOW, &keys, &err), 0);
	assert_string_equal(current(), first);
	rds_datadir_close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(old_pair_is_kept_and_accepted),
	        TEST(one_after_the_other),
	        TEST(backups_overwrite_nothing),
	        TEST(nothing_to_rotate),
	        TEST(damaged_pairs_are_left_alone),
	        TEST(given_pairs_and_those_in_use),
	        TEST(next_pair_comes_next),
	        TEST(next_pair_outlives_an_import),
	        TEST(retired_by_name_or_all),
	        TEST(secrets_of_retired_keys_are_gone),
	        TEST(unknown_names_retire_nothing),
	        TEST(clocks_refuse_but_never_delete),
	        TEST(before_the_secret_it_is_undone),
	        TEST(after_it_it_is_finished),
	        TEST(finishing_twice_is_one_line),
	        TEST(undoing_costs_no_other_key_its_grace),
	        TEST(other_mismatches_are_refused),
	        TEST(restored_backup_is_current),
	        TEST(server_conf_and_log_stop_nothing),
	        TEST(looking_makes_nothing),
	        TEST(following_does_not_wait),
	};
	return cmocka_run_group_tests_name("rotate", tests, NULL, NULL);
}
