// SPDX-License-Identifier: MIT
// Peers on disk (protocol.md section 10): a file that hbbs made is used as it stands, and hbbs
// can use ours. Writing happens on a thread of the store's own, in groups; core's rules know
// the store only through struct rds_host.
#ifndef RDS_CORE_STORE_H
#define RDS_CORE_STORE_H

#include "core/addr.h"
#include "core/error.h"
#include "core/registry.h"

// A peer as the file has it; views borrow.
struct rds_peer_row {
	struct rds_view id;
	struct rds_view uuid;
	struct rds_view pk;
	struct rds_ip ip; // none: the row names no address
	// In a table of ours. A row that hbbs made is approved, and the rest isn't known.
	enum rds_peer_state state;
	uint16_t seen_day;       // counted from 1970-01-01; 0: not known
	struct rds_view version; // of its client; empty: not known
};

// A write that has ended: safely on disk, or not at all.
struct rds_store_done {
	uint64_t ticket;
	bool ok;
};

struct rds_store;

// Called on the store's thread after writes ended: wake whoever calls rds_store_take.
typedef void (*rds_store_wake_fn)(void *ctx);

// Opens or makes the file and starts the thread. A file that is damaged, isn't a database or
// whose peer table isn't hbbs's is left as it is: -RDS_ESTORE, and *err says what to do.
int rds_store_open(const char *path, rds_store_wake_fn wake, void *ctx, struct rds_store **out,
                   struct rds_error *err) __attribute__((warn_unused_result));

// Hands every row to on_row, in the caller's thread. on_row returns 0; -RDS_ETOOBIG or -RDS_EEXIST
// to have the row skipped, with a line in the log; any other negative code ends the reading and is
// returned. Call before the first put.
int rds_store_load(struct rds_store *store,
                   int (*on_row)(void *ctx, const struct rds_peer_row *row), void *ctx,
                   struct rds_error *err) __attribute__((warn_unused_result));

// Queues one row to be inserted, or to replace uuid, pk and ip of the row with its id; copies. A
// state other than approved is written too, the rest of ours isn't. The result comes with the
// ticket. -RDS_EFULL when too many are queued.
int rds_store_put(struct rds_store *store, const struct rds_peer_row *row, uint64_t ticket)
        __attribute__((warn_unused_result));

// Queues a change of id: the row of old_id keeps all but its id. Fails (in the result) if
// there is no such row, or new_id is taken.
int rds_store_rename(struct rds_store *store, struct rds_view old_id, struct rds_view new_id,
                     uint64_t ticket) __attribute__((warn_unused_result));

// Queues a new state of the row of id, or the end of it.
int rds_store_set_state(struct rds_store *store, struct rds_view id, enum rds_peer_state state,
                        uint64_t ticket) __attribute__((warn_unused_result));
int rds_store_forget(struct rds_store *store, struct rds_view id, uint64_t ticket)
        __attribute__((warn_unused_result));

// Queues what is to be remembered of the peer of id, to be written when nothing else waits for the
// disk; 0 and an empty version leave what is there. There is no result: what has no row, or fails,
// is lost. -RDS_EFULL when RDS_NOTES_QUEUED wait.
int rds_store_note(struct rds_store *store, struct rds_view id, uint16_t seen_day,
                   struct rds_view version) __attribute__((warn_unused_result));

// Copies the whole database, as it is now, to a new file (0600), by SQLite's backup API. Waits
// for it. -RDS_EEXIST if there is such a file; -RDS_ESTORE.
int rds_store_backup(struct rds_store *store, const char *path, struct rds_error *err)
        __attribute__((warn_unused_result));

// The same of a file that no store has open: one that another server left, or has in use. The copy
// is looked over before it gets its name. Nothing is written or left beside `from`.
// -RDS_EEXIST if there is a file `to`; -RDS_ESYS, -RDS_ESTORE.
int rds_store_copy(const char *from, const char *to, uint64_t *n_peers, struct rds_error *err)
        __attribute__((warn_unused_result));

// What a look at a database tells.
struct rds_store_look {
	uint64_t n_peers;
	int64_t version; // of our tables; -1: it has none
	bool empty;      // no table at all: a start makes them
	bool foreign;    // other tables than ours and hbbs's
	bool whole;      // all of it was looked at before the time was up
};

// Looks a file over that a server may have in use: SQLite's own check of it, for at most limit_ms.
// Nothing is written or left beside it. What is there has to be regular files.
// -RDS_EPARSE: it is damaged; -RDS_ESTORE: it can't be read.
int rds_store_look(const char *path, unsigned limit_ms, struct rds_store_look *out,
                   struct rds_error *err) __attribute__((warn_unused_result));

// Takes up to max ended writes, in the order in which they were queued.
size_t rds_store_take(struct rds_store *store, struct rds_store_done *out, size_t max);

// Writes what is queued, ends the thread and closes the file. NULL is fine.
void rds_store_close(struct rds_store *store);

// Of SQLite, as it is in use.
const char *rds_sqlite_version(void);

#endif
