// SPDX-License-Identifier: MIT
// Goal: one line an event in every format, hostile bytes escaped, limited rates.
#include "test/unit/testing.h"

#include "core/limits.h"

#include <stdio.h>

#define TIME_MS 1767323045678U // 2026-01-02T03:04:05.678Z

static size_t format(enum rds_log_format format, enum rds_log_level level, const char *event,
                     const struct rds_field *fields, size_t n, char *out, size_t cap)
{
	return rds_log_format_line(format, TIME_MS, level, event, fields, n, out, cap);
}

static void formats_all_kinds_of_fields(void **state)
{
	(void)state;
	char line[512];
	struct rds_addr addr = addr_of("2001:db8::1", 21116);
	const struct rds_field fields[] = {
	        rds_field_text("role", "id"), rds_field_uint("n", UINT64_MAX),
	        rds_field_addr("from", &addr), rds_field_reason(RDS_WHY_KEY_WRONG)};
	size_t len = format(RDS_LOG_TEXT, RDS_LOG_INFO, "ready", fields, COUNT(fields), line,
	                    sizeof line);
	assert_string_equal(line, "2026-01-02T03:04:05.678Z info  ready role=\"id\" "
	                          "n=18446744073709551615 "
	                          "from=[2001:db8::1]:21116 reason=\"key-wrong\"\n");
	assert_int_equal(len, strlen(line));
	len = format(RDS_LOG_JOURNALD, RDS_LOG_INFO, "ready", fields, 1, line, sizeof line);
	assert_string_equal(line, "<6>ready role=\"id\"\n");
	assert_int_equal(len, strlen(line));
	len = format(RDS_LOG_JSON, RDS_LOG_INFO, "ready", fields, COUNT(fields), line, sizeof line);
	assert_string_equal(line, "{\"time\":\"2026-01-02T03:04:05.678Z\",\"level\":\"info\","
	                          "\"event\":\"ready\",\"role\":\"id\","
	                          "\"n\":18446744073709551615,"
	                          "\"from\":\"[2001:db8::1]:21116\","
	                          "\"reason\":\"key-wrong\"}\n");
	assert_int_equal(len, strlen(line));
}

static void formats_all_levels(void **state)
{
	(void)state;
	static const char *const text[] = {"error", "warn ", "info ", "debug", "trace"};
	static const char *const priority[] = {"<3>x\n", "<4>x\n", "<6>x\n", "<7>x\n", "<7>x\n"};
	for (int i = RDS_LOG_ERROR; i <= RDS_LOG_TRACE; i++) {
		char line[128];
		char want[128];
		(void)format(RDS_LOG_TEXT, (enum rds_log_level)i, "x", NULL, 0, line, sizeof line);
		(void)snprintf(want, sizeof want, "2026-01-02T03:04:05.678Z %s x\n", text[i]);
		assert_string_equal(line, want);
		(void)format(RDS_LOG_JOURNALD, (enum rds_log_level)i, "x", NULL, 0, line,
		             sizeof line);
		assert_string_equal(line, priority[i]);
		assert_int_equal(strncmp(rds_log_level_name((enum rds_log_level)i), text[i], 4), 0);
	}
}

static void milliseconds_have_three_digits(void **state)
{
	(void)state;
	char line[128];
	(void)rds_log_format_line(RDS_LOG_TEXT, 7, RDS_LOG_WARN, "x", NULL, 0, line, sizeof line);
	assert_string_equal(line, "1970-01-01T00:00:00.007Z warn  x\n");
}

static void hostile_bytes_are_escaped(void **state)
{
	(void)state;
	char line[512];
	const struct rds_field fields[] = {
	        rds_field_bytes("id", rds_view_of("a\n\"\\\x1b[2J\xff\0\xe2\x80\xae\xc3\xa9", 15))};
	(void)format(RDS_LOG_JOURNALD, RDS_LOG_INFO, "refused", fields, 1, line, sizeof line);
	assert_string_equal(line, "<6>refused id=\"a\\x0a\\\"\\\\\\x1b[2J\\xff\\x00\\u202e"
	                          "\xc3\xa9\"\n");
	(void)format(RDS_LOG_JSON, RDS_LOG_INFO, "refused", fields, 1, line, sizeof line);
	assert_contains(line,
	                "\"id\":\"a\\u000a\\\"\\\\\\u001b[2J\\u00ff\\u0000\\u202e\xc3\xa9\"}");
}

static void check_line(enum rds_log_format form, const char *line, size_t len, size_t cap)
{
	assert_true(len > 0 && len < cap && len == strlen(line));
	for (size_t i = 0; i + 1 < len; i++)
		assert_true((uint8_t)line[i] >= 0x20 && line[i] != 0x7f);
	assert_int_equal(line[len - 1], '\n');
	if (form != RDS_LOG_JSON)
		return;
	cJSON *json = cJSON_Parse(line);
	assert_true(cJSON_IsObject(json));
	assert_string_equal(member_text(json, "event"), "event");
	cJSON_Delete(json);
}

// One line and no more, whatever the bytes and the room; as JSON, JSON.
static void any_bytes_make_one_line(void **state)
{
	(void)state;
	struct testing_random random = {11};
	for (int round = 0; round < 3000; round++) {
		uint8_t bytes[700];
		char line[1024];
		size_t n = random_below(&random, sizeof bytes);
		random_bytes(&random, bytes, n);
		if (round % 2 == 0) // plain text, of which more fits
			for (size_t i = 0; i < n; i++)
				bytes[i] = (uint8_t)(' ' + bytes[i] % 90);
		const struct rds_field fields[] = {
		        rds_field_bytes("one", rds_view_of(bytes, n / 2)),
		        rds_field_bytes("two", rds_view_of(bytes, n))};
		for (int f = RDS_LOG_TEXT; f <= RDS_LOG_JOURNALD; f++) {
			size_t cap = 200 + random_below(&random, sizeof line - 200);
			size_t len = format((enum rds_log_format)f, RDS_LOG_INFO, "event", fields,
			                    COUNT(fields), line, cap);
			check_line((enum rds_log_format)f, line, len, cap);
		}
	}
}

static void what_does_not_fit_is_cut_and_marked(void **state)
{
	(void)state;
	char line[128];
	char text[300];
	memset(text, 'x', sizeof text);
	const struct rds_field fields[] = {rds_field_text("first", "1"),
	                                   rds_field_bytes("long", rds_view_of(text, sizeof text)),
	                                   rds_field_text("last", "2")};
	(void)format(RDS_LOG_JOURNALD, RDS_LOG_INFO, "e", fields, COUNT(fields), line, sizeof line);
	assert_contains(line, "<6>e first=\"1\"");
	assert_contains(line, " (cut)\n");
	(void)format(RDS_LOG_JSON, RDS_LOG_INFO, "e", fields, COUNT(fields), line, sizeof line);
	cJSON *json = cJSON_Parse(line);
	assert_string_equal(member_text(json, "first"), "1");
	assert_true(cJSON_HasObjectItem(json, "cut"));
	assert_false(cJSON_HasObjectItem(json, "long"));
	cJSON_Delete(json);
}

struct seen {
	unsigned lines;
	enum rds_log_level level;
	size_t fields;
	char event[32];
};

static void see(void *ctx, enum rds_log_level level, const char *event,
                const struct rds_field *fields, size_t n)
{
	struct seen *seen = ctx;
	(void)fields;
	seen->lines++;
	seen->level = level;
	seen->fields = n;
	(void)snprintf(seen->event, sizeof seen->event, "%s", event);
}

static void sink_gets_what_it_wants(void **state)
{
	(void)state;
	struct seen seen = {0};
	rds_log(RDS_LOG_ERROR, "nobody listens");
	rds_log_to(see, &seen, RDS_LOG_INFO);
	rds_log(RDS_LOG_INFO, "no fields");
	assert_int_equal(seen.lines, 1);
	assert_int_equal(seen.fields, 0);
	assert_string_equal(seen.event, "no fields");
	rds_log(RDS_LOG_WARN, "two", rds_field_uint("a", 1), rds_field_uint("b", 2));
	assert_int_equal(seen.fields, 2);
	assert_int_equal(seen.level, RDS_LOG_WARN);
	rds_log(RDS_LOG_DEBUG, "too fine");
	assert_int_equal(seen.lines, 2);
	assert_true(rds_log_wants(RDS_LOG_INFO));
	assert_false(rds_log_wants(RDS_LOG_DEBUG));
	rds_log_to(NULL, NULL, RDS_LOG_TRACE);
	assert_false(rds_log_wants(RDS_LOG_ERROR));
}

static void rate_is_limited_by_the_second(void **state)
{
	(void)state;
	struct rds_log_limit limit = {0};
	uint64_t held_back = 99;
	for (unsigned i = 0; i < RDS_LOG_BURST; i++) {
		assert_true(rds_log_limit_pass(&limit, 5000, &held_back));
		assert_int_equal(held_back, 0);
	}
	for (int i = 0; i < 7; i++)
		assert_false(rds_log_limit_pass(&limit, 5999, &held_back));
	assert_true(rds_log_limit_pass(&limit, 6000, &held_back));
	assert_int_equal(held_back, 7);
	assert_true(rds_log_limit_pass(&limit, 6000, &held_back));
	assert_int_equal(held_back, 0);
}

static void every_reason_has_its_name(void **state)
{
	(void)state;
	for (int i = 0; i < RDS_REASON_COUNT; i++) {
		const char *name = rds_reason_name((enum rds_reason)i);
		assert_true(strlen(name) > 1 && strlen(rds_reason_text((enum rds_reason)i)) > 5);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
		for (int k = 0; k < i; k++)
			assert_string_not_equal(name, rds_reason_name((enum rds_reason)k));
	}
	assert_string_equal(rds_reason_name(RDS_REASON_COUNT), "?");
	assert_string_equal(rds_reason_text(RDS_REASON_COUNT), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(formats_all_kinds_of_fields),
	        cmocka_unit_test(formats_all_levels),
	        cmocka_unit_test(milliseconds_have_three_digits),
	        cmocka_unit_test(hostile_bytes_are_escaped),
	        cmocka_unit_test(any_bytes_make_one_line),
	        cmocka_unit_test(what_does_not_fit_is_cut_and_marked),
	        cmocka_unit_test(sink_gets_what_it_wants),
	        cmocka_unit_test(rate_is_limited_by_the_second),
	        cmocka_unit_test(every_reason_has_its_name),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
