// SPDX-License-Identifier: MIT
// Goal: a host for the rendezvous rules that holds them to their promises: who may be sent what.
#ifndef RDS_TEST_FUZZ_MODEL_H
#define RDS_TEST_FUZZ_MODEL_H

#include "core/message.h"
#include "core/rendezvous.h"

// Bytes that an answer to an unproven address may be longer than its question.
#define MODEL_EXTRA 16

#define MODEL_CONNS  64
#define MODEL_STORES 64
#define MODEL_PATHS  128

// A TCP connection, as its other side sees it.
struct model_conn {
	uint64_t name; // 0: closed
	struct rds_addr addr;
	enum rds_door door;
	bool kept;          // it stands for a registration, or a health check
	bool waits;         // has asked for a peer, who was told, and got no answer yet
	bool for_relay;     // by RequestRelay
	uint32_t held;      // the key that it showed
	struct rds_view id; // for whom; points into id_bytes
	uint8_t id_bytes[256];
};

struct model_store {
	uint64_t ticket;
	uint64_t conn; // 0: by UDP
	struct rds_path from;
};

// Paths that have registered, or have even shown a uuid.
struct model_paths {
	struct rds_path items[MODEL_PATHS];
	size_t n;
};

// Inside which call we are.
enum model_call { MODEL_NONE, MODEL_UDP, MODEL_TCP, MODEL_STORED, MODEL_CLOSED };

struct model {
	struct rds_rendezvous *rules;
	uint64_t now_ms;
	struct model_conn conns[MODEL_CONNS];
	size_t n_conns;
	struct model_store stores[MODEL_STORES];
	size_t n_stores;
	uint64_t last_ticket;
	struct model_paths registered;
	struct model_paths proven;
	bool disk_full;
	bool can_sign;
	bool key_enforced;

	enum model_call call;
	struct rds_path from;     // who asks, of MODEL_UDP and MODEL_STORED
	uint64_t stored_conn;     // of MODEL_STORED: the connection that asked, or 0
	size_t asked_bytes;       // of MODEL_UDP
	struct model_conn *conn;  // of MODEL_TCP
	struct rds_view asks_for; // of a request for a peer on it; else NULL
	rds_message said;         // what came in; which_member is 0 if it didn't parse
	unsigned answers;         // datagrams that went back to who asks
};

void model_open(struct model *model, const struct rds_rendezvous_config *config);
void model_close(struct model *model);

// The key that the model's host enforces, if it does.
#define MODEL_KEY "the-key"

// Another one that it accepts, and what it calls that.
#define MODEL_OLD_KEY    "the-old-key"
#define MODEL_OLD_HANDLE 3U

// A connection opens; NULL if there are too many.
struct model_conn *model_connect(struct model *model, enum rds_door door,
                                 const struct rds_addr *addr);

void model_datagram(struct model *model, const struct rds_path *from, struct rds_view payload);
void model_frame(struct model *model, struct model_conn *conn, struct rds_view payload);
void model_hang_up(struct model *model, struct model_conn *conn);

// The i-th pending write ends.
void model_stored(struct model *model, size_t i, bool ok);

#endif
