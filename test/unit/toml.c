// SPDX-License-Identifier: MIT
// Goal: RustDesk2.toml is read as TOML is meant, and ours is put into it without touching the rest.
#include "test/unit/clients.h"

#include "conf/form.h"
#include "conf/toml.h"

// --- statements

// All statements as "line:[table]" and "line:name=value" lines, or what is wrong.
static char *outline(const char *text)
{
	struct rds_toml toml = {.text = rds_view_text(text)};
	struct rds_toml_statement one;
	struct rds_error err = {""};
	struct rds_bytes out = {0};
	int rc = 0;
	while ((rc = rds_toml_next(&toml, &one, &err)) == 1) {
		rds_bytes_format(&out, "%zu:", one.line);
		rds_bytes_format(&out,
		                 one.kind == RDS_TOML_TABLE         ? "[%s]"
		                 : one.kind == RDS_TOML_ARRAY_TABLE ? "[[%s]]"
		                                                    : "%s=",
		                 one.name);
		rds_bytes_add(&out, one.value.data, one.value.len);
		rds_bytes_text(&out, "\n");
		free(one.name);
	}
	if (rc != 0)
		rds_bytes_format(&out, "! %s\n", err.text);
	char *all = rds_strndup(out.data, out.len);
	rds_bytes_clear(&out);
	return all;
}

static void assert_outline(const char *text, const char *want)
{
	char *got = outline(text);
	assert_string_equal(got, want);
	free(got);
}

static void statements(void **state)
{
	(void)state;
	assert_outline("", "");
	assert_outline("# nothing\n \t\r\n", "");
	assert_outline("a = 1\n[t]\nb='x'#y\n[[u . v]] # z\n",
	               "1:a=1\n2:[t]\n3:b='x'\n4:[[u.v]]\n");
	assert_outline("a.b . c = true", "1:a.b.c=true\n");
	assert_outline("\"a b\" = 1\n'c.d'=2\n", "1:a b=1\n2:c.d=2\n");
	assert_outline("a = 1979-05-27 07:32:00Z # x\nb = -1.5e+10\nc = inf\n",
	               "1:a=1979-05-27 07:32:00Z\n2:b=-1.5e+10\n3:c=inf\n");
	assert_outline("a = \"x # y\" # z\r\nb = 1\r\n", "1:a=\"x # y\"\n2:b=1\n");
}

static void values_of_several_lines(void **state)
{
	(void)state;
	assert_outline("a = '''\n[t]\nb = 1\n'''\nc = 1\n", "1:a='''\n[t]\nb = 1\n'''\n5:c=1\n");
	// An escaped quote, one alone, and two before the closing three.
	assert_outline("a = \"\"\"x\\\"\" y\"\"\"\"\"\nb=1\n",
	               "1:a=\"\"\"x\\\"\" y\"\"\"\"\"\n2:b=1\n");
	assert_outline("a = [\n [1, 2], # ]\n ']', \"]\\\"]\"\n]\nb = {x = [1]}\n",
	               "1:a=[\n [1, 2], # ]\n ']', \"]\\\"]\"\n]\n5:b={x = [1]}\n");
}

static void what_is_no_toml(void **state)
{
	(void)state;
	static const char *const bad[] = {"a",
	                                  "a =",
	                                  "= 1",
	                                  "a = 1 2",
	                                  "a = 'x",
	                                  "a = \"x\\\"",
	                                  "a = '''x",
	                                  "a = [1",
	                                  "[a",
	                                  "[a] b",
	                                  "[[a]",
	                                  "a = {x=1",
	                                  "[]",
	                                  "a = x y",
	                                  "a = 'x'y",
	                                  "a.=1",
	                                  "a = 'x\n'",
	                                  "\rb = 1",
	                                  "a = \"\"\"x\"\"",
	                                  "a b = 1",
	                                  "$a = 1",
	                                  "a = 1\r",
	                                  "'a = 1"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		char *got = outline(bad[i]);
		if (strncmp(got, "! line 1: ", 10) != 0 && strstr(got, "\n! line 1: ") == NULL)
			fail_msg("\"%s\" was taken: %s", bad[i], got);
		free(got);
	}
	assert_outline("a = 1\nb = [\n\n", "1:a=1\n! line 2: an array or table that doesn't end\n");
}

static void strings(void **state)
{
	(void)state;
	static const struct {
		const char *toml, *says;
	} cases[] = {
	        {"''", ""},
	        {"\"\"", ""},
	        {"''''''", ""},
	        {"'a\\n\"b'", "a\\n\"b"},
	        {"\"a\\tb\\\\\\\"\\u00e9\\U0001F600\"", "a\tb\\\"\xc3\xa9\xf0\x9f\x98\x80"},
	        {"'''\na\n'b''''", "a\n'b'"},
	        {"\"\"\"\r\na \\\n   b\"\"\"", "a b"},
	        {"\"\"\"a\"\"b\"\"\"", "a\"\"b"},
	        {"\"\\u00E9\"", "\xc3\xa9"},
	        {"5", NULL},
	        {"'", NULL},
	        {"", NULL},
	        {"'a\"", NULL},
	        {"\"\\x41\"", NULL},
	        {"\"\\u12\"", NULL},
	        {"\"\\u12g4\"", NULL},
	        {"\"\\u0000\"", NULL},
	        {"\"\\ud800\"", NULL},
	        {"\"\\U00110000\"", NULL},
	        {"\"\\\n\"", NULL},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *said = rds_toml_string(rds_view_text(cases[i].toml));
		if (cases[i].says == NULL ? said != NULL
		                          : said == NULL || strcmp(said, cases[i].says) != 0)
			fail_msg("%s says %s", cases[i].toml, said == NULL ? "nothing" : said);
		free(said);
	}
}

// --- merging

static int merge_into(const char *old, struct rds_bytes *out, struct rds_error *err)
{
	struct rds_client_conf conf = conf_of("id.example,two.example", "", "", "it's");
	int rc = rds_form_merge(rds_view_text(old), &conf, out, err);
	rds_client_conf_clear(&conf);
	return rc;
}

#define TOP     "rendezvous_server = 'id.example:21116'\n"
#define HOST    "custom-rendezvous-server = 'id.example'\n"
#define RELAY   "relay-server = ''\n"
#define API     "api-server = ''\n"
#define KEY     "key = \"it's\"\n"
#define ALL     HOST RELAY API KEY
#define OPTIONS "[options]\n"

// What comes out, and that it stays so if it is done again.
static void assert_merged(const char *old, const char *want)
{
	struct rds_bytes out = {0};
	struct rds_bytes again = {0};
	struct rds_error err = {""};
	if (merge_into(old, &out, &err) != 0)
		fail_msg("%s: %s", old, err.text);
	char *text = rds_strndup(out.data, out.len);
	assert_string_equal(text, want);
	assert_int_equal(merge_into(text, &again, &err), 0);
	assert_views_equal(rds_bytes_view(&again), rds_bytes_view(&out));
	free(text);
	rds_bytes_clear(&out);
	rds_bytes_clear(&again);
}

static void merged(void **state)
{
	(void)state;
	assert_merged("", TOP "\n" OPTIONS ALL);
	assert_merged("# mine\nnat_type = 1", TOP "# mine\nnat_type = 1\n\n" OPTIONS ALL);
	assert_merged("[options]", TOP OPTIONS ALL);
	assert_merged("a = 1\n[options]\nx = 'y' # z\n\n# end\n[more]\nkey = 'theirs'\n", TOP
	              "a = 1\n[options]\nx = 'y' # z\n" ALL "\n# end\n[more]\nkey = 'theirs'\n");
	assert_merged(
	        "rendezvous_server = 'x:1' # cache\n[options]\nkey = '''a\nb''' # old\nb = 1\n"
	        "custom-rendezvous-server=\"x\"\napi-server = 5\n",
	        "rendezvous_server = 'id.example:21116' # cache\n[options]\nkey = \"it's\" # "
	        "old\nb = 1\ncustom-rendezvous-server='id.example'\napi-server = ''\n" RELAY);
	assert_merged("[options.sub]\na = 1\n", TOP "[options.sub]\na = 1\n\n" OPTIONS ALL);
	assert_merged("[ 'options' ]\n\"key\" = ''\n[x]\nrendezvous_server = 1\n",
	              TOP "[ 'options' ]\n\"key\" = \"it's\"\n" HOST RELAY API
	                  "[x]\nrendezvous_server = 1\n");
	assert_merged("\xef\xbb\xbf[options]\n", "\xef\xbb\xbf" TOP OPTIONS ALL);
	// Complete already, without an end of its last line: nothing is added.
	assert_merged(TOP OPTIONS HOST RELAY API "key = 'x'",
	              TOP OPTIONS HOST RELAY API "key = \"it's\"");
}

static void line_ends_are_the_files(void **state)
{
	(void)state;
	assert_merged("a = 1\r\n[options]\r\n",
	              "rendezvous_server = 'id.example:21116'\r\na = 1\r\n[options]\r\n"
	              "custom-rendezvous-server = 'id.example'\r\nrelay-server = ''\r\n"
	              "api-server = ''\r\nkey = \"it's\"\r\n");
}

static void what_cannot_be_merged(void **state)
{
	(void)state;
	static const struct {
		const char *old, *says;
	} cases[] = {
	        {"options = {key = 'x'}\n", "line 1"},
	        {"a=1\noptions.key = 'x'\n", "line 2"},
	        {"[options]\n[options]\n", "line 2"},
	        {"[[options]]\n", "line 1"},
	        {"[options]\nkey = 1\nkey = 2\n", "line 3"},
	        {"[options]\nkey.x = 1\n", "line 2"},
	        {"[options.key]\n", "line 1"},
	        {"rendezvous_server.x = 1\n", "line 1"},
	        {"nonsense\n", "line 1"},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_bytes out = {0};
		struct rds_error err = {""};
		if (merge_into(cases[i].old, &out, &err) != -RDS_EPARSE)
			fail_msg("%s was taken", cases[i].old);
		assert_contains(err.text, cases[i].says);
		assert_int_equal(out.len, 0);
		rds_bytes_clear(&out);
	}
	struct rds_bytes out = {0};
	struct rds_client_conf conf = conf_of("a b", "", "", "k");
	assert_int_equal(rds_form_merge(rds_view_text(""), &conf, &out, NULL), -RDS_EINVAL);
	rds_client_conf_clear(&conf);
	const char zero[] = "a = 1\0";
	conf = conf_of("a", "", "", "k");
	assert_int_equal(rds_form_merge(rds_view_of(zero, 6), &conf, &out, NULL), -RDS_EPARSE);
	rds_client_conf_clear(&conf);
	rds_bytes_clear(&out);
}

static void read_from_the_right_table(void **state)
{
	(void)state;
	struct rds_client_conf conf;
	enum rds_form form;
	const char *text = "rendezvous_server = 'wrong:1'\nkey = 'wrong'\n[options]\n"
	                   "custom-rendezvous-server = \"\"\"\nright\"\"\"\n"
	                   "key = \"k\\u003d\"\n[more]\nkey = 'wrong'\n";
	assert_int_equal(rds_form_read(rds_view_text(text), &form, &conf, NULL), 0);
	assert_int_equal(form, RDS_FORM_TOML);
	assert_conf(&conf, "right", "", "", "k=");
	rds_client_conf_clear(&conf);
	assert_int_equal(rds_form_read(rds_view_text("[options]\nkey = 5\n"), &form, &conf, NULL),
	                 -RDS_EPARSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(statements),
	        cmocka_unit_test(values_of_several_lines),
	        cmocka_unit_test(what_is_no_toml),
	        cmocka_unit_test(strings),
	        cmocka_unit_test(merged),
	        cmocka_unit_test(line_ends_are_the_files),
	        cmocka_unit_test(what_cannot_be_merged),
	        cmocka_unit_test(read_from_the_right_table),
	};
	return cmocka_run_group_tests_name("toml", tests, NULL, NULL);
}
