// SPDX-License-Identifier: MIT
// Completions for shells, from the tables by which command lines are read.
#include "cmd/completions.h"

#include "cmd/role.h"
#include "conf/form.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static void add_word(struct completion *to, const char *word, size_t len)
{
	size_t used = strlen(to->words);
	(void)snprintf(to->words + used, sizeof to->words - used, "%s%.*s", used > 0 ? " " : "",
	               (int)len, word);
	to->kind = COMPLETION_WORDS;
}

// Of "N|off" only "off" is a word: a name in capitals stands for something else. Y and N do not.
static void add_words_of_value(struct completion *to)
{
	bool yes_or_no = strncmp(to->value, "Y|N", 3) == 0;
	for (const char *at = to->value; *at != '\0';) {
		size_t len = strcspn(at, "|");
		if (islower((unsigned char)at[0]) != 0 || (yes_or_no && len == 1))
			add_word(to, at, len);
		at += len + (at[len] == '|');
	}
}

static void add_forms(struct completion *to)
{
	for (int i = 0; i < RDS_FORM_COUNT; i++) {
		const char *name = rds_form_row((enum rds_form)i)->name;
		add_word(to, name, strlen(name));
	}
}

static void set_kind(struct completion *to)
{
	to->kind = COMPLETION_ANY;
	if (to->value == NULL)
		to->kind = COMPLETION_NONE;
	else if (strncmp(to->value, "FILE", 4) == 0)
		to->kind = COMPLETION_FILE;
	else if (strcmp(to->value, "DIR") == 0)
		to->kind = COMPLETION_DIR;
	else
		add_words_of_value(to);
}

static struct completion of_setting(const struct rds_cli *cli, enum rds_setting setting)
{
	const struct rds_setting_row *row = rds_setting_row(setting);
	struct completion made = {
	        .name = row->name, .letter = row->letter, .value = row->value, .help = row->help};
	if (cli->letter_p_is_relay_port && setting == RDS_SET_PORT)
		made.letter = 0;
	if (cli->letter_p_is_relay_port && setting == RDS_SET_RELAY_PORT)
		made.letter = 'p';
	set_kind(&made);
	if (row->type == RDS_TYPE_CHOICE)
		add_word(&made, row->choices, strlen(row->choices));
	return made;
}

static struct completion of_option(const struct rds_cli *cli, const struct rds_cli_option *option)
{
	struct completion made = {.name = option->name,
	                          .letter = option->letter,
	                          .value = option->value,
	                          .help = option->help};
	set_kind(&made);
	if (cli->takes == RDS_FOR_EXPORT && strcmp(option->name, "format") == 0)
		add_forms(&made);
	return made;
}

size_t completions_of(const struct rds_command *command, struct completion out[COMPLETIONS_MAX])
{
	size_t n = 0;
	if (command->cli != NULL) {
		const struct rds_cli *cli = command->cli();
		for (int i = 0; i < RDS_SET_COUNT; i++)
			if ((rds_setting_row((enum rds_setting)i)->takers & cli->takes) != 0)
				out[n++] = of_setting(cli, (enum rds_setting)i);
		for (size_t i = 0; i < cli->n_options; i++)
			out[n++] = of_option(cli, &cli->options[i]);
		out[n++] = (struct completion){
		        .name = "version", .letter = 'V', .help = "print the version"};
	}
	out[n++] = (struct completion){.name = "help", .letter = 'h', .help = "print the options"};
	return n;
}

void completions_print_ctl_words(const char *role)
{
	const char *word = NULL;
	for (size_t i = 0; (word = rds_role_word(role, i)) != NULL; i++)
		(void)printf("%s%s", i > 0 ? " " : "", word);
}

static const char usage[] =
        "usage: rdsrv completions bash|zsh|fish\n"
        "Prints completions for a shell, of this program's own options. `make install` puts them\n"
        "where the shells look; for one user:\n"
        "  rdsrv completions bash >~/.local/share/bash-completion/completions/rdsrv\n"
        "  rdsrv completions fish >~/.config/fish/completions/rdsrv.fish\n"
        "  rdsrv completions zsh  >DIR/_rdsrv, DIR being one of $fpath\n"
        "See rdsrv-completions(1).\n";

int cmd_completions(int argc, char **argv)
{
	static const struct {
		const char *shell;
		void (*print)(void);
	} shells[] = {{"bash", completions_print_bash},
	              {"zsh", completions_print_zsh},
	              {"fish", completions_print_fish}};
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		(void)fputs(usage, stdout);
		return RDS_EXIT_OK;
	}
	if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
		rds_print_version();
		return RDS_EXIT_OK;
	}
	for (size_t i = 0; argc == 2 && i < sizeof shells / sizeof shells[0]; i++) {
		if (strcmp(argv[1], shells[i].shell) != 0)
			continue;
		shells[i].print();
		return RDS_EXIT_OK;
	}
	(void)fputs(usage, stderr);
	return RDS_EXIT_USAGE;
}
