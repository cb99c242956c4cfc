// SPDX-License-Identifier: MIT
#include "cmd/completions.h"

#include <stdio.h>
#include <string.h>

static const char head[] =
        "# bash completion for rdsrv, made by `rdsrv completions bash`\n"
        "\n"
        "_rdsrv_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$2\"); }\n"
        "_rdsrv_files() {\n"
        "\tcompopt -o filenames\n"
        "\tmapfile -t COMPREPLY < <(compgen \"$1\" -- \"$2\")\n"
        "}\n"
        "\n"
        "# What stands behind `ctl` that is no option: role, command.\n"
        "_rdsrv_ctl_words() {\n"
        "\tlocal i\n"
        "\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
        "\t\t[[ ${COMP_WORDS[i + 1]} != = ]] || { ((i += 2)); continue; }\n"
        "\t\tcase ${COMP_WORDS[i]} in\n";

static const char middle[] =
        "\t\t-*) ;;\n"
        "\t\t*) echo \"${COMP_WORDS[i]}\" ;;\n"
        "\t\tesac\n"
        "\tdone\n"
        "}\n"
        "\n"
        "_rdsrv() {\n"
        "\tlocal cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words\n"
        "\tCOMPREPLY=()\n"
        "\t# --name=value is three words.\n"
        "\tif [[ $cur == = ]]; then\n"
        "\t\tcur=\n"
        "\telif [[ $before == = ]]; then\n"
        "\t\tbefore=${COMP_WORDS[COMP_CWORD - 2]}\n"
        "\tfi\n";

static const char tail[] = "\tesac\n"
                           "}\n"
                           "complete -F _rdsrv rdsrv\n";

static void print_patterns(const char *command, const struct completion *option)
{
	if (command != NULL)
		(void)printf("\t%s:--%s", command, option->name);
	else
		(void)printf("\t\t--%s", option->name);
	if (option->letter != 0)
		(void)printf(" | %s%s-%c", command == NULL ? "" : command,
		             command == NULL ? "" : ":", option->letter);
	(void)fputs(") ", stdout);
}

static void print_value(const char *command, const struct completion *option)
{
	if (option->kind == COMPLETION_NONE)
		return;
	print_patterns(command, option);
	switch (option->kind) {
	case COMPLETION_WORDS:
		(void)printf("_rdsrv_words '%s' \"$cur\"", option->words);
		break;
	case COMPLETION_FILE:
		(void)fputs("_rdsrv_files -f \"$cur\"", stdout);
		break;
	case COMPLETION_DIR:
		(void)fputs("_rdsrv_files -d \"$cur\"", stdout);
		break;
	case COMPLETION_ANY:
	case COMPLETION_NONE:
		break;
	}
	(void)puts(" ;;");
}

// What may stand there that is no value of an option.
static void print_words(const struct rds_command *command, const struct completion *options,
                        size_t n)
{
	(void)printf("\t%s:*)\n\t\twords='", command->name);
	for (size_t i = 0; i < n; i++)
		(void)printf("%s--%s", i > 0 ? " " : "", options[i].name);
	(void)puts("'");
	if (strcmp(command->name, "ctl") == 0) {
		(void)fputs("\t\tcase $(_rdsrv_ctl_words) in\n\t\t'') words+=' id relay' ;;\n"
		            "\t\tid) words+=' ",
		            stdout);
		completions_print_ctl_words("id");
		(void)fputs("' ;;\n\t\trelay) words+=' ", stdout);
		completions_print_ctl_words("relay");
		(void)puts("' ;;\n\t\tesac");
	}
	if (strcmp(command->words, "FILE") == 0)
		(void)puts("\t\t[[ $cur == -* ]] || { _rdsrv_files -f \"$cur\"; return; }");
	else if (command->words[0] != '\0')
		(void)printf("\t\twords+=' %s'\n", command->words);
	(void)puts("\t\t_rdsrv_words \"$words\" \"$cur\"\n\t\t;;");
}

static void print_ctl_values(void)
{
	struct completion options[COMPLETIONS_MAX];
	for (size_t i = 0; i < RDS_COMMANDS; i++) {
		if (strcmp(rds_commands[i].name, "ctl") != 0)
			continue;
		size_t n = completions_of(&rds_commands[i], options);
		for (size_t j = 0; j < n; j++) {
			if (options[j].kind == COMPLETION_NONE)
				continue;
			print_patterns(NULL, &options[j]);
			(void)puts("((i++)) ;;");
		}
	}
}

void completions_print_bash(void)
{
	struct completion options[COMPLETIONS_MAX];
	(void)fputs(head, stdout);
	print_ctl_values();
	(void)fputs(middle, stdout);
	(void)fputs("\tif ((COMP_CWORD == 1)); then\n\t\t_rdsrv_words '", stdout);
	for (size_t i = 0; i < RDS_COMMANDS; i++)
		(void)printf("%s ", rds_commands[i].name);
	(void)fputs("--help --version' \"$cur\"\n\t\treturn\n\tfi\n"
	            "\tcase ${COMP_WORDS[1]}:$before in\n",
	            stdout);
	for (size_t i = 0; i < RDS_COMMANDS; i++) {
		size_t n = completions_of(&rds_commands[i], options);
		for (size_t j = 0; j < n; j++)
			print_value(rds_commands[i].name, &options[j]);
		print_words(&rds_commands[i], options, n);
	}
	(void)fputs(tail, stdout);
}
