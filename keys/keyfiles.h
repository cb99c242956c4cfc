// SPDX-License-Identifier: MIT
// The key files of a data directory: id_ed25519 (0600) and id_ed25519.pub (0644), with the
// contents of protocol.md section 2. Never overwritten.
#ifndef RDS_KEYS_KEYFILES_H
#define RDS_KEYS_KEYFILES_H

#include "keys/datadir.h"
#include "keys/keypair.h"

#define RDS_SECRET_FILE "id_ed25519"
#define RDS_PUBLIC_FILE "id_ed25519.pub"

// What the two files hold.
struct rds_keyfiles {
	struct rds_keypair *pair;
	bool exposed;       // others can read the secret file, as hbbs leaves it
	bool public_absent; // only the secret file is there
};

// Reads and compares the two. -RDS_ENOENT if neither is there (*err untouched); -RDS_EPARSE,
// with *err naming file and fault, if one is damaged or they don't belong together, or only the
// public one is there. On success out->pair is the caller's.
int rds_keyfiles_load(const struct rds_datadir *dir, struct rds_keyfiles *out,
                      struct rds_error *err) __attribute__((warn_unused_result));

// Logs that others can read the secret file, and the chmod that mends it.
void rds_keyfiles_warn_exposed(const struct rds_datadir *dir);

// Makes a pair and writes both files. -RDS_EEXIST if a secret file is there, even if it came
// meanwhile: nothing was changed then.
int rds_keyfiles_make(const struct rds_datadir *dir, struct rds_keypair **out,
                      struct rds_error *err) __attribute__((warn_unused_result));

// Writes both files of a pair. -RDS_EEXIST as above.
int rds_keyfiles_put(const struct rds_datadir *dir, const struct rds_keypair *pair,
                     struct rds_error *err) __attribute__((warn_unused_result));

// Loads, or makes what isn't there, logging what it did. Two processes that do this at once end
// up with the same pair. *made says whether this call made it. Call between rds_datadir_begin and
// _end.
int rds_keyfiles_load_or_make(const struct rds_datadir *dir, struct rds_keyfiles *out, bool *made,
                              struct rds_error *err) __attribute__((warn_unused_result));

// Root may change anybody's keys; others only their own. -RDS_ESYS with *err.
int rds_keyfiles_check_owner(const struct rds_datadir *dir, struct rds_error *err)
        __attribute__((warn_unused_result));

#endif
