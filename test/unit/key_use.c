// SPDX-License-Identifier: MIT
// Goal: which keys clients show, and from how many addresses in the last seven days: right for few,
// near for many, through clocks that jump and files that are damaged.
#include "test/unit/testing.h"

#include "keys/key_use.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY   86400
#define NOW   1800000000LL
#define KEY   "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk="
#define OTHER "ioabEDv2eNdgsvfLmyt5u3yG4EGLDjLTZBfHZN6d+xQ="

static struct temp_dir temp;
static struct rds_datadir *dir;
static struct rds_key_use *use;
static struct rds_error err;

static int set_up(void **state)
{
	(void)state;
	temp_dir_make(&temp);
	use = rds_key_use_new();
	return rds_datadir_open(temp.path, &dir, &err);
}

static int tear_down(void **state)
{
	(void)state;
	rds_key_use_free(use);
	rds_datadir_close(dir);
	temp_dir_remove(&temp);
	return 0;
}

static struct rds_ip nth_ip(unsigned i)
{
	return rds_ip_v4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i);
}

static void note(const char *key, unsigned from, int64_t now)
{
	struct rds_ip ip = nth_ip(from);
	rds_key_use_note(use, key, &ip, now);
}

static void note_many(const char *key, unsigned first, unsigned n, int64_t now)
{
	for (unsigned i = first; i < first + n; i++)
		note(key, i, now);
}

static void few_are_counted_exactly(void **state)
{
	(void)state;
	assert_int_equal(rds_key_use_sources(use, KEY, NOW), 0);
	assert_int_equal(rds_key_use_last(use, KEY), 0);
	assert_false(rds_key_use_is_changed(use));
	for (unsigned i = 1; i <= 20; i++) {
		note(KEY, i, NOW + i);
		note(KEY, i, NOW + i);
		assert_int_equal(rds_key_use_sources(use, KEY, NOW), i);
		assert_int_equal(rds_key_use_last(use, KEY), NOW + i);
	}
	assert_int_equal(rds_key_use_sources(use, OTHER, NOW), 0);
	assert_true(rds_key_use_is_changed(use));
	rds_key_use_free(NULL);
}

// Linear counting's own error is a few in a thousand here.
static void many_are_counted_nearly(void **state)
{
	(void)state;
	static const unsigned counts[] = {1000, 10000, 50000, 100000};
	unsigned noted = 0;
	for (size_t i = 0; i < COUNT(counts); i++) {
		note_many(KEY, noted, counts[i] - noted, NOW);
		noted = counts[i];
		assert_in_range(rds_key_use_sources(use, KEY, NOW), noted - noted / 50,
		                noted + noted / 50);
	}
	// Far beyond what can be told: no nonsense, and at least so many.
	note_many(KEY, noted, 1000000, NOW);
	assert_in_range(rds_key_use_sources(use, KEY, NOW), 400000, 2000000);
}

static void ipv6_counts_by_network(void **state)
{
	(void)state;
	static const char *const ips[] = {"2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:2::1",
	                                  "::ffff:10.0.0.1", "10.0.0.1"};
	for (size_t i = 0; i < COUNT(ips); i++) {
		struct rds_ip ip = ip_of(ips[i]);
		rds_key_use_note(use, KEY, &ip, NOW);
	}
	assert_int_equal(rds_key_use_sources(use, KEY, NOW), 3);
}

// An address counts once, however many days it came on, and for seven days.
static void days_go_by(void **state)
{
	(void)state;
	for (int day = 0; day < 7; day++) {
		note(KEY, 1, NOW + day * DAY);
		note(KEY, 100 + (unsigned)day, NOW + day * DAY);
		assert_int_equal(rds_key_use_sources(use, KEY, NOW + day * DAY), 2 + day);
	}
	for (int day = 7; day < 13; day++)
		assert_int_equal(rds_key_use_sources(use, KEY, NOW + day * DAY), 14 - day);
	assert_int_equal(rds_key_use_sources(use, KEY, NOW + 13 * DAY), 0);
	assert_int_equal(rds_key_use_last(use, KEY), NOW + 6 * DAY);
	note(KEY, 5, NOW + 13 * DAY); // in the place of an old day
	assert_int_equal(rds_key_use_sources(use, KEY, NOW + 13 * DAY), 1);
}

static void who_has_been_seen(void **state)
{
	(void)state;
	struct rds_ip ip = nth_ip(1);
	struct rds_ip stranger = nth_ip(2);
	assert_false(rds_key_use_has_seen(use, &ip, NOW));
	note(OTHER, 1, NOW);
	assert_true(rds_key_use_has_seen(use, &ip, NOW + 6 * DAY));
	assert_false(rds_key_use_has_seen(use, &ip, NOW + 7 * DAY));
	assert_false(rds_key_use_has_seen(use, &stranger, NOW));
}

// A clock that was ahead, or is behind, costs what was noted on those days at most.
static void clocks_that_jump(void **state)
{
	(void)state;
	note(KEY, 1, NOW);
	note(KEY, 2, NOW + 365 * DAY);
	assert_int_equal(rds_key_use_sources(use, KEY, NOW + 365 * DAY), 1);
	note(KEY, 3, NOW);
	assert_in_range(rds_key_use_sources(use, KEY, NOW), 1, 3);
	note(KEY, 4, 0);
	note(KEY, 4, -5); // before all days
	assert_in_range(rds_key_use_sources(use, KEY, NOW), 1, 3);
	assert_int_equal(rds_key_use_last(use, KEY), NOW + 365 * DAY);
}

static void nth_text(unsigned i, char text[RDS_PUBLIC_TEXT])
{
	(void)snprintf(text, RDS_PUBLIC_TEXT, "key-%08u", i);
}

// The one that was used longest ago makes room.
static void so_many_keys_are_counted(void **state)
{
	(void)state;
	char text[RDS_PUBLIC_TEXT];
	for (unsigned i = 0; i < RDS_KEYS_USED; i++) {
		nth_text(i, text);
		note(text, i, NOW + (i == 3 ? -1 : (int64_t)i));
	}
	nth_text(1000, text);
	note(text, 9, NOW + 100);
	assert_int_equal(rds_key_use_sources(use, text, NOW), 1);
	for (unsigned i = 0; i < RDS_KEYS_USED; i++) {
		nth_text(i, text);
		assert_int_equal(rds_key_use_last(use, text) == 0, i == 3);
	}
}

static struct rds_key_use *loaded(const char *role)
{
	struct rds_key_use *again = rds_key_use_new();
	assert_int_equal(rds_key_use_load(again, dir, role, &err), 0);
	assert_false(rds_key_use_is_changed(again));
	return again;
}

static void files_keep_it(void **state)
{
	(void)state;
	note_many(KEY, 0, 500, NOW);
	note_many(OTHER, 400, 200, NOW - DAY);
	note_many(OTHER, 9000, 50, NOW - 8 * DAY); // left out
	assert_int_equal(rds_key_use_save(use, dir, "id", NOW, &err), 0);
	assert_false(rds_key_use_is_changed(use));
	assert_int_equal(file_mode(&temp, "key-use-id.json"), 0600);
	struct rds_key_use *again = loaded("id");
	const char *const keys[] = {KEY, OTHER};
	for (size_t i = 0; i < COUNT(keys); i++) {
		assert_int_equal(rds_key_use_sources(again, keys[i], NOW),
		                 rds_key_use_sources(use, keys[i], NOW));
		assert_int_equal(rds_key_use_last(again, keys[i]), rds_key_use_last(use, keys[i]));
	}
	rds_key_use_free(again);
	again = loaded("relay");
	assert_int_equal(rds_key_use_sources(again, KEY, NOW), 0);
	rds_key_use_free(again);
}

// What two roles have seen is added up, and addresses that both have seen count once.
static void roles_add_up(void **state)
{
	(void)state;
	note_many(KEY, 0, 100, NOW);
	assert_int_equal(rds_key_use_save(use, dir, "id", NOW, &err), 0);
	rds_key_use_free(use);
	use = rds_key_use_new();
	note_many(KEY, 50, 100, NOW + 5);
	assert_int_equal(rds_key_use_save(use, dir, "relay", NOW, &err), 0);
	assert_int_equal(rds_key_use_load(use, dir, "id", &err), 0);
	assert_in_range(rds_key_use_sources(use, KEY, NOW), 149, 151);
	assert_int_equal(rds_key_use_last(use, KEY), NOW + 5);
}

// As full as it can be, it is still read.
static void fullest_file_fits(void **state)
{
	(void)state;
	char text[RDS_PUBLIC_TEXT];
	for (unsigned i = 0; i < RDS_KEYS_USED; i++)
		for (int day = 0; day < 7; day++) {
			nth_text(i, text);
			note(text, i, NOW + day * DAY);
		}
	assert_int_equal(rds_key_use_save(use, dir, "id", NOW + 6 * DAY, &err), 0);
	struct rds_key_use *again = loaded("id");
	assert_int_equal(rds_key_use_sources(again, text, NOW + 6 * DAY), 1);
	rds_key_use_free(again);
}

static void damaged_files_are_told(void **state)
{
	(void)state;
	static const char *const damaged[] = {
	        "", "{", "[]", "{}", "{\"keys\":7}", "{\"keys\":[7]}", "{\"keys\":[{}]}",
	        "{\"keys\":[{\"public\":\"" KEY "\"}]}",
	        "{\"keys\":[{\"public\":\"" KEY KEY "\",\"last\":1}]}",
	        "{\"keys\":[{\"public\":\"" KEY "\",\"last\":-1}]}",
	        "{\"keys\":[{\"public\":\"" KEY "\",\"last\":1e99}]}",
	        "{\"keys\":[{\"public\":\"" KEY "\",\"last\":1,\"days\":[7]}]}",
	        "{\"keys\":[{\"public\":\"" KEY "\",\"last\":1,\"days\":[{\"day\":1}]}]}",
	        "{\"keys\":[{\"public\":\"" KEY
	        "\",\"last\":1,\"days\":[{\"day\":1,\"sources\":\"AAAA\"}]}]}"};
	for (size_t i = 0; i < COUNT(damaged); i++) {
		file_write(&temp, "key-use-id.json", damaged[i]);
		if (rds_key_use_load(use, dir, "id", &err) != -RDS_EPARSE)
			fail_msg("%s", damaged[i]);
		assert_contains(err.text, "/key-use-id.json: damaged");
	}
	note(KEY, 1, NOW); // counting goes on
	assert_in_range(rds_key_use_sources(use, KEY, NOW), 1, 2);
	assert_int_equal(rds_key_use_save(use, dir, "id", NOW, &err), 0);
	rds_key_use_free(loaded("id"));
}

static void negative_days_are_no_days(void **state)
{
	(void)state;
	char *text = rds_calloc(20000, 1);
	char *bits = rds_calloc(12000, 1);
	memset(bits, 'A', 10923);
	bits[10923] = '=';
	(void)snprintf(text, 20000,
	               "{\"keys\":[{\"public\":\"%s\",\"last\":1,\"days\":[{\"day\":-1,"
	               "\"sources\":\"%s\"}]}]}",
	               KEY, bits);
	file_write(&temp, "key-use-id.json", text);
	assert_int_equal(rds_key_use_load(use, dir, "id", &err), -RDS_EPARSE);
	free(text);
	free(bits);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(few_are_counted_exactly),  TEST(many_are_counted_nearly),
	        TEST(ipv6_counts_by_network),   TEST(days_go_by),
	        TEST(who_has_been_seen),        TEST(clocks_that_jump),
	        TEST(so_many_keys_are_counted), TEST(files_keep_it),
	        TEST(roles_add_up),             TEST(fullest_file_fits),
	        TEST(damaged_files_are_told),   TEST(negative_days_are_no_days),
	};
	return cmocka_run_group_tests_name("key_use", tests, NULL, NULL);
}
