// SPDX-License-Identifier: MIT
// Goal: it is told right whether what a client has still fits the server.
#include "test/unit/clients.h"

#include "conf/client_fit.h"

#define NOW 1000

static char current[] = "now";
static char next[] = "next";
static char retired[] = "old";
static char expired[] = "older";

static const struct rds_known_key keys[] = {
        {current, RDS_KNOWN_CURRENT, 0},
        {next, RDS_KNOWN_NEXT, 0},
        {retired, RDS_KNOWN_RETIRED, NOW + 1},
        {expired, RDS_KNOWN_RETIRED, NOW},
};

static struct rds_client_fit fit_of(const char *id, const char *relay, const char *api,
                                    const char *key, const char *live_id, const char *live_relay)
{
	struct rds_client_conf conf = conf_of(id, relay, api, key);
	struct rds_client_conf live = conf_of(live_id, live_relay, "https://a.example", current);
	struct rds_client_fit fit = rds_client_fit(&conf, &live, keys, COUNT(keys), NOW);
	rds_client_conf_clear(&conf);
	rds_client_conf_clear(&live);
	return fit;
}

static void keys_are_told_apart(void **state)
{
	(void)state;
	static const struct {
		const char *key;
		enum rds_key_fit fit;
		int64_t until_sec;
		bool good;
	} cases[] = {
	        {"now", RDS_FIT_KEY_CURRENT, 0, true},
	        {"next", RDS_FIT_KEY_NEXT, 0, true},
	        {"old", RDS_FIT_KEY_RETIRED, NOW + 1, true},
	        {"older", RDS_FIT_KEY_EXPIRED, NOW, false},
	        {"Now", RDS_FIT_KEY_FOREIGN, 0, false},
	        {"", RDS_FIT_KEY_FOREIGN, 0, false},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_client_fit fit =
		        fit_of("a", "", "https://a.example", cases[i].key, "a", "");
		assert_int_equal(fit.key, cases[i].fit);
		assert_int_equal(fit.until_sec, cases[i].until_sec);
		assert_int_equal(rds_client_fit_is_good(&fit), cases[i].good);
	}
}

static void id_servers(void **state)
{
	(void)state;
	static const struct {
		const char *have, *live;
		enum rds_host_fit fit;
	} cases[] = {
	        {"a.example", "a.example", RDS_FIT_HOST_SAME},
	        {"A.Example:21116", "a.example", RDS_FIT_HOST_SAME},
	        {"a.example", "a.example:21116", RDS_FIT_HOST_SAME},
	        {"a.example:1", "a.example", RDS_FIT_HOST_OTHER},
	        {"[2001:db8::7]:1", "[2001:db8::7]:1", RDS_FIT_HOST_SAME},
	        {"b.example", "a.example, b.example", RDS_FIT_HOST_SAME},
	        {"b.example,a.example", "a.example,b.example", RDS_FIT_HOST_SAME},
	        {"b.example,c.example", "a.example,b.example", RDS_FIT_HOST_OTHER},
	        {"", "a.example", RDS_FIT_HOST_OTHER},
	        {"a b", "a.example", RDS_FIT_HOST_OTHER},
	        {"a.example", "", RDS_FIT_HOST_UNKNOWN},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_client_fit fit =
		        fit_of(cases[i].have, "", "https://a.example", "now", cases[i].live, "");
		if (fit.id_server != cases[i].fit)
			fail_msg("%s for %s: %d", cases[i].have, cases[i].live, (int)fit.id_server);
		assert_int_equal(rds_client_fit_is_good(&fit), cases[i].fit != RDS_FIT_HOST_OTHER);
	}
}

static void relays(void **state)
{
	(void)state;
	static const struct {
		const char *have, *live;
		enum rds_host_fit fit;
	} cases[] = {
	        {"", "", RDS_FIT_HOST_SAME},
	        {"a.example", "", RDS_FIT_HOST_SAME}, // the ID server's own host
	        {"r.example", "", RDS_FIT_HOST_OTHER},
	        {"r.example", "r.example:21117,s.example", RDS_FIT_HOST_SAME},
	        {"s.example,r.example", "r.example,s.example", RDS_FIT_HOST_SAME},
	        {"r.example:21116", "r.example", RDS_FIT_HOST_OTHER},
	        {"", "r.example", RDS_FIT_HOST_OTHER},
	};
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rds_client_fit fit = fit_of("a.example", cases[i].have, "https://a.example",
		                                   "now", "a.example", cases[i].live);
		assert_int_equal(fit.relay_server, cases[i].fit);
		assert_int_equal(rds_client_fit_is_good(&fit), cases[i].fit == RDS_FIT_HOST_SAME);
	}
}

static void api_servers(void **state)
{
	(void)state;
	struct rds_client_fit fit = fit_of("a", "", "https://b.example", "now", "a", "");
	assert_int_equal(fit.api_server, RDS_FIT_HOST_OTHER);
	assert_false(rds_client_fit_is_good(&fit));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(keys_are_told_apart),
	        cmocka_unit_test(id_servers),
	        cmocka_unit_test(relays),
	        cmocka_unit_test(api_servers),
	};
	return cmocka_run_group_tests_name("client_fit", tests, NULL, NULL);
}
