// SPDX-License-Identifier: MIT
// Goal: how often one source may register (protocol.md section 4 point 5), exactly at the edges,
// and that what is remembered is bounded.
#include "test/unit/testing.h"

#include "core/limits.h"
#include "core/register_limits.h"

#include <stdio.h>

#define DAY_MS (24 * 3600 * 1000)

static struct rds_register_limits *open_limits(uint32_t per_minute, uint32_t ids_per_day)
{
	struct rds_register_limits_config config = {.per_minute = per_minute,
	                                            .ids_per_day = ids_per_day};
	return rds_register_limits_new(&config, &testing_seed);
}

static enum rds_reason count(struct rds_register_limits *limits, uint64_t now_ms, const char *ip,
                             unsigned id)
{
	char text[32];
	struct rds_ip source = ip_of(ip);
	(void)snprintf(text, sizeof text, "id-%u", id);
	return rds_register_limits_count(limits, now_ms, &source, rds_view_text(text));
}

static void minute_slides(void **state)
{
	(void)state;
	struct rds_register_limits *limits = open_limits(30, 0);
	// One every second: 30 within any minute never, at first.
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(count(limits, 1000 + i * 1000, "192.0.2.1", i), RDS_WHY_NONE);
	assert_int_equal(count(limits, 30001, "192.0.2.1", 30), RDS_WHY_IP_TOO_FREQUENT);
	assert_int_equal(count(limits, 60999, "192.0.2.1", 31), RDS_WHY_IP_TOO_FREQUENT);
	assert_int_equal(count(limits, 61000, "192.0.2.1", 32), RDS_WHY_NONE); // the first is out
	assert_int_equal(count(limits, 61000, "192.0.2.1", 33), RDS_WHY_IP_TOO_FREQUENT);
	assert_int_equal(count(limits, 61999, "192.0.2.1", 34), RDS_WHY_IP_TOO_FREQUENT);
	assert_int_equal(count(limits, 62000, "192.0.2.1", 35), RDS_WHY_NONE);
	// After a quiet minute all 30 are free again, the same id or not.
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(count(limits, 200000, "192.0.2.1", 7), RDS_WHY_NONE);
	assert_int_equal(count(limits, 200000, "192.0.2.1", 7), RDS_WHY_IP_TOO_FREQUENT);
	rds_register_limits_free(limits);
}

static void ids_of_a_day(void **state)
{
	(void)state;
	struct rds_register_limits *limits = open_limits(0, 300);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(count(limits, 1000 + i, "192.0.2.1", i), RDS_WHY_NONE);
	assert_int_equal(count(limits, 2000, "192.0.2.1", 300), RDS_WHY_IP_TOO_MANY_IDS);
	for (unsigned i = 0; i < 300; i++) // old ones are no new ones
		assert_int_equal(count(limits, 3000, "192.0.2.1", i), RDS_WHY_NONE);
	assert_int_equal(count(limits, 1000 + DAY_MS - 1, "192.0.2.1", 301),
	                 RDS_WHY_IP_TOO_MANY_IDS);
	assert_int_equal(count(limits, 4000, "192.0.2.2", 301), RDS_WHY_NONE);
	rds_register_limits_free(limits);
}

// A day after an id was last registered it counts no more.
static void day_slides(void **state)
{
	(void)state;
	struct rds_register_limits *limits = open_limits(0, 2);
	assert_int_equal(count(limits, 1000, "192.0.2.1", 1), RDS_WHY_NONE);
	assert_int_equal(count(limits, 2000, "192.0.2.1", 2), RDS_WHY_NONE);
	assert_int_equal(count(limits, 1000 + DAY_MS - 1, "192.0.2.1", 3), RDS_WHY_IP_TOO_MANY_IDS);
	assert_int_equal(count(limits, 1000 + DAY_MS, "192.0.2.1", 3), RDS_WHY_NONE);
	assert_int_equal(count(limits, 1000 + DAY_MS, "192.0.2.1", 4), RDS_WHY_IP_TOO_MANY_IDS);
	assert_int_equal(count(limits, 2000 + DAY_MS, "192.0.2.1", 4), RDS_WHY_NONE);
	rds_register_limits_free(limits);
}

// An id that is registered again and again is one of the day's all the time.
static void busy_ids_stay_counted(void **state)
{
	(void)state;
	struct rds_register_limits *limits = open_limits(0, 2);
	assert_int_equal(count(limits, 1000, "192.0.2.1", 1), RDS_WHY_NONE);
	assert_int_equal(count(limits, 2000, "192.0.2.1", 2), RDS_WHY_NONE);
	assert_int_equal(count(limits, DAY_MS, "192.0.2.1", 1), RDS_WHY_NONE);
	assert_int_equal(count(limits, DAY_MS, "192.0.2.1", 2), RDS_WHY_NONE);
	// Both were there within the last day: a third is too many.
	assert_int_equal(count(limits, 3000 + DAY_MS, "192.0.2.1", 3), RDS_WHY_IP_TOO_MANY_IDS);
	rds_register_limits_free(limits);
}

// What is refused for its frequency is no try, and none of the day's ids.
static void refused_ones_do_not_count(void **state)
{
	(void)state;
	struct rds_register_limits *limits = open_limits(1, 2);
	assert_int_equal(count(limits, 1000, "192.0.2.1", 1), RDS_WHY_NONE);
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(count(limits, 1000 + i * 1000, "192.0.2.1", 10 + i),
		                 RDS_WHY_IP_TOO_FREQUENT);
	assert_int_equal(count(limits, 61000, "192.0.2.1", 2), RDS_WHY_NONE);
	assert_int_equal(count(limits, 121000, "192.0.2.1", 3), RDS_WHY_IP_TOO_MANY_IDS);
	rds_register_limits_free(limits);
}

static void zero_is_no_limit(void **state)
{
	(void)state;
	struct rds_register_limits *limits = open_limits(0, 0);
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(count(limits, 1000, "192.0.2.1", i), RDS_WHY_NONE);
	rds_register_limits_free(limits);
}

static void sources_are_apart(void **state)
{
	(void)state;
	static const struct {
		const char *first;
		const char *second;
		bool same;
	} pairs[] = {
	        {"192.0.2.1", "192.0.2.1", true},
	        {"192.0.2.1", "::ffff:192.0.2.1", true},
	        {"192.0.2.1", "192.0.2.2", false},
	        {"2001:db8:1:2:abcd:4:5:6", "2001:db8:1:2::1", true},
	        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
	        {"2001:db8:1:2::1", "192.0.2.1", false},
	};
	for (size_t i = 0; i < COUNT(pairs); i++) {
		struct rds_register_limits *limits = open_limits(1, 0);
		assert_int_equal(count(limits, 1000, pairs[i].first, 1), RDS_WHY_NONE);
		assert_int_equal(count(limits, 1000, pairs[i].second, 1),
		                 pairs[i].same ? RDS_WHY_IP_TOO_FREQUENT : RDS_WHY_NONE);
		assert_int_equal(rds_register_limits_sources(limits), pairs[i].same ? 1 : 2);
		rds_register_limits_free(limits);
	}
}

static void exempt_networks_are_not_remembered(void **state)
{
	(void)state;
	struct rds_cidr exempt[2];
	assert_int_equal(rds_cidr_parse("10.0.0.0/8", &exempt[0]), 0);
	assert_int_equal(rds_cidr_parse("192.0.2.7", &exempt[1]), 0);
	struct rds_register_limits_config config = {
	        .per_minute = 1, .ids_per_day = 1, .exempt = exempt, .n_exempt = 2};
	struct rds_register_limits *limits = rds_register_limits_new(&config, &testing_seed);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(count(limits, 1000, "10.9.9.9", i), RDS_WHY_NONE);
		assert_int_equal(count(limits, 1000, "192.0.2.7", i), RDS_WHY_NONE);
	}
	assert_int_equal(rds_register_limits_sources(limits), 0);
	assert_int_equal(count(limits, 1000, "192.0.2.8", 1), RDS_WHY_NONE);
	assert_int_equal(count(limits, 1000, "192.0.2.8", 1), RDS_WHY_IP_TOO_FREQUENT);
	rds_register_limits_free(limits);
}

static void count_number(struct rds_register_limits *limits, uint64_t now_ms, unsigned n,
                         enum rds_reason why)
{
	struct rds_ip ip = rds_ip_v4(10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n);
	assert_int_equal(rds_register_limits_count(limits, now_ms, &ip, rds_view_text("id")), why);
}

// Full: the one seen longest ago makes room, and nobody is locked out.
static void oldest_source_makes_room(void **state)
{
	(void)state;
	struct rds_register_limits *limits = open_limits(1, 300);
	for (unsigned i = 0; i < RDS_LIMITED_SOURCES; i++)
		count_number(limits, 1000, i, RDS_WHY_NONE);
	count_number(limits, 1000, 0, RDS_WHY_IP_TOO_FREQUENT); // the newest of all now
	assert_int_equal(rds_register_limits_sources(limits), RDS_LIMITED_SOURCES);
	count_number(limits, 1000, RDS_LIMITED_SOURCES, RDS_WHY_NONE); // number 1 goes
	assert_int_equal(rds_register_limits_sources(limits), RDS_LIMITED_SOURCES);
	count_number(limits, 1000, 0, RDS_WHY_IP_TOO_FREQUENT);
	count_number(limits, 1000, 2, RDS_WHY_IP_TOO_FREQUENT);
	count_number(limits, 1000, 1, RDS_WHY_NONE); // forgotten: 3 goes
	count_number(limits, 1000, 4, RDS_WHY_IP_TOO_FREQUENT);
	count_number(limits, 1000, 3, RDS_WHY_NONE);
	assert_int_equal(rds_register_limits_sources(limits), RDS_LIMITED_SOURCES);
	rds_register_limits_free(limits);
}

static void a_day_of_churn_stays_bounded(void **state)
{
	(void)state;
	struct rds_register_limits *limits = open_limits(30, 300);
	for (unsigned i = 0; i < 100000; i++) {
		count_number(limits, 1000 + (uint64_t)i * 864, i, RDS_WHY_NONE);
		assert_true(rds_register_limits_sources(limits) <= RDS_LIMITED_SOURCES);
	}
	assert_int_equal(rds_register_limits_sources(limits), RDS_LIMITED_SOURCES);
	rds_register_limits_free(limits);
	rds_register_limits_free(NULL);
}

// What is told of a source is what counts at that moment.
static void what_counts_can_be_seen(void **state)
{
	(void)state;
	struct rds_register_limits *limits = open_limits(30, 300);
	struct rds_limited one;
	struct rds_ip ip = ip_of("192.0.2.1");
	assert_false(rds_register_limits_look(limits, 1000, &ip, &one));
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(count(limits, 1000 + i * 10000, "192.0.2.1", i % 3), RDS_WHY_NONE);
	static const struct {
		uint64_t at_ms;
		uint32_t tries;
		uint32_t ids;
	} seen[] = {{41000, 5, 3},          {60999, 5, 3},          {61000, 4, 3},
	            {100999, 1, 3},         {101000, 0, 3},         {21000 + DAY_MS - 1, 0, 3},
	            {21000 + DAY_MS, 0, 2}, {31000 + DAY_MS, 0, 1}, {41000 + DAY_MS, 0, 0}};
	for (size_t i = 0; i < COUNT(seen); i++) {
		assert_true(rds_register_limits_look(limits, seen[i].at_ms, &ip, &one));
		assert_true(rds_ip_equal(&one.ip, &ip));
		assert_int_equal(one.tries, seen[i].tries);
		assert_int_equal(one.ids, seen[i].ids);
	}
	rds_register_limits_free(limits);
}

static void sources_are_listed_by_last_use(void **state)
{
	(void)state;
	static const char *const ips[] = {"192.0.2.1", "2001:db8:1:2:3::4", "192.0.2.3",
	                                  "192.0.2.1"};
	static const char *const order[] = {"192.0.2.1", "192.0.2.3", "2001:db8:1:2::"};
	struct rds_register_limits *limits = open_limits(30, 300);
	struct rds_limited page[4];
	assert_int_equal(rds_register_limits_list(limits, 1000, 0, page, COUNT(page)), 0);
	for (size_t i = 0; i < COUNT(ips); i++)
		assert_int_equal(count(limits, 1000 + i, ips[i], 1), RDS_WHY_NONE);
	for (size_t skip = 0; skip <= COUNT(order); skip++) {
		for (size_t max = 0; max <= COUNT(page); max++) {
			size_t n = rds_register_limits_list(limits, 2000, skip, page, max);
			size_t left = COUNT(order) - skip;
			assert_int_equal(n, left < max ? left : max);
			for (size_t i = 0; i < n; i++) {
				struct rds_ip ip = ip_of(order[skip + i]);
				assert_true(rds_ip_equal(&page[i].ip, &ip));
			}
		}
	}
	assert_int_equal(rds_register_limits_list(limits, 2000, 99, page, COUNT(page)), 0);
	rds_register_limits_free(limits);
}

static void forgotten_sources_start_anew(void **state)
{
	(void)state;
	struct rds_register_limits *limits = open_limits(2, 2);
	struct rds_ip same_net = ip_of("2001:db8::ffff");
	struct rds_ip other = ip_of("192.0.2.2");
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(count(limits, 1000, "2001:db8::1", i), RDS_WHY_NONE);
	assert_int_equal(count(limits, 1000, "2001:db8::1", 2), RDS_WHY_IP_TOO_FREQUENT);
	assert_false(rds_register_limits_forget(limits, &other));
	assert_true(rds_register_limits_forget(limits, &same_net));
	assert_false(rds_register_limits_forget(limits, &same_net));
	assert_int_equal(rds_register_limits_sources(limits), 0);
	for (unsigned i = 2; i < 4; i++)
		assert_int_equal(count(limits, 1000, "2001:db8::1", i), RDS_WHY_NONE);
	rds_register_limits_free(limits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(minute_slides),
	        cmocka_unit_test(ids_of_a_day),
	        cmocka_unit_test(day_slides),
	        cmocka_unit_test(busy_ids_stay_counted),
	        cmocka_unit_test(refused_ones_do_not_count),
	        cmocka_unit_test(zero_is_no_limit),
	        cmocka_unit_test(sources_are_apart),
	        cmocka_unit_test(exempt_networks_are_not_remembered),
	        cmocka_unit_test(oldest_source_makes_room),
	        cmocka_unit_test(a_day_of_churn_stays_bounded),
	        cmocka_unit_test(what_counts_can_be_seen),
	        cmocka_unit_test(sources_are_listed_by_last_use),
	        cmocka_unit_test(forgotten_sources_start_anew),
	};
	return cmocka_run_group_tests_name("register_limits", tests, NULL, NULL);
}
