// SPDX-License-Identifier: MIT
// SIGHUP and `ctl id reload`: what can change at run time is taken over, without dropping a peer;
// what can't is named.
#include "cmd/role_private.h"

#include "cmd/log_sink.h"
#include "core/rendezvous_admin.h"

static void apply_always_use_relay(struct role *role)
{
	struct rds_error err;
	const char *text = rds_settings_text(role->settings, RDS_SET_ALWAYS_USE_RELAY);
	if (role->id != NULL && role_read_always_use_relay(role, text, &err) != 0)
		rds_log(RDS_LOG_ERROR, "always-use-relay not taken over",
		        rds_field_text("why", err.text));
}

static void apply_enrol(struct role *role)
{
	if (role->id != NULL)
		rds_rendezvous_set_enrol(
		        rds_id_service_rules(role->id),
		        (enum rds_enrol)rds_settings_number(role->settings, RDS_SET_ENROL));
}

static void apply_relays(struct role *role)
{
	struct rds_error err;
	const char *text = rds_settings_text(role->settings, RDS_SET_RELAY_SERVERS);
	if (role->id != NULL && role_read_relays(role, text, &err) != 0)
		rds_log(RDS_LOG_ERROR, "relay-servers not taken over",
		        rds_field_text("why", err.text));
}

static void apply_limits(struct role *role)
{
	if (role->relay != NULL)
		role_set_limits(role);
}

static void apply_relay_probe(struct role *role)
{
	if (role->id != NULL)
		role_probe_relays(role);
}

static void apply_log_level(struct role *role)
{
	rds_log_set_level(
	        (enum rds_log_level)rds_settings_number(role->settings, RDS_SET_LOG_LEVEL));
}

static void apply_nothing(struct role *role)
{
	(void)role; // read anew whenever it is asked for
}

static const struct {
	enum rds_setting setting;
	void (*apply)(struct role *role);
} at_run_time[] = {
        {RDS_SET_LOG_LEVEL, apply_log_level},
        {RDS_SET_RELAY_SERVERS, apply_relays},
        {RDS_SET_RELAY_PROBE, apply_relay_probe},
        {RDS_SET_ALWAYS_USE_RELAY, apply_always_use_relay},
        {RDS_SET_ENROL, apply_enrol},
        {RDS_SET_ID_SERVER, apply_nothing},
        {RDS_SET_API_SERVER, apply_nothing},
        {RDS_SET_DRAIN_TIMEOUT, apply_nothing},
        {RDS_SET_IDLE_TIMEOUT, apply_limits},
        {RDS_SET_SINGLE_BANDWIDTH, apply_limits},
        {RDS_SET_TOTAL_BANDWIDTH, apply_limits},
        {RDS_SET_LIMIT_SPEED, apply_limits},
        {RDS_SET_DOWNGRADE_THRESHOLD, apply_limits},
        {RDS_SET_DOWNGRADE_START_CHECK, apply_limits},
};

static void take_over(struct role *role, const struct rds_settings *fresh, enum rds_setting setting)
{
	const char *name = rds_setting_row(setting)->name;
	for (size_t i = 0; i < sizeof at_run_time / sizeof at_run_time[0]; i++) {
		if (at_run_time[i].setting != setting)
			continue;
		rds_settings_copy(role->settings, fresh, setting);
		at_run_time[i].apply(role);
		rds_log(RDS_LOG_INFO, "setting changed", rds_field_text("setting", name),
		        rds_field_text("from", rds_settings_where(fresh, setting)));
		return;
	}
	rds_log(RDS_LOG_WARN, "a changed setting needs a restart", rds_field_text("setting", name),
	        rds_field_text("from", rds_settings_where(fresh, setting)));
}

static int read_fresh(const struct role *role, struct rds_settings *fresh, struct rds_error *err)
{
	struct rds_cli_result result;
	int rc = rds_cli_parse(&role->kind->cli, role->argc, role->argv, fresh, &result, err);
	return rc != 0 ? rc : rds_cli_read_layers(fresh, err);
}

int role_reload(struct role *role, struct rds_error *err)
{
	struct rds_settings *fresh = rds_settings_new();
	role_service_reloading();
	int rc = read_fresh(role, fresh, err);
	rds_log_sink_reopen();
	if (rc == 0 && role->relay != NULL)
		rc = role_read_lists(role, err);
	for (int i = 0; i < RDS_SET_COUNT && rc == 0; i++) {
		enum rds_setting setting = (enum rds_setting)i;
		if (strcmp(rds_settings_text(fresh, setting),
		           rds_settings_text(role->settings, setting)) != 0)
			take_over(role, fresh, setting);
	}
	rds_settings_free(fresh);
	if (rc != 0)
		rds_log(RDS_LOG_ERROR, "settings not reloaded: the old ones go on",
		        rds_field_text("why", err->text));
	else
		rds_log(RDS_LOG_INFO, "settings reloaded");
	role_service_reloaded(role);
	return rc;
}
