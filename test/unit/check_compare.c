// SPDX-License-Identifier: MIT
// Goal: from what works at the server and not elsewhere, the right cause and no other; reports that
// are none.
#include "test/unit/testing.h"

#include "cmd/check/compare.h"

#include <stdio.h>
#include <stdlib.h>

// A run in short: "udp.register=ok nat=fail:second TCP not answered;", each ended by ';'.
struct run {
	struct check_result results[24];
	size_t n;
};

static enum check_status status_of(const char *word)
{
	static const char *const names[] = {"ok", "warn", "fail", "skip"};
	for (size_t i = 0; i < COUNT(names); i++)
		if (strncmp(word, names[i], strlen(names[i])) == 0)
			return (enum check_status)i;
	fail_msg("no status: %s", word);
	return CHECK_SKIP;
}

static struct run run_of(const char *text)
{
	struct run run = {.n = 0};
	char copy[1024];
	char *rest = NULL;
	assert_true((size_t)snprintf(copy, sizeof copy, "%s", text) < sizeof copy);
	for (char *item = strtok_r(copy, ";", &rest); item != NULL;
	     item = strtok_r(NULL, ";", &rest)) {
		struct check_result *result = &run.results[run.n++];
		char *status = strchr(item, '=');
		assert_non_null(status);
		char *detail = strchr(status, ':');
		*status++ = '\0';
		while (*item == ' ')
			item++;
		result->status = status_of(status);
		(void)snprintf(result->name, sizeof result->name, "%s", item);
		(void)snprintf(result->detail, sizeof result->detail, "%s",
		               detail == NULL ? "" : detail + 1);
		(void)snprintf(result->fix, sizeof result->fix, "mend %s", item);
	}
	return run;
}

#define HEALTHY                                                                    \
	"dns.id=ok:rd.example.com is 203.0.113.7;udp.register=ok;tcp.secure=ok;"   \
	"tcp.register=ok;ws.register=ok;nat=ok;punch=ok;relay.tcp=ok;relay.ws=ok;" \
	"relay.name=ok;http.21114=ok;"

static struct check_result found[COMPARE_MAX];

// The names that are found, each before a space.
static const char *judge(const char *inside, const char *outside, bool same_network)
{
	static char names[512];
	struct run there = run_of(inside);
	struct run here = run_of(outside);
	struct compare_runs runs = {.inside = there.results,
	                            .n_inside = there.n,
	                            .outside = here.results,
	                            .n_outside = here.n,
	                            .host = "rd.example.com",
	                            .id_port = 21116,
	                            .nat_port = 21115,
	                            .relay_port = 21117,
	                            .websocket_port = 21118,
	                            .relay_websocket_port = 21119,
	                            .api_port = 21114,
	                            .same_network = same_network};
	size_t n = compare_judge(&runs, found);
	assert_in_range(n, 1, COMPARE_MAX);
	size_t len = 0;
	for (size_t i = 0; i < n; i++) {
		bool bad = found[i].status == CHECK_FAIL || found[i].status == CHECK_WARN;
		assert_int_not_equal(found[i].detail[0], '\0');
		assert_int_equal(found[i].fix[0] != '\0', bad); // a fix for each, and only then
		assert_true(check_place(found[i].name) < check_n_rows);
		len += (size_t)snprintf(names + len, sizeof names - len, "%s ",
		                        found[i].name + strlen("compare."));
		assert_true(len < sizeof names);
	}
	return names;
}

static const struct check_result *result_of(const char *name)
{
	for (size_t i = 0; i < COMPARE_MAX; i++)
		if (strcmp(found[i].name, name) == 0)
			return &found[i];
	fail_msg("no %s", name);
	return NULL;
}

static void nothing_differs(void **state)
{
	(void)state;
	assert_string_equal(judge(HEALTHY, HEALTHY, false), "all ");
	assert_int_equal(found[0].status, CHECK_OK);
	assert_contains(found[0].detail, "11 checks");
	assert_string_equal(judge("clock=ok;", "conf=ok;", false), "all ");
	assert_int_equal(found[0].status, CHECK_SKIP);
}

static void udp_alone(void **state)
{
	(void)state;
	assert_string_equal(judge(HEALTHY,
	                          "udp.register=fail:no answer;tcp.secure=ok;relay.tcp=ok;"
	                          "nat=fail:UDP not answered, TCP 1, second TCP 1;punch=fail;",
	                          false),
	                    "udp all ");
	assert_int_equal(found[0].status, CHECK_FAIL);
	assert_contains(found[0].detail, "UDP 21116");
	assert_contains(found[0].detail, "TCP gets through");
	assert_contains(found[0].fix, "UDP 21116");
	(void)judge(HEALTHY, "udp.register=fail:no answer;", false);
	assert_null(strstr(result_of("compare.udp")->detail, "TCP gets through"));
}

static void some_tcp_ports(void **state)
{
	(void)state;
	assert_string_equal(judge(HEALTHY,
	                          "udp.register=ok;tcp.secure=ok;relay.tcp=fail:no answer;"
	                          "relay.ws=fail:no answer;relay.name=warn:no answer;",
	                          false),
	                    "tcp all ");
	assert_contains(found[0].detail, "21117 (relay.tcp), 21119 (relay.ws)");
	assert_contains(found[0].detail, "drops");
	assert_int_equal(found[0].status, CHECK_FAIL);
	(void)judge(HEALTHY, "udp.register=ok;relay.tcp=fail:Connection refused;", false);
	assert_contains(result_of("compare.tcp")->detail, "refuses");
	(void)judge(HEALTHY, "udp.register=ok;http.21114=warn:drops;", false);
	assert_int_equal(result_of("compare.tcp")->status, CHECK_WARN);
	(void)judge(HEALTHY, "udp.register=ok;nat=fail:UDP 1, TCP 1, second TCP not answered;",
	            false);
	assert_contains(result_of("compare.tcp")->detail, "21115 (nat)");
}

static void udp_and_a_port(void **state)
{
	(void)state;
	assert_string_equal(
	        judge(HEALTHY, "udp.register=fail;tcp.secure=ok;relay.tcp=fail;", false),
	        "udp tcp all ");
}

static void nothing_is_reached(void **state)
{
	(void)state;
	static const char none[] = "dns.id=ok:rd.example.com is 203.0.113.7;udp.register=fail;"
	                           "tcp.secure=fail;relay.tcp=fail;ws.register=fail;punch=skip;";
	assert_string_equal(judge(HEALTHY, none, false), "host all ");
	assert_contains(found[0].fix, "21115, 21116, 21117, 21118, 21119");
	assert_string_equal(judge(HEALTHY, none, true), "hairpin all ");
	assert_int_equal(found[0].status, CHECK_FAIL);
	assert_contains(found[0].fix, "hairpin");
}

static void hairpin_at_the_server(void **state)
{
	(void)state;
	assert_string_equal(judge("udp.register=ok;relay.tcp=ok;relay.name=warn:no answer;",
	                          "udp.register=ok;relay.tcp=ok;relay.name=ok;", false),
	                    "hairpin all ");
	assert_int_equal(found[0].status, CHECK_WARN);
	// A relay that fails from both sides is no matter of the router.
	assert_null(strstr(judge("relay.tcp=ok;relay.name=fail;", "relay.name=fail;", false),
	                   "hairpin"));
}

static void split_dns(void **state)
{
	(void)state;
	assert_string_equal(judge("dns.id=ok:rd.lan is 192.168.1.10;udp.register=ok;",
	                          "dns.id=ok:rd.lan is 203.0.113.7;udp.register=ok;", false),
	                    "dns all ");
	assert_int_equal(found[0].status, CHECK_OK);
	(void)judge("dns.id=ok:rd.lan is 192.168.1.10;udp.register=ok;",
	            "dns.id=ok:rd.lan is 203.0.113.9;udp.register=fail;", false);
	assert_int_equal(result_of("compare.dns")->status, CHECK_WARN);
	// The order is of no matter, nor is what surrounds the addresses.
	assert_string_equal(judge("dns.id=ok:a (203.0.113.7), [2001:db8::7];",
	                          "dns.id=ok:2001:db8::7, 203.0.113.7.;", false),
	                    "all ");
	assert_string_equal(
	        judge("dns.relay=ok:r is 2001:db8::7;", "dns.relay=ok:r is 2001:db8::8;", false),
	        "dns all ");
}

static void a_name_only_known_inside(void **state)
{
	(void)state;
	assert_string_equal(judge(HEALTHY,
	                          "dns.id=fail:rd.example.com is unknown;udp.register=fail;"
	                          "tcp.secure=fail;relay.tcp=fail;",
	                          false),
	                    "dns all ");
	assert_int_equal(found[0].status, CHECK_FAIL);
}

static void rewritten_and_one_gateway(void **state)
{
	(void)state;
	assert_string_equal(judge(HEALTHY "docker=warn:all from 172.17.0.1;",
	                          "udp.register=ok;nat=warn:symmetric;", false),
	                    "nat gateway all ");
	assert_contains(found[1].detail, "172.17.0.1");
	assert_string_equal(found[1].fix, "mend docker");
}

static void the_server_itself(void **state)
{
	(void)state;
	assert_string_equal(judge("service.relay=fail;relay.tcp=fail;udp.register=ok;",
	                          "relay.tcp=fail;udp.register=ok;", false),
	                    "server all ");
	assert_contains(found[0].detail, "service.relay, relay.tcp");
	assert_contains(found[0].fix, "mend service.relay");
}

static void for_no_known_reason(void **state)
{
	(void)state;
	assert_string_equal(judge(HEALTHY "online=ok;", "udp.register=ok;online=fail;", false),
	                    "other all ");
	assert_contains(found[0].detail, "online");
	// What follows from a cause is none of its own.
	assert_null(strstr(judge(HEALTHY, "udp.register=fail;tcp.secure=ok;punch=fail;", false),
	                   "other"));
}

static void networks(void **state)
{
	(void)state;
	assert_true(compare_same_network("192.168.1.20", "172.17.0.1,192.168.1.10"));
	assert_true(compare_same_network("10.0.0.2", "10.0.0.3"));
	assert_false(compare_same_network("172.17.0.1", "172.17.0.1")); // everybody's docker0
	assert_false(compare_same_network("192.168.1.20", "192.168.2.10"));
	assert_false(compare_same_network("203.0.113.7", "203.0.113.8"));
	assert_false(compare_same_network("", "10.0.0.3"));
	assert_false(compare_same_network("nonsense", "10.0.0.3"));
}

// --- files

static void refuses(const struct temp_dir *dir, const char *text, const char *part)
{
	struct rds_error err = {""};
	char *path = temp_path(dir, "report");
	file_write(dir, "report", text);
	assert_null(check_compared_open(path, &err));
	assert_contains(err.text, path);
	assert_contains(err.text, part);
	free(path);
}

static void files_that_are_no_report(void **state)
{
	(void)state;
	struct temp_dir dir;
	struct rds_error err = {""};
	temp_dir_make(&dir);
	refuses(&dir, "", "no report");
	refuses(&dir, "hello", "no report");
	refuses(&dir, "[]", "no report");
	refuses(&dir, "{\"checks\":[]}", "no report");
	refuses(&dir, "{\"checks\":{\"a\":1}}", "no report");
	refuses(&dir, "{\"checks\":[{\"name\":\"nat\",\"status\":\"ok\"}]}", "no report");
	refuses(&dir, "{\"checks\":[{\"name\":\"nat\",\"status\":\"good\",\"detail\":\"\"}]}",
	        "no report");
	refuses(&dir, "{\"checks\":[{\"name\":\"nat\",\"status\":\"ok\",\"detail\":\"\"},7]}",
	        "no report");
	refuses(&dir, "{\"report\":2,\"checks\":[]}", "another version");
	refuses(&dir, "{\"report\":\"1\",\"checks\":[]}", "another version");
	assert_null(check_compared_open("/nonexistent/report", &err));
	assert_contains(err.text, "/nonexistent/report");
	temp_dir_remove(&dir);
}

static void files_that_are(void **state)
{
	(void)state;
	struct temp_dir dir;
	struct rds_error err = {""};
	temp_dir_make(&dir);
	char *path = temp_path(&dir, "report");
	file_write(&dir, "report",
	           "{\"checks\":[{\"name\":\"nat\",\"status\":\"ok\",\"detail\":\"x\"}]}");
	struct check_compared *report = check_compared_open(path, &err);
	assert_non_null(report);
	check_compared_free(report);
	check_compared_free(NULL);
	free(path);
	temp_dir_remove(&dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_differs),
	        cmocka_unit_test(udp_alone),
	        cmocka_unit_test(some_tcp_ports),
	        cmocka_unit_test(udp_and_a_port),
	        cmocka_unit_test(nothing_is_reached),
	        cmocka_unit_test(hairpin_at_the_server),
	        cmocka_unit_test(split_dns),
	        cmocka_unit_test(a_name_only_known_inside),
	        cmocka_unit_test(rewritten_and_one_gateway),
	        cmocka_unit_test(the_server_itself),
	        cmocka_unit_test(for_no_known_reason),
	        cmocka_unit_test(networks),
	        cmocka_unit_test(files_that_are_no_report),
	        cmocka_unit_test(files_that_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
