// SPDX-License-Identifier: MIT
// Goal: frames of both transports as tests write and read them, in other words than the code under
// test has.
#ifndef RDS_TEST_UNIT_FRAMES_H
#define RDS_TEST_UNIT_FRAMES_H

#include "core/view.h"
#include "net/buffer.h"

// A TCP frame with a header of header_len bytes, which must be enough.
void frames_put_tcp(struct rds_buffer *out, size_t header_len, struct rds_view payload);

// The head of a TCP frame alone, whatever it announces.
void frames_put_tcp_head(struct rds_buffer *out, size_t header_len, uint32_t payload_len);

// A client's WebSocket frame: first is the head's first byte; wide, the bytes of its length behind
// the second one: 0, 2 or 8, which must be enough; mask of 4 bytes.
void frames_put_ws(struct rds_buffer *out, unsigned first, unsigned wide, const uint8_t *mask,
                   struct rds_view payload);

// The head of one alone.
void frames_put_ws_head(struct rds_buffer *out, unsigned first, unsigned wide, const uint8_t *mask,
                        uint64_t payload_len);

// What a receiver reads.
struct frame_read {
	unsigned opcode; // of TCP: 2
	bool fin;
	struct rds_view payload; // as much of it as is there
	uint64_t len;            // what its head announces
};

// Takes a frame that a server wrote off the front, with its payload as far as it has come; false:
// its head isn't there yet. A head that isn't the shortest, or has a mask, fails the test.
bool frames_take(struct rds_view *bytes, bool websocket, struct frame_read *out);

#endif
