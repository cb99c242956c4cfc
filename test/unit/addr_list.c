// SPDX-License-Identifier: MIT
// Goal: files of addresses are read strictly, and lines go in and out of them without touching the
// others.
#include "test/unit/testing.h"

#include "conf/addr_list.h"

#include <stdio.h>
#include <stdlib.h>

static struct rds_error err;

// How many networks the text has; -1: it was refused.
static long parse(struct rds_view text, struct rds_cidrs *out)
{
	int rc = rds_addr_list_parse(text, "blocklist.txt", out, &err);
	if (rc == 0)
		return (long)out->n;
	assert_int_equal(rc, -RDS_EINVAL);
	assert_int_equal(out->n, 0);
	assert_null(out->items);
	return -1;
}

static void forms(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		long n;
	} cases[] = {
	        {"", 0},
	        {"\n\n\n", 0},
	        {" \t \r\n", 0},
	        {"# nothing but this", 0},
	        {"#\n##\n # 203.0.113.7\n", 0},
	        {"203.0.113.7", 1},
	        {"203.0.113.7\n", 1},
	        {"203.0.113.7\r\n198.51.100.0/24\r\n", 2},
	        {"\t203.0.113.7 # a neighbour\n\n  2001:db8::/32#a network\n", 2},
	        {"203.0.113.7\n203.0.113.7\n", 1},                  // the same
	        {"203.0.113.7\n203.0.113.0/24\n198.51.100.7\n", 2}, // one in the other
	        {"0.0.0.0/0\n2000::/3", 2},
	        {"2001:0db8:0000:0000:0000:ffff:255.255.255.255/128", 1},
	        {"203.0.113.7/32\n2001:db8::1/128\n::ffff:203.0.113.8\n", 3},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_cidrs list;
		if (parse(rds_view_text(cases[i].text), &list) != cases[i].n)
			fail_msg("\"%s\": %zu, %s", cases[i].text, list.n, err.text);
		rds_cidrs_free(&list);
	}
}

static void networks_are_as_they_are_written(void **state)
{
	(void)state;
	struct rds_cidrs list;
	struct rds_ip inside = ip_of("198.51.100.200");
	struct rds_ip alone = ip_of("2001:db8::7");
	struct rds_ip outside = ip_of("198.51.101.1");
	assert_int_equal(parse(rds_view_text("198.51.100.0/24\n2001:db8::7\n"), &list), 2);
	assert_true(rds_cidrs_hold(list.items, list.n, &inside));
	assert_true(rds_cidrs_hold(list.items, list.n, &alone));
	assert_false(rds_cidrs_hold(list.items, list.n, &outside));
	rds_cidrs_free(&list);
}

// The first bad line is named by its number and its text, whatever that is.
static void bad_lines(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *said;
	} cases[] = {
	        {"here", "blocklist.txt:1: \"here\""},
	        {"203.0.113.7\n\n# fine\n 203.0.113.256 # not\nthere\n",
	         "blocklist.txt:4: \"203.0.113.256\""},
	        {"203.0.113.7 198.51.100.7\n", "blocklist.txt:1: \"203.0.113.7 198.51.100.7\""},
	        {"203.0.113.7,\n", "blocklist.txt:1:"},
	        {"198.51.100.0/33\n", "blocklist.txt:1:"},
	        {"198.51.100.0/\n", "blocklist.txt:1:"},
	        {"198.51.100/24\n", "blocklist.txt:1:"},
	        {"203.0.113.7:21117\n", "blocklist.txt:1:"},
	        {"[2001:db8::1]\n", "blocklist.txt:1:"},
	        {"\n203.0.113.7\r203.0.113.8\n", "blocklist.txt:2:"},
	        {"\x1b[2J\n", "blocklist.txt:1: \"\\x1b[2J\""},
	        {"// 203.0.113.7", "blocklist.txt:1:"},
	        {"11111111111111111111111111111111111111111111111111", "blocklist.txt:1:"},
	        {"111111111111111111111111111111111111111111111111111", "blocklist.txt:1:"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_cidrs list;
		if (parse(rds_view_text(cases[i].text), &list) != -1)
			fail_msg("\"%s\" was taken", cases[i].text);
		assert_contains(err.text, cases[i].said);
	}
}

// Nor is one with a zero byte in it a line of text: not even in a comment, since lines that are
// kept are handled as text.
static void zero_bytes(void **state)
{
	(void)state;
	static const char *const texts[] = {"203.0.113.7\0\n", "\0 203.0.113.7",
	                                    "# a\0b\n203.0.113.7"};
	static const size_t lens[] = {13, 13, 17};
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct rds_cidrs list;
		assert_int_equal(parse(rds_view_of(texts[i], lens[i]), &list), -1);
		assert_contains(err.text, "blocklist.txt:1:");
	}
}

static void many_lines(void **state)
{
	(void)state;
	enum { N = 50000 };
	struct rds_cidrs list;
	char *text = malloc(N * 20);
	size_t len = 0;
	assert_non_null(text);
	for (unsigned i = 0; i < N; i++)
		len += (size_t)snprintf(text + len, 20, "10.%u.%u.%u\n", i >> 16, i >> 8 & 255,
		                        i & 255);
	assert_int_equal(parse(rds_view_of(text, len), &list), N);
	rds_cidrs_free(&list);
	len += (size_t)snprintf(text + len, 20, "10.0\n");
	assert_int_equal(parse(rds_view_of(text, len), &list), -1);
	assert_contains(err.text, "blocklist.txt:50001: \"10.0\"");
	free(text);
}

static void without(const char *text, const char *net, const char *rest, size_t n)
{
	struct rds_cidr one;
	size_t removed = 99;
	assert_int_equal(rds_cidr_parse(net, &one), 0);
	char *out = rds_addr_list_without(rds_view_text(text), &one, &removed);
	assert_string_equal(out, rest);
	assert_int_equal(removed, n);
	free(out);
}

static void lines_are_taken_out(void **state)
{
	(void)state;
	without("", "203.0.113.7", "", 0);
	without("203.0.113.7", "203.0.113.7", "", 1);
	without("# mine\n203.0.113.7\n\n203.0.113.8 # too\n", "203.0.113.8",
	        "# mine\n203.0.113.7\n\n", 1);
	without(" 203.0.113.7/32 # why\r\n::ffff:203.0.113.7\n203.0.113.7\nlast", "203.0.113.7",
	        "last", 3);
	// Another network, be it one around it, is another line.
	without("203.0.113.0/24\n203.0.113.7\n", "203.0.113.0/25", "203.0.113.0/24\n203.0.113.7\n",
	        0);
	without("# 203.0.113.7\n", "203.0.113.7", "# 203.0.113.7\n", 0);
}

static void lines_are_put_in(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
	        {"", "203.0.113.7\n"},
	        {"# mine\n", "# mine\n203.0.113.7\n"},
	        {"198.51.100.0/24", "198.51.100.0/24\n203.0.113.7\n"},
	        {"\n", "\n203.0.113.7\n"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *out = rds_addr_list_with(rds_view_text(cases[i][0]), "203.0.113.7");
		assert_string_equal(out, cases[i][1]);
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(forms),
	        cmocka_unit_test(networks_are_as_they_are_written),
	        cmocka_unit_test(bad_lines),
	        cmocka_unit_test(zero_bytes),
	        cmocka_unit_test(many_lines),
	        cmocka_unit_test(lines_are_taken_out),
	        cmocka_unit_test(lines_are_put_in),
	};
	return cmocka_run_group_tests_name("addr_list", tests, NULL, NULL);
}
