// SPDX-License-Identifier: MIT
// The subcommands. Each gets argv from its own name on, and returns the process's exit code; to
// see that what is on stdout was written is main's.
#ifndef RDS_CMD_CMD_H
#define RDS_CMD_CMD_H

#define RDS_EXIT_OK      0
#define RDS_EXIT_PROBLEM 1
#define RDS_EXIT_USAGE   2

int cmd_id(int argc, char **argv);
int cmd_relay(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_keygen(int argc, char **argv);
int cmd_export_conf(int argc, char **argv);
int cmd_ctl(int argc, char **argv);
int cmd_copy_db(int argc, char **argv);
int cmd_check(int argc, char **argv);

// What their command lines take.
struct rds_cli;
const struct rds_cli *cmd_id_cli(void);
const struct rds_cli *cmd_relay_cli(void);
const struct rds_cli *cmd_serve_cli(void);
const struct rds_cli *cmd_keygen_cli(void);
const struct rds_cli *cmd_export_conf_cli(void);
const struct rds_cli *cmd_ctl_cli(void);
const struct rds_cli *cmd_check_cli(void);

// Prints completions for a shell.
int cmd_completions(int argc, char **argv);

// The table of them.
struct rds_command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
	const struct rds_cli *(*cli)(void); // NULL: it takes no options
	const char *words;                  // what its arguments may be; "FILE": files
};
#define RDS_COMMANDS 9
extern const struct rds_command rds_commands[RDS_COMMANDS];

// The binary called by these names.
int cmd_hbbs(int argc, char **argv);
int cmd_hbbr(int argc, char **argv);
int cmd_utils(int argc, char **argv);

// For --version: ours, the commit it was built from, those of the libraries in use.
void rds_print_version(void);

#endif
