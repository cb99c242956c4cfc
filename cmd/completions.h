// SPDX-License-Identifier: MIT
// Shared by the completions*.c files and nobody else.
#ifndef RDS_CMD_COMPLETIONS_H
#define RDS_CMD_COMPLETIONS_H

#include "cmd/cli.h"
#include "cmd/cmd.h"

enum completion_kind {
	COMPLETION_NONE,  // the option takes no value
	COMPLETION_ANY,   // any text
	COMPLETION_WORDS, // one of some words
	COMPLETION_FILE,
	COMPLETION_DIR,
};

// An option as a shell sees it.
struct completion {
	const char *name;
	char letter; // 0: none
	const char *value;
	const char *help;
	enum completion_kind kind;
	char words[256]; // "a b c"
};

#define COMPLETIONS_MAX (RDS_SET_COUNT + RDS_CLI_OPTIONS_MAX + 2)

// The options of a command, those that --help shows and the others; how many.
size_t completions_of(const struct rds_command *command, struct completion out[COMPLETIONS_MAX]);

// Prints the words that ctl takes for "id" or "relay", with spaces between them.
void completions_print_ctl_words(const char *role);

void completions_print_bash(void);
void completions_print_zsh(void);
void completions_print_fish(void);

#endif
