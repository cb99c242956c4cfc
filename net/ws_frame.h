// SPDX-License-Identifier: MIT
// WebSocket frames for the relay (RFC 6455 section 5.2): heads and masks, no more. net/websocket
// has whole messages, by wslay, whose contexts and byte-wise unmasking the relay can't afford.
#ifndef RDS_NET_WS_FRAME_H
#define RDS_NET_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rds_ws_opcode {
	RDS_WS_CONTINUATION = 0,
	RDS_WS_TEXT = 1,
	RDS_WS_BINARY = 2,
	RDS_WS_CLOSE = 8,
	RDS_WS_PING = 9,
	RDS_WS_PONG = 10,
};

#define RDS_WS_CONTROL_MAX_BYTES 125

struct rds_ws_frame {
	uint64_t len; // of the payload
	uint8_t mask[4];
	uint8_t opcode;
	bool fin;
};

static inline bool rds_ws_is_control(const struct rds_ws_frame *frame)
{
	return (frame->opcode & 8U) != 0;
}

// Reads a client's frame head at the start of bytes. Returns its length; 0 if more is needed;
// -RDS_EPARSE if it is none that a client may send: no mask, reserved bits or opcodes, a control
// frame that is long or fragmented.
long rds_ws_frame_decode(const uint8_t *bytes, size_t len, struct rds_ws_frame *out)
        __attribute__((warn_unused_result));

// Writes the head of a server's frame (no mask); returns its length.
#define RDS_WS_FRAME_HEAD_MAX 14
size_t rds_ws_frame_head(enum rds_ws_opcode opcode, bool fin, uint64_t len,
                         uint8_t out[RDS_WS_FRAME_HEAD_MAX]);

// Takes the mask off len bytes that begin at offset of a frame's payload. out may be bytes.
void rds_ws_unmask(const uint8_t *bytes, size_t len, const uint8_t mask[4], uint64_t offset,
                   uint8_t *out);

#endif
