// SPDX-License-Identifier: MIT
#include "cmd/keygen.h"

#include "cmd/act.h"
#include "cmd/cmd.h"
#include "cmd/running.h"
#include "keys/keyfiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

// The public key alone on stdout, the talk on stderr.
static bool announce(const struct rds_cli *cli, const struct rds_datadir *dir,
                     const struct rds_keypair *pair)
{
	char fingerprint[RDS_FINGERPRINT_TEXT];
	const char *text = rds_keypair_public_text(pair);
	rds_fingerprint(rds_view_text(text), fingerprint);
	(void)fprintf(stderr,
	              "%s: made %s/" RDS_SECRET_FILE " (0600) and " RDS_PUBLIC_FILE
	              " (0644), fingerprint %s\n",
	              cli->name, rds_datadir_path(dir), fingerprint);
	(void)puts(text);
	char *running = rds_running_key(dir);
	if (running != NULL && strcmp(running, text) != 0)
		(void)fprintf(stderr,
		              "%s: the server that runs there still uses %s: restart it to use the "
		              "new key, and give clients the new key\n",
		              cli->name, running[0] == '\0' ? "no key" : running);
	free(running);
	return fflush(stdout) == 0;
}

static int refuse(const struct rds_cli *cli, const struct rds_datadir *dir)
{
	struct rds_keyfiles files;
	struct rds_error err = {""};
	char fingerprint[RDS_FINGERPRINT_TEXT] = "";
	if (rds_keyfiles_load(dir, &files, &err) != 0) {
		rds_cli_complain(cli, &err);
		return RDS_EXIT_PROBLEM;
	}
	rds_fingerprint(rds_view_text(rds_keypair_public_text(files.pair)), fingerprint);
	(void)fprintf(stderr,
	              "%s: %s/" RDS_SECRET_FILE " is there already (%s): nothing was changed\n",
	              cli->name, rds_datadir_path(dir), fingerprint);
	rds_keypair_free(files.pair);
	return RDS_EXIT_PROBLEM;
}

static int make(const struct rds_cli *cli, const struct rds_datadir *dir)
{
	struct rds_keypair *pair = NULL;
	struct rds_error err = {""};
	if (rds_datadir_has(dir, RDS_SECRET_FILE) || rds_datadir_has(dir, RDS_PUBLIC_FILE))
		return refuse(cli, dir);
	int rc = rds_keyfiles_make(dir, &pair, &err);
	if (rc == -RDS_EEXIST)
		return refuse(cli, dir);
	if (rc != 0) {
		rds_cli_complain(cli, &err);
		return RDS_EXIT_PROBLEM;
	}
	bool told = announce(cli, dir, pair);
	rds_keypair_free(pair);
	return told ? RDS_EXIT_OK : RDS_EXIT_PROBLEM;
}

static int renew(const struct rds_cli *cli, const struct rds_datadir *dir)
{
	struct rds_keypair *pair = NULL;
	struct rds_error err = {""};
	char backup[RDS_BACKUP_NAME];
	char day[16] = "";
	struct tm tm;
	time_t now = time(NULL);
	if (localtime_r(&now, &tm) != NULL)
		(void)strftime(day, sizeof day, "%Y%m%d", &tm);
	if (rds_keyfiles_renew(dir, day, &pair, backup, &err) != 0) {
		rds_cli_complain(cli, &err);
		return RDS_EXIT_PROBLEM;
	}
	(void)fprintf(stderr, "%s: the old pair is kept as %s/%s and its .pub\n", cli->name,
	              rds_datadir_path(dir), backup);
	bool told = announce(cli, dir, pair);
	rds_keypair_free(pair);
	return told ? RDS_EXIT_OK : RDS_EXIT_PROBLEM;
}

int rds_keygen_renew(const struct rds_cli *cli, const struct rds_settings *settings)
{
	struct rds_datadir *dir = NULL;
	int code = RDS_EXIT_PROBLEM;
	if (!rds_act_find(cli, settings, &dir, &code))
		return code;
	code = rds_datadir_has(dir, RDS_SECRET_FILE) ? renew(cli, dir) : make(cli, dir);
	rds_datadir_close(dir);
	return code;
}

int cmd_keygen(int argc, char **argv)
{
	static const struct rds_cli cli = {
	        .name = "rdsrv keygen",
	        .arguments = "[options]",
	        .about = "Makes the server's key pair and prints the public key.",
	        .takes = RDS_FOR_KEYGEN,
	};
	struct rds_act act;
	int code = RDS_EXIT_PROBLEM;
	if (rds_act_parse(&cli, argc, argv, &act, &code) &&
	    rds_cli_no_arguments(&cli, argc, argv, &act.result, &code) &&
	    rds_act_find(&cli, act.settings, &act.dir, &code))
		code = make(&cli, act.dir);
	rds_act_close(&act);
	return code;
}
