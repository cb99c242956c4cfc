// SPDX-License-Identifier: MIT
// A server that is known by its name, or by what its clients are configured with; and the ids of
// the played clients.
#include "cmd/check/site.h"

#include "cmd/out_file.h"
#include "cmd/running.h"
#include "conf/form.h"
#include "conf/values.h"
#include "core/alloc.h"
#include "core/text.h"
#include "keys/keypair.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ID_PORT    21116
#define RELAY_PORT 21117

// --- what clients are configured with

int check_conf_read(const char *file_or_text, struct rds_client_conf *out, struct rds_error *err)
{
	struct stat st;
	enum rds_form form;
	struct rds_error why = {""};
	uint8_t *bytes = NULL;
	size_t len = 0;
	bool is_file = strcmp(file_or_text, "-") == 0 || stat(file_or_text, &st) == 0;
	if (!is_file) {
		int rc = rds_form_read(rds_view_text(file_or_text), &form, out, &why);
		return rc == 0 ? 0
		               : rds_fail(err, RDS_EINVAL,
		                          "--conf: neither a file nor a config string: %s",
		                          why.text);
	}
	int rc = rds_in_file_read(file_or_text, &bytes, &len, err);
	if (rc != 0)
		return rc;
	rc = rds_form_read(rds_view_of(bytes, len), &form, out, &why);
	free(bytes);
	return rc == 0 ? 0 : rds_fail(err, RDS_EPARSE, "--conf %s: %s", file_or_text, why.text);
}

// --- the ports that follow from a host, as clients work them out (protocol.md section 1)

static int go_to_id(struct check_site *site, const char *host, struct rds_error *err)
{
	struct rds_host_port at;
	if (rds_value_host(host, &at) != 0)
		return rds_fail(err, RDS_EINVAL,
		                "\"%s\" is no host: expected a name or an address, and maybe :PORT",
		                host);
	(void)snprintf(site->id_host, sizeof site->id_host, "%s", at.host);
	site->id_port = at.port == 0 ? ID_PORT : at.port;
	if (site->id_port < 3 || site->id_port > UINT16_MAX - 3)
		return rds_fail(err, RDS_EINVAL, "\"%s\": the ports beside %u can't be", host,
		                site->id_port);
	site->api_port = (uint16_t)(site->id_port - 2);
	site->nat_port = (uint16_t)(site->id_port - 1);
	site->websocket_port = (uint16_t)(site->id_port + 2);
	return 0;
}

static int go_to_relay(struct check_site *site, const char *relay, struct rds_error *err)
{
	struct rds_host_port at = {.port = 0};
	(void)snprintf(at.host, sizeof at.host, "%s", site->id_host);
	if (relay[0] != '\0' && rds_value_host(relay, &at) != 0)
		return rds_fail(err, RDS_EINVAL, "\"%s\" is no relay: expected host or host:port",
		                relay);
	if (at.port == 0)
		at.port = relay[0] != '\0' ? RELAY_PORT : (uint16_t)(site->id_port + 1);
	if (at.port > UINT16_MAX - 2)
		return rds_fail(err, RDS_EINVAL, "\"%s\": the port beside it can't be", relay);
	(void)snprintf(site->relay_host, sizeof site->relay_host, "%s", at.host);
	site->relay_port = at.port;
	site->relay_websocket_port = (uint16_t)(at.port + 2);
	return 0;
}

int check_site_elsewhere(struct check_site *site, const char *host, const char *key,
                         const char *conf_text, struct rds_error *err)
{
	*site = (struct check_site){0};
	struct rds_client_conf conf = {rds_strdup(""), rds_strdup(""), rds_strdup(""),
	                               rds_strdup("")};
	if (conf_text != NULL) {
		rds_client_conf_clear(&conf);
		conf = (struct rds_client_conf){0};
		int rc = check_conf_read(conf_text, &conf, err);
		if (rc != 0)
			return rc;
	}
	struct rds_client_conf first = rds_client_conf_first(&conf);
	site->told = conf;
	site->given = first;
	site->has_conf = conf_text != NULL;
	host = host == NULL ? first.id_server : host;
	key = key == NULL ? first.key : key;
	if (host[0] == '\0')
		return rds_fail(err, RDS_EINVAL, "no ID server is named: give --host HOST");
	if (strlen(key) >= sizeof site->key)
		return rds_fail(err, RDS_EINVAL, "--key: too long for a key");
	(void)snprintf(site->key, sizeof site->key, "%s", key);
	int rc = go_to_id(site, host, err);
	return rc == 0 ? go_to_relay(site, first.relay_server, err) : rc;
}

// --- ids of played clients

static void make_up_ids(struct check_site *site)
{
	for (size_t i = 0; i < SITE_IDS; i++) {
		uint32_t number = 0;
		if (!rds_random(&number, sizeof number))
			abort(); // no random numbers: nothing can go on
		(void)snprintf(site->ids[i], sizeof site->ids[i], "rdsrv-check-%08" PRIx32, number);
	}
}

static bool take_ids(struct check_site *site, const cJSON *answer)
{
	const cJSON *ids = cJSON_GetObjectItemCaseSensitive(answer, "ids");
	for (int i = 0; i < SITE_IDS; i++) {
		const char *id = cJSON_GetStringValue(cJSON_GetArrayItem(ids, i));
		if (id == NULL || strlen(id) >= sizeof site->ids[i])
			return false;
		(void)snprintf(site->ids[i], sizeof site->ids[i], "%s", id);
	}
	return true;
}

void check_site_reserve(struct check_site *site)
{
	struct rds_error err;
	cJSON *answer = NULL;
	char request[32];
	make_up_ids(site);
	(void)snprintf(request, sizeof request, "check-reserve %d", SITE_IDS);
	if (site->id.running == SITE_ANSWERS &&
	    rds_running_ask_within(site->dir, "id", request, site->here_ms, &answer, &err) == 0)
		site->reserved = take_ids(site, answer);
	cJSON_Delete(answer);
}
