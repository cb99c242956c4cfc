// SPDX-License-Identifier: MIT
// Goal: which relay is handed out next, and which is probed when: each in turn, the dead left out
// and tried ever more rarely, whatever the list becomes meanwhile.
#include "test/unit/testing.h"

#include "core/rotation.h"

#include <stdio.h>

enum { INTERVAL = 3000 };

static const uint64_t start_ms = 1000000;

static const struct rds_relay_names abc[] = {{.name = {(const uint8_t *)"a", 1}},
                                             {.name = {(const uint8_t *)"b", 1}},
                                             {.name = {(const uint8_t *)"c", 1}}};
static struct rds_rotation rotation;

static int set_up(void **state)
{
	(void)state;
	rds_rotation_set_relays(&rotation, abc, COUNT(abc));
	rds_rotation_probe_every(&rotation, INTERVAL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rds_rotation_clear(&rotation);
	return 0;
}

// The next relays in turn are these, one letter each.
static void expect_turns(const char *letters)
{
	for (; *letters != '\0'; letters++) {
		const char expected[] = {*letters, '\0'};
		const struct rds_relay_names *relay = rds_rotation_next(&rotation);
		assert_non_null(relay);
		assert_view_text(relay->name, expected);
	}
}

static void probed(uint64_t now_ms, const char *name, const char *why)
{
	rds_rotation_probed(&rotation, now_ms, rds_view_text(name), why, 7);
}

static void die(uint64_t now_ms, const char *name)
{
	for (int i = 0; i < RDS_PROBE_FAILURES; i++)
		probed(now_ms, name, "refused");
}

static void expect_due(uint64_t now_ms, const char *name)
{
	const struct rds_relay_names *relay = rds_rotation_take_due(&rotation, now_ms);
	if (name == NULL) {
		assert_null(relay);
		return;
	}
	assert_non_null(relay);
	assert_view_text(relay->name, name);
}

static const struct rds_relay_health *health_of(const char *name)
{
	static const struct rds_relay_health none;
	for (size_t i = 0; i < rotation.n; i++)
		if (rds_view_equal(rotation.relays[i].name, rds_view_text(name)))
			return &rotation.health[i];
	fail_msg("no relay %s", name);
	return &none;
}

static void no_relay_has_no_turn(void **state)
{
	(void)state;
	assert_null(rds_rotation_next(&(struct rds_rotation){0}));
	rds_rotation_set_relays(&rotation, NULL, 0);
	assert_null(rds_rotation_next(&rotation));
	assert_null(rds_rotation_take_due(&rotation, start_ms));
	assert_true(rds_rotation_wait_ms(&rotation, start_ms) == UINT64_MAX);
	probed(start_ms, "a", NULL);
}

static void each_in_turn(void **state)
{
	(void)state;
	expect_turns("abcabca");
}

// The others share its turns evenly.
static void dead_one_is_left_out(void **state)
{
	(void)state;
	die(start_ms, "b");
	expect_turns("acacac");
	die(start_ms, "a");
	expect_turns("ccc");
	assert_int_equal(rds_rotation_count(&rotation, RDS_RELAY_DEAD), 2);
	assert_int_equal(rds_rotation_count(&rotation, RDS_RELAY_UNPROBED), 1);
}

static void first_good_probe_brings_it_back(void **state)
{
	(void)state;
	die(start_ms, "b");
	probed(start_ms + 1, "b", NULL);
	expect_turns("abcabc");
	assert_int_equal(rds_rotation_count(&rotation, RDS_RELAY_ALIVE), 1);
}

static void all_dead_are_all_handed_out(void **state)
{
	(void)state;
	die(start_ms, "a");
	die(start_ms, "b");
	die(start_ms, "c");
	expect_turns("abcabc");
	probed(start_ms, "b", NULL);
	expect_turns("bbb");
}

static void only_one_is_handed_out_dead_or_alive(void **state)
{
	(void)state;
	rds_rotation_set_relays(&rotation, abc, 1);
	die(start_ms, "a");
	expect_turns("aaa");
}

static void one_failure_is_forgiven(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		probed(start_ms, "b", "refused");
		assert_string_equal(health_of("b")->why, "refused");
		expect_turns("abc");
		probed(start_ms, "b", NULL);
		assert_string_equal(health_of("b")->why, "");
	}
	probed(start_ms, "a", "refused"); // of one that was never alive
	expect_turns("abc");
	assert_int_equal(health_of("a")->state, RDS_RELAY_UNPROBED);
	assert_int_equal(health_of("a")->since_ms, 0);
}

static void health_says_since_when_and_why(void **state)
{
	(void)state;
	probed(start_ms + 1, "a", NULL);
	probed(start_ms + 2, "a", NULL);
	assert_int_equal(health_of("a")->since_ms, start_ms + 1);
	assert_int_equal(health_of("a")->round_trip_ms, 7);
	probed(start_ms + 3, "a", "refused");
	probed(start_ms + 4, "a", "silent");
	probed(start_ms + 5, "a", "gone");
	assert_int_equal(health_of("a")->state, RDS_RELAY_DEAD);
	assert_int_equal(health_of("a")->since_ms, start_ms + 4);
	assert_int_equal(health_of("a")->round_trip_ms, 7);
	assert_string_equal(health_of("a")->why, "gone");
}

static size_t lines_with(const char *text)
{
	size_t n = 0;
	for (const char *at = log_captured(); (at = strstr(at, text)) != NULL; at++)
		n++;
	return n;
}

static void changes_are_logged_once(void **state)
{
	(void)state;
	log_capture(RDS_LOG_INFO);
	for (int i = 0; i < 5; i++)
		probed(start_ms, "a", NULL);
	for (int i = 0; i < 5; i++)
		probed(start_ms, "b", "refused");
	assert_int_equal(lines_with("relay is alive relay="), 1);
	assert_contains(log_captured(), "relay=\"a\" round_trip_ms=7");
	assert_int_equal(lines_with("relay is dead"), 1);
	assert_contains(log_captured(), "relay=\"b\" why=\"refused\" handed_out=\"no\"");
	die(start_ms, "c");
	die(start_ms, "a");
	assert_contains(log_captured(), "relay=\"a\" why=\"refused\" handed_out=\"yes: no relay "
	                                "is alive\"");
	probed(start_ms, "b", NULL);
	assert_int_equal(lines_with("relay is alive relay="), 2);
	log_release();
}

// All at once at the start would be a burst; each comes by within one interval.
static void probes_are_spread(void **state)
{
	(void)state;
	uint64_t now_ms = start_ms;
	expect_due(now_ms, "a");
	expect_due(now_ms, NULL);
	assert_int_equal(rds_rotation_wait_ms(&rotation, now_ms), INTERVAL / 6);
	expect_due(now_ms + INTERVAL / 6 - 1, NULL);
	expect_due(now_ms + INTERVAL / 6, "b");
	expect_due(now_ms + INTERVAL / 3, "c");
	// All are being probed.
	assert_true(rds_rotation_wait_ms(&rotation, now_ms + INTERVAL) == UINT64_MAX);
	expect_due(now_ms + INTERVAL, NULL);
}

static void hundred_relays_are_probed_every_interval(void **state)
{
	(void)state;
	enum { RELAYS = 100, ROUNDS = 20 };
	static char names[RELAYS][8];
	static struct rds_relay_names relays[RELAYS];
	static unsigned times[RELAYS];
	unsigned most = 0;
	unsigned running = 0;
	for (int i = 0; i < RELAYS; i++) {
		(void)snprintf(names[i], sizeof names[i], "r%d", i);
		relays[i].name = rds_view_text(names[i]);
	}
	rds_rotation_set_relays(&rotation, relays, RELAYS);
	uint64_t end_ms = start_ms + ROUNDS * (uint64_t)INTERVAL;
	for (uint64_t now_ms = start_ms; now_ms < end_ms; now_ms += 5) {
		const struct rds_relay_names *due = rds_rotation_take_due(&rotation, now_ms);
		running = due == NULL ? 0 : running + 1;
		most = running > most ? running : most;
		if (due == NULL)
			continue;
		times[due - relays]++;
		rds_rotation_probed(&rotation, now_ms, due->name, NULL, 1);
	}
	assert_int_equal(most, 1); // at this pace, never two in a row
	for (int i = 0; i < RELAYS; i++)
		if (times[i] < ROUNDS - 1 || times[i] > ROUNDS)
			fail_msg("%s was probed %u times", names[i], times[i]);
}

// Takes the only relay's next probe, when it is due and no sooner; when that was.
static uint64_t next_probe(uint64_t now_ms)
{
	uint64_t wait_ms = rds_rotation_wait_ms(&rotation, now_ms);
	assert_true(wait_ms > 0 && wait_ms != UINT64_MAX);
	expect_due(now_ms + wait_ms - 1, NULL);
	expect_due(now_ms + wait_ms, "a");
	return now_ms + wait_ms;
}

static void expect_pauses(unsigned interval_ms, const unsigned *pauses_ms, size_t n)
{
	uint64_t now_ms = start_ms;
	rds_rotation_set_relays(&rotation, abc, 1);
	rds_rotation_probe_every(&rotation, interval_ms);
	expect_due(now_ms, "a");
	for (size_t i = 0; i < n; i++) {
		probed(now_ms, "a", "refused");
		uint64_t next_ms = next_probe(now_ms);
		assert_int_equal(next_ms - now_ms, pauses_ms[i]);
		now_ms = next_ms;
	}
	// Alive again: as often as at first.
	probed(now_ms, "a", NULL);
	assert_int_equal(next_probe(now_ms) - now_ms, interval_ms);
}

static void dead_ones_are_probed_ever_more_rarely(void **state)
{
	(void)state;
	static const unsigned pauses_ms[] = {3000,  3000,  6000,  12000, 24000,
	                                     48000, 60000, 60000, 60000};
	expect_pauses(INTERVAL, pauses_ms, COUNT(pauses_ms));
}

static void long_intervals_get_no_shorter(void **state)
{
	(void)state;
	static const unsigned pauses_ms[] = {600000, 600000, 600000, 600000};
	expect_pauses(600000, pauses_ms, COUNT(pauses_ms));
}

// The interval counts from one probe's beginning to the next one's, unless it takes longer.
static void slow_probe_is_followed_at_once(void **state)
{
	(void)state;
	rds_rotation_set_relays(&rotation, abc, 1);
	expect_due(start_ms, "a");
	probed(start_ms + 1000, "a", NULL);
	assert_int_equal(rds_rotation_wait_ms(&rotation, start_ms + 1000), INTERVAL - 1000);
	expect_due(start_ms + INTERVAL, "a");
	probed(start_ms + 3 * INTERVAL, "a", NULL);
	assert_int_equal(rds_rotation_wait_ms(&rotation, start_ms + 3 * INTERVAL), 0);
}

static void clock_that_stood_still_makes_no_burst(void **state)
{
	(void)state;
	uint64_t late_ms = start_ms + 3600000;
	expect_due(late_ms, "a");
	expect_due(late_ms, NULL);
	expect_due(late_ms + INTERVAL / 6, "b");
}

static void without_probes_all_are_handed_out(void **state)
{
	(void)state;
	die(start_ms, "b");
	expect_due(start_ms, "a");
	rds_rotation_probe_every(&rotation, 0);
	expect_turns("abc");
	assert_string_equal(health_of("b")->why, "");
	expect_due(start_ms + INTERVAL, NULL);
	assert_true(rds_rotation_wait_ms(&rotation, start_ms + INTERVAL) == UINT64_MAX);
	die(start_ms + INTERVAL, "a"); // a probe that was under way
	assert_int_equal(rds_rotation_count(&rotation, RDS_RELAY_UNPROBED), 3);
	rds_rotation_probe_every(&rotation, INTERVAL);
	expect_due(start_ms + INTERVAL, "a");
}

static void relay_that_stays_keeps_its_state(void **state)
{
	(void)state;
	const struct rds_relay_names other[] = {
	        {.name = rds_view_text("d")}, {.name = rds_view_text("C")}, abc[1]};
	die(start_ms, "b");
	probed(start_ms, "c", NULL);
	expect_due(start_ms, "a");
	rds_rotation_set_relays(&rotation, other, COUNT(other));
	expect_turns("dCdC");
	assert_int_equal(health_of("C")->state, RDS_RELAY_ALIVE);
	assert_int_equal(health_of("b")->since_ms, start_ms);
	assert_int_equal(health_of("d")->state, RDS_RELAY_UNPROBED);
	// One that was away is new.
	rds_rotation_set_relays(&rotation, abc, COUNT(abc));
	assert_int_equal(health_of("a")->state, RDS_RELAY_UNPROBED);
	assert_false(health_of("a")->probing);
	assert_int_equal(health_of("b")->state, RDS_RELAY_DEAD);
}

static void result_for_one_that_is_gone_is_dropped(void **state)
{
	(void)state;
	expect_due(start_ms, "a");
	expect_due(start_ms + INTERVAL, "b");
	rds_rotation_set_relays(&rotation, abc + 1, 2);
	die(start_ms + INTERVAL, "a");
	expect_turns("bcbc");
	assert_int_equal(rds_rotation_count(&rotation, RDS_RELAY_UNPROBED), 2);
	// The other one's probe still runs: it isn't begun a second time.
	expect_due(start_ms + 2 * INTERVAL, "c");
	expect_due(start_ms + 3 * INTERVAL, NULL);
	probed(start_ms + 3 * INTERVAL, "b", NULL);
	expect_due(start_ms + 4 * INTERVAL, "b");
}

static void shorter_list_goes_on_somewhere(void **state)
{
	(void)state;
	expect_turns("abc");
	rds_rotation_set_relays(&rotation, abc, 2);
	assert_non_null(rds_rotation_next(&rotation));
	rds_rotation_set_relays(&rotation, abc, 1);
	expect_turns("aa");
}

// Twice in the list: handed out twice as often, probed once.
static void same_relay_twice_is_probed_once(void **state)
{
	(void)state;
	const struct rds_relay_names twice[] = {abc[0], abc[1], {.name = rds_view_text("A")}};
	rds_rotation_set_relays(&rotation, twice, COUNT(twice));
	expect_turns("abA");
	expect_due(start_ms, "a");
	expect_due(start_ms + INTERVAL / 2, "b");
	expect_due(start_ms + INTERVAL, NULL);
	log_capture(RDS_LOG_INFO);
	die(start_ms, "a");
	assert_int_equal(lines_with("relay is dead"), 1);
	log_release();
	expect_turns("bbb");
}

// What is said of a failure comes from outside and has its bound.
static void long_reasons_fit(void **state)
{
	(void)state;
	char why[1000];
	memset(why, 'x', sizeof why - 1);
	why[sizeof why - 1] = '\0';
	die(start_ms, "a");
	probed(start_ms, "a", why);
	assert_int_equal(strlen(health_of("a")->why), RDS_PROBE_WHY_BYTES - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(no_relay_has_no_turn),
	        TEST(each_in_turn),
	        TEST(dead_one_is_left_out),
	        TEST(first_good_probe_brings_it_back),
	        TEST(all_dead_are_all_handed_out),
	        TEST(only_one_is_handed_out_dead_or_alive),
	        TEST(one_failure_is_forgiven),
	        TEST(health_says_since_when_and_why),
	        TEST(changes_are_logged_once),
	        TEST(probes_are_spread),
	        TEST(hundred_relays_are_probed_every_interval),
	        TEST(dead_ones_are_probed_ever_more_rarely),
	        TEST(long_intervals_get_no_shorter),
	        TEST(slow_probe_is_followed_at_once),
	        TEST(clock_that_stood_still_makes_no_burst),
	        TEST(without_probes_all_are_handed_out),
	        TEST(relay_that_stays_keeps_its_state),
	        TEST(result_for_one_that_is_gone_is_dropped),
	        TEST(shorter_list_goes_on_somewhere),
	        TEST(same_relay_twice_is_probed_once),
	        TEST(long_reasons_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
