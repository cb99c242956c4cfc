// SPDX-License-Identifier: MIT
// Running the system's own programs and reading what they say: no shell, a clean environment, a
// time limit, bounded output.
#ifndef RDS_CMD_CHECK_TOOL_H
#define RDS_CMD_CHECK_TOOL_H

#include <stdbool.h>
#include <stddef.h>

// What a program says beyond this is dropped: 100 times what a large firewall's rules take.
#define CHECK_TOOL_MAX_BYTES (16 * 1024 * 1024)

enum check_tool_end {
	CHECK_TOOL_ENDED,
	CHECK_TOOL_ABSENT, // there is no such program
	CHECK_TOOL_HUNG,   // it didn't end in time, and was killed
	CHECK_TOOL_FAILED, // it can't be started, or died of a signal
};

struct check_tool {
	enum check_tool_end end;
	int code;  // its exit code, if it ended
	char *out; // its standard output, NUL-terminated; never NULL
	size_t len;
	bool truncated; // it had more to say
};

// Runs argv[0], looked for in PATH and where systems keep their programs, and waits for its end.
// argv ends with NULL. Clear *out in any case.
void check_tool_run(const char *const *argv, unsigned timeout_ms, struct check_tool *out);
void check_tool_clear(struct check_tool *tool);

// Whether it ended with 0, all of its output there.
bool check_tool_is_good(const struct check_tool *tool);

// Fresh memory with the program's path; NULL: there is none.
char *check_tool_find(const char *name);

#endif
