// SPDX-License-Identifier: MIT
// The opening of every subcommand that acts on a server: options, settings, data directory.
#ifndef RDS_CMD_ACT_H
#define RDS_CMD_ACT_H

#include "cmd/cli.h"
#include "cmd/instance.h"

struct rds_act {
	struct rds_settings *settings;
	struct rds_cli_result result;
	struct rds_datadir *dir;
};

// Reads options and settings. Returns true with *act filled but for dir; false with the exit
// code to leave with, all said. Close in both cases.
bool rds_act_parse(const struct rds_cli *cli, int argc, char **argv, struct rds_act *act,
                   int *exit_code);

// Finds the data directory; the choice stands on stderr. false with the exit code, all said.
bool rds_act_find(const struct rds_cli *cli, const struct rds_settings *settings,
                  enum rds_instance_use use, struct rds_datadir **dir, int *exit_code);

void rds_act_close(struct rds_act *act);

#endif
