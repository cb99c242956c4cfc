// SPDX-License-Identifier: MIT
// Goal: a session's bucket of bytes gives just its rate, whatever the rate and however often it is
// asked, and saves up no more than it may.
#include "test/unit/testing.h"

#include "core/limits.h"
#include "core/quota.h"

#define MBIT (1024 * 1024 / 8) // bytes a second

// What a session that takes all it can at every look moves in a time.
static uint64_t take_all(struct rds_quota *quota, uint64_t *now_ms, uint64_t rate, uint64_t ms,
                         const uint64_t *steps, size_t n)
{
	uint64_t taken = 0;
	uint64_t end = *now_ms + ms;
	for (size_t i = 0; *now_ms < end; i++) {
		uint64_t left = rds_quota_left(quota, *now_ms, rate);
		rds_quota_take(quota, left);
		taken += left;
		*now_ms += steps[i % n];
	}
	return taken;
}

static uint64_t depth_of(uint64_t rate)
{
	return rate / 10 > RDS_QUOTA_LEAST_BYTES ? rate / 10 : RDS_QUOTA_LEAST_BYTES;
}

static void starts_full(void **state)
{
	(void)state;
	static const uint64_t rates[] = {1, 1000, MBIT, 1000 * MBIT, (UINT64_C(1) << 20) * MBIT};
	for (size_t i = 0; i < COUNT(rates); i++) {
		struct rds_quota quota = {0};
		assert_int_equal(rds_quota_left(&quota, 5, rates[i]), depth_of(rates[i]));
	}
}

// Within 2% over a minute and longer, for rates from a byte a second (a share among many) to a
// terabit, at looks of every kind.
static void gives_its_rate(void **state)
{
	(void)state;
	static const uint64_t rates[] = {
	        1,        7,    131,  999, 1000,      1500,        MBIT,
	        MBIT + 1, 4095, 4097, 333, 32 * MBIT, 1000 * MBIT, (UINT64_C(1) << 20) * MBIT};
	static const uint64_t looks[][4] = {
	        {1, 1, 1, 1}, {20, 20, 20, 20}, {1, 7, 20, 3}, {50, 2, 40, 30}, {99, 1, 99, 1}};
	for (size_t i = 0; i < COUNT(rates) * COUNT(looks); i++) {
		uint64_t rate = rates[i / COUNT(looks)];
		uint64_t ms = rate < 100 ? 10000000 : 100000;
		struct rds_quota quota = {0};
		uint64_t now_ms = 1;
		rds_quota_take(&quota, rds_quota_left(&quota, now_ms, rate));
		uint64_t taken = take_all(&quota, &now_ms, rate, ms, looks[i % COUNT(looks)], 4);
		uint64_t expected = rate * ms / 1000;
		if (taken > expected + expected / 50 || taken < expected - expected / 50)
			fail_msg("%llu bytes/s, looks %zu: %llu instead of %llu",
			         (unsigned long long)rate, i % COUNT(looks),
			         (unsigned long long)taken, (unsigned long long)expected);
	}
}

// Pauses of any length, of a session that then takes all it gets: its rate on average, and what
// it may save up.
static void pauses_give_nothing_more(void **state)
{
	(void)state;
	static const uint64_t rates[] = {1, 100, 1000, 4096, 40960, 10 * MBIT};
	static const uint64_t pauses[] = {100, 999, 1000, 1001, 2500, 60000};
	for (size_t i = 0; i < COUNT(rates) * COUNT(pauses); i++) {
		uint64_t rate = rates[i / COUNT(pauses)];
		uint64_t pause = pauses[i % COUNT(pauses)];
		struct rds_quota quota = {0};
		uint64_t now_ms = 1;
		rds_quota_take(&quota, rds_quota_left(&quota, now_ms, rate));
		now_ms += pause;
		uint64_t taken = take_all(&quota, &now_ms, rate, 100 * pause, &pause, 1);
		if (taken > 100 * pause * rate / 1000)
			fail_msg("%llu bytes/s, every %llu ms: %llu", (unsigned long long)rate,
			         (unsigned long long)pause, (unsigned long long)taken);
		if (pause <= 100)
			assert_true(taken >= 98 * pause * rate / 1000);
	}
}

static void saves_up_a_tenth_of_a_second(void **state)
{
	(void)state;
	static const uint64_t rates[] = {1, 1000, MBIT, 1000 * MBIT};
	for (size_t i = 0; i < COUNT(rates); i++) {
		struct rds_quota quota = {0};
		for (uint64_t now_ms = 1; now_ms < UINT64_C(1) << 40; now_ms = now_ms * 3 + 1)
			assert_true(rds_quota_left(&quota, now_ms, rates[i]) <= depth_of(rates[i]));
		assert_int_equal(rds_quota_left(&quota, UINT64_C(1) << 40, rates[i]),
		                 depth_of(rates[i]));
	}
}

static void a_standing_clock_gives_nothing(void **state)
{
	(void)state;
	struct rds_quota quota = {0};
	uint64_t left = rds_quota_left(&quota, 1000, MBIT);
	assert_int_equal(left, MBIT / 10);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(rds_quota_left(&quota, 1000, MBIT), left);
	rds_quota_take(&quota, left - 1);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(rds_quota_left(&quota, 1000, MBIT), 1);
	rds_quota_take(&quota, 1);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(rds_quota_left(&quota, 1000, MBIT), 0);
}

// Bytes that had come before they could be counted.
static void no_more_than_all_is_taken(void **state)
{
	(void)state;
	struct rds_quota quota = {0};
	rds_quota_take(&quota, 5);
	static const uint64_t more[] = {MBIT / 10 + 1, MBIT, UINT64_MAX};
	for (size_t i = 0; i < COUNT(more); i++) {
		quota = (struct rds_quota){0};
		assert_int_equal(rds_quota_left(&quota, 1000, MBIT), MBIT / 10);
		rds_quota_take(&quota, more[i]);
		assert_int_equal(rds_quota_left(&quota, 1000, MBIT), 0);
		assert_int_equal(rds_quota_left(&quota, 1010, MBIT), MBIT / 100);
	}
}

// Also those in which more would come together than fits a number.
static void long_pauses_fill_it(void **state)
{
	(void)state;
	const uint64_t rate = UINT64_C(1) << 37;
	for (unsigned bits = 8; bits < 40; bits++) {
		struct rds_quota quota = {0};
		rds_quota_take(&quota, rds_quota_left(&quota, 1, rate));
		assert_int_equal(rds_quota_left(&quota, 1 + (UINT64_C(1) << bits), rate),
		                 depth_of(rate));
	}
}

// A rate that falls takes off what was saved up for the old one; one that rises adds nothing.
static void rates_change(void **state)
{
	(void)state;
	struct rds_quota quota = {0};
	assert_int_equal(rds_quota_left(&quota, 1000, 100 * MBIT), 10 * MBIT);
	assert_int_equal(rds_quota_left(&quota, 1000, MBIT), MBIT / 10);
	assert_int_equal(rds_quota_left(&quota, 1000, 100 * MBIT), MBIT / 10);
	assert_int_equal(rds_quota_left(&quota, 1001, 100 * MBIT), MBIT / 10 + MBIT / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(starts_full),
	        cmocka_unit_test(gives_its_rate),
	        cmocka_unit_test(pauses_give_nothing_more),
	        cmocka_unit_test(saves_up_a_tenth_of_a_second),
	        cmocka_unit_test(a_standing_clock_gives_nothing),
	        cmocka_unit_test(no_more_than_all_is_taken),
	        cmocka_unit_test(long_pauses_fill_it),
	        cmocka_unit_test(rates_change),
	};
	return cmocka_run_group_tests_name("quota", tests, NULL, NULL);
}
