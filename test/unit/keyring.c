// SPDX-License-Identifier: MIT
// Goal: keyring.json keeps what it is given, is refused whole where it is damaged or newer, and
// forgets only for want of room.
#include "test/unit/testing.h"

#include "keys/keyring.h"

#include <stdio.h>
#include <stdlib.h>

static struct temp_dir temp;
static struct rds_datadir *dir;
static struct rds_keyring ring;
static struct rds_error err;

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

static struct rds_keypair *new_pair(void)
{
	struct rds_keypair *pair = NULL;
	assert_int_equal(rds_keypair_generate(&pair, &err), 0);
	return pair;
}

static const char *secret_of(const struct rds_keypair *pair)
{
	static char text[RDS_SECRET_TEXT];
	rds_keypair_secret_text(pair, text);
	return text;
}

static void assert_same_pair(const struct rds_keypair *a, const struct rds_keypair *b)
{
	char text[RDS_SECRET_TEXT];
	assert_int_equal(a == NULL, b == NULL);
	if (a == NULL)
		return;
	rds_keypair_secret_text(a, text);
	assert_string_equal(secret_of(b), text);
}

static void assert_same_ring(const struct rds_keyring *a, const struct rds_keyring *b)
{
	assert_int_equal(a->n_retired, b->n_retired);
	for (size_t i = 0; i < a->n_retired; i++) {
		const struct rds_retired_key *x = &a->retired[i];
		const struct rds_retired_key *y = &b->retired[i];
		assert_string_equal(x->public_text, y->public_text);
		assert_same_pair(x->pair, y->pair);
		assert_true(x->since == y->since && x->retired == y->retired &&
		            x->accepted_until == y->accepted_until);
	}
	assert_same_pair(a->next, b->next);
	assert_true(a->next_since == b->next_since && a->current_since == b->current_since);
	assert_string_equal(a->pending, b->pending);
	assert_string_equal(a->pending_by, b->pending_by);
	assert_string_equal(a->server_conf_sha256, b->server_conf_sha256);
}

static void save_and_compare(void)
{
	struct rds_keyring again;
	assert_int_equal(rds_keyring_save(dir, &ring, &err), 0);
	assert_int_equal(file_mode(&temp, RDS_KEYRING_FILE), 0600);
	assert_int_equal(rds_keyring_load(dir, &again, &err), 0);
	assert_same_ring(&ring, &again);
	rds_keyring_clear(&again);
}

static void none_is_an_empty_one(void **state)
{
	(void)state;
	struct rds_keyring again;
	assert_int_equal(rds_keyring_load(dir, &again, &err), 0);
	assert_same_ring(&ring, &again);
	assert_int_equal(files_in(&temp), 0);
	save_and_compare();
}

static void everything_comes_back(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		rds_keyring_retire(&ring, new_pair(), 1000 + i, 2000 + i, 4000000000LL + i);
	rds_keypair_free(ring.retired[1].pair); // retired by hand
	ring.retired[1].pair = NULL;
	ring.retired[1].accepted_until = 0;
	ring.retired[2].since = 0;
	save_and_compare();
	ring.next = new_pair();
	ring.next_since = 1700000000;
	ring.current_since = 1600000000;
	struct rds_keypair *pending = new_pair();
	memcpy(ring.pending, rds_keypair_public_text(pending), sizeof ring.pending);
	rds_keypair_free(pending);
	memcpy(ring.pending_by, "2026-01-31T10:00:00+0100 \"a\\b\"(uid 0)", 38);
	rds_sha256_hex(rds_view_text("text"), ring.server_conf_sha256);
	save_and_compare();
	assert_int_equal(files_in(&temp), 1);
}

// 32 of them, and the first one makes room for the next.
static void so_many_are_remembered(void **state)
{
	(void)state;
	char first[RDS_PUBLIC_TEXT];
	char second[RDS_PUBLIC_TEXT];
	for (int i = 0; i < RDS_RETIRED_KEYS; i++)
		rds_keyring_retire(&ring, new_pair(), i, i + 1, 4000000000LL);
	memcpy(first, ring.retired[0].public_text, sizeof first);
	memcpy(second, ring.retired[1].public_text, sizeof second);
	save_and_compare();
	assert_non_null(rds_keyring_find(&ring, rds_view_text(first)));
	rds_keyring_retire(&ring, new_pair(), 1, 2, 3);
	assert_int_equal(ring.n_retired, RDS_RETIRED_KEYS);
	assert_null(rds_keyring_find(&ring, rds_view_text(first)));
	assert_string_equal(ring.retired[0].public_text, second);
	assert_int_equal(ring.retired[RDS_RETIRED_KEYS - 1].retired, 2);
	save_and_compare();
}

// One that was retired before is retired anew, as the last one.
static void retired_twice_is_there_once(void **state)
{
	(void)state;
	struct rds_keypair *again = NULL;
	rds_keyring_retire(&ring, new_pair(), 1, 2, 3);
	rds_keyring_retire(&ring, new_pair(), 2, 3, 4);
	const char *text = secret_of(ring.retired[0].pair);
	assert_int_equal(rds_keypair_parse(rds_view_text(text), &again, &err), 0);
	rds_keyring_retire(&ring, again, 7, 8, 9);
	assert_int_equal(ring.n_retired, 2);
	assert_string_equal(ring.retired[1].public_text, rds_keypair_public_text(again));
	assert_int_equal(ring.retired[1].accepted_until, 9);
	rds_keyring_drop(&ring, &ring.retired[0]);
	assert_int_equal(ring.n_retired, 1);
	assert_ptr_equal(ring.retired[0].pair, again);
	assert_null(rds_keyring_find(&ring, rds_view_text("")));
}

static void grace_ends_at_its_second_or_by_hand(void **state)
{
	(void)state;
	rds_keyring_retire(&ring, new_pair(), 1, 1000, 2000);
	struct rds_retired_key *key = &ring.retired[0];
	assert_true(rds_keyring_accepts(key, 0)); // a clock that is behind accepts it
	assert_true(rds_keyring_accepts(key, 1999));
	assert_false(rds_keyring_accepts(key, 2000));
	assert_true(rds_keyring_accepts(key, 1999)); // and that was no decision for good
	rds_keypair_free(key->pair);
	key->pair = NULL;
	assert_false(rds_keyring_accepts(key, 0));
}

#define KEY   "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk="
#define OTHER "ioabEDv2eNdgsvfLmyt5u3yG4EGLDjLTZBfHZN6d+xQ="
#define SECRET                                                                                 \
	"wtOQthcvkjM1Ak3ymSksrOKAC+Hz57qcSbPZ35+QpKXSaIUYB3Ik5AFKAjh1utV9mlPfqNx7+AJWqTW8W012" \
	"OQ=="

static const char *const damaged[] = {
        "",
        "{",
        "[]",
        "null",
        "\"text\"",
        "{}",
        "{\"version\":0}",
        "{\"version\":\"1\"}",
        "{\"version\":-1}",
        "{\"version\":1,\"retired\":{}}",
        "{\"version\":1,\"retired\":[7]}",
        "{\"version\":1,\"retired\":[{}]}",
        "{\"version\":1,\"retired\":[{\"public\":\"\"}]}",
        "{\"version\":1,\"retired\":[{\"public\":7}]}",
        "{\"version\":1,\"retired\":[{\"public\":\"short\"}]}",
        "{\"version\":1,\"retired\":[{\"public\":\"" KEY KEY "\"}]}",
        "{\"version\":1,\"retired\":[{\"public\":\"" KEY "\",\"secret\":7}]}",
        "{\"version\":1,\"retired\":[{\"public\":\"" KEY "\",\"secret\":\"\"}]}",
        "{\"version\":1,\"retired\":[{\"public\":\"" KEY "\",\"secret\":\"" KEY "\"}]}",
        "{\"version\":1,\"retired\":[{\"public\":\"" OTHER "\",\"secret\":\"" SECRET "\"}]}",
        "{\"version\":1,\"retired\":[{\"public\":\"" KEY "\",\"accepted_until\":-1}]}",
        "{\"version\":1,\"retired\":[{\"public\":\"" KEY "\",\"accepted_until\":1e300}]}",
        "{\"version\":1,\"retired\":[{\"public\":\"" KEY "\",\"since\":\"yesterday\"}]}",
        "{\"version\":1,\"next\":{}}",
        "{\"version\":1,\"next\":7}",
        "{\"version\":1,\"next\":{\"secret\":\"damaged\"}}",
        "{\"version\":1,\"next\":{\"secret\":\"" SECRET "\",\"since\":[]}}",
        "{\"version\":1,\"current_since\":true}",
        "{\"version\":1,\"pending\":\"no key\"}",
        "{\"version\":1,\"pending\":7}",
        "{\"version\":1,\"pending_by\":7}",
        "{\"version\":1,\"server_conf_sha256\":[]}",
        ("{\"version\":1,\"server_conf_sha256\":\"0123456789012345678901234567890123456789"
        "0123456789012345678901234567890123456789\"}"),
        "{\"version\":1}{",
};

static void damaged_ones_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(damaged); i++) {
		struct rds_keyring again;
		file_write(&temp, RDS_KEYRING_FILE, damaged[i]);
		int rc = rds_keyring_load(dir, &again, &err);
		rds_keyring_clear(&again);
		if (rc != -RDS_EPARSE)
			fail_msg("%s: %d", damaged[i], rc);
		assert_contains(err.text, temp.path);
		assert_contains(err.text, "/" RDS_KEYRING_FILE ": ");
		assert_null(strstr(err.text, "wtOQthcvkjM1Ak3ymSksrOKAC"));
		assert_file(&temp, RDS_KEYRING_FILE, damaged[i]);
	}
}

static void too_many_and_too_much_are_refused(void **state)
{
	(void)state;
	static char text[80 * 1024];
	struct rds_keyring again;
	size_t len = (size_t)snprintf(text, sizeof text, "{\"version\":1,\"retired\":[");
	for (int i = 0; i <= RDS_RETIRED_KEYS; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%s{\"public\":\"%s\"}",
		                        i == 0 ? "" : ",", KEY);
	(void)snprintf(text + len, sizeof text - len, "]}");
	file_write(&temp, RDS_KEYRING_FILE, text);
	assert_int_equal(rds_keyring_load(dir, &again, &err), -RDS_EPARSE);
	rds_keyring_clear(&again);
	memset(text, ' ', sizeof text - 1);
	file_write(&temp, RDS_KEYRING_FILE, text);
	assert_int_equal(rds_keyring_load(dir, &again, &err), -RDS_ETOOBIG);
	rds_keyring_clear(&again);
}

static void newer_versions_are_told_apart(void **state)
{
	(void)state;
	struct rds_keyring again;
	file_write(&temp, RDS_KEYRING_FILE, "{\"version\":2,\"retired\":\"otherwise\"}");
	assert_int_equal(rds_keyring_load(dir, &again, &err), -RDS_EPARSE);
	assert_contains(err.text, "newer version");
	rds_keyring_clear(&again);
}

// Members that it doesn't know, order and white space don't matter.
static void strange_members_are_skipped(void **state)
{
	(void)state;
	struct rds_keyring again;
	file_write(&temp, RDS_KEYRING_FILE,
	           "\n{ \"later\": {\"x\": [1, {}]}, \"retired\": [{\"note\": null, "
	           "\"accepted_until\": 5,\n\"public\":\"" KEY "\"}], \"version\": 1 }\n");
	assert_int_equal(rds_keyring_load(dir, &again, &err), 0);
	assert_int_equal(again.n_retired, 1);
	assert_null(again.retired[0].pair);
	assert_int_equal(again.retired[0].accepted_until, 5);
	rds_keyring_clear(&again);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(none_is_an_empty_one),
	        TEST(everything_comes_back),
	        TEST(so_many_are_remembered),
	        TEST(retired_twice_is_there_once),
	        TEST(grace_ends_at_its_second_or_by_hand),
	        TEST(damaged_ones_are_refused),
	        TEST(too_many_and_too_much_are_refused),
	        TEST(newer_versions_are_told_apart),
	        TEST(strange_members_are_skipped),
	};
	return cmocka_run_group_tests_name("keyring", tests, NULL, NULL);
}
