// SPDX-License-Identifier: MIT
// Goal: a total limit is shared out fairly: kept within 10%, equal parts for those who want more,
// and nobody small starves. Sessions of all kinds are simulated as the pumps run them, for minutes.
#include "test/unit/testing.h"

#include "core/alloc.h"
#include "core/quota.h"

#include <stdlib.h>

#define MBIT  (1024 * 1024 / 8) // bytes a second
#define TOTAL (100 * (uint64_t)MBIT)
#define READ  65536 // at once, and so many in a turn of the loop
#define READS 4
#define ALL   UINT64_MAX

// A session: what it wants to move, and what a pump knows of it.
struct session {
	uint64_t wants; // bytes at once, each time; ALL: as much as there is room for
	unsigned every_ms;
	unsigned phase_ms;
	uint64_t own_limit; // bytes a second; 0: none
	uint64_t backlog;
	uint64_t moved;
	struct rds_quota quota;
	uint64_t told; // bytes since demands were last told
	bool throttled;
	bool held_back;
};

static struct session *sessions;
static size_t n_sessions;
static uint64_t now_ms;
static uint64_t total;
static uint64_t share;
static uint64_t moved;  // by all
static uint64_t shared; // of it, as of the last sharing out
static struct rds_fair fair;
static struct rds_demand demand;

static void start(size_t n, uint64_t limit)
{
	free(sessions);
	sessions = rds_calloc(n, sizeof *sessions);
	n_sessions = n;
	now_ms = 1;
	total = share = limit;
	moved = shared = 0;
	fair = (struct rds_fair){0};
	demand = (struct rds_demand){0};
}

static int tear_down(void **state)
{
	(void)state;
	free(sessions);
	sessions = NULL;
	return 0;
}

// Bytes a second, evenly.
static void wants_steadily(size_t first, size_t n, uint64_t rate)
{
	for (size_t i = first; i < first + n; i++) {
		sessions[i].every_ms = 10;
		sessions[i].wants = rate / 100;
		sessions[i].phase_ms = (unsigned)i % 10;
	}
}

static void wants_all(size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++)
		sessions[i].wants = ALL;
}

static void wants_in_bursts(size_t first, size_t n, uint64_t bytes, unsigned every_ms)
{
	struct testing_random random = {n};
	for (size_t i = first; i < first + n; i++) {
		sessions[i].every_ms = every_ms;
		sessions[i].wants = bytes;
		sessions[i].phase_ms = (unsigned)random_below(&random, every_ms);
	}
}

static uint64_t rate_of(const struct session *s)
{
	return s->own_limit > 0 && s->own_limit < share ? s->own_limit : share;
}

static void come_by(struct session *s)
{
	if (s->wants == ALL)
		s->backlog = ALL;
	else if (s->every_ms > 0 && now_ms % s->every_ms == s->phase_ms)
		s->backlog += s->wants;
}

static void move(struct session *s)
{
	for (int i = 0; i < READS && s->backlog > 0; i++) {
		uint64_t left = rds_quota_left(&s->quota, now_ms, rate_of(s));
		uint64_t n = s->backlog < READ ? s->backlog : READ;
		s->throttled = left == 0;
		if (s->throttled) {
			s->held_back = rate_of(s) == share;
			return;
		}
		n = n < left ? n : left;
		rds_quota_take(&s->quota, n);
		s->backlog -= s->backlog == ALL ? 0 : n;
		s->moved += n;
		s->told += n;
		moved += n;
	}
}

static void tell(void)
{
	demand = (struct rds_demand){0};
	for (size_t i = 0; i < n_sessions; i++) {
		struct session *s = &sessions[i];
		demand.held_back += s->held_back;
		demand.active += s->held_back || s->told > 0;
		demand.free_bps += s->held_back ? 0 : s->told * 10;
		s->held_back = s->held_back && s->throttled;
		s->told = 0;
	}
}

static void share_out(void)
{
	demand.bytes = moved - shared;
	shared = moved;
	share = rds_fair_share(&fair, total, 100, &demand);
}

static void run_ms(uint64_t ms)
{
	for (uint64_t end = now_ms + ms; now_ms < end; now_ms++) {
		for (size_t i = 0; i < n_sessions; i++) {
			struct session *s = &sessions[i];
			come_by(s);
			// One that waits is looked at now and then.
			if (now_ms % 20 == 0 && rds_quota_left(&s->quota, now_ms, rate_of(s)) > 0)
				s->throttled = false;
			if (!s->throttled)
				move(s);
		}
		if (now_ms % 100 == 37)
			tell();
		if (now_ms % 100 == 0)
			share_out();
	}
}

// Runs for a time that doesn't count, and then for one that does.
static void measure(uint64_t before_ms, uint64_t ms)
{
	run_ms(before_ms);
	for (size_t i = 0; i < n_sessions; i++)
		sessions[i].moved = 0;
	run_ms(ms);
}

// Bytes a second of some sessions, over the time that was measured.
static uint64_t rate_over(size_t first, size_t n, uint64_t ms)
{
	uint64_t bytes = 0;
	for (size_t i = first; i < first + n; i++)
		bytes += sessions[i].moved;
	return bytes * 1000 / ms;
}

// Within so many percent.
#define assert_about(actual, expected, percent) \
	testing_about((actual), (expected), (percent), __FILE__, __LINE__)
static void testing_about(uint64_t actual, uint64_t expected, uint64_t percent, const char *file,
                          int line)
{
	if (actual * 100 >= expected * (100 - percent) &&
	    actual * 100 <= expected * (100 + percent))
		return;
	print_error("%llu is not about %llu\n", (unsigned long long)actual,
	            (unsigned long long)expected);
	_fail(file, line);
}

// Every one of some sessions gets about so much.
static void assert_each(size_t first, size_t n, uint64_t ms, uint64_t expected)
{
	for (size_t i = first; i < first + n; i++)
		assert_about(rate_over(i, 1, ms), expected, 10);
}

static void one_alone_gets_all(void **state)
{
	(void)state;
	start(1, TOTAL);
	wants_all(0, 1);
	measure(0, 10000);
	assert_about(rate_over(0, 1, 10000), TOTAL, 2);
}

static void equals_get_equal_parts(void **state)
{
	(void)state;
	static const size_t numbers[] = {2, 3, 10, 100};
	for (size_t i = 0; i < COUNT(numbers); i++) {
		start(numbers[i], TOTAL);
		wants_all(0, numbers[i]);
		measure(5000, 10000);
		assert_each(0, numbers[i], 10000, TOTAL / numbers[i]);
		assert_about(rate_over(0, numbers[i], 10000), TOTAL, 5);
	}
}

// What small ones don't want is the greedy one's.
static void small_ones_get_what_they_want(void **state)
{
	(void)state;
	static const uint64_t percents[] = {1, 10, 30, 45};
	for (size_t i = 0; i < COUNT(percents); i++) {
		start(2, TOTAL);
		wants_steadily(0, 1, TOTAL * percents[i] / 100);
		wants_all(1, 1);
		measure(3000, 20000);
		assert_about(rate_over(0, 1, 20000), TOTAL * percents[i] / 100, 2);
		assert_about(rate_over(0, 2, 20000), TOTAL, 5);
		assert_true(sessions[0].backlog <= sessions[0].wants);
	}
}

static void sessions_of_all_sizes(void **state)
{
	(void)state;
	start(10, TOTAL);
	wants_steadily(0, 5, TOTAL * 2 / 100);
	wants_steadily(5, 3, TOTAL * 9 / 100);
	wants_all(8, 2);
	measure(3000, 20000);
	assert_each(0, 5, 20000, TOTAL * 2 / 100);
	assert_each(5, 3, 20000, TOTAL * 9 / 100);
	assert_each(8, 2, 20000, TOTAL * 315 / 1000);
	assert_about(rate_over(0, 10, 20000), TOTAL, 5);
}

// A hundred sessions that show their screens and thirty that copy files.
static void bursts_pass(void **state)
{
	(void)state;
	start(130, TOTAL);
	wants_in_bursts(0, 100, 20000, 500); // 4 MB/s of 13
	wants_all(100, 30);
	measure(5000, 30000);
	assert_each(0, 100, 30000, 40000);
	assert_each(100, 30, 30000, (TOTAL - 4000000) / 30);
	assert_about(rate_over(0, 130, 30000), TOTAL, 10);
	for (size_t i = 0; i < 100; i++)
		assert_true(sessions[i].backlog <= 20000);
}

// Each wants little, all of them too much.
static void many_small_ones_keep_to_the_total(void **state)
{
	(void)state;
	static const uint64_t percents[] = {3, 5, 6, 12, 50};
	for (size_t i = 0; i < COUNT(percents); i++) {
		start(40, TOTAL);
		wants_steadily(0, 40, TOTAL * percents[i] / 100);
		measure(5000, 20000);
		assert_about(rate_over(0, 40, 20000), TOTAL, 10);
		assert_each(0, 40, 20000, TOTAL / 40);
	}
	start(500, TOTAL);
	wants_in_bursts(0, 500, 50000, 1000);
	measure(5000, 20000);
	assert_about(rate_over(0, 500, 20000), TOTAL, 10);
}

static void thousands_share(void **state)
{
	(void)state;
	static const struct {
		size_t n;
		uint64_t total;
	} cases[] = {{2000, TOTAL}, {5000, TOTAL}, {1000, MBIT}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		start(cases[i].n, cases[i].total);
		wants_all(0, cases[i].n);
		measure(5000, 10000);
		assert_about(rate_over(0, cases[i].n, 10000), cases[i].total, 10);
		assert_each(0, cases[i].n, 10000, cases[i].total / cases[i].n);
	}
}

// One with a limit of its own below its share leaves the rest to the others.
static void own_limits_leave_more_to_others(void **state)
{
	(void)state;
	start(3, TOTAL);
	wants_all(0, 3);
	sessions[0].own_limit = TOTAL / 100;
	sessions[1].own_limit = TOTAL; // above what it gets
	measure(3000, 10000);
	assert_about(rate_over(0, 1, 10000), TOTAL / 100, 5);
	assert_each(1, 2, 10000, TOTAL * 99 / 200);
}

// Whoever comes gets its part, and whoever stays what is left: within some seconds.
static void shares_follow_what_is_wanted(void **state)
{
	(void)state;
	start(4, TOTAL);
	wants_all(0, 1);
	measure(1000, 2000);
	assert_each(0, 1, 2000, TOTAL);
	wants_all(1, 3);
	measure(3000, 2000);
	assert_each(0, 4, 2000, TOTAL / 4);
	for (size_t i = 1; i < 4; i++)
		sessions[i].wants = sessions[i].backlog = 0;
	measure(2000, 2000);
	assert_each(0, 1, 2000, TOTAL);
	total = TOTAL / 2; // by the administrator
	measure(2000, 2000);
	assert_each(0, 1, 2000, TOTAL / 2);
}

// Many who begin in the same moment get over it, but that is made up for, and nobody is stopped
// meanwhile.
static void what_went_over_is_made_up_for(void **state)
{
	(void)state;
	enum { N = 100 };
	start(N, TOTAL);
	wants_all(0, N);
	run_ms(1000);
	assert_true(moved > TOTAL);
	for (int second = 2; second <= 10; second++) {
		measure(0, 1000);
		uint64_t rate = rate_over(0, N, 1000);
		assert_each(0, N, 1000, rate / N);
		if (second <= 3)
			assert_about(rate, TOTAL / 2, 10);
		if (second >= 6)
			assert_about(rate, TOTAL, 10);
	}
}

static void nobody_is_there(void **state)
{
	(void)state;
	struct rds_fair new_one = {0};
	struct rds_demand none = {0};
	for (int i = 0; i < 10; i++)
		assert_int_equal(rds_fair_share(&new_one, TOTAL, 100, &none), TOTAL);
	assert_int_equal(rds_fair_share(&new_one, TOTAL, 0, &none), TOTAL);
	struct rds_demand huge = {UINT64_MAX, UINT64_MAX, UINT64_MAX, INT64_MAX / 2};
	assert_int_equal(rds_fair_share(&new_one, TOTAL, 100, &huge), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_alone_gets_all),
	        cmocka_unit_test(equals_get_equal_parts),
	        cmocka_unit_test(small_ones_get_what_they_want),
	        cmocka_unit_test(sessions_of_all_sizes),
	        cmocka_unit_test(bursts_pass),
	        cmocka_unit_test(many_small_ones_keep_to_the_total),
	        cmocka_unit_test(thousands_share),
	        cmocka_unit_test(own_limits_leave_more_to_others),
	        cmocka_unit_test(shares_follow_what_is_wanted),
	        cmocka_unit_test(what_went_over_is_made_up_for),
	        cmocka_unit_test(nobody_is_there),
	};
	return cmocka_run_group_tests_name("quota, fair shares", tests, NULL, tear_down);
}
