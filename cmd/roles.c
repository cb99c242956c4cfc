// SPDX-License-Identifier: MIT
// What each name runs.
#include "cmd/cmd.h"
#include "cmd/keygen.h"
#include "cmd/role.h"

#define TEST_CONFIG                                                                     \
	{                                                                               \
		"test-config", 0, NULL, "print every setting and its origin, then exit" \
	}

static const struct rds_cli_option options[] = {TEST_CONFIG};
static const struct rds_cli_option hbbs_options[] = {
        TEST_CONFIG, {"generate", 'g', NULL, "make the key pair, or renew it with a backup"}};

static const struct rds_role_kind id_kind = {
        .cli = {.name = "rdsrv id",
                .arguments = "[options]",
                .about = "Runs the ID (rendezvous) server.",
                .takes = RDS_FOR_ID,
                .options = options,
                .n_options = 1},
        .id = true,
        .use = RDS_INSTANCE_SERVE,
        .key_default = RDS_KEY_FILES,
};

const struct rds_cli *cmd_id_cli(void)
{
	return &id_kind.cli;
}

int cmd_id(int argc, char **argv)
{
	return rds_role_main(&id_kind, argc, argv);
}

static const struct rds_role_kind relay_kind = {
        .cli = {.name = "rdsrv relay",
                .arguments = "[options]",
                .about = "Runs the relay.",
                .takes = RDS_FOR_RELAY,
                .letter_p_is_relay_port = true,
                .options = options,
                .n_options = 1},
        .relay = true,
        .use = RDS_INSTANCE_SERVE,
        .key_default = RDS_KEY_FILES,
};

const struct rds_cli *cmd_relay_cli(void)
{
	return &relay_kind.cli;
}

int cmd_relay(int argc, char **argv)
{
	return rds_role_main(&relay_kind, argc, argv);
}

static const struct rds_role_kind serve_kind = {
        .cli = {.name = "rdsrv serve",
                .arguments = "[options]",
                .about = "Runs the ID server and the relay in one process.",
                .takes = RDS_FOR_ID | RDS_FOR_RELAY,
                .options = options,
                .n_options = 1},
        .id = true,
        .relay = true,
        .use = RDS_INSTANCE_SERVE,
        .key_default = RDS_KEY_FILES,
};

const struct rds_cli *cmd_serve_cli(void)
{
	return &serve_kind.cli;
}

int cmd_serve(int argc, char **argv)
{
	return rds_role_main(&serve_kind, argc, argv);
}

int cmd_hbbs(int argc, char **argv)
{
	static const struct rds_role_kind kind = {
	        .cli = {.name = "hbbs",
	                .arguments = "[options]",
	                .about = "Runs the ID server in the working directory.",
	                .takes = RDS_FOR_ID,
	                .options = hbbs_options,
	                .n_options = 2},
	        .id = true,
	        .use = RDS_INSTANCE_SERVE_HERE,
	        .key_default = RDS_KEY_FILES,
	        .generate = rds_keygen_renew,
	};
	return rds_role_main(&kind, argc, argv);
}

int cmd_hbbr(int argc, char **argv)
{
	static const struct rds_role_kind kind = {
	        .cli = {.name = "hbbr",
	                .arguments = "[options]",
	                .about = "Runs the relay in the working directory.",
	                .takes = RDS_FOR_RELAY,
	                .letter_p_is_relay_port = true,
	                .port_is_relay_port = true,
	                .options = options,
	                .n_options = 1},
	        .relay = true,
	        .use = RDS_INSTANCE_SERVE_HERE,
	        .key_default = RDS_KEY_FILES_OR_OPEN,
	};
	return rds_role_main(&kind, argc, argv);
}
