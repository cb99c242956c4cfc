// SPDX-License-Identifier: MIT
// Command lines: the settings that a subcommand takes, from the table, and options of its own.
#ifndef RDS_CMD_CLI_H
#define RDS_CMD_CLI_H

#include "conf/settings.h"

// An option that is no setting.
struct rds_cli_option {
	const char *name;
	char letter;       // 0: none
	const char *value; // what --help calls its value; NULL: it has none
	const char *help;
};

struct rds_cli {
	const char *name;      // "rdsrv id"
	const char *arguments; // "[options]"
	const char *about;     // one line
	unsigned takes;        // RDS_FOR_*: whose settings
	bool letter_p_is_relay_port;
	bool port_is_relay_port; // hbbr's own --port
	const struct rds_cli_option *options;
	size_t n_options;
	const char *after; // more lines for --help; may be NULL
};

#define RDS_CLI_OPTIONS_MAX 16

struct rds_cli_result {
	// By option: NULL if it is not given, "" if it has no value.
	const char *values[RDS_CLI_OPTIONS_MAX];
	int first_argument; // index in argv of what is no option
};

// Parses argv, settings going to *settings. 0; 1 if --help or --version was printed;
// -RDS_EINVAL with *err.
int rds_cli_parse(const struct rds_cli *cli, int argc, char **argv, struct rds_settings *settings,
                  struct rds_cli_result *result, struct rds_error *err)
        __attribute__((warn_unused_result));

// false, with the exit code and a line on stderr, if argv holds more than options.
bool rds_cli_no_arguments(const struct rds_cli *cli, int argc, char **argv,
                          const struct rds_cli_result *result, int *exit_code);

// Reads the layers below the command line: --config file, .env of the working directory, the
// environment, /etc/rdsrv/rdsrv.conf.
int rds_cli_read_layers(struct rds_settings *settings, struct rds_error *err)
        __attribute__((warn_unused_result));

// For --test-config: every effective value and where it comes from, to stdout.
void rds_cli_print_settings(const struct rds_settings *settings);

// Prints "NAME: text" to stderr.
void rds_cli_complain(const struct rds_cli *cli, const struct rds_error *err);

#endif
