// SPDX-License-Identifier: MIT
// Goal: -k in all its forms (protocol.md section 12): who must show what, and who signs.
#include "test/unit/testing.h"

#include "keys/keyfiles.h"
#include "keys/policy.h"

#include <stdio.h>

static const char secret[] = "wtOQthcvkjM1Ak3ymSksrOKAC+Hz57qcSbPZ35+QpKXSaIUYB3Ik5AFKAjh1utV9mlPf"
                             "qNx7+AJWqTW8W012OQ==";
static const char public[] = "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk=";
static const char other_public[] = "ioabEDv2eNdgsvfLmyt5u3yG4EGLDjLTZBfHZN6d+xQ=";

#define NOW 1800000000 // 2027

static struct temp_dir temp;
static struct rds_datadir *dir;

static int set_up(void **state)
{
	(void)state;
	temp_dir_make(&temp);
	log_capture(RDS_LOG_WARN);
	return rds_datadir_open(temp.path, &dir, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	log_release();
	rds_datadir_close(dir);
	temp_dir_remove(&temp);
	return 0;
}

static struct rds_key_policy *open_policy(const char *option, enum rds_key_default otherwise,
                                          bool signs)
{
	struct rds_key_request request = {.option = option, .otherwise = otherwise, .signs = signs};
	struct rds_key_policy *policy = NULL;
	struct rds_error err = {""};
	if (rds_key_policy_open(dir, &request, &policy, &err) != 0)
		fail_msg("%s", err.text);
	return policy;
}

static enum rds_key_verdict check(const struct rds_key_policy *policy, const char *text)
{
	uint32_t held;
	return rds_key_policy_check(policy, NOW, rds_view_text(text), &held);
}

static enum rds_key_verdict check_hook(void *ctx, struct rds_view licence_key,
                                       const struct rds_addr *from, uint32_t *held)
{
	assert_non_null(from);
	return rds_key_policy_check(ctx, NOW, licence_key, held);
}

static void refused_hook(void *ctx, enum rds_key_verdict verdict, struct rds_view licence_key,
                         struct rds_view id, const struct rds_addr *from)
{
	(void)ctx;
	(void)verdict;
	(void)licence_key;
	(void)id;
	(void)from;
}

// As the doors check a key: white space around it is forgiven.
static enum rds_key_verdict judge(struct rds_key_policy *policy, const char *text)
{
	struct rds_key_hooks hooks = {.ctx = policy, .check = check_hook, .refused = refused_hook};
	struct rds_addr from = {0};
	uint32_t held;
	return rds_key_judge(&hooks, rds_view_text(text), rds_view_text("an-id"), &from, &held);
}

// The public text must be shown, and nothing else will do.
static void assert_enforces(struct rds_key_policy *policy, const char *text)
{
	char longer[128];
	(void)snprintf(longer, sizeof longer, "%s=", text);
	assert_string_equal(rds_key_policy_enforced(policy), text);
	assert_string_equal(rds_key_policy_client_text(policy), text);
	assert_int_equal(check(policy, text), RDS_KEY_OK);
	assert_int_equal(check(policy, ""), RDS_KEY_ABSENT);
	assert_int_equal(check(policy, "wrong"), RDS_KEY_WRONG);
	assert_int_equal(check(policy, longer), RDS_KEY_WRONG);
	(void)snprintf(longer, sizeof longer, "%.*s", (int)strlen(text) - 1, text);
	assert_int_equal(check(policy, longer), RDS_KEY_WRONG);
	(void)snprintf(longer, sizeof longer, " %s\n", text);
	assert_int_equal(judge(policy, longer), RDS_KEY_OK);
	assert_int_equal(judge(policy, " \n"), RDS_KEY_ABSENT);
}

static void assert_open(const struct rds_key_policy *policy)
{
	assert_null(rds_key_policy_enforced(policy));
	assert_int_equal(check(policy, ""), RDS_KEY_OK);
	assert_int_equal(check(policy, "anything"), RDS_KEY_OK);
	assert_contains(log_captured(), "no key is enforced");
}

static void assert_signs(const struct rds_key_policy *policy, bool signs)
{
	uint8_t signature[64] = {0};
	static const uint8_t zeros[64];
	assert_int_equal(rds_key_policy_signs(policy), signs);
	assert_int_equal(rds_key_policy_sign(policy, RDS_KEY_CURRENT, rds_view_text("bytes"),
	                                     signature),
	                 signs);
	assert_int_equal(memcmp(signature, zeros, 64) != 0, signs);
}

// Nothing, - and _: the key files, made where they aren't there.
static void files_are_made_and_enforced(void **state)
{
	(void)state;
	static const char *const options[] = {NULL, "-", "_"};
	char text[RDS_PUBLIC_TEXT];
	for (size_t i = 0; i < COUNT(options); i++) {
		struct rds_key_policy *policy = open_policy(options[i], RDS_KEY_FILES, true);
		assert_int_equal(rds_key_policy_made(policy), i == 0);
		if (i == 0)
			(void)snprintf(text, sizeof text, "%s", rds_key_policy_enforced(policy));
		assert_enforces(policy, text);
		assert_signs(policy, true);
		rds_key_policy_free(policy);
	}
	assert_int_equal(files_in(&temp), 2);
	assert_file(&temp, RDS_PUBLIC_FILE, text);
	assert_string_equal(log_captured(), "");
	rds_key_policy_free(NULL);
}

// A relay called as hbbr, without -k: open without key files, and it makes none ...
static void hbbr_without_files_is_open(void **state)
{
	(void)state;
	struct rds_key_policy *policy = open_policy(NULL, RDS_KEY_FILES_OR_OPEN, false);
	assert_open(policy);
	assert_signs(policy, false);
	assert_null(rds_key_policy_client_text(policy));
	assert_false(rds_key_policy_made(policy));
	assert_int_equal(files_in(&temp), 0);
	rds_key_policy_free(policy);
}

// ... with them it enforces them, and with - it makes them.
static void hbbr_with_files_enforces_them(void **state)
{
	(void)state;
	file_write(&temp, RDS_SECRET_FILE, secret);
	file_write(&temp, RDS_PUBLIC_FILE, public);
	struct rds_key_policy *policy = open_policy(NULL, RDS_KEY_FILES_OR_OPEN, false);
	assert_enforces(policy, public);
	rds_key_policy_free(policy);
}

static void hbbr_with_a_dash_makes_them(void **state)
{
	(void)state;
	struct rds_key_policy *policy = open_policy("-", RDS_KEY_FILES_OR_OPEN, false);
	assert_true(rds_key_policy_made(policy));
	assert_non_null(rds_key_policy_enforced(policy));
	assert_int_equal(files_in(&temp), 2);
	rds_key_policy_free(policy);
}

// Beside a lone public file, as people copy it to a relay's host, hbbr enforces that.
static void hbbr_enforces_a_lone_public_file(void **state)
{
	(void)state;
	struct rds_key_request request = {.otherwise = RDS_KEY_FILES_OR_OPEN};
	struct rds_key_policy *policy = NULL;
	struct rds_error err = {""};
	file_write(&temp, RDS_PUBLIC_FILE, public);
	assert_int_equal(rds_key_policy_open(dir, &request, &policy, &err), 0);
	assert_string_equal(rds_key_policy_enforced(policy), public);
	rds_key_policy_free(policy);
	file_write(&temp, RDS_PUBLIC_FILE, "nonsense");
	assert_int_equal(rds_key_policy_open(dir, &request, &policy, &err), -RDS_EPARSE);
	assert_contains(err.text, RDS_PUBLIC_FILE);
}

// Empty: nothing is enforced; the ID server signs all the same, the relay needs no files.
static void empty_is_open(void **state)
{
	(void)state;
	struct rds_key_policy *relay = open_policy("", RDS_KEY_FILES, false);
	assert_open(relay);
	assert_signs(relay, false);
	assert_int_equal(files_in(&temp), 0);
	rds_key_policy_free(relay);
	struct rds_key_policy *id = open_policy("", RDS_KEY_FILES, true);
	assert_open(id);
	assert_signs(id, true);
	assert_true(rds_key_policy_made(id));
	assert_file(&temp, RDS_PUBLIC_FILE, rds_key_policy_client_text(id));
	rds_key_policy_free(id);
}

// A secret: that pair is used, nothing is read or written.
static void given_secret_is_used(void **state)
{
	(void)state;
	struct rds_key_policy *policy = open_policy(secret, RDS_KEY_FILES, true);
	assert_enforces(policy, public);
	assert_signs(policy, true);
	assert_false(rds_key_policy_made(policy));
	assert_int_equal(files_in(&temp), 0);
	rds_key_policy_free(policy);
}

static void damaged_secret_is_refused(void **state)
{
	(void)state;
	char text[sizeof secret];
	struct rds_key_request request = {.option = text, .signs = true};
	struct rds_key_policy *policy = NULL;
	struct rds_error err = {""};
	memcpy(text, secret, sizeof secret);
	text[60] = text[60] == 'A' ? 'B' : 'A';
	assert_true(rds_key_policy_open(dir, &request, &policy, &err) < 0);
	assert_null(policy);
	assert_null(strstr(err.text, text)); // it is a secret, after all
	assert_int_equal(files_in(&temp), 0);
}

// A text: enforced as it is. With the files that it belongs to, the ID server signs.
static void given_public_key_of_the_files_signs(void **state)
{
	(void)state;
	file_write(&temp, RDS_SECRET_FILE, secret);
	file_write(&temp, RDS_PUBLIC_FILE, public);
	struct rds_key_policy *policy = open_policy(public, RDS_KEY_FILES, true);
	assert_enforces(policy, public);
	assert_signs(policy, true);
	rds_key_policy_free(policy);
	assert_null(strstr(log_captured(), "can't sign"));
}

static void assert_can_not_sign(const char *option)
{
	struct rds_key_policy *policy = open_policy(option, RDS_KEY_FILES, true);
	assert_enforces(policy, option);
	assert_signs(policy, false);
	rds_key_policy_free(policy);
	assert_contains(log_captured(), "can't sign");
	log_capture(RDS_LOG_WARN);
}

// Otherwise it can't, and says so.
static void other_texts_do_not_sign(void **state)
{
	(void)state;
	assert_can_not_sign(public);
	assert_can_not_sign("a password");
	assert_int_equal(files_in(&temp), 0);
	file_write(&temp, RDS_SECRET_FILE, secret);
	file_write(&temp, RDS_PUBLIC_FILE, public);
	assert_can_not_sign(other_public);
	assert_can_not_sign("a password");
	file_write(&temp, RDS_SECRET_FILE, "damaged");
	assert_can_not_sign(public);
	assert_file(&temp, RDS_SECRET_FILE, "damaged");
}

static void relay_with_a_public_key_needs_no_files(void **state)
{
	(void)state;
	struct rds_key_policy *policy = open_policy(public, RDS_KEY_FILES, false);
	assert_enforces(policy, public);
	rds_key_policy_free(policy);
	assert_string_equal(log_captured(), "");
	assert_int_equal(files_in(&temp), 0);
}

static void damaged_files_stop(void **state)
{
	(void)state;
	static const char *const options[] = {NULL, "-", "_", ""};
	file_write(&temp, RDS_SECRET_FILE, "damaged");
	for (size_t i = 0; i < COUNT(options); i++) {
		struct rds_key_request request = {.option = options[i], .signs = true};
		struct rds_key_policy *policy = NULL;
		struct rds_error err = {""};
		assert_int_equal(rds_key_policy_open(dir, &request, &policy, &err), -RDS_EPARSE);
		assert_contains(err.text, RDS_SECRET_FILE);
	}
	assert_file(&temp, RDS_SECRET_FILE, "damaged");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(files_are_made_and_enforced),
	        TEST(hbbr_without_files_is_open),
	        TEST(hbbr_with_files_enforces_them),
	        TEST(hbbr_with_a_dash_makes_them),
	        TEST(hbbr_enforces_a_lone_public_file),
	        TEST(empty_is_open),
	        TEST(given_secret_is_used),
	        TEST(damaged_secret_is_refused),
	        TEST(given_public_key_of_the_files_signs),
	        TEST(other_texts_do_not_sign),
	        TEST(relay_with_a_public_key_needs_no_files),
	        TEST(damaged_files_stop),
	};
	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
