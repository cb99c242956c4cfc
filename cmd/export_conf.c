// SPDX-License-Identifier: MIT
#include "cmd/act.h"
#include "cmd/client_hosts.h"
#include "cmd/cmd.h"
#include "cmd/running.h"
#include "core/alloc.h"
#include "keys/keyfiles.h"

#include <stdio.h>
#include <stdlib.h>

static char *as_server_conf(const struct rds_client_conf *conf)
{
	return rds_client_conf_server_conf(conf, NULL);
}

static const struct format {
	const char *name;
	char *(*write)(const struct rds_client_conf *conf);
} formats[] = {
        {"server.conf", as_server_conf},
        {"string", rds_client_conf_string},
        {"json", rds_client_conf_json},
};

static const struct format *find_format(const char *name)
{
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
		if (strcmp(name == NULL ? "server.conf" : name, formats[i].name) == 0)
			return &formats[i];
	return NULL;
}

// The key of the server that runs, else that of the key files.
static char *live_key(const struct rds_datadir *dir, struct rds_error *err)
{
	struct rds_keyfiles files;
	char *key = rds_running_key(dir);
	if (key != NULL)
		return key;
	int rc = rds_keyfiles_load(dir, &files, err);
	if (rc == -RDS_ENOENT)
		(void)rds_fail(err, RDS_ENOENT,
		               "%s: no key there yet: start the server, or run rdsrv "
		               "keygen",
		               rds_datadir_path(dir));
	if (rc != 0)
		return NULL;
	key = rds_strdup(rds_keypair_public_text(files.pair));
	rds_keypair_free(files.pair);
	return key;
}

static int complain(const struct rds_cli *cli, const char *text, int code)
{
	(void)fprintf(stderr, "%s: %s\n", cli->name, text);
	return code;
}

static int export_conf(const struct rds_cli *cli, struct rds_act *act, const struct format *format)
{
	struct rds_error err = {""};
	struct rds_client_conf conf;
	rds_running_settings(act->dir, act->settings);
	char *key = live_key(act->dir, &err);
	if (key == NULL)
		return complain(cli, err.text, RDS_EXIT_PROBLEM);
	rds_client_hosts(act->settings, key, &conf);
	free(key);
	int code = RDS_EXIT_OK;
	if (conf.id_server[0] == '\0') {
		code = complain(cli,
		                "no ID server is known: name what clients are to enter with "
		                "--id-server HOST, or set id-server",
		                RDS_EXIT_USAGE);
	} else {
		char *text = format->write(&conf);
		(void)fputs(text, stdout);
		if (format != &formats[0])
			(void)putchar('\n');
		free(text);
		if (fflush(stdout) != 0)
			code = complain(cli, "can't write to standard output", RDS_EXIT_PROBLEM);
	}
	rds_client_conf_clear(&conf);
	return code;
}

int cmd_export_conf(int argc, char **argv)
{
	static const struct rds_cli_option options[] = {
	        {"format", 0, "FORMAT", "server.conf (default), string or json"}};
	static const struct rds_cli cli = {
	        .name = "rdsrv export-conf",
	        .arguments = "[options]",
	        .about = "Writes what clients are configured with, from the live key and settings.",
	        .takes = RDS_FOR_EXPORT,
	        .options = options,
	        .n_options = 1,
	        .after = "string is what Settings > Network > Import server config takes.\n",
	};
	struct rds_act act;
	int code = RDS_EXIT_PROBLEM;
	if (!rds_act_parse(&cli, argc, argv, &act, &code) ||
	    !rds_cli_no_arguments(&cli, argc, argv, &act.result, &code)) {
		rds_act_close(&act);
		return code;
	}
	const struct format *format = find_format(act.result.values[0]);
	if (format == NULL)
		code = complain(&cli, "--format is one of: server.conf, string, json",
		                RDS_EXIT_USAGE);
	else if (rds_act_find(&cli, act.settings, &act.dir, &code))
		code = export_conf(&cli, &act, format);
	rds_act_close(&act);
	return code;
}
