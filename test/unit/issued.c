// SPDX-License-Identifier: MIT
// Goal: sessions that were passed on are remembered for as long as their sides may take, and
// forgotten in the end; a flood of them pushes out the oldest.
#include "test/unit/testing.h"

#include "core/issued.h"
#include "core/limits.h"

static struct rds_issued *issued;

static int set_up(void **state)
{
	(void)state;
	issued = rds_issued_new(&testing_seed);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rds_issued_free(issued);
	return 0;
}

static void add(uint64_t now_ms, const char *uuid)
{
	rds_issued_add(issued, now_ms, rds_view_text(uuid));
}

static bool has(uint64_t now_ms, const char *uuid)
{
	return rds_issued_has(issued, now_ms, rds_view_text(uuid));
}

static void add_number(uint64_t now_ms, uint64_t number)
{
	rds_issued_add(issued, now_ms, rds_view_of(&number, sizeof number));
}

static bool has_number(uint64_t now_ms, uint64_t number)
{
	return rds_issued_has(issued, now_ms, rds_view_of(&number, sizeof number));
}

static void has_what_was_added(void **state)
{
	(void)state;
	assert_false(has(1, "one"));
	add(1, "one");
	assert_true(has(1, "one"));
	assert_false(has(1, "on"));
	assert_false(has(1, "one "));
	assert_false(has(1, ""));
	add(1, "two");
	add(1, "two");
	assert_true(has(1, "one"));
	assert_true(has(1, "two"));
}

// Whenever it was added: for RDS_ISSUED_MS in any case, and never for twice as long.
static void ages(void **state)
{
	(void)state;
	static const uint64_t starts_ms[] = {1, 1000000, (uint64_t)1 << 40};
	for (size_t i = 0; i < COUNT(starts_ms); i++) {
		for (uint64_t later = 0; later < 3 * (uint64_t)RDS_ISSUED_MS; later += 777) {
			uint64_t at = starts_ms[i] + later;
			(void)tear_down(NULL);
			(void)set_up(NULL);
			add(starts_ms[i], "first");
			add(at, "one");
			for (uint64_t ms = 0; ms < RDS_ISSUED_MS; ms += RDS_ISSUED_MS / 5 - 1)
				assert_true(has(at + ms, "one"));
			assert_true(has(at + RDS_ISSUED_MS - 1, "one"));
			assert_false(has(at + 2 * (uint64_t)RDS_ISSUED_MS, "one"));
		}
	}
}

static void lives_on_when_added_anew(void **state)
{
	(void)state;
	uint64_t now_ms = 5;
	for (int i = 0; i < 100; i++) {
		add(now_ms, "one");
		now_ms += RDS_ISSUED_MS - 1;
		assert_true(has(now_ms, "one"));
	}
	assert_false(has(now_ms + 2 * (uint64_t)RDS_ISSUED_MS, "one"));
}

static void looking_keeps_nothing_alive(void **state)
{
	(void)state;
	uint64_t now_ms = 5;
	add(now_ms, "one");
	for (int i = 0; i < 200; i++) {
		now_ms += RDS_ISSUED_MS / 100;
		(void)has(now_ms, "one");
	}
	assert_false(has(now_ms, "one"));
}

// All within one moment: the last ones are all there, those long before are gone.
static void a_flood_pushes_out_the_oldest(void **state)
{
	(void)state;
	const uint64_t n = 10 * (uint64_t)RDS_ISSUED_SESSIONS;
	for (uint64_t i = 0; i < n; i++) {
		add_number(1000, i);
		assert_true(has_number(1000, i));
		if (i >= RDS_ISSUED_SESSIONS)
			assert_true(has_number(1000, i - RDS_ISSUED_SESSIONS + 1));
	}
	size_t kept = 0;
	for (uint64_t i = 0; i < n; i++) {
		bool there = has_number(1000, i);
		kept += there;
		assert_true(there || i + RDS_ISSUED_SESSIONS < n);
		assert_true(!there || i + 2 * (uint64_t)RDS_ISSUED_SESSIONS >= n);
	}
	assert_true(kept <= 2 * (size_t)RDS_ISSUED_SESSIONS);
}

// The same few all over again push out nobody.
static void repeated_ones_take_no_room(void **state)
{
	(void)state;
	add(1000, "one");
	for (uint64_t i = 0; i < 10 * (uint64_t)RDS_ISSUED_SESSIONS; i++)
		add_number(1000, i % 100);
	assert_true(has(1000, "one"));
}

static void none_is_no_error(void **state)
{
	(void)state;
	rds_issued_free(NULL);
}

#define test(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        test(has_what_was_added),
	        test(ages),
	        test(lives_on_when_added_anew),
	        test(looking_keeps_nothing_alive),
	        test(a_flood_pushes_out_the_oldest),
	        test(repeated_ones_take_no_room),
	        cmocka_unit_test(none_is_no_error),
	};
	return cmocka_run_group_tests_name("issued", tests, NULL, NULL);
}
