// SPDX-License-Identifier: MIT
// The control socket of a running role: ROLE.sock in the data directory, for its owner only.
// A client sends one line of words and gets one answer, a line of JSON:
// {"ok":true,...} or {"ok":false,"error":"..."}.
#ifndef RDS_NET_CONTROL_H
#define RDS_NET_CONTROL_H

#include "core/error.h"
#include "net/lines.h"

struct rds_control;

// Listens at path (0600), which is replaced if a dead process left it: whoever calls this holds
// the role's lock. -RDS_ESYS, *err leaving it to the caller to say where.
int rds_control_open(struct rds_loop *loop, const char *path, rds_line_fn answer, void *ctx,
                     struct rds_control **out, struct rds_error *err)
        __attribute__((warn_unused_result));

// Closes and removes the socket.
void rds_control_close(struct rds_control *control);

// The client's side: sends a request and waits for the answer, *answer being fresh memory.
// -RDS_ENOENT if nobody listens there (*err untouched), -RDS_ESYS, with errno as it is in *err.
int rds_control_ask(const char *path, const char *request, unsigned timeout_ms, char **answer,
                    struct rds_error *err) __attribute__((warn_unused_result));

#endif
