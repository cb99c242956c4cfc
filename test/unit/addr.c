// SPDX-License-Identifier: MIT
// Goal: addresses as text, as networks, and in the wire's mangled form (protocol.md section 2).
#include "test/unit/testing.h"

static void mangles_as_known(void **state)
{
	(void)state;
	cJSON *file = vectors_open("addr_mangle.json");
	const cJSON *one = NULL;
	size_t n = 0;
	cJSON_ArrayForEach(one, member(file, "cases"))
	{
		uint8_t expected[RDS_ADDR_WIRE];
		uint8_t bytes[RDS_ADDR_WIRE];
		struct rds_view want = member_hex(one, "bytes", expected, sizeof expected);
		struct rds_addr addr =
		        addr_of(member_text(one, "ip"), (uint16_t)member_number(one, "port"));
		const cJSON *clock = cJSON_GetObjectItemCaseSensitive(one, "clock_us_low32");
		uint32_t clock_us = clock == NULL ? 12345 : (uint32_t)clock->valuedouble;
		size_t len = rds_addr_mangle(&addr, clock_us, bytes);
		assert_views_equal(rds_view_of(bytes, len), want);
		struct rds_addr back;
		assert_int_equal(rds_addr_unmangle(want, &back), 0);
		assert_true(rds_addr_equal(&back, &addr));
		n++;
	}
	assert_int_equal(n, 11);
	cJSON_Delete(file);
}

static void bad_bytes_are_as_known(void **state)
{
	(void)state;
	cJSON *file = vectors_open("addr_mangle.json");
	const cJSON *one = NULL;
	size_t n = 0;
	cJSON_ArrayForEach(one, member(file, "bad"))
	{
		uint8_t bytes[64];
		struct rds_addr addr;
		struct rds_view wire = member_hex(one, "bytes", bytes, sizeof bytes);
		int rc = rds_addr_unmangle(wire, &addr);
		n++;
		if (cJSON_HasObjectItem(one, "error")) {
			assert_int_equal(rc, -RDS_EPARSE);
			continue;
		}
		struct rds_addr want =
		        addr_of(member_text(one, "ip"), (uint16_t)member_number(one, "port"));
		assert_int_equal(rc, 0);
		assert_true(rds_addr_equal(&addr, &want));
	}
	assert_int_equal(n, 3);
	cJSON_Delete(file);
}

static void only_some_lengths_are_addresses(void **state)
{
	(void)state;
	uint8_t bytes[64] = {0};
	struct rds_addr addr;
	for (size_t len = 0; len < sizeof bytes; len++)
		assert_int_equal(rds_addr_unmangle(rds_view_of(bytes, len), &addr),
		                 len <= 16 || len == 18 ? 0 : -RDS_EPARSE);
}

static void any_clock_comes_back(void **state)
{
	(void)state;
	struct testing_random random = {3};
	for (int i = 0; i < 100000; i++) {
		uint8_t bytes[RDS_ADDR_WIRE];
		struct rds_addr addr = {.port = (uint16_t)random_next(&random)};
		struct rds_addr back;
		bool v4 = i % 4 != 0;
		random_bytes(&random, addr.ip.b, sizeof addr.ip.b);
		if (v4)
			addr.ip = rds_ip_v4(addr.ip.b[0], addr.ip.b[1], addr.ip.b[2], addr.ip.b[3]);
		size_t len = rds_addr_mangle(&addr, (uint32_t)random_next(&random), bytes);
		assert_true(v4 ? len <= 16 : len == 18);
		assert_true(len == 0 || len == 18 || bytes[len - 1] != 0);
		assert_int_equal(rds_addr_unmangle(rds_view_of(bytes, len), &back), 0);
		assert_true(rds_addr_equal(&back, &addr));
	}
}

// 18 bytes that say ::ffff:a.b.c.d mean the IPv4 address.
static void mapped_means_ipv4(void **state)
{
	(void)state;
	uint8_t bytes[18];
	uint8_t again[RDS_ADDR_WIRE];
	struct rds_addr addr;
	struct rds_addr want = addr_of("203.0.113.7", 0x1234);
	struct rds_view wire =
	        from_hex("00000000000000000000ffffcb0071073412", bytes, sizeof bytes);
	assert_int_equal(rds_addr_unmangle(wire, &addr), 0);
	assert_true(rds_addr_equal(&addr, &want));
	assert_true(rds_ip_is_v4(&addr.ip));
	assert_true(rds_addr_mangle(&addr, 5, again) <= 16);
}

static void ip_texts(void **state)
{
	(void)state;
	static const struct {
		const char *in;
		const char *out;
		const char *mapped;
		bool v4;
	} good[] = {
	        {"203.0.113.7", "203.0.113.7", "::ffff:203.0.113.7", true},
	        {"::ffff:203.0.113.7", "203.0.113.7", "::ffff:203.0.113.7", true},
	        {"::FFFF:cb00:7107", "203.0.113.7", "::ffff:203.0.113.7", true},
	        {"0.0.0.0", "0.0.0.0", "::ffff:0.0.0.0", true},
	        {"255.255.255.255", "255.255.255.255", "::ffff:255.255.255.255", true},
	        {"2001:DB8::1", "2001:db8::1", "2001:db8::1", false},
	        {"::1", "::1", "::1", false},
	        {"::", "::", "::", false},
	        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", false},
	};
	for (size_t i = 0; i < COUNT(good); i++) {
		char text[RDS_IP_TEXT];
		struct rds_ip ip = ip_of(good[i].in);
		assert_int_equal(rds_ip_is_v4(&ip), good[i].v4);
		rds_ip_format(&ip, text);
		assert_string_equal(text, good[i].out);
		rds_ip_format_mapped(&ip, text);
		assert_string_equal(text, good[i].mapped);
		struct rds_ip back = ip_of(text);
		assert_true(rds_ip_equal(&ip, &back));
	}
}

static void no_ip_texts(void **state)
{
	(void)state;
	static const char *const bad[] = {
	        "",         "x",      "1.2.3",     "1.2.3.4.5",  "1.2.3.256",     "1.2.3.4:5",
	        "[::1]",    "::1%lo", " 1.2.3.4",  "1.2.3.4 ",   "1:2:3:4:5:6:7", ":::",
	        "1.2.3.-4", "host",   "1.2.3.4/8", "0x7f.0.0.1", "::ffff:1.2.3"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct rds_ip ip;
		if (rds_ip_parse(bad[i], &ip) != -RDS_EPARSE)
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

static void mapped_and_plain_are_equal(void **state)
{
	(void)state;
	struct rds_ip plain = ip_of("198.51.100.23");
	struct rds_ip mapped = ip_of("::ffff:198.51.100.23");
	struct rds_ip built = rds_ip_v4(198, 51, 100, 23);
	struct rds_ip other = ip_of("198.51.100.24");
	assert_true(rds_ip_equal(&plain, &mapped));
	assert_true(rds_ip_equal(&plain, &built));
	assert_false(rds_ip_equal(&plain, &other));
	struct rds_addr a = addr_of("198.51.100.23", 1);
	struct rds_addr b = addr_of("::ffff:198.51.100.23", 1);
	struct rds_addr c = addr_of("198.51.100.23", 2);
	assert_true(rds_addr_equal(&a, &b));
	assert_false(rds_addr_equal(&a, &c));
}

static void none_and_any(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool none;
		bool any;
	} cases[] = {{"::", true, true},
	             {"0.0.0.0", false, true},
	             {"0.0.0.1", false, false},
	             {"::1", false, false},
	             {"::ffff:0.0.0.0", false, true}};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_ip ip = ip_of(cases[i].text);
		assert_int_equal(rds_ip_is_none(&ip), cases[i].none);
		assert_int_equal(rds_ip_is_any(&ip), cases[i].any);
	}
}

static void loopback(void **state)
{
	(void)state;
	static const char *const inside[] = {"127.0.0.1", "127.255.255.254", "::1",
	                                     "::ffff:127.9.9.9"};
	static const char *const outside[] = {
	        "126.255.255.255", "128.0.0.1", "::",        "0.0.0.0", "::2",
	        "::127.0.0.1",     "1::1",      "10.127.0.1"};
	for (size_t i = 0; i < COUNT(inside); i++) {
		struct rds_ip ip = ip_of(inside[i]);
		assert_true(rds_ip_is_loopback(&ip));
	}
	for (size_t i = 0; i < COUNT(outside); i++) {
		struct rds_ip ip = ip_of(outside[i]);
		assert_false(rds_ip_is_loopback(&ip));
	}
}

static void addr_texts(void **state)
{
	(void)state;
	char text[RDS_ADDR_TEXT];
	struct rds_addr v4 = addr_of("203.0.113.7", 21116);
	struct rds_addr v6 = addr_of("2001:db8::1", 65535);
	struct rds_addr longest = addr_of("1111:2222:3333:4444:5555:6666:7777:8888", 65535);
	rds_addr_format(&v4, text);
	assert_string_equal(text, "203.0.113.7:21116");
	rds_addr_format(&v6, text);
	assert_string_equal(text, "[2001:db8::1]:65535");
	rds_addr_format(&longest, text);
	assert_string_equal(text, "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
}

static bool holds(const char *net, const char *ip)
{
	struct rds_cidr cidr = {.bits = 0};
	struct rds_ip one = ip_of(ip);
	if (rds_cidr_parse(net, &cidr) != 0)
		fail_msg("\"%s\" is no network", net);
	return rds_cidr_holds(&cidr, &one);
}

static void networks_hold(void **state)
{
	(void)state;
	assert_true(holds("10.0.0.0/8", "10.255.255.255"));
	assert_false(holds("10.0.0.0/8", "11.0.0.0"));
	assert_false(holds("10.0.0.0/8", "9.255.255.255"));
	assert_true(holds("10.1.2.3/8", "10.9.9.9")); // bits beyond the prefix don't count
	assert_true(holds("172.16.0.0/12", "172.31.255.255"));
	assert_false(holds("172.16.0.0/12", "172.32.0.0"));
	assert_true(holds("192.0.2.7", "192.0.2.7"));
	assert_false(holds("192.0.2.7", "192.0.2.6"));
	assert_true(holds("192.0.2.6/31", "192.0.2.7"));
	assert_false(holds("192.0.2.6/31", "192.0.2.8"));
	assert_true(holds("192.0.2.7/32", "::ffff:192.0.2.7"));
	assert_true(holds("0.0.0.0/0", "255.1.2.3"));
	assert_false(holds("0.0.0.0/0", "2001:db8::1"));
	assert_true(holds("fd00::/8", "fdff:1::1"));
	assert_false(holds("fd00::/8", "fc00::1"));
	assert_true(holds("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(holds("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(holds("::1", "::1"));
	assert_true(holds("::1/128", "::1"));
	assert_false(holds("::1/128", "::2"));
	assert_true(holds("::ffff:10.0.0.0/104", "10.1.1.1"));
	assert_false(holds("::ffff:10.0.0.0/104", "11.1.1.1"));
}

static void no_networks(void **state)
{
	(void)state;
	static const char *const bad[] = {"",
	                                  "/8",
	                                  "10.0.0.0/",
	                                  "10.0.0.0/33",
	                                  "10.0.0.0/-1",
	                                  "10.0.0.0/8 ",
	                                  "10.0.0.0/8/8",
	                                  "10/8",
	                                  "::/129",
	                                  "fd00::/1280",
	                                  "fd00::/0x8",
	                                  "lan",
	                                  "10.0.0.0/+8",
	                                  "10.0.0.0 /8",
	                                  "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa/8"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct rds_cidr net;
		if (rds_cidr_parse(bad[i], &net) != -RDS_EPARSE)
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

// What is written is read again as the same.
static void network_texts(void **state)
{
	(void)state;
	static const char *const texts[][2] = {
	        {"10.0.0.0/8", "10.0.0.0/8"},
	        {"192.0.2.7", "192.0.2.7/32"},
	        {"0.0.0.0/0", "0.0.0.0/0"},
	        {"fd00::/8", "fd00::/8"},
	        {"::/0", "::/0"},
	        {"2001:db8::7", "2001:db8::7/128"},
	        {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
	        {"::ffff:10.0.0.0/90", "::ffff:10.0.0.0/90"},
	        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
	};
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct rds_cidr net;
		char text[RDS_CIDR_TEXT];
		assert_int_equal(rds_cidr_parse(texts[i][0], &net), 0);
		rds_cidr_format(&net, text);
		assert_string_equal(text, texts[i][1]);
	}
}

static void any_of_several_networks(void **state)
{
	(void)state;
	struct rds_cidr nets[2];
	struct rds_ip in_first = ip_of("10.1.1.1");
	struct rds_ip in_second = ip_of("fd00::1");
	struct rds_ip outside = ip_of("192.0.2.1");
	assert_int_equal(rds_cidr_parse("10.0.0.0/8", &nets[0]), 0);
	assert_int_equal(rds_cidr_parse("fd00::/8", &nets[1]), 0);
	assert_true(rds_cidrs_hold(nets, 2, &in_first));
	assert_true(rds_cidrs_hold(nets, 2, &in_second));
	assert_false(rds_cidrs_hold(nets, 1, &in_second));
	assert_false(rds_cidrs_hold(nets, 2, &outside));
	assert_false(rds_cidrs_hold(NULL, 0, &in_first));
}

static void sorted_networks_are_apart(void **state)
{
	(void)state;
	static const char *const texts[] = {"2001:db8::/32", "10.9.0.0/16",  "10.0.0.1",
	                                    "10.1.2.3/8",    "10.0.0.0/8",   "2001:db8::7",
	                                    "11.0.0.0",      "9.255.255.255"};
	static const char *const sorted[] = {"9.255.255.255", "10.0.0.0/8", "11.0.0.0",
	                                     "2001:db8::/32"};
	struct rds_cidr nets[COUNT(texts)];
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_int_equal(rds_cidr_parse(texts[i], &nets[i]), 0);
	assert_int_equal(rds_cidrs_sort(nets, COUNT(texts)), COUNT(sorted));
	for (size_t i = 0; i < COUNT(sorted); i++) {
		struct rds_cidr want;
		assert_int_equal(rds_cidr_parse(sorted[i], &want), 0);
		assert_true(rds_ip_equal(&nets[i].ip, &want.ip));
		assert_int_equal(nets[i].bits, want.bits);
	}
	assert_int_equal(rds_cidrs_sort(NULL, 0), 0);
}

// Networks and addresses close to each other, so that many meet.
static void finding_is_holding(void **state)
{
	(void)state;
	struct testing_random random = {21};
	for (int round = 0; round < 300; round++) {
		struct rds_cidr nets[40];
		struct rds_cidr sorted[40];
		size_t n = random_below(&random, COUNT(nets) + 1);
		for (size_t i = 0; i < n; i++) {
			nets[i].ip = rds_ip_v4(10, 0, (uint8_t)random_below(&random, 4),
			                       (uint8_t)random_next(&random));
			nets[i].bits =
			        (uint8_t)(128 - random_below(&random, round % 2 == 0 ? 5 : 12));
			if (random_below(&random, 200) == 0)
				nets[i].bits = (uint8_t)random_below(&random, 129);
		}
		memcpy(sorted, nets, sizeof sorted);
		size_t left = rds_cidrs_sort(sorted, n);
		for (unsigned i = 0; i < 4 * 256 + 2; i++) {
			struct rds_ip ip = rds_ip_v4(10, 0, (uint8_t)(i >> 8), (uint8_t)i);
			assert_int_equal(rds_cidrs_find(sorted, left, &ip),
			                 rds_cidrs_hold(nets, n, &ip));
		}
	}
}

static void sources_are_whole_ipv4_and_half_ipv6(void **state)
{
	(void)state;
	struct rds_ip v4 = ip_of("203.0.113.7");
	struct rds_ip source = rds_ip_source(&v4);
	assert_true(rds_ip_equal(&source, &v4));
	struct rds_ip v6 = ip_of("2001:db8:1:2:abcd:4:5:6");
	struct rds_ip want = ip_of("2001:db8:1:2::");
	source = rds_ip_source(&v6);
	assert_true(rds_ip_equal(&source, &want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(mangles_as_known),
	        cmocka_unit_test(bad_bytes_are_as_known),
	        cmocka_unit_test(only_some_lengths_are_addresses),
	        cmocka_unit_test(any_clock_comes_back),
	        cmocka_unit_test(mapped_means_ipv4),
	        cmocka_unit_test(ip_texts),
	        cmocka_unit_test(no_ip_texts),
	        cmocka_unit_test(mapped_and_plain_are_equal),
	        cmocka_unit_test(none_and_any),
	        cmocka_unit_test(loopback),
	        cmocka_unit_test(addr_texts),
	        cmocka_unit_test(networks_hold),
	        cmocka_unit_test(no_networks),
	        cmocka_unit_test(network_texts),
	        cmocka_unit_test(any_of_several_networks),
	        cmocka_unit_test(sorted_networks_are_apart),
	        cmocka_unit_test(finding_is_holding),
	        cmocka_unit_test(sources_are_whole_ipv4_and_half_ipv6),
	};
	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
