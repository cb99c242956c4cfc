// SPDX-License-Identifier: MIT
#include "cmd/act.h"
#include "cmd/cmd.h"
#include "cmd/json.h"
#include "cmd/running.h"
#include "core/alloc.h"
#include "net/lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int ask(const struct rds_cli *cli, const struct rds_datadir *dir, const char *role,
               const char *request, bool as_json)
{
	struct rds_error err = {""};
	cJSON *answer = NULL;
	int rc = rds_running_ask(dir, role, request, &answer, &err);
	if (rc == -RDS_ENOENT) {
		(void)fprintf(stderr, "%s: no %s server runs in %s\n", cli->name, role,
		              rds_datadir_path(dir));
		return RDS_EXIT_PROBLEM;
	}
	if (rc != 0) {
		(void)fprintf(stderr, "%s: %s: %s\n", cli->name, role, err.text);
		return RDS_EXIT_PROBLEM;
	}
	bool wrong_use = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "usage"));
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
	return ok ? RDS_EXIT_OK : wrong_use ? RDS_EXIT_USAGE : RDS_EXIT_PROBLEM;
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

// The server that has made a backup may have a /tmp of its own, as its unit gives it, which goes
// when it stops. Whether the backup is where it was wanted; if not, that is said.
static bool backup_is_here(const struct rds_datadir *dir, const char *path)
{
	struct stat st;
	if (stat(path, &st) == 0 || errno != ENOENT)
		return true;
	(void)fprintf(stderr,
	              "%s: %s isn't here: it is where the server sees that name, which has a file "
	              "system of its own there (a service's /tmp, a container's); back up to "
	              "%s/backup, and move it from there\n",
	              cli.name, path, rds_datadir_path(dir));
	return false;
}

// The request, in fresh memory; NULL, and said: it is none.
static char *request_of(int n, char **words, bool online)
{
	char *line = NULL;
	if (n < 2 || (strcmp(words[0], "id") != 0 && strcmp(words[0], "relay") != 0))
		(void)fprintf(stderr, "usage: %s %s; see %s --help\n", cli.name, cli.arguments,
		              cli.name);
	else if (online && (strcmp(words[0], "id") != 0 || strcmp(words[1], "peers") != 0))
		(void)fprintf(stderr, "%s: --online goes with id peers\n", cli.name);
	else if ((line = join(n - 1, words + 1, online)) == NULL)
		(void)fprintf(stderr, "%s: the command is no UTF-8 text, or too long\n", cli.name);
	return line;
}

int cmd_ctl(int argc, char **argv)
{
	struct rds_act act;
	int code = RDS_EXIT_USAGE;
	if (rds_act_parse(&cli, argc, argv, &act, &code)) {
		char **words = argv + act.result.first_argument;
		int n = argc - act.result.first_argument;
		char *line = request_of(n, words, act.result.values[1] != NULL);
		code = RDS_EXIT_USAGE;
		if (line != NULL &&
		    rds_act_find(&cli, act.settings, RDS_INSTANCE_ACT, &act.dir, &code))
			code = ask(&cli, act.dir, words[0], line, act.result.values[0] != NULL);
		if (line != NULL && code == RDS_EXIT_OK && n == 3 &&
		    strcmp(words[1], "backup") == 0 && !backup_is_here(act.dir, words[2]))
			code = RDS_EXIT_PROBLEM;
		free(line);
	}
	rds_act_close(&act);
	return code;
}
