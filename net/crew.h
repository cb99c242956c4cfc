// SPDX-License-Identifier: MIT
// The relay's pump threads: each has an event loop and the sessions that were handed to it. The
// owner's thread hands sessions over and is told of their ends on its own loop.
#ifndef RDS_NET_CREW_H
#define RDS_NET_CREW_H

#include "net/pump.h"

struct rds_crew;

// A session on its way to a thread and back; its owner's, who embeds it.
struct rds_crew_task {
	struct rds_session session;
	struct rds_crew_task *next;
	unsigned thread; // which one it is on
};

// Called on the owner's thread: the session has ended.
typedef void (*rds_crew_end_fn)(void *ctx, struct rds_crew_task *task);

// Starts n threads (1 to RDS_RELAY_THREADS_MAX). -RDS_ESYS.
int rds_crew_new(struct rds_loop *owner, unsigned n, rds_crew_end_fn on_end, void *ctx,
                 struct rds_crew **out, struct rds_error *err) __attribute__((warn_unused_result));

// Ends the threads and all sessions, which is told of each: no task is borrowed any more.
void rds_crew_free(struct rds_crew *crew);

// Hands a session to the thread that has least to do. Borrows the task until its end is told; takes
// its sides' sockets and early bytes.
void rds_crew_take(struct rds_crew *crew, struct rds_crew_task *task);

// Has a session ended, for a reason, that is on a thread, or was until just now.
void rds_crew_kick(struct rds_crew *crew, struct rds_crew_task *task, enum rds_reason why);

// Has every thread come round since this was asked last?
bool rds_crew_answers(struct rds_crew *crew);

// The limits of all sessions; total is shared out here.
struct rds_pump_limits *rds_crew_limits(struct rds_crew *crew);

#endif
