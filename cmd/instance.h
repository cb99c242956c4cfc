// SPDX-License-Identifier: MIT
// Which server a command is about: the data directory it acts on. One function finds it, for
// every subcommand, so that what is typed anywhere acts on the server that runs.
#ifndef RDS_CMD_INSTANCE_H
#define RDS_CMD_INSTANCE_H

#include "conf/settings.h"
#include "keys/datadir.h"

#define RDS_DATABASE_FILE "db_v2.sqlite3"

enum rds_instance_use {
	RDS_INSTANCE_SERVE,      // may start in an empty working directory
	RDS_INSTANCE_SERVE_HERE, // called as hbbs or hbbr: the working directory, as ever
	RDS_INSTANCE_ACT,        // acts on a server that is there
};

// Opens the data directory: the setting data-dir; else the working directory if it holds
// id_ed25519 or db_v2.sqlite3; else the one system directory that does; in a container see
// cmd/container.h. *why says in words how it was chosen. Before that, root becomes the setting
// `user` (cmd/become.h). Returns 0; -RDS_EINVAL if several fit; -RDS_ENOENT if none does;
// -RDS_ESYS.
int rds_instance_find(const struct rds_settings *settings, enum rds_instance_use use,
                      struct rds_datadir **out, const char **why, struct rds_error *err)
        __attribute__((warn_unused_result));

// Only says which directory that would be: *dir is fresh memory.
int rds_instance_choose(const struct rds_settings *settings, enum rds_instance_use use, char **dir,
                        const char **why, struct rds_error *err)
        __attribute__((warn_unused_result));

// The first of the system's directories for servers that fits; NULL: none does.
const char *rds_instance_system_dir(bool (*fits)(const char *dir));

// Where the database of peers is: the setting db-url, a path or a URL with one, else in dir. Fresh
// memory.
char *rds_instance_database(const struct rds_settings *settings, const char *dir);

// The exit code that goes with a failure of rds_instance_find.
int rds_instance_exit_code(int rc);

#endif
