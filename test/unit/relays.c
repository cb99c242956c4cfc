// SPDX-License-Identifier: MIT
// Goal: the setting relay-servers: relays in turn, with names by network; what is wrong is named.
#include "test/unit/testing.h"

#include "conf/relays.h"

#include <stdio.h>
#include <stdlib.h>

static struct rds_relays relays;

static int tear_down(void **state)
{
	(void)state;
	rds_relays_free(&relays);
	return 0;
}

static void parse(const char *text)
{
	struct rds_error err = {""};
	rds_relays_free(&relays);
	if (rds_relays_parse(text, &relays, &err) != 0)
		fail_msg("\"%s\": %s", text, err.text);
}

static void assert_for(size_t i, const char *ip, const char *name)
{
	struct rds_ip at = ip_of(ip);
	assert_true(i < relays.n);
	assert_view_text(rds_relay_name_for(&relays.items[i], &at), name);
}

static void nothing_is_no_relay(void **state)
{
	(void)state;
	static const char *const texts[] = {"", " ", ",", " , ,, "};
	for (size_t i = 0; i < COUNT(texts); i++) {
		parse(texts[i]);
		assert_int_equal(relays.n, 0);
		assert_int_equal(relays.n_unreachable, 0);
	}
}

static void plain_list_as_hbbs_has_it(void **state)
{
	(void)state;
	parse("a.example.com,b.example.com:21117 , 203.0.113.7,[2001:db8::1]:443,,");
	assert_int_equal(relays.n, 4);
	assert_view_text(relays.items[0].name, "a.example.com");
	assert_view_text(relays.items[1].name, "b.example.com:21117");
	assert_view_text(relays.items[2].name, "203.0.113.7");
	assert_view_text(relays.items[3].name, "[2001:db8::1]:443");
	assert_int_equal(relays.n_by_net, 0);
	assert_for(1, "10.0.0.1", "b.example.com:21117");
}

static void names_by_network(void **state)
{
	(void)state;
	static const char *const texts[] = {
	        "relay.example.com | 100.64.0.0/10=relay.tailnet.ts.net | "
	        "192.168.0.0/16=192.168.1.5:21117, second.example.com",
	        "relay.example.com|100.64.0.0/10=relay.tailnet.ts.net|"
	        "192.168.0.0/16=192.168.1.5:21117,second.example.com",
	        "\trelay.example.com |100.64.0.0/10 = relay.tailnet.ts.net|  "
	        "192.168.0.0/16 =192.168.1.5:21117 ,  second.example.com  ",
	};
	for (size_t i = 0; i < COUNT(texts); i++) {
		parse(texts[i]);
		assert_int_equal(relays.n, 2);
		assert_int_equal(relays.n_by_net, 2);
		assert_for(0, "203.0.113.7", "relay.example.com");
		assert_for(0, "100.127.255.255", "relay.tailnet.ts.net");
		assert_for(0, "100.128.0.0", "relay.example.com");
		assert_for(0, "192.168.200.1", "192.168.1.5:21117");
		assert_for(0, "2001:db8::1", "relay.example.com");
		assert_for(1, "192.168.200.1", "second.example.com");
		assert_for(1, "100.64.0.1", "second.example.com");
	}
}

// Each relay has its own, also where the memory of all of them has moved meanwhile.
static void many_relays_keep_their_own_names(void **state)
{
	(void)state;
	char text[4000];
	char expected[40];
	char ip[40];
	size_t len = 0;
	for (int i = 0; i < 60; i++)
		len += (size_t)snprintf(text + len, sizeof text - len,
		                        "r%d | 10.%d.0.0/16=n%d | fd%02d::/16=s%d,", i, i, i, i, i);
	parse(text);
	assert_int_equal(relays.n, 60);
	assert_int_equal(relays.n_by_net, 120);
	for (size_t i = 0; i < 60; i++) {
		(void)snprintf(expected, sizeof expected, "n%zu", i);
		(void)snprintf(ip, sizeof ip, "10.%zu.1.1", i);
		assert_for(i, ip, expected);
		(void)snprintf(expected, sizeof expected, "s%zu", i);
		(void)snprintf(ip, sizeof ip, "fd%02zu::1", i);
		assert_for(i, ip, expected);
		(void)snprintf(expected, sizeof expected, "r%zu", i);
		assert_for(i, "10.99.1.1", expected);
	}
}

static void bad_ones_are_named(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *named;
	} cases[] = {
	        {"a b", "\"a b\""},
	        {"good, http://bad.example.com", "http://bad.example.com"},
	        {"good:70000", "good:70000"},
	        {"good:0", "good:0"},
	        {"2001:db8::1", "2001:db8::1"},
	        {"good | 10.0.0.0/8", "10.0.0.0/8"},
	        {"good | 10.0.0.0/33=near", "10.0.0.0/33"},
	        {"good | office=near", "\"office\""},
	        {"good | =near", "\"\""},
	        {"good | 10.0.0.0/8=", "\"\""},
	        {"good | 10.0.0.0/8=ne ar", "ne ar"},
	        {"good | 10.0.0.0/8=near:99999", "near:99999"},
	        {"10.0.0.0/8=near", "10.0.0.0/8=near"},
	        {" | 10.0.0.0/8=near", ""},
	        {"one, good | 10.0.0.0/8=near | 11.0.0.0/8=a=b", "a=b"},
	        {"\x1b[2J", "\\x1b[2J"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_error err = {""};
		if (rds_relays_parse(cases[i].text, &relays, &err) != -RDS_EINVAL)
			fail_msg("\"%s\" is taken", cases[i].text);
		assert_contains(err.text, cases[i].named);
		assert_null(relays.items); // nothing is left to be freed
		assert_null(relays.text);
		assert_int_equal(relays.n, 0);
	}
}

// Where no client can go: people give it to -r, taking it for a listening address.
static void listening_addresses_are_left_out(void **state)
{
	(void)state;
	parse("0.0.0.0 | 10.0.0.0/8=lost, a.example.com | 11.0.0.0/8=near, [::]:21117, "
	      "0.0.0.0:21117");
	assert_int_equal(relays.n, 1);
	assert_int_equal(relays.n_unreachable, 3);
	assert_int_equal(relays.n_by_net, 1);
	assert_for(0, "203.0.113.7", "a.example.com");
	assert_for(0, "10.0.0.1", "a.example.com");
	assert_for(0, "11.0.0.1", "near");
	parse("0.0.0.0");
	assert_int_equal(relays.n, 0);
	assert_int_equal(relays.n_unreachable, 1);
}

static struct rds_cidr net_of(const char *text)
{
	struct rds_cidr net;
	if (rds_cidr_parse(text, &net) != 0)
		fail_msg("\"%s\" is no network", text);
	return net;
}

// hbbs's LOCAL_IP inside its mask: for relays with and without names of their own.
static void local_ip_is_one_more_name(void **state)
{
	(void)state;
	struct rds_cidr lan[] = {net_of("192.168.0.0/16"), net_of("fd00::/8")};
	parse("a.example.com | 192.168.7.0/24=near | 100.64.0.0/10=tail, b.example.com,"
	      "c.example.com | 192.168.0.0/16=same");
	rds_relays_add_local(&relays, lan, COUNT(lan), "192.168.1.5");
	assert_int_equal(relays.n, 3);
	assert_for(0, "203.0.113.7", "a.example.com");
	assert_for(0, "192.168.7.1", "near"); // a smaller network goes before
	assert_for(0, "192.168.8.1", "192.168.1.5");
	assert_for(0, "100.64.0.1", "tail");
	assert_for(0, "fd12::1", "192.168.1.5");
	assert_for(1, "203.0.113.7", "b.example.com");
	assert_for(1, "192.168.7.1", "192.168.1.5");
	assert_for(1, "100.64.0.1", "b.example.com");
	assert_for(2, "192.168.7.1", "same"); // so does the same one that was given
	assert_for(2, "fd12::1", "192.168.1.5");
}

static void local_ip_without_relays_or_networks(void **state)
{
	(void)state;
	struct rds_cidr lan = net_of("192.168.0.0/16");
	parse("");
	rds_relays_add_local(&relays, &lan, 1, "192.168.1.5");
	assert_int_equal(relays.n, 0);
	parse("a.example.com | 10.0.0.0/8=near");
	rds_relays_add_local(&relays, NULL, 0, "192.168.1.5");
	assert_for(0, "192.168.7.1", "a.example.com");
	assert_for(0, "10.0.0.1", "near");
}

static void freeing_twice_is_fine(void **state)
{
	(void)state;
	parse("a.example.com | 10.0.0.0/8=near");
	rds_relays_free(&relays);
	assert_null(relays.by_net);
	rds_relays_free(&relays);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(nothing_is_no_relay, tear_down),
	        cmocka_unit_test_teardown(plain_list_as_hbbs_has_it, tear_down),
	        cmocka_unit_test_teardown(names_by_network, tear_down),
	        cmocka_unit_test_teardown(many_relays_keep_their_own_names, tear_down),
	        cmocka_unit_test_teardown(bad_ones_are_named, tear_down),
	        cmocka_unit_test_teardown(listening_addresses_are_left_out, tear_down),
	        cmocka_unit_test_teardown(local_ip_is_one_more_name, tear_down),
	        cmocka_unit_test_teardown(local_ip_without_relays_or_networks, tear_down),
	        cmocka_unit_test_teardown(freeing_twice_is_fine, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
