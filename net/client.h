// SPDX-License-Identifier: MIT
// An outgoing connection: a name is looked up, its addresses are tried one after the other, then
// payloads go both ways, framed as on TCP or as WebSocket messages (protocol.md section 2). All of
// it within a deadline.
#ifndef RDS_NET_CLIENT_H
#define RDS_NET_CLIENT_H

#include "core/addr.h"
#include "core/secure_hooks.h"
#include "net/resolve.h"
#include "net/websocket.h"

struct rds_client;

enum rds_client_end {
	RDS_CLIENT_UNRESOLVED,
	RDS_CLIENT_UNREACHED, // none of the addresses
	RDS_CLIENT_SILENT,    // the same, and the last of them never answered
	RDS_CLIENT_CLOSED,    // by the other side, or broken
	RDS_CLIENT_GARBAGE,   // what came is no frame of ours
	RDS_CLIENT_LATE,      // connected, but the deadline has come
};

#define RDS_CLIENT_WHY_BYTES 128

// None is called from inside a call into the client, and none may free it.
struct rds_client_callbacks {
	void (*on_connected)(void *ctx, struct rds_client *client);
	// One payload has come, viewed for the length of the call.
	void (*on_payload)(void *ctx, struct rds_client *client, struct rds_view payload);
	// Nothing will come any more. why: in words.
	void (*on_end)(void *ctx, struct rds_client *client, enum rds_client_end how,
	               const char *why);
};

// host: a name or an address; copied. What else is pointed to is borrowed for the client's life.
struct rds_client *rds_client_open(struct rds_loop *loop, struct rds_resolver *resolver,
                                   const char *host, uint16_t port, unsigned timeout_ms,
                                   const struct rds_client_callbacks *callbacks, void *ctx);

// Call right after opening: a WebSocket is asked for at that path, and on_connected comes when it
// is open. path is copied, hooks are borrowed.
void rds_client_want_websocket(struct rds_client *client, const char *path,
                               const struct rds_ws_hooks *hooks);

// Call right after opening: the local port is to be this one, which another connection may have,
// too; 0: any, but one that may be shared so.
void rds_client_share_port(struct rds_client *client, uint16_t port);

// The local port. Only once it is connected; 0: not known.
uint16_t rds_client_local_port(const struct rds_client *client);

// From now on the deadline is this much away.
void rds_client_extend(struct rds_client *client, unsigned timeout_ms);

// As rds_stream_secure. Only once it is connected.
void rds_client_secure(struct rds_client *client, const struct rds_secure_hooks *hooks,
                       struct rds_channel *channel);

// Closes at once.
void rds_client_free(struct rds_client *client);

// Sends one payload. Only once it is connected.
void rds_client_send(struct rds_client *client, struct rds_view payload);

// Which address it is connected to.
const struct rds_addr *rds_client_remote(const struct rds_client *client);

#endif
