// SPDX-License-Identifier: MIT
// Goal: key files are read, compared, made once, and never overwritten.
#include "test/unit/testing.h"

#include "keys/keyfiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char secret[] = "wtOQthcvkjM1Ak3ymSksrOKAC+Hz57qcSbPZ35+QpKXSaIUYB3Ik5AFKAjh1utV9mlPf"
                             "qNx7+AJWqTW8W012OQ==";
static const char public[] = "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk=";
static const char other_public[] = "ioabEDv2eNdgsvfLmyt5u3yG4EGLDjLTZBfHZN6d+xQ=";

static struct temp_dir temp;
static struct rds_datadir *dir;

static int set_up(void **state)
{
	(void)state;
	temp_dir_make(&temp);
	return rds_datadir_open(temp.path, &dir, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	rds_datadir_close(dir);
	temp_dir_remove(&temp);
	return 0;
}

static void set_mode(const char *name, mode_t mode)
{
	char *path = temp_path(&temp, name);
	assert_int_equal(chmod(path, mode), 0);
	free(path);
}

static void write_pair(const char *secret_text, const char *public_text)
{
	file_write(&temp, RDS_SECRET_FILE, secret_text);
	set_mode(RDS_SECRET_FILE, 0600);
	if (public_text != NULL)
		file_write(&temp, RDS_PUBLIC_FILE, public_text);
}

static void known_pairs_are_loaded(void **state)
{
	(void)state;
	cJSON *file = vectors_open("keyfile.json");
	const cJSON *one = NULL;
	cJSON_ArrayForEach(one, member(file, "keys"))
	{
		struct rds_keyfiles files;
		struct rds_error err = {""};
		write_pair(member_text(one, "id_ed25519"), member_text(one, "id_ed25519.pub"));
		assert_int_equal(rds_keyfiles_load(dir, &files, &err), 0);
		assert_string_equal(rds_keypair_public_text(files.pair),
		                    member_text(one, "id_ed25519.pub"));
		assert_false(files.exposed);
		assert_false(files.public_absent);
		rds_keypair_free(files.pair);
	}
	cJSON_Delete(file);
}

static int load_or_make(struct rds_keypair **out, bool *made, struct rds_error *err)
{
	struct rds_keyfiles files;
	assert_int_equal(rds_datadir_begin(dir, true, err), 0);
	int rc = rds_keyfiles_load_or_make(dir, &files, made, err);
	rds_datadir_end(dir);
	*out = files.pair;
	return rc;
}

// A damaged file stops everything, with its name, and stays as it is.
static void check_damaged(const char *secret_text, const char *public_text, const char *named)
{
	struct rds_keyfiles files;
	struct rds_keypair *pair = NULL;
	struct rds_error err = {""};
	bool made = true;
	write_pair(secret_text, public_text);
	assert_int_equal(rds_keyfiles_load(dir, &files, &err), -RDS_EPARSE);
	assert_null(files.pair);
	assert_contains(err.text, named);
	assert_contains(err.text, temp.path);
	assert_int_equal(load_or_make(&pair, &made, &err), -RDS_EPARSE);
	assert_false(made);
	assert_int_equal(rds_keyfiles_make(dir, &pair, &err), -RDS_EEXIST);
	assert_null(pair);
	assert_file(&temp, RDS_SECRET_FILE, secret_text);
	assert_int_equal(files_in(&temp), public_text == NULL ? 1 : 2);
	if (public_text != NULL)
		assert_file(&temp, RDS_PUBLIC_FILE, public_text);
}

static void known_bad_ones_are_left_alone(void **state)
{
	(void)state;
	cJSON *file = vectors_open("keyfile.json");
	const cJSON *one = NULL;
	cJSON_ArrayForEach(one, member(file, "bad"))
	{
		check_damaged(member_text(one, "id_ed25519"), NULL, "/id_ed25519:");
	}
	cJSON_ArrayForEach(one, member(file, "bad"))
	{
		check_damaged(member_text(one, "id_ed25519"), public, "/id_ed25519:");
	}
	cJSON_Delete(file);
}

static void bad_public_files_are_left_alone(void **state)
{
	(void)state;
	check_damaged(secret, other_public, "/id_ed25519.pub:");
	check_damaged(secret, "", "/id_ed25519.pub:");
	check_damaged(secret, "garbage", "/id_ed25519.pub:");
	check_damaged(secret, secret, "/id_ed25519.pub:");
}

static void white_space_is_tolerated(void **state)
{
	(void)state;
	struct rds_keyfiles files;
	char text[128];
	(void)snprintf(text, sizeof text, "\r\n %s\r\n", secret);
	write_pair(text, "\n0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk=\n\n");
	assert_int_equal(rds_keyfiles_load(dir, &files, NULL), 0);
	rds_keypair_free(files.pair);
}

static void giant_files_are_refused(void **state)
{
	(void)state;
	static char text[5000];
	struct rds_keyfiles files;
	struct rds_error err = {""};
	memset(text, 'A', sizeof text - 1);
	write_pair(text, NULL);
	assert_true(rds_keyfiles_load(dir, &files, &err) < 0);
	assert_null(files.pair);
	assert_contains(err.text, RDS_SECRET_FILE);
}

static void absence_is_told_apart(void **state)
{
	(void)state;
	struct rds_keyfiles files;
	struct rds_keypair *pair = NULL;
	struct rds_error err = {"untouched"};
	bool made;
	assert_int_equal(rds_keyfiles_load(dir, &files, &err), -RDS_ENOENT);
	assert_string_equal(err.text, "untouched");
	assert_int_equal(files_in(&temp), 0);
	file_write(&temp, RDS_PUBLIC_FILE, public); // its other half is lost
	assert_int_equal(rds_keyfiles_load(dir, &files, &err), -RDS_EPARSE);
	assert_contains(err.text, "/id_ed25519:");
	assert_int_equal(load_or_make(&pair, &made, &err), -RDS_EPARSE);
	assert_false(file_exists(&temp, RDS_SECRET_FILE));
	assert_file(&temp, RDS_PUBLIC_FILE, public);
}

static void check_files_of(const struct rds_keypair *pair)
{
	char text[RDS_SECRET_TEXT];
	rds_keypair_secret_text(pair, text);
	assert_file(&temp, RDS_SECRET_FILE, text); // no newline
	assert_file(&temp, RDS_PUBLIC_FILE, rds_keypair_public_text(pair));
	assert_int_equal(file_mode(&temp, RDS_SECRET_FILE), 0600);
	assert_int_equal(file_mode(&temp, RDS_PUBLIC_FILE), 0644);
}

static void new_files_are_made_once(void **state)
{
	(void)state;
	struct rds_keypair *pair = NULL;
	struct rds_keypair *second = NULL;
	mode_t before = umask(077);
	assert_int_equal(rds_keyfiles_make(dir, &pair, NULL), 0);
	(void)umask(before);
	check_files_of(pair);
	assert_int_equal(files_in(&temp), 2);
	assert_int_equal(rds_keyfiles_make(dir, &second, NULL), -RDS_EEXIST);
	assert_null(second);
	check_files_of(pair);
	rds_keypair_free(pair);
}

static void loads_or_makes(void **state)
{
	(void)state;
	struct rds_keypair *first = NULL;
	struct rds_keypair *second = NULL;
	bool made = false;
	assert_int_equal(load_or_make(&first, &made, NULL), 0);
	assert_true(made);
	check_files_of(first);
	assert_int_equal(load_or_make(&second, &made, NULL), 0);
	assert_false(made);
	assert_string_equal(rds_keypair_public_text(first), rds_keypair_public_text(second));
	rds_keypair_free(first);
	rds_keypair_free(second);
}

static void missing_public_file_is_written(void **state)
{
	(void)state;
	struct rds_keyfiles files;
	struct rds_keypair *pair = NULL;
	bool made = true;
	write_pair(secret, NULL);
	assert_int_equal(rds_keyfiles_load(dir, &files, NULL), 0);
	assert_true(files.public_absent);
	assert_false(file_exists(&temp, RDS_PUBLIC_FILE)); // reading doesn't write
	rds_keypair_free(files.pair);
	assert_int_equal(load_or_make(&pair, &made, NULL), 0);
	assert_false(made);
	check_files_of(pair);
	rds_keypair_free(pair);
}

// hbbs leaves its secret for all to read: used as it is, with a warning that says the remedy.
static void exposed_secrets_are_warned_of(void **state)
{
	(void)state;
	static const struct {
		mode_t mode;
		bool exposed;
	} modes[] = {{0600, false}, {0400, false}, {0640, true}, {0604, true}, {0644, true}};
	for (size_t i = 0; i < COUNT(modes); i++) {
		struct rds_keyfiles files;
		struct rds_keypair *pair = NULL;
		bool made;
		write_pair(secret, public);
		set_mode(RDS_SECRET_FILE, modes[i].mode);
		assert_int_equal(rds_keyfiles_load(dir, &files, NULL), 0);
		assert_int_equal(files.exposed, modes[i].exposed);
		rds_keypair_free(files.pair);
		log_capture(RDS_LOG_WARN);
		assert_int_equal(load_or_make(&pair, &made, NULL), 0);
		if (modes[i].exposed) {
			assert_contains(log_captured(), "chmod 600 ");
			assert_contains(log_captured(), temp.path);
		} else {
			assert_string_equal(log_captured(), "");
		}
		log_release();
		rds_keypair_free(pair);
		set_mode(RDS_SECRET_FILE, 0600);
	}
}

// A dozen roles start at once in an empty directory: one pair, and all of them have it.
static void racing_roles_get_one_pair(void **state)
{
	(void)state;
	enum { ROLES = 12 };
	int texts[2];
	size_t makers = 0;
	assert_int_equal(pipe(texts), 0);
	for (int i = 0; i < ROLES; i++) {
		pid_t child = fork();
		assert_true(child >= 0);
		if (child != 0)
			continue;
		struct rds_keypair *pair = NULL;
		bool made = false;
		if (load_or_make(&pair, &made, NULL) != 0)
			_exit(2);
		const char *text = rds_keypair_public_text(pair);
		ssize_t n = write(texts[1], text, RDS_PUBLIC_TEXT);
		rds_keypair_free(pair);
		_exit(n != RDS_PUBLIC_TEXT ? 2 : made ? 1 : 0);
	}
	for (int i = 0; i < ROLES; i++) {
		int status = 0;
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		makers += WEXITSTATUS(status) == 1;
	}
	assert_int_equal(makers, 1);
	struct rds_keyfiles files;
	assert_int_equal(rds_keyfiles_load(dir, &files, NULL), 0);
	for (int i = 0; i < ROLES; i++) {
		char text[RDS_PUBLIC_TEXT];
		assert_int_equal(read(texts[0], text, sizeof text), sizeof text);
		assert_string_equal(text, rds_keypair_public_text(files.pair));
	}
	check_files_of(files.pair);
	rds_keypair_free(files.pair);
	(void)close(texts[0]);
	(void)close(texts[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(known_pairs_are_loaded),          TEST(known_bad_ones_are_left_alone),
	        TEST(bad_public_files_are_left_alone), TEST(white_space_is_tolerated),
	        TEST(giant_files_are_refused),         TEST(absence_is_told_apart),
	        TEST(new_files_are_made_once),         TEST(loads_or_makes),
	        TEST(missing_public_file_is_written),  TEST(exposed_secrets_are_warned_of),
	        TEST(racing_roles_get_one_pair),
	};
	return cmocka_run_group_tests_name("keyfiles", tests, NULL, NULL);
}
