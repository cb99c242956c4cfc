// SPDX-License-Identifier: MIT
// The keys that a server has and had, as export-conf and its --check need them.
#ifndef RDS_CMD_KNOWN_KEYS_H
#define RDS_CMD_KNOWN_KEYS_H

#include "conf/client_fit.h"
#include "keys/datadir.h"

struct rds_known_keys {
	struct rds_known_key *items; // one is current; texts are owned
	size_t n;
};

// The current one is that of the server that runs, else that of the key files. -RDS_ENOENT and the
// like with *err if there is none. The caller frees *out.
int rds_known_keys_read(const struct rds_datadir *dir, struct rds_known_keys *out,
                        struct rds_error *err) __attribute__((warn_unused_result));

// The same where it is known already which key the server that runs tells (NULL: none runs),
// without waiting for another process that is at work on the keys (-RDS_EBUSY). Takes running.
int rds_known_keys_beside(const struct rds_datadir *dir, char *running, struct rds_known_keys *out,
                          struct rds_error *err) __attribute__((warn_unused_result));

void rds_known_keys_free(struct rds_known_keys *keys);

// The text of the first one in that state; NULL: there is none. Borrowed.
const char *rds_known_keys_text(const struct rds_known_keys *keys, enum rds_known_key_state state);

#endif
