// SPDX-License-Identifier: MIT
// The loopback consoles of hbbs and hbbr (protocol.md section 11): one line of words in, a text
// out.
#include "cmd/role_private.h"

#include "core/alloc.h"

#include <stdlib.h>

const char *role_console_word(char **words)
{
	char *word = *words + strspn(*words, " \t");
	char *end = word + strcspn(word, " \t");
	*words = end + (*end != '\0');
	*end = '\0';
	return word;
}

static void help(const struct role_console *console, FILE *out)
{
	for (size_t i = 0; i < console->n_commands; i++)
		(void)fprintf(out, "%s (%s)%s\n", console->commands[i].name,
		              console->commands[i].shortly, console->commands[i].arguments);
}

static void run(const struct role_console *console, char *words, FILE *out)
{
	const char *name = role_console_word(&words);
	words += strspn(words, " \t");
	for (size_t i = 0; i < console->n_commands; i++) {
		const struct role_console_command *command = &console->commands[i];
		if (strcmp(name, command->name) == 0 || strcmp(name, command->shortly) == 0) {
			command->run(console->role, words, out);
			return;
		}
	}
	if (strcmp(name, "h") == 0)
		help(console, out);
	else
		(void)fputs("There is no such command; h lists them.\n", out);
}

static char *answer(void *ctx, const char *line)
{
	char *text = NULL;
	size_t len = 0;
	char *words = rds_strdup(line);
	FILE *out = open_memstream(&text, &len);
	if (out == NULL)
		abort(); // out of memory
	run(ctx, words, out);
	free(words);
	if (fclose(out) != 0)
		abort();
	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0'; // the connection adds it
	return text;
}

static bool takes_proxy_headers(const struct role *role, uint16_t port)
{
	for (size_t i = 0; i < role->header_ports.n; i++)
		if (role->header_ports.items[i] == port)
			return true;
	return false;
}

// The console is there; who can reach it, and who can't be served because of it.
static void warn(const struct role *role, const char *setting, uint16_t port)
{
	if (port == 0 || takes_proxy_headers(role, port))
		rds_log(RDS_LOG_WARN,
		        "loopback-console has no effect: its port is off, or takes PROXY headers",
		        rds_field_text("port_setting", setting));
	else
		rds_log(RDS_LOG_WARN,
		        "loopback-console: whoever is on this host may use it, and no client "
		        "here can use its port",
		        rds_field_uint("port", port));
}

struct rds_lines *role_console_open(struct role *role, struct role_console *console,
                                    enum rds_setting port,
                                    const struct role_console_command *commands, size_t n)
{
	if (rds_settings_number(role->settings, RDS_SET_LOOPBACK_CONSOLE) == 0)
		return NULL;
	*console = (struct role_console){.role = role, .commands = commands, .n_commands = n};
	console->lines = rds_lines_new(role->loop, "console", true, answer, console);
	warn(role, rds_setting_row(port)->name, rds_settings_port(role->settings, port));
	return console->lines;
}
