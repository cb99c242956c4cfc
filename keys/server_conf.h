// SPDX-License-Identifier: MIT
// The data directory's own server.conf, which follows the key unless a person has edited it.
#ifndef RDS_KEYS_SERVER_CONF_H
#define RDS_KEYS_SERVER_CONF_H

#include "keys/keyring.h"

#define RDS_SERVER_CONF     "server.conf"
#define RDS_SERVER_CONF_NEW "server.conf.new"

// Puts the key into it, or where it was edited into a copy, server.conf.new; *kept says which.
// Changes what the ring knows of it, and leaves it to the caller to save that.
int rds_server_conf_follow(const struct rds_datadir *dir, struct rds_keyring *ring, const char *key,
                       bool *kept, struct rds_error *err) __attribute__((warn_unused_result));

// Writes it where there is none, or an empty one; *written says whether it did.
int rds_server_conf_write(const struct rds_datadir *dir, struct rds_view text, bool *written,
                          struct rds_error *err) __attribute__((warn_unused_result));

#endif
