// SPDX-License-Identifier: MIT
// The peers: who is on file, and how each is reached now.
#ifndef RDS_CORE_REGISTRY_H
#define RDS_CORE_REGISTRY_H

#include "core/addr.h"
#include "core/table.h"

// Whether a machine may use its id.
enum rds_peer_state { RDS_PEER_APPROVED, RDS_PEER_PENDING, RDS_PEER_BANNED };

// Where a datagram came from and where answers go: the remote address, and a handle for the
// local socket and address (0: the kernel chooses), which only the sender of datagrams reads.
struct rds_path {
	struct rds_addr remote;
	uint16_t local;
};

// Times and connections that a peer remembers have 48 bits: thousands of years, and as many
// connections.
#define RDS_48_BITS 0xffffffffffffU

// One id: 72 bytes and its texts; a million of them have to fit.
struct rds_peer {
	uint32_t tries_ms[3];     // when the last tries to register it were (low 32 bits), 0: none
	struct rds_ip ip_on_file; // none: not known
	struct rds_path path;     // valid if seen_ms != 0 or conn != 0
	uint64_t seen_ms : 48;    // last sign of life; 0: none since the start
	uint64_t uuid_len : 16;
	uint64_t conn : 48; // the connection that it is registered at; 0: by datagrams
	uint64_t pk_len : 16;
	uint16_t seen_day; // the last day it was here, counted from 1970-01-01; 0: not known
	uint16_t version;  // of its client: a number of rds_versions
	uint16_t stores_pending; // registrations of it on their way to the disk
	uint8_t id_len;
	enum rds_peer_state state : 2;
	bool on_file : 1;  // its row is safely on disk; false only while the first store is pending
	bool away : 1;     // has left since it was last seen
	bool renaming : 1; // its id, or the change to it, is on its way to the disk
	bool proven : 1;   // path was confirmed by a RegisterPk with the right uuid
	bool noted : 1;    // seen_day or version has to go to the disk
	bool check : 1;    // of `rdsrv check`: counts as on file, but nothing goes to the disk
	uint8_t bytes[];   // id, uuid, pk
};

static inline struct rds_view rds_peer_id(const struct rds_peer *peer)
{
	return rds_view_of(peer->bytes, peer->id_len);
}

static inline struct rds_view rds_peer_uuid(const struct rds_peer *peer)
{
	return rds_view_of(peer->bytes + peer->id_len, peer->uuid_len);
}

static inline struct rds_view rds_peer_pk(const struct rds_peer *peer)
{
	return rds_view_of(peer->bytes + peer->id_len + peer->uuid_len, peer->pk_len);
}

struct rds_registry {
	struct rds_table by_id;
	struct rds_seed seed;
};

// Longest uuid and pk that a peer can hold; ids: 255.
#define RDS_PEER_BLOB_MAX 65535

void rds_registry_init(struct rds_registry *registry, const struct rds_seed *seed);
void rds_registry_clear(struct rds_registry *registry);

// The peer of that id, or NULL. Borrowed; valid until the registry changes.
struct rds_peer *rds_registry_find(const struct rds_registry *registry, struct rds_view id);

// These ids will be looked up next: has their peers fetched into the CPU's cache. At most
// RDS_REGISTRY_PREFETCH of them.
#define RDS_REGISTRY_PREFETCH 64
void rds_registry_prefetch(const struct rds_registry *registry, const struct rds_view *ids,
                           size_t n);

// Adds a peer, which must not be there yet; copies. NULL if a part is over its bound.
struct rds_peer *rds_registry_add(struct rds_registry *registry, struct rds_view id,
                                  struct rds_view uuid, struct rds_view pk);

// Replaces the public key; copies. The peer may move: use the pointer that comes back.
struct rds_peer *rds_registry_set_pk(struct rds_registry *registry, struct rds_peer *peer,
                                     struct rds_view pk);

// Takes the peer out and frees it.
void rds_registry_remove(struct rds_registry *registry, struct rds_peer *peer);

// Walks over all peers in no order: *at = 0 to start; NULL ends.
const struct rds_peer *rds_registry_next(const struct rds_registry *registry, size_t *at);

size_t rds_registry_count(const struct rds_registry *registry);

#endif
