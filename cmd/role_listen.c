// SPDX-License-Identifier: MIT
#include "cmd/role_private.h"

static void take(struct role *role, const char *name, enum rds_proto proto, role_add_fn add, int fd)
{
	struct rds_addr local = {0};
	(void)rds_local_addr(fd, &local);
	rds_log(RDS_LOG_INFO, "listening", rds_field_text("role", name),
	        rds_field_text("proto", proto == RDS_UDP ? "udp" : "tcp"),
	        rds_field_addr("addr", &local));
	add(role, fd);
}

int role_listen(struct role *role, const char *name, enum rds_proto proto, uint16_t port,
                role_add_fn add, struct rds_error *err)
{
	for (size_t i = 0; i < role->binds.n && port != 0; i++) {
		const struct rds_bind *bind = &role->binds.items[i];
		int fd = -1;
		int rc = rds_listen(proto, bind, port, &fd, err);
		if (rc != 0)
			return rc;
		for (; fd >= 0; fd = rds_listen_inherited(proto, bind, port))
			take(role, name, proto, add, fd);
	}
	return 0;
}
