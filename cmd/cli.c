// SPDX-License-Identifier: MIT
#include "cmd/cli.h"

#include "cmd/cmd.h"
#include "cmd/container.h"
#include "core/alloc.h"
#include "core/limits.h"
#include "keys/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// getopt's codes of long options: settings, then the subcommand's own, then the common ones.
enum { FIRST_SETTING = 1000, FIRST_OWN = 2000, HELP = 3000, VERSION };

static bool takes(const struct rds_cli *cli, enum rds_setting setting)
{
	return (rds_setting_row(setting)->takers & cli->takes) != 0;
}

struct option_tables {
	struct option longs[RDS_SET_COUNT + RDS_CLI_OPTIONS_MAX + 3];
	char letters[2 * (RDS_SET_COUNT + RDS_CLI_OPTIONS_MAX) + 8];
	int codes[256]; // of letters
	size_t n;
};

static void add_option(struct option_tables *tables, const char *name, char letter, bool has_value,
                       int code)
{
	tables->longs[tables->n++] = (struct option){
	        .name = name, .has_arg = has_value ? required_argument : no_argument, .val = code};
	if (letter == 0)
		return;
	size_t at = strlen(tables->letters);
	tables->letters[at] = letter;
	if (has_value)
		tables->letters[at + 1] = ':';
	tables->codes[(unsigned char)letter] = code;
}

static void make_tables(const struct rds_cli *cli, struct option_tables *tables)
{
	*tables = (struct option_tables){.letters = ":"};
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		const struct rds_setting_row *row = rds_setting_row((enum rds_setting)i);
		if (takes(cli, (enum rds_setting)i))
			add_option(tables, row->name, row->letter, true, FIRST_SETTING + i);
	}
	if (cli->letter_p_is_relay_port)
		tables->codes['p'] = FIRST_SETTING + RDS_SET_RELAY_PORT;
	for (size_t i = 0; i < cli->n_options; i++)
		add_option(tables, cli->options[i].name, cli->options[i].letter,
		           cli->options[i].value != NULL, FIRST_OWN + (int)i);
	add_option(tables, "help", 'h', false, HELP);
	add_option(tables, "version", 'V', false, VERSION);
}

static void print_row(char letter, const char *name, const char *value, const char *help)
{
	char left[64];
	(void)snprintf(left, sizeof left, "%s%s%s", name, value == NULL ? "" : " ",
	               value == NULL ? "" : value);
	if (letter != 0)
		(void)printf("  -%c, --%-26s %s\n", letter, left, help);
	else
		(void)printf("      --%-26s %s\n", left, help);
}

// "rdsrv keygen" has the page rdsrv-keygen(1).
static void print_help_row(const struct rds_cli *cli)
{
	char help[64];
	const char *space = strchr(cli->name, ' ');
	(void)snprintf(help, sizeof help, "this text; rdsrv%s%s(1) has all of it",
	               space == NULL ? "" : "-", space == NULL ? "" : space + 1);
	print_row('h', "help", NULL, help);
}

static void print_help(const struct rds_cli *cli)
{
	(void)printf("usage: %s %s\n%s\n\n", cli->name, cli->arguments, cli->about);
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		const struct rds_setting_row *row = rds_setting_row((enum rds_setting)i);
		bool is_p = cli->letter_p_is_relay_port &&
		            (i == RDS_SET_PORT || i == RDS_SET_RELAY_PORT);
		char letter = !is_p ? row->letter : i == RDS_SET_RELAY_PORT ? 'p' : 0;
		if (takes(cli, (enum rds_setting)i) && !row->rare &&
		    !(cli->port_is_relay_port && i == RDS_SET_PORT))
			print_row(letter, row->name, row->value, row->help);
	}
	for (size_t i = 0; i < cli->n_options; i++)
		print_row(cli->options[i].letter, cli->options[i].name, cli->options[i].value,
		          cli->options[i].help);
	print_help_row(cli);
	if (cli->after != NULL)
		(void)fputs(cli->after, stdout);
}

static int fail_option(const struct rds_cli *cli, int code, char **argv, struct rds_error *err)
{
	// getopt leaves the letter in optopt, or the word just before optind.
	char letter[3] = {'-', (char)optopt, '\0'};
	const char *word = optopt > 0 && optopt < 256 ? letter : argv[optind - 1];
	return rds_fail(err, RDS_EINVAL,
	                code == ':' ? "%s needs a value; see %s --help"
	                            : "there is no option %s; see %s --help",
	                word, cli->name);
}

static int set_from_flag(const struct rds_cli *cli, struct rds_settings *settings,
                         enum rds_setting setting, char letter, struct rds_error *err)
{
	bool is_letter = letter != 0;
	const char *value = optarg;
	if (cli->port_is_relay_port && setting == RDS_SET_PORT)
		setting = RDS_SET_RELAY_PORT;
	// hbbs takes -k=KEY as well as -k KEY.
	if (is_letter && value != NULL && value[0] == '=')
		value++;
	char *where = is_letter ? rds_asprintf("-%c", letter)
	                        : rds_asprintf("--%s", rds_setting_row(setting)->name);
	// Else the next lower place would have its say: another server's directory.
	bool lacks = (setting == RDS_SET_DATA_DIR || setting == RDS_SET_CONFIG) && value != NULL &&
	             value[0] == '\0';
	int rc = lacks ? rds_fail(err, RDS_EINVAL, "%s: it is empty", where)
	               : rds_settings_set(settings, setting, value, RDS_FROM_COMMAND_LINE, where,
	                                  err);
	free(where);
	return rc;
}

int rds_cli_parse(const struct rds_cli *cli, int argc, char **argv, struct rds_settings *settings,
                  struct rds_cli_result *result, struct rds_error *err)
{
	struct option_tables tables;
	make_tables(cli, &tables);
	*result = (struct rds_cli_result){0};
	optind = 0; // GNU: start anew
	opterr = 0;
	for (;;) {
		int code = getopt_long(argc, argv, tables.letters, tables.longs, NULL);
		if (code == -1)
			break;
		if (code == '?' || code == ':')
			return fail_option(cli, code, argv, err);
		char letter = code < 256 ? (char)code : 0;
		if (letter != 0)
			code = tables.codes[code];
		if (code == HELP) {
			print_help(cli);
			return 1;
		}
		if (code == VERSION) {
			rds_print_version();
			return 1;
		}
		if (code >= FIRST_OWN && optarg != NULL && optarg[0] == '\0')
			return rds_fail(err, RDS_EINVAL, "--%s: its value is empty",
			                cli->options[code - FIRST_OWN].name);
		if (code >= FIRST_OWN)
			result->values[code - FIRST_OWN] = optarg == NULL ? "" : optarg;
		else if (set_from_flag(cli, settings, (enum rds_setting)(code - FIRST_SETTING),
		                       letter, err) != 0)
			return -RDS_EINVAL;
	}
	result->first_argument = optind;
	return 0;
}

bool rds_cli_no_arguments(const struct rds_cli *cli, int argc, char **argv,
                          const struct rds_cli_result *result, int *exit_code)
{
	if (result->first_argument >= argc)
		return true;
	(void)fprintf(stderr, "%s: unexpected \"%s\"; see %s --help\n", cli->name,
	              argv[result->first_argument], cli->name);
	*exit_code = RDS_EXIT_USAGE;
	return false;
}

static int read_open_file(struct rds_settings *settings, int fd, const char *path,
                          enum rds_origin origin, struct rds_error *err)
{
	const size_t cap = RDS_SMALL_FILE_MAX_BYTES + 1;
	uint8_t *bytes = rds_calloc(cap, 1);
	ssize_t len = rds_read_to_end(fd, bytes, cap);
	int rc = len < 0 ? rds_fail(err, RDS_EINVAL, "%s: can't read: %s", path, strerror(errno))
	         : (size_t)len == cap
	                 ? rds_fail(err, RDS_EINVAL, "%s: too long for a file of settings", path)
	                 : rds_settings_read(settings, rds_view_of(bytes, (size_t)len), path,
	                                     origin, err);
	explicit_bzero(bytes, cap); // it may hold a key
	free(bytes);
	return rc;
}

// .env in the working directory may be anything of anybody's: a directory, somebody's secret.
static bool is_others(int fd, enum rds_origin origin)
{
	struct stat st;
	return origin == RDS_FROM_DOTENV && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode));
}

// Reads one file of settings. A missing one is an error only where it must be there.
static int read_file(struct rds_settings *settings, const char *path, enum rds_origin origin,
                     struct rds_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		bool optional = origin != RDS_FROM_CONFIG_FILE &&
		                (errno == ENOENT || errno == ENOTDIR ||
		                 (errno == EACCES && origin == RDS_FROM_DOTENV));
		return optional ? 0
		                : rds_fail(err, RDS_EINVAL, "%s: can't read: %s", path,
		                           strerror(errno));
	}
	int rc = is_others(fd, origin) ? 0 : read_open_file(settings, fd, path, origin, err);
	(void)close(fd);
	return rc;
}

int rds_cli_read_layers(struct rds_settings *settings, struct rds_error *err)
{
	int rc = read_file(settings, RDS_SYSTEM_CONFIG, RDS_FROM_SYSTEM_FILE, err);
	if (rc == 0)
		rc = rds_settings_read_environment(settings, environ, err);
	if (rc == 0)
		rc = rds_container_read(settings, err);
	if (rc == 0)
		rc = read_file(settings, ".env", RDS_FROM_DOTENV, err);
	// A copy: the file itself may set `config`.
	char *config = rds_strdup(rds_settings_text(settings, RDS_SET_CONFIG));
	if (rc == 0 && config[0] != '\0')
		rc = read_file(settings, config, RDS_FROM_CONFIG_FILE, err);
	free(config);
	return rc;
}

void rds_cli_print_settings(const struct rds_settings *settings)
{
	for (int i = 0; i < RDS_SET_COUNT; i++) {
		char value[RDS_SETTING_MAX_BYTES + 1];
		enum rds_setting setting = (enum rds_setting)i;
		(void)printf("%-24s = %-32s # %s\n", rds_setting_row(setting)->name,
		             rds_settings_shown(settings, setting, value, sizeof value),
		             rds_settings_where(settings, setting));
	}
}

void rds_cli_complain(const struct rds_cli *cli, const struct rds_error *err)
{
	(void)fprintf(stderr, "%s: %s\n", cli->name, err->text);
}
