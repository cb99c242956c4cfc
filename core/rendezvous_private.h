// SPDX-License-Identifier: MIT
// Shared by the rendezvous*.c files and nobody else.
#ifndef RDS_CORE_RENDEZVOUS_PRIVATE_H
#define RDS_CORE_RENDEZVOUS_PRIVATE_H

#include "core/checks.h"
#include "core/ledger.h"
#include "core/log.h"
#include "core/message.h"
#include "core/rate.h"
#include "core/rendezvous.h"
#include "core/rendezvous_admin.h"
#include "core/versions.h"
#include "core/waits.h"

struct rds_rendezvous {
	struct rds_rendezvous_config config;
	struct rds_host host;
	struct rds_registry peers;
	struct rds_register_limits *limits;
	struct rds_waits waits;
	struct rds_rate *unproven;      // datagrams answered to addresses that have shown no uuid
	struct rds_table peers_by_conn; // those that are registered at connections
	struct rds_table stores;        // struct rds_pending, by ticket
	struct rds_versions versions;   // of clients
	uint16_t day;                   // today; 0: not known
	size_t n_noted;                 // peers with something to be written
	size_t notes_at;                // where in the registry the search for them goes on
	struct rds_checks checks;       // ids that are reserved
	size_t n_check_peers;           // and registered
	struct rds_ledger *ledger;
	struct rds_refused refused[RDS_REFUSED];
	size_t n_refused;
	uint64_t next_ticket;
	struct rds_rotation rotation;
	struct rds_counters counters;
	struct rds_log_limit refusals;
	struct rds_log_limit newcomers;
};

// One message on its way through the handlers.
struct rds_incoming {
	uint64_t now_ms;
	const struct rds_source *from;
	struct rds_view payload;
	const rds_message *msg;
};

enum rds_pending_kind {
	RDS_PENDING_REGISTER,
	RDS_PENDING_CHANGE_ID,
	RDS_PENDING_STATE,
	RDS_PENDING_FORGET,
};

// A registration, change of id or the administrator's word on its way to the disk.
struct rds_pending {
	uint64_t ticket;
	struct rds_source from;
	enum rds_pending_kind kind;
	enum rds_peer_state before; // of RDS_PENDING_STATE
	uint16_t id_len;
	uint16_t second_len;
	uint8_t bytes[]; // the id, then the pk, or of a change of id the old one
};

static inline struct rds_view rendezvous_pending_id(const struct rds_pending *pending)
{
	return rds_view_of(pending->bytes, pending->id_len);
}

static inline struct rds_view rendezvous_pending_second(const struct rds_pending *pending)
{
	return rds_view_of(pending->bytes + pending->id_len, pending->second_len);
}

typedef void (*rds_handler_fn)(struct rds_rendezvous *rules, const struct rds_incoming *in);

// Sends bytes, or a message, back where a message came from.
void rendezvous_send(struct rds_rendezvous *rules, const struct rds_source *to,
                     struct rds_view payload);
void rendezvous_reply(struct rds_rendezvous *rules, const struct rds_source *to,
                      const rds_message *msg);

// Sends msg to where peer is registered.
void rendezvous_send_to_peer(struct rds_rendezvous *rules, const struct rds_peer *peer,
                             const rds_message *msg);

// Counts a refusal and logs it, at a limited rate; id may be empty.
void rendezvous_refuse(struct rds_rendezvous *rules, const struct rds_incoming *in,
                       enum rds_reason why, struct rds_view id);

// Tells the host of a relayed session's uuid that is about to be passed on.
void rendezvous_issue(struct rds_rendezvous *rules, const struct rds_incoming *in,
                      struct rds_view uuid);

// Whether in, a datagram, may be answered although its source is unproven: counts it.
bool rendezvous_may_answer(struct rds_rendezvous *rules, const struct rds_incoming *in);

// Why a peer in that state may not be here; RDS_WHY_NONE: it may.
enum rds_reason rendezvous_state_reason(enum rds_peer_state state);

bool rendezvous_is_online(const struct rds_peer *peer, uint64_t now_ms);

// The peer of that id if its row is on disk, else NULL.
struct rds_peer *rendezvous_find(const struct rds_rendezvous *rules, struct rds_view id);

// rendezvous_pending.c. NULL: too many.
struct rds_pending *rendezvous_pending_new(struct rds_rendezvous *rules,
                                           const struct rds_source *from, struct rds_view id,
                                           struct rds_view second);
void rendezvous_pending_free(struct rds_rendezvous *rules, struct rds_pending *pending);
void rendezvous_pending_clear(struct rds_rendezvous *rules);

// rendezvous_register.c: sections 4 and 5.
void rendezvous_register_peer(struct rds_rendezvous *rules, const struct rds_incoming *in);
void rendezvous_register_pk(struct rds_rendezvous *rules, const struct rds_incoming *in);

void rendezvous_answer_register_pk(struct rds_rendezvous *rules, const struct rds_source *to,
                                   enum rds_reason why);
// Returns what the answer says.
enum rds_reason rendezvous_registered(struct rds_rendezvous *rules, uint64_t now_ms,
                                      const struct rds_pending *pending, bool ok);
// The peer, or whoever is registered at conn, is offline from now on.
void rendezvous_unregister(struct rds_rendezvous *rules, struct rds_peer *peer);
void rendezvous_unregister_conn(struct rds_rendezvous *rules, uint64_t conn);
// A heartbeat has come back on conn.
void rendezvous_heartbeat(struct rds_rendezvous *rules, uint64_t now_ms, uint64_t conn);

// From now on peer is reached where the message came from, and nowhere else.
void rendezvous_register_here(struct rds_rendezvous *rules, struct rds_peer *peer,
                              const struct rds_source *from, uint64_t now_ms);
// Replaces its public key. The peer may move: use the pointer that comes back.
struct rds_peer *rendezvous_set_pk(struct rds_rendezvous *rules, struct rds_peer *peer,
                                   struct rds_view pk);

// rendezvous_checks.c.
// Whether id is reserved for `rdsrv check`.
bool rendezvous_is_check(const struct rds_rendezvous *rules, struct rds_view id);
// RegisterPk for such an id.
void rendezvous_register_check(struct rds_rendezvous *rules, const struct rds_incoming *in);

// rendezvous_change_id.c: section 5.
void rendezvous_change_id(struct rds_rendezvous *rules, const struct rds_incoming *in);
void rendezvous_id_changed(struct rds_rendezvous *rules, const struct rds_pending *pending,
                           bool ok);

// rendezvous_notes.c.
// A sign of life of peer.
void rendezvous_seen(struct rds_rendezvous *rules, struct rds_peer *peer, uint64_t now_ms);
// What the client of id says of itself. One that can't be held changes nothing.
void rendezvous_note_version(struct rds_rendezvous *rules, struct rds_view id,
                             struct rds_view version);
// What is remembered of `from`, which is about to be removed, is of `to` from now on.
void rendezvous_move_notes(struct rds_rendezvous *rules, struct rds_peer *to,
                           struct rds_peer *from);
// Takes peer out of the registry, with what hangs on it, and frees it.
void rendezvous_remove(struct rds_rendezvous *rules, struct rds_peer *peer);

// rendezvous_admin.c.
void rendezvous_admin_done(struct rds_rendezvous *rules, const struct rds_pending *pending,
                           bool ok);
void rendezvous_note_refused(struct rds_rendezvous *rules, const struct rds_incoming *in,
                             enum rds_reason why, struct rds_view id);

// rendezvous_request.c: section 7, what A says.
void rendezvous_punch_hole_request(struct rds_rendezvous *rules, const struct rds_incoming *in);
void rendezvous_request_relay(struct rds_rendezvous *rules, const struct rds_incoming *in);

// rendezvous_answer.c: section 7, what B says.
void rendezvous_punch_hole_sent(struct rds_rendezvous *rules, const struct rds_incoming *in);
void rendezvous_local_addr(struct rds_rendezvous *rules, const struct rds_incoming *in);
void rendezvous_relay_response(struct rds_rendezvous *rules, const struct rds_incoming *in);

// The name by which a client at ip is told the relay that the other one has named: its network's,
// where it is one of ours; else as it was named.
struct rds_view rendezvous_relay_for(const struct rds_rendezvous *rules, struct rds_view named,
                                     const struct rds_ip *ip);

// rendezvous_query.c: section 7, NAT test and online query; section 4 point 7.
void rendezvous_test_nat(struct rds_rendezvous *rules, const struct rds_incoming *in);
void rendezvous_online_request(struct rds_rendezvous *rules, const struct rds_incoming *in);
void rendezvous_health_check(struct rds_rendezvous *rules, const struct rds_incoming *in);
void rendezvous_http_proxy(struct rds_rendezvous *rules, const struct rds_incoming *in);
void rendezvous_software_update(struct rds_rendezvous *rules, const struct rds_incoming *in);
void rendezvous_config_update(struct rds_rendezvous *rules, const struct rds_incoming *in);
// Whether a client with that serial is to be told our ID servers.
bool rendezvous_has_update(const struct rds_rendezvous *rules, int32_t serial);

#endif
