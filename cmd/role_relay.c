// SPDX-License-Identifier: MIT
// Starting the relay.
#include "cmd/role_private.h"

static void add_listener(struct role *role, int fd)
{
	rds_relay_add_listener(role->relay, fd);
}

int role_relay_start(struct role *role, struct rds_error *err)
{
	struct rds_key_hooks hooks = role_key_hooks(role);
	uint16_t port = rds_settings_port(role->settings, RDS_SET_RELAY_PORT);
	if (port == 0 && !role->kind->id)
		return rds_fail(err, RDS_EINVAL, "%s: the relay's only port is off",
		                rds_settings_where(role->settings, RDS_SET_RELAY_PORT));
	role->relay = rds_relay_new(role->loop, &role->seed, &hooks);
	return role_listen(role, "relay", RDS_TCP, port, add_listener, err);
}
