// SPDX-License-Identifier: MIT
// What holds in our image only, which sets RDSRV_CONTAINER to its data directory: where data is,
// and what the images of old are told by variables and secrets (protocol.md section 12).
#ifndef RDS_CMD_CONTAINER_H
#define RDS_CMD_CONTAINER_H

#include "conf/settings.h"
#include "keys/datadir.h"
#include "keys/keypair.h"

// Whether the setting `container` is set.
bool rds_container_is(const struct rds_settings *settings);

// Whether a directory holds the key or the database of a server.
bool rds_holds_server(const char *dir);

// Takes RELAY and ENCRYPTED_ONLY for what they stand for, where no layer from the environment up
// says otherwise.
int rds_container_read(struct rds_settings *settings, struct rds_error *err)
        __attribute__((warn_unused_result));

// The data directory, where none is named: the image's; or the working directory (the plain image
// of old has its data there), if only that holds a server or only there a volume is mounted.
void rds_container_choose(const struct rds_settings *settings, const char **dir, const char **why);

// Warns of data that would go with the container, or that is passed over.
void rds_container_warn(const struct rds_settings *settings, const char *dir);

// The pair that secrets or variables hand over: fresh, or NULL. One half alone, or halves that
// don't belong together, are -RDS_EINVAL. To be called as who may read the secrets.
int rds_container_take_keys(const struct rds_settings *settings, struct rds_keypair **out,
                            struct rds_error *err) __attribute__((warn_unused_result));

// Writes that pair (NULL: none) as the key files, unless there are some.
int rds_container_put_keys(const struct rds_datadir *dir, const struct rds_keypair *pair,
                           struct rds_error *err) __attribute__((warn_unused_result));

#endif
