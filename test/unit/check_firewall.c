// SPDX-License-Identifier: MIT
// Goal: what firewalls' programs print is read right, and nothing is claimed that can't be known.
#include "cmd/check/firewall.h"
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Real output, of a Debian 12 with the rules that the tests name.
static char *sample(const char *name)
{
	char path[512];
	size_t cap = 1 << 20;
	char *text = calloc(cap, 1);
	(void)snprintf(path, sizeof path, "test/unit/samples/%s", name);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	assert_true(fread(text, 1, cap - 1, file) > 0);
	(void)fclose(file);
	return text;
}

static enum firewall_answer ask(const struct firewall *firewall, const char *proto, uint16_t port)
{
	const struct firewall_chain *by = NULL;
	return firewall_ask(firewall, strcmp(proto, "udp") == 0, port, &by);
}

static void ufw(void **state)
{
	(void)state;
	struct firewall firewall = {0};
	char *text = sample("ufw.txt");
	assert_true(firewall_read_ufw(&firewall, text));
	assert_int_equal(ask(&firewall, "tcp", 21115), FIREWALL_OPEN);
	assert_int_equal(ask(&firewall, "tcp", 21117), FIREWALL_OPEN);
	assert_int_equal(ask(&firewall, "tcp", 21118), FIREWALL_CLOSED);
	assert_int_equal(ask(&firewall, "udp", 21116), FIREWALL_CLOSED);
	assert_int_equal(ask(&firewall, "tcp", 2222), FIREWALL_OPEN);
	assert_int_equal(ask(&firewall, "tcp", 80), FIREWALL_CANT_TELL);   // from one network
	assert_int_equal(ask(&firewall, "tcp", 5000), FIREWALL_CANT_TELL); // on an interface
	firewall_clear(&firewall);
	free(text);
}

static void ufw_inactive(void **state)
{
	(void)state;
	struct firewall firewall = {0};
	assert_false(firewall_read_ufw(&firewall, "Status: inactive\n"));
	assert_false(firewall_read_ufw(&firewall, ""));
	assert_int_equal(firewall.n, 0);
}

// The same rules as the kernel has them: limits and kinds of addresses in them aren't understood,
// so that a port may be "can't tell", but never the wrong thing.
static void kernels_rules(const struct firewall *firewall)
{
	assert_int_not_equal(ask(firewall, "tcp", 21116), FIREWALL_CLOSED);
	assert_int_not_equal(ask(firewall, "udp", 21116), FIREWALL_OPEN);
	assert_int_not_equal(ask(firewall, "tcp", 21119), FIREWALL_OPEN);
}

static void iptables_of_ufw(void **state)
{
	(void)state;
	struct firewall firewall = {0};
	char *text = sample("iptables-ufw.txt");
	assert_true(firewall_read_iptables(&firewall, text));
	kernels_rules(&firewall);
	assert_int_equal(ask(&firewall, "tcp", 21119), FIREWALL_CLOSED);
	firewall_clear(&firewall);
	free(text);
}

static void nft_of_ufw(void **state)
{
	(void)state;
	struct firewall firewall = {0};
	char *text = sample("nft-ufw.json");
	assert_true(firewall_read_nft(&firewall, text, false, false));
	kernels_rules(&firewall);
	firewall_clear(&firewall);
	assert_true(firewall_read_nft(&firewall, text, true, true));
	assert_int_equal(firewall.n, 0);
	firewall_clear(&firewall);
	free(text);
}

static void firewalld(void **state)
{
	(void)state;
	struct firewall firewall = {0};
	char services[256];
	char *text = sample("firewalld.txt");
	assert_true(firewall_read_firewalld(&firewall, text, services));
	assert_string_equal(services, "dhcpv6-client ssh");
	assert_string_equal(firewall.chains[0].name, "public");
	assert_int_equal(ask(&firewall, "tcp", 21116), FIREWALL_OPEN);
	assert_int_equal(ask(&firewall, "udp", 21116), FIREWALL_CLOSED);
	assert_int_equal(ask(&firewall, "tcp", 21118), FIREWALL_CLOSED);
	firewall_read_service(&firewall, "rdsrv\n  ports: 21118/tcp 21116/udp\n  protocols: \n");
	assert_int_equal(ask(&firewall, "udp", 21116), FIREWALL_OPEN);
	assert_int_equal(ask(&firewall, "tcp", 21118), FIREWALL_OPEN);
	firewall_clear(&firewall);
	free(text);
}

static void firewalld_with_rich_rules(void **state)
{
	(void)state;
	struct firewall firewall = {0};
	char services[256];
	assert_true(firewall_read_firewalld(&firewall,
	                                    "home (active)\n  target: default\n  ports: \n"
	                                    "  rich rules: \n\trule family=\"ipv4\" accept\n",
	                                    services));
	assert_int_equal(ask(&firewall, "tcp", 21116), FIREWALL_CANT_TELL);
	firewall_clear(&firewall);
	assert_false(firewall_read_firewalld(&firewall, "FirewallD is not running\n", services));
	assert_false(firewall_read_firewalld(&firewall, "", services));
}

struct row {
	const char *rules;
	enum firewall_answer tcp; // of port 21116
	enum firewall_answer udp;
};

static void iptables_rules(void **state)
{
	(void)state;
	static const struct row rows[] = {
	        {"-A INPUT -p tcp -j ACCEPT", FIREWALL_OPEN, FIREWALL_CLOSED},
	        {"[3:180] -A INPUT -p udp --dport 21116 -j ACCEPT", FIREWALL_CLOSED, FIREWALL_OPEN},
	        {"-A INPUT -p tcp -m tcp --dport 21110:21120 -j ACCEPT", FIREWALL_OPEN,
	         FIREWALL_CLOSED},
	        {"-A INPUT -p tcp -m multiport --dports 1,21115:21116 -j ACCEPT", FIREWALL_OPEN,
	         FIREWALL_CLOSED},
	        {"-A INPUT -p tcp -m multiport ! --dports 1,2 -j ACCEPT", FIREWALL_CANT_TELL,
	         FIREWALL_CLOSED},
	        {"-A INPUT -i lo -j ACCEPT", FIREWALL_CLOSED, FIREWALL_CLOSED},
	        {"-A INPUT ! -i lo -j ACCEPT", FIREWALL_OPEN, FIREWALL_OPEN},
	        {"-A INPUT -i eth0 -j ACCEPT", FIREWALL_CANT_TELL, FIREWALL_CANT_TELL},
	        {"-A INPUT -s 10.0.0.0/8 -j ACCEPT", FIREWALL_CANT_TELL, FIREWALL_CANT_TELL},
	        {"-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT", FIREWALL_CLOSED,
	         FIREWALL_CLOSED},
	        {"-A INPUT -m conntrack --ctstate NEW -j ACCEPT", FIREWALL_OPEN, FIREWALL_OPEN},
	        {"-A INPUT -m comment --comment \"a \\\"-j DROP\\\" b\" -j ACCEPT", FIREWALL_OPEN,
	         FIREWALL_OPEN},
	        {"-A INPUT -j OTHER\n-A OTHER -p udp -j RETURN\n-A OTHER -j ACCEPT", FIREWALL_OPEN,
	         FIREWALL_CLOSED},
	        {"-A INPUT -g OTHER\n-A INPUT -j ACCEPT", FIREWALL_CLOSED, FIREWALL_CLOSED},
	        {"-A INPUT -j OTHER\n-A OTHER -j OTHER", FIREWALL_CANT_TELL, FIREWALL_CANT_TELL},
	        {"-A INPUT -j NOWHERE", FIREWALL_CANT_TELL, FIREWALL_CANT_TELL},
	        {"-A INPUT -p icmp -j ACCEPT", FIREWALL_CLOSED, FIREWALL_CLOSED},
	        {"-A INPUT -m limit --limit 3/min -j ACCEPT", FIREWALL_CANT_TELL,
	         FIREWALL_CANT_TELL},
	        {"-A INPUT -s 192.0.2.1/32 -j DROP\n-A INPUT -j ACCEPT", FIREWALL_OPEN,
	         FIREWALL_OPEN},
	        {"-A INPUT -p tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP\n-A INPUT -j ACCEPT",
	         FIREWALL_OPEN, FIREWALL_OPEN},
	        {"-A", FIREWALL_CLOSED, FIREWALL_CLOSED},
	        {"-A INPUT -p", FIREWALL_CLOSED, FIREWALL_CLOSED},
	        {"-A INPUT !", FIREWALL_CLOSED, FIREWALL_CLOSED},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct firewall firewall = {0};
		char text[1024];
		(void)snprintf(text, sizeof text,
		               "*nat\n:INPUT ACCEPT [0:0]\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n"
		               ":OTHER - [0:0]\n%s\nCOMMIT\n",
		               rows[i].rules);
		assert_true(firewall_read_iptables(&firewall, text));
		if (ask(&firewall, "tcp", 21116) != rows[i].tcp ||
		    ask(&firewall, "udp", 21116) != rows[i].udp)
			fail_msg("%s: tcp %d, udp %d", rows[i].rules, ask(&firewall, "tcp", 21116),
			         ask(&firewall, "udp", 21116));
		firewall_clear(&firewall);
	}
}

// Whatever is cut off or odd: no crash, nothing read beyond the end.
static void damaged_output(void **state)
{
	(void)state;
	static const char *const names[] = {"ufw.txt", "iptables-ufw.txt", "nft-ufw.json",
	                                    "firewalld.txt"};
	for (size_t i = 0; i < COUNT(names); i++) {
		char *text = sample(names[i]);
		for (size_t len = strlen(text); len > 0; len = len * 9 / 10) {
			struct firewall firewall = {0};
			char services[256];
			char *exact = strndup(text, len);
			(void)firewall_read_ufw(&firewall, exact);
			(void)firewall_read_iptables(&firewall, exact);
			(void)firewall_read_nft(&firewall, exact, false, false);
			(void)firewall_read_firewalld(&firewall, exact, services);
			(void)ask(&firewall, "tcp", 21116);
			firewall_clear(&firewall);
			free(exact);
		}
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ufw),
	        cmocka_unit_test(ufw_inactive),
	        cmocka_unit_test(iptables_of_ufw),
	        cmocka_unit_test(nft_of_ufw),
	        cmocka_unit_test(firewalld),
	        cmocka_unit_test(firewalld_with_rich_rules),
	        cmocka_unit_test(iptables_rules),
	        cmocka_unit_test(damaged_output),
	};
	return cmocka_run_group_tests_name("check_firewall", tests, NULL, NULL);
}
