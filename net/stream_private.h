// SPDX-License-Identifier: MIT
// Shared by the stream*.c files and nobody else.
#ifndef RDS_NET_STREAM_PRIVATE_H
#define RDS_NET_STREAM_PRIVATE_H

#include "net/buffer.h"
#include "net/stream.h"

struct event;

enum stream_state {
	STREAM_OPEN,
	STREAM_FLUSHING,  // closed by us: what was sent has to go out
	STREAM_LINGERING, // our half is closed: waiting for theirs
	STREAM_DEAD,      // to be freed
};

// A WebSocket that we asked for.
struct stream_dial {
	const struct rds_ws_hooks *hooks;
	uint8_t nonce[16];
};

struct rds_stream {
	struct rds_share share; // first: rds_stream_of_share relies on it
	struct rds_loop *loop;
	const struct rds_stream_callbacks *callbacks;
	void *ctx;
	struct rds_addr remote;
	uint64_t id;
	uint64_t active_ms;     // when the last whole payload came, or the state changed
	uint64_t sent_ms;       // when the last payload was sent
	uint64_t payloads;      // how many have come
	unsigned idle_ms;       // without a payload, it ends
	unsigned keep_alive_ms; // heartbeats when nothing was sent for so long; 0: none
	unsigned unanswered;    // heartbeats
	enum {
		STREAM_NO_PROXY,
		STREAM_MAY_BE_PROXY,
		STREAM_MUST_BE_PROXY
	} proxy;                  // whether its header is awaited
	rds_sha1_fn sha1;         // set while a WebSocket's opening request is awaited
	struct stream_dial *dial; // set while the answer to our own is
	struct rds_ws *ws;        // NULL: framed
	const struct rds_secure_hooks *hooks;
	struct rds_channel *channel; // NULL: payloads are plain
	int fd;
	int mark;
	uint32_t offered;
	enum stream_state state;
	enum rds_reason why;
	bool more;    // whole frames may wait in `in`: for its next turn
	bool broken;  // nothing can be sent any more
	bool eof;     // the other side has closed its half
	bool told;    // on_end was called
	bool handled; // inside one of its handlers
	struct event *readable;
	struct event *writable;
	struct rds_buffer in;  // the start of a frame whose rest hasn't come
	struct rds_buffer out; // what the kernel didn't take yet
};

// stream_in.c: hands over what the bytes hold, a bounded number of frames at once; what is left
// waits in `in`, and `more` says whether that holds whole frames.
void stream_take_bytes(struct rds_stream *stream, const uint8_t *bytes, size_t len);

// stream.c: its end, once the handler that is running has returned. Nothing more is sent.
void stream_die(struct rds_stream *stream, enum rds_reason why);

// stream.c: the socket is no longer the stream's, which dies without a word.
int stream_give_away(struct rds_stream *stream);

#endif
