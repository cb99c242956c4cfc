// SPDX-License-Identifier: MIT
#include "cmd/role_private.h"

int role_listen(struct role *role, const char *name, enum rds_proto proto, uint16_t port,
                role_add_fn add, struct rds_error *err)
{
	for (size_t i = 0; i < role->binds.n && port != 0; i++) {
		int fd = -1;
		struct rds_addr local = {0};
		int rc = rds_listen(proto, &role->binds.items[i], port, &fd, err);
		if (rc != 0)
			return rc;
		(void)rds_local_addr(fd, &local);
		rds_log(RDS_LOG_INFO, "listening", rds_field_text("role", name),
		        rds_field_text("proto", proto == RDS_UDP ? "udp" : "tcp"),
		        rds_field_addr("addr", &local));
		add(role, fd);
	}
	return 0;
}
