// SPDX-License-Identifier: MIT
// Goal: PunchHoleRequest (protocol.md section 7): every refusal and every route to B.
#include "test/unit/world.h"

#include "core/rendezvous_admin.h"

static const uint8_t v6[18] = {0x20, 1, 0x0d, 0xb8, [15] = 2, 0x23, 0x27};

static struct rds_view v6_view(void)
{
	return rds_view_of(v6, sizeof v6);
}

// A asks with everything that a request can hold.
static rds_message full_request(const struct world *w, const char *id)
{
	rds_message msg = punch_request(w, id);
	rds_PunchHoleRequest *request = &msg.member.punch_hole_request;
	request->nat_type = 1;
	request->udp_port = 40777;
	request->upnp_port = 40778;
	assert_true(rds_set(&request->version, rds_view_text("1.4.2")));
	assert_true(rds_set(&request->socket_addr_v6, v6_view()));
	return msg;
}

static void ask(struct world *w, uint64_t conn, const struct rds_addr *a, const rds_message *msg)
{
	frame(w, RDS_DOOR_MAIN, conn, a, msg);
}

static void wrong_key_is_refused_first(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	static const char *const keys[] = {"", "another-key", "the-key-", "the-ke"};
	static const char *const ids[] = {"ridge-042", "nobody-1"};
	for (size_t i = 0; i < COUNT(keys) * COUNT(ids); i++) {
		w->key = keys[i / 2];
		rds_message msg = punch_request(w, ids[i % 2]);
		w->key = "the-key";
		ask(w, 1, &a, &msg);
		const struct world_event *answer = expect_payload(w, 1);
		assert_view_text(rds_view_of(answer->bytes, answer->len), "\x5a\x02\x18\x03");
		assert_int_equal(w->refused, i + 1);
		assert_string_equal(w->refused_key, keys[i / 2]);
		assert_string_equal(w->refused_id, ids[i % 2]);
		assert_int_equal(w->verdict, i < 2 ? RDS_KEY_ABSENT : RDS_KEY_WRONG);
	}
	assert_int_equal(counted(w, RDS_WHY_KEY_ABSENT), 2);
	assert_int_equal(counted(w, RDS_WHY_KEY_WRONG), 6);
	assert_int_equal(rds_rendezvous_status(w->rules).waits, 0);
	world_close(w);
}

static void right_key_passes(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	w->key = "the-key";
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &b, 9);
	assert_int_equal(w->refused, 0);
	world_close(w);
}

static void unknown_and_offline_ids(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	load(w, "ridge-042", "uuid-1", "pk-1", "203.0.113.7");
	static const char *const unknown[] = {"nobody-1", "", "ridge-04", "ridge-0422",
	                                      "RIDGE-042"};
	for (size_t i = 0; i < COUNT(unknown); i++) {
		send_punch(w, 1, &a, unknown[i]);
		const struct world_event *answer = expect_payload(w, 1);
		assert_views_equal(rds_view_of(answer->bytes, answer->len),
		                   rds_view_of("\x5a\0", 2));
	}
	send_punch(w, 1, &a, "ridge-042");
	const struct world_event *answer = expect_payload(w, 1);
	assert_view_text(rds_view_of(answer->bytes, answer->len), "\x5a\x02\x18\x02");
	assert_int_equal(counted(w, RDS_WHY_ID_UNKNOWN), COUNT(unknown));
	assert_int_equal(counted(w, RDS_WHY_ID_OFFLINE), 1);
	assert_int_equal(rds_rendezvous_status(w->rules).waits, 0);
	world_close(w);
}

static void goes_offline_after_thirty_seconds(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	w->now_ms += 29999;
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &b, 9);
	w->now_ms += 1;
	send_punch(w, 2, &a, "ridge-042");
	assert_int_equal(expect_payload(w, 2)->msg.member.punch_hole_response.failure, 2);
	world_close(w);
}

// Nothing is forced: B is told all that A said. A hears nothing yet.
static void direct_route(void **state)
{
	(void)state;
	const struct rds_relay_names relays[] = {{.name = rds_view_text("relay.example.com")}};
	struct rds_rendezvous_config config = {.relays = relays, .n_relays = 1};
	struct world *w = world_open(&config);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	b.local = 12;
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	rds_message msg = full_request(w, "ridge-042");
	ask(w, 1, &a, &msg);
	const rds_PunchHole *punch = &expect_answer(w, &b, 9)->msg.member.punch_hole;
	assert_is_addr(rds_get(punch->socket_addr), &a);
	assert_view_text(rds_get(punch->relay_server), "relay.example.com");
	assert_int_equal(punch->nat_type, 1);
	assert_int_equal(punch->udp_port, 40777);
	assert_int_equal(punch->upnp_port, 40778);
	assert_false(punch->force_relay);
	assert_views_equal(rds_get(punch->socket_addr_v6), v6_view());
	assert_false(punch->has_control_permissions || punch->has_controlled_context);
	assert_int_equal(rds_rendezvous_status(w->rules).waits, 1);
	world_close(w);
}

static void ipv6_clients_meet_too(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("2001:db8::7", 5000);
	struct rds_addr a = addr_of("2001:db8::8", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_punch(w, 1, &a, "ridge-042");
	const rds_PunchHole *punch = &expect_answer(w, &b, 9)->msg.member.punch_hole;
	assert_is_addr(rds_get(punch->socket_addr), &a);
	assert_int_equal(punch->socket_addr.size, 18);
	world_close(w);
}

// The table of section 7: who is where, what is configured and asked, what B is told.
enum told { FETCH, PUNCH, RELAY }; // RELAY: nat_type SYMMETRIC and force_relay

static const struct route {
	const char *a;
	const char *b;
	bool lan; // there is a LAN mask: 10.0.0.0/8, fd00::/8
	bool always;
	bool force; // A wants the relay
	enum told told;
	enum rds_relay_why why;
	const char *relayed; // a network whose sessions use the relay
} routes[] = {
        {"198.51.100.1", "203.0.113.7", false, false, false, PUNCH, RDS_RELAY_NOT, NULL},
        {"198.51.100.1", "203.0.113.7", true, false, false, PUNCH, RDS_RELAY_NOT, NULL},
        {"203.0.113.7", "203.0.113.7", false, false, false, FETCH, RDS_RELAY_NOT, NULL},
        {"203.0.113.7", "203.0.113.7", true, false, false, FETCH, RDS_RELAY_NOT, NULL},
        {"::ffff:203.0.113.7", "203.0.113.7", false, false, false, FETCH, RDS_RELAY_NOT, NULL},
        {"2001:db8::7", "2001:db8::7", false, false, false, FETCH, RDS_RELAY_NOT, NULL},
        {"2001:db8::7", "2001:db8::8", false, false, false, PUNCH, RDS_RELAY_NOT, NULL},
        {"10.0.0.1", "10.200.0.1", true, false, false, FETCH, RDS_RELAY_NOT, NULL},
        {"10.0.0.1", "fd00::1", true, false, false, FETCH, RDS_RELAY_NOT, NULL},
        {"10.0.0.1", "10.200.0.1", false, false, false, PUNCH, RDS_RELAY_NOT, NULL},
        {"10.0.0.1", "203.0.113.7", true, false, false, RELAY, RDS_RELAY_MASK, NULL},
        {"198.51.100.1", "10.0.0.1", true, false, false, RELAY, RDS_RELAY_MASK, NULL},
        {"10.0.0.1", "203.0.113.7", false, false, false, PUNCH, RDS_RELAY_NOT, NULL},
        {"198.51.100.1", "203.0.113.7", false, true, false, RELAY, RDS_RELAY_ALWAYS, NULL},
        {"203.0.113.7", "203.0.113.7", false, true, false, RELAY, RDS_RELAY_ALWAYS, NULL},
        {"10.0.0.1", "10.200.0.1", true, true, false, RELAY, RDS_RELAY_ALWAYS, NULL},
        {"10.0.0.1", "203.0.113.7", true, true, false, RELAY, RDS_RELAY_ALWAYS, NULL},
        {"10.0.0.1", "203.0.113.7", true, false, true, RELAY, RDS_RELAY_MASK, NULL},
        {"198.51.100.1", "203.0.113.7", false, true, true, RELAY, RDS_RELAY_ALWAYS, NULL},
        // by network, whichever side is in it
        {"198.51.100.1", "203.0.113.7", false, false, false, RELAY, RDS_RELAY_NETWORK,
         "203.0.113.0/24"},
        {"198.51.100.1", "203.0.113.7", false, false, false, RELAY, RDS_RELAY_NETWORK,
         "198.51.100.1"},
        {"198.51.100.1", "203.0.113.7", false, false, false, PUNCH, RDS_RELAY_NOT, "192.0.2.0/24"},
        {"203.0.113.7", "203.0.113.7", false, false, false, RELAY, RDS_RELAY_NETWORK,
         "203.0.113.0/24"},
        {"203.0.113.7", "203.0.113.7", false, false, false, FETCH, RDS_RELAY_NOT, "203.0.112.0/24"},
        {"10.0.0.1", "10.200.0.1", true, false, false, RELAY, RDS_RELAY_NETWORK, "10.200.0.0/16"},
        {"10.0.0.1", "203.0.113.7", true, false, false, RELAY, RDS_RELAY_NETWORK, "10.0.0.0/8"},
        {"198.51.100.1", "203.0.113.7", false, false, true, RELAY, RDS_RELAY_NETWORK,
         "203.0.113.0/24"},
        {"198.51.100.1", "203.0.113.7", false, true, false, RELAY, RDS_RELAY_ALWAYS,
         "203.0.113.0/24"},
        {"2001:db8::7", "2001:db8:1::8", false, false, false, RELAY, RDS_RELAY_NETWORK,
         "2001:db8:1::/48"},
        {"2001:db8::7", "2001:db8:1::8", false, false, false, PUNCH, RDS_RELAY_NOT, "0.0.0.0/0"},
};

// What the ledger says of the last attempt.
static void expect_noted(const struct world *w, enum rds_route route, enum rds_relay_why why)
{
	uint64_t at = 0;
	const struct rds_attempt *last = rds_ledger_next(rds_rendezvous_ledger(w->rules), &at);
	assert_non_null(last);
	assert_int_equal(last->route, route);
	assert_int_equal(last->relay_why, why);
}

static void check_route(const struct route *route)
{
	struct rds_cidr lan[2];
	assert_int_equal(rds_cidr_parse("10.0.0.0/8", &lan[0]), 0);
	assert_int_equal(rds_cidr_parse("fd00::/8", &lan[1]), 0);
	struct rds_cidr relayed;
	struct rds_rendezvous_config config = {.lan = lan,
	                                       .n_lan = route->lan ? 2 : 0,
	                                       .always_use_relay = route->always,
	                                       .relayed = &relayed,
	                                       .n_relayed = route->relayed == NULL ? 0 : 1};
	if (route->relayed != NULL)
		assert_int_equal(rds_cidr_parse(route->relayed, &relayed), 0);
	struct world *w = world_open(&config);
	struct rds_path b = path_of(route->b, 5000);
	struct rds_addr a = addr_of(route->a, 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	rds_message msg = full_request(w, "ridge-042");
	msg.member.punch_hole_request.force_relay = route->force;
	ask(w, 1, &a, &msg);
	const rds_message *got = &expect_answer(w, &b, route->told == FETCH ? 12 : 9)->msg;
	if (route->told == FETCH) {
		assert_is_addr(rds_get(got->member.fetch_local_addr.socket_addr), &a);
		assert_views_equal(rds_get(got->member.fetch_local_addr.socket_addr_v6), v6_view());
	} else {
		assert_int_equal(got->member.punch_hole.nat_type, route->told == RELAY ? 2 : 1);
		assert_int_equal(got->member.punch_hole.force_relay, route->told == RELAY);
	}
	expect_noted(w,
	             route->told == FETCH   ? RDS_ROUTE_LAN
	             : route->told == PUNCH ? RDS_ROUTE_DIRECT
	                                    : RDS_ROUTE_RELAY,
	             route->why);
	world_close(w);
}

static void routes_are_as_the_table_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(routes); i++)
		check_route(&routes[i]);
}

// FetchLocalAddr can't force the relay, so it is never chosen where A wants it. What A said of
// its NAT stays as it is.
static void forced_relay_is_never_local(void **state)
{
	(void)state;
	static const char *const a_side[] = {"203.0.113.7", "198.51.100.1"};
	for (size_t i = 0; i < COUNT(a_side); i++) {
		struct world *w = world_open(NULL);
		struct rds_path b = path_of("203.0.113.7", 5000);
		struct rds_addr a = addr_of(a_side[i], 40000);
		registered(w, "ridge-042", "uuid-1", "pk-1", &b);
		rds_message msg = full_request(w, "ridge-042");
		msg.member.punch_hole_request.force_relay = true;
		ask(w, 1, &a, &msg);
		const rds_PunchHole *punch = &expect_answer(w, &b, 9)->msg.member.punch_hole;
		assert_true(punch->force_relay);
		assert_int_equal(punch->nat_type, 1);
		expect_noted(w, RDS_ROUTE_RELAY, RDS_RELAY_ASKED);
		world_close(w);
	}
}

// A in WebSocket mode can't be reached directly; in RequestRelay it asks for the relay by itself.
static void other_ways_to_the_relay_are_noted(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("203.0.113.7", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	rds_message msg = full_request(w, "ridge-042");
	frame(w, RDS_DOOR_WEBSOCKET, 1, &a, &msg);
	const rds_PunchHole *punch = &expect_answer(w, &b, 9)->msg.member.punch_hole;
	assert_true(punch->force_relay);
	assert_int_equal(punch->nat_type, 2);
	expect_noted(w, RDS_ROUTE_RELAY, RDS_RELAY_WEBSOCKET);
	send_request_relay(w, 2, &a, "ridge-042", "session");
	(void)expect_answer(w, &b, 18);
	expect_noted(w, RDS_ROUTE_RELAY, RDS_RELAY_ASKED);
	world_close(w);
}

static void relays_are_handed_out_in_turn(void **state)
{
	(void)state;
	const struct rds_relay_names relays[] = {{.name = rds_view_text("r1")},
	                                         {.name = rds_view_text("r2:31117")},
	                                         {.name = rds_view_text("[2001:db8::3]")}};
	struct rds_rendezvous_config config = {.relays = relays, .n_relays = 3};
	struct world *w = world_open(&config);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_path c = path_of("203.0.113.8", 5000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	registered(w, "ridge-043", "uuid-1", "pk-1", &c);
	for (uint64_t i = 0; i < 9; i++) {
		struct rds_addr a = addr_of("203.0.113.8", (uint16_t)(40000 + i));
		send_punch(w, 1 + i, &a, i % 2 == 0 ? "ridge-042" : "ridge-043");
		const rds_message *got =
		        i % 2 == 0 ? &expect_answer(w, &b, 9)->msg : &expect_answer(w, &c, 12)->msg;
		assert_views_equal(i % 2 == 0 ? rds_get(got->member.punch_hole.relay_server)
		                              : rds_get(got->member.fetch_local_addr.relay_server),
		                   relays[i % 3].name);
	}
	world_close(w);
}

static void no_relay_is_an_empty_text(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_punch(w, 1, &a, "ridge-042");
	assert_int_equal(expect_answer(w, &b, 9)->msg.member.punch_hole.relay_server.size, 0);
	world_close(w);
}

static void expect_fetch(struct world *w, const struct rds_path *b, bool with_v6)
{
	const rds_FetchLocalAddr *fetch = &expect_answer(w, b, 12)->msg.member.fetch_local_addr;
	assert_views_equal(rds_get(fetch->socket_addr_v6),
	                   with_v6 ? v6_view() : rds_view_of(NULL, 0));
}

// B 1.2.0 to 1.2.6 drops a FetchLocalAddr with socket_addr_v6: the second, unanswered try goes
// without it.
static void second_fetch_goes_without_ipv6(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("203.0.113.7", 40000);
	struct rds_addr other = addr_of("203.0.113.7", 40001);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	registered(w, "ridge-043", "uuid-1", "pk-1", &b);
	rds_message msg = full_request(w, "ridge-042");
	rds_message another = full_request(w, "ridge-043");
	ask(w, 1, &a, &msg);
	expect_fetch(w, &b, true);
	ask(w, 1, &a, &msg);
	expect_fetch(w, &b, false);
	ask(w, 1, &a, &msg);
	expect_fetch(w, &b, false);
	ask(w, 2, &other, &msg); // another connection's first try
	expect_fetch(w, &b, true);
	ask(w, 1, &a, &another); // another id
	expect_fetch(w, &b, true);
	ask(w, 1, &a, &msg);
	expect_fetch(w, &b, true);
	assert_int_equal(rds_rendezvous_status(w->rules).waits, 2);
	world_close(w);
}

static void second_punch_keeps_ipv6(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	rds_message msg = full_request(w, "ridge-042");
	for (int i = 0; i < 3; i++) {
		ask(w, 1, &a, &msg);
		const rds_PunchHole *punch = &expect_answer(w, &b, 9)->msg.member.punch_hole;
		assert_views_equal(rds_get(punch->socket_addr_v6), v6_view());
	}
	assert_int_equal(rds_rendezvous_status(w->rules).waits, 1);
	world_close(w);
}

// A repeats its request, and each time B is told: the first datagram may be lost.
static void every_try_reaches_b(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_path moved = path_of("203.0.113.7", 6000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &b, 9);
	send_register_peer(w, "ridge-042", 0, &moved);
	expect_request_pk(w, &moved, false);
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &moved, 9);
	world_close(w);
}

// As many waits from one address as there may be, then from the next one.
static struct rds_addr crowd(uint64_t i)
{
	struct rds_addr addr = addr_of("198.51.100.1", (uint16_t)(1 + i));
	addr.ip.b[15] = (uint8_t)(1 + i / RDS_WAITS_PER_IP);
	return addr;
}

// Full: A is shown a text, with nothing that looks like an address, and may try again.
static void waits_are_bounded(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	for (uint64_t i = 0; i < RDS_WAITS; i++) {
		struct rds_addr a = crowd(i);
		send_punch(w, 1 + i, &a, "ridge-042");
		(void)expect_answer(w, &b, 9);
	}
	struct rds_addr late = crowd(0);
	late.port = 60000;
	uint64_t conn = RDS_WAITS + 1;
	assert_int_equal(rds_rendezvous_status(w->rules).waits, RDS_WAITS);
	send_punch(w, conn, &late, "ridge-042");
	const rds_PunchHoleResponse *answer =
	        &expect_payload(w, conn)->msg.member.punch_hole_response;
	assert_true(answer->other_failure.size > 0);
	assert_int_equal(answer->socket_addr.size, 0);
	assert_int_equal(answer->failure, 0);
	send_request_relay(w, conn, &late, "ridge-042", "session");
	assert_true(expect_payload(w, conn)->msg.member.relay_response.refuse_reason.size > 0);
	assert_int_equal(counted(w, RDS_WHY_WAITS_FULL), 2);
	rds_rendezvous_closed(w->rules, 77);
	send_punch(w, conn, &late, "ridge-042");
	(void)expect_answer(w, &b, 9);
	assert_int_equal(rds_rendezvous_status(w->rules).waits, RDS_WAITS);
	world_close(w);
}

static void ended_connection_waits_no_more(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &b, 9);
	rds_rendezvous_closed(w->rules, 1);
	assert_int_equal(rds_rendezvous_status(w->rules).waits, 0);
	rds_rendezvous_closed(w->rules, 1);
	rds_rendezvous_closed(w->rules, 2);
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(wrong_key_is_refused_first),
	        cmocka_unit_test(right_key_passes),
	        cmocka_unit_test(unknown_and_offline_ids),
	        cmocka_unit_test(goes_offline_after_thirty_seconds),
	        cmocka_unit_test(direct_route),
	        cmocka_unit_test(ipv6_clients_meet_too),
	        cmocka_unit_test(routes_are_as_the_table_says),
	        cmocka_unit_test(forced_relay_is_never_local),
	        cmocka_unit_test(other_ways_to_the_relay_are_noted),
	        cmocka_unit_test(relays_are_handed_out_in_turn),
	        cmocka_unit_test(no_relay_is_an_empty_text),
	        cmocka_unit_test(second_fetch_goes_without_ipv6),
	        cmocka_unit_test(second_punch_keeps_ipv6),
	        cmocka_unit_test(every_try_reaches_b),
	        cmocka_unit_test(waits_are_bounded),
	        cmocka_unit_test(ended_connection_waits_no_more),
	};
	return cmocka_run_group_tests_name("rendezvous_punch", tests, NULL, NULL);
}
