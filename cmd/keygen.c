// SPDX-License-Identifier: MIT
// Making a pair, and which of its commands keygen was given.
#include "cmd/keygen.h"

#include "cmd/act.h"
#include "cmd/cmd.h"
#include "cmd/running.h"

#include <stdio.h>
#include <stdlib.h>

int keygen_fail(const struct keygen *keygen, const struct rds_error *err)
{
	rds_cli_complain(keygen->cli, err);
	return RDS_EXIT_PROBLEM;
}

int keygen_load(const struct keygen *keygen, struct rds_keys *keys)
{
	struct rds_error err = {""};
	int rc = rds_keys_load(keygen->dir, RDS_KEYS_READ, keys, &err);
	if (rc == 0)
		return RDS_EXIT_OK;
	if (rc == -RDS_ENOENT)
		(void)rds_fail(&err, RDS_ENOENT, "%s: there is no key pair yet",
		               rds_datadir_path(keygen->dir));
	rds_keys_clear(keys);
	return keygen_fail(keygen, &err);
}

// The public key alone on stdout, the talk on stderr.
static int announce(const struct keygen *keygen, const char *text)
{
	char fingerprint[RDS_FINGERPRINT_TEXT];
	rds_fingerprint(rds_view_text(text), fingerprint);
	(void)fprintf(stderr,
	              "%s: made %s/" RDS_SECRET_FILE " (0600) and " RDS_PUBLIC_FILE
	              " (0644), fingerprint %s\n",
	              keygen->cli->name, rds_datadir_path(keygen->dir), fingerprint);
	(void)puts(text);
	return RDS_EXIT_OK;
}

static int refuse(const struct keygen *keygen)
{
	struct rds_keys keys;
	char fingerprint[RDS_FINGERPRINT_TEXT] = "";
	int code = keygen_load(keygen, &keys);
	if (code != RDS_EXIT_OK)
		return code;
	rds_fingerprint(rds_view_text(rds_keypair_public_text(keys.files.pair)), fingerprint);
	(void)fprintf(stderr,
	              "%s: %s/" RDS_SECRET_FILE
	              " is there already (%s): nothing was changed; --rotate replaces it\n",
	              keygen->cli->name, rds_datadir_path(keygen->dir), fingerprint);
	rds_keys_clear(&keys);
	return RDS_EXIT_PROBLEM;
}

int keygen_make(const struct keygen *keygen)
{
	struct rds_keypair *pair = NULL;
	struct rds_error err = {""};
	if (rds_datadir_has(keygen->dir, RDS_SECRET_FILE) ||
	    rds_datadir_has(keygen->dir, RDS_PUBLIC_FILE))
		return refuse(keygen);
	int rc = rds_keyfiles_make(keygen->dir, &pair, &err);
	if (rc == -RDS_EEXIST)
		return refuse(keygen);
	if (rc != 0)
		return keygen_fail(keygen, &err);
	int code = announce(keygen, rds_keypair_public_text(pair));
	rds_keypair_free(pair);
	return code;
}

int rds_keygen_renew(const struct rds_cli *cli, const struct rds_settings *settings)
{
	struct rds_datadir *dir = NULL;
	int code = RDS_EXIT_PROBLEM;
	if (!rds_act_find(cli, settings, RDS_INSTANCE_SERVE, &dir, &code))
		return code;
	struct keygen keygen = {.cli = cli, .dir = dir};
	code = rds_datadir_has(dir, RDS_SECRET_FILE) ? keygen_rotate(&keygen, NULL)
	                                             : keygen_make(&keygen);
	rds_datadir_close(dir);
	return code;
}

enum option {
	ROTATE,
	NEXT,
	IMPORT,
	RETIRE,
	LIST,
	VERIFY,
	PUBLIC,
	FINGERPRINT,
	PURGE,
	GRACE,
	OLDER_THAN,
	JSON,
	N_OPTIONS
};
#define N_COMMANDS GRACE // those before it: one at most is given, but for import with rotate

static const struct rds_cli_option options[N_OPTIONS] = {
        [ROTATE] = {"rotate", 0, NULL, "replace the pair; the old key works on for a time"},
        [NEXT] = {"next", 0, NULL, "make the pair ahead that --rotate will use"},
        [IMPORT] = {"import", 0, "FILE",
                    "use this id_ed25519 (-: stdin); in place of another "
                    "with --rotate"},
        [RETIRE] = {"retire", 0, "KEY|all", "refuse a retired key from now on"},
        [LIST] = {"list", 0, NULL, "every key, until when it works and who uses it"},
        [VERIFY] = {"verify", 0, NULL, "whether pair, modes, owners and backups are right"},
        [PUBLIC] = {"public", 0, NULL, "print the public key"},
        [FINGERPRINT] = {"fingerprint", 0, NULL, "print its fingerprint"},
        [PURGE] = {"purge-backups", 0, NULL, "overwrite and remove old pairs' backups"},
        [GRACE] = {"grace", 0, "TIME", "how long the old key works on: 30d (default), 12h, 0"},
        [OLDER_THAN] = {"older-than", 0, "TIME", "purge-backups: only those, such as 90d"},
        [JSON] = {"json", 0, NULL, "list, verify: in JSON"},
};

static const struct rds_cli cli = {
        .name = "rdsrv keygen",
        .arguments = "[options]",
        .about = "Makes the server's key pair and prints the public key.",
        .takes = RDS_FOR_KEYGEN,
        .options = options,
        .n_options = N_OPTIONS,
};

const struct rds_cli *cmd_keygen_cli(void)
{
	return &cli;
}

// Two commands at once, or an option that its command doesn't take, are wrong use.
static bool check_options(const char *const *values)
{
	size_t n = 0;
	for (size_t i = 0; i < N_COMMANDS; i++)
		n += values[i] != NULL;
	bool import = values[IMPORT] != NULL && values[ROTATE] != NULL;
	const char *wrong = n > (import ? 2U : 1U) ? "one of these options at a time, please"
	                    : values[GRACE] != NULL && values[ROTATE] == NULL
	                            ? "--grace goes with --rotate"
	                    : values[OLDER_THAN] != NULL && values[PURGE] == NULL
	                            ? "--older-than goes with --purge-backups"
	                    : values[JSON] != NULL && values[LIST] == NULL && values[VERIFY] == NULL
	                            ? "--json goes with --list and --verify"
	                            : NULL;
	if (wrong != NULL)
		(void)fprintf(stderr, "%s: %s\n", cli.name, wrong);
	return wrong == NULL;
}

// The command that was given; an import may come with rotate.
static enum option chosen(const char *const *values)
{
	int i = ROTATE;
	if (values[IMPORT] != NULL)
		return IMPORT;
	while (i < N_COMMANDS && values[i] == NULL)
		i++;
	return (enum option)i;
}

static int run(const struct keygen *keygen, const char *const *values)
{
	switch (chosen(values)) {
	case ROTATE:
		return keygen_rotate(keygen, NULL);
	case NEXT:
		return keygen_next(keygen);
	case IMPORT:
		return keygen_import(keygen, values[IMPORT], values[ROTATE] != NULL);
	case RETIRE:
		return keygen_retire(keygen, values[RETIRE]);
	case LIST:
		return keygen_list(keygen);
	case VERIFY:
		return keygen_verify(keygen);
	case PUBLIC:
		return keygen_show(keygen, false);
	case FINGERPRINT:
		return keygen_show(keygen, true);
	case PURGE:
		return keygen_purge(keygen);
	default:
		return keygen_make(keygen);
	}
}

int cmd_keygen(int argc, char **argv)
{
	struct rds_act act;
	int code = RDS_EXIT_USAGE;
	if (rds_act_parse(&cli, argc, argv, &act, &code) &&
	    rds_cli_no_arguments(&cli, argc, argv, &act.result, &code)) {
		const char *const *values = act.result.values;
		if (!check_options(values))
			code = RDS_EXIT_USAGE;
		else if (rds_act_find(&cli, act.settings, RDS_INSTANCE_ACT, &act.dir, &code)) {
			struct keygen keygen = {.cli = &cli,
			                        .dir = act.dir,
			                        .grace = values[GRACE],
			                        .older_than = values[OLDER_THAN],
			                        .as_json = values[JSON] != NULL};
			code = run(&keygen, values);
		}
	}
	rds_act_close(&act);
	return code;
}
