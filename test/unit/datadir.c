// SPDX-License-Identifier: MIT
// Goal: files of the data directory are read and written whole, safely and nowhere else.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "keys/datadir.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct temp_dir temp;
static struct rds_datadir *dir;

static int set_up(void **state)
{
	(void)state;
	struct rds_error err = {""};
	temp_dir_make(&temp);
	return rds_datadir_open(temp.path, &dir, &err);
}

static int tear_down(void **state)
{
	(void)state;
	rds_datadir_close(dir);
	dir = NULL;
	temp_dir_remove(&temp);
	return 0;
}

static int write_text(const char *name, mode_t mode, enum rds_write_mode how, const char *text,
                      struct rds_error *err)
{
	return rds_datadir_write(dir, name, mode, how, rds_view_text(text), err);
}

static void only_directories_are_opened(void **state)
{
	(void)state;
	struct rds_datadir *none = NULL;
	struct rds_error err = {""};
	char *file = temp_path(&temp, "file");
	file_write(&temp, "file", "x");
	assert_int_equal(rds_datadir_open(file, &none, &err), -RDS_ESYS);
	assert_contains(err.text, file);
	char *missing = temp_path(&temp, "missing");
	assert_int_equal(rds_datadir_open(missing, &none, &err), -RDS_ESYS);
	assert_contains(err.text, missing);
	assert_null(none);
	assert_string_equal(rds_datadir_path(dir), temp.path);
	rds_datadir_close(NULL);
	free(file);
	free(missing);
}

static void writes_and_reads(void **state)
{
	(void)state;
	uint8_t out[16];
	size_t len = 0;
	struct stat st;
	assert_false(rds_datadir_has(dir, "name"));
	assert_int_equal(write_text("name", 0640, RDS_WRITE_NEW, "hello", NULL), 0);
	assert_true(rds_datadir_has(dir, "name"));
	assert_file(&temp, "name", "hello");
	assert_int_equal(file_mode(&temp, "name"), 0640);
	assert_int_equal(rds_datadir_read(dir, "name", out, sizeof out, &len, &st, NULL), 0);
	assert_view_text(rds_view_of(out, len), "hello");
	assert_int_equal(st.st_size, 5);
	assert_int_equal(files_in(&temp), 1); // nothing temporary is left
}

// The mode is what was asked for, whatever the umask.
static void modes_do_not_depend_on_the_umask(void **state)
{
	(void)state;
	static const mode_t masks[] = {0, 022, 077, 0777};
	for (size_t i = 0; i < COUNT(masks); i++) {
		mode_t before = umask(masks[i]);
		int rc = write_text("public", 0644, RDS_WRITE_REPLACE, "x", NULL);
		int rc2 = write_text("secret", 0600, RDS_WRITE_REPLACE, "x", NULL);
		(void)umask(before);
		assert_int_equal(rc, 0);
		assert_int_equal(rc2, 0);
		assert_int_equal(file_mode(&temp, "public"), 0644);
		assert_int_equal(file_mode(&temp, "secret"), 0600);
	}
}

static void new_never_replaces(void **state)
{
	(void)state;
	struct rds_error err = {"untouched"};
	file_write(&temp, "name", "first");
	assert_int_equal(write_text("name", 0600, RDS_WRITE_NEW, "second", &err), -RDS_EEXIST);
	assert_string_equal(err.text, "untouched");
	assert_file(&temp, "name", "first");
	assert_int_equal(files_in(&temp), 1);
	assert_int_equal(write_text("name", 0600, RDS_WRITE_REPLACE, "third", &err), 0);
	assert_file(&temp, "name", "third");
	assert_int_equal(files_in(&temp), 1);
	assert_int_equal(write_text("empty", 0600, RDS_WRITE_NEW, "", &err), 0);
	assert_file(&temp, "empty", "");
}

static void link_to(const char *target, const char *name)
{
	char *path = temp_path(&temp, name);
	assert_int_equal(symlink(target, path), 0);
	free(path);
}

// Whoever can write into the directory must not lead us elsewhere.
static void links_are_not_followed(void **state)
{
	(void)state;
	uint8_t out[16];
	size_t len = 0;
	int fd = -1;
	struct rds_error err = {""};
	file_write(&temp, "target", "precious");
	link_to("target", "link");
	link_to("nowhere", "dangling");
	assert_true(rds_datadir_has(dir, "link"));
	assert_true(rds_datadir_has(dir, "dangling"));
	assert_int_equal(rds_datadir_read(dir, "link", out, sizeof out, &len, NULL, &err),
	                 -RDS_ESYS);
	assert_contains(err.text, "symbolic link");
	assert_int_equal(rds_datadir_lock(dir, "link", &fd, &err), -RDS_ESYS);
	assert_int_equal(rds_datadir_lock(dir, "dangling", &fd, &err), -RDS_ESYS);
	assert_int_equal(write_text("link", 0600, RDS_WRITE_NEW, "evil", &err), -RDS_EEXIST);
	assert_int_equal(write_text("dangling", 0600, RDS_WRITE_NEW, "evil", &err), -RDS_EEXIST);
	assert_int_equal(write_text("link", 0600, RDS_WRITE_REPLACE, "new", &err), 0);
	assert_file(&temp, "target", "precious");
	assert_file(&temp, "link", "new"); // no link any more
	assert_false(file_exists(&temp, "nowhere"));
}

static void only_plain_files_are_read(void **state)
{
	(void)state;
	uint8_t out[16];
	size_t len = 0;
	struct rds_error err = {"untouched"};
	char *fifo = temp_path(&temp, "fifo");
	char *sub = temp_path(&temp, "sub");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(rds_datadir_read(dir, "missing", out, sizeof out, &len, NULL, &err),
	                 -RDS_ENOENT);
	assert_string_equal(err.text, "untouched");
	assert_int_equal(rds_datadir_read(dir, "fifo", out, sizeof out, &len, NULL, &err),
	                 -RDS_ESYS);
	assert_contains(err.text, "fifo");
	assert_int_equal(rds_datadir_read(dir, "sub", out, sizeof out, &len, NULL, &err),
	                 -RDS_ESYS);
	assert_contains(err.text, "sub");
	free(fifo);
	free(sub);
}

static void too_long_files_are_not_cut(void **state)
{
	(void)state;
	uint8_t out[6] = {0, 0, 0, 0, 0, 0xa5};
	size_t len = 0;
	struct rds_error err = {""};
	file_write(&temp, "fits", "12345");
	file_write(&temp, "over", "123456");
	assert_int_equal(rds_datadir_read(dir, "fits", out, 5, &len, NULL, &err), 0);
	assert_view_text(rds_view_of(out, len), "12345");
	assert_int_equal(rds_datadir_read(dir, "over", out, 5, &len, NULL, &err), -RDS_ETOOBIG);
	assert_contains(err.text, "over");
	assert_int_equal(out[5], 0xa5);
}

// A name for other programs, whatever the working directory and however long the path.
static void references_name_the_file(void **state)
{
	(void)state;
	char ref[RDS_DATADIR_REF];
	rds_datadir_ref(dir, "id.sock", ref);
	file_write(&temp, "id.sock", "here");
	int fd = open(ref, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	char text[5] = "";
	assert_int_equal(read(fd, text, 4), 4);
	assert_string_equal(text, "here");
	(void)close(fd);
}

static void lock_is_exclusive_and_names_its_holder(void **state)
{
	(void)state;
	int first = -1;
	int second = -1;
	char pid[32];
	char line[32];
	struct rds_error err = {""};
	(void)snprintf(pid, sizeof pid, "process %d,", (int)getpid());
	(void)snprintf(line, sizeof line, "%d\n", (int)getpid());
	file_write(&temp, "role.lock", "a very old process that died long ago");
	assert_int_equal(rds_datadir_lock(dir, "role.lock", &first, &err), 0);
	assert_file(&temp, "role.lock", line);
	assert_int_equal(rds_datadir_lock(dir, "role.lock", &second, &err), -RDS_EBUSY);
	assert_int_equal(second, -1);
	assert_contains(err.text, pid);
	assert_int_equal(rds_datadir_lock(dir, "other.lock", &second, &err), 0);
	assert_int_equal(file_mode(&temp, "other.lock"), 0600);
	(void)close(second);
	(void)close(first);
	assert_int_equal(rds_datadir_lock(dir, "role.lock", &first, &err), 0);
	(void)close(first);
}

// It ends with its process, however that ends.
static void lock_ends_with_its_process(void **state)
{
	(void)state;
	int fd = -1;
	int ready[2];
	char byte = 0;
	assert_int_equal(pipe(ready), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int rc = rds_datadir_lock(dir, "role.lock", &fd, NULL);
		byte = rc == 0 ? 'y' : 'n';
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(rds_datadir_lock(dir, "role.lock", &fd, NULL), -RDS_EBUSY);
	(void)kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(rds_datadir_lock(dir, "role.lock", &fd, NULL), 0);
	(void)close(fd);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

// Of several that write a new file at once, one wins, and what is there is whole.
static void one_of_many_writers_wins(void **state)
{
	(void)state;
	enum { WRITERS = 12, SIZE = 20000 };
	char *text = rds_calloc(SIZE + 1, 1);
	size_t winners = 0;
	for (int i = 0; i < WRITERS; i++) {
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			memset(text, 'a' + i, SIZE);
			int rc = write_text("name", 0600, RDS_WRITE_NEW, text, NULL);
			_exit(rc == 0 ? 0 : rc == -RDS_EEXIST ? 1 : 2);
		}
	}
	for (int i = 0; i < WRITERS; i++) {
		int status = 0;
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		winners += WEXITSTATUS(status) == 0;
	}
	assert_int_equal(winners, 1);
	char *got = file_read(&temp, "name", NULL);
	memset(text, got[0], SIZE);
	assert_string_equal(got, text);
	assert_int_equal(files_in(&temp), 1);
	free(got);
	free(text);
}

// Made by root in somebody's directory, a file is that somebody's.
static void files_belong_to_the_directory_s_owner(void **state)
{
	(void)state;
	struct rds_datadir *theirs = NULL;
	struct stat st;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(temp.path, 4711, 4712), 0);
	assert_int_equal(rds_datadir_open(temp.path, &theirs, NULL), 0);
	assert_int_equal(
	        rds_datadir_write(theirs, "name", 0600, RDS_WRITE_NEW, rds_view_text("x"), NULL),
	        0);
	rds_datadir_close(theirs);
	char *path = temp_path(&temp, "name");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 4711);
	assert_int_equal(st.st_gid, 4712);
	free(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(only_directories_are_opened),
	        TEST(writes_and_reads),
	        TEST(modes_do_not_depend_on_the_umask),
	        TEST(new_never_replaces),
	        TEST(links_are_not_followed),
	        TEST(only_plain_files_are_read),
	        TEST(too_long_files_are_not_cut),
	        TEST(references_name_the_file),
	        TEST(lock_is_exclusive_and_names_its_holder),
	        TEST(lock_ends_with_its_process),
	        TEST(one_of_many_writers_wins),
	        TEST(files_belong_to_the_directory_s_owner),
	};
	return cmocka_run_group_tests_name("datadir", tests, NULL, NULL);
}
