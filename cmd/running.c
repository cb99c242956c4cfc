// SPDX-License-Identifier: MIT
#include "cmd/running.h"

#include "core/alloc.h"
#include "net/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 5000

int rds_running_ask_within(const struct rds_datadir *dir, const char *role, const char *request,
                           unsigned timeout_ms, cJSON **out, struct rds_error *err)
{
	char file[32];
	char path[RDS_DATADIR_REF];
	char *answer = NULL;
	(void)snprintf(file, sizeof file, "%.16s.sock", role);
	rds_datadir_ref(dir, file, path);
	int rc = rds_control_ask(path, request, timeout_ms, &answer, err);
	if (rc != 0)
		return rc;
	*out = cJSON_Parse(answer);
	free(answer);
	if (*out == NULL)
		return rds_fail(err, RDS_EPARSE, "the running %s server's answer is not JSON",
		                role);
	return 0;
}

int rds_running_ask(const struct rds_datadir *dir, const char *role, const char *request,
                    cJSON **out, struct rds_error *err)
{
	return rds_running_ask_within(dir, role, request, TIMEOUT_MS, out, err);
}

char *rds_running_key(const struct rds_datadir *dir)
{
	static const char *const roles[] = {"id", "relay"};
	char *key = NULL;
	for (size_t i = 0; i < 2 && key == NULL; i++) {
		struct rds_error err;
		cJSON *status = NULL;
		if (rds_running_ask(dir, roles[i], "status", &status, &err) == 0)
			key = rds_strdup(cJSON_GetStringValue(
			        cJSON_GetObjectItemCaseSensitive(status, "key")));
		cJSON_Delete(status);
	}
	return key;
}

// What another process said was checked there; here it is set like a configuration file.
static void take_setting(struct rds_settings *settings, const cJSON *item)
{
	struct rds_error err;
	enum rds_setting setting;
	const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "value"));
	if (value == NULL || value[0] == '\0' ||
	    !rds_setting_find(rds_view_text(item->string), &setting) ||
	    setting == RDS_SET_DATA_DIR || setting == RDS_SET_KEY || setting == RDS_SET_CONFIG)
		return;
	// Above whatever this command's own surroundings say, below its command line.
	if (rds_settings_set(settings, setting, value, RDS_FROM_CONFIG_FILE,
	                     "the running ID server", &err) != 0)
		(void)fprintf(stderr, "the running ID server's settings: %s\n", err.text);
}

void rds_running_take(struct rds_settings *settings, const cJSON *answer)
{
	const cJSON *item = NULL;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(answer, "settings"))
	        take_setting(settings, item);
}

void rds_running_settings(const struct rds_datadir *dir, struct rds_settings *settings)
{
	struct rds_error err;
	cJSON *answer = NULL;
	if (rds_running_ask(dir, "id", "settings", &answer, &err) == 0)
		rds_running_take(settings, answer);
	cJSON_Delete(answer);
}
