// SPDX-License-Identifier: MIT
// Goal: which two relay connections belong together (protocol.md section 9 points 2 and 3).
#include "test/unit/testing.h"

#include "core/limits.h"
#include "core/pairing.h"

#include <stdio.h>

static struct rds_pairing *pairing;

static int open_pairing(void **state)
{
	(void)state;
	pairing = rds_pairing_new(&testing_seed);
	return 0;
}

static int close_pairing(void **state)
{
	(void)state;
	rds_pairing_free(pairing);
	return 0;
}

static void offer_waits(uint64_t now_ms, uint64_t conn, const char *uuid)
{
	uint64_t other = 0;
	enum rds_reason why;
	assert_int_equal(
	        rds_pairing_offer(pairing, now_ms, conn, rds_view_text(uuid), &other, &why),
	        RDS_PAIRING_WAIT);
}

static void offer_meets(uint64_t now_ms, uint64_t conn, const char *uuid, uint64_t expected)
{
	uint64_t other = 0;
	enum rds_reason why;
	assert_int_equal(
	        rds_pairing_offer(pairing, now_ms, conn, rds_view_text(uuid), &other, &why),
	        RDS_PAIRING_PAIRED);
	assert_int_equal(other, expected);
}

static void offer_is_refused(uint64_t conn, struct rds_view uuid, enum rds_reason expected)
{
	uint64_t other = 0;
	enum rds_reason why;
	assert_int_equal(rds_pairing_offer(pairing, 1000, conn, uuid, &other, &why),
	                 RDS_PAIRING_REFUSED);
	assert_int_equal(why, expected);
}

static void second_meets_first(void **state)
{
	(void)state;
	offer_waits(1000, 1, "session-1");
	assert_int_equal(rds_pairing_waiting(pairing), 1);
	offer_meets(1000, 2, "session-1", 1);
	assert_int_equal(rds_pairing_waiting(pairing), 0);
}

// The uuid is free again: a third waits for a fourth.
static void uuid_is_free_again(void **state)
{
	(void)state;
	offer_waits(1000, 1, "session-1");
	offer_meets(1001, 2, "session-1", 1);
	offer_waits(1002, 3, "session-1");
	offer_meets(1003, 4, "session-1", 3);
}

static void sessions_keep_apart(void **state)
{
	(void)state;
	offer_waits(1000, 1, "session-1");
	offer_waits(1000, 2, "session-2");
	offer_waits(1000, 3, "session-");
	offer_waits(1000, 4, "session-11");
	offer_waits(1000, 5, "Session-1");
	offer_meets(1000, 6, "session-2", 2);
	offer_meets(1000, 7, "session-1", 1);
	assert_int_equal(rds_pairing_waiting(pairing), 3);
}

static void uuids_have_a_length(void **state)
{
	(void)state;
	char uuid[RDS_RELAY_UUID_MAX_BYTES + 2];
	memset(uuid, 'u', sizeof uuid);
	offer_is_refused(1, rds_view_of(NULL, 0), RDS_WHY_UUID_EMPTY);
	offer_is_refused(2, rds_view_of(uuid, RDS_RELAY_UUID_MAX_BYTES + 1), RDS_WHY_UUID_TOO_LONG);
	assert_int_equal(rds_pairing_waiting(pairing), 0);
	uuid[RDS_RELAY_UUID_MAX_BYTES] = '\0';
	offer_waits(1000, 3, uuid);
	offer_meets(1000, 4, uuid, 3);
	offer_waits(1000, 5, "u");
}

static void cancelled_ones_are_not_met(void **state)
{
	(void)state;
	offer_waits(1000, 1, "session-1");
	offer_waits(1000, 2, "session-2");
	rds_pairing_cancel(pairing, 1);
	rds_pairing_cancel(pairing, 1);
	rds_pairing_cancel(pairing, 99);
	offer_waits(1000, 3, "session-1");
	offer_meets(1000, 4, "session-2", 2);
	rds_pairing_cancel(pairing, 2); // met already
	offer_meets(1000, 5, "session-1", 3);
}

// Up to 30 s.
static void waiting_ends_after_thirty_seconds(void **state)
{
	(void)state;
	uint64_t conn = 0;
	assert_false(rds_pairing_expire(pairing, 1000, &conn));
	offer_waits(1000, 1, "session-1");
	offer_waits(2000, 2, "session-2");
	offer_waits(2000, 3, "session-3");
	offer_waits(9000, 4, "session-4");
	assert_false(rds_pairing_expire(pairing, 30999, &conn));
	offer_meets(30999, 5, "session-3", 3);
	assert_true(rds_pairing_expire(pairing, 31000, &conn));
	assert_int_equal(conn, 1);
	assert_false(rds_pairing_expire(pairing, 31999, &conn));
	assert_true(rds_pairing_expire(pairing, 32000, &conn));
	assert_int_equal(conn, 2);
	assert_false(rds_pairing_expire(pairing, 32000, &conn));
	offer_waits(32000, 6, "session-1"); // expired: starts anew
	offer_meets(38000, 7, "session-4", 4);
	assert_true(rds_pairing_expire(pairing, 62000, &conn));
	assert_int_equal(conn, 6);
	assert_int_equal(rds_pairing_waiting(pairing), 0);
}

// One behind the other in time, whatever is taken out in between.
static void order_survives_removals(void **state)
{
	(void)state;
	uint64_t conn = 0;
	char uuid[32];
	for (uint64_t i = 1; i <= 100; i++) {
		(void)snprintf(uuid, sizeof uuid, "session-%d", (int)i);
		offer_waits(1000 + i, i, uuid);
	}
	rds_pairing_cancel(pairing, 1);
	rds_pairing_cancel(pairing, 100);
	for (uint64_t i = 10; i < 100; i += 10)
		rds_pairing_cancel(pairing, i);
	offer_meets(2000, 200, "session-55", 55);
	for (uint64_t i = 2; i < 100; i++) {
		if (i % 10 == 0 || i == 55)
			continue;
		assert_true(rds_pairing_expire(pairing, 100000, &conn));
		assert_int_equal(conn, i);
	}
	assert_false(rds_pairing_expire(pairing, 100000, &conn));
}

static void full_still_pairs(void **state)
{
	(void)state;
	char uuid[32];
	for (uint64_t i = 1; i <= RDS_RELAY_WAITING; i++) {
		(void)snprintf(uuid, sizeof uuid, "session-%d", (int)i);
		offer_waits(1000, i, uuid);
	}
	assert_int_equal(rds_pairing_waiting(pairing), RDS_RELAY_WAITING);
	offer_is_refused(50000, rds_view_text("one-more"), RDS_WHY_RELAY_FULL);
	assert_int_equal(rds_pairing_waiting(pairing), RDS_RELAY_WAITING);
	offer_meets(1000, 50001, "session-777", 777);
	offer_waits(1000, 50002, "one-more");
	offer_meets(1000, 50003, "one-more", 50002);
	rds_pairing_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pairing, close_pairing)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(second_meets_first),         TEST(uuid_is_free_again),
	        TEST(sessions_keep_apart),        TEST(uuids_have_a_length),
	        TEST(cancelled_ones_are_not_met), TEST(waiting_ends_after_thirty_seconds),
	        TEST(order_survives_removals),    TEST(full_still_pairs),
	};
	return cmocka_run_group_tests_name("pairing", tests, NULL, NULL);
}
