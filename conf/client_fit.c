// SPDX-License-Identifier: MIT
#include "conf/client_fit.h"

#include "conf/values.h"

#include <string.h>
#include <strings.h>

#define ID_PORT    21116
#define RELAY_PORT 21117

static bool same_host(const char *a, const char *b, uint16_t usual_port)
{
	struct rds_host_port one;
	struct rds_host_port other;
	if (rds_value_host(a, &one) != 0 || rds_value_host(b, &other) != 0)
		return false;
	return strcasecmp(one.host, other.host) == 0 &&
	       (one.port == 0 ? usual_port : one.port) ==
	               (other.port == 0 ? usual_port : other.port);
}

static bool is_among(const char *host, const struct rds_strings *hosts, uint16_t usual_port)
{
	for (size_t i = 0; i < hosts->n; i++)
		if (same_host(host, hosts->items[i], usual_port))
			return true;
	return false;
}

// Whether each host of a list is in the other one, too.
static bool all_among(const char *list, const char *others, uint16_t usual_port)
{
	struct rds_strings have;
	struct rds_strings want;
	bool all = true;
	rds_strings_split(list, &have);
	rds_strings_split(others, &want);
	for (size_t i = 0; i < have.n && all; i++)
		all = is_among(have.items[i], &want, usual_port);
	rds_strings_free(&have);
	rds_strings_free(&want);
	return all;
}

static enum rds_host_fit fit_of(bool same)
{
	return same ? RDS_FIT_HOST_SAME : RDS_FIT_HOST_OTHER;
}

static enum rds_host_fit fit_id_server(const char *have, const char *live)
{
	if (live[0] == '\0')
		return RDS_FIT_HOST_UNKNOWN;
	return fit_of(have[0] != '\0' && all_among(have, live, ID_PORT));
}

// No relay means the ID server's host (protocol.md section 13).
static enum rds_host_fit fit_relay(const struct rds_client_conf *conf,
                                   const struct rds_client_conf *live)
{
	const char *have = conf->relay_server;
	if (live->relay_server[0] == '\0')
		return fit_of(have[0] == '\0' || strcasecmp(have, conf->id_server) == 0);
	return fit_of(have[0] != '\0' && all_among(have, live->relay_server, RELAY_PORT));
}

static void fit_key(const char *have, const struct rds_known_key *keys, size_t n, int64_t now_sec,
                    struct rds_client_fit *fit)
{
	fit->key = RDS_FIT_KEY_FOREIGN;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(have, keys[i].text) != 0)
			continue;
		fit->until_sec = keys[i].until_sec;
		fit->key = keys[i].state == RDS_KNOWN_CURRENT ? RDS_FIT_KEY_CURRENT
		           : keys[i].state == RDS_KNOWN_NEXT  ? RDS_FIT_KEY_NEXT
		           : now_sec < keys[i].until_sec      ? RDS_FIT_KEY_RETIRED
		                                              : RDS_FIT_KEY_EXPIRED;
		return;
	}
}

struct rds_client_fit rds_client_fit(const struct rds_client_conf *conf,
                                     const struct rds_client_conf *live,
                                     const struct rds_known_key *keys, size_t n_keys,
                                     int64_t now_sec)
{
	struct rds_client_fit fit = {
	        .id_server = fit_id_server(conf->id_server, live->id_server),
	        .relay_server = fit_relay(conf, live),
	        .api_server = fit_of(strcmp(conf->api_server, live->api_server) == 0),
	};
	fit_key(conf->key, keys, n_keys, now_sec, &fit);
	return fit;
}

bool rds_client_fit_is_good(const struct rds_client_fit *fit)
{
	bool let_in = fit->key != RDS_FIT_KEY_EXPIRED && fit->key != RDS_FIT_KEY_FOREIGN;
	return let_in && fit->id_server != RDS_FIT_HOST_OTHER &&
	       fit->relay_server != RDS_FIT_HOST_OTHER && fit->api_server != RDS_FIT_HOST_OTHER;
}
