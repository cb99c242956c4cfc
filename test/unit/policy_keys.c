// SPDX-License-Identifier: MIT
// Goal: several keys at once: lists, retired and next keys, each with its verdict and signature;
// and taking over files that change, which opens no door and takes no signature away.
#include "test/unit/testing.h"

#include "core/base64.h"
#include "keys/policy.h"
#include "keys/rotate.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOW   1800000000LL
#define GRACE 1000
#define END   (NOW + GRACE)

static const char secret[] = "wtOQthcvkjM1Ak3ymSksrOKAC+Hz57qcSbPZ35+QpKXSaIUYB3Ik5AFKAjh1utV9mlPf"
                             "qNx7+AJWqTW8W012OQ==";
static const char public[] = "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk=";
static const char other_public[] = "ioabEDv2eNdgsvfLmyt5u3yG4EGLDjLTZBfHZN6d+xQ=";

static struct temp_dir temp;
static struct rds_datadir *dir;
static struct rds_error err;
static struct rds_key_policy *policy;
static struct rds_rotated rotated;
static enum rds_key_news news;
static const struct rds_key_change change = {
        .now = NOW, .day = "20270115", .time = "now", .who = "me"};

// Long ago: a file system that counts time in ticks would else not see that it is another one.
static void made_before(const char *name, mode_t mode)
{
	char *path = temp_path(&temp, name);
	const struct timespec then[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
	assert_int_equal(chmod(path, mode), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
	free(path);
}

static int set_up(void **state)
{
	(void)state;
	temp_dir_make(&temp);
	file_write(&temp, RDS_SECRET_FILE, secret);
	file_write(&temp, RDS_PUBLIC_FILE, public);
	made_before(RDS_SECRET_FILE, 0600);
	made_before(RDS_PUBLIC_FILE, 0644);
	policy = NULL;
	log_capture(RDS_LOG_WARN);
	return sodium_init() < 0 ? -1 : rds_datadir_open(temp.path, &dir, &err);
}

static int tear_down(void **state)
{
	(void)state;
	log_release();
	rds_key_policy_free(policy);
	rds_datadir_close(dir);
	temp_dir_remove(&temp);
	return 0;
}

static int try_to_open(const char *option, enum rds_key_default otherwise, bool signs)
{
	struct rds_key_request request = {.option = option, .otherwise = otherwise, .signs = signs};
	rds_key_policy_free(policy);
	policy = NULL;
	return rds_key_policy_open(dir, &request, &policy, &err);
}

static void open_policy(const char *option)
{
	if (try_to_open(option, RDS_KEY_FILES, true) != 0)
		fail_msg("%s", err.text);
}

static void remove_file(const char *name)
{
	char *path = temp_path(&temp, name);
	assert_int_equal(unlink(path), 0);
	free(path);
}

static void rotate(void)
{
	if (rds_rotate(dir, &change, END, NULL, &rotated, &err) != 0)
		fail_msg("%s", err.text);
}

static void reload(enum rds_key_news expected)
{
	assert_true(rds_key_policy_is_stale(policy));
	if (rds_key_policy_reload(policy, &news, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(news, expected);
	assert_false(rds_key_policy_is_stale(policy));
}

static enum rds_key_verdict check(const char *text, int64_t now, uint32_t *held)
{
	return rds_key_policy_check(policy, now, rds_view_text(text), held);
}

static enum rds_key_verdict verdict(const char *text, int64_t now)
{
	uint32_t held;
	return check(text, now, &held);
}

static uint32_t handle_of(const char *text)
{
	uint32_t held = 0;
	(void)check(text, NOW, &held);
	assert_int_not_equal(held, RDS_KEY_CURRENT);
	assert_string_equal(rds_key_policy_text(policy, held), text);
	return held;
}

// What the policy signs for a client that holds the text verifies with that text.
static bool verifies(uint32_t held, const char *text)
{
	static const uint8_t bytes[] = "an IdPk";
	uint8_t key[RDS_PUBLIC_BYTES + 3];
	uint8_t signature[64] = {0};
	assert_int_equal(rds_base64_decode(text, strlen(text), key, sizeof key), RDS_PUBLIC_BYTES);
	return rds_key_policy_sign(policy, held, rds_view_of(bytes, sizeof bytes), signature) &&
	       crypto_sign_verify_detached(signature, bytes, sizeof bytes, key) == 0;
}

static void assert_signers(int64_t now, const char *const *texts, size_t n)
{
	uint32_t handles[RDS_OFFERED_KEYS];
	assert_int_equal(rds_key_policy_signers(policy, now, handles), n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(rds_key_policy_text(policy, handles[i]), texts[i]);
}

// A retired key is accepted up to its second, and what it was told is told ever after.
static void each_state_has_its_verdict(void **state)
{
	(void)state;
	uint32_t held = 77;
	rotate();
	open_policy(NULL);
	const char *new = rotated.new_text;
	assert_string_equal(rds_key_policy_enforced(policy), new);
	assert_string_equal(rds_key_policy_client_text(policy), new);
	assert_int_equal(verdict(new, END * 2), RDS_KEY_OK);
	assert_int_equal(verdict(public, NOW), RDS_KEY_OK);
	assert_int_equal(verdict(public, END - 1), RDS_KEY_OK);
	assert_int_equal(verdict(public, END), RDS_KEY_RETIRED);
	assert_int_equal(verdict(public, 0), RDS_KEY_OK); // a clock that is behind
	assert_int_equal(check(other_public, NOW, &held), RDS_KEY_WRONG);
	assert_int_equal(held, RDS_KEY_CURRENT);
	assert_int_equal(verdict("", NOW), RDS_KEY_ABSENT);
	assert_int_equal(rds_key_policy_accepted_until(policy, rds_view_text(public)), END);
	assert_int_equal(rds_key_policy_accepted_until(policy, rds_view_text(new)), 0);
	assert_int_equal(rds_key_policy_accepted_until(policy, rds_view_text(other_public)), 0);
	assert_null(rds_key_policy_text(policy, RDS_KEY_CURRENT));
	assert_null(rds_key_policy_text(policy, 9999));
	assert_true(verifies(handle_of(public), public));
	assert_true(verifies(handle_of(new), new));
	assert_true(verifies(RDS_KEY_CURRENT, new));
	assert_true(verifies(9999, new)); // one that is gone
	const char *const both[] = {new, public};
	assert_signers(END - 1, both, 2);
	assert_signers(END, both, 1);
}

static void retired_by_hand_is_refused_at_once(void **state)
{
	(void)state;
	size_t n = 0;
	struct rds_key_change far_ahead = change;
	rotate();
	open_policy(NULL);
	uint32_t held = handle_of(public);
	far_ahead.now = END + 5; // so its time is over for that clock
	assert_int_equal(rds_keys_retire(dir, &far_ahead, NULL, &n, &err), 0);
	reload(RDS_KEY_NEWS_OTHERS);
	assert_int_equal(verdict(public, NOW), RDS_KEY_RETIRED);
	assert_int_equal(handle_of(public), held);
	assert_int_equal(rds_key_policy_accepted_until(policy, rds_view_text(public)), END);
	assert_false(verifies(held, public)); // its secret is gone
	assert_true(verifies(held, rotated.new_text));
	const char *const current[] = {rotated.new_text};
	assert_signers(0, current, 1);
}

static void next_key_is_accepted_and_comes_last(void **state)
{
	(void)state;
	char next[RDS_PUBLIC_TEXT];
	rotate();
	assert_int_equal(rds_keys_make_next(dir, &change, next, &err), 0);
	open_policy(NULL);
	assert_int_equal(verdict(next, END * 2), RDS_KEY_OK);
	assert_int_equal(rds_key_policy_accepted_until(policy, rds_view_text(next)), 0);
	assert_true(verifies(handle_of(next), next));
	const char *const order[] = {rotated.new_text, public, next};
	assert_signers(NOW, order, 3);
}

// More than can be offered: the current one and those that were retired last.
static void only_so_many_are_offered(void **state)
{
	(void)state;
	char texts[RDS_OFFERED_KEYS + 3][RDS_PUBLIC_TEXT];
	const char *order[RDS_OFFERED_KEYS];
	for (size_t i = 0; i < COUNT(texts); i++) {
		rotate();
		memcpy(texts[i], rotated.new_text, sizeof texts[i]);
	}
	for (size_t i = 0; i < RDS_OFFERED_KEYS; i++)
		order[i] = texts[COUNT(texts) - 1 - i];
	open_policy(NULL);
	assert_signers(NOW, order, RDS_OFFERED_KEYS);
	assert_int_equal(verdict(public, NOW), RDS_KEY_OK); // accepted all the same
	assert_true(verifies(handle_of(public), public));
}

// Lists.

static void lists_accept_each(void **state)
{
	(void)state;
	char option[200];
	(void)snprintf(option, sizeof option, " %s ,, %s,third", other_public, public);
	open_policy(option);
	assert_string_equal(rds_key_policy_enforced(policy), other_public);
	const char *const texts[] = {other_public, public, "third"};
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(verdict(texts[i], NOW), RDS_KEY_OK);
	assert_int_equal(verdict(option, NOW), RDS_KEY_WRONG);
	assert_int_equal(verdict("", NOW), RDS_KEY_ABSENT);
	// It signs with the one that the files have, not with the first: that one's clients miss
	// it.
	assert_contains(log_captured(), "can't sign");
	assert_true(verifies(handle_of(public), public));
	assert_false(verifies(handle_of(other_public), public));
	assert_false(rds_key_policy_signs(policy));
	assert_int_equal(try_to_open(" , ,", RDS_KEY_FILES, true), -RDS_EINVAL);
}

// The files' pair, retired ones and the next one: each signs for its text.
static void lists_sign_with_every_pair_there_is(void **state)
{
	(void)state;
	char option[200];
	char next[RDS_PUBLIC_TEXT];
	rotate();
	assert_int_equal(rds_keys_make_next(dir, &change, next, &err), 0);
	(void)snprintf(option, sizeof option, "%s,%s,%s", public, rotated.new_text, next);
	open_policy(option);
	assert_string_equal(rds_key_policy_enforced(policy), public);
	const char *const texts[] = {public, rotated.new_text, next};
	for (size_t i = 0; i < COUNT(texts); i++) {
		assert_true(verifies(handle_of(texts[i]), texts[i]));
		assert_int_equal(verdict(texts[i], END * 2), RDS_KEY_OK); // as -k says
	}
	assert_string_equal(log_captured(), "");
}

// A pinned key whose pair is wiped signs no more, and that is said; other faults change nothing.
static void pinned_keys_follow_their_pairs(void **state)
{
	(void)state;
	size_t n = 0;
	open_policy(public);
	rotate();
	reload(RDS_KEY_NEWS_NONE);
	assert_true(verifies(handle_of(public), public));
	assert_int_equal(verdict(rotated.new_text, NOW), RDS_KEY_WRONG);
	file_write(&temp, RDS_KEYRING_FILE, "damaged");
	assert_int_equal(rds_key_policy_reload(policy, &news, &err), -RDS_EPARSE);
	assert_true(verifies(handle_of(public), public));
	remove_file(RDS_KEYRING_FILE);
	file_write(&temp, RDS_SECRET_FILE, secret);
	file_write(&temp, RDS_PUBLIC_FILE, public);
	rotate();
	assert_int_equal(rds_keys_retire(dir, &change, NULL, &n, &err), 0);
	log_capture(RDS_LOG_WARN);
	reload(RDS_KEY_NEWS_OTHERS);
	assert_contains(log_captured(), "can't sign");
	assert_int_equal(verdict(public, NOW), RDS_KEY_OK);
}

// Following.

static void handles_stay(void **state)
{
	(void)state;
	open_policy(NULL);
	uint32_t old = handle_of(public);
	rotate();
	reload(RDS_KEY_NEWS_CURRENT);
	char second[RDS_PUBLIC_TEXT];
	memcpy(second, rotated.new_text, sizeof second);
	uint32_t middle = handle_of(second);
	assert_int_not_equal(old, middle);
	assert_int_equal(handle_of(public), old);
	rotate();
	reload(RDS_KEY_NEWS_CURRENT);
	assert_int_equal(handle_of(public), old);
	assert_int_equal(handle_of(second), middle);
	uint32_t newest = handle_of(rotated.new_text);
	assert_true(newest != old && newest != middle);
	assert_true(verifies(old, public) && verifies(middle, second));
}

static void every_file_is_watched(void **state)
{
	(void)state;
	char next[RDS_PUBLIC_TEXT];
	open_policy(NULL);
	assert_false(rds_key_policy_is_stale(policy));
	assert_int_equal(rds_keys_make_next(dir, &change, next, &err), 0);
	reload(RDS_KEY_NEWS_OTHERS);
	assert_int_equal(verdict(next, NOW), RDS_KEY_OK);
	remove_file(RDS_PUBLIC_FILE); // the secret alone is a pair, too
	reload(RDS_KEY_NEWS_NONE);
	file_write(&temp, RDS_PUBLIC_FILE, public);
	reload(RDS_KEY_NEWS_NONE);
	file_write(&temp, "server.conf", "key=x");
	assert_false(rds_key_policy_is_stale(policy));
	rotate();
	reload(RDS_KEY_NEWS_CURRENT);
}

// Other files put in the place of ours: that is a new key without a grace.
static void swapped_files_are_taken_over(void **state)
{
	(void)state;
	struct rds_keypair *pair = NULL;
	char text[RDS_SECRET_TEXT];
	open_policy(NULL);
	assert_int_equal(rds_keypair_generate(&pair, &err), 0);
	rds_keypair_secret_text(pair, text);
	file_write(&temp, RDS_SECRET_FILE, text);
	// Half of it: the old one goes on until the other half is there, too.
	assert_int_equal(rds_key_policy_reload(policy, &news, &err), -RDS_EPARSE);
	assert_int_equal(verdict(public, NOW), RDS_KEY_OK);
	file_write(&temp, RDS_PUBLIC_FILE, rds_keypair_public_text(pair));
	reload(RDS_KEY_NEWS_CURRENT);
	assert_int_equal(verdict(rds_keypair_public_text(pair), NOW), RDS_KEY_OK);
	assert_int_equal(verdict(public, NOW), RDS_KEY_WRONG);
	rds_keypair_free(pair);
}

static void assert_goes_on(int rc)
{
	assert_int_equal(rds_key_policy_reload(policy, &news, &err), rc);
	assert_string_equal(rds_key_policy_enforced(policy), public);
	assert_int_equal(verdict(public, NOW), RDS_KEY_OK);
	assert_int_equal(verdict("", NOW), RDS_KEY_ABSENT);
	assert_true(verifies(RDS_KEY_CURRENT, public));
}

// Whatever becomes of the files, the old key goes on, and nothing is made in their place.
static void files_that_vanish_change_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *option;
		enum rds_key_default otherwise;
		bool signs;
	} roles[] = {{NULL, RDS_KEY_FILES, true},
	             {"-", RDS_KEY_FILES, false},
	             {NULL, RDS_KEY_FILES_OR_OPEN, false},
	             {public, RDS_KEY_FILES, true}};
	for (size_t i = 0; i < COUNT(roles); i++) {
		file_write(&temp, RDS_SECRET_FILE, secret);
		file_write(&temp, RDS_PUBLIC_FILE, public);
		assert_int_equal(try_to_open(roles[i].option, roles[i].otherwise, roles[i].signs),
		                 0);
		file_write(&temp, RDS_SECRET_FILE, "damaged");
		assert_goes_on(-RDS_EPARSE);
		remove_file(RDS_SECRET_FILE);
		assert_true(rds_key_policy_reload(policy, &news, &err) < 0);
		remove_file(RDS_PUBLIC_FILE);
		assert_goes_on(-RDS_ENOENT);
		assert_contains(err.text, "gone");
		assert_int_equal(files_in(&temp), 0);
	}
}

// hbbr beside a lone public file, which an administrator replaces by removing it first.
static void lone_public_file_is_followed_but_never_to_open(void **state)
{
	(void)state;
	remove_file(RDS_SECRET_FILE);
	assert_int_equal(try_to_open(NULL, RDS_KEY_FILES_OR_OPEN, false), 0);
	assert_string_equal(rds_key_policy_enforced(policy), public);
	remove_file(RDS_PUBLIC_FILE);
	assert_true(rds_key_policy_is_stale(policy));
	assert_int_equal(rds_key_policy_reload(policy, &news, &err), -RDS_ENOENT);
	assert_string_equal(rds_key_policy_enforced(policy), public);
	assert_int_equal(verdict("", NOW), RDS_KEY_ABSENT);
	file_write(&temp, RDS_PUBLIC_FILE, "nonsense");
	assert_int_equal(rds_key_policy_reload(policy, &news, &err), -RDS_EPARSE);
	file_write(&temp, RDS_PUBLIC_FILE, other_public);
	reload(RDS_KEY_NEWS_CURRENT);
	assert_string_equal(rds_key_policy_enforced(policy), other_public);
	assert_int_equal(verdict(public, NOW), RDS_KEY_WRONG);
}

static void busy_files_are_looked_at_again(void **state)
{
	(void)state;
	struct rds_datadir *other = NULL;
	assert_int_equal(rds_datadir_open(temp.path, &other, &err), 0);
	static const char *const options[] = {NULL, public, ""};
	for (size_t i = 0; i < COUNT(options); i++) {
		open_policy(options[i]);
		file_write(&temp, RDS_KEYRING_FILE,
		           i % 2 == 0 ? "{\"version\":1}" : "{\"version\": 1}");
		assert_int_equal(rds_datadir_begin(other, true, &err), 0);
		assert_int_equal(rds_key_policy_reload(policy, &news, &err), -RDS_EBUSY);
		assert_true(verifies(RDS_KEY_CURRENT, public));
		rds_datadir_end(other);
		reload(RDS_KEY_NEWS_NONE);
	}
	rds_datadir_close(other);
}

// What -k says in full needs no files, so they are not looked at.
static void given_keys_follow_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *option;
		enum rds_key_default otherwise;
		bool signs;
	} roles[] = {{secret, RDS_KEY_FILES, true},
	             {public, RDS_KEY_FILES, false},
	             {"", RDS_KEY_FILES, false}};
	for (size_t i = 0; i < COUNT(roles); i++) {
		assert_int_equal(try_to_open(roles[i].option, roles[i].otherwise, roles[i].signs),
		                 0);
		file_write(&temp, RDS_PUBLIC_FILE, i % 2 == 0 ? "changed" : "and again");
		assert_false(rds_key_policy_is_stale(policy));
	}
}

// A start in the middle of a rotation ends it, whatever -k says.
static void starts_end_a_rotation(void **state)
{
	(void)state;
	static const char *const options[] = {NULL, "-", "", other_public};
	for (size_t i = 0; i < COUNT(options); i++) {
		rotate();
		file_write(&temp, RDS_PUBLIC_FILE, rotated.old_text);
		struct rds_keyring ring;
		assert_int_equal(rds_keyring_load(dir, &ring, &err), 0);
		memcpy(ring.pending, rotated.new_text, sizeof ring.pending);
		assert_int_equal(rds_keyring_save(dir, &ring, &err), 0);
		rds_keyring_clear(&ring);
		open_policy(options[i]);
		assert_file(&temp, RDS_PUBLIC_FILE, rotated.new_text);
		assert_contains(log_captured(), "finished");
		log_capture(RDS_LOG_WARN);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(each_state_has_its_verdict),
	        TEST(retired_by_hand_is_refused_at_once),
	        TEST(next_key_is_accepted_and_comes_last),
	        TEST(only_so_many_are_offered),
	        TEST(lists_accept_each),
	        TEST(lists_sign_with_every_pair_there_is),
	        TEST(pinned_keys_follow_their_pairs),
	        TEST(handles_stay),
	        TEST(every_file_is_watched),
	        TEST(swapped_files_are_taken_over),
	        TEST(files_that_vanish_change_nothing),
	        TEST(lone_public_file_is_followed_but_never_to_open),
	        TEST(busy_files_are_looked_at_again),
	        TEST(given_keys_follow_nothing),
	        TEST(starts_end_a_rotation),
	};
	return cmocka_run_group_tests_name("policy_keys", tests, NULL, NULL);
}
