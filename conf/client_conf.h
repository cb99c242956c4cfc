// SPDX-License-Identifier: MIT
// What clients are configured with (protocol.md section 13), and its forms.
#ifndef RDS_CONF_CLIENT_CONF_H
#define RDS_CONF_CLIENT_CONF_H

#include "core/error.h"
#include "core/view.h"

// Texts, never NULL; empty where there is none. An empty relay is the ID server's host.
struct rds_client_conf {
	char *id_server;    // may be a comma-separated list, in order
	char *relay_server; // may be a list too
	char *api_server;
	char *key;
};

void rds_client_conf_clear(struct rds_client_conf *conf);

// server.conf: `comment` (lines, each to begin with #; may be NULL), then [server] and its
// values. Fresh memory.
char *rds_client_conf_server_conf(const struct rds_client_conf *conf, const char *comment);

// The JSON object {"host","relay","api","key"}, with the first of several hosts. Fresh
// memory.
char *rds_client_conf_json(const struct rds_client_conf *conf);

// The config string: that JSON, base64url without padding, reversed. Fresh memory.
char *rds_client_conf_string(const struct rds_client_conf *conf);

// Reads a config string, padded or not, or the plain JSON. -RDS_EPARSE.
int rds_client_conf_parse(struct rds_view text, struct rds_client_conf *out)
        __attribute__((warn_unused_result));

#endif
