// SPDX-License-Identifier: MIT
#include "test/bench/sides.h"

#include "test/bench/tool.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

// Each address has some 28,000 ports, and a closed connection keeps its own for a while.
#define SESSIONS_PER_SOURCE 256
#define SOURCES             4096
#define FIRST_SOURCE        0x7f010001U // 127.1.0.1

#define UUID_BYTES 36

static const uint8_t mask[4] = {0x9c, 0x35, 0xe1, 0x7a};

static int listen_at(const char *backend)
{
	static const int yes = 1;
	struct sockaddr_in own = tool_address(backend);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
	    bind(fd, (const struct sockaddr *)&own, sizeof own) != 0 || listen(fd, BACKLOG) != 0)
		tool_fail_errno("can't listen");
	return fd;
}

void sides_init(struct sides *sides, const struct sides_options *options)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	sides->websocket = options->websocket[0] != '\0';
	sides->server = tool_address(options->server);
	sides->first = sides->websocket ? tool_address(options->websocket) : sides->server;
	sides->listener = options->backend[0] != '\0' ? listen_at(options->backend) : -1;
}

uint32_t sides_source(uint32_t n)
{
	return FIRST_SOURCE + n / SESSIONS_PER_SOURCE % SOURCES;
}

static size_t write_head(bool websocket, size_t len, uint8_t *out)
{
	size_t n = 0;
	if (!websocket) {
		size_t wide = len < 64 ? 1 : len < 16384 ? 2 : len < 4194304 ? 3 : 4;
		for (size_t header = len << 2 | (wide - 1); n < wide; header >>= 8)
			out[n++] = (uint8_t)header;
		return n;
	}
	size_t wide = len < 126 ? 0 : len < 65536 ? 2 : 8;
	out[n++] = 0x82; // all of a binary message
	out[n++] = (uint8_t)(0x80U | (wide == 0 ? len : wide == 2 ? 126U : 127U));
	for (size_t i = wide; i > 0; i--)
		out[n++] = (uint8_t)(len >> (8 * (i - 1)));
	memcpy(out + n, mask, sizeof mask);
	return n + sizeof mask;
}

size_t sides_frame(bool websocket, const uint8_t *payload, size_t len, uint8_t *out)
{
	size_t head = write_head(websocket, len, out);
	for (size_t i = 0; i < len; i++)
		out[head + i] = websocket ? payload[i] ^ mask[i & 3] : payload[i];
	return head + len;
}

size_t sides_request(bool websocket, uint32_t n, uint8_t out[SIDES_REQUEST_MAX])
{
	// RendezvousMessage.request_relay, RequestRelay.uuid
	uint8_t payload[5 + UUID_BYTES + 1] = {0x92, 0x01, UUID_BYTES + 2, 0x12, UUID_BYTES};
	(void)snprintf((char *)payload + 5, UUID_BYTES + 1, "%08x-0000-4000-8000-%012x", n, n);
	return sides_frame(websocket, payload, 5 + UUID_BYTES, out);
}

void sides_send(int fd, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
		if (n <= 0)
			tool_fail_errno("a session broke while it was opened: send");
		at += n;
		len -= (size_t)n;
	}
}

void sides_receive(int fd, void *bytes, size_t len)
{
	ssize_t n = recv(fd, bytes, len, MSG_WAITALL);
	if (n < 0)
		tool_fail_errno("a session broke while it was opened: recv");
	if ((size_t)n != len)
		tool_fail("a session ended while it was opened");
}

static void open_websocket(int fd)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
	                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
	static const char end[] = "\r\n\r\n";
	char last[5] = "";
	sides_send(fd, request, sizeof request - 1);
	while (strcmp(last, end) != 0) {
		memmove(last, last + 1, 3);
		sides_receive(fd, last + 3, 1);
	}
}

static void ask_for_other(int fd, bool websocket, uint32_t n)
{
	uint8_t request[SIDES_REQUEST_MAX];
	sides_send(fd, request, sides_request(websocket, n, request));
}

static int open_second(const struct sides *sides, uint32_t n)
{
	static const int yes = 1;
	if (sides->listener < 0) {
		int fd = tool_connect(&sides->server, sides_source(n));
		ask_for_other(fd, false, n);
		return fd;
	}
	int fd = accept4(sides->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		tool_fail_errno("can't accept");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	return fd;
}

void sides_open(const struct sides *sides, uint32_t n, int fds[2])
{
	uint8_t bytes[SIDES_HEAD_MAX + 1] = {0};
	fds[0] = tool_connect(&sides->first, sides_source(n));
	if (sides->websocket)
		open_websocket(fds[0]);
	if (sides->listener < 0)
		ask_for_other(fds[0], sides->websocket, n);
	fds[1] = open_second(sides, n);
	sides_send(fds[0], bytes, sides_frame(sides->websocket, (const uint8_t *)"", 1, bytes));
	sides_receive(fds[1], bytes, 2);
}
