// SPDX-License-Identifier: MIT
// What clients are told, from settings and the live key.
#ifndef RDS_CMD_CLIENT_HOSTS_H
#define RDS_CMD_CLIENT_HOSTS_H

#include "conf/client_conf.h"
#include "conf/settings.h"

// Hosts from the settings, ports that aren't the defaults written out; id_server is empty where
// no setting names it. key may be NULL. The caller clears *out.
void rds_client_hosts(const struct rds_settings *settings, const char *key,
                      struct rds_client_conf *out);

#endif
