// SPDX-License-Identifier: MIT
// Goal: registrations that are still on their way to the disk, and those that don't get there.
#include "test/unit/world.h"

static struct rds_path here, there;

static int set_up(void **state)
{
	(void)state;
	here = path_of("203.0.113.7", 5000);
	there = path_of("198.51.100.7", 5000);
	return 0;
}

static uint64_t send_and_take_ticket(struct world *w, const char *id, const char *uuid,
                                     const char *pk, const struct rds_path *from)
{
	send_register_pk(w, id, uuid, pk, from);
	uint64_t ticket = expect_store(w)->ticket;
	expect_nothing(w);
	return ticket;
}

// To everybody else the id isn't there yet.
static void pending_id_is_unknown_to_others(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr a = addr_of("192.0.2.1", 40000);
	uint64_t ticket = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	send_punch(w, 1, &a, "ridge-042");
	assert_int_equal(expect_payload(w, 1)->len, 2); // ID_NOT_EXIST
	send_request_relay(w, 1, &a, "ridge-042", "session");
	assert_int_equal(expect_payload(w, 1)->msg.which_member, 19);
	assert_false(is_online(w, "ridge-042"));
	send_register_peer(w, "ridge-042", 0, &here);
	expect_request_pk(w, &here, true);
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 0);
	stored(w, ticket, true);
	expect_result(w, &here, OK);
	assert_true(is_online(w, "ridge-042"));
	world_close(w);
}

// Two uuids never both get OK for one id.
static void second_uuid_is_refused_meanwhile(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	uint64_t ticket = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	send_register_pk(w, "ridge-042", "uuid-2", "pk-2", &there);
	expect_result(w, &there, UUID_MISMATCH);
	send_register_pk(w, "ridge-042", "uuid-2", "pk-1", &there);
	expect_result(w, &there, UUID_MISMATCH);
	send_register_pk(w, "ridge-042", "uuid-2", "pk-2", &here);
	expect_result(w, &here, UUID_MISMATCH);
	assert_int_equal(counted(w, RDS_WHY_UUID_MISMATCH), 3);
	stored(w, ticket, true);
	expect_result(w, &here, OK);
	send_register_pk(w, "ridge-042", "uuid-2", "pk-2", &there);
	expect_result(w, &there, UUID_MISMATCH);
	world_close(w);
}

// B repeats what isn't answered: each of its tries is answered when it is on disk.
static void repeated_try_is_stored_too(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	uint64_t first = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	w->now_ms += 3000;
	uint64_t second = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 1);
	assert_int_equal(rds_rendezvous_status(w->rules).stores_pending, 2);
	stored(w, first, true);
	expect_result(w, &here, OK);
	expect_nothing(w);
	stored(w, second, true);
	expect_result(w, &here, OK);
	world_close(w);
}

static void completions_may_come_in_any_order(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path paths[5];
	uint64_t tickets[5];
	static const size_t order[] = {3, 0, 4, 2, 1};
	for (size_t i = 0; i < 5; i++) {
		char id[16];
		(void)snprintf(id, sizeof id, "ridge-%zu", i);
		paths[i] = path_of("203.0.113.7", (uint16_t)(5000 + i));
		tickets[i] = send_and_take_ticket(w, id, "uuid-1", "pk-1", &paths[i]);
	}
	for (size_t i = 0; i < 5; i++) {
		stored(w, tickets[order[i]], true);
		expect_result(w, &paths[order[i]], OK);
		expect_nothing(w);
	}
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 5);
	world_close(w);
}

static void failed_store_frees_the_id(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	uint64_t ticket = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	stored(w, ticket, false);
	expect_result(w, &here, SERVER_ERROR);
	assert_int_equal(counted(w, RDS_WHY_STORE_FAILED), 1);
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 0);
	assert_int_equal(rds_rendezvous_status(w->rules).stores_pending, 0);
	registered(w, "ridge-042", "uuid-2", "pk-2", &there);
	world_close(w);
}

// The disk doesn't even take it.
static void refused_store_frees_the_id(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	w->store_rc = -RDS_EFULL;
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &here);
	expect_result(w, &here, SERVER_ERROR);
	assert_int_equal(counted(w, RDS_WHY_STORES_FULL), 1);
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 0);
	assert_int_equal(rds_rendezvous_status(w->rules).stores_pending, 0);
	w->store_rc = 0;
	registered(w, "ridge-042", "uuid-2", "pk-2", &there);
	world_close(w);
}

// First of two fails: the id is still on its way. Both fail: it is free.
static void one_of_two_stores_fails(void **state)
{
	(void)state;
	for (int which = 0; which < 2; which++) {
		struct world *w = world_open(NULL);
		uint64_t tickets[2];
		tickets[0] = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
		tickets[1] = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
		stored(w, tickets[which], false);
		expect_result(w, &here, SERVER_ERROR);
		send_register_pk(w, "ridge-042", "uuid-2", "pk-2", &there);
		expect_result(w, &there, UUID_MISMATCH);
		assert_false(is_online(w, "ridge-042"));
		stored(w, tickets[1 - which], true);
		expect_result(w, &here, OK);
		assert_true(is_online(w, "ridge-042"));
		world_close(w);
	}
}

static void both_stores_fail(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	uint64_t first = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	uint64_t second = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	stored(w, first, false);
	expect_result(w, &here, SERVER_ERROR);
	stored(w, second, false);
	expect_result(w, &here, SERVER_ERROR);
	registered(w, "ridge-042", "uuid-2", "pk-2", &there);
	world_close(w);
}

// A second store that fails takes nothing away from a first that didn't.
static void later_failure_keeps_what_is_on_file(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	uint64_t first = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	uint64_t second = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	stored(w, first, true);
	expect_result(w, &here, OK);
	stored(w, second, false);
	expect_result(w, &here, SERVER_ERROR);
	assert_true(is_online(w, "ridge-042"));
	send_register_pk(w, "ridge-042", "uuid-2", "pk-2", &there);
	expect_result(w, &there, UUID_MISMATCH);
	world_close(w);
}

// A change that can't be stored didn't happen: address, key and online time stay as they were.
static void failed_change_changes_nothing(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr a = addr_of("192.0.2.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &here);
	w->now_ms += 20000;
	uint64_t ticket = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &there);
	stored(w, ticket, false);
	expect_result(w, &there, SERVER_ERROR);
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &here, 9);
	ticket = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-2", &here);
	stored(w, ticket, false);
	expect_result(w, &here, SERVER_ERROR);
	w->now_ms += 9999;
	assert_true(is_online(w, "ridge-042"));
	w->now_ms += 1;
	assert_false(is_online(w, "ridge-042"));
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &here);
	expect_result(w, &here, OK); // confirms what is still on file
	world_close(w);
}

// What is on file while a change is pending isn't what will be: confirming it has to wait too.
static void confirmation_behind_a_pending_change_is_stored(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	registered(w, "ridge-042", "uuid-1", "pk-1", &here);
	uint64_t change = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-2", &here);
	uint64_t back = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	stored(w, change, true);
	expect_result(w, &here, OK);
	stored(w, back, true);
	expect_result(w, &here, OK);
	w->now_ms += RDS_ID_TRIES_WINDOW_MS;
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &here);
	expect_result(w, &here, OK);
	world_close(w);
}

// OK is what opens the 30 s, not the request.
static void online_time_starts_with_the_answer(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	uint64_t ticket = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	w->now_ms += 20000;
	stored(w, ticket, true);
	expect_result(w, &here, OK);
	w->now_ms += 29999;
	assert_true(is_online(w, "ridge-042"));
	world_close(w);
}

static void unknown_tickets_are_harmless(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	uint64_t ticket = send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	stored(w, ticket + 1, true);
	stored(w, 0, false);
	expect_nothing(w);
	stored(w, ticket, true);
	expect_result(w, &here, OK);
	stored(w, ticket, true);
	stored(w, ticket, false);
	expect_nothing(w);
	assert_true(is_online(w, "ridge-042"));
	world_close(w);
}

static void pending_stores_are_bounded(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	w->deaf = true;
	for (unsigned i = 0; i < RDS_STORES_PENDING; i++) {
		char id[32];
		(void)snprintf(id, sizeof id, "id-%06u", i);
		// Slower than what an unproven address may ask.
		w->now_ms += 10;
		send_register_pk(w, id, "uuid-1", "pk-1", &here);
	}
	w->deaf = false;
	assert_int_equal(rds_rendezvous_status(w->rules).stores_pending, RDS_STORES_PENDING);
	send_register_pk(w, "one-more", "uuid-1", "pk-1", &here);
	expect_result(w, &here, SERVER_ERROR);
	assert_int_equal(counted(w, RDS_WHY_STORES_FULL), 1);
	stored(w, w->last_ticket, true);
	expect_result(w, &here, OK);
	registered(w, "one-more", "uuid-1", "pk-1", &here);
	world_close(w);
}

// Freed with writes under way: nothing leaks, nothing is answered.
static void end_with_stores_pending(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	(void)send_and_take_ticket(w, "ridge-042", "uuid-1", "pk-1", &here);
	(void)send_and_take_ticket(w, "ridge-043", "uuid-1", "pk-1", &there);
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(pending_id_is_unknown_to_others),
	        cmocka_unit_test(second_uuid_is_refused_meanwhile),
	        cmocka_unit_test(repeated_try_is_stored_too),
	        cmocka_unit_test(completions_may_come_in_any_order),
	        cmocka_unit_test(failed_store_frees_the_id),
	        cmocka_unit_test(refused_store_frees_the_id),
	        cmocka_unit_test(one_of_two_stores_fails),
	        cmocka_unit_test(both_stores_fail),
	        cmocka_unit_test(later_failure_keeps_what_is_on_file),
	        cmocka_unit_test(failed_change_changes_nothing),
	        cmocka_unit_test(confirmation_behind_a_pending_change_is_stored),
	        cmocka_unit_test(online_time_starts_with_the_answer),
	        cmocka_unit_test(unknown_tickets_are_harmless),
	        cmocka_unit_test(pending_stores_are_bounded),
	        cmocka_unit_test(end_with_stores_pending),
	};
	return cmocka_run_group_tests_name("rendezvous_pending", tests, set_up, NULL);
}
