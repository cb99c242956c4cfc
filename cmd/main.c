// SPDX-License-Identifier: MIT
#include "cmd/cmd.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Names under which the binary is a role, as old unit and Compose files call it.
static const struct rds_command aliases[] = {
        {.name = "hbbs", .run = cmd_hbbs},
        {.name = "hbbr", .run = cmd_hbbr},
        {.name = "rustdesk-utils", .run = cmd_utils},
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash == NULL ? path : slash + 1;
}

static void print_usage(FILE *out)
{
	(void)fputs("rdsrv " RDSRV_VERSION ": a self-hosted RustDesk server\n\n"
	            "usage: rdsrv COMMAND [options]\n\n",
	            out);
	for (size_t i = 0; i < RDS_COMMANDS; i++)
		(void)fprintf(out, "  %-12s %s\n", rds_commands[i].name, rds_commands[i].help);
	(void)fputs("\nTo start a server whose keys and peers are kept in ./data:\n\n"
	            "  mkdir -m 700 data && rdsrv serve --data-dir data --id-server HOST\n\n"
	            "HOST is the name or address by which clients reach this machine. Then\n"
	            "`rdsrv export-conf --data-dir data` says what to enter in a client.\n"
	            "`rdsrv COMMAND --help` lists a command's options; see also rdsrv-guide(7).\n",
	            out);
}

static bool is_word(const char *text, const char *a, const char *b)
{
	return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

// Started without standard descriptors, no file of ours must get their numbers.
static void open_standard_descriptors(void)
{
	int fd = 0;
	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd > STDERR_FILENO)
		(void)close(fd);
}

static int run(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
		if (strcmp(base_name(argv[0]), aliases[i].name) == 0)
			return aliases[i].run(argc, argv);
	if (argc < 2) {
		print_usage(stderr);
		return RDS_EXIT_USAGE;
	}
	if (is_word(argv[1], "--version", "-V")) {
		rds_print_version();
		return RDS_EXIT_OK;
	}
	if (is_word(argv[1], "--help", "-h") || strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return RDS_EXIT_OK;
	}
	for (size_t i = 0; i < RDS_COMMANDS; i++)
		if (strcmp(argv[1], rds_commands[i].name) == 0)
			return rds_commands[i].run(argc - 1, argv + 1);
	(void)fprintf(stderr, "rdsrv: there is no command \"%s\"; `rdsrv --help` lists them\n",
	              argv[1]);
	return RDS_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	open_standard_descriptors();
	if (argc < 1)
		return RDS_EXIT_USAGE;
	int code = run(argc, argv);
	// Whoever reads it must not take a part, or nothing, for all of it.
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return code;
	(void)fprintf(stderr, "%s: can't write to standard output\n", base_name(argv[0]));
	return code == RDS_EXIT_OK ? RDS_EXIT_PROBLEM : code;
}
