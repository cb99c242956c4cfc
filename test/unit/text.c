// SPDX-License-Identifier: MIT
// Goal: what is UTF-8, what an id may hold (protocol.md section 4 point 4), what is escaped.
#include "test/unit/testing.h"

#include "core/text.h"

static size_t next(const char *bytes, uint32_t *code)
{
	return rds_utf8_next(rds_view_text(bytes), code);
}

// First and last character of each length, and those around the surrogates.
static void reads_well_formed_utf8(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		uint32_t code;
	} good[] = {
	        {"\x01", 0x01},
	        {"\x7f", 0x7f},
	        {"\xc2\x80", 0x80},
	        {"\xdf\xbf", 0x7ff},
	        {"\xe0\xa0\x80", 0x800},
	        {"\xed\x9f\xbf", 0xd7ff},
	        {"\xee\x80\x80", 0xe000},
	        {"\xef\xbf\xbf", 0xffff},
	        {"\xf0\x90\x80\x80", 0x10000},
	        {"\xf4\x8f\xbf\xbf", 0x10ffff},
	};
	for (size_t i = 0; i < COUNT(good); i++) {
		uint32_t code = 0;
		assert_int_equal(next(good[i].bytes, &code), strlen(good[i].bytes));
		assert_int_equal(code, good[i].code);
	}
	uint32_t code = 1;
	assert_int_equal(rds_utf8_next(rds_view_of("\0", 1), &code), 1);
	assert_int_equal(code, 0);
	assert_int_equal(next("ab", &code), 1);
}

static void refuses_what_is_no_utf8(void **state)
{
	(void)state;
	static const char *const bad[] = {
	        "",                 // nothing
	        "\x80",             // a tail alone
	        "\xbf",             //
	        "\xc0\x80",         // longer than needed
	        "\xc1\xbf",         //
	        "\xe0\x9f\xbf",     //
	        "\xf0\x8f\xbf\xbf", //
	        "\xed\xa0\x80",     // surrogates
	        "\xed\xbf\xbf",     //
	        "\xf4\x90\x80\x80", // over the last character
	        "\xf5\x80\x80\x80", //
	        "\xfe",             //
	        "\xff",             //
	        "\xc2",             // cut short
	        "\xe2\x82",         //
	        "\xf0\x9f\x92",     //
	        "\xc2\x41",         // no tail
	        "\xe2\x28\xa1",     //
	        "\xf0\x9f\x41\xa9", //
	};
	for (size_t i = 0; i < COUNT(bad); i++) {
		uint32_t code = 0;
		if (next(bad[i], &code) != 0)
			fail_msg("number %zu was taken", i);
	}
}

static void ids_in_any_script(void **state)
{
	(void)state;
	static const char *const good[] = {"123456789",
	                                   "ridge-042",
	                                   "Tims-PC_2.local",
	                                   "\xd0\xb0\xd0\xb1\xd0\xb2",
	                                   "\xe4\xb8\xbb\xe6\x9c\xba",
	                                   "caf\xc3\xa9",
	                                   "\xd9\x85\xe2\x80\x8c\xd9\x85",
	                                   "a\xf0\x9f\x92\xbb-",
	                                   "a/b:c@d",
	                                   ""};
	for (size_t i = 0; i < COUNT(good); i++)
		if (!rds_text_is_id(rds_view_text(good[i])))
			fail_msg("\"%s\" was refused", good[i]);
}

// Control characters and white space, wherever they stand.
static void no_ids(void **state)
{
	(void)state;
	static const char *const bad[] = {" ",
	                                  "\t",
	                                  "\n",
	                                  "\r",
	                                  "\x01",
	                                  "\x1f",
	                                  "\x7f",
	                                  "\xc2\x80",
	                                  "\xc2\x85",
	                                  "\xc2\x9f",
	                                  "\xc2\xa0",
	                                  "\xe1\x9a\x80",
	                                  "\xe2\x80\x80",
	                                  "\xe2\x80\x8a",
	                                  "\xe2\x80\xa8",
	                                  "\xe2\x80\xa9",
	                                  "\xe2\x80\xaf",
	                                  "\xe2\x81\x9f",
	                                  "\xe3\x80\x80",
	                                  "\xff",
	                                  "\xc3"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		for (size_t before = 0; before <= 6; before += 3) {
			char id[32] = "123456";
			size_t len = strlen(bad[i]);
			memmove(id + before + len, id + before, 6 - before);
			memcpy(id + before, bad[i], len);
			if (rds_text_is_id(rds_view_of(id, 6 + len)))
				fail_msg("number %zu was taken behind %zu bytes", i, before);
		}
	}
	assert_false(rds_text_is_id(rds_view_of("123\0456", 7)));
}

static void escapes(void **state)
{
	(void)state;
	static const struct {
		const char *plain;
		const char *escaped;
	} cases[] = {
	        {"", ""},
	        {"plain", "plain"},
	        {"a\"b\\c", "a\\\"b\\\\c"},
	        {"a\nb\r\tc", "a\\x0ab\\x0d\\x09c"},
	        {"\x1b[31m", "\\x1b[31m"},
	        {"\x7f", "\\x7f"},
	        {"\xff\xc3", "\\xff\\xc3"},
	        {"\xc2\x9b", "\\x9b"},
	        {"\xe2\x80\xae"
	         "abc",
	         "\\u202eabc"},
	        {"caf\xc3\xa9", "caf\xc3\xa9"},
	        {"\xf0\x9f\x92\xbb", "\xf0\x9f\x92\xbb"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[64];
		assert_ptr_equal(rds_text_escape(rds_view_text(cases[i].plain), out, sizeof out),
		                 out);
		assert_string_equal(out, cases[i].escaped);
	}
	char out[16];
	assert_string_equal(rds_text_escape(rds_view_of("a\0b", 3), out, sizeof out), "a\\x00b");
}

static void check_whole_characters(struct rds_view left)
{
	for (uint32_t code = 0; left.len > 0;) {
		size_t n = rds_utf8_next(left, &code);
		assert_true(n > 0);
		left = rds_view_of(left.data + n, left.len - n);
	}
}

// Too long ends in "..." and stays within its room; characters stay whole.
static void cuts_within_its_room(void **state)
{
	(void)state;
	static const char text[] = "ab\n\"\xe4\xb8\xbb\xf0\x9f\x92\xbb"
	                           "cdefghijklmnop\x01\xff";
	char whole[128];
	(void)rds_text_escape(rds_view_text(text), whole, sizeof whole);
	for (size_t cap = 4; cap < 60; cap++) {
		char out[64];
		memset(out, 0x55, sizeof out);
		(void)rds_text_escape(rds_view_text(text), out, cap);
		size_t len = strlen(out);
		assert_true(len < cap);
		assert_int_equal(out[cap], 0x55);
		if (strcmp(out, whole) == 0)
			continue;
		assert_string_equal(out + len - 3, "...");
		assert_memory_equal(out, whole, len - 3);
		check_whole_characters(rds_view_of(out, len - 3));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reads_well_formed_utf8),
	        cmocka_unit_test(refuses_what_is_no_utf8),
	        cmocka_unit_test(ids_in_any_script),
	        cmocka_unit_test(no_ids),
	        cmocka_unit_test(escapes),
	        cmocka_unit_test(cuts_within_its_room),
	};
	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
