// SPDX-License-Identifier: MIT
// Which keys clients have shown lately, and from how many addresses: what an administrator wants
// to know before a retired key is refused. One file a role, key-use-ROLE.json (0600).
#ifndef RDS_KEYS_KEY_USE_H
#define RDS_KEYS_KEY_USE_H

#include "core/addr.h"
#include "keys/datadir.h"
#include "keys/keypair.h"

// Days that count, today included.
#define RDS_KEY_USE_DAYS 7

struct rds_key_use;

struct rds_key_use *rds_key_use_new(void);
void rds_key_use_free(struct rds_key_use *use);

// A client at from has shown the key with that public text. now: Unix seconds.
void rds_key_use_note(struct rds_key_use *use, const char *key, const struct rds_ip *from,
                      int64_t now);

// Whether anything was noted since it was loaded or saved.
bool rds_key_use_is_changed(const struct rds_key_use *use);

// Adds what the file of a role ("id", "relay") holds; one that isn't there adds nothing.
// -RDS_EPARSE with *err if it is damaged.
int rds_key_use_load(struct rds_key_use *use, const struct rds_datadir *dir, const char *role,
                     struct rds_error *err) __attribute__((warn_unused_result));

// Writes it, days that count no more left out.
int rds_key_use_save(struct rds_key_use *use, const struct rds_datadir *dir, const char *role,
                     int64_t now, struct rds_error *err) __attribute__((warn_unused_result));

// When the key was last shown (0: never), and from how many addresses in the last days: exact for
// some hundred, within a few percent for a hundred thousand.
int64_t rds_key_use_last(const struct rds_key_use *use, const char *key);
uint64_t rds_key_use_sources(const struct rds_key_use *use, const char *key, int64_t now);

// Whether the address has shown any key in the last days (or, rarely, shares its place with one
// that has).
bool rds_key_use_has_seen(const struct rds_key_use *use, const struct rds_ip *from, int64_t now);

#endif
