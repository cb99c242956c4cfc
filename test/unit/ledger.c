// SPDX-License-Identifier: MIT
// Goal: the ledger of attempts: bounded, newest first, with every step's time.
#include "test/unit/testing.h"

#include "core/ledger.h"

static struct rds_ledger *ledger;

static int set_up(void **state)
{
	(void)state;
	ledger = rds_ledger_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rds_ledger_free(ledger);
	return 0;
}

static struct rds_attempt *add(uint64_t now_ms, const char *ip, uint16_t port, const char *id)
{
	struct rds_addr from = addr_of(ip, port);
	return rds_ledger_add(ledger, now_ms, &from, rds_view_text(id));
}

static struct rds_attempt *last(const char *ip, uint16_t port, const char *id)
{
	struct rds_addr from = addr_of(ip, port);
	return rds_ledger_last(ledger, &from, rds_view_text(id));
}

static void empty_has_nothing(void **state)
{
	(void)state;
	uint64_t at = 0;
	assert_null(rds_ledger_next(ledger, &at));
	assert_null(rds_ledger_find(ledger, 0));
	assert_null(rds_ledger_find(ledger, 1));
	assert_null(rds_ledger_find(ledger, RDS_LEDGER_ATTEMPTS));
	assert_null(last("203.0.113.7", 5000, ""));
}

static void new_attempt_is_open_and_asked(void **state)
{
	(void)state;
	const struct rds_attempt *attempt = add(1000, "203.0.113.7", 5000, "ridge-042");
	struct rds_addr from = addr_of("203.0.113.7", 5000);
	assert_int_equal(attempt->number, 1);
	assert_int_equal(attempt->at_ms, 1000);
	assert_true(rds_addr_equal(&attempt->from, &from));
	assert_int_equal(attempt->route, RDS_ROUTE_NONE);
	assert_int_equal(attempt->verdict, RDS_VERDICT_OPEN);
	assert_int_equal(attempt->why, RDS_WHY_NONE);
	assert_int_equal(attempt->seen_ms, 0);
	assert_int_equal(attempt->n_steps, 1);
	assert_int_equal(attempt->steps[0].step, RDS_STEP_ASKED);
	assert_int_equal(attempt->steps[0].after_ms, 0);
	assert_view_text(rds_view_of(attempt->id, attempt->id_len), "ridge-042");
	assert_string_equal(attempt->uuid, "");
	assert_ptr_equal(rds_ledger_find(ledger, 1), attempt);
	assert_int_equal(add(1001, "203.0.113.7", 5000, "")->number, 2);
}

static void steps_have_their_times_and_a_bound(void **state)
{
	(void)state;
	struct rds_attempt *attempt = add(1000, "203.0.113.7", 5000, "ridge-042");
	rds_attempt_step(NULL, 1000, RDS_STEP_LATE);
	for (uint64_t i = 1; i < RDS_ATTEMPT_STEPS; i++)
		rds_attempt_step(attempt, 1000 + 10 * i, RDS_STEP_PASSED_ON);
	assert_int_equal(attempt->n_steps, RDS_ATTEMPT_STEPS);
	rds_attempt_step(attempt, 999999, RDS_STEP_LATE);
	assert_int_equal(attempt->n_steps, RDS_ATTEMPT_STEPS);
	for (size_t i = 1; i < RDS_ATTEMPT_STEPS; i++) {
		assert_int_equal(attempt->steps[i].step, RDS_STEP_PASSED_ON);
		assert_int_equal(attempt->steps[i].after_ms, 10 * i);
	}
	assert_int_equal(attempt->id_len, 9); // what lies behind the steps is untouched
}

static void session_has_a_short_form(void **state)
{
	(void)state;
	struct rds_attempt *attempt = add(1000, "203.0.113.7", 5000, "ridge-042");
	rds_attempt_session(NULL, rds_view_text("b5e8a3f0"));
	rds_attempt_session(attempt, rds_view_text("b5e8a3f0-1111-4222-8333-944445555666"));
	assert_string_equal(attempt->uuid, "b5e8a3f0");
	rds_attempt_session(attempt, rds_view_text("")); // says nothing, changes nothing
	assert_string_equal(attempt->uuid, "b5e8a3f0");
	rds_attempt_session(attempt, rds_view_text("ab"));
	assert_string_equal(attempt->uuid, "ab");
}

static void longest_id_fits_and_longer_ones_are_cut(void **state)
{
	(void)state;
	char id[RDS_ID_MAX_BYTES + 51];
	memset(id, 'x', sizeof id);
	id[sizeof id - 1] = '\0';
	const struct rds_attempt *attempt = add(1000, "203.0.113.7", 5000, id);
	assert_int_equal(attempt->id_len, RDS_ID_MAX_BYTES);
	id[RDS_ID_MAX_BYTES] = '\0';
	attempt = add(1000, "203.0.113.7", 5000, id);
	assert_view_text(rds_view_of(attempt->id, attempt->id_len), id);
}

static void oldest_makes_room(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= RDS_LEDGER_ATTEMPTS; i++)
		assert_int_equal(add(i, "203.0.113.7", 5000, "ridge-042")->number, i);
	assert_non_null(rds_ledger_find(ledger, 1));
	struct rds_attempt *second = rds_ledger_find(ledger, 2);
	rds_attempt_session(second, rds_view_text("b5e8a3f0"));
	second->verdict = RDS_VERDICT_REFUSED;
	(void)add(5000, "203.0.113.8", 5001, "crest-007");
	assert_null(rds_ledger_find(ledger, 1));
	assert_ptr_equal(rds_ledger_find(ledger, 2), second);
	(void)add(5001, "203.0.113.8", 5001, "crest-007");
	assert_null(rds_ledger_find(ledger, 2));
	// Nothing of it is left in the place.
	const struct rds_attempt *now = rds_ledger_find(ledger, RDS_LEDGER_ATTEMPTS + 2);
	assert_string_equal(now->uuid, "");
	assert_int_equal(now->verdict, RDS_VERDICT_OPEN);
	assert_int_equal(now->n_steps, 1);
	assert_null(rds_ledger_find(ledger, RDS_LEDGER_ATTEMPTS + 3));
}

static void walk_goes_from_the_newest_to_the_oldest(void **state)
{
	(void)state;
	static const uint64_t totals[] = {1, 3, RDS_LEDGER_ATTEMPTS, 3 * RDS_LEDGER_ATTEMPTS + 7};
	uint64_t added = 0;
	for (size_t i = 0; i < COUNT(totals); i++) {
		for (; added < totals[i]; added++)
			(void)add(added, "203.0.113.7", 5000, "ridge-042");
		uint64_t at = 0;
		uint64_t expected = added;
		uint64_t n = 0;
		for (const struct rds_attempt *a; (a = rds_ledger_next(ledger, &at)) != NULL; n++)
			assert_int_equal(a->number, expected--);
		assert_int_equal(n, added < RDS_LEDGER_ATTEMPTS ? added : RDS_LEDGER_ATTEMPTS);
	}
}

static void last_is_by_address_and_id(void **state)
{
	(void)state;
	(void)add(1, "203.0.113.7", 5000, "ridge-042");
	(void)add(2, "203.0.113.7", 5000, "crest-007");
	(void)add(3, "203.0.113.7", 5001, "ridge-042");
	(void)add(4, "203.0.113.8", 5000, "ridge-042");
	(void)add(5, "203.0.113.7", 5000, "ridge-042");
	assert_int_equal(last("203.0.113.7", 5000, "ridge-042")->number, 5);
	assert_int_equal(last("203.0.113.7", 5000, "crest-007")->number, 2);
	assert_int_equal(last("203.0.113.7", 5001, "")->number, 3);
	assert_int_equal(last("203.0.113.7", 5000, "")->number, 5);
	assert_int_equal(last("203.0.113.8", 5000, "ridge-042")->number, 4);
	assert_null(last("203.0.113.8", 5000, "crest-007"));
	assert_null(last("203.0.113.8", 5001, ""));
	assert_null(last("203.0.113.7", 5000, "ridge-04"));
}

// Whoever still waits goes on: only the list is empty.
static void cleared_ledger_shows_nothing_old(void **state)
{
	(void)state;
	uint64_t waiting = 0;
	for (int i = 0; i < 5; i++)
		waiting = add(1, "203.0.113.7", 5000, "ridge-042")->number;
	assert_int_equal(rds_ledger_count(ledger), 5);
	rds_ledger_clear(ledger);
	uint64_t at = 0;
	assert_int_equal(rds_ledger_count(ledger), 0);
	assert_null(rds_ledger_next(ledger, &at));
	assert_int_equal(rds_ledger_find(ledger, waiting)->number, waiting);
	(void)add(2, "203.0.113.7", 5001, "crest-007");
	at = 0;
	assert_int_equal(rds_ledger_next(ledger, &at)->number, waiting + 1);
	assert_null(rds_ledger_next(ledger, &at));
	for (int i = 0; i < RDS_LEDGER_ATTEMPTS + 5; i++)
		(void)add(3, "203.0.113.7", 5000, "ridge-042");
	assert_int_equal(rds_ledger_count(ledger), RDS_LEDGER_ATTEMPTS);
}

static void results_are_one_phrase(void **state)
{
	(void)state;
	struct rds_attempt *attempt = add(1, "203.0.113.7", 5000, "ridge-042");
	assert_string_equal(rds_attempt_result(attempt), "waiting");
	attempt->verdict = RDS_VERDICT_REFUSED;
	attempt->why = RDS_WHY_ID_OFFLINE;
	assert_string_equal(rds_attempt_result(attempt), "id-offline");
	attempt->verdict = RDS_VERDICT_ANSWERED;
	assert_string_equal(rds_attempt_result(attempt), "answered");
}

static void everything_has_a_name(void **state)
{
	(void)state;
	for (int i = RDS_ROUTE_NONE; i <= RDS_ROUTE_RELAY; i++)
		assert_true(strlen(rds_route_name((enum rds_route)i)) > 0);
	for (int i = RDS_STEP_ASKED; i <= RDS_STEP_LATE; i++)
		assert_true(strlen(rds_step_name((enum rds_step)i)) > 0);
	for (int i = RDS_VERDICT_OPEN; i <= RDS_VERDICT_LATE; i++)
		assert_true(strlen(rds_verdict_name((enum rds_verdict)i)) > 0);
	assert_string_equal(rds_relay_why_name(RDS_RELAY_NOT), "");
	for (int i = RDS_RELAY_ALWAYS; i <= RDS_RELAY_ASKED; i++)
		assert_true(strlen(rds_relay_why_name((enum rds_relay_why)i)) > 0);
	assert_string_equal(rds_route_name(RDS_ROUTE_RELAY), "relay");
	assert_string_equal(rds_step_name(RDS_STEP_LATE), "answered too late");
	assert_string_equal(rds_verdict_name(RDS_VERDICT_LATE), "answer came too late");
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        ROW(empty_has_nothing),
	        ROW(new_attempt_is_open_and_asked),
	        ROW(steps_have_their_times_and_a_bound),
	        ROW(session_has_a_short_form),
	        ROW(longest_id_fits_and_longer_ones_are_cut),
	        ROW(oldest_makes_room),
	        ROW(walk_goes_from_the_newest_to_the_oldest),
	        ROW(last_is_by_address_and_id),
	        ROW(cleared_ledger_shows_nothing_old),
	        ROW(results_are_one_phrase),
	        ROW(everything_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
