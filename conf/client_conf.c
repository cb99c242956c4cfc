// SPDX-License-Identifier: MIT
#include "conf/client_conf.h"

#include "core/alloc.h"
#include "core/base64.h"

#include <cJSON.h>
#include <stdlib.h>

void rds_client_conf_clear(struct rds_client_conf *conf)
{
	free(conf->id_server);
	free(conf->relay_server);
	free(conf->api_server);
	free(conf->key);
	*conf = (struct rds_client_conf){0};
}

char *rds_client_conf_server_conf(const struct rds_client_conf *conf, const char *comment)
{
	return rds_asprintf("%s[server]\nid_server=%s\nrelay_server=%s\nkey=%s\n",
	                    comment == NULL ? "" : comment, conf->id_server, conf->relay_server,
	                    conf->key);
}

static void add(cJSON *json, const char *name, const char *text)
{
	if (cJSON_AddStringToObject(json, name, text) == NULL)
		abort();
}

// Clients take one host: the first of a list.
static void add_first(cJSON *json, const char *name, const char *list)
{
	char *first = rds_strndup(list, strcspn(list, ","));
	add(json, name, first);
	free(first);
}

char *rds_client_conf_json(const struct rds_client_conf *conf)
{
	cJSON *json = cJSON_CreateObject();
	add_first(json, "host", conf->id_server);
	add_first(json, "relay", conf->relay_server);
	add(json, "api", conf->api_server);
	add(json, "key", conf->key);
	char *text = cJSON_PrintUnformatted(json);
	if (text == NULL)
		abort();
	cJSON_Delete(json);
	return text;
}

static void reverse(char *text, size_t len)
{
	for (size_t i = 0; i < len / 2; i++) {
		char c = text[i];
		text[i] = text[len - 1 - i];
		text[len - 1 - i] = c;
	}
}

char *rds_client_conf_string(const struct rds_client_conf *conf)
{
	char *json = rds_client_conf_json(conf);
	size_t len = strlen(json);
	char *text = rds_calloc(RDS_BASE64_LEN(len) + 1, 1);
	rds_base64url_encode((const uint8_t *)json, len, text);
	reverse(text, strlen(text));
	free(json);
	return text;
}

static char *member(const cJSON *json, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
	return rds_strdup(text == NULL ? "" : text);
}

static int parse_json(const char *text, size_t len, struct rds_client_conf *out)
{
	cJSON *json = cJSON_ParseWithLength(text, len);
	int rc = cJSON_IsObject(json) ? 0 : -RDS_EPARSE;
	if (rc == 0)
		*out = (struct rds_client_conf){.id_server = member(json, "host"),
		                                .relay_server = member(json, "relay"),
		                                .api_server = member(json, "api"),
		                                .key = member(json, "key")};
	cJSON_Delete(json);
	return rc;
}

int rds_client_conf_parse(struct rds_view text, struct rds_client_conf *out)
{
	text = rds_view_trim(text);
	if (text.len > 0 && text.data[0] == '{')
		return parse_json((const char *)text.data, text.len, out);
	char *copy = rds_strndup(text.data, text.len);
	uint8_t *json = rds_calloc(text.len + 1, 1);
	reverse(copy, text.len);
	long len = rds_base64url_decode(copy, text.len, json, text.len);
	int rc = len < 0 ? -RDS_EPARSE : parse_json((const char *)json, (size_t)len, out);
	free(copy);
	free(json);
	return rc;
}
