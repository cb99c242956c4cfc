// SPDX-License-Identifier: MIT
// What clients are configured with (protocol.md section 13). Its forms are in conf/form.h.
#ifndef RDS_CONF_CLIENT_CONF_H
#define RDS_CONF_CLIENT_CONF_H

#include "core/error.h"

// Texts, never NULL; empty where there is none. An empty relay is the ID server's host.
struct rds_client_conf {
	char *id_server;    // may be a comma-separated list, in order
	char *relay_server; // may be a list too
	char *api_server;
	char *key;
};

void rds_client_conf_clear(struct rds_client_conf *conf);

// A copy with the first host of each list, which is all that clients themselves take.
struct rds_client_conf rds_client_conf_first(const struct rds_client_conf *conf);

// Whether it can be handed out: hosts that are hosts, a URL, a key that is one plain line and no
// secret. -RDS_EINVAL with *err.
int rds_client_conf_check(const struct rds_client_conf *conf, struct rds_error *err)
        __attribute__((warn_unused_result));

#endif
