// SPDX-License-Identifier: MIT
// Whether what a client is configured with still fits the server.
#ifndef RDS_CONF_CLIENT_FIT_H
#define RDS_CONF_CLIENT_FIT_H

#include "conf/client_conf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A key that the server has or had.
struct rds_known_key {
	char *text; // the public key, or whatever else clients are to show
	enum rds_known_key_state { RDS_KNOWN_CURRENT, RDS_KNOWN_NEXT, RDS_KNOWN_RETIRED } state;
	int64_t until_sec; // of a retired one: accepted until then, Unix time
};

enum rds_key_fit {
	RDS_FIT_KEY_CURRENT,
	RDS_FIT_KEY_NEXT,    // accepted already, and current after the next rotation
	RDS_FIT_KEY_RETIRED, // still accepted
	RDS_FIT_KEY_EXPIRED, // retired, and not accepted any more
	RDS_FIT_KEY_FOREIGN,
};

enum rds_host_fit {
	RDS_FIT_HOST_SAME,
	RDS_FIT_HOST_OTHER,
	RDS_FIT_HOST_UNKNOWN, // no setting says what it should be
};

struct rds_client_fit {
	enum rds_key_fit key;
	int64_t until_sec; // of a retired key
	enum rds_host_fit id_server;
	enum rds_host_fit relay_server;
	enum rds_host_fit api_server;
};

// Compares with what the server would hand out now. Of several hosts, some will do.
struct rds_client_fit rds_client_fit(const struct rds_client_conf *conf,
                                     const struct rds_client_conf *live,
                                     const struct rds_known_key *keys, size_t n_keys,
                                     int64_t now_sec);

// Whether a client with it reaches the server and is let in.
bool rds_client_fit_is_good(const struct rds_client_fit *fit);

#endif
