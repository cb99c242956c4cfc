// SPDX-License-Identifier: MIT
// Goal: what clients are configured with, in its forms (protocol.md section 13).
#include "test/unit/testing.h"

#include "conf/client_conf.h"
#include "core/alloc.h"

#include <stdlib.h>

static struct rds_client_conf make(const char *id, const char *relay, const char *api,
                                   const char *key)
{
	return (struct rds_client_conf){.id_server = rds_strdup(id),
	                                .relay_server = rds_strdup(relay),
	                                .api_server = rds_strdup(api),
	                                .key = rds_strdup(key)};
}

static void assert_conf(const struct rds_client_conf *conf, const char *id, const char *relay,
                        const char *api, const char *key)
{
	assert_string_equal(conf->id_server, id);
	assert_string_equal(conf->relay_server, relay);
	assert_string_equal(conf->api_server, api);
	assert_string_equal(conf->key, key);
}

static void known_strings_are_made(void **state)
{
	(void)state;
	cJSON *file = vectors_open("config_string.json");
	const cJSON *one = NULL;
	size_t n = 0;
	cJSON_ArrayForEach(one, member(file, "cases"))
	{
		struct rds_client_conf conf =
		        make(member_text(one, "host"), member_text(one, "relay"),
		             member_text(one, "api"), member_text(one, "key"));
		char *json = rds_client_conf_json(&conf);
		char *string = rds_client_conf_string(&conf);
		assert_string_equal(json, member_text(one, "json"));
		assert_string_equal(string, member_text(one, "config_string"));
		free(json);
		free(string);
		rds_client_conf_clear(&conf);
		n++;
	}
	assert_int_equal(n, 3);
	cJSON_Delete(file);
}

static void parse_case(const cJSON *one, const char *text)
{
	struct rds_client_conf conf = {0};
	assert_int_equal(rds_client_conf_parse(rds_view_text(text), &conf), 0);
	assert_conf(&conf, member_text(one, "host"), member_text(one, "relay"),
	            member_text(one, "api"), member_text(one, "key"));
	rds_client_conf_clear(&conf);
	assert_null(conf.key);
	rds_client_conf_clear(&conf);
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
		static const char *const padding[] = {"", "=", "==", "="};
		char *padded = rds_asprintf("%s%s", padding[(4 - strlen(string) % 4) % 4], string);
		char *spaced = rds_asprintf(" \n%s\r\n", string);
		char *json = rds_asprintf("\t%s\n", member_text(one, "json"));
		parse_case(one, string);
		parse_case(one, padded);
		parse_case(one, spaced);
		parse_case(one, json);
		free(padded);
		free(spaced);
		free(json);
	}
	cJSON_Delete(file);
}

static void keys_come_in_any_order_and_may_be_missing(void **state)
{
	(void)state;
	struct rds_client_conf conf = {0};
	assert_int_equal(
	        rds_client_conf_parse(
	                rds_view_text("{\"key\":\"k\", \"more\":[1], \"host\":\"h\"}"), &conf),
	        0);
	assert_conf(&conf, "h", "", "", "k");
	rds_client_conf_clear(&conf);
	assert_int_equal(rds_client_conf_parse(rds_view_text("{\"host\":5,\"relay\":null}"), &conf),
	                 0);
	assert_conf(&conf, "", "", "", "");
	rds_client_conf_clear(&conf);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	// The last ones are base64 of "abc", "[1]" and "\"x\"", reversed.
	static const char *const bad[] = {
	        "",     " ", "=",    "====",    "{",    "{\"host\":\"x\"", "[1]",  "5",
	        "null", "a", "!!!!", "abc def", "jJWY", "d1SMb",           "iNHI", "CMy"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct rds_client_conf conf = {0};
		if (rds_client_conf_parse(rds_view_text(bad[i]), &conf) != -RDS_EPARSE)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_null(conf.id_server);
	}
	struct rds_client_conf conf = {0};
	assert_int_equal(rds_client_conf_parse(rds_view_of(NULL, 0), &conf), -RDS_EPARSE);
}

// Clients take one host: the first of a list.
static void first_of_several_hosts(void **state)
{
	(void)state;
	struct rds_client_conf conf = make("id1.example,id2.example", "r1:1,r2:2", "", "k");
	char *json = rds_client_conf_json(&conf);
	assert_string_equal(json, "{\"host\":\"id1.example\",\"relay\":\"r1:1\",\"api\":\"\","
	                          "\"key\":\"k\"}");
	free(json);
	rds_client_conf_clear(&conf);
}

static void odd_texts_stay_json(void **state)
{
	(void)state;
	struct rds_client_conf conf = make("h\"\\\n", "\xc3\xa9", "", "k");
	struct rds_client_conf back = {0};
	char *string = rds_client_conf_string(&conf);
	assert_int_equal(rds_client_conf_parse(rds_view_text(string), &back), 0);
	assert_conf(&back, "h\"\\\n", "\xc3\xa9", "", "k");
	assert_null(strpbrk(string, "+/="));
	free(string);
	rds_client_conf_clear(&conf);
	rds_client_conf_clear(&back);
}

static void server_conf_is_an_ini(void **state)
{
	(void)state;
	struct rds_client_conf conf = make("id1.example,id2.example", "", "", "the-key=");
	char *plain = rds_client_conf_server_conf(&conf, NULL);
	assert_string_equal(plain, "[server]\nid_server=id1.example,id2.example\nrelay_server=\n"
	                           "key=the-key=\n");
	char *commented = rds_client_conf_server_conf(&conf, "# change this\n");
	assert_string_equal(commented,
	                    "# change this\n[server]\nid_server=id1.example,id2.example\n"
	                    "relay_server=\nkey=the-key=\n");
	free(plain);
	free(commented);
	rds_client_conf_clear(&conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(known_strings_are_made),
	        cmocka_unit_test(known_strings_are_read),
	        cmocka_unit_test(keys_come_in_any_order_and_may_be_missing),
	        cmocka_unit_test(nonsense_is_refused),
	        cmocka_unit_test(first_of_several_hosts),
	        cmocka_unit_test(odd_texts_stay_json),
	        cmocka_unit_test(server_conf_is_an_ini),
	};
	return cmocka_run_group_tests_name("client_conf", tests, NULL, NULL);
}
