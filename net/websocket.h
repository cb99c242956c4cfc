// SPDX-License-Identifier: MIT
// WebSocket (RFC 6455), both sides: the opening handshake, and messages through wslay. Bytes in,
// bytes out; no socket.
#ifndef RDS_NET_WEBSOCKET_H
#define RDS_NET_WEBSOCKET_H

#include "core/view.h"

// The opening request's head is read up to this length.
#define RDS_WS_HEAD_MAX_BYTES 8192

// What of a request matters; views into its bytes, empty where a header is absent.
#define RDS_WS_FORWARDED_BYTES 512
struct rds_ws_request {
	struct rds_view path;
	struct rds_view key;
	struct rds_view real_ip; // X-Real-IP
	// X-Forwarded-For, all of them as one list, of which the end counts.
	size_t forwarded_len;
	char forwarded_for[RDS_WS_FORWARDED_BYTES];
};

// Looks for a whole request head at the start of the bytes. Returns its length; 0 if more is
// needed; -400 or -426 if it is none that opens a WebSocket.
long rds_ws_request_parse(struct rds_view bytes, struct rds_ws_request *out)
        __attribute__((warn_unused_result));

// SHA-1 of bytes; false if it can't be made. The crypto library is another room's.
typedef bool (*rds_sha1_fn)(struct rds_view bytes, uint8_t out[20]);

// Writes the answer that opens the connection, NUL-terminated. Room: RDS_WS_ANSWER_BYTES.
#define RDS_WS_ANSWER_BYTES 256
void rds_ws_answer(const struct rds_ws_request *request, rds_sha1_fn sha1,
                   char out[RDS_WS_ANSWER_BYTES]);

// The answer that refuses it: status 400 or 426.
const char *rds_ws_refusal(int status);

// What a client's side needs of the crypto library, which is another room's. random: false if
// there is no randomness.
struct rds_ws_hooks {
	rds_sha1_fn sha1;
	bool (*random)(void *bytes, size_t len);
};

// Writes the request by which a client opens a WebSocket, NUL-terminated. nonce: random, 16 bytes.
// host: as it was entered, with the port where it isn't the scheme's. false if it doesn't fit.
#define RDS_WS_REQUEST_BYTES 1024
bool rds_ws_request_write(const char *host, const char *path, const uint8_t nonce[16],
                          char out[RDS_WS_REQUEST_BYTES]) __attribute__((warn_unused_result));

// Looks for the whole head of the server's answer at the start of the bytes. Returns its length; 0
// if more is needed; the negative of an HTTP status that is not 101; -1 if it is no answer to that
// request.
long rds_ws_answer_parse(struct rds_view bytes, const uint8_t nonce[16], rds_sha1_fn sha1)
        __attribute__((warn_unused_result));

struct rds_ws;

struct rds_ws_callbacks {
	void *ctx;
	void (*on_message)(void *ctx, struct rds_view message);
	// Bytes for the wire.
	void (*on_output)(void *ctx, const uint8_t *bytes, size_t len);
	// Set: this is the client's side, whose frames are masked. NULL: the server's.
	bool (*random)(void *bytes, size_t len);
};

// An open connection. Messages longer than max_message end it.
struct rds_ws *rds_ws_new(size_t max_message, const struct rds_ws_callbacks *callbacks);
void rds_ws_free(struct rds_ws *ws);

// Takes bytes from the wire: calls back with whole messages, answers pings and closings. false
// when nothing will come any more.
bool rds_ws_receive(struct rds_ws *ws, const uint8_t *bytes, size_t len)
        __attribute__((warn_unused_result));

// Sends one binary message; an empty one is a heartbeat.
void rds_ws_send(struct rds_ws *ws, struct rds_view message);

// Sends the closing frame, once.
void rds_ws_close(struct rds_ws *ws);

// Of wslay, by its header: the library itself doesn't tell.
const char *rds_wslay_version(void);

#endif
