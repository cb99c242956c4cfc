// SPDX-License-Identifier: MIT
// Goal: the data directory's server.conf follows the key as long as nobody has edited it, through
// crashes, too; one that was edited is never changed.
#include "test/unit/testing.h"

#include "core/limits.h"
#include "keys/server_conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OLD   "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk="
#define NEW   "ioabEDv2eNdgsvfLmyt5u3yG4EGLDjLTZBfHZN6d+xQ="
#define THIRD "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

#define CONF(key) "[server]\nid_server=id.example\nrelay_server=\nkey=" key "\n"

static struct temp_dir temp;
static struct rds_datadir *dir;
static struct rds_keyring ring;
static struct rds_error err;
static bool kept;

static int set_up(void **state)
{
	(void)state;
	temp_dir_make(&temp);
	ring = (struct rds_keyring){.n_retired = 0};
	return rds_datadir_open(temp.path, &dir, &err);
}

static int tear_down(void **state)
{
	(void)state;
	rds_keyring_clear(&ring);
	rds_datadir_close(dir);
	temp_dir_remove(&temp);
	return 0;
}

static void write_ours(const char *text)
{
	bool written = false;
	assert_int_equal(rds_server_conf_write(dir, rds_view_text(text), true, &written, &err), 0);
	assert_true(written);
	rds_keyring_clear(&ring);
	assert_int_equal(rds_keyring_load(dir, &ring, &err), 0);
}

static void follow(void)
{
	kept = true;
	if (rds_server_conf_follow(dir, &ring, OLD, NEW, &kept, &err) != 0)
		fail_msg("%s", err.text);
}

static bool has_new(void)
{
	return file_exists(&temp, RDS_SERVER_CONF_NEW);
}

static void written_where_there_is_none(void **state)
{
	(void)state;
	bool written = false;
	write_ours(CONF(OLD));
	assert_file(&temp, RDS_SERVER_CONF, CONF(OLD));
	assert_int_equal(file_mode(&temp, RDS_SERVER_CONF), 0644);
	assert_int_equal(rds_server_conf_write(dir, rds_view_text(CONF(NEW)), true, &written, &err),
	                 0);
	assert_false(written);
	assert_file(&temp, RDS_SERVER_CONF, CONF(OLD));
	file_write(&temp, RDS_SERVER_CONF, "");
	write_ours(CONF(NEW));
	assert_file(&temp, RDS_SERVER_CONF, CONF(NEW));
	file_write(&temp, RDS_SERVER_CONF, "\n"); // not empty: somebody's
	assert_int_equal(rds_server_conf_write(dir, rds_view_text(CONF(NEW)), true, &written, &err),
	                 0);
	assert_false(written);
}

static void it_follows(void **state)
{
	(void)state;
	write_ours(CONF(OLD));
	follow();
	assert_false(kept);
	assert_file(&temp, RDS_SERVER_CONF, CONF(NEW));
	assert_false(has_new());
	// And again, by what the ring knows now.
	assert_int_equal(rds_server_conf_follow(dir, &ring, NEW, THIRD, &kept, &err), 0);
	assert_false(kept);
	assert_file(&temp, RDS_SERVER_CONF, CONF(THIRD));
}

// Only the value of that line changes, whatever else there is.
static void rest_stays_as_it_is(void **state)
{
	(void)state;
	static const char before[] = "# key=" OLD "\r\n[server]\r\nkeys=" OLD "\r\nkey=" OLD
	                             "\r\nid_server=id.example\r\nkey=x";
	static const char after[] = "# key=" OLD "\r\n[server]\r\nkeys=" OLD "\r\nkey=" NEW
	                            "\r\nid_server=id.example\r\nkey=x";
	write_ours(before);
	follow();
	assert_file(&temp, RDS_SERVER_CONF, after);
}

static void edited_ones_are_left_alone(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *new_text;
	} cases[] = {
	        {"# mine\n" CONF(OLD), "# mine\n" CONF(NEW)},
	        {"[server]\n\tKey = " OLD " \nx=1", "[server]\n\tKey = " NEW " \nx=1"},
	        {"key=" OLD, "key=" NEW},
	};
	write_ours(CONF(OLD));
	for (size_t i = 0; i < COUNT(cases); i++) {
		file_write(&temp, RDS_SERVER_CONF, cases[i].text);
		file_write(&temp, RDS_SERVER_CONF_NEW, "an older one");
		follow();
		assert_true(kept);
		assert_file(&temp, RDS_SERVER_CONF, cases[i].text);
		assert_file(&temp, RDS_SERVER_CONF_NEW, cases[i].new_text);
		assert_int_equal(file_mode(&temp, RDS_SERVER_CONF_NEW), 0644);
	}
}

// None, an empty one, one without a key, and one with another key than the old: no business of a
// rotation. The last is what -k PUBLIC leaves.
static void others_are_no_business(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "[server]\n", "key\n", "key=\n", CONF(THIRD)};
	follow();
	assert_false(kept || has_new() || file_exists(&temp, RDS_SERVER_CONF));
	for (size_t i = 0; i < COUNT(texts); i++) {
		file_write(&temp, RDS_SERVER_CONF, texts[i]);
		follow();
		assert_false(kept || has_new());
		assert_file(&temp, RDS_SERVER_CONF, texts[i]);
	}
}

static void others_that_we_wrote_are_no_business_either(void **state)
{
	(void)state;
	write_ours(CONF(THIRD));
	follow();
	assert_false(kept || has_new());
	assert_file(&temp, RDS_SERVER_CONF, CONF(THIRD));
}

// The file was written, the keyring not: it is still known as ours.
static void interrupted_before_it_was_noted(void **state)
{
	(void)state;
	write_ours(CONF(OLD));
	file_write(&temp, RDS_SERVER_CONF, CONF(NEW));
	follow();
	assert_false(kept || has_new());
	assert_int_equal(rds_server_conf_follow(dir, &ring, NEW, THIRD, &kept, &err), 0);
	assert_false(kept);
	assert_file(&temp, RDS_SERVER_CONF, CONF(THIRD));
}

// A person who put the new key into a file of their own has edited it.
static void edited_with_the_new_key(void **state)
{
	(void)state;
	write_ours(CONF(OLD));
	file_write(&temp, RDS_SERVER_CONF, "# mine\n" CONF(NEW));
	follow();
	assert_false(kept || has_new());
	assert_int_equal(rds_server_conf_follow(dir, &ring, NEW, THIRD, &kept, &err), 0);
	assert_true(kept);
	assert_file(&temp, RDS_SERVER_CONF, "# mine\n" CONF(NEW));
}

// Interrupted at its first writing: the hash is noted, the file isn't there, and the next start
// writes it.
static void interrupted_when_it_was_new(void **state)
{
	(void)state;
	char *path = temp_path(&temp, RDS_SERVER_CONF);
	write_ours(CONF(OLD));
	(void)unlink(path);
	free(path);
	write_ours(CONF(OLD));
	follow();
	assert_false(kept);
	assert_file(&temp, RDS_SERVER_CONF, CONF(NEW));
}

static void what_is_no_file_is_an_error(void **state)
{
	(void)state;
	bool written = true;
	char *path = temp_path(&temp, RDS_SERVER_CONF);
	static char large[RDS_SMALL_FILE_MAX_BYTES + 2];
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_true(rds_server_conf_follow(dir, &ring, OLD, NEW, &kept, &err) < 0);
	assert_contains(err.text, RDS_SERVER_CONF);
	assert_true(rds_server_conf_write(dir, rds_view_text(CONF(NEW)), true, &written, &err) < 0);
	assert_false(written);
	assert_false(file_exists(&temp, "elsewhere"));
	(void)unlink(path);
	memset(large, 'x', sizeof large - 1);
	file_write(&temp, RDS_SERVER_CONF, large);
	assert_int_equal(rds_server_conf_follow(dir, &ring, OLD, NEW, &kept, &err), -RDS_ETOOBIG);
	assert_false(has_new());
	free(path);
}

static void writing_can_be_told_not_to_wait(void **state)
{
	(void)state;
	bool written = true;
	struct rds_datadir *other = NULL;
	assert_int_equal(rds_datadir_open(temp.path, &other, &err), 0);
	assert_int_equal(rds_datadir_begin(other, true, &err), 0);
	assert_int_equal(
	        rds_server_conf_write(dir, rds_view_text(CONF(NEW)), false, &written, &err),
	        -RDS_EBUSY);
	assert_false(written);
	rds_datadir_close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(written_where_there_is_none),
	        TEST(it_follows),
	        TEST(rest_stays_as_it_is),
	        TEST(edited_ones_are_left_alone),
	        TEST(others_are_no_business),
	        TEST(others_that_we_wrote_are_no_business_either),
	        TEST(interrupted_before_it_was_noted),
	        TEST(edited_with_the_new_key),
	        TEST(interrupted_when_it_was_new),
	        TEST(what_is_no_file_is_an_error),
	        TEST(writing_can_be_told_not_to_wait),
	};
	return cmocka_run_group_tests_name("server_conf", tests, NULL, NULL);
}
