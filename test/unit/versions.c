// SPDX-License-Identifier: MIT
// Goal: each version's text is held once, for as long as somebody has it, and there is a bound.
#include "test/unit/testing.h"

#include "core/versions.h"

#include <stdio.h>

static uint16_t take(struct rds_versions *versions, const char *text)
{
	return rds_versions_take(versions, rds_view_text(text));
}

static void same_text_has_one_number(void **state)
{
	(void)state;
	struct rds_versions versions = {0};
	uint16_t one = take(&versions, "1.4.2");
	uint16_t other = take(&versions, "1.4.20");
	assert_true(one != 0 && other != 0 && one != other);
	assert_int_equal(take(&versions, "1.4.2"), one);
	assert_view_text(rds_versions_text(&versions, one), "1.4.2");
	assert_view_text(rds_versions_text(&versions, other), "1.4.20");
	assert_int_equal(rds_versions_text(&versions, 0).len, 0);
	rds_versions_release(&versions, 0);
	rds_versions_clear(&versions);
}

static void what_is_no_version_has_none(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "1.4 2", "1.4\n", "\xff", "\x1b[2J", "1\x7f"};
	struct rds_versions versions = {0};
	char text[RDS_VERSION_MAX_BYTES + 2];
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(take(&versions, bad[i]), 0);
	memset(text, '1', sizeof text);
	assert_int_equal(rds_versions_take(&versions, rds_view_of(text, RDS_VERSION_MAX_BYTES + 1)),
	                 0);
	uint16_t longest = rds_versions_take(&versions, rds_view_of(text, RDS_VERSION_MAX_BYTES));
	assert_int_equal(rds_versions_text(&versions, longest).len, RDS_VERSION_MAX_BYTES);
	assert_int_equal(versions.n, 1);
	rds_versions_clear(&versions);
}

// The place of a version that nobody has any more is for the next one.
static void places_are_bounded_and_used_again(void **state)
{
	(void)state;
	struct rds_versions versions = {0};
	char text[RDS_VERSION_MAX_BYTES];
	uint16_t numbers[RDS_VERSIONS];
	for (int i = 0; i < RDS_VERSIONS; i++) {
		(void)snprintf(text, sizeof text, "1.%d", i);
		numbers[i] = take(&versions, text);
		assert_int_equal(numbers[i], i + 1);
	}
	assert_int_equal(take(&versions, "2.0"), 0);
	assert_int_equal(take(&versions, "1.500"), numbers[500]); // has two users now
	rds_versions_release(&versions, numbers[500]);
	assert_int_equal(take(&versions, "2.0"), 0);
	assert_view_text(rds_versions_text(&versions, numbers[500]), "1.500");
	rds_versions_release(&versions, numbers[500]);
	assert_int_equal(take(&versions, "2.0"), numbers[500]);
	assert_int_equal(take(&versions, "1.500"), 0);
	assert_view_text(rds_versions_text(&versions, numbers[500]), "2.0");
	rds_versions_clear(&versions);
	assert_int_equal(take(&versions, "2.0"), 1);
	rds_versions_clear(&versions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(same_text_has_one_number),
	        cmocka_unit_test(what_is_no_version_has_none),
	        cmocka_unit_test(places_are_bounded_and_used_again),
	};
	return cmocka_run_group_tests_name("versions", tests, NULL, NULL);
}
