// SPDX-License-Identifier: MIT
// Goal: while several of the server's keys are accepted, each A gets signatures by the one that it
// holds, whatever B answers; and a refused one is told as such.
#include "test/unit/world.h"

#include "core/rendezvous_admin.h"

#define A_CONN 11
#define C_CONN 12
#define B_CONN 13
#define B_ID   "ridge-042"

static struct world *world;
static struct rds_path b;
static struct rds_addr a;
static struct rds_addr c;
static struct rds_addr b_conn;

static int set_up(void **state)
{
	(void)state;
	world = world_open(NULL);
	world->key = "new";
	world->old_key = "old";
	b = path_of("203.0.113.42", 50042);
	a = addr_of("198.51.100.1", 40001);
	c = addr_of("198.51.100.2", 40002);
	b_conn = addr_of("203.0.113.42", 50043);
	registered(world, B_ID, "uuid", "pk", &b);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	world_close(world);
	return 0;
}

static void ask(uint64_t conn, const struct rds_addr *from, const char *key)
{
	rds_message msg = punch_request(world, B_ID);
	(void)rds_set(&msg.member.punch_hole_request.licence_key, rds_view_text(key));
	frame(world, RDS_DOOR_MAIN, conn, from, &msg);
}

static void ask_and_reach_b(uint64_t conn, const struct rds_addr *from, const char *key)
{
	ask(conn, from, key);
	(void)expect_datagram(world, &b);
}

static void assert_signed_by(struct rds_view pk, uint32_t held)
{
	uint8_t expected[512];
	size_t len = signed_id_pk_by(held, B_ID, "pk", expected);
	assert_views_equal(pk, rds_view_of(expected, len));
}

static void b_says(const rds_message *msg)
{
	frame(world, RDS_DOOR_MAIN, B_CONN, &b_conn, msg);
}

static void hole_sent_to(const struct rds_addr *to)
{
	uint8_t bytes[RDS_ADDR_WIRE];
	rds_message msg = {.which_member = rds_RendezvousMessage_punch_hole_sent_tag};
	rds_PunchHoleSent *sent = &msg.member.punch_hole_sent;
	(void)rds_set(&sent->socket_addr, mangled(to, 7, bytes));
	(void)rds_set(&sent->id, rds_view_text(B_ID));
	(void)rds_set(&sent->version, rds_view_text("1.4.2"));
	b_says(&msg);
}

static void local_addr_to(const struct rds_addr *to)
{
	uint8_t bytes[RDS_ADDR_WIRE];
	rds_message msg = {.which_member = rds_RendezvousMessage_local_addr_tag};
	rds_LocalAddr *local = &msg.member.local_addr;
	(void)rds_set(&local->socket_addr, mangled(to, 7, bytes));
	(void)rds_set(&local->local_addr, mangled(&b_conn, 7, bytes));
	(void)rds_set(&local->id, rds_view_text(B_ID));
	(void)rds_set(&local->version, rds_view_text("1.4.2"));
	b_says(&msg);
}

static void relay_response_to(const struct rds_addr *to)
{
	uint8_t bytes[RDS_ADDR_WIRE];
	rds_message msg = {.which_member = rds_RendezvousMessage_relay_response_tag};
	rds_RelayResponse *said = &msg.member.relay_response;
	(void)rds_set(&said->socket_addr, mangled(to, 7, bytes));
	said->which_who = rds_RelayResponse_id_tag;
	(void)rds_set(&said->who.id, rds_view_text(B_ID));
	(void)rds_set(&said->version, rds_view_text("1.4.2"));
	b_says(&msg);
}

static struct rds_view pk_of(const struct world_event *answer)
{
	return answer->msg.which_member == rds_RendezvousMessage_relay_response_tag
	               ? rds_get(answer->msg.member.relay_response.who.pk)
	               : rds_get(answer->msg.member.punch_hole_response.pk);
}

// Two that wait for one B at once: each gets its own.
static void each_gets_signatures_by_its_own_key(void **state)
{
	(void)state;
	static void (*const answers[])(const struct rds_addr *to) = {hole_sent_to, local_addr_to,
	                                                             relay_response_to};
	for (size_t i = 0; i < COUNT(answers); i++) {
		ask_and_reach_b(A_CONN, &a, "old");
		ask_and_reach_b(C_CONN, &c, "new");
		answers[i](&c);
		assert_signed_by(pk_of(expect_payload(world, C_CONN)), RDS_KEY_CURRENT);
		expect_close(world, B_CONN, RDS_WHY_DONE);
		answers[i](&a);
		assert_signed_by(pk_of(expect_payload(world, A_CONN)), WORLD_OLD_KEY);
		expect_close(world, B_CONN, RDS_WHY_DONE);
	}
}

// A asks again on its connection, with another key: the last one counts.
static void asking_again_changes_the_key(void **state)
{
	(void)state;
	ask_and_reach_b(A_CONN, &a, "old");
	world->now_ms += 3000;
	ask_and_reach_b(A_CONN, &a, "new");
	hole_sent_to(&a);
	assert_signed_by(pk_of(expect_payload(world, A_CONN)), RDS_KEY_CURRENT);
	expect_close(world, B_CONN, RDS_WHY_DONE);
}

static const struct rds_attempt *last_attempt(void)
{
	uint64_t at = 0;
	return rds_ledger_next(rds_rendezvous_ledger(world->rules), &at);
}

static void refused_key_has_its_own_verdict(void **state)
{
	(void)state;
	world->old_key_refused = true;
	ask(A_CONN, &a, " old\n");
	const rds_PunchHoleResponse *answer =
	        &expect_payload(world, A_CONN)->msg.member.punch_hole_response;
	assert_int_equal(answer->failure, rds_PunchHoleResponse_Failure_LICENSE_MISMATCH);
	assert_int_equal(answer->pk.size, 0);
	assert_int_equal(world->verdict, RDS_KEY_RETIRED);
	assert_string_equal(world->refused_key, "old");
	assert_string_equal(world->refused_id, B_ID);
	assert_int_equal(counted(world, RDS_WHY_KEY_RETIRED), 1);
	assert_int_equal(last_attempt()->why, RDS_WHY_KEY_RETIRED);
	assert_int_equal(last_attempt()->key, WORLD_OLD_KEY);
	ask(C_CONN, &c, "new");
	(void)expect_datagram(world, &b);
	assert_int_equal(last_attempt()->key, RDS_KEY_CURRENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(each_gets_signatures_by_its_own_key),
	        TEST(asking_again_changes_the_key),
	        TEST(refused_key_has_its_own_verdict),
	};
	return cmocka_run_group_tests_name("rendezvous_keys", tests, NULL, NULL);
}
