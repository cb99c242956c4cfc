// SPDX-License-Identifier: MIT
// Goal: sessions that are open and do nothing, until the standard input ends.
#include "test/bench/sides.h"
#include "test/bench/tool.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sides_options where = {.server = "127.0.0.1:21117", .backend = "", .websocket = ""};
	struct sides sides;
	long sessions = 1000;
	const struct tool_option options[] = {SIDES_OPTIONS(&where),
	                                      {.name = "sessions", .number = &sessions}};
	char byte;
	tool_options(argc, argv, options, sizeof options / sizeof options[0]);
	sides_init(&sides, &where);
	for (long i = 0; i < sessions; i++) {
		int fds[2];
		sides_open(&sides, (uint32_t)i, fds);
	}
	(void)printf("{\"sessions\": %ld}\n", sessions);
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
