// SPDX-License-Identifier: MIT
// Goal: a relay's names by network: the smallest network wins, any of its names finds it.
#include "test/unit/testing.h"

#include "core/relay_names.h"

static struct rds_relay_name by_net(const char *net, const char *name)
{
	struct rds_relay_name one = {.name = rds_view_text(name)};
	if (rds_cidr_parse(net, &one.net) != 0)
		fail_msg("\"%s\" is no network", net);
	return one;
}

static struct rds_view name_for(const struct rds_relay_names *relay, const char *ip)
{
	struct rds_ip at = ip_of(ip);
	return rds_relay_name_for(relay, &at);
}

static void without_networks_there_is_one_name(void **state)
{
	(void)state;
	struct rds_relay_names relay = {.name = rds_view_text("relay.example.com")};
	assert_view_text(name_for(&relay, "203.0.113.7"), "relay.example.com");
	assert_view_text(name_for(&relay, "2001:db8::1"), "relay.example.com");
}

static void smallest_network_wins_in_any_order(void **state)
{
	(void)state;
	struct rds_relay_name names[] = {by_net("10.0.0.0/8", "eight"), by_net("10.1.2.3", "one"),
	                                 by_net("10.1.0.0/16", "sixteen"),
	                                 by_net("fd00::/8", "six"),
	                                 by_net("10.0.0.0/15", "fifteen")};
	struct rds_relay_names relay = {
	        .name = rds_view_text("all"), .by_net = names, .n_by_net = COUNT(names)};
	for (size_t turn = 0; turn < COUNT(names); turn++) {
		assert_view_text(name_for(&relay, "10.1.2.3"), "one");
		assert_view_text(name_for(&relay, "10.1.2.4"), "sixteen");
		assert_view_text(name_for(&relay, "10.0.0.1"), "fifteen");
		assert_view_text(name_for(&relay, "10.255.255.255"), "eight");
		assert_view_text(name_for(&relay, "11.0.0.0"), "all");
		assert_view_text(name_for(&relay, "9.255.255.255"), "all");
		assert_view_text(name_for(&relay, "::ffff:10.1.2.3"), "one");
		assert_view_text(name_for(&relay, "fd12::1"), "six");
		assert_view_text(name_for(&relay, "fe80::1"), "all");
		struct rds_relay_name first = names[0];
		memmove(names, names + 1, sizeof names - sizeof names[0]);
		names[COUNT(names) - 1] = first;
	}
}

// Of two names of one network the first given counts.
static void first_of_equals_wins(void **state)
{
	(void)state;
	struct rds_relay_name names[] = {by_net("10.0.0.0/8", "first"),
	                                 by_net("10.0.0.0/8", "second")};
	struct rds_relay_names relay = {
	        .name = rds_view_text("all"), .by_net = names, .n_by_net = COUNT(names)};
	assert_view_text(name_for(&relay, "10.1.2.3"), "first");
}

// "0.0.0.0/0" is every IPv4 address and no IPv6 one.
static void networks_of_a_family(void **state)
{
	(void)state;
	struct rds_relay_name names[] = {by_net("0.0.0.0/0", "four"), by_net("::/0", "any")};
	struct rds_relay_names relay = {
	        .name = rds_view_text("all"), .by_net = names, .n_by_net = COUNT(names)};
	assert_view_text(name_for(&relay, "203.0.113.7"), "four");
	assert_view_text(name_for(&relay, "2001:db8::1"), "any");
	relay.n_by_net = 1;
	assert_view_text(name_for(&relay, "2001:db8::1"), "all");
}

static void found_by_any_of_its_names(void **state)
{
	(void)state;
	struct rds_relay_name names[] = {by_net("100.64.0.0/10", "relay.tailnet.ts.net"),
	                                 by_net("192.168.0.0/16", "192.168.1.5:21117")};
	struct rds_relay_names relays[] = {
	        {.name = rds_view_text("relay.example.com"),
	         .by_net = names,
	         .n_by_net = COUNT(names)},
	        {.name = rds_view_text("second.example.com:443")},
	};
	static const struct {
		const char *name;
		int which; // -1: none
	} cases[] = {
	        {"relay.example.com", 0},        {"RELAY.Example.COM", 0},
	        {"relay.tailnet.ts.net", 0},     {"192.168.1.5:21117", 0},
	        {"second.example.com:443", 1},   {"second.example.com", -1},
	        {"relay.example.com:21117", -1}, {"relay.example.co", -1},
	        {"relay.example.com.", -1},      {"192.168.1.5", -1},
	        {"elsewhere.example.com", -1},   {"", -1},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct rds_relay_names *found =
		        rds_relay_named(relays, COUNT(relays), rds_view_text(cases[i].name));
		const struct rds_relay_names *expected =
		        cases[i].which < 0 ? NULL : &relays[cases[i].which];
		if (found != expected)
			fail_msg("\"%s\"", cases[i].name);
	}
	assert_null(rds_relay_named(NULL, 0, rds_view_text("relay.example.com")));
	assert_null(rds_relay_named(relays, COUNT(relays), rds_view_of(NULL, 0)));
	assert_ptr_equal(rds_relay_named(relays, 1, rds_view_text("second.example.com:443")), NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(without_networks_there_is_one_name),
	        cmocka_unit_test(smallest_network_wins_in_any_order),
	        cmocka_unit_test(first_of_equals_wins),
	        cmocka_unit_test(networks_of_a_family),
	        cmocka_unit_test(found_by_any_of_its_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
