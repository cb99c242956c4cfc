// SPDX-License-Identifier: MIT
// A role's lock and control socket, and what it tells over it.
#include "cmd/json.h"
#include "cmd/role_private.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/rendezvous_admin.h"
#include "keys/keypair.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
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

static void add_counters(cJSON *json, const struct rds_counters *counters)
{
	cJSON *object = rds_json_object(json, "counters");
	for (int i = 0; i < RDS_REASON_COUNT; i++)
		if (counters->n[i] > 0)
			rds_json_number(object, rds_reason_name((enum rds_reason)i),
			                counters->n[i]);
}

static void add_id_status(cJSON *json, const struct role *role)
{
	struct rds_id_status status;
	rds_id_service_status(role->id, &status);
	rds_json_number(json, "peers", status.rules.peers);
	rds_json_number(json, "online", status.online);
	rds_json_number(json, "connections", status.connections);
	rds_json_number(json, "waiting", status.rules.waits);
	rds_json_number(json, "stores_pending", status.rules.stores_pending);
	const struct rds_rotation *relays = rds_rendezvous_relays(rds_id_service_rules(role->id));
	rds_json_number(json, "relays", relays->n);
	rds_json_number(json, "relays_alive", rds_rotation_count(relays, RDS_RELAY_ALIVE));
	rds_json_number(json, "relays_dead", rds_rotation_count(relays, RDS_RELAY_DEAD));
	rds_json_number(json, "notes_pending", status.rules.notes_pending);
	rds_json_number(json, "check_ids", status.rules.check_ids);
	add_counters(json, &status.counters);
}

static void add_relay_status(cJSON *json, const struct role *role)
{
	struct rds_relay_status status;
	rds_relay_status(role->relay, &status);
	rds_json_number(json, "sessions", status.sessions);
	rds_json_number(json, "waiting", status.waiting);
	rds_json_number(json, "handshakes", status.handshakes);
	rds_json_number(json, "sessions_ended", status.sessions_ended);
	rds_json_number(json, "bytes", status.bytes);
	rds_json_number(json, "probes", status.probes);
	rds_json_number(json, "checks", status.checks);
	rds_json_switch(json, "draining", status.draining);
	add_counters(json, &status.counters);
}

static void add_key(cJSON *json, const struct role *role)
{
	const char *text = rds_key_policy_client_text(role->key);
	char fingerprint[RDS_FINGERPRINT_TEXT] = "";
	if (text != NULL)
		rds_fingerprint(rds_view_text(text), fingerprint);
	rds_json_text(json, "key", text == NULL ? "" : text);
	rds_json_text(json, "fingerprint", fingerprint);
	rds_json_switch(json, "enforced", rds_key_policy_enforced(role->key) != NULL);
}

static void add_status(cJSON *json, const struct role_control *control)
{
	const struct role *role = control->role;
	rds_json_text(json, "role", control->name);
	rds_json_text(json, "version", RDSRV_VERSION);
	rds_json_number(json, "pid", (uint64_t)getpid());
	rds_json_number(json, "uptime_seconds",
	                (rds_loop_now_ms(role->loop) - role->started_ms) / 1000);
	rds_json_text(json, "data_dir", rds_datadir_path(role->dir));
	add_key(json, role);
	if (strcmp(control->name, "id") == 0)
		add_id_status(json, role);
	else
		add_relay_status(json, role);
}

static void add_settings(cJSON *json, const struct role *role)
{
	cJSON *object = rds_json_object(json, "settings");
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		enum rds_setting setting = (enum rds_setting)i;
		char value[RDS_SETTING_MAX_BYTES + 1];
		cJSON *one = rds_json_object(object, rds_setting_row(setting)->name);
		rds_json_text(one, "value",
		              rds_settings_shown(role->settings, setting, value, sizeof value));
		rds_json_text(one, "from", rds_settings_where(role->settings, setting));
	}
}

struct unseen {
	struct role *role;
	struct rds_key_use *use;
	int64_t now;
	uint64_t peers;
	uint64_t unseen;
};

static void count_unseen(void *ctx, const struct rds_peer_info *info)
{
	struct unseen *unseen = ctx;
	unseen->peers++;
	if (rds_ip_is_none(&info->ip_on_file) ||
	    !rds_key_use_has_seen(unseen->use, &info->ip_on_file, unseen->now))
		unseen->unseen++;
}

// Writes down which keys are in use. A device that has only been registered shows no key; only by
// its address can it be told whether somebody there uses one.
static void add_key_use(cJSON *json, struct role *role)
{
	struct rds_error err;
	struct unseen unseen = {.role = role, .use = rds_key_use_new(), .now = (int64_t)time(NULL)};
	role_key_use_save(role);
	bool known = role->id != NULL && rds_key_use_load(unseen.use, role->dir, "id", &err) == 0 &&
	             rds_key_use_load(unseen.use, role->dir, "relay", &err) == 0;
	if (known) {
		rds_rendezvous_peers(rds_id_service_rules(role->id), rds_loop_now_ms(role->loop),
		                     count_unseen, &unseen);
		rds_json_number(json, "peers", unseen.peers);
		rds_json_number(json, "peers_not_seen_using_any_key", unseen.unseen);
	}
	rds_key_use_free(unseen.use);
}

static cJSON *take_keys(struct role *role)
{
	struct rds_error err;
	cJSON *json = rds_json_answer(role_key_follow(role, &err) == 0 ? NULL : err.text);
	add_key(json, role);
	return json;
}

static cJSON *run(const struct role_control *control, const char *command, const char *words)
{
	cJSON *json = NULL;
	if (strcmp(command, "status") == 0 && words[0] == '\0') {
		json = rds_json_answer(NULL);
		add_status(json, control);
	} else if (strcmp(command, "settings") == 0 && words[0] == '\0') {
		json = rds_json_answer(NULL);
		add_settings(json, control->role);
	} else if (strcmp(command, "take-keys") == 0 && words[0] == '\0') {
		json = take_keys(control->role);
	} else if (strcmp(command, "key-use") == 0 && words[0] == '\0') {
		json = rds_json_answer(NULL);
		add_key_use(json, control->role);
	} else if (strcmp(control->name, "id") == 0) {
		json = role_control_id(control->role, command, words);
	} else {
		json = role_control_relay(control->role, command, words);
	}
	return json != NULL ? json
	                    : rds_json_wrong_use("there is no such command; see rdsrv-ctl(1)");
}

// What rdsrv itself asks for: "check-...".
static bool is_internal(const char *word)
{
	return strncmp(word, "check-", 6) == 0;
}

const char *rds_role_word(const char *role, size_t i)
{
	static const char *const common[] = {"status", "settings"};
	const char *(*word)(size_t) =
	        strcmp(role, "id") == 0 ? role_control_id_word : role_control_relay_word;
	if (i < 2)
		return common[i];
	i -= 2;
	for (size_t at = 0; word(at) != NULL; at++)
		if (!is_internal(word(at)) && i-- == 0)
			return word(at);
	return NULL;
}

// "command words": what follows the first space is the command's own.
static char *answer(void *ctx, const char *request)
{
	size_t len = strcspn(request, " ");
	char *command = rds_strndup(request, len);
	const char *words = request + len + strspn(request + len, " ");
	cJSON *json = run(ctx, command, words);
	char *text = rds_json_print(json);
	cJSON_Delete(json);
	free(command);
	return text;
}

struct cJSON *role_command_run(const struct role_command *commands, size_t n, struct role *role,
                               const char *command, const char *words)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(commands[i].name, command) != 0)
			continue;
		if (commands[i].takes == ROLE_NEEDS_WORD && words[0] == '\0')
			return rds_json_wrong_use("this command needs an argument");
		if (commands[i].takes == ROLE_NO_WORD && words[0] != '\0')
			return rds_json_wrong_use("this command takes no argument");
		return commands[i].run(role, words);
	}
	return NULL;
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
		int rc = rds_control_open(role->loop, path, answer, control, &control->control,
		                          &why);
		if (rc != 0)
			return rds_fail(err, RDS_ESYS, "%s/%s: %s", rds_datadir_path(role->dir),
			                file, why.text);
	}
	return 0;
}

void role_control_close(struct role *role)
{
	for (size_t i = 0; i < 2; i++)
		rds_control_close(role->controls[i].control);
}
