// SPDX-License-Identifier: MIT
#include "cmd/completions.h"

#include <stdio.h>
#include <string.h>

static const char head[] = "# made by `rdsrv completions fish`\n"
                           "\n"
                           "function __rdsrv_command\n"
                           "\tset -l words (commandline -opc)\n"
                           "\ttest (count $words) -ge 2; and test $words[2] = $argv[1]\n"
                           "end\n"
                           "\n"
                           "function __rdsrv_none\n"
                           "\ttest (count (commandline -opc)) -eq 1\n"
                           "end\n"
                           "\n"
                           "# Which role ctl is to ask, and whether its command is still to come.\n"
                           "function __rdsrv_ctl\n"
                           "\t__rdsrv_command ctl; or return 1\n"
                           "\tset -l words (commandline -opc)\n"
                           "\tset -l role none\n"
                           "\tfor word in $words[3..-1]\n"
                           "\t\tif contains -- $word id relay\n"
                           "\t\t\tset role $word\n"
                           "\t\telse if test $role != none\n"
                           "\t\t\tset role done\n"
                           "\t\tend\n"
                           "\tend\n"
                           "\ttest $role = $argv[1]\n"
                           "end\n"
                           "\n"
                           "complete -c rdsrv -f\n"
                           "complete -c rdsrv -n __rdsrv_none -l help -d 'print the commands'\n"
                           "complete -c rdsrv -n __rdsrv_none -l version -d 'print the version'\n";

static void print_quoted(const char *text)
{
	(void)putchar('\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'' || *text == '\\')
			(void)putchar('\\');
		(void)putchar(*text);
	}
	(void)putchar('\'');
}

static void print_option(const struct rds_command *command, const struct completion *option)
{
	(void)printf("complete -c rdsrv -n '__rdsrv_command %s' -l %s", command->name,
	             option->name);
	if (option->letter != 0)
		(void)printf(" -s %c", option->letter);
	if (option->kind == COMPLETION_WORDS)
		(void)printf(" -x -a '%s'", option->words);
	else if (option->kind == COMPLETION_FILE)
		(void)fputs(" -r -F", stdout);
	else if (option->kind == COMPLETION_DIR)
		(void)fputs(" -x -a '(__fish_complete_directories)'", stdout);
	else if (option->kind == COMPLETION_ANY)
		(void)fputs(" -x", stdout);
	(void)fputs(" -d ", stdout);
	print_quoted(option->help);
	(void)putchar('\n');
}

static void print_ctl(void)
{
	static const char *const roles[] = {"id", "relay"};
	(void)puts("complete -c rdsrv -n '__rdsrv_ctl none' -a 'id relay'");
	for (size_t i = 0; i < 2; i++) {
		(void)printf("complete -c rdsrv -n '__rdsrv_ctl %s' -a '", roles[i]);
		completions_print_ctl_words(roles[i]);
		(void)puts("'");
	}
}

static void print_command(const struct rds_command *command)
{
	struct completion options[COMPLETIONS_MAX];
	(void)printf("\ncomplete -c rdsrv -n __rdsrv_none -a %s -d ", command->name);
	print_quoted(command->help);
	(void)putchar('\n');
	size_t n = completions_of(command, options);
	for (size_t i = 0; i < n; i++)
		print_option(command, &options[i]);
	if (strcmp(command->words, "FILE") == 0)
		(void)printf("complete -c rdsrv -n '__rdsrv_command %s' -F\n", command->name);
	else if (command->words[0] != '\0')
		(void)printf("complete -c rdsrv -n '__rdsrv_command %s' -a '%s'\n", command->name,
		             command->words);
}

void completions_print_fish(void)
{
	(void)fputs(head, stdout);
	for (size_t i = 0; i < RDS_COMMANDS; i++)
		print_command(&rds_commands[i]);
	print_ctl();
}
