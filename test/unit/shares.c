// SPDX-License-Identifier: MIT
// Goal: fair shares: full sets take from the greediest, strangers can't push honest ones out.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "core/shares.h"

#include <stdlib.h>

static struct rds_shares shares;

static int tear_down(void **state)
{
	(void)state;
	rds_shares_clear(&shares);
	return 0;
}

static void init(uint32_t most, uint32_t most_per_source)
{
	rds_shares_init(&shares, &testing_seed, most, most_per_source);
}

static enum rds_share_result enter(const char *ip, struct rds_share *share,
                                   struct rds_share **victim)
{
	struct rds_ip from = ip_of(ip);
	return rds_shares_enter(&shares, &from, share, victim);
}

#define assert_taken(ip, share) assert_int_equal(enter((ip), (share), NULL), RDS_SHARE_TAKEN)

static void fills_up_and_empties(void **state)
{
	(void)state;
	struct rds_share share[3] = {{0}};
	struct rds_share more = {0};
	init(3, 0);
	for (size_t i = 0; i < 3; i++)
		assert_taken("203.0.113.7", &share[i]);
	assert_int_equal(shares.n, 3);
	assert_int_equal(enter("203.0.113.7", &more, NULL), RDS_SHARE_FULL);
	assert_null(more.source);
	for (size_t i = 0; i < 3; i++)
		rds_shares_leave(&shares, &share[i]);
	assert_int_equal(shares.n, 0);
	assert_int_equal(shares.sources.used, 0);
	assert_taken("203.0.113.7", &more);
	rds_shares_leave(&shares, &more);
}

static void leaving_twice_is_no_error(void **state)
{
	(void)state;
	struct rds_share in = {0};
	struct rds_share out = {0};
	init(3, 0);
	rds_shares_leave(&shares, &out);
	assert_taken("203.0.113.7", &in);
	rds_shares_leave(&shares, &in);
	rds_shares_leave(&shares, &in);
	assert_int_equal(shares.n, 0);
}

// The bound of one source holds while there is room for everybody else.
static void one_source_is_bounded(void **state)
{
	(void)state;
	struct rds_share share[5] = {{0}};
	init(10, 2);
	assert_taken("203.0.113.7", &share[0]);
	assert_taken("203.0.113.7", &share[1]);
	assert_int_equal(enter("203.0.113.7", &share[2], NULL), RDS_SHARE_FULL);
	assert_taken("203.0.113.8", &share[3]);
	rds_shares_leave(&shares, &share[0]);
	assert_taken("203.0.113.7", &share[2]);
	for (size_t i = 1; i < 4; i++)
		rds_shares_leave(&shares, &share[i]);
}

// Its bound is that of all where it is none, or greater.
static void bound_of_a_source_is_at_most_that_of_all(void **state)
{
	(void)state;
	static const uint32_t bounds[] = {0, 2, 3, UINT32_MAX};
	for (size_t i = 0; i < COUNT(bounds); i++) {
		init(2, bounds[i]);
		assert_int_equal(shares.most_per_source, 2);
		rds_shares_clear(&shares);
	}
	init(2, 1);
	assert_int_equal(shares.most_per_source, 1);
}

// IPv6 hosts have a /64 each; IPv4 addresses stand for themselves, in either form.
static void sources_are_addresses_and_networks(void **state)
{
	(void)state;
	struct rds_share share[6] = {{0}};
	init(10, 1);
	assert_taken("2001:db8:1:2::1", &share[0]);
	assert_int_equal(enter("2001:db8:1:2:ffff::1", &share[1], NULL), RDS_SHARE_FULL);
	assert_taken("2001:db8:1:3::1", &share[1]);
	assert_taken("203.0.113.7", &share[2]);
	assert_int_equal(enter("::ffff:203.0.113.7", &share[3], NULL), RDS_SHARE_FULL);
	assert_taken("203.0.113.8", &share[3]);
	for (size_t i = 0; i < 4; i++)
		rds_shares_leave(&shares, &share[i]);
}

static void greediest_loses_its_oldest(void **state)
{
	(void)state;
	struct rds_share greedy[3] = {{0}};
	struct rds_share other = {0};
	struct rds_share honest = {0};
	struct rds_share *victim = NULL;
	init(4, 0);
	assert_taken("203.0.113.8", &other);
	for (size_t i = 0; i < 3; i++)
		assert_taken("203.0.113.7", &greedy[i]);
	assert_int_equal(enter("198.51.100.1", &honest, &victim), RDS_SHARE_EVICT);
	assert_ptr_equal(victim, &greedy[0]);
	assert_null(honest.source);
	assert_int_equal(shares.n, 4); // nothing has happened yet
	rds_shares_leave(&shares, victim);
	assert_taken("198.51.100.1", &honest);
	// Now the greediest holds 2: whoever would hold as many gets nothing.
	struct rds_share more = {0};
	assert_int_equal(enter("198.51.100.1", &more, &victim), RDS_SHARE_FULL);
	assert_int_equal(enter("203.0.113.7", &more, &victim), RDS_SHARE_FULL);
	// Nor would a newcomer be anything but one more that holds 1 of 4.
	rds_shares_leave(&shares, &greedy[1]);
	assert_taken("198.51.100.2", &greedy[1]);
	assert_int_equal(enter("198.51.100.3", &more, &victim), RDS_SHARE_FULL);
	rds_shares_leave(&shares, &greedy[1]);
	rds_shares_leave(&shares, &greedy[2]);
	rds_shares_leave(&shares, &other);
	rds_shares_leave(&shares, &honest);
}

// The victim is the oldest that is left, not the first that ever came.
static void oldest_is_the_oldest_left(void **state)
{
	(void)state;
	struct rds_share greedy[4] = {{0}};
	struct rds_share honest = {0};
	struct rds_share *victim = NULL;
	init(4, 0);
	for (size_t i = 0; i < 4; i++)
		assert_taken("203.0.113.7", &greedy[i]);
	rds_shares_leave(&shares, &greedy[0]);
	assert_taken("203.0.113.7", &greedy[0]);
	rds_shares_leave(&shares, &greedy[2]);
	assert_taken("203.0.113.7", &greedy[2]);
	static const size_t order[] = {1, 3, 0};
	for (size_t i = 0; i < COUNT(order); i++) {
		struct rds_ip from = rds_ip_v4(198, 51, 100, (uint8_t)i);
		assert_int_equal(rds_shares_enter(&shares, &from, &honest, &victim),
		                 RDS_SHARE_EVICT);
		assert_ptr_equal(victim, &greedy[order[i]]);
		rds_shares_leave(&shares, victim);
		assert_int_equal(rds_shares_enter(&shares, &from, victim, NULL), RDS_SHARE_TAKEN);
	}
	assert_int_equal(enter("192.0.2.1", &honest, &victim), RDS_SHARE_FULL); // 1 each
	for (size_t i = 0; i < 4; i++)
		rds_shares_leave(&shares, &greedy[i]);
}

// A stranger with any number of addresses flushes nobody who holds less than it does at each.
static void flood_leaves_honest_ones_alone(void **state)
{
	(void)state;
	enum { MOST = 100, HONEST = 10 };
	struct rds_share *honest = rds_calloc(HONEST, sizeof *honest);
	struct rds_share *flood = rds_calloc(1000, sizeof *flood);
	init(MOST, 0);
	for (size_t i = 0; i < HONEST; i++) {
		struct rds_ip from = rds_ip_v4(198, 51, 100, (uint8_t)i);
		assert_int_equal(rds_shares_enter(&shares, &from, &honest[i], NULL),
		                 RDS_SHARE_TAKEN);
	}
	for (size_t i = 0; i < 1000; i++) {
		struct rds_ip from = rds_ip_v4(203, 0, 113, (uint8_t)(i % 5));
		struct rds_share *victim = NULL;
		enum rds_share_result result = rds_shares_enter(&shares, &from, &flood[i], &victim);
		if (result == RDS_SHARE_EVICT) {
			assert_true(victim >= flood && victim < flood + 1000);
			rds_shares_leave(&shares, victim);
		}
	}
	for (size_t i = 0; i < HONEST; i++)
		assert_non_null(honest[i].source);
	for (size_t i = 0; i < 1000; i++)
		rds_shares_leave(&shares, &flood[i]);
	for (size_t i = 0; i < HONEST; i++)
		rds_shares_leave(&shares, &honest[i]);
	free(honest);
	free(flood);
}

// Random operations against a model that only counts and looks at everything.

enum { THINGS = 60, SOURCES = 7, MOST = 24, MOST_PER_SOURCE = 11 };

static struct rds_share things[THINGS];
static unsigned source_of[THINGS];
static uint64_t since[THINGS]; // 0: not in

static uint32_t held_by(unsigned source)
{
	uint32_t n = 0;
	for (size_t i = 0; i < THINGS; i++)
		n += since[i] != 0 && source_of[i] == source;
	return n;
}

static uint32_t model_top(void)
{
	uint32_t top = 0;
	for (unsigned s = 0; s < SOURCES; s++)
		top = held_by(s) > top ? held_by(s) : top;
	return top;
}

static bool is_oldest_of_its_source(size_t thing)
{
	bool oldest = since[thing] != 0;
	for (size_t i = 0; i < THINGS; i++)
		if (since[i] != 0 && source_of[i] == source_of[thing] && since[i] < since[thing])
			oldest = false;
	return oldest;
}

static void leave_both(size_t thing)
{
	rds_shares_leave(&shares, &things[thing]);
	since[thing] = 0;
}

static void enter_both(size_t thing, unsigned source, uint64_t now)
{
	struct rds_ip from = rds_ip_v4(203, 0, 113, (uint8_t)source);
	struct rds_share *victim = NULL;
	uint32_t held = held_by(source);
	enum rds_share_result expected = RDS_SHARE_TAKEN;
	if (held >= MOST_PER_SOURCE)
		expected = RDS_SHARE_FULL;
	else if (shares.n == MOST)
		expected = held + 1 >= model_top() ? RDS_SHARE_FULL : RDS_SHARE_EVICT;
	assert_int_equal(rds_shares_enter(&shares, &from, &things[thing], &victim), expected);
	if (expected == RDS_SHARE_FULL)
		return;
	if (expected == RDS_SHARE_EVICT) {
		size_t loser = (size_t)(victim - things);
		assert_true(loser < THINGS && is_oldest_of_its_source(loser));
		assert_int_equal(held_by(source_of[loser]), model_top());
		leave_both(loser);
		assert_int_equal(rds_shares_enter(&shares, &from, &things[thing], &victim),
		                 RDS_SHARE_TAKEN);
	}
	source_of[thing] = source;
	since[thing] = now;
}

static void random_operations_match_a_model(void **state)
{
	(void)state;
	struct testing_random random = {4};
	init(MOST, MOST_PER_SOURCE);
	for (uint64_t now = 1; now <= 20000; now++) {
		size_t thing = random_below(&random, THINGS);
		// Some sources are greedier than others.
		size_t source = random_below(&random, random_below(&random, 3) == 0 ? SOURCES : 2);
		if (since[thing] != 0)
			leave_both(thing);
		else if (random_below(&random, 8) != 0)
			enter_both(thing, (unsigned)source, now);
		uint32_t n = 0;
		uint32_t sources = 0;
		for (unsigned s = 0; s < SOURCES; s++) {
			n += held_by(s);
			sources += held_by(s) > 0;
		}
		assert_int_equal(shares.n, n);
		assert_int_equal(shares.sources.used, sources);
		assert_int_equal(shares.top, model_top());
	}
	for (size_t i = 0; i < THINGS; i++)
		leave_both(i);
	assert_int_equal(shares.n + shares.top + shares.sources.used, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(fills_up_and_empties, tear_down),
	        cmocka_unit_test_teardown(leaving_twice_is_no_error, tear_down),
	        cmocka_unit_test_teardown(one_source_is_bounded, tear_down),
	        cmocka_unit_test_teardown(bound_of_a_source_is_at_most_that_of_all, tear_down),
	        cmocka_unit_test_teardown(sources_are_addresses_and_networks, tear_down),
	        cmocka_unit_test_teardown(greediest_loses_its_oldest, tear_down),
	        cmocka_unit_test_teardown(oldest_is_the_oldest_left, tear_down),
	        cmocka_unit_test_teardown(flood_leaves_honest_ones_alone, tear_down),
	        cmocka_unit_test_teardown(random_operations_match_a_model, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
