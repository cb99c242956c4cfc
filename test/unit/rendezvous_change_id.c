// SPDX-License-Identifier: MIT
// Goal: change of ID (protocol.md section 5): every result, the order of the rules, what holds
// while it is on its way to the disk.
#include "test/unit/world.h"

#include "core/rendezvous_admin.h"

static const struct rds_rendezvous_config keep_alive = {.keep_alive_sec = 30};

static struct rds_addr b_addr(void)
{
	return addr_of("203.0.113.7", 5000);
}

// A world with 1234567890 (of uuid-1) and crest-007 (of uuid-2) on file.
static struct world *start(const struct rds_rendezvous_config *config)
{
	struct world *w = world_open(config);
	load(w, "1234567890", "uuid-1", "pk-1", "203.0.113.7");
	load(w, "crest-007", "uuid-2", "pk-2", "203.0.113.8");
	return w;
}

static void change(struct world *w, const char *new_id, const char *old_id, const char *uuid)
{
	struct rds_addr b = b_addr();
	conn_change_id(w, 1, &b, new_id, old_id, uuid);
}

static uint64_t change_is_written(struct world *w, const char *new_id)
{
	change(w, new_id, "1234567890", "uuid-1");
	const struct world_event *event = expect_write(w, RENAME);
	assert_view_text(event->row.id, new_id);
	assert_view_text(event->old_id, "1234567890");
	expect_nothing(w);
	return event->ticket;
}

static bool is_on_file(struct world *w, const char *id)
{
	struct rds_peer_info info;
	return rds_rendezvous_peer(w->rules, w->now_ms, rds_view_text(id), &info);
}

static void ok_once_it_is_on_disk(void **state)
{
	(void)state;
	struct world *w = start(&keep_alive);
	uint64_t ticket = change_is_written(w, "myLaptop_1");
	assert_true(is_on_file(w, "1234567890"));
	assert_false(is_on_file(w, "myLaptop_1"));
	stored(w, ticket, true);
	const rds_RegisterPkResponse *answer = world_conn_answer(w, 1, __FILE__, __LINE__);
	assert_int_equal(answer->result, rds_RegisterPkResponse_Result_OK);
	assert_false(is_on_file(w, "1234567890"));
	assert_true(is_on_file(w, "myLaptop_1"));
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 2);
	assert_int_equal(rds_rendezvous_status(w->rules).stores_pending, 0);
	// It keeps its key and its address: no more is asked of it.
	struct rds_path udp = path_of("203.0.113.7", 6000);
	send_register_peer(w, "myLaptop_1", 0, &udp);
	expect_request_pk(w, &udp, false);
	send_register_pk(w, "myLaptop_1", "uuid-1", "pk-1", &udp);
	expect_result(w, &udp, OK);
	world_close(w);
}

// By WebSocket as well; by datagram or on the second port it is nothing.
static void only_over_connections(void **state)
{
	(void)state;
	struct world *w = start(NULL);
	struct rds_addr b = b_addr();
	struct rds_path udp = path_of("203.0.113.7", 5000);
	rds_message msg = register_pk("myLaptop_1", "uuid-1", "");
	assert_true(rds_set(&msg.member.register_pk.old_id, rds_view_text("1234567890")));
	datagram(w, &udp, &msg);
	expect_nothing(w);
	frame(w, RDS_DOOR_NAT, 3, &b, &msg);
	expect_close(w, 3, RDS_WHY_UNKNOWN_MESSAGE);
	frame(w, RDS_DOOR_WEBSOCKET, 2, &b, &msg);
	stored(w, expect_write(w, RENAME)->ticket, true);
	expect_conn_result(w, 2, OK);
	assert_int_equal(w->kept, 0); // it registers nobody
	world_close(w);
}

static void old_id_must_be_there_with_that_uuid(void **state)
{
	(void)state;
	struct world *w = start(NULL);
	struct rds_addr b = b_addr();
	change(w, "myLaptop_1", "1234567890", "uuid-2");
	expect_conn_result(w, 1, UUID_MISMATCH);
	change(w, "myLaptop_1", "nobody-01", "uuid-1");
	expect_conn_result(w, 1, UUID_MISMATCH);
	change(w, "myLaptop_1", "crest-007", "uuid-1");
	expect_conn_result(w, 1, UUID_MISMATCH);
	// One whose first row is on its way is not on file.
	conn_register(w, 2, &b, "brook-001", "uuid-3", "pk-3");
	uint64_t ticket = expect_store(w)->ticket;
	change(w, "myLaptop_1", "brook-001", "uuid-3");
	expect_conn_result(w, 1, UUID_MISMATCH);
	stored(w, ticket, true);
	expect_conn_result(w, 2, OK);
	change(w, "myLaptop_1", "brook-001", "uuid-3");
	(void)expect_write(w, RENAME);
	world_close(w);
}

// [A-Za-z][A-Za-z0-9_-]{5,15}
static void form_of_new_ids(void **state)
{
	(void)state;
	static const char *const good[] = {"abcdef", "ABCDEF", "zzzzzZ",           "a12345",
	                                   "a-----", "Z_____", "abcdefghijklmnop", "a9_-AZaz09"};
	static const char *const bad[] = {
	        "abcde",
	        "abcdefghijklmnopq",
	        "1abcdef",
	        "-abcdef",
	        "_abcdef",
	        "123456789",
	        "abc def",
	        "abc.def",
	        "abcdef ",
	        "abc@def",
	        "abcde/",
	        "abcde:",
	        "abcde[",
	        "abcde`",
	        "abcde{",
	        "@bcdef",
	        "[bcdef",
	        "`bcdef",
	        "{bcdef",
	        "abcd\xc3\xa9",
	        "\xc3\xa9mile-x",
	        "abcde\n",
	        "",
	};
	for (size_t i = 0; i < COUNT(good); i++) {
		struct world *w = start(NULL);
		(void)change_is_written(w, good[i]);
		world_close(w);
	}
	struct world *w = start(NULL);
	for (size_t i = 0; i < COUNT(bad); i++) {
		change(w, bad[i], "1234567890", "uuid-1");
		expect_conn_result(w, 1, INVALID_ID_FORMAT);
	}
	world_close(w);
}

static void taken_ids_exist(void **state)
{
	(void)state;
	struct world *w = start(NULL);
	struct rds_addr b = b_addr();
	change(w, "crest-007", "1234567890", "uuid-1");
	expect_conn_result(w, 1, ID_EXISTS);
	// Also one that is only being registered.
	conn_register(w, 2, &b, "brook-001", "uuid-3", "pk-3");
	uint64_t ticket = expect_store(w)->ticket;
	change(w, "brook-001", "1234567890", "uuid-1");
	expect_conn_result(w, 1, ID_EXISTS);
	stored(w, ticket, false);
	expect_conn_result(w, 2, SERVER_ERROR);
	(void)change_is_written(w, "brook-001"); // it came to nothing
	world_close(w);
}

// The first rule that fits: uuid, then form, then whether it is free.
static void order_of_the_rules(void **state)
{
	(void)state;
	struct world *w = start(NULL);
	load(w, "12", "uuid-9", "pk", "203.0.113.9");
	change(w, "no good", "1234567890", "uuid-2");
	expect_conn_result(w, 1, UUID_MISMATCH);
	change(w, "crest-007", "1234567890", "uuid-3");
	expect_conn_result(w, 1, UUID_MISMATCH);
	change(w, "12", "1234567890", "uuid-1");
	expect_conn_result(w, 1, INVALID_ID_FORMAT);
	world_close(w);
}

static void asking_again_for_what_it_has_is_ok(void **state)
{
	(void)state;
	struct world *w = start(&keep_alive);
	stored(w, change_is_written(w, "myLaptop_1"), true);
	expect_conn_result(w, 1, OK);
	change(w, "myLaptop_1", "1234567890", "uuid-1"); // the answer was lost
	expect_conn_result(w, 1, OK);
	change(w, "myLaptop_1", "myLaptop_1", "uuid-1");
	expect_conn_result(w, 1, OK);
	change(w, "myLaptop_1", "1234567890", "uuid-2");
	expect_conn_result(w, 1, UUID_MISMATCH);
	world_close(w);
}

// With a pk it is a registration, whatever else it names; without a uuid it is nothing.
static void what_is_no_change_of_id(void **state)
{
	(void)state;
	struct world *w = start(NULL);
	struct rds_addr b = b_addr();
	rds_message msg = register_pk("myLaptop_1", "uuid-1", "pk-1");
	assert_true(rds_set(&msg.member.register_pk.old_id, rds_view_text("1234567890")));
	frame(w, RDS_DOOR_MAIN, 1, &b, &msg);
	assert_view_text(expect_store(w)->row.id, "myLaptop_1");
	msg = register_pk("myLaptop_2", "", "");
	assert_true(rds_set(&msg.member.register_pk.old_id, rds_view_text("1234567890")));
	frame(w, RDS_DOOR_MAIN, 1, &b, &msg);
	msg = register_pk("myLaptop_2", "uuid-1", "");
	frame(w, RDS_DOOR_MAIN, 1, &b, &msg);
	expect_nothing(w);
	assert_int_equal(counted(w, RDS_WHY_REGISTER_INCOMPLETE), 2);
	world_close(w);
}

static void limits_of_the_address_hold(void **state)
{
	(void)state;
	static const struct rds_rendezvous_config config = {.limits = {.per_minute = 3}};
	struct world *w = start(&config);
	for (int i = 0; i < 3; i++) {
		change(w, "crest-007", "1234567890", "uuid-1");
		expect_conn_result(w, 1, ID_EXISTS);
	}
	change(w, "myLaptop_1", "1234567890", "uuid-1");
	expect_conn_result(w, 1, TOO_FREQUENT);
	change(w, "crest-007", "1234567890", "uuid-2"); // it has that: no try at anything
	expect_conn_result(w, 1, OK);
	w->now_ms += 60000;
	(void)change_is_written(w, "myLaptop_1");
	world_close(w);
}

// The new id is nobody else's while it is on its way, and the old one stays what it was.
static void both_ids_are_held_meanwhile(void **state)
{
	(void)state;
	struct world *w = start(NULL);
	struct rds_addr b = b_addr();
	struct rds_addr other = addr_of("203.0.113.8", 5000);
	uint64_t ticket = change_is_written(w, "myLaptop_1");
	change(w, "myLaptop_1", "1234567890", "uuid-1"); // sent twice
	expect_conn_result(w, 1, ID_EXISTS);
	change(w, "myLaptop_2", "1234567890", "uuid-1");
	expect_conn_result(w, 1, TOO_FREQUENT);
	change(w, "myLaptop_1", "crest-007", "uuid-2"); // another machine
	expect_conn_result(w, 1, ID_EXISTS);
	change(w, "myLaptop_2", "myLaptop_1", "uuid-1"); // not there yet
	expect_conn_result(w, 1, UUID_MISMATCH);
	conn_register(w, 2, &b, "myLaptop_1", "uuid-1", "pk-1");
	expect_conn_result(w, 2, TOO_FREQUENT); // tried again after 15 s
	conn_register(w, 2, &b, "1234567890", "uuid-1", "pk-1");
	expect_conn_result(w, 2, TOO_FREQUENT);
	conn_register(w, 3, &other, "myLaptop_1", "uuid-2", "pk-2");
	expect_conn_result(w, 3, UUID_MISMATCH);
	conn_register(w, 3, &other, "1234567890", "uuid-2", "pk-2");
	expect_conn_result(w, 3, UUID_MISMATCH);
	assert_int_equal(
	        rds_rendezvous_set_state(w->rules, rds_view_text("1234567890"), RDS_PEER_BANNED),
	        -RDS_EBUSY);
	assert_int_equal(rds_rendezvous_forget(w->rules, rds_view_text("myLaptop_1")), -RDS_ENOENT);
	stored(w, ticket, true);
	expect_conn_result(w, 1, OK);
	conn_register(w, 2, &b, "myLaptop_1", "uuid-1", "pk-1");
	expect_conn_result(w, 2, OK);
	assert_true(is_online(w, "myLaptop_1"));
	world_close(w);
}

static void old_id_is_free_again(void **state)
{
	(void)state;
	struct world *w = start(NULL);
	struct rds_addr other = addr_of("203.0.113.9", 5000);
	stored(w, change_is_written(w, "myLaptop_1"), true);
	expect_conn_result(w, 1, OK);
	conn_registered(w, 2, &other, "1234567890", "uuid-3", "pk-3");
	world_close(w);
}

// It is reached under neither until it registers the new id on the same connection.
static void online_moves_with_the_next_registration(void **state)
{
	(void)state;
	struct world *w = start(NULL);
	struct rds_addr b = b_addr();
	conn_register(w, 1, &b, "1234567890", "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	uint64_t ticket = change_is_written(w, "myLaptop_1");
	assert_true(is_online(w, "1234567890"));
	assert_false(is_online(w, "myLaptop_1"));
	stored(w, ticket, true);
	expect_conn_result(w, 1, OK);
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 0);
	conn_register(w, 1, &b, "myLaptop_1", "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	assert_true(is_online(w, "myLaptop_1"));
	rds_rendezvous_closed(w->rules, 1);
	assert_false(is_online(w, "myLaptop_1"));
	world_close(w);
}

static void failed_change_leaves_all_as_it_was(void **state)
{
	(void)state;
	struct world *w = start(NULL);
	struct rds_addr b = b_addr();
	conn_register(w, 2, &b, "1234567890", "uuid-1", "pk-1");
	expect_conn_result(w, 2, OK);
	stored(w, change_is_written(w, "myLaptop_1"), false);
	expect_conn_result(w, 1, SERVER_ERROR);
	assert_true(is_online(w, "1234567890"));
	assert_false(is_on_file(w, "myLaptop_1"));
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 2);
	w->store_rc = -RDS_EFULL; // the disk takes nothing at all
	change(w, "myLaptop_1", "1234567890", "uuid-1");
	expect_conn_result(w, 1, SERVER_ERROR);
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 2);
	assert_int_equal(rds_rendezvous_status(w->rules).stores_pending, 0);
	conn_register(w, 2, &b, "1234567890", "uuid-1", "pk-1"); // nothing holds it
	expect_conn_result(w, 2, OK);
	w->store_rc = 0;
	stored(w, change_is_written(w, "myLaptop_1"), true);
	expect_conn_result(w, 1, OK);
	world_close(w);
}

// Rows under the old id that are on their way go first.
static void waits_for_rows_on_their_way(void **state)
{
	(void)state;
	struct world *w = start(NULL);
	struct rds_addr moved = addr_of("192.0.2.9", 5000);
	conn_register(w, 2, &moved, "1234567890", "uuid-1", "pk-1");
	uint64_t ticket = expect_store(w)->ticket;
	change(w, "myLaptop_1", "1234567890", "uuid-1");
	expect_conn_result(w, 1, TOO_FREQUENT);
	stored(w, ticket, true);
	expect_conn_result(w, 2, OK);
	(void)change_is_written(w, "myLaptop_1");
	world_close(w);
}

// Who may not be here doesn't get away under another name.
static void states_go_with_the_id(void **state)
{
	(void)state;
	struct world *w = start(NULL);
	assert_int_equal(
	        rds_rendezvous_set_state(w->rules, rds_view_text("1234567890"), RDS_PEER_BANNED),
	        0);
	stored(w, expect_write(w, SET_STATE)->ticket, true);
	change(w, "myLaptop_1", "1234567890", "uuid-1");
	expect_conn_result(w, 1, NOT_DEPLOYED);
	change(w, "myLaptop_1", "1234567890", "uuid-2");
	expect_conn_result(w, 1, UUID_MISMATCH);
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ok_once_it_is_on_disk),
	        cmocka_unit_test(only_over_connections),
	        cmocka_unit_test(old_id_must_be_there_with_that_uuid),
	        cmocka_unit_test(form_of_new_ids),
	        cmocka_unit_test(taken_ids_exist),
	        cmocka_unit_test(order_of_the_rules),
	        cmocka_unit_test(asking_again_for_what_it_has_is_ok),
	        cmocka_unit_test(what_is_no_change_of_id),
	        cmocka_unit_test(limits_of_the_address_hold),
	        cmocka_unit_test(both_ids_are_held_meanwhile),
	        cmocka_unit_test(old_id_is_free_again),
	        cmocka_unit_test(online_moves_with_the_next_registration),
	        cmocka_unit_test(failed_change_leaves_all_as_it_was),
	        cmocka_unit_test(waits_for_rows_on_their_way),
	        cmocka_unit_test(states_go_with_the_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
