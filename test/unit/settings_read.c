// SPDX-License-Identifier: MIT
// Goal: settings from files and the environment: whose names count where, and what is an error.
#include "test/unit/testing.h"

#include "conf/settings.h"

#include <stdio.h>

static struct rds_settings *settings;
static struct rds_error err;

static int set_up(void **state)
{
	(void)state;
	settings = rds_settings_new();
	err.text[0] = '\0';
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rds_settings_free(settings);
	return 0;
}

static int read_text(const char *text, enum rds_origin origin)
{
	return rds_settings_read(settings, rds_view_text(text), "hbbs.ini", origin, &err);
}

static void read_well(const char *text, enum rds_origin origin)
{
	if (read_text(text, origin) != 0)
		fail_msg("%s", err.text);
}

static void assert_text(enum rds_setting setting, const char *text)
{
	assert_string_equal(rds_settings_text(settings, setting), text);
}

static void file_is_read_line_by_line(void **state)
{
	(void)state;
	read_well("# a comment\n"
	          "port = 31116\n"
	          "\n"
	          "  ; another\r\n"
	          "RELAY_SERVERS=relay.example.com, r2:31117\r\n"
	          "\tLimit-Ids-Day\t=\t5\t\n"
	          "key = \"quoted = text\"\n"
	          "log-file='/var/log/x y.log'\n"
	          "RDSRV_MASK = 10.0.0.0/8\n"
	          "software-url = https://x/?a=b#c", // no newline at the end
	          RDS_FROM_CONFIG_FILE);
	assert_int_equal(rds_settings_number(settings, RDS_SET_PORT), 31116);
	assert_string_equal(rds_settings_where(settings, RDS_SET_PORT), "hbbs.ini:2");
	assert_text(RDS_SET_RELAY_SERVERS, "relay.example.com, r2:31117");
	assert_string_equal(rds_settings_where(settings, RDS_SET_RELAY_SERVERS), "hbbs.ini:5");
	assert_int_equal(rds_settings_number(settings, RDS_SET_LIMIT_IDS_DAY), 5);
	assert_text(RDS_SET_KEY, "quoted = text");
	assert_text(RDS_SET_LOG_FILE, "/var/log/x y.log");
	assert_text(RDS_SET_MASK, "10.0.0.0/8");
	assert_text(RDS_SET_SOFTWARE_URL, "https://x/?a=b#c");
	assert_int_equal(rds_settings_origin(settings, RDS_SET_MASK), RDS_FROM_CONFIG_FILE);
}

static void empty_values_count(void **state)
{
	(void)state;
	read_well("key =\nrelay-servers = ''\n", RDS_FROM_CONFIG_FILE);
	assert_true(rds_settings_is_set(settings, RDS_SET_KEY));
	assert_text(RDS_SET_KEY, "");
	assert_true(rds_settings_is_set(settings, RDS_SET_RELAY_SERVERS));
	read_well("", RDS_FROM_CONFIG_FILE);
	read_well("\n\n#\n;\n \n", RDS_FROM_CONFIG_FILE);
}

static void quotes_belong_together(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		const char *text;
	} cases[] = {
	        {"key=\"a'", "\"a'"}, {"key='a", "'a"},         {"key=\"", "\""},
	        {"key=\"\"", ""},     {"key='\"a\"'", "\"a\""}, {"key=a\"b\"", "a\"b\""},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		read_well(cases[i].line, RDS_FROM_CONFIG_FILE);
		assert_text(RDS_SET_KEY, cases[i].text);
	}
}

// In the files that are ours an unknown key is an error that names file and line.
static void unknown_names_in_our_files(void **state)
{
	(void)state;
	static const enum rds_origin ours[] = {RDS_FROM_CONFIG_FILE, RDS_FROM_SYSTEM_FILE};
	static const char *const bad[] = {"\n\nprot = 1\n",       "\n\n[server]\n", "\n\nport\n",
	                                  "\n\nRDSRV_PROT=1\n",   "\n\n= 1\n",      "\n\nport 1\n",
	                                  "\n\nrust_log=debug\n", "\n\n\x1b[2J=1\n"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		for (size_t k = 0; k < COUNT(ours); k++) {
			if (read_text(bad[i], ours[k]) != -RDS_EINVAL)
				fail_msg("%s was taken", bad[i]);
			assert_contains(err.text, "hbbs.ini:3");
			assert_null(strchr(err.text, '\x1b'));
		}
	}
}

static void bad_values_name_file_and_line(void **state)
{
	(void)state;
	assert_int_equal(read_text("port=31116\nport=x\nport=3\n", RDS_FROM_CONFIG_FILE),
	                 -RDS_EINVAL);
	assert_contains(err.text, "hbbs.ini:2");
	assert_contains(err.text, "from 3 to 65533");
	assert_int_equal(rds_settings_number(settings, RDS_SET_PORT), 31116);
	struct rds_view with_nul = rds_view_of("key=a\0b\n", 8);
	assert_int_equal(rds_settings_read(settings, with_nul, "x", RDS_FROM_CONFIG_FILE, &err),
	                 -RDS_EINVAL);
}

// .env may be somebody else's: only the names that hbbs and hbbr read there, and RDSRV_ ones.
static void dotenv_is_shared(void **state)
{
	(void)state;
	read_well("DATABASE_PASSWORD=secret\n"
	          "export FOO=bar\n"
	          "just some text\n"
	          "[section]\n"
	          "log-level=nonsense\n" // ours, but not under that name here
	          "data-dir=/somewhere\n"
	          "PORT=31116\n"
	          "Relay-Servers=r\n"
	          "RDSRV_LOG_LEVEL=debug\n",
	          RDS_FROM_DOTENV);
	assert_int_equal(rds_settings_number(settings, RDS_SET_PORT), 31116);
	assert_text(RDS_SET_RELAY_SERVERS, "r");
	assert_text(RDS_SET_LOG_LEVEL, "debug");
	assert_false(rds_settings_is_set(settings, RDS_SET_DATA_DIR));
	assert_int_equal(read_text("RDSRV_PROT=1\n", RDS_FROM_DOTENV), -RDS_EINVAL);
	assert_contains(err.text, "hbbs.ini:1");
	assert_contains(err.text, "RDSRV_PROT");
	assert_int_equal(read_text("PORT=x\n", RDS_FROM_DOTENV), -RDS_EINVAL);
}

static int read_variables(char *first, char *second, char *third)
{
	char *environment[] = {first, second, third, NULL};
	return rds_settings_read_environment(settings, environment, &err);
}

// Names without RDSRV_ that hbbs and hbbr read from the environment (section 12).
static void bare_names_are_hbbs_s(void **state)
{
	(void)state;
	static const struct {
		char variable[40];
		enum rds_setting setting;
		const char *text;
	} bare[] = {
	        {"ALWAYS_USE_RELAY=Y", RDS_SET_ALWAYS_USE_RELAY, "Y"},
	        {"DB_URL=/x.sqlite3", RDS_SET_DB_URL, "/x.sqlite3"},
	        {"LOCAL_IP=192.0.2.1", RDS_SET_LOCAL_IP, "192.0.2.1"},
	        {"TEST_HBBS=no", RDS_SET_TEST_HBBS, "no"},
	        {"SINGLE_BANDWIDTH=5", RDS_SET_SINGLE_BANDWIDTH, "5"},
	        {"TOTAL_BANDWIDTH=6", RDS_SET_TOTAL_BANDWIDTH, "6"},
	        {"LIMIT_SPEED=7", RDS_SET_LIMIT_SPEED, "7"},
	        {"DOWNGRADE_THRESHOLD=0.66", RDS_SET_DOWNGRADE_THRESHOLD, "0.66"},
	        {"DOWNGRADE_START_CHECK=8", RDS_SET_DOWNGRADE_START_CHECK, "8"},
	        {"BIND=127.0.0.1", RDS_SET_BIND, "127.0.0.1"},
	        {"KEY=abc", RDS_SET_KEY, "abc"},
	        {"PORT=31116", RDS_SET_PORT, "31116"},
	        {"MAX_DATABASE_CONNECTIONS=2", RDS_SET_MAX_DATABASE_CONNECTIONS, "2"},
	        {"relay-servers=r", RDS_SET_RELAY_SERVERS, "r"},
	};
	for (size_t i = 0; i < COUNT(bare); i++) {
		char variable[40];
		memcpy(variable, bare[i].variable, sizeof variable);
		assert_int_equal(read_variables(variable, NULL, NULL), 0);
		assert_text(bare[i].setting, bare[i].text);
		assert_int_equal(rds_settings_origin(settings, bare[i].setting),
		                 RDS_FROM_ENVIRONMENT);
	}
}

static void other_names_are_somebody_else_s(void **state)
{
	(void)state;
	char one[] = "LOG_LEVEL=nonsense";
	char two[] = "CONFIG=/etc/passwd";
	char three[] = "PATH=/bin";
	assert_int_equal(read_variables(one, two, three), 0);
	for (int i = 0; i < RDS_SET_COUNT; i++)
		assert_false(rds_settings_is_set(settings, (enum rds_setting)i));
	char no_equals[] = "PORT";
	assert_int_equal(read_variables(no_equals, NULL, NULL), 0);
	assert_false(rds_settings_is_set(settings, RDS_SET_PORT));
}

// A value that a setting of that type takes.
static const char *good_value(enum rds_setting setting)
{
	static const char *const by_type[] = {
	        [RDS_TYPE_TEXT] = "some text",     [RDS_TYPE_NUMBER] = "7",
	        [RDS_TYPE_PORT] = "off",           [RDS_TYPE_SWITCH] = "Y",
	        [RDS_TYPE_BINDS] = "lo",           [RDS_TYPE_CIDRS] = "10.0.0.0/8",
	        [RDS_TYPE_PORTS] = "21118, 80",    [RDS_TYPE_HOSTS] = "a.example",
	        [RDS_TYPE_RELAYS] = "r.example:1", [RDS_TYPE_SWITCH_OR_CIDRS] = "fd00::/8",
	        [RDS_TYPE_URL] = "https://a.example",
	        [RDS_TYPE_SHARE] = "0.5",
	};
	return setting == RDS_SET_LOG_LEVEL    ? "warn"
	       : setting == RDS_SET_LOG_FORMAT ? "json"
	       : setting == RDS_SET_ENROL      ? "closed"
	                                       : by_type[rds_setting_row(setting)->type];
}

static void all_names_exist_with_our_prefix(void **state)
{
	(void)state;
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		enum rds_setting setting = (enum rds_setting)i;
		const char *name = rds_setting_row(setting)->name;
		char variable[64];
		(void)snprintf(variable, sizeof variable, "RDSRV_%s=%s", name, good_value(setting));
		if (read_variables(variable, NULL, NULL) != 0)
			fail_msg("%s", err.text);
		assert_true(rds_settings_is_set(settings, setting));
		assert_contains(rds_settings_where(settings, setting), name);
	}
}

static void wrong_variables_are_errors(void **state)
{
	(void)state;
	char unknown[] = "RDSRV_PROT=1";
	char nothing[] = "RDSRV_=1";
	char bad[] = "RDSRV_PORT=99999";
	char bare[] = "PORT=99999";
	assert_int_equal(read_variables(unknown, NULL, NULL), -RDS_EINVAL);
	assert_contains(err.text, "RDSRV_PROT");
	assert_int_equal(read_variables(nothing, NULL, NULL), -RDS_EINVAL);
	assert_int_equal(read_variables(bad, NULL, NULL), -RDS_EINVAL);
	assert_contains(err.text, "RDSRV_PORT");
	assert_int_equal(read_variables(bare, NULL, NULL), -RDS_EINVAL);
	assert_contains(err.text, "PORT");
}

static void our_own_names_go_first(void **state)
{
	(void)state;
	char ours[] = "RDSRV_PORT=31116";
	char bare[] = "PORT=41116";
	assert_int_equal(read_variables(ours, bare, NULL), 0);
	assert_int_equal(rds_settings_number(settings, RDS_SET_PORT), 31116);
	assert_int_equal(read_variables(bare, ours, NULL), 0);
	assert_int_equal(rds_settings_number(settings, RDS_SET_PORT), 31116);
}

static void rust_log_sets_the_level(void **state)
{
	(void)state;
	char rust[] = "RUST_LOG=debug";
	char modules[] = "RUST_LOG=info,hyper=warn";
	char ours[] = "RDSRV_LOG_LEVEL=warn";
	assert_int_equal(read_variables(modules, NULL, NULL), 0);
	assert_false(rds_settings_is_set(settings, RDS_SET_LOG_LEVEL)); // for others
	assert_int_equal(read_variables(rust, NULL, NULL), 0);
	assert_text(RDS_SET_LOG_LEVEL, "debug");
	assert_contains(rds_settings_where(settings, RDS_SET_LOG_LEVEL), "RUST_LOG");
	assert_int_equal(read_variables(ours, rust, NULL), 0);
	assert_text(RDS_SET_LOG_LEVEL, "warn");
}

static void rust_log_goes_behind_our_own_name(void **state)
{
	(void)state;
	char rust[] = "RUST_LOG=debug";
	char ours[] = "RDSRV_LOG_LEVEL=warn";
	assert_int_equal(read_variables(rust, ours, NULL), 0);
	assert_text(RDS_SET_LOG_LEVEL, "warn");
}

// RUST_LOG counts in the inherited environment only.
static void rust_log_in_a_file_is_nothing(void **state)
{
	(void)state;
	read_well("RUST_LOG=debug\n", RDS_FROM_DOTENV);
	assert_false(rds_settings_is_set(settings, RDS_SET_LOG_LEVEL));
}

// /etc/rdsrv/rdsrv.conf stands below the environment, and RUST_LOG is of the environment.
static void rust_log_goes_before_the_system_file(void **state)
{
	(void)state;
	char rust[] = "RUST_LOG=debug";
	read_well("log-level = warn\n", RDS_FROM_SYSTEM_FILE);
	assert_int_equal(read_variables(rust, NULL, NULL), 0);
	assert_text(RDS_SET_LOG_LEVEL, "debug");
}

static void rust_log_goes_behind_flags_and_files(void **state)
{
	(void)state;
	char rust[] = "RUST_LOG=debug";
	assert_int_equal(rds_settings_set(settings, RDS_SET_LOG_LEVEL, "error",
	                                  RDS_FROM_COMMAND_LINE, "--log-level", &err),
	                 0);
	assert_int_equal(read_variables(rust, NULL, NULL), 0);
	assert_text(RDS_SET_LOG_LEVEL, "error");
}

// The order of section 12, as a start reads them.
static void layers_of_a_start(void **state)
{
	(void)state;
	char variable[] = "PORT=1003";
	char serial[] = "SERIAL=3";
	char rmem[] = "RMEM=3";
	read_well("port=1002\nserial=2\nrmem=2\nlimit-ids-day=2\n", RDS_FROM_SYSTEM_FILE);
	assert_int_equal(read_variables(variable, serial, rmem), 0);
	read_well("PORT=1004\nSERIAL=4\n", RDS_FROM_DOTENV);
	read_well("port=1005\n", RDS_FROM_CONFIG_FILE);
	assert_int_equal(rds_settings_number(settings, RDS_SET_PORT), 1005);
	assert_int_equal(rds_settings_number(settings, RDS_SET_SERIAL), 4);
	assert_int_equal(rds_settings_number(settings, RDS_SET_RMEM), 3);
	assert_int_equal(rds_settings_number(settings, RDS_SET_LIMIT_IDS_DAY), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(file_is_read_line_by_line),
	        TEST(empty_values_count),
	        TEST(quotes_belong_together),
	        TEST(unknown_names_in_our_files),
	        TEST(bad_values_name_file_and_line),
	        TEST(dotenv_is_shared),
	        TEST(bare_names_are_hbbs_s),
	        TEST(other_names_are_somebody_else_s),
	        TEST(all_names_exist_with_our_prefix),
	        TEST(wrong_variables_are_errors),
	        TEST(our_own_names_go_first),
	        TEST(rust_log_sets_the_level),
	        TEST(rust_log_goes_behind_our_own_name),
	        TEST(rust_log_in_a_file_is_nothing),
	        TEST(rust_log_goes_before_the_system_file),
	        TEST(rust_log_goes_behind_flags_and_files),
	        TEST(layers_of_a_start),
	};
	return cmocka_run_group_tests_name("settings_read", tests, NULL, NULL);
}
