// SPDX-License-Identifier: MIT
// Goal: backups of pairs are found, shown and purged by their names, and nothing else is.
#include "test/unit/testing.h"

#include "keys/backups.h"
#include "keys/keyfiles.h"

#include <stdlib.h>
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

static const char *const ours[] = {
        "id_ed25519.bak.20260131",       "id_ed25519.pub.bak.20260131",
        "id_ed25519.bak.20260131.1",     "id_ed25519.pub.bak.20260131.1",
        "id_ed25519.bak.20260201",       "id_ed25519.pub.bak.20260201",
        "id_ed25519.bak.20261231.10",    "id_ed25519.pub.bak.20270101.99999",
};

static const char *const others[] = {
        "id_ed25519",
        "id_ed25519.pub",
        "id_ed25519.bak",
        "id_ed25519.bak.",
        "id_ed25519.bak.2026013",
        "id_ed25519.bak.202601311",
        "id_ed25519.bak.20260131.",
        "id_ed25519.bak.20260131.x",
        "id_ed25519.bak.20260131.1.2",
        "id_ed25519.bak.20260131.tar",
        "id_ed25519.bak.20260131-mine",
        "id_ed25519.bak.20260131 ",
        "id_ed25519.baks.20260131",
        "id_ed25519.old.20260131",
        "my.id_ed25519.bak.20260131",
        "id_ed25519.bak.20260131.1111111111111111111111111111111111111111111111111111111",
};

static void make_all(void)
{
	for (size_t i = 0; i < COUNT(ours); i++)
		file_write(&temp, ours[i], "secret");
	for (size_t i = 0; i < COUNT(others); i++)
		file_write(&temp, others[i], "mine");
}

static void assert_others_are_there(void)
{
	for (size_t i = 0; i < COUNT(others); i++)
		assert_file(&temp, others[i], "mine");
}

static void purged_by_age(void **state)
{
	(void)state;
	static const struct {
		const char *before;
		size_t n;
	} cases[] = {{"20260131", 0}, {"20260201", 4}, {"20270101", 3}, {"20270102", 1}};
	size_t left = COUNT(ours) + COUNT(others);
	make_all();
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t n = 77;
		assert_int_equal(rds_backups_purge(dir, cases[i].before, &n, &err), 0);
		assert_int_equal(n, cases[i].n);
		left -= n;
		assert_int_equal(files_in(&temp), left);
	}
	assert_others_are_there();
}

static void purged_all(void **state)
{
	(void)state;
	size_t n = 0;
	make_all();
	assert_int_equal(rds_backups_purge(dir, NULL, &n, &err), 0);
	assert_int_equal(n, COUNT(ours));
	assert_others_are_there();
	assert_int_equal(files_in(&temp), COUNT(others));
	assert_int_equal(rds_backups_purge(dir, NULL, &n, &err), 0);
	assert_int_equal(n, 0);
}

// What a link leads to is not ours to overwrite.
static void links_stop_it(void **state)
{
	(void)state;
	size_t n = 0;
	char *link = temp_path(&temp, ours[0]);
	file_write(&temp, "victim", "mine");
	assert_int_equal(symlink("victim", link), 0);
	assert_int_equal(rds_backups_purge(dir, NULL, &n, &err), -RDS_ESYS);
	assert_contains(err.text, ours[0]);
	assert_file(&temp, "victim", "mine");
	free(link);
}

struct seen {
	size_t n;
	size_t secrets;
};

static void see(void *ctx, const char *name)
{
	struct seen *seen = ctx;
	char public[RDS_BACKUP_NAME];
	seen->n++;
	seen->secrets += rds_backups_is_secret(name, public);
}

static void each_is_shown(void **state)
{
	(void)state;
	struct seen seen = {0};
	char public[RDS_BACKUP_NAME];
	make_all();
	rds_backups_each(dir, see, &seen);
	assert_int_equal(seen.n, COUNT(ours));
	assert_int_equal(seen.secrets, COUNT(ours) / 2);
	for (size_t i = 0; i < COUNT(others); i++)
		assert_false(rds_backups_is_secret(others[i], public));
	assert_true(rds_backups_is_secret(ours[2], public));
	assert_string_equal(public, ours[3]);
}

static void made_and_dropped(void **state)
{
	(void)state;
	struct rds_keypair *pair = NULL;
	char name[RDS_BACKUP_NAME];
	char secret[RDS_SECRET_TEXT];
	assert_int_equal(rds_keypair_generate(&pair, &err), 0);
	rds_keypair_secret_text(pair, secret);
	for (size_t i = 0; i < 4; i += 2) {
		assert_int_equal(rds_backups_make(dir, "20260131", pair, name, &err), 0);
		assert_string_equal(name, ours[i]);
		assert_file(&temp, ours[i], secret);
		assert_file(&temp, ours[i + 1], rds_keypair_public_text(pair));
	}
	rds_backups_drop(dir, name);
	assert_int_equal(files_in(&temp), 2);
	rds_backups_drop(dir, name);
	rds_backups_drop(dir, "");
	assert_file(&temp, ours[0], secret);
	rds_keypair_free(pair);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(purged_by_age), TEST(purged_all),       TEST(links_stop_it),
	        TEST(each_is_shown), TEST(made_and_dropped),
	};
	return cmocka_run_group_tests_name("backups", tests, NULL, NULL);
}
