// SPDX-License-Identifier: MIT
// Goal: who waits where for what B will say (protocol.md section 7).
#include "test/unit/testing.h"

#include "core/waits.h"

static struct rds_waits waits;

static int open_waits(void **state)
{
	(void)state;
	rds_waits_init(&waits, &testing_seed);
	return 0;
}

static int close_waits(void **state)
{
	(void)state;
	rds_waits_clear(&waits);
	return 0;
}

static struct rds_wait *start(uint64_t conn, uint16_t port, enum rds_wait_kind kind, const char *id)
{
	struct rds_addr addr = addr_of("198.51.100.1", port);
	return rds_waits_start(&waits, conn, &addr, kind, rds_view_text(id));
}

static struct rds_wait *find(const char *ip, uint16_t port, const char *id)
{
	struct rds_addr addr = addr_of(ip, port);
	struct rds_wait *wait = rds_waits_find(&waits, &addr, RDS_WAIT_PUNCH, rds_view_text(id));
	return wait != NULL ? wait
	                    : rds_waits_find(&waits, &addr, RDS_WAIT_RELAY, rds_view_text(id));
}

static void found_by_address_and_id(void **state)
{
	(void)state;
	struct rds_wait *wait = start(1, 40000, RDS_WAIT_PUNCH, "ridge-042");
	assert_int_equal(wait->conn, 1);
	assert_int_equal(wait->asked, 1);
	assert_view_text(rds_wait_id(wait), "ridge-042");
	assert_ptr_equal(find("198.51.100.1", 40000, "ridge-042"), wait);
	assert_ptr_equal(find("::ffff:198.51.100.1", 40000, "ridge-042"), wait);
	assert_null(find("198.51.100.1", 40001, "ridge-042"));
	assert_null(find("198.51.100.2", 40000, "ridge-042"));
	assert_null(find("198.51.100.1", 40000, "ridge-043"));
	assert_null(find("198.51.100.1", 40000, "ridge-04"));
}

// No id named: only who waits for a relay is meant.
static void nameless_answers_are_for_relays(void **state)
{
	(void)state;
	(void)start(1, 40000, RDS_WAIT_PUNCH, "ridge-042");
	assert_null(find("198.51.100.1", 40000, ""));
	struct rds_wait *relay = start(2, 40001, RDS_WAIT_RELAY, "ridge-042");
	assert_ptr_equal(find("198.51.100.1", 40001, ""), relay);
}

static void same_again_is_counted(void **state)
{
	(void)state;
	struct rds_wait *wait = start(1, 40000, RDS_WAIT_PUNCH, "ridge-042");
	assert_ptr_equal(start(1, 40000, RDS_WAIT_PUNCH, "ridge-042"), wait);
	assert_int_equal(wait->asked, 2);
	(void)start(1, 40000, RDS_WAIT_PUNCH, "ridge-042");
	assert_int_equal(wait->asked, 3);
	assert_int_equal(waits.by_conn.used, 1);
	assert_int_equal(waits.by_addr.used, 1);
}

static void something_else_replaces(void **state)
{
	(void)state;
	(void)start(1, 40000, RDS_WAIT_PUNCH, "ridge-042");
	(void)start(1, 40000, RDS_WAIT_PUNCH, "ridge-042");
	struct rds_wait *other = start(1, 40000, RDS_WAIT_PUNCH, "ridge-043");
	assert_int_equal(other->asked, 1);
	assert_null(find("198.51.100.1", 40000, "ridge-042"));
	assert_ptr_equal(find("198.51.100.1", 40000, "ridge-043"), other);
	struct rds_wait *relay = start(1, 40000, RDS_WAIT_RELAY, "ridge-043");
	assert_int_equal(relay->asked, 1);
	assert_int_equal(relay->kind, RDS_WAIT_RELAY);
	assert_int_equal(waits.by_conn.used, 1);
	assert_int_equal(waits.by_addr.used, 1);
}

static void ended_waits_are_gone(void **state)
{
	(void)state;
	struct rds_wait *wait = start(1, 40000, RDS_WAIT_PUNCH, "ridge-042");
	(void)start(2, 40001, RDS_WAIT_PUNCH, "ridge-042");
	rds_waits_end(&waits, wait);
	assert_null(find("198.51.100.1", 40000, "ridge-042"));
	assert_int_equal(find("198.51.100.1", 40001, "ridge-042")->conn, 2);
	rds_waits_end_conn(&waits, 1); // gone already
	rds_waits_end_conn(&waits, 3); // never was
	rds_waits_end_conn(&waits, 2);
	assert_null(find("198.51.100.1", 40001, "ridge-042"));
	assert_int_equal(waits.by_conn.used, 0);
	assert_int_equal(waits.by_addr.used, 0);
}

// Should two ever share an address, each is found by its id.
static void one_address_two_ids(void **state)
{
	(void)state;
	struct rds_wait *first = start(1, 40000, RDS_WAIT_PUNCH, "ridge-042");
	struct rds_wait *second = start(2, 40000, RDS_WAIT_PUNCH, "ridge-043");
	assert_ptr_equal(find("198.51.100.1", 40000, "ridge-042"), first);
	assert_ptr_equal(find("198.51.100.1", 40000, "ridge-043"), second);
	rds_waits_end(&waits, first);
	assert_null(find("198.51.100.1", 40000, "ridge-042"));
	assert_ptr_equal(find("198.51.100.1", 40000, "ridge-043"), second);
}

static void longest_id_fits(void **state)
{
	(void)state;
	char id[RDS_ID_MAX_BYTES + 1];
	memset(id, 'x', RDS_ID_MAX_BYTES);
	id[RDS_ID_MAX_BYTES] = '\0';
	struct rds_wait *wait = start(1, 40000, RDS_WAIT_PUNCH, id);
	assert_ptr_equal(find("198.51.100.1", 40000, id), wait);
	assert_int_equal(rds_wait_id(wait).len, RDS_ID_MAX_BYTES);
}

// The i-th of a crowd that takes all places, as many from each address as may be.
static struct rds_wait *start_one_of(uint64_t i)
{
	struct rds_addr addr = addr_of("198.51.100.1", (uint16_t)(1 + i % RDS_WAITS_PER_IP));
	addr.ip.b[15] = (uint8_t)(1 + i / RDS_WAITS_PER_IP);
	return rds_waits_start(&waits, 1 + i, &addr, RDS_WAIT_PUNCH, rds_view_text("ridge-042"));
}

static struct rds_wait *start_from(const char *ip, uint64_t conn)
{
	struct rds_addr addr = addr_of(ip, 50000);
	return rds_waits_start(&waits, conn, &addr, RDS_WAIT_PUNCH, rds_view_text("ridge-042"));
}

// Full: an address that has none waiting gets a place of one that holds most; one of those doesn't.
static void full_is_shared_out(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < RDS_WAITS; i++)
		assert_non_null(start_one_of(i));
	assert_null(start_from("198.51.100.1", RDS_WAITS + 1));
	assert_non_null(start_from("203.0.113.1", RDS_WAITS + 2));
	assert_int_equal(waits.by_conn.used, RDS_WAITS);
	// Who is in may ask again.
	assert_int_equal(start_one_of(RDS_WAITS / 2)->asked, 2);
	rds_waits_end_conn(&waits, 7);
	assert_non_null(start_from("203.0.113.2", RDS_WAITS + 3));
	assert_int_equal(waits.by_conn.used, RDS_WAITS);
}

// A proxy hides the ports of its clients: each gets one that nobody else there has.
static void hidden_ports_are_chosen(void **state)
{
	(void)state;
	struct rds_addr hidden = addr_of("198.51.100.1", 0);
	struct rds_wait *one =
	        rds_waits_start(&waits, 1, &hidden, RDS_WAIT_PUNCH, rds_view_text("ridge-042"));
	struct rds_wait *two =
	        rds_waits_start(&waits, 2, &hidden, RDS_WAIT_PUNCH, rds_view_text("ridge-042"));
	assert_int_not_equal(one->addr.port, 0);
	assert_int_not_equal(two->addr.port, 0);
	assert_int_not_equal(one->addr.port, two->addr.port);
	assert_ptr_equal(find("198.51.100.1", two->addr.port, "ridge-042"), two);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_waits, close_waits)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(found_by_address_and_id), TEST(nameless_answers_are_for_relays),
	        TEST(same_again_is_counted),   TEST(something_else_replaces),
	        TEST(ended_waits_are_gone),    TEST(one_address_two_ids),
	        TEST(longest_id_fits),         TEST(full_is_shared_out),
	        TEST(hidden_ports_are_chosen),
	};
	return cmocka_run_group_tests_name("waits", tests, NULL, NULL);
}
