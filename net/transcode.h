// SPDX-License-Identifier: MIT
// One direction of a relayed session of which a side speaks WebSocket (protocol.md section 9 point
// 4): a TCP frame's payload becomes one message and back. Bytes in, bytes out; payloads stream
// through, only fragmented messages on their way to TCP are held until their length is known.
#ifndef RDS_NET_TRANSCODE_H
#define RDS_NET_TRANSCODE_H

#include "net/buffer.h"
#include "net/ws_frame.h"

struct rds_transcoder {
	bool from_websocket;
	bool to_websocket;
	bool stop_after_message; // leave what comes behind the next whole message alone
	bool closed;             // the sender has sent its closing frame: nothing more comes
	bool in_frame;
	bool in_message;            // between the fragments of one
	uint8_t head_len;           // of a head whose rest hasn't come
	uint8_t answer_len;         // of a frame that the sender is to be answered with; 0: none
	struct rds_ws_frame frame;  // what is coming; of TCP only its len
	uint64_t done;              // bytes of its payload that have come
	uint64_t out_left;          // bytes until the next end of a frame in what goes out
	struct rds_transcoder *due; // whose answer waits for that end; NULL: none does
	struct rds_buffer message;  // fragments of a message for TCP
	uint8_t head[RDS_WS_FRAME_HEAD_MAX];
	uint8_t control[RDS_WS_CONTROL_MAX_BYTES];
	uint8_t answer[2 + RDS_WS_CONTROL_MAX_BYTES];
};

// from, to: whether each speaks WebSocket; not both are TCP.
void rds_transcoder_init(struct rds_transcoder *t, bool from_websocket, bool to_websocket);
void rds_transcoder_clear(struct rds_transcoder *t);

// Takes bytes from the sender and appends to out what is for the receiver. Returns how many it
// took, all of them unless it was to stop after a message or the sender has closed; -RDS_EPARSE for
// bytes that are no frames, -RDS_ETOOBIG for a message that the other side can't be given.
long rds_transcode(struct rds_transcoder *t, const uint8_t *bytes, size_t len,
                   struct rds_buffer *out) __attribute__((warn_unused_result));

// Appends the answer that the other direction's sender is due (a pong, a closing frame) to out, if
// there is one and this direction is between two frames; else it goes out before the next one. t:
// the direction towards that sender; from the other direction, which is borrowed, the answer is
// taken.
void rds_transcoder_answer(struct rds_transcoder *t, struct rds_transcoder *other,
                           struct rds_buffer *out);

// Appends the closing frame for a receiver that speaks WebSocket, if it can take one now.
void rds_transcoder_end(const struct rds_transcoder *t, struct rds_buffer *out);

#endif
