// SPDX-License-Identifier: MIT
// What an administrator asks of the rendezvous rules, and tells them, while they run.
#ifndef RDS_CORE_RENDEZVOUS_ADMIN_H
#define RDS_CORE_RENDEZVOUS_ADMIN_H

#include "core/ledger.h"
#include "core/rendezvous.h"
#include "core/rotation.h"

// Views borrow for the length of the call that hands this out.
struct rds_peer_info {
	struct rds_view id;
	struct rds_ip ip_on_file;
	enum rds_peer_state state;
	bool online;
	bool by_conn;            // registered at a connection
	struct rds_addr remote;  // where it is reached; valid if it has been seen
	uint64_t seen_ms;        // 0: not since the start
	uint16_t seen_day;       // counted from 1970-01-01; 0: not known
	struct rds_view version; // of its client; empty: not known
};

typedef void (*rds_peer_info_fn)(void *ctx, const struct rds_peer_info *info);

// Reserves an id (see core/checks.h) for `rdsrv check`: for RDS_CHECK_MS it can be registered and
// reached by the rules of all ids, but in memory only, whatever limits and enrolment say.
// -RDS_EINVAL; -RDS_EEXIST if somebody has it, or had it reserved; -RDS_EFULL.
int rds_rendezvous_reserve(struct rds_rendezvous *rules, uint64_t now_ms, struct rds_view id)
        __attribute__((warn_unused_result));

// Ends that at once, with whoever is registered under it. false: it isn't reserved.
bool rds_rendezvous_release(struct rds_rendezvous *rules, struct rds_view id);

// All peers on file, in no order.
void rds_rendezvous_peers(const struct rds_rendezvous *rules, uint64_t now_ms, rds_peer_info_fn fn,
                          void *ctx);

// One of them; false: there is none of that id.
bool rds_rendezvous_peer(const struct rds_rendezvous *rules, uint64_t now_ms, struct rds_view id,
                         struct rds_peer_info *out);

// Approves, bans, or makes an id wait for approval; holds at once, and is written to disk. A peer
// that may not be here is offline from now on. -RDS_ENOENT; -RDS_EBUSY while its row is on its way
// to the disk; -RDS_EFULL.
int rds_rendezvous_set_state(struct rds_rendezvous *rules, struct rds_view id,
                             enum rds_peer_state state) __attribute__((warn_unused_result));

// Forgets an id: whoever registers it next has it. Errors as above.
int rds_rendezvous_forget(struct rds_rendezvous *rules, struct rds_view id)
        __attribute__((warn_unused_result));

// Refused registrations, the newest last; the same id, address and reason count as one.
struct rds_refused {
	struct rds_ip ip;
	enum rds_reason why;
	uint64_t first_ms;
	uint64_t last_ms;
	uint64_t times;
	uint8_t id_len;
	uint8_t id[RDS_ID_MAX_BYTES];
};
size_t rds_rendezvous_refused(const struct rds_rendezvous *rules, const struct rds_refused **out);

struct rds_ledger *rds_rendezvous_ledger(const struct rds_rendezvous *rules);

// What counts against addresses that register.
struct rds_register_limits *rds_rendezvous_limits(const struct rds_rendezvous *rules);

// As rds_rotation_set_relays; borrowed as those of the configuration are.
void rds_rendezvous_set_relays(struct rds_rendezvous *rules, const struct rds_relay_names *relays,
                               size_t n);

// The relays in rotation: for whoever probes them, and to be shown. Lives as long as the rules.
struct rds_rotation *rds_rendezvous_relays(struct rds_rendezvous *rules);

void rds_rendezvous_set_enrol(struct rds_rendezvous *rules, enum rds_enrol enrol);

// Replaces what the configuration says of relaying; nets are borrowed as its `relayed` are.
void rds_rendezvous_set_always_use_relay(struct rds_rendezvous *rules, bool on,
                                         const struct rds_cidr *nets, size_t n);

#endif
