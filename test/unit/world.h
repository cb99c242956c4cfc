// SPDX-License-Identifier: MIT
// Goal: the rendezvous rules in a world without sockets: a host that notes what it is asked to
// do, a clock that stands still until it is moved, a disk that answers when it is told to.
#ifndef RDS_TEST_UNIT_WORLD_H
#define RDS_TEST_UNIT_WORLD_H

#include "test/unit/testing.h"

#include "core/limits.h"
#include "core/message.h"
#include "core/rendezvous.h"

#include <stdio.h>

enum world_kind { DATAGRAM, PAYLOAD, CLOSE, STORE, RENAME, SET_STATE, FORGET, NOTE };

// Something that the rules asked their host to do.
struct world_event {
	enum world_kind kind;
	struct rds_path to;  // of a datagram
	uint64_t conn;       // of a payload or a close
	enum rds_reason why; // of a close
	uint64_t ticket;     // of a store or another write; the views point into bytes
	struct rds_peer_row row;
	struct rds_view old_id; // of a rename; the new id is the row's
	rds_message msg;        // of a datagram or payload, decoded
	size_t len;
	uint8_t bytes[16384];
};

#define WORLD_EVENTS 16

struct world {
	struct rds_rendezvous_config config;
	struct rds_rendezvous *rules;
	uint64_t now_ms;
	struct world_event events[WORLD_EVENTS];
	size_t n;    // noted
	size_t read; // looked at
	bool deaf;   // notes nothing, and takes every store
	uint64_t last_ticket;
	int store_rc;  // what the disk says when it is asked to store, or to write anything
	uint64_t gone; // a connection that is gone when it is to be kept; 0: none
	unsigned kept; // how often one was to be kept, and the last one
	uint64_t kept_conn;
	const char *key;     // NULL: none enforced
	const char *old_key; // beside it; NULL: none
	bool old_key_refused;
	bool cannot_sign;
	unsigned checks;  // keys that were looked at for a check
	unsigned refused; // how often a key was refused, and the last one
	enum rds_key_verdict verdict;
	char refused_key[300];
	char refused_id[300];
};

// config may be NULL; its seed is set here. At 1,000,000 ms.
struct world *world_open(const struct rds_rendezvous_config *config);

// Checks that nothing is left to be looked at.
void world_close(struct world *world);

// The next thing noted; must be of that kind, and go where it is said.
#define expect_datagram(world, to)     world_datagram((world), (to), __FILE__, __LINE__)
#define expect_payload(world, conn)    world_payload((world), (conn), __FILE__, __LINE__)
#define expect_close(world, conn, why) world_closed((world), (conn), (why), __FILE__, __LINE__)
#define expect_store(world)            world_store((world), __FILE__, __LINE__)
#define expect_write(world, kind)      world_write((world), (kind), __FILE__, __LINE__)
#define expect_nothing(world)          world_nothing((world), __FILE__, __LINE__)
const struct world_event *world_datagram(struct world *world, const struct rds_path *to,
                                         const char *file, int line);
const struct world_event *world_payload(struct world *world, uint64_t conn, const char *file,
                                        int line);
void world_closed(struct world *world, uint64_t conn, enum rds_reason why, const char *file,
                  int line);
const struct world_event *world_store(struct world *world, const char *file, int line);
const struct world_event *world_write(struct world *world, enum world_kind kind, const char *file,
                                      int line);
void world_nothing(struct world *world, const char *file, int line);

// How often a reason was counted.
uint64_t counted(const struct world *world, enum rds_reason why);

// Forgets what was noted.
void world_forget(struct world *world);

// Somebody's UDP path; local is the handle of the address that was spoken to.
struct rds_path path_of(const char *ip, uint16_t port);

// Bytes or a message come in by UDP, or on a connection.
void datagram_bytes(struct world *world, const struct rds_path *from, struct rds_view payload);
void datagram(struct world *world, const struct rds_path *from, const rds_message *msg);
void frame_bytes(struct world *world, enum rds_door door, uint64_t conn,
                 const struct rds_addr *from, struct rds_view payload);
void frame(struct world *world, enum rds_door door, uint64_t conn, const struct rds_addr *from,
           const rds_message *msg);

// The messages of section 4.
void send_register_peer(struct world *world, const char *id, int32_t serial,
                        const struct rds_path *from);
void send_register_pk(struct world *world, const char *id, const char *uuid, const char *pk,
                      const struct rds_path *from);

// The message of section 4, and those of section 5: on a connection to the main port.
rds_message register_pk(const char *id, const char *uuid, const char *pk);
void conn_register(struct world *world, uint64_t conn, const struct rds_addr *from, const char *id,
                   const char *uuid, const char *pk);
void conn_change_id(struct world *world, uint64_t conn, const struct rds_addr *from,
                    const char *new_id, const char *old_id, const char *uuid);

// id gets registered at conn, from end to end.
void conn_registered(struct world *world, uint64_t conn, const struct rds_addr *from,
                     const char *id, const char *uuid, const char *pk);

// The next thing noted is this answer on a connection.
#define expect_conn_result(world, conn, name)                                            \
	assert_int_equal(world_conn_answer((world), (conn), __FILE__, __LINE__)->result, \
	                 (int)rds_RegisterPkResponse_Result_##name)
const rds_RegisterPkResponse *world_conn_answer(struct world *world, uint64_t conn,
                                                const char *file, int line);

// The next things noted are these answers.
#define expect_request_pk(world, to, yes)                                                      \
	assert_int_equal(                                                                      \
	        expect_answer((world), (to), 7)->msg.member.register_peer_response.request_pk, \
	        (yes))
#define expect_result(world, to, name)                                                             \
	assert_int_equal(expect_answer((world), (to), 16)->msg.member.register_pk_response.result, \
	                 (int)rds_RegisterPkResponse_Result_##name)
#define expect_answer(world, to, number) world_answer((world), (to), (number), __FILE__, __LINE__)
const struct world_event *world_answer(struct world *world, const struct rds_path *to, int number,
                                       const char *file, int line);

// A write has ended.
void stored(struct world *world, uint64_t ticket, bool ok);

// id gets registered there, from end to end.
void registered(struct world *world, const char *id, const char *uuid, const char *pk,
                const struct rds_path *at);

// Puts a row into memory, as at start.
void load(struct world *world, const char *id, const char *uuid, const char *pk, const char *ip);

// A asks at conn, from addr, for id. A key is shown if one is enforced.
rds_message punch_request(const struct world *world, const char *id);
void send_punch(struct world *world, uint64_t conn, const struct rds_addr *addr, const char *id);
void send_request_relay(struct world *world, uint64_t conn, const struct rds_addr *addr,
                        const char *id, const char *uuid);

// Whether the rules take id for online: asks them with an OnlineRequest.
bool is_online(struct world *world, const char *id);

// A socket_addr as a client would make it, some time or other.
struct rds_view mangled(const struct rds_addr *addr, uint32_t clock_us, uint8_t out[RDS_ADDR_WIRE]);

// socket_addr stands for addr.
#define assert_is_addr(view, addr) world_is_addr((view), (addr), __FILE__, __LINE__)
void world_is_addr(struct rds_view bytes, const struct rds_addr *addr, const char *file, int line);

// What the host signs with: a signature that shows what it was made of and by which key, then the
// bytes. For the IdPk of id and pk, spelt out byte by byte. Returns the length.
#define WORLD_OLD_KEY 7U // what the host calls old_key
size_t signed_id_pk_by(uint32_t held, const char *id, const char *pk, uint8_t out[512]);
size_t signed_id_pk(const char *id, const char *pk, uint8_t out[512]);

#endif
