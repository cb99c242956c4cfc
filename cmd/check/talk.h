// SPDX-License-Identifier: MIT
// Conversations of played clients, as a script that reads from top to bottom: each call runs the
// script's own loop until what it waits for has come, or its time is over.
#ifndef RDS_CMD_CHECK_TALK_H
#define RDS_CMD_CHECK_TALK_H

#include "cmd/check/check.h"

#include "core/message.h"
#include "core/secure_hooks.h"

// One script's loop, and all its conversations.
struct talks;

struct talks *talks_new(const struct check *check);
void talks_free(struct talks *talks); // with its conversations

enum talk_by { TALK_UDP, TALK_TCP, TALK_WEBSOCKET };

// How a conversation ended, or why it never began.
enum talk_end {
	TALK_OPEN,
	TALK_UNRESOLVED,
	TALK_UNREACHED, // refused, or no way there
	TALK_TIMED_OUT, // nobody answers there
	TALK_CLOSED,    // by the other side
	TALK_NONSENSE,  // what came is nothing that clients understand
};

struct talk;

// Opens a conversation and waits until it is open or can't be. path: of a WebSocket.
struct talk *talk_open(struct talks *talks, enum talk_by by, const char *host, uint16_t port);
struct talk *talk_open_path(struct talks *talks, const char *host, uint16_t port, const char *path);

// The same over TCP without waiting; talk_settle does that, later.
struct talk *talk_begin(struct talks *talks, const char *host, uint16_t port);
void talk_settle(struct talk *talk);

// From the local port of another one that is still open.
struct talk *talk_open_beside(struct talks *talks, const struct talk *other, const char *host,
                              uint16_t port);

// Ends it at once.
void talk_close(struct talk *talk);

enum talk_end talk_ended(const struct talk *talk);

// What is wrong, as half a sentence that names the address; "" if nothing is.
const char *talk_why(const struct talk *talk);

// "tcp 192.0.2.7:21116"
const char *talk_name(const struct talk *talk);

// To which address it goes, and from which local port. Only of one that was open.
const struct rds_addr *talk_remote(const struct talk *talk);
uint16_t talk_local_port(const struct talk *talk);

void talk_send(struct talk *talk, const rds_message *msg);
void talk_send_bytes(struct talk *talk, struct rds_view payload);

// The next payload, heartbeats and (unless asked for) offers of a secure channel left out; viewed
// until the next call for this conversation. false: none came in time, or the end; talk_why says.
bool talk_receive(struct talk *talk, struct rds_view *payload);
bool talk_receive_within(struct talk *talk, unsigned ms, struct rds_view *payload);
bool talk_receive_offer(struct talk *talk, struct rds_view *payload);

// The next message, which has to be one of the two (members' tags; 0: only the first). false:
// something else came, or nothing; talk_why says.
bool talk_expect(struct talk *talk, uint32_t tag, uint32_t or_tag, rds_message *msg,
                 struct rds_view *payload);
bool talk_expect_within(struct talk *talk, unsigned ms, uint32_t tag, rds_message *msg);

// Over UDP: sends msg, three times in a step if need be (protocol.md section 4 allows that many
// registrations), until the message has come. Late answers to what was asked before are left out.
bool talk_ask(struct talk *talk, const rds_message *msg, uint32_t tag, rds_message *answer);

// From now on it carries a session's own bytes, no messages.
void talk_go_raw(struct talk *talk);

// Secures it from now on; takes channel.
void talk_secure(struct talk *talk, struct rds_channel *channel);

// What a payload is called when it isn't what was expected.
void talk_note(struct talk *talk, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
