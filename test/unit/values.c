// SPDX-License-Identifier: MIT
// Goal: numbers, switches, lists, networks and hosts are read strictly.
#include "test/unit/testing.h"

#include "conf/values.h"

static void numbers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t least, most;
		bool good;
	} cases[] = {
	        {"0", 0, 10, true},
	        {"10", 0, 10, true},
	        {"11", 0, 10, false},
	        {"-1", 0, 10, false},
	        {"-1", -1, 10, true},
	        {"-2", -1, 10, false},
	        {"007", 0, 10, true},
	        {"", 0, 10, false},
	        {" 5", 0, 10, false},
	        {"5 ", 0, 10, false},
	        {"+5", 0, 10, false},
	        {"5x", 0, 10, false},
	        {"0x5", 0, 10, false},
	        {"5.0", 0, 10, false},
	        {"-", -5, 10, false},
	        {"--1", -5, 10, false},
	        {"1e1", 0, 100, false},
	        {"five", 0, 10, false},
	        {"9223372036854775807", 0, INT64_MAX, true},
	        {"9223372036854775808", 0, INT64_MAX, false},
	        {"99999999999999999999999", 0, INT64_MAX, false},
	        {"-9223372036854775809", INT64_MIN, 0, false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		int64_t got = 0;
		int rc = rds_value_number(cases[i].text, cases[i].least, cases[i].most, &got);
		if (rc != (cases[i].good ? 0 : -RDS_EINVAL))
			fail_msg("\"%s\": %d", cases[i].text, rc);
	}
	int64_t got = 0;
	assert_int_equal(rds_value_number("-42", -100, 0, &got), 0);
	assert_int_equal(got, -42);
	assert_int_equal(rds_value_number("21116", 1, 65535, &got), 0);
	assert_int_equal(got, 21116);
}

static void switches(void **state)
{
	(void)state;
	static const char *const yes[] = {"Y", "y", "yes", "YES", "on", "On", "true", "True", "1"};
	static const char *const no[] = {"N", "n", "no", "No", "off", "OFF", "false", "FALSE", "0"};
	static const char *const bad[] = {"", "2", "ye", "yess", " y", "y ", "-1", "maybe", "01"};
	bool on = false;
	for (size_t i = 0; i < COUNT(yes); i++) {
		assert_int_equal(rds_value_switch(yes[i], &on), 0);
		assert_true(on);
		assert_int_equal(rds_value_switch(no[i], &on), 0);
		assert_false(on);
		if (rds_value_switch(bad[i], &on) != -RDS_EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

static void shares(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t per_mille;
	} good[] = {{"0", 0},     {"1", 1000},    {"0.66", 660}, {".5", 500},
	            {"0.001", 1}, {"1.", 1000},   {"1.0", 1000}, {"1.000", 1000},
	            {"0.", 0},    {"00.25", 250}, {".999", 999}};
	static const char *const bad[] = {"",       ".",
	                                  "1.001",  "2",
	                                  "10",     "100",
	                                  "999",    "1000",
	                                  "0.0001", "-0.5",
	                                  "+.5",    " 0.5",
	                                  "0.5 ",   "0,5",
	                                  "50%",    "1e-1",
	                                  "0x1",    "..5",
	                                  "0.5.",   "nan",
	                                  "inf",    "half",
	                                  ".5.5",   "1.1.1",
	                                  "0.66 x", "99999999999999999999"};
	for (size_t i = 0; i < COUNT(good); i++) {
		int64_t got = -1;
		if (rds_value_share(good[i].text, &got) != 0 || got != good[i].per_mille)
			fail_msg("\"%s\": %lld", good[i].text, (long long)got);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		int64_t got = -1;
		if (rds_value_share(bad[i], &got) != -RDS_EINVAL || got != -1)
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

static void lists(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t n;
		const char *items[3];
	} cases[] = {
	        {"", 0, {NULL}},
	        {" , ,,", 0, {NULL}},
	        {"a", 1, {"a"}},
	        {"a,b", 2, {"a", "b"}},
	        {" a , b b ,, c\t,", 3, {"a", "b b", "c"}},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_strings strings;
		rds_strings_split(cases[i].text, &strings);
		assert_int_equal(strings.n, cases[i].n);
		for (size_t k = 0; k < strings.n; k++)
			assert_string_equal(strings.items[k], cases[i].items[k]);
		rds_strings_free(&strings);
		assert_int_equal(strings.n, 0);
		rds_strings_free(&strings);
	}
}

static void networks(void **state)
{
	(void)state;
	struct rds_cidrs cidrs;
	struct rds_error err = {""};
	struct rds_ip inside = ip_of("10.9.9.9");
	struct rds_ip alone = ip_of("2001:db8::7");
	struct rds_ip outside = ip_of("2001:db8::8");
	assert_int_equal(rds_value_cidrs("10.0.0.0/8, fd00::/8,2001:db8::7", &cidrs, &err), 0);
	assert_int_equal(cidrs.n, 3);
	assert_true(rds_cidrs_hold(cidrs.items, cidrs.n, &inside));
	assert_true(rds_cidrs_hold(cidrs.items, cidrs.n, &alone));
	assert_false(rds_cidrs_hold(cidrs.items, cidrs.n, &outside));
	rds_cidrs_free(&cidrs);
	assert_int_equal(rds_value_cidrs("", &cidrs, &err), 0);
	assert_int_equal(cidrs.n, 0);
	rds_cidrs_free(&cidrs);
	assert_int_equal(rds_value_cidrs("10.0.0.0/8,10.0.0/8", &cidrs, &err), -RDS_EINVAL);
	assert_contains(err.text, "\"10.0.0/8\"");
	assert_int_equal(cidrs.n, 0);
}

static void switches_by_network(void **state)
{
	(void)state;
	static const char *const bad[] = {"", ",", "perhaps", "Y,10.0.0.0/8", "10.0.0.0/8,N", "2"};
	struct rds_switch sw;
	struct rds_error err = {""};
	struct rds_ip inside = ip_of("10.9.9.9");
	assert_int_equal(rds_value_switch_or_cidrs("On", &sw, &err), 0);
	assert_true(sw.on && sw.nets.n == 0);
	assert_int_equal(rds_value_switch_or_cidrs("0", &sw, &err), 0);
	assert_true(!sw.on && sw.nets.n == 0);
	assert_int_equal(rds_value_switch_or_cidrs("fd00::/8, 10.0.0.0/8", &sw, &err), 0);
	assert_true(!sw.on && sw.nets.n == 2);
	assert_true(rds_cidrs_hold(sw.nets.items, sw.nets.n, &inside));
	rds_switch_free(&sw);
	assert_int_equal(sw.nets.n, 0);
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (rds_value_switch_or_cidrs(bad[i], &sw, &err) != -RDS_EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_contains(err.text, "Y or N, or networks (10.0.0.0/8");
		assert_int_equal(sw.nets.n, 0);
	}
}

static void binds(void **state)
{
	(void)state;
	static const char *const good[] = {
	        "",           "0.0.0.0",      "::",     "192.0.2.7,2001:db8::7",
	        "tailscale0", "eth0.100, lo", "wlp2s0", "br-lan"};
	static const char *const bad[] = {
	        "192.0.2", "192.0.2.256", "2001:db8::g",         "eth0:1", "192.0.2.7:21116",
	        "[::1]",   "10.0.0.0/8",  "a-name-over-fifteen", "eth 0",  "lo,1.2.3.4.5"};
	struct rds_error err = {""};
	for (size_t i = 0; i < COUNT(good); i++)
		if (rds_value_binds(good[i], &err) != 0)
			fail_msg("\"%s\" was refused: %s", good[i], err.text);
	for (size_t i = 0; i < COUNT(bad); i++)
		if (rds_value_binds(bad[i], &err) != -RDS_EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	assert_contains(err.text, "\"1.2.3.4.5\"");
}

static void urls(void **state)
{
	(void)state;
	static const char *const good[] = {"http://a", "https://a.example:8443/x/%20~y",
	                                   "https://[::1]:80"};
	static const char *const bad[] = {"",
	                                  "a",
	                                  "ftp://a",
	                                  "https://",
	                                  "https://a b",
	                                  "https://a/b c",
	                                  "https://a/?q",
	                                  "https://a/'",
	                                  "https://::1",
	                                  "https://a:0",
	                                  "https:///x",
	                                  "HTTP://a"};
	for (size_t i = 0; i < COUNT(good); i++)
		assert_int_equal(rds_value_url(good[i]), 0);
	for (size_t i = 0; i < COUNT(bad); i++)
		if (rds_value_url(bad[i]) != -RDS_EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
}

static void hosts(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *host;
		uint16_t port;
	} good[] = {
	        {"id.example.com", "id.example.com", 0},
	        {"id.example.com:21117", "id.example.com", 21117},
	        {"192.0.2.7", "192.0.2.7", 0},
	        {"192.0.2.7:1", "192.0.2.7", 1},
	        {"[2001:db8::7]", "2001:db8::7", 0},
	        {"[2001:db8::7]:65535", "2001:db8::7", 65535},
	        {"localhost", "localhost", 0},
	        {"host_name-1", "host_name-1", 0},
	        {"b\xc3\xbc"
	         "cher.example",
	         "b\xc3\xbc"
	         "cher.example",
	         0},
	        {"7host", "7host", 0},
	};
	for (size_t i = 0; i < COUNT(good); i++) {
		struct rds_host_port got;
		if (rds_value_host(good[i].text, &got) != 0)
			fail_msg("\"%s\" was refused", good[i].text);
		assert_string_equal(got.host, good[i].host);
		assert_int_equal(got.port, good[i].port);
	}
	char name[300];
	struct rds_host_port got;
	memset(name, 'x', sizeof name);
	name[255] = '\0';
	assert_int_equal(rds_value_host(name, &got), 0);
	name[255] = 'x';
	name[256] = '\0';
	assert_int_equal(rds_value_host(name, &got), -RDS_EINVAL);
}

static void no_hosts(void **state)
{
	(void)state;
	static const char *const bad[] = {
	        "",       ":21117",   "host:",       "host:0",      "host:65536",
	        "host:x", "host:1:2", "2001:db8::7", "[::1",        "[::1]x",
	        "[::1]:", "[::1]:0",  "[]",          "[192.0.2.7]", "[host]",
	        "ho st",  "host ",    "a/b",         "http://host", "https://host/",
	        "-host",  ".host",    "host,",       "ho\"st",      "a\xc2\xa0x",
	        "\xff",   "ho\nst",   "host:+5",     "host: 5",     "[::1]]"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct rds_host_port got;
		if (rds_value_host(bad[i], &got) != -RDS_EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

static void lists_of_hosts(void **state)
{
	(void)state;
	struct rds_error err = {""};
	assert_int_equal(rds_value_hosts("", &err), 0);
	assert_int_equal(rds_value_hosts("a, b:1 ,[::1]:2", &err), 0);
	assert_int_equal(rds_value_hosts("a,b:99999", &err), -RDS_EINVAL);
	assert_contains(err.text, "\"b:99999\"");
}

static void where_no_client_can_go(void **state)
{
	(void)state;
	static const char *const unreachable[] = {"0.0.0.0", "0.0.0.0:21117", "[::]", "[::]:21117"};
	static const char *const reachable[] = {"127.0.0.1", "192.0.2.7:21117",    "[::1]", "host",
	                                        "0.0.0.1",   "0.0.0.0.example.com"};
	for (size_t i = 0; i < COUNT(unreachable); i++)
		assert_false(rds_host_is_reachable(unreachable[i]));
	for (size_t i = 0; i < COUNT(reachable); i++)
		assert_true(rds_host_is_reachable(reachable[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(numbers),        cmocka_unit_test(switches),
	        cmocka_unit_test(shares),         cmocka_unit_test(lists),
	        cmocka_unit_test(networks),       cmocka_unit_test(switches_by_network),
	        cmocka_unit_test(binds),          cmocka_unit_test(urls),
	        cmocka_unit_test(hosts),          cmocka_unit_test(no_hosts),
	        cmocka_unit_test(lists_of_hosts), cmocka_unit_test(where_no_client_can_go),
	};
	return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}
