// SPDX-License-Identifier: MIT
// Goal: reserved ids: their form, their number, their minute.
#include "test/unit/testing.h"

#include "core/checks.h"
#include "core/error.h"

#include <stdio.h>

static int reserve(struct rds_checks *checks, uint64_t now_ms, const char *id)
{
	return rds_checks_reserve(checks, now_ms, rds_view_text(id));
}

static bool has(const struct rds_checks *checks, const char *id)
{
	return rds_checks_has(checks, rds_view_text(id));
}

static struct rds_view number(unsigned i, char text[RDS_CHECK_ID_MAX_BYTES])
{
	(void)snprintf(text, RDS_CHECK_ID_MAX_BYTES, "rdsrv-check-%08x", i);
	return rds_view_text(text);
}

static void has_what_was_reserved_until_it_is_released(void **state)
{
	(void)state;
	struct rds_checks checks = {0};
	assert_false(has(&checks, "rdsrv-check-1"));
	assert_int_equal(reserve(&checks, 1, "rdsrv-check-1"), 0);
	assert_int_equal(reserve(&checks, 1, "rdsrv-check-2"), 0);
	assert_int_equal(reserve(&checks, 1, "rdsrv-check-1"), -RDS_EEXIST);
	assert_true(has(&checks, "rdsrv-check-1"));
	assert_true(has(&checks, "rdsrv-check-2"));
	assert_false(has(&checks, "rdsrv-check-"));
	assert_false(has(&checks, "rdsrv-check-11"));
	assert_false(has(&checks, ""));
	assert_true(rds_checks_release(&checks, rds_view_text("rdsrv-check-1")));
	assert_false(rds_checks_release(&checks, rds_view_text("rdsrv-check-1")));
	assert_false(has(&checks, "rdsrv-check-1"));
	assert_true(has(&checks, "rdsrv-check-2"));
	assert_int_equal(checks.n, 1);
}

static void only_ids_of_that_form(void **state)
{
	(void)state;
	static const char *const bad[] = {"",
	                                  "123456789",
	                                  "rdsrv-check-",
	                                  "rdsrv-probe-12345678",
	                                  "rdsrv-check-1 2",
	                                  "rdsrv-check-\x01",
	                                  "rdsrv-check-\xff",
	                                  "rdsrv-check-123456789012345678901"};
	struct rds_checks checks = {0};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(reserve(&checks, 1, bad[i]), -RDS_EINVAL);
	assert_int_equal(reserve(&checks, 1, "rdsrv-check-12345678901234567890"), 0);
	assert_int_equal(checks.n, 1);
}

static void full_until_some_expire_or_are_released(void **state)
{
	(void)state;
	struct rds_checks checks = {0};
	struct rds_check_id over;
	char text[RDS_CHECK_ID_MAX_BYTES];
	for (unsigned i = 0; i < RDS_CHECK_IDS; i++)
		assert_int_equal(rds_checks_reserve(&checks, 100 + i, number(i, text)), 0);
	assert_int_equal(reserve(&checks, 500, "rdsrv-check-x"), -RDS_EFULL);
	assert_true(rds_checks_release(&checks, number(7, text)));
	assert_int_equal(reserve(&checks, 500, "rdsrv-check-x"), 0);
	assert_int_equal(reserve(&checks, 500, "rdsrv-check-y"), -RDS_EFULL);
	assert_false(rds_checks_expire(&checks, 100 + RDS_CHECK_MS - 1, &over));
	assert_true(rds_checks_expire(&checks, 100 + RDS_CHECK_MS, &over));
	assert_views_equal(rds_view_of(over.bytes, over.len), number(0, text));
	assert_false(rds_checks_expire(&checks, 100 + RDS_CHECK_MS, &over));
	assert_false(rds_checks_has(&checks, number(0, text)));
	assert_int_equal(reserve(&checks, 600, "rdsrv-check-y"), 0);
	size_t expired = 0;
	while (rds_checks_expire(&checks, 600 + RDS_CHECK_MS, &over))
		expired++;
	assert_int_equal(expired, RDS_CHECK_IDS);
	assert_int_equal(checks.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(has_what_was_reserved_until_it_is_released),
	        cmocka_unit_test(only_ids_of_that_form),
	        cmocka_unit_test(full_until_some_expire_or_are_released),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
