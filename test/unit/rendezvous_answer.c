// SPDX-License-Identifier: MIT
// Goal: what B answers, and how it reaches the very A that asked (protocol.md section 7).
#include "test/unit/world.h"

#include "core/alloc.h"

#include <stdlib.h>

static const uint8_t v6[18] = {0x20, 1, 0x0d, 0xb8, [15] = 2, 0x23, 0x27};

// A at one address, B at another, B registered as ridge-042 (which its pk says too).
struct pair {
	struct world *w;
	struct rds_addr a;
	struct rds_path b;      // where it is registered
	struct rds_addr b_conn; // where it answers from
};

#define A_CONN 11
#define B_CONN 22

static int open_pair(void **state)
{
	struct pair *p = rds_calloc(1, sizeof *p);
	p->w = world_open(NULL);
	p->a = addr_of("198.51.100.1", 40000);
	p->b = path_of("203.0.113.7", 5000);
	p->b_conn = addr_of("203.0.113.7", 51000);
	registered(p->w, "ridge-042", "uuid-1", "pk-of-ridge-042", &p->b);
	registered(p->w, "ridge-043", "uuid-1", "pk-of-ridge-043", &p->b);
	*state = p;
	return 0;
}

static int close_pair(void **state)
{
	struct pair *p = *state;
	world_close(p->w);
	free(p);
	return 0;
}

static void a_punches(struct pair *p, uint64_t conn, const struct rds_addr *a, const char *id)
{
	send_punch(p->w, conn, a, id);
	(void)expect_answer(p->w, &p->b, 9);
}

static void a_wants_relay(struct pair *p, uint64_t conn, const struct rds_addr *a, const char *id)
{
	send_request_relay(p->w, conn, a, id, "session-1");
	(void)expect_answer(p->w, &p->b, 18);
}

static rds_message punch_hole_sent(const struct rds_addr *a, const char *id)
{
	uint8_t bytes[RDS_ADDR_WIRE];
	rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_sent_tag};
	rds_PunchHoleSent *sent = &msg.member.punch_hole_sent;
	assert_true(rds_set(&sent->socket_addr, mangled(a, 0x12345678, bytes)) &&
	            rds_set(&sent->id, rds_view_text(id)) &&
	            rds_set(&sent->relay_server, rds_view_text("relay.of.b")) &&
	            rds_set(&sent->version, rds_view_text("1.4.2")) &&
	            rds_set(&sent->socket_addr_v6, rds_view_of(v6, sizeof v6)));
	sent->nat_type = 1;
	sent->upnp_port = 40778;
	return msg;
}

static rds_message local_addr(const struct rds_addr *a, const char *id)
{
	uint8_t bytes[RDS_ADDR_WIRE];
	rds_message msg = {.which_member = rds_RendezvousMessage_local_addr_tag};
	rds_LocalAddr *local = &msg.member.local_addr;
	assert_true(rds_set(&local->socket_addr, mangled(a, 0x777, bytes)) &&
	            rds_set(&local->local_addr, rds_view_text("local-bytes")) &&
	            rds_set(&local->id, rds_view_text(id)) &&
	            rds_set(&local->relay_server, rds_view_text("relay.of.b")) &&
	            rds_set(&local->version, rds_view_text("1.4.2")) &&
	            rds_set(&local->socket_addr_v6, rds_view_of(v6, sizeof v6)));
	return msg;
}

static rds_message relay_response(const struct rds_addr *a, const char *id)
{
	uint8_t bytes[RDS_ADDR_WIRE];
	rds_message msg = {.which_member = rds_RendezvousMessage_relay_response_tag};
	rds_RelayResponse *said = &msg.member.relay_response;
	assert_true(rds_set(&said->socket_addr, mangled(a, 0x999, bytes)) &&
	            rds_set(&said->version, rds_view_text("1.4.2")) &&
	            rds_set(&said->relay_server, rds_view_text("relay.of.b")));
	if (id == NULL)
		return msg;
	said->which_who = rds_RelayResponse_id_tag;
	assert_true(rds_set(&said->who.id, rds_view_text(id)) &&
	            rds_set(&said->uuid, rds_view_text("session-of-b")) &&
	            rds_set(&said->socket_addr_v6, rds_view_of(v6, sizeof v6)));
	return msg;
}

// B says it on a connection of its own, which is closed once that was taken.
static void b_says(struct pair *p, const rds_message *msg)
{
	frame(p->w, RDS_DOOR_MAIN, B_CONN, &p->b_conn, msg);
}

static void expect_b_is_released(struct pair *p)
{
	expect_close(p->w, B_CONN, RDS_WHY_DONE);
	expect_nothing(p->w);
}

static void expect_dropped(struct pair *p)
{
	expect_b_is_released(p);
	assert_int_equal(counted(p->w, RDS_WHY_NOBODY_WAITS), 1);
}

static const rds_PunchHoleResponse *expect_response(struct pair *p, uint64_t conn)
{
	const struct world_event *answer = expect_payload(p->w, conn);
	assert_int_equal(answer->msg.which_member, 11);
	return &answer->msg.member.punch_hole_response;
}

static void assert_signed(struct rds_view pk, const char *id, const char *key)
{
	uint8_t expected[512];
	size_t len = signed_id_pk(id, key, expected);
	assert_views_equal(pk, rds_view_of(expected, len));
}

static void expect_signed_response(struct pair *p, uint64_t conn, const char *id, const char *key)
{
	const rds_PunchHoleResponse *answer = expect_response(p, conn);
	assert_signed(rds_get(answer->pk), id, key);
}

static void punch_hole_sent_reaches_a(void **state)
{
	struct pair *p = *state;
	a_punches(p, A_CONN, &p->a, "ridge-042");
	rds_message msg = punch_hole_sent(&p->a, "ridge-042");
	b_says(p, &msg);
	const rds_PunchHoleResponse *answer = expect_response(p, A_CONN);
	assert_is_addr(rds_get(answer->socket_addr), &p->b_conn);
	assert_signed(rds_get(answer->pk), "ridge-042", "pk-of-ridge-042");
	assert_view_text(rds_get(answer->relay_server), "relay.of.b");
	assert_int_equal(answer->which_kind, 5);
	assert_int_equal(answer->kind.nat_type, 1);
	assert_false(answer->is_udp);
	assert_int_equal(answer->upnp_port, 40778);
	assert_int_equal(answer->failure, 0);
	assert_int_equal(answer->feedback, 0);
	assert_int_equal(answer->other_failure.size, 0);
	assert_views_equal(rds_get(answer->socket_addr_v6), rds_view_of(v6, sizeof v6));
	expect_b_is_released(p);
	assert_int_equal(rds_rendezvous_status(p->w->rules).waits, 0);
}

// Three copies by UDP: A hears of it once, over its connection, and B's address hears nothing.
static void copies_by_udp_reach_a_once(void **state)
{
	struct pair *p = *state;
	struct rds_path fresh = path_of("203.0.113.7", 52000);
	a_punches(p, A_CONN, &p->a, "ridge-042");
	rds_message msg = punch_hole_sent(&p->a, "ridge-042");
	for (int i = 0; i < 3; i++)
		datagram(p->w, &fresh, &msg);
	const rds_PunchHoleResponse *answer = expect_response(p, A_CONN);
	assert_is_addr(rds_get(answer->socket_addr), &fresh.remote);
	assert_true(answer->is_udp);
	assert_signed(rds_get(answer->pk), "ridge-042", "pk-of-ridge-042");
	expect_nothing(p->w);
	assert_int_equal(counted(p->w, RDS_WHY_NOBODY_WAITS), 2);
}

static void local_addr_reaches_a(void **state)
{
	struct pair *p = *state;
	a_punches(p, A_CONN, &p->a, "ridge-042");
	rds_message msg = local_addr(&p->a, "ridge-042");
	b_says(p, &msg);
	const rds_PunchHoleResponse *answer = expect_response(p, A_CONN);
	assert_view_text(rds_get(answer->socket_addr), "local-bytes");
	assert_signed(rds_get(answer->pk), "ridge-042", "pk-of-ridge-042");
	assert_view_text(rds_get(answer->relay_server), "relay.of.b");
	assert_int_equal(answer->which_kind, 6);
	assert_true(answer->kind.is_local);
	assert_false(answer->is_udp);
	assert_views_equal(rds_get(answer->socket_addr_v6), rds_view_of(v6, sizeof v6));
	expect_b_is_released(p);
}

static void local_addr_by_udp_reaches_a(void **state)
{
	struct pair *p = *state;
	struct rds_path fresh = path_of("203.0.113.7", 52000);
	a_punches(p, A_CONN, &p->a, "ridge-042");
	rds_message msg = local_addr(&p->a, "ridge-042");
	datagram(p->w, &fresh, &msg);
	assert_true(expect_response(p, A_CONN)->kind.is_local);
	expect_nothing(p->w);
}

// B goes to the relay by itself: its id becomes a signature, and its address isn't told.
static void relay_response_with_id_is_signed(void **state)
{
	struct pair *p = *state;
	a_punches(p, A_CONN, &p->a, "ridge-042");
	rds_message msg = relay_response(&p->a, "ridge-042");
	b_says(p, &msg);
	const struct world_event *event = expect_payload(p->w, A_CONN);
	assert_int_equal(event->msg.which_member, 19);
	const rds_RelayResponse *answer = &event->msg.member.relay_response;
	assert_int_equal(answer->socket_addr.size, 0);
	assert_int_equal(answer->which_who, 5);
	assert_signed(rds_get(answer->who.pk), "ridge-042", "pk-of-ridge-042");
	assert_view_text(rds_get(answer->uuid), "session-of-b");
	assert_view_text(rds_get(answer->relay_server), "relay.of.b");
	assert_view_text(rds_get(answer->version), "1.4.2");
	assert_views_equal(rds_get(answer->socket_addr_v6), rds_view_of(v6, sizeof v6));
	expect_b_is_released(p);
	assert_int_equal(rds_rendezvous_status(p->w->rules).waits, 0);
}

static void relay_response_without_id_is_passed_on(void **state)
{
	struct pair *p = *state;
	a_wants_relay(p, A_CONN, &p->a, "ridge-042");
	rds_message msg = relay_response(&p->a, NULL);
	b_says(p, &msg);
	const struct world_event *event = expect_payload(p->w, A_CONN);
	assert_int_equal(event->msg.which_member, 19);
	const rds_RelayResponse *answer = &event->msg.member.relay_response;
	assert_int_equal(answer->socket_addr.size, 0);
	assert_int_equal(answer->which_who, 0);
	assert_view_text(rds_get(answer->relay_server), "relay.of.b");
	assert_view_text(rds_get(answer->version), "1.4.2");
	expect_b_is_released(p);
}

// Neither an empty id nor a pk of B's own making: what A verifies comes from the server.
static void relay_response_vouches_for_nothing(void **state)
{
	struct pair *p = *state;
	for (int i = 0; i < 2; i++) {
		rds_message msg = relay_response(&p->a, "");
		rds_RelayResponse *said = &msg.member.relay_response;
		if (i == 1) {
			said->which_who = rds_RelayResponse_pk_tag;
			assert_true(rds_set(&said->who.pk, rds_view_text("forged")));
		}
		a_wants_relay(p, A_CONN, &p->a, "ridge-042");
		b_says(p, &msg);
		const struct world_event *event = expect_payload(p->w, A_CONN);
		assert_int_equal(event->msg.member.relay_response.which_who, 0);
		expect_b_is_released(p);
	}
}

// B refuses; A is shown why.
static void refusal_of_b_is_passed_on(void **state)
{
	struct pair *p = *state;
	a_wants_relay(p, A_CONN, &p->a, "ridge-042");
	rds_message msg = relay_response(&p->a, NULL);
	assert_true(rds_set(&msg.member.relay_response.refuse_reason, rds_view_text("not now")));
	b_says(p, &msg);
	const rds_RelayResponse *answer = &expect_payload(p->w, A_CONN)->msg.member.relay_response;
	assert_view_text(rds_get(answer->refuse_reason), "not now");
	expect_b_is_released(p);
}

// The same address, whatever bytes it is written with.
static void addresses_are_decoded_before_they_are_compared(void **state)
{
	struct pair *p = *state;
	for (uint32_t clock_us = 1; clock_us < 2000000000; clock_us = clock_us * 7 + 12345) {
		uint8_t bytes[RDS_ADDR_WIRE];
		a_punches(p, A_CONN, &p->a, "ridge-042");
		rds_message msg = punch_hole_sent(&p->a, "ridge-042");
		assert_true(rds_set(&msg.member.punch_hole_sent.socket_addr,
		                    mangled(&p->a, clock_us, bytes)));
		b_says(p, &msg);
		(void)expect_response(p, A_CONN);
		expect_b_is_released(p);
		if (clock_us > 200000000)
			break;
	}
}

static void ipv6_addresses_are_found_too(void **state)
{
	struct pair *p = *state;
	struct rds_addr a = addr_of("2001:db8::1", 40000);
	struct rds_addr neighbour = addr_of("2001:db8::2", 40000);
	a_punches(p, A_CONN, &a, "ridge-042");
	rds_message other = punch_hole_sent(&neighbour, "ridge-042");
	rds_message msg = punch_hole_sent(&a, "ridge-042");
	b_says(p, &other);
	expect_dropped(p);
	b_says(p, &msg);
	(void)expect_response(p, A_CONN);
	expect_b_is_released(p);
}

static void answer_for_another_id_is_dropped(void **state)
{
	struct pair *p = *state;
	rds_message answers[] = {
	        punch_hole_sent(&p->a, "ridge-043"),  local_addr(&p->a, "ridge-043"),
	        relay_response(&p->a, "ridge-043"),   punch_hole_sent(&p->a, "ridge-04"),
	        punch_hole_sent(&p->a, "ridge-0421"), punch_hole_sent(&p->a, "nobody-1")};
	a_punches(p, A_CONN, &p->a, "ridge-042");
	for (size_t i = 0; i < COUNT(answers); i++) {
		b_says(p, &answers[i]);
		expect_b_is_released(p);
		assert_int_equal(counted(p->w, RDS_WHY_NOBODY_WAITS), i + 1);
	}
	rds_message msg = punch_hole_sent(&p->a, "ridge-042");
	b_says(p, &msg); // A still waits
	(void)expect_response(p, A_CONN);
	expect_b_is_released(p);
}

// Only a RelayResponse to RequestRelay names nobody.
static void nameless_answers_to_a_punch_are_dropped(void **state)
{
	struct pair *p = *state;
	rds_message answers[] = {punch_hole_sent(&p->a, ""), local_addr(&p->a, ""),
	                         relay_response(&p->a, NULL), relay_response(&p->a, "")};
	a_punches(p, A_CONN, &p->a, "ridge-042");
	for (size_t i = 0; i < COUNT(answers); i++) {
		b_says(p, &answers[i]);
		expect_b_is_released(p);
	}
	assert_int_equal(counted(p->w, RDS_WHY_NOBODY_WAITS), COUNT(answers));
	assert_int_equal(rds_rendezvous_status(p->w->rules).waits, 1);
}

// A asked for a relay: to that, B's only answer is RelayResponse.
static void check_no_answer_to_a_relay_request(struct pair *p, const char *id)
{
	rds_message answers[] = {punch_hole_sent(&p->a, id), local_addr(&p->a, id)};
	a_wants_relay(p, A_CONN, &p->a, "ridge-042");
	for (size_t i = 0; i < COUNT(answers); i++)
		b_says(p, &answers[i]);
	size_t n = p->w->n;
	world_forget(p->w);
	assert_int_equal(n, COUNT(answers)); // B's two connections are closed; A hears nothing
	assert_int_equal(counted(p->w, RDS_WHY_NOBODY_WAITS), COUNT(answers));
	assert_int_equal(rds_rendezvous_status(p->w->rules).waits, 1);
}

static void nameless_punch_answers_to_a_relay_request_are_dropped(void **state)
{
	check_no_answer_to_a_relay_request(*state, "");
}

static void punch_answers_to_a_relay_request_are_dropped(void **state)
{
	check_no_answer_to_a_relay_request(*state, "ridge-042");
}

static void nobody_waits(void **state)
{
	struct pair *p = *state;
	rds_message msg = punch_hole_sent(&p->a, "ridge-042");
	b_says(p, &msg);
	expect_dropped(p);
}

static void answer_after_the_end_is_dropped(void **state)
{
	struct pair *p = *state;
	a_punches(p, A_CONN, &p->a, "ridge-042");
	rds_rendezvous_closed(p->w->rules, A_CONN);
	rds_message msg = punch_hole_sent(&p->a, "ridge-042");
	b_says(p, &msg);
	expect_dropped(p);
}

static void second_answer_is_dropped(void **state)
{
	struct pair *p = *state;
	a_punches(p, A_CONN, &p->a, "ridge-042");
	rds_message msg = punch_hole_sent(&p->a, "ridge-042");
	rds_message late = relay_response(&p->a, "ridge-042");
	b_says(p, &msg);
	(void)expect_response(p, A_CONN);
	expect_b_is_released(p);
	b_says(p, &late);
	expect_dropped(p);
}

// What A asked last on a connection is what it waits for.
static void later_request_replaces_the_first(void **state)
{
	struct pair *p = *state;
	a_punches(p, A_CONN, &p->a, "ridge-042");
	a_punches(p, A_CONN, &p->a, "ridge-043");
	assert_int_equal(rds_rendezvous_status(p->w->rules).waits, 1);
	rds_message first = punch_hole_sent(&p->a, "ridge-042");
	rds_message second = punch_hole_sent(&p->a, "ridge-043");
	b_says(p, &first);
	expect_dropped(p);
	b_says(p, &second);
	expect_signed_response(p, A_CONN, "ridge-043", "pk-of-ridge-043");
	expect_b_is_released(p);
}

static void relay_request_replaces_a_punch(void **state)
{
	struct pair *p = *state;
	a_punches(p, A_CONN, &p->a, "ridge-042");
	a_wants_relay(p, A_CONN, &p->a, "ridge-042");
	assert_int_equal(rds_rendezvous_status(p->w->rules).waits, 1);
	rds_message msg = relay_response(&p->a, NULL);
	b_says(p, &msg);
	assert_int_equal(expect_payload(p->w, A_CONN)->msg.which_member, 19);
	expect_b_is_released(p);
}

// Two attempts of one A side by side, and two A's behind one address: each its own answer.
static void side_by_side_requests_keep_apart(void **state)
{
	struct pair *p = *state;
	struct rds_addr with_udp = addr_of("198.51.100.1", 40001);
	a_punches(p, A_CONN, &p->a, "ridge-042");
	a_punches(p, A_CONN + 1, &with_udp, "ridge-042");
	assert_int_equal(rds_rendezvous_status(p->w->rules).waits, 2);
	rds_message second = punch_hole_sent(&with_udp, "ridge-042");
	rds_message first = punch_hole_sent(&p->a, "ridge-042");
	b_says(p, &second);
	(void)expect_response(p, A_CONN + 1);
	expect_b_is_released(p);
	b_says(p, &second);
	expect_dropped(p);
	b_says(p, &first);
	(void)expect_response(p, A_CONN);
	expect_b_is_released(p);
}

static void no_address_is_nobody(void **state)
{
	struct pair *p = *state;
	static const size_t lengths[] = {0, 1, 16, 17, 19, 24};
	a_punches(p, A_CONN, &p->a, "ridge-042");
	for (size_t i = 0; i < COUNT(lengths); i++) {
		static const uint8_t zeros[24];
		rds_message msg = punch_hole_sent(&p->a, "ridge-042");
		assert_true(rds_set(&msg.member.punch_hole_sent.socket_addr,
		                    rds_view_of(zeros, lengths[i])));
		b_says(p, &msg);
		expect_b_is_released(p);
	}
	assert_int_equal(counted(p->w, RDS_WHY_NOBODY_WAITS), COUNT(lengths));
}

// No version, no signature; and none where the host has no key.
static void pk_is_empty_where_it_can_not_be_signed(void **state)
{
	struct pair *p = *state;
	rds_message answers[] = {punch_hole_sent(&p->a, "ridge-042"),
	                         local_addr(&p->a, "ridge-042")};
	for (size_t i = 0; i < 4; i++) {
		rds_message msg = answers[i % 2];
		p->w->cannot_sign = i < 2;
		if (i == 2)
			msg.member.punch_hole_sent.version.size = 0;
		if (i == 3)
			msg.member.local_addr.version.size = 0;
		a_punches(p, A_CONN, &p->a, "ridge-042");
		b_says(p, &msg);
		const rds_PunchHoleResponse *answer = expect_response(p, A_CONN);
		assert_int_equal(answer->pk.size, 0);
		assert_true(answer->socket_addr.size > 0);
		expect_b_is_released(p);
	}
}

static void relay_response_without_version_is_unsigned(void **state)
{
	struct pair *p = *state;
	a_punches(p, A_CONN, &p->a, "ridge-042");
	rds_message msg = relay_response(&p->a, "ridge-042");
	msg.member.relay_response.version.size = 0;
	b_says(p, &msg);
	const rds_RelayResponse *answer = &expect_payload(p->w, A_CONN)->msg.member.relay_response;
	assert_int_not_equal(answer->which_who, 4); // never the bare id
	assert_int_equal(answer->which_who == 5 ? answer->who.pk.size : 0, 0);
	expect_b_is_released(p);
}

// A row without pk, or with one that no client has: nothing can be vouched for.
static void odd_rows_are_not_signed(void **state)
{
	struct pair *p = *state;
	char giant[300];
	memset(giant, 'x', sizeof giant - 1);
	giant[sizeof giant - 1] = '\0';
	load(p->w, "odd-pk-row", "uuid-1", giant, "203.0.113.7");
	send_register_peer(p->w, "odd-pk-row", 0, &p->b);
	expect_request_pk(p->w, &p->b, false);
	a_punches(p, A_CONN, &p->a, "odd-pk-row");
	rds_message msg = punch_hole_sent(&p->a, "odd-pk-row");
	b_says(p, &msg);
	assert_int_equal(expect_response(p, A_CONN)->pk.size, 0);
	expect_b_is_released(p);
}

// The longest id and pk, signed, fit.
static void longest_signature_fits(void **state)
{
	struct pair *p = *state;
	char id[101];
	char pk[65];
	memset(id, 'i', sizeof id - 1);
	memset(pk, 'k', sizeof pk - 1);
	id[sizeof id - 1] = pk[sizeof pk - 1] = '\0';
	registered(p->w, id, "uuid-1", pk, &p->b);
	a_punches(p, A_CONN, &p->a, id);
	rds_message msg = punch_hole_sent(&p->a, id);
	b_says(p, &msg);
	expect_signed_response(p, A_CONN, id, pk);
	expect_b_is_released(p);
}

// What A is told of B's key is what is on file when B answers.
static void signature_is_of_the_key_on_file(void **state)
{
	struct pair *p = *state;
	a_punches(p, A_CONN, &p->a, "ridge-042");
	registered(p->w, "ridge-042", "uuid-1", "a-newer-pk", &p->b);
	rds_message msg = punch_hole_sent(&p->a, "ridge-042");
	b_says(p, &msg);
	expect_signed_response(p, A_CONN, "ridge-042", "a-newer-pk");
	expect_b_is_released(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(punch_hole_sent_reaches_a),
	        TEST(copies_by_udp_reach_a_once),
	        TEST(local_addr_reaches_a),
	        TEST(local_addr_by_udp_reaches_a),
	        TEST(relay_response_with_id_is_signed),
	        TEST(relay_response_without_id_is_passed_on),
	        TEST(relay_response_vouches_for_nothing),
	        TEST(refusal_of_b_is_passed_on),
	        TEST(addresses_are_decoded_before_they_are_compared),
	        TEST(ipv6_addresses_are_found_too),
	        TEST(answer_for_another_id_is_dropped),
	        TEST(nameless_answers_to_a_punch_are_dropped),
	        TEST(nameless_punch_answers_to_a_relay_request_are_dropped),
	        TEST(punch_answers_to_a_relay_request_are_dropped),
	        TEST(nobody_waits),
	        TEST(answer_after_the_end_is_dropped),
	        TEST(second_answer_is_dropped),
	        TEST(later_request_replaces_the_first),
	        TEST(relay_request_replaces_a_punch),
	        TEST(side_by_side_requests_keep_apart),
	        TEST(no_address_is_nobody),
	        TEST(pk_is_empty_where_it_can_not_be_signed),
	        TEST(relay_response_without_version_is_unsigned),
	        TEST(odd_rows_are_not_signed),
	        TEST(longest_signature_fits),
	        TEST(signature_is_of_the_key_on_file),
	};
	return cmocka_run_group_tests_name("rendezvous_answer", tests, NULL, NULL);
}
