// SPDX-License-Identifier: MIT
#include "cmd/role_private.h"

#include "cmd/cmd.h"
#include "cmd/container.h"
#include "cmd/log_sink.h"
#include "keys/keypair.h"
#include "net/notify.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void on_stop(void *ctx)
{
	struct role *role = ctx;
	role_service_stopping(role);
	int64_t drain_sec = rds_settings_number(role->settings, RDS_SET_DRAIN_TIMEOUT);
	if (drain_sec > 0 && role_drain(role, drain_sec))
		return;
	rds_log(RDS_LOG_INFO, "stopping", rds_field_reason(RDS_WHY_SHUTDOWN));
	rds_loop_stop(role->loop);
}

static void on_hangup(void *ctx)
{
	struct rds_error err;
	(void)role_reload(ctx, &err);
}

// Thousands of connections need as many descriptors: what the administrator allows is used.
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void warn_of_idle_settings(const struct role *role)
{
	const struct rds_settings *settings = role->settings;
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		const struct rds_setting_row *row = rds_setting_row((enum rds_setting)i);
		if (row->no_effect != NULL && rds_settings_is_set(settings, (enum rds_setting)i))
			rds_log(RDS_LOG_WARN, "a setting has no effect",
			        rds_field_text("setting", row->name),
			        rds_field_text("from",
			                       rds_settings_where(settings, (enum rds_setting)i)),
			        rds_field_text("because", row->no_effect));
	}
	// Guides write `hbbr -r HOST`. In a file it may be there for the ID server.
	if (!role->kind->id &&
	    rds_settings_origin(settings, RDS_SET_RELAY_SERVERS) == RDS_FROM_COMMAND_LINE)
		rds_log(RDS_LOG_INFO, "a setting has no effect",
		        rds_field_text("setting", rds_setting_row(RDS_SET_RELAY_SERVERS)->name),
		        rds_field_text("from", rds_settings_where(settings, RDS_SET_RELAY_SERVERS)),
		        rds_field_text("because",
		                       "it is for the ID server: a relay tells clients nothing"));
}

// A signal that comes before the loop is there waits for it.
static void hold_signals(int how)
{
	sigset_t ours;
	(void)sigemptyset(&ours);
	(void)sigaddset(&ours, SIGTERM);
	(void)sigaddset(&ours, SIGINT);
	(void)sigaddset(&ours, SIGHUP);
	(void)sigprocmask(how, &ours, NULL);
}

static int start_loop(struct role *role, struct rds_error *err)
{
	raise_descriptor_limit();
	if (!rds_random(&role->seed, sizeof role->seed))
		return rds_fail(err, RDS_ECRYPTO, "no random numbers from OpenSSL");
	int rc = rds_loop_new(&role->loop, err);
	if (rc != 0)
		return rc;
	role->started_ms = rds_loop_now_ms(role->loop);
	role->signals[0] = rds_signal_on(role->loop, SIGTERM, on_stop, role);
	role->signals[1] = rds_signal_on(role->loop, SIGINT, on_stop, role);
	role->signals[2] = rds_signal_on(role->loop, SIGHUP, on_hangup, role);
	hold_signals(SIG_UNBLOCK);
	return 0;
}

// Two TCP ports that are the same would be told as "held by another program".
static int check_ports(const struct role *role, struct rds_error *err)
{
	static const enum rds_setting ports[] = {RDS_SET_PORT, RDS_SET_NAT_PORT,
	                                         RDS_SET_WEBSOCKET_PORT, RDS_SET_RELAY_PORT,
	                                         RDS_SET_RELAY_WEBSOCKET_PORT};
	size_t first = role->kind->id ? 0 : 3;
	size_t n = role->kind->relay ? 5 : 3;
	for (size_t i = first; i < n; i++) {
		uint16_t port = rds_settings_port(role->settings, ports[i]);
		for (size_t j = first; j < i && port != 0; j++)
			if (rds_settings_port(role->settings, ports[j]) == port)
				return rds_fail(
				        err, RDS_EINVAL,
				        "%s and %s are both %u: give one of them another port",
				        rds_setting_row(ports[j])->name,
				        rds_setting_row(ports[i])->name, (unsigned)port);
	}
	return 0;
}

static int start(struct role *role, struct rds_error *err)
{
	warn_of_idle_settings(role);
	rds_log(RDS_LOG_INFO, "data directory", rds_field_text("path", rds_datadir_path(role->dir)),
	        rds_field_text("because", role->dir_why));
	if (rds_settings_text(role->settings, RDS_SET_LOG_FILE)[0] != '\0')
		(void)fprintf(stderr, "%s: data directory %s (%s), log in %s\n",
		              role->kind->cli.name, rds_datadir_path(role->dir), role->dir_why,
		              rds_settings_text(role->settings, RDS_SET_LOG_FILE));
	rds_container_warn(role->settings, rds_datadir_path(role->dir));
	int rc = role->handed_over.text[0] == '\0'
	                 ? 0
	                 : rds_fail(err, RDS_EINVAL, "%s", role->handed_over.text);
	if (rc == 0)
		rc = check_ports(role, err);
	if (rc == 0)
		rc = role_key_check(role, err);
	if (rc == 0)
		rc = role_binds_open(role, err);
	if (rc == 0)
		rc = role_read_proxies(role, err);
	if (rc == 0)
		rc = role_lock(role, err);
	if (rc == 0)
		rc = rds_container_put_keys(role->dir, role->given_pair, err);
	if (rc == 0)
		rc = role_key_open(role, err);
	if (rc == 0)
		rc = start_loop(role, err);
	if (rc == 0 && role->kind->id)
		rc = role_id_start(role, err);
	if (rc == 0 && role->kind->relay)
		rc = role_relay_start(role, err);
	if (rc == 0)
		rc = role_control_open(role, err);
	if (rc == 0)
		rc = role_binds_follow(role, err);
	if (rc != 0)
		return rc;
	rds_listen_drop_unused();
	role_key_log(role);
	role_key_watch(role);
	if (role->kind->id)
		role_write_server_conf(role, true);
	return 0;
}

// In reverse order; fine for what was never started.
static void stop(struct role *role)
{
	// One more would end us in the middle of it, as soon as the loop's handlers are gone.
	hold_signals(SIG_BLOCK);
	role_service_stopping(role);
	role_service_close(role);
	role_control_close(role);
	role_binds_close(role);
	role_relay_stop(role);
	role_id_stop(role);
	for (size_t i = 0; i < sizeof role->signals / sizeof role->signals[0]; i++)
		rds_signal_free(role->signals[i]);
	rds_cidrs_free(&role->trusted);
	rds_ports_free(&role->header_ports);
	role_key_close(role);
	rds_keypair_free(role->given_pair);
	rds_loop_free(role->loop);
	role_unlock(role);
	rds_datadir_close(role->dir);
}

static const char *name_of(const struct rds_role_kind *kind)
{
	return !kind->id ? "relay" : kind->relay ? "serve" : "id";
}

// Everything between valid settings and the exit code.
static int run(struct role *role, struct rds_error *err)
{
	(void)signal(SIGPIPE, SIG_IGN);
	hold_signals(SIG_BLOCK);
	int rc = rds_container_take_keys(role->settings, &role->given_pair, err);
	if (rc == 0)
		rc = rds_instance_find(role->settings, role->kind->use, &role->dir, &role->dir_why,
		                       err);
	if (rc != 0) {
		rds_keypair_free(role->given_pair);
		return rds_instance_exit_code(rc);
	}
	rc = start(role, err);
	if (rc == 0) {
		rds_log(RDS_LOG_INFO, "ready", rds_field_text("role", name_of(role->kind)),
		        rds_field_text("version", RDSRV_VERSION));
		role_service_ready(role);
		if (rds_loop_run(role->loop) != 0)
			rc = rds_fail(err, RDS_ESYS, "the event loop failed");
	}
	stop(role);
	if (rc == 0)
		rds_log(RDS_LOG_INFO, "stopped", rds_field_text("role", name_of(role->kind)));
	return rc == 0 ? RDS_EXIT_OK : rc == -RDS_EINVAL ? RDS_EXIT_USAGE : RDS_EXIT_PROBLEM;
}

// In the log's form where there is a log; on standard error in any case.
static void complain(const struct role *role, const struct rds_error *err)
{
	bool to_file = rds_settings_text(role->settings, RDS_SET_LOG_FILE)[0] != '\0';
	rds_log(RDS_LOG_ERROR, "can't start", rds_field_text("why", err->text));
	if (!rds_log_wants(RDS_LOG_ERROR) || to_file)
		rds_cli_complain(&role->kind->cli, err);
}

// Prints the settings, with the data directory that a start would take.
static int test_config(struct role *role, struct rds_error *err)
{
	char *dir = NULL;
	const char *why = NULL;
	int rc = rds_instance_choose(role->settings, role->kind->use, &dir, &why, err);
	if (rc == 0)
		rc = check_ports(role, err);
	if (rc == 0)
		rc = role_key_check(role, err);
	if (rc == 0)
		rc = rds_settings_set(role->settings, RDS_SET_DATA_DIR, dir,
		                      rds_settings_origin(role->settings, RDS_SET_DATA_DIR), why,
		                      err);
	free(dir);
	if (rc != 0)
		return RDS_EXIT_USAGE;
	rds_cli_print_settings(role->settings);
	return RDS_EXIT_OK;
}

enum { OPTION_TEST_CONFIG, OPTION_GENERATE };

int rds_role_main(const struct rds_role_kind *kind, int argc, char **argv)
{
	struct rds_error err = {""};
	struct rds_cli_result result;
	struct role role = {
	        .kind = kind, .argc = argc, .argv = argv, .settings = rds_settings_new()};
	role.controls[0].lock_fd = role.controls[1].lock_fd = -1;
	int code = RDS_EXIT_USAGE;
	if (rds_listen_inherit(&role.handed_over) == 0)
		role.handed_over.text[0] = '\0';
	rds_notify_open();
	int rc = rds_cli_parse(&kind->cli, argc, argv, role.settings, &result, &err);
	if (rc == 0 && !rds_cli_no_arguments(&kind->cli, argc, argv, &result, &code))
		rc = -RDS_EINVAL;
	if (rc == 0)
		rc = rds_cli_read_layers(role.settings, &err);
	if (rc == 1) {
		code = RDS_EXIT_OK;
	} else if (rc == 0 && result.values[OPTION_TEST_CONFIG] != NULL) {
		code = test_config(&role, &err);
	} else if (rc == 0 && kind->generate != NULL && result.values[OPTION_GENERATE] != NULL) {
		code = kind->generate(&kind->cli, role.settings);
	} else if (rc == 0 && (rc = rds_log_sink_open(role.settings, &err)) != 0) {
		code = RDS_EXIT_PROBLEM;
	} else if (rc == 0) {
		code = run(&role, &err);
	}
	if (err.text[0] != '\0' && code != RDS_EXIT_OK)
		complain(&role, &err);
	rds_log_sink_close();
	rds_settings_free(role.settings);
	return code;
}
