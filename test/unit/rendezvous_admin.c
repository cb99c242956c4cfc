// SPDX-License-Identifier: MIT
// Goal: who may be here: enrolment, approving, banning and forgetting, with a disk that may fail;
// the list of refused registrations.
#include "test/unit/world.h"

#include "core/rendezvous_admin.h"

static struct rds_path b_path(void)
{
	return path_of("203.0.113.7", 5000);
}

static struct world *start(enum rds_enrol enrol)
{
	struct rds_rendezvous_config config = {.enrol = enrol};
	return world_open(&config);
}

static int set_state(struct world *w, const char *id, enum rds_peer_state state)
{
	return rds_rendezvous_set_state(w->rules, rds_view_text(id), state);
}

static int forget(struct world *w, const char *id)
{
	return rds_rendezvous_forget(w->rules, rds_view_text(id));
}

static struct rds_peer_info info_of(struct world *w, const char *id)
{
	struct rds_peer_info info;
	assert_true(rds_rendezvous_peer(w->rules, w->now_ms, rds_view_text(id), &info));
	return info;
}

static bool is_known(struct world *w, const char *id)
{
	struct rds_peer_info info;
	return rds_rendezvous_peer(w->rules, w->now_ms, rds_view_text(id), &info);
}

// A new state, from end to end.
static void set_state_safely(struct world *w, const char *id, enum rds_peer_state state)
{
	assert_int_equal(set_state(w, id, state), 0);
	const struct world_event *event = expect_write(w, SET_STATE);
	assert_view_text(event->row.id, id);
	assert_int_equal(event->row.state, state);
	stored(w, event->ticket, true);
	expect_nothing(w); // nobody is told
}

// What A is told who asks for id.
static int32_t failure_for(struct world *w, const char *id)
{
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	send_punch(w, 777, &a, id);
	const struct world_event *event = expect_payload(w, 777);
	assert_int_equal(event->msg.which_member, rds_RendezvousMessage_punch_hole_response_tag);
	return event->msg.member.punch_hole_response.failure;
}

static void assert_unreachable(struct world *w, const char *id)
{
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	assert_int_equal(failure_for(w, id), rds_PunchHoleResponse_Failure_OFFLINE);
	assert_false(is_online(w, id));
	send_request_relay(w, 778, &a, id, "session");
	const struct world_event *event = expect_payload(w, 778);
	assert_int_equal(event->msg.which_member, rds_RendezvousMessage_relay_response_tag);
	assert_true(event->msg.member.relay_response.refuse_reason.size > 0);
}

// Enrolment.

static void open_takes_everybody(void **state)
{
	(void)state;
	struct world *w = start(RDS_ENROL_OPEN);
	struct rds_path b = b_path();
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	const struct world_event *event = expect_store(w);
	assert_int_equal(event->row.state, RDS_PEER_APPROVED);
	stored(w, event->ticket, true);
	expect_result(w, &b, OK);
	assert_int_equal(info_of(w, "ridge-042").state, RDS_PEER_APPROVED);
	world_close(w);
}

static void approve_stores_and_waits(void **state)
{
	(void)state;
	struct world *w = start(RDS_ENROL_APPROVE);
	struct rds_path b = b_path();
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	const struct world_event *event = expect_store(w);
	assert_int_equal(event->row.state, RDS_PEER_PENDING);
	stored(w, event->ticket, true);
	expect_result(w, &b, NOT_DEPLOYED);
	assert_int_equal(info_of(w, "ridge-042").state, RDS_PEER_PENDING);
	assert_unreachable(w, "ridge-042");
	// It asks again every 30 s: not stored once more, not answered with anything else.
	w->now_ms += 30000;
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, NOT_DEPLOYED);
	send_register_peer(w, "ridge-042", 0, &b);
	expect_request_pk(w, &b, true);
	assert_unreachable(w, "ridge-042");
	set_state_safely(w, "ridge-042", RDS_PEER_APPROVED);
	assert_false(is_online(w, "ridge-042")); // not before it comes again
	w->now_ms += 30000;
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	assert_true(is_online(w, "ridge-042"));
	world_close(w);
}

static void approve_over_connections(void **state)
{
	(void)state;
	struct world *w = start(RDS_ENROL_APPROVE);
	struct rds_addr b = addr_of("203.0.113.7", 5000);
	conn_register(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	stored(w, expect_store(w)->ticket, true);
	const rds_RegisterPkResponse *answer = world_conn_answer(w, 1, __FILE__, __LINE__);
	assert_int_equal(answer->result, rds_RegisterPkResponse_Result_NOT_DEPLOYED);
	assert_int_equal(answer->keep_alive, 0);
	assert_int_equal(w->kept, 0);
	assert_unreachable(w, "ridge-042");
	set_state_safely(w, "ridge-042", RDS_PEER_APPROVED);
	conn_register(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	assert_true(is_online(w, "ridge-042"));
	world_close(w);
}

// Whoever was there before needs no approval.
static void approve_lets_known_ids_be(void **state)
{
	(void)state;
	struct world *w = start(RDS_ENROL_APPROVE);
	struct rds_path moved = path_of("192.0.2.9", 5000);
	load(w, "ridge-042", "uuid-1", "pk-1", "203.0.113.7");
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &moved);
	const struct world_event *event = expect_store(w);
	stored(w, event->ticket, true);
	expect_result(w, &moved, OK);
	assert_int_equal(info_of(w, "ridge-042").state, RDS_PEER_APPROVED);
	world_close(w);
}

static void closed_takes_only_known_ids(void **state)
{
	(void)state;
	struct world *w = start(RDS_ENROL_CLOSED);
	struct rds_path b = b_path();
	load(w, "ridge-042", "uuid-1", "pk-1", "203.0.113.7");
	send_register_pk(w, "crest-007", "uuid-2", "pk-2", &b);
	expect_result(w, &b, NOT_DEPLOYED);
	assert_int_equal(counted(w, RDS_WHY_NOT_ENROLLED), 1);
	assert_false(is_known(w, "crest-007"));
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	send_register_pk(w, "ridge-042", "uuid-2", "pk-1", &b);
	expect_result(w, &b, UUID_MISMATCH);
	rds_rendezvous_set_enrol(w->rules, RDS_ENROL_OPEN); // at run time
	send_register_pk(w, "crest-007", "uuid-2", "pk-2", &b);
	(void)expect_store(w);
	world_close(w);
}

static void states_on_file_hold_after_a_restart(void **state)
{
	(void)state;
	static const enum rds_peer_state states[] = {RDS_PEER_PENDING, RDS_PEER_BANNED};
	for (size_t i = 0; i < COUNT(states); i++) {
		struct world *w = start(RDS_ENROL_OPEN);
		struct rds_path b = b_path();
		struct rds_peer_row row = {.id = rds_view_text("ridge-042"),
		                           .uuid = rds_view_text("uuid-1"),
		                           .pk = rds_view_text("pk-1"),
		                           .ip = b.remote.ip,
		                           .state = states[i]};
		assert_int_equal(rds_rendezvous_load(w->rules, &row), 0);
		send_register_peer(w, "ridge-042", 0, &b);
		expect_request_pk(w, &b, true);
		send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
		expect_result(w, &b, NOT_DEPLOYED);
		assert_unreachable(w, "ridge-042");
		world_close(w);
	}
}

// Banning.

static void banned_is_offline_at_once(void **state)
{
	(void)state;
	struct world *w = start(RDS_ENROL_OPEN);
	struct rds_path b = b_path();
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	assert_int_equal(set_state(w, "ridge-042", RDS_PEER_BANNED), 0);
	uint64_t ticket = expect_write(w, SET_STATE)->ticket;
	assert_unreachable(w, "ridge-042"); // before it is on disk
	stored(w, ticket, true);
	send_register_peer(w, "ridge-042", 0, &b);
	expect_request_pk(w, &b, true);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, NOT_DEPLOYED);
	assert_int_equal(counted(w, RDS_WHY_BANNED), 1);
	assert_unreachable(w, "ridge-042");
	set_state_safely(w, "ridge-042", RDS_PEER_APPROVED); // unbanned
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	assert_true(is_online(w, "ridge-042"));
	world_close(w);
}

static void banned_loses_its_connection(void **state)
{
	(void)state;
	static const enum rds_peer_state states[] = {RDS_PEER_PENDING, RDS_PEER_BANNED};
	for (size_t i = 0; i < COUNT(states); i++) {
		struct world *w = start(RDS_ENROL_OPEN);
		struct rds_addr b = addr_of("203.0.113.7", 5000);
		conn_registered(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
		assert_int_equal(set_state(w, "ridge-042", states[i]), 0);
		stored(w, expect_write(w, SET_STATE)->ticket, true);
		expect_close(w, 1, RDS_WHY_NOT_ALLOWED);
		assert_unreachable(w, "ridge-042");
		rds_rendezvous_closed(w->rules, 1);
		conn_register(w, 2, &b, "ridge-042", "uuid-1", "pk-1");
		expect_conn_result(w, 2, NOT_DEPLOYED);
		assert_int_equal(w->kept, 1); // of the first connection
		world_close(w);
	}
}

// What can't be stored doesn't hold: it would be otherwise after the next start.
static void failed_ban_is_none(void **state)
{
	(void)state;
	struct world *w = start(RDS_ENROL_OPEN);
	struct rds_path b = b_path();
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	assert_int_equal(set_state(w, "ridge-042", RDS_PEER_BANNED), 0);
	log_capture(RDS_LOG_ERROR);
	stored(w, expect_write(w, SET_STATE)->ticket, false);
	assert_contains(log_captured(), "not stored");
	log_release();
	assert_int_equal(counted(w, RDS_WHY_STORE_FAILED), 1);
	assert_int_equal(info_of(w, "ridge-042").state, RDS_PEER_APPROVED);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	w->store_rc = -RDS_EFULL; // the disk takes nothing at all
	assert_int_equal(set_state(w, "ridge-042", RDS_PEER_BANNED), -RDS_EFULL);
	assert_int_equal(forget(w, "ridge-042"), -RDS_EFULL);
	assert_int_equal(rds_rendezvous_status(w->rules).stores_pending, 0);
	assert_true(is_online(w, "ridge-042"));
	w->store_rc = 0;
	set_state_safely(w, "ridge-042", RDS_PEER_BANNED); // nothing is left in the way
	world_close(w);
}

static void failed_approval_is_none(void **state)
{
	(void)state;
	struct world *w = start(RDS_ENROL_APPROVE);
	struct rds_path b = b_path();
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	stored(w, expect_store(w)->ticket, true);
	expect_result(w, &b, NOT_DEPLOYED);
	assert_int_equal(set_state(w, "ridge-042", RDS_PEER_APPROVED), 0);
	stored(w, expect_write(w, SET_STATE)->ticket, false);
	assert_int_equal(info_of(w, "ridge-042").state, RDS_PEER_PENDING);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, NOT_DEPLOYED);
	world_close(w);
}

static void only_settled_ids_are_changed(void **state)
{
	(void)state;
	struct world *w = start(RDS_ENROL_OPEN);
	struct rds_path b = b_path();
	assert_int_equal(set_state(w, "nobody-01", RDS_PEER_BANNED), -RDS_ENOENT);
	assert_int_equal(forget(w, "nobody-01"), -RDS_ENOENT);
	assert_int_equal(forget(w, ""), -RDS_ENOENT);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	uint64_t ticket = expect_store(w)->ticket;
	assert_int_equal(set_state(w, "ridge-042", RDS_PEER_BANNED), -RDS_ENOENT); // not yet
	assert_int_equal(forget(w, "ridge-042"), -RDS_ENOENT);
	stored(w, ticket, true);
	expect_result(w, &b, OK);
	struct rds_path moved = path_of("192.0.2.9", 5000);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &moved);
	ticket = expect_store(w)->ticket;
	assert_int_equal(set_state(w, "ridge-042", RDS_PEER_BANNED), -RDS_EBUSY);
	assert_int_equal(forget(w, "ridge-042"), -RDS_EBUSY);
	stored(w, ticket, true);
	expect_result(w, &moved, OK);
	assert_int_equal(set_state(w, "ridge-042", RDS_PEER_BANNED), 0);
	ticket = expect_write(w, SET_STATE)->ticket;
	assert_int_equal(set_state(w, "ridge-042", RDS_PEER_APPROVED), -RDS_EBUSY);
	assert_int_equal(forget(w, "ridge-042"), -RDS_EBUSY);
	stored(w, ticket, true);
	set_state_safely(w, "ridge-042", RDS_PEER_APPROVED);
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(open_takes_everybody),
	        cmocka_unit_test(approve_stores_and_waits),
	        cmocka_unit_test(approve_over_connections),
	        cmocka_unit_test(approve_lets_known_ids_be),
	        cmocka_unit_test(closed_takes_only_known_ids),
	        cmocka_unit_test(states_on_file_hold_after_a_restart),
	        cmocka_unit_test(banned_is_offline_at_once),
	        cmocka_unit_test(banned_loses_its_connection),
	        cmocka_unit_test(failed_ban_is_none),
	        cmocka_unit_test(failed_approval_is_none),
	        cmocka_unit_test(only_settled_ids_are_changed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
