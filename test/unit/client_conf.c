// SPDX-License-Identifier: MIT
// Goal: only what is fit to be handed out is handed out.
#include "test/unit/clients.h"

static int check(const char *id, const char *relay, const char *api, const char *key)
{
	struct rds_error err = {""};
	struct rds_client_conf conf = conf_of(id, relay, api, key);
	int rc = rds_client_conf_check(&conf, &err);
	assert_true((rc == 0) == (err.text[0] == '\0'));
	rds_client_conf_clear(&conf);
	assert_null(conf.key);
	rds_client_conf_clear(&conf);
	return rc;
}

static void what_is_fit(void **state)
{
	(void)state;
	assert_int_equal(check("id.example", "", "", ""), 0);
	assert_int_equal(check("id.example:30000,100.64.0.7,[2001:db8::7]:443", "r.example", "",
	                       "0miFGAdyJOQBSgI4dbrVfZpT36jce/gCVqk1vFtNdjk="),
	                 0);
	assert_int_equal(check("b\xc3\xbc"
	                       "cher.example",
	                       "", "https://a.example:8443/x/", "k"),
	                 0);
	assert_int_equal(check("id.example", "", "", "it's \"a\" $text; `x`"), 0);
}

static void hosts_that_are_none(void **state)
{
	(void)state;
	static const char *const bad[] = {"a b", "a\nb",     "a'b",  "a\"b", "a;b",         "$(a)",
	                                  "a/b", "http://a", "[::1", "::1",  "2001:db8::7", "a:0",
	                                  "a:x", "0.0.0.0",  "[::]", "a\xff"};
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (check(bad[i], "", "", "k") != -RDS_EINVAL)
			fail_msg("ID server \"%s\" was taken", bad[i]);
		if (check("id.example", bad[i], "", "k") != -RDS_EINVAL)
			fail_msg("relay \"%s\" was taken", bad[i]);
	}
	assert_int_equal(check("", "", "", "k"), -RDS_EINVAL);
	assert_int_equal(check(" , ,", "", "", "k"), -RDS_EINVAL);
}

static void api_servers_that_are_none(void **state)
{
	(void)state;
	static const char *const bad[] = {"a.example",          "ftp://a.example", "https://",
	                                  "https://a b",        "https://a/'",     "https://a/\n",
	                                  "https://a/?x=\"y\"", "https:///x",      "HTTPS//a"};
	for (size_t i = 0; i < COUNT(bad); i++)
		if (check("id.example", "", bad[i], "k") != -RDS_EINVAL)
			fail_msg("API server \"%s\" was taken", bad[i]);
}

static void keys_that_are_none(void **state)
{
	(void)state;
	static const char *const bad[] = {"a\nb",
	                                  "a\rb",
	                                  "a\tb",
	                                  " a",
	                                  "a ",
	                                  "a\xe2\x80\xa8"
	                                  "b",
	                                  "\xff",
	                                  "a\xc2\x85"
	                                  "b"};
	char longest[257];
	for (size_t i = 0; i < COUNT(bad); i++)
		if (check("id.example", "", "", bad[i]) != -RDS_EINVAL)
			fail_msg("key \"%s\" was taken", bad[i]);
	for (size_t i = 0; i < sizeof longest - 1; i++)
		longest[i] = i % 20 == 0 ? '-' : '.';
	longest[255] = '\0';
	assert_int_equal(check("id.example", "", "", longest), 0);
	longest[255] = '.';
	longest[256] = '\0';
	assert_int_equal(check("id.example", "", "", longest), -RDS_EINVAL);
}

static void a_secret_is_never_handed_out(void **state)
{
	(void)state;
	cJSON *file = vectors_open("keyfile.json");
	const cJSON *pair = cJSON_GetArrayItem(member(file, "keys"), 0);
	assert_int_equal(check("id.example", "", "", member_text(pair, "id_ed25519")), -RDS_EINVAL);
	assert_int_equal(check("id.example", "", "", member_text(pair, "id_ed25519.pub")), 0);
	cJSON_Delete(file);
}

static void first_of_several_hosts(void **state)
{
	(void)state;
	struct rds_client_conf conf = conf_of(" id1.example , id2.example", "r1:1,r2:2", "", "k,l");
	struct rds_client_conf first = rds_client_conf_first(&conf);
	assert_conf(&first, "id1.example", "r1:1", "", "k,l");
	rds_client_conf_clear(&conf);
	rds_client_conf_clear(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_fit),
	        cmocka_unit_test(hosts_that_are_none),
	        cmocka_unit_test(api_servers_that_are_none),
	        cmocka_unit_test(keys_that_are_none),
	        cmocka_unit_test(a_secret_is_never_handed_out),
	        cmocka_unit_test(first_of_several_hosts),
	};
	return cmocka_run_group_tests_name("client_conf", tests, NULL, NULL);
}
