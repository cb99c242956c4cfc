// SPDX-License-Identifier: MIT
// Goal: token buckets by source: burst, refill, the bound of all together, a clock that wraps.
#include "test/unit/testing.h"

#include "core/limits.h"
#include "core/rate.h"

static struct rds_rate *rate;
static uint64_t now_ms;

static int tear_down(void **state)
{
	(void)state;
	rds_rate_free(rate);
	rate = NULL;
	return 0;
}

static void start(uint32_t per_second, uint32_t burst, uint32_t total_per_second)
{
	rate = rds_rate_new(&testing_seed, per_second, burst, total_per_second);
	now_ms = 1000000;
}

static bool pass(const char *ip)
{
	struct rds_ip from = ip_of(ip);
	return rds_rate_pass(rate, now_ms, &from);
}

// How many of n go through now.
static size_t passed(const char *ip, size_t n)
{
	size_t through = 0;
	for (size_t i = 0; i < n; i++)
		through += pass(ip);
	return through;
}

static void burst_and_then_nothing(void **state)
{
	(void)state;
	start(10, 25, 0);
	assert_int_equal(passed("203.0.113.7", 100), 25);
	assert_int_equal(passed("203.0.113.8", 100), 25);
	assert_int_equal(passed("203.0.113.7", 100), 0);
}

static void tokens_come_back_by_time(void **state)
{
	(void)state;
	start(10, 25, 0);
	assert_int_equal(passed("203.0.113.7", 100), 25);
	now_ms += 99;
	assert_false(pass("203.0.113.7"));
	now_ms += 1;
	assert_int_equal(passed("203.0.113.7", 100), 1);
	now_ms += 1000;
	assert_int_equal(passed("203.0.113.7", 100), 10);
	now_ms += 3600 * 1000;
	assert_int_equal(passed("203.0.113.7", 100), 25); // and no more than a burst
}

// Parts of tokens are not lost, whatever the steps of the clock.
static void slow_rates_fill_up_too(void **state)
{
	(void)state;
	start(1, 1, 0);
	assert_true(pass("203.0.113.7"));
	for (size_t i = 0; i < 999; i++) {
		now_ms++;
		assert_false(pass("203.0.113.7"));
	}
	now_ms++;
	assert_true(pass("203.0.113.7"));
	tear_down(NULL);
	start(3, 4, 0);
	assert_int_equal(passed("203.0.113.7", 9), 4);
	size_t through = 0;
	for (size_t i = 0; i < 1000; i++) {
		now_ms += 7;
		through += pass("203.0.113.7");
	}
	assert_int_equal(through, 21);
}

static void all_together_are_bounded(void **state)
{
	(void)state;
	start(10, 25, 60);
	size_t through = 0;
	for (uint8_t i = 0; i < 10; i++) {
		struct rds_ip from = rds_ip_v4(203, 0, 113, i);
		for (size_t j = 0; j < 25; j++)
			through += rds_rate_pass(rate, now_ms, &from);
	}
	assert_int_equal(through, 60);
	now_ms += 500;
	assert_int_equal(passed("198.51.100.1", 100), 25);
	assert_int_equal(passed("198.51.100.2", 100), 5);
	assert_int_equal(passed("198.51.100.3", 100), 0);
}

// What its own bucket refuses takes nothing from the others'.
static void refused_ones_cost_others_nothing(void **state)
{
	(void)state;
	start(1, 1, 10);
	assert_int_equal(passed("203.0.113.7", 1000), 1);
	for (uint8_t i = 0; i < 9; i++) {
		struct rds_ip from = rds_ip_v4(198, 51, 100, i);
		assert_true(rds_rate_pass(rate, now_ms, &from));
	}
}

static void nothing_is_limited_by_0(void **state)
{
	(void)state;
	start(0, 0, 0);
	assert_int_equal(passed("203.0.113.7", 100000), 100000);
	tear_down(NULL);
	start(0, 0, 50);
	assert_int_equal(passed("203.0.113.7", 100), 50);
}

static void sources_are_addresses_and_networks(void **state)
{
	(void)state;
	start(1, 1, 0);
	assert_true(pass("2001:db8:1:2::1"));
	assert_false(pass("2001:db8:1:2:ffff::1"));
	assert_true(pass("2001:db8:1:3::1"));
	assert_true(pass("203.0.113.7"));
	assert_false(pass("::ffff:203.0.113.7"));
	assert_true(pass("203.0.113.8"));
}

static struct rds_ip nth(uint32_t n)
{
	return rds_ip_v4(10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n);
}

static uint64_t hash_of(struct rds_ip ip)
{
	return rds_hash(&testing_seed, ip.b, sizeof ip.b);
}

// Two that fall on one place push each other out and start anew: what that lets through is
// bounded by what all together may send.
static void collisions_stay_bounded(void **state)
{
	(void)state;
	struct rds_ip one = nth(0);
	uint32_t n = 1;
	while (hash_of(nth(n)) % RDS_RATE_SOURCES != hash_of(one) % RDS_RATE_SOURCES)
		n++;
	struct rds_ip other = nth(n);
	start(1, 1, 100);
	assert_true(rds_rate_pass(rate, now_ms, &one));
	assert_false(rds_rate_pass(rate, now_ms, &one));
	assert_true(rds_rate_pass(rate, now_ms, &other)); // a stranger's use isn't held against it
	size_t through = 2;
	for (size_t i = 0; i < 1000; i++)
		through += rds_rate_pass(rate, now_ms, i % 2 == 0 ? &one : &other);
	assert_int_equal(through, 100);
}

// A million forged sources: no more than all may, and no memory but the table's.
static void flood_of_sources_is_bounded(void **state)
{
	(void)state;
	size_t through = 0;
	start(RDS_RATE_PER_SECOND, RDS_RATE_BURST, RDS_RATE_TOTAL_PER_SECOND);
	for (uint32_t i = 0; i < 1000000; i++) {
		struct rds_ip from = nth(i);
		now_ms += i % 1000 == 0; // a second in all
		through += rds_rate_pass(rate, now_ms, &from);
	}
	assert_in_range(through, RDS_RATE_TOTAL_PER_SECOND, 2 * RDS_RATE_TOTAL_PER_SECOND);
}

// 32 bits of milliseconds wrap every seven weeks.
static void clock_wraps(void **state)
{
	(void)state;
	static const uint64_t wraps[] = {1, 2, 1000};
	for (size_t i = 0; i < COUNT(wraps); i++) {
		start(10, 25, 40);
		now_ms = (wraps[i] << 32) - 50;
		assert_int_equal(passed("203.0.113.7", 100), 25);
		now_ms += 49;
		assert_false(pass("203.0.113.7"));
		now_ms += 51; // 50 past the wrap
		assert_int_equal(passed("203.0.113.7", 100), 1);
		now_ms += 1000;
		assert_int_equal(passed("203.0.113.7", 100), 10);
		assert_int_equal(passed("203.0.113.8", 100), 25);
		assert_int_equal(passed("203.0.113.9", 100), 5);
		tear_down(NULL);
	}
}

static void freeing_nothing_is_fine(void **state)
{
	(void)state;
	rds_rate_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(burst_and_then_nothing, tear_down),
	        cmocka_unit_test_teardown(tokens_come_back_by_time, tear_down),
	        cmocka_unit_test_teardown(slow_rates_fill_up_too, tear_down),
	        cmocka_unit_test_teardown(all_together_are_bounded, tear_down),
	        cmocka_unit_test_teardown(refused_ones_cost_others_nothing, tear_down),
	        cmocka_unit_test_teardown(nothing_is_limited_by_0, tear_down),
	        cmocka_unit_test_teardown(sources_are_addresses_and_networks, tear_down),
	        cmocka_unit_test_teardown(collisions_stay_bounded, tear_down),
	        cmocka_unit_test_teardown(flood_of_sources_is_bounded, tear_down),
	        cmocka_unit_test_teardown(clock_wraps, tear_down),
	        cmocka_unit_test(freeing_nothing_is_fine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
