// SPDX-License-Identifier: MIT
#include "cmd/act.h"

#include "cmd/cmd.h"

#include <stdio.h>

bool rds_act_find(const struct rds_cli *cli, const struct rds_settings *settings,
                  enum rds_instance_use use, struct rds_datadir **dir, int *exit_code)
{
	struct rds_error err;
	const char *why = NULL;
	int rc = rds_instance_find(settings, use, dir, &why, &err);
	if (rc != 0) {
		rds_cli_complain(cli, &err);
		*exit_code = rds_instance_exit_code(rc);
		return false;
	}
	(void)fprintf(stderr, "%s: data directory %s (%s)\n", cli->name, rds_datadir_path(*dir),
	              why);
	return true;
}

bool rds_act_parse(const struct rds_cli *cli, int argc, char **argv, struct rds_act *act,
                   int *exit_code)
{
	struct rds_error err = {""};
	*act = (struct rds_act){.settings = rds_settings_new()};
	int rc = rds_cli_parse(cli, argc, argv, act->settings, &act->result, &err);
	if (rc == 0)
		rc = rds_cli_read_layers(act->settings, &err);
	*exit_code = rc == 1 ? RDS_EXIT_OK : RDS_EXIT_USAGE;
	if (rc < 0)
		rds_cli_complain(cli, &err);
	return rc == 0;
}

void rds_act_close(struct rds_act *act)
{
	rds_datadir_close(act->dir);
	rds_settings_free(act->settings);
}
