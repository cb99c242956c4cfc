// SPDX-License-Identifier: MIT
// Goal: RequestRelay (protocol.md section 7): passed to B with A's address, or refused in words.
#include "test/unit/world.h"

static const char *refusal(struct world *w, uint64_t conn, char out[300])
{
	const struct world_event *event = expect_payload(w, conn);
	assert_int_equal(event->msg.which_member, 19);
	const rds_RelayResponse *answer = &event->msg.member.relay_response;
	assert_int_equal(answer->socket_addr.size, 0);
	assert_int_equal(answer->which_who, 0);
	(void)snprintf(out, 300, "%.*s", answer->refuse_reason.size,
	               (const char *)answer->refuse_reason.bytes);
	return out;
}

static void request_reaches_b(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	rds_message msg = {.which_member = rds_RendezvousMessage_request_relay_tag};
	rds_RequestRelay *request = &msg.member.request_relay;
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	request->secure = true;
	request->conn_type = 5;
	request->has_control_permissions = request->has_controlled_context = true;
	assert_true(
	        rds_set(&request->id, rds_view_text("ridge-042")) &&
	        rds_set(&request->uuid, rds_view_text("2f1f7c2e-5a0a-4a51-9f5d-0f1f6c1d2e3f")) &&
	        rds_set(&request->relay_server, rds_view_text("relay.of.a")) &&
	        rds_set(&request->socket_addr, rds_view_text("a lie")) &&
	        rds_set(&request->control_permissions, rds_view_text("\x08\x05")) &&
	        rds_set(&request->controlled_context, rds_view_text("\x0a\x01x")));
	frame(w, RDS_DOOR_MAIN, 1, &a, &msg);
	const rds_RequestRelay *got = &expect_answer(w, &b, 18)->msg.member.request_relay;
	assert_view_text(rds_get(got->id), "ridge-042");
	assert_view_text(rds_get(got->uuid), "2f1f7c2e-5a0a-4a51-9f5d-0f1f6c1d2e3f");
	assert_view_text(rds_get(got->relay_server), "relay.of.a");
	assert_is_addr(rds_get(got->socket_addr), &a);
	assert_true(got->secure);
	assert_int_equal(got->conn_type, 5);
	assert_true(got->has_control_permissions && got->has_controlled_context);
	assert_view_text(rds_get(got->control_permissions), "\x08\x05");
	assert_view_text(rds_get(got->controlled_context), "\x0a\x01x");
	assert_int_equal(rds_rendezvous_status(w->rules).waits, 1);
	world_close(w);
}

// In RequestRelay what A named is what B must be told: also nothing.
static void relay_is_what_a_named(void **state)
{
	(void)state;
	const struct rds_relay_names relays[] = {{.name = rds_view_text("relay.of.server")}};
	struct rds_rendezvous_config config = {.relays = relays, .n_relays = 1};
	struct world *w = world_open(&config);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_request_relay(w, 1, &a, "ridge-042", "session");
	const rds_RequestRelay *got = &expect_answer(w, &b, 18)->msg.member.request_relay;
	assert_int_equal(got->relay_server.size, 0);
	assert_false(got->has_control_permissions || got->has_controlled_context);
	world_close(w);
}

// There is no licence_key in it, so none is asked for.
static void no_key_is_asked_for(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	w->key = "the-key";
	send_request_relay(w, 1, &a, "ridge-042", "session");
	(void)expect_answer(w, &b, 18);
	assert_int_equal(w->refused, 0);
	world_close(w);
}

static void refusals_are_words(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	char unknown[300];
	char offline[300];
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_request_relay(w, 1, &a, "nobody-1", "session");
	assert_true(refusal(w, 1, unknown)[0] != '\0');
	send_request_relay(w, 1, &a, "", "session");
	assert_string_equal(refusal(w, 1, offline), unknown);
	w->now_ms += 30000;
	send_request_relay(w, 1, &a, "ridge-042", "session");
	assert_true(refusal(w, 1, offline)[0] != '\0');
	assert_string_not_equal(unknown, offline);
	assert_int_equal(counted(w, RDS_WHY_ID_UNKNOWN), 2);
	assert_int_equal(counted(w, RDS_WHY_ID_OFFLINE), 1);
	assert_int_equal(rds_rendezvous_status(w->rules).waits, 0);
	world_close(w);
}

// Several at once, and a try on a fresh connection after one that got no answer.
static void tries_on_fresh_connections(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_addr b_conn = addr_of("203.0.113.7", 51000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	for (uint64_t conn = 1; conn <= 3; conn++) {
		struct rds_addr a = addr_of("198.51.100.1", (uint16_t)(40000 + conn));
		send_request_relay(w, conn, &a, "ridge-042", "session");
		(void)expect_answer(w, &b, 18);
	}
	rds_rendezvous_closed(w->rules, 1);
	struct rds_addr second = addr_of("198.51.100.1", 40002);
	uint8_t bytes[RDS_ADDR_WIRE];
	rds_message msg = {.which_member = rds_RendezvousMessage_relay_response_tag};
	assert_true(rds_set(&msg.member.relay_response.socket_addr, mangled(&second, 5, bytes)));
	frame(w, RDS_DOOR_MAIN, 9, &b_conn, &msg);
	(void)expect_payload(w, 2);
	expect_close(w, 9, RDS_WHY_DONE);
	assert_int_equal(rds_rendezvous_status(w->rules).waits, 1);
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(request_reaches_b),
	        cmocka_unit_test(relay_is_what_a_named),
	        cmocka_unit_test(no_key_is_asked_for),
	        cmocka_unit_test(refusals_are_words),
	        cmocka_unit_test(tries_on_fresh_connections),
	};
	return cmocka_run_group_tests_name("rendezvous_relay", tests, NULL, NULL);
}
