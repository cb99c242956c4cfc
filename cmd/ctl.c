// SPDX-License-Identifier: MIT
#include "cmd/act.h"
#include "cmd/cmd.h"
#include "cmd/running.h"

#include <stdio.h>
#include <stdlib.h>

static int ask(const struct rds_cli *cli, const struct rds_datadir *dir, const char *role,
               const char *request)
{
	struct rds_error err = {""};
	cJSON *answer = NULL;
	int rc = rds_running_ask(dir, role, request, &answer, &err);
	if (rc == -RDS_ENOENT)
		(void)rds_fail(&err, RDS_ENOENT, "no %s server runs in %s", role,
		               rds_datadir_path(dir));
	if (rc != 0) {
		rds_cli_complain(cli, &err);
		return RDS_EXIT_PROBLEM;
	}
	char *text = cJSON_Print(answer);
	bool ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "ok"));
	if (text != NULL)
		(void)puts(text);
	free(text);
	cJSON_Delete(answer);
	return ok && fflush(stdout) == 0 ? RDS_EXIT_OK : RDS_EXIT_PROBLEM;
}

int cmd_ctl(int argc, char **argv)
{
	static const struct rds_cli cli = {
	        .name = "rdsrv ctl",
	        .arguments = "[options] id|relay status|settings",
	        .about = "Asks a running server; the answer is JSON.",
	        .takes = RDS_FOR_CTL,
	};
	struct rds_act act;
	int code = RDS_EXIT_USAGE;
	if (rds_act_parse(&cli, argc, argv, &act, &code)) {
		char **words = argv + act.result.first_argument;
		int n = argc - act.result.first_argument;
		if (n != 2 || (strcmp(words[0], "id") != 0 && strcmp(words[0], "relay") != 0)) {
			(void)fprintf(stderr, "usage: %s %s\n", cli.name, cli.arguments);
			code = RDS_EXIT_USAGE;
		} else if (rds_act_find(&cli, act.settings, &act.dir, &code)) {
			code = ask(&cli, act.dir, words[0], words[1]);
		}
	}
	rds_act_close(&act);
	return code;
}
