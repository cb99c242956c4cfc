// SPDX-License-Identifier: MIT
// Asking the role that runs in a data directory, over its control socket.
#ifndef RDS_CMD_RUNNING_H
#define RDS_CMD_RUNNING_H

#include "conf/settings.h"
#include "keys/datadir.h"

#include <cJSON.h>

// The parsed answer to one request. -RDS_ENOENT: that role doesn't run there (*err untouched).
// The caller deletes *out.
int rds_running_ask(const struct rds_datadir *dir, const char *role, const char *request,
                    cJSON **out, struct rds_error *err) __attribute__((warn_unused_result));

// The same, but for how long an answer is waited for.
int rds_running_ask_within(const struct rds_datadir *dir, const char *role, const char *request,
                           unsigned timeout_ms, cJSON **out, struct rds_error *err)
        __attribute__((warn_unused_result));

// The public key that the running ID server (or else relay) tells clients, as fresh memory; NULL
// if none runs.
char *rds_running_key(const struct rds_datadir *dir);

// Takes over what the running ID server was set to, flags in its unit file included, wherever
// our own command line says nothing. Nothing runs: nothing changes.
void rds_running_settings(const struct rds_datadir *dir, struct rds_settings *settings);

// The same with its answer to "settings", which is there already.
void rds_running_take(struct rds_settings *settings, const cJSON *answer);

#endif
