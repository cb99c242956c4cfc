// SPDX-License-Identifier: MIT
// Starting the relay, its limits, and its leaving.
#include "cmd/role_private.h"

#include "keys/keypair.h"

#include <unistd.h>

// A session's limits are in megabits, 2^20 of them, a second (section 9 point 6).
#define BYTES_PER_MBIT (1024 * 1024 / 8)

static void add_tcp(struct role *role, int fd)
{
	rds_relay_add_tcp(role->relay, fd);
}

static void add_websocket(struct role *role, int fd)
{
	rds_relay_add_websocket(role->relay, fd);
}

static void add_udp(struct role *role, int fd)
{
	rds_relay_add_udp(role->relay, fd);
}

static void remove_socket(struct role *role, int fd)
{
	rds_relay_remove(role->relay, fd);
}

static int listen_at(struct role *role, enum rds_proto proto, uint16_t port, role_fd_fn add,
                     struct rds_error *err)
{
	const struct role_door door = {
	        .role = "relay", .proto = proto, .port = port, .add = add, .remove = remove_socket};
	return role_listen(role, &door, err);
}

static uint64_t bytes_ps(const struct role *role, enum rds_setting setting)
{
	return (uint64_t)rds_settings_number(role->settings, setting) * BYTES_PER_MBIT;
}

void role_set_limits(struct role *role)
{
	const struct rds_settings *settings = role->settings;
	struct rds_pump_limits *limits = rds_relay_limits(role->relay);
	limits->single = bytes_ps(role, RDS_SET_SINGLE_BANDWIDTH);
	limits->slow = bytes_ps(role, RDS_SET_LIMIT_SPEED);
	limits->total = bytes_ps(role, RDS_SET_TOTAL_BANDWIDTH);
	limits->downgrade_per_mille =
	        (uint64_t)rds_settings_number(settings, RDS_SET_DOWNGRADE_THRESHOLD);
	limits->downgrade_after_ms =
	        (uint64_t)rds_settings_number(settings, RDS_SET_DOWNGRADE_START_CHECK) * 1000;
	limits->idle_ms = (uint64_t)rds_settings_number(settings, RDS_SET_IDLE_TIMEOUT) * 1000;
}

int role_set_limit(struct role *role, enum rds_setting setting, const char *value, const char *by,
                   struct rds_error *err)
{
	int rc = rds_settings_set(role->settings, setting, value, RDS_FROM_COMMAND_LINE, by, err);
	if (rc != 0)
		return rc;
	role_set_limits(role);
	rds_log(RDS_LOG_INFO, "limit set", rds_field_text("limit", rds_setting_row(setting)->name),
	        rds_field_text("from", by), rds_field_text("to", value));
	return 0;
}

static unsigned thread_count(const struct role *role)
{
	int64_t n = rds_settings_number(role->settings, RDS_SET_RELAY_THREADS);
	long cores = n > 0 ? n : sysconf(_SC_NPROCESSORS_ONLN);
	return cores < 1                       ? 1
	       : cores > RDS_RELAY_THREADS_MAX ? RDS_RELAY_THREADS_MAX
	                                       : (unsigned)cores;
}

static void on_issue(void *ctx, uint64_t now_ms, struct rds_view uuid)
{
	const struct role *role = ctx;
	rds_issued_add(role->issued, now_ms, uuid);
}

static bool is_issued(void *ctx, struct rds_view uuid)
{
	const struct role *role = ctx;
	return rds_issued_has(role->issued, rds_loop_now_ms(role->loop), uuid);
}

// Under serve the two roles know of each other.
static int meet_id_server(struct role *role, struct rds_relay_config *config, struct rds_error *err)
{
	if (rds_settings_number(role->settings, RDS_SET_RELAY_ONLY_ISSUED) == 0)
		return 0;
	if (role->id == NULL)
		return rds_fail(err, RDS_EINVAL,
		                "%s: relay-only-issued needs the ID server in the same process: "
		                "use rdsrv serve",
		                rds_settings_where(role->settings, RDS_SET_RELAY_ONLY_ISSUED));
	role->issued = rds_issued_new(&role->seed);
	rds_id_service_on_issue(role->id, on_issue, role);
	config->issued = is_issued;
	config->issued_ctx = role;
	return 0;
}

static int listen_everywhere(struct role *role, struct rds_error *err)
{
	uint16_t port = rds_settings_port(role->settings, RDS_SET_RELAY_PORT);
	uint16_t websocket = rds_settings_port(role->settings, RDS_SET_RELAY_WEBSOCKET_PORT);
	int rc = listen_at(role, RDS_TCP, port, add_tcp, err);
	if (rc == 0)
		rc = listen_at(role, RDS_UDP, port, add_udp, err);
	if (rc == 0)
		rc = listen_at(role, RDS_TCP, websocket, add_websocket, err);
	if (rc == 0 && role->id == NULL)
		role_listen_named(role, "relay", RDS_LISTEN_WEBSOCKET, add_websocket);
	if (rc == 0 && role->id != NULL)
		rds_id_service_hand_over(role->id, rds_relay_take_websocket, role->relay);
	return rc;
}

int role_relay_start(struct role *role, struct rds_error *err)
{
	struct rds_relay_config config = {.seed = role->seed,
	                                  .keys = role_key_hooks(role),
	                                  .proxies = role_proxies(role),
	                                  .sha1 = rds_sha1,
	                                  .threads = thread_count(role)};
	uint16_t port = rds_settings_port(role->settings, RDS_SET_RELAY_PORT);
	uint16_t websocket = rds_settings_port(role->settings, RDS_SET_RELAY_WEBSOCKET_PORT);
	if (port == 0 && websocket == 0 && role->id == NULL)
		return rds_fail(err, RDS_EINVAL, "%s: the relay's only port is off",
		                rds_settings_where(role->settings, RDS_SET_RELAY_PORT));
	int rc = meet_id_server(role, &config, err);
	if (rc == 0)
		rc = rds_relay_new(role->loop, &config, &role->relay, err);
	if (rc != 0)
		return rc;
	role_set_limits(role);
	rds_relay_set_console(role->relay,
	                      role_console_open(role, &role->relay_console, RDS_SET_RELAY_PORT,
	                                        role_console_relay, ROLE_CONSOLE_RELAY));
	rc = role_read_lists(role, err);
	return rc != 0 ? rc : listen_everywhere(role, err);
}

void role_relay_stop(struct role *role)
{
	rds_timer_free(role->drain_timer);
	rds_relay_free(role->relay);
	rds_lines_free(role->relay_console.lines);
	rds_issued_free(role->issued);
	rds_cidrs_free(&role->blocked);
	rds_cidrs_free(&role->slow);
}

static void on_drain(void *ctx)
{
	struct role *role = ctx;
	struct rds_relay_status status;
	rds_relay_status(role->relay, &status);
	if (status.sessions > 0 && rds_loop_now_ms(role->loop) < role->drain_until_ms)
		return;
	rds_log(RDS_LOG_INFO, "drained", rds_field_uint("sessions_left", status.sessions));
	rds_loop_stop(role->loop);
}

bool role_drain(struct role *role, int64_t timeout_sec)
{
	struct rds_relay_status status;
	if (role->relay == NULL || role->drain_timer != NULL)
		return false;
	rds_relay_drain(role->relay);
	rds_relay_status(role->relay, &status);
	rds_log(RDS_LOG_INFO,
	        "draining: no new sessions, and an end when the running ones are over",
	        rds_field_uint("sessions", status.sessions));
	role->drain_until_ms = timeout_sec < 0
	                               ? UINT64_MAX
	                               : rds_loop_now_ms(role->loop) + (uint64_t)timeout_sec * 1000;
	role->drain_timer = rds_timer_every(role->loop, 100, on_drain, role);
	return true;
}
