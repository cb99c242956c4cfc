// SPDX-License-Identifier: MIT
// Goal: what is remembered of peers from day to day: the last day of each, at most once a day, and
// its client's version, whenever that is new; a few at a time, and none lost.
#include "test/unit/world.h"

#include "core/rendezvous_admin.h"

#define TODAY 20500

static struct rds_path b_path(void)
{
	return path_of("203.0.113.7", 5000);
}

// A world in which ridge-042 is on file, last seen the day before.
static struct world *open_on_file(const char *version)
{
	struct world *w = world_open(NULL);
	struct rds_peer_row row = {.id = rds_view_text("ridge-042"),
	                           .uuid = rds_view_text("uuid-1"),
	                           .pk = rds_view_text("pk-1"),
	                           .ip = ip_of("203.0.113.7"),
	                           .seen_day = TODAY - 1,
	                           .version = rds_view_text(version)};
	assert_int_equal(rds_rendezvous_load(w->rules, &row), 0);
	rds_rendezvous_set_day(w->rules, TODAY);
	return w;
}

static void alive(struct world *w)
{
	struct rds_path b = b_path();
	send_register_peer(w, "ridge-042", 0, &b);
	expect_request_pk(w, &b, false);
}

static size_t pending(const struct world *w)
{
	return rds_rendezvous_status(w->rules).notes_pending;
}

// What goes to the disk within the next second is this and nothing else.
static void expect_note(struct world *w, const char *id, uint16_t day, const char *version)
{
	rds_rendezvous_write_notes(w->rules);
	const struct world_event *event = expect_write(w, NOTE);
	assert_view_text(event->row.id, id);
	assert_int_equal(event->row.seen_day, day);
	assert_view_text(event->row.version, version);
	expect_nothing(w);
	assert_int_equal(pending(w), 0);
}

static void expect_no_note(struct world *w)
{
	rds_rendezvous_write_notes(w->rules);
	expect_nothing(w);
}

static void expect_shown(const struct world *w, const char *id, uint16_t day, const char *version)
{
	struct rds_peer_info info;
	assert_true(rds_rendezvous_peer(w->rules, w->now_ms, rds_view_text(id), &info));
	assert_int_equal(info.seen_day, day);
	assert_view_text(info.version, version);
}

static void day_is_noted_once(void **state)
{
	(void)state;
	struct world *w = open_on_file("");
	expect_no_note(w);
	expect_shown(w, "ridge-042", TODAY - 1, "");
	for (int i = 0; i < 3; i++)
		alive(w);
	expect_shown(w, "ridge-042", TODAY, "");
	expect_note(w, "ridge-042", TODAY, "");
	alive(w);
	expect_no_note(w);
	rds_rendezvous_set_day(w->rules, TODAY);
	alive(w);
	expect_no_note(w);
	rds_rendezvous_set_day(w->rules, TODAY + 1);
	expect_no_note(w); // it has not been here yet
	alive(w);
	expect_note(w, "ridge-042", TODAY + 1, "");
	world_close(w);
}

static void unknown_days_are_not_noted(void **state)
{
	(void)state;
	struct world *w = open_on_file("1.4.2");
	rds_rendezvous_set_day(w->rules, 0);
	alive(w);
	expect_no_note(w);
	expect_shown(w, "ridge-042", TODAY - 1, "1.4.2");
	world_close(w);
}

// On file with today's day: nothing is new.
static void what_is_on_file_is_not_noted_again(void **state)
{
	(void)state;
	struct world *w = open_on_file("1.4.2");
	rds_rendezvous_set_day(w->rules, TODAY - 1);
	alive(w);
	expect_no_note(w);
	world_close(w);
}

static void new_peers_are_noted_when_their_row_is_there(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = b_path();
	rds_rendezvous_set_day(w->rules, TODAY);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	uint64_t ticket = expect_store(w)->ticket;
	expect_no_note(w);
	stored(w, ticket, true);
	expect_result(w, &b, OK);
	expect_note(w, "ridge-042", TODAY, "");
	send_register_pk(w, "crest-007", "uuid-1", "pk-1", &b);
	stored(w, expect_store(w)->ticket, false);
	expect_result(w, &b, SERVER_ERROR);
	assert_int_equal(pending(w), 0);
	expect_no_note(w);
	world_close(w);
}

// Whoever is registered at a connection says no more than its heartbeats.
static void heartbeats_are_signs_of_life(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = addr_of("203.0.113.7", 5000);
	struct rds_peer_info info;
	rds_rendezvous_set_day(w->rules, TODAY);
	conn_registered(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	expect_note(w, "ridge-042", TODAY, "");
	rds_rendezvous_set_day(w->rules, TODAY + 1);
	w->now_ms += 30000;
	frame_bytes(w, RDS_DOOR_MAIN, 2, &b, rds_view_of(NULL, 0)); // of somebody else
	expect_no_note(w);
	frame_bytes(w, RDS_DOOR_MAIN, 1, &b, rds_view_of(NULL, 0));
	expect_note(w, "ridge-042", TODAY + 1, "");
	assert_true(rds_rendezvous_peer(w->rules, w->now_ms, rds_view_text("ridge-042"), &info));
	assert_int_equal(info.seen_ms, w->now_ms);
	rds_rendezvous_closed(w->rules, 1);
	rds_rendezvous_set_day(w->rules, TODAY + 2);
	frame_bytes(w, RDS_DOOR_MAIN, 1, &b, rds_view_of(NULL, 0)); // has ended
	expect_no_note(w);
	world_close(w);
}

// Who may not be here isn't.
static void refused_ones_are_not_noted(void **state)
{
	(void)state;
	struct world *w = open_on_file("");
	struct rds_path b = b_path();
	struct rds_path clone = path_of("203.0.113.8", 5000);
	send_register_peer(w, "ridge-042", 0, &clone);
	expect_request_pk(w, &clone, true);
	send_register_pk(w, "ridge-042", "uuid-2", "pk-1", &clone);
	expect_result(w, &clone, UUID_MISMATCH);
	assert_int_equal(
	        rds_rendezvous_set_state(w->rules, rds_view_text("ridge-042"), RDS_PEER_BANNED), 0);
	stored(w, expect_write(w, SET_STATE)->ticket, true);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, NOT_DEPLOYED);
	expect_no_note(w);
	expect_shown(w, "ridge-042", TODAY - 1, "");
	world_close(w);
}

// Versions: B says which in each of its answers.

static struct rds_view to_a(const struct rds_addr *a, uint8_t bytes[RDS_ADDR_WIRE])
{
	return mangled(a, 0x12345678, bytes);
}

static rds_message hole_sent(const struct rds_addr *a, const char *version)
{
	uint8_t bytes[RDS_ADDR_WIRE];
	rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_sent_tag};
	rds_PunchHoleSent *sent = &msg.member.punch_hole_sent;
	assert_true(rds_set(&sent->socket_addr, to_a(a, bytes)) &&
	            rds_set(&sent->id, rds_view_text("ridge-042")) &&
	            rds_set(&sent->version, rds_view_text(version)));
	return msg;
}

static rds_message local_addr(const struct rds_addr *a, const char *version)
{
	uint8_t bytes[RDS_ADDR_WIRE];
	rds_message msg = {.which_member = rds_RendezvousMessage_local_addr_tag};
	rds_LocalAddr *local = &msg.member.local_addr;
	assert_true(rds_set(&local->socket_addr, to_a(a, bytes)) &&
	            rds_set(&local->id, rds_view_text("ridge-042")) &&
	            rds_set(&local->version, rds_view_text(version)));
	return msg;
}

// (as the answer to a RequestRelay, which names no id)
static rds_message relay_response(const struct rds_addr *a, const char *version)
{
	uint8_t bytes[RDS_ADDR_WIRE];
	rds_message msg = {.which_member = rds_RendezvousMessage_relay_response_tag};
	rds_RelayResponse *response = &msg.member.relay_response;
	assert_true(rds_set(&response->socket_addr, to_a(a, bytes)) &&
	            rds_set(&response->version, rds_view_text(version)));
	return msg;
}

// A asks, and B answers with msg.
static void answered(struct world *w, const rds_message *msg)
{
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	struct rds_addr b = addr_of("203.0.113.7", 51000);
	struct rds_path at = b_path();
	bool relay = msg->which_member == rds_RendezvousMessage_relay_response_tag;
	if (relay)
		send_request_relay(w, 11, &a, "ridge-042", "session");
	else
		send_punch(w, 11, &a, "ridge-042");
	(void)expect_answer(w, &at, relay ? 18 : 9);
	frame(w, RDS_DOOR_MAIN, 22, &b, msg);
	(void)expect_payload(w, 11);
	expect_close(w, 22, RDS_WHY_DONE);
}

static void versions_come_with_answers(void **state)
{
	(void)state;
	static rds_message (*const answers[])(const struct rds_addr *, const char *) = {
	        hole_sent, local_addr, relay_response};
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	for (size_t i = 0; i < COUNT(answers); i++) {
		struct world *w = open_on_file("");
		alive(w);
		expect_note(w, "ridge-042", TODAY, "");
		rds_message msg = answers[i](&a, "1.4.2");
		answered(w, &msg);
		expect_shown(w, "ridge-042", TODAY, "1.4.2");
		expect_note(w, "ridge-042", TODAY, "1.4.2");
		answered(w, &msg);
		expect_no_note(w);
		msg = answers[i](&a, "1.4.3");
		answered(w, &msg);
		expect_note(w, "ridge-042", TODAY, "1.4.3");
		world_close(w);
	}
}

static void only_new_versions_are_noted(void **state)
{
	(void)state;
	static const char *const unsaid[] = {"", "1.4.2", "1.4 3", "\x1b[2J",
	                                     "1.234567890123456789012345678901234567890"};
	struct world *w = open_on_file("1.4.2");
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	alive(w);
	expect_note(w, "ridge-042", TODAY, "1.4.2");
	for (size_t i = 0; i < COUNT(unsaid); i++) {
		rds_message msg = hole_sent(&a, unsaid[i]);
		answered(w, &msg);
		expect_no_note(w);
		expect_shown(w, "ridge-042", TODAY, "1.4.2");
	}
	world_close(w);
}

static void unasked_answers_say_nothing(void **state)
{
	(void)state;
	struct world *w = open_on_file("");
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	struct rds_addr b = addr_of("203.0.113.7", 51000);
	rds_message msg = hole_sent(&a, "1.4.2");
	frame(w, RDS_DOOR_MAIN, 22, &b, &msg);
	expect_close(w, 22, RDS_WHY_DONE);
	expect_no_note(w);
	expect_shown(w, "ridge-042", TODAY - 1, "");
	world_close(w);
}

// At midnight a whole fleet has something new: a few go to the disk each second.
static void fleets_are_noted_by_and_by(void **state)
{
	(void)state;
	enum { FLEET = 4 * RDS_NOTES_PER_SECOND + 7 };
	struct world *w = world_open(NULL);
	struct rds_path b = b_path();
	char id[20];
	rds_rendezvous_set_day(w->rules, TODAY);
	w->deaf = true;
	for (int i = 0; i < FLEET; i++) {
		(void)snprintf(id, sizeof id, "peer-%05d", i);
		load(w, id, "uuid-1", "pk-1", "203.0.113.7");
		send_register_peer(w, id, 0, &b);
	}
	assert_int_equal(pending(w), FLEET);
	for (size_t left = FLEET; left > 0; assert_int_equal(pending(w), left)) {
		rds_rendezvous_write_notes(w->rules);
		left -= left < RDS_NOTES_PER_SECOND ? left : RDS_NOTES_PER_SECOND;
	}
	w->deaf = false;
	expect_no_note(w);
	world_close(w);
}

// Few that are new among many: found within a bounded time, and no more is looked at than may be.
static void few_among_many_are_found(void **state)
{
	(void)state;
	enum { MANY = 3 * RDS_NOTE_LOOKS_PER_SECOND };
	struct world *w = world_open(NULL);
	struct rds_path b = b_path();
	char id[20];
	rds_rendezvous_set_day(w->rules, TODAY);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(id, sizeof id, "peer-%05d", i);
		load(w, id, "uuid-1", "pk-1", "203.0.113.7");
	}
	for (int turn = 0; turn < 4; turn++) {
		(void)snprintf(id, sizeof id, "peer-%05d", turn * 77);
		send_register_peer(w, id, 0, &b);
		expect_request_pk(w, &b, false);
		for (int second = 0; second < 5 && pending(w) > 0; second++)
			rds_rendezvous_write_notes(w->rules);
		assert_view_text(expect_write(w, NOTE)->row.id, id);
		assert_int_equal(pending(w), 0);
	}
	world_close(w);
}

static void busy_disk_is_asked_again(void **state)
{
	(void)state;
	struct world *w = open_on_file("");
	alive(w);
	w->store_rc = -RDS_EFULL;
	for (int i = 0; i < 3; i++)
		expect_no_note(w);
	assert_int_equal(pending(w), 1);
	w->store_rc = 0;
	for (int i = 0; i < 2 && w->n == 0; i++)
		rds_rendezvous_write_notes(w->rules);
	assert_view_text(expect_write(w, NOTE)->row.id, "ridge-042");
	assert_int_equal(pending(w), 0);
	world_close(w);
}

// What was remembered goes along to the new id; in between nothing is written.
static void change_of_id_keeps_notes(void **state)
{
	(void)state;
	struct rds_addr b = addr_of("203.0.113.7", 51000);
	for (int ok = 0; ok < 2; ok++) {
		struct world *w = open_on_file("1.4.2");
		alive(w);
		conn_change_id(w, 1, &b, "myLaptop_1", "ridge-042", "uuid-1");
		uint64_t ticket = expect_write(w, RENAME)->ticket;
		expect_no_note(w);
		assert_int_equal(pending(w), 1);
		stored(w, ticket, ok != 0);
		(void)expect_payload(w, 1);
		const char *id = ok != 0 ? "myLaptop_1" : "ridge-042";
		expect_shown(w, id, TODAY, "1.4.2");
		expect_note(w, id, TODAY, "1.4.2");
		world_close(w);
	}
}

static void forgotten_ones_leave_no_notes(void **state)
{
	(void)state;
	struct world *w = open_on_file("1.4.2");
	alive(w);
	assert_int_equal(rds_rendezvous_forget(w->rules, rds_view_text("ridge-042")), 0);
	uint64_t ticket = expect_write(w, FORGET)->ticket;
	expect_no_note(w);
	stored(w, ticket, true);
	assert_int_equal(pending(w), 0);
	expect_no_note(w);
	struct rds_path b = b_path();
	registered(w, "ridge-042", "uuid-2", "pk-2", &b);
	expect_shown(w, "ridge-042", TODAY, "");
	expect_note(w, "ridge-042", TODAY, "");
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(day_is_noted_once),
	        cmocka_unit_test(unknown_days_are_not_noted),
	        cmocka_unit_test(what_is_on_file_is_not_noted_again),
	        cmocka_unit_test(new_peers_are_noted_when_their_row_is_there),
	        cmocka_unit_test(heartbeats_are_signs_of_life),
	        cmocka_unit_test(refused_ones_are_not_noted),
	        cmocka_unit_test(versions_come_with_answers),
	        cmocka_unit_test(only_new_versions_are_noted),
	        cmocka_unit_test(unasked_answers_say_nothing),
	        cmocka_unit_test(fleets_are_noted_by_and_by),
	        cmocka_unit_test(few_among_many_are_found),
	        cmocka_unit_test(busy_disk_is_asked_again),
	        cmocka_unit_test(change_of_id_keeps_notes),
	        cmocka_unit_test(forgotten_ones_leave_no_notes),
	};
	return cmocka_run_group_tests_name("rendezvous_notes", tests, NULL, NULL);
}
