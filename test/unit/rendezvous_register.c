// SPDX-License-Identifier: MIT
// Goal: registration over UDP (protocol.md section 4): RegisterPeer, RegisterPk, what is kept.
#include "test/unit/world.h"

static void unknown_id_is_asked_for_its_key(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	send_register_peer(w, "ridge-042", 0, &b);
	expect_request_pk(w, &b, true);
	assert_false(is_online(w, "ridge-042"));
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 0);
	world_close(w);
}

// OK only once the row is on disk.
static void new_id_is_stored_and_then_ok(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	const struct world_event *store = expect_store(w);
	expect_nothing(w);
	assert_view_text(store->row.id, "ridge-042");
	assert_view_text(store->row.uuid, "uuid-1");
	assert_view_text(store->row.pk, "pk-1");
	assert_true(rds_ip_equal(&store->row.ip, &b.remote.ip));
	uint64_t ticket = store->ticket;
	assert_int_equal(rds_rendezvous_status(w->rules).stores_pending, 1);
	stored(w, ticket, true);
	assert_int_equal(expect_answer(w, &b, 16)->len, 3); // OK, no keep_alive
	assert_int_equal(rds_rendezvous_status(w->rules).stores_pending, 0);
	assert_true(is_online(w, "ridge-042"));
	world_close(w);
}

static void registered_id_is_not_asked_again(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	w->now_ms += 12000;
	send_register_peer(w, "ridge-042", 3, &b);
	expect_request_pk(w, &b, false);
	world_close(w);
}

// The same host from another port and by another of our addresses: pushes go there from now on.
static void address_moves_within_one_ip(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path old = path_of("203.0.113.7", 5000);
	struct rds_path now = path_of("::ffff:203.0.113.7", 6000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	now.local = 9;
	registered(w, "ridge-042", "uuid-1", "pk-1", &old);
	send_register_peer(w, "ridge-042", 0, &now);
	expect_request_pk(w, &now, false);
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &now, 9);
	world_close(w);
}

// A datagram's source can be forged: nobody moves an id that isn't theirs, nor keeps it online.
static void foreign_address_moves_nothing(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_path forged = path_of("203.0.113.8", 5000);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	w->now_ms += RDS_ONLINE_MS - 1;
	send_register_peer(w, "ridge-042", 0, &forged);
	expect_request_pk(w, &forged, true);
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &b, 9);
	w->now_ms += 1;
	assert_false(is_online(w, "ridge-042"));
	world_close(w);
}

// hbbs writes an IPv4 as ::ffff:, and plain ones occur: both match either kind of socket.
static void ipv4_mapped_is_ipv4(void **state)
{
	(void)state;
	static const char *const on_file[] = {"::ffff:198.51.100.23", "198.51.100.23"};
	static const char *const seen[] = {"198.51.100.23", "::ffff:198.51.100.23"};
	for (size_t i = 0; i < 4; i++) {
		struct world *w = world_open(NULL);
		struct rds_path b = path_of(seen[i % 2], 5000);
		load(w, "ridge-042", "uuid-1", "pk-1", on_file[i / 2]);
		send_register_peer(w, "ridge-042", 0, &b);
		expect_request_pk(w, &b, false);
		assert_true(is_online(w, "ridge-042"));
		world_close(w);
	}
}

// After a restart nobody is asked for a key again, but nobody is online either.
static void loaded_id_is_known_but_not_online(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("2001:db8::23", 5000);
	load(w, "crest-007", "uuid-1", "pk-1", "2001:db8::23");
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 1);
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 0);
	assert_false(is_online(w, "crest-007"));
	send_register_peer(w, "crest-007", 0, &b);
	expect_request_pk(w, &b, false);
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 1);
	world_close(w);
}

static void rows_that_lack_something_are_asked(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	load(w, "no-address", "uuid-1", "pk-1", NULL);
	load(w, "no-key-yet", "uuid-1", "", "203.0.113.7");
	send_register_peer(w, "no-address", 0, &b);
	expect_request_pk(w, &b, true);
	send_register_peer(w, "no-key-yet", 0, &b);
	expect_request_pk(w, &b, true);
	registered(w, "no-address", "uuid-1", "pk-1", &b);
	registered(w, "no-key-yet", "uuid-1", "pk-2", &b);
	send_register_peer(w, "no-key-yet", 0, &b);
	expect_request_pk(w, &b, false);
	world_close(w);
}

static void load_refuses_doubles_and_giants(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	char id[400];
	memset(id, 'x', sizeof id);
	load(w, "ridge-042", "uuid-1", "pk-1", "203.0.113.7");
	struct rds_peer_row row = {.id = rds_view_text("ridge-042"),
	                           .uuid = rds_view_text("u"),
	                           .pk = rds_view_text("p")};
	assert_int_equal(rds_rendezvous_load(w->rules, &row), -RDS_EEXIST);
	row.id = rds_view_of(id, sizeof id);
	assert_int_equal(rds_rendezvous_load(w->rules, &row), -RDS_ETOOBIG);
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 1);
	world_close(w);
}

// 30 s and not a millisecond more, counted from the last accepted message of either kind.
static void online_for_exactly_thirty_seconds(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	w->now_ms += 29999;
	assert_true(is_online(w, "ridge-042"));
	send_register_peer(w, "ridge-042", 0, &b);
	expect_request_pk(w, &b, false);
	w->now_ms += 29999;
	assert_true(is_online(w, "ridge-042"));
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 1);
	w->now_ms += 1;
	assert_false(is_online(w, "ridge-042"));
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 0);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	assert_true(is_online(w, "ridge-042"));
	world_close(w);
}

// A RegisterPk that changes nothing writes nothing, and is answered at once.
static void confirmation_is_not_stored(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_path other_port = path_of("203.0.113.7", 5001);
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &other_port);
	expect_result(w, &other_port, OK);
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &other_port, 9);
	world_close(w);
}

// Same uuid and pk from elsewhere: the id moves, once that is on disk.
static void new_ip_is_stored_and_then_moves(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path old = path_of("203.0.113.7", 5000);
	struct rds_path now = path_of("198.51.100.7", 7000);
	struct rds_addr a = addr_of("192.0.2.1", 40000);
	now.local = 3;
	registered(w, "ridge-042", "uuid-1", "pk-1", &old);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &now);
	uint64_t ticket = expect_store(w)->ticket;
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &old, 9);
	stored(w, ticket, true);
	expect_result(w, &now, OK);
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &now, 9);
	send_register_peer(w, "ridge-042", 0, &old);
	expect_request_pk(w, &old, true);
	send_register_peer(w, "ridge-042", 0, &now);
	expect_request_pk(w, &now, false);
	world_close(w);
}

// Same uuid and IP with a new pk: what A is told is the new one from then on.
static void new_pk_is_stored_and_then_holds(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-number-2", &b);
	const struct world_event *store = expect_store(w);
	assert_view_text(store->row.pk, "pk-number-2");
	stored(w, store->ticket, true);
	expect_result(w, &b, OK);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-number-2", &b);
	expect_result(w, &b, OK); // what is on file
	w->now_ms += RDS_ID_TRIES_WINDOW_MS;
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	assert_view_text(expect_store(w)->row.pk, "pk-1"); // what isn't any more
	world_close(w);
}

static void several_ids_keep_apart(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path one = path_of("203.0.113.7", 5000);
	struct rds_path two = path_of("203.0.113.8", 5000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &one);
	registered(w, "ridge-043", "uuid-2", "pk-2", &two);
	send_register_peer(w, "ridge-042", 0, &two);
	expect_request_pk(w, &two, true);
	send_register_peer(w, "ridge-043", 0, &two);
	expect_request_pk(w, &two, false);
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 2);
	world_close(w);
}

// Who registers is logged; uuids never are.
static void registrations_are_logged_without_secrets(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	log_capture(RDS_LOG_TRACE);
	registered(w, "ridge-042", "uuid-secret", "pk-1", &b);
	registered(w, "ridge-042", "uuid-secret", "pk-2", &b);
	send_register_pk(w, "ridge-042", "uuid-guess", "pk-1", &b);
	expect_result(w, &b, UUID_MISMATCH);
	const char *text = log_captured();
	assert_contains(text, "<6>peer registered id=\"ridge-042\"");
	assert_contains(text, "from=203.0.113.7:5000");
	assert_contains(text, "<7>peer updated");
	assert_contains(text, "reason=\"uuid-mismatch\"");
	assert_null(strstr(text, "uuid-secret"));
	assert_null(strstr(text, "uuid-guess"));
	log_release();
	world_close(w);
}

// A flood of newcomers doesn't flood the log: the next line says how many had none.
static void a_flood_is_logged_in_part(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	char id[] = "ridge-000";
	log_capture(RDS_LOG_INFO);
	for (int i = 0; i < RDS_LOG_BURST + 7; i++) {
		id[7] = (char)('0' + i / 10);
		id[8] = (char)('0' + i % 10);
		registered(w, id, "uuid-1", "pk-1", &b);
	}
	assert_null(strstr(log_captured(), "ridge-010"));
	w->now_ms += 1000;
	registered(w, "crest-007", "uuid-1", "pk-1", &b);
	assert_contains(log_captured(), "peer registered id=\"ridge-009\"");
	assert_contains(log_captured(), "peer registered id=\"crest-007\"");
	assert_contains(log_captured(), "not_logged_before=7");
	log_release();
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(unknown_id_is_asked_for_its_key),
	        cmocka_unit_test(new_id_is_stored_and_then_ok),
	        cmocka_unit_test(registered_id_is_not_asked_again),
	        cmocka_unit_test(address_moves_within_one_ip),
	        cmocka_unit_test(foreign_address_moves_nothing),
	        cmocka_unit_test(ipv4_mapped_is_ipv4),
	        cmocka_unit_test(loaded_id_is_known_but_not_online),
	        cmocka_unit_test(rows_that_lack_something_are_asked),
	        cmocka_unit_test(load_refuses_doubles_and_giants),
	        cmocka_unit_test(online_for_exactly_thirty_seconds),
	        cmocka_unit_test(confirmation_is_not_stored),
	        cmocka_unit_test(new_ip_is_stored_and_then_moves),
	        cmocka_unit_test(new_pk_is_stored_and_then_holds),
	        cmocka_unit_test(several_ids_keep_apart),
	        cmocka_unit_test(registrations_are_logged_without_secrets),
	        cmocka_unit_test(a_flood_is_logged_in_part),
	};
	return cmocka_run_group_tests_name("rendezvous_register", tests, NULL, NULL);
}
