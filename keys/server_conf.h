// SPDX-License-Identifier: MIT
// The data directory's own server.conf, which follows the key unless a person has edited it.
#ifndef RDS_KEYS_SERVER_CONF_H
#define RDS_KEYS_SERVER_CONF_H

#include "keys/keyring.h"

#define RDS_SERVER_CONF     "server.conf"
#define RDS_SERVER_CONF_NEW "server.conf.new"

// Puts key in the place of old_key, or where the file was edited, into a copy, server.conf.new;
// *kept says which. Where another key than these stands, or none, nothing is done. Changes what
// the ring knows of it, and leaves it to the caller to save that; between begin and end.
int rds_server_conf_follow(const struct rds_datadir *dir, struct rds_keyring *ring,
                           const char *old_key, const char *key, bool *kept, struct rds_error *err)
        __attribute__((warn_unused_result));

// Writes it where there is none, or an empty one; *written says whether it did. wait: as
// rds_datadir_begin.
int rds_server_conf_write(const struct rds_datadir *dir, struct rds_view text, bool wait,
                          bool *written, struct rds_error *err) __attribute__((warn_unused_result));

#endif
