// SPDX-License-Identifier: MIT
// Goal: while several keys are accepted, each source is soon offered the one that it holds, and
// goes on being offered it; nothing that strangers do takes more room.
#include "test/unit/testing.h"

#include "core/key_choice.h"
#include "core/limits.h"

static const uint32_t keys[] = {5, 3, 9};

static struct rds_key_choice *choice;

static int set_up(void **state)
{
	(void)state;
	choice = rds_key_choice_new(&testing_seed);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rds_key_choice_free(choice);
	return 0;
}

static uint32_t next_of(const char *ip, size_t n)
{
	struct rds_ip from = ip_of(ip);
	return rds_key_choice_next(choice, &from, keys, n);
}

static void opened(const char *ip, uint32_t key)
{
	struct rds_ip from = ip_of(ip);
	rds_key_choice_opened(choice, &from, key);
}

static void refused(const char *ip, uint32_t key)
{
	struct rds_ip from = ip_of(ip);
	rds_key_choice_refused(choice, &from, key);
}

static void first_comes_first(void **state)
{
	(void)state;
	assert_int_equal(next_of("203.0.113.1", 3), 5);
	assert_int_equal(next_of("2001:db8::1", 3), 5);
}

// Whoever goes on plainly, and a probe, refuse nothing: the offer doesn't wander.
static void unanswered_offers_say_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(next_of("203.0.113.1", 2), 5);
	rds_key_choice_free(NULL);
}

static void refusals_go_round(void **state)
{
	(void)state;
	static const uint32_t order[] = {5, 3, 9, 5, 3, 9, 5};
	for (size_t i = 0; i < COUNT(order); i++) {
		assert_int_equal(next_of("203.0.113.1", 3), order[i]);
		refused("203.0.113.1", order[i]);
	}
}

static void what_opened_is_offered(void **state)
{
	(void)state;
	opened("203.0.113.1", 3);
	for (int i = 0; i < 10; i++)
		assert_int_equal(next_of("203.0.113.1", 3), 3);
	assert_int_equal(next_of("203.0.113.2", 3), 5); // and to nobody else
	opened("203.0.113.1", 9);
	assert_int_equal(next_of("203.0.113.1", 3), 9);
}

// A client that got a new key needs one try more, and so does the next one with the old key.
static void one_retry_after_a_change(void **state)
{
	(void)state;
	opened("203.0.113.1", 3);
	assert_int_equal(next_of("203.0.113.1", 2), 3);
	refused("203.0.113.1", 3);
	assert_int_equal(next_of("203.0.113.1", 2), 5);
	opened("203.0.113.1", 5);
	assert_int_equal(next_of("203.0.113.1", 2), 5);
	refused("203.0.113.1", 5);
	assert_int_equal(next_of("203.0.113.1", 2), 3);
}

// A refusal that comes late, of another key than is due now, changes nothing; several of one offer
// count once.
static void refusals_of_other_offers_do_not_count(void **state)
{
	(void)state;
	opened("203.0.113.1", 3);
	refused("203.0.113.1", 5);
	refused("203.0.113.1", 77);
	assert_int_equal(next_of("203.0.113.1", 3), 3);
	refused("203.0.113.1", 3);
	refused("203.0.113.1", 3);
	assert_int_equal(next_of("203.0.113.1", 3), 9);
	assert_int_equal(next_of("203.0.113.1", 3), 9);
}

// A key that is no longer accepted, and one key alone.
static void keys_that_are_gone_are_not_offered(void **state)
{
	(void)state;
	opened("203.0.113.1", 9);
	assert_int_equal(next_of("203.0.113.1", 2), 5);
	opened("203.0.113.2", 9);
	refused("203.0.113.2", 9);
	assert_int_equal(next_of("203.0.113.2", 2), 5);
	opened("203.0.113.3", 9);
	assert_int_equal(next_of("203.0.113.3", 1), 5);
	assert_int_equal(next_of("203.0.113.3", 3), 9); // remembered, though it wasn't asked for
}

static void sources_are_addresses_and_networks_of_ipv6(void **state)
{
	(void)state;
	opened("2001:db8:0:1::1", 3);
	assert_int_equal(next_of("2001:db8:0:1:ffff::2", 3), 3);
	assert_int_equal(next_of("2001:db8:0:2::1", 3), 5);
	opened("203.0.113.9", 9);
	assert_int_equal(next_of("::ffff:203.0.113.9", 3), 9);
	assert_int_equal(next_of("203.0.113.8", 3), 5);
}

// More sources than there is room for: those that share a place start anew, the others stay.
static void many_sources_push_few_out(void **state)
{
	(void)state;
	enum { FLEET = 100000 };
	unsigned kept = 0;
	for (unsigned i = 0; i < FLEET; i++) {
		struct rds_ip from =
		        rds_ip_v4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i);
		rds_key_choice_opened(choice, &from, 3);
	}
	for (unsigned i = 0; i < FLEET; i++) {
		struct rds_ip from =
		        rds_ip_v4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i);
		kept += rds_key_choice_next(choice, &from, keys, 3) == 3;
	}
	assert_in_range(kept, FLEET * 6 / 10, FLEET);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(first_comes_first),
	        TEST(unanswered_offers_say_nothing),
	        TEST(refusals_go_round),
	        TEST(what_opened_is_offered),
	        TEST(one_retry_after_a_change),
	        TEST(refusals_of_other_offers_do_not_count),
	        TEST(keys_that_are_gone_are_not_offered),
	        TEST(sources_are_addresses_and_networks_of_ipv6),
	        TEST(many_sources_push_few_out),
	};
	return cmocka_run_group_tests_name("key_choice", tests, NULL, NULL);
}
