// SPDX-License-Identifier: MIT
// A connection of the rendezvous ports, framed TCP or WebSocket (protocol.md section 2): bytes in,
// payloads out, and back. Idle framed ones hold no buffers.
#ifndef RDS_NET_STREAM_H
#define RDS_NET_STREAM_H

#include "core/addr.h"
#include "core/reason.h"
#include "core/secure_hooks.h"
#include "core/shares.h"
#include "net/buffer.h"
#include "net/loop.h"
#include "net/websocket.h"

struct rds_stream;

struct rds_stream_callbacks {
	// One payload has come, viewed for the length of the call. It may send to and close the
	// stream.
	void (*on_payload)(void *ctx, struct rds_stream *stream, struct rds_view payload);
	// A PROXY header has come and been taken off; known: it names the client.
	void (*on_proxied)(void *ctx, struct rds_stream *stream, bool known,
	                   const struct rds_addr *client);
	// A WebSocket's opening request has come, and is about to be accepted; false: hand it
	// over. NULL: of no interest.
	bool (*on_request)(void *ctx, struct rds_stream *stream,
	                   const struct rds_ws_request *request);
	// Takes the socket, and early with all that came on it from the opening request on. The
	// stream ends without on_end.
	void (*on_handed_over)(void *ctx, struct rds_stream *stream, int fd,
	                       struct rds_buffer *early);
	// What became of rds_stream_open_websocket: 101 if it is open; else the HTTP status of the
	// answer, 0 if it is none, and the stream ends. NULL: of no interest.
	void (*on_opened)(void *ctx, struct rds_stream *stream, int status);
	// No payload will come any more. Called once, never from inside another call into the
	// stream, which stays for as long as its last bytes take to go out.
	void (*on_end)(void *ctx, struct rds_stream *stream, enum rds_reason why);
	// The stream is about to free itself.
	void (*on_gone)(void *ctx, struct rds_stream *stream);
};

// Takes fd. callbacks and ctx are borrowed for the stream's life.
struct rds_stream *rds_stream_new(struct rds_loop *loop, int fd, const struct rds_addr *remote,
                                  const struct rds_stream_callbacks *callbacks, void *ctx);

// Call right after rds_stream_new: the client speaks WebSocket. It is kept waiting for its opening
// request no longer than for any other message.
void rds_stream_expect_websocket(struct rds_stream *stream, rds_sha1_fn sha1);

// Call right after rds_stream_new, of a connection that we made: asks for a WebSocket at path.
// Nothing can be sent before on_opened. hooks are borrowed. false: no randomness, or host and path
// are too long.
bool rds_stream_open_websocket(struct rds_stream *stream, const char *host, const char *path,
                               const struct rds_ws_hooks *hooks)
        __attribute__((warn_unused_result));

// Call right after rds_stream_new: a PROXY header may come before all else; it must, where a proxy
// is expected.
void rds_stream_expect_proxy(struct rds_stream *stream, bool must);

// Who is at the other end is known better: from a proxy that is trusted.
void rds_stream_set_remote(struct rds_stream *stream, const struct rds_addr *remote);

// Sends one payload. What the other side doesn't read is queued up to RDS_CONN_QUEUE_MAX_BYTES;
// over that the stream ends (RDS_WHY_SLOW_READER). After a close it is dropped.
void rds_stream_send(struct rds_stream *stream, struct rds_view payload);

// Ends the stream: what was sent goes out, then our half is closed, then the other side has
// RDS_CONN_LINGER_MS to close its own. What still comes in is thrown away.
void rds_stream_close(struct rds_stream *stream, enum rds_reason why);

// Seals what is sent and opens what comes from now on; takes channel, frees it by hooks, which
// are borrowed. Payloads that don't open end the stream (RDS_WHY_CHANNEL_BROKEN).
void rds_stream_secure(struct rds_stream *stream, const struct rds_secure_hooks *hooks,
                       struct rds_channel *channel);

// How long it may be without a payload, instead of RDS_CONN_IDLE_MS.
void rds_stream_set_idle(struct rds_stream *stream, unsigned idle_ms);

// The stream stays without requests (protocol.md section 5 point 4): an empty payload goes out
// when nothing was sent for keep_alive_sec; RDS_HEARTBEATS_UNANSWERED of them unanswered end it
// (RDS_WHY_NO_HEARTBEAT). false: it is closing already.
bool rds_stream_keep(struct rds_stream *stream, unsigned keep_alive_sec);

// How many payloads have come, the current one included.
uint64_t rds_stream_payloads(const struct rds_stream *stream);

// Whether the other side's system has confirmed all that was sent. Where its program closed then,
// and by no reset, it has read all of it.
bool rds_stream_was_taken(const struct rds_stream *stream);

// Closes and frees at once, without on_end and on_gone: for the end of the process.
void rds_stream_free(struct rds_stream *stream);

uint64_t rds_stream_id(const struct rds_stream *stream);
const struct rds_addr *rds_stream_remote(const struct rds_stream *stream);

// The stream's share of its owner's bounded set, and back.
struct rds_share *rds_stream_share(struct rds_stream *stream);
struct rds_stream *rds_stream_of_share(struct rds_share *share);

// The owner's note: with which of the server's keys the offer on it was signed.
void rds_stream_set_offered(struct rds_stream *stream, uint32_t key);
uint32_t rds_stream_offered(const struct rds_stream *stream);

// The owner's mark: which of its ports the stream came in by.
void rds_stream_set_mark(struct rds_stream *stream, int mark);
int rds_stream_mark(const struct rds_stream *stream);

#endif
