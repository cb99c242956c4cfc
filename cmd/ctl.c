// SPDX-License-Identifier: MIT
#include "cmd/act.h"
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/running.h"
#include "core/alloc.h"
#include "net/lines.h"

#include <stdio.h>
#include <stdlib.h>

static int ask(const struct rds_cli *cli, const struct rds_datadir *dir, const char *role,
               const char *request, bool as_json)
{
	struct rds_error err = {""};
	cJSON *answer = NULL;
	int rc = rds_running_ask(dir, role, request, &answer, &err);
	if (rc == -RDS_ENOENT)
		(void)rds_fail(&err, RDS_ENOENT, "no %s server runs in %s", role,
		               rds_datadir_path(dir));
	if (rc != 0) {
		(void)fprintf(stderr, "%s: %s: %s\n", cli->name, role, err.text);
		return RDS_EXIT_PROBLEM;
	}
	bool ok = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "ok"));
	const char *error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "error"));
	char *text = as_json ? cJSON_Print(answer) : NULL;
	if (text != NULL)
		(void)puts(text);
	else if (ok)
		rds_json_show(answer);
	else
		(void)fprintf(stderr, "%s: %s\n", cli->name, error == NULL ? "refused" : error);
	free(text);
	cJSON_Delete(answer);
	return ok && fflush(stdout) == 0 ? RDS_EXIT_OK : RDS_EXIT_PROBLEM;
}

// The words of a command as one line. NULL if they aren't text, or too long.
static char *join(int n, char **words, bool online)
{
	char *line = rds_strdup("");
	for (int i = 0; i < n; i++) {
		char *longer = rds_asprintf("%s%s%s", line, i > 0 ? " " : "", words[i]);
		free(line);
		line = longer;
	}
	if (online) {
		char *longer = rds_asprintf("%s --online", line);
		free(line);
		line = longer;
	}
	struct rds_view whole;
	if (rds_line_read(rds_view_text(line), true, &whole) == (long)strlen(line))
		return line;
	free(line);
	return NULL;
}

static const struct rds_cli_option options[] = {
        {"json", 0, NULL, "answer in JSON"},
        {"online", 0, NULL, "peers: only those that are online"}};
static const struct rds_cli cli = {
        .name = "rdsrv ctl",
        .arguments = "[options] id|relay COMMAND [ARGUMENT]",
        .about = "Asks a running server, or tells it something.",
        .takes = RDS_FOR_CTL,
        .options = options,
        .n_options = 2,
        .after = "\nid and relay:\n"
                 "  status                     what it is and does\n"
                 "  settings                   its effective settings\n"
                 "id:\n"
                 "  peers [--online], peer ID  who is on file, and where\n"
                 "  recent [ID]                the last attempts to connect, and why\n"
                 "  approve|ban|unban|forget ID\n"
                 "  blocked                    who may not be here, refused registrations\n"
                 "  always-use-relay [on|off|NETWORKS], relays [LIST]\n"
                 "  reload                     read the settings anew, as SIGHUP does\n"
                 "  backup DIR                 all of it to a new directory\n"
                 "relay:\n"
                 "  sessions, session ID, usage, kick ID\n"
                 "  limits [NAME VALUE]        until the next start\n"
                 "  block|slow|unblock ADDR    blocklist.txt and blacklist.txt\n"
                 "  drain [SECONDS]            stop when the running ones have ended\n"
                 "  reload\n",
};

const struct rds_cli *cmd_ctl_cli(void)
{
	return &cli;
}

int cmd_ctl(int argc, char **argv)
{
	struct rds_act act;
	int code = RDS_EXIT_USAGE;
	if (rds_act_parse(&cli, argc, argv, &act, &code)) {
		char **words = argv + act.result.first_argument;
		int n = argc - act.result.first_argument;
		char *line = n < 2 ? NULL : join(n - 1, words + 1, act.result.values[1] != NULL);
		if (line == NULL ||
		    (strcmp(words[0], "id") != 0 && strcmp(words[0], "relay") != 0)) {
			(void)fprintf(stderr, "usage: %s %s; see %s --help\n", cli.name,
			              cli.arguments, cli.name);
			code = RDS_EXIT_USAGE;
		} else if (rds_act_find(&cli, act.settings, &act.dir, &code)) {
			code = ask(&cli, act.dir, words[0], line, act.result.values[0] != NULL);
		}
		free(line);
	}
	rds_act_close(&act);
	return code;
}
