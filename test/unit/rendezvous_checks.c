// SPDX-License-Identifier: MIT
// Goal: the ids of `rdsrv check` work as any others do, whatever limits and enrolment say; nothing
// of them goes to the disk, and nothing stays in memory when they are released or their minute is
// over.
#include "test/unit/world.h"

#include "core/rendezvous_admin.h"

#define ID "rdsrv-check-0123456789abcdef"

static const struct rds_rendezvous_config strict = {.enrol = RDS_ENROL_CLOSED,
                                                    .keep_alive_sec = 30,
                                                    .limits = {.per_minute = 1, .ids_per_day = 1}};

static int reserve(struct world *w, const char *id)
{
	return rds_rendezvous_reserve(w->rules, w->now_ms, rds_view_text(id));
}

// A world with ID reserved, where nobody else could register.
static struct world *start(void)
{
	struct world *w = world_open(&strict);
	rds_rendezvous_set_day(w->rules, 20000);
	assert_int_equal(reserve(w, ID), 0);
	assert_int_equal(rds_rendezvous_status(w->rules).check_ids, 1);
	return w;
}

static void assert_unknown(struct world *w, const char *id)
{
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	send_punch(w, 99, &a, id);
	assert_int_equal(expect_payload(w, 99)->msg.member.punch_hole_response.failure,
	                 rds_PunchHoleResponse_Failure_ID_NOT_EXIST);
	assert_false(is_online(w, id));
}

// Nothing is left: of the peers, of what is counted, of what goes to the disk.
static void assert_no_trace(struct world *w)
{
	struct rds_rendezvous_status status = rds_rendezvous_status(w->rules);
	const struct rds_refused *refused;
	assert_int_equal(status.peers, 0);
	assert_int_equal(status.check_ids, 0);
	assert_int_equal(status.stores_pending, 0);
	assert_int_equal(status.notes_pending, 0);
	assert_int_equal(status.limited_sources, 0);
	assert_int_equal(rds_rendezvous_refused(w->rules, &refused), 0);
	rds_rendezvous_write_notes(w->rules);
	expect_nothing(w);
}

static void datagrams_register_at_once(void **state)
{
	(void)state;
	struct world *w = start();
	struct rds_path b = path_of("203.0.113.7", 5000);
	assert_unknown(w, ID);
	send_register_peer(w, ID, 0, &b);
	expect_request_pk(w, &b, true);
	send_register_pk(w, ID, "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	send_register_peer(w, ID, 0, &b);
	expect_request_pk(w, &b, false);
	assert_true(is_online(w, ID));
	w->now_ms += RDS_ONLINE_MS;
	assert_false(is_online(w, ID));
	assert_true(rds_rendezvous_release(w->rules, rds_view_text(ID)));
	assert_unknown(w, ID);
	assert_no_trace(w);
	world_close(w);
}

static void connections_register_at_once(void **state)
{
	(void)state;
	static const enum rds_door doors[] = {RDS_DOOR_MAIN, RDS_DOOR_WEBSOCKET};
	for (size_t i = 0; i < 2; i++) {
		struct world *w = start();
		struct rds_addr b = addr_of("203.0.113.7", 5000);
		rds_message msg = register_pk(ID, "uuid-1", "pk-1");
		frame(w, doors[i], 1, &b, &msg);
		const rds_RegisterPkResponse *answer = world_conn_answer(w, 1, __FILE__, __LINE__);
		assert_int_equal(answer->result, rds_RegisterPkResponse_Result_OK);
		assert_int_equal(answer->keep_alive, 30);
		assert_true(is_online(w, ID));
		frame(w, doors[i], 2, &b, &msg);
		expect_close(w, 1, RDS_WHY_REPLACED);
		expect_conn_result(w, 2, OK);
		assert_true(rds_rendezvous_release(w->rules, rds_view_text(ID)));
		expect_close(w, 2, RDS_WHY_CHECK_OVER);
		rds_rendezvous_closed(w->rules, 2);
		assert_unknown(w, ID);
		assert_no_trace(w);
		world_close(w);
	}
}

static void closed_connection_is_offline(void **state)
{
	(void)state;
	struct world *w = start();
	struct rds_addr b = addr_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	conn_register(w, 1, &b, ID, "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	rds_rendezvous_closed(w->rules, 1);
	send_punch(w, 2, &a, ID);
	assert_int_equal(expect_payload(w, 2)->msg.member.punch_hole_response.failure,
	                 rds_PunchHoleResponse_Failure_OFFLINE);
	assert_true(rds_rendezvous_release(w->rules, rds_view_text(ID)));
	assert_no_trace(w);
	world_close(w);
}

// The first registration says whose it is.
static void id_is_its_owners(void **state)
{
	(void)state;
	struct world *w = start();
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_path other = path_of("203.0.113.8", 5000);
	send_register_pk(w, ID, "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	send_register_pk(w, ID, "uuid-2", "pk-1", &b);
	expect_result(w, &b, UUID_MISMATCH);
	send_register_pk(w, ID, "uuid-1", "pk-2", &other);
	expect_result(w, &other, UUID_MISMATCH);
	send_register_peer(w, ID, 0, &other);
	expect_request_pk(w, &other, true);
	send_register_pk(w, ID, "uuid-1", "pk-1", &other); // it has moved
	expect_result(w, &other, OK);
	send_register_pk(w, ID, "uuid-1", "a-longer-pk", &other); // or has a new key
	expect_result(w, &other, OK);
	send_register_pk(w, ID, "", "pk-1", &other);
	expect_nothing(w);
	assert_int_equal(counted(w, RDS_WHY_UUID_MISMATCH), 0);
	assert_int_equal(counted(w, RDS_WHY_PK_AND_IP_DIFFER), 0);
	assert_true(rds_rendezvous_release(w->rules, rds_view_text(ID)));
	assert_no_trace(w);
	world_close(w);
}

static void new_key_follows_its_connection(void **state)
{
	(void)state;
	struct world *w = start();
	struct rds_addr b = addr_of("203.0.113.7", 5000);
	conn_register(w, 1, &b, ID, "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	conn_register(w, 1, &b, ID, "uuid-1", "a-longer-pk");
	expect_conn_result(w, 1, OK);
	rds_rendezvous_closed(w->rules, 1);
	assert_false(is_online(w, ID));
	world_close(w);
}

// A's answer is signed for the key that was registered, and nothing is remembered of B's client.
static void punch_and_relay_reach_it(void **state)
{
	(void)state;
	struct world *w = start();
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	uint8_t addr[RDS_ADDR_WIRE];
	uint8_t expected[512];
	send_register_pk(w, ID, "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	send_request_relay(w, 1, &a, ID, "rdsrv-check-session");
	(void)expect_answer(w, &b, rds_RendezvousMessage_request_relay_tag);
	send_punch(w, 2, &a, ID);
	(void)expect_answer(w, &b, 9);
	rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_sent_tag};
	rds_PunchHoleSent *sent = &msg.member.punch_hole_sent;
	assert_true(rds_set(&sent->socket_addr, mangled(&a, 7, addr)) &&
	            rds_set(&sent->id, rds_view_text(ID)) &&
	            rds_set(&sent->version, rds_view_text("1.4.2")));
	frame(w, RDS_DOOR_MAIN, 3, &b.remote, &msg);
	const struct world_event *answer = expect_payload(w, 2);
	size_t len = signed_id_pk(ID, "pk-1", expected);
	assert_views_equal(rds_get(answer->msg.member.punch_hole_response.pk),
	                   rds_view_of(expected, len));
	expect_close(w, 3, RDS_WHY_DONE);
	assert_true(rds_rendezvous_release(w->rules, rds_view_text(ID)));
	rds_rendezvous_closed(w->rules, 1);
	assert_no_trace(w);
	world_close(w);
}

// Whoever looks for the reason of a failure sees that it was a check's, and nobody else is troubled
// with it: a wrong key is neither counted, nor logged as a client's, nor is the right one in use.
static void attempts_are_marked(void **state)
{
	(void)state;
	struct world *w = start();
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	const struct rds_ledger *ledger = rds_rendezvous_ledger(w->rules);
	uint64_t at = 0;
	w->key = "the-key";
	rds_message msg = punch_request(w, ID);
	assert_true(rds_set(&msg.member.punch_hole_request.licence_key, rds_view_text("other")));
	frame(w, RDS_DOOR_MAIN, 1, &a, &msg);
	assert_int_equal(expect_payload(w, 1)->msg.member.punch_hole_response.failure,
	                 rds_PunchHoleResponse_Failure_LICENSE_MISMATCH);
	send_punch(w, 2, &a, ID);
	(void)expect_payload(w, 2);
	assert_int_equal(w->checks, 2);
	assert_int_equal(w->refused, 0);
	assert_int_equal(counted(w, RDS_WHY_KEY_WRONG), 0);
	assert_int_equal(counted(w, RDS_WHY_ID_UNKNOWN), 0);
	send_register_pk(w, ID, "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	send_request_relay(w, 3, &a, ID, "rdsrv-check-session");
	(void)expect_answer(w, &b, rds_RendezvousMessage_request_relay_tag);
	for (size_t i = 0; i < 3; i++)
		assert_true(rds_ledger_next(ledger, &at)->check);
	assert_null(rds_ledger_next(ledger, &at));
	send_punch(w, 4, &a, "ridge-042");
	(void)expect_payload(w, 4);
	at = 0;
	assert_false(rds_ledger_next(ledger, &at)->check);
	assert_int_equal(w->checks, 2);
	assert_int_equal(counted(w, RDS_WHY_ID_UNKNOWN), 1);
	assert_true(rds_rendezvous_release(w->rules, rds_view_text(ID)));
	at = 0;
	(void)rds_ledger_next(ledger, &at);
	assert_true(rds_ledger_next(ledger, &at)->check);
	world_close(w);
}

// Three tries in 6 s, one registration in a minute, one id in a day, 3000 datagrams at once.
static void no_limit_counts(void **state)
{
	(void)state;
	struct world *w = start();
	struct rds_path b = path_of("203.0.113.7", 5000);
	rds_rendezvous_set_enrol(w->rules, RDS_ENROL_OPEN);
	for (int i = 0; i < RDS_RATE_BURST + 10; i++) {
		send_register_pk(w, ID, "uuid-1", "pk-1", &b);
		expect_result(w, &b, OK);
		world_forget(w);
	}
	for (int i = 0; i < RDS_RATE_BURST + 10; i++) {
		struct rds_path other = path_of("203.0.113.8", 5000);
		send_register_peer(w, ID, 0, &other);
		expect_request_pk(w, &other, true);
		world_forget(w);
	}
	assert_int_equal(counted(w, RDS_WHY_SOURCE_TOO_FAST), 0);
	assert_int_equal(rds_rendezvous_status(w->rules).limited_sources, 0);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b); // nobody's limits were eaten
	send_register_pk(w, "ridge-043", "uuid-1", "pk-1", &b);
	expect_result(w, &b, TOO_FREQUENT);
	world_close(w);
}

static void its_minute_is_over(void **state)
{
	(void)state;
	struct world *w = start();
	struct rds_addr b = addr_of("203.0.113.7", 5000);
	w->now_ms += RDS_CHECK_MS - 1; // from its reservation on, not from its registration
	rds_rendezvous_expire_checks(w->rules, w->now_ms);
	conn_register(w, 1, &b, ID, "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	w->now_ms++;
	rds_rendezvous_expire_checks(w->rules, w->now_ms);
	expect_close(w, 1, RDS_WHY_CHECK_OVER);
	assert_false(rds_rendezvous_release(w->rules, rds_view_text(ID)));
	assert_unknown(w, ID);
	assert_no_trace(w);
	conn_register(w, 1, &b, ID, "uuid-1", "pk-1"); // an id like any other now
	expect_conn_result(w, 1, NOT_DEPLOYED);
	assert_int_equal(counted(w, RDS_WHY_NOT_ENROLLED), 1);
	rds_rendezvous_set_enrol(w->rules, RDS_ENROL_OPEN);
	w->now_ms += 60000;
	conn_register(w, 1, &b, ID, "uuid-1", "pk-1");
	stored(w, expect_store(w)->ticket, true);
	expect_conn_result(w, 1, OK);
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 1);
	world_close(w);
}

// Even if nothing has looked at the time since.
static void no_message_comes_too_late(void **state)
{
	(void)state;
	struct world *w = start();
	struct rds_path b = path_of("203.0.113.7", 5000);
	send_register_pk(w, ID, "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	w->now_ms += RDS_CHECK_MS;
	send_register_pk(w, ID, "uuid-1", "pk-1", &b);
	expect_result(w, &b, NOT_DEPLOYED);
	assert_int_equal(rds_rendezvous_status(w->rules).check_ids, 0);
	world_close(w);
}

static void ids_that_somebody_has_are_not_reserved(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	load(w, "rdsrv-check-on-file", "uuid-1", "pk-1", "203.0.113.7");
	assert_int_equal(reserve(w, "rdsrv-check-on-file"), -RDS_EEXIST);
	send_register_pk(w, ID, "uuid-1", "pk-1", &b);
	uint64_t ticket = expect_store(w)->ticket;
	assert_int_equal(reserve(w, ID), -RDS_EEXIST);
	stored(w, ticket, true);
	expect_result(w, &b, OK);
	assert_int_equal(reserve(w, ID), -RDS_EEXIST);
	assert_int_equal(reserve(w, "ridge-042"), -RDS_EINVAL);
	assert_false(rds_rendezvous_release(w->rules, rds_view_text(ID)));
	assert_true(is_online(w, ID));
	world_close(w);
}

static void bounded_and_expired_ones_make_room(void **state)
{
	(void)state;
	struct world *w = start();
	char id[RDS_CHECK_ID_MAX_BYTES];
	for (int i = 1; i < RDS_CHECK_IDS; i++) {
		(void)snprintf(id, sizeof id, "rdsrv-check-%d", i);
		assert_int_equal(reserve(w, id), 0);
	}
	assert_int_equal(reserve(w, "rdsrv-check-x"), -RDS_EFULL);
	w->now_ms += RDS_CHECK_MS;
	assert_int_equal(reserve(w, "rdsrv-check-x"), 0);
	assert_int_equal(rds_rendezvous_status(w->rules).check_ids, 1);
	world_close(w);
}

static void count_peer(void *ctx, const struct rds_peer_info *info)
{
	(void)info;
	(*(size_t *)ctx)++;
}

// What would go to the disk doesn't, and who looks at the peers doesn't see it.
static void is_no_peer_of_the_administrator(void **state)
{
	(void)state;
	struct world *w = start();
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_peer_info info;
	size_t n = 0;
	struct rds_view id = rds_view_text(ID);
	send_register_pk(w, ID, "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	rds_rendezvous_peers(w->rules, w->now_ms, count_peer, &n);
	assert_int_equal(n, 0);
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 0);
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 0);
	assert_false(rds_rendezvous_peer(w->rules, w->now_ms, id, &info));
	assert_int_equal(rds_rendezvous_forget(w->rules, id), -RDS_ENOENT);
	assert_int_equal(rds_rendezvous_set_state(w->rules, id, RDS_PEER_BANNED), -RDS_ENOENT);
	assert_true(is_online(w, ID));
	world_close(w);
}

static void its_id_can_not_be_changed(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = addr_of("203.0.113.7", 5000);
	assert_int_equal(reserve(w, ID), 0);
	assert_int_equal(reserve(w, "rdsrv-check-ab"), 0); // short enough to be chosen
	conn_register(w, 1, &b, ID, "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	conn_change_id(w, 1, &b, "ridge-043", ID, "uuid-1");
	expect_conn_result(w, 1, UUID_MISMATCH);
	load(w, "ridge-042", "uuid-1", "pk-1", "203.0.113.7");
	conn_change_id(w, 2, &b, "rdsrv-check-ab", "ridge-042", "uuid-1");
	expect_conn_result(w, 2, ID_EXISTS);
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(datagrams_register_at_once),
	        cmocka_unit_test(connections_register_at_once),
	        cmocka_unit_test(closed_connection_is_offline),
	        cmocka_unit_test(id_is_its_owners),
	        cmocka_unit_test(new_key_follows_its_connection),
	        cmocka_unit_test(punch_and_relay_reach_it),
	        cmocka_unit_test(attempts_are_marked),
	        cmocka_unit_test(no_limit_counts),
	        cmocka_unit_test(its_minute_is_over),
	        cmocka_unit_test(no_message_comes_too_late),
	        cmocka_unit_test(ids_that_somebody_has_are_not_reserved),
	        cmocka_unit_test(bounded_and_expired_ones_make_room),
	        cmocka_unit_test(is_no_peer_of_the_administrator),
	        cmocka_unit_test(its_id_can_not_be_changed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
