// SPDX-License-Identifier: MIT
#include "net/pipes.h"

#include "core/alloc.h"
#include "core/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static struct rds_pipe *new_pipe(struct rds_pipes *pipes)
{
	int fds[2];
	if (pipes->n >= RDS_PIPES_PER_THREAD || pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
		return NULL;
	// Refused to a user who has many: then less goes at once.
	(void)fcntl(fds[0], F_SETPIPE_SZ, RDS_PIPE_BYTES);
	struct rds_pipe *pipe = rds_calloc(1, sizeof *pipe);
	pipe->out = fds[0];
	pipe->in = fds[1];
	pipes->n++;
	return pipe;
}

struct rds_pipe *rds_pipes_borrow(struct rds_pipes *pipes)
{
	struct rds_pipe *pipe = pipes->idle;
	if (pipe == NULL)
		return new_pipe(pipes);
	pipes->idle = pipe->next;
	return pipe;
}

static void close_pipe(struct rds_pipes *pipes, struct rds_pipe *pipe)
{
	(void)close(pipe->out);
	(void)close(pipe->in);
	free(pipe);
	pipes->n--;
}

void rds_pipes_return(struct rds_pipes *pipes, struct rds_pipe *pipe, bool empty)
{
	if (!empty) {
		close_pipe(pipes, pipe);
		return;
	}
	pipe->next = pipes->idle;
	pipes->idle = pipe;
}

void rds_pipes_clear(struct rds_pipes *pipes)
{
	while (pipes->idle != NULL) {
		struct rds_pipe *pipe = pipes->idle;
		pipes->idle = pipe->next;
		close_pipe(pipes, pipe);
	}
}
