// SPDX-License-Identifier: MIT
// Starting the ID server: settings become the rules' configuration.
#include "cmd/role_private.h"

#include "core/alloc.h"
#include "core/limits.h"
#include "core/rendezvous_admin.h"
#include "keys/keypair.h"

#include <stdlib.h>

static void add_udp(struct role *role, int fd)
{
	rds_id_service_add_udp(role->id, fd,
	                       (int)rds_settings_number(role->settings, RDS_SET_RMEM));
}

static void add_main(struct role *role, int fd)
{
	rds_id_service_add_tcp(role->id, fd, RDS_DOOR_MAIN);
}

static void add_nat(struct role *role, int fd)
{
	rds_id_service_add_tcp(role->id, fd, RDS_DOOR_NAT);
}

static void add_websocket(struct role *role, int fd)
{
	rds_id_service_add_websocket(role->id, fd, rds_sha1);
}

static void remove_socket(struct role *role, int fd)
{
	rds_id_service_remove(role->id, fd);
}

static int listen_at(struct role *role, enum rds_proto proto, uint16_t port, role_fd_fn add,
                     struct rds_error *err)
{
	const struct role_door door = {
	        .role = "id", .proto = proto, .port = port, .add = add, .remove = remove_socket};
	return role_listen(role, &door, err);
}

static struct rds_view *views_of(const struct rds_strings *strings)
{
	struct rds_view *views = rds_calloc(strings->n, sizeof *views);
	for (size_t i = 0; i < strings->n; i++)
		views[i] = rds_view_text(strings->items[i]);
	return views;
}

int role_read_always_use_relay(struct role *role, const char *text, struct rds_error *err)
{
	struct rds_switch fresh;
	int rc = rds_value_switch_or_cidrs(text, &fresh, err);
	if (rc != 0)
		return rc;
	if (role->id != NULL)
		rds_rendezvous_set_always_use_relay(rds_id_service_rules(role->id), fresh.on,
		                                    fresh.nets.items, fresh.nets.n);
	rds_switch_free(&role->always_use_relay);
	role->always_use_relay = fresh;
	return 0;
}

int role_set(struct role *role, enum rds_setting setting, const char *text, const char *by,
             struct rds_error *err)
{
	struct rds_error form;
	const char *name = rds_setting_row(setting)->name;
	int rc = setting == RDS_SET_RELAY_SERVERS ? role_read_relays(role, text, &form)
	                                          : role_read_always_use_relay(role, text, &form);
	if (rc != 0)
		return rds_fail(err, RDS_EINVAL, "%s takes %s", name, form.text);
	rds_log(RDS_LOG_INFO, "setting changed", rds_field_text("setting", name),
	        rds_field_text("from", by), rds_field_text("to", text));
	return 0;
}

static int read_lists(struct role *role, struct rds_error *err)
{
	const struct rds_settings *settings = role->settings;
	int rc = rds_value_cidrs(rds_settings_text(settings, RDS_SET_MASK), &role->lan, err);
	if (rc == 0)
		rc = rds_value_cidrs(rds_settings_text(settings, RDS_SET_LIMIT_EXEMPT),
		                     &role->exempt, err);
	if (rc == 0)
		rc = role_read_always_use_relay(
		        role, rds_settings_text(settings, RDS_SET_ALWAYS_USE_RELAY), err);
	rds_strings_split(rds_settings_text(settings, RDS_SET_RENDEZVOUS_SERVERS),
	                  &role->server_names);
	role->server_views = views_of(&role->server_names);
	if (rc == 0)
		rc = role_read_relays(role, rds_settings_text(settings, RDS_SET_RELAY_SERVERS),
		                      err);
	return rc;
}

static struct rds_rendezvous_config rules_config(const struct role *role)
{
	const struct rds_settings *s = role->settings;
	const char *url = rds_settings_text(s, RDS_SET_SOFTWARE_URL);
	return (struct rds_rendezvous_config){
	        .seed = role->seed,
	        .lan = role->lan.items,
	        .n_lan = role->lan.n,
	        .enrol = (enum rds_enrol)rds_settings_number(s, RDS_SET_ENROL),
	        .always_use_relay = role->always_use_relay.on,
	        .relayed = role->always_use_relay.nets.items,
	        .n_relayed = role->always_use_relay.nets.n,
	        .relays = role->relays.items,
	        .n_relays = role->relays.n,
	        .keep_alive_sec = RDS_KEEP_ALIVE_SEC,
	        .serial = (int32_t)rds_settings_number(s, RDS_SET_SERIAL),
	        .rendezvous_servers = role->server_views,
	        .n_rendezvous_servers = role->server_names.n,
	        .software_url = url[0] == '\0' ? NULL : url,
	        .limits = {.per_minute =
	                           (uint32_t)rds_settings_number(s, RDS_SET_LIMIT_REGISTER_MINUTE),
	                   .ids_per_day = (uint32_t)rds_settings_number(s, RDS_SET_LIMIT_IDS_DAY),
	                   .exempt = role->exempt.items,
	                   .n_exempt = role->exempt.n},
	};
}

// One port that follows, or as many as were set.
static int listen_for_websocket(struct role *role, struct rds_error *err)
{
	const char *text = rds_settings_text(role->settings, RDS_SET_WEBSOCKET_PORT);
	uint16_t first = rds_settings_port(role->settings, RDS_SET_WEBSOCKET_PORT);
	struct rds_ports ports;
	int rc = listen_at(role, RDS_TCP, first, add_websocket, err);
	if (rc != 0 || text[0] == '\0')
		return rc;
	rc = rds_value_ports(text, &ports, err);
	for (size_t i = 1; i < ports.n && rc == 0; i++)
		rc = listen_at(role, RDS_TCP, ports.items[i], add_websocket, err);
	rds_ports_free(&ports);
	return rc;
}

int role_id_start(struct role *role, struct rds_error *err)
{
	const struct rds_settings *settings = role->settings;
	int rc = read_lists(role, err);
	if (rc != 0)
		return rc;
	struct rds_rendezvous_config config = rules_config(role);
	struct rds_key_hooks hooks = role_key_hooks(role);
	struct rds_secure_hooks secure;
	struct rds_proxies proxies = role_proxies(role);
	role->id = rds_id_service_new(role->loop, &config, &hooks, role_secure_open(role, &secure),
	                              &proxies);
	char *path = rds_instance_database(role->settings, rds_datadir_path(role->dir));
	// A new one belongs to the directory's owner, whoever starts the server first.
	if (rds_settings_text(settings, RDS_SET_DB_URL)[0] == '\0')
		rc = rds_datadir_write(role->dir, RDS_DATABASE_FILE, 0600, RDS_WRITE_NEW,
		                       rds_view_of("", 0), err);
	if (rc == -RDS_EEXIST)
		rc = 0;
	if (rc == 0)
		rc = rds_id_service_open_store(role->id, path, err);
	if (rc == 0) {
		struct rds_id_status status;
		rds_id_service_status(role->id, &status);
		rds_log(RDS_LOG_INFO, "peers on file", rds_field_uint("peers", status.rules.peers),
		        rds_field_text("database", path));
	}
	free(path);
	uint16_t port = (uint16_t)rds_settings_number(settings, RDS_SET_PORT);
	uint16_t nat_port = rds_settings_port(settings, RDS_SET_NAT_PORT);
	if (rc == 0)
		rc = listen_at(role, RDS_UDP, port, add_udp, err);
	if (rc == 0)
		rc = listen_at(role, RDS_TCP, port, add_main, err);
	if (rc == 0)
		rc = listen_at(role, RDS_TCP, nat_port, add_nat, err);
	if (rc == 0)
		rc = listen_for_websocket(role, err);
	if (rc != 0)
		return rc;
	role_listen_named(role, "id", RDS_LISTEN_WEBSOCKET, add_websocket);
	rds_id_service_set_console(role->id,
	                           role_console_open(role, &role->id_console, RDS_SET_NAT_PORT,
	                                             role_console_id, ROLE_CONSOLE_ID));
	return role_relays_start(role, err);
}

void role_id_stop(struct role *role)
{
	role_relays_stop(role);
	rds_id_service_free(role->id);
	rds_lines_free(role->id_console.lines);
	rds_offerer_free(role->offerer);
	rds_relays_free(&role->relays);
	rds_strings_free(&role->server_names);
	rds_cidrs_free(&role->lan);
	rds_switch_free(&role->always_use_relay);
	rds_cidrs_free(&role->exempt);
	free(role->server_views);
}
