// SPDX-License-Identifier: MIT
// Goal: changes of the data directory's files: one process at a time, lines added once, what
// crashes left wiped, and nothing through links.
#include "test/unit/testing.h"

#include "keys/datadir.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct temp_dir temp;
static struct rds_datadir *dir;
static struct rds_error err;

static int set_up(void **state)
{
	(void)state;
	temp_dir_make(&temp);
	return rds_datadir_open(temp.path, &dir, &err);
}

static int tear_down(void **state)
{
	(void)state;
	rds_datadir_close(dir);
	temp_dir_remove(&temp);
	return 0;
}

static void one_at_a_time(void **state)
{
	(void)state;
	struct rds_datadir *other = NULL;
	assert_int_equal(rds_datadir_open(temp.path, &other, &err), 0);
	assert_int_equal(rds_datadir_begin(dir, true, &err), 0);
	assert_int_equal(rds_datadir_begin(other, false, &err), -RDS_EBUSY);
	assert_contains(err.text, temp.path);
	rds_datadir_end(dir);
	assert_int_equal(rds_datadir_begin(other, false, &err), 0);
	assert_int_equal(rds_datadir_begin(dir, false, &err), -RDS_EBUSY);
	rds_datadir_close(other); // which ends it, too
	assert_int_equal(rds_datadir_begin(dir, false, &err), 0);
	rds_datadir_end(dir);
}

// Another process is at work for a while: who wants to wait does, and comes right behind it.
static void waits_for_another_process(void **state)
{
	(void)state;
	int pipes[2];
	int seen[2]; // it is busy
	char byte;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(pipe(seen), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct rds_datadir *own = NULL;
		(void)close(seen[1]);
		if (rds_datadir_open(temp.path, &own, &err) != 0 ||
		    rds_datadir_begin(own, true, &err) != 0 || write(pipes[1], "x", 1) != 1 ||
		    read(seen[0], &byte, 1) != 1)
			_exit(1);
		(void)usleep(200 * 1000);
		if (rds_datadir_write(own, "done", 0600, RDS_WRITE_NEW, rds_view_text("x"), &err) !=
		    0)
			_exit(1);
		_exit(0); // without a word, as after a crash
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(rds_datadir_begin(dir, false, &err), -RDS_EBUSY);
	assert_int_equal(write(seen[1], "x", 1), 1);
	assert_int_equal(rds_datadir_begin(dir, true, &err), 0);
	assert_true(file_exists(&temp, "done"));
	rds_datadir_end(dir);
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	(void)close(seen[0]);
	(void)close(seen[1]);
}

static int append(const char *name, const char *line)
{
	return rds_datadir_append(dir, name, 0644, rds_view_text(line), &err);
}

static void lines_are_added_once(void **state)
{
	(void)state;
	mode_t before = umask(077);
	assert_int_equal(append("log", "one\n"), 0);
	(void)umask(before);
	assert_int_equal(file_mode(&temp, "log"), 0644);
	assert_int_equal(append("log", "one\n"), 0);
	assert_file(&temp, "log", "one\n");
	assert_int_equal(append("log", "two, longer\n"), 0);
	assert_int_equal(append("log", "one\n"), 0); // not the last one any more
	assert_file(&temp, "log", "one\ntwo, longer\none\n");
	file_write(&temp, "other", "e\n");
	assert_int_equal(append("other", "one\n"), 0);
	assert_file(&temp, "other", "e\none\n");
	assert_int_equal(files_in(&temp), 2);
}

static void lines_go_into_plain_files_only(void **state)
{
	(void)state;
	char *link = temp_path(&temp, "link");
	char *fifo = temp_path(&temp, "fifo");
	char *sub = temp_path(&temp, "sub");
	file_write(&temp, "victim", "mine");
	assert_int_equal(symlink("victim", link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(mkdir(sub, 0700), 0);
	static const char *const names[] = {"link", "fifo", "sub"};
	for (size_t i = 0; i < COUNT(names); i++) {
		assert_int_equal(append(names[i], "line\n"), -RDS_ESYS);
		assert_contains(err.text, names[i]);
	}
	assert_file(&temp, "victim", "mine");
	free(link);
	free(fifo);
	free(sub);
}

// The bytes are gone from the file itself, not only its name: another name of it shows that.
static void wiping_overwrites(void **state)
{
	(void)state;
	char *name = temp_path(&temp, "secret");
	char *other = temp_path(&temp, "other");
	size_t len = 0;
	char secret[1000];
	memset(secret, 's', sizeof secret);
	file_write_bytes(&temp, "secret", rds_view_of(secret, sizeof secret));
	assert_int_equal(link(name, other), 0);
	assert_int_equal(rds_datadir_wipe(dir, "secret", &err), 0);
	assert_false(file_exists(&temp, "secret"));
	char *bytes = file_read(&temp, "other", &len);
	assert_int_equal(len, sizeof secret);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], 0);
	free(bytes);
	file_write(&temp, "victim", "mine");
	assert_int_equal(symlink("victim", name), 0);
	assert_int_equal(rds_datadir_wipe(dir, "secret", &err), -RDS_ESYS);
	assert_file(&temp, "victim", "mine");
	assert_int_equal(rds_datadir_wipe(dir, "missing", &err), -RDS_ESYS);
	free(name);
	free(other);
}

static void what_crashes_left_is_wiped(void **state)
{
	(void)state;
	char temporary[RDS_TEMPORARY_NAME];
	static const char *const own[] = {".name.tmp",
	                                  ".name.x.tmp",
	                                  ".name.0123456789abcdeg.tmp",
	                                  ".name.0123456789abcdef.tmpx",
	                                  ".name.0123456789abcdef",
	                                  ".names.0123456789abcdef.tmp",
	                                  "name.0123456789abcdef.tmp"};
	for (int i = 0; i < 3; i++)
		assert_int_equal(rds_datadir_stage(dir, i == 2 ? "name.more" : "name", 0600,
		                                   rds_view_text("secret"), temporary, &err),
		                 0);
	for (size_t i = 0; i < COUNT(own); i++)
		file_write(&temp, own[i], "mine");
	rds_datadir_sweep(dir, "name");
	assert_int_equal(files_in(&temp), COUNT(own));
	for (size_t i = 0; i < COUNT(own); i++)
		assert_file(&temp, own[i], "mine");
}

static void staging_is_two_steps(void **state)
{
	(void)state;
	char temporary[RDS_TEMPORARY_NAME];
	assert_int_equal(
	        rds_datadir_stage(dir, "name", 0600, rds_view_text("new"), temporary, &err), 0);
	assert_false(file_exists(&temp, "name"));
	assert_file(&temp, temporary, "new");
	assert_int_equal(file_mode(&temp, temporary), 0600);
	file_write(&temp, "name", "old");
	assert_int_equal(rds_datadir_commit(dir, temporary, "name", RDS_WRITE_REPLACE, &err), 0);
	assert_file(&temp, "name", "new");
	assert_int_equal(
	        rds_datadir_stage(dir, "name", 0600, rds_view_text("newer"), temporary, &err), 0);
	rds_datadir_discard(dir, temporary);
	assert_file(&temp, "name", "new");
	assert_int_equal(files_in(&temp), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(one_at_a_time),        TEST(waits_for_another_process),
	        TEST(lines_are_added_once), TEST(lines_go_into_plain_files_only),
	        TEST(wiping_overwrites),    TEST(what_crashes_left_is_wiped),
	        TEST(staging_is_two_steps),
	};
	return cmocka_run_group_tests_name("datadir_change", tests, NULL, NULL);
}
