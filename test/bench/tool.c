// SPDX-License-Identifier: MIT
#include "test/bench/tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECEIVE_BYTES (4 * 1024 * 1024)

static void die_of_option(const char *argument, const struct tool_option *options, size_t n)
{
	(void)fprintf(stderr, "not an option: %s; there are:", argument);
	for (size_t i = 0; i < n; i++)
		(void)fprintf(stderr, " %s=", options[i].name);
	(void)fputc('\n', stderr);
	exit(2);
}

void tool_options(int argc, char **argv, const struct tool_option *options, size_t n)
{
	for (int i = 1; i < argc; i++) {
		const char *equals = strchr(argv[i], '=');
		size_t len = equals == NULL ? 0 : (size_t)(equals - argv[i]);
		size_t at = 0;
		while (at < n && (equals == NULL || strlen(options[at].name) != len ||
		                  memcmp(options[at].name, argv[i], len) != 0))
			at++;
		if (at == n) {
			die_of_option(argv[i], options, n);
		} else if (options[at].text != NULL) {
			*options[at].text = equals + 1;
		} else {
			char *end = NULL;
			*options[at].number = strtol(equals + 1, &end, 10);
			if (end == equals + 1 || *end != '\0')
				die_of_option(argv[i], options, n);
		}
	}
}

void tool_fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	exit(1);
}

void tool_fail_errno(const char *what)
{
	tool_fail("%s: %s", what, strerror(errno));
}

uint64_t tool_now_us(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct sockaddr_in tool_address(const char *text)
{
	struct sockaddr_in out = {.sin_family = AF_INET};
	char host[INET_ADDRSTRLEN];
	const char *colon = strchr(text, ':');
	size_t len = colon == NULL ? sizeof host : (size_t)(colon - text);
	if (len >= sizeof host)
		tool_fail("not ADDRESS:PORT: %s", text);
	memcpy(host, text, len);
	host[len] = '\0';
	out.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, host, &out.sin_addr) != 1)
		tool_fail("not ADDRESS:PORT: %s", text);
	return out;
}

static int bound(int type, uint32_t source, uint16_t port)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)};
	own.sin_addr.s_addr = htonl(source);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&own, sizeof own) != 0)
		tool_fail_errno("can't make a socket");
	return fd;
}

int tool_udp_socket(uint16_t port)
{
	static const int bytes = RECEIVE_BYTES;
	int fd = bound(SOCK_DGRAM, INADDR_ANY, port);
	// Whoever may, may have more than the system's limit.
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	return fd;
}

int tool_connect(const struct sockaddr_in *server, uint32_t source)
{
	static const int yes = 1;
	int fd = bound(SOCK_STREAM, source, 0);
	if (connect(fd, (const struct sockaddr *)server, sizeof *server) != 0)
		tool_fail_errno("can't connect");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	return fd;
}

uint32_t tool_percentile(const uint32_t *sorted, size_t n, double share)
{
	size_t at = (size_t)((double)n * share);
	return n == 0 ? 0 : sorted[at < n ? at : n - 1];
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

void tool_sort(uint32_t *values, size_t n)
{
	qsort(values, n, sizeof *values, compare);
}
