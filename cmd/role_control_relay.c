// SPDX-License-Identifier: MIT
// The relay's commands on its control socket.
#include "cmd/json.h"
#include "cmd/role_private.h"

#include <stdio.h>

// Rates are told in kilobits a second, as everywhere.
static uint64_t kbps(uint64_t bytes_ps)
{
	return bytes_ps * 8 / 1000;
}

static void add_session(cJSON *json, const struct rds_relay_session *session)
{
	char text[RDS_ADDR_TEXT];
	rds_json_number(json, "id", session->id);
	rds_json_bytes(json, "uuid", rds_view_text(session->uuid));
	rds_addr_format(&session->remotes[0], text);
	rds_json_text(json, "first", text);
	rds_addr_format(&session->remotes[1], text);
	rds_json_text(json, "second", text);
	rds_json_text(json, "transport", session->transport);
	rds_json_number(json, "seconds", session->lasted_ms / 1000);
	rds_json_number(json, "idle_seconds", session->idle_ms / 1000);
	rds_json_number(json, "bytes_from_first", session->bytes[0]);
	rds_json_number(json, "bytes_from_second", session->bytes[1]);
	rds_json_switch(json, "slow", session->slow);
	rds_json_switch(json, "check", session->check);
}

static void add_usage(cJSON *json, const struct rds_relay_session *session)
{
	char text[RDS_ADDR_TEXT];
	rds_json_number(json, "id", session->id);
	rds_addr_format(&session->remotes[0], text);
	rds_json_text(json, "first", text);
	rds_addr_format(&session->remotes[1], text);
	rds_json_text(json, "second", text);
	rds_json_number(json, "seconds", session->lasted_ms / 1000);
	rds_json_number(json, "megabytes", (session->bytes[0] + session->bytes[1]) / 1000000);
	rds_json_number(json, "peak_kbps", kbps(session->peak));
	rds_json_number(json, "average_kbps", kbps(session->average));
	rds_json_number(json, "current_kbps", kbps(session->current));
}

static cJSON *list(const struct role *role,
                   void (*add)(cJSON *json, const struct rds_relay_session *session))
{
	cJSON *json = rds_json_answer(NULL);
	cJSON *array = rds_json_array(json, "sessions");
	uint64_t at = 0;
	struct rds_relay_session session;
	while (rds_relay_next_session(role->relay, &at, &session))
		add(rds_json_item(array), &session);
	return json;
}

static cJSON *sessions(struct role *role, const char *words)
{
	(void)words;
	return list(role, add_session);
}

static cJSON *usage(struct role *role, const char *words)
{
	(void)words;
	return list(role, add_usage);
}

// By its number or its uuid's short form, as lists and the log name it.
static bool find(const struct role *role, const char *name, struct rds_relay_session *out)
{
	uint64_t at = 0;
	while (rds_relay_next_session(role->relay, &at, out)) {
		char number[24];
		(void)snprintf(number, sizeof number, "%llu", (unsigned long long)out->id);
		if (strcmp(number, name) == 0 || strcmp(out->uuid, name) == 0)
			return true;
	}
	return false;
}

static cJSON *no_session(void)
{
	return rds_json_answer("there is no such session: `rdsrv ctl relay sessions` lists them");
}

static cJSON *session(struct role *role, const char *words)
{
	struct rds_relay_session one;
	if (!find(role, words, &one))
		return no_session();
	cJSON *json = rds_json_answer(NULL);
	add_session(json, &one);
	rds_json_number(json, "peak_kbps", kbps(one.peak));
	rds_json_number(json, "average_kbps", kbps(one.average));
	rds_json_number(json, "current_kbps", kbps(one.current));
	return json;
}

static cJSON *kick(struct role *role, const char *words)
{
	struct rds_relay_session one;
	if (!find(role, words, &one) || !rds_relay_kick(role->relay, one.id))
		return no_session();
	return rds_json_answer(NULL);
}

static const enum rds_setting limit_settings[] = {
        RDS_SET_SINGLE_BANDWIDTH,    RDS_SET_TOTAL_BANDWIDTH,       RDS_SET_LIMIT_SPEED,
        RDS_SET_DOWNGRADE_THRESHOLD, RDS_SET_DOWNGRADE_START_CHECK, RDS_SET_IDLE_TIMEOUT};
#define N_LIMITS (sizeof limit_settings / sizeof limit_settings[0])

static bool is_limit(enum rds_setting setting)
{
	for (size_t i = 0; i < N_LIMITS; i++)
		if (limit_settings[i] == setting)
			return true;
	return false;
}

// "NAME VALUE", in force until the next start, or reload of a changed setting.
static int set_limit(struct role *role, const char *words, struct rds_error *err)
{
	enum rds_setting setting;
	size_t len = strcspn(words, " ");
	const char *value = words + len + strspn(words + len, " ");
	if (!rds_setting_find(rds_view_of(words, len), &setting) || !is_limit(setting))
		return rds_fail(err, RDS_EINVAL,
		                "no such limit: `rdsrv ctl relay limits` lists them");
	if (value[0] == '\0')
		return rds_fail(err, RDS_EINVAL, "a limit's name needs a value behind it");
	return role_set_limit(role, setting, value, "ctl", err);
}

static cJSON *limits(struct role *role, const char *words)
{
	struct rds_error err;
	int rc = words[0] == '\0' ? 0 : set_limit(role, words, &err);
	if (rc != 0)
		return rds_json_refusal(rc, &err);
	cJSON *json = rds_json_answer(NULL);
	for (size_t i = 0; i < N_LIMITS; i++)
		rds_json_text(json, rds_setting_row(limit_settings[i])->name,
		              rds_settings_text(role->settings, limit_settings[i]));
	return json;
}

static cJSON *list_changed(const char *what, const char *net, int rc, const struct rds_error *err)
{
	struct rds_cidr one;
	if (rds_cidr_parse(net, &one) != 0)
		return rds_json_wrong_use(err->text);
	if (rc != 0)
		return rds_json_answer(err->text);
	rds_log(RDS_LOG_INFO, what, rds_field_text("net", net));
	return rds_json_answer(NULL);
}

static cJSON *block(struct role *role, const char *words)
{
	struct rds_error err;
	return list_changed("address blocked", words,
	                    role_list_add(role, RDS_BLOCK_FILE, words, &err), &err);
}

static cJSON *slow(struct role *role, const char *words)
{
	struct rds_error err;
	return list_changed("address put on the slow lane", words,
	                    role_list_add(role, RDS_SLOW_FILE, words, &err), &err);
}

static cJSON *unblock(struct role *role, const char *words)
{
	struct rds_error err;
	return list_changed("address taken off the lists", words,
	                    role_list_remove(role, NULL, words, &err), &err);
}

// Without a number: for as long as is set, else without an end.
static cJSON *drain(struct role *role, const char *words)
{
	int64_t set = rds_settings_number(role->settings, RDS_SET_DRAIN_TIMEOUT);
	int64_t seconds = set > 0 ? set : -1;
	if (words[0] != '\0' && rds_value_number(words, 0, INT32_MAX, &seconds) != 0)
		return rds_json_wrong_use("drain takes a number of seconds");
	if (!role_drain(role, seconds))
		return rds_json_answer("it drains already");
	return rds_json_answer(NULL);
}

static cJSON *reload(struct role *role, const char *words)
{
	struct rds_error err;
	(void)words;
	return rds_json_answer(role_reload(role, &err) == 0 ? NULL : err.text);
}

static const struct role_command commands[] = {
        {"sessions", sessions, ROLE_NO_WORD},
        {"session", session, ROLE_NEEDS_WORD},
        {"kick", kick, ROLE_NEEDS_WORD},
        {"usage", usage, ROLE_NO_WORD},
        {"limits", limits, ROLE_MAY_WORD},
        {"block", block, ROLE_NEEDS_WORD},
        {"unblock", unblock, ROLE_NEEDS_WORD},
        {"slow", slow, ROLE_NEEDS_WORD},
        {"drain", drain, ROLE_MAY_WORD},
        {"reload", reload, ROLE_NO_WORD},
        {"check-issue", role_check_issue, ROLE_NEEDS_WORD},
};

const char *role_control_relay_word(size_t i)
{
	return i < sizeof commands / sizeof commands[0] ? commands[i].name : NULL;
}

cJSON *role_control_relay(struct role *role, const char *command, const char *words)
{
	return role_command_run(commands, sizeof commands / sizeof commands[0], role, command,
	                        words);
}
