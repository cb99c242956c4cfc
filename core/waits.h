// SPDX-License-Identifier: MIT
// Connections on which A waits for what B will say (protocol.md section 7). B names A by its
// address; the answer belongs to the very connection on which A asked.
#ifndef RDS_CORE_WAITS_H
#define RDS_CORE_WAITS_H

#include "core/addr.h"
#include "core/limits.h"
#include "core/shares.h"
#include "core/table.h"

enum rds_wait_kind { RDS_WAIT_PUNCH, RDS_WAIT_RELAY };

struct rds_wait {
	struct rds_share share; // first: waits.c goes from it to the wait
	uint64_t conn;
	struct rds_addr addr; // A's
	enum rds_wait_kind kind;
	unsigned asked;   // how often A has asked the same
	uint64_t attempt; // its number in the ledger
	uint32_t key;     // which of the server's keys A holds, or RDS_KEY_CURRENT
	uint8_t id_len;
	uint8_t id[RDS_ID_MAX_BYTES]; // whom A asked for
};

struct rds_waits {
	struct rds_seed seed;
	struct rds_table by_conn;
	struct rds_table by_addr;
	struct rds_shares shares;
	uint16_t last_port; // that was chosen
};

void rds_waits_init(struct rds_waits *waits, const struct rds_seed *seed);
void rds_waits_clear(struct rds_waits *waits);

// conn, at addr, asks for id (at most RDS_ID_MAX_BYTES). Where a proxy hides A's port (it is 0),
// one is chosen that nobody at that IP waits at: wait->addr is what B is told. The same again
// raises `asked`; something else replaces what conn asked before. NULL if A's IP has
// RDS_WAITS_PER_IP waiting, or most of RDS_WAITS; another's oldest wait gives way where that one
// holds most. Borrowed.
struct rds_wait *rds_waits_start(struct rds_waits *waits, uint64_t conn,
                                 const struct rds_addr *addr, enum rds_wait_kind kind,
                                 struct rds_view id);

// Who waits at addr for that kind of answer from id. An empty id is that of whoever was asked for
// a relay; for a punch it is nobody's. NULL: nobody waits.
struct rds_wait *rds_waits_find(const struct rds_waits *waits, const struct rds_addr *addr,
                                enum rds_wait_kind kind, struct rds_view id);

// What conn waits for; NULL: nothing.
struct rds_wait *rds_waits_of_conn(const struct rds_waits *waits, uint64_t conn);

// The answer has been given: takes wait out and frees it.
void rds_waits_end(struct rds_waits *waits, struct rds_wait *wait);

// conn has ended, or asks for nothing any more.
void rds_waits_end_conn(struct rds_waits *waits, uint64_t conn);

static inline struct rds_view rds_wait_id(const struct rds_wait *wait)
{
	return rds_view_of(wait->id, wait->id_len);
}

#endif
