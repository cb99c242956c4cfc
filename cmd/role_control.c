// SPDX-License-Identifier: MIT
// A role's lock and control socket, and what it tells over it.
#include "cmd/role_private.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "keys/keypair.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Which roles this process is, in the order of role->controls.
static size_t own_names(const struct role *role, const char *names[2])
{
	size_t n = 0;
	if (role->kind->id)
		names[n++] = "id";
	if (role->kind->relay)
		names[n++] = "relay";
	return n;
}

int role_lock(struct role *role, struct rds_error *err)
{
	const char *names[2];
	size_t n = own_names(role, names);
	for (size_t i = 0; i < n; i++) {
		struct role_control *control = &role->controls[i];
		char file[32];
		control->role = role;
		control->name = names[i];
		(void)snprintf(file, sizeof file, "rdsrv-%s.lock", names[i]);
		int rc = rds_datadir_lock(role->dir, file, &control->lock_fd, err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

void role_unlock(struct role *role)
{
	for (size_t i = 0; i < 2; i++)
		if (role->controls[i].lock_fd >= 0)
			(void)close(role->controls[i].lock_fd);
}

static void add_text(cJSON *json, const char *name, const char *text)
{
	if (cJSON_AddStringToObject(json, name, text) == NULL)
		abort();
}

static void add_number(cJSON *json, const char *name, uint64_t number)
{
	if (cJSON_AddNumberToObject(json, name, (double)number) == NULL)
		abort();
}

static cJSON *add_object(cJSON *json, const char *name)
{
	cJSON *object = cJSON_AddObjectToObject(json, name);
	if (object == NULL)
		abort();
	return object;
}

static void add_counters(cJSON *json, const struct rds_counters *counters)
{
	cJSON *object = add_object(json, "counters");
	for (int i = 0; i < RDS_REASON_COUNT; i++)
		if (counters->n[i] > 0)
			add_number(object, rds_reason_name((enum rds_reason)i), counters->n[i]);
}

static void add_id_status(cJSON *json, const struct role *role)
{
	struct rds_id_status status;
	rds_id_service_status(role->id, &status);
	add_number(json, "peers", status.rules.peers);
	add_number(json, "online", status.online);
	add_number(json, "connections", status.connections);
	add_number(json, "waiting", status.rules.waits);
	add_number(json, "stores_pending", status.rules.stores_pending);
	add_counters(json, &status.counters);
}

static void add_relay_status(cJSON *json, const struct role *role)
{
	struct rds_relay_status status;
	rds_relay_status(role->relay, &status);
	add_number(json, "sessions", status.sessions);
	add_number(json, "waiting", status.waiting);
	add_number(json, "handshakes", status.handshakes);
	add_number(json, "sessions_ended", status.sessions_ended);
	add_number(json, "bytes", status.bytes);
	add_counters(json, &status.counters);
}

static void add_key(cJSON *json, const struct role *role)
{
	const char *text = rds_key_policy_client_text(role->key);
	char fingerprint[RDS_FINGERPRINT_TEXT] = "";
	if (text != NULL)
		rds_fingerprint(rds_view_text(text), fingerprint);
	add_text(json, "key", text == NULL ? "" : text);
	add_text(json, "fingerprint", fingerprint);
	(void)cJSON_AddBoolToObject(json, "enforced", rds_key_policy_enforced(role->key) != NULL);
}

static void add_status(cJSON *json, const struct role_control *control)
{
	const struct role *role = control->role;
	add_text(json, "role", control->name);
	add_text(json, "version", RDSRV_VERSION);
	add_number(json, "pid", (uint64_t)getpid());
	add_number(json, "uptime_seconds",
	           (rds_loop_now_ms(role->loop) - role->started_ms) / 1000);
	add_text(json, "data_dir", rds_datadir_path(role->dir));
	add_key(json, role);
	if (strcmp(control->name, "id") == 0)
		add_id_status(json, role);
	else
		add_relay_status(json, role);
}

static void add_settings(cJSON *json, const struct role *role)
{
	cJSON *object = add_object(json, "settings");
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		enum rds_setting setting = (enum rds_setting)i;
		char value[RDS_SETTING_MAX_BYTES + 1];
		cJSON *one = add_object(object, rds_setting_row(setting)->name);
		add_text(one, "value",
		         rds_settings_shown(role->settings, setting, value, sizeof value));
		add_text(one, "from", rds_settings_where(role->settings, setting));
	}
}

static char *answer(void *ctx, const char *request)
{
	const struct role_control *control = ctx;
	cJSON *json = cJSON_CreateObject();
	bool status = strcmp(request, "status") == 0;
	bool settings = strcmp(request, "settings") == 0;
	if (json == NULL || cJSON_AddBoolToObject(json, "ok", status || settings) == NULL)
		abort();
	if (status)
		add_status(json, control);
	else if (settings)
		add_settings(json, control->role);
	else
		add_text(json, "error", "unknown command; there are: status, settings");
	char *text = cJSON_PrintUnformatted(json);
	if (text == NULL)
		abort();
	cJSON_Delete(json);
	return text;
}

int role_control_open(struct role *role, struct rds_error *err)
{
	for (size_t i = 0; i < 2 && role->controls[i].name != NULL; i++) {
		struct role_control *control = &role->controls[i];
		char file[32];
		char path[RDS_DATADIR_REF];
		(void)snprintf(file, sizeof file, "%s.sock", control->name);
		rds_datadir_ref(role->dir, file, path);
		struct rds_error why;
		int rc = rds_control_open(role->loop, path, answer, control, &control->control, &why);
		if (rc != 0)
			return rds_fail(err, RDS_ESYS, "%s/%s: %s", rds_datadir_path(role->dir), file,
			                why.text);
	}
	return 0;
}

void role_control_close(struct role *role)
{
	for (size_t i = 0; i < 2; i++)
		rds_control_close(role->controls[i].control);
}
