// SPDX-License-Identifier: MIT
// Goal: which RegisterPk is refused, how, and in which order of rules (protocol.md section 4
// points 4 and 5).
#include "test/unit/world.h"

// One registration, from end to end, of whatever result.
static int result_of(struct world *w, struct rds_view id, const char *uuid, const char *pk,
                     const struct rds_path *from)
{
	rds_message msg = {.which_member = rds_RendezvousMessage_register_pk_tag};
	rds_RegisterPk *request = &msg.member.register_pk;
	assert_true(rds_set(&request->id, id) && rds_set(&request->uuid, rds_view_text(uuid)) &&
	            rds_set(&request->pk, rds_view_text(pk)));
	datagram(w, from, &msg);
	if (w->n > 0 && w->events[0].kind == STORE)
		stored(w, expect_store(w)->ticket, true);
	return expect_answer(w, from, 16)->msg.member.register_pk_response.result;
}

static void nothing_to_register_is_not_answered(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	send_register_pk(w, "ridge-042", "", "pk-1", &b);
	expect_nothing(w);
	send_register_pk(w, "ridge-042", "uuid-1", "", &b);
	expect_nothing(w);
	send_register_pk(w, "short", "", "", &b);
	expect_nothing(w);
	assert_int_equal(counted(w, RDS_WHY_REGISTER_INCOMPLETE), 3);
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 0);
	world_close(w);
}

static void ids_have_a_length_and_a_form(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	char longest[257];
	memset(longest, 'x', sizeof longest);
	const struct {
		struct rds_view id;
		int result;
		enum rds_reason why;
	} cases[] = {
	        {rds_view_text(""), 2, RDS_WHY_ID_SHORT},
	        {rds_view_text("12345"), 2, RDS_WHY_ID_SHORT},
	        {rds_view_text("12 45"), 2, RDS_WHY_ID_SHORT},
	        {rds_view_text("123456"), 0, RDS_WHY_NONE},
	        {rds_view_text("\xd0\xb0\xd0\xb1\xd0\xb2"), 0, RDS_WHY_NONE}, // 6 bytes
	        {rds_view_text("\xe4\xb8\xbb\xe6\x9c\xba-7"), 0, RDS_WHY_NONE},
	        {rds_view_of(longest, 100), 0, RDS_WHY_NONE},
	        {rds_view_of(longest, 101), 5, RDS_WHY_ID_INVALID},
	        {rds_view_of(longest, 255), 5, RDS_WHY_ID_INVALID},
	        {rds_view_text("ridge 042"), 5, RDS_WHY_ID_INVALID},
	        {rds_view_text("ridge-042\n"), 5, RDS_WHY_ID_INVALID},
	        {rds_view_text("\tridge-042"), 5, RDS_WHY_ID_INVALID},
	        {rds_view_of("ridge\0-042", 10), 5, RDS_WHY_ID_INVALID},
	        {rds_view_text("ridge-042\x7f"), 5, RDS_WHY_ID_INVALID},
	        {rds_view_text("ridge\xc2\xa0"
	                       "042"),
	         5, RDS_WHY_ID_INVALID},
	        {rds_view_text("ridge\xe3\x80\x80"
	                       "042"),
	         5, RDS_WHY_ID_INVALID},
	        {rds_view_text("ridge\xff"
	                       "042"),
	         5, RDS_WHY_ID_INVALID},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t before = counted(w, cases[i].why);
		if (result_of(w, cases[i].id, "uuid-1", "pk-1", &b) != cases[i].result)
			fail_msg("number %zu: another result", i);
		if (cases[i].why != RDS_WHY_NONE)
			assert_int_equal(counted(w, cases[i].why), before + 1);
	}
	world_close(w);
}

// An id over what a message may hold makes it malformed: dropped and counted, not answered.
static void giant_id_is_dropped(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	uint8_t wire[400] = {0x7a, 0xb9, 0x02, 0x0a, 0xac, 0x02}; // RegisterPk{id: 300 bytes ...
	memset(wire + 6, 'x', 300);
	memcpy(wire + 306, "\x12\x03uvw\x1a\x03pqr", 10); // ... uuid, pk}
	datagram_bytes(w, &b, rds_view_of(wire, 316));
	expect_nothing(w);
	assert_int_equal(counted(w, RDS_WHY_MALFORMED), 1);
	world_close(w);
}

static void another_uuid_is_refused(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_path thief = path_of("198.51.100.66", 5000);
	struct rds_addr a = addr_of("192.0.2.1", 40000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_register_pk(w, "ridge-042", "uuid-2", "pk-1", &thief);
	expect_result(w, &thief, UUID_MISMATCH);
	send_register_pk(w, "ridge-042", "uuid-2", "pk-1", &b); // not even from its own address
	expect_result(w, &b, UUID_MISMATCH);
	send_register_pk(w, "ridge-042", "uuid-", "pk-1", &b);
	expect_result(w, &b, UUID_MISMATCH);
	send_register_pk(w, "ridge-042", "uuid-11", "pk-1", &b);
	expect_result(w, &b, UUID_MISMATCH);
	assert_int_equal(counted(w, RDS_WHY_UUID_MISMATCH), 4);
	send_punch(w, 1, &a, "ridge-042");
	(void)expect_answer(w, &b, 9);
	world_close(w);
}

static void new_pk_from_a_new_ip_is_refused(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_path elsewhere = path_of("198.51.100.7", 5000);
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-2", &elsewhere);
	expect_result(w, &elsewhere, UUID_MISMATCH);
	assert_int_equal(counted(w, RDS_WHY_PK_AND_IP_DIFFER), 1);
	world_close(w);
}

// More than 3 tries for one id within 6 s; tries of confirmations are tries too.
static void fourth_try_within_six_seconds(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_view id = rds_view_text("ridge-042");
	w->now_ms = 1000001;
	assert_int_equal(result_of(w, id, "uuid-1", "pk-1", &b), 0);
	w->now_ms += 1000;
	assert_int_equal(result_of(w, id, "uuid-1", "pk-1", &b), 0);
	w->now_ms += 1000;
	assert_int_equal(result_of(w, id, "uuid-1", "pk-2", &b), 0);
	w->now_ms += 1000;
	assert_int_equal(result_of(w, id, "uuid-1", "pk-2", &b), 4);
	w->now_ms += 2998; // 5998 ms after the first
	assert_int_equal(result_of(w, id, "uuid-1", "pk-2", &b), 4);
	assert_int_equal(counted(w, RDS_WHY_ID_TOO_FREQUENT), 2);
	w->now_ms += 2; // 6000 ms
	assert_int_equal(result_of(w, id, "uuid-1", "pk-2", &b), 0);
	w->now_ms += 998; // and 5998 ms after the second
	assert_int_equal(result_of(w, id, "uuid-1", "pk-2", &b), 4);
	assert_int_equal(result_of(w, rds_view_text("ridge-043"), "uuid-1", "pk-1", &b), 0);
	world_close(w);
}

// Whoever doesn't know the uuid can't use up the tries of whoever does.
static void strangers_do_not_use_up_tries(void **state)
{
	(void)state;
	struct world *w = world_open(NULL);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_path stranger = path_of("198.51.100.66", 5000);
	struct rds_view id = rds_view_text("ridge-042");
	registered(w, "ridge-042", "uuid-1", "pk-1", &b);
	for (int i = 0; i < 10; i++)
		assert_int_equal(result_of(w, id, "uuid-x", "pk-x", &stranger), 2);
	assert_int_equal(result_of(w, id, "uuid-1", "pk-1", &b), 0);
	world_close(w);
}

static void send_new_ids(struct world *w, unsigned n, unsigned *next, const struct rds_path *from,
                         int result)
{
	for (unsigned i = 0; i < n; i++) {
		char id[32];
		(void)snprintf(id, sizeof id, "id-%06u", (*next)++);
		assert_int_equal(result_of(w, rds_view_text(id), "uuid-1", "pk-1", from), result);
	}
}

static const struct rds_rendezvous_config limited = {
        .limits = {.per_minute = 30, .ids_per_day = 300}};

// More than 30 RegisterPk within a sliding minute.
static void thirty_a_minute(void **state)
{
	(void)state;
	struct world *w = world_open(&limited);
	struct rds_path b = path_of("203.0.113.7", 5000);
	struct rds_path neighbour = path_of("203.0.113.8", 5000);
	unsigned next = 0;
	send_new_ids(w, 10, &next, &b, 0);
	w->now_ms += 30000;
	send_new_ids(w, 20, &next, &b, 0);
	send_new_ids(w, 3, &next, &b, 4);
	assert_int_equal(counted(w, RDS_WHY_IP_TOO_FREQUENT), 3);
	send_new_ids(w, 1, &next, &neighbour, 0);
	w->now_ms += 29999;
	send_new_ids(w, 1, &next, &b, 4);
	w->now_ms += 1; // the first ten are a minute old
	send_new_ids(w, 10, &next, &b, 0);
	send_new_ids(w, 1, &next, &b, 4);
	world_close(w);
}

// More than 300 different ids within a day.
static void three_hundred_ids_a_day(void **state)
{
	(void)state;
	struct world *w = world_open(&limited);
	struct rds_path b = path_of("203.0.113.7", 5000);
	unsigned next = 0;
	uint64_t start = w->now_ms;
	for (int i = 0; i < 10; i++) {
		send_new_ids(w, 30, &next, &b, 0);
		w->now_ms += 60000;
	}
	send_new_ids(w, 1, &next, &b, 4);
	assert_int_equal(counted(w, RDS_WHY_IP_TOO_MANY_IDS), 1);
	// One of the 300 again, with a new key, is no new id.
	assert_int_equal(result_of(w, rds_view_text("id-000005"), "uuid-1", "pk-2", &b), 0);
	w->now_ms = start + 24 * 3600 * 1000 - 1;
	send_new_ids(w, 1, &next, &b, 4);
	w->now_ms += 1;
	send_new_ids(w, 29, &next, &b, 0);
	world_close(w);
}

// Whole offices reconnect at once behind one address.
static void confirmations_count_for_nothing(void **state)
{
	(void)state;
	static const struct rds_rendezvous_config tight = {
	        .limits = {.per_minute = 2, .ids_per_day = 2}};
	struct world *w = world_open(&tight);
	struct rds_path office = path_of("203.0.113.7", 5000);
	for (unsigned i = 0; i < 500; i++) {
		char id[32];
		(void)snprintf(id, sizeof id, "desk-%05u", i);
		load(w, id, "uuid-1", "pk-1", "203.0.113.7");
		send_register_pk(w, id, "uuid-1", "pk-1", &office);
		expect_result(w, &office, OK);
	}
	assert_int_equal(rds_rendezvous_status(w->rules).limited_sources, 0);
	unsigned next = 0;
	send_new_ids(w, 2, &next, &office, 0);
	send_new_ids(w, 1, &next, &office, 4);
	send_register_pk(w, "desk-00001", "uuid-1", "pk-1", &office);
	expect_result(w, &office, OK); // over the limit, but still none of its business
	world_close(w);
}

// What only looks like a confirmation counts: another uuid, another pk, an id still on its way.
static void near_confirmations_count(void **state)
{
	(void)state;
	static const struct rds_rendezvous_config tight = {.limits = {.per_minute = 3}};
	struct world *w = world_open(&tight);
	struct rds_path b = path_of("203.0.113.7", 5000);
	load(w, "ridge-042", "uuid-1", "pk-1", "203.0.113.7");
	send_register_pk(w, "ridge-042", "uuid-2", "pk-1", &b);
	expect_result(w, &b, UUID_MISMATCH);
	send_register_pk(w, "on-its-way", "uuid-1", "pk-1", &b);
	(void)expect_store(w);
	send_register_pk(w, "on-its-way", "uuid-1", "pk-1", &b);
	(void)expect_store(w);
	send_register_pk(w, "ridge-042", "uuid-1", "pk-2", &b);
	expect_result(w, &b, TOO_FREQUENT);
	world_close(w);
}

static void exempt_networks_have_no_limits(void **state)
{
	(void)state;
	struct rds_cidr exempt[2];
	assert_int_equal(rds_cidr_parse("198.51.100.0/24", &exempt[0]), 0);
	assert_int_equal(rds_cidr_parse("2001:db8::/32", &exempt[1]), 0);
	struct rds_rendezvous_config config = {
	        .limits = {.per_minute = 2, .ids_per_day = 2, .exempt = exempt, .n_exempt = 2}};
	struct world *w = world_open(&config);
	struct rds_path inside = path_of("198.51.100.255", 5000);
	struct rds_path inside_too = path_of("2001:db8:1::1", 5000);
	struct rds_path outside = path_of("198.51.101.0", 5000);
	unsigned next = 0;
	send_new_ids(w, 50, &next, &inside, 0);
	send_new_ids(w, 50, &next, &inside_too, 0);
	send_new_ids(w, 2, &next, &outside, 0);
	send_new_ids(w, 1, &next, &outside, 4);
	world_close(w);
}

// The first rule that fits decides.
static void rules_have_an_order(void **state)
{
	(void)state;
	static const struct rds_rendezvous_config tight = {.limits = {.per_minute = 1}};
	struct world *w = world_open(&tight);
	struct rds_path b = path_of("203.0.113.7", 5000);
	load(w, "ridge-042", "uuid-1", "pk-1", "198.51.100.1");
	unsigned next = 0;
	send_new_ids(w, 1, &next, &b, 0);
	// Over its limit now: before what an id may be, but behind that of its form.
	assert_int_equal(result_of(w, rds_view_text("12345"), "uuid-2", "pk-2", &b), 2);
	assert_int_equal(result_of(w, rds_view_text("with space"), "uuid-2", "pk-2", &b), 5);
	assert_int_equal(result_of(w, rds_view_text("ridge-042"), "uuid-2", "pk-2", &b), 4);
	send_register_pk(w, "ridge-042", "", "pk-2", &b);
	expect_nothing(w);
	w->now_ms += 60000;
	assert_int_equal(result_of(w, rds_view_text("ridge-042"), "uuid-2", "pk-2", &b), 2);
	assert_int_equal(counted(w, RDS_WHY_UUID_MISMATCH), 1);
	assert_int_equal(counted(w, RDS_WHY_PK_AND_IP_DIFFER), 0);
	world_close(w);
}

// A day of 100,000 sources stays within its bound, and the busy one stays limited.
static void sources_are_bounded(void **state)
{
	(void)state;
	struct world *w = world_open(&limited);
	w->deaf = true;
	for (unsigned i = 0; i < 100000; i++) {
		struct rds_path from = {.remote = {.port = 5000}};
		char id[32];
		from.remote.ip = rds_ip_v4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i);
		(void)snprintf(id, sizeof id, "id-%06u", i);
		send_register_pk(w, id, "uuid-1", "pk-1", &from);
		stored(w, w->last_ticket, true);
		w->now_ms += 864;
		assert_true(rds_rendezvous_status(w->rules).limited_sources <= RDS_LIMITED_SOURCES);
	}
	assert_int_equal(rds_rendezvous_status(w->rules).limited_sources, RDS_LIMITED_SOURCES);
	assert_int_equal(rds_rendezvous_status(w->rules).peers, 100000);
	assert_int_equal(rds_rendezvous_online(w->rules, w->now_ms), 34); // those of 30 s
	world_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_to_register_is_not_answered),
	        cmocka_unit_test(ids_have_a_length_and_a_form),
	        cmocka_unit_test(giant_id_is_dropped),
	        cmocka_unit_test(another_uuid_is_refused),
	        cmocka_unit_test(new_pk_from_a_new_ip_is_refused),
	        cmocka_unit_test(fourth_try_within_six_seconds),
	        cmocka_unit_test(strangers_do_not_use_up_tries),
	        cmocka_unit_test(thirty_a_minute),
	        cmocka_unit_test(three_hundred_ids_a_day),
	        cmocka_unit_test(confirmations_count_for_nothing),
	        cmocka_unit_test(near_confirmations_count),
	        cmocka_unit_test(exempt_networks_have_no_limits),
	        cmocka_unit_test(rules_have_an_order),
	        cmocka_unit_test(sources_are_bounded),
	};
	return cmocka_run_group_tests_name("rendezvous_refuse", tests, NULL, NULL);
}
