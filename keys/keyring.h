// SPDX-License-Identifier: MIT
// keyring.json (0600): the keys of a data directory besides the pair in its key files. Those that
// were retired and are accepted for a time of grace, one that was made ahead, and what is known of
// a rotation that is under way.
#ifndef RDS_KEYS_KEYRING_H
#define RDS_KEYS_KEYRING_H

#include "keys/datadir.h"
#include "keys/keypair.h"

#define RDS_KEYRING_FILE "keyring.json"

// Retired keys that are remembered; the one that was retired first is forgotten for a new one.
#define RDS_RETIRED_KEYS 32

struct rds_retired_key {
	char public_text[RDS_PUBLIC_TEXT];
	struct rds_keypair *pair; // NULL: its secret was wiped, so it signs no more
	int64_t since;            // when it came into use; Unix seconds, 0: not known
	int64_t retired;
	int64_t accepted_until;
};

struct rds_keyring {
	struct rds_retired_key retired[RDS_RETIRED_KEYS]; // oldest first
	size_t n_retired;
	struct rds_keypair *next; // made ahead of its use; NULL: none
	int64_t next_since;
	int64_t current_since;         // of the pair in the key files
	char pending[RDS_PUBLIC_TEXT]; // a rotation to this key is under way; "": none is
	char pending_by[128];          // since when and by whom, as keygen.log will have it
	char server_conf_sha256[65];   // of the server.conf that we wrote last; "": none
};

// Reads the file; one that isn't there is an empty keyring. -RDS_EPARSE, with *err, if it is
// damaged or made by a newer version. Clear in any case.
int rds_keyring_load(const struct rds_datadir *dir, struct rds_keyring *out, struct rds_error *err)
        __attribute__((warn_unused_result));
void rds_keyring_clear(struct rds_keyring *ring);

// Writes it, safely on disk. Call between rds_datadir_begin and _end, as for load before it.
int rds_keyring_save(const struct rds_datadir *dir, const struct rds_keyring *ring,
                     struct rds_error *err) __attribute__((warn_unused_result));

// The retired key with that text, or NULL.
struct rds_retired_key *rds_keyring_find(struct rds_keyring *ring, struct rds_view public_text);

// Adds a retired key; takes pair.
void rds_keyring_retire(struct rds_keyring *ring, struct rds_keypair *pair, int64_t since,
                        int64_t now, int64_t accepted_until);

// Whether clients that hold it are let in. One without its secret was retired by hand: for good,
// whatever the clock says.
bool rds_keyring_accepts(const struct rds_retired_key *key, int64_t now);

// Takes out a retired key.
void rds_keyring_drop(struct rds_keyring *ring, struct rds_retired_key *key);

#endif
