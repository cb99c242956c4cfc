// SPDX-License-Identifier: MIT
// Goal: registration at connections (protocol.md section 5): who is reached where, and until
// when.
#include "test/unit/world.h"

static const struct rds_rendezvous_config keep_alive = {.keep_alive_sec = 30};

static struct rds_addr here(uint16_t port)
{
	return addr_of("203.0.113.7", port);
}

// A asks for id, and B is told at conn.
static void assert_reached_at(struct world *w, const char *id, uint64_t conn)
{
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	send_punch(w, 777, &a, id);
	assert_int_equal(expect_payload(w, conn)->msg.which_member,
	                 rds_RendezvousMessage_punch_hole_tag);
	rds_rendezvous_closed(w->rules, 777);
}

static void new_id_is_stored_kept_and_then_ok(void **state)
{
	(void)state;
	struct world *w = world_open(&keep_alive);
	struct rds_addr b = here(5000);
	conn_register(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	const struct world_event *store = expect_store(w);
	assert_view_text(store->row.id, "ridge-042");
	assert_view_text(store->row.uuid, "uuid-1");
	assert_view_text(store->row.pk, "pk-1");
	assert_true(rds_ip_equal(&store->row.ip, &b.ip));
	uint64_t ticket = store->ticket;
	expect_nothing(w);
	assert_int_equal(w->kept, 0);
	assert_false(is_online(w, "ridge-042"));
	stored(w, ticket, true);
	const rds_RegisterPkResponse *answer = world_conn_answer(w, 1, __FILE__, __LINE__);
	assert_int_equal(answer->result, rds_RegisterPkResponse_Result_OK);
	assert_int_equal(answer->keep_alive, 30);
	assert_int_equal(w->kept, 1);
	assert_int_equal(w->kept_conn, 1);
	assert_true(is_online(w, "ridge-042"));
	world_close(w);
}

static void what_is_on_file_is_ok_at_once(void **state)
{
	(void)state;
	static const enum rds_door doors[] = {RDS_DOOR_MAIN, RDS_DOOR_WEBSOCKET};
	for (size_t i = 0; i < COUNT(doors); i++) {
		struct world *w = world_open(&keep_alive);
		struct rds_addr b = here(5000);
		rds_message msg = register_pk("ridge-042", "uuid-1", "pk-1");
		load(w, "ridge-042", "uuid-1", "pk-1", "203.0.113.7");
		frame(w, doors[i], 1, &b, &msg);
		const rds_RegisterPkResponse *answer = world_conn_answer(w, 1, __FILE__, __LINE__);
		assert_int_equal(answer->result, rds_RegisterPkResponse_Result_OK);
		assert_int_equal(answer->keep_alive, 30);
		assert_int_equal(w->kept, 1);
		assert_reached_at(w, "ridge-042", 1);
		world_close(w);
	}
}

// The same rules as by datagram, the answer on the connection, which stays open.
static void refusals_are_answered_and_keep_nothing(void **state)
{
	(void)state;
	struct world *w = world_open(&keep_alive);
	struct rds_addr b = here(5000);
	struct rds_addr other = addr_of("203.0.113.8", 5000);
	load(w, "ridge-042", "uuid-1", "pk-1", "203.0.113.7");
	conn_register(w, 1, &b, "ridge-042", "uuid-2", "pk-1");
	const rds_RegisterPkResponse *answer = world_conn_answer(w, 1, __FILE__, __LINE__);
	assert_int_equal(answer->result, rds_RegisterPkResponse_Result_UUID_MISMATCH);
	assert_int_equal(answer->keep_alive, 0);
	conn_register(w, 1, &other, "ridge-042", "uuid-1", "pk-2");
	expect_conn_result(w, 1, UUID_MISMATCH);
	conn_register(w, 1, &b, "short", "uuid-1", "pk-1");
	expect_conn_result(w, 1, UUID_MISMATCH);
	conn_register(w, 1, &b, "white space", "uuid-1", "pk-1");
	expect_conn_result(w, 1, INVALID_ID_FORMAT);
	conn_register(w, 1, &b, "crest-007", "", "pk-1");
	conn_register(w, 1, &b, "crest-007", "uuid-1", "");
	expect_nothing(w);
	assert_int_equal(counted(w, RDS_WHY_REGISTER_INCOMPLETE), 2);
	w->store_rc = -RDS_EFULL;
	conn_register(w, 1, &b, "crest-007", "uuid-1", "pk-1");
	expect_conn_result(w, 1, SERVER_ERROR);
	assert_int_equal(w->kept, 0);
	assert_false(is_online(w, "ridge-042"));
	world_close(w);
}

static void failed_store_registers_nobody(void **state)
{
	(void)state;
	struct world *w = world_open(&keep_alive);
	struct rds_addr b = here(5000);
	conn_register(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	stored(w, expect_store(w)->ticket, false);
	const rds_RegisterPkResponse *answer = world_conn_answer(w, 1, __FILE__, __LINE__);
	assert_int_equal(answer->result, rds_RegisterPkResponse_Result_SERVER_ERROR);
	assert_int_equal(answer->keep_alive, 0);
	assert_int_equal(w->kept, 0);
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 0);
	world_close(w);
}

// No RegisterPeer comes any more, and none is needed.
static void online_until_the_connection_closes(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = here(5000);
	conn_registered(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	rds_rendezvous_closed(w->rules, 1); // however lately it was seen
	assert_false(is_online(w, "ridge-042"));
	conn_register(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	w->now_ms += 48 * 3600 * 1000;
	assert_true(is_online(w, "ridge-042"));
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 1);
	rds_rendezvous_closed(w->rules, 2);
	assert_true(is_online(w, "ridge-042"));
	rds_rendezvous_closed(w->rules, 1);
	assert_false(is_online(w, "ridge-042"));
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 0);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	send_punch(w, 3, &a, "ridge-042");
	assert_int_equal(expect_payload(w, 3)->msg.member.punch_hole_response.failure,
	                 rds_PunchHoleResponse_Failure_OFFLINE);
	rds_rendezvous_closed(w->rules, 1); // once more is no error
	world_close(w);
}

static void everything_for_b_goes_down_its_connection(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = here(5000);
	struct rds_addr near = here(6000);
	struct rds_addr far = addr_of("198.51.100.1", 40000);
	conn_registered(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	send_punch(w, 2, &far, "ridge-042");
	const struct world_event *event = expect_payload(w, 1);
	assert_int_equal(event->msg.which_member, rds_RendezvousMessage_punch_hole_tag);
	assert_is_addr(rds_get(event->msg.member.punch_hole.socket_addr), &far);
	send_punch(w, 3, &near, "ridge-042");
	event = expect_payload(w, 1);
	assert_int_equal(event->msg.which_member, rds_RendezvousMessage_fetch_local_addr_tag);
	assert_is_addr(rds_get(event->msg.member.fetch_local_addr.socket_addr), &near);
	send_request_relay(w, 4, &far, "ridge-042", "session");
	event = expect_payload(w, 1);
	assert_int_equal(event->msg.which_member, rds_RendezvousMessage_request_relay_tag);
	assert_view_text(rds_get(event->msg.member.request_relay.uuid), "session");
	world_close(w);
}

// A datagram's source can be forged: it moves nobody who is registered at a connection.
static void datagrams_without_uuid_move_nothing(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = here(5000);
	struct rds_path forged = path_of("203.0.113.7", 6000);
	conn_registered(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	send_register_peer(w, "ridge-042", 0, &forged);
	expect_request_pk(w, &forged, true);
	assert_reached_at(w, "ridge-042", 1);
	send_register_pk(w, "ridge-042", "uuid-2", "pk-1", &forged);
	expect_result(w, &forged, UUID_MISMATCH);
	assert_reached_at(w, "ridge-042", 1);
	world_close(w);
}

// Once it has closed, datagrams from the address on file are as good as ever.
static void back_to_datagrams_after_closing(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = here(5000);
	struct rds_path udp = path_of("203.0.113.7", 6000);
	conn_registered(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	rds_rendezvous_closed(w->rules, 1);
	send_register_peer(w, "ridge-042", 0, &udp);
	expect_request_pk(w, &udp, false);
	assert_true(is_online(w, "ridge-042"));
	w->now_ms += RDS_ONLINE_MS;
	assert_false(is_online(w, "ridge-042"));
	world_close(w);
}

// Section 5 point 5: over whichever transport.

static void newer_connection_replaces_older(void **state)
{
	(void)state;
	static const enum rds_door doors[] = {RDS_DOOR_MAIN, RDS_DOOR_WEBSOCKET};
	for (size_t i = 0; i < 4; i++) {
		struct world *w = world_open(NULL);
		struct rds_addr b = here(5000);
		rds_message msg = register_pk("ridge-042", "uuid-1", "pk-1");
		load(w, "ridge-042", "uuid-1", "pk-1", "203.0.113.7");
		frame(w, doors[i % 2], 1, &b, &msg);
		expect_conn_result(w, 1, OK);
		frame(w, doors[i / 2], 2, &b, &msg);
		expect_close(w, 1, RDS_WHY_REPLACED);
		expect_conn_result(w, 2, OK);
		rds_rendezvous_closed(w->rules, 1); // the older one's end is not the newer one's
		assert_reached_at(w, "ridge-042", 2);
		rds_rendezvous_closed(w->rules, 2);
		assert_false(is_online(w, "ridge-042"));
		world_close(w);
	}
}

// From another address the row goes to the disk first; until then the older one counts.
static void replaced_only_once_it_is_stored(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = here(5000);
	struct rds_addr moved = addr_of("192.0.2.9", 5000);
	conn_registered(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	for (int ok = 0; ok < 2; ok++) {
		conn_register(w, 2, &moved, "ridge-042", "uuid-1", "pk-1");
		uint64_t ticket = expect_store(w)->ticket;
		assert_reached_at(w, "ridge-042", 1);
		stored(w, ticket, ok);
		if (!ok)
			expect_conn_result(w, 2, SERVER_ERROR);
	}
	expect_close(w, 1, RDS_WHY_REPLACED);
	expect_conn_result(w, 2, OK);
	assert_reached_at(w, "ridge-042", 2);
	world_close(w);
}

static void datagrams_and_connections_replace_each_other(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = here(5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	struct rds_path udp = path_of("203.0.113.7", 6000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &udp);
	conn_register(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	assert_reached_at(w, "ridge-042", 1);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &udp);
	expect_close(w, 1, RDS_WHY_REPLACED);
	expect_result(w, &udp, OK);
	send_punch(w, 2, &a, "ridge-042");
	(void)expect_answer(w, &udp, rds_RendezvousMessage_punch_hole_tag);
	rds_rendezvous_closed(w->rules, 1);
	assert_true(is_online(w, "ridge-042"));
	w->now_ms += RDS_ONLINE_MS; // and is held to datagrams' rules again
	assert_false(is_online(w, "ridge-042"));
	world_close(w);
}

// Clients 1.2.6 to 1.3.9 repeat it every 15 s for ever.
static void repeating_replaces_nothing(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = here(5000);
	conn_registered(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	for (size_t i = 0; i < 1000; i++) {
		w->now_ms += 15000;
		conn_register(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
		expect_conn_result(w, 1, OK);
	}
	assert_reached_at(w, "ridge-042", 1);
	world_close(w);
}

// After its id was changed the client registers the new one on the same connection.
static void connection_stands_for_its_last_id(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = here(5000);
	conn_registered(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	conn_registered(w, 1, &b, "crest-007", "uuid-1", "pk-1");
	assert_false(is_online(w, "ridge-042"));
	assert_reached_at(w, "crest-007", 1);
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 1);
	conn_register(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	assert_false(is_online(w, "crest-007"));
	assert_reached_at(w, "ridge-042", 1);
	rds_rendezvous_closed(w->rules, 1);
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 0);
	world_close(w);
}

// Its row is on its way to the disk when its connection closes.
static void stored_after_the_connection_closed(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = here(5000);
	conn_register(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	uint64_t ticket = expect_store(w)->ticket;
	rds_rendezvous_closed(w->rules, 1);
	w->gone = 1;
	stored(w, ticket, true);
	expect_conn_result(w, 1, OK); // to nobody
	assert_false(is_online(w, "ridge-042"));
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 1); // but it is on file
	conn_register(w, 2, &b, "ridge-042", "uuid-1", "pk-1");
	expect_conn_result(w, 2, OK);
	assert_reached_at(w, "ridge-042", 2);
	world_close(w);
}

static void health_check_is_kept_and_not_answered(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	rds_message msg = {.which_member = rds_RendezvousMessage_health_check_tag};
	frame(w, RDS_DOOR_MAIN, 5, &a, &msg);
	frame(w, RDS_DOOR_WEBSOCKET, 6, &a, &msg);
	expect_nothing(w);
	assert_int_equal(w->kept, 2);
	assert_int_equal(w->kept_conn, 6);
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 0);
	rds_rendezvous_closed(w->rules, 5);
	world_close(w);
}

static void http_by_way_of_this_port_is_501(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	rds_message msg = {.which_member = rds_RendezvousMessage_http_proxy_request_tag};
	frame(w, RDS_DOOR_MAIN, 5, &a, &msg);
	const struct world_event *event = expect_payload(w, 5);
	assert_int_equal(event->msg.which_member, rds_RendezvousMessage_http_proxy_response_tag);
	assert_int_equal(event->msg.member.http_proxy_response.status, 501);
	assert_true(event->msg.member.http_proxy_response.error.size > 0);
	assert_int_equal(w->kept, 0);
	// Neither of the two is served by datagram or on the second port.
	struct rds_path udp = path_of("198.51.100.1", 40000);
	datagram(w, &udp, &msg);
	expect_nothing(w);
	frame(w, RDS_DOOR_NAT, 6, &a, &msg);
	expect_close(w, 6, RDS_WHY_UNKNOWN_MESSAGE);
	rds_message registration = register_pk("ridge-042", "uuid-1", "pk-1");
	frame(w, RDS_DOOR_NAT, 7, &a, &registration);
	expect_close(w, 7, RDS_WHY_UNKNOWN_MESSAGE);
	world_close(w);
}

// Many come and go in any order: the connection that closes is the one that counts.
static void many_come_and_go(void **state)
{
	(void)state;
	enum { PEERS = 50, TURNS = 3000 };
	struct world *w = world_open(NULL);
	struct testing_random random = {9};
	uint64_t conn_of[PEERS] = {0};
	char id[20];
	for (int i = 0; i < PEERS; i++) {
		(void)snprintf(id, sizeof id, "peer-%05d", i);
		load(w, id, "uuid-1", "pk-1", "203.0.113.7");
	}
	for (uint64_t conn = 1; conn < TURNS; conn++) {
		struct rds_addr b = here((uint16_t)conn);
		size_t i = random_below(&random, PEERS);
		w->now_ms += 3000;
		if (conn_of[i] != 0 && random_below(&random, 2) == 0) {
			rds_rendezvous_closed(w->rules, conn_of[i]);
			conn_of[i] = 0;
		} else {
			(void)snprintf(id, sizeof id, "peer-%05zu", i);
			conn_register(w, conn, &b, id, "uuid-1", "pk-1");
			if (conn_of[i] != 0)
				expect_close(w, conn_of[i], RDS_WHY_REPLACED);
			expect_conn_result(w, conn, OK);
			conn_of[i] = conn;
		}
		size_t online = 0;
		for (size_t j = 0; j < PEERS; j++)
			online += conn_of[j] != 0;
		assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), online);
	}
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(new_id_is_stored_kept_and_then_ok),
	        cmocka_unit_test(what_is_on_file_is_ok_at_once),
	        cmocka_unit_test(refusals_are_answered_and_keep_nothing),
	        cmocka_unit_test(failed_store_registers_nobody),
	        cmocka_unit_test(online_until_the_connection_closes),
	        cmocka_unit_test(everything_for_b_goes_down_its_connection),
	        cmocka_unit_test(datagrams_without_uuid_move_nothing),
	        cmocka_unit_test(back_to_datagrams_after_closing),
	        cmocka_unit_test(newer_connection_replaces_older),
	        cmocka_unit_test(replaced_only_once_it_is_stored),
	        cmocka_unit_test(datagrams_and_connections_replace_each_other),
	        cmocka_unit_test(repeating_replaces_nothing),
	        cmocka_unit_test(connection_stands_for_its_last_id),
	        cmocka_unit_test(stored_after_the_connection_closed),
	        cmocka_unit_test(health_check_is_kept_and_not_answered),
	        cmocka_unit_test(http_by_way_of_this_port_is_501),
	        cmocka_unit_test(many_come_and_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
