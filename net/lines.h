// SPDX-License-Identifier: MIT
// One line of text in, one text out, and the end: what control sockets and consoles have in common.
#ifndef RDS_NET_LINES_H
#define RDS_NET_LINES_H

#include "core/limits.h"
#include "core/view.h"
#include "net/loop.h"

struct rds_lines;

// Answers one line, without its end: returns fresh memory that is freed after.
typedef char *(*rds_line_fn)(void *ctx, const char *line);

// name is how the log calls them; borrows. typed: by people, and scripts with nc: a line may also
// end with what is sent, or with a pause of RDS_LINE_PAUSE_MS.
struct rds_lines *rds_lines_new(struct rds_loop *loop, const char *name, bool typed,
                                rds_line_fn answer, void *ctx);

// Closes all connections.
void rds_lines_free(struct rds_lines *lines);

// Takes fd, a new connection. Where there are RDS_LINE_CLIENTS of them, the oldest gives way.
void rds_lines_take(struct rds_lines *lines, int fd);

// The line at the start of bytes, without its end (\n or \r\n); ended: nothing more will come.
// Returns the line's length with its end; 0 if more bytes are needed; -RDS_ETOOBIG over
// RDS_LINE_MAX_BYTES; -RDS_EPARSE if it isn't text (UTF-8 without control characters), which shows
// before its end.
long rds_line_read(struct rds_view bytes, bool ended, struct rds_view *line)
        __attribute__((warn_unused_result));

#endif
