// SPDX-License-Identifier: MIT
// Goal: every form that is written is read back, and each is what clients are known to take
// (protocol.md section 13).
#include "test/unit/clients.h"

#include "conf/form.h"

static const struct rds_form_options plain = {.crlf = false};

// A form as text, in fresh memory.
static char *written(enum rds_form form, const struct rds_client_conf *conf,
                     struct rds_form_options options)
{
	struct rds_bytes bytes = {0};
	struct rds_error err = {""};
	if (rds_form_write(form, conf, options, &bytes, &err) != 0)
		fail_msg("%s: %s", rds_form_row(form)->name, err.text);
	char *text = rds_strndup(bytes.data, bytes.len);
	rds_bytes_clear(&bytes);
	return text;
}

static void assert_written(enum rds_form form, const struct rds_client_conf *conf, const char *want)
{
	char *text = written(form, conf, plain);
	assert_string_equal(text, want);
	free(text);
}

static void assert_read(const char *text, enum rds_form form, const char *id, const char *relay,
                        const char *api, const char *key)
{
	struct rds_client_conf conf = {0};
	struct rds_error err = {""};
	enum rds_form found = RDS_FORM_COUNT;
	if (rds_form_read(rds_view_text(text), &found, &conf, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	assert_int_equal(found, form);
	assert_conf(&conf, id, relay, api, key);
	rds_client_conf_clear(&conf);
}

static void assert_refused(const char *text)
{
	struct rds_client_conf conf = {0};
	struct rds_error err = {""};
	enum rds_form found;
	if (rds_form_read(rds_view_text(text), &found, &conf, &err) != -RDS_EPARSE)
		fail_msg("\"%s\" was taken", text);
	assert_null(conf.id_server);
	assert_true(err.text[0] != '\0');
}

// --- the JSON and what it is wrapped in

static void known_strings(void **state)
{
	(void)state;
	cJSON *file = vectors_open("config_string.json");
	const cJSON *one = NULL;
	cJSON_ArrayForEach(one, member(file, "cases"))
	{
		struct rds_client_conf conf =
		        conf_of(member_text(one, "host"), member_text(one, "relay"),
		                member_text(one, "api"), member_text(one, "key"));
		char *json = rds_asprintf("%s\n", member_text(one, "json"));
		char *string = rds_asprintf("%s\n", member_text(one, "config_string"));
		char *link = rds_asprintf("rustdesk://config/%s", string);
		assert_written(RDS_FORM_JSON, &conf, json);
		assert_written(RDS_FORM_STRING, &conf, string);
		assert_written(RDS_FORM_LINK, &conf, link);
		free(json);
		free(string);
		free(link);
		rds_client_conf_clear(&conf);
	}
	assert_int_equal(cJSON_GetArraySize(member(file, "cases")), 3);
	cJSON_Delete(file);
}

static void assert_case(const cJSON *one, enum rds_form form, char *text)
{
	assert_read(text, form, member_text(one, "host"), member_text(one, "relay"),
	            member_text(one, "api"), member_text(one, "key"));
	free(text);
}

// Padded or not (the padding stands in front: the text is reversed), and the plain JSON.
static void known_strings_are_read(void **state)
{
	(void)state;
	cJSON *file = vectors_open("config_string.json");
	const cJSON *one = NULL;
	cJSON_ArrayForEach(one, member(file, "cases"))
	{
		const char *string = member_text(one, "config_string");
		const char *json = member_text(one, "json");
		static const char *const padding[] = {"", "=", "==", "="};
		assert_case(one, RDS_FORM_STRING, rds_strdup(string));
		assert_case(one, RDS_FORM_STRING,
		            rds_asprintf("%s%s", padding[(4 - strlen(string) % 4) % 4], string));
		assert_case(one, RDS_FORM_STRING, rds_asprintf(" \n%s\r\n", string));
		assert_case(one, RDS_FORM_STRING, rds_asprintf("\xef\xbb\xbf%s", string));
		assert_case(one, RDS_FORM_JSON, rds_asprintf("\t%s\n", json));
		assert_case(one, RDS_FORM_JSON, rds_asprintf("config=%s", json));
		assert_case(one, RDS_FORM_LINK, rds_asprintf("rustdesk://config/%s", string));
	}
	cJSON_Delete(file);
}

static void json_in_any_order(void **state)
{
	(void)state;
	assert_read("{\"key\":\"k\", \"more\":[1], \"host\":\"h\"}", RDS_FORM_JSON, "h", "", "",
	            "k");
	assert_read("{\"host\":5,\"relay\":null}", RDS_FORM_JSON, "", "", "", "");
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	// The strange ones are base64 of "abc", "[1]" and "\"x\"", reversed.
	static const char *const bad[] = {"",
	                                  " ",
	                                  "=",
	                                  "====",
	                                  "{",
	                                  "{\"host\":\"x\"",
	                                  "[1]",
	                                  "5",
	                                  "null",
	                                  "a",
	                                  "!!!!",
	                                  "abc",
	                                  "jJWY",
	                                  "d1SMb",
	                                  "CMy",
	                                  "iNHI",
	                                  "\x89PNG\r\n\x1a\n",
	                                  "<svg ",
	                                  "#!/bin/sh\n",
	                                  "#requires ",
	                                  "rustdesk-.exe",
	                                  "rustdesk-licensed-.exe",
	                                  "rustdesk://config/",
	                                  "\x1b[38;5;16;48;5;231m",
	                                  "[options]\n",
	                                  "options",
	                                  "config=",
	                                  "RustDesk: how clients come to use this server\n"};
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_refused(bad[i]);
	struct rds_client_conf conf;
	enum rds_form form;
	assert_int_equal(rds_form_read(rds_view_of(NULL, 0), &form, &conf, NULL), -RDS_EPARSE);
}

// --- server.conf

static void server_conf_is_an_ini(void **state)
{
	(void)state;
	struct rds_client_conf conf = conf_of("id1.example,id2.example", "", "", "the-key=");
	assert_written(RDS_FORM_SERVER_CONF, &conf,
	               "[server]\nid_server=id1.example,id2.example\nrelay_server=\n"
	               "key=the-key=\n");
	char *crlf = written(RDS_FORM_SERVER_CONF, &conf, (struct rds_form_options){.crlf = true});
	assert_string_equal(crlf, "[server]\r\nid_server=id1.example,id2.example\r\n"
	                          "relay_server=\r\nkey=the-key=\r\n");
	char *guess =
	        written(RDS_FORM_SERVER_CONF, &conf, (struct rds_form_options){.guessed = true});
	assert_int_equal(guess[0], '#');
	assert_contains(guess, "\n[server]\nid_server=id1");
	assert_read(crlf, RDS_FORM_SERVER_CONF, "id1.example,id2.example", "", "", "the-key=");
	assert_read(guess, RDS_FORM_SERVER_CONF, "id1.example,id2.example", "", "", "the-key=");
	free(crlf);
	free(guess);
	rds_client_conf_clear(&conf);
}

static void server_conf_by_other_hands(void **state)
{
	(void)state;
	assert_read("; mine\n[other]\nkey=wrong\n[server]\n  ID_Server = a.example \n#key=no\n"
	            "unknown=1\nkey\nkey= k=\n[more]\nrelay_server=wrong",
	            RDS_FORM_SERVER_CONF, "a.example", "", "", "k=");
	assert_refused("x[server]\nkey=k\n");
}

// --- the installer's name

static void assert_exe(const char *id, const char *relay, const char *api, const char *key,
                       const char *want)
{
	struct rds_client_conf conf = conf_of(id, relay, api, key);
	char *name = written(RDS_FORM_EXE_NAME, &conf, plain);
	assert_int_equal(strcspn(name, ":/\\?*\"<>|"), strlen(name));
	if (want != NULL)
		assert_string_equal(name, want);
	else
		assert_int_equal(strncmp(name, "rustdesk-licensed-", 18), 0);
	assert_read(name, RDS_FORM_EXE_NAME, id, relay, api, key);
	free(name);
	rds_client_conf_clear(&conf);
}

static void installers_names(void **state)
{
	(void)state;
	assert_exe("a.example", "", "", "k+=", "rustdesk-host=a.example,key=k+=,.exe\n");
	assert_exe("a.example", "b.example", "",
	           "k=", "rustdesk-host=a.example,key=k=,relay=b.example,.exe\n");
	assert_exe("a.example:1", "", "", "k", NULL);
	assert_exe("a.example", "b.example:1", "", "k", NULL);
	assert_exe("a.example", "", "https://a.example", "k", NULL);
	assert_exe("a.example", "", "", "k/=", NULL);
	assert_exe("a.example", "", "", "a,key=b", NULL);
	assert_exe("a.example", "", "", "<b>", NULL);
}

static void renamed_once_more(void **state)
{
	(void)state;
	assert_read("rustdesk-host=a,key=k=, (1).exe", RDS_FORM_EXE_NAME, "a", "", "", "k=");
	assert_read("rustdesk-host=a,API=x,Key=k.EXE", RDS_FORM_EXE_NAME, "a", "", "x", "k");
	struct rds_client_conf conf = conf_of("a:1", "", "", "k");
	char *string = written(RDS_FORM_STRING, &conf, plain);
	string[strlen(string) - 1] = '\0';
	char *name = rds_asprintf("rustdesk-licensed-%s (2).exe", string);
	assert_read(name, RDS_FORM_EXE_NAME, "a:1", "", "", "k");
	free(string);
	free(name);
	rds_client_conf_clear(&conf);
}

static void names_that_cannot_be(void **state)
{
	(void)state;
	struct rds_error err = {""};
	struct rds_bytes bytes = {0};
	char host[251];
	memset(host, 'a', sizeof host - 1);
	host[250] = '\0';
	struct rds_client_conf conf = conf_of(host, "", "", "k");
	assert_int_equal(rds_form_write(RDS_FORM_EXE_NAME, &conf, plain, &bytes, &err),
	                 -RDS_EINVAL);
	assert_contains(err.text, "255");
	assert_int_equal(bytes.len, 0);
	rds_client_conf_clear(&conf);
	rds_bytes_clear(&bytes);
}

static void json_is_ascii(void **state)
{
	(void)state;
	struct rds_client_conf conf = conf_of("b\xc3\xbc"
	                                      "cher.example",
	                                      "\xf0\x9d\x92\xb3.example", "", "k");
	assert_written(RDS_FORM_JSON, &conf,
	               "{\"host\":\"b\\u00fccher.example\",\"relay\":\"\\ud835\\udcb3.example\","
	               "\"api\":\"\",\"key\":\"k\"}\n");
	rds_client_conf_clear(&conf);
}

// --- all of them

static const struct {
	const char *id, *relay, *api, *key;
} values[] = {
        {"id.example.com", "relay.example.com:31117", "https://id.example.com",
         "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk="},
        {"[2001:db8::7]:30000", "", "", "k"},
        {"id.example", "", "", "it's \"quoted\" \\ $(touch x) `y` ${z} %w% <a> & ]]> --> '@ EOF"},
        {"id.example", "", "", "'''\"\"\"\xe2\x80\x98\xe2\x80\x99\xe2\x80\x9a\xe2\x80\x9b"},
        {"id.example", "", "", "END"},
        {"id.example", "", "", "'@"},
        {"id.example", "", "", "#requires [server] [options] key=x @SETTINGS@"},
        {"b\xc3\xbc"
         "cher.example",
         "r\xe2\x80\x99.example", "http://x.example:1/y/", ""},
};

static void every_form_is_read_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(values) * RDS_FORM_COUNT; i++) {
		enum rds_form form = (enum rds_form)(i % RDS_FORM_COUNT);
		size_t n = i / RDS_FORM_COUNT;
		struct rds_client_conf conf =
		        conf_of(values[n].id, values[n].relay, values[n].api, values[n].key);
		struct rds_bytes bytes = {0};
		struct rds_client_conf back;
		struct rds_error err = {""};
		enum rds_form found;
		assert_int_equal(rds_form_write(form, &conf, plain, &bytes, &err), 0);
		if (rds_form_read(rds_bytes_view(&bytes), &found, &back, &err) != 0)
			fail_msg("%s: %s", rds_form_row(form)->name, err.text);
		assert_int_equal(found, form);
		assert_conf(&back, values[n].id, values[n].relay,
		            rds_form_row(form)->no_api ? "" : values[n].api, values[n].key);
		assert_true(rds_form_is_ours(rds_bytes_view(&bytes)));
		rds_client_conf_clear(&conf);
		rds_client_conf_clear(&back);
		rds_bytes_clear(&bytes);
	}
}

static void unfit_values_are_not_written(void **state)
{
	(void)state;
	struct rds_client_conf conf = conf_of("a\nb", "", "", "k");
	for (int i = 0; i < RDS_FORM_COUNT; i++) {
		struct rds_bytes bytes = {0};
		assert_int_equal(rds_form_write((enum rds_form)i, &conf, plain, &bytes, NULL),
		                 -RDS_EINVAL);
		assert_int_equal(bytes.len, 0);
	}
	rds_client_conf_clear(&conf);
}

static void names_of_forms(void **state)
{
	(void)state;
	for (int i = 0; i < RDS_FORM_COUNT; i++) {
		enum rds_form found = RDS_FORM_COUNT;
		assert_true(rds_form_find(rds_form_row((enum rds_form)i)->name, &found));
		assert_int_equal(found, i);
	}
	enum rds_form found;
	assert_false(rds_form_find("xml", &found));
	assert_false(rds_form_find("", &found));
}

// Whatever byte is changed: it isn't ours any more, unless it is one of a value.
static void what_was_changed_is_not_ours(void **state)
{
	(void)state;
	struct rds_client_conf conf = conf_of("id.example", "", "", "k");
	for (int i = 0; i < RDS_FORM_COUNT; i++) {
		struct rds_bytes bytes = {0};
		assert_int_equal(rds_form_write((enum rds_form)i, &conf, plain, &bytes, NULL), 0);
		for (size_t at = 0; at < bytes.len; at += 1 + bytes.len / 100) {
			bytes.data[at] ^= 1;
			enum rds_form form;
			struct rds_client_conf back;
			if (rds_form_is_ours(rds_bytes_view(&bytes))) {
				assert_int_equal(
				        rds_form_read(rds_bytes_view(&bytes), &form, &back, NULL),
				        0);
				assert_true(strcmp(back.id_server, conf.id_server) != 0 ||
				            strcmp(back.key, conf.key) != 0);
				rds_client_conf_clear(&back);
			}
			bytes.data[at] ^= 1;
		}
		rds_bytes_clear(&bytes);
	}
	rds_client_conf_clear(&conf);
}

static void what_is_ours(void **state)
{
	(void)state;
	assert_true(rds_form_is_ours(rds_view_text("")));
	assert_true(rds_form_is_ours(rds_view_text(" \n")));
	assert_true(rds_form_is_ours(rds_view_of(NULL, 0)));
	assert_true(rds_form_is_ours(
	        rds_view_text("[server]\r\nid_server=a\r\nrelay_server=\r\nkey=k\r\n")));
	assert_false(rds_form_is_ours(
	        rds_view_text("# mine\n[server]\nid_server=a\nrelay_server=\nkey=k\n")));
	assert_false(
	        rds_form_is_ours(rds_view_text("[server]\nid_server=a b\nrelay_server=\nkey=k\n")));
	assert_false(rds_form_is_ours(rds_view_text("mine")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(known_strings),
	        cmocka_unit_test(known_strings_are_read),
	        cmocka_unit_test(json_in_any_order),
	        cmocka_unit_test(json_is_ascii),
	        cmocka_unit_test(nonsense_is_refused),
	        cmocka_unit_test(server_conf_is_an_ini),
	        cmocka_unit_test(server_conf_by_other_hands),
	        cmocka_unit_test(installers_names),
	        cmocka_unit_test(renamed_once_more),
	        cmocka_unit_test(names_that_cannot_be),
	        cmocka_unit_test(every_form_is_read_back),
	        cmocka_unit_test(unfit_values_are_not_written),
	        cmocka_unit_test(names_of_forms),
	        cmocka_unit_test(what_was_changed_is_not_ours),
	        cmocka_unit_test(what_is_ours),
	};
	return cmocka_run_group_tests_name("form", tests, NULL, NULL);
}
