// SPDX-License-Identifier: MIT
#include "cmd/completions.h"

#include <stdio.h>
#include <string.h>

// Inside '...' and [...]: what would end them is escaped.
static void print_escaped(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			(void)fputs("'\\''", stdout);
		else if (strchr("[]:\\", *text) != NULL)
			(void)printf("\\%c", *text);
		else
			(void)putchar(*text);
	}
}

static void print_value(const struct completion *option)
{
	if (option->kind == COMPLETION_NONE)
		return;
	(void)putchar(':');
	print_escaped(option->value);
	(void)putchar(':');
	if (option->kind == COMPLETION_WORDS)
		(void)printf("(%s)", option->words);
	else if (option->kind == COMPLETION_FILE)
		(void)fputs("_files", stdout);
	else if (option->kind == COMPLETION_DIR)
		(void)fputs("_files -/", stdout);
	else
		(void)putchar(' ');
}

// '(-d --data-dir)'{-d+,--data-dir=}'[help]:DIR:_files -/'
static void print_option(const struct completion *option)
{
	bool has_value = option->kind != COMPLETION_NONE;
	(void)fputs(" \\\n\t\t\t", stdout);
	if (option->letter != 0)
		(void)printf("'(-%c --%s)'{-%c%s,--%s%s}'", option->letter, option->name,
		             option->letter, has_value ? "+" : "", option->name,
		             has_value ? "=" : "");
	else
		(void)printf("'--%s%s", option->name, has_value ? "=" : "");
	(void)putchar('[');
	print_escaped(option->help);
	(void)putchar(']');
	print_value(option);
	(void)putchar('\'');
}

static void print_arguments(const struct rds_command *command)
{
	if (strcmp(command->name, "ctl") == 0)
		(void)fputs(" \\\n\t\t\t'1:role:(id relay)' '2:command:_rdsrv_ctl_words'"
		            " '*: :_files'",
		            stdout);
	else if (strcmp(command->words, "FILE") == 0)
		(void)fputs(" \\\n\t\t\t'*:file:_files'", stdout);
	else if (command->words[0] != '\0')
		(void)printf(" \\\n\t\t\t'1:word:(%s)'", command->words);
}

static void print_commands(void)
{
	(void)puts("_rdsrv_commands() {\n\tlocal -a commands=(");
	for (size_t i = 0; i < RDS_COMMANDS; i++) {
		(void)printf("\t\t'%s:", rds_commands[i].name);
		print_escaped(rds_commands[i].help);
		(void)puts("'");
	}
	(void)puts("\t)\n\t_describe -t commands command commands\n}\n");
}

static void print_ctl_words(void)
{
	(void)fputs("_rdsrv_ctl_words() {\n\tif (( ${words[(I)relay]} )); then\n\t\tcompadd ",
	            stdout);
	completions_print_ctl_words("relay");
	(void)fputs("\n\telse\n\t\tcompadd ", stdout);
	completions_print_ctl_words("id");
	(void)puts("\n\tfi\n}\n");
}

void completions_print_zsh(void)
{
	struct completion options[COMPLETIONS_MAX];
	(void)puts("#compdef rdsrv\n# made by `rdsrv completions zsh`\n");
	print_commands();
	print_ctl_words();
	(void)puts("_rdsrv() {\n"
	           "\tif (( CURRENT == 2 )); then\n"
	           "\t\t_rdsrv_commands\n"
	           "\t\t[[ $PREFIX != -* ]] || compadd -- --help --version\n"
	           "\t\treturn\n"
	           "\tfi\n"
	           "\tshift words\n"
	           "\t(( CURRENT-- ))\n"
	           "\tcase ${words[1]} in");
	for (size_t i = 0; i < RDS_COMMANDS; i++) {
		size_t n = completions_of(&rds_commands[i], options);
		(void)printf("\t%s)\n\t\t_arguments -s", rds_commands[i].name);
		for (size_t j = 0; j < n; j++)
			print_option(&options[j]);
		print_arguments(&rds_commands[i]);
		(void)puts("\n\t\t;;");
	}
	(void)puts("\tesac\n}\n\n"
	           "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
	           "\t_rdsrv \"$@\"\nelse\n\tcompdef _rdsrv rdsrv\nfi");
}
