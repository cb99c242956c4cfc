// SPDX-License-Identifier: MIT
// export-conf: its command line, and what there is to be handed out.
#include "cmd/act.h"
#include "cmd/client_hosts.h"
#include "cmd/cmd.h"
#include "cmd/export_private.h"
#include "cmd/running.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME "rdsrv export-conf"

void export_say(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	(void)fputs(NAME ": ", stderr);
	(void)vfprintf(stderr, fmt, args);
	(void)fputc('\n', stderr);
	va_end(args);
}

enum option { FORMAT, OUT, BUNDLE, CHECK, MERGE, CRLF, NEXT_KEY, MODE, FORCE, OPTIONS };

static const struct rds_cli_option options[OPTIONS] = {
        [FORMAT] = {"format", 0, "FORMAT", "one of those below (server.conf)"},
        [OUT] = {"output", 'o', "FILE", "write it there, whole or not at all"},
        [BUNDLE] = {"bundle", 0, "DIR", "write all formats there, for a USB stick"},
        [CHECK] = {"check", 0, "FILE", "read any format: does it still fit the server?"},
        [MERGE] = {"merge", 0, "FILE", "toml: put it into this RustDesk2.toml"},
        [CRLF] = {"crlf", 0, NULL, "server.conf: with Windows line ends"},
        [NEXT_KEY] = {"next-key", 0, NULL, "with the key of the next rotation"},
        [MODE] = {"mode", 0, "MODE", "of files that are written (644)"},
        [FORCE] = {"force", 0, NULL, "overwrite other files than ours, too"},
};

static const struct rds_cli cli = {
        .name = NAME,
        .arguments = "[options]",
        .about = "Writes what clients are configured with, from the live key and settings.",
        .takes = RDS_FOR_EXPORT,
        .options = options,
        .n_options = OPTIONS,
        .after = "Formats: server.conf, toml, string, json, exe-name, link, qr, qr-png, qr-svg,\n"
                 "sh, powershell, readme. --api-server URL names the API server.\n",
};

const struct rds_cli *cmd_export_conf_cli(void)
{
	return &cli;
}

// --- the command line

static bool is_given(const struct rds_cli_result *result, enum option option)
{
	return result->values[option] != NULL;
}

// Options that don't go together; NULL: these do.
static const char *contradiction(const struct rds_cli_result *result, const struct export_job *job)
{
	bool writes = is_given(result, OUT) || is_given(result, BUNDLE);
	bool one = is_given(result, FORMAT) || is_given(result, OUT) || is_given(result, MERGE);
	if (is_given(result, CHECK) && (one || is_given(result, BUNDLE) || is_given(result, CRLF) ||
	                                is_given(result, NEXT_KEY)))
		return "--check reads; it doesn't go with options that write";
	if (is_given(result, BUNDLE) && one)
		return "--bundle writes all formats; it doesn't go with --format, --merge and -o";
	if (is_given(result, MERGE) && job->form != RDS_FORM_TOML)
		return "--merge goes with --format toml";
	if (is_given(result, CRLF) && !is_given(result, BUNDLE) &&
	    job->form != RDS_FORM_SERVER_CONF)
		return "--crlf goes with --format server.conf";
	if (!writes && (is_given(result, MODE) || is_given(result, FORCE)))
		return "--mode and --force go with -o and --bundle";
	return NULL;
}

static bool read_mode(const char *text, mode_t *out)
{
	char *end = NULL;
	unsigned long mode = strtoul(text, &end, 8);
	*out = (mode_t)mode;
	// Whoever can't read it himself couldn't replace it later.
	return text[0] >= '0' && text[0] <= '7' && *end == '\0' && mode <= 0777 &&
	       (mode & 0400) != 0;
}

static bool read_options(const struct rds_cli_result *result, struct export_job *job)
{
	const char *format = result->values[FORMAT];
	job->out = result->values[OUT];
	job->bundle = result->values[BUNDLE];
	job->check = result->values[CHECK];
	job->merge = result->values[MERGE];
	job->next_key = is_given(result, NEXT_KEY);
	job->form = job->merge != NULL ? RDS_FORM_TOML : RDS_FORM_SERVER_CONF;
	job->form_options.crlf = is_given(result, CRLF);
	job->out_options.who = NAME;
	job->out_options.force = is_given(result, FORCE);
	if (format != NULL && !rds_form_find(format, &job->form)) {
		export_say("--format is one of: server.conf, toml, string, json, exe-name, link, "
		           "qr, qr-png, qr-svg, sh, powershell, readme");
		return false;
	}
	if (is_given(result, MODE) && !read_mode(result->values[MODE], &job->out_options.mode)) {
		export_say("--mode is octal, from 400 to 777, such as 644");
		return false;
	}
	const char *wrong = contradiction(result, job);
	if (wrong != NULL)
		export_say("%s", wrong);
	return wrong == NULL;
}

// --- what there is

static int fill(struct rds_act *act, struct export_job *job)
{
	struct rds_error err = {""};
	rds_running_settings(act->dir, act->settings);
	if (rds_known_keys_read(act->dir, &job->keys, &err) != 0) {
		export_say("%s", err.text);
		return RDS_EXIT_PROBLEM;
	}
	const char *key =
	        rds_known_keys_text(&job->keys, job->next_key ? RDS_KNOWN_NEXT : RDS_KNOWN_CURRENT);
	if (key == NULL) {
		export_say("there is no next key: rdsrv keygen --next makes one");
		return RDS_EXIT_PROBLEM;
	}
	rds_client_hosts(act->settings, key, &job->conf);
	if (job->conf.id_server[0] == '\0' && job->check == NULL) {
		export_say("no ID server is known: name what clients are to enter with "
		           "--id-server HOST, or set id-server");
		return RDS_EXIT_USAGE;
	}
	return RDS_EXIT_OK;
}

static int run(struct rds_act *act, struct export_job *job)
{
	int code = fill(act, job);
	if (code == RDS_EXIT_OK)
		code = job->check != NULL    ? export_check(job)
		       : job->bundle != NULL ? export_bundle(job)
		                             : export_one(job);
	rds_client_conf_clear(&job->conf);
	rds_known_keys_free(&job->keys);
	return code;
}

int cmd_export_conf(int argc, char **argv)
{
	struct rds_act act;
	struct export_job job = {0};
	int code = RDS_EXIT_PROBLEM;
	if (rds_act_parse(&cli, argc, argv, &act, &code) &&
	    rds_cli_no_arguments(&cli, argc, argv, &act.result, &code)) {
		if (!read_options(&act.result, &job))
			code = RDS_EXIT_USAGE;
		else if (rds_act_find(&cli, act.settings, RDS_INSTANCE_ACT, &act.dir, &code))
			code = run(&act, &job);
	}
	rds_act_close(&act);
	return code;
}
