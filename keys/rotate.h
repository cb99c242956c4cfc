// SPDX-License-Identifier: MIT
// Changing the key of a data directory: every step is on disk before the next begins, so that a
// crash anywhere leaves a whole pair, and whoever looks next ends a rotation that is half done.
#ifndef RDS_KEYS_ROTATE_H
#define RDS_KEYS_ROTATE_H

#include "keys/backups.h"
#include "keys/keyfiles.h"
#include "keys/keyring.h"

#define RDS_KEYGEN_LOG "keygen.log"

// What a directory holds of keys.
struct rds_keys {
	struct rds_keyfiles files;
	struct rds_keyring ring;
	bool made; // the pair, just now
};

enum rds_keys_mode {
	RDS_KEYS_READ,     // what is there
	RDS_KEYS_COMPLETE, // and makes what isn't: the pair, or its public file
	RDS_KEYS_FOLLOW,   // what is there, without waiting for another process: -RDS_EBUSY
};

// Loads key files and keyring together, ending a rotation first that was interrupted: past its
// point of no return the new pair is completed, before it the old one stays. As rds_keyfiles_load
// otherwise. *out is the caller's to clear, also after a failure.
int rds_keys_load(const struct rds_datadir *dir, enum rds_keys_mode mode, struct rds_keys *out,
                  struct rds_error *err) __attribute__((warn_unused_result));
void rds_keys_clear(struct rds_keys *keys);

// When and by whom; for backups' names and keygen.log.
struct rds_key_change {
	int64_t now;      // Unix seconds
	const char *day;  // 20260131, local time
	const char *time; // as keygen.log has it
	const char *who;
};

struct rds_rotated {
	char old_text[RDS_PUBLIC_TEXT];
	char new_text[RDS_PUBLIC_TEXT];
	char backup[RDS_BACKUP_NAME]; // the old secret's name; its .pub is beside it
	bool server_conf_kept;        // a person has edited it: the new one is server.conf.new
	// What could not be done, though the rotation was; "": it was.
	struct rds_error server_conf_fault;
	struct rds_error log_fault;
};

// Replaces the pair by `pair` (borrowed; NULL: the one made ahead, else a new one), and accepts the
// old one until accepted_until. -RDS_ENOENT, with *err, if there is no pair to replace; -RDS_EEXIST
// if it is that pair already. Nothing has changed when it fails before the secret is in place; a
// failure after that says so.
int rds_rotate(const struct rds_datadir *dir, const struct rds_key_change *change,
               int64_t accepted_until, const struct rds_keypair *pair, struct rds_rotated *out,
               struct rds_error *err) __attribute__((warn_unused_result));

// Makes the next pair ahead; one that is there already stays. *text gets its public text.
int rds_keys_make_next(const struct rds_datadir *dir, const struct rds_key_change *change,
                       char text[RDS_PUBLIC_TEXT], struct rds_error *err)
        __attribute__((warn_unused_result));

// Ends the grace of one retired key (its text or fingerprint) or of all of them (NULL), and wipes
// their secrets. *n: how many that hadn't ended before. -RDS_ENOENT if there is none of that name.
int rds_keys_retire(const struct rds_datadir *dir, const struct rds_key_change *change,
                    const char *name, size_t *n, struct rds_error *err)
        __attribute__((warn_unused_result));

// What rotate.c and keys_change.c share: the keys, for changes of them. Ended with rds_datadir_end,
// if it didn't fail. -RDS_ENOENT, with *err, if there is no pair.
int rds_keys_begin(const struct rds_datadir *dir, struct rds_keys *out, struct rds_error *err)
        __attribute__((warn_unused_result));

#endif
