// SPDX-License-Identifier: MIT
// Goal: sessions for the relay's benchmarks. Both of their sides are here, and between them is a
// relay, a proxy or nothing.
#ifndef RDS_TEST_BENCH_SIDES_H
#define RDS_TEST_BENCH_SIDES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Arguments that all the relay's load generators take.
struct sides_options {
	const char *server; // where first sides connect
	const char
	        *backend; // where second sides are accepted, as a proxy's server or server itself
	                  // (nothing between them); "": they connect too, and server is a relay
	const char *websocket; // where first sides connect instead, to speak WebSocket
};
#define SIDES_OPTIONS(where)                                     \
	{.name = "server", .text = &(where)->server},            \
	        {.name = "backend", .text = &(where)->backend},  \
	{                                                        \
		.name = "websocket", .text = &(where)->websocket \
	}

struct sides {
	struct sockaddr_in server;
	struct sockaddr_in first; // where first sides connect
	bool websocket;
	int listener; // of second sides; -1: a relay brings them together
};

// Raises the limit on descriptors, too.
void sides_init(struct sides *sides, const struct sides_options *options);

// The loopback address that session n comes from (host order).
uint32_t sides_source(uint32_t n);

// Writes a message: as a WebSocket frame of a client, or as a frame of protocol.md section 2; its
// length, at most SIDES_HEAD_MAX more than len.
#define SIDES_HEAD_MAX 14
size_t sides_frame(bool websocket, const uint8_t *payload, size_t len, uint8_t *out);

// Writes the message with which a side of session n asks for the other; its length.
#define SIDES_REQUEST_MAX 64
size_t sides_request(bool websocket, uint32_t n, uint8_t out[SIDES_REQUEST_MAX]);

// Opens session n and sees a message through it, so that it is known to be up; one after the
// other.
void sides_open(const struct sides *sides, uint32_t n, int fds[2]);

// Sends or receives it all, or ends the program.
void sides_send(int fd, const void *bytes, size_t len);
void sides_receive(int fd, void *bytes, size_t len);

#endif
