// SPDX-License-Identifier: MIT
// The rendezvous rules (protocol.md sections 4, 7 and 8): registration, punching, relay
// requests, NAT tests and online queries. Bytes and times in, callbacks out; no I/O.
#ifndef RDS_CORE_RENDEZVOUS_H
#define RDS_CORE_RENDEZVOUS_H

#include "core/addr.h"
#include "core/key_hooks.h"
#include "core/reason.h"
#include "core/register_limits.h"
#include "core/registry.h"
#include "core/relay_names.h"
#include "core/store.h"

// Which way a message came in (section 1).
enum rds_door {
	RDS_DOOR_UDP,       // N
	RDS_DOOR_MAIN,      // N, TCP
	RDS_DOOR_NAT,       // N-1, TCP
	RDS_DOOR_WEBSOCKET, // N+2
};

// Who sent a message and how to answer.
struct rds_source {
	enum rds_door door;
	uint64_t conn;        // of connections: the host's name for it, never reused; else 0
	struct rds_path path; // the remote address; local is for UDP only
};

// What the rules need done. None of these may call back into the rules.
struct rds_host {
	void *ctx;
	void (*send_datagram)(void *ctx, const struct rds_path *to, struct rds_view payload);
	void (*send_payload)(void *ctx, uint64_t conn, struct rds_view payload);
	// Closes once what was sent has gone out. A conn that is gone already is no error.
	void (*close_conn)(void *ctx, uint64_t conn, enum rds_reason why);
	// This connection stays: heartbeats keep it alive (section 5 point 4), not requests. false
	// if it is gone already.
	bool (*keep_conn)(void *ctx, uint64_t conn);
	// As rds_store_put; the result goes to rds_rendezvous_stored.
	int (*store)(void *ctx, const struct rds_peer_row *row, uint64_t ticket);
	// As rds_store_rename.
	int (*rename)(void *ctx, struct rds_view old_id, struct rds_view new_id, uint64_t ticket);
	// As rds_store_set_state and rds_store_forget.
	int (*set_state)(void *ctx, struct rds_view id, enum rds_peer_state state, uint64_t ticket);
	int (*forget)(void *ctx, struct rds_view id, uint64_t ticket);
	// As rds_store_note.
	int (*note)(void *ctx, struct rds_view id, uint16_t seen_day, struct rds_view version);
	// The uuid of a relayed session goes to one of its sides. NULL: of no interest.
	void (*issue)(void *ctx, uint64_t now_ms, struct rds_view uuid);
	struct rds_key_hooks keys;
};

// Which new ids are taken.
enum rds_enrol {
	RDS_ENROL_OPEN,    // all
	RDS_ENROL_APPROVE, // all, but the administrator has to approve them
	RDS_ENROL_CLOSED,  // none
};

// Everything is borrowed for the life of the rules.
struct rds_rendezvous_config {
	struct rds_seed seed; // random; keys every hash table
	const struct rds_cidr *lan;
	size_t n_lan;
	bool always_use_relay;
	const struct rds_cidr *relayed; // sessions with a side in one of these use it in any case
	size_t n_relayed;
	enum rds_enrol enrol;
	const struct rds_relay_names *relays; // the first ones in rotation
	size_t n_relays;
	int32_t serial; // of rendezvous_servers
	const struct rds_view *rendezvous_servers;
	size_t n_rendezvous_servers;
	const char *software_url; // NULL: none
	int32_t keep_alive_sec;   // told to clients that register over connections
	struct rds_register_limits_config limits;
};

struct rds_rendezvous;

// Copies config and host; what they point to stays borrowed.
struct rds_rendezvous *rds_rendezvous_new(const struct rds_rendezvous_config *config,
                                          const struct rds_host *host);
void rds_rendezvous_free(struct rds_rendezvous *rules);

// Puts a row from disk into memory, at start. -RDS_ETOOBIG if it can't be held, -RDS_EEXIST if
// its id is there already.
int rds_rendezvous_load(struct rds_rendezvous *rules, const struct rds_peer_row *row)
        __attribute__((warn_unused_result));

// What day it is, counted from 1970-01-01 (that day itself: not known), for what is remembered of
// peers.
void rds_rendezvous_set_day(struct rds_rendezvous *rules, uint16_t day);

// Hands some of what is to be remembered to the disk: call once a second.
void rds_rendezvous_write_notes(struct rds_rendezvous *rules);

// Takes away what `rdsrv check` had reserved and not released in time: call once a second.
void rds_rendezvous_expire_checks(struct rds_rendezvous *rules, uint64_t now_ms);

// One payload has come. now_ms: a clock that never goes back; starts above 0.
void rds_rendezvous_message(struct rds_rendezvous *rules, uint64_t now_ms,
                            const struct rds_source *from, struct rds_view payload);

// These payloads come next, at most RDS_EXPECTED_MAX of them. Only a hint: their peers are fetched
// into the CPU's cache all at once, where each message would wait for its own.
#define RDS_EXPECTED_MAX RDS_REGISTRY_PREFETCH
void rds_rendezvous_expect(const struct rds_rendezvous *rules, const struct rds_view *payloads,
                           size_t n);

// A connection has ended, for whatever reason.
void rds_rendezvous_closed(struct rds_rendezvous *rules, uint64_t conn);

// A write that host.store took has ended.
void rds_rendezvous_stored(struct rds_rendezvous *rules, uint64_t now_ms, uint64_t ticket, bool ok);

struct rds_rendezvous_status {
	size_t peers;          // on file
	size_t check_ids;      // reserved for `rdsrv check`, and in none of the other numbers
	size_t waits;          // connections waiting for an answer
	size_t stores_pending; // registrations on their way to the disk
	size_t notes_pending;  // peers of whom something new is to be remembered
	size_t limited_sources;
};
struct rds_rendezvous_status rds_rendezvous_status(const struct rds_rendezvous *rules);

// Peers online at now_ms; walks over all of them.
size_t rds_rendezvous_online(const struct rds_rendezvous *rules, uint64_t now_ms);

const struct rds_counters *rds_rendezvous_counters(const struct rds_rendezvous *rules);

// Counts what the host dropped before it got here (too long a datagram, say).
void rds_rendezvous_count(struct rds_rendezvous *rules, enum rds_reason why);

#endif
