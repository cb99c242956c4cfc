// SPDX-License-Identifier: MIT
// Backups of replaced pairs: id_ed25519.bak.20260131 (0600) and id_ed25519.pub.bak.20260131 (0644),
// the next ones of a day with .1, .2 and so on behind them. Never overwritten.
#ifndef RDS_KEYS_BACKUPS_H
#define RDS_KEYS_BACKUPS_H

#include "keys/datadir.h"
#include "keys/keypair.h"

#define RDS_BACKUP_NAME 64

// Keeps the pair under that day; the secret's name goes to `name`. Call between rds_datadir_begin
// and _end, as for drop.
int rds_backups_make(const struct rds_datadir *dir, const char *day, const struct rds_keypair *pair,
                     char name[RDS_BACKUP_NAME], struct rds_error *err)
        __attribute__((warn_unused_result));

// Takes one back that turned out not to be needed, as far as it is there.
void rds_backups_drop(const struct rds_datadir *dir, const char *name);

// Overwrites and removes those of days before that one (20260131; NULL: all). *n: how many files.
int rds_backups_purge(const struct rds_datadir *dir, const char *before_day, size_t *n,
                      struct rds_error *err) __attribute__((warn_unused_result));

// Calls fn with the name of each backup, of either half.
void rds_backups_each(const struct rds_datadir *dir, void (*fn)(void *ctx, const char *name),
                      void *ctx);

// Whether it is one of a secret; then the name of its public half.
bool rds_backups_is_secret(const char *name, char public_name[RDS_BACKUP_NAME]);

#endif
