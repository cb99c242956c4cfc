// SPDX-License-Identifier: MIT
// Shared by the keygen*.c files, and hbbs -g.
#ifndef RDS_CMD_KEYGEN_H
#define RDS_CMD_KEYGEN_H

#include "cmd/cli.h"
#include "keys/rotate.h"

// hbbs -g: makes the pair, or rotates it with the usual grace.
int rds_keygen_renew(const struct rds_cli *cli, const struct rds_settings *settings);

struct cJSON;

// One keygen command, its options being read.
struct keygen {
	const struct rds_cli *cli;
	const struct rds_datadir *dir;
	const char *grace;      // NULL: as usual
	const char *older_than; // NULL: any age
	bool as_json;
};

// Each returns the exit code, all said.
int keygen_make(const struct keygen *keygen);
int keygen_rotate(const struct keygen *keygen, const struct rds_keypair *pair);
int keygen_import(const struct keygen *keygen, const char *file, bool may_rotate);
int keygen_next(const struct keygen *keygen);
int keygen_retire(const struct keygen *keygen, const char *name);
int keygen_purge(const struct keygen *keygen);
int keygen_list(const struct keygen *keygen);
int keygen_verify(const struct keygen *keygen);
int keygen_show(const struct keygen *keygen, bool fingerprint);

// In the form that was asked for.
void keygen_print(const struct keygen *keygen, const struct cJSON *json);

// "NAME: text" on stderr; returns the exit code for a problem.
int keygen_fail(const struct keygen *keygen, const struct rds_error *err);

// Has the servers that run there look at the key files now, and says what became of it.
void keygen_tell_running(const struct keygen *keygen);

// Loads what is there; 0, or the exit code, all said.
int keygen_load(const struct keygen *keygen, struct rds_keys *keys);

#endif
