// SPDX-License-Identifier: MIT
// Goal: a client's side of the wire, for what isn't measured in packets a second: messages over
// blocking TCP, in frames or as WebSocket messages.
#ifndef RDS_TEST_BENCH_WIRE_H
#define RDS_TEST_BENCH_WIRE_H

#include "core/message.h"

#include <netinet/in.h>

#define WIRE_BYTES 1024

// A connection and what has come of the next message.
struct wire {
	int fd; // -1: closed
	bool websocket;
	size_t len;
	size_t taken; // of it, by the payload that wire_next gave last
	uint8_t bytes[WIRE_BYTES];
};

// Connects from source (host order).
void wire_open(struct wire *wire, const struct sockaddr_in *server, uint32_t source,
               bool websocket);
void wire_close(struct wire *wire);

// Reads what the server sends before it is asked: the offer of a secure channel, or its answer to
// the WebSocket's opening. false: nothing came.
bool wire_greeted(struct wire *wire);

// false: the other side has gone. An empty payload is a heartbeat.
bool wire_send(struct wire *wire, struct rds_view payload);
bool wire_send_message(struct wire *wire, const rds_message *msg);

// Waits for bytes. false: the other side has gone, or nothing came for seconds.
bool wire_receive(struct wire *wire);

// Takes the next whole payload off what has come: true, and *payload is valid until the next
// call. false: more has to come.
bool wire_next(struct wire *wire, struct rds_view *payload);

// Waits for the next payload that isn't empty; the other decodes it, too.
bool wire_read(struct wire *wire, struct rds_view *payload);
bool wire_read_message(struct wire *wire, rds_message *msg);

// What clients say (protocol.md section 3), for peer i of the synthetic ones.
void wire_register_pk(uint32_t i, rds_message *out);
void wire_punch_hole_request(uint32_t i, const char *key, rds_message *out);

// B's whole answer to a PunchHole, as clients give it: connects from source, says it, closes.
void wire_answer_punch(const struct sockaddr_in *server, uint32_t source, uint32_t i,
                       const rds_PunchHole *punch);

// A's whole attempt to reach peer i, on a connection of its own; how long it took from the request
// to an answer with a signed key. 0: it failed.
uint32_t wire_punch(const struct sockaddr_in *server, uint32_t source, uint32_t i, const char *key,
                    bool offer);

#endif
