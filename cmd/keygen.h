// SPDX-License-Identifier: MIT
// hbbs -g: makes the pair, or renews it and keeps the old one as a dated backup.
#ifndef RDS_CMD_KEYGEN_H
#define RDS_CMD_KEYGEN_H

#include "cmd/cli.h"

int rds_keygen_renew(const struct rds_cli *cli, const struct rds_settings *settings);

#endif
