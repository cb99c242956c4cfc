// SPDX-License-Identifier: MIT
// Why something was refused, dropped or ended: one list for logs and counters alike.
#ifndef RDS_CORE_REASON_H
#define RDS_CORE_REASON_H

#include <stdint.h>

// name in logs and counters, meaning
#define RDS_REASONS(X)                                                                         \
	X(NONE, "none", "nothing refused")                                                     \
	X(EOF, "closed-by-peer", "the other side closed the connection")                       \
	X(RESET, "reset", "the connection broke")                                              \
	X(DONE, "done", "everything was said; closed by us")                                   \
	X(IDLE, "idle", "nothing arrived for too long")                                        \
	X(HANDSHAKE_TIMEOUT, "no-message", "no first message in time")                         \
	X(REPLACED, "replaced", "the same id has registered anew elsewhere")                   \
	X(NO_HEARTBEAT, "no-heartbeat", "heartbeats went unanswered")                          \
	X(CHANNEL_BROKEN, "channel-broken", "a secure channel's payload does not open")        \
	X(SHUTDOWN, "shutdown", "the server stops")                                            \
	X(MALFORMED, "malformed", "a payload that does not parse")                             \
	X(UNKNOWN_MESSAGE, "unknown-message", "a message that this port does not serve")       \
	X(TOO_LONG, "too-long", "a frame or datagram over its bound")                          \
	X(SLOW_READER, "slow-reader", "does not read what it is sent")                         \
	X(NO_DESCRIPTORS, "no-descriptors", "out of file descriptors")                         \
	X(CONNS_FULL, "connections-full", "too many connections")                              \
	X(WAITS_FULL, "waits-full", "too many requests wait for an answer")                    \
	X(PEERS_FULL, "peers-full", "no more peers are taken")                                 \
	X(STORES_FULL, "stores-full", "too many registrations wait for the disk")              \
	X(STORE_FAILED, "store-failed", "a registration could not be stored")                  \
	X(KEY_ABSENT, "key-absent", "no key where one is enforced")                            \
	X(KEY_WRONG, "key-wrong", "another key than the server's")                             \
	X(KEY_RETIRED, "key-retired", "a key of this server that is no longer accepted")       \
	X(ID_UNKNOWN, "id-unknown", "an id that is neither registered nor on file")            \
	X(ID_OFFLINE, "id-offline", "an id that is not online")                                \
	X(ID_SHORT, "id-too-short", "an id under 6 bytes")                                     \
	X(ID_INVALID, "id-invalid", "an id too long, or with bytes that ids can't have")       \
	X(ID_TAKEN, "id-taken", "a change to an id that another machine has")                  \
	X(NEW_ID_INVALID, "new-id-invalid", "a change to an id of a form that ids can't have") \
	X(NOT_ENROLLED, "not-enrolled", "a new id where none are taken (enrol = closed)")      \
	X(AWAITS_APPROVAL, "awaits-approval", "an id that waits for approval")                 \
	X(BANNED, "banned", "an id that the administrator has banned")                         \
	X(NOT_ALLOWED, "not-allowed", "the administrator has banned or forgotten the id")      \
	X(UUID_MISMATCH, "uuid-mismatch", "an id on file with another uuid")                   \
	X(PK_AND_IP_DIFFER, "pk-and-ip-differ", "both the public key and the IP are new")      \
	X(ID_TOO_FREQUENT, "id-too-frequent", "too many tries for one id")                     \
	X(IP_TOO_FREQUENT, "ip-too-frequent", "too many registrations from one address")       \
	X(IP_TOO_MANY_IDS, "ip-too-many-ids", "too many ids from one address in a day")        \
	X(REGISTER_INCOMPLETE, "register-incomplete", "a registration without uuid or pk")     \
	X(NOT_SUPPORTED, "not-supported", "a message that this server does not serve yet")     \
	X(PROXY_UNTRUSTED, "proxy-untrusted",                                                  \
	  "a proxy's header from an address that is not trusted")                              \
	X(NOBODY_WAITS, "nobody-waits", "an answer for which no client waits")                 \
	X(SOURCE_TOO_FAST, "source-too-fast", "too many datagrams from an unproven address")   \
	X(REPLY_TOO_LONG, "reply-too-long", "an answer longer than its unproven request")      \
	X(SEND_FAILED, "send-failed", "a datagram that could not be sent")                     \
	X(UUID_EMPTY, "uuid-empty", "a relay request without a session uuid")                  \
	X(UUID_TOO_LONG, "uuid-too-long", "a session uuid over its bound")                     \
	X(PARTNER_MISSING, "partner-missing", "the other side of a session never came")        \
	X(RELAY_FULL, "relay-full", "too many connections wait for their other side")          \
	X(MESSAGES_FULL, "messages-full", "too many long messages wait for their rest")        \
	X(NOT_ISSUED, "not-issued", "a session that the ID server has not passed on")          \
	X(BLOCKED, "blocked", "an address on blocklist.txt")                                   \
	X(KICKED, "kicked", "the administrator has ended it")                                  \
	X(CHECK_OVER, "check-over", "the id was one of `rdsrv check`, and is released")        \
	X(DRAINING, "draining", "the relay takes no new sessions: it is about to stop")

enum rds_reason {
#define RDS_REASON_ENUM(id, name, text) RDS_WHY_##id,
	RDS_REASONS(RDS_REASON_ENUM)
#undef RDS_REASON_ENUM
	        RDS_REASON_COUNT
};

// One counter a reason; each owner has its own.
struct rds_counters {
	uint64_t n[RDS_REASON_COUNT];
};

// The reason's name as logs, counters and manuals spell it.
const char *rds_reason_name(enum rds_reason why);

// The reason in words.
const char *rds_reason_text(enum rds_reason why);

#endif
