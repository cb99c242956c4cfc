// SPDX-License-Identifier: MIT
// Goal: where a line of text ends, and what is none.
#include "test/unit/testing.h"

#include "net/lines.h"

#include <stdlib.h>

static void lines_have_their_ends(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		long len;         // while more may come
		long len_at_end;  // when nothing more comes
		const char *line; // of the latter
	} cases[] = {
	        {"", 0, 0, NULL},
	        {"h", 0, 1, "h"},
	        {"h\r", 0, 2, "h"},
	        {"h\n", 2, 2, "h"},
	        {"h\r\n", 3, 3, "h"},
	        {"\n", 1, 1, ""},
	        {"\r\n", 2, 2, ""},
	        {"\r", 0, 1, ""},
	        {"rs a, b\nrs c\n", 8, 8, "rs a, b"},
	        {"\trs  \n", 6, 6, "\trs  "},
	        {"ic \xe4\xb8\xbb\xe6\x9c\xba\n", 10, 10, "ic \xe4\xb8\xbb\xe6\x9c\xba"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_view line = {0};
		struct rds_view bytes = rds_view_text(cases[i].bytes);
		assert_int_equal(rds_line_read(bytes, false, &line), cases[i].len);
		assert_int_equal(rds_line_read(bytes, true, &line), cases[i].len_at_end);
		if (cases[i].line != NULL)
			assert_view_text(line, cases[i].line);
	}
}

// A frame, most of all: it shows by its first control character, however much of it is there.
static void what_is_not_text_shows_at_once(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {{"\x0c\xa2\x01\x00", 4}, {"@\xba\x01", 3}, {"h\0", 2},     {"h\x7f\n", 3},
	             {"h\x1b[2J", 5},         {"h\rh\n", 4},    {"h\r\r\n", 4}, {"\0\n", 2}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_view line = {0};
		struct rds_view bytes = rds_view_of(cases[i].bytes, cases[i].len);
		assert_int_equal(rds_line_read(bytes, false, &line), -RDS_EPARSE);
		assert_int_equal(rds_line_read(bytes, true, &line), -RDS_EPARSE);
	}
	// Half a character may become a whole one.
	struct rds_view line = {0};
	assert_int_equal(rds_line_read(rds_view_text("\xe4\xb8"), false, &line), 0);
	assert_int_equal(rds_line_read(rds_view_text("\xe4\xb8"), true, &line), -RDS_EPARSE);
	assert_int_equal(rds_line_read(rds_view_text("\xff\n"), false, &line), -RDS_EPARSE);
}

static void lines_are_bounded(void **state)
{
	(void)state;
	uint8_t bytes[RDS_LINE_MAX_BYTES + 3];
	struct rds_view line = {0};
	memset(bytes, 'x', sizeof bytes);
	assert_int_equal(rds_line_read(rds_view_of(bytes, RDS_LINE_MAX_BYTES), false, &line), 0);
	assert_int_equal(rds_line_read(rds_view_of(bytes, RDS_LINE_MAX_BYTES), true, &line),
	                 RDS_LINE_MAX_BYTES);
	assert_int_equal(rds_line_read(rds_view_of(bytes, RDS_LINE_MAX_BYTES + 1), false, &line),
	                 -RDS_ETOOBIG);
	bytes[RDS_LINE_MAX_BYTES + 1] = '\n';
	assert_int_equal(rds_line_read(rds_view_of(bytes, sizeof bytes), false, &line),
	                 -RDS_ETOOBIG);
	bytes[RDS_LINE_MAX_BYTES] = '\r';
	assert_int_equal(rds_line_read(rds_view_of(bytes, sizeof bytes), false, &line),
	                 RDS_LINE_MAX_BYTES + 2);
	assert_int_equal(line.len, RDS_LINE_MAX_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(lines_have_their_ends),
	        cmocka_unit_test(what_is_not_text_shows_at_once),
	        cmocka_unit_test(lines_are_bounded),
	};
	return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
