// SPDX-License-Identifier: MIT
// Goal: the table of settings: every name, bound and default, and which layer wins (protocol.md
// section 12). What files and the environment hold is settings_read.c's matter.
#include "test/unit/testing.h"

#include "conf/settings.h"
#include "core/limits.h"

#include <ctype.h>
#include <stdio.h>

static struct rds_settings *settings;

static int set_up(void **state)
{
	(void)state;
	settings = rds_settings_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rds_settings_free(settings);
	return 0;
}

static int set(enum rds_setting setting, const char *value, enum rds_origin origin)
{
	struct rds_error err = {""};
	return rds_settings_set(settings, setting, value, origin, "here", &err);
}

static enum rds_setting named(const char *name)
{
	enum rds_setting setting = RDS_SET_COUNT;
	if (!rds_setting_find(rds_view_text(name), &setting))
		fail_msg("there is no setting %s", name);
	return setting;
}

// Section 12 and the list: all names are there, under any spelling.
static void every_name_is_there(void **state)
{
	(void)state;
	static const char *const names[] = {"port",
	                                    "bind",
	                                    "relay-servers",
	                                    "key",
	                                    "rendezvous-servers",
	                                    "serial",
	                                    "software-url",
	                                    "rmem",
	                                    "mask",
	                                    "config",
	                                    "always-use-relay",
	                                    "db-url",
	                                    "local-ip",
	                                    "test-hbbs",
	                                    "single-bandwidth",
	                                    "total-bandwidth",
	                                    "limit-speed",
	                                    "downgrade-threshold",
	                                    "downgrade-start-check",
	                                    "max-database-connections",
	                                    "data-dir",
	                                    "id-server",
	                                    "limit-register-minute",
	                                    "limit-ids-day",
	                                    "limit-exempt",
	                                    "log-level",
	                                    "log-format",
	                                    "log-file",
	                                    "loopback-console",
	                                    "nat-port",
	                                    "relay-port",
	                                    "websocket-port",
	                                    "relay-websocket-port"};
	for (size_t i = 0; i < COUNT(names); i++) {
		char spelling[64];
		enum rds_setting setting = named(names[i]);
		assert_string_equal(rds_setting_row(setting)->name, names[i]);
		for (size_t k = 0; k < sizeof spelling; k++) {
			char c = names[i][k];
			spelling[k] = c == '-' ? '_' : (char)toupper((unsigned char)c);
			if (c == '\0')
				break;
		}
		assert_int_equal(named(spelling), setting);
	}
	enum rds_setting setting;
	static const char *const unknown[] = {"",      "por",           "ports",
	                                      "relay", "relay servers", "-port"};
	for (size_t i = 0; i < COUNT(unknown); i++)
		assert_false(rds_setting_find(rds_view_text(unknown[i]), &setting));
	assert_false(rds_setting_find(rds_view_of("port\0", 5), &setting));
}

static void letters_are_hbbs_s(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		char letter;
	} letters[] = {{"port", 'p'},
	               {"bind", 'b'},
	               {"relay-servers", 'r'},
	               {"key", 'k'},
	               {"rendezvous-servers", 'R'},
	               {"serial", 's'},
	               {"software-url", 'u'},
	               {"rmem", 'M'},
	               {"config", 'c'}};
	for (size_t i = 0; i < COUNT(letters); i++)
		assert_int_equal(rds_setting_row(named(letters[i].name))->letter,
		                 letters[i].letter);
}

static void rows_are_whole(void **state)
{
	(void)state;
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		const struct rds_setting_row *row = rds_setting_row((enum rds_setting)i);
		assert_non_null(row->name);
		assert_int_equal(named(row->name), i); // no name twice
		assert_true(row->help != NULL && strlen(row->help) > 5);
		assert_non_null(row->value);
		assert_int_not_equal(row->takers, 0);
		for (int k = 0; k < i; k++)
			assert_false(row->letter != 0 &&
			             row->letter == rds_setting_row((enum rds_setting)k)->letter);
	}
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(rds_settings_number(settings, RDS_SET_PORT), 21116);
	assert_int_equal(rds_settings_number(settings, RDS_SET_LIMIT_REGISTER_MINUTE), 30);
	assert_int_equal(rds_settings_number(settings, RDS_SET_LIMIT_IDS_DAY), 300);
	assert_int_equal(rds_settings_number(settings, RDS_SET_ALWAYS_USE_RELAY), 0);
	assert_string_equal(rds_settings_text(settings, RDS_SET_LIMIT_EXEMPT), "");
	assert_string_equal(rds_settings_text(settings, RDS_SET_LOG_LEVEL), "info");
	assert_int_equal(rds_settings_number(settings, RDS_SET_LOG_LEVEL), 2);
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		assert_false(rds_settings_is_set(settings, (enum rds_setting)i));
		assert_int_equal(rds_settings_origin(settings, (enum rds_setting)i),
		                 RDS_FROM_DEFAULT);
		assert_string_equal(rds_settings_where(settings, (enum rds_setting)i), "default");
	}
	rds_settings_free(NULL);
}

// Each number takes its bounds, and nothing beyond.
static void numbers_have_bounds(void **state)
{
	(void)state;
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		enum rds_setting setting = (enum rds_setting)i;
		const struct rds_setting_row *row = rds_setting_row(setting);
		const int64_t values[] = {row->least - 1, row->least, row->most, row->most + 1};
		if (row->type != RDS_TYPE_NUMBER)
			continue;
		assert_true(row->least < row->most);
		for (size_t k = 0; k < COUNT(values); k++) {
			char text[32];
			struct rds_error err = {""};
			bool good = k == 1 || k == 2;
			(void)snprintf(text, sizeof text, "%lld", (long long)values[k]);
			int rc = rds_settings_set(settings, setting, text, RDS_FROM_COMMAND_LINE,
			                          "--it", &err);
			assert_int_equal(rc, good ? 0 : -RDS_EINVAL);
			if (good)
				assert_int_equal(rds_settings_number(settings, setting), values[k]);
			else
				assert_contains(err.text, "a number from");
		}
	}
}

// An error names where, what, and the accepted form.
static void errors_say_what_is_accepted(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		const char *bad;
		const char *expected;
	} cases[] = {
	        {"port", "0", "3 to 65533"},
	        {"nat-port", "65536", "1 to 65535, or off"},
	        {"nat-port", "0", "1 to 65535, or off"},
	        {"secure-tcp", "perhaps", "Y or N"},
	        {"always-use-relay", "perhaps", "Y or N, or networks"},
	        {"always-use-relay", ",", "Y or N, or networks"},
	        {"always-use-relay", "10.0.0.0/8, Y", "\"Y\""},
	        {"log-level", "loud", "error warn info debug trace"},
	        {"log-format", "xml", "text json"},
	        {"mask", "10.0.0/8", "10.0.0/8"},
	        {"limit-exempt", "x", "\"x\""},
	        {"relay-servers", "a b", "\"a b\""},
	        {"id-server", "http://x", "\"http://x\""},
	        {"bind", "1.2.3", "\"1.2.3\""},
	        {"db-url", "a\nb", "plain text"},
	        {"log-file",
	         "a\x7f"
	         "b",
	         "plain text"},
	        {"data-dir", "\xff", "plain text"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_error err = {""};
		int rc = rds_settings_set(settings, named(cases[i].name), cases[i].bad,
		                          RDS_FROM_CONFIG_FILE, "some.conf:7", &err);
		if (rc != -RDS_EINVAL)
			fail_msg("%s took \"%s\"", cases[i].name, cases[i].bad);
		assert_contains(err.text, "some.conf:7");
		assert_contains(err.text, cases[i].name);
		assert_contains(err.text, cases[i].expected);
		assert_false(rds_settings_is_set(settings, named(cases[i].name)));
		for (size_t k = 0; err.text[k] != '\0'; k++)
			assert_true((unsigned char)err.text[k] >= 0x20);
	}
}

static void white_space_around_is_dropped(void **state)
{
	(void)state;
	assert_int_equal(set(RDS_SET_PORT, " 31116\t", RDS_FROM_COMMAND_LINE), 0);
	assert_int_equal(rds_settings_number(settings, RDS_SET_PORT), 31116);
	assert_string_equal(rds_settings_text(settings, RDS_SET_PORT), "31116");
}

static void too_long_is_an_error(void **state)
{
	(void)state;
	static char text[RDS_SETTING_MAX_BYTES + 2];
	memset(text, 'x', sizeof text - 1);
	assert_int_equal(set(RDS_SET_LOG_FILE, text, RDS_FROM_COMMAND_LINE), -RDS_EINVAL);
	text[RDS_SETTING_MAX_BYTES] = '\0';
	assert_int_equal(set(RDS_SET_LOG_FILE, text, RDS_FROM_COMMAND_LINE), 0);
	assert_int_equal(set(RDS_SET_SOFTWARE_URL, text, RDS_FROM_COMMAND_LINE), -RDS_EINVAL);
}

// Whatever the order in which they are read, the higher layer wins; of equals the later.
static void higher_layers_win(void **state)
{
	(void)state;
	for (int first = RDS_FROM_SYSTEM_FILE; first <= RDS_FROM_COMMAND_LINE; first++) {
		for (int second = RDS_FROM_SYSTEM_FILE; second <= RDS_FROM_COMMAND_LINE; second++) {
			struct rds_error err;
			struct rds_settings *s = rds_settings_new();
			assert_int_equal(rds_settings_set(s, RDS_SET_PORT, "1001",
			                                  (enum rds_origin)first, "first", &err),
			                 0);
			assert_int_equal(rds_settings_set(s, RDS_SET_PORT, "1002",
			                                  (enum rds_origin)second, "second", &err),
			                 0);
			bool later = second >= first;
			assert_int_equal(rds_settings_number(s, RDS_SET_PORT), later ? 1002 : 1001);
			assert_string_equal(rds_settings_where(s, RDS_SET_PORT),
			                    later ? "second" : "first");
			assert_int_equal(rds_settings_origin(s, RDS_SET_PORT),
			                 later ? second : first);
			assert_true(rds_settings_is_set(s, RDS_SET_PORT));
			rds_settings_free(s);
		}
	}
}

// A value out of bounds is an error anywhere, also where a higher layer has a good one.
static void bad_values_are_errors_in_any_layer(void **state)
{
	(void)state;
	assert_int_equal(set(RDS_SET_PORT, "31116", RDS_FROM_COMMAND_LINE), 0);
	assert_int_equal(set(RDS_SET_PORT, "99999", RDS_FROM_SYSTEM_FILE), -RDS_EINVAL);
	assert_int_equal(rds_settings_number(settings, RDS_SET_PORT), 31116);
}

static void choices_and_switches(void **state)
{
	(void)state;
	static const char *const levels[] = {"error", "warn", "info", "debug", "trace"};
	for (size_t i = 0; i < COUNT(levels); i++) {
		assert_int_equal(set(RDS_SET_LOG_LEVEL, levels[i], RDS_FROM_COMMAND_LINE), 0);
		assert_int_equal(rds_settings_number(settings, RDS_SET_LOG_LEVEL), i);
	}
	assert_int_equal(set(RDS_SET_LOG_LEVEL, "WARN", RDS_FROM_COMMAND_LINE), 0);
	assert_int_equal(rds_settings_number(settings, RDS_SET_LOG_LEVEL), 1);
	assert_int_equal(set(RDS_SET_LOG_LEVEL, "war", RDS_FROM_COMMAND_LINE), -RDS_EINVAL);
	assert_int_equal(set(RDS_SET_LOG_LEVEL, "warn info", RDS_FROM_COMMAND_LINE), -RDS_EINVAL);
	assert_int_equal(set(RDS_SET_LOG_FORMAT, "json", RDS_FROM_COMMAND_LINE), 0);
	assert_int_equal(rds_settings_number(settings, RDS_SET_LOG_FORMAT), 1);
	assert_int_equal(set(RDS_SET_ALWAYS_USE_RELAY, "Y", RDS_FROM_ENVIRONMENT), 0);
	assert_int_equal(rds_settings_number(settings, RDS_SET_ALWAYS_USE_RELAY), 1);
}

static void assert_ports(unsigned nat, unsigned relay, unsigned web, unsigned relay_web)
{
	assert_int_equal(rds_settings_port(settings, RDS_SET_NAT_PORT), nat);
	assert_int_equal(rds_settings_port(settings, RDS_SET_RELAY_PORT), relay);
	assert_int_equal(rds_settings_port(settings, RDS_SET_WEBSOCKET_PORT), web);
	assert_int_equal(rds_settings_port(settings, RDS_SET_RELAY_WEBSOCKET_PORT), relay_web);
}

// N-1, N+1, N+2 and relay-port + 2 follow unless they are set; each can be off.
static void ports_follow(void **state)
{
	(void)state;
	assert_ports(21115, 21117, 21118, 21119);
	assert_int_equal(rds_settings_port(settings, RDS_SET_PORT), 21116);
	assert_int_equal(set(RDS_SET_PORT, "31116", RDS_FROM_ENVIRONMENT), 0);
	assert_ports(31115, 31117, 31118, 31119);
	assert_int_equal(set(RDS_SET_RELAY_PORT, "5000", RDS_FROM_ENVIRONMENT), 0);
	assert_ports(31115, 5000, 31118, 5002);
	assert_int_equal(set(RDS_SET_NAT_PORT, "off", RDS_FROM_ENVIRONMENT), 0);
	assert_int_equal(set(RDS_SET_WEBSOCKET_PORT, "OFF", RDS_FROM_ENVIRONMENT), 0);
	assert_ports(0, 5000, 0, 5002);
	assert_int_equal(set(RDS_SET_RELAY_PORT, "off", RDS_FROM_ENVIRONMENT), 0);
	assert_ports(0, 0, 0, 0);
	assert_int_equal(set(RDS_SET_RELAY_WEBSOCKET_PORT, "443", RDS_FROM_ENVIRONMENT), 0);
	assert_ports(0, 0, 0, 443);
	assert_int_equal(set(RDS_SET_RELAY_PORT, "", RDS_FROM_ENVIRONMENT), 0); // follows again
	assert_ports(0, 31117, 0, 443);
}

static void ports_at_the_edges(void **state)
{
	(void)state;
	assert_int_equal(set(RDS_SET_PORT, "3", RDS_FROM_ENVIRONMENT), 0);
	assert_ports(2, 4, 5, 6);
	assert_int_equal(set(RDS_SET_PORT, "65533", RDS_FROM_ENVIRONMENT), 0);
	assert_ports(65532, 65534, 65535, 0); // there is no port behind the last
	assert_int_equal(set(RDS_SET_RELAY_PORT, "65533", RDS_FROM_ENVIRONMENT), 0);
	assert_ports(65532, 65533, 65535, 65535);
	assert_int_equal(set(RDS_SET_RELAY_PORT, "65535", RDS_FROM_ENVIRONMENT), 0);
	assert_ports(65532, 65535, 65535, 0);
}

static void what_may_be_shown(void **state)
{
	(void)state;
	static const char secret[] = "wtOQthcvkjM1Ak3ymSksrOKAC+Hz57qcSbPZ35+QpKXSaIUYB3Ik5AFKAjh1"
	                             "utV9mlPfqNx7+AJWqTW8W012OQ==";
	char out[256];
	struct rds_error err = {""};
	assert_string_equal(rds_settings_shown(settings, RDS_SET_NAT_PORT, out, sizeof out),
	                    "21115");
	assert_int_equal(set(RDS_SET_NAT_PORT, "off", RDS_FROM_COMMAND_LINE), 0);
	assert_string_equal(rds_settings_shown(settings, RDS_SET_NAT_PORT, out, sizeof out), "off");
	assert_int_equal(set(RDS_SET_KEY,
	                     "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk=", RDS_FROM_COMMAND_LINE),
	                 0);
	assert_string_equal(rds_settings_shown(settings, RDS_SET_KEY, out, sizeof out),
	                    "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk=");
	for (size_t lost = 0; lost <= 2; lost++) {
		char text[sizeof secret];
		memcpy(text, secret, sizeof secret);
		text[sizeof secret - 1 - lost] = '\0'; // padding lost on the way
		assert_int_equal(set(RDS_SET_KEY, text, RDS_FROM_COMMAND_LINE),
		                 lost == 0 ? 0 : -RDS_EINVAL);
		(void)rds_settings_shown(settings, RDS_SET_KEY, out, sizeof out);
		assert_null(strstr(out, "wtOQ"));
	}
	char broken[sizeof secret + 1];
	(void)snprintf(broken, sizeof broken, "%s\x01", secret);
	assert_int_equal(rds_settings_set(settings, RDS_SET_KEY, broken, RDS_FROM_COMMAND_LINE,
	                                  "--key", &err),
	                 -RDS_EINVAL);
	assert_null(strstr(err.text, "wtOQ"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(every_name_is_there),
	        TEST(letters_are_hbbs_s),
	        TEST(rows_are_whole),
	        TEST(defaults),
	        TEST(numbers_have_bounds),
	        TEST(errors_say_what_is_accepted),
	        TEST(white_space_around_is_dropped),
	        TEST(too_long_is_an_error),
	        TEST(higher_layers_win),
	        TEST(bad_values_are_errors_in_any_layer),
	        TEST(choices_and_switches),
	        TEST(ports_follow),
	        TEST(ports_at_the_edges),
	        TEST(what_may_be_shown),
	};
	return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
