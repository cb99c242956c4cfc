// SPDX-License-Identifier: MIT
// Goal: what all programs of the benchmarks share: arguments, a clock, sockets, how they fail.
#ifndef RDS_TEST_BENCH_TOOL_H
#define RDS_TEST_BENCH_TOOL_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

// An argument "name=value". Exactly one of the two is set, to its default.
struct tool_option {
	const char *name;
	long *number;
	const char **text;
};

// Reads the arguments; one that is none of the options ends the program with a line that names
// them all.
void tool_options(int argc, char **argv, const struct tool_option *options, size_t n);

// Ends the program with one line on standard error; tool_fail_errno adds what errno says.
void tool_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void tool_fail_errno(const char *what) __attribute__((noreturn));

uint64_t tool_now_us(void);

// "127.0.0.1:21116".
struct sockaddr_in tool_address(const char *text);

// An IPv4 socket, bound to any address; of datagrams with room for thousands of them.
int tool_udp_socket(uint16_t port);

// Connects from source (host order; 0: the kernel chooses) and waits for it.
int tool_connect(const struct sockaddr_in *server, uint32_t source);

// The value below which a share (0.5: the median) of sorted values lies.
uint32_t tool_percentile(const uint32_t *sorted, size_t n, double share);
void tool_sort(uint32_t *values, size_t n);

#endif
