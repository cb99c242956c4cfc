// SPDX-License-Identifier: MIT
// Pipes for splice(2), kept by one thread and lent to sessions while bytes are in them.
#ifndef RDS_NET_PIPES_H
#define RDS_NET_PIPES_H

#include <stdbool.h>
#include <stddef.h>

// Bytes that are put into one at once. What a splice costs is mostly waking the two ends up, so few
// large ones are far cheaper than many small ones: with the kernel's own 64 KiB, half as much
// again.
#define RDS_PIPE_BYTES (256 * 1024)

struct rds_pipe {
	struct rds_pipe *next;
	int out; // to read from
	int in;  // to write to
};

// Zero it to start.
struct rds_pipes {
	struct rds_pipe *idle;
	size_t n; // lent ones included
};

// An empty pipe; NULL: there is none to be had now.
struct rds_pipe *rds_pipes_borrow(struct rds_pipes *pipes);

// Takes it back; empty: whether nothing is left in it (else it is closed).
void rds_pipes_return(struct rds_pipes *pipes, struct rds_pipe *pipe, bool empty);

// Closes those that are here.
void rds_pipes_clear(struct rds_pipes *pipes);

#endif
