// SPDX-License-Identifier: MIT
// Goal: what an administrator is shown and may end: listing, forgetting, refused registrations,
// settings that change at run time.
#include "test/unit/world.h"

#include "core/rendezvous_admin.h"

static struct rds_path b_path(void)
{
	return path_of("203.0.113.7", 5000);
}

static int forget(struct world *w, const char *id)
{
	return rds_rendezvous_forget(w->rules, rds_view_text(id));
}

static bool is_known(struct world *w, const char *id)
{
	struct rds_peer_info info;
	return rds_rendezvous_peer(w->rules, w->now_ms, rds_view_text(id), &info);
}

// Forgetting.

static void forgotten_is_gone_and_free(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = b_path();
	struct rds_path other = path_of("203.0.113.8", 5000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	assert_int_equal(forget(w, "ridge-042"), 0);
	const struct world_event *event = expect_write(w, FORGET);
	assert_view_text(event->row.id, "ridge-042");
	stored(w, event->ticket, true);
	expect_nothing(w);
	assert_false(is_known(w, "ridge-042"));
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 0);
	registered(w, "ridge-042", "uuid-2", "pk-2", &other); // whoever comes next
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, UUID_MISMATCH);
	world_close(w);
}

// Offline at once, and nobody's until its row is gone.
static void forgotten_is_held_meanwhile(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr b = addr_of("203.0.113.7", 5000);
	struct rds_path udp = b_path();
	struct rds_path other = path_of("203.0.113.8", 5000);
	conn_registered(w, 1, &b, "ridge-042", "uuid-1", "pk-1");
	assert_int_equal(forget(w, "ridge-042"), 0);
	uint64_t ticket = expect_write(w, FORGET)->ticket;
	expect_close(w, 1, RDS_WHY_NOT_ALLOWED);
	assert_false(is_online(w, "ridge-042"));
	assert_int_equal(forget(w, "ridge-042"), -RDS_EBUSY);
	conn_register(w, 2, &b, "ridge-042", "uuid-1", "pk-1");
	expect_conn_result(w, 2, TOO_FREQUENT);
	send_register_peer(w, "ridge-042", 0, &udp);
	expect_request_pk(w, &udp, true);
	send_register_pk(w, "ridge-042", "uuid-2", "pk-2", &other);
	expect_result(w, &other, UUID_MISMATCH);
	stored(w, ticket, true);
	conn_registered(w, 2, &b, "ridge-042", "uuid-1", "pk-1");
	rds_rendezvous_closed(w->rules, 1);
	assert_true(is_online(w, "ridge-042"));
	world_close(w);
}

static void failed_forgetting_forgets_nothing(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = b_path();
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	assert_int_equal(forget(w, "ridge-042"), 0);
	stored(w, expect_write(w, FORGET)->ticket, false);
	assert_true(is_known(w, "ridge-042"));
	assert_false(is_online(w, "ridge-042"));
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b);
	expect_result(w, &b, OK);
	assert_true(is_online(w, "ridge-042"));
	world_close(w);
}

// Listing.

struct listed {
	size_t n;
	size_t online;
	size_t by_conn;
	size_t pending;
	bool seen[16];
};

static void list_one(void *ctx, const struct rds_peer_info *info)
{
	struct listed *listed = ctx;
	struct rds_view number = rds_view_of(info->id.data + 5, 2);
	size_t i = (size_t)(number.data[0] - '0') * 10 + (size_t)(number.data[1] - '0');
	assert_true(i < COUNT(listed->seen) && !listed->seen[i]);
	listed->seen[i] = true;
	listed->n++;
	listed->online += info->online;
	listed->by_conn += info->by_conn;
	listed->pending += info->state == RDS_PEER_PENDING;
}

static void list_shows_what_is_on_file(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr conn_addr = addr_of("203.0.113.7", 6000);
	struct rds_path udp = b_path();
	struct listed listed = {0};
	char id[20];
	for (int i = 0; i < 10; i++) {
		(void)snprintf(id, sizeof id, "peer-%02d", i);
		load(w, id, "uuid-1", "pk-1", "203.0.113.7");
	}
	send_register_peer(w, "peer-03", 0, &udp);
	expect_request_pk(w, &udp, false);
	conn_register(w, 1, &conn_addr, "peer-04", "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	rds_rendezvous_set_enrol(w->rules, RDS_ENROL_APPROVE);
	conn_register(w, 2, &conn_addr, "peer-10", "uuid-1", "pk-1");
	stored(w, expect_store(w)->ticket, true);
	expect_conn_result(w, 2, NOT_DEPLOYED);
	conn_register(w, 2, &conn_addr, "peer-11", "uuid-1", "pk-1"); // on its way
	(void)expect_store(w);
	rds_rendezvous_peers(w->rules, w->now_ms, list_one, &listed);
	assert_int_equal(listed.n, 11);
	assert_int_equal(listed.online, 2);
	assert_int_equal(listed.by_conn, 1);
	assert_int_equal(listed.pending, 1);
	assert_false(listed.seen[11]);
	listed = (struct listed){0};
	rds_rendezvous_peers(w->rules, w->now_ms + RDS_ONLINE_MS, list_one, &listed);
	assert_int_equal(listed.online, 1);
	world_close(w);
}

static void one_peer_is_shown_whole(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_addr at = addr_of("203.0.113.7", 6000);
	struct rds_ip on_file = ip_of("203.0.113.7");
	struct rds_peer_info info;
	load(w, "ridge-042", "uuid-1", "pk-1", "203.0.113.7");
	assert_false(rds_rendezvous_peer(w->rules, w->now_ms, rds_view_text("ridge-04"), &info));
	assert_true(rds_rendezvous_peer(w->rules, w->now_ms, rds_view_text("ridge-042"), &info));
	assert_view_text(info.id, "ridge-042");
	assert_true(rds_ip_equal(&info.ip_on_file, &on_file));
	assert_int_equal(info.state, RDS_PEER_APPROVED);
	assert_false(info.online || info.by_conn);
	assert_int_equal(info.seen_ms, 0);
	uint64_t seen_ms = w->now_ms;
	conn_register(w, 1, &at, "ridge-042", "uuid-1", "pk-1");
	expect_conn_result(w, 1, OK);
	w->now_ms += 1000;
	assert_true(rds_rendezvous_peer(w->rules, w->now_ms, rds_view_text("ridge-042"), &info));
	assert_true(info.online && info.by_conn);
	assert_true(rds_addr_equal(&info.remote, &at));
	assert_int_equal(info.seen_ms, seen_ms);
	world_close(w);
}

// Refused registrations.

static size_t refused(const struct world *w, const struct rds_refused **out)
{
	return rds_rendezvous_refused(w->rules, out);
}

static void same_refusals_are_one(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	const struct rds_refused *list;
	struct rds_path clone = path_of("203.0.113.8", 5000);
	struct rds_path elsewhere = path_of("203.0.113.9", 5000);
	struct rds_path b = b_path();
	load(w, "ridge-042", "uuid-1", "pk-1", "203.0.113.7");
	assert_int_equal(refused(w, &list), 0);
	uint64_t first_ms = w->now_ms;
	for (int i = 0; i < 5; i++) {
		clone.remote.port++; // every try from another port
		send_register_pk(w, "ridge-042", "uuid-2", "pk-1", &clone);
		expect_result(w, &clone, UUID_MISMATCH);
		w->now_ms += 20000;
	}
	assert_int_equal(refused(w, &list), 1);
	assert_view_text(rds_view_of(list[0].id, list[0].id_len), "ridge-042");
	assert_true(rds_ip_equal(&list[0].ip, &clone.remote.ip));
	assert_int_equal(list[0].why, RDS_WHY_UUID_MISMATCH);
	assert_int_equal(list[0].first_ms, first_ms);
	assert_int_equal(list[0].last_ms, first_ms + 80000);
	assert_int_equal(list[0].times, 5);
	// Another address, another reason, another id.
	send_register_pk(w, "ridge-042", "uuid-2", "pk-1", &elsewhere);
	expect_result(w, &elsewhere, UUID_MISMATCH);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-2", &clone); // a flapping pk
	expect_result(w, &clone, UUID_MISMATCH);
	send_register_pk(w, "sh", "uuid-2", "pk-1", &clone);
	expect_result(w, &clone, UUID_MISMATCH);
	assert_int_equal(refused(w, &list), 4);
	assert_int_equal(list[0].times, 5);
	assert_int_equal(list[1].times, 1);
	assert_int_equal(list[2].why, RDS_WHY_PK_AND_IP_DIFFER);
	assert_int_equal(list[3].why, RDS_WHY_ID_SHORT);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-1", &b); // what is taken isn't listed
	expect_result(w, &b, OK);
	assert_int_equal(refused(w, &list), 4);
	world_close(w);
}

static void refused_list_is_bounded(void **state)
{
	(void)state;
	enum { MORE = 30 };
	struct world *w = world_open(NULL);
	const struct rds_refused *list;
	struct rds_path clone = path_of("203.0.113.8", 5000);
	char id[20];
	for (int i = 0; i < RDS_REFUSED + MORE; i++) {
		(void)snprintf(id, sizeof id, "peer-%04d", i);
		load(w, id, "uuid-1", "pk-1", "203.0.113.7");
		send_register_pk(w, id, "uuid-2", "pk-1", &clone);
		expect_result(w, &clone, UUID_MISMATCH);
	}
	assert_int_equal(refused(w, &list), RDS_REFUSED);
	for (int i = 0; i < RDS_REFUSED; i++) {
		(void)snprintf(id, sizeof id, "peer-%04d", i + MORE);
		assert_view_text(rds_view_of(list[i].id, list[i].id_len), id);
	}
	// One that is still there goes on being counted in its place.
	send_register_pk(w, "peer-0030", "uuid-2", "pk-1", &clone);
	expect_result(w, &clone, UUID_MISMATCH);
	assert_int_equal(refused(w, &list), RDS_REFUSED);
	assert_int_equal(list[0].times, 2);
	world_close(w);
}

// Ids that no registry would take are listed as far as they fit.
static void giant_ids_are_listed_in_part(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	const struct rds_refused *list;
	struct rds_path b = b_path();
	char id[251];
	memset(id, 'x', sizeof id - 1);
	id[sizeof id - 1] = '\0';
	send_register_pk(w, id, "uuid-1", "pk-1", &b);
	expect_result(w, &b, INVALID_ID_FORMAT);
	send_register_pk(w, "", "uuid-1", "pk-1", &b);
	expect_result(w, &b, UUID_MISMATCH);
	assert_int_equal(refused(w, &list), 2);
	assert_int_equal(list[0].id_len, RDS_ID_MAX_BYTES);
	assert_int_equal(list[1].id_len, 0);
	world_close(w);
}

static void relaying_is_switched_at_run_time(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = b_path();
	struct rds_addr near = addr_of("203.0.113.7", 40000);
	struct rds_relay_names relay = {.name = rds_view_text("relay.example.com")};
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_punch(w, 1, &near, "ridge-042");
	(void)expect_answer(w, &b, rds_RendezvousMessage_fetch_local_addr_tag);
	rds_rendezvous_set_always_use_relay(w->rules, true, NULL, 0);
	rds_rendezvous_set_relays(w->rules, &relay, 1);
	send_punch(w, 2, &near, "ridge-042");
	const rds_PunchHole *punch =
	        &expect_answer(w, &b, rds_RendezvousMessage_punch_hole_tag)->msg.member.punch_hole;
	assert_true(punch->force_relay);
	assert_view_text(rds_get(punch->relay_server), "relay.example.com");
	rds_rendezvous_set_relays(w->rules, NULL, 0);
	send_punch(w, 3, &near, "ridge-042");
	punch = &expect_answer(w, &b, rds_RendezvousMessage_punch_hole_tag)->msg.member.punch_hole;
	assert_int_equal(punch->relay_server.size, 0);
	struct rds_cidr net;
	assert_int_equal(rds_cidr_parse("203.0.113.0/24", &net), 0);
	rds_rendezvous_set_always_use_relay(w->rules, false, &net, 1);
	send_punch(w, 4, &near, "ridge-042");
	punch = &expect_answer(w, &b, rds_RendezvousMessage_punch_hole_tag)->msg.member.punch_hole;
	assert_true(punch->force_relay);
	rds_rendezvous_set_always_use_relay(w->rules, false, NULL, 0);
	send_punch(w, 5, &near, "ridge-042");
	(void)expect_answer(w, &b, rds_RendezvousMessage_fetch_local_addr_tag);
	world_close(w);
}

// It leaves the rotation; a client that names it by itself is not contradicted.
static void dead_relay_is_not_handed_out(void **state)
{
	(void)state;
	struct rds_relay_name near = {.name = rds_view_text("192.0.2.9")};
	assert_int_equal(rds_cidr_parse("203.0.113.0/24", &near.net), 0);
	const struct rds_relay_names relays[] = {
	        {.name = rds_view_text("a.example"), .by_net = &near, .n_by_net = 1},
	        {.name = rds_view_text("b.example")}};
	struct rds_rendezvous_config config = {.relays = relays, .n_relays = COUNT(relays)};
	struct world *w = world_open(&config);
	struct rds_path b = b_path();
	struct rds_addr a = addr_of("198.51.100.1", 40000);
	struct rds_rotation *rotation = rds_rendezvous_relays(w->rules);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	rds_rotation_probe_every(rotation, 3000);
	for (int i = 0; i < RDS_PROBE_FAILURES; i++)
		rds_rotation_probed(rotation, w->now_ms, relays[0].name, "refused", 0);
	for (uint64_t conn = 1; conn < 5; conn++) {
		send_punch(w, conn, &a, "ridge-042");
		const rds_PunchHole *punch = &expect_answer(w, &b, 9)->msg.member.punch_hole;
		assert_view_text(rds_get(punch->relay_server), "b.example");
	}
	rds_message msg = {.which_member = rds_RendezvousMessage_request_relay_tag};
	rds_RequestRelay *request = &msg.member.request_relay;
	assert_true(rds_set(&request->id, rds_view_text("ridge-042")) &&
	            rds_set(&request->uuid, rds_view_text("session")) &&
	            rds_set(&request->relay_server, rds_view_text("a.example")));
	frame(w, RDS_DOOR_MAIN, 9, &a, &msg);
	*request = expect_answer(w, &b, 18)->msg.member.request_relay;
	assert_view_text(rds_get(request->relay_server), "192.0.2.9");
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(forgotten_is_gone_and_free),
	        cmocka_unit_test(forgotten_is_held_meanwhile),
	        cmocka_unit_test(failed_forgetting_forgets_nothing),
	        cmocka_unit_test(list_shows_what_is_on_file),
	        cmocka_unit_test(one_peer_is_shown_whole),
	        cmocka_unit_test(same_refusals_are_one),
	        cmocka_unit_test(refused_list_is_bounded),
	        cmocka_unit_test(giant_ids_are_listed_in_part),
	        cmocka_unit_test(relaying_is_switched_at_run_time),
	        cmocka_unit_test(dead_relay_is_not_handed_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
